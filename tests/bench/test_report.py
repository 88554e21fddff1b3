"""The benchmark of reports: all ways find the same in a state, and the bars are bars."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench import json_state, report
from bench.json_state import Found
from bench.report import Taken
from bench.ssz import FORK
from floe.beacon.containers import MAINNET
from floe.beacon.ssz import BeaconStateView
from floe.build import ROOT

SIZES = (4_000, 300, 90, 200)
"""Validators, ours, slashed, deposits that wait."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report")
    report.prepare(made, *SIZES)
    return made


def test_ways__same_state__same_numbers(folder: Path) -> None:
    taken = [way(folder) for way in report.WAYS.values()]
    first = taken[0].found
    assert [each.found for each in taken] == [first] * 3
    assert first.validators == 300
    assert first.balances > 250 * 32 * report.ETHER
    assert first.pending_deposits >= 20 * report.ETHER
    assert first.pending_loss > report.ETHER
    assert list(taken[0].parts) == ["root", "read", "sign"]
    assert sum(taken[0].parts.values()) <= taken[0].seconds
    assert all(each.gib > 0 for each in taken)


def test_floe__state_is_not_that_of_the_header__refuses(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    ssz = bytearray((folder / "state.ssz").read_bytes())
    ssz[-1] ^= 1
    (tmp_path / "state.ssz").write_bytes(ssz)
    with pytest.raises(RuntimeError, match="the state is not that of the header"):
        report.run_floe(tmp_path)


def test_json__as_a_node_writes_it__every_number_is_read(folder: Path) -> None:
    state = BeaconStateView((folder / "state.ssz").read_bytes(), FORK, MAINNET)
    text = json_state.write(state)
    pubkeys = ["0x" + row.tobytes().hex() for row in state.validators["pubkey"]]
    found = json_state.read(text, pubkeys, MAINNET)
    assert found.validators == len(pubkeys)
    assert found.balances == state.balances.sum()
    assert found.pending_deposits == SIZES[3] * report.ETHER
    assert json_state.read(text, [], MAINNET) == Found(0, 0, 0, 0)


def test_state__made_twice__is_the_same() -> None:
    assert report.make(40, 8, 4, 10) == report.make(40, 8, 4, 10)


@pytest.mark.parametrize(
    ("floe", "read", "problem"),
    [
        ({"cpu_seconds": 9.9, "gib": 2.9}, 2.0, ""),
        ({"cpu_seconds": 10.0}, 2.0, "a signed report took 10.0 seconds, the bar is 10"),
        ({"gib": 3.0}, 2.0, "a signed report took 3.0 GiB, the bar is 3"),
        ({}, 2.1, "a state is read 9.5 times faster than as JSON, the bar is 10"),
    ],
)
def test_main__bars__pass_or_fail(
    floe: dict[str, float],
    read: float,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = Taken(5.0, 5.0, 1.0, {}, Found(1, 1, 1, 1))
    taken = {"floe": replace(plain, **floe), "read": replace(plain, cpu_seconds=read)}  # type: ignore[arg-type]
    taken["json"] = replace(plain, cpu_seconds=20.0)
    monkeypatch.setattr("sys.argv", ["bench.report"])
    monkeypatch.setattr(report, "measure", lambda: taken)
    assert report.main() == (1 if problem else 0)
    assert problem in capsys.readouterr().out


def test_measure__ways_find_different_numbers__fails(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Taken(5.0, 5.0, 1.0, {}, Found(1, 1, 1, 1))
    other = replace(plain, found=Found(1, 2, 1, 1))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(report, "in_child", lambda way, _: other if way == "json" else plain)
    with pytest.raises(RuntimeError, match="the ways find different numbers"):
        report.measure()


def test_readme__numbers_of_a_report__are_the_committed_ones() -> None:
    numbers = json.loads(report.NUMBERS.read_text())
    floe, read, others = (numbers[way] for way in ("floe", "read", "json"))
    text = " ".join((ROOT / "README.md").read_text().split())
    assert f"takes {floe['cpu_seconds']:.1f} s of CPU time, shared by two cores, and {floe['gib']:.1f} GiB" in text
    assert f"takes {read['cpu_seconds']:.1f} s; as lido-oracle does it" in text
    assert f"it takes {others['cpu_seconds']:.0f} s and {others['gib']:.1f} GiB" in text
    assert (numbers["validators"], numbers["ours"]) == (1_000_000, 30_000)
