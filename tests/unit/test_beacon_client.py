"""The client of the Beacon API, against a small server that answers what the test says."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest

from floe.beacon.client import BeaconClient, BeaconError, MissingError
from floe.beacon.containers import MINIMAL, BeaconBlockHeader, ContainerError, Validator, beacon_state, header_root
from floe.beacon.ssz import StateError

JSON = "application/json"
OCTETS = "application/octet-stream"

HEADER = BeaconBlockHeader(
    slot=9, proposer_index=3, parent_root=b"\1" * 32, state_root=b"\2" * 32, body_root=b"\3" * 32
)
VALIDATOR = Validator(
    pubkey=b"\7" * 48,
    withdrawal_credentials=b"\2" + bytes(11) + b"\xaa" * 20,
    effective_balance=32 * 10**9,
    slashed=True,
    activation_eligibility_epoch=1,
    activation_epoch=2,
    exit_epoch=2**64 - 1,
    withdrawable_epoch=2**64 - 1,
)


@dataclass
class Reply:
    """What the server answers."""

    content: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    length: int | None = None
    """Content-Length, if it is not the true one."""

    @property
    def data(self) -> bytes:
        """The bytes to send."""
        if self.content is None:
            return b""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


@dataclass
class Asked:
    """A request that the server got."""

    method: str
    path: str
    body: Any
    accept: str


class Node:
    """A server that gives its replies one after the other, and the last one for ever."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.asked: list[Asked] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(text) if text else None
                node.asked.append(Asked(self.command, self.path, body, self.headers["Accept"]))
                reply = node.replies.pop(0) if len(node.replies) > 1 else node.replies[0]
                time.sleep(reply.delay)
                try:
                    self.send_response(reply.status)
                    for name, value in ({"Content-Type": JSON} | reply.headers).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.data) if reply.length is None else reply.length))
                    self.end_headers()
                    self.wfile.write(reply.data)
                except OSError:
                    pass  # the client has given up
                self.close_connection = reply.length is not None

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def says(self, *replies: Reply) -> None:
        """Set the replies to come."""
        self.replies = list(replies)

    def stop(self) -> None:
        """Free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.stop()


@pytest.fixture
def client(node: Node) -> Iterator[BeaconClient]:
    client = BeaconClient(f"http://{node.address}/", pause=0)
    yield client
    client.close()


def data(content: Any, **more: Any) -> Reply:
    return Reply({"data": content} | more)


def header_json(header: BeaconBlockHeader = HEADER) -> dict[str, Any]:
    message = {name: str(value) if isinstance(value, int) else value for name, value in header.to_obj().items()}
    root = "0x" + header_root(header).hex()
    return {"root": root, "canonical": True, "header": {"message": message, "signature": "0x" + "00" * 96}}


def validator_json(index: int) -> dict[str, Any]:
    fields = {
        name: str(value) if type(value) is int else value  # a boolean stays one
        for name, value in VALIDATOR.to_obj().items()
    }
    return {"index": str(index), "balance": str(32 * 10**9 + index), "status": "active_ongoing", "validator": fields}


# --- what is asked and read ---


def test_genesis__as_served__is_read(node: Node, client: BeaconClient) -> None:
    node.says(
        data(
            {
                "genesis_time": "1606824023",
                "genesis_validators_root": "0x" + "4b" * 32,
                "genesis_fork_version": "0x00000001",
            }
        )
    )
    genesis = client.genesis()
    assert (genesis.time, genesis.validators_root, genesis.fork_version) == (1606824023, b"\x4b" * 32, b"\0\0\0\1")
    assert node.asked == [Asked("GET", "/eth/v1/beacon/genesis", None, JSON)]


def test_spec__asked_twice__is_requested_once(node: Node, client: BeaconClient) -> None:
    node.says(data({"PRESET_BASE": "minimal", "SECONDS_PER_SLOT": "12"}))
    assert client.spec["SECONDS_PER_SLOT"] == "12"
    assert client.preset is MINIMAL
    assert len(node.asked) == 1


def test_preset__unknown__one_clear_line(node: Node, client: BeaconClient) -> None:
    node.says(data({"PRESET_BASE": "gnosis"}))
    with pytest.raises(BeaconError, match=rf"^{node.address}: PRESET_BASE is 'gnosis', known are"):
        _ = client.preset


@pytest.mark.parametrize(
    ("block", "name"), [("finalized", "finalized"), (9, "9"), (b"\xab" * 32, "0x" + "ab" * 32)], ids=str
)
def test_header__by_name_slot_or_root__is_read(
    node: Node, client: BeaconClient, block: str | int | bytes, name: str
) -> None:
    node.says(data(header_json(), execution_optimistic=False, finalized=True))
    header = client.header(block)
    assert header.root == header_root(HEADER)
    assert header.message == HEADER
    assert node.asked[0].path == f"/eth/v1/beacon/headers/{name}"


def test_header__root_of_another__refused(node: Node, client: BeaconClient) -> None:
    node.says(data(header_json() | {"root": "0x" + "00" * 32}))
    with pytest.raises(BeaconError, match="wrong answer: the root is not that of the header"):
        client.header()


def test_block__as_served__is_read(node: Node, client: BeaconClient) -> None:
    node.says(Reply({"version": "fulu", "data": {"message": {"slot": "9"}, "signature": "0x"}}))
    block = client.block(9)
    assert (block.fork, block.message) == ("fulu", {"slot": "9"})
    assert node.asked[0].path == "/eth/v2/beacon/blocks/9"


def test_state_root__as_served__is_read(node: Node, client: BeaconClient) -> None:
    node.says(data({"root": "0x" + "05" * 32}))
    assert client.state_root("head") == b"\5" * 32
    assert node.asked[0].path == "/eth/v1/beacon/states/head/root"


def test_fork__as_served__is_read(node: Node, client: BeaconClient) -> None:
    node.says(data({"previous_version": "0x05000000", "current_version": "0x06000000", "epoch": "411392"}))
    fork = client.fork()
    assert (fork.previous_version, fork.current_version, fork.epoch) == (b"\5\0\0\0", b"\6\0\0\0", 411392)


def test_finality_checkpoints__as_served__are_read(node: Node, client: BeaconClient) -> None:
    names = ("previous_justified", "current_justified", "finalized")
    node.says(data({name: {"epoch": str(9 - i), "root": "0x" + f"0{i}" * 32} for i, name in enumerate(names)}))
    checkpoints = client.finality_checkpoints(64)
    assert [getattr(checkpoints, name).epoch for name in names] == [9, 8, 7]
    assert checkpoints.finalized.root == b"\2" * 32
    assert node.asked[0].path == "/eth/v1/beacon/states/64/finality_checkpoints"


def test_validators__by_index_and_key__in_order_of_index(node: Node, client: BeaconClient) -> None:
    node.says(data([validator_json(8), validator_json(5)]))
    found = client.validators([5, b"\7" * 48], "justified")
    assert [(info.index, info.balance, info.status) for info in found] == [
        (5, 32 * 10**9 + 5, "active_ongoing"),
        (8, 32 * 10**9 + 8, "active_ongoing"),
    ]
    assert found[0].validator == VALIDATOR
    path = "/eth/v1/beacon/states/justified/validators"
    assert node.asked == [Asked("POST", path, {"ids": ["5", "0x" + "07" * 48]}, JSON)]


def test_validators__none_wanted__nothing_is_asked(node: Node, client: BeaconClient) -> None:
    assert client.validators([]) == []
    assert node.asked == []


def test_pending_deposits__as_served__first_in_line_first(node: Node, client: BeaconClient) -> None:
    deposit = {
        "pubkey": "0x" + "01" * 48,
        "withdrawal_credentials": "0x" + "02" * 32,
        "signature": "0x" + "03" * 96,
        "slot": "77",
    }
    node.says(data([deposit | {"amount": amount} for amount in ("1000000000", "32000000000")]))
    found = client.pending_deposits()
    assert [each.amount for each in found] == [10**9, 32 * 10**9]
    assert (found[0].pubkey, found[0].slot) == (b"\1" * 48, 77)


def state_reply(ssz: bytes, fork: str = "electra", kind: str = OCTETS) -> Reply:
    return Reply(ssz, headers={"Content-Type": kind, "Eth-Consensus-Version": fork})


def test_state__as_ssz__is_the_state(node: Node, client: BeaconClient) -> None:
    state = beacon_state("electra", MINIMAL)(slot=40)
    node.says(data({"PRESET_BASE": "minimal"}), state_reply(state.encode_bytes()))
    assert client.preset is MINIMAL
    view = client.state(b"\1" * 32)
    assert (view.slot, view.root) == (40, state.hash_tree_root())
    assert node.asked[1] == Asked("GET", "/eth/v2/debug/beacon/states/0x" + "01" * 32, None, OCTETS)


def test_encoded_state__large__arrives_whole(node: Node, client: BeaconClient) -> None:
    ssz = Random(1).randbytes(3_000_000)
    node.says(state_reply(ssz, "FULU"))
    state = client.encoded_state("finalized")
    assert (state.fork, state.ssz) == ("fulu", ssz)


def test_state__that_cannot_be_read__says_why(node: Node, client: BeaconClient) -> None:
    node.says(data({"PRESET_BASE": "minimal"}))
    assert client.preset is MINIMAL
    node.says(state_reply(b"1234"))
    with pytest.raises(StateError, match="4 bytes are too short for a state of electra"):
        client.state("head")
    node.says(state_reply(b"1234", "gloas"))
    with pytest.raises(ContainerError, match="no containers for the fork 'gloas'"):
        client.state("head")


def test_post_voluntary_exit__accepted__message_is_that_of_the_api(node: Node, client: BeaconClient) -> None:
    node.says(Reply())
    client.post_voluntary_exit(5, 9, b"\1" * 96)
    body = {"message": {"epoch": "5", "validator_index": "9"}, "signature": "0x" + "01" * 96}
    assert node.asked == [Asked("POST", "/eth/v1/beacon/pool/voluntary_exits", body, JSON)]


# --- what goes wrong ---


def test_client__not_an_http_url__refused() -> None:
    for url in ("127.0.0.1:5052", "ftp://node", "http://", ""):
        with pytest.raises(BeaconError, match="starts with http:// or https://, this one is"):
            BeaconClient(url)


def test_request__dead_node__one_clear_line() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    client = BeaconClient(f"http://user:secret@127.0.0.1:{port}", pause=0)
    with pytest.raises(BeaconError) as caught:
        client.genesis()
    assert str(caught.value) == f"127.0.0.1:{port}: cannot be reached (/eth/v1/beacon/genesis)"


def test_request__slow_node__gives_up_in_time(node: Node) -> None:
    node.says(Reply({}, delay=0.5))
    client = BeaconClient(f"http://{node.address}", timeout=0.05, attempts=2, pause=0)
    started = time.monotonic()
    with pytest.raises(BeaconError, match="no answer in time"):
        client.genesis()
    assert time.monotonic() - started < 0.5
    assert len(node.asked) == 2


@pytest.mark.parametrize("part", ["headers", "body", "body until the end"])
def test_request__node_that_drips__cut_off_in_time(part: str) -> None:
    """Bytes that come one after the other keep off every time-out between two of them."""
    beginning = {
        "headers": b"HTTP/1.1 200 OK\r\nX-Long: ",
        "body": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
        "body until the end": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n",
    }[part]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(beginning)
                with suppress(OSError):
                    for _ in range(100):
                        connection.sendall(b" ")
                        time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        client = BeaconClient(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.3, attempts=1)
        started = time.monotonic()
        with pytest.raises(BeaconError, match="no answer in time" if part == "body" else "not JSON"):
            client.genesis()
        assert time.monotonic() - started < 2


def test_header__missed_slot__missing(node: Node, client: BeaconClient) -> None:
    node.says(Reply({"code": 404, "message": "block not found"}, 404))
    with pytest.raises(MissingError) as caught:
        client.header(12)
    assert str(caught.value) == f"{node.address}: status 404: block not found (/eth/v1/beacon/headers/12)"
    assert len(node.asked) == 1


def test_request__server_error__asked_again_a_bounded_number_of_times(node: Node, client: BeaconClient) -> None:
    node.says(Reply({"code": 500, "message": "internal\n error"}, 500))
    with pytest.raises(BeaconError, match=r"status 500: internal error \(/eth/v1/beacon/genesis\)") as caught:
        client.genesis()
    assert not isinstance(caught.value, MissingError)
    assert len(node.asked) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_request__passing_trouble__second_answer_counts(node: Node, client: BeaconClient, status: int) -> None:
    node.says(Reply({"message": "busy"}, status), data([validator_json(1)]))
    assert client.validators([1])[0].index == 1
    assert [asked.method for asked in node.asked] == ["POST", "POST"]


def test_request__bad_request__asked_once(node: Node, client: BeaconClient) -> None:
    node.says(Reply({"code": 400, "message": "Invalid state ID: x"}, 400))
    with pytest.raises(BeaconError, match="status 400: Invalid state ID: x"):
        client.fork("x")
    assert len(node.asked) == 1


def test_request__error_without_json__first_line_of_it(node: Node, client: BeaconClient) -> None:
    node.says(Reply(b"<html>\n<b>no</b>" + b"x" * 1000, 403, {"Content-Type": "text/html"}))
    with pytest.raises(BeaconError) as caught:
        client.fork()
    assert "status 403: <html> <b>no</b>xxx" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("trouble", [Reply({"message": "Invalid exit"}, 400), Reply({"message": "Invalid exit"}, 500)])
def test_post_voluntary_exit__refused__sent_once_with_the_reason(
    node: Node, client: BeaconClient, trouble: Reply
) -> None:
    node.says(trouble)
    with pytest.raises(BeaconError, match="Invalid exit"):
        client.post_voluntary_exit(5, 9, b"\1" * 96)
    assert len(node.asked) == 1


def test_post_voluntary_exit__no_answer__sent_once(node: Node) -> None:
    node.says(Reply(delay=0.3))
    client = BeaconClient(f"http://{node.address}", timeout=0.05, pause=0)
    with pytest.raises(BeaconError, match="no answer in time"):
        client.post_voluntary_exit(5, 9, b"\1" * 96)
    assert len(node.asked) == 1


Ask = Callable[[BeaconClient], object]


@pytest.mark.parametrize(
    ("ask", "reply", "problem"),
    [
        (BeaconClient.genesis, Reply(b"<html>"), "the content is not JSON"),
        (BeaconClient.genesis, Reply(b"[" * 100_000), "the content is not JSON"),
        (BeaconClient.genesis, Reply([1]), "the content has no field `data`"),
        (BeaconClient.genesis, Reply({"result": {}}), "the content has no field `data`"),
        (BeaconClient.genesis, data([]), "`data` is a list, not a dict"),
        (BeaconClient.genesis, data({"genesis_time": "1"}), "the field `genesis_validators_root` is missing"),
        (BeaconClient.genesis, data({"genesis_time": "noon"}), "invalid literal"),
        (BeaconClient.state_root, data({"root": "0x1234"}), "0x1234 is not 32 bytes"),
        (BeaconClient.state_root, data({"root": 5}), "has no attribute"),
        (BeaconClient.header, data({"root": "0x" + "00" * 32, "header": {}}), "the field `message` is missing"),
        (BeaconClient.block, data({"message": {}}), "the field `version` is missing"),
        (BeaconClient.fork, data({"epoch": "1"}), "Fork has the fields previous_version, current_version, epoch"),
        (BeaconClient.finality_checkpoints, data({}), "the field `previous_justified` is missing"),
        (BeaconClient.pending_deposits, data({}), "`data` is a dict, not a list"),
        (BeaconClient.pending_deposits, data([{}]), "PendingDeposit has the fields"),
        (lambda client: client.validators([1]), data([{"index": "1"}]), "the field `balance` is missing"),
        (lambda client: client.encoded_state("head"), data({}), "the content is application/json, not"),
        (
            lambda client: client.encoded_state("head"),
            Reply(b"12", headers={"Content-Type": OCTETS}),
            "the header Eth-Consensus-Version is missing",
        ),
    ],
)
def test_request__wrong_content__one_clear_line(
    node: Node, client: BeaconClient, ask: Ask, reply: Reply, problem: str
) -> None:
    node.says(reply)
    with pytest.raises(BeaconError, match=re.escape(problem)) as caught:
        ask(client)
    assert str(caught.value).startswith(f"{node.address}: wrong answer: ")
    assert "\n" not in str(caught.value)


def test_request__unverified_chain__refused(node: Node, client: BeaconClient) -> None:
    node.says(data(header_json(), execution_optimistic=True))
    with pytest.raises(BeaconError, match="its execution client has not verified this block yet"):
        client.header()


def test_encoded_state__broken_off__refused(node: Node, client: BeaconClient) -> None:
    reply = state_reply(bytes(1000))
    reply.length = 2000
    node.says(reply)
    with pytest.raises(BeaconError, match="the answer broke off"):
        client.encoded_state("head")
