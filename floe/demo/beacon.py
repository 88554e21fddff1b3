"""A simulated beacon chain: honest, small, and made of integers. It is no consensus client.

Validators earn, are slashed, and withdraw, and this module keeps their balances in wei. ETH that is staked lies at one
address on the execution chain; what validators earn is created there, what they lose is destroyed there, and
withdrawals move from there to the withdrawal vault, as the real chain credits them: without a transaction. So all ETH
of the protocol can be counted on chain at any time. Left out: keys, attestations, epochs, and a real exit queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ETHER = 10**18
MAX_BALANCE = 2048 * ETHER
"""A compounding validator holds no more; more is withdrawn by itself on the real chain, here it just starts another."""
YIELD_PPM = 32_000
"""Consensus rewards a year."""
DAYS_OF_YEAR = 365
ACTIVATION_DAYS = 1
"""Days that a deposit waits before it earns."""
EXIT_DAYS = 2
"""Days from a request to the credit."""
EXITS_A_DAY = 900 * ETHER
"""All our validators together withdraw no more than this in a day: the others wait too."""


@dataclass(slots=True)
class Beacon:
    """Our validators. `chain` is an Ape provider that can set balances; all amounts are wei."""

    chain: Any
    address: str
    """Where staked ETH lies."""
    vault: str
    """Where withdrawals go."""
    validators: list[int] = field(default_factory=list)
    waiting: list[tuple[int, int]] = field(default_factory=list)
    """Deposits that do not earn yet: (first day on which they do, wei)."""
    exits: list[list[int]] = field(default_factory=list)
    """Withdrawals on their way: [first day on which they may be credited, wei]."""
    deposited: int = 0
    withdrawn: int = 0
    earned: int = 0
    lost: int = 0

    def total(self) -> int:
        """Balances of all validators and deposits that wait: what an oracle reports as `cl`."""
        return sum(self.validators) + sum(amount for _, amount in self.waiting)

    def deposit(self, amount: int, day: int) -> None:
        """Take in a deposit that has arrived at the address."""
        self.deposited += amount
        self.waiting.append((day + ACTIVATION_DAYS, amount))

    def exit(self, amount: int, day: int) -> None:
        """Ask for a withdrawal (EIP-7002)."""
        self.exits.append([day + EXIT_DAYS, amount])

    def leaving(self) -> int:
        """Withdrawals on their way."""
        return sum(amount for _, amount in self.exits)

    def slash(self, loss: int) -> None:
        """Take a penalty from the largest validator, now."""
        self.validators[0] -= loss
        self.lost += loss
        self._set(self.address, -loss)

    def live(self, day: int) -> None:
        """Pass one day: activate, reward, withdraw."""
        for _, amount in (item for item in self.waiting if item[0] <= day):
            self._activate(amount)
        self.waiting = [item for item in self.waiting if item[0] > day]
        # Luck and duties: some days are better than others.
        yield_ppm = YIELD_PPM * (85 + day * 13 % 31) // 100
        for index, balance in enumerate(self.validators):
            reward = balance * yield_ppm // (1_000_000 * DAYS_OF_YEAR)
            self.validators[index] += reward
            self.earned += reward
            self._set(self.address, reward)
        self._withdraw(day)

    def _activate(self, amount: int) -> None:
        while amount > 0:
            if not self.validators or self.validators[-1] >= MAX_BALANCE:
                self.validators.append(0)
            part = min(amount, MAX_BALANCE - self.validators[-1])
            self.validators[-1] += part
            amount -= part

    def _withdraw(self, day: int) -> None:
        left = EXITS_A_DAY
        for item in self.exits:
            if item[0] <= day:
                paid = self._pay(min(item[1], left))
                item[1] -= paid
                left -= paid
        self.exits = [item for item in self.exits if item[1] > 0]

    def _pay(self, amount: int) -> int:
        """Credit the vault, taking from the newest validators first; returns what they had."""
        paid = 0
        for index in reversed(range(len(self.validators))):
            part = min(self.validators[index], amount - paid)
            self.validators[index] -= part
            paid += part
        self.withdrawn += paid
        self._set(self.address, -paid)
        self._set(self.vault, paid)
        return paid

    def _set(self, account: str, change: int) -> None:
        if change:
            self.chain.set_balance(account, self.chain.get_balance(account) + change)
