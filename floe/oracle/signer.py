"""The key of a member: it signs reports and transactions, and never two reports for one reference slot.

A key is in an encrypted keystore, or with an external signer that speaks JSON-RPC over HTTP:

- "clef": geth's Clef (geth.ethereum.org/docs/clef/apis): account_signTypedData and account_signTransaction;
- "eth": the same calls under a node's names, eth_signTypedData_v4 (EIP-712) and eth_signTransaction.

Whatever comes back from an external signer is checked before it is used.
"""

from __future__ import annotations

import json
from typing import Any, Literal, Protocol

import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from pydantic import model_validator
from pydantic_core import PydanticCustomError
from web3 import Web3

from floe.deploy.config import Address
from floe.oracle.report import Oracle, Report, canonical, digest, signable, typed_data
from floe.service.config import Keystore, Strict, Url
from floe.service.retry import PassingError
from floe.service.sender import Signer as Payer
from floe.service.store import BoundError, Contest, Store

METHODS = {
    "clef": ("account_signTypedData", "account_signTransaction"),
    "eth": ("eth_signTypedData_v4", "eth_signTransaction"),
}
"""Of external signers: for typed data, for transactions."""
SIGNATURE_BYTES = 65
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1: the contract refuses signatures whose `s` is above it, as EIP-2 does."""
PATIENCE = 120.0
"""Seconds for an external signer: somebody may have to confirm."""


class SignerError(PassingError):
    """A key that cannot sign now, or a signature that is not one. One line."""


class SecondReportError(Exception):
    """The member has signed another report for this reference slot. One line."""


class Signer(Payer, Protocol):
    """A key: it signs transactions, and reports."""

    def sign_report(self, report: Report, oracle: Oracle) -> bytes:
        """Return an EIP-712 signature, r ‖ s ‖ v. Raises SignerError."""


class KeystoreSigner:
    """A key in this process."""

    def __init__(self, account: LocalAccount) -> None:
        self._account, self.address = account, str(account.address)

    def sign_report(self, report: Report, oracle: Oracle) -> bytes:
        """Return an EIP-712 signature."""
        return bytes(self._account.sign_message(signable(report, oracle)).signature)

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Return a signed transaction."""
        return bytes(self._account.sign_transaction(transaction).raw_transaction)


class ExternalSigner:
    """A key behind JSON-RPC."""

    def __init__(self, url: str, address: str, dialect: Literal["clef", "eth"], timeout: float = PATIENCE) -> None:
        self.address = str(to_checksum_address(address))
        self._url, self._timeout = url, timeout
        self._sign_data, self._sign_transaction = METHODS[dialect]

    def sign_report(self, report: Report, oracle: Oracle) -> bytes:
        """Return an EIP-712 signature, checked."""
        answer = self._call(self._sign_data, [self.address, typed_data(report, oracle)])
        signature = _bytes(answer)
        if recover(report, oracle, signature) != self.address:
            raise SignerError(f"the external signer's signature is not one of {self.address}")
        return signature

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Return a signed transaction, checked."""
        fields = {
            name: value if isinstance(value, str) else "0x" + value.hex() if isinstance(value, bytes) else hex(value)
            for name, value in transaction.items()
        }
        answer = self._call(self._sign_transaction, [{**fields, "from": self.address}])
        raw = _bytes(answer.get("raw") if isinstance(answer, dict) else answer)
        try:
            sender = Account.recover_transaction(raw)
            signed = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
            same = all(_plain(signed[name]) == _plain(value) for name, value in transaction.items() if name != "type")
        except Exception as error:  # the library raises many kinds
            raise SignerError(f"the external signer's answer is not a transaction: {error}") from None
        if sender != self.address or not same:
            raise SignerError("the external signer has signed another transaction than it was asked to")
        return raw

    def _call(self, method: str, parameters: list[Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        try:
            answer = requests.post(self._url, json=body, timeout=(5.0, self._timeout)).json()
        except requests.JSONDecodeError:
            raise SignerError("the external signer's answer is not JSON") from None
        except requests.RequestException as error:
            raise SignerError(f"the external signer cannot be reached: {type(error).__name__}") from None
        if not isinstance(answer, dict) or "result" not in answer:
            refusal = answer.get("error") if isinstance(answer, dict) else None
            said = refusal.get("message") if isinstance(refusal, dict) else answer
            raise SignerError(f"the external signer refuses {method}: {' '.join(str(said).split())[:200]}")
        return answer["result"]


class External(Strict):
    """A key with an external signer."""

    url: Url
    address: Address
    dialect: Literal["clef", "eth"] = "clef"


class Key(Strict):
    """A daemon's key, in its configuration: one of the two."""

    keystore: Keystore | None = None
    external: External | None = None

    @model_validator(mode="after")
    def _one(self) -> Key:
        if (self.keystore is None) == (self.external is None):
            raise PydanticCustomError("key", "name either a keystore or an external signer")
        return self

    def signer(self) -> Signer:
        """Return the key, unlocked. Raises ConfigError."""
        if self.keystore is not None:
            return KeystoreSigner(self.keystore.unlock())
        assert self.external is not None
        return ExternalSigner(self.external.url, self.external.address, self.external.dialect)


def recover(report: Report, oracle: Oracle, signature: bytes) -> str:
    """Return whose signature of a report this is (checksummed). Raises SignerError for what the contract refuses."""
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        raise SignerError("a signature has 65 bytes, and its last is 27 or 28")
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        raise SignerError("the `s` of the signature is in the upper half")
    try:
        return str(Account.recover_message(signable(report, oracle), signature=signature))
    except Exception as error:  # the library raises many kinds
        raise SignerError(f"not a signature: {error}") from None


def sign_once(store: Store, signer: Signer, report: Report, oracle: Oracle) -> bytes:
    """Return the member's signature of a report; the member is bound to it before the key is used.

    Raises SecondReportError when it is bound to another report for this reference slot, and SignerError.
    """
    contest, hashed = contest_of(report.ref_slot, oracle), digest(report, oracle)
    try:
        bound = store.bind_report(contest, signer.address, hashed, canonical(report, oracle).decode())
    except BoundError:
        other = store.bound_report(contest, signer.address)
        raise SecondReportError(
            f"{signer.address} has already agreed to 0x{other.digest.hex() if other else ''} for slot "
            f"{report.ref_slot}, and will not agree to 0x{hashed.hex()}"
        ) from None
    if bound.signature is not None:
        return bound.signature
    signature = signer.sign_report(report, oracle)
    store.keep_own_signature(contest, signer.address, signature)
    return signature


def contest_of(ref_slot: int, oracle: Oracle) -> Contest:
    """Return where the store keeps what concerns a reference slot; numbers of frames change with their length."""
    return Contest(oracle.chain_id, oracle.address, ref_slot)


def _bytes(text: object) -> bytes:
    try:
        return bytes(Web3.to_bytes(hexstr=text))  # type: ignore[arg-type]
    except Exception:  # the library raises many kinds
        raise SignerError(f"the external signer's answer is not 0x and digits: {json.dumps(text)[:80]}") from None


def _plain(value: Any) -> Any:
    """Return a field of a transaction in one form: numbers, or bytes."""
    if isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return bytes(value) if isinstance(value, bytes) else value
