"""A deployment as the oracle's programs read it: through watched nodes, at slots that are final."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from eth_abi.abi import decode
from eth_utils.abi import function_signature_to_4byte_selector
from requests import RequestException
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import EventData

from floe import build
from floe.beacon.client import NONSENSE, BeaconError
from floe.beacon.containers import ContainerError
from floe.beacon.ssz import StateError
from floe.deploy.record import Record
from floe.oracle.observer import LOG_RANGE, Observation, ObservationError, Observer
from floe.oracle.report import TYPES, Oracle, Report, digest
from floe.service.nodes import Nodes
from floe.service.retry import PassingError

log = logging.getLogger(__name__)

MOST_DELAY = 2 * 86_400
"""Seconds after its reference slot by which a report is booked or dropped: the contract's limit."""
LONGEST = 300
"""Characters of an error that are shown."""

_FIELDS = 32 * len(TYPES)


class ReadingError(PassingError):
    """What was to be read cannot be had now. One line."""


class Protocol:
    """One deployment on watched nodes. Its methods raise ReadingError, or another PassingError."""

    def __init__(self, record: Record, nodes: Nodes) -> None:
        self.record, self.nodes = record, nodes
        self.oracle = Oracle(record.chain_id, record.address("ReportOracle"))
        self._abi = build.load("ReportOracle").abi

    @property
    def contract(self) -> Any:
        """The ReportOracle, on the execution node that is good now."""
        address = Web3.to_checksum_address(self.oracle.address)
        return self.nodes.execution.eth.contract(address=address, abi=self._abi)

    def check(self) -> None:
        """Check that the oracle on chain is that of the record, its pool and its beacon chain, and this program's."""
        pool, beacon = self.record.address("FloePool"), self.nodes.chain.beacon
        empty = Report(0, 0, 0, 0, 0, 0, 0, 0, bytes(32), bytes(32))
        with reading():
            functions = self.contract.functions
            found = functions.pool().call(), tuple(functions.chain_constants().call())
            if found != (Web3.to_checksum_address(pool), beacon.clock()):
                raise ReadingError(f"the oracle {self.oracle.address} is for pool {found[0]} on the chain {found[1]}")
            if bytes(functions.digest(tuple(empty)).call()) != digest(empty, self.oracle):
                raise ReadingError(f"the oracle {self.oracle.address} signs another form of report than this program")
            _, seconds_per_slot, slots_per_epoch = found[1]
            frame_epochs, max_age, resolve_time = functions.parameters().call()[:3]
        if problem := short_frames(frame_epochs * slots_per_epoch * seconds_per_slot, max_age, resolve_time):
            log.warning(problem)

    def ask(self, *calls: Any) -> list[Any]:
        """Return what calls of contracts return, asked for at once."""
        with reading(), self.nodes.execution.batch_requests() as batch:
            for call in calls:
                batch.add(call)
            return list(batch.execute())

    def frame_slots(self) -> int:
        """Return how many slots a frame has, by the parameters of now."""
        functions = self.contract.functions
        parameters, chain = self.ask(functions.parameters(), functions.chain_constants())
        return int(parameters[0] * chain[2])

    def observe(
        self, ref_slot: int, observer: Observer | None = None, progress: Callable[[int, int], None] | None = None
    ) -> Observation:
        """Read what a report says about a reference slot that is final; `observer` is one that has read before."""
        reference = self.nodes.reference(ref_slot)
        with reading():
            observer = observer or self.observer()
            observer.progress = progress
            return observer.observe(ref_slot, reference.header, reference.state)

    def observer(self) -> Observer:
        """Return an observer that has read nothing yet, on the nodes that are good now."""
        return Observer(
            self.nodes.beacon,
            self.nodes.execution,
            self.record.address("FloePool"),
            self.record.address("ValidatorRegistry"),
            self.oracle.address,
            self.record.first_block,
        )

    def outcome(self, ref_slot: int, since: int) -> tuple[EventData | None, EventData | None]:
        """Return the events Applied and Held about a reference slot, in blocks from number `since` on."""
        found: dict[str, EventData] = {}
        with reading():
            eth, events = self.nodes.execution.eth, self.contract.events
            newest, latest = eth.block_number, self.nodes.chain.time_of(ref_slot) + MOST_DELAY
            for first in range(max(since, self.record.first_block), newest + 1, LOG_RANGE):
                if first > since and int(eth.get_block(first)["timestamp"]) > latest:
                    break
                last = min(first + LOG_RANGE - 1, newest)
                for event in (events.Applied(), events.Held()):
                    for log in event.get_logs({"ref_slot": ref_slot}, first, last):
                        found[log["event"]] = log
        return found.get("Applied"), found.get("Held")

    def submitted(self, log: EventData) -> Report | None:
        """Return the report that an event is about, or None where its transaction does not show it.

        Held carries it. Applied carries the digest: what a call of `submit` or `accept` brought, directly or through
        another contract, is in the transaction, and the digest proves that it is this.
        """
        if log["event"] == "Held":
            return Report(*log["args"]["report"].values())
        with reading():
            data = bytes(self.nodes.execution.eth.get_transaction(log["transactionHash"])["input"])
        struct = f"({','.join(TYPES.values())})"
        for signature in (f"submit({struct},uint256,bytes)", f"accept({struct})"):
            selector = function_signature_to_4byte_selector(signature)
            start = data.find(selector)
            while start >= 0:
                words = data[start + 4 : start + 4 + _FIELDS]
                if len(words) == _FIELDS:
                    report = Report(*decode(list(TYPES.values()), words))
                    if digest(report, self.oracle) == log["args"]["digest"]:
                        return report
                start = data.find(selector, start + 1)
        return None


def short_frames(frame: int, max_age: int, resolve_time: int) -> str | None:
    """Return what is weaker where a frame has fewer seconds than a report may be old, or be held; None otherwise."""
    weaker = []
    if frame < max_age:
        weaker.append(
            f"max_age {max_age} s: a quorum's lie that comes late can keep the next true reports out that long"
        )
    if frame < resolve_time:
        weaker.append(f"resolve_time {resolve_time} s: the next held report takes the council's decision away")
    return f"a frame has {frame} s, less than {', and less than '.join(weaker)}" if weaker else None


@contextmanager
def reading() -> Iterator[None]:
    """Make one kind of error, of one line, from all that libraries raise about nodes."""
    try:
        yield
    except PassingError:
        raise
    except (BeaconError, ContainerError, ObservationError, RequestException, StateError, Web3Exception) as error:
        text = " ".join(str(error).split())[:LONGEST] or type(error).__name__
        if "missing trie node" in text or "state is not available" in text:
            text = f"the execution node has dropped the state of that block, an archive node has it: {text}"
        raise ReadingError(text) from error
    except NONSENSE as error:
        text = " ".join(str(error).split())[:LONGEST]
        raise ReadingError(f"a node's answer cannot be understood: {type(error).__name__}: {text}") from error
