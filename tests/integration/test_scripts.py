"""`ape run deploy` as a person meets it: what it prints, how it ends, and no stack trace."""

from __future__ import annotations

import ape
import pytest
from click.testing import CliRunner

from floe.deploy import config as configs
from floe.deploy import record
from floe.deploy.plan import order
from scripts.deploy import cli


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command on the chain that is there, with records in a folder of the test."""
    monkeypatch.setattr(record, "path", lambda network: tmp_path / f"{network}.json")
    uri = ape.networks.active_provider.uri
    return lambda *arguments: CliRunner().invoke(cli, ["--network", uri, *arguments])


def test_deploy_command__local_chain__table_and_record(run, tmp_path):
    done = run()
    assert done.exit_code == 0, done.output
    assert "differs" not in done.output
    written = record.read(tmp_path / "local.json")
    assert written is not None
    for name, item in written.contracts.items():
        assert f"{name:<18} {item.address}  block {item.block}\n" in done.output
    again = run()
    assert again.exit_code == 0, again.output
    assert again.output.count("  was there\n") == len(order(configs.load("local")))


def test_deploy_command__bad_parameter_file__its_mistakes_and_nothing_else(run, monkeypatch, tmp_path):
    (tmp_path / "local.yaml").write_text("chain_id: 31337\nseed: 1\n", encoding="utf-8")
    load = configs.load
    monkeypatch.setattr(configs, "load", lambda network: load(network, tmp_path))
    done = run()
    assert done.exit_code == 1
    assert "seed: Input should be greater than or equal to 1000000000" in done.output
    assert "roles: Field required" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "local.json").exists()


def test_deploy_command__parameters_changed_since__refused(run, monkeypatch):
    assert run().exit_code == 0
    changed = configs.parse({**configs.load("local").model_dump(), "timelock_delay": configs.MIN_DELAY + 1})
    monkeypatch.setattr(configs, "load", lambda _: changed)
    done = run()
    assert done.exit_code == 1
    assert "the parameters differ" in done.output
