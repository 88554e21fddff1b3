# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The stableswap invariant of two coins
@license GNU Affero General Public License v3.0 only
@notice Of sides x and y, both in wei of value, and the amplification A the value D solves (Egorov, "StableSwap", 2019,
        with n = 2 and 2 A written for A n)

            2A (x + y) + D = 2A D + D^3 / (4 x y)

        A comes as `a` = 200 A, twice the amplification in hundredths. What is returned is not what an iteration ends
        at but the one integer with a property that is checked: Newton's steps only find it soon. Both functions curve
        upwards, so a step from below goes above the root at once, and from there they come down to it, never past it.
@dev Domain: sides below 2**97, one at most RATIO_LIMIT times the other, a from 200 to 1,000,000. Outside of it nothing
     is said about convergence; the sides are checked.
"""
from contracts.lib import reasons

# More than what D gains or loses by rounding.
SLACK: constant(uint256) = 2
# One side may be this much larger than the other, in value.
RATIO_LIMIT: constant(uint256) = 10**6
MAX_SIDE: constant(uint256) = 2**97 - 1

HUNDREDTHS: constant(uint256) = 100
UNIT: constant(uint256) = 10**18
OFF_PEG_UNIT: constant(uint256) = 10_000
# Twice what the hardest case of the domain takes.
ROUNDS: constant(uint256) = 32


@internal
@pure
def _in_domain(x: uint256, y: uint256) -> bool:
    low: uint256 = min(x, y)
    high: uint256 = max(x, y)
    return low > 0 and high <= MAX_SIDE and high <= RATIO_LIMIT * low


@internal
@pure
def _invariant(x: uint256, y: uint256, a: uint256, guess: uint256) -> uint256:
    """
    @notice D in wei: the largest integer d with 100 * (d * d // low * d // high) + (a - 100) * d <= a * (x + y), where
            low and high are twice the smaller and twice the larger side. The real D is less than 1 more, or less than
            1/2 less. `guess` is where to start.
    @dev Products and sums of the loop are unchecked. None can wrap:
         x + y <= high < 2**98, and x + y <= 500,001 * low. d starts at x + y at most. It rises only from below the
         root, which is at most x + y, and by at most wanted / linear <= 2 (x + y), as a >= 200: so d <= 3 (x + y) and
         that is below 2**100.
         Then d * d < 2**200, d * d // low < 2**121, times d < 2**221, // high < 2**123, times 100 < 2**130;
         linear * d < 2**125 for any a below 2**25, which is what fits the pair's word; off < 2**131, off * d < 2**231.
         Reverts: "pair: too far from balance", "pair: no convergence".
    """
    if not self._in_domain(x, y):
        reasons._refuse(reasons.PAIR_BALANCE)
    low: uint256 = 2 * min(x, y)
    high: uint256 = 2 * max(x, y)
    wanted: uint256 = a * (x + y)
    linear: uint256 = a - HUNDREDTHS
    above: uint256 = 0
    d: uint256 = min(guess, x + y)
    for _: uint256 in range(ROUNDS):
        cubic: uint256 = unsafe_mul(HUNDREDTHS, unsafe_mul(unsafe_mul(d, d) // low, d) // high)
        sum: uint256 = unsafe_add(cubic, unsafe_mul(linear, d))
        # One d more or less changes the sum by `linear` at least: nearer than that, the place is certain.
        if sum > wanted:
            off: uint256 = sum - wanted
            if off <= linear:
                return d - 1
            above = d
            d -= max(unsafe_mul(off, d) // unsafe_add(sum, unsafe_mul(2, cubic)), 1)
        else:
            off: uint256 = wanted - sum
            if off < linear or d + 1 == above:
                return d
            d += max(unsafe_mul(off, d) // unsafe_add(sum, unsafe_mul(2, cubic)), 1)
    reasons._refuse(reasons.PAIR_NO_CONVERGENCE)
    return 0


@internal
@pure
def _other(x: uint256, d: uint256, a: uint256, guess: uint256) -> uint256:
    """
    @notice The side beside `x` at which the value is `d`, in wei: the least integer y with y * (y + b) >= c + d * y,
            where b = x + 100 * d // a and c = (d * d // (2 * x) + 1) * d * 100 // (2 * a) + 1. Rounded up: the real
            value of x and y is at least d. `guess` is where to start, more than 0 and at least d - x or so.
    @dev Reverts: "pair: no convergence".
    """
    b: uint256 = x + HUNDREDTHS * d // a
    c: uint256 = (d * d // (2 * x) + 1) * d * HUNDREDTHS // (2 * a) + 1
    y: uint256 = guess
    for _: uint256 in range(ROUNDS):
        factor: uint256 = y + b - d
        product: uint256 = y * factor
        slope: uint256 = y + factor
        # One y more changes the product by slope + 1, one less by slope - 1.
        if product >= c:
            off: uint256 = product - c
            if off + 1 < slope:
                return y
            y -= max(off // slope, 1)
        else:
            off: uint256 = c - product
            if off <= slope + 1:
                return y + 1
            y += off // slope + 1
    reasons._refuse(reasons.PAIR_NO_CONVERGENCE)
    return 0


@internal
@pure
def _price(x: uint256, y: uint256, a: uint256, d: uint256) -> uint256:
    """
    @notice What a little of y costs in x, per 1e18: the slope of the curve (rounds down).
    """
    ax: uint256 = a * x
    ay: uint256 = a * y
    # 100 d^3 / (4 x y), from the invariant.
    cubic: uint256 = ax + ay - (a - HUNDREDTHS) * d
    return (x * UNIT // y) * (ay + cubic) // (ax + cubic)


@internal
@pure
def _fee_ppm(fee: uint256, off_peg: uint256, x: uint256, y: uint256) -> uint256:
    """
    @notice The dynamic fee in ppm (rounds up): `fee` where x = y, and up to `off_peg` / 10,000 times as much the more
            the two differ: fee * f / ((f - 1) * 4 x y / (x + y)^2 + 1) with f = off_peg / 10,000.
    """
    total: uint256 = (x + y) * (x + y)
    parts: uint256 = (off_peg - OFF_PEG_UNIT) * 4 * x * y + OFF_PEG_UNIT * total
    return (fee * off_peg * total + parts - 1) // parts
