"""`StablePair.add_liquidity`: the first deposit, both sides, one side, and with a loss pending."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, reverts
from tests.pair import LOCKED_LIQUIDITY, MIN_FIRST_SIDE, PPM, Pair, collapsed, exact_value, fee_ppm
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER, UNLIMITED, Protocol


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


@pytest.fixture
def empty(protocol: Protocol) -> Pair:
    """Return a pair to which nobody has provided."""
    return Pair(protocol, 0, 0)


def shares_worth(pair: Pair, wei: int) -> int:
    """Return the least shares that are worth `wei`."""
    value, supply = pair.pool.entry_price()
    return int(-(-wei * supply // value))


# --- the first ---


def test_first__both_sides__mints_their_value(empty: Pair):
    contract = empty.contract
    quoted = contract.preview_add(10 * ETHER, 9 * ETHER)
    got = contract.add_liquidity(9 * ETHER, quoted, RECEIVER, sender=STAKER, value=10 * ETHER)
    assert got == quoted == contract.balanceOf(RECEIVER)
    assert contract.balanceOf(contract) == LOCKED_LIQUIDITY
    assert contract.totalSupply() == got + LOCKED_LIQUIDITY
    assert 0 <= empty.value() - contract.totalSupply() < 1
    assert contract.virtual_price() == ETHER
    assert contract.locked() == 0
    assert contract.price_cumulative() == (0, empty.evm.now)
    event = empty.evm.events(contract, "LiquidityAdded")[0].fields
    assert event == {
        "caller": STAKER,
        "receiver": RECEIVER,
        "assets": 10 * ETHER,
        "shares": 9 * ETHER,
        "liquidity": got,
    }
    empty.check()


def test_first__smallest__is_taken_and_less_is_refused(empty: Pair):
    shares = shares_worth(empty, MIN_FIRST_SIDE)
    for wei, floeth in ((MIN_FIRST_SIDE - 1, shares), (MIN_FIRST_SIDE, shares - 1), (0, 0)):
        with reverts("pair: first deposit"):
            empty.contract.preview_add(wei, floeth)
        with reverts("pair: first deposit"):
            empty.add(wei, floeth)
    empty.add(MIN_FIRST_SIDE, shares)


def test_first__one_to_three__is_the_most(empty: Pair):
    shares = shares_worth(empty, ETHER)
    worth = empty.worth(shares)
    with reverts("pair: first deposit"):
        empty.add(3 * worth + 1, shares)
    with reverts("pair: first deposit"):
        empty.add((worth - 1) // 3, shares)
    empty.add(3 * worth, shares)


# --- later ones ---


@settings(max_examples=40)
@given(wei=st.integers(0, 200 * ETHER), shares=st.integers(0, 100 * ETHER), traded=st.integers(-60, 80))
def test_add__any_amounts__are_worth_what_the_curve_says(protocol: Protocol, wei: int, shares: int, traded: int):
    with protocol.evm.undone():
        pair = Pair(protocol)
        if traded:
            (pair.buy if traded > 0 else pair.sell)(abs(traded) * ETHER)
        if wei + shares < 10**6:
            return
        x, y = pair.sides()
        floeth = pair.contract.balances()[1]
        new_x, new_y = x + wei, pair.worth(floeth + shares)
        old, new = exact_value(x, y, 200), exact_value(new_x, new_y, 200)
        half = (fee_ppm(pair.terms, x + new_x, y + new_y) + 1) // 2
        fees = [abs(after - before * new / old) * half / PPM for before, after in ((x, new_x), (y, new_y))]
        bought = exact_value(new_x - fees[0], new_y - fees[1], 200) - old
        supply, locked = pair.contract.totalSupply(), pair.contract.locked()
        exact = supply * bought / (old - locked)
        got = pair.add(wei, shares)
        assert exact - 12 <= got <= exact
        pair.check()


def test_add__in_proportion__costs_next_to_nothing(pair: Pair):
    eth, floeth = pair.contract.balances()
    supply = pair.contract.totalSupply()
    got = pair.add(eth // 10, floeth // 10)
    assert supply // 10 - 10**6 < got <= supply // 10


def test_add__one_sided__pays_about_what_swapping_half_would(pair: Pair):
    contract = pair.contract
    worth = contract.virtual_price()
    got = pair.add(10 * ETHER, 0)
    value = got * worth // ETHER
    # Half is swapped, in effect, at 401 ppm; the curve, which has less and less use for ETH, takes as much again.
    assert 200 < (10 * ETHER - value) * PPM / (10 * ETHER) < 420
    assert contract.virtual_price() >= worth
    assert contract.locked() > 0
    # No admin's part in it.
    assert contract.admin_fees() == (0, 0)


def test_add__again_in_the_same_block__buys_at_the_same_price(pair: Pair):
    first = pair.add(5 * ETHER, 4 * ETHER)
    second = pair.add(5 * ETHER, 4 * ETHER)
    assert abs(second - first) < first // 10**5
    assert pair.contract.fresh(STAKER) == first + second


def test_add__to_locked_fees__does_not_buy_them(pair: Pair):
    """Who comes after a large trade pays the price from before it, and the fees become everybody's over a day."""
    contract, evm = pair.contract, pair.evm
    before = contract.virtual_price()
    pair.sell(60 * ETHER)
    pair.buy(60 * ETHER)
    locked = contract.locked()
    pair.add(10 * ETHER, 9 * ETHER)
    # What the proportions cost is added to it.
    assert locked <= contract.locked() < locked + 10**16
    assert before <= contract.virtual_price() <= before + 10
    evm.travel(DAY)
    assert contract.locked() == 0
    assert contract.virtual_price() > before + locked * ETHER // contract.totalSupply() * 99 // 100


@pytest.mark.parametrize("shares", [5, 20, 80])
@pytest.mark.parametrize("percent", [1, 10, 20, 40])
def test_add__floeth_with_a_loss_pending_and_away__pays_no_more_than_redemption(pair: Pair, shares: int, percent: int):
    """In by one side, out by both: what comes out is worth at most, at the exit price, what went in."""
    pool = pair.pool
    pair.evm.travel(DAY * 366)
    pair.protocol.raise_pending_loss(pool.totalAssets() * percent // 100 // 10**9)
    redeemed = shares * pool.exit_rate()
    got = pair.add(0, shares * ETHER)
    pair.evm.travel(12)
    wei, floeth = pair.remove(got)
    assert wei + floeth * pool.exit_rate() // ETHER <= redeemed


def test_add__excess_floeth_with_a_loss_pending__is_worth_the_exit_price(pair: Pair):
    """A tenth is pending: of 10 floETH alone half is swapped, in effect, and loses that tenth."""
    contract, pool = pair.contract, pair.pool
    before = contract.preview_add(0, 10 * ETHER)
    both, ether = contract.preview_add(10 * ETHER, 9 * ETHER), contract.preview_add(10 * ETHER, 0)
    pair.protocol.raise_pending_loss(pool.totalAssets() // 10 // 10**9)
    loss = Decimal(pool.pending_loss()) / pool.totalAssets()
    after = contract.preview_add(0, 10 * ETHER)
    rate = loss / (1 - loss)
    assert abs(Decimal(after) / before - (1 - rate / 2)) < Decimal("0.002")
    assert contract.preview_add(10 * ETHER, 9 * ETHER) == both
    assert contract.preview_add(10 * ETHER, 0) == ether


# --- reasons ---


@pytest.mark.parametrize("receiver", ["nobody", "pair", "pool"])
def test_add__for_who_cannot_have_it__is_refused(pair: Pair, receiver: str):
    to = {"nobody": ZERO, "pair": pair.contract, "pool": pair.pool}[receiver]
    with reverts("receiver: refused"):
        pair.contract.add_liquidity(ETHER, 0, to, sender=STAKER, value=ETHER)


def test_add__below_the_minimum__is_refused(pair: Pair):
    quoted = pair.contract.preview_add(ETHER, ETHER)
    with reverts("slippage: too little liquidity"):
        pair.contract.add_liquidity(ETHER, quoted + 1, STAKER, sender=STAKER, value=ETHER)
    assert pair.contract.add_liquidity(ETHER, quoted, sender=STAKER, value=ETHER) == quoted
    assert pair.contract.balanceOf(STAKER) == quoted


@pytest.mark.parametrize("amounts", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_add__nothing_or_dust__is_refused(pair: Pair, amounts: tuple[int, int]):
    with reverts("pair: too small"):
        pair.contract.preview_add(*amounts)
    with reverts("pair: too small"):
        pair.add(*amounts)


def test_add__without_approval_or_shares__is_refused(pool: Contract, pair: Pair):
    with reverts("allowance: too low"):
        pair.contract.add_liquidity(ETHER, 0, OUTSIDER, sender=OUTSIDER, value=ETHER)
    pool.approve(pair.contract, UNLIMITED, sender=OUTSIDER)
    with reverts("balance: too low"):
        pair.contract.add_liquidity(ETHER, 0, OUTSIDER, sender=OUTSIDER, value=ETHER)


def test_add__so_much_on_one_side__is_refused(protocol: Protocol):
    pair = Pair(protocol, MIN_FIRST_SIDE * 2, MIN_FIRST_SIDE * 2)
    with reverts("pair: too far from balance"):
        pair.contract.preview_add(2_000 * ETHER, 0)
    with reverts("pair: too far from balance"):
        pair.add(2_000 * ETHER, 0)


def test_add__when_floeth_is_worth_nothing__is_refused(fresh: Protocol):
    pair = collapsed(fresh, 0, 1)
    with reverts("pair: no value"):
        pair.contract.preview_add(ETHER, ETHER)
    with reverts("pair: no value"):
        pair.add(ETHER, ETHER, SAVER)


def test_add__where_there_is_no_price__is_refused(fresh: Protocol):
    pair = collapsed(fresh, 1, 10**7)
    with reverts("pair: too far from balance"):
        pair.add(ETHER, ETHER, SAVER)
