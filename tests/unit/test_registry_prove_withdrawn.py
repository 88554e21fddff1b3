"""ValidatorRegistry.prove_withdrawn: a validator closes when it may withdraw and has nothing left."""

from __future__ import annotations

import pytest

from floe.model.beacon import GWEI_IN_ETHER, VALIDATORS_FIELD
from tests.beacon import SEEN, State, Validators, alone
from tests.evm import RevertError, reverts
from tests.protocol import OUTSIDER


def gone(validators: Validators, state: State = State.ACTIVE) -> int:
    """Return a validator that is withdrawn on the beacon chain."""
    index = validators.in_state(state)
    validators.leave(index)
    validators.withdraw(index)
    return index


@pytest.mark.parametrize("state", [State.PREDEPOSITED, State.PROVEN, State.ACTIVE, State.EXITING, State.SLASHED])
def test_prove_withdrawn__nothing_left__closes_for_anyone(validators: Validators, state: State):
    index = gone(validators, state)
    proof = validators.proof(index)
    validators.registry.prove_withdrawn(*alone(proof), *validators.beacon.prove_balance(index), sender=OUTSIDER)
    assert validators.evm.events(validators.registry)[-1].name == "Closed"
    v = validators.record(index)
    assert (v.state, v.stake, v.pulled) == (State.CLOSED, 0, 0)
    assert (validators.registry.operator(1).open, validators.registry.operator(1).stake) == (0, 0)
    assert (validators.registry.staked(), validators.registry.under_way()) == (0, 0)
    validators.check()
    with reverts("validator: not in this state"):
        validators.close(index)


@pytest.mark.parametrize("balance", [1, 255, 256, GWEI_IN_ETHER, 2**64 - 1])
def test_prove_withdrawn__something_left__reverts(validators: Validators, balance: int):
    index = gone(validators)
    validators.beacon.validators[index].balance = balance
    with reverts("validator: not withdrawn"):
        validators.close(index)


@pytest.mark.parametrize(("delay", "may"), [(-1, True), (0, True), (1, False), (500, False)])
def test_prove_withdrawn__withdrawable_epoch__is_inclusive(validators: Validators, delay: int, may: bool):
    index = gone(validators)
    validators.publish()
    validators.leave(index, delay)
    validators.publish()
    if may:
        validators.close(index)
        assert validators.state(index) == State.CLOSED
    else:
        with reverts("validator: not withdrawn"):
            validators.close(index)


def test_prove_withdrawn__not_leaving_at_all__reverts(validators: Validators):
    """A balance of zero alone is no withdrawal: deposits may be on their way."""
    (index,) = validators.active()
    validators.withdraw(index)
    with reverts("validator: not withdrawn"):
        validators.close(index)


@pytest.mark.parametrize("place", range(4))
def test_bad_083_prove_withdrawn__neighbours_in_the_chunk__do_not_matter(validators: Validators, place: int):
    """Four balances share a chunk: three of them full and the right one empty, and the other way round."""
    indices = validators.active(4)
    indices.sort(key=lambda index: index % 4)
    index = indices[place]
    for other in indices:
        validators.leave(other)
    validators.withdraw(index)
    validators.close(index)
    assert validators.state(index) == State.CLOSED
    for other in set(indices) - {index}:
        with reverts("validator: not withdrawn"):
            validators.close(other)
    validators.check()


def test_bad_086_prove_withdrawn__balance_of_another__is_refused(validators: Validators):
    """An empty chunk from elsewhere in the list, with its own right branch."""
    (index,) = validators.active()
    validators.leave(index)
    empty = [validators.beacon.add(bytes([k]) * 32, bytes(32), 0) for k in range(8)][-1]
    proof = validators.proof(index)
    chunk, branch = validators.beacon.prove_balance(empty)
    assert chunk == bytes(32)
    with reverts("proof: wrong root"):
        validators.registry.prove_withdrawn(*alone(proof), chunk, branch)
    with reverts("proof: wrong root"):
        validators.registry.prove_withdrawn(*alone(proof), chunk, validators.beacon.prove_balance(index)[1])


def test_bad_080_082_prove_withdrawn__wrong_branches__are_refused(validators: Validators):
    index = gone(validators)
    proof = validators.proof(index)
    chunk, branch = validators.beacon.prove_balance(index)
    for wrong in (branch[:-1], branch[1:], [*branch, bytes(32)], [], proof.branch):
        with reverts("proof: wrong length"):
            validators.registry.prove_withdrawn(*alone(proof), chunk, wrong)
    for level in range(len(branch)):
        flipped = bytes([branch[level][0] ^ 1]) + branch[level][1:]
        with reverts("proof: wrong root"):
            validators.registry.prove_withdrawn(*alone(proof), chunk, [*branch[:level], flipped, *branch[level + 1 :]])
    for wrong_proof in (
        proof._replace(branch=proof.branch[:-1]),
        proof._replace(branch=branch),
        proof._replace(witnesses=[(index + 1, proof.witnesses[0][1])]),
    ):
        with pytest.raises(RevertError, match=r"proof: wrong (root|length)"):
            validators.registry.prove_withdrawn(*alone(wrong_proof), chunk, branch)
    # The validator's own chunk of zeros (slashed: no) is no balance.
    fields = validators.beacon.state().fields_tree
    with pytest.raises(RevertError, match=r"proof: wrong (root|length)"):
        validators.registry.prove_withdrawn(*alone(proof), bytes(32), fields.branch([VALIDATORS_FIELD]))
    validators.registry.prove_withdrawn(*alone(proof), chunk, branch)


def test_prove_withdrawn__compromised_by_this_very_proof__reverts(validators: Validators):
    """It is not ours to close; `prove` says what it is."""
    (index,) = validators.predeposit(credentials=bytes(32))
    validators.leave(index)
    validators.withdraw(index)
    with reverts("validator: not in this state"):
        validators.close(index)
    validators.prove(index)
    assert validators.state(index) == State.COMPROMISED
    validators.check()


def test_prove_withdrawn__slashed_and_not_proven_yet__is_counted_and_closed(validators: Validators):
    """Nobody brought the slashing in time: closing brings it, with whatever a report does not know yet."""
    (index,) = validators.active()
    validators.beacon.slash(index)
    validators.beacon.validators[index].withdrawable_epoch = validators.beacon.epoch
    validators.withdraw(index)
    validators.close(index)
    assert [event.name for event in validators.evm.events(validators.registry)] == ["OperatorSet", "Slashed", "Closed"]
    assert validators.state(index) == State.CLOSED
    validators.check()


def test_prove_withdrawn__older_state_in_which_it_was_empty__closes_no_living_one(validators: Validators):
    """It needs an exit epoch that has passed, and that is never taken back."""
    (index,) = validators.predeposit(balance=0)
    older = validators.proof(index)
    balance = validators.beacon.prove_balance(index)
    validators.arrive(index, GWEI_IN_ETHER)
    validators.top_up({index: 31})
    with reverts("validator: not withdrawn"):
        validators.registry.prove_withdrawn(*alone(older), *balance)
    assert validators.state(index) == State.ACTIVE


def test_prove_withdrawn__after_an_exit_was_seen__ends_what_was_under_way(validators: Validators):
    (index,) = validators.active(stake=64)
    validators.pull({index: 0})
    validators.leave(index)
    validators.prove(index)
    assert (validators.registry.under_way(), validators.record(index).pulled_at) == (64 * GWEI_IN_ETHER, SEEN)
    validators.withdraw(index)
    validators.close(index)
    assert validators.registry.under_way() == 0
    validators.check()
