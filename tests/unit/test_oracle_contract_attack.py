"""Members who lie: two of five achieve nothing, three are held to the headroom, and honest reports go on after them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.evm import DAY, ETHER, Evm, reverts
from tests.oracle import COUNCIL, MEMBERS, Oracle, Report
from tests.protocol import GWEI, SAVER, STAKER, U96, Protocol

LIARS = (0, 1, 2)
"""Three of five."""
FEW_LIARS = (0, 1)

LOSS_OF_A_REPORT = 1_000
"""ETH that three of five can take from the exit value of a pool of 100,000 ETH in one daily report."""
BOOKED_IN_A_YEAR = 28_324
"""... and book as lost in 365 of them, when nobody stops them."""
LOSS_OF_A_YEAR = 33_333
"""... and take from the exit value in a year by losses that are only announced: the greatest damage there is."""
RISE_OF_A_DAY = 27
"""ETH that they can put on the books in one daily report, though nobody earned them."""
RISE_OF_A_YEAR = 10_515
"""... and in 365 of them."""
PROFIT_OF_A_BUYER = 1_507
"""ETH that somebody with 100,000 ETH makes who enters after three such losses, when they are undone."""


def assets(oracle: Oracle) -> int:
    found: int = oracle.protocol.pool.state()[0] >> 96 & U96
    return found


def exit_value(oracle: Oracle) -> int:
    """Return what all shares are worth to those who leave, with all rewards streamed."""
    return assets(oracle) - int(oracle.protocol.pool.pending_loss())


# --- two of five ---


def test_two_of_five__sign_anything__nothing_happens(oracle: Oracle, protocol: Protocol):
    """They sign, they vote, they do both, they stand at any place, they reuse what honest members signed."""
    oracle.next_frame()
    honest = oracle.report(gain=ETHER // 100)
    collected = oracle.signatures(oracle.digest(honest), (2, 3, 4))[1]
    before = protocol.pool.state()
    lies = [
        oracle.report(gain=-400 * ETHER),
        oracle.report(gain=400 * ETHER),
        honest._replace(pending_loss=ETHER),
        honest._replace(balances_root=bytes(32)),
        honest._replace(ref_slot=honest.ref_slot - oracle.frame_slots),
    ]
    for lie in lies:
        for voted in ((), (0,), (0, 1)):
            with reverts("committee: no quorum"):
                oracle.submit(lie, FEW_LIARS, voted=voted)
        bitmap, own = oracle.signatures(oracle.digest(lie), FEW_LIARS)
        for start in (0, 65, 130):
            with reverts("committee: wrong signature"):
                oracle.contract.submit(lie, bitmap | 1 << (2 + start // 65), own + collected[start : start + 65])
    assert protocol.pool.state() == before
    assert oracle.contract.pending() == (bytes(32), 0)
    # Nor can they keep the others from going on.
    assert oracle.submit(honest, (2, 3, 4))


def test_two_of_five__vote_against__do_not_delay_the_others(oracle: Oracle):
    oracle.next_frame()
    honest = oracle.report()
    for liar in FEW_LIARS:
        oracle.contract.vote(liar, oracle.digest(honest._replace(cl=0)), sender=MEMBERS[liar].address)
    assert oracle.submit(honest, (), voted=(2, 3, 4))


def test_two_of_five__with_one_who_has_signed_twice__are_three(oracle: Oracle):
    """What a member signs by mistake counts: hence a daemon never signs two reports for a frame."""
    oracle.next_frame()
    assert oracle.submit(oracle.report(gain=7), (0, 1, 2))
    with reverts("report: not newer"):
        oracle.submit(oracle.report(gain=8), (2, 3, 4))


# --- three of five: how much ---


@pytest.fixture(scope="module")
def large_pool() -> Oracle:
    """Build a pool of 100,000 ETH, nine tenths of it with validators, and an honest report."""
    protocol = Protocol(Evm())
    protocol.evm.fund(SAVER, 10**6 * ETHER)
    oracle = Oracle(protocol)
    protocol.stake(100_000 * ETHER, SAVER)
    protocol.to_validators()
    oracle.next_frame()
    assert oracle.submit(oracle.report())
    oracle.next_frame()
    return oracle


@pytest.fixture
def large(large_pool: Oracle) -> Iterator[Oracle]:
    with large_pool.evm.undone():
        yield large_pool


def test_three_of_five__one_report__take_what_headroom_said(large: Oracle):
    before, said = exit_value(large), large.contract.headroom()
    assert said.loss // ETHER == LOSS_OF_A_REPORT
    assert not large.submit(large.report(gain=-said.loss - 1), LIARS)
    large.next_frame()
    said = large.contract.headroom()
    assert large.submit(large.report(gain=-said.loss), LIARS)
    assert before - exit_value(large) == said.loss


def test_three_of_five__one_report__add_what_headroom_said(large: Oracle):
    """However large the gain they claim, up to the alarm."""
    before, said = exit_value(large), large.contract.headroom()
    assert said.rise // ETHER == RISE_OF_A_DAY
    assert large.submit(large.report(gain=said.alarm), LIARS)
    assert exit_value(large) - before == said.rise
    large.next_frame()
    assert not large.submit(large.report(gain=large.contract.headroom().alarm + 1), LIARS)


def test_three_of_five__a_year_of_greed__books_as_lost_what_the_window_drains(large: Oracle):
    """365 reports, each with the largest loss, and nobody stops them.

    Nothing is stolen by that: the ETH is with the validators, and an honest committee brings it back. It has moved from
    those who held shares to those who hold them then.
    """
    start, said = exit_value(large), 0
    for _ in range(365):
        headroom = large.contract.headroom()
        said += headroom.loss
        assert large.submit(large.report(gain=-headroom.loss), LIARS)
        large.next_frame()
    assert start - exit_value(large) == said
    assert said // ETHER == BOOKED_IN_A_YEAR
    # The first three days take 3 %, and each day after that a thirty-sixth of 3 % of what is left.
    assert said / start == pytest.approx(1 - 0.99**3 * (1 - 0.03 / 36) ** 362, rel=0.01)
    assert large.submit(large.report(gain=said), (2, 3, 4)), "what only undoes losses is no alarm"


def test_three_of_five__a_year_of_announced_losses__is_the_greatest_damage(large: Oracle):
    """Pending losses leave the assets, and with them the limits, as large as they were.

    Leavers would get a third less; who enters pays the full price, and cannot while more than 1 % is pending. The first
    honest report ends it.
    """
    start, assets_before, said = exit_value(large), assets(large), 0
    for _ in range(365):
        headroom = large.contract.headroom()
        said += headroom.loss
        assert large.submit(large.report(pending_loss=headroom.pending_loss + headroom.loss), LIARS)
        large.next_frame()
    assert assets(large) == assets_before
    assert start - exit_value(large) == said
    assert said // ETHER == LOSS_OF_A_YEAR
    assert said / start == pytest.approx(0.03 + 0.03 * 364 / 36, rel=0.001)
    with reverts("deposit: loss pending"):
        large.protocol.stake(ETHER)
    assert large.contract.headroom().pending_loss == said
    assert large.submit(large.report(), (2, 3, 4))
    assert exit_value(large) == start


def test_three_of_five__a_year_of_lies_about_gains__adds_what_the_rise_allows(large: Oracle):
    """What could be stolen: shares that are sold too dear, by so much at most, out of a buffer that is empty soon."""
    start, said = exit_value(large), 0
    for _ in range(365):
        headroom = large.contract.headroom()
        said += headroom.rise
        assert large.submit(large.report(gain=headroom.alarm), LIARS)
        large.next_frame()
    assert exit_value(large) - start == said
    assert said // ETHER == RISE_OF_A_YEAR
    assert said / start == pytest.approx(1.000274**365 - 1, rel=0.01)


def test_three_of_five__losses_and_gains_in_turn__each_stay_in_their_headroom(large: Oracle):
    """Turns do not add up to more: a rise gives no room for losses, a loss none for a rise."""
    losses = gains = 0
    for day in range(72):
        headroom, before = large.contract.headroom(), exit_value(large)
        gain = headroom.alarm if day % 2 else -headroom.loss
        assert large.submit(large.report(gain=gain), LIARS)
        change = exit_value(large) - before
        assert -headroom.loss <= change <= headroom.rise
        losses, gains = losses - min(change, 0), gains + max(change, 0)
        large.next_frame()
    assert losses <= 100_000 * ETHER * 3 // 100 * 3
    assert gains <= 100_000 * ETHER * 72 // 3_650


def test_three_of_five__buy_into_their_own_lie__profit_is_part_of_what_they_hid(large: Oracle):
    """With as much ETH of their own as all others have: three such losses, in, and wait for honest days."""
    protocol, pool = large.protocol, large.protocol.pool
    hidden = 0
    for _ in range(3):
        loss = large.contract.headroom().loss
        hidden += loss
        assert large.submit(large.report(gain=-loss), LIARS)
        large.next_frame()
    protocol.evm.fund(STAKER, 10**6 * ETHER)
    stake = 100_000 * ETHER
    protocol.stake(stake)
    while hidden > 0:
        assert large.submit(large.report(gain=hidden), (2, 3, 4))
        hidden -= protocol.evm.events(pool, "Reported")[0].fields["gain"]
        large.next_frame()
    large.evm.travel(30 * DAY)
    profit = pool.convertToAssets(pool.balanceOf(STAKER)) - stake
    assert profit // ETHER == PROFIT_OF_A_BUYER


@pytest.mark.parametrize("bps", [1, 3, 10])
def test_three_of_five__a_pretended_pending_loss__leavers_lose_no_more_than_headroom(large: Oracle, bps: int):
    """The loss need not be booked to hurt those who leave; it counts the same, and coming back it is metered."""
    protocol = large.protocol
    headroom = large.contract.headroom()
    loss = headroom.loss * bps // 10
    ticket = protocol.request(protocol.pool.balanceOf(SAVER) // 20, SAVER)
    fair = protocol.pool.exit_rate() * protocol.queue.pending(ticket) // ETHER
    assert large.submit(large.report(pending_loss=loss), LIARS)
    paid = protocol.queue.claimable(ticket)
    assert 0 <= fair - paid <= fair * loss // (100_000 * ETHER) + ETHER
    large.next_frame()
    before = protocol.pool.exit_rate()
    assert large.submit(large.report(gain=fair - paid))
    assert protocol.pool.pending_loss() == 0
    assert protocol.pool.exit_rate() - before <= ETHER * loss // (100_000 * ETHER)


def test_three_of_five__take_back_a_known_loss__headroom_says_so(large: Oracle):
    """They can spare leavers what is known to be lost: up to the pending loss, which headroom names."""
    large.protocol.raise_pending_loss(700 * ETHER // GWEI)
    headroom, before = large.contract.headroom(), exit_value(large)
    assert headroom.pending_loss == 700 * ETHER
    assert large.submit(large.report(gain=headroom.alarm), LIARS)
    assert exit_value(large) - before <= headroom.pending_loss + headroom.rise


# --- never stuck: the next honest report goes through ---


def honest(oracle: Oracle, cl: int, credited: int) -> Report:
    """Return the report of an honest observer, who knows the validators' balances and what the chain has paid out."""
    protocol = oracle.protocol
    state = protocol.pool.state()
    swept, taken = state[5] >> 96 & U96, state[7]
    received = oracle.evm.balance(protocol.withdrawal_vault) + swept + taken
    withdrawn = max(min(credited, received - taken), swept - cl, oracle.contract.last().withdrawn)
    return oracle.report()._replace(
        cl=cl, withdrawn_at_ref=withdrawn, donated_at_ref=received - withdrawn, pending_loss=0
    )


LIES = [
    "largest loss",
    "largest gain",
    "pending loss",
    "gain and pending loss",
    "part of the principal as gifts",
    "principal as gifts",
    "gifts as principal",
    "no gifts",
    "no withdrawals",
    "no deposits",
    "no exits",
    "no raises",
    "everything of now",
]


def lies(oracle: Oracle, true: Report) -> list[dict[str, int]]:
    """Return what to write over a true report for each of the lies: all as large as the limits let them be."""
    headroom, last, state = oracle.contract.headroom(), oracle.contract.last(), oracle.protocol.pool.state()

    def hidden(amount: int) -> dict[str, int]:
        withdrawn, donated = true.withdrawn_at_ref - amount, true.donated_at_ref + amount
        return {"cl": true.cl + amount, "withdrawn_at_ref": withdrawn, "donated_at_ref": donated}

    unsaid = true.withdrawn_at_ref - last.withdrawn
    # What leaves the validators' result at 0, the lies of the days before included, while all raises are forgotten.
    even = (state[2] & U96) - (true.withdrawn_at_ref - (state[5] >> 96 & U96))
    even -= state[2] >> 96 & U96
    return [
        {"cl": even - headroom.loss},
        {"cl": even + headroom.alarm},
        {"pending_loss": headroom.loss},
        {"cl": true.cl + 10**30, "pending_loss": 10**30},
        hidden(min(25 * ETHER, unsaid)),
        hidden(min(32 * ETHER, unsaid)),
        {"withdrawn_at_ref": true.withdrawn_at_ref + true.donated_at_ref - state[7], "donated_at_ref": state[7]},
        {"donated_at_ref": state[7]},
        {"cl": true.cl + unsaid, "withdrawn_at_ref": last.withdrawn},
        {"deposited_at_ref": last.deposited},
        {"queue_tail_at_ref": last.tail},
        {"raised_at_ref": 0},
        {"deposited_at_ref": state[5] & U96, "queue_tail_at_ref": oracle.protocol.queue.tail()},
    ]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("times", [1, 5])
def test_never_stuck__after_a_lie_within_the_limits__the_next_honest_report_is_booked(
    large: Oracle, lie: str, times: int
):
    protocol, evm = large.protocol, large.evm
    cl: int = protocol.pool.outside()
    credited = 0
    for _ in range(times):
        # A day: a validator leaves, somebody makes a gift, somebody stakes, somebody wants to leave.
        evm.fund(protocol.withdrawal_vault, 32 * ETHER + 3 * ETHER)
        credited, cl = credited + 32 * ETHER, cl - 32 * ETHER
        protocol.stake(40 * ETHER, STAKER)
        cl += protocol.to_validators()
        protocol.request(ETHER, SAVER)
        protocol.raise_pending_loss(GWEI // 10)
        true = honest(large, cl, credited)
        fields: dict[str, Any] = dict(zip(LIES, lies(large, true), strict=True))[lie]
        assert large.submit(true._replace(**fields), LIARS)
        evm.travel(3_600)
        large.next_frame()
    for _ in range(4):
        assert large.submit(honest(large, cl, credited), (2, 3, 4))
        large.next_frame()
    # What was hidden, pretended or put elsewhere is found again as fast as the limit on rises lets it.
    hidden = 100_000 * ETHER + times * 40 * ETHER - assets(large)
    while abs(hidden) > 40 * ETHER:
        large.next_frame(30)
        assert large.submit(honest(large, cl, credited), (2, 3, 4))
        less = 100_000 * ETHER + times * 40 * ETHER - assets(large)
        assert abs(less) < abs(hidden)
        hidden = less
    # All that is there: the buffer, the vault, the validators.
    there = evm.balance(protocol.pool) + evm.balance(protocol.withdrawal_vault) + cl
    assert assets(large) <= there


def test_never_stuck__counters_of_a_later_moment__cost_a_frame_and_no_more(large: Oracle):
    """A late lie may count what came after the next reference slot: that frame's honest report is refused, not more."""
    large.set_limits(max_age=DAY + 12 * 3_600, resolve_time=12 * 3_600)
    slot = large.slot()
    large.next_frame()
    at_next = large.report()
    large.protocol.request(ETHER, SAVER)
    assert large.submit(large.report(slot=slot), LIARS)
    large.refuses(at_next, "report: a counter fell")
    large.next_frame()
    assert large.submit(large.report(), (2, 3, 4))


def test_never_stuck__held_reports_every_day__an_honest_majority_goes_on_at_once(large: Oracle):
    """The liars hold report after report; as soon as three honest members sign first, theirs is booked."""
    for day in range(12):
        if day % 2:
            assert large.submit(large.report(gain=ETHER), (2, 3, 4))
        else:
            assert not large.submit(large.report(gain=-50_000 * ETHER), LIARS)
        large.next_frame()


@pytest.mark.parametrize("days", [30, 60])
def test_after_a_long_silence__a_lie_about_gains__is_taken_back_at_once_or_by_the_council(large: Oracle, days: int):
    """A known limit: what may rise in 60 days is more than may fall in one report, so the council has to agree."""
    large.next_frame(days)
    rise = large.contract.headroom().rise
    assert large.submit(large.report(gain=rise), LIARS)
    large.next_frame()
    report = large.report(gain=-rise)
    if rise <= large.contract.headroom().loss:
        assert days == 30 and large.submit(report, (2, 3, 4))
    else:
        assert days == 60 and not large.submit(report, (2, 3, 4))
        large.contract.accept(report, sender=COUNCIL)
    large.next_frame()
    assert large.submit(large.report(), (2, 3, 4))


def test_after_a_known_loss_was_taken_back__stating_it_again__needs_the_council(large: Oracle):
    """A known limit: a loss of more than a report may take was accepted, a lie makes it disappear; now it is new."""
    known = 2_000 * ETHER
    report = large.report(pending_loss=known)
    assert not large.submit(report)
    large.contract.accept(report, sender=COUNCIL)
    large.next_frame()
    assert large.submit(large.report(pending_loss=known)), "what is known may be said again"
    large.next_frame()
    assert large.submit(large.report(), LIARS)
    large.next_frame()
    report = large.report(pending_loss=known)
    assert not large.submit(report)
    large.contract.accept(report, sender=COUNCIL)
    assert large.protocol.pool.pending_loss() == known
