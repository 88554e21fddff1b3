"""Daemons as real processes, with their own keystores, configuration files, stores and logs in one folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import requests
from eth_account.signers.local import LocalAccount

from floe.demo.processes import Process
from floe.devnet.ports import free_port


class Daemon(Process):
    """`ape floe GROUP run --config FILE`, which can be stopped and started again."""

    def __init__(self, folder: Path, group: str, name: str, key: LocalAccount, settings: dict[str, Any]) -> None:
        self._metrics = free_port()
        super().__init__(folder, group, name, bytes(key.key), self._metrics, settings)

    def wait_until_up(self, seconds: float = 60) -> None:
        """Wait until it serves its metrics. Raises ProcessError with its log when it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check()
            try:
                requests.get(f"http://127.0.0.1:{self._metrics}/health", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"{self.name} is not up after {seconds} s:\n{self.log()}")

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return requests.get(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10).text
