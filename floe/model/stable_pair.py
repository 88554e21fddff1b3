"""The pair: ETH and floETH on a stableswap curve, the floETH counted at the pool's entry rate.

x0 is the ETH booked, x1 the floETH booked times V // S; D the invariant of Curve's whitepaper for two coins, at which
Ann·(x0 + x1) + D = Ann·D + D³ / (4·x0·x1). What D grows by, through fees, is locked and released over a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

from floe.model.basics import (
    DAY,
    ETHER,
    GWEI,
    LOCKED,
    OVERFLOW,
    PPM,
    U96,
    ZERO,
    Address,
    Chain,
    Revert,
    ceil_div,
    word,
)
from floe.model.erc20 import Erc20
from floe.model.pool import Pool
from floe.model.tokens import ADMIN_ROLE, Roles

HUNDREDTHS = 100
OFF_PEG_ONE = 10_000
MIN_FEE, MAX_FEE = 50, 10_000
MAX_OFF_PEG = 20 * OFF_PEG_ONE
MAX_ADMIN_PPM = 500_000
MIN_A, MAX_A = HUNDREDTHS, 5_000 * HUNDREDTHS
MAX_RAMP_FACTOR = 10
MIN_RAMP = DAY
MAX_IMBALANCE = 10_000
MIN_SIDE = GWEI
MIN_FIRST_SIDE = ETHER // 20
MAX_FIRST_IMBALANCE = 3
LOCKED_LIQUIDITY = 10**12


# --- the curve ---


def cubic(x0: int, x1: int, d: int) -> int:
    """Return d³ / (4·x0·x1), rounded up, by less than 2."""
    return (d * d // (2 * min(x0, x1)) + 1) * d // (2 * max(x0, x1)) + 1


def invariant(a: int, x0: int, x1: int) -> int:
    """Return D, rounded down: the largest d with 100·cubic(d) + (a - 100)·d <= a·(x0 + x1). `a` is 200·A."""
    wanted = a * (x0 + x1)
    d = x0 + x1
    while True:  # Newton falls towards D and may end a little off it
        part = HUNDREDTHS * cubic(x0, x1, d)
        better = d * (wanted + 2 * part) // (3 * part + (a - HUNDREDTHS) * d)
        if better >= d:
            break
        d = better
    while HUNDREDTHS * cubic(x0, x1, d) + (a - HUNDREDTHS) * d > wanted:
        d -= 1
    while HUNDREDTHS * cubic(x0, x1, d + 1) + (a - HUNDREDTHS) * (d + 1) <= wanted:
        d += 1
    return d


def other_side(a: int, x: int, d: int) -> int:
    """Return the side beside `x` at which the value is `d`, rounded up: the least y with y·(y + b) >= c + d·y."""
    b = x + HUNDREDTHS * d // a
    c = (d * d // (2 * x) + 1) * d * HUNDREDTHS // (2 * a) + 1
    # y² + p·y = c: the positive root, in whole numbers.
    p = b - d
    y = (isqrt(p * p + 4 * c) - p) // 2
    while y * (y + b) >= c + d * y:
        y -= 1
    while y * (y + b) < c + d * y:
        y += 1
    return y


def marginal_price(a: int, x0: int, x1: int, d: int) -> int:
    """ETH per wei of floETH's value, times 10^18, for the next wei and without fee (rounded down)."""
    part = HUNDREDTHS * cubic(x0, x1, d)
    return (x0 * ETHER // x1) * (a * x1 + part) // (a * x0 + part)


def dynamic_fee(fee: int, off_peg: int, x0: int, x1: int) -> int:
    """Fee rate in ppm at these balances: `fee` in balance, up to fee·off_peg / OFF_PEG_ONE far from it (rounded up)."""
    square = (x0 + x1) ** 2
    return ceil_div(fee * off_peg * square, (off_peg - OFF_PEG_ONE) * 4 * x0 * x1 + OFF_PEG_ONE * square)


# --- the pair ---


class Fees(NamedTuple):
    """What trades cost."""

    fee: int
    """ppm of what comes out, in balance."""
    off_peg: int
    """Factor on it far from balance, times OFF_PEG_ONE."""
    admin_ppm: int
    """Part of a swap's fee that is the admin's."""

    def check(self) -> None:
        """Refuse what is out of bounds."""
        fee, off_peg, admin = self
        if not (MIN_FEE <= fee <= MAX_FEE and OFF_PEG_ONE <= off_peg <= MAX_OFF_PEG and admin <= MAX_ADMIN_PPM):
            raise Revert("parameter: out of bounds")


class Market(NamedTuple):
    """What a call reads once: the entry price, the pending loss, the curve and where on it the pair is."""

    value: int
    """V, wei that all shares of the pool cost."""
    supply: int
    """S, shares of the pool."""
    loss: int
    """P, wei."""
    ann: int
    x0: int
    x1: int
    d: int
    locked: int

    def worth(self, shares: int) -> int:
        """Wei of `shares` at the entry price (rounded down)."""
        return word(shares * self.value) // self.supply

    def shares_for(self, wei: int) -> int:
        """Shares for `wei` at the entry price (rounded down)."""
        if self.value == 0:
            raise Revert(OVERFLOW)
        return word(wei * self.supply) // self.value

    @property
    def loss_ppm(self) -> int:
        """P / V in ppm (rounded up)."""
        return ceil_div(min(self.loss, self.value) * PPM, self.value)


@dataclass(slots=True)
class StablePair:
    """State and rules. A method that raises `Revert` has changed nothing, unless it sends ETH (see `Pool`)."""

    chain: Chain
    address: Address
    pool: Pool
    erc20: Erc20
    """The LP tokens."""
    roles: Roles
    fee_receiver: Address
    fees: Fees
    a_from: int
    """Amplification times HUNDREDTHS when the ramp starts."""
    a_to: int = 0
    """And when it ends."""
    ramp_start: int = 0
    ramp_end: int = 0

    eth: int = 0
    """Wei booked: what lies here beyond it is the admin's."""
    floeth: int = 0
    """Shares of the pool booked, likewise."""
    cumulative: int = 0
    """Sum of price times seconds."""
    touched_at: int = 0
    """Until when `cumulative` counts, and when `locked_then` was locked."""
    locked_then: int = 0
    """Wei of D."""
    entered: bool = False
    """The pair waits for a call of its own to return: nobody may enter."""

    def construct(self) -> None:
        """Check what it was built with."""
        self.fees.check()
        if not MIN_A <= self.a_from <= MAX_A:
            raise Revert("parameter: out of bounds")
        self._check_receiver(self.fee_receiver)
        self.a_to = self.a_from
        self.touched_at = self.chain.now

    # --- what is true now ---

    def amplification(self) -> int:
        """Return A times HUNDREDTHS: on the way of a ramp, in a straight line (rounded towards where it began)."""
        now, start, end = self.chain.now, self.ramp_start, self.ramp_end
        if now >= end:
            return self.a_to
        if self.a_to >= self.a_from:
            return self.a_from + (self.a_to - self.a_from) * (now - start) // (end - start)
        return self.a_from - (self.a_from - self.a_to) * (now - start) // (end - start)

    def locked(self) -> int:
        """Wei of fees that are not the holders' yet (rounded up)."""
        elapsed = min(self.chain.now - self.touched_at, DAY)
        return self.locked_then - self.locked_then * elapsed // DAY

    def market(self) -> Market:
        """Read what a call needs."""
        value, supply = self.pool.entry_price()
        ann = 2 * self.amplification()
        x0, x1 = self.eth, self.floeth * value // supply
        d = invariant(ann, x0, x1) if self.erc20.supply else 0
        return Market(value, supply, self.pool.pending_loss, ann, x0, x1, d, self.locked())

    def price(self) -> int:
        """ETH per wei of floETH's value, times 10^18, without fee."""
        self._enter()
        return self._price(self.market())

    def price_cumulative(self) -> tuple[int, int]:
        """Sum of price times seconds up to now, and now."""
        self._enter()
        return self._cumulative(self.market()), self.chain.now

    def virtual_price(self) -> int:
        """Value of 10^18 LP tokens (rounded down)."""
        self._enter()
        market = self.market()
        return (market.d - market.locked) * ETHER // self.erc20.supply

    def fee(self) -> int:
        """Fee rate in ppm at these balances."""
        self._enter()
        market = self.market()
        return dynamic_fee(self.fees.fee, self.fees.off_peg, market.x0, market.x1)

    def admin_fees(self) -> tuple[int, int]:
        """Wei and shares that lie here beyond the books."""
        self._enter()
        return self.chain.ether[self.address] - self.eth, self.pool.balance_of(self.address) - self.floeth

    # --- swaps ---

    def preview_buy(self, wei: int) -> int:
        """Shares for `wei`."""
        self._enter()
        return self._quote_buy(self.market(), wei)[0]

    def buy(self, sender: Address, value: int, min_shares: int, receiver: Address) -> int:
        """Take `value` wei, pay shares."""
        self._enter()
        self._check_receiver(receiver)
        market = self.market()
        shares, admin = self._quote_buy(market, value)
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        self._book(market, self.eth + value, self.floeth - shares - admin)
        self.chain.move(sender, self.address, value)
        self.pool.transfer(self.address, receiver, shares)
        return shares

    def _quote_buy(self, market: Market, wei: int) -> tuple[int, int]:
        """Shares out and shares for the admin."""
        if not market.d:
            raise Revert("pair: empty")
        if wei == 0:
            raise Revert("pair: zero amount")
        x0 = market.x0 + wei
        gross = market.x1 - other_side(market.ann, x0, market.d) - 1
        fee = self._swap_fee(market, x0, market.x1 - gross, gross)
        shares = market.shares_for(gross - fee)
        admin = market.shares_for(fee * self.fees.admin_ppm // PPM)
        self._check_books(market, x0, self.floeth - shares - admin)
        return shares, admin

    def preview_sell(self, shares: int) -> int:
        """Wei for `shares`."""
        self._enter()
        return self._quote_sell(self.market(), shares)[0]

    def sell(self, sender: Address, shares: int, min_assets: int, receiver: Address) -> int:
        """Take `shares` that the caller has approved, pay wei."""
        self._enter()
        self._check_receiver(receiver)
        market = self.market()
        wei, admin = self._quote_sell(market, shares)
        if wei < min_assets:
            raise Revert("slippage: too few assets")
        self.pool.transfer_from(self.address, sender, self.address, shares)
        self._book(market, self.eth - wei - admin, self.floeth + shares)
        self._pay(receiver, wei)
        return wei

    def _quote_sell(self, market: Market, shares: int) -> tuple[int, int]:
        """Wei out and wei for the admin. What comes in counts at the exit price."""
        if not market.d:
            raise Revert("pair: empty")
        if shares == 0:
            raise Revert("pair: zero amount")
        worth = word(shares * (market.value - min(market.loss, market.value))) // market.supply
        x1 = market.x1 + worth
        gross = market.x0 - other_side(market.ann, x1, market.d) - 1
        fee = self._swap_fee(market, market.x0 - gross, x1, gross)
        wei, admin = gross - fee, fee * self.fees.admin_ppm // PPM
        self._check_books(market, self.eth - wei - admin, self.floeth + shares)
        return wei, admin

    def _swap_fee(self, market: Market, x0: int, x1: int, gross: int) -> int:
        """Fee on `gross` at the mean of the balances before and after (rounded up)."""
        if gross <= 0:
            raise Revert("pair: zero amount")
        rate = dynamic_fee(self.fees.fee, self.fees.off_peg, (market.x0 + x0) // 2, (market.x1 + x1) // 2)
        return ceil_div(gross * rate, PPM)

    # --- liquidity ---

    def preview_add(self, wei: int, shares: int) -> int:
        """LP tokens for both."""
        self._enter()
        return self._quote_add(self.market(), wei, shares)[0]

    def add_liquidity(self, sender: Address, value: int, shares: int, min_liquidity: int, receiver: Address) -> int:
        """Take `value` wei and `shares` that the caller has approved; returns the LP tokens minted."""
        self._enter()
        self._check_receiver(receiver)
        market = self.market()
        liquidity, locked = self._quote_add(market, value, shares)
        if liquidity < min_liquidity:
            raise Revert("slippage: too little liquidity")
        if shares:
            self.pool.transfer_from(self.address, sender, self.address, shares)
        self._touch(market, locked)
        self.chain.move(sender, self.address, value)
        self.eth += value
        self.floeth += shares
        if not market.d:
            self.erc20.mint(self.address, LOCKED_LIQUIDITY)
        self.erc20.mint(receiver, liquidity)
        return liquidity

    def _quote_add(self, market: Market, wei: int, shares: int) -> tuple[int, int]:
        """LP tokens, and wei of D that are locked afterwards."""
        eth, floeth = self.eth + wei, self.floeth + shares
        x0, x1 = eth, market.worth(floeth)
        if not market.d:
            if min(x0, x1) < MIN_FIRST_SIDE or max(x0, x1) > MAX_FIRST_IMBALANCE * min(x0, x1):
                raise Revert("pair: first deposit")
            return self._after(market, eth, floeth) - LOCKED_LIQUIDITY, 0
        after = self._after(market, eth, floeth)
        if after <= market.d:
            raise Revert("pair: zero amount")
        ideal0, ideal1 = after * market.x0 // market.d, after * market.x1 // market.d
        rate = self._one_sided_ppm(market, (market.x0 + x0) // 2, (market.x1 + x1) // 2, loses=x1 > ideal1)
        fee0, fee1 = ceil_div(abs(ideal0 - x0) * rate, 2 * PPM), ceil_div(abs(ideal1 - x1) * rate, 2 * PPM)
        credited = invariant(market.ann, x0 - fee0, x1 - fee1)
        if credited <= market.d:
            raise Revert("pair: zero amount")
        liquidity = self.erc20.supply * (credited - market.d) // (market.d - market.locked)
        if liquidity == 0:
            raise Revert("pair: zero amount")
        return liquidity, market.locked + after - credited

    def preview_remove(self, liquidity: int) -> tuple[int, int]:
        """Wei and shares for `liquidity`."""
        self._enter()
        return self._quote_remove(self.market(), liquidity)

    def remove_liquidity(
        self, sender: Address, liquidity: int, min_assets: int, min_shares: int, receiver: Address
    ) -> tuple[int, int]:
        """Burn LP tokens for their part of both sides, without fee."""
        self._enter()
        self._check_receiver(receiver)
        market = self.market()
        wei, shares = self._quote_remove(market, liquidity)
        if wei < min_assets:
            raise Revert("slippage: too few assets")
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        self.erc20.burn(sender, liquidity)
        self._touch(market, market.locked)
        self.eth -= wei
        self.floeth -= shares
        self.pool.transfer(self.address, receiver, shares)
        self._pay(receiver, wei)
        return wei, shares

    def _quote_remove(self, market: Market, liquidity: int) -> tuple[int, int]:
        if not market.d:
            raise Revert("pair: empty")
        part = word(liquidity * (market.d - market.locked)) // self.erc20.supply
        return self.eth * part // market.d, self.floeth * part // market.d

    def preview_remove_one(self, liquidity: int, of_ether: bool) -> int:
        """Wei or shares for `liquidity`."""
        self._enter()
        return self._quote_remove_one(self.market(), liquidity, of_ether)[0]

    def remove_one(self, sender: Address, liquidity: int, of_ether: bool, min_out: int, receiver: Address) -> int:
        """Burn LP tokens for wei or shares alone."""
        self._enter()
        self._check_receiver(receiver)
        market = self.market()
        out, locked = self._quote_remove_one(market, liquidity, of_ether)
        if out < min_out:
            raise Revert("slippage: too few assets" if of_ether else "slippage: too few shares")
        self.erc20.burn(sender, liquidity)
        self._touch(market, locked)
        if of_ether:
            self.eth -= out
            self._pay(receiver, out)
        else:
            self.floeth -= out
            self.pool.transfer(self.address, receiver, out)
        return out

    def _quote_remove_one(self, market: Market, liquidity: int, of_ether: bool) -> tuple[int, int]:
        """Wei or shares, and wei of D that are locked afterwards."""
        if not market.d:
            raise Revert("pair: empty")
        left = market.d - word(liquidity * (market.d - market.locked)) // self.erc20.supply
        ann, x0, x1 = market.ann, market.x0, market.x1
        ideal0, ideal1 = x0 * left // market.d, x1 * left // market.d
        if of_ether:
            without_fee = other_side(ann, x1, left)
            rate = self._one_sided_ppm(market, (x0 + without_fee) // 2, x1, loses=True)
            off0, off1 = ideal0 - without_fee, x1 - ideal1
        else:
            without_fee = other_side(ann, x0, left)
            rate = self._one_sided_ppm(market, x0, (x1 + without_fee) // 2, loses=False)
            off0, off1 = x0 - ideal0, ideal1 - without_fee
        reduced0, reduced1 = x0 - ceil_div(off0 * rate, 2 * PPM), x1 - ceil_div(off1 * rate, 2 * PPM)
        if of_ether:
            out = reduced0 - other_side(ann, reduced1, left) - 1
            eth, floeth = self.eth - out, self.floeth
        else:
            out = market.shares_for(reduced1 - other_side(ann, reduced0, left) - 1)
            eth, floeth = self.eth, self.floeth - out
        return out, market.locked + self._after(market, eth, floeth) - left

    def _one_sided_ppm(self, market: Market, x0: int, x1: int, loses: bool) -> int:
        """Rate of which half is the fee on each imbalance; `loses`: floETH would be turned into ETH."""
        rate = dynamic_fee(self.fees.fee, self.fees.off_peg, x0, x1)
        return rate + 2 * market.loss_ppm if loses and market.loss else rate

    # --- fees ---

    def collect(self, _: Address) -> tuple[int, int]:
        """Send what lies here beyond the books to the fee receiver; returns wei and shares."""
        self._enter()
        wei, shares = self.chain.ether[self.address] - self.eth, self.pool.balance_of(self.address) - self.floeth
        if shares:
            self.pool.transfer(self.address, self.fee_receiver, shares)
        if wei:
            self._pay(self.fee_receiver, wei)
        return wei, shares

    # --- administration ---

    def ramp(self, sender: Address, a_to: int, end: int) -> None:
        """Move the amplification to `a_to` / HUNDREDTHS in a straight line until `end`."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        now, a_from = self.chain.now, self.amplification()
        if not MIN_A <= a_to <= MAX_A or end < now + MIN_RAMP:
            raise Revert("parameter: out of bounds")
        if max(a_from, a_to) > MAX_RAMP_FACTOR * min(a_from, a_to):
            raise Revert("parameter: out of bounds")
        self.a_from, self.a_to, self.ramp_start, self.ramp_end = a_from, a_to, now, end

    def stop_ramp(self, sender: Address) -> None:
        """Keep the amplification of now."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        self.a_from = self.a_to = self.amplification()
        self.ramp_start = self.ramp_end = self.chain.now

    def set_fees(self, sender: Address, fees: Fees) -> None:
        """Replace the fees, within their bounds."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        fees.check()
        self.fees = fees

    def set_fee_receiver(self, sender: Address, receiver: Address) -> None:
        """Send what is collected to `receiver` from now on."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        self._check_receiver(receiver)
        self.fee_receiver = receiver

    # --- inside ---

    def _after(self, market: Market, eth: int, floeth: int) -> int:
        """Return the invariant of new books, which must be near enough to balance."""
        x0, x1 = eth, market.worth(floeth)
        small, large = min(x0, x1), max(x0, x1)
        if small < MIN_SIDE or large > MAX_IMBALANCE * small:
            raise Revert("pair: too far from balance")
        if max(eth, floeth) > U96:
            raise Revert(OVERFLOW)
        return invariant(market.ann, x0, x1)

    def _check_books(self, market: Market, eth: int, floeth: int) -> None:
        """Refuse a trade after which D were lower."""
        if self._after(market, eth, floeth) < market.d:
            raise Revert("pair: value fell")

    def _book(self, market: Market, eth: int, floeth: int) -> None:
        """Write the books after a trade; what D grew by is locked."""
        self._touch(market, market.locked + self._after(market, eth, floeth) - market.d)
        self.eth, self.floeth = eth, floeth

    def _touch(self, market: Market, locked: int) -> None:
        """Bring the sum of prices up to now, at the balances before; lock `locked` wei from now."""
        self.cumulative = self._cumulative(market)
        self.touched_at, self.locked_then = self.chain.now, locked

    def _price(self, market: Market) -> int:
        return marginal_price(market.ann, market.x0, market.x1, market.d) if market.d else 0

    def _cumulative(self, market: Market) -> int:
        seconds = self.chain.now - self.touched_at
        return self.cumulative + (self._price(market) * seconds if seconds else 0)

    def _check_receiver(self, receiver: Address) -> None:
        if receiver in (ZERO, self.address):
            raise Revert("receiver: refused")

    def _enter(self) -> None:
        if self.entered:
            raise Revert(LOCKED)

    def _pay(self, receiver: Address, amount: int) -> None:
        self.entered = True
        taken = self.chain.send(self.address, receiver, amount)
        self.entered = False
        if not taken:
            raise Revert("ether: send failed")
