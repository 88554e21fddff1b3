"""Operators of the registry: who runs them, their bonds, weights and quotas, and where a bond goes back to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe.model.beacon import GWEI_IN_ETHER
from tests.beacon import COUNCIL, KEEPER, MANAGER, OTHER_MANAGER, REWARDS, Validators
from tests.evm import ETHER, ZERO, Account, reverts
from tests.protocol import OUTSIDER

U32 = 2**32 - 1
U48 = 2**48 - 1
GWEI = 10**9
ROLE = "access_control: account is missing role"


# --- adding and changing ---


def test_add__new_operator__has_the_next_number(validators: Validators):
    registry = validators.registry
    assert registry.operator_count() == 2
    assert registry.add_operator(OUTSIDER, REWARDS, 7, 9, sender=COUNCIL) == 3
    assert registry.operator_count() == 3
    assert tuple(registry.operator(3)) == (OUTSIDER, 7, 9, 0, REWARDS, 0, 0)
    (event,) = validators.evm.events(registry)
    assert event.fields == {
        "operator": 3,
        "manager": OUTSIDER,
        "reward_address": REWARDS,
        "weight": 7,
        "limit": 9,
    }
    assert registry.total_weight() == 207
    validators.check()


@pytest.mark.parametrize("number", [0, 3, 2**16, 2**256 - 1])
def test_operator__unknown__is_empty(validators: Validators, number: int):
    assert tuple(validators.registry.operator(number)) == (ZERO, 0, 0, 0, ZERO, 0, 0)
    assert validators.registry.quota(number) == 0


def test_add__more_than_65535__reverts(validators: Validators):
    """A validator's word has 16 bits for its operator. Storage is set as if they had all been added."""
    registry = validators.registry
    slot = slot_of_totals(validators)
    value = validators.evm.revm.storage(registry.address, slot)
    assert value >> 192 == 2
    validators.evm.revm.insert_account_storage(registry.address, slot, value + (2**16 - 1 - 2 << 192))
    assert registry.operator_count() == 2**16 - 1
    with reverts("operator: too many"):
        registry.add_operator(OUTSIDER, OUTSIDER, 1, 1, sender=COUNCIL)


def slot_of_totals(validators: Validators) -> int:
    """Find the word that counts operators."""
    revm, address = validators.evm.revm, validators.registry.address
    return next(slot for slot in range(100) if revm.storage(address, slot) == 2 << 192 | 200)


@pytest.mark.parametrize("sender", ["outsider", "manager", "keeper", "admin"])
def test_add_and_set__not_the_council__revert(validators: Validators, sender: str):
    callers: dict[str, Account] = {
        "outsider": OUTSIDER,
        "manager": MANAGER,
        "keeper": KEEPER,
        "admin": validators.protocol.admin,
    }
    with reverts(ROLE):
        validators.registry.add_operator(OUTSIDER, OUTSIDER, 1, 1, sender=callers[sender])
    with reverts(ROLE):
        validators.registry.set_operator(1, OUTSIDER, 1, 1, sender=callers[sender])


@pytest.mark.parametrize(
    ("weight", "limit", "fits"),
    [
        (U32, U32, True),
        (0, 0, True),
        (U32 + 1, 0, False),
        (0, U32 + 1, False),
        (2**256 - 1, 0, False),
        (0, 2**256 - 1, False),
    ],
)
def test_add_and_set__weight_and_limit__fit_in_32_bits(validators: Validators, weight: int, limit: int, fits: bool):
    registry = validators.registry
    if fits:
        registry.add_operator(OUTSIDER, OUTSIDER, weight, limit, sender=COUNCIL)
        registry.set_operator(1, MANAGER, weight, limit, sender=COUNCIL)
        assert (registry.operator(1).weight, registry.operator(1).limit) == (weight, limit)
        assert registry.total_weight() == 2 * weight + 100
    else:
        with reverts("operator: number too large"):
            registry.add_operator(OUTSIDER, OUTSIDER, weight, limit, sender=COUNCIL)
        with reverts("operator: number too large"):
            registry.set_operator(1, MANAGER, weight, limit, sender=COUNCIL)


def test_add_and_set__nobody_as_manager__revert(validators: Validators):
    with reverts("receiver: refused"):
        validators.registry.add_operator(ZERO, REWARDS, 1, 1, sender=COUNCIL)
    with reverts("receiver: refused"):
        validators.registry.set_operator(1, ZERO, 1, 1, sender=COUNCIL)


@pytest.mark.parametrize("number", [0, 3, 2**16, 2**256 - 1])
def test_set__unknown_operator__reverts(validators: Validators, number: int):
    with reverts("operator: does not exist"):
        validators.registry.set_operator(number, MANAGER, 1, 1, sender=COUNCIL)


def test_set__manager_weight_and_limit__are_replaced_and_nothing_else(validators: Validators):
    registry = validators.registry
    validators.active(stake=40)
    before = registry.operator(1)
    registry.set_operator(1, OUTSIDER, 3, 5, sender=COUNCIL)
    after = registry.operator(1)
    assert after == before._replace(manager=OUTSIDER, weight=3, limit=5)
    (event,) = validators.evm.events(registry)
    assert (event.name, event.fields["reward_address"]) == ("OperatorSet", REWARDS)
    assert registry.total_weight() == 103
    with reverts("caller: not the manager"):
        registry.withdraw_bond(1, 0, sender=MANAGER)
    registry.withdraw_bond(1, 0, sender=OUTSIDER)
    assert tuple(registry.operator(2)) == (OTHER_MANAGER, 100, 1_000, 0, REWARDS, 0, 0)
    validators.check()


# --- quota ---


@given(weights=st.lists(st.integers(0, U32), min_size=2, max_size=2))
def test_quota__any_weights__are_parts_of_the_assets_rounded_down(validators: Validators, weights: list[int]):
    with validators.evm.undone():
        registry, assets = validators.registry, validators.pool.totalAssets() // GWEI
        for number, weight in enumerate(weights, 1):
            registry.set_operator(number, MANAGER, weight, 1, sender=COUNCIL)
        total = sum(weights)
        quotas = [registry.quota(number) for number in (1, 2)]
        assert quotas == [weight * assets // total if total else 0 for weight in weights]
        assert sum(quotas) <= assets


# --- the reward address ---


def test_set_reward_address__by_the_manager__is_replaced(validators: Validators):
    registry = validators.registry
    before = registry.operator(1)
    registry.set_reward_address(1, OUTSIDER, sender=MANAGER)
    assert registry.operator(1) == before._replace(reward_address=OUTSIDER)
    assert validators.evm.events(registry)[0].fields["reward_address"] == OUTSIDER


@pytest.mark.parametrize("number", [0, 2, 3])
def test_set_reward_address__not_the_manager__reverts(validators: Validators, number: int):
    with reverts("caller: not the manager"):
        validators.registry.set_reward_address(number, OUTSIDER, sender=MANAGER)
    with reverts("caller: not the manager"):
        validators.registry.set_reward_address(1, OUTSIDER, sender=COUNCIL)


@pytest.mark.parametrize("what", ["nobody", "registry", "pool"])
def test_bad_014_reward_address__one_that_could_lose_the_bond__reverts(validators: Validators, what: str):
    refused: dict[str, Account] = {
        "nobody": ZERO,
        "registry": validators.registry,
        "pool": validators.pool,
    }
    with reverts("receiver: refused"):
        validators.registry.set_reward_address(1, refused[what], sender=MANAGER)
    with reverts("receiver: refused"):
        validators.registry.add_operator(MANAGER, refused[what], 1, 1, sender=COUNCIL)
    assert validators.registry.operator_count() == 2


# --- bonds ---


def test_add_bond__by_anyone__for_any_operator(validators: Validators):
    registry = validators.registry
    registry.add_bond(2, sender=OUTSIDER, value=3 * GWEI)
    registry.add_bond(2, sender=OUTSIDER, value=0)
    registry.add_bond(2, sender=OUTSIDER, value=ETHER)
    assert registry.operator(2).bond == GWEI_IN_ETHER + 3
    assert validators.evm.events(registry)[0].fields == {
        "operator": 2,
        "change": GWEI_IN_ETHER,
        "bond": GWEI_IN_ETHER + 3,
    }
    assert registry.operator(1).bond == 0
    validators.check()


@pytest.mark.parametrize("number", [0, 3, 2**16, 2**256 - 1])
def test_add_bond__unknown_operator__reverts(validators: Validators, number: int):
    with reverts("operator: does not exist"):
        validators.registry.add_bond(number, sender=OUTSIDER, value=ETHER)


@pytest.mark.parametrize("value", [1, GWEI - 1, GWEI + 1, ETHER + 1])
def test_add_bond__not_in_whole_gwei__reverts(validators: Validators, value: int):
    with reverts("bond: not whole Gwei"):
        validators.registry.add_bond(1, sender=OUTSIDER, value=value)


def test_add_bond__over_48_bits__reverts(validators: Validators):
    registry = validators.registry
    validators.evm.fund(OUTSIDER, 10**6 * ETHER)
    registry.add_bond(1, sender=OUTSIDER, value=(U48 - 1) * GWEI)
    with reverts("operator: number too large"):
        registry.add_bond(1, sender=OUTSIDER, value=2 * GWEI)
    registry.add_bond(1, sender=OUTSIDER, value=GWEI)
    assert registry.operator(1).bond == U48
    assert registry.operator(1).reward_address == REWARDS
    validators.check()


@pytest.mark.parametrize("left", [0, 1, GWEI_IN_ETHER])
def test_withdraw_bond__by_the_manager__goes_to_the_reward_address(validators: Validators, left: int):
    registry, evm = validators.registry, validators.evm
    registry.add_bond(1, sender=OUTSIDER, value=5 * ETHER)
    registry.add_bond(2, sender=OUTSIDER, value=5 * ETHER)
    before = evm.balance(REWARDS)
    registry.withdraw_bond(1, 5 * GWEI_IN_ETHER - left, sender=MANAGER)
    assert evm.balance(REWARDS) - before == 5 * ETHER - left * GWEI
    assert (registry.operator(1).bond, registry.operator(2).bond) == (left, 5 * GWEI_IN_ETHER)
    assert evm.events(registry)[0].fields == {"operator": 1, "change": left - 5 * GWEI_IN_ETHER, "bond": left}
    validators.check()


@pytest.mark.parametrize("more", [1, GWEI_IN_ETHER, 2**48, 2**255, 2**256 - 6 * GWEI_IN_ETHER])
def test_withdraw_bond__more_than_there_is__reverts(validators: Validators, more: int):
    """What the other operator has is not to be had either."""
    registry = validators.registry
    for number in (1, 2):
        registry.add_bond(number, sender=OUTSIDER, value=5 * ETHER)
    with reverts("bond: too low"):
        registry.withdraw_bond(1, 5 * GWEI_IN_ETHER + more, sender=MANAGER)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_withdraw_bond__not_the_manager__reverts(validators: Validators, number: int):
    validators.registry.add_bond(2, sender=OUTSIDER, value=5 * ETHER)
    with reverts("caller: not the manager"):
        validators.registry.withdraw_bond(number, 1, sender=MANAGER)
    for sender in (COUNCIL, REWARDS, KEEPER):
        with reverts("caller: not the manager"):
            validators.registry.withdraw_bond(2, 1, sender=sender)


def test_bad_014_reward_address__that_refuses_ether__stops_nothing_but_its_own_bond(validators: Validators):
    registry, evm = validators.registry, validators.evm
    for way in (1, 2):
        refuser = evm.deploy("EtherRefuser", way)
        registry.set_reward_address(1, refuser, sender=MANAGER)
        registry.add_bond(1, sender=OUTSIDER, value=ETHER)
        with reverts("ether: send failed"):
            registry.withdraw_bond(1, GWEI_IN_ETHER, sender=MANAGER)
    (index,) = validators.predeposit()
    validators.top_up({index: 31})
    validators.protocol.report()
    registry.set_reward_address(1, OUTSIDER, sender=MANAGER)
    registry.withdraw_bond(1, registry.operator(1).bond, sender=MANAGER)
    validators.check()


def test_withdraw_bond__reward_address_that_calls_back__gets_it_once(validators: Validators):
    registry, evm = validators.registry, validators.evm
    wallet = validators.protocol.wallet()
    registry.set_operator(1, wallet, 100, 10, sender=COUNCIL)
    registry.set_reward_address(1, wallet, sender=wallet)
    for number in (1, 2):
        registry.add_bond(number, sender=OUTSIDER, value=5 * ETHER)
    wallet.react_with(registry, registry.encode("withdraw_bond", 1, GWEI_IN_ETHER))
    before = evm.balance(wallet)
    registry.withdraw_bond(1, GWEI_IN_ETHER, sender=wallet)
    assert [event.fields["success"] for event in evm.events(wallet, "Reacted")] == [False]
    assert evm.balance(wallet) - before == ETHER
    validators.check()


# --- ETH that nobody asked for ---


@pytest.mark.parametrize("sender", ["outsider", "manager", "vault's friend"])
def test_receive__not_from_the_pool__reverts(validators: Validators, sender: str):
    caller = {"outsider": OUTSIDER, "manager": MANAGER, "vault's friend": KEEPER}[sender]
    for value in (0, 1, ETHER):
        with reverts("caller: not the pool"):
            validators.registry.receive(sender=caller, value=value)


def test_bad_018_forced_ether__belongs_to_no_bond(validators: Validators):
    validators.evm.force(validators.registry, 7 * ETHER)
    validators.check(forced=7 * ETHER)
    with reverts("bond: too low"):
        validators.registry.withdraw_bond(1, 1, sender=MANAGER)
    validators.active()
    validators.check(forced=7 * ETHER)
