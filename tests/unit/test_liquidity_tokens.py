"""The liquidity room's three tokens: ERC-20 with EIP-2612 permits and an EIP-5267 domain, as snekmate keeps them.

Permits are signed by an independent library.
"""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from floe import build
from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import OUTSIDER, RECEIVER, SAVER, SPENDER, STAKER, STAKER_KEY, UNLIMITED, Protocol

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of secp256k1."""
AMOUNT = 1_234_567_890_123_456_789
NAMES = {
    "StablePair": ("Floe ETH pair", "flLP"),
    "ExitReserve": ("Floe exit reserve", "flRES"),
    "WethVault": ("Floe ETH for WETH", "wfETH"),
}


def pair_of(protocol: Protocol) -> Contract:
    pair = protocol.evm.deploy("StablePair", protocol.pool, protocol.admin, SAVER, 400, 50_000, 200_000, 20_000)
    for account in (STAKER, SAVER):
        protocol.pool.approve(pair, UNLIMITED, sender=account)
        pair.add_liquidity(10 * ETHER, 0, sender=account, value=10 * ETHER)
    return pair


def reserve_of(protocol: Protocol) -> Contract:
    parameters = (500, 20_000, 100 * ETHER, False, ETHER // 10)
    reserve = protocol.evm.deploy("ExitReserve", protocol.pool, protocol.admin, parameters)
    for account in (STAKER, SAVER):
        reserve.deposit(10 * ETHER, account, sender=account, value=10 * ETHER)
    return reserve


def vault_of(protocol: Protocol) -> Contract:
    weth = protocol.evm.deploy("WETH9")
    vault = protocol.evm.deploy("WethVault", protocol.pool, weth)
    for account in (STAKER, SAVER):
        weth.deposit(sender=account, value=10 * ETHER)
        weth.approve(vault, UNLIMITED, sender=account)
        vault.deposit(10 * ETHER, account, sender=account)
    return vault


MAKERS = {"StablePair": pair_of, "ExitReserve": reserve_of, "WethVault": vault_of}


@pytest.fixture(params=list(MAKERS))
def coin(protocol: Protocol, request: pytest.FixtureRequest) -> Contract:
    """Return one of the tokens, of which staker and saver have had some since the block before."""
    made = MAKERS[request.param](protocol)
    protocol.evm.travel(12)
    return made


def to_nobody(coin: Contract) -> str:
    """Say how a transfer to the zero address is refused."""
    return "receiver: refused" if coin.kind == "ExitReserve" else "erc20: transfer to the zero address"


# --- what they are ---


def test_token__deployed__has_its_names_and_18_decimals(coin: Contract):
    assert (coin.name(), coin.symbol()) == NAMES[coin.kind]
    assert coin.decimals() == 18
    fields, name, version, chain, contract, salt, extensions = coin.eip712Domain()
    assert (fields, name, version, chain) == (b"\x0f", NAMES[coin.kind][0], "1", 1)
    assert (contract, salt, extensions) == (coin.address, bytes(32), [])


@pytest.mark.parametrize("contract", MAKERS)
def test_token__its_deployers_rights__are_not_there(contract: str):
    """In snekmate a token has an owner and minters; here only the contract itself makes and burns."""
    names = {entry.get("name") for entry in build.load(contract).abi if entry["type"] == "function"}
    assert not names & {"owner", "is_minter", "set_minter", "burn", "burn_from", "transfer_ownership"}


# --- moving ---


def test_transfer__amount__moves_it_and_nobody_elses(evm: Evm, coin: Contract):
    staker, saver, supply = coin.balanceOf(STAKER), coin.balanceOf(SAVER), coin.totalSupply()
    assert coin.transfer(RECEIVER, AMOUNT, sender=STAKER) is True
    assert [event.fields for event in evm.events(coin)] == [{"sender": STAKER, "receiver": RECEIVER, "value": AMOUNT}]
    assert coin.balanceOf(STAKER) == staker - AMOUNT
    assert (coin.balanceOf(RECEIVER), coin.balanceOf(SAVER), coin.totalSupply()) == (AMOUNT, saver, supply)


def test_transfer__to_oneself_or_of_nothing__changes_nothing(coin: Contract):
    held = coin.balanceOf(STAKER)
    for to, amount in ((STAKER, held), (RECEIVER, 0)):
        assert coin.transfer(to, amount, sender=STAKER) is True
    assert (coin.balanceOf(STAKER), coin.balanceOf(RECEIVER)) == (held, 0)


def test_transfer__more_than_one_has__refused(coin: Contract):
    too_much = coin.balanceOf(STAKER) + 1
    with reverts("erc20: transfer amount exceeds balance"):
        coin.transfer(RECEIVER, too_much, sender=STAKER)
    coin.approve(SPENDER, UNLIMITED, sender=STAKER)
    with reverts("erc20: transfer amount exceeds balance"):
        coin.transferFrom(STAKER, RECEIVER, too_much, sender=SPENDER)


def test_transfer__to_nobody__refused(coin: Contract):
    with reverts(to_nobody(coin)):
        coin.transfer(ZERO, AMOUNT, sender=STAKER)
    coin.approve(SPENDER, AMOUNT, sender=STAKER)
    with reverts(to_nobody(coin)):
        coin.transferFrom(STAKER, ZERO, AMOUNT, sender=SPENDER)


def test_transfer_from__allowance__is_spent_unless_unlimited(coin: Contract):
    coin.approve(SPENDER, AMOUNT, sender=STAKER)
    assert coin.transferFrom(STAKER, RECEIVER, AMOUNT - 7, sender=SPENDER) is True
    assert (coin.allowance(STAKER, SPENDER), coin.balanceOf(RECEIVER)) == (7, AMOUNT - 7)
    with reverts("erc20: insufficient allowance"):
        coin.transferFrom(STAKER, RECEIVER, 8, sender=SPENDER)
    coin.approve(SPENDER, UNLIMITED, sender=STAKER)
    coin.transferFrom(STAKER, RECEIVER, AMOUNT, sender=SPENDER)
    assert coin.allowance(STAKER, SPENDER) == UNLIMITED
    with reverts("erc20: insufficient allowance"):
        coin.transferFrom(SAVER, RECEIVER, 1, sender=SPENDER)


def test_transfer_from__nobody__refused(coin: Contract):
    with reverts("erc20: approve from the zero address"):
        coin.transferFrom(ZERO, RECEIVER, 0, sender=SPENDER)


def test_approve__amount__replaces_the_one_before(evm: Evm, coin: Contract):
    coin.approve(SPENDER, 7, sender=STAKER)
    assert coin.approve(SPENDER, 5, sender=STAKER) is True
    assert [event.fields for event in evm.events(coin)] == [{"owner": STAKER, "spender": SPENDER, "value": 5}]
    assert coin.allowance(STAKER, SPENDER) == 5
    with reverts("erc20: approve to the zero address"):
        coin.approve(ZERO, 5, sender=STAKER)


# --- permits ---


def sign(coin: Contract, *, chain_id: int = 1, **changes: Any) -> tuple[int, bytes, bytes]:
    """Sign a permit of the staker for the spender: 1000, nonce 0, a day's time, unless changed."""
    message = {"owner": STAKER, "spender": SPENDER, "value": 1000, "nonce": 0, "deadline": coin.evm.now + DAY}
    fields = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
    types = {"Permit": [{"name": n, "type": t} for n, t in [*fields, ("deadline", "uint256")]]}
    domain = {"name": NAMES[coin.kind][0], "version": "1", "chainId": chain_id, "verifyingContract": coin.address}
    signature = STAKER_KEY.sign_message(encode_typed_data(domain, types, message | changes))
    return signature.v, signature.r.to_bytes(32), signature.s.to_bytes(32)


def test_permit__owners_signature__approves_once(evm: Evm, coin: Contract):
    deadline = evm.now + DAY
    signature = sign(coin)
    coin.permit(STAKER, SPENDER, 1000, deadline, *signature, sender=OUTSIDER)
    assert [event.fields for event in evm.events(coin)] == [{"owner": STAKER, "spender": SPENDER, "value": 1000}]
    assert (coin.allowance(STAKER, SPENDER), coin.nonces(STAKER)) == (1000, 1)
    coin.transferFrom(STAKER, RECEIVER, 1000, sender=SPENDER)
    with reverts("erc20: invalid signature"):
        coin.permit(STAKER, SPENDER, 1000, deadline, *signature, sender=OUTSIDER)


def test_permit__deadline__is_inclusive(evm: Evm, coin: Contract):
    deadline = evm.now + DAY
    signature = sign(coin)
    with evm.undone():
        evm.travel(DAY + 1)
        with reverts("erc20: expired deadline"):
            coin.permit(STAKER, SPENDER, 1000, deadline, *signature, sender=OUTSIDER)
    evm.travel(DAY)
    coin.permit(STAKER, SPENDER, 1000, deadline, *signature, sender=OUTSIDER)


@pytest.mark.parametrize(
    "changes",
    [{"value": 1001}, {"nonce": 1}, {"spender": OUTSIDER}, {"deadline": 1}, {"owner": SAVER}, {"chain_id": 2}],
)
def test_permit__something_else_signed__refused(evm: Evm, coin: Contract, changes: dict[str, Any]):
    with reverts("erc20: invalid signature"):
        coin.permit(STAKER, SPENDER, 1000, evm.now + DAY, *sign(coin, **changes), sender=OUTSIDER)


def test_permit__signature_malformed_or_mirrored__refused(evm: Evm, coin: Contract):
    deadline = evm.now + DAY
    v, r, s = sign(coin)
    with reverts("ecdsa: invalid signature"):
        coin.permit(STAKER, SPENDER, 1000, deadline, 29, r, s, sender=OUTSIDER)
    mirrored = (N - int.from_bytes(s)).to_bytes(32)
    with reverts("ecdsa: invalid signature `s` value"):
        coin.permit(STAKER, SPENDER, 1000, deadline, 55 - v, r, mirrored, sender=OUTSIDER)


def test_permit__for_nobody__refused(evm: Evm, coin: Contract):
    with reverts("erc20: approve to the zero address"):
        coin.permit(STAKER, ZERO, 1000, evm.now + DAY, *sign(coin, spender=ZERO), sender=OUTSIDER)


def test_permit__of_nobody__cannot_be_signed(evm: Evm, coin: Contract):
    with reverts("erc20: invalid signature"):
        coin.permit(ZERO, SPENDER, 1000, evm.now + DAY, *sign(coin, owner=ZERO), sender=OUTSIDER)
