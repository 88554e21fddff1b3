"""What a pair says about itself: price, its mean over time, share value, locked fees."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, reverts
from tests.pair import Pair, collapsed, exact_price
from tests.protocol import SAVER, Protocol

QUESTIONS = [
    ("price", ()),
    ("price_cumulative", ()),
    ("virtual_price", ()),
    ("fee", ()),
    ("preview_buy", (ETHER,)),
    ("preview_sell", (ETHER,)),
    ("preview_remove_one", (ETHER, False)),
]


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


def test_price__after_trades__is_the_slope_of_the_curve(pair: Pair):
    for trade in (lambda: None, lambda: pair.sell(50 * ETHER), lambda: pair.buy(120 * ETHER)):
        trade()
        exact = exact_price(*pair.sides(), 200) * ETHER
        assert abs(pair.contract.price() - exact) < 10**6


def test_price__of_dear_floeth__is_above_one(pair: Pair):
    pair.buy(60 * ETHER)
    assert pair.contract.price() > ETHER
    pair.sell(90 * ETHER)
    assert pair.contract.price() < ETHER


def test_price_cumulative__of_two_prices__gives_their_mean_by_time(pair: Pair):
    contract, evm = pair.contract, pair.evm
    # No rewards stream in, so that the price moves with trades alone.
    evm.travel(360 * DAY)
    pair.sell(ETHER)
    start, at = contract.price_cumulative()
    assert at == evm.now
    first = contract.price()
    evm.travel(300)
    assert contract.price_cumulative() == (start + 300 * first, evm.now)
    pair.sell(40 * ETHER)
    second = contract.price()
    # A trade counts from its own second on, and a second one in it changes nothing.
    pair.sell(ETHER)
    pair.buy(ETHER)
    third = contract.price()
    assert contract.price_cumulative() == (start + 300 * first, evm.now)
    evm.travel(100)
    end, at = contract.price_cumulative()
    assert end == start + 300 * first + 100 * third
    assert second < (end - start) // 400 < first


@pytest.mark.parametrize("change", ["buy", "sell", "add", "remove", "remove_one"])
def test_price_cumulative__any_change_of_the_books__notes_the_price_before_it(pair: Pair, change: str):
    contract, evm = pair.contract, pair.evm
    evm.travel(360 * DAY)
    pair.buy(30 * ETHER)
    start, _ = contract.price_cumulative()
    price = contract.price()
    evm.travel(1_000)
    {
        "buy": lambda: pair.buy(20 * ETHER),
        "sell": lambda: pair.sell(20 * ETHER),
        "add": lambda: pair.add(20 * ETHER, 0),
        "remove": lambda: pair.remove(20 * ETHER, SAVER),
        "remove_one": lambda: pair.remove_one(20 * ETHER, True, SAVER),
    }[change]()
    assert contract.price_cumulative()[0] == start + 1_000 * price


def test_virtual_price__as_rewards_stream__grows_by_their_part(pair: Pair):
    """Half of the pair is floETH: its share value grows by about half of what the rate does."""
    contract = pair.contract
    before, rate = contract.virtual_price(), pair.pool.entry_rate()
    pair.protocol.report(gain=10**17)
    pair.evm.travel(30 * DAY)
    grown, rate_grown = contract.virtual_price() / before - 1, pair.pool.entry_rate() / rate - 1
    assert rate_grown > 10**-5
    assert grown == pytest.approx(rate_grown * 0.49, rel=0.02)


def test_locked__over_a_day__falls_in_a_straight_line(pair: Pair):
    contract, evm = pair.contract, pair.evm
    pair.sell(50 * ETHER)
    locked = contract.locked()
    for seconds in (1, DAY // 2, DAY - 1):
        with evm.undone():
            evm.travel(seconds)
            assert contract.locked() == locked - locked * seconds // DAY
    evm.travel(DAY)
    assert contract.locked() == 0


def test_locked__touched_all_day__is_down_by_63_percent(pair: Pair):
    """Each touch notes what is left as new: slower than in one go, but never less than that."""
    contract, evm = pair.contract, pair.evm
    pair.sell(50 * ETHER)
    locked = contract.locked()
    added = 0
    for _ in range(144):
        evm.travel(DAY // 144)
        before = contract.locked()
        pair.buy(10**9)
        added += contract.locked() - before
    assert 0.3 < (contract.locked() - added) / locked < 0.37


@pytest.mark.parametrize("question", QUESTIONS, ids=[name for name, _ in QUESTIONS])
def test_view__without_liquidity_or_value__says_so(protocol: Protocol, fresh: Protocol, question):
    name, arguments = question
    for pair in (Pair(protocol, 0, 0), collapsed(fresh, 0, 1)):
        with reverts("pair: no value"):
            getattr(pair.contract, name)(*arguments)


@pytest.mark.parametrize("question", QUESTIONS, ids=[name for name, _ in QUESTIONS])
def test_view__where_there_is_no_price__says_so(fresh: Protocol, question):
    """The rate fell to a ten-millionth: one side is worth more than a million times the other."""
    pair = collapsed(fresh, 1, 10**7)
    name, arguments = question
    with reverts("pair: too far from balance"):
        getattr(pair.contract, name)(*arguments)
    # What needs no price still answers.
    assert pair.contract.amplification() == 20_000
    assert min(pair.contract.balances()) > 0
    assert pair.contract.locked() == 0
    assert pair.contract.admin_fees() == (0, 0)
