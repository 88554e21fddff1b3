# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Timelock
@license GNU Affero General Public License v3.0 only
@notice The admin of the pool: snekmate's timelock controller with a delay that is at least 21 days, longer than the
        longest normal exit, and that nobody can shorten: `update_delay` is not exported. Whoever dislikes what was
        scheduled has time to leave.
@dev Proposers schedule and cancel, executors (or anyone, where the zero address is one) execute. Nobody but the
     timelock itself administers the roles.
"""
from snekmate.auth import access_control
from snekmate.governance import timelock_controller
from contracts.lib import reasons

initializes: access_control
initializes: timelock_controller[access_control := access_control]

exports: (
    timelock_controller.__default__,
    timelock_controller.CANCELLER_ROLE,
    timelock_controller.DEFAULT_ADMIN_ROLE,
    timelock_controller.EXECUTOR_ROLE,
    timelock_controller.PROPOSER_ROLE,
    timelock_controller.cancel,
    timelock_controller.execute,
    timelock_controller.execute_batch,
    timelock_controller.getRoleAdmin,
    timelock_controller.get_minimum_delay,
    timelock_controller.get_operation_state,
    timelock_controller.get_timestamp,
    timelock_controller.grantRole,
    timelock_controller.hasRole,
    timelock_controller.hash_operation,
    timelock_controller.hash_operation_batch,
    timelock_controller.is_operation,
    timelock_controller.is_operation_done,
    timelock_controller.is_operation_pending,
    timelock_controller.is_operation_ready,
    timelock_controller.renounceRole,
    timelock_controller.revokeRole,
    timelock_controller.schedule,
    timelock_controller.schedule_batch,
    timelock_controller.supportsInterface,
)

# Longer than the longest normal exit and than any pause.
MIN_DELAY: public(constant(uint256)) = 21 * 86_400

PARTIES: constant(uint256) = 255  # snekmate's bound


@deploy
def __init__(delay: uint256, proposers: DynArray[address, PARTIES], executors: DynArray[address, PARTIES]):
    """
    @param delay Seconds between scheduling and execution, for ever.
    @dev A timelock that nobody can use would freeze what it administers. Reverts: "timelock: delay too short",
         "timelock: nobody to act".
    """
    assert delay >= MIN_DELAY, reasons.DELAY_SHORT
    assert len(proposers) > 0 and len(executors) > 0, reasons.NO_PARTIES
    access_control.__init__()
    timelock_controller.__init__(delay, proposers, executors, empty(address))
