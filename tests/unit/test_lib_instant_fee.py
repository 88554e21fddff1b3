"""contracts/lib/instant_fee.vy: the line, the fee along it, and its inverse."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import ETHER, Contract, Evm

PPM = 10**6
MAX_FEE = 50_000
U96 = 2**96 - 1
PART = st.integers(0, PPM)


class Line(NamedTuple):
    """The module's `Line`."""

    fee_min: int
    fee_max: int
    target: int
    liquidity: int

    def price(self, liquidity: int) -> Fraction:
        """Return the exact price of the next wei out in ppm."""
        if liquidity >= self.target:
            return Fraction(self.fee_min)
        return self.fee_max - (self.fee_max - self.fee_min) * Fraction(liquidity, self.target)

    def fee(self, gross: int) -> Fraction:
        """Return the exact fee in wei of an exit of `gross` wei, at most the liquidity: the area below the line."""
        above = min(max(self.liquidity - self.target, 0), gross)
        start, end = self.liquidity - above, self.liquidity - gross
        sloped = Fraction(start - end) * (self.price(start) + self.price(end)) / 2
        return (above * self.fee_min + sloped) / PPM


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Draw any line that the pool's bounds allow."""
    low, high = sorted(draw(st.lists(st.integers(0, MAX_FEE), min_size=2, max_size=2)))
    amount = st.integers(0, 10**9) | st.integers(0, U96)
    return Line(low, high, draw(amount), draw(amount))


@pytest.fixture(scope="module")
def fees() -> Contract:
    return Evm().deploy("MockInstantFee")


@given(line=lines(), liquidity=st.integers(0, U96))
def test_price_ppm__any_liquidity__is_the_exact_one_rounded_up(fees: Contract, line: Line, liquidity: int):
    assert line.price(liquidity) <= fees.price_ppm(line, liquidity) < line.price(liquidity) + 1


@given(line=lines(), part=PART)
def test_fee__any_exit__is_the_area_below_the_line_rounded_up(fees: Contract, line: Line, part: int):
    gross = line.liquidity * part // PPM
    # The prices at both ends and their mean are whole millionths.
    assert line.fee(gross) <= fees.fee(line, gross) < line.fee(gross) + Fraction(2 * gross, PPM) + 1


def test_fee_ppm__on_a_plain_line__is_the_mean_of_the_prices(fees: Contract):
    line = Line(fee_min=1_000, fee_max=30_000, target=29_000, liquidity=40_000)
    assert fees.price_ppm(line, 40_000) == fees.price_ppm(line, 29_000) == 1_000
    assert fees.price_ppm(line, 28_999) == 1_001
    assert fees.price_ppm(line, 0) == 30_000
    expected = {
        1: 1_000,
        11_000: 1_000,  # leaves the target
        13_000: 1_154,  # 11,000 at 1,000 and 2,000 at 2,000 on average
        40_000: 11_513,  # 11,000 at 1,000 and 29,000 at 15,500, rounded up
    }
    assert {gross: fees.fee_ppm(line, gross) for gross in expected} == expected


def test_fee__no_target_or_no_amount__is_the_least(fees: Contract):
    line = Line(fee_min=7, fee_max=30_000, target=0, liquidity=0)
    assert fees.fee_ppm(line, 1) == fees.fee_ppm(line, ETHER) == 7
    assert fees.fee(line, 1) == 1
    assert fees.fee(line, 0) == 0


@given(line=lines(), gross=st.integers(1, 2**95), more=st.integers(0, 2**95))
def test_fee_ppm__larger_exit__is_never_cheaper(fees: Contract, line: Line, gross: int, more: int):
    assert line.fee_min <= fees.fee_ppm(line, gross) <= fees.fee_ppm(line, gross + more) <= line.fee_max


@given(line=lines(), parts=st.lists(PART, min_size=1, max_size=10))
def test_fee__exit_in_pieces__costs_as_much_as_in_one(fees: Contract, line: Line, parts: list[int]):
    whole = sum(line.liquidity * part // (PPM * len(parts)) for part in parts)
    left, paid = line, 0
    for part in parts:
        piece = line.liquidity * part // (PPM * len(parts))
        paid += fees.fee(left, piece)
        left = left._replace(liquidity=left.liquidity - piece)
    assert abs(paid - fees.fee(line, whole)) <= Fraction(2 * whole, PPM) + len(parts) + 1


@given(line=lines(), net=st.integers(0, U96))
def test_gross_for__any_amount__is_found_and_leaves_it_exactly(fees: Contract, line: Line, net: int):
    gross = fees.gross_for(line, net)
    assert gross - fees.fee(line, gross) == net
    if gross > 0:
        assert gross - 1 - fees.fee(line, gross - 1) < net


@pytest.mark.parametrize("line", [Line(0, 50_000, 6_000, 5_000), Line(1_000, 30_000, 400, 6_000), Line(500, 500, 9, 9)])
def test_gross_for__every_amount_of_a_small_line__is_the_least_that_suffices(fees: Contract, line: Line):
    nets = [gross - fees.fee(line, gross) for gross in range(line.liquidity + 1)]
    least = 0
    for net in range(max(nets) + 1):
        while nets[least] < net:
            least += 1
        assert fees.gross_for(line, net) == least
