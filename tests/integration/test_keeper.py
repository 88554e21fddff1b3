"""A keeper with its own file, key and store, on a devnet with the real contracts: it does by itself what is due."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner
from eth_account import Account

from ape_floe.cli import cli
from floe.deploy import record as records
from floe.devnet import Devnet
from floe.keeper.command import run
from floe.keeper.config import KeeperConfig
from floe.oracle.observer import Observer
from floe.service.config import load
from floe.service.starting import StartError
from floe.service.store import DONE, Action, Store
from tests.e2e.test_life import FAST_QUEUES, known, predeposit
from tests.e2e.world import DEPLOYER, ETHER, GWEI, KEEPER, MANAGER, OUTSIDER, RIVAL, STAKER, Validator, World

DAY = 86_400
PASSWORD = "a password for tests"
PREDEPOSITED, PROVEN, ACTIVE, EXITING, CLOSED, COMPROMISED, SLASHED = (1 << bit for bit in range(7))
STATE, STAKE, PULLED = 0, 3, 4
"""Places in the registry's record of a validator."""


class Kept(NamedTuple):
    """A protocol that a keeper looks after. Its operators' validators hold 700, 32, 32 and 96 ETH and are active."""

    world: World
    file: Path
    ours: list[Validator]

    def round(self) -> list[str]:
        """Let the keeper make one round, as if it had been started anew; return the kinds of what it did."""
        before = len(self.actions())
        run(self.file, dry_run=False, once=True, say=print)
        done = self.actions()[before:]
        assert all(action.state == DONE for action in done)
        return [action.kind for action in done]

    def actions(self) -> list[Action]:
        """Return what it has ever done."""
        with Store(load(self.file, KeeperConfig).store.get_secret_value()) as store:
            return store.actions(self.world.devnet.settings.chain_id, self.world.address(KEEPER))

    def records(self, place: int) -> list[int]:
        """Return a field of the registry's records of all validators."""
        return [self.world.state_of(one)[place] for one in self.ours]


def config_file(world: World, folder: Path, name: str, account: int | None, **changes: Any) -> Path:
    """Write a keeper's configuration with the key of an account, and return its path."""
    records.write(world.record, folder / "local.json")
    content: dict[str, Any] = {
        "deployment": "local.json",
        "beacon": [world.devnet.beacon_url],
        "execution": [world.devnet.execution_url],
        "max_head_age": None,
        "beacon_interval": 1,
        "store": f"sqlite:///{name}.sqlite",
        "log": "error",
        **changes,
    }
    if account is not None:
        secret = Account.encrypt(world.devnet.account(account).key, PASSWORD, kdf="pbkdf2", iterations=1)
        (folder / f"{name}.json").write_text(json.dumps(secret))
        (folder / f"{name}.password").write_text(PASSWORD + "\n")
        content["key"] = {"keystore": {"file": f"{name}.json", "password_file": f"{name}.password"}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder / f"{name}.yaml"


@pytest.fixture(scope="module", autouse=True)
def own_logs() -> Iterator[None]:
    """Give the logs back to pytest in the end: a keeper takes them for itself."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("keeper")
    # An epoch of 8 slots is 8 hours.
    with Devnet(seconds_per_slot=3_600, config=FAST_QUEUES) as devnet:
        devnet.advance(epochs=1)
        world = World(devnet)
        registry, pool = world.registry.functions, world.pool.functions
        for account, weight in ((MANAGER, 80), (RIVAL, 20)):
            address = world.address(account)
            world.call(DEPLOYER, registry.add_operator(address, address, weight, 100))
        world.call(STAKER, pool.deposit(1_000 * ETHER, world.address(STAKER)), value=1_000 * ETHER)
        signed = [world.new_deposit() for _ in range(4)]
        predeposit(world, MANAGER, 1, [data for _, data in signed[:3]])
        predeposit(world, RIVAL, 2, [data for _, data in signed[3:]])
        kept = Kept(world, config_file(world, folder, "keeper", KEEPER), [validator for validator, _ in signed])

        assert kept.round() == ["sync_fees", "sync_fees"]  # the beacon chain does not know the keys yet
        for one in kept.ours:
            devnet.advance_until(partial(known, world, one))
        devnet.advance(1)
        assert kept.round() == ["prove_credentials", "top_up"]
        assert kept.records(STATE) == [ACTIVE] * 4
        # A tenth stays in the buffer; of what goes out, every operator has what its weight entitles it to.
        assert sorted(kept.records(STAKE)[:3]) == [32 * GWEI, 32 * GWEI, 736 * GWEI]
        assert kept.records(STAKE)[3] == 100 * GWEI
        assert pool.buffer().call() // ETHER == 100
        assert kept.round() == []

        for one in kept.ours:
            devnet.advance_until_status(one.pubkey, "active_ongoing")
        devnet.advance(epochs=4)
        assert kept.round() == ["prove_activity"]
        yield kept


@pytest.fixture
def kept(warm: Kept) -> Iterator[Kept]:
    """Return the protocol; what a test does to the chain and to the keeper's store is undone."""
    store = warm.file.with_suffix(".sqlite")
    snapshot, saved = warm.world.devnet.snapshot(), store.read_bytes()
    yield warm
    world = warm.world
    world.devnet.restore(snapshot)
    # An observer cannot go back in time.
    contracts = (world.pool.address, world.registry.address, world.oracle.address)
    world.observer = Observer(world.client, world.web3, *contracts)
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()
    store.write_bytes(saved)


def request(world: World, ether: int) -> None:
    """Let the staker queue shares; the next report makes them eligible and pays what the buffer has."""
    world.call(STAKER, world.queue.functions.request(ether * ETHER, world.address(STAKER)))
    world.report()


def test_keeper__exits_beyond_the_buffer__pulled_back_paid_closed(kept: Kept):
    world, devnet = kept.world, kept.world.devnet
    registry, queue = world.registry.functions, world.queue
    request(world, 900)
    paid = world.web3.eth.get_balance(queue.address)
    assert 100 * ETHER <= paid < 101 * ETHER

    # Parts first; what is still missing comes from validators that leave altogether.
    assert kept.round() == ["record_exits", "pull_back"]
    assert registry.missing().call() == 0
    assert kept.records(STATE).count(EXITING) == 1
    assert sum(kept.records(PULLED)) >= 900 * GWEI - paid // GWEI
    assert all(part == 0 or part >= 5 * GWEI for part in kept.records(PULLED))
    assert kept.round() == []

    devnet.advance(2)
    assert kept.round() == ["prove_exits"]
    leaver = kept.ours[kept.records(STATE).index(EXITING)]
    devnet.advance_until_status(leaver.pubkey, "withdrawal_done")
    devnet.advance(epochs=4)
    world.report()
    assert queue.functions.claimable(1).call() >= 900 * ETHER
    done = kept.round()
    assert "close" in done
    assert world.state_of(leaver)[STATE] == CLOSED
    # Two days after the requests the registry sees that the parts were paid, too.
    devnet.advance(epochs=3)
    kept.round()
    assert registry.under_way().call() == 0


def test_keeper__buffer_for_eligible_exits__pays_them(kept: Kept):
    world = kept.world
    request(world, 150)
    before = world.web3.eth.get_balance(world.queue.address)
    # New ETH comes in after the report.
    world.call(OUTSIDER, world.pool.functions.deposit(60 * ETHER, world.address(OUTSIDER)), value=60 * ETHER)
    assert "fulfil" in kept.round()
    assert world.web3.eth.get_balance(world.queue.address) - before >= 49 * ETHER
    assert world.queue.functions.pending(1).call() == 0


def test_keeper__slashing__proven_at_once_and_the_fees_follow(kept: Kept):
    world = kept.world
    world.devnet.slash([kept.ours[3].pubkey])
    world.devnet.advance_until_status(kept.ours[3].pubkey, "active_slashed")
    # A state can be proven once its block has a child; the slashed validator misses its own slots.
    slashed_in = int(world.client.header("head").message.slot)
    world.devnet.advance_until(lambda: int(world.client.header("head").message.slot) > slashed_in)
    assert kept.round() == ["prove_slashings", "sync_fees"]
    assert kept.records(STATE)[3] == SLASHED
    assert world.pool.functions.pending_loss().call() > 0
    # The suspended operator earns no more.
    assert world.splitter.functions.accounts(world.registry.address, 2).call()[0] == 0


def test_keeper__reports_stop__declares_it_and_exits_are_paid(kept: Kept):
    world = kept.world
    world.report()
    world.call(STAKER, world.queue.functions.request(50 * ETHER, world.address(STAKER)))
    assert kept.round() == []
    parameters = {**world.record.config["parameters"], "stale_after": DAY}
    as_admin(world, world.pool.functions.set_parameters(tuple(parameters.values())))
    world.devnet.advance(DAY // world.devnet.settings.seconds_per_slot + 1)
    assert kept.round()[:3] == ["declare_stale", "record_exits", "fulfil"]
    assert world.queue.functions.pending(1).call() == 0


def test_keeper__no_beacon_node__exits_are_paid_all_the_same(kept: Kept, tmp_path: Path):
    world = kept.world
    request(world, 150)
    world.call(OUTSIDER, world.pool.functions.deposit(60 * ETHER, world.address(OUTSIDER)), value=60 * ETHER)
    file = config_file(world, tmp_path, "blind", KEEPER, beacon=["http://127.0.0.1:9"])
    with pytest.raises(StartError, match=r"^127.0.0.1:9: unreachable: "):
        run(file, dry_run=False, once=True, say=print)
    assert world.queue.functions.pending(1).call() == 0
    assert kept.records(PULLED) == [0] * 4


def test_keeper__no_finality__said_and_all_is_done_the_same(
    kept: Kept, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    world, devnet = kept.world, kept.world.devnet
    other = kept._replace(file=config_file(world, tmp_path, "unsettled", KEEPER, log="warning"))
    devnet.set_finality(False)
    try:
        devnet.slash([kept.ours[3].pubkey])
        devnet.advance(epochs=8)
        assert "prove_slashings" in other.round()
    finally:
        devnet.set_finality(True)
    assert kept.records(STATE)[3] == SLASHED
    [line] = [line for line in capfd.readouterr().err.splitlines() if "finality" in line]
    assert re.search(r"beacon nodes: lagging: finality is \d+ epochs behind the head", line)


def test_keeper__stranger__asks_for_nothing_until_exits_are_overdue(kept: Kept, tmp_path: Path):
    world, devnet = kept.world, kept.world.devnet
    registry = world.registry.functions
    as_admin(world, registry.set_parameters((500, DAY)))
    other = kept._replace(file=config_file(world, tmp_path, "stranger", OUTSIDER))
    request(world, 300)
    assert kept_actions(other, OUTSIDER) == ["record_exits"]
    assert registry.missing().call() > 190 * ETHER
    # The promise is a day, from the end of the day that it was recorded.
    devnet.advance(2 * DAY // devnet.settings.seconds_per_slot)
    assert "pull_back" in kept_actions(other, OUTSIDER)
    assert registry.missing().call() == 0


def as_admin(world: World, function: Any) -> None:
    """Let the timelock call a contract at once."""
    admin, rpc = world.record.address("Timelock"), world.devnet.rpc
    rpc.call("anvil_setBalance", admin, hex(ETHER))
    rpc.call("anvil_impersonateAccount", admin)
    call = {"from": admin, "to": function.address, "data": function._encode_transaction_data()}
    digest = rpc.call("eth_sendTransaction", call)
    assert world.web3.eth.wait_for_transaction_receipt(digest, poll_latency=0.01)["status"] == 1


def kept_actions(kept: Kept, account: int) -> list[str]:
    """Let a keeper with the key of another account make a round; return what it did."""
    run(kept.file, dry_run=False, once=True, say=print)
    with Store(load(kept.file, KeeperConfig).store.get_secret_value()) as store:
        chain_id = kept.world.devnet.settings.chain_id
        return [one.kind for one in store.actions(chain_id, kept.world.address(account)) if one.state == DONE]


def test_keeper__dry_run__says_what_and_why_and_sends_nothing(kept: Kept):
    world = kept.world
    request(world, 300)
    block = world.web3.eth.block_number
    runner = CliRunner()
    done = runner.invoke(cli, ["keeper", "run", "--config", str(kept.file), "--dry-run", "--once"])
    assert done.exit_code == 0, done.output
    assert "record_exits: exits are eligible today and unpaid: their promise begins; due now" in done.output
    assert re.search(
        r"^pull_back: exits lack [12]\d\d[.\d]* ETH: ask validators for .*; due now$", done.output, re.MULTILINE
    )
    assert world.web3.eth.block_number == block


def test_keeper__gas_above_the_ceiling__waits(kept: Kept, tmp_path: Path):
    world = kept.world
    request(world, 300)
    rules = {name: {"max_fee_gwei": 0.5} for name in ("record_exits", "pull_back", "fulfil")}
    file = config_file(world, tmp_path, "thrifty", KEEPER, rules=rules)
    lines: list[str] = []
    nonce = world.web3.eth.get_transaction_count(world.address(KEEPER))
    run(file, dry_run=False, once=True, say=lines.append)
    assert world.web3.eth.get_transaction_count(world.address(KEEPER)) == nonce
    run(file, dry_run=True, once=True, say=lines.append)
    assert len(lines) == 2
    assert all(line.endswith("not now: gas costs 1.0 Gwei, at most 0.5 are allowed") for line in lines)


def test_keeper__no_nodes__says_so_in_one_line(tmp_path: Path, kept: Kept):
    file = config_file(kept.world, tmp_path, "lost", None, beacon=["http://127.0.0.1:9"], dry_run=True)
    done = CliRunner().invoke(cli, ["keeper", "run", "--config", str(file), "--once"])
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("Error: 127.0.0.1:9: unreachable: ")
    assert "Traceback" not in done.output
