"""Measure the way from a beacon state of mainnet's size to a signed report, beside the way lido-oracle reads a state.

    python -m bench.report            measure, print, and fail above a bar
    python -m bench.report --write    keep the numbers in `report.json` as well

A state of Electra, mainnet preset, is made from a seed: a million validators that joined over the years, some slashed,
some gone, 30,000 of them ours, and a long queue of deposits. Then a process of its own does what a member's daemon does
for a frame once it has downloaded that: it computes the state root and compares it with the block header's, finds our
validators by their keys, adds up balances, deposits and penalties, builds the Merkle-sum tree and the file, and signs
the report (EIP-712). The execution node's answers are ready, and all withdrawals have been read before.
Another process reads the same state as JSON into objects (`bench.json_state`), which is lido-oracle's way: it believes
that the state is that of the block, and stops at the numbers. So a third one does the same by our means, without root
and signature, and that pair is what "times faster" compares. All must find the same numbers.
Bars and comparisons are of CPU time, helpers included, which other work on the machine changes little; on two quiet
cores the whole way takes about two thirds of it by the clock. Memory is the most that a process ever had, its helpers
added. Making the states is not measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak
from rich.console import Console
from rich.table import Table
from web3 import Web3
from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from bench import json_state
from bench.json_state import Found
from bench.ssz import FORK, cpu_seconds, make_state, most_gib
from floe.beacon.client import BeaconClient, Header
from floe.beacon.containers import FAR_FUTURE_EPOCH, MAINNET, BeaconBlockHeader, ExecutionPayloadHeader, PendingDeposit
from floe.beacon.ssz import VALIDATOR, BeaconStateView, key_of, row_of
from floe.oracle.observer import WEI_IN_GWEI, Observation, Observer
from floe.oracle.report import Oracle, report_of
from floe.oracle.signer import KeystoreSigner, recover

NUMBERS = Path(__file__).resolve().parent / "report.json"

VALIDATORS = 1_000_000
OURS = 30_000
SLASHED = 600
WAITING = 20_000
"""Deposits in the queue."""
EPOCH = 380_000
SLOT = EPOCH * MAINNET.slots_per_epoch
HEIGHT = 22_000_000
BAR_SECONDS = 10.0
BAR_GIB = 3.0
BAR_TIMES = 10.0
SEED = 1
ETHER = 10**9
"""Gwei."""

POOL, REGISTRY, QUEUE, VAULT, ORACLE = ("0x" + f"{number:040x}" for number in range(1, 6))
MEMBER = Account.from_key(keccak(b"a member of the benchmark"))


@dataclass(frozen=True)
class Taken:
    """What one way took: seconds by the clock and of CPU, and GiB at most."""

    seconds: float
    cpu_seconds: float
    gib: float
    parts: dict[str, float]
    """Seconds by the clock of its parts."""
    found: Found


class Watch:
    """Measures from its beginning on, helpers that have ended included."""

    def __init__(self) -> None:
        self._start, self._cpu = time.perf_counter(), cpu_seconds()
        self._last, self._parts = self._start, dict[str, float]()

    def note(self, part: str) -> None:
        """Note that a part is done."""
        now = time.perf_counter()
        self._parts[part], self._last = now - self._last, now

    def stop(self, found: Found) -> Taken:
        """Note that everything is done."""
        seconds, cpu = time.perf_counter() - self._start, cpu_seconds() - self._cpu
        return Taken(seconds, cpu, most_gib(), self._parts, found)


class Answers(BaseProvider):
    """An execution node that knows what an observer asks for."""

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Answer one request."""
        plain = {"eth_chainId": "0x1", "eth_getCode": "0x00", "eth_getBalance": hex(10**24)}
        if method != "eth_call":
            return {"jsonrpc": "2.0", "id": 1, "result": plain[method]}
        state = [0, 0, 0, 0, 0, 10**24 | 10**23 << 96, 0, 10**20]
        answers: Mapping[str, tuple[str, Any]] = {
            "queue()": ("address", QUEUE),
            "withdrawal_vault()": ("address", VAULT),
            "state()": ("uint256[8]", state),
            "tail()": ("uint256", 10**24),
            "last()": ("(uint256,uint256,uint256,uint256,uint256)", (0, 0, 10**23, 0, 0)),
        }
        wanted = bytes.fromhex(params[0]["data"][2:10])
        kind, value = next(answers[name] for name in answers if keccak(text=name)[:4] == wanted)
        return {"jsonrpc": "2.0", "id": 1, "result": Web3.to_hex(encode([kind], [value]))}


def make(validators: int, ours: int, slashed: int, waiting: int) -> tuple[bytes, list[bytes]]:
    """Return a state as a chain of some years has it, and the public keys of our validators."""
    random = np.random.default_rng(SEED)
    rows = np.zeros(validators, VALIDATOR)
    rows["pubkey"] = np.frombuffer(random.bytes(48 * validators), np.uint8).reshape(-1, 48)
    rows["withdrawal_credentials"] = np.frombuffer(random.bytes(32 * validators), np.uint8).reshape(-1, 32)
    rows["withdrawal_credentials"][:, :12] = [1, *bytes(11)]
    rows["activation_epoch"] = np.sort(random.integers(0, EPOCH, validators))
    rows["activation_eligibility_epoch"] = np.maximum(rows["activation_epoch"], 300) - random.integers(
        5, 300, validators
    )
    large = random.random(validators) < 0.03
    rows["effective_balance"] = np.where(large, random.integers(33, 2_049, validators), 32) * ETHER
    balances = rows["effective_balance"] + random.integers(0, ETHER, validators).astype(np.uint64)
    rows["exit_epoch"] = rows["withdrawable_epoch"] = FAR_FUTURE_EPOCH

    gone = random.random(validators) < 0.1
    rows["exit_epoch"][gone] = random.integers(rows["activation_epoch"][gone].astype(np.int64), EPOCH + 1)
    rows["withdrawable_epoch"][gone] = rows["exit_epoch"][gone] + 256
    paid = gone & (rows["withdrawable_epoch"] <= EPOCH)
    rows["effective_balance"][paid] = balances[paid] = 0

    mine = np.sort(random.choice(validators, ours, replace=False))
    ages = random.integers(0, MAINNET.epochs_per_slashings_vector, slashed)
    bad = np.concatenate([mine[: slashed // 3], random.choice(validators, slashed - slashed // 3, replace=False)])
    rows["slashed"][bad] = True
    rows["exit_epoch"][bad] = EPOCH - ages + 5
    rows["withdrawable_epoch"][bad] = EPOCH - ages + MAINNET.epochs_per_slashings_vector
    slashings = np.zeros(MAINNET.epochs_per_slashings_vector, "<u8")
    np.add.at(slashings, (EPOCH - ages) % len(slashings), rows["effective_balance"][bad])

    queue = np.zeros(waiting, row_of(PendingDeposit))
    queue["pubkey"] = rows["pubkey"][random.choice(validators, waiting)]
    queue["pubkey"][: waiting // 10] = rows["pubkey"][random.choice(mine, waiting // 10)]
    queue["signature"] = np.frombuffer(random.bytes(96 * waiting), np.uint8).reshape(-1, 96)
    queue["amount"], queue["slot"] = ETHER, SLOT - 1
    fields = {
        "slot": SLOT.to_bytes(8, "little"),
        "validators": rows.tobytes(),
        "balances": balances.astype("<u8").tobytes(),
        "inactivity_scores": bytes(8 * validators),
        "slashings": slashings.tobytes(),
        "pending_deposits": queue.tobytes(),
        "latest_execution_payload_header": ExecutionPayloadHeader(block_number=HEIGHT).encode_bytes(),
    }
    state = make_state(validators, fields)
    return state, [row.tobytes() for row in rows["pubkey"][mine]]


def checkpoint(pubkeys: list[bytes]) -> str:
    """Return what the daemon's store holds of all that was read before."""
    counted = {key_of(pubkey).hex(): 1 for pubkey in pubkeys}
    withdrawals = {"read": SLOT, "withdrawn": 10**6 * ETHER, "next_withdrawal": 0}
    return json.dumps({**withdrawals, "logs_read": HEIGHT, "topped_up": 10**6 * ETHER, "counted": counted})


def run_floe(folder: Path) -> Taken:
    """Do what a member's daemon does. Raises RuntimeError if the state is not that of the header."""
    header, observer = _begin(folder)
    oracle, signer = Oracle(1, ORACLE), KeystoreSigner(MEMBER)
    watch = Watch()
    state = BeaconStateView((folder / "state.ssz").read_bytes(), FORK, MAINNET)
    if state.root != bytes(header.message.state_root):
        raise RuntimeError("the state is not that of the header")
    watch.note("root")
    observer.resume(json.loads((folder / "checkpoint.json").read_text()))
    seen = observer.observe(SLOT, header, state)
    watch.note("read")
    report = report_of(seen)
    signature = signer.sign_report(report, oracle)
    watch.note("sign")
    taken = watch.stop(_found(seen))
    if recover(report, oracle, signature) != MEMBER.address:
        raise RuntimeError("the signature is not the member's")
    return taken


def run_read(folder: Path) -> Taken:
    """Only read the state, as it is."""
    header, observer = _begin(folder)
    watch = Watch()
    state = BeaconStateView((folder / "state.ssz").read_bytes(), FORK, MAINNET)
    observer.resume(json.loads((folder / "checkpoint.json").read_text()))
    return watch.stop(_found(observer.observe(SLOT, header, state)))


def _begin(folder: Path) -> tuple[Header, Observer]:
    """Return what is there before the state comes."""
    message = BeaconBlockHeader.decode_bytes((folder / "header.ssz").read_bytes())
    unasked = cast(BeaconClient, None)
    observer = Observer(unasked, Web3(Answers()), POOL, REGISTRY, ORACLE)
    return Header(bytes(message.hash_tree_root()), message), observer


def _found(seen: Observation) -> Found:
    return Found(
        len(seen.indices),
        int(seen.balances_gwei.sum(dtype=object)),
        seen.pending_deposits_gwei,
        seen.pending_loss // WEI_IN_GWEI,
    )


def run_json(folder: Path) -> Taken:
    """Read the state as JSON into objects."""
    pubkeys = json.loads((folder / "pubkeys.json").read_text())
    watch = Watch()
    return watch.stop(json_state.read((folder / "state.json").read_bytes(), pubkeys, MAINNET))


WAYS = {"floe": run_floe, "read": run_read, "json": run_json}
LABELS = {"floe": "SSZ to signed report", "read": "SSZ to numbers", "json": "JSON to objects to numbers"}


def in_child(way: str, folder: Path) -> Taken:
    """Run one way in a process of its own."""
    command = [sys.executable, "-m", "bench.report", "--child", way, str(folder)]
    fields = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return Taken(**fields | {"found": Found(*fields["found"])})


def prepare(folder: Path, validators: int, ours: int, slashed: int, waiting: int) -> None:
    """Put into a folder what the processes read."""
    ssz, pubkeys = make(validators, ours, slashed, waiting)
    state = BeaconStateView(ssz, FORK, MAINNET)
    (folder / "state.ssz").write_bytes(ssz)
    (folder / "header.ssz").write_bytes(BeaconBlockHeader(slot=SLOT, state_root=state.root).encode_bytes())
    (folder / "checkpoint.json").write_text(checkpoint(pubkeys))
    (folder / "pubkeys.json").write_text(json.dumps(["0x" + pubkey.hex() for pubkey in pubkeys]))
    (folder / "state.json").write_bytes(json_state.write(state))


def measure(
    validators: int = VALIDATORS, ours: int = OURS, slashed: int = SLASHED, waiting: int = WAITING
) -> dict[str, Taken]:
    """Return what each way took. All must find the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own, too: what it needed must not count as memory of the processes that it starts.
        sizes = [str(number) for number in (validators, ours, slashed, waiting)]
        subprocess.run([sys.executable, "-m", "bench.report", "--prepare", name, *sizes], check=True)
        taken = {way: in_child(way, folder) for way in WAYS}
    if len(found := {each.found for each in taken.values()}) > 1:
        raise RuntimeError(f"the ways find different numbers: {found}")
    return taken


def table(taken: Mapping[str, Taken]) -> Table:
    """Return the numbers, for people."""
    parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in taken["floe"].parts.items())
    shown = Table(
        title=f"A report about {OURS:,} validators among {VALIDATORS:,}",
        title_justify="left",
        caption=f"seconds by the clock: {parts}",
        caption_justify="left",
    )
    for name in ("", "CPU seconds", "by the clock", "GiB", "times"):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    for way, label in LABELS.items():
        each, times = taken[way], taken["json"].cpu_seconds / taken[way].cpu_seconds
        cpu, gib, faster = f"{each.cpu_seconds:.2f}", f"{each.gib:.2f}", f"{times:.1f}"
        if way == "floe":
            cpu = _verdict(cpu, each.cpu_seconds < BAR_SECONDS)
            gib = _verdict(gib, each.gib < BAR_GIB)
        if way == "read":
            faster = _verdict(faster, times >= BAR_TIMES)
        shown.add_row(label, cpu, f"{each.seconds:.2f}", gib, faster if way != "json" else "")
    shown.add_row("bars", f"{BAR_SECONDS:.0f}", "", f"{BAR_GIB:.0f}", f"{BAR_TIMES:.0f}")
    return shown


def _verdict(value: str, holds: bool) -> str:
    return f"[{'green' if holds else 'red'}]{value}[/]"


def main() -> int:
    """Measure, print, compare; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the numbers in report.json")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--prepare", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        folder, *sizes = options.prepare
        prepare(Path(folder), *map(int, sizes))
        return 0
    if options.child:
        way, folder = options.child
        print(json.dumps(asdict(WAYS[way](Path(folder)))))
        return 0

    taken = measure()
    Console().print(table(taken))
    if options.write:
        numbers = {"validators": VALIDATORS, "ours": OURS} | {way: _rounded(each) for way, each in taken.items()}
        NUMBERS.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    problems = []
    if (seconds := taken["floe"].cpu_seconds) >= BAR_SECONDS:
        problems.append(f"a signed report took {seconds:.1f} seconds, the bar is {BAR_SECONDS:.0f}")
    if (gib := taken["floe"].gib) >= BAR_GIB:
        problems.append(f"a signed report took {gib:.1f} GiB, the bar is {BAR_GIB:.0f}")
    if (times := taken["json"].cpu_seconds / taken["read"].cpu_seconds) < BAR_TIMES:
        problems.append(f"a state is read {times:.1f} times faster than as JSON, the bar is {BAR_TIMES:.0f}")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _rounded(taken: Taken) -> dict[str, Any]:
    return {
        "seconds": round(taken.seconds, 2),
        "cpu_seconds": round(taken.cpu_seconds, 2),
        "gib": round(taken.gib, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
