"""Reports outside the limits: held, what that pauses, who decides, and that it ends by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.evm import DAY, ETHER, Contract, Evm, RevertError, reverts
from tests.oracle import COUNCIL, HELD_PAUSE_COOLDOWN, LIMITS, MEMBERS, Oracle, Report
from tests.protocol import DEPOSIT, FULFIL, GUARDIAN, INSTANT_EXIT, OUTSIDER, SAVER, STAKER, U96, Protocol

ROLE = "access_control: account is missing role"
NOT_HELD = "report: not held"
ALL = DEPOSIT | FULFIL | INSTANT_EXIT
NONE = (bytes(32), 0)


def assets(protocol: Protocol) -> int:
    return int(protocol.pool.state()[0] >> 96 & U96)


def paused(oracle: Oracle) -> list[bool]:
    """Return whether deposits, fulfilments and instant exits are refused, as people find out."""
    protocol = oracle.protocol
    tried: list[Callable[[], object]] = [
        lambda: protocol.stake(ETHER),
        protocol.pool.fulfil,
        lambda: protocol.pool.redeem(10**9, SAVER, SAVER, sender=SAVER),
    ]
    reasons = ["deposit: paused", "fulfil: paused", "instant: over the limit"]
    found = []
    for call, reason in zip(tried, reasons, strict=True):
        with oracle.evm.undone():
            try:
                call()
                found.append(False)
            except RevertError as error:
                assert error.reason in (reason, "fulfil: nothing to pay"), error
                found.append(error.reason == reason)
    return found


@pytest.fixture
def waiting(oracle: Oracle, protocol: Protocol) -> Oracle:
    """Return an oracle with exits that can be paid, a buffer beyond them, and a report a day ago."""
    protocol.stake(50 * ETHER)
    protocol.request(2 * ETHER)
    protocol.report()
    oracle.next_frame()
    assert paused(oracle) == [False] * 3
    return oracle


# --- holding ---


def test_held__report_outside_the_limits__changes_no_books(evm: Evm, waiting: Oracle, protocol: Protocol):
    before = protocol.pool.state()
    report = waiting.report(gain=-50 * ETHER)
    assert waiting.submit(report) is False
    after = protocol.pool.state()
    assert [word & 2**192 - 1 for word in after[:3]] == [word & 2**192 - 1 for word in before[:3]]
    assert after[4:] == before[4:]
    deadline = evm.now + LIMITS.resolve_time
    (event,) = evm.events(waiting.contract)
    assert (event.name, event.fields) == (
        "Held",
        {
            "ref_slot": report.ref_slot,
            "digest": waiting.digest(report),
            "report": report,
            "loss": 50 * ETHER,
            "deadline": deadline,
        },
    )
    assert waiting.contract.pending() == (waiting.digest(report), deadline)


def test_held__frame_is_over__the_counters_are_not_taken_over(waiting: Oracle):
    before = waiting.contract.last()
    report = waiting.report(gain=-50 * ETHER)
    waiting.submit(report)
    assert waiting.contract.last() == before._replace(ref_slot=report.ref_slot)
    with reverts("report: not newer"):
        waiting.submit(waiting.report())


@pytest.mark.parametrize("resolve_time", [3_600, DAY])
def test_held__pauses_three_functions__until_the_deadline(evm: Evm, waiting: Oracle, resolve_time: int):
    waiting.set_limits(resolve_time=resolve_time)
    waiting.submit(waiting.report(gain=-50 * ETHER))
    deadline = evm.now + resolve_time
    assert waiting.paused_until() == (deadline,) * 3
    assert paused(waiting) == [True] * 3
    evm.travel(resolve_time - 1)
    assert paused(waiting) == [True] * 3
    evm.travel(1)
    assert paused(waiting) == [False] * 3


def test_held__while_paused__requests_claims_and_transfers_go_on(waiting: Oracle, protocol: Protocol):
    protocol.pool.fulfil()
    protocol.request(2 * ETHER)
    waiting.submit(waiting.report(gain=-50 * ETHER))
    assert protocol.queue.claim(1) > 0
    protocol.request(ETHER)
    protocol.pool.transfer(SAVER, ETHER, sender=STAKER)
    assert protocol.pool.stakeable() == 0


def test_held__report_that_the_pool_could_not_book__is_refused_instead(waiting: Oracle):
    """Only what can be accepted is held."""
    report = waiting.report(gain=-50 * ETHER)
    for field, reason in (
        ("queue_tail_at_ref", "report: tail ahead of queue"),
        ("donated_at_ref", "report: ahead of the vault"),
    ):
        with reverts(reason):
            waiting.submit(report._replace(**{field: getattr(report, field) + 1}))
    assert not waiting.submit(report)


# --- the council ---


def test_accept__within_the_deadline__books_it_and_resumes(evm: Evm, waiting: Oracle, protocol: Protocol):
    report = waiting.report(gain=-50 * ETHER)
    waiting.submit(report)
    before = assets(protocol)
    evm.travel(LIMITS.resolve_time)
    waiting.contract.accept(report, sender=COUNCIL)
    assert evm.events(protocol.pool, "Reported")[0].fields["gain"] == -50 * ETHER
    (event,) = evm.events(waiting.contract)
    assert (event.name, event.fields["digest"]) == ("Applied", waiting.digest(report))
    # The exits that waited were paid in the same transaction.
    assert evm.events(protocol.pool, "Fulfilled")[0].fields["shares"] == 2 * ETHER
    assert assets(protocol) == before - 50 * ETHER - evm.events(protocol.pool, "Fulfilled")[0].fields["assets"]
    assert paused(waiting) == [False] * 3
    assert waiting.contract.pending() == NONE
    assert waiting.contract.last().ref_slot == report.ref_slot


def test_accept__at_once__ends_the_pause(waiting: Oracle):
    report = waiting.report(gain=-50 * ETHER)
    waiting.submit(report)
    waiting.contract.accept(report, sender=COUNCIL)
    assert max(waiting.paused_until()) <= waiting.evm.now
    assert paused(waiting) == [False] * 3


def test_accept__gain_beyond_the_alarm__is_metered_all_the_same(evm: Evm, waiting: Oracle, protocol: Protocol):
    rise = waiting.contract.headroom().rise
    report = waiting.report(gain=200 * ETHER)
    assert not waiting.submit(report)
    with evm.undone():
        waiting.contract.reject(waiting.digest(report), sender=COUNCIL)
        waiting.next_frame()
        assert not waiting.submit(waiting.report(gain=200 * ETHER)), "nobody has accepted it"
    waiting.contract.accept(report, sender=COUNCIL)
    assert evm.events(protocol.pool, "Reported")[0].fields["gain"] == rise
    # The next honest report has the same gain, and is no alarm any more.
    waiting.next_frame()
    assert waiting.submit(waiting.report(gain=200 * ETHER - rise))


@pytest.mark.parametrize("when", ["never held", "too late", "rejected", "accepted", "replaced", "other", "applied"])
def test_accept_and_reject__report_that_is_not_held__revert(evm: Evm, waiting: Oracle, when: str):
    contract = waiting.contract
    report = waiting.report(gain=-50 * ETHER)
    if when != "never held":
        assert not waiting.submit(report)
    if when == "too late":
        evm.travel(LIMITS.resolve_time + 1)
        assert contract.pending() == NONE
    elif when == "rejected":
        contract.reject(waiting.digest(report), sender=COUNCIL)
    elif when == "accepted":
        contract.accept(report, sender=COUNCIL)
    elif when == "replaced":
        waiting.set_limits(resolve_time=DAY, frame_epochs=15)
        waiting.next_frame()
        assert not waiting.submit(waiting.report(gain=-50 * ETHER))
    elif when == "other":
        report = report._replace(cl=report.cl - 1)
    elif when == "applied":
        waiting.set_limits(frame_epochs=15)
        waiting.next_frame()
        assert waiting.submit(waiting.report())
    with reverts(NOT_HELD):
        contract.accept(report, sender=COUNCIL)
    with reverts(NOT_HELD):
        contract.reject(waiting.digest(report), sender=COUNCIL)
    with reverts(NOT_HELD):
        contract.reject(bytes(32), sender=COUNCIL)


def test_accept_and_reject__by_somebody_else__revert(waiting: Oracle, protocol: Protocol):
    report = waiting.hold()
    for sender in (OUTSIDER, protocol.admin, GUARDIAN, MEMBERS[0].address):
        with reverts(ROLE):
            waiting.contract.accept(report, sender=sender)
        with reverts(ROLE):
            waiting.contract.reject(waiting.digest(report), sender=sender)


def test_reject__within_the_deadline__drops_it_and_resumes(evm: Evm, waiting: Oracle, protocol: Protocol):
    report = waiting.report(gain=-50 * ETHER)
    before = protocol.pool.state()
    waiting.submit(report)
    evm.travel(LIMITS.resolve_time)
    waiting.contract.reject(waiting.digest(report), sender=COUNCIL)
    assert evm.events(waiting.contract)[0].fields == {"digest": waiting.digest(report)}
    assert waiting.contract.pending() == NONE
    assert [word & 2**192 - 1 for word in protocol.pool.state()[:3]] == [word & 2**192 - 1 for word in before[:3]]
    assert paused(waiting) == [False] * 3
    # The frame stays over; the next one goes on as ever.
    with reverts("report: not newer"):
        waiting.submit(waiting.report(slot=report.ref_slot))
    waiting.next_frame()
    assert waiting.submit(waiting.report())


def test_reject__at_once__ends_the_pause(waiting: Oracle):
    report = waiting.report(gain=-50 * ETHER)
    waiting.submit(report)
    waiting.contract.reject(waiting.digest(report), sender=COUNCIL)
    assert paused(waiting) == [False] * 3


# --- lapse, and dead councils ---


def test_lapse__nobody_decides__everything_opens_and_the_next_report_counts(evm: Evm, waiting: Oracle):
    waiting.submit(waiting.report(gain=-50 * ETHER))
    evm.travel(LIMITS.resolve_time)
    assert paused(waiting) == [False] * 3
    assert waiting.contract.pending() != NONE
    evm.travel(1)
    assert waiting.contract.pending() == NONE
    waiting.next_frame()
    assert waiting.submit(waiting.report())
    assert waiting.contract.pending() == NONE


def test_newer_report__inside_the_limits__replaces_the_held_one_and_resumes(evm: Evm, waiting: Oracle):
    waiting.set_limits(frame_epochs=15)
    waiting.next_frame()
    held = waiting.report(gain=-50 * ETHER)
    assert not waiting.submit(held)
    waiting.next_frame()
    assert evm.now < waiting.contract.pending().deadline
    assert waiting.submit(waiting.report())
    assert waiting.contract.pending() == NONE
    assert max(waiting.paused_until()) <= evm.now
    with reverts(NOT_HELD):
        waiting.contract.accept(held, sender=COUNCIL)


def test_newer_report__outside_the_limits__replaces_the_held_one(evm: Evm, waiting: Oracle):
    """It gets a deadline of its own; the pause is not made longer."""
    waiting.set_limits(frame_epochs=15)
    waiting.next_frame()
    first = waiting.report(gain=-50 * ETHER)
    waiting.submit(first)
    pause = evm.now + DAY
    waiting.next_frame()
    second = waiting.report(gain=-51 * ETHER)
    waiting.submit(second)
    assert waiting.contract.pending() == (waiting.digest(second), evm.now + DAY)
    assert waiting.paused_until() == (pause,) * 3
    with reverts(NOT_HELD):
        waiting.contract.accept(first, sender=COUNCIL)
    waiting.contract.accept(second, sender=COUNCIL)
    assert max(waiting.paused_until()) <= evm.now


def test_dead_council__a_held_report_every_frame__exits_are_shut_one_day_in_eight(evm: Evm, waiting: Oracle):
    """Whoever can make reports be held cannot lock anybody in: forty days of it."""
    shut = []
    for _ in range(40):
        assert not waiting.submit(waiting.report(gain=-50 * ETHER))
        evm.travel(DAY - 601)
        shut.append(paused(waiting)[1])
        waiting.next_frame()
        shut.append(paused(waiting)[1])
    # Shut for a day, then open for seven, until the frame after that.
    assert "".join("x" if each else "." for each in shut) == ("x" + "." * 15) * 5


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_cooldown__after_a_pause_that_ran_out__seven_days_without_another(evm: Evm, waiting: Oracle, seconds: int):
    waiting.set_limits(frame_epochs=1, max_age=DAY)
    waiting.next_frame()
    waiting.submit(waiting.report(gain=-50 * ETHER))
    evm.travel(LIMITS.resolve_time + HELD_PAUSE_COOLDOWN + seconds)
    assert not waiting.submit(waiting.report(gain=-50 * ETHER))
    assert paused(waiting)[:2] == [seconds >= 0] * 2
    assert waiting.contract.pending().deadline == evm.now + LIMITS.resolve_time


@pytest.mark.parametrize("decision", ["accept", "reject"])
def test_cooldown__after_a_decision__the_next_held_report_pauses_again(waiting: Oracle, decision: str):
    """A council that is alive need not fear that its pause is used up."""
    report = waiting.report(gain=-20 * ETHER)
    waiting.submit(report)
    argument = report if decision == "accept" else waiting.digest(report)
    getattr(waiting.contract, decision)(argument, sender=COUNCIL)
    waiting.protocol.request(ETHER)
    waiting.next_frame()
    assert not waiting.submit(waiting.report(gain=-20 * ETHER))
    assert waiting.paused_until() == (waiting.evm.now + DAY,) * 3


def test_stale__reports_only_held__exits_go_on_without_them(waiting: Oracle, protocol: Protocol):
    """A held report is no report: after `stale_after` anybody may declare it, and exits are paid."""
    protocol.request(3 * ETHER)
    for _ in range(4):
        waiting.submit(waiting.report(gain=-50 * ETHER))
        waiting.next_frame()
    protocol.pool.declare_stale(sender=OUTSIDER)
    assert protocol.pool.fulfil(sender=OUTSIDER)[0] == 5 * ETHER


# --- the pauser's pauses ---


def ends(oracle: Oracle, way: str, report: Report) -> None:
    """Let a held report end."""
    if way == "reject":
        oracle.contract.reject(oracle.digest(report), sender=COUNCIL)
    elif way == "accept":
        oracle.contract.accept(report, sender=COUNCIL)
    elif way == "newer report":
        oracle.next_frame()
        assert oracle.submit(oracle.report())
    else:
        oracle.evm.travel(oracle.contract.pending().deadline - oracle.evm.now + 1)


@pytest.mark.parametrize("way", ["reject", "accept", "newer report", "lapse"])
@pytest.mark.parametrize("hours", [5, 12, 23, 25, 200])
@pytest.mark.parametrize("functions", [DEPOSIT, FULFIL, INSTANT_EXIT, ALL])
def test_pausers_pause__before_a_held_report__is_neither_shortened_nor_ended(
    evm: Evm, waiting: Oracle, protocol: Protocol, way: str, hours: int, functions: int
):
    waiting.set_limits(frame_epochs=15)
    waiting.next_frame()
    until = evm.now + hours * 3_600
    protocol.pool.pause(functions, until, sender=GUARDIAN)
    report = waiting.report(gain=-50 * ETHER)
    assert not waiting.submit(report)
    assert min(waiting.paused_until()) >= evm.now + DAY
    ends(waiting, way, report)
    mine = [bool(functions & part) for part in (DEPOSIT, FULFIL, INSTANT_EXIT)]
    for ours, end in zip(mine, waiting.paused_until(), strict=True):
        if way != "lapse":
            assert end == until if ours else end <= evm.now
        elif ours:
            assert end >= until
        else:
            assert end <= evm.now


@pytest.mark.parametrize("way", ["reject", "accept", "newer report", "lapse"])
def test_pausers_pause__set_after_a_held_report__goes_on(evm: Evm, waiting: Oracle, protocol: Protocol, way: str):
    waiting.set_limits(frame_epochs=15)
    waiting.next_frame()
    report = waiting.report(gain=-50 * ETHER)
    waiting.submit(report)
    until = evm.now + 13 * DAY
    protocol.pool.pause(FULFIL, until, sender=GUARDIAN)
    ends(waiting, way, report)
    deposits, fulfilments, instant_exits = waiting.paused_until()
    assert fulfilments == until
    assert max(deposits, instant_exits) <= evm.now


def test_pausers_resume__during_a_held_report__stays(waiting: Oracle, protocol: Protocol):
    report = waiting.report(gain=-50 * ETHER)
    waiting.submit(report)
    protocol.pool.pause(ALL, 0, sender=GUARDIAN)
    waiting.contract.reject(waiting.digest(report), sender=COUNCIL)
    assert paused(waiting) == [False] * 3


def test_held__through_the_pauser_contract__both_brakes_live_together(evm: Evm, waiting: Oracle, protocol: Protocol):
    key = "0x" + "27" * 20
    pauser: Contract = evm.deploy("Pauser", protocol.pool, protocol.admin, [key], [key])
    protocol.pool.grantRole(protocol.pool.PAUSER_ROLE(), pauser, sender=protocol.admin)
    report = waiting.report(gain=-50 * ETHER)
    waiting.submit(report)
    with reverts("pause: would shorten one"):
        pauser.pause(DEPOSIT, DAY - 1, sender=key)
    pauser.pause(ALL, 14 * DAY, sender=key)
    until = evm.now + 14 * DAY
    waiting.contract.reject(waiting.digest(report), sender=COUNCIL)
    assert waiting.paused_until() == (until,) * 3
    pauser.resume(ALL, sender=key)
    assert paused(waiting) == [False] * 3


# --- nothing absurd gets stuck ---


@pytest.mark.parametrize("fields", [{"pending_loss": 2**100}, {"pending_loss": 2**200}, {"cl": 2**100}, {"cl": 0}])
def test_accept__absurd_report__limits_still_work(waiting: Oracle, fields: dict[str, Any]):
    """Only a council that accepts nonsense gets it, and even then the next reports can be judged."""
    report = waiting.report()._replace(**fields)
    assert not waiting.submit(report)
    waiting.contract.accept(report, sender=COUNCIL)
    headroom = waiting.contract.headroom()
    assert headroom.loss <= headroom.window
    for _ in range(3):
        waiting.next_frame()
        waiting.submit(waiting.report())
    waiting.contract.headroom()


@pytest.mark.parametrize("field", ["cl", "pending_loss"])
def test_submit__numbers_near_2_to_the_256__revert_or_are_held(waiting: Oracle, field: str):
    largest: dict[str, Any] = {field: 2**256 - 1}
    smaller: dict[str, Any] = {field: 2**254}
    with reverts():
        waiting.submit(waiting.report()._replace(**largest))
    assert not waiting.submit(waiting.report()._replace(**smaller))


def test_submit_and_accept__more_ether_than_there_is__revert():
    """The pool has room for 2**96 wei; no report brings it beyond, and none gets the oracle stuck."""
    evm = Evm()
    protocol = Protocol(evm)
    oracle = Oracle(protocol)
    evm.fund(STAKER, 2**96)
    protocol.stake(2**96 - 2**90)
    protocol.to_validators()
    oracle.next_frame(180)
    report = oracle.report(gain=oracle.contract.headroom().rise)
    with reverts("pool: total over 96 bits"):
        oracle.submit(report)
    report = oracle.report(gain=oracle.contract.headroom().alarm + 1)
    assert not oracle.submit(report)
    with reverts("pool: total over 96 bits"):
        oracle.contract.accept(report, sender=COUNCIL)
    oracle.next_frame()
    assert oracle.submit(oracle.report())
