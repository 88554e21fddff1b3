"""The rebasing view of the share token: balance = shares · entry value // all shares of the pool."""

from __future__ import annotations

from dataclasses import dataclass, field

from floe.model.basics import ZERO, Address, Chain, Revert, ceil_div, word
from floe.model.pool import Pool
from floe.model.tokens import Allowances


@dataclass(slots=True)
class RebasingToken:
    """Holds pool shares for its holders. Amounts are wei at the entry rate, rounded down unless said otherwise."""

    chain: Chain
    address: Address
    pool: Pool
    allowances: Allowances
    total_shares: int = 0
    shares_of: dict[Address, int] = field(default_factory=dict)

    def balance_of(self, owner: Address) -> int:
        """Wei that the shares of `owner` are worth."""
        return self.pool.convert_to_assets(self.shares_of.get(owner, 0))

    def total_supply(self) -> int:
        """Wei that all wrapped shares are worth."""
        return self.pool.convert_to_assets(self.total_shares)

    def wrap(self, sender: Address, shares: int) -> int:
        """Take `shares` that the caller has approved; returns their amount."""
        self._check_shares(shares)
        total = word(self.total_shares + shares)
        amount = self._amount(shares)
        self.pool.transfer_from(self.address, sender, self.address, shares)
        self._add(sender, shares)
        self.total_shares = total
        return amount

    def unwrap(self, sender: Address, shares: int) -> int:
        """Give `shares` back; returns their amount."""
        self._check_shares(shares)
        self._check_balance(sender, shares)
        amount = self._amount(shares)
        self.pool.transfer(self.address, sender, shares)
        self.shares_of[sender] -= shares
        self.total_shares -= shares
        return amount

    def stake(self, sender: Address, value: int, receiver: Address, min_shares: int = 0) -> int:
        """Stake `value` wei and wrap the shares for `receiver`; returns them."""
        self._check_receiver(receiver)
        self.chain.move(sender, self.address, value)
        try:
            shares = self.pool.deposit(self.address, value, value, self.address, min_shares)
        except Revert:
            self.chain.move(self.address, sender, value)
            raise
        self._add(receiver, shares)
        self.total_shares += shares
        return shares

    def transfer(self, sender: Address, receiver: Address, amount: int) -> bool:
        """Move the shares that are worth `amount`, rounded up: the receiver gets at least the amount."""
        shares = self._shares_up(amount)
        self._move(sender, receiver, shares)
        return True

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, amount: int) -> bool:
        """As `transfer`, out of the caller's allowance of `amount`."""
        self.allowances.check(owner, sender, amount)
        shares = self._shares_up(amount)
        self._move(owner, receiver, shares)
        self.allowances.spend(owner, sender, amount)
        return True

    def transfer_shares(self, sender: Address, receiver: Address, shares: int) -> int:
        """Move exactly `shares`; returns their amount."""
        amount = self._amount(shares)
        self._move(sender, receiver, shares)
        return amount

    def transfer_shares_from(self, sender: Address, owner: Address, receiver: Address, shares: int) -> int:
        """Move exactly `shares` of `owner`; the allowance pays their amount rounded up. Returns it rounded down."""
        value, supply = self.pool.entry_price()
        if value == 0:
            raise Revert("pool: no value")
        spent = ceil_div(shares * value, supply)
        self.allowances.check(owner, sender, spent)
        self._move(owner, receiver, shares)
        self.allowances.spend(owner, sender, spent)
        return shares * value // supply

    # --- inside ---

    def _amount(self, shares: int) -> int:
        value, supply = self.pool.entry_price()
        return word(shares * value) // supply

    def _shares_up(self, amount: int) -> int:
        value, supply = self.pool.entry_price()
        if value == 0:
            raise Revert("pool: no value")
        return ceil_div(amount * supply, value)

    def _check_shares(self, shares: int) -> None:
        if shares == 0:
            raise Revert("wrap: zero shares")

    def _check_receiver(self, receiver: Address) -> None:
        if receiver in (ZERO, self.address):
            raise Revert("receiver: refused")

    def _check_balance(self, owner: Address, shares: int) -> None:
        if self.shares_of.get(owner, 0) < shares:
            raise Revert("balance: too low")

    def _add(self, receiver: Address, shares: int) -> None:
        self.shares_of[receiver] = self.shares_of.get(receiver, 0) + shares

    def _move(self, owner: Address, receiver: Address, shares: int) -> None:
        self._check_receiver(receiver)
        self._check_balance(owner, shares)
        self.shares_of[owner] = self.shares_of.get(owner, 0) - shares
        self._add(receiver, shares)
