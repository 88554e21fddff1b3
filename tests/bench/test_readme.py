"""The README's gas table says what was measured."""

from __future__ import annotations

import json
import re

from bench.bars import BARS
from floe.build import ROOT

ROW = re.compile(r"^\| (?P<label>[^|]+) \| (?P<gas>[\d,]+) \| (?P<lido>[\d,–]+) \| (?P<peer>[^|]*) \|$", re.MULTILINE)


def test_readme__gas_table__equals_the_committed_measurement() -> None:
    """Every measured operation has its row, with our number and the peers'."""
    measured = json.loads((ROOT / "bench" / "gas.json").read_text())
    expected = {
        bar.label: (
            f"{measured[bar.key]:,}",
            f"{bar.lido:,}" if bar.lido else "–",
            f"{bar.peer:,} {bar.peer_name}" if bar.peer else "–",
        )
        for bar in BARS
        if bar.key in measured
    }
    rows = {
        row["label"]: (row["gas"], row["lido"], row["peer"].strip())
        for row in ROW.finditer((ROOT / "README.md").read_text())
    }
    assert rows == expected
