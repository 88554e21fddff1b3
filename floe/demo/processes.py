"""The daemons of the demo as processes of their own: `ape floe oracle run` and `ape floe keeper run`.

Each has a keystore, a configuration file, a store and a log in one folder; they are stopped by their process ids.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
import yaml  # type: ignore[import-untyped]
from eth_account import Account

PASSWORD = "of the keystores of the demo"
STARTING, STOPPING = 120.0, 20.0
"""Seconds that a daemon gets, on a busy machine, too."""
PAUSE = 0.05
"""Seconds between two looks at a daemon."""
ROUNDS = re.compile(r'^floe_rounds_total\{outcome="done"\} (\d+)', re.MULTILINE)


class ProcessError(Exception):
    """A daemon that did not start, or ended. The text ends with the last lines of its log."""


class Process:
    """`ape floe GROUP run`, which can be stopped and started again; its store remembers where it was."""

    def __init__(self, folder: Path, group: str, name: str, secret: bytes, port: int, settings: dict[str, Any]) -> None:
        """Write its files; `port` is for its metrics."""
        self.name, self._group, self._port = name, group, port
        self._config, self._log = folder / f"{name}.yaml", folder / f"{name}.log"
        # Few iterations: everybody knows these keys.
        (folder / f"{name}.json").write_text(json.dumps(Account.encrypt(secret, PASSWORD, iterations=2)))
        own: dict[str, Any] = {
            "key": {"keystore": {"file": f"{name}.json", "password": PASSWORD}},
            "store": f"sqlite:///{name}.db",
            "metrics": {"port": self._port},
        }
        self._config.write_text(yaml.safe_dump(own | settings))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it. Raises ProcessError where there is no `ape`."""
        beside = Path(sys.executable).with_name("ape")
        program = str(beside) if beside.exists() else shutil.which("ape")
        if program is None:
            raise ProcessError("ape is not on PATH: activate the environment")
        command = [program, "floe", self._group, "run", "--config", str(self._config)]
        with self._log.open("ab") as log:
            # A group of its own: Ctrl-C is for the demo, which then stops its daemons in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait until it has ended."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def wait_for_rounds(self, count: int) -> None:
        """Wait until it has begun and ended so many rounds more. Raises ProcessError."""
        until = time.monotonic() + STARTING
        wanted: int | None = None
        while time.monotonic() < until:
            self.check()
            done = self._rounds()
            if done is not None:
                # One may be under way.
                wanted = done + 1 + count if wanted is None else wanted
                if done >= wanted:
                    return
            time.sleep(PAUSE)
        raise ProcessError(f"{self.name} does not come round\n{self.log()}")

    def check(self) -> None:
        """Raise ProcessError when it should run and does not."""
        if self._process is not None and self._process.poll() is not None:
            raise ProcessError(f"{self.name} has ended, with exit code {self._process.returncode}\n{self.log()}")

    def log(self, lines: int = 20) -> str:
        """Return the last lines of what it has logged; 0: all."""
        text = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _rounds(self) -> int | None:
        """Return how many rounds have ended well since it started; None while it does not answer yet."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self._port}/metrics", timeout=10)
        except requests.ConnectionError:
            return None
        found = ROUNDS.search(answer.text)
        return int(found[1]) if found else 0
