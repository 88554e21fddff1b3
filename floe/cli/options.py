"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from ape.cli import account_option, network_option

from floe.cli.session import address_of

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def pays(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that sends transactions: arguments of `floe.cli.session.session`."""
    options: list[Decorator] = [
        network_option(),
        account_option(prompt=None),
        click.option("-y", "--yes", is_flag=True, help="Do not ask before sending."),
        click.option("--dry-run", is_flag=True, help="Only show what would be done, and what it would cost."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def address(name: str, help_text: str) -> Decorator:
    """Return a decorator for an option with an address, or the alias of one of Ape's accounts."""
    return click.option(
        name, metavar="ADDRESS", help=help_text, callback=lambda _, __, text: None if text is None else address_of(text)
    )


slippage = click.option(
    "--slippage",
    type=click.FloatRange(0, 50),
    metavar="PERCENT",
    callback=lambda _, __, percent: None if percent is None else round(percent * 10_000),
    help="How much less than quoted is accepted; by default next to nothing, as more invites a sandwich.",
)
"""In ppm; None where it is not given."""

as_json = click.option("--json", "as_json", is_flag=True, help="For machines: docs/cli.md names every field.")
