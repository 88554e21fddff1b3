"""Client of the Beacon API: what Floe asks a beacon node.

    client = BeaconClient("http://127.0.0.1:5052")
    head = client.header("finalized")
    state = client.state(head.message.state_root)
    state.prove_validators([7, 9])

Source: the Beacon API specification (ethereum/beacon-APIs, version 2 and 3). Any client that serves it will do.
A block or a state is named as there: "head", "finalized", "justified", "genesis", a slot, or a root.
Whatever goes wrong is a `BeaconError` with one line; `MissingError` is the 404 of a missed slot, a pruned state or an
unknown validator. Answers of a node whose execution client has not verified the chain are refused.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

import pydantic_core
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ReadTimeoutError
from urllib3.util import Retry

from floe.beacon.containers import (
    BeaconBlockHeader,
    Checkpoint,
    ContainerError,
    Fork,
    PendingDeposit,
    Preset,
    Validator,
    from_json,
    header_root,
    preset_of,
)
from floe.beacon.ssz import BeaconStateView

OCTETS = "application/octet-stream"
JSON = "application/json"

CONNECT_TIMEOUT = 5.0
"""Seconds until a connection must stand."""
STATE_TIMEOUT = 300.0
"""Seconds between two parts of a state: a node may have to compute it first."""
WHOLE = 2
"""Times the time-out between two parts of an answer: until it must have ended, however slowly its bytes come."""

_AGAIN = (429, 500, 502, 503, 504)  # statuses after which a second try may help
_LATE = "no answer in time"
_EXITS = "/eth/v1/beacon/pool/voluntary_exits"

NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised by reading an answer that has not the form it should have."""

Id = str | int | bytes
"""A block or a state: a name, a slot, or a root."""


Fault = Literal["unreachable", "timeout", "server_error", "refused", "malformed", "inconsistent", "unverified"]
"""What went wrong: no connection, no answer in time, a status from 500 on or 429, another status, an answer that is not
as the API defines it, one that contradicts itself, a node whose execution client has not verified the chain."""


class _Bounded(HTTPConnection):
    """A connection that is cut when an answer is not there as a whole in time."""

    _cut: threading.Timer | None = None

    def putrequest(self, *arguments: Any, **options: Any) -> None:
        """Begin a request: the answer before it has ended."""
        if self._cut is not None:
            self._cut.cancel()
        super().putrequest(*arguments, **options)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Return the answer when it begins."""
        self._cut = threading.Timer(WHOLE * float(self.timeout or STATE_TIMEOUT), _cut, [self.sock])
        self._cut.daemon = True
        self._cut.start()
        return super().getresponse()


class _BoundedTls(_Bounded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls


class BoundedAdapter(HTTPAdapter):
    """For `requests`: an answer that does not end in WHOLE times its time-out is cut off. Its size is not bounded."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools of connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class BeaconError(Exception):
    """A beacon node that cannot be reached, refuses, or answers what it should not. One line."""

    def __init__(self, text: str, fault: Fault = "refused") -> None:
        super().__init__(text)
        self.fault = fault


class MissingError(BeaconError):
    """The node does not have it: no block in this slot, a state that was pruned, no such validator."""


@dataclass(frozen=True)
class Genesis:
    """How the chain began. `time` is in seconds since 1970."""

    time: int
    validators_root: bytes
    fork_version: bytes


@dataclass(frozen=True)
class Header:
    """A block's header, and its root."""

    root: bytes
    message: BeaconBlockHeader


@dataclass(frozen=True)
class FinalityCheckpoints:
    """Checkpoints of a state."""

    previous_justified: Checkpoint
    current_justified: Checkpoint
    finalized: Checkpoint


@dataclass(frozen=True)
class ValidatorInfo:
    """A validator in a state. `balance` is in Gwei; `status` as the Beacon API defines it, like "active_ongoing"."""

    index: int
    balance: int
    status: str
    validator: Validator


@dataclass(frozen=True)
class EncodedState:
    """A state as SSZ bytes, and the name of its fork."""

    fork: str
    ssz: bytes


@dataclass(frozen=True)
class Block:
    """A block without its signature, as JSON, and the name of its fork."""

    fork: str
    message: dict[str, Any]


class BeaconClient:
    """A beacon node. `timeout`: seconds until an answer must begin; `attempts`: how often a request is sent at most.

    An answer must have ended in WHOLE times `timeout`. Asked again is after a lost connection and after statuses that
    may pass, with `pause` seconds in between, doubled each time. A voluntary exit is sent once.
    """

    def __init__(self, url: str, timeout: float = 30.0, attempts: int = 3, pause: float = 0.25) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BeaconError(f"the URL of a beacon node starts with http:// or https://, this one is {url!r}")
        self._url, self._timeout = url.rstrip("/"), timeout
        self.name = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        """The node in messages: its host, without what a URL may hold in secret."""
        retries = Retry(
            total=attempts - 1,
            backoff_factor=pause,
            status_forcelist=_AGAIN,
            allowed_methods=None,  # all
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        self._session = requests.Session()
        self._session.mount(self._url, BoundedAdapter(max_retries=retries))
        self._session.mount(self._url + _EXITS, BoundedAdapter(max_retries=0))

    def close(self) -> None:
        """Close the connections. The client can be used again: it opens new ones."""
        self._session.close()

    # --- configuration ---

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Configuration and preset of the chain, asked once: strings by name, as in the specs."""
        spec: dict[str, Any] = self._data("/eth/v1/config/spec", dict)
        return spec

    @cached_property
    def preset(self) -> Preset:
        """Preset of the chain."""
        try:
            return preset_of(self.spec)
        except ContainerError as error:
            raise BeaconError(f"{self.name}: {error}") from error

    def genesis(self) -> Genesis:
        """Return how the chain began."""
        path = "/eth/v1/beacon/genesis"
        fields = self._data(path, dict)
        with self._reading(path):
            return Genesis(
                int(fields["genesis_time"]),
                _bytes(fields["genesis_validators_root"], 32),
                _bytes(fields["genesis_fork_version"], 4),
            )

    # --- blocks ---

    def header(self, block: Id = "head") -> Header:
        """Return the header of a block, whose root was recomputed. Raises `MissingError` for a slot without a block."""
        path = f"/eth/v1/beacon/headers/{_name(block)}"
        fields = self._data(path, dict)
        with self._reading(path):
            header = Header(_bytes(fields["root"], 32), from_json(BeaconBlockHeader, fields["header"]["message"]))
        if header_root(header.message) != header.root:
            raise self._wrong(path, "the root is not that of the header", "inconsistent")
        return header

    def block(self, block: Id = "head") -> Block:
        """Return a block. Raises `MissingError` for a slot without one."""
        path = f"/eth/v2/beacon/blocks/{_name(block)}"
        answer = self._json(path)
        with self._reading(path):
            return Block(str(answer["version"]), dict(answer["data"]["message"]))

    # --- states ---

    def state_root(self, state: Id = "head") -> bytes:
        """Return the root of a state."""
        path = _state_path(state, "root")
        fields = self._data(path, dict)
        with self._reading(path):
            return _bytes(fields["root"], 32)

    def fork(self, state: Id = "head") -> Fork:
        """Return the versions of the fork that a state is in."""
        path = _state_path(state, "fork")
        fields = self._data(path, dict)
        with self._reading(path):
            fork: Fork = from_json(Fork, fields)
            return fork

    def finality_checkpoints(self, state: Id = "head") -> FinalityCheckpoints:
        """Return what a state knows to be justified and finalized."""
        path = _state_path(state, "finality_checkpoints")
        fields = self._data(path, dict)
        with self._reading(path):
            return FinalityCheckpoints(
                previous_justified=from_json(Checkpoint, fields["previous_justified"]),
                current_justified=from_json(Checkpoint, fields["current_justified"]),
                finalized=from_json(Checkpoint, fields["finalized"]),
            )

    def validators(self, ids: Sequence[int | bytes], state: Id = "head") -> list[ValidatorInfo]:
        """Return those of these validators (indices or public keys) that the state knows, in order of their index."""
        if not ids:
            return []  # the API would return all
        path = _state_path(state, "validators")
        names = ["0x" + each.hex() if isinstance(each, bytes) else str(each) for each in ids]
        found = self._data(path, list, {"ids": names})
        with self._reading(path):
            infos = [
                ValidatorInfo(
                    int(each["index"]),
                    int(each["balance"]),
                    str(each["status"]),
                    from_json(Validator, each["validator"]),
                )
                for each in found
            ]
        return sorted(infos, key=lambda info: info.index)

    def pending_deposits(self, state: Id = "head") -> list[PendingDeposit]:
        """Return the deposits that wait in a state, first in line first (Electra and later)."""
        path = _state_path(state, "pending_deposits")
        found = self._data(path, list)
        with self._reading(path):
            return [from_json(PendingDeposit, each) for each in found]

    def encoded_state(self, state: Id) -> EncodedState:
        """Download a state as SSZ bytes (on mainnet some 300 MB)."""
        path = f"/eth/v2/debug/beacon/states/{_name(state)}"
        answer = self._request(path, accept=OCTETS, timeout=STATE_TIMEOUT)
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind != OCTETS:
            raise self._wrong(path, f"the content is {kind or 'of no type'}, not {OCTETS}")
        fork = answer.headers.get("Eth-Consensus-Version", "")
        if not fork:
            raise self._wrong(path, "the header Eth-Consensus-Version is missing")
        return EncodedState(fork.lower(), answer.content)

    def state(self, state: Id) -> BeaconStateView:
        """Download a state. Raises `StateError` or `ContainerError` for one that cannot be read."""
        encoded = self.encoded_state(state)
        return BeaconStateView(encoded.ssz, encoded.fork, self.preset)

    # --- exits ---

    def post_voluntary_exit(self, epoch: int, validator_index: int, signature: bytes) -> None:
        """Hand in a signed voluntary exit. Raises `BeaconError` with the node's reason if it is refused."""
        message = {"epoch": str(epoch), "validator_index": str(validator_index)}
        self._request(_EXITS, {"message": message, "signature": "0x" + signature.hex()})

    # --- requests ---

    def _request(
        self, path: str, body: Any = None, accept: str = JSON, timeout: float | None = None
    ) -> requests.Response:
        started, timeout = time.monotonic(), timeout or self._timeout
        try:
            answer = self._session.request(
                "GET" if body is None else "POST",
                self._url + path,
                json=body,
                headers={"Accept": accept},
                timeout=(CONNECT_TIMEOUT, timeout),
            )
        except requests.RequestException as error:
            reason = _LATE if time.monotonic() - started >= WHOLE * timeout else _reason(error)
            fault: Fault = "timeout" if reason == _LATE else "unreachable"
            raise BeaconError(f"{self.name}: {reason} ({path})", fault) from error
        if not answer.ok:
            failure = MissingError if answer.status_code == 404 else BeaconError
            fault = "server_error" if answer.status_code >= 500 or answer.status_code == 429 else "refused"
            raise failure(f"{self.name}: {_complaint(answer)} ({path})", fault)
        return answer

    def _json(self, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._request(path, body)
        try:
            content = pydantic_core.from_json(
                answer.content
            )  # unlike json.loads, it bounds how deep an answer is nested
        except ValueError:
            raise self._wrong(path, "the content is not JSON") from None
        if not isinstance(content, dict) or "data" not in content:
            raise self._wrong(path, "the content has no field `data`")
        if content.get("execution_optimistic"):
            raise BeaconError(
                f"{self.name}: its execution client has not verified this block yet ({path})", "unverified"
            )
        return content

    def _data(self, path: str, kind: type, body: Any = None) -> Any:
        data = self._json(path, body)["data"]
        if not isinstance(data, kind):
            raise self._wrong(path, f"`data` is a {type(data).__name__}, not a {kind.__name__}")
        return data

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Turn what a malformed answer raises into a BeaconError."""
        try:
            yield
        except KeyError as error:
            raise self._wrong(path, f"the field `{error.args[0]}` is missing") from error
        except (ContainerError, *NONSENSE) as error:
            raise self._wrong(path, str(error)) from error

    def _wrong(self, path: str, problem: str, fault: Fault = "malformed") -> BeaconError:
        return BeaconError(f"{self.name}: wrong answer: {problem} ({path})", fault)


def _name(place: Id) -> str:
    return "0x" + place.hex() if isinstance(place, bytes) else str(place)


def _state_path(state: Id, what: str) -> str:
    return f"/eth/v1/beacon/states/{_name(state)}/{what}"


def _bytes(text: str, length: int) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) != length:
        raise ValueError(f"{text} is not {length} bytes")
    return data


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was closed


def _reason(error: requests.RequestException) -> str:
    """Say why there was no answer; the library's own text holds the whole URL."""
    cause = error.args[0] if error.args else None
    if isinstance(getattr(cause, "reason", cause), ReadTimeoutError):
        return _LATE
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is refused"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the answer broke off"
    return type(error).__name__


def _complaint(answer: requests.Response) -> str:
    """Status and what the node says about it, on one line."""
    try:
        text = str(answer.json()["message"])
    except (requests.JSONDecodeError, KeyError, TypeError):
        text = answer.text
    line = " ".join(text.split())[:200] or answer.reason
    return f"status {answer.status_code}: {line}"
