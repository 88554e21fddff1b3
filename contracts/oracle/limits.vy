# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The oracle's limits
@license GNU Affero General Public License v3.0 only
@notice How far the committee can move the books at once. Two kinds:

        What the chain itself knows cannot be contradicted: reference slots, cumulative counters. Such a report is
        refused.
        What only the beacon chain knows is bounded: a loss of exit value, by report and by window; the growth of a
        gain that the pool does not recognise yet (what it does recognise, it meters by itself). Beyond these bounds a
        report is held for the council.

@dev The window is a bucket that drains evenly: losses up to `window_bps` of the assets fit in at once, and in any
     `window` seconds at most twice as much. Words, from the lowest bit:

        live    frame epochs u32 | max age u32 | resolve time u32 | window u32 | loss u16 | window u16 | alarm u16
        last    reference slot u40 | backlog in Gwei u64 | withdrawn u96 | held flag
        seen    deposited u96 | tail u96 | raised in Gwei u64
        losses  in the window u96 | at u40
"""
from contracts.lib import parameters as pool_parameters
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IFloePool
from interfaces import IReportOracle
from interfaces import IWithdrawalQueue

U16: constant(uint256) = 2**16 - 1
U32: constant(uint256) = 2**32 - 1
U64: constant(uint256) = 2**64 - 1

BPS: constant(uint256) = 10_000
WEI_IN_GWEI: constant(uint256) = 10**9
HOUR: constant(uint256) = 3_600
DAY: constant(uint256) = 86_400
YEAR: constant(uint256) = 365 * DAY

MAX_FRAME: constant(uint256) = 7 * DAY
# The registry takes a report that came two days after a slashing to have seen it.
MAX_DELAY: constant(uint256) = 2 * DAY
MIN_LOSS_BPS: constant(uint256) = 10  # less would hold honest penalties
MAX_LOSS_BPS: constant(uint256) = 1_000
MAX_WINDOW_BPS: constant(uint256) = 3_000
MIN_WINDOW: constant(uint256) = 7 * DAY
MAX_WINDOW: constant(uint256) = 90 * DAY
MIN_ALARM_BPS: constant(uint256) = 10
MAX_ALARM_BPS: constant(uint256) = 1_000
# An unrecognised gain moves no price. So much of it, one small validator, never alarms, however young the pool is.
ALARM_FLOOR: constant(uint256) = 32 * 10**18

HELD: constant(uint256) = 1 << 200

POOL: immutable(IFloePool)
QUEUE: immutable(IWithdrawalQueue)
VAULT: immutable(address)
GENESIS_TIME: immutable(uint256)
SECONDS_PER_SLOT: immutable(uint256)
SLOTS_PER_EPOCH: immutable(uint256)

live: uint256
last_word: uint256
seen: uint256
losses: uint256


struct Verdict:
    change: int256  # of the exit value, if gains were not metered
    backlog: uint256  # wei of gain that would stay unrecognised
    inside: bool  # the limits


@deploy
def __init__(pool: IFloePool, constants: IReportOracle.Chain):
    POOL = pool
    QUEUE = IWithdrawalQueue(staticcall pool.queue())
    VAULT = staticcall pool.withdrawal_vault()
    GENESIS_TIME = constants.genesis_time
    SECONDS_PER_SLOT = constants.seconds_per_slot
    SLOTS_PER_EPOCH = constants.slots_per_epoch


@external
@view
def pool() -> address:
    """
    @notice The pool that reports go to.
    """
    return POOL.address


@external
@view
def chain_constants() -> IReportOracle.Chain:
    """
    @notice The beacon chain that slots are counted on.
    """
    return IReportOracle.Chain(
        genesis_time=GENESIS_TIME, seconds_per_slot=SECONDS_PER_SLOT, slots_per_epoch=SLOTS_PER_EPOCH
    )


@external
@view
def parameters() -> IReportOracle.Parameters:
    """
    @notice The live limits.
    """
    return self._parameters()


@external
@view
def last() -> IReportOracle.Last:
    """
    @notice What the last reports said: the reference slot of the last that the committee agreed on, and the counters
            and the backlog of the last that was applied.
    """
    word: uint256 = self.last_word
    seen: uint256 = self.seen
    return IReportOracle.Last(
        ref_slot=word & words.U40,
        deposited=words._low(seen),
        withdrawn=(word >> 104) & words.U96,
        tail=words._high(seen),
        raised=seen >> 192,
        backlog=(word >> 40) & U64,
    )


@external
@view
def headroom() -> IReportOracle.Headroom:
    """
    @notice How far a report could move the books now, in wei: the gain that would be recognised, the validators' gain
            beyond which a report is held, and the fall of the exit value beyond which it is held, by report and
            by window.
    """
    state: uint256[8] = staticcall POOL.state()
    p: IReportOracle.Parameters = self._parameters()
    assets: uint256 = words._high(state[0])
    rise: uint256 = self._rise(state)
    window: uint256 = self._window_left(p, assets)
    return IReportOracle.Headroom(
        rise=rise,
        alarm=rise + self._alarm(p, assets),
        loss=min(assets * p.loss_bps // BPS, window),
        window=window,
    )


@internal
@view
def _check_slot(ref_slot: uint256):
    """
    @notice Refuse a reference slot that does not begin a frame, is not after the last one, lies in the future or too
            far in the past.
    """
    p: IReportOracle.Parameters = self._parameters()
    if ref_slot % (p.frame_epochs * SLOTS_PER_EPOCH) != 0 or ref_slot > words.U40:
        reasons._refuse(reasons.FRAME)
    if ref_slot <= self.last_word & words.U40:
        reasons._refuse(reasons.REPORT_OLD)
    at: uint256 = GENESIS_TIME + ref_slot * SECONDS_PER_SLOT
    if at > block.timestamp:
        reasons._refuse(reasons.REPORT_EARLY)
    if at + p.max_age < block.timestamp:
        reasons._refuse(reasons.REPORT_LATE)


@internal
@view
def _check_counters(report: IReportOracle.Report, state: uint256[8]):
    """
    @notice Refuse counters that fall, and those that are ahead of what the chain itself knows.
    """
    flows: uint256 = state[5]
    seen: uint256 = self.seen
    if (
        report.deposited_at_ref < words._low(seen)
        or report.withdrawn_at_ref < (self.last_word >> 104) & words.U96
        or report.queue_tail_at_ref < words._high(seen)
        or report.raised_at_ref < seen >> 192
    ):
        reasons._refuse(reasons.REPORT_FELL)
    if report.deposited_at_ref > words._low(flows):
        reasons._refuse(reasons.REPORT_DEPOSITED)
    if report.raised_at_ref > flows >> 192:
        reasons._refuse(reasons.REPORT_RAISED)
    if report.withdrawn_at_ref + report.donated_at_ref > VAULT.balance + words._high(flows) + state[7]:
        reasons._refuse(reasons.REPORT_VAULT)


@internal
@view
def _judge(report: IReportOracle.Report, state: uint256[8]) -> Verdict:
    """
    @notice What an admissible report would do, by the rules of the pool's `reporting.vy`.
    """
    p: IReportOracle.Parameters = self._parameters()
    assets: uint256 = words._high(state[0])
    away: uint256 = state[2]
    flows: uint256 = state[5]
    withdrawn: int256 = convert(report.withdrawn_at_ref, int256) - convert(words._high(flows), int256)
    after: uint256 = report.cl + words._low(flows) - report.deposited_at_ref
    result: int256 = convert(after, int256) + withdrawn - convert(words._low(away), int256)
    pending_loss: uint256 = report.pending_loss + ((flows >> 192) - report.raised_at_ref) * WEI_IN_GWEI
    change: int256 = result - convert(pending_loss, int256) + convert(words._high(away), int256)
    loss: uint256 = self._loss(change)
    # A gain first covers the loss that is pending, then fills the room; the rest waits.
    gain: uint256 = convert(max(result, 0), uint256)
    backlog: uint256 = gain - min(gain, pending_loss + self._rise(state))
    return Verdict(
        change=change,
        backlog=backlog,
        inside=loss <= min(assets * p.loss_bps // BPS, self._window_left(p, assets))
        and backlog <= self._alarm(p, assets),
    )


@internal
@view
def _rise(state: uint256[8]) -> uint256:
    """
    @notice Wei of gain that the pool would recognise now.
    """
    live: IFloePool.Parameters = pool_parameters._unpack(state[6])
    return (words._high(state[0]) * live.rise_bps * (block.timestamp - ((state[3] >> 96) & words.U40)) // (BPS * YEAR))


@internal
@view
def _alarm(p: IReportOracle.Parameters, assets: uint256) -> uint256:
    """
    @notice Wei of unrecognised gain beyond which a report is held: what was left by the last, and some more.
    """
    return ((self.last_word >> 40) & U64) * WEI_IN_GWEI + assets * p.alarm_bps // BPS + ALARM_FLOOR


@internal
@view
def _window_left(p: IReportOracle.Parameters, assets: uint256) -> uint256:
    """
    @notice Wei of losses that the window still takes (rounds down).
    """
    capacity: uint256 = assets * p.window_bps // BPS
    used: uint256 = self._used(p, capacity)
    return capacity - min(used, capacity)


@internal
@view
def _used(p: IReportOracle.Parameters, capacity: uint256) -> uint256:
    """
    @notice Wei of losses in the window: those booked, less what has drained since (rounded down).
    """
    word: uint256 = self.losses
    used: uint256 = words._low(word)
    drained: uint256 = capacity * (block.timestamp - (word >> 96)) // p.window
    return used - min(drained, used)


@internal
@pure
def _loss(change: int256) -> uint256:
    return convert(max(-change, 0), uint256)


@internal
def _note(report: IReportOracle.Report, verdict: Verdict, assets: uint256):
    """
    @notice Remember the counters of a report that is applied, its backlog (rounded down to Gwei) and its loss, which
            fills the window at most.
    @param assets Of the pool before the report.
    """
    p: IReportOracle.Parameters = self._parameters()
    backlog: uint256 = min(verdict.backlog // WEI_IN_GWEI, U64)
    self.last_word = report.ref_slot | (backlog << 40) | (report.withdrawn_at_ref << 104)
    self.seen = report.deposited_at_ref | (report.queue_tail_at_ref << 96) | (report.raised_at_ref << 192)
    loss: uint256 = self._loss(verdict.change)
    if loss > 0:
        capacity: uint256 = assets * p.window_bps // BPS
        self.losses = min(self._used(p, capacity) + loss, capacity) | (block.timestamp << 96)


@internal
def _set_parameters(p: IReportOracle.Parameters):
    """
    @notice Replace the live limits. Reverts outside their bounds: "parameter: out of bounds".
    """
    frame: uint256 = p.frame_epochs * SLOTS_PER_EPOCH * SECONDS_PER_SLOT
    if not (
        frame > 0
        and frame <= MAX_FRAME
        and p.max_age >= HOUR
        and p.resolve_time >= HOUR
        and p.max_age <= MAX_DELAY
        and p.max_age + p.resolve_time <= MAX_DELAY
        and p.loss_bps >= MIN_LOSS_BPS
        and p.loss_bps <= MAX_LOSS_BPS
        and p.window_bps >= p.loss_bps
        and p.window_bps <= MAX_WINDOW_BPS
        and p.window >= MIN_WINDOW
        and p.window <= MAX_WINDOW
        and p.alarm_bps >= MIN_ALARM_BPS
        and p.alarm_bps <= MAX_ALARM_BPS
    ):
        reasons._refuse(reasons.PARAMETER)
    self.live = (
        p.frame_epochs
        | (p.max_age << 32)
        | (p.resolve_time << 64)
        | (p.window << 96)
        | (p.loss_bps << 128)
        | (p.window_bps << 144)
        | (p.alarm_bps << 160)
    )
    log IReportOracle.ParametersSet(parameters=p)


@internal
@view
def _parameters() -> IReportOracle.Parameters:
    word: uint256 = self.live
    return IReportOracle.Parameters(
        frame_epochs=word & U32,
        max_age=(word >> 32) & U32,
        resolve_time=(word >> 64) & U32,
        loss_bps=(word >> 128) & U16,
        window_bps=(word >> 144) & U16,
        window=(word >> 96) & U32,
        alarm_bps=(word >> 160) & U16,
    )
