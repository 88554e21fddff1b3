"""How long a crowd waits when validators leave one after the other."""

from __future__ import annotations

from dataclasses import replace

from floe.cli.risk import longest
from floe.cli.waiting import LEAVING, SWEEP, Flow, Frames, Wait

ETHER = 10**18
FLOW = Flow(
    now=10**9,
    filled=0,
    eligible=10**9 * ETHER,
    exit_rate=ETHER,
    buffer=100 * ETHER,
    vault=50 * ETHER,
    under_way=10 * ETHER,
    fulfil_paused_until=0,
    slots_per_epoch=32,
    frames=Frames(genesis_time=0, seconds_per_slot=12, slots=7_200, lag=900),
)
"""160 ETH are there or on their way."""


def test_longest__what_is_there__as_ever():
    for shares in (100, 150, 160):
        assert longest(FLOW, shares * ETHER) == FLOW.wait(shares * ETHER)


def test_longest__validators_leave__256_eth_an_epoch():
    alone = LEAVING + SWEEP
    assert longest(FLOW, 415 * ETHER) == Wait("validators", alone)
    assert longest(FLOW, 416 * ETHER) == Wait("validators", alone + 384)
    assert longest(FLOW, (160 + 256_000) * ETHER) == Wait("validators", alone + 384_000)


def test_longest__another_beacon_chain__no_guess():
    assert longest(replace(FLOW, slots_per_epoch=8), 10**6 * ETHER) == Wait("validators", None)
