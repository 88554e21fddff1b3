"""The tickets as ERC-721 with metadata and ERC-4906: moving, approving, describing them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from decimal import Decimal

import pytest

from tests.evm import ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import OPERATOR, OUTSIDER, RECEIVER, SAVER, STAKER, Protocol

ACCEPTED = bytes.fromhex("150b7a02")


@pytest.fixture
def ticket(protocol: Protocol) -> int:
    """Return a ticket of the staker, who has another one before it."""
    protocol.request(3 * ETHER)
    return protocol.request(2 * ETHER)


def both_transfers(queue: Contract):
    """Return `transferFrom` and `safeTransferFrom`, with and without data, under their names."""
    return {
        "transferFrom": queue.transferFrom,
        "safeTransferFrom": queue.safeTransferFrom,
        "safeTransferFrom with data": lambda owner, to, ticket, **options: queue.safeTransferFrom(
            owner, to, ticket, b"data", **options
        ),
    }


TRANSFERS = ("transferFrom", "safeTransferFrom", "safeTransferFrom with data")


@pytest.mark.parametrize("way", TRANSFERS)
def test_transfer__by_the_owner__moves_ticket_and_balances(evm: Evm, queue: Contract, ticket: int, way: str):
    interval = queue.interval(ticket)
    both_transfers(queue)[way](STAKER, RECEIVER, ticket, sender=STAKER)
    assert [(e.name, e.fields) for e in evm.events(queue)] == [
        ("Transfer", {"sender": STAKER, "receiver": RECEIVER, "token_id": ticket})
    ]
    assert queue.ownerOf(ticket) == RECEIVER
    assert (queue.balanceOf(STAKER), queue.balanceOf(RECEIVER)) == (1, 1)
    assert queue.interval(ticket) == interval


@pytest.mark.parametrize("way", TRANSFERS)
def test_transfer__by_approved_or_operator__is_allowed_and_clears_the_approval(queue: Contract, ticket: int, way: str):
    transfer = both_transfers(queue)[way]
    queue.approve(OPERATOR, ticket, sender=STAKER)
    transfer(STAKER, SAVER, ticket, sender=OPERATOR)
    assert queue.getApproved(ticket) == ZERO
    with reverts("ticket: caller may not"):
        transfer(SAVER, STAKER, ticket, sender=OPERATOR)
    queue.setApprovalForAll(OPERATOR, True, sender=SAVER)
    transfer(SAVER, STAKER, ticket, sender=OPERATOR)
    assert queue.ownerOf(ticket) == STAKER


@pytest.mark.parametrize("way", TRANSFERS)
def test_transfer__by_anybody_else__reverts(queue: Contract, ticket: int, way: str):
    for sender in (OUTSIDER, RECEIVER, SAVER):
        with reverts("ticket: caller may not"):
            both_transfers(queue)[way](STAKER, RECEIVER, ticket, sender=sender)


@pytest.mark.parametrize("way", TRANSFERS)
def test_transfer__from_somebody_else__reverts(queue: Contract, ticket: int, way: str):
    with reverts("ticket: not the owner's"):
        both_transfers(queue)[way](SAVER, RECEIVER, ticket, sender=STAKER)


@pytest.mark.parametrize("way", TRANSFERS)
def test_transfer__no_such_ticket__reverts(queue: Contract, ticket: int, way: str):
    for number in (0, ticket + 1):
        with reverts("ticket: does not exist"):
            both_transfers(queue)[way](STAKER, RECEIVER, number, sender=STAKER)
        with reverts("ticket: does not exist"):
            both_transfers(queue)[way](ZERO, RECEIVER, number, sender=STAKER)


@pytest.mark.parametrize("way", TRANSFERS)
@pytest.mark.parametrize("receiver", ["nobody", "pool", "queue"])
def test_transfer__receiver_refused__reverts(protocol: Protocol, ticket: int, way: str, receiver: str):
    refused = {"nobody": ZERO, "pool": protocol.pool, "queue": protocol.queue}[receiver]
    with reverts("receiver: refused"):
        both_transfers(protocol.queue)[way](STAKER, refused, ticket, sender=STAKER)


@pytest.mark.parametrize("way", TRANSFERS)
def test_transfer__to_oneself__changes_nothing_but_the_approval(queue: Contract, ticket: int, way: str):
    queue.approve(OPERATOR, ticket, sender=STAKER)
    both_transfers(queue)[way](STAKER, STAKER, ticket, sender=STAKER)
    assert queue.ownerOf(ticket) == STAKER
    assert queue.balanceOf(STAKER) == 2
    assert queue.getApproved(ticket) == ZERO


@pytest.mark.parametrize("way", TRANSFERS)
def test_transfer__partly_claimed_ticket__takes_the_rest_along(protocol: Protocol, way: str):
    queue = protocol.queue
    number = protocol.request(4 * ETHER)
    protocol.report(tail=3 * ETHER)
    protocol.pool.fulfil()
    queue.claim(number)
    both_transfers(queue)[way](STAKER, RECEIVER, number, sender=STAKER)
    assert queue.claimed_until(number) == 3 * ETHER
    protocol.report()
    protocol.pool.fulfil()
    assert queue.claim(number) == protocol.evm.balance(RECEIVER) > 0
    assert queue.balanceOf(RECEIVER) == 0


def test_safe_transfer__to_a_contract__asks_it_and_passes_the_data_on(
    evm: Evm, queue: Contract, protocol: Protocol, ticket: int
):
    wallet = protocol.wallet()
    wallet.react_with(wallet, wallet.encode("refuse", False))
    queue.safeTransferFrom(STAKER, wallet, ticket, b"\x01" * 1024, sender=STAKER)
    assert [e.name for e in evm.events()] == ["Transfer", "Reacted"]
    assert queue.ownerOf(ticket) == wallet.address


def test_safe_transfer__contract_does_not_accept__reverts(evm: Evm, queue: Contract, protocol: Protocol, ticket: int):
    wallet = protocol.wallet()
    wallet.answer_with(b"\x00" * 4)
    with reverts("receiver: not for ERC-721"):
        queue.safeTransferFrom(STAKER, wallet, ticket, sender=STAKER)
    with reverts("receiver: not for ERC-721"):
        queue.safeTransferFrom(STAKER, wallet, ticket, b"data", sender=STAKER)
    # A contract that knows nothing of tickets, and one that answers everything with nothing.
    for unaware in (protocol.registry, evm.place("00"), protocol.withdrawal_vault):
        with reverts():
            queue.safeTransferFrom(STAKER, unaware, ticket, sender=STAKER)
    wallet.answer_with(ACCEPTED)
    queue.safeTransferFrom(STAKER, wallet, ticket, sender=STAKER)


def test_approve__by_owner_or_operator__is_logged_and_can_be_withdrawn(evm: Evm, queue: Contract, ticket: int):
    queue.approve(SAVER, ticket, sender=STAKER)
    assert evm.events(queue)[0].fields == {"owner": STAKER, "approved": SAVER, "token_id": ticket}
    assert queue.getApproved(ticket) == SAVER
    # Who is approved for one ticket may not approve others.
    with reverts("ticket: caller may not"):
        queue.approve(OUTSIDER, ticket, sender=SAVER)
    queue.setApprovalForAll(OPERATOR, True, sender=STAKER)
    queue.approve(ZERO, ticket, sender=OPERATOR)
    assert queue.getApproved(ticket) == ZERO


def test_approve__anybody_else_or_no_ticket__reverts(queue: Contract, ticket: int):
    with reverts("ticket: caller may not"):
        queue.approve(OUTSIDER, ticket, sender=OUTSIDER)
    with reverts("ticket: does not exist"):
        queue.approve(OUTSIDER, ticket + 1, sender=STAKER)
    with reverts("ticket: does not exist"):
        queue.getApproved(ticket + 1)


def test_set_approval_for_all__on_and_off__is_logged(evm: Evm, queue: Contract, ticket: int):
    for approved in (True, False):
        queue.setApprovalForAll(OPERATOR, approved, sender=STAKER)
        assert evm.events(queue)[0].fields == {"owner": STAKER, "operator": OPERATOR, "approved": approved}
        assert queue.isApprovedForAll(STAKER, OPERATOR) is approved
    with reverts("ticket: caller may not"):
        queue.transferFrom(STAKER, RECEIVER, ticket, sender=OPERATOR)


def test_balance_of__nobody__reverts(queue: Contract):
    with reverts("receiver: refused"):
        queue.balanceOf(ZERO)
    assert queue.balanceOf(RECEIVER) == 0


def test_owner_of__no_such_ticket__reverts(queue: Contract, ticket: int):
    for number in (0, ticket + 1, 2**256 - 1):
        with reverts("ticket: does not exist"):
            queue.ownerOf(number)


def test_interval__number_never_given_out__reverts(queue: Contract, ticket: int):
    for number in (0, ticket + 1, 2**256 - 1):
        with reverts("ticket: does not exist"):
            queue.interval(number)
        with reverts("ticket: does not exist"):
            queue.claimed_until(number)
        assert queue.claimable(number) == queue.pending(number) == queue.hint(number) == 0


# --- metadata ---


def metadata(queue: Contract, ticket: int) -> tuple[dict[str, object], dict[str, str]]:
    """Take the token URI apart: the JSON without its picture, and the words in the picture by their height."""
    kind, _, content = queue.tokenURI(ticket).partition(",")
    assert kind == "data:application/json;utf8"
    read = json.loads(content)
    kind, _, picture = read.pop("image").partition(",")
    assert kind == "data:image/svg+xml;utf8"
    assert not set('"#%') & set(picture), "does not survive inside a URI"
    svg = ElementTree.fromstring(picture)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    return read, {str(text.get("y")): str(text.text) for text in svg.iter("{http://www.w3.org/2000/svg}text")}


def test_token_uri__through_a_tickets_life__says_what_it_is_worth(protocol: Protocol):
    queue = protocol.queue
    number = protocol.request(4_123_456_789_012_345_678)

    def says(state: str, shares: str) -> None:
        claimable = str((Decimal(queue.claimable(number)) / ETHER).quantize(Decimal("0.000001"), rounding="ROUND_DOWN"))
        read, words = metadata(queue, number)
        assert read["name"] == f"Floe exit {number}"
        assert read["attributes"] == [
            {"trait_type": "state", "value": state},
            {"trait_type": "shares", "value": shares},
            {"trait_type": "claimable ETH", "value": claimable},
        ]
        assert list(words.values()) == [
            f"Floe exit {number}",
            state,
            f"{shares} floETH",
            f"{claimable} ETH to claim",
        ]

    says("waiting", "4.123456")
    protocol.report(tail=3 * ETHER)
    protocol.pool.fulfil()
    says("partly ready", "4.123456")
    queue.claim(number)
    says("waiting", "1.123456")
    protocol.report()
    protocol.pool.fulfil()
    says("ready", "1.123456")
    queue.claim(number)
    with reverts("ticket: does not exist"):
        queue.tokenURI(number)


def test_token_uri__never_made__reverts(queue: Contract):
    with reverts("ticket: does not exist"):
        queue.tokenURI(1)


def test_erc4906__filling_and_partial_claims__announce_new_metadata(evm: Evm, protocol: Protocol):
    queue = protocol.queue
    number = protocol.request(4 * ETHER)
    protocol.report(tail=3 * ETHER)
    before = queue.tokenURI(number)
    protocol.pool.fulfil()
    assert evm.events(queue)[-1].name == "BatchMetadataUpdate"
    first, last = evm.events(queue)[-1].fields.values()
    assert first <= number <= last
    between = queue.tokenURI(number)
    queue.claim(number)
    assert evm.events(queue)[-1].fields == {"_tokenId": number}
    assert len({before, between, queue.tokenURI(number)}) == 3


@pytest.mark.parametrize(
    ("interface", "supported"),
    [
        ("01ffc9a7", True),  # ERC-165
        ("80ac58cd", True),  # ERC-721
        ("5b5e139f", True),  # ERC-721 metadata
        ("49064906", True),  # ERC-4906
        ("780e9d63", False),  # ERC-721 enumerable: tickets are found by events
        ("ffffffff", False),
        ("00000000", False),
    ],
)
def test_supports_interface__each__is_answered(queue: Contract, interface: str, supported: bool):
    assert queue.supportsInterface(bytes.fromhex(interface)) is supported
    assert queue.evm.gas_used - 21_000 < 30_000
