"""Members give each other their signatures over HTTP.

    exchange = Exchange(oracle, store, metrics, peers)
    exchange.frame = Frame(members, report, oldest, newest, length)     # every round
    with Served(exchange, host, port):                                  # POST /v1/signatures, GET /v1/signatures
        exchange.swap(message)                                          # give ours, take theirs

A message is a report and a member's signature of it, as JSON. It is authentic when the signature is one of a current
member; who brought it does not matter, and nothing in it is secret. So members also pass on the signatures of others,
and two who cannot reach each other meet through a third. A peer that is late, dead or hostile costs a bounded time.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pydantic_core
import requests
from sqlalchemy.exc import SQLAlchemyError
from urllib3.exceptions import HTTPError

from floe.oracle.report import Oracle, Report, ReportError, digest
from floe.oracle.signer import SignerError, contest_of, recover
from floe.service.metrics import Metrics
from floe.service.serving import Serving
from floe.service.store import Store

log = logging.getLogger(__name__)

PATH = "/v1/signatures"
NOT_OPEN = 409
"""HTTP status for a message about a frame that is settled, or not there yet."""
MOST_BODY = 4_096
"""Bytes of a message; it has about 1,300."""
MOST_ANSWER = 64 * MOST_BODY
"""Bytes of an answer: a message for each of 32 members, and as much again."""
MOST_CONNECTIONS = 32
"""At the same time."""
CONNECTION_SECONDS = 10.0
"""For a whole request, however slowly its bytes come."""
PEER_TIMEOUT = 5.0
"""Seconds for a connection to a peer, and between two parts of its answer."""
SWAP_SECONDS = 8.0
"""For all peers together; who is not ready then is not waited for."""


class MessageError(Exception):
    """A message that is not taken. One line; `status` is the HTTP status that fits."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Message:
    """A report, and a member's signature of it."""

    report: Report
    signature: bytes

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return {"report": self.report.as_json(), "signature": "0x" + self.signature.hex()}

    @classmethod
    def from_json(cls, content: object) -> Message:
        """Read what `as_json` wrote. Raises MessageError."""
        if not isinstance(content, dict) or set(content) != {"report", "signature"}:
            raise MessageError("a message has the fields `report` and `signature`")
        try:
            return cls(Report.from_json(content["report"]), bytes.fromhex(str(content["signature"]).removeprefix("0x")))
        except ReportError as error:
            raise MessageError(str(error)) from None
        except ValueError:
            raise MessageError("the signature is not 0x and digits") from None


@dataclass(frozen=True)
class Frame:
    """What messages may be about now."""

    members: tuple[str, ...]
    """By place, checksummed; the zero address where a member was removed."""
    own: Report | None
    """What was computed here for the newest frame."""
    after: int
    """Reference slots up to this one are settled."""
    newest: int
    """Newest slot of the chain."""
    slots: int
    """Length of a frame."""


class Exchange:
    """Takes messages in, keeps them, gives them out, and visits peers. Safe to use from several threads."""

    def __init__(self, oracle: Oracle, store: Store, metrics: Metrics, peers: Sequence[str] = ()) -> None:
        self.oracle, self._store = oracle, store
        self.frame = Frame((), None, 0, 0, 1)
        """Replaced as a whole."""
        self._peers = [_Peer(url) for url in peers]
        self._up = metrics.gauge("oracle_peer_up", "Whether the last visit to a peer went well.", "peer")
        self._differing = metrics.counter("oracle_differing_signatures", "Signatures of other reports.", "member")

    def take(self, content: object) -> bool:
        """Check a message and keep its signature; return whether it was new. Raises MessageError."""
        frame, message = self.frame, Message.from_json(content)
        report = message.report
        if report.ref_slot % frame.slots or not frame.after < report.ref_slot <= frame.newest:
            raise MessageError(f"slot {report.ref_slot} is not a reference slot that is open now", NOT_OPEN)
        try:
            member = recover(report, self.oracle, message.signature)
        except SignerError as error:
            raise MessageError(str(error)) from None
        if member not in frame.members:
            raise MessageError(f"{member} is not a member", 403)
        hashed = digest(report, self.oracle)
        new = self._store.add_signature(contest_of(report.ref_slot, self.oracle), member, hashed, message.signature)
        if new and frame.own is not None and frame.own.ref_slot == report.ref_slot and frame.own != report:
            self._differing.labels(member).inc()
            extra = {"ref_slot": report.ref_slot, "fields": frame.own.differences(report)}
            log.error("%s signs another report", member, extra=extra)
        return new

    def known(self) -> list[Message]:
        """Return current members' messages that agree with what was computed here for the newest frame."""
        own = self.frame.own
        if own is None:
            return []
        members = {member.lower() for member in self.frame.members}
        found = self._store.signatures(contest_of(own.ref_slot, self.oracle), digest(own, self.oracle))
        return [Message(own, one.signature) for one in found if one.member in members]

    def swap(self, own: Message | None) -> None:
        """Give our message, if there is one, to every peer, and take what it has. Peers that fail are logged."""
        until = time.monotonic() + SWAP_SECONDS
        visits = [peer.visit(own, self.take) for peer in self._peers]
        for visit in visits:
            visit.join(max(until - time.monotonic(), 0))
        for peer in self._peers:
            problem = peer.problem if not peer.busy else "no answer in time"
            self._up.labels(peer.name).set(problem is None)
            if problem is not None and problem != peer.told:
                log.warning("peer %s: %s", peer.name, problem)
            peer.told = problem


class _Peer:
    """Another member's endpoint."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self.problem: str | None = None
        """Of the last visit that has ended."""
        self.told: str | None = None
        """As was logged."""
        self._url, self._given, self._thread = url.rstrip("/") + PATH, b"", threading.Thread()

    @property
    def busy(self) -> bool:
        """Whether a visit is still under way."""
        return self._thread.is_alive()

    def visit(self, own: Message | None, take: Callable[[object], bool]) -> threading.Thread:
        """Start a visit, unless one is under way; a thread that hangs keeps nobody from leaving."""
        if not self.busy:
            self._thread = threading.Thread(target=self._visit, args=(own, take), name=self.name, daemon=True)
            self._thread.start()
        return self._thread

    def _visit(self, own: Message | None, take: Callable[[object], bool]) -> None:
        problems: list[str] = []
        try:
            with _noting(problems):
                if own is not None and own.signature != self._given:
                    self._ask("POST", own.as_json())
                    self._given = own.signature
            with _noting(problems):
                answer = self._ask("GET", None)
                messages = answer.get("messages") if isinstance(answer, dict) else None
                if not isinstance(messages, list):
                    raise MessageError("the answer has no list `messages`")
                for message in messages:
                    with _noting(problems):
                        take(message)
        except (requests.RequestException, HTTPError) as error:
            problems.append(type(error).__name__)
        except SQLAlchemyError as error:
            problems.append(f"our own store: {type(error).__name__}")
        self.problem = problems[-1] if problems else None

    def _ask(self, method: str, body: Any) -> Any:
        with requests.request(
            method, self._url, json=body, timeout=PEER_TIMEOUT, stream=True, allow_redirects=False
        ) as answer:
            content = answer.raw.read(MOST_ANSWER + 1, decode_content=False)
            if len(content) > MOST_ANSWER:
                raise MessageError("the answer is too long")
            if answer.status_code != 200:
                raise MessageError(f"status {answer.status_code}: {_line(content)}", answer.status_code)
            return _parsed(content)


class Served(Serving):
    """Serves an Exchange until it is left. Raises OSError where the port is taken."""

    def __init__(self, exchange: Exchange, host: str, port: int) -> None:
        super().__init__(_Server(exchange, host, port), "exchange")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, exchange: Exchange, host: str, port: int) -> None:
        self.exchange, self._free = exchange, threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there are not too many already."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, for a bounded time."""
        watch = threading.Timer(CONNECTION_SECONDS, _cut, [request])
        watch.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            watch.cancel()
            self._free.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Say nothing about connections that broke off."""
        log.debug("a connection of %s broke off", client_address[0], exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = CONNECTION_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(lambda: {"messages": [one.as_json() for one in self.server.exchange.known()]})

    def do_POST(self) -> None:
        self._answer(lambda: {"new": self.server.exchange.take(self._body())})

    def log_message(self, *_: Any) -> None:
        """Say nothing: requests are no news."""

    def _answer(self, make: Callable[[], Any]) -> None:
        try:
            if urlsplit(self.path).path != PATH:
                raise MessageError(f"there is {PATH}", 404)
            self._reply(200, make())
        except MessageError as error:
            self._reply(error.status, {"message": str(error)})
        except SQLAlchemyError as error:
            log.warning("the store failed: %s", type(error).__name__)
            self._reply(503, {"message": "the store is not there"})

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise MessageError("the header Content-Length is missing", 411)
        if int(length) > MOST_BODY:
            raise MessageError(f"a message has at most {MOST_BODY} bytes", 413)
        return _parsed(self.rfile.read(int(length)))

    def _reply(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _parsed(content: bytes) -> Any:
    """Read JSON from a stranger; unlike json.loads, it bounds how deep that is nested. Raises MessageError."""
    try:
        return pydantic_core.from_json(content)
    except ValueError:
        raise MessageError("it is not JSON") from None


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Note what is wrong with one message, and go on; where one of the two is at an earlier frame, that passes."""
    try:
        yield
    except MessageError as error:
        if error.status != NOT_OPEN:
            problems.append(str(error))


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _line(content: bytes) -> str:
    return " ".join(content.decode(errors="replace").split())[:200]
