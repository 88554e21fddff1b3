"""What the beacon chain of the devnet needs from an execution client.

The beacon process starts one `ExecutionSide`, asks it for one block per slot, and stops it. Amounts are Gwei where the
consensus layer counts (withdrawals) and wei elsewhere; hashes, roots and addresses are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from floe.devnet.settings import Settings


class ExecutionError(Exception):
    """The execution client did not start, died, or refused what it was asked for; the text says which."""


class UnsupportedError(ExecutionError):
    """The execution client cannot do that (a snapshot, a dropped request)."""


@dataclass(frozen=True)
class Withdrawal:
    """ETH that the consensus layer credits (EIP-4895)."""

    index: int
    validator_index: int
    address: bytes
    """20 bytes."""
    amount_gwei: int


@dataclass(frozen=True)
class Attributes:
    """What the beacon chain fixes about the next block (PayloadAttributesV3 of the Engine API)."""

    timestamp: int
    prev_randao: bytes
    fee_recipient: bytes
    """20 bytes: of the slot's proposer."""
    parent_beacon_root: bytes
    """Root of the newest beacon block before this one, also when slots between them were missed (EIP-4788)."""
    withdrawals: tuple[Withdrawal, ...]
    safe_block_hash: bytes = bytes(32)
    """Execution block of the justified checkpoint; zero before there is one."""
    finalized_block_hash: bytes = bytes(32)


@dataclass(frozen=True)
class Payload:
    """An execution block: the fields of ExecutionPayload (Deneb), and the requests that it made."""

    parent_hash: bytes
    fee_recipient: bytes
    state_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    prev_randao: bytes
    block_number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    base_fee_per_gas: int
    block_hash: bytes
    transactions: tuple[bytes, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    blob_gas_used: int = 0
    excess_blob_gas: int = 0
    requests: tuple[bytes, ...] = field(default=())
    """EIP-7685: type byte and data, ascending by type, without empty ones. 0: EIP-6110, 1: EIP-7002, 2: EIP-7251."""


class ExecutionSide(Protocol):
    """One execution client. A class takes the settings and a folder for files and logs; `start` does the rest."""

    def __init__(self, settings: Settings, folder: str) -> None: ...

    @property
    def url(self) -> str:
        """URL of the JSON-RPC interface, known after `start`."""

    @property
    def pid(self) -> int:
        """Process id, known after `start`."""

    @property
    def log(self) -> str:
        """Path of the process's log."""

    @property
    def commits_to_requests(self) -> bool:
        """Whether the block hash commits to the requests, so that none of them can be left out afterwards."""

    def start(self, genesis_time: int) -> Payload:
        """Start the process with the deposit contract and the system contracts in place; return block 0.

        Block 0 has the timestamp `genesis_time`. Raises ExecutionError with the log's end when it does not come up.
        """

    def stop(self) -> None:
        """Stop the process and wait for its end. May be called twice, or after the process died."""

    def prepare(self, fee_recipient: bytes) -> None:
        """Take note of who proposes next: transactions that are mined before `build` pay their tips there."""

    def build(self, attributes: Attributes) -> Payload:
        """Make the block of a slot on top of the head: system calls, transactions, withdrawals, requests.

        `parent_hash` of the answer is the block hash of the `Payload` accepted before. Raises ExecutionError.
        """

    def accept(self, payload: Payload, attributes: Attributes) -> None:
        """Make a built block the head (newPayload, then forkchoiceUpdated). Raises ExecutionError if it is invalid."""

    def snapshot(self) -> str:
        """Remember the present state; return its id. Raises UnsupportedError."""

    def restore(self, snapshot: str) -> None:
        """Return to a remembered state, which stays usable; later ones are forgotten. Raises UnsupportedError."""
