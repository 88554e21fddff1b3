# pragma version 0.4.3
"""
@title Mock stream
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `stream.vy`: its functions, callable from outside.
"""
from contracts.lib import stream


@external
@pure
def locked(word: uint256, now: uint256) -> uint256:
    return stream._locked(word, now)


@external
@pure
def restart(word: uint256, locked: uint256, now: uint256, end: uint256) -> uint256:
    return stream._restart(word, locked, now, end)


@external
@pure
def add(word: uint256, amount: uint256, now: uint256, period: uint256) -> uint256:
    return stream._add(word, amount, now, period)
