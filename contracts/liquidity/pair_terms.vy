# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The pair's terms
@license GNU Affero General Public License v3.0 only
@notice Fees and amplification, which the admin (a timelock) moves inside fixed bounds. One word:

            fee u24 (ppm) | off peg u24 (1/10,000) | admin u24 (ppm)
            | a from u24 | a to u24 (hundredths) | ramp start u40 | ramp end u40 (seconds)
"""
from snekmate.auth import access_control
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IStablePair

uses: access_control

U24: constant(uint256) = 2**24 - 1
U72: constant(uint256) = 2**72 - 1

MIN_FEE: constant(uint256) = 50  # ppm; a free trade would be a free try
MAX_FEE: constant(uint256) = 10_000
MIN_OFF_PEG: constant(uint256) = 10_000  # times 1
MAX_OFF_PEG: constant(uint256) = 200_000  # times 20
MAX_ADMIN_PPM: constant(uint256) = 500_000
MIN_AMPLIFICATION: constant(uint256) = 100  # 1, in hundredths
MAX_AMPLIFICATION: constant(uint256) = 500_000
# A slow ramp gives providers time to leave, and arbitrage nothing to wait for.
MIN_RAMP: constant(uint256) = 86_400
MAX_RAMP_FACTOR: constant(uint256) = 10

live: uint256


@deploy
def __init__(fee: uint256, off_peg: uint256, admin_ppm: uint256, amplification: uint256):
    self._check(amplification >= MIN_AMPLIFICATION and amplification <= MAX_AMPLIFICATION)
    self._set_fees(fee, off_peg, admin_ppm)
    self._set_ramp(amplification, amplification, block.timestamp)


@external
def ramp(a_to: uint256, end: uint256):
    """
    @notice Move the amplification from where it is now to `a_to` (hundredths; 1 to 5,000, at most ten times as much or
            as little), in a straight line that ends at `end`, a day from now or later. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    a_from: uint256 = self._amplification(self.live)
    self._check(a_to >= MIN_AMPLIFICATION and a_to <= MAX_AMPLIFICATION)
    self._check(a_to <= a_from * MAX_RAMP_FACTOR and a_to * MAX_RAMP_FACTOR >= a_from)
    self._check(end >= block.timestamp + MIN_RAMP and end <= words.U40)
    self._set_ramp(a_from, a_to, end)


@external
def stop_ramp():
    """
    @notice Leave the amplification where it is now. Admin only.
    @dev Reverts: "access_control: account is missing role".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    a: uint256 = self._amplification(self.live)
    self._set_ramp(a, a, block.timestamp)


@external
def set_fees(fee: uint256, off_peg: uint256, admin_ppm: uint256):
    """
    @notice Replace the fees: `fee` 50 to 10,000 ppm, `off_peg` 10,000 to 200,000 (times 1 to times 20), `admin_ppm` at
            most half. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._set_fees(fee, off_peg, admin_ppm)


@external
@view
def amplification() -> uint256:
    """
    @notice The amplification now, in hundredths (rounds towards where a ramp started).
    """
    return self._amplification(self.live)


@external
@view
def parameters() -> IStablePair.Parameters:
    """
    @notice The fees and the ramp.
    """
    live: uint256 = self.live
    return IStablePair.Parameters(
        fee=live & U24,
        off_peg=(live >> 24) & U24,
        admin_ppm=(live >> 48) & U24,
        a_from=(live >> 72) & U24,
        a_to=(live >> 96) & U24,
        ramp_start=(live >> 120) & words.U40,
        ramp_end=live >> 160,
    )


@internal
@view
def _amplification(live: uint256) -> uint256:
    a_to: uint256 = (live >> 96) & U24
    end: uint256 = live >> 160
    if block.timestamp >= end:
        return a_to
    a_from: uint256 = (live >> 72) & U24
    start: uint256 = (live >> 120) & words.U40
    if a_to > a_from:
        return a_from + (a_to - a_from) * (block.timestamp - start) // (end - start)
    return a_from - (a_from - a_to) * (block.timestamp - start) // (end - start)


@internal
def _set_ramp(a_from: uint256, a_to: uint256, end: uint256):
    self.live = (self.live & U72) | (a_from << 72) | (a_to << 96) | (block.timestamp << 120) | (end << 160)
    log IStablePair.Ramped(from_=a_from, to=a_to, start=block.timestamp, end=end)


@internal
def _set_fees(fee: uint256, off_peg: uint256, admin_ppm: uint256):
    self._check(fee >= MIN_FEE and fee <= MAX_FEE)
    self._check(off_peg >= MIN_OFF_PEG and off_peg <= MAX_OFF_PEG)
    self._check(admin_ppm <= MAX_ADMIN_PPM)
    self.live = (self.live & ~U72) | fee | (off_peg << 24) | (admin_ppm << 48)
    log IStablePair.FeesSet(fee=fee, off_peg=off_peg, admin_ppm=admin_ppm)


@internal
@pure
def _check(in_bounds: bool):
    if not in_bounds:
        reasons._refuse(reasons.PARAMETER)
