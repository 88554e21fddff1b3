"""Members exchange signatures: who is believed, and what the others can cost."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account
from eth_utils.crypto import keccak
from sqlalchemy.exc import OperationalError

from floe.oracle import exchange
from floe.oracle.exchange import MOST_ANSWER, MOST_BODY, PATH, Exchange, Frame, Message, MessageError, Served
from floe.oracle.report import Oracle, Report, digest
from floe.oracle.signer import HALF_ORDER, KeystoreSigner, contest_of
from floe.service.metrics import Metrics
from floe.service.store import MOST_DIGESTS, Store

ORACLE = Oracle(31_337, "0x0165878A594ca255338adfa4d48449f69242Eb8F")
REPORT = Report(7_200, 32 * 10**18, 2, 3, 4, 5, 6, 7, bytes(range(32)), b"\xff" * 32)
KEYS = [Account.from_key(keccak(text=f"member {number}")) for number in range(3)]
OUTSIDER = Account.from_key(keccak(text="outsider"))
MEMBERS = tuple(str(key.address) for key in KEYS)
FRAME = Frame(MEMBERS, REPORT, after=0, newest=7_300, slots=7_200)


class Member:
    """A member's exchange, served."""

    def __init__(self, stack: ExitStack, folder: Path, number: int, peers: list[str]) -> None:
        self.metrics = Metrics("oracle")
        store = stack.enter_context(Store(f"sqlite:///{folder}/{number}.sqlite"))
        self.exchange, self.store = Exchange(ORACLE, store, self.metrics, peers), store
        self.exchange.frame = FRAME
        self.url = stack.enter_context(Served(self.exchange, "127.0.0.1", 0)).url
        self.own = signed(number)
        store.add_signature(contest_of(REPORT.ref_slot, ORACLE), MEMBERS[number], HASH, self.own.signature)

    @property
    def known(self) -> set[int]:
        """Members whose signatures of the report it has."""
        found = self.store.signatures(contest_of(REPORT.ref_slot, ORACLE), HASH)
        return {[one.lower() for one in MEMBERS].index(each.member) for each in found}

    def up(self, url: str) -> float:
        """Whether its last visit to a peer went well."""
        return self.metrics.registry.get_sample_value("floe_oracle_peer_up", {"peer": url.partition("://")[2]}) or 0


HASH = digest(REPORT, ORACLE)
Start = Callable[..., Member]


def signed(number: int, report: Report = REPORT) -> Message:
    """Return a member's message."""
    return Message(report, KeystoreSigner(KEYS[number]).sign_report(report, ORACLE))


def _gone(*_: Any) -> bool:
    raise OperationalError("INSERT", {}, Exception("disk full"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a member with these peers."""
    with ExitStack() as stack:
        yield lambda number, *peers: Member(stack, tmp_path, number, list(peers))


def post(url: str, content: Any) -> requests.Response:
    """Bring a message, as JSON or as it is."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return requests.post(url + PATH, data=body, timeout=5)


# --- among members ---


def test_swap__two_members__each_has_both(start):
    first = start(0)
    second = start(1, first.url)
    second.exchange.swap(second.own)
    assert first.known == second.known == {0, 1}
    assert second.up(first.url) == 1


def test_swap__two_who_cannot_reach_each_other__meet_through_a_third(start):
    middle = start(1)
    left, right = start(0, middle.url), start(2, middle.url)
    left.exchange.swap(left.own)
    right.exchange.swap(right.own)
    left.exchange.swap(left.own)
    assert left.known == middle.known == right.known == {0, 1, 2}


def test_swap__nothing_of_ones_own__takes_only(start):
    first = start(0)
    watcher = start(1, first.url)
    watcher.exchange.swap(None)
    assert (watcher.known, first.known) == ({0, 1}, {0})


def test_swap__peer_at_an_earlier_frame__no_fault(start):
    first = start(0)
    first.exchange.frame = Frame(MEMBERS, None, after=0, newest=7_199, slots=7_200)
    second = start(1, first.url)
    second.exchange.swap(second.own)
    assert second.up(first.url) == 1
    assert first.known == {0}
    # Later it is taken.
    first.exchange.frame = FRAME
    second.exchange.swap(second.own)
    assert first.known == second.known == {0, 1}


# --- what is taken ---


def test_post__same_message_twice__new_once(start):
    url = start(0).url
    assert post(url, signed(1).as_json()).json() == {"new": True}
    assert post(url, signed(1).as_json()).json() == {"new": False}


def test_post__signature_of_no_member__refused(start):
    member = start(0)
    forged = Message(REPORT, KeystoreSigner(OUTSIDER).sign_report(REPORT, ORACLE))
    answer = post(member.url, forged.as_json())
    assert (answer.status_code, answer.json()) == (403, {"message": f"{OUTSIDER.address} is not a member"})
    # A member's signature of another report, under this one.
    moved = Message(REPORT, signed(1, REPORT._replace(cl=0)).signature)
    assert post(member.url, moved.as_json()).status_code == 403
    # A member that was removed.
    member.exchange.frame = Frame((MEMBERS[0], "0x" + "00" * 20, MEMBERS[2]), REPORT, 0, 7_300, 7_200)
    assert post(member.url, signed(1).as_json()).status_code == 403
    assert member.known == {0}


def test_post__signature_that_the_contract_would_refuse__refused(start):
    member, signature = start(0), signed(1).signature
    mirrored = signature[:32] + (2 * HALF_ORDER + 1 - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    for other in (mirrored + bytes([55 - signature[64]]), signature[:64], signature[:64] + b"\0"):
        assert post(member.url, Message(REPORT, other).as_json()).status_code == 400
    assert member.known == {0}


@pytest.mark.parametrize("slot", [0, 7_201, 14_400, 7_200 * 10**6])
def test_post__slot_that_is_not_open__refused(start, slot):
    member = start(0)
    answer = post(member.url, signed(1, REPORT._replace(ref_slot=slot)).as_json())
    assert answer.status_code == 409
    assert answer.json() == {"message": f"slot {slot} is not a reference slot that is open now"}


def test_post__frame_that_is_settled__refused(start):
    member = start(0)
    member.exchange.frame = Frame(MEMBERS, None, after=7_200, newest=7_300, slots=7_200)
    assert post(member.url, signed(1).as_json()).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"[" * MOST_BODY, 400),
        (b'{"report": {}, "signature": "0x"}', 400),
        (json.dumps({"report": REPORT.as_json(), "signature": 5}).encode(), 400),
        (json.dumps({"report": REPORT.as_json(), "signature": "0xzz"}).encode(), 400),
        (b" " * (MOST_BODY + 1), 413),
    ],
    ids=lambda value: str(value)[:20],
)
def test_post__not_a_message__refused_in_one_line(start, body, status):
    answer = post(start(0).url, body)
    assert answer.status_code == status
    assert "\n" not in answer.json()["message"]


def test_server__other_path_or_no_length__refused(start):
    url = start(0).url
    assert requests.get(url + "/", timeout=5).status_code == 404
    assert requests.post(url + "/", data=b"{}", timeout=5).status_code == 404
    assert requests.post(url + PATH, data=iter([b"{}"]), timeout=5).status_code == 411


def test_server__store_is_gone__says_so_and_lives_on(start, monkeypatch):
    member = start(0)
    with monkeypatch.context() as patched:
        patched.setattr(member.store, "add_signature", _gone)
        answer = post(member.url, signed(1).as_json())
        assert (answer.status_code, answer.json()) == (503, {"message": "the store is not there"})
    assert post(member.url, signed(1).as_json()).status_code == 200


def test_take__a_member_signs_other_reports__named_and_bounded(start, caplog):
    member = start(0)
    with caplog.at_level(logging.ERROR):
        for cl in range(MOST_DIGESTS + 2):
            taken = member.exchange.take(signed(2, REPORT._replace(cl=cl)).as_json())
            assert taken == (cl < MOST_DIGESTS)
    assert len(caplog.records) == MOST_DIGESTS
    assert caplog.records[1].getMessage() == f"{MEMBERS[2]} signs another report"
    assert caplog.records[1].fields == {"cl": {"here": str(REPORT.cl), "there": "1"}}
    sample = {"member": MEMBERS[2]}
    found = member.metrics.registry.get_sample_value("floe_oracle_differing_signatures_total", sample)
    assert found == MOST_DIGESTS
    # Its other reports are given to nobody.
    assert [one.report for one in member.exchange.known()] == [REPORT]


# --- what peers can cost ---


@pytest.fixture
def hostile() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Return a function that starts a peer which does this with every connection, and gives its address."""
    servers = []

    def begin(treat: Callable[[socket.socket], None]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=run, args=(connection,), daemon=True).start()

        def run(connection: socket.socket) -> None:
            with connection:
                try:
                    treat(connection)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield begin
    for server in servers:
        server.close()


def answer(content: bytes) -> Callable[[socket.socket], None]:
    """Answer every request with these bytes as its body."""

    def treat(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + content)

    return treat


def drip(connection: socket.socket) -> None:
    """Answer a byte at a time, for ever."""
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def test_swap__peers_dead_or_hanging_or_dripping__cost_only_their_time(start, hostile, monkeypatch):
    monkeypatch.setattr(exchange, "SWAP_SECONDS", 0.5)
    monkeypatch.setattr(exchange, "PEER_TIMEOUT", 5.0)
    silent, slow, dead = hostile(lambda _: time.sleep(30)), hostile(drip), "http://127.0.0.1:9"
    good = start(1)
    member = start(0, silent, slow, dead, good.url)
    for _ in range(2):
        began = time.monotonic()
        member.exchange.swap(member.own)
        assert time.monotonic() - began < 1.5
    assert member.known == good.known == {0, 1}
    assert [member.up(url) for url in (silent, slow, dead, good.url)] == [0, 0, 0, 1]
    # A peer that still hangs is not visited a second time meanwhile.
    assert sum(thread.name == silent.partition("://")[2] for thread in threading.enumerate()) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<html>", "it is not JSON"),
        (b"{}", "the answer has no list `messages`"),
        (b'{"messages": [5]}', "a message has the fields `report` and `signature`"),
        (b'{"":' * 50_000, "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b" " * (MOST_ANSWER + 1), "the answer is too long"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_swap__peer_answers_nonsense__said_in_one_line(start, hostile, caplog, content, problem):
    url = hostile(answer(content))
    member = start(0, url)
    with caplog.at_level(logging.WARNING):
        member.exchange.swap(None)
    assert [record.getMessage() for record in caplog.records] == [f"peer {url.partition('://')[2]}: {problem}"]
    assert member.known == {0}


def test_swap__peer_stalls_in_its_answer__named(start, hostile, monkeypatch):
    monkeypatch.setattr(exchange, "PEER_TIMEOUT", 0.1)

    def stall(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"messages"')
        time.sleep(30)

    url = hostile(stall)
    member = start(0, url)
    member.exchange.swap(None)
    assert member.up(url) == 0
    assert member.exchange._peers[0].problem == "ReadTimeoutError"


def test_swap__one_message_is_refused__the_others_are_taken(start, hostile, caplog):
    stranger = Message(REPORT, KeystoreSigner(OUTSIDER).sign_report(REPORT, ORACLE))
    infinite = {"report": {**REPORT.as_json(), "cl": float("inf")}, "signature": "0x"}
    messages = [infinite, signed(1).as_json(), stranger.as_json(), signed(2).as_json()]
    url = hostile(answer(json.dumps({"messages": messages}).encode()))
    member = start(0, url)
    with caplog.at_level(logging.WARNING):
        member.exchange.swap(None)
    assert member.known == {0, 1, 2}
    assert [record.getMessage() for record in caplog.records] == [
        f"peer {url.partition('://')[2]}: {OUTSIDER.address} is not a member"
    ]


def test_swap__ours_is_refused__theirs_are_taken(start):
    peer = start(1)
    peer.exchange.frame = Frame(MEMBERS[1:], REPORT, after=0, newest=7_300, slots=7_200)
    member = start(0, peer.url)
    member.exchange.swap(member.own)
    assert (member.known, peer.known) == ({0, 1}, {1})
    assert member.up(peer.url) == 0


def test_swap__member_removed_in_the_middle_of_a_frame__its_signature_is_passed_on_no_more(start):
    peer = start(0)
    peer.exchange.take(signed(1).as_json())
    peer.exchange.take(signed(2).as_json())
    member = start(1, peer.url)
    frame = Frame(MEMBERS[1:], REPORT, after=0, newest=7_300, slots=7_200)
    peer.exchange.frame = member.exchange.frame = frame
    member.exchange.swap(None)
    assert member.known == {1, 2}
    assert member.up(peer.url) == 1


def test_server__requests_that_never_end__cut_off(start, monkeypatch):
    monkeypatch.setattr(exchange, "CONNECTION_SECONDS", 0.3)
    member = start(0)
    host, port = member.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 5:
                connection.sendall(b"X")
                time.sleep(0.02)
        assert time.monotonic() - began < 2
    assert post(member.url, signed(1).as_json()).status_code == 200


def test_server__too_many_connections__the_next_is_closed_at_once(start, monkeypatch):
    monkeypatch.setattr(exchange, "MOST_CONNECTIONS", 2)
    member = start(0)
    host, port = member.url.removeprefix("http://").split(":")
    waiting = [socket.create_connection((host, int(port)), timeout=5) for _ in range(2)]
    time.sleep(0.2)
    with pytest.raises(requests.ConnectionError):
        post(member.url, signed(1).as_json())
    for each in waiting:
        each.close()
    time.sleep(0.2)
    assert post(member.url, signed(1).as_json()).status_code == 200


def test_message_from_json__what_as_json_wrote__the_message():
    assert Message.from_json(signed(1).as_json()) == signed(1)
    with pytest.raises(MessageError):
        Message.from_json({**signed(1).as_json(), "more": 1})
