"""The commands as people and machines run them: a deployment on a real node, and `ape floe ...` on it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ape
import click
import pytest
from click.testing import CliRunner, Result

from ape_floe.cli import cli
from floe.build import ROOT
from floe.cli.connection import URI, Connected
from floe.deploy import record as records
from floe.deploy.execute import deploy
from floe.deploy.find import contracts
from floe.deploy.plan import ORDER
from tests.integration.conftest import ROLES, report


class Chain(NamedTuple):
    """A deployment, and the commands on it."""

    at: dict[str, Any]
    """Contracts by name."""
    actors: dict[str, Any]
    run: Callable[..., Result]
    """Run `ape floe ...` with words as arguments; `who` pays, `answer` is typed."""

    def json(self, *words: str, who: str | None = None) -> dict[str, Any]:
        """Run a command with --json and return what it prints, which must be all it prints."""
        done = self.run(*words, "--json", who=who)
        assert done.exit_code == 0, done.stderr
        assert done.stderr == ""
        return dict(json.loads(done.stdout))

    def say(self, *words: str, who: str | None = None) -> str:
        """Run a command that must succeed, without questions, and return what it prints."""
        done = self.run(*words, who=who)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def refuse(self, *words: str, who: str | None = None, answer: str = "") -> str:
        """Run a command that must fail with one line and send nothing; return the line."""
        before = {name: account.nonce for name, account in self.actors.items()}
        done = self.run(*words, who=who, answer=answer)
        assert done.exit_code in (1, 2), done.stdout
        usage, _, line = done.stderr.rpartition("Error: ")
        assert usage == "" or usage.startswith("Usage: ")
        assert line.count("\n") == 1, done.stderr
        assert {name: account.nonce for name, account in self.actors.items()} == before
        return line.strip()

    def report(self, **fields: Any) -> None:
        """Let a frame pass and report it."""
        report(self.at, self.actors, **fields)


@pytest.fixture(scope="module")
def deployed(actors, config, tmp_path_factory):
    file = tmp_path_factory.mktemp("cli") / "local.json"
    deploy(actors["deployer"], config, file)
    return file


@pytest.fixture(scope="module")
def node():
    """Return the chain as Ape knows it by its address: a node that it has not started."""
    with ape.networks.parse_network_choice(ape.networks.active_provider.uri) as provider:
        pass
    provider.connect()
    return provider


@pytest.fixture
def chain(deployed: Path, node: Any, actors: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    """Return what the commands find where a record is.

    To connect takes Ape as long as all the rest, so here they find themselves connected to `node`.
    """
    monkeypatch.setattr(records, "path", lambda _: deployed)

    def connected(command: Connected, context: click.Context) -> Any:
        context.meta[URI] = None
        with monkeypatch.context() as patch:
            patch.setattr(ape.networks, "_active_provider", node)
            return command._invoke(context)

    monkeypatch.setattr(Connected, "invoke", connected)

    def run(*words: str, who: str | None = None, answer: str = "") -> Result:
        payer = [] if who is None else ["--account", f"TEST::{ROLES.index(who)}"]
        return CliRunner(mix_stderr=False).invoke(cli, [*words, *payer], input=answer)

    found = records.read(deployed)
    assert found is not None
    # The commands act on `node`, so it is this fixture that takes back what they did.
    before = ape.chain.snapshot()
    yield Chain(contracts(found, ORDER), actors, run)
    ape.chain.restore(before)


def rows(printed: str) -> dict[str, str]:
    """Return the rows of printed tables: their first column, and what stands behind it."""
    found = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in printed.splitlines())
    return {row[0]: row[1] for row in found if len(row) == 2}


def documented(heading: str) -> set[str]:
    """Return the fields that docs/cli.md names under a heading, "STATE" as it stands there."""
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = set()
    for row in re.findall(r"^\| (`.*?) \|", text, re.M):
        prefix = ""
        for name in re.findall(r"`([^`]+)`", row):
            found.add(prefix + name if name.startswith(".") else name)
            prefix = (prefix + name if name.startswith(".") else name).rpartition(".")[0]
    return found


def fields(value: Any, name: str = "") -> set[str]:
    """Return the names of all values in JSON, as docs/cli.md writes them."""
    if isinstance(value, dict):
        return {
            field
            for key, item in value.items()
            for field in fields(item, f"{name}.{'STATE' if name == 'validators' else key}".removeprefix("."))
        }
    if isinstance(value, list):
        return {field for item in value for field in fields(item, f"{name}[]")}
    return {name}
