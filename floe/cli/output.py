"""What the commands print: tables with bars for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from rich import box
from rich.bar import Bar
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

BAR = "\0"
"""Name of a column of bars; it is shown without one."""
BAR_WIDTH = 20
"""Characters."""
WIDTH = 132
"""Characters that the widest table takes: it is not cut where the terminal is narrower, or where there is none."""


def console() -> Console:
    """Return where people read."""
    found = Console(highlight=False)
    found.width = max(found.width, WIDTH)
    return found


def bar(part: int, whole: int) -> Bar:
    """Draw a part of a whole."""
    return Bar(size=max(whole, 1), begin=0, end=min(part, max(whole, 1)), width=BAR_WIDTH)


def columns(title: str, names: Sequence[str], rows: Sequence[Sequence[str | Bar]]) -> Group:
    """Return a table: the first column and the bars to the left, everything else to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_header=any(name not in ("", BAR) for name in names))
    for index, name in enumerate(names):
        left = index == 0 or name == BAR
        table.add_column("" if name == BAR else name, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return Group(Text(title, style="bold"), table)  # a title of the table's own would be broken to its width


def print_json(fields: dict[str, Any]) -> None:
    """Print JSON with every integer as a string: those of wei do not fit into what most readers take for a number."""
    click.echo(json.dumps(_texts(fields), indent=2))


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
