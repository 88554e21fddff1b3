# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Fee of the instant exit
@license GNU Affero General Public License v3.0 only
@notice A straight line in parts per million of the gross amount: `fee_min` while the liquidity left after the
        exit is at its target or above, rising to `fee_max` when nothing is left. All amounts in wei.
"""
PPM: constant(uint256) = 1_000_000
ROUNDS: constant(uint256) = 16


struct Line:
    fee_min: uint256  # ppm
    fee_max: uint256  # ppm, >= fee_min
    target: uint256  # wei
    liquidity: uint256  # wei before the exit


@internal
@pure
def _fee_ppm(line: Line, gross: uint256) -> uint256:
    """
    @notice Fee rate of an exit of `gross` wei (rounds up).
    """
    left: uint256 = 0
    if line.liquidity > gross:
        left = unsafe_sub(line.liquidity, gross)
    if left >= line.target:
        return line.fee_min
    return line.fee_max - (line.fee_max - line.fee_min) * left // line.target


@internal
@pure
def _fee(line: Line, gross: uint256) -> uint256:
    """
    @notice Fee in wei on an exit of `gross` wei (rounds up).
    """
    return (gross * self._fee_ppm(line, gross) + PPM - 1) // PPM


@internal
@pure
def _gross_for(line: Line, net: uint256) -> uint256:
    """
    @notice The least gross amount that leaves `net` wei after the fee.
    @dev Walks up from `net`; every step is below the answer, and because the pool never lets one exit take much
         more than the target, a step is at most about a tenth of the one before: a handful of rounds. An amount
         far beyond that limit, which only a preview can ask for, is priced at `fee_max`, never too low.
    """
    gross: uint256 = net
    for _: uint256 in range(ROUNDS):
        better: uint256 = self._before_fee(net, self._fee_ppm(line, gross))
        if better == gross:
            return gross
        gross = better
    return self._before_fee(net, line.fee_max)


@internal
@pure
def _before_fee(net: uint256, fee_ppm: uint256) -> uint256:
    rest: uint256 = PPM - fee_ppm
    return (net * PPM + rest - 1) // rest
