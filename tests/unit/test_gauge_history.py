"""Gauge: random histories beside a ledger that loops over everybody, in exact fractions; and nothing is ever lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.evm import DAY, Contract, Evm
from tests.gauge import DISTRIBUTOR, PEOPLE, PLENTY, REVERT, SCALE, Gauges

PERIODS = (3_600, DAY, 366 * DAY)
AMOUNTS = st.integers(1, 10) | st.integers(1, 10**30) | st.sampled_from([2**96 - 1, 10**18, 10**6])
WAITS = st.sampled_from([0, 1, 12, 3_599, 3_600, 3_601, DAY, 30 * DAY]) | st.integers(0, 400 * DAY)
WHO, WHAT = st.integers(0, 2), st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("stake"), WHO, AMOUNTS),
        st.tuples(st.just("withdraw"), WHO, st.integers(1, 1_000)),
        st.tuples(st.just("emergency_exit"), WHO, st.just(0)),
        st.tuples(st.just("claim"), WHO, WHAT),
        st.tuples(st.just("claim_all"), WHO, st.just(0)),
        st.tuples(st.just("notify"), WHAT, AMOUNTS),
        st.tuples(st.just("break"), WHAT, st.just(0)),
    ).flatmap(lambda step: st.tuples(st.just(step), WAITS)),
    min_size=5,
    max_size=30,
)


@dataclass
class Book:
    """One reward token in exact wei. What streams between two divisions is a whole number, as in the contract."""

    period: int
    amount: int = 0
    start: int = 0
    last: int = 0
    idle: int = 0
    divisions: int = 0
    earned: dict[str, Fraction] = field(default_factory=dict)
    """By account, paid wei included."""
    settled: dict[str, Fraction] = field(default_factory=dict)
    """Of these, what an emergency would leave."""
    forfeited: Fraction = Fraction(0)

    def streamed(self, at: int) -> int:
        """Wei of this stream until then."""
        return self.amount * min(at - self.start, self.period) // self.period

    def divide(self, now: int, stakes: dict[str, int]) -> None:
        """Give everybody his part of what has streamed since the last division."""
        streamed, total = self.streamed(now) - self.streamed(self.last), sum(stakes.values())
        if not streamed:
            return
        self.last, self.divisions = now, self.divisions + 1
        if not total:
            self.idle += streamed
            return
        for account, stake in stakes.items():
            self.earned[account] = self.earned.get(account, Fraction(0)) + Fraction(streamed * stake, total)

    def settle(self, account: str) -> None:
        """Write down what an account has for certain."""
        self.settled[account] = self.earned.get(account, Fraction(0))

    def forfeit(self, account: str) -> None:
        """Take away the rest."""
        rest = self.earned.get(account, Fraction(0)) - self.settled.get(account, Fraction(0))
        self.forfeited += rest
        self.earned[account] = self.settled.get(account, Fraction(0))

    def notify(self, now: int, received: int) -> None:
        """Start a new stream with all that nobody has earned."""
        left = self.amount - self.streamed(now)
        self.amount, self.start, self.last, self.idle = received + left + self.idle, now, now, 0


class Life:
    """The contract and the ledger."""

    def __init__(self, world: Gauges, tokens: list[Contract]) -> None:
        self.world, self.gauge, self.tokens, self.evm = world, world.gauge, tokens, world.evm
        self.stakes = dict.fromkeys(PEOPLE, 0)
        self.books = [Book(period) for period in PERIODS]
        self.broken = [False] * len(tokens)
        self.paid = [dict.fromkeys(PEOPLE, 0) for _ in tokens]
        self.notified = [0] * len(tokens)
        self.most = 0
        """Ever staked at once."""

    def divide_all(self, account: str) -> None:
        """Bring all tokens up to date, and an account in each."""
        for book in self.books:
            book.divide(self.evm.now, self.stakes)
            book.settle(account)

    def do(self, action: str, who: int, number: int) -> None:
        """Take one step, if it can be taken."""
        getattr(self, f"_{action}")(who, number)

    def _stake(self, who: int, amount: int) -> None:
        account = PEOPLE[who]
        if amount + sum(self.stakes.values()) >= 2**120:
            return
        self.gauge.stake(amount, sender=account)
        self.divide_all(account)
        self.stakes[account] += amount
        self.most = max(self.most, sum(self.stakes.values()))

    def _withdraw(self, who: int, thousandths: int) -> None:
        account = PEOPLE[who]
        if amount := -(-self.stakes[account] * thousandths // 1_000):
            self.gauge.withdraw(amount, sender=account)
            self.divide_all(account)
            self.stakes[account] -= amount

    def _emergency_exit(self, who: int, _: int) -> None:
        account = PEOPLE[who]
        if self.stakes[account]:
            assert self.gauge.emergency_exit(sender=account) == self.stakes[account]
            for book in self.books:
                book.forfeit(account)
            self.stakes[account] = 0

    def _claim(self, who: int, number: int) -> None:
        if not self.broken[number]:
            self.paid[number][PEOPLE[who]] += self.gauge.claim(PEOPLE[who], self.tokens[number])
            self.books[number].divide(self.evm.now, self.stakes)
            self.books[number].settle(PEOPLE[who])

    def _claim_all(self, who: int, _: int) -> None:
        # The first token, which the world came with, is never notified.
        for number, amount in enumerate(self.gauge.claim_all(PEOPLE[who])[1:]):
            assert amount == 0 or not self.broken[number]
            self.paid[number][PEOPLE[who]] += amount
        self.divide_all(PEOPLE[who])

    def _notify(self, number: int, amount: int) -> None:
        book, now = self.books[number], self.evm.now
        with_it = amount + book.amount - book.streamed(now) + book.idle + book.streamed(now) - book.streamed(book.last)
        if not self.broken[number] and with_it < 2**96:
            assert self.gauge.notify(self.tokens[number], amount, sender=DISTRIBUTOR) == amount
            book.divide(now, self.stakes)
            book.notify(now, amount)
            self.notified[number] += amount

    def _break(self, number: int, _: int) -> None:
        self.broken[number] = not self.broken[number]
        self.tokens[number].behave(REVERT if self.broken[number] else 0)

    def check(self) -> None:
        """Compare everything, as it is at this moment."""
        assert self.gauge.total_staked() == sum(self.stakes.values()) == self.world.coin.balanceOf(self.gauge)
        for number, token in enumerate(self.tokens):
            book = self.books[number]
            state = self.gauge.reward(token)
            ahead = Book(**vars(book) | {"earned": dict(book.earned)})
            ahead.divide(self.evm.now, self.stakes)
            assert (state.amount, state.left) == (book.amount, book.amount - book.streamed(self.evm.now))
            assert state.idle == ahead.idle

            earnings = 0
            for account in PEOPLE:
                mine = self.gauge.earned(account, token) * SCALE + self.gauge.fraction(account, token)
                whole = self.paid[number][account] * SCALE + mine
                exact = ahead.earned.get(account, Fraction(0)) * SCALE
                # Each division moves less than one scaled wei of each staked one to the next.
                assert abs(whole - exact) <= self.most * ahead.divisions, (account, number)
                earnings += mine
            paid = sum(self.paid[number].values())
            missing = self.notified[number] * SCALE - (state.left + state.idle + paid) * SCALE - state.rest - earnings
            if book.forfeited == 0:
                assert missing == 0
            assert abs(missing - book.forfeited * SCALE) <= self.most * book.divisions
            # What belongs to people is here.
            assert token.balanceOf(self.gauge) == self.notified[number] - paid


@pytest.fixture(scope="module")
def warm() -> tuple[Gauges, list[Contract]]:
    world = Gauges(Evm())
    world.evm.travel(DAY)
    return world, [world.add_reward(period) for period in PERIODS]


@given(steps=STEPS)
@settings(max_examples=60)
@example(
    steps=[
        (("notify", 0, 10**6), 1_800),
        (("stake", 0, 1), 600),
        (("stake", 1, 2**119), 600),
        (("emergency_exit", 0, 0), 1),
        (("stake", 0, 3), 3_600),
        (("claim_all", 0, 0), 0),
        (("claim_all", 1, 0), 0),
    ]
)
def test_history__any__is_what_a_loop_over_everybody_says_and_nothing_is_lost(
    warm: tuple[Gauges, list[Contract]], steps: list[Any]
):
    world, tokens = warm
    with world.evm.undone():
        life = Life(world, tokens)
        for (action, who, number), wait in steps:
            life.do(action, who, number)
            life.check()
            world.evm.travel(wait)
            life.check()
        # Everybody can leave, whatever the tokens do, with all of his stake.
        for token in tokens:
            token.behave(REVERT)
        for account in PEOPLE:
            if life.stakes[account]:
                life.gauge.withdraw(life.stakes[account], sender=account)
            assert world.coin.balanceOf(account) == PLENTY
