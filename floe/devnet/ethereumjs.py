"""EthereumJS as the devnet's execution client: a real one, driven over the Engine API as by any consensus client.

Its rules are Prague's, on a beacon chain of Electra or of Fulu: what EthereumJS 10 calls "osaka" is an early draft.
It makes no block by itself, so a transaction waits for the next slot, and `pending` is not a block that it knows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from eth_account import Account

from floe.build import ROOT
from floe.devnet.execution import Attributes, ExecutionError, Payload, UnsupportedError, Withdrawal
from floe.devnet.ports import free_port
from floe.devnet.rpc import Rpc, RpcError
from floe.devnet.settings import MNEMONIC, Settings
from floe.devnet.system_contracts import DEPOSIT_CONTRACT, genesis_accounts

PATIENCE = 30
"""Seconds until the client must answer."""

GAS_LIMIT = 60_000_000
"""Of every block."""

BASE_FEE = 10**9
"""Of block 0, in wei."""

_PROGRAM = ROOT / "node_modules/@ethereumjs/client/dist/esm/bin/cli.js"
# The client ends when its input does: it cannot outlive us, however we end.
_END_WITH_INPUT = "data:text/javascript,process.stdin.on('end',()=>process.exit()).resume()"
# No peers and no search for any, nothing but the two servers on the loopback device, no log files.
_FLAGS = ["--sync", "none", "--isSingleNode", "--discDns=false", "--discV4=false", "--maxPeers", "0", "--extIP"]
_FLAGS += ["127.0.0.1", "--rpc", "--rpcAddr", "127.0.0.1", "--rpcEngine", "--rpcEngineAddr", "127.0.0.1"]
_FLAGS += ["--no-logFile", "--logLevel", "warn"]
_BLOCK_FORKS = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul"]
_BLOCK_FORKS += ["berlin", "london", "mergeFork"]
_ZERO = "0x" + "00" * 32

# Annotations are text (PEP 563).
_BYTES = [one.name for one in fields(Payload) if one.type == "bytes"]
_NUMBERS = [one.name for one in fields(Payload) if one.type == "int"]


class EthereumJS:
    """An execution side (see `ExecutionSide`) without snapshots; its blocks commit to everything in them."""

    commits_to_requests = True

    def __init__(self, settings: Settings, folder: str) -> None:
        self._settings, self._folder = settings, Path(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._secret = secrets.token_bytes(32)
        self._head: bytes
        self._built: tuple[str, Payload]
        self.url = ""
        self.log = str(self._folder / "ethereumjs.log")

    @property
    def pid(self) -> int:
        """Process id, known after `start`."""
        if self._process is None:
            raise ExecutionError("EthereumJS does not run")
        return self._process.pid

    def start(self, genesis_time: int) -> Payload:
        """Start the process and return block 0, of time `genesis_time`. Raises ExecutionError with the log's end."""
        if not _PROGRAM.exists():
            raise ExecutionError("EthereumJS is not installed: run `make setup`")
        genesis, secret, data = (self._folder / name for name in ("genesis.json", "jwt.hex", "ethereumjs"))
        genesis.write_text(json.dumps(_genesis(self._settings, genesis_time)))
        secret.write_text(self._secret.hex())
        data.mkdir()
        port, engine_port = self._settings.execution_port or free_port(), free_port()
        files = ["--gethGenesis", str(genesis), "--jwtSecret", str(secret), "--dataDir", str(data)]
        ports = ["--rpcPort", str(port), "--rpcEnginePort", str(engine_port)]
        with Path(self.log).open("wb") as log:
            self._process = subprocess.Popen(
                ["node", "--import", _END_WITH_INPUT, str(_PROGRAM), *_FLAGS, *files, *ports],
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url = f"http://127.0.0.1:{port}"
        self._rpc, self._engine = Rpc(self.url), Rpc(f"http://127.0.0.1:{engine_port}")
        try:
            return self._first_block()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the process and wait for its end. May be called twice, or after the process died."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._rpc.close()
        self._engine.close()

    def prepare(self, fee_recipient: bytes) -> None:
        """Nothing to prepare: no transaction is mined before `build`, which names the fee recipient."""

    def build(self, attributes: Attributes) -> Payload:
        """Make a block on top of the head. Raises ExecutionError."""
        answer = self._choose_head(self._head, attributes, _attributes(attributes))
        if answer["payloadId"] is None:
            raise ExecutionError(f"EthereumJS builds no block of time {attributes.timestamp}: {answer}")
        # Asked for the same block again, the client leaves the requests out.
        if self._built[0] != answer["payloadId"]:
            built = self._call("engine_getPayloadV4", answer["payloadId"])
            requests = tuple(_bytes(request) for request in built["executionRequests"])
            self._built = answer["payloadId"], replace(_payload(built["executionPayload"]), requests=requests)
        return self._built[1]

    def accept(self, payload: Payload, attributes: Attributes) -> None:
        """Let the client execute and check a block, and make it the head. Raises ExecutionError if it is invalid."""
        requests = [_hex(request) for request in payload.requests]
        root = _hex(attributes.parent_beacon_root)
        _demand_valid(self._call("engine_newPayloadV4", _engine_payload(payload), [], root, requests))
        self._choose_head(payload.block_hash, attributes, None)
        self._head = payload.block_hash

    def snapshot(self) -> str:
        """Raise UnsupportedError: the client cannot return to an earlier state."""
        raise UnsupportedError("EthereumJS has no snapshots")

    def restore(self, snapshot: str) -> None:
        """Raise UnsupportedError: the client cannot return to an earlier state."""
        raise UnsupportedError(f"EthereumJS has no snapshots, so none called {snapshot}")

    def _first_block(self) -> Payload:
        """Wait until both servers answer; return block 0."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self._authorize()
                self._engine.call("engine_exchangeCapabilities", [])
                block = self._rpc.call("eth_getBlockByNumber", "0x0", False)
                break
            except OSError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > until:
                    raise ExecutionError(f"EthereumJS did not start\n{self._log_end()}") from None
                time.sleep(0.05)
        names = {"feeRecipient": "miner", "prevRandao": "mixHash", "blockNumber": "number", "blockHash": "hash"}
        payload = _payload({**block, **{name: block[other] for name, other in names.items()}})
        self._head, self._built = payload.block_hash, ("", payload)
        return payload

    def _choose_head(self, head: bytes, checkpoints: Attributes, build: dict[str, Any] | None) -> Any:
        state = {
            "headBlockHash": _hex(head),
            "safeBlockHash": _hex(checkpoints.safe_block_hash),
            "finalizedBlockHash": _hex(checkpoints.finalized_block_hash),
        }
        answer = self._call("engine_forkchoiceUpdatedV3", state, build)
        _demand_valid(answer["payloadStatus"])
        return answer

    def _call(self, method: str, *parameters: Any) -> Any:
        """Call the Engine API. Raises ExecutionError with the client's message, or the log's end when it died."""
        self._authorize()
        try:
            return self._engine.call(method, *parameters)
        except RpcError as error:
            raise ExecutionError(f"EthereumJS refuses: {error}") from None
        except OSError as error:
            raise ExecutionError(f"EthereumJS does not answer: {error}\n{self._log_end()}") from None

    def _authorize(self) -> None:
        """Put a fresh token into the header: HS256 over the time of issue (Engine API, authentication)."""
        head, claims = ({"alg": "HS256", "typ": "JWT"}, {"iat": int(time.time())})
        text = b".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        token = text + b"." + _base64url(hmac.digest(self._secret, text, hashlib.sha256))
        self._engine.headers = {"Authorization": f"Bearer {token.decode()}"}

    def _log_end(self) -> str:
        return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-20:])


def _genesis(settings: Settings, genesis_time: int) -> dict[str, Any]:
    """Return the genesis in geth's format: Prague from block 0, the real system contracts, the funded accounts."""
    Account.enable_unaudited_hdwallet_features()
    people = [
        Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}").address
        for number in range(settings.accounts)
    ]
    contracts = {
        account.address: {
            "balance": account.balance,
            "code": account.code,
            "nonce": account.nonce,
            "storage": dict(account.storage),
        }
        for account in genesis_accounts()
    }
    config = {
        "chainId": settings.chain_id,
        **{f"{fork}Block": 0 for fork in _BLOCK_FORKS},
        **{f"{fork}Time": genesis_time for fork in ("shanghai", "cancun", "prague")},
        "terminalTotalDifficulty": 0,
        "terminalTotalDifficultyPassed": True,
        "depositContractAddress": DEPOSIT_CONTRACT,
        "blobSchedule": {
            # EIP-4844 and EIP-7691.
            "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477},
            "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716},
        },
    }
    return {
        "config": config,
        "timestamp": hex(genesis_time),
        "gasLimit": hex(GAS_LIMIT),
        "baseFeePerGas": hex(BASE_FEE),
        "nonce": "0x0",
        "difficulty": "0x0",
        "extraData": "0x",
        "mixHash": _ZERO,
        "coinbase": "0x" + "00" * 20,
        "excessBlobGas": "0x0",
        "alloc": {**contracts, **{address: {"balance": hex(settings.account_ether * 10**18)} for address in people}},
    }


def _attributes(attributes: Attributes) -> dict[str, Any]:
    """Return PayloadAttributesV3."""
    return {
        "timestamp": hex(attributes.timestamp),
        "prevRandao": _hex(attributes.prev_randao),
        "suggestedFeeRecipient": _hex(attributes.fee_recipient),
        "parentBeaconBlockRoot": _hex(attributes.parent_beacon_root),
        "withdrawals": _engine_withdrawals(attributes.withdrawals),
    }


def _engine_payload(payload: Payload) -> dict[str, Any]:
    """Return ExecutionPayloadV3."""
    return {
        **{_camel(name): _hex(getattr(payload, name)) for name in _BYTES},
        **{_camel(name): hex(getattr(payload, name)) for name in _NUMBERS},
        "transactions": [_hex(transaction) for transaction in payload.transactions],
        "withdrawals": _engine_withdrawals(payload.withdrawals),
    }


def _payload(engine: dict[str, Any]) -> Payload:
    """Read an ExecutionPayloadV3."""
    withdrawals = (
        Withdrawal(
            int(one["index"], 16), int(one["validatorIndex"], 16), _bytes(one["address"]), int(one["amount"], 16)
        )
        for one in engine["withdrawals"]
    )
    values: dict[str, Any] = {name: _bytes(engine[_camel(name)]) for name in _BYTES}
    values |= {name: int(engine[_camel(name)], 16) for name in _NUMBERS}
    transactions = tuple(_bytes(transaction) for transaction in engine["transactions"])
    return Payload(**values, transactions=transactions, withdrawals=tuple(withdrawals))


def _engine_withdrawals(withdrawals: tuple[Withdrawal, ...]) -> list[dict[str, str]]:
    """Return WithdrawalV1s."""
    return [
        {
            "index": hex(one.index),
            "validatorIndex": hex(one.validator_index),
            "address": _hex(one.address),
            "amount": hex(one.amount_gwei),
        }
        for one in withdrawals
    ]


def _demand_valid(status: dict[str, Any]) -> None:
    if status["status"] != "VALID":
        raise ExecutionError(f"EthereumJS finds the block {status['status']}: {status['validationError']}")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
