"""Beacon states: containers, roots, generalized indices and proofs; against the library and against recorded proofs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remerkleable.basic import boolean
from remerkleable.bitfields import Bitvector
from remerkleable.byte_arrays import ByteList, Bytes32
from remerkleable.complex import Container, List, Vector

from floe.beacon.containers import (
    FAR_FUTURE_EPOCH,
    FORKS,
    MAINNET,
    MINIMAL,
    BeaconBlockHeader,
    ContainerError,
    ForkRow,
    Preset,
    Validator,
    beacon_state,
    fork_table,
    from_json,
    gindices,
    header_root,
    preset_of,
)
from floe.beacon.ssz import (
    BeaconStateView,
    ProofError,
    StateError,
    Tree,
    Witness,
    hash_pairs,
    key_of,
    root_of,
    row_of,
    verify_balance,
    verify_validators,
)
from floe.build import ROOT

SPECS = ROOT / ".venv" / "specs"
"""Where the executable consensus specs are installed."""

MAINNET_SPEC = {
    "PRESET_BASE": "mainnet",
    "DENEB_FORK_EPOCH": "269568",
    "ELECTRA_FORK_EPOCH": "364032",
    "FULU_FORK_EPOCH": "411392",
}

RECORDED = (
    "withdrawal_credential_proof_302913.json",
    "withdrawal_credential_proof_302913_exited.json",
    "balanceUpdateProof_notOverCommitted_302913.json",
    "balanceUpdateProof_updated_to_0ETH_302913.json",
)
WITH_BALANCE = RECORDED[:2]
HEADERS = ("deneb_holesky_beacon_headers_2227472.json", "electra_mekong_beacon_headers_654719.json")

STATE_ROOT_IN_HEADER = 8 + 3
"""Generalized index of the fourth of five fields."""


def number(random: Random, top: int) -> int:
    """Return a number below `top`, often a small one."""
    return random.choice((0, 1, top // 2, random.randrange(top)))


def anything(kind: Any, random: Random, most: int) -> Any:
    """Return a value of an SSZ type, with lists of at most `most` elements."""
    if issubclass(kind, boolean):
        return kind(random.randrange(2))
    if issubclass(kind, Container):
        return kind(**{name: anything(field, random, most) for name, field in kind.fields().items()})
    if issubclass(kind, Bitvector):
        return kind([random.randrange(2) for _ in range(kind.vector_length())])
    if issubclass(kind, ByteList):
        return kind(random.randbytes(random.randrange(kind.limit() + 1)))
    if issubclass(kind, List):
        return kind([anything(kind.element_cls(), random, most) for _ in range(number(random, most + 1))])
    return kind.decode_bytes(random.randbytes(kind.type_byte_length()))


def random_state(fork: str, preset: Preset, seed: int, validators: int) -> Any:
    """Return a state (the library's) in which every field is random."""
    random, kind = Random(seed), beacon_state(fork, preset)
    fields = {name: anything(field, random, 40) for name, field in kind.fields().items()}
    for name in ("validators", "balances"):
        field = kind.fields()[name]
        fields[name] = field([anything(field.element_cls(), random, 0) for _ in range(validators)])
    return kind(**fields)


def view_of(state: Any, fork: str, preset: Preset) -> BeaconStateView:
    return BeaconStateView(state.encode_bytes(), fork, preset)


def small_view(fork: str = "electra", validators: int = 21) -> BeaconStateView:
    return view_of(random_state(fork, MINIMAL, 5, validators), fork, MINIMAL)


def flipped(data: bytes, position: int) -> bytes:
    """Return `data` with one bit changed."""
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def mutations(branch: list[bytes]) -> list[list[bytes]]:
    """Return branches with one byte changed in each node, and one node shorter and longer at both ends."""
    changed = [[*branch[:i], flipped(node, i % 32), *branch[i + 1 :]] for i, node in enumerate(branch)]
    return [*changed, branch[1:], branch[:-1], [*branch, branch[-1]], [branch[0], *branch]]


# --- containers ---


def test_containers__compared_with_the_specs__are_the_same() -> None:
    if not SPECS.is_dir():
        pytest.skip(f"the executable consensus specs are not installed at {SPECS}")
    program = f"""
import importlib, json, sys
sys.path.insert(0, {str(SPECS)!r})
shapes = {{}}
for fork in {FORKS!r}:
    for preset in ("mainnet", "minimal"):
        spec = importlib.import_module(f"eth_consensus_specs.{{fork}}.{{preset}}")
        shapes[f"{{fork}} {{preset}}"] = [kind.type_tree_shape() for kind in (spec.BeaconState, spec.BeaconBlockHeader)]
print(json.dumps(shapes))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    ours = {
        f"{fork} {preset.name}": [kind.type_tree_shape() for kind in (beacon_state(fork, preset), BeaconBlockHeader)]
        for fork in FORKS
        for preset in (MAINNET, MINIMAL)
    }
    assert json.loads(run.stdout) == json.loads(json.dumps(ours))


def test_gindices__by_fork__are_those_of_the_published_layouts() -> None:
    for preset in (MAINNET, MINIMAL):
        # 28 fields make a tree of 32 leaves, 37 and 38 one of 64; `validators` is field 11, `balances` 12.
        assert gindices("deneb", preset) == ((32 + 11) << 41, (32 + 12) << 39)
        assert gindices("electra", preset) == ((64 + 11) << 41, (64 + 12) << 39)
        assert gindices("fulu", preset) == gindices("electra", preset)


def test_fork_table__mainnet__has_the_slots_of_its_forks() -> None:
    assert fork_table(MAINNET_SPEC) == [
        ForkRow("deneb", 8_626_176, *gindices("deneb", MAINNET)),
        ForkRow("electra", 11_649_024, *gindices("electra", MAINNET)),
        ForkRow("fulu", 13_164_544, *gindices("fulu", MAINNET)),
    ]


def test_fork_table__forks_at_one_slot_and_never__last_of_the_slot_only() -> None:
    spec = {
        "PRESET_BASE": "minimal",
        "DENEB_FORK_EPOCH": "0",
        "ELECTRA_FORK_EPOCH": "0",
        "FULU_FORK_EPOCH": str(FAR_FUTURE_EPOCH),
    }
    assert fork_table(spec) == [ForkRow("electra", 0, *gindices("electra", MINIMAL))]
    assert [(row.fork, row.first_slot) for row in fork_table(spec | {"FULU_FORK_EPOCH": "3"})] == [
        ("electra", 0),
        ("fulu", 24),
    ]


def test_fork_table__node_does_not_know_a_fork__is_without_it() -> None:
    spec = {key: value for key, value in MAINNET_SPEC.items() if key != "FULU_FORK_EPOCH"}
    assert fork_table(spec) == fork_table(MAINNET_SPEC)[:2]


def test_fork_table__no_fork_scheduled__says_so() -> None:
    with pytest.raises(ContainerError, match="schedules none of deneb, electra, fulu"):
        fork_table({"PRESET_BASE": "mainnet", "FULU_FORK_EPOCH": str(FAR_FUTURE_EPOCH)})


def test_preset__unknown_name__says_what_is_known() -> None:
    with pytest.raises(ContainerError, match="PRESET_BASE is 'gnosis', known are"):
        preset_of({"PRESET_BASE": "gnosis"})


def test_beacon_state__unknown_fork__says_what_is_known() -> None:
    with pytest.raises(ContainerError, match="no containers for the fork 'gloas', only for deneb, electra, fulu"):
        BeaconStateView(b"", "gloas", MAINNET)


HEADER_JSON = {
    "slot": "5",
    "proposer_index": "2",
    "parent_root": "0x" + "01" * 32,
    "state_root": "0x" + "02" * 32,
    "body_root": "0x" + "03" * 32,
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "not a BeaconBlockHeader"),
        ({"slot": "1"}, "BeaconBlockHeader has the fields slot, proposer_index, parent_root, state_root, body_root"),
        (HEADER_JSON | {"more": "1"}, "BeaconBlockHeader has the fields"),
        (HEADER_JSON | {"slot": "x"}, "not a BeaconBlockHeader"),
        (HEADER_JSON | {"slot": "-1"}, "not a BeaconBlockHeader"),
        (HEADER_JSON | {"slot": str(2**64)}, "not a BeaconBlockHeader"),
        (HEADER_JSON | {"state_root": "0x" + "02" * 31}, "not a BeaconBlockHeader"),
        (HEADER_JSON | {"state_root": 3}, "not a BeaconBlockHeader"),
    ],
)
def test_from_json__not_the_container__one_clear_line(wrong: Any, message: str) -> None:
    assert from_json(BeaconBlockHeader, HEADER_JSON).slot == 5
    with pytest.raises(ContainerError, match=message):
        from_json(BeaconBlockHeader, wrong)


@pytest.mark.parametrize("name", HEADERS)
def test_header__recorded__root_holds_its_fields(data_folder: Path, name: str) -> None:
    recorded = json.loads((data_folder / "beacon" / name).read_text())
    header = from_json(BeaconBlockHeader, recorded)
    assert header.to_obj() == {
        key: int(value) if key in ("slot", "proposer_index") else value for key, value in recorded.items()
    }
    numbers = [int(recorded[key]).to_bytes(32, "little") for key in ("slot", "proposer_index")]
    roots = [bytes.fromhex(recorded[key][2:]) for key in ("parent_root", "state_root", "body_root")]
    # By hand: eight leaves, three of them zero.
    slot_and_proposer = sha256(numbers[0] + numbers[1]).digest()
    parent_and_state = sha256(roots[0] + roots[1]).digest()
    body_and_zero = sha256(roots[2] + bytes(32)).digest()
    zeros = sha256(bytes(64)).digest()
    left = sha256(slot_and_proposer + parent_and_state).digest()
    right = sha256(body_and_zero + zeros).digest()
    assert header_root(header) == sha256(left + right).digest()
    branch = [roots[0], slot_and_proposer, right]
    assert root_of([STATE_ROOT_IN_HEADER], [roots[1]], branch) == header_root(header)


# --- recorded proofs: Deneb, validator 302,913 ---


class Recorded:
    """A recorded proof. Some have edited balances; their branches are consistent."""

    def __init__(self, file: Path) -> None:
        fields = json.loads(file.read_text())
        self.index = int(fields["validatorIndex"])
        self.state_root, self.block_root = (
            bytes.fromhex(fields[key][2:]) for key in ("beaconStateRoot", "latestBlockHeaderRoot")
        )
        self.witness = Witness(self.index, tuple(self.nodes(fields["ValidatorFields"])))
        self.branch = self.nodes(fields["WithdrawalCredentialProof"])
        self.header_branch = self.nodes(fields["StateRootAgainstLatestBlockHeaderProof"])
        self.balance_chunk = bytes.fromhex(fields.get("balanceRoot", "0x")[2:])
        self.balance_branch = self.nodes(fields.get("ValidatorBalanceProof", []))

    @staticmethod
    def nodes(texts: list[str]) -> list[bytes]:
        """Read hexadecimal nodes."""
        return [bytes.fromhex(text[2:]) for text in texts]


@pytest.fixture(params=RECORDED)
def recorded(request: pytest.FixtureRequest, data_folder: Path) -> Recorded:
    return Recorded(data_folder / "beacon" / request.param)


@pytest.fixture(params=WITH_BALANCE)
def recorded_balance(request: pytest.FixtureRequest, data_folder: Path) -> Recorded:
    return Recorded(data_folder / "beacon" / request.param)


VALIDATORS_DENEB, BALANCES_DENEB = gindices("deneb", MAINNET)
VALIDATORS_ELECTRA, BALANCES_ELECTRA = gindices("electra", MAINNET)


def test_recorded_validator__as_it_is__verifies(recorded: Recorded) -> None:
    assert len(recorded.branch) == 46
    verify_validators([recorded.witness], recorded.branch, VALIDATORS_DENEB, recorded.state_root)


def test_recorded_state_root__as_it_is__leads_to_the_block_root(recorded: Recorded) -> None:
    assert root_of([STATE_ROOT_IN_HEADER], [recorded.state_root], recorded.header_branch) == recorded.block_root


def test_recorded_state_root__mutated__fails(recorded: Recorded) -> None:
    for branch in mutations(recorded.header_branch):
        with pytest.raises(ProofError):
            demand(root_of([STATE_ROOT_IN_HEADER], [recorded.state_root], branch) == recorded.block_root)
    for gindex in (STATE_ROOT_IN_HEADER - 1, STATE_ROOT_IN_HEADER + 1, 2 * STATE_ROOT_IN_HEADER):
        with pytest.raises(ProofError):
            demand(root_of([gindex], [recorded.state_root], recorded.header_branch) == recorded.block_root)


def demand(holds: bool) -> None:
    """Turn a root that differs into the error that a caller of `root_of` makes of it."""
    if not holds:
        raise ProofError("the root differs")


def test_recorded_validator__branch_mutated__fails(recorded: Recorded) -> None:
    for branch in mutations(recorded.branch):
        with pytest.raises(ProofError):
            verify_validators([recorded.witness], branch, VALIDATORS_DENEB, recorded.state_root)


def test_recorded_validator__chunk_mutated__fails(recorded: Recorded) -> None:
    chunks = recorded.witness.chunks
    for position in range(8):
        changed = (*chunks[:position], flipped(chunks[position], position), *chunks[position + 1 :])
        with pytest.raises(ProofError, match="does not lead to this state root"):
            verify_validators(
                [Witness(recorded.index, changed)], recorded.branch, VALIDATORS_DENEB, recorded.state_root
            )
    for wrong in (chunks[:7], (*chunks, bytes(32)), (*chunks[:7], bytes(31))):
        with pytest.raises(ProofError, match="a validator is 8 chunks of 32 bytes"):
            verify_validators([Witness(recorded.index, wrong)], recorded.branch, VALIDATORS_DENEB, recorded.state_root)


def test_recorded_validator__neighbour_index__fails(recorded: Recorded) -> None:
    for index in (recorded.index - 1, recorded.index + 1):
        with pytest.raises(ProofError, match="does not lead to this state root"):
            verify_validators(
                [Witness(index, recorded.witness.chunks)], recorded.branch, VALIDATORS_DENEB, recorded.state_root
            )


def test_recorded_validator__index_outside_the_list__fails(recorded: Recorded) -> None:
    # The same path, written as an index below another field.
    index = recorded.index + 2**41
    with pytest.raises(ProofError, match="an index of a validator is below 1099511627776"):
        verify_validators(
            [Witness(index, recorded.witness.chunks)], recorded.branch, VALIDATORS_DENEB - 2**41, recorded.state_root
        )


def test_recorded_validator__gindex_of_another_field_or_fork__fails(recorded: Recorded) -> None:
    others = [(32 + field) << 41 for field in range(28) if field != 11]
    for gindex in (*others, BALANCES_DENEB, VALIDATORS_ELECTRA, BALANCES_ELECTRA, VALIDATORS_DENEB >> 1):
        with pytest.raises(ProofError):
            verify_validators([recorded.witness], recorded.branch, gindex, recorded.state_root)


def test_recorded_balance__as_it_is__four_to_a_chunk_little_endian(recorded_balance: Recorded) -> None:
    proof = recorded_balance
    assert len(proof.balance_branch) == 44
    own = verify_balance(proof.index, proof.balance_chunk, proof.balance_branch, BALANCES_DENEB, proof.state_root)
    assert proof.index % 4 == 1
    assert own == int.from_bytes(proof.balance_chunk[8:16], "little")
    for neighbour in range(proof.index - 1, proof.index + 3):
        balance = verify_balance(neighbour, proof.balance_chunk, proof.balance_branch, BALANCES_DENEB, proof.state_root)
        assert balance == np.frombuffer(proof.balance_chunk, "<u8")[neighbour % 4]


def test_recorded_balance__both_recordings__known_amounts(data_folder: Path) -> None:
    amounts = []
    for name in WITH_BALANCE:
        proof = Recorded(data_folder / "beacon" / name)
        amounts.append(
            verify_balance(proof.index, proof.balance_chunk, proof.balance_branch, BALANCES_DENEB, proof.state_root)
        )
    assert amounts == [0x07_735B_01E5, 0]


def test_recorded_balance__mutated__fails(recorded_balance: Recorded) -> None:
    proof = recorded_balance

    def refuse(
        index: int = proof.index,
        chunk: bytes = proof.balance_chunk,
        branch: list[bytes] = proof.balance_branch,
        gindex: int = BALANCES_DENEB,
    ) -> None:
        with pytest.raises(ProofError):
            verify_balance(index, chunk, branch, gindex, proof.state_root)

    for branch in mutations(proof.balance_branch):
        refuse(branch=branch)
    for position in range(32):
        refuse(chunk=flipped(proof.balance_chunk, position))
    for chunk in (b"", proof.balance_chunk[:31], proof.balance_chunk + b"\0"):
        refuse(chunk=chunk)
    for index in (proof.index - 4, proof.index + 4, proof.index - 2, proof.index + 3, -1, 2**40):
        refuse(index=index)
    for gindex in (VALIDATORS_DENEB, BALANCES_DENEB - (1 << 39), BALANCES_DENEB + (1 << 39), BALANCES_ELECTRA):
        refuse(gindex=gindex)


# --- states ---


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.parametrize("validators", [0, 1, 2, 5, 33])
def test_state__minimal_preset__every_root_is_the_librarys(fork: str, validators: int) -> None:
    state = random_state(fork, MINIMAL, validators, validators)
    view = view_of(state, fork, MINIMAL)
    assert view.slot == state.slot
    for name in state.fields():
        assert view.field_root(name) == getattr(state, name).hash_tree_root(), name
        assert view.field(name) == getattr(state, name), name
    assert view.root == state.hash_tree_root()


def test_state__more_validators_than_a_batch__root_is_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floe.beacon.ssz._ROWS", 8)
    state = random_state("electra", MINIMAL, 3, 21)
    assert view_of(state, "electra", MINIMAL).root == state.hash_tree_root()


def test_state__large__helpers_find_the_same_root(monkeypatch: pytest.MonkeyPatch) -> None:
    started, start = [], subprocess.Popen

    def counted(*arguments: Any, **options: Any) -> Any:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("floe.beacon.ssz._SHARE", 20)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(subprocess, "Popen", counted)
    state = random_state("electra", MINIMAL, 8, 100)
    view = view_of(state, "electra", MINIMAL)
    assert view.root == bytes(state.hash_tree_root())
    assert view.keys == b"".join(key_of(bytes(validator.pubkey)) for validator in state.validators)
    assert [process.returncode for process in started] == [0, 0]


def test_state__helper_fails__says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("floe.beacon.ssz._SHARE", 20)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RuntimeError, match="a process that should hash validators ended with status 1"):
        small_view(validators=50).field_root("validators")


def test_state__keys__are_the_roots_of_the_public_keys_before_and_after_the_root() -> None:
    state = random_state("fulu", MINIMAL, 6, 30)
    before, after = view_of(state, "fulu", MINIMAL), view_of(state, "fulu", MINIMAL)
    assert after.root == bytes(state.hash_tree_root())
    roots = [bytes(validator.pubkey.hash_tree_root()) for validator in state.validators]
    assert [key_of(bytes(validator.pubkey)) for validator in state.validators] == roots
    for view in (before, after):
        assert view.keys == b"".join(roots)
        assert view.find([roots[7], b"\1" * 32, roots[3], bytes(state.validators[3].pubkey)]) == {
            roots[3]: 3,
            roots[7]: 7,
        }
        assert list(view.find(roots).values()) == list(range(30))
        assert view.find([]) == {}


def test_state__list_of_containers__as_records() -> None:
    state = random_state("electra", MINIMAL, 3, 7)
    view = view_of(state, "electra", MINIMAL)
    deposits = view.rows("pending_deposits")
    assert len(deposits) == len(state.pending_deposits) > 0
    for row, real in zip(deposits, state.pending_deposits, strict=True):
        assert row["pubkey"].tobytes() == bytes(real.pubkey)
        assert row["signature"].tobytes() == bytes(real.signature)
        assert [int(row["amount"]), int(row["slot"])] == [real.amount, real.slot]
    with pytest.raises(TypeError, match=r"BeaconBlock.deposits is neither a number, nor a boolean, nor bytes"):
        row_of(type(Container)("BeaconBlock", (Container,), {"__annotations__": {"deposits": List[Validator, 2]}}))


def test_state__validators_and_balances__are_views_of_the_bytes() -> None:
    state = random_state("fulu", MINIMAL, 1, 9)
    view = view_of(state, "fulu", MINIMAL)
    assert list(view.balances) == list(state.balances)
    for row, validator in zip(view.validators, state.validators, strict=True):
        assert row.tobytes() == validator.encode_bytes()
        assert row["pubkey"].tobytes() == validator.pubkey
        assert row["withdrawal_credentials"].tobytes() == validator.withdrawal_credentials
        for name in ("effective_balance", "slashed", "activation_epoch", "exit_epoch", "withdrawable_epoch"):
            assert row[name] == getattr(validator, name)
    assert not view.validators.flags.owndata and not view.validators.flags.writeable
    assert not view.balances.flags.owndata and not view.balances.flags.writeable


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.parametrize("preset", [MAINNET, MINIMAL], ids=lambda preset: preset.name)
def test_proofs__of_a_random_state__lead_to_the_librarys_root(fork: str, preset: Preset) -> None:
    state = random_state(fork, preset, 11, 50)
    view = view_of(state, fork, preset)
    validators, balances = gindices(fork, preset)
    assert view.root == state.hash_tree_root()
    witnesses, branch = view.prove_validators([0, 1, 7, 30, 49])
    verify_validators(witnesses, branch, validators, view.root)
    for witness in witnesses:
        validator = state.validators[witness.index]
        assert witness.root == validator.hash_tree_root()
        assert witness.chunks == tuple(bytes(getattr(validator, name).hash_tree_root()) for name in Validator.fields())
    for index in range(50):
        chunk, branch = view.prove_balance(index)
        assert verify_balance(index, chunk, branch, balances, view.root) == state.balances[index]
    header = BeaconBlockHeader(slot=view.slot, proposer_index=4, state_root=view.root)
    assert header_root(header) == header.hash_tree_root()


def test_proof__with_the_gindices_of_an_earlier_fork__fails() -> None:
    view = small_view("electra")
    witnesses, branch = view.prove_validators([3, 4])
    chunk, balance_branch = view.prove_balance(3)
    for validators, balances in (gindices("deneb", MINIMAL), tuple(2 * gindex for gindex in gindices("fulu", MINIMAL))):
        with pytest.raises(ProofError):
            verify_validators(witnesses, branch, validators, view.root)
        with pytest.raises(ProofError):
            verify_balance(3, chunk, balance_branch, balances, view.root)


def test_prove__index_not_in_the_state__fails() -> None:
    view = small_view(validators=21)
    for index in (-1, 21, 2**40):
        with pytest.raises(ProofError, match="the state has 21 validators, the first has index 0"):
            view.prove_validators([index])
        with pytest.raises(ProofError, match="the state has 21 validators, the first has index 0"):
            view.prove_balance(index)


def test_prove__indices_not_ascending__fails() -> None:
    for indices in ([], [2, 1], [1, 1]):
        with pytest.raises(ProofError, match="ascending, each once, at least one"):
            small_view().prove_validators(indices)


def test_state__other_fork_or_preset__refused() -> None:
    ssz = random_state("electra", MINIMAL, 2, 5).encode_bytes()
    for fork, preset in (("deneb", MINIMAL), ("fulu", MINIMAL), ("electra", MAINNET)):
        with pytest.raises(StateError, match=rf"state of {fork}"):
            BeaconStateView(ssz, fork, preset)


def test_state__truncated__refused() -> None:
    ssz = random_state("electra", MINIMAL, 2, 5).encode_bytes()
    for length in (0, 100, 3000):
        with pytest.raises(StateError, match="are too short for a state of electra, minimal preset"):
            BeaconStateView(ssz[:length], "electra", MINIMAL)


def test_state__trailing_byte__refused() -> None:
    ssz = random_state("electra", MINIMAL, 2, 5).encode_bytes()
    with pytest.raises(StateError, match=r"pending_consolidations: \d+ bytes are not a whole number of elements"):
        BeaconStateView(ssz + b"\0", "electra", MINIMAL)


def edited(changes: dict[str, bytes]) -> bytes:
    """Return a small state of Electra in which some fields of variable length have other bytes."""
    state = random_state("electra", MINIMAL, 2, 5)
    kinds = state.fields()
    parts = {name: changes.get(name, getattr(state, name).encode_bytes()) for name in kinds}
    offset = sum(kind.type_byte_length() if kind.is_fixed_byte_length() else 4 for kind in kinds.values())
    head, tail = b"", b""
    for name, kind in kinds.items():
        if kind.is_fixed_byte_length():
            head += parts[name]
        else:
            head += (offset + len(tail)).to_bytes(4, "little")
            tail += parts[name]
    return head + tail


def test_state__edited_without_a_change__is_the_same() -> None:
    assert edited({}) == random_state("electra", MINIMAL, 2, 5).encode_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validators": bytes(120)}, "validators: 120 bytes are not a whole number of elements"),
        ({"inactivity_scores": bytes(9)}, "inactivity_scores: 9 bytes are not a whole number of elements"),
        ({"balances": bytes(32)}, "there are not as many balances as validators"),
        ({"pending_deposits": bytes(193)}, "pending_deposits: 193 bytes are not a whole number of elements"),
        ({"pending_consolidations": bytes(16 * 65)}, "pending_consolidations: 65 elements, 64 are the limit"),
    ],
)
def test_state__lists_that_do_not_fit__refused(changes: dict[str, bytes], message: str) -> None:
    with pytest.raises(StateError, match=message):
        BeaconStateView(edited(changes), "electra", MINIMAL)


def test_state__slashed_is_no_boolean__refused() -> None:
    rows = bytearray(121 * 5)
    rows[121 * 3 + 88] = 2
    with pytest.raises(StateError, match="a field `slashed` is neither 0 nor 1"):
        BeaconStateView(edited({"validators": bytes(rows)}), "electra", MINIMAL).root  # noqa: B018 - computes


def test_state__offsets_out_of_order__refused() -> None:
    ssz = bytearray(edited({}))
    kinds = beacon_state("electra", MINIMAL).fields()
    places, at = {}, 0
    for name, kind in kinds.items():
        places[name] = at
        at += kind.type_byte_length() if kind.is_fixed_byte_length() else 4
    for offset in (0, 2**32 - 1):
        ssz[places["validators"] : places["validators"] + 4] = offset.to_bytes(4, "little")
        with pytest.raises(StateError, match="not a state of electra with the minimal preset"):
            BeaconStateView(bytes(ssz), "electra", MINIMAL)


def test_state__field_that_the_fork_lacks__refused() -> None:
    view = small_view("deneb")
    for read in (view.field, view.field_root):
        with pytest.raises(StateError, match="a state of deneb has no field 'pending_deposits'"):
            read("pending_deposits")


# --- trees and multiproofs ---


@given(depth=st.integers(0, 9), data=st.data())
@settings(max_examples=60, deadline=None)
def test_tree__any_leaves__root_is_the_librarys(depth: int, data: st.DataObject) -> None:
    leaves = data.draw(st.lists(st.binary(min_size=32, max_size=32), max_size=min(2**depth, 40)))
    expected = List[Bytes32, 2**depth](leaves)
    assert Tree(b"".join(leaves), depth, len(leaves)).root == expected.hash_tree_root()
    padded = Vector[Bytes32, 2**depth](leaves + [bytes(32)] * (2**depth - len(leaves)))
    assert Tree(b"".join(leaves), depth).root == padded.hash_tree_root()


def test_tree__leaves_that_do_not_fit__refused() -> None:
    for leaves, depth in ((bytes(31), 3), (bytes(32 * 9), 3)):
        with pytest.raises(ValueError, match="are not at most"):
            Tree(leaves, depth)


def test_tree__place_outside__refused() -> None:
    tree = Tree(bytes(32 * 5), 3)
    for height, position in ((0, 8), (0, -1), (4, 0), (3, 1), (-1, 0)):
        with pytest.raises(ValueError, match="no node"):
            tree.node(height, position)
    for position in (-1, 8):
        with pytest.raises(ProofError, match=f"no leaf {position} in this tree"):
            tree.branch([position])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tree, list[int], bool]:
    """Return a tree of distinct leaves and some of their positions."""
    depth = draw(st.integers(1, 10))
    count = draw(st.integers(1, min(2**depth, 60)))
    leaves = b"".join(sha256(bytes([draw(st.integers(0, 3)), i])).digest() for i in range(count))
    positions = draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=12))
    with_length = draw(st.booleans())
    return Tree(leaves, depth, count if with_length else None), sorted(positions), with_length


@given(case=cases())
@settings(max_examples=150, deadline=None)
def test_multiproof__any_positions__verifies_and_is_as_short_as_can_be(case: tuple[Tree, list[int], bool]) -> None:
    tree, positions, with_length = case
    branch = tree.branch(positions)
    assert root_of([tree.gindex + p for p in positions], [tree.node(0, p) for p in positions], branch) == tree.root
    paths = {(tree.gindex + p) >> height for p in positions for height in range(tree.gindex.bit_length())}
    needed = {gindex ^ 1 for gindex in paths if gindex > 1} - paths
    # Level by level from the leaves, from left to right.
    by_level = sorted(needed, key=lambda gindex: (-gindex.bit_length(), gindex))
    expected = [
        tree.node(tree.gindex.bit_length() - gindex.bit_length(), gindex - (1 << gindex.bit_length() - 1))
        for gindex in by_level
        if not (with_length and gindex == 3)
    ]
    if with_length:
        expected.append(int(tree.length or 0).to_bytes(32, "little"))
    assert branch == expected


@given(case=cases(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_multiproof__one_thing_changed__fails(case: tuple[Tree, list[int], bool], data: st.DataObject) -> None:
    tree, positions, _ = case
    branch, nodes = tree.branch(positions), [tree.node(0, p) for p in positions]
    indices = [tree.gindex + p for p in positions]

    def refuse(indices: list[int], nodes: list[bytes], branch: list[bytes]) -> None:
        with pytest.raises(ProofError):
            demand(root_of(indices, nodes, branch) == tree.root)

    chosen = data.draw(st.integers(0, len(nodes) - 1))
    byte = data.draw(st.integers(0, 31))
    refuse(indices, [*nodes[:chosen], flipped(nodes[chosen], byte), *nodes[chosen + 1 :]], branch)
    refuse(indices, nodes, [*branch, bytes(32)])
    refuse(indices, nodes, [bytes(32), *branch])
    refuse(indices, nodes[:-1], branch)
    refuse([*indices, indices[-1]], [*nodes, nodes[-1]], branch)
    refuse([2 * index for index in indices], nodes, branch)
    for step in (-1, 1):
        refuse([*indices[:chosen], indices[chosen] + step, *indices[chosen + 1 :]], nodes, branch)
    if branch:
        place = data.draw(st.integers(0, len(branch) - 1))
        refuse(indices, nodes, [*branch[:place], flipped(branch[place], byte), *branch[place + 1 :]])
        refuse(indices, nodes, [*branch[:place], branch[place][:31], *branch[place + 1 :]])
        refuse(indices, nodes, branch[:place] + branch[place + 1 :])
    if len(nodes) > 1:
        refuse(indices[::-1], nodes[::-1], branch)
        refuse(indices, nodes[::-1], branch)


def test_root_of__branch_of_another_length__says_which_way() -> None:
    tree = Tree(Random(2).randbytes(32 * 6), 3)
    branch, nodes = tree.branch([1, 4]), [tree.node(0, 1), tree.node(0, 4)]
    assert root_of([9, 12], nodes, branch) == tree.root
    for short in (branch[:-1], branch[1:], []):
        with pytest.raises(ProofError, match="the branch is too short"):
            root_of([9, 12], nodes, short)
    with pytest.raises(ProofError, match="the branch is too long"):
        root_of([9, 12], nodes, [*branch, branch[0]])


def test_root_of__node_of_another_size__refused() -> None:
    for node, sibling in ((bytes(31), bytes(32)), (bytes(32), bytes(31)), (bytes(33), bytes(31)), (bytes(32), b"")):
        with pytest.raises(ProofError, match="every node has 32 bytes"):
            root_of([2], [node], [sibling])


def test_root_of__nothing_or_mixed_levels__refused() -> None:
    for indices, nodes in (([], []), ([0], [bytes(32)]), ([3, 4], [bytes(32)] * 2)):
        with pytest.raises(ProofError):
            root_of(indices, nodes, [bytes(32)] * 2)


@pytest.mark.parametrize("pairs", [0, 1, 5, 255, 256, 257, 512, 600])
def test_hash_pairs__any_number_of_pairs__sha256_of_each(pairs: int) -> None:
    data = Random(pairs).randbytes(64 * pairs)
    assert hash_pairs(data) == b"".join(sha256(data[i : i + 64]).digest() for i in range(0, len(data), 64))
