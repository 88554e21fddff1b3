"""ERC-20 as both tokens keep it: the pool's shares, and their rebasing view.

Amounts of the rebasing token are wei; how they are rounded to shares is the subject of test_rebasing_token.py.
"""

from __future__ import annotations

import pytest

from tests.evm import ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import OUTSIDER, RECEIVER, SAVER, SPENDER, STAKER, UNLIMITED, Protocol

AMOUNT = 1_234_567_890_123_456_789


@pytest.fixture(params=["FloePool", "RebasingToken"])
def coin(protocol: Protocol, request: pytest.FixtureRequest) -> Contract:
    """Return one of the tokens, of which staker and saver hold some."""
    if request.param == "FloePool":
        return protocol.pool
    for account in (STAKER, SAVER):
        protocol.pool.approve(protocol.token, UNLIMITED, sender=account)
        protocol.token.wrap(50 * ETHER + 1, sender=account)
    return protocol.token


@pytest.fixture
def refused(coin: Contract, protocol: Protocol) -> list[str]:
    """Return the receivers at which the token would be lost."""
    if coin is protocol.pool:
        return [ZERO, protocol.pool.address, protocol.queue.address]
    return [ZERO, protocol.token.address]


def test_transfer__amount__moves_it_and_nobody_elses(evm: Evm, coin: Contract):
    staker, saver, supply = coin.balanceOf(STAKER), coin.balanceOf(SAVER), coin.totalSupply()
    assert coin.transfer(RECEIVER, AMOUNT, sender=STAKER) is True
    assert evm.events(coin, "Transfer")[0].fields == {"sender": STAKER, "receiver": RECEIVER, "value": AMOUNT}
    assert coin.balanceOf(RECEIVER) == AMOUNT
    assert staker - coin.balanceOf(STAKER) - AMOUNT in ((0,) if coin.kind == "FloePool" else (0, 1, 2))
    assert coin.balanceOf(SAVER) == saver
    assert coin.totalSupply() == supply


def test_transfer__nothing__is_a_transfer(evm: Evm, coin: Contract):
    assert coin.transfer(RECEIVER, 0, sender=OUTSIDER) is True
    assert evm.events(coin, "Transfer")[0].fields == {"sender": OUTSIDER, "receiver": RECEIVER, "value": 0}


def test_transfer__whole_balance__empties_it(coin: Contract):
    coin.transfer(RECEIVER, coin.balanceOf(STAKER), sender=STAKER)
    assert coin.balanceOf(STAKER) == 0


def test_transfer__more_than_held__reverts(coin: Contract):
    with reverts("balance: too low"):
        coin.transfer(RECEIVER, coin.balanceOf(STAKER) + 1, sender=STAKER)
    with reverts("balance: too low"):
        coin.transfer(RECEIVER, 1, sender=OUTSIDER)


def test_transfer__to_oneself__changes_nothing(evm: Evm, coin: Contract):
    before, supply = coin.balanceOf(STAKER), coin.totalSupply()
    coin.transfer(STAKER, before, sender=STAKER)
    assert evm.events(coin, "Transfer")[0].fields["value"] == before
    assert (coin.balanceOf(STAKER), coin.totalSupply()) == (before, supply)
    with reverts("balance: too low"):
        coin.transfer(STAKER, before + 1, sender=STAKER)


def test_transfer__receiver_refused__reverts(coin: Contract, refused: list[str]):
    for receiver in refused:
        with reverts("receiver: refused"):
            coin.transfer(receiver, 1, sender=STAKER)
        with reverts("receiver: refused"):
            coin.transferFrom(STAKER, receiver, 1, sender=STAKER)


def test_approve__any_amount__sets_the_allowance(evm: Evm, coin: Contract):
    for amount in (AMOUNT, 0, UNLIMITED):
        assert coin.approve(SPENDER, amount, sender=STAKER) is True
        (approval,) = evm.events(coin)
        assert approval.name == "Approval"
        assert approval.fields == {"owner": STAKER, "spender": SPENDER, "value": amount}
        assert coin.allowance(STAKER, SPENDER) == amount
    assert coin.allowance(SPENDER, STAKER) == coin.allowance(SAVER, SPENDER) == 0


def test_transfer_from__within_the_allowance__lowers_it(evm: Evm, coin: Contract):
    coin.approve(SPENDER, AMOUNT, sender=STAKER)
    assert coin.transferFrom(STAKER, RECEIVER, AMOUNT - 5, sender=SPENDER) is True
    assert evm.events(coin, "Transfer")[0].fields["value"] == AMOUNT - 5
    assert coin.allowance(STAKER, SPENDER) == 5
    with reverts("allowance: too low"):
        coin.transferFrom(STAKER, RECEIVER, 6, sender=SPENDER)
    coin.transferFrom(STAKER, RECEIVER, 5, sender=SPENDER)
    assert coin.balanceOf(RECEIVER) == AMOUNT
    assert coin.allowance(STAKER, SPENDER) == 0


def test_transfer_from__allowance_of_somebody_else__reverts(coin: Contract):
    coin.approve(SPENDER, AMOUNT, sender=STAKER)
    for owner, sender in ((STAKER, OUTSIDER), (SAVER, SPENDER)):
        with reverts("allowance: too low"):
            coin.transferFrom(owner, RECEIVER, 1, sender=sender)


def test_transfer_from__unlimited_allowance__stays(coin: Contract):
    coin.approve(SPENDER, UNLIMITED, sender=STAKER)
    coin.transferFrom(STAKER, RECEIVER, AMOUNT, sender=SPENDER)
    assert coin.allowance(STAKER, SPENDER) == UNLIMITED


def test_transfer_from__by_the_owner__needs_no_allowance(coin: Contract):
    coin.transferFrom(STAKER, RECEIVER, AMOUNT, sender=STAKER)
    assert coin.balanceOf(RECEIVER) == AMOUNT


def test_transfer_from__allowance_but_no_balance__reverts(coin: Contract):
    coin.approve(SPENDER, UNLIMITED, sender=OUTSIDER)
    with reverts("balance: too low"):
        coin.transferFrom(OUTSIDER, RECEIVER, 1, sender=SPENDER)


def test_pool_shares__seed_and_waiting_shares__cannot_be_moved(protocol: Protocol):
    pool = protocol.pool
    protocol.request(ETHER)
    for owner in (pool, protocol.queue):
        with reverts("allowance: too low"):
            pool.transferFrom(owner, RECEIVER, 1, sender=OUTSIDER)
        with reverts("allowance: too low"):
            pool.redeem(1000, RECEIVER, owner, sender=OUTSIDER)
