"""What has gone wrong elsewhere with oracles and reports, tried here. Numbers are the rows of tests/THREATS.md."""

from __future__ import annotations

from typing import Any

import pytest
from eth_utils.crypto import keccak

from tests.evm import DAY, ETHER, Evm, reverts
from tests.oracle import COUNCIL, LIMITS, MEMBERS, Oracle, Report
from tests.protocol import GWEI, SAVER, STAKER, U96, Protocol

QUORUM = "committee: no quorum"
SIGNATURE = "committee: wrong signature"


def assets(oracle: Oracle) -> int:
    found: int = oracle.protocol.pool.state()[0] >> 96 & U96
    return found


# --- 40, 48: limits and what they are a part of ---


@pytest.mark.parametrize(
    "state", ["rewards stream", "exits wait", "a loss is pending", "ETH was forced in", "vaults full"]
)
def test_bad_040_rise__whatever_else_is_in_the_pool__is_a_part_of_the_assets(oracle: Oracle, evm: Evm, state: str):
    """Not of the shares, of the entry value or of the balance: and the pool recognises just what headroom says."""
    protocol = oracle.protocol
    if state == "rewards stream":
        oracle.next_frame()
        oracle.submit(oracle.report(gain=ETHER // 10))
        assert protocol.pool.locked() > 0
    elif state == "exits wait":
        protocol.request(50 * ETHER)
    elif state == "a loss is pending":
        protocol.raise_pending_loss(ETHER // GWEI)
    elif state == "ETH was forced in":
        evm.force(protocol.pool, 500 * ETHER)
    else:
        evm.fund(protocol.execution_vault, 500 * ETHER)
        evm.fund(protocol.withdrawal_vault, 500 * ETHER)
    oracle.next_frame(9)
    reported_at = protocol.pool.state()[3] >> 96 & 2**40 - 1
    part = assets(oracle) * 1_000 * (evm.now - reported_at) // (10_000 * 365 * DAY)
    assert oracle.contract.headroom().rise == part
    pending = protocol.pool.pending_loss()
    assert oracle.submit(oracle.report(gain=pending + 20 * ETHER, pending_loss=pending))
    assert evm.events(protocol.pool, "Reported")[0].fields["gain"] == part


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("bound", ["loss", "alarm", "age", "future", "deposited", "withdrawn", "tail", "raised"])
def test_bad_048_bounds__each__inclusive(oracle: Oracle, evm: Evm, bound: str, off: int):
    """In one place, what the oracle's tests try in all situations: at the bound it is allowed, beyond it is not."""
    protocol = oracle.protocol
    evm.fund(protocol.withdrawal_vault, 2 * ETHER)
    protocol.request(ETHER)
    oracle.next_frame()
    report, headroom = oracle.report(), oracle.contract.headroom()
    seconds, reason = 0, ""
    if bound == "loss":
        report = report._replace(cl=report.cl - headroom.loss - off)
    elif bound == "alarm":
        report = report._replace(cl=report.cl + headroom.alarm + off)
    elif bound == "age":
        seconds, reason = oracle.time(report.ref_slot) + LIMITS.max_age + off - evm.now, "report: too old"
    elif bound == "future":
        report = report._replace(ref_slot=report.ref_slot + oracle.frame_slots)
        seconds, reason = oracle.time(report.ref_slot) - off - evm.now, "report: not yet"
    elif bound == "withdrawn":
        withdrawn = report.withdrawn_at_ref + 2 * ETHER + off
        report, reason = report._replace(withdrawn_at_ref=withdrawn), "report: ahead of the vault"
    else:
        field, reason = {
            "deposited": ("deposited_at_ref", "report: deposits ahead of pool"),
            "tail": ("queue_tail_at_ref", "report: tail ahead of queue"),
            "raised": ("raised_at_ref", "report: raises ahead of pool"),
        }[bound]
        if bound == "raised":
            protocol.raise_pending_loss(5)
            report = oracle.report()
        changes: dict[str, Any] = {field: getattr(report, field) + off}
        report = report._replace(**changes)
    evm.travel(seconds)
    if off <= 0:
        assert oracle.submit(report)
    elif reason:
        oracle.refuses(report, reason)
    else:
        assert not oracle.submit(report)


# --- 41, 43, 44: members and their votes ---


@pytest.mark.parametrize(("size", "quorum"), [(1, 1), (3, 2), (5, 3), (7, 5), (9, 5), (32, 17)])
def test_bad_041_stolen_keys__one_fewer_than_the_quorum__do_nothing(protocol: Protocol, size: int, quorum: int):
    oracle = Oracle(protocol, members=size, quorum=quorum)
    oracle.next_frame()
    before = protocol.pool.state()
    stolen = range(quorum - 1)
    with reverts(QUORUM):
        oracle.submit(oracle.report(gain=-50 * ETHER), stolen)
    with reverts(QUORUM):
        oracle.submit(oracle.report(gain=-50 * ETHER), (), voted=stolen)
    assert protocol.pool.state() == before


def test_bad_041_stolen_keys__found_out_in_the_middle_of_a_frame__are_out_at_once(oracle: Oracle):
    """The council takes two seats within one block; what they signed and voted counts no more, the others go on."""
    oracle.next_frame()
    lie = oracle.report(gain=-3 * ETHER)
    bitmap, signatures = oracle.signatures(oracle.digest(lie), (0, 1, 2))
    for place in (0, 1):
        oracle.contract.vote(place, oracle.digest(lie), sender=MEMBERS[place].address)
        oracle.contract.remove_member(place, sender=COUNCIL)
    with reverts(SIGNATURE):
        oracle.contract.submit(lie, bitmap, signatures)
    with reverts(QUORUM):
        oracle.contract.submit(lie, 0b100, signatures[130:])
    assert oracle.submit(oracle.report(), (2, 3, 4))


@pytest.mark.parametrize("way", ["votes", "signatures"])
def test_bad_043_quorum__after_members_were_removed__is_reached_by_those_left(oracle: Oracle, way: str):
    """All that are left agree: neither an equality that is passed over nor an old count keeps it from counting."""
    oracle.next_frame()
    report = oracle.report()
    for place in (1, 3):
        oracle.contract.vote(place, oracle.digest(report), sender=MEMBERS[place].address)
    for place in (1, 3):
        oracle.contract.remove_member(place, sender=COUNCIL)
    left = (0, 2, 4)
    with reverts(QUORUM):
        oracle.submit(report, left[:2])
    assert oracle.submit(report, *(((),) if way == "votes" else (left,)), voted=left if way == "votes" else ())


@pytest.mark.parametrize("count", [3, 4, 5])
def test_bad_043_quorum__more_than_enough__counts_too(oracle: Oracle, count: int):
    oracle.next_frame()
    assert oracle.submit(oracle.report(), range(count), voted=range(5))


def test_bad_043_quorum__a_vote_that_was_replaced__is_gone(oracle: Oracle):
    oracle.next_frame()
    first, second = oracle.report(gain=1), oracle.report(gain=2)
    for report in (first, second):
        oracle.contract.vote(2, oracle.digest(report), sender=MEMBERS[2].address)
    with reverts(QUORUM):
        oracle.submit(first, (0, 1))
    assert oracle.submit(second, (0, 1))


def test_bad_044_rounds__votes_and_signatures_of_two_frames__do_not_mix(oracle: Oracle):
    """The same numbers for two frames: one member signs one, two voted for the other."""
    oracle.next_frame()
    old = oracle.report()
    for place in (0, 1):
        oracle.contract.vote(place, oracle.digest(old), sender=MEMBERS[place].address)
    oracle.next_frame()
    new = old._replace(ref_slot=oracle.slot())
    with reverts(QUORUM):
        oracle.submit(new, (2,))
    bitmap, signature = oracle.signatures(oracle.digest(old), (2,))
    with reverts(SIGNATURE):
        oracle.contract.submit(new, bitmap, signature)
    # The newer one first; then the older one, now complete, comes too late.
    oracle.set_limits(max_age=2 * DAY - 3_600, resolve_time=3_600)
    assert oracle.submit(new, (2, 3, 4))
    oracle.refuses(old, "report: not newer")


# --- 45, 46: what belongs together, and to whom ---


@pytest.mark.parametrize("field", ["balances_root", "balances_hash"])
def test_bad_045_parts__list_of_balances_of_another_report__is_not_what_was_signed(oracle: Oracle, field: str):
    """There is no second phase: the list of all balances is named in what is signed, and logged with it."""
    oracle.next_frame()
    report = oracle.report()._replace(balances_root=keccak(text="root"), balances_hash=keccak(text="file"))
    signed = oracle.signatures(oracle.digest(report), range(3))
    other: dict[str, Any] = {field: keccak(text="another")}
    with reverts(SIGNATURE):
        oracle.contract.submit(report._replace(**other), *signed)
    assert oracle.contract.submit(report, *signed)
    logged = oracle.evm.events(oracle.contract, "Applied")[0].fields
    assert (logged["balances_root"], logged["balances_hash"]) == (report.balances_root, report.balances_hash)


@pytest.mark.parametrize("kind", ["replay", "older", "future", "other chain", "other oracle", "other name"])
def test_bad_046_report__from_another_time_or_place__refused(oracle: Oracle, kind: str):
    oracle.next_frame()
    report = oracle.report()
    if kind == "replay":
        assert oracle.submit(report)
        oracle.refuses(report, "report: not newer")
    elif kind == "older":
        assert oracle.submit(report)
        oracle.refuses(report._replace(ref_slot=oracle.slot(1)), "report: not newer")
    elif kind == "future":
        oracle.refuses(report._replace(ref_slot=oracle.slot() + oracle.frame_slots), "report: not yet")
    else:
        digest = {
            "other chain": oracle.digest(report, chain_id=17_000),
            "other oracle": oracle.digest(report, contract=oracle.protocol.pool),
            "other name": keccak(oracle.digest(report)),
        }[kind]
        with reverts(SIGNATURE):
            oracle.contract.submit(report, *oracle.signatures(digest, range(3)))


# --- 47: silence ---


@pytest.mark.parametrize("days", [30, 60, 400])
def test_bad_047_silence__no_report_for_long__exits_go_on_and_the_next_report_counts(
    oracle: Oracle, protocol: Protocol, evm: Evm, days: int
):
    """Claims and stale exits work meanwhile; the report that catches up has a cap that grew with time."""
    paid = protocol.request(2 * ETHER)
    oracle.next_frame()
    assert oracle.submit(oracle.report())
    waiting = protocol.request(2 * ETHER)
    evm.travel(days * DAY)
    assert protocol.queue.claim(paid) > 0
    protocol.pool.declare_stale()
    protocol.pool.fulfil()
    assert protocol.queue.claimable(waiting) > 0
    # Honest rewards of 4 % a year.
    reward = assets(oracle) * 4 * days // 36_500
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=reward))
    assert evm.events(protocol.pool, "Reported")[0].fields["gain"] == reward
    # They stream for as long as they took.
    assert protocol.pool.locked() > reward * 85 // 100
    evm.travel(days * DAY // 2)
    assert protocol.pool.locked() > reward * 4 // 10


# --- 60, 92, 93: what falls ---


@pytest.mark.parametrize("field", ["deposited_at_ref", "withdrawn_at_ref", "queue_tail_at_ref", "donated_at_ref"])
def test_bad_060_counters__a_cumulative_number_falls__refused(oracle: Oracle, evm: Evm, field: str):
    """They are sums of what happened. What has none, `cl`, may fall, within the limits."""
    protocol = oracle.protocol
    evm.fund(protocol.withdrawal_vault, 3 * ETHER)
    protocol.request(ETHER)
    oracle.next_frame()
    first = oracle.report(withdrawn=2 * ETHER, donated=10**15)
    assert oracle.submit(first)
    oracle.next_frame()
    changes: dict[str, Any] = {field: getattr(first, field) - 2**31}
    reason = "report: donations fell" if field == "donated_at_ref" else "report: a counter fell"
    oracle.refuses(oracle.report()._replace(**changes), reason)
    assert oracle.submit(oracle.report(gain=-ETHER))


def test_bad_092_bleeding__small_losses_every_day__are_held_when_they_add_up(oracle: Oracle):
    """A fifth of a per cent a day, each far below the limit of a report: the window notices within four weeks."""
    start = assets(oracle)
    days = 0
    while not oracle.contract.pending().deadline:
        days += 1
        oracle.next_frame()
        oracle.submit(oracle.report(gain=-(assets(oracle) // 500)))
    assert 15 < days < 28
    assert assets(oracle) > start * 94 // 100


def test_bad_092_bleeding__less_than_the_window_drains__goes_on(oracle: Oracle):
    """An honest bad time, a fiftieth of a per cent a day for 100 days, is no alarm."""
    for _ in range(100):
        oracle.next_frame()
        assert oracle.submit(oracle.report(gain=-(assets(oracle) // 5_000)))


def test_bad_093_two_stages__mass_slashing__counts_once(oracle: Oracle, protocol: Protocol):
    """First the small penalty and the raise, then the estimate of the large one, at last the large one itself."""
    staked = protocol.pool.outside()
    # A hundredth of the stake is slashed: proven, raised by 5 %.
    raised = protocol.raise_pending_loss(staked // 100 // 20 // GWEI)
    oracle.next_frame()
    # The report knows better: nine tenths of what is slashed will go, for so many were slashed at once.
    expected = staked // 100 * 9 // 10
    headroom = oracle.contract.headroom()
    assert expected - raised < headroom.loss
    assert oracle.submit(oracle.report(gain=-(staked // 100 // 4_096), pending_loss=expected))
    exit_rate, window = protocol.pool.exit_rate(), oracle.contract.headroom().window
    for _ in range(18):
        oracle.next_frame()
        assert oracle.submit(oracle.report(pending_loss=expected))
    oracle.next_frame()
    assert oracle.contract.preview(oracle.report(gain=-expected)) == (0, 0, True)
    assert oracle.submit(oracle.report(gain=-expected))
    assert protocol.pool.exit_rate() == pytest.approx(exit_rate, rel=1e-3)
    assert protocol.pool.pending_loss() == 0
    assert oracle.contract.headroom().window > window


def test_bad_093_two_stages__those_who_leave_between__have_borne_their_part(oracle: Oracle, protocol: Protocol):
    expected = assets(oracle) // 110
    for account in (STAKER, SAVER):
        protocol.request(protocol.pool.balanceOf(account) // 30, account)
    oracle.next_frame()
    assert oracle.submit(oracle.report(pending_loss=expected))
    cl = protocol.pool.outside() + expected - protocol.pool.pending_loss()
    borne = expected - protocol.pool.pending_loss()
    assert borne > 0
    oracle.next_frame()
    report: Report = oracle.report()._replace(cl=cl - expected)
    assert oracle.contract.preview(report) == (0, 0, True)
    assert oracle.submit(report)
