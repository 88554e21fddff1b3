"""Accounts by role, and a parameter file for whatever chain the tests run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ape
import pytest
import yaml  # type: ignore[import-untyped]
from ape.logging import LogLevel, logger

from floe import console
from floe.deploy import config as configs
from floe.deploy.config import Config
from floe.deploy.execute import network_name

ROLES = (
    "deployer",
    "member",
    "council",
    "keeper",
    "operator",
    "treasury",
    "proposer",
    "guardian",
    "staker",
    "outsider",
)


@pytest.fixture(scope="session", autouse=True)
def own_chain() -> Iterator[None]:
    """Keep Ape from telling about every transaction, and take code off the test accounts.

    Everybody knows their keys, so on public chains somebody has put code there that sends away what they get.
    """
    provider = ape.networks.active_provider
    for account in ape.accounts.test_accounts:
        if provider.web3.eth.get_code(account.address):
            provider.make_request("anvil_setCode", [account.address, "0x"])
    with logger.at_level(LogLevel.ERROR):
        yield


@pytest.fixture(scope="session")
def actors() -> dict[str, Any]:
    """Test accounts by role."""
    return dict(zip(ROLES, ape.accounts.test_accounts[: len(ROLES)], strict=True))


@pytest.fixture(scope="session")
def config(actors: dict[str, Any]) -> Config:
    """Parameters for the chain that the tests are connected to; a fork has the beacon chain and WETH of its chain."""
    network = network_name(ape.networks.active_provider).removesuffix("-fork")
    of_network = yaml.safe_load((configs.FOLDER / f"{network}.yaml").read_text(encoding="utf-8"))
    local = configs.load("local").model_dump()
    return configs.parse(
        {
            **local,
            "beacon": of_network["beacon"],
            "liquidity": {**local["liquidity"], "weth": of_network["liquidity"]["weth"]},
            "chain_id": ape.networks.active_provider.chain_id,
            "oracle": {
                "members": [actors["member"].address],
                "quorum": 1,
                # The widest, so that tests can lose much in a day.
                "limits": {
                    **local["oracle"]["limits"],
                    "loss_bps": configs.MAX_LOSS_BPS,
                    "window_bps": configs.MAX_WINDOW_BPS,
                },
            },
            "fees": {"treasury": actors["treasury"].address, "treasury_bps": 4_000, "cover_bps": 1_000},
            "roles": {
                "council": actors["council"].address,
                "keepers": [actors["keeper"].address],
                "proposers": [actors["proposer"].address],
                "executors": ["anyone"],
                "pause_keys": [actors["guardian"].address],
                "resumers": [actors["guardian"].address, actors["proposer"].address],
            },
        }
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a record goes."""
    return tmp_path / "deployments" / "here.json"


def impersonated(contract: Any) -> Any:
    """Return a contract as an account to send from, with ETH for gas."""
    ape.networks.active_provider.set_balance(contract.address, 10**18)
    return ape.accounts[contract.address]


def report(contracts: dict[str, Any], actors: dict[str, Any], **fields: Any) -> Any:
    """Let a frame pass, and bring the report of the newest one: that nothing has changed but `fields`.

    The committee has one member. Returns the receipt.
    """
    oracle, chain = contracts["ReportOracle"], ape.chain
    clock = oracle.chain_constants()
    chain.pending_timestamp += oracle.parameters().frame_epochs * clock.slots_per_epoch * clock.seconds_per_slot
    chain.mine(1)
    now = ape.networks.active_provider.get_block("latest").timestamp
    made = console.unchanged(contracts["FloePool"], contracts["WithdrawalQueue"], oracle, now)
    return console.submit(oracle, made._replace(**fields), [actors["member"]], actors["outsider"])
