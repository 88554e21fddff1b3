"""Each contract's ABI against its interface and the standards: nothing more, nothing less, nothing different.

The compiler's `implements:` does not notice a missing return value, and says nothing about functions beyond.
"""

from __future__ import annotations

from typing import Any

import pytest

from floe import build
from tests.evm import types_of

# Standard functions: signature, outputs, mutability ("view" also stands for pure).
ERC20 = """
    name() string view
    symbol() string view
    decimals() uint8 view
    totalSupply() uint256 view
    balanceOf(address) uint256 view
    allowance(address,address) uint256 view
    transfer(address,uint256) bool nonpayable
    transferFrom(address,address,uint256) bool nonpayable
    approve(address,uint256) bool nonpayable
"""
ERC2612 = """
    permit(address,address,uint256,uint256,uint8,bytes32,bytes32) - nonpayable
    nonces(address) uint256 view
    DOMAIN_SEPARATOR() bytes32 view
"""
ERC5267 = "eip712Domain() bytes1,string,string,uint256,address,bytes32,uint256[] view"
ERC7535 = """
    asset() address view
    totalAssets() uint256 view
    convertToShares(uint256) uint256 view
    convertToAssets(uint256) uint256 view
    maxDeposit(address) uint256 view
    previewDeposit(uint256) uint256 view
    deposit(uint256,address) uint256 payable
    maxMint(address) uint256 view
    previewMint(uint256) uint256 view
    mint(uint256,address) uint256 payable
    maxWithdraw(address) uint256 view
    previewWithdraw(uint256) uint256 view
    withdraw(uint256,address,address) uint256 nonpayable
    maxRedeem(address) uint256 view
    previewRedeem(uint256) uint256 view
    redeem(uint256,address,address) uint256 nonpayable
"""
ERC4626 = ERC7535.replace("payable", "nonpayable").replace("nonnonpayable", "nonpayable")
ERC165 = "supportsInterface(bytes4) bool view"
# ERC-721 allows these to be stricter than payable.
ERC721 = """
    name() string view
    symbol() string view
    tokenURI(uint256) string view
    balanceOf(address) uint256 view
    ownerOf(uint256) address view
    approve(address,uint256) - nonpayable
    getApproved(uint256) address view
    setApprovalForAll(address,bool) - nonpayable
    isApprovedForAll(address,address) bool view
    transferFrom(address,address,uint256) - nonpayable
    safeTransferFrom(address,address,uint256) - nonpayable
    safeTransferFrom(address,address,uint256,bytes) - nonpayable
"""
# Contracts hold the pool's roles, and the timelock gives and takes them: none is renounced.
ROLES = """
    DEFAULT_ADMIN_ROLE() bytes32 view
    hasRole(bytes32,address) bool view
    grantRole(bytes32,address) - nonpayable
    revokeRole(bytes32,address) - nonpayable
"""
POOL_ROLES = "ORACLE_ROLE() bytes32 view\nREGISTRY_ROLE() bytes32 view\nPAUSER_ROLE() bytes32 view"

REGISTRY_ROLES = "OPERATORS_ROLE() bytes32 view\nKEEPER_ROLE() bytes32 view"
# Roles that people hold may be given back.
MORE_ROLES = """
    COUNCIL_ROLE() bytes32 view
    getRoleAdmin(bytes32) bytes32 view
    renounceRole(bytes32,address) - nonpayable
"""
FEE_ROLES = """
    COUNCIL_ROLE() bytes32 view
    MAX_TREASURY_BPS() uint256 view
    MAX_COVER_BPS() uint256 view
"""
# What operators, the council, the admin and the tools call; the interface has what everybody does.
REGISTRY = """
    add_bond(uint256) - payable
    add_fork((uint256,uint256,uint256)) - nonpayable
    add_operator(address,address,uint256,uint256) uint256 nonpayable
    chain_constants() (address,uint256,uint256,uint256,uint256) view
    credentials() bytes32 view
    eligible_on(uint256) uint256 view
    forks() (uint256,uint256,uint256)[] view
    operator_count() uint256 view
    parameters() (uint256,uint256) view
    set_operator(uint256,address,uint256,uint256) - nonpayable
    set_parameters((uint256,uint256)) - nonpayable
    set_reward_address(uint256,address) - nonpayable
    staked() uint256 view
    under_way() uint256 view
    withdraw_bond(uint256,uint256) - nonpayable
"""
ETHER_VAULT = "pool() address view\nsweep(uint256) - nonpayable"

# ERC-4626 with a limit.
BOUNDED = """
    deposit(uint256,address,uint256) uint256 nonpayable
    redeem(uint256,address,address,uint256) uint256 nonpayable
    withdraw(uint256,address,address,uint256) uint256 nonpayable
"""
# Chainlink's AggregatorV3Interface.
AGGREGATOR = """
    decimals() uint8 view
    description() string view
    version() uint256 view
    getRoundData(uint80) uint80,int256,uint256,uint256,uint80 view
    latestRoundData() uint80,int256,uint256,uint256,uint80 view
"""

# Contract, its interface, and what comes on top of it.
CASES = [
    ("FloePool", "IFloePool", [ERC20, ERC2612, ERC5267, ERC7535, ROLES, POOL_ROLES]),
    ("WithdrawalQueue", "IWithdrawalQueue", [ERC721, ERC165]),
    ("RebasingToken", "IRebasingToken", [ERC20, ERC2612, ERC5267]),
    ("WithdrawalVault", "IWithdrawalVault", [ETHER_VAULT]),
    ("ExecutionVault", "IEtherVault", []),
    ("ValidatorRegistry", "IValidatorRegistry", [ROLES, REGISTRY_ROLES, REGISTRY]),
    ("FeeSplitter", "IFeeSplitter", [ROLES, FEE_ROLES]),
    ("ReportOracle", "IReportOracle", [ROLES, MORE_ROLES, ERC165, ERC5267]),
    ("StablePair", "IStablePair", [ERC20, ERC2612, ERC5267, ROLES]),
    ("ExitReserve", "IExitReserve", [ERC20, ERC2612, ERC5267, ERC7535, ROLES]),
    ("Gauge", "IGauge", [ROLES]),
    ("WethVault", "IWethVault", [ERC20, ERC2612, ERC5267, ERC4626, BOUNDED]),
    ("RateProvider", "IRateProvider", [AGGREGATOR]),
    ("Zap", "IZap", []),
]
IDS = [case[0] for case in CASES]
PAIRS = [case[:2] for case in CASES]

VAULT_EVENTS = [
    "Transfer(address*,address*,uint256)",
    "Approval(address*,address*,uint256)",
    "Deposit(address*,address*,uint256,uint256)",
    "Withdraw(address*,address*,address*,uint256,uint256)",
]
# Standard events: signature with the indexed arguments marked.
EVENTS = {
    "FloePool": [
        "Transfer(address*,address*,uint256)",
        "Approval(address*,address*,uint256)",
        "Deposit(address*,address*,uint256,uint256)",
        "Withdraw(address*,address*,address*,uint256,uint256)",
    ],
    "WithdrawalQueue": [
        "Transfer(address*,address*,uint256*)",
        "Approval(address*,address*,uint256*)",
        "ApprovalForAll(address*,address*,bool)",
        "MetadataUpdate(uint256)",
        "BatchMetadataUpdate(uint256,uint256)",
    ],
    "RebasingToken": ["Transfer(address*,address*,uint256)", "Approval(address*,address*,uint256)"],
    "StablePair": ["Transfer(address*,address*,uint256)", "Approval(address*,address*,uint256)"],
    "ExitReserve": VAULT_EVENTS,
    "WethVault": VAULT_EVENTS,
}


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(types_of(entry))})"


def described(entry: dict[str, Any]) -> str:
    """Return a function as the tables above write it."""
    outputs = ",".join(types_of({"inputs": entry["outputs"]})) or "-"
    mutability = entry["stateMutability"].replace("pure", "view")
    return f"{signature(entry)} {outputs} {mutability}"


def described_event(entry: dict[str, Any]) -> str:
    kinds = [kind + ("*" if e["indexed"] else "") for kind, e in zip(types_of(entry), entry["inputs"], strict=True)]
    return f"{entry['name']}({','.join(kinds)})"


def table(*texts: str) -> set[str]:
    return {line.strip() for text in texts for line in text.strip().splitlines()}


@pytest.mark.parametrize(("contract", "interface", "standards"), CASES, ids=IDS)
def test_abi__functions__are_those_of_the_interface_and_the_standards(contract: str, interface: str, standards):
    abi = {described(e) for e in build.load(contract).abi if e["type"] == "function"}
    promised = {described(e) for e in build.interface_abi(interface) if e["type"] == "function"}
    assert promised <= abi, "the interface promises more"
    assert table(*standards) <= abi, "a standard asks for more"
    assert abi - promised - table(*standards) == set(), "nobody has promised this"


@pytest.mark.parametrize(("contract", "interface"), PAIRS, ids=IDS)
def test_abi__names_of_arguments__are_those_of_the_interface(contract: str, interface: str):
    def names(abi: list[dict[str, Any]]) -> dict[str, list[str]]:
        return {signature(e): [i["name"] for i in e["inputs"]] for e in abi if e["type"] == "function"}

    implemented, promised = names(build.load(contract).abi), names(build.interface_abi(interface))
    for function, wanted in promised.items():
        # The getter of a public mapping calls its arguments arg0, arg1.
        assert implemented[function] in (wanted, [f"arg{i}" for i in range(len(wanted))]), function


@pytest.mark.parametrize(("contract", "interface"), PAIRS, ids=IDS)
def test_abi__events__are_those_of_the_interface(contract: str, interface: str):
    def events(abi: list[dict[str, Any]]) -> dict[str, list[tuple[str, bool]]]:
        return {
            described_event(e): [(i["name"], i["indexed"]) for i in e["inputs"]] for e in abi if e["type"] == "event"
        }

    implemented, promised = events(build.load(contract).abi), events(build.interface_abi(interface))
    assert {name: implemented.get(name) for name in promised} == promised
    assert set(EVENTS.get(contract, [])) <= set(implemented)
    # What else is logged belongs to a standard or to snekmate.
    foreign = {name.split("(")[0] for name in implemented.keys() - promised.keys() - set(EVENTS.get(contract, []))}
    assert foreign <= {"RoleGranted", "RoleRevoked", "RoleAdminChanged", "EIP712DomainChanged"} | {
        # Of snekmate's token, when it is deployed: rights of which no function is left.
        "OwnershipTransferred",
        "RoleMinterChanged",
    }


def test_abi__request_with_permit__does_not_exist():
    """The pool trusts its queue: nobody has to sign or approve anything to leave."""
    names = {entry.get("name", "") for entry in build.load("WithdrawalQueue").abi}
    assert not {name for name in names if "permit" in name.lower()}
