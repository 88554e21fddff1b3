"""`deposit` and plain ETH: the ways in that name what is paid."""

from __future__ import annotations

import pytest

from tests.evm import ZERO, Contract, Evm, reverts
from tests.protocol import DEPOSIT, GUARDIAN, OUTSIDER, RECEIVER, STAKER, Protocol

AMOUNT = 12_345_678_901_234_567_891


def test_deposit__at_an_odd_rate__mints_floored_shares_and_books_them(evm: Evm, pool: Contract):
    value, supply = pool.entry_price()
    buffer, ether = pool.buffer(), evm.balance(pool)
    shares = pool.deposit(AMOUNT, RECEIVER, sender=OUTSIDER, value=AMOUNT)
    assert shares == AMOUNT * supply // value
    assert shares < AMOUNT
    assert evm.events() == evm.events(pool)
    transfer, deposit = evm.events()
    assert transfer.fields == {"sender": ZERO, "receiver": RECEIVER, "value": shares}
    assert deposit.name == "Deposit"
    assert deposit.fields == {"sender": OUTSIDER, "owner": RECEIVER, "assets": AMOUNT, "shares": shares}
    assert pool.balanceOf(RECEIVER) == shares
    assert pool.entry_price() == (value + AMOUNT, supply + shares)
    assert pool.buffer() == buffer + AMOUNT
    assert evm.balance(pool) == ether + AMOUNT


def test_deposit__any_amount__leaves_the_rate_where_it_is_or_higher(pool: Contract, protocol: Protocol):
    for amount in (2, 3, 1_000_000_007, AMOUNT):
        value, supply = pool.entry_price()
        protocol.stake(amount)
        new_value, new_supply = pool.entry_price()
        assert new_value * supply >= value * new_supply


def test_deposit__with_referral__logs_it(evm: Evm, pool: Contract):
    shares = pool.deposit(AMOUNT, RECEIVER, 0, STAKER, sender=OUTSIDER, value=AMOUNT)
    assert evm.events(pool)[-1].name == "Referral"
    assert evm.events(pool)[-1].fields == {
        "referral": STAKER,
        "owner": RECEIVER,
        "assets": AMOUNT,
        "shares": shares,
    }


def test_deposit__min_shares__is_inclusive(pool: Contract):
    shares = pool.previewDeposit(AMOUNT)
    with reverts("slippage: too few shares"):
        pool.deposit(AMOUNT, RECEIVER, shares + 1, sender=OUTSIDER, value=AMOUNT)
    assert pool.deposit(AMOUNT, RECEIVER, shares, sender=OUTSIDER, value=AMOUNT) == shares


@pytest.mark.parametrize("value", [0, AMOUNT - 1, AMOUNT + 1])
def test_deposit__value_differs__reverts(pool: Contract, value: int):
    with reverts("deposit: value differs"):
        pool.deposit(AMOUNT, RECEIVER, sender=OUTSIDER, value=value)


def test_deposit__too_little_for_a_share__reverts(pool: Contract):
    with reverts("deposit: zero shares"):
        pool.deposit(1, RECEIVER, sender=OUTSIDER, value=1)
    with reverts("deposit: zero shares"):
        pool.deposit(0, RECEIVER, sender=OUTSIDER)
    assert pool.deposit(2, RECEIVER, sender=OUTSIDER, value=2) == 1


@pytest.mark.parametrize("receiver", ["nobody", "pool", "queue"])
def test_deposit__receiver_refused__reverts(protocol: Protocol, pool: Contract, receiver: str):
    refused = {"nobody": ZERO, "pool": protocol.pool, "queue": protocol.queue}[receiver]
    with reverts("receiver: refused"):
        pool.deposit(AMOUNT, refused, sender=OUTSIDER, value=AMOUNT)


def test_deposit__paused__reverts_until_the_second_it_ends(evm: Evm, pool: Contract, protocol: Protocol):
    pool.pause(DEPOSIT, evm.now + 100, sender=GUARDIAN)
    evm.travel(99)
    with reverts("deposit: paused"):
        protocol.stake(AMOUNT)
    with reverts("deposit: paused"):
        pool.receive(sender=STAKER, value=AMOUNT)
    evm.travel(1)
    protocol.stake(AMOUNT)


def test_deposit__loss_pending__reverts_above_one_percent_of_the_assets(pool: Contract, protocol: Protocol):
    protocol.stake(AMOUNT)
    protocol.stake(200 - (pool.state()[0] >> 96) % 2**96 % 100)
    assets = pool.state()[0] >> 96 & 2**96 - 1
    assert assets % 100 == 0
    protocol.report(pending_loss=assets // 100)
    with protocol.evm.undone():
        protocol.stake(AMOUNT)
    protocol.report(pending_loss=assets // 100 + 1)
    with reverts("deposit: loss pending"):
        protocol.stake(AMOUNT)
    with reverts("deposit: loss pending"):
        pool.receive(sender=STAKER, value=AMOUNT)


def test_deposit__ceiling__is_inclusive(pool: Contract, protocol: Protocol):
    assets = pool.state()[0] >> 96 & 2**96 - 1
    ceiling = assets // 10**9 + 5
    pool.set_deposit_ceiling(ceiling, sender=protocol.admin)
    room = ceiling * 10**9 - assets
    with reverts("deposit: over the ceiling"):
        protocol.stake(room + 1)
    with reverts("deposit: over the ceiling"):
        pool.receive(sender=STAKER, value=room + 1)
    protocol.stake(room)


def test_deposit__ceiling_zero__closes_deposits(pool: Contract, protocol: Protocol):
    pool.set_deposit_ceiling(0, sender=protocol.admin)
    with reverts("deposit: over the ceiling"):
        protocol.stake(AMOUNT)


def test_deposit__shares_over_96_bits__reverts(evm: Evm, pool: Contract, protocol: Protocol):
    protocol.rate_falls_to(1, 5)
    value, supply = pool.entry_price()
    most = (2**96 - supply) * value // supply
    evm.fund(STAKER, 2**96)
    with reverts("pool: total over 96 bits"):
        protocol.stake(most + 2)
    with reverts("pool: total over 96 bits"):
        pool.receive(sender=STAKER, value=most + 2)
    protocol.stake(most - 2)
    assert 2**96 - pool.totalSupply() < 20


def test_deposit__all_assets_lost__reverts(worthless: Protocol):
    with reverts("pool: no value"):
        worthless.stake(AMOUNT)
    with reverts("pool: no value"):
        worthless.pool.receive(sender=STAKER, value=AMOUNT)


def test_plain_ether__any_sender__stakes_for_the_sender(evm: Evm, pool: Contract):
    shares = pool.previewDeposit(AMOUNT)
    pool.receive(sender=OUTSIDER, value=AMOUNT)
    assert evm.events(pool, "Deposit")[0].fields["owner"] == OUTSIDER
    assert pool.balanceOf(OUTSIDER) == shares


def test_plain_ether__too_little_for_a_share__reverts(pool: Contract):
    with reverts("deposit: zero shares"):
        pool.receive(sender=OUTSIDER, value=1)


def test_unknown_function__with_ether__stakes_too(evm: Evm, pool: Contract):
    """An unknown selector falls through to `__default__`: what was sent is staked, nothing is lost."""
    evm.call(pool, "__default__", b"\xde\xad\xbe\xef", sender=OUTSIDER, value=AMOUNT)
    assert pool.balanceOf(OUTSIDER) > 0
