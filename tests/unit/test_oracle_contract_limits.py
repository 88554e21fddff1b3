"""ReportOracle's limits: each at its bound and a wei beside it, on a young chain, in daily life and after a silence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from tests.evm import DAY, ETHER, Evm
from tests.oracle import COUNCIL, LIMITS, Oracle, Report
from tests.protocol import GWEI, PARAMETERS, U96, Protocol

BPS = 10_000
YEAR = 365 * DAY
FLOOR = 32 * ETHER
SITUATIONS = ["seed", "first validator", "daily life", "after 60 days of silence"]


@cache
def young(situation: str) -> Oracle:
    """Return an oracle on the first days of its chain and its pool."""
    evm = Evm()
    protocol = Protocol(evm)
    oracle = Oracle(protocol, genesis_time=evm.now - 600)
    if situation == "first validator":
        protocol.stake(36 * ETHER)
        protocol.to_validators(32 * ETHER)
    oracle.next_frame()
    return oracle


@pytest.fixture(params=SITUATIONS)
def situated(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    """Return an oracle of a pool in each situation."""
    if request.param in ("seed", "first validator"):
        oracle = young(request.param)
        with oracle.evm.undone():
            yield oracle
        return
    oracle = request.getfixturevalue("oracle")
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=ETHER // 100))
    oracle.next_frame(1 if request.param == "daily life" else 60)
    yield oracle


def assets(oracle: Oracle) -> int:
    return int(oracle.protocol.pool.state()[0] >> 96 & U96)


def rise(oracle: Oracle) -> int:
    """Return what the pool would recognise now, as DESIGN says it."""
    reported_at: int = oracle.protocol.pool.state()[3] >> 96 & 2**40 - 1
    return assets(oracle) * PARAMETERS.rise_bps * (oracle.evm.now - reported_at) // (BPS * YEAR)


def losing(oracle: Oracle, loss: int, how: str) -> Report:
    """Report a loss of the exit value: booked, pending, or half and half."""
    booked = {"booked": loss, "pending": 0, "both": loss // 2}[how]
    return oracle.report(gain=-booked, pending_loss=loss - booked)


def judged(oracle: Oracle, report: Report) -> bool:
    """Submit a report, and undo it. Returns whether it was inside the limits; `preview` must have known."""
    loss, backlog, inside = oracle.contract.preview(report)
    assert min(loss, backlog) == 0 <= loss + backlog
    with oracle.evm.undone():
        assert oracle.submit(report) is inside
    return bool(inside)


# --- a loss per report ---


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("how", ["booked", "pending", "both"])
@pytest.mark.parametrize("loss_bps", [10, 100, 300])
def test_loss__of_a_report__up_to_its_part_of_the_assets(situated: Oracle, how: str, off: int, loss_bps: int):
    situated.set_limits(loss_bps=loss_bps)
    bound = assets(situated) * loss_bps // BPS
    assert situated.contract.headroom().loss == bound > 0
    if how != "pending" and situated.protocol.pool.outside() <= bound:
        how = "pending"  # nothing is with validators yet
    assert judged(situated, losing(situated, bound + off, how)) is (off <= 0)


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_loss__already_known__does_not_count_again(situated: Oracle, off: int):
    """What was raised or reported as pending is behind the exit value; only what comes on top is a loss."""
    raised = situated.protocol.raise_pending_loss(2 * ETHER // GWEI)
    bound = assets(situated) // 100
    if situated.protocol.pool.outside() > 0:
        assert raised == 2 * ETHER
        settled = situated.report(gain=-raised - bound - off)
        assert judged(situated, settled) is (off <= 0)
    pending = situated.report(pending_loss=raised + bound + off)
    assert judged(situated, pending) is (off <= 0)


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_loss__raised_after_the_reference_slot__does_not_count_twice(oracle: Oracle, off: int):
    oracle.next_frame()
    raised_at_ref = oracle.report().raised_at_ref
    raised = oracle.protocol.raise_pending_loss(2 * ETHER // GWEI)
    bound = assets(oracle) // 100
    report = oracle.report(gain=-bound - off)._replace(raised_at_ref=raised_at_ref)
    assert judged(oracle, report) is (off <= 0)
    assert oracle.submit(oracle.report()._replace(raised_at_ref=raised_at_ref))
    assert oracle.protocol.pool.pending_loss() == raised


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_loss__less_than_is_pending_now__is_a_gain(oracle: Oracle, off: int):
    """A pending loss that turns out smaller frees the exit value; nothing is held for that."""
    oracle.protocol.raise_pending_loss(20 * ETHER // GWEI)
    oracle.next_frame()
    report = oracle.report(gain=-20 * ETHER - off)
    assert oracle.contract.headroom().pending_loss == 20 * ETHER
    assert oracle.contract.preview(report).count(max(off, 0)) >= 1
    assert judged(oracle, report)


def test_loss__within_what_leavers_have_borne__is_none(oracle: Oracle, protocol: Protocol):
    """Exits that were paid while a loss was pending have settled their part."""
    protocol.request(100 * ETHER)
    protocol.stake(120 * ETHER)
    protocol.raise_pending_loss(4 * ETHER // GWEI)
    protocol.report(pending_loss=4 * ETHER)
    cl = protocol.pool.outside()
    protocol.pool.fulfil()
    assert protocol.pool.pending_loss() < 4 * ETHER
    oracle.next_frame()
    # The validators have lost the four ETH by now.
    report = oracle.report()._replace(cl=cl - 4 * ETHER)
    loss, backlog, inside = oracle.contract.preview(report)
    assert (loss, backlog, inside) == (0, 0, True)
    assert oracle.submit(report)


# --- losses in the window ---


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("days", [1, 5, 18, 35, 36, 60])
def test_window__after_a_loss_that_filled_it__drains_evenly(situated: Oracle, days: int, off: int):
    situated.set_limits(loss_bps=300)
    bound = assets(situated) * 3 // 100
    assert situated.submit(losing(situated, bound, "pending"))
    filled, before = situated.evm.now, assets(situated)
    situated.next_frame(days)
    capacity = assets(situated) * 3 // 100
    used = min(before * 3 // 100, capacity)
    left = capacity - max(0, used - capacity * (situated.evm.now - filled) // LIMITS.window)
    assert situated.contract.headroom().window == situated.contract.headroom().loss == left
    pending = situated.protocol.pool.pending_loss()
    assert judged(situated, situated.report(pending_loss=pending + left + off)) is (off <= 0)


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_window__many_losses__count_together(oracle: Oracle, off: int):
    """Four reports of 1 %: the fourth finds what the window has drained in three days, and no more."""
    used, last = 0, oracle.evm.now
    for _ in range(3):
        oracle.next_frame()
        loss = assets(oracle) // 100
        capacity = assets(oracle) * 3 // 100
        used = max(0, used - capacity * (oracle.evm.now - last) // LIMITS.window) + loss
        last = oracle.evm.now
        assert oracle.submit(oracle.report(gain=-loss))
    oracle.next_frame()
    capacity = assets(oracle) * 3 // 100
    used = max(0, min(used, capacity) - capacity * (oracle.evm.now - last) // LIMITS.window)
    left = capacity - used
    assert 0 < left < assets(oracle) // 100
    assert oracle.contract.headroom()[2:4] == (left, left)
    assert judged(oracle, oracle.report(gain=-left - off)) is (off <= 0)


def test_window__any_days_in_a_row__take_at_most_twice_its_size(oracle: Oracle):
    """A greedy committee takes all that the limits leave, every day for a year."""
    taken: list[tuple[int, int]] = []
    start = assets(oracle)
    for _ in range(365):
        oracle.next_frame()
        loss = oracle.contract.headroom().loss
        taken.append((oracle.evm.now, loss))
        assert oracle.submit(oracle.report(gain=-loss))
    for at, _ in taken:
        assert sum(loss for t, loss in taken if at <= t < at + LIMITS.window) <= start * 3 // 100 * 2
    assert sum(loss for _, loss in taken) <= start * 3 // 100 * (1 + 366 // 36 + 1)


def test_window__gains__refill_nothing(oracle: Oracle):
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=-(assets(oracle) // 100)))
    before = oracle.contract.headroom().window
    oracle.evm.travel(1)
    oracle.next_frame()
    left = oracle.contract.headroom().window
    assert oracle.submit(oracle.report(gain=ETHER // 10))
    assert before < left <= oracle.contract.headroom().window <= left + ETHER // 100


def test_window__after_a_large_loss_that_was_accepted__takes_small_ones_the_next_day(oracle: Oracle):
    """Half the stake is gone: the window is full, measured by what is left, and drains from there."""
    report = oracle.hold(gain=-assets(oracle) // 2)
    oracle.contract.accept(report, sender=COUNCIL)
    assert oracle.contract.headroom().loss == 0
    oracle.next_frame()
    left = assets(oracle) * 3 // 100 * DAY // LIMITS.window
    assert oracle.contract.headroom().loss == pytest.approx(left, rel=0.001)
    assert judged(oracle, oracle.report(gain=-left * 99 // 100))


@pytest.mark.parametrize("window", [7 * DAY, 90 * DAY])
def test_window__shorter_or_longer__drains_faster_or_slower(oracle: Oracle, window: int):
    oracle.set_limits(window=window, loss_bps=300)
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=-(assets(oracle) * 3 // 100)))
    oracle.next_frame(3)
    capacity = assets(oracle) * 3 // 100
    assert oracle.contract.headroom().window == pytest.approx(capacity * 3 * DAY // window, rel=0.01)


# --- the alarm ---


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("alarm_bps", [10, 100, 1_000])
@pytest.mark.parametrize("pending", [0, 3 * ETHER])
def test_alarm__gain_beyond_what_is_recognised__up_to_its_part_and_32_ether(
    situated: Oracle, off: int, alarm_bps: int, pending: int
):
    """What goes against a pending loss is no gain that waits."""
    situated.set_limits(alarm_bps=alarm_bps)
    if pending:
        situated.protocol.raise_pending_loss(pending // GWEI)
    if situated.protocol.pool.outside() > 0:
        # What only undoes past losses is no alarm.
        situated.protocol.report(gain=-ETHER // 5)
        situated.evm.travel(DAY)
    deficit = situated.protocol.pool.deficit()
    bound = rise(situated) + assets(situated) * alarm_bps // BPS + FLOOR + deficit
    headroom = situated.contract.headroom()
    assert (headroom.rise, headroom.alarm) == (rise(situated), bound)
    report = situated.report(gain=bound + pending + off, pending_loss=pending)
    assert judged(situated, report) is (off <= 0)


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_alarm__backlog_of_the_last_report__may_stay(situated: Oracle, off: int):
    """A gain that waits is not alarming again: the next report may have so much more, rounded up to an ETH."""
    first = rise(situated) + FLOOR
    situated.submit(situated.report(gain=first))
    assert situated.contract.last().backlog == FLOOR
    situated.next_frame()
    bound = rise(situated) + assets(situated) // 100 + 2 * FLOOR
    assert situated.contract.headroom().alarm == bound
    assert judged(situated, situated.report(gain=bound + off)) is (off <= 0)


@pytest.mark.parametrize(("backlog", "noted"), [(0, 0), (1, 1), (ETHER - 1, 1), (ETHER, 1), (ETHER + 1, 2)])
def test_alarm__backlog__is_noted_in_whole_ether(oracle: Oracle, backlog: int, noted: int):
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=rise(oracle) + backlog))
    assert oracle.contract.last().backlog == noted * ETHER
    # And is forgotten when it has been recognised.
    oracle.next_frame(40)
    assert oracle.submit(oracle.report(gain=backlog))
    assert oracle.contract.last().backlog == 0


def test_alarm__loss_report__leaves_no_backlog(oracle: Oracle):
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=rise(oracle) + 20 * ETHER))
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=-ETHER))
    assert oracle.contract.last().backlog == 0


def test_alarm__gain_and_pending_loss_as_large__change_nothing(oracle: Oracle, protocol: Protocol):
    """A lie that cancels itself out is booked, and does nothing."""
    oracle.next_frame()
    before = protocol.pool.state()
    assert oracle.submit(oracle.report(gain=10**24, pending_loss=10**24))
    after = protocol.pool.state()
    assert after[0] & 2**192 - 1 == before[0] & 2**192 - 1
    assert after[2] == before[2]
    oracle.next_frame()
    assert oracle.submit(oracle.report())


# --- all of it moves with the assets ---


def test_limits__deposit_before_the_report__count_with_the_assets_of_now(oracle: Oracle, protocol: Protocol):
    before = oracle.contract.headroom()
    protocol.stake(1_000 * ETHER)
    after = oracle.contract.headroom()
    assert after.loss - before.loss == pytest.approx(10 * ETHER, abs=1)
    assert after.window - before.window == pytest.approx(30 * ETHER, abs=1)
    # The rise too: it is the part that assets may grow by, whoever brought them.
    assert after.rise == rise(oracle) > before.rise


def test_limits__deposits_to_validators_after_the_reference_slot__are_counted_once(oracle: Oracle, protocol: Protocol):
    oracle.next_frame()
    at_ref = oracle.report()
    protocol.stake(500 * ETHER)
    protocol.to_validators()
    assert oracle.contract.preview(at_ref) == (0, 0, True)
    assert oracle.submit(at_ref)
    oracle.next_frame()
    assert oracle.contract.preview(oracle.report()) == (0, 0, True)


def test_limits__stale_declaration_swept_what_is_still_in_cl__is_no_loss(oracle: Oracle, protocol: Protocol, evm: Evm):
    """What came back after the reference slot was swept as principal, and is in the report a second time."""
    evm.travel(PARAMETERS.stale_after + DAY)
    oracle.next_frame()
    at_ref = oracle.report()
    evm.fund(protocol.withdrawal_vault, 32 * ETHER)
    protocol.pool.declare_stale()
    assert protocol.pool.state()[5] >> 96 & U96 == 32 * ETHER
    loss, backlog, inside = oracle.contract.preview(at_ref)
    assert (loss, inside) == (0, True) and backlog == 0
    assert oracle.submit(at_ref)
