"""The console's helpers for validators, on the devnet: from an operator's file to a stake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import ape
import pytest
from ape.exceptions import ContractLogicError
from ape.logging import LogLevel, logger

from floe.beacon import deposit, keys
from floe.beacon.client import BeaconClient
from floe.beacon.ssz import ProofError, hash_pairs
from floe.console import Helpers
from floe.deploy import beacon, execute, record
from floe.deploy import config as configs
from floe.devnet import Devnet
from floe.oracle.observer import Observer
from floe.oracle.report import Oracle, digest, report_of
from floe.report import events

SECRETS = [keys.signing_key(b"operators' keys in these tests ..", number) for number in range(3)]
PUBKEYS = [keys.public_key(secret) for secret in SECRETS]


class World(NamedTuple):
    """A devnet with Floe on it, and the console's helpers."""

    devnet: Devnet
    helpers: Helpers
    record: record.Record
    folder: Path

    def file(self, *numbers: int) -> Path:
        """Write an operator's file with some of the keys."""
        credentials = bytes(self.helpers.registry.credentials())
        network = deposit.Network(name="floe-devnet", genesis_fork_version=bytes.fromhex("00000001"))
        signed = [
            deposit.sign_deposit(SECRETS[number], credentials, deposit.PREDEPOSIT_GWEI, network.genesis_fork_version)
            for number in numbers
        ]
        deposit.write(self.folder / "deposit_data.json", signed, network)
        return self.folder / "deposit_data.json"

    def wait_for(self, number: int) -> None:
        """Let the beacon chain go on until it has a validator with this key."""
        self.devnet.advance_until(lambda: self.devnet.validator(PUBKEYS[number]) is not None)
        self.devnet.advance(1)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("console")
    with Devnet() as devnet, devnet.ape(), logger.at_level(LogLevel.ERROR):
        client = BeaconClient(devnet.beacon_url)
        config = configs.load("local").model_copy(update={"beacon": beacon.read(client)})
        client.close()
        account = ape.accounts.test_accounts[0]
        done = execute.deploy(account, config, folder / "local.json")
        helpers = Helpers(done, account, devnet.beacon_url)
        helpers.stake("200 ether")
        helpers.registry.add_operator(account, account, 1, 10, sender=account)
        devnet.advance(1)
        yield World(devnet, helpers, done, folder)


@pytest.fixture
def world(chain: World) -> Iterator[World]:
    """Return the world as it was right after the deployment."""
    before = chain.devnet.snapshot()
    yield chain
    chain.devnet.restore(before)


def rows(printed: str) -> list[list[str]]:
    """Return the rows of a printed table, in words."""
    return [line.split() for line in printed.splitlines()[4:] if line.strip()]


def short(number: int) -> str:
    return f"0x{hash_pairs(PUBKEYS[number] + bytes(16)).hex()[:12]}..."


def test_console__file_to_stake__tables_say_where_it_stands(world, capsys):
    helpers, registry = world.helpers, world.helpers.registry
    assert helpers.prove() == 0
    assert "No validator is open: predeposit(file, operator)" in capsys.readouterr().out
    assert helpers.predeposit(world.file(0, 1), 1) == 2
    helpers.validators()
    assert rows(capsys.readouterr().out) == [
        [short(0), "predeposited", "1", "0.0000", "0.0000"],
        [short(1), "predeposited", "1", "0.0000", "0.0000"],
    ]
    world.devnet.advance(1)
    assert helpers.prove() == 0
    assert re.search(r"does not know the new keys yet \(slot \d+\): prove\(\) again", capsys.readouterr().out)
    assert helpers.top_up("31 ether") == "0.000000"
    assert "prove() new ones, or name some" in capsys.readouterr().out
    world.wait_for(1)
    assert helpers.prove() == 2
    world.devnet.advance(1)
    assert helpers.top_up("31 ether", PUBKEYS[1].hex()) == "32.000000"
    world.devnet.advance(1)
    assert helpers.top_up("63 ether") == "64.000000"
    helpers.validators()
    assert rows(capsys.readouterr().out) == [
        [short(0), "16", "active", "1", "64.0000", "0.0000"],
        [short(1), "17", "active", "1", "32.0000", "0.0000"],
    ]
    world.devnet.advance_until_status(PUBKEYS[0], "active_ongoing")
    world.devnet.advance(1)
    assert helpers.prove() == 2
    registry.request_withdrawals(PUBKEYS[0], [20 * 10**9], sender=helpers.account, value=10**9)
    helpers.validators()
    assert rows(capsys.readouterr().out)[0] == [short(0), "16", "active", "1", "64.0000", "20.0000"]
    helpers.operators()
    manager = f"{helpers.account.address[:10]}..."
    assert rows(capsys.readouterr().out) == [["1", manager, "1", "2", "of", "10", "200.0000", "76.0000", "2.0000"]]


def test_console__report_with_a_beacon_node__what_both_chains_say_at_a_final_slot(world):
    helpers, devnet = world.helpers, world.devnet
    helpers.predeposit(world.file(0), 1)
    devnet.add_keys(secrets=[SECRETS[0]])
    world.wait_for(0)
    helpers.prove()
    devnet.advance(1)
    helpers.top_up("31 ether")
    helpers.request("2 ether")
    devnet.advance_until_status(PUBKEYS[0], "active_ongoing")
    devnet.advance(epochs=3)
    assert helpers.report() == "booked, and exits were paid"
    ref_slot = helpers.oracle.last().ref_slot
    final = int(devnet.beacon("/eth/v1/beacon/states/head/finality_checkpoints")["data"]["finalized"]["epoch"]) * 8
    assert ref_slot == final > 0
    with closing(BeaconClient(devnet.beacon_url)) as client:
        web3 = ape.networks.active_provider.web3
        seen = Observer(client, web3, helpers.pool.address, helpers.registry.address).observe(ref_slot)
    found = devnet.validator(PUBKEYS[0], str(ref_slot))
    assert found is not None
    assert report_of(seen).cl == int(found["balance"]) * 10**9 >= 32 * 10**18
    [event] = events.read({"oracle": helpers.oracle}, helpers.first_block)[-1:]
    assert (event.name, event.arguments["ref_slot"]) == ("Applied", ref_slot)
    here = Oracle(devnet.settings.chain_id, helpers.oracle.address)
    assert bytes(event.arguments["digest"]) == digest(report_of(seen), here)
    with pytest.raises(ContractLogicError, match="report: not newer"):
        helpers.report()


def test_console__exit_to_the_last_gwei__closed(world, capsys):
    helpers, registry, devnet = world.helpers, world.helpers.registry, world.devnet
    helpers.predeposit(world.file(0), 1)
    devnet.add_keys(secrets=[SECRETS[0]])
    world.wait_for(0)
    helpers.prove()
    devnet.advance(1)
    helpers.top_up("31 ether")
    devnet.advance_until_status(PUBKEYS[0], "active_ongoing")
    devnet.advance(epochs=5)
    assert helpers.prove() == 1
    registry.request_withdrawals(PUBKEYS[0], [0], sender=helpers.account, value=10**9)
    devnet.advance(2)
    assert helpers.prove() == 1
    helpers.validators()
    assert rows(capsys.readouterr().out)[0][2] == "exiting"
    with pytest.raises(ContractLogicError, match="validator: not withdrawn"):
        helpers.close(PUBKEYS[0])
    devnet.advance_until_status(PUBKEYS[0], "withdrawal_done")
    devnet.advance(1)
    helpers.close("0x" + PUBKEYS[0].hex())
    helpers.validators()
    assert rows(capsys.readouterr().out) == [[short(0), "16", "closed", "1", "0.0000", "0.0000"]]
    assert helpers.vault.balance >= 32 * 10**18
    assert helpers.prove() == 0


def test_predeposit__bond_that_covers_a_part__the_rest_is_paid(world):
    helpers, registry = world.helpers, world.helpers.registry
    registry.add_bond(1, sender=helpers.account, value=15 * 10**17)
    before = helpers.account.balance
    assert helpers.predeposit(world.file(0, 1), 1) == 2
    assert before - helpers.account.balance == pytest.approx(5 * 10**17, abs=10**16)
    assert registry.operator(1).bond == 0
    registry.add_bond(1, sender=helpers.account, value=3 * 10**18)
    assert helpers.predeposit(world.file(2), 1) == 1
    assert registry.operator(1).bond == 2 * 10**9


def test_predeposit__key_that_the_registry_knows__nothing_sent(world):
    helpers = world.helpers
    helpers.predeposit(world.file(0), 1)
    nonce = helpers.account.nonce
    with pytest.raises(deposit.DepositsRefused, match=r"entry 2, .* the registry knows it: predeposited, operator 1"):
        helpers.predeposit(world.file(1, 0), 1)
    assert helpers.account.nonce == nonce


def test_predeposit__key_that_the_beacon_chain_knows__nothing_sent(world):
    front_run = deposit.sign_deposit(SECRETS[0], b"\x02" + bytes(31), 10**9, bytes.fromhex("00000001"))
    send_deposit(world, front_run)
    world.devnet.advance(2)
    with pytest.raises(deposit.DepositsRefused, match="the beacon chain knows it: a deposit is pending"):
        world.helpers.predeposit(world.file(0), 1)


def send_deposit(world: World, data: deposit.DepositData) -> None:
    """Deposit as a stranger does."""
    abi: Any = [
        {
            "type": "function",
            "name": "deposit",
            "stateMutability": "payable",
            "inputs": [{"name": name, "type": "bytes"} for name in ("pubkey", "credentials", "signature")]
            + [{"name": "root", "type": "bytes32"}],
            "outputs": [],
        }
    ]
    contract = ape.Contract(world.helpers.registry.chain_constants().deposit_contract, abi=abi)
    arguments = (data.pubkey, data.withdrawal_credentials, data.signature, data.root)
    contract.deposit(*arguments, sender=ape.accounts.test_accounts[9], value=10**18)


def test_prove__key_that_is_not_on_the_beacon_chain__named(world):
    with pytest.raises(ProofError, match=f"no validator has the key {PUBKEYS[2].hex()}"):
        world.helpers.prove("0x" + PUBKEYS[2].hex())


def test_top_up__nothing_is_proven__sends_nothing(world):
    nonce = world.helpers.account.nonce
    assert world.helpers.top_up("31 ether") == "0.000000"
    assert world.helpers.account.nonce == nonce


def test_top_up__not_whole_gwei__refused(world):
    with pytest.raises(ValueError, match="counted in whole Gwei"):
        world.helpers.top_up(10**9 + 1)


def test_helpers__no_beacon_node_named__ask_for_one(world):
    helpers = Helpers(world.record, world.helpers.account)
    for helper in (helpers.prove, lambda: helpers.top_up("1 ether"), lambda: helpers.predeposit(world.file(0), 1)):
        with pytest.raises(ValueError, match=r"no beacon node to ask: beacon = \"http"):
            helper()


def test_helpers__registry_that_does_not_know_the_fork__say_what_is_missing(world, monkeypatch):
    row = world.helpers.registry.forks()[0]
    for rows_of_registry in ([], [type(row)(0, row.validators_gindex * 2, row.balances_gindex)]):
        monkeypatch.setattr(world.helpers.registry, "forks", lambda found=rows_of_registry: found, raising=False)
        with pytest.raises(ProofError, match="table of forks is not right for slot 0, fulu: add_fork"):
            world.helpers.prove()
