"""Metrics (Prometheus) and health of a daemon, over HTTP.

    metrics = Metrics("keeper")
    metrics.faults.labels("127.0.0.1:5052", "lagging").inc()
    with Served(metrics, "127.0.0.1", 9100) as served:      # GET /metrics, GET /health
        metrics.round_done()

/health answers 200 while the loop comes round, else 503; both with JSON that names all problems.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from floe import __version__
from floe.service.serving import Serving

PATIENCE = 300.0
"""Seconds without a finished round after which a daemon counts as stuck."""


class Metrics:
    """The metrics of one daemon, in a registry of their own, and its health. Safe to use from several threads."""

    def __init__(self, daemon: str, patience: float = PATIENCE) -> None:
        self.registry = CollectorRegistry()
        self.faults = self.counter("node_faults", "Faults of nodes, by kind.", "node", "fault")
        self.rounds = self.counter("rounds", "Rounds of the loop, by outcome.", "outcome")
        self._last_round = self.gauge("last_round_time", "When the last round ended well (Unix time).")
        self.gauge("build", "1; the label is the version.", "daemon", "version").labels(daemon, __version__).set(1)
        self._patience, self._lock = patience, threading.Lock()
        self._done_at = time.monotonic()
        self._problems: dict[str, str] = {}

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Make a counter `floe_<name>_total`."""
        return Counter(f"floe_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Make a gauge `floe_<name>`."""
        return Gauge(f"floe_{name}", text, labels, registry=self.registry)

    def round_done(self) -> None:
        """Note that a round of the loop ended well."""
        self.rounds.labels("done").inc()
        self._last_round.set_to_current_time()
        with self._lock:
            self._done_at = time.monotonic()

    def note(self, condition: str, problem: str | None) -> None:
        """Note what is wrong with a condition, or (None) that it is good again."""
        with self._lock:
            if problem is None:
                self._problems.pop(condition, None)
            else:
                self._problems[condition] = problem

    def health(self) -> dict[str, Any]:
        """Return `ok` (whether a round ended well lately), seconds since that, and problems by condition."""
        with self._lock:
            age, problems = time.monotonic() - self._done_at, dict(self._problems)
        return {"ok": age <= self._patience, "seconds_since_good_round": round(age, 1), "problems": problems}


class Served(Serving):
    """Serves /metrics and /health of a daemon until it is left. Raises OSError where the port is taken."""

    def __init__(self, metrics: Metrics, host: str = "127.0.0.1", port: int = 0) -> None:
        self._metrics, self._app = metrics, make_wsgi_app(metrics.registry)
        super().__init__(make_server(host, port, self._answer, ThreadingWSGIServer, _Silent), "metrics")

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._app(environ, start)
            return answer
        if path == "/health":
            found = self._metrics.health()
            status, content = ("200 OK" if found["ok"] else "503 Service Unavailable"), found
        else:
            status, content = "404 Not Found", {"message": "there is /metrics and /health"}
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(content).encode() + b"\n"]


class _Silent(WSGIRequestHandler):
    timeout = 10  # of a client that does not finish its request

    def log_message(self, *_: Any) -> None:
        """Say nothing: requests are no news."""
