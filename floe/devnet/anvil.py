"""anvil as execution client.

anvil knows no system calls, so every slot's block holds them as transactions of the system address, which run the real
bytecode: the beacon root (EIP-4788), the two request queues (EIP-7002, 7251), and for every withdrawal a contract that
destroys itself in favour of the receiver, whose code does not run. (Setting balances and storage from outside would
write them into the history of the block before, too.) Transactions of others are mined when they come, with the time of
the newest slot. Block hashes are anvil's own: they commit to no withdrawals, requests or beacon roots.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from eth_abi.abi import decode

from floe.devnet.execution import Attributes, ExecutionError, Payload
from floe.devnet.rpc import Rpc, RpcError
from floe.devnet.settings import MNEMONIC, Settings
from floe.devnet.system_contracts import (
    BEACON_ROOTS,
    CONSOLIDATION_REQUESTS,
    DEPOSIT_CONTRACT,
    SYSTEM,
    WITHDRAWAL_REQUESTS,
    genesis_accounts,
)

PATIENCE = 30
"""Seconds until anvil must answer."""

GWEI = 10**9
TREASURY = 10**9 * 10**18
"""Wei that the system address begins with: withdrawals, and the fees of its own transactions, come from there."""

GAS = 2_000_000
"""Limit of each system transaction: 16 withdrawal requests take 0.3 million."""
MAX_FEE = 10**15
"""Wei a gas that a system transaction may pay: more than any base fee here."""

QUEUES = {1: WITHDRAWAL_REQUESTS, 2: CONSOLIDATION_REQUESTS}
"""By request type (EIP-7685)."""


class Anvil:
    """An ExecutionSide."""

    commits_to_requests = False

    def __init__(self, settings: Settings, folder: str) -> None:
        self.settings = settings
        self.log = str(Path(folder) / "anvil.log")
        self.url, self.pid = "", 0
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._hash = b""
        self._snapshots: dict[str, tuple[str, int, bytes]] = {}

    def start(self, genesis_time: int) -> Payload:
        """Start anvil, place the contracts, and return block 0."""
        if not (program := shutil.which("anvil")):
            raise ExecutionError("anvil is not on PATH: `make setup` installs it into node_modules/.bin")
        settings = self.settings
        command = [program, "--port", str(settings.execution_port), "--chain-id", str(settings.chain_id)]
        command += ["--hardfork", "prague", "--timestamp", str(genesis_time), "--order", "fifo"]
        command += ["--mnemonic", MNEMONIC, "--accounts", str(settings.accounts)]
        command += ["--balance", str(settings.account_ether)]
        with Path(self.log).open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.pid = self._process.pid
        self.url = self._listening()
        self._rpc = Rpc(self.url)
        self._call("anvil_setLoggingEnabled", False)

        for account in genesis_accounts():
            self._call("anvil_setCode", account.address, account.code)
            self._call("anvil_setBalance", account.address, account.balance)
            self._call("anvil_setNonce", account.address, account.nonce)
            for slot, value in account.storage:
                self._call("anvil_setStorageAt", account.address, slot, value)
        # The fork's first block ends the inhibition of the queues with its system call; here that was long ago.
        for address in QUEUES.values():
            self._call("anvil_setStorageAt", address, _word(0), _word(0))
        self._call("anvil_setBalance", SYSTEM, hex(TREASURY))
        self._call("anvil_impersonateAccount", SYSTEM)
        # What is mined between two slots has the time of the first.
        self._call("anvil_setBlockTimestampInterval", 0)
        block = self._block(0)
        self._hash = _bytes(block["hash"])
        return _payload(block, b"\0" * 32)

    def stop(self) -> None:
        """Stop anvil."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def prepare(self, fee_recipient: bytes) -> None:
        """Take tips to the next slot's proposer."""
        self._call("anvil_setCoinbase", _hex(fee_recipient))

    def build(self, attributes: Attributes) -> Payload:
        """Mine the slot's block; what was mined since the slot before becomes part of the payload."""
        since = self._number
        head = self._call("eth_getBlockByNumber", hex(since), False)
        if head is None or head["hash"] != _hex(self._hash):
            raise ExecutionError("the execution chain was reverted alone: use the devnet's snapshots, which hold both")
        # Others may send transactions at any time: none may come between the queues and the calls that empty them, ...
        self._call("evm_setAutomine", False)
        queued = {kind: _bytes(self._call("eth_call", _from_system(to), "latest")) for kind, to in QUEUES.items()}
        self.prepare(attributes.fee_recipient)
        self._call("evm_setNextBlockTimestamp", attributes.timestamp)
        sent = [_from_system(BEACON_ROOTS, attributes.parent_beacon_root), *map(_from_system, QUEUES.values())]
        sent += [_from_system(None, _credit(each.address), each.amount_gwei * GWEI) for each in attributes.withdrawals]
        hashes = [self._call("eth_sendTransaction", each) for each in sent]
        self._call("evm_mine")
        # ... nor between this block and its number. Those that came meanwhile would wait.
        self._number = int(self._call("eth_blockNumber"), 16)
        self._call("evm_setAutomine", True)
        if int(self._call("txpool_status")["pending"], 16):
            self._call("evm_mine")

        blocks = [self._block(number) for number in range(since + 1, self._number + 1)]
        if missing := set(hashes) - set(blocks[-1]["transactions"]):
            raise ExecutionError(f"anvil left {len(missing)} of {len(hashes)} system calls out of block {self._number}")
        for each in hashes:
            if self._call("eth_getTransactionReceipt", each)["status"] != "0x1":
                raise ExecutionError(f"anvil: the system call {each} in block {self._number} reverted")
        requests = {0: self._deposits(since + 1), **queued}
        payload = _payload(
            blocks[-1],
            self._hash,
            prev_randao=attributes.prev_randao,
            gas_used=sum(int(block["gasUsed"], 16) for block in blocks),
            transactions=tuple(
                _bytes(self._call("eth_getRawTransactionByHash", each))
                for block in blocks
                for each in block["transactions"]
                if each not in hashes
            ),
            withdrawals=attributes.withdrawals,
            requests=tuple(bytes([kind]) + data for kind, data in requests.items() if data),
        )
        self._hash = payload.block_hash
        return payload

    def accept(self, payload: Payload, attributes: Attributes) -> None:
        """Nothing is left to do: what anvil has mined is its head."""

    def snapshot(self) -> str:
        """Remember the present state."""
        name = str(len(self._snapshots) + 1)
        self._snapshots[name] = self._call("evm_snapshot"), self._number, self._hash
        return name

    def restore(self, snapshot: str) -> None:
        """Return to a remembered state."""
        if snapshot not in self._snapshots:
            raise ExecutionError(f"there is no snapshot {snapshot}")
        there, self._number, self._hash = self._snapshots[snapshot]
        if not self._call("evm_revert", there):
            raise ExecutionError(f"anvil has lost snapshot {snapshot}: somebody has reverted to an older one")
        # anvil forgets the snapshot that it returns to, and all later ones.
        self._snapshots = dict(list(self._snapshots.items())[: int(snapshot)])
        self._snapshots[snapshot] = self._call("evm_snapshot"), self._number, self._hash

    # --- internal ---

    def _call(self, method: str, *parameters: Any) -> Any:
        try:
            return self._rpc.call(method, *parameters)
        except (OSError, RpcError) as error:
            raise ExecutionError(f"anvil: {error}") from error

    def _block(self, number: int) -> dict[str, Any]:
        block: dict[str, Any] = self._call("eth_getBlockByNumber", hex(number), False)
        return block

    def _deposits(self, since: int) -> bytes:
        """Return the deposit requests (EIP-6110) of the blocks from `since` on."""
        where = {"address": DEPOSIT_CONTRACT, "fromBlock": hex(since), "toBlock": hex(self._number)}
        logs = self._call("eth_getLogs", where)
        # pubkey, withdrawal credentials, amount, signature, index: in this order, without anything between them
        return b"".join(b"".join(decode(["bytes"] * 5, _bytes(log["data"]))) for log in logs)

    def _listening(self) -> str:
        """Wait until anvil says where it listens; return the URL."""
        assert self._process is not None
        until = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < until:
            if found := re.search(r"^Listening on (\S+)$", Path(self.log).read_text(), re.MULTILINE):
                return f"http://{found[1]}"
            time.sleep(0.02)
        raise ExecutionError(f"anvil did not start (exit code {self._process.poll()})")


def _payload(block: dict[str, Any], parent_hash: bytes, **changes: Any) -> Payload:
    """Make a payload of a block as eth_getBlockByNumber returns it."""
    fields: dict[str, Any] = {
        "parent_hash": parent_hash,
        "fee_recipient": _bytes(block["miner"]),
        "state_root": _bytes(block["stateRoot"]),
        "receipts_root": _bytes(block["receiptsRoot"]),
        "logs_bloom": _bytes(block["logsBloom"]),
        "prev_randao": _bytes(block["mixHash"]),
        "block_number": int(block["number"], 16),
        "gas_limit": int(block["gasLimit"], 16),
        "gas_used": int(block["gasUsed"], 16),
        "timestamp": int(block["timestamp"], 16),
        "extra_data": _bytes(block["extraData"]),
        "base_fee_per_gas": int(block["baseFeePerGas"], 16),
        "block_hash": _bytes(block["hash"]),
    }
    return Payload(**(fields | changes))


def _from_system(to: str | None, data: bytes = b"", value: int = 0) -> dict[str, str]:
    transaction = {"from": SYSTEM, "data": _hex(data), "value": hex(value), "gas": hex(GAS)}
    transaction |= {"maxFeePerGas": hex(MAX_FEE), "maxPriorityFeePerGas": "0x0"}
    return transaction | ({"to": to} if to else {})


def _credit(address: bytes) -> bytes:
    """Init code that leaves what it was sent to `address`: PUSH20 address, SELFDESTRUCT."""
    return b"\x73" + address + b"\xff"


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _word(number: int) -> str:
    return f"0x{number:064x}"
