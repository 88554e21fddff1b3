"""The gauge: one staked token, up to 8 that are earned by share and time. Scaled amounts are wei times SCALE.

For each token always and exactly, in scaled wei: what was notified = (left + idle) · SCALE + rest + paid · SCALE + what
accounts earned and were not paid + what was forfeited by `emergency_exit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from floe.model.basics import DAY, U96, ZERO, Address, Chain, Revert
from floe.model.erc20 import Token
from floe.model.tokens import ADMIN_ROLE, Roles

SCALE = 10**36
MOST_TOKENS = 8
MIN_PERIOD, MAX_PERIOD = 3_600, 366 * DAY
MAX_STAKED = 2**120 - 1


class Stream(NamedTuple):
    """What was notified of a token."""

    amount: int
    """Wei that stream from `start` to `end`."""
    start: int
    end: int
    period: int
    """Seconds over which the next notification streams."""

    def streamed(self, at: int) -> int:
        """Wei that have streamed at a time not before the start (rounded down)."""
        if at >= self.end:
            return self.amount
        return self.amount * (at - self.start) // (self.end - self.start)


class Carry(NamedTuple):
    """What the divisions of a token's stream left."""

    rest: int = 0
    """Scaled: the next division takes it in."""
    idle: int = 0
    """Wei that streamed while nobody staked: they stream again with the next notification."""
    last: int = 0
    """Until when the stream was divided."""


class Account(NamedTuple):
    """What somebody earns of a token."""

    per_staked: int = 0
    """Scaled: what each staked wei had earned when `earned` was last brought up to date."""
    earned: int = 0
    """Scaled, and not paid."""


class RewardState(NamedTuple):
    """A reward token at a moment, as `reward` returns it."""

    distributor: Address
    period: int
    start: int
    end: int
    amount: int
    left: int
    idle: int
    per_staked: int
    rest: int


@dataclass(slots=True)
class Gauge:
    """State and rules. A method that raises `Revert` may have changed something: call it through `Protocol.attempt`."""

    chain: Chain
    address: Address
    token: Token
    """What is staked."""
    token_address: Address
    contracts: Mapping[Address, Token]
    """All tokens there are, by address."""
    roles: Roles

    total_staked: int = 0
    staked: dict[Address, int] = field(default_factory=dict)
    tokens: list[Address] = field(default_factory=list)
    """What is earned, in the order of their coming."""
    distributors: dict[Address, Address] = field(default_factory=dict)
    streams: dict[Address, Stream] = field(default_factory=dict)
    carries: dict[Address, Carry] = field(default_factory=dict)
    per_staked: dict[Address, int] = field(default_factory=dict)
    """Scaled wei that each staked wei has earned, by token."""
    accounts: dict[tuple[Address, Address], Account] = field(default_factory=dict)
    """By account and token."""
    notified: dict[Address, int] = field(default_factory=dict)
    """Wei that ever came, by token; the contract does not count it."""
    paid: dict[Address, int] = field(default_factory=dict)
    """Wei that were ever paid, likewise."""
    forfeited: dict[Address, int] = field(default_factory=dict)
    """Scaled wei that nobody will ever be paid, likewise."""

    # --- stakes ---

    def stake(self, sender: Address, amount: int, receiver: Address) -> None:
        """Pull `amount`, which the caller has approved, and let it earn for `receiver`."""
        if amount == 0:
            raise Revert("gauge: zero amount")
        self._check_receiver(receiver)
        if amount > MAX_STAKED - self.total_staked:
            raise Revert("gauge: total over 120 bits")
        self._settle_all(receiver)
        self.staked[receiver] = self.staked.get(receiver, 0) + amount
        self.total_staked += amount
        self.token.transfer_from(self.address, sender, self.address, amount)

    def withdraw(self, sender: Address, amount: int, receiver: Address) -> None:
        """Send `amount` of the caller's stake to `receiver`."""
        if amount == 0:
            raise Revert("gauge: zero amount")
        self._check_receiver(receiver)
        if amount > self.staked.get(sender, 0):
            raise Revert("balance: too low")
        self._settle_all(sender)
        self.staked[sender] -= amount
        self.total_staked -= amount
        self.token.transfer(self.address, receiver, amount)

    def emergency_exit(self, sender: Address) -> int:
        """Send the caller all of its stake and look at no reward; returns the amount."""
        amount = self.staked.get(sender, 0)
        if amount == 0:
            raise Revert("gauge: zero amount")
        for token in self.tokens:
            known = self.accounts.get((sender, token), Account())
            lost = amount * (self.per_staked.get(token, 0) - known.per_staked)
            self.forfeited[token] = self.forfeited.get(token, 0) + lost
        self.staked[sender] = 0
        self.total_staked -= amount
        self.token.transfer(self.address, sender, amount)
        return amount

    # --- rewards ---

    def claim(self, _: Address, account: Address, token: Address) -> int:
        """Pay an account what it has earned in one token; returns the wei."""
        return self._claim(account, token, account)

    def claim_to(self, sender: Address, token: Address, receiver: Address) -> int:
        """Pay what the caller has earned in one token to `receiver`; returns the wei."""
        self._check_receiver(receiver)
        return self._claim(sender, token, receiver)

    def claim_all(self, _: Address, account: Address) -> list[int]:
        """Pay an account what it has earned in every token; a token that refuses is left out. Returns the wei."""
        answer = []
        for token in self.tokens:
            try:
                answer.append(self._claim(account, token, account))
            except Revert:
                answer.append(0)
        return answer

    def _claim(self, account: Address, token: Address, receiver: Address) -> int:
        self._check_reward(token)
        self._settle(account, token)
        known = self.accounts[account, token]
        amount = known.earned // SCALE
        if amount:
            try:
                self.contracts[token].transfer(self.address, receiver, amount)
            except Revert:
                raise Revert("token: transfer failed") from None
            self.accounts[account, token] = known._replace(earned=known.earned % SCALE)
            self.paid[token] = self.paid.get(token, 0) + amount
        return amount

    def notify(self, sender: Address, token: Address, amount: int) -> int:
        """Pull `amount` from the distributor and stream what comes of it from now; returns what came."""
        self._check_reward(token)
        if sender != self.distributors[token]:
            raise Revert("caller: not the distributor")
        contract, now = self.contracts[token], self.chain.now
        before = contract.balance_of(self.address)
        contract.transfer_from(self.address, sender, self.address, amount)
        received = contract.balance_of(self.address) - before
        if received <= 0:
            raise Revert("reward: nothing came")
        if received > U96:
            raise Revert("reward: over 96 bits")
        self._divide(token)
        stream, carry = self.streams[token], self.carries.get(token, Carry())
        whole = received + stream.amount - stream.streamed(now) + carry.idle
        if whole > U96:
            raise Revert("reward: over 96 bits")
        self.streams[token] = Stream(whole, now, now + stream.period, stream.period)
        self.carries[token] = Carry(carry.rest, 0, now)
        self.notified[token] = self.notified.get(token, 0) + received
        return received

    # --- administration ---

    def add_reward(self, sender: Address, token: Address, distributor: Address, period: int) -> None:
        """Let a token be earned, for ever."""
        self.roles.check(ADMIN_ROLE, sender)
        if token not in self.contracts:
            raise Revert("token: not a contract")
        if token == self.token_address:
            raise Revert("reward: the staked token")
        if token in self.streams:
            raise Revert("reward: known already")
        if not MIN_PERIOD <= period <= MAX_PERIOD:
            raise Revert("parameter: out of bounds")
        if len(self.tokens) == MOST_TOKENS:
            raise Revert("reward: too many")
        self.tokens.append(token)
        self.streams[token] = Stream(0, 0, 0, period)
        self.distributors[token] = distributor

    def set_distributor(self, sender: Address, token: Address, distributor: Address) -> None:
        """Let another account notify a token; ZERO: nobody."""
        self.roles.check(ADMIN_ROLE, sender)
        self._check_reward(token)
        self.distributors[token] = distributor

    # --- views ---

    def earned(self, account: Address, token: Address) -> int:
        """Wei that `claim` would pay now."""
        return self._earned(account, token) // SCALE

    def fraction(self, account: Address, token: Address) -> int:
        """Scaled part of a wei that an account has earned beyond `earned`."""
        return self._earned(account, token) % SCALE

    def reward(self, token: Address) -> RewardState:
        """Return a reward token as it is at this moment."""
        self._check_reward(token)
        carry, per_staked = self._divided(token)
        stream, now = self.streams[token], self.chain.now
        return RewardState(
            distributor=self.distributors[token],
            period=stream.period,
            start=stream.start,
            end=stream.end,
            amount=stream.amount,
            left=stream.amount - stream.streamed(now),
            idle=carry.idle,
            per_staked=per_staked,
            rest=carry.rest,
        )

    def unexplained(self, token: Address) -> int:
        """Scaled wei by which the equation of this module does not hold: 0. A loop over all accounts."""
        state = self.reward(token)
        holders = set(self.staked) | {account for account, _ in self.accounts}
        earned = sum(self._earned(account, token) for account in holders)
        explained = (state.left + state.idle + self.paid.get(token, 0)) * SCALE + state.rest + earned
        return self.notified.get(token, 0) * SCALE - explained - self.forfeited.get(token, 0)

    # --- inside ---

    def _divided(self, token: Address) -> tuple[Carry, int]:
        """Return the carry and what a staked wei has earned, when what has streamed by now is divided by all stakes."""
        stream, carry, now = self.streams[token], self.carries.get(token, Carry()), self.chain.now
        per_staked = self.per_staked.get(token, 0)
        streamed = stream.streamed(now) - stream.streamed(carry.last) if stream.amount else 0
        if streamed == 0:
            return carry, per_staked
        if self.total_staked == 0:
            return Carry(carry.rest, carry.idle + streamed, now), per_staked
        more, rest = divmod(streamed * SCALE + carry.rest, self.total_staked)
        return Carry(rest, carry.idle, now), per_staked + more

    def _divide(self, token: Address) -> None:
        self.carries[token], self.per_staked[token] = self._divided(token)

    def _settle(self, account: Address, token: Address) -> None:
        self._divide(token)
        known, per_staked = self.accounts.get((account, token), Account()), self.per_staked[token]
        more = self.staked.get(account, 0) * (per_staked - known.per_staked)
        self.accounts[account, token] = Account(per_staked, known.earned + more)

    def _settle_all(self, account: Address) -> None:
        for token in self.tokens:
            self._settle(account, token)

    def _earned(self, account: Address, token: Address) -> int:
        self._check_reward(token)
        known = self.accounts.get((account, token), Account())
        return known.earned + self.staked.get(account, 0) * (self._divided(token)[1] - known.per_staked)

    def _check_reward(self, token: Address) -> None:
        if token not in self.streams:
            raise Revert("reward: not known")

    def _check_receiver(self, receiver: Address) -> None:
        if receiver in (ZERO, self.address):
            raise Revert("receiver: refused")
