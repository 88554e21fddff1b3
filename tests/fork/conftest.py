"""These tests need a fork: without one (`pytest` alone) they are not collected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ape
import pytest

from floe.deploy import verify
from floe.deploy.config import Config
from floe.deploy.execute import deploy
from tests.integration.conftest import actors, config, file, own_chain

__all__ = ["actors", "config", "file", "own_chain"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests alone unless Ape is told to fork."""
    if collection_path.name.startswith("test_") and "-fork" not in (config.getoption("--network") or ""):
        return True
    return None


@pytest.fixture(scope="module")
def contracts(actors: dict[str, Any], config: Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the protocol, deployed on the fork, by name."""
    return verify.contracts(deploy(actors["deployer"], config, tmp_path_factory.mktemp("fork") / "here.json"))


@pytest.fixture
def forked_block() -> Any:
    """Return the newest block of the chain that was forked."""
    provider = ape.networks.active_provider
    with provider.network.use_upstream_provider() as upstream:
        return upstream.get_block("latest")
