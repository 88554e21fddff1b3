"""Raw calls and transactions, from any address, and the data of a deposit."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import ape
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from floe.devnet.system_contracts import DEPOSIT_CONTRACT

ETHER = 10**18


def call(to: str, data: bytes = b"", sender: str | None = None) -> bytes:
    """Call without sending; raises ContractLogicError when it reverts."""
    request: Any = {"to": to, "data": data} | ({"from": sender} if sender else {})
    return bytes(ape.networks.active_provider.web3.eth.call(request))


def send(sender: str, to: str, data: bytes, value: int = 0) -> Any:
    """Send from any address, also those without a key; returns the receipt."""
    provider = ape.networks.active_provider
    provider.make_request("anvil_impersonateAccount", [sender])
    provider.set_balance(sender, 1_000 * ETHER)
    transaction = {"from": sender, "to": to, "data": "0x" + data.hex(), "value": hex(value), "gas": hex(2_000_000)}
    digest = provider.make_request("eth_sendTransaction", [transaction])
    return provider.web3.eth.wait_for_transaction_receipt(digest)


def word(number: int) -> bytes:
    """Return a number as 32 bytes."""
    return number.to_bytes(32, "big")


def selector(signature: str) -> bytes:
    """Return the first four bytes of a call."""
    return bytes(keccak(text=signature)[:4])


PUBKEY, SIGNATURE = bytes(range(48)), bytes(range(100, 196))


def deposit_data_root(pubkey: bytes, credentials: bytes, amount_gwei: int, signature: bytes) -> bytes:
    """Return hash_tree_root(DepositData) of the phase 0 spec."""
    pubkey_root = sha256(pubkey + bytes(16)).digest()
    signature_root = sha256(sha256(signature[:64]).digest() + sha256(signature[64:] + bytes(32)).digest()).digest()
    amount = amount_gwei.to_bytes(8, "little") + bytes(24)
    return sha256(sha256(pubkey_root + credentials).digest() + sha256(amount + signature_root).digest()).digest()


def deposit_call(credentials: bytes, root: bytes) -> bytes:
    """Return the call data of a deposit with the key and signature above."""
    arguments: bytes = encode(["bytes", "bytes", "bytes", "bytes32"], [PUBKEY, credentials, SIGNATURE, root])
    return selector("deposit(bytes,bytes,bytes,bytes32)") + arguments


def deposit_count() -> int:
    """Return how many deposits the contract has taken."""
    [answer] = decode(["bytes"], call(DEPOSIT_CONTRACT, selector("get_deposit_count()")))
    return int.from_bytes(answer, "little")


def credentials_of(vault: Any) -> bytes:
    """Return the compounding withdrawal credentials of an address."""
    return b"\x02" + bytes(11) + bytes.fromhex(vault.address[2:])
