"""Who may call what, for every function that changes state, and what a pause stops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from floe import build
from tests.calls import CONTRACTS, Call, Stage, changing
from tests.evm import DAY, Contract, Evm, RevertError, functions, reverts
from tests.protocol import DEPOSIT, FULFIL, INSTANT_EXIT, OUTSIDER, Protocol

ROLE = "access_control: account is missing role"
SELF = "access_control: can only renounce roles for itself"
PLAIN = "ether: not like this"

# What an outsider is refused, and how.
RESTRICTED = {
    "FloePool.grantRole/2": ROLE,
    "FloePool.revokeRole/2": ROLE,
    "FloePool.lock_for_exit/2": "caller: not the queue",
    "FloePool.raise_pending_loss/1": ROLE,
    "FloePool.receive_from_vault/0": "caller: not a vault",
    "FloePool.report/1": ROLE,
    "FloePool.send_to_validators/1": ROLE,
    "FloePool.set_deposit_ceiling/1": ROLE,
    "FloePool.set_fee_recipient/1": ROLE,
    "FloePool.set_parameters/1": ROLE,
    "FloePool.pause/2": ROLE,
    "WithdrawalQueue.settle/1": "caller: not the pool",
    "WithdrawalVault.request/3": "caller: not the registry",
    "WithdrawalVault.set_system_contract/2": "caller: not the admin",
    "WithdrawalVault.sweep/1": "caller: not the pool",
    "ExecutionVault.sweep/1": "caller: not the pool",
    "ValidatorRegistry.__default__/0": "caller: not the pool",
    "ValidatorRegistry.add_fork/1": ROLE,
    "ValidatorRegistry.add_operator/4": ROLE,
    "ValidatorRegistry.consolidate/2": ROLE,
    "ValidatorRegistry.grantRole/2": ROLE,
    "ValidatorRegistry.predeposit/3": "caller: not the manager",
    "ValidatorRegistry.request_withdrawals/2": "exits: not overdue",
    "ValidatorRegistry.request_withdrawals/3": "exits: not overdue",
    "ValidatorRegistry.revokeRole/2": ROLE,
    "ValidatorRegistry.set_operator/4": ROLE,
    "ValidatorRegistry.set_parameters/1": ROLE,
    "ValidatorRegistry.set_reward_address/2": "caller: not the manager",
    "ValidatorRegistry.withdraw_bond/2": "caller: not the manager",
    "FeeSplitter.cover_loss/1": ROLE,
    "FeeSplitter.grantRole/2": ROLE,
    "FeeSplitter.revokeRole/2": ROLE,
    "FeeSplitter.set_parts/1": ROLE,
    "FeeSplitter.set_registry/1": ROLE,
    "FeeSplitter.set_treasury/1": ROLE,
    "ReportOracle.accept/1": ROLE,
    "ReportOracle.grantRole/2": ROLE,
    "ReportOracle.reject/1": ROLE,
    "ReportOracle.remove_member/1": ROLE,
    "ReportOracle.renounceRole/2": SELF,
    "ReportOracle.revokeRole/2": ROLE,
    "ReportOracle.set_committee/2": ROLE,
    "ReportOracle.set_parameters/1": ROLE,
    "ReportOracle.vote/2": "committee: not this member",
    "StablePair.__default__/0": PLAIN,
    "StablePair.grantRole/2": ROLE,
    "StablePair.ramp/2": ROLE,
    "StablePair.revokeRole/2": ROLE,
    "StablePair.set_fee_receiver/1": ROLE,
    "StablePair.set_fees/3": ROLE,
    "StablePair.stop_ramp/0": ROLE,
    "ExitReserve.__default__/0": PLAIN,
    "ExitReserve.grantRole/2": ROLE,
    "ExitReserve.revokeRole/2": ROLE,
    "ExitReserve.set_parameters/1": ROLE,
    "Gauge.add_reward/3": ROLE,
    "Gauge.grantRole/2": ROLE,
    "Gauge.notify/2": "caller: not the distributor",
    "Gauge.revokeRole/2": ROLE,
    "Gauge.set_distributor/2": ROLE,
    "WethVault.__default__/0": PLAIN,
    "Zap.__default__/0": PLAIN,
    "Pauser.grantRole/2": ROLE,
    "Pauser.revokeRole/2": ROLE,
    "Pauser.renounceRole/2": SELF,
    "Pauser.pause/2": ROLE,
    "Pauser.resume/1": ROLE,
    "Timelock.grantRole/2": ROLE,
    "Timelock.revokeRole/2": ROLE,
    "Timelock.renounceRole/2": SELF,
    "Timelock.schedule/6": ROLE,
    "Timelock.schedule_batch/6": ROLE,
    "Timelock.cancel/1": ROLE,
    "Timelock.execute/5": ROLE,
    "Timelock.execute_batch/5": ROLE,
}


def keys(contract: str, names: str) -> list[str]:
    return [f"{contract}.{name}" for name in names.split()]


# What anybody may call, because it takes only from the caller or from whoever approved him ...
OWN_THINGS = [
    *keys("FloePool", "__default__/0 deposit/2 deposit/3 deposit/4 mint/2 redeem/3 redeem/4 withdraw/3 withdraw/4"),
    *keys("FloePool", "approve/2 permit/7 transfer/2 transferFrom/3"),
    *keys("WithdrawalQueue", "request/2 request_many/2 claim_to/2 claim_to/3 approve/2 setApprovalForAll/2"),
    *keys("WithdrawalQueue", "transferFrom/3 safeTransferFrom/3 safeTransferFrom/4"),
    *keys("RebasingToken", "stake/0 stake/1 stake/2 stake/3 wrap/1 unwrap/1 approve/2 permit/7 transfer/2"),
    *keys("RebasingToken", "transferFrom/3 transfer_shares/2 transfer_shares_from/3"),
    *keys("StablePair", "add_liquidity/2 add_liquidity/3 buy/1 buy/2 sell/2 sell/3 remove_liquidity/3"),
    *keys("StablePair", "remove_liquidity/4 remove_one/3 remove_one/4 approve/2 permit/7 transfer/2 transferFrom/3"),
    *keys("ExitReserve", "deposit/2 deposit/3 mint/2 redeem/3 redeem/4 withdraw/3 withdraw/4 sell/2 sell/3"),
    *keys("ExitReserve", "sell_ticket/2 sell_ticket/3 sell_ticket/4 stake/0 stake/1 stake/2 stake/3"),
    *keys("ExitReserve", "approve/2 permit/7 transfer/2 transferFrom/3"),
    *keys("Gauge", "stake/1 stake/2 withdraw/1 withdraw/2 emergency_exit/0 claim_to/2"),
    *keys("WethVault", "deposit/2 deposit/3 mint/2 redeem/3 redeem/4 withdraw/3 withdraw/4 request_exit/3"),
    *keys("WethVault", "approve/2 permit/7 transfer/2 transferFrom/3"),
    *keys("Zap", "zap/4"),
]
# ... or because it only moves what must move anyway, to where it belongs.
EVERYBODYS = [
    *keys("FloePool", "fulfil/0 fulfil/1 declare_stale/0"),
    *keys("WithdrawalQueue", "claim/1 claim/2 claim_many/2"),
    *keys("WithdrawalVault", "__default__/0"),
    *keys("ExecutionVault", "__default__/0"),
    *keys("ValidatorRegistry", "add_bond/1 prove/1 prove_one/4 prove_withdrawn/6 record_exits/0 top_up/2"),
    *keys("FeeSplitter", "claim/1 claim/2 distribute/0 sync/1"),
    *keys("ReportOracle", "submit/3"),
    *keys("StablePair", "collect/0"),
    *keys("ExitReserve", "claim/1 claim/2 queue_exits/0"),
    *keys("Gauge", "claim/2 claim_all/1"),
    *keys("WethVault", "claim/1 claim/2"),
    *keys("Timelock", "__default__/0"),
]

# What a pause of each kind stops. Everything else always works.
PAUSED = {
    "FloePool.__default__/0": "deposit: paused",
    "FloePool.deposit/2": "deposit: paused",
    "FloePool.deposit/3": "deposit: paused",
    "FloePool.deposit/4": "deposit: paused",
    "FloePool.mint/2": "deposit: paused",
    "RebasingToken.stake/0": "deposit: paused",
    "RebasingToken.stake/1": "deposit: paused",
    "RebasingToken.stake/2": "deposit: paused",
    "RebasingToken.stake/3": "deposit: paused",
    "FloePool.send_to_validators/1": "stake: over the limit",
    "ValidatorRegistry.top_up/2": "stake: over the limit",
    "FloePool.fulfil/0": "fulfil: paused",
    "FloePool.fulfil/1": "fulfil: paused",
    "FloePool.redeem/3": "instant: over the limit",
    "FloePool.redeem/4": "instant: over the limit",
    "FloePool.withdraw/3": "instant: over the limit",
    "FloePool.withdraw/4": "instant: over the limit",
    **dict.fromkeys(keys("ExitReserve", "stake/0 stake/1 stake/2 stake/3"), "deposit: paused"),
    **dict.fromkeys(keys("WethVault", "deposit/2 deposit/3 mint/2"), "deposit: paused"),
    "Zap.zap/4": "deposit: paused",
    **dict.fromkeys(keys("WethVault", "redeem/3 redeem/4 withdraw/3 withdraw/4"), "instant: over the limit"),
    **dict.fromkeys(keys("ExitReserve", "deposit/2 deposit/3 mint/2 redeem/3 redeem/4"), "reserve: exits paused"),
    **dict.fromkeys(keys("ExitReserve", "withdraw/3 withdraw/4 sell/2 sell/3"), "reserve: exits paused"),
    **dict.fromkeys(keys("ExitReserve", "sell_ticket/2 sell_ticket/3 sell_ticket/4"), "reserve: exits paused"),
}
# Only our own contracts may call these, so the wallet cannot.
PEERS = ("caller: not the pool", "caller: not the queue", "caller: not a vault", PLAIN)
PEERS_ONLY = {key: reason for key, reason in RESTRICTED.items() if reason in PEERS}
# Where nothing at all would be refused before the caller is looked at.
SOMETHING: dict[str, tuple[Any, ...]] = {
    "ValidatorRegistry.request_withdrawals/2": (bytes(48), [1]),
    "ValidatorRegistry.request_withdrawals/3": (bytes(48), [1], 1),
}
# Where whose it is depends on what is named: the wallet's own arguments.
SAME = {"Gauge.notify/2"}
# How an outsider is refused what is not his.
NOT_HIS = {
    "allowance: too low",
    "balance: too low",
    "ticket: caller may not",
    "ticket: not the owner's",
    "erc20: insufficient allowance",
    "erc20: transfer amount exceeds balance",
    "erc20: burn amount exceeds balance",
    "gauge: zero amount",
    "",  # WETH gives no reason
}

KEYS = sorted(set().union(*map(changing, CONTRACTS)))


def generic(entry: dict[str, Any]) -> Any:
    """Return some argument for an ABI input."""
    kind: str = entry["type"]
    if kind.endswith("[]"):
        return []
    if kind == "tuple":
        return tuple(generic(part) for part in entry["components"])
    if kind == "address":
        return "0x" + "77" * 20
    if kind == "bool":
        return True
    if kind.startswith("bytes"):
        return bytes(int(kind[5:] or 0))
    return 1


def target(protocol: Protocol, contract: str) -> Contract:
    """Return the contract called `contract`; the governance is deployed here."""
    evm = protocol.evm
    if contract == "Timelock":
        return evm.deploy("Timelock", 21 * DAY, [protocol.admin], [protocol.admin])
    if contract == "Pauser":
        return evm.deploy("Pauser", protocol.pool, protocol.admin, [protocol.admin], [protocol.admin])
    return next(found for found in evm.contracts.values() if found.kind == contract)


def test_access__every_function__is_listed_once():
    everything = set().union(*(changing(name) for name in build.names(mocks=False)))
    listed = [*RESTRICTED, *OWN_THINGS, *EVERYBODYS]
    assert sorted(listed) == sorted(everything)


@pytest.mark.parametrize("key", sorted(RESTRICTED))
def test_access__restricted_function__refuses_an_outsider_whatever_he_sends(stage: Stage, key: str):
    contract, _, rest = key.partition(".")
    name, _, count = rest.partition("/")
    inputs: Iterable[dict[str, Any]] = next(
        (e["inputs"] for e in functions(contract) if (e["name"], len(e["inputs"])) == (name, int(count))), []
    )
    arguments = SOMETHING.get(key) or tuple(map(generic, inputs))
    if key in SAME:
        arguments = stage.calls[key].arguments
    with reverts(RESTRICTED[key]):
        Call(target(stage.protocol, contract), name, arguments).make(OUTSIDER)


@pytest.mark.parametrize("key", KEYS)
def test_call__by_the_wallet_with_every_role__succeeds(stage: Stage, key: str):
    """Or the matrices would prove nothing."""
    call = stage.calls[key]
    stage.protocol.evm.travel(call.wait)
    if key in PEERS_ONLY:
        with reverts(PEERS_ONLY[key]):
            call.make(stage.wallet)
    else:
        call.make(stage.wallet)


@pytest.mark.parametrize("key", [key for key in (*OWN_THINGS, *EVERYBODYS) if key in KEYS])
def test_settings__through_every_public_function__stay(stage: Stage, key: str):
    """No function without a role changes a parameter, a ceiling, a pause, a role or who gets the fee or a request."""
    pool, vault, registry = stage.protocol.pool, stage.protocol.withdrawal_vault, stage.validators.registry

    def settings() -> list[Any]:
        totals, stream, away, past, _, _, live, _ = pool.state()
        roles = (pool.DEFAULT_ADMIN_ROLE(), pool.ORACLE_ROLE(), pool.REGISTRY_ROLE(), pool.PAUSER_ROLE())
        held = [pool.hasRole(role, account) for role in roles for account in (stage.wallet, OUTSIDER)]
        found = [totals >> 192 & 2**40 - 1, stream >> 176, away >> 192, past >> 216, live, pool.fee_recipient(), held]
        found += [vault.system_contract(kind) for kind in range(4)]
        found += [registry.parameters(), registry.forks(), registry.operator_count(), registry.total_weight()]
        found += [registry.operator(number)[:3] + registry.operator(number)[4:5] for number in (1, 2)]
        found += [stage.splitter.parts(), stage.splitter.treasury(), stage.splitter.registry()]
        oracle = stage.oracle.contract
        found += [oracle.members(), oracle.quorum(), oracle.parameters()]
        found += [oracle.hasRole(oracle.COUNCIL_ROLE(), account) for account in (stage.wallet, OUTSIDER)]
        market = stage.market
        found += [market.pair.parameters(), market.pair.fee_receiver(), market.reserve.parameters()]
        found += [market.gauge.reward_tokens(), market.gauge.reward(market.reward)[:2]]
        admin = market.pair.DEFAULT_ADMIN_ROLE()
        found += [c.hasRole(admin, OUTSIDER) for c in (market.pair, market.reserve, market.gauge)]
        kinds = (registry.DEFAULT_ADMIN_ROLE(), registry.OPERATORS_ROLE(), registry.KEEPER_ROLE())
        return [*found, *(registry.hasRole(kind, account) for kind in kinds for account in (stage.wallet, OUTSIDER))]

    before = settings()
    call = stage.calls[key]
    stage.protocol.evm.travel(call.wait)
    call.make(stage.wallet)
    assert settings() == before


@pytest.mark.parametrize("key", OWN_THINGS)
def test_own_things__called_by_an_outsider__take_nothing_of_the_wallets(stage: Stage, key: str):
    """The wallet's own calls, made by somebody whom it approved nothing: refused, or paid by himself."""
    protocol, wallet = stage.protocol, stage.wallet

    def held() -> list[Any]:
        tickets = [protocol.queue.ownerOf(number) for number in (1, 2, 5, 6, 7)]
        coins = [protocol.pool.balanceOf(wallet), protocol.token.shares_of(wallet), protocol.evm.balance(wallet)]
        approvals = [protocol.queue.getApproved(6), protocol.pool.allowance(wallet, OUTSIDER)]
        market = stage.market
        tokens = (market.pair, market.reserve, market.vault, market.weth, market.reward)
        coins += [token.balanceOf(wallet) for token in tokens]
        coins += [market.gauge.staked(wallet), market.gauge.earned(wallet, market.reward)]
        approvals += [token.allowance(wallet, OUTSIDER) for token in tokens]
        return [*tickets, *coins, *approvals]

    before = held()
    try:
        stage.calls[key].make(OUTSIDER)
    except RevertError as error:
        assert error.reason in NOT_HIS, error
    assert held() == before


# --- pause ---


def paused(stage: Stage) -> Evm:
    evm, pool = stage.protocol.evm, stage.protocol.pool
    pool.pause(DEPOSIT | FULFIL | INSTANT_EXIT, evm.now + 14 * DAY, sender=stage.wallet)
    return evm


@pytest.mark.parametrize("key", KEYS)
def test_bad_075_pause__each_function__stops_if_listed_and_else_works(stage: Stage, key: str):
    evm, call = paused(stage), stage.calls[key]
    evm.travel(call.wait)
    if reason := PAUSED.get(key) or PEERS_ONLY.get(key):
        with reverts(reason):
            call.make(stage.wallet)
        # It is the pause that stops it, and the pause ends. A top-up needs another proof by then.
        evm.travel(14 * DAY - call.wait)
        if key in PAUSED and reason != "instant: over the limit" and not key.startswith("ValidatorRegistry"):
            call.make(stage.wallet)
    else:
        call.make(stage.wallet)


def test_bad_075_pause__views__keep_working(stage: Stage):
    """Integrators read prices, balances and tickets while everything is paused."""
    paused(stage)
    protocol, wallet = stage.protocol, stage.wallet
    assert protocol.pool.entry_rate() > protocol.pool.exit_rate() - 1 > 0
    assert protocol.pool.balanceOf(wallet) > 0
    assert protocol.pool.previewRedeem(10**18) > 0
    assert protocol.token.balanceOf(wallet) > 0
    assert protocol.queue.claimable(1) > 0
    assert stage.market.feed.getRate() == protocol.pool.exit_rate()
    assert stage.market.pair.price() > 0
    assert stage.market.reserve.totalAssets() > 0
    assert stage.market.gauge.earned(wallet, stage.market.reward) > 0
    assert protocol.lens.account(wallet).value > 0
    assert protocol.lens.protocol().limits.deposit_paused_until > protocol.evm.now
