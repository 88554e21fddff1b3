# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Pauser
@license GNU Affero General Public License v3.0 only
@notice The emergency brake. A holder of the key role can stop some of the pool's functions once, for at most 14 days,
        and must then wait out a cooldown; the stop ends by itself. A holder of the resume role can end it earlier.
        Transfers, requests, claims and reports cannot be stopped. snekmate's access control keeps the roles, for the
        admin to change.
@dev The pool bounds a pause by itself too, so this contract cannot be talked into a longer one.
"""
from snekmate.auth import access_control
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IFloePool

initializes: access_control

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.getRoleAdmin,
    access_control.grantRole,
    access_control.hasRole,
    access_control.renounceRole,
    access_control.revokeRole,
    access_control.supportsInterface,
)

# @notice May pause, once per cooldown.
KEY_ROLE: public(constant(bytes32)) = keccak256("KEY_ROLE")
# @notice May end a pause.
RESUME_ROLE: public(constant(bytes32)) = keccak256("RESUME_ROLE")

MAX_PAUSE: public(constant(uint256)) = 14 * 86_400
# As long again as the longest pause, and some: one key alone cannot keep anything shut.
COOLDOWN: public(constant(uint256)) = 42 * 86_400

POOL: immutable(IFloePool)

# @notice Key -> time from which it may pause again.
ready_at: public(HashMap[address, uint256])


@deploy
def __init__(pool: IFloePool, admin: address, keys: DynArray[address, 16], resumers: DynArray[address, 16]):
    """
    @dev Reverts: "admin: not a contract".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    POOL = pool
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)
    for key: address in keys:
        access_control._grant_role(KEY_ROLE, key)
    for resumer: address in resumers:
        access_control._grant_role(RESUME_ROLE, resumer)


@external
def pause(functions: IFloePool.Pausable, duration: uint256):
    """
    @notice Stop `functions` of the pool for `duration` seconds. For keys that are not on cooldown; a pause that is
            on may be made longer, not shorter.
    @dev Reverts: "access_control: account is missing role", "pause: too long", "pause: key on cooldown",
         "pause: would shorten one".
    """
    access_control._check_role(KEY_ROLE, msg.sender)
    assert duration <= MAX_PAUSE, reasons.PAUSE_TOO_LONG
    assert block.timestamp >= self.ready_at[msg.sender], reasons.PAUSE_COOLDOWN
    until: uint256 = block.timestamp + duration
    state: uint256[8] = staticcall POOL.state()
    shortens: bool = (
        (IFloePool.Pausable.DEPOSIT in functions and words._time(state[0]) > until)
        or (IFloePool.Pausable.FULFIL in functions and words._time(state[2]) > until)
        or (IFloePool.Pausable.INSTANT_EXIT in functions and state[3] >> 216 > until)
    )
    assert not shortens, reasons.PAUSE_SHORTENS
    self.ready_at[msg.sender] = block.timestamp + COOLDOWN
    extcall POOL.pause(functions, until)


@external
def resume(functions: IFloePool.Pausable):
    """
    @notice End the pause of `functions` now.
    @dev Reverts: "access_control: account is missing role".
    """
    access_control._check_role(RESUME_ROLE, msg.sender)
    extcall POOL.pause(functions, 0)


@external
@view
def pool() -> address:
    """
    @notice The pool that this brake stops.
    """
    return POOL.address
