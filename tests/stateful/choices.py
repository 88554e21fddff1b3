"""What the campaign tries next: random actions, aimed at limits, at odd amounts and at what others left behind."""

# ruff: noqa: D102 - a method is named after the action that it chooses

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from floe.model.basics import DAY, ETHER, GWEI, U64, U96, UNLIMITED, ZERO, Address
from tests.stateful.actions import CALLS, Action
from tests.stateful.chooser import HOLDERS, HOLDERS_OF, MAX_STAKE, MOVERS, ROLES, SPENDERS
from tests.stateful.oracle import ORACLE_CALLS
from tests.stateful.oracle_choices import OracleChoices
from tests.stateful.world import (
    ADMIN,
    BURNER,
    CEILING_GWEI,
    CODED,
    EXECUTION_VAULT,
    INSIST,
    MISANSWER,
    OPERATOR,
    OUTSIDER,
    POOL,
    PROTOCOL,
    QUEUE,
    REACT,
    REENTERER,
    REENTERERS,
    REFUSE,
    REGISTRY,
    STAKERS,
    TOKEN,
    TREASURER,
    WITHDRAWAL_VAULT,
)

SMALL_REACTION = 3
"""Longer lists than this might not fit in the gas or the bytes that a Reenterer has."""


class Choices(OracleChoices):
    """Chooses the next actions from the state of the model."""

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

    # --- exits, validators ---

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
        usual = self.pick(HOLDERS_OF[role]) if self.chance(60) else self.anybody()
        return ["grant_role", self.member("admin"), role, usual]

    def revoke_role(self) -> Action:
        role = self.pick(ROLES[1:]) if self.chance(95) else "admin"
        account = self.pick(HOLDERS_OF[role]) if self.chance(25) else self.pick((OPERATOR, REENTERER))
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

    def scarce(self) -> list[Action]:
        """Claim with so little gas that the receiver could be starved, or report with too little to pay exits."""
        if self.chance(30):
            return self.scarce_report()
        claim = self.claim() if self.chance(70) else self.claim_to()
        if claim[1] in CODED:
            claim[1] = OUTSIDER
        return [["scarce", claim]]

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
            long = long and reaction[0] not in ORACLE_CALLS
            reaction = ["fulfil"] if long or reaction[0] not in CALLS else [reaction[0], *reaction[2:]]
        return ["ordered", account, conduct, reaction, outer]


WEIGHTS: dict[Callable[[Choices], Any], int] = {
    Choices.deposit: 70, Choices.send_ether: 30, Choices.mint: 35, Choices.withdraw: 45, Choices.redeem: 45,
    Choices.transfer: 50, Choices.transfer_from: 35, Choices.approve: 25, Choices.permit: 6,
    Choices.lock_for_exit: 3, Choices.fulfil: 80, Choices.declare_stale: 10, Choices.send_to_validators: 45,
    Choices.raise_pending_loss: 12, Choices.receive_from_vault: 3, Choices.report: 40, Choices.lie: 7,
    Choices.submit: 4, Choices.other_report: 12, Choices.vote: 5, Choices.decide: 6, Choices.lapse: 4,
    Choices.set_committee: 6, Choices.remove_member: 3, Choices.set_limits: 6, Choices.change_oracle_role: 5,
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
    Choices.other_report,
    Choices.decide,
    *(choose for choose in WEIGHTS if choose.__name__ in CALLS and choose is not Choices.report),
]
"""What a Reenterer may do: every transaction there is, reports among them."""
