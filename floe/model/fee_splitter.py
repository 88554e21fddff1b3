"""The fee splitter: the pool's fees to treasury, operators and a fund that covers losses. Amounts are shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from floe.model.basics import BPS, ETHER, ZERO, Address, Revert
from floe.model.pool import Pool
from floe.model.registry import Registry
from floe.model.tokens import ADMIN_ROLE, COUNCIL_ROLE, REGISTRY_ROLE, Roles

MAX_TREASURY_BPS = 5_000
MAX_COVER_BPS = 3_000


class Parts(NamedTuple):
    """Of each fee; what is left is the operators'."""

    treasury_bps: int
    cover_bps: int

    def check(self) -> None:
        """Refuse what is out of bounds."""
        if self.treasury_bps > MAX_TREASURY_BPS or self.cover_bps > MAX_COVER_BPS:
            raise Revert("parameter: out of bounds")


class Weights(NamedTuple):
    """A registry's operators together."""

    per_weight: int = 0
    """Earned so far by each unit of weight."""
    synced: int = 0
    """Sum of the weights by which they earn."""
    total: int = 0
    """The registry's sum of all weights, when an operator was last synced."""


class Account(NamedTuple):
    """One operator."""

    weight: int = 0
    """By which it earns."""
    per_weight: int = 0
    """What each unit had earned when `earned` was last brought up to date."""
    earned: int = 0
    """And not claimed."""


@dataclass(slots=True)
class FeeSplitter:
    """State and rules. A method that raises `Revert` may have changed something, as in `Registry`."""

    address: Address
    pool: Pool
    registries: dict[Address, Registry]
    """All there ever are, by address."""
    roles: Roles
    registry: Address
    treasury: Address
    parts: Parts

    held: int = 0
    """Shares of the cover fund and of operators, and the rest: what is here beyond it are fees."""
    cover_fund: int = 0
    rest: int = 0
    """Could not be divided by the weights; the next division takes it in."""
    cover_ticket: int = 0
    weights: dict[Address, Weights] = field(default_factory=dict)
    """By registry."""
    accounts: dict[tuple[Address, int], Account] = field(default_factory=dict)
    """By registry and operator."""

    def construct(self) -> None:
        """Check what it was built with."""
        self.parts.check()
        self._check_treasury(self.treasury)
        self._check_registry(self.registry)

    # --- fees ---

    def undistributed(self) -> int:
        """Shares that lie here and are nobody's yet."""
        return self.pool.balance_of(self.address) - self.held

    def distribute(self) -> int:
        """Split what has come; returns it.

        Treasury and operators get their parts rounded down, the cover fund what is left. The operators' part and the
        rest of the last division are divided by the sum of all weights, or of those that earn here, if that is more
        (weights that fell and were not synced since). The treasury gets what the others would have earned.
        """
        fees = self.undistributed()
        if fees == 0:
            return 0
        treasury = fees * self.parts.treasury_bps // BPS
        operators = fees * (BPS - sum(self.parts)) // BPS
        self.cover_fund += fees - treasury - operators

        weights = self.weights.get(self.registry, Weights())
        divided, each = self.rest + operators, 0
        self.rest = 0
        if weights.synced:
            each, self.rest = divmod(divided, max(weights.total, weights.synced))
            self.weights[self.registry] = weights._replace(per_weight=weights.per_weight + each)
        treasury += divided - self.rest - each * weights.synced

        self.held += fees - treasury
        self.pool.transfer(self.address, self.treasury, treasury)
        return fees

    def sync(self, operator: int) -> None:
        """Take over an operator's weight (0 when it is suspended), after all that has come was split by the old one."""
        self.distribute()
        book = self.registries[self.registry]
        account, known = self._settled(self.registry, operator), book.operators.get(operator)
        weight = known.weight if known is not None and known.limit > 0 else 0
        weights = self.weights.get(self.registry, Weights())
        synced = weights.synced - account.weight + weight
        self.weights[self.registry] = weights._replace(synced=synced, total=book.total_weight)
        self.accounts[self.registry, operator] = account._replace(weight=weight)

    def claim(self, operator: int, registry: Address = ZERO) -> int:
        """Pay an operator what it has earned; returns that."""
        self.distribute()
        book = self.registry if registry == ZERO else registry
        account = self._settled(book, operator)
        if account.earned == 0:
            return 0
        self.accounts[book, operator] = account._replace(earned=0)
        self.held -= account.earned
        self.pool.transfer(self.address, self.registries[book].operators[operator].reward_address, account.earned)
        return account.earned

    def claimable(self, operator: int, registry: Address = ZERO) -> int:
        """Return what an operator has earned of the fees that were split, and not claimed."""
        return self._settled(self.registry if registry == ZERO else registry, operator).earned

    def _settled(self, book: Address, operator: int) -> Account:
        account = self.accounts.get((book, operator), Account())
        per_weight = self.weights.get(book, Weights()).per_weight
        earned = account.weight * (per_weight - account.per_weight)
        return Account(account.weight, per_weight, account.earned + earned)

    # --- cover ---

    def coverable(self) -> int:
        """Most shares that may be given up now.

        They are worth no more than the deficit less what lies in the execution vault, which will repay it anyway.
        """
        queue, ticket = self.pool.queue, self.cover_ticket
        if queue.pending(ticket) + queue.claimable(ticket) > 0:
            return 0
        under_way = self.pool.chain.ether[self.pool.execution_vault.address]
        missing = max(self.pool.deficit - under_way, 0)
        return min(self.cover_fund, missing * ETHER // (self.pool.exit_rate() + 1))

    def cover_loss(self, sender: Address, shares: int) -> int:
        """Queue shares of the fund for the execution vault; returns the ticket."""
        self.roles.check(COUNCIL_ROLE, sender)
        if shares > self.coverable():
            raise Revert("cover: over the limit")
        self.cover_fund -= shares
        self.held -= shares
        self.cover_ticket = self.pool.queue.request(self.address, shares, self.pool.execution_vault.address)
        return self.cover_ticket

    # --- administration ---

    def set_parts(self, sender: Address, parts: Parts) -> None:
        """Replace the parts; what has come is split by the old ones."""
        self.roles.check(ADMIN_ROLE, sender)
        self.distribute()
        parts.check()
        self.parts = parts

    def set_treasury(self, sender: Address, treasury: Address) -> None:
        """Replace the treasury; its part of what has come goes to the old one."""
        self.roles.check(ADMIN_ROLE, sender)
        self.distribute()
        self._check_treasury(treasury)
        self.treasury = treasury

    def set_registry(self, sender: Address, registry: Address) -> None:
        """Let the operators of another registry earn; what has come is split among those of the old one."""
        self.roles.check(ADMIN_ROLE, sender)
        self.distribute()
        self._check_registry(registry)
        self.registry = registry

    def _check_treasury(self, treasury: Address) -> None:
        if treasury in self.pool.refused or treasury == self.address:
            raise Revert("receiver: refused")

    def _check_registry(self, registry: Address) -> None:
        if (REGISTRY_ROLE, registry) not in self.pool.roles.members:
            raise Revert("peer: not wired to this contract")
