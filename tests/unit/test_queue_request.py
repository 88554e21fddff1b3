"""`request` and `request_many`: places in the line."""

from __future__ import annotations

import pytest

from tests.evm import ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER, Protocol, deploy_pool


def test_queue__built_for_another_pool__reverts(evm: Evm, protocol: Protocol):
    with reverts("peer: not wired to this contract"):
        evm.deploy("WithdrawalQueue", protocol.pool)
    pool = deploy_pool(evm, admin=protocol.admin)
    assert evm.deploy("WithdrawalQueue", pool).address == pool.queue()


def test_queue__deployed__has_a_name_and_an_empty_line(fresh: Protocol):
    queue = fresh.queue
    assert (queue.name(), queue.symbol()) == ("Floe Exit", "floEXIT")
    assert queue.pool() == fresh.pool.address
    assert queue.tail() == queue.tickets() == queue.filled() == queue.paid_in() == queue.points() == 0


def test_request__shares__become_an_interval_at_the_end_of_the_line(evm: Evm, pool: Contract, queue: Contract):
    assert queue.request(ETHER, RECEIVER, sender=STAKER) == 1
    mint, requested, _ = evm.events()
    assert mint.fields == {"sender": ZERO, "receiver": RECEIVER, "token_id": 1}
    assert requested.name == "Requested"
    assert requested.fields == {"ticket": 1, "owner": RECEIVER, "shares": ETHER}
    assert queue.request(7, STAKER, sender=SAVER) == 2
    assert queue.interval(1) == (0, ETHER)
    assert queue.interval(2) == (ETHER, ETHER + 7)
    assert queue.tail() == pool.balanceOf(queue) == ETHER + 7
    assert queue.tickets() == 2
    assert (queue.ownerOf(1), queue.ownerOf(2)) == (RECEIVER, STAKER)
    assert queue.balanceOf(RECEIVER) == queue.balanceOf(STAKER) == 1
    assert queue.pending(1) == ETHER
    assert queue.claimable(1) == queue.hint(1) == 0


def test_request__no_approval__is_needed_and_only_the_callers_shares_move(pool: Contract, queue: Contract):
    held = pool.balanceOf(STAKER)
    assert pool.allowance(STAKER, queue) == 0
    with reverts("balance: too low"):
        queue.request(1, OUTSIDER, sender=OUTSIDER)
    queue.request(held, OUTSIDER, sender=STAKER)
    assert pool.balanceOf(STAKER) == 0


def test_request__single_share__is_a_ticket(queue: Contract):
    assert queue.request(1, STAKER, sender=STAKER) == 1
    assert queue.interval(1) == (0, 1)


def test_request__nothing__reverts(queue: Contract):
    with reverts("request: zero shares"):
        queue.request(0, STAKER, sender=STAKER)
    with reverts("request: zero shares"):
        queue.request_many([1, 0, 1], STAKER, sender=STAKER)


@pytest.mark.parametrize("receiver", ["nobody", "pool", "queue"])
def test_request__receiver_refused__reverts(protocol: Protocol, receiver: str):
    refused = {"nobody": ZERO, "pool": protocol.pool, "queue": protocol.queue}[receiver]
    with reverts("receiver: refused"):
        protocol.queue.request(1, refused, sender=STAKER)
    with reverts("receiver: refused"):
        protocol.queue.request_many([1], refused, sender=STAKER)


def test_request__more_than_held__reverts(pool: Contract, queue: Contract):
    held = pool.balanceOf(STAKER)
    with reverts("balance: too low"):
        queue.request(held + 1, STAKER, sender=STAKER)
    with reverts("balance: too low"):
        queue.request_many([held, 1], STAKER, sender=STAKER)
    assert queue.tickets() == 0


def test_request_many__several__lie_side_by_side(evm: Evm, pool: Contract, queue: Contract):
    queue.request(5, STAKER, sender=STAKER)
    sizes = [3, 1, ETHER, 2]
    assert queue.request_many(sizes, RECEIVER, sender=STAKER) == 2
    assert [event.fields for event in evm.events(queue, "Requested")] == [
        {"ticket": 2 + i, "owner": RECEIVER, "shares": size} for i, size in enumerate(sizes)
    ]
    ends = [5, 8, 9, 9 + ETHER, 11 + ETHER]
    assert [queue.interval(i)[1] for i in range(1, 6)] == ends
    assert queue.balanceOf(RECEIVER) == len(sizes)
    assert queue.tail() == pool.balanceOf(queue) == ends[-1]
    assert queue.tickets() == 5


def test_request_many__sixty_four__is_the_most(queue: Contract):
    assert queue.request_many([1] * 64, STAKER, sender=STAKER) == 1
    with reverts():
        queue.request_many([1] * 65, STAKER, sender=STAKER)


def test_request_many__empty_list__reverts(queue: Contract):
    with reverts("request: empty list"):
        queue.request_many([], STAKER, sender=STAKER)


def test_request__line_over_95_bits__reverts(evm: Evm, queue: Contract, protocol: Protocol):
    evm.fund(STAKER, 2**96)
    protocol.stake(2**96 - 2**90)
    protocol.request(2**95 - 2)
    with reverts("request: line over 95 bits"):
        queue.request(2, STAKER, sender=STAKER)
    with reverts("request: line over 95 bits"):
        queue.request_many([1, 1], STAKER, sender=STAKER)
    queue.request(1, STAKER, sender=STAKER)
    assert queue.interval(2) == (2**95 - 2, 2**95 - 1)
