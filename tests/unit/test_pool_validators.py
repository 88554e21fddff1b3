"""`send_to_validators` and `receive_from_vault`: the doors between the buffer and the validators."""

from __future__ import annotations

import pytest

from tests.evm import ETHER, Contract, Evm, reverts
from tests.protocol import BEACON, DEPOSIT, FULFIL, GUARDIAN, INSTANT_EXIT, OUTSIDER, PARAMETERS, Protocol

U96 = 2**96 - 1
MISSING_ROLE = "access_control: account is missing role"


def test_send_to_validators__all_that_may_go__leaves_queue_and_target_in_the_buffer(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.stake(77 * ETHER)
    protocol.request(13 * ETHER)
    value, supply = pool.entry_price()
    needed = -(-13 * ETHER * value // supply)
    assets = pool.state()[0] >> 96 & U96
    target = assets * PARAMETERS.target_bps // 10_000
    stakeable = pool.stakeable()
    assert stakeable == pool.buffer() - needed - target > 0
    outside, sent, ether = pool.outside(), pool.state()[5] & U96, evm.balance(BEACON)
    protocol.to_validators(stakeable)
    assert evm.events(pool)[0].fields == {"registry": protocol.registry.address, "amount": stakeable}
    assert evm.balance(BEACON) == ether + stakeable
    assert pool.outside() == outside + stakeable
    assert pool.state()[5] & U96 == sent + stakeable
    assert pool.buffer() == evm.balance(pool) == needed + target
    assert pool.stakeable() == 0
    assert pool.entry_price() == (value, supply)


def test_send_to_validators__a_wei_more_than_may_go__reverts(protocol: Protocol):
    protocol.stake(77 * ETHER)
    amount = protocol.pool.stakeable() + 1
    with reverts("stake: over the limit"):
        protocol.pool.send_to_validators(amount, sender=registry_wallet(protocol))


def test_send_to_validators__deposits_are_paused__reverts(evm: Evm, protocol: Protocol):
    protocol.stake(77 * ETHER)
    pool, wallet = protocol.pool, registry_wallet(protocol)
    stakeable = pool.stakeable()
    assert stakeable > ETHER
    pool.pause(DEPOSIT, evm.now + 60, sender=GUARDIAN)
    assert pool.stakeable() == protocol.lens.protocol().stakeable == 0
    with reverts("stake: over the limit"):
        pool.send_to_validators(1, sender=wallet)
    evm.travel(59)
    assert pool.stakeable() == 0
    evm.travel(1)
    assert pool.stakeable() == stakeable
    pool.send_to_validators(ETHER, sender=wallet)


@pytest.mark.parametrize("functions", [FULFIL, INSTANT_EXIT, FULFIL | INSTANT_EXIT])
def test_stakeable__something_else_is_paused__stays(evm: Evm, protocol: Protocol, functions: int):
    protocol.stake(77 * ETHER)
    before = protocol.pool.stakeable()
    protocol.pool.pause(functions, evm.now + 60, sender=GUARDIAN)
    assert protocol.pool.stakeable() == before > 0


def test_send_to_validators__without_the_role__reverts(protocol: Protocol):
    protocol.stake(77 * ETHER)
    for sender in (OUTSIDER, protocol.admin):
        with reverts(MISSING_ROLE):
            protocol.pool.send_to_validators(1, sender=sender)


def test_send_to_validators__registry_takes_no_ether__reverts(protocol: Protocol):
    protocol.stake(77 * ETHER)
    wallet = registry_wallet(protocol)
    wallet.refuse(True)
    with reverts("ether: send failed"):
        protocol.pool.send_to_validators(1, sender=wallet)


def test_stakeable__buffer_below_target__is_zero(protocol: Protocol):
    assert protocol.lens.protocol().buffer < protocol.lens.protocol().target
    assert protocol.pool.stakeable() == 0


@pytest.mark.parametrize("sender", ["outsider", "admin", "registry"])
def test_receive_from_vault__not_a_vault__reverts(protocol: Protocol, sender: str):
    """Least of all the registry, whose ETH would then be nobody's."""
    caller = {"outsider": OUTSIDER, "admin": protocol.admin, "registry": registry_wallet(protocol)}[sender]
    with reverts("caller: not a vault"):
        protocol.pool.receive_from_vault(sender=caller, value=1)


def test_receive_from_vault__swept_by_a_report__is_the_pools(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    evm.fund(protocol.withdrawal_vault, 5 * ETHER)
    evm.fund(protocol.execution_vault, ETHER // 100)
    before = evm.balance(pool)
    protocol.report(withdrawn=5 * ETHER)
    assert evm.balance(pool) == before + 5 * ETHER + ETHER // 100 == pool.buffer()
    assert evm.balance(protocol.withdrawal_vault) == evm.balance(protocol.execution_vault) == 0


def registry_wallet(protocol: Protocol) -> Contract:
    """Return a wallet that may take ETH for validators."""
    wallet = protocol.wallet()
    protocol.pool.grantRole(protocol.pool.REGISTRY_ROLE(), wallet, sender=protocol.admin)
    return wallet
