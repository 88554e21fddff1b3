"""`StablePair.sell`: floETH for ETH."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import ETHER, ZERO, Contract, Evm, reverts
from tests.pair import PPM, Pair, collapsed, trade
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER, UNLIMITED, Protocol

GWEI = 10**9


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


@settings(max_examples=40)
@given(
    shares=st.integers(10**6, 150 * ETHER),
    eth=st.integers(60, 150),
    floeth=st.integers(50, 110),
    loss=st.integers(0, 20 * GWEI),
)
def test_sell__any_amount_and_loss__is_what_the_curve_says(
    protocol: Protocol, shares: int, eth: int, floeth: int, loss: int
):
    """With a loss pending the shares come in at the exit price: what goes out is the curve's for that."""
    with protocol.evm.undone():
        pair = Pair(protocol, eth * ETHER, floeth * ETHER)
        protocol.raise_pending_loss(loss)
        value, supply = protocol.pool.entry_price()
        worth = shares * (value - protocol.pool.pending_loss()) // supply
        x, y = pair.sides()
        net, _ = trade(y, x, worth)
        assert net - 6 <= pair.sell(shares) <= net


def test_sell__one_share__by_hand(pair: Pair):
    """One floETH, worth 1.0731 ETH, brings that less 401 ppm; a fifth of the fee is the admin's."""
    contract, evm = pair.contract, pair.evm
    before, had = contract.balances(), evm.balance(RECEIVER)
    quoted = contract.preview_sell(ETHER)
    assets = contract.sell(ETHER, quoted, RECEIVER, sender=STAKER)
    assert assets == quoted == evm.balance(RECEIVER) - had
    assert 0.9994 < assets / pair.worth(ETHER) < 0.9999
    fields = evm.events(contract, "Sold")[0].fields
    fee = fields.pop("fee")
    assert 0.000400 < fee / pair.worth(ETHER) < 0.000402
    assert fields == {"caller": STAKER, "receiver": RECEIVER, "shares": ETHER, "assets": assets}
    wei, floeth = contract.admin_fees()
    assert (wei, floeth) == (fee * 200_000 // PPM, 0)
    assert contract.balances() == (before[0] - assets - wei, before[1] + ETHER)
    pair.check()


def test_sell__fee__is_locked_and_moves_no_share_value(pair: Pair):
    contract = pair.contract
    worth, value = contract.virtual_price(), pair.value()
    pair.sell(10 * ETHER)
    assert contract.virtual_price() == worth
    assert abs(contract.locked() - (pair.value() - value)) < 2


def test_sell__without_receiver__is_for_the_caller(pair: Pair):
    before = pair.evm.balance(STAKER)
    assets = pair.contract.sell(ETHER, 0, sender=STAKER)
    assert pair.evm.balance(STAKER) == before + assets


def test_sell__while_a_loss_is_pending__pays_no_more_than_redemption(pair: Pair):
    """A tenth is lost and not settled: the seller bears it, not the pair's providers."""
    contract, protocol, pool = pair.contract, pair.protocol, pair.pool
    before = contract.preview_sell(ETHER)
    worth = contract.virtual_price()
    lost = protocol.raise_pending_loss(pool.totalAssets() // 10 // GWEI)
    assets = pair.sell(ETHER)
    assert assets < ETHER * pool.exit_rate() // ETHER
    assert abs(assets / before - 0.9) < 0.001
    # The floETH is booked at the entry price, and what that is above its own is theirs at once: it is no fee.
    gained = (contract.virtual_price() - worth) * contract.totalSupply() // ETHER
    assert gained == pytest.approx(lost * ETHER // pool.totalSupply(), rel=0.01)
    assert contract.locked() < assets // 2_000
    pair.check()


@pytest.mark.parametrize("way", ["sell", "remove_one", "add"])
def test_sell__and_others_with_a_loss_pending__lock_fees_alone(pair: Pair, way: str):
    """When the loss is settled, nothing locked stands for what is gone: who then comes finds no bargain."""
    contract, protocol, pool = pair.contract, pair.protocol, pair.pool
    act = {
        "sell": lambda: pair.sell(40 * ETHER),
        "remove_one": lambda: pair.remove_one(60 * ETHER, True, SAVER),
        "add": lambda: pair.add(0, 40 * ETHER),
    }[way]
    with pair.evm.undone():
        act()
        fees = contract.locked()
    lost = protocol.raise_pending_loss(pool.totalAssets() // 10 // GWEI)
    act()
    assert contract.locked() <= 2 * fees
    protocol.report(gain=-lost)
    # All the same, ten ETH of both buy the part that they are of the whole, within one in a thousand.
    supply, before = contract.totalSupply(), pair.value()
    got = pair.add(10 * ETHER, 10 * ETHER)
    assert got / supply == pytest.approx(float((pair.value() - before) / before), rel=0.002)


def test_sell__when_all_is_pending__brings_nothing(pair: Pair):
    pair.protocol.raise_pending_loss(10**15)
    assert pair.pool.exit_rate() > 0
    value = pair.pool.totalAssets()
    assert pair.pool.pending_loss() < value
    assert pair.sell(ETHER) < pair.worth(ETHER) // 5


def test_sell__far_from_balance__pays_up_to_five_times_the_fee(pair: Pair):
    pair.sell(90 * ETHER)
    assert 500 < pair.contract.fee() < 2_000
    dear = pair.contract.fee()
    pair.buy(90 * ETHER)
    assert pair.contract.fee() < dear


@pytest.mark.parametrize("receiver", ["nobody", "pair", "pool"])
def test_sell__for_who_cannot_have_it__is_refused(pair: Pair, receiver: str):
    to = {"nobody": ZERO, "pair": pair.contract, "pool": pair.pool}[receiver]
    with reverts("receiver: refused"):
        pair.contract.sell(ETHER, 0, to, sender=STAKER)


def test_sell__to_who_takes_no_ether__is_refused(evm: Evm, pair: Pair):
    refuser = evm.deploy("EtherRefuser", 1)
    with reverts("ether: send failed"):
        pair.contract.sell(ETHER, 0, refuser, sender=STAKER)


def test_sell__below_the_minimum__is_refused(pair: Pair):
    quoted = pair.contract.preview_sell(ETHER)
    with reverts("slippage: too few assets"):
        pair.contract.sell(ETHER, quoted + 1, STAKER, sender=STAKER)


def test_sell__without_approval_or_shares__is_refused(pool: Contract, pair: Pair):
    with reverts("allowance: too low"):
        pair.contract.sell(ETHER, 0, OUTSIDER, sender=OUTSIDER)
    pool.approve(pair.contract, UNLIMITED, sender=OUTSIDER)
    with reverts("balance: too low"):
        pair.contract.sell(ETHER, 0, OUTSIDER, sender=OUTSIDER)


@pytest.mark.parametrize("shares", [0, 1])
def test_sell__nothing_or_dust__is_refused(pair: Pair, shares: int):
    with reverts("pair: too small"):
        pair.contract.preview_sell(shares)
    with reverts("pair: too small"):
        pair.sell(shares)


def test_sell__beyond_the_limit__is_refused(pair: Pair):
    with reverts("pair: too far from balance"):
        pair.contract.preview_sell(3_000 * ETHER)
    pair.protocol.stake(3_500 * ETHER)
    with reverts("pair: too far from balance"):
        pair.sell(3_000 * ETHER)
    pair.sell(150 * ETHER)


def test_sell__before_the_first_deposit__is_refused(protocol: Protocol):
    pair = Pair(protocol, 0, 0)
    with reverts("pair: no value"):
        pair.contract.preview_sell(ETHER)
    with reverts("pair: no value"):
        pair.sell(ETHER)


def test_sell__after_a_collapse__is_refused_until_somebody_brings_balance(fresh: Protocol):
    """The rate falls to a 20,000th: selling floETH brings the sides together, and works from some size on."""
    pair = collapsed(fresh, 1, 20_000)
    with reverts("pair: too far from balance"):
        pair.buy(ETHER)
    with reverts("pair: too far from balance"):
        pair.sell(ETHER, SAVER)
    pair.sell(100 * ETHER, SAVER)
    pair.check()
