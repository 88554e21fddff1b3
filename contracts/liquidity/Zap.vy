# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Zap
@license GNU Affero General Public License v3.0 only
@notice ETH, WETH or both into floETH, rfloETH or liquidity of the pair, in one call with a least result. It keeps
        nothing between calls: what it is given goes on whole, and nobody can leave anything here for somebody else.
@dev Nothing stops this contract and nobody owns it; what stops the pool's deposits stops it. floETH, rfloETH and WETH
     sent to it belong to nobody; ETH is taken with a call, and from WETH within one.
"""
from ethereum.ercs import IERC20
from contracts.lib import reasons
from interfaces import IExitReserve
from interfaces import IFloePool
from interfaces import IRebasingToken
from interfaces import IStablePair
from interfaces import IWeth
from interfaces import IZap

implements: IZap

POOL: immutable(IFloePool)
WETH: immutable(IWeth)
TOKEN: immutable(IRebasingToken)
RESERVE: immutable(IExitReserve)
PAIR: immutable(IStablePair)


@deploy
def __init__(pool: IFloePool, weth: IWeth, token: IRebasingToken, reserve: IExitReserve, pair: IStablePair):
    """
    @notice All of them must be there already, and of one pool.
    @dev Reverts: "peer: not wired to this contract".
    """
    for peer: address in [staticcall token.pool(), staticcall reserve.pool(), staticcall pair.pool()]:
        assert peer == pool.address, reasons.PEER
    POOL = pool
    WETH = weth
    TOKEN = token
    RESERVE = reserve
    PAIR = pair
    # Nothing of its own ever lies here that the pair could take.
    extcall IERC20(pool.address).approve(pair.address, max_value(uint256))


@external
@payable
@reentrant
def __default__():
    """
    @notice Take ETH from WETH. Reverts: "ether: not like this".
    @dev Within the 2,300 gas that WETH leaves.
    """
    assert msg.sender == WETH.address, reasons.PLAIN_ETHER


@external
@payable
def zap(into: IZap.Target, weth_amount: uint256, min_out: uint256, receiver: address) -> uint256:
    """
    @notice Turn the ETH of this call and `weth_amount` of the caller's WETH, which he has approved, into one thing for
            `receiver`.
    @param into FLOETH and LIQUIDITY buy from the exit reserve as far as it has floETH, at the price of the pool.
           LIQUIDITY takes the pair as it is: while its price is off by more than the fee, whoever brings it back gains
           from all providers, the new one too.
    @param min_out The call reverts below this.
    @return Shares of the pool; wei of rfloETH (rounded down); or liquidity.
    @dev Reverts: "zap: not one target", "receiver: refused", "slippage: too few assets", as `ExitReserve.stake`,
         `RebasingToken.stake` and `StablePair.add_liquidity`, and as WETH does.
    """
    assert receiver not in [empty(address), self], reasons.RECEIVER
    if weth_amount > 0:
        extcall WETH.transferFrom(msg.sender, self, weth_amount)
        extcall WETH.withdraw(weth_amount)
    assets: uint256 = msg.value + weth_amount
    if into == IZap.Target.FLOETH:
        return extcall RESERVE.stake(receiver, min_out, value=assets)
    if into == IZap.Target.RFLOETH:
        shares: uint256 = extcall TOKEN.stake(receiver, value=assets)
        amount: uint256 = staticcall POOL.convertToAssets(shares)
        assert amount >= min_out, reasons.MIN_ASSETS
        return amount
    assert into == IZap.Target.LIQUIDITY, reasons.ZAP_TARGET
    kept: uint256 = self._kept(assets)
    bought: uint256 = extcall RESERVE.stake(self, value=assets - kept)
    return extcall PAIR.add_liquidity(bought, min_out, receiver, value=kept)


@external
@view
def pool() -> address:
    """
    @notice The pool that is staked in.
    """
    return POOL.address


@internal
@view
def _kept(assets: uint256) -> uint256:
    """
    @notice The part of `assets` wei that goes into the pair as ETH: as much as there is of it in the pair, by value;
            half, while that is empty.
    """
    ether_: uint256 = 0
    shares: uint256 = 0
    ether_, shares = staticcall PAIR.balances()
    if ether_ == 0:
        return assets // 2
    entry_value: uint256 = 0
    supply: uint256 = 0
    entry_value, supply = staticcall POOL.entry_price()
    return assets * ether_ // (ether_ + shares * entry_value // supply)
