"""WETH, and the vault that stakes it: one share for each share of the pool that it holds for its holders."""

from __future__ import annotations

from dataclasses import dataclass, field

from floe.model.basics import UNLIMITED, ZERO, Address, Revert
from floe.model.erc20 import Erc20
from floe.model.pool import Pool
from floe.model.queue import Queue


@dataclass(slots=True)
class Weth(Erc20):
    """Wrapped ether as on mainnet: no reasons, no permit, and an owner needs no allowance for his own."""

    def deposit(self, sender: Address, value: int) -> None:
        """Wrap `value` wei."""
        self.chain.move(sender, self.address, value)
        self.mint(sender, value)

    def withdraw(self, sender: Address, amount: int) -> None:
        """Unwrap `amount`."""
        if self.balances.get(sender, 0) < amount:
            raise Revert("")
        self.burn(sender, amount)
        if not self.chain.send(self.address, sender, amount, 2_300):
            self.mint(sender, amount)
            raise Revert("")

    def approve(self, sender: Address, spender: Address, amount: int) -> bool:
        """Let `spender` move up to `amount`."""
        return self.allowances.approve(sender, spender, amount)

    def transfer(self, sender: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of the caller, to anybody."""
        if self.balances.get(sender, 0) < amount:
            raise Revert("")
        self._move(sender, receiver, amount)
        return True

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of `owner` out of the caller's allowance; an unlimited one stays."""
        allowed = self.allowances.amounts.get((owner, sender), 0)
        if sender != owner and allowed < amount:
            raise Revert("")
        self.transfer(owner, receiver, amount)
        self.allowances.spend(owner, sender, amount)
        return True


@dataclass(slots=True)
class WethVault:
    """State and rules. A method that raises `Revert` may have changed something: call it through `Protocol.attempt`."""

    address: Address
    pool: Pool
    queue: Queue
    weth: Weth
    erc20: Erc20
    """The vault's own shares."""
    receiver_of: dict[int, Address] = field(default_factory=dict)
    """Who gets the WETH of a ticket."""
    taking: bool = False
    """ETH is expected now."""

    def construct(self) -> None:
        """Refuse ETH that nobody expects."""
        chain = self.pool.chain
        chain.ether[self.address] = 0
        chain.on_ether[self.address] = lambda *_: self.taking

    # --- in ---

    def deposit(self, sender: Address, assets: int, receiver: Address, min_shares: int = 0) -> int:
        """Stake `assets` of the caller's WETH; returns the shares."""
        self._check_receiver(receiver)
        self._pull(sender, assets)
        shares = self.pool.deposit(self.address, assets, assets, self.address, min_shares)
        self.erc20.mint(receiver, shares)
        return shares

    def mint(self, sender: Address, shares: int, receiver: Address) -> int:
        """Buy exactly `shares`; returns their price."""
        self._check_receiver(receiver)
        self.pool._enter()
        assets = self.pool.preview_mint(shares)
        self._pull(sender, assets)
        self.pool.mint(self.address, assets, shares, self.address)
        self.erc20.mint(receiver, shares)
        return assets

    # --- out ---

    def withdraw(
        self, sender: Address, assets: int, receiver: Address, owner: Address, max_shares: int = UNLIMITED
    ) -> int:
        """Leave at once with exactly `assets`; returns the shares burnt."""
        self._check_receiver(receiver)
        self.pool._enter()
        shares = self.pool.preview_withdraw(assets)
        self._burn(sender, owner, shares)
        self.taking = True
        self.pool.withdraw(self.address, assets, self.address, self.address, max_shares)
        self.taking = False
        self._wrap(assets, receiver)
        return shares

    def redeem(self, sender: Address, shares: int, receiver: Address, owner: Address, min_assets: int = 0) -> int:
        """Leave at once with exactly `shares`; returns the WETH paid."""
        self._check_receiver(receiver)
        self._burn(sender, owner, shares)
        self.taking = True
        assets = self.pool.redeem(self.address, shares, self.address, self.address, min_assets)
        self.taking = False
        self._wrap(assets, receiver)
        return assets

    def request_exit(self, sender: Address, shares: int, receiver: Address, owner: Address) -> int:
        """Queue `shares`; `receiver` will get the WETH. Returns the ticket."""
        self._check_receiver(receiver)
        self._burn(sender, owner, shares)
        ticket = self.queue.request(self.address, shares, self.address)
        self.receiver_of[ticket] = receiver
        return ticket

    def claim(self, _: Address, ticket: int, hint: int = 0) -> int:
        """Pay what is filled of a ticket to its receiver; returns the WETH."""
        receiver = self.receiver_of.get(ticket, ZERO)
        if receiver == ZERO:
            raise Revert("ticket: does not exist")
        self.taking = True
        assets = self.queue.claim(self.address, ticket, hint)
        self.taking = False
        self._wrap(assets, receiver)
        return assets

    # --- views ---

    def total_assets(self) -> int:
        """Wei that all shares are worth at the pool's entry rate."""
        return self.pool.convert_to_assets(self.erc20.supply)

    def max_deposit(self, receiver: Address) -> int:
        """Most WETH that the pool takes now."""
        return 0 if self._refused(receiver) else self.pool.max_deposit(self.address)

    def max_mint(self, receiver: Address) -> int:
        """Most shares that the pool sells now."""
        return 0 if self._refused(receiver) else self.pool.max_mint(self.address)

    def max_redeem(self, owner: Address) -> int:
        """Most shares that `owner` could leave with now."""
        shares = min(self.erc20.balance_of(owner), self.pool.max_redeem(self.address))
        return shares if self.pool.preview_redeem(shares) else 0

    def max_withdraw(self, owner: Address) -> int:
        """Most WETH that `owner` could take out now."""
        return self.pool.preview_redeem(self.max_redeem(owner))

    # --- inside ---

    def _refused(self, receiver: Address) -> bool:
        return receiver in (ZERO, self.address)

    def _check_receiver(self, receiver: Address) -> None:
        if self._refused(receiver):
            raise Revert("receiver: refused")

    def _pull(self, sender: Address, assets: int) -> None:
        self.weth.transfer_from(self.address, sender, self.address, assets)
        self.taking = True
        self.weth.withdraw(self.address, assets)
        self.taking = False

    def _burn(self, sender: Address, owner: Address, shares: int) -> None:
        if owner != sender:
            self.erc20.check_allowance(owner, sender, shares)
            self.erc20.spend(owner, sender, shares)
        self.erc20.burn(owner, shares)

    def _wrap(self, assets: int, receiver: Address) -> None:
        self.weth.deposit(self.address, assets)
        self.weth.transfer(self.address, receiver, assets)
