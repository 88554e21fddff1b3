"""What the campaign tries next: random actions, aimed at limits, at odd amounts and at what others left behind."""

# ruff: noqa: D102 - a method is named after the action that it chooses

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from floe.model.basics import BPS, DAY, ETHER, GWEI, U64, U96, UNLIMITED, YEAR, ZERO, Address
from tests.stateful.actions import CALLS, Action
from tests.stateful.world import (
    ACTORS,
    ADMIN,
    BURNER,
    CEILING_GWEI,
    CODED,
    EXECUTION_VAULT,
    GORGER,
    INSIST,
    MISANSWER,
    OPERATOR,
    ORACLE,
    OUTSIDER,
    PAUSER,
    POOL,
    PROTOCOL,
    QUEUE,
    REACT,
    REENTERER,
    REENTERERS,
    REFUSE,
    REFUSER,
    REGISTRY,
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
USUAL: dict[str, Address] = {"admin": ADMIN, "oracle": ORACLE, "registry": REGISTRY, "pauser": PAUSER}
"""Roles, and who has them first."""
ROLES = tuple(USUAL)
MAX_STAKE = U96
"""The most wei that an action sends: everybody has more."""
SMALL_REACTION = 3
"""Longer lists than this might not fit in the gas or the bytes that a Reenterer has."""


class Choices:
    """Chooses the next actions from the state of the model. Also plays the beacon chain, which reports describe."""

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
        """Choose somebody who has the role, or now and then somebody else."""
        members = self.w.pool.roles.members
        chance = self.random()
        if chance < 0.8 and (role, USUAL[role]) in members:
            return USUAL[role]
        having = [account for member_role, account in sorted(members) if member_role == role] if chance < 0.93 else []
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

    # --- the pool: in and out ---

    def deposit(self) -> Action:
        sender = self.pick(HOLDERS)
        receiver = self.receiver(sender)
        limit = self.w.pool.max_deposit(sender) if self.chance(15) else self.w.pool.assets // 4 + ETHER
        value = self.value(limit)
        assets = value if self.chance(97) else self.amount(value)
        form = self.bits(2)
        if form < 2:
            return ["deposit", sender, value, assets, receiver]
        entry = self.w.pool.entry_value()
        fair = value * self.w.pool.shares // entry if entry else 0
        least = fair + self.pick((0, 0, -1, 1)) if self.chance(90) else self.amount(fair)
        more = [max(least, 0)] if form == 2 else [max(least, 0), self.pick((ZERO, OUTSIDER))]
        return ["deposit", sender, value, assets, receiver, *more]

    def send_ether(self) -> Action:
        target = self.pick((POOL, POOL, POOL, WITHDRAWAL_VAULT, EXECUTION_VAULT, EXECUTION_VAULT, QUEUE, TOKEN))
        value = self.value(self.w.pool.assets // 50 + ETHER)
        if target == WITHDRAWAL_VAULT:
            value = min(value, self.creditable())
        return ["send_ether", self.pick(HOLDERS), value, target]

    def mint(self) -> Action:
        sender = self.pick(HOLDERS)
        limit = self.w.pool.max_mint(sender) if self.chance(20) else self.w.pool.shares // 4 + ETHER
        shares = self.amount(limit)
        cost = -(-shares * self.w.pool.entry_value() // self.w.pool.shares)
        value = cost + self.pick((0, 0, 0, -1, 1)) if self.chance(70) else cost + self.upto(ETHER)
        return ["mint", sender, min(max(value, 0), MAX_STAKE), shares, self.receiver(sender)]

    def _exit(self) -> tuple[Address, Address, Address]:
        """Sender, receiver, owner."""
        owner = self.holder()
        sender = owner if self.chance(80) else self.pick(MOVERS)
        return sender, self.receiver(sender), owner

    def withdraw(self) -> Action:
        sender, receiver, owner = self._exit()
        pool = self.w.pool
        assets = self.amount((self.chance(70) and pool.max_withdraw(owner)) or pool.instant_allowance)
        more = []
        if self.chance(40):
            near = assets * pool.shares // (pool.exit_value() or 1)
            more = [min(self.pick((near, near + near // 20, self.amount(near))), UNLIMITED)]
        return ["withdraw", sender, assets, receiver, owner, *more]

    def redeem(self) -> Action:
        sender, receiver, owner = self._exit()
        pool = self.w.pool
        shares = self.amount((self.chance(70) and pool.max_redeem(owner)) or pool.balances.get(owner, 0))
        more = []
        if self.chance(40):
            near = shares * pool.exit_value() // pool.shares
            more = [min(self.pick((near - near // 20, near, self.amount(near))), UNLIMITED)]
        return ["redeem", sender, shares, receiver, owner, *more]

    # --- the share token ---

    def transfer(self) -> Action:
        sender = self.holder()
        return ["transfer", sender, self.receiver(self.anybody()), self.amount(self.w.pool.balances.get(sender, 0))]

    def transfer_from(self) -> Action:
        owner, sender = self.holder(), self.pick(MOVERS)
        allowed = self.w.pool.allowances.amounts.get((owner, sender), 0)
        amount = self.amount(min(allowed, self.w.pool.balances.get(owner, 0)))
        return ["transfer_from", sender, owner, self.receiver(sender), amount]

    def approve(self) -> Action:
        owner, token = self.holder(), self.pick((POOL, TOKEN))
        amount = UNLIMITED if self.chance(40) else self.amount(self.w.pool.balances.get(owner, 0))
        return ["approve", owner, token, self.pick(SPENDERS), amount]

    def permit(self) -> Action:
        owner, token = self.pick(STAKERS), self.pick((POOL, TOKEN))
        book = (self.w.pool if token == POOL else self.w.token).allowances
        nonce = book.nonces.get(owner, 0) + (0 if self.chance(85) else self.pick((-1, 1)))
        # Few different messages: signatures are kept.
        amount = self.pick((ETHER, UNLIMITED))
        deadline = self.pick((UNLIMITED, UNLIMITED, UNLIMITED, 1))
        signer = owner if self.chance(90) else STAKERS[0]
        form = self.pick(("good",) * 8 + ("high s", "invalid"))
        spender = self.pick((OPERATOR, TOKEN))
        return ["permit", self.anybody(), token, owner, spender, amount, deadline, signer, max(nonce, 0), form]

    # --- exits, validators, reports ---

    def lock_for_exit(self) -> Action:
        return ["lock_for_exit", self.anybody(), self.holder(), self.bits(40)]

    def fulfil(self) -> Action:
        return ["fulfil", self.anybody()] + ([self.amount(self.w.pool.buffer())] if self.chance(40) else [])

    def declare_stale(self) -> Action:
        return ["declare_stale", self.anybody()]

    def send_to_validators(self) -> Action:
        limit = self.w.pool.stakeable()
        amount = limit if self.chance(40) else self.amount(limit)
        if self.w.pool.deposited + amount > U96:
            amount = 0  # the pool counts on it that no chain has ETH for more
        return ["send_to_validators", self.member("registry"), amount]

    def raise_pending_loss(self) -> Action:
        """Prove a slashing, of which the next reports may know; or just say a number."""
        pool = self.w.pool
        room = (pool.outside - pool.pending_loss) // GWEI
        gwei = self.amount(room // 60 if self.chance(60) else room)
        if pool.raised_gwei + min(gwei, room) > U64:
            gwei = 0  # the pool counts on it that no chain has ETH for more
        if self.chance(60):
            self.losing = min(self.losing + min(gwei, room) * GWEI, UNLIMITED)
        return ["raise_pending_loss", self.member("registry"), gwei]

    def receive_from_vault(self) -> Action:
        return ["receive_from_vault", self.anybody(), self.bits(60)]

    def report(self) -> list[Action]:
        """Let time pass, let validators earn, lose and pay back, and report it."""
        pool = self.w.pool
        seconds = self.pick((0, 12, 3_600, DAY, DAY, DAY, DAY + 384, 3 * DAY, self.upto(30 * DAY)))
        since = self.w.chain.now + seconds - pool.report_at
        room = pool.assets * pool.parameters.rise_bps * since // (BPS * YEAR)
        inside = max(pool.deposited + self.earned - self.credited, 0)

        chance = self.random()
        if chance < 0.70:
            self.earned += self.upto(2 * room)
        elif chance < 0.85:
            self.earned -= self.upto(inside // 100)
        elif chance < 0.90:
            self.earned -= self.upto(inside // 2)
        elif chance < 0.92:
            self.earned -= inside
        if self.losing:
            if self.chance(40):
                self.earned -= min(self.losing, inside)
                self.losing = 0
            elif self.chance(30):
                self.losing = self.amount(self.losing)
        elif self.chance(10):
            self.losing = self.amount(inside // 60 if self.chance(60) else inside)
        inside = max(pool.deposited + self.earned - self.credited, 0)

        actions: list[Action] = [["travel", seconds]]
        if inside and self.chance(40):
            back = min(self.upto(inside // 4) if self.chance(80) else inside, self.creditable())
            self.credited += back
            inside -= back
            actions.append(["force", WITHDRAWAL_VAULT, back])
        else:
            back = 0
        received = self.w.chain.ether[WITHDRAWAL_VAULT] + back + pool.withdrawn + pool.donated
        given = max(received - self.credited, pool.donated)

        late = self.upto(min(inside, pool.deposited)) if self.chance(20) else 0
        donated = given if self.chance(70) else pool.donated + self.upto(given - pool.donated)
        # Slashings since the reference slot: it came before some of what was raised, or before all of it.
        unknown = 0 if self.chance(70) else self.pick((pool.raised_gwei, self.upto(pool.raised_gwei)))
        filled, tail = self.w.queue.filled(), self.w.queue.tail()
        tail = tail if self.chance(70) else self.pick((filled + self.upto(tail - filled), self.upto(filled)))
        actions.append([
            "report", self.member("oracle"), inside - late, pool.deposited - late, self.credited, donated, tail,
            max(self.losing - unknown * GWEI, 0), pool.raised_gwei - unknown,
        ])  # fmt: skip
        return actions

    def lie(self) -> Action:
        """Report what cannot be true."""
        pool, queue = self.w.pool, self.w.queue
        report = [
            pool.outside, pool.deposited, pool.withdrawn, pool.donated, queue.tail(), pool.pending_loss,
            pool.raised_gwei,
        ]  # fmt: skip
        kind = self.pick(range(9))
        if kind == 0:
            report[1] += 1 + self.upto(ETHER)
        elif kind == 1:
            report[2] = max(report[2] - 1 - self.upto(ETHER), 0)
        elif kind == 2:
            report[3] = max(report[3] - 1 - self.upto(ETHER), 0)
        elif kind == 3:
            report[4] += 1 + self.upto(ETHER)
        elif kind == 4:
            report[2] += self.w.chain.ether[WITHDRAWAL_VAULT] + 1 + self.upto(ETHER)
        elif kind == 5:
            report[3] += self.w.chain.ether[WITHDRAWAL_VAULT] + 1 + self.upto(ETHER)
        elif kind == 6:
            report[0] = self.pick((2**255, UNLIMITED, UNLIMITED - pool.deposited, self.bits(96)))
        elif kind == 7:
            report[5] = self.pick((UNLIMITED, self.bits(96), 0))
            report[6] = self.pick((pool.raised_gwei + 1 + self.bits(30), UNLIMITED, 0, 0))
        else:
            report = [self.amount(field) for field in report]
        return ["report", self.member("oracle"), *report]

    # --- administration ---

    def set_parameters(self) -> Action:
        target = self.pick((0, 1, 500, 1_000, 2_000))
        low = self.pick((0, 0, 100, 1_000, 50_000))
        numbers = [
            self.pick((0, 500, 1_000, 2_000)),
            self.pick((100, 500, 1_000, 5_000)),
            target,
            self.pick((0, 100, 500, 2_000, target)),
            low,
            self.pick((low, max(low, 30_000), 50_000)),
            self.pick((3_600, DAY, 7 * DAY, 30 * DAY)),
            self.pick((DAY, 4 * DAY, 30 * DAY)),
        ]
        if self.chance(20):
            numbers[int(self.random() * 8)] = self.pick((0, 99, 2_001, 5_001, 50_001, 3_599, DAY - 1, 30 * DAY + 1))
        return ["set_parameters", self.member("admin"), *numbers]

    def set_deposit_ceiling(self) -> Action:
        assets = self.w.pool.assets // 10**9
        gwei = self.pick(
            (CEILING_GWEI, CEILING_GWEI, CEILING_GWEI, CEILING_GWEI + 1, assets + self.bits(40), assets, 0)
        )
        return ["set_deposit_ceiling", self.member("admin"), gwei]

    def set_fee_recipient(self) -> Action:
        recipient = self.pick((TREASURER, TREASURER, OPERATOR, STAKERS[1], ZERO, POOL, QUEUE))
        return ["set_fee_recipient", self.member("admin"), recipient]

    def pause(self) -> Action:
        now = self.w.chain.now
        until = self.pick((0, 0, now, now + 1, now + 600, now + DAY, now + 14 * DAY, now + 14 * DAY + 1))
        return ["pause", self.member("pauser"), self.bits(3), until]

    def grant_role(self) -> Action:
        role = self.pick(ROLES)
        return ["grant_role", self.member("admin"), role, USUAL[role] if self.chance(60) else self.anybody()]

    def revoke_role(self) -> Action:
        role = self.pick(ROLES[1:]) if self.chance(95) else "admin"
        account = self.member(role) if self.chance(25) else self.pick((OPERATOR, REENTERER))
        return ["revoke_role", self.member("admin"), role, account]

    # --- the queue ---

    def request(self) -> Action:
        sender = self.holder()
        return ["request", sender, self.amount(self.w.pool.balances.get(sender, 0)), self.receiver(sender)]

    def request_many(self) -> Action:
        sender = self.holder()
        count = self.pick((0, 1, 2, 2, 3, 3, 4, 5)) if self.chance(94) else self.pick((20, 64, 65))
        part = self.w.pool.balances.get(sender, 0) // (count or 1)
        shares = [self.amount(part) for _ in range(count)] if self.chance(30) else [self.upto(part) + 1] * count
        return ["request_many", sender, shares, self.receiver(sender)]

    def settle(self) -> Action:
        return ["settle", self.anybody(), self.bits(60), self.bits(60)]

    def claim(self) -> Action:
        ticket = self.payable_ticket()
        sender = self.owner_of(ticket) if self.chance(50) else self.anybody()
        return ["claim", sender, ticket] + ([self.hint(ticket)] if self.chance(60) else [])

    def claim_to(self) -> Action:
        ticket = self.payable_ticket()
        sender = self.owner_of(ticket) if self.chance(70) else self.pick((OPERATOR, OPERATOR, self.anybody()))
        return ["claim_to", sender, ticket, self.receiver(sender)] + ([self.hint(ticket)] if self.chance(50) else [])

    def claim_many(self) -> Action:
        count = self.pick((0, 1, 2, 3, 3, 3, 4, 6)) if self.chance(96) else self.pick((20, 64, 65))
        tickets = [self.payable_ticket() for _ in range(count)]
        hints = [self.hint(ticket) if self.chance(70) else 0 for ticket in tickets] if self.chance(60) else []
        if hints and self.chance(4):
            hints.pop()
        sender = self.anybody()
        # Who burns the gas of his own transaction leaves none for the tickets after his.
        return ["claim_many", sender if sender != BURNER else OUTSIDER, tickets, hints]

    def ticket_approve(self) -> Action:
        ticket = self.ticket()
        sender = self.owner_of(ticket) if self.chance(80) else self.pick((OPERATOR, self.anybody()))
        return ["ticket_approve", sender, self.pick((OPERATOR, REENTERER, ZERO)), ticket]

    def approve_for_all(self) -> Action:
        return ["approve_for_all", self.pick(HOLDERS), self.pick((OPERATOR, REENTERER)), self.bits(1)]

    def _moved_ticket(self) -> tuple[Address, Address, Address, int]:
        ticket = self.ticket()
        owner = self.owner_of(ticket)
        sender = owner if self.chance(70) else self.pick((OPERATOR, self.anybody()))
        return sender, owner if self.chance(95) else self.anybody(), self.receiver(self.anybody()), ticket

    def ticket_transfer(self) -> Action:
        return ["ticket_transfer", *self._moved_ticket()]

    def ticket_safe_transfer(self) -> Action:
        return ["ticket_safe_transfer", *self._moved_ticket(), self.bits(1)]

    # --- the rebasing token, the vaults ---

    def wrapper(self) -> Address:
        """Choose somebody who probably has wrapped shares."""
        for _ in range(3):
            account = self.pick(HOLDERS)
            if self.w.token.shares_of.get(account):
                return account
        return account

    def wrap(self) -> Action:
        sender = self.holder()
        return ["wrap", sender, self.amount(self.w.pool.balances.get(sender, 0))]

    def unwrap(self) -> Action:
        sender = self.wrapper()
        return ["unwrap", sender, self.amount(self.w.token.shares_of.get(sender, 0))]

    def stake(self) -> Action:
        sender = self.pick(HOLDERS)
        value = self.value(self.w.pool.assets // 10 + ETHER)
        more: list[Any] = [self.pick((sender, self.anybody(), ZERO, TOKEN)), self.pick((0, value)), OUTSIDER]
        return ["stake", sender, value, *more[: self.bits(2)]]

    def token_transfer(self) -> Action:
        sender = self.wrapper()
        receiver = self.pick((self.anybody(), self.anybody(), TOKEN, ZERO, POOL))
        return ["token_transfer", sender, receiver, self.amount(self.w.token.balance_of(sender))]

    def token_transfer_from(self) -> Action:
        owner, sender = self.wrapper(), self.pick(MOVERS)
        allowed = self.w.token.allowances.amounts.get((owner, sender), 0)
        amount = self.amount(min(allowed, self.w.token.balance_of(owner)))
        return ["token_transfer_from", sender, owner, self.anybody(), amount]

    def transfer_shares(self) -> Action:
        sender = self.wrapper()
        return ["transfer_shares", sender, self.anybody(), self.amount(self.w.token.shares_of.get(sender, 0))]

    def transfer_shares_from(self) -> Action:
        owner, sender = self.wrapper(), self.pick(MOVERS)
        return [
            "transfer_shares_from",
            sender,
            owner,
            self.anybody(),
            self.amount(self.w.token.shares_of.get(owner, 0)),
        ]

    def sweep(self) -> Action:
        return ["sweep", self.anybody(), self.pick((WITHDRAWAL_VAULT, EXECUTION_VAULT)), self.bits(40)]

    # --- around ---

    def travel(self) -> Action:
        kind = self.bits(5)
        if kind < 18:
            return ["travel", 12 * (1 + self.bits(4))]
        if kind < 24:
            return ["travel", self.upto(12 * 3_600)]
        if kind < 30:
            return ["travel", self.upto(2 * DAY)]
        return ["travel", self.upto(10 * DAY if self.chance(75) else 100 * DAY)]

    def force(self) -> Action:
        target = self.pick([*PROTOCOL, POOL, EXECUTION_VAULT])
        amount = self.upto(self.w.pool.assets // 100 + ETHER)
        return ["force", target, min(amount, self.creditable()) if target == WITHDRAWAL_VAULT else amount]

    def scarce(self) -> Action:
        """Claim with so little gas that the receiver could be starved."""
        claim = self.claim() if self.chance(70) else self.claim_to()
        if claim[1] in CODED:
            claim[1] = OUTSIDER
        return ["scarce", claim]

    def ordered(self) -> Action:
        """Let something arrive at a contract that does something else meanwhile."""
        account = self.pick((REENTERER, REENTERER, REGISTRY, ADMIN))
        kind = self.pick(range(8))
        if kind == 0:
            outer = self.mint()
            outer[1], outer[2] = account, min(outer[2] + self.bits(60), MAX_STAKE)
        elif kind == 1:
            outer = self.redeem()
            outer[3] = account
        elif kind == 2:
            outer = self.withdraw()
            outer[3] = account
        elif kind == 3:
            outer = self.send_to_validators()
            account = outer[1] if outer[1] in REENTERERS else account
        elif kind == 4:
            outer = self.ticket_safe_transfer()
            outer[3] = account
        else:
            outer = self.claim_many() if kind == 5 else self.claim_to() if kind == 6 else self.claim()
            if kind == 6:
                outer[3] = account
            else:
                tickets = [t for t, owner in enumerate(self.w.queue.owners) if owner == account]
                if tickets and kind == 5:
                    outer[2] += tickets[:3]
                    outer[3] = []
                elif tickets:
                    outer = ["claim", self.pick((account, OUTSIDER)), self.pick(tickets)]
        conduct = self.pick((REFUSE, MISANSWER, INSIST, REACT, REACT, REACT))
        reaction: Action | None = None
        if conduct in (INSIST, REACT):
            capped = outer[0].startswith("claim") and outer[1] != account
            reaction = self.pick(CHEAP if capped else TRANSACTIONS)(self)
            long = any(isinstance(part, list) and len(part) > SMALL_REACTION for part in reaction)
            reaction = ["fulfil"] if long or reaction[0] not in CALLS else [reaction[0], *reaction[2:]]
        return ["ordered", account, conduct, reaction, outer]


WEIGHTS: dict[Callable[[Choices], Any], int] = {
    Choices.deposit: 70, Choices.send_ether: 30, Choices.mint: 35, Choices.withdraw: 45, Choices.redeem: 45,
    Choices.transfer: 50, Choices.transfer_from: 35, Choices.approve: 25, Choices.permit: 12,
    Choices.lock_for_exit: 3, Choices.fulfil: 80, Choices.declare_stale: 10, Choices.send_to_validators: 45,
    Choices.raise_pending_loss: 12, Choices.receive_from_vault: 3, Choices.report: 65, Choices.lie: 15,
    Choices.set_parameters: 15, Choices.set_deposit_ceiling: 8, Choices.set_fee_recipient: 6, Choices.pause: 12,
    Choices.grant_role: 10, Choices.revoke_role: 5,
    Choices.request: 90, Choices.request_many: 20, Choices.settle: 3, Choices.claim: 90, Choices.claim_to: 30,
    Choices.claim_many: 15, Choices.ticket_approve: 12, Choices.approve_for_all: 8, Choices.ticket_transfer: 20,
    Choices.ticket_safe_transfer: 20,
    Choices.wrap: 35, Choices.unwrap: 25, Choices.stake: 15, Choices.token_transfer: 20,
    Choices.token_transfer_from: 20, Choices.transfer_shares: 15, Choices.transfer_shares_from: 15, Choices.sweep: 4,
    Choices.travel: 75, Choices.force: 12, Choices.ordered: 30, Choices.scarce: 8,
}  # fmt: skip
LOTS: list[Callable[[Choices], Any]] = [choose for choose, weight in WEIGHTS.items() for _ in range(weight)]
CHEAP: list[Callable[[Choices], Action]] = [
    Choices.transfer, Choices.transfer_from, Choices.approve, Choices.lock_for_exit, Choices.request, Choices.claim,
    Choices.claim_to, Choices.settle, Choices.ticket_approve, Choices.approve_for_all, Choices.ticket_transfer,
    Choices.ticket_safe_transfer, Choices.sweep,
]  # fmt: skip
"""What fits in the gas that the queue gives to who did not ask for his ETH."""
TRANSACTIONS: list[Callable[[Choices], Action]] = [
    Choices.lie,
    *(choose for choose in WEIGHTS if choose.__name__ in CALLS and choose is not Choices.report),
]
"""What a Reenterer may do: every transaction there is, reports among them."""
