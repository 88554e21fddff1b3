"""`mint`: the way in that names the shares."""

from __future__ import annotations

import pytest

from tests.evm import ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import DEPOSIT, GUARDIAN, OUTSIDER, RECEIVER, Protocol

SHARES = 9_876_543_210_987_654_321


def test_mint__exact_value__costs_the_ceiled_price(evm: Evm, pool: Contract):
    value, supply = pool.entry_price()
    cost = -(-SHARES * value // supply)
    assert pool.mint(SHARES, RECEIVER, sender=OUTSIDER, value=cost) == cost
    transfer, deposit = evm.events()
    assert transfer.fields == {"sender": ZERO, "receiver": RECEIVER, "value": SHARES}
    assert deposit.fields == {"sender": OUTSIDER, "owner": RECEIVER, "assets": cost, "shares": SHARES}
    assert pool.balanceOf(RECEIVER) == SHARES
    assert pool.entry_price() == (value + cost, supply + SHARES)


def test_mint__too_much_value__sends_the_rest_back(evm: Evm, pool: Contract):
    cost, before = pool.previewMint(SHARES), evm.balance(OUTSIDER)
    assert pool.mint(SHARES, RECEIVER, sender=OUTSIDER, value=cost + ETHER) == cost
    assert evm.balance(OUTSIDER) == before - cost


def test_mint__value_one_wei_short__reverts(pool: Contract):
    cost = pool.previewMint(SHARES)
    with reverts("mint: value too low"):
        pool.mint(SHARES, RECEIVER, sender=OUTSIDER, value=cost - 1)


def test_mint__rest_refused_by_the_caller__reverts(pool: Contract, protocol: Protocol):
    wallet = protocol.wallet()
    wallet.refuse(True)
    cost = pool.previewMint(SHARES)
    with reverts("ether: send failed"):
        pool.mint(SHARES, RECEIVER, sender=wallet, value=cost + 1)
    pool.mint(SHARES, RECEIVER, sender=wallet, value=cost)


def test_mint__zero_shares__reverts(pool: Contract):
    with reverts("deposit: zero shares"):
        pool.mint(0, RECEIVER, sender=OUTSIDER, value=ETHER)


@pytest.mark.parametrize("receiver", ["nobody", "pool", "queue"])
def test_mint__receiver_refused__reverts(protocol: Protocol, pool: Contract, receiver: str):
    refused = {"nobody": ZERO, "pool": protocol.pool, "queue": protocol.queue}[receiver]
    with reverts("receiver: refused"):
        pool.mint(SHARES, refused, sender=OUTSIDER, value=20 * ETHER)


def test_mint__paused__reverts(evm: Evm, pool: Contract):
    pool.pause(DEPOSIT, evm.now + 1, sender=GUARDIAN)
    with reverts("deposit: paused"):
        pool.mint(SHARES, RECEIVER, sender=OUTSIDER, value=20 * ETHER)


def test_mint__loss_pending__reverts(pool: Contract, protocol: Protocol):
    protocol.report(pending_loss=10 * ETHER)
    with reverts("deposit: loss pending"):
        pool.mint(SHARES, RECEIVER, sender=OUTSIDER, value=20 * ETHER)


def test_mint__ceiling__counts_the_price_and_not_the_value(pool: Contract, protocol: Protocol):
    assets = pool.state()[0] >> 96 & 2**96 - 1
    ceiling = assets // 10**9 + 5
    pool.set_deposit_ceiling(ceiling, sender=protocol.admin)
    most = pool.maxMint(RECEIVER)
    with reverts("deposit: over the ceiling"):
        pool.mint(most + 1, RECEIVER, sender=OUTSIDER, value=ETHER)
    pool.mint(most, RECEIVER, sender=OUTSIDER, value=ETHER)


def test_mint__shares_over_96_bits__reverts(evm: Evm, pool: Contract, protocol: Protocol):
    protocol.rate_falls_to(1, 5)
    most = 2**96 - 1 - pool.totalSupply()
    evm.fund(OUTSIDER, 2**96)
    with reverts("pool: total over 96 bits"):
        pool.mint(most + 1, RECEIVER, sender=OUTSIDER, value=2**96)
    pool.mint(most, RECEIVER, sender=OUTSIDER, value=2**96)


def test_mint__all_assets_lost__reverts(worthless: Protocol):
    """Shares would cost nothing."""
    assert worthless.pool.previewMint(SHARES) == 0
    with reverts("pool: no value"):
        worthless.pool.mint(SHARES, RECEIVER, sender=OUTSIDER)
