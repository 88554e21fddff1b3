"""The curve itself: what the solver returns is the number that it promises, everywhere in its domain."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import ETHER, Contract, Evm, reverts
from tests.pair import TERMS, exact_other, exact_price, exact_value, fee_ppm

RATIO = 10**6
MAX_SIDE = 2**97 - 1

AMPLIFICATIONS = st.integers(100, 500_000)
"""In hundredths."""


@st.composite
def sides(draw: st.DrawFn, least: int = 1, ratio: int = RATIO) -> tuple[int, int]:
    """Two sides anywhere in the domain, of all magnitudes alike."""
    high = min(draw(st.integers(least.bit_length(), 97).flatmap(lambda bits: st.integers(1, 2**bits))), MAX_SIDE)
    high = max(high, least)
    part = draw(st.integers(0, ratio.bit_length()).flatmap(lambda bits: st.integers(1, min(2**bits, ratio))))
    low = max(-(-high // part), least)
    return draw(st.permutations([low, high]))  # type: ignore[return-value]


def residue(x: int, y: int, a: int, d: int) -> int:
    """Return what the definition of D compares with 0: not above it at D, above it at D + 1."""
    return 100 * (d * d // (2 * min(x, y)) * d // (2 * max(x, y))) + (a - 100) * d - a * (x + y)


@pytest.fixture(scope="module")
def curve() -> Contract:
    return Evm().deploy("MockStableMath")


# --- D ---


@settings(max_examples=600)
@given(sides=sides(), amplification=AMPLIFICATIONS, guess=st.floats(0, 1))
def test_invariant__whole_domain_any_guess__is_the_largest_with_its_property(
    curve: Contract, sides: tuple[int, int], amplification: int, guess: float
):
    x, y = sides
    a = 2 * amplification
    # Callers start at x + y, or where they expect D.
    start = max(round((x + y) * guess), (x + y) // 1_000, 1)
    d = curve.invariant(x, y, a, x + y)
    assert residue(x, y, a, d) <= 0 < residue(x, y, a, d + 1)
    assert curve.invariant(x, y, a, start) == d
    assert -1 < d - exact_value(x, y, Decimal(amplification) / 100) <= Decimal("0.5")


def test_invariant__equal_sides__is_their_sum(curve: Contract):
    for side in (1, 10**9, 12_345 * ETHER, MAX_SIDE):
        assert curve.invariant(side, side, 40_000, 1) == 2 * side


def test_invariant__by_hand__is_the_published_curve(curve: Contract):
    """A = 1, x = 1, y = 4 (ETH): 2 * 5 + D = 2 D + D^3 / 16, so D^3 + 16 D = 160: D is 4.4590."""
    d = Decimal(curve.invariant(ETHER, 4 * ETHER, 200, 5 * ETHER)) / ETHER
    assert abs(d**3 + 16 * d - 160) < Decimal(10) ** -15
    assert str(round(d, 4)).startswith("4.459")


@pytest.mark.parametrize(
    "outside", [(0, ETHER), (ETHER, 0), (0, 0), (1, RATIO + 1), (RATIO + 1, 1), (MAX_SIDE + 1, MAX_SIDE)]
)
def test_invariant__sides_out_of_the_domain__is_refused(curve: Contract, outside: tuple[int, int]):
    with reverts("pair: too far from balance"):
        curve.invariant(*outside, 40_000, 1)


def test_invariant__not_solved_in_time__is_refused(curve: Contract):
    """A below 1 lets a bad guess jump so far that it cannot come back within the rounds."""
    with reverts("pair: no convergence"):
        curve.invariant(10**12, 10**12, 100, 170_000_000)


# --- the other side ---


@settings(max_examples=600)
@given(sides=sides(10**9), amplification=AMPLIFICATIONS, part=st.fractions(0, 100), way=st.booleans())
def test_other__of_any_trade_and_withdrawal__is_the_least_with_its_property(
    curve: Contract, sides: tuple[int, int], amplification: int, part: Decimal, way: bool
):
    """`way`: a trade of any size, or a withdrawal of one side; guesses as the pair makes them."""
    x, y = sides
    a = 2 * amplification
    d = curve.invariant(x, y, a, x + y)
    if way:
        worth = int(y * part)
        into, target = x + worth, d + 2
    else:
        worth = int(d * min(part / 100, 1))
        into, target = x, d - worth + 2
    if target > RATIO * into:  # nothing is left that could be withdrawn from
        return
    found = curve.other(into, target, a, y - min(worth, y // 2))
    b = into + 100 * target // a
    c = (target * target // (2 * into) + 1) * target * 100 // (2 * a) + 1
    assert found * (found + b) >= c + target * found
    assert (found - 1) * (found - 1 + b) < c + target * (found - 1)
    exact = exact_other(into, Decimal(target), Decimal(amplification) / 100)
    assert exact <= found < exact + 3


def test_other__not_solved_in_time__is_refused(curve: Contract):
    with reverts("pair: no convergence"):
        curve.other(10**12, 2 * 10**12, 40_000, 2**100)


# --- price and fee ---


@settings(max_examples=150)
@given(sides=sides(10**12, 10_000), amplification=st.integers(1, 5_000))
def test_price__any_balance__is_the_slope_of_the_curve(curve: Contract, sides: tuple[int, int], amplification: int):
    x, y = sides
    a = 200 * amplification
    price = curve.price(x, y, a, curve.invariant(x, y, a, x + y))
    exact = exact_price(x, y, amplification) * ETHER
    assert abs(price - exact) <= exact / 10**6 + 1
    assert price < 2**80


def test_price__equal_sides__is_one(curve: Contract):
    assert curve.price(ETHER, ETHER, 40_000, 2 * ETHER) == ETHER


@settings(max_examples=150)
@given(sides=sides(), fee=st.integers(50, 10_000), off_peg=st.integers(10_000, 200_000))
def test_fee__any_balance__is_rounded_up_between_its_ends(
    curve: Contract, sides: tuple[int, int], fee: int, off_peg: int
):
    x, y = sides
    rate = curve.fee_ppm(fee, off_peg, x, y)
    assert rate == fee_ppm(TERMS._replace(fee=fee, off_peg=off_peg), x, y)
    assert fee <= rate <= -(-fee * off_peg // 10_000)


def test_fee__by_hand__grows_with_the_distance(curve: Contract):
    """Sides 1 : 3 have 4 x y / (x + y)^2 = 3/4, so at factor 5 the fee is 5 / (4 * 3/4 + 1) = 1.25 times as much."""
    assert curve.fee_ppm(400, 50_000, ETHER, ETHER) == 400
    assert curve.fee_ppm(400, 50_000, ETHER, 3 * ETHER) == 500
    assert curve.fee_ppm(400, 50_000, 3 * ETHER, ETHER) == 500
    assert curve.fee_ppm(400, 10_000, ETHER, 3 * ETHER) == 400
    assert curve.fee_ppm(400, 50_000, 1, 10**6) == 2_000
