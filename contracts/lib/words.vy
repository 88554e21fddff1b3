# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Packed words
@license GNU Affero General Public License v3.0 only
@notice Where every field lies inside its storage word. Fields are listed from the
        lowest bit; all amounts are wei or shares, all times are seconds since the epoch.

        totals  shares u96 | assets u96 | deposit paused until u40 | flags u8
        stream  locked u96 | start u40 | end u40 | deposit ceiling in Gwei u80
        away    outside u96 | pending loss u96 | fulfil paused until u40
        past    deficit u96 | reported at u40 | instant allowance u80 | instant exit paused until u40
        exits   waiting u96 | eligible u96 | declared stale at u40
        flows   deposited u96 | withdrawn u96 | pending loss raised in Gwei u64
        ticket  owner u160 | end u95 | partly claimed flag
        point   shares u128 | ether u128
        head    filled shares u96 | filled ether u96 | points u64
        line    tail u96 | tickets u64

        Two u96 at the bottom are the common shape, so `_low` and `_high` read most words.
"""
from contracts.lib import reasons

U40: constant(uint256) = 2**40 - 1
U80: constant(uint256) = 2**80 - 1
U95: constant(uint256) = 2**95 - 1
U96: constant(uint256) = 2**96 - 1
U128: constant(uint256) = 2**128 - 1
U160: constant(uint256) = 2**160 - 1

# Flags of `totals`, already in place.
LOSSY: constant(uint256) = 1 << 232  # the pending loss is over 1 % of the assets: deposits are refused
DEFICIT: constant(uint256) = 1 << 233  # `past` holds a deficit that exits must lower

PARTLY_CLAIMED: constant(uint256) = 1 << 255


@internal
@pure
def _low(word: uint256) -> uint256:
    return word & U96


@internal
@pure
def _high(word: uint256) -> uint256:
    return (word >> 96) & U96


@internal
@pure
def _with_pair(word: uint256, low: uint256, high: uint256) -> uint256:
    """
    @notice `word` with its two u96 fields replaced.
    @dev Reverts with "pool: total over 96 bits" when a value does not fit.
    """
    if (low | high) > U96:
        reasons._refuse(reasons.OVERFLOW)
    return ((word >> 192) << 192) | (high << 96) | low


@internal
@pure
def _with_low(word: uint256, low: uint256) -> uint256:
    """
    @notice `word` with its lowest u96 replaced. Reverts: "pool: total over 96 bits".
    """
    if low > U96:
        reasons._refuse(reasons.OVERFLOW)
    return ((word >> 96) << 96) | low


@internal
@pure
def _with_time(word: uint256, at: uint256) -> uint256:
    """
    @notice `word` with the u40 at bit 192 (a pause in `totals` and `away`, `stale_at` in `exits`) replaced.
    """
    return (word & ~(U40 << 192)) | ((at & U40) << 192)


@internal
@pure
def _time(word: uint256) -> uint256:
    return (word >> 192) & U40
