# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Floe ETH pair (flLP)
@license GNU Affero General Public License v3.0 only
@notice A market of ETH and floETH, and its liquidity token in one. The curve is that of `stable_math.vy` over values:
        floETH counts what the pool's entry price says, read once in every call, so rewards never leave through trades.
        The rules lie beside this file: `pair_quotes.vy` has what every call does, `pair_terms.vy` the fees and the
        amplification.

        What a trade or a one-sided change pays is locked at first and released over a day (`locked_fees.vy`); who
        joins buys at the value without it, who leaves leaves with that. Liquidity cannot leave its owner in the block
        in which it was minted, so nobody provides only for the length of somebody else's trade. While a loss is pending
        in the pool, floETH comes in at the exit price and is booked at the entry price: nobody sells a known loss to
        those who provide.
        The value of the liquidity never falls but by a loss of the pool, or by a ramp while the sides differ.
@dev What stops it, who can, and what still works then: nobody can stop trades or liquidity. When the rate falls so far
     that one side is worth more than 10,000 times the other, only what brings them nearer goes on; from 1,000,000
     times on, and when floETH is worth nothing, only `remove_liquidity`, which always works. The admin (a timelock)
     sets the terms inside fixed bounds and names the fee receiver. ETH and floETH that just arrive are in no book:
     they go to the fee receiver.
"""
from ethereum.ercs import IERC20
from snekmate.auth import access_control
from snekmate.auth import ownable
from snekmate.tokens import erc20
from contracts.lib import reasons
from contracts.lib import words
from contracts.liquidity import locked_fees
from contracts.liquidity import pair_quotes
from contracts.liquidity import pair_terms
from contracts.liquidity import stable_math
from interfaces import IFloePool
from interfaces import IStablePair

implements: IERC20
implements: IStablePair

initializes: access_control
initializes: ownable
initializes: erc20[ownable := ownable]
initializes: pair_terms[access_control := access_control]

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
)
exports: (
    pair_terms.amplification,
    pair_terms.parameters,
    pair_terms.ramp,
    pair_terms.set_fees,
    pair_terms.stop_ramp,
)

UNIT: constant(uint256) = 10**18
U64: constant(uint256) = 2**64 - 1
U120: constant(uint256) = 2**120 - 1

POOL: immutable(IFloePool)

# ETH u96 | floETH u96
books: uint256
# price cumulative u120 | when u40 | fees locked then u96
past: uint256
# Account -> when it was last given new liquidity u64 | how much in that block u192
minted: HashMap[address, uint256]
# @notice Receives what lies beyond the books.
fee_receiver: public(address)


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
    pair_terms.__init__(fee, off_peg, admin_ppm, amplification)
    self._set_fee_receiver(fee_receiver)


@external
@payable
def __default__():
    """
    @notice ETH comes with `buy` or `add_liquidity`. Reverts: "ether: not like this".
    """
    raise reasons.PLAIN_ETHER


# ---- ERC-20 -----------------------------------------------------------------------------------------


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice ERC-20. New liquidity stays where it is for a block.
    @dev Reverts: "pair: fresh liquidity", "erc20: transfer to the zero address",
         "erc20: transfer amount exceeds balance".
    """
    self._check_fresh(msg.sender, amount)
    erc20._transfer(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice ERC-20. New liquidity stays where it is for a block.
    @dev Reverts: "erc20: insufficient allowance", "erc20: approve from the zero address", "pair: fresh liquidity",
         "erc20: transfer to the zero address", "erc20: transfer amount exceeds balance".
    """
    erc20._spend_allowance(owner, msg.sender, amount)
    self._check_fresh(owner, amount)
    erc20._transfer(owner, to, amount)
    return True


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
    m: pair_quotes.Market = self._market()
    c: pair_quotes.Change = pair_quotes._buy(m, msg.value)
    self._check_shares(c.out, min_shares)
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
    m: pair_quotes.Market = self._lossy_market()
    c: pair_quotes.Change = pair_quotes._sell(m, shares)
    self._check_assets(c.out, min_assets)
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
    supply: uint256 = erc20.totalSupply
    liquidity: uint256 = 0
    if supply == 0:
        liquidity = pair_quotes._first(self._sides(), msg.value, shares) - pair_quotes.LOCKED_LIQUIDITY
        self.books = words._with_pair(0, msg.value, shares)
        self.past = block.timestamp << 120
        erc20._mint(self, pair_quotes.LOCKED_LIQUIDITY)
    else:
        m: pair_quotes.Market = self._lossy_market()
        c: pair_quotes.Change = pair_quotes._add(m, supply, msg.value, shares)
        self._book(m, c)
        liquidity = c.out
    assert liquidity >= min_liquidity, reasons.MIN_LIQUIDITY
    self._mint(receiver, liquidity)
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
    @dev Reverts: "receiver: refused", "pair: fresh liquidity", "pair: no value", "pair: too small", "balance: too low",
         "slippage: too few assets", "slippage: too few shares", "erc20: burn amount exceeds balance",
         "ether: send failed".
    """
    self._check_receiver(receiver)
    self._check_fresh(msg.sender, liquidity)
    m: pair_quotes.Market = self._market(True)
    c: pair_quotes.Change = pair_quotes._remove(m, erc20.totalSupply, liquidity)
    self._book(m, c)
    assets: uint256 = m.eth - c.eth
    shares: uint256 = m.floeth - c.floeth
    self._check_assets(assets, min_assets)
    self._check_shares(shares, min_shares)
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
    @dev Reverts: "receiver: refused", "pair: fresh liquidity", "pair: no value", "pair: too far from balance",
         "pair: too small", "balance: too low", "slippage: too few assets", "slippage: too few shares",
         "erc20: burn amount exceeds balance", "ether: send failed".
    """
    self._check_receiver(receiver)
    self._check_fresh(msg.sender, liquidity)
    m: pair_quotes.Market = self._market()
    if of_ether:
        m.pending_loss = staticcall POOL.pending_loss()
    c: pair_quotes.Change = pair_quotes._remove_one(m, erc20.totalSupply, liquidity, of_ether)
    self._book(m, c)
    erc20._burn(msg.sender, liquidity)
    log IStablePair.OneRemoved(caller=msg.sender, receiver=receiver, of_ether=of_ether, out=c.out, liquidity=liquidity)
    if of_ether:
        self._check_assets(c.out, min_out)
        self._send(receiver, c.out)
    else:
        self._check_shares(c.out, min_out)
        extcall IERC20(POOL.address).transfer(receiver, c.out)
    return c.out


# ---- fees and parameters ----------------------------------------------------------------------------


@external
def collect() -> (uint256, uint256):
    """
    @notice Send what lies beyond the books, the admin's part of the fees and gifts, to the fee receiver. Anyone may
            call.
    @return Wei and shares sent.
    @dev Reverts: "receiver: refused" by the pool, "ether: send failed".
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
    return pair_quotes._price(self._market())


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
    m: pair_quotes.Market = self._market()
    return (m.d - m.locked) * UNIT // erc20.totalSupply


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
    m: pair_quotes.Market = self._market()
    return pair_quotes._fee_ppm(m, m.x, m.y)


@external
@view
def preview_buy(assets: uint256) -> uint256:
    """
    @notice Shares that `buy` would return for `assets` wei.
    @dev Reverts: as `buy`.
    """
    return pair_quotes._buy(self._market(), assets).out


@external
@view
def preview_sell(shares: uint256) -> uint256:
    """
    @notice Wei that `sell` would return for `shares`.
    @dev Reverts: as `sell`.
    """
    m: pair_quotes.Market = self._lossy_market()
    return pair_quotes._sell(m, shares).out


@external
@view
def preview_add(assets: uint256, shares: uint256) -> uint256:
    """
    @notice Liquidity that `add_liquidity` would return for `assets` wei and `shares`.
    @dev Reverts: as `add_liquidity`.
    """
    if erc20.totalSupply == 0:
        return pair_quotes._first(self._sides(), assets, shares) - pair_quotes.LOCKED_LIQUIDITY
    m: pair_quotes.Market = self._lossy_market()
    return pair_quotes._add(m, erc20.totalSupply, assets, shares).out


@external
@view
def preview_remove(liquidity: uint256) -> (uint256, uint256):
    """
    @notice Wei and shares that `remove_liquidity` would return.
    @dev Reverts: as `remove_liquidity`.
    """
    m: pair_quotes.Market = self._market(True)
    c: pair_quotes.Change = pair_quotes._remove(m, erc20.totalSupply, liquidity)
    return m.eth - c.eth, m.floeth - c.floeth


@external
@view
def preview_remove_one(liquidity: uint256, of_ether: bool) -> uint256:
    """
    @notice Wei or shares that `remove_one` would return.
    @dev Reverts: as `remove_one`.
    """
    m: pair_quotes.Market = self._market()
    if of_ether:
        m.pending_loss = staticcall POOL.pending_loss()
    return pair_quotes._remove_one(m, erc20.totalSupply, liquidity, of_ether).out


@external
@view
def fresh(account: address) -> uint256:
    """
    @notice Liquidity of `account` that was minted in this block and cannot leave it yet.
    """
    return self._fresh(account)


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


# ---- inside -----------------------------------------------------------------------------------------


@internal
@view
def _sides() -> pair_quotes.Market:
    """
    @notice The books, what they are worth at the entry price, and the terms.
    """
    m: pair_quotes.Market = empty(pair_quotes.Market)
    books: uint256 = self.books
    m.eth = words._low(books)
    m.floeth = books >> 96
    m.price_value, m.price_shares = staticcall POOL.entry_price()
    m.x = m.eth
    m.y = m.floeth * m.price_value // m.price_shares
    m.fees = pair_terms.live
    m.a = 2 * pair_terms._amplification(m.fees)
    return m


@internal
@view
def _market(tolerant: bool = False) -> pair_quotes.Market:
    """
    @notice The same, its place on the curve and the locked fees. If `tolerant`, and there is no such place, without.
    """
    m: pair_quotes.Market = self._sides()
    if tolerant and not stable_math._in_domain(m.x, m.y):
        return m
    if m.x == 0 or m.y == 0:
        reasons._refuse(reasons.PAIR_NO_VALUE)
    m.d = stable_math._invariant(m.x, m.y, m.a, m.x + m.y)
    m.locked = min(self._locked(self.past), m.d)
    return m


@internal
@view
def _lossy_market() -> pair_quotes.Market:
    """
    @notice The same, and the loss that is pending in the pool.
    """
    m: pair_quotes.Market = self._market()
    m.pending_loss = staticcall POOL.pending_loss()
    return m


@internal
@view
def _locked(past: uint256) -> uint256:
    return locked_fees._locked(past >> 160, (past >> 120) & words.U40, block.timestamp)


@internal
@view
def _cumulative(m: pair_quotes.Market, past: uint256) -> uint256:
    elapsed: uint256 = block.timestamp - ((past >> 120) & words.U40)
    if elapsed == 0:
        return past & U120
    return (past & U120) + pair_quotes._price(m) * elapsed


@internal
@view
def _admin_fees() -> (uint256, uint256):
    books: uint256 = self.books
    return self.balance - words._low(books), staticcall POOL.balanceOf(self) - words._high(books)


@internal
def _book(m: pair_quotes.Market, c: pair_quotes.Change):
    """
    @notice Note the price until now, and what a change leaves.
    """
    # Where there is no price, there is no fee either.
    if m.d > 0:
        # A price is below 2**80, so the sum fits for 30,000 years; what is locked is part of what the books are worth.
        cumulative: uint256 = self._cumulative(m, self.past)
        self.past = (c.locked << 160) | (block.timestamp << 120) | cumulative
    self.books = words._with_pair(0, c.eth, c.floeth)


@internal
def _mint(receiver: address, liquidity: uint256):
    self.minted[receiver] = ((self._fresh(receiver) + liquidity) << 64) | block.timestamp
    erc20._mint(receiver, liquidity)


@internal
@view
def _fresh(account: address) -> uint256:
    minted: uint256 = self.minted[account]
    if minted & U64 == block.timestamp:
        return minted >> 64
    return 0


@internal
@view
def _check_fresh(owner: address, amount: uint256):
    """
    @notice Refuse to let go of what was minted in this block. Only that much is bound: nobody can bind older liquidity
            of somebody else by giving it new one.
    """
    fresh: uint256 = self._fresh(owner)
    if fresh > 0 and erc20.balanceOf[owner] - fresh < amount:
        reasons._refuse(reasons.PAIR_FRESH)


@internal
@view
def _check_receiver(receiver: address):
    if receiver in [empty(address), self, POOL.address]:
        reasons._refuse(reasons.RECEIVER)


@internal
@pure
def _check_shares(shares: uint256, least: uint256):
    if shares < least:
        reasons._refuse(reasons.MIN_SHARES)


@internal
@pure
def _check_assets(assets: uint256, least: uint256):
    if assets < least:
        reasons._refuse(reasons.MIN_ASSETS)


@internal
def _send(receiver: address, amount: uint256):
    if not raw_call(receiver, b"", value=amount, max_outsize=0, revert_on_failure=False):
        reasons._refuse(reasons.SEND_FAILED)


@internal
def _set_fee_receiver(receiver: address):
    self._check_receiver(receiver)
    self.fee_receiver = receiver
    log IStablePair.FeeReceiverSet(receiver=receiver)
