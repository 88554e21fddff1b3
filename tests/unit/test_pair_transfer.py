"""`StablePair.transfer` and `transferFrom`: liquidity stays with its owner for the block in which it was minted."""

from __future__ import annotations

import pytest

from tests.evm import ETHER, reverts
from tests.pair import Pair
from tests.protocol import OUTSIDER, RECEIVER, SAVER, SPENDER, STAKER, UNLIMITED, Protocol


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


def test_transfer__of_new_liquidity__waits_for_the_next_block(pair: Pair):
    contract, evm = pair.contract, pair.evm
    contract.approve(SPENDER, UNLIMITED, sender=STAKER)
    got = pair.add(ETHER, ETHER)
    with reverts("pair: fresh liquidity"):
        contract.transfer(RECEIVER, 1, sender=STAKER)
    with reverts("pair: fresh liquidity"):
        contract.transferFrom(STAKER, RECEIVER, 1, sender=SPENDER)
    evm.travel(1)
    contract.transfer(RECEIVER, 1, sender=STAKER)
    contract.transferFrom(STAKER, RECEIVER, got - 1, sender=SPENDER)
    assert contract.balanceOf(RECEIVER) == got


def test_transfer__of_older_liquidity__cannot_be_held_up_by_a_gift(pair: Pair):
    """Somebody else's new liquidity binds itself only, and twice in a block it adds up."""
    contract = pair.contract
    old = contract.balanceOf(SAVER)
    gifts = [
        contract.add_liquidity(0, 0, SAVER, sender=OUTSIDER, value=ETHER),
        contract.add_liquidity(0, 0, SAVER, sender=OUTSIDER, value=ETHER),
    ]
    assert contract.fresh(SAVER) == sum(gifts)
    with reverts("pair: fresh liquidity"):
        contract.transfer(RECEIVER, old + 1, sender=SAVER)
    contract.transfer(RECEIVER, old, sender=SAVER)
    # What arrives by transfer is not new.
    assert contract.fresh(RECEIVER) == 0
    contract.transfer(OUTSIDER, old, sender=RECEIVER)


def test_transfer__of_too_much__is_refused_as_ever(pair: Pair):
    with reverts("erc20: transfer amount exceeds balance"):
        pair.contract.transfer(RECEIVER, 1, sender=STAKER)
    with reverts("erc20: insufficient allowance"):
        pair.contract.transferFrom(SAVER, RECEIVER, 1, sender=SPENDER)
