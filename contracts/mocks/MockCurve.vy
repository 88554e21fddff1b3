# pragma version 0.4.3
"""
@title Mock curve
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `curve.vy`: its functions, callable from outside.
"""
from contracts.lib import curve

initializes: curve


@external
def append(shares: uint256, ether_: uint256):
    curve._append(shares, ether_)


@external
@view
def head() -> uint256:
    return curve.head


@external
@view
def point(index: uint256) -> uint256:
    return curve.points[index]


@external
@view
def value(a: uint256, b: uint256, hint: uint256) -> uint256:
    return curve._value(a, b, curve.head, hint)


@external
@view
def segment(position: uint256, first: uint256, last: uint256) -> uint256:
    return curve._segment(position, first, last)


@external
@view
def fits(position: uint256, hint: uint256) -> bool:
    return curve._fits(position, hint, curve.head)
