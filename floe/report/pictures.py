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


@dataclass(frozen=True, slots=True)
class Sample:
    """The protocol at one time. Rates are wei per 1e18 shares, the rest is wei."""

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


def write_csv(samples: Sequence[Sample], file: Path) -> None:
    """Write the samples as they are: integers, one row for each time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, [field.name for field in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)


def draw(samples: Sequence[Sample], start: int, marks: Sequence[tuple[float, str]], file: Path) -> None:
    """Draw both rates above, the queue and the buffer below, over days since `start`, as PNG.

    `marks` are (day, text) of what a reader should look at; they are numbered in the picture.
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

    figure, (rates, ether) = pyplot.subplots(2, 1, figsize=(11, 8), sharex=True, height_ratios=(5, 4))
    rates.plot(days, entry, color=BLUE, linewidth=2.2, label="entry rate")
    rates.plot(days, exits, color=ORANGE, linewidth=2.2, linestyle=(0, (5, 1.5)), label="exit rate")
    rates.fill_between(days, exits, entry, color=RED, alpha=0.12, linewidth=0, label="pending loss")
    rates.set_title("What a share is worth, in ETH", pad=10)
    rates.yaxis.set_major_formatter(FormatStrFormatter("%.4f"))
    rates.legend(loc="lower right", bbox_to_anchor=(1.01, 1.01), frameon=False, ncols=3)

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
    ether.set_xlabel("days")
    ether.xaxis.set_major_locator(MultipleLocator(5))
    ether.legend(loc="lower right", bbox_to_anchor=(1.01, 1.01), frameon=False, ncols=3)

    for number, (day, _) in enumerate(marks, 1):
        for axes in (rates, ether):
            axes.axvline(day, color=GREY, linewidth=0.8, linestyle=":")
        circle = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.8}
        rates.annotate(
            str(number), (day, 0.985), xycoords=("data", "axes fraction"), ha="center", va="center", size=9, bbox=circle
        )
    text = "     ".join(f"{number}  {mark}" for number, (_, mark) in enumerate(marks, 1))
    figure.text(0.5, 0.012, text, ha="center", va="bottom", color="#374151", size=10)
    figure.align_ylabels()
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
