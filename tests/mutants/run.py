"""`make mutants`: put bugs into the contracts and see whether the fuzz campaign, or the tests, notice.

The hand-chosen bugs (`bugs.py`) must all be found: those of the pool and of the liquidity room by the campaign, those
of the validators' room and of the oracle by the campaign or the unit tests, those of the fee splitter by its unit
tests. Then a sample of mechanical changes (`mutator.py`) is counted: what the campaign misses goes to the second engine
(`tests/forge`, which knows the pool only) and to the unit tests of its file, and what all miss is listed as a survivor,
with its line, because it is either a change that changes nothing (`equivalent.py` says which are known, and why) or a
missing check.

    make mutants                 the list and a small sample
    make mutants SCORE=200       a large sample
    python -m tests.mutants.run --only fee-on-deficit --score 0
"""

from __future__ import annotations

import argparse
import gc
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from floe import build
from tests.forge import run as forge
from tests.mutants import mutator, seeding
from tests.mutants.bugs import BUGS
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.seeding import Change
from tests.stateful import campaign
from tests.stateful.market import MARKET_CONTRACTS
from tests.stateful.scenes import worlds
from tests.stateful.world import CONTRACTS, MOCKS, REGISTRY_CONTRACT

MOST = 2_000_000
"""Transactions of the campaign that no hand-chosen bug may survive: fewer than the campaign itself makes."""
SHORT = 60_000
"""Transactions for a sampled change, before the second engine looks at it."""
SHORT_VALIDATORS = 10_000
"""... for a change in the validators' room, before the unit tests look at it: each takes several times as long."""
SHORT_MARKET = 40_000
"""... that no hand-chosen bug of the liquidity room may survive; most are met within a few hundred."""
FORGE_SECONDS = 6
"""Time of the second engine for what the campaign misses."""
PATIENCE = 600
"""Seconds after which a change counts as found, because the campaign does not end any more."""
SAMPLE, SEED = 20, 1
LEAST_SCORE = 0.9
"""Part of the sampled changes that must be found."""


UNIT_TESTS = {
    "lib/allowances.vy": "erc20 erc2612 rebasing_token",
    "lib/curve.vy": "lib_curve queue_claim",
    "lib/ether_vault.vy": "vaults",
    "lib/instant_fee.vy": "lib_instant_fee pool_instant_exit",
    "lib/parameters.vy": "lib_parameters pool_settings",
    "lib/ssz.vy": "lib_ssz registry_prove registry_top_up registry_prove_withdrawn",
    "lib/stream.vy": "lib_stream pool_report",
    "lib/words.vy": "lib_words",
    "pool/FloePool.vy": "pool_* erc20 roles",
    "pool/RebasingToken.vy": "rebasing_token",
    "pool/WithdrawalQueue.vy": "queue_* erc165 reentrancy",
    "pool/instant_exit.vy": "pool_instant_exit erc4626",
    "pool/ledger.vy": "pool_* erc20 erc4626",
    "pool/reporting.vy": "pool_report pool_raise_pending_loss pool_deploy pool_settings vaults",
    "pool/ticket_book.vy": "queue_*",
    "validators/ExecutionVault.vy": "vaults",
    "validators/ValidatorRegistry.vy": "registry_*",
    "validators/WithdrawalVault.vy": "*vault* registry_withdrawals registry_consolidate",
    "validators/beacon_chain.vy": "registry_*",
    "validators/operators.vy": "registry_*",
    "validators/pull_back.vy": "registry_*",
    "validators/validator_book.vy": "registry_*",
}
"""File below contracts/ to its tests: tests/unit/test_NAME.py."""
ORACLE_TESTS = {
    "oracle/FeeSplitter.vy": "fee_splitter*",
    "oracle/ReportOracle.vy": "oracle_contract*",
    "oracle/committee.vy": "oracle_contract*",
    "oracle/limits.vy": "oracle_contract*",
}
"""The same, of files that the mechanical sample does not draw from."""
ORACLE = "contracts/oracle/"
ALONE = "contracts/oracle/FeeSplitter.vy"
"""Where its tests alone look for bugs: the campaign deploys it in worlds with validators only."""
MARKET = "contracts/liquidity/"
"""Where the campaign looks in worlds with a market only, at code that is quicker to compile and slower to run."""
VALIDATORS = ("contracts/validators/", "contracts/lib/ssz.vy")
"""Where unit tests look for hand-chosen bugs, too, and forge does not look."""


@dataclass(frozen=True)
class Verdict:
    """What became of one change."""

    change: Change
    by: str | None
    """Who found it: "campaign", "forge", "tests" or "compiler" (it does not compile); None: it survived."""
    what: str
    """How it showed."""
    transactions: int
    """Of the campaign, until then."""
    seconds: float
    """Of the campaign, until then; without compiling."""


class _TooLongError(Exception):
    pass


def attempt(change: Change, transactions: int, campaign_only: bool) -> Verdict:
    """Compile the contracts with `change` in them and let the campaign, then perhaps the others, look for it."""
    tally = campaign.Tally()
    in_room = change.path.startswith(VALIDATORS)
    in_oracle = change.path.startswith(ORACLE)
    in_market = change.path.startswith(MARKET)
    alone = change.path == ALONE
    what, by, seconds = None, "campaign", 0.0
    try:
        with seeding.seeded(change) as root:
            gc.disable()  # a compiler's tree is all alive until the end
            stem = Path(change.path).stem
            names: tuple[str, ...] = (*CONTRACTS, REGISTRY_CONTRACT) if in_room else CONTRACTS
            names = (stem,) if alone else MARKET_CONTRACTS if in_market else names
            options = build.Options(optimize="none") if in_market else build.Options()
            made = seeding.artifacts(change, names, root, options)
            gc.enable()
        started = time.perf_counter()
        if not alone:
            most = SHORT_VALIDATORS if in_room else min(transactions, SHORT) if in_oracle else transactions
            most = SHORT_MARKET if in_market else most
            what = _campaign(made, most, tally)
        seconds = time.perf_counter() - started
        if what is None and not campaign_only and not in_room and not in_oracle:
            what, by = forge.run(made, FORGE_SECONDS, SEED, shrink=False).failure, "forge"
        if what is None and (in_room or in_oracle or not campaign_only):
            what, by = _unit_tests(change, [change.path]), "tests"
    except build.BuildError as error:
        what, by = str(error), "compiler"
    return Verdict(change, by if what else None, what or "", sum(tally.outcomes.values()), seconds)


def _give_up(*_: object) -> None:
    raise _TooLongError


def _campaign(made: dict[str, build.Artifact], transactions: int, tally: campaign.Tally) -> str | None:
    """First difference between the bytecode and the model, None after `transactions`."""
    campaign.VALIDATOR_SHARE = campaign.MARKET_SHARE = 1.0  # where there is a room, the bug is in it
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(PATIENCE)
    try:
        with_market = made.keys() >= {*MARKET_CONTRACTS}
        others = (*CONTRACTS, *MOCKS) if with_market else MOCKS
        made_worlds = worlds({**build.load_many(others), **made}, alone=with_market)
        number = 0
        while tally.transactions < transactions:
            if (found := campaign.run_sequence(made_worlds, f"{SEED}/{number}", tally)) is not None:
                return found.what
            number += 1
    except _TooLongError:
        return f"no end after {PATIENCE} s"
    except Exception as error:
        return f"deployment: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return None


def _unit_tests(change: Change, sources: Iterable[str]) -> str | None:
    """First failure of the unit tests of these files with `change` in them, None when they pass."""
    tests = UNIT_TESTS | ORACLE_TESTS
    patterns = [name for source in sources for name in tests[source.removeprefix("contracts/")].split()]
    with seeding.seeded(change, with_tests=True) as root:
        files = sorted({str(file) for name in patterns for file in (root / "tests" / "unit").glob(f"test_{name}.py")})
        assert files, f"{patterns}: no such unit tests"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:ape_test", "-p", "no:cacheprovider", *files]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise RuntimeError(f"pytest: {done.stdout}{done.stderr}")
    failures = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failures[0] if done.returncode else None


def attempts(changes: Iterable[Change], transactions: int, *, campaign_only: bool) -> Iterator[Verdict]:
    """Verdicts in the order of `changes`, `build.JOBS` at a time."""
    with ProcessPoolExecutor(build.JOBS, get_context("spawn")) as pool:
        yield from pool.map(attempt, changes, repeat(transactions), repeat(campaign_only))


def sound() -> bool:
    """Whether the contracts themselves pass what their mutants must not; says so when they do not."""
    rooms = (
        (CONTRACTS, SHORT),
        ((*CONTRACTS, REGISTRY_CONTRACT), SHORT_VALIDATORS),
        (MARKET_CONTRACTS, SHORT_MARKET // 4),
    )
    for names, transactions in rooms:
        what = _campaign(build.load_many(names), transactions, tally := campaign.Tally())
        if what is not None:
            actions = sum(tally.outcomes.values())
            print(f"the contracts themselves differ from the model after {actions:,} actions: {what}")
            return False
    nothing = mutator.Mutant("contracts/validators/ValidatorRegistry.vy", 0, "", "", 1, "nothing")
    room = [source for source in UNIT_TESTS if f"contracts/{source}".startswith(VALIDATORS)]
    failure = _unit_tests(nothing, [*room, *ORACLE_TESTS])
    if failure is not None:
        print(f"the contracts themselves do not pass their unit tests: {failure}")
    return failure is None


def hand_chosen(only: str | None) -> bool:
    """Try the hand-chosen bugs and print the table; False when one survives or does not compile."""
    chosen = [bug for bug in BUGS if only in (None, bug.name)]
    for bug in chosen:  # an outdated list is noticed before anything is compiled
        bug.apply((build.ROOT / bug.path).read_text(encoding="utf-8"))
    print(f"{'bug':<32} {'found by':<9} {'after':>7} {'s':>5}  how it showed")
    missed = []
    for verdict in attempts(chosen, MOST, campaign_only=True):
        good = verdict.by in ("campaign", "tests")
        if not good:
            missed.append(verdict.change.name)
        print(
            f"{verdict.change.name:<32} {verdict.by or 'NOBODY':<9} {verdict.transactions:>7,} {verdict.seconds:>5.1f}"
            f"  {_short(verdict.what)}",
            flush=True,
        )
    print(f"{len(chosen) - len(missed)} of {len(chosen)} hand-chosen bugs found")
    for name in missed:
        print(f"MISSED: {name}: {seeding.by_name(name).breaks}")
    return not missed


def score(count: int, seed: int) -> bool:
    """Try a sample of mechanical changes and print the survivors; False when too many survive."""
    drawn = mutator.sample(count, seed)
    found: dict[str, int] = {}
    survivors, equivalent = [], 0
    for verdict in attempts(drawn, SHORT, campaign_only=False):
        change = verdict.change
        assert isinstance(change, mutator.Mutant)
        source = (build.ROOT / change.path).read_text(encoding="utf-8")
        lines = change.difference(source)
        if verdict.by is not None:
            found[verdict.by] = found.get(verdict.by, 0) + 1
        elif (change.path.removeprefix("contracts/"), *lines) in EQUIVALENT:
            equivalent += 1
        else:
            survivors.append(change)
            print(f"SURVIVED {change.name}\n    - {lines[0]}\n    + {lines[1]}", flush=True)
    useless = found.pop("compiler", 0)
    counted = len(drawn) - useless - equivalent
    killed = counted - len(survivors)
    ratio = killed / counted if counted else 1.0
    by = ", ".join(f"{name} {number}" for name, number in sorted(found.items()))
    print(
        f"score {ratio:.1%}: {killed} of {counted} mutants found ({by}); {len(survivors)} survived, {equivalent} known "
        f"to change nothing, {useless} do not compile; sample of {len(drawn)}, seed {seed}"
    )
    return ratio >= LEAST_SCORE


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 110 else line[:107] + "..."


def main(arguments: list[str] | None = None) -> int:
    """Print both tables; 1 when a hand-chosen bug or too many sampled changes survive."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="one hand-chosen bug")
    parser.add_argument("--score", type=int, default=SAMPLE, metavar="N", help="mechanical changes to sample")
    parser.add_argument("--seed", type=int, default=SEED, help="of the sample")
    given = parser.parse_args(arguments)
    # What the mutants have in common is compiled once.
    build.load_many(build.names())
    started = time.monotonic()
    if not sound():
        return 1
    all_found = hand_chosen(given.only)
    enough = given.score == 0 or score(given.score, given.seed)
    print(f"{time.monotonic() - started:.0f} s")
    return 0 if all_found and enough else 1


if __name__ == "__main__":
    sys.exit(main())
