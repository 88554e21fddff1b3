# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title ExitReserve (flRES)
@license GNU Affero General Public License v3.0 only
@notice ETH that buys exits. People provide it and own the reserve's shares, an ERC-20 (EIP-2612, EIP-5267) and an
        ERC-7535 vault. Anyone sells floETH or an exit ticket to it at the exit rate, less a fee that rises as the ETH
        runs down (`instant_fee.vy`). What was bought comes back as ETH through the queue, or at once when somebody
        stakes through `stake`. No market price is asked for.

        Books, in wei and shares of floETH; what lies here beyond them counts for nothing and belongs to nobody:

            cash    wei that can be paid out          queued  unclaimed shares of the open tickets
            held    floETH that is not in the queue   locked  fees not yet in the value, over a day (`locked_fees.vy`)

            value = cash + (held + shares of open tickets that are not filled) * exit rate // 1e18
                    + what the filled parts of open tickets pay - locked      (0 if that is less)

        The reserve's shares are bought at their value rounded up and given back at their value rounded down. The value
        never falls but by a loss of the pool (or by rounding, less than two wei for each open ticket in a
        fulfilment). A fee enters it evenly over a day, so that nobody gains by providing ETH around a sale.

        In doubt, while a loss is pending or the last report is older than two days, every sale pays `fee_max`.
@dev What stops it, who can, and what still works then: whoever can pause the pool's fulfilments (the oracle, while a
     report is held) stops sales, deposits and withdrawals for as long; a pending loss stops deposits. `queue_exits`,
     `claim`, transfers, and `stake` as far as the pool takes deposits, always work. The admin (a timelock) sets the
     parameters inside fixed bounds. ETH is taken only from whoever provides or stakes it, and from the queue in a call
     of this contract: nobody claims the reserve's tickets past it.
"""
from ethereum.ercs import IERC20
from ethereum.ercs import IERC721
from snekmate.auth import access_control
from snekmate.auth import ownable
from snekmate.tokens import erc20
from contracts.lib import instant_fee
from contracts.lib import reasons
from contracts.lib import words
from contracts.liquidity import locked_fees
from contracts.liquidity import ticket_list
from interfaces import IExitReserve
from interfaces import IFloePool
from interfaces import IWithdrawalQueue

implements: IERC20
implements: IExitReserve

initializes: access_control
initializes: ownable
initializes: erc20[ownable := ownable]
initializes: ticket_list

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
    erc20.eip712Domain,
    erc20.name,
    erc20.nonces,
    erc20.permit,
    erc20.symbol,
    erc20.totalSupply,
)
exports: ticket_list.open_tickets


# What the pool says about itself.
struct Market:
    rate: uint256  # wei per 1e18 shares when leaving
    loss: bool  # one is pending
    paused: bool  # exits are not paid now
    doubt: bool  # sales pay the highest fee


# @notice ERC-7528: the address that stands for ETH.
asset: public(constant(address)) = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE

RATE_UNIT: constant(uint256) = 10**18
DAY: constant(uint256) = 86_400

# Reports come once a day; after two without one nobody knows the rate.
DOUBT_AFTER: constant(uint256) = 2 * DAY
# A price needs shares that can never leave, and a first deposit beside which they are nothing.
LOCKED_SHARES: constant(uint256) = 10**9
MIN_FIRST_DEPOSIT: constant(uint256) = 10**16
# Of the open tickets, as many may be batches of the reserve's own floETH. A batch is at least one part of as many of
# all that the reserve has, so that nobody fills the places with dust and keeps the rest from being queued.
BATCHES: constant(uint256) = 16
MAX_SOLD_TICKETS: constant(uint256) = ticket_list.MAX_TICKETS - BATCHES

MAX_FEE: constant(uint256) = 100_000  # ppm; a tenth is dearer than any wait
# A ticket takes a place in the list until it is filled; one above the upper bound could be asked of nobody.
LOWEST_MIN_TICKET: constant(uint256) = 10**15
HIGHEST_MIN_TICKET: constant(uint256) = 32 * 10**18

U24: constant(uint256) = 2**24 - 1

POOL: immutable(IFloePool)
QUEUE: immutable(IWithdrawalQueue)

# cash u96 | held u96
liquid: uint256
# queued u96 | fees u96, of which the locked part is known at | u40
away: uint256
# fee min u24 | fee max u24 | target u96 | min ticket u96 | flag: the target is all that the reserve has
live: uint256
# Whether the queue's ETH is expected now.
claiming: transient(bool)


@deploy
def __init__(pool: IFloePool, admin: address, p: IExitReserve.Parameters):
    """
    @notice The pool and its queue must be there already. Reverts: "admin: not a contract",
            "parameter: out of bounds".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    POOL = pool
    QUEUE = IWithdrawalQueue(staticcall pool.queue())
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)
    # snekmate's token gives its deployer rights; nothing that would use them is exported.
    ownable.__init__()
    erc20.__init__("Floe exit reserve", "flRES", 18, "Floe exit reserve", "1")
    self._set_parameters(p)


@external
@payable
@reentrant
def __default__():
    """
    @notice Take ETH from the queue, in a call of this contract. Reverts: "ether: not like this".
    """
    if not self.claiming:
        reasons._refuse(reasons.PLAIN_ETHER)


# ---- sales ----------------------------------------------------------------------------------------


@external
def sell(shares: uint256, min_assets: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Sell `shares` of floETH, which the caller has approved, at the exit rate less the fee (rounded up).
    @param min_assets The call reverts below this.
    @return Wei paid to `receiver`.
    @dev Reverts: "receiver: refused", "reserve: exits paused", "reserve: too little ETH", "reserve: nothing to buy",
         "slippage: too few assets", "allowance: too low", "balance: too low", "ether: send failed".
    """
    self._check_receiver(receiver)
    assets: uint256 = 0
    fee: uint256 = 0
    assets, fee = self._terms(shares)
    if assets < min_assets:
        reasons._refuse(reasons.MIN_ASSETS)
    liquid: uint256 = self.liquid
    self.liquid = words._with_pair(liquid, words._low(liquid) - assets, words._high(liquid) + shares)
    self._book_away(0, fee)
    log IExitReserve.Sold(seller=msg.sender, receiver=receiver, shares=shares, assets=assets, fee=fee)
    extcall IERC20(POOL.address).transferFrom(msg.sender, self, shares)
    self._send(receiver, assets)
    return assets


@external
def sell_ticket(ticket: uint256, min_assets: uint256, receiver: address = msg.sender, hint: uint256 = 0) -> uint256:
    """
    @notice Sell a ticket of the caller, who has approved the reserve for it. What is filled is claimed and passed on
            whole; the rest is bought as floETH is.
    @param min_assets The call reverts below this.
    @param hint For the queue, as in its `claim`.
    @return Wei paid to `receiver`.
    @dev Reverts: "receiver: refused", "ticket: does not exist", "reserve: nothing to buy", "reserve: ticket too small",
         "reserve: exits paused", "reserve: too little ETH", "slippage: too few assets", "reserve: too many tickets",
         "ticket: caller may not", "ticket: not the owner's", "claim: wrong hint", "ether: send failed".
    """
    self._check_receiver(receiver)
    start: uint256 = 0
    first: uint256 = 0
    end: uint256 = 0
    start, first, end = self._interval(ticket)
    # The queue calls nobody but this contract.
    extcall IERC721(QUEUE.address).transferFrom(msg.sender, self, ticket)
    claimed: uint256 = 0
    if start < first:
        claimed = self._claim(ticket, hint)

    shares: uint256 = end - first
    assets: uint256 = 0
    fee: uint256 = 0
    assets, fee = self._terms(shares)
    if claimed + assets < min_assets:
        reasons._refuse(reasons.MIN_ASSETS)
    ticket_list._add(ticket, first, end, MAX_SOLD_TICKETS)
    liquid: uint256 = self.liquid
    self.liquid = words._with_low(liquid, words._low(liquid) - assets)
    self._book_away(shares, fee)
    log IExitReserve.TicketSold(
        seller=msg.sender, receiver=receiver, ticket=ticket, shares=shares, assets=assets, fee=fee, claimed=claimed
    )
    self._send(receiver, claimed + assets)
    return claimed + assets


@external
@view
def preview_sell(shares: uint256) -> uint256:
    """
    @notice Wei that `sell` would pay now. Reverts: "reserve: exits paused", "reserve: too little ETH",
            "reserve: nothing to buy".
    """
    return self._terms(shares)[0]


@external
@view
def preview_sell_ticket(ticket: uint256) -> uint256:
    """
    @notice Wei that `sell_ticket` would pay now. Reverts: "ticket: does not exist", "reserve: nothing to buy",
            "reserve: ticket too small", "reserve: exits paused", "reserve: too little ETH".
    """
    start: uint256 = 0
    first: uint256 = 0
    end: uint256 = 0
    start, first, end = self._interval(ticket)
    return self._terms(end - first)[0] + staticcall QUEUE.claimable(ticket)


# ---- what was bought ------------------------------------------------------------------------------


@external
def queue_exits() -> uint256:
    """
    @notice Request an exit for all floETH that the reserve holds. It must be at least a sixteenth of all that the
            reserve has, unless no ticket is open. Anyone may call.
    @return The ticket.
    @dev Reverts: "reserve: too little to queue", "reserve: too many tickets".
    """
    liquid: uint256 = self.liquid
    held: uint256 = words._high(liquid)
    rate: uint256 = staticcall POOL.exit_rate()
    if held == 0 or (len(ticket_list.entries) > 0 and held * rate // RATE_UNIT * BATCHES < self._size(rate)):
        reasons._refuse(reasons.RESERVE_BATCH_SMALL)
    # The queue and the pool call nobody here.
    ticket: uint256 = extcall QUEUE.request(held, self)
    start: uint256 = 0
    end: uint256 = 0
    start, end = staticcall QUEUE.interval(ticket)
    ticket_list._add(ticket, start, end, ticket_list.MAX_TICKETS)
    self.liquid = words._low(liquid)
    self._book_away(held, 0)
    log IExitReserve.Queued(ticket=ticket, shares=held)
    return ticket


@external
def claim(index: uint256, hint: uint256 = 0) -> uint256:
    """
    @notice Claim what is filled of the open ticket at `index`. One that is claimed in full leaves the list, and the
            last takes its place. Anyone may call.
    @param hint For the queue, as in its `claim`.
    @return Wei that came.
    @dev Reverts: "ticket: does not exist", "claim: nothing filled", "claim: wrong hint".
    """
    open_: IExitReserve.OpenTicket = ticket_list._at(index)
    # The queue calls nobody but this contract.
    assets: uint256 = self._claim(open_.ticket, hint)
    position: uint256 = min(staticcall QUEUE.filled(), open_.end)
    shares: uint256 = position - open_.start
    ticket_list._claimed_until(index, position)
    liquid: uint256 = self.liquid
    self.liquid = words._with_low(liquid, words._low(liquid) + assets)
    away: uint256 = self.away
    self.away = words._with_low(away, words._low(away) - shares)
    log IExitReserve.TicketClaimed(ticket=open_.ticket, shares=shares, assets=assets)
    return assets


@external
@payable
def stake(receiver: address = msg.sender, min_shares: uint256 = 0, referral: address = empty(address)) -> uint256:
    """
    @notice Stake `msg.value` wei: buy floETH that the reserve holds for what the pool would mint it for, as far as it
            goes, and deposit the rest into the pool. All goes to the pool while a loss is pending or exits are paused.
    @param min_shares The call reverts below this.
    @param referral As in the pool's `deposit`, for what goes there.
    @return Shares of floETH (rounded down).
    @dev Reverts: "receiver: refused", "deposit: zero shares", "slippage: too few shares", and as the pool's `deposit`.
    """
    self._check_receiver(receiver)
    bought: uint256 = 0
    price: uint256 = 0
    bought, price = self._from_held(msg.value)
    if bought > 0:
        liquid: uint256 = self.liquid
        self.liquid = words._with_pair(liquid, words._low(liquid) + price, words._high(liquid) - bought)
        log IExitReserve.Restaked(sender=msg.sender, receiver=receiver, assets=price, shares=bought)
        extcall IERC20(POOL.address).transfer(receiver, bought)
    shares: uint256 = bought
    if price < msg.value or bought == 0:
        rest: uint256 = msg.value - price
        shares += extcall POOL.deposit(rest, receiver, 0, referral, value=rest)
    if shares < min_shares:
        reasons._refuse(reasons.MIN_SHARES)
    return shares


@external
@view
def preview_stake(assets: uint256) -> uint256:
    """
    @notice Shares of floETH that `stake` would give for `assets` wei now, the pool's limits aside.
            Reverts: "pool: no value".
    """
    bought: uint256 = 0
    price: uint256 = 0
    bought, price = self._from_held(assets)
    entry_value: uint256 = 0
    supply: uint256 = 0
    entry_value, supply = staticcall POOL.entry_price()
    if entry_value == 0:
        reasons._refuse(reasons.NO_VALUE)
    return bought + (assets - price) * supply // entry_value


# ---- the reserve's shares: ERC-20 -----------------------------------------------------------------


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice ERC-20. Shares sent to nobody, to this contract or to the pool would be lost, so that is refused.
    @dev Reverts: "receiver: refused", "erc20: transfer amount exceeds balance".
    """
    self._check_receiver(to)
    erc20._transfer(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice ERC-20: as `transfer`, out of the caller's allowance.
    @dev Reverts: "receiver: refused", "erc20: insufficient allowance", "erc20: transfer amount exceeds balance".
    """
    self._check_receiver(to)
    erc20._spend_allowance(owner, msg.sender, amount)
    erc20._transfer(owner, to, amount)
    return True


# ---- the reserve's shares: ERC-7535 ---------------------------------------------------------------


@external
@payable
def deposit(assets: uint256, receiver: address, min_shares: uint256 = 0) -> uint256:
    """
    @notice Provide exactly `msg.value` (= `assets`) wei; `receiver` gets the shares (rounded down). The first deposit
            is at least 0.01 ETH, and a billionth of a share of it stays here for ever.
    @param min_shares The call reverts below this.
    @dev Reverts: "deposit: value differs", "receiver: refused", "reserve: exits paused", "reserve: loss pending",
         "reserve: first deposit", "reserve: no value", "deposit: zero shares", "slippage: too few shares".
    """
    if assets != msg.value:
        reasons._refuse(reasons.DEPOSIT_VALUE)
    shares: uint256 = self._shares_for(assets)
    if shares < min_shares:
        reasons._refuse(reasons.MIN_SHARES)
    self._enter(assets, shares, receiver)
    return shares


@external
@payable
def mint(shares: uint256, receiver: address) -> uint256:
    """
    @notice Buy exactly `shares`; the price (rounded up) is taken from `msg.value`, the rest goes back to the caller.
    @return The price in wei.
    @dev Reverts: as `deposit`, and "mint: value too low", "ether: send failed".
    """
    assets: uint256 = self._price_of(shares)
    if assets > msg.value:
        reasons._refuse(reasons.MINT_VALUE)
    self._enter(assets, shares, receiver)
    if msg.value > assets:
        self._send(msg.sender, msg.value - assets)
    return assets


@external
def withdraw(assets: uint256, receiver: address, owner: address, max_shares: uint256 = max_value(uint256)) -> uint256:
    """
    @notice Pay exactly `assets` wei of the cash to `receiver`; their worth in shares (rounded up) is burnt from
            `owner`.
    @param max_shares The call reverts above this.
    @return The shares burnt.
    @dev Reverts: "receiver: refused", "reserve: exits paused", "reserve: no value", "reserve: too little ETH",
         "slippage: too many shares", "erc20: insufficient allowance", "erc20: burn amount exceeds balance",
         "ether: send failed".
    """
    shares: uint256 = self._shares_to_burn(assets)
    if shares > max_shares:
        reasons._refuse(reasons.MAX_SHARES)
    self._leave(assets, shares, receiver, owner)
    return shares


@external
def redeem(shares: uint256, receiver: address, owner: address, min_assets: uint256 = 0) -> uint256:
    """
    @notice Burn `shares` of `owner` and pay their value (rounded down) out of the cash to `receiver`.
    @param min_assets The call reverts below this.
    @return The wei paid.
    @dev Reverts: "receiver: refused", "reserve: exits paused", "reserve: too little ETH", "slippage: too few assets",
         "erc20: insufficient allowance", "erc20: burn amount exceeds balance", "ether: send failed".
    """
    assets: uint256 = self._to_assets(shares)
    if assets < min_assets:
        reasons._refuse(reasons.MIN_ASSETS)
    self._leave(assets, shares, receiver, owner)
    return assets


@external
@view
def totalAssets() -> uint256:
    """
    @notice ERC-4626: the value of all shares in wei.
    """
    return self._value()


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares worth `assets` wei (rounds down). Reverts: "reserve: no value".
    """
    return self._to_shares(assets)


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice ERC-4626: wei that `shares` are worth (rounds down).
    """
    return self._to_assets(shares)


@external
@view
def maxDeposit(receiver: address) -> uint256:
    """
    @notice ERC-4626: wei that could be provided for `receiver` now; 0 while deposits are refused.
    """
    return self._room(receiver)


@external
@view
def maxMint(receiver: address) -> uint256:
    """
    @notice ERC-4626: shares that could be minted for `receiver` now.
    """
    room: uint256 = self._room(receiver)
    if room == 0:
        return 0
    return self._shares_for(room)


@external
@view
def maxWithdraw(owner: address) -> uint256:
    """
    @notice ERC-4626: wei that `owner` can take out now, as far as there is cash; 0 while exits are paused.
    """
    if self._market().paused:
        return 0
    return min(self._to_assets(erc20.balanceOf[owner]), words._low(self.liquid))


@external
@view
def maxRedeem(owner: address) -> uint256:
    """
    @notice ERC-4626: shares that `owner` can redeem now, as far as there is cash; 0 while exits are paused.
    """
    if self._market().paused:
        return 0
    shares: uint256 = erc20.balanceOf[owner]
    cash: uint256 = words._low(self.liquid)
    if self._to_assets(shares) <= cash:
        return shares
    # The most shares whose value rounds down to the cash.
    return ((cash + 1) * erc20.totalSupply - 1) // self._value()


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares for `assets` wei (rounds down). Reverts: "reserve: first deposit", "reserve: no value".
    """
    return self._shares_for(assets)


@external
@view
def previewMint(shares: uint256) -> uint256:
    """
    @notice ERC-4626: wei for `shares` (rounds up). Reverts: "reserve: first deposit", "reserve: no value".
    """
    return self._price_of(shares)


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares that taking out `assets` wei burns, cash aside (rounds up). Reverts: "reserve: no value".
    """
    return self._shares_to_burn(assets)


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    """
    @notice ERC-4626: wei that `shares` pay, cash aside (rounds down).
    """
    return self._to_assets(shares)


# ---- admin ----------------------------------------------------------------------------------------


@external
def set_parameters(p: IExitReserve.Parameters):
    """
    @notice Replace all parameters. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._set_parameters(p)


# ---- views ----------------------------------------------------------------------------------------


@external
@view
def fee() -> uint256:
    """
    @notice Fee in ppm on the next wei that a sale takes out (rounded up).
    """
    line: instant_fee.Line = self._line(self._market())
    return instant_fee._price_ppm(line, line.liquidity)


@external
@view
def cash() -> uint256:
    """
    @notice Wei that sales and withdrawals can take out.
    """
    return words._low(self.liquid)


@external
@view
def held() -> uint256:
    """
    @notice Shares of floETH that were bought and are not in the queue.
    """
    return words._high(self.liquid)


@external
@view
def queued() -> uint256:
    """
    @notice Shares of the open tickets that are not claimed.
    """
    return words._low(self.away)


@external
@view
def locked() -> uint256:
    """
    @notice Wei of fees that are not yet in the value of the reserve's shares (rounded up).
    """
    return self._locked(self.away)


@external
@view
def parameters() -> IExitReserve.Parameters:
    """
    @notice The live parameters.
    """
    return self._parameters()


@external
@view
def pool() -> address:
    """
    @notice The pool whose shares are bought.
    """
    return POOL.address


# ---- inside: the market ---------------------------------------------------------------------------


@internal
@view
def _market() -> Market:
    state: uint256[8] = staticcall POOL.state()
    loss: bool = words._high(state[2]) > 0
    reported_at: uint256 = (state[3] >> 96) & words.U40
    return Market(
        rate=staticcall POOL.exit_rate(),
        loss=loss,
        paused=words._time(state[2]) > block.timestamp,
        doubt=loss or block.timestamp > reported_at + DOUBT_AFTER,
    )


@internal
@view
def _line(market: Market) -> instant_fee.Line:
    """
    @notice The fee of sales now.
    """
    p: IExitReserve.Parameters = self._parameters()
    if market.doubt:
        p.fee_min = p.fee_max
    elif p.of_value:
        p.target = self._size(market.rate)
    return instant_fee.Line(
        fee_min=p.fee_min, fee_max=p.fee_max, target=p.target, liquidity=words._low(self.liquid)
    )


@internal
@view
def _terms(shares: uint256) -> (uint256, uint256):
    """
    @notice Wei that the reserve pays for `shares` of floETH now, and the fee that it keeps.
    """
    market: Market = self._market()
    if market.paused:
        reasons._refuse(reasons.RESERVE_PAUSED)
    gross: uint256 = shares * market.rate // RATE_UNIT
    line: instant_fee.Line = self._line(market)
    if gross > line.liquidity:
        reasons._refuse(reasons.RESERVE_SHORT)
    fee: uint256 = instant_fee._fee(line, gross)
    if fee == gross:
        reasons._refuse(reasons.RESERVE_NOTHING)
    return gross - fee, fee


@internal
@view
def _interval(ticket: uint256) -> (uint256, uint256, uint256):
    """
    @notice Of a ticket that may be sold: the first position that is not claimed, the first that is not filled, and the
            end.
    """
    start: uint256 = 0
    end: uint256 = 0
    start, end = staticcall QUEUE.interval(ticket)
    start = staticcall QUEUE.claimed_until(ticket)
    first: uint256 = min(max(start, staticcall QUEUE.filled()), end)
    if first == end:
        reasons._refuse(reasons.RESERVE_NOTHING)
    if end - first < self._parameters().min_ticket:
        reasons._refuse(reasons.RESERVE_TICKET_SMALL)
    return start, first, end


@internal
@view
def _from_held(assets: uint256) -> (uint256, uint256):
    """
    @notice Shares that `assets` wei buy from `held` at the entry price (rounded down), and the wei that they cost: all,
            when so little would be left that it buys no share in the pool.
    """
    held: uint256 = words._high(self.liquid)
    if held == 0:
        return 0, 0
    market: Market = self._market()
    entry_value: uint256 = 0
    supply: uint256 = 0
    entry_value, supply = staticcall POOL.entry_price()
    if market.loss or market.paused or entry_value == 0:
        return 0, 0
    wanted: uint256 = assets * supply // entry_value
    if wanted <= held:
        if wanted == 0:
            return 0, 0
        return wanted, assets
    price: uint256 = (held * entry_value + supply - 1) // supply
    if (assets - price) * supply < entry_value:
        return held, assets
    return held, price


# ---- inside: books --------------------------------------------------------------------------------


@internal
@view
def _size(rate: uint256) -> uint256:
    """
    @notice Wei that all that the reserve has is worth at the exit rate, no fees taken off, and tickets as if none were
            filled.
    """
    liquid: uint256 = self.liquid
    return words._low(liquid) + (words._high(liquid) + words._low(self.away)) * rate // RATE_UNIT


@internal
@view
def _value() -> uint256:
    """
    @notice The value of all shares in wei.
    """
    waiting: uint256 = 0
    claimable: uint256 = 0
    waiting, claimable = ticket_list._worth(QUEUE)
    liquid: uint256 = self.liquid
    floating: uint256 = (words._high(liquid) + waiting) * staticcall POOL.exit_rate() // RATE_UNIT
    total: uint256 = words._low(liquid) + floating + claimable
    # A loss may leave less than the fees of the last day.
    return total - min(self._locked(self.away), total)


@internal
@view
def _locked(away: uint256) -> uint256:
    return locked_fees._locked(words._high(away), words._time(away), block.timestamp)


@internal
def _book_away(shares: uint256, fee: uint256):
    """
    @notice Book new shares of open tickets and a new fee.
    """
    away: uint256 = self.away
    away = words._with_pair(away, words._low(away) + shares, self._locked(away) + fee)
    self.away = words._with_time(away, block.timestamp)


@internal
def _claim(ticket: uint256, hint: uint256) -> uint256:
    """
    @notice Claim a ticket of this contract; returns the wei that came, which are not booked yet.
    """
    self.claiming = True
    assets: uint256 = extcall QUEUE.claim(ticket, hint)
    self.claiming = False
    return assets


# ---- inside: the reserve's shares -----------------------------------------------------------------


@internal
@view
def _to_shares(assets: uint256) -> uint256:
    supply: uint256 = erc20.totalSupply
    if supply == 0:
        return assets
    value: uint256 = self._value()
    if value == 0:
        reasons._refuse(reasons.RESERVE_NO_VALUE)
    return assets * supply // value


@internal
@view
def _to_assets(shares: uint256) -> uint256:
    supply: uint256 = erc20.totalSupply
    if supply == 0:
        return shares
    return shares * self._value() // supply


@internal
@view
def _shares_to_burn(assets: uint256) -> uint256:
    """
    @notice Shares worth `assets` wei (rounds up).
    """
    value: uint256 = self._value()
    if value == 0:
        reasons._refuse(reasons.RESERVE_NO_VALUE)
    return (assets * erc20.totalSupply + value - 1) // value


@internal
@view
def _shares_for(assets: uint256) -> uint256:
    """
    @notice Shares that `assets` wei buy (rounds down), those that the first deposit leaves here taken off.
    """
    if erc20.totalSupply > 0:
        return self._to_shares(assets)
    if assets < MIN_FIRST_DEPOSIT:
        reasons._refuse(reasons.RESERVE_FIRST)
    return assets - LOCKED_SHARES


@internal
@view
def _price_of(shares: uint256) -> uint256:
    """
    @notice Wei that `shares` cost (rounds up), with those that the first deposit leaves here.
    """
    supply: uint256 = erc20.totalSupply
    if supply == 0:
        if shares + LOCKED_SHARES < MIN_FIRST_DEPOSIT:
            reasons._refuse(reasons.RESERVE_FIRST)
        return shares + LOCKED_SHARES
    value: uint256 = self._value()
    if value == 0:
        reasons._refuse(reasons.RESERVE_NO_VALUE)
    return (shares * value + supply - 1) // supply


@internal
@view
def _room(receiver: address) -> uint256:
    """
    @notice Wei that the books can still take for `receiver`; 0 while deposits are refused.
    """
    market: Market = self._market()
    if market.paused or market.loss or self._refuses(receiver):
        return 0
    if erc20.totalSupply > 0 and self._value() == 0:
        return 0
    return words.U96 - words._low(self.liquid)


@internal
def _enter(assets: uint256, shares: uint256, receiver: address):
    """
    @notice The single way in: book `assets` wei that came with this call and mint `shares`.
    """
    self._check_receiver(receiver)
    market: Market = self._market()
    if market.paused:
        reasons._refuse(reasons.RESERVE_PAUSED)
    if market.loss:
        reasons._refuse(reasons.RESERVE_LOSS)
    if shares == 0:
        reasons._refuse(reasons.DEPOSIT_ZERO)
    if erc20.totalSupply == 0:
        erc20._mint(self, LOCKED_SHARES)
    erc20._mint(receiver, shares)
    liquid: uint256 = self.liquid
    self.liquid = words._with_low(liquid, words._low(liquid) + assets)
    log IExitReserve.Deposit(sender=msg.sender, owner=receiver, assets=assets, shares=shares)


@internal
def _leave(assets: uint256, shares: uint256, receiver: address, owner: address):
    """
    @notice The single way out: burn `shares` of `owner` and pay `assets` wei of the cash.
    """
    self._check_receiver(receiver)
    if self._market().paused:
        reasons._refuse(reasons.RESERVE_PAUSED)
    liquid: uint256 = self.liquid
    if assets > words._low(liquid):
        reasons._refuse(reasons.RESERVE_SHORT)
    if msg.sender != owner:
        erc20._spend_allowance(owner, msg.sender, shares)
    erc20._burn(owner, shares)
    self.liquid = words._with_low(liquid, words._low(liquid) - assets)
    log IExitReserve.Withdraw(sender=msg.sender, receiver=receiver, owner=owner, assets=assets, shares=shares)
    self._send(receiver, assets)


# ---- inside: the rest -----------------------------------------------------------------------------


@internal
@view
def _parameters() -> IExitReserve.Parameters:
    word: uint256 = self.live
    return IExitReserve.Parameters(
        fee_min=word & U24,
        fee_max=(word >> 24) & U24,
        target=(word >> 48) & words.U96,
        of_value=(word >> 240) > 0,
        min_ticket=(word >> 144) & words.U96,
    )


@internal
def _set_parameters(p: IExitReserve.Parameters):
    in_bounds: bool = (
        p.fee_min <= p.fee_max
        and p.fee_max <= MAX_FEE
        and p.target <= words.U96
        and p.min_ticket >= LOWEST_MIN_TICKET
        and p.min_ticket <= HIGHEST_MIN_TICKET
    )
    if not in_bounds:
        reasons._refuse(reasons.PARAMETER)
    flag: uint256 = convert(p.of_value, uint256)
    self.live = p.fee_min | (p.fee_max << 24) | (p.target << 48) | (p.min_ticket << 144) | (flag << 240)
    log IExitReserve.ParametersSet(parameters=p)


@internal
@view
def _refuses(to: address) -> bool:
    """
    @notice Whether shares or ETH sent there would be lost: nobody, this contract, the pool.
    """
    return to == empty(address) or to == self or to == POOL.address


@internal
@view
def _check_receiver(to: address):
    if self._refuses(to):
        reasons._refuse(reasons.RECEIVER)


@internal
def _send(to: address, amount: uint256):
    if not raw_call(to, b"", value=amount, max_outsize=0, revert_on_failure=False):
        reasons._refuse(reasons.SEND_FAILED)
