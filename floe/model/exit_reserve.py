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
BATCHES = 16
"""Places for the reserve's own batches; each is at least one part of as many of all that it has."""
MOST_BOUGHT_TICKETS = MOST_TICKETS - BATCHES
FRESH_SHIFT = 32
"""Fresh cash is kept in units of 2^32 wei, rounded down."""
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


class Books(NamedTuple):
    """What the reserve has, as of now."""

    cash: int = 0
    """Wei that can be paid out."""
    fresh: int = 0
    """Wei of cash that came within a day and do not make sales cheaper yet."""
    held: int = 0
    """floETH bought and not queued."""
    queued: int = 0
    """floETH of open tickets that is not claimed."""
    locked: int = 0
    """Wei of fees that are not in the value yet."""


class Line(NamedTuple):
    """The price of the next wei: straight from `fee_max` when nothing is left down to `fee_min` at the target."""

    fee_min: int
    fee_max: int
    target: int
    """Wei."""
    liquidity: int
    """Wei that are there."""

    def price_ppm(self, liquidity: int) -> int:
        """Fee rate of the next wei when `liquidity` are there (rounded up)."""
        if liquidity >= self.target:
            return self.fee_min
        return self.fee_max - (self.fee_max - self.fee_min) * liquidity // self.target

    def fee(self, gross: int) -> int:
        """Fee on `gross` wei, at most the liquidity: at the mean price along the way (rounded up, twice)."""
        if gross == 0:
            return 0
        above = min(max(self.liquidity - self.target, 0), gross)
        sloped, start = gross - above, self.liquidity - above
        ends = self.price_ppm(start) + self.price_ppm(start - sloped)
        return ceil_div(gross * ceil_div(2 * above * self.fee_min + sloped * ends, 2 * gross), PPM)


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

    books: Books = field(default_factory=Books)
    """As of `touched_at`."""
    touched_at: int = 0
    tickets: list[OpenTicket] = field(default_factory=list)
    claiming: bool = False
    """The queue is paying a claim of the reserve's own: only then it takes plain ETH."""
    entered: bool = False
    """The reserve waits for a call of its own to return: nobody may enter."""

    def construct(self) -> None:
        """Check what it was built with."""
        self.parameters.check()
        self.chain.ether[self.address] = 0
        self.chain.on_ether[self.address] = lambda *_: self.claiming

    # --- value ---

    def read(self) -> Books:
        """Return the books as of now: what is locked and what is fresh becomes less within a day (rounded up)."""
        self._enter()
        elapsed, books = min(self.chain.now - self.touched_at, DAY), self.books
        return books._replace(
            fresh=books.fresh - books.fresh * elapsed // DAY, locked=books.locked - books.locked * elapsed // DAY
        )

    def total_assets(self) -> int:
        """Return the value of all shares, in wei."""
        books = self.read()
        waiting = claimable = 0
        filled = self.queue.filled()
        for ticket, start, end in self.tickets:
            waiting += end - min(max(filled, start), end)
            if start < filled:
                claimable += self.queue.claimable(ticket)
        total = books.cash + (books.held + waiting) * self.pool.exit_rate() // ETHER + claimable
        return total - min(books.locked, total)

    def size(self, books: Books) -> int:
        """Wei of all that the reserve has, fees not taken off and tickets as if none were filled."""
        return books.cash + (books.held + books.queued) * self.pool.exit_rate() // ETHER

    def cash(self) -> int:
        """Wei that can be paid out."""
        return self.read().cash

    def fresh(self) -> int:
        """Wei of cash that do not make sales cheaper yet."""
        return self.read().fresh

    def held(self) -> int:
        """Return floETH that was bought and is not queued."""
        return self.read().held

    def queued(self) -> int:
        """Return floETH of open tickets that is not claimed."""
        return self.read().queued

    def locked(self) -> int:
        """Wei of fees that are not in the value yet."""
        return self.read().locked

    def fee(self) -> int:
        """Fee rate in ppm of the next wei out."""
        return self._line(self.read()).price_ppm(self._line(self.read()).liquidity)

    # --- sales ---

    def preview_sell(self, shares: int) -> int:
        """Wei for `shares` of floETH."""
        return self._terms(self.read(), shares)[0]

    def sell(self, sender: Address, shares: int, min_assets: int, receiver: Address) -> int:
        """Buy floETH that the caller has approved; returns the wei paid."""
        self._enter()
        self._check_receiver(receiver)
        books = self.read()
        assets, fee = self._terms(books, shares)
        if assets < min_assets:
            raise Revert("slippage: too few assets")
        self._write(
            books._replace(cash=books.cash - assets, held=books.held + shares, locked=books.locked + fee),
        )
        self.pool.transfer_from(self.address, sender, self.address, shares)
        self._pay(receiver, assets)
        return assets

    def preview_sell_ticket(self, ticket: int) -> int:
        """Wei for a ticket."""
        _, first, end = self._interval(ticket)
        return self._terms(self.read(), end - first)[0] + self.queue.claimable(ticket)

    def sell_ticket(self, sender: Address, ticket: int, min_assets: int, receiver: Address, hint: int = 0) -> int:
        """Buy the unfilled rest of the caller's ticket, which is approved; what is filled is claimed and passed on."""
        self._enter()
        self._check_receiver(receiver)
        start, first, end = self._interval(ticket)
        self.queue.transfer_from(self.address, sender, self.address, ticket)
        claimed = self._claim(ticket, hint) if start < first else 0
        books = self.read()
        assets, fee = self._terms(books, end - first)
        if claimed + assets < min_assets:
            raise Revert("slippage: too few assets")
        self._add(OpenTicket(ticket, first, end), MOST_BOUGHT_TICKETS)
        self._write(
            books._replace(cash=books.cash - assets, queued=books.queued + end - first, locked=books.locked + fee)
        )
        self._pay(receiver, claimed + assets)
        return claimed + assets

    def _interval(self, ticket: int) -> tuple[int, int, int]:
        """Return of a ticket that may be sold where it is not claimed, where it is not filled, and its end."""
        if not self.queue.exists(ticket):
            raise Revert("ticket: does not exist")
        start, end = self.queue.claimed_until(ticket), self.queue.ends[ticket]
        first = min(max(start, self.queue.filled()), end)
        if first == end:
            raise Revert("reserve: nothing to buy")
        if end - first < self.parameters.min_ticket:
            raise Revert("reserve: ticket too small")
        return start, first, end

    def _terms(self, books: Books, shares: int) -> tuple[int, int]:
        """Wei that are paid for `shares` of floETH, and the fee that is kept (rounded up).

        What goes beyond the cash that is not fresh pays the price of the last wei.
        """
        if self._paused():
            raise Revert("reserve: exits paused")
        gross = word(shares * self.pool.exit_rate()) // ETHER
        if gross > books.cash:
            raise Revert("reserve: too little ETH")
        line = self._line(books)
        within = min(gross, line.liquidity)
        fee = line.fee(within) + ceil_div((gross - within) * line.price_ppm(0), PPM)
        if fee >= gross:
            raise Revert("reserve: nothing to buy")
        return gross - fee, fee

    def _line(self, books: Books) -> Line:
        p = self.parameters
        return Line(
            p.fee_max if self._in_doubt() else p.fee_min,
            p.fee_max,
            self.size(books) if p.of_value else p.target,
            books.cash - min(books.fresh, books.cash),
        )

    # --- what was bought ---

    def queue_exits(self, _: Address) -> int:
        """Request an exit for all floETH held; returns the ticket."""
        books = self.read()
        small = books.held * self.pool.exit_rate() // ETHER * BATCHES < self.size(books)
        if books.held == 0 or (small and self.tickets):
            raise Revert("reserve: too little to queue")
        ticket = self.queue.request(self.address, books.held, self.address)
        self._add(OpenTicket(ticket, self.queue.ends[ticket - 1], self.queue.ends[ticket]), MOST_TICKETS)
        self._write(books._replace(held=0, queued=books.queued + books.held))
        return ticket

    def claim(self, _: Address, index: int, hint: int = 0) -> int:
        """Claim an open ticket, by its place in the list; returns the wei."""
        self._enter()
        if index >= len(self.tickets):
            raise Revert("ticket: does not exist")
        ticket, start, end = self.tickets[index]
        assets = self._claim(ticket, hint)
        until = min(end, self.queue.filled())
        if until < end:
            self.tickets[index] = OpenTicket(ticket, until, end)
        else:
            self.tickets[index] = self.tickets[-1]
            self.tickets.pop()
        books = self.read()
        self._write(books._replace(cash=books.cash + assets, queued=books.queued - (until - start)))
        return assets

    def preview_stake(self, assets: int) -> int:
        """Return floETH for `assets` wei, the pool's limits aside."""
        bought, price = self._from_held(assets)
        value, supply = self.pool.entry_price()
        if value == 0:
            raise Revert("pool: no value")
        return bought + word((assets - price) * supply) // value

    def stake(self, sender: Address, value: int, receiver: Address, min_shares: int = 0, _: Address = ZERO) -> int:
        """Buy floETH held here at the entry price, and stake what is left of `value`; returns the floETH."""
        self._enter()
        self._check_receiver(receiver)
        bought, price = self._from_held(value)
        self.chain.move(sender, self.address, value)
        if bought:
            books = self.read()
            self._write(books._replace(cash=books.cash + price, held=books.held - bought))
            self.pool.transfer(self.address, receiver, bought)
        shares = bought
        if price < value or bought == 0:
            shares += self.pool.deposit(self.address, value - price, value - price, receiver)
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        return shares

    def _from_held(self, assets: int) -> tuple[int, int]:
        """Return floETH that `assets` wei buy here, and its price: all, when the rest would buy none in the pool."""
        held = self.read().held
        if held == 0:
            return 0, 0
        value, supply = self.pool.entry_price()
        if self.pool.pending_loss or self._paused() or value == 0:
            return 0, 0
        wanted = word(assets * supply) // value
        if wanted <= held:
            return (wanted, assets) if wanted else (0, 0)
        price = ceil_div(held * value, supply)
        return held, assets if (assets - price) * supply < value else price

    # --- who provides the ETH: in and out ---

    def convert_to_shares(self, assets: int) -> int:
        """Shares for `assets` (rounded down)."""
        self._enter()
        supply = self.erc20.supply
        return word(assets * supply) // self._value() if supply else assets

    def convert_to_assets(self, shares: int) -> int:
        """Wei for `shares` (rounded down)."""
        self._enter()
        supply = self.erc20.supply
        return word(shares * self.total_assets()) // supply if supply else shares

    def preview_redeem(self, shares: int) -> int:
        """Wei for `shares`, the cash aside."""
        return self.convert_to_assets(shares)

    def preview_deposit(self, assets: int) -> int:
        """Shares for `assets`, those that the first deposit leaves here taken off."""
        if self.erc20.supply:
            return self.convert_to_shares(assets)
        self._enter()
        if assets < MIN_FIRST_DEPOSIT:
            raise Revert("reserve: first deposit")
        return assets - LOCKED_SHARES

    def preview_mint(self, shares: int) -> int:
        """Price of `shares` (rounded up), with those that the first deposit leaves here."""
        self._enter()
        supply = self.erc20.supply
        if supply:
            return ceil_div(word(shares * self._value()), supply)
        if word(shares + LOCKED_SHARES) < MIN_FIRST_DEPOSIT:
            raise Revert("reserve: first deposit")
        return shares + LOCKED_SHARES

    def preview_withdraw(self, assets: int) -> int:
        """Shares burnt to pay `assets` (rounded up)."""
        self._enter()
        value = self._value()
        return ceil_div(word(assets * self.erc20.supply), value)

    def max_deposit(self, receiver: Address) -> int:
        """Wei that the books can still take; 0 while deposits are refused."""
        self._enter()
        if self._paused() or self.pool.pending_loss or self._refuses(receiver):
            return 0
        if self.erc20.supply and self.total_assets() == 0:
            return 0
        return U96 - self.books.cash

    def max_mint(self, receiver: Address) -> int:
        """Shares that could be minted now."""
        room = self.max_deposit(receiver)
        return self.preview_deposit(room) if room else 0

    def max_redeem(self, owner: Address) -> int:
        """Most shares that `owner` could redeem now."""
        self._enter()
        if self._paused():
            return 0
        shares = self.erc20.balance_of(owner)
        if self.convert_to_assets(shares) <= self.books.cash:
            return shares
        return ((self.books.cash + 1) * self.erc20.supply - 1) // self.total_assets()

    def max_withdraw(self, owner: Address) -> int:
        """Most wei that `owner` could take out now."""
        self._enter()
        return 0 if self._paused() else min(self.convert_to_assets(self.erc20.balance_of(owner)), self.books.cash)

    def deposit(self, sender: Address, value: int, assets: int, receiver: Address, min_shares: int = 0) -> int:
        """Take exactly the `value` sent; returns the shares."""
        self._enter()
        if assets != value:
            raise Revert("deposit: value differs")
        shares = self.preview_deposit(assets)
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        self._issue(sender, assets, receiver, shares)
        return shares

    def mint(self, sender: Address, value: int, shares: int, receiver: Address) -> int:
        """Sell exactly `shares`, give back the rest of `value`; returns the price."""
        cost = self.preview_mint(shares)
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
        shares = self.preview_withdraw(assets)
        if shares > max_shares:
            raise Revert("slippage: too many shares")
        self._leave(sender, assets, receiver, owner, shares)
        return shares

    def redeem(self, sender: Address, shares: int, receiver: Address, owner: Address, min_assets: int = 0) -> int:
        """Burn exactly `shares`; returns the wei paid."""
        assets = self.convert_to_assets(shares)
        if assets < min_assets:
            raise Revert("slippage: too few assets")
        self._leave(sender, assets, receiver, owner, shares)
        return assets

    def balance_of(self, owner: Address) -> int:
        """Return the reserve's shares of `owner`."""
        return self.erc20.balance_of(owner)

    def transfer(self, sender: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of the caller's shares."""
        self._enter()
        self._check_receiver(receiver)
        return self.erc20.transfer(sender, receiver, amount)

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of the shares of `owner` out of the caller's allowance."""
        self._enter()
        self._check_receiver(receiver)
        return self.erc20.transfer_from(sender, owner, receiver, amount)

    def _issue(self, sender: Address, assets: int, receiver: Address, shares: int) -> None:
        self._check_receiver(receiver)
        if self._paused():
            raise Revert("reserve: exits paused")
        if self.pool.pending_loss:
            raise Revert("reserve: loss pending")
        if shares == 0:
            raise Revert("deposit: zero shares")
        books = self.read()
        self._write(books._replace(cash=books.cash + assets, fresh=books.fresh + assets))
        if not self.erc20.supply:
            self.erc20.mint(self.address, LOCKED_SHARES)
        self.erc20.mint(receiver, shares)
        self.chain.move(sender, self.address, assets)

    def _leave(self, sender: Address, assets: int, receiver: Address, owner: Address, shares: int) -> None:
        self._check_receiver(receiver)
        if self._paused():
            raise Revert("reserve: exits paused")
        books = self.read()
        if assets > books.cash:
            raise Revert("reserve: too little ETH")
        if sender != owner:
            self.erc20.check_allowance(owner, sender, shares)
            self.erc20.spend(owner, sender, shares)
        self.erc20.burn(owner, shares)
        self._write(
            books._replace(cash=books.cash - assets, fresh=books.fresh - min(books.fresh, assets)),
        )
        self._pay(receiver, assets)

    # --- administration ---

    def set_parameters(self, sender: Address, parameters: ReserveParameters) -> None:
        """Replace all parameters, within their bounds."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        parameters.check()
        self.parameters = parameters

    # --- inside ---

    def _write(self, books: Books) -> None:
        """Note the books as of now; fresh is at most the cash."""
        if max(books.cash, books.held, books.queued, books.locked) > U96:
            raise Revert("pool: total over 96 bits")
        fresh = min(books.fresh, books.cash) >> FRESH_SHIFT << FRESH_SHIFT
        self.books, self.touched_at = books._replace(fresh=fresh), self.chain.now

    def _add(self, ticket: OpenTicket, limit: int) -> None:
        if len(self.tickets) >= limit:
            raise Revert("reserve: too many tickets")
        self.tickets.append(ticket)

    def _value(self) -> int:
        value = self.total_assets()
        if value == 0:
            raise Revert("reserve: no value")
        return value

    def _paused(self) -> bool:
        self.pool._enter()
        return self.chain.now < self.pool.fulfil_paused_until

    def _in_doubt(self) -> bool:
        return self.pool.pending_loss > 0 or self.chain.now > self.pool.report_at + DOUBT_AFTER

    def _refuses(self, receiver: Address) -> bool:
        return receiver in (ZERO, self.address, self.pool.address)

    def _check_receiver(self, receiver: Address) -> None:
        if self._refuses(receiver):
            raise Revert("receiver: refused")

    def _claim(self, ticket: int, hint: int) -> int:
        """Claim what is filled of a ticket of the reserve's own."""
        self.claiming = True
        try:
            return self.queue.claim(self.address, ticket, hint)
        finally:
            self.claiming = False

    def _enter(self) -> None:
        if self.entered:
            raise Revert(LOCKED)

    def _pay(self, receiver: Address, amount: int) -> None:
        self.entered = True
        taken = self.chain.send(self.address, receiver, amount)
        self.entered = False
        if not taken:
            raise Revert("ether: send failed")

    # --- the same state, as the contract packs it ---

    def words(self) -> tuple[int, int, int]:
        """Return the words liquid, away, live."""
        books, p = self.books, self.parameters
        return (
            books.cash | books.held << 96 | books.fresh >> FRESH_SHIFT << 192,
            books.queued | books.locked << 96 | self.touched_at << 192,
            p.fee_min | p.fee_max << 24 | p.target << 48 | p.min_ticket << 144 | p.of_value << 240,
        )
