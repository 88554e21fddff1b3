"""tests/THREATS.md names every threat once, and says of each where it is tried, why it cannot be, or who will."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
ROWS = range(1, 110)
# What concerns the parts that exist: each is a test of its own number, or cannot apply.
BUILT = {
    *range(1, 31),
    32,
    *range(35, 42),
    *range(43, 50),
    51,
    52,
    56,
    *range(60, 74),
    75,
    78,
    *range(79, 94),
    *range(96, 103),
    109,
}
ROOMS = {"operators", "rewards", "basket", "bridge"}


def rows() -> list[tuple[int, str, str]]:
    """Return number, threat and whereabouts of every row of the list."""
    text = (TESTS / "THREATS.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    return [(int(number), threat, where) for number, threat, where in found]


def names() -> set[str]:
    """Return the names of all tests there are."""
    return {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }


def numbers(name: str) -> set[int]:
    """Return the rows that a test's name carries."""
    match = re.match(r"test_bad((?:_\d{3})+)_", name)
    return {int(number) for number in match[1].split("_")[1:]} if match else set()


def test_list__every_row__is_there_once_and_in_order():
    assert [number for number, _, _ in rows()] == list(ROWS)


@pytest.mark.parametrize(("number", "where"), [(number, where) for number, _, where in rows()])
def test_list__each_row__is_a_test_or_a_reason_or_a_room(number: int, where: str):
    if where.startswith("later: "):
        assert where.removeprefix("later: ") in ROOMS
        assert number not in BUILT
    elif where.startswith("excluded: "):
        assert len(where.split()) > 5, "a reason, please"
    else:
        stem = re.fullmatch(r"`(test_\w+)`", where)
        assert stem, where
        found = {name for name in names() if name.startswith(stem[1])}
        assert found, f"no test is called {stem[1]}"
        if number in BUILT:
            assert any(number in numbers(name) for name in found), f"{stem[1]} does not carry the number {number}"


def test_list__every_numbered_test__stands_in_its_row():
    """No test for a threat is left out: its rows name a test, if not this one."""
    tested = {number for number, _, where in rows() if where.startswith("`")}
    carried = set().union(*map(numbers, names()))
    assert carried <= tested
    assert BUILT - carried == {
        number for number, _, where in rows() if number in BUILT and where.startswith("excluded")
    }
