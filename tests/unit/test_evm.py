"""The vehicle of these tests: it undoes what it says it undoes, and lets no revert pass for another."""

from __future__ import annotations

import pytest

from tests.evm import DEPLOYER, ETHER, PROVOKED, Evm, RevertError, reverts
from tests.protocol import OUTSIDER, STAKER, Protocol


def test_undone__storage_ether_time_and_contracts__are_as_before(evm: Evm, protocol: Protocol):
    pool = protocol.pool

    def seen() -> tuple[object, ...]:
        nonce = evm.next_address()
        return pool.state(), evm.balance(pool), evm.balance(OUTSIDER), evm.now, len(evm.contracts), nonce

    before = seen()
    with evm.undone():
        protocol.stake(ETHER, OUTSIDER)
        evm.force(pool, ETHER)
        evm.travel(100)
        evm.deploy("MockWallet")
        assert all(now != then for now, then in zip(seen(), before, strict=True))
    assert seen() == before


def test_reverts__another_reason_or_none__fails_and_is_not_remembered(protocol: Protocol):
    pool = protocol.pool
    with pytest.raises(AssertionError, match="did not revert"), reverts("anything"):
        pool.approve(OUTSIDER, 1, sender=STAKER)
    remembered = set(PROVOKED)
    with pytest.raises(AssertionError, match="value differs, expected: another"), reverts("another"):
        pool.deposit(1, STAKER, sender=STAKER)
    with pytest.raises(AssertionError, match="expected: no reason"), reverts():
        pool.deposit(1, STAKER, sender=STAKER)
    assert remembered == PROVOKED


def test_reverts__through_a_wallet__names_the_contract_that_was_called(protocol: Protocol):
    with pytest.raises(RevertError) as caught:
        protocol.pool.set_deposit_ceiling(2**255, sender=protocol.admin)
    error = caught.value
    assert (error.contract, error.function, error.reason) == (
        "FloePool",
        "set_deposit_ceiling",
        "parameter: out of bounds",
    )


def test_call__out_of_gas__is_no_revert_without_a_reason(protocol: Protocol):
    with pytest.raises(AssertionError, match="OutOfGas"), reverts():
        protocol.pool.approve(OUTSIDER, 1, sender=STAKER, gas=30_000)


def test_events__after_a_view__are_still_those_of_the_last_transaction(evm: Evm, protocol: Protocol):
    protocol.stake(ETHER)
    protocol.pool.totalSupply()
    assert [event.name for event in evm.events(protocol.pool)] == ["Transfer", "Deposit"]
    assert evm.events(protocol.queue) == []


def test_next_address__deployer__is_where_the_contract_goes(evm: Evm):
    first, second = evm.next_address(), evm.next_address(ahead=1)
    assert [evm.deploy("MockWallet").address for _ in range(2)] == [first, second]
    assert evm.code(first)
    assert not evm.code(DEPLOYER)
