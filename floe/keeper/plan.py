"""What a keeper should do: from what it sees to a list of steps, by rules, without any I/O.

    for step in plan(snapshot, rules):
        print(step.kind, step.why, step.held or "now")

A step is either a duty, taken whenever it is due, or it must be worth its gas. One that has to wait (for its cooldown,
for cheaper gas) is in the list, too, and says why. Amounts are Gwei, as in the registry, unless a name says wei.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from floe.keeper.config import Rule, Rules, Worth
from floe.keeper.snapshot import Known, Snapshot
from floe.keeper.stake import requests, top_ups
from floe.model.basics import BPS, DAY, ETHER, GWEI
from floe.model.beacon import GWEI_IN_ETHER
from floe.model.registry import DEPOSIT_TIME, FRESH_SLOTS, REQUEST_TIME, SEEN, WITHDRAWAL_TIME, State, Validator

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

MARGIN_SLOTS = 32
"""A proof for a top-up is renewed so many slots before it is too old."""

GAS: Mapping[Kind, tuple[int, int]] = {
    "fulfil": (90_000, 0),
    "prove_balances": (90_000, 14_000),
    "top_up": (90_000, 60_000),
    "distribute_fees": (130_000, 0),
    "claim_fees": (130_000, 0),
}
"""What an action usually takes: once, and for each validator."""


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
    proofs = _proofs(snapshot, rules)
    make: Mapping[Kind, Callable[[Snapshot, Rules], Iterable[Step]]] = {
        "declare_stale": _declare_stale,
        "record_exits": _record_exits,
        "fulfil": _fulfil,
        "pull_back": _pull_back,
        "top_up": _top_up,
        "sync_fees": _sync_fees,
        "distribute_fees": _distribute_fees,
        "claim_fees": _claim_fees,
        "claim_cover": _claim_cover,
    }
    steps: list[Step] = []
    for kind in get_args(Kind):
        rule: Rule = getattr(rules, kind)
        if rule.enabled:
            found = make[kind](snapshot, rules) if kind in make else proofs.get(kind, [])
            steps += [step.waiting(step.held or _held(step, rule, snapshot)) for step in found]
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

WHY: Mapping[Kind, str] = {
    "prove_slashings": "slashed: exits must bear it at once",
    "prove_exits": "leaving, or a request of theirs was answered",
    "prove_credentials": "new on the beacon chain: they can get stake once it is known whose they are",
    "prove_activity": "active: they can be asked for withdrawals once that is known",
}


def _proofs(snapshot: Snapshot, rules: Rules) -> dict[Kind, list[Step]]:
    """Return the steps that tell the registry what it does not know, by kind."""
    found: dict[Kind, list[Known]] = {}
    for one in snapshot.validators:
        kind = news(one, snapshot.epoch, snapshot.at)
        if kind is not None:
            found.setdefault(kind, []).append(one)
    steps = {
        kind: [Step(kind, f"{_count(found[kind])} {why}", _keys(found[kind]))]
        for kind, why in WHY.items()
        if kind in found
    }
    steps["close"] = [
        Step("close", f"validator {one.seen.index if one.seen else ''} has withdrawn everything", (one.key,))
        for one in found.get("close", [])
    ]
    rule, some = rules.prove_balances, found.get("prove_balances", [])
    change = sum(abs(one.seen.effective_balance - one.record.stake) for one in some if one.seen)
    if some and change >= rule.least_gwei:
        why = f"{_count(some)} with {_eth(change)} ETH that the registry does not know of"
        steps["prove_balances"] = [_worth(snapshot, rule, Step("prove_balances", why, _keys(some)), change, len(some))]
    return steps


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


# --- fees ---


def _sync_fees(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    for operator in snapshot.fees.unsynced:
        yield Step("sync_fees", f"the fee splitter has another weight of operator {operator}", number=operator)


def _distribute_fees(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    rule = rules.distribute_fees
    gwei = _value(snapshot, snapshot.fees.undistributed)
    if gwei >= max(rule.least_gwei, 1):
        yield _worth(snapshot, rule, Step("distribute_fees", f"fees of {_eth(gwei)} ETH are not split yet"), gwei, 0)


def _claim_fees(snapshot: Snapshot, rules: Rules) -> Iterable[Step]:
    rule = rules.claim_fees
    for operator, shares in snapshot.fees.claimable.items():
        gwei = _value(snapshot, shares)
        if gwei >= max(rule.least_gwei, 1):
            step = Step("claim_fees", f"operator {operator} has earned {_eth(gwei)} ETH of fees", number=operator)
            yield _worth(snapshot, rule, step, gwei, 0)


def _claim_cover(snapshot: Snapshot, _: Rules) -> Iterable[Step]:
    ticket = snapshot.fees.cover_ticket
    if ticket:
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
