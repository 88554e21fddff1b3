"""The judge agrees with a devnet, and disagrees as soon as anything is wrong in the dump, however well it is signed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from floe.devnet import Devnet
from floe.devnet import judge as module
from floe.devnet.judge import DEMANDED, Difference, JudgeError, Verdict, dump, dump_state, judge, main, run

SLASHED_AT = 3
MISSED = 6
CHANGED = 9
"""Slot of the block that tests change."""
SLOTS = 11

# Offsets in an SSZ SignedBeaconBlock: of its signature, and of the state root in the message at byte 100.
SIGNATURE = 4
STATE_ROOT = 100 + 8 + 8 + 32

CHANGES = {
    "nothing": "",
    "state root": "block.state_root = b'1' * 32",
    "attestation": "body.attestations[0].signature = body.randao_reveal",
    "RANDAO": "body.randao_reveal = body.attestations[0].signature",
    "sync committee": "body.sync_aggregate.sync_committee_signature = body.randao_reveal",
    "withdrawals": "body.execution_payload.withdrawals.append(spec.Withdrawal(amount=1))",
    "proposer": "block.proposer_index = (block.proposer_index + 1) % 16",
}
"""What the judge complains of, and the change of a block that makes it do so."""

SIGN_AGAIN = """
# Change a block as its proposer could, and sign it again: FOLDER, JSON of the changes; one new file for each of them.
# In a process of its own, because only the devnet's has the specs on its path.
import json, sys
from hashlib import sha256
from pathlib import Path
from floe.devnet.chain import CURVE_ORDER, load_spec
from floe.devnet.settings import Settings

spec, folder = load_spec(Settings()), Path(sys.argv[1])
secrets = [int.from_bytes(sha256(f"floe/{number}".encode()).digest() + bytes(16), "big") for number in range(16)]
secrets = {spec.bls.SkToPk(secret % (CURVE_ORDER - 1) + 1): secret % (CURVE_ORDER - 1) + 1 for secret in secrets}
state = spec.BeaconState.decode_bytes((folder / "genesis.ssz").read_bytes())
for name, change in json.loads(sys.argv[2]).items():
    signed = spec.SignedBeaconBlock.decode_bytes((folder / "block.ssz").read_bytes())
    block = signed.message
    body = block.body
    exec(change)
    root = spec.compute_signing_root(block, spec.get_domain(state, spec.DOMAIN_BEACON_PROPOSER))
    signed.signature = spec.bls.Sign(secrets[state.validators[block.proposer_index].pubkey], root)
    (folder / f"{name}.ssz").write_bytes(signed.encode_bytes())
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """Return a dump, and slot and state root of its head."""
    folder = tmp_path_factory.mktemp("judge") / "dump"
    with Devnet() as devnet:
        devnet.advance(SLASHED_AT - 1)
        devnet.slash([5])
        devnet.advance(MISSED - SLASHED_AT)
        devnet.miss(1)
        devnet.advance(SLOTS - MISSED + 1)
        slot, root = dump(devnet.beacon_url, folder)
        dump_state(devnet.beacon_url, folder, SLASHED_AT)
    return folder, slot, root


@pytest.fixture(scope="module")
def signed_again(recorded: tuple[Path, int, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the block of slot CHANGED after each of the CHANGES, signed by its proposer."""
    folder = tmp_path_factory.mktemp("changes")
    shutil.copy(recorded[0] / "genesis.ssz", folder)
    shutil.copy(block(recorded[0], CHANGED), folder / "block.ssz")
    subprocess.run([sys.executable, "-c", SIGN_AGAIN, str(folder), json.dumps(CHANGES)], check=True)
    return folder


@pytest.fixture
def folder(recorded: tuple[Path, int, str], tmp_path: Path) -> Path:
    """Return a copy of the dump, to be changed."""
    return Path(shutil.copytree(recorded[0], tmp_path / "dump"))


def block(folder: Path, slot: int) -> Path:
    return folder / "blocks" / f"{slot:08}.ssz"


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def refused(verdict: Verdict, slot: int) -> str:
    """Demand that the judge stopped at the block of `slot`; return why."""
    assert verdict.difference is not None
    assert str(verdict.difference).startswith(f"slot {slot}: ")
    return verdict.difference.what


def test_judge__dump__agrees_up_to_the_head(recorded):
    folder, slot, root = recorded
    verdict = judge(folder)
    assert verdict.difference is None
    assert (verdict.slot, verdict.root) == (slot, root)
    assert verdict.blocks == len(list((folder / "blocks").iterdir())) >= SLOTS - 3
    assert not block(folder, MISSED).exists()
    assert verdict.carried["proposerSlashings"] == 1
    assert set(DEMANDED) <= set(verdict.carried)


@pytest.mark.parametrize("offset", [SIGNATURE, STATE_ROOT], ids=["signature", "state root"])
def test_judge__byte_of_a_block__differs(folder, offset):
    flip(block(folder, CHANGED), offset)
    refused(judge(folder), CHANGED)


def test_judge__byte_of_a_genesis_balance__differs(folder):
    state = (folder / "genesis.ssz").read_bytes()
    balances = (32 * 10**9).to_bytes(8, "little") * 16
    assert state.count(balances) == 1
    flip(folder / "genesis.ssz", state.index(balances))
    assert "parent root" in refused(judge(folder), 1)


def test_judge__block_left_out__differs(folder):
    path = block(folder, CHANGED)
    following = min(each for each in path.parent.iterdir() if each > path)
    path.unlink()
    assert "parent root" in refused(judge(folder), int(following.stem))


def test_judge__other_rules__names_the_fields_of_the_state(folder):
    config = folder / "config.json"
    rules = json.loads(config.read_text())
    # A slashed validator may withdraw after the later of this and EPOCHS_PER_SLASHINGS_VECTOR.
    config.write_text(json.dumps(rules | {"MIN_VALIDATOR_WITHDRAWABILITY_DELAY": "400"}))
    verdict = judge(folder)
    assert "state root" in refused(verdict, SLASHED_AT)
    assert verdict.difference is not None
    assert verdict.difference.fields == ["validators"]
    assert str(verdict.difference).endswith("; it differs in validators")


def test_signed_again__unchanged__is_the_same_block(recorded, signed_again):
    """What the judge refuses below are the changes, not the signing."""
    assert (signed_again / "nothing.ssz").read_bytes() == block(recorded[0], CHANGED).read_bytes()


@pytest.mark.parametrize("change", list(CHANGES)[1:])
def test_judge__wrong_but_signed_by_the_proposer__differs(folder, signed_again, change):
    shutil.copy(signed_again / f"{change}.ssz", block(folder, CHANGED))
    assert change.lower() in refused(judge(folder), CHANGED).lower()


def test_judge__no_blocks__cannot_judge(folder):
    shutil.rmtree(folder / "blocks")
    (folder / "blocks").mkdir()
    with pytest.raises(JudgeError, match="no blocks"):
        judge(folder)


def test_judge__no_dump__cannot_judge(tmp_path):
    with pytest.raises(JudgeError, match=r"config\.json"):
        judge(tmp_path)


def test_dump__nobody_there__says_so(tmp_path):
    with pytest.raises(JudgeError, match="does not answer"):
        dump("http://127.0.0.1:9", tmp_path / "dump")


def test_main__unknown_execution__is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--execution", "geth"])
    assert "invalid choice" in capsys.readouterr().err


AGREED = Verdict(slot=18, root="0x01", blocks=18, carried=DEMANDED, difference=None)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """Return a list for what the judge is to find, one after the other, on a devnet that is none and ends at AGREED."""
    verdicts: list[Verdict] = []
    monkeypatch.setattr(module, "Devnet", lambda **_: nullcontext(SimpleNamespace(beacon_url="")))
    monkeypatch.setattr(module, "life_cycle", lambda _: None)
    monkeypatch.setattr(module, "dump", lambda *_: (AGREED.slot, AGREED.root))
    monkeypatch.setattr(module, "dump_state", lambda *_: None)
    monkeypatch.setattr(module, "judge", lambda _: verdicts.pop(0))
    return verdicts


def test_run__all_agree__returns_the_verdict(found, capsys):
    found.append(AGREED)
    assert run("anvil", "fulu") == AGREED
    assert "every signature, proposer and state root is right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (replace(AGREED, slot=17), "the head is 18"),
        (replace(AGREED, root="0x02"), "the head is 18 0x01"),
        *[
            (replace(AGREED, carried=DEMANDED | {name: least - 1}), f"carried {least - 1} {name}")
            for name, least in DEMANDED.items()
        ],
    ],
)
def test_run__judge_saw_too_little__is_refused(found, verdict, reason):
    found.append(verdict)
    with pytest.raises(JudgeError, match=reason):
        run("anvil", "fulu")


def test_main__difference_on_one_of_two__is_told_and_fails(found, capsys):
    first = Difference("00000012.ssz", "state root 0x1, the block says 0x2", [])
    found += [AGREED]
    found += [replace(AGREED, difference=each) for each in (first, replace(first, fields=["balances"]))]
    assert main([]) == 1
    assert "slot 12: state root 0x1, the block says 0x2; it differs in balances" in capsys.readouterr().out


def test_main__all_agree__succeeds(found):
    found += [AGREED, AGREED]
    assert main([]) == 0


def test_main__cannot_judge__says_why_and_fails(found, capsys):
    found.append(replace(AGREED, carried=DEMANDED | {"voluntaryExits": 0}))
    assert main(["--execution", "anvil"]) == 1
    assert capsys.readouterr().err == "judge: the blocks carried 0 voluntaryExits, a life cycle has at least 1\n"
