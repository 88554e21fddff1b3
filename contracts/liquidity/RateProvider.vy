# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Rate provider
@license GNU Affero General Public License v3.0 only
@notice What floETH is worth in ETH, for markets that ask for a rate (`getRate`) and for those that ask for a feed in
        the shape of Chainlink's AggregatorV3Interface. The answer is the pool's exit rate, read in the pool at the
        moment of the call: what holders who leave are paid, which rises every second with the rewards and falls at once
        with a known loss. There is no market price in it, and nothing to push or to keep.

        A round is a report of the pool; its number and its times are the second in which the pool took it in. So
        `updatedAt` says honestly how old the knowledge behind the answer is, and a heartbeat check works as with any
        feed. Only the latest round can be asked for.
@dev Nothing stops this contract and nobody owns it. It has no state.
"""
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IFloePool
from interfaces import IRateProvider

implements: IRateProvider

# @notice Decimals of the answer.
decimals: public(constant(uint8)) = 18
# @notice What the answer is.
description: public(constant(String[30])) = "floETH / ETH, what leavers get"
# @notice Version of this feed.
version: public(constant(uint256)) = 1

POOL: immutable(IFloePool)


@deploy
def __init__(pool: IFloePool):
    """
    @notice The pool must be there already.
    """
    POOL = pool


@external
@view
def getRate() -> uint256:
    """
    @notice Wei per 1e18 floETH when leaving, now (rounds down).
    """
    return staticcall POOL.exit_rate()


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice The report that the rate rests on, by its second.
    @return roundId: the report's second.
    @return answer: wei per 1e18 floETH when leaving, now (rounds down).
    @return startedAt: the report's second.
    @return updatedAt: the report's second.
    @return answeredInRound: the report's second.
    """
    reported_at: uint256 = self._reported_at()
    number: uint80 = convert(reported_at, uint80)
    return number, self._answer(), reported_at, reported_at, number


@external
@view
def getRoundData(round_id: uint80) -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice As `latestRoundData`, for its number only: the pool remembers no others.
    @dev Reverts: "feed: no such round".
    """
    reported_at: uint256 = self._reported_at()
    assert convert(round_id, uint256) == reported_at, reasons.NO_ROUND
    return round_id, self._answer(), reported_at, reported_at, round_id


@external
@view
def pool() -> address:
    """
    @notice The pool whose rate this is.
    """
    return POOL.address


@internal
@view
def _answer() -> int256:
    return convert(staticcall POOL.exit_rate(), int256)


@internal
@view
def _reported_at() -> uint256:
    state: uint256[8] = staticcall POOL.state()
    return (state[3] >> 96) & words.U40
