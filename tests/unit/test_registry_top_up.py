"""ValidatorRegistry.top_up: the pool's ETH goes to proven validators only, within stake, quota and `stakeable()`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from floe.model.beacon import GWEI_IN_ETHER
from tests.beacon import (
    COUNCIL,
    FRESH_SLOTS,
    MANAGER,
    OTHER_MANAGER,
    SLOT_SECONDS,
    State,
    Validators,
    alone,
    deploy_registry,
    deposits,
    pubkey_of,
    signature_of,
)
from tests.evm import ETHER, reverts
from tests.protocol import DEPOSIT, GUARDIAN, OUTSIDER, U96

GWEI = 10**9


def amounts(validators: Validators, gwei: dict[int, int]) -> None:
    """Prove validators and top them up by Gwei."""
    validators.prove(*gwei)
    validators.registry.top_up(validators.keys(*gwei), list(gwei.values()))


def sent(validators: Validators) -> int:
    """Return the wei that the pool has ever sent to validators."""
    return int(validators.pool.state()[5] & U96)


# --- where the ETH goes ---


def test_top_up__first__buys_the_predeposit_and_fills_the_operators_bond(validators: Validators):
    evm, pool, registry = validators.evm, validators.pool, validators.registry
    (index,) = validators.predeposit()
    validators.prove(index)
    before = (pool.outside(), pool.buffer(), sent(validators), evm.balance(pool), evm.balance(DEPOSIT_CONTRACT))
    registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER], sender=OUTSIDER)
    names = [event.name for event in evm.events(registry)]
    topped = evm.events(registry, "ToppedUp")[0].fields
    (deposit,) = deposits(evm)
    assert names == ["BondChanged", "ToppedUp"]
    assert (topped["operator"], topped["amount"], topped["bought"]) == (1, 31 * GWEI_IN_ETHER, GWEI_IN_ETHER)
    assert (deposit.pubkey, deposit.withdrawal_credentials) == (validators.keys(index), validators.credentials)
    assert (deposit.amount, deposit.signature) == (31 * GWEI_IN_ETHER, bytes(96))
    after = (pool.outside(), pool.buffer(), sent(validators), evm.balance(pool), evm.balance(DEPOSIT_CONTRACT))
    moved = [new - old for new, old in zip(after, before, strict=True)]
    assert moved == [32 * ETHER, -32 * ETHER, 32 * ETHER, -32 * ETHER, 31 * ETHER]
    assert registry.operator(1).bond == GWEI_IN_ETHER
    v = validators.record(index)
    assert (v.state, v.stake, v.topped_at, v.pulled) == (State.ACTIVE, 32 * GWEI_IN_ETHER, evm.now, 0)
    validators.check()


def test_top_up__again__pays_the_amount_and_nothing_else(validators: Validators):
    (index,) = validators.active()
    before = sent(validators)
    validators.top_up({index: 7})
    assert sent(validators) - before == 7 * ETHER
    assert validators.evm.events(validators.registry, "ToppedUp")[0].fields["bought"] == 0
    assert validators.record(index).stake == 39 * GWEI_IN_ETHER
    assert validators.registry.operator(1).bond == GWEI_IN_ETHER, "bought once"
    validators.check()


def test_top_up__bond__can_pay_the_next_predeposit_or_be_withdrawn(validators: Validators):
    validators.active()
    validators.registry.predeposit(1, pubkey_of(99), signature_of(99), sender=MANAGER)
    assert validators.registry.operator(1).bond == 0


def test_top_up__many_of_several_operators__in_one_call(validators: Validators):
    first = validators.predeposit(3)
    second = validators.predeposit(2, operator=2)
    before = sent(validators)
    validators.top_up({first[0]: 31, first[1]: 2_047, first[2]: 100, second[0]: 31, second[1]: 40})
    assert sent(validators) - before == (31 + 2_047 + 100 + 31 + 40 + 5) * ETHER
    assert [validators.record(index).stake // GWEI_IN_ETHER for index in first + second] == [32, 2_048, 101, 32, 41]
    assert [validators.registry.operator(number).bond // GWEI_IN_ETHER for number in (1, 2)] == [3, 2]
    validators.check()


def test_top_up__a_hundred__in_one_call(validators: Validators):
    validators.protocol.stake(10_000 * ETHER)
    indices = validators.predeposit(100)
    validators.top_up(dict.fromkeys(indices, 31))
    assert validators.registry.operator(1).stake == 3_200 * GWEI_IN_ETHER
    validators.check()


@given(gwei=st.lists(st.integers(31 * GWEI_IN_ETHER, 300 * GWEI_IN_ETHER), min_size=1, max_size=6))
def test_top_up__any_amounts__books_and_chain_agree_to_the_gwei(validators: Validators, gwei: list[int]):
    with validators.evm.undone():
        v = validators.copy()
        indices = v.predeposit(len(gwei), operator=2)
        before, outside = v.evm.balance(DEPOSIT_CONTRACT), v.pool.outside()
        amounts(v, dict(zip(indices, gwei, strict=True)))
        assert v.evm.balance(DEPOSIT_CONTRACT) - before == sum(gwei) * GWEI
        assert v.pool.outside() - outside == (sum(gwei) + len(gwei) * GWEI_IN_ETHER) * GWEI
        assert v.registry.operator(2).stake == sum(gwei) + len(gwei) * GWEI_IN_ETHER
        v.check()


# --- stake ---


@pytest.mark.parametrize(
    ("gwei", "fits"),
    [
        (31 * GWEI_IN_ETHER - 1, False),
        (31 * GWEI_IN_ETHER, True),
        (2_047 * GWEI_IN_ETHER, True),
        (2_047 * GWEI_IN_ETHER + 1, False),
    ],
)
def test_bad_011_top_up__stake_from_32_to_2048__is_inclusive(validators: Validators, gwei: int, fits: bool):
    (index,) = validators.predeposit()
    if fits:
        amounts(validators, {index: gwei})
        assert validators.record(index).stake == gwei + GWEI_IN_ETHER
        validators.check()
    else:
        with reverts("stake: not 32 to 2048 ETH"):
            amounts(validators, {index: gwei})


@pytest.mark.parametrize(("gwei", "fits"), [(8 * GWEI_IN_ETHER, True), (8 * GWEI_IN_ETHER + 1, False)])
def test_bad_011_top_up__of_an_active_one_up_to_2048__is_inclusive(validators: Validators, gwei: int, fits: bool):
    (index,) = validators.active(stake=2_040)
    if fits:
        amounts(validators, {index: gwei})
    else:
        with reverts("stake: not 32 to 2048 ETH"):
            amounts(validators, {index: gwei})


def test_bad_011_top_up__what_others_deposited__counts_towards_the_maximum(validators: Validators):
    (index,) = validators.active()
    validators.arrive(index, 2_000 * GWEI_IN_ETHER)
    with reverts("stake: not 32 to 2048 ETH"):
        amounts(validators, {index: 16 * GWEI_IN_ETHER + 1})
    amounts(validators, {index: 16 * GWEI_IN_ETHER})
    assert validators.record(index).stake == 2_048 * GWEI_IN_ETHER


@pytest.mark.parametrize("balance", [2, 32, 40])
def test_top_up__first_of_one_that_others_have_filled__buys_one_ether_only(validators: Validators, balance: int):
    (index,) = validators.predeposit(balance=balance * GWEI_IN_ETHER)
    before = sent(validators)
    validators.top_up({index: 32})
    assert sent(validators) - before == 33 * ETHER
    assert validators.record(index).stake == 33 * GWEI_IN_ETHER
    validators.prove(index)
    assert validators.record(index).stake == (balance + 32) * GWEI_IN_ETHER
    validators.check()


def test_top_up__predeposit_that_lost_a_little__is_still_bought_for_one_ether(validators: Validators):
    (index,) = validators.predeposit(balance=GWEI_IN_ETHER - 1)
    validators.top_up({index: 31})
    assert validators.record(index).stake == 32 * GWEI_IN_ETHER


@pytest.mark.parametrize(("gwei", "fits"), [(0, False), (1, False), (GWEI_IN_ETHER - 1, False), (GWEI_IN_ETHER, True)])
def test_bad_006_top_up__less_than_the_deposit_contract_takes__reverts(validators: Validators, gwei: int, fits: bool):
    (index,) = validators.active()
    if fits:
        amounts(validators, {index: gwei})
    else:
        with reverts("top-up: below 1 ETH"):
            amounts(validators, {index: gwei})


@pytest.mark.parametrize("gwei", [2**64, 2**255, 2**256 - 1])
def test_top_up__absurd_amounts__revert(validators: Validators, gwei: int):
    (index,) = validators.active()
    with reverts("" if gwei == 2**256 - 1 else "stake: not 32 to 2048 ETH"):
        validators.registry.top_up(validators.keys(index), [gwei])


# --- quota ---


def test_top_up__quota__is_inclusive_to_the_gwei(validators: Validators):
    validators.protocol.stake(10_000 * ETHER)
    registry, pool = validators.registry, validators.pool
    registry.set_operator(2, OTHER_MANAGER, 0, 10, sender=COUNCIL)
    registry.set_operator(1, MANAGER, 7, 10, sender=COUNCIL)
    registry.add_operator(OUTSIDER, OUTSIDER, 93, 10, sender=COUNCIL)
    indices = validators.predeposit(1)
    validators.prove(*indices)
    quota = 7 * (pool.totalAssets() // GWEI) // 100
    assert registry.quota(1) == quota
    with reverts("operator: over its quota"):
        registry.top_up(validators.keys(*indices), [quota - GWEI_IN_ETHER + 1])
    registry.top_up(validators.keys(*indices), [quota - GWEI_IN_ETHER])
    assert registry.operator(1).stake == quota
    with reverts("operator: over its quota"):
        registry.top_up(validators.keys(*indices), [GWEI_IN_ETHER])


def test_top_up__over_quota_in_the_middle_of_a_batch__reverts_for_all(validators: Validators):
    registry = validators.registry
    registry.set_operator(2, OTHER_MANAGER, 1, 10, sender=COUNCIL)
    indices = validators.predeposit(1, operator=1) + validators.predeposit(1, operator=2)
    quota = registry.quota(2) // GWEI_IN_ETHER
    with reverts("operator: over its quota"):
        validators.top_up({indices[0]: 31, indices[1]: quota})
    assert set(validators.states(*indices)) == {State.PROVEN}


def test_top_up__no_weight__no_quota(validators: Validators):
    registry = validators.registry
    (index,) = validators.predeposit()
    registry.set_operator(1, MANAGER, 0, 10, sender=COUNCIL)
    assert registry.quota(1) == 0
    with reverts("operator: over its quota"):
        validators.top_up({index: 31})
    registry.set_operator(2, OTHER_MANAGER, 0, 10, sender=COUNCIL)
    assert (registry.total_weight(), registry.quota(1), registry.quota(2)) == (0, 0, 0)
    with reverts("operator: over its quota"):
        validators.top_up({index: 31})


def test_top_up__pull_under_way__leaves_room_for_others_of_the_operator(validators: Validators):
    """What is under way back is not staked with it any more."""
    registry = validators.registry
    (index,) = validators.active(stake=2_048)
    registry.set_operator(1, MANAGER, 19, 10, sender=COUNCIL)
    registry.set_operator(2, OTHER_MANAGER, 81, 10, sender=COUNCIL)
    assert registry.operator(1).stake > registry.quota(1)
    (other,) = validators.predeposit()
    with reverts("operator: over its quota"):
        validators.top_up({other: 31})
    validators.pull({index: 2_016 * GWEI_IN_ETHER})
    validators.top_up({other: 31})
    validators.check()


# --- the pool's own limit ---


def test_top_up__more_than_is_stakeable__reverts(validators: Validators):
    pool, registry = validators.pool, validators.registry
    registry.set_operator(2, OTHER_MANAGER, 0, 10, sender=COUNCIL)
    indices = validators.predeposit(5)
    validators.prove(*indices)
    stakeable = pool.stakeable() // GWEI
    gwei = [2_047 * GWEI_IN_ETHER] * 4
    gwei.append(stakeable - sum(gwei) - 5 * GWEI_IN_ETHER)
    with reverts("stake: over the limit"):
        registry.top_up(validators.keys(*indices), [*gwei[:4], gwei[4] + 1])
    registry.top_up(validators.keys(*indices), gwei)
    assert pool.stakeable() < GWEI
    validators.check()


def test_top_up__while_deposits_are_paused__reverts(validators: Validators):
    (index,) = validators.predeposit()
    validators.prove(index)
    validators.pool.pause(DEPOSIT, validators.evm.now + 1_000, sender=GUARDIAN)
    with reverts("stake: over the limit"):
        validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])
    validators.evm.travel(1_000)
    validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])


def test_top_up__by_a_registry_that_was_replaced__reverts(validators: Validators):
    pool = validators.pool
    (index,) = validators.predeposit()
    pool.revokeRole(pool.REGISTRY_ROLE(), validators.registry, sender=validators.protocol.admin)
    with reverts("access_control: account is missing role"):
        validators.top_up({index: 31})


# --- the proof that came before ---


@pytest.mark.parametrize("function", ["prove", "prove_one"])
@pytest.mark.parametrize(("late", "fresh"), [(-1, True), (0, True), (1, False)])
def test_top_up__state_of_256_slots_ago__is_the_oldest(validators: Validators, late: int, fresh: bool, function: str):
    (index,) = validators.predeposit()
    if function == "prove":
        validators.prove(index)
    else:
        validators.registry.prove_one(*alone(validators.proof(index)))
    age = validators.evm.now - validators.beacon.time
    validators.evm.travel(FRESH_SLOTS * SLOT_SECONDS - age + late)
    if fresh:
        validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])
    else:
        with reverts("validator: proof too old"):
            validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])


def test_top_up__old_state_proven_just_now__is_old(validators: Validators):
    """What counts is the time of the state, not that of the proof."""
    (index,) = validators.predeposit()
    proof = validators.proof(index)
    validators.evm.travel(FRESH_SLOTS * SLOT_SECONDS)
    validators.registry.prove(proof)
    with reverts("validator: proof too old"):
        validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])
    (active,) = validators.active()
    older = validators.proof(active)
    validators.evm.travel(FRESH_SLOTS * SLOT_SECONDS)
    validators.registry.prove(older)
    with reverts("validator: proof too old"):
        validators.registry.top_up(validators.keys(active), [GWEI_IN_ETHER])


def test_top_up__one_of_many_too_old__reverts_for_all(validators: Validators):
    old, new = validators.predeposit(2)
    validators.prove(old)
    validators.evm.travel(FRESH_SLOTS * SLOT_SECONDS)
    validators.prove(new)
    with reverts("validator: proof too old"):
        validators.registry.top_up(validators.keys(new, old), [31 * GWEI_IN_ETHER] * 2)


@pytest.mark.parametrize(("keys", "count"), [(1, 0), (0, 1), (2, 1), (1, 2), (2, 3), (3, 2)])
def test_bad_006_top_up__lengths_that_differ__revert(validators: Validators, keys: int, count: int):
    indices = validators.predeposit(3)
    validators.prove(*indices)
    with reverts("keys: wrong length"):
        validators.registry.top_up(validators.keys(*indices[:keys]), [31 * GWEI_IN_ETHER] * count)


@pytest.mark.parametrize("bytes_less", [1, 47, 48, -1])
def test_bad_006_top_up__keys_of_another_length__revert(validators: Validators, bytes_less: int):
    indices = validators.predeposit(2)
    validators.prove(*indices)
    keys = (validators.keys(*indices) + bytes(1))[: 96 - bytes_less]
    with reverts("keys: wrong length"):
        validators.registry.top_up(keys, [31 * GWEI_IN_ETHER] * 2)


def test_top_up__nothing__moves_nothing(validators: Validators):
    before = [validators.evm.balance(validators.pool), validators.pool.state()]
    validators.registry.top_up(b"", [])
    assert [validators.evm.balance(validators.pool), validators.pool.state()] == before


def test_top_up__more_than_a_hundred__reverts(validators: Validators):
    (index,) = validators.active()
    with reverts():
        validators.registry.top_up(validators.keys(index) * 101, [GWEI_IN_ETHER] * 101)


def test_bad_010_top_up__key_of_nobody__reverts(validators: Validators):
    (index,) = validators.active()
    for keys in (pubkey_of(10**6), validators.keys(index)[:-1] + bytes(1), bytes(48)):
        with reverts("validator: not in this state"):
            validators.registry.top_up(keys, [31 * GWEI_IN_ETHER])


def test_bad_010_top_up__not_proven_yet__reverts(validators: Validators):
    (index,) = validators.predeposit()
    with reverts("validator: not in this state"):
        validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])


def test_bad_010_top_up__compromised__reverts(validators: Validators):
    (index,) = validators.predeposit(credentials=b"\x01" + bytes(11) + bytes.fromhex(validators.vault.address[2:]))
    with reverts("validator: not in this state"):
        validators.top_up({index: 31})
    assert validators.state(index) == State.COMPROMISED


@pytest.mark.parametrize("what", ["slashed", "leaving"])
@pytest.mark.parametrize("before", [State.PROVEN, State.ACTIVE])
def test_bad_010_top_up__slashed_or_leaving_since__reverts_once_that_is_proven(
    validators: Validators, what: str, before: State
):
    index = validators.in_state(before)
    older = validators.proof(index)
    if what == "slashed":
        validators.beacon.slash(index)
    else:
        validators.leave(index, delay=300)
    validators.prove(index)
    for _ in range(2):
        with reverts("validator: not in this state"):
            validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])
        validators.registry.prove(older)


def test_bad_086_top_up__one_validator_twice__is_two_within_all_limits(validators: Validators):
    """In a call or in two: the predeposit is bought once, and 2,048 ETH are the most."""
    (index,) = validators.predeposit()
    validators.prove(index)
    before = sent(validators)
    validators.registry.top_up(validators.keys(index, index), [1_000 * GWEI_IN_ETHER, 900 * GWEI_IN_ETHER])
    assert [deposit.amount // GWEI_IN_ETHER for deposit in deposits(validators.evm)] == [1_000, 900]
    assert sent(validators) - before == 1_901 * ETHER
    validators.registry.top_up(validators.keys(index), [147 * GWEI_IN_ETHER])
    assert validators.record(index).stake == 2_048 * GWEI_IN_ETHER
    with reverts("stake: not 32 to 2048 ETH"):
        validators.registry.top_up(validators.keys(index), [GWEI_IN_ETHER])
    assert validators.registry.operator(1).bond == GWEI_IN_ETHER
    validators.check()


def test_top_up__part_that_was_paid__may_be_topped_up_in_the_same_proof(validators: Validators):
    (index,) = validators.active(stake=40)
    validators.pull({index: 8 * GWEI_IN_ETHER})
    validators.arrive(index, -8 * GWEI_IN_ETHER)
    validators.evm.travel(3 * 86_400)
    validators.top_up({index: 5})
    assert (validators.record(index).stake, validators.record(index).pulled) == (37 * GWEI_IN_ETHER, 0)
    validators.check()


def test_top_up__no_code_at_the_deposit_contract__reverts(validators: Validators):
    (index,) = validators.predeposit()
    registry = deploy_registry(validators.protocol, validators.beacon, deposit_contract=OUTSIDER)
    with reverts("deposit contract: no code"):
        registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])


def test_top_up__operator_that_no_number_can_hold__reverts(validators: Validators):
    (huge,) = validators.active()
    (index,) = validators.predeposit()
    validators.beacon.validators[huge].effective_balance = 2**48 - 1
    validators.prove(huge, index)
    with reverts("operator: number too large"):
        validators.registry.top_up(validators.keys(index), [31 * GWEI_IN_ETHER])
