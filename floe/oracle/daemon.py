"""`ape floe oracle run`: a member of the oracle's committee.

A round looks at the newest frame whose reference slot is final: it reads both chains at that slot, computes the report,
signs it, exchanges signatures with the other members, and brings the report on chain once enough agree. The first in an
order that rotates from frame to frame does so, the others only if it does not. Members that cannot reach each other
vote on chain instead. A frame that is not finished when a newer one is final is given up.

What must not be done twice is in the store before it is done, so a round may end anywhere. Time is the chain's.
"""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from hexbytes import HexBytes
from pydantic import Field
from web3.exceptions import ContractLogicError

from floe.oracle import exchange
from floe.oracle.exchange import Exchange, Frame, Message
from floe.oracle.observer import NotThereError
from floe.oracle.reading import Protocol, ReadingError, reading
from floe.oracle.report import Report, canonical, canonical_hash, digest, report_of
from floe.oracle.signer import Key, SecondReportError, Signer, contest_of, sign_once
from floe.service import log as logs
from floe.service.config import Listener, Seconds, ServiceConfig, Url, load
from floe.service.metrics import Metrics, Served
from floe.service.retry import loop, stop_on_signals
from floe.service.sender import Call, DearError, RefusedError, Sender
from floe.service.starting import starting
from floe.service.store import Store

log = logging.getLogger(__name__)

GWEI = 10**9
KEPT_FRAMES = 30
"""Frames whose signatures stay in the store."""
Slots = Annotated[int, Field(ge=0, le=7_200)]


class OracleConfig(ServiceConfig):
    """What a member's daemon is told: `config/oracle.example.yaml` explains it."""

    key: Key | None = None
    """None: it computes and compares, and signs nothing."""
    listen: Listener | None = None
    """Where other members bring their signatures."""
    peers: Annotated[list[Url], Field(max_length=64, default_factory=list)]
    """The other members' endpoints."""
    interval: Seconds = 12.0
    """Between two rounds."""
    turn: Slots = 3
    """How long the next in the order waits for the one before it."""
    vote_after: Slots = 75
    """How long after its signature a member without a quorum votes on chain."""
    max_fee_gwei: Annotated[int, Field(ge=1)] = 300
    """Most that a unit of gas may cost."""
    max_gas: Annotated[int, Field(ge=100_000, le=30_000_000)] = 2_000_000
    """Most that a transaction may use."""


@dataclass
class Work:
    """The frame that is being worked on. Times are slots of the head, as this process saw them."""

    report: Report
    signature: bytes | None = None
    begun_at: int = 0
    ready_at: int | None = None
    """When enough had agreed."""
    previewed: bool = False


@dataclass(frozen=True)
class Seen:
    """What a round starts from."""

    newest: int
    """Reference slot of the newest frame that is final."""
    slots: int
    """Length of a frame."""
    settled: int
    """Reference slot of the last report on chain."""
    max_age: int
    """Seconds."""
    members: tuple[str, ...]
    quorum: int
    votes: tuple[bytes, ...]
    """By place."""


class Daemon:
    """One member. `step` is a round; it raises PassingError when the round cannot go on now."""

    def __init__(
        self,
        config: OracleConfig,
        protocol: Protocol,
        store: Store,
        metrics: Metrics,
        key: Signer | None,
        dry_run: bool = False,
    ) -> None:
        self._config, self._protocol, self._store, self._metrics = config, protocol, store, metrics
        self._key, self._dry_run = key, dry_run
        self._nodes, self._oracle = protocol.nodes, protocol.oracle
        self._sender = Sender(lambda: self._nodes.execution, key, store, self._oracle.chain_id) if key else None
        self._checkpoint = f"observed {self._oracle.chain_id} {self._oracle.address.lower()}"
        self.exchange = Exchange(self._oracle, store, metrics, config.peers)
        self._work: Work | None = None
        self._over = 0
        """Reference slot up to which there is nothing more to do here."""
        self._last = metrics.gauge("oracle_last_ref_slot", "Reference slot of the last report on chain.")
        self._computed = metrics.gauge("oracle_computed_ref_slot", "Reference slot of the last report computed here.")
        self._agreed = metrics.gauge("oracle_agreed", "Members known to agree with the report computed here.")
        self._quorum = metrics.gauge("oracle_quorum", "Members that must agree.")
        self._fields = metrics.gauge("oracle_report", "Fields of the last report computed here.", "field")
        self._transactions = metrics.counter("oracle_transactions", "Transactions sent.", "kind")
        self._refusals = metrics.counter("oracle_refused_signatures", "Second reports that were not signed.")

    @property
    def report(self) -> Report | None:
        """The report that is being worked on."""
        return self._work.report if self._work else None

    def step(self) -> None:
        """Do what can be done now."""
        self._nodes.check()
        if self._sender and not self._dry_run:
            with reading():
                self._sender.settle()
        seen = self._look()
        self._open(seen)
        if self._work and self._work.report.ref_slot < seen.newest:
            self._finish(self._work, seen)
        if seen.newest <= self._over:
            return
        if self._work is None and seen.newest > seen.settled and self._age(seen) > seen.max_age:
            self._metrics.note("report", f"slot {seen.newest} is too old to be reported: the next frame follows")
            log.error("too old to be reported", extra={"ref_slot": seen.newest})
            self._over = seen.newest
            return
        work = self._work or self._begin(seen)
        if work is None:
            return
        self._open(seen)
        self._metrics.note("report", None)
        if work.report.ref_slot <= seen.settled:
            self._finish(work, seen)
        elif self._dry_run:
            self._preview(work)
            log.info(
                "dry run: this would be signed", extra={"canonical": canonical(work.report, self._oracle).decode()}
            )
            self._over, self._work = work.report.ref_slot, None
        else:
            self._preview(work)
            self._agree(work, seen)

    # --- what there is ---

    def _look(self) -> Seen:
        functions = self._protocol.contract.functions
        last, parameters, chain, members, quorum = self._protocol.ask(
            functions.last(),
            functions.parameters(),
            functions.chain_constants(),
            functions.members(),
            functions.quorum(),
        )
        slots = int(parameters[0] * chain[2])
        seen = Seen(
            newest=int(self._nodes.finalized().message.slot) // slots * slots,
            slots=slots,
            settled=int(last[0]),
            max_age=int(parameters[1]),
            members=tuple(members),
            quorum=int(quorum),
            votes=tuple(map(bytes, self._protocol.ask(*map(functions.votes, range(len(members)))))),
        )
        self._last.set(seen.settled)
        self._quorum.set(seen.quorum)
        problem = None
        if self._key and self._key.address not in members:
            problem = f"{self._key.address} is not a member of the committee"
        self._metrics.note("membership", problem)
        return seen

    def _open(self, seen: Seen) -> None:
        """Let the other members' messages in."""
        self.exchange.frame = Frame(seen.members, self.report, seen.settled, self._nodes.head_slot, seen.slots)

    def _age(self, seen: Seen) -> int:
        return self._nodes.chain.time_of(self._nodes.head_slot) - self._nodes.chain.time_of(seen.newest)

    # --- the report ---

    def _begin(self, seen: Seen) -> Work | None:
        """Compute the report of a frame, or take up the one that this member is bound to."""
        ref_slot = seen.newest
        contest = contest_of(ref_slot, self._oracle)
        bound = self._store.bound_report(contest, self._key.address) if self._key else None
        if bound:
            report = Report.from_json(json.loads(bound.content)["report"])
            log.info("taken up again", extra={"ref_slot": ref_slot, "digest": bound.digest})
        else:
            try:
                report = self._compute(ref_slot)
            except ReadingError as error:
                if not isinstance(error.__cause__, NotThereError):
                    raise
                log.info("nothing to report: %s", error)
                self._over = ref_slot
                return None
            facts = {"frame": ref_slot // seen.slots, "sha256": canonical_hash(report, self._oracle).hex()}
            log.info("computed", extra={**facts, "digest": digest(report, self._oracle), **report.as_json()})
        self._work = Work(report, begun_at=self._nodes.head_slot)
        self._computed.set(ref_slot)
        for name, value in zip(Report._fields, report, strict=True):
            if isinstance(value, int):
                self._fields.labels(name).set(value)
        self._tell_others(report)
        return self._work

    def _compute(self, ref_slot: int) -> Report:
        with reading():
            observer = self._protocol.observer()
        checkpoint = self._store.get(self._checkpoint)
        # One of an older version, without what is needed now, is of no use.
        known = checkpoint is not None and checkpoint.keys() == observer.checkpoint().keys()
        if known and checkpoint["read"] <= ref_slot:
            observer.resume(checkpoint)
        try:
            return report_of(self._protocol.observe(ref_slot, observer))
        finally:
            self._store.put(self._checkpoint, observer.checkpoint())

    def _tell_others(self, report: Report) -> None:
        """Name members whose signatures of other reports came before ours was there."""
        hashed = digest(report, self._oracle)
        for one in self._store.signatures(contest_of(report.ref_slot, self._oracle)):
            if one.digest != hashed:
                log.error("%s signs another report", one.member, extra={"ref_slot": report.ref_slot})

    def _preview(self, work: Work) -> None:
        if work.previewed:
            return
        problem = None
        with reading():
            try:
                loss, backlog, inside = self._protocol.contract.functions.preview(tuple(work.report)).call()
                if not inside:
                    problem = f"it will be held: it takes {loss} wei, and leaves {backlog} wei of gain unrecognised"
            except ContractLogicError as error:
                if "report: not newer" not in str(error.message):  # else another member was first
                    problem = f"it would be refused: {error.message}"
        self._metrics.note("limits", problem)
        if problem:
            log.error(problem, extra={"ref_slot": work.report.ref_slot})
        work.previewed = True

    # --- agreement ---

    def _agree(self, work: Work, seen: Seen) -> None:
        """Sign, exchange, and bring the report, or vote, when it is time to."""
        report, hashed = work.report, digest(work.report, self._oracle)
        place = seen.members.index(self._key.address) if self._key and self._key.address in seen.members else None
        if self._key and place is not None and work.signature is None:
            try:
                work.signature = sign_once(self._store, self._key, report, self._oracle)
            except SecondReportError as error:
                self._refusals.inc()
                self._metrics.note("signature", str(error))
                log.critical("%s", error)
                self._over, self._work = report.ref_slot, None
                return
            self._metrics.note("signature", None)
            self._store.add_signature(
                contest_of(report.ref_slot, self._oracle), self._key.address, hashed, work.signature
            )
            log.info("signed", extra={"ref_slot": report.ref_slot, "digest": hashed})
        self.exchange.swap(Message(report, work.signature) if work.signature else None)

        voted = {number for number, vote in enumerate(seen.votes) if vote == hashed}
        signed = self._signed(report, hashed, seen)
        agreed = len(voted | signed.keys())
        self._agreed.set(agreed)
        head = self._nodes.head_slot
        if agreed >= seen.quorum:
            if work.ready_at is None:
                work.ready_at = head
                log.info("enough agree", extra={"ref_slot": report.ref_slot, "agreed": agreed})
            if head - work.ready_at >= self._rank(report, place, seen) * self._config.turn:
                # Votes are on chain already; no more signatures than are needed.
                places = sorted(signed.keys() - voted)[: max(seen.quorum - len(voted), 0)]
                bitmap, signatures = sum(1 << one for one in places), b"".join(signed[one] for one in places)
                self._send(
                    "submit",
                    self._protocol.contract.functions.submit(tuple(report), bitmap, signatures),
                    report.ref_slot,
                )
        elif place is not None and place not in voted and head - work.begun_at >= self._config.vote_after:
            log.warning("too few can be reached: voting on chain", extra={"agreed": agreed, "quorum": seen.quorum})
            self._send("vote", self._protocol.contract.functions.vote(place, hashed), report.ref_slot)

    def _signed(self, report: Report, hashed: bytes, seen: Seen) -> dict[int, bytes]:
        """Return the signatures of current members, by place."""
        places = {member.lower(): place for place, member in enumerate(seen.members)}
        found = self._store.signatures(contest_of(report.ref_slot, self._oracle), hashed)
        return {places[one.member]: one.signature for one in found if one.member in places}

    def _rank(self, report: Report, place: int | None, seen: Seen) -> int:
        """Return how many come before us in this frame's order."""
        size = len(seen.members)
        return size if place is None else (place - report.ref_slot // seen.slots) % size

    # --- afterwards ---

    def _finish(self, work: Work, seen: Seen) -> None:
        """Compare with what the committee agreed on, and let go of the frame."""
        report = work.report
        if report.ref_slot <= seen.settled:
            self._compare(report)
        else:
            log.error("given up: a newer frame is final", extra={"ref_slot": report.ref_slot})
        before = report.ref_slot - KEPT_FRAMES * seen.slots
        self._store.forget_signatures(self._oracle.chain_id, self._oracle.address, before)
        self._over, self._work = report.ref_slot, None

    def _compare(self, report: Report) -> None:
        with reading():
            newest = self._nodes.execution.eth.block_number
        # There is at most a block in a slot; on a chain for trials there may be more.
        since = max(newest - (self._nodes.head_slot - report.ref_slot), 0)
        found = self._protocol.outcome(report.ref_slot, since)
        applied, held = found if any(found) else self._protocol.outcome(report.ref_slot, 0)
        if held and not applied:
            self._metrics.note("held", f"the report of slot {report.ref_slot} is outside the limits")
            log.error("held: the council decides", extra={"ref_slot": report.ref_slot, **_plain(held["args"])})
        else:
            self._metrics.note("held", None)
        event = applied or held
        if event is None:
            log.warning("passed over: no report was agreed on", extra={"ref_slot": report.ref_slot})
            return
        theirs, ours = bytes(event["args"]["digest"]), digest(report, self._oracle)
        if theirs == ours:
            self._metrics.note("agreement", None)
            log.info("settled", extra={"ref_slot": report.ref_slot, "digest": ours, "booked": applied is not None})
            return
        # What was read may be wrong: next time it is read anew, from the beginning.
        self._store.put(self._checkpoint, None)
        text = f"the committee agreed on 0x{theirs.hex()} for slot {report.ref_slot}, here it is 0x{ours.hex()}"
        self._metrics.note("agreement", text)
        submitted = self._protocol.submitted(event)
        log.critical(text, extra={"fields": report.differences(submitted) if submitted else {}})

    # --- transactions ---

    def _send(self, kind: str, function: Any, ref_slot: int) -> None:
        if self._sender is None:
            return
        data = HexBytes(function._encode_transaction_data())
        most = self._config.max_fee_gwei * GWEI
        call = Call(kind, f"slot {ref_slot}", function.address, bytes(data), most, self._config.max_gas)
        try:
            with reading():
                self._sender.send(call)
        except (DearError, RefusedError) as error:
            self._metrics.note("transaction", str(error))
            log.warning("%s", error, extra={"ref_slot": ref_slot})
        else:
            self._metrics.note("transaction", None)
            self._transactions.labels(kind).inc()


def run(file: Path, dry_run: bool) -> None:
    """Run a member until SIGTERM or SIGINT. Raises StartError when it cannot start, or has met a bug."""
    with starting():
        config = load(file, OracleConfig)
        logs.start(config.log)
        record = config.record()
        key = config.key.signer() if config.key else None
        metrics = Metrics("oracle")
        nodes = config.nodes(record, metrics)
        with ExitStack() as stack:
            stack.callback(nodes.close)
            nodes.check()
            protocol = Protocol(record, nodes)
            protocol.check()
            store = stack.enter_context(Store(config.store.get_secret_value()))
            daemon = Daemon(config, protocol, store, metrics, key, dry_run)
            served = stack.enter_context(Served(metrics, config.metrics.host, config.metrics.port))
            where = {"metrics": served.url, "member": key.address if key else None, "oracle": protocol.oracle.address}
            if config.listen and not dry_run:
                where["signatures"] = stack.enter_context(
                    exchange.Served(daemon.exchange, config.listen.host, config.listen.port)
                ).url
            log.info("started", extra=where)
            loop(daemon.step, config.interval, metrics, stop_on_signals())
            log.info("stopped")


def _plain(fields: Any) -> dict[str, Any]:
    """Return an event's fields as a log can carry them: without the report, which has a place of its own."""
    return {name: value for name, value in fields.items() if name not in ("ref_slot", "report")}
