"""FloePool's constructor: what it sets up and what it refuses."""

from __future__ import annotations

import pytest

from tests.evm import DEPLOYER, GENESIS, ZERO, Evm, reverts
from tests.protocol import (
    FEE_RECIPIENT,
    GUARDIAN,
    MAX_CEILING_GWEI,
    ORACLE,
    OUTSIDER,
    PARAMETERS,
    SEED,
    Protocol,
    deploy_pool,
)


def test_pool__deployed__has_the_seed_the_peers_and_the_parameters():
    evm = Evm()
    protocol = Protocol(evm, deposit_ceiling_gwei=123_456)
    pool = protocol.pool
    assert pool.totalSupply() == pool.totalAssets() == pool.buffer() == evm.balance(pool) == SEED
    assert pool.balanceOf(pool) == SEED
    assert pool.entry_rate() == pool.exit_rate() == 10**18
    assert (pool.name(), pool.symbol(), pool.decimals()) == ("Floe ETH", "floETH", 18)
    assert pool.asset() == "0x" + "ee" * 20
    assert pool.queue() == protocol.queue.address
    assert pool.withdrawal_vault() == protocol.withdrawal_vault.address
    assert pool.execution_vault() == protocol.execution_vault.address
    assert pool.fee_recipient() == FEE_RECIPIENT
    seen = protocol.lens.protocol()
    assert seen.limits.parameters == PARAMETERS
    assert seen.limits.deposit_ceiling == 123_456 * 10**9
    assert seen.reported_at == GENESIS


def test_pool__deployed__logs_the_seed_and_the_settings():
    protocol = Protocol(Evm())
    logged = {event.name: event.fields for event in protocol.deployment}
    address = protocol.pool.address
    assert logged["Transfer"] == {"sender": ZERO, "receiver": address, "value": SEED}
    assert logged["Deposit"] == {"sender": DEPLOYER, "owner": address, "assets": SEED, "shares": SEED}
    assert logged["ParametersSet"] == {"parameters": PARAMETERS}
    assert logged["DepositCeilingSet"] == {"gwei_": MAX_CEILING_GWEI}
    assert logged["FeeRecipientSet"] == {"recipient": FEE_RECIPIENT}


def test_pool__deployed__gives_each_role_to_one_account_and_none_to_the_deployer():
    protocol = Protocol(Evm())
    pool = protocol.pool
    holders = {
        pool.DEFAULT_ADMIN_ROLE(): protocol.admin.address,
        pool.ORACLE_ROLE(): ORACLE,
        pool.REGISTRY_ROLE(): protocol.registry.address,
        pool.PAUSER_ROLE(): GUARDIAN,
    }
    for role, holder in holders.items():
        assert pool.hasRole(role, holder)
        assert not pool.hasRole(role, DEPLOYER)


def test_pool__seed_below_a_gwei__reverts():
    with reverts("seed: too small"):
        Protocol(Evm(), seed=SEED - 1)


def test_pool__admin_without_code__reverts():
    with reverts("admin: not a contract"):
        deploy_pool(Evm(), admin=OUTSIDER)


@pytest.mark.parametrize("vault", ["withdrawal_vault", "execution_vault"])
def test_pool__vault_of_another_pool__reverts(vault: str):
    evm = Evm()
    foreign = evm.deploy("WithdrawalVault", OUTSIDER)
    with reverts("peer: not wired to this contract"):
        Protocol(evm, **{vault: foreign})


def test_pool__parameter_out_of_bounds__reverts():
    with reverts("parameter: out of bounds"):
        Protocol(Evm(), parameters=PARAMETERS._replace(fee_bps=2_001))
    with reverts("parameter: out of bounds"):
        Protocol(Evm(), deposit_ceiling_gwei=MAX_CEILING_GWEI + 1)


def test_pool__fee_recipient_is_nobody__reverts():
    with reverts("receiver: refused"):
        Protocol(Evm(), fee_recipient=ZERO)


def test_pool__seed_over_96_bits__reverts():
    with reverts("pool: total over 96 bits"):
        Protocol(Evm(), seed=2**96)
