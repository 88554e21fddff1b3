# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The oracle's committee
@license GNU Affero General Public License v3.0 only
@notice Who must agree on a report: members by place, a quorum of more than half of them, and the votes they cast on
        chain. A member keeps one vote, which the next one overwrites.
@dev A committee that changes in the middle of a frame leaves nothing behind: signatures are checked against whoever
     holds the place now, and a place that changes hands loses its vote.
"""
from snekmate.utils import signature_checker
from contracts.lib import reasons
from interfaces import IReportOracle

initializes: signature_checker

MAX_MEMBERS: constant(uint256) = 32

# @notice How many members must agree.
quorum: public(uint256)
# @notice Place -> the digest that its member voted for last.
votes: public(HashMap[uint256, bytes32])

size: uint256  # places, also those of removed members
places: HashMap[uint256, address]


@deploy
def __init__():
    signature_checker.__init__()


@external
def vote(place: uint256, digest: bytes32):
    """
    @notice Agree to the report with this `digest` on chain: the way for contracts that cannot sign, and for members
            that cannot reach each other. The member at `place` only; a later vote replaces this one.
    @dev Reverts: "committee: not this member".
    """
    if msg.sender != self.places[place]:
        reasons._refuse(reasons.NOT_MEMBER)
    self.votes[place] = digest
    log IReportOracle.Voted(member=msg.sender, digest=digest)


@external
@view
def members() -> DynArray[address, MAX_MEMBERS]:
    """
    @notice The committee by place; the zero address where a member was removed.
    """
    found: DynArray[address, MAX_MEMBERS] = []
    for place: uint256 in range(self.size, bound=MAX_MEMBERS):
        found.append(self.places[place])
    return found


@internal
@view
def _check_quorum(digest: bytes32, signers: uint256, signatures: DynArray[Bytes[65], MAX_MEMBERS]):
    """
    @notice Refuse a digest that fewer members than the quorum signed or voted for.
    @param signers Bitmap of the places that signed, each with its signature, in order of the places.
    """
    agreed: uint256 = 0
    for place: uint256 in range(MAX_MEMBERS):
        rest: uint256 = signers >> place
        if rest == 0:
            break
        if rest & 1 == 0:
            continue
        member: address = self.places[place]
        if member == empty(address) or agreed == len(signatures):
            reasons._refuse(reasons.SIGNERS)
        if not signature_checker._is_valid_signature_now(member, digest, signatures[agreed]):
            reasons._refuse(reasons.SIGNATURE)
        agreed += 1
    if agreed != len(signatures) or signers >> MAX_MEMBERS != 0:
        reasons._refuse(reasons.SIGNERS)
    quorum: uint256 = self.quorum
    if agreed < quorum:
        for place: uint256 in range(self.size, bound=MAX_MEMBERS):
            if (signers >> place) & 1 == 0 and self.votes[place] == digest:
                agreed += 1
    if agreed < quorum:
        reasons._refuse(reasons.QUORUM)


@internal
def _set_committee(members: DynArray[address, MAX_MEMBERS], quorum: uint256):
    """
    @notice Replace all members; all votes are void. Reverts: "committee: no majority", "committee: wrong members".
    """
    if quorum * 2 <= len(members) or quorum > len(members):
        reasons._refuse(reasons.MAJORITY)
    for place: uint256 in range(max(len(members), self.size), bound=MAX_MEMBERS):
        member: address = empty(address)
        if place < len(members):
            member = members[place]
            if member == empty(address):
                reasons._refuse(reasons.MEMBERS)
            for other: uint256 in range(place, bound=MAX_MEMBERS):
                if members[other] == member:
                    reasons._refuse(reasons.MEMBERS)
        self.places[place] = member
        self.votes[place] = empty(bytes32)
    self.size = len(members)
    self.quorum = quorum
    log IReportOracle.CommitteeSet(members=members, quorum=quorum)


@internal
def _remove(place: uint256):
    """
    @notice Remove a member and its vote; the quorum stays. Reverts: "committee: wrong members", "committee: no majority".
    """
    member: address = self.places[place]
    if member == empty(address):
        reasons._refuse(reasons.MEMBERS)
    self.places[place] = empty(address)
    self.votes[place] = empty(bytes32)
    left: uint256 = 0
    for each: uint256 in range(self.size, bound=MAX_MEMBERS):
        if self.places[each] != empty(address):
            left += 1
    if left < self.quorum:
        reasons._refuse(reasons.MAJORITY)
    log IReportOracle.MemberRemoved(place=place, member=member)
