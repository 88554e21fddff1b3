"""Measure how long the check of an operator's deposit file takes, from the file to the verdict.

    python -m bench.deposits            measure, print, and fail above the bar
    python -m bench.deposits --write    keep the numbers in `deposits.json` as well

One process, one core. The signatures are made before the clock starts. The bar is for seconds of that core, which on a
quiet machine are the seconds that pass; those are shown beside them. For scale, one signature is verified by py_ecc,
which is Python alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from eth_typing import BLSPubkey, BLSSignature
from py_ecc.bls.ciphersuites import G2ProofOfPossession
from rich.console import Console
from rich.table import Table

from floe.beacon import deposit, keys
from floe.beacon.deposit import MAINNET, PREDEPOSIT_GWEI

NUMBERS = Path(__file__).resolve().parent / "deposits.json"

DEPOSITS = 1_000
BAR_SECONDS = 10.0
SEED = sha256(b"deposits of the benchmark").digest()
VAULT = "0x" + "f1" * 20


class Taken(NamedTuple):
    """What something took, in seconds: of the core, and until it was done."""

    cpu: float
    wall: float


@contextmanager
def timed(name: str, into: dict[str, Taken]) -> Iterator[None]:
    """Note under `name` what the block takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    into[name] = Taken(time.process_time() - cpu, time.perf_counter() - wall)


def measure() -> dict[str, Taken]:
    """Return what each step takes for all deposits together, and py_ecc for one signature."""
    taken: dict[str, Taken] = {}
    credentials, version = deposit.credentials(VAULT), MAINNET.genesis_fork_version
    secrets = [keys.signing_key(SEED, index) for index in range(DEPOSITS)]
    with timed("sign", taken):
        deposits = [deposit.sign_deposit(secret, credentials, PREDEPOSIT_GWEI, version) for secret in secrets]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "deposit_data.json"
        deposit.write(file, deposits, MAINNET)
        with timed("check", taken):
            checked = deposit.check(deposit.read(file), MAINNET, VAULT, registry=lambda _: {}, beacon=lambda _: {})
    if checked != deposits:
        raise RuntimeError("the check returned other deposits than were signed")
    message = deposits[0].message_root
    pubkey, signature = BLSPubkey(deposits[0].pubkey), BLSSignature(keys.sign(secrets[0], message))
    with timed("py_ecc_verify_one", taken):
        holds = G2ProofOfPossession.Verify(pubkey, message, signature)
    if not holds:
        raise RuntimeError("py_ecc does not take the signature")
    return taken


def table(taken: dict[str, Taken]) -> Table:
    """Return the numbers, for people."""
    shown = Table(title=f"{DEPOSITS:,} deposits, one core", title_justify="left")
    for name in ("", "seconds of the core", "bar", "ms each", "seconds passed"):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, label in (("check", "check a file"), ("sign", "sign")):
        cpu, wall = taken[name]
        bar = f"{BAR_SECONDS:.0f}" if name == "check" else ""
        colour = "red" if bar and cpu >= BAR_SECONDS else "green"
        shown.add_row(label, f"[{colour}]{cpu:.2f}[/]", bar, f"{1_000 * cpu / DEPOSITS:.2f}", f"{wall:.2f}")
    shown.add_row("verify one by py_ecc", "", "", f"{1_000 * taken['py_ecc_verify_one'].cpu:.0f}", "")
    return shown


def main() -> int:
    """Measure, print, compare; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.deposits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the numbers in deposits.json")
    options = parser.parse_args()
    taken = measure()
    Console().print(table(taken))
    if options.write:
        numbers = {"deposits": DEPOSITS, "bar_seconds": BAR_SECONDS}
        numbers |= {f"{name}_seconds": round(value.cpu, 2) for name, value in taken.items()}
        NUMBERS.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    if taken["check"].cpu >= BAR_SECONDS:
        print(f"{DEPOSITS:,} deposits took {taken['check'].cpu:.1f} s to check, the bar is {BAR_SECONDS:.0f} s")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
