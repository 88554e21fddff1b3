"""What has gone wrong elsewhere with exits and ETH transfers, tried here. Numbers are the rows of tests/THREATS.md."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import sources
from tests.calls import Call, Stage, changing
from tests.evm import DAY, ETHER, ZERO, Contract, Evm, RevertError, functions, reverts
from tests.market import ROOM
from tests.protocol import OUTSIDER, RECEIVER, SAVER, SPENDER, STAKER, Protocol

ATTACKER = OUTSIDER

# Runtime code of accounts that do not take ETH as they should.
REFUSES = "5f5ffd"  # revert
BURNS = "5b5f56"  # loop for ever
RETURNS_MUCH = "620fffff5ff3"  # answer with a megabyte
REVERTS_WITH_MUCH = "620fffff5ffd"
BAD = {"refuses": REFUSES, "burns": BURNS, "returns much": RETURNS_MUCH, "reverts with much": REVERTS_WITH_MUCH}
# Takes ETH only with 50,000 gas or more, as a wallet behind two proxies that writes a log.
HUNGRY = "61c3505a10600957005b5f5ffd"


def worth(pool: Contract, *holders: str) -> Fraction:
    """Entry value of the shares of some holders, exactly."""
    value, supply = pool.entry_price()
    return Fraction(sum(pool.balanceOf(holder) for holder in holders) * value, supply)


def pay_all(protocol: Protocol) -> None:
    """Make all exits eligible and pay them."""
    protocol.report()
    protocol.pool.fulfil()


# --- 51, 52: who knows tomorrow's report ---


@pytest.mark.parametrize("way_out", ["instant", "queue"])
def test_bad_051_sandwich__in_before_a_large_gain_and_out_after__earns_only_its_time(
    evm: Evm, protocol: Protocol, way_out: str
):
    """The best case for the attacker: he knows the gain, and it is as large as a report may be."""
    pool, queue = protocol.pool, protocol.queue
    evm.travel(10 * DAY)
    stake = 20 * ETHER
    protocol.stake(stake, ATTACKER)
    held = pool.balanceOf(SAVER)
    reported = protocol.report(gain=10 * ETHER)
    assert reported["gain"] > ETHER
    if way_out == "instant":
        paid = pool.redeem(pool.balanceOf(ATTACKER), ATTACKER, ATTACKER, sender=ATTACKER)
        assert paid < stake
        return
    before = worth(pool, SAVER)
    ticket = protocol.request(pool.balanceOf(ATTACKER), ATTACKER)
    with reverts("fulfil: nothing to pay"):
        pool.fulfil()
    evm.travel(DAY)
    pay_all(protocol)
    # A day's part of what streams for ten days, at the same yield as whoever was there all along.
    profit = queue.claimable(ticket) - stake
    others = worth(pool, SAVER) / before - 1
    assert pool.balanceOf(SAVER) == held
    assert Fraction(profit, stake) <= others + Fraction(1, 10**15)
    assert profit < reported["gain"] * stake // pool.totalAssets() // 9


@pytest.mark.parametrize("settled", ["at once", "pending first"])
def test_bad_052_foresight__request_right_before_a_loss__bears_it_like_everybody(
    evm: Evm, protocol: Protocol, settled: str
):
    """Exits float until they are paid, so there is no old rate to run away with."""
    pool, queue = protocol.pool, protocol.queue
    protocol.report()
    evm.travel(2 * DAY)
    shares = 20 * ETHER
    protocol.stake(30 * ETHER, ATTACKER)
    ticket = protocol.request(shares, ATTACKER)
    before = pool.exit_rate()
    loss = 60 * ETHER
    if settled == "at once":
        protocol.report(gain=-loss)
    else:
        protocol.report(pending_loss=loss)
    pool.fulfil()
    paid = queue.claimable(ticket)
    assert paid < before * 20 * 9 // 10
    # Those who stay have lost the same part, once it is settled.
    if settled == "pending first":
        left = pool.pending_loss()
        protocol.report(gain=-left)
        assert pool.pending_loss() == 0
    assert Fraction(paid, 20) == pytest.approx(pool.exit_rate(), rel=1e-12)


def test_bad_052_foresight__instant_exit_right_before_a_loss__is_metered(evm: Evm, protocol: Protocol):
    """At once, out of the free buffer, up to the allowance, for a fee: known limits of what foresight is worth."""
    pool = protocol.pool
    assets = pool.state()[0] >> 96 & 2**96 - 1
    taken = 0
    for _ in range(5):
        most = pool.maxRedeem(STAKER)
        if most == 0:
            break
        taken += pool.redeem(most, RECEIVER, STAKER, sender=STAKER)
    assert taken <= assets * 500 // 10_000
    evm.travel(1)
    assert pool.maxRedeem(STAKER) == 0


# --- 61 to 66: receivers of ETH ---


def test_bad_061_gas__receiver_that_needs_more_than_a_stipend__is_paid(evm: Evm, protocol: Protocol):
    hungry = evm.place(HUNGRY)
    wallet = protocol.wallet()
    wallet.react_with(RECEIVER, b"")  # writes a log, and makes a call
    for owner in (hungry, wallet):
        protocol.queue.request(2 * ETHER, owner, sender=STAKER)
    pay_all(protocol)
    before = evm.balance(wallet)
    assert protocol.queue.claim(1, sender=OUTSIDER) == evm.balance(hungry) > 0
    assert protocol.queue.claim(2, sender=OUTSIDER) == evm.balance(wallet) - before > 0
    # What leaves the pool at once may take as much gas as the caller gives.
    assert protocol.pool.redeem(ETHER, hungry, STAKER, sender=STAKER) > 0


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_063_064_gas__receiver_that_burns_it__costs_little_and_keeps_its_ticket(
    evm: Evm, protocol: Protocol, kind: str
):
    queue, bad = protocol.queue, evm.place(BAD[kind])
    queue.request(ETHER, bad, sender=STAKER)
    pay_all(protocol)
    claimable = queue.claimable(1)
    with reverts("ether: send failed"):
        queue.claim(1, sender=OUTSIDER)
    assert evm.gas_used < 200_000
    assert queue.claim_many([1], [], sender=OUTSIDER) == 0
    assert evm.gas_used < 200_000
    assert queue.claimable(1) == claimable
    assert queue.ownerOf(1) == bad


def test_bad_065_batch__one_bad_receiver_of_each_kind__holds_up_nobody(evm: Evm, protocol: Protocol):
    queue = protocol.queue
    bad = [evm.place(code) for code in BAD.values()]
    for owner in (*bad, RECEIVER):
        queue.request(ETHER, owner, sender=STAKER)
    pay_all(protocol)
    number = len(bad) + 1
    expected = queue.claimable(number)
    order = [1, 2, number, 3, 4]
    assert queue.claim_many(order, [], sender=OUTSIDER) == expected == evm.balance(RECEIVER)
    assert evm.gas_used < 200_000 * len(order)
    assert [queue.balanceOf(owner) for owner in bad] == [1] * len(bad)


def test_bad_065_batch__sixty_four_burners__fit_into_a_block(evm: Evm, protocol: Protocol):
    queue = protocol.queue
    queue.request_many([ETHER // 100] * 64, evm.place(BURNS), sender=STAKER)
    pay_all(protocol)
    assert queue.claim_many(list(range(1, 65)), [], sender=OUTSIDER) == 0
    assert evm.gas_used < 10_000_000


RECEIVERS = {
    key: index
    for contract in ("FloePool", "WithdrawalQueue", "RebasingToken", *ROOM)
    for entry in functions(contract)
    for index, argument in enumerate(entry["inputs"])
    if argument["name"] in (("receiver",) if contract in ROOM else ("receiver", "to", "recipient"))
    and entry["name"] not in ("approve", "maxDeposit", "maxMint")
    and (key := f"{contract}.{entry['name']}/{len(entry['inputs'])}") in changing(contract)
}
"""Functions that send shares, ETH or tickets somewhere, and which argument says where.

The transfers of snekmate's token are in test_liquidity_tokens.
"""


@pytest.mark.parametrize("key", sorted(RECEIVERS))
def test_bad_066_recipient__nobody_or_one_of_our_own__is_refused(protocol: Protocol, key: str):
    """Refused where something would be lost; tests/THREATS.md says what becomes of it elsewhere."""
    stage = Stage(protocol)
    call, index = stage.calls[key], RECEIVERS[key]
    own: list[Any] = [ZERO]
    if call.contract.kind in ROOM:
        own += [call.contract]
    else:
        own += [protocol.token] if key.startswith("RebasingToken") else [protocol.pool, protocol.queue]
    for lost in own:
        arguments = (*call.arguments[:index], lost, *call.arguments[index + 1 :])
        with reverts("receiver: refused"):
            Call(call.contract, call.function, arguments, call.value).make(stage.wallet)
    call.make(stage.wallet)


def test_bad_066_recipient__every_function_with_one__is_tried():
    assert {key.split("/")[0] for key in RECEIVERS} == {
        "FloePool.deposit",
        "FloePool.mint",
        "FloePool.redeem",
        "FloePool.set_fee_recipient",
        "FloePool.transfer",
        "FloePool.transferFrom",
        "FloePool.withdraw",
        "RebasingToken.stake",
        "RebasingToken.transfer",
        "RebasingToken.transferFrom",
        "RebasingToken.transfer_shares",
        "RebasingToken.transfer_shares_from",
        "WithdrawalQueue.claim_to",
        "WithdrawalQueue.request",
        "WithdrawalQueue.request_many",
        "WithdrawalQueue.safeTransferFrom",
        "WithdrawalQueue.transferFrom",
        *(f"StablePair.{name}" for name in ("add_liquidity", "buy", "remove_liquidity", "remove_one", "sell")),
        "StablePair.set_fee_receiver",
        *(f"ExitReserve.{name}" for name in ("deposit", "mint", "redeem", "sell", "sell_ticket", "stake", "withdraw")),
        *(f"Gauge.{name}" for name in ("claim_to", "stake", "withdraw")),
        *(f"WethVault.{name}" for name in ("deposit", "mint", "redeem", "request_exit", "withdraw")),
        "Zap.zap",
    }


# --- 67 to 69: tickets ---


@pytest.mark.parametrize("seed", range(5))
def test_bad_067_tickets__random_life_with_transfers_to_oneself__agree_with_a_ledger(protocol: Protocol, seed: int):
    """Owners, approvals and operators in three Python tables, and each call's outcome foretold from them."""
    pool, queue = protocol.pool, protocol.queue
    dice = random.Random(seed)
    people = [STAKER, SAVER, RECEIVER, SPENDER]
    owners: dict[int, str] = {}
    approved: dict[int, str] = {}
    operators: set[tuple[str, str]] = set()
    done: list[str] = []

    def attempt(reason: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> bool:
        """Make a call that must end with `reason`, "" for success. Returns whether it changed anything."""
        if reason:
            with reverts(reason):
                call(*arguments, **options)
            return False
        call(*arguments, **options)
        done.append(call.__name__)
        return True

    def refusal(who: str, number: int, *, single: bool = True) -> str:
        """Return the reason for which `who` may not act for a ticket; the approved for one may, if `single`."""
        if number not in owners:
            return "ticket: does not exist"
        owner = owners[number]
        may = who == owner or (owner, who) in operators or (single and approved.get(number) == who)
        return "" if may else "ticket: caller may not"

    def transfer(who: str, number: int) -> None:
        owner = owners.get(number, STAKER)
        to = dice.choice([*people, owner])
        call = dice.choice([queue.transferFrom, queue.safeTransferFrom])
        if attempt(refusal(who, number), call, owner, to, number, sender=who):
            owners[number] = to
            approved.pop(number, None)

    def approve(who: str, number: int) -> None:
        to = dice.choice([*people, ZERO])
        if attempt(refusal(who, number, single=False), queue.approve, to, number, sender=who):
            approved[number] = to

    def operate(who: str, _: int) -> None:
        operator, on = dice.choice(people), dice.random() < 0.5
        attempt("", queue.setApprovalForAll, operator, on, sender=who)
        (operators.add if on else operators.discard)((who, operator))

    def claim(who: str, number: int) -> None:
        for_anybody = dice.random() < 0.5
        reason = refusal(who, number)
        if for_anybody and number in owners:
            reason = ""
        if not reason and queue.claimable(number) == 0:
            reason = "claim: nothing filled"
        if for_anybody:
            paid = attempt(reason, queue.claim, number, sender=who)
        else:
            paid = attempt(reason, queue.claim_to, number, RECEIVER, sender=who)
        if paid and queue.pending(number) == 0:
            owners.pop(number)
            approved.pop(number, None)

    def fill(_: str, __: int) -> None:
        protocol.evm.travel(3_600)
        protocol.report(tail=dice.randint(queue.filled(), queue.tail()))
        if pool.eligible() > 0:
            pool.fulfil()

    def request(who: str, _: int) -> None:
        owners[protocol.queue.request(dice.randint(2, ETHER), who, sender=STAKER)] = who

    for _ in range(400):
        deed = dice.choice([request, transfer, transfer, approve, operate, claim, fill])
        deed(dice.choice(people), dice.randint(1, queue.tickets() + 1))
        for person in people:
            assert queue.balanceOf(person) == list(owners.values()).count(person)
        number = dice.randint(1, queue.tickets() + 1)
        if number in owners:
            assert queue.ownerOf(number) == owners[number]
            assert queue.getApproved(number) == approved.get(number, ZERO)
        else:
            with reverts("ticket: does not exist"):
                queue.ownerOf(number)
    assert set(done) == {"transferFrom", "safeTransferFrom", "approve", "setApprovalForAll", "claim", "claim_to"}


def test_bad_069_claim__twice_or_of_others_or_too_early__pays_nothing_wrong(evm: Evm, protocol: Protocol):
    queue = protocol.queue
    protocol.request(2 * ETHER)
    protocol.request(2 * ETHER, SAVER)
    with reverts("claim: nothing filled"):
        queue.claim(1, sender=STAKER)
    pay_all(protocol)
    # Somebody else's claim pays the owner.
    before = evm.balance(STAKER), evm.balance(ATTACKER)
    amount = queue.claim(1, sender=ATTACKER)
    assert (evm.balance(STAKER), evm.balance(ATTACKER)) == (before[0] + amount, before[1])
    with reverts("ticket: does not exist"):
        queue.claim(1, sender=STAKER)
    with reverts("ticket: caller may not"):
        queue.claim_to(2, ATTACKER, sender=ATTACKER)
    for hint in (2, 3, 2**256 - 1):
        with reverts("claim: wrong hint"):
            queue.claim(2, hint, sender=SAVER)
    # Sold tickets pay whoever holds them.
    queue.transferFrom(SAVER, RECEIVER, 2, sender=SAVER)
    with reverts("ticket: caller may not"):
        queue.claim_to(2, SAVER, sender=SAVER)
    assert queue.claim(2, sender=SAVER) == evm.balance(RECEIVER)
    assert evm.balance(queue) == 0


# --- 70 to 73: the line ---


def test_bad_070_dust__ten_thousand_tickets_of_a_share__cost_nobody_anything(evm: Evm, protocol: Protocol):
    queue, pool = protocol.queue, protocol.pool

    def fulfil_gas() -> int:
        pay_all(protocol)
        return evm.gas_used

    protocol.request(ETHER)
    fulfil_gas()
    protocol.request(ETHER)
    few = fulfil_gas()
    for _ in range(157):
        queue.request_many([1] * 64, ATTACKER, sender=STAKER)
    last = protocol.request(ETHER)
    assert last > 10_000
    assert abs(fulfil_gas() - few) < 3_000
    expected = queue.claimable(last)
    assert queue.claim(last) == expected > ETHER
    # Each is worth one wei and a bit; together they get all of it.
    value, supply = pool.entry_price()
    assert 64 * value // supply - 1 <= queue.claim_many(list(range(3, 67)), []) <= -(-64 * value // supply) + 1
    assert pool.eligible() == 0


def test_bad_071_huge_request__of_most_of_the_pool__is_filled_in_parts(evm: Evm, protocol: Protocol):
    pool, queue = protocol.pool, protocol.queue
    huge = pool.balanceOf(STAKER) * 9 // 10
    first = protocol.request(huge)
    behind = protocol.request(ETHER, SAVER)
    protocol.report()
    paid = pool.fulfil()[1]
    assert queue.claim(first) == paid > 40 * ETHER
    assert 0 < queue.pending(first) < huge
    rounds = 0
    while queue.pending(behind):
        # Validators leave, and what comes back goes to the line, oldest first.
        evm.travel(DAY)
        evm.fund(protocol.withdrawal_vault, 64 * ETHER)
        protocol.report(withdrawn=64 * ETHER)
        pool.fulfil()
        rounds += 1
    assert rounds < 6
    assert queue.claim(first) + paid > huge
    assert queue.claim(behind) > ETHER
    assert evm.balance(queue) == 0


@pytest.mark.parametrize("order", list(permutations((1, 2, 3, 4)))[::5])
def test_bad_072_claims__in_any_order_with_losses_between__never_eat_others(
    evm: Evm, protocol: Protocol, order: tuple[int, ...]
):
    queue, pool = protocol.queue, protocol.pool
    for size in (3, 5, 7, 2):
        protocol.request(size * ETHER)
        evm.travel(3_600)
        protocol.report(gain=-ETHER)
        pool.fulfil()
    promised = {ticket: queue.claimable(ticket) for ticket in order}
    protocol.report(gain=-50 * ETHER)
    for ticket in order:
        assert queue.claim(ticket) == promised[ticket]
        rest = sum(queue.claimable(other) for other in order)
        assert evm.balance(queue) == rest
    assert evm.balance(queue) == 0


def test_bad_073_slashing__between_request_and_claim__hits_what_waits_and_not_what_is_paid(
    evm: Evm, protocol: Protocol
):
    pool, queue = protocol.pool, protocol.queue
    paid = protocol.request(5 * ETHER)
    pay_all(protocol)
    waiting = protocol.request(5 * ETHER)
    before = queue.claimable(paid)
    protocol.rate_falls_to(1, 2)
    assert queue.claimable(paid) == before
    value, supply = pool.entry_price()
    pool.fulfil()
    assert queue.claimable(waiting) == 5 * ETHER * value // supply < before * 51 // 100
    assert queue.claim(waiting) == 5 * ETHER * value // supply
    assert queue.claim(paid) == before
    assert evm.balance(queue) == 0


@given(first=st.integers(0, 3), days=st.integers(1, 20))
def test_bad_078_rerequest__around_reports__gains_no_better_rate(protocol: Protocol, first: int, days: int):
    """A ticket cannot be taken back. Asking again puts one at the end of the line, at the price of the payment."""
    evm, queue = protocol.evm, protocol.queue
    with evm.undone():
        patient = protocol.request(ETHER, SAVER)
        eager = protocol.request(ETHER)
        for turn in range(4):
            evm.travel(days * DAY // 4 + 1)
            protocol.report(gain=(ETHER // 100, -ETHER // 3, ETHER // 50, 0)[turn], tail=0)
            if turn == first:
                queue.transferFrom(STAKER, RECEIVER, eager, sender=STAKER)
                again = protocol.request(ETHER)
        pay_all(protocol)
        assert abs(queue.claimable(eager) - queue.claimable(patient)) <= 1
        assert abs(queue.claimable(again) - queue.claimable(patient)) <= 1
        assert queue.interval(again)[0] > queue.interval(eager)[0]


def test_bad_078_cancel__no_function_of_the_queue__undoes_a_request(protocol: Protocol):
    """Whatever one does with a ticket, the shares stay in the queue until they are paid."""
    stage = Stage(protocol)
    pool, queue = protocol.pool, protocol.queue
    for key in changing("WithdrawalQueue"):
        with protocol.evm.undone():
            waiting = pool.balanceOf(queue)
            try:
                stage.calls[key].make(stage.wallet)
            except RevertError as error:
                assert error.reason == "caller: not the pool"
            assert pool.balanceOf(queue) >= waiting
    assert not {name for name in sources.functions("WithdrawalQueue") if "cancel" in name or "withdraw" in name}
