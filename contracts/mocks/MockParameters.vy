# pragma version 0.4.3
"""
@title Mock parameters
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `parameters.vy`: its functions, callable from outside.
"""
from contracts.lib import parameters
from interfaces import IFloePool


@external
@pure
def pack(p: IFloePool.Parameters) -> uint256:
    return parameters._pack(p)


@external
@pure
def unpack(word: uint256) -> IFloePool.Parameters:
    return parameters._unpack(word)
