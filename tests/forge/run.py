"""`make invariants`: the invariants once more, by an engine that shares no code with the fuzz campaign.

Forge draws actions and numbers; the handlers in this folder, in Solidity and written from the design alone, predict
what every action may do and compare all books after it. First a bug is seeded and must be found, so that a harness
that has gone blind is noticed; then the real contracts run, on one core from a fresh pool, on another from one that has
lived. At last they run for a moment as other settings of the compiler make them: a difference there would be its bug.

`python -m tests.forge.run --seconds 600 --seed 7` is a long campaign with other numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from floe import build
from tests.mutants import seeding

FOLDER = Path(__file__).resolve().parent
OUTPUT = build.ROOT / ".build" / "forge"
FORGE = build.ROOT / "node_modules" / ".bin" / "forge"
CONTRACTS = ("FloePool", "WithdrawalQueue", "RebasingToken", "WithdrawalVault", "ExecutionVault")

OTHER_LEVELS = ("codesize", "none")
"""Optimisations that are not deployed. The experimental code generator cannot compile the pool at all (0.4.3)."""

PROOF = "fulfil-pays-rounded-up"
"""The bug of `tests/mutants` that the harness must find before it is believed."""
PROOF_SECONDS = 30


@dataclass(frozen=True)
class Outcome:
    """What a campaign came to."""

    seconds: float
    calls: int
    actions: dict[str, tuple[int, int]]
    """Action to how often it was tried, and how often it succeeded."""
    failure: str | None
    """The invariant that broke, None when all held."""
    report: str
    """The steps that break it, as forge prints them."""

    @property
    def idle(self) -> list[str]:
        """Actions that never succeeded."""
        return sorted(name for name, (_, successes) in self.actions.items() if successes == 0)


def run(artifacts: Mapping[str, build.Artifact], seconds: int, seed: int, *, shrink: bool = True) -> Outcome:
    """Run both campaigns, `seconds` each and side by side, on the bytecode of `artifacts` (by contract name).

    Raises RuntimeError when forge itself fails.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=OUTPUT) as folder:
        code = Path(folder) / "code.json"
        code.write_text(json.dumps({name: "0x" + artifacts[name].initcode_hex for name in CONTRACTS}))
        environment = {
            **os.environ,
            "FLOE_ARTIFACTS": os.path.relpath(code, FOLDER),
            "FLOE_SEED": str(seed),
            "FOUNDRY_FUZZ_SEED": str(seed),
            "FOUNDRY_INVARIANT_TIMEOUT": str(seconds),
            # A failure belongs to this bytecode; another must not be asked to repeat it.
            "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": folder,
        }
        if not shrink:
            environment["FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT"] = "0"
        command = [str(FORGE), "test", "--root", str(FOLDER), "--json"]
        done = subprocess.run(command, env=environment, cwd=FOLDER, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"') and '"test_results"' in line]
    if not lines:
        raise RuntimeError(f"forge: {done.stderr.strip() or done.stdout.strip()}")
    return _outcome(json.loads(lines[-1]), time.monotonic() - started)


def _outcome(suites: dict[str, Any], seconds: float) -> Outcome:
    calls, failure, report = 0, None, []
    actions: dict[str, tuple[int, int]] = {}
    for suite, results in suites.items():
        for result in results["test_results"].values():
            if result["status"] != "Success":
                failure = result["reason"] or "no reason"
                report += [f"{suite}: {failure}", *_steps(result["counterexample"])]
            kind = result["kind"].get("Invariant", {})
            calls += kind.get("calls", 0)
            for name, counts in kind.get("metrics", {}).items():
                tried, succeeded = actions.get(action := name.rpartition(".")[2], (0, 0))
                bad = counts["reverts"] + counts["discards"]
                actions[action] = (tried + counts["calls"], succeeded + counts["calls"] - bad)
    return Outcome(seconds, calls, actions, failure, "\n".join(report))


def _steps(counterexample: dict[str, Any] | None) -> list[str]:
    _, steps = (counterexample or {}).get("Sequence", [0, []])
    return [f"    {step['func_name']}({step['raw_args']})" for step in steps]


def table(outcome: Outcome) -> str:
    """How often each action was tried and succeeded."""
    rows = [f"  {name:<18} {tried:>9,} {good:>9,}" for name, (tried, good) in sorted(outcome.actions.items())]
    return "\n".join([f"  {'action':<18} {'tried':>9} {'succeeded':>9}", *rows])


def main(arguments: list[str] | None = None) -> int:
    """Prove the harness, run the campaigns; 1 when the proof fails, an invariant breaks, an action never succeeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.forge.run", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=50, help="of the campaign on the contracts as they are deployed")
    parser.add_argument("--others", type=int, default=10, help="seconds for each other setting of the compiler")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)

    bug = seeding.by_name(PROOF)
    with seeding.seeded(bug) as root:
        proof = run(seeding.artifacts(bug, CONTRACTS, root), PROOF_SECONDS, given.seed, shrink=False)
    if proof.failure is None:
        print(f"the seeded bug {PROOF} was not found in {proof.calls:,} calls: the invariants see nothing")
        return 1
    print(f"the seeded bug {PROOF} was found after {proof.seconds:.0f} s: {proof.failure}")

    outcome = run(build.load_many(CONTRACTS), given.seconds, given.seed)
    print(table(outcome))
    if not _judge("as deployed", outcome, given.seed):
        return 1
    if outcome.idle:
        print(f"never succeeded: {', '.join(outcome.idle)}")
        return 1
    others = {f"compiled with -O {level}": build.Options(level) for level in OTHER_LEVELS}
    return (
        0
        if all(
            _judge(name, run(build.load_many(CONTRACTS, options=options), given.others, given.seed), given.seed)
            for name, options in others.items()
            if given.others
        )
        else 1
    )


def _judge(name: str, outcome: Outcome, seed: int) -> bool:
    rate = outcome.calls / outcome.seconds
    print(f"{name}: {outcome.calls:,} calls in {outcome.seconds:.0f} s, {rate:,.0f} a second, seed {seed}", flush=True)
    if outcome.failure is not None:
        print(f"BROKEN\n{outcome.report}")
        return False
    print(f"{name}: all invariants held")
    return True


if __name__ == "__main__":
    sys.exit(main())
