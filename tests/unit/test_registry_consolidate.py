"""ValidatorRegistry.consolidate: validators of ours move into others of ours, and into nobody else's."""

from __future__ import annotations

import pytest

from floe.beacon.ssz import key_of
from floe.devnet.system_contracts import CONSOLIDATION_REQUESTS
from floe.model.beacon import GWEI_IN_ETHER
from tests.beacon import (
    CONSOLIDATION,
    COUNCIL,
    DEPOSIT_TIME,
    KEEPER,
    MANAGER,
    REQUEST_TIME,
    SEEN,
    ConsolidationRequest,
    State,
    Validators,
    consolidation_requests,
    pubkey_of,
    raise_fee,
)
from tests.evm import DAY, ETHER, ZERO, Account, reverts
from tests.protocol import OUTSIDER, U96

ANSWERS_ONE = "36600c5760015f5260205ff35b5f5ffd"
"""Code: without input it answers 1, with input it reverts."""


def test_consolidate__two_of_ours__reaches_the_beacon_chain_as_the_vaults(validators: Validators):
    source, target = validators.active(stake=40) + validators.active(stake=33)
    assert validators.consolidate({source: target}) == 1
    assert [event.name for event in validators.evm.events()] == ["ConsolidationRequested", "Requested"]
    assert validators.evm.events(validators.registry)[0].fields == {
        "source": key_of(validators.keys(source)),
        "target": key_of(validators.keys(target)),
    }
    assert consolidation_requests(validators.evm) == [
        ConsolidationRequest(validators.vault.address, validators.keys(source), validators.keys(target))
    ]
    # The record follows the ETH; none of it is under way to the vault.
    left, grown = validators.record(source), validators.record(target)
    assert (left.state, left.stake, left.pulled, left.pulled_at) == (State.EXITING, 0, 0, validators.evm.now)
    assert (grown.state, grown.stake, grown.topped_at) == (State.ACTIVE, 73 * GWEI_IN_ETHER, validators.evm.now)
    assert validators.registry.operator(1).stake == 73 * GWEI_IN_ETHER
    assert (validators.registry.staked(), validators.registry.under_way()) == (73 * GWEI_IN_ETHER, 0)
    validators.check()


def test_consolidate__several_into_one__in_order(validators: Validators):
    sources, (target,) = validators.active(3), validators.active()
    validators.consolidate(dict.fromkeys(sources, target))
    found = consolidation_requests(validators.evm) + consolidation_requests(validators.evm)
    assert [(r.source_pubkey, r.target_pubkey) for r in found] == [
        (validators.keys(source), validators.keys(target)) for source in sources
    ]
    assert validators.record(target).stake == 128 * GWEI_IN_ETHER
    validators.check()


def test_consolidate__sixty_four__are_the_most(validators: Validators):
    sources, targets = validators.active(65), validators.active(2)
    with reverts():
        validators.consolidate({source: targets[source % 2] for source in sources})
    validators.consolidate({source: targets[source % 2] for source in sources[:64]})
    validators.check()


@pytest.mark.parametrize("sender", ["outsider", "council", "manager", "admin"])
def test_consolidate__not_the_keeper__reverts(validators: Validators, sender: str):
    """Not even when exits are overdue."""
    callers: dict[str, Account] = {
        "outsider": OUTSIDER,
        "council": COUNCIL,
        "manager": MANAGER,
        "admin": validators.protocol.admin,
    }
    source, target = validators.active(2)
    with reverts("access_control: account is missing role"):
        validators.consolidate({source: target}, sender=callers[sender])


def test_bad_090_consolidate__key_of_somebody_else__reverts(validators: Validators):
    """A target whose credentials are not proven ours would be a gift; a source, an empty promise."""
    (ours,) = validators.active()
    foreign = validators.in_state(State.NONE)
    pending = validators.in_state(State.PREDEPOSITED)
    compromised = validators.in_state(State.COMPROMISED)
    for other in (foreign, pending, compromised):
        for pairs in ({ours: other}, {other: ours}):
            with reverts("validator: not in this state"):
                validators.consolidate(pairs)
    assert consolidation_requests(validators.evm) == []


def test_bad_090_consolidate__into_itself__reverts(validators: Validators):
    """The beacon chain would take it for a change of credentials."""
    one, two = validators.active(2)
    for pairs in ({one: one}, {one: two, two: two}):
        with reverts("consolidation: same validator"):
            validators.consolidate(pairs)


@pytest.mark.parametrize(("stake", "fits"), [(2_016, True), (2_017, False)])
def test_consolidate__target_over_2048_ether__reverts(validators: Validators, stake: int, fits: bool):
    source, target = validators.active() + validators.active(stake=stake)
    if fits:
        validators.consolidate({source: target})
        assert validators.record(target).stake == 2_048 * GWEI_IN_ETHER
    else:
        with reverts("stake: not 32 to 2048 ETH"):
            validators.consolidate({source: target})


def test_consolidate__targets_sum_over_2048_ether_in_a_call__reverts(validators: Validators):
    sources, (target,) = validators.active(2), validators.active(stake=1_984 + 1)
    with reverts("stake: not 32 to 2048 ETH"):
        validators.consolidate(dict.fromkeys(sources, target))


@pytest.mark.parametrize(("sources", "targets"), [(0, 0), (48, 0), (0, 48), (47, 47), (96, 48), (48, 96), (49, 49)])
def test_consolidate__lengths_that_differ__revert(validators: Validators, sources: int, targets: int):
    indices = validators.active(4)
    keys = validators.keys(*indices)
    with reverts("keys: wrong length"):
        validators.registry.consolidate(keys[:sources], keys[96 : 96 + targets], sender=KEEPER, value=ETHER)


def test_bad_091_consolidate__source_twice__reverts(validators: Validators):
    source, one, two = validators.active(3)
    keys, targets = validators.keys(source, source), validators.keys(one, two)
    with reverts("validator: not in this state"):
        validators.registry.consolidate(keys, targets, sender=KEEPER, value=ETHER)
    validators.consolidate({source: one})
    with reverts("validator: not in this state"):
        validators.consolidate({source: two})
    with reverts("validator: not in this state"):
        validators.consolidate({two: source})


def test_consolidate__chain_of_two__books_what_the_last_one_gets(validators: Validators):
    one, two, three = validators.active(3)
    validators.consolidate({one: two, two: three})
    assert validators.states(one, two, three) == [State.EXITING, State.EXITING, State.ACTIVE]
    assert validators.record(three).stake == 96 * GWEI_IN_ETHER
    validators.check()


def test_consolidate__into_another_operators__reverts(validators: Validators):
    """It would run more than its quota, and the other have none of the work and all of the blame."""
    (ours,), (others,) = validators.active(), validators.active(operator=2)
    for pairs in ({ours: others}, {others: ours}):
        with reverts("consolidation: other operator"):
            validators.consolidate(pairs)


@pytest.mark.parametrize("end", ["source", "target"])
def test_consolidate__not_seen_active__reverts(validators: Validators, end: str):
    """The beacon chain would ignore it."""
    (active,), (waiting,) = validators.active(), validators.predeposit()
    validators.top_up({waiting: 31})
    pairs = {waiting: active} if end == "source" else {active: waiting}
    validators.prove(waiting)
    with reverts("validator: not in this state"):
        validators.consolidate(pairs)
    validators.activate(waiting)
    validators.consolidate(pairs)


# --- what comes after ---


def test_consolidate__done_by_the_chain__source_closes_and_target_keeps_all(validators: Validators):
    source, target = validators.active(2)
    validators.consolidate({source: target})
    validators.leave(source, delay=300)
    validators.prove(source, target)
    assert (validators.state(source), validators.record(source).pulled_at) == (State.EXITING, SEEN)
    assert validators.registry.under_way() == 0, "nothing of it comes to the vault"
    validators.publish(300 * 32)
    validators.arrive(target, 32 * GWEI_IN_ETHER)
    validators.arrive(source, -32 * GWEI_IN_ETHER)
    validators.close(source)
    validators.evm.travel(DEPOSIT_TIME)
    validators.prove(target)
    assert (validators.state(source), validators.record(target).stake) == (State.CLOSED, 64 * GWEI_IN_ETHER)
    validators.check()


@pytest.mark.parametrize("which", ["source", "target"])
def test_consolidate__then_slashed__is_counted_by_what_it_holds(validators: Validators, which: str):
    source, target = validators.active(2)
    validators.consolidate({source: target})
    validators.leave(source, delay=300)
    validators.prove(source)
    slashed = {"source": source, "target": target}[which]
    validators.beacon.slash(slashed)
    validators.prove(slashed)
    assert validators.state(slashed) == State.SLASHED
    assert validators.record(slashed).stake == 32 * GWEI_IN_ETHER
    assert validators.pool.state()[2] >> 96 & U96 == 32 * ETHER * 500 // 10_000
    validators.check()


def test_consolidate__dropped_by_the_chain__may_be_asked_for_again(validators: Validators):
    source, target = validators.active(2)
    validators.consolidate({source: target})
    validators.evm.travel(REQUEST_TIME + DAY)
    validators.prove(source)
    assert validators.state(source) == State.ACTIVE
    validators.consolidate({source: target})
    assert validators.state(source) == State.EXITING
    # Booked twice, until nothing can be on its way to the target any more.
    assert validators.record(target).stake == 96 * GWEI_IN_ETHER
    validators.evm.travel(DEPOSIT_TIME + DAY)
    validators.prove(source, target)
    assert [validators.record(index).stake for index in (source, target)] == [32 * GWEI_IN_ETHER] * 2
    validators.check()


def test_bad_013_consolidate__stranger_moves_into_ours__counts_as_stake_and_blocks_nothing(validators: Validators):
    """His validator's ETH is ours from then on, slashed or not."""
    source, target = validators.active(2)
    validators.arrive(target, 1_000 * GWEI_IN_ETHER)
    validators.prove(target)
    assert validators.record(target).stake == 1_032 * GWEI_IN_ETHER
    validators.consolidate({source: target})
    validators.pull({target: 5 * GWEI_IN_ETHER})
    validators.check()


# --- fees ---


def test_bad_088_consolidate__fees__are_paid_by_the_keeper_and_the_rest_comes_back(validators: Validators):
    evm, registry = validators.evm, validators.registry
    source, target = validators.active(2)
    raise_fee(evm, CONSOLIDATION)
    fee = validators.vault.fee(CONSOLIDATION)
    assert fee > 500
    with reverts("request: fee over the limit"):
        validators.consolidate({source: target}, value=fee - 1)
    accounts: list[Account] = [KEEPER, validators.vault, registry, CONSOLIDATION_REQUESTS]
    before = [evm.balance(account) for account in accounts]
    assert validators.consolidate({source: target}, value=fee + 7) == fee
    moved = [evm.balance(account) - old for account, old in zip(accounts, before, strict=True)]
    assert moved == [-fee, 0, 0, fee]
    validators.check()


def test_bad_088_consolidate__system_contract_that_does_not_work__reverts(validators: Validators):
    source, target = validators.active(2)
    evm = validators.evm
    for contract, reason in (
        (ZERO, "request: no system contract"),
        (evm.place("5f5ffd"), "request: fee not readable"),
        (evm.place(ANSWERS_ONE), "request: refused"),
    ):
        validators.vault.set_system_contract(CONSOLIDATION, contract, sender=validators.protocol.admin)
        with reverts(reason):
            validators.consolidate({source: target})


def test_consolidate__by_a_registry_that_was_replaced__reverts(validators: Validators):
    pool = validators.pool
    source, target = validators.active(2)
    pool.revokeRole(pool.REGISTRY_ROLE(), validators.registry, sender=validators.protocol.admin)
    with reverts("caller: not the registry"):
        validators.consolidate({source: target})


def test_consolidate__caller_that_takes_no_rest__reverts(validators: Validators):
    source, target = validators.active(2)
    wallet = validators.protocol.wallet()
    validators.registry.grantRole(validators.registry.KEEPER_ROLE(), wallet, sender=validators.protocol.admin)
    wallet.refuse(True)
    with reverts("ether: send failed"):
        validators.consolidate({source: target}, sender=wallet, value=2)
    validators.consolidate({source: target}, sender=wallet, value=1)


def test_consolidate__keys_of_nobody__revert(validators: Validators):
    (ours,) = validators.active()
    nobody = pubkey_of(10**6)
    for source, target in ((nobody, validators.keys(ours)), (validators.keys(ours), nobody)):
        with reverts("validator: not in this state"):
            validators.registry.consolidate(source, target, sender=KEEPER, value=ETHER)
