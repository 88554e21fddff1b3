"""What has gone wrong elsewhere with pairs, tried on this one. Numbers are the rows of tests/THREATS.md."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, Contract, Evm, RevertError, reverts
from tests.pair import MAX_RATIO, MIN_SIDE, Pair, exact_value
from tests.protocol import OUTSIDER, SAVER, STAKER, UNLIMITED, Protocol

KNOWN = {
    "pair: no value",
    "pair: too small",
    "pair: too far from balance",
    "pair: fresh liquidity",
    "balance: too low",
    "erc20: burn amount exceeds balance",
}
"""How anything may be refused here."""


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


def wealth(pair: Pair, account: str) -> Decimal:
    """Return what an account has, in wei: ETH, floETH at the entry price, and its part of both sides of the pair."""
    value, supply = pair.pool.entry_price()
    eth, floeth = pair.contract.balances()
    part = Decimal(pair.contract.balanceOf(account)) / Decimal(max(pair.contract.totalSupply(), 1))
    shares = Decimal(pair.pool.balanceOf(account)) + part * int(floeth)
    return Decimal(pair.evm.balance(account)) + part * int(eth) + shares * int(value) / int(supply)


# --- the first ---


@pytest.mark.parametrize("gift", [1, ETHER // 10, 1_000 * ETHER])
def test_bad_017_inflation__gifts_around_the_first_deposit__are_the_fee_receivers(protocol: Protocol, gift: int):
    pair = Pair(protocol, 0, 0)
    with reverts("pair: first deposit"):
        pair.add(2, 2, SAVER)
    pair.add(ETHER // 10, ETHER // 10, SAVER)
    price = pair.contract.virtual_price()
    pair.evm.force(pair.contract, gift)
    pair.pool.transfer(pair.contract, min(gift, ETHER), sender=SAVER)
    assert pair.contract.virtual_price() == price
    before = wealth(pair, STAKER)
    minted = pair.add(ETHER, ETHER)
    assert minted > 19 * ETHER // 10
    # The victim pays the fee on what is out of proportion, and has the rest.
    assert before - wealth(pair, STAKER) < ETHER // 2_000
    assert sum(pair.contract.admin_fees()) == gift + min(gift, ETHER)


def test_bad_018_035_gifts__of_any_size__move_no_price(pair: Pair):
    contract = pair.contract
    before = (
        contract.price(),
        contract.virtual_price(),
        contract.balances(),
        contract.fee(),
        contract.preview_sell(ETHER),
    )
    pair.evm.force(contract, 10**6 * ETHER)
    pair.pool.transfer(contract, 10 * ETHER, sender=SAVER)
    after = (
        contract.price(),
        contract.virtual_price(),
        contract.balances(),
        contract.fee(),
        contract.preview_sell(ETHER),
    )
    assert after == before
    pair.check()


# --- rounding and the solver ---


def test_bad_020_rounding__two_thousand_dust_operations__gain_nothing(pair: Pair):
    """Amounts of a few wei, where a wei of rounding is a large part."""
    dice = random.Random(20)
    before, price = wealth(pair, STAKER), pair.contract.virtual_price()
    pair.add(ETHER, ETHER)
    done = 0
    for _ in range(2_000):
        amount = dice.choice([1, 2, 3, dice.randint(1, 100), dice.randint(1, 10**6)])
        try:
            dice.choice(
                [
                    lambda n: pair.buy(n),
                    lambda n: pair.sell(n),
                    lambda n: pair.add(n, n),
                    lambda n: pair.add(n, 0),
                    lambda n: pair.remove(n),
                    lambda n: pair.remove_one(n, True),
                    lambda n: pair.remove_one(n, False),
                ]
            )(amount)
            done += 1
        except RevertError as error:
            assert error.reason in KNOWN, error
        pair.evm.travel(dice.choice([0, 0, 0, 12]))
    assert done > 500
    # Rewards stream meanwhile, into the pair's floETH as into everybody's.
    assert pair.contract.virtual_price() >= price
    pair.evm.travel(12)
    pair.remove(pair.contract.balanceOf(STAKER))
    hours = Decimal(ETHER) / 10  # more than all rewards of these hours on what the staker has
    assert wealth(pair, STAKER) <= before + hours
    pair.check()


def test_bad_020_rounding__round_trips_in_one_block__lose_a_fee_every_time(pair: Pair):
    for amount in (10**4, 10**9, ETHER, 30 * ETHER):
        before = wealth(pair, STAKER)
        pair.sell(pair.buy(amount))
        assert wealth(pair, STAKER) <= before - Decimal(amount) * 600 / 10**6
        got = pair.sell(amount)
        pair.buy(got)
        assert wealth(pair, STAKER) < before


def test_bad_022_023_last_provider__leaves_and_others_come__at_the_same_price(pair: Pair):
    contract = pair.contract
    price = contract.virtual_price()
    pair.remove(contract.balanceOf(SAVER), SAVER)
    assert contract.totalSupply() == contract.balanceOf(contract) > 0
    assert contract.virtual_price() >= price
    # The first deposit does not come again: a tiny one is no longer asked for both sides.
    eth, _ = contract.balances()
    for _ in range(3):
        before = wealth(pair, STAKER)
        pair.add(max(eth // 2, 10**6), max(eth // 2, 10**6))
        assert wealth(pair, STAKER) <= before
    pair.evm.travel(12)
    pair.add(ETHER, ETHER)
    assert contract.virtual_price() >= price


@given(data=st.data(), seed=st.integers(0, 2**32), amplification=st.sampled_from([100, 20_000, 500_000]))
@settings(max_examples=40)
def test_bad_024_solver__extreme_imbalance_and_dust__never_mints_or_pays_from_nothing(
    protocol: Protocol, data: st.DataObject, seed: int, amplification: int
):
    """As far as the pair lets itself be pushed: what all liquidity is worth, by a curve solved anew, never falls."""
    with protocol.evm.undone():
        dice = random.Random(seed)
        pair = Pair(protocol, amplification=amplification)
        contract = pair.contract
        for _ in range(12):
            eth, floeth = contract.balances()
            supply, value = contract.totalSupply(), pair.value() - contract.locked()
            size = data.draw(st.sampled_from(["dust", "some", "most", "huge"]))
            part = {"dust": dice.randint(1, 10**6), "huge": 50_000 * ETHER}.get(size, 0)
            amount = part or max(1, int(eth * (dice.random() if size == "some" else dice.uniform(1, 60))))
            liquidity = min(amount, contract.balanceOf(SAVER))
            act = dice.choice(["buy", "sell", "add", "add one", "remove", "one ether", "one share"])
            protocol.evm.fund(SAVER, amount + ETHER)
            try:
                match act:
                    case "buy":
                        pair.buy(amount, SAVER)
                    case "sell":
                        pair.sell(min(amount, pair.pool.balanceOf(SAVER)), SAVER)
                    case "add":
                        pair.add(amount, min(amount, pair.pool.balanceOf(SAVER)), SAVER)
                    case "add one":
                        pair.add(amount, 0, SAVER)
                    case "remove":
                        pair.remove(liquidity, SAVER)
                    case "one ether":
                        pair.remove_one(liquidity, True, SAVER)
                    case "one share":
                        pair.remove_one(liquidity, False, SAVER)
            except RevertError as error:
                assert error.reason in KNOWN, error
                assert contract.balances() == (eth, floeth)
                continue
            after, left = contract.totalSupply(), pair.value() - contract.locked()
            # Cross-multiplied: no share of what is free ever becomes worth less, but for the two wei of its rounding.
            assert (left + 2) * supply >= (value - 2) * after, act
            low, high = sorted(pair.sides())
            if act != "remove":
                assert low >= MIN_SIDE and high <= MAX_RATIO * low
            protocol.evm.travel(1)
            pair.check()
        assert exact_value(*pair.sides(), amplification // 100) > 0
        # Whatever it came to, whoever provided can leave.
        if contract.balanceOf(SAVER) > 10**6:
            pair.remove(contract.balanceOf(SAVER), SAVER)


# --- in before, out after ---


@pytest.mark.parametrize("size", [1, 10, 60])
def test_bad_051_sandwich__of_an_exact_quote__is_refused_by_its_minimum(pair: Pair, size: int):
    """A victim that asks for what was quoted gets it or nothing; the sandwich is then two fees of the attacker's."""
    contract = pair.contract
    quote = contract.preview_sell(5 * ETHER)
    before = wealth(pair, STAKER)
    bought = pair.sell(size * ETHER)
    with reverts("slippage: too few assets"):
        contract.sell(5 * ETHER, quote, sender=SAVER)
    pair.buy(bought)
    assert wealth(pair, STAKER) < before


def test_bad_051_just_in_time__liquidity_around_a_trade__has_to_stay_and_earns_no_fee(pair: Pair):
    contract = pair.contract
    liquidity = pair.add(50 * ETHER, 45 * ETHER)
    contract.approve(OUTSIDER, UNLIMITED, sender=STAKER)
    price = contract.virtual_price()
    pair.sell(20 * ETHER, SAVER)
    assert contract.virtual_price() == price, "the fee is locked"
    for leave in (
        lambda: pair.remove(liquidity),
        lambda: pair.remove_one(liquidity, True),
        lambda: contract.transfer(OUTSIDER, liquidity, sender=STAKER),
        lambda: contract.transferFrom(STAKER, OUTSIDER, liquidity, sender=OUTSIDER),
    ):
        with reverts("pair: fresh liquidity"):
            leave()
    pair.evm.travel(12)
    pair.remove(liquidity)


def test_bad_051_rate__that_a_report_moves__leaves_nothing_to_arbitrage(evm: Evm, protocol: Protocol, pair: Pair):
    """The pool says what floETH counts for at every moment: a report or a day of rewards is no trade for anybody."""
    before = pair.contract.price()
    evm.travel(DAY)
    protocol.report(gain=ETHER)
    evm.travel(DAY)
    value, supply = pair.pool.entry_price()
    assert value > supply
    # Both sides are what they were but for their growth: the price of value stays within the growth of one side.
    assert abs(pair.contract.price() - before) < 10**14
    wei = wealth(pair, STAKER)
    pair.sell(pair.buy(10 * ETHER))
    assert wealth(pair, STAKER) < wei


def test_bad_052_foresight__sale_of_a_known_loss__is_at_the_exit_price(protocol: Protocol, pair: Pair):
    lost, (value, _) = 30 * ETHER, pair.pool.entry_price()
    unharmed = pair.contract.preview_sell(ETHER * (value - lost) // value)
    assert protocol.raise_pending_loss(lost // 10**9) == lost
    price = pair.contract.virtual_price()
    assert abs(pair.sell(ETHER) - unharmed) <= 5
    # What the sale left behind is the providers', at once: only its fee is locked.
    assert pair.contract.virtual_price() - price > price * (lost * ETHER // value) // ETHER // 300
    assert pair.contract.locked() < ETHER // 1_000


def test_bad_056_feed__panic_in_the_pair__has_no_say(protocol: Protocol, pair: Pair):
    """The redemption value is read in the pool: no market, no push and no heartbeat stands between."""
    feed = protocol.evm.deploy("RateProvider", protocol.pool)
    before, price = feed.latestRoundData(), pair.contract.price()
    pair.sell(90 * ETHER)
    assert pair.contract.price() < price * 99 // 100
    assert feed.latestRoundData() == before
    assert feed.getRate() == protocol.pool.exit_rate()


def test_bad_109_growth__of_holders_and_trades__costs_no_more_gas(evm: Evm, pair: Pair, pool: Contract):
    def costs() -> list[int]:
        found = []
        for act in (lambda: pair.buy(ETHER), lambda: pair.sell(ETHER), lambda: pair.add(ETHER, ETHER)):
            evm.travel(12)
            act()
            found.append(evm.gas_used)
        return found

    costs()
    few = costs()
    pool.approve(pair.contract, UNLIMITED, sender=STAKER)
    for number in range(100):
        holder = f"0x{number + 2**100:040x}"
        pair.contract.add_liquidity(10**12, 0, holder, sender=STAKER, value=10**12)
        pair.contract.buy(0, holder, sender=STAKER, value=10**12)
    assert costs() == pytest.approx(few, rel=0.05)
