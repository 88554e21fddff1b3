# pragma version 0.4.3
"""
@title Mock words
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `words.vy`: its functions, callable from outside.
"""
from contracts.lib import words


@external
@pure
def low(word: uint256) -> uint256:
    return words._low(word)


@external
@pure
def high(word: uint256) -> uint256:
    return words._high(word)


@external
@pure
def with_pair(word: uint256, low: uint256, high: uint256) -> uint256:
    return words._with_pair(word, low, high)


@external
@pure
def with_low(word: uint256, low: uint256) -> uint256:
    return words._with_low(word, low)


@external
@pure
def with_time(word: uint256, at: uint256) -> uint256:
    return words._with_time(word, at)


@external
@pure
def time(word: uint256) -> uint256:
    return words._time(word)
