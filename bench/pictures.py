"""The two pictures for the README, drawn from measured numbers. The same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from bench.bars import BARS
from bench.flatness import FULFIL, HINT, HINT_ACROSS, NO_HINT, NO_HINT_ACROSS, Flatness

ICE, DEEP, GREY, PALE = "#1f9bcf", "#0b3c5d", "#8a949e", "#c9d0d6"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.facecolor": "white",
}
WIDEST = 240
"""Thousands of gas at which a bar is cut off; its number is beside it all the same."""


def draw_peers(measured: Mapping[str, int], file: Path) -> None:
    """Draw what operations that others have too cost here, at the best besides Lido and at Lido, with their floors.

    `measured` is gas by key.
    """
    rows = [row for row in BARS if row.key in measured and (row.peer or row.lido)]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 0.6), dpi=100, layout="constrained")
        for place, row in enumerate(rows):
            for offset, gas, colour in (
                (-0.27, measured[row.key], ICE),
                (0.0, row.peer, GREY),
                (0.27, row.lido, PALE),
            ):
                if gas is None:
                    continue
                width = min(gas / 1_000, WIDEST)
                axes.barh(place + offset, width, 0.25, color=colour)
                axes.text(width + 1, place + offset, f"{gas:,}", va="center", fontsize=7, color=DEEP)
            if row.floor is not None:
                axes.plot([row.floor / 1_000] * 2, [place - 0.4, place - 0.14], color=DEEP, linewidth=1.5)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.set_xlim(0, WIDEST + 20)
        axes.set_xlabel("gas of the whole transaction, in thousands")
        keys = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (ICE, GREY, PALE)]
        keys.append(plt.Line2D([], [], color=DEEP, linewidth=1.5))
        axes.legend(keys, ["Floe", "best besides Lido", "Lido", "floor: what nobody can avoid"], loc="upper right")
        _save(figure, file)


def draw_flatness(flatness: Flatness, file: Path) -> None:
    """Draw the median gas, with the range of all samples, against points and against tickets."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(8, 3.6), dpi=100, sharey=True, layout="constrained", width_ratios=(1.25, 1)
        )
        claims = (
            (NO_HINT_ACROSS, "without hint, paid by several fulfilments", DEEP, ":"),
            (HINT_ACROSS, "with hint, paid by several fulfilments", ICE, ":"),
            (NO_HINT, "without hint", DEEP, "-"),
            (HINT, "with hint", ICE, "-"),
        )
        for key, label, colour, style in claims:
            _line(left, flatness.steps, flatness.by_points[key], label, colour, style)
        left.set_title("One claim")
        left.set_xlabel("points on the curve (fulfilments ever)")
        left.set_ylabel("gas of the whole transaction, in thousands")
        _line(right, flatness.steps, flatness.by_tickets[FULFIL], "of all tickets at once", ICE, "-")
        right.set_title("One fulfilment")
        right.set_xlabel("tickets that it pays")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xticks(flatness.steps, [f"{step:,}" for step in flatness.steps])
            axes.minorticks_off()
            axes.grid(axis="y", color=PALE, linewidth=0.5)
            axes.legend(loc="upper left", fontsize=8)
        left.set_ylim(0, 1.4 * left.dataLim.y1)  # room for the legend
        _save(figure, file)


def _line(axes: Any, steps: list[int], series: list[list[int]], label: str, colour: str, style: str) -> None:
    known = [(step, sorted(samples)) for step, samples in zip(steps, series, strict=True) if samples]
    where = [step for step, _ in known]
    low, middle, high = (
        [samples[index] / 1_000 for (_, samples), index in zip(known, places, strict=True)]
        for places in (
            [0] * len(known),
            [(len(samples) - 1) // 2 for _, samples in known],
            [-1] * len(known),
        )
    )
    axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(where, middle, style, color=colour, marker="o", markersize=3.5, label=label)


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, metadata={"Software": None})
    plt.close(figure)
