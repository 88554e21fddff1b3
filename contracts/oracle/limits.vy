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
        last    reference slot u40 | deposited u64 | withdrawn u64 (Gwei) | tail u64 (2**31 shares)
                | backlog u23 (ETH) | held flag
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
WEI_IN_ETHER: constant(uint256) = 10**18
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
ALARM_FLOOR: constant(uint256) = 32 * WEI_IN_ETHER

# Bits of a position in the queue that are not remembered: it has 95, and 64 are kept.
TAIL_UNIT: constant(uint256) = 31
U23: constant(uint256) = 2**23 - 1

HELD: constant(uint256) = 1 << 255

POOL: immutable(IFloePool)
QUEUE: immutable(IWithdrawalQueue)
VAULT: immutable(address)
GENESIS_TIME: immutable(uint256)
SECONDS_PER_SLOT: immutable(uint256)
SLOTS_PER_EPOCH: immutable(uint256)

live: uint256
last_word: uint256
losses: uint256


struct Verdict:
    loss: uint256  # wei by which the exit value would fall
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
            and the backlog of the last that was applied. Counters are rounded down, the backlog up.
    """
    word: uint256 = self.last_word
    return IReportOracle.Last(
        ref_slot=word & words.U40,
        deposited=((word >> 40) & U64) * WEI_IN_GWEI,
        withdrawn=((word >> 104) & U64) * WEI_IN_GWEI,
        tail=((word >> 168) & U64) << TAIL_UNIT,
        backlog=((word >> 232) & U23) * WEI_IN_ETHER,
    )


@external
@view
def headroom() -> IReportOracle.Headroom:
    """
    @notice How far a report could move the books now, in wei: the gain that would be recognised, the validators' gain
            beyond which a report is held, the fall of the exit value beyond which it is held, by report and by
            window, and the known loss that a report could take back.
    """
    state: uint256[8] = staticcall POOL.state()
    p: IReportOracle.Parameters = self._parameters()
    assets: uint256 = words._high(state[0])
    rise: uint256 = self._rise(state)
    window: uint256 = self._window_left(p, assets)
    return IReportOracle.Headroom(
        rise=rise,
        alarm=rise + self._alarm(p, state),
        loss=min(assets * p.loss_bps // BPS, window),
        window=window,
        pending_loss=words._high(state[2]),
    )


@internal
@view
def _check_slot(ref_slot: uint256, p: IReportOracle.Parameters):
    """
    @notice Refuse a reference slot that does not begin a frame, is not after the last one, lies in the future or too
            far in the past.
    """
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
    word: uint256 = self.last_word
    if (
        report.deposited_at_ref // WEI_IN_GWEI < (word >> 40) & U64
        or report.withdrawn_at_ref // WEI_IN_GWEI < (word >> 104) & U64
        or report.queue_tail_at_ref >> TAIL_UNIT < (word >> 168) & U64
    ):
        reasons._refuse(reasons.REPORT_FELL)
    if report.deposited_at_ref > words._low(flows):
        reasons._refuse(reasons.REPORT_DEPOSITED)
    if report.raised_at_ref > flows >> 192:
        reasons._refuse(reasons.REPORT_RAISED)
    if report.queue_tail_at_ref > staticcall QUEUE.filled() + words._low(state[4]):
        reasons._refuse(reasons.REPORT_TAIL)
    if report.donated_at_ref < state[7]:
        reasons._refuse(reasons.REPORT_DONATED)
    if report.withdrawn_at_ref + report.donated_at_ref > VAULT.balance + words._high(flows) + state[7]:
        reasons._refuse(reasons.REPORT_VAULT)


@internal
@view
def _judge(report: IReportOracle.Report, state: uint256[8], p: IReportOracle.Parameters) -> Verdict:
    """
    @notice What an admissible report would do, by the rules of the pool's `reporting.vy`.
    """
    assets: uint256 = words._high(state[0])
    away: uint256 = state[2]
    flows: uint256 = state[5]
    # The pool's result of the validators is `after` less `before`.
    after: uint256 = report.cl + words._low(flows) - report.deposited_at_ref + report.withdrawn_at_ref
    before: uint256 = words._low(away) + words._high(flows)
    pending_loss: uint256 = report.pending_loss + ((flows >> 192) - report.raised_at_ref) * WEI_IN_GWEI
    # A gain first covers the loss that is pending, then fills the room; the rest waits.
    backlog: uint256 = self._excess(after, before + pending_loss + self._rise(state))
    # The exit value has the pending loss of the last report behind it.
    loss: uint256 = self._excess(before + pending_loss, after + words._high(away))
    inside: bool = backlog <= self._alarm(p, state)
    if loss > 0:
        inside = inside and loss <= min(assets * p.loss_bps // BPS, self._window_left(p, assets))
    return Verdict(loss=loss, backlog=backlog, inside=inside)


@internal
@view
def _rise(state: uint256[8]) -> uint256:
    """
    @notice Wei of gain that the pool would recognise now.
    """
    since: uint256 = block.timestamp - ((state[3] >> 96) & words.U40)
    return words._high(state[0]) * pool_parameters._rise_bps(state[6]) * since // (BPS * YEAR)


@internal
@view
def _alarm(p: IReportOracle.Parameters, state: uint256[8]) -> uint256:
    """
    @notice Wei of unrecognised gain beyond which a report is held: what was left by the last, past losses that are not
            earned back yet (they may have been none), and some more.
    """
    left: uint256 = ((self.last_word >> 232) & U23) * WEI_IN_ETHER
    return left + words._low(state[3]) + words._high(state[0]) * p.alarm_bps // BPS + ALARM_FLOOR


@internal
@view
def _window_left(p: IReportOracle.Parameters, assets: uint256) -> uint256:
    """
    @notice Wei of losses that the window still takes (rounds down).
    """
    capacity: uint256 = assets * p.window_bps // BPS
    used: uint256 = self._used(p, capacity)
    return self._excess(capacity, used)


@internal
@view
def _used(p: IReportOracle.Parameters, capacity: uint256) -> uint256:
    """
    @notice Wei of losses in the window: those booked, full at most, less what has drained since (rounded down).
    """
    word: uint256 = self.losses
    used: uint256 = min(words._low(word), capacity)
    drained: uint256 = capacity * (block.timestamp - (word >> 96)) // p.window
    return self._excess(used, drained)


@internal
@pure
def _excess(a: uint256, b: uint256) -> uint256:
    """
    @notice By how much `a` is above `b`, or 0.
    """
    return a - min(a, b)


@internal
def _note(report: IReportOracle.Report, verdict: Verdict, assets: uint256):
    """
    @notice Remember the counters of a report that is applied, its backlog and its loss, which fills the window at most.
    @param assets Of the pool before the report.
    """
    # What would not fit is more ETH than there will ever be.
    self.last_word = (
        report.ref_slot
        | (min(report.deposited_at_ref // WEI_IN_GWEI, U64) << 40)
        | (min(report.withdrawn_at_ref // WEI_IN_GWEI, U64) << 104)
        | (min(report.queue_tail_at_ref >> TAIL_UNIT, U64) << 168)
        | (min((verdict.backlog + WEI_IN_ETHER - 1) // WEI_IN_ETHER, U23) << 232)
    )
    if verdict.loss > 0:
        p: IReportOracle.Parameters = self._parameters()
        capacity: uint256 = assets * p.window_bps // BPS
        self.losses = min(self._used(p, capacity) + verdict.loss, capacity) | (block.timestamp << 96)


@internal
def _set_parameters(p: IReportOracle.Parameters):
    """
    @notice Replace the live limits. Reverts outside their bounds: "parameter: out of bounds".
    """
    if not (
        p.frame_epochs > 0
        and p.frame_epochs <= MAX_FRAME
        and p.frame_epochs * SLOTS_PER_EPOCH * SECONDS_PER_SLOT <= MAX_FRAME
        and p.max_age >= HOUR
        and p.resolve_time >= HOUR
        and max(p.max_age, p.resolve_time) <= MAX_DELAY
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
