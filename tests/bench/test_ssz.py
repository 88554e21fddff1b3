"""The benchmark of proofs: both ways find the same, and the line is a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import ssz
from bench.ssz import Taken


def test_ways__same_state__same_root(tmp_path: Path) -> None:
    file = tmp_path / "state.ssz"
    file.write_bytes(ssz.make_state(600))
    ours, plain = ssz.run_ours(file, 600), ssz.run_plain(file, 600)
    assert ours.root == plain.root
    assert ours.validators == plain.validators == 600
    assert 0 < ours.gib < ssz.BAR_GIB


def test_state__made_twice__is_the_same() -> None:
    assert ssz.make_state(3) == ssz.make_state(3)
    assert ssz.make_state(3) != ssz.make_state(4)


def test_extrapolation__two_sizes__continues_their_line() -> None:
    small, large = Taken(10, 3.0, 0.5, 4.0, 1.0, "a"), Taken(30, 7.0, 0.5, 8.0, 1.5, "b")
    far = ssz.extrapolate(small, large, 110)
    assert (far.validators, far.root_seconds, far.proof_seconds) == (110, 23.0, 0.5)
    assert far.gib == pytest.approx(3.5)


def test_main__above_the_bar__fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plain = [Taken(10, 1.0, 0.1, 2.0, 0.1, ""), Taken(20, 2.0, 0.1, 3.0, 0.2, "")]
    monkeypatch.setattr("sys.argv", ["bench.ssz"])
    monkeypatch.setattr(ssz, "pairs_per_second", lambda: 1e6)
    for ours, code in (
        (Taken(100, 20.0, 1.0, 29.9, 1.0, ""), 0),
        (Taken(100, 20.0, 1.0, 30.1, 1.0, ""), 1),
        (Taken(100, 20.0, 1.0, 22.0, 6.1, ""), 1),
    ):
        monkeypatch.setattr(ssz, "measure", lambda ours=ours: (ours, plain))
        assert ssz.main() == code
        assert ("the bar is 30 s and 6 GiB" in capsys.readouterr().out) == bool(code)
