"""`settle`, `claim`, `claim_to` and `claim_many`: from the curve into somebody's hands."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, RevertError, reverts
from tests.protocol import OPERATOR, OUTSIDER, RECEIVER, SAVER, STAKER, Protocol

NO_TICKET, NOTHING_FILLED, WRONG_HINT, SEND_FAILED = 1, 2, 4, 8


def fill(protocol: Protocol, shares: int, *, days: int = 0) -> int:
    """Make exits up to position `shares` of the line eligible and pay them, at another rate. Returns the wei."""
    protocol.evm.travel(days * DAY)
    protocol.report(gain=ETHER // 50 if days else 0, tail=shares)
    return int(protocol.pool.fulfil()[1])


@pytest.fixture
def filled(protocol: Protocol) -> Protocol:
    """Return a protocol with three tickets of the staker, 4, 6 and 5 ETH of shares long, and a curve of three points.

    The curve ends inside the third: segments end at 3, 7 and 12 ETH of shares. The saver has a fourth ticket.
    """
    for size in (4, 6, 5):
        protocol.request(size * ETHER)
    protocol.request(ETHER, SAVER)
    for end in (3, 7, 12):
        fill(protocol, end * ETHER, days=1)
    return protocol


def worth(queue: Contract, start: int, end: int) -> int:
    """F(end) - F(start), from the points alone."""

    def curve(position: int) -> int:
        points = [queue.point(i) for i in range(queue.points() + 1)]
        for (s0, e0), (s1, e1) in pairwise(points):
            if position <= s1:
                return int(e0 + (position - s0) * (e1 - e0) // (s1 - s0))
        raise AssertionError("not filled")

    return curve(end) - curve(start)


# --- settle ---


def test_settle__fulfilment__appends_one_point(evm: Evm, protocol: Protocol):
    queue = protocol.queue
    protocol.request(2 * ETHER)
    assets = fill(protocol, 2 * ETHER)
    (batch,) = evm.events(queue)
    assert batch.name == "BatchMetadataUpdate"
    assert batch.fields == {"_fromTokenId": 1, "_toTokenId": 2**256 - 1}
    assert queue.point(1) == (2 * ETHER, assets)
    assert queue.point(0) == queue.point(2) == (0, 0)
    assert (queue.points(), queue.filled(), queue.paid_in()) == (1, 2 * ETHER, assets)


@pytest.mark.parametrize("sender", ["outsider", "admin"])
def test_settle__not_the_pool__reverts(protocol: Protocol, sender: str):
    caller = {"outsider": OUTSIDER, "admin": protocol.admin}[sender]
    with reverts("caller: not the pool"):
        protocol.queue.settle(1, sender=caller, value=1)


def test_settle__more_than_96_bits_paid_in__reverts(evm: Evm, protocol: Protocol):
    """A wallet stands for the pool; a real one would have to turn over all the ETH there is six hundred times."""
    wallet = protocol.wallet()
    wallet.stand_for_pool_of(evm.next_address())
    queue = evm.deploy("WithdrawalQueue", wallet)
    queue.request(2**95 - 1, STAKER, sender=STAKER)
    evm.fund(wallet, 2**96)
    queue.settle(ETHER, sender=wallet, value=2**96 - ETHER)
    with reverts("pool: total over 96 bits"):
        queue.settle(ETHER, sender=wallet, value=ETHER)
    queue.settle(ETHER, sender=wallet, value=ETHER - 1)
    assert queue.paid_in() == 2**96 - 1


def test_queue__plain_ether__is_refused(queue: Contract):
    with reverts():
        queue.receive(sender=OUTSIDER, value=1)


# --- claim ---


def test_claim__filled_in_full__pays_the_owner_and_burns_the_ticket(evm: Evm, filled: Protocol):
    queue = filled.queue
    amount, before = worth(queue, 0, 4 * ETHER), evm.balance(STAKER)
    assert queue.claim(1, sender=OUTSIDER) == amount
    claimed, burnt = evm.events()
    assert claimed.name == "Claimed"
    assert claimed.fields == {
        "ticket": 1,
        "owner": STAKER,
        "receiver": STAKER,
        "shares": 4 * ETHER,
        "ether_": amount,
    }
    assert burnt.fields == {"sender": STAKER, "receiver": ZERO, "token_id": 1}
    assert evm.balance(STAKER) == before + amount
    assert queue.balanceOf(STAKER) == 2
    assert queue.claimable(1) == queue.pending(1) == queue.hint(1) == 0
    for call in (queue.ownerOf, queue.getApproved, queue.tokenURI, queue.claimed_until, queue.claim):
        with reverts("ticket: does not exist"):
            call(1)
    # Its end stays, for the ticket after it.
    assert queue.interval(1) == (0, 4 * ETHER)
    assert queue.claimable(2) == worth(queue, 4 * ETHER, 10 * ETHER)


def test_claim__filled_in_part__pays_that_and_keeps_the_ticket(evm: Evm, filled: Protocol):
    queue = filled.queue
    amount = worth(queue, 10 * ETHER, 12 * ETHER)
    assert queue.claimed_until(3) == 10 * ETHER
    assert queue.claim(3) == amount
    assert [event.name for event in evm.events()] == ["Claimed", "MetadataUpdate"]
    assert evm.events()[0].fields["shares"] == 2 * ETHER
    assert evm.events()[1].fields == {"_tokenId": 3}
    assert queue.ownerOf(3) == STAKER
    assert queue.claimed_until(3) == 12 * ETHER
    assert queue.pending(3) == 3 * ETHER
    assert queue.claimable(3) == queue.hint(3) == 0
    with reverts("claim: nothing filled"):
        queue.claim(3)


def test_claim__filled_in_parts__pays_as_much_as_all_at_once(evm: Evm, filled: Protocol):
    queue = filled.queue
    first = queue.claim(3)
    fill(filled, 14 * ETHER, days=1)
    second = queue.claim(3)
    assert queue.claimed_until(3) == 14 * ETHER
    fill(filled, 16 * ETHER, days=1)
    third = queue.claim(3)
    assert first + second + third == worth(queue, 10 * ETHER, 15 * ETHER)
    assert queue.balanceOf(STAKER) == 2
    with reverts("ticket: does not exist"):
        queue.claim(3)
    # The neighbours' claims and these are together exactly what was paid in.
    for ticket in (4, 2, 1):
        queue.claim(ticket)
    assert evm.balance(queue) == 0


def test_claim__with_the_hint__pays_the_same(filled: Protocol):
    queue = filled.queue
    for ticket, segment in ((1, 1), (2, 2), (3, 3)):
        assert queue.hint(ticket) == segment
        with filled.evm.undone():
            amount = queue.claim(ticket)
        assert queue.claim(ticket, segment) == amount
    assert queue.hint(4) == 0


def test_claim__hint_of_a_partly_claimed_ticket__follows_the_progress(filled: Protocol):
    queue = filled.queue
    queue.claim(3)
    fill(filled, 16 * ETHER, days=1)
    assert queue.hint(3) == 4
    with reverts("claim: wrong hint"):
        queue.claim(3, 3)
    queue.claim(3, 4)


@pytest.mark.parametrize("hint", [2, 3, 4, 2**64, 2**256 - 1])
def test_claim__wrong_hint__reverts(filled: Protocol, hint: int):
    with reverts("claim: wrong hint"):
        filled.queue.claim(1, hint)
    with reverts("claim: wrong hint"):
        filled.queue.claim_to(1, RECEIVER, hint, sender=STAKER)


def test_claim__nothing_filled__reverts(filled: Protocol):
    with reverts("claim: nothing filled"):
        filled.queue.claim(4)
    with reverts("claim: nothing filled"):
        filled.queue.claim_to(4, RECEIVER, sender=SAVER)


@pytest.mark.parametrize("ticket", [0, 5, 2**256 - 1])
def test_claim__no_such_ticket__reverts(filled: Protocol, ticket: int):
    with reverts("ticket: does not exist"):
        filled.queue.claim(ticket)
    with reverts("ticket: does not exist"):
        filled.queue.claim_to(ticket, RECEIVER, sender=STAKER)


def test_claim__owner_takes_no_ether__reverts_and_keeps_the_ticket(protocol: Protocol):
    queue, wallet = protocol.queue, protocol.wallet(ETHER)
    queue.request(ETHER, wallet, sender=wallet)
    amount = fill(protocol, ETHER)
    wallet.refuse(True)
    with reverts("ether: send failed"):
        queue.claim(1)
    with reverts("ether: send failed"):
        queue.claim_to(1, wallet, sender=wallet)
    assert queue.claimable(1) == amount
    # A receiver that does take it helps.
    queue.claim_to(1, RECEIVER, sender=wallet)
    assert protocol.evm.balance(RECEIVER) == amount


# Takes ETH only with 98,000 gas or more: push3 98000, gas, lt, push1 10, jumpi, stop, jumpdest, push0, push0, revert.
HUNGRY = "62017ed05a10600a57005b5f5ffd"


@pytest.mark.parametrize("claim", ["claim", "claim_to", "claim_many"])
def test_claim__for_somebody_else_with_little_gas__pays_in_full_or_reverts(filled: Protocol, claim: str):
    """Nobody can make a payment fail by giving it too little gas: a call gets at most 63/64 of what is left."""
    evm, queue = filled.evm, filled.queue
    hungry = evm.place(HUNGRY)
    queue.transferFrom(STAKER, hungry, 1, sender=STAKER)
    queue.setApprovalForAll(OPERATOR, True, sender=STAKER)
    arguments = {"claim": (1,), "claim_to": (2, hungry), "claim_many": ([1], [])}[claim]
    paid, refused = [], []
    for gas in range(60_000, 300_000, 500):
        with evm.undone():
            try:
                getattr(queue, claim)(*arguments, sender=OPERATOR, gas=gas)
                assert evm.balance(hungry) > 0
                paid.append(gas)
            except RevertError as error:
                refused.append((gas, error.reason))
    assert max(gas for gas, _ in refused) < min(paid)
    gas = refused[-1][0]
    with reverts("claim: too little gas"):
        getattr(queue, claim)(*arguments, sender=OPERATOR, gas=gas)
    assert "ether: send failed" not in {reason for _, reason in refused}


def test_claim__for_oneself__needs_only_the_gas_it_takes(filled: Protocol):
    assert filled.queue.claim(3, 3, sender=STAKER, gas=100_000) > 0


# --- claim_to ---


def test_claim_to__owner_operator_or_approved__names_the_receiver(evm: Evm, filled: Protocol):
    queue = filled.queue
    queue.approve(OPERATOR, 1, sender=STAKER)
    queue.setApprovalForAll(SAVER, True, sender=STAKER)
    total = 0
    for ticket, sender in ((1, OPERATOR), (2, SAVER), (3, STAKER)):
        amount = queue.claim_to(ticket, RECEIVER, sender=sender)
        assert evm.events(queue, "Claimed")[0].fields["receiver"] == RECEIVER
        assert evm.events(queue, "Claimed")[0].fields["owner"] == STAKER
        total += amount
    assert evm.balance(RECEIVER) == total == queue.paid_in()


def test_claim_to__anybody_else__reverts(filled: Protocol):
    queue = filled.queue
    queue.approve(OPERATOR, 1, sender=STAKER)
    for ticket, sender in ((1, OUTSIDER), (2, OPERATOR), (1, SAVER), (4, STAKER)):
        with reverts("ticket: caller may not"):
            queue.claim_to(ticket, RECEIVER, sender=sender)


@pytest.mark.parametrize("receiver", ["nobody", "pool", "queue"])
def test_claim_to__receiver_refused__reverts(filled: Protocol, receiver: str):
    refused = {"nobody": ZERO, "pool": filled.pool, "queue": filled.queue}[receiver]
    with reverts("receiver: refused"):
        filled.queue.claim_to(1, refused, sender=STAKER)


# --- claim_many ---


def test_claim_many__some_unpayable__pays_the_rest_and_says_why(evm: Evm, filled: Protocol):
    queue, wallet = filled.queue, filled.wallet(ETHER)
    queue.request(ETHER, wallet, sender=wallet)
    fill(filled, 17 * ETHER, days=1)
    filled.request(ETHER, SAVER)
    wallet.refuse(True)
    # 1 to 5 are filled, 6 is not; 5 belongs to the wallet; 9 does not exist; 2 comes twice.
    tickets, hints = [6, 1, 5, 9, 2, 2, 3, 4], [0, 0, 0, 0, 2, 2, 2, 4]
    expected = queue.claimable(1) + queue.claimable(2) + queue.claimable(4)
    before = evm.balance(queue)
    assert queue.claim_many(tickets, hints, sender=OUTSIDER) == expected
    skipped = [(e.fields["ticket"], e.fields["reason"]) for e in evm.events(queue, "ClaimSkipped")]
    assert skipped == [
        (6, NOTHING_FILLED),
        (5, SEND_FAILED),
        (9, NO_TICKET),
        (2, NO_TICKET),
        (3, WRONG_HINT),
    ]
    assert [e.fields["ticket"] for e in evm.events(queue, "Claimed")] == [1, 2, 4]
    assert evm.balance(queue) == before - expected
    # What was skipped is as it was.
    assert queue.ownerOf(5) == wallet.address
    assert queue.balanceOf(wallet) == 1
    assert queue.claim_to(5, RECEIVER, sender=wallet) > 0
    assert queue.claim(3) > 0
    assert evm.balance(queue) == 0


def test_claim_many__partly_filled_ticket_not_taken__is_as_it_was(protocol: Protocol):
    queue, wallet = protocol.queue, protocol.wallet(10 * ETHER)
    queue.request(10 * ETHER, wallet, sender=wallet)
    fill(protocol, 4 * ETHER)
    wallet.refuse(True)
    for end in (4, 7):
        before = queue.claimed_until(1), queue.claimable(1), queue.pending(1), queue.tokenURI(1)
        assert queue.claim_many([1], [0]) == 0
        assert (queue.claimed_until(1), queue.claimable(1), queue.pending(1), queue.tokenURI(1)) == before
        if end == 4:
            wallet.refuse(False)
            queue.claim(1)
            wallet.refuse(True)
            fill(protocol, 7 * ETHER, days=1)
    wallet.refuse(False)
    assert queue.claim_many([1], [2]) == worth(queue, 4 * ETHER, 7 * ETHER)


def test_claim_many__without_hints__looks_them_up(filled: Protocol):
    queue = filled.queue
    assert queue.claim_many([3, 2, 1], []) == queue.paid_in()
    assert queue.claim_many([], []) == 0


def test_claim_many__lengths_differ__reverts(filled: Protocol):
    for hints in ([0], [0, 0, 0]):
        with reverts("claim: lengths differ"):
            filled.queue.claim_many([1, 2], hints)


def test_claim_many__sixty_four__is_the_most(filled: Protocol):
    filled.queue.claim_many(list(range(1, 65)), [])
    with reverts():
        filled.queue.claim_many(list(range(1, 66)), [])
