"""The contracts that Ethereum itself relies on, with their real bytecode.

It is read at run time out of the Hoodi genesis in the npm package `@ethereumjs/genesis`; the addresses are the same on
every chain.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from floe.beacon.addresses import BEACON_ROOTS as BEACON_ROOTS
from floe.beacon.addresses import BLOCK_HASHES as BLOCK_HASHES
from floe.beacon.addresses import CONSOLIDATION_REQUESTS as CONSOLIDATION_REQUESTS
from floe.beacon.addresses import WITHDRAWAL_REQUESTS as WITHDRAWAL_REQUESTS
from floe.build import ROOT

HOODI = 560048

DEPOSIT_CONTRACT = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
CONTRACTS = (DEPOSIT_CONTRACT, BEACON_ROOTS, BLOCK_HASHES, WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS)

SYSTEM = "0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE"
"""Calls them once in every block."""

BEACON_ROOTS_LENGTH = 8191
"""Entries of the ring of EIP-4788: timestamps in the slots below this, roots as many slots higher."""


@dataclass(frozen=True)
class GenesisAccount:
    """An account of a genesis file, everything as 0x hex."""

    address: str
    balance: str
    code: str
    storage: tuple[tuple[str, str], ...]
    nonce: str


def genesis_accounts() -> list[GenesisAccount]:
    """Return CONTRACTS as they are in Hoodi's genesis; the request queues of EIP-7002 and 7251 are still inhibited.

    Until the fork that brings them, an "excess" of 2**256 - 1 in slot 0 inhibits those two.
    Needs node and the npm package. Raises RuntimeError with node's message.
    """
    script = f"import('@ethereumjs/genesis').then(m => console.log(JSON.stringify(m.getGenesis({HOODI}))))"
    done = subprocess.run(["node", "-e", script], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"reading the genesis out of @ethereumjs/genesis: {done.stderr.strip()}")
    state = json.loads(done.stdout)
    # An account is a balance, or [balance, code, storage, nonce].
    found = [(address, *state[address.lower()]) for address in CONTRACTS]
    return [
        GenesisAccount(address, balance, code, tuple((slot, value) for slot, value in storage), nonce)
        for address, balance, code, storage, nonce in found
    ]
