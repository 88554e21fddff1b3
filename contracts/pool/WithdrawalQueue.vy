# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title WithdrawalQueue (floEXIT)
@license GNU Affero General Public License v3.0 only
@notice The exit without a fee. A ticket (ERC-721) is an interval [a, b) on the line of all shares ever queued; the
        pool pays the line from the front, and the payments form the curve F of `curve.vy`. A ticket is worth
        F(b) - F(a): everybody in one fulfilment leaves at one price, and all claims together are exactly what was
        paid in. A large ticket is filled in parts and holds nobody up.
@dev Nothing stops this contract and nobody owns it. ETH arrives only through `settle`.
"""
from ethereum.ercs import IERC721
from contracts.lib import curve
from contracts.lib import reasons
from contracts.lib import ticket_art
from contracts.lib import words
from interfaces import IFloePool
from interfaces import IWithdrawalQueue

implements: IWithdrawalQueue

initializes: curve


interface IERC721Receiver:
    def onERC721Received(operator: address, owner: address, token: uint256, data: Bytes[1024]) -> bytes4: nonpayable


name: public(constant(String[9])) = "Floe Exit"
symbol: public(constant(String[7])) = "floEXIT"

MAX_BATCH: constant(uint256) = 64
# Enough for a smart wallet to take ETH, too little to make somebody else's claim expensive.
SEND_GAS: constant(uint256) = 100_000
# ERC-165, ERC-721, ERC-721 metadata, ERC-4906
INTERFACES: constant(bytes4[4]) = [0x01ffc9a7, 0x80ac58cd, 0x5b5e139f, 0x49064906]

# What an ERC-721 receiver answers: the selector of `onERC721Received`.
ERC721_ACCEPTED: constant(bytes4) = 0x150b7a02

POOL: immutable(IFloePool)

# tail u96 | tickets u64
line: uint256
# ticket -> owner u160 | end u95 | partly claimed flag. A ticket starts where the one before it ends, and keeps its
# end for its neighbour after it is gone.
slots: HashMap[uint256, uint256]
# ticket -> position, for tickets with the flag only
progress: HashMap[uint256, uint256]
# @notice ERC-721: number of open tickets of an owner.
balances: HashMap[address, uint256]
approvals: HashMap[uint256, address]
# @notice ERC-721: whether `operator` may act for all tickets of `owner`.
isApprovedForAll: public(HashMap[address, HashMap[address, bool]])


@deploy
def __init__(pool: IFloePool):
    """
    @notice The pool must have been built for this very address. Reverts: "peer: not wired to this contract".
    """
    assert staticcall pool.queue() == self, reasons.PEER
    POOL = pool


# ---- request ------------------------------------------------------------------------------------


@external
def request(shares: uint256, receiver: address) -> uint256:
    """
    @notice Queue `shares` (1 or more) of the caller; no approval is needed. `receiver` owns the ticket.
    @return The ticket's number.
    @dev Reverts: "request: zero shares", "receiver: refused", "balance: too low".
    """
    line: uint256 = self.line
    ticket: uint256 = self._next(line)
    self.line = self._issue(line, shares, receiver)
    self.balances[receiver] += 1
    extcall POOL.lock_for_exit(msg.sender, shares)
    return ticket


@external
def request_many(shares: DynArray[uint256, MAX_BATCH], receiver: address) -> uint256:
    """
    @notice Queue several tickets in a row, at most 64.
    @return The number of the first ticket.
    @dev Reverts: "request: empty list", "request: zero shares", "receiver: refused", "balance: too low".
    """
    assert len(shares) > 0, reasons.REQUEST_NONE
    line: uint256 = self.line
    first: uint256 = self._next(line)
    total: uint256 = 0
    for amount: uint256 in shares:
        line = self._issue(line, amount, receiver)
        total += amount
    self.line = line
    self.balances[receiver] += len(shares)
    extcall POOL.lock_for_exit(msg.sender, total)
    return first


# ---- settle -------------------------------------------------------------------------------------


@external
@payable
def settle(shares: uint256):
    """
    @notice Append a point to the curve: `shares` paid with the ETH of this call. Pool only.
    @dev Reverts: "caller: not the pool".
    """
    assert msg.sender == POOL.address, reasons.NOT_POOL
    point: uint256 = curve._append(shares, msg.value)
    log IWithdrawalQueue.Filled(point=point, shares=words._low(curve.head), ether_=words._high(curve.head))
    log IWithdrawalQueue.BatchMetadataUpdate(_fromTokenId=1, _toTokenId=max_value(uint256))


# ---- claim --------------------------------------------------------------------------------------


@external
def claim(ticket: uint256, hint: uint256 = 0) -> uint256:
    """
    @notice Pay the filled part of `ticket` to its owner; the ticket is burnt when it is claimed in full. Anyone may
            call; `hint(ticket)` only saves gas.
    @return Wei paid.
    @dev Unless the owner calls, he gets 100,000 gas to take the ETH. Reverts: "ticket: does not exist",
         "claim: nothing filled", "claim: wrong hint", "ether: send failed".
    """
    owner: address = self._owner(ticket)
    return self._claim(ticket, owner, owner, hint)


@external
def claim_to(ticket: uint256, receiver: address, hint: uint256 = 0) -> uint256:
    """
    @notice As `claim`, but paid to `receiver`. For the owner, his operators and whoever he approved for the ticket.
    @dev Reverts: as `claim`, and "ticket: caller may not", "receiver: refused".
    """
    owner: address = self._owner(ticket)
    self._check_may(ticket, owner)
    assert receiver not in [empty(address), self, POOL.address], reasons.RECEIVER
    return self._claim(ticket, owner, receiver, hint)


@external
def claim_many(tickets: DynArray[uint256, MAX_BATCH], hints: DynArray[uint256, MAX_BATCH]) -> uint256:
    """
    @notice Claim up to 64 tickets, each for its owner. What cannot be paid is logged as `ClaimSkipped`, left as it
            was, and does not hold up the others.
    @param hints One for each ticket (0: none), or an empty list.
    @return Wei paid.
    @dev Reverts: "claim: lengths differ".
    """
    assert len(hints) == 0 or len(hints) == len(tickets), reasons.CLAIM_LENGTHS
    head: uint256 = curve.head
    total: uint256 = 0
    for i: uint256 in range(len(tickets), bound=MAX_BATCH):
        ticket: uint256 = tickets[i]
        hint: uint256 = 0
        if len(hints) > 0:
            hint = hints[i]
        slot: uint256 = self.slots[ticket]
        owner: address = self._owner_in(slot)
        if owner == empty(address):
            log IWithdrawalQueue.ClaimSkipped(ticket=ticket, reason=IWithdrawalQueue.Unpaid.NO_TICKET)
            continue
        start: uint256 = self._claimed_until(ticket, slot)
        end: uint256 = min(self._end_in(slot), words._low(head))
        if start >= end:
            log IWithdrawalQueue.ClaimSkipped(ticket=ticket, reason=IWithdrawalQueue.Unpaid.NOTHING_FILLED)
            continue
        if hint != 0 and not curve._fits(start, hint, head):
            log IWithdrawalQueue.ClaimSkipped(ticket=ticket, reason=IWithdrawalQueue.Unpaid.WRONG_HINT)
            continue
        amount: uint256 = curve._value(start, end, head, hint)
        self._book(ticket, slot, owner, end)
        if not self._pay(owner, amount):
            self._unbook(ticket, slot, owner, start, end)
            log IWithdrawalQueue.ClaimSkipped(ticket=ticket, reason=IWithdrawalQueue.Unpaid.SEND_FAILED)
            continue
        self._log_claim(ticket, slot, owner, owner, start, end, amount)
        total += amount
    return total


# ---- ERC-721 ------------------------------------------------------------------------------------


@external
@view
def balanceOf(owner: address) -> uint256:
    """
    @notice ERC-721: open tickets of `owner`. Reverts for the zero address: "receiver: refused".
    """
    assert owner != empty(address), reasons.RECEIVER
    return self.balances[owner]


@external
@view
def ownerOf(ticket: uint256) -> address:
    """
    @notice ERC-721: owner of an open ticket. Reverts: "ticket: does not exist".
    """
    return self._owner(ticket)


@external
@view
def getApproved(ticket: uint256) -> address:
    """
    @notice ERC-721: who may act for this one ticket. Reverts: "ticket: does not exist".
    """
    assert self._owner(ticket) != empty(address)
    return self.approvals[ticket]


@external
@payable
def approve(to: address, ticket: uint256):
    """
    @notice ERC-721: let `to` move or claim this ticket. Reverts: "ticket: does not exist", "ticket: caller may not".
    """
    owner: address = self._owner(ticket)
    assert msg.sender == owner or self.isApprovedForAll[owner][msg.sender], reasons.NOT_OWNER
    self.approvals[ticket] = to
    log IERC721.Approval(owner=owner, approved=to, token_id=ticket)


@external
def setApprovalForAll(operator: address, approved: bool):
    """
    @notice ERC-721: let `operator` move or claim all of the caller's tickets, or no longer.
    """
    self.isApprovedForAll[msg.sender][operator] = approved
    log IERC721.ApprovalForAll(owner=msg.sender, operator=operator, approved=approved)


@external
@payable
def transferFrom(owner: address, to: address, ticket: uint256):
    """
    @notice ERC-721: move a ticket. Reverts: "ticket: does not exist", "ticket: caller may not",
            "ticket: not the owner's", "receiver: refused".
    """
    self._move(owner, to, ticket)


@external
@payable
def safeTransferFrom(owner: address, to: address, ticket: uint256, data: Bytes[1024] = b""):
    """
    @notice ERC-721: move a ticket; a contract must accept it. Reverts: as `transferFrom`, and
            "receiver: not for ERC-721".
    """
    self._move(owner, to, ticket)
    if to.is_contract:
        answer: bytes4 = extcall IERC721Receiver(to).onERC721Received(msg.sender, owner, ticket, data)
        assert answer == ERC721_ACCEPTED, reasons.ERC721_RECEIVER


@external
@view
def supportsInterface(interface_id: bytes4) -> bool:
    """
    @notice ERC-165.
    """
    return interface_id in INTERFACES


@external
@view
def tokenURI(ticket: uint256) -> String[ticket_art.MAX_URI]:
    """
    @notice ERC-721 metadata: JSON and picture as data, drawn from the ticket's state. Reverts:
            "ticket: does not exist".
    """
    slot: uint256 = self.slots[ticket]
    assert self._owner_in(slot) != empty(address), reasons.NO_TICKET
    end: uint256 = self._end_in(slot)
    start: uint256 = self._claimed_until(ticket, slot)
    return ticket_art._uri(ticket, end - start, self._open(start, end), self._claimable(start, end))


# ---- views --------------------------------------------------------------------------------------


@external
@view
def claimable(ticket: uint256) -> uint256:
    """
    @notice Wei that a claim would pay now; 0 for a ticket that does not exist.
    """
    slot: uint256 = self.slots[ticket]
    if self._owner_in(slot) == empty(address):
        return 0
    return self._claimable(self._claimed_until(ticket, slot), self._end_in(slot))


@external
@view
def pending(ticket: uint256) -> uint256:
    """
    @notice Shares of the ticket that are not filled yet; 0 for a ticket that does not exist.
    """
    slot: uint256 = self.slots[ticket]
    if self._owner_in(slot) == empty(address):
        return 0
    return self._open(self._claimed_until(ticket, slot), self._end_in(slot))


@external
@view
def hint(ticket: uint256) -> uint256:
    """
    @notice The hint for a claim now: the curve's segment that the unclaimed part starts in. 0 when there is nothing
            to claim. It stays right until the ticket is claimed.
    """
    slot: uint256 = self.slots[ticket]
    start: uint256 = self._claimed_until(ticket, slot)
    head: uint256 = curve.head
    if self._owner_in(slot) == empty(address) or start >= words._low(head):
        return 0
    return curve._segment(start, 1, head >> 192)


@external
@view
def interval(ticket: uint256) -> (uint256, uint256):
    """
    @notice The ticket's interval on the line of all shares ever queued: first position, and the one after the last.
            Claimed tickets keep theirs. Reverts for a number never given out: "ticket: does not exist".
    """
    assert ticket > 0 and ticket <= self.line >> 96, reasons.NO_TICKET
    return self._end_in(self.slots[ticket - 1]), self._end_in(self.slots[ticket])


@external
@view
def claimed_until(ticket: uint256) -> uint256:
    """
    @notice Position up to which an open ticket has been claimed; its start before the first claim.
            Reverts: "ticket: does not exist".
    """
    slot: uint256 = self.slots[ticket]
    assert self._owner_in(slot) != empty(address), reasons.NO_TICKET
    return self._claimed_until(ticket, slot)


@external
@view
def tail() -> uint256:
    """
    @notice Shares ever queued: the end of the line.
    """
    return words._low(self.line)


@external
@view
def tickets() -> uint256:
    """
    @notice Tickets ever made; they are numbered from 1.
    """
    return self.line >> 96


@external
@view
def filled() -> uint256:
    """
    @notice Shares ever paid for: the end of the curve.
    """
    return words._low(curve.head)


@external
@view
def paid_in() -> uint256:
    """
    @notice Wei ever paid in by the pool.
    """
    return words._high(curve.head)


@external
@view
def points() -> uint256:
    """
    @notice Points on the curve, the origin not counted.
    """
    return curve.head >> 192


@external
@view
def point(index: uint256) -> (uint256, uint256):
    """
    @notice Cumulative shares and wei at point `index`; zeros for the origin and beyond the last.
    """
    word: uint256 = curve.points[index]
    return word & words.U128, word >> 128


@external
@view
def pool() -> address:
    """
    @notice The pool whose shares are queued.
    """
    return POOL.address


# ---- inside -------------------------------------------------------------------------------------


@internal
@pure
def _owner_in(slot: uint256) -> address:
    return convert(slot & words.U160, address)


@internal
@pure
def _end_in(slot: uint256) -> uint256:
    return (slot >> 160) & words.U95


@internal
@pure
def _next(line: uint256) -> uint256:
    return (line >> 96) + 1


@internal
@view
def _owner(ticket: uint256) -> address:
    owner: address = self._owner_in(self.slots[ticket])
    assert owner != empty(address), reasons.NO_TICKET
    return owner


@internal
@view
def _check_may(ticket: uint256, owner: address):
    assert (
        msg.sender == owner or self.isApprovedForAll[owner][msg.sender] or self.approvals[ticket] == msg.sender
    ), reasons.NOT_OWNER


@internal
@view
def _claimed_until(ticket: uint256, slot: uint256) -> uint256:
    if slot & words.PARTLY_CLAIMED != 0:
        return self.progress[ticket]
    return self._end_in(self.slots[unsafe_sub(ticket, 1)])


@internal
@view
def _open(start: uint256, end: uint256) -> uint256:
    """
    @notice Shares of [start, end) that are not filled yet.
    """
    return end - min(max(words._low(curve.head), start), end)


@internal
@view
def _claimable(start: uint256, end: uint256) -> uint256:
    head: uint256 = curve.head
    filled_end: uint256 = min(end, words._low(head))
    if start >= filled_end:
        return 0
    return curve._value(start, filled_end, head, 0)


@internal
def _issue(line: uint256, shares: uint256, receiver: address) -> uint256:
    """
    @notice Make the next ticket and return the new line. The caller books balances and moves the shares, which
            bounds the sum: shares beyond the caller's balance revert.
    """
    assert shares > 0, reasons.REQUEST_ZERO
    assert receiver not in [empty(address), self, POOL.address], reasons.RECEIVER
    ticket: uint256 = self._next(line)
    tail: uint256 = words._low(line) + shares
    assert tail <= words.U95, reasons.LINE_FULL
    self.slots[ticket] = (tail << 160) | convert(receiver, uint256)
    log IERC721.Transfer(sender=empty(address), receiver=receiver, token_id=ticket)
    log IWithdrawalQueue.Requested(ticket=ticket, owner=receiver, shares=shares)
    return (ticket << 96) | tail


@internal
def _move(owner: address, to: address, ticket: uint256):
    slot: uint256 = self.slots[ticket]
    holder: address = self._owner_in(slot)
    assert holder != empty(address), reasons.NO_TICKET
    self._check_may(ticket, holder)
    assert holder == owner, reasons.WRONG_OWNER
    assert to not in [empty(address), self, POOL.address], reasons.RECEIVER
    self.approvals[ticket] = empty(address)
    self.balances[owner] -= 1
    self.balances[to] += 1
    self.slots[ticket] = ((slot >> 160) << 160) | convert(to, uint256)
    log IERC721.Transfer(sender=owner, receiver=to, token_id=ticket)


@internal
def _claim(ticket: uint256, owner: address, receiver: address, hint: uint256) -> uint256:
    slot: uint256 = self.slots[ticket]
    head: uint256 = curve.head
    start: uint256 = self._claimed_until(ticket, slot)
    end: uint256 = min(self._end_in(slot), words._low(head))
    assert start < end, reasons.CLAIM_NOTHING
    amount: uint256 = curve._value(start, end, head, hint)
    self._book(ticket, slot, owner, end)
    self._log_claim(ticket, slot, owner, receiver, start, end, amount)
    assert self._pay(receiver, amount), reasons.SEND_FAILED
    return amount


@internal
def _book(ticket: uint256, slot: uint256, owner: address, end: uint256):
    """
    @notice Mark the ticket claimed up to `end`; a ticket claimed in full loses its owner and keeps its end.
    """
    if end == self._end_in(slot):
        self.slots[ticket] = end << 160
        self.balances[owner] -= 1
    else:
        self.slots[ticket] = slot | words.PARTLY_CLAIMED
        self.progress[ticket] = end


@internal
def _unbook(ticket: uint256, slot: uint256, owner: address, start: uint256, end: uint256):
    """
    @notice Undo `_book` when the owner did not take the ETH.
    """
    self.slots[ticket] = slot
    if end == self._end_in(slot):
        self.balances[owner] += 1
    else:
        self.progress[ticket] = start


@internal
def _log_claim(
    ticket: uint256,
    slot: uint256,
    owner: address,
    receiver: address,
    start: uint256,
    end: uint256,
    amount: uint256,
):
    log IWithdrawalQueue.Claimed(ticket=ticket, owner=owner, receiver=receiver, shares=end - start, ether_=amount)
    if end == self._end_in(slot):
        log IERC721.Transfer(sender=owner, receiver=empty(address), token_id=ticket)
    else:
        log IWithdrawalQueue.MetadataUpdate(_tokenId=ticket)


@internal
def _pay(to: address, amount: uint256) -> bool:
    """
    @notice Send `amount` wei; whoever did not ask for it himself has limited gas to take it.
    """
    if to == msg.sender:
        return raw_call(to, b"", value=amount, max_outsize=0, revert_on_failure=False)
    return raw_call(to, b"", value=amount, gas=SEND_GAS, max_outsize=0, revert_on_failure=False)
