# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title WethVault (wfETH)
@license GNU Affero General Public License v3.0 only
@notice The pool for contracts that cannot handle ETH: an ERC-4626 vault over WETH. Each of its shares is one share of
        the pool (floETH) that lies here, so prices, limits and previews are the pool's, and floETH given to this
        contract changes nothing for anybody. `deposit` and `mint` stake; `withdraw` and `redeem` are the pool's
        instant exit; `request_exit` and `claim` are the exit without a fee, whose WETH goes to the receiver that was
        named with the request, whoever claims.
@dev Nothing stops this contract and nobody owns it; what stops the pool's functions stops those that use them.
     ETH is taken only while a call of its own is under way, so that none can lie here that belongs to nobody: that
     also keeps others from claiming its tickets past it.
"""
from ethereum.ercs import IERC20
from ethereum.ercs import IERC4626
from snekmate.auth import ownable
from snekmate.tokens import erc20
from contracts.lib import reasons
from interfaces import IFloePool
from interfaces import IWeth
from interfaces import IWethVault
from interfaces import IWithdrawalQueue

implements: IERC20
implements: IWethVault

initializes: ownable
initializes: erc20[ownable := ownable]

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
    erc20.transfer,
    erc20.transferFrom,
)

POOL: immutable(IFloePool)
QUEUE: immutable(IWithdrawalQueue)
WETH: immutable(IWeth)

# @notice Ticket -> who gets its WETH.
receiver_of: public(HashMap[uint256, address])

# Whether ETH is expected now.
taking: transient(bool)


@deploy
def __init__(pool: IFloePool, weth: IWeth):
    """
    @notice The pool must be there already.
    """
    POOL = pool
    QUEUE = IWithdrawalQueue(staticcall pool.queue())
    WETH = weth
    # snekmate's token gives its deployer rights; nothing that would use them is exported.
    ownable.__init__()
    erc20.__init__("Floe ETH for WETH", "wfETH", 18, "Floe ETH for WETH", "1")


@external
@payable
@reentrant
def __default__():
    """
    @notice Take ETH from WETH, the pool or the queue, in a call of this contract. Reverts: "ether: not like this".
    @dev Within the 2,300 gas that WETH leaves.
    """
    assert self.taking, reasons.PLAIN_ETHER


# ---- in -------------------------------------------------------------------------------------------


@external
def deposit(assets: uint256, receiver: address, min_shares: uint256 = 0) -> uint256:
    """
    @notice ERC-4626: stake exactly `assets` of the caller's WETH; `receiver` gets the shares (rounded down).
    @param min_shares The call reverts below this.
    @dev Reverts: "receiver: refused", as the pool's `deposit`, and as WETH does.
    """
    self._check_receiver(receiver)
    self._pull(assets)
    shares: uint256 = extcall POOL.deposit(assets, self, min_shares, value=assets)
    self._mint(assets, shares, receiver)
    return shares


@external
def mint(shares: uint256, receiver: address) -> uint256:
    """
    @notice ERC-4626: buy exactly `shares` with the caller's WETH (the price is rounded up).
    @return The price.
    @dev Reverts: "receiver: refused", as the pool's `mint`, and as WETH does.
    """
    self._check_receiver(receiver)
    assets: uint256 = staticcall IERC4626(POOL.address).previewMint(shares)
    self._pull(assets)
    extcall POOL.mint(shares, self, value=assets)
    self._mint(assets, shares, receiver)
    return assets


# ---- out ------------------------------------------------------------------------------------------


@external
def withdraw(assets: uint256, receiver: address, owner: address, max_shares: uint256 = max_value(uint256)) -> uint256:
    """
    @notice ERC-4626: the pool's instant exit of exactly `assets`, paid in WETH; returns the shares of `owner` that it
            burns (rounded up).
    @param max_shares The call reverts above this.
    @dev Reverts: "receiver: refused", "erc20: insufficient allowance", "erc20: burn amount exceeds balance",
         "erc20: approve from the zero address", "pool: no value", and as the pool's `withdraw`.
    """
    self._check_receiver(receiver)
    shares: uint256 = staticcall IERC4626(POOL.address).previewWithdraw(assets)
    self._burn(owner, shares)
    self.taking = True
    extcall POOL.withdraw(assets, self, self, max_shares)
    self.taking = False
    self._pay(assets, shares, receiver, owner)
    return shares


@external
def redeem(shares: uint256, receiver: address, owner: address, min_assets: uint256 = 0) -> uint256:
    """
    @notice ERC-4626: the pool's instant exit of exactly `shares` of `owner`, paid in WETH (rounded down).
    @param min_assets The call reverts below this.
    @dev Reverts: "receiver: refused", "erc20: insufficient allowance", "erc20: burn amount exceeds balance",
         "erc20: approve from the zero address", and as the pool's `redeem`.
    """
    self._check_receiver(receiver)
    self._burn(owner, shares)
    self.taking = True
    assets: uint256 = extcall POOL.redeem(shares, self, self, min_assets)
    self.taking = False
    self._pay(assets, shares, receiver, owner)
    return assets


@external
def request_exit(shares: uint256, receiver: address, owner: address) -> uint256:
    """
    @notice The exit without a fee: queue `shares` of `owner`; `receiver` gets the WETH, by `claim`. No report is
            needed to ask for it, and no limit of the pool is in the way.
    @return The ticket's number.
    @dev Reverts: "receiver: refused", "erc20: insufficient allowance", "erc20: burn amount exceeds balance",
         "erc20: approve from the zero address", "request: zero shares".
    """
    self._check_receiver(receiver)
    self._burn(owner, shares)
    ticket: uint256 = extcall QUEUE.request(shares, self)
    self.receiver_of[ticket] = receiver
    log IWethVault.ExitRequested(ticket=ticket, receiver=receiver, owner=owner, shares=shares)
    return ticket


@external
def claim(ticket: uint256, hint: uint256 = 0) -> uint256:
    """
    @notice Pay what is filled of a ticket to its receiver, in WETH; the rest may be claimed later. Anyone may call;
            the queue's `hint(ticket)` only saves gas.
    @return The amount paid.
    @dev Reverts: "ticket: does not exist" for one that was not requested here or is claimed in full,
         "claim: nothing filled", "claim: wrong hint".
    """
    receiver: address = self.receiver_of[ticket]
    assert receiver != empty(address), reasons.NO_TICKET
    self.taking = True
    assets: uint256 = extcall QUEUE.claim(ticket, hint)
    self.taking = False
    log IWethVault.ExitClaimed(ticket=ticket, receiver=receiver, assets=assets)
    self._wrap(assets, receiver)
    return assets


# ---- views ----------------------------------------------------------------------------------------


@external
@view
def asset() -> address:
    """
    @notice ERC-4626: WETH.
    """
    return WETH.address


@external
@view
def totalAssets() -> uint256:
    """
    @notice ERC-4626: what all shares are worth at the pool's entry rate (rounded down).
    """
    return staticcall POOL.convertToAssets(erc20.totalSupply)


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares for `assets` at the pool's entry rate (rounds down). Reverts: "pool: no value".
    """
    return staticcall IERC4626(POOL.address).convertToShares(assets)


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice ERC-4626: what `shares` are worth at the pool's entry rate (rounds down).
    """
    return staticcall POOL.convertToAssets(shares)


@external
@view
def maxDeposit(receiver: address) -> uint256:
    """
    @notice ERC-4626: what the pool takes now; 0 for a receiver that is refused.
    """
    if self._refused(receiver):
        return 0
    return staticcall IERC4626(POOL.address).maxDeposit(self)


@external
@view
def maxMint(receiver: address) -> uint256:
    """
    @notice ERC-4626: the shares that the pool sells now; 0 for a receiver that is refused.
    """
    if self._refused(receiver):
        return 0
    return staticcall IERC4626(POOL.address).maxMint(self)


@external
@view
def maxWithdraw(owner: address) -> uint256:
    """
    @notice ERC-4626: what `owner` can take out at once, after the fee; 0 while the pool's instant exit is closed.
    """
    return staticcall IERC4626(POOL.address).previewRedeem(self._max_redeem(owner))


@external
@view
def maxRedeem(owner: address) -> uint256:
    """
    @notice ERC-4626: shares that `owner` can redeem at once; 0 while the pool's instant exit is closed.
    """
    return self._max_redeem(owner)


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares for `assets`, limits aside (rounds down). Reverts: "pool: no value".
    """
    return staticcall IERC4626(POOL.address).previewDeposit(assets)


@external
@view
def previewMint(shares: uint256) -> uint256:
    """
    @notice ERC-4626: price of `shares`, limits aside (rounds up).
    """
    return staticcall IERC4626(POOL.address).previewMint(shares)


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares that an instant exit of `assets` burns, limits aside (rounds up).
            Reverts: "pool: no value".
    """
    return staticcall IERC4626(POOL.address).previewWithdraw(assets)


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    """
    @notice ERC-4626: what an instant exit of `shares` pays, limits aside (rounds down).
    """
    return staticcall IERC4626(POOL.address).previewRedeem(shares)


@external
@view
def pool() -> address:
    """
    @notice The pool that is staked in.
    """
    return POOL.address


# ---- inside ---------------------------------------------------------------------------------------


@internal
@view
def _refused(receiver: address) -> bool:
    return receiver in [empty(address), self]


@internal
@view
def _check_receiver(receiver: address):
    assert not self._refused(receiver), reasons.RECEIVER


@internal
@view
def _max_redeem(owner: address) -> uint256:
    """
    @notice The pool's limit holds for all shares that lie here together; each owner has at most his own. Nothing, when
            so few would pay nothing.
    """
    shares: uint256 = min(erc20.balanceOf[owner], staticcall IERC4626(POOL.address).maxRedeem(self))
    if staticcall IERC4626(POOL.address).previewRedeem(shares) == 0:
        return 0
    return shares


@internal
def _pull(assets: uint256):
    """
    @notice Turn `assets` of the caller's WETH into ETH that lies here.
    """
    extcall WETH.transferFrom(msg.sender, self, assets)
    self.taking = True
    extcall WETH.withdraw(assets)
    self.taking = False


@internal
def _mint(assets: uint256, shares: uint256, receiver: address):
    erc20._mint(receiver, shares)
    log IERC4626.Deposit(sender=msg.sender, owner=receiver, assets=assets, shares=shares)


@internal
def _burn(owner: address, shares: uint256):
    """
    @notice Burn `shares` of `owner`, out of the caller's allowance when that is somebody else.
    """
    if owner != msg.sender:
        erc20._spend_allowance(owner, msg.sender, shares)
    erc20._burn(owner, shares)


@internal
def _pay(assets: uint256, shares: uint256, receiver: address, owner: address):
    log IERC4626.Withdraw(sender=msg.sender, receiver=receiver, owner=owner, assets=assets, shares=shares)
    self._wrap(assets, receiver)


@internal
def _wrap(assets: uint256, receiver: address):
    extcall WETH.deposit(value=assets)
    extcall WETH.transfer(receiver, assets)
