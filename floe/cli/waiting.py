"""How long an exit waits, from what one block says.

An exit becomes *eligible* by the first report whose reference slot lies after its request, and is *paid* when ETH is
there for it and for all before it: the buffer first, then what lies in the withdrawal vault (a report sweeps it in),
then what validators were asked for, then what they have yet to be asked for. Amounts are wei, shares have 18 decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from floe.cli.amounts import duration, show

USUAL_LAG = 1_200
"""Seconds from a reference slot to its report where none has come yet: three epochs of mainnet until it is final."""
LEAVING = 256 * 32 * 12
"""Seconds from a validator's exit to its first possible withdrawal on mainnet and its testnets: 27.3 hours
(consensus-specs, MIN_VALIDATOR_WITHDRAWABILITY_DELAY), when nobody else is leaving."""
SWEEP = 1_000_000 * 12 // 16 // 2
"""Seconds until the withdrawal sweep comes to a validator, on average, with a million of them and 16 a slot
(MAX_WITHDRAWALS_PER_PAYLOAD): 4.3 days."""
MAINNET_SLOTS_PER_EPOCH = 32


class Wait(NamedTuple):
    """An estimate."""

    kind: str
    """What is waited for: "claim" (nothing), "fulfil", "report", "arrival" or "validators"."""
    seconds: int | None
    """About how long; None where this chain does not say."""

    @property
    def short(self) -> str:
        """For a column."""
        if self.kind == "claim":
            return "claim it"
        if self.seconds is None:
            return "not known"
        if self.seconds == 0:
            return "now" if self.kind == "fulfil" else "the next report"
        return f"about {duration(self.seconds)}"


EXPLANATIONS = {
    "claim": "claim it: all of it is paid, `ape floe claim` fetches it",
    "fulfil": "fulfil: the ETH is in the pool; a call of fulfil, by anyone, pays it",
    "report": "report: paid after the next report that covers it, which makes it eligible or brings the ETH in",
    "arrival": "arrival: the ETH was asked of validators and is on its way",
    "validators": "validators: some have to be asked for ETH first. The keeper does it; when an eligible exit is older "
    "than the promise, anyone may",
}
"""Kinds of `Wait`, for people."""


@dataclass(frozen=True)
class Frames:
    """When reports are due."""

    genesis_time: int
    seconds_per_slot: int
    slots: int
    """In a frame."""
    lag: int
    """Seconds from a reference slot to its report: those of the last one, at most a frame."""

    def report_for(self, time: int) -> int:
        """Return about when the first report comes whose reference slot is not before a time."""
        frame = self.slots * self.seconds_per_slot
        return self.genesis_time + -(-(time - self.genesis_time) // frame) * frame + self.lag


@dataclass(frozen=True)
class Flow:
    """What is there for exits, at one block."""

    now: int
    filled: int
    """Position on the queue's line up to which exits are paid."""
    eligible: int
    """Shares behind it that may be paid."""
    exit_rate: int
    """Wei for 1e18 shares."""
    buffer: int
    vault: int
    under_way: int
    """Wei that validators were asked for and that has not arrived."""
    fulfil_paused_until: int
    slots_per_epoch: int
    frames: Frames

    def wait(self, end: int, requested_at: int | None = None) -> Wait:
        """Estimate how long an exit waits whose last share is at position `end` on the line.

        `requested_at` is asked for as long as it is not eligible, in seconds since the epoch; None stands for now.
        """
        if end <= self.filled:
            return Wait("claim", 0)
        needed = -(-(end - self.filled) * self.exit_rate // 10**18)
        eligible = end <= self.filled + self.eligible
        eligible_in = 0 if eligible else self._until_report(requested_at if requested_at is not None else self.now)
        paused = max(self.fulfil_paused_until - self.now, 0)
        if needed <= self.buffer:
            return Wait("fulfil" if eligible else "report", max(eligible_in, paused))
        swept_in = self._until_report(self.now)
        if needed <= self.buffer + self.vault:
            return Wait("report", max(eligible_in, swept_in, paused))
        leaving = LEAVING + SWEEP if self.slots_per_epoch == MAINNET_SLOTS_PER_EPOCH else None
        kind = "arrival" if needed <= self.buffer + self.vault + self.under_way else "validators"
        if leaving is None:
            return Wait(kind, None)
        # Validators are asked once the exit is eligible; what they give back comes in with a report.
        return Wait(kind, max((eligible_in if kind == "validators" else 0) + leaving, swept_in, paused))

    def _until_report(self, time: int) -> int:
        return max(self.frames.report_for(time) - self.now, 0)


def flow(floe: Any, now: Any) -> Flow:
    """Read what is there for exits; `now` is the Lens's `protocol()` at the same block."""
    registry = floe.registry
    vault = floe.read(floe.pool.withdrawal_vault)
    return Flow(
        now=floe.now,
        filled=int(now.line.filled),
        eligible=int(now.eligible),
        exit_rate=int(now.exit_rate),
        buffer=int(now.buffer),
        vault=floe.balance(vault),
        under_way=int(floe.read(registry.under_way)) * 10**9,
        fulfil_paused_until=int(now.limits.fulfil_paused_until),
        slots_per_epoch=int(floe.read(registry.chain_constants).slots_per_epoch),
        frames=frames(floe, int(now.reported_at)),
    )


def frames(floe: Any, reported_at: int) -> Frames:
    """Read when the oracle's reports are due."""
    constants, last = floe.read(floe.oracle.chain_constants), int(floe.read(floe.oracle.last).ref_slot)
    genesis_time, seconds_per_slot = int(constants.genesis_time), int(constants.seconds_per_slot)
    slots = int(floe.read(floe.oracle.parameters).frame_epochs) * int(constants.slots_per_epoch)
    lag = reported_at - genesis_time - last * seconds_per_slot if last else USUAL_LAG
    return Frames(genesis_time, seconds_per_slot, slots, min(max(lag, 0), slots * seconds_per_slot))


def explain(kinds: set[str], flow: Flow) -> list[str]:
    """Return a line about each kind of waiting, and what is on its way."""
    lines = [text for kind, text in EXPLANATIONS.items() if kind in kinds]
    if kinds & {"arrival", "validators"}:
        lines.append(
            f"on the way: {show(flow.vault, 'ETH')} in the withdrawal vault, {show(flow.under_way, 'ETH')} asked of "
            "validators"
        )
    return lines
