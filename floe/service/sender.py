"""Transactions of a daemon: one at a time, never above a price, and none forgotten over a restart.

    sender = Sender(lambda: nodes.execution, signer, store, chain_id)
    sender.settle()                                  # every round: what became of the last one?
    action = sender.send(Call("fulfil", "", pool, data, max_fee=50 * 10**9, max_gas=500_000))

A call is simulated first. Signed bytes are in the store before any node has them, so after a restart the same bytes are
sent again and not a second transaction. One that is in no block for too long is replaced for a higher price up to its
ceiling; when its call would fail by now, by an empty transaction to oneself.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception
from web3.types import TxParams

from floe.beacon.client import NONSENSE
from floe.service.retry import PassingError
from floe.service.store import DONE, FAILED, SENT, Action, Store

log = logging.getLogger(__name__)

GWEI = 10**9
_SIGNATURE = ("v", "r", "s", "accessList")
POLL = 0.5
"""Seconds between two looks for a receipt."""


class Signer(Protocol):
    """A key that signs transactions."""

    address: str
    """Checksummed."""

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Return a transaction (EIP-1559) as signed bytes."""


class SendError(PassingError):
    """A transaction that could not be sent, or whose fate is not known yet. One line."""


class RefusedError(SendError):
    """The call would fail now; the contract's reason."""


class DearError(SendError):
    """The call costs more than it may."""


@dataclass(frozen=True)
class Call:
    """A transaction to be. `kind` and `subject` are for the record."""

    kind: str
    subject: str
    to: str
    data: bytes
    max_fee: int
    """Most wei for a unit of gas, tip included."""
    max_gas: int
    value: int = 0
    note: str = ""


class Sender:
    """Sends the transactions of one account. Its errors pass: the next round tries again."""

    def __init__(
        self,
        web3: Callable[[], Web3],
        signer: Signer,
        store: Store,
        chain_id: int,
        tip: int = GWEI,
        patience: float = 30.0,
        replace_after: float = 60.0,
    ) -> None:
        self.address = signer.address
        self._web3, self._signer, self._store, self._chain_id = web3, signer, store, chain_id
        self._tip, self._patience, self._replace_after = tip, patience, replace_after

    def send(self, call: Call) -> Action:
        """Simulate, sign, store and send a call, and wait for its receipt for a while.

        Returns the action: `done`, `failed` (it reverted in its block), or still `sent`. Raises RefusedError when it
        would fail, DearError when it would cost too much, SendError while another one is under way or where the node
        does not say.
        """
        if not self.settle():
            raise SendError("the last transaction is in no block yet")
        web3 = self._web3()
        with _asking():
            gas = self._gas(web3, call)
            max_fee, tip = self._price(web3, call.max_fee)
            nonce = web3.eth.get_transaction_count(web3.to_checksum_address(self.address))
        fields = self._fields(call, nonce, gas, max_fee, tip)
        raw = self._signer.sign_transaction(fields)
        action = self._store.add_action(self._chain_id, self.address, call.kind, call.subject, call.max_fee, call.note)
        action = self._store.change_action(
            action.id, state=SENT, nonce=nonce, transactions=[(_hash(raw), Web3.to_hex(raw))]
        )
        self._broadcast(web3, raw)
        with _asking():
            return self._wait(web3, action)

    def settle(self) -> bool:
        """Look what became of transactions that were sent, here or before a restart; return whether none is open.

        One that no node has is sent again, one that waits too long is replaced. Raises SendError where the node does
        not say.
        """
        web3 = self._web3()
        for action in self._store.open_actions(self._chain_id, self.address):
            if not action.transactions:
                self._store.change_action(action.id, state=FAILED, note=f"{action.note} (never sent)".strip())
                continue
            with _asking():
                settled = self._look(web3, action)
                if settled.state == SENT:
                    settled = self._wait(web3, self._push(web3, settled))
            if settled.state == SENT:
                return False
        return True

    # --- inside ---

    def _gas(self, web3: Web3, call: Call) -> int:
        request: TxParams = {
            "from": web3.to_checksum_address(self.address),
            "to": web3.to_checksum_address(call.to),
            "data": web3.to_hex(call.data),
            "value": web3.to_wei(call.value, "wei"),
        }
        try:
            needed = web3.eth.estimate_gas(request)
        except ContractLogicError as error:
            raise RefusedError(f"{call.kind}: the call would fail: {_reason(error)}") from None
        except Web3Exception as error:
            raise RefusedError(f"{call.kind}: the node cannot simulate it: {_reason(error)}") from None
        if needed > call.max_gas:
            raise DearError(f"{call.kind}: it needs {needed} gas, at most {call.max_gas} are allowed")
        return min(needed + needed // 5, call.max_gas)  # what it needs may have risen by then

    def _price(self, web3: Web3, ceiling: int) -> tuple[int, int]:
        """Return the most for a unit of gas, and the tip in it: room for a base fee that doubles."""
        base = self._base(web3)
        if base + self._tip > ceiling:
            raise DearError(f"gas costs {(base + self._tip) / GWEI:.1f} Gwei, at most {ceiling / GWEI:g} are allowed")
        return min(2 * base + self._tip, ceiling), self._tip

    def _fields(self, call: Call, nonce: int, gas: int, max_fee: int, tip: int) -> dict[str, Any]:
        return {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": Web3.to_checksum_address(call.to),
            "value": call.value,
            "data": "0x" + call.data.hex(),
            "gas": gas,
            "maxFeePerGas": max_fee,
            "maxPriorityFeePerGas": tip,
        }

    def _broadcast(self, web3: Web3, raw: bytes) -> None:
        """Hand signed bytes to the node. That it knows them, or has them in a block already, is no error."""
        try:
            web3.eth.send_raw_transaction(raw)
        except (Web3Exception, ValueError) as error:
            log.info("the node did not take a transaction: %s", _reason(error), extra={"hash": _hash(raw)})

    def _look(self, web3: Web3, action: Action) -> Action:
        """Find the receipt of an action, or that its nonce was used by something else."""
        used = web3.eth.get_transaction_count(web3.to_checksum_address(self.address))
        for digest, raw in reversed(action.transactions):
            try:
                receipt = web3.eth.get_transaction_receipt(HexBytes(digest))
            except TransactionNotFound:
                continue
            good = receipt["status"] == 1 and not self._is_empty(_decoded(raw))
            paid = int(receipt["gasUsed"]) * int(receipt["effectiveGasPrice"])
            done = self._store.change_action(
                action.id, state=DONE if good else FAILED, gas_used=int(receipt["gasUsed"]), paid=paid
            )
            log.log(
                logging.INFO if good else logging.WARNING,
                "%s: %s",
                action.kind,
                "in a block" if good else "failed in its block",
                extra={"hash": digest, "gas": done.gas_used, "paid": paid, "block": receipt["blockNumber"]},
            )
            return done
        if action.nonce is not None and used > action.nonce:
            return self._store.change_action(
                action.id, state=FAILED, note=f"{action.note} (another transaction took its nonce)".strip()
            )
        return action

    def _wait(self, web3: Web3, action: Action) -> Action:
        until = time.monotonic() + self._patience
        while True:
            action = self._look(web3, action)
            if action.state != SENT or time.monotonic() > until:
                return action
            time.sleep(min(POLL, self._patience))

    def _push(self, web3: Web3, action: Action) -> Action:
        """Send an open transaction again: the same bytes, or for more when it has waited too long."""
        digest, raw = action.transactions[-1]
        if time.time() < action.updated_at + self._replace_after:
            self._broadcast(web3, HexBytes(raw))
            return action
        old = _decoded(raw)
        # A node takes a replacement that pays a tenth more, of both.
        least, tip = old["maxFeePerGas"] * 10 // 9 + 1, old["maxPriorityFeePerGas"] * 10 // 9 + 1
        max_fee = min(max(least, 2 * self._base(web3) + tip), action.ceiling)
        if max_fee < least:
            log.warning("%s: waits at its highest price", action.kind, extra={"hash": digest})
            self._broadcast(web3, HexBytes(raw))
            return self._store.change_action(action.id, state=SENT)  # the time of waiting begins anew
        fields = {**old, "maxFeePerGas": max_fee, "maxPriorityFeePerGas": tip}
        if not self._is_empty(old) and (reason := self._refusal(web3, old)):
            log.info("%s: taken back: %s", action.kind, reason)
            fields |= {"to": self.address, "data": "0x", "value": 0, "gas": 21_000}
        fresh = self._signer.sign_transaction(fields)
        transactions = [*action.transactions, (_hash(fresh), Web3.to_hex(fresh))]
        action = self._store.change_action(action.id, transactions=transactions)
        log.info("%s: sent again for more", action.kind, extra={"hash": _hash(fresh), "max_fee": max_fee})
        self._broadcast(web3, fresh)
        return action

    def _refusal(self, web3: Web3, fields: dict[str, Any]) -> str:
        """Return why a signed call would fail now, or cannot be simulated; "" when it would not."""
        call: TxParams = {name: fields[name] for name in ("to", "data", "value", "gas")}  # type: ignore[assignment]
        try:
            web3.eth.call({**call, "from": web3.to_checksum_address(self.address)})
        except Web3Exception as error:
            return _reason(error)
        return ""

    def _is_empty(self, fields: dict[str, Any]) -> bool:
        """Whether this is the transaction to oneself that takes another one back."""
        return bool(fields["to"] == self.address and fields["data"] == "0x")

    def _base(self, web3: Web3) -> int:
        return int(web3.eth.get_block("latest")["baseFeePerGas"])


@contextmanager
def _asking() -> Iterator[None]:
    """Make a SendError of what a node answers with an error, or in a form that web3 does not understand."""
    try:
        yield
    except (Web3Exception, *NONSENSE) as error:
        raise SendError(f"the node cannot be asked: {_reason(error)}") from error


def _hash(raw: bytes) -> str:
    return Web3.to_hex(Web3.keccak(raw))


def _decoded(raw: str) -> dict[str, Any]:
    """Return what a signed transaction says, as it was signed."""
    fields = dict(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())
    texts = {"to": Web3.to_checksum_address(fields["to"]), "data": Web3.to_hex(fields["data"])}
    return {name: texts.get(name, value) for name, value in fields.items() if name not in _SIGNATURE}


def _reason(error: Exception) -> str:
    """Say on one line what the node said."""
    found = getattr(error, "message", None) or (error.args[0] if error.args else error)
    if isinstance(found, dict):
        found = found.get("message", json.dumps(found))
    return " ".join(str(found).split()).removeprefix("execution reverted: ")[:200]
