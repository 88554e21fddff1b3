"""The facts of a report: what anyone can read at one slot of the beacon chain and in the execution block inside it.

    observer = Observer(client, execution, pool)
    observer.report(slot)        # the pool's `Report` for that reference slot

A validator counts from its first top-up on; what reaches the withdrawal vault from elsewhere is a gift.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from web3 import Web3

from floe import build
from floe.beacon.client import BeaconClient, MissingError
from floe.beacon.ssz import BeaconStateView, hash_pairs
from floe.model import Report

WEI_IN_GWEI = 10**9
INCREMENT = 10**9
"""EFFECTIVE_BALANCE_INCREMENT, in Gwei."""
SLASHING_MULTIPLIER = 3
"""PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX."""
U96 = 2**96 - 1


@dataclass
class Observer:
    """Reads one protocol. It remembers how far it has read, so slots must be asked for in rising order."""

    client: BeaconClient
    execution: Web3
    pool_address: str
    registry_address: str
    _read: int = 0
    """Slot up to which withdrawals are summed."""
    _withdrawn: int = 0
    """Gwei that the beacon chain credited to the vault for counted validators."""
    _counted: dict[bytes, int] = field(default_factory=dict)
    """Key -> execution block of the first top-up."""
    _known_indices: dict[bytes, int] = field(default_factory=dict)
    """Key -> index of a counted validator: known from its proof on, and for ever."""
    _logs_read: int = -1

    def __post_init__(self) -> None:
        self.pool = self._contract("FloePool", self.pool_address)
        self.registry = self._contract("ValidatorRegistry", self.registry_address)
        self.queue = self._contract("WithdrawalQueue", self.pool.functions.queue().call())
        self.vault = self.pool.functions.withdrawal_vault().call()

    def report(self, slot: int) -> Report:
        """Return the report for a reference slot that has a block. Raises BeaconError, and web3's errors."""
        state = self.client.state(slot)
        height = int(state.field("latest_execution_payload_header").block_number)
        self._read_top_ups(height)
        self._read_withdrawals(slot)

        words = self.pool.functions.state().call(block_identifier=height)
        deposited, swept, raised = words[5] & U96, words[5] >> 96 & U96, words[5] >> 192
        received = self.execution.eth.get_balance(self.vault, height) + swept + words[7]
        keys = {key for key, since in self._counted.items() if since <= height}
        cl = (balances(state, keys) + pending_deposits(state, keys)) * WEI_IN_GWEI
        # While reports had stopped gifts may have gone to the pool as principal. Those beyond all that is left of it
        # count as withdrawn: what is outside cannot fall below 0.
        withdrawn = max(self._withdrawn * WEI_IN_GWEI, swept - cl)
        return Report(
            cl=cl,
            deposited_at_ref=deposited,
            withdrawn_at_ref=withdrawn,
            donated_at_ref=received - withdrawn,
            queue_tail_at_ref=self.queue.functions.tail().call(block_identifier=height),
            pending_loss=pending_penalties(state, keys) * WEI_IN_GWEI,
            raised_at_ref=raised,
        )

    def _read_top_ups(self, height: int) -> None:
        if height <= self._logs_read:
            return
        logs = self.registry.events.ToppedUp().get_logs(from_block=self._logs_read + 1, to_block=height)
        for log in logs:
            self._counted.setdefault(bytes(log["args"]["key"]), int(log["blockNumber"]))
        self._logs_read = height

    def _read_withdrawals(self, slot: int) -> None:
        if slot < self._read:
            raise ValueError(f"slot {slot} lies before slot {self._read}, which was read already")
        for each in range(self._read + 1, slot + 1):
            try:
                payload = self.client.block(each).message["body"]["execution_payload"]
            except MissingError:
                continue
            height, vault = int(payload["block_number"]), self.vault.lower()
            ours = [one for one in payload["withdrawals"] if one["address"].lower() == vault]
            if ours:
                counted = self._indices(height)
                self._withdrawn += sum(int(one["amount"]) for one in ours if int(one["validator_index"]) in counted)
        self._read = slot

    def _indices(self, height: int) -> set[int]:
        keys = [key for key, since in self._counted.items() if since <= height]
        for key in keys:
            if key not in self._known_indices:
                self._known_indices[key] = int(self.registry.functions.validator(key).call()[2])
        return {self._known_indices[key] for key in keys}

    def _contract(self, name: str, address: str) -> Any:
        return self.execution.eth.contract(address=Web3.to_checksum_address(address), abi=build.load(name).abi)


def positions(state: BeaconStateView, keys: set[bytes]) -> list[int]:
    """Return the indices of the validators with these keys."""
    if not keys:
        return []
    pubkeys = state.validators["pubkey"]
    padded = np.zeros((len(pubkeys), 64), dtype="u1")
    padded[:, :48] = pubkeys
    roots = hash_pairs(padded.tobytes())
    return [i for i in range(len(pubkeys)) if roots[32 * i : 32 * i + 32] in keys]


def balances(state: BeaconStateView, keys: set[bytes]) -> int:
    """Return the sum of the balances (Gwei) of the validators with these keys."""
    return int(state.balances[positions(state, keys)].sum(dtype=object)) if keys else 0


def pending_deposits(state: BeaconStateView, keys: set[bytes]) -> int:
    """Return the Gwei of deposits for these keys that wait in the state (EIP-6110, EIP-7251)."""
    waiting = state.field("pending_deposits") if keys else []
    return sum(int(one.amount) for one in waiting if hash_pairs(bytes(one.pubkey) + bytes(16)) in keys)


def pending_penalties(state: BeaconStateView, keys: set[bytes]) -> int:
    """Return the correlation penalties (Gwei) that validators with these keys have still to pay.

    As if they were due now (consensus-specs electra, process_slashings).
    """
    validators, epoch = state.validators, state.slot // state.preset.slots_per_epoch
    active = (validators["activation_epoch"] <= epoch) & (epoch < validators["exit_epoch"])
    total = max(INCREMENT, int(validators["effective_balance"][active].sum(dtype=object)))
    slashed = sum(int(each) for each in state.field("slashings"))
    adjusted = min(slashed * SLASHING_MULTIPLIER, total)
    per_increment = adjusted // (total // INCREMENT)
    half = state.preset.epochs_per_slashings_vector // 2
    return sum(
        per_increment * (int(one["effective_balance"]) // INCREMENT)
        for one in (validators[i] for i in positions(state, keys))
        if one["slashed"] and epoch + half <= int(one["withdrawable_epoch"])
    )
