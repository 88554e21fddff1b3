# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The exit reserve's terms
@license GNU Affero General Public License v3.0 only
@notice The parameters, and what a sale pays. The fee on the next wei is the straight line of `instant_fee.vy`:
        `fee_min` while there is as much ETH as the target or more, rising to `fee_max` when none is left. There are two
        such curves: the target is a number of wei, or all that the reserve has.

        Fresh cash does not count as ETH that is there, or somebody would provide some for a moment, sell at the lowest
        fee and take it out again. It can be bought with nevertheless, at the price of the last wei.
"""
from contracts.lib import instant_fee
from contracts.lib import reasons
from contracts.lib import words
from contracts.liquidity import reserve_books as books
from interfaces import IExitReserve

uses: books

MAX_FEE: constant(uint256) = 100_000  # ppm; a tenth is dearer than any wait
LOWEST_MIN_TICKET: constant(uint256) = 10**15  # less is not worth a place in the list
HIGHEST_MIN_TICKET: constant(uint256) = 32 * 10**18  # a validator's stake can always be sold

U24: constant(uint256) = 2**24 - 1

# fee min u24 | fee max u24 | target u96 | min ticket u96 | flag: the target is all that the reserve has
live: uint256


@external
@view
def fee() -> uint256:
    """
    @notice Fee in ppm on the next wei that a sale takes out (rounded up).
    """
    line: instant_fee.Line = self._line(books._read(), books._market())
    return instant_fee._price_ppm(line, line.liquidity)


@external
@view
def parameters() -> IExitReserve.Parameters:
    """
    @notice The live parameters.
    """
    return self._parameters()


@external
@view
def preview_sell(shares: uint256) -> uint256:
    """
    @notice Wei that `sell` would pay now. Reverts: "reserve: exits paused", "reserve: too little ETH",
            "reserve: nothing to buy".
    """
    return self._terms(books._read(), shares)[0]


@internal
@view
def _terms(b: books.Books, shares: uint256) -> (uint256, uint256):
    """
    @notice Wei that the reserve pays for `shares` of floETH now (rounded down), and the fee that it keeps (rounded up).
    """
    market: books.Market = books._market()
    if market.paused:
        reasons._refuse(reasons.RESERVE_PAUSED)
    gross: uint256 = shares * market.rate // books.RATE_UNIT
    if gross > b.cash:
        reasons._refuse(reasons.RESERVE_SHORT)
    line: instant_fee.Line = self._line(b, market)
    within: uint256 = min(gross, line.liquidity)
    beyond: uint256 = (gross - within) * instant_fee._price_ppm(line, 0)
    fee: uint256 = instant_fee._fee(line, within) + (beyond + instant_fee.PPM - 1) // instant_fee.PPM
    if fee >= gross:
        reasons._refuse(reasons.RESERVE_NOTHING)
    return gross - fee, fee


@internal
@view
def _line(b: books.Books, market: books.Market) -> instant_fee.Line:
    """
    @notice The price of the next wei now, by the wei that are there.
    """
    p: IExitReserve.Parameters = self._parameters()
    if market.doubt:
        p.fee_min = p.fee_max
    if p.of_value:
        p.target = books._size(b, market.rate)
    return instant_fee.Line(
        fee_min=p.fee_min, fee_max=p.fee_max, target=p.target, liquidity=b.cash - min(b.fresh, b.cash)
    )


@internal
@view
def _parameters() -> IExitReserve.Parameters:
    word: uint256 = self.live
    return IExitReserve.Parameters(
        fee_min=word & U24,
        fee_max=(word >> 24) & U24,
        target=(word >> 48) & words.U96,
        of_value=(word >> 240) == 1,
        min_ticket=(word >> 144) & words.U96,
    )


@internal
def _set_parameters(p: IExitReserve.Parameters):
    """
    @dev Reverts: "parameter: out of bounds".
    """
    in_bounds: bool = (
        p.fee_min <= p.fee_max
        and p.fee_max <= MAX_FEE
        and p.target <= words.U96
        and p.min_ticket >= LOWEST_MIN_TICKET
        and p.min_ticket <= HIGHEST_MIN_TICKET
    )
    if not in_bounds:
        reasons._refuse(reasons.PARAMETER)
    of_value: uint256 = convert(p.of_value, uint256)
    self.live = p.fee_min | (p.fee_max << 24) | (p.target << 48) | (p.min_ticket << 144) | (of_value << 240)
    log IExitReserve.ParametersSet(parameters=p)
