# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Mock registry
@license GNU Affero General Public License v3.0 only
@notice Stands in for the validator registry: takes ETH from the pool and sends it to `BEACON`, where it stays; and
        knows of a slashing when it is told.
"""
from interfaces import IFloePool

BEACON: immutable(address)


@deploy
def __init__(beacon: address):
    BEACON = beacon


@external
@payable
@reentrant
def __default__():
    pass


@external
def stake(pool: IFloePool, amount: uint256):
    """
    @notice Take `amount` wei of the pool's buffer and send it to the beacon chain.
    """
    extcall pool.send_to_validators(amount)
    raw_call(BEACON, b"", value=amount)


@external
def raise_pending_loss(pool: IFloePool, gwei_: uint256):
    """
    @notice Let the pool count `gwei_` Gwei of what is outside as lost.
    """
    extcall pool.raise_pending_loss(gwei_)
