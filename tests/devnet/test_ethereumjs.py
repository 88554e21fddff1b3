"""The execution side over EthereumJS alone: what a block says is what the chain then has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from floe.devnet import Devnet, DevnetError
from floe.devnet.ethereumjs import EthereumJS
from floe.devnet.execution import Attributes, ExecutionError, ExecutionSide, Payload, UnsupportedError, Withdrawal
from floe.devnet.judge import dump, judge
from floe.devnet.rpc import Rpc
from floe.devnet.settings import MNEMONIC, Settings
from floe.devnet.system_contracts import (
    BEACON_ROOTS,
    CONSOLIDATION_REQUESTS,
    CONTRACTS,
    DEPOSIT_CONTRACT,
    WITHDRAWAL_REQUESTS,
)

GENESIS_TIME = 1_900_000_000
"""In the future, as the demo's slots of hours soon are."""
SECONDS_PER_SLOT = 10_800
PROPOSER = b"\xfe" * 20
ETHER = 10**18
GWEI = 10**9


class Chain:
    """The client, and the beacon chain's part of each slot."""

    def __init__(self, folder: Path) -> None:
        self.side: ExecutionSide = EthereumJS(Settings(execution="ethereumjs", genesis_time=GENESIS_TIME), str(folder))
        self.head = self.genesis = self.side.start(GENESIS_TIME)
        self.rpc = Rpc(self.side.url)
        Account.enable_unaudited_hdwallet_features()
        self.sender = Account.from_mnemonic(MNEMONIC)
        self.nonce = 0

    def attributes(self, *withdrawals: Withdrawal) -> Attributes:
        """Return what the beacon chain fixes about the next slot."""
        number = self.head.block_number + 1
        root = sha256(b"beacon block %d" % number).digest()
        return Attributes(GENESIS_TIME + SECONDS_PER_SLOT * number, b"\x07" * 32, PROPOSER, root, withdrawals)

    def slot(self, *withdrawals: Withdrawal) -> Payload:
        """Make a block and accept it."""
        attributes = self.attributes(*withdrawals)
        built = self.side.build(attributes)
        assert built.parent_hash == self.head.block_hash
        self.side.accept(built, attributes)
        self.head = built
        return built

    def send(self, to: str, data: bytes = b"", value: int = 0, tip: int = GWEI) -> str:
        """Sign and send a transaction, which waits for the next slot; return its hash."""
        fields = {
            "chainId": 31337,
            "nonce": self.nonce,
            "to": to,
            "value": value,
            "data": data,
            "gas": 500_000,
            "maxFeePerGas": 10 * GWEI,
            "maxPriorityFeePerGas": tip,
        }
        self.nonce += 1
        return str(
            self.rpc.call(
                "eth_sendRawTransaction",
                "0x" + self.sender.sign_transaction(fields).raw_transaction.hex().removeprefix("0x"),
            )
        )

    def receipt(self, transaction: str) -> Any:
        """Return the receipt of a mined transaction."""
        return self.rpc.call("eth_getTransactionReceipt", transaction)

    def balance(self, address: bytes) -> int:
        """Return a balance in wei."""
        return int(self.rpc.call("eth_getBalance", "0x" + address.hex(), "latest"), 16)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    chain = Chain(tmp_path_factory.mktemp("ethereumjs"))
    yield chain
    chain.side.stop()


def test_start__answer__is_block_0_of_ethereumjs(chain):
    block = chain.rpc.call("eth_getBlockByNumber", "0x0", False)
    assert "EthereumJS" in chain.rpc.call("web3_clientVersion")
    assert (chain.genesis.block_number, chain.genesis.timestamp) == (0, GENESIS_TIME)
    assert block["hash"] == "0x" + chain.genesis.block_hash.hex()
    assert block["stateRoot"] == "0x" + chain.genesis.state_root.hex()


def test_start__genesis__has_contracts_and_funded_accounts(chain):
    for address in CONTRACTS:
        assert len(chain.rpc.call("eth_getCode", address, "latest")) > 100
    last = Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/19").address
    assert chain.balance(bytes.fromhex(last[2:])) == 100_000 * ETHER


def test_build__withdrawals__are_credited_in_gwei(chain):
    receiver, other = b"\x11" * 20, b"\x12" * 20
    before = chain.balance(receiver), chain.balance(other)
    withdrawals = (Withdrawal(0, 3, receiver, 5), Withdrawal(1, 4, other, 32 * GWEI), Withdrawal(2, 3, receiver, 6))
    assert chain.slot(*withdrawals).withdrawals == withdrawals
    assert (chain.balance(receiver), chain.balance(other)) == (before[0] + 11 * GWEI, before[1] + 32 * ETHER)


def test_build__beacon_root__is_read_by_its_timestamp(chain):
    attributes = chain.attributes()
    block = chain.slot()
    call = {"to": BEACON_ROOTS, "data": "0x" + block.timestamp.to_bytes(32, "big").hex()}
    assert chain.rpc.call("eth_call", call, "latest") == "0x" + attributes.parent_beacon_root.hex()


def test_build__transaction__pays_its_tip_to_the_proposer(chain):
    before = chain.balance(PROPOSER)
    sent = chain.send("0x" + "13" * 20, value=5, tip=2 * GWEI)
    block = chain.slot()
    assert keccak(block.transactions[0]).hex() == sent[2:]
    assert chain.receipt(sent)["status"] == "0x1"
    assert chain.balance(PROPOSER) - before == 21_000 * 2 * GWEI
    assert block.gas_used == 21_000


def test_build__two_transactions_of_one_account__are_in_one_block(chain):
    sent = [chain.send("0x" + "14" * 20, value=7) for _ in range(2)]
    assert len(chain.slot().transactions) == 2
    assert [chain.receipt(one)["status"] for one in sent] == ["0x1", "0x1"]
    assert chain.balance(b"\x14" * 20) == 14


def test_build__deposit__becomes_a_request(chain):
    """EIP-6110: public key, credentials, amount, signature, index of the deposit, numbers little-endian."""
    pubkey, credentials, signature = b"\x21" * 48, b"\x02" + bytes(11) + b"\x22" * 20, b"\x23" * 96
    amount = (33 * GWEI).to_bytes(8, "little")
    left = _sha(_sha(pubkey + bytes(16)) + credentials)
    right = _sha(amount + bytes(24) + _sha(_sha(signature[:64]) + _sha(signature[64:] + bytes(32))))
    arguments = encode(["bytes", "bytes", "bytes", "bytes32"], [pubkey, credentials, signature, _sha(left + right)])
    for index in range(2):
        chain.send(DEPOSIT_CONTRACT, keccak(text="deposit(bytes,bytes,bytes,bytes32)")[:4] + arguments, 33 * ETHER)
        request = b"\x00" + pubkey + credentials + amount + signature + index.to_bytes(8, "little")
        assert chain.slot().requests == (request,)
    assert chain.slot().requests == ()


@pytest.mark.parametrize(
    ("contract", "kind", "payload"),
    [
        (WITHDRAWAL_REQUESTS, b"\x01", b"\x31" * 48 + (5).to_bytes(8, "big")),
        (CONSOLIDATION_REQUESTS, b"\x02", b"\x32" * 48 + b"\x33" * 48),
    ],
    ids=["withdrawal", "consolidation"],
)
def test_build__request__is_dequeued(chain, contract, kind, payload):
    """EIP-7002 and EIP-7251: the sender's address, then what it sent, the amount little-endian."""
    chain.slot()  # the first system call ends the inhibition
    fee = int(chain.rpc.call("eth_call", {"to": contract}, "latest"), 16)
    sent = chain.send(contract, payload, fee)
    block = chain.slot()
    sender = bytes.fromhex(chain.sender.address[2:])
    tail = payload[:48] + (payload[48:][::-1] if kind == b"\x01" else payload[48:])
    assert chain.receipt(sent)["status"] == "0x1"
    assert block.requests == (kind + sender + tail,)


def test_build__twice__is_the_same_block_with_its_requests(chain):
    chain.slot()
    fee = int(chain.rpc.call("eth_call", {"to": WITHDRAWAL_REQUESTS}, "latest"), 16)
    chain.send(WITHDRAWAL_REQUESTS, bytes(56), fee)
    attributes = chain.attributes()
    first = chain.side.build(attributes)
    assert len(first.requests) == 1
    assert chain.side.build(attributes) == first
    chain.side.accept(first, attributes)
    chain.head = first


@pytest.mark.parametrize(
    "change",
    [
        {"state_root": b"\x05" * 32},
        {"requests": (b"\x01" + bytes(76),)},
        {"withdrawals": ()},
        {"withdrawals": (Withdrawal(9, 1, b"\x15" * 20, 8),)},
        {"fee_recipient": b"\x05" * 20},
        {"block_hash": b"\x05" * 32},
    ],
    ids=["state root", "requests", "no withdrawals", "withdrawal", "fee recipient", "block hash"],
)
def test_accept__changed_block__is_refused(chain, change):
    attributes = chain.attributes(Withdrawal(9, 1, b"\x15" * 20, 7))
    built = chain.side.build(attributes)
    with pytest.raises(ExecutionError, match="INVALID"):
        chain.side.accept(replace(built, **change), attributes)
    assert chain.balance(b"\x15" * 20) == 0
    assert int(chain.rpc.call("eth_blockNumber"), 16) == chain.head.block_number


def test_accept__other_beacon_root__is_refused(chain):
    attributes = chain.attributes()
    built = chain.side.build(attributes)
    with pytest.raises(ExecutionError, match="INVALID"):
        chain.side.accept(built, replace(attributes, parent_beacon_root=b"\x05" * 32))


def test_accept__checkpoints__are_what_the_chain_calls_safe_and_final(chain):
    final, safe = chain.slot(), chain.slot()
    attributes = replace(chain.attributes(), safe_block_hash=safe.block_hash, finalized_block_hash=final.block_hash)
    chain.head = chain.side.build(attributes)
    chain.side.accept(chain.head, attributes)
    for tag, payload in (("finalized", final), ("safe", safe), ("latest", chain.head)):
        assert chain.rpc.call("eth_getBlockByNumber", tag, False)["hash"] == "0x" + payload.block_hash.hex()


def test_build__time_of_the_head__is_refused(chain):
    chain.slot()
    with pytest.raises(ExecutionError, match=r"EthereumJS refuses: .*timestamp"):
        chain.side.build(replace(chain.attributes(), timestamp=chain.head.timestamp))


def test_snapshot__any__is_refused(chain):
    with pytest.raises(UnsupportedError, match="no snapshots"):
        chain.side.snapshot()
    with pytest.raises(UnsupportedError, match="no snapshots"):
        chain.side.restore("0x1")


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss (iproute2)")
def test_servers__all__listen_on_the_loopback_device_only(chain):
    listening = subprocess.run(["ss", "-Hltunp"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = [line.split()[4] for line in listening if f"pid={chain.side.pid}," in line]
    assert len(ours) == 2
    assert all(address.startswith("127.0.0.1:") for address in ours)


def test_start__port_taken__says_so_and_leaves_nothing(chain, tmp_path):
    taken = int(chain.side.url.rpartition(":")[2])
    side = EthereumJS(Settings(execution="ethereumjs", execution_port=taken), str(tmp_path))
    with pytest.raises(ExecutionError, match=r"did not start(.|\n)*EADDRINUSE"):
        side.start(GENESIS_TIME)
    with pytest.raises(ExecutionError, match="does not run"):
        _ = side.pid


def test_process__parent_killed__ends_with_it(tmp_path):
    script = (
        "import os, sys; from floe.devnet.ethereumjs import EthereumJS; from floe.devnet.settings import Settings;"
        f"side = EthereumJS(Settings(execution='ethereumjs'), sys.argv[1]); side.start({GENESIS_TIME});"
        "print(side.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert _ends(int(done.stdout))


def test_build__process_dead__raises_the_log(tmp_path):
    side = EthereumJS(Settings(execution="ethereumjs"), str(tmp_path))
    side.start(GENESIS_TIME)
    pid = side.pid
    os.kill(pid, 9)
    attributes = Attributes(GENESIS_TIME + 1, bytes(32), PROPOSER, bytes(32), ())
    with pytest.raises(ExecutionError, match=r"does not answer(.|\n)*WARN"):
        side.build(attributes)
    side.stop()
    side.stop()
    assert _ends(pid)


def test_devnet__on_ethereumjs__both_chains_have_the_same_blocks(tmp_path):
    with Devnet(execution="ethereumjs") as devnet:
        pubkey = devnet.deposit(100, b"\x02" + bytes(11) + b"\x22" * 20, 32 * GWEI)
        devnet.advance(1)
        devnet.miss(1)
        devnet.advance(3)
        body = devnet.beacon("/eth/v2/beacon/blocks/1")["data"]["message"]["body"]
        [request] = body["execution_requests"]["deposits"]
        assert request["pubkey"] == "0x" + pubkey.hex()
        head = devnet.beacon("/eth/v2/beacon/blocks/head")["data"]["message"]
        there = devnet.rpc.call("eth_getBlockByNumber", "latest", False)
        assert head["body"]["execution_payload"]["block_hash"] == there["hash"]
        assert (head["parent_root"], head["slot"]) == (there["parentBeaconBlockRoot"], "4")
        with pytest.raises(DevnetError, match="no snapshots"):
            devnet.snapshot()
        with pytest.raises(DevnetError, match="commit to their requests"):
            devnet.drop_requests(1)
        dump(devnet.beacon_url, tmp_path / "dump")
        pids = devnet.pids
    verdict = judge(tmp_path / "dump")
    assert (verdict.difference, verdict.slot, verdict.carried["depositsRequests"]) == (None, 4, 1)
    assert pids is not None
    assert all(map(_ends, pids))


def _sha(data: bytes) -> bytes:
    return sha256(data).digest()


def _ends(pid: int) -> bool:
    """Tell whether a process is gone within five seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
