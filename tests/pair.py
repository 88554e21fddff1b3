"""A pair beside the warm protocol, and its curve solved anew in high precision: from the whitepaper, not the contract.

Sides and values are wei, exact numbers are `Decimal` with 78 digits, A is the amplification itself (200, not 20,000).
"""

from __future__ import annotations

from decimal import Decimal, getcontext
from typing import Any, NamedTuple

from tests.evm import ETHER, Account, Contract
from tests.protocol import FEE_RECIPIENT, PARAMETERS, SAVER, STAKER, UNLIMITED, Protocol

getcontext().prec = 78  # as the compiler sets it

PPM = 10**6
LOCKED_LIQUIDITY = 10**12
MIN_FIRST_SIDE = ETHER // 20
MIN_SIDE = 10**9
MAX_RATIO = 10_000


class Terms(NamedTuple):
    """The constructor's last arguments."""

    fee: int = 400
    off_peg: int = 50_000
    admin_ppm: int = 200_000
    amplification: int = 20_000


TERMS = Terms()


# --- the curve ---


def exact_value(x: int | Decimal, y: int | Decimal, amplification: int | Decimal) -> Decimal:
    """Return D of 2A (x + y) + D = 2A D + D^3 / (4 x y)."""
    x, y, ann = Decimal(x), Decimal(y), 2 * Decimal(amplification)
    d = x + y
    while True:
        better = d - (d**3 / (4 * x * y) + (ann - 1) * d - ann * (x + y)) / (3 * d**2 / (4 * x * y) + ann - 1)
        if abs(better - d) < Decimal(10) ** -40:
            return better
        d = better


def exact_other(x: int | Decimal, d: Decimal, amplification: int | Decimal) -> Decimal:
    """Return the side beside `x` at which D is `d`: y^2 + (x + d/2A - d) y = d^3 / (8 A x)."""
    x, ann = Decimal(x), 2 * Decimal(amplification)
    half = (x + d / ann - d) / 2
    return (half**2 + d**3 / (4 * ann * x)).sqrt() - half


def exact_price(x: int, y: int, amplification: int) -> Decimal:
    """Return ETH per ETH of floETH's value: what a millionth of a wei of it brings."""
    d, little = exact_value(x, y, amplification), Decimal(10) ** -12
    return (x - exact_other(y + little, d, amplification)) / little


def fee_ppm(terms: Terms, x: int, y: int) -> int:
    """Return the dynamic fee at balances x, y (or any multiple of them), rounded up."""
    factor = Decimal(terms.off_peg) / 10_000
    evenness = 4 * Decimal(x) * y / Decimal(x + y) ** 2
    rate = terms.fee * factor / ((factor - 1) * evenness + 1)
    return int(rate.to_integral_value(rounding="ROUND_CEILING"))


def trade(x: int, y: int, worth: int, terms: Terms = TERMS) -> tuple[Decimal, Decimal]:
    """Return what `worth` more of x takes out of y, after the fee, and the fee."""
    a = terms.amplification // 100
    rest = exact_other(x + worth, exact_value(x, y, a), a)
    gross = y - rest
    fee = gross * fee_ppm(terms, 2 * x + worth, y + round(rest)) / PPM
    return gross - fee, fee


# --- the pair ---


class Pair:
    """A pair to which the saver has provided a block ago; saver and staker have approved their floETH."""

    def __init__(self, protocol: Protocol, eth: int = 100 * ETHER, floeth: int = 90 * ETHER, **terms: Any) -> None:
        """Deploy it, and provide `eth` wei and `floeth` shares unless both are 0; `terms` replaces terms by name."""
        self.protocol, self.evm, self.pool = protocol, protocol.evm, protocol.pool
        self.terms = TERMS._replace(**terms)
        self.contract: Contract = self.evm.deploy("StablePair", self.pool, protocol.admin, FEE_RECIPIENT, *self.terms)
        for account in (STAKER, SAVER):
            self.pool.approve(self.contract, UNLIMITED, sender=account)
        if eth or floeth:
            self.add(eth, floeth, SAVER)
            self.evm.travel(12)

    # --- what people do ---

    def buy(self, wei: int, account: Account = STAKER) -> int:
        """Sell `wei` for shares."""
        return int(self.contract.buy(0, account, sender=account, value=wei))

    def sell(self, shares: int, account: Account = STAKER) -> int:
        """Sell `shares` for wei."""
        return int(self.contract.sell(shares, 0, account, sender=account))

    def add(self, wei: int, shares: int, account: Account = STAKER) -> int:
        """Provide, for liquidity."""
        return int(self.contract.add_liquidity(shares, 0, account, sender=account, value=wei))

    def remove(self, liquidity: int, account: Account = STAKER) -> tuple[int, int]:
        """Give up liquidity for both."""
        assets, shares = self.contract.remove_liquidity(liquidity, 0, 0, account, sender=account)
        return int(assets), int(shares)

    def remove_one(self, liquidity: int, of_ether: bool, account: Account = STAKER) -> int:
        """Give up liquidity for one side."""
        return int(self.contract.remove_one(liquidity, of_ether, 0, account, sender=account))

    # --- what is true of it ---

    def sides(self) -> tuple[int, int]:
        """Return the value of both sides."""
        eth, floeth = self.contract.balances()
        return eth, self.worth(floeth)

    def worth(self, shares: int) -> int:
        """Return what `shares` are worth at the entry price (rounded down)."""
        value, supply = self.pool.entry_price()
        return int(shares * value // supply)

    def value(self) -> Decimal:
        """Return the exact D of both sides."""
        return exact_value(*self.sides(), Decimal(self.contract.amplification()) / 100)

    def check(self) -> None:
        """Demand that the books are covered, and that `collect` would send what they do not hold."""
        eth, floeth = self.contract.balances()
        beyond = self.contract.admin_fees()
        assert eth + beyond[0] == self.evm.balance(self.contract)
        assert floeth + beyond[1] == self.pool.balanceOf(self.contract)
        assert self.contract.totalSupply() >= self.contract.balanceOf(self.contract) >= LOCKED_LIQUIDITY


def collapsed(protocol: Protocol, parts: int, of: int, **provided: int) -> Pair:
    """Return a pair in a fresh protocol, whose rate then fell to `parts` of `of`: all that is staked was lost."""
    protocol.pool.set_parameters(PARAMETERS._replace(target_bps=0, allowance_bps=0), sender=protocol.admin)
    protocol.stake(200 * ETHER)
    protocol.stake(200 * ETHER, SAVER)
    pair = Pair(protocol, **provided)
    protocol.to_validators()
    assert protocol.pool.buffer() == 0
    protocol.rate_falls_to(parts, of)
    return pair
