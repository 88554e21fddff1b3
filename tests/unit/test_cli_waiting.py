"""How long an exit waits: each boundary, in shares, wei and seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from floe.cli.waiting import LEAVING, SWEEP, Flow, Frames, Wait

ETHER = 10**18
DAY = 86_400
FRAMES = Frames(genesis_time=1_000, seconds_per_slot=12, slots=7_200, lag=900)
"""A frame a day; reports come 15 minutes after their reference slot."""
FLOW = Flow(
    now=1_000 + 10 * DAY + 100,
    filled=50 * ETHER,
    eligible=40 * ETHER,
    exit_rate=11 * ETHER // 10,
    buffer=22 * ETHER,
    vault=11 * ETHER,
    under_way=5 * ETHER,
    fulfil_paused_until=0,
    slots_per_epoch=32,
    frames=FRAMES,
)
"""10 days after genesis: the buffer pays 20 shares, the vault 10 more."""
NEXT = DAY - 100 + 900


def position(shares: float) -> int:
    return FLOW.filled + int(shares * ETHER)


@pytest.mark.parametrize(
    ("end", "wait"),
    [
        (position(0), Wait("claim", 0)),
        (position(-3), Wait("claim", 0)),
        (position(0) + 1, Wait("fulfil", 0)),
        (position(20), Wait("fulfil", 0)),
        (position(20) + 1, Wait("report", NEXT)),
        (position(30), Wait("report", NEXT)),
        (position(30) + 1, Wait("arrival", LEAVING + SWEEP)),
        (position(34.5), Wait("arrival", LEAVING + SWEEP)),
        (position(35), Wait("validators", LEAVING + SWEEP)),
        (position(40), Wait("validators", LEAVING + SWEEP)),
        (position(40) + 1, Wait("validators", NEXT + LEAVING + SWEEP)),
    ],
)
def test_wait__position_on_the_line__what_pays_it_and_when(end, wait):
    assert FLOW.wait(end) == wait


def test_wait__not_eligible_but_paid_for__one_report():
    flow = replace(FLOW, buffer=1_000 * ETHER)
    assert flow.wait(position(40)) == Wait("fulfil", 0)
    assert flow.wait(position(40) + 1) == Wait("report", NEXT)


@pytest.mark.parametrize(
    ("requested_at", "seconds"),
    [
        (1_000 + 10 * DAY, 800),  # at the reference slot: this report covers it
        (1_000 + 10 * DAY + 1, NEXT),  # a second later: the next one does
        (1_000 + 9 * DAY, 0),  # its report is late
        (None, NEXT),
    ],
)
def test_wait__requested_around_a_reference_slot__the_report_that_covers_it(requested_at, seconds):
    flow = replace(FLOW, buffer=1_000 * ETHER)
    assert flow.wait(position(41), requested_at) == Wait("report", seconds)


def test_wait__fulfilments_paused__until_then():
    flow = replace(FLOW, fulfil_paused_until=FLOW.now + 5 * DAY)
    assert flow.wait(position(1)) == Wait("fulfil", 5 * DAY)
    assert flow.wait(position(25)) == Wait("report", 5 * DAY)
    assert flow.wait(position(38)) == Wait("validators", LEAVING + SWEEP)


def test_wait__another_beacon_chain__no_guess_when_validators_leave():
    flow = replace(FLOW, slots_per_epoch=8)
    assert flow.wait(position(38)) == Wait("validators", None)
    assert flow.wait(position(25)) == Wait("report", NEXT)


def test_wait__shares_without_value__nothing_is_needed_for_them():
    assert replace(FLOW, exit_rate=0, buffer=0).wait(position(20)) == Wait("fulfil", 0)


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (Wait("claim", 0), "claim it"),
        (Wait("fulfil", 0), "now"),
        (Wait("fulfil", 3_600), "about 1 h"),
        (Wait("report", 0), "the next report"),
        (Wait("report", 80_000), "about 22 h 13 min"),
        (Wait("validators", None), "not known"),
    ],
)
def test_short__wait__for_a_column(wait, text):
    assert wait.short == text
