# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Report oracle
@license GNU Affero General Public License v3.0 only
@notice A committee says, once per frame, what the beacon chain knows of our validators. Members sign off chain; anyone
        brings the report and the signatures in one transaction, which checks them, books the report and pays exits.
        Nobody is believed beyond the limits: a report outside them is held, and the council has some time to accept
        or reject it. `committee.vy` has the members and their votes, `limits.vy` the bounds.
@dev What stops it, who can, and what still works then: nothing stops `submit` and `vote`. A held report pauses the
     pool's deposits, fulfilments and instant exits until it is decided or lapses. Without reports anyone can call the
     pool's `declare_stale`. The admin (a timelock) sets the committee and, inside fixed bounds, the limits; it can
     replace this contract by giving the pool's roles to another.
"""
from snekmate.auth import access_control
from snekmate.utils import eip712_domain_separator as eip712
from contracts.lib import reasons
from contracts.lib import words
from contracts.oracle import committee
from contracts.oracle import limits
from interfaces import IFloePool
from interfaces import IReportOracle

implements: IReportOracle

initializes: access_control
initializes: committee
initializes: eip712
initializes: limits

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.getRoleAdmin,
    access_control.grantRole,
    access_control.hasRole,
    access_control.renounceRole,
    access_control.revokeRole,
    access_control.supportsInterface,
)
exports: (
    committee.members,
    committee.quorum,
    committee.vote,
    committee.votes,
)
exports: eip712.eip712Domain
exports: (
    limits.chain_constants,
    limits.headroom,
    limits.last,
    limits.parameters,
    limits.pool,
)

# @notice May decide on held reports, and remove members.
COUNCIL_ROLE: public(constant(bytes32)) = keccak256("COUNCIL_ROLE")

REPORT_TYPE_HASH: constant(bytes32) = keccak256(
    "Report(uint256 ref_slot,uint256 cl,uint256 deposited_at_ref,uint256 withdrawn_at_ref,uint256 donated_at_ref,"
    "uint256 queue_tail_at_ref,uint256 pending_loss,uint256 raised_at_ref,bytes32 balances_root,"
    "bytes32 balances_hash)"
)
# After a held report that nobody decided on, the next ones pause nothing for so long: dead councils lock nobody in.
PAUSE_COOLDOWN: constant(uint256) = 7 * 86_400
# More than the pool's `fulfil` ever takes.
FULFIL_GAS: constant(uint256) = 200_000

held_digest: bytes32
# deadline u40 | end of the pause that held reports caused u40, 0 once the council has decided
# | ends of the pauses before it: deposits u40 | fulfilments u40 | instant exits u40
held_times: uint256


@deploy
def __init__(
    pool: IFloePool,
    admin: address,
    council: address,
    members: DynArray[address, committee.MAX_MEMBERS],
    quorum: uint256,
    constants: IReportOracle.Chain,
    parameters: IReportOracle.Parameters,
):
    """
    @param council Gets `COUNCIL_ROLE`.
    @dev Reverts: "admin: not a contract", "committee: no majority", "committee: wrong members",
         "parameter: out of bounds".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    eip712.__init__("Floe ReportOracle", "1")
    committee.__init__()
    limits.__init__(pool, constants)
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)
    access_control._grant_role(COUNCIL_ROLE, council)
    committee._set_committee(members, quorum)
    limits._set_parameters(parameters)


# ---- reports --------------------------------------------------------------------------------------


@external
def submit(
    report: IReportOracle.Report, signers: uint256, signatures: Bytes[committee.SIGNATURE * committee.MAX_MEMBERS]
) -> bool:
    """
    @notice Bring a report on which a quorum agrees, by signatures (EIP-712; ERC-1271 for contracts) and standing votes
            together. Anyone may call. Inside the limits it is booked, and exits are paid as far as the buffer goes;
            outside it is held. Either way its frame is over, and a report that was held before makes way.
    @param signers Bitmap of the places that signed.
    @param signatures 65 bytes of each (r, s, v), in order of the places; what a contract gets to check has as many.
    @return Whether the report was booked.
    @dev Reverts: "committee: wrong signers", "committee: wrong signature", "committee: no quorum",
         "report: not at a frame", "report: not newer", "report: not yet", "report: too old", "report: a counter fell",
         "report: deposits ahead of pool", "report: raises ahead of pool", "report: tail ahead of queue",
         "report: donations fell", "report: ahead of the vault", "report: too little gas", "access_control:
         account is missing role" (the pool's).
    """
    digest: bytes32 = self._digest(report)
    committee._check_quorum(digest, signers, signatures)
    state: uint256[8] = staticcall limits.POOL.state()
    verdict: limits.Verdict = self._admit(report, state)
    if not verdict.inside:
        self._hold(report, digest, verdict, state)
        return False
    if limits.last_word & limits.HELD != 0:
        self.held_digest = empty(bytes32)
        self._resume(state)
    self._apply(report, digest, verdict, state)
    return True


@external
def accept(report: IReportOracle.Report):
    """
    @notice Book the held report, whatever the limits say. Council only.
    @dev Its counters need no second look: what they were held against only grows. Reverts: "access_control: account is
         missing role" (this contract's or the pool's), "report: not held", "report: too little gas".
    """
    access_control._check_role(COUNCIL_ROLE, msg.sender)
    digest: bytes32 = self._digest(report)
    state: uint256[8] = staticcall limits.POOL.state()
    self._decide(digest, state)
    self._apply(report, digest, limits._judge(report, state, limits._parameters()), state)


@external
def reject(digest: bytes32):
    """
    @notice Drop the held report; the next frame's follows. Council only.
    @dev Reverts: "access_control: account is missing role" (this contract's or the pool's), "report: not held".
    """
    access_control._check_role(COUNCIL_ROLE, msg.sender)
    self._decide(digest, staticcall limits.POOL.state())
    log IReportOracle.Rejected(digest=digest)


@external
@view
def digest(report: IReportOracle.Report) -> bytes32:
    """
    @notice What members sign (EIP-712).
    """
    return self._digest(report)


@external
@view
def preview(report: IReportOracle.Report) -> (uint256, uint256, bool):
    """
    @notice By how many wei a report would lower the exit value, how many wei of the validators' gain it would leave
            unrecognised, and whether it would be booked at once. Reverts: as `submit`, but for the committee's
            agreement.
    """
    verdict: limits.Verdict = self._admit(report, staticcall limits.POOL.state())
    return verdict.loss, verdict.backlog, verdict.inside


@external
@view
def pending() -> IReportOracle.Pending:
    """
    @notice The report that waits for the council, and until when; zeros when there is none.
    """
    deadline: uint256 = self.held_times & words.U40
    if self.held_digest == empty(bytes32) or deadline < block.timestamp:
        return empty(IReportOracle.Pending)
    return IReportOracle.Pending(digest=self.held_digest, deadline=deadline)


# ---- committee and limits -------------------------------------------------------------------------


@external
def set_committee(members: DynArray[address, committee.MAX_MEMBERS], quorum: uint256):
    """
    @notice Replace the committee and its quorum, which must be more than half; standing votes are void. Admin only.
    @dev Reverts: "access_control: account is missing role", "committee: no majority", "committee: wrong members".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    committee._set_committee(members, quorum)


@external
def remove_member(place: uint256):
    """
    @notice Remove a member whose key is lost or stolen, at once. The quorum stays, so fewer must agree unanimously;
            never fewer than the quorum. Council only.
    @dev Reverts: "access_control: account is missing role", "committee: no majority", "committee: wrong members".
    """
    access_control._check_role(COUNCIL_ROLE, msg.sender)
    committee._remove(place)


@external
def set_parameters(p: IReportOracle.Parameters):
    """
    @notice Replace all limits. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    limits._set_parameters(p)


# ---- inside ---------------------------------------------------------------------------------------


@internal
@view
def _digest(report: IReportOracle.Report) -> bytes32:
    return eip712._hash_typed_data_v4(keccak256(abi_encode(REPORT_TYPE_HASH, report)))


@internal
@view
def _admit(report: IReportOracle.Report, state: uint256[8]) -> limits.Verdict:
    p: IReportOracle.Parameters = limits._parameters()
    limits._check_slot(report.ref_slot, p)
    limits._check_counters(report, state)
    return limits._judge(report, state, p)


@internal
def _apply(report: IReportOracle.Report, digest: bytes32, verdict: limits.Verdict, state: uint256[8]):
    limits._note(report, verdict, words._high(state[0]))
    log IReportOracle.Applied(
        ref_slot=report.ref_slot,
        digest=digest,
        balances_root=report.balances_root,
        balances_hash=report.balances_hash,
    )
    extcall limits.POOL.report(
        IFloePool.Report(
            cl=report.cl,
            deposited_at_ref=report.deposited_at_ref,
            withdrawn_at_ref=report.withdrawn_at_ref,
            donated_at_ref=report.donated_at_ref,
            queue_tail_at_ref=report.queue_tail_at_ref,
            pending_loss=report.pending_loss,
            raised_at_ref=report.raised_at_ref,
        )
    )
    # Estimates of gas find the least with which nothing reverts: without this they would leave none for exits.
    if msg.gas < FULFIL_GAS:
        reasons._refuse(reasons.REPORT_GAS)
    # Where nothing can be paid, or fulfilments are paused, the report stands without it: anyone can fulfil later.
    paid: bool = raw_call(limits.POOL.address, method_id("fulfil()"), max_outsize=0, revert_on_failure=False)


@internal
def _hold(report: IReportOracle.Report, digest: bytes32, verdict: limits.Verdict, state: uint256[8]):
    """
    @notice Hold a report for the council, and stop what should not go on at a price that is in doubt.
    """
    deadline: uint256 = block.timestamp + limits._parameters().resolve_time
    limits.last_word = (limits.last_word & ~words.U40) | report.ref_slot | limits.HELD
    self.held_digest = digest
    times: uint256 = self.held_times
    stops: bool = block.timestamp >= ((times >> 40) & words.U40) + PAUSE_COOLDOWN
    functions: IFloePool.Pausable = empty(IFloePool.Pausable)
    if stops:
        deposits: uint256 = words._time(state[0])
        fulfilments: uint256 = words._time(state[2])
        instant_exits: uint256 = state[3] >> 216
        times = (deadline << 40) | (deposits << 80) | (fulfilments << 120) | (instant_exits << 160)
        if deposits < deadline:
            functions |= IFloePool.Pausable.DEPOSIT
        if fulfilments < deadline:
            functions |= IFloePool.Pausable.FULFIL
        if instant_exits < deadline:
            functions |= IFloePool.Pausable.INSTANT_EXIT
    self.held_times = ((times >> 40) << 40) | deadline
    log IReportOracle.Held(ref_slot=report.ref_slot, digest=digest, report=report, loss=verdict.loss, deadline=deadline)
    if stops:
        extcall limits.POOL.pause(functions, deadline)


@internal
def _decide(digest: bytes32, state: uint256[8]):
    """
    @notice The council has decided on the held report `digest`. Reverts: "report: not held".
    """
    times: uint256 = self.held_times
    if self.held_digest == empty(bytes32) or digest != self.held_digest or times & words.U40 < block.timestamp:
        reasons._refuse(reasons.NOT_HELD)
    self.held_digest = empty(bytes32)
    limits.last_word &= ~limits.HELD
    self._resume(state)
    self.held_times = 0


@internal
def _resume(state: uint256[8]):
    """
    @notice Put back the pauses that were on before a held report lengthened them. One that somebody has changed since
            ends at another time, and stays.
    """
    times: uint256 = self.held_times
    until: uint256 = (times >> 40) & words.U40
    if until <= block.timestamp:
        return
    if words._time(state[0]) == until:
        extcall limits.POOL.pause(IFloePool.Pausable.DEPOSIT, (times >> 80) & words.U40)
    if words._time(state[2]) == until:
        extcall limits.POOL.pause(IFloePool.Pausable.FULFIL, (times >> 120) & words.U40)
    if state[3] >> 216 == until:
        extcall limits.POOL.pause(IFloePool.Pausable.INSTANT_EXIT, times >> 160)
