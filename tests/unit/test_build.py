"""The build: what it hands out belongs to the sources as they are now, through floe.build and through Ape."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pyrevm import EVM, AccountInfo

from floe import build, snapshot

MODULE = """# pragma version 0.4.3
from interfaces import ICounter

count: uint256

@internal
def _step(by: uint256):
    self.count += by
    log ICounter.Stepped(by=by)
"""
INTERFACE = """# pragma version 0.4.3
event Stepped:
    by: uint256
"""
CONTRACT = """# pragma version 0.4.3
from contracts.lib import step
from snekmate.auth import ownable

initializes: ownable
initializes: step
exports: ownable.owner

LIMIT: immutable(uint256)

@deploy
def __init__(limit: uint256):
    ownable.__init__()
    LIMIT = limit

@external
def step_by(by: uint256):
    assert by <= LIMIT, "counter: too far"
    step._step(by)
"""
OTHER = """# pragma version 0.4.3
@external
@view
def answer() -> uint256:
    return 42
"""
CALLER = "0x" + "11" * 20
MODULE_FILE, INTERFACE_FILE = "contracts/lib/step.vy", "interfaces/ICounter.vyi"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Build a project with a contract that imports a module that imports an interface, and one that imports nothing."""
    sources = {
        MODULE_FILE: MODULE,
        INTERFACE_FILE: INTERFACE,
        "contracts/Counter.vy": CONTRACT,
        "contracts/mocks/Other.vy": OTHER,
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copy(build.ROOT / "ape-config.yaml", tmp_path)
    return tmp_path


def edit_module(root: Path) -> None:
    (root / MODULE_FILE).write_text(MODULE.replace("+= by", "+= by + 1"))


def edit_interface(root: Path) -> None:
    (root / INTERFACE_FILE).write_text(INTERFACE.replace("by: uint256", "by: indexed(uint256)"))


def no_compiler(*_: object) -> build.Artifact:
    raise AssertionError("compiled, though nothing changed")


# --- floe.build ---


def test_names__mocks_excluded__lists_deployables_only(root: Path):
    assert build.names(root) == ["Counter", "Other"]
    assert build.names(root, mocks=False) == ["Counter"]


def test_source_path__name_there_twice__reverts_with_both(root: Path):
    shutil.copy(root / "contracts/Counter.vy", root / "contracts/mocks/Counter.vy")
    with pytest.raises(build.BuildError, match=r"Counter: expected one source, found .*mocks/Counter\.vy"):
        build.load("Counter", root)
    with pytest.raises(build.BuildError, match="Nothing: expected one source, found nowhere"):
        build.load("Nothing", root)


def test_load__nothing_changed__reads_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch):
    first = build.load("Counter", root)
    monkeypatch.setattr(build, "compile_contract", no_compiler)
    assert build.load("Counter", root) == first
    assert build.load_many(["Counter"], root) == {"Counter": first}


@pytest.mark.parametrize("edit", [edit_module, edit_interface])
def test_load__import_edited__compiles_importer_anew(root: Path, edit):
    before = build.load_many(build.names(root), root)
    edit(root)
    after = build.load_many(build.names(root), root)
    assert after["Counter"].runtime != before["Counter"].runtime
    assert after["Other"] == before["Other"]


def test_load__edit_undone__gives_the_first_artifact_again(root: Path):
    before = build.load("Counter", root)
    edit_module(root)
    build.load("Counter", root)
    (root / MODULE_FILE).write_text(MODULE)
    assert build.load("Counter", root) == before


def test_closure__new_file_that_shadows_an_import__changes_the_digest(root: Path):
    path = build.source_path("Counter", root)
    before = build.closure_digest(path, root)
    shadow = root / "snekmate/auth/ownable.vy"
    shadow.parent.mkdir(parents=True)
    shadow.write_text("owner: public(address)\n")
    assert build.closure_digest(path, root) != before


def test_closure__packages__are_part_of_it(root: Path):
    files = build.closure_files(build.source_path("Counter", root), root)
    assert [file.name for file in files].count("ownable.vy") == 1


def test_load__does_not_compile__names_file_and_problem(root: Path):
    (root / MODULE_FILE).write_text(MODULE.replace("self.count += by", "self.missing += by"))
    with pytest.raises(build.BuildError, match=r"contracts/Counter\.vy: .*missing"):
        build.load("Counter", root)
    with pytest.raises(build.BuildError, match=r"contracts/Counter\.vy: .*missing"):
        build.load_many(["Counter", "Other"], root)


def test_options__each_build__has_its_own_artifact(root: Path):
    options = [build.Options(), build.Options(optimize="none"), build.Options(venom=True)]
    codes = {build.load("Counter", root, option).runtime for option in options}
    assert len(codes) == len(options)
    assert build.load("Counter", root).runtime == build.load("Counter", root, options[0], cache=False).runtime


def test_artifact__deployed__has_the_size_it_claims(root: Path):
    artifact = build.load("Counter", root)
    evm = EVM()
    address = evm.deploy(CALLER, artifact.deploy_code(7))
    code = evm.get_code(address)
    assert code is not None
    assert code.startswith(artifact.runtime + (7).to_bytes(32, "big"))
    # pyrevm pads what it returns with zeros, so the size is asked from inside: extcodesize(calldata[0:32])
    asker = "0x" + "22" * 20
    evm.insert_account_info(asker, AccountInfo(code=bytes.fromhex("5f353b5f5260205ff3")))
    answer = evm.message_call(CALLER, asker, calldata=bytes(12) + bytes.fromhex(address[2:]))
    assert int.from_bytes(answer, "big") == artifact.size == len(artifact.runtime) + 32


def test_deploy_code__wrong_number_of_arguments__raises(root: Path):
    with pytest.raises(build.BuildError, match="Counter: constructor takes 1 arguments, not 0"):
        build.load("Counter", root).deploy_code()


# --- snapshots ---


def test_snapshot__written__has_no_problems_until_the_layout_changes(root: Path):
    snapshot.write(build.load_many(["Counter"], root), root)
    assert snapshot.problems(build.load_many(["Counter"], root), root) == []
    (root / MODULE_FILE).write_text(MODULE.replace("count: uint256", "early: uint256\ncount: uint256"))
    found = snapshot.problems(build.load_many(["Counter"], root), root)
    assert found == ["snapshots/layout/Counter.json: differs from what the sources compile to"]


def test_snapshot__contract_gone_or_new__is_a_problem(root: Path):
    snapshot.write(build.load_many(["Counter"], root), root)
    assert snapshot.problems(build.load_many(["Other"], root), root) == [
        "snapshots/abi/Counter.json: no such contract",
        "snapshots/layout/Counter.json: no such contract",
        "snapshots/abi/Other.json: missing",
        "snapshots/layout/Other.json: missing",
    ]


def test_snapshot__code_above_the_limit__is_a_problem(root: Path, monkeypatch: pytest.MonkeyPatch):
    artifacts = build.load_many(["Counter"], root)
    snapshot.write(artifacts, root)
    size = artifacts["Counter"].size
    monkeypatch.setattr(snapshot, "SIZE_LIMIT", size)
    assert snapshot.problems(artifacts, root) == []
    monkeypatch.setattr(snapshot, "SIZE_LIMIT", size - 1)
    assert snapshot.problems(artifacts, root) == [f"contracts/Counter.vy: {size} bytes of code, limit {size - 1}"]


# --- Ape ---


def ape_compile(root: Path) -> str:
    """Run `ape compile` as a person would; returns what it says."""
    done = subprocess.run(["ape", "compile"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def manifest_code(root: Path) -> str:
    manifest = json.loads((root / ".build/__local__.json").read_text())
    code: str = manifest["contractTypes"]["Counter"]["deploymentBytecode"]["bytecode"]
    return code.removeprefix("0x")


def test_ape_compile__module_then_interface_edited__compiles_importer_anew(root: Path):
    ape_compile(root)
    assert manifest_code(root) == build.load("Counter", root).initcode_hex
    assert "Compiling" not in ape_compile(root)

    for edit in (edit_module, edit_interface):
        before = manifest_code(root)
        edit(root)
        said = ape_compile(root)
        assert "Compiling Counter" in said
        assert "Compiling Other" not in said
        assert before != manifest_code(root) == build.load("Counter", root).initcode_hex


def test_ape_project__module_edited__hands_out_new_bytecode(root: Path):
    """`ape test`, `ape run` and `ape console` all get their contracts from `ape.project`."""
    program = "import ape; print(ape.project.Counter.contract_type.deployment_bytecode.bytecode)"

    def code() -> str:
        done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.split()[-1].removeprefix("0x")

    before = code()
    edit_module(root)
    assert before != code() == build.load("Counter", root).initcode_hex


def test_ape_compile__does_not_compile__fails_with_the_compilers_message(root: Path):
    (root / MODULE_FILE).write_text(MODULE.replace("self.count += by", "self.missing += by"))
    done = subprocess.run(["ape", "compile"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "missing" in done.stdout + done.stderr
