# pragma version 0.4.3
"""
@title Ether refuser
@license GNU Affero General Public License v3.0 only
@notice An account that does not take ETH, in one of three ways; it takes no tickets either.
"""
from contracts.mocks import agent

exports: agent.execute

# The ways.
REVERT: constant(uint256) = 1
BURN: constant(uint256) = 2  # all the gas it gets
# Take ETH, but only with more gas than the queue gives to who did not ask for it: 100,000.
GORGE: constant(uint256) = 4

WAY: immutable(uint256)
MUCH_GAS: constant(uint256) = 150_000


@deploy
def __init__(way: uint256):
    WAY = way


@external
@payable
def __default__():
    """
    @notice Do not take ETH, or only for much gas.
    """
    assert WAY != REVERT, "refuser: refused"
    if WAY == BURN:
        raise UNREACHABLE
    assert WAY != GORGE or msg.gas > MUCH_GAS, "refuser: too little gas"
