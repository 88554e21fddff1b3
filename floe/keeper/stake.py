"""Who gets stake, and who is asked to give it back. Amounts are Gwei. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from floe.keeper.config import PullBack, TopUp
from floe.keeper.snapshot import Known, Snapshot
from floe.model.basics import GWEI
from floe.model.beacon import GWEI_IN_ETHER
from floe.model.registry import MAX_STAKE, MIN_PULL, MIN_STAKE, PREDEPOSIT, REQUEST_TIME, State

MOST_TOP_UPS, MOST_REQUESTS = 100, 64
"""In one transaction (ValidatorRegistry)."""


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
        self._left: dict[int, list[Known]] = {}
        """Those who were not asked yet, by operator; who has most to spare comes last."""
        for one in snapshot.validators:
            if _can_be_asked(one, seen_by, snapshot):
                self._left.setdefault(one.record.operator, []).append(one)
        for some in self._left.values():
            some.sort(key=self._spare)

    def excess(self, operator: int) -> int:
        """Return the Gwei by which an operator is above its part of what should stay."""
        part = self._operators[operator].weight * self._keep // self._weights if self._weights else 0
        return self._stakes[operator] - part

    def parts(self, most: Callable[[int], int]) -> None:
        """Ask for parts, of an operator no more than `most` at a time: the most above its part first."""
        while self.missing > 0 and len(self.amounts) < MOST_REQUESTS:
            able = [each for each in self._open() if most(each) > 0 and self._spare(self._left[each][-1]) >= MIN_PULL]
            if not able:
                return
            operator = max(able, key=lambda each: (self.excess(each), self._spare(self._left[each][-1])))
            one = self._left[operator].pop()
            self._take(one, min(self._spare(one), max(min(self.missing, most(operator)), MIN_PULL)))

    def whole(self, least: int) -> None:
        """Ask whole validators to leave while at least this much is missing: the smallest that does, or the largest."""
        while self.missing >= max(least, 1) and len(self.amounts) < MOST_REQUESTS:
            able = self._open()
            if not able:
                return
            theirs = self._left[max(able, key=self.excess)]
            enough = [one for one in theirs if one.record.stake >= self.missing]
            one = min(enough, key=_stake) if enough else max(theirs, key=_stake)
            theirs.remove(one)
            self._take(one, 0)

    def _open(self) -> list[int]:
        """Return the operators that still have somebody to ask, and may be asked."""
        return [each for each, some in self._left.items() if some and not (self._bound and self.excess(each) <= 0)]

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
            # What strangers gave a validator must not keep it from its first stake.
            shown = one.seen.balance if one.seen and (one.record.stake or given) else 0
            held = max(one.record.stake, shown, PREDEPOSIT)
            amount = min(up_to - held - given, min(room.get(operator, 0), left) - bought)
            amount -= amount % GWEI_IN_ETHER
            if amount >= (GWEI_IN_ETHER if given else least):
                amounts[one.key] = given + amount
                room[operator] -= amount + bought
                left -= amount + bought

    able = [one for one in snapshot.validators if _can_be_topped_up(one, snapshot.at)]
    able = [one for one in able if room.get(one.record.operator, 0) >= GWEI_IN_ETHER]
    first = [one for one in able if one.record.state == State.PROVEN][:MOST_TOP_UPS]
    give(list(first), MIN_STAKE - PREDEPOSIT, MIN_STAKE)
    more = [one for one in able if one.record.state == State.ACTIVE and room[one.record.operator] >= rule.least_gwei]
    more = [one for one in first if one.key in amounts] + sorted(more, key=_stake)
    give(more[:MOST_TOP_UPS], rule.least_gwei, rule.fill_to_eth * GWEI_IN_ETHER)
    return amounts


def _can_be_topped_up(one: Known, at: int) -> bool:
    record, seen = one.record, one.seen
    good = record.state == State.PROVEN or (record.state == State.ACTIVE and not record.pulled)
    return good and seen is not None and not seen.slashed and not seen.leaving and record.proven_at <= at
