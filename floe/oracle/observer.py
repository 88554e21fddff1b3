"""The facts of a report: what anyone can read at one slot of the beacon chain and in the execution block inside it.

    observer = Observer(client, execution, pool, registry)
    seen = observer.observe(ref_slot)    # all that was read
    seen.report                          # the pool's `Report` that follows from it

Read is the state of the last block at or before the reference slot. `floe.service.nodes` finds it as well, and checks
what the nodes say; then that is given to `observe`. A validator counts from its first top-up on; what reaches the
withdrawal vault from elsewhere is a gift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from web3 import Web3

from floe import build
from floe.beacon.client import NONSENSE, BeaconClient, Header, MissingError
from floe.beacon.ssz import BeaconStateView, key_of
from floe.model import Report

WEI_IN_GWEI = 10**9
INCREMENT = 10**9
"""EFFECTIVE_BALANCE_INCREMENT, in Gwei."""
SLASHING_MULTIPLIER = 3
"""PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX."""
U96 = 2**96 - 1
LOG_RANGE = 10_000
"""Blocks whose logs are asked for at once: what public nodes allow."""
READERS = 4
"""Beacon blocks that are asked for at the same time."""


class ObservationError(Exception):
    """Nodes that do not have what is to be read, or that contradict each other or themselves. One line."""


class NotThereError(ObservationError):
    """The protocol was deployed after the reference slot."""


@dataclass(frozen=True)
class Observation:
    """What was read for one reference slot. Wei, unless a name says Gwei."""

    ref_slot: int
    slot: int
    """Of the last block at or before the reference slot: all numbers are of its state, and of its execution block."""
    block_root: bytes
    state_root: bytes
    height: int
    """Number of the execution block."""
    block_hash: bytes
    keys: int
    """Public keys that the protocol had topped up."""
    indices: NDArray[np.int64]
    """Our validators, in rising order, and..."""
    balances_gwei: NDArray[np.uint64]
    """... their balances."""
    pending_deposits_gwei: int
    slashed: int
    """Validators of ours that have still to pay for a slashing."""
    deposited: int
    credited: int
    """What the consensus layer had ever credited to the vault for counted validators."""
    swept: int
    received: int
    """What the vault had ever got."""
    taken: int
    """What the pool had taken in of it as gifts."""
    reported_withdrawn: int
    """As the oracle's last report had it."""
    queue_tail: int
    pending_loss: int
    raised_gwei: int

    @cached_property
    def report(self) -> Report:
        """The pool's report."""
        cl = (int(self.balances_gwei.sum(dtype=object)) + self.pending_deposits_gwei) * WEI_IN_GWEI
        # While reports had stopped gifts may have gone to the pool as principal. Those beyond all that is left of it
        # count as withdrawn: what is outside cannot fall below 0. What was once reported so, or taken in as a gift,
        # remains what it was.
        withdrawn = max(min(self.credited, self.received - self.taken), self.swept - cl, self.reported_withdrawn)
        return Report(
            cl=cl,
            deposited_at_ref=self.deposited,
            withdrawn_at_ref=withdrawn,
            donated_at_ref=self.received - withdrawn,
            queue_tail_at_ref=self.queue_tail,
            pending_loss=self.pending_loss,
            raised_at_ref=self.raised_gwei,
        )


@dataclass
class Observer:
    """Reads one protocol. It remembers how far it has read, so slots must be asked for in rising order."""

    client: BeaconClient
    execution: Web3
    pool_address: str
    registry_address: str
    oracle_address: str | None = None
    """The ReportOracle, if reports go through one."""
    first_block: int = 0
    """Execution block before which the protocol was not there."""
    progress: Callable[[int, int], None] | None = None
    """Is told how many of the slots whose blocks have to be read were, and how many there are."""
    _read: int = -1
    """Slot up to which withdrawals are summed."""
    _withdrawn: int = 0
    """Gwei that the beacon chain credited to the vault for counted validators."""
    _next_withdrawal: int | None = None
    """Index of the beacon chain's next withdrawal, from the first one that was read on."""
    _counted: dict[bytes, int] = field(default_factory=dict)
    """Key -> execution block of the first top-up."""
    _topped_up: int = 0
    """Gwei that these logs show."""
    _logs_read: int = -1

    def __post_init__(self) -> None:
        self.pool = self._contract("FloePool", self.pool_address)
        self.registry = self._contract("ValidatorRegistry", self.registry_address)
        self.queue = self._contract("WithdrawalQueue", self.pool.functions.queue().call())
        self.vault = self.pool.functions.withdrawal_vault().call()
        self._logs_read = max(self._logs_read, self.first_block - 1)

    def observe(self, ref_slot: int, header: Header | None = None, state: BeaconStateView | None = None) -> Observation:
        """Read what a report says about a reference slot.

        `header` and `state` are of the last block at or before it; what is not given is asked for, and believed.
        Raises ObservationError, BeaconError, StateError, and web3's errors; what was read by then is kept.
        """
        header = header or self._block_at(ref_slot)
        state = state or self.client.state(bytes(header.message.state_root))
        payload = state.field("latest_execution_payload_header")
        height = int(payload.block_number)
        if not self.execution.eth.get_code(self.pool.address, height):
            raise NotThereError(f"at slot {ref_slot} the pool was not deployed yet")
        words = self.pool.functions.state().call(block_identifier=height)
        deposited = words[5] & U96
        self._read_top_ups(height, deposited)
        keys = {key for key, since in self._counted.items() if since <= height}
        found = state.find(keys)
        ours = np.fromiter(found.values(), np.int64, len(found))
        self._read_withdrawals(state, {index: self._counted[key] for key, index in found.items()})

        swept = words[5] >> 96 & U96
        seen = Observation(
            ref_slot=ref_slot,
            slot=state.slot,
            block_root=header.root,
            state_root=bytes(header.message.state_root),
            height=height,
            block_hash=bytes(payload.block_hash),
            keys=len(keys),
            indices=ours,
            balances_gwei=state.balances[ours],
            pending_deposits_gwei=pending_deposits(state, keys),
            slashed=len(slashed_positions(state, ours)),
            deposited=deposited,
            credited=self._withdrawn * WEI_IN_GWEI,
            swept=swept,
            received=self.execution.eth.get_balance(self.vault, height) + swept + words[7],
            taken=words[7],
            reported_withdrawn=self._reported_withdrawn(height),
            queue_tail=self.queue.functions.tail().call(block_identifier=height),
            pending_loss=pending_penalties(state, ours) * WEI_IN_GWEI,
            raised_gwei=words[5] >> 192,
        )
        if seen.credited > seen.received:
            raise ObservationError(
                f"{self.client.name}: by slot {state.slot} it credits {seen.credited} wei to the withdrawal vault, "
                f"which had got {seen.received}: one of the nodes lies"
            )
        return seen

    def checkpoint(self) -> dict[str, Any]:
        """Return how far it has read, as JSON can carry it."""
        return {
            "read": self._read,
            "withdrawn": self._withdrawn,
            "next_withdrawal": self._next_withdrawal,
            "logs_read": self._logs_read,
            "topped_up": self._topped_up,
            "counted": {key.hex(): since for key, since in self._counted.items()},
        }

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a `checkpoint`."""
        self._read, self._withdrawn = checkpoint["read"], checkpoint["withdrawn"]
        self._next_withdrawal, self._logs_read = checkpoint["next_withdrawal"], checkpoint["logs_read"]
        self._topped_up = checkpoint["topped_up"]
        self._counted = {bytes.fromhex(key): since for key, since in checkpoint["counted"].items()}

    def _block_at(self, slot: int) -> Header:
        for each in range(slot, max(slot - self.client.preset.slots_per_historical_root, -1), -1):
            try:
                return self.client.header(each)
            except MissingError:
                continue
        raise ObservationError(f"{self.client.name}: it has no block at slot {slot}, nor before it")

    def _reported_withdrawn(self, height: int) -> int:
        if self.oracle_address is None:
            return 0
        oracle = self._contract("ReportOracle", self.oracle_address)
        if not self.execution.eth.get_code(oracle.address, height):
            return 0  # it was deployed later
        return int(oracle.functions.last().call(block_identifier=height)[2])

    def _read_top_ups(self, height: int, deposited: int) -> None:
        """Read the logs up to a block, at which the pool had sent `deposited` wei to the registry."""
        if height < self._logs_read:
            self._forget_top_ups()
        for first in range(self._logs_read + 1, height + 1, LOG_RANGE):
            last = min(first + LOG_RANGE - 1, height)
            logs = self.registry.events.ToppedUp().get_logs(from_block=first, to_block=last)
            self._topped_up += sum(log["args"]["amount"] + log["args"]["bought"] for log in logs)
            for log in logs:
                self._counted.setdefault(bytes(log["args"]["key"]), int(log["blockNumber"]))
            self._logs_read = last
        shown = self._topped_up * WEI_IN_GWEI
        if shown != deposited:
            # Next time they are read anew, perhaps from another node.
            self._forget_top_ups()
            raise ObservationError(
                f"the execution node's logs show {shown} wei of the {deposited} that the pool had sent to validators "
                f"by block {height}: it lacks logs, or the registry is another one by now"
            )

    def _forget_top_ups(self) -> None:
        self._counted, self._topped_up, self._logs_read = {}, 0, self.first_block - 1

    def _read_withdrawals(self, state: BeaconStateView, since: dict[int, int]) -> None:
        slot = state.slot
        if slot < self._read:
            raise ValueError(f"slot {slot} lies before slot {self._read}, which was read already")
        if not since:
            return  # what arrives before the first top-up does not count
        if self._read < 0:
            self._read = self._slot_before(min(since.values()))
        for each, (height, withdrawals) in enumerate(self._blocks(self._read + 1, slot), self._read + 1):
            if not withdrawals:
                continue
            self._demand_next(withdrawals[0][0])
            self._withdrawn += sum(
                amount
                for _, validator, amount, ours in withdrawals
                if ours and since.get(validator, height + 1) <= height
            )
            self._next_withdrawal, self._read = withdrawals[-1][0] + 1, each
        self._demand_next(int(state.field("next_withdrawal_index")))
        self._read = slot

    def _demand_next(self, index: int) -> None:
        """Withdrawals are numbered: a node that has lost a block would otherwise show too little."""
        if self._next_withdrawal not in (None, index):
            raise ObservationError(
                f"{self.client.name}: withdrawal {self._next_withdrawal} is in none of the blocks that it has"
            )

    def _blocks(self, first: int, last: int) -> Iterator[tuple[int, list[tuple[int, int, int, bool]]]]:
        """Yield height and withdrawals (index, validator, Gwei, whether to the vault) of the blocks of these slots.

        Both nodes must list the same ones. Where the execution node lists none, the beacon node is believed: the
        blocks of a chain for trials (anvil's) do not hold them.
        """
        vault = self.vault.lower()

        def read(slot: int) -> tuple[int, list[tuple[int, int, int, bool]]]:
            try:
                payload = self.client.block(slot).message["body"]["execution_payload"]
                height, found = int(payload["block_number"]), _withdrawals(payload["withdrawals"], "validator_index")
            except MissingError:
                return 0, []
            except NONSENSE as error:
                text = f"{self.client.name}: its block of slot {slot} is malformed: {type(error).__name__}"
                raise ObservationError(text) from error
            block: Any = self.execution.eth.get_block(height) if found else {}
            if (executed := _withdrawals(block.get("withdrawals") or (), "validatorIndex")) and executed != found:
                raise ObservationError(
                    f"{self.client.name}: its block of slot {slot} has other withdrawals than execution block {height}"
                )
            return height, [(index, validator, amount, to == vault) for index, validator, amount, to in found]

        with ThreadPoolExecutor(READERS) as readers:
            for start in range(first, last + 1, 16 * READERS):
                slots = range(start, min(start + 16 * READERS, last + 1))
                yield from readers.map(read, slots)
                if self.progress:
                    self.progress(slots[-1] - first + 1, last - first + 1)

    def _slot_before(self, height: int) -> int:
        """Return the slot before that of an execution block, whose beacon block the node must still have."""
        passed = int(self.execution.eth.get_block(height)["timestamp"]) - self.client.genesis().time
        slot = passed // int(self.client.spec["SECONDS_PER_SLOT"])
        try:
            self.client.block(slot)
        except MissingError:
            raise ObservationError(
                f"{self.client.name}: the block of slot {slot}, of the first top-up, is gone; needed are all since then"
            ) from None
        return max(slot - 1, 0)

    def _contract(self, name: str, address: str) -> Any:
        return self.execution.eth.contract(address=Web3.to_checksum_address(address), abi=build.load(name).abi)


def _withdrawals(listed: Any, validator: str) -> list[tuple[int, int, int, str]]:
    """Return index, validator, Gwei and address of the withdrawals in the JSON of a block."""
    return [(int(one["index"]), int(one[validator]), int(one["amount"]), one["address"].lower()) for one in listed]


def pending_deposits(state: BeaconStateView, keys: Set[bytes]) -> int:
    """Return the Gwei of deposits for these keys that wait in the state (EIP-6110, EIP-7251)."""
    waiting = state.rows("pending_deposits")
    ours = [key_of(pubkey.tobytes()) in keys for pubkey in waiting["pubkey"]]
    return int(waiting["amount"][ours].sum(dtype=object))


def slashed_positions(state: BeaconStateView, ours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of these validators that were slashed and have the correlation penalty still before them."""
    rows, epoch = state.validators[ours], state.slot // state.preset.slots_per_epoch
    half = np.uint64(state.preset.epochs_per_slashings_vector // 2)
    # `withdrawable_epoch` of a slashed validator is far above `half`; that of others may be anything.
    waits = rows["slashed"] & (rows["withdrawable_epoch"] >= half)
    waits &= rows["withdrawable_epoch"] - half >= np.uint64(epoch)
    return ours[waits]


def pending_penalties(state: BeaconStateView, ours: NDArray[np.int64]) -> int:
    """Return the correlation penalties (Gwei) that these validators have still to pay.

    As if they were due now (consensus-specs electra, process_slashings).
    """
    validators, epoch = state.validators, state.slot // state.preset.slots_per_epoch
    active = (validators["activation_epoch"] <= epoch) & (epoch < validators["exit_epoch"])
    total = max(INCREMENT, int(validators["effective_balance"][active].sum(dtype=object)))
    slashed = int(state.numbers("slashings").sum(dtype=object))
    adjusted = min(slashed * SLASHING_MULTIPLIER, total)
    per_increment = adjusted // (total // INCREMENT)
    increments = validators["effective_balance"][slashed_positions(state, ours)] // INCREMENT
    return per_increment * int(increments.sum(dtype=object))
