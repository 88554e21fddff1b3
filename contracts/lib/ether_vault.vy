# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title ETH vault
@license GNU Affero General Public License v3.0 only
@notice Holds ETH that anybody, the beacon chain included, may credit, and gives it to one pool only.
"""
from interfaces import IEtherVault
from interfaces import IFloePool
from contracts.lib import reasons

implements: IEtherVault

# @notice The pool that may sweep.
POOL: immutable(address)


@deploy
def __init__(pool: address):
    POOL = pool


@external
@view
def pool() -> address:
    """
    @notice The pool that alone may sweep.
    """
    return POOL


@external
def sweep(amount: uint256):
    """
    @notice Send `amount` wei to the pool. Pool only.
    @dev Reverts: "caller: not the pool"; "vault: balance too low".
    """
    assert msg.sender == POOL, reasons.NOT_POOL
    assert amount <= self.balance, reasons.VAULT_SHORT
    extcall IFloePool(POOL).receive_from_vault(value=amount)
