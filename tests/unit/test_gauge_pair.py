"""Gauge: with the pair's liquidity, which is what it is for."""

from __future__ import annotations

from tests.calls import Stage
from tests.evm import ETHER, reverts
from tests.protocol import SAVER


def test_stake__liquidity_of_the_pair__is_staked_and_comes_back(stage: Stage):
    pair, gauge, wallet = stage.market.pair, stage.market.gauge, stage.wallet
    before = pair.balanceOf(wallet)
    gauge.stake(ETHER, sender=wallet)
    gauge.withdraw(2 * ETHER, sender=wallet)
    assert pair.balanceOf(wallet) == before + ETHER
    assert gauge.emergency_exit(sender=wallet) == 4 * ETHER == gauge.total_staked() + 4 * ETHER
    assert pair.balanceOf(wallet) == before + 5 * ETHER


def test_stake__liquidity_that_is_not_there_or_not_approved__reverts(stage: Stage):
    pair, gauge, wallet = stage.market.pair, stage.market.gauge, stage.wallet
    with reverts("erc20: transfer amount exceeds balance"):
        gauge.stake(pair.balanceOf(wallet) + 1, sender=wallet)
    with reverts("erc20: insufficient allowance"):
        gauge.stake(ETHER, sender=SAVER)


def test_stake__liquidity_of_this_block__has_to_wait_for_the_next(stage: Stage):
    """And what somebody mints for the gauge itself holds up nobody who withdraws."""
    pair, gauge, wallet = stage.market.pair, stage.market.gauge, stage.wallet
    whole = pair.balanceOf(wallet) + pair.add_liquidity(0, 0, sender=wallet, value=ETHER)
    with reverts("pair: fresh liquidity"):
        gauge.stake(whole, sender=wallet)
    pair.add_liquidity(0, 0, gauge, sender=wallet, value=ETHER)
    gauge.withdraw(5 * ETHER, sender=wallet)
    stage.protocol.evm.travel(12)
    gauge.stake(whole + 5 * ETHER, sender=wallet)
