"""`ape floe report`: any past frame from public data, the same bytes for everybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ape_floe.cli import cli
from floe.beacon.client import MissingError
from floe.deploy import record as records
from floe.devnet import Devnet
from floe.oracle.observer import ObservationError, Observer
from floe.oracle.report import Oracle, Report, canonical, report_of, signable
from tests.e2e.test_life import FAST_QUEUES, known, predeposit
from tests.e2e.world import DEPLOYER, ETHER, GWEI, MANAGER, OUTSIDER, STAKER, World

SLOTS = 8
"""Of a frame."""
QUARTER_DAY = 21_600 // SLOTS


class Reported:
    """A world with a validator whose balance is above 2,048 ETH, so that the beacon chain withdraws to the vault."""

    def __init__(self, devnet: Devnet) -> None:
        self.world = world = World(devnet)
        registry, pool = world.registry.functions, world.pool.functions
        world.call(DEPLOYER, registry.add_operator(world.address(MANAGER), world.address(MANAGER), 1, 100))
        world.call(STAKER, pool.deposit(3_000 * ETHER, world.address(STAKER)), value=3_000 * ETHER)
        self.validator, data = world.new_deposit()
        predeposit(world, MANAGER, 1, [data])
        devnet.advance_until(partial(known, world, self.validator))
        world.prove(self.validator)
        world.top_up({self.validator: 2_047 * GWEI})
        world.report()
        self.deposited = world.observer.observe(devnet.slot)
        devnet.advance_until_status(self.validator.pubkey, "active_ongoing")
        devnet.advance_until(lambda: world.web3.eth.get_balance(world.vault.address) > 0)
        world.report()
        self.rewarded = world.observer.observe(devnet.slot)
        devnet.advance_until_finalized(self.rewarded.ref_slot)

    def submit(self, **changes: int) -> Report:
        """Let the committee agree on a report of the next frame, with changes; return it when the frame is final."""
        devnet = self.world.devnet
        devnet.advance(SLOTS - devnet.slot % SLOTS)
        report = report_of(self.world.observer.observe(devnet.slot))
        report = report._replace(**{name: getattr(report, name) + change for name, change in changes.items()})
        message = signable(report, Oracle(devnet.settings.chain_id, self.world.oracle.address))
        signature = devnet.account(DEPLOYER).sign_message(message).signature
        self.world.call(OUTSIDER, self.world.oracle.functions.submit(tuple(report), 1, signature))
        return report

    def finalize(self) -> None:
        """Let the newest frame become final."""
        devnet = self.world.devnet
        devnet.advance_until_finalized(devnet.slot)


@pytest.fixture(scope="module")
def built() -> Iterator[Reported]:
    # An epoch of 8 slots is a quarter of a day.
    with Devnet(seconds_per_slot=QUARTER_DAY, config=FAST_QUEUES) as devnet:
        devnet.advance(epochs=1)
        yield Reported(devnet)


@pytest.fixture
def reported(built: Reported) -> Iterator[Reported]:
    devnet, observer = built.world.devnet, built.world.observer
    snapshot, read = devnet.snapshot(), observer.checkpoint()
    yield built
    devnet.restore(snapshot)
    observer.resume(read)


@pytest.fixture
def run(built: Reported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command on the devnet, with the record in a folder of the test."""
    world = built.world
    records.write(world.record, tmp_path / "local.json")
    monkeypatch.setattr(records, "path", lambda network: tmp_path / f"{network}.json")
    sources = ["--network", "local", "--beacon", world.devnet.beacon_url, "--execution", world.devnet.execution_url]
    return lambda *arguments: CliRunner().invoke(cli, ["report", *sources, *arguments])


def withdrawals(world: World, slot: int) -> list[Any]:
    """Return the withdrawals in a block."""
    body = world.devnet.beacon(f"/eth/v2/beacon/blocks/{slot}")["data"]["message"]["body"]
    found: list[Any] = body["execution_payload"]["withdrawals"]
    return found


def test_report__past_frame__from_nothing_what_the_committee_had_signed(built, run):
    oracle = Oracle(31_337, built.world.oracle.address)
    for seen in (built.deposited, built.rewarded):
        report = report_of(seen)
        done = run("--frame", str(report.ref_slot // SLOTS), "--diff")
        assert done.exit_code == 0, done.output
        assert canonical(report, oracle).decode() in done.output
        assert sha256(canonical(report, oracle)).hexdigest() in done.output
    assert (built.deposited.report.cl, built.deposited.report.withdrawn_at_ref) == (2_048 * ETHER, 0)
    assert built.rewarded.report.withdrawn_at_ref > 0


def test_report__numbers__are_those_of_the_chains(built, run):
    world, seen = built.world, built.rewarded
    beacon = world.devnet.beacon
    content = json.loads(run("--frame", str(seen.ref_slot // SLOTS), "--json").output)
    report = Report.from_json(content["report"])
    index = int(world.devnet.validator(built.validator.pubkey)["index"])
    [balance] = beacon(f"/eth/v1/beacon/states/{seen.ref_slot}/validator_balances?id={index}")["data"]
    assert report.cl == int(balance["balance"]) * GWEI
    withdrawn = 0
    for slot in range(1, seen.ref_slot + 1):
        for one in beacon(f"/eth/v2/beacon/blocks/{slot}")["data"]["message"]["body"]["execution_payload"][
            "withdrawals"
        ]:
            if one["address"].lower() == world.vault.address.lower():
                withdrawn += int(one["amount"])
    assert report.withdrawn_at_ref == withdrawn * GWEI
    assert report.deposited_at_ref == 2_048 * ETHER
    assert report.balances_root[24:] == int(balance["balance"]).to_bytes(8, "big")
    assert content["sha256"] == sha256(content["canonical"].encode()).hexdigest()


def test_report__gift_to_the_vault__is_no_withdrawal(reported, run):
    before = reported.rewarded.report
    reported.world.send(OUTSIDER, reported.world.vault.address, b"", 5 * ETHER)
    report = reported.submit()
    reported.finalize()
    content = json.loads(run("--frame", str(report.ref_slot // SLOTS), "--json", "--diff").output)
    assert content["same"] is True
    assert Report.from_json(content["report"]) == report
    assert report.donated_at_ref == before.donated_at_ref + 5 * ETHER


def test_report__explain__every_field_with_its_source(built, run):
    done = run("--frame", str(built.rewarded.ref_slot // SLOTS), "--json", "--explain")
    lines = json.loads(done.output)["explained"]
    assert [line["field"] for line in lines] == list(Report._fields)
    sources = {line["field"]: line["source"] for line in lines}
    assert f"0x{built.rewarded.block_root.hex()}" in sources["ref_slot"]
    assert "balances of 1 validators (2,0" in sources["cl"]
    assert f"WithdrawalQueue.tail() at execution block {built.rewarded.height}" in sources["queue_tail_at_ref"]
    # For people: the same as a table.
    text = run("--frame", str(built.rewarded.ref_slot // SLOTS), "--explain").output
    assert all(field in text for field in Report._fields)


def test_report__balances__file_of_the_hash(built, run, tmp_path):
    file = tmp_path / "balances.csv"
    done = run("--frame", str(built.rewarded.ref_slot // SLOTS), "--json", "--balances", str(file))
    report = json.loads(done.output)["report"]
    assert "0x" + sha256(file.read_bytes()).hexdigest() == report["balances_hash"]
    index = int(built.world.devnet.validator(built.validator.pubkey)["index"])
    assert file.read_text() == f"{index},{int(report['cl']) // GWEI}\n"


def test_report__another_was_booked__the_field_that_differs_and_exit_code_1(reported, run):
    wrong = reported.submit(cl=GWEI)
    reported.finalize()
    done = run("--frame", str(wrong.ref_slot // SLOTS), "--diff", "--json")
    assert done.exit_code == 1
    content = json.loads(done.output.splitlines()[0])
    assert (content["same"], content["submitted"]["event"]) == (False, "applied")
    differing = {name for name, value in content["report"].items() if value != content["submitted"]["report"][name]}
    assert differing == {"cl"}
    assert int(content["submitted"]["report"]["cl"]) == int(content["report"]["cl"]) + GWEI
    assert "another report of frame" in done.output.splitlines()[-1]


def test_report__held_and_later_accepted__found_both_times(reported, run):
    wrong = reported.submit(cl=-200 * ETHER)
    reported.finalize()
    frame = str(wrong.ref_slot // SLOTS)
    content = json.loads(run("--frame", frame, "--diff", "--json").output.splitlines()[0])
    assert (content["same"], content["submitted"]["event"]) == (False, "held")
    assert Report.from_json(content["submitted"]["report"]) == wrong
    # A quarter of a day is left of the council's time.
    reported.world.call(DEPLOYER, reported.world.oracle.functions.accept(tuple(wrong)))
    content = json.loads(run("--frame", frame, "--diff", "--json").output.splitlines()[0])
    assert (content["same"], content["submitted"]["event"]) == (False, "applied")
    assert Report.from_json(content["submitted"]["report"]) == wrong


def test_report__none_was_submitted__said_and_exit_code_2(built, run):
    done = run("--frame", str(built.deposited.ref_slot // SLOTS + 1), "--diff")
    assert done.exit_code == 2
    assert done.output.splitlines()[-1].startswith("Error: no report of frame ")


def test_report__frame_that_cannot_be__one_line(run):
    done = run("--frame", "1000")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("Error: frame 1000 is not final yet: the newest that is final is ")
    done = run("--frame", "0")
    assert (done.exit_code, done.output) == (1, "Error: at slot 0 the pool was not deployed yet\n")


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--beacon", "http://127.0.0.1:9", "--execution", "EXECUTION"], "127.0.0.1:9: unreachable: cannot be reached"),
        (["--beacon", "BEACON", "--execution", "http://127.0.0.1:9"], "127.0.0.1:9: unreachable: "),
        (["--beacon", "BEACON"], "name --config FILE, or all of --network NAME, --beacon URL and --execution URL"),
        (["--config", "nothing.yaml", "--beacon", "BEACON"], "leave --network, --beacon and --execution out"),
    ],
    ids=str,
)
def test_report__sources_that_cannot_be_used__one_line(built, arguments, reason):
    devnet = built.world.devnet
    urls = {"BEACON": devnet.beacon_url, "EXECUTION": devnet.execution_url}
    network = ["--network", "local"]
    done = CliRunner().invoke(cli, ["report", *network, *[urls.get(one, one) for one in arguments]])
    assert done.exit_code == 1
    [line] = done.output.splitlines()
    assert line.startswith("Error: ")
    assert reason in line


def test_report__one_of_two_beacon_nodes_away__a_warning_and_the_same_report(built, run):
    frame = ["--frame", str(built.rewarded.ref_slot // SLOTS)]
    alone, beside = run(*frame), run(*frame, "--beacon", "http://127.0.0.1:9")
    assert (alone.exit_code, beside.exit_code) == (0, 0)
    warning, *rest = beside.output.splitlines()
    assert warning.startswith("Warning: 127.0.0.1:9: unreachable: ")
    assert rest == alone.output.splitlines()


def test_observer__goes_on_from_a_checkpoint__same_as_from_nothing(built):
    world = built.world

    def observer() -> Any:
        return Observer(world.client, world.web3, world.pool.address, world.registry.address, world.oracle.address)

    first, second = observer(), observer()
    first.observe(built.deposited.ref_slot)
    second.resume(json.loads(json.dumps(first.checkpoint())))
    asked, block = [], world.client.block

    def noting(slot: int) -> Any:
        asked.append(slot)
        return block(slot)

    world.client.block = noting
    try:
        again = second.observe(built.rewarded.ref_slot)
    finally:
        del world.client.block
    assert report_of(again) == report_of(built.rewarded)
    assert sorted(asked) == list(range(built.deposited.slot + 1, built.rewarded.slot + 1))


def test_observer__node_has_lost_a_block__no_report(built):
    world = built.world
    lost = max(slot for slot in range(1, built.rewarded.slot + 1) if withdrawals(world, slot))
    fresh = Observer(world.client, world.web3, world.pool.address, world.registry.address, world.oracle.address)
    block = world.client.block

    def without(slot: int) -> Any:
        if slot == lost:
            raise MissingError("no such block")
        return block(slot)

    world.client.block = without
    try:
        with pytest.raises(ObservationError, match=r"withdrawal \d+ is in none of the blocks"):
            fresh.observe(built.rewarded.ref_slot)
    finally:
        del world.client.block
    # When the block is there again it goes on, and counts nothing twice.
    assert report_of(fresh.observe(built.rewarded.ref_slot)) == report_of(built.rewarded)
