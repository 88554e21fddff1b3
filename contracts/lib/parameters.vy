# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The pool's parameters
@license GNU Affero General Public License v3.0 only
@notice Packs the live parameters into one word, and holds the bounds that no admin can pass.

        fee u16 | rise u16 | target u16 | allowance u16 (all bps) | instant fee min u32 | max u32 (ppm)
        | period u32 | stale after u32 (seconds)
"""
from contracts.lib import reasons
from interfaces import IFloePool

U16: constant(uint256) = 2**16 - 1
U32: constant(uint256) = 2**32 - 1

MAX_FEE_BPS: constant(uint256) = 2_000  # a fifth of the rewards
MAX_RISE_BPS: constant(uint256) = 5_000  # 50 % a year: far above any honest yield
MIN_RISE_BPS: constant(uint256) = 100  # less would hold back honest rewards for ever
MAX_TARGET_BPS: constant(uint256) = 2_000  # with more idle ETH than a fifth it would not be staking
MAX_ALLOWANCE_BPS: constant(uint256) = 2_000  # a fifth of the assets between two reports
MAX_INSTANT_FEE: constant(uint256) = 50_000  # ppm; 5 % is dearer than any wait
MIN_PERIOD: constant(uint256) = 3_600  # a shorter stream would be a step
MAX_PERIOD: constant(uint256) = 30 * 86_400  # a longer one would keep rewards from those who earned them
MIN_STALE_AFTER: constant(uint256) = 86_400  # one missed daily report is not yet an outage
MAX_STALE_AFTER: constant(uint256) = 30 * 86_400  # nobody waits longer for dead helpers


@internal
@pure
def _pack(p: IFloePool.Parameters) -> uint256:
    """
    @notice One word of `p`. Reverts outside the bounds: "parameter: out of bounds".
    """
    in_bounds: bool = (
        p.fee_bps <= MAX_FEE_BPS
        and p.rise_bps >= MIN_RISE_BPS
        and p.rise_bps <= MAX_RISE_BPS
        and p.target_bps <= MAX_TARGET_BPS
        and p.allowance_bps <= MAX_ALLOWANCE_BPS
        and p.instant_fee_min <= p.instant_fee_max
        and p.instant_fee_max <= MAX_INSTANT_FEE
        and p.period >= MIN_PERIOD
        and p.period <= MAX_PERIOD
        and p.stale_after >= MIN_STALE_AFTER
        and p.stale_after <= MAX_STALE_AFTER
    )
    if not in_bounds:
        reasons._refuse(reasons.PARAMETER)
    return (
        p.fee_bps
        | (p.rise_bps << 16)
        | (p.target_bps << 32)
        | (p.allowance_bps << 48)
        | (p.instant_fee_min << 64)
        | (p.instant_fee_max << 96)
        | (p.period << 128)
        | (p.stale_after << 160)
    )


@internal
@pure
def _unpack(word: uint256) -> IFloePool.Parameters:
    return IFloePool.Parameters(
        fee_bps=word & U16,
        rise_bps=(word >> 16) & U16,
        target_bps=(word >> 32) & U16,
        allowance_bps=(word >> 48) & U16,
        instant_fee_min=(word >> 64) & U32,
        instant_fee_max=(word >> 96) & U32,
        period=(word >> 128) & U32,
        stale_after=word >> 160,
    )


@internal
@pure
def _rise_bps(word: uint256) -> uint256:
    """
    @notice One field of `word`, for who needs no other.
    """
    return (word >> 16) & U16
