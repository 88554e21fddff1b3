"""History out of events: a pending loss that the registry raises, between reports that know of it or not."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from floe.report.events import Event
from floe.report.history import Books
from tests.evm import DAY, ETHER, Evm
from tests.evm import Event as Log
from tests.protocol import GWEI, ORACLE, U96, Protocol


class Chronicle:
    """A young protocol, and its books as its events tell them."""

    def __init__(self) -> None:
        self.protocol = protocol = Protocol(Evm())
        self.names = {protocol.pool.address: "pool", protocol.queue.address: "queue", protocol.token.address: "token"}
        self.books = Books(protocol.pool.address, protocol.queue.address, protocol.token.address)
        self.numbers = count()
        self.write(protocol.deployment)

    def write(self, logs: list[Log] | None = None) -> None:
        """Enter the events of the last transaction."""
        evm, number = self.protocol.evm, next(self.numbers)
        logs = [log for log in logs or evm.events() if log.address in self.names]
        self.books.apply(
            Event(self.names[log.address], log.name, plain(log.fields), number, i, str(number), evm.now)
            for i, log in enumerate(logs)
        )

    def compare(self) -> None:
        """Demand that the books say what the pool says."""
        pool, books, now = self.protocol.pool, self.books, self.protocol.evm.now
        assert (books.pending_loss, books.outside, books.deficit) == (
            pool.pending_loss(),
            pool.outside(),
            pool.deficit(),
        )
        assert (books.shares, books.assets) == (pool.totalSupply(), pool.state()[0] >> 96 & U96)
        assert (books.entry_rate(now), books.exit_rate(now)) == (pool.entry_rate(), pool.exit_rate())


def plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn structs into dictionaries, as the reader of real logs does."""
    return {name: value._asdict() if hasattr(value, "_asdict") else value for name, value in fields.items()}


@pytest.fixture
def chronicle() -> Chronicle:
    made = Chronicle()
    made.protocol.stake(100 * ETHER)
    made.write()
    made.protocol.to_validators()
    made.write()
    made.protocol.request(5 * ETHER)
    made.write()
    made.protocol.report()
    made.write()
    return made


def test_history__raised_leavers_and_reports__is_what_the_pool_says(chronicle: Chronicle):
    protocol = chronicle.protocol
    pool, evm = protocol.pool, protocol.evm
    evm.travel(DAY)
    at_ref = protocol.next_report(gain=ETHER // 100)
    protocol.raise_pending_loss(3 * ETHER // GWEI)
    chronicle.write()
    chronicle.compare()
    assert chronicle.books.pending_loss == 3 * ETHER
    pool.report(at_ref, sender=ORACLE)
    chronicle.write()
    chronicle.compare()
    protocol.raise_pending_loss(7)
    chronicle.write()
    pool.fulfil()
    chronicle.write()
    chronicle.compare()
    assert 0 < chronicle.books.pending_loss < 3 * ETHER + 7 * GWEI
    evm.travel(DAY)
    protocol.report(gain=-ETHER)
    chronicle.write()
    chronicle.compare()
    assert chronicle.books.pending_loss == 0


def test_history__a_raise_is_missing__leaves_impossible_books(chronicle: Chronicle):
    protocol = chronicle.protocol
    protocol.raise_pending_loss(3 * ETHER // GWEI)
    protocol.pool.fulfil()
    chronicle.write()
    assert chronicle.books.pending_loss < 0
