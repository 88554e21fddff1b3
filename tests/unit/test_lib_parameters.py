"""contracts/lib/parameters.vy: one word for all of them, and the bounds that no admin can pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, Contract, Evm, reverts
from tests.protocol import PARAMETERS, Parameters

# Name, a value that is just allowed, and the one beyond it that is not.
BOUNDS = [
    ("fee_bps", 2_000, 2_001),
    ("rise_bps", 100, 99),
    ("rise_bps", 5_000, 5_001),
    ("target_bps", 2_000, 2_001),
    ("allowance_bps", 2_000, 2_001),
    ("instant_fee_min", PARAMETERS.instant_fee_max, PARAMETERS.instant_fee_max + 1),
    ("instant_fee_max", PARAMETERS.instant_fee_min, PARAMETERS.instant_fee_min - 1),
    ("instant_fee_max", 50_000, 50_001),
    ("period", 3_600, 3_599),
    ("period", 30 * DAY, 30 * DAY + 1),
    ("stale_after", DAY, DAY - 1),
    ("stale_after", 30 * DAY, 30 * DAY + 1),
]


@pytest.fixture(scope="module")
def parameters() -> Contract:
    return Evm().deploy("MockParameters")


@st.composite
def allowed(draw: st.DrawFn) -> Parameters:
    """Any parameters within the bounds."""
    high = draw(st.integers(0, 50_000))
    return Parameters(
        fee_bps=draw(st.integers(0, 2_000)),
        rise_bps=draw(st.integers(100, 5_000)),
        target_bps=draw(st.integers(0, 2_000)),
        allowance_bps=draw(st.integers(0, 2_000)),
        instant_fee_min=draw(st.integers(0, high)),
        instant_fee_max=high,
        period=draw(st.integers(3_600, 30 * DAY)),
        stale_after=draw(st.integers(DAY, 30 * DAY)),
    )


@given(chosen=allowed())
def test_pack__within_bounds__comes_back_unchanged(parameters: Contract, chosen: Parameters):
    assert parameters.unpack(parameters.pack(chosen)) == chosen


def test_pack__each_field__lies_where_the_module_says(parameters: Contract):
    sizes = [16, 16, 16, 16, 32, 32, 32, 32]
    word = parameters.pack(PARAMETERS)
    for value, size in zip(PARAMETERS, sizes, strict=True):
        assert word % 2**size == value
        word >>= size
    assert word == 0


@pytest.mark.parametrize(("name", "last", "beyond"), BOUNDS)
def test_pack__each_bound__is_inclusive(parameters: Contract, name: str, last: int, beyond: int):
    chosen = PARAMETERS._replace(**{name: last})
    assert parameters.unpack(parameters.pack(chosen)) == chosen
    with reverts("parameter: out of bounds"):
        parameters.pack(PARAMETERS._replace(**{name: beyond}))


@pytest.mark.parametrize("name", Parameters._fields)
def test_pack__far_beyond__reverts(parameters: Contract, name: str):
    for value in (2**32, 2**256 - 1):
        with reverts("parameter: out of bounds"):
            parameters.pack(PARAMETERS._replace(**{name: value}))


def test_pack__zero__is_allowed_where_it_switches_something_off(parameters: Contract):
    for name in ("fee_bps", "target_bps", "allowance_bps", "instant_fee_min"):
        parameters.pack(PARAMETERS._replace(**{name: 0}))
    parameters.pack(PARAMETERS._replace(instant_fee_min=0, instant_fee_max=0))
