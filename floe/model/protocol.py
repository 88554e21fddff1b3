"""The whole of the model, wired: one chain, one pool with its queue, its vaults and its rebasing token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from floe.model.basics import Address, Chain, Revert
from floe.model.erc20 import Erc20, Token
from floe.model.exit_reserve import ExitReserve, ReserveParameters
from floe.model.fee_splitter import FeeSplitter, Parts
from floe.model.gauge import Gauge
from floe.model.oracle import Oracle, OracleParameters
from floe.model.parameters import Parameters
from floe.model.pool import Pool
from floe.model.queue import Queue
from floe.model.rebasing_token import RebasingToken
from floe.model.registry import (
    KEEPER_ROLE,
    OPERATORS_ROLE,
    ChainConstants,
    Fork,
    Registry,
    RegistryParameters,
)
from floe.model.stable_pair import Fees, StablePair
from floe.model.system_contracts import SystemContracts
from floe.model.tokens import ADMIN_ROLE, COUNCIL_ROLE, ORACLE_ROLE, PAUSER_ROLE, REGISTRY_ROLE, Allowances, Roles
from floe.model.vault import Vault, WithdrawalVault
from floe.model.weth_vault import Weth, WethVault
from floe.model.zap import Zap

Answer = TypeVar("Answer")
Checkpoint = list[tuple[list[Any], list[Any]]]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Addresses of the contracts and of who holds the first roles."""

    pool: Address
    queue: Address
    withdrawal_vault: Address
    execution_vault: Address
    rebasing_token: Address
    admin: Address
    oracle: Address
    registry: Address
    pauser: Address
    fee_recipient: Address


class Protocol:
    """A deployed protocol. `seed` wei come from nowhere: the deployer is not modelled."""

    def __init__(self, accounts: Accounts, parameters: Parameters, ceiling_gwei: int, seed: int, now: int) -> None:
        a = accounts
        self.chain = Chain(now=now, ether=dict.fromkeys((a.queue, a.withdrawal_vault, a.execution_vault), 0))
        self.chain.ether[a.pool] = seed
        self.pool = Pool(
            chain=self.chain,
            address=a.pool,
            withdrawal_vault=WithdrawalVault(self.chain, a.withdrawal_vault, a.pool),
            execution_vault=Vault(self.chain, a.execution_vault, a.pool),
            parameters=parameters,
            fee_recipient=a.fee_recipient,
            ceiling_gwei=ceiling_gwei,
            roles=Roles(
                {
                    (ADMIN_ROLE, a.admin),
                    (ORACLE_ROLE, a.oracle),
                    (REGISTRY_ROLE, a.registry),
                    (PAUSER_ROLE, a.pauser),
                    (PAUSER_ROLE, a.oracle),
                }
            ),
            allowances=Allowances(self.chain, a.pool),
        )
        self.queue = Queue(self.chain, a.queue, self.pool)
        self.pool.construct(seed, self.queue)
        self.token = RebasingToken(self.chain, a.rebasing_token, self.pool, Allowances(self.chain, a.rebasing_token))

        pool, token = self.pool, self.token
        self.tokens: dict[Address, Token] = {pool.address: pool, token.address: token}
        """Every ERC-20, by address."""
        self._parts: list[tuple[Any, list[str], list[str]]] = []
        """Every part of the state, its fields that are numbers and the like, and its collections."""
        self._keep(self.chain, pool, pool.roles, pool.allowances, self.queue, token, token.allowances)

    def add_oracle(
        self,
        address: Address,
        admin: Address,
        council: Address,
        members: list[Address],
        quorum: int,
        constants: ChainConstants,
        parameters: OracleParameters,
    ) -> Oracle:
        """Deploy an oracle beside the pool. It needs the pool's roles of an oracle and a pauser."""
        oracle = Oracle(
            chain=self.chain,
            address=address,
            pool=self.pool,
            genesis_time=constants.genesis_time,
            seconds_per_slot=constants.seconds_per_slot,
            slots_per_epoch=constants.slots_per_epoch,
            parameters=parameters,
            roles=Roles({(ADMIN_ROLE, admin), (COUNCIL_ROLE, council)}),
            members=list(members),
            quorum=quorum,
        )
        self._keep(oracle, oracle.roles)
        return oracle

    def add_registry(
        self,
        address: Address,
        system: SystemContracts,
        constants: ChainConstants,
        forks: list[Fork],
        parameters: RegistryParameters,
        admin: Address,
        council: Address,
        keepers: list[Address],
    ) -> Registry:
        """Deploy a registry beside the pool. It needs the pool's registry role, which only the pool's admin can give.

        The request contracts in `system` come in the order of their types.
        """
        vault = self.pool.withdrawal_vault
        vault.books, vault.system = self.pool, system
        vault.system_contracts = dict(enumerate(system.requests, 1))
        parameters.check()
        roles = Roles({(ADMIN_ROLE, admin), (OPERATORS_ROLE, council), *((KEEPER_ROLE, k) for k in keepers)})
        registry = Registry(self.chain, address, self.pool, vault, system, constants, list(forks), parameters, roles)
        self.chain.ether |= dict.fromkeys((address, system.deposit_contract.address, *system.requests), 0)
        self._keep(registry, roles, vault, system.block_roots, system.deposit_contract, *system.requests.values())
        return registry

    def add_fee_splitter(
        self,
        address: Address,
        registries: list[Registry],
        treasury: Address,
        parts: Parts,
        admin: Address,
        council: Address,
    ) -> FeeSplitter:
        """Deploy a splitter for the operators of the first registry; the pool has to be told of it."""
        roles = Roles({(ADMIN_ROLE, admin), (COUNCIL_ROLE, council)})
        known = {registry.address: registry for registry in registries}
        splitter = FeeSplitter(address, self.pool, known, roles, registries[0].address, treasury, parts)
        splitter.construct()
        self._keep(splitter, roles)
        return splitter

    def add_token(self, address: Address) -> Erc20:
        """Deploy a plain ERC-20."""
        token = Erc20(self.chain, address, Allowances(self.chain, address))
        self._keep(token, token.allowances)
        self.tokens[address] = token
        return token

    def add_weth(self, address: Address) -> Weth:
        """Deploy WETH."""
        weth = Weth(self.chain, address, Allowances(self.chain, address))
        self.chain.ether[address] = 0
        self._keep(weth, weth.allowances)
        self.tokens[address] = weth
        return weth

    def add_stable_pair(
        self, address: Address, admin: Address, fee_receiver: Address, fees: Fees, amplification: int
    ) -> StablePair:
        """Deploy a pair; `amplification` is times A_PRECISION."""
        roles = Roles({(ADMIN_ROLE, admin)})
        erc20 = self.add_token(address)
        pair = StablePair(self.chain, address, self.pool, erc20, roles, fee_receiver, fees, amplification)
        pair.construct()
        self.tokens[address] = pair
        self.chain.ether[address] = 0
        self._keep(pair, roles)
        return pair

    def add_exit_reserve(self, address: Address, admin: Address, parameters: ReserveParameters) -> ExitReserve:
        """Deploy a reserve."""
        roles = Roles({(ADMIN_ROLE, admin)})
        erc20 = self.add_token(address)
        reserve = ExitReserve(self.chain, address, self.pool, self.queue, erc20, roles, parameters)
        reserve.construct()
        self.tokens[address] = reserve
        self._keep(reserve, roles)
        return reserve

    def add_gauge(self, address: Address, token: Address, admin: Address) -> Gauge:
        """Deploy a gauge for a token."""
        roles = Roles({(ADMIN_ROLE, admin)})
        gauge = Gauge(self.chain, address, self.tokens[token], token, self.tokens, roles)
        self._keep(gauge, roles)
        return gauge

    def add_weth_vault(self, address: Address, weth: Weth) -> WethVault:
        """Deploy a vault over WETH."""
        vault = WethVault(address, self.pool, self.queue, weth, self.add_token(address))
        vault.construct()
        self._keep(vault)
        return vault

    def add_zap(
        self, address: Address, pair: StablePair, reserve: ExitReserve, token: RebasingToken, weth: Weth
    ) -> Zap:
        """Deploy a zap."""
        zap = Zap(address, self.pool, weth, token, reserve, pair)
        zap.construct()
        return zap

    def _keep(self, *parts: Any) -> None:
        for part in parts:
            copied = {field.name: isinstance(getattr(part, field.name), dict | list | set) for field in fields(part)}
            self._parts.append((part, [n for n, c in copied.items() if not c], [n for n, c in copied.items() if c]))

    def attempt(self, call: Callable[[], Answer]) -> Answer:
        """Make a call as a transaction: if it raises `Revert`, everything is as before. Raises it again."""
        before = self.checkpoint()
        try:
            return call()
        except Revert:
            self.restore(before)
            raise

    def checkpoint(self) -> Checkpoint:
        """Copy the state."""
        return [
            ([getattr(part, name) for name in plain], [getattr(part, name).copy() for name in collections])
            for part, plain, collections in self._parts
        ]

    def restore(self, state: Checkpoint) -> None:
        """Go back to a state copied before, as often as needed."""
        for (part, plain, collections), (values, copies) in zip(self._parts, state, strict=True):
            for name, value in zip(plain, values, strict=True):
                setattr(part, name, value)
            for name, copy in zip(collections, copies, strict=True):
                setattr(part, name, copy.copy())
