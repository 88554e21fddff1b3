"""A private anvil, spoken to in plain JSON-RPC.

Nothing is mined by itself: `Node.send` puts a list of transactions into one block, in their order, at a time that the
caller decides. So a run is the same on every machine, to the last unit of gas, and ten thousand transactions take
seconds.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from floe.build import EVM_VERSION, ROOT

GENESIS_TIME = 1_767_225_600
"""Seconds since the epoch at block 0: 2026-01-01 00:00 UTC."""

SLOT = 12
"""Seconds between blocks unless the caller asks for more."""

GAS_LIMIT = 5_000_000
"""Of every transaction; far above what any costs."""

STARTUP_SECONDS = 20

BATCH = 500
"""Most calls in one HTTP request."""


class NodeError(Exception):
    """Raised when anvil did not start, answered with an error, or a transaction failed."""


@dataclass(frozen=True)
class Transaction:
    """A call from an account that needs no key; `to=None` deploys `data`. `value` is in wei."""

    sender: str
    to: str | None
    data: bytes = b""
    value: int = 0


@dataclass(frozen=True)
class Receipt:
    """What came of a transaction: gas used in all (refunds deducted), and the address of a deployed contract."""

    gas: int
    contract: str | None


@dataclass(frozen=True)
class Snapshot:
    """A state of the chain to go back to, once."""

    name: str
    time: int
    nonces: dict[str, int]


class Node:
    """One anvil on a free port of 127.0.0.1, stopped on leaving the `with` block."""

    def __init__(self) -> None:
        self.time = GENESIS_TIME
        """Timestamp of the latest block."""
        self._nonces: dict[str, int] = {}

    def __enter__(self) -> Self:
        anvil = ROOT / "node_modules" / ".bin" / "anvil"
        program = str(anvil) if anvil.exists() else shutil.which("anvil")
        if program is None:
            raise NodeError("anvil is not installed: run `make setup`")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        options = {
            "--host": "127.0.0.1",
            "--port": port,
            "--hardfork": EVM_VERSION,
            "--timestamp": GENESIS_TIME,
            "--gas-limit": 10**11,
            "--base-fee": 0,
            "--gas-price": 0,
            "--order": "fifo",
        }
        words = [str(word) for option in options.items() for word in option]
        switches = ["--silent", "--no-mining", "--auto-impersonate"]
        self._process = subprocess.Popen([program, *switches, *words], stdout=subprocess.DEVNULL)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            self._wait_until_up()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Return the result of one JSON-RPC call. Raises NodeError with the node's message."""
        return self.batch([(method, parameters)])[0]

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of many calls, in their order. Raises NodeError with the first message."""
        parts = [calls[i : i + BATCH] for i in range(0, len(calls), BATCH)]
        return [result for part in parts for result in self._post(part)]

    def call(self, to: str, data: bytes) -> bytes:
        """Return what a view returns now."""
        result: str = self.rpc("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest")
        return bytes.fromhex(result[2:])

    def balance(self, account: str) -> int:
        """Wei of `account`."""
        return int(self.rpc("eth_getBalance", account, "latest"), 16)

    def endow(self, accounts: Sequence[str], wei: int) -> None:
        """Set the balance of every account to `wei`."""
        self.batch([("anvil_setBalance", (account, hex(wei))) for account in accounts])

    def mine(self, seconds: int = SLOT) -> None:
        """Seal a block `seconds` after the latest one."""
        self.time += seconds
        self.rpc("evm_mine", self.time)

    def send(self, transactions: Sequence[Transaction], seconds: int = SLOT) -> list[Receipt]:
        """Put all transactions into one block, `seconds` after the latest one. Raises NodeError if one fails."""
        hashes = self.batch([("eth_sendTransaction", [self._request(one)]) for one in transactions])
        self.mine(seconds)
        receipts = self.batch([("eth_getTransactionReceipt", [name]) for name in hashes])
        for transaction, receipt in zip(transactions, receipts, strict=True):
            if receipt is None:
                raise NodeError(f"a transaction was not mined: {transaction}")
            if receipt["status"] != "0x1":
                raise NodeError(f"a transaction failed: {self._why(transaction, receipt)}")
        return [Receipt(int(receipt["gasUsed"], 16), receipt["contractAddress"]) for receipt in receipts]

    def snapshot(self) -> Snapshot:
        """Remember the state of the chain."""
        return Snapshot(self.rpc("evm_snapshot"), self.time, dict(self._nonces))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; it is used up. Raises NodeError when it is gone already."""
        if not self.rpc("evm_revert", snapshot.name):
            raise NodeError(f"no snapshot {snapshot.name}")
        self.time = snapshot.time
        self._nonces = dict(snapshot.nonces)

    def _post(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        body = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": list(given)}
            for i, (method, given) in enumerate(calls)
        ]
        self._connection.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
        answers = json.loads(self._connection.getresponse().read())
        answers.sort(key=lambda answer: answer["id"])
        for answer in answers:
            if "error" in answer:
                raise NodeError(f"{calls[answer['id']][0]}: {answer['error']['message']}")
        return [answer["result"] for answer in answers]

    def _request(self, transaction: Transaction) -> dict[str, str]:
        nonce = self._nonces.get(transaction.sender)
        if nonce is None:  # a contract's first is 1
            nonce = int(self.rpc("eth_getTransactionCount", transaction.sender, "latest"), 16)
        self._nonces[transaction.sender] = nonce + 1
        request = {
            "from": transaction.sender,
            "nonce": hex(nonce),
            "value": hex(transaction.value),
            "data": "0x" + transaction.data.hex(),
            "gas": hex(GAS_LIMIT if transaction.to else 6 * GAS_LIMIT),
            "gasPrice": "0x0",
        }
        return request | {"to": transaction.to} if transaction.to else request

    def _why(self, transaction: Transaction, receipt: dict[str, Any]) -> str:
        """Reason of a failure, if it fails after its block or before it as well."""
        request = self._request(transaction)
        del request["nonce"]
        for block in (receipt["blockNumber"], hex(int(receipt["blockNumber"], 16) - 1)):
            try:
                self.rpc("eth_call", request, block)
            except NodeError as error:
                return str(error)
        return f"only at its place in its block: {transaction}"

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while True:
            try:
                self.rpc("eth_chainId")
                return
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise NodeError("anvil did not start") from error
                time.sleep(0.02)

    def _stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait()
