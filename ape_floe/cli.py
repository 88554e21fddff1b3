"""The `ape floe ...` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.group(short_help="Floe's own commands")
def cli() -> None:
    """Work with Floe's contracts and protocol."""


@cli.command()
def sizes() -> None:
    """Print the code size of every contract on chain, and what is left below the limit."""
    from floe import build, snapshot

    click.echo(snapshot.size_table(build.load_many(build.names(mocks=False))))


@cli.command()
@click.option("--execution", type=click.Choice(["anvil", "ethereumjs"]), default="anvil", show_default=True)
@click.option("--fork", type=click.Choice(["fulu", "electra"]), default="fulu", show_default=True)
@click.option("--seconds-per-slot", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--validators", type=click.IntRange(8, 1_000), default=16, show_default=True, help="At genesis.")
@click.option("--beacon-port", type=click.IntRange(0, 65_535), default=5052, show_default=True, help="0: a free one.")
@click.option(
    "--execution-port", type=click.IntRange(0, 65_535), default=8545, show_default=True, help="0: a free one."
)
def devnet(**settings: Any) -> None:
    """Run a proof-of-stake chain of one's own, by the clock, until Ctrl-C."""
    from floe.devnet import DevnetError
    from floe.devnet.command import run

    try:
        run(click.echo, by_clock=True, genesis_time=0, **settings)
    except DevnetError as error:
        raise click.ClickException(str(error)) from None


@cli.group()
def deposits() -> None:
    """Look through the deposits that operators hand in."""


@deposits.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--vault", help="The withdrawal vault; by default that of the network's deployment record.")
@click.option("--network", help="The chain, as the key tools call it; by default that of the beacon node.")
@click.option("--beacon", metavar="URL", help="A beacon node, to ask whether the chain knows a key already.")
def check_deposits(file: Path, vault: str | None, network: str | None, beacon: str | None) -> None:
    """Check every deposit of a deposit_data-*.json before anything is sent; list all problems."""
    from rich.console import Console

    from floe.beacon import deposit_command

    deposit_command.run(file, vault, network, beacon, Console())
