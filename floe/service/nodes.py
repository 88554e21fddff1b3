"""Nodes under watch: whatever is wrong with one has a name, is counted, and stops what relies on it.

    nodes = Nodes(beacon_urls, execution_urls, Chain.of(record), metrics)
    nodes.check()                                  # every round: who can be used?
    header = nodes.finalized()
    reference = nodes.reference(slot)              # the last block at or before a finalized slot, and its state
    nodes.execution.eth.get_balance(vault, reference.block_number)

A beacon node proves what it says: a header must have the root under which it is known, the block after it must name it
as its parent, and a state must hash to the state root in the header. Two nodes must not contradict each other. The
block inside the state must be the execution node's block of that number, and the header's root must be the one that the
execution chain keeps (EIP-4788).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import pydantic_core
import requests
from web3 import HTTPProvider, Web3
from web3.exceptions import BadResponseFormat, BlockNotFound, Web3Exception
from web3.types import BlockIdentifier, RPCEndpoint, RPCResponse

from floe.beacon.client import NONSENSE, WHOLE, BeaconClient, BeaconError, BoundedAdapter, Header, Id, MissingError
from floe.beacon.containers import ContainerError
from floe.beacon.proofs import beacon_root
from floe.beacon.ssz import BeaconStateView, ProofError, StateError
from floe.deploy import beacon as beacon_facts
from floe.deploy.config import Beacon
from floe.deploy.record import Record
from floe.service.metrics import Metrics
from floe.service.retry import PassingError, retry

log = logging.getLogger(__name__)

MOST_MISSED = 512
"""Slots without a block that are searched for the block before them."""
KEPT_ROOTS = 8_191
"""Slots for which the execution chain keeps the roots of beacon blocks (EIP-4788, HISTORY_BUFFER_LENGTH)."""
SLACK = 3
"""Slots that one node may lie behind another before it counts as lagging."""

Value = TypeVar("Value")


class Fault(StrEnum):
    """What can be wrong with a node."""

    WRONG_CHAIN = "wrong_chain"
    """Another execution chain: its id, or its first block."""
    WRONG_GENESIS = "wrong_genesis"
    """Another beacon chain: its start, its slots, its preset or its deposit contract."""
    WRONG_FORK = "wrong_fork"
    """It does not know a fork, has it at another epoch, or gives data of one that is past."""
    LAGGING = "lagging"
    """Its head or its finality is behind the clock, behind another node, or before what was asked for."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    """It answers with a status from 500 on, or 429."""
    REFUSED = "refused"
    """It does not serve what it is asked for."""
    MALFORMED = "malformed"
    """Its answer is not of the form that it should have."""
    INCONSISTENT = "inconsistent"
    """It contradicts itself, or another node."""


_ALL = "beacon nodes"
RETRIED = (Fault.UNREACHABLE, Fault.TIMEOUT, Fault.SERVER_ERROR)


class NodeError(PassingError):
    """Something is wrong with a node, or with all of them. One line."""

    def __init__(self, fault: Fault, node: str, text: str) -> None:
        super().__init__(f"{node}: {fault.value.replace('_', ' ')}: {text.removeprefix(f'{node}: ')}")
        self.fault, self.node = fault, node
        self.retried = fault in RETRIED


@dataclass(frozen=True)
class Chain:
    """The chain that nodes should be on."""

    chain_id: int
    genesis: str
    """Hash of the first execution block."""
    beacon: Beacon

    @classmethod
    def of(cls, record: Record) -> Chain:
        """Return the chain of a deployment."""
        return cls(record.chain_id, record.genesis, Beacon.model_validate(record.config["beacon"]))

    def time_of(self, slot: int) -> int:
        """Return when a slot starts, in seconds since 1970."""
        return self.beacon.genesis_time + slot * self.beacon.seconds_per_slot

    def fork_at(self, slot: int) -> str:
        """Return the name of the fork that a slot is in; "" before the first one that is known."""
        epoch = slot // self.beacon.sizes.slots_per_epoch
        begun = [name for name, first in self.beacon.forks.items() if first <= epoch]
        return max(begun, key=self.beacon.forks.__getitem__, default="")


@dataclass(frozen=True)
class Reference:
    """The last block at or before a slot, its state, and the execution block inside it; all of it checked."""

    slot: int
    """That was asked for."""
    header: Header
    state: BeaconStateView
    block_number: int
    block_hash: bytes


class Watch:
    """Counts and logs the faults of nodes as they happen, also of those that a second try makes good."""

    def __init__(self, metrics: Metrics, kind: str) -> None:
        self._metrics, self._kind = metrics, kind

    def error(self, fault: Fault, node: str, text: str) -> NodeError:
        """Note a fault of a node; return the error to raise."""
        error = NodeError(fault, node, text)
        self._metrics.faults.labels(node, fault.value).inc()
        self._metrics.note(f"{self._kind} node {node}", str(error))
        log.warning("%s", error, extra={"node": node, "fault": fault.value})
        return error

    def good(self, node: str) -> None:
        """Note that nothing is wrong with a node now."""
        self._metrics.note(f"{self._kind} node {node}", None)


class WatchedClient(BeaconClient):
    """A client whose requests are tried again, every failure with its name. Also raises NodeError."""

    def __init__(self, url: str, watch: Watch, timeout: float = 30.0) -> None:
        super().__init__(url, timeout, attempts=1)
        self._watch = watch

    def _request(self, *arguments: Any, **options: Any) -> requests.Response:
        def once() -> requests.Response:
            try:
                return super(WatchedClient, self)._request(*arguments, **options)
            except MissingError:
                raise
            except BeaconError as error:
                raise self._watch.error(Fault(error.fault), self.name, str(error)) from error

        return retry(once)


class BeaconNode:
    """One beacon node. Every method raises NodeError."""

    def __init__(self, url: str, chain: Chain, watch: Watch, timeout: float = 30.0) -> None:
        self.client = WatchedClient(url, watch, timeout)
        self.name, self._chain, self._watch, self._identified = self.client.name, chain, watch, False

    def ask(self, call: Callable[[BeaconClient], Value]) -> Value:
        """Return what `call` returns for the client; what goes wrong gets its name. MissingError passes through."""
        try:
            return call(self.client)
        except MissingError:
            raise
        except BeaconError as error:
            fault = Fault.LAGGING if error.fault == "unverified" else Fault(error.fault)
            raise self.error(fault, str(error)) from error
        except (ContainerError, StateError) as error:
            raise self.error(Fault.MALFORMED, str(error)) from error
        except NONSENSE as error:
            raise self.error(Fault.MALFORMED, _nonsense(error)) from error

    def identify(self) -> None:
        """Check, until it was right once, that the node is on the chain and knows its forks."""
        if self._identified:
            return
        self.client.__dict__.pop("spec", None)  # ask again
        found = self.ask(beacon_facts.read)
        chain_id = self.ask(lambda client: int(client.spec.get("DEPOSIT_CHAIN_ID", self._chain.chain_id)))
        if chain_id != self._chain.chain_id:
            raise self.error(Fault.WRONG_CHAIN, f"its chain id is {chain_id}")
        mine = self._chain.beacon
        for name in ("preset", "deposit_contract", "genesis_time", "seconds_per_slot"):
            here, there = getattr(mine, name), getattr(found, name)
            if here != there:
                raise self.error(Fault.WRONG_GENESIS, f"its {name} is {there}, and should be {here}")
        for fork, epoch in mine.forks.items():
            if found.forks.get(fork) != epoch:
                there = found.forks.get(fork, "not there")
                raise self.error(Fault.WRONG_FORK, f"the fork {fork} is {there}, and should be at epoch {epoch}")
        self._identified = True

    def head(self, max_age: float | None) -> tuple[int, int]:
        """Return the slot of its head, if that is not too old (seconds), and how many epochs finality is behind it.

        0 epochs on a chain on which nothing is finalized yet.
        """
        slot = int(self.ask(lambda client: client.header("head")).message.slot)
        age = time.time() - self._chain.time_of(slot)
        if max_age is not None and age > max_age:
            raise self.error(Fault.LAGGING, f"its head is slot {slot}, {age:.0f} s ago")
        finalized = int(self.ask(lambda client: client.finality_checkpoints("head")).finalized.epoch)
        return slot, slot // self._chain.beacon.sizes.slots_per_epoch - finalized if finalized else 0

    def block_at(self, slot: int) -> tuple[Header, int]:
        """Return the last block at or before a slot that it holds to be finalized, and the slot of the next one.

        The next block must name the one found as its parent.
        """
        finalized = self.ask(lambda client: client.header("finalized"))
        if int(finalized.message.slot) < slot:
            raise self.error(
                Fault.LAGGING, f"slot {slot} is not finalized: its last finalized block is of {finalized.message.slot}"
            )
        found = next((one for one in map(self._header, range(slot, max(slot - MOST_MISSED, -1), -1)) if one), None)
        if found is None:
            raise self.error(Fault.REFUSED, f"it has no block in the {MOST_MISSED} slots up to {slot}")
        after = range(slot + 1, max(int(finalized.message.slot), slot + MOST_MISSED) + 1)
        child = next((one for one in map(self._header, after) if one), None)
        if child is None:
            raise self.error(Fault.LAGGING, f"it has no block after slot {slot}")
        if bytes(child.message.parent_root) != found.root:
            text = f"the block of slot {child.message.slot} does not follow that of slot {found.message.slot}"
            raise self.error(Fault.INCONSISTENT, text)
        return found, int(child.message.slot)

    def state(self, header: Header) -> BeaconStateView:
        """Download the state of a block and check it against the header's state root."""
        root, slot = bytes(header.message.state_root), int(header.message.slot)
        try:
            encoded = self.ask(lambda client: client.encoded_state(root))
        except MissingError as error:
            raise self.error(Fault.REFUSED, str(error)) from error
        expected = self._chain.fork_at(slot)
        if encoded.fork != expected:
            text = (
                f"its state of slot {slot} is of the fork {encoded.fork}, and should be of {expected or 'an older one'}"
            )
            raise self.error(Fault.WRONG_FORK, text)
        state = self.ask(lambda client: BeaconStateView(encoded.ssz, encoded.fork, client.preset))
        if state.slot != slot or self.ask(lambda _: state.root) != root:
            raise self.error(
                Fault.INCONSISTENT, f"its state of slot {slot} does not hash to the state root of the block"
            )
        return state

    def error(self, fault: Fault, text: str) -> NodeError:
        """Note a fault of this node; return the error to raise."""
        return self._watch.error(fault, self.name, text)

    def good(self) -> None:
        """Note that nothing is wrong with this node now."""
        self._watch.good(self.name)

    def _header(self, block: Id) -> Header | None:
        try:
            found = self.ask(lambda client: client.header(block))
        except MissingError:
            return None
        if isinstance(block, int) and int(found.message.slot) != block:
            raise self.error(Fault.INCONSISTENT, f"asked for slot {block}, it gives the block of {found.message.slot}")
        return found


class WatchedProvider(HTTPProvider):
    """JSON-RPC whose failures are NodeErrors with a name. Calls that change nothing are tried again."""

    def __init__(self, url: str, watch: Watch, timeout: float = 30.0) -> None:
        session = requests.Session()
        session.mount(url, BoundedAdapter())
        request = {"timeout": timeout}
        super().__init__(url, request_kwargs=request, session=session, exception_retry_configuration=None)
        parts, self._watch, self._most = urlsplit(url), watch, WHOLE * timeout
        self.name = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Send a request. Raises NodeError."""
        attempts = 1 if method == "eth_sendRawTransaction" else 4
        return retry(lambda: self._once(method, params), attempts)

    def make_batch_request(self, batch_requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """Send several requests at once. Raises NodeError."""
        found = retry(
            lambda: self._named("batch", lambda: super(WatchedProvider, self).make_batch_request(batch_requests))
        )
        if not isinstance(found, list) or len(found) != len(batch_requests):
            raise self.error(Fault.MALFORMED, "the answer to a batch has not an item for each request")
        return found

    def _once(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        answer: RPCResponse = self._named(method, lambda: super(WatchedProvider, self).make_request(method, params))
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise self.error(Fault.MALFORMED, f"the answer has neither result nor error ({method})")
        return answer

    def _named(self, method: str, call: Callable[[], Value]) -> Value:
        """Return what `call` returns; what goes wrong gets its name."""
        started = time.monotonic()
        try:
            return call()
        except requests.Timeout as error:
            raise self.error(Fault.TIMEOUT, f"no answer in time ({method})") from error
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            fault = Fault.SERVER_ERROR if status >= 500 or status == 429 else Fault.REFUSED
            raise self.error(fault, f"status {status} ({method})") from error
        except requests.RequestException as error:
            if time.monotonic() - started >= self._most:
                raise self.error(Fault.TIMEOUT, f"no whole answer in time ({method})") from error
            raise self.error(Fault.UNREACHABLE, f"{type(error).__name__} ({method})") from error
        except (ValueError, BadResponseFormat) as error:
            raise self.error(Fault.MALFORMED, f"the answer is not JSON ({method})") from error

    @staticmethod
    def decode_rpc_response(raw_response: bytes) -> RPCResponse:
        """Read JSON; unlike json.loads, it bounds how deep that is nested. Raises ValueError."""
        return cast(RPCResponse, pydantic_core.from_json(raw_response))

    def error(self, fault: Fault, text: str) -> NodeError:
        """Note a fault of this node; return the error to raise."""
        return self._watch.error(fault, self.name, text)


class ExecutionNode:
    """One execution node. Every method raises NodeError."""

    def __init__(self, url: str, chain: Chain, watch: Watch, timeout: float = 30.0) -> None:
        provider = WatchedProvider(url, watch, timeout)
        self.web3, self.name, self.error = Web3(provider), provider.name, provider.error
        # It would ask for the chain id before every call; `identify` has.
        self.web3.middleware_onion.remove("validation")
        self._chain, self._watch, self._identified = chain, watch, False

    def identify(self) -> None:
        """Check, until it was right once, that the node is on the chain."""
        if self._identified:
            return
        found = self._ask(lambda: (self.web3.eth.chain_id, self.web3.to_hex(self.web3.eth.get_block(0)["hash"])))
        if found != (self._chain.chain_id, self._chain.genesis):
            raise self.error(
                Fault.WRONG_CHAIN,
                f"it is on chain {found[0]} that began with {found[1]}, and should be on {self._chain.chain_id} that "
                f"began with {self._chain.genesis}",
            )
        self._identified = True

    def head(self, not_before: int) -> None:
        """Check that its newest block is not older than `not_before` (seconds since 1970)."""
        number, timestamp = self._block("latest", "number", "timestamp")
        if timestamp < not_before:
            behind = not_before - timestamp
            raise self.error(Fault.LAGGING, f"its newest block, {number}, is {behind} s behind the beacon chain")

    def demand(self, number: int, digest: bytes) -> None:
        """Check that its block of this number has this hash."""
        try:
            (found,) = self._block(number, "hash")
        except BlockNotFound:
            raise self.error(Fault.LAGGING, f"it does not have block {number} yet") from None
        if found != digest:
            text = f"its block {number} is 0x{found.hex()}, on the beacon chain it is 0x{digest.hex()}"
            raise self.error(Fault.INCONSISTENT, text)

    def demand_root(self, slot: int, root: bytes) -> None:
        """Check that it keeps this root as that of the beacon block before the block of a slot.

        It keeps them for 8,191 slots; of a block that is older nothing is known.
        """
        timestamp = self._chain.time_of(slot)
        (newest,) = self._block("latest", "timestamp")
        try:
            found = self._ask(lambda: beacon_root(self.web3, timestamp))
        except ProofError as error:
            raise self.error(Fault.MALFORMED, str(error)) from error
        if found is None and newest - timestamp >= KEPT_ROOTS * self._chain.beacon.seconds_per_slot:
            return
        if found != root:
            kept = f"0x{found.hex()}" if found else "none"
            text = f"the beacon block before that of slot {slot} is {kept} on its chain, not 0x{root.hex()}"
            raise self.error(Fault.INCONSISTENT, text)

    def good(self) -> None:
        """Note that nothing is wrong with this node now."""
        self._watch.good(self.name)

    def _block(self, name: BlockIdentifier, *fields: str) -> list[Any]:
        """Return fields of a block."""

        def read() -> list[Any]:
            block: Any = self.web3.eth.get_block(name)
            return [block[field] for field in fields]

        return self._ask(read)

    def _ask(self, call: Callable[[], Value]) -> Value:
        try:
            return call()
        except BlockNotFound:
            raise
        except (Web3Exception, *NONSENSE) as error:
            raise self.error(Fault.MALFORMED, _nonsense(error)) from error


class Nodes:
    """The nodes of a daemon. The first that is good is used; `agree` beacon nodes must say the same of a block."""

    def __init__(
        self,
        beacon: Sequence[str],
        execution: Sequence[str],
        chain: Chain,
        metrics: Metrics,
        *,
        agree: int = 1,
        timeout: float = 30.0,
        max_head_age: float | None = None,
        max_finality_epochs: int = 5,
        needs_finality: bool = True,
    ) -> None:
        self.chain, self._agree = chain, agree
        self._max_head_age, self._max_finality_epochs, self._needs_finality = (
            max_head_age,
            max_finality_epochs,
            needs_finality,
        )
        self._watch, watch = Watch(metrics, "beacon"), Watch(metrics, "execution")
        self._beacons = [BeaconNode(url, chain, self._watch, timeout) for url in beacon]
        self._executions = [ExecutionNode(url, chain, watch, timeout) for url in execution]
        self._good: list[BeaconNode] = []
        self._good_executions: list[ExecutionNode] = []
        self._last_error: dict[type, NodeError] = {}
        self.head_slot = 0
        """Slot of the newest block, as of the last `check`."""

    def close(self) -> None:
        """Close the connections to the beacon nodes."""
        for node in self._beacons:
            node.client.close()

    @property
    def beacon(self) -> BeaconClient:
        """The first beacon node that was good in the last check; what goes wrong with it has no name: see `ask`."""
        return self._best().client

    @property
    def execution(self) -> Web3:
        """The first execution node that was good in the last check; what goes wrong with it is a NodeError."""
        if not self._good_executions:
            raise self._none(ExecutionNode)
        return self._good_executions[0].web3

    def check(self) -> None:
        """Look at every node; name and count what is wrong. Raises NodeError unless one of each kind can be used.

        Finality that is too far behind rules a beacon node out, or is only named where nothing needs it.
        """
        heads: dict[BeaconNode, tuple[int, int]] = {}
        for node in self._beacons:
            head = self._tried(self._look_at, node)
            if head is not None:
                heads[node] = head
        self.head_slot = max((slot for slot, _ in heads.values()), default=self.head_slot)
        self._good = []
        for node, (slot, _) in heads.items():
            if slot + SLACK < self.head_slot:
                node.error(Fault.LAGGING, f"its head is slot {slot}, another node's is {self.head_slot}")
            else:
                self._good.append(node)
        if self._good and not self._needs_finality:
            self._watch_finality(heads[self._good[0]][1])
        since = self.chain.time_of(max(self.head_slot - SLACK, 0))
        self._good_executions = [node for node in self._executions if self._tried(self._look_at_execution, node, since)]
        self._best()
        _ = self.execution

    def ask(self, call: Callable[[BeaconClient], Value]) -> Value:
        """Return what `call` returns for the first good beacon node that can answer. Raises NodeError."""

        def answered(node: BeaconNode) -> Value:
            try:
                return node.ask(call)
            except MissingError as error:
                raise node.error(Fault.REFUSED, str(error)) from error

        return self._first(answered)

    def finalized(self) -> Header:
        """Return the last finalized block of the first good beacon node."""
        return self.ask(lambda client: client.header("finalized"))

    def reference(self, slot: int) -> Reference:
        """Return the last block at or before a finalized slot, with its state.

        Raises NodeError: `lagging` when fewer than `agree` nodes hold the slot to be finalized, `inconsistent` when two
        nodes, of either kind, contradict each other.
        """
        header, child = self._agreed(slot)
        state = self._first(lambda node: node.state(header))
        payload = state.field("latest_execution_payload_header")
        number, digest = int(payload.block_number), bytes(payload.block_hash)
        self._good_executions = self._having(number, digest, child, header.root)
        return Reference(slot, header, state, number, digest)

    # --- inside ---

    def _agreed(self, slot: int) -> tuple[Header, int]:
        found: dict[BeaconNode, tuple[Header, int]] = {}
        errors: list[NodeError] = []
        for node in self._good:
            try:
                found[node] = node.block_at(slot)
            except NodeError as error:
                errors.append(error)
        if len({header.root for header, _ in found.values()}) > 1:
            roots = ", ".join(f"{node.name} 0x{header.root.hex()}" for node, (header, _) in found.items())
            text = f"they differ about the block at slot {slot}: {roots}"
            raise self._watch.error(Fault.INCONSISTENT, _ALL, text)
        self._watch.good(_ALL)
        if len(found) < self._agree:
            if errors:
                raise errors[0]
            text = f"{len(found)} can be asked about slot {slot}, {self._agree} must agree"
            raise NodeError(Fault.UNREACHABLE, _ALL, text)
        return next(iter(found.values()))

    def _having(self, number: int, digest: bytes, slot: int, root: bytes) -> list[ExecutionNode]:
        """Return the good execution nodes that pass `demand` and `demand_root`. Raises the first one's error."""
        good: list[ExecutionNode] = []
        errors: list[NodeError] = []
        for node in self._good_executions:
            try:
                node.demand(number, digest)
                node.demand_root(slot, root)
                good.append(node)
            except NodeError as error:
                errors.append(error)
        if errors and not good:
            raise errors[0]
        return good

    def _first(self, call: Callable[[BeaconNode], Value]) -> Value:
        """Return what the first good beacon node gives that can give it. Raises the first one's error."""
        errors: list[NodeError] = []
        for node in self._good:
            try:
                return call(node)
            except NodeError as error:
                errors.append(error)
        raise errors[0] if errors else self._none(BeaconNode)

    def _best(self) -> BeaconNode:
        if not self._good:
            raise self._none(BeaconNode)
        return self._good[0]

    def _none(self, kind: type) -> NodeError:
        """Return the error that says why no node of a kind can be used."""
        unchecked = NodeError(Fault.UNREACHABLE, "nodes", "none was looked at yet")
        return self._last_error.get(kind, unchecked)

    def _look_at(self, node: BeaconNode) -> tuple[int, int]:
        node.identify()
        try:
            slot, behind = node.head(self._max_head_age)
        except MissingError as error:
            raise node.error(Fault.REFUSED, str(error)) from error
        if self._needs_finality and behind > self._max_finality_epochs:
            raise node.error(Fault.LAGGING, f"its finality is {behind} epochs behind its head")
        node.good()
        return slot, behind

    def _watch_finality(self, behind: int) -> None:
        if behind > self._max_finality_epochs:
            self._watch.error(Fault.LAGGING, _ALL, f"finality is {behind} epochs behind the head")
        else:
            self._watch.good(_ALL)

    def _look_at_execution(self, node: ExecutionNode, since: int) -> bool:
        node.identify()
        node.head(since)
        node.good()
        return True

    def _tried(self, call: Callable[..., Value], node: BeaconNode | ExecutionNode, *arguments: Any) -> Value | None:
        """Return what the call returns, or None when something is wrong with the node."""
        try:
            return call(node, *arguments)
        except NodeError as error:
            self._last_error[type(node)] = error
            return None


def _nonsense(error: Exception) -> str:
    return f"wrong answer: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
