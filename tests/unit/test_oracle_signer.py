"""Reports as they are signed, and keys that sign one for a reference slot."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from floe.oracle.report import Oracle, Report, ReportError, canonical, canonical_hash, digest
from floe.oracle.signer import (
    HALF_ORDER,
    ExternalSigner,
    KeystoreSigner,
    SecondReportError,
    SignerError,
    contest_of,
    recover,
    sign_once,
)
from floe.service.store import Store

ORACLE = Oracle(31_337, "0x0165878A594ca255338adfa4d48449f69242Eb8F")
REPORT = Report(7_200, 2**200 + 1, 2, 3, 4, 5, 6, 7, bytes(range(32)), b"\xff" * 32)
MEMBER = Account.from_key(keccak(text="member"))
OUTSIDER = Account.from_key(keccak(text="outsider"))
ORDER = 2 * HALF_ORDER + 1
TYPE = (
    "Report(uint256 ref_slot,uint256 cl,uint256 deposited_at_ref,uint256 withdrawn_at_ref,uint256 donated_at_ref,"
    "uint256 queue_tail_at_ref,uint256 pending_loss,uint256 raised_at_ref,bytes32 balances_root,bytes32 balances_hash)"
)
TRANSACTION = {
    "type": 2,
    "chainId": 31_337,
    "nonce": 3,
    "to": ORACLE.address,
    "value": 0,
    "data": "0x1234",
    "gas": 100_000,
    "maxFeePerGas": 10**9,
    "maxPriorityFeePerGas": 10**9,
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        yield store


# --- the report ---


def test_digest__any_report__is_eip_712_by_hand():
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [
                keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak(text="Floe ReportOracle"),
                keccak(text="1"),
                *ORACLE,
            ],
        )
    )
    message = keccak(encode(["bytes32"] + ["uint256"] * 8 + ["bytes32"] * 2, [keccak(text=TYPE), *REPORT]))
    assert digest(REPORT, ORACLE) == keccak(b"\x19\x01" + domain + message)


@pytest.mark.parametrize("field", Report._fields)
def test_digest_and_bytes__one_field_changed__both_change(field):
    value = getattr(REPORT, field)
    change: dict[str, Any] = {field: bytes(32) if isinstance(value, bytes) else value + 1}
    other = REPORT._replace(**change)
    assert digest(other, ORACLE) != digest(REPORT, ORACLE)
    assert canonical(other, ORACLE) != canonical(REPORT, ORACLE)


def test_canonical__same_report__one_line_of_known_hash():
    text = canonical(REPORT, ORACLE)
    assert text.count(b"\n") == 1
    assert text.endswith(b"\n")
    content = json.loads(text)
    assert list(content) == ["chain_id", "oracle", "report", "digest"]
    assert content["report"]["cl"] == str(2**200 + 1)
    assert Report.from_json(content["report"]) == REPORT
    # Whoever recomputes a report must get the same bytes with every later version of this program.
    assert canonical_hash(REPORT, ORACLE).hex() == "d5a02b36f91f6ccdddd11c108d903d25a0c3f788edeeb56a1fba97eec5bf55ab"
    assert canonical(REPORT, ORACLE._replace(address=ORACLE.address.lower())) == text


@pytest.mark.parametrize(
    "change",
    [
        {"cl": 5},
        {"cl": "-1"},
        {"cl": "05"},
        {"cl": "0x5"},
        {"cl": str(2**256)},
        {"cl": None},
        {"cl": float("inf")},
        {"cl": "1" * 5_000},
        {"balances_root": "0x" + "ab" * 31},
        {"balances_root": "0x" + "AB" * 32},
        {"balances_root": "ab" * 32},
        {"balances_root": []},
        {"more": "1"},
    ],
    ids=str,
)
def test_report_from_json__not_as_written__refused(change):
    with pytest.raises(ReportError):
        Report.from_json({**REPORT.as_json(), **change})


@pytest.mark.parametrize("content", [None, [], "", {}, dict(reversed(REPORT.as_json().items()))], ids=str)
def test_report_from_json__not_a_report__refused(content):
    with pytest.raises(ReportError, match="a report has the fields ref_slot, cl, "):
        Report.from_json(content)


# --- signatures ---


def test_recover__signature_of_a_key__its_address():
    signature = KeystoreSigner(MEMBER).sign_report(REPORT, ORACLE)
    assert len(signature) == 65
    assert recover(REPORT, ORACLE, signature) == MEMBER.address
    assert recover(REPORT._replace(cl=0), ORACLE, signature) != MEMBER.address
    assert recover(REPORT, ORACLE._replace(chain_id=1), signature) != MEMBER.address


def test_recover__other_form_of_a_signature__refused():
    signature = KeystoreSigner(MEMBER).sign_report(REPORT, ORACLE)
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    mirrored = r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    with pytest.raises(SignerError, match="upper half"):
        recover(REPORT, ORACLE, mirrored)
    for other in (signature[:64], signature + b"\0", signature[:64] + bytes([v - 27]), b""):
        with pytest.raises(SignerError, match="65 bytes"):
            recover(REPORT, ORACLE, other)
    with pytest.raises(SignerError, match="not a signature"):
        recover(REPORT, ORACLE, bytes(64) + b"\x1b")


# --- one report a slot ---


class Counting:
    """A key that notes what the store said when it was used; it may be out of order."""

    def __init__(self, url: str) -> None:
        self.address, self.broken, self._url = MEMBER.address, False, url
        self.bound: list[Any] = []

    def sign_report(self, report: Report, oracle: Oracle) -> bytes:
        """Sign, and note."""
        with Store(self._url) as store:  # as another process sees it: only what was committed
            self.bound.append(store.bound_report(contest_of(report.ref_slot, oracle), self.address))
        if self.broken:
            raise SignerError("out of order")
        return KeystoreSigner(MEMBER).sign_report(report, oracle)

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Nothing here sends."""
        raise AssertionError(transaction)


def test_sign_once__first_report__bound_before_the_key_is_used(tmp_path, store):
    key = Counting(f"sqlite:///{tmp_path}/store.sqlite")
    signature = sign_once(store, key, REPORT, ORACLE)
    assert recover(REPORT, ORACLE, signature) == MEMBER.address
    [seen] = key.bound
    assert (seen.digest, seen.content, seen.signature) == (
        digest(REPORT, ORACLE),
        canonical(REPORT, ORACLE).decode(),
        None,
    )
    # Again: the same signature, and the key is left alone.
    assert sign_once(store, key, REPORT, ORACLE) == signature
    assert len(key.bound) == 1


def test_sign_once__another_report_of_the_slot__never_signed(tmp_path, store):
    key = Counting(f"sqlite:///{tmp_path}/store.sqlite")
    other = REPORT._replace(cl=REPORT.cl + 1)
    sign_once(store, key, REPORT, ORACLE)
    with pytest.raises(SecondReportError, match=f"already agreed to 0x{digest(REPORT, ORACLE).hex()} for slot 7200"):
        sign_once(store, key, other, ORACLE)
    assert len(key.bound) == 1
    # Another slot, and another oracle, are other matters.
    sign_once(store, key, other._replace(ref_slot=14_400), ORACLE)
    sign_once(store, key, other, ORACLE._replace(chain_id=1))


def test_sign_once__key_fails_after_binding__bound_for_ever(tmp_path, store):
    key = Counting(f"sqlite:///{tmp_path}/store.sqlite")
    key.broken = True
    with pytest.raises(SignerError):
        sign_once(store, key, REPORT, ORACLE)
    key.broken = False
    with pytest.raises(SecondReportError):
        sign_once(store, key, REPORT._replace(cl=0), ORACLE)
    assert recover(REPORT, ORACLE, sign_once(store, key, REPORT, ORACLE)) == MEMBER.address


# --- external signers ---

Answer = Callable[[str, list[Any]], Any]


@pytest.fixture
def external() -> Iterator[Callable[[Answer], ExternalSigner]]:
    """Return a function that starts a signer which answers as it is told, in Clef's words, and gives its client."""
    servers = []

    def start(answer: Answer) -> ExternalSigner:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = answer(call["method"], call["params"])
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return ExternalSigner(f"http://127.0.0.1:{server.server_address[1]}", MEMBER.address.lower(), "clef", 2.0)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def signed_by(account: Any, **changes: Any) -> Answer:
    """Answer as Clef does, with this key; `changes` to a transaction are made first."""

    def answer(method: str, parameters: list[Any]) -> Any:
        if method == "account_signTypedData":
            address, data = parameters
            assert address == MEMBER.address
            message = {name: int(text) if text.isdecimal() else text for name, text in data["message"].items()}
            data["domain"]["chainId"] = int(data["domain"]["chainId"])
            signed = account.sign_message(encode_typed_data(full_message={**data, "message": message}))
            return {"jsonrpc": "2.0", "id": 1, "result": signed.signature.to_0x_hex()}
        assert method == "account_signTransaction"
        [fields] = parameters
        assert fields.pop("from") == MEMBER.address
        numbers = {name: int(text, 16) if name not in ("to", "data") else text for name, text in fields.items()}
        raw = account.sign_transaction({**numbers, **changes}).raw_transaction.to_0x_hex()
        return {"jsonrpc": "2.0", "id": 1, "result": {"raw": raw, "tx": {}}}

    return answer


def test_external_signer__clef__same_bytes_as_the_key_here(external):
    signer, here = external(signed_by(MEMBER)), KeystoreSigner(MEMBER)
    assert signer.address == MEMBER.address
    assert signer.sign_report(REPORT, ORACLE) == here.sign_report(REPORT, ORACLE)
    assert signer.sign_transaction(TRANSACTION) == here.sign_transaction(TRANSACTION)


def test_external_signer__signature_of_another_key__refused(external):
    signer = external(signed_by(OUTSIDER))
    with pytest.raises(SignerError, match=f"not one of {MEMBER.address}"):
        signer.sign_report(REPORT, ORACLE)
    with pytest.raises(SignerError, match="another transaction"):
        signer.sign_transaction(TRANSACTION)


@pytest.mark.parametrize("change", [{"nonce": 4}, {"to": OUTSIDER.address}, {"value": 1}, {"data": "0x"}], ids=str)
def test_external_signer__another_transaction__refused(external, change):
    with pytest.raises(SignerError, match="another transaction"):
        external(signed_by(MEMBER, **change)).sign_transaction(TRANSACTION)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": {"code": -32000, "message": "Request\ndenied"}}, "refuses account_signTypedData: Request denied"),
        ([], "refuses account_signTypedData"),
        ({"result": None}, "not 0x and digits: null"),
        ({"result": "zz"}, 'not 0x and digits: "zz"'),
        ({"result": "0x1234"}, "65 bytes"),
        (b"<html>", "not JSON"),
    ],
    ids=str,
)
def test_external_signer__no_signature__one_line(external, answer, reason):
    with pytest.raises(SignerError, match=reason):
        external(lambda _, __: answer).sign_report(REPORT, ORACLE)


def test_external_signer__nobody_there__one_line():
    with pytest.raises(SignerError, match="cannot be reached: ConnectionError"):
        ExternalSigner("http://127.0.0.1:9", MEMBER.address, "eth").sign_report(REPORT, ORACLE)
