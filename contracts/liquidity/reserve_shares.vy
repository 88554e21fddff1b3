# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The exit reserve's shares
@license GNU Affero General Public License v3.0 only
@notice The half of the reserve for those who provide its ETH: shares of its value, as an ERC-7535 vault over snekmate's
        ERC-20. Bought at their value rounded up, given back at their value rounded down, out of the cash.
"""
from snekmate.tokens import erc20
from contracts.lib import reasons
from contracts.lib import words
from contracts.liquidity import reserve_books as books
from interfaces import IExitReserve

uses: erc20
uses: books

# @notice ERC-7528: the address that stands for ETH.
asset: public(constant(address)) = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE

# A price needs shares that can never leave, and a first deposit beside which they are nothing.
LOCKED_SHARES: constant(uint256) = 10**9
MIN_FIRST_DEPOSIT: constant(uint256) = 10**16


# ---- ERC-20 ---------------------------------------------------------------------------------------


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice ERC-20. Shares sent to nobody, to this contract or to the pool would be lost, so that is refused.
    @dev Reverts: "receiver: refused", "erc20: transfer amount exceeds balance".
    """
    books._check_receiver(to)
    erc20._transfer(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice ERC-20: as `transfer`, out of the caller's allowance.
    @dev Reverts: "receiver: refused", "erc20: insufficient allowance", "erc20: approve from the zero address",
         "erc20: transfer amount exceeds balance".
    """
    books._check_receiver(to)
    erc20._spend_allowance(owner, msg.sender, amount)
    erc20._transfer(owner, to, amount)
    return True


# ---- ERC-7535: in and out -------------------------------------------------------------------------


@external
@payable
def deposit(assets: uint256, receiver: address, min_shares: uint256 = 0) -> uint256:
    """
    @notice Provide exactly `msg.value` (= `assets`) wei; `receiver` gets the shares (rounded down). The first deposit
            is at least 0.01 ETH, and a billionth of a share stays here for ever.
    @param min_shares The call reverts below this.
    @dev Reverts: "deposit: value differs", "receiver: refused", "reserve: exits paused", "reserve: loss pending",
         "reserve: first deposit", "reserve: no value", "deposit: zero shares", "slippage: too few shares",
         "pool: total over 96 bits".
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
        books._send(msg.sender, msg.value - assets)
    return assets


@external
def withdraw(assets: uint256, receiver: address, owner: address, max_shares: uint256 = max_value(uint256)) -> uint256:
    """
    @notice Pay exactly `assets` wei of the cash to `receiver`; their worth in shares (rounded up) is burnt from
            `owner`.
    @param max_shares The call reverts above this.
    @return The shares burnt.
    @dev Reverts: "receiver: refused", "reserve: exits paused", "reserve: no value", "reserve: too little ETH",
         "slippage: too many shares", "erc20: insufficient allowance", "erc20: approve from the zero address",
         "erc20: burn amount exceeds balance", "ether: send failed".
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
         "erc20: insufficient allowance", "erc20: approve from the zero address",
         "erc20: burn amount exceeds balance", "ether: send failed".
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
    return books._value()


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
    if books._market().paused:
        return 0
    return min(self._to_assets(erc20.balanceOf[owner]), books._read().cash)


@external
@view
def maxRedeem(owner: address) -> uint256:
    """
    @notice ERC-4626: shares that `owner` can redeem now, as far as there is cash; 0 while exits are paused.
    """
    if books._market().paused:
        return 0
    shares: uint256 = erc20.balanceOf[owner]
    cash: uint256 = books._read().cash
    if self._to_assets(shares) <= cash:
        return shares
    # The most shares whose value rounds down to the cash.
    return ((cash + 1) * erc20.totalSupply - 1) // books._value()


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


# ---- inside ---------------------------------------------------------------------------------------


@internal
@view
def _to_shares(assets: uint256) -> uint256:
    supply: uint256 = erc20.totalSupply
    if supply == 0:
        return assets
    value: uint256 = books._value()
    if value == 0:
        reasons._refuse(reasons.RESERVE_NO_VALUE)
    return assets * supply // value


@internal
@view
def _to_assets(shares: uint256) -> uint256:
    supply: uint256 = erc20.totalSupply
    if supply == 0:
        return shares
    return shares * books._value() // supply


@internal
@view
def _shares_to_burn(assets: uint256) -> uint256:
    """
    @notice Shares worth `assets` wei (rounds up).
    """
    value: uint256 = books._value()
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
    value: uint256 = books._value()
    if value == 0:
        reasons._refuse(reasons.RESERVE_NO_VALUE)
    return (shares * value + supply - 1) // supply


@internal
@view
def _room(receiver: address) -> uint256:
    """
    @notice Wei that the books can still take for `receiver`; 0 while deposits are refused.
    """
    market: books.Market = books._market()
    if market.paused or market.loss or books._refuses(receiver):
        return 0
    if erc20.totalSupply > 0 and books._value() == 0:
        return 0
    return words.U96 - books._read().cash


@internal
def _enter(assets: uint256, shares: uint256, receiver: address):
    """
    @notice The single way in: book `assets` wei that came with this call and mint `shares`.
    """
    books._check_receiver(receiver)
    market: books.Market = books._market()
    if market.paused:
        reasons._refuse(reasons.RESERVE_PAUSED)
    if market.loss:
        reasons._refuse(reasons.RESERVE_LOSS)
    if shares == 0:
        reasons._refuse(reasons.DEPOSIT_ZERO)
    if erc20.totalSupply == 0:
        erc20._mint(self, LOCKED_SHARES)
    erc20._mint(receiver, shares)
    b: books.Books = books._read()
    b.cash += assets
    b.fresh += assets
    books._write(b)
    log IExitReserve.Deposit(sender=msg.sender, owner=receiver, assets=assets, shares=shares)


@internal
def _leave(assets: uint256, shares: uint256, receiver: address, owner: address):
    """
    @notice The single way out: burn `shares` of `owner` and pay `assets` wei of the cash.
    """
    books._check_receiver(receiver)
    if books._market().paused:
        reasons._refuse(reasons.RESERVE_PAUSED)
    b: books.Books = books._read()
    if assets > b.cash:
        reasons._refuse(reasons.RESERVE_SHORT)
    if msg.sender != owner:
        erc20._spend_allowance(owner, msg.sender, shares)
    erc20._burn(owner, shares)
    b.cash -= assets
    b.fresh -= min(b.fresh, assets)
    books._write(b)
    log IExitReserve.Withdraw(sender=msg.sender, receiver=receiver, owner=owner, assets=assets, shares=shares)
    books._send(receiver, assets)
