"""The attacker in a few markets, and that he would be seen to gain where there is something to gain."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.stateful import attacker
from tests.stateful.attacker import STRATEGIES, Market, Play, Tally, attack

MARKETS = 50


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.fixture
def naive_victims() -> Iterator[None]:
    """Victims accept a tenth less than quoted."""
    attacker.TOLERANCE = 100_000
    yield
    attacker.TOLERANCE = None


def test_attacker__few_markets__never_gains(market: Market):
    tally = Tally()
    for seed in range(MARKETS):
        attack(market, seed, tally)
    assert not tally.profits, tally.profits[0]
    assert tally.played == dict.fromkeys(STRATEGIES, MARKETS)
    assert all(acted > MARKETS // 2 for acted in tally.acted.values()), tally.table()


def test_attacker__same_market_again__same_results(market: Market):
    results = []
    for _ in range(2):
        tally = Tally()
        attack(market, 12345, tally)
        results.append((tally.best, tally.impact))
    assert results[0] == results[1]


@pytest.mark.usefixtures("naive_victims")
def test_sandwich__victims_accept_too_little__is_seen_to_gain(market: Market):
    tally = Tally()
    for seed in range(8):
        attack(market, seed, tally)
    assert tally.best["sandwich"] > 10**12
    assert any("sandwich" in profit for profit in tally.profits)


def test_play__something_for_nothing__is_seen(market: Market):
    with market.undone():
        market.draw(Random("any"))
        play = Play(market, Random("any"))
        play.begin()
        market.send(attacker.VICTIM, market.pool, "transfer", attacker.ATTACKER, 5)
        assert play.end() > 0


def test_play__fees_of_a_victim_in_his_liquidity__are_seen(market: Market):
    with market.undone():
        market.draw(Random("any"))
        play = Play(market, Random("any"))
        play.begin()
        play.provide(market.liquidity)
        market.travel(12)

        def trade() -> None:
            """Let a day pass unseen within what counts as the victim's trade: the fee is his."""
            market.order(True, market.liquidity // 100)
            market.travel(86_400)

        play.victim(trade, "victim trades")
        assert play.end() > 0


def test_main__one_market__table_and_0(capsys: pytest.CaptureFixture[str]):
    assert attacker.main(["--markets", "1", "--processes", "1"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in STRATEGIES)
    assert "0 profits in 1 markets" in table
