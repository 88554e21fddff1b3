"""Measure how long proofs out of a state of mainnet's size take, and how much memory, beside the library's plain way.

    python -m bench.ssz            measure, print, and fail above a bar
    python -m bench.ssz --write    keep the numbers in `ssz.json` as well

A state of Electra, mainnet preset, is made from a seed and put into a file. Then a process of its own reads the file,
computes the state root and makes the proofs: of 500 validators one by one, of all of them with one common branch, and
of their 500 balances. Every proof is verified after the clock has stopped. Memory is the most that the process ever had
and that a helper had, added.
The bar is on the time by the clock; what is compared is CPU time, which other work on the machine does not change.
The plain way decodes the state with the library and reads roots and siblings out of its tree; because that is slow it
gets smaller states, and what it would take for the large one is extrapolated along a line through two sizes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from floe.beacon.containers import MAINNET, beacon_state, gindices
from floe.beacon.ssz import VALIDATOR, BeaconStateView, hash_pairs, root_of, verify_balance, verify_validators

NUMBERS = Path(__file__).resolve().parent / "ssz.json"

FORK = "electra"
VALIDATORS = 1_000_000
PROOFS = 500
PLAIN_SIZES = (5_000, 25_000)
BAR_SECONDS = 30.0
BAR_GIB = 6.0
SEED = 1

GIB_IN_KIB = 2**20


@dataclass(frozen=True)
class Taken:
    """What one run took: CPU seconds for the root and for the proofs, seconds by the clock, GiB at most; the root."""

    validators: int
    root_seconds: float
    proof_seconds: float
    clock_seconds: float
    gib: float
    root: str


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its helpers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def most_gib() -> float:
    """Return the most memory that this process ever had, and that a helper of it ever had, added."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_maxrss for each in used) / GIB_IN_KIB


class Watch:
    """Measures from its beginning on."""

    def __init__(self) -> None:
        self._clock, self._cpu = time.perf_counter(), cpu_seconds()
        self._rooted = self._cpu

    def rooted(self) -> None:
        """Note that the root is there."""
        self._rooted = cpu_seconds()

    def stop(self, validators: int, root: bytes) -> Taken:
        """Note that the proofs are there."""
        clock, cpu = time.perf_counter(), cpu_seconds()
        return Taken(
            validators, self._rooted - self._cpu, cpu - self._rooted, clock - self._clock, most_gib(), root.hex()
        )


def make_state(validators: int, given: Mapping[str, bytes] | None = None) -> bytes:
    """Return a state of that many validators, with everything that grows with them random.

    `given` are the bytes of fields that shall be something else.
    """
    random, kinds = np.random.default_rng(SEED), beacon_state(FORK, MAINNET).fields()
    rows = np.frombuffer(random.bytes(validators * VALIDATOR.itemsize), VALIDATOR).copy()
    rows["slashed"] = random.integers(0, 100, validators) == 0
    rows["effective_balance"] = random.integers(32, 2049, validators) * 10**9
    parts = {name: kind.default(None).encode_bytes() for name, kind in kinds.items()}
    parts["validators"] = rows.tobytes()
    parts["balances"] = random.integers(0, 2049 * 10**9, validators, np.uint64).tobytes()
    parts["inactivity_scores"] = random.integers(0, 50, validators, np.uint64).tobytes()
    for name in ("previous_epoch_participation", "current_epoch_participation"):
        parts[name] = random.integers(0, 8, validators, np.uint8).tobytes()
    for name in ("block_roots", "state_roots", "randao_mixes", "slashings", "current_sync_committee"):
        parts[name] = random.bytes(len(parts[name]))
    parts["historical_summaries"] = random.bytes(64 * 1_000)
    parts["pending_deposits"] = random.bytes(192 * 1_000)
    parts |= given or {}

    offset = sum(kind.type_byte_length() if kind.is_fixed_byte_length() else 4 for kind in kinds.values())
    head, tail = [], []
    for name, kind in kinds.items():
        if kind.is_fixed_byte_length():
            head.append(parts[name])
        else:
            head.append(offset.to_bytes(4, "little"))
            tail.append(parts[name])
            offset += len(parts[name])
    return b"".join(head + tail)


def chosen(validators: int) -> list[int]:
    """Return the indices to prove, ascending."""
    return sorted(map(int, np.random.default_rng(SEED).choice(validators, PROOFS, replace=False)))


def run_ours(file: Path, validators: int) -> Taken:
    """Make the proofs by `floe.beacon.ssz`. Raises `ProofError` if one of them does not verify."""
    indices = chosen(validators)
    watch = Watch()
    state = BeaconStateView(file.read_bytes(), FORK, MAINNET)
    root = state.root
    watch.rooted()
    single = [state.prove_validators([index]) for index in indices]
    common = state.prove_validators(indices)
    balances = [state.prove_balance(index) for index in indices]
    taken = watch.stop(validators, root)

    validators_gindex, balances_gindex = gindices(FORK, MAINNET)
    for witnesses, branch in [*single, common]:
        verify_validators(witnesses, branch, validators_gindex, root)
    for index, (chunk, branch) in zip(indices, balances, strict=True):
        if verify_balance(index, chunk, branch, balances_gindex, root) != state.balances[index]:
            raise RuntimeError(f"the proof of balance {index} shows another balance")
    return taken


def run_plain(file: Path, validators: int) -> Taken:
    """Make the proofs by the library alone: decode, and read single branches out of its tree."""
    indices = chosen(validators)
    watch = Watch()
    state = beacon_state(FORK, MAINNET).decode_bytes(file.read_bytes())
    root = bytes(state.hash_tree_root())
    watch.rooted()
    first_validator, first_balance = gindices(FORK, MAINNET)
    wanted = [first_validator + index for index in indices] + [first_balance + index // 4 for index in indices]
    proofs = [_branch(state.get_backing(), gindex) for gindex in wanted]
    taken = watch.stop(validators, root)

    for gindex, (node, branch) in zip(wanted, proofs, strict=True):
        if root_of([gindex], [node], branch) != root:
            raise RuntimeError("a proof of the plain way does not verify")
    return taken


def _branch(node: Any, gindex: int) -> tuple[bytes, list[bytes]]:
    """Walk down the library's tree; return the node and its siblings, the lowest first."""
    siblings = []
    for bit in bin(gindex)[3:]:
        left, right = node.get_left(), node.get_right()
        node, sibling = (right, left) if bit == "1" else (left, right)
        siblings.append(bytes(sibling.merkle_root()))
    return bytes(node.merkle_root()), siblings[::-1]


def in_child(way: str, file: Path, validators: int) -> Taken:
    """Run one way in a process of its own."""
    command = [sys.executable, "-m", "bench.ssz", "--child", way, str(file), str(validators)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Taken(**json.loads(output))


def extrapolate(small: Taken, large: Taken, validators: int) -> Taken:
    """Continue the line through two runs."""

    def line(name: str) -> float:
        low, high = getattr(small, name), getattr(large, name)
        slope = (high - low) / (large.validators - small.validators)
        return float(high + slope * (validators - large.validators))

    # The proofs walk down a tree whose depth is fixed: they do not grow. The clock says nothing about a sum.
    return Taken(validators, line("root_seconds"), large.proof_seconds, 0, line("gib"), "")


def pairs_per_second() -> float:
    """Return how many pairs of nodes are hashed in a second of CPU time."""
    pairs = np.random.default_rng(SEED).bytes(64 * 200_000)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        hashed = hash_pairs(pairs)
        best = min(best, time.process_time() - start)
    if hashed[:32] != sha256(pairs[:64]).digest():
        raise RuntimeError("the hashes are wrong")
    return 200_000 / best


def measure() -> tuple[Taken, list[Taken]]:
    """Return our way with the large state, and the plain way with the small ones. Both must find the same roots."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.ssz"
        plain = []
        for validators in PLAIN_SIZES:
            file.write_bytes(make_state(validators))
            plain.append(in_child("plain", file, validators))
            if in_child("ours", file, validators).root != plain[-1].root:
                raise RuntimeError(f"the two ways find different roots of the state with {validators:,} validators")
        file.write_bytes(make_state(VALIDATORS))
        return in_child("ours", file, VALIDATORS), plain


def table(ours: Taken, plain: Sequence[Taken], extrapolated: Taken, pairs: float) -> Table:
    """Return the numbers, for people."""
    shown = Table(
        title=f"{PROOFS} validators and {PROOFS} balances proven out of a state of {FORK}",
        title_justify="left",
        caption=f"mainnet preset; CPU seconds, helpers included, GiB; {pairs / 1e6:.1f} million hashes a second",
        caption_justify="left",
    )
    for name in ("", "validators", "root", "proofs", "clock", "memory"):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    clock, memory = _verdict(ours.clock_seconds, BAR_SECONDS, 1), _verdict(ours.gib, BAR_GIB, 2)
    shown.add_row("floe.beacon.ssz", *_cells(ours), clock, memory)
    shown.add_row("bar", f"{VALIDATORS:,}", "", "", f"{BAR_SECONDS:.1f}", f"{BAR_GIB:.2f}")
    for taken in plain:
        shown.add_row("the library alone", *_cells(taken), f"{taken.clock_seconds:.1f}", f"{taken.gib:.2f}")
    shown.add_row("... on a line through both", *_cells(extrapolated), "", f"{extrapolated.gib:.2f}")
    return shown


def _cells(taken: Taken) -> tuple[str, str, str]:
    return f"{taken.validators:,}", f"{taken.root_seconds:.1f}", f"{taken.proof_seconds:.2f}"


def _verdict(value: float, bar: float, digits: int) -> str:
    return f"[{'green' if value < bar else 'red'}]{value:.{digits}f}[/]"


def main() -> int:
    """Measure, print, compare; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.ssz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the numbers in ssz.json")
    parser.add_argument("--child", nargs=3, metavar=("WAY", "FILE", "VALIDATORS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, file, validators = options.child
        run = {"ours": run_ours, "plain": run_plain}[way]
        print(json.dumps(asdict(run(Path(file), int(validators)))))
        return 0

    pairs = pairs_per_second()
    ours, plain = measure()
    extrapolated = extrapolate(plain[0], plain[1], VALIDATORS)
    Console().print(table(ours, plain, extrapolated, pairs))
    if options.write:
        numbers = {
            "proofs": PROOFS,
            "bar_seconds": BAR_SECONDS,
            "bar_gib": BAR_GIB,
            "pairs_per_second": round(pairs),
            "floe": _rounded(ours),
            "library": [_rounded(taken) for taken in plain],
            "library_extrapolated": _rounded(extrapolated),
        }
        NUMBERS.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    if ours.clock_seconds >= BAR_SECONDS or ours.gib >= BAR_GIB:
        print(
            f"{PROOFS} validators and balances took {ours.clock_seconds:.1f} s and {ours.gib:.2f} GiB, "
            f"the bar is {BAR_SECONDS:.0f} s and {BAR_GIB:.0f} GiB"
        )
        return 1
    return 0


def _rounded(taken: Taken) -> dict[str, float | str]:
    return {
        name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(taken).items() if value
    }


if __name__ == "__main__":
    sys.exit(main())
