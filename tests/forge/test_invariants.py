"""A short run of the second engine; `make invariants` is the long one."""

from __future__ import annotations

from floe import build
from tests.forge import run
from tests.mutants import seeding


def test_invariants__seeded_bug__is_found():
    bug = seeding.by_name("eligible-not-lowered")
    with seeding.seeded(bug) as root:
        outcome = run.run(seeding.artifacts(bug, run.CONTRACTS, root), seconds=20, seed=1, shrink=False)
    assert outcome.failure == "INV-02 books: eligible"


def test_invariants__short_campaign__hold():
    outcome = run.run(build.load_many(run.CONTRACTS), seconds=10, seed=2)
    assert outcome.failure is None, outcome.report
    assert outcome.calls > 1_000
    assert outcome.idle == []
