"""JSON over HTTP to a server on this machine, on one connection that is kept open."""

from __future__ import annotations

import http.client
import json
from itertools import count
from typing import Any
from urllib.parse import urlsplit


class RpcError(Exception):
    """The server answered with an error; `code` and `data` are its own."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message}")
        self.code, self.data = code, data


class Connection:
    """A connection that opens itself and opens again after it was closed. Raises OSError when nobody listens."""

    def __init__(self, url: str, timeout: float = 120) -> None:
        self.address = urlsplit(url)
        self._timeout = timeout
        self._http: http.client.HTTPConnection | None = None

    def request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request; return status and body. What fails on a connection that had idled is sent again once."""
        while True:
            fresh = self._http is None
            if self._http is None:
                self._http = http.client.HTTPConnection(
                    self.address.hostname or "", self.address.port, timeout=self._timeout
                )
            try:
                self._http.request(method, path, body, headers)
                answer = self._http.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError) as error:
                self.close()
                if fresh or isinstance(error, TimeoutError):
                    raise OSError(f"{self.address.netloc}: {error or type(error).__name__}") from error

    def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            self._http.close()
            self._http = None


class Rpc:
    """JSON-RPC 2.0."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url, self.headers = url, headers or {}
        self._connection, self._ids = Connection(url), count(1)

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result. Raises RpcError for an error, OSError when the server cannot be reached."""
        body = json.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters})
        headers = {"Content-Type": "application/json", **self.headers}
        status, text = self._connection.request("POST", "/", body.encode(), headers)
        try:
            answer = json.loads(text)
        except ValueError:
            raise RpcError(method, status, f"HTTP {status}: {text[:200]!r}") from None
        if "error" in answer:
            error = answer["error"]
            raise RpcError(method, error.get("code", 0), error.get("message", ""), error.get("data"))
        return answer["result"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
