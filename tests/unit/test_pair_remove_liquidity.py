"""`StablePair.remove_liquidity`: both sides, at any balance and any rate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.pair import LOCKED_LIQUIDITY, Pair, collapsed
from tests.protocol import FULFIL, GUARDIAN, RECEIVER, SAVER, STAKER, Protocol


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


@settings(max_examples=40)
@given(part=st.fractions(0, 1), traded=st.integers(-70, 90))
def test_remove__any_part__is_that_part_of_both_sides(protocol: Protocol, part: float, traded: int):
    with protocol.evm.undone():
        pair = Pair(protocol)
        if traded:
            (pair.buy if traded > 0 else pair.sell)(abs(traded) * ETHER)
        protocol.evm.travel(DAY)
        contract = pair.contract
        supply = contract.totalSupply()
        liquidity = int(contract.balanceOf(SAVER) * part)
        if liquidity < 10**6:
            return
        eth, floeth = contract.balances()
        worth = contract.virtual_price()
        assets, shares = pair.remove(liquidity, SAVER)
        assert 0 <= eth * liquidity - assets * supply <= 5 * supply
        assert 0 <= floeth * liquidity - shares * supply <= 5 * supply
        assert worth <= contract.virtual_price()
        assert contract.totalSupply() == supply - liquidity
        pair.check()


def test_remove__with_receiver__pays_both_there(pair: Pair):
    contract, evm = pair.contract, pair.evm
    quoted = contract.preview_remove(10 * ETHER)
    paid = contract.remove_liquidity(10 * ETHER, *quoted, RECEIVER, sender=SAVER)
    assert paid == quoted == (evm.balance(RECEIVER), pair.pool.balanceOf(RECEIVER))
    assert evm.events(contract, "LiquidityRemoved")[0].fields == {
        "caller": SAVER,
        "receiver": RECEIVER,
        "assets": paid[0],
        "shares": paid[1],
        "liquidity": 10 * ETHER,
    }
    before = evm.balance(SAVER)
    assert contract.remove_liquidity(ETHER, 0, 0, sender=SAVER)[0] == evm.balance(SAVER) - before


def test_remove__right_after_a_trade__leaves_its_fee_behind(pair: Pair):
    """Of what the trade paid, the one who leaves gets nothing; who stays has all of it a day later."""
    contract = pair.contract
    value = pair.value()
    pair.sell(50 * ETHER)
    locked = contract.locked()
    supply = contract.totalSupply()
    assets, shares = pair.remove(contract.balanceOf(SAVER) // 2, SAVER)
    part = contract.balanceOf(SAVER) / supply
    eth, floeth = contract.balances()
    assert contract.locked() == locked
    taken = 1 - float(pair.value()) / float(value + locked)
    assert taken == pytest.approx(part * float(value) / float(value + locked), rel=1e-9)
    assert assets / (assets + eth) == pytest.approx(shares / (shares + floeth), rel=1e-9)


def test_remove__all_but_what_is_nobodys__leaves_a_pair_that_works(pair: Pair):
    contract = pair.contract
    worth = contract.virtual_price()
    pair.remove(contract.balanceOf(SAVER), SAVER)
    assert contract.totalSupply() == LOCKED_LIQUIDITY
    assert worth <= contract.virtual_price() < worth * 1.00001
    pair.add(10 * ETHER, 9 * ETHER)
    assert contract.virtual_price() < worth * 1.001
    pair.sell(ETHER)
    pair.check()


def test_remove__with_everything_paused__works(pair: Pair):
    """No report for a month, exits paused, a loss pending: who provided still gets both sides."""
    pair.protocol.raise_pending_loss(10**10)
    pair.evm.travel(30 * DAY)
    pair.pool.pause(FULFIL, pair.evm.now + DAY, sender=GUARDIAN)
    before = pair.contract.preview_remove(10 * ETHER)
    assert pair.remove(10 * ETHER, SAVER) == before


@pytest.mark.parametrize("of", [100, 20_000, 10**7, 10**18])
def test_remove__after_any_collapse__pays_the_part(fresh: Protocol, of: int):
    pair = collapsed(fresh, 1, of)
    assert_half_is_paid(pair)


def test_remove__when_floeth_is_worth_nothing__pays_the_part(fresh: Protocol):
    pair = collapsed(fresh, 0, 1)
    past = pair.contract.locked()
    assert_half_is_paid(pair)
    assert pair.contract.locked() == past
    # To the last wei, but for what is nobody's.
    pair.remove(pair.contract.balanceOf(SAVER), SAVER)
    assert pair.contract.totalSupply() == LOCKED_LIQUIDITY


def assert_half_is_paid(pair: Pair) -> None:
    contract = pair.contract
    eth, floeth = contract.balances()
    half, supply = contract.balanceOf(SAVER) // 2, contract.totalSupply()
    quoted = contract.preview_remove(half)
    assets, shares = pair.remove(half, SAVER)
    assert (assets, shares) == quoted
    assert assets == pytest.approx(eth * half / supply, rel=1e-9)
    # Where a share is worth less than a wei, the wei of value that stays is many shares.
    value, supply_of_pool = pair.pool.entry_price()
    dust = 5 * (1 + supply_of_pool // max(value, 1)) if value else 5
    assert 0 <= floeth * half // supply - shares <= max(dust, floeth * half // supply * 1e-9)
    pair.check()


# --- reasons ---


@pytest.mark.parametrize("receiver", ["nobody", "pair", "pool", "queue"])
def test_remove__for_who_cannot_have_it__is_refused(pair: Pair, queue: Contract, receiver: str):
    to = {"nobody": ZERO, "pair": pair.contract, "pool": pair.pool, "queue": queue}[receiver]
    with reverts("receiver: refused"):
        pair.contract.remove_liquidity(ETHER, 0, 0, to, sender=SAVER)


def test_remove__to_who_takes_no_ether__is_refused(evm: Evm, pair: Pair):
    refuser = evm.deploy("EtherRefuser", 1)
    with reverts("ether: send failed"):
        pair.contract.remove_liquidity(ETHER, 0, 0, refuser, sender=SAVER)


def test_remove__below_a_minimum__is_refused(pair: Pair):
    assets, shares = pair.contract.preview_remove(ETHER)
    with reverts("slippage: too few assets"):
        pair.contract.remove_liquidity(ETHER, assets + 1, shares, SAVER, sender=SAVER)
    with reverts("slippage: too few shares"):
        pair.contract.remove_liquidity(ETHER, assets, shares + 1, SAVER, sender=SAVER)


@pytest.mark.parametrize("liquidity", [0, 1, 2])
def test_remove__nothing_or_dust__is_refused(pair: Pair, liquidity: int):
    with reverts("pair: too small"):
        pair.contract.preview_remove(liquidity)
    with reverts("pair: too small"):
        pair.remove(liquidity, SAVER)


def test_remove__more_than_one_has__is_refused(pair: Pair):
    with reverts("erc20: burn amount exceeds balance"):
        pair.remove(ETHER, STAKER)
    with reverts("balance: too low"):
        pair.contract.preview_remove(pair.contract.totalSupply() + 1)
    with reverts("balance: too low"):
        pair.remove(pair.contract.totalSupply() + 1, SAVER)


def test_remove__before_the_first_deposit__is_refused(protocol: Protocol):
    pair = Pair(protocol, 0, 0)
    with reverts("pair: no value"):
        pair.contract.preview_remove(1)
    with reverts("pair: no value"):
        pair.remove(1)


def test_remove__in_the_block_of_the_deposit__is_refused(pair: Pair):
    contract, evm = pair.contract, pair.evm
    old = pair.add(ETHER, ETHER)
    evm.travel(12)
    new = pair.add(2 * ETHER, ETHER)
    assert contract.fresh(STAKER) == new
    with reverts("pair: fresh liquidity"):
        pair.remove(old + 1)
    pair.remove(old - 1)
    evm.travel(12)
    assert contract.fresh(STAKER) == 0
    pair.remove(new + 1)
