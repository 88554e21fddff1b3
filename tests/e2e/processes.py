"""Daemons as real processes, with their own keystores, configuration files, stores and logs in one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
import yaml  # type: ignore[import-untyped]
from eth_account import Account
from eth_account.signers.local import LocalAccount

from tests.ports import free_port

PASSWORD = "of the keystores in these tests"
STOP_SECONDS = 20


class Daemon:
    """`ape floe GROUP run --config FILE`, which can be stopped and started again."""

    def __init__(self, folder: Path, group: str, name: str, key: LocalAccount, settings: dict[str, Any]) -> None:
        self.name = name
        self._group, self._folder = group, folder
        self._config, self._log = folder / f"{name}.yaml", folder / f"{name}.log"
        (folder / f"{name}.json").write_text(json.dumps(Account.encrypt(key.key, PASSWORD, iterations=2)))
        (folder / "password").write_text(PASSWORD)
        keystore = {"file": f"{name}.json", "password_file": "password"}
        self._metrics = free_port()
        own = {"store": f"sqlite:///{name}.db", "metrics": {"port": self._metrics}, "log": "info"}
        own["key"] = {"keystore": keystore}
        self._config.write_text(yaml.safe_dump(own | settings))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; it goes on where it was."""
        command = [str(Path(sys.executable).parent / "ape"), "floe", self._group, "run", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, env=os.environ)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Stop it, by its process id."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def wait_until_up(self, seconds: float = 60) -> None:
        """Wait until it serves its metrics. Raises AssertionError with its log when it has ended or is late."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} has ended:\n{self.log()[-4_000:]}"
            try:
                requests.get(f"http://127.0.0.1:{self._metrics}/health", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"{self.name} is not up after {seconds} s:\n{self.log()[-4_000:]}")

    def log(self) -> str:
        """Return all that it has logged."""
        return self._log.read_text() if self._log.exists() else ""

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return requests.get(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10).text
