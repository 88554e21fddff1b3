"""Devnets for whole lives: one for each execution side that was asked for."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "execution" in metafunc.fixturenames:
        metafunc.parametrize("execution", metafunc.config.getoption("--execution") or ["anvil"])
