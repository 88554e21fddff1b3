# pragma version 0.4.3
"""
@title Mock curve
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `curve.vy`: its functions, callable from outside.
"""
from contracts.lib import curve
from contracts.lib import reasons
from interfaces import IWithdrawalQueue

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
    worth: uint256 = 0
    reason: IWithdrawalQueue.Unpaid = empty(IWithdrawalQueue.Unpaid)
    filled_end: uint256 = 0
    filled_end, worth, reason = curve._worth(a, b, hint)
    assert reason != IWithdrawalQueue.Unpaid.WRONG_HINT, reasons.HINT
    return worth


@external
@view
def segment(position: uint256, first: uint256, last: uint256) -> uint256:
    return curve._segment(position, first, last)


@external
@view
def fits(position: uint256, hint: uint256) -> bool:
    return hint != 0 and curve._worth(position, position + 1, hint)[2] == empty(IWithdrawalQueue.Unpaid)
