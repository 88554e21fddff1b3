"""Read a deployment back from the chain, and compare it with its parameter file: code, wiring, roles, parameters."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import ape
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import encode_hex
from rich import box
from rich.table import Table

from floe.beacon.addresses import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS
from floe.beacon.deposit import credentials
from floe.deploy.config import ZERO_ADDRESS, Config
from floe.deploy.plan import WETH, plan
from floe.deploy.record import Record
from floe.report import events

REQUEST_CONTRACTS = {
    1: (7002, WITHDRAWAL_REQUESTS),
    2: (7251, CONSOLIDATION_REQUESTS),
}
"""Of the request types of EIP-7685: the EIP that brought each, and its contract."""

LIQUIDITY = ("ExitReserve", "StablePair", "WethVault", "RateProvider", "Zap")
"""Contracts of the liquidity room that know the pool."""


@dataclass(frozen=True)
class Check:
    """One thing that was compared."""

    contract: str
    subject: str
    expected: str
    found: str

    @property
    def holds(self) -> bool:
        """Whether the chain has what it should have."""
        return self.expected == self.found


def verify(record: Record, config: Config) -> list[Check]:
    """Return every comparison; only those of code when one of them fails, for then no answer can be trusted.

    Roles are those that were granted and not revoked, by all events since deployment. What governance changed since
    then shows as a difference: that is the point.
    """
    code = _code(record, config)
    if not all(check.holds for check in code):
        return code
    return [*code, *_wiring(record), *_roles(record, config), *_values(record, config)]


def table(checks: list[Check]) -> Table:
    """Return the comparisons for printing; of what differs, both values."""
    out = Table("contract", "what", box=box.SIMPLE_HEAD, title="Read back from the chain", title_justify="left")
    out.add_column("on chain", no_wrap=True)
    out.add_column("")
    for check in checks:
        found = check.found if check.holds else f"{check.found}\nexpected: {check.expected}"
        out.add_row(check.contract, check.subject, found, "ok" if check.holds else "[red]differs")
    return out


def contracts(record: Record) -> dict[str, Any]:
    """Return the contracts as Ape instances by name; WETH among them, whether or not it was deployed with them."""
    return {name: getattr(ape.project, name).at(record.address(name)) for name in (*record.contracts, WETH)}


def _code(record: Record, config: Config) -> list[Check]:
    web3 = ape.networks.active_provider.web3
    found = []
    for step in plan(config, record.deployer, record.first_nonce):
        code = bytes(web3.eth.get_code(record.address(step.contract)))
        digest = f"{encode_hex(keccak(code))[:18]}, {len(code):,} bytes"
        wanted = digest if step.code.matches(code) else f"{len(step.code.content):,} bytes as compiled"
        found.append(Check(step.contract, "address", step.address, record.address(step.contract)))
        found.append(Check(step.contract, "code and immutables", wanted, digest))
    return found


def _wiring(record: Record) -> list[Check]:
    at = contracts(record)
    pool, queue = at["FloePool"], at["WithdrawalQueue"]
    read: list[tuple[str, str, Any, str]] = [
        ("FloePool", "queue", pool.queue, "WithdrawalQueue"),
        ("FloePool", "withdrawal vault", pool.withdrawal_vault, "WithdrawalVault"),
        ("FloePool", "execution vault", pool.execution_vault, "ExecutionVault"),
        ("WithdrawalQueue", "pool", queue.pool, "FloePool"),
        ("WithdrawalVault", "pool", at["WithdrawalVault"].pool, "FloePool"),
        ("ExecutionVault", "pool", at["ExecutionVault"].pool, "FloePool"),
        ("FloePool", "fee recipient", pool.fee_recipient, "FeeSplitter"),
        ("ReportOracle", "pool", at["ReportOracle"].pool, "FloePool"),
        ("FeeSplitter", "pool", at["FeeSplitter"].pool, "FloePool"),
        ("FeeSplitter", "registry", at["FeeSplitter"].registry, "ValidatorRegistry"),
        ("RebasingToken", "pool", at["RebasingToken"].pool, "FloePool"),
        ("Pauser", "pool", at["Pauser"].pool, "FloePool"),
        *((name, "pool", at[name].pool, "FloePool") for name in LIQUIDITY),
        ("Gauge", "staked token", at["Gauge"].staked_token, "StablePair"),
        ("WethVault", "WETH", at["WethVault"].asset, WETH),
    ]
    return [Check(contract, subject, record.address(peer), str(view())) for contract, subject, view, peer in read]


def _roles(record: Record, config: Config) -> list[Check]:
    at = contracts(record)
    roles = config.roles.resolved(record.deployer)
    timelock = record.address("Timelock")
    wanted = {
        "FloePool": {
            "DEFAULT_ADMIN_ROLE": [timelock],
            "ORACLE_ROLE": [record.address("ReportOracle")],
            "REGISTRY_ROLE": [record.address("ValidatorRegistry")],
            "PAUSER_ROLE": [record.address("Pauser"), record.address("ReportOracle")],
        },
        "ReportOracle": {"DEFAULT_ADMIN_ROLE": [timelock], "COUNCIL_ROLE": [roles.council]},
        "FeeSplitter": {"DEFAULT_ADMIN_ROLE": [timelock], "COUNCIL_ROLE": [roles.council]},
        **{name: {"DEFAULT_ADMIN_ROLE": [timelock]} for name in ("ExitReserve", "StablePair", "Gauge")},
        "ValidatorRegistry": {
            "DEFAULT_ADMIN_ROLE": [timelock],
            "OPERATORS_ROLE": [roles.council],
            "KEEPER_ROLE": roles.keepers,
        },
        "Pauser": {
            "DEFAULT_ADMIN_ROLE": [timelock],
            "KEY_ROLE": roles.pause_keys,
            "RESUME_ROLE": roles.resumers,
        },
        "Timelock": {
            "DEFAULT_ADMIN_ROLE": [timelock],
            "PROPOSER_ROLE": roles.proposers,
            "CANCELLER_ROLE": roles.proposers,
            "EXECUTOR_ROLE": roles.executors,
        },
    }
    found = []
    for contract, lists in wanted.items():
        holders = _holders(at[contract], record.first_block)
        names = {bytes(getattr(at[contract], role)()): role for role in lists}
        for role in holders.keys() - names.keys():
            found.append(Check(contract, f"unknown role {encode_hex(role)}", "nobody", _listed(holders[role])))
        for role, name in names.items():
            found.append(Check(contract, name, _listed(set(lists[name])), _listed(holders[role])))
    return found


def _holders(contract: Any, first_block: int) -> dict[bytes, set[str]]:
    """Who holds each role, by the events that gave and took them."""
    holders: dict[bytes, set[str]] = defaultdict(set)
    for event in events.read({"contract": contract}, first_block):
        if event.name == "RoleGranted":
            holders[bytes(event.arguments["role"])].add(event.arguments["account"])
        elif event.name == "RoleRevoked":
            holders[bytes(event.arguments["role"])].discard(event.arguments["account"])
    return holders


def _values(record: Record, config: Config) -> list[Check]:
    at = contracts(record)
    pool = at["FloePool"]
    limits = at["Lens"].protocol().limits
    rows = [
        ("FloePool", "seed, nobody's shares", config.seed, pool.balanceOf(pool.address)),
        ("FloePool", "deposit ceiling, Gwei", config.deposit_ceiling_gwei, limits.deposit_ceiling // 10**9),
        ("Timelock", "delay, seconds", config.timelock_delay, at["Timelock"].get_minimum_delay()),
    ]
    for name, value in config.parameters.model_dump().items():
        rows.append(("FloePool", name, value, getattr(limits.parameters, name)))
    rows += [*_registry_values(at, record, config), *_oracle_values(at, record, config)]
    rows += _liquidity_values(at, record, config)
    return [Check(*row[:2], *map(str, row[2:])) for row in rows]


def _registry_values(at: dict[str, Any], record: Record, config: Config) -> list[tuple[str, str, Any, Any]]:
    vault, registry = at["WithdrawalVault"], at["ValidatorRegistry"]
    rows: list[tuple[str, str, Any, Any]] = [
        ("WithdrawalVault", f"contract of EIP-{number}", contract, vault.system_contract(kind))
        for kind, (number, contract) in REQUEST_CONTRACTS.items()
    ]
    expected = encode_hex(credentials(record.address("WithdrawalVault")))
    rows.append(("ValidatorRegistry", "withdrawal credentials", expected, encode_hex(registry.credentials())))
    known = registry.chain_constants()
    names = ("deposit_contract", "genesis_time", "seconds_per_slot", "slots_per_epoch", "slashings_vector")
    for name, value in zip(names, config.beacon.constants(), strict=True):
        rows.append(("ValidatorRegistry", name, value, getattr(known, name)))
    # The latest fork comes first.
    table = [(row.first_slot, row.validators_gindex, row.balances_gindex) for row in reversed(registry.forks())]
    wanted = config.beacon.fork_rows()
    rows.append(("ValidatorRegistry", "forks: slot, gindices", _lines(wanted), _lines(table)))
    live = registry.parameters()
    for name, value in config.registry.model_dump().items():
        rows.append(("ValidatorRegistry", name, value, getattr(live, name)))
    return rows


def _oracle_values(at: dict[str, Any], record: Record, config: Config) -> list[tuple[str, str, Any, Any]]:
    oracle, splitter = at["ReportOracle"], at["FeeSplitter"]
    wanted, fees = config.oracle.resolved(record.deployer), config.fees.resolved(record.deployer)
    rows: list[tuple[str, str, Any, Any]] = [
        ("ReportOracle", "members", "\n".join(wanted.members), "\n".join(oracle.members())),
        ("ReportOracle", "quorum", wanted.quorum, oracle.quorum()),
    ]
    clock, live, parts = oracle.chain_constants(), oracle.parameters(), splitter.parts()
    for name, value in zip(("genesis_time", "seconds_per_slot", "slots_per_epoch"), config.beacon.clock(), strict=True):
        rows.append(("ReportOracle", name, value, getattr(clock, name)))
    for name, value in wanted.limits.model_dump().items():
        rows.append(("ReportOracle", name, value, getattr(live, name)))
    rows.append(("FeeSplitter", "treasury", fees.treasury, splitter.treasury()))
    for name, value in zip(("treasury_bps", "cover_bps"), fees.parts(), strict=True):
        rows.append(("FeeSplitter", name, value, getattr(parts, name)))
    return rows


def _liquidity_values(at: dict[str, Any], record: Record, config: Config) -> list[tuple[str, str, Any, Any]]:
    reserve, pair = at["ExitReserve"].parameters(), at["StablePair"].parameters()
    amplification = config.liquidity.pair.amplification
    rows: list[tuple[str, str, Any, Any]] = [
        ("ExitReserve", name, value, getattr(reserve, name))
        for name, value in config.liquidity.reserve.model_dump().items()
    ]
    rows += [
        ("StablePair", name, value, getattr(pair, name))
        for name, value in config.liquidity.pair.model_dump(exclude={"amplification"}).items()
    ]
    rows.append(("StablePair", "amplification, hundredths", amplification, at["StablePair"].amplification()))
    treasury = config.fees.resolved(record.deployer).treasury
    rows.append(("StablePair", "fee receiver", treasury, at["StablePair"].fee_receiver()))
    tokens = "\n".join(at["Gauge"].reward_tokens()) or "none"
    return [*rows, ("Gauge", "reward tokens", "none", tokens)]


def _lines(table: list[tuple[int, int, int]]) -> str:
    return "\n".join(", ".join(map(str, row)) for row in table)


def _listed(accounts: set[str]) -> str:
    return "\n".join(sorted("anyone" if one == ZERO_ADDRESS else one for one in accounts)) or "nobody"
