"""`ape run demo`: two weeks of Floe on a beacon chain of one's own. It writes out/demo.png and out/demo.csv."""

from __future__ import annotations

import signal
import sys
import time

import click
from ape.logging import LogLevel, logger
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from floe.build import ROOT
from floe.demo import books, story
from floe.demo.processes import ProcessError
from floe.devnet import DevnetError
from floe.report import pictures

OUT = ROOT / "out"


@click.command()
@click.option("--days", default=story.DAYS, show_default=True, type=click.IntRange(1), help="Days to play.")
def cli(days: int) -> None:
    """Play, print the tables, draw the picture, check the books. Exits with 1 when they do not close."""
    started = time.monotonic()
    # Whoever ends the demo ends its daemons, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 110
    bar = Progress(
        TextColumn("day {task.completed:.0f} of {task.total:.0f}"), BarColumn(), TimeElapsedColumn(), console=console
    )
    with logger.at_level(LogLevel.WARNING), bar:
        task = bar.add_task("", total=days)

        def say(day: int, line: str) -> None:
            bar.update(task, completed=day)
            if line:
                console.print(f"{f'day {day}' if day else '':<8}{line}", soft_wrap=True)

        try:
            with story.play(say, days) as played:
                closing = books.close(played)
        except (DevnetError, ProcessError) as error:
            raise click.ClickException(str(error)) from None

    for table in books.actors(closing):
        console.print(table)
    pictures.write_csv(played.stage.samples, OUT / "demo.csv")
    pictures.draw(played.stage.samples, played.stage.midnight, story.MARKS, OUT / "demo.png")
    console.print(f"picture  {OUT / 'demo.png'}\nnumbers  {OUT / 'demo.csv'}")
    wrong = [check for check in closing.checks if not check.holds]
    for check in wrong:
        console.print(f"[red]does not hold:[/] {check.text}: {check.left} != {check.right}")
    if wrong:
        sys.exit(f"{len(wrong)} of {len(closing.checks)} checks do not hold")
    for text in books.MAIN_CHECKS:
        [check] = [check for check in closing.checks if check.text == text]
        console.print(f"  {check.text}\n      {check.left:,} wei")
    console.print(
        f"The books close: {len(closing.checks)} checks, every wei. {time.monotonic() - started:.0f} seconds."
    )
