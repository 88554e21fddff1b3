"""Timelock: nothing happens sooner than the delay, and nobody can shorten it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, functions, reverts
from tests.protocol import ORACLE, OUTSIDER, PARAMETERS, RECEIVER, STAKER, Protocol

MISSING_ROLE = "access_control: account is missing role"
DELAY = 22 * DAY
PROPOSER = "0x" + "17" * 20
EXECUTOR = "0x" + "18" * 20
NO_DEPENDENCY = bytes(32)
SALT = b"\x05" * 32


@pytest.fixture
def timelock(evm: Evm, protocol: Protocol) -> Contract:
    """Return a timelock that administers the pool in place of the wallet."""
    timelock = evm.deploy("Timelock", DELAY, [PROPOSER], [EXECUTOR])
    pool = protocol.pool
    pool.grantRole(pool.DEFAULT_ADMIN_ROLE(), timelock, sender=protocol.admin)
    pool.revokeRole(pool.DEFAULT_ADMIN_ROLE(), protocol.admin, sender=protocol.admin)
    return timelock


def new_fee(pool: Contract, fee_bps: int = 500) -> tuple[Any, ...]:
    """Return an operation that changes the pool's fee: target, wei, calldata, predecessor, salt."""
    payload = pool.encode("set_parameters", PARAMETERS._replace(fee_bps=fee_bps))
    return (pool, 0, payload, NO_DEPENDENCY, SALT)


def batch(pool: Contract) -> tuple[Any, ...]:
    """Return a batch that replaces the oracle: targets, wei, calldata, predecessor, salt."""
    role = pool.ORACLE_ROLE()
    payloads = [pool.encode("revokeRole", role, ORACLE), pool.encode("grantRole", role, RECEIVER)]
    return ([pool, pool], [0, 0], payloads, NO_DEPENDENCY, SALT)


# --- deployment ---


def test_timelock__delay_below_21_days__reverts(evm: Evm):
    with reverts("timelock: delay too short"):
        evm.deploy("Timelock", 21 * DAY - 1, [PROPOSER], [EXECUTOR])
    assert evm.deploy("Timelock", 21 * DAY, [PROPOSER], [EXECUTOR]).get_minimum_delay() == 21 * DAY


def test_timelock__nobody_to_propose_or_execute__reverts(evm: Evm):
    for proposers, executors in (([], [EXECUTOR]), ([PROPOSER], []), ([], [])):
        with reverts("timelock: nobody to act"):
            evm.deploy("Timelock", DELAY, proposers, executors)


def test_timelock__deployed__is_its_own_and_only_admin(timelock: Contract):
    admin, proposer, executor, canceller = (
        timelock.DEFAULT_ADMIN_ROLE(),
        timelock.PROPOSER_ROLE(),
        timelock.EXECUTOR_ROLE(),
        timelock.CANCELLER_ROLE(),
    )
    assert timelock.MIN_DELAY() == 21 * DAY
    assert timelock.hasRole(admin, timelock)
    assert timelock.hasRole(proposer, PROPOSER)
    assert timelock.hasRole(canceller, PROPOSER)
    assert timelock.hasRole(executor, EXECUTOR)
    for role in (admin, proposer, executor, canceller):
        assert not timelock.hasRole(role, OUTSIDER)
        assert timelock.getRoleAdmin(role) == admin


def test_timelock__no_function__changes_the_delay():
    names = {entry["name"] for entry in functions("Timelock")}
    assert not {name for name in names if "delay" in name.lower()} - {"get_minimum_delay", "MIN_DELAY"}


# --- schedule and execute ---


def test_execute__after_the_delay__changes_the_pool(evm: Evm, timelock: Contract, protocol: Protocol):
    operation = new_fee(protocol.pool)
    timelock.schedule(*operation, DELAY, sender=PROPOSER)
    number = timelock.hash_operation(*operation)
    assert timelock.is_operation_pending(number)
    assert timelock.get_timestamp(number) == evm.now + DELAY
    for passed in (0, DELAY - 1):
        evm.travel(passed)
        with reverts("timelock_controller: operation is not ready"):
            timelock.execute(*operation, sender=EXECUTOR)
    evm.travel(1)
    timelock.execute(*operation, sender=EXECUTOR)
    assert protocol.lens.protocol().limits.parameters.fee_bps == 500
    assert timelock.is_operation_done(number)
    with reverts("timelock_controller: operation is not ready"):
        timelock.execute(*operation, sender=EXECUTOR)


def test_execute__nobody_named_as_executor__means_anybody(evm: Evm, protocol: Protocol):
    timelock = evm.deploy("Timelock", DELAY, [PROPOSER], [ZERO])
    protocol.pool.grantRole(protocol.pool.DEFAULT_ADMIN_ROLE(), timelock, sender=protocol.admin)
    operation = new_fee(protocol.pool)
    timelock.schedule(*operation, DELAY, sender=PROPOSER)
    evm.travel(DELAY)
    timelock.execute(*operation, sender=OUTSIDER)
    assert protocol.lens.protocol().limits.parameters.fee_bps == 500


def test_execute_batch__after_the_delay__does_all_of_it(evm: Evm, timelock: Contract, pool: Contract):
    operation = batch(pool)
    timelock.schedule_batch(*operation, DELAY, sender=PROPOSER)
    with reverts("timelock_controller: operation is not ready"):
        timelock.execute_batch(*operation, sender=EXECUTOR)
    evm.travel(DELAY)
    timelock.execute_batch(*operation, sender=EXECUTOR)
    assert pool.hasRole(pool.ORACLE_ROLE(), RECEIVER)
    assert not pool.hasRole(pool.ORACLE_ROLE(), ORACLE)


def test_schedule__without_the_role_or_too_soon__reverts(timelock: Contract, pool: Contract):
    for sender in (OUTSIDER, EXECUTOR):
        with reverts(MISSING_ROLE):
            timelock.schedule(*new_fee(pool), DELAY, sender=sender)
        with reverts(MISSING_ROLE):
            timelock.schedule_batch(*batch(pool), DELAY, sender=sender)
    with reverts("timelock_controller: insufficient delay"):
        timelock.schedule(*new_fee(pool), DELAY - 1, sender=PROPOSER)
    with reverts("timelock_controller: insufficient delay"):
        timelock.schedule_batch(*batch(pool), DELAY - 1, sender=PROPOSER)


def test_schedule__twice__reverts(timelock: Contract, pool: Contract):
    timelock.schedule(*new_fee(pool), DELAY, sender=PROPOSER)
    with reverts("timelock_controller: operation already scheduled"):
        timelock.schedule(*new_fee(pool), DELAY, sender=PROPOSER)
    timelock.schedule_batch(*batch(pool), DELAY, sender=PROPOSER)
    with reverts("timelock_controller: operation already scheduled"):
        timelock.schedule_batch(*batch(pool), DELAY, sender=PROPOSER)


def test_execute__without_the_role__reverts(evm: Evm, timelock: Contract, pool: Contract):
    timelock.schedule(*new_fee(pool), DELAY, sender=PROPOSER)
    timelock.schedule_batch(*batch(pool), DELAY, sender=PROPOSER)
    evm.travel(DELAY)
    for sender in (OUTSIDER, PROPOSER):
        with reverts(MISSING_ROLE):
            timelock.execute(*new_fee(pool), sender=sender)
        with reverts(MISSING_ROLE):
            timelock.execute_batch(*batch(pool), sender=sender)


def test_batch__lengths_differ__reverts(timelock: Contract, pool: Contract):
    for targets, amounts, payloads in (([pool], [], [b""]), ([pool], [0], []), ([], [0], [b""])):
        with reverts("timelock_controller: length mismatch"):
            timelock.schedule_batch(targets, amounts, payloads, NO_DEPENDENCY, SALT, DELAY, sender=PROPOSER)
        with reverts("timelock_controller: length mismatch"):
            timelock.execute_batch(targets, amounts, payloads, NO_DEPENDENCY, SALT, sender=EXECUTOR)


def test_execute__predecessor_not_done__reverts(evm: Evm, timelock: Contract, pool: Contract):
    first = new_fee(pool)
    number = timelock.hash_operation(*first)
    second = (*new_fee(pool, 600)[:3], number, SALT)
    third = (*batch(pool)[:3], number, SALT)
    timelock.schedule(*first, DELAY, sender=PROPOSER)
    timelock.schedule(*second, DELAY, sender=PROPOSER)
    timelock.schedule_batch(*third, DELAY, sender=PROPOSER)
    evm.travel(DELAY)
    with reverts("timelock_controller: missing dependency"):
        timelock.execute(*second, sender=EXECUTOR)
    with reverts("timelock_controller: missing dependency"):
        timelock.execute_batch(*third, sender=EXECUTOR)
    timelock.execute(*first, sender=EXECUTOR)
    timelock.execute(*second, sender=EXECUTOR)
    timelock.execute_batch(*third, sender=EXECUTOR)


def test_execute__call_fails__passes_the_reason_on(evm: Evm, timelock: Contract, pool: Contract):
    refused = new_fee(pool, 2_001)
    silent = (evm.place("5f5ffd"), 0, b"", NO_DEPENDENCY, SALT)
    batch_of_silent = ([silent[0]], [0], [b""], NO_DEPENDENCY, SALT)
    timelock.schedule(*refused, DELAY, sender=PROPOSER)
    timelock.schedule(*silent, DELAY, sender=PROPOSER)
    timelock.schedule_batch(*batch_of_silent, DELAY, sender=PROPOSER)
    evm.travel(DELAY)
    with reverts("parameter: out of bounds"):
        timelock.execute(*refused, sender=EXECUTOR)
    with reverts("timelock_controller: underlying transaction reverted"):
        timelock.execute(*silent, sender=EXECUTOR)
    with reverts("timelock_controller: underlying transaction reverted"):
        timelock.execute_batch(*batch_of_silent, sender=EXECUTOR)


def test_cancel__by_a_canceller__stops_it_for_good(evm: Evm, timelock: Contract, pool: Contract):
    operation = new_fee(pool)
    number = timelock.hash_operation(*operation)
    timelock.schedule(*operation, DELAY, sender=PROPOSER)
    with reverts(MISSING_ROLE):
        timelock.cancel(number, sender=OUTSIDER)
    timelock.cancel(number, sender=PROPOSER)
    assert not timelock.is_operation(number)
    evm.travel(DELAY)
    with reverts("timelock_controller: operation is not ready"):
        timelock.execute(*operation, sender=EXECUTOR)
    with reverts("timelock_controller: operation cannot be cancelled"):
        timelock.cancel(number, sender=PROPOSER)


# --- roles and ETH ---


def test_roles__only_through_the_timelock_itself__change(evm: Evm, timelock: Contract):
    role = timelock.PROPOSER_ROLE()
    for sender in (OUTSIDER, PROPOSER, EXECUTOR):
        with reverts(MISSING_ROLE):
            timelock.grantRole(role, OUTSIDER, sender=sender)
        with reverts(MISSING_ROLE):
            timelock.revokeRole(role, PROPOSER, sender=sender)
    operation = (timelock, 0, timelock.encode("grantRole", role, RECEIVER), NO_DEPENDENCY, SALT)
    timelock.schedule(*operation, DELAY, sender=PROPOSER)
    evm.travel(DELAY)
    timelock.execute(*operation, sender=EXECUTOR)
    assert timelock.hasRole(role, RECEIVER)


def test_roles__renounced__by_the_holder_only(timelock: Contract):
    role = timelock.PROPOSER_ROLE()
    with reverts("access_control: can only renounce roles for itself"):
        timelock.renounceRole(role, PROPOSER, sender=OUTSIDER)
    timelock.renounceRole(role, PROPOSER, sender=PROPOSER)
    assert not timelock.hasRole(role, PROPOSER)


def test_execute__with_ether__sends_it_along(evm: Evm, timelock: Contract, pool: Contract):
    timelock.receive(sender=STAKER, value=ETHER)
    operation = (pool, ETHER, pool.encode("deposit", ETHER, RECEIVER), NO_DEPENDENCY, SALT)
    timelock.schedule(*operation, DELAY, sender=PROPOSER)
    evm.travel(DELAY)
    timelock.execute(*operation, sender=EXECUTOR)
    assert evm.balance(timelock) == 0
    assert pool.balanceOf(RECEIVER) > 0
