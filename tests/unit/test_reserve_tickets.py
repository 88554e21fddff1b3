"""ExitReserve: tickets that are sold to it, batches of its own in the queue, and what comes back of both."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER, UNLIMITED, Protocol
from tests.reserve import MAX_SOLD_TICKETS, MAX_TICKETS, Reserve


@pytest.fixture
def world(protocol: Protocol) -> Reserve:
    return Reserve(protocol)


@pytest.fixture
def reserve(world: Reserve) -> Contract:
    return world.contract


# --- sell_ticket ---


def test_sell_ticket__nothing_filled__is_bought_as_floeth_is(world: Reserve, reserve: Contract, evm: Evm):
    with evm.undone():
        alike = world.sell(3 * ETHER)
    ticket, ether, before = world.ticket(3 * ETHER), evm.balance(STAKER), reserve.totalAssets()
    assert reserve.preview_sell_ticket(ticket) == alike
    assert reserve.sell_ticket(ticket, alike, sender=STAKER) == alike
    (event,) = evm.events(reserve, "TicketSold")
    assert event.fields == {
        "seller": STAKER,
        "receiver": STAKER,
        "ticket": ticket,
        "shares": 3 * ETHER,
        "assets": alike,
        "fee": world.gross(3 * ETHER) - alike,
        "claimed": 0,
    }
    assert evm.balance(STAKER) - ether == alike
    assert reserve.open_tickets() == [(ticket, *world.queue.interval(ticket))]
    assert (reserve.cash(), reserve.held(), reserve.queued()) == (100 * ETHER - alike, 0, 3 * ETHER)
    assert before <= reserve.totalAssets() <= before + 1
    world.check()


@pytest.mark.parametrize("claimed_before", [False, True])
@pytest.mark.parametrize("hinted", [False, True])
def test_sell_ticket__filled_in_part__passes_that_on_and_buys_the_rest(
    world: Reserve, reserve: Contract, evm: Evm, claimed_before: bool, hinted: bool
):
    queue = world.queue
    ticket = world.ticket(6 * ETHER)
    if claimed_before:
        world.fulfil(ETHER + 10)
        assert queue.claim(ticket) > 0
    world.fulfil(2 * ETHER)
    claimable, rest = queue.claimable(ticket), queue.pending(ticket)
    assert claimable > 0 and 0 < rest < 6 * ETHER
    ether, cash, price = evm.balance(STAKER), reserve.cash(), reserve.preview_sell(rest)
    assert reserve.preview_sell_ticket(ticket) == claimable + price
    hint = queue.hint(ticket) if hinted else 0
    with reverts("slippage: too few assets"):
        reserve.sell_ticket(ticket, claimable + price + 1, STAKER, hint, sender=STAKER)
    assert reserve.sell_ticket(ticket, claimable + price, STAKER, hint, sender=STAKER) == claimable + price
    (event,) = evm.events(reserve, "TicketSold")
    assert (event.fields["shares"], event.fields["assets"], event.fields["claimed"]) == (rest, price, claimable)
    assert evm.balance(STAKER) - ether == claimable + price
    # What was filled cost no cash and no fee.
    assert cash - reserve.cash() == price
    assert reserve.open_tickets() == [(ticket, queue.filled(), queue.interval(ticket)[1])]
    assert reserve.queued() == rest
    world.check()


def test_sell_ticket__filled_in_part__needs_no_cash_for_that_part(protocol: Protocol):
    world = Reserve(protocol, cash=ETHER)
    ticket = world.ticket(4 * ETHER)
    world.fulfil(7 * ETHER // 2)
    rest = world.queue.pending(ticket)
    assert world.sell_ticket(ticket) > 7 * ETHER // 2
    assert world.contract.queued() == rest < ETHER
    world.check()


def test_sell_ticket__smallest__is_bought_and_a_share_less_is_not(world: Reserve, reserve: Contract):
    least = world.parameters.min_ticket
    ticket = world.ticket(least - 1)
    with reverts("reserve: ticket too small"):
        world.sell_ticket(ticket)
    with reverts("reserve: ticket too small"):
        reserve.preview_sell_ticket(ticket)
    assert world.sell_ticket(world.ticket(least)) > 0
    # What counts is the rest that is not filled.
    filled_but_little = world.ticket(3 * ETHER)
    world.fulfil(world.gross(3 * ETHER + 2 * least) - least // 2)
    assert 0 < world.queue.pending(filled_but_little) < least
    with reverts("reserve: ticket too small"):
        world.sell_ticket(filled_but_little)


def test_sell_ticket__each_reason__reverts(world: Reserve, reserve: Contract, protocol: Protocol):
    queue = world.queue
    ticket = world.ticket(2 * ETHER)
    for receiver in (ZERO, reserve, world.pool):
        with reverts("receiver: refused"):
            reserve.sell_ticket(ticket, 0, receiver, sender=STAKER)
    for number in (0, ticket + 1, 2**64, UNLIMITED):
        with reverts("ticket: does not exist"):
            reserve.sell_ticket(number, 0, sender=STAKER)
        with reverts("ticket: does not exist"):
            reserve.preview_sell_ticket(number)
    with reverts("ticket: not the owner's"):
        reserve.sell_ticket(ticket, 0, sender=OUTSIDER)
    queue.setApprovalForAll(reserve, False, sender=STAKER)
    with reverts("ticket: caller may not"):
        reserve.sell_ticket(ticket, 0, sender=STAKER)
    queue.approve(reserve, ticket, sender=STAKER)
    with world.evm.undone():
        assert reserve.sell_ticket(ticket, 0, sender=STAKER) > 0
        # It is the reserve's now.
        with reverts("ticket: not the owner's"):
            reserve.sell_ticket(ticket, 0, sender=STAKER)
    with reverts("slippage: too few assets"):
        reserve.sell_ticket(ticket, reserve.preview_sell_ticket(ticket) + 1, sender=STAKER)
    dear = world.ticket(100 * ETHER)
    queue.setApprovalForAll(reserve, True, sender=STAKER)
    with reverts("reserve: too little ETH"):
        world.sell_ticket(dear)
    with reverts("reserve: too little ETH"):
        reserve.preview_sell_ticket(dear)
    wallet = protocol.wallet(ETHER)
    refused = protocol.request(ETHER, wallet)
    queue.setApprovalForAll(reserve, True, sender=wallet)
    wallet.refuse(True)
    with reverts("ether: send failed"):
        reserve.sell_ticket(refused, 0, sender=wallet)
    world.hold_report()
    with reverts("reserve: exits paused"):
        world.sell_ticket(ticket)
    with reverts("reserve: exits paused"):
        reserve.preview_sell_ticket(ticket)
    world.check()


def test_sell_ticket__wholly_filled_or_claimed__reverts(world: Reserve, reserve: Contract):
    ticket = world.ticket(2 * ETHER)
    world.fulfil()
    with reverts("reserve: nothing to buy"):
        world.sell_ticket(ticket)
    with reverts("reserve: nothing to buy"):
        reserve.preview_sell_ticket(ticket)
    world.queue.claim(ticket)
    with reverts("ticket: does not exist"):
        world.sell_ticket(ticket)


def test_sell_ticket__wrong_hint__reverts(world: Reserve, reserve: Contract):
    world.ticket(ETHER, SAVER)
    world.fulfil()
    ticket = world.ticket(6 * ETHER)
    world.fulfil(2 * ETHER)
    assert world.queue.hint(ticket) == 2
    for hint in (1, 3, UNLIMITED - 1):
        with reverts("claim: wrong hint"):
            reserve.sell_ticket(ticket, 0, STAKER, hint, sender=STAKER)
    assert reserve.sell_ticket(ticket, 0, STAKER, 2, sender=STAKER) > 0


def test_sell_ticket__loss_pending__costs_the_most_at_the_exit_price(world: Reserve, protocol: Protocol):
    ticket = world.ticket(2 * ETHER)
    protocol.report(pending_loss=20 * ETHER)
    gross = world.gross(2 * ETHER)
    assert gross - world.sell_ticket(ticket) == -(-gross * 20_000 // 10**6)
    world.check()


def test_sell_ticket__list_full__reverts_and_batches_have_their_places(world: Reserve, reserve: Contract):
    least = world.parameters.min_ticket
    tickets = [world.ticket(least) for _ in range(MAX_SOLD_TICKETS + 1)]
    world.sell(20 * ETHER)
    for ticket in tickets[:-1]:
        world.sell_ticket(ticket)
    with reverts("reserve: too many tickets"):
        world.sell_ticket(tickets[-1])
    assert world.tickets() == tickets[:-1]
    reserve.queue_exits()
    assert len(reserve.open_tickets()) == MAX_SOLD_TICKETS + 1
    # A place is free when one has been claimed.
    world.fulfil(world.gross(2 * least) + ETHER)
    reserve.claim(0)
    with reverts("reserve: too many tickets"):
        world.sell_ticket(tickets[-1])
    reserve.claim(1)
    world.sell_ticket(tickets[-1])
    world.check()


# --- queue_exits ---


def test_queue_exits__by_anybody__requests_all_that_is_held(world: Reserve, reserve: Contract, evm: Evm):
    world.sell(5 * ETHER)
    before, expected = reserve.totalAssets(), world.queue.tickets() + 1
    assert reserve.queue_exits(sender=OUTSIDER) == expected
    (event,) = evm.events(reserve, "Queued")
    assert event.fields == {"ticket": expected, "shares": 5 * ETHER}
    assert (reserve.held(), reserve.queued()) == (0, 5 * ETHER)
    assert reserve.open_tickets() == [(expected, *world.queue.interval(expected))]
    assert reserve.totalAssets() == before
    world.check()


def test_queue_exits__nothing_held__reverts(world: Reserve, reserve: Contract):
    with reverts("reserve: too little to queue"):
        reserve.queue_exits()
    world.pool.transfer(reserve, ETHER, sender=SAVER)
    with reverts("reserve: too little to queue"):
        reserve.queue_exits()


def test_queue_exits__less_than_a_sixteenth__only_as_the_first(world: Reserve, reserve: Contract):
    world.set_parameters(fee_min=0, fee_max=0)
    world.sell(10**6)
    reserve.queue_exits()
    sixteenth = 100 * ETHER // 16 * ETHER // world.pool.exit_rate()
    world.sell(sixteenth - 10**6)
    with reverts("reserve: too little to queue"):
        reserve.queue_exits()
    world.sell(2 * 10**6)
    assert world.gross(reserve.held()) * 16 >= world.size() > (world.gross(reserve.held()) - 2 * 10**6) * 16
    reserve.queue_exits()
    world.check()


def test_queue_exits__list_full__reverts(protocol: Protocol):
    """Only one that grows from next to nothing gets there: each batch is a sixteenth of what it was then."""
    world = Reserve(protocol, cash=ETHER, fee_min=0, fee_max=0, min_ticket=10**15)
    reserve = world.contract
    for _ in range(MAX_SOLD_TICKETS):
        world.sell_ticket(world.ticket(10**15))
    while len(reserve.open_tickets()) < MAX_TICKETS:
        world.provide(world.size() // 10)
        reserve.withdraw(max(reserve.cash() - world.size() // 12, 0), SAVER, SAVER, sender=SAVER)
        world.sell(world.size() // 15)
        reserve.queue_exits()
    world.provide(ETHER)
    world.sell(ETHER // 2)
    with reverts("reserve: too many tickets"):
        reserve.queue_exits()
    world.check()
    # All 64 can be valued and claimed.
    world.fulfil()
    value = reserve.totalAssets()
    with world.evm.undone():
        reserve.redeem(1, SAVER, SAVER, sender=SAVER)
        assert world.evm.gas_used < 1_500_000
    for _ in range(MAX_TICKETS):
        reserve.claim(0)
    assert abs(reserve.totalAssets() - value) <= 1
    assert (reserve.queued(), reserve.open_tickets()) == (0, [])
    world.check()


# --- claim ---


def test_claim__filled_in_part_and_then_whole__brings_what_the_queue_pays(world: Reserve, reserve: Contract, evm: Evm):
    world.sell(10 * ETHER)
    ticket = reserve.queue_exits()
    with reverts("claim: nothing filled"):
        reserve.claim(0)
    world.fulfil(4 * ETHER)
    worth, before, cash = world.queue.claimable(ticket), reserve.totalAssets(), reserve.cash()
    filled = world.queue.filled() - world.queue.interval(ticket)[0]
    assert reserve.claim(0, sender=OUTSIDER) == worth
    (event,) = evm.events(reserve, "TicketClaimed")
    assert event.fields == {"ticket": ticket, "shares": filled, "assets": worth}
    assert reserve.cash() == cash + worth
    assert reserve.open_tickets() == [(ticket, world.queue.filled(), world.queue.interval(ticket)[1])]
    assert reserve.queued() == 10 * ETHER - filled
    assert reserve.totalAssets() == before
    world.check()
    with reverts("claim: nothing filled"):
        reserve.claim(0)
    world.fulfil()
    assert reserve.claim(0, world.queue.hint(ticket)) > 0
    assert (reserve.open_tickets(), reserve.queued()) == ([], 0)
    with reverts("ticket: does not exist"):
        reserve.claim(0)
    world.check()


def test_claim__in_the_middle__puts_the_last_in_its_place(world: Reserve, reserve: Contract):
    tickets = [world.ticket(ETHER) for _ in range(4)]
    for ticket in tickets:
        world.sell_ticket(ticket)
    world.fulfil()
    reserve.claim(1)
    assert world.tickets() == [tickets[0], tickets[3], tickets[2]]
    world.check()
    reserve.claim(2)
    assert world.tickets() == [tickets[0], tickets[3]]
    with reverts("ticket: does not exist"):
        reserve.claim(2)
    reserve.claim(0)
    reserve.claim(0)
    assert world.tickets() == []
    world.check()


def test_claim__wrong_hint__reverts(world: Reserve, reserve: Contract):
    world.ticket(ETHER, SAVER)
    world.fulfil()
    world.sell(5 * ETHER)
    reserve.queue_exits()
    world.fulfil()
    with reverts("claim: wrong hint"):
        reserve.claim(0, 1)
    assert reserve.claim(0, 2) > 0


def test_claim__by_others_in_the_queue__is_refused_and_holds_up_nobody(world: Reserve, reserve: Contract):
    ticket, other = world.ticket(3 * ETHER), world.ticket(3 * ETHER, SAVER)
    world.sell_ticket(ticket)
    given = world.ticket(ETHER)
    world.queue.transferFrom(STAKER, reserve, given, sender=STAKER)
    world.fulfil()
    value = reserve.totalAssets()
    for theirs in (ticket, given):
        with reverts("ether: send failed"):
            world.queue.claim(theirs, sender=OUTSIDER)
    with reverts("ether: send failed"):
        world.queue.claim_to(other, reserve, sender=SAVER)
    ether = world.evm.balance(SAVER)
    assert world.queue.claim_many([ticket, other, given], []) == world.evm.balance(SAVER) - ether > 0
    assert reserve.totalAssets() == value
    assert reserve.claim(0) > 0
    world.check()


# --- value ---


@pytest.mark.parametrize("change", ["gain", "loss", "pending loss"])
def test_value__tickets_filled_and_not__filled_parts_no_longer_follow_the_rate(
    world: Reserve, reserve: Contract, protocol: Protocol, change: str
):
    world.sell(10 * ETHER)
    reserve.queue_exits()
    world.sell_ticket(world.ticket(5 * ETHER))
    world.sell(3 * ETHER)
    world.fulfil(12 * ETHER)
    assert [start < world.queue.filled() < end for _, start, end in reserve.open_tickets()] == [False, True]
    world.check()
    before, exit_before = reserve.totalAssets(), world.pool.exit_rate()
    locked = reserve.locked()
    if change == "gain":
        world.evm.travel(DAY)
        protocol.report(gain=ETHER // 10)
        world.evm.travel(DAY)
    else:
        loss = {"gain": -40 * ETHER} if change == "loss" else {"pending_loss": 40 * ETHER}
        protocol.report(**loss)
    exit_after = world.pool.exit_rate()
    floating = reserve.held() + sum(world.queue.pending(ticket) for ticket in world.tickets())
    moved = floating * exit_after // ETHER - floating * exit_before // ETHER
    assert reserve.totalAssets() - before == moved + locked - reserve.locked()
    assert (moved > 0) == (change == "gain")
    world.check()
    for index in (1, 0):
        reserve.claim(index)
    world.check()
    assert abs(reserve.totalAssets() - before - moved - locked + reserve.locked()) <= 1


def test_value__fulfilments_of_any_size__lose_less_than_two_wei_a_ticket(world: Reserve, reserve: Contract):
    for shares in (3 * ETHER + 1, 2 * ETHER + 7, 5 * ETHER - 3):
        world.sell_ticket(world.ticket(shares))
    world.sell(7 * ETHER - 11)
    reserve.queue_exits()
    protocol = world.protocol
    protocol.report()
    for assets in (ETHER + 10, ETHER + 11, 2 * ETHER + 3, 3 * ETHER + 5, UNLIMITED):
        before = reserve.totalAssets()
        world.pool.fulfil(assets)
        assert reserve.totalAssets() > before - 8
        world.check()
    before = reserve.totalAssets()
    for _ in range(4):
        reserve.claim(0)
    assert reserve.totalAssets() == before
    assert world.evm.balance(RECEIVER) == 0
    world.check()
