"""What will be deployed, in which order, and where: nothing here talks to a chain.

The contracts know each other as immutables, so every address has to be known before the first transaction. A
contract's address follows from its deployer and the deployer's nonce; the order is such that what a constructor calls
is there already. The pool's constructor asks the vaults, those of all that come after it ask the pool, and the zap's
asks all that it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

from floe import build
from floe.beacon.deposit import credentials
from floe.deploy.config import DEPLOY, Config

ORDER = (
    "Timelock",
    "WithdrawalVault",
    "ExecutionVault",
    "FloePool",
    "WithdrawalQueue",
    "ValidatorRegistry",
    "ReportOracle",
    "FeeSplitter",
    "RebasingToken",
    "Pauser",
    "Lens",
    "ExitReserve",
    "StablePair",
    "Gauge",
    "WethVault",
    "RateProvider",
    "Zap",
)
"""Contracts in the order of their nonces; on a chain without WETH, `order` puts that in."""

WETH = "WETH9"
"""What WETH is called among the contracts, ours or the chain's own."""


@dataclass(frozen=True)
class Code:
    """Code that must lie on chain."""

    content: bytes
    """Runtime code with the immutables behind it."""
    free: tuple[range, ...] = ()
    """Places that may hold anything: Vyper leaves the room behind a short string as memory happened to be."""

    def matches(self, found: bytes) -> bool:
        """Say whether `found` is this code."""
        return len(found) == len(self.content) and self._fixed(found) == self._fixed(self.content)

    def _fixed(self, code: bytes) -> bytes:
        cleared = bytearray(code)
        for place in self.free:
            cleared[place.start : place.stop] = bytes(len(place))
        return bytes(cleared)


@dataclass(frozen=True)
class Step:
    """One contract to deploy."""

    contract: str
    nonce: int
    address: str
    """Where it will be: checksummed."""
    arguments: tuple[Any, ...]
    """Of the constructor; a struct is a tuple."""
    value: int
    """Wei sent along."""
    artifact: build.Artifact
    code: Code
    """What must lie at the address afterwards."""


def contract_address(deployer: str, nonce: int) -> str:
    """Return the address of what `deployer` creates with `nonce`: keccak(rlp([deployer, nonce])), the last 20 bytes."""
    return str(to_checksum_address(keccak(rlp.encode([to_canonical_address(deployer), nonce]))[12:]))


def order(config: Config) -> tuple[str, ...]:
    """Return the contracts that are deployed, in the order of their nonces."""
    if config.liquidity.weth != DEPLOY:
        return ORDER
    first = ORDER.index("WethVault")
    return (*ORDER[:first], WETH, *ORDER[first:])


def plan(config: Config, deployer: str, first_nonce: int) -> list[Step]:
    """Return the steps in order. Raises floe.build.BuildError when a contract does not compile."""
    names = order(config)
    at = {name: contract_address(deployer, first_nonce + i) for i, name in enumerate(names)}
    at.setdefault(WETH, config.liquidity.weth)
    roles = config.roles.resolved(deployer)
    oracle = config.oracle.resolved(deployer)
    fees = config.fees.resolved(deployer)
    setup = (
        at["WithdrawalQueue"],
        at["WithdrawalVault"],
        at["ExecutionVault"],
        at["Timelock"],
        at["ReportOracle"],
        at["ValidatorRegistry"],
        at["Pauser"],
        at["FeeSplitter"],
        config.deposit_ceiling_gwei,
        config.parameters.as_tuple(),
    )
    arguments: dict[str, tuple[Any, ...]] = {
        "Timelock": (config.timelock_delay, roles.proposers, roles.executors),
        "WithdrawalVault": (at["FloePool"],),
        "ExecutionVault": (at["FloePool"],),
        "FloePool": (setup,),
        "WithdrawalQueue": (at["FloePool"],),
        "ValidatorRegistry": (
            at["FloePool"],
            at["Timelock"],
            roles.council,
            roles.keepers,
            config.beacon.constants(),
            config.beacon.fork_rows(),
            config.registry.as_tuple(),
        ),
        "ReportOracle": (
            at["FloePool"],
            at["Timelock"],
            roles.council,
            oracle.members,
            oracle.quorum,
            config.beacon.clock(),
            oracle.limits.as_tuple(),
        ),
        "FeeSplitter": (
            at["FloePool"],
            at["ValidatorRegistry"],
            at["Timelock"],
            roles.council,
            fees.treasury,
            fees.parts(),
        ),
        "RebasingToken": (at["FloePool"],),
        "Pauser": (at["FloePool"], at["Timelock"], roles.pause_keys, roles.resumers),
        "Lens": (at["FloePool"], at["RebasingToken"]),
        "ExitReserve": (at["FloePool"], at["Timelock"], config.liquidity.reserve.as_tuple()),
        "StablePair": (at["FloePool"], at["Timelock"], fees.treasury, *config.liquidity.pair.as_tuple()),
        "Gauge": (at["StablePair"], at["Timelock"]),
        WETH: (),
        "WethVault": (at["FloePool"], at[WETH]),
        "RateProvider": (at["FloePool"],),
        "Zap": (at["FloePool"], at[WETH], at["RebasingToken"], at["ExitReserve"], at["StablePair"]),
    }
    artifacts = build.load_many(names)
    return [
        Step(
            contract=name,
            nonce=first_nonce + i,
            address=at[name],
            arguments=arguments[name],
            value=config.seed if name == "FloePool" else 0,
            artifact=artifacts[name],
            code=expected_code(artifacts[name], at, config),
        )
        for i, name in enumerate(names)
    ]


# --- the code on chain ---

SNEKMATE_TOKENS = {
    "ExitReserve": ("Floe exit reserve", "flRES"),
    "StablePair": ("Floe ETH pair", "flLP"),
    "WethVault": ("Floe ETH for WETH", "wfETH"),
}
"""Names and symbols of the tokens that keep these as immutables."""
TOKEN_NAMES = {
    "FloePool": "Floe ETH",
    "RebasingToken": "Floe ETH rebasing",
    **{contract: name for contract, (name, _) in SNEKMATE_TOKENS.items()},
}
DOMAIN_NAMES = {**TOKEN_NAMES, "ReportOracle": "Floe ReportOracle"}
"""Names of the EIP-712 domains; their version is "1"."""

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


def expected_code(artifact: build.Artifact, at: dict[str, str], config: Config) -> Code:
    """Return the code of one of the contracts `at` the given addresses, every immutable in its place.

    Raises BuildError for an immutable that is not known here, so that none goes unchecked.
    """
    content = bytearray(artifact.runtime + bytes(artifact.immutables_size))
    free: list[range] = []
    for name, place in _places(artifact.layout.get("code_layout", {}), len(artifact.runtime)):
        value = _value(artifact.name, name, at, config)
        if value is None or len(value) > len(place):
            raise build.BuildError(f"{artifact.name}: floe/deploy/plan.py does not know the immutable {name}")
        content[place.start : place.start + len(value)] = value
        free.append(place[len(value) :])
    return Code(bytes(content), tuple(free))


def _value(contract: str, immutable: str, at: dict[str, str], config: Config) -> bytes | None:
    peers = {
        "POOL": "FloePool",
        "QUEUE": "WithdrawalQueue",
        "TOKEN": "RebasingToken",
        "WITHDRAWAL_VAULT": "WithdrawalVault",
        "EXECUTION_VAULT": "ExecutionVault",
        "VAULT": "WithdrawalVault",
        "WETH": WETH,
        "RESERVE": "ExitReserve",
        "PAIR": "StablePair",
    }
    if contract == "Gauge":
        peers["TOKEN"] = "StablePair"
    if immutable in peers:
        return _word(at[peers[immutable]])
    if immutable == "CREDENTIALS":
        return credentials(at["WithdrawalVault"])
    deposit_contract, *numbers = config.beacon.constants()
    if immutable == "DEPOSIT_CONTRACT":
        return _word(deposit_contract)
    chain = dict(zip(("GENESIS_TIME", "SECONDS_PER_SLOT", "SLOTS_PER_EPOCH", "SLASHINGS_VECTOR"), numbers, strict=True))
    if immutable in chain:
        return chain[immutable].to_bytes(32, "big")
    own, chain_id = at[contract], config.chain_id
    domain: dict[str, Callable[[str], bytes]] = {
        "_NAME": lambda name: _text(name),
        "_HASHED_NAME": lambda name: keccak(text=name),
        "_VERSION": lambda _: _text("1"),
        "_HASHED_VERSION": lambda _: keccak(text="1"),
        "_CACHED_CHAIN_ID": lambda _: chain_id.to_bytes(32, "big"),
        "_CACHED_SELF": lambda _: _word(own),
        "_CACHED_DOMAIN_SEPARATOR": lambda name: domain_separator(name, chain_id, own),
    }
    if immutable in domain and contract in DOMAIN_NAMES:
        return domain[immutable](DOMAIN_NAMES[contract])
    if contract in SNEKMATE_TOKENS:
        name, symbol = SNEKMATE_TOKENS[contract]
        return {"name": _text(name), "symbol": _text(symbol), "decimals": (18).to_bytes(32, "big")}.get(immutable)
    return None


def domain_separator(name: str, chain_id: int, contract: str) -> bytes:
    """Return the EIP-712 domain separator of a contract."""
    parts = [
        keccak(text=DOMAIN_TYPE),
        keccak(text=name),
        keccak(text="1"),
        chain_id.to_bytes(32, "big"),
        _word(contract),
    ]
    return bytes(keccak(b"".join(parts)))


def _word(address: str) -> bytes:
    return bytes(12) + bytes(to_canonical_address(address))


def _text(text: str) -> bytes:
    return len(text).to_bytes(32, "big") + text.encode()


def _places(tree: dict[str, Any], start: int) -> list[tuple[str, range]]:
    """Name and place of all immutables in a layout, which nests one level for each imported module."""
    found: list[tuple[str, range]] = []
    for name, node in tree.items():
        if isinstance(node.get("offset"), int):
            offset = start + node["offset"]
            found.append((name, range(offset, offset + node["length"])))
        else:
            found += _places(node, start)
    return found
