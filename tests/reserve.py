"""An exit reserve beside the warm protocol, its fee in exact fractions, and what must be true of it at any time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from tests.evm import DAY, ETHER, Account, Contract, address_of
from tests.protocol import FULFIL, GUARDIAN, SAVER, STAKER, UNLIMITED, Protocol

PPM = 10**6
LOCKED_SHARES = 10**9
MIN_FIRST_DEPOSIT = ETHER // 100
BATCHES = 16
MAX_SOLD_TICKETS = 48
MAX_TICKETS = 64


class Parameters(NamedTuple):
    """The reserve's `Parameters`."""

    fee_min: int
    fee_max: int
    target: int
    of_value: bool
    min_ticket: int


PARAMETERS = Parameters(fee_min=500, fee_max=20_000, target=80 * ETHER, of_value=False, min_ticket=ETHER // 10)


def price_at(p: Parameters, target: int, liquidity: int) -> Fraction:
    """Exact fee in ppm on the next wei out while `liquidity` wei are there."""
    if liquidity >= target:
        return Fraction(p.fee_min)
    return p.fee_max - (p.fee_max - p.fee_min) * Fraction(liquidity, target)


def exact_fee(p: Parameters, target: int, liquidity: int, gross: int) -> Fraction:
    """Exact fee in wei of a sale worth `gross` wei: the area below the line, and the end's price beyond it."""
    within = min(gross, liquidity)
    above = min(max(liquidity - target, 0), within)
    start, end = liquidity - above, liquidity - within
    sloped = Fraction(start - end) * (price_at(p, target, start) + price_at(p, target, end)) / 2
    return (above * p.fee_min + sloped + (gross - within) * price_at(p, target, 0)) / PPM


class Reserve:
    """A reserve of 100 ETH of the saver's, a day old, to which the staker has approved floETH and tickets."""

    def __init__(self, protocol: Protocol, cash: int = 100 * ETHER, **changes: Any) -> None:
        """Deploy it; `changes` replaces parameters by name."""
        self.protocol, self.evm, self.pool, self.queue = protocol, protocol.evm, protocol.pool, protocol.queue
        self.parameters = PARAMETERS._replace(**changes)
        self.contract: Contract = self.evm.deploy("ExitReserve", self.pool, protocol.admin, self.parameters)
        for account in (STAKER, SAVER):
            self.pool.approve(self.contract, UNLIMITED, sender=account)
            self.queue.setApprovalForAll(self.contract, True, sender=account)
        if cash:
            self.provide(cash)
            self.evm.travel(DAY)

    # --- what people do ---

    def provide(self, amount: int, account: Account = SAVER) -> int:
        """Deposit `amount` wei; returns the reserve's shares."""
        return int(self.contract.deposit(amount, account, sender=account, value=amount))

    def sell(self, shares: int, account: Account = STAKER) -> int:
        """Sell floETH; returns the wei."""
        return int(self.contract.sell(shares, 0, sender=account))

    def ticket(self, shares: int, account: Account = STAKER) -> int:
        """Request an exit; returns the ticket."""
        return self.protocol.request(shares, account)

    def sell_ticket(self, ticket: int, account: Account = STAKER) -> int:
        """Sell a ticket; returns the wei."""
        return int(self.contract.sell_ticket(ticket, 0, sender=account))

    def set_parameters(self, **changes: Any) -> None:
        """Replace some parameters."""
        self.parameters = self.parameters._replace(**changes)
        self.contract.set_parameters(self.parameters, sender=self.protocol.admin)

    def fulfil(self, assets: int = UNLIMITED) -> int:
        """Make all exits eligible and pay as many as the buffer, or `assets` wei, are enough for; returns the wei."""
        self.protocol.report()
        return int(self.pool.fulfil(assets)[1])

    def hold_report(self) -> None:
        """Stop fulfilments for a day, as the oracle does while a report is held."""
        self.pool.pause(FULFIL, self.evm.now + DAY, sender=GUARDIAN)

    # --- what is true ---

    def tickets(self) -> list[int]:
        """Numbers of the open tickets."""
        return [entry[0] for entry in self.contract.open_tickets()]

    def liquidity(self) -> int:
        """Wei that the fee goes by."""
        return int(self.contract.cash() - self.contract.fresh())

    def gross(self, shares: int) -> int:
        """Wei that floETH is worth at the exit rate, rounded down."""
        return int(shares * self.pool.exit_rate() // ETHER)

    def size(self) -> int:
        """Wei that everything is worth, fees not taken off."""
        return int(self.contract.cash() + self.gross(self.contract.held() + self.contract.queued()))

    def target(self) -> int:
        """Wei at which the fee is lowest."""
        return self.size() if self.parameters.of_value else self.parameters.target

    def check_fee(self, gross: int, paid: int, *, doubt: bool = False) -> None:
        """Check that a sale worth `gross` wei leaves the exact fee, rounded up by less than 3 ppm and 3 wei."""
        p = self.parameters._replace(fee_min=self.parameters.fee_max) if doubt else self.parameters
        exact = exact_fee(p, self.target(), self.liquidity(), gross)
        assert exact <= gross - paid < exact + Fraction(3 * gross, PPM) + 3

    def value(self) -> int:
        """Return the value, from what the queue itself says about the tickets."""
        waiting = sum(self.queue.pending(ticket) for ticket in self.tickets())
        claimable = sum(self.queue.claimable(ticket) for ticket in self.tickets())
        total = self.contract.cash() + self.gross(self.contract.held() + waiting) + claimable
        return int(max(total - self.contract.locked(), 0))

    def share_value(self) -> Fraction:
        """Exact value of one share's smallest part."""
        return Fraction(self.contract.totalAssets(), self.contract.totalSupply())

    def check(self, *, ether_given: int = 0, shares_given: int = 0) -> None:
        """Check that the books are what is there, but for gifts, and that the list of tickets is the queue's."""
        contract, queue = self.contract, self.queue
        assert contract.totalAssets() == self.value()
        assert self.evm.balance(contract) == contract.cash() + ether_given
        assert self.pool.balanceOf(contract) == contract.held() + shares_given
        waiting = 0
        for ticket, start, end in contract.open_tickets():
            assert queue.ownerOf(ticket) == address_of(contract)
            assert start == queue.claimed_until(ticket)
            assert end == queue.interval(ticket)[1]
            waiting += end - start
        assert contract.queued() == waiting
        assert contract.fresh() <= contract.cash()
