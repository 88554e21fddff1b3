"""A local node to fork when no RPC URL is given: mainnet's chain id, and the contracts that Floe stands on.

The bytecode is the real one, of the deposit contract and of EIP-4788, 2935, 7002 and 7251, at the addresses that it has
on every chain. Where mainnet has WETH, our stand-in for it lies.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import yaml  # type: ignore[import-untyped]
from web3 import HTTPProvider, Web3

from floe import build
from floe.deploy import config as configs
from floe.devnet.ports import free_port
from floe.devnet.system_contracts import (
    BEACON_ROOTS,
    BEACON_ROOTS_LENGTH,
    CONSOLIDATION_REQUESTS,
    WITHDRAWAL_REQUESTS,
    genesis_accounts,
)

CHAIN_ID = 1


@contextmanager
def local_node() -> Iterator[str]:
    """Start the node, place the contracts, and yield its URL; stop it at the end."""
    port = free_port()
    command = ["anvil", "--port", str(port), "--chain-id", str(CHAIN_ID), "--hardfork", "prague", "--silent"]
    with subprocess.Popen(command) as node:
        try:
            url = f"http://127.0.0.1:{port}"
            _prepare(_connected(url, node))
            yield url
        finally:
            node.terminate()


def _prepare(web3: Web3) -> None:
    for account in genesis_accounts():
        _request(web3, "anvil_setCode", account.address, account.code)
        _request(web3, "anvil_setBalance", account.address, account.balance)
        _request(web3, "anvil_setNonce", account.address, account.nonce)
        for key, value in account.storage:
            _request(web3, "anvil_setStorageAt", account.address, key, value)
    mainnet = yaml.safe_load((configs.FOLDER / "mainnet.yaml").read_text(encoding="utf-8"))
    _request(web3, "anvil_setCode", mainnet["liquidity"]["weth"], "0x" + build.load("WETH9").runtime.hex())
    # Until the fork that brings them, an "excess" of 2**256 - 1 inhibits the two request queues; its first block ends
    # that with a call that every block makes from then on. This node makes no such calls.
    for address in (WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS):
        _request(web3, "anvil_setStorageAt", address, _word(0), _word(0))
    # Nor does it write beacon roots: here is one, for the block that will be forked.
    at = web3.eth.get_block("latest")["timestamp"] + 12
    slot = at % BEACON_ROOTS_LENGTH
    _request(web3, "anvil_setStorageAt", BEACON_ROOTS, _word(slot), _word(at))
    root = "0x" + sha256(b"a beacon block").hexdigest()
    _request(web3, "anvil_setStorageAt", BEACON_ROOTS, _word(slot + BEACON_ROOTS_LENGTH), root)
    _request(web3, "evm_setNextBlockTimestamp", at)
    _request(web3, "evm_mine")


def _request(web3: Web3, method: str, *parameters: Any) -> None:
    answer = web3.provider.make_request(method, list(parameters))  # type: ignore[arg-type]
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")


def _word(number: int) -> str:
    return f"0x{number:064x}"


def _connected(url: str, node: subprocess.Popen[bytes]) -> Web3:
    web3 = Web3(HTTPProvider(url))
    for _ in range(200):
        if node.poll() is not None:
            break
        if web3.is_connected():
            return web3
        time.sleep(0.05)
    raise RuntimeError("anvil does not answer")
