"""Members of the committee on a devnet: how reports come about, and what does not stop them."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner
from eth_account import Account

from ape_floe.cli import cli
from floe.devnet import Devnet
from floe.oracle import daemon
from floe.oracle.report import Oracle, Report, digest, report_of
from floe.oracle.signer import ExternalSigner, KeystoreSigner, contest_of
from floe.service.retry import PassingError
from tests.committee import Committee, Member
from tests.e2e.world import DEPLOYER, ETHER, OUTSIDER, World

MEMBERS, QUORUM = (10, 11, 12), 2
SLOTS = 16
"""Of a frame."""


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    with Devnet() as devnet:
        world = World(devnet, MEMBERS, QUORUM, frame_epochs=2)
        devnet.advance_until_finalized(SLOTS)
        yield world


@pytest.fixture
def world(built: World) -> Iterator[World]:
    """Return a world in which frame 1 is the newest that is final, and nothing was reported."""
    snapshot = built.devnet.snapshot()
    yield built
    built.devnet.restore(snapshot)


@pytest.fixture
def committee(world: World, tmp_path: Path) -> Committee:
    return Committee(world, tmp_path)


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def last(world: World) -> int:
    """Return the reference slot of the last report on chain."""
    return int(world.oracle.functions.last().call()[0])


def events(world: World, name: str) -> list[Any]:
    """Return the oracle's events of a name, oldest first."""
    found: list[Any] = getattr(world.oracle.events, name)().get_logs(from_block=0)
    return found


def senders(world: World, name: str) -> list[int]:
    """Return the places of the members whose transactions emitted the oracle's events of a name."""
    addresses = [world.address(one) for one in MEMBERS]
    found = [world.web3.eth.get_transaction(log["transactionHash"])["from"] for log in events(world, name)]
    return [addresses.index(one) for one in found]


def rounds(world: World, members: list[Member], count: int) -> None:
    """Let members make rounds, a slot apart."""
    for _ in range(count):
        for member in members:
            member.step()
        world.devnet.advance(1)


def spoil(member: Member, monkeypatch: pytest.MonkeyPatch, wei: int = 10**9) -> None:
    """Let a member compute so much too much."""

    def wrong(seen: Any) -> Report:
        return report_of(seen)._replace(cl=report_of(seen).cl + wei)

    compute = member.daemon._compute

    def computing(ref_slot: int) -> Report:
        with monkeypatch.context() as patched:
            patched.setattr(daemon, "report_of", wrong)
            return compute(ref_slot)

    monkeypatch.setattr(member.daemon, "_compute", computing)


@contextmanager
def away(member: Member) -> Iterator[None]:
    """Let nobody answer at the address of a member's beacon node."""
    client = member.protocol.nodes.beacon
    url, client._url = client._url, "http://127.0.0.1:9"
    yield
    client._url = url


# --- together ---


def test_members__two_frames__each_brought_by_the_first_in_order(world, committee, running):
    members = [running.enter_context(committee.member(place)) for place in range(3)]
    for frame in (1, 2):
        world.devnet.advance_until_finalized(frame * SLOTS)
        rounds(world, members, 2)
        assert last(world) == frame * SLOTS
    assert [log["args"]["ref_slot"] for log in events(world, "Applied")] == [SLOTS, 2 * SLOTS]
    assert senders(world, "Applied") == [1, 2]  # frame number modulo 3
    assert all(member.problems == {} for member in members)
    assert all(member.daemon.report is None for member in members)
    # All three signed the same; two signatures were brought.
    oracle = Oracle(31_337, world.oracle.address)
    for member in members:
        [found] = {one.digest for one in member.store.signatures(contest_of(2 * SLOTS, oracle))}
        assert found == events(world, "Applied")[-1]["args"]["digest"]
    transaction = world.web3.eth.get_transaction(events(world, "Applied")[-1]["transactionHash"])
    _, arguments = world.oracle.decode_function_input(transaction["input"])
    assert len(arguments["signatures"]) == QUORUM * 65


def test_members__first_in_order_is_away__the_next_waits_for_its_turn(world, committee, running):
    members = [running.enter_context(committee.member(place, turn=3)) for place in (0, 2)]
    rounds(world, members, 3)
    assert last(world) == 0  # member 1 is the first in frame 1, member 2 the second
    rounds(world, members, 2)
    assert last(world) == SLOTS
    assert senders(world, "Applied") == [2]


def test_members__restart_in_the_middle__goes_on_with_what_was_signed(world, committee, running):
    class Spent(KeystoreSigner):
        """A key that signs no report any more."""

        def sign_report(self, report: Report, oracle: Oracle) -> bytes:
            raise AssertionError((report, oracle))

    with committee.member(1) as before:
        before.step()
        report = before.daemon.report
    key = Spent(world.devnet.account(MEMBERS[1]))
    after = running.enter_context(committee.member(1, key))
    after.daemon._compute = None
    other = running.enter_context(committee.member(0))
    rounds(world, [after, other, after], 1)
    assert after.value("computed_ref_slot") == SLOTS
    assert (last(world), senders(world, "Applied")) == (SLOTS, [1])
    assert events(world, "Applied")[0]["args"]["digest"] == digest(report, Oracle(31_337, world.oracle.address))


def test_members__one_signs_wrong_numbers__named_by_all_and_without_effect(
    world, committee, running, monkeypatch, caplog
):
    members = [running.enter_context(committee.member(place)) for place in range(3)]
    honest, liar = [members[0], members[2]], members[1]
    spoil(liar, monkeypatch)
    with caplog.at_level(logging.ERROR):
        rounds(world, [liar, *honest], 6)
    assert last(world) == SLOTS
    assert senders(world, "Applied") == [2]  # the liar's turn passed
    name = world.address(MEMBERS[1])
    assert all(member.value("differing_signatures_total", member=name) == 1 for member in honest)
    assert all(member.problems == {} for member in honest)
    [told] = [record for record in caplog.records if record.getMessage().startswith("the committee agreed on 0x")]
    assert told.fields == {"cl": {"here": str(10**9), "there": "0"}}
    assert list(liar.problems) == ["agreement"]
    # What it had read is not trusted any more.
    assert liar.store.get(liar.daemon._checkpoint) is None


def test_members__all_out_of_the_limits__told_before_and_held(world, committee, running, monkeypatch):
    members = [running.enter_context(committee.member(place)) for place in (0, 1)]
    for member in members:
        spoil(member, monkeypatch, 40 * ETHER)
    rounds(world, members, 1)
    # The pool may recognise a little of it.
    problem = r"it will be held: it takes 0 wei, and leaves 39999999999\d{9} wei of gain unrecognised"
    assert all(re.fullmatch(problem, member.problems["limits"]) for member in members)
    rounds(world, members, 1)
    assert (last(world), len(events(world, "Held")), events(world, "Applied")) == (SLOTS, 1, [])
    assert all(member.problems["held"] == "the report of slot 16 is outside the limits" for member in members)


def test_members__one_is_removed_after_it_signed__its_signature_counts_no_more(world, committee, running):
    members = [running.enter_context(committee.member(place)) for place in (0, 2)]
    rounds(world, members, 2)
    assert [member.value("agreed") for member in members] == [2, 2]
    world.call(DEPLOYER, world.oracle.functions.remove_member(2))
    rounds(world, members, 4)
    assert last(world) == 0
    assert members[0].value("agreed") == 1
    assert list(members[1].problems) == ["membership"]
    rounds(world, [members[0], running.enter_context(committee.member(1))], 2)
    transaction = world.web3.eth.get_transaction(events(world, "Applied")[0]["transactionHash"])
    _, arguments = world.oracle.decode_function_input(transaction["input"])
    assert (last(world), arguments["signers"]) == (SLOTS, 0b011)


def test_members__no_peer_can_be_reached__one_votes_on_chain_and_that_is_enough(world, committee, running):
    members = [running.enter_context(committee.member(place, peers=[], listen=None, vote_after=2)) for place in (0, 1)]
    rounds(world, members, 2)
    assert events(world, "Voted") == []
    rounds(world, members, 2)
    # The other one knows this vote and its own signature: enough.
    assert (last(world), senders(world, "Voted"), senders(world, "Applied")) == (SLOTS, [0], [1])
    transaction = world.web3.eth.get_transaction(events(world, "Applied")[0]["transactionHash"])
    _, arguments = world.oracle.decode_function_input(transaction["input"])
    assert (arguments["signers"], len(arguments["signatures"])) == (0b010, 65)
    assert all(member.problems == {} for member in members)


def test_members__votes_of_all__brought_without_a_signature(world, committee, running):
    member = running.enter_context(committee.member(0, peers=[], listen=None, vote_after=0, turn=0))
    member.step()
    hashed = world.oracle.functions.votes(0).call()
    for place in (1, 2):
        world.call(MEMBERS[place], world.oracle.functions.vote(place, hashed))
    member.step()
    transaction = world.web3.eth.get_transaction(events(world, "Applied")[0]["transactionHash"])
    _, arguments = world.oracle.decode_function_input(transaction["input"])
    assert (arguments["signers"], arguments["signatures"]) == (0, b"")


def test_member__newer_frame_is_final__the_older_is_given_up(world, committee, running, caplog):
    alone = running.enter_context(committee.member(0))
    alone.step()
    assert alone.daemon.report.ref_slot == SLOTS
    world.devnet.advance_until_finalized(2 * SLOTS)
    with caplog.at_level(logging.ERROR):
        alone.step()
    assert alone.daemon.report.ref_slot == 2 * SLOTS
    told = [record.getMessage() for record in caplog.records if record.name == "floe.oracle.daemon"]
    assert told == ["given up: a newer frame is final"]
    other = running.enter_context(committee.member(1))
    rounds(world, [other, alone, other], 4)
    assert last(world) == 2 * SLOTS


def test_member__slot_of_the_frame_was_missed__reads_the_block_before(world, committee, running):
    world.devnet.advance(SLOTS - world.devnet.slot % SLOTS - 1)
    missed = world.devnet.slot + 1
    world.devnet.miss(1)
    world.devnet.advance_until_finalized(missed)
    members = [running.enter_context(committee.member(place, turn=0)) for place in (0, 1)]
    rounds(world, members, 2)
    assert last(world) == missed
    seen = members[0].protocol.observe(missed)
    assert (seen.ref_slot, seen.slot) == (missed, missed - 1)


def test_member__beacon_node_away__the_round_fails_and_the_next_goes_on(world, committee, running):
    member = running.enter_context(committee.member(0))
    member.step()
    with away(member), pytest.raises(PassingError, match="unreachable"):
        member.step()
    other = running.enter_context(committee.member(1))
    rounds(world, [other, member, other], 1)
    assert last(world) == SLOTS


def test_member__dry_run__nothing_signed_nothing_sent(world, committee, running, caplog):
    member = running.enter_context(committee.member(0, dry_run=True))
    with caplog.at_level(logging.INFO, "floe"):
        rounds(world, [member], 2)
    contest = contest_of(SLOTS, Oracle(31_337, world.oracle.address))
    assert member.store.bound_report(contest, world.address(MEMBERS[0])) is None
    assert member.store.signatures(contest) == []
    assert world.web3.eth.get_transaction_count(world.address(MEMBERS[0])) == 0
    [told] = [record for record in caplog.records if record.getMessage().startswith("dry run")]
    assert json.loads(told.canonical)["report"]["ref_slot"] == str(SLOTS)


def test_member__not_in_the_committee__computes_and_says_so(world, committee, running):
    key = KeystoreSigner(world.devnet.account(OUTSIDER))
    stranger = running.enter_context(committee.member(0, key))
    stranger.step()
    assert list(stranger.problems) == ["membership"]
    assert stranger.daemon.report.ref_slot == SLOTS
    assert stranger.store.signatures(contest_of(SLOTS, Oracle(31_337, world.oracle.address))) == []


def test_member__key_with_an_external_signer__signs_reports_and_transactions(world, committee, running):
    key = ExternalSigner(world.devnet.execution_url, world.address(MEMBERS[1]), "eth")
    members = [running.enter_context(committee.member(0)), running.enter_context(committee.member(1, key))]
    rounds(world, members, 1)
    assert (last(world), senders(world, "Applied")) == (SLOTS, [1])


# --- as a process ---


def write_config(committee: Committee, place: int, **changes: Any) -> Path:
    """Write a member's file, and its keystore with the password beside it."""
    account = committee.world.devnet.account(MEMBERS[place])
    keystore, password = committee.folder / "key.json", committee.folder / "password"
    keystore.write_text(json.dumps(Account.encrypt(account.key, "a password", kdf="pbkdf2", iterations=1)))
    password.write_text("a password\n")
    content = committee.config(place) | {
        "key": {"keystore": {"file": "key.json", "password_file": "password"}},
        "interval": 0.2,
    }
    file = committee.folder / "oracle.yaml"
    file.write_text(yaml.safe_dump(content | changes))
    return file


def test_run__as_a_process__reports_tells_and_ends_in_order(world, committee, running):
    file = write_config(committee, 1)
    code = f"from floe.oracle.daemon import run; from pathlib import Path; run(Path({str(file)!r}), False)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines: list[Any] = []
        while not lines or lines[-1]["message"] not in ("signed", "the round failed"):
            lines.append(json.loads(process.stderr.readline()))
        started = next(line for line in lines if line["message"] == "started")
        assert any(line["message"].startswith("a frame has 192 s, less than max_age 86400 s") for line in lines)
        other = running.enter_context(committee.member(0))
        other.step()
        until = time.monotonic() + 10
        while last(world) == 0 and time.monotonic() < until:
            time.sleep(0.1)
        assert senders(world, "Applied") == [1]
        assert requests.get(f"{started['metrics']}/health", timeout=5).json()["ok"]
        assert "floe_oracle_computed_ref_slot 16.0" in requests.get(f"{started['metrics']}/metrics", timeout=5).text
    finally:
        os.kill(process.pid, signal.SIGTERM)
    _, rest = process.communicate(timeout=15)
    assert process.returncode == 0
    assert json.loads(rest.splitlines()[-1])["message"] == "stopped"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quorum": 3}, "oracle.yaml: quorum: there is no such setting"),
        ({"peers": ["member.example"]}, "peers[0]: a URL starts with http:// or https:// and names a host"),
        ({"key": {}}, "key: name either a keystore or an external signer"),
        (
            {"key": {"external": {"url": "http://127.0.0.1:9", "address": "0x12"}}},
            "key.external.address: not an address",
        ),
        ({"key": {"keystore": {"file": "nothing.json", "password": "x"}}}, "nothing.json: No such file"),
        ({"key": {"keystore": {"file": "key.json", "password": "wrong"}}}, "key.json: "),
        ({"deployment": "nothing.json"}, "nothing.json: there is no such deployment record"),
        ({"beacon": ["http://127.0.0.1:9"]}, "127.0.0.1:9: unreachable: cannot be reached"),
        ({"execution": ["http://127.0.0.1:9"]}, "127.0.0.1:9: unreachable: ConnectionError"),
        ({"store": "sqlite:////nowhere/at/all.sqlite"}, "the store cannot be used: "),
    ],
    ids=str,
)
def test_run__cannot_start__one_line_and_an_exit_code(committee, changes, reason):
    file = write_config(committee, 0, **changes)
    done = CliRunner().invoke(cli, ["oracle", "run", "--config", str(file)])
    assert done.exit_code == 1
    assert reason in done.output
    assert "Traceback" not in done.output
    errors = [line for line in done.output.splitlines() if not line.startswith("{")]
    assert len(errors) == 1, errors


def test_run__port_is_taken__one_line(committee, running):
    running.enter_context(committee.member(0))
    done = CliRunner().invoke(cli, ["oracle", "run", "--config", str(write_config(committee, 0))])
    assert done.exit_code == 1
    assert "Error: cannot listen: Address already in use" in done.output
