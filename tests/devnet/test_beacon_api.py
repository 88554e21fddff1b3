"""The devnet's Beacon API: shapes, ids and errors as a real node has them."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

from floe.beacon.containers import MINIMAL, BeaconBlockHeader, beacon_state, from_json, header_root
from tests.devnet.conftest import GWEI

WRAPPED = {"execution_optimistic", "finalized", "data"}
ROOT = "0x" + "ab" * 32
KEY = "0x" + "ab" * 48


def ask(stage, method, path, body=None, accept="application/json"):
    """Send a request as it stands; return status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(stage.devnet.beacon_url).netloc, timeout=30)
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    connection.request(method, path, text, {"Accept": accept, "Content-Type": "application/json"})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def get(stage, path):
    """Return the JSON of a path that must answer 200."""
    status, headers, body = ask(stage, "GET", path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    return json.loads(body)


# --- node and configuration ---


def test_node__one_that_is_never_behind__healthy(stage):
    assert ask(stage, "GET", "/eth/v1/node/health")[::2] == (200, b"")
    assert get(stage, "/eth/v1/node/syncing")["data"] == {
        "head_slot": str(stage.devnet.slot),
        "sync_distance": "0",
        "is_syncing": False,
        "is_optimistic": False,
        "el_offline": False,
    }
    assert get(stage, "/eth/v1/node/version")["data"]["version"].startswith("Floe-devnet/")


def test_config__of_the_minimal_preset__all_strings(stage):
    spec = get(stage, "/eth/v1/config/spec")["data"]
    assert {name: spec[name] for name in ("PRESET_BASE", "SLOTS_PER_EPOCH", "SECONDS_PER_SLOT", "FULU_FORK_EPOCH")} == {
        "PRESET_BASE": "minimal",
        "SLOTS_PER_EPOCH": "8",
        "SECONDS_PER_SLOT": "12",
        "FULU_FORK_EPOCH": "0",
    }
    assert spec["DEPOSIT_CONTRACT_ADDRESS"] == "0x00000000219ab540356cbb839cbe05303d7705fa"
    assert spec["EPOCHS_PER_SLASHINGS_VECTOR"] == "64"
    assert spec["DOMAIN_DEPOSIT"] == "0x03000000"
    assert all(isinstance(value, str) for name, value in spec.items() if name != "BLOB_SCHEDULE")
    contract = get(stage, "/eth/v1/config/deposit_contract")["data"]
    assert contract == {"chain_id": "31337", "address": spec["DEPOSIT_CONTRACT_ADDRESS"]}
    [fork] = get(stage, "/eth/v1/config/fork_schedule")["data"]
    assert fork == {"previous_version": "0x05000001", "current_version": "0x06000001", "epoch": "0"}


def test_genesis__time_root_and_version__as_the_state_has_them(stage):
    found = get(stage, "/eth/v1/beacon/genesis")["data"]
    state = get(stage, "/eth/v2/debug/beacon/states/genesis")["data"]
    assert found == {
        "genesis_time": state["genesis_time"],
        "genesis_validators_root": state["genesis_validators_root"],
        "genesis_fork_version": "0x00000001",
    }


# --- blocks ---


def test_headers__by_slot_parent_and_name__are_the_same(stage):
    head = get(stage, "/eth/v1/beacon/headers/head")
    assert set(head) == WRAPPED
    assert (head["finalized"], head["execution_optimistic"]) == (False, False)
    message = head["data"]["header"]["message"]
    assert set(head["data"]) == {"root", "canonical", "header"}
    assert header_root(from_json(BeaconBlockHeader, message)).hex() == head["data"]["root"][2:]
    assert get(stage, f"/eth/v1/beacon/headers/{message['slot']}") == head
    assert get(stage, f"/eth/v1/beacon/headers/{head['data']['root']}") == head
    for query in ("", f"?slot={message['slot']}", f"?parent_root={message['parent_root']}"):
        assert get(stage, "/eth/v1/beacon/headers" + query)["data"] == [head["data"]]
    assert get(stage, "/eth/v1/beacon/headers?slot=999999")["data"] == []
    assert get(stage, "/eth/v1/beacon/blocks/head/root")["data"] == {"root": head["data"]["root"]}


def test_headers__of_checkpoints__are_what_the_head_has_finalized(stage):
    points = get(stage, "/eth/v1/beacon/states/head/finality_checkpoints")["data"]
    assert set(points) == {"previous_justified", "current_justified", "finalized"}
    finalized = get(stage, "/eth/v1/beacon/headers/finalized")
    assert finalized["data"]["root"] == points["finalized"]["root"]
    assert finalized["finalized"] is True
    assert get(stage, "/eth/v1/beacon/headers/justified")["data"]["root"] == points["current_justified"]["root"]
    assert get(stage, "/eth/v1/beacon/headers/genesis")["data"]["header"]["message"]["slot"] == "0"
    epochs = [int(points[name]["epoch"]) for name in ("finalized", "current_justified")]
    assert 0 < epochs[0] < epochs[1] <= stage.devnet.slot // 8


def test_block__as_json_and_ssz__is_the_same(stage):
    found = get(stage, "/eth/v2/beacon/blocks/head")
    assert set(found) == WRAPPED | {"version"}
    message = found["data"]["message"]
    status, headers, ssz = ask(stage, "GET", "/eth/v2/beacon/blocks/head", accept="application/octet-stream")
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert headers["Eth-Consensus-Version"] == found["version"] == "fulu"
    # SignedBeaconBlock: offset, signature; BeaconBlock: slot, proposer, parent root, state root
    assert ssz[4:100].hex() == found["data"]["signature"][2:]
    assert int.from_bytes(ssz[100:108], "little") == int(message["slot"])
    assert ssz[116:148].hex() == message["parent_root"][2:]
    assert ssz[148:180].hex() == message["state_root"][2:]


# --- states ---


def test_state__as_ssz__hashes_to_the_root_in_the_header(stage):
    header = get(stage, "/eth/v1/beacon/headers/head")["data"]["header"]["message"]
    for name in ("head", header["slot"], header["state_root"]):
        status, headers, ssz = ask(
            stage, "GET", f"/eth/v2/debug/beacon/states/{name}", accept="application/octet-stream"
        )
        assert (status, headers["Eth-Consensus-Version"]) == (200, "fulu")
        state = beacon_state("fulu", MINIMAL).decode_bytes(ssz)
        assert "0x" + bytes(state.hash_tree_root()).hex() == header["state_root"]
        assert get(stage, f"/eth/v1/beacon/states/{name}/root")["data"] == {"root": header["state_root"]}
    told = get(stage, "/eth/v2/debug/beacon/states/head")
    assert told["version"] == "fulu"
    assert told["data"]["balances"] == [str(int(balance)) for balance in state.balances]
    assert set(told["data"]) == set(state.fields())


def test_validators__by_id_and_status__only_those(stage):
    path = "/eth/v1/beacon/states/head/validators"
    everyone = get(stage, path)["data"]
    assert [each["index"] for each in everyone] == [str(index) for index in range(18)]
    ours = "0x" + stage.pubkeys[0].hex()
    [found] = get(stage, f"{path}?id={ours}")["data"]
    assert set(found) == {"index", "balance", "status", "validator"}
    assert set(found["validator"]) == {
        "pubkey",
        "withdrawal_credentials",
        "effective_balance",
        "slashed",
        "activation_eligibility_epoch",
        "activation_epoch",
        "exit_epoch",
        "withdrawable_epoch",
    }
    assert (found["validator"]["effective_balance"], found["validator"]["slashed"]) == (str(40 * GWEI), False)
    assert get(stage, f"{path}/{ours}")["data"] == get(stage, f"{path}/16")["data"] == found
    assert get(stage, f"{path}?id=0,{ours}&id=1&id=999&id={KEY}")["data"] == [everyone[0], everyone[1], found]
    assert ask(stage, "POST", path, {"ids": ["0", ours]})[0] == 200
    assert json.loads(ask(stage, "POST", path, {"ids": ["0", ours]})[2])["data"] == [everyone[0], found]
    assert get(stage, f"{path}?status=active")["data"] == everyone
    assert get(stage, f"{path}?status=pending_queued,exited")["data"] == []
    [balance] = get(stage, f"/eth/v1/beacon/states/head/validator_balances?id={ours}")["data"]
    assert balance == {"index": "16", "balance": found["balance"]}


def test_queues__with_something_in_them__as_the_state_has_them(stage):
    devnet = stage.devnet
    devnet.deposit(400, stage.credentials, GWEI)
    stage.request_withdrawal(stage.pubkeys[0], GWEI)
    genesis = [bytes.fromhex(each["validator"]["pubkey"][2:]) for each in map(devnet.validator, (0, 1))]
    stage.request_consolidation(genesis[0], genesis[1], -1)
    devnet.advance(1)
    state = get(stage, "/eth/v2/debug/beacon/states/head")["data"]
    fields = {
        "deposits": {"pubkey", "withdrawal_credentials", "amount", "signature", "slot"},
        "partial_withdrawals": {"validator_index", "amount", "withdrawable_epoch"},
        "consolidations": {"source_index", "target_index"},
    }
    for name, keys in fields.items():
        answer = get(stage, f"/eth/v1/beacon/states/head/pending_{name}")
        assert set(answer) == WRAPPED | {"version"}
        [found] = answer["data"]
        assert set(found) == keys
        assert state[f"pending_{name}"] == [found]


def test_fork__of_a_state__has_versions_and_epoch(stage):
    fork = get(stage, "/eth/v1/beacon/states/head/fork")["data"]
    assert fork == {"previous_version": "0x05000001", "current_version": "0x06000001", "epoch": "0"}


# --- voluntary exits ---


def test_voluntary_exit__posted__is_taken_once(stage):
    path, snapshot = "/eth/v1/beacon/pool/voluntary_exits", stage.devnet.snapshot()
    stage.devnet.exit(3)
    [signed] = get(stage, path)["data"]
    stage.devnet.restore(snapshot)
    assert get(stage, path)["data"] == []
    wrong = {**signed, "signature": signed["signature"][:-2] + "00"}
    unknown = {**signed, "message": {"epoch": "0", "validator_index": "9999"}}
    bodies: list[object] = [wrong, unknown, {"message": {}}, []]
    for body in bodies:
        status, _, text = ask(stage, "POST", path, body)
        assert (status, json.loads(text)["code"]) == (400, 400)
    assert ask(stage, "POST", path, signed)[::2] == (200, b"")
    stage.devnet.advance(1)
    assert stage.devnet.validator(3)["status"] == "active_exiting"


# --- errors ---


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        (404, "GET", "/eth/v1/beacon/nothing"),
        (404, "GET", "/eth/v1/beacon/headers/999999"),
        (404, "GET", f"/eth/v1/beacon/headers/{ROOT}"),
        (404, "GET", "/eth/v1/beacon/states/999999/root"),
        (404, "GET", f"/eth/v1/beacon/states/{ROOT}/root"),
        (404, "GET", "/eth/v1/beacon/states/head/validators/999"),
        (404, "GET", f"/eth/v1/beacon/states/head/validators/{KEY}"),
        (400, "GET", "/eth/v1/beacon/headers/newest"),
        (400, "GET", "/eth/v1/beacon/headers/0x12"),
        (400, "GET", "/eth/v1/beacon/headers?slot=-1"),
        (400, "GET", "/eth/v1/beacon/states/-1/root"),
        (400, "GET", "/eth/v1/beacon/states/head/validators?id=abc"),
        (400, "GET", "/eth/v1/beacon/states/head/validators?id=0xzz"),
        (400, "GET", "/eth/v1/beacon/states/head/validators?status=tired"),
        (405, "POST", "/eth/v1/beacon/genesis"),
        (400, "POST", "/floe/v1/advance"),
    ],
)
def test_error__for_bad_requests__has_code_and_message(stage, status, method, path):
    found, headers, body = ask(stage, method, path, "{" if path.startswith("/floe") else None)
    assert (found, headers["Content-Type"]) == (status, "application/json")
    answer = json.loads(body)
    assert answer["code"] == status
    assert len(answer["message"]) > 10


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("advance", {"slots": -1}, "slots is not a number from 0 on"),
        ("advance", [1], "the body is not a JSON object"),
        ("offline", {"validators": [99]}, "there is no validator 99"),
        ("offline", {"validators": "all"}, "validators is not a list"),
        ("slash", {"validators": [KEY]}, "no validator has the key"),
        ("keys", {"secrets": ["0"]}, "a secret key is a number between"),
        ("deposit_data", {"key": 1, "credentials": "0x01", "amount_gwei": 1}, "not 0x and 64 hex digits"),
        ("fee_recipient", {"address": "nobody"}, "not hex"),
        ("restore", {"snapshot": "first"}, "there is no snapshot first"),
    ],
)
def test_control__with_bad_arguments__says_what_is_wrong(stage, command, arguments, text):
    status, _, body = ask(stage, "POST", f"/floe/v1/{command}", arguments)
    assert status in (400, 404)
    assert text in json.loads(body)["message"]
