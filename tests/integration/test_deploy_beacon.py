"""The deploy command beside a beacon node: whose constants count, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from floe.beacon.client import BeaconClient
from floe.deploy import beacon, record
from floe.deploy import config as configs
from floe.devnet import Devnet
from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from scripts.deploy import cli

GENESIS_TIME = 1_712_345_678


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with Devnet(genesis_time=GENESIS_TIME, seconds_per_slot=6, fork="electra") as devnet:
        yield devnet


@pytest.fixture
def client(devnet: Devnet) -> Iterator[BeaconClient]:
    client = BeaconClient(devnet.beacon_url, pause=0)
    yield client
    client.close()


@pytest.fixture
def run(devnet: Devnet, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., Result]:
    """Run the command on the devnet, with records in a folder of the test."""
    monkeypatch.setattr(record, "path", lambda network: tmp_path / f"{network}.json")
    return lambda *arguments: CliRunner().invoke(cli, ["--network", devnet.execution_url, *arguments])


def test_deploy_command__beacon_node_of_the_devnet__its_constants_are_deployed(run, devnet, tmp_path):
    done = run("--beacon", devnet.beacon_url, "--table")
    assert done.exit_code == 0, done.output
    assert "electra and all constants\n" in done.output
    assert "no deposit contract" not in done.output
    written = record.read(tmp_path / "local.json")
    assert written is not None
    assert written.config["beacon"] == {
        "preset": "minimal",
        "deposit_contract": DEPOSIT_CONTRACT,
        "genesis_time": GENESIS_TIME,
        "seconds_per_slot": 6,
        "forks": {"electra": 0},
    }
    assert written.contracts["ValidatorRegistry"].arguments[4] == [DEPOSIT_CONTRACT, GENESIS_TIME, 6, 8, 64]

    # The same command goes on from there; without the node the parameters are others.
    assert run("--beacon", devnet.beacon_url).exit_code == 0
    again = run()
    assert again.exit_code == 1
    assert f"beacon.genesis_time ({GENESIS_TIME} there, 1700000000 now)" in again.output


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9", "Error: 127.0.0.1:9: cannot be reached (/eth/v1/config/spec)\n"),
        (
            "127.0.0.1:5052",
            "Error: the URL of a beacon node starts with http:// or https://, this one is '127.0.0.1:5052'\n",
        ),
    ],
)
def test_deploy_command__no_beacon_node__one_line_and_nothing_sent(run, tmp_path, url, reason):
    done = run("--beacon", url)
    assert (done.exit_code, done.output) == (1, reason)
    assert not (tmp_path / "local.json").exists()


def test_problems__file_as_the_node_says__none(client):
    same = configs.load("local").model_copy(update={"beacon": beacon.read(client)})
    assert beacon.problems(same, client) == []


def test_problems__everything_differs__each_named(client):
    hoodi = configs.load("hoodi")
    name = client.name
    assert beacon.problems(hoodi, client) == [
        f"chain_id: 560048 in the parameter file, 31337 says {name}",
        f"beacon.preset: mainnet in the parameter file, minimal says {name}",
        f"beacon.genesis_time: 1742213400 in the parameter file, {GENESIS_TIME} says {name}",
        f"beacon.seconds_per_slot: 12 in the parameter file, 6 says {name}",
        f"beacon.forks.electra: 2048 in the parameter file, nothing says {name}",
        f"beacon.forks.fulu: 50688 in the parameter file, nothing says {name}",
    ]


class Answers:
    """A client with the answers of a node on Hoodi."""

    def __init__(self, **changes: str) -> None:
        section = configs.load("hoodi").beacon
        self.name, self.preset = "node", section.sizes
        self.genesis = lambda: SimpleNamespace(time=section.genesis_time)
        self.spec = {
            "PRESET_BASE": "mainnet",
            "SECONDS_PER_SLOT": "12",
            "DEPOSIT_CHAIN_ID": "560048",
            "DEPOSIT_CONTRACT_ADDRESS": DEPOSIT_CONTRACT.lower(),
            "DENEB_FORK_EPOCH": "0",
            **{f"{fork.upper()}_FORK_EPOCH": str(epoch) for fork, epoch in section.forks.items()},
            "GLOAS_FORK_EPOCH": str(2**64 - 1),
            **changes,
        }


def test_problems__node_of_the_public_network__older_forks_do_not_count():
    client: Any = Answers()
    assert beacon.problems(configs.load("hoodi"), client) == []
    assert beacon.unknown_forks(client) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"DEPOSIT_CHAIN_ID": "1"}, "chain_id: 560048 in the parameter file, 1 says node"),
        ({"SECONDS_PER_SLOT": "10"}, "beacon.seconds_per_slot: 12 in the parameter file, 10 says node"),
        ({"FULU_FORK_EPOCH": "50689"}, "beacon.forks.fulu: 50688 in the parameter file, 50689 says node"),
        ({"FULU_FORK_EPOCH": str(2**64 - 1)}, "beacon.forks.fulu: 50688 in the parameter file, nothing says node"),
        (
            {"DEPOSIT_CONTRACT_ADDRESS": "0x" + "11" * 20},
            f"beacon.deposit_contract: {DEPOSIT_CONTRACT} in the parameter file, 0x{'11' * 20} says node",
        ),
    ],
)
def test_problems__one_value_differs__only_that_named(changes, problem):
    client: Any = Answers(**changes)
    assert beacon.problems(configs.load("hoodi"), client) == [problem]


def test_problems__fork_that_the_file_lacks__named():
    client: Any = Answers()
    hoodi = configs.load("hoodi")
    older = hoodi.model_copy(update={"beacon": hoodi.beacon.model_copy(update={"forks": {"electra": 2_048}})})
    assert beacon.problems(older, client) == ["beacon.forks.fulu: nothing in the parameter file, 50688 says node"]


def test_unknown_forks__scheduled_after_those_known__named():
    client: Any = Answers(GLOAS_FORK_EPOCH="99999")
    [line] = beacon.unknown_forks(client)
    assert "gloas, at epoch 99999: from then on no proof holds unless the registry has a row" in line
