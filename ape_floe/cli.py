"""The `ape floe ...` commands."""

from __future__ import annotations

import click


@click.group(short_help="Floe's own commands")
def cli() -> None:
    """Work with Floe's contracts and protocol."""


@cli.command()
def sizes() -> None:
    """Print the code size of every contract on chain, and what is left below the limit."""
    from floe import build, snapshot

    click.echo(snapshot.size_table(build.load_many(build.names(mocks=False))))
