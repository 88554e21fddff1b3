"""Every place where a stranger's code runs, times every function that it may call from there.

A wallet that holds every role takes ETH or a ticket and calls back. Whatever it calls must end as if it had been
called right afterwards: the state is final before the stranger is reached, or the lock refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from floe.beacon.ssz import key_of
from tests import sources
from tests.beacon import pubkey_of
from tests.calls import CONTRACTS, Call, Stage, changing, reading
from tests.evm import DAY, ETHER, Account, Contract, RevertError, types_of
from tests.market import ROOM
from tests.protocol import RECEIVER, SAVER, SPENDER, STAKER

# Functions that reach a stranger, as calls of the stage.
OUTER = [
    "FloePool.mint/2",
    "FloePool.redeem/3",
    "FloePool.redeem/4",
    "FloePool.withdraw/3",
    "FloePool.withdraw/4",
    "FloePool.send_to_validators/1",
    "WithdrawalQueue.claim/1",
    "WithdrawalQueue.claim/2",
    "WithdrawalQueue.claim_to/2",
    "WithdrawalQueue.claim_to/3",
    "WithdrawalQueue.claim_many/2",
    "WithdrawalQueue.safeTransferFrom/3",
    "WithdrawalQueue.safeTransferFrom/4",
    "WithdrawalVault.request/3",
    "ValidatorRegistry.consolidate/2",
    "ValidatorRegistry.request_withdrawals/2",
    "ValidatorRegistry.request_withdrawals/3",
    "ValidatorRegistry.withdraw_bond/2",
    "StablePair.collect/0",
    "StablePair.remove_liquidity/3",
    "StablePair.remove_liquidity/4",
    "StablePair.remove_one/3",
    "StablePair.remove_one/4",
    "StablePair.sell/2",
    "StablePair.sell/3",
    "ExitReserve.mint/2",
    "ExitReserve.redeem/3",
    "ExitReserve.redeem/4",
    "ExitReserve.sell/2",
    "ExitReserve.sell/3",
    "ExitReserve.sell_ticket/2",
    "ExitReserve.sell_ticket/3",
    "ExitReserve.sell_ticket/4",
    "ExitReserve.withdraw/3",
    "ExitReserve.withdraw/4",
    "Gauge.claim/2",
    "Gauge.claim_all/1",
    "Gauge.claim_to/2",
    "Gauge.notify/2",
]
# These reach it through another contract of ours, which gives back what is left of the fees.
THROUGH = {"ValidatorRegistry": {"consolidate", "request_withdrawals"}}
# Their raw call is the pool's `fulfil`, which pays the queue and nobody else.
WITHIN = {"ReportOracle": {"accept", "submit"}}
# Open during a call of the contract's own: snekmate's keeping of roles, which moves no money, what the vaults answer a
# report with, which lets nobody else in, and plain ETH, which a vault always takes and the registry from the pool only.
# In the liquidity room: plain ETH, which each of them takes only while it asks for some; and snekmate's token, which
# moves what is final by then.
UNLOCKED = {
    "FloePool.grantRole/2",
    "FloePool.revokeRole/2",
    "FloePool.receive_from_vault/0",
    "WithdrawalVault.__default__/0",
    "ValidatorRegistry.grantRole/2",
    "ValidatorRegistry.revokeRole/2",
    "ValidatorRegistry.__default__/0",
    *(f"{contract}.{name}" for contract in ROOM[:3] for name in ("grantRole/2", "revokeRole/2")),
    *(f"StablePair.{name}" for name in ("approve/2", "permit/7")),
    *(f"ExitReserve.{name}" for name in ("__default__/0", "approve/2", "permit/7")),
}
# They give the stranger so much gas only: what needs more keeps it from being paid, and changes nothing.
CAPPED = {"Gauge.claim_all/1"}
INNER = sorted(set().union(*map(changing, CONTRACTS)))

# A view's answer is an argument's, so that it says something: an amount for the pool, a ticket for the queue.
NUMBER = {
    "FloePool": ETHER,
    "WithdrawalQueue": 5,
    "RebasingToken": ETHER,
    "WithdrawalVault": 1,
    "ValidatorRegistry": 1,
    "FeeSplitter": 1,
    "ReportOracle": 1,
    "StablePair": ETHER,
    "ExitReserve": ETHER,
    "Gauge": 1,
    "WethVault": ETHER,
    "Zap": 1,
    "RateProvider": 1,
}


View = tuple[Contract, str, tuple[Any, ...]]


def views(stage: Stage) -> list[View]:
    """Return views that together say everything of the protocol that the calls of a stage can change."""
    protocol, wallet, v = stage.protocol, stage.wallet, stage.validators
    pool, queue, token, registry = protocol.pool, protocol.queue, protocol.token, v.registry
    splitter, oracle = stage.splitter, stage.oracle.contract
    people: list[Account] = [wallet, RECEIVER, SPENDER, SAVER, STAKER, protocol.token, protocol.queue]

    found: list[View] = [(pool, "state", ()), (pool, "fee_recipient", ()), (token, "total_shares", ())]
    found += [(queue, name, ()) for name in ("tickets", "tail", "filled", "paid_in", "points")]
    found += [(queue, "isApprovedForAll", (wallet, SPENDER))]
    for account in people:
        found += [(pool, "balanceOf", (account,)), (token, "shares_of", (account,)), (queue, "balanceOf", (account,))]
        found += [(coin, "allowance", (account, SPENDER)) for coin in (pool, token)]
    found += [(pool, "hasRole", (pool.ORACLE_ROLE(), account)) for account in (wallet, SPENDER)]
    found += [(protocol.lens, "tickets", (list(range(1, 11)),))]
    found += [(registry, name, ()) for name in ("staked", "under_way", "parameters", "forks", "total_weight")]
    found += [
        (registry, "eligible_on", (protocol.evm.now // DAY,)),
        (protocol.withdrawal_vault, "system_contract", (3,)),
    ]
    found += [(registry, "validator", (key_of(pubkey),)) for pubkey in (*v.pubkeys.values(), pubkey_of(1))]
    found += [(registry, "operator", (number,)) for number in (1, 2, 3)]
    found += [(registry, "hasRole", (registry.KEEPER_ROLE(), account)) for account in (wallet, SPENDER)]
    found += [(splitter, name, ()) for name in ("held", "cover_fund", "rest", "cover_ticket", "undistributed")]
    found += [(splitter, name, ()) for name in ("parts", "treasury", "registry")]
    found += [(splitter, "weights", (registry,))]
    found += [(splitter, "accounts", (registry, number)) for number in (1, 2)]
    found += [(splitter, "hasRole", (splitter.COUNCIL_ROLE(), account)) for account in (wallet, SPENDER)]
    found += [(oracle, name, ()) for name in ("members", "quorum", "last", "pending", "parameters")]
    found += [(oracle, "votes", (4,))]
    found += [(oracle, "hasRole", (oracle.COUNCIL_ROLE(), account)) for account in (wallet, SPENDER)]
    return found + market_views(stage)


def market_views(stage: Stage) -> list[View]:
    """Those of the liquidity room."""
    market, wallet = stage.market, stage.wallet
    pair, reserve, gauge, vault, reward = market.pair, market.reserve, market.gauge, market.vault, market.reward
    people: list[Account] = [wallet, RECEIVER, pair, reserve, gauge]
    tokens = [pair, reserve, vault, market.weth, reward]
    found: list[View] = []
    for token in tokens:
        found += [(token, "totalSupply", ()), (token, "allowance", (wallet, SPENDER))]
        found += [(token, "balanceOf", (account,)) for account in people]
    found += [(pair, "fresh", (wallet,)), *((token, "nonces", (STAKER,)) for token in tokens[:3])]
    found += [(pair, name, ()) for name in ("balances", "locked", "price_cumulative", "parameters", "fee_receiver")]
    found += [(reserve, name, ()) for name in ("cash", "held", "queued", "locked", "fresh")]
    found += [(reserve, name, ()) for name in ("open_tickets", "parameters")]
    found += [(vault, "receiver_of", (ticket,)) for ticket in range(4, 11)]
    found += [(gauge, name, ()) for name in ("total_staked", "reward_tokens")]
    found += [(gauge, "staked", (account,)) for account in (wallet, RECEIVER)]
    found += [(gauge, "reward", (reward,)), (gauge, "earned", (wallet, reward)), (gauge, "fraction", (wallet, reward))]
    admin = pair.DEFAULT_ADMIN_ROLE()
    return found + [(c, "hasRole", (admin, who)) for c in (pair, reserve, gauge) for who in (wallet, SPENDER)]


def picture(stage: Stage) -> list[Any]:
    """Everything that the calls of a stage can change, as bytes: they are compared thousands of times."""
    evm, protocol = stage.protocol.evm, stage.protocol
    if not stage.views:
        stage.views = [(contract, name, contract.encode(name, *given)) for contract, name, given in views(stage)]
    seen: list[Any] = [evm.call(contract, name, data, static=True) for contract, name, data in stage.views]
    holders: list[Account] = [stage.wallet, RECEIVER, SPENDER, SAVER, STAKER, protocol.token, protocol.queue]
    holders += [protocol.pool, protocol.withdrawal_vault, protocol.execution_vault, stage.validators.registry]
    return seen + [evm.balance(holder) for holder in (*holders, *stage.market.contracts)]


def after(stage: Stage, *steps: Callable[[], object]) -> tuple[list[Any], list[bytes]]:
    """Return what things look like after some steps, each a transaction, and what each answered; then undo them."""
    answers = []
    with stage.protocol.evm.undone():
        for step in steps:
            answer = step()
            answers.append(answer if isinstance(answer, bytes) else b"")
        return picture(stage), answers


def react(stage: Stage, outer: Call, inner: Call) -> tuple[bool, bytes] | None:
    """Make the outer call while the wallet answers ETH and tickets with the inner one.

    Returns how that ended; nothing, where all that the outer call did for the wallet came to nothing with it.
    """
    stage.wallet.react_with(inner.contract, inner.data, inner.value)
    outer.make(stage.wallet)
    reactions = stage.protocol.evm.events(stage.wallet, "Reacted")
    if not reactions:
        return None
    return reactions[0].fields["success"], reactions[0].fields["answer"]


def raw(stage: Stage, call: Call) -> Callable[[], bytes]:
    """Return a step that makes a call in the wallet's name, and answers in bytes."""
    evm = stage.protocol.evm
    return lambda: evm.call(call.contract, call.function, call.data, stage.wallet, call.value)


def test_outer__every_function_that_reaches_a_stranger__is_tried():
    for contract in CONTRACTS:
        found = {name for name, function in sources.functions(contract).items() if function.to_strangers}
        found = (found | THROUGH.get(contract, set())) - WITHIN.get(contract, set())
        tried = {key.split(".")[1].split("/")[0] for key in OUTER if key.startswith(contract)}
        assert tried == found, contract
        # Overloads share a body; each is tried all the same.
        for name in found:
            assert {key for key in changing(contract) if f".{name}/" in key} <= set(OUTER)


@pytest.mark.parametrize("outer", OUTER)
def test_bad_068_101_102_reentry__each_function__is_locked_or_as_if_called_next(stage: Stage, outer: str):
    evm = stage.protocol.evm
    first = stage.calls[outer]
    succeeded = 0
    alone: dict[int, list[Any]] = {}
    for key in INNER:
        second = stage.calls[key]
        with evm.undone():
            wait = second.wait if not outer.startswith("FloePool") else 0
            evm.travel(wait)
            if wait not in alone:
                alone[wait], _ = after(stage, raw(stage, first))
            try:
                in_turn, (_, expected) = after(stage, raw(stage, first), raw(stage, second))
            except RevertError:
                in_turn, expected = alone[wait], b""
            before, ended = picture(stage), react(stage, first, second)
            if ended is None:
                assert outer in CAPPED, "the stranger was not reached"
                assert picture(stage) == before, key
                continue
            success, answer = ended
            assert picture(stage) == (in_turn if success else alone[wait]), key
            if second.contract is first.contract and key not in UNLOCKED:
                # No reason: it is the lock that refuses, before anything is looked at.
                assert (success, answer) == (False, b""), key
            elif success:
                assert answer == expected, key
                succeeded += 1
    # A contract does not lock the others: what is called there is not refused for nothing.
    assert succeeded > 0


@pytest.mark.parametrize("outer", OUTER)
def test_bad_100_reentry__each_view__is_locked_or_says_what_is_true_afterwards(stage: Stage, outer: str):
    evm, first, answered = stage.protocol.evm, stage.calls[outer], 0
    protocol = stage.protocol
    ours = [protocol.pool, protocol.queue, protocol.token, protocol.withdrawal_vault]
    ours += [stage.validators.registry, stage.splitter, stage.oracle.contract, *stage.market.contracts]
    for contract in ours:
        for entry in reading(contract.kind):
            arguments = tuple(view_argument(stage, contract, kind) for kind in types_of(entry))
            view = Call(contract, entry["name"], arguments)
            with evm.undone():
                ended = react(stage, first, view)
                if ended is None:
                    assert outer in CAPPED, "the stranger was not reached"
                    continue
                success, answer = ended
                if success:
                    assert answer == evm.call(contract, view.function, view.data)[:320], entry["name"]
                    answered += 1
                else:
                    assert answer == b"" or contract is not first.contract, entry["name"]
    assert answered > 20


def view_argument(stage: Stage, contract: Contract, kind: str) -> Any:
    if kind == "address":
        return stage.market.reward if contract.kind == "Gauge" else stage.wallet
    if kind == "bool":
        return True
    if kind == "uint80":
        return stage.market.feed.latestRoundData()[0]
    if kind == "bytes32":
        return key_of(stage.validators.pubkeys[stage.first])
    if kind == "bytes4":
        return bytes.fromhex("01ffc9a7")
    if kind.startswith("("):
        return stage.held
    assert kind == "uint256"
    return NUMBER[contract.kind]


def test_bad_062_reentry__ether_into_the_pool_during_its_own_call__is_refused_without_loss(stage: Stage):
    """Vaults pay the pool through a function of their own, which stays open; a stranger's deposit has to wait."""
    evm = stage.protocol.evm
    evm.fund(stage.protocol.withdrawal_vault, ETHER)
    before = evm.balance(stage.protocol.pool)
    reported = stage.protocol.report(withdrawn=ETHER)
    assert evm.balance(stage.protocol.pool) == before + ETHER + reported["tips"]
    call = stage.calls["FloePool.redeem/3"]
    assert react(stage, call, Call(stage.protocol.pool, "__default__", value=ETHER)) == (False, b"")
