"""The chain's own contracts, which Floe stands on, answer as their EIPs say, and one takes our deposit."""

from __future__ import annotations

import ape
import pytest
from eth_abi.abi import decode
from web3.exceptions import ContractLogicError

from floe.devnet.system_contracts import (
    BEACON_ROOTS,
    BEACON_ROOTS_LENGTH,
    BLOCK_HASHES,
    CONSOLIDATION_REQUESTS,
    CONTRACTS,
    DEPOSIT_CONTRACT,
    SYSTEM,
    WITHDRAWAL_REQUESTS,
)
from tests.fork.calls import (
    ETHER,
    PUBKEY,
    SIGNATURE,
    call,
    credentials_of,
    deposit_call,
    deposit_count,
    deposit_data_root,
    selector,
    send,
    word,
)

# --- the deposit contract ---


@pytest.mark.parametrize("address", CONTRACTS)
def test_system_contract__at_its_address__has_code(address):
    assert len(ape.networks.active_provider.web3.eth.get_code(address)) > 80


def test_deposit_contract__one_ether_for_the_vault__is_taken(actors, contracts):
    chain = ape.networks.active_provider
    credentials = credentials_of(contracts["WithdrawalVault"])
    root = deposit_data_root(PUBKEY, credentials, 10**9, SIGNATURE)
    count, held = deposit_count(), chain.get_balance(DEPOSIT_CONTRACT)
    root_before = call(DEPOSIT_CONTRACT, selector("get_deposit_root()"))
    receipt = send(actors["operator"].address, DEPOSIT_CONTRACT, deposit_call(credentials, root), ETHER)
    assert receipt["status"] == 1
    assert deposit_count() == count + 1
    assert chain.get_balance(DEPOSIT_CONTRACT) == held + ETHER
    assert call(DEPOSIT_CONTRACT, selector("get_deposit_root()")) != root_before
    [log] = receipt["logs"]
    assert decode(["bytes"] * 5, bytes(log["data"])) == (
        PUBKEY,
        credentials,
        (10**9).to_bytes(8, "little"),
        SIGNATURE,
        count.to_bytes(8, "little"),
    )


def test_deposit_contract__root_of_other_data__refused(actors, contracts):
    credentials = credentials_of(contracts["WithdrawalVault"])
    root = deposit_data_root(PUBKEY, credentials, 2 * 10**9, SIGNATURE)
    receipt = send(actors["operator"].address, DEPOSIT_CONTRACT, deposit_call(credentials, root), ETHER)
    assert receipt["status"] == 0


# --- EIP-4788 ---


def test_beacon_roots__of_the_forked_block__there(forked_block):
    root = call(BEACON_ROOTS, word(forked_block.timestamp))
    assert len(root) == 32
    assert any(root)


@pytest.mark.parametrize(
    "data",
    [word(0), word(1), word(2**255), b"", bytes(31), bytes(33)],
    ids=["zero", "long ago", "far away", "empty", "31 bytes", "33 bytes"],
)
def test_beacon_roots__what_is_not_in_the_ring__reverts(data):
    with pytest.raises(ContractLogicError):
        call(BEACON_ROOTS, data)


def test_beacon_roots__a_round_later__overwritten():
    chain = ape.networks.active_provider
    send(SYSTEM, BEACON_ROOTS, word(111))
    first = chain.get_block("latest").timestamp
    assert call(BEACON_ROOTS, word(first)) == word(111)
    chain.set_timestamp(first + BEACON_ROOTS_LENGTH)
    send(SYSTEM, BEACON_ROOTS, word(222))
    assert call(BEACON_ROOTS, word(first + BEACON_ROOTS_LENGTH)) == word(222)
    with pytest.raises(ContractLogicError):
        call(BEACON_ROOTS, word(first))


def test_beacon_roots__anybody_but_the_system__only_reads(actors):
    receipt = send(actors["outsider"].address, BEACON_ROOTS, word(333))
    assert receipt["status"] == 0


# --- EIP-2935 ---


def test_block_hashes__set_by_the_system__read_by_number():
    chain = ape.networks.active_provider
    send(SYSTEM, BLOCK_HASHES, word(444))
    number = chain.get_block("latest").number
    assert call(BLOCK_HASHES, word(number - 1)) == word(444)
    with pytest.raises(ContractLogicError):
        call(BLOCK_HASHES, word(number + 1))


# --- EIP-7002 and EIP-7251 ---


@pytest.mark.parametrize(
    ("address", "data"),
    [
        (WITHDRAWAL_REQUESTS, PUBKEY + (32 * 10**9).to_bytes(8, "big")),
        (CONSOLIDATION_REQUESTS, PUBKEY + PUBKEY[::-1]),
    ],
    ids=["EIP-7002", "EIP-7251"],
)
def test_request_queue__fee_is_read_and_paid__the_system_gets_the_request(actors, address, data):
    fee = int.from_bytes(call(address), "big")
    assert fee >= 1
    sender = actors["outsider"].address
    assert send(sender, address, data, fee - 1)["status"] == 0
    assert send(sender, address, data[:-1], fee)["status"] == 0
    call(address, b"", SYSTEM)
    send(SYSTEM, address, b"")  # empties what others have queued
    fee = int.from_bytes(call(address), "big")
    assert send(sender, address, data, fee)["status"] == 1
    # The system reads the amount of a withdrawal the other way round.
    passed_on = data if address == CONSOLIDATION_REQUESTS else data[:48] + data[48:][::-1]
    assert call(address, b"", SYSTEM) == bytes.fromhex(sender[2:]) + passed_on


def test_request_queue__many_requests__dearer(actors):
    fee = int.from_bytes(call(WITHDRAWAL_REQUESTS), "big")
    for number in range(60):
        data = number.to_bytes(48, "big") + bytes(8)
        assert send(actors["outsider"].address, WITHDRAWAL_REQUESTS, data, fee)["status"] == 1
    send(SYSTEM, WITHDRAWAL_REQUESTS, b"")
    assert int.from_bytes(call(WITHDRAWAL_REQUESTS), "big") > fee
