# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Fee of the instant exit
@license GNU Affero General Public License v3.0 only
@notice The price of the next wei out is a straight line in parts per million: `fee_min` while the liquidity is at its
        target or above, rising to `fee_max` when nothing is left. An exit pays the mean along its way, so that
        splitting it gains next to nothing (the target, a part of the assets, falls a little with each piece).
        All amounts in wei.
"""
from contracts.lib import reasons

PPM: constant(uint256) = 1_000_000
ROUNDS: constant(uint256) = 16


struct Line:
    fee_min: uint256  # ppm
    fee_max: uint256  # ppm, >= fee_min
    target: uint256  # wei
    liquidity: uint256  # wei before the exit


@internal
@pure
def _price_ppm(line: Line, liquidity: uint256) -> uint256:
    """
    @notice Fee rate of the next wei when `liquidity` wei are there (rounds up).
    """
    if liquidity >= line.target:
        return line.fee_min
    return line.fee_max - (line.fee_max - line.fee_min) * liquidity // line.target


@internal
@pure
def _fee_ppm(line: Line, gross: uint256) -> uint256:
    """
    @notice Fee rate of an exit of `gross` wei, more than 0: the mean price along its way (rounds up). What lies above
            the target goes at `fee_min`, the rest at the mean of the prices where it starts and ends.
    """
    above: uint256 = min(line.liquidity - min(line.target, line.liquidity), gross)
    sloped: uint256 = gross - above
    start: uint256 = line.liquidity - above
    ends: uint256 = self._price_ppm(line, start) + self._price_ppm(line, start - min(sloped, start))
    twice: uint256 = above * line.fee_min * 2 + sloped * ends
    return (twice + 2 * gross - 1) // (2 * gross)


@internal
@pure
def _fee(line: Line, gross: uint256) -> uint256:
    """
    @notice Fee in wei on an exit of `gross` wei (rounds up).
    """
    if gross == 0:
        return 0
    return (gross * self._fee_ppm(line, gross) + PPM - 1) // PPM


@internal
@pure
def _gross_for(line: Line, net: uint256) -> uint256:
    """
    @notice The least gross amount that leaves `net` wei after the fee.
    @dev Walks up from `net`: every step is below the answer, and at most a twentieth of the one before it, because a
         larger exit raises its own mean by less than `fee_max`. So the rate, which counts in millionths, settles
         within a handful of rounds.
    """
    gross: uint256 = net
    if net == 0:
        return 0
    for _: uint256 in range(ROUNDS):
        better: uint256 = self._before_fee(net, self._fee_ppm(line, gross))
        if better == gross:
            return gross
        gross = better
    reasons._refuse(reasons.NO_CONVERGENCE)
    return 0


@internal
@pure
def _before_fee(net: uint256, fee_ppm: uint256) -> uint256:
    rest: uint256 = PPM - fee_ppm
    return (net * PPM + rest - 1) // rest
