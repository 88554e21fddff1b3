"""Stake, validators, report, both exits, on a fork; and what depends on the chain's id."""

from __future__ import annotations

from typing import Any

import ape
import pytest
from eth_account import Account

from floe.beacon.ssz import key_of
from floe.deploy.plan import SNEKMATE_TOKENS, TOKEN_NAMES, domain_separator
from floe.devnet.system_contracts import BEACON_ROOTS, DEPOSIT_CONTRACT, SYSTEM, WITHDRAWAL_REQUESTS
from floe.model.beacon import Beacon, Proof
from tests.fork.calls import ETHER, PUBKEY, SIGNATURE, call, credentials_of, deposit_count, send
from tests.integration.conftest import report

DAY = 86_400
GWEI = 10**9


def later(seconds: int) -> None:
    """Let time pass, to a new block."""
    chain = ape.networks.active_provider
    chain.set_timestamp(chain.get_block("latest").timestamp + seconds)
    chain.mine(1)


def system_sends(contract: str, data: bytes) -> int:
    """Call a system contract as a block does; return that block's timestamp."""
    receipt = send(SYSTEM, contract, data)
    assert receipt["status"] == 1
    return int(ape.networks.active_provider.get_block(receipt["blockNumber"]).timestamp)


def proof_of(beacon: Beacon, index: int) -> Proof:
    """Prove a validator as it is now: the chain gets a beacon root of this slot."""
    now = ape.networks.active_provider.get_block("latest").timestamp
    beacon.slot = (now - beacon.genesis_time) // beacon.seconds_per_slot
    return beacon.prove([index], system_sends(BEACON_ROOTS, beacon.header().root))


def alone(proof: Proof) -> tuple[Any, ...]:
    """Return the arguments of `prove_one`."""
    (witness,) = proof.witnesses
    return proof.timestamp, proof.header, witness, proof.branch


def stake_32(contracts: dict[str, Any], actors: dict[str, Any]) -> tuple[Beacon, int]:
    """Let an operator predeposit a validator and everybody else do the rest; return the beacon chain and its index.

    The beacon chain is a small one; the contracts on this chain are the real ones.
    """
    registry, operator, outsider = contracts["ValidatorRegistry"], actors["operator"], actors["outsider"]
    receipt = registry.add_operator(operator, operator, 1, 10, sender=actors["council"])
    number = receipt.events.filter(registry.OperatorSet)[0].operator
    registry.predeposit(number, PUBKEY, SIGNATURE, sender=operator, value=ETHER)
    known = registry.chain_constants()
    beacon = Beacon(known.genesis_time, known.seconds_per_slot, known.slots_per_epoch, known.slashings_vector)
    for _ in range(3):
        beacon.add(bytes(32), bytes(32), 32 * GWEI)
    index = beacon.add(key_of(PUBKEY), credentials_of(contracts["WithdrawalVault"]), GWEI)
    registry.prove(proof_of(beacon, index), sender=outsider)
    registry.top_up(PUBKEY, [31 * GWEI], sender=outsider)
    validator = beacon.validators[index]
    validator.balance = validator.effective_balance = 32 * GWEI
    validator.activation_eligibility_epoch = validator.activation_epoch = beacon.epoch
    return beacon, index


def test_life_cycle__from_deposit_to_claim__every_wei(actors, contracts):
    pool, queue, lens = (contracts[name] for name in ("FloePool", "WithdrawalQueue", "Lens"))
    vault, registry = contracts["WithdrawalVault"], contracts["ValidatorRegistry"]
    chain = ape.networks.active_provider
    staker, keeper, outsider = (actors[name] for name in ("staker", "keeper", "outsider"))

    # 80 ETH in; 32 of it become a validator, through the real deposit contract. The bond is whole again.
    pool.deposit(80 * ETHER, staker, sender=staker, value=80 * ETHER)
    count = deposit_count()
    held = chain.get_balance(DEPOSIT_CONTRACT)
    beacon, index = stake_32(contracts, actors)
    assert deposit_count() == count + 2
    assert chain.get_balance(DEPOSIT_CONTRACT) == held + 32 * ETHER
    assert (pool.outside(), pool.buffer()) == (32 * ETHER, 48 * ETHER + pool.balanceOf(pool))
    operator = registry.operator(registry.operator_count())
    assert (operator.bond, operator.stake, operator.open) == (GWEI, 32 * GWEI, 1)

    # A day later it has earned, and a part of that has been credited to the vault.
    later(DAY)
    earned, credited = 10**15, 10**14
    chain.set_balance(vault.address, credited)
    report(contracts, actors, cl=32 * ETHER + earned - credited, withdrawn_at_ref=credited)
    assert vault.balance == 0
    assert pool.locked() == earned * 9 // 10
    later(2 * DAY)
    assert pool.locked() == 0
    assert pool.entry_rate() > ETHER

    # Out through the queue: everybody may fulfil and claim, the staker gets the ETH.
    shares = 30 * ETHER
    worth = pool.convertToAssets(shares)
    ticket = queue.request(shares, staker, sender=staker).events.filter(queue.Requested)[0].ticket
    report(contracts, actors)
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
    assert state.assets == 80 * ETHER + pool.balanceOf(pool) + earned - paid - some

    # The validator is asked to leave, through the real contract of EIP-7002; what is not spent comes back.
    registry.prove_one(*alone(proof_of(beacon, index)), sender=outsider)
    before, fee = keeper.balance, vault.fee(1)
    receipt = registry.request_withdrawals(PUBKEY, [0], sender=keeper, value=fee + ETHER)
    assert keeper.balance == before - fee - receipt.total_fees_paid
    request = call(WITHDRAWAL_REQUESTS, sender=SYSTEM)
    assert request == bytes.fromhex(vault.address[2:]) + PUBKEY + bytes(8)
    assert registry.under_way() == 32 * GWEI


def test_prove_slashed__on_this_chain__lowers_the_exit_rate_at_once(actors, contracts):
    pool, registry = contracts["FloePool"], contracts["ValidatorRegistry"]
    staker, outsider = actors["staker"], actors["outsider"]
    pool.deposit(80 * ETHER, staker, sender=staker, value=80 * ETHER)
    beacon, index = stake_32(contracts, actors)
    before = pool.exit_rate()
    later(10 * beacon.seconds_per_slot)
    beacon.slot += 10
    beacon.slash(index)
    receipt = registry.prove(proof_of(beacon, index), sender=outsider)
    [slashed] = receipt.events.filter(registry.Slashed)
    assert slashed.estimate == 32 * GWEI * 500 // 10_000
    assert pool.pending_loss() == slashed.estimate * 10**9
    assert pool.exit_rate() < before == pool.entry_rate()


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

    with ape.reverts("erc20: invalid signature" if name in SNEKMATE_TOKENS else "permit: wrong signer"):
        token.permit(owner, spender, 7, deadline, *signed(31337), sender=spender)
    token.permit(owner, spender, 7, deadline, *signed(chain_id), sender=spender)
    assert token.allowance(owner, spender) == 7
