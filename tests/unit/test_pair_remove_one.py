"""`StablePair.remove_one`: one side alone."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.pair import PPM, Pair, collapsed, exact_other, exact_value, fee_ppm
from tests.protocol import RECEIVER, SAVER, STAKER, Protocol


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


def exact_out(pair: Pair, liquidity: int, of_ether: bool, loss_ppm: int = 0) -> Decimal:
    """Return wei of value: the curve's, less the fee on what is beyond the part of this side."""
    x, y = pair.sides()
    from_, beside = (x, y) if of_ether else (y, x)
    d = exact_value(x, y, 200)
    left: Decimal = d - liquidity * (d - pair.contract.locked()) / pair.contract.totalSupply()
    rest = exact_other(beside, left, 200)
    rate = min(fee_ppm(pair.terms, 2 * beside, from_ + round(rest)) + loss_ppm, PPM)
    return from_ - rest - (from_ * left / d - rest) * rate / PPM


@settings(max_examples=40)
@given(part=st.fractions(0, 1), traded=st.integers(-40, 40), of_ether=st.booleans(), loss=st.integers(0, 20))
def test_remove_one__any_part__is_what_the_curve_says(
    protocol: Protocol, part: float, traded: int, of_ether: bool, loss: int
):
    with protocol.evm.undone():
        pair = Pair(protocol)
        if traded:
            (pair.buy if traded > 0 else pair.sell)(abs(traded) * ETHER)
        contract = pair.contract
        liquidity = int(contract.balanceOf(SAVER) * part * 4 // 10)
        if liquidity < 10**9:
            return
        protocol.evm.travel(DAY // 2)
        protocol.raise_pending_loss(loss * 10**9)
        value, supply = protocol.pool.entry_price()
        loss_ppm = -(-protocol.pool.pending_loss() * PPM // value) if of_ether else 0
        exact = exact_out(pair, liquidity, of_ether, loss_ppm)
        worth = contract.virtual_price()
        out = pair.remove_one(liquidity, of_ether, SAVER)
        if of_ether:
            assert exact - 12 <= out <= exact
        else:
            assert (exact - 12) * supply <= (out + 1) * value
            assert out * value <= exact * supply
        assert contract.virtual_price() >= worth
        pair.check()


@pytest.mark.parametrize("of_ether", [True, False])
def test_remove_one__with_receiver__pays_there(pair: Pair, of_ether: bool):
    contract, evm = pair.contract, pair.evm
    quoted = contract.preview_remove_one(10 * ETHER, of_ether)
    out = contract.remove_one(10 * ETHER, of_ether, quoted, RECEIVER, sender=SAVER)
    paid = evm.balance(RECEIVER), pair.pool.balanceOf(RECEIVER)
    assert paid == ((out, 0) if of_ether else (0, out))
    assert out == quoted
    assert evm.events(contract, "OneRemoved")[0].fields == {
        "caller": SAVER,
        "receiver": RECEIVER,
        "of_ether": of_ether,
        "out": out,
        "liquidity": 10 * ETHER,
    }
    assert contract.remove_one(ETHER, of_ether, 0, sender=SAVER) > 0


@pytest.mark.parametrize("of_ether", [True, False])
def test_remove_one__beside_both_and_a_trade__costs_the_same(pair: Pair, of_ether: bool):
    """Taking one side is taking both and trading the other one in: neither way is cheaper than a wei in 10,000."""
    liquidity = 20 * ETHER
    with pair.evm.undone():
        assets, shares = pair.remove(liquidity, SAVER)
        apart = assets + pair.sell(shares, SAVER) if of_ether else shares + pair.buy(assets, SAVER)
    at_once = pair.remove_one(liquidity, of_ether, SAVER)
    assert at_once == pytest.approx(apart, rel=1e-4)


def test_remove_one__ether_with_a_loss_pending__pays_for_it(pair: Pair):
    """A tenth is pending. About half of what is taken out is floETH that was sold, in effect: a twentieth less."""
    contract, pool = pair.contract, pair.pool
    ether, floeth = contract.preview_remove_one(10 * ETHER, True), contract.preview_remove_one(10 * ETHER, False)
    pair.protocol.raise_pending_loss(pool.totalAssets() // 10 // 10**9)
    assert contract.preview_remove_one(10 * ETHER, True) / ether == pytest.approx(0.95, abs=0.002)
    assert contract.preview_remove_one(10 * ETHER, False) == floeth


# --- reasons ---


@pytest.mark.parametrize("receiver", ["nobody", "pair", "pool", "queue"])
def test_remove_one__for_who_cannot_have_it__is_refused(pair: Pair, queue: Contract, receiver: str):
    to = {"nobody": ZERO, "pair": pair.contract, "pool": pair.pool, "queue": queue}[receiver]
    with reverts("receiver: refused"):
        pair.contract.remove_one(ETHER, False, 0, to, sender=SAVER)


def test_remove_one__to_who_takes_no_ether__is_refused(evm: Evm, pair: Pair):
    refuser = evm.deploy("EtherRefuser", 1)
    with reverts("ether: send failed"):
        pair.contract.remove_one(ETHER, True, 0, refuser, sender=SAVER)


def test_remove_one__below_the_minimum__is_refused(pair: Pair):
    with reverts("slippage: too few assets"):
        pair.contract.remove_one(ETHER, True, pair.contract.preview_remove_one(ETHER, True) + 1, SAVER, sender=SAVER)
    with reverts("slippage: too few shares"):
        pair.contract.remove_one(ETHER, False, pair.contract.preview_remove_one(ETHER, False) + 1, SAVER, sender=SAVER)


@pytest.mark.parametrize("liquidity", [0, 1])
def test_remove_one__nothing_or_dust__is_refused(pair: Pair, liquidity: int):
    with reverts("pair: too small"):
        pair.contract.preview_remove_one(liquidity, True)
    with reverts("pair: too small"):
        pair.remove_one(liquidity, False, SAVER)


def test_remove_one__nearly_all__is_refused(pair: Pair):
    liquidity = pair.contract.balanceOf(SAVER)
    with reverts("pair: too far from balance"):
        pair.contract.preview_remove_one(liquidity, True)
    with reverts("pair: too far from balance"):
        pair.remove_one(liquidity, True, SAVER)


def test_remove_one__more_than_one_has__is_refused(pair: Pair):
    with reverts("erc20: burn amount exceeds balance"):
        pair.remove_one(ETHER, True, STAKER)
    too_much = pair.contract.totalSupply() + 1
    with reverts("balance: too low"):
        pair.contract.preview_remove_one(too_much, True)
    with reverts("balance: too low"):
        pair.remove_one(too_much, True, SAVER)


def test_remove_one__without_value__is_refused(protocol: Protocol, fresh: Protocol):
    for pair in (Pair(protocol, 0, 0), collapsed(fresh, 0, 1)):
        with reverts("pair: no value"):
            pair.contract.preview_remove_one(1, True)
        with reverts("pair: no value"):
            pair.remove_one(1, True)


def test_remove_one__in_the_block_of_the_deposit__is_refused(pair: Pair):
    got = pair.add(ETHER, ETHER)
    with reverts("pair: fresh liquidity"):
        pair.remove_one(got, True)
    pair.evm.travel(12)
    pair.remove_one(got, True)
