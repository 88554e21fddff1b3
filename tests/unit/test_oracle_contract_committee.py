"""ReportOracle's committee: signatures, votes, contracts that sign, rotation, replay."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from pyrevm import AccountInfo

from tests.evm import DAY, ETHER, ZERO, Account, Contract, Evm, reverts
from tests.oracle import BY_ADDRESS, COUNCIL, MAX_MEMBERS, MEMBERS, Oracle, Report
from tests.protocol import OUTSIDER, STAKER, Protocol

ROLE = "access_control: account is missing role"
SIGNERS = "committee: wrong signers"
SIGNATURE = "committee: wrong signature"
QUORUM = "committee: no quorum"
MAJORITY = "committee: no majority"
WRONG_MEMBERS = "committee: wrong members"
NOT_MEMBER = "committee: not this member"

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Of secp256k1."""
STRANGER = MEMBERS[MAX_MEMBERS]
"""Has a key, and is in no committee."""

# Runtime code of contracts that answer ERC-1271 as they should not.
REVERTS = "5f5ffd"
BURNS = "5b5f56"
ANSWERS_NOTHING = "00"
ANSWERS_ZERO = "60205ff3"
ANSWERS_FOUR_BYTES = "631626ba7e60e01b5f5260045ff3"
ANSWERS_ONE = "60015f5260205ff3"
ANSWERS_MAGIC_AT_THE_END = "631626ba7e5f5260205ff3"


@pytest.fixture
def report(oracle: Oracle) -> Report:
    """Return an honest report that is ready to be signed and submitted."""
    oracle.next_frame()
    return oracle.report(gain=ETHER // 100)


# --- signatures ---


@pytest.mark.parametrize("count", range(6))
def test_submit__any_members_that_are_a_quorum__and_no_fewer(evm: Evm, oracle: Oracle, report: Report, count: int):
    for signed in combinations(range(5), count):
        with evm.undone():
            if count >= 3:
                assert oracle.submit(report, signed)
            else:
                with reverts(QUORUM):
                    oracle.submit(report, signed)


@pytest.mark.parametrize(("size", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (31, 16), (32, 17), (32, 32)])
def test_submit__committees_of_all_sizes__quorum_and_one_fewer(protocol: Protocol, size: int, quorum: int):
    oracle = Oracle(protocol, members=size, quorum=quorum)
    oracle.next_frame()
    # The last places, so that the loops must reach the end.
    with reverts(QUORUM):
        oracle.submit(oracle.report(), range(size - quorum + 1, size))
    assert oracle.submit(oracle.report(), range(size - quorum, size))


@pytest.mark.parametrize("places", [[0, 1, 5], [0, 1, 31], [5, 6, 7]])
def test_submit__a_place_beyond_the_committee__refused(oracle: Oracle, report: Report, places: list[int]):
    digest = oracle.digest(report)
    signatures = b"".join(MEMBERS[place].sign(digest) for place in places)
    with reverts(SIGNATURE):
        oracle.contract.submit(report, sum(1 << place for place in places), signatures)


@pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 65, bytes(64) + b"\x1b"])
@pytest.mark.parametrize("place", [1, 5, 31])
def test_submit__empty_seat_with_a_signature_of_nobody__refused(
    oracle: Oracle, report: Report, place: int, signature: bytes
):
    """Recovering a signer from it gives the zero address, which is what an empty seat holds."""
    oracle.contract.remove_member(1, sender=COUNCIL)
    digest = oracle.digest(report)
    signed = {0: MEMBERS[0].sign(digest), 4: MEMBERS[4].sign(digest), place: signature}
    bitmap = sum(1 << each for each in signed)
    with reverts(SIGNATURE):
        oracle.contract.submit(report, bitmap, b"".join(signed[each] for each in sorted(signed)))


@pytest.mark.parametrize("place", [32, 33, 64, 128, 255])
def test_submit__a_bit_beyond_32__refused(oracle: Oracle, report: Report, place: int):
    bitmap, signatures = oracle.signatures(oracle.digest(report), range(3))
    for given in (signatures, signatures + MEMBERS[3].sign(oracle.digest(report))):
        with reverts(SIGNERS):
            oracle.contract.submit(report, bitmap | 1 << place, given)


@pytest.mark.parametrize("more", [-195, -66, -65, -1, 1, 64, 65, 130])
def test_submit__bytes_that_do_not_fit_the_bitmap__refused(oracle: Oracle, report: Report, more: int):
    bitmap, signatures = oracle.signatures(oracle.digest(report), range(3))
    given = signatures[:more] if more < 0 else signatures + signatures[:more]
    with reverts(SIGNERS):
        oracle.contract.submit(report, bitmap, given)


def test_submit__one_members_signature_thrice__counts_as_none(oracle: Oracle, report: Report):
    signature = MEMBERS[0].sign(oracle.digest(report))
    with reverts(SIGNATURE):
        oracle.contract.submit(report, 0b111, signature * 3)
    with reverts(SIGNERS):
        oracle.contract.submit(report, 0b1, signature * 3)


def test_submit__signatures_in_another_order__refused(oracle: Oracle, report: Report):
    digest = oracle.digest(report)
    with reverts(SIGNATURE):
        oracle.contract.submit(report, 0b111, b"".join(MEMBERS[place].sign(digest) for place in (1, 0, 2)))


@pytest.mark.parametrize("kind", ["zeros", "ones", "v 0", "v 29", "s off", "other report", "stranger", "personal"])
def test_submit__one_wrong_signature__spoils_all(oracle: Oracle, report: Report, kind: str):
    """Even beside a quorum of good ones: who submits leaves it out."""
    digest = oracle.digest(report)
    good = MEMBERS[3].sign(digest)
    bad = {
        "zeros": bytes(65),
        "ones": b"\xff" * 65,
        "v 0": good[:64] + b"\0",
        "v 29": good[:64] + bytes([29]),
        "s off": good[:63] + bytes([good[63] ^ 1]) + good[64:],
        "other report": MEMBERS[3].sign(oracle.digest(report._replace(cl=report.cl + 1))),
        "stranger": STRANGER.sign(digest),
        "personal": MEMBERS[3].sign(report.balances_root),
    }[kind]
    bitmap, signatures = oracle.signatures(digest, range(3))
    with reverts(SIGNATURE):
        oracle.contract.submit(report, bitmap | 1 << 3, signatures + bad)
    assert oracle.contract.submit(report, bitmap | 1 << 3, signatures + good)


def test_submit__the_other_form_of_a_signature__is_no_second_member(oracle: Oracle, report: Report):
    """ECDSA signatures are malleable; what counts is the place."""
    digest = oracle.digest(report)
    signature = MEMBERS[0].sign(digest)
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    twin = r + (ORDER - s).to_bytes(32) + bytes([55 - v])
    rest = MEMBERS[2].sign(digest)
    with reverts(SIGNATURE):
        oracle.contract.submit(report, 0b111, signature + twin + rest)
    with reverts(SIGNATURE):
        oracle.contract.submit(report, 0b111, twin + signature + rest)
    assert oracle.contract.submit(report, 0b111, twin + MEMBERS[1].sign(digest) + rest)


def test_submit__wrong_report_with_right_signatures__refused(oracle: Oracle, report: Report):
    signed = oracle.signatures(oracle.digest(report), range(5))
    for field in report._fields[1:8]:
        changed = report._replace(**{field: getattr(report, field) + 1})
        with reverts(SIGNATURE):
            oracle.contract.submit(changed, *signed)


# --- replay ---


def test_submit__signed_for_another_oracle__refused(oracle: Oracle, report: Report, protocol: Protocol):
    other = Oracle(protocol)
    for digest in (
        other.digest(report),
        oracle.digest(report, chain_id=5),
        oracle.digest(report, contract=protocol.pool),
        oracle.digest(report, contract=ZERO),
    ):
        with reverts(SIGNATURE):
            oracle.contract.submit(report, *oracle.signatures(digest, range(3)))
    assert oracle.submit(report)
    with reverts(SIGNATURE):
        other.contract.submit(report, *oracle.signatures(oracle.digest(report), range(3)))


def test_digest__the_same_contract_on_another_chain__differs(oracle: Oracle, report: Report):
    """As after a split of the chain: code, storage and address are the same, the chain's number is not."""
    fork = Evm(chain_id=5)
    copy = fork.at("ReportOracle", fork.copy(oracle.contract))
    assert copy.digest(report) == oracle.digest(report, chain_id=5) != oracle.contract.digest(report)


def test_submit__twice__refused(oracle: Oracle, report: Report, evm: Evm):
    signed = oracle.signatures(oracle.digest(report), range(3))
    assert oracle.contract.submit(report, *signed)
    for _ in range(3):
        with reverts("report: not newer"):
            oracle.contract.submit(report, *signed)
        evm.travel(DAY // 4)


def test_submit__for_a_later_frame__needs_new_signatures(oracle: Oracle, report: Report):
    signed = oracle.signatures(oracle.digest(report), range(3))
    assert oracle.contract.submit(report, *signed)
    oracle.next_frame()
    with reverts(SIGNATURE):
        oracle.contract.submit(report._replace(ref_slot=oracle.slot()), *signed)


# --- votes ---


@pytest.mark.parametrize("signed", range(4))
def test_submit__votes_and_signatures__count_together(oracle: Oracle, report: Report, signed: int):
    places = (4, 1, 2)
    few = places[:2]
    with reverts(QUORUM):
        oracle.submit(report, few[:signed], voted=few[signed:])
    assert oracle.submit(report, places[:signed], voted=places[signed:])


def test_submit__signature_and_vote_of_one_member__count_once(oracle: Oracle, report: Report):
    with reverts(QUORUM):
        oracle.submit(report, (0, 1), voted=(0, 1))
    assert oracle.submit(report, (0, 1), voted=(0, 1, 2))


def test_submit__votes_alone__anyone_executes(oracle: Oracle, report: Report):
    for place in (0, 2, 4):
        oracle.contract.vote(place, oracle.digest(report), sender=MEMBERS[place].address)
    assert oracle.contract.submit(report, 0, b"", sender=OUTSIDER)


def test_vote__by_the_member__is_remembered_and_replaced(evm: Evm, oracle: Oracle, report: Report):
    contract, member = oracle.contract, MEMBERS[1].address
    for digest in (oracle.digest(report), b"\5" * 32, oracle.digest(report)):
        contract.vote(1, digest, sender=member)
        assert evm.events(contract, "Voted")[0].fields == {"member": member, "digest": digest}
        assert contract.votes(1) == digest
    assert [contract.votes(place) for place in (0, 2, 3, 4)] == [bytes(32)] * 4


def test_vote__withdrawn__does_not_count(oracle: Oracle, report: Report):
    oracle.contract.vote(2, oracle.digest(report), sender=MEMBERS[2].address)
    oracle.contract.vote(2, bytes(32), sender=MEMBERS[2].address)
    with reverts(QUORUM):
        oracle.submit(report, (0, 1))


@pytest.mark.parametrize("field", ["ref_slot", "cl", "balances_root"])
def test_vote__for_another_report__does_not_count(oracle: Oracle, report: Report, field: str):
    value = getattr(report, field)
    changes: dict[str, Any] = {field: value + 7_200 if isinstance(value, int) else bytes(32)}
    other = report._replace(**changes)
    oracle.contract.vote(2, oracle.digest(other), sender=MEMBERS[2].address)
    with reverts(QUORUM):
        oracle.submit(report, (0, 1))


@pytest.mark.parametrize("place", [0, 1, 5, 31, 32, 2**255])
def test_vote__by_somebody_else__reverts(oracle: Oracle, place: int):
    for sender in (STRANGER.address, COUNCIL, MEMBERS[2].address):
        with reverts(NOT_MEMBER):
            oracle.contract.vote(place, b"\1" * 32, sender=sender)


def test_vote__for_nothing__makes_no_report_valid(oracle: Oracle, report: Report):
    """All votes of a new committee are zero; no report has that digest, and a zero vote is none."""
    with reverts(QUORUM):
        oracle.contract.submit(report, 0, b"")
    empty = Report(0, 0, 0, 0, 0, 0, 0, 0, bytes(32), bytes(32))
    with reverts(QUORUM):
        oracle.contract.submit(empty, 0, b"")


# --- contracts as members ---


@pytest.fixture
def signer(evm: Evm) -> Contract:
    return evm.deploy("MockSigner")


@pytest.fixture
def mixed(protocol: Protocol, signer: Contract) -> Oracle:
    """Return an oracle with two keys, a contract that signs and a wallet that can only vote."""
    members: list[Account] = [MEMBERS[0].address, signer, MEMBERS[1].address, protocol.wallet()]
    oracle = Oracle(protocol, members=members, quorum=3)
    oracle.next_frame()
    return oracle


def with_contract(oracle: Oracle, report: Report, signature: bytes) -> tuple[int, bytes]:
    """Return bitmap and signatures of both keys, and of the contract between them."""
    digest = oracle.digest(report)
    return 0b111, MEMBERS[0].sign(digest) + signature + MEMBERS[1].sign(digest)


def test_contract_member__signs__counts(mixed: Oracle, signer: Contract):
    report, signature = mixed.report(), bytes(range(65))
    signer.sign(mixed.digest(report), signature)
    for wrong in (bytes(65), signature[::-1]):
        with reverts(SIGNATURE):
            mixed.contract.submit(report, *with_contract(mixed, report, wrong))
    changed = report._replace(cl=report.cl + 1)
    with reverts(SIGNATURE):
        mixed.contract.submit(changed, *with_contract(mixed, changed, signature))
    assert mixed.contract.submit(report, *with_contract(mixed, report, signature))


def test_contract_member__takes_its_word_back__does_not_count(mixed: Oracle, signer: Contract):
    report, signature = mixed.report(), bytes(range(65))
    signer.sign(mixed.digest(report), signature)
    signer.sign(bytes(32), signature)
    with reverts(SIGNATURE):
        mixed.contract.submit(report, *with_contract(mixed, report, signature))


def test_contract_member__votes__counts(mixed: Oracle, protocol: Protocol):
    report = mixed.report()
    wallet = protocol.evm.at("MockWallet", mixed.contract.members()[3])
    mixed.contract.vote(3, mixed.digest(report), sender=wallet)
    digest = mixed.digest(report)
    assert mixed.contract.submit(report, 0b101, MEMBERS[0].sign(digest) + MEMBERS[1].sign(digest))


@pytest.mark.parametrize(
    "code", [REVERTS, ANSWERS_NOTHING, ANSWERS_ZERO, ANSWERS_FOUR_BYTES, ANSWERS_ONE, ANSWERS_MAGIC_AT_THE_END]
)
def test_contract_member__answers_wrongly__does_not_count(evm: Evm, protocol: Protocol, code: str):
    oracle = Oracle(protocol, members=[MEMBERS[0].address, evm.place(code), MEMBERS[1].address], quorum=3)
    oracle.next_frame()
    report = oracle.report()
    with reverts(SIGNATURE):
        oracle.contract.submit(report, *with_contract(oracle, report, bytes(65)))


def test_contract_member__burns_all_gas__is_left_out(evm: Evm, protocol: Protocol):
    oracle = Oracle(protocol, members=[MEMBERS[0].address, evm.place(BURNS), MEMBERS[1].address], quorum=2)
    oracle.next_frame()
    assert oracle.submit(oracle.report(), (0, 2))


def test_contract_member__tries_to_change_something__cannot(evm: Evm, protocol: Protocol):
    """It is asked in a static call."""
    writes = "60015f55" + "631626ba7e60e01b5f5260205ff3"
    oracle = Oracle(protocol, members=[MEMBERS[0].address, evm.place(writes), MEMBERS[1].address], quorum=3)
    oracle.next_frame()
    report = oracle.report()
    with reverts(SIGNATURE):
        oracle.contract.submit(report, *with_contract(oracle, report, bytes(65)))


def test_member_with_a_key_and_code__its_key_still_signs(fresh: Protocol):
    """As after a delegation (EIP-7702)."""
    oracle = Oracle(fresh)
    fresh.evm.revm.insert_account_info(MEMBERS[1].address, AccountInfo(code=bytes.fromhex(REVERTS)))
    oracle.next_frame()
    assert oracle.submit(oracle.report())


# --- a committee that changes ---


def test_set_committee__admin__replaces_everybody(evm: Evm, oracle: Oracle, report: Report, protocol: Protocol):
    contract = oracle.contract
    for place in range(5):
        contract.vote(place, oracle.digest(report), sender=MEMBERS[place].address)
    wanted = [MEMBERS[7].address, MEMBERS[0].address, MEMBERS[8].address]
    contract.set_committee(wanted, 2, sender=protocol.admin)
    assert evm.events(contract, "CommitteeSet")[0].fields == {"members": wanted, "quorum": 2}
    assert (contract.members(), contract.quorum()) == (wanted, 2)
    assert [contract.votes(place) for place in range(6)] == [bytes(32)] * 6


def test_rotation__in_the_middle_of_a_frame__old_votes_are_void(oracle: Oracle, report: Report, protocol: Protocol):
    """Also of those who stay, also at places that the new committee does not have."""
    for place in range(5):
        oracle.contract.vote(place, oracle.digest(report), sender=MEMBERS[place].address)
    same = [member.address for member in MEMBERS[:5]]
    for members, quorum in ((same[:1], 1), (same, 3)):
        oracle.contract.set_committee(members, quorum, sender=protocol.admin)
        with reverts(QUORUM):
            oracle.contract.submit(report, 0, b"")
    assert oracle.submit(report, (0, 1), voted=(2,))


def test_rotation__in_the_middle_of_a_frame__only_members_sign(oracle: Oracle, report: Report, protocol: Protocol):
    """Signatures were collected; then two of the three are replaced."""
    collected = oracle.signatures(oracle.digest(report), range(3))
    new = [MEMBERS[0], MEMBERS[8], MEMBERS[9], MEMBERS[3], MEMBERS[4]]
    oracle.contract.set_committee([member.address for member in new], 3, sender=protocol.admin)
    with reverts(SIGNATURE):
        oracle.contract.submit(report, *collected)
    # Who stayed need not sign again.
    digest = oracle.digest(report)
    assert oracle.contract.submit(report, 0b111, collected[1][:65] + MEMBERS[8].sign(digest) + MEMBERS[9].sign(digest))


def test_rotation__members_change_places__sign_at_the_new_ones(oracle: Oracle, report: Report, protocol: Protocol):
    collected = oracle.signatures(oracle.digest(report), range(3))
    swapped = [member.address for member in MEMBERS[:5]][::-1]
    oracle.contract.set_committee(swapped, 3, sender=protocol.admin)
    with reverts(SIGNATURE):
        oracle.contract.submit(report, *collected)
    assert oracle.submit(report, (2, 3, 4))


@pytest.mark.parametrize("quorum", [3, 4, 5])
def test_rotation__quorum_changes_in_the_middle_of_a_frame__counts_at_once(
    oracle: Oracle, report: Report, protocol: Protocol, quorum: int
):
    members = [member.address for member in MEMBERS[:5]]
    oracle.contract.set_committee(members, quorum, sender=protocol.admin)
    with reverts(QUORUM):
        oracle.submit(report, range(5 - quorum + 1, 5))
    assert oracle.submit(report, range(5 - quorum, 5))


def test_rotation__after_the_frame_was_reported__no_second_report(oracle: Oracle, report: Report, protocol: Protocol):
    assert oracle.submit(report)
    members = [member.address for member in MEMBERS[10:15]]
    oracle.contract.set_committee(members, 3, sender=protocol.admin)
    with reverts("report: not newer"):
        oracle.submit(report._replace(cl=report.cl + 1))
    oracle.next_frame()
    assert oracle.submit(oracle.report())


@pytest.mark.parametrize("size", range(33))
def test_set_committee__every_size__quorum_is_more_than_half(evm: Evm, oracle: Oracle, protocol: Protocol, size: int):
    members = [member.address for member in MEMBERS[:size]]
    for quorum in {0, size // 2, size // 2 + 1, size, size + 1, 2**255, 2**256 - 1}:
        with evm.undone():
            if size // 2 < quorum <= size:
                oracle.contract.set_committee(members, quorum, sender=protocol.admin)
                assert (oracle.contract.members(), oracle.contract.quorum()) == (members, quorum)
            else:
                with reverts(MAJORITY if quorum < 2**255 else ""):
                    oracle.contract.set_committee(members, quorum, sender=protocol.admin)


@pytest.mark.parametrize(
    "members", [[ZERO], [OUTSIDER, ZERO, STAKER], [OUTSIDER, STAKER, OUTSIDER], [OUTSIDER, STAKER, STAKER]]
)
def test_set_committee__nobody_or_somebody_twice__reverts(oracle: Oracle, protocol: Protocol, members: list[str]):
    with reverts(WRONG_MEMBERS):
        oracle.contract.set_committee(members, len(members), sender=protocol.admin)


def test_set_committee__by_somebody_else__reverts(oracle: Oracle):
    for sender in (OUTSIDER, COUNCIL, MEMBERS[0].address):
        with reverts(ROLE):
            oracle.contract.set_committee([OUTSIDER], 1, sender=sender)


def test_remove_member__council__takes_seat_and_vote_at_once(evm: Evm, oracle: Oracle, report: Report):
    contract = oracle.contract
    contract.vote(1, oracle.digest(report), sender=MEMBERS[1].address)
    collected = oracle.signatures(oracle.digest(report), (0, 1, 2))
    contract.remove_member(1, sender=COUNCIL)
    assert evm.events(contract, "MemberRemoved")[0].fields == {"place": 1, "member": MEMBERS[1].address}
    seats = [member.address for member in MEMBERS[:5]]
    assert contract.members() == [seats[0], ZERO, *seats[2:]]
    assert (contract.quorum(), contract.votes(1)) == (3, bytes(32))
    with reverts(SIGNATURE):
        contract.submit(report, *collected)
    with reverts(QUORUM):
        oracle.submit(report, (0, 2))
    with reverts(NOT_MEMBER):
        contract.vote(1, oracle.digest(report), sender=MEMBERS[1].address)
    assert oracle.submit(report, (0, 2, 4))


@pytest.mark.parametrize("first", range(5))
def test_remove_member__any__the_others_still_agree_by_quorum(oracle: Oracle, report: Report, first: int):
    """The first place carries the terms of the committee like all others."""
    second = (first + 2) % 5
    for place in (first, second):
        oracle.contract.remove_member(place, sender=COUNCIL)
    rest = sorted(set(range(5)) - {first, second})
    assert oracle.contract.quorum() == 3 and len(oracle.contract.members()) == 5
    with reverts(QUORUM):
        oracle.submit(report, rest[:2])
    with reverts(MAJORITY):
        oracle.contract.remove_member(rest[0], sender=COUNCIL)
    assert oracle.submit(report, rest[:1], voted=rest[1:])


@pytest.mark.parametrize("place", [5, 31, 32, 2**255])
def test_remove_member__nobody_there__reverts(oracle: Oracle, place: int):
    with reverts(WRONG_MEMBERS):
        oracle.contract.remove_member(place, sender=COUNCIL)


def test_remove_member__twice__reverts(oracle: Oracle):
    oracle.contract.remove_member(2, sender=COUNCIL)
    with reverts(WRONG_MEMBERS):
        oracle.contract.remove_member(2, sender=COUNCIL)


def test_remove_member__by_somebody_else__reverts(oracle: Oracle, protocol: Protocol):
    for sender in (OUTSIDER, MEMBERS[0].address, protocol.admin):
        with reverts(ROLE):
            oracle.contract.remove_member(0, sender=sender)


def test_committee__members_of_the_test__are_who_they_say():
    assert len(BY_ADDRESS) == MAX_MEMBERS + 1
