"""RateProvider: the exit rate, in the shapes that markets ask for, with times that are true."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, Contract, Evm, reverts
from tests.protocol import OUTSIDER, STAKER, Protocol


@pytest.fixture
def feed(protocol: Protocol) -> Contract:
    return protocol.evm.deploy("RateProvider", protocol.pool)


def reported_at(protocol: Protocol) -> int:
    return int(protocol.lens.protocol().reported_at)


def test_feed__deployed__says_what_it_is(protocol: Protocol, feed: Contract):
    assert feed.pool() == protocol.pool.address
    assert (feed.decimals(), feed.version()) == (18, 1)
    assert feed.description() == "floETH / ETH, what leavers get"


def test_get_rate__any_second__is_the_pools_exit_rate(evm: Evm, protocol: Protocol, feed: Contract):
    rates = []
    for _ in range(4):
        assert feed.getRate() == protocol.pool.exit_rate() > ETHER
        rates.append(feed.getRate())
        evm.travel(3_600)
    assert rates == sorted(set(rates)), "rewards stream: it rises all the time"


def test_get_rate__loss_known__falls_in_the_same_second_and_entry_does_not(protocol: Protocol, feed: Contract):
    entry, before = protocol.pool.entry_rate(), feed.getRate()
    lost = protocol.raise_pending_loss(3 * 10**9)
    assert lost == 3 * ETHER
    value, shares = protocol.pool.entry_price()
    assert feed.getRate() == (value - lost) * ETHER // shares < before
    assert feed.latestRoundData()[1] == feed.getRate()
    assert protocol.pool.entry_rate() == entry


def test_get_rate__shares_without_value__is_0(worthless: Protocol):
    feed = worthless.evm.deploy("RateProvider", worthless.pool)
    assert feed.getRate() == feed.latestRoundData()[1] == 0


def test_get_rate__gifts_and_trades__do_not_move_it(evm: Evm, protocol: Protocol, feed: Contract):
    before = feed.getRate()
    evm.force(protocol.pool, 1_000 * ETHER)
    evm.force(feed, ETHER)
    protocol.stake(777 * ETHER)
    protocol.pool.redeem(ETHER, STAKER, STAKER, sender=STAKER)
    # Fees of an instant exit are streamed, roundings stay with holders.
    assert 0 <= feed.getRate() - before <= 1


def test_latest_round__between_reports__keeps_the_time_of_the_last(evm: Evm, protocol: Protocol, feed: Contract):
    at = reported_at(protocol)
    assert at < evm.now
    evm.travel(5 * DAY)
    protocol.pool.declare_stale(sender=OUTSIDER)
    protocol.stake(ETHER)
    assert feed.latestRoundData() == (at, protocol.pool.exit_rate(), at, at, at)
    protocol.report()
    assert feed.latestRoundData() == (evm.now, protocol.pool.exit_rate(), evm.now, evm.now, evm.now)


def test_latest_round__no_report_yet__is_the_deployment(fresh: Protocol):
    feed = fresh.evm.deploy("RateProvider", fresh.pool)
    fresh.evm.travel(DAY)
    assert feed.latestRoundData() == (fresh.evm.now - DAY, ETHER, *[fresh.evm.now - DAY] * 3)


def test_get_round__latest__is_what_latest_says(protocol: Protocol, feed: Contract):
    assert feed.getRoundData(reported_at(protocol)) == feed.latestRoundData()


def test_get_round__any_other__reverts(evm: Evm, protocol: Protocol, feed: Contract):
    earlier = reported_at(protocol)
    evm.travel(DAY)
    protocol.report()
    for number in (0, 1, earlier, evm.now - 1, evm.now + 1, 2**80 - 1):
        with reverts("feed: no such round"):
            feed.getRoundData(number)
    assert feed.getRoundData(evm.now)[3] == evm.now
