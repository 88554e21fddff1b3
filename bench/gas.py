"""Measure what every operation costs, and hold it against the bars, the floors and the peers.

    python -m bench.gas             measure, print, and fail above a bar or where something grows or got dearer
    python -m bench.gas --write     accept the numbers even where they are dearer than the committed ones

Every number is the gas of a whole transaction (refunds deducted) on anvil, in a protocol that is in use, with random
non-zero amounts. `gas.json` holds medians; the bars are held against the dearest sample, so that luck cannot pass one.
Random numbers and block times are fixed: the same contracts give the same gas everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median_low

from rich.console import Console
from rich.table import Table

from bench import flatness, liquidity, operations, validators
from bench.bars import BARS
from bench.flatness import HINT, NO_HINT, Flatness
from bench.node import Node
from bench.operations import Samples
from bench.protocol import Protocol

FOLDER = Path(__file__).resolve().parent
GAS = FOLDER / "gas.json"
GAS_PICTURE = FOLDER / "gas.png"
FLATNESS = FOLDER / "flatness.csv"
FLATNESS_PICTURE = FOLDER / "flatness.png"

SEED = 1


def measure() -> tuple[dict[str, Samples], dict[str, Samples], Flatness]:
    """Return samples of the operations in `BARS`, in their order, of the others, and how gas grows."""
    with Node() as node:
        growth = flatness.measure(node, SEED)
    with Node() as node:
        protocol = Protocol(node, SEED)
        found = operations.measure(protocol, operations.OPERATIONS | validators.OPERATIONS | liquidity.OPERATIONS)
        others = operations.measure(protocol, operations.OTHERS | liquidity.OTHERS)
    found["claim_hint"] = growth.by_points[HINT][-1]
    found["claim_no_hint"] = growth.by_points[NO_HINT][-1]
    for key in (flatness.HINT_ACROSS, flatness.NO_HINT_ACROSS):
        others[key] = growth.by_points[key][-1]
    others["fulfil in part"] = growth.by_points[flatness.FULFIL][-1]
    return {row.key: found[row.key] for row in BARS if row.key in found}, others, growth


def medians(samples: Mapping[str, Samples]) -> dict[str, int]:
    """Gas by key: a sample that no more than half of all exceed."""
    return {key: median_low(gas) for key, gas in samples.items()}


def above_bars(samples: Mapping[str, Samples]) -> list[str]:
    """Operations with a sample above their bar."""
    return [
        f"{row.key}: {max(samples[row.key]):,} gas, above the bar of {row.bar:,}"
        for row in BARS
        if row.key in samples and row.bar is not None and max(samples[row.key]) > row.bar
    ]


def dearer(measured: Mapping[str, int], committed: Mapping[str, int]) -> list[str]:
    """Operations that cost more than the committed number says, or are no longer measured."""
    found = [f"{key}: no longer measured" for key in committed if key not in measured]
    for key, before in committed.items():
        if measured.get(key, 0) > before:
            found.append(f"{key}: {measured[key]:,} gas, {measured[key] - before:,} more than the committed {before:,}")
    return found


def bars_table(samples: Mapping[str, Samples]) -> Table:
    """Our numbers beside bars, floors and peers."""
    table = Table(title="Gas of whole transactions", title_justify="left", pad_edge=False)
    table.add_column("operation", no_wrap=True)
    for name in ("Floe", "least", "most", "bar", "headroom", "floor", "Lido", "best besides"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("which is")
    for row in BARS:
        gas = samples.get(row.key)
        if gas is None:
            ours = ["later", "", "", _number(row.bar), ""]
        else:
            ours = [*map(_number, (median_low(gas), min(gas), max(gas), row.bar)), _headroom(row.bar, max(gas))]
        table.add_row(row.label, *ours, *map(_number, (row.floor, row.lido, row.peer)), row.peer_name)
    return table


def others_table(samples: Mapping[str, Samples]) -> Table:
    """Return what has no bar."""
    table = Table(title="Others", title_justify="left", pad_edge=False)
    table.add_column("operation", no_wrap=True)
    for name in ("Floe", "least", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, gas in samples.items():
        table.add_row(name, *map(_number, (median_low(gas), min(gas), max(gas))))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 when a bar is missed, something grows, or something got dearer unaccepted."""
    parser = argparse.ArgumentParser(prog="python -m bench.gas", description="Measure gas.")
    parser.add_argument("--write", action="store_true", help="accept numbers that are dearer than the committed ones")
    accept: bool = parser.parse_args(arguments).write
    console = Console(width=None if sys.stdout.isatty() else 170)

    started = time.monotonic()
    samples, others, growth = measure()
    console.print(bars_table(samples), others_table(others), sep="\n")

    measured = medians(samples)
    committed: dict[str, int] = json.loads(GAS.read_text()) if GAS.exists() else {}
    changes = dearer(measured, committed)
    problems = above_bars(samples) + growth.problems()
    if changes and not accept:
        problems += [*changes, "accept what is dearer with `python -m bench.gas --write`, and say why in the commit"]
    else:
        for line in write(measured, growth):
            console.print(line)
    for problem in problems:
        console.print(f"[red]{problem}")
    console.print(f"{time.monotonic() - started:.0f} s")
    return 1 if problems else 0


def write(measured: Mapping[str, int], growth: Flatness) -> list[str]:
    """Bring the committed numbers and pictures up to date; says which changed."""
    from bench import pictures  # imports matplotlib, which takes a second

    said = []
    if _renew(GAS, GAS_PICTURE, json.dumps(measured, indent=2) + "\n"):
        pictures.draw_peers(measured, GAS_PICTURE)
        said.append(f"wrote {GAS.name} and {GAS_PICTURE.name}: commit them")
    if _renew(FLATNESS, FLATNESS_PICTURE, growth.table()):
        pictures.draw_flatness(growth, FLATNESS_PICTURE)
        said.append(f"wrote {FLATNESS.name} and {FLATNESS_PICTURE.name}: commit them")
    return said


def _renew(file: Path, picture: Path, text: str) -> bool:
    """Write `text` where the file says something else, or has no picture; tells whether it did."""
    if file.exists() and picture.exists() and file.read_text() == text:
        return False
    file.write_text(text)
    return True


def _headroom(bar: int | None, gas: int) -> str:
    if bar is None:
        return ""
    return f"[{'red' if gas > bar else 'green'}]{(bar - gas) / bar:.1%}"


def _number(gas: int | None) -> str:
    return "–" if gas is None else f"{gas:,}"


if __name__ == "__main__":
    sys.exit(main())
