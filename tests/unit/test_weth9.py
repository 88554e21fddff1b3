"""The stand-in for WETH9: what contracts that hold WETH lean on, on mainnet as well."""

from __future__ import annotations

import pytest

from tests.evm import ETHER, Contract, Evm, reverts
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER, UNLIMITED, Protocol


@pytest.fixture
def weth(protocol: Protocol) -> Contract:
    """Return WETH of which the staker has 5."""
    coin = protocol.evm.deploy("WETH9")
    coin.deposit(sender=STAKER, value=5 * ETHER)
    return coin


def test_deposit__ether__becomes_as_much_weth(evm: Evm, weth: Contract):
    assert (weth.name(), weth.symbol(), weth.decimals()) == ("Wrapped Ether", "WETH", 18)
    weth.receive(sender=SAVER, value=ETHER)
    assert [(e.name, e.fields) for e in evm.events(weth)] == [("Deposit", {"dst": SAVER, "wad": ETHER})]
    assert (weth.balanceOf(STAKER), weth.balanceOf(SAVER)) == (5 * ETHER, ETHER)
    assert weth.totalSupply() == evm.balance(weth) == 6 * ETHER


def test_withdraw__own_weth__pays_ether(evm: Evm, weth: Contract):
    before = evm.balance(STAKER)
    weth.withdraw(2 * ETHER, sender=STAKER)
    assert [(e.name, e.fields) for e in evm.events(weth)] == [("Withdrawal", {"src": STAKER, "wad": 2 * ETHER})]
    assert evm.balance(STAKER) == before + 2 * ETHER
    assert weth.balanceOf(STAKER) == weth.totalSupply() == 3 * ETHER
    with reverts():
        weth.withdraw(3 * ETHER + 1, sender=STAKER)


def test_withdraw__to_a_contract_that_needs_more_gas__refused(weth: Contract, protocol: Protocol):
    """As a transfer does: 2,300 gas and no more. A wallet that calls somebody needs more."""
    wallet = protocol.wallet()
    weth.transfer(wallet, 2 * ETHER, sender=STAKER)
    weth.withdraw(ETHER, sender=wallet)
    wallet.react_with(protocol.pool, protocol.pool.encode("totalAssets"))
    with reverts():
        weth.withdraw(ETHER, sender=wallet)


def test_transfer_from__allowance__is_lowered_unless_unlimited_or_ones_own(weth: Contract):
    weth.approve(OUTSIDER, 2 * ETHER, sender=STAKER)
    assert weth.transferFrom(STAKER, RECEIVER, ETHER, sender=OUTSIDER) is True
    assert weth.allowance(STAKER, OUTSIDER) == ETHER
    with reverts():
        weth.transferFrom(STAKER, RECEIVER, ETHER + 1, sender=OUTSIDER)
    weth.approve(OUTSIDER, UNLIMITED, sender=STAKER)
    weth.transferFrom(STAKER, RECEIVER, ETHER, sender=OUTSIDER)
    assert weth.allowance(STAKER, OUTSIDER) == UNLIMITED
    weth.transferFrom(STAKER, RECEIVER, ETHER, sender=STAKER)
    assert (weth.balanceOf(STAKER), weth.balanceOf(RECEIVER)) == (2 * ETHER, 3 * ETHER)


def test_transfer__more_than_there_is__refused(weth: Contract):
    with reverts():
        weth.transfer(RECEIVER, 5 * ETHER + 1, sender=STAKER)
    assert weth.transfer(RECEIVER, 5 * ETHER, sender=STAKER) is True
    assert (weth.balanceOf(STAKER), weth.balanceOf(RECEIVER)) == (0, 5 * ETHER)
