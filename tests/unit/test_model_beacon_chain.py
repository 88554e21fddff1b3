"""The model's beacon chain: jumps over quiet epochs change nothing, and the rules that protect us."""

from __future__ import annotations

from hashlib import sha256
from random import Random

import pytest

from floe.model.beacon import FAR_FUTURE
from floe.model.beacon_chain import BeaconChain, Limits, Withdrawal

ETHER = 10**9
"""Gwei."""
US, THEM = b"\xaa" * 20, b"\xbb" * 20
OURS, THEIRS = b"\2" + bytes(11) + US, b"\1" + bytes(11) + THEM
LIMITS = Limits(min_validator_withdrawability_delay=6, shard_committee_period=5)


def key(number: int) -> bytes:
    return sha256(b"key %d" % number).digest()


def new_chain() -> BeaconChain:
    return BeaconChain(0, 12, 4, 64, slot=40, limits=LIMITS, background=33 * 10**15, finalized_epoch=8)


@pytest.fixture
def chain() -> BeaconChain:
    """Have an active validator of ours with 40 ETH and one of theirs with 32."""
    chain = new_chain()
    chain.deposit(key(0), OURS, 40 * ETHER)
    chain.deposit(key(1), THEIRS, 32 * ETHER)
    chain.run(40 + 4 * 20)
    assert [v.activation_epoch < chain.epoch for v in chain.validators] == [True, True]
    return chain


def blocks(chain: BeaconChain, slot: int) -> list[Withdrawal]:
    """Go to a slot block by block."""
    paid = []
    while chain.slot < slot:
        chain.step(chain.slot + 1)
        paid += chain.withdraw()
    return paid


@pytest.mark.parametrize("seed", range(24))
def test_run__against_one_block_after_the_other__the_same(seed: int) -> None:
    random = Random(seed)
    slow, quick = new_chain(), new_chain()
    paid_slowly, paid_quickly = [], []
    for _ in range(60):
        number, other = random.randrange(6), random.randrange(6)
        amount = random.choice((0, ETHER, 3 * ETHER, 50 * ETHER))
        kind, known = random.randrange(7), len(slow.validators)
        for chain in (slow, quick):
            if kind < 2:
                chain.deposit(key(number), random.choice((OURS,)), max(amount, ETHER) * (1 + 31 * (kind == 0)))
            elif kind == 2:
                chain.request_withdrawal(US, key(number), amount)
            elif kind == 3:
                chain.request_consolidation(US, key(number), key(other))
            elif known and kind == 4 and chain.is_slashable(number % known):
                chain.slash(number % known)
            elif known and kind == 5:
                chain.exit(number % known)
            elif known and kind == 6:
                chain.earn(number % known, amount // 3)
        slot = slow.slot + random.choice((1, 2, 7, 40, 150))
        paid_slowly += blocks(slow, slot)
        paid_quickly += quick.run(slot)
        slow.next_withdrawal_index = quick.next_withdrawal_index  # where the sweep starts, who looks but finds nothing
        assert slow == quick
    assert sorted(paid_slowly) == sorted(paid_quickly)
    assert paid_slowly


def test_deposit__key_that_others_deposited_for_first__keeps_their_credentials(chain: BeaconChain) -> None:
    chain.deposit(key(2), THEIRS, ETHER)
    chain.deposit(key(2), OURS, 30 * ETHER)
    chain.run(chain.slot + 40)
    index = chain.find(key(2))
    assert index is not None
    assert (chain.validators[index].credentials, chain.validators[index].balance) == (THEIRS, 31 * ETHER)


def test_deposit__bad_signature__counts_for_a_known_key_only(chain: BeaconChain) -> None:
    chain.deposit(key(0), OURS, ETHER, valid=False)
    chain.deposit(key(3), OURS, ETHER, valid=False)
    chain.run(chain.slot + 40)
    assert chain.validators[0].balance == 41 * ETHER
    assert chain.find(key(3)) is None
    assert chain.pending_deposits == []


def test_withdrawal__of_a_part__leaves_32_ether_and_pays_the_owner(chain: BeaconChain) -> None:
    chain.request_withdrawal(THEM, key(0), ETHER)
    assert chain.pending_partials == []
    chain.request_withdrawal(US, key(0), 100 * ETHER)
    chain.request_withdrawal(US, key(0), ETHER)  # nothing is left
    assert chain.run(chain.slot + 4 * 20) == [Withdrawal(0, US, 8 * ETHER)]
    assert chain.validators[0].balance == 32 * ETHER


def test_withdrawal__of_everything__waits_for_none_of_its_parts(chain: BeaconChain) -> None:
    chain.request_withdrawal(US, key(0), ETHER)
    chain.request_withdrawal(US, key(0), 0)
    assert chain.validators[0].exit_epoch == FAR_FUTURE
    chain.run(chain.slot + 4 * 20)
    chain.request_withdrawal(US, key(0), 0)
    assert chain.run(chain.slot + 4 * 20) == [Withdrawal(0, US, 39 * ETHER)]


def test_consolidation__by_a_stranger__comes_to_us_but_never_from_us(chain: BeaconChain) -> None:
    chain.request_consolidation(THEM, key(0), key(1))
    assert chain.pending_consolidations == []
    chain.request_consolidation(US, key(0), key(1))  # theirs is not compounding
    assert chain.pending_consolidations == []
    chain.request_consolidation(THEM, key(1), key(0))
    chain.run(chain.slot + 4 * 20)
    assert [v.balance for v in chain.validators] == [72 * ETHER, 0]


def test_slash__penalties__at_once_and_half_a_vector_later() -> None:
    chain = BeaconChain(0, 12, 4, 64, slot=40, limits=LIMITS, background=960 * ETHER, finalized_epoch=8)
    chain.deposit(key(0), OURS, 40 * ETHER)
    chain.run(40 + 4 * 20)
    chain.slash(0)
    assert chain.validators[0].balance == 40 * ETHER - 40 * ETHER // 4_096
    assert chain.validators[0].withdrawable_epoch == chain.epoch + 64
    start = chain.slot
    assert chain.run(start + 4 * 32) == []
    before = chain.validators[0].balance
    assert chain.run(start + 4 * 33) == []
    # Three times its own part of all that is active: by then the 960 of others.
    assert before - chain.validators[0].balance == 40 * (3 * 40 * ETHER // 960)
