"""`raise_pending_loss`: a slashing that was proven lowers the exit rate at once, and reports take over from there."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.evm import DAY, ETHER, Contract, Evm, reverts
from tests.protocol import GUARDIAN, GWEI, ORACLE, OUTSIDER, PARAMETERS, RECEIVER, SAVER, STAKER, Protocol

U96 = 2**96 - 1
MISSING_ROLE = "access_control: account is missing role"
SLASHED = 3 * ETHER // GWEI
"""Gwei: less than one per cent of the assets."""


def assets_of(pool: Contract) -> int:
    """Wei behind all shares, locked rewards included."""
    return int(pool.state()[0] >> 96 & U96)


def raised_of(pool: Contract) -> int:
    """Gwei that the pool says were ever raised."""
    return int(pool.state()[5] >> 192)


def exit_price(pool: Contract) -> Fraction:
    """Wei that a share pays who leaves, exactly."""
    value, supply = pool.entry_price()
    return Fraction(value - min(pool.pending_loss(), value), supply)


# --- at once ---


def test_raise__proven_slashing__lowers_the_exit_rate_and_nothing_else(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    (value, supply), before = pool.entry_price(), pool.state()
    protocol.registry.raise_pending_loss(pool, SLASHED)
    assert [(e.name, e.fields) for e in evm.events(pool)] == [("PendingLossRaised", {"amount": 3 * ETHER})]
    assert pool.pending_loss() == 3 * ETHER
    assert pool.entry_price() == (value, supply)
    assert pool.exit_rate() == (value - 3 * ETHER) * 10**18 // supply
    away, flows = before[2] + (3 * ETHER << 96), before[5] + (SLASHED << 192)
    assert pool.state() == [*before[:2], away, *before[3:5], flows, *before[6:]]


def test_raise__several__add_up(protocol: Protocol):
    pool = protocol.pool
    protocol.report(pending_loss=ETHER)
    for gwei in (1, SLASHED, 0, 7):
        assert protocol.raise_pending_loss(gwei) == gwei * GWEI
    assert pool.pending_loss() == ETHER + (SLASHED + 8) * GWEI
    assert raised_of(pool) == SLASHED + 8


@pytest.mark.parametrize("sender", ["outsider", "admin", "oracle", "pauser"])
def test_raise__not_the_registry__reverts(protocol: Protocol, sender: str):
    caller = {"outsider": OUTSIDER, "admin": protocol.admin, "oracle": ORACLE, "pauser": GUARDIAN}[sender]
    with reverts(MISSING_ROLE):
        protocol.pool.raise_pending_loss(1, sender=caller)


def test_raise__former_registry__reverts(protocol: Protocol):
    pool = protocol.pool
    pool.revokeRole(pool.REGISTRY_ROLE(), protocol.registry, sender=protocol.admin)
    with reverts(MISSING_ROLE):
        protocol.registry.raise_pending_loss(pool, 1)


@pytest.mark.parametrize("gwei", [2**256 - 1, 2**192, 10**15])
def test_raise__more_than_is_outside__stops_there(protocol: Protocol, gwei: int):
    """What is in the buffer was never with a validator. The counter says what was counted, not what was asked for."""
    pool = protocol.pool
    protocol.report(pending_loss=ETHER + 1)
    room = (pool.outside() - ETHER - 1) // GWEI
    assert protocol.raise_pending_loss(gwei) == room * GWEI
    assert raised_of(pool) == room
    assert 0 <= pool.outside() - pool.pending_loss() < GWEI
    assert pool.exit_rate() > 0
    # Nothing is left to lose but a fraction of a Gwei.
    assert protocol.raise_pending_loss(gwei) == 0
    assert raised_of(pool) == room


@pytest.mark.parametrize("left", [0, 1, GWEI - 1, GWEI, GWEI + 1])
def test_raise__little_left_outside__counts_whole_gwei_of_it(protocol: Protocol, left: int):
    pool = protocol.pool
    protocol.report(pending_loss=pool.outside() - left)
    assert protocol.raise_pending_loss(5) == left // GWEI * GWEI
    assert pool.outside() - pool.pending_loss() == left % GWEI


def test_raise__nothing_outside__counts_nothing(fresh: Protocol):
    fresh.stake(10 * ETHER)
    assert fresh.raise_pending_loss(SLASHED) == 0
    assert (fresh.pool.pending_loss(), raised_of(fresh.pool)) == (0, 0)
    assert fresh.pool.exit_rate() == fresh.pool.entry_rate()


def test_raise__over_one_percent__closes_deposits_from_that_wei(protocol: Protocol):
    pool = protocol.pool
    line = assets_of(pool) // 100 // GWEI
    protocol.raise_pending_loss(line)
    protocol.stake(GWEI)
    protocol.report(pending_loss=assets_of(pool) // 100 - GWEI + 1)
    protocol.raise_pending_loss(1)
    assert pool.pending_loss() == assets_of(pool) // 100 + 1
    assert pool.maxDeposit(STAKER) == pool.maxMint(STAKER) == 0
    assert protocol.lens.protocol().limits.deposits_refused
    with reverts("deposit: loss pending"):
        protocol.stake(ETHER)


def test_raise__a_gwei__closes_the_instant_exit(protocol: Protocol):
    pool = protocol.pool
    assert pool.maxRedeem(STAKER) > 0
    protocol.raise_pending_loss(1)
    assert pool.maxRedeem(STAKER) == pool.maxWithdraw(STAKER) == 0
    with reverts("instant: over the limit"):
        pool.redeem(ETHER, RECEIVER, STAKER, sender=STAKER)
    with reverts("instant: over the limit"):
        pool.withdraw(ETHER, RECEIVER, STAKER, sender=STAKER)
    protocol.report()
    assert pool.maxRedeem(STAKER) > 0


def test_raise__exits_wait__they_are_paid_less_at_once(evm: Evm, protocol: Protocol):
    """Eligible exits too: who asked before the slashing has no better price than who stays."""
    pool = protocol.pool
    protocol.request(10 * ETHER)
    protocol.report()
    with evm.undone():
        full = pool.fulfil()[1]
    value, supply = pool.entry_price()
    protocol.raise_pending_loss(SLASHED)
    before = exit_price(pool)
    shares, paid = pool.fulfil()
    assert (shares, paid) == (10 * ETHER, 10 * ETHER * (value - 3 * ETHER) // supply)
    assert full - paid == pytest.approx(3 * ETHER * 10 * ETHER // supply, abs=1)
    assert evm.events(pool, "Fulfilled")[0].fields["settled_loss"] == 3 * ETHER * shares // supply
    assert exit_price(pool) == pytest.approx(before, rel=1e-15)
    assert exit_price(pool) >= before


def test_raise__while_everything_is_paused__counts(evm: Evm, protocol: Protocol):
    protocol.pool.pause(7, evm.now + DAY, sender=GUARDIAN)
    assert protocol.raise_pending_loss(SLASHED) == 3 * ETHER


# --- and the next report ---


def test_report__reference_before_the_raise__keeps_it(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    at_ref = protocol.next_report(pending_loss=ETHER)
    protocol.raise_pending_loss(SLASHED)
    pool.report(at_ref, sender=ORACLE)
    assert evm.events(pool, "Reported")[0].fields["pending_loss"] == pool.pending_loss() == 4 * ETHER
    assert raised_of(pool) == SLASHED


def test_report__reference_after_the_raise__says_how_much_it_is(protocol: Protocol):
    pool = protocol.pool
    protocol.raise_pending_loss(SLASHED)
    protocol.report(pending_loss=2 * ETHER)
    assert pool.pending_loss() == 2 * ETHER
    protocol.report(gain=-2 * ETHER)
    assert (pool.pending_loss(), pool.deficit()) == (0, 2 * ETHER)


def test_report__reference_between_two_raises__keeps_the_second(protocol: Protocol):
    pool = protocol.pool
    protocol.raise_pending_loss(SLASHED)
    at_ref = protocol.next_report(pending_loss=2 * ETHER)
    protocol.raise_pending_loss(7)
    pool.report(at_ref, sender=ORACLE)
    assert pool.pending_loss() == 2 * ETHER + 7 * GWEI
    # And a report after both knows of both.
    protocol.report(pending_loss=ETHER)
    assert pool.pending_loss() == ETHER


def test_report__old_raises__are_not_counted_again(protocol: Protocol):
    pool = protocol.pool
    for _ in range(3):
        protocol.raise_pending_loss(SLASHED)
        protocol.report()
        assert pool.pending_loss() == 0
    assert raised_of(pool) == 3 * SLASHED
    assert protocol.report(raised_at_ref=2 * SLASHED)["pending_loss"] == 3 * ETHER


def test_report__raises_ahead_of_the_pool__reverts(protocol: Protocol):
    with reverts("report: raises ahead of pool"):
        protocol.report(raised_at_ref=1)
    protocol.raise_pending_loss(SLASHED)
    for ahead in (SLASHED + 1, 2**256 - 1):
        with reverts("report: raises ahead of pool"):
            protocol.report(raised_at_ref=ahead)
    protocol.report(raised_at_ref=SLASHED)


def test_report__raised_and_reported_beyond_what_is_outside__stops_there(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    evm.fund(protocol.withdrawal_vault, pool.outside())
    at_ref = protocol.next_report(withdrawn=pool.outside() - ETHER, pending_loss=ETHER)
    protocol.raise_pending_loss(SLASHED)
    pool.report(at_ref, sender=ORACLE)
    assert pool.outside() == pool.pending_loss() == ETHER


def test_report__raise_over_one_percent__keeps_deposits_closed_until_a_report_knows(protocol: Protocol):
    pool = protocol.pool
    at_ref = protocol.next_report()
    protocol.raise_pending_loss(20 * SLASHED)
    pool.report(at_ref, sender=ORACLE)
    with reverts("deposit: loss pending"):
        protocol.stake(ETHER)
    protocol.report(pending_loss=ETHER)
    protocol.stake(ETHER)


def test_report__withdrawals_and_deposits__leave_the_counter_alone(evm: Evm, protocol: Protocol):
    """Three counters share a word."""
    pool = protocol.pool
    protocol.raise_pending_loss(7)
    evm.fund(protocol.withdrawal_vault, 32 * ETHER)
    protocol.stake(100 * ETHER)
    sent = protocol.to_validators()
    before = pool.state()[5]
    protocol.report(withdrawn=32 * ETHER)
    assert sent > 0
    assert pool.state()[5] == before + (32 * ETHER << 96)
    assert raised_of(pool) == 7
    protocol.raise_pending_loss(9)
    assert pool.state()[5] == before + (32 * ETHER << 96) + (9 << 192)


# --- leavers, and those who stay ---


def test_report__after_the_raise_and_leavers__charges_and_pays_nobody_twice(evm: Evm, protocol: Protocol):
    """What leavers bore is not pending again for those who stay, and no gain either: the exit rate does not move."""
    pool, cl = protocol.pool, protocol.pool.outside()
    evm.travel(2 * DAY)
    protocol.request(40 * ETHER)
    protocol.report()
    protocol.raise_pending_loss(SLASHED)
    pool.fulfil()
    price, deficit = exit_price(pool), pool.deficit()
    for _ in range(3):
        evm.travel(DAY)
        reported = protocol.report(cl=cl, pending_loss=3 * ETHER)
        assert (reported["gain"], reported["fee_shares"]) == (0, 0)
        assert exit_price(pool) == price
    # The loss comes out as it was said: the price stays, and the deficit is that of those who stay.
    reported = protocol.report(cl=cl - 3 * ETHER)
    assert pool.pending_loss() == 0
    assert exit_price(pool) == price
    assert -reported["gain"] == pool.deficit() - deficit < 3 * ETHER


def test_report__under_way_while_raised_and_leavers__charges_and_pays_nobody_twice(evm: Evm, protocol: Protocol):
    """The same for a report whose reference slot came before: it knows of no loss, and finds too little outside."""
    pool, cl = protocol.pool, protocol.pool.outside()
    evm.travel(2 * DAY)
    protocol.request(40 * ETHER)
    protocol.report()
    evm.travel(DAY)
    at_ref = protocol.next_report()
    protocol.raise_pending_loss(10 * SLASHED)
    pool.fulfil()
    price, pending_loss = exit_price(pool), pool.pending_loss()
    pool.report(at_ref, sender=ORACLE)
    reported = evm.events(pool, "Reported")[0].fields
    assert (reported["gain"], reported["fee_shares"], reported["pending_loss"]) == (0, 0, pending_loss)
    assert exit_price(pool) == price
    evm.travel(DAY)
    protocol.report(cl=cl, pending_loss=30 * ETHER)
    assert exit_price(pool) == price
    evm.travel(DAY)
    protocol.report(cl=cl - 30 * ETHER)
    assert exit_price(pool) == price
    assert pool.deficit() == pending_loss


def test_report__slashing_smaller_than_raised__gives_the_rest_back_slowly(evm: Evm, protocol: Protocol):
    """What leavers bore too much is a gain like any other: it is metered, and streams to those who stay."""
    pool, cl = protocol.pool, protocol.pool.outside()
    evm.travel(2 * DAY)
    protocol.request(40 * ETHER)
    protocol.report()
    protocol.raise_pending_loss(SLASHED)
    pool.fulfil()
    missing = cl - pool.outside()
    evm.travel(DAY)
    entry = pool.entry_price()
    room = assets_of(pool) * PARAMETERS.rise_bps // (10_000 * 365)
    reported = protocol.report(cl=cl)
    assert reported["gain"] == min(missing, room) > 0
    assert 0 <= pool.entry_price()[0] * entry[1] - entry[0] * pool.entry_price()[1] < entry[0]
    assert pool.exit_rate() == pool.entry_rate()


def test_raise__in_and_out_around_it__earns_nothing(evm: Evm, protocol: Protocol):
    """Who proves the slashing chooses the moment: in before, out after, with the queue and the report in between."""
    pool, queue, cl = protocol.pool, protocol.queue, protocol.pool.outside()
    protocol.report()
    evm.travel(2 * DAY)
    protocol.stake(20 * ETHER, OUTSIDER)
    protocol.raise_pending_loss(SLASHED)
    ticket = protocol.request(pool.balanceOf(OUTSIDER), OUTSIDER)
    kept = Fraction(pool.balanceOf(SAVER)) * exit_price(pool)
    evm.travel(DAY)
    protocol.report(cl=cl, pending_loss=3 * ETHER)
    pool.fulfil()
    assert queue.claimable(ticket) < 20 * ETHER
    protocol.report(cl=cl - 3 * ETHER)
    assert Fraction(pool.balanceOf(SAVER)) * exit_price(pool) >= kept


# --- when reports have stopped ---


def test_declare_stale__after_a_raise__leaves_enough_outside_to_lose(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.raise_pending_loss(pool.outside() // GWEI - 5 * ETHER // GWEI)
    left = pool.outside() - pool.pending_loss()
    evm.fund(protocol.withdrawal_vault, 32 * ETHER)
    evm.travel(PARAMETERS.stale_after)
    pool.declare_stale()
    assert evm.events(pool, "DeclaredStale")[0].fields["swept"] == left < 32 * ETHER
    assert pool.outside() == pool.pending_loss()
    assert protocol.raise_pending_loss(1) == 0


def test_raise__after_declare_stale__counts_what_is_left_and_the_next_report_sees_it_right(
    evm: Evm, protocol: Protocol
):
    """Gifts swept as principal make less outside than there is: only that can be raised, and the books meet again."""
    pool, cl = protocol.pool, protocol.pool.outside()
    gift = cl - ETHER
    evm.fund(protocol.withdrawal_vault, gift)
    evm.travel(PARAMETERS.stale_after)
    pool.declare_stale()
    assert pool.outside() == ETHER
    at_ref = protocol.next_report(cl=cl, withdrawn_at_ref=0, donated=gift)
    assert protocol.raise_pending_loss(SLASHED) == ETHER
    assert pool.exit_rate() > 0
    pool.report(at_ref, sender=ORACLE)
    # The chain paid out nothing, so what is outside is still what the gift left of it.
    assert (pool.outside(), pool.pending_loss()) == (ETHER, ETHER)
    # The loss is settled: it falls on what is really there, of which the pool had counted a part only.
    protocol.report(cl=cl - 3 * ETHER, withdrawn_at_ref=0, donated_at_ref=gift)
    assert (pool.outside(), pool.pending_loss()) == (0, 0)


def test_raise__oracle_is_silent__exits_go_on_at_the_lower_rate(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.request(10 * ETHER)
    evm.travel(PARAMETERS.stale_after)
    protocol.raise_pending_loss(SLASHED)
    price = exit_price(pool)
    pool.declare_stale(sender=OUTSIDER)
    assert pool.fulfil()[1] == int(10 * ETHER * price)
