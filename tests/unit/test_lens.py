"""Lens: one call says what many would, and what it promises then happens."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, ZERO, Evm, reverts
from tests.protocol import (
    DEPOSIT,
    FULFIL,
    GUARDIAN,
    INSTANT_EXIT,
    OUTSIDER,
    PARAMETERS,
    RECEIVER,
    SAVER,
    STAKER,
    UNLIMITED,
    Protocol,
)

U96 = 2**96 - 1


@pytest.fixture
def busy(protocol: Protocol) -> Protocol:
    """Return a protocol with a waiting queue, some of it eligible, some paid, and a deficit."""
    for size in (3, 5, 7):
        protocol.request(size * ETHER)
    protocol.report(gain=-ETHER, tail=9 * ETHER)
    protocol.pool.fulfil(5 * ETHER)
    protocol.evm.travel(1_001)
    return protocol


def test_protocol__busy__agrees_with_every_view(busy: Protocol):
    pool, queue = busy.pool, busy.queue
    seen = busy.lens.protocol()
    value, supply = pool.entry_price()
    assert (seen.entry_rate, seen.exit_rate) == (pool.entry_rate(), pool.exit_rate())
    assert seen.shares == supply == pool.totalSupply()
    assert seen.assets - seen.locked == value == pool.totalAssets()
    assert seen.locked == pool.locked()
    assert (seen.outside, seen.buffer) == (pool.outside(), pool.buffer())
    assert seen.outside + seen.buffer == seen.assets
    assert (seen.pending_loss, seen.deficit) == (pool.pending_loss(), pool.deficit())
    assert seen.deficit > 0
    assert seen.raised_gwei == 0
    assert (seen.waiting, seen.eligible) == (pool.balanceOf(queue), pool.eligible())
    assert seen.needed == -(-seen.waiting * value // supply)
    assert seen.target == seen.assets * PARAMETERS.target_bps // 10_000
    assert seen.stakeable == pool.stakeable()
    assert seen.deposit_room == pool.maxDeposit(STAKER)
    assert seen.stale_from == seen.declare_from == seen.reported_at + PARAMETERS.stale_after
    line = seen.line
    assert (line.tail, line.filled, line.paid_in) == (queue.tail(), queue.filled(), queue.paid_in())
    assert (line.tickets, line.points) == (queue.tickets(), queue.points()) == (3, 1)
    assert line.tail - line.filled == seen.waiting


def test_protocol__fulfillable__is_what_a_fulfilment_pays(busy: Protocol):
    assert busy.lens.protocol().fulfillable == busy.pool.fulfil()[1]
    assert busy.lens.protocol().fulfillable == 0
    busy.report()
    busy.request(80 * ETHER, SAVER)
    busy.report()
    # More is eligible than the buffer holds.
    assert busy.lens.protocol().fulfillable == busy.pool.fulfil()[1] > 0
    # What is left is too little to be paid, until it is enough.
    for deposit, payable in ((ETHER // 2, False), (ETHER // 2 + 3, True)):
        busy.stake(deposit, SAVER)
        assert (busy.lens.protocol().fulfillable > 0) is payable


def test_protocol__instant_exit__limit_and_fee_are_the_pools(protocol: Protocol):
    pool, seen = protocol.pool, protocol.lens.protocol()
    value, supply = pool.entry_price()
    most = pool.maxRedeem(STAKER)
    assert most * value // supply <= seen.instant_limit < (most + 1) * value // supply
    gross = 10**9
    shares = -(-gross * supply // value)
    paid = pool.previewRedeem(shares)
    fee = gross - paid
    assert abs(fee - gross * seen.instant_fee_ppm // 10**6) <= 10**3


def test_protocol__closed__says_why(evm: Evm, protocol: Protocol):
    pool, lens = protocol.pool, protocol.lens
    protocol.request(ETHER)
    protocol.report()
    pool.pause(DEPOSIT | FULFIL | INSTANT_EXIT, evm.now + 5, sender=GUARDIAN)
    seen = lens.protocol()
    assert seen.deposit_room == seen.fulfillable == seen.instant_limit == 0
    limits = seen.limits
    assert limits.deposit_paused_until == limits.fulfil_paused_until == limits.instant_exit_paused_until == evm.now + 5
    evm.travel(5)
    seen = lens.protocol()
    assert min(seen.deposit_room, seen.fulfillable, seen.instant_limit) > 0
    with evm.undone():
        evm.travel(seen.stale_from - evm.now)
        assert lens.protocol().instant_limit == 0
    assert not seen.limits.deposits_refused
    protocol.report(pending_loss=20 * ETHER)
    seen = lens.protocol()
    assert seen.limits.deposits_refused
    assert seen.deposit_room == seen.instant_limit == 0
    assert seen.pending_loss == 20 * ETHER
    assert seen.exit_rate < seen.entry_rate


def test_protocol__pending_loss_raised__is_shown_with_its_counter(protocol: Protocol):
    protocol.report(pending_loss=ETHER)
    protocol.raise_pending_loss(7 * 10**9 + 1)
    seen = protocol.lens.protocol()
    assert (seen.pending_loss, seen.raised_gwei) == (8 * ETHER + 10**9, 7 * 10**9 + 1)
    protocol.report()
    seen = protocol.lens.protocol()
    assert (seen.pending_loss, seen.raised_gwei) == (0, 7 * 10**9 + 1)


def test_tickets__of_every_kind__are_described(busy: Protocol):
    queue, lens = busy.queue, busy.lens
    queue.claim(1)
    queue.claim(2)
    filled = queue.filled()
    gone, partly, waiting, never, nothing = lens.tickets([1, 2, 3, 4, 0])
    assert gone == (1, ZERO, 0, 3 * ETHER, 0, 0, 0, 0, 0)
    assert (partly.owner, partly.start, partly.end) == (STAKER, 3 * ETHER, 8 * ETHER)
    assert (partly.claimable, partly.pending) == (0, 8 * ETHER - filled)
    assert (waiting.start, waiting.end, waiting.pending) == (8 * ETHER, 15 * ETHER, 7 * ETHER)
    assert waiting.ahead == 8 * ETHER - filled
    assert partly.ahead == 0
    value, supply = busy.pool.entry_price()
    assert waiting.value == 7 * ETHER * value // supply
    assert never == (4, ZERO, 0, 0, 0, 0, 0, 0, 0)
    assert nothing == (0, ZERO, 0, 0, 0, 0, 0, 0, 0)


def test_tickets__claimable__come_with_the_hint(busy: Protocol):
    for number in (1, 2):
        (ticket,) = busy.lens.tickets([number])
        assert ticket.hint == busy.queue.hint(number) == 1
        assert ticket.claimable == busy.queue.claim(number, ticket.hint) > 0


def test_tickets__up_to_256__in_one_call(busy: Protocol):
    assert len(busy.lens.tickets(list(range(256)))) == 256
    assert busy.lens.tickets([]) == []
    with reverts():
        busy.lens.tickets(list(range(257)))


def test_account__of_a_holder__sums_up(busy: Protocol):
    pool, token = busy.pool, busy.token
    pool.approve(token, UNLIMITED, sender=STAKER)
    token.wrap(7 * ETHER, sender=STAKER)
    account = busy.lens.account(STAKER)
    assert account.shares == pool.balanceOf(STAKER)
    assert account.wrapped_shares == 7 * ETHER
    assert account.value == pool.convertToAssets(account.shares + 7 * ETHER)
    assert account.tickets == 3
    assert account.instant == pool.maxWithdraw(STAKER) > 0
    assert busy.lens.account(OUTSIDER) == (0, 0, 0, 0, 0)


def test_lens__everything__works_on_the_first_day_and_after_the_last(fresh: Protocol, worthless: Protocol):
    for protocol in (fresh, worthless):
        seen = protocol.lens.protocol()
        assert seen.line == (0, 0, 0, 0, 0)
        assert protocol.lens.account(RECEIVER).value == 0
    assert worthless.lens.protocol().entry_rate == 0
    fresh.evm.travel(400 * DAY)
    assert fresh.lens.protocol().instant_limit == 0


def test_lens__plain_ether__is_refused(protocol: Protocol):
    with reverts():
        protocol.lens.receive(sender=OUTSIDER, value=1)


def test_account__nobody__is_empty(protocol: Protocol):
    assert protocol.lens.account(ZERO) == (0, 0, 0, 0, 0)
