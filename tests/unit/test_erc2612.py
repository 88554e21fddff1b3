"""EIP-2612 permits and the EIP-5267 domain of both tokens, signed by an independent library."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from tests.evm import DAY, ZERO, Contract, Evm, reverts
from tests.protocol import OUTSIDER, SAVER, SPENDER, STAKER, STAKER_KEY, UNLIMITED, Protocol

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of secp256k1."""
NAMES = {"FloePool": "Floe ETH", "RebasingToken": "Floe ETH rebasing"}


@pytest.fixture(params=list(NAMES))
def coin(protocol: Protocol, request: pytest.FixtureRequest) -> Contract:
    return protocol.pool if request.param == "FloePool" else protocol.token


def domain(coin: Contract, chain_id: int = 1) -> dict[str, Any]:
    return {
        "name": NAMES[coin.kind],
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": coin.address,
    }


def sign(coin: Contract, *, chain_id: int = 1, **changes: Any) -> tuple[int, bytes, bytes]:
    """Sign a permit of the staker for the spender: 1000, nonce 0, a day's time, unless changed."""
    message = {"owner": STAKER, "spender": SPENDER, "value": 1000, "nonce": 0, "deadline": coin.evm.now + DAY}
    fields = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
    types = {"Permit": [{"name": n, "type": t} for n, t in [*fields, ("deadline", "uint256")]]}
    signable = encode_typed_data(domain(coin, chain_id), types, message | changes)
    signature = STAKER_KEY.sign_message(signable)
    return signature.v, signature.r.to_bytes(32), signature.s.to_bytes(32)


def test_permit__good_signature__approves_whoever_brings_it(evm: Evm, coin: Contract):
    coin.permit(STAKER, SPENDER, 1000, evm.now + DAY, *sign(coin), sender=OUTSIDER)
    assert [e.fields for e in evm.events(coin)] == [{"owner": STAKER, "spender": SPENDER, "value": 1000}]
    assert coin.allowance(STAKER, SPENDER) == 1000
    assert coin.nonces(STAKER) == 1
    # The next one needs the next nonce.
    coin.permit(STAKER, SPENDER, UNLIMITED, evm.now + DAY, *sign(coin, value=UNLIMITED, nonce=1), sender=OUTSIDER)
    assert coin.allowance(STAKER, SPENDER) == UNLIMITED
    assert coin.nonces(STAKER) == 2


def test_bad_096_permit__deadline__is_inclusive(evm: Evm, coin: Contract):
    deadline, signature = evm.now + DAY, sign(coin)
    evm.travel(DAY + 1)
    with reverts("permit: expired"):
        coin.permit(STAKER, SPENDER, 1000, deadline, *signature)
    evm.travel(-1)
    coin.permit(STAKER, SPENDER, 1000, deadline, *signature)


@pytest.mark.parametrize(
    "change",
    [
        {"owner": SAVER},
        {"spender": OUTSIDER},
        {"value": 1001},
        {"nonce": 1},
        {"deadline": 2**255},
        {"chain_id": 5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_bad_096_permit__anything_else_signed__reverts(evm: Evm, coin: Contract, change: dict[str, Any]):
    with reverts("permit: wrong signer"):
        coin.permit(STAKER, SPENDER, 1000, evm.now + DAY, *sign(coin, **change))
    assert coin.allowance(STAKER, SPENDER) == coin.nonces(STAKER) == 0


def test_bad_096_permit__signed_for_the_other_token__reverts(evm: Evm, protocol: Protocol):
    for coin, other in ((protocol.pool, protocol.token), (protocol.token, protocol.pool)):
        with reverts("permit: wrong signer"):
            coin.permit(STAKER, SPENDER, 1000, evm.now + DAY, *sign(other))


def test_bad_096_permit__used_before__reverts(evm: Evm, coin: Contract):
    permit = (STAKER, SPENDER, 1000, evm.now + DAY, *sign(coin))
    coin.permit(*permit)
    with reverts("permit: wrong signer"):
        coin.permit(*permit)


def test_bad_096_permit__brought_by_somebody_else_first__leaves_the_allowance(evm: Evm, coin: Contract):
    """A front-runner can only do the signer's work; who bundles a permit with a call must not insist on it."""
    permit = (STAKER, SPENDER, 1000, evm.now + DAY, *sign(coin))
    coin.permit(*permit, sender=OUTSIDER)
    with reverts("permit: wrong signer"):
        coin.permit(*permit, sender=SPENDER)
    assert coin.allowance(STAKER, SPENDER) == 1000


def test_bad_096_permit__nobody_as_owner__reverts(evm: Evm, coin: Contract):
    v, r, s = sign(coin, owner=ZERO)
    for garbage in ((v, r, s), (27, b"\x01" * 32, b"\x01" * 32)):
        with reverts("permit: wrong signer"):
            coin.permit(ZERO, SPENDER, 1000, evm.now + DAY, *garbage)
    with reverts("ecdsa: invalid signature"):
        coin.permit(ZERO, SPENDER, 1000, evm.now + DAY, v, bytes(32), s)
    assert coin.allowance(ZERO, SPENDER) == 0


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_bad_096_permit__bad_v__reverts(evm: Evm, coin: Contract, v: int):
    _, r, s = sign(coin)
    with reverts("ecdsa: invalid signature"):
        coin.permit(STAKER, SPENDER, 1000, evm.now + DAY, v, r, s)


def test_bad_096_permit__malleable_twin_of_the_signature__reverts(evm: Evm, coin: Contract):
    v, r, s = sign(coin)
    twin = (N - int.from_bytes(s)).to_bytes(32)
    with reverts("ecdsa: invalid signature `s` value"):
        coin.permit(STAKER, SPENDER, 1000, evm.now + DAY, 55 - v, r, twin)


def test_eip712_domain__both_ways__is_what_the_standard_says(coin: Contract):
    fields, name, version, chain_id, contract, salt, extensions = coin.eip712Domain()
    assert fields == bytes([0x0F])  # name, version, chain id, contract; no salt
    assert {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract} == domain(coin)
    assert salt == bytes(32)
    assert extensions == []
    # The separator is in what the wallet library hashes.
    empty = encode_typed_data(domain(coin), {"Nothing": []}, {})
    assert empty.header == coin.DOMAIN_SEPARATOR()


def test_bad_096_permit__chain_forks_away__holds_on_its_own_chain_only(coin: Contract):
    """The same code, its immutables included, on a chain with another id."""
    fork = Evm(chain_id=61)
    twin = fork.at(coin.kind, fork.copy(coin))
    assert twin.address == coin.address
    assert twin.eip712Domain()[3] == 61
    assert twin.DOMAIN_SEPARATOR() != coin.DOMAIN_SEPARATOR()
    permit = (STAKER, SPENDER, 1000, coin.evm.now + DAY)
    with reverts("permit: wrong signer"):
        twin.permit(*permit, *sign(coin))
    twin.permit(*permit, *sign(coin, chain_id=61))
    with reverts("permit: wrong signer"):
        coin.permit(*permit, *sign(coin, chain_id=61))
    coin.permit(*permit, *sign(coin))
