# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title What the pair would do
@license GNU Affero General Public License v3.0 only
@notice Every trade and every change of liquidity as a pure function: the market that a call finds goes in, what goes
        out and what the books say afterwards comes out. In wei of value, with the entry price v wei for s shares:

            x = ETH of the books        y = floETH of the books * v // s        D = value of (x, y)
            free = D - locked           what the liquidity is worth

        What D grows by through fees is locked. What a pending loss takes off the price of floETH that comes in is no
        fee: it goes when the loss is settled, so it is not locked, and both who joins and who leaves take their part.
        Roundings go to those who provide: what one pays (and D, where one pays by it) up, what one gets down. By the
        integers as they stand here, free / supply never falls.
"""
from contracts.lib import reasons
from contracts.liquidity import stable_math

PPM: constant(uint256) = 1_000_000
U24: constant(uint256) = 2**24 - 1

# Liquidity that nobody owns: after it supply and value are never 0 again.
LOCKED_LIQUIDITY: constant(uint256) = 10**12
# Value of each side of the first deposit, large beside every rounding, and how far the two may differ.
MIN_FIRST_SIDE: constant(uint256) = 5 * 10**16
MAX_FIRST_RATIO: constant(uint256) = 3
# What trades and one-sided changes must leave: far inside what the curve can be solved for.
MIN_SIDE: constant(uint256) = 10**9
MAX_RATIO: constant(uint256) = 10_000


# What a call finds.
struct Market:
    eth: uint256  # wei of the books
    floeth: uint256  # shares of the books
    x: uint256  # value of each side
    y: uint256
    price_value: uint256  # entry price: so many wei
    price_shares: uint256  # for so many shares
    pending_loss: uint256  # of the pool, where it matters
    fees: uint256  # as in `pair_terms.vy`
    a: uint256  # 200 times the amplification
    d: uint256  # value of both sides; 0 where there is none
    locked: uint256  # fees that are locked now


# What it does.
struct Change:
    out: uint256  # to the receiver: wei, shares or liquidity
    fee: uint256  # wei of value, the admin's part included
    eth: uint256  # the books afterwards
    floeth: uint256
    locked: uint256


@internal
@pure
def _buy(m: Market, assets: uint256) -> Change:
    """
    @notice ETH for floETH. Reverts: "pair: too small", "pair: too far from balance".
    """
    c: Change = empty(Change)
    gross: uint256 = 0
    gross, c.fee = self._trade(m, m.x, m.y, assets)
    c.out = (gross - c.fee) * m.price_shares // m.price_value
    c.eth = m.eth + assets
    c.floeth = m.floeth - c.out - self._admin_part(m, c.fee) * m.price_shares // m.price_value
    self._check_out(c.out)
    y: uint256 = self._y(m, c.floeth)
    self._check_sides(c.eth, y)
    return self._kept(m, c, m.d, c.eth, y)


@internal
@pure
def _sell(m: Market, shares: uint256) -> Change:
    """
    @notice floETH for ETH, at the exit price on its way in. Reverts: as `_buy`.
    """
    worth: uint256 = shares * (m.price_value - min(m.pending_loss, m.price_value)) // m.price_shares
    c: Change = empty(Change)
    gross: uint256 = 0
    gross, c.fee = self._trade(m, m.y, m.x, worth)
    c.out = gross - c.fee
    c.eth = m.eth - c.out - self._admin_part(m, c.fee)
    c.floeth = m.floeth + shares
    self._check_out(c.out)
    self._check_sides(c.eth, self._y(m, c.floeth))
    return self._kept(m, c, m.d, c.eth, m.y + worth)


@internal
@pure
def _first(m: Market, assets: uint256, shares: uint256) -> uint256:
    """
    @notice Liquidity of the first deposit, what nobody gets included. Reverts: "pair: first deposit".
    """
    y: uint256 = shares * m.price_value // m.price_shares
    if min(assets, y) < MIN_FIRST_SIDE or max(assets, y) > MAX_FIRST_RATIO * min(assets, y):
        reasons._refuse(reasons.PAIR_FIRST)
    return stable_math._invariant(assets, y, m.a, assets + y)


@internal
@pure
def _add(m: Market, supply: uint256, assets: uint256, shares: uint256) -> Change:
    """
    @notice Both, in any proportion, for liquidity. Half the fee is taken on what each side is away from where it would
            be had both grown alike; floETH that comes in excess while a loss is pending is worth so much less.
            Reverts: "pair: no value", "pair: too small", "pair: too far from balance".
    """
    c: Change = empty(Change)
    c.eth = m.eth + assets
    c.floeth = m.floeth + shares
    y: uint256 = self._y(m, c.floeth)
    self._check_sides(c.eth, y)
    d: uint256 = stable_math._invariant(c.eth, y, m.a, c.eth + y)
    ideal_y: uint256 = m.y * d // m.d
    half: uint256 = (self._fee_ppm(m, m.x + c.eth, m.y + y) + 1) // 2
    rate_y: uint256 = half
    if y > ideal_y:
        # Of what is left: liquidity is bought at the entry price, so part of what is taken here comes back with it.
        rate_y = self._with_loss(m, half, m.price_value - min(m.pending_loss, m.price_value))
    fee_x: uint256 = self._part_up(self._apart(c.eth, m.x * d // m.d), half)
    fee_y: uint256 = self._part_up(self._apart(y, ideal_y), rate_y)
    c.fee = fee_x + fee_y
    bought: uint256 = min(stable_math._invariant(c.eth - fee_x, y - fee_y, m.a, d - min(c.fee, d // 2)), d)
    if m.d <= m.locked:
        reasons._refuse(reasons.PAIR_NO_VALUE)
    if bought > m.d + stable_math.SLACK:
        c.out = supply * (bought - m.d - stable_math.SLACK) // (m.d - m.locked + stable_math.SLACK)
    self._check_out(c.out)
    worth: uint256 = bought
    if rate_y > half:
        # Without the loss.
        fee_y = self._part_up(y - ideal_y, half)
        worth = min(stable_math._invariant(c.eth - fee_x, y - fee_y, m.a, d), d)
    c.locked = m.locked + d - worth
    return c


@internal
@pure
def _remove(m: Market, supply: uint256, liquidity: uint256) -> Change:
    """
    @notice Liquidity for its part of both: leaves D the value of those who stay, a few wei more, and both sides in
            proportion. Where there is no D, plain parts. Reverts: "pair: no value", "balance: too low",
            "pair: too small".
    """
    if supply == 0:
        reasons._refuse(reasons.PAIR_NO_VALUE)
    self._check_liquidity(liquidity, supply)
    c: Change = empty(Change)
    if m.d == 0:
        c.eth = m.eth - m.eth * liquidity // supply
        c.floeth = m.floeth - m.floeth * liquidity // supply
    else:
        stays: uint256 = min(m.d - liquidity * (m.d - m.locked) // supply + stable_math.SLACK, m.d)
        c.eth = self._ceil(m.eth * stays, m.d)
        # Shares for a wei of value more, because y is rounded down.
        c.floeth = min(self._ceil(m.floeth * stays, m.d) + self._ceil(m.price_shares, m.price_value), m.floeth)
        c.locked = m.locked
    self._check_out(m.eth - c.eth + m.floeth - c.floeth)
    return c


@internal
@pure
def _remove_one(m: Market, supply: uint256, liquidity: uint256, of_ether: bool) -> Change:
    """
    @notice Liquidity for one side. Its part of this side is free of a fee; the remainder is, in effect, bought for its
            part of the other. Reverts: "balance: too low", "pair: too small", "pair: too far from balance".
    """
    self._check_liquidity(liquidity, supply)
    stays: uint256 = m.d - liquidity * (m.d - m.locked) // supply
    from_: uint256 = m.y
    beside: uint256 = m.x
    if of_ether:
        from_ = m.x
        beside = m.y
    guess: uint256 = from_ - min(m.d - stays, from_ // 2)
    rest: uint256 = stable_math._other(beside, stays + stable_math.SLACK, m.a, guess)
    if rest >= from_:
        reasons._refuse(reasons.PAIR_TOO_SMALL)
    rate: uint256 = self._fee_ppm(m, beside + beside, from_ + rest)
    part: uint256 = from_ * stays // m.d
    bought: uint256 = part - min(rest, part)
    c: Change = empty(Change)
    c.fee = self._part_up(bought, rate)
    c.out = from_ - rest - self._part_up(bought, self._with_loss(m, rate, m.price_value))
    c.eth = m.eth
    c.floeth = m.floeth
    if of_ether:
        c.eth -= c.out
        self._check_out(c.out)
        self._check_sides(c.eth, m.y)
        return self._kept(m, c, stays, rest + c.fee, m.y)
    c.out = c.out * m.price_shares // m.price_value
    c.floeth -= c.out
    self._check_out(c.out)
    y: uint256 = self._y(m, c.floeth)
    self._check_sides(m.x, y)
    return self._kept(m, c, stays, m.x, y)


@internal
@pure
def _price(m: Market) -> uint256:
    return stable_math._price(m.x, m.y, m.a, m.d)


@internal
@pure
def _fee_ppm(m: Market, x: uint256, y: uint256) -> uint256:
    return stable_math._fee_ppm(m.fees & U24, (m.fees >> 24) & U24, x, y)


@internal
@pure
def _trade(m: Market, into: uint256, from_: uint256, worth: uint256) -> (uint256, uint256):
    """
    @notice What leaves the side `from_` when `worth` joins the side `into`, and the fee that is part of it.
    """
    # The real value of both sides is less than SLACK above D: not even that is given away.
    rest: uint256 = stable_math._other(into + worth, m.d + stable_math.SLACK, m.a, from_ - min(worth, from_ // 2))
    if rest >= from_:
        reasons._refuse(reasons.PAIR_TOO_SMALL)
    gross: uint256 = from_ - rest
    # The rate is that of the mean of the balances before and after.
    return gross, self._part_up(gross, self._fee_ppm(m, into + into + worth, from_ + rest))


@internal
@pure
def _kept(m: Market, quoted: Change, d: uint256, x: uint256, y: uint256) -> Change:
    """
    @notice Lock what the value of x and y, without what a loss has taken off a price, is above `d`.
    """
    c: Change = quoted
    c.locked = m.locked + stable_math._invariant(x, y, m.a, d + c.fee) - d
    return c


@internal
@pure
def _y(m: Market, floeth: uint256) -> uint256:
    return floeth * m.price_value // m.price_shares


@internal
@pure
def _check_sides(x: uint256, y: uint256):
    """
    @notice Refuse sides that a change must not leave.
    """
    if min(x, y) < MIN_SIDE or max(x, y) > MAX_RATIO * min(x, y):
        reasons._refuse(reasons.PAIR_BALANCE)


@internal
@pure
def _admin_part(m: Market, fee: uint256) -> uint256:
    return fee * ((m.fees >> 48) & U24) // PPM


@internal
@pure
def _with_loss(m: Market, rate: uint256, of: uint256) -> uint256:
    """
    @notice A rate in ppm and the pending loss as a part of `of` wei (rounded up), at most all.
    """
    if of == 0:
        return PPM
    return min(rate + self._ceil(m.pending_loss * PPM, of), PPM)


@internal
@pure
def _check_liquidity(liquidity: uint256, supply: uint256):
    if liquidity > supply:
        reasons._refuse(reasons.BALANCE)


@internal
@pure
def _check_out(out: uint256):
    if out == 0:
        reasons._refuse(reasons.PAIR_TOO_SMALL)


@internal
@pure
def _part_up(amount: uint256, rate: uint256) -> uint256:
    return self._ceil(amount * rate, PPM)


@internal
@pure
def _ceil(a: uint256, b: uint256) -> uint256:
    return (a + b - 1) // b


@internal
@pure
def _apart(a: uint256, b: uint256) -> uint256:
    return max(a, b) - min(a, b)
