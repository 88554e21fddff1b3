"""Nodes under watch: a small chain, served truly or not, and the name that each fault gets."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from floe.beacon.containers import MINIMAL, BeaconBlockHeader, ExecutionPayloadHeader, beacon_state, header_root
from floe.deploy.config import Beacon
from floe.service import retry as retrying
from floe.service.metrics import Metrics
from floe.service.nodes import Chain, Fault, NodeError, Nodes

DEPOSIT_CONTRACT = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
GENESIS_TIME = 1_700_000_000
CHAIN = Chain(
    31337,
    "0x" + "01" * 32,
    Beacon(
        preset="minimal",
        deposit_contract=DEPOSIT_CONTRACT,
        genesis_time=GENESIS_TIME,
        seconds_per_slot=12,
        forks={"electra": 0, "fulu": 3},
    ),
)
SPEC = {
    "PRESET_BASE": "minimal",
    "DEPOSIT_CHAIN_ID": "31337",
    "DEPOSIT_CONTRACT_ADDRESS": DEPOSIT_CONTRACT,
    "SECONDS_PER_SLOT": "12",
    "ELECTRA_FORK_EPOCH": "0",
    "FULU_FORK_EPOCH": "3",
}
HEAD, FINALIZED, MISSED = 60, 48, (32, 33)
"""Slots: of the head, of the last finalized block, and without a block."""

Answer = tuple[int, str, bytes, dict[str, str]]


def block_hash(number: int) -> bytes:
    return b"\x01" * 32 if number == 0 else number.to_bytes(32, "big")


def state_of(slot: int, fork: str = "fulu") -> Any:
    """Make the state of a slot, whose execution block has the slot's number."""
    state = beacon_state(fork, MINIMAL)(slot=slot, genesis_time=GENESIS_TIME)
    state.latest_execution_payload_header = ExecutionPayloadHeader(block_number=slot, block_hash=block_hash(slot))
    return state


@cache
def blocks(mark: bytes) -> tuple[dict[int, BeaconBlockHeader], dict[bytes, tuple[str, Any]]]:
    """Make a chain: its blocks by slot, and some states by root. Another mark makes other blocks."""
    headers: dict[int, BeaconBlockHeader] = {}
    states: dict[bytes, tuple[str, Any]] = {}
    parent = bytes(32)
    for slot in range(HEAD + 1):
        if slot in MISSED:
            continue
        root = bytes([slot]) * 32
        if slot in (31, 40):
            fork = CHAIN.fork_at(slot)
            state = state_of(slot, fork)
            root = bytes(state.hash_tree_root())
            states[root] = fork, state
        headers[slot] = BeaconBlockHeader(
            slot=slot, parent_root=parent, state_root=root, body_root=mark.ljust(32, b"\0")
        )
        parent = header_root(headers[slot])
    return headers, states


class Node:
    """A beacon node and an execution node on one port, which tell the truth unless told otherwise."""

    def __init__(self, mark: bytes = b"") -> None:
        headers, states = blocks(mark)
        self.headers, self.states = dict(headers), dict(states)
        self.lies: dict[str, Callable[[], Answer] | None] = {}
        """Beginning of a path, or a method -> what to answer instead; None: the truth, but only after a second."""
        self.head, self.finalized, self.spec, self.genesis = HEAD, FINALIZED, dict(SPEC), GENESIS_TIME
        self.chain_id, self.newest = 31337, HEAD
        self.asked: list[str] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, kind, content, more = node.answer(self.path, body)
                try:
                    self.send_response(status)
                    for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **more}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # the client has given up

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.name = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.name}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, body: Any) -> Answer:
        """Answer a request."""
        if body is not None and "method" in body:
            return self._lie(body["method"]) or self._rpc(body)
        self.asked.append(path)
        return self._lie(path) or self._beacon(path)

    def _lie(self, subject: str) -> Answer | None:
        for beginning, lie in self.lies.items():
            if subject.startswith(beginning):
                if lie is None:
                    time.sleep(1)
                    return None
                return lie()
        return None

    def _rpc(self, body: Any) -> Answer:
        result: Any = None
        if body["method"] == "eth_chainId":
            result = hex(self.chain_id)
        elif body["method"] == "eth_getBlockByNumber":
            name = body["params"][0]
            number = self.newest if name == "latest" else int(name, 16)
            if number <= self.newest:
                result = {
                    "number": hex(number),
                    "hash": "0x" + block_hash(number).hex(),
                    "timestamp": hex(GENESIS_TIME + 12 * number),
                }
        elif body["method"] == "eth_call":
            header = self.headers.get((int(body["params"][0]["data"], 16) - GENESIS_TIME) // 12)
            if header is None:
                reverted = {"code": 3, "message": "execution reverted", "data": "0x"}
                return good({"jsonrpc": "2.0", "id": body["id"], "error": reverted})
            result = "0x" + bytes(header.parent_root).hex()
        return good({"jsonrpc": "2.0", "id": body["id"], "result": result})

    def _beacon(self, path: str) -> Answer:
        if path == "/eth/v1/config/spec":
            return good({"data": self.spec})
        if path == "/eth/v1/beacon/genesis":
            zeros = {"genesis_validators_root": "0x" + "00" * 32, "genesis_fork_version": "0x00000001"}
            return good({"data": {"genesis_time": str(self.genesis), **zeros}})
        last = path.rpartition("/")[2]
        if path.startswith("/eth/v1/beacon/headers/"):
            slot = {"head": self.head, "finalized": self.finalized}.get(last)
            header = self.headers.get(int(last) if slot is None else slot)
            if header is None or header.slot > self.head:
                return bad(404, "no such block")
            return good({"data": header_json(header)})
        if last == "finality_checkpoints":
            point = {"epoch": str(self.finalized // 8), "root": "0x" + "00" * 32}
            return good({"data": dict.fromkeys(("previous_justified", "current_justified", "finalized"), point)})
        found = self.states.get(bytes.fromhex(last[2:])) if path.startswith("/eth/v2/debug/beacon/states/0x") else None
        return bad(404, "no such state") if found is None else encoded(*found)


def good(content: Any) -> Answer:
    return 200, "application/json", json.dumps(content).encode(), {}


def bad(status: int, text: str) -> Answer:
    return status, "application/json", json.dumps({"message": text}).encode(), {}


def encoded(fork: str, state: Any) -> Answer:
    return 200, "application/octet-stream", state.encode_bytes(), {"Eth-Consensus-Version": fork}


def header_json(header: BeaconBlockHeader) -> dict[str, Any]:
    message = {name: str(value) if isinstance(value, int) else value for name, value in header.to_obj().items()}
    return {"root": "0x" + header_root(header).hex(), "header": {"message": message, "signature": "0x" + "00" * 96}}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries follow at once."""
    monkeypatch.setattr(retrying, "wait_exponential_jitter", lambda **_: lambda _: 0.0)


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.stop()


@pytest.fixture
def other() -> Iterator[Node]:
    other = Node()
    yield other
    other.stop()


@pytest.fixture
def stranger() -> Iterator[Node]:
    stranger = Node(mark=b"another chain")
    yield stranger
    stranger.stop()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def watched(node: Node, metrics: Metrics) -> Iterator[Nodes]:
    nodes = Nodes([node.url], [node.url], CHAIN, metrics, timeout=0.5)
    yield nodes
    nodes.close()


def count(metrics: Metrics, name: str, fault: Fault) -> float:
    labels = {"node": name, "fault": fault.value}
    return metrics.registry.get_sample_value("floe_node_faults_total", labels) or 0.0


def refused(fault: Fault, node: Node, metrics: Metrics, call: Callable[[], object], text: str | None = None) -> None:
    """Demand that a call names this fault of this node, in the error, in the metrics and in the health."""
    with pytest.raises(NodeError, match=text) as raised:
        call()
    assert (raised.value.fault, raised.value.node) == (fault, node.name)
    assert count(metrics, node.name, fault) >= 1
    assert str(raised.value) in metrics.health()["problems"].values()
    assert "\n" not in str(raised.value)


# --- the truth ---


def test_check__good_node__used_and_no_fault(watched: Nodes, metrics: Metrics):
    watched.check()
    assert watched.head_slot == HEAD
    assert int(watched.finalized().message.slot) == FINALIZED
    assert int(watched.execution.eth.get_block(7)["number"]) == 7
    assert metrics.health()["problems"] == {}


@pytest.mark.parametrize(("slot", "found"), [(31, 31), (32, 31), (33, 31), (40, 40)])
def test_reference__slot_with_and_without_a_block__last_block_before_it_and_its_state(
    slot: int, found: int, watched: Nodes
):
    watched.check()
    reference = watched.reference(slot)
    assert (reference.slot, int(reference.header.message.slot)) == (slot, found)
    assert (reference.state.slot, reference.state.root) == (found, bytes(reference.header.message.state_root))
    assert (reference.block_number, reference.block_hash) == (found, block_hash(found))


def test_check__identified_once__not_asked_again(node: Node, watched: Nodes):
    watched.check()
    watched.check()
    assert node.asked.count("/eth/v1/config/spec") == 1


# --- other chains ---


def test_check__other_chain_id_of_the_beacon_node__wrong_chain(node: Node, watched: Nodes, metrics: Metrics):
    node.spec["DEPOSIT_CHAIN_ID"] = "1"
    refused(Fault.WRONG_CHAIN, node, metrics, watched.check, "its chain id is 1")


def test_check__other_chain_id_of_the_execution_node__wrong_chain(node: Node, watched: Nodes, metrics: Metrics):
    node.chain_id = 1
    refused(Fault.WRONG_CHAIN, node, metrics, watched.check, "it is on chain 1 ")


def test_check__other_first_block__wrong_chain(node: Node, metrics: Metrics):
    nodes = Nodes([node.url], [node.url], replace(CHAIN, genesis="0x" + "02" * 32), metrics)
    refused(Fault.WRONG_CHAIN, node, metrics, nodes.check, "that began with 0x0101")


@pytest.mark.parametrize(
    ("name", "value"),
    [("SECONDS_PER_SLOT", "6"), ("DEPOSIT_CONTRACT_ADDRESS", "0x" + "11" * 20), ("PRESET_BASE", "mainnet")],
)
def test_check__other_constants__wrong_genesis(name: str, value: str, node: Node, watched: Nodes, metrics: Metrics):
    node.spec[name] = value
    refused(Fault.WRONG_GENESIS, node, metrics, watched.check)


def test_check__other_start__wrong_genesis(node: Node, watched: Nodes, metrics: Metrics):
    node.genesis += 1
    refused(Fault.WRONG_GENESIS, node, metrics, watched.check, "its genesis_time is 1700000001")


@pytest.mark.parametrize("epoch", ["4", None])
def test_check__fork_at_another_epoch_or_unknown__wrong_fork(
    epoch: str | None, node: Node, watched: Nodes, metrics: Metrics
):
    del node.spec["FULU_FORK_EPOCH"]
    if epoch is not None:
        node.spec["FULU_FORK_EPOCH"] = epoch
    refused(Fault.WRONG_FORK, node, metrics, watched.check, "and should be at epoch 3")


def test_reference__state_of_an_old_fork__wrong_fork(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    node.lies["/eth/v2/debug"] = lambda: encoded("electra", state_of(40, "electra"))
    refused(
        Fault.WRONG_FORK, node, metrics, lambda: watched.reference(40), "of the fork electra, and should be of fulu"
    )


# --- late ---


def test_check__old_head__lagging(node: Node, metrics: Metrics):
    nodes = Nodes([node.url], [node.url], CHAIN, metrics, max_head_age=600)
    refused(Fault.LAGGING, node, metrics, nodes.check, "its head is slot 60, ")


def test_check__finality_far_behind__lagging(node: Node, watched: Nodes, metrics: Metrics):
    node.finalized = 8  # epoch 1; the head is in epoch 7
    refused(Fault.LAGGING, node, metrics, watched.check, "6 epochs behind")
    node.finalized = 16
    watched.check()


def test_check__behind_another_node__lagging_and_the_other_is_used(node: Node, other: Node, metrics: Metrics):
    nodes = Nodes([node.url, other.url], [other.url], CHAIN, metrics)
    node.head = HEAD - 4
    nodes.check()
    assert nodes.beacon.name == other.name
    assert count(metrics, node.name, Fault.LAGGING) == 1
    node.head = HEAD - 3
    nodes.check()
    assert nodes.beacon.name == node.name


def test_check__execution_node_behind_the_beacon_chain__lagging(node: Node, watched: Nodes, metrics: Metrics):
    node.newest = HEAD - 4
    refused(Fault.LAGGING, node, metrics, watched.check, "its newest block, 56, is 12 s behind")


def test_reference__slot_that_is_not_finalized__lagging(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    refused(Fault.LAGGING, node, metrics, lambda: watched.reference(49), "slot 49 is not finalized")


def test_check__node_that_has_not_verified__lagging(node: Node, watched: Nodes, metrics: Metrics):
    node.lies["/eth/v1/beacon/headers"] = lambda: good(
        {"data": header_json(node.headers[HEAD]), "execution_optimistic": True}
    )
    refused(Fault.LAGGING, node, metrics, watched.check, "has not verified")


# --- broken ---


def test_check__nobody_there__unreachable(node: Node, metrics: Metrics):
    lost = "http://127.0.0.1:9"
    for beacon, execution in ((lost, node.url), (node.url, lost)):
        with pytest.raises(NodeError) as raised:
            Nodes([beacon], [execution], CHAIN, metrics).check()
        assert (raised.value.fault, raised.value.node) == (Fault.UNREACHABLE, "127.0.0.1:9")
    assert count(metrics, "127.0.0.1:9", Fault.UNREACHABLE) == 8


@pytest.mark.parametrize("subject", ["/eth/v1/beacon/genesis", "eth_chainId"])
def test_check__no_answer_in_time__timeout(subject: str, node: Node, watched: Nodes, metrics: Metrics):
    node.lies[subject] = None
    refused(Fault.TIMEOUT, node, metrics, watched.check, "no answer in time")


@pytest.mark.parametrize("subject", ["/eth/v1/beacon/genesis", "eth_chainId"])
def test_check__status_500__server_error(subject: str, node: Node, watched: Nodes, metrics: Metrics):
    node.lies[subject] = lambda: bad(500, "out of order")
    refused(Fault.SERVER_ERROR, node, metrics, watched.check, "status 500")


@pytest.mark.parametrize("subject", ["/eth/v1/beacon/genesis", "eth_chainId"])
def test_check__status_500_once__counted_and_asked_again(subject: str, node: Node, watched: Nodes, metrics: Metrics):
    def once() -> Answer:
        node.lies.clear()
        return bad(500, "out of order")

    node.lies[subject] = once
    watched.check()
    assert count(metrics, node.name, Fault.SERVER_ERROR) == 1
    assert metrics.health()["problems"] == {}


@pytest.mark.parametrize("subject", ["/eth/v1/beacon/genesis", "eth_chainId"])
@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}", b'{"data": 5, "result": {"a": []}}'])
def test_check__nonsense__malformed(subject: str, content: bytes, node: Node, watched: Nodes):
    node.lies[subject] = lambda: (200, "application/json", content, {})
    with pytest.raises(NodeError) as raised:
        watched.check()
    assert raised.value.fault in (Fault.MALFORMED, Fault.WRONG_CHAIN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEPOSIT_CHAIN_ID", "mainnet"),
        ("DEPOSIT_CHAIN_ID", None),
        ("FULU_FORK_EPOCH", "soon"),
        ("SECONDS_PER_SLOT", []),
    ],
)
def test_check__configuration_that_is_none__malformed_and_the_other_is_used(
    name: str, value: Any, node: Node, other: Node, metrics: Metrics
):
    node.spec[name] = value
    nodes = Nodes([node.url, other.url], [node.url], CHAIN, metrics)
    nodes.check()
    assert nodes.beacon.name == other.name
    assert count(metrics, node.name, Fault.MALFORMED) == 1


@pytest.mark.parametrize("result", ["x", [], {"number": "0x1"}, {"timestamp": "soon"}, 5])
def test_check__block_that_is_none__malformed_and_the_other_is_used(
    result: Any, node: Node, other: Node, metrics: Metrics
):
    nodes = Nodes([node.url], [node.url, other.url], CHAIN, metrics)
    nodes.check()
    node.lies["eth_getBlockByNumber"] = lambda: good({"jsonrpc": "2.0", "id": 0, "result": result})
    nodes.check()
    assert nodes.execution.provider.name == other.name  # type: ignore[attr-defined]
    assert count(metrics, node.name, Fault.MALFORMED) == 1
    with pytest.raises(NodeError, match="wrong answer"):
        Nodes([node.url], [node.url], CHAIN, metrics).check()


def test_ask__call_that_cannot_read_the_answer__malformed(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    refused(Fault.MALFORMED, node, metrics, lambda: watched.ask(lambda client: client.spec["NONE"]), "KeyError")


def test_check__execution_node_that_drips__timeout(node: Node, metrics: Metrics):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=drip, args=(connection,), daemon=True).start()

        def drip(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(100):
                    connection.sendall(b" ")
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        name = f"127.0.0.1:{server.getsockname()[1]}"
        nodes = Nodes([node.url], [f"http://{name}"], CHAIN, metrics, timeout=0.2)
        began = time.monotonic()
        with pytest.raises(NodeError, match="no whole answer in time") as raised:
            nodes.check()
        assert time.monotonic() - began < 4
    assert (raised.value.fault, raised.value.node) == (Fault.TIMEOUT, name)


def test_check__method_that_is_not_served__refused(node: Node, watched: Nodes, metrics: Metrics):
    node.lies["eth_chainId"] = lambda: bad(403, "no")
    refused(Fault.REFUSED, node, metrics, watched.check, "status 403")


def test_reference__state_that_is_cut_off__malformed(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    node.lies["/eth/v2/debug"] = lambda: (
        200,
        "application/octet-stream",
        state_of(40).encode_bytes()[:-1],
        {"Eth-Consensus-Version": "fulu"},
    )
    refused(Fault.MALFORMED, node, metrics, lambda: watched.reference(40))


# --- lies ---


def test_reference__other_state_than_the_header_names__inconsistent(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    lie = state_of(40)
    lie.balances.append(32 * 10**9)
    lie.validators.append(type(lie.validators).element_cls()())
    node.lies["/eth/v2/debug"] = lambda: encoded("fulu", lie)
    refused(Fault.INCONSISTENT, node, metrics, lambda: watched.reference(40), "does not hash to the state root")


def test_reference__true_state_of_another_slot__inconsistent(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    node.lies["/eth/v2/debug"] = lambda: encoded("fulu", state_of(31))
    refused(Fault.INCONSISTENT, node, metrics, lambda: watched.reference(40))


def test_header__root_that_is_not_its_own__inconsistent(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    lie = header_json(node.headers[40])
    lie["root"] = "0x" + "22" * 32
    node.lies["/eth/v1/beacon/headers/40"] = lambda: good({"data": lie})
    refused(Fault.INCONSISTENT, node, metrics, lambda: watched.reference(40), "the root is not that of the header")


def test_header__block_of_another_slot__inconsistent(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    node.lies["/eth/v1/beacon/headers/40"] = lambda: good({"data": header_json(node.headers[39])})
    refused(Fault.INCONSISTENT, node, metrics, lambda: watched.reference(40), "asked for slot 40")


def test_reference__block_that_the_node_hides__inconsistent(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    node.lies["/eth/v1/beacon/headers/40"] = lambda: bad(404, "no such block")
    refused(Fault.INCONSISTENT, node, metrics, lambda: watched.reference(40), "41 does not follow that of slot 39")


def test_reference__last_finalized_block__its_child_need_not_be_final(node: Node, watched: Nodes):
    node.finalized = 40
    watched.check()
    assert int(watched.reference(40).header.message.slot) == 40


def test_reference__nothing_after_the_last_finalized_block__lagging(node: Node, watched: Nodes, metrics: Metrics):
    node.finalized = 40
    watched.check()
    node.head = 40
    refused(Fault.LAGGING, node, metrics, lambda: watched.reference(40), "it has no block after slot 40")


@pytest.mark.parametrize(("slot", "finalized"), [(32, FINALIZED), (40, FINALIZED), (40, 40)])
def test_reference__beacon_chain_that_the_execution_chain_does_not_know__inconsistent(
    slot: int, finalized: int, node: Node, stranger: Node, metrics: Metrics
):
    stranger.finalized = finalized
    nodes = Nodes([stranger.url], [node.url], CHAIN, metrics)
    nodes.check()
    with pytest.raises(NodeError) as raised:
        nodes.reference(slot)
    assert (raised.value.fault, raised.value.node) == (Fault.INCONSISTENT, node.name)
    assert re.search(r"block before that of slot \d+ is 0x\w{64} on its chain, not 0x", str(raised.value))


def test_reference__execution_chain_without_the_root__inconsistent_unless_it_is_too_old(
    node: Node, other: Node, metrics: Metrics
):
    nodes = Nodes([node.url], [other.url], CHAIN, metrics)
    del other.headers[41]
    nodes.check()
    refused(Fault.INCONSISTENT, other, metrics, lambda: nodes.reference(40), "slot 41 is none on its chain")
    other.newest = 41 + 8_190
    refused(Fault.INCONSISTENT, other, metrics, lambda: nodes.reference(40), "slot 41 is none on its chain")
    other.newest += 1
    assert nodes.reference(40).block_number == 40


def test_reference__execution_block_of_another_hash__inconsistent(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    lie = {"number": "0x28", "hash": "0x" + "33" * 32, "timestamp": "0x0"}
    node.lies["eth_getBlockByNumber"] = lambda: good({"jsonrpc": "2.0", "id": 0, "result": lie})
    refused(Fault.INCONSISTENT, node, metrics, lambda: watched.reference(40), "its block 40 is 0x3333")


def test_reference__execution_node_without_the_block__lagging(node: Node, watched: Nodes, metrics: Metrics):
    watched.check()
    node.newest = 39
    refused(Fault.LAGGING, node, metrics, lambda: watched.reference(40), "it does not have block 40 yet")


# --- two nodes ---


def test_reference__two_nodes_on_two_branches__inconsistent(node: Node, stranger: Node, metrics: Metrics):
    nodes = Nodes([node.url, stranger.url], [node.url], CHAIN, metrics)
    nodes.check()
    with pytest.raises(NodeError, match="they differ about the block at slot 40") as raised:
        nodes.reference(40)
    assert (raised.value.fault, raised.value.node) == (Fault.INCONSISTENT, "beacon nodes")


def test_reference__one_of_two_does_not_answer__enough_unless_two_must_agree(node: Node, other: Node, metrics: Metrics):
    one, two = (Nodes([node.url, other.url], [node.url], CHAIN, metrics, agree=agree) for agree in (1, 2))
    for nodes in (one, two):
        nodes.check()
        assert int(nodes.reference(40).header.message.slot) == 40
    other.lies["/eth/v1/beacon/headers/40"] = lambda: bad(500, "out of order")
    assert int(one.reference(40).header.message.slot) == 40
    with pytest.raises(NodeError, match="status 500"):
        two.reference(40)


def test_reference__state_from_the_node_that_has_it(node: Node, other: Node, metrics: Metrics):
    nodes = Nodes([node.url, other.url], [node.url], CHAIN, metrics)
    nodes.check()
    node.states.clear()
    assert nodes.reference(40).state.slot == 40
    assert count(metrics, node.name, Fault.REFUSED) == 1


def test_reference__one_of_two_execution_nodes_lies__the_other_is_used(node: Node, other: Node, metrics: Metrics):
    nodes = Nodes([node.url], [node.url, other.url], CHAIN, metrics)
    nodes.check()
    lie = {"number": "0x28", "hash": "0x" + "33" * 32, "timestamp": "0x0"}
    node.lies["eth_getBlockByNumber"] = lambda: good({"jsonrpc": "2.0", "id": 0, "result": lie})
    assert nodes.reference(40).block_hash == block_hash(40)
    assert nodes.execution.provider.name == other.name  # type: ignore[attr-defined]
    assert count(metrics, node.name, Fault.INCONSISTENT) == 1
