"""How gas grows: of claims with the points on the curve, of a fulfilment with its tickets, of staking with validators.

All points come from real fulfilments and all tickets from real requests. A claim with a hint and a fulfilment must
cost the same whatever came before them; a claim without a hint may only pay for a binary search. What is done for
some validators must cost the same however many validators and operators there are besides; a stake in the gauge and a
claim of its reward whoever else has staked, and a sale to the reserve however many of its tickets are open.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import median_low

from bench.liquidity import Market
from bench.node import Node
from bench.operations import SAMPLES, Samples, each, fulfil_a_day
from bench.protocol import ETHER, HOUR, Protocol
from bench.validators import MANY, Validators

STEPS = (1, 10, 100, 1_000, 10_000)
"""Numbers of points, and of tickets."""

CROWDS = ((1, 1), (50, 40))
"""Operators, and active validators of each, beside those that are measured."""

STAKERS = (1, 10, 100, 1_000)
"""Numbers of accounts that have staked in the gauge."""

OPEN_TICKETS = (1, 8, 48)
"""Numbers of tickets that the reserve has in the queue; with more it buys no ticket."""

SPREAD = 0.01
"""Most that flat gas may differ between any two of all samples, as a part of the least. Covers zeros in calldata."""

HALVING = 2_600
"""Most gas of one step of the binary search: a cold storage read (2,100) and its arithmetic."""

HINT = "claim with hint"
NO_HINT = "claim without hint"
HINT_ACROSS = "claim with hint of what several fulfilments paid"
NO_HINT_ACROSS = "claim without hint of what several fulfilments paid"
FULFIL = "fulfil"
PREDEPOSIT = "predeposit each of 50"
PROVE = "prove one"
TOP_UP = "top up each of 50"
GAUGE_STAKE = "gauge stake"
GAUGE_CLAIM = "gauge claim"
RESERVE_SALE = "reserve sale"

CLAIMS = 100  # samples: enough that the median search has the same depth each time
PART = (1.05, 1.5)  # least and most ETH of a fulfilment that does not empty the queue
BLOCK = 125  # fulfilments in a block
BLOCKS_A_DAY = 8

Growth = dict[str, list[Samples]]
"""Gas of the samples at each step, by what was measured."""


@dataclass(frozen=True)
class Flatness:
    """Gas against points on the curve, tickets in one fulfilment, validators elsewhere, stakers, and open tickets."""

    steps: list[int]
    by_points: Growth
    by_tickets: Growth
    validators: list[int]
    by_validators: Growth
    stakers: list[int]
    by_stakers: Growth
    open_tickets: list[int]
    by_open_tickets: Growth

    def problems(self) -> list[str]:
        """Say what is not as flat as promised: nothing when all is well."""
        found = []
        flat = [(self.by_points, HINT), (self.by_points, FULFIL), (self.by_tickets, FULFIL)]
        for whole in (self.by_validators, self.by_stakers, self.by_open_tickets):
            flat += [(whole, key) for key in whole]
        for growth, key in flat:
            gas = [one for samples in growth[key] for one in samples]
            if max(gas) - min(gas) > SPREAD * min(gas):
                found.append(f"{key}: {min(gas):,} to {max(gas):,} gas, more than {SPREAD:.0%} apart")
        one_point = max(self.by_points[NO_HINT][0])
        for points, samples in zip(self.steps, self.by_points[NO_HINT], strict=True):
            most = one_point + HALVING * (points - 1).bit_length()
            if max(samples) > most:
                found.append(f"{NO_HINT}: {max(samples):,} gas with {points:,} points, more than {most:,}")
        return found

    def table(self) -> str:
        """Return the least, median and greatest gas of every step as CSV."""
        lines = ["operation,against,count,least,median,most"]
        for growth, against, steps in (
            (self.by_points, "points", self.steps),
            (self.by_tickets, "tickets", self.steps),
            (self.by_validators, "validators", self.validators),
            (self.by_stakers, "stakers", self.stakers),
            (self.by_open_tickets, "open tickets", self.open_tickets),
        ):
            for operation, series in growth.items():
                for step, samples in zip(steps, series, strict=True):
                    if samples:
                        numbers = (step, min(samples), median_low(samples), max(samples))
                        lines.append(",".join([operation, against, *map(str, numbers)]))
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Ticket:
    number: int
    segment: int
    """Of the curve, in which the ticket starts: the hint."""


def measure(
    node: Node,
    seed: int,
    steps: Sequence[int] = STEPS,
    crowds: Sequence[tuple[int, int]] = CROWDS,
    stakers: Sequence[int] = STAKERS,
    open_tickets: Sequence[int] = OPEN_TICKETS,
) -> Flatness:
    """Measure on a protocol of its own, which starts with a single point. Steps must begin with 1 and rise."""
    protocol = Protocol(node, seed, days=1)
    snapshot = node.snapshot()
    by_tickets = {FULFIL: [[fulfil_a_day(protocol, tickets)] for tickets in steps]}
    node.restore(snapshot)
    by_validators = _by_validators(protocol, crowds)
    chance = protocol.random.getstate()
    by_stakers, by_open_tickets = _by_stakers(protocol, stakers), _by_open_tickets(protocol, open_tickets)
    protocol.random.setstate(chance)  # the claims stay those that they were
    return Flatness(
        by_validators=by_validators,
        by_stakers=by_stakers,
        by_open_tickets=by_open_tickets,
        by_points=_by_points(protocol, steps),
        by_tickets=by_tickets,
        steps=list(steps),
        validators=[operators * active for operators, active in crowds],
        stakers=list(stakers),
        open_tickets=list(open_tickets),
    )


def _by_validators(p: Protocol, crowds: Sequence[tuple[int, int]]) -> Growth:
    growth: Growth = {PREDEPOSIT: [], PROVE: [], TOP_UP: []}
    for operators, active in crowds:
        snapshot = p.node.snapshot()
        ours = Validators(p, operators, active)
        growth[PREDEPOSIT].append(each([ours.predeposit(MANY)], MANY))
        new = ours.state.validators[-MANY:]
        growth[PROVE].append(ours.prove_each(new))
        growth[TOP_UP].append(each([ours.top_up(new)], MANY))
        p.node.restore(snapshot)
    return growth


def _by_stakers(p: Protocol, counts: Sequence[int]) -> Growth:
    growth: Growth = {GAUGE_STAKE: [], GAUGE_CLAIM: []}
    for count in counts:
        snapshot = p.node.snapshot()
        market = Market(p, stakers=count)
        turns = [market.providers[place % min(count, len(market.providers))] for place in range(SAMPLES)]
        growth[GAUGE_STAKE].append(market.alone([market.stake(one) for one in turns]))
        growth[GAUGE_CLAIM].append(market.alone([market.claim(one) for one in turns]))
        p.node.restore(snapshot)
    return growth


def _by_open_tickets(p: Protocol, counts: Sequence[int]) -> Growth:
    growth: Growth = {RESERVE_SALE: []}
    for count in counts:
        snapshot = p.node.snapshot()
        market = Market(p, tickets=count)
        growth[RESERVE_SALE].append(market.alone([market.sell_to_reserve(one) for one in p.some(SAMPLES)]))
        p.node.restore(snapshot)
    return growth


def _by_points(p: Protocol, steps: Sequence[int]) -> Growth:
    growth: Growth = {HINT: [], NO_HINT: [], HINT_ACROSS: [], NO_HINT_ACROSS: [], FULFIL: []}
    _fill_line(p, steps[-1])
    for step in steps:
        growth[FULFIL].append(_fulfil_in_parts(p, step - p.read(p.queue, "points()")[0])[-SAMPLES:])
        inside, across = _paid_tickets(p)
        for tickets, hint, no_hint in ((inside, HINT, NO_HINT), (across, HINT_ACROSS, NO_HINT_ACROSS)):
            chosen = _spread_out(p, tickets)
            growth[hint].append(_claim(p, chosen, with_hint=True))
            growth[no_hint].append(_claim(p, chosen, with_hint=False))
    return growth


def _fill_line(p: Protocol, points: int) -> None:
    """Request enough for so many points, in tickets of all sizes, several of every holder."""
    needed = p.tail() + round(points * PART[1] * ETHER)
    while p.tail() < needed:
        p.gas([p.request(holder, [p.amount(0.02, 10) for _ in range(16)]) for holder in p.holders])


def _fulfil_in_parts(p: Protocol, count: int) -> Samples:
    """Add `count` points: fulfilments that leave the eligible queue longer than they move."""
    gas: Samples = []
    for block, done in enumerate(range(0, count, BLOCK)):
        if block % BLOCKS_A_DAY == 0:
            p.day(pays=False)
        parts = [round(p.random.uniform(*PART) * ETHER) for _ in range(min(BLOCK, count - done))]
        gas += p.gas([p.pool.transaction(p.outsider, "fulfil(uint256)", part) for part in parts], 3 * HOUR)
    return gas


def _paid_tickets(p: Protocol) -> tuple[list[_Ticket], list[_Ticket]]:
    """Open tickets that are paid in full: by one fulfilment, and by several."""
    points = p.read(p.queue, "points()")[0]
    curve = [shares for shares, _ in p.read_many(p.queue, "point(uint256)", range(points + 1))]
    numbers = range(1, p.read(p.queue, "tickets()")[0] + 1)
    intervals = p.read_many(p.queue, "interval(uint256)", numbers)
    worth = p.read_many(p.queue, "claimable(uint256)", numbers)
    inside: list[_Ticket] = []
    across: list[_Ticket] = []
    for number, (start, end), (wei,) in zip(numbers, intervals, worth, strict=True):
        if wei > 0 and end <= curve[-1]:
            first, last = bisect_right(curve, start), bisect_left(curve, end)
            (inside if first == last else across).append(_Ticket(number, first))
    return inside, across


def _spread_out(p: Protocol, tickets: Sequence[_Ticket]) -> list[_Ticket]:
    """Up to CLAIMS tickets, from as many segments as there are."""
    seen: Counter[int] = Counter()
    turns = []
    for ticket in p.random.sample(tickets, len(tickets)):
        turns.append((seen[ticket.segment], ticket))
        seen[ticket.segment] += 1
    return [ticket for _, ticket in sorted(turns, key=itemgetter(0))[:CLAIMS]]


def _claim(p: Protocol, tickets: Sequence[_Ticket], *, with_hint: bool) -> Samples:
    """Gas of the owners' claims, which are undone afterwards."""
    snapshot = p.node.snapshot()
    sent = []
    for ticket in tickets:
        owner = f"0x{p.read(p.queue, 'ownerOf(uint256)', ticket.number)[0]:040x}"
        if with_hint:
            sent.append(p.queue.transaction(owner, "claim(uint256,uint256)", ticket.number, ticket.segment))
        else:
            sent.append(p.queue.transaction(owner, "claim(uint256)", ticket.number))
    gas = p.gas(sent)
    p.node.restore(snapshot)
    return gas
