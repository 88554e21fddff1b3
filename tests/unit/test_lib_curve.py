"""contracts/lib/curve.vy: F against an exact one, with hints and without."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import Contract, Evm, reverts

U96 = 2**96 - 1
FILLS = st.lists(st.tuples(st.integers(1, 2**64), st.integers(0, 2**65)), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def curve() -> Contract:
    return Evm().deploy("MockCurve")


class Points:
    """The curve's points, and F on them without rounding."""

    def __init__(self, fills: list[tuple[int, int]]) -> None:
        self.shares = [0, *accumulate(shares for shares, _ in fills)]
        self.ether = [0, *accumulate(ether for _, ether in fills)]

    def segment(self, position: int) -> int:
        """Return the index of the point that ends the segment of the share at `position`."""
        return bisect_right(self.shares, position)

    def value(self, position: int) -> Fraction:
        """Return F, in wei."""
        if position == self.shares[-1]:
            return Fraction(self.ether[-1])
        i = self.segment(position)
        part = Fraction(position - self.shares[i - 1], self.shares[i] - self.shares[i - 1])
        return self.ether[i - 1] + part * (self.ether[i] - self.ether[i - 1])


def draw_curve(curve: Contract, fills: list[tuple[int, int]]) -> Points:
    for shares, ether in fills:
        curve.append(shares, ether)
    return Points(fills)


def test_append__first_and_next__add_up(curve: Contract):
    with curve.evm.undone():
        curve.append(5, 7)
        curve.append(1, 0)
        assert curve.head() == 2 << 192 | 7 << 96 | 6
        assert [curve.point(i) for i in range(4)] == [0, 7 << 128 | 5, 7 << 128 | 6, 0]


def test_append__totals_up_to_96_bits__fit(curve: Contract):
    with curve.evm.undone():
        curve.append(U96 - 1, U96 - 1)
        for shares, ether in ((2, 0), (1, 2), (2**256 - 1 - U96, 0)):
            with reverts("pool: total over 96 bits"):
                curve.append(shares, ether)
        curve.append(1, 1)
        assert curve.value(0, U96, 0) == U96


@given(fills=FILLS, data=st.data())
def test_value__any_interval__is_the_difference_of_two_floors(curve: Contract, fills, data: st.DataObject):
    with curve.evm.undone():
        points = draw_curve(curve, fills)
        a = data.draw(st.integers(0, points.shares[-1] - 1), "a")
        b = data.draw(st.integers(a + 1, points.shares[-1]), "b")
        expected = int(points.value(b)) - int(points.value(a))
        assert curve.value(a, b, 0) == expected
        assert curve.value(a, b, points.segment(a)) == expected


@given(fills=FILLS, data=st.data())
def test_value__neighbouring_intervals__add_up_to_what_was_paid_in(curve: Contract, fills, data: st.DataObject):
    with curve.evm.undone():
        points = draw_curve(curve, fills)
        cuts = data.draw(st.lists(st.integers(1, points.shares[-1]), max_size=20), "cuts")
        ends = sorted({0, points.shares[-1], *cuts})
        assert sum(curve.value(a, b, 0) for a, b in pairwise(ends)) == points.ether[-1]


@given(fills=FILLS, data=st.data())
def test_segment__any_position__is_where_a_linear_search_finds_it(curve: Contract, fills, data: st.DataObject):
    with curve.evm.undone():
        points = draw_curve(curve, fills)
        position = data.draw(st.integers(0, points.shares[-1] - 1), "position")
        found = points.segment(position)
        assert curve.segment(position, 1, len(fills)) == found
        first = data.draw(st.integers(1, found), "first")
        assert curve.segment(position, first, len(fills)) == found


@given(fills=FILLS, data=st.data())
def test_hint__any_number__fits_only_if_it_is_the_segment(curve: Contract, fills, data: st.DataObject):
    with curve.evm.undone():
        points = draw_curve(curve, fills)
        position = data.draw(st.integers(0, points.shares[-1] - 1), "position")
        right = points.segment(position)
        for hint in {0, 1, right - 1, right, right + 1, len(fills), len(fills) + 1, 2**64, 2**256 - 1}:
            assert curve.fits(position, hint) is (hint == right)
            if hint not in (0, right):
                with reverts("claim: wrong hint"):
                    curve.value(position, points.shares[-1], hint)


def test_value__every_interval_of_small_curves__is_exact(curve: Contract):
    """All of a small domain: three segments, every pair of positions."""
    for fills in ([(1, 1), (2, 1), (3, 10)], [(3, 0), (1, 0), (2, 1)], [(7, 5)], [(1, 1), (1, 0), (5, 3)]):
        with curve.evm.undone():
            points = draw_curve(curve, fills)
            for a in range(points.shares[-1]):
                for b in range(a + 1, points.shares[-1] + 1):
                    expected = int(points.value(b)) - int(points.value(a))
                    assert curve.value(a, b, 0) == curve.value(a, b, points.segment(a)) == expected
