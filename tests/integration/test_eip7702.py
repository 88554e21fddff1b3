"""Accounts with a key and code at once (EIP-7702): to the protocol they are accounts like any other."""

from __future__ import annotations

from typing import Any

import ape
import pytest
from eth_account import Account

from floe.deploy import verify
from floe.deploy.execute import deploy
from floe.deploy.plan import TOKEN_NAMES
from tests.integration.conftest import report

ETHER = 10**18
DAY = 86_400
# Selector of `onERC721Received`.
ACCEPTED = bytes.fromhex("150b7a02")


@pytest.fixture(scope="module")
def contracts(actors, config, tmp_path_factory) -> dict[str, Any]:
    return verify.contracts(deploy(actors["deployer"], config, tmp_path_factory.mktemp("7702") / "here.json"))


@pytest.fixture(scope="module")
def implementation(actors):
    """Return code that takes ETH and tickets, and calls back when told to."""
    return actors["deployer"].deploy(ape.project.MockWallet)


@pytest.fixture
def delegated(actors, implementation):
    """Let the staker's account run the wallet's code, by a transaction of its own that says so."""
    staker, web3 = actors["staker"], ape.networks.active_provider.web3
    key = staker.private_key
    nonce = web3.eth.get_transaction_count(staker.address)
    chain_id = web3.eth.chain_id

    def delegate(target: str, nonce: int) -> None:
        signed = Account.sign_authorization({"chainId": chain_id, "address": target, "nonce": nonce + 1}, key)
        transaction = {
            "type": 4,
            "chainId": chain_id,
            "nonce": nonce,
            "to": staker.address,
            "value": 0,
            "gas": 200_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 0,
            "authorizationList": [signed],
        }
        digest = web3.eth.send_raw_transaction(Account.sign_transaction(transaction, key).raw_transaction)
        assert web3.eth.wait_for_transaction_receipt(digest)["status"] == 1

    delegate(implementation.address, nonce)
    assert web3.eth.get_code(staker.address) == b"\xef\x01\x00" + bytes.fromhex(implementation.address[2:])
    code = ape.project.MockWallet.at(staker.address)
    code.answer_with(ACCEPTED, sender=actors["deployer"])
    code.refuse(False, sender=actors["deployer"])
    code.react_with("0x" + "00" * 20, b"", sender=actors["deployer"])
    yield staker, code
    delegate("0x" + "00" * 20, web3.eth.get_transaction_count(staker.address))
    assert web3.eth.get_code(staker.address) == b""


def fulfil(contracts: dict[str, Any], actors: dict[str, Any]) -> None:
    """Make all exits eligible and pay them."""
    assert len(report(contracts, actors).events.filter(contracts["FloePool"].Fulfilled)) == 1


def test_bad_097_delegated_account__in_and_out__like_any_other(contracts, actors, delegated):
    pool, queue, token = (contracts[name] for name in ("FloePool", "WithdrawalQueue", "RebasingToken"))
    staker, code = delegated
    pool.deposit(10 * ETHER, staker, sender=staker, value=10 * ETHER)
    pool.transfer(actors["outsider"], ETHER, sender=staker)
    pool.approve(token, ETHER, sender=staker)
    token.wrap(ETHER, sender=staker)
    token.unwrap(ETHER, sender=staker)
    ticket = queue.request(2 * ETHER, staker, sender=staker).events.filter(queue.Requested)[0].ticket
    fulfil(contracts, actors)
    before = staker.balance
    # Its code runs when somebody else claims for it, within the gas that such a claim gives.
    code.react_with(actors["outsider"], b"", sender=actors["deployer"])
    receipt = queue.claim(ticket, sender=actors["outsider"])
    assert staker.balance - before == receipt.return_value == 2 * ETHER
    assert len(receipt.events.filter(code.Reacted)) == 1
    receipt = pool.redeem(ETHER // 10, staker, staker, sender=staker)
    assert len(receipt.events.filter(code.Reacted)) == 1


@pytest.mark.parametrize("name", TOKEN_NAMES)
def test_bad_097_permit__of_an_account_with_code__counts_by_its_key(contracts, actors, delegated, name):
    """No look at the code decides between two kinds of signature."""
    token, spender = contracts[name], actors["outsider"]
    staker, _ = delegated
    deadline = ape.chain.pending_timestamp + 3_600
    nonce = token.nonces(staker)
    here = {"chainId": ape.chain.chain_id, "verifyingContract": token.address}
    domain = {"name": TOKEN_NAMES[name], "version": "1", **here}
    kinds = zip(("owner", "spender", "value", "nonce", "deadline"), ("address",) * 2 + ("uint256",) * 3, strict=True)
    types = {"Permit": [{"name": field, "type": kind} for field, kind in kinds]}
    message = {"owner": staker.address, "spender": spender.address, "value": 7, "nonce": nonce, "deadline": deadline}
    signed = Account.sign_typed_data(staker.private_key, domain, types, message)
    token.permit(staker, spender, 7, deadline, signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32), sender=spender)
    assert token.allowance(staker, spender) == 7


def test_bad_097_claim__delegated_account_that_refuses__is_skipped_and_keeps_its_ticket(contracts, actors, delegated):
    pool, queue = contracts["FloePool"], contracts["WithdrawalQueue"]
    staker, code = delegated
    pool.deposit(10 * ETHER, staker, sender=staker, value=10 * ETHER)
    ticket = queue.request(2 * ETHER, staker, sender=staker).events.filter(queue.Requested)[0].ticket
    fulfil(contracts, actors)
    code.refuse(True, sender=actors["deployer"])
    with ape.reverts("ether: send failed"):
        queue.claim(ticket, sender=actors["outsider"])
    receipt = queue.claim_many([ticket], [], sender=actors["outsider"])
    assert len(receipt.events.filter(queue.ClaimSkipped)) == 1
    assert queue.ownerOf(ticket) == staker
    # The key names a receiver that takes it.
    before = actors["outsider"].balance
    queue.claim_to(ticket, actors["outsider"], sender=staker)
    assert actors["outsider"].balance == before + 2 * ETHER


def test_bad_097_safe_transfer__to_a_delegated_account__asks_its_code(contracts, actors, delegated):
    pool, queue = contracts["FloePool"], contracts["WithdrawalQueue"]
    staker, code = delegated
    giver = actors["outsider"]
    pool.deposit(10 * ETHER, giver, sender=giver, value=10 * ETHER)
    ticket = queue.request(ETHER, giver, sender=giver).events.filter(queue.Requested)[0].ticket
    code.answer_with(bytes(4), sender=actors["deployer"])
    with ape.reverts("receiver: not for ERC-721"):
        queue.safeTransferFrom(giver, staker, ticket, sender=giver)
    code.answer_with(ACCEPTED, sender=actors["deployer"])
    queue.safeTransferFrom(giver, staker, ticket, sender=giver)
    assert queue.ownerOf(ticket) == staker


def test_bad_097_reentry__by_the_caller_of_the_transaction_himself__is_locked(contracts, actors, delegated):
    """Sender, origin and receiver in one, and it runs code: what `tx.origin` was once thought to rule out."""
    pool, queue = contracts["FloePool"], contracts["WithdrawalQueue"]
    staker, code = delegated
    pool.deposit(10 * ETHER, staker, sender=staker, value=10 * ETHER)
    first, second = (
        queue.request(ETHER, staker, sender=staker).events.filter(queue.Requested)[0].ticket for _ in range(2)
    )
    fulfil(contracts, actors)
    some = ETHER // 10
    cases = (
        (queue, queue.claim.encode_input(second), lambda: queue.claim(first, sender=staker)),
        (
            pool,
            pool.redeem.encode_input(some, staker, staker),
            lambda: pool.redeem(some, staker, staker, sender=staker),
        ),
    )
    for target, call, outer in cases:
        code.react_with(target, call, sender=actors["deployer"])
        [reacted] = outer().events.filter(code.Reacted)
        assert (reacted.success, bytes(reacted.answer)) == (False, b"")
    assert queue.claimable(second) == ETHER
