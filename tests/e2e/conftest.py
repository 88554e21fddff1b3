"""Devnets for whole lives: one for each execution side that was asked for."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--execution", action="append", choices=("anvil", "ethereumjs"), help="execution side of the devnet (anvil)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "execution" in metafunc.fixturenames:
        metafunc.parametrize("execution", metafunc.config.getoption("--execution") or ["anvil"])
