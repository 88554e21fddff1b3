"""Measure how long the check of an operator's deposit file takes, from the file to the verdict.

    python -m bench.deposits            measure, print, and fail above the bar
    python -m bench.deposits --write    keep the numbers in `deposits.json` as well

One process, one core. The signatures are made before the clock starts. For scale, one of them is verified by py_ecc,
which is Python alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

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


def measure() -> dict[str, float]:
    """Return the seconds of each step, for all deposits together; of py_ecc for one signature."""
    credentials, version = deposit.credentials(VAULT), MAINNET.genesis_fork_version
    secrets = [keys.signing_key(SEED, index) for index in range(DEPOSITS)]
    start = time.perf_counter()
    deposits = [deposit.sign_deposit(secret, credentials, PREDEPOSIT_GWEI, version) for secret in secrets]
    signing = time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "deposit_data.json"
        deposit.write(file, deposits, MAINNET)
        start = time.perf_counter()
        checked = deposit.check(deposit.read(file), MAINNET, VAULT, registry=lambda _: {}, beacon=lambda _: {})
        checking = time.perf_counter() - start
    if checked != deposits:
        raise RuntimeError("the check returned other deposits than were signed")

    message = deposits[0].message_root
    pubkey, signature = BLSPubkey(deposits[0].pubkey), BLSSignature(keys.sign(secrets[0], message))
    start = time.perf_counter()
    if not G2ProofOfPossession.Verify(pubkey, message, signature):
        raise RuntimeError("py_ecc does not take the signature")
    return {"sign": signing, "check": checking, "py_ecc_verify_one": time.perf_counter() - start}


def table(taken: dict[str, float]) -> Table:
    """Return the numbers, for people."""
    shown = Table(title=f"{DEPOSITS:,} deposits, one core", title_justify="left")
    for name in ("", "seconds", "ms each", "bar"):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    colour = "green" if taken["check"] < BAR_SECONDS else "red"
    check = taken["check"]
    each = 1_000 / DEPOSITS
    shown.add_row("check a file", f"[{colour}]{check:.2f}[/]", f"{check * each:.2f}", f"{BAR_SECONDS:.0f}")
    shown.add_row("sign", f"{taken['sign']:.2f}", f"{taken['sign'] * each:.2f}", "")
    shown.add_row("verify by py_ecc", "", f"{taken['py_ecc_verify_one'] * 1_000:.0f}", "")
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
        numbers |= {f"{name}_seconds": round(value, 2) for name, value in taken.items()}
        NUMBERS.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    if taken["check"] >= BAR_SECONDS:
        print(f"{DEPOSITS:,} deposits took {taken['check']:.1f} s to check, the bar is {BAR_SECONDS:.0f} s")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
