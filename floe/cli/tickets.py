"""The tickets of an owner: where they stand, what they brought, how long they still wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.bar import Bar
from rich.console import Console, Group

from floe.cli.amounts import show
from floe.cli.output import BAR, bar, columns, print_json
from floe.cli.session import Floe
from floe.cli.waiting import Wait, explain, flow
from floe.report import tables

PAGE = 256
"""Tickets that the Lens takes in one call."""


@dataclass(frozen=True)
class Ticket:
    """An open ticket. Shares have 18 decimals."""

    number: int
    owner: str
    shares: int
    """Requested."""
    waiting: int
    """Shares that are not paid yet."""
    ahead: int
    """Shares before it that are not paid yet."""
    claimable: int
    """Wei that a claim would pay now."""
    claimed: int
    """Wei that earlier claims paid."""
    worth: int
    """Wei that the waiting shares are worth at the exit rate now."""
    hint: int
    """For a claim."""
    eligible: bool
    """Whether all of it may be paid."""
    wait: Wait

    @property
    def paid(self) -> int:
        """Shares that are paid."""
        return self.shares - self.waiting

    @property
    def state(self) -> str:
        """One of "paid", "partly paid", "eligible", "requested"."""
        if self.waiting == 0:
            return "paid"
        if self.paid:
            return "partly paid"
        return "eligible" if self.eligible else "requested"


def run(floe: Floe, owner: str, as_json: bool, console: Console) -> None:
    """Print the open tickets of an owner. `docs/cli.md` names the fields of the JSON."""
    found, lines = of_owner(floe, owner)
    if as_json:
        print_json({"owner": owner, "block": floe.block, "time": floe.now, "tickets": [_fields(one) for one in found]})
        return
    if not found:
        console.print(f"{owner} has no open ticket", soft_wrap=True)
        return
    console.print(_table(owner, found))
    for line in lines:
        console.print(line, soft_wrap=True)


def of_owner(floe: Floe, owner: str) -> tuple[list[Ticket], list[str]]:
    """Return the open tickets of an owner, oldest first, and lines that explain what they wait for."""
    received = floe.logs(floe.queue.Transfer, receiver=owner)
    numbers = sorted({int(log.token_id) for log in received})
    return by_number(floe, numbers, owner)


def by_number(floe: Floe, numbers: Sequence[int], owner: str | None = None) -> tuple[list[Ticket], list[str]]:
    """Return those of some tickets that are open (and, with `owner`, still his), and lines that explain their waits."""
    raw: list[Any] = []
    for first in range(0, len(numbers), PAGE):
        raw += floe.read(floe.lens.tickets, list(numbers[first : first + PAGE]))
    raw = [one for one in raw if int(one.owner, 16) and owner in (None, one.owner)]
    if not raw:
        return [], []
    now = floe.read(floe.lens.protocol)
    there = flow(floe, now)
    late = [int(one.number) for one in raw if one.end > there.filled + there.eligible]
    requested, claimed = _request_times(floe, late), _claimed(floe, [int(one.number) for one in raw])
    found = [
        Ticket(
            number=int(one.number),
            owner=str(one.owner),
            shares=int(one.end - one.start),
            waiting=int(one.pending),
            ahead=int(one.ahead),
            claimable=int(one.claimable),
            claimed=claimed.get(int(one.number), 0),
            worth=int(one.value),
            hint=int(one.hint),
            eligible=one.end <= there.filled + there.eligible,
            wait=there.wait(int(one.end), requested.get(int(one.number))),
        )
        for one in raw
    ]
    return found, explain({one.wait.kind for one in found}, there)


def _request_times(floe: Floe, numbers: Iterable[int]) -> dict[int, int]:
    """Return when some tickets were requested, in seconds since the epoch."""
    if not (wanted := set(numbers)):
        return {}
    blocks = {int(log.ticket): int(log.block_number) for log in floe.logs(floe.queue.Requested, ticket=sorted(wanted))}
    times = {block: int(floe.provider.web3.eth.get_block(block)["timestamp"]) for block in set(blocks.values())}
    return {ticket: times[block] for ticket, block in blocks.items()}


def _claimed(floe: Floe, numbers: Sequence[int]) -> dict[int, int]:
    """Return the wei that some tickets paid in earlier claims."""
    sums: dict[int, int] = {}
    for log in floe.logs(floe.queue.Claimed, ticket=list(numbers)):
        sums[int(log.ticket)] = sums.get(int(log.ticket), 0) + int(log.ether_)
    return sums


def _table(owner: str, found: Sequence[Ticket]) -> Group:
    rows: list[list[str | Bar]] = [
        [
            str(one.number),
            one.state,
            tables.eth(one.shares),
            f"{100 * one.paid // one.shares} %",
            bar(one.paid, one.shares),
            tables.eth(one.claimed),
            tables.eth(one.claimable),
            tables.eth(one.worth),
            tables.eth(one.ahead),
            one.wait.short,
        ]
        for one in found
    ]
    names = ("ticket", "state", "floETH", "paid", BAR, "ETH claimed", "to claim", "waiting, worth", "ahead", "wait")
    total = sum(one.claimable for one in found)
    return columns(f"Open tickets of {owner}: {show(total, 'ETH')} to claim", names, rows)


def _fields(one: Ticket) -> dict[str, Any]:
    return {
        "ticket": one.number,
        "owner": one.owner,
        "state": one.state,
        "requested_shares": one.shares,
        "paid_shares": one.paid,
        "waiting_shares": one.waiting,
        "ahead_shares": one.ahead,
        "claimed_wei": one.claimed,
        "claimable_wei": one.claimable,
        "waiting_worth_wei": one.worth,
        "hint": one.hint,
        "wait": wait_fields(one.wait),
    }


def wait_fields(wait: Wait) -> dict[str, Any]:
    """Return a wait as it stands in JSON."""
    return {"for": wait.kind, "seconds": wait.seconds}
