# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Lens
@license GNU Affero General Public License v3.0 only
@notice Reads for wallets, the command line and indexers: the whole protocol, many tickets, or one account in a single
        call. No state, no rights; the pool and the queue are the source of everything here.
@dev Amounts are wei, rates are wei per 1e18 shares, times are seconds since the epoch.
"""
from contracts.lib import instant_fee
from contracts.lib import parameters
from contracts.lib import words
from interfaces import IFloePool
from interfaces import IRebasingToken
from interfaces import IWithdrawalQueue

MAX_TICKETS: constant(uint256) = 256
BPS: constant(uint256) = 10_000
MIN_FULFIL: constant(uint256) = 10**18  # as in the pool


struct Protocol:
    entry_rate: uint256
    exit_rate: uint256
    shares: uint256  # total supply
    assets: uint256  # all ETH behind it, locked rewards included
    locked: uint256  # rewards not streamed yet
    stream_end: uint256  # when they all are
    outside: uint256  # assets with validators or on their way
    buffer: uint256  # assets in the pool
    pending_loss: uint256
    raised_gwei: uint256  # by which the registry ever raised it
    deficit: uint256
    waiting: uint256  # shares in the queue that are not paid yet
    eligible: uint256  # those that `fulfil` may pay now
    needed: uint256  # wei that all waiting shares would take now (rounded up)
    fulfillable: uint256  # wei of the buffer that `fulfil` could pay out now
    target: uint256  # wei that should lie in the buffer beyond `needed`
    stakeable: uint256  # wei that may go to validators now
    instant_limit: uint256  # wei, before the fee, that may leave at once now
    instant_fee_ppm: uint256  # fee of a very small instant exit now
    deposit_room: uint256  # wei that may be deposited now
    reported_at: uint256
    stale_from: uint256  # without a report, instant exits close then
    declare_from: uint256  # and `declare_stale` opens then
    limits: Limits
    line: Line


struct Limits:
    parameters: IFloePool.Parameters
    deposit_ceiling: uint256
    deposits_refused: bool  # more than 1 % of the assets is a pending loss
    instant_allowance: uint256
    deposit_paused_until: uint256
    fulfil_paused_until: uint256
    instant_exit_paused_until: uint256


struct Line:
    tail: uint256  # shares ever queued
    filled: uint256  # shares ever paid for
    paid_in: uint256  # wei ever paid in
    tickets: uint256
    points: uint256


struct Ticket:
    number: uint256
    owner: address  # zero when the ticket does not exist or is claimed in full
    start: uint256
    end: uint256
    pending: uint256  # shares not paid yet
    claimable: uint256
    hint: uint256
    ahead: uint256  # shares before this ticket that are not paid yet
    value: uint256  # wei that the pending shares are worth at the exit rate now (rounded down)


struct Account:
    shares: uint256
    wrapped_shares: uint256
    value: uint256  # wei of both at the entry rate (rounded down)
    tickets: uint256  # open ones
    instant: uint256  # wei that the account could take out at once, after the fee


interface IPoolReads:
    def maxDeposit(receiver: address) -> uint256: view
    def maxWithdraw(owner: address) -> uint256: view


interface IBalance:
    def balanceOf(owner: address) -> uint256: view


POOL: immutable(IFloePool)
QUEUE: immutable(IWithdrawalQueue)
TOKEN: immutable(IRebasingToken)


@deploy
def __init__(pool: IFloePool, token: IRebasingToken):
    POOL = pool
    QUEUE = IWithdrawalQueue(staticcall pool.queue())
    TOKEN = token


@external
@view
def protocol() -> Protocol:
    """
    @notice The state of the whole protocol now.
    """
    state: uint256[8] = staticcall POOL.state()
    p: IFloePool.Parameters = parameters._unpack(state[6])
    supply: uint256 = words._low(state[0])
    assets: uint256 = words._high(state[0])
    locked: uint256 = staticcall POOL.locked()
    pending_loss: uint256 = words._high(state[2])
    exit_value: uint256 = self._exit_value(state)
    buffer: uint256 = assets - words._low(state[2])
    waiting: uint256 = words._low(state[4])
    needed: uint256 = (waiting * exit_value + supply - 1) // supply
    free: uint256 = buffer - min(needed, buffer)
    target: uint256 = assets * p.target_bps // BPS
    stale_from: uint256 = ((state[3] >> 96) & words.U40) + p.stale_after
    instant_limit: uint256 = 0
    if pending_loss == 0 and state[3] >> 216 <= block.timestamp and block.timestamp < stale_from:
        instant_limit = min(free, (state[3] >> 136) & words.U80)
    fulfillable: uint256 = 0
    if words._time(state[2]) <= block.timestamp and exit_value > 0:
        eligible: uint256 = words._high(state[4])
        shares: uint256 = min(eligible, buffer * supply // exit_value)
        fulfillable = shares * exit_value // supply
        if shares < eligible and fulfillable < MIN_FULFIL:
            fulfillable = 0
    return Protocol(
        entry_rate=staticcall POOL.entry_rate(),
        exit_rate=staticcall POOL.exit_rate(),
        shares=supply,
        assets=assets,
        locked=locked,
        stream_end=(state[1] >> 136) & words.U40,
        outside=words._low(state[2]),
        buffer=buffer,
        pending_loss=pending_loss,
        raised_gwei=state[5] >> 192,
        deficit=words._low(state[3]),
        waiting=waiting,
        eligible=words._high(state[4]),
        needed=needed,
        fulfillable=fulfillable,
        target=target,
        stakeable=staticcall POOL.stakeable(),
        instant_limit=instant_limit,
        instant_fee_ppm=instant_fee._price_ppm(
            instant_fee.Line(fee_min=p.instant_fee_min, fee_max=p.instant_fee_max, target=target, liquidity=free), free
        ),
        deposit_room=staticcall IPoolReads(POOL.address).maxDeposit(self),
        reported_at=(state[3] >> 96) & words.U40,
        stale_from=stale_from,
        declare_from=max(stale_from, words._time(state[4]) + p.stale_after),
        limits=Limits(
            parameters=p,
            deposit_ceiling=(state[1] >> 176) * 10**9,
            deposits_refused=state[0] & words.LOSSY != 0,
            instant_allowance=(state[3] >> 136) & words.U80,
            deposit_paused_until=words._time(state[0]),
            fulfil_paused_until=words._time(state[2]),
            instant_exit_paused_until=state[3] >> 216,
        ),
        line=Line(
            tail=staticcall QUEUE.tail(),
            filled=staticcall QUEUE.filled(),
            paid_in=staticcall QUEUE.paid_in(),
            tickets=staticcall QUEUE.tickets(),
            points=staticcall QUEUE.points(),
        ),
    )


@external
@view
def tickets(numbers: DynArray[uint256, MAX_TICKETS]) -> DynArray[Ticket, MAX_TICKETS]:
    """
    @notice Many tickets by number (at most 256); one that never existed comes back empty but for its number.
    """
    state: uint256[8] = staticcall POOL.state()
    exit_value: uint256 = self._exit_value(state)
    filled: uint256 = staticcall QUEUE.filled()
    made: uint256 = staticcall QUEUE.tickets()
    found: DynArray[Ticket, MAX_TICKETS] = []
    for number: uint256 in numbers:
        ticket: Ticket = empty(Ticket)
        ticket.number = number
        if number > 0 and number <= made:
            ticket.start, ticket.end = staticcall QUEUE.interval(number)
            ticket.owner = self._owner(number)
            ticket.pending = staticcall QUEUE.pending(number)
            ticket.claimable = staticcall QUEUE.claimable(number)
            ticket.hint = staticcall QUEUE.hint(number)
            ticket.ahead = max(ticket.start, filled) - filled
            ticket.value = ticket.pending * exit_value // words._low(state[0])
        found.append(ticket)
    return found


@external
@view
def account(owner: address) -> Account:
    """
    @notice What `owner` holds, open tickets aside.
    """
    if owner == empty(address):
        return empty(Account)
    shares: uint256 = staticcall POOL.balanceOf(owner)
    wrapped: uint256 = staticcall TOKEN.shares_of(owner)
    return Account(
        shares=shares,
        wrapped_shares=wrapped,
        value=staticcall POOL.convertToAssets(shares + wrapped),
        tickets=staticcall IBalance(QUEUE.address).balanceOf(owner),
        instant=staticcall IPoolReads(POOL.address).maxWithdraw(owner),
    )


@internal
@view
def _owner(ticket: uint256) -> address:
    """
    @notice Owner of a ticket, zero when it is claimed in full (`ownerOf` reverts then, as ERC-721 wants).
    """
    open: bool = False
    answer: Bytes[32] = b""
    open, answer = raw_call(
        QUEUE.address,
        abi_encode(ticket, method_id=method_id("ownerOf(uint256)")),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not open:
        return empty(address)
    return convert(convert(answer, uint256), address)


@internal
@view
def _exit_value(state: uint256[8]) -> uint256:
    """
    @notice Wei of all shares at the exit rate.
    """
    entry_value: uint256 = words._high(state[0]) - staticcall POOL.locked()
    return entry_value - min(words._high(state[2]), entry_value)
