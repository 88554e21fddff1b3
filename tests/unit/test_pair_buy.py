"""`StablePair.buy`: ETH for floETH."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import ETHER, ZERO, Contract, reverts
from tests.pair import MAX_RATIO, PPM, Pair, collapsed, trade
from tests.protocol import RECEIVER, STAKER, Protocol


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


@settings(max_examples=40)
@given(wei=st.integers(10**6, 150 * ETHER), eth=st.integers(60, 150), floeth=st.integers(50, 110))
def test_buy__any_amount__is_what_the_curve_says(protocol: Protocol, wei: int, eth: int, floeth: int):
    """At most five wei below what a solver of its own says, and never above."""
    with protocol.evm.undone():
        pair = Pair(protocol, eth * ETHER, floeth * ETHER)
        value, supply = protocol.pool.entry_price()
        net, _ = trade(*pair.sides(), wei)
        shares = pair.buy(wei)
        assert shares * value <= net * supply
        assert (shares + 5) * value >= (net - 5) * supply


def test_buy__one_ether__by_hand(pair: Pair):
    """100 ETH meet floETH worth 96.58 ETH. At A = 200 that is nearly 1 : 1; 401 ppm stay, a fifth of it the admin's."""
    contract, evm = pair.contract, pair.evm
    before = contract.balances()
    quoted = contract.preview_buy(ETHER)
    shares = contract.buy(quoted, RECEIVER, sender=STAKER, value=ETHER)
    assert shares == quoted == pair.pool.balanceOf(RECEIVER)
    assert 0.9993 < pair.worth(shares) / ETHER < 0.9996
    fields = evm.events(contract, "Bought")[0].fields
    fee = fields.pop("fee")
    assert 0.000400 < fee / ETHER < 0.000402
    assert fields == {"caller": STAKER, "receiver": RECEIVER, "assets": ETHER, "shares": shares}
    wei, floeth = contract.admin_fees()
    assert wei == 0
    assert fee * 200_000 // PPM - 2 <= pair.worth(floeth) <= fee * 200_000 // PPM
    assert contract.balances() == (before[0] + ETHER, before[1] - shares - floeth)
    pair.check()


def test_buy__fee__is_locked_and_moves_no_share_value(pair: Pair):
    contract = pair.contract
    worth, value = contract.virtual_price(), pair.value()
    pair.buy(10 * ETHER)
    assert contract.virtual_price() == worth
    assert abs(contract.locked() - (pair.value() - value)) < 2
    assert contract.locked() > 0


def test_buy__without_receiver__is_for_the_caller(pair: Pair):
    before = pair.pool.balanceOf(STAKER)
    shares = pair.contract.buy(0, sender=STAKER, value=ETHER)
    assert pair.pool.balanceOf(STAKER) == before + shares


def test_buy__while_a_loss_is_pending__costs_what_it_did(pair: Pair):
    before = pair.contract.preview_buy(ETHER)
    pair.protocol.raise_pending_loss(10**9)
    assert pair.contract.preview_buy(ETHER) == before


def test_buy__to_the_limit__leaves_ten_thousand_to_one(pair: Pair):
    contract = pair.contract
    least, most = 50 * ETHER, 2_000 * ETHER
    while most - least > 1:
        middle = (least + most) // 2
        with pair.evm.undone():
            try:
                pair.buy(middle)
                least = middle
            except Exception:
                most = middle
    with reverts("pair: too far from balance"):
        contract.preview_buy(most)
    with reverts("pair: too far from balance"):
        pair.buy(most)
    pair.buy(least)
    eth, floeth = pair.sides()
    assert MAX_RATIO - 1 < eth / floeth <= MAX_RATIO
    # The way back is open.
    pair.sell(30 * ETHER)


@pytest.mark.parametrize("receiver", ["nobody", "pair", "pool", "queue"])
def test_buy__for_who_cannot_have_it__is_refused(pair: Pair, queue: Contract, receiver: str):
    to = {"nobody": ZERO, "pair": pair.contract, "pool": pair.pool, "queue": queue}[receiver]
    with reverts("receiver: refused"):
        pair.contract.buy(0, to, sender=STAKER, value=ETHER)


def test_buy__below_the_minimum__is_refused(pair: Pair):
    quoted = pair.contract.preview_buy(ETHER)
    with reverts("slippage: too few shares"):
        pair.contract.buy(quoted + 1, STAKER, sender=STAKER, value=ETHER)


@pytest.mark.parametrize("wei", [0, 1])
def test_buy__for_nothing_or_dust__is_refused(pair: Pair, wei: int):
    with reverts("pair: too small"):
        pair.contract.preview_buy(wei)
    with reverts("pair: too small"):
        pair.buy(wei)


def test_buy__before_the_first_deposit__is_refused(protocol: Protocol):
    pair = Pair(protocol, 0, 0)
    with reverts("pair: no value"):
        pair.contract.preview_buy(ETHER)
    with reverts("pair: no value"):
        pair.buy(ETHER)


def test_buy__when_floeth_is_worth_nothing__is_refused(fresh: Protocol):
    pair = collapsed(fresh, 0, 1)
    with reverts("pair: no value"):
        pair.buy(ETHER)


def test_buy__more_than_books_can_hold__is_refused(fresh: Protocol):
    """One side of 2^91 wei, and 2^96 beside it: more than all ETH there is."""
    huge = 2**91
    for account in (STAKER, fresh.admin):
        fresh.evm.fund(account, 2**97)
    fresh.stake(huge)
    pair = Pair(fresh, 0, 0)
    pair.add(huge, huge - 10**20)
    pair.add(2**96 - huge - ETHER, 0)
    with reverts("pool: total over 96 bits"):
        pair.buy(2 * ETHER)
    with reverts("pool: total over 96 bits"):
        pair.add(2 * ETHER, ETHER)
