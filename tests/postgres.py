"""A PostgreSQL server of one's own, for as long as a test needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from floe.build import ROOT
from floe.devnet.ports import free_port

FOLDER = ROOT / ".venv/postgres"
PASSWORD = "only for tests"
PATIENCE = 60
"""Seconds until it must answer."""


@contextmanager
def server() -> Iterator[str]:
    """Start the server that `scripts/postgres.sh` has unpacked; give the URL of an empty database.

    Skips the test where there is none. The server listens on 127.0.0.1 alone, and does not run as root.
    """
    found = sorted(FOLDER.glob("usr/lib/postgresql/*/bin"))
    if not (FOLDER / ".stamp").exists() or not found:
        reason = FOLDER / "reason"
        pytest.skip(reason.read_text().strip() if reason.exists() else "no PostgreSQL: bash scripts/postgres.sh")
    folder = Path(tempfile.mkdtemp(prefix="floe-postgres-"))
    user = "nobody" if os.geteuid() == 0 else None
    libraries = ":".join(str(path) for path in sorted(FOLDER.glob("usr/lib/*-linux-gnu*")))
    environment = {"PATH": str(found[-1]), "LD_LIBRARY_PATH": libraries, "LC_ALL": "C", "HOME": str(folder)}

    def run(*command: str) -> None:
        done = subprocess.run(
            command, env=environment, user=user, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    process = None
    try:
        if user is not None:
            shutil.chown(folder, user)
        try:
            run(str(found[-1] / "postgres"), "--version")
        except PermissionError:
            pytest.skip(f"PostgreSQL does not run as root, and {user} cannot read {FOLDER}")
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        data = str(folder / "data")
        initdb = [
            str(found[-1] / "initdb"),
            "--pgdata",
            data,
            "--username",
            "floe",
            "--pwfile",
            str(folder / "password"),
        ]
        run(*initdb, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "jit": "off",
            "fsync": "off",
        }
        command = [str(found[-1] / "postgres"), "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, user=user, cwd=folder, stdout=log, stderr=log)
        url = f"postgresql://floe:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
        _wait(process, url, folder / "log")
        yield url
    finally:
        if process is not None:
            process.send_signal(2)  # SIGINT: roll back what is open, and stop
            process.wait(30)
        shutil.rmtree(folder)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
