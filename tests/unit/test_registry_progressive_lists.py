"""A later fork whose lists have no limit (EIP-7916), as in the specs of Gloas: a row of the table is all it takes."""

# Not `from __future__ import annotations`: the library reads the annotations.
# mypy: allow-subclassing-any, disable-error-code="valid-type,misc"

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remerkleable.basic import uint64
from remerkleable.byte_arrays import Bytes32
from remerkleable.complex import Vector
from remerkleable.progressive import ProgressiveContainer, ProgressiveList

from floe.beacon.ssz import key_of
from floe.model.beacon import Header, Proof, number
from tests.beacon import Fork, State, Validators, alone, set_block_root
from tests.evm import reverts

FORK_SLOT = 6_000_000
VALIDATORS_GINDEX, BALANCES_GINDEX = 358, 359
"""Of the fields 11 and 12 of a ProgressiveContainer."""
ENDS = (1, 5, 21, 85, 341)
"""Where the subtrees of a ProgressiveList end."""
COUNT = 120


class _State(ProgressiveContainer(active_fields=[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1])):
    slot: uint64
    validators: ProgressiveList[Vector[Bytes32, 8]]
    balances: ProgressiveList[uint64]


@pytest.fixture
def later(validators: Validators) -> Validators:
    """Return the registry's world, a slot after the fork; validator k has the ETH k + 1."""
    validators.registry.add_fork(Fork(FORK_SLOT, VALIDATORS_GINDEX, BALANCES_GINDEX), sender=validators.protocol.admin)
    validators.predeposit(100)
    while len(validators.beacon.validators) < COUNT:
        validators.beacon.add(number(len(validators.beacon.validators)), bytes(32), 10**9)
    validators.evm.travel((FORK_SLOT - validators.beacon.slot) * 12)
    return validators


def state_of(world: Validators) -> _State:
    beacon = world.beacon
    return _State(
        slot=beacon.slot,
        validators=[Vector[Bytes32, 8](*each.chunks()) for each in beacon.validators],
        balances=[each.balance for each in beacon.validators],
    )


def branch_of(state: _State, gindices: Sequence[int]) -> list[bytes]:
    branch, level = [], sorted(gindices)
    while level != [1]:
        branch += [state.get_backing().getter(g ^ 1).merkle_root() for g in level if g ^ 1 not in level]
        level = sorted({g >> 1 for g in level})
    return [bytes(node) for node in branch]


def leaf_gindex(field: int, chunk: int) -> int:
    node, start, size = 2 * field, 0, 1
    while chunk >= start + size:
        node, start, size = 2 * node + 1, start + size, 4 * size
    return 2 * node * size + chunk - start


def published(world: Validators) -> tuple[_State, Header, int]:
    world.publish()
    state = state_of(world)
    header = Header(world.beacon.slot, 7, bytes(32), bytes(state.hash_tree_root()), bytes(32))
    set_block_root(world.evm, header.root)
    return state, header, world.evm.now


def proof_of(world: Validators, indices: Sequence[int]) -> Proof:
    state, header, timestamp = published(world)
    branch = branch_of(state, [leaf_gindex(VALIDATORS_GINDEX, index) for index in indices])
    witnesses = [(index, world.beacon.validators[index].chunks()) for index in indices]
    return Proof(timestamp, header, witnesses, branch)


@pytest.mark.parametrize("index", [5, 20, 21, 84, 85, 104])
def test_prove__progressive_list__at_the_edges_of_its_subtrees(later: Validators, index: int):
    later.registry.prove(proof_of(later, [index]))
    assert later.state(index) == State.PROVEN
    assert later.record(index).index == index


@settings(max_examples=15)
@given(indices=st.lists(st.integers(5, 104), min_size=1, max_size=20, unique=True).map(sorted))
def test_prove__progressive_list__only_what_lies_in_one_subtree(later: Validators, indices: list[int]):
    together = sum(end <= indices[0] for end in ENDS) == sum(end <= indices[-1] for end in ENDS)
    with later.evm.undone():
        if together:
            later.registry.prove(proof_of(later, indices))
            assert later.states(*indices) == [State.PROVEN] * len(indices)
    if not together:
        inside = [index for index in indices if index < next(end for end in ENDS if end > indices[0])]
        proof = proof_of(later, inside)
        last = indices[-1]
        outside = [*proof.witnesses, (last, later.beacon.validators[last].chunks())]
        with later.evm.undone(), reverts("proof: not in one subtree"):
            later.registry.prove(proof._replace(witnesses=outside))


def test_prove__progressive_list__wrong_index_or_fork__refused(later: Validators):
    proof = proof_of(later, [30])
    ((_, chunks),) = proof.witnesses
    for index in (29, 31, 84):
        with reverts("proof: wrong root"):
            later.registry.prove(proof._replace(witnesses=[(index, chunks)]))
    for index in (20, 85):
        with reverts("proof: wrong length"):
            later.registry.prove(proof._replace(witnesses=[(index, chunks)]))
    limited = later.proof(30)
    set_block_root(later.evm, limited.header.root)
    with reverts("proof: wrong length"):
        later.registry.prove(limited)


def test_prove_withdrawn__progressive_list__the_balance_of_its_own_subtree(later: Validators):
    (index,) = [i for i in later.pubkeys if later.beacon.validators[i].key == key_of(later.pubkeys[i])][:1]
    later.leave(index)
    later.withdraw(index)
    proof = proof_of(later, [index])
    state, header, timestamp = published(later)
    proof = proof._replace(header=header, timestamp=timestamp, branch=branch_of(state, [leaf_gindex(358, index)]))
    gindex = leaf_gindex(BALANCES_GINDEX, index // 4)
    chunk = bytes(state.get_backing().getter(gindex).merkle_root())
    later.registry.prove_withdrawn(*alone(proof), chunk, branch_of(state, [gindex]))
    assert later.state(index) == State.CLOSED
