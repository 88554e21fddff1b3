"""A picture of the peg: the pair's price as people trade, and a crowd that leaves. Amounts become floats here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from floe.report.pictures import BLUE, ETHER, GREEN, GREY, ORANGE, RED

COLORS = {"instant": GREEN, "reserve": ORANGE, "pair": BLUE}
"""Of the ways out that pay at once."""


@dataclass(frozen=True, slots=True)
class PriceCurve:
    """The pair's price when so much has been traded. Rates are wei per 1e18 shares."""

    points: Sequence[tuple[int, int]]
    """(shares sold to the pair, below 0 bought from it; price afterwards), from left to right. Drawn within 2 %."""
    price: int
    entry_rate: int
    exit_rate: int
    down: int
    """Shares that can be sold before the price has fallen by 1 %."""
    up: int
    """Shares that can be bought before it has risen by 1 %."""


@dataclass(frozen=True, slots=True)
class Exodus:
    """What a crowd did, in the order in which it did it."""

    sales: Sequence[tuple[str, int, int]]
    """(way, shares, cost in ppm)."""
    waiting: int
    """Shares that wait in the queue."""
    patience_ppm: int


def draw(curve: PriceCurve | None, exodus: Exodus, title: str, file: Path) -> None:
    """Draw both as PNG; without a curve (nobody provides liquidity) the crowd alone."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    style = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True}
    with mpl.rc_context({**style, "grid.color": "#e5e7eb", "axes.axisbelow": True, "axes.titlelocation": "left"}):
        panels = 1 if curve is None else 2
        figure, all_axes = pyplot.subplots(panels, 1, figsize=(11, 4.6 * panels), squeeze=False)
        axes = list(all_axes[:, 0])
        if curve is not None:
            _draw_prices(axes[0], curve)
        _draw_crowd(axes[-1], exodus)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        figure.tight_layout()
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=130)
        pyplot.close(figure)


def _draw_prices(axes: Any, curve: PriceCurve) -> None:
    from matplotlib.ticker import FormatStrFormatter

    near = [
        (shares / ETHER, price / ETHER)
        for shares, price in curve.points
        if abs(price - curve.price) <= curve.price // 50
    ]
    amounts, prices = zip(*near, strict=True)
    axes.axvspan(-curve.up / ETHER, curve.down / ETHER, color=GREY, alpha=0.10, linewidth=0, label="price within 1 %")
    axes.axhline(curve.entry_rate / ETHER, color=GREEN, linewidth=1.6, label="entry rate")
    axes.axhline(curve.exit_rate / ETHER, color=ORANGE, linewidth=1.6, linestyle=(0, (5, 1.5)), label="exit rate")
    axes.plot(amounts, prices, color=BLUE, linewidth=2.2, label="price at the pair")
    axes.plot([0], [curve.price / ETHER], color=BLUE, marker="o", linestyle="none", label="now")
    axes.set_title("Price of the next floETH at the pair, without fee", pad=28)
    axes.set_xlabel("floETH sold to the pair (left of 0: bought from it)")
    axes.set_ylabel("ETH")
    axes.yaxis.set_major_formatter(FormatStrFormatter("%.4f"))
    axes.legend(loc="lower right", bbox_to_anchor=(1.01, 1.0), frameon=False, ncols=5, handlelength=1.5)


def _draw_crowd(axes: Any, exodus: Exodus) -> None:
    left, seen = 0.0, set()
    for name, shares, cost_ppm in exodus.sales:
        width = shares / ETHER
        label = None if name in seen else name
        seen.add(name)
        axes.bar(left, cost_ppm / 10_000, width, align="edge", color=COLORS[name], linewidth=0, label=label)
        left += width
    whole = left + exodus.waiting / ETHER
    if exodus.waiting:
        axes.axvspan(left, whole, color=GREY, alpha=0.15, linewidth=0, label="waits in the queue")
    axes.axhline(
        exodus.patience_ppm / 10_000, color=RED, linewidth=1, linestyle=":", label="dearer than that they wait"
    )
    axes.set_xlim(0, whole or 1)
    axes.set_title("A crowd leaves, cheapest way first: what each piece costs", pad=28)
    axes.set_xlabel("floETH that has left")
    axes.set_ylabel("% of redemption value")
    axes.legend(loc="lower right", bbox_to_anchor=(1.01, 1.0), frameon=False, ncols=5, handlelength=1.5)
