"""The lists of bugs fit the sources, and the mutator changes what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from floe import build
from tests.mutants import mutator, seeding
from tests.mutants.bugs import BUGS
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.run import UNIT_TESTS

SOURCE = """
LIMIT: constant(uint256) = 10

total: uint256


@external
def add(amount: uint256) -> uint256:
    assert amount < LIMIT and amount != 0, "add: too much"
    self.total = min(self.total + amount * 3 // LIMIT, 100)
    log Added(amount=amount + 1)
    return self.total
"""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug__sources_as_they_are__fits_once(bug: seeding.Bug):
    source = (build.ROOT / bug.path).read_text(encoding="utf-8")
    assert bug.apply(source) != source


def test_bugs__names__differ():
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_bug__text_gone_or_twice__is_an_error():
    bug = replace(BUGS[0], old="a line that no contract has")
    with pytest.raises(seeding.SeedError, match="stands 0 times"):
        bug.apply("pass")
    with pytest.raises(seeding.SeedError, match="stands 2 times"):
        replace(bug, old="pass").apply("pass pass")


def test_equivalent__every_entry__is_a_mutant_of_today():
    today = {
        (mutant.path.removeprefix("contracts/"), *mutant.difference((build.ROOT / mutant.path).read_text("utf-8")))
        for mutant in mutator.mutants()
    }
    assert set(EQUIVALENT) <= today


def test_unit_tests__every_mutated_file__has_some():
    files = {file.relative_to(build.ROOT / "contracts").as_posix() for file in mutator.files()}
    assert set(UNIT_TESTS) == files
    for patterns in UNIT_TESTS.values():
        assert all(any((build.ROOT / "tests" / "unit").glob(f"test_{name}.py")) for name in patterns.split())


def test_mutator__small_source__changes_operators_numbers_and_statements():
    found = {(old, new) for _, old, new, _, _ in mutator._changes(SOURCE)}
    check = 'assert amount < LIMIT and amount != 0, "add: too much"'
    booking = "self.total = min(self.total + amount * 3 // LIMIT, 100)"
    assert found == {
        ("10", "11"),
        ("<", "<="),
        ("<", ">="),
        ("and", "or"),
        ("!=", "=="),
        ("0", "1"),
        (check, "pass"),
        (booking, "pass"),
        ("min", "max"),
        ("+", "-"),
        ("*", "//"),
        ("3", "4"),
        ("amount * 3 // LIMIT", "(amount * 3 + LIMIT - 1) // LIMIT"),
        ("100", "101"),
    }


def test_sample__same_seed__is_the_same():
    assert mutator.sample(20, seed=7) == mutator.sample(20, seed=7)
    assert mutator.sample(20, seed=7) != mutator.sample(20, seed=8)


def test_seeded__bug__changes_the_copy_only():
    bug = BUGS[0]
    before = (build.ROOT / bug.path).read_text(encoding="utf-8")
    with seeding.seeded(bug) as root:
        assert (root / bug.path).read_text(encoding="utf-8") == bug.apply(before)
    assert not root.exists()
    assert (build.ROOT / bug.path).read_text(encoding="utf-8") == before
