# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title ExitReserve (flRES)
@license GNU Affero General Public License v3.0 only
@notice ETH that buys exits. People provide it and own the reserve's shares, an ERC-20 (EIP-2612, EIP-5267) and an
        ERC-7535 vault. Anyone sells floETH or an exit ticket to it at the exit rate, less a fee that rises as the ETH
        runs down (`instant_fee.vy`). What was bought comes back as ETH through the queue, or at once when somebody
        stakes through `stake`. No market price is asked for.

        What lies here beyond the books (`reserve_books.vy`) counts for nothing and belongs to nobody. The reserve's
        shares are bought at their value rounded up and given back at their value rounded down. The value never falls
        but by a loss of the pool (or by rounding, less than two wei for each open ticket in a fulfilment). Fees enter
        it evenly over a day, and ETH that came within a day does not lower the fee as much: nobody gains by providing
        some around a sale. Taking some away before a sale makes it dearer, and who does so may bring it back after:
        a seller's `min_assets` is what the preview said, no less.

        Shares are paid out of the cash as far as it goes, first come, first served; the rest comes back as tickets are
        filled. A loss that the pool does not know of yet is bought at the full price: that is the providers' risk, and
        what the fee is for.

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
from contracts.lib import reasons
from contracts.liquidity import reserve_books as books
from contracts.liquidity import reserve_shares
from contracts.liquidity import reserve_terms as terms
from contracts.liquidity import ticket_list
from interfaces import IExitReserve
from interfaces import IFloePool

implements: IERC20
implements: IExitReserve

initializes: access_control
initializes: ownable
initializes: erc20[ownable := ownable]
initializes: ticket_list
initializes: books[ticket_list := ticket_list]
initializes: terms[books := books]
initializes: reserve_shares[erc20 := erc20, books := books]

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.grantRole,
    access_control.hasRole,
    access_control.revokeRole,
)
exports: (
    books.cash,
    books.fresh,
    books.held,
    books.locked,
    books.pool,
    books.queued,
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
exports: (
    reserve_shares.asset,
    reserve_shares.convertToAssets,
    reserve_shares.convertToShares,
    reserve_shares.deposit,
    reserve_shares.maxDeposit,
    reserve_shares.maxMint,
    reserve_shares.maxRedeem,
    reserve_shares.maxWithdraw,
    reserve_shares.mint,
    reserve_shares.previewDeposit,
    reserve_shares.previewMint,
    reserve_shares.previewRedeem,
    reserve_shares.previewWithdraw,
    reserve_shares.redeem,
    reserve_shares.totalAssets,
    reserve_shares.transfer,
    reserve_shares.transferFrom,
    reserve_shares.withdraw,
)
exports: (
    terms.fee,
    terms.parameters,
    terms.preview_sell,
)
exports: ticket_list.open_tickets

# Of the open tickets, as many may be batches of the reserve's own floETH. A batch is at least one part of as many of
# all that the reserve has, so that nobody fills the places with dust and keeps the rest from being queued.
BATCHES: constant(uint256) = 16
MAX_SOLD_TICKETS: constant(uint256) = ticket_list.MAX_TICKETS - BATCHES

# Whether the queue's ETH is expected now.
claiming: transient(bool)


@deploy
def __init__(pool: IFloePool, admin: address, p: IExitReserve.Parameters):
    """
    @notice The pool and its queue must be there already. Reverts: "admin: not a contract",
            "parameter: out of bounds".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    books.__init__(pool)
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)
    # snekmate's token gives its deployer rights; nothing that would use them is exported.
    ownable.__init__()
    erc20.__init__("Floe exit reserve", "flRES", 18, "Floe exit reserve", "1")
    terms._set_parameters(p)


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
    @param min_assets The call reverts below this: what the preview said, or a provider can raise the fee before.
    @return Wei paid to `receiver`.
    @dev Reverts: "receiver: refused", "reserve: exits paused", "reserve: too little ETH", "reserve: nothing to buy",
         "slippage: too few assets", "allowance: too low", "balance: too low", "ether: send failed".
    """
    books._check_receiver(receiver)
    assets: uint256 = 0
    fee: uint256 = 0
    b: books.Books = books._read()
    assets, fee = terms._terms(b, shares)
    if assets < min_assets:
        reasons._refuse(reasons.MIN_ASSETS)
    b.cash -= assets
    b.held += shares
    b.locked += fee
    books._write(b)
    log IExitReserve.Sold(seller=msg.sender, receiver=receiver, shares=shares, assets=assets, fee=fee)
    extcall IERC20(books.POOL.address).transferFrom(msg.sender, self, shares)
    books._send(receiver, assets)
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
    books._check_receiver(receiver)
    start: uint256 = 0
    first: uint256 = 0
    end: uint256 = 0
    start, first, end = self._interval(ticket)
    # The queue calls nobody but this contract.
    extcall IERC721(books.QUEUE.address).transferFrom(msg.sender, self, ticket)
    claimed: uint256 = 0
    if start < first:
        claimed = self._claim(ticket, hint)

    shares: uint256 = end - first
    assets: uint256 = 0
    fee: uint256 = 0
    b: books.Books = books._read()
    assets, fee = terms._terms(b, shares)
    if claimed + assets < min_assets:
        reasons._refuse(reasons.MIN_ASSETS)
    ticket_list._add(ticket, first, end, MAX_SOLD_TICKETS)
    b.cash -= assets
    b.queued += shares
    b.locked += fee
    books._write(b)
    log IExitReserve.TicketSold(
        seller=msg.sender, receiver=receiver, ticket=ticket, shares=shares, assets=assets, fee=fee, claimed=claimed
    )
    books._send(receiver, claimed + assets)
    return claimed + assets


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
    return terms._terms(books._read(), end - first)[0] + staticcall books.QUEUE.claimable(ticket)


# ---- what was bought ------------------------------------------------------------------------------


@external
def queue_exits() -> uint256:
    """
    @notice Request an exit for all floETH that the reserve holds. It must be at least a sixteenth of all that the
            reserve has, unless no ticket is open. Anyone may call.
    @return The ticket.
    @dev Reverts: "reserve: too little to queue", "reserve: too many tickets".
    """
    b: books.Books = books._read()
    shares: uint256 = b.held
    rate: uint256 = staticcall books.POOL.exit_rate()
    small: bool = shares * rate // books.RATE_UNIT * BATCHES < books._size(b, rate)
    if shares == 0 or (small and len(ticket_list.entries) > 0):
        reasons._refuse(reasons.RESERVE_BATCH_SMALL)
    # The queue and the pool call nobody here.
    ticket: uint256 = extcall books.QUEUE.request(shares, self)
    start: uint256 = 0
    end: uint256 = 0
    start, end = staticcall books.QUEUE.interval(ticket)
    ticket_list._add(ticket, start, end, ticket_list.MAX_TICKETS)
    b.held = 0
    b.queued += shares
    books._write(b)
    log IExitReserve.Queued(ticket=ticket, shares=shares)
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
    position: uint256 = min(staticcall books.QUEUE.filled(), open_.end)
    shares: uint256 = position - open_.start
    ticket_list._claimed_until(index, position)
    b: books.Books = books._read()
    b.cash += assets
    b.queued -= shares
    books._write(b)
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
    books._check_receiver(receiver)
    bought: uint256 = 0
    price: uint256 = 0
    bought, price = self._from_held(msg.value)
    if bought > 0:
        b: books.Books = books._read()
        b.cash += price
        b.held -= bought
        books._write(b)
        log IExitReserve.Restaked(sender=msg.sender, receiver=receiver, assets=price, shares=bought)
        extcall IERC20(books.POOL.address).transfer(receiver, bought)
    shares: uint256 = bought
    if price < msg.value or bought == 0:
        rest: uint256 = msg.value - price
        shares += extcall books.POOL.deposit(rest, receiver, 0, referral, value=rest)
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
    entry_value, supply = staticcall books.POOL.entry_price()
    if entry_value == 0:
        reasons._refuse(reasons.NO_VALUE)
    return bought + (assets - price) * supply // entry_value


# ---- admin ----------------------------------------------------------------------------------------


@external
def set_parameters(p: IExitReserve.Parameters):
    """
    @notice Replace all parameters. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    terms._set_parameters(p)


# ---- inside ---------------------------------------------------------------------------------------


@internal
@view
def _interval(ticket: uint256) -> (uint256, uint256, uint256):
    """
    @notice Of a ticket that may be sold: the first position that is not claimed, the first that is not filled, and the
            end.
    """
    start: uint256 = 0
    end: uint256 = 0
    start, end = staticcall books.QUEUE.interval(ticket)
    start = staticcall books.QUEUE.claimed_until(ticket)
    first: uint256 = min(max(start, staticcall books.QUEUE.filled()), end)
    if first == end:
        reasons._refuse(reasons.RESERVE_NOTHING)
    if end - first < terms._parameters().min_ticket:
        reasons._refuse(reasons.RESERVE_TICKET_SMALL)
    return start, first, end


@internal
@view
def _from_held(assets: uint256) -> (uint256, uint256):
    """
    @notice Shares that `assets` wei buy from `held` at the entry price (rounded down), and the wei that they cost: all,
            when so little would be left that it buys no share in the pool.
    """
    held: uint256 = books._read().held
    if held == 0:
        return 0, 0
    market: books.Market = books._market()
    entry_value: uint256 = 0
    supply: uint256 = 0
    entry_value, supply = staticcall books.POOL.entry_price()
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


@internal
def _claim(ticket: uint256, hint: uint256) -> uint256:
    """
    @notice Claim a ticket of this contract; returns the wei that came, which are not booked yet.
    """
    self.claiming = True
    assets: uint256 = extcall books.QUEUE.claim(ticket, hint)
    self.claiming = False
    return assets
