# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Open tickets
@license GNU Affero General Public License v3.0 only
@notice The exit tickets that the reserve holds: one word for each, in a list without gaps and in no order.

        entry  ticket u64 | start u96 | end u96

        A ticket is the part [start, end) of the queue's line that is not claimed yet. Nobody but the reserve can claim
        it, so the list never lags behind the queue.
"""
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IExitReserve
from interfaces import IWithdrawalQueue

# The value of the reserve is a sum over the list, so it is short.
MAX_TICKETS: constant(uint256) = 64

entries: DynArray[uint256, MAX_TICKETS]


@external
@view
def open_tickets() -> DynArray[IExitReserve.OpenTicket, MAX_TICKETS]:
    """
    @notice The tickets that the reserve holds, in the order of their indices.
    """
    found: DynArray[IExitReserve.OpenTicket, MAX_TICKETS] = []
    for entry: uint256 in self.entries:
        found.append(self._unpack(entry))
    return found


@internal
def _add(ticket: uint256, start: uint256, end: uint256, limit: uint256):
    """
    @notice Take a ticket in, unless there are `limit` (at most 64) already.
    """
    if len(self.entries) >= limit:
        reasons._refuse(reasons.RESERVE_FULL)
    self.entries.append(self._pack(ticket, start, end))


@internal
@view
def _at(index: uint256) -> IExitReserve.OpenTicket:
    if index >= len(self.entries):
        reasons._refuse(reasons.NO_TICKET)
    return self._unpack(self.entries[index])


@internal
def _claimed_until(index: uint256, position: uint256):
    """
    @notice Book that the ticket at `index` is claimed up to `position`. One that is claimed in full leaves the list,
            and the last takes its place.
    """
    open_: IExitReserve.OpenTicket = self._at(index)
    if position < open_.end:
        self.entries[index] = self._pack(open_.ticket, position, open_.end)
    else:
        last: uint256 = self.entries.pop()
        if index < len(self.entries):
            self.entries[index] = last


@internal
@view
def _worth(queue: IWithdrawalQueue) -> (uint256, uint256):
    """
    @notice Shares of the open tickets that are not filled yet, and wei that claiming the others would pay.
    """
    if len(self.entries) == 0:
        return 0, 0
    filled: uint256 = staticcall queue.filled()
    waiting: uint256 = 0
    claimable: uint256 = 0
    for entry: uint256 in self.entries:
        open_: IExitReserve.OpenTicket = self._unpack(entry)
        waiting += open_.end - min(max(filled, open_.start), open_.end)
        if open_.start < filled:
            claimable += staticcall queue.claimable(open_.ticket)
    return waiting, claimable


@internal
@pure
def _pack(ticket: uint256, start: uint256, end: uint256) -> uint256:
    # The queue numbers tickets within 64 bits and keeps positions within 95.
    return (end << 160) | (start << 64) | ticket


@internal
@pure
def _unpack(entry: uint256) -> IExitReserve.OpenTicket:
    return IExitReserve.OpenTicket(ticket=entry & (2**64 - 1), start=(entry >> 64) & words.U96, end=entry >> 160)
