# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title RebasingToken (rfloETH)
@license GNU Affero General Public License v3.0 only
@notice floETH seen in ETH: a balance is shares * entry value // total shares of the pool, so it grows by the second.
        Holders keep shares inside; `transfer_shares` moves them exactly. A transfer of an amount moves the shares that
        are worth it, rounded up: the receiver's balance rises by at least the amount, and the sender gives at most one
        share more than that.
@dev Nothing stops this contract and nobody owns it. floETH sent to it without `wrap` belongs to nobody.
"""
from ethereum.ercs import IERC20
from contracts.lib import allowances
from contracts.lib import reasons
from interfaces import IFloePool
from interfaces import IRebasingToken

implements: IERC20
implements: IRebasingToken

initializes: allowances

exports: (
    allowances.DOMAIN_SEPARATOR,
    allowances.allowance,
    allowances.approve,
    allowances.eip712.eip712Domain,
    allowances.nonces,
    allowances.permit,
)

name: public(constant(String[17])) = "Floe ETH rebasing"
symbol: public(constant(String[7])) = "rfloETH"
decimals: public(constant(uint8)) = 18

POOL: immutable(IFloePool)

# @notice All wrapped shares.
total_shares: public(uint256)
# @notice Shares behind the balance of a holder.
shares_of: public(HashMap[address, uint256])


@deploy
def __init__(pool: IFloePool):
    allowances.__init__(name)
    POOL = pool


# ---- in and out ---------------------------------------------------------------------------------


@external
def wrap(shares: uint256) -> uint256:
    """
    @notice Turn `shares` of the caller's floETH, which he has approved, into rfloETH.
    @return Their amount in wei (rounded down).
    @dev Reverts: "wrap: zero shares", "allowance: too low", "balance: too low".
    """
    assert shares > 0, reasons.ZERO_SHARES
    amount: uint256 = self._mint(msg.sender, shares)
    extcall IERC20(POOL.address).transferFrom(msg.sender, self, shares)
    return amount


@external
def unwrap(shares: uint256) -> uint256:
    """
    @notice Turn `shares` of the caller's rfloETH back into floETH.
    @return Their amount in wei (rounded down).
    @dev Reverts: "wrap: zero shares", "balance: too low".
    """
    assert shares > 0, reasons.ZERO_SHARES
    self._take(msg.sender, shares)
    self.total_shares -= shares
    amount: uint256 = self._amount(shares)
    self._log_transfer(msg.sender, empty(address), amount, shares)
    extcall IERC20(POOL.address).transfer(msg.sender, shares)
    return amount


@external
@payable
def stake(receiver: address = msg.sender, min_shares: uint256 = 0, referral: address = empty(address)) -> uint256:
    """
    @notice Stake `msg.value` wei in the pool and wrap the shares for `receiver`.
    @return The shares (rounded down).
    @dev Reverts: "receiver: refused", and as the pool's `deposit`.
    """
    self._check_receiver(receiver)
    shares: uint256 = extcall POOL.deposit(msg.value, self, min_shares, referral, value=msg.value)
    self._mint(receiver, shares)
    return shares


# ---- ERC-20 -------------------------------------------------------------------------------------


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice ERC-20: move the shares that are worth `amount` wei (rounded up).
    @dev Reverts: "receiver: refused", "balance: too low", "pool: no value".
    """
    self._move(msg.sender, to, amount, self._shares_up(amount))
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice ERC-20: as `transfer`, out of the caller's allowance; an owner needs none for himself.
    @dev Reverts: "allowance: too low", "receiver: refused", "balance: too low", "pool: no value".
    """
    allowances._spend(owner, amount)
    self._move(owner, to, amount, self._shares_up(amount))
    return True


@external
def transfer_shares(to: address, shares: uint256) -> uint256:
    """
    @notice Move exactly `shares`.
    @return Their amount in wei (rounded down).
    @dev Reverts: "receiver: refused", "balance: too low".
    """
    amount: uint256 = self._amount(shares)
    self._move(msg.sender, to, amount, shares)
    return amount


@external
def transfer_shares_from(owner: address, to: address, shares: uint256) -> uint256:
    """
    @notice Move exactly `shares` of `owner`; the caller's allowance pays their amount rounded up.
    @return Their amount in wei (rounded down).
    @dev Reverts: "allowance: too low", "receiver: refused", "balance: too low", "pool: no value".
    """
    entry_value: uint256 = 0
    supply: uint256 = 0
    entry_value, supply = staticcall POOL.entry_price()
    # Without a value every amount is 0, and no allowance could be asked for.
    assert entry_value > 0, reasons.NO_VALUE
    allowances._spend(owner, (shares * entry_value + supply - 1) // supply)
    amount: uint256 = shares * entry_value // supply
    self._move(owner, to, amount, shares)
    return amount


@external
@view
def balanceOf(owner: address) -> uint256:
    """
    @notice ERC-20: what the shares of `owner` are worth at the entry rate, in wei (rounded down).
    """
    return self._amount(self.shares_of[owner])


@external
@view
def totalSupply() -> uint256:
    """
    @notice ERC-20: what all wrapped shares are worth at the entry rate, in wei (rounded down).
    """
    return self._amount(self.total_shares)


@external
@view
def pool() -> address:
    """
    @notice The pool whose shares are wrapped.
    """
    return POOL.address


# ---- inside -------------------------------------------------------------------------------------


@internal
@view
def _amount(shares: uint256) -> uint256:
    return staticcall POOL.convertToAssets(shares)


@internal
@view
def _shares_up(amount: uint256) -> uint256:
    entry_value: uint256 = 0
    supply: uint256 = 0
    entry_value, supply = staticcall POOL.entry_price()
    assert entry_value > 0, reasons.NO_VALUE
    return (amount * supply + entry_value - 1) // entry_value


@internal
@view
def _check_receiver(to: address):
    assert to != empty(address) and to != self, reasons.RECEIVER


@internal
def _take(owner: address, shares: uint256):
    balance: uint256 = self.shares_of[owner]
    assert balance >= shares, reasons.BALANCE
    self.shares_of[owner] = unsafe_sub(balance, shares)


@internal
def _mint(receiver: address, shares: uint256) -> uint256:
    """
    @notice Book new shares of `receiver`; returns their amount in wei (rounded down).
    """
    self.total_shares += shares
    self.shares_of[receiver] += shares
    amount: uint256 = self._amount(shares)
    self._log_transfer(empty(address), receiver, amount, shares)
    return amount


@internal
def _move(owner: address, to: address, amount: uint256, shares: uint256):
    self._check_receiver(to)
    self._take(owner, shares)
    self.shares_of[to] += shares
    self._log_transfer(owner, to, amount, shares)


@internal
def _log_transfer(owner: address, to: address, amount: uint256, shares: uint256):
    log IERC20.Transfer(sender=owner, receiver=to, value=amount)
    log IRebasingToken.TransferShares(sender=owner, receiver=to, shares=shares)
