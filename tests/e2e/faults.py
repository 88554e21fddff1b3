"""A beacon node that can be made to fail: it stands before a real one and passes everything on until told otherwise."""

from __future__ import annotations

import threading
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

MOVING = ("head", "finalized", "justified", "finality_checkpoints", "syncing")
"""What the end or a part of a path is when its answer depends on how far the node has followed the chain."""


class FaultyNode:
    """A proxy on 127.0.0.1 with three faults, which can be switched on and off."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._requests = 0
        self.failing = False
        """Answer every third request with 500."""
        self.stuck = False
        """Go on answering as when this was switched on: the node follows the chain no more."""
        self.hidden: set[str] = set()
        """Slots and roots of blocks that have not reached the node yet."""
        self._before: dict[str, tuple[int, str, bytes]] = {}
        self._lock = threading.Lock()
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = node.answer(self.path, self.headers.get("Accept", "application/json"))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if "octet-stream" in kind:
                    self.send_header("Eth-Consensus-Version", node.fork)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.fork = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for a GET."""
        with self._lock:
            self._requests += 1
            failing = self.failing and self._requests % 3 == 0
        if failing:
            return 500, "application/json", b'{"code": 500, "message": "internal error"}'
        words = path.split("?")[0].split("/")
        if self.hidden.intersection(words):
            return 404, "application/json", b'{"code": 404, "message": "no such block"}'
        moving = any(word in MOVING for word in words)
        if moving and self.stuck and path in self._before:
            return self._before[path]
        try:
            with urlopen(Request(self._upstream + path, headers={"Accept": accept}), timeout=60) as found:
                self.fork = found.headers.get("Eth-Consensus-Version", self.fork)
                answer = found.status, found.headers.get("Content-Type", "application/json"), found.read()
        except HTTPError as error:
            answer = error.code, "application/json", error.read()
        except (OSError, HTTPException):
            answer = 502, "application/json", b'{"code": 502, "message": "no answer from behind"}'
        if moving and not self.stuck:
            self._before[path] = answer
        return answer

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
