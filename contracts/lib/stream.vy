# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Reward stream
@license GNU Affero General Public License v3.0 only
@notice Rewards enter the price linearly instead of in a step: of `locked` wei at `start`, the part
        locked * (end - t) // (end - start) is still locked at time t, nothing at and after `end`.
        Works on the `stream` word of `words.vy`; the ceiling in its upper bits is carried along untouched.
"""
from contracts.lib import words


@internal
@pure
def _locked(word: uint256, now: uint256) -> uint256:
    """
    @notice Wei that the stream still holds back at `now` (floors).
    """
    end: uint256 = (word >> 136) & words.U40
    if now >= end:
        return 0
    # end > now >= start, so no subtraction can wrap; u96 * u40 fits in 256 bits.
    start: uint256 = (word >> 96) & words.U40
    return unsafe_mul(word & words.U96, unsafe_sub(end, now)) // unsafe_sub(end, start)


@internal
@pure
def _restart(word: uint256, locked: uint256, now: uint256, end: uint256) -> uint256:
    """
    @notice A stream that holds `locked` wei at `now` and releases them until `end`.
    """
    assert locked <= words.U96
    return ((word >> 176) << 176) | (end << 136) | (now << 96) | locked


@internal
@pure
def _add(word: uint256, amount: uint256, now: uint256, period: uint256) -> uint256:
    """
    @notice The stream with `amount` wei more. Its remaining time moves towards `period` by the amount's part of the
            whole (rounded down), and never down: dust, however often, does not delay what is already on its way.
    """
    if amount == 0:
        return word
    locked: uint256 = self._locked(word, now)
    total: uint256 = locked + amount
    rest: uint256 = max((word >> 136) & words.U40, now) - now
    if rest < period:
        rest += amount * (period - rest) // total
    return self._restart(word, total, now, now + rest)
