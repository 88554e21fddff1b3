"""The withdrawal queue: tickets on a line of shares, paid along a curve."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from floe.model.basics import LOCKED, OVERFLOW, U95, U96, UNLIMITED, ZERO, Address, Chain, Revert

if TYPE_CHECKING:
    from floe.model.pool import Pool

PARTLY_CLAIMED = 1 << 255
"""Flag in a ticket's word."""

MAX_BATCH = 64
"""Most tickets in one call."""

SEND_GAS = 100_000
"""Most gas that a receiver of ETH may use unless he asked for it himself."""


@dataclass(slots=True)
class Queue:
    """State and rules of the queue. Ticket numbers and points count from 1.

    Ticket i is the interval [ends[i - 1], ends[i]) on the line of all shares ever queued. Point i says that the first
    filled_shares[i] of them were paid filled_ether[i] wei. Between points the curve F is straight, floored at every
    evaluation; neighbours share an end, so all claims together are exactly what was paid in.
    """

    chain: Chain
    address: Address
    pool: Pool

    owners: list[Address] = field(default_factory=lambda: [ZERO])
    """Owner by ticket, ZERO once claimed in full. Number 0 is no ticket."""
    ends: list[int] = field(default_factory=lambda: [0])
    """End by ticket, kept for ever."""
    progress: dict[int, int] = field(default_factory=dict)
    """Position reached, for open tickets that were claimed in part."""
    filled_shares: list[int] = field(default_factory=lambda: [0])
    filled_ether: list[int] = field(default_factory=lambda: [0])
    approvals: dict[int, Address] = field(default_factory=dict)
    """Who else may move or claim a ticket."""
    operators: set[tuple[Address, Address]] = field(default_factory=set)
    """(owner, operator): who may act for all tickets of an owner."""
    held: dict[Address, int] = field(default_factory=dict)
    """Open tickets by owner."""
    entered: bool = False
    """The queue waits for a call of its own to return: nobody may enter."""

    # --- the line and the curve ---

    def tail(self) -> int:
        """Shares ever queued."""
        return self.ends[-1]

    def filled(self) -> int:
        """Shares ever paid for."""
        return self.filled_shares[-1]

    def value_until(self, position: int) -> int:
        """F: wei paid for the first `position` shares of the line (rounded down); position <= filled()."""
        i = bisect_left(self.filled_shares, position)
        if self.filled_shares[i] == position:
            return self.filled_ether[i]
        shares, ether = self.filled_shares[i - 1], self.filled_ether[i - 1]
        more_shares, more_ether = self.filled_shares[i] - shares, self.filled_ether[i] - ether
        return ether + (position - shares) * more_ether // more_shares

    def segment_of(self, position: int) -> int:
        """Index i with filled_shares[i - 1] <= position < filled_shares[i]: the point that pays that share."""
        return bisect_right(self.filled_shares, position)

    # --- views ---

    def claimed_until(self, ticket: int) -> int:
        """Position up to which the ticket has been claimed; its start before the first claim."""
        return self.progress.get(ticket, self.ends[ticket - 1])

    def exists(self, ticket: int) -> bool:
        """Whether the ticket is open."""
        return 0 < ticket < len(self.owners) and self.owners[ticket] != ZERO

    def claimable(self, ticket: int) -> int:
        """Wei that a claim would pay now."""
        if not self.exists(ticket):
            return 0
        start, end = self._payable(ticket)
        return self.value_until(end) - self.value_until(start) if start < end else 0

    def pending(self, ticket: int) -> int:
        """Shares of the ticket that are not filled yet."""
        if not self.exists(ticket):
            return 0
        return self.ends[ticket] - min(max(self.filled(), self.ends[ticket - 1]), self.ends[ticket])

    def hint(self, ticket: int) -> int:
        """Hint for a claim now, 0 when there is nothing to claim."""
        if not self.exists(ticket) or self.claimed_until(ticket) >= self.filled():
            return 0
        return self.segment_of(self.claimed_until(ticket))

    # --- requests ---

    def request(self, sender: Address, shares: int, receiver: Address) -> int:
        """Queue `shares` of the caller; `receiver` owns the ticket, whose number is returned."""
        self._enter()
        return self._request(sender, [shares], receiver)

    def request_many(self, sender: Address, shares: Sequence[int], receiver: Address) -> int:
        """Queue several tickets in a row; returns the number of the first."""
        self._enter()
        if not shares:
            raise Revert("request: empty list")
        if len(shares) > MAX_BATCH:
            raise Revert(OVERFLOW)
        return self._request(sender, shares, receiver)

    def _request(self, sender: Address, shares: Sequence[int], receiver: Address) -> int:
        tail = self.tail()
        ends = []
        for amount in shares:
            if amount == 0:
                raise Revert("request: zero shares")
            if self._refused(receiver):
                raise Revert("receiver: refused")
            tail += amount
            if tail > UNLIMITED:
                raise Revert(OVERFLOW)
            if tail > U95:
                raise Revert("request: line over 95 bits")
            ends.append(tail)
        self.pool.lock_for_exit(self.address, sender, tail - self.tail())
        first = len(self.ends)
        self.ends += ends
        self.owners += [receiver] * len(ends)
        self.held[receiver] = self.held.get(receiver, 0) + len(ends)
        return first

    def settle(self, sender: Address, shares: int, ether: int) -> None:
        """Append a point: `shares` more were paid `ether` wei. The pool only."""
        self._enter()
        if sender != self.pool.address:
            raise Revert("caller: not the pool")
        if self.filled_ether[-1] + ether > U96:
            raise Revert("pool: total over 96 bits")
        self.filled_shares.append(self.filled_shares[-1] + shares)
        self.filled_ether.append(self.filled_ether[-1] + ether)

    # --- claims ---

    def claim(self, sender: Address, ticket: int, hint: int = 0) -> int:
        """Pay the filled part of the ticket to its owner; anyone may ask. Returns wei."""
        self._enter()
        self._check_exists(ticket)
        return self._claim(sender, ticket, self.owners[ticket], hint)

    def claim_to(self, sender: Address, ticket: int, receiver: Address, hint: int = 0) -> int:
        """As `claim`, to `receiver`; for the owner and whom he approved."""
        self._enter()
        self._check_exists(ticket)
        self._check_may(sender, ticket)
        if self._refused(receiver):
            raise Revert("receiver: refused")
        return self._claim(sender, ticket, receiver, hint)

    def _claim(self, sender: Address, ticket: int, receiver: Address, hint: int) -> int:
        start, end = self._payable(ticket)
        if start >= end:
            raise Revert("claim: nothing filled")
        if hint not in (0, self.segment_of(start)):
            raise Revert("claim: wrong hint")
        amount = self.value_until(end) - self.value_until(start)
        self._check_gas(sender, receiver)
        owner, before = self.owners[ticket], self.progress.get(ticket)
        self._book(ticket, end)
        if not self._pay(sender, receiver, amount):
            self._unbook(ticket, owner, before)
            raise Revert("ether: send failed")
        return amount

    def claim_many(self, sender: Address, tickets: Sequence[int], hints: Sequence[int]) -> int:
        """Claim each ticket for its owner; what cannot be paid is left as it was. Returns the wei paid."""
        self._enter()
        if max(len(tickets), len(hints)) > MAX_BATCH:
            raise Revert(OVERFLOW)
        if hints and len(hints) != len(tickets):
            raise Revert("claim: lengths differ")
        total = 0
        for i, ticket in enumerate(tickets):
            if not self.exists(ticket):
                continue
            start, end = self._payable(ticket)
            if start >= end or (hints and hints[i] not in (0, self.segment_of(start))):
                continue
            owner = self.owners[ticket]
            amount = self.value_until(end) - self.value_until(start)
            before = self.progress.get(ticket)
            self._check_gas(sender, owner)
            self._book(ticket, end)
            if self._pay(sender, owner, amount):
                total += amount
            else:
                self._unbook(ticket, owner, before)
        return total

    def _payable(self, ticket: int) -> tuple[int, int]:
        """From where to where the ticket is filled and not claimed; empty when start >= end."""
        return self.claimed_until(ticket), min(self.ends[ticket], self.filled_shares[-1])

    def _book(self, ticket: int, end: int) -> None:
        """Free a ticket that is claimed in full, keeping its end for its neighbour; else write how far it got."""
        if end == self.ends[ticket]:
            self.held[self.owners[ticket]] -= 1
            self.owners[ticket] = ZERO
            self.progress.pop(ticket, None)
        else:
            self.progress[ticket] = end

    def _unbook(self, ticket: int, owner: Address, progress: int | None) -> None:
        if self.owners[ticket] == ZERO:
            self.owners[ticket] = owner
            self.held[owner] += 1
        if progress is None:
            self.progress.pop(ticket, None)
        else:
            self.progress[ticket] = progress

    # --- ERC-721 ---

    def approve(self, sender: Address, spender: Address, ticket: int) -> None:
        """Let `spender` move or claim this ticket. For the owner and his operators."""
        self._enter()
        self._check_exists(ticket)
        owner = self.owners[ticket]
        if sender != owner and (owner, sender) not in self.operators:
            raise Revert("ticket: caller may not")
        self.approvals[ticket] = spender

    def set_approval_for_all(self, sender: Address, operator: Address, approved: bool) -> None:
        """Let `operator` act for all tickets of the caller, or no longer."""
        self._enter()
        if approved:
            self.operators.add((sender, operator))
        else:
            self.operators.discard((sender, operator))

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, ticket: int) -> None:
        """Move a ticket; its approval ends."""
        self._enter()
        self._check_exists(ticket)
        self._check_may(sender, ticket)
        if self.owners[ticket] != owner:
            raise Revert("ticket: not the owner's")
        if self._refused(receiver):
            raise Revert("receiver: refused")
        self.approvals[ticket] = ZERO
        self.held[owner] -= 1
        self.held[receiver] = self.held.get(receiver, 0) + 1
        self.owners[ticket] = receiver

    def safe_transfer_from(self, sender: Address, owner: Address, receiver: Address, ticket: int) -> None:
        """As `transfer_from`; a receiver with code must accept the ticket."""
        self.transfer_from(sender, owner, receiver, ticket)
        react = self.chain.on_ticket.get(receiver)
        if react is None:
            return
        self.entered = True
        accepted = react(sender, owner, ticket)
        self.entered = False
        if not accepted:
            raise Revert("receiver: not for ERC-721")

    # --- inside ---

    def _enter(self) -> None:
        if self.entered:
            raise Revert(LOCKED)

    def _check_exists(self, ticket: int) -> None:
        if not self.exists(ticket):
            raise Revert("ticket: does not exist")

    def _check_may(self, sender: Address, ticket: int) -> None:
        owner = self.owners[ticket]
        if sender != owner and (owner, sender) not in self.operators and self.approvals.get(ticket, ZERO) != sender:
            raise Revert("ticket: caller may not")

    def _refused(self, receiver: Address) -> bool:
        return receiver in (ZERO, self.address, self.pool.address)

    def _check_gas(self, sender: Address, receiver: Address) -> None:
        """Who brings too little gas may not starve the receiver of what he is promised."""
        if self.chain.scarce and receiver != sender:
            raise Revert("claim: too little gas")

    def _pay(self, sender: Address, receiver: Address, amount: int) -> bool:
        self.entered = True
        taken = self.chain.send(self.address, receiver, amount, None if receiver == sender else SEND_GAS)
        self.entered = False
        return taken

    # --- the same state, as the contract packs it ---

    def head_word(self) -> int:
        """Pack: filled shares u96 | filled ether u96 | points u64."""
        return self.filled_shares[-1] | self.filled_ether[-1] << 96 | (len(self.filled_shares) - 1) << 192

    def line_word(self) -> int:
        """Pack: tail u96 | tickets u64."""
        return self.ends[-1] | (len(self.ends) - 1) << 96

    def ticket_word(self, ticket: int) -> int:
        """Pack: owner u160 | end u95 | partly claimed flag."""
        flag = PARTLY_CLAIMED if ticket in self.progress else 0
        return int(self.owners[ticket], 16) | self.ends[ticket] << 160 | flag

    def point_word(self, point: int) -> int:
        """Pack: cumulative shares u128 | cumulative ether u128."""
        return self.filled_shares[point] | self.filled_ether[point] << 128
