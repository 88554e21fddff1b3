"""A devnet with two validators of an owner's, and what a test changes taken back after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from floe.beacon.client import BeaconClient
from floe.devnet import Devnet, Settings
from floe.devnet.rpc import RpcError
from floe.devnet.system_contracts import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS

ETHER = 10**18
GWEI = 10**9
OWNER = 5
"""Number of the account that the validators' withdrawal credentials name."""
STRANGER = -1
"""Number of the account that those of the genesis validators name."""


@dataclass
class Stage:
    """A devnet on which the owner's validators are active, and old enough to leave."""

    devnet: Devnet
    beacon: BeaconClient
    owner: str
    credentials: bytes
    pubkeys: tuple[bytes, bytes]
    """With 40 and 33 ETH."""
    deposited: int
    """Slot before the deposits."""

    def balance(self, address: str, block: int | str = "latest") -> int:
        """Return wei."""
        name = hex(block) if isinstance(block, int) else block
        return int(self.devnet.rpc.call("eth_getBalance", address, name), 16)

    def call(self, to: str, data: bytes) -> bytes | None:
        """Call a contract; None when it reverts."""
        try:
            answer = self.devnet.rpc.call("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest")
        except RpcError:
            return None
        return bytes.fromhex(answer[2:])

    def receipt(self, transaction: str) -> Any:
        """Return the receipt of a transaction."""
        return self.devnet.rpc.call("eth_getTransactionReceipt", transaction)

    def request_withdrawal(self, pubkey: bytes, amount_gwei: int) -> None:
        """Let the owner request a withdrawal (EIP-7002; 0: all)."""
        self._request(WITHDRAWAL_REQUESTS, pubkey + amount_gwei.to_bytes(8, "big"), OWNER)

    def request_consolidation(self, source: bytes, target: bytes, account: int) -> None:
        """Let an account request a consolidation (EIP-7251)."""
        self._request(CONSOLIDATION_REQUESTS, source + target, account)

    def _request(self, contract: str, data: bytes, account: int) -> None:
        assert self.receipt(self.devnet.send(contract, data, value=1_000, account=account))["status"] == "0x1"

    def pending(self, what: str) -> list[dict[str, str]]:
        """Return one of the head state's queues."""
        found: list[dict[str, str]] = self.devnet.beacon(f"/eth/v1/beacon/states/head/pending_{what}")["data"]
        return found

    def payload(self, block: int | str = "head") -> Any:
        """Return the execution payload of a block."""
        return self.body(block)["execution_payload"]

    def body(self, block: int | str = "head") -> Any:
        """Return the body of a block."""
        return self.devnet.beacon(f"/eth/v2/beacon/blocks/{block}")["data"]["message"]["body"]


@pytest.fixture(scope="session")
def staked() -> Iterator[Stage]:
    """Start the devnet, deposit, and let the validators grow old enough to leave."""
    with Devnet() as devnet:
        owner = devnet.account(OWNER).address
        credentials = b"\x02" + bytes(11) + bytes.fromhex(owner[2:])
        devnet.advance(epochs=1)
        deposited = devnet.slot
        pubkeys = (
            devnet.deposit(100, credentials, 40 * GWEI),
            devnet.deposit(101, credentials, 33 * GWEI),
        )
        for pubkey in pubkeys:
            devnet.advance_until_status(pubkey, "active_ongoing")
        devnet.advance(epochs=4)
        client = BeaconClient(devnet.beacon_url)
        yield Stage(devnet, client, owner, credentials, pubkeys, deposited)
        client.close()


@pytest.fixture
def stage(staked: Stage) -> Iterator[Stage]:
    """Give the devnet to one test."""
    snapshot = staked.devnet.snapshot()
    yield staked
    staked.devnet.restore(snapshot)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Return what a small devnet of a test's own is made of."""
    return Settings(validators=8)
