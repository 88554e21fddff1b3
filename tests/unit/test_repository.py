"""The repository itself: what a fresh clone needs, and what must not be in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import floe
from floe.build import ROOT

# Written in halves, so that this file does not hold what it forbids.
HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "npmjs" + ".org",
    "npmjs" + ".com",
    "npm" + "mirror.com",
    "yarn" + "pkg.com",
    "crates" + ".io",
    "proxy." + "golang.org",
]
INDEX_OPTIONS = re.compile("--(?:extra-)?index-url|--find-" + r"links|^\s*registry\s*=", re.MULTILINE)


def tracked_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_tree__registry_hosts__in_no_file():
    for file in tracked_files():
        text = file.read_bytes().decode("utf-8", errors="ignore").lower()
        assert not [host for host in HOSTS if host in text], file


def test_python_lock__every_package__has_version_and_hash_and_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert not INDEX_OPTIONS.search(text)
    entries = re.split(r"\n(?=[a-z0-9])", text.replace("\\\n", ""))
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_npm_lock__every_package__has_version_and_no_address():
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    for name, entry in packages.items():
        assert "resolved" not in entry, name
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"]), name
        assert entry.get("integrity") or entry.get("optional"), name
    assert packages["node_modules/@foundry-rs/anvil-linux-amd64"]["integrity"]


def test_npm_lock__anvil__covers_every_platform_it_is_published_for():
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for tool in ("anvil", "forge"):
        for package in lock[f"node_modules/@foundry-rs/{tool}"]["optionalDependencies"]:
            assert f"node_modules/{package}" in lock


def test_direct_requirements__all__are_pinned_in_the_lock():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        if "==" in requirement:
            pinned = re.sub(r"\[.*\]", "", requirement)  # a lock lists what an extra brings by itself
            assert re.search(rf"^{re.escape(pinned)} ", lock, re.MULTILINE), requirement


def test_version__package_and_project_file__agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == floe.__version__


def test_make_help__every_target__is_listed():
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in targets[1].split():
        assert re.search(rf"^  make {target} ", listed, re.MULTILINE), target


def doctor(path: Path) -> subprocess.CompletedProcess[str]:
    """Run the doctor with nothing on PATH but what lies in `path`."""
    return subprocess.run(
        [str(path / "bash"), str(ROOT / "scripts/doctor.sh")],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """Make a folder of programs like a machine that has everything but what this repository asks for."""
    for tool in ("bash", "basename", "dirname", "head", "uname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def test_doctor__bare_machine__names_all_that_is_missing_and_fails(bare_machine: Path):
    done = doctor(bare_machine)
    assert done.returncode == 1
    for tool in ("Python 3.11", "node 20", "npm", "make", "git"):
        assert re.search(rf"^  missing  {tool}", done.stderr, re.MULTILINE), tool
    assert "apt install python3.11" in done.stderr


def test_doctor__node_too_old__says_so(bare_machine: Path):
    node = bare_machine / "node"
    node.write_text("#!/bin/sh\n[ $1 = --print ] && echo 18 || echo v18.0.0\n")
    node.chmod(0o755)
    assert "node 20 or newer (found v18.0.0)" in doctor(bare_machine).stderr


def test_doctor__this_machine__lacks_nothing():
    done = subprocess.run(
        ["make", "doctor"], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Nothing is missing." in done.stdout
