"""Pictures, and the same numbers as CSV. Only here do amounts become floating-point numbers, to be drawn."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ETHER = 1e18
DAY = 86_400

# A palette that stays readable for colour-blind eyes and in grey.
BLUE, ORANGE, GREEN, RED, GREY = "#0b6fb8", "#d9730d", "#2a9d6f", "#b3261e", "#6b7280"
STATES = {
    "active": "#0b6fb8",
    "proven": "#2a9d6f",
    "predeposited": "#9fd3be",
    "exiting": "#f0b46b",
    "slashed": "#b3261e",
    "compromised": "#e39a94",
    "closed": "#9ca3af",
}
"""Colours of validators' states, in the order in which they are stacked."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The protocol at one time. Rates are wei per 1e18 shares, amounts are wei."""

    time: int
    entry_rate: int
    exit_rate: int
    assets: int
    outside: int
    buffer: int
    locked: int
    pending_loss: int
    waiting: int
    """What the waiting shares would be paid now."""
    unclaimed: int
    """Paid, and not fetched yet."""
    bid: int
    """What a small sale at the pair gets, and..."""
    ask: int
    """... what a small purchase pays, fees included; wei per 1e18 shares, 0 before there is any liquidity."""
    reserve_cash: int
    """ETH of the exit reserve..."""
    reserve_value: int
    """... and what it is worth with the exits that it has bought."""
    # How many validators the registry has in each state.
    predeposited: int
    proven: int
    active: int
    exiting: int
    closed: int
    compromised: int
    slashed: int


def write_csv(samples: Sequence[Sample], file: Path) -> None:
    """Write the samples as they are: integers, one row for each time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, [field.name for field in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)


def draw(samples: Sequence[Sample], start: int, marks: Sequence[tuple[float, str]], file: Path) -> None:
    """Draw both rates, the price at the pair, the reserve, queue and buffer, and validators, over days, as PNG.

    Days are counted from `start`. `marks` are (day, text) of what a reader should look at; in the picture they are
    numbered.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FormatStrFormatter, MultipleLocator

    mpl.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
    mpl.rcParams.update({"grid.color": "#e5e7eb", "axes.axisbelow": True, "axes.titlelocation": "left"})
    days = [(sample.time - start) / DAY for sample in samples]
    entry = [sample.entry_rate / ETHER for sample in samples]
    exits = [sample.exit_rate / ETHER for sample in samples]

    figure, panels = pyplot.subplots(5, 1, figsize=(11, 15), sharex=True, height_ratios=(5, 5, 3, 4, 3))
    rates, prices, reserve, ether, counts = panels
    rates.plot(days, entry, color=BLUE, linewidth=2.2, label="entry rate")
    rates.plot(days, exits, color=ORANGE, linewidth=2.2, linestyle=(0, (5, 1.5)), label="exit rate")
    rates.fill_between(days, exits, entry, color=RED, alpha=0.12, linewidth=0, label="pending loss")
    rates.set_title("What a share is worth, in ETH", pad=10)
    rates.yaxis.set_major_formatter(FormatStrFormatter("%.4f"))
    rates.legend(loc="lower right", bbox_to_anchor=(1.01, 1.01), frameon=False, ncols=3)

    traded = [sample for sample in samples if sample.ask]
    when = [(sample.time - start) / DAY for sample in traded]
    bids, asks = ([getattr(sample, side) / ETHER for sample in traded] for side in ("bid", "ask"))
    prices.plot(when, asks, color=GREEN, linewidth=1.8, drawstyle="steps-post", label="buying at the pair")
    prices.plot(when, bids, color=RED, linewidth=1.8, drawstyle="steps-post", label="selling at the pair")
    prices.plot(days, entry, color=BLUE, linewidth=1.2, label="entry rate")
    prices.plot(days, exits, color=ORANGE, linewidth=1.2, linestyle=(0, (5, 1.5)), label="redemption value")
    prices.set_title("What the market pays", pad=10)
    prices.yaxis.set_major_formatter(FormatStrFormatter("%.3f"))
    prices.legend(loc="lower right", bbox_to_anchor=(1.01, 1.01), frameon=False, ncols=4)

    cash = [sample.reserve_cash / ETHER for sample in samples]
    # Of the fees of the last day a part is not in the value yet.
    bought = [max(sample.reserve_value - sample.reserve_cash, 0) / ETHER for sample in samples]
    parts = {"labels": ("ETH", "exits that it has bought"), "colors": ("#9fd3be", "#f0b46b")}
    reserve.stackplot(days, cash, bought, step="post", linewidth=0, **parts)
    reserve.set_title("The exit reserve", pad=10)
    reserve.set_ylabel("ETH")
    reserve.legend(loc="lower right", bbox_to_anchor=(1.01, 1.01), frameon=False, ncols=2, handlelength=1)

    curves = (
        ("waiting", RED, "waiting in the queue"),
        ("unclaimed", GREY, "paid, not claimed"),
        ("buffer", GREEN, "buffer"),
    )
    for name, color, label in curves:
        values = [getattr(sample, name) / ETHER for sample in samples]
        ether.plot(days, values, color=color, linewidth=2, drawstyle="steps-post", label=label)
        ether.fill_between(days, values, color=color, alpha=0.10, linewidth=0, step="post")
    ether.set_title("Exits and the ETH for them", pad=10)
    ether.set_ylabel("ETH")
    ether.set_ylim(bottom=0)
    ether.legend(loc="lower right", bbox_to_anchor=(1.01, 1.01), frameon=False, ncols=3)

    stacks = {state: [getattr(sample, state) for sample in samples] for state in STATES}
    seen = [state for state, values in stacks.items() if any(values)]
    heights, colors = [stacks[state] for state in seen], [STATES[state] for state in seen]
    counts.stackplot(days, heights, labels=seen, colors=colors, step="post", linewidth=0)
    counts.set_title("Validators", pad=10)
    counts.set_xlabel("days")
    counts.yaxis.set_major_locator(MultipleLocator(2))
    counts.xaxis.set_major_locator(MultipleLocator(5))
    counts.legend(loc="lower right", bbox_to_anchor=(1.01, 1.01), frameon=False, ncols=7, handlelength=1)

    for number, (day, _) in enumerate(marks, 1):
        for axes in panels:
            axes.axvline(day, color=GREY, linewidth=0.8, linestyle=":")
        circle = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.8}
        rates.annotate(
            str(number), (day, 0.985), xycoords=("data", "axes fraction"), ha="center", va="center", size=9, bbox=circle
        )
    text = "     ".join(f"{number}  {mark}" for number, (_, mark) in enumerate(marks, 1))
    figure.text(0.5, 0.008, text, ha="center", va="bottom", color="#374151", size=10)
    figure.align_ylabels()
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
