# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Withdrawal vault
@license GNU Affero General Public License v3.0 only
@notice The withdrawal credentials (0x02) of every validator: principal and consensus rewards arrive here. Nothing
        stops it: ETH can always arrive, and only the pool can move it, into itself.
"""
from contracts.lib import ether_vault
from interfaces import IEtherVault

implements: IEtherVault

initializes: ether_vault

exports: (ether_vault.pool, ether_vault.sweep)


@deploy
def __init__(pool: address):
    ether_vault.__init__(pool)


@external
@payable
@reentrant
def __default__():
    """
    @notice Take ETH from anyone at any time.
    """
    pass
