"""The life of a validator: every state, and what each function of the registry makes of it."""

from __future__ import annotations

import pytest

from floe.model.beacon import GWEI_IN_ETHER
from tests.beacon import COUNCIL, MANAGER, State, Validators, signature_of
from tests.evm import ETHER, reverts
from tests.protocol import STAKER

NONE, PREDEPOSITED, PROVEN, ACTIVE = State.NONE, State.PREDEPOSITED, State.PROVEN, State.ACTIVE
EXITING, CLOSED, COMPROMISED, SLASHED = State.EXITING, State.CLOSED, State.COMPROMISED, State.SLASHED
REFUSED = "validator: not in this state"

# State before, and after each function; None where it is refused.
TABLE: dict[State, dict[str, State | None]] = {
    #                "prove": nothing is new; "slash", "exit": the proof shows that; "other": other credentials
    NONE: {"prove": None, "slash": None, "exit": None, "other": None, "top_up": None, "pull": None, "close": None},
    PREDEPOSITED: {
        "prove": PROVEN,
        "slash": SLASHED,
        "exit": EXITING,
        "other": COMPROMISED,
        "top_up": ACTIVE,
        "pull": None,
        "close": CLOSED,
    },
    PROVEN: {"prove": PROVEN, "slash": SLASHED, "exit": EXITING, "top_up": ACTIVE, "pull": None, "close": CLOSED},
    ACTIVE: {"prove": ACTIVE, "slash": SLASHED, "exit": EXITING, "top_up": ACTIVE, "pull": EXITING, "close": CLOSED},
    EXITING: {"prove": EXITING, "slash": SLASHED, "exit": EXITING, "top_up": None, "pull": None, "close": CLOSED},
    SLASHED: {"prove": SLASHED, "slash": SLASHED, "exit": SLASHED, "top_up": None, "pull": None, "close": CLOSED},
    CLOSED: {"prove": None, "slash": None, "exit": None, "other": None, "top_up": None, "pull": None, "close": None},
    COMPROMISED: {
        "prove": None,
        "slash": None,
        "exit": None,
        "other": None,
        "top_up": None,
        "pull": None,
        "close": None,
    },
}
CASES = [(before, action, after) for before, row in TABLE.items() for action, after in row.items()]


def act(validators: Validators, index: int, action: str) -> None:
    """Do one thing with a validator."""
    validator = validators.beacon.validators[index]
    if action == "top_up":
        validators.top_up({index: 40})
    elif action == "pull":
        validators.pull({index: 0})
    elif action == "close":
        validators.leave(index)
        validators.withdraw(index)
        validators.close(index)
    else:
        if action == "slash":
            validators.beacon.slash(index)
        elif action == "exit":
            validators.leave(index, delay=300)
        elif action == "other":
            validator.credentials = b"\x01" + validators.credentials[1:]
        validators.prove(index)


@pytest.mark.parametrize(("before", "action", "after"), CASES)
def test_state__each_function__leads_where_the_table_says(
    validators: Validators, before: State, action: str, after: State | None
):
    index = validators.in_state(before)
    assert validators.state(index) == before
    if after is None:
        with reverts(REFUSED):
            act(validators, index, action)
    else:
        act(validators, index, action)
        assert validators.state(index) == after
        # Once more changes nothing more, or is refused.
        if action in ("prove", "slash", "exit", "other") and after != COMPROMISED:
            record = validators.record(index)
            validators.prove(index)
            assert validators.record(index)._replace(proven_at=record.proven_at) == record
    validators.check()


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("end", ["source", "target"])
def test_state__consolidation__needs_two_that_are_active(validators: Validators, state: State, end: str):
    (other,) = validators.active()
    index = validators.in_state(state)
    pairs = {index: other} if end == "source" else {other: index}
    if state == ACTIVE:
        validators.consolidate(pairs)
        assert set(validators.states(index, other)) == {EXITING, ACTIVE}
    else:
        with reverts(REFUSED):
            validators.consolidate(pairs)
    validators.check()


@pytest.mark.parametrize("state", list(State))
def test_state__predeposit__needs_a_key_that_was_never_seen(validators: Validators, state: State):
    index = validators.in_state(state)
    arguments = (1, validators.keys(index), signature_of(index))
    validators.registry.set_operator(1, MANAGER, 100, 1_000, sender=COUNCIL)  # a slashing suspends it
    if state == NONE:
        validators.registry.predeposit(*arguments, sender=MANAGER, value=ETHER)
        assert validators.state(index) == PREDEPOSITED
    else:
        with reverts("validator: known already"):
            validators.registry.predeposit(*arguments, sender=MANAGER, value=ETHER)
    validators.check()


@pytest.mark.parametrize("state", list(State))
def test_state__pull_by_a_stranger__needs_one_that_is_active(validators: Validators, state: State):
    (other,) = validators.active(stake=2_048)
    index = validators.in_state(state)
    validators.protocol.to_validators()
    day = validators.make_overdue(2_000 * ETHER, STAKER)
    if state == ACTIVE:
        validators.pull({index: 0}, sender=STAKER, day=day)
        assert validators.state(index) == EXITING
    else:
        with reverts(REFUSED):
            validators.pull({index: 0}, sender=STAKER, day=day)
    assert validators.state(other) == ACTIVE
    validators.check()


def test_state__partial_pull_under_way__lets_nothing_else_begin(validators: Validators):
    """Only an active validator has any; until a proof ends it there is no second one."""
    (index,) = validators.active(stake=40)
    (other,) = validators.active(stake=40)
    validators.pull({index: 5 * GWEI_IN_ETHER})
    for again in (0, 1, 5 * GWEI_IN_ETHER):
        with reverts(REFUSED):
            validators.pull({index: again})
    with reverts(REFUSED):
        validators.top_up({index: 1})
    for pairs in ({index: other}, {other: index}):
        with reverts(REFUSED):
            validators.consolidate(pairs)
    assert validators.state(index) == ACTIVE
    validators.check()


def test_state__whole_life__every_sum_holds_at_every_step(validators: Validators):
    """Two operators, two validators each, side by side through everything that can happen to them."""
    evm, registry = validators.evm, validators.registry
    one, two = validators.predeposit(2)
    validators.check()
    three, four = validators.predeposit(2, operator=2)
    validators.prove(one, three)
    validators.check()
    validators.top_up({one: 63, two: 31, three: 2_047, four: 31})
    validators.activate(one, two, three, four)
    validators.check()
    assert registry.staked() == (64 + 32 + 2_048 + 32) * GWEI_IN_ETHER
    validators.pull({one: 5 * GWEI_IN_ETHER, four: 0})
    validators.check()
    assert registry.under_way() == (5 + 32) * GWEI_IN_ETHER
    validators.arrive(one, -5 * GWEI_IN_ETHER)
    evm.travel(3 * 86_400)
    validators.leave(four)
    validators.prove(one, four)
    validators.check()
    assert registry.under_way() == 32 * GWEI_IN_ETHER
    validators.withdraw(four)
    validators.close(four)
    validators.check()
    validators.consolidate({two: one})
    validators.check()
    assert registry.operator(1).stake == (59 + 32) * GWEI_IN_ETHER
    validators.beacon.slash(three)
    validators.prove(three)
    validators.check()
    assert registry.staked() == (59 + 32) * GWEI_IN_ETHER
    validators.leave(two)
    validators.arrive(one, validators.beacon.validators[two].balance)
    validators.arrive(two, -validators.beacon.validators[two].balance)
    validators.close(two)
    validators.leave(three)
    validators.withdraw(three)
    validators.close(three)
    validators.check()
    assert validators.states(one, two, three, four) == [ACTIVE, CLOSED, CLOSED, CLOSED]
    assert [registry.operator(number).open for number in (1, 2)] == [1, 0]
    assert registry.under_way() == 0
