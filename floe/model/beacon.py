"""A small beacon chain: validators that change as told, and the proofs that show them, as real ones are made.

Its state is a tree of 64 fields like Electra's and Fulu's, of which only `slot`, `validators` and `balances` have
content. Amounts are Gwei.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import NamedTuple

from floe.beacon.ssz import CHUNK, Tree, Witness
from floe.beacon.ssz import key_of as key_of

FAR_FUTURE = 2**64 - 1
FIELDS_DEPTH = 6
SLOT_FIELD, VALIDATORS_FIELD, BALANCES_FIELD = 2, 11, 12
LIST_DEPTH = 40
VALIDATORS_GINDEX = (64 + VALIDATORS_FIELD) << LIST_DEPTH + 1
"""Generalized index of validators[0]."""
BALANCES_GINDEX = (64 + BALANCES_FIELD) << LIST_DEPTH - 2 + 1
"""Generalized index of the chunk with balances[0:4]."""
GWEI_IN_ETHER = 10**9


class Header(NamedTuple):
    """BeaconBlockHeader of the consensus specs."""

    slot: int
    proposer_index: int
    parent_root: bytes
    state_root: bytes
    body_root: bytes

    @property
    def root(self) -> bytes:
        """The block root."""
        chunks = [number(self.slot), number(self.proposer_index), self.parent_root, self.state_root, self.body_root]
        return Tree(b"".join(chunks), 3).root


class Proof(NamedTuple):
    """The registry's `Proof`."""

    timestamp: int
    header: Header
    witnesses: list[tuple[int, tuple[bytes, ...]]]
    branch: list[bytes]


@dataclass
class BeaconValidator:
    """A validator of the state, with its balance."""

    key: bytes
    """SSZ root of the public key."""
    credentials: bytes
    balance: int
    effective_balance: int
    slashed: bool = False
    activation_eligibility_epoch: int = FAR_FUTURE
    activation_epoch: int = FAR_FUTURE
    exit_epoch: int = FAR_FUTURE
    withdrawable_epoch: int = FAR_FUTURE

    def chunks(self) -> tuple[bytes, ...]:
        """Return the eight chunks of the container."""
        epochs = (
            self.activation_eligibility_epoch,
            self.activation_epoch,
            self.exit_epoch,
            self.withdrawable_epoch,
        )
        return (
            self.key,
            self.credentials,
            number(self.effective_balance),
            number(self.slashed),
            *(number(epoch) for epoch in epochs),
        )


@dataclass
class Beacon:
    """The chain: the state at one slot."""

    genesis_time: int
    seconds_per_slot: int = 12
    slots_per_epoch: int = 32
    slashings_vector: int = 8_192
    slot: int = 0
    validators: list[BeaconValidator] = field(default_factory=list)

    def add(self, key: bytes, credentials: bytes, balance: int) -> int:
        """Add a validator with `balance`; return its index."""
        self.validators.append(BeaconValidator(key, credentials, balance, balance - balance % GWEI_IN_ETHER))
        return len(self.validators) - 1

    @property
    def epoch(self) -> int:
        """Epoch of the state."""
        return self.slot // self.slots_per_epoch

    @property
    def time(self) -> int:
        """Second at which the slot begins."""
        return self.genesis_time + self.slot * self.seconds_per_slot

    def slash(self, index: int) -> None:
        """Slash a validator (consensus-specs, slash_validator), without the penalty."""
        validator = self.validators[index]
        validator.slashed = True
        validator.exit_epoch = min(validator.exit_epoch, self.epoch + 5)
        later = self.epoch + self.slashings_vector
        known = validator.withdrawable_epoch
        validator.withdrawable_epoch = later if known == FAR_FUTURE else max(known, later)

    # --- proofs ---

    def state(self) -> BeaconState:
        """Return the state as it is now; later changes do not reach it."""
        chunks = [validator.chunks() for validator in self.validators]
        return BeaconState(self.slot, chunks, [validator.balance for validator in self.validators])

    def header(self) -> Header:
        """Header of the block at the slot."""
        return self.state().header

    def prove(self, indices: list[int], timestamp: int) -> Proof:
        """Show validators (ascending) to who knows the block root for `timestamp`."""
        return self.state().prove(indices, timestamp)

    def prove_balance(self, index: int) -> tuple[bytes, list[bytes]]:
        """Return the chunk of four balances that holds one, and its branch up to the state root."""
        return self.state().prove_balance(index)


@dataclass
class BeaconState:
    """What can be proven of one slot."""

    slot: int
    chunks: list[tuple[bytes, ...]]
    """Of every validator."""
    balances: list[int]

    @cached_property
    def validators_tree(self) -> Tree:
        """Tree of the list of validators."""
        return Tree(b"".join(map(_leaf, self.chunks)), LIST_DEPTH, len(self.chunks))

    @cached_property
    def balances_tree(self) -> Tree:
        """Tree of the list of balances, four to a chunk."""
        packed = b"".join(balance.to_bytes(8, "little") for balance in self.balances)
        return Tree(packed + bytes(-len(packed) % CHUNK), LIST_DEPTH - 2, len(self.balances))

    @cached_property
    def fields_tree(self) -> Tree:
        """Tree of the state's fields."""
        fields = [bytes(CHUNK)] * 37
        fields[SLOT_FIELD] = number(self.slot)
        fields[VALIDATORS_FIELD], fields[BALANCES_FIELD] = self.validators_tree.root, self.balances_tree.root
        return Tree(b"".join(fields), FIELDS_DEPTH)

    @cached_property
    def header(self) -> Header:
        """Header of the block with this state: its parent and body say nothing."""
        return Header(self.slot, 7, sha256(b"parent").digest(), self.fields_tree.root, sha256(b"body").digest())

    def prove(self, indices: list[int], timestamp: int) -> Proof:
        """Show validators (ascending) to who knows the block root for `timestamp`."""
        branch = self.validators_tree.branch(indices) + self.fields_tree.branch([VALIDATORS_FIELD])
        return Proof(timestamp, self.header, [(index, self.chunks[index]) for index in indices], branch)

    def prove_balance(self, index: int) -> tuple[bytes, list[bytes]]:
        """Return the chunk of four balances that holds one, and its branch up to the state root."""
        branch = self.balances_tree.branch([index // 4]) + self.fields_tree.branch([BALANCES_FIELD])
        return self.balances_tree.node(0, index // 4), branch


@lru_cache(maxsize=2**14)
def _leaf(chunks: tuple[bytes, ...]) -> bytes:
    return Witness(0, chunks).root


def number(value: int) -> bytes:
    """Return the chunk of a number."""
    return value.to_bytes(CHUNK, "little")
