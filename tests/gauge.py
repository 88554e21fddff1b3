"""A gauge beside two plain tokens, and the ledger that its promise is checked with."""

from __future__ import annotations

from tests.evm import DAY, Account, Contract, Evm, address_of
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER, UNLIMITED

SCALE = 10**36
DISTRIBUTOR = "0x" + "d1" * 20
WEEK = 7 * DAY
PLENTY = 2**200
PEOPLE = (STAKER, SAVER, OUTSIDER)

# Conducts of MockToken.
SILENT, DENY, FEE, BURN, REVERT, CALL, ORDER, TWO, LOSE, REFUSE = range(1, 11)


class Gauges:
    """A gauge for a mock token, in which mock tokens are earned; everybody of `PEOPLE` has approved all there is."""

    def __init__(self, evm: Evm) -> None:
        """Deploy it with one reward token, which streams for a week."""
        self.evm = evm
        self.admin = evm.deploy("MockWallet")
        self.coin = evm.deploy("MockToken")
        self.gauge = evm.deploy("Gauge", self.coin, self.admin)
        for account in PEOPLE:
            self.coin.mint(account, PLENTY)
            self.coin.approve(self.gauge, UNLIMITED, sender=account)
        self.notified: dict[str, int] = {}
        """By token, wei that ever came."""
        self.paid: dict[str, int] = {}
        """By token, wei that were ever paid."""
        self.reward = self.add_reward()

    def add_reward(self, period: int = WEEK) -> Contract:
        """Let another token be earned, of which the distributor has plenty."""
        token = self.evm.deploy("MockToken")
        token.mint(DISTRIBUTOR, PLENTY)
        token.approve(self.gauge, UNLIMITED, sender=DISTRIBUTOR)
        self.gauge.add_reward(token, DISTRIBUTOR, period, sender=self.admin)
        self.notified[token.address] = self.paid[token.address] = 0
        return token

    # --- what people do ---

    def stake(self, amount: int, account: Account = STAKER) -> None:
        """Let an account stake for itself."""
        self.gauge.stake(amount, sender=account)

    def withdraw(self, amount: int, account: Account = STAKER) -> None:
        """Let an account withdraw to itself."""
        self.gauge.withdraw(amount, sender=account)

    def notify(self, amount: int, token: Contract | None = None) -> int:
        """Let the distributor bring rewards; returns what came."""
        token = token or self.reward
        received = int(self.gauge.notify(token, amount, sender=DISTRIBUTOR))
        self.notified[token.address] += received
        return received

    def claim(self, account: Account = STAKER, token: Contract | None = None) -> int:
        """Let a stranger claim for an account; returns what it was paid."""
        token = token or self.reward
        paid = int(self.gauge.claim(account, token, sender=RECEIVER))
        self.paid[token.address] += paid
        return paid

    def claim_all(self, account: Account = STAKER) -> list[int]:
        """Let a stranger claim everything for an account; returns what it was paid of each token."""
        paid = list(self.gauge.claim_all(account, sender=RECEIVER))
        for token, amount in zip(self.gauge.reward_tokens(), paid, strict=True):
            self.paid[token] += amount
        return paid

    # --- what is true ---

    def earned(self, account: Account = STAKER, token: Account | None = None) -> int:
        """Wei that an account would be paid."""
        return int(self.gauge.earned(account, token or self.reward))

    def earnings(self, account: Account, token: Account) -> int:
        """Scaled wei that an account has earned."""
        return int(self.gauge.earned(account, token) * SCALE + self.gauge.fraction(account, token))

    def unexplained(self, token: Account | None = None) -> int:
        """Scaled wei that were notified and are neither left, nor idle, nor the rest, nor paid, nor anybody's earnings.

        0, or what was forfeited in emergencies, if only `PEOPLE` and RECEIVER ever staked.
        """
        address = address_of(token or self.reward)
        state = self.gauge.reward(address)
        earnings = sum(self.earnings(account, address) for account in (*PEOPLE, RECEIVER))
        explained = (state.left + state.idle + self.paid[address]) * SCALE + state.rest + earnings
        return int(self.notified[address] * SCALE - explained)
