# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title The oracle's committee
@license GNU Affero General Public License v3.0 only
@notice Who must agree on a report: members by place, a quorum of more than half of them, and the votes they cast on
        chain. A member keeps one vote, which the next one overwrites.
@dev A committee that changes in the middle of a frame leaves nothing behind: signatures are checked against whoever
     holds the place now, and a place that changes hands loses its vote. Every place carries quorum and size along, so
     that whoever reads a signer's needs no other slot:

        place  member u160 | quorum u8 | size u8
"""
from snekmate.utils import signature_checker
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IReportOracle

initializes: signature_checker

MAX_MEMBERS: constant(uint256) = 32
SIGNATURE: constant(uint256) = 65  # bytes: r, s, v

# @notice Place -> the digest that its member voted for last.
votes: public(bytes32[MAX_MEMBERS])

places: uint256[MAX_MEMBERS]


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
    if place >= MAX_MEMBERS or msg.sender != self._member(self.places[place]):
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
    for place: uint256 in range(self.places[0] >> 168, bound=MAX_MEMBERS):
        found.append(self._member(self.places[place]))
    return found


@external
@view
def quorum() -> uint256:
    """
    @notice How many members must agree.
    """
    return self._quorum(self.places[0])


@internal
@view
def _check_quorum(digest: bytes32, signers: uint256, signatures: Bytes[SIGNATURE * MAX_MEMBERS]):
    """
    @notice Refuse a digest that fewer members than the quorum signed or voted for.
    @param signers Bitmap of the places that signed, each with its signature, in order of the places.
    """
    agreed: uint256 = 0
    at: uint256 = 0
    word: uint256 = 0
    for place: uint256 in range(MAX_MEMBERS):
        rest: uint256 = signers >> place
        if rest == 0:
            break
        if rest & 1 == 0:
            continue
        after: uint256 = unsafe_add(at, SIGNATURE)
        if after > len(signatures):
            reasons._refuse(reasons.SIGNERS)
        # A member counts once, by its place, so it does no harm that signatures can be malleable.
        signer: address = ecrecover(
            digest,
            extract32(signatures, unsafe_add(at, 33), output_type=uint256) & 255,
            extract32(signatures, at, output_type=uint256),
            extract32(signatures, unsafe_add(at, 32), output_type=uint256),
        )
        word = self.places[place]
        if convert(signer, uint256) != word & words.U160 or signer == empty(address):
            if not signature_checker._is_valid_ERC1271_signature_now(
                self._member(word), digest, slice(signatures, at, SIGNATURE)
            ):
                reasons._refuse(reasons.SIGNATURE)
        agreed = unsafe_add(agreed, 1)
        at = after
    if at != len(signatures) or signers >> MAX_MEMBERS != 0:
        reasons._refuse(reasons.SIGNERS)
    if word == 0:
        word = self.places[0]
    quorum: uint256 = self._quorum(word)
    if agreed < quorum:
        for place: uint256 in range(word >> 168, bound=MAX_MEMBERS):
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
    terms: uint256 = (quorum << 160) | (len(members) << 168)
    for place: uint256 in range(max(len(members), self.places[0] >> 168), bound=MAX_MEMBERS):
        word: uint256 = 0
        if place < len(members):
            member: address = members[place]
            if member == empty(address):
                reasons._refuse(reasons.MEMBERS)
            for other: uint256 in range(place, bound=MAX_MEMBERS):
                if members[other] == member:
                    reasons._refuse(reasons.MEMBERS)
            word = terms | convert(member, uint256)
        self.places[place] = word
        self.votes[place] = empty(bytes32)
    log IReportOracle.CommitteeSet(members=members, quorum=quorum)


@internal
def _remove(place: uint256):
    """
    @notice Remove a member and its vote; the quorum stays. Reverts: "committee: wrong members", "committee: no
            majority".
    """
    if place >= MAX_MEMBERS:
        reasons._refuse(reasons.MEMBERS)
    word: uint256 = self.places[place]
    member: address = self._member(word)
    if member == empty(address):
        reasons._refuse(reasons.MEMBERS)
    self.places[place] = (word >> 160) << 160
    self.votes[place] = empty(bytes32)
    left: uint256 = 0
    for each: uint256 in range(word >> 168, bound=MAX_MEMBERS):
        if self._member(self.places[each]) != empty(address):
            left += 1
    if left < self._quorum(word):
        reasons._refuse(reasons.MAJORITY)
    log IReportOracle.MemberRemoved(place=place, member=member)


@internal
@pure
def _member(word: uint256) -> address:
    return convert(word & words.U160, address)


@internal
@pure
def _quorum(word: uint256) -> uint256:
    return (word >> 160) & 255
