"""Start and stop a devnet, and steer it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from floe.devnet.rpc import Connection, Rpc, RpcError
from floe.devnet.settings import MNEMONIC, Settings
from floe.devnet.system_contracts import DEPOSIT_CONTRACT

if TYPE_CHECKING:
    from ape.api import ProviderAPI

    from floe.beacon.deposit import DepositData

PATIENCE = 60
"""Seconds until a devnet must be up."""

GWEI = 10**9


class DevnetError(Exception):
    """The devnet did not start, has died, or refuses; the text says why, with the end of the log where it helps."""


class Devnet:
    """A devnet and the client of its controls. Use it as a context manager, or call `start` and `stop`.

    `Devnet(execution="ethereumjs", seconds_per_slot=10_800)`: the keywords are the fields of `Settings`.
    A validator is named by its index or by its public key (48 bytes or hex).
    """

    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        self.settings = replace(settings or Settings(), **changes)
        self.beacon_url = ""
        """The Beacon API, after the start."""
        self.execution_url = ""
        """JSON-RPC of the execution client, after the start."""
        self.genesis_time = 0
        self.pids: tuple[int, int] | None = None
        """Of the beacon process and of the execution process."""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    # --- start and stop ---

    def start(self) -> Devnet:
        """Start both processes and wait until they answer. Raises DevnetError."""
        self._folder = tempfile.TemporaryDirectory(prefix="floe-devnet-")
        command = [sys.executable, "-m", "floe.devnet.beacon_node", json.dumps(self.settings.as_dict()), self.folder]
        with (Path(self.folder) / "beacon.log").open("wb") as log:
            # The process ends when its input does: it cannot outlive us, however we end. A key pressed in our terminal
            # is for us alone.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        try:
            ready = json.loads(self._first_line())
        except BaseException:
            self.stop()
            raise
        self.beacon_url, self.execution_url = ready["beacon_url"], ready["execution_url"]
        self.genesis_time, self.pids = ready["genesis_time"], (self._process.pid, ready["execution_pid"])
        self._beacon, self.rpc = Connection(self.beacon_url, timeout=600), Rpc(self.execution_url)
        return self

    def stop(self) -> None:
        """Stop both processes and delete their logs."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            if self._process.returncode < 0 and self.pids is not None:
                # It was killed, and could not stop the execution process.
                with suppress(ProcessLookupError):
                    os.kill(self.pids[1], signal.SIGTERM)
            self._process = None
            if self.beacon_url:
                self._beacon.close()
                self.rpc.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Devnet:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def folder(self) -> str:
        """Where the processes keep their logs, while they run."""
        if self._folder is None:
            raise DevnetError("the devnet is not running: call start()")
        return self._folder.name

    def log(self, lines: int = 20) -> str:
        """Return the last lines of the logs of both processes."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in sorted(Path(self.folder).glob("*.log"))
        )

    # --- time ---

    @property
    def slot(self) -> int:
        """Slot that the chain has reached, with or without a block."""
        return int(self.control("GET", "info")["slot"])

    def advance(self, slots: int = 0, epochs: int = 0) -> int:
        """Make the next slots (8 an epoch); return the slot reached."""
        return int(self.control("POST", "advance", slots=slots, epochs=epochs)["slot"])

    def advance_until(self, condition: Callable[[], bool], limit: int = 400) -> int:
        """Make slots until the condition holds; return the slot reached. Raises DevnetError after `limit` slots."""
        for _ in range(limit):
            if condition():
                return self.slot
            self.advance(1)
        if condition():
            return self.slot
        raise DevnetError(f"after {limit} slots the condition does not hold yet")

    def advance_until_status(self, validator: int | str | bytes, status: str, limit: int = 400) -> int:
        """Make slots until the validator has the status (Beacon API: `active_ongoing`, ...). Raises DevnetError."""

        def reached() -> bool:
            found = self.validator(validator)
            return found is not None and found["status"] == status

        return self.advance_until(reached, limit)

    def advance_until_finalized(self, slot: int, limit: int = 400) -> int:
        """Make slots until the finalized block is at or after `slot`. Raises DevnetError."""
        finalized = "/eth/v1/beacon/headers/finalized"
        return self.advance_until(
            lambda: int(self.beacon(finalized)["data"]["header"]["message"]["slot"]) >= slot, limit
        )

    # --- what goes wrong, on demand ---

    def set_offline(self, validators: Iterable[int | str | bytes]) -> None:
        """Let exactly these validators neither attest nor propose."""
        self.control("POST", "offline", validators=_names(validators))

    def miss(self, slots: int) -> None:
        """Let the next slots pass without a block."""
        self.control("POST", "miss", slots=slots)

    def set_finality(self, on: bool) -> None:
        """Stop (or resume) all attestations, and with them finality: after four epochs inactivity leaks."""
        self.control("POST", "finality", on=on)

    def slash(self, validators: Iterable[int | str | bytes]) -> None:
        """Put a proposer slashing for each of these into the next block."""
        self.control("POST", "slash", validators=_names(validators))

    def drop_requests(self, count: int) -> None:
        """Lose the next withdrawal and consolidation requests (EIP-7002, 7251) between the chains.

        Raises DevnetError where the execution block commits to them.
        """
        self.control("POST", "drop_requests", count=count)

    # --- validators ---

    def validator(self, validator: int | str | bytes, state: str = "head") -> dict[str, Any] | None:
        """Return a validator as the Beacon API shows it, or None while it is not in the registry."""
        try:
            found: dict[str, Any] = self.beacon(f"/eth/v1/beacon/states/{state}/validators/{_name(validator)}")["data"]
        except RpcError as error:
            if error.code == 404:
                return None
            raise
        return found

    def add_keys(self, keys: Iterable[int] = (), secrets: Iterable[int] = ()) -> list[bytes]:
        """Let the devnet run further validators once they are active; return their public keys.

        `keys` are numbers of keys of the devnet's own seed, `secrets` are BLS secret keys.
        """
        answer = self.control("POST", "keys", keys=list(keys), secrets=[str(secret) for secret in secrets])
        return [bytes.fromhex(pubkey[2:]) for pubkey in answer["pubkeys"]]

    def deposit_data(self, key: int, credentials: bytes, amount_gwei: int) -> dict[str, bytes]:
        """Sign a deposit with key number `key` of the devnet's seed, which the devnet will run.

        Keys of the answer: `pubkey`, `withdrawal_credentials`, `signature`, `deposit_data_root`.
        """
        data = self.control("POST", "deposit_data", key=key, credentials=_hex(credentials), amount_gwei=amount_gwei)
        return {name: bytes.fromhex(value[2:]) for name, value in data.items()}

    def deposit(self, key: int, credentials: bytes, amount_gwei: int, account: int = -1) -> bytes:
        """Sign a deposit with key number `key`, and send it as a stranger does; return the public key."""
        from floe.beacon.deposit import DepositData

        data = self.deposit_data(key, credentials, amount_gwei)
        self.send_deposit(DepositData(amount=amount_gwei, **_without_root(data)), account)
        return data["pubkey"]

    def send_deposit(self, data: DepositData, account: int = -1) -> str:
        """Send any deposit, whoever signed it, to the deposit contract; return the transaction's hash."""
        arguments = (data.pubkey, data.withdrawal_credentials, data.signature, data.root)
        call = keccak(text="deposit(bytes,bytes,bytes,bytes32)")[:4]
        call += encode(["bytes", "bytes", "bytes", "bytes32"], arguments)
        return self.send(DEPOSIT_CONTRACT, call, data.amount * GWEI, account)

    def exit(self, validator: int | str | bytes) -> None:
        """Sign a voluntary exit of a validator that the devnet runs, and put it into the pool."""
        self.control("POST", "exit", validator=_name(validator))

    def set_fee_recipient(self, address: str, validators: Iterable[int | str | bytes] | None = None) -> None:
        """Send the tips of blocks to `address`: of blocks of these validators, or of all that have no other."""
        names = None if validators is None else _names(validators)
        self.control("POST", "fee_recipient", address=address, validators=names)

    # --- snapshots ---

    def snapshot(self) -> str:
        """Remember the state of both chains. Raises DevnetError where the execution client cannot."""
        return str(self.control("POST", "snapshot")["snapshot"])

    def restore(self, snapshot: str) -> None:
        """Return both chains to a remembered state, which stays usable; later ones are forgotten."""
        self.control("POST", "restore", snapshot=snapshot)

    # --- accounts ---

    def account(self, number: int = 0) -> LocalAccount:
        """Return a funded account; negative numbers count from the last."""
        Account.enable_unaudited_hdwallet_features()
        path = f"m/44'/60'/0'/0/{number % self.settings.accounts}"
        account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=path)
        return account

    def send(self, to: str, data: bytes = b"", value: int = 0, account: int = -1, gas: int = 1_000_000) -> str:
        """Sign and send a transaction of a funded account; return its hash.

        anvil has mined it then; other clients do with the next slot.
        """
        sender = self.account(account)
        base_fee = int(self.rpc.call("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        transaction: dict[str, Any] = {
            "chainId": self.settings.chain_id,
            "nonce": int(self.rpc.call("eth_getTransactionCount", sender.address, "latest"), 16),
            "to": to_checksum_address(to),
            "value": value,
            "data": data,
            "gas": gas,
            "maxFeePerGas": 2 * base_fee + GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
        signed = sender.sign_transaction(transaction).raw_transaction
        digest = str(self.rpc.call("eth_sendRawTransaction", "0x" + signed.hex().removeprefix("0x")))
        until = time.monotonic() + PATIENCE
        while self.settings.execution == "anvil" and self.rpc.call("eth_getTransactionReceipt", digest) is None:
            if time.monotonic() > until:
                raise DevnetError(f"anvil does not mine {digest}")
            time.sleep(0.005)
        return digest

    @contextmanager
    def ape(self) -> Iterator[ProviderAPI]:
        """Connect Ape to the execution chain, as its network `ethereum:local`."""
        import ape

        local = ape.networks.ethereum.local
        if self.settings.execution == "anvil":
            connection = local.use_provider("foundry", provider_settings={"host": self.execution_url})
        else:
            connection = local.use_provider("node", provider_settings={"uri": self.execution_url})
        with connection as provider:
            yield provider

    # --- HTTP ---

    def beacon(self, path: str) -> Any:
        """GET JSON from the Beacon API. Raises RpcError (`code` is the status), or DevnetError when it has died."""
        return json.loads(self._http("GET", path, None))

    def ssz(self, path: str) -> bytes:
        """GET a block or a state (`/eth/v2/debug/beacon/states/head`) as SSZ. Raises as `beacon`."""
        return self._http("GET", path, None, "application/octet-stream")

    def control(self, method: str, command: str, **arguments: Any) -> Any:
        """Call a control endpoint. Raises DevnetError with its message."""
        try:
            return json.loads(self._http(method, f"/floe/v1/{command}", arguments if method == "POST" else None))
        except RpcError as error:
            raise DevnetError(str(error)) from None

    # --- internal ---

    def _http(self, method: str, path: str, arguments: dict[str, Any] | None, accept: str = "") -> bytes:
        if self._process is None:
            raise DevnetError("the devnet is not running: call start()")
        body = None if arguments is None else json.dumps(arguments).encode()
        headers = {"Content-Type": "application/json", "Accept": accept or "application/json"}
        try:
            status, text = self._beacon.request(method, path, body, headers)
        except OSError as error:
            raise DevnetError(f"the devnet does not answer: {error}\n{self.log()}") from None
        if status >= 400:
            message = str(json.loads(text)["message"])
            if status in (500, 502):
                raise DevnetError(f"{path}: {message}\n{self.log()}")
            raise RpcError(path, status, message)
        return text

    def _first_line(self) -> str:
        """Wait for the line by which the beacon process says that everything is up."""
        assert self._process is not None
        assert self._process.stdout is not None
        until = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < until:
            if select.select([self._process.stdout], [], [], 0.2)[0] and (line := self._process.stdout.readline()):
                return line.decode()
        code = self._process.poll()
        what = f"is not up after {PATIENCE} seconds" if code is None else f"did not start (exit code {code})"
        raise DevnetError(f"the devnet {what}\n{self.log()}")


def _without_root(data: dict[str, bytes]) -> dict[str, bytes]:
    return {name: value for name, value in data.items() if name != "deposit_data_root"}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _name(validator: int | str | bytes) -> str:
    return _hex(validator) if isinstance(validator, bytes) else str(validator)


def _names(validators: Iterable[int | str | bytes]) -> list[str]:
    return [_name(validator) for validator in validators]
