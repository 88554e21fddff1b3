"""The pool's parameters and the bounds that no admin can pass."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from floe.model.basics import DAY, Revert


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the admin may change. bps are parts of 10,000, ppm parts of 1,000,000, times are seconds."""

    fee_bps: int
    """Part of new value that goes to the fee recipient."""
    rise_bps: int
    """Most that the assets may rise through reports, per year."""
    target_bps: int
    """Part of the assets that should lie in the buffer beyond what waiting exits need."""
    allowance_bps: int
    """Part of the assets that may leave through instant exits between two reports."""
    instant_fee_min: int
    """ppm, while the buffer is at its target or above."""
    instant_fee_max: int
    """ppm, when the buffer is empty."""
    period: int
    """Seconds over which the rewards of a report stream."""
    stale_after: int
    """Seconds without a report after which reports count as having stopped."""

    packed: int = field(init=False, repr=False, compare=False)
    """All of it in one word: fee, rise, target, allowance u16 each | fee min u32 | fee max u32 | period u32 | stale
    after u32."""

    def __post_init__(self) -> None:
        numbers = (
            self.fee_bps
            | self.rise_bps << 16
            | self.target_bps << 32
            | self.allowance_bps << 48
            | self.instant_fee_min << 64
            | self.instant_fee_max << 96
            | self.period << 128
            | self.stale_after << 160
        )
        object.__setattr__(self, "packed", numbers)

    def check(self) -> None:
        """Refuse what is out of bounds."""
        in_bounds = (
            self.fee_bps <= 2_000
            and 100 <= self.rise_bps <= 5_000
            and self.target_bps <= 2_000
            and self.allowance_bps <= 2_000
            and self.instant_fee_min <= self.instant_fee_max <= 50_000
            and 3_600 <= self.period <= 30 * DAY
            and DAY <= self.stale_after <= 30 * DAY
        )
        if not in_bounds:
            raise Revert("parameter: out of bounds")


NAMES = tuple(field.name for field in fields(Parameters) if field.init)
"""The parameters, in the order of the contract's structure."""
