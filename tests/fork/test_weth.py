"""The WETH vault and the zap on the WETH of this chain, which leaves those that it pays 2,300 gas."""

from __future__ import annotations

from typing import Any

import pytest

from floe.deploy.plan import WETH
from tests.fork.calls import ETHER
from tests.integration.conftest import report


@pytest.fixture
def weth(contracts: dict[str, Any], actors: dict[str, Any]) -> Any:
    """Return WETH, of which the staker has 10 that vault and zap may take."""
    coin, staker = contracts[WETH], actors["staker"]
    coin.deposit(sender=staker, value=10 * ETHER)
    for spender in (contracts["WethVault"], contracts["Zap"]):
        coin.approve(spender, 2**256 - 1, sender=staker)
    return coin


def test_weth__on_this_chain__is_worth_its_ether(weth, actors):
    assert (weth.symbol(), weth.decimals()) == ("WETH", 18)
    assert weth.balanceOf(actors["staker"]) >= 10 * ETHER
    assert weth.totalSupply() == weth.balance


def test_vault__in_and_out_both_ways__pays_weth(contracts, actors, weth):
    vault, staker, outsider = contracts["WethVault"], actors["staker"], actors["outsider"]
    assert vault.asset() == weth.address
    shares = vault.deposit(5 * ETHER, staker, sender=staker).return_value
    report(contracts, actors)  # it refills what may leave at once
    before = weth.balanceOf(outsider)
    paid = vault.redeem(vault.maxRedeem(staker), outsider, staker, sender=staker).return_value
    assert weth.balanceOf(outsider) - before == paid > 0
    receipt = vault.request_exit(shares // 4, outsider, staker, sender=staker)
    ticket = receipt.events.filter(vault.ExitRequested)[0].ticket
    report(contracts, actors)
    before = weth.balanceOf(outsider)
    paid = vault.claim(ticket, sender=actors["keeper"]).return_value
    assert weth.balanceOf(outsider) - before == paid > 0
    assert weth.balanceOf(vault) == vault.balance == 0


def test_zap__with_weth__becomes_floeth(contracts, actors, weth):
    zap, pool, staker, outsider = contracts["Zap"], contracts["FloePool"], actors["staker"], actors["outsider"]
    expected = pool.previewDeposit(3 * ETHER)
    before = pool.balanceOf(outsider)
    out = zap.zap(1, 2 * ETHER, 0, outsider, sender=staker, value=ETHER).return_value
    # Rewards stream meanwhile, so that a share may cost more than it did when asked.
    assert pool.balanceOf(outsider) - before == out <= expected
    assert weth.balanceOf(zap) == zap.balance == pool.balanceOf(zap) == 0
