# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Tickets
@license GNU Affero General Public License v3.0 only
@notice The queue's tickets: intervals on the line of all shares ever queued, and an ERC-721. One storage slot a ticket:
        its owner and its end; it starts where the ticket before it ends, and keeps its end for its neighbour after it
        is gone. Only a ticket that was claimed in part has a second slot.
"""
from ethereum.ercs import IERC721
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IWithdrawalQueue


interface IERC721Receiver:
    def onERC721Received(operator: address, owner: address, token: uint256, data: Bytes[1024]) -> bytes4: nonpayable


# What an ERC-721 receiver answers: the selector of `onERC721Received`.
ERC721_ACCEPTED: constant(bytes4) = 0x150b7a02

# The pool, which can own no ticket.
POOL: immutable(address)

# tail u96 | tickets u64
line: uint256
# ticket -> owner u160 | end u95 | partly claimed flag
slots: HashMap[uint256, uint256]
# ticket -> position up to which it is claimed, for tickets with the flag only
progress: HashMap[uint256, uint256]
# owner -> open tickets
balances: HashMap[address, uint256]
# ticket -> who else may move or claim it
approvals: HashMap[uint256, address]
# @notice ERC-721: whether `operator` may act for all tickets of `owner`.
isApprovedForAll: public(HashMap[address, HashMap[address, bool]])


@deploy
def __init__(pool: address):
    POOL = pool


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
    return self._owner_in(self._slot(ticket))


@external
@view
def getApproved(ticket: uint256) -> address:
    """
    @notice ERC-721: who may act for this one ticket. Reverts: "ticket: does not exist".
    """
    assert self._slot(ticket) != 0  # reverts by itself
    return self.approvals[ticket]


@external
def approve(to: address, ticket: uint256):
    """
    @notice ERC-721: let `to` move or claim this ticket. Reverts: "ticket: does not exist", "ticket: caller may not".
    """
    owner: address = self._owner_in(self._slot(ticket))
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
def transferFrom(owner: address, to: address, ticket: uint256):
    """
    @notice ERC-721: move a ticket. Reverts: "ticket: does not exist", "ticket: caller may not",
            "ticket: not the owner's", "receiver: refused".
    """
    self._move(owner, to, ticket)


@external
def safeTransferFrom(owner: address, to: address, ticket: uint256, data: Bytes[1024] = b""):
    """
    @notice ERC-721: move a ticket; a contract must accept it. Reverts: as `transferFrom`, and
            "receiver: not for ERC-721".
    """
    self._move(owner, to, ticket)
    if to.is_contract:
        answer: bytes4 = extcall IERC721Receiver(to).onERC721Received(msg.sender, owner, ticket, data)
        assert answer == ERC721_ACCEPTED, reasons.ERC721_RECEIVER


# ---- the line -----------------------------------------------------------------------------------


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
    slot: uint256 = self._slot(ticket)
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
def _slot(ticket: uint256) -> uint256:
    """
    @notice The slot of an open ticket.
    """
    slot: uint256 = self.slots[ticket]
    assert slot & words.U160 != 0, reasons.NO_TICKET
    return slot


@internal
@view
def _check_may(ticket: uint256, owner: address):
    assert (
        msg.sender == owner or self.isApprovedForAll[owner][msg.sender] or self.approvals[ticket] == msg.sender
    ), reasons.NOT_OWNER


@internal
@view
def _check_receiver(to: address):
    """
    @notice A ticket or ETH sent to nobody, to the queue or to the pool would be lost.
    """
    assert to != empty(address) and to != self and to != POOL, reasons.RECEIVER


@internal
@view
def _claimed_until(ticket: uint256, slot: uint256) -> uint256:
    if slot & words.PARTLY_CLAIMED != 0:
        return self.progress[ticket]
    return self._end_in(self.slots[unsafe_sub(ticket, 1)])


@internal
def _issue(line: uint256, shares: uint256, receiver: address) -> uint256:
    """
    @notice Make the next ticket and return the new line. The caller books balances and moves the shares, which
            bounds the sum: shares beyond the caller's balance revert.
    """
    assert shares > 0, reasons.REQUEST_ZERO
    self._check_receiver(receiver)
    ticket: uint256 = self._next(line)
    tail: uint256 = words._low(line) + shares
    assert tail <= words.U95, reasons.LINE_FULL
    self.slots[ticket] = (tail << 160) | convert(receiver, uint256)
    log IERC721.Transfer(sender=empty(address), receiver=receiver, token_id=ticket)
    log IWithdrawalQueue.Requested(ticket=ticket, owner=receiver, shares=shares)
    return (ticket << 96) | tail


@internal
def _move(owner: address, to: address, ticket: uint256):
    slot: uint256 = self._slot(ticket)
    holder: address = self._owner_in(slot)
    self._check_may(ticket, holder)
    assert holder == owner, reasons.WRONG_OWNER
    self._check_receiver(to)
    self.approvals[ticket] = empty(address)
    self.balances[owner] -= 1
    self.balances[to] += 1
    self.slots[ticket] = ((slot >> 160) << 160) | convert(to, uint256)
    log IERC721.Transfer(sender=owner, receiver=to, token_id=ticket)


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
