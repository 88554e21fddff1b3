"""The registry's constructor, roles, parameters and table of forks."""

from __future__ import annotations

import pytest

from tests.beacon import COUNCIL, ELECTRA, KEEPER, LIMITS, MANAGER, Chain, Fork, Limits, Validators, deploy_registry
from tests.evm import DAY, DEPLOYER, Account, reverts
from tests.protocol import OUTSIDER

ROLE = "access_control: account is missing role"
U96 = 2**96 - 1


# --- deployment ---


def test_deploy__constants__are_those_given(validators: Validators):
    registry, beacon = validators.registry, validators.beacon
    assert registry.credentials() == b"\x02" + bytes(11) + bytes.fromhex(validators.vault.address[2:])
    assert tuple(registry.chain_constants()) == Chain(
        "0x00000000219ab540356cbb839cbe05303d7705fa", beacon.genesis_time, 12, 32, 8_192
    )
    assert [tuple(fork) for fork in registry.forks()] == [ELECTRA]
    assert tuple(registry.parameters()) == LIMITS
    assert (registry.operator_count(), registry.staked(), registry.under_way()) == (2, 0, 0)


def test_deploy__roles__are_the_admins_the_councils_and_the_keepers(validators: Validators):
    registry = deploy_registry(validators.protocol, validators.beacon, keepers=(KEEPER, OUTSIDER))
    admin, roles = validators.protocol.admin, [
        registry.DEFAULT_ADMIN_ROLE(), registry.OPERATORS_ROLE(), registry.KEEPER_ROLE()
    ]  # fmt: skip
    held = {
        account: [registry.hasRole(role, account) for role in roles]
        for account in (admin, COUNCIL, KEEPER, OUTSIDER, DEPLOYER, validators.pool)
    }
    assert held == {
        admin: [True, False, False],
        COUNCIL: [False, True, False],
        KEEPER: [False, False, True],
        OUTSIDER: [False, False, True],
        DEPLOYER: [False, False, False],
        validators.pool: [False, False, False],
    }


@pytest.mark.parametrize("admin", [OUTSIDER, DEPLOYER])
def test_deploy__admin_without_code__reverts(validators: Validators, admin: str):
    with reverts("admin: not a contract"):
        deploy_registry(validators.protocol, validators.beacon, admin=admin)


@pytest.mark.parametrize("second", [0, 5, 9, 10])
def test_deploy__forks_out_of_order__revert(validators: Validators, second: int):
    with reverts("fork: not after the last"):
        deploy_registry(validators.protocol, validators.beacon, forks=(Fork(10, 1, 1), Fork(second, 2, 2)))


def test_deploy__parameters_or_forks_out_of_bounds__revert(validators: Validators):
    for limits in (Limits(0, DAY), Limits(10_001, DAY), Limits(1, DAY - 1), Limits(1, 30 * DAY + 1)):
        with reverts("parameter: out of bounds"):
            deploy_registry(validators.protocol, validators.beacon, limits=limits)
    with reverts("parameter: out of bounds"):
        deploy_registry(validators.protocol, validators.beacon, forks=(Fork(2**64, 1, 1),))


# --- parameters ---


@pytest.mark.parametrize("limits", [Limits(1, DAY), Limits(10_000, 30 * DAY), Limits(500, 14 * DAY)])
def test_set_parameters__within_bounds__are_live(validators: Validators, limits: Limits):
    registry = validators.registry
    registry.set_parameters(limits, sender=validators.protocol.admin)
    assert tuple(registry.parameters()) == limits
    (event,) = validators.evm.events(registry)
    assert (event.name, tuple(event.fields["parameters"])) == ("ParametersSet", limits)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(0, DAY),
        Limits(10_001, DAY),
        Limits(2**256 - 1, DAY),
        Limits(1, DAY - 1),
        Limits(1, 0),
        Limits(1, 30 * DAY + 1),
        Limits(1, 2**256 - 1),
    ],
)
def test_set_parameters__out_of_bounds__revert(validators: Validators, limits: Limits):
    with reverts("parameter: out of bounds"):
        validators.registry.set_parameters(limits, sender=validators.protocol.admin)


@pytest.mark.parametrize("sender", [OUTSIDER, COUNCIL, KEEPER, MANAGER])
def test_settings__not_the_admin__revert(validators: Validators, sender: Account):
    with reverts(ROLE):
        validators.registry.set_parameters(LIMITS, sender=sender)
    with reverts(ROLE):
        validators.registry.add_fork(Fork(2**63, 1, 1), sender=sender)


# --- roles ---


def test_roles__given_and_taken__by_the_admin_only(validators: Validators):
    registry, admin = validators.registry, validators.protocol.admin
    role = registry.KEEPER_ROLE()
    for sender in (OUTSIDER, COUNCIL, KEEPER):
        with reverts(ROLE):
            registry.grantRole(role, OUTSIDER, sender=sender)
        with reverts(ROLE):
            registry.revokeRole(role, KEEPER, sender=sender)
    registry.grantRole(role, OUTSIDER, sender=admin)
    registry.revokeRole(role, KEEPER, sender=admin)
    assert [registry.hasRole(role, account) for account in (KEEPER, OUTSIDER)] == [False, True]


# --- forks ---


def test_add_fork__later_slots__stand_behind_the_others_for_ever(validators: Validators):
    registry, admin = validators.registry, validators.protocol.admin
    rows = [ELECTRA]
    for number in range(1, 16):
        rows.append(Fork(number * 1_000, number + 1, 2**96 - number))
        registry.add_fork(rows[-1], sender=admin)
        (event,) = validators.evm.events(registry)
        assert (event.name, tuple(event.fields["fork"])) == ("ForkAdded", rows[-1])
        assert [tuple(fork) for fork in registry.forks()] == rows[::-1]
    with reverts("fork: too many"):
        registry.add_fork(Fork(10**6, 1, 1), sender=admin)


@pytest.mark.parametrize("slot", [0, 999, 1_000])
def test_bad_080_add_fork__not_after_the_last__reverts(validators: Validators, slot: int):
    """What stands in the table cannot be changed, nor anything slipped in before it."""
    registry, admin = validators.registry, validators.protocol.admin
    registry.add_fork(Fork(1_000, 2, 2), sender=admin)
    with reverts("fork: not after the last"):
        registry.add_fork(Fork(slot, 3, 3), sender=admin)
    registry.add_fork(Fork(1_001, 3, 3), sender=admin)


@pytest.mark.parametrize(
    ("fork", "fits"),
    [
        (Fork(2**64 - 1, U96, U96), True),
        (Fork(2**64, 1, 1), False),
        (Fork(2**256 - 1, 1, 1), False),
        (Fork(1, 0, 1), False),
        (Fork(1, 1, 0), False),
        (Fork(1, U96 + 1, 1), False),
        (Fork(1, 1, U96 + 1), False),
        (Fork(1, 2**256 - 1, 1), False),
        (Fork(1, 1, 2**256 - 1), False),
    ],
)
def test_add_fork__numbers_that_do_not_fit__revert(validators: Validators, fork: Fork, fits: bool):
    registry, admin = validators.registry, validators.protocol.admin
    if fits:
        registry.add_fork(fork, sender=admin)
        assert [tuple(row) for row in registry.forks()] == [fork, ELECTRA]
    else:
        with reverts("parameter: out of bounds"):
            registry.add_fork(fork, sender=admin)
