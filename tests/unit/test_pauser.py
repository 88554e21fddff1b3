"""Pauser: one short stop a key, then a long rest."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, Contract, Evm, reverts
from tests.protocol import DEPOSIT, FULFIL, INSTANT_EXIT, OUTSIDER, RECEIVER, STAKER, Protocol

MISSING_ROLE = "access_control: account is missing role"
ALL = DEPOSIT | FULFIL | INSTANT_EXIT
MAX_PAUSE = 14 * DAY
COOLDOWN = 42 * DAY
KEY = "0x" + "27" * 20
SECOND_KEY = "0x" + "28" * 20
RESUMER = "0x" + "29" * 20


@pytest.fixture
def pauser(evm: Evm, protocol: Protocol) -> Contract:
    """Return a pauser with two keys and one resumer, which the pool obeys."""
    pauser = evm.deploy("Pauser", protocol.pool, protocol.admin, [KEY, SECOND_KEY], [RESUMER])
    protocol.pool.grantRole(protocol.pool.PAUSER_ROLE(), pauser, sender=protocol.admin)
    return pauser


def paused_until(protocol: Protocol) -> tuple[int, int, int]:
    """Return the ends of the pauses of deposits, fulfilments and instant exits."""
    limits = protocol.lens.protocol().limits
    return limits.deposit_paused_until, limits.fulfil_paused_until, limits.instant_exit_paused_until


def test_pauser__deployed__knows_its_pool_and_roles(pauser: Contract, protocol: Protocol):
    assert pauser.pool() == protocol.pool.address
    assert (pauser.MAX_PAUSE(), pauser.COOLDOWN()) == (MAX_PAUSE, COOLDOWN)
    assert pauser.hasRole(pauser.DEFAULT_ADMIN_ROLE(), protocol.admin)
    assert pauser.hasRole(pauser.KEY_ROLE(), KEY)
    assert pauser.hasRole(pauser.KEY_ROLE(), SECOND_KEY)
    assert pauser.hasRole(pauser.RESUME_ROLE(), RESUMER)
    assert not pauser.hasRole(pauser.RESUME_ROLE(), KEY)


def test_pauser__admin_without_code__reverts(evm: Evm, pool: Contract):
    with reverts("admin: not a contract"):
        evm.deploy("Pauser", pool, OUTSIDER, [], [])


@pytest.mark.parametrize("functions", range(8))
def test_pause__by_a_key__stops_just_those_functions(evm: Evm, pauser: Contract, protocol: Protocol, functions: int):
    pauser.pause(functions, DAY, sender=KEY)
    until = evm.now + DAY
    expected = tuple(until if functions & part else 0 for part in (DEPOSIT, FULFIL, INSTANT_EXIT))
    assert paused_until(protocol) == expected
    assert pauser.ready_at(KEY) == evm.now + COOLDOWN


def test_pause__ends_by_itself__without_anybody(evm: Evm, pauser: Contract, protocol: Protocol):
    pauser.pause(ALL, MAX_PAUSE, sender=KEY)
    with reverts("deposit: paused"):
        protocol.stake(ETHER)
    evm.travel(MAX_PAUSE)
    protocol.stake(ETHER)


def test_pause__longer_than_fourteen_days__reverts(pauser: Contract):
    with reverts("pause: too long"):
        pauser.pause(ALL, MAX_PAUSE + 1, sender=KEY)
    pauser.pause(ALL, MAX_PAUSE, sender=KEY)


def test_pause__same_key_again__only_after_the_cooldown(evm: Evm, pauser: Contract):
    pauser.pause(DEPOSIT, DAY, sender=KEY)
    evm.travel(COOLDOWN - 1)
    with reverts("pause: key on cooldown"):
        pauser.pause(DEPOSIT, DAY, sender=KEY)
    pauser.pause(DEPOSIT, DAY, sender=SECOND_KEY)
    evm.travel(1)
    pauser.pause(DEPOSIT, DAY, sender=KEY)


@pytest.mark.parametrize("functions", [DEPOSIT, FULFIL, INSTANT_EXIT])
def test_pause__by_another_key__may_lengthen_and_not_shorten(evm: Evm, pauser: Contract, protocol: Protocol, functions):
    pauser.pause(functions, 3 * DAY, sender=KEY)
    evm.travel(DAY)
    for wanted in (functions, ALL):
        with reverts("pause: would shorten one"):
            pauser.pause(wanted, 2 * DAY - 1, sender=SECOND_KEY)
    with evm.undone():
        pauser.pause(functions, 2 * DAY, sender=SECOND_KEY)
    pauser.pause(ALL & ~functions, DAY, sender=SECOND_KEY)
    assert max(paused_until(protocol)) == evm.now + 2 * DAY


def test_pause__without_the_key_role__reverts(pauser: Contract, protocol: Protocol):
    for sender in (OUTSIDER, RESUMER, protocol.admin):
        with reverts(MISSING_ROLE):
            pauser.pause(ALL, DAY, sender=sender)


def test_pause__pool_no_longer_obeys__reverts(pauser: Contract, protocol: Protocol):
    pool = protocol.pool
    pool.revokeRole(pool.PAUSER_ROLE(), pauser, sender=protocol.admin)
    with reverts(MISSING_ROLE):
        pauser.pause(ALL, DAY, sender=KEY)
    with reverts(MISSING_ROLE):
        pauser.resume(ALL, sender=RESUMER)
    assert pauser.ready_at(KEY) == 0


def test_resume__by_a_resumer__ends_it_and_keeps_the_cooldown(evm: Evm, pauser: Contract, protocol: Protocol):
    pauser.pause(ALL, DAY, sender=KEY)
    pauser.resume(DEPOSIT, sender=RESUMER)
    assert paused_until(protocol) == (0, evm.now + DAY, evm.now + DAY)
    protocol.stake(ETHER)
    with reverts("pause: key on cooldown"):
        pauser.pause(DEPOSIT, DAY, sender=KEY)


def test_resume__without_the_role__reverts(pauser: Contract, protocol: Protocol):
    pauser.pause(ALL, DAY, sender=KEY)
    for sender in (OUTSIDER, KEY, protocol.admin):
        with reverts(MISSING_ROLE):
            pauser.resume(ALL, sender=sender)


def test_roles__by_the_admin_only__change(pauser: Contract, protocol: Protocol):
    role = pauser.KEY_ROLE()
    for sender in (OUTSIDER, KEY, RESUMER):
        with reverts(MISSING_ROLE):
            pauser.grantRole(role, OUTSIDER, sender=sender)
        with reverts(MISSING_ROLE):
            pauser.revokeRole(role, KEY, sender=sender)
    pauser.revokeRole(role, KEY, sender=protocol.admin)
    pauser.grantRole(role, RECEIVER, sender=protocol.admin)
    with reverts(MISSING_ROLE):
        pauser.pause(ALL, DAY, sender=KEY)
    pauser.pause(ALL, DAY, sender=RECEIVER)
    with reverts("access_control: can only renounce roles for itself"):
        pauser.renounceRole(role, RECEIVER, sender=STAKER)
    pauser.renounceRole(role, RECEIVER, sender=RECEIVER)


def test_pause__nothing_that_people_hold__is_stopped(evm: Evm, pauser: Contract, protocol: Protocol):
    """Transfers, requests, claims, wrapping and reports go on while all that can be stopped is."""
    pool, queue, token = protocol.pool, protocol.queue, protocol.token
    ticket = protocol.request(2 * ETHER)
    protocol.report()
    pool.fulfil()
    pauser.pause(ALL, MAX_PAUSE, sender=KEY)
    pool.transfer(RECEIVER, ETHER, sender=STAKER)
    second = queue.request(ETHER, RECEIVER, sender=RECEIVER)
    queue.transferFrom(RECEIVER, STAKER, second, sender=RECEIVER)
    assert queue.claim(ticket) > 0
    pool.approve(token, ETHER, sender=STAKER)
    token.wrap(ETHER, sender=STAKER)
    token.unwrap(ETHER, sender=STAKER)
    protocol.report()
    evm.travel(5 * DAY)
    pool.declare_stale()
