# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The exit reserve's books
@license GNU Affero General Public License v3.0 only
@notice What the reserve has, what that is worth, and what the pool says about itself. In wei and shares of floETH:

            cash    wei that can be paid out              queued  unclaimed shares of the open tickets
            fresh   the part of it that came lately       held    floETH that is not in the queue
            locked  fees that are not yet in the value

            value = cash + (held + shares of open tickets that are not filled) * exit rate // 1e18
                    + what the filled parts of open tickets pay - locked      (0 if that is less)

        `fresh` and `locked` run off over a day (`locked_fees.vy`).
"""
from contracts.lib import reasons
from contracts.lib import words
from contracts.liquidity import locked_fees
from contracts.liquidity import ticket_list
from interfaces import IFloePool
from interfaces import IWithdrawalQueue

uses: ticket_list


struct Books:
    cash: uint256
    fresh: uint256
    held: uint256
    queued: uint256
    locked: uint256


# What the pool says about itself.
struct Market:
    rate: uint256  # wei per 1e18 shares when leaving
    loss: bool  # one is pending
    paused: bool  # exits are not paid now
    doubt: bool  # a loss is pending, or nobody has looked for long


RATE_UNIT: constant(uint256) = 10**18
# Reports come once a day; after two days without one nobody knows the rate.
DOUBT_AFTER: constant(uint256) = 2 * 86_400
# Of fresh wei what is below 2**32 is left out, so that they fit into 64 bits.
FRESH_SHIFT: constant(uint256) = 32

POOL: immutable(IFloePool)
QUEUE: immutable(IWithdrawalQueue)

# cash u96 | held u96 | fresh u64 in units of 2**32 wei
liquid: uint256
# queued u96 | locked u96 | when fresh and locked were so much u40
away: uint256


@deploy
def __init__(pool: IFloePool):
    POOL = pool
    QUEUE = IWithdrawalQueue(staticcall pool.queue())


# ---- views ----------------------------------------------------------------------------------------


@external
@view
def cash() -> uint256:
    """
    @notice Wei that sales and withdrawals can take out.
    """
    return words._low(self.liquid)


@external
@view
def fresh() -> uint256:
    """
    @notice Wei of the cash that came so lately that they do not lower the fee yet.
    """
    return self._read().fresh


@external
@view
def held() -> uint256:
    """
    @notice Shares of floETH that were bought and are not in the queue.
    """
    return words._high(self.liquid)


@external
@view
def queued() -> uint256:
    """
    @notice Shares of the open tickets that are not claimed.
    """
    return words._low(self.away)


@external
@view
def locked() -> uint256:
    """
    @notice Wei of fees that are not yet in the value of the reserve's shares (rounded up).
    """
    return self._read().locked


@external
@view
def pool() -> address:
    """
    @notice The pool whose shares are bought.
    """
    return POOL.address


# ---- inside ---------------------------------------------------------------------------------------


@internal
@view
def _read() -> Books:
    """
    @notice The books as of now.
    """
    liquid: uint256 = self.liquid
    away: uint256 = self.away
    since: uint256 = away >> 192
    return Books(
        cash=words._low(liquid),
        fresh=locked_fees._locked((liquid >> 192) << FRESH_SHIFT, since, block.timestamp),
        held=words._high(liquid),
        queued=words._low(away),
        locked=locked_fees._locked(words._high(away), since, block.timestamp),
    )


@internal
def _write(b: Books):
    """
    @dev Reverts: "pool: total over 96 bits".
    """
    fresh: uint256 = min(b.fresh, b.cash) >> FRESH_SHIFT
    self.liquid = words._with_pair(fresh << 192, b.cash, b.held)
    self.away = words._with_pair(block.timestamp << 192, b.queued, b.locked)


@internal
@view
def _market() -> Market:
    state: uint256[8] = staticcall POOL.state()
    loss: bool = words._high(state[2]) > 0
    reported_at: uint256 = (state[3] >> 96) & words.U40
    return Market(
        rate=staticcall POOL.exit_rate(),
        loss=loss,
        paused=words._time(state[2]) > block.timestamp,
        doubt=loss or block.timestamp > reported_at + DOUBT_AFTER,
    )


@internal
@pure
def _size(b: Books, rate: uint256) -> uint256:
    """
    @notice Wei that all that the reserve has is worth at the exit rate, fees not taken off, and tickets as if none were
            filled.
    """
    return b.cash + (b.held + b.queued) * rate // RATE_UNIT


@internal
@view
def _value() -> uint256:
    """
    @notice The value of all shares in wei.
    """
    waiting: uint256 = 0
    claimable: uint256 = 0
    waiting, claimable = ticket_list._worth(QUEUE)
    b: Books = self._read()
    rate: uint256 = staticcall POOL.exit_rate()
    total: uint256 = b.cash + (b.held + waiting) * rate // RATE_UNIT + claimable
    # A loss may leave less than the fees of the last day.
    return total - min(b.locked, total)


@internal
@view
def _refuses(to: address) -> bool:
    """
    @notice Whether shares or ETH sent there would be lost: nobody, this contract, the pool.
    """
    return to == empty(address) or to == self or to == POOL.address


@internal
@view
def _check_receiver(to: address):
    if self._refuses(to):
        reasons._refuse(reasons.RECEIVER)


@internal
def _send(to: address, amount: uint256):
    if not raw_call(to, b"", value=amount, max_outsize=0, revert_on_failure=False):
        reasons._refuse(reasons.SEND_FAILED)
