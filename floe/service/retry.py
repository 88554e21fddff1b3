"""Bounded retries with jitter, and the loop that every daemon runs in."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from floe.service.metrics import Metrics

log = logging.getLogger(__name__)

Value = TypeVar("Value")


class PassingError(Exception):
    """Something outside went wrong that may pass: a node, a peer. The round ends, and the next one tries again."""

    retried = False
    """Whether asking again at once may help."""


def retry(call: Callable[[], Value], attempts: int = 4, first: float = 0.25, most: float = 8.0) -> Value:
    """Return what `call` returns, called at most `attempts` times: again after a `PassingError` that is worth it.

    Between two attempts lie about `first` seconds, doubled every time, up to `most`, and a random part on top.
    """
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_exponential_jitter(multiplier=first, max=most, jitter=first),
        retry=retry_if_exception(lambda error: isinstance(error, PassingError) and error.retried),
        before_sleep=_tell,
        reraise=True,
    )
    return retrying(call)


def loop(step: Callable[[], object], interval: float, metrics: Metrics, stop: threading.Event) -> None:
    """Call `step` every `interval` seconds until `stop` is set.

    What passes (`PassingError`, a store that cannot be reached) ends a round and is logged; anything else is a bug and
    ends the daemon.
    """
    while not stop.is_set():
        try:
            step()
        except (PassingError, OperationalError) as error:
            metrics.rounds.labels("failed").inc()
            metrics.note("round", _line(error))
            log.warning("the round failed: %s", _line(error))
        else:
            metrics.note("round", None)
            metrics.round_done()
        stop.wait(interval)


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set, so that the round under way ends in order."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _tell(state: RetryCallState) -> None:
    assert state.outcome is not None
    assert state.next_action is not None
    error = state.outcome.exception()
    log.info("attempt %d: %s; again in %.1f s", state.attempt_number, error, state.next_action.sleep)


def _line(error: Exception) -> str:
    """Say it on one line; a database's text goes on with the statement and its values."""
    text = str(error.orig) if isinstance(error, OperationalError) else str(error)
    return " ".join(text.split())[:300] or type(error).__name__
