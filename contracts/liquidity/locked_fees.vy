# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Locked fees
@license GNU Affero General Public License v3.0 only
@notice What providers of liquidity earn reaches the value of their shares over a day instead of in a step, so that
        nobody gains by coming for a moment. Of `amount` wei noted at `since` the rest is still locked:

            amount - amount * min(now - since, a day) // a day

        Whoever adds fees notes what is still locked together with them, at `now`. Noted however often, less than 37 %
        of an amount is left after a day, and after a quiet day nothing.
"""

DAY: constant(uint256) = 86_400


@internal
@pure
def _locked(amount: uint256, since: uint256, now: uint256) -> uint256:
    """
    @notice Wei still locked at `now` (rounds up).
    """
    return amount - amount * min(now - since, DAY) // DAY
