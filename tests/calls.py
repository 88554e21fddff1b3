"""One call for every function of the protocol that changes state, made to succeed: what the matrices are filled with.

`Stage` prepares a protocol in which one wallet holds shares, wrapped shares, tickets and every role, so that each of
its `calls` succeeds as the next transaction. Keys are "Contract.function/number of arguments"; plain ETH is
"Contract.__default__/0".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_account.messages import encode_typed_data

from tests import sources
from tests.beacon import LIMITS, WITHDRAWAL, Fork, Validators, alone, pubkey_of, signature_of
from tests.evm import DAY, ETHER, Account, Contract, functions
from tests.fees import Parts, deploy_splitter
from tests.market import FLOETH, RESERVE_PARAMETERS, ROOM, Market
from tests.oracle import LIMITS as ORACLE_LIMITS
from tests.oracle import MEMBERS, Oracle
from tests.protocol import (
    DEPOSIT,
    FULFIL,
    INSTANT_EXIT,
    PARAMETERS,
    RECEIVER,
    SAVER,
    SPENDER,
    STAKER,
    STAKER_KEY,
    UNLIMITED,
    Protocol,
)

CONTRACTS = (
    "FloePool",
    "WithdrawalQueue",
    "RebasingToken",
    "WithdrawalVault",
    "ExecutionVault",
    "ValidatorRegistry",
    "FeeSplitter",
    "ReportOracle",
    *ROOM,
)
"""Contracts whose functions people and other contracts call for money."""


@dataclass(frozen=True)
class Call:
    """A call that is ready to be made."""

    contract: Contract
    function: str
    arguments: tuple[Any, ...] = ()
    value: int = 0
    wait: int = 0
    """Seconds that must pass before it succeeds."""

    @property
    def data(self) -> bytes:
        """Calldata."""
        return b"" if self.function == "__default__" else self.contract.encode(self.function, *self.arguments)

    def make(self, sender: Account) -> Any:
        """Make the call in the name of `sender`; returns its answer."""
        if self.function == "__default__":
            return self.contract.receive(sender=sender, value=self.value)
        return getattr(self.contract, self.function)(*self.arguments, sender=sender, value=self.value)


def changing(contract: str) -> set[str]:
    """Keys of a contract's functions that may change state."""
    found = {
        f"{contract}.{entry['name']}/{len(entry['inputs'])}"
        for entry in functions(contract)
        if entry["stateMutability"] not in ("view", "pure")
    }
    return found | ({f"{contract}.__default__/0"} if "__default__" in sources.functions(contract) else set())


def reading(contract: str) -> list[dict[str, Any]]:
    """ABI entries of a contract's views."""
    return [entry for entry in functions(contract) if entry["stateMutability"] in ("view", "pure")]


class Stage:
    """A protocol in which `wallet` can do everything."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        pool, queue, token = protocol.pool, protocol.queue, protocol.token
        self.wallet = wallet = protocol.wallet(60 * ETHER)
        self.views: list[tuple[Contract, str, bytes]] = []
        """Calldata of views that a test looks at again and again."""
        protocol.stake(200 * ETHER)
        for role in (pool.DEFAULT_ADMIN_ROLE(), pool.ORACLE_ROLE(), pool.REGISTRY_ROLE(), pool.PAUSER_ROLE()):
            pool.grantRole(role, wallet, sender=protocol.admin)
        self.market = Market(protocol, wallet)
        # Tickets 1 and 2 are filled, 5 in part, 6 and 7 are not; all are the wallet's. 3 is the reserve's and 4 the
        # WETH vault's, filled both. The saver waits as well.
        queue.request_many([ETHER, ETHER], wallet, sender=wallet)
        self.market.queue_exits()
        queue.request_many([4 * ETHER, ETHER, ETHER], wallet, sender=wallet)
        protocol.report(tail=6 * ETHER)
        pool.fulfil()
        protocol.request(2 * ETHER, SAVER)
        protocol.report()
        pool.approve(token, UNLIMITED, sender=wallet)
        token.wrap(10 * ETHER, sender=wallet)
        protocol.report(gain=-2 * ETHER)
        protocol.evm.fund(protocol.execution_vault, ETHER)
        self._validators()
        self._fees()
        self._oracle()
        self.calls = {**self._pool(), **self._queue(), **self._token(), **self._vaults(), **self._registry()}
        self.calls |= {**self._splitter(), **self._reports(), **self._pair(), **self._reserve()}
        self.calls |= {**self._gauge(), **self._adapters()}

    def _validators(self) -> None:
        """Deploy a registry in which the wallet has every role and manages operator 1, with validators."""
        self.validators = v = Validators(self.protocol)
        registry, wallet = v.registry, self.wallet
        for role in (registry.DEFAULT_ADMIN_ROLE(), registry.OPERATORS_ROLE(), registry.KEEPER_ROLE()):
            registry.grantRole(role, wallet, sender=self.protocol.admin)
        self.first, self.second, self.new, self.gone = v.predeposit(4)
        registry.set_operator(1, wallet, 100, 10, sender=wallet)
        registry.set_reward_address(1, wallet, sender=wallet)
        v.top_up({self.first: 31, self.second: 31})
        v.leave(self.gone)
        v.withdraw(self.gone)

    def _fees(self) -> None:
        """Deploy a splitter in which the wallet has every role, with something earned, kept and not yet split."""
        protocol, wallet = self.protocol, self.wallet
        self.splitter = splitter = deploy_splitter(protocol, self.validators.registry)
        for role in (splitter.DEFAULT_ADMIN_ROLE(), splitter.COUNCIL_ROLE()):
            splitter.grantRole(role, wallet, sender=protocol.admin)
        splitter.sync(1)
        protocol.pool.transfer(splitter, ETHER, sender=SAVER)
        splitter.distribute()
        protocol.pool.transfer(splitter, ETHER, sender=SAVER)

    def _oracle(self) -> None:
        """Deploy an oracle in which the wallet has every role and a seat, with a held report that pauses nothing."""
        protocol, wallet = self.protocol, self.wallet
        members: list[Account] = [*(member.address for member in MEMBERS[:4]), wallet]
        self.oracle = Oracle(protocol, members=members, limits=ORACLE_LIMITS._replace(frame_epochs=15))
        oracle = self.oracle.contract
        for role in (oracle.DEFAULT_ADMIN_ROLE(), oracle.COUNCIL_ROLE()):
            oracle.grantRole(role, wallet, sender=protocol.admin)
        self.held = self.oracle.report(gain=-100 * ETHER, slot=self.oracle.slot(back=1))
        assert not self.oracle.submit(self.held)
        protocol.pool.pause(DEPOSIT | FULFIL | INSTANT_EXIT, 0, sender=wallet)

    def _reports(self) -> dict[str, Call]:
        contract, oracle, wallet = self.oracle.contract, self.oracle, self.wallet
        council, report = contract.COUNCIL_ROLE(), oracle.report()
        digest = oracle.digest(report)
        return _keyed(
            Call(contract, "accept", (self.held,)),
            Call(contract, "grantRole", (council, SPENDER)),
            Call(contract, "reject", (oracle.digest(self.held),)),
            Call(contract, "remove_member", (1,)),
            Call(contract, "renounceRole", (council, wallet)),
            Call(contract, "revokeRole", (council, SPENDER)),
            Call(contract, "set_committee", ([SPENDER], 1)),
            Call(contract, "set_parameters", (ORACLE_LIMITS,)),
            Call(contract, "submit", (report, *oracle.signatures(digest, range(3)))),
            Call(contract, "vote", (4, digest)),
        )

    def _splitter(self) -> dict[str, Call]:
        splitter, registry = self.splitter, self.validators.registry
        guest = splitter.COUNCIL_ROLE()
        return _keyed(
            Call(splitter, "claim", (1,)),
            Call(splitter, "claim", (1, registry.address)),
            Call(splitter, "cover_loss", (ETHER // 20,)),
            Call(splitter, "distribute"),
            Call(splitter, "grantRole", (guest, SPENDER)),
            Call(splitter, "revokeRole", (guest, SPENDER)),
            Call(splitter, "set_parts", (Parts(1, 2),)),
            Call(splitter, "set_registry", (self.protocol.registry.address,)),
            Call(splitter, "set_treasury", (RECEIVER,)),
            Call(splitter, "sync", (2,)),
        )

    def _pool(self) -> dict[str, Call]:
        pool, wallet = self.protocol.pool, self.wallet
        guest = pool.ORACLE_ROLE()
        return _keyed(
            Call(pool, "__default__", value=ETHER),
            Call(pool, "approve", (SPENDER, 7)),
            Call(pool, "declare_stale", wait=PARAMETERS.stale_after),
            Call(pool, "deposit", (ETHER, RECEIVER), ETHER),
            Call(pool, "deposit", (ETHER, RECEIVER, 1), ETHER),
            Call(pool, "deposit", (ETHER, RECEIVER, 1, SAVER), ETHER),
            Call(pool, "fulfil"),
            Call(pool, "fulfil", (2 * ETHER,)),
            Call(pool, "grantRole", (guest, SPENDER)),
            Call(pool, "lock_for_exit", (wallet, 1)),
            Call(pool, "mint", (ETHER, RECEIVER), 2 * ETHER),
            Call(pool, "pause", (DEPOSIT, 0)),
            self._permit(pool, "Floe ETH"),
            Call(pool, "raise_pending_loss", (7,)),
            Call(pool, "receive_from_vault", (), 1),
            Call(pool, "redeem", (ETHER, wallet, wallet)),
            Call(pool, "redeem", (ETHER, wallet, wallet, 1)),
            Call(pool, "report", (self.protocol.next_report(),)),
            Call(pool, "revokeRole", (guest, SPENDER)),
            Call(pool, "send_to_validators", (ETHER,)),
            Call(pool, "set_deposit_ceiling", (10**18,)),
            Call(pool, "set_fee_recipient", (RECEIVER,)),
            Call(pool, "set_parameters", (PARAMETERS._replace(fee_bps=1),)),
            Call(pool, "transfer", (RECEIVER, ETHER)),
            Call(pool, "transferFrom", (wallet, RECEIVER, ETHER)),
            Call(pool, "withdraw", (ETHER, wallet, wallet)),
            Call(pool, "withdraw", (ETHER, wallet, wallet, 2 * ETHER)),
        )

    def _queue(self) -> dict[str, Call]:
        queue, wallet = self.protocol.queue, self.wallet
        return _keyed(
            Call(queue, "approve", (SPENDER, 6)),
            Call(queue, "claim", (1,)),
            Call(queue, "claim", (1, 1)),
            Call(queue, "claim_many", ([1], [])),
            Call(queue, "claim_to", (2, wallet)),
            Call(queue, "claim_to", (2, wallet, 1)),
            Call(queue, "request", (ETHER, wallet)),
            Call(queue, "request_many", ([ETHER, 1], wallet)),
            Call(queue, "safeTransferFrom", (wallet, wallet, 6)),
            Call(queue, "safeTransferFrom", (wallet, wallet, 6, b"data")),
            Call(queue, "setApprovalForAll", (SPENDER, True)),
            Call(queue, "settle", (1,), 1),
            Call(queue, "transferFrom", (wallet, RECEIVER, 7)),
        )

    def _token(self) -> dict[str, Call]:
        token, wallet = self.protocol.token, self.wallet
        return _keyed(
            Call(token, "approve", (SPENDER, 7)),
            self._permit(token, "Floe ETH rebasing"),
            Call(token, "stake", (), ETHER),
            Call(token, "stake", (RECEIVER,), ETHER),
            Call(token, "stake", (RECEIVER, 1), ETHER),
            Call(token, "stake", (RECEIVER, 1, SAVER), ETHER),
            Call(token, "transfer", (RECEIVER, ETHER)),
            Call(token, "transferFrom", (wallet, RECEIVER, ETHER)),
            Call(token, "transfer_shares", (RECEIVER, ETHER)),
            Call(token, "transfer_shares_from", (wallet, RECEIVER, ETHER)),
            Call(token, "unwrap", (ETHER,)),
            Call(token, "wrap", (ETHER,)),
        )

    def _vaults(self) -> dict[str, Call]:
        vaults = (self.protocol.withdrawal_vault, self.protocol.execution_vault)
        gifts = (Call(vault, "__default__", value=1) for vault in vaults)
        sweeps = (Call(vault, "sweep", (0,)) for vault in vaults)
        return _keyed(
            *gifts,
            *sweeps,
            Call(vaults[0], "request", (WITHDRAWAL, [pubkey_of(1) + bytes(8)], self.wallet), 2),
            Call(vaults[0], "set_system_contract", (3, RECEIVER)),
        )

    def _registry(self) -> dict[str, Call]:
        v, registry = self.validators, self.validators.registry
        guest = registry.KEEPER_ROLE()
        v.prove(self.new)
        v.activate(self.first, self.second)
        proof, gone = v.proof(self.new), v.beacon.prove([self.gone], v.evm.now)
        return _keyed(
            Call(registry, "__default__", value=1),
            Call(registry, "add_bond", (2,), ETHER),
            Call(registry, "add_fork", (Fork(2**63, 2**41, 2**41),)),
            Call(registry, "add_operator", (SPENDER, SPENDER, 1, 1)),
            Call(registry, "consolidate", (v.keys(self.first), v.keys(self.second)), 2),
            Call(registry, "grantRole", (guest, SPENDER)),
            Call(registry, "predeposit", (1, pubkey_of(1), signature_of(1)), ETHER),
            Call(registry, "prove", (proof,)),
            Call(registry, "prove_one", alone(proof)),
            Call(registry, "prove_withdrawn", (*alone(gone), *v.beacon.prove_balance(self.gone))),
            Call(registry, "record_exits"),
            Call(registry, "request_withdrawals", (v.keys(self.first), [0]), 2),
            Call(registry, "request_withdrawals", (v.keys(self.first), [0], 1), 2),
            Call(registry, "revokeRole", (guest, SPENDER)),
            Call(registry, "set_operator", (2, SPENDER, 7, 7)),
            Call(registry, "set_parameters", (LIMITS._replace(slashing_bps=1),)),
            Call(registry, "set_reward_address", (1, SPENDER)),
            Call(registry, "top_up", (v.keys(self.new), [31 * 10**9])),
            Call(registry, "withdraw_bond", (1, 10**9)),
        )

    def _pair(self) -> dict[str, Call]:
        pair, wallet, evm = self.market.pair, self.wallet, self.protocol.evm
        return _keyed(
            Call(pair, "__default__", value=1),
            Call(pair, "add_liquidity", (ETHER, 1), ETHER),
            Call(pair, "add_liquidity", (ETHER, 1, RECEIVER), ETHER),
            Call(pair, "buy", (1,), ETHER),
            Call(pair, "buy", (1, RECEIVER), ETHER),
            Call(pair, "collect"),
            Call(pair, "ramp", (30_000, evm.now + 365 * DAY)),
            Call(pair, "remove_liquidity", (ETHER, 1, 1)),
            Call(pair, "remove_liquidity", (ETHER, 1, 1, wallet)),
            Call(pair, "remove_one", (ETHER, True, 1)),
            Call(pair, "remove_one", (ETHER, True, 1, wallet)),
            Call(pair, "sell", (ETHER, 1)),
            Call(pair, "sell", (ETHER, 1, wallet)),
            Call(pair, "set_fee_receiver", (RECEIVER,)),
            Call(pair, "set_fees", (100, 20_000, 0)),
            Call(pair, "stop_ramp"),
            *self._roles(pair),
            *self._coin(pair, "Floe ETH pair"),
        )

    def _reserve(self) -> dict[str, Call]:
        reserve, wallet = self.market.reserve, self.wallet
        return _keyed(
            Call(reserve, "__default__", value=1),
            Call(reserve, "claim", (0,)),
            Call(reserve, "claim", (0, 1)),
            Call(reserve, "deposit", (ETHER, RECEIVER), ETHER),
            Call(reserve, "deposit", (ETHER, RECEIVER, 1), ETHER),
            Call(reserve, "mint", (ETHER, RECEIVER), 2 * ETHER),
            Call(reserve, "queue_exits"),
            Call(reserve, "redeem", (ETHER, wallet, wallet)),
            Call(reserve, "redeem", (ETHER, wallet, wallet, 1)),
            Call(reserve, "sell", (ETHER, 1)),
            Call(reserve, "sell", (ETHER, 1, wallet)),
            Call(reserve, "sell_ticket", (6, 1)),
            Call(reserve, "sell_ticket", (7, 1, wallet)),
            Call(reserve, "sell_ticket", (5, 1, wallet, 1)),
            Call(reserve, "set_parameters", (RESERVE_PARAMETERS,)),
            Call(reserve, "stake", (), ETHER),
            Call(reserve, "stake", (RECEIVER,), ETHER),
            Call(reserve, "stake", (RECEIVER, 1), 8 * ETHER),
            Call(reserve, "stake", (RECEIVER, 1, SAVER), 8 * ETHER),
            Call(reserve, "withdraw", (ETHER, wallet, wallet)),
            Call(reserve, "withdraw", (ETHER, wallet, wallet, 2 * ETHER)),
            *self._roles(reserve),
            *self._coin(reserve, "Floe exit reserve"),
        )

    def _gauge(self) -> dict[str, Call]:
        gauge, wallet, reward, spare = self.market.gauge, self.wallet, self.market.reward, self.market.spare
        return _keyed(
            Call(gauge, "add_reward", (spare, SPENDER, DAY)),
            Call(gauge, "claim", (wallet, reward)),
            Call(gauge, "claim_all", (wallet,)),
            Call(gauge, "claim_to", (reward, wallet)),
            Call(gauge, "emergency_exit"),
            Call(gauge, "notify", (reward, ETHER)),
            Call(gauge, "set_distributor", (reward, SPENDER)),
            Call(gauge, "stake", (ETHER,)),
            Call(gauge, "stake", (ETHER, RECEIVER)),
            Call(gauge, "withdraw", (ETHER,)),
            Call(gauge, "withdraw", (ETHER, RECEIVER)),
            *self._roles(gauge),
        )

    def _adapters(self) -> dict[str, Call]:
        vault, zap, wallet = self.market.vault, self.market.zap, self.wallet
        return _keyed(
            Call(vault, "__default__", value=1),
            Call(vault, "claim", (4,)),
            Call(vault, "claim", (4, 1)),
            Call(vault, "deposit", (ETHER, RECEIVER)),
            Call(vault, "deposit", (ETHER, RECEIVER, 1)),
            Call(vault, "mint", (ETHER, RECEIVER)),
            Call(vault, "redeem", (ETHER, wallet, wallet)),
            Call(vault, "redeem", (ETHER, wallet, wallet, 1)),
            Call(vault, "request_exit", (ETHER, RECEIVER, wallet)),
            Call(vault, "withdraw", (ETHER, wallet, wallet)),
            Call(vault, "withdraw", (ETHER, wallet, wallet, 2 * ETHER)),
            *self._coin(vault, "Floe ETH for WETH"),
            Call(zap, "__default__", value=1),
            Call(zap, "zap", (FLOETH, ETHER, 1, RECEIVER), ETHER),
        )

    def _roles(self, contract: Contract) -> tuple[Call, Call]:
        guest = contract.DEFAULT_ADMIN_ROLE()
        return Call(contract, "grantRole", (guest, SPENDER)), Call(contract, "revokeRole", (guest, SPENDER))

    def _coin(self, coin: Contract, name: str) -> tuple[Call, ...]:
        return (
            Call(coin, "approve", (SPENDER, 7)),
            self._permit(coin, name),
            Call(coin, "transfer", (RECEIVER, ETHER)),
            Call(coin, "transferFrom", (self.wallet, RECEIVER, ETHER)),
        )

    def _permit(self, coin: Contract, name: str) -> Call:
        deadline = self.protocol.evm.now + 365 * 86_400
        message = {"owner": STAKER, "spender": SPENDER, "value": 7, "nonce": 0, "deadline": deadline}
        kinds = {
            "owner": "address",
            "spender": "address",
            "value": "uint256",
            "nonce": "uint256",
            "deadline": "uint256",
        }
        domain = {"name": name, "version": "1", "chainId": 1, "verifyingContract": coin.address}
        types = {"Permit": [{"name": field, "type": kind} for field, kind in kinds.items()]}
        signed = STAKER_KEY.sign_message(encode_typed_data(domain, types, message))
        signature = (signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32))
        return Call(coin, "permit", (STAKER, SPENDER, 7, deadline, *signature))


def _keyed(*calls: Call) -> dict[str, Call]:
    return {f"{call.contract.kind}.{call.function}/{len(call.arguments)}": call for call in calls}
