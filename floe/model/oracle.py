"""The oracle: a committee that reports, the limits it has, and reports that are held for the council.

Amounts are wei unless a comment says Gwei; slots are counted on the beacon chain. There is no cryptography here: a
report stands for its EIP-712 digest, a signature says who signed which report.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from floe.model.basics import (
    BPS,
    DAY,
    ETHER,
    GWEI,
    LOCKED,
    U64,
    YEAR,
    ZERO,
    Address,
    Chain,
    Revert,
    ceil_div,
    word,
)
from floe.model.pool import PAUSE_DEPOSIT, PAUSE_FULFIL, PAUSE_INSTANT, Pool, Report
from floe.model.tokens import ADMIN_ROLE, COUNCIL_ROLE, PAUSER_ROLE, Roles, Signature, signed_by

HOUR = 3_600
MAX_MEMBERS = 32
MAX_FRAME = 7 * DAY
MAX_DELAY = 2 * DAY
"""From a reference slot to the end of a report about it, held or not."""
ALARM_FLOOR = 32 * ETHER
"""So much unrecognised gain never holds a report, however young the pool is."""
PAUSE_COOLDOWN = 7 * DAY
"""After a held report on which nobody decided, the next ones pause nothing for so long."""

TAIL_UNIT = 31
"""Bits of a position in the queue that are not remembered."""
PAUSES = (PAUSE_DEPOSIT, PAUSE_FULFIL, PAUSE_INSTANT)

U23, U40 = 2**23 - 1, 2**40 - 1


class FrameReport(NamedTuple):
    """What the committee says about a reference slot, as it is signed. The middle is the pool's `Report`."""

    ref_slot: int
    """The first slot of a frame."""
    cl: int
    deposited_at_ref: int
    withdrawn_at_ref: int
    donated_at_ref: int
    queue_tail_at_ref: int
    pending_loss: int
    raised_at_ref: int
    balances_root: int
    """32 bytes as a number, like the next one. Nothing on chain looks at them yet."""
    balances_hash: int

    @property
    def for_pool(self) -> Report:
        """What the pool is told."""
        return Report(*self[1:8])


class OracleParameters(NamedTuple):
    """What the admin may change. Times are seconds, bps parts of the pool's assets."""

    frame_epochs: int
    """Length of a frame."""
    max_age: int
    """Most between a reference slot and its report."""
    resolve_time: int
    """How long the council has to decide on a held report."""
    loss_bps: int
    """Most that one report may take from the exit value."""
    window_bps: int
    """Most that reports may take at once; it drains evenly over `window`."""
    window: int
    alarm_bps: int
    """Most by which an unrecognised gain may grow in one report, beyond `ALARM_FLOOR`."""

    def check(self, seconds_per_epoch: int) -> None:
        """Refuse what is out of bounds."""
        in_bounds = (
            0 < self.frame_epochs * seconds_per_epoch <= MAX_FRAME
            and self.max_age >= HOUR
            and self.resolve_time >= HOUR
            and self.max_age + self.resolve_time <= MAX_DELAY
            and 10 <= self.loss_bps <= 1_000
            and self.loss_bps <= self.window_bps <= 3_000
            and 7 * DAY <= self.window <= 90 * DAY
            and 10 <= self.alarm_bps <= 1_000
        )
        if not in_bounds:
            raise Revert("parameter: out of bounds")

    def word(self) -> int:
        """Return it as the contract packs it."""
        low = self.frame_epochs | self.max_age << 32 | self.resolve_time << 64 | self.window << 96
        return low | self.loss_bps << 128 | self.window_bps << 144 | self.alarm_bps << 160


class Judgement(NamedTuple):
    """What an admissible report would do."""

    loss: int
    """By how much the exit value would fall."""
    backlog: int
    """Gain that would stay unrecognised."""
    inside: bool
    """Whether it is inside the limits."""


@dataclass(slots=True)
class Oracle:
    """State and rules of the oracle.

    A method that raises `Revert` has changed nothing, unless gas is scarce.
    """

    chain: Chain
    address: Address
    pool: Pool
    genesis_time: int
    seconds_per_slot: int
    slots_per_epoch: int
    parameters: OracleParameters
    roles: Roles
    members: list[Address]
    """By place; the zero address where a member was removed."""
    quorum: int
    votes: dict[int, FrameReport] = field(default_factory=dict)
    """Place -> the report that its member voted for last."""
    ref_slot: int = 0
    """Of the last report on which the committee agreed."""
    deposited_gwei: int = 0
    """As applied last, rounded down, like the next two."""
    withdrawn_gwei: int = 0
    tail_units: int = 0
    """In parts of 2^31 shares."""
    backlog_ether: int = 0
    """Gain that the last applied report left unrecognised, rounded up."""
    lost: int = 0
    """Losses in the window at `lost_at`."""
    lost_at: int = 0
    held: FrameReport | None = None
    """Waits, or waited until `deadline`, for the council."""
    deadline: int = 0
    paused_until: int = 0
    """End of the pauses that held reports caused; 0 once the council has decided."""
    paused_before: tuple[int, int, int] = (0, 0, 0)
    """Ends of the pauses that were on then: deposits, fulfilments, instant exits."""

    def __post_init__(self) -> None:
        self.parameters.check(self.slots_per_epoch * self.seconds_per_slot)
        self._check_committee(self.members, self.quorum)

    # --- reports ---

    def submit(self, report: FrameReport, signers: int, signatures: list[Signature | None]) -> bool:
        """Take a report that a quorum signed or voted for; returns whether it was booked (else it is held).

        `signers` has a bit for every place that signed, `signatures` theirs in order of the places; None has not the
        length of a signature.
        """
        self._check_quorum(report, signers, signatures)
        self._look_at_pool()
        judgement = self._admit(report)
        if not judgement.inside:
            self._hold(report)
            return False
        self._apply(report, judgement, resume=self.held is not None)
        return True

    def accept(self, sender: Address, report: FrameReport) -> None:
        """Let the council book the held report whatever the limits say."""
        self.roles.check(COUNCIL_ROLE, sender)
        self._look_at_pool()
        self._check_held(report)
        self._check_may_resume()
        self._apply(report, self._judge(report), resume=True)
        self._forget_times()

    def reject(self, sender: Address, report: FrameReport) -> None:
        """Let the council drop the held report; its frame stays over."""
        self.roles.check(COUNCIL_ROLE, sender)
        self._look_at_pool()
        self._check_held(report)
        self._resume()
        self.held = None
        self._forget_times()

    def vote(self, sender: Address, place: int, report: FrameReport) -> None:
        """Let the member at `place` agree on chain; its last vote counts."""
        if place >= len(self.members) or sender != self.members[place]:
            raise Revert("committee: not this member")
        self.votes[place] = report

    # --- views ---

    def preview(self, report: FrameReport) -> Judgement:
        """Say what a report would do now if the committee agreed."""
        self._look_at_pool()
        return self._admit(report)

    def headroom(self) -> tuple[int, int, int, int, int]:
        """Return how far a report could move the books now.

        The gain that would be recognised, the gain beyond which a report is held, the fall of the exit value beyond
        which it is held, what the window still takes, and the known loss, which a report could take back.
        """
        self._look_at_pool()
        rise, window, assets = self._rise(), self._window_left(), self.pool.assets
        loss = min(assets * self.parameters.loss_bps // BPS, window)
        return rise, rise + self._alarm(), loss, window, self.pool.pending_loss

    def last(self) -> tuple[int, int, int, int, int]:
        """Slot of the last report; deposited, withdrawn, tail and backlog of the last that was applied, rounded."""
        tail = self.tail_units << TAIL_UNIT
        return self.ref_slot, self.deposited_gwei * GWEI, self.withdrawn_gwei * GWEI, tail, self.backlog_ether * ETHER

    def pending(self) -> tuple[FrameReport | None, int]:
        """Return the report that the council may still decide on, and until when; None and 0 when there is none."""
        if self.held is None or self.deadline < self.chain.now:
            return None, 0
        return self.held, self.deadline

    def next_slot(self) -> int:
        """Return the first reference slot that may still be reported, now or later."""
        frame = self.frame_slots()
        fresh = ceil_div(max(self.chain.now - self.parameters.max_age - self.genesis_time, 0), self.seconds_per_slot)
        return ceil_div(max(fresh, self.ref_slot + 1), frame) * frame

    def frame_slots(self) -> int:
        """Length of a frame in slots."""
        return self.parameters.frame_epochs * self.slots_per_epoch

    def time_of(self, slot: int) -> int:
        """Second at which a slot begins."""
        return self.genesis_time + slot * self.seconds_per_slot

    # --- committee and limits ---

    def set_committee(self, sender: Address, members: list[Address], quorum: int) -> None:
        """Replace all members and the quorum; all votes are void."""
        self.roles.check(ADMIN_ROLE, sender)
        self._check_committee(members, quorum)
        self.members, self.quorum = list(members), quorum
        self.votes.clear()

    def remove_member(self, sender: Address, place: int) -> None:
        """Let the council remove one member and its vote; the quorum stays."""
        self.roles.check(COUNCIL_ROLE, sender)
        if place >= len(self.members) or self.members[place] == ZERO:
            raise Revert("committee: wrong members")
        if sum(member != ZERO for member in self.members) <= self.quorum:
            raise Revert("committee: no majority")
        self.members[place] = ZERO
        self.votes.pop(place, None)

    def set_parameters(self, sender: Address, parameters: OracleParameters) -> None:
        """Replace all limits, within their bounds."""
        self.roles.check(ADMIN_ROLE, sender)
        parameters.check(self.slots_per_epoch * self.seconds_per_slot)
        self.parameters = parameters

    def _check_committee(self, members: list[Address], quorum: int) -> None:
        if word(quorum * 2) <= len(members) or quorum > len(members):
            raise Revert("committee: no majority")
        if ZERO in members or len(set(members)) != len(members):
            raise Revert("committee: wrong members")

    def _check_quorum(self, report: FrameReport, signers: int, signatures: list[Signature | None]) -> None:
        """Refuse a report that fewer members than the quorum signed or voted for."""
        agreed = 0
        for place in range(MAX_MEMBERS):
            if not signers >> place & 1:
                continue
            signature = signatures[agreed] if agreed < len(signatures) else None
            if signature is None:
                raise Revert("committee: wrong signers")
            member = self.members[place] if place < len(self.members) else ZERO
            if member == ZERO or not signed_by(self.chain, member, report, signature):
                raise Revert("committee: wrong signature")
            agreed += 1
        if agreed != len(signatures) or signers >> MAX_MEMBERS:
            raise Revert("committee: wrong signers")
        agreed += sum(vote == report and not signers >> place & 1 for place, vote in self.votes.items())
        if agreed < self.quorum:
            raise Revert("committee: no quorum")

    # --- limits ---

    def _admit(self, report: FrameReport) -> Judgement:
        self._check_slot(report.ref_slot)
        self._check_counters(report)
        return self._judge(report)

    def _check_slot(self, slot: int) -> None:
        """Refuse what is no frame's slot, not after the last one, in the future or too old."""
        if slot % self.frame_slots() or slot > U40:
            raise Revert("report: not at a frame")
        if slot <= self.ref_slot:
            raise Revert("report: not newer")
        if self.time_of(slot) > self.chain.now:
            raise Revert("report: not yet")
        if self.time_of(slot) + self.parameters.max_age < self.chain.now:
            raise Revert("report: too old")

    def _check_counters(self, r: FrameReport) -> None:
        """Refuse counters that fall, or are ahead of what the chain itself knows."""
        pool = self.pool
        if (
            r.deposited_at_ref // GWEI < self.deposited_gwei
            or r.withdrawn_at_ref // GWEI < self.withdrawn_gwei
            or r.queue_tail_at_ref >> TAIL_UNIT < self.tail_units
        ):
            raise Revert("report: a counter fell")
        if r.deposited_at_ref > pool.deposited:
            raise Revert("report: deposits ahead of pool")
        if r.raised_at_ref > pool.raised_gwei:
            raise Revert("report: raises ahead of pool")
        if self.pool.queue.entered:
            raise Revert(LOCKED)
        if r.queue_tail_at_ref > pool.queue.tail():
            raise Revert("report: tail ahead of queue")
        if r.donated_at_ref < pool.donated:
            raise Revert("report: donations fell")
        received = self.chain.ether[pool.withdrawal_vault.address] + pool.withdrawn + pool.donated
        if word(r.withdrawn_at_ref + r.donated_at_ref) > received:
            raise Revert("report: ahead of the vault")

    def _judge(self, r: FrameReport) -> Judgement:
        """Say what the report would do: a gain first covers the loss that is pending, then fills the room."""
        pool, p = self.pool, self.parameters
        after = word(r.cl + pool.deposited) - r.deposited_at_ref + r.withdrawn_at_ref
        before = pool.outside + pool.withdrawn
        pending_loss = r.pending_loss + (pool.raised_gwei - r.raised_at_ref) * GWEI
        backlog = max(word(after) - word(before + pending_loss + self._rise()), 0)
        loss = max(before + pending_loss - word(after + pool.pending_loss), 0)
        inside = backlog <= self._alarm()
        if loss:
            inside = inside and loss <= min(pool.assets * p.loss_bps // BPS, self._window_left())
        return Judgement(loss, backlog, inside)

    def _rise(self) -> int:
        """Gain that the pool would recognise now."""
        pool = self.pool
        return pool.assets * pool.parameters.rise_bps * (self.chain.now - pool.report_at) // (BPS * YEAR)

    def _alarm(self) -> int:
        """Return the unrecognised gain beyond which a report is held.

        That is what the last one left, past losses that are not earned back yet (there may have been none), and more.
        """
        pool = self.pool
        return self.backlog_ether * ETHER + pool.deficit + pool.assets * self.parameters.alarm_bps // BPS + ALARM_FLOOR

    def _capacity(self) -> int:
        return self.pool.assets * self.parameters.window_bps // BPS

    def _used(self) -> int:
        """Losses in the window: those booked, full at most, less what has drained since (rounded down)."""
        capacity = self._capacity()
        drained = capacity * (self.chain.now - self.lost_at) // self.parameters.window
        return max(min(self.lost, capacity) - drained, 0)

    def _window_left(self) -> int:
        return self._capacity() - self._used()

    # --- inside ---

    def _look_at_pool(self) -> None:
        """Nobody can ask the pool while it waits for a call of its own."""
        self.pool._enter()

    def _apply(self, report: FrameReport, judgement: Judgement, *, resume: bool) -> None:
        """Let the pool book the report and pay what exits it can; remember the counters."""
        if resume:
            self._check_may_resume()
        backlog_ether = ceil_div(judgement.backlog, ETHER)
        lost = min(word(self._used() + judgement.loss), self._capacity())
        self.pool.report(self.address, report.for_pool)
        if resume:
            self._resume()
        if self.chain.scarce:
            raise Revert("report: too little gas")
        with suppress(Revert):  # nothing can be paid, or fulfilments are paused: anyone can fulfil later
            self.pool.fulfil()
        self.ref_slot, self.held = report.ref_slot, None
        self.deposited_gwei = min(report.deposited_at_ref // GWEI, U64)
        self.withdrawn_gwei = min(report.withdrawn_at_ref // GWEI, U64)
        self.tail_units = min(report.queue_tail_at_ref >> TAIL_UNIT, U64)
        self.backlog_ether = min(backlog_ether, U23)
        if judgement.loss:
            self.lost, self.lost_at = lost, self.chain.now

    def _hold(self, report: FrameReport) -> None:
        """Hold a report for the council, and stop what should not go on at a price that is in doubt."""
        pool, now = self.pool, self.chain.now
        deadline = now + self.parameters.resolve_time
        if now >= self.paused_until + PAUSE_COOLDOWN:
            before = pool.deposit_paused_until, pool.fulfil_paused_until, pool.instant_paused_until
            functions = sum(function for function, end in zip(PAUSES, before, strict=True) if end < deadline)
            pool.pause(self.address, functions, deadline)
            self.paused_until, self.paused_before = deadline, before
        self.ref_slot, self.held, self.deadline = report.ref_slot, report, deadline

    def _check_held(self, report: FrameReport) -> None:
        if self.held is None or report != self.held or self.deadline < self.chain.now:
            raise Revert("report: not held")

    def _lengthened(self) -> list[tuple[int, int]]:
        """Return the pauses that held reports made longer and nobody changed since, with the ends they had before."""
        pool, until = self.pool, self.paused_until
        if until <= self.chain.now:
            return []
        ends = pool.deposit_paused_until, pool.fulfil_paused_until, pool.instant_paused_until
        known = zip(PAUSES, ends, self.paused_before, strict=True)
        return [(function, before) for function, end, before in known if end == until]

    def _check_may_resume(self) -> None:
        if self._lengthened():
            self.pool.roles.check(PAUSER_ROLE, self.address)

    def _resume(self) -> None:
        """Put back the pauses that were on before held reports made them longer."""
        for function, before in self._lengthened():
            self.pool.pause(self.address, function, before)

    def _forget_times(self) -> None:
        self.deadline, self.paused_until, self.paused_before = 0, 0, (0, 0, 0)

    # --- the same state, as the contract packs it ---

    def words(self) -> tuple[int, ...]:
        """Return the words live, last, losses and held times."""
        deposits, fulfilments, instant_exits = self.paused_before
        counters = self.deposited_gwei << 40 | self.withdrawn_gwei << 104 | self.tail_units << 168
        return (
            self.parameters.word(),
            self.ref_slot | counters | self.backlog_ether << 232 | (self.held is not None) << 255,
            self.lost | self.lost_at << 96,
            self.deadline | self.paused_until << 40 | deposits << 80 | fulfilments << 120 | instant_exits << 160,
        )

    def place_word(self, place: int) -> int:
        """Return a place of the committee as the contract packs it: member, quorum, size."""
        return int(self.members[place], 16) | self.quorum << 160 | len(self.members) << 168
