"""Stake, validators, report, both exits, on a fork; and what depends on the chain's id."""

from __future__ import annotations

from typing import Any

import ape
import pytest
from eth_account import Account

from floe.deploy.plan import TOKEN_NAMES, domain_separator
from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from tests.fork.calls import (
    ETHER,
    PUBKEY,
    SIGNATURE,
    credentials_of,
    deposit_call,
    deposit_count,
    deposit_data_root,
    send,
)

DAY = 86_400


def later(seconds: int) -> None:
    """Let time pass, to a new block."""
    chain = ape.networks.active_provider
    chain.set_timestamp(chain.get_block("latest").timestamp + seconds)
    chain.mine(1)


def test_life_cycle__from_deposit_to_claim__every_wei(actors, contracts):
    pool, queue, lens = (contracts[name] for name in ("FloePool", "WithdrawalQueue", "Lens"))
    vault = contracts["WithdrawalVault"]
    chain = ape.networks.active_provider
    staker, oracle, registry, outsider = (actors[name] for name in ("staker", "oracle", "registry_owner", "outsider"))

    # 40 ETH in; 1 ETH of it goes through the real deposit contract, for the vault's credentials.
    pool.deposit(40 * ETHER, staker, sender=staker, value=40 * ETHER)
    pool.send_to_validators(ETHER, sender=registry)
    credentials, count = credentials_of(vault), deposit_count()
    data = deposit_call(credentials, deposit_data_root(PUBKEY, credentials, 10**9, SIGNATURE))
    assert send(registry.address, DEPOSIT_CONTRACT, data, ETHER)["status"] == 1
    assert deposit_count() == count + 1
    assert (pool.outside(), pool.buffer()) == (ETHER, 39 * ETHER + pool.balanceOf(pool))

    # A day later it has earned, and a part of that has been credited to the vault.
    later(DAY)
    earned, credited = 10**15, 10**14
    chain.set_balance(vault.address, credited)
    tail = queue.tail()
    pool.report((ETHER + earned - credited, ETHER, credited, 0, tail, 0, 0), sender=oracle)
    assert vault.balance == 0
    assert pool.locked() == earned * 9 // 10
    later(2 * DAY)
    assert pool.locked() == 0
    assert pool.entry_rate() > ETHER

    # Out through the queue: everybody may fulfil and claim, the staker gets the ETH.
    shares = 30 * ETHER
    worth = pool.convertToAssets(shares)
    ticket = queue.request(shares, staker, sender=staker).events.filter(queue.Requested)[0].ticket
    pool.report((ETHER + earned - credited, ETHER, credited, 0, queue.tail(), 0, 0), sender=oracle)
    pool.fulfil(sender=outsider)
    before = staker.balance
    paid = queue.claim(ticket, sender=outsider).events.filter(queue.Claimed)[0].ether_
    assert staker.balance == before + paid
    assert paid == worth
    assert queue.balance == 0

    # And a little at once.
    before, some = staker.balance, ETHER // 10
    receipt = pool.withdraw(some, staker, staker, sender=staker)
    assert staker.balance == before + some - receipt.total_fees_paid
    state = lens.protocol()
    assert pool.balance == state.buffer
    assert state.assets == 40 * ETHER + pool.balanceOf(pool) + earned - paid - some


@pytest.mark.parametrize("name", TOKEN_NAMES)
def test_domain__on_this_chain__has_its_id(contracts, name):
    token: Any = contracts[name]
    chain_id = ape.networks.active_provider.chain_id
    assert chain_id != 31337
    domain = token.eip712Domain()
    assert tuple(domain)[1:5] == (TOKEN_NAMES[name], "1", chain_id, token.address)
    assert bytes(token.DOMAIN_SEPARATOR()) == domain_separator(TOKEN_NAMES[name], chain_id, token.address)


@pytest.mark.parametrize("name", TOKEN_NAMES)
def test_permit__signed_for_this_chain__counts_and_for_another_not(contracts, actors, name):
    token: Any = contracts[name]
    owner, spender = actors["staker"], actors["outsider"]
    chain_id = ape.networks.active_provider.chain_id
    deadline = ape.networks.active_provider.get_block("latest").timestamp + 3_600

    def signed(on_chain: int) -> tuple[int, bytes, bytes]:
        domain = {"name": TOKEN_NAMES[name], "version": "1", "chainId": on_chain, "verifyingContract": token.address}
        kinds = (("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256"))
        fields = [{"name": field, "type": kind} for field, kind in (*kinds, ("deadline", "uint256"))]
        message = {"owner": owner.address, "spender": spender.address, "value": 7, "nonce": 0, "deadline": deadline}
        signature = Account.sign_typed_data(owner.private_key, domain, {"Permit": fields}, message)
        return signature.v, signature.r.to_bytes(32, "big"), signature.s.to_bytes(32, "big")

    with ape.reverts("permit: wrong signer"):
        token.permit(owner, spender, 7, deadline, *signed(31337), sender=spender)
    token.permit(owner, spender, 7, deadline, *signed(chain_id), sender=spender)
    assert token.allowance(owner, spender) == 7
