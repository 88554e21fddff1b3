# pragma version 0.4.3
"""
@title Mock stable math
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `stable_math.vy`: its functions, callable from outside.
"""
from contracts.liquidity import stable_math


@external
@pure
def invariant(x: uint256, y: uint256, a: uint256, guess: uint256) -> uint256:
    return stable_math._invariant(x, y, a, guess)


@external
@pure
def other(x: uint256, d: uint256, a: uint256, guess: uint256) -> uint256:
    return stable_math._other(x, d, a, guess)


@external
@pure
def price(x: uint256, y: uint256, a: uint256, d: uint256) -> uint256:
    return stable_math._price(x, y, a, d)


@external
@pure
def fee_ppm(fee: uint256, off_peg: uint256, x: uint256, y: uint256) -> uint256:
    return stable_math._fee_ppm(fee, off_peg, x, y)
