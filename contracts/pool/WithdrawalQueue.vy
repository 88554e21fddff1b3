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
from contracts.pool import ticket_book
from interfaces import IFloePool
from interfaces import IWithdrawalQueue

implements: IWithdrawalQueue

initializes: curve
initializes: ticket_book

exports: (
    ticket_book.approve,
    ticket_book.balanceOf,
    ticket_book.claimed_until,
    ticket_book.getApproved,
    ticket_book.interval,
    ticket_book.isApprovedForAll,
    ticket_book.ownerOf,
    ticket_book.safeTransferFrom,
    ticket_book.setApprovalForAll,
    ticket_book.tail,
    ticket_book.tickets,
    ticket_book.transferFrom,
)

name: public(constant(String[9])) = "Floe Exit"
symbol: public(constant(String[7])) = "floEXIT"

MAX_BATCH: constant(uint256) = 64
# Enough for a smart wallet to take ETH, too little to make somebody else's claim expensive.
SEND_GAS: constant(uint256) = 100_000
# SEND_GAS * 64 / 63, and what the call itself costs.
MIN_GAS_TO_SEND: constant(uint256) = 140_000
# ERC-165, ERC-721, ERC-721 metadata, ERC-4906
INTERFACES: constant(bytes4[4]) = [0x01ffc9a7, 0x80ac58cd, 0x5b5e139f, 0x49064906]

POOL: immutable(IFloePool)


@deploy
def __init__(pool: IFloePool):
    """
    @notice The pool must have been built for this very address. Reverts: "peer: not wired to this contract".
    """
    assert staticcall pool.queue() == self, reasons.PEER
    POOL = pool
    ticket_book.__init__(pool.address)


# ---- request ------------------------------------------------------------------------------------


@external
def request(shares: uint256, receiver: address) -> uint256:
    """
    @notice Queue `shares` (1 or more) of the caller; no approval is needed. `receiver` owns the ticket.
    @return The ticket's number.
    @dev Reverts: "request: zero shares", "receiver: refused", "balance: too low".
    """
    line: uint256 = ticket_book.line
    ticket: uint256 = ticket_book._next(line)
    ticket_book.line = ticket_book._issue(line, shares, receiver)
    ticket_book.balances[receiver] += 1
    extcall POOL.lock_for_exit(msg.sender, shares, skip_contract_check=True)
    return ticket


@external
def request_many(shares: DynArray[uint256, MAX_BATCH], receiver: address) -> uint256:
    """
    @notice Queue several tickets in a row, at most 64.
    @return The number of the first ticket.
    @dev Reverts: "request: empty list", "request: zero shares", "receiver: refused", "balance: too low".
    """
    assert len(shares) > 0, reasons.REQUEST_NONE
    line: uint256 = ticket_book.line
    first: uint256 = ticket_book._next(line)
    total: uint256 = 0
    for amount: uint256 in shares:
        line = ticket_book._issue(line, amount, receiver)
        total += amount
    ticket_book.line = line
    ticket_book.balances[receiver] += len(shares)
    extcall POOL.lock_for_exit(msg.sender, total, skip_contract_check=True)
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
    curve._append(shares, msg.value)
    log IWithdrawalQueue.BatchMetadataUpdate(_fromTokenId=1, _toTokenId=max_value(uint256))


# ---- claim --------------------------------------------------------------------------------------


@external
def claim(ticket: uint256, hint: uint256 = 0) -> uint256:
    """
    @notice Pay the filled part of `ticket` to its owner; the ticket is burnt when it is claimed in full. Anyone may
            call; `hint(ticket)` only saves gas.
    @return Wei paid.
    @dev Unless the owner calls, he gets 100,000 gas to take the ETH. Reverts: "ticket: does not exist",
         "claim: nothing filled", "claim: wrong hint", "claim: too little gas", "ether: send failed".
    """
    slot: uint256 = ticket_book._slot(ticket)
    return self._claim(ticket, slot, ticket_book._owner_in(slot), hint)


@external
def claim_to(ticket: uint256, receiver: address, hint: uint256 = 0) -> uint256:
    """
    @notice As `claim`, but paid to `receiver`. For the owner, his operators and whoever he approved for the ticket.
    @dev Reverts: as `claim`, and "ticket: caller may not", "receiver: refused".
    """
    slot: uint256 = ticket_book._slot(ticket)
    ticket_book._check_may(ticket, ticket_book._owner_in(slot))
    ticket_book._check_receiver(receiver)
    return self._claim(ticket, slot, receiver, hint)


@external
def claim_many(tickets: DynArray[uint256, MAX_BATCH], hints: DynArray[uint256, MAX_BATCH]) -> uint256:
    """
    @notice Claim up to 64 tickets, each for its owner. What cannot be paid is logged as `ClaimSkipped`, left as it
            was, and does not hold up the others.
    @param hints One for each ticket (0: none), or an empty list.
    @return Wei paid.
    @dev Reverts: "claim: lengths differ", "claim: too little gas".
    """
    assert len(hints) == 0 or len(hints) == len(tickets), reasons.CLAIM_LENGTHS
    total: uint256 = 0
    for i: uint256 in range(len(tickets), bound=MAX_BATCH):
        ticket: uint256 = tickets[i]
        hint: uint256 = 0
        if len(hints) > 0:
            hint = hints[i]
        slot: uint256 = ticket_book.slots[ticket]
        owner: address = ticket_book._owner_in(slot)
        if owner == empty(address):
            log IWithdrawalQueue.ClaimSkipped(ticket=ticket, reason=IWithdrawalQueue.Unpaid.NO_TICKET)
            continue
        start: uint256 = ticket_book._claimed_until(ticket, slot)
        end: uint256 = 0
        amount: uint256 = 0
        reason: IWithdrawalQueue.Unpaid = empty(IWithdrawalQueue.Unpaid)
        end, amount, reason = curve._worth(start, ticket_book._end_in(slot), hint)
        if reason != empty(IWithdrawalQueue.Unpaid):
            log IWithdrawalQueue.ClaimSkipped(ticket=ticket, reason=reason)
            continue
        ticket_book._book(ticket, slot, owner, end)
        if not self._pay(owner, amount):
            ticket_book._unbook(ticket, slot, owner, start, end)
            log IWithdrawalQueue.ClaimSkipped(ticket=ticket, reason=IWithdrawalQueue.Unpaid.SEND_FAILED)
            continue
        self._log_claim(ticket, slot, owner, owner, start, end, amount)
        total += amount
    return total


# ---- ERC-721 ------------------------------------------------------------------------------------


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
    slot: uint256 = ticket_book._slot(ticket)
    end: uint256 = ticket_book._end_in(slot)
    start: uint256 = ticket_book._claimed_until(ticket, slot)
    return ticket_art._uri(ticket, end - start, self._open(start, end), self._claimable(start, end))


# ---- views --------------------------------------------------------------------------------------


@external
@view
def claimable(ticket: uint256) -> uint256:
    """
    @notice Wei that a claim would pay now; 0 for a ticket that does not exist.
    """
    slot: uint256 = ticket_book.slots[ticket]
    if ticket_book._owner_in(slot) == empty(address):
        return 0
    return self._claimable(ticket_book._claimed_until(ticket, slot), ticket_book._end_in(slot))


@external
@view
def pending(ticket: uint256) -> uint256:
    """
    @notice Shares of the ticket that are not filled yet; 0 for a ticket that does not exist.
    """
    slot: uint256 = ticket_book.slots[ticket]
    if ticket_book._owner_in(slot) == empty(address):
        return 0
    return self._open(ticket_book._claimed_until(ticket, slot), ticket_book._end_in(slot))


@external
@view
def hint(ticket: uint256) -> uint256:
    """
    @notice The hint for a claim now: the curve's segment that the unclaimed part starts in. 0 when there is nothing
            to claim. It stays right until the ticket is claimed.
    """
    slot: uint256 = ticket_book.slots[ticket]
    start: uint256 = ticket_book._claimed_until(ticket, slot)
    head: uint256 = curve.head
    if ticket_book._owner_in(slot) == empty(address) or start >= words._low(head):
        return 0
    return curve._segment(start, 1, head >> 192)


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
@view
def _open(start: uint256, end: uint256) -> uint256:
    """
    @notice Shares of [start, end) that are not filled yet.
    """
    return end - min(max(words._low(curve.head), start), end)


@internal
@view
def _claimable(start: uint256, end: uint256) -> uint256:
    return curve._worth(start, end, 0)[1]


@internal
def _claim(ticket: uint256, slot: uint256, receiver: address, hint: uint256) -> uint256:
    owner: address = ticket_book._owner_in(slot)
    start: uint256 = ticket_book._claimed_until(ticket, slot)
    end: uint256 = 0
    amount: uint256 = 0
    reason: IWithdrawalQueue.Unpaid = empty(IWithdrawalQueue.Unpaid)
    end, amount, reason = curve._worth(start, ticket_book._end_in(slot), hint)
    assert reason != IWithdrawalQueue.Unpaid.NOTHING_FILLED, reasons.CLAIM_NOTHING
    assert reason != IWithdrawalQueue.Unpaid.WRONG_HINT, reasons.HINT
    ticket_book._book(ticket, slot, owner, end)
    self._log_claim(ticket, slot, owner, receiver, start, end, amount)
    assert self._pay(receiver, amount), reasons.SEND_FAILED
    return amount


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
    if end == ticket_book._end_in(slot):
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
    # A call gets at most 63/64 of the gas that is left, and silently less than it was promised: nobody may starve it.
    assert msg.gas > MIN_GAS_TO_SEND, reasons.CLAIM_GAS
    return raw_call(to, b"", value=amount, gas=SEND_GAS, max_outsize=0, revert_on_failure=False)
