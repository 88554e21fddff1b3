"""What a keeper plans with: one execution block, and one beacon state not later than it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from floe.model.beacon import FAR_FUTURE
from floe.model.registry import Operator, Validator


@dataclass(frozen=True)
class Seen:
    """A validator in a beacon state. Balances are Gwei."""

    index: int
    balance: int
    effective_balance: int
    slashed: bool
    activation_epoch: int
    exit_epoch: int
    withdrawable_epoch: int

    @property
    def leaving(self) -> bool:
        """Whether it has an exit epoch."""
        return self.exit_epoch != FAR_FUTURE


@dataclass(frozen=True)
class Known:
    """A validator: the registry's record, and what the beacon state shows of it, if it is there."""

    key: bytes
    record: Validator
    seen: Seen | None = None


@dataclass(frozen=True)
class Fees:
    """What the fee splitter holds. Amounts are wei of shares."""

    undistributed: int
    claimable: Mapping[int, int]
    unsynced: tuple[int, ...]
    """Operators whose weight there is not the registry's."""
    cover_ticket: int = 0
    """A ticket of the cover fund that can be claimed; 0 when there is none."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that the rules look at: one execution block, and one beacon state not later than it."""

    now: int
    """Time of the execution block."""
    base_fee: int
    """Wei, of the next block."""
    tip: int
    """Wei that the keeper adds."""

    at: int
    """Time of the beacon state."""
    epoch: int
    seconds_per_slot: int
    committee_period: int
    """SHARD_COMMITTEE_PERIOD: epochs after its activation in which the beacon chain ignores a validator's requests."""
    validators: tuple[Known, ...]

    # The pool and the queue; wei.
    exit_rate: int
    """Wei for 10**18 shares."""
    waiting: int
    """Shares in the queue."""
    eligible: int
    """Of these, shares that may be paid."""
    fulfillable: int
    """Wei that `fulfil` would pay."""
    stakeable: int
    stale_from: int
    """From when on `declare_stale` may be called."""
    vault_balance: int

    # The registry.
    missing: int
    """Wei that eligible exits lack."""
    recorded_today: int
    """Position on the queue's line that is recorded for today; 0 when there is none."""
    filled: int
    """Shares ever paid for."""
    overdue_day: int | None
    """The first day whose exits are unpaid although the promise is over."""
    long_overdue: bool
    """Whether the promise is over twice."""
    may_pull: bool
    """Whether the account holds the keeper's role."""
    operators: Mapping[int, Operator]
    quotas: Mapping[int, int]
    request_fee: int | None
    """Wei that one withdrawal request costs (EIP-7002); None where that cannot be read."""

    fees: Fees = Fees(undistributed=0, claimable={}, unsynced=())
    last: Mapping[str, int] = field(default_factory=dict)
    """Kind of action -> chain time at which it was taken last."""
