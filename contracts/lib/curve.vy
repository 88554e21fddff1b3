# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The exit curve
@license GNU Affero General Public License v3.0 only
@notice What the queue has been paid, as a rising piecewise-linear curve F: position on the line of all shares ever
        queued -> cumulative ETH. Every fulfilment appends one point (shares so far, ETH so far); point 0 is the
        origin. A ticket [a, b) is worth F(b) - F(a). F floors at every evaluation and neighbouring tickets share
        an end, so all claims together are exactly what was paid in.
@dev `head` and `points` are the words of `words.vy`.
"""
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IWithdrawalQueue

# filled shares u96 | filled ether u96 | points u64
head: uint256
# index -> cumulative shares u128 | cumulative ether u128
points: HashMap[uint256, uint256]


@internal
def _append(shares: uint256, ether_: uint256):
    """
    @notice Extend the curve by `shares` (more than 0) paid with `ether_` wei.
    """
    head: uint256 = self.head
    filled: uint256 = (head & words.U96) + shares
    paid: uint256 = ((head >> 96) & words.U96) + ether_
    assert (filled | paid) <= words.U96, reasons.OVERFLOW
    index: uint256 = (head >> 192) + 1
    self.head = (index << 192) | (paid << 96) | filled
    self.points[index] = (paid << 128) | filled


@internal
@view
def _worth(a: uint256, b: uint256, hint: uint256) -> (uint256, uint256, IWithdrawalQueue.Unpaid):
    """
    @notice What is paid for a ticket [a, b): the end of its filled part, F(end) - F(a) in wei, and the reason when
            that is nothing. `hint` is the segment of `a`, 0 to look it up. With the right one a ticket that ends in
            the same segment needs two points and nothing else.
    """
    segment: uint256 = hint
    if hint == 0:
        head: uint256 = self.head
        if a >= head & words.U96:
            return a, 0, IWithdrawalQueue.Unpaid.NOTHING_FILLED
        segment = self._segment(a, 1, head >> 192)
    from_word: uint256 = self.points[segment - 1]
    to_word: uint256 = self.points[segment]
    # Points beyond the last are zero and hold nothing.
    if a < (from_word & words.U128) or a >= (to_word & words.U128):
        if a >= self.head & words.U96:
            return a, 0, IWithdrawalQueue.Unpaid.NOTHING_FILLED
        return a, 0, IWithdrawalQueue.Unpaid.WRONG_HINT
    start: uint256 = self._at(a, from_word, to_word)

    end: uint256 = b
    if b > (to_word & words.U128):
        head: uint256 = self.head
        end = min(b, head & words.U96)
        if end > (to_word & words.U128):
            segment = self._segment_near(end - 1, segment + 1, head >> 192)
            from_word = self.points[segment - 1]
            to_word = self.points[segment]
    return end, self._at(end, from_word, to_word) - start, empty(IWithdrawalQueue.Unpaid)


@internal
@view
def _segment(position: uint256, first: uint256, last: uint256) -> uint256:
    """
    @notice The index i in [first, last] of the segment that holds the share at `position`:
            points[i - 1].shares <= position < points[i].shares. Binary search, one storage read a halving.
    """
    low: uint256 = first
    high: uint256 = last
    for _: uint256 in range(64):
        if low >= high:
            break
        middle: uint256 = (low + high) // 2
        if (self.points[middle] & words.U128) > position:
            high = middle
        else:
            low = middle + 1
    return low


@internal
@view
def _segment_near(position: uint256, first: uint256, last: uint256) -> uint256:
    """
    @notice As `_segment`, for a position that is probably close behind `first`: looks at windows of doubling length,
            so it reads about twice as many points as the distance has bits, however long the curve is.
    """
    low: uint256 = first
    length: uint256 = 1
    for _: uint256 in range(64):
        high: uint256 = low + length - 1
        if high >= last or (self.points[high] & words.U128) > position:
            return self._segment(position, low, min(high, last))
        low = high + 1
        length *= 2
    return last


@internal
@pure
def _at(position: uint256, from_word: uint256, to_word: uint256) -> uint256:
    """
    @notice F at `position` on the segment between two points, both ends included (floors).
    """
    shares: uint256 = from_word & words.U128
    paid: uint256 = from_word >> 128
    # u96 * u96 cannot wrap, and the points rise strictly in shares.
    return paid + unsafe_mul(position - shares, (to_word >> 128) - paid) // ((to_word & words.U128) - shares)
