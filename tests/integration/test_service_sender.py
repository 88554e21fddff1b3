"""The daemons' sender of transactions on anvil: blocks come when the test says, and nodes forget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ape
import pytest
from eth_account import Account
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint, RPCResponse

from floe.oracle.signer import KeystoreSigner
from floe.service.sender import Call, DearError, RefusedError, Sender, SendError
from floe.service.store import DONE, FAILED, SENT, Action, Store

GWEI = 10**9
CEILING = 50 * GWEI
SWITCH = Web3.to_checksum_address("0x" + "5a" * 20)
CODE = "0x5f54600657005b5f5ffd"
"""Stops while storage slot 0 is empty, else reverts."""
CALL = Call("flip", "why", SWITCH, b"\x01\x02", max_fee=CEILING, max_gas=100_000, value=0)


class Troubled(HTTPProvider):
    """A node that answers some methods otherwise than it should."""

    answers: dict[str, dict[str, Any]]

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Send a request, unless the answer is known before."""
        answer = {"jsonrpc": "2.0", "id": 1, **self.answers.get(method, {})}
        return answer if method in self.answers else super().make_request(method, params)  # type: ignore[return-value]


class Chain:
    """An account on an anvil, and its sender with a store; no block comes by itself."""

    def __init__(self, web3: Web3, folder: Path) -> None:
        self.web3, self._folder = web3, folder
        self.signer = KeystoreSigner(Account.create())
        self.store = Store(f"sqlite:///{folder}/store.sqlite")
        self.rpc("anvil_setBalance", self.signer.address, hex(10**18))
        self.rpc("anvil_setCode", SWITCH, CODE)
        self.rpc("evm_setAutomine", False)
        self.sender = self.started()

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Call the node."""
        answer = self.web3.provider.make_request(method, list(parameters))  # type: ignore[arg-type]
        assert "error" not in answer, answer
        return answer.get("result")

    def started(self, **settings: Any) -> Sender:
        """Return the sender of a daemon that was started anew."""
        store = Store(f"sqlite:///{self._folder}/store.sqlite")
        chosen = {"patience": 0.0, "replace_after": 3_600.0, **settings}
        return Sender(lambda: self.web3, self.signer, store, self.web3.eth.chain_id, **chosen)

    def mine(self) -> None:
        """Make a block with what waits."""
        self.rpc("evm_mine")

    def switch(self, on: bool) -> None:
        """Let calls revert, or not."""
        self.rpc("anvil_setStorageAt", SWITCH, "0x" + "00" * 32, "0x" + f"{int(on):064x}")

    def only(self) -> Action:
        """Return the only action."""
        [action] = self.store.actions(self.web3.eth.chain_id, self.signer.address)
        return action

    @property
    def nonce(self) -> int:
        """How many transactions of the account are in blocks."""
        return self.web3.eth.get_transaction_count(Web3.to_checksum_address(self.signer.address))

    def waiting(self) -> dict[str, Any]:
        """Return the account's transaction that the node knows and has in no block."""
        pending = {address.lower(): found for address, found in self.rpc("txpool_content")["pending"].items()}
        [transaction] = pending[self.signer.address.lower()].values()
        return dict(transaction)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    chain = Chain(Web3(HTTPProvider(ape.networks.active_provider.uri)), tmp_path)
    yield chain
    chain.store.close()
    chain.rpc("anvil_dropAllTransactions")
    chain.rpc("evm_setAutomine", True)


def test_send__good_call__in_a_block_with_its_cost(chain: Chain):
    chain.rpc("evm_setAutomine", True)
    action = chain.started(patience=10.0).send(CALL)
    receipt = chain.web3.eth.get_transaction_receipt(HexBytes(action.transactions[0][0]))
    assert (action.state, action.kind, action.subject, action.nonce) == (DONE, "flip", "why", 0)
    assert (action.gas_used, action.paid) == (receipt["gasUsed"], receipt["gasUsed"] * receipt["effectiveGasPrice"])
    assert chain.started(patience=10.0).send(CALL).nonce == 1


def test_send__call_that_would_fail__refused_and_nothing_happens(chain: Chain):
    chain.switch(True)
    with pytest.raises(RefusedError, match="flip: the call would fail"):
        chain.sender.send(CALL)
    assert chain.store.actions(chain.web3.eth.chain_id, chain.signer.address) == []
    assert chain.rpc("txpool_content")["pending"] == {}


def test_send__reason_of_a_contract__on_one_line(chain: Chain):
    # Reverts with Error("no").
    text = "08c379a0" + f"{32:064x}" + f"{2:064x}" + b"no".hex().ljust(64, "0")
    code = "".join(f"7f{text[64 * k : 64 * (k + 1)].ljust(64, '0')}60{32 * k:02x}52" for k in range(4)) + "60645ffd"
    chain.rpc("anvil_setCode", SWITCH, "0x" + code)
    with pytest.raises(RefusedError, match=r"^flip: the call would fail: no$"):
        chain.sender.send(CALL)


def test_send__too_dear_by_price_or_by_gas__refused_at_the_bound(chain: Chain):
    base = chain.web3.eth.get_block("latest")["baseFeePerGas"]
    with pytest.raises(DearError, match="gas costs"):
        chain.sender.send(replace(CALL, max_fee=base + GWEI - 1))
    needed = chain.web3.eth.estimate_gas({"to": SWITCH, "data": "0x0102", "from": chain.signer.address})  # type: ignore[typeddict-item]
    with pytest.raises(DearError, match=f"it needs {needed} gas, at most {needed - 1} are allowed"):
        chain.sender.send(replace(CALL, max_gas=needed - 1))
    assert chain.sender.send(replace(CALL, max_fee=base + GWEI, max_gas=needed)).state == SENT
    assert int(chain.waiting()["maxFeePerGas"], 16) == base + GWEI
    assert int(chain.waiting()["gas"], 16) == needed


def test_send__while_another_waits__not_before_that_is_settled(chain: Chain):
    assert chain.sender.send(CALL).state == SENT
    with pytest.raises(SendError, match="in no block yet"):
        chain.sender.send(CALL)
    chain.mine()
    assert chain.sender.send(CALL).nonce == 1


def test_settle__reverted_in_its_block__failed_with_its_cost(chain: Chain):
    chain.sender.send(CALL)
    chain.switch(True)
    chain.mine()
    assert chain.sender.settle()
    assert chain.only().state == FAILED
    assert (chain.only().paid or 0) > 0


def test_settle__after_a_restart_the_node_has_forgotten__same_bytes_again(chain: Chain):
    digest = chain.sender.send(CALL).transactions[0][0]
    chain.rpc("anvil_dropTransaction", digest)
    again = chain.started()
    assert not again.settle()
    assert chain.waiting()["hash"] == digest
    chain.mine()
    assert again.settle()
    assert (chain.only().state, chain.nonce) == (DONE, 1)


def test_settle__stopped_between_store_and_node__sent_after_the_restart(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Sender, "_broadcast", stop)
        with pytest.raises(KeyboardInterrupt):
            chain.sender.send(CALL)
    assert chain.only().state == SENT
    assert chain.rpc("txpool_content")["pending"] == {}
    chain.started().settle()
    chain.mine()
    assert chain.started().settle()
    assert (chain.only().state, chain.nonce) == (DONE, 1)


def test_settle__in_a_block_while_it_was_down__found(chain: Chain):
    chain.sender.send(CALL)
    chain.mine()
    assert chain.started().settle()
    assert chain.only().state == DONE


def test_settle__written_down_but_never_signed__given_up(chain: Chain):
    chain.store.add_action(chain.web3.eth.chain_id, chain.signer.address, "flip", "why")
    assert chain.sender.settle()
    assert (chain.only().state, chain.only().note) == (FAILED, "(never sent)")


def test_settle__waits_too_long__replaced_for_more_with_the_same_nonce(chain: Chain):
    chain.sender.send(CALL)
    first = chain.waiting()
    assert not chain.started(replace_after=0.0).settle()
    second = chain.waiting()
    assert second["hash"] != first["hash"]
    assert (second["nonce"], second["input"], second["to"]) == (first["nonce"], first["input"], first["to"])
    for name in ("maxFeePerGas", "maxPriorityFeePerGas"):
        assert int(second[name], 16) * 10 >= int(first[name], 16) * 11
    chain.mine()
    assert chain.started().settle()
    assert (chain.only().state, chain.nonce) == (DONE, 1)
    assert chain.only().transactions[1][0] == second["hash"]


def test_settle__first_one_is_mined_after_all__found_among_its_replacements(chain: Chain):
    raw = chain.sender.send(CALL).transactions[0][1]
    chain.started(replace_after=0.0).settle()
    chain.rpc("anvil_dropAllTransactions")
    chain.rpc("eth_sendRawTransaction", raw)
    chain.mine()
    assert chain.started().settle()
    assert (chain.only().state, chain.nonce) == (DONE, 1)


def test_settle__price_at_its_ceiling__waits_and_pays_no_more(chain: Chain):
    base = chain.web3.eth.get_block("latest")["baseFeePerGas"]
    chain.sender.send(replace(CALL, max_fee=base + GWEI))
    before = chain.waiting()
    assert not chain.started(replace_after=0.0).settle()
    assert chain.waiting()["hash"] == before["hash"]
    assert len(chain.only().transactions) == 1


def test_settle__call_that_would_fail_by_now__taken_back(chain: Chain):
    chain.sender.send(CALL)
    chain.switch(True)
    chain.started(replace_after=0.0).settle()
    taken = chain.waiting()
    assert (Web3.to_checksum_address(taken["to"]), taken["input"]) == (chain.signer.address, "0x")
    chain.mine()
    assert chain.started().settle()
    assert (chain.only().state, chain.nonce) == (FAILED, 1)
    chain.switch(False)
    assert chain.started().send(CALL).nonce == 1


def test_settle__value_that_the_account_has_no_more__taken_back(chain: Chain):
    chain.sender.send(replace(CALL, value=10**17))
    chain.rpc("anvil_setBalance", chain.signer.address, hex(10**17 - 1))
    chain.started(replace_after=0.0).settle()
    assert Web3.to_checksum_address(chain.waiting()["to"]) == chain.signer.address
    chain.mine()
    assert chain.started().settle()
    assert (chain.only().state, chain.nonce) == (FAILED, 1)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("eth_getTransactionReceipt", {"error": {"code": -32000, "message": "transaction indexing is in progress"}}),
        ("eth_getTransactionCount", {"error": {"code": -32005, "message": "limit exceeded"}}),
        ("eth_getTransactionCount", {"result": "many"}),
        ("eth_getBlockByNumber", {"result": None}),
        ("eth_getBlockByNumber", {"result": "x"}),
        ("eth_getBlockByNumber", {"result": {"number": "0x1"}}),
    ],
)
def test_settle_and_send__node_that_does_not_say__error_that_passes_and_nothing_is_lost(
    chain: Chain, method: str, answer: dict[str, Any]
):
    node = Troubled(ape.networks.active_provider.uri)
    node.answers = {}
    sender = Sender(lambda: Web3(node), chain.signer, chain.store, chain.web3.eth.chain_id, patience=0, replace_after=0)
    assert sender.send(CALL).state == SENT
    node.answers = {method: answer}
    with pytest.raises(SendError, match=r"^the node cannot be asked: .+"):
        sender.settle()
    assert chain.only().state == SENT
    node.answers = {}
    chain.mine()
    assert sender.settle()
    node.answers = {method: answer}
    with pytest.raises(SendError, match=r"^the node cannot be asked: .+"):
        sender.send(CALL)


def test_settle__nonce_used_by_somebody_else__given_up(chain: Chain):
    action = chain.sender.send(CALL)
    chain.rpc("anvil_dropTransaction", action.transactions[0][0])
    fields = {
        "type": 2,
        "chainId": chain.web3.eth.chain_id,
        "nonce": 0,
        "to": SWITCH,
        "value": 1,
        "data": "0x",
        "gas": 50_000,
        "maxFeePerGas": CEILING,
        "maxPriorityFeePerGas": GWEI,
    }
    chain.web3.eth.send_raw_transaction(chain.signer.sign_transaction(fields))
    chain.mine()
    assert chain.started().settle()
    assert chain.only().state == FAILED
    assert "another transaction took its nonce" in chain.only().note
