# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Reports
@license GNU Affero General Public License v3.0 only
@notice What a report does to the books: the validators' result is metered, tips, gifts and surplus fill the room that
        is left, the fee is minted, the rest streams, losses eat locked rewards first, and the exits requested before
        the reference slot become eligible.
"""
from ethereum.ercs import IERC20
from contracts.lib import parameters
from contracts.lib import reasons
from contracts.lib import stream
from contracts.lib import words
from contracts.pool import ledger
from interfaces import IEtherVault
from interfaces import IFloePool

uses: ledger

YEAR: constant(uint256) = 365 * 86_400

WITHDRAWAL_VAULT: immutable(IEtherVault)
EXECUTION_VAULT: immutable(IEtherVault)

# @notice Receives the fee shares of every report.
fee_recipient: public(address)


@deploy
def __init__(withdrawal_vault: IEtherVault, execution_vault: IEtherVault):
    """
    @dev Reverts: "peer: not wired to this contract".
    """
    assert staticcall withdrawal_vault.pool() == self, reasons.PEER
    assert staticcall execution_vault.pool() == self, reasons.PEER
    WITHDRAWAL_VAULT = withdrawal_vault
    EXECUTION_VAULT = execution_vault


@external
@payable
@reentrant
def receive_from_vault():
    """
    @notice Take what a report sweeps. Vaults only; the report has booked it already. Re-entrant, because a report
            is what calls the vault. Reverts: "caller: not a vault".
    """
    if msg.sender != WITHDRAWAL_VAULT.address and msg.sender != EXECUTION_VAULT.address:
        reasons._refuse(reasons.NOT_VAULT)


@external
@view
def withdrawal_vault() -> address:
    """
    @notice The vault whose address is the withdrawal credentials of all validators.
    """
    return WITHDRAWAL_VAULT.address


@external
@view
def execution_vault() -> address:
    """
    @notice The vault that receives priority fees and MEV.
    """
    return EXECUTION_VAULT.address


@internal
def _report(report: IFloePool.Report):
    """
    @notice Book what happened to the validators up to the report's reference slot.
            Gains are recognised only as fast as `rise_bps` allows, whoever sends them; the rest waits, in the
            validators, in the vaults or as surplus, for later reports. Losses first eat locked rewards. The fee is
            taken in new shares, on what exceeds the deficit of past losses, at a price that it does not change.
    """
    totals: uint256 = ledger.totals
    assets: uint256 = words._high(totals)
    past: uint256 = ledger.past
    live: IFloePool.Parameters = parameters._unpack(ledger.live)

    # What may be recognised now, and what is: validators first, then tips, gifts and surplus while there is room.
    # `left` stays at or above 0, because a loss only makes it larger.
    left: int256 = convert(
        assets * live.rise_bps * (block.timestamp - ((past >> 96) & words.U40)) // (ledger.BPS * YEAR), int256
    )
    surplus: uint256 = self.balance - (assets - words._low(ledger.away))
    gain: int256 = 0
    outside: uint256 = 0
    principal: uint256 = 0
    gain, outside, principal = self._validator_result(report, left)
    left -= gain
    if report.donated_at_ref < ledger.donated:
        reasons._refuse(reasons.REPORT_DONATED)
    tips: uint256 = min(EXECUTION_VAULT.address.balance, convert(left, uint256))
    gifts: uint256 = min(report.donated_at_ref - ledger.donated, convert(left, uint256) - tips)
    surplus = min(surplus, convert(left, uint256) - tips - gifts)
    gain += convert(tips + gifts + surplus, int256)

    # Book it.
    fee: uint256 = 0
    fee_shares: uint256 = 0
    fee, fee_shares = self._book(totals, gain, live)
    # Only what is outside can still be lost.
    pending_loss: uint256 = min(report.pending_loss, outside)
    ledger.away = words._with_pair(ledger.away, outside, pending_loss)
    ledger._flag_loss(pending_loss)
    self._refill(words._high(ledger.totals) * live.allowance_bps // ledger.BPS)
    ledger.flows = words._with_pair(0, words._low(ledger.flows), words._high(ledger.flows) + principal)
    ledger.donated += gifts
    self._make_eligible(report.queue_tail_at_ref)

    log IFloePool.Reported(
        gain=gain,
        fee=fee,
        fee_shares=fee_shares,
        tips=tips,
        gifts=gifts,
        surplus=surplus,
        swept=principal,
        shares=words._low(ledger.totals),
        assets=words._high(ledger.totals),
        outside=outside,
        pending_loss=pending_loss,
    )
    if principal + gifts > 0:
        extcall WITHDRAWAL_VAULT.sweep(principal + gifts)
    if tips > 0:
        extcall EXECUTION_VAULT.sweep(tips)


@internal
@view
def _validator_result(report: IFloePool.Report, room: int256) -> (int256, uint256, uint256):
    """
    @notice What the validators gained or lost since the last report, as far as `room` lets it be recognised.
    @return The recognised result, the new `outside`, and the wei to sweep as principal. ETH that was withdrawn but is
            not recognised yet stays in the vault, so `outside` never falls below 0.
    """
    flows: uint256 = ledger.flows
    if report.deposited_at_ref > words._low(flows):
        reasons._refuse(reasons.REPORT_DEPOSITED)
    if report.withdrawn_at_ref < words._high(flows):
        reasons._refuse(reasons.REPORT_WITHDRAWN)
    withdrawn: uint256 = report.withdrawn_at_ref - words._high(flows)
    outside: uint256 = words._low(ledger.away)
    after: uint256 = report.cl + words._low(flows) - report.deposited_at_ref
    gain: int256 = min(convert(after + withdrawn, int256) - convert(outside, int256), room)
    backed: uint256 = convert(convert(outside, int256) + gain, uint256)
    principal: uint256 = min(withdrawn, backed)
    return gain, backed - principal, principal


@internal
def _book(totals: uint256, gain: int256, live: IFloePool.Parameters) -> (uint256, uint256):
    """
    @notice Book `gain` wei (a loss when negative): fee, deficit, stream and totals.
    @return The fee in wei and the shares minted for it.
    """
    now: uint256 = block.timestamp
    supply: uint256 = words._low(totals)
    stream_word: uint256 = ledger.stream_word
    locked: uint256 = stream._locked(stream_word, now)
    end: uint256 = max((stream_word >> 136) & words.U40, now)
    deficit: uint256 = words._low(ledger.past)
    fee: uint256 = 0
    fee_shares: uint256 = 0
    if gain < 0:
        loss: uint256 = convert(-gain, uint256)
        locked -= min(locked, loss)
        deficit += loss
    else:
        gained: uint256 = convert(gain, uint256)
        repaid: uint256 = min(deficit, gained)
        deficit -= repaid
        entry_value: uint256 = words._high(totals) - stream._locked(stream_word, now)
        if entry_value > 0:
            fee = (gained - repaid) * live.fee_bps // ledger.BPS
            fee_shares = fee * supply // entry_value
        if fee_shares == 0:
            fee = 0
        if gained > fee:
            locked += gained - fee
            end = now + live.period
    assets: uint256 = convert(convert(words._high(totals), int256) + gain, uint256)
    ledger.totals = words._with_pair(totals, supply + fee_shares, assets)
    ledger.stream_word = stream._restart(stream_word, locked, now, end)
    ledger._set_deficit(deficit)
    if fee_shares > 0:
        recipient: address = self.fee_recipient
        ledger.balances[recipient] += fee_shares
        log IERC20.Transfer(sender=empty(address), receiver=recipient, value=fee_shares)
    return fee, fee_shares


@internal
def _refill(allowance: uint256):
    """
    @notice Start a new report's allowance of instant exits, and note the time.
    """
    past: uint256 = ledger.past
    ledger.past = (
        words._low(past) | (block.timestamp << 96) | (min(allowance, words.U80) << 136) | ((past >> 216) << 216)
    )


@internal
def _make_eligible(queue_tail: uint256):
    """
    @notice Exits requested up to position `queue_tail` on the queue's line may be paid. Eligibility is never lost.
    """
    exits: uint256 = ledger.exits
    filled: uint256 = staticcall ledger.QUEUE.filled()
    if queue_tail > filled + words._low(exits):
        reasons._refuse(reasons.REPORT_TAIL)
    if queue_tail > filled + words._high(exits):
        ledger.exits = words._with_pair(exits, words._low(exits), queue_tail - filled)


@internal
def _set_fee_recipient(recipient: address):
    ledger._check_receiver(recipient)
    self.fee_recipient = recipient
    log IFloePool.FeeRecipientSet(recipient=recipient)
