"""The pair: ETH and floETH on a stableswap curve, the floETH counted at the pool's entry rate.

x is the ETH booked, y the floETH booked times V // S; D the invariant of Curve's whitepaper for two coins, at which
Ann·(x + y) + D = Ann·D + D³ / (4·x·y). What D grows by, through fees, is locked and released over a day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
MAX_RATIO = 10_000
"""Of the sides that a trade or a one-sided change may leave."""
SOLVABLE_RATIO = 10**6
MIN_SIDE = GWEI
MIN_FIRST_SIDE = ETHER // 20
MAX_FIRST_RATIO = 3
LOCKED_LIQUIDITY = 10**12
SLACK = 2
"""The real D is at most this much more than `invariant` says."""
U40 = 2**40 - 1
U120 = 2**120 - 1


# --- the curve ---


def in_domain(x: int, y: int) -> bool:
    """Say whether the curve can be solved for these sides."""
    return min(x, y) > 0 and max(x, y) <= SOLVABLE_RATIO * min(x, y)


def part_up(amount: int, ppm: int) -> int:
    """Return a part in ppm (rounded up)."""
    return ceil_div(amount * ppm, PPM)


def cubic(x: int, y: int, d: int) -> int:
    """Return d³ / (4·x·y), rounded down, by less than 2."""
    return d * d // (2 * min(x, y)) * d // (2 * max(x, y))


def invariant(a: int, x: int, y: int) -> int:
    """Return D, rounded down: the largest d with 100·cubic(d) + (a - 100)·d <= a·(x + y). `a` is 200·A."""
    if min(x, y) <= 0:
        raise Revert(OVERFLOW)  # a fee took all of a side
    wanted = a * (x + y)
    d = x + y
    while True:  # Newton falls towards D and may end a little off it
        part = HUNDREDTHS * cubic(x, y, d)
        better = d * (wanted + 2 * part) // (3 * part + (a - HUNDREDTHS) * d)
        if better >= d:
            break
        d = better
    while HUNDREDTHS * cubic(x, y, d) + (a - HUNDREDTHS) * d > wanted:
        d -= 1
    while HUNDREDTHS * cubic(x, y, d + 1) + (a - HUNDREDTHS) * (d + 1) <= wanted:
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


def marginal_price(a: int, x: int, y: int, d: int) -> int:
    """ETH per wei of floETH's value, times 10^18, for the next wei and without fee (rounded down)."""
    part = a * x + a * y - (a - HUNDREDTHS) * d
    return (x * ETHER // y) * (a * y + part) // (a * x + part)


def dynamic_fee(fee: int, off_peg: int, x: int, y: int) -> int:
    """Fee rate in ppm at these balances: `fee` in balance, up to fee·off_peg / OFF_PEG_ONE far from it (rounded up)."""
    square = (x + y) ** 2
    return ceil_div(fee * off_peg * square, (off_peg - OFF_PEG_ONE) * 4 * x * y + OFF_PEG_ONE * square)


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
    """What a call reads once: the books, the entry price, the curve and where on it the pair is."""

    eth: int
    floeth: int
    x: int
    """Wei of value of each side."""
    y: int
    value: int
    """V and S: so many wei for so many shares."""
    supply: int
    a: int = 0
    """200 times the amplification."""
    d: int = 0
    locked: int = 0

    def worth(self, shares: int) -> int:
        """Wei of `shares` at the entry price (rounded down)."""
        return shares * self.value // self.supply

    @property
    def free(self) -> int:
        """Value of all liquidity."""
        return self.d - self.locked


class Change(NamedTuple):
    """What a call pays, and the books and the locked fees it leaves."""

    out: int
    eth: int
    floeth: int
    locked: int


@dataclass(slots=True)
class StablePair:
    """State and rules. A method that raises `Revert` may have changed something: call it through `Protocol.attempt`."""

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
    minted: dict[Address, tuple[int, int]] = field(default_factory=dict)
    """When an account was last given new liquidity, and how much in that block."""
    entered: bool = False
    """The pair waits for a call of its own to return: nobody may enter."""

    def construct(self) -> None:
        """Check what it was built with."""
        self.fees.check()
        if not MIN_A <= self.a_from <= MAX_A:
            raise Revert("parameter: out of bounds")
        self._check_receiver(self.fee_receiver)
        self.a_to, self.ramp_start, self.ramp_end = self.a_from, self.chain.now, self.chain.now

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

    def sides(self) -> Market:
        """Read the books and what they are worth at the entry price."""
        value, supply = self.pool.entry_price()
        return Market(self.eth, self.floeth, self.eth, self.floeth * value // supply, value, supply)

    def market(self) -> Market:
        """Read all that a call needs."""
        m = self.sides()
        if min(m.x, m.y) == 0:
            raise Revert("pair: no value")
        if not in_domain(m.x, m.y):
            raise Revert("pair: too far from balance")
        return self._priced(m)

    def _priced(self, m: Market) -> Market:
        a = 2 * self.amplification()
        d = invariant(a, m.x, m.y)
        return m._replace(a=a, d=d, locked=min(self.locked(), d))

    def price(self) -> int:
        """ETH per wei of floETH's value, times 10^18, without fee."""
        self.check_entry()
        return self._price(self.market())

    def price_cumulative(self) -> tuple[int, int]:
        """Sum of price times seconds up to now, and now."""
        self.check_entry()
        return self._cumulative(self.market()), self.chain.now

    def virtual_price(self) -> int:
        """Value of 10^18 LP tokens (rounded down)."""
        self.check_entry()
        return self.market().free * ETHER // self.erc20.supply

    def fee(self) -> int:
        """Fee rate in ppm of a very small trade."""
        self.check_entry()
        m = self.market()
        return self._fee_ppm(m.x, m.y)

    def admin_fees(self) -> tuple[int, int]:
        """Wei and shares that lie here beyond the books."""
        self.check_entry()
        return self.chain.ether[self.address] - self.eth, self.pool.balance_of(self.address) - self.floeth

    # --- trades ---

    def preview_buy(self, wei: int) -> int:
        """Shares for `wei`."""
        self.check_entry()
        return self._quote_buy(self.market(), wei).out

    def buy(self, sender: Address, value: int, min_shares: int, receiver: Address) -> int:
        """Take `value` wei, pay shares."""
        self.check_entry()
        self._check_receiver(receiver)
        m = self.market()
        c = self._quote_buy(m, value)
        if c.out < min_shares:
            raise Revert("slippage: too few shares")
        self._book(m, c)
        self.chain.move(sender, self.address, value)
        self.pool.transfer(self.address, receiver, c.out)
        return c.out

    def _quote_buy(self, m: Market, wei: int) -> Change:
        gross, fee = self._trade(m, m.x, m.y, wei)
        out = (gross - fee) * m.supply // m.value
        admin = fee * self.fees.admin_ppm // PPM
        eth, floeth = m.eth + wei, m.floeth - out - admin * m.supply // m.value
        self._check(m, out, eth, floeth)
        return Change(out, eth, floeth, m.locked + invariant(m.a, eth, m.worth(floeth)) - m.d)

    def preview_sell(self, shares: int) -> int:
        """Wei for `shares`."""
        self.check_entry()
        return self._quote_sell(self.market(), shares).out

    def sell(self, sender: Address, shares: int, min_assets: int, receiver: Address) -> int:
        """Take `shares` that the caller has approved, pay wei."""
        self.check_entry()
        self._check_receiver(receiver)
        m = self.market()
        c = self._quote_sell(m, shares)
        if c.out < min_assets:
            raise Revert("slippage: too few assets")
        self._book(m, c)
        self.pool.transfer_from(self.address, sender, self.address, shares)
        self._pay(receiver, c.out)
        return c.out

    def _quote_sell(self, m: Market, shares: int) -> Change:
        """Count what comes in at the exit price and book it at the entry price. The difference is no fee."""
        worth = word(shares * (m.value - min(self.pool.pending_loss, m.value))) // m.supply
        gross, fee = self._trade(m, m.y, m.x, worth)
        out = gross - fee
        eth, floeth = m.eth - out - fee * self.fees.admin_ppm // PPM, m.floeth + shares
        self._check(m, out, eth, floeth)
        return Change(out, eth, floeth, m.locked + invariant(m.a, eth, m.y + worth) - m.d)

    def _trade(self, m: Market, into: int, of: int, worth: int) -> tuple[int, int]:
        """Return what leaves the side `of` when `worth` joins the side `into`, and the fee on it (rounded up)."""
        rest = other_side(m.a, into + worth, m.d + SLACK)
        if rest >= of:
            raise Revert("pair: too small")
        # At the mean of the balances before and after.
        return of - rest, part_up(of - rest, self._fee_ppm(2 * into + worth, of + rest))

    # --- liquidity ---

    def fresh(self, account: Address) -> int:
        """LP tokens of `account` that were minted in this block and cannot leave it yet."""
        self.check_entry()
        at, amount = self.minted.get(account, (0, 0))
        return amount if at == self.chain.now else 0

    def transfer(self, sender: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of the caller's LP tokens."""
        self._check_fresh(sender, amount)
        return self.erc20.transfer(sender, receiver, amount)

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of the LP tokens of `owner` out of the caller's allowance."""
        self.check_entry()
        self.erc20.check_allowance(owner, sender, amount)
        self._check_fresh(owner, amount)
        return self.erc20.transfer_from(sender, owner, receiver, amount)

    def balance_of(self, owner: Address) -> int:
        """LP tokens of `owner`."""
        return self.erc20.balance_of(owner)

    def _check_fresh(self, owner: Address, amount: int) -> None:
        fresh = self.fresh(owner)
        if fresh and self.erc20.balance_of(owner) - fresh < amount:
            raise Revert("pair: fresh liquidity")

    def preview_add(self, wei: int, shares: int) -> int:
        """LP tokens for both."""
        self.check_entry()
        return self._quote_add(self.market(), wei, shares).out if self.erc20.supply else self._quote_first(wei, shares)

    def add_liquidity(self, sender: Address, value: int, shares: int, min_liquidity: int, receiver: Address) -> int:
        """Take `value` wei and `shares` that the caller has approved; returns the LP tokens minted."""
        self.check_entry()
        self._check_receiver(receiver)
        if self.erc20.supply:
            m = self.market()
            c = self._quote_add(m, value, shares)
            self._book(m, c)
            liquidity = c.out
        else:
            liquidity = self._quote_first(value, shares)
            self._write_books(value, shares)
            self.cumulative, self.touched_at, self.locked_then = 0, self.chain.now, 0
            self.erc20.mint(self.address, LOCKED_LIQUIDITY)
        if liquidity < min_liquidity:
            raise Revert("slippage: too little liquidity")
        self.chain.move(sender, self.address, value)
        self.minted[receiver] = self.chain.now, self.fresh(receiver) + liquidity
        self.erc20.mint(receiver, liquidity)
        if shares:
            self.pool.transfer_from(self.address, sender, self.address, shares)
        return liquidity

    def _quote_first(self, wei: int, shares: int) -> int:
        value, supply = self.pool.entry_price()
        y = word(shares * value) // supply
        if min(wei, y) < MIN_FIRST_SIDE or max(wei, y) > MAX_FIRST_RATIO * min(wei, y):
            raise Revert("pair: first deposit")
        return invariant(2 * self.amplification(), wei, y) - LOCKED_LIQUIDITY

    def _quote_add(self, m: Market, wei: int, shares: int) -> Change:
        eth, floeth = word(m.eth + wei), word(m.floeth + shares)
        x, y = eth, word(floeth * m.value) // m.supply
        self._check_sides(x, y)
        d = invariant(m.a, x, y)
        # Half the fee on what each side is away from where it would be had both grown alike.
        half = (self._fee_ppm(m.x + x, m.y + y) + 1) // 2
        ideal_x, ideal_y = m.x * d // m.d, m.y * d // m.d
        fee_x = part_up(abs(x - ideal_x), half)
        fee_y = part_up(abs(y - ideal_y), half)
        kept = bought = min(invariant(m.a, x - fee_x, y - fee_y), d)
        if y > ideal_y and self.pool.pending_loss:
            # Of this only the fee is locked. The loss counts as a part of what is left, because liquidity is bought at
            # the entry price: part of what is taken here comes back with it.
            left = m.value - min(self.pool.pending_loss, m.value)
            bought = min(invariant(m.a, x - fee_x, y - part_up(y - ideal_y, self._with_loss(half, left))), d)
        if m.free == 0:
            raise Revert("pair: no value")
        if bought <= m.d + SLACK:
            raise Revert("pair: too small")
        out = self.erc20.supply * (bought - m.d - SLACK) // (m.free + SLACK)
        if out == 0:
            raise Revert("pair: too small")
        return Change(out, eth, floeth, m.locked + d - kept)

    def preview_remove(self, liquidity: int) -> tuple[int, int]:
        """Wei and shares for `liquidity`."""
        self.check_entry()
        m = self.sides()
        c = self._quote_remove(self._priced(m) if in_domain(m.x, m.y) else m, liquidity)
        return m.eth - c.eth, m.floeth - c.floeth

    def remove_liquidity(
        self, sender: Address, liquidity: int, min_assets: int, min_shares: int, receiver: Address
    ) -> tuple[int, int]:
        """Burn LP tokens for their part of both sides, without fee."""
        self.check_entry()
        self._check_receiver(receiver)
        self._check_fresh(sender, liquidity)
        m = self.sides()
        if in_domain(m.x, m.y):
            m = self._priced(m)
            c = self._quote_remove(m, liquidity)
            self._book(m, c)
        else:
            c = self._quote_remove(m, liquidity)
            self._write_books(c.eth, c.floeth)
        wei, shares = m.eth - c.eth, m.floeth - c.floeth
        if wei < min_assets:
            raise Revert("slippage: too few assets")
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        self.erc20.burn(sender, liquidity)
        self.pool.transfer(self.address, receiver, shares)
        self._pay(receiver, wei)
        return wei, shares

    def _quote_remove(self, m: Market, liquidity: int) -> Change:
        """Leave D the value of those who stay, a few wei more, and both sides in proportion (rounded up)."""
        supply = self.erc20.supply
        if supply == 0:
            raise Revert("pair: no value")
        if liquidity > supply:
            raise Revert("balance: too low")
        if m.d == 0:
            eth, floeth = m.eth - m.eth * liquidity // supply, m.floeth - m.floeth * liquidity // supply
        else:
            stays = min(m.d - liquidity * m.free // supply + SLACK, m.d)
            eth = ceil_div(m.eth * stays, m.d)
            # A wei of value more, because y is rounded down.
            floeth = min(ceil_div(m.floeth * stays, m.d) + ceil_div(m.supply, m.value), m.floeth)
        if m.eth + m.floeth == eth + floeth:
            raise Revert("pair: too small")
        return Change(0, eth, floeth, m.locked)

    def preview_remove_one(self, liquidity: int, of_ether: bool) -> int:
        """Wei or shares for `liquidity`."""
        self.check_entry()
        return self._quote_remove_one(self.market(), liquidity, of_ether).out

    def remove_one(self, sender: Address, liquidity: int, of_ether: bool, min_out: int, receiver: Address) -> int:
        """Burn LP tokens for wei or shares alone."""
        self.check_entry()
        self._check_receiver(receiver)
        self._check_fresh(sender, liquidity)
        m = self.market()
        c = self._quote_remove_one(m, liquidity, of_ether)
        self._book(m, c)
        self.erc20.burn(sender, liquidity)
        if c.out < min_out:
            raise Revert("slippage: too few assets" if of_ether else "slippage: too few shares")
        if of_ether:
            self._pay(receiver, c.out)
        else:
            self.pool.transfer(self.address, receiver, c.out)
        return c.out

    def _quote_remove_one(self, m: Market, liquidity: int, of_ether: bool) -> Change:
        supply = self.erc20.supply
        if liquidity > supply:
            raise Revert("balance: too low")
        stays = m.d - liquidity * m.free // supply
        of, beside = (m.x, m.y) if of_ether else (m.y, m.x)
        rest = other_side(m.a, beside, stays + SLACK)
        if rest >= of:
            raise Revert("pair: too small")
        # Its part of this side is free of a fee; the remainder is, in effect, bought for its part of the other one.
        rate = self._fee_ppm(2 * beside, of + rest)
        bought = max(of * stays // m.d - rest, 0)
        fee = part_up(bought, rate)
        if of_ether:
            out = of - rest - part_up(bought, self._with_loss(rate, m.value))
            eth, floeth, kept = m.eth - out, m.floeth, (rest + fee, m.y)
        else:
            out = (of - rest - fee) * m.supply // m.value
            eth, floeth = m.eth, m.floeth - out
            kept = eth, m.worth(floeth)
        self._check(m, out, eth, floeth)
        return Change(out, eth, floeth, m.locked + invariant(m.a, *kept) - stays)

    # --- fees ---

    def collect(self, _: Address) -> tuple[int, int]:
        """Send what lies here beyond the books to the fee receiver; returns wei and shares."""
        self.check_entry()
        wei, shares = self.chain.ether[self.address] - self.eth, self.pool.balance_of(self.address) - self.floeth
        if shares:
            self.pool.transfer(self.address, self.fee_receiver, shares)
        if wei:
            self._pay(self.fee_receiver, wei)
        return wei, shares

    # --- administration ---

    def ramp(self, sender: Address, a_to: int, end: int) -> None:
        """Move the amplification to `a_to` / HUNDREDTHS in a straight line until `end`."""
        self.check_entry()
        self.roles.check(ADMIN_ROLE, sender)
        now, a_from = self.chain.now, self.amplification()
        near = MIN_A <= a_to <= MAX_A and a_to <= a_from * MAX_RAMP_FACTOR and a_to * MAX_RAMP_FACTOR >= a_from
        if not near or not now + MIN_RAMP <= end <= U40:
            raise Revert("parameter: out of bounds")
        self.a_from, self.a_to, self.ramp_start, self.ramp_end = a_from, a_to, now, end

    def stop_ramp(self, sender: Address) -> None:
        """Keep the amplification of now."""
        self.check_entry()
        self.roles.check(ADMIN_ROLE, sender)
        self.a_from = self.a_to = self.amplification()
        self.ramp_start = self.ramp_end = self.chain.now

    def set_fees(self, sender: Address, fees: Fees) -> None:
        """Replace the fees, within their bounds."""
        self.check_entry()
        self.roles.check(ADMIN_ROLE, sender)
        fees.check()
        self.fees = fees

    def set_fee_receiver(self, sender: Address, receiver: Address) -> None:
        """Send what is collected to `receiver` from now on."""
        self.check_entry()
        self.roles.check(ADMIN_ROLE, sender)
        self._check_receiver(receiver)
        self.fee_receiver = receiver

    # --- inside ---

    def _check(self, m: Market, out: int, eth: int, floeth: int) -> None:
        if out == 0:
            raise Revert("pair: too small")
        self._check_sides(eth, m.worth(floeth))

    def _check_sides(self, x: int, y: int) -> None:
        """Refuse sides that a change must not leave."""
        if min(x, y) < MIN_SIDE or max(x, y) > MAX_RATIO * min(x, y):
            raise Revert("pair: too far from balance")

    def _fee_ppm(self, x: int, y: int) -> int:
        return dynamic_fee(self.fees.fee, self.fees.off_peg, x, y)

    def _with_loss(self, rate: int, of: int) -> int:
        """Return a rate in ppm and the pending loss as a part of `of` wei (rounded up), at most all."""
        return min(rate + ceil_div(self.pool.pending_loss * PPM, of), PPM) if of else PPM

    def _book(self, m: Market, c: Change) -> None:
        """Note the price until now, and what a change leaves."""
        cumulative = self._cumulative(m)
        if cumulative > U120 or c.locked > U96:
            raise Revert(OVERFLOW)
        self._write_books(c.eth, c.floeth)
        self.cumulative, self.touched_at, self.locked_then = cumulative, self.chain.now, c.locked

    def _write_books(self, eth: int, floeth: int) -> None:
        if max(eth, floeth) > U96:
            raise Revert("pool: total over 96 bits")
        self.eth, self.floeth = eth, floeth

    def _price(self, m: Market) -> int:
        return marginal_price(m.a, m.x, m.y, m.d)

    def _cumulative(self, m: Market) -> int:
        seconds = self.chain.now - self.touched_at
        return self.cumulative + (self._price(m) * seconds if seconds else 0)

    def _check_receiver(self, receiver: Address) -> None:
        if receiver in (ZERO, self.address, self.pool.address):
            raise Revert("receiver: refused")

    # --- the same state, as the contract packs it ---

    def words(self) -> tuple[int, int, int]:
        """Return the words books, past, live."""
        f = self.fees
        return (
            self.eth | self.floeth << 96,
            self.cumulative | self.touched_at << 120 | self.locked_then << 160,
            f.fee | f.off_peg << 24 | f.admin_ppm << 48 | self.a_from << 72 | self.a_to << 96
            | self.ramp_start << 120 | self.ramp_end << 160,
        )  # fmt: skip

    def check_entry(self) -> None:
        """Refuse everybody while a call of the pair's own is under way."""
        if self.entered:
            raise Revert(LOCKED)

    def _pay(self, receiver: Address, amount: int) -> None:
        self.entered = True
        taken = self.chain.send(self.address, receiver, amount)
        self.entered = False
        if not taken:
            raise Revert("ether: send failed")
