"""The protocol's past out of its events alone: rates, assets, revenue, and what each holder put in and earned.

Pure: `replay` takes decoded events (`events.read`) and does no I/O, so a light node, a database or a file of logs is
enough, for any time in the past. The books are kept by the rules of the contracts and equal their views to the wei;
every report says what they must be, so events that are missing before it do not go unnoticed.

What a holder earns is told from what he put in. A position is all his shares: free, wrapped, and waiting in tickets.
What came in counts as *invested* (ETH deposited, or the value of shares that somebody handed over), what left as
*returned* (ETH paid, or the value of shares handed over), so his reward is returned + value now - invested. Values of
shares that change hands are at the entry rate. The *principal* is the invested part that has not left again: shares
that leave take their part of it along, rounded down. The fee recipient's shares cost nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from floe.report.events import Event

ZERO = "0x" + "00" * 20
RATE_UNIT = 10**18


class HistoryError(Exception):
    """Events that do not fit together: some are missing, or out of order."""


@dataclass(slots=True)
class Position:
    """What one holder has. Shares and wei."""

    shares: int = 0
    """Free, wrapped, and in tickets as far as not claimed."""
    invested: int = 0
    returned: int = 0
    principal: int = 0


@dataclass(slots=True)
class Ticket:
    """An open exit: the part [claimed, end) of the queue's line."""

    owner: str
    claimed: int
    end: int


@dataclass(slots=True)
class Revenue:
    """Sums since deployment, in wei."""

    gross: int = 0
    """Signed: what reports booked, gains less losses, and less losses that leavers took with them."""
    fee: int = 0
    """The fee recipient's part of it."""
    instant_fees: int = 0
    """What instant exits left to the other holders: it is theirs, and no part of `gross`."""

    @property
    def holders(self) -> int:
        """The holders' part of what the validators earned (signed)."""
        return self.gross - self.fee


@dataclass(slots=True)
class Books:
    """Everything the events say, up to the last one applied. Field names are those of the model and the contracts."""

    pool: str
    queue: str
    token: str
    shares: int = 0
    assets: int = 0
    outside: int = 0
    pending_loss: int = 0
    deficit: int = 0
    stream: tuple[int, int, int] = (0, 0, 0)
    """Locked wei, start, end."""
    period: int = 0
    reported_at: int = 0
    points: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """The exit curve: cumulative shares and wei."""
    tail: int = 0
    tickets: dict[int, Ticket] = field(default_factory=dict)
    free: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """floETH by holder."""
    wrapped: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Shares behind rfloETH by holder."""
    positions: defaultdict[str, Position] = field(default_factory=lambda: defaultdict(Position))
    revenue: Revenue = field(default_factory=Revenue)
    # Halves of a movement whose other half is a later event of the same transaction: (holder, shares, wei or ticket).
    _minted: list[tuple[str, int]] = field(default_factory=list)
    _requested: list[tuple[str, int]] = field(default_factory=list)
    _arrived: list[tuple[int, int]] = field(default_factory=list)
    _wrapping: list[tuple[str, int]] = field(default_factory=list)
    _unwrapping: list[tuple[str, int]] = field(default_factory=list)

    # --- prices, as in ledger.vy ---

    def locked(self, now: int) -> int:
        """Wei that the stream holds back."""
        locked, start, end = self.stream
        return locked * (end - now) // (end - start) if now < end else 0

    def entry_value(self, now: int) -> int:
        """Wei: what all shares are worth to who enters."""
        return self.assets - self.locked(now)

    def exit_value(self, now: int) -> int:
        """Wei: what all shares are worth to who leaves."""
        return max(self.entry_value(now) - self.pending_loss, 0)

    def entry_rate(self, now: int) -> int:
        """Wei per 1e18 shares."""
        return self.entry_value(now) * RATE_UNIT // self.shares

    def exit_rate(self, now: int) -> int:
        """Wei per 1e18 shares."""
        return self.exit_value(now) * RATE_UNIT // self.shares

    # --- exits, as in curve.vy ---

    def claimable(self, ticket: Ticket) -> int:
        """Wei that a claim of the ticket would pay."""
        end = min(ticket.end, self.points[-1][0])
        return self._paid(end) - self._paid(ticket.claimed) if end > ticket.claimed else 0

    def pending(self, ticket: Ticket) -> int:
        """Shares of the ticket that are not filled yet."""
        return ticket.end - min(max(self.points[-1][0], ticket.claimed), ticket.end)

    def _paid(self, position: int) -> int:
        i = bisect_left(self.points, (position, -1))
        shares, paid = self.points[i]
        if shares == position:
            return paid
        before, paid_before = self.points[i - 1]
        return paid_before + (position - before) * (paid - paid_before) // (shares - before)

    # --- holders ---

    def value(self, holder: str, now: int) -> int:
        """Wei: shares at the entry rate, waiting tickets at the exit rate, filled ones at what they will pay."""
        shares = self.free.get(holder, 0) + self.wrapped.get(holder, 0)
        return shares * self.entry_value(now) // self.shares + sum(
            self._ticket_value(ticket, now) for ticket in self.tickets.values() if ticket.owner == holder
        )

    def reward(self, holder: str, now: int) -> int:
        """Wei earned since the first share, whether still in the position or not (signed)."""
        position = self.positions.get(holder, Position())
        return position.returned + self.value(holder, now) - position.invested

    def _ticket_value(self, ticket: Ticket, now: int) -> int:
        return self.claimable(ticket) + self.pending(ticket) * self.exit_value(now) // self.shares

    def _give(self, holder: str, shares: int, principal: int) -> None:
        position = self.positions[holder]
        position.shares += shares
        position.invested += principal
        position.principal += principal

    def _take(self, holder: str, shares: int, proceeds: int) -> None:
        position = self.positions[holder]
        if shares > position.shares:
            raise HistoryError(f"{holder} has {position.shares} shares and gives {shares}: events are missing")
        if shares:
            position.principal -= position.principal * shares // position.shares
        position.shares -= shares
        position.returned += proceeds

    def _hand_over(self, sender: str, receiver: str, shares: int, value: int) -> None:
        if sender != receiver:
            self._take(sender, shares, value)
            self._give(receiver, shares, value)

    # --- events ---

    def apply(self, transaction: Iterable[Event]) -> None:
        """Book all events of one transaction, in order. Raises HistoryError."""
        for event in transaction:
            handler = getattr(self, f"_{event.contract}_{event.name}".lower(), None)
            if handler is not None:
                handler(event)
        # floETH that was sent to the token without `wrap` belongs to nobody.
        while self._arrived:
            self._give(self.token, *self._arrived.pop())
        if self._minted or self._requested or self._wrapping or self._unwrapping:
            raise HistoryError("a movement of shares has only one half: events are missing")

    def _pool_transfer(self, event: Event) -> None:
        sender, receiver, shares = (event.arguments[name] for name in ("sender", "receiver", "value"))
        value = shares * self.entry_value(event.time) // self.shares if self.shares else 0
        if sender != ZERO:
            self.free[sender] -= shares
        if receiver != ZERO:
            self.free[receiver] += shares
        if sender == ZERO:
            self._minted.append((receiver, shares))
        elif receiver == self.queue:
            if sum(part for _, part in self._requested) != shares:
                raise HistoryError("tickets and the shares moved for them differ: events are missing")
            for owner, part in self._requested:
                self._hand_over(sender, owner, part, part * value // shares)
            self._requested.clear()
        elif sender == self.token:
            self._hand_over(_other_half(self._unwrapping, shares), receiver, shares, value)
        elif receiver == self.token and self._wrapping:
            self._hand_over(sender, _other_half(self._wrapping, shares), shares, value)
        elif receiver == self.token:
            self._take(sender, shares, value)
            self._arrived.append((shares, value))
        elif receiver != ZERO:
            self._hand_over(sender, receiver, shares, value)

    def _pool_deposit(self, event: Event) -> None:
        assets, shares = event.arguments["assets"], event.arguments["shares"]
        owner = _other_half(self._minted, shares)
        self.reported_at = self.reported_at or event.time  # the seed starts the clock
        self.shares += shares
        self.assets += assets
        if owner == self.token:
            self._arrived.append((shares, assets))
        else:
            self._give(owner, shares, assets)

    def _pool_withdraw(self, event: Event) -> None:
        shares, assets = event.arguments["shares"], event.arguments["assets"]
        fee = shares * self.exit_value(event.time) // self.shares - assets
        self._take(event.arguments["owner"], shares, assets)
        self._burn(shares, assets)
        self.revenue.instant_fees += fee
        self._stream_more(fee, event.time, self.period)

    def _pool_fulfilled(self, event: Event) -> None:
        shares, assets, settled = (event.arguments[name] for name in ("shares", "assets", "settled_loss"))
        filled, paid = self.points[-1]
        self.points.append((filled + shares, paid + assets))
        self._burn(shares, assets + settled)
        self.outside -= settled
        self.pending_loss -= settled
        self.revenue.gross -= settled

    def _burn(self, shares: int, assets: int) -> None:
        self.deficit -= self.deficit * shares // self.shares
        self.shares -= shares
        self.assets -= assets

    def _stream_more(self, amount: int, now: int, span: int) -> None:
        """Lock `amount` wei more, as in stream.vy."""
        if amount:
            total, rest = self.locked(now) + amount, max(self.stream[2] - now, 0)
            self.stream = (total, now, now + rest + amount * max(span - rest, 0) // total)

    def _pool_declaredstale(self, event: Event) -> None:
        self.outside -= event.arguments["swept"]

    def _pool_senttovalidators(self, event: Event) -> None:
        self.outside += event.arguments["amount"]

    def _pool_pendinglossraised(self, event: Event) -> None:
        self.pending_loss += event.arguments["amount"]

    def _pool_parametersset(self, event: Event) -> None:
        self.period = event.arguments["parameters"]["period"]

    def _pool_reported(self, event: Event) -> None:
        said, now = event.arguments, event.time
        gain, fee = said["gain"], said["fee"]
        if gain < 0:
            self.deficit -= gain
            self.stream = (self.locked(now) - min(self.locked(now), -gain), now, max(self.stream[2], now))
        else:
            self.deficit -= min(self.deficit, gain)
            self._stream_more(gain - fee, now, max(self.period, now - self.reported_at))
        self.reported_at = now
        beside = said["tips"] + said["gifts"] + said["surplus"]
        self.shares += said["fee_shares"]
        self.assets += gain
        self.outside += gain - beside - said["swept"]
        self.pending_loss = said["pending_loss"]
        if (self.shares, self.assets, self.outside) != (said["shares"], said["assets"], said["outside"]):
            raise HistoryError(f"the report in block {event.block} starts from other books: events are missing")
        self.revenue.gross += gain
        self.revenue.fee += fee
        if said["fee_shares"]:
            self._give(_other_half(self._minted, said["fee_shares"]), said["fee_shares"], 0)

    def _queue_requested(self, event: Event) -> None:
        owner, shares = event.arguments["owner"], event.arguments["shares"]
        self.tickets[event.arguments["ticket"]] = Ticket(owner, self.tail, self.tail + shares)
        self.tail += shares
        self._requested.append((owner, shares))

    def _queue_claimed(self, event: Event) -> None:
        ticket = self.tickets[event.arguments["ticket"]]
        ticket.claimed += event.arguments["shares"]
        self._take(ticket.owner, event.arguments["shares"], event.arguments["ether_"])
        if ticket.claimed == ticket.end:
            del self.tickets[event.arguments["ticket"]]

    def _queue_transfer(self, event: Event) -> None:
        sender, receiver = event.arguments["sender"], event.arguments["receiver"]
        if ZERO in (sender, receiver):
            return  # `Requested` and `Claimed` say more
        ticket = self.tickets[event.arguments["token_id"]]
        self._hand_over(sender, receiver, ticket.end - ticket.claimed, self._ticket_value(ticket, event.time))
        ticket.owner = receiver

    def _token_transfershares(self, event: Event) -> None:
        sender, receiver, shares = (event.arguments[name] for name in ("sender", "receiver", "shares"))
        if sender != ZERO:
            self.wrapped[sender] -= shares
        if receiver != ZERO:
            self.wrapped[receiver] += shares
        if sender == ZERO and self._arrived:
            _, principal = self._arrived.pop()
            self._give(receiver, shares, principal)
        elif sender == ZERO:
            self._wrapping.append((receiver, shares))
        elif receiver == ZERO:
            self._unwrapping.append((sender, shares))
        else:
            self._hand_over(sender, receiver, shares, shares * self.entry_value(event.time) // self.shares)


def _other_half(waiting: list[tuple[str, int]], shares: int) -> str:
    """Return whose movement of `shares` the last event began."""
    if not waiting or waiting[-1][1] != shares:
        raise HistoryError(f"nothing explains a movement of {shares} shares: events are missing")
    return waiting.pop()[0]


def replay(events: Iterable[Event], pool: str, queue: str, token: str) -> Books:
    """Return the books after all events, which must be complete since deployment and in order."""
    books = Books(pool, queue, token)
    for _, transaction in groupby(events, key=lambda event: event.transaction):
        books.apply(transaction)
    return books


@dataclass(frozen=True, slots=True)
class Moment:
    """The protocol at one time: rates in wei per 1e18 shares, the rest in wei, revenue since deployment."""

    time: int
    entry_rate: int
    exit_rate: int
    assets: int
    buffer: int
    waiting: int
    """What the shares in the queue are worth at the exit rate."""
    gross: int
    fee: int
    holders: int
    holdings: dict[str, tuple[int, int]]
    """Principal and reward by holder."""


def moments(events: Iterable[Event], times: Iterable[int], pool: str, queue: str, token: str) -> Iterator[Moment]:
    """Yield the protocol as it was at each of the times (rising, the first after deployment)."""
    books = Books(pool, queue, token)
    transactions = [list(group) for _, group in groupby(events, key=lambda event: event.transaction)]
    done = 0
    for now in times:
        while done < len(transactions) and transactions[done][0].time <= now:
            books.apply(transactions[done])
            done += 1
        holders = list(books.positions)
        yield Moment(
            time=now,
            entry_rate=books.entry_rate(now),
            exit_rate=books.exit_rate(now),
            assets=books.assets,
            buffer=books.assets - books.outside,
            waiting=(books.tail - books.points[-1][0]) * books.exit_value(now) // books.shares,
            gross=books.revenue.gross,
            fee=books.revenue.fee,
            holders=books.revenue.holders,
            holdings={holder: (books.positions[holder].principal, books.reward(holder, now)) for holder in holders},
        )
