"""ExitReserve: stakers buy the floETH that it holds, at the pool's own price."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import DEPOSIT, GUARDIAN, OUTSIDER, RECEIVER, SAVER, SPENDER, Protocol
from tests.reserve import Reserve


@pytest.fixture
def world(protocol: Protocol) -> Reserve:
    """Return a reserve that holds 20 floETH."""
    world = Reserve(protocol)
    world.sell(20 * ETHER)
    return world


@pytest.fixture
def reserve(world: Reserve) -> Contract:
    return world.contract


def worth(world: Reserve, shares: int) -> int:
    """Wei that the pool would ask for `shares`, rounded up."""
    return int(world.pool.previewMint(shares))


def test_stake__less_than_is_held__is_sold_for_what_the_pool_would_mint(world: Reserve, reserve: Contract, evm: Evm):
    cash, before, supply = reserve.cash(), reserve.totalAssets(), world.pool.totalSupply()
    minted = world.pool.previewDeposit(3 * ETHER)
    assert reserve.preview_stake(3 * ETHER) == minted
    assert reserve.stake(RECEIVER, minted, sender=OUTSIDER, value=3 * ETHER) == minted
    assert evm.events(reserve, "Restaked")[0].fields == {
        "sender": OUTSIDER,
        "receiver": RECEIVER,
        "assets": 3 * ETHER,
        "shares": minted,
    }
    assert world.pool.balanceOf(RECEIVER) == minted
    assert world.pool.totalSupply() == supply
    assert (reserve.cash(), reserve.held()) == (cash + 3 * ETHER, 20 * ETHER - minted)
    assert before <= reserve.totalAssets() <= before + 2
    world.check()


def test_stake__more_than_is_held__deposits_the_rest(world: Reserve, reserve: Contract, evm: Evm):
    price, cash, assets = worth(world, 20 * ETHER), reserve.cash(), world.pool.totalAssets()
    preview = reserve.preview_stake(50 * ETHER)
    rest = world.pool.previewDeposit(50 * ETHER - price)
    assert preview == 20 * ETHER + rest
    assert reserve.stake(sender=OUTSIDER, value=50 * ETHER) == preview
    assert world.pool.balanceOf(OUTSIDER) == preview
    assert evm.events(world.pool, "Referral") == []
    assert world.pool.totalAssets() - assets == 50 * ETHER - price
    assert (reserve.cash(), reserve.held()) == (cash + price, 0)
    world.check()
    # Nothing is held any more: all goes to the pool, with the referral.
    cash, preview = reserve.cash(), world.pool.previewDeposit(ETHER)
    assert reserve.preview_stake(ETHER) == preview
    assert reserve.stake(OUTSIDER, preview, SPENDER, sender=OUTSIDER, value=ETHER) == preview
    (referral,) = evm.events(world.pool, "Referral")
    assert referral.fields == {"referral": SPENDER, "owner": OUTSIDER, "assets": ETHER, "shares": preview}
    assert evm.events(reserve) == []
    assert reserve.cash() == cash
    world.check()


@given(
    assets=st.integers(1, 10**6) | st.integers(1, 40 * ETHER), held=st.integers(1, 10**6) | st.integers(1, 20 * ETHER)
)
def test_stake__any_amount_beside_any_holding__costs_no_more_than_the_pool_and_takes_no_value(
    world: Reserve, assets: int, held: int
):
    with world.evm.undone():
        reserve, pool = world.contract, world.pool
        reserve.stake(SAVER, sender=OUTSIDER, value=worth(world, 20 * ETHER - held))
        before, alone = reserve.totalAssets(), pool.previewDeposit(assets)
        if alone == 0:
            with reverts("deposit: zero shares"):
                reserve.stake(sender=OUTSIDER, value=assets)
            assert reserve.preview_stake(assets) == 0
            return
        preview = reserve.preview_stake(assets)
        assert alone - 1 <= preview <= alone
        assert reserve.stake(sender=OUTSIDER, value=assets) == preview
        assert reserve.totalAssets() >= before
        world.check()


def test_stake__a_wei_more_than_all_that_is_held_costs__leaves_it_to_the_reserve(world: Reserve, reserve: Contract):
    """Deposited, it would buy no share, and the pool would refuse it."""
    price, cash = worth(world, 20 * ETHER), reserve.cash()
    assert world.pool.previewDeposit(1) == 0
    for assets in (price, price + 1):
        with world.evm.undone():
            assert reserve.stake(sender=OUTSIDER, value=assets) == 20 * ETHER
            assert reserve.cash() == cash + assets
            world.check()
    assert reserve.stake(sender=OUTSIDER, value=price + 2) == 20 * ETHER + 1
    assert reserve.cash() == cash + price


def test_stake__loss_pending__all_goes_to_the_pool(world: Reserve, reserve: Contract, protocol: Protocol):
    protocol.report(pending_loss=ETHER)
    cash, preview = reserve.cash(), world.pool.previewDeposit(ETHER)
    assert reserve.preview_stake(ETHER) == preview
    assert reserve.stake(sender=OUTSIDER, value=ETHER) == preview
    assert (reserve.cash(), reserve.held()) == (cash, 20 * ETHER)
    protocol.report(pending_loss=20 * ETHER)
    with reverts("deposit: loss pending"):
        reserve.stake(sender=OUTSIDER, value=ETHER)
    world.check()


def test_stake__exits_paused__all_goes_to_the_pool(world: Reserve, reserve: Contract):
    world.hold_report()
    assert reserve.preview_stake(ETHER) == reserve.stake(sender=OUTSIDER, value=ETHER) > 0
    assert reserve.held() == 20 * ETHER
    world.evm.travel(DAY)
    reserve.stake(sender=OUTSIDER, value=ETHER)
    assert reserve.held() < 20 * ETHER


def test_stake__each_reason__reverts(world: Reserve, reserve: Contract):
    for receiver in (ZERO, reserve, world.pool):
        with reverts("receiver: refused"):
            reserve.stake(receiver, sender=OUTSIDER, value=ETHER)
    for assets in (ETHER, 40 * ETHER):
        # The pool refuses its queue, whether shares are moved or minted.
        with reverts("receiver: refused"):
            reserve.stake(world.queue, sender=OUTSIDER, value=assets)
        with reverts("slippage: too few shares"):
            reserve.stake(OUTSIDER, reserve.preview_stake(assets) + 1, sender=OUTSIDER, value=assets)
    with reverts("deposit: zero shares"):
        reserve.stake(sender=OUTSIDER)
    world.pool.pause(DEPOSIT, world.evm.now + DAY, sender=GUARDIAN)
    with reverts("deposit: paused"):
        reserve.stake(sender=OUTSIDER, value=40 * ETHER)
    world.pool.pause(DEPOSIT, 0, sender=GUARDIAN)
    world.pool.set_deposit_ceiling(1, sender=world.protocol.admin)
    with reverts("deposit: over the ceiling"):
        reserve.stake(sender=OUTSIDER, value=40 * ETHER)
    world.check()


def test_stake__pool_worth_nothing__reverts(worthless: Protocol):
    reserve = Reserve(worthless).contract
    with reverts("pool: no value"):
        reserve.stake(sender=OUTSIDER, value=ETHER)
    with reverts("pool: no value"):
        reserve.preview_stake(ETHER)


def test_stake__pool_worth_nothing_and_floeth_held__sells_none(world: Reserve, reserve: Contract, protocol: Protocol):
    # The buffer goes to the validators, and they lose everything.
    protocol.set_parameters(target_bps=0)
    protocol.to_validators()
    protocol.report(gain=-world.pool.outside())
    assert (world.pool.entry_price()[0], reserve.held()) == (0, 20 * ETHER)
    with reverts("pool: no value"):
        reserve.stake(sender=OUTSIDER, value=ETHER)
    with reverts("pool: no value"):
        reserve.preview_stake(ETHER)
    world.check()


def test_stake__more_shares_than_there_can_be__reverts(world: Reserve, reserve: Contract, protocol: Protocol):
    protocol.rate_falls_to(1, 5)
    world.evm.fund(OUTSIDER, 2**96)
    with reverts("pool: total over 96 bits"):
        reserve.stake(sender=OUTSIDER, value=2**95)
