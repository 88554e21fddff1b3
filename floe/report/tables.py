"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich import box
from rich.table import Table


def eth(wei: int, places: int = 4) -> str:
    """Write wei as ETH, rounded to `places` decimals."""
    return f"{Decimal(wei).scaleb(-18):,.{places}f}"


def percent(part: int, whole: int, places: int = 2) -> str:
    """Write a part of a whole in percent, "" when there is no whole."""
    return f"{Decimal(100 * part) / Decimal(whole):+.{places}f} %" if whole else ""


def columns(title: str, names: Sequence[str], rows: Sequence[Sequence[str]], *, total: bool = False) -> Table:
    """Return a plain table: names to the left, numbers to the right; with `total`, a rule above the last row."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    for index, row in enumerate(rows):
        table.add_row(*row, end_section=total and index == len(rows) - 2)
    return table
