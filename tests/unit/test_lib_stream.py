"""contracts/lib/stream.vy: what is still locked, and what adding to it does."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, GENESIS, Contract, Evm, reverts

U40, U96 = 2**40 - 1, 2**96 - 1
CEILING = 2**80 - 1
AMOUNT = st.integers(1, U96)
SPAN = st.integers(1, 30 * DAY)


@pytest.fixture(scope="module")
def stream() -> Contract:
    return Evm().deploy("MockStream")


def word(locked: int, start: int, end: int, ceiling: int = CEILING) -> int:
    return ceiling << 176 | end << 136 | start << 96 | locked


@given(locked=AMOUNT, span=SPAN, passed=st.integers(0, 31 * DAY))
def test_locked__any_time__is_the_linear_rest_rounded_down(stream: Contract, locked: int, span: int, passed: int):
    packed = word(locked, GENESIS, GENESIS + span)
    exact = locked * max(1 - Fraction(passed, span), Fraction(0))
    assert stream.locked(packed, GENESIS + passed) == int(exact)


def test_locked__first_and_last_second__are_all_and_nothing(stream: Contract):
    packed = word(U96, U40 - 2, U40)
    assert stream.locked(packed, U40 - 2) == U96
    assert stream.locked(packed, U40 - 1) == U96 // 2
    assert stream.locked(packed, U40) == stream.locked(packed, 2**256 - 1) == 0
    assert stream.locked(word(0, 0, 0), GENESIS) == 0
    # No time between start and end: nothing to divide by.
    assert stream.locked(word(5, GENESIS, GENESIS), GENESIS) == 0


@given(locked=AMOUNT, start=st.integers(0, U40 - 30 * DAY), span=SPAN)
def test_restart__any_stream__keeps_the_ceiling(stream: Contract, locked: int, start: int, span: int):
    old = word(7, 1, 2)
    assert stream.restart(old, locked, start, start + span) == word(locked, start, start + span)


def test_restart__more_than_96_bits__reverts(stream: Contract):
    stream.restart(0, U96, GENESIS, GENESIS + 1)
    with reverts():
        stream.restart(0, U96 + 1, GENESIS, GENESIS + 1)


@given(
    locked=st.integers(0, 2**95), amount=st.integers(1, 2**95), span=SPAN, passed=st.integers(0, 31 * DAY), period=SPAN
)
def test_add__any_amount__moves_the_rest_of_the_time_towards_the_period(
    stream: Contract, locked: int, amount: int, span: int, passed: int, period: int
):
    now = GENESIS + passed
    before = word(locked, GENESIS, GENESIS + span)
    rest, left = max(span - passed, 0), stream.locked(before, now)
    after = stream.add(before, amount, now, period)
    assert after & U96 == stream.locked(after, now) == left + amount
    assert after >> 96 & U40 == now
    assert after >> 176 == CEILING
    # By the amount's part of the whole, and never down.
    exact = rest + max(period - rest, 0) * Fraction(amount, left + amount)
    assert (after >> 136 & U40) - now == int(exact)


@given(span=SPAN, passed=st.integers(0, 30 * DAY))
def test_add__dust__does_not_delay_what_is_under_way(stream: Contract, span: int, passed: int):
    before = word(10**18, GENESIS, GENESIS + span)
    now = GENESIS + passed
    if stream.locked(before, now) > 30 * DAY:
        assert stream.add(before, 1, now, 30 * DAY) >> 136 == before >> 136


@given(span=SPAN, passed=st.integers(0, 30 * DAY), amount=AMOUNT)
def test_add__shorter_period__does_not_hurry_what_is_under_way(stream: Contract, span: int, passed: int, amount: int):
    before = word(10**18, GENESIS, GENESIS + span)
    after = stream.add(before, amount % 2**95, GENESIS + passed, 1)
    assert after >> 136 & U40 >= GENESIS + span


def test_add__nothing__changes_nothing(stream: Contract):
    packed = word(10**18, GENESIS, GENESIS + DAY)
    assert stream.add(packed, 0, GENESIS + 1, DAY) == packed


def test_add__sum_over_96_bits__reverts(stream: Contract):
    packed = word(U96, GENESIS, GENESIS + DAY)
    with reverts():
        stream.add(packed, 1, GENESIS, DAY)
