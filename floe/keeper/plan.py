"""What a keeper should do: from what it sees to a list of steps, by rules, without any I/O.

    for step in plan(snapshot, rules):
        print(step.kind, step.why, step.held or "now")

A step is either a duty, taken whenever it is due, or it must be worth its gas. One that has to wait (for its cooldown,
for cheaper gas) is in the list, too, and says why. Amounts are Gwei, as in the registry, unless a name says wei.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from floe.keeper.config import PullBack, Rule, Rules, TopUp, Worth
from floe.model.basics import BPS, DAY, ETHER
from floe.model.beacon import FAR_FUTURE, GWEI_IN_ETHER
from floe.model.registry import (
    DEPOSIT_TIME,
    FRESH_SLOTS,
    MAX_STAKE,
    MIN_PULL,
    MIN_STAKE,
    PREDEPOSIT,
    REQUEST_TIME,
    SEEN,
    WITHDRAWAL_TIME,
    Operator,
    State,
    Validator,
)

Kind = Literal[
    "prove_slashings",
    "declare_stale",
    "record_exits",
    "fulfil",
    "prove_exits",
    "close",
    "prove_credentials",
    "prove_activity",
    "prove_balances",
    "pull_back",
    "top_up",
    "sync_fees",
    "distribute_fees",
    "claim_fees",
    "claim_cover",
]

GWEI = 10**9
MARGIN_SLOTS = 32
"""A proof for a top-up is renewed so many slots before it is too old."""
MOST_TOP_UPS, MOST_REQUESTS = 100, 64
"""In one transaction (ValidatorRegistry)."""

GAS: Mapping[Kind, tuple[int, int]] = {
    "fulfil": (90_000, 0),
    "prove_balances": (90_000, 14_000),
    "top_up": (90_000, 60_000),
    "distribute_fees": (130_000, 0),
    "claim_fees": (130_000, 0),
}
"""What an action usually takes: once, and for each validator."""


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

    fees: Fees | None = None
    last: Mapping[str, int] = field(default_factory=dict)
    """Kind of action -> chain time at which it was taken last."""


@dataclass(frozen=True)
class Step:
    """Something to do, and why. `held` says what it waits for; it is empty when it is due now."""

    kind: Kind
    why: str
    validators: tuple[bytes, ...] = ()
    amounts: tuple[int, ...] = ()
    """Gwei for each validator."""
    prove: tuple[bytes, ...] = ()
    """Validators to be proven first."""
    number: int = 0
    """The operator, the ticket, or the day (`pull_back` by strangers)."""
    value: int = 0
    """Wei to send along: the most that fees may take."""
    held: str = ""

    def waiting(self, reason: str) -> Step:
        """Return the same step, held for a reason."""
        return replace(self, held=reason)


def plan(snapshot: Snapshot, rules: Rules) -> list[Step]:
    """Return all steps that are due, and those that are held, in the order in which they should be taken."""
    steps: list[Step] = []
    for make in (
        _prove_slashings,
        _declare_stale,
        _record_exits,
        _fulfil,
        _prove_exits,
        _close,
        _prove_credentials,
        _prove_activity,
        _prove_balances,
        _pull_back,
        _top_up,
        _sync_fees,
        _distribute_fees,
        _claim_fees,
        _claim_cover,
    ):
        for step in make(snapshot, rules):
            rule: Rule = getattr(rules, step.kind)
            if rule.enabled:
                steps.append(step.waiting(step.held or _held(step, rule, snapshot)))
    return steps


def news(one: Known, epoch: int, at: int) -> Kind | None:
    """Return what a proof of this beacon state (of an epoch, at a time) would tell the registry of a validator."""
    record, seen = one.record, one.seen
    if seen is None or record.state in (State.NONE, State.COMPROMISED, State.CLOSED):
        return None
    if record.state == State.PREDEPOSITED:
        return "prove_slashings" if seen.slashed else "prove_credentials"
    if seen.withdrawable_epoch <= epoch and seen.balance == 0:
        return "close"
    if record.state == State.SLASHED or at <= record.proven_at:
        return None
    if seen.slashed:
        return "prove_slashings"
    if seen.leaving:
        return None if record.pulled_at == SEEN else "prove_exits"
    if record.topped_at == 0:
        return None
    if record.pulled_at == 0 and seen.activation_epoch <= epoch:
        return "prove_activity"
    return _follow_up(record, seen.effective_balance, at)


def _follow_up(record: Validator, balance: int, at: int) -> Kind | None:
    """Whether a request was paid or dropped, or the stake is another by now (validator_book.vy, `_follow`)."""
    if record.state == State.ACTIVE and record.pulled == 0:
        settled = at > record.topped_at + DEPOSIT_TIME
        return "prove_balances" if record.stake < balance or (settled and record.stake != balance) else None
    if at <= record.pulled_at + REQUEST_TIME:
        return None
    paid = record.state == State.ACTIVE and balance + record.pulled // 2 <= record.stake + GWEI_IN_ETHER
    dropped = record.state == State.EXITING or at > record.pulled_at + WITHDRAWAL_TIME
    return "prove_exits" if paid or dropped else None


# --- proofs ---


def _prove_slashings(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    return _proofs(snapshot, "prove_slashings", "slashed: exits must bear it at once")


def _prove_exits(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    return _proofs(snapshot, "prove_exits", "leaving, or a request of theirs was answered")


def _prove_credentials(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    return _proofs(
        snapshot, "prove_credentials", "new on the beacon chain: they can get stake once it is known whose they are"
    )


def _prove_activity(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    return _proofs(snapshot, "prove_activity", "active: they can be asked for withdrawals once that is known")


def _prove_balances(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    found = [one for one in snapshot.validators if news(one, snapshot.epoch, snapshot.at) == "prove_balances"]
    change = sum(abs(one.seen.effective_balance - one.record.stake) for one in found if one.seen)
    if change < rules.prove_balances.least_gwei or not found:
        return []
    why = f"{_count(found)} with {_eth(change)} ETH that the registry does not know of"
    return [_worth(snapshot, rules.prove_balances, Step("prove_balances", why, _keys(found)), change, len(found))]


def _close(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    for one in snapshot.validators:
        if news(one, snapshot.epoch, snapshot.at) == "close" and one.seen:
            yield Step("close", f"validator {one.seen.index} has withdrawn everything", (one.key,))


def _proofs(snapshot: Snapshot, kind: Kind, text: str) -> list[Step]:
    found = [one for one in snapshot.validators if news(one, snapshot.epoch, snapshot.at) == kind]
    return [Step(kind, f"{_count(found)} {text}", _keys(found))] if found else []


# --- exits ---


def _declare_stale(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    if snapshot.now < snapshot.stale_from or not (snapshot.waiting > snapshot.eligible or snapshot.vault_balance):
        return
    yield Step("declare_stale", "reports have stopped, and exits wait")


def _record_exits(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    if not snapshot.eligible or snapshot.recorded_today >= snapshot.filled + snapshot.eligible:
        return
    if not snapshot.recorded_today:
        yield Step("record_exits", "exits are eligible today and unpaid: their promise begins")


def _fulfil(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    if not snapshot.fulfillable:
        return
    gwei = snapshot.fulfillable // GWEI
    step = Step("fulfil", f"{_eth(gwei)} ETH of eligible exits can be paid from the buffer")
    # What is little waits for more, but no longer than a day: nobody is to be left behind.
    if gwei < rules.fulfil.least_gwei and snapshot.now < snapshot.last.get("fulfil", -DAY) + DAY:
        step = step.waiting(f"less than {rules.fulfil.least_eth:g} ETH within a day")
    yield step


# --- stake back ---


def _pull_back(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    rule, missing = rules.pull_back, -(-snapshot.missing // GWEI)
    if missing < max(rule.least_eth * GWEI_IN_ETHER, 1):
        return
    if not snapshot.may_pull and snapshot.overdue_day is None:
        return
    amounts = requests(snapshot, rule)
    if not amounts:
        return
    parts = sum(amount for amount in amounts.values() if amount)
    whole = sum(1 for amount in amounts.values() if not amount)
    what = [f"{_eth(parts)} ETH of {len(amounts) - whole}"] if parts else []
    what += [f"all of {whole}"] if whole else []
    step = Step(
        "pull_back",
        f"exits lack {_eth(missing)} ETH: ask validators for {' and '.join(what)}",
        tuple(amounts),
        tuple(amounts.values()),
        number=0 if snapshot.may_pull else snapshot.overdue_day or 0,
        # What is left of it comes back; in between others may have made the fee rise.
        value=2 * (snapshot.request_fee or 0) * len(amounts),
    )
    if snapshot.request_fee is None:
        step = step.waiting("the fee of a request cannot be read")
    elif snapshot.request_fee > rule.max_request_fee_gwei * GWEI:
        step = step.waiting(f"a request costs {snapshot.request_fee // GWEI} Gwei")
    yield step


def requests(snapshot: Snapshot, rule: PullBack) -> dict[bytes, int]:
    """Choose whom to ask for what is missing: Gwei by validator, 0 for all of it.

    First parts, from the operators that are most above their part of what should stay, no more than that; then parts
    from everybody; then whole validators. Strangers get as large parts as there are, and only from operators that are
    above, until the promise is over twice.
    """
    choice = _Choice(snapshot, -(-snapshot.missing // GWEI))
    if snapshot.may_pull:
        choice.parts(choice.excess)
    choice.parts(lambda _: MAX_STAKE)
    choice.whole(int(rule.full_exit_from_eth * GWEI_IN_ETHER))
    return choice.amounts


class _Choice:
    """Validators that are asked for what is missing, and what operators have left by that."""

    def __init__(self, snapshot: Snapshot, missing: int) -> None:
        self.missing, self.amounts = missing, dict[bytes, int]()
        self._may_pull = snapshot.may_pull
        self._bound = not snapshot.may_pull and not snapshot.long_overdue
        self._operators = snapshot.operators
        self._weights = sum(one.weight for one in snapshot.operators.values())
        self._stakes = {number: one.stake for number, one in snapshot.operators.items()}
        staked = sum(self._stakes.values())
        self._keep = staked - min(missing, staked)
        seen_by = snapshot.now - (0 if snapshot.may_pull else REQUEST_TIME)
        self._there = [one for one in snapshot.validators if _can_be_asked(one, seen_by, snapshot)]

    def excess(self, operator: int) -> int:
        """Return the Gwei by which an operator is above its part of what should stay."""
        part = self._operators[operator].weight * self._keep // self._weights if self._weights else 0
        return self._stakes[operator] - part

    def parts(self, most: Callable[[int], int]) -> None:
        """Ask for parts, of an operator no more than `most` at a time: the most above its part first."""
        while self.missing > 0 and len(self.amounts) < MOST_REQUESTS:
            able = [one for one in self._open() if self._spare(one) >= MIN_PULL and most(one.record.operator) > 0]
            if not able:
                return
            one = max(able, key=lambda each: (self.excess(each.record.operator), self._spare(each)))
            wanted = max(min(self.missing, most(one.record.operator)), MIN_PULL)
            self._take(one, min(self._spare(one), wanted))

    def whole(self, least: int) -> None:
        """Ask whole validators to leave while at least this much is missing: the smallest that does, or the largest."""
        while self.missing >= max(least, 1) and len(self.amounts) < MOST_REQUESTS:
            able = self._open()
            if not able:
                return
            top = max(self.excess(one.record.operator) for one in able)
            theirs = [one for one in able if self.excess(one.record.operator) == top]
            enough = [one for one in theirs if one.record.stake >= self.missing]
            self._take(min(enough, key=_stake) if enough else max(theirs, key=_stake), 0)

    def _open(self) -> list[Known]:
        return [
            one
            for one in self._there
            if one.key not in self.amounts and not (self._bound and self.excess(one.record.operator) <= 0)
        ]

    def _spare(self, one: Known) -> int:
        """Return what a validator has above 32 ETH; how large strangers' requests are, the registry alone says."""
        held = min(one.record.stake, one.seen.balance) if self._may_pull and one.seen else one.record.stake
        return max(held - MIN_STAKE, 0)

    def _take(self, one: Known, amount: int) -> None:
        self.amounts[one.key] = amount
        self.missing -= amount or one.record.stake
        self._stakes[one.record.operator] -= amount or one.record.stake


def _can_be_asked(one: Known, seen_by: int, snapshot: Snapshot) -> bool:
    record, seen = one.record, one.seen
    if record.state != State.ACTIVE or record.pulled or not 0 < record.pulled_at <= seen_by:
        return False
    return (
        seen is not None
        and not seen.slashed
        and not seen.leaving
        and seen.activation_epoch + snapshot.committee_period <= snapshot.epoch
    )


def _stake(one: Known) -> int:
    return one.record.stake


# --- stake out ---


def _top_up(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    rule = rules.top_up
    amounts = top_ups(snapshot, rule)
    if not amounts:
        return
    known = {one.key: one.record for one in snapshot.validators}
    oldest = snapshot.now - (FRESH_SLOTS - MARGIN_SLOTS) * snapshot.seconds_per_slot
    stale = tuple(key for key in amounts if known[key].proven_at < oldest)
    total = sum(amounts.values())
    why = f"{_eth(total)} ETH of the buffer can be staked with {len(amounts)} validator{'s'[: len(amounts) > 1]}"
    step = Step("top_up", why, tuple(amounts), tuple(amounts.values()), stale)
    yield _worth(snapshot, rule, step, total, len(amounts) + len(stale))


def top_ups(snapshot: Snapshot, rule: TopUp) -> dict[bytes, int]:
    """Choose who gets the stakeable ETH: Gwei by validator, in whole ETH, from operators farthest below their quotas.

    First 32 ETH for each that is proven and has none (the pool then also buys its predeposit), so that bonds get free
    and keys that wait become validators; then more for all, up to what a validator is filled to.
    """
    left = snapshot.stakeable // GWEI
    room = {
        number: snapshot.quotas[number] - one.stake if one.open <= one.limit else 0
        for number, one in snapshot.operators.items()
    }
    amounts: dict[bytes, int] = {}

    def give(some: list[Known], least: int, up_to: int) -> None:
        nonlocal left
        while some and left >= GWEI_IN_ETHER:
            one = max(some, key=lambda each: (room.get(each.record.operator, 0), -each.record.stake))
            some.remove(one)
            operator, given = one.record.operator, amounts.get(one.key, 0)
            bought = PREDEPOSIT if one.record.state == State.PROVEN and not given else 0
            held = max(one.record.stake, one.seen.balance if one.seen else 0, PREDEPOSIT)
            amount = min(up_to - held - given, min(room.get(operator, 0), left) - bought)
            amount -= amount % GWEI_IN_ETHER
            if amount >= (GWEI_IN_ETHER if given else least):
                amounts[one.key] = given + amount
                room[operator] -= amount + bought
                left -= amount + bought

    able = [one for one in snapshot.validators if _can_be_topped_up(one, snapshot.at)]
    first = [one for one in able if one.record.state == State.PROVEN][:MOST_TOP_UPS]
    give(list(first), MIN_STAKE - PREDEPOSIT, MIN_STAKE)
    more = sorted((one for one in able if one.key not in amounts and one.record.stake), key=_stake)
    more = [one for one in first if one.key in amounts] + more
    give(more[:MOST_TOP_UPS], rule.least_gwei, rule.fill_to_eth * GWEI_IN_ETHER)
    return amounts


def _can_be_topped_up(one: Known, at: int) -> bool:
    record, seen = one.record, one.seen
    good = record.state == State.PROVEN or (record.state == State.ACTIVE and not record.pulled)
    return good and seen is not None and not seen.slashed and not seen.leaving and record.proven_at <= at


# --- fees ---


def _sync_fees(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    for operator in snapshot.fees.unsynced if snapshot.fees else ():
        yield Step("sync_fees", f"the fee splitter has another weight of operator {operator}", number=operator)


def _distribute_fees(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    rule = rules.distribute_fees
    gwei = _value(snapshot, snapshot.fees.undistributed) if snapshot.fees else 0
    if snapshot.fees and gwei >= max(rule.least_gwei, 1):
        yield _worth(snapshot, rule, Step("distribute_fees", f"fees of {_eth(gwei)} ETH are not split yet"), gwei, 0)


def _claim_fees(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    rule = rules.claim_fees
    for operator, shares in snapshot.fees.claimable.items() if snapshot.fees else ():
        gwei = _value(snapshot, shares)
        if gwei >= max(rule.least_gwei, 1):
            step = Step("claim_fees", f"operator {operator} has earned {_eth(gwei)} ETH of fees", number=operator)
            yield _worth(snapshot, rule, step, gwei, 0)


def _claim_cover(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    if snapshot.fees and snapshot.fees.cover_ticket:
        ticket = snapshot.fees.cover_ticket
        yield Step("claim_cover", f"ticket {ticket} of the cover fund is paid: it repays a loss", number=ticket)


# --- inside ---


def _held(step: Step, rule: Rule, snapshot: Snapshot) -> str:
    """Say what a due step has to wait for, if anything."""
    ready = snapshot.last.get(step.kind, -(10**9)) + rule.cooldown
    if snapshot.now < ready:
        return f"done lately: again in {ready - snapshot.now:.0f} s"
    price = snapshot.base_fee + snapshot.tip
    if price > rule.max_fee:
        return f"gas costs {price / GWEI:.1f} Gwei, at most {rule.max_fee_gwei:g} are allowed"
    return ""


def _worth(snapshot: Snapshot, rule: Worth, step: Step, gwei: int, validators: int) -> Step:
    """Hold a step whose gas costs too much of the amount that it moves."""
    once, each = GAS[step.kind]
    cost = (once + each * validators) * (snapshot.base_fee + snapshot.tip)
    if cost * BPS <= gwei * GWEI * rule.most_cost_bps:
        return step
    return step.waiting(f"gas would cost {_eth(cost // GWEI)} ETH, more than {rule.most_cost_bps:g} bps of it")


def _value(snapshot: Snapshot, shares: int) -> int:
    """Return what shares are worth at the exit rate, in Gwei."""
    return shares * snapshot.exit_rate // ETHER // GWEI


def _keys(found: Sequence[Known]) -> tuple[bytes, ...]:
    return tuple(one.key for one in found)


def _count(found: Sequence[Known]) -> str:
    return f"{len(found)} validator{'s' if len(found) > 1 else ''}"


def _eth(gwei: int) -> str:
    return f"{gwei / GWEI_IN_ETHER:,.4f}".rstrip("0").rstrip(".")
