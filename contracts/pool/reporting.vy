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
    assert withdrawal_vault != execution_vault, reasons.PEER
    WITHDRAWAL_VAULT = withdrawal_vault
    EXECUTION_VAULT = execution_vault


@external
def declare_stale():
    """
    @notice Without a report for `stale_after` seconds, make every exit requested so far eligible and bring what lies
            in the withdrawal vault into the buffer, so that exits are paid at the last exit rate; again after every
            further `stale_after`. Anyone may call.
    @dev Reverts: "report: not stale".
    """
    exits: uint256 = ledger.exits
    since: uint256 = max(words._time(exits), (ledger.past >> 96) & words.U40)
    if block.timestamp < since + parameters._unpack(ledger.live).stale_after:
        reasons._refuse(reasons.NOT_STALE)
    waiting: uint256 = words._low(exits)
    ledger.exits = waiting | (waiting << 96) | (block.timestamp << 192)
    # Booked as principal: out of `outside`, down to the pending loss. The next report finds out what it really was.
    away: uint256 = ledger.away
    swept: uint256 = min(WITHDRAWAL_VAULT.address.balance, words._low(away) - words._high(away))
    ledger.away = unsafe_sub(away, swept)
    ledger.flows = unsafe_add(ledger.flows, swept << 96)
    log IFloePool.DeclaredStale(eligible=waiting, swept=swept)
    if swept > 0:
        extcall WITHDRAWAL_VAULT.sweep(swept)


@external
@payable
@reentrant
def receive_from_vault():
    """
    @notice Take what a report or `declare_stale` sweeps, and has booked already. Vaults only. Re-entrant, because
            the vault is called from here. Reverts: "caller: not a vault".
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
    room: uint256 = assets * live.rise_bps * (block.timestamp - ((past >> 96) & words.U40)) // (ledger.BPS * YEAR)
    surplus: uint256 = self.balance - (assets - words._low(ledger.away))
    gain: int256 = 0
    outside: uint256 = 0
    principal: uint256 = 0
    pending_loss: uint256 = 0
    gain, outside, principal, pending_loss = self._validator_result(report, convert(room, int256))
    room = convert(convert(room, int256) - gain, uint256)
    tips: uint256 = min(EXECUTION_VAULT.address.balance, room)
    if report.donated_at_ref < ledger.donated:
        reasons._refuse(reasons.REPORT_DONATED)
    # What `declare_stale` swept may have been gifts: then they are not in the vault any more.
    gifts: uint256 = WITHDRAWAL_VAULT.address.balance
    gifts = min(min(gifts - min(principal, gifts), report.donated_at_ref - ledger.donated), room - tips)
    surplus = min(surplus, room - tips - gifts)
    gain += convert(tips + gifts + surplus, int256)

    # Book it.
    fee: uint256 = 0
    fee_shares: uint256 = 0
    fee, fee_shares = self._book(totals, gain, live)
    ledger.away = words._with_pair(ledger.away, outside, pending_loss)
    ledger._flag_loss(pending_loss)
    self._refill(words._high(ledger.totals) * live.allowance_bps // ledger.BPS)
    ledger.flows = unsafe_add(ledger.flows, principal << 96)  # all of it lay in the vault
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
def _raise_pending_loss(gwei_: uint256):
    """
    @notice Raise the pending loss by `gwei_`, at most to all that is outside.
    """
    away: uint256 = ledger.away
    room: uint256 = unsafe_sub(words._low(away), words._high(away)) // ledger.WEI_IN_GWEI
    raised: uint256 = min(gwei_, room)
    amount: uint256 = raised * ledger.WEI_IN_GWEI
    ledger.away = unsafe_add(away, amount << 96)
    ledger.flows += raised << 192
    ledger._flag_loss(words._high(away) + amount)
    log IFloePool.PendingLossRaised(amount=amount)


@internal
@view
def _validator_result(report: IFloePool.Report, room: int256) -> (int256, uint256, uint256, uint256):
    """
    @notice What the validators gained or lost since the last report. While a loss is pending, what they brought goes
            against it first: the part of those who left, which is out of `outside` already, is then not booked as a
            gain, nor pending again for those who stay. Of what is left, only `room` is recognised.
    @return The recognised result, the new `outside`, the wei to sweep as principal, and the loss still pending. ETH
            that was withdrawn but is not recognised yet stays in the vault, so `outside` never falls below 0.
    """
    flows: uint256 = ledger.flows
    if report.deposited_at_ref > words._low(flows):
        reasons._refuse(reasons.REPORT_DEPOSITED)
    raised: uint256 = flows >> 192
    if report.raised_at_ref > raised:
        reasons._refuse(reasons.REPORT_RAISED)
    # What was raised after the reference slot is not known to this report, and stays pending.
    pending_loss: uint256 = report.pending_loss + (raised - report.raised_at_ref) * ledger.WEI_IN_GWEI
    outside: int256 = convert(words._low(ledger.away), int256)
    # Below 0 when `declare_stale` swept what came after the reference slot, and is therefore still in `cl`.
    withdrawn: int256 = convert(report.withdrawn_at_ref, int256) - convert(words._high(flows), int256)
    after: uint256 = report.cl + words._low(flows) - report.deposited_at_ref
    result: int256 = convert(after, int256) + withdrawn - outside
    covered: uint256 = min(convert(max(result, 0), uint256), pending_loss)
    gain: int256 = max(min(result - convert(covered, int256), room), -outside)
    backed: uint256 = convert(outside + gain, uint256)
    principal: uint256 = min(convert(max(withdrawn, 0), uint256), backed)
    # Only what is outside can still be lost.
    return gain, backed - principal, principal, min(pending_loss - covered, backed - principal)


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
    deficit: uint256 = words._low(ledger.past)
    fee: uint256 = 0
    fee_shares: uint256 = 0
    if gain < 0:
        loss: uint256 = convert(-gain, uint256)
        deficit += loss
        locked -= min(locked, loss)
        stream_word = stream._restart(stream_word, locked, now, max((stream_word >> 136) & words.U40, now))
    else:
        gained: uint256 = convert(gain, uint256)
        repaid: uint256 = min(deficit, gained)
        deficit -= repaid
        entry_value: uint256 = words._high(totals) - locked
        if entry_value > 0:
            fee = (gained - repaid) * live.fee_bps // ledger.BPS
            fee_shares = fee * supply // entry_value
        if fee_shares == 0:
            fee = 0
        # What took longer than a period to earn streams for as long: nobody gains by entering before a late report.
        span: uint256 = max(live.period, now - ((ledger.past >> 96) & words.U40))
        stream_word = stream._add(stream_word, gained - fee, now, span)
    assets: uint256 = convert(convert(words._high(totals), int256) + gain, uint256)
    ledger.totals = words._with_pair(totals, supply + fee_shares, assets)
    ledger.stream_word = stream_word
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
