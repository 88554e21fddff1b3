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

    for name, artifact in build.load_many(build.names()).items():
        click.echo(f"{name:<24} {artifact.size:>6} bytes  {snapshot.SIZE_LIMIT - artifact.size:>6} left")
