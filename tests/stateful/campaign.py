"""The fuzz campaign: millions of random transactions, on the contracts and on the model, compared after every one.

    python -m tests.stateful.campaign [--transactions N] [--seed S] [--jobs J] [--seconds T]

A *sequence* starts in one of the scenes, performs some hundred random actions and is finished by the invariants. One
that fails is shrunk and stored under tests/stateful/regressions/, which the tests replay ever after. The same seed
makes the same campaign.

Mutants of the contracts are driven with `run(artifacts, transactions, seed)`.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from floe import build
from tests.stateful.actions import CALLS, Action, perform
from tests.stateful.choices import LOTS, Choices
from tests.stateful.invariants import Guard, check_admissible, finish
from tests.stateful.market import MARKET_CONTRACTS, MarketWorld
from tests.stateful.market_choices import MARKET_LOTS, MarketChoices, MarketGuard
from tests.stateful.market_choices import finish as finish_market
from tests.stateful.scenes import MARKET_SCENES, SCENES, VALIDATOR_SCENES, worlds
from tests.stateful.validator_choices import VALIDATOR_LOTS, ValidatorChoices, ValidatorGuard
from tests.stateful.validator_choices import finish as finish_validators
from tests.stateful.validators import ValidatorWorld, genesis_accounts
from tests.stateful.views import ask
from tests.stateful.world import CONTRACTS, MOCKS, NAMES, REGISTRY_CONTRACT, SPLITTER_CONTRACT, Compiled, World

REGRESSIONS = Path(__file__).parent / "regressions"
TRANSACTIONS = 5_000_000
SHORTEST, LONGEST = 100, 400
"""Choices in a sequence."""
VIEWS_EVERY = 40
"""Choices between two looks at a view."""
CHUNK = 50
"""Sequences that a worker runs before it says how they went."""
SHRINKING_SECONDS = 60

VALIDATOR_SHARE = 0.12
"""Part of the sequences that are about validators: proofs cost more than anything else."""
MARKET_SHARE = 0.1
"""Part of the sequences that are about the liquidity room: some 15 % of the transactions."""
WHOLE = (*CONTRACTS, *MOCKS, REGISTRY_CONTRACT, SPLITTER_CONTRACT, *MARKET_CONTRACTS)
"""Every contract that the campaign drives."""

UNREACHABLE = {
    "instant: no convergence": "a guard of the search for the gross amount that cannot trip",
    "deposit contract: no code": "Ethereum has its deposit contract",
    "operator: too many": "there may be 65,535 of them",
    "pair: no convergence": "a guard of the curve's searches, which end in time everywhere that they are asked",
    "erc20: transfer from the zero address": "nobody calls as nobody",
    "erc20: burn from the zero address": "nobody calls as nobody, and nobody has an allowance of his",
    "erc20: mint to the zero address": "receivers are looked at before",
}
"""Reasons that no transaction of the campaign can meet, and why."""


@dataclass
class Tally:
    """What happened."""

    outcomes: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """How often an action ended how: (name, reason, or None for success)."""
    views: Counter[str] = field(default_factory=Counter)
    sequences: int = 0
    transactions: int = 0
    seconds: float = 0.0
    """Spent in sequences, summed over the workers."""
    validator_transactions: int = 0
    validator_seconds: float = 0.0
    """Both of worlds with validators."""
    market_transactions: int = 0
    market_seconds: float = 0.0
    """Both of worlds with a market."""

    def add(self, other: Tally) -> None:
        """Count in what another worker did."""
        self.outcomes += other.outcomes
        self.views += other.views
        self.sequences += other.sequences
        self.transactions += other.transactions
        self.seconds += other.seconds
        self.validator_transactions += other.validator_transactions
        self.validator_seconds += other.validator_seconds
        self.market_transactions += other.market_transactions
        self.market_seconds += other.market_seconds

    def gaps(self) -> list[str]:
        """Name what a campaign should have met and did not."""
        done = {name for name, reason in self.outcomes if reason is None}
        met = {reason for _, reason in self.outcomes}
        gaps = [f"{name} never succeeded" for name in CALLS if name not in done and name not in ALWAYS_REFUSED]
        gaps += [f"nothing ever reverted with {r!r}" for r in sorted(reasons()) if r not in met | UNREACHABLE.keys()]
        return gaps + [f"{name} succeeded" for name in ALWAYS_REFUSED if name in done]

    def table(self) -> str:
        """For every action, how often it succeeded and how often it reverted with which reason."""
        by_name: dict[str, dict[str | None, int]] = {}
        for (name, reason), count in self.outcomes.items():
            by_name.setdefault(name, {})[reason] = count
        lines = [f"{'action':22} {'succeeded':>10} {'reverted':>10}"]
        for name in sorted(by_name):
            reasons = by_name[name]
            reverted = sum(count for reason, count in reasons.items() if reason is not None)
            lines.append(f"{name:22} {reasons.get(None, 0):>10,} {reverted:>10,}")
            ordered = sorted(((count, reason) for reason, count in reasons.items() if reason is not None), reverse=True)
            lines += [f"{'':33} {count:>10,}  {reason or '(no reason)'}" for count, reason in ordered]
        return "\n".join(lines)


ALWAYS_REFUSED = frozenset(("lock_for_exit", "receive_from_vault", "settle", "sweep", "pay_registry", "vault_request"))
"""Calls between the contracts: nobody else may make them."""


def reasons() -> set[str]:
    """Every reason that a call of one of the contracts can end with."""
    from tests import sources  # reads the compiler's trees, which takes a second

    return {
        reason
        for contract in WHOLE
        if contract not in (*MOCKS, "WETH9", "MockToken")
        for function in sources.functions(contract).keys() - {"__init__"}
        for reason in sources.reasons(contract, function)
    }


@dataclass(frozen=True)
class Difference:
    """A sequence that fails: started in `scene`, `actions` (and the end of a sequence after them) lead to `what`."""

    scene: str
    actions: list[Action]
    what: str
    seed: str

    def to_json(self) -> str:
        """Text for a regression file, with names for addresses."""
        names = {account: f"@{name}" for account, name in NAMES.items()}
        actions = ",\n".join(f"    {json.dumps(action)}" for action in _replaced(self.actions, names))
        head = {"scene": self.scene, "what": self.what, "seed": self.seed}
        fields = "\n".join(f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items())
        return f'{{\n{fields}\n  "actions": [\n{actions}\n  ]\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Difference:
        """Read what `to_json` wrote."""
        stored = json.loads(text)
        accounts = {f"@{name}": account for account, name in NAMES.items()}
        return cls(stored["scene"], _replaced(stored["actions"], accounts), stored["what"], stored["seed"])


def _replaced(value: Any, by: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_replaced(part, by) for part in value]
    return by.get(value, value) if isinstance(value, str) else value


# --- sequences ---


def _cast(world: World, seed: str) -> tuple[Guard, Choices, list[Any], Any]:
    """Who judges, who chooses, among what, and how a sequence ends."""
    if isinstance(world, ValidatorWorld):
        return ValidatorGuard(world), ValidatorChoices(world, seed), VALIDATOR_LOTS, finish_validators
    if isinstance(world, MarketWorld):
        return MarketGuard(world), MarketChoices(world, seed), MARKET_LOTS, finish_market
    return Guard(world), Choices(world, seed), LOTS, finish


def _scenes(made: Mapping[str, World], random: Random) -> Mapping[str, Any]:
    """Choose the room that a sequence is about, of those that there are."""
    lot = random.random() if made.keys() >= VALIDATOR_SCENES.keys() or made.keys() >= MARKET_SCENES.keys() else 0.5
    if made.keys() >= VALIDATOR_SCENES.keys() and lot < VALIDATOR_SHARE:
        return VALIDATOR_SCENES
    if made.keys() >= MARKET_SCENES.keys() and lot >= 1 - MARKET_SHARE:
        return MARKET_SCENES
    return SCENES


def run_sequence(made: Mapping[str, World], seed: str, tally: Tally) -> Difference | None:
    """Run one sequence and count it; returns how it failed, if it did."""
    random = Random(seed)
    scene = random.choice(list(_scenes(made, random)))
    world = made[scene]
    world.reset()
    guard, choices, lots, end = _cast(world, seed)
    actions: list[Action] = []
    outcomes, before, begun = tally.outcomes, world.transactions, time.perf_counter()
    try:
        for turn in range(random.randrange(SHORTEST, LONGEST)):
            chosen = choices.pick(lots)(choices)
            for action in chosen if isinstance(chosen[0], list) else (chosen,):
                actions.append(action)
                reason = perform(world, action)
                guard.step(action)
                outcomes[action[0], reason] += 1
            if turn % VIEWS_EVERY == 0:
                tally.views[ask(choices)] += 1
                check_admissible(world, guard, random)
        end(world, guard, seed)
    except Exception as error:
        return Difference(scene, actions, f"{type(error).__name__}: {error}", seed)
    tally.sequences += 1
    tally.transactions += world.transactions - before
    done, seconds = world.transactions - before, time.perf_counter() - begun
    if isinstance(world, ValidatorWorld):
        tally.validator_transactions += done
        tally.validator_seconds += seconds
    elif isinstance(world, MarketWorld):
        tally.market_transactions += done
        tally.market_seconds += seconds
    return None


def replay(world: World, actions: Iterable[Action], seed: str) -> str | None:
    """Perform given actions in a world; returns what goes wrong, None when nothing does."""
    world.reset()
    try:
        guard, _, _, end = _cast(world, seed)
        for action in actions:
            perform(world, action)
            guard.step(action)
        end(world, guard, seed)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def shrink(world: World, found: Difference) -> Difference:
    """Leave out actions while the rest still fails: halves first, then smaller and smaller parts."""
    actions, what = list(found.actions), found.what
    give_up = time.monotonic() + SHRINKING_SECONDS
    size = len(actions)
    while size:
        position, shorter = 0, False
        while position < len(actions) and time.monotonic() < give_up:
            rest = actions[:position] + actions[position + size :]
            if (still := replay(world, rest, found.seed)) is not None:
                actions, what, shorter = rest, still, True
            else:
                position += size
        size = size // 2 if size > 1 else int(shorter)
        if time.monotonic() >= give_up:
            break
    return Difference(found.scene, actions, what, found.seed)


def run(artifacts: Mapping[str, Compiled], transactions: int, seed: str = "0") -> Difference | None:
    """Drive given bytecode against the model, in this process, until it differs.

    `artifacts` are compiled contracts by name; what is missing is taken from the build. Returns the first difference,
    not shrunk, or None after at least `transactions` transactions.
    """
    wanted = [name for name in (*CONTRACTS, *MOCKS) if name not in artifacts]
    try:
        made = worlds({**build.load_many(wanted), **artifacts})
    except Exception as error:
        return Difference("deployment", [], f"{type(error).__name__}: {error}", seed)
    tally = Tally()
    for number in itertools.count():
        if (found := run_sequence(made, f"{seed}/{number}", tally)) is not None:
            return found
        if tally.transactions >= transactions:
            break
    return None


# --- workers ---


def _work(first: int, step: int, seed: str, results: Any, stop: Any) -> None:
    """Run every `step`-th sequence from `first` on until told to stop, and say now and then how it went."""
    try:
        made = worlds(build.load_many(WHOLE))
    except Exception as error:
        results.put((Tally(), Difference("deployment", [], f"{type(error).__name__}: {error}", seed)))
        return
    # What is there stays, and the sequences leave no cycles behind: looking for some would take time.
    gc.freeze()
    gc.set_threshold(100_000)
    numbers = itertools.count(first, step)
    while not stop.is_set():
        tally, found, started = Tally(), None, time.perf_counter()
        for number in itertools.islice(numbers, CHUNK):
            if (found := run_sequence(made, f"{seed}/{number}", tally)) is not None:
                break
        tally.seconds = time.perf_counter() - started
        results.put((tally, found and shrink(made[found.scene], found)))
        if found is not None:
            return


def campaign(transactions: int, seed: str, jobs: int, seconds: float | None = None) -> tuple[Tally, Difference | None]:
    """Run sequences in `jobs` processes until there were enough transactions, time is up, or one failed."""
    build.load_many(WHOLE)
    genesis_accounts()
    context = multiprocessing.get_context("fork")
    results, stop = context.Queue(), context.Event()
    workers = [context.Process(target=_work, args=(job, jobs, seed, results, stop)) for job in range(jobs)]
    for worker in workers:
        worker.start()
    total, found, begun, shown = Tally(), None, time.monotonic(), time.monotonic()
    try:
        while found is None and total.transactions < transactions:
            if seconds is not None and time.monotonic() - begun > seconds:
                break
            tally, found = results.get()
            total.add(tally)
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                print(f"  {total.transactions:>12,} transactions", flush=True)
    finally:
        stop.set()
        for worker in workers:
            worker.terminate()
            worker.join()
    return total, found


# --- command line ---


def main(argv: list[str] | None = None) -> int:
    """Run a campaign and print what happened; 0 when nothing differs and nothing was left out."""
    parser = argparse.ArgumentParser(description="Drive contracts and model side by side.")
    parser.add_argument("--transactions", type=int, default=TRANSACTIONS)
    parser.add_argument("--seed", default="floe")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, help="stop after this time")
    options = parser.parse_args(argv)

    started = time.monotonic()
    tally, found = campaign(options.transactions, options.seed, options.jobs, options.seconds)
    print(tally.table())
    print(f"views asked: {sum(tally.views.values()):,} of {len(tally.views)} kinds")
    rate = tally.transactions / tally.seconds if tally.seconds else 0
    print(
        f"{tally.transactions:,} transactions in {tally.sequences:,} sequences, {time.monotonic() - started:.0f} s, "
        f"{rate:,.0f} transactions a second and process, seed {options.seed!r}"
    )
    rooms = (
        (tally.validator_transactions, tally.validator_seconds, "validators"),
        (tally.market_transactions, tally.market_seconds, "a market"),
    )
    for transactions, seconds, room in rooms:
        if seconds:
            print(f"of these, {transactions:,} in worlds with {room}: {transactions / seconds:,.0f} a second there")
    there = sum(transactions for transactions, _, _ in rooms), sum(seconds for _, seconds, _ in rooms)
    if tally.seconds > there[1]:
        print(f"elsewhere {(tally.transactions - there[0]) / (tally.seconds - there[1]):,.0f} a second")
    if found is not None:
        file = store(found)
        print(f"\nDIFFERENCE in scene {found.scene}: {found.what}\n{len(found.actions)} actions, stored as {file}")
        return 1
    gaps = tally.gaps()
    for gap in gaps:
        print(f"GAP: {gap}")
    return 1 if gaps else 0


def store(found: Difference) -> Path:
    """Write a difference to its regression file."""
    REGRESSIONS.mkdir(exist_ok=True)
    text = found.to_json()
    file = REGRESSIONS / f"{found.scene}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    file.write_text(text, encoding="utf-8")
    return file.relative_to(build.ROOT)


if __name__ == "__main__":
    sys.exit(main())
