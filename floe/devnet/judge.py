"""An independent judge of the devnet: Lodestar's state transition re-executes its blocks and must agree on every root.

    python -m floe.devnet.judge                  # make judge: on anvil, then on EthereumJS
    python -m floe.devnet.judge --execution anvil

Each run drives a devnet through everything that can happen to a validator (deposits good and bad, both kinds of
credentials, top-up, EIP-7002 and EIP-7251 requests, voluntary exit, slashing, missed slots, validators offline, a
stop of finality), dumps configuration, genesis state and blocks into out/judge/ over the Beacon API, and lets judge.mjs
verify signatures, proposers, rules and state roots. A real node's URL could stand in for the devnet's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from floe.beacon.deposit import sign_deposit
from floe.build import ROOT
from floe.devnet.devnet import Devnet, DevnetError
from floe.devnet.rpc import Connection
from floe.devnet.system_contracts import CONSOLIDATION_REQUESTS, DEPOSIT_CONTRACT, WITHDRAWAL_REQUESTS

OUT = ROOT / "out" / "judge"
GWEI = 10**9
ETHER_GWEI = 10**9

SLOTS_PER_EPOCH = 8
"""Of the minimal preset."""

PAST_PENALTY = 36
"""Epoch by which a validator slashed in the first two has paid for what was slashed around it: half of the minimal
preset's EPOCHS_PER_SLASHINGS_VECTOR (64) later."""

DEMANDED = {
    "depositsRequests": 6,
    "withdrawalsRequests": 2,
    "consolidationsRequests": 2,
    "proposerSlashings": 1,
    "voluntaryExits": 1,
    "withdrawals": 20,
    "transactions": 10,
}
"""What the blocks of a life cycle carry at least: a judge who saw nothing has not judged."""


class JudgeError(Exception):
    """The judge could not judge: nothing to read, node missing, an unknown format. The text says which."""


@dataclass(frozen=True)
class Difference:
    """The first thing that the judge and the dump do not agree on."""

    block: str
    """Name of the block's file, which is its slot."""
    what: str
    fields: list[str]
    """Of the state, those that differ; empty when there is no dumped state of that slot, or no state to compare."""

    def __str__(self) -> str:
        fields = f"; it differs in {', '.join(self.fields)}" if self.fields else ""
        return f"slot {int(Path(self.block).stem)}: {self.what}{fields}"


@dataclass(frozen=True)
class Verdict:
    """What the judge found. `difference` is None when every signature, proposer and state root is right."""

    slot: int
    """Of the last state that the judge came to."""
    root: str
    """Of that state, 0x hex."""
    blocks: int
    """That were found right."""
    carried: dict[str, int]
    """How many operations of each kind were in them."""
    difference: Difference | None


def dump(url: str, folder: Path) -> tuple[int, str]:
    """Write configuration, genesis state and all blocks up to the head; return the head's slot and state root.

    `url` is that of a Beacon API, `folder` is emptied. Raises JudgeError.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "blocks").mkdir(parents=True)
    (folder / "states").mkdir()
    connection = Connection(url)
    try:
        spec = _get(connection, "/eth/v1/config/spec", "application/json")
        (folder / "config.json").write_bytes(json.dumps(json.loads(spec)["data"], indent=1).encode())
        (folder / "genesis.ssz").write_bytes(_get(connection, "/eth/v2/debug/beacon/states/genesis"))
        header = json.loads(_get(connection, "/eth/v1/beacon/headers/head", "application/json"))["data"]["header"]
        head = int(header["message"]["slot"])
        for slot in range(1, head + 1):
            if block := _get(connection, f"/eth/v2/beacon/blocks/{slot}", missing=True):
                (folder / "blocks" / f"{slot:08}.ssz").write_bytes(block)
    finally:
        connection.close()
    return head, str(header["message"]["state_root"])


def dump_state(url: str, folder: Path, slot: int) -> None:
    """Add the state after a slot's block to a dump, so that the judge can name the fields that differ."""
    connection = Connection(url)
    try:
        state = _get(connection, f"/eth/v2/debug/beacon/states/{slot}")
    finally:
        connection.close()
    (folder / "states" / f"{slot}.ssz").write_bytes(state)


def judge(folder: Path) -> Verdict:
    """Re-execute a dump. Raises JudgeError."""
    program = Path(__file__).with_suffix(".mjs")
    try:
        done = subprocess.run(["node", program, folder], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise JudgeError("the judge needs node") from None
    if done.returncode not in (0, 1):
        raise JudgeError(f"the judge cannot read {folder}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    difference = found.pop("difference")
    return Verdict(**found, difference=difference and Difference(**difference))


def life_cycle(devnet: Devnet) -> None:
    """Let everything happen that can happen to a validator. Raises DevnetError when something of it does not."""
    owner = bytes.fromhex(devnet.account(0).address[2:])
    plain, compounding = b"\x01" + bytes(11) + owner, b"\x02" + bytes(11) + owner

    leaves, source, target, switches = (
        _deposit(devnet, key, credentials, ether)
        for key, credentials, ether in (
            (100, compounding, 32),
            (101, compounding, 32),
            (102, compounding, 40),
            (103, plain, 32),
        )
    )
    _deposit(devnet, 102, compounding, 1)
    bad = _bad_deposit(devnet, compounding)
    devnet.slash([5])
    devnet.miss(2)
    devnet.set_offline([6])
    devnet.advance_until_status(switches, "active_ongoing")

    devnet.exit(7)
    devnet.set_finality(False)
    devnet.advance(epochs=6)
    devnet.set_finality(True)
    devnet.set_offline([])

    _request(devnet, WITHDRAWAL_REQUESTS, leaves + bytes(8))
    _request(devnet, WITHDRAWAL_REQUESTS, target + ETHER_GWEI.to_bytes(8, "big"))
    _request(devnet, CONSOLIDATION_REQUESTS, source + target)
    _request(devnet, CONSOLIDATION_REQUESTS, switches + switches)
    for gone in (leaves, source):
        devnet.advance_until_status(gone, "withdrawal_done")
    devnet.advance(epochs=max(0, PAST_PENALTY - devnet.slot // SLOTS_PER_EPOCH))

    _demand(devnet.validator(bad) is None, "the deposit with a wrong signature made a validator")
    merged, switched = (_known(devnet, validator) for validator in (target, switches))
    _demand(int(merged["balance"]) > 70 * ETHER_GWEI, f"the target of the consolidation has {merged['balance']} gwei")
    credentials = switched["validator"]["withdrawal_credentials"]
    _demand(credentials == "0x" + compounding.hex(), f"the credentials were not switched: {credentials}")
    _demand(_known(devnet, 5)["validator"]["slashed"], "validator 5 is not slashed")
    _demand(_known(devnet, 7)["status"].startswith(("exited", "withdrawal")), "validator 7 has not left")


def run(execution: str, fork: str) -> Verdict:
    """Drive a devnet through a life cycle, dump it and judge it. Raises JudgeError, DevnetError."""
    began = time.monotonic()
    folder = OUT / f"{execution}-{fork}"
    with Devnet(execution=execution, fork=fork) as devnet:
        life_cycle(devnet)
        driven = time.monotonic()
        slot, root = dump(devnet.beacon_url, folder)
        dumped = time.monotonic()
        verdict = judge(folder)
        if verdict.difference is not None:
            dump_state(devnet.beacon_url, folder, int(Path(verdict.difference.block).stem))
            verdict = judge(folder)
    judged = time.monotonic()
    if verdict.difference is None:
        _demand((verdict.slot, verdict.root) == (slot, root), f"the head is {slot} {root}, judged was {verdict}")
        for name, least in DEMANDED.items():
            count = verdict.carried[name]
            _demand(count >= least, f"the blocks carried {count} {name}, a life cycle has at least {least}")
    carried = ", ".join(f"{count} {name}" for name, count in verdict.carried.items() if count)
    print(
        f"{execution}, {fork}: {slot} slots in {driven - began:.0f} s, dumped in {dumped - driven:.1f} s, in {folder}"
    )
    print(f"  {verdict.blocks} blocks judged in {judged - dumped:.1f} s: {carried}")
    print(f"  {verdict.difference or 'every signature, proposer and state root is right'}", flush=True)
    return verdict


def main(arguments: list[str] | None = None) -> int:
    """Judge a life cycle on each execution client; return 1 if anything differs or could not be judged."""
    parser = argparse.ArgumentParser(prog="python -m floe.devnet.judge", description=__doc__.split("\n\n")[0])
    parser.add_argument("--execution", choices=("anvil", "ethereumjs"), action="append", help="default: both")
    parser.add_argument("--fork", choices=("fulu", "electra"), default="fulu", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        verdicts = [run(execution, options.fork) for execution in options.execution or ("anvil", "ethereumjs")]
    except (JudgeError, DevnetError) as error:
        print(f"judge: {error}", file=sys.stderr)
        return 1
    return int(any(verdict.difference is not None for verdict in verdicts))


def _get(connection: Connection, path: str, kind: str = "application/octet-stream", missing: bool = False) -> bytes:
    """GET; b"" for what is not there, where that may be. Raises JudgeError."""
    try:
        status, body = connection.request("GET", path, None, {"Accept": kind})
    except OSError as error:
        raise JudgeError(f"the Beacon API does not answer: {error}") from None
    if status == 404 and missing:
        return b""
    if status != 200:
        raise JudgeError(f"{path}: HTTP {status}: {body[:200]!r}")
    return body


def _deposit(devnet: Devnet, key: int, credentials: bytes, ether: int) -> bytes:
    pubkey = devnet.deposit(key, credentials, ether * ETHER_GWEI)
    devnet.advance(1)
    return pubkey


def _bad_deposit(devnet: Devnet, credentials: bytes) -> bytes:
    """Deposit with a signature for another chain, which the deposit contract takes; return the public key."""
    data = sign_deposit(12345, credentials, 32 * ETHER_GWEI, b"\xff" * 4)
    fields = [data.pubkey, data.withdrawal_credentials, data.signature, data.root]
    call = keccak(text="deposit(bytes,bytes,bytes,bytes32)")[:4] + encode(
        ["bytes", "bytes", "bytes", "bytes32"], fields
    )
    devnet.send(DEPOSIT_CONTRACT, call, data.amount * GWEI)
    devnet.advance(1)
    return data.pubkey


def _request(devnet: Devnet, contract: str, request: bytes) -> None:
    """Send a request as the owner of the credentials, with the fee of the moment."""
    fee = int(devnet.rpc.call("eth_call", {"to": contract}, "latest"), 16)
    devnet.send(contract, request, fee, account=0)
    devnet.advance(1)


def _known(devnet: Devnet, validator: int | bytes) -> dict[str, Any]:
    found = devnet.validator(validator)
    if found is None:
        raise DevnetError(f"there is no validator {validator!r}")
    return found


def _demand(holds: Any, what: str) -> None:
    if not holds:
        raise JudgeError(what)


if __name__ == "__main__":
    sys.exit(main())
