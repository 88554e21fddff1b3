"""WithdrawalVault and ExecutionVault: ETH in from anybody, out to the pool only."""

from __future__ import annotations

import pytest

from tests.evm import ETHER, Contract, Evm, reverts
from tests.protocol import OUTSIDER, STAKER, Protocol

VAULTS = ("withdrawal_vault", "execution_vault")


@pytest.fixture(params=VAULTS)
def vault(protocol: Protocol, request: pytest.FixtureRequest) -> Contract:
    found: Contract = getattr(protocol, request.param)
    return found


def test_vault__deployed__belongs_to_the_pool(vault: Contract, pool: Contract):
    assert vault.pool() == pool.address


def test_vault__ether_from_anybody__is_taken(evm: Evm, vault: Contract):
    vault.receive(sender=OUTSIDER, value=3)
    evm.call(vault, "__default__", b"\x01\x02\x03\x04\x05", sender=STAKER, value=4)
    evm.force(vault, 5)
    assert evm.balance(vault) == 12


@pytest.mark.parametrize("sender", ["outsider", "admin", "oracle"])
def test_sweep__not_the_pool__reverts(evm: Evm, vault: Contract, protocol: Protocol, sender: str):
    caller = {"outsider": OUTSIDER, "admin": protocol.admin, "oracle": STAKER}[sender]
    evm.fund(vault, ETHER)
    for amount in (0, 1, ETHER):
        with reverts("caller: not the pool"):
            vault.sweep(amount, sender=caller)


@pytest.mark.parametrize("kind", ["WithdrawalVault", "ExecutionVault"])
def test_sweep__more_than_there_is__reverts(evm: Evm, protocol: Protocol, kind: str):
    """Asked directly: a wallet stands for the pool."""
    wallet = protocol.wallet()
    vault = evm.deploy(kind, wallet)
    evm.fund(vault, ETHER)
    with reverts("vault: balance too low"):
        vault.sweep(ETHER + 1, sender=wallet)


def test_sweep__by_a_report__gives_what_is_asked_for_and_keeps_the_rest(evm: Evm, protocol: Protocol):
    evm.fund(protocol.withdrawal_vault, 5 * ETHER)
    protocol.report(withdrawn=2 * ETHER)
    assert evm.balance(protocol.withdrawal_vault) == 3 * ETHER
