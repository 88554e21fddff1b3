"""What random choices are made of: numbers at and around limits, people with and without roles, tickets."""

# ruff: noqa: D102 - a method is named after what it chooses

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from floe.model.basics import ETHER, U96, UNLIMITED, ZERO, Address
from tests.stateful.world import (
    ACTORS,
    ADMIN,
    BURNER,
    EXECUTION_VAULT,
    GORGER,
    OPERATOR,
    PAUSER,
    POOL,
    QUEUE,
    REENTERER,
    REENTERERS,
    REFUSER,
    REGISTRY,
    REPORT_ORACLE,
    SENDS_NOTHING,
    STAKERS,
    TOKEN,
    TREASURER,
    WITHDRAWAL_VAULT,
    World,
)

Item = TypeVar("Item")

NAMED_ACTORS = frozenset(ACTORS)
HOLDERS: list[Address] = [*STAKERS * 5, OPERATOR, TREASURER, *REENTERERS, REENTERER, REFUSER, BURNER, GORGER]
MOVERS: list[Address] = [OPERATOR, OPERATOR, STAKERS[0], REENTERER]
"""Those who may be approved and who then move what is not theirs."""
SPENDERS: list[Address] = [*MOVERS, TOKEN]
ODD_RECEIVERS: list[Address] = [ZERO, POOL, QUEUE, TOKEN, EXECUTION_VAULT]
HOLDERS_OF: dict[str, tuple[Address, ...]] = {
    "admin": (ADMIN,), "oracle": (REPORT_ORACLE,), "registry": (REGISTRY,), "pauser": (PAUSER, REPORT_ORACLE),
}  # fmt: skip
"""The pool's roles, and who has them first."""
ROLES = tuple(HOLDERS_OF)
MAX_STAKE = U96
"""The most wei that an action sends: everybody has more."""


class Chooser:
    """Chooses numbers, people and tickets from the state of the model."""

    def __init__(self, world: World, seed: str) -> None:
        self.w = world
        source = Random(seed)
        self.random, self.bits = source.random, source.getrandbits
        # The beacon chain: what validators earned less what they lost, what was credited to the withdrawal vault,
        # and what is known to be lost but still counted.
        pool = world.pool
        self.credited = pool.withdrawn
        self.earned = pool.outside + pool.withdrawn - pool.deposited
        self.losing = 0

    # --- numbers and people ---

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.random() * len(items))]

    def chance(self, percent: int) -> bool:
        return self.random() * 100 < percent

    def upto(self, most: int) -> int:
        """Evenly between 0 and `most`."""
        return self.bits(most.bit_length() + 8) % (most + 1)

    def amount(self, limit: int) -> int:
        """Something between nothing and absurd, mostly within `limit` and often just there."""
        kind = self.bits(5)
        if kind < 13:
            return self.upto(limit)
        if kind < 17:
            return min(self.upto(10**20), limit)
        if kind < 20:
            return 1 + self.bits(3)
        if kind < 23:
            return limit
        if kind < 25:
            return min(limit + 1, UNLIMITED)
        if kind < 27:
            return max(limit - 1, 0)
        if kind < 30:
            return min(ETHER * (1 + self.bits(4)), limit)
        if kind == 30:
            return self.bits(1 + self.bits(7) % 97)
        return UNLIMITED if self.bits(1) else 0

    def value(self, limit: int) -> int:
        """Choose an amount that somebody can pay."""
        return min(self.amount(limit), MAX_STAKE)

    def creditable(self) -> int:
        """Wei that the withdrawal vault may still get: the pool counts on it that no chain has ETH for more."""
        return max(U96 - self.w.pool.withdrawn - self.w.chain.ether[WITHDRAWAL_VAULT], 0)

    def holder(self) -> Address:
        """Choose somebody who probably has shares."""
        balances = self.w.pool.balances
        for _ in range(3):
            account = self.pick(HOLDERS)
            if balances.get(account):
                return account
        return account

    def anybody(self) -> Address:
        return self.pick(ACTORS)

    def receiver(self, sender: Address) -> Address:
        chance = self.random()
        if chance < 0.5:
            return sender
        return self.pick(ACTORS) if chance < 0.95 else self.pick(ODD_RECEIVERS)

    def member(self, role: str) -> Address:
        """Choose somebody who has the pool's role and sends transactions, or now and then somebody else."""
        members = self.w.pool.roles.members
        chance = self.random()
        usual = HOLDERS_OF[role][0]
        if chance < 0.8 and (role, usual) in members and usual not in SENDS_NOTHING:
            return usual
        having = (
            [a for known, a in sorted(members) if known == role and a not in SENDS_NOTHING] if chance < 0.93 else []
        )
        return self.pick(having) if having else self.anybody()

    def ticket(self) -> int:
        """Choose a ticket, most likely an open one."""
        owners = self.w.queue.owners
        for _ in range(4):
            ticket = 1 + int(self.random() * len(owners))
            if ticket < len(owners) and owners[ticket] != ZERO:
                return ticket
        return self.pick([0, 1, ticket, UNLIMITED])

    def payable_ticket(self) -> int:
        """Choose a ticket, most likely one with something to claim."""
        queue = self.w.queue
        filled, owners, ends = queue.filled_shares[-1], queue.owners, queue.ends
        for _ in range(6):
            ticket = 1 + int(self.random() * len(owners))
            if (
                ticket < len(owners)
                and owners[ticket] != ZERO
                and queue.progress.get(ticket, ends[ticket - 1]) < filled
            ):
                return ticket
        return self.ticket()

    def owner_of(self, ticket: int) -> Address:
        owners = self.w.queue.owners
        owner = owners[ticket] if ticket < len(owners) else ZERO
        return owner if owner in NAMED_ACTORS else self.anybody()

    def hint(self, ticket: int) -> int:
        chance = self.random()
        if chance < 0.6:
            return self.w.queue.hint(ticket)
        if chance < 0.9:
            return max(self.w.queue.hint(ticket) + self.pick((-1, 1)), 0)
        return self.pick((0, len(self.w.queue.filled_shares), UNLIMITED))
