"""What a keeper makes of logs: those of a transaction that an attacker has written into, and of blocks that change."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi.abi import encode
from web3 import Web3

from floe.beacon.client import ValidatorInfo
from floe.beacon.containers import BeaconBlockHeader
from floe.beacon.containers import Validator as Fields
from floe.beacon.ssz import key_of
from floe.deploy.config import Beacon
from floe.deploy.plan import ORDER
from floe.deploy.record import Deployed, Record
from floe.keeper.sight import REORG, Sight
from floe.model.registry import State, Validator
from floe.service.metrics import Metrics
from floe.service.nodes import Chain, Watch, WatchedProvider

DEPOSIT_CONTRACT = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
CHAIN = Chain(
    31337,
    "0x" + "01" * 32,
    Beacon(
        preset="minimal", deposit_contract=DEPOSIT_CONTRACT, genesis_time=1, seconds_per_slot=12, forks={"electra": 0}
    ),
)
FIRST, NOW = 100, 200
"""Blocks: of the deployment, and the newest one."""
ADDRESSES = {name: Web3.to_checksum_address(f"0x{number:040x}") for number, name in enumerate(ORDER, 0x1000)}
REGISTRY = ADDRESSES["ValidatorRegistry"]
RECORD = Record(
    network="test",
    chain_id=CHAIN.chain_id,
    genesis=CHAIN.genesis,
    deployer=REGISTRY,
    first_nonce=0,
    config_digest="",
    config={},
    contracts={
        name: Deployed(
            address=address,
            transaction="",
            block=FIRST,
            nonce=0,
            value=0,
            arguments=[],
            source_digest="",
            creation_digest="",
            runtime_digest="",
        )
        for name, address in ADDRESSES.items()
    },
)
PUBKEY = b"\x01" * 48
TRANSACTION = b"\x77" * 32


def topic(signature: str) -> str:
    return Web3.to_hex(Web3.keccak(text=signature))


def log_of(address: str, topics: list[str], data: bytes, block: int = NOW) -> dict[str, Any]:
    return {
        "address": address,
        "topics": topics,
        "data": Web3.to_hex(data),
        "blockNumber": hex(block),
        "blockHash": "0x" + "00" * 32,
        "transactionHash": Web3.to_hex(TRANSACTION),
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }


def registered(event: str, pubkey: bytes, block: int) -> dict[str, Any]:
    """Return a log of the registry about a validator."""
    key = Web3.to_hex(key_of(pubkey))
    if event == "Predeposited":
        return log_of(REGISTRY, [topic("Predeposited(uint256,bytes32)"), "0x" + f"{1:064x}", key], b"", block)
    return log_of(REGISTRY, [topic("Proven(bytes32,uint256)"), key], encode(["uint256"], [7]), block)


def deposited(pubkey: bytes, address: str = DEPOSIT_CONTRACT) -> dict[str, Any]:
    data = encode(["bytes"] * 5, [pubkey, bytes(32), bytes(8), bytes(96), bytes(8)])
    return log_of(address, [topic("DepositEvent(bytes,bytes,bytes,bytes,bytes)")], data)


class Node(WatchedProvider):
    """An execution node with the logs that it is given; every validator is proven."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__("http://127.0.0.1:9", Watch(metrics, "execution"))
        self.newest, self.logs, self.receipt = NOW, list[dict[str, Any]](), [deposited(PUBKEY)]
        self.vault: dict[str, Any] | None = None
        """The error with which it answers calls of the withdrawal vault."""

    def make_request(self, method: Any, params: Any) -> Any:
        """Answer a request."""
        answers = {
            "eth_chainId": lambda: hex(CHAIN.chain_id),
            "eth_getBlockByNumber": lambda: {
                "number": hex(self.newest),
                "timestamp": hex(12 * self.newest),
                "baseFeePerGas": "0x7",
            },
            "eth_getTransactionReceipt": lambda: {"logs": self.receipt},
            "eth_getLogs": lambda: self._between(int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)),
            "eth_call": lambda: Web3.to_hex(self._called(params[0]["data"])),
            "eth_getBalance": lambda: "0x0",
        }
        answer = {"jsonrpc": "2.0", "id": 0}
        if method == "eth_call" and params[0]["to"] == ADDRESSES["WithdrawalVault"] and self.vault is not None:
            return {**answer, "error": self.vault}
        return {**answer, "result": answers[method]()}

    def make_batch_request(self, batch_requests: list[tuple[Any, Any]]) -> Any:
        """Answer several."""
        return [self.make_request(*one) for one in batch_requests]

    def _called(self, data: str) -> bytes:
        """Return a record to who asks for one, else as many zeros as anybody wants."""
        asked = data.startswith(Web3.to_hex(Web3.keccak(text="validator(bytes32)")[:4]))
        return encode(["uint256"] * 8, Validator(State.PROVEN, 1, 7)) if asked else bytes(4_096)

    def _between(self, first: int, last: int) -> list[dict[str, Any]]:
        return [log for log in self.logs if first <= int(log["blockNumber"], 16) <= last]


class Client:
    """A beacon node that shows what validators it is asked for."""

    def __init__(self) -> None:
        self.spec, self.asked = {"SHARD_COMMITTEE_PERIOD": "256"}, list[bytes]()
        self.shown = list[bytes]()
        """Public keys of the validators that it shows to whoever asks."""

    def header(self, _: str) -> Any:
        """Return the head."""
        return SimpleNamespace(message=BeaconBlockHeader(slot=NOW))

    def validators(self, ids: list[bytes], _: bytes) -> list[Any]:
        """Show what it shows, whatever it was asked for."""
        self.asked = ids
        return [ValidatorInfo(7, 32 * 10**9, "active_ongoing", Fields(pubkey=pubkey)) for pubkey in self.shown]


class Seen:
    """A keeper's sight of a node and a client, and the metrics."""

    def __init__(self) -> None:
        self.metrics = Metrics("test")
        self.node, self.client = Node(self.metrics), Client()
        nodes: Any = SimpleNamespace(chain=CHAIN, execution=Web3(self.node), ask=lambda call: call(self.client))
        self.sight = Sight(nodes, RECORD, None)

    def looked(self) -> list[bytes]:
        """Read, look, and return the public keys that the beacon node was asked for."""
        self.sight.read()
        self.sight.look()
        return self.client.asked


@pytest.fixture
def seen() -> Iterator[Seen]:
    yield Seen()


@pytest.mark.parametrize("data", [b"", b"\xff" * 320], ids=["nothing", "rubbish"])
def test_read__deposit_event_of_another_contract__is_not_looked_at(seen: Seen, data: bytes):
    seen.node.logs = [registered("Predeposited", PUBKEY, NOW)]
    seen.node.receipt.insert(0, log_of("0x" + "66" * 20, [topic("DepositEvent(bytes,bytes,bytes,bytes,bytes)")], data))
    assert seen.looked() == [PUBKEY]
    assert seen.sight.pubkey(key_of(PUBKEY)) == PUBKEY


def test_read__predeposit_moved_to_a_block_that_was_read__found(seen: Seen):
    assert seen.looked() == []
    seen.node.newest = NOW + 1
    seen.node.logs = [registered("Predeposited", PUBKEY, NOW + 1 - REORG)]
    assert seen.looked() == [PUBKEY]


def test_look__predeposit_never_seen__named_and_all_logs_are_read_again(seen: Seen):
    assert seen.looked() == []
    seen.node.newest = NOW + 1
    seen.node.logs = [registered("Predeposited", PUBKEY, FIRST), registered("Proven", PUBKEY, NOW + 1)]
    assert seen.looked() == []
    assert "inconsistent" in seen.metrics.health()["problems"]["execution node 127.0.0.1:9"]
    assert seen.looked() == [PUBKEY]


def test_look__validator_that_was_not_asked_for__is_not_seen(seen: Seen):
    seen.node.logs = [registered("Predeposited", PUBKEY, NOW)]
    seen.client.shown = [b"\x02" * 48, PUBKEY]
    assert seen.looked() == [PUBKEY]
    [known] = seen.sight.snapshot({}, 0).validators
    assert (known.key, known.seen and known.seen.balance) == (key_of(PUBKEY), 32 * 10**9)


@pytest.mark.parametrize(
    "error",
    [{"code": 3, "message": "execution reverted"}, {"code": -32005, "message": "limit exceeded"}],
    ids=["reverts", "limit"],
)
def test_snapshot__fee_of_requests_cannot_be_read__all_else_is_there(seen: Seen, error: dict[str, Any]):
    seen.sight.read()
    assert seen.sight.snapshot({}, 0).request_fee == 0
    seen.node.vault = error
    snapshot = seen.sight.snapshot({}, 0)
    assert (snapshot.request_fee, snapshot.base_fee) == (None, 7)
