"""Parameters, ceiling, fee recipient, pauses and roles: what the admin and the pauser may do."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import (
    DEPOSIT,
    FULFIL,
    GUARDIAN,
    INSTANT_EXIT,
    MAX_CEILING_GWEI,
    ORACLE,
    OUTSIDER,
    PARAMETERS,
    RECEIVER,
    STAKER,
    Protocol,
)

MISSING_ROLE = "access_control: account is missing role"
MAX_PAUSE = 14 * DAY


@pytest.mark.parametrize("changes", [{"fee_bps": 0}, {"rise_bps": 101, "period": 3_601}, {"stale_after": 2 * DAY}])
def test_set_parameters__by_the_admin__replaces_them(protocol: Protocol, changes: dict[str, int]):
    pool, wanted = protocol.pool, PARAMETERS._replace(**changes)
    pool.set_parameters(wanted, sender=protocol.admin)
    assert protocol.evm.events(pool)[0].fields == {"parameters": wanted}
    assert protocol.lens.protocol().limits.parameters == wanted


def test_set_parameters__out_of_bounds__reverts(protocol: Protocol):
    """Each bound is tried in test_lib_parameters.py."""
    with reverts("parameter: out of bounds"):
        protocol.pool.set_parameters(PARAMETERS._replace(fee_bps=2_001), sender=protocol.admin)


def test_set_parameters__all_at_their_ceilings__fit_together(protocol: Protocol):
    most = type(PARAMETERS)(2_000, 5_000, 2_000, 2_000, 50_000, 50_000, 30 * DAY, 30 * DAY)
    protocol.pool.set_parameters(most, sender=protocol.admin)
    assert protocol.lens.protocol().limits.parameters == most


def test_set_parameters__changed__leave_prices_alone(protocol: Protocol):
    pool = protocol.pool
    before = pool.entry_price(), pool.exit_rate(), pool.locked()
    protocol.set_parameters(fee_bps=2_000, period=3_600, rise_bps=100)
    assert (pool.entry_price(), pool.exit_rate(), pool.locked()) == before


def test_set_deposit_ceiling__bound__is_inclusive(protocol: Protocol):
    pool = protocol.pool
    with reverts("parameter: out of bounds"):
        pool.set_deposit_ceiling(MAX_CEILING_GWEI + 1, sender=protocol.admin)
    for gwei in (MAX_CEILING_GWEI, 0, 123):
        before = pool.locked(), protocol.lens.protocol().stream_end
        pool.set_deposit_ceiling(gwei, sender=protocol.admin)
        assert protocol.evm.events(pool)[0].fields == {"gwei_": gwei}
        assert protocol.lens.protocol().limits.deposit_ceiling == gwei * 10**9
        assert (pool.locked(), protocol.lens.protocol().stream_end) == before


@pytest.mark.parametrize("recipient", ["nobody", "pool", "queue"])
def test_set_fee_recipient__shares_would_be_lost__reverts(protocol: Protocol, recipient: str):
    refused = {"nobody": ZERO, "pool": protocol.pool, "queue": protocol.queue}[recipient]
    with reverts("receiver: refused"):
        protocol.pool.set_fee_recipient(refused, sender=protocol.admin)


def test_set_fee_recipient__set__gets_the_next_fee(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    pool.set_fee_recipient(RECEIVER, sender=protocol.admin)
    assert evm.events(pool)[0].fields == {"recipient": RECEIVER}
    evm.travel(DAY)
    fee_shares = protocol.report(gain=ETHER // 10)["fee_shares"]
    assert pool.balanceOf(RECEIVER) == fee_shares > 0


@pytest.mark.parametrize("sender", ["outsider", "oracle", "pauser"])
def test_settings__not_the_admin__revert(protocol: Protocol, sender: str):
    pool = protocol.pool
    caller = {"outsider": OUTSIDER, "oracle": ORACLE, "pauser": GUARDIAN}[sender]
    with reverts(MISSING_ROLE):
        pool.set_parameters(PARAMETERS, sender=caller)
    with reverts(MISSING_ROLE):
        pool.set_deposit_ceiling(0, sender=caller)
    with reverts(MISSING_ROLE):
        pool.set_fee_recipient(RECEIVER, sender=caller)
    with reverts(MISSING_ROLE):
        pool.grantRole(pool.ORACLE_ROLE(), OUTSIDER, sender=caller)
    with reverts(MISSING_ROLE):
        pool.revokeRole(pool.ORACLE_ROLE(), ORACLE, sender=caller)


# --- pause ---


@pytest.mark.parametrize("functions", range(8))
def test_pause__any_set_of_functions__stops_just_those(evm: Evm, protocol: Protocol, functions: int):
    pool = protocol.pool
    protocol.request(2 * ETHER)
    protocol.report()
    until = evm.now + MAX_PAUSE
    pool.pause(functions, until, sender=GUARDIAN)
    assert evm.events(pool)[0].fields == {"functions": functions, "until": until}
    limits = protocol.lens.protocol().limits
    assert limits.deposit_paused_until == (until if functions & DEPOSIT else 0)
    assert limits.fulfil_paused_until == (until if functions & FULFIL else 0)
    assert limits.instant_exit_paused_until == (until if functions & INSTANT_EXIT else 0)
    assert (pool.maxDeposit(STAKER) == 0) is bool(functions & DEPOSIT)
    assert (pool.maxRedeem(STAKER) == 0) is bool(functions & INSTANT_EXIT)
    if functions & FULFIL:
        with reverts("fulfil: paused"):
            pool.fulfil()
    else:
        pool.fulfil()


def test_pause__longer_than_fourteen_days__reverts(evm: Evm, pool: Contract):
    with reverts("pause: too long"):
        pool.pause(DEPOSIT, evm.now + MAX_PAUSE + 1, sender=GUARDIAN)
    pool.pause(DEPOSIT, evm.now + MAX_PAUSE, sender=GUARDIAN)


def test_pause__time_that_has_passed__resumes(evm: Evm, pool: Contract, protocol: Protocol):
    pool.pause(DEPOSIT, evm.now + DAY, sender=GUARDIAN)
    pool.pause(DEPOSIT, 0, sender=GUARDIAN)
    protocol.stake(ETHER)


@pytest.mark.parametrize("sender", ["outsider", "admin", "holder"])
def test_pause__not_the_pauser__reverts(protocol: Protocol, sender: str):
    caller = {"outsider": OUTSIDER, "admin": protocol.admin, "holder": STAKER}[sender]
    with reverts(MISSING_ROLE):
        protocol.pool.pause(DEPOSIT, 0, sender=caller)


# --- roles ---


def test_roles__admin_replaces_the_oracle__at_once(protocol: Protocol):
    pool, role = protocol.pool, protocol.pool.ORACLE_ROLE()
    pool.revokeRole(role, ORACLE, sender=protocol.admin)
    pool.grantRole(role, RECEIVER, sender=protocol.admin)
    with reverts(MISSING_ROLE):
        protocol.report()
    pool.report(protocol.next_report(), sender=RECEIVER)
