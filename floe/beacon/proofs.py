"""Proofs for the validator registry: from a beacon node to the arguments of its calls.

    proof = prove(client, [7, pubkey], web3)                 # the newest state that a contract can check
    registry.prove(proof, sender=anyone)
    registry.prove_withdrawn(*prove_withdrawn(client, 7, web3), sender=anyone)

    snapshot = provable(client, web3)                        # many proofs of one state, which is downloaded once
    for proof in snapshot.batches(keys):
        registry.prove(proof, sender=anyone)

EIP-4788 keeps, under the time of an execution block, the root of the beacon block *before* it. So a state can be proven
as soon as its block has a child, whose time is then the key; slots without a block lie between the two, or not.
Tuples are as in `IValidatorRegistry`: what Ape and eth-abi take for its structures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from requests import RequestException
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3Exception

from floe.beacon.addresses import BEACON_ROOTS
from floe.beacon.client import BeaconClient, BeaconError, Header, Id, MissingError
from floe.beacon.containers import gindices
from floe.beacon.ssz import BeaconStateView, ProofError, Witness, key_of

MOST_WITNESSES = 100
MOST_BRANCH_NODES = 128
"""In one proof for the registry."""

Validators = Sequence[int | bytes]
"""Indices, public keys (48 bytes), or the keys by which the registry knows them (32 bytes: SSZ roots of the former)."""


class HeaderTuple(NamedTuple):
    """`IValidatorRegistry.Header`."""

    slot: int
    proposer_index: int
    parent_root: bytes
    state_root: bytes
    body_root: bytes


class Proof(NamedTuple):
    """`IValidatorRegistry.Proof`: validators, ascending, in the state of the block whose child has this time."""

    timestamp: int
    """Seconds since 1970, of the execution block under whose time EIP-4788 keeps the root of `header`."""
    header: HeaderTuple
    witnesses: list[tuple[int, list[bytes]]]
    """Index, and the 8 chunks of the validator."""
    branch: list[bytes]

    @property
    def indices(self) -> list[int]:
        """Of the validators."""
        return [index for index, _ in self.witnesses]

    @property
    def alone(self) -> OneProof:
        """The same for `prove_one`, which is cheaper. Raises ValueError unless it is about one validator."""
        (witness,) = self.witnesses
        return OneProof(self.timestamp, self.header, witness, self.branch)

    @property
    def call(self) -> tuple[str, tuple[Any, ...]]:
        """Name and arguments of the cheapest function of the registry that takes it."""
        return ("prove_one", tuple(self.alone)) if len(self.witnesses) == 1 else ("prove", (self,))


class OneProof(NamedTuple):
    """Arguments of `prove_one`."""

    timestamp: int
    header: HeaderTuple
    witness: tuple[int, list[bytes]]
    branch: list[bytes]


class WithdrawnProof(NamedTuple):
    """Arguments of `prove_withdrawn`."""

    timestamp: int
    header: HeaderTuple
    witness: tuple[int, list[bytes]]
    branch: list[bytes]
    balance: bytes
    """The chunk of four balances that holds the validator's."""
    balance_branch: list[bytes]


@dataclass(frozen=True)
class Provable:
    """A beacon state that contracts can check at the moment."""

    timestamp: int
    header: Header
    state: BeaconStateView

    @cached_property
    def gindices(self) -> tuple[int, int]:
        """Generalized indices of `validators[0]` and of the chunk of `balances[0]` in the fork of this state."""
        return gindices(self.state.fork, self.state.preset)

    def indices(self, validators: Validators) -> list[int]:
        """Return the indices of validators, ascending, each once. Raises ProofError for one that is not there."""
        keys = [each for each in validators if isinstance(each, bytes)]
        found = self.find(keys)
        if missing := [key for key in keys if key not in found]:
            raise ProofError(f"no validator has the key {missing[0].hex()} in the state of slot {self.state.slot} yet")
        return sorted({found[each] if isinstance(each, bytes) else each for each in validators})

    def find(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the indices of validators by key; without those that the state does not have."""
        roots = {key: key_of(key) if len(key) == 48 else key for key in keys}
        found = self.state.find(set(roots.values()))
        return {key: found[root] for key, root in roots.items() if root in found}

    def pubkey(self, index: int) -> bytes:
        """Return the public key of a validator."""
        key: bytes = self.state.validators["pubkey"][index].tobytes()
        return key

    def prove(self, validators: Validators) -> Proof:
        """Return one proof about validators. Raises ProofError; when they are too many or too far apart, too."""
        indices = self.indices(validators)
        if len(indices) > MOST_WITNESSES:
            raise ProofError(f"{len(indices)} validators, one proof takes {MOST_WITNESSES}")
        witnesses, branch = self.state.prove_validators(indices)
        if len(branch) > MOST_BRANCH_NODES:
            raise ProofError(
                f"the {len(indices)} validators lie too far apart for one proof: "
                f"its branch has {len(branch)} nodes, at most {MOST_BRANCH_NODES} fit"
            )
        return self._proof(witnesses, branch)

    def batches(self, validators: Validators) -> list[Proof]:
        """Return proofs about validators, as few as filling one after the other gives. Raises ProofError."""
        proofs: list[Proof] = []
        batch: list[int] = []
        for index in self.indices(validators):
            fits = len(batch) < MOST_WITNESSES
            if batch and not (fits and len(self.state.prove_validators([*batch, index])[1]) <= MOST_BRANCH_NODES):
                proofs.append(self.prove(batch))
                batch = []
            batch.append(index)
        return [*proofs, self.prove(batch)] if batch else proofs

    def prove_withdrawn(self, validator: int | bytes) -> WithdrawnProof:
        """Return the proof that a validator has nothing left, if it has; the registry decides. Raises ProofError."""
        proof = self.prove([validator])
        return WithdrawnProof(*proof.alone, *self.state.prove_balance(proof.indices[0]))

    def _proof(self, witnesses: Sequence[Witness], branch: list[bytes]) -> Proof:
        message = self.header.message
        header = HeaderTuple(
            int(message.slot),
            int(message.proposer_index),
            bytes(message.parent_root),
            bytes(message.state_root),
            bytes(message.body_root),
        )
        return Proof(self.timestamp, header, [(one.index, list(one.chunks)) for one in witnesses], branch)


def provable(client: BeaconClient, execution: Web3, block: Id | None = None) -> Provable:
    """Download the state of a block: by default the newest one that has a child.

    Whether a contract can check it is asked of the execution node. Raises ProofError when not: for the newest block,
    for one that is more than 8,191 slots old, or when the two nodes disagree. Raises BeaconError as the client does.
    """
    if block is None:
        child = client.header("head")
        if child.message.slot == 0:
            raise ProofError("the chain has no block after genesis yet")
        header = client.header(bytes(child.message.parent_root))
    else:
        header = client.header(block)
        child = _child(client, header)
    timestamp = client.genesis().time + int(child.message.slot) * seconds_per_slot(client)
    if (root := beacon_root(execution, timestamp)) != header.root:
        known = "no beacon root" if root is None else "another beacon root"
        raise ProofError(
            f"the execution node has {known} for the time {timestamp} (slot {child.message.slot}): it is behind "
            f"{client.name}, on another chain, or the slot is long ago"
        )
    state = client.state(bytes(header.message.state_root))
    if state.root != bytes(header.message.state_root):
        text = f"{client.name}: wrong answer: the state of slot {header.message.slot} has another root"
        raise BeaconError(text, "inconsistent")
    return Provable(timestamp, header, state)


def demand_known_fork(snapshot: Provable, forks: Sequence[tuple[int, int, int]]) -> None:
    """Raise ProofError unless the registry's table of `forks`, latest first, is right for a state.

    Each row has the first slot, and the generalized indices of `validators[0]` and of the chunk of `balances[0]`.
    """
    slot = snapshot.state.slot
    places = next(((row[1], row[2]) for row in forks if row[0] <= slot), None)
    if places != snapshot.gindices:
        raise ProofError(f"the registry's table of forks is not right for slot {slot}, {snapshot.state.fork}: add_fork")


def prove(client: BeaconClient, validators: Validators, execution: Web3) -> Proof:
    """Return one proof about validators, of the newest state possible. Raises as `provable` and `Provable.prove`."""
    return provable(client, execution).prove(validators)


def prove_withdrawn(client: BeaconClient, validator: int | bytes, execution: Web3) -> WithdrawnProof:
    """Return the arguments of `prove_withdrawn`. Raises as `provable` and `Provable.prove`."""
    return provable(client, execution).prove_withdrawn(validator)


def seconds_per_slot(client: BeaconClient) -> int:
    """Return how long a slot is. Raises BeaconError where the node's configuration does not say."""
    try:
        if "SECONDS_PER_SLOT" in client.spec:
            return int(client.spec["SECONDS_PER_SLOT"])
        return int(client.spec["SLOT_DURATION_MS"]) // 1_000
    except (KeyError, ValueError):
        raise BeaconError(f"{client.name}: its configuration does not say how long a slot is") from None


def _child(client: BeaconClient, header: Header) -> Header:
    """Return the next block: of the first slot that was not missed."""
    head = int(client.header("head").message.slot)
    for slot in range(int(header.message.slot) + 1, head + 1):
        try:
            child = client.header(slot)
        except MissingError:
            continue
        if bytes(child.message.parent_root) == header.root:
            return child
        break
    raise ProofError(f"the block of slot {header.message.slot} has no child on this chain yet")


def beacon_root(execution: Web3, timestamp: int) -> bytes | None:
    """Return the root that EIP-4788 keeps for a time; None when there is none, or no such contract.

    Raises ProofError when the node does not answer.
    """
    try:
        to = Web3.to_checksum_address(BEACON_ROOTS)
        answer = execution.eth.call({"to": to, "data": Web3.to_hex(timestamp.to_bytes(32, "big"))})
    except ContractLogicError:
        return None
    except (Web3Exception, RequestException) as error:
        raise ProofError(f"the execution node did not answer: {error}") from error
    return bytes(answer) if len(answer) == 32 else None
