"""What Ethereum itself keeps in contracts: block roots, the deposit contract, and the queues of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from floe.model.basics import GWEI, Address, Chain, Revert

RING = 8_191
"""Entries of EIP-4788."""
INHIBITED = 2**256 - 1
"""`excess` of a request contract before its fork."""


@dataclass(slots=True)
class BlockRoots:
    """EIP-4788: for the timestamps of the last blocks, the roots of their parents on the beacon chain."""

    ring: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """timestamp % RING -> timestamp and root."""

    def put(self, timestamp: int, root: bytes) -> None:
        """Keep what the block at `timestamp` says of its parent."""
        self.ring[timestamp % RING] = timestamp, root

    def get(self, timestamp: int) -> bytes | None:
        """Return the root for `timestamp`, or None: there was no such block, or it is too long ago."""
        kept, root = self.ring.get(timestamp % RING, (0, b""))
        return root if timestamp and kept == timestamp else None


class Deposit(NamedTuple):
    """One deposit, as its log shows it to the beacon chain."""

    pubkey: bytes
    credentials: bytes
    amount: int
    """Gwei."""
    signature: bytes


@dataclass(slots=True)
class DepositContract:
    """The deposit contract. What it logs waits in `deposits` for the next block of the beacon chain."""

    chain: Chain
    address: Address
    deposits: list[Deposit] = field(default_factory=list)
    count: int = 0

    def deposit(self, sender: Address, deposit: Deposit) -> None:
        """Take whole Gwei, at least 1 ETH."""
        self.chain.move(sender, self.address, deposit.amount * GWEI)
        self.deposits.append(deposit)
        self.count += 1


@dataclass(slots=True)
class RequestContract:
    """A request contract of EIP-7002 or EIP-7251: a queue with a fee that rises with its use."""

    chain: Chain
    address: Address
    payload_length: int
    most_per_block: int
    target_per_block: int
    excess: int = 0
    count: int = 0
    """Requests of this block."""
    queue: list[tuple[Address, bytes]] = field(default_factory=list)

    def fee(self) -> int:
        """Wei of one request in this block (fake_exponential with a factor of 1 and a fraction of 17)."""
        i, output, term = 1, 0, 17
        while term > 0:
            output += term
            term = term * self.excess // (17 * i)
            i += 1
        return output // 17

    def add(self, sender: Address, payload: bytes, value: int) -> bool:
        """Queue a request; False when it is refused."""
        if self.excess == INHIBITED or len(payload) != self.payload_length or value < self.fee():
            return False
        self.chain.move(sender, self.address, value)
        self.queue.append((sender, payload))
        self.count += 1
        return True

    def dequeue(self) -> list[tuple[Address, bytes]]:
        """End a block: return what goes to the beacon chain, and set the next block's fee."""
        taken = self.queue[: self.most_per_block]
        del self.queue[: self.most_per_block]
        excess = 0 if self.excess == INHIBITED else self.excess
        self.excess = max(excess + self.count - self.target_per_block, 0)
        self.count = 0
        return taken


WITHDRAWAL_CONTRACT = (56, 16, 2)
CONSOLIDATION_CONTRACT = (96, 2, 1)
"""Length of a payload without the sender's address, most and target of requests per block (EIP-7002, EIP-7251)."""


@dataclass(slots=True)
class SystemContracts:
    """All of them, and which other accounts have code."""

    block_roots: BlockRoots
    deposit_contract: DepositContract
    requests: dict[Address, RequestContract]
    coded: frozenset[Address] = frozenset()
    """Accounts whose code answers a question for a fee with nothing."""

    def request_contract(self, address: Address) -> RequestContract:
        """Return a contract whose fee can be read, as the withdrawal vault demands."""
        found = self.requests.get(address)
        if found is None and address not in self.coded:
            raise Revert("request: no system contract")
        if found is None or found.excess == INHIBITED:
            raise Revert("request: fee not readable")
        return found
