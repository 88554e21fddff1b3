# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Floe ETH pair (flLP)
@license GNU Affero General Public License v3.0 only
@notice A market of ETH and floETH, and its liquidity token in one. The curve is that of `stable_math.vy` over values:
        floETH counts what the pool's entry price says, read once in every call, so rewards never leave through trades.
        In wei of value, with the entry price v wei for s shares:

            x = ETH of the books        y = floETH of the books * v // s        D = value of (x, y), rounded down
            free = D - locked           liquidity is worth free / supply each

        What a trade or a one-sided change pays is locked at first and released over a day (`locked_fees.vy`); who
        joins buys at the free value, who leaves leaves with it. While a loss is pending in the pool, floETH comes in
        at the exit price and is booked at the entry price: nobody sells a known loss to those who provide.
        Every rounding is towards them: `free / supply` never falls, but by a loss of the pool or a ramp.
@dev What stops it, who can, and what still works then: nobody can stop trades or liquidity. If the rate falls so far
     that a side is worth more than 10,000 times the other, only what brings them together goes on, and above
     1,000,000 times only `add_liquidity` cannot; `remove_liquidity` always works, and asks for no price where there is
     none. The admin (a timelock) sets fees, the amplification and who receives its part of the fees, inside fixed
     bounds. ETH and floETH that just arrive are in no book: they go to the fee receiver.
"""
from ethereum.ercs import IERC20
from snekmate.auth import access_control
from snekmate.auth import ownable
from snekmate.tokens import erc20
from contracts.lib import reasons
from contracts.lib import words
from contracts.liquidity import locked_fees
from contracts.liquidity import stable_math
from interfaces import IFloePool
from interfaces import IStablePair

implements: IERC20
implements: IStablePair

initializes: access_control
initializes: ownable
initializes: erc20[ownable := ownable]

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.grantRole,
    access_control.hasRole,
    access_control.revokeRole,
)
exports: (
    erc20.DOMAIN_SEPARATOR,
    erc20.allowance,
    erc20.approve,
    erc20.balanceOf,
    erc20.decimals,
    erc20.eip712_domain_separator.eip712Domain,
    erc20.name,
    erc20.nonces,
    erc20.permit,
    erc20.symbol,
    erc20.totalSupply,
    erc20.transfer,
    erc20.transferFrom,
)

PPM: constant(uint256) = 1_000_000
UNIT: constant(uint256) = 10**18
DAY: constant(uint256) = 86_400
U24: constant(uint256) = 2**24 - 1
U120: constant(uint256) = 2**120 - 1

# Liquidity that nobody owns: after it supply and value are never 0 again.
LOCKED_LIQUIDITY: constant(uint256) = 10**12
# Value of each side of the first deposit, large beside every rounding, and how far the two may differ.
MIN_FIRST_SIDE: constant(uint256) = 5 * 10**16
MAX_FIRST_RATIO: constant(uint256) = 3
# What trades and one-sided changes must leave: far inside what the curve can be solved for.
MIN_SIDE: constant(uint256) = 10**9
MAX_RATIO: constant(uint256) = 10_000

MIN_FEE: constant(uint256) = 50  # ppm; a free trade would be a free try
MAX_FEE: constant(uint256) = 10_000
MIN_OFF_PEG: constant(uint256) = 10_000  # times 1
MAX_OFF_PEG: constant(uint256) = 200_000  # times 20
MAX_ADMIN_PPM: constant(uint256) = 500_000
MIN_AMPLIFICATION: constant(uint256) = 100  # 1, in hundredths
MAX_AMPLIFICATION: constant(uint256) = 500_000
# A slow ramp gives providers time to leave, and arbitrage nothing to wait for.
MIN_RAMP: constant(uint256) = DAY
MAX_RAMP_FACTOR: constant(uint256) = 10

POOL: immutable(IFloePool)

# ETH u96 | floETH u96
books: uint256
# price cumulative u120 | when u40 | fees locked then u96
past: uint256
# fee u24 | off peg u24 | admin ppm u24 | a from u24 | a to u24 | ramp start u40 | ramp end u40
live: uint256
# @notice Receives what lies beyond the books.
fee_receiver: public(address)


# All that a call reads, once.
struct Market:
    eth: uint256  # wei of the books
    floeth: uint256  # shares of the books
    x: uint256  # value of each side
    y: uint256
    price_value: uint256  # entry price: so many wei
    price_shares: uint256  # for so many shares
    pending_loss: uint256  # of the pool, where it matters
    live: uint256
    a: uint256  # 200 times the amplification
    d: uint256  # value of both sides
    locked: uint256  # fees that are locked now


# What a call leaves.
struct Change:
    out: uint256  # to the receiver: wei, shares or liquidity
    fee: uint256  # wei of value, the admin's part included
    eth: uint256  # the books afterwards
    floeth: uint256
    locked: uint256


@deploy
def __init__(
    pool: IFloePool,
    admin: address,
    fee_receiver: address,
    fee: uint256,
    off_peg: uint256,
    admin_ppm: uint256,
    amplification: uint256,
):
    """
    @notice The pool must be there already. `amplification` is in hundredths.
    @dev Reverts: "admin: not a contract", "receiver: refused", "parameter: out of bounds".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    POOL = pool
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)
    ownable.__init__()
    erc20.__init__("Floe ETH pair", "flLP", 18, "Floe ETH pair", "1")
    assert self._in_range(amplification), reasons.PARAMETER
    self.live = (amplification << 72) | (amplification << 96)
    self._set_fees(fee, off_peg, admin_ppm)
    self._set_fee_receiver(fee_receiver)


@external
@payable
def __default__():
    """
    @notice ETH comes with `buy` or `add_liquidity`. Reverts: "ether: not like this".
    """
    raise reasons.PLAIN_ETHER


# ---- trades -----------------------------------------------------------------------------------------


@external
@payable
def buy(min_shares: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Sell `msg.value` wei for floETH, at least `min_shares`.
    @return Shares sent to `receiver` (rounded down).
    @dev Reverts: "pair: no value", "pair: too far from balance", "pair: too small", "slippage: too few shares",
         "receiver: refused".
    """
    self._check_receiver(receiver)
    m: Market = self._market()
    c: Change = self._quote_buy(m, msg.value)
    assert c.out >= min_shares, reasons.MIN_SHARES
    self._book(m, c)
    log IStablePair.Bought(caller=msg.sender, receiver=receiver, assets=msg.value, shares=c.out, fee=c.fee)
    extcall IERC20(POOL.address).transfer(receiver, c.out)
    return c.out


@external
def sell(shares: uint256, min_assets: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Sell `shares` of floETH, which the caller has approved, for at least `min_assets` wei. While a loss is
            pending in the pool they come in at the exit price.
    @return Wei sent to `receiver` (rounded down).
    @dev Reverts: "pair: no value", "pair: too far from balance", "pair: too small", "slippage: too few assets",
         "receiver: refused", "allowance: too low", "balance: too low", "ether: send failed".
    """
    self._check_receiver(receiver)
    m: Market = self._market()
    m.pending_loss = staticcall POOL.pending_loss()
    c: Change = self._quote_sell(m, shares)
    assert c.out >= min_assets, reasons.MIN_ASSETS
    self._book(m, c)
    log IStablePair.Sold(caller=msg.sender, receiver=receiver, shares=shares, assets=c.out, fee=c.fee)
    extcall IERC20(POOL.address).transferFrom(msg.sender, self, shares)
    self._send(receiver, c.out)
    return c.out


# ---- liquidity --------------------------------------------------------------------------------------


@external
@payable
def add_liquidity(shares: uint256, min_liquidity: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Provide `msg.value` wei and `shares` of floETH, which the caller has approved, in any proportion; what is
            out of proportion pays half the fee on both sides. The first must bring both sides, within 1 : 3, and
            leaves a little that is nobody's.
    @return Liquidity minted for `receiver` (rounded down), at least `min_liquidity`.
    @dev Reverts: "pair: no value", "pair: too far from balance", "pair: too small", "pair: first deposit",
         "slippage: too little liquidity", "receiver: refused", "allowance: too low", "balance: too low".
    """
    self._check_receiver(receiver)
    liquidity: uint256 = 0
    if erc20.totalSupply == 0:
        liquidity = self._quote_first(msg.value, shares)
        self.books = words._with_pair(0, msg.value, shares)
        self.past = block.timestamp << 120
        erc20._mint(self, LOCKED_LIQUIDITY)
    else:
        m: Market = self._market()
        m.pending_loss = staticcall POOL.pending_loss()
        c: Change = self._quote_add(m, msg.value, shares)
        self._book(m, c)
        liquidity = c.out
    assert liquidity >= min_liquidity, reasons.MIN_LIQUIDITY
    erc20._mint(receiver, liquidity)
    log IStablePair.LiquidityAdded(
        caller=msg.sender, receiver=receiver, assets=msg.value, shares=shares, liquidity=liquidity
    )
    if shares > 0:
        extcall IERC20(POOL.address).transferFrom(msg.sender, self, shares)
    return liquidity


@external
def remove_liquidity(
    liquidity: uint256, min_assets: uint256, min_shares: uint256, receiver: address = msg.sender
) -> (uint256, uint256):
    """
    @notice Give up `liquidity` for its part of both sides, without a fee; locked fees stay. Works at any balance.
    @return Wei and shares sent to `receiver` (rounded down), at least `min_assets` and `min_shares`.
    @dev Reverts: "pair: no value", "pair: too small", "slippage: too few assets", "slippage: too few shares",
         "receiver: refused", "erc20: burn amount exceeds balance", "ether: send failed".
    """
    self._check_receiver(receiver)
    m: Market = self._sides()
    c: Change = empty(Change)
    if stable_math._in_domain(m.x, m.y):
        m = self._priced(m)
        c = self._quote_remove(m, liquidity)
        self._book(m, c)
    else:
        c = self._quote_remove(m, liquidity)
        self.books = words._with_pair(0, c.eth, c.floeth)
    assets: uint256 = m.eth - c.eth
    shares: uint256 = m.floeth - c.floeth
    assert assets >= min_assets, reasons.MIN_ASSETS
    assert shares >= min_shares, reasons.MIN_SHARES
    erc20._burn(msg.sender, liquidity)
    log IStablePair.LiquidityRemoved(
        caller=msg.sender, receiver=receiver, assets=assets, shares=shares, liquidity=liquidity
    )
    extcall IERC20(POOL.address).transfer(receiver, shares)
    self._send(receiver, assets)
    return assets, shares


@external
def remove_one(liquidity: uint256, of_ether: bool, min_out: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Give up `liquidity` for ETH alone or, if not `of_ether`, for floETH alone. What that is more than its part
            of this side pays the fee of a trade; with a loss pending in the pool, ETH pays for it as in `sell`.
    @return Wei or shares sent to `receiver` (rounded down), at least `min_out`.
    @dev Reverts: "pair: no value", "pair: too far from balance", "pair: too small", "slippage: too few assets",
         "slippage: too few shares", "receiver: refused", "balance: too low", "erc20: burn amount exceeds balance",
         "ether: send failed".
    """
    self._check_receiver(receiver)
    m: Market = self._market()
    if of_ether:
        m.pending_loss = staticcall POOL.pending_loss()
    c: Change = self._quote_remove_one(m, liquidity, of_ether)
    self._book(m, c)
    erc20._burn(msg.sender, liquidity)
    log IStablePair.OneRemoved(caller=msg.sender, receiver=receiver, of_ether=of_ether, out=c.out, liquidity=liquidity)
    if of_ether:
        assert c.out >= min_out, reasons.MIN_ASSETS
        self._send(receiver, c.out)
    else:
        assert c.out >= min_out, reasons.MIN_SHARES
        extcall IERC20(POOL.address).transfer(receiver, c.out)
    return c.out


# ---- fees and parameters ----------------------------------------------------------------------------


@external
def collect() -> (uint256, uint256):
    """
    @notice Send what lies beyond the books, the admin's part of the fees and gifts, to the fee receiver. Anyone may
            call.
    @return Wei and shares sent.
    @dev Reverts: "ether: send failed".
    """
    assets: uint256 = 0
    shares: uint256 = 0
    assets, shares = self._admin_fees()
    receiver: address = self.fee_receiver
    log IStablePair.Collected(receiver=receiver, assets=assets, shares=shares)
    if shares > 0:
        extcall IERC20(POOL.address).transfer(receiver, shares)
    if assets > 0:
        self._send(receiver, assets)
    return assets, shares


@external
def ramp(a_to: uint256, end: uint256):
    """
    @notice Move the amplification from where it is now to `a_to` (hundredths; 1 to 5,000, at most ten times as much or
            as little), in a straight line that ends at `end`, a day from now or later. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    a_from: uint256 = self._amplification(self.live)
    assert self._in_range(a_to), reasons.PARAMETER
    assert a_to <= a_from * MAX_RAMP_FACTOR and a_to * MAX_RAMP_FACTOR >= a_from, reasons.PARAMETER
    assert end >= block.timestamp + MIN_RAMP and end <= words.U40, reasons.PARAMETER
    self._set_ramp(a_from, a_to, end)


@external
def stop_ramp():
    """
    @notice Leave the amplification where it is now. Admin only.
    @dev Reverts: "access_control: account is missing role".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    now_: uint256 = self._amplification(self.live)
    self._set_ramp(now_, now_, block.timestamp)


@external
def set_fees(fee: uint256, off_peg: uint256, admin_ppm: uint256):
    """
    @notice Replace the fees: `fee` 50 to 10,000 ppm, `off_peg` 10,000 to 200,000 (times 1 to times 20), `admin_ppm` at
            most half. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._set_fees(fee, off_peg, admin_ppm)


@external
def set_fee_receiver(receiver: address):
    """
    @notice Send what is collected later to `receiver`. Admin only.
    @dev Reverts: "access_control: account is missing role", "receiver: refused".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._set_fee_receiver(receiver)


# ---- views ------------------------------------------------------------------------------------------


@external
@view
def price() -> uint256:
    """
    @notice Wei of ETH for 1e18 wei of floETH's value (at the entry rate), at the margin and without fee (rounds down).
    @dev Reverts: "pair: no value", "pair: too far from balance".
    """
    return self._price(self._market())


@external
@view
def price_cumulative() -> (uint256, uint256):
    """
    @notice Sum of `price()` times seconds up to now, and now: two readings give the mean between them. Over the
            seconds since the last change of the books the price counts as it is now.
    @dev Reverts: "pair: no value", "pair: too far from balance".
    """
    return self._cumulative(self._market(), self.past), block.timestamp


@external
@view
def virtual_price() -> uint256:
    """
    @notice Wei of value behind 1e18 liquidity, locked fees left out (rounds down).
    @dev Reverts: "pair: no value", "pair: too far from balance".
    """
    return self._free(self._market()) * UNIT // erc20.totalSupply


@external
@view
def balances() -> (uint256, uint256):
    """
    @notice Wei and shares of the books.
    """
    books: uint256 = self.books
    return words._low(books), words._high(books)


@external
@view
def locked() -> uint256:
    """
    @notice Wei of value of fees that are not released yet.
    """
    return self._locked(self.past)


@external
@view
def fee() -> uint256:
    """
    @notice Fee in ppm of a very small trade now (rounds up).
    @dev Reverts: "pair: no value", "pair: too far from balance".
    """
    m: Market = self._market()
    return self._fee_ppm(m.live, m.x, m.y)


@external
@view
def amplification() -> uint256:
    """
    @notice The amplification now, in hundredths (rounds towards where a ramp started).
    """
    return self._amplification(self.live)


@external
@view
def parameters() -> IStablePair.Parameters:
    """
    @notice The fees and the ramp.
    """
    live: uint256 = self.live
    return IStablePair.Parameters(
        fee=live & U24,
        off_peg=(live >> 24) & U24,
        admin_ppm=(live >> 48) & U24,
        a_from=(live >> 72) & U24,
        a_to=(live >> 96) & U24,
        ramp_start=(live >> 120) & words.U40,
        ramp_end=live >> 160,
    )


@external
@view
def preview_buy(assets: uint256) -> uint256:
    """
    @notice Shares that `buy` would return for `assets` wei.
    @dev Reverts: as `buy`.
    """
    return self._quote_buy(self._market(), assets).out


@external
@view
def preview_sell(shares: uint256) -> uint256:
    """
    @notice Wei that `sell` would return for `shares`.
    @dev Reverts: as `sell`.
    """
    m: Market = self._market()
    m.pending_loss = staticcall POOL.pending_loss()
    return self._quote_sell(m, shares).out


@external
@view
def preview_add(assets: uint256, shares: uint256) -> uint256:
    """
    @notice Liquidity that `add_liquidity` would return for `assets` wei and `shares`.
    @dev Reverts: as `add_liquidity`.
    """
    if erc20.totalSupply == 0:
        return self._quote_first(assets, shares)
    m: Market = self._market()
    m.pending_loss = staticcall POOL.pending_loss()
    return self._quote_add(m, assets, shares).out


@external
@view
def preview_remove(liquidity: uint256) -> (uint256, uint256):
    """
    @notice Wei and shares that `remove_liquidity` would return.
    @dev Reverts: as `remove_liquidity`.
    """
    m: Market = self._sides()
    if stable_math._in_domain(m.x, m.y):
        m = self._priced(m)
    c: Change = self._quote_remove(m, liquidity)
    return m.eth - c.eth, m.floeth - c.floeth


@external
@view
def preview_remove_one(liquidity: uint256, of_ether: bool) -> uint256:
    """
    @notice Wei or shares that `remove_one` would return.
    @dev Reverts: as `remove_one`.
    """
    m: Market = self._market()
    if of_ether:
        m.pending_loss = staticcall POOL.pending_loss()
    return self._quote_remove_one(m, liquidity, of_ether).out


@external
@view
def admin_fees() -> (uint256, uint256):
    """
    @notice Wei and shares that `collect` would send.
    """
    return self._admin_fees()


@external
@view
def pool() -> address:
    """
    @notice The staking pool, whose token is traded here.
    """
    return POOL.address


# ---- what a call finds ------------------------------------------------------------------------------


@internal
@view
def _sides() -> Market:
    """
    @notice The books and what they are worth at the entry price.
    """
    m: Market = empty(Market)
    books: uint256 = self.books
    m.eth = words._low(books)
    m.floeth = words._high(books)
    m.price_value, m.price_shares = staticcall POOL.entry_price()
    m.x = m.eth
    m.y = m.floeth * m.price_value // m.price_shares
    return m


@internal
@view
def _priced(sides: Market) -> Market:
    """
    @notice The same, and its place on the curve.
    """
    m: Market = sides
    m.live = self.live
    m.a = 2 * self._amplification(m.live)
    m.d = stable_math._invariant(m.x, m.y, m.a, m.x + m.y)
    m.locked = min(self._locked(self.past), m.d)
    return m


@internal
@view
def _market() -> Market:
    m: Market = self._sides()
    assert min(m.x, m.y) > 0, reasons.PAIR_NO_VALUE
    assert stable_math._in_domain(m.x, m.y), reasons.PAIR_BALANCE
    return self._priced(m)


@internal
@view
def _free(m: Market) -> uint256:
    return m.d - m.locked


@internal
@view
def _locked(past: uint256) -> uint256:
    return locked_fees._locked(past >> 160, (past >> 120) & words.U40, block.timestamp)


@internal
@view
def _amplification(live: uint256) -> uint256:
    a_from: uint256 = (live >> 72) & U24
    a_to: uint256 = (live >> 96) & U24
    start: uint256 = (live >> 120) & words.U40
    end: uint256 = live >> 160
    if block.timestamp >= end:
        return a_to
    if a_to > a_from:
        return a_from + (a_to - a_from) * (block.timestamp - start) // (end - start)
    return a_from - (a_from - a_to) * (block.timestamp - start) // (end - start)


@internal
@pure
def _price(m: Market) -> uint256:
    return stable_math._price(m.x, m.y, m.a, m.d)


@internal
@view
def _cumulative(m: Market, past: uint256) -> uint256:
    seconds: uint256 = block.timestamp - ((past >> 120) & words.U40)
    if seconds == 0:
        return past & U120
    return (past & U120) + self._price(m) * seconds


@internal
@pure
def _fee_ppm(live: uint256, x: uint256, y: uint256) -> uint256:
    return stable_math._fee_ppm(live & U24, (live >> 24) & U24, x, y)


@internal
@view
def _admin_fees() -> (uint256, uint256):
    books: uint256 = self.books
    return self.balance - words._low(books), staticcall POOL.balanceOf(self) - words._high(books)


# ---- what a call would do ---------------------------------------------------------------------------


@internal
@view
def _quote_buy(m: Market, assets: uint256) -> Change:
    gross: uint256 = 0
    fee: uint256 = 0
    gross, fee = self._trade(m, m.x, m.y, assets)
    admin: uint256 = fee * ((m.live >> 48) & U24) // PPM
    c: Change = empty(Change)
    c.fee = fee
    c.out = (gross - fee) * m.price_shares // m.price_value
    c.eth = m.eth + assets
    c.floeth = m.floeth - c.out - admin * m.price_shares // m.price_value
    return self._traded(m, c)


@internal
@view
def _quote_sell(m: Market, shares: uint256) -> Change:
    value: uint256 = shares * (m.price_value - min(m.pending_loss, m.price_value)) // m.price_shares
    c: Change = empty(Change)
    gross: uint256 = 0
    gross, c.fee = self._trade(m, m.y, m.x, value)
    c.out = gross - c.fee
    c.eth = m.eth - c.out - c.fee * ((m.live >> 48) & U24) // PPM
    c.floeth = m.floeth + shares
    return self._traded(m, c)


@internal
@pure
def _trade(m: Market, into: uint256, from_: uint256, worth: uint256) -> (uint256, uint256):
    """
    @notice What leaves the side `from_` when `worth` joins the side `into`, all of it and the fee on it, in wei of
            value.
    """
    # The real value of both sides is less than SLACK above D: not even that is given away.
    rest: uint256 = stable_math._other(into + worth, m.d + stable_math.SLACK, m.a, from_ - min(worth, from_ // 2))
    assert rest < from_, reasons.PAIR_TOO_SMALL
    gross: uint256 = from_ - rest
    # At the mean of the balances before and after.
    rate: uint256 = self._fee_ppm(m.live, into + into + worth, from_ + rest)
    return gross, self._part_up(gross, rate)


@internal
@view
def _traded(m: Market, quoted: Change) -> Change:
    c: Change = quoted
    assert c.out > 0, reasons.PAIR_TOO_SMALL
    # Locked is what the value has grown by.
    c.locked = m.locked + self._value_after(m, c, m.d + c.fee) - m.d
    return c


@internal
@view
def _quote_first(assets: uint256, shares: uint256) -> uint256:
    """
    @notice Liquidity of the first deposit, less what nobody gets.
    """
    m: Market = self._sides()
    y: uint256 = shares * m.price_value // m.price_shares
    assert min(assets, y) >= MIN_FIRST_SIDE, reasons.PAIR_FIRST
    assert max(assets, y) <= MAX_FIRST_RATIO * min(assets, y), reasons.PAIR_FIRST
    a: uint256 = 2 * self._amplification(self.live)
    return stable_math._invariant(assets, y, a, assets + y) - LOCKED_LIQUIDITY


@internal
@view
def _quote_add(m: Market, assets: uint256, shares: uint256) -> Change:
    c: Change = empty(Change)
    c.eth = m.eth + assets
    c.floeth = m.floeth + shares
    x: uint256 = c.eth
    y: uint256 = c.floeth * m.price_value // m.price_shares
    d: uint256 = self._value_after(m, c, x + y)
    assert d > m.d, reasons.PAIR_TOO_SMALL
    # Half the fee on what each side is away from where it would be had both grown alike. floETH that comes in excess
    # while a loss is pending is worth so much less.
    half: uint256 = (self._fee_ppm(m.live, m.x + x, m.y + y) + 1) // 2
    fee_x: uint256 = self._part_up(self._apart(x, m.x * d // m.d), half)
    rate_y: uint256 = half
    if y > m.y * d // m.d:
        rate_y = self._with_loss(m, half)
    fee_y: uint256 = self._part_up(self._apart(y, m.y * d // m.d), rate_y)
    c.fee = fee_x + fee_y
    bought: uint256 = min(stable_math._invariant(x - fee_x, y - fee_y, m.a, d - min(c.fee, d)), d)
    assert bought > m.d + stable_math.SLACK, reasons.PAIR_TOO_SMALL
    c.out = erc20.totalSupply * (bought - m.d - stable_math.SLACK) // (self._free(m) + stable_math.SLACK)
    assert c.out > 0, reasons.PAIR_TOO_SMALL
    c.locked = m.locked + d - bought
    return c


@internal
@view
def _quote_remove(m: Market, liquidity: uint256) -> Change:
    """
    @notice Leaves D the value of those who stay, a few wei more, and both sides in proportion (rounded up). Where
            there is no D, plain parts.
    """
    supply: uint256 = erc20.totalSupply
    assert supply > 0, reasons.PAIR_NO_VALUE
    assert liquidity <= supply, reasons.BALANCE
    c: Change = empty(Change)
    if m.d == 0:
        c.eth = m.eth - m.eth * liquidity // supply
        c.floeth = m.floeth - m.floeth * liquidity // supply
    else:
        stays: uint256 = min(m.d - liquidity * self._free(m) // supply + stable_math.SLACK, m.d)
        c.eth = self._ceil(m.eth * stays, m.d)
        # A wei of value more, because y is rounded down.
        c.floeth = self._ceil(m.floeth * stays, m.d) + self._ceil(m.price_shares, m.price_value)
        c.floeth = min(c.floeth, m.floeth)
        c.locked = m.locked
    assert m.eth - c.eth + m.floeth - c.floeth > 0, reasons.PAIR_TOO_SMALL
    return c


@internal
@view
def _quote_remove_one(m: Market, liquidity: uint256, of_ether: bool) -> Change:
    supply: uint256 = erc20.totalSupply
    assert liquidity <= supply, reasons.BALANCE
    worth: uint256 = liquidity * self._free(m) // supply
    from_: uint256 = m.y
    beside: uint256 = m.x
    if of_ether:
        from_ = m.x
        beside = m.y
    rest: uint256 = stable_math._other(beside, m.d - worth + stable_math.SLACK, m.a, from_ - min(worth, from_ // 2))
    assert rest < from_, reasons.PAIR_TOO_SMALL
    # Its part of this side is free of a fee; the remainder is, in effect, bought for its part of the other one.
    rate: uint256 = self._with_loss(m, self._fee_ppm(m.live, beside + beside, from_ + rest))
    part: uint256 = from_ * (m.d - worth) // m.d
    c: Change = empty(Change)
    c.fee = self._part_up(part - min(rest, part), rate)
    c.out = from_ - rest - c.fee
    c.eth = m.eth
    c.floeth = m.floeth
    if of_ether:
        c.eth -= c.out
    else:
        c.out = c.out * m.price_shares // m.price_value
        c.floeth -= c.out
    assert c.out > 0, reasons.PAIR_TOO_SMALL
    c.locked = m.locked + self._value_after(m, c, m.d - worth + c.fee) - (m.d - worth)
    return c


@internal
@pure
def _value_after(m: Market, c: Change, guess: uint256) -> uint256:
    """
    @notice D of the books that a change leaves, which must be near enough to balance.
    """
    x: uint256 = c.eth
    y: uint256 = c.floeth * m.price_value // m.price_shares
    assert min(x, y) >= MIN_SIDE and max(x, y) <= MAX_RATIO * min(x, y), reasons.PAIR_BALANCE
    return stable_math._invariant(x, y, m.a, min(guess, x + y))


@internal
@pure
def _with_loss(m: Market, rate: uint256) -> uint256:
    """
    @notice A rate in ppm and the part of floETH's value that a pending loss will take (rounded up), at most all.
    """
    return min(rate + self._ceil(m.pending_loss * PPM, m.price_value), PPM)


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


# ---- what a call changes ----------------------------------------------------------------------------


@internal
def _book(m: Market, c: Change):
    """
    @notice Note the price until now, and what a change leaves.
    """
    cumulative: uint256 = self._cumulative(m, self.past)
    assert (cumulative >> 120) | (c.locked >> 96) == 0
    self.past = (c.locked << 160) | (block.timestamp << 120) | cumulative
    self.books = words._with_pair(0, c.eth, c.floeth)


@internal
@view
def _check_receiver(receiver: address):
    assert receiver not in [empty(address), self, POOL.address], reasons.RECEIVER


@internal
def _send(receiver: address, amount: uint256):
    assert raw_call(receiver, b"", value=amount, max_outsize=0, revert_on_failure=False), reasons.SEND_FAILED


@internal
@pure
def _in_range(amplification: uint256) -> bool:
    return amplification >= MIN_AMPLIFICATION and amplification <= MAX_AMPLIFICATION


@internal
def _set_ramp(a_from: uint256, a_to: uint256, end: uint256):
    fees: uint256 = self.live & (2**72 - 1)
    self.live = fees | (a_from << 72) | (a_to << 96) | (block.timestamp << 120) | (end << 160)
    log IStablePair.Ramped(from_=a_from, to=a_to, start=block.timestamp, end=end)


@internal
def _set_fees(fee: uint256, off_peg: uint256, admin_ppm: uint256):
    assert fee >= MIN_FEE and fee <= MAX_FEE, reasons.PARAMETER
    assert off_peg >= MIN_OFF_PEG and off_peg <= MAX_OFF_PEG, reasons.PARAMETER
    assert admin_ppm <= MAX_ADMIN_PPM, reasons.PARAMETER
    self.live = ((self.live >> 72) << 72) | fee | (off_peg << 24) | (admin_ppm << 48)
    log IStablePair.FeesSet(fee=fee, off_peg=off_peg, admin_ppm=admin_ppm)


@internal
def _set_fee_receiver(receiver: address):
    self._check_receiver(receiver)
    self.fee_receiver = receiver
    log IStablePair.FeeReceiverSet(receiver=receiver)
