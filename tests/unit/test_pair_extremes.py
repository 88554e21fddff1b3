"""A pair at the edges of its curve: sides hundreds of thousands of times apart, dust, and deposits that dwarf them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evm import ETHER, Evm, RevertError
from tests.pair import Pair, collapsed
from tests.protocol import SAVER, STAKER, Protocol

REFUSALS = {"pair: too small", "pair: too far from balance"}

AMOUNTS = st.integers(0, 23).flatmap(lambda digits: st.integers(10**digits // 10, 10**digits))
OPERATIONS = st.tuples(st.sampled_from(["buy", "sell", "add", "remove", "remove_one"]), AMOUNTS, AMOUNTS, st.booleans())


@pytest.fixture(scope="module")
def scene() -> Protocol:
    """Return a protocol whose holders have more ETH than anybody."""
    protocol = Protocol(Evm())
    for account in (STAKER, SAVER):
        protocol.evm.fund(account, 10**9 * ETHER)
    return protocol


def share_value(pair: Pair) -> Decimal:
    """Return the exact wei behind one unit of liquidity, locked fees left out."""
    worth: Decimal = (pair.value() - pair.contract.locked()) / pair.contract.totalSupply()
    return worth


def run(pair: Pair, kind: str, first: int, second: int, of_ether: bool) -> None:
    """Let the saver, who owns nearly all of the pair, do something, with as much as he has at most."""
    contract, shares = pair.contract, int(pair.pool.balanceOf(SAVER))
    liquidity = min(first, int(contract.balanceOf(SAVER)))
    match kind:
        case "buy":
            pair.buy(first, SAVER)
        case "sell":
            pair.sell(min(first, shares), SAVER)
        case "add":
            pair.add(first, min(second, shares), SAVER)
        case "remove":
            pair.remove(liquidity, SAVER)
        case "remove_one":
            pair.remove_one(liquidity, of_ether, SAVER)


@settings(max_examples=120)
@given(
    amplification=st.sampled_from([100, 101, 1_000, 20_000, 499_999, 500_000]),
    of=st.integers(0, 19).map(lambda bits: 2**bits),
    operations=st.lists(OPERATIONS, min_size=1, max_size=12),
)
def test_bad_024_solver__at_the_edges_of_its_curve__never_gives_more_than_it_takes(
    scene: Protocol, amplification: int, of: int, operations: list[tuple[str, int, int, bool]]
):
    """Every call ends in what it was asked for or in a reason of the pair's, and no share is worth less afterwards.

    By the contract's integers never; by the exact curve not by more than the wei that D is rounded by.
    """
    with scene.evm.undone():
        pair = collapsed(scene, 1, of, amplification=amplification)
        contract = pair.contract
        for kind, first, second, of_ether in operations:
            scene.evm.travel(12)
            exact, worth, supply = share_value(pair), contract.virtual_price(), contract.totalSupply()
            try:
                run(pair, kind, first, second, of_ether)
            except RevertError as error:
                assert error.reason in REFUSALS, error
                continue
            assert contract.virtual_price() >= worth
            assert share_value(pair) >= exact - Decimal(3) / min(supply, contract.totalSupply())
            assert contract.totalSupply() < 2**96
            pair.check()
