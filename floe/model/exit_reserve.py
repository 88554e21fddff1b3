"""The exit reserve: people's ETH buys floETH and exit tickets at the exit price less a fee, and waits in the queue.

Its value is the cash, what floETH and tickets are worth at the exit rate, and what tickets can claim, less the fees of
the last day that are still locked. ETH amounts are wei, shares are the reserve's own unless they are called floETH.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from floe.model.basics import (
    DAY,
    ETHER,
    LOCKED,
    OVERFLOW,
    PPM,
    U96,
    UNLIMITED,
    ZERO,
    Address,
    Chain,
    Revert,
    ceil_div,
    word,
)
from floe.model.erc20 import Erc20
from floe.model.pool import Pool
from floe.model.queue import Queue
from floe.model.tokens import ADMIN_ROLE, Roles

MAX_FEE = 100_000
MAX_TARGET = U96
MIN_TICKET, MAX_TICKET = 10**15, 32 * ETHER
MOST_TICKETS = 64
MOST_BOUGHT_TICKETS = 56
"""The places beyond are for the reserve's own batches."""
MIN_BATCH = ETHER
MIN_FIRST_DEPOSIT = ETHER // 100
LOCKED_SHARES = 10**9
DOUBT_AFTER = 2 * DAY
"""Without a report for so long, sales cost the highest fee."""


class ReserveParameters(NamedTuple):
    """What sales cost."""

    fee_min: int
    """ppm of the next wei, at the target or above."""
    fee_max: int
    """ppm of the next wei when nothing is left."""
    target: int
    """Wei, when `of_value` is false."""
    of_value: bool
    """The target is all that the reserve has."""
    min_ticket: int
    """Least floETH of a ticket that is bought."""

    def check(self) -> None:
        """Refuse what is out of bounds."""
        if not (
            self.fee_min <= self.fee_max <= MAX_FEE
            and self.target <= MAX_TARGET
            and MIN_TICKET <= self.min_ticket <= MAX_TICKET
        ):
            raise Revert("parameter: out of bounds")


class OpenTicket(NamedTuple):
    """A ticket that the reserve owns."""

    ticket: int
    start: int
    """Claimed up to."""
    end: int


@dataclass(slots=True)
class ExitReserve:
    """State and rules. A method that raises `Revert` may have changed something: call it through `Protocol.attempt`."""

    chain: Chain
    address: Address
    pool: Pool
    queue: Queue
    erc20: Erc20
    """The reserve's own shares."""
    roles: Roles
    parameters: ReserveParameters

    cash: int = 0
    """Wei booked."""
    held: int = 0
    """floETH bought and not queued."""
    queued: int = 0
    """floETH of open tickets, up to the end of what was claimed."""
    locked_then: int = 0
    """Wei of fees that were locked at `touched_at`."""
    touched_at: int = 0
    tickets: list[OpenTicket] = field(default_factory=list)
    paying: bool = False
    """The queue is paying a claim of the reserve's own: only then does it take plain ETH."""
    entered: bool = False
    """The reserve waits for a call of its own to return: nobody may enter."""

    def construct(self) -> None:
        """Check what it was built with."""
        self.parameters.check()
        self.chain.ether[self.address] = 0
        self.chain.on_ether[self.address] = self._on_ether

    # --- value ---

    def locked(self) -> int:
        """Wei of fees that are not the holders' yet (rounded up)."""
        elapsed = min(self.chain.now - self.touched_at, DAY)
        return self.locked_then - self.locked_then * elapsed // DAY

    def total_assets(self) -> int:
        """Return the value, in wei."""
        self._enter()
        filled = self.queue.filled()
        shares, claimable = self.held, 0
        for ticket, start, end in self.tickets:
            shares += end - max(start, min(end, filled))
            if start < filled:
                claimable += self.queue.claimable(ticket)
        return self.cash + shares * self.pool.exit_rate() // ETHER + claimable - self.locked()

    def convert_to_shares(self, assets: int) -> int:
        """Shares for `assets` (rounded down)."""
        supply = self.erc20.supply
        return word(assets * supply) // self._value() if supply else assets

    def convert_to_assets(self, shares: int) -> int:
        """Wei for `shares` (rounded down)."""
        supply = self.erc20.supply
        return word(shares * self.total_assets()) // supply if supply else shares

    def preview_mint(self, shares: int) -> int:
        """Price of `shares` (rounded up)."""
        supply = self.erc20.supply
        return ceil_div(word(shares * self.total_assets()), supply) if supply else shares

    def preview_withdraw(self, assets: int) -> int:
        """Shares burnt to pay `assets` (rounded up)."""
        supply = self.erc20.supply
        return ceil_div(word(assets * supply), self._value()) if supply else assets

    def max_redeem(self, owner: Address) -> int:
        """Most shares that `owner` could redeem now."""
        self._enter()
        if self._paused() or not self.erc20.supply:
            return 0
        value = self.total_assets()
        most = ((self.cash + 1) * self.erc20.supply - 1) // value if value else 0
        return min(self.erc20.balance_of(owner), most)

    def max_withdraw(self, owner: Address) -> int:
        """Most wei that `owner` could take out now."""
        return min(self.convert_to_assets(self.max_redeem(owner)), self.cash)

    # --- sales ---

    def sell(self, sender: Address, shares: int, min_assets: int, receiver: Address) -> int:
        """Buy floETH that the caller has approved; returns the wei paid."""
        self._enter()
        self._check_receiver(receiver)
        gross, fee = self._price(shares)
        if gross - fee < min_assets:
            raise Revert("slippage: too few assets")
        self.pool.transfer_from(self.address, sender, self.address, shares)
        self.held += shares
        self._buy(gross, fee)
        self._pay(receiver, gross - fee)
        return gross - fee

    def sell_ticket(self, sender: Address, ticket: int, min_assets: int, receiver: Address, hint: int = 0) -> int:
        """Buy the unfilled rest of the caller's ticket, which is approved; what is filled is claimed and passed on."""
        self._enter()
        self._check_receiver(receiver)
        queue = self.queue
        if not queue.exists(ticket):
            raise Revert("ticket: does not exist")
        if queue.owners[ticket] != sender:
            raise Revert("ticket: not the owner's")
        rest = queue.pending(ticket)
        if rest == 0:
            raise Revert("reserve: nothing to buy")
        if rest < self.parameters.min_ticket:
            raise Revert("reserve: ticket too small")
        if len(self.tickets) >= MOST_BOUGHT_TICKETS:
            raise Revert("reserve: too many tickets")
        queue.transfer_from(self.address, sender, self.address, ticket)
        claimed = self._claim(ticket, hint) if queue.claimable(ticket) else 0
        gross, fee = self._price(rest)
        if claimed + gross - fee < min_assets:
            raise Revert("slippage: too few assets")
        end = queue.ends[ticket]
        self.tickets.append(OpenTicket(ticket, end - rest, end))
        self.queued += rest
        self._buy(gross, fee)
        self._pay(receiver, claimed + gross - fee)
        return claimed + gross - fee

    def preview_sell(self, shares: int) -> int:
        """Wei for `shares` of floETH."""
        self._enter()
        gross, fee = self._price(shares)
        return gross - fee

    def _price(self, shares: int) -> tuple[int, int]:
        """Value of floETH at the exit rate (rounded down), and the fee on it (rounded up)."""
        if self._paused():
            raise Revert("reserve: exits paused")
        gross = word(shares * self.pool.exit_rate()) // ETHER
        if gross == 0:
            raise Revert("reserve: zero assets")
        if gross > self.cash:
            raise Revert("reserve: too little ETH")
        return gross, ceil_div(gross * self._fee_ppm(gross), PPM)

    def _fee_ppm(self, gross: int) -> int:
        """Fee rate of a sale of `gross` > 0: the mean of the next wei's price along its way (rounded up)."""
        p = self.parameters
        if self._in_doubt():
            return p.fee_max
        target = self.target()
        above = min(max(self.cash - target, 0), gross)
        sloped, start = gross - above, self.cash - above
        ends = self._ppm_at(start, target) + self._ppm_at(start - sloped, target)
        return ceil_div(2 * above * p.fee_min + sloped * ends, 2 * gross)

    def _ppm_at(self, cash: int, target: int) -> int:
        p = self.parameters
        return p.fee_min if cash >= target else p.fee_max - (p.fee_max - p.fee_min) * cash // target

    def target(self) -> int:
        """Cash at which sales are cheapest."""
        if not self.parameters.of_value:
            return self.parameters.target
        return self.cash + (self.held + self.queued) * self.pool.exit_rate() // ETHER

    def _buy(self, gross: int, fee: int) -> None:
        self.cash -= gross - fee
        self.locked_then, self.touched_at = self.locked() + fee, self.chain.now
        if self.held + self.queued > U96:
            raise Revert(OVERFLOW)

    # --- what was bought ---

    def queue_exits(self, _: Address) -> int:
        """Request an exit for all floETH held; returns the ticket."""
        self._enter()
        if self.held == 0 or (self.held < MIN_BATCH and self.tickets):
            raise Revert("reserve: too little to queue")
        if len(self.tickets) >= MOST_TICKETS:
            raise Revert("reserve: too many tickets")
        end = self.queue.tail() + self.held
        ticket = self.queue.request(self.address, self.held, self.address)
        self.tickets.append(OpenTicket(ticket, end - self.held, end))
        self.queued += self.held
        self.held = 0
        return ticket

    def claim(self, _: Address, index: int, hint: int = 0) -> int:
        """Claim an open ticket, by its place in the list; returns the wei."""
        self._enter()
        if index >= len(self.tickets):
            raise Revert("reserve: no such ticket")
        ticket, start, end = self.tickets[index]
        claimed = self._claim(ticket, hint)
        until = min(end, self.queue.filled())
        self.queued -= until - start
        self.cash += claimed
        if until < end:
            self.tickets[index] = OpenTicket(ticket, until, end)
        else:
            self.tickets[index] = self.tickets[-1]
            self.tickets.pop()
        return claimed

    def stake(self, sender: Address, value: int, receiver: Address, min_shares: int, _: Address = ZERO) -> int:
        """Buy floETH held here at the entry price, and stake what is left of `value`; returns the floETH."""
        self._enter()
        self._check_receiver(receiver)
        pool = self.pool
        entry, supply = pool.entry_price()
        self.chain.move(sender, self.address, value)
        bought = cost = 0
        if not pool.pending_loss and self.held:
            bought, cost = value * supply // entry, value
            if bought > self.held:
                bought, cost = self.held, ceil_div(self.held * entry, supply)
        shares = bought
        if value > cost:
            shares += pool.deposit(self.address, value - cost, value - cost, receiver)
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        self.held -= bought
        self.cash += cost
        if bought:
            pool.transfer(self.address, receiver, bought)
        return shares

    # --- who provides the ETH ---

    def deposit(self, sender: Address, value: int, assets: int, receiver: Address, min_shares: int = 0) -> int:
        """Take exactly the `value` sent; returns the shares."""
        self._enter()
        if assets != value:
            raise Revert("deposit: value differs")
        self._check_open(receiver)
        shares = self._first(assets) if not self.erc20.supply else self.convert_to_shares(assets)
        if shares == 0:
            raise Revert("deposit: zero shares")
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        self._issue(sender, assets, receiver, shares)
        return shares

    def mint(self, sender: Address, value: int, shares: int, receiver: Address) -> int:
        """Sell exactly `shares`, give back the rest of `value`; returns the price."""
        self._enter()
        self._check_open(receiver)
        if shares == 0:
            raise Revert("deposit: zero shares")
        cost = self.preview_mint(shares)
        if not self.erc20.supply:
            cost = shares + LOCKED_SHARES
            self._first(cost)
        if value < cost:
            raise Revert("mint: value too low")
        self._issue(sender, cost, receiver, shares)
        if value > cost:
            self.chain.move(sender, self.address, value - cost)
            self._pay(sender, value - cost)
        return cost

    def withdraw(
        self, sender: Address, assets: int, receiver: Address, owner: Address, max_shares: int = UNLIMITED
    ) -> int:
        """Pay exactly `assets`; returns the shares burnt."""
        self._enter()
        shares = self.preview_withdraw(assets)
        if shares > max_shares:
            raise Revert("slippage: too many shares")
        self._leave(sender, assets, receiver, owner, shares)
        return shares

    def redeem(self, sender: Address, shares: int, receiver: Address, owner: Address, min_assets: int = 0) -> int:
        """Burn exactly `shares`; returns the wei paid."""
        self._enter()
        assets = self.convert_to_assets(shares)
        if assets < min_assets:
            raise Revert("slippage: too few assets")
        self._leave(sender, assets, receiver, owner, shares)
        return assets

    def _first(self, assets: int) -> int:
        if assets < MIN_FIRST_DEPOSIT:
            raise Revert("reserve: first deposit")
        return assets - LOCKED_SHARES

    def _issue(self, sender: Address, assets: int, receiver: Address, shares: int) -> None:
        if not self.erc20.supply:
            self.erc20.mint(self.address, LOCKED_SHARES)
        if self.cash + assets > U96:
            raise Revert(OVERFLOW)
        self.chain.move(sender, self.address, assets)
        self.cash += assets
        self.erc20.mint(receiver, shares)

    def _leave(self, sender: Address, assets: int, receiver: Address, owner: Address, shares: int) -> None:
        self._check_receiver(receiver)
        if self._paused():
            raise Revert("reserve: exits paused")
        if assets == 0:
            raise Revert("reserve: zero assets")
        if assets > self.cash:
            raise Revert("reserve: too little ETH")
        if sender != owner:
            self.erc20.check_allowance(owner, sender, shares)
            self.erc20.spend(owner, sender, shares)
        self.erc20.burn(owner, shares)
        self.cash -= assets
        self._pay(receiver, assets)

    # --- administration ---

    def set_parameters(self, sender: Address, parameters: ReserveParameters) -> None:
        """Replace all parameters, within their bounds."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        parameters.check()
        self.parameters = parameters

    # --- inside ---

    def _value(self) -> int:
        value = self.total_assets()
        if value == 0:
            raise Revert("reserve: no value")
        return value

    def _paused(self) -> bool:
        return self.chain.now < self.pool.fulfil_paused_until

    def _in_doubt(self) -> bool:
        return self.pool.pending_loss > 0 or self.chain.now > self.pool.report_at + DOUBT_AFTER

    def _check_open(self, receiver: Address) -> None:
        """Nobody buys shares while what they are worth is in doubt."""
        self._check_receiver(receiver)
        if self._paused():
            raise Revert("reserve: exits paused")
        if self.pool.pending_loss:
            raise Revert("reserve: loss pending")

    def _check_receiver(self, receiver: Address) -> None:
        if receiver in (ZERO, self.address):
            raise Revert("receiver: refused")

    def _claim(self, ticket: int, hint: int) -> int:
        """Claim what is filled of a ticket of the reserve's own."""
        self.entered = self.paying = True
        try:
            return self.queue.claim(self.address, ticket, hint)
        finally:
            self.entered = self.paying = False

    def _on_ether(self, sender: Address, _: int, __: int | None) -> bool:
        return self.paying and sender == self.queue.address

    def _enter(self) -> None:
        if self.entered:
            raise Revert(LOCKED)

    def _pay(self, receiver: Address, amount: int) -> None:
        self.entered = True
        taken = self.chain.send(self.address, receiver, amount)
        self.entered = False
        if not taken:
            raise Revert("ether: send failed")
