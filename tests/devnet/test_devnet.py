"""The devnet itself: a validator's life, what goes wrong on demand, both chains' snapshots, both processes' ends."""

from __future__ import annotations

import os
import signal
import time

import ape
import pytest

from floe.beacon import deposit
from floe.devnet import Devnet, DevnetError
from floe.devnet.command import run
from floe.devnet.rpc import RpcError
from floe.devnet.system_contracts import BEACON_ROOTS, DEPOSIT_CONTRACT
from tests.devnet.conftest import ETHER, GWEI, OWNER, STRANGER

# --- a validator's life ---


def test_deposit__through_the_deposit_contract__becomes_a_validator(stage):
    body = stage.body(stage.deposited + 1)
    requests = body["execution_requests"]["deposits"]
    assert [each["pubkey"] for each in requests] == ["0x" + pubkey.hex() for pubkey in stage.pubkeys]
    assert [each["amount"] for each in requests] == [str(40 * GWEI), str(33 * GWEI)]
    assert [each["index"] for each in requests] == ["0", "1"]
    [pending, _] = stage.beacon.pending_deposits(stage.deposited + 1)
    assert (bytes(pending.pubkey), int(pending.slot)) == (stage.pubkeys[0], stage.deposited + 1)
    assert stage.pending("deposits") == []
    for pubkey, ether in zip(stage.pubkeys, (40, 33), strict=True):
        [found] = stage.beacon.validators([pubkey])
        assert found.status == "active_ongoing"
        assert found.validator.effective_balance == ether * GWEI
        assert found.balance > ether * GWEI  # it attests, and is paid for it
        assert bytes(found.validator.withdrawal_credentials) == stage.credentials
    assert stage.balance(DEPOSIT_CONTRACT) == 73 * ETHER


def test_deposit__wrong_signature__never_becomes_a_validator(stage):
    """The deposit contract takes the ETH, the beacon chain does not take the validator."""
    devnet = stage.devnet
    good, bad = (deposit.sign_deposit(secret, stage.credentials, GWEI, b"\0\0\0\1") for secret in (7, 8))
    worse = deposit.DepositData(
        pubkey=bad.pubkey, withdrawal_credentials=stage.credentials, amount=GWEI, signature=good.signature
    )
    for each in (good, worse):
        assert stage.receipt(devnet.send_deposit(each))["status"] == "0x1"
    devnet.advance_until(lambda: devnet.validator(good.pubkey) is not None)
    devnet.advance_until(lambda: not stage.pending("deposits"))
    assert devnet.validator(bad.pubkey) is None
    assert stage.balance(DEPOSIT_CONTRACT) == 75 * ETHER


def test_deposit_data__signed_by_the_devnet__is_what_our_own_signer_makes(stage):
    made = stage.devnet.deposit_data(200, stage.credentials, 32 * GWEI)
    [fork_version] = {stage.beacon.genesis().fork_version}
    checked = deposit.DepositData(
        pubkey=made["pubkey"],
        withdrawal_credentials=made["withdrawal_credentials"],
        amount=32 * GWEI,
        signature=made["signature"],
    )
    assert fork_version == b"\0\0\0\1"
    assert checked.root == made["deposit_data_root"]


def test_requests__partial_and_full_withdrawal_and_consolidation__arrive(stage):
    devnet, (large, small) = stage.devnet, stage.pubkeys
    genesis = [bytes(each.validator.pubkey) for each in stage.beacon.validators([0, 1])]
    # The genesis validators belong to the stranger: its request is good, the owner's is not.
    stage.request_consolidation(genesis[0], genesis[1], OWNER)
    devnet.advance(1)
    assert stage.pending("consolidations") == []

    stage.request_withdrawal(large, 5 * GWEI)
    stage.request_withdrawal(small, 0)
    stage.request_consolidation(genesis[0], genesis[1], STRANGER)
    before, slot = stage.balance(stage.owner), devnet.slot
    devnet.advance(1)
    requests = stage.body()["execution_requests"]
    assert [(each["source_address"], each["amount"]) for each in requests["withdrawals"]] == [
        (stage.owner.lower(), str(5 * GWEI)),
        (stage.owner.lower(), "0"),
    ]
    assert [each["target_pubkey"] for each in requests["consolidations"]] == ["0x" + genesis[1].hex()]
    assert [each["amount"] for each in stage.pending("partial_withdrawals")] == [str(5 * GWEI)]
    assert [(each["source_index"], each["target_index"]) for each in stage.pending("consolidations")] == [("0", "1")]

    devnet.advance_until(lambda: stage.balance(stage.owner) > before)
    height = int(stage.payload()["block_number"])
    assert stage.balance(stage.owner, height - 1) == before  # the block before knows nothing of it
    devnet.advance_until(lambda: stage.balance(stage.owner) > before + 38 * ETHER)
    credited = [
        int(each["amount"])
        for block in range(slot + 1, devnet.slot + 1)
        for each in stage.payload(block)["withdrawals"]
        if each["address"] == stage.owner.lower()
    ]
    assert credited[0] == 5 * GWEI
    assert 33 * GWEI < credited[1] < 34 * GWEI
    assert len(credited) == 2
    assert stage.balance(stage.owner) == before + sum(credited) * GWEI
    devnet.advance_until(lambda: not stage.pending("consolidations"))
    [source, target] = stage.beacon.validators([0, 1])
    assert source.balance < GWEI
    assert target.balance > 64 * GWEI


def test_exit__signed_by_the_validator__leaves_through_the_pool(stage):
    devnet, path = stage.devnet, "/eth/v1/beacon/pool/voluntary_exits"
    assert devnet.beacon(path)["data"] == []
    devnet.exit(3)
    [signed] = devnet.beacon(path)["data"]
    devnet.advance(1)
    assert stage.body()["voluntary_exits"] == [signed]
    assert devnet.beacon(path)["data"] == []
    assert devnet.validator(3)["status"] == "active_exiting"
    with pytest.raises(DevnetError, match="the voluntary exit is not valid"):
        devnet.exit(3)


# --- EIP-4788 ---


def test_beacon_root__read_by_a_call__is_the_parent_headers(stage):
    head = stage.beacon.header()
    parent = stage.beacon.header(int(head.message.slot) - 1)
    timestamp = int(stage.payload()["timestamp"])
    assert timestamp == stage.devnet.genesis_time + 12 * int(head.message.slot)
    assert stage.call(BEACON_ROOTS, timestamp.to_bytes(32, "big")) == parent.root == bytes(head.message.parent_root)


def test_missed_slots__nothing_at_their_time__the_next_block_follows_the_last(stage):
    devnet = stage.devnet
    last = stage.beacon.header()
    slot = int(last.message.slot)
    devnet.miss(3)
    assert devnet.advance(3) == slot + 3
    assert stage.beacon.header().root == last.root
    devnet.advance(1)
    head = stage.beacon.header()
    assert (int(head.message.slot), bytes(head.message.parent_root)) == (slot + 4, last.root)
    time_of = {each: devnet.genesis_time + 12 * each for each in range(slot + 1, slot + 5)}
    for missed in range(slot + 1, slot + 4):
        with pytest.raises(RpcError, match="has no block"):
            devnet.beacon(f"/eth/v1/beacon/headers/{missed}")
        assert stage.call(BEACON_ROOTS, time_of[missed].to_bytes(32, "big")) is None
        assert stage.beacon.state_root(missed) != bytes(last.message.state_root)
    assert stage.call(BEACON_ROOTS, time_of[slot + 4].to_bytes(32, "big")) == last.root
    # Who attested in the missed slots is heard.
    assert sorted(int(each["data"]["slot"]) for each in stage.body()["attestations"]) == list(range(slot, slot + 4))


# --- what goes wrong, on demand ---


def test_slash__in_the_next_block__punished_and_never_again(stage):
    devnet, pubkey = stage.devnet, stage.pubkeys[0]
    before = stage.beacon.validators([pubkey])[0]
    devnet.slash([pubkey])
    devnet.advance(1)
    [slashing] = stage.body()["proposer_slashings"]
    assert slashing["signed_header_1"]["message"]["proposer_index"] == str(before.index)
    after = stage.beacon.validators([pubkey])[0]
    assert (after.validator.slashed, after.status) == (True, "active_slashed")
    # MIN_SLASHING_PENALTY_QUOTIENT_ELECTRA, and what it would have earned or lost otherwise
    assert 0 <= before.balance - after.balance - 40 * GWEI // 4096 < GWEI // 1000
    with pytest.raises(DevnetError, match=f"validator {before.index} is not slashable"):
        devnet.slash([pubkey])
    devnet.advance(epochs=2)
    assert stage.beacon.validators([pubkey])[0].balance < after.balance


def test_offline__validators__lose_and_propose_nothing(stage):
    devnet = stage.devnet
    names = [2, "3", stage.pubkeys[1]]
    before = stage.beacon.validators(range(18))
    first = devnet.slot + 1
    devnet.set_offline(names)
    devnet.advance(epochs=3)
    after = stage.beacon.validators(range(18))
    gains = [b.balance - a.balance for a, b in zip(before, after, strict=True)]
    assert {index for index, gain in enumerate(gains) if gain < 0} == {2, 3, before[-1].index}
    found = devnet.beacon("/eth/v1/beacon/headers?slot=" + ",".join(map(str, range(first, devnet.slot + 1))))["data"]
    assert not {"2", "3", "17"} & {each["header"]["message"]["proposer_index"] for each in found}
    devnet.set_offline([])
    devnet.advance(epochs=2)
    assert all(b.balance > a.balance for a, b in zip(after, stage.beacon.validators(range(18)), strict=True))


def test_finality__stopped__leaks_and_comes_back(stage):
    devnet = stage.devnet
    finalized = int(stage.beacon.finality_checkpoints().finalized.epoch)
    devnet.set_finality(False)
    devnet.advance(epochs=6)
    assert int(stage.beacon.finality_checkpoints().finalized.epoch) <= finalized + 1
    leaking = stage.beacon.validators([0])[0].balance
    devnet.advance(epochs=1)
    first = leaking - stage.beacon.validators([0])[0].balance
    devnet.advance(epochs=1)
    second = leaking - first - stage.beacon.validators([0])[0].balance
    assert 0 < first < second  # the leak grows
    devnet.set_finality(True)
    slot = devnet.slot
    devnet.advance_until_finalized(slot, limit=40)


def test_drop_requests__the_next_one__never_arrives(stage):
    devnet, pubkey = stage.devnet, stage.pubkeys[0]
    devnet.drop_requests(1)
    stage.request_withdrawal(pubkey, GWEI)
    devnet.advance(2)
    assert stage.pending("partial_withdrawals") == []
    stage.request_withdrawal(pubkey, 2 * GWEI)
    devnet.advance(1)
    assert [each["amount"] for each in stage.pending("partial_withdrawals")] == [str(2 * GWEI)]


# --- the execution chain ---


def test_transactions__between_slots__are_part_of_the_next_block(stage):
    devnet, receiver = stage.devnet, "0x" + "ab" * 20
    slot = devnet.slot
    parent = stage.payload()
    hashes = [devnet.send(receiver, value=1, account=OWNER) for _ in range(3)]
    for each in hashes:
        block = devnet.rpc.call("eth_getBlockByHash", stage.receipt(each)["blockHash"], False)
        assert int(block["timestamp"], 16) == devnet.genesis_time + 12 * slot
    devnet.advance(1)
    payload = stage.payload()
    raw = [devnet.rpc.call("eth_getRawTransactionByHash", each) for each in hashes]
    assert payload["transactions"] == raw
    assert payload["parent_hash"] == parent["block_hash"]
    assert int(payload["block_number"]) == int(parent["block_number"]) + 4


def test_fee_recipient__of_proposers__gets_the_tips_and_nothing_else(stage):
    devnet, vault, other = stage.devnet, "0x" + "e1" * 20, "0x" + "e2" * 20
    devnet.set_fee_recipient(vault)
    gas = int(stage.receipt(devnet.send(other, value=1))["gasUsed"], 16)
    assert stage.balance(vault) == gas * GWEI
    assert devnet.set_fee_recipient(other, range(18)) is None
    devnet.send(vault, value=1)
    assert stage.balance(vault) == gas * GWEI + 1
    assert stage.balance(other) == gas * GWEI + 1
    devnet.advance(2)
    assert stage.payload()["fee_recipient"] == other
    assert (stage.balance(vault), stage.balance(other)) == (gas * GWEI + 1, gas * GWEI + 1)


def test_ape__on_the_devnet__sends_at_the_time_of_the_slot(stage):
    with stage.devnet.ape() as provider:
        sender = ape.accounts.test_accounts[0]
        receipt = sender.transfer(ape.accounts.test_accounts[1], 5)
        assert receipt.timestamp == stage.devnet.genesis_time + 12 * stage.devnet.slot
        assert provider.get_balance(sender.address) == stage.balance(sender.address)


# --- snapshots ---


def test_restore__to_a_snapshot__both_chains_are_back_again_and_again(stage):
    devnet = stage.devnet

    def seen():
        return stage.beacon.header().root, devnet.slot, stage.balance(stage.owner), stage.pending("partial_withdrawals")

    before = seen()
    snapshot = devnet.snapshot()
    for _ in range(2):
        later = devnet.snapshot()
        stage.request_withdrawal(stage.pubkeys[0], GWEI)
        devnet.slash([1])
        devnet.advance(9)
        assert all(now != then for now, then in zip(seen(), before, strict=True))
        devnet.restore(snapshot)
        assert seen() == before
        assert devnet.validator(1)["validator"]["slashed"] is False
        with pytest.raises(DevnetError, match="there is no snapshot"):
            devnet.restore(later)
    devnet.advance(1)
    assert bytes(stage.beacon.header().message.parent_root) == before[0]


@pytest.mark.parametrize("_", range(2))
def test_restore__between_two_tests__the_second_can_deposit_the_same_key(stage, _):
    assert stage.devnet.validator(stage.devnet.deposit_data(300, stage.credentials, GWEI)["pubkey"]) is None
    stage.devnet.deposit(300, stage.credentials, GWEI)
    stage.devnet.advance(1)
    assert len(stage.pending("deposits")) == 1


def test_restore__of_the_execution_chain_alone__is_noticed(settings):
    with Devnet(settings) as devnet:
        snapshot = devnet.rpc.call("evm_snapshot")
        devnet.advance(1)
        devnet.rpc.call("evm_revert", snapshot)
        with pytest.raises(DevnetError, match="the execution chain was reverted alone"):
            devnet.advance(1)


# --- settings ---


def test_start__twice_with_one_seed__is_the_same_chain(settings):
    roots = []
    for _ in range(2):
        with Devnet(settings) as devnet:
            devnet.advance(3)
            roots.append(devnet.beacon("/eth/v1/beacon/headers/head")["data"]["root"])
    assert roots[0] == roots[1]


def test_settings__electra_and_slots_of_three_hours__are_kept(settings):
    with Devnet(settings, fork="electra", seconds_per_slot=10_800, config={"EJECTION_BALANCE": 17 * GWEI}) as devnet:
        devnet.advance(epochs=2)
        block = devnet.beacon("/eth/v2/beacon/blocks/head")
        assert block["version"] == "electra"
        timestamp = int(block["data"]["message"]["body"]["execution_payload"]["timestamp"])
        assert timestamp == devnet.genesis_time + 16 * 10_800
        spec = devnet.beacon("/eth/v1/config/spec")["data"]
        assert (spec["SECONDS_PER_SLOT"], spec["EJECTION_BALANCE"]) == ("10800", str(17 * GWEI))
        assert "FULU_FORK_EPOCH" not in spec


def test_clock__a_second_a_slot__goes_by_itself(settings):
    with Devnet(settings, by_clock=True, genesis_time=0, seconds_per_slot=1) as devnet:
        assert abs(devnet.genesis_time - time.time()) < 10
        until = time.monotonic() + 10
        while devnet.slot < 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert 0 <= time.time() - devnet.genesis_time - devnet.slot < 2
        with pytest.raises(DevnetError, match="goes by the clock"):
            devnet.advance(1)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"config": {"MAX_FLOES": 1}}, "the configuration of fulu has no MAX_FLOES"),
        ({"validators": 7}, "a devnet needs 8 validators"),
    ],
)
def test_settings__that_cannot_be__refused_in_words(changes, text):
    with pytest.raises(DevnetError, match=text):
        Devnet(**changes).start()


# --- the end ---


def test_start__port_taken__says_so(stage, settings):
    port = int(stage.devnet.execution_url.rpartition(":")[2])
    with pytest.raises(DevnetError, match=r"(?s)Address already in use.*anvil did not start"):
        Devnet(settings, execution_port=port).start()
    port = int(stage.devnet.beacon_url.rpartition(":")[2])
    with pytest.raises(DevnetError, match=f"port {port} of 127.0.0.1: Address already in use"):
        Devnet(settings, beacon_port=port).start()


@pytest.mark.parametrize("which", [0, 1], ids=["beacon", "execution"])
def test_process__killed__the_next_call_says_so_and_nothing_is_left(settings, which):
    devnet = Devnet(settings).start()
    pids = devnet.pids
    assert pids is not None
    os.kill(pids[which], signal.SIGKILL)
    with pytest.raises(DevnetError, match=r"does not answer|anvil: "):
        devnet.advance(1)
    devnet.stop()
    assert not any(map(runs, pids))
    with pytest.raises(DevnetError, match="not running"):
        devnet.advance(1)


def test_command__until_interrupted__tells_urls_and_accounts_and_stops(settings):
    told = []

    def say(line):
        told.append(line)
        if line.startswith("epoch"):
            raise KeyboardInterrupt

    run(say, **{**settings.as_dict(), "by_clock": True, "genesis_time": 0})
    text = "\n".join(told)
    assert "Beacon API      http://127.0.0.1:" in text
    assert "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in text
    assert "Ctrl-C" in text
    assert told[-2:] == ["epoch    0   finalized    0   active validators    8", "stopped"]


def runs(pid: int) -> bool:
    """Whether a process runs (after its parent has had a moment to bury it)."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True
