"""The end of the demo: what everybody put in, took out and still has, and whether every wei is accounted for.

Three sources that do not know of each other are compared: the chain's own ETH balances, the contracts' views, and the
history that `floe.report.history` makes out of events. All comparisons are of integers, and exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ape
from rich.table import Table

from floe.demo.story import Played
from floe.report import events, history, tables
from floe.report.history import Books

ASSETS = "assets = deposits - paid to leavers + what was earned"
BUFFER = "the pool's ETH = its buffer"
QUEUE = "the queue's ETH = paid in - claimed"
ALL_ETHER = "all ETH there is = deposits + rewards + tips + gifts - penalties - paid out"
MAIN_CHECKS = (ASSETS, BUFFER, QUEUE, ALL_ETHER)
"""Those worth showing also when they hold."""


@dataclass(frozen=True)
class Row:
    """One account of the table, in wei: ETH in and out, and the value of shares from others less to others (signed)."""

    name: str
    paid_in: int
    paid_out: int
    moved: int
    holding: int
    reward: int
    invested: int


@dataclass(frozen=True)
class Check:
    """One equation: `left` and `right` must be the same number."""

    text: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether it is true."""
        return self.left == self.right


@dataclass(frozen=True)
class Closing:
    """The end of the demo."""

    rows: list[Row]
    checks: list[Check]
    books: Books
    log: list[events.Event]


def close(played: Played) -> Closing:
    """Read everything at the last block and compare. Nothing is sent."""
    stage = played.stage
    contracts = {"pool": stage.pool, "queue": stage.queue, "token": stage.token}
    log = events.read(contracts, played.first_block)
    books = history.replay(log, *(contract.address for contract in contracts.values()))
    now = ape.networks.active_provider.get_block("latest").timestamp
    owners = {account.address: stage.name(number) for number, account in enumerate(stage.stakers, 1)}
    owners[stage.pool.fee_recipient()] = "fee recipient"
    rows = [_row(name, holder, log, books, now) for holder, name in owners.items()]
    checks = [
        *_accounts(played, log, rows, owners),
        *_contracts(played, log, books, now),
        *_holders(played, books, [*owners, stage.pool.address]),
        *_all_ether(played, log),
    ]
    return Closing(rows, checks, books, log)


def paid_by(log: list[events.Event], sender: str) -> int:
    """Wei that an account deposited, through the rebasing token included: that one logs for whom, in the same call."""
    wrapped = {
        item.transaction for item in _named(log, "token", "TransferShares") if item.arguments["receiver"] == sender
    }
    return sum(
        item.arguments["assets"]
        for item in _named(log, "pool", "Deposit")
        if item.arguments["sender"] == sender or item.transaction in wrapped
    )


def paid_to(log: list[events.Event], receiver: str) -> int:
    """Wei that an account got, from claims and from instant exits."""
    return _sum(log, "queue", "Claimed", "ether_", receiver=receiver) + _sum(
        log, "pool", "Withdraw", "assets", receiver=receiver
    )


def _row(name: str, holder: str, log: list[events.Event], books: Books, now: int) -> Row:
    position = books.positions[holder]
    paid_in, paid_out = paid_by(log, holder), paid_to(log, holder)
    return Row(
        name=name,
        paid_in=paid_in,
        paid_out=paid_out,
        moved=(position.invested - paid_in) - (position.returned - paid_out),
        holding=books.value(holder, now),
        reward=books.reward(holder, now),
        invested=position.invested,
    )


def _accounts(played: Played, log: list[events.Event], rows: list[Row], owners: dict[str, str]) -> list[Check]:
    """Compare every wallet's ETH with what it had, less gas and what went in, plus what came out."""
    stage = played.stage
    checks = []
    for account in stage.stakers:
        before, gas = played.before[account.address], stage.gas[account.address]
        paid_in, paid_out = paid_by(log, account.address), paid_to(log, account.address)
        text = f"{owners[account.address]}: ETH before - in + out - gas = ETH now"
        checks.append(Check(text, before - paid_in + paid_out - gas, account.balance))
        checks.append(Check(f"{owners[account.address]}: ETH sent = in", stage.spent[account.address], paid_in))
    checks.append(Check("all shares that changed hands: given = received", sum(row.moved for row in rows), 0))
    return checks


def _contracts(played: Played, log: list[events.Event], books: Books, now: int) -> list[Check]:
    """Compare the contracts' views and ETH with the books made from events."""
    stage = played.stage
    state = stage.lens.protocol()
    eth = stage.chain.get_balance
    deposits = _sum(log, "pool", "Deposit", "assets")
    leavers = _sum(log, "pool", "Withdraw", "assets") + _sum(log, "pool", "Fulfilled", "assets")
    claimed = _sum(log, "queue", "Claimed", "ether_")
    still_open = stage.lens.tickets(stage.open_tickets())
    vault, execution_vault = (eth(one.address) for one in stage.vaults)
    credited = stage.beacon.withdrawn + stage.gifts - sum(stage.swept())
    tips = stage.tips - _sum(log, "pool", "Reported", "tips")
    claimable, pending = sum(t.claimable for t in still_open), sum(t.pending for t in still_open)
    queue = eth(stage.queue.address)
    wrapped, behind_it = stage.token.total_shares(), stage.pool.balanceOf(stage.token)
    return [
        Check(ASSETS, deposits - leavers + books.revenue.gross, state.assets),
        Check(BUFFER, eth(stage.pool.address), state.buffer),
        Check(QUEUE, queue, state.line.paid_in - claimed),
        Check("queue's ETH = claimable of all open tickets", queue, claimable),
        Check("withdrawal vault's ETH = withdrawn + gifts - swept", vault, credited),
        Check("execution vault's ETH = tips - swept", execution_vault, tips),
        Check("ETH at validators = their balances", eth(stage.beacon.address), stage.beacon.total()),
        Check("waiting shares = pending of all open tickets", state.waiting, pending),
        Check("wrapped shares = shares that the token holds", wrapped, behind_it),
        Check("history: shares", books.shares, state.shares),
        Check("history: assets", books.assets, state.assets),
        Check("history: outside", books.outside, state.outside),
        Check("history: locked", books.locked(now), state.locked),
        Check("history: pending loss", books.pending_loss, state.pending_loss),
        Check("history: deficit", books.deficit, state.deficit),
        Check("history: entry rate", books.entry_rate(now), state.entry_rate),
        Check("history: exit rate", books.exit_rate(now), state.exit_rate),
    ]


def _holders(played: Played, books: Books, holders: list[str]) -> list[Check]:
    """Compare what each holder has by the contracts and by the events."""
    stage = played.stage
    checks = []
    for holder in holders:
        tickets = [ticket for ticket in books.tickets.values() if ticket.owner == holder]
        free, wrapped = stage.pool.balanceOf(holder), stage.token.shares_of(holder)
        waiting = sum(ticket.end - ticket.claimed for ticket in tickets)
        checks += [
            Check(f"history: shares of {holder}", books.free[holder], free),
            Check(f"history: wrapped shares of {holder}", books.wrapped[holder], wrapped),
            Check(f"history: position of {holder}", books.positions[holder].shares, free + wrapped + waiting),
            Check(f"history: tickets of {holder}", len(tickets), stage.queue.balanceOf(holder)),
        ]
    for ticket in stage.lens.tickets(stage.open_tickets()):
        known = books.tickets[ticket.number]
        checks += [
            Check(f"history: owner of ticket {ticket.number}", int(known.owner, 16), int(ticket.owner, 16)),
            Check(f"history: claimable of ticket {ticket.number}", books.claimable(known), ticket.claimable),
            Check(f"history: pending of ticket {ticket.number}", books.pending(known), ticket.pending),
        ]
    held = sum(books.positions[holder].shares for holder in holders)
    filled = sum(t.end - t.claimed - books.pending(t) for t in books.tickets.values())
    checks.append(Check("shares of all holders = supply", held - filled, stage.pool.totalSupply()))
    return checks


def _all_ether(played: Played, log: list[events.Event]) -> list[Check]:
    """Find all ETH that ever came in: with those who left, or in one of the protocol's places."""
    stage = played.stage
    eth = stage.chain.get_balance
    places: list[Any] = [stage.pool, stage.queue, stage.token, *stage.vaults, stage.beacon, stage.registry]
    came = _sum(log, "pool", "Deposit", "assets") + stage.tips + stage.gifts + stage.beacon.earned - stage.beacon.lost
    left = _sum(log, "pool", "Withdraw", "assets") + _sum(log, "queue", "Claimed", "ether_")
    stay = sum(eth(place.address) for place in places)
    return [Check(ALL_ETHER, came - left, stay)]


def _named(log: list[events.Event], contract: str, name: str) -> list[events.Event]:
    return [item for item in log if (item.contract, item.name) == (contract, name)]


def _sum(log: list[events.Event], contract: str, name: str, amount: str, **wanted: str) -> int:
    return sum(
        item.arguments[amount]
        for item in _named(log, contract, name)
        if all(item.arguments[key] == value for key, value in wanted.items())
    )


# --- for the terminal ---


def people(closing: Closing) -> Table:
    """Return who put in, took out and has what, and the sums."""
    lines = []
    for row in closing.rows:
        amounts = (row.paid_in, row.paid_out, row.moved, row.holding, row.reward)
        lines.append([row.name, *map(tables.eth, amounts), tables.percent(row.reward, row.invested)])
    total = [
        sum(getattr(row, name) for row in closing.rows)
        for name in ("paid_in", "paid_out", "moved", "holding", "reward")
    ]
    lines.append(["all", *map(tables.eth, total), tables.percent(total[-1], total[0])])
    title = "In ETH: earned = out + still holding - in - from others"
    return tables.columns(
        title, ("", "in", "out", "from others", "still holding", "earned", "yield"), lines, total=True
    )


def revenue(closing: Closing) -> Table:
    """Return what the validators earned, and who got it."""
    sums = closing.books.revenue
    rows = [
        ["validators, tips and gifts, less the slashing", tables.eth(sums.gross)],
        ["of it to the fee recipient", tables.eth(sums.fee)],
        ["of it to the holders", tables.eth(sums.holders)],
        ["and to the holders, from those who left at once", tables.eth(sums.instant_fees)],
    ]
    return tables.columns("Revenue", ("", "ETH"), rows)
