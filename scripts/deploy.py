"""`ape run deploy --network ...`: deploy what `config/<network>.yaml` says, or go on where an earlier run stopped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ape
import click
from ape.cli import network_option
from ape.exceptions import ApeException
from ape.logging import LogLevel, logger
from rich.console import Console

from floe.beacon.client import BeaconClient, BeaconError
from floe.beacon.containers import ContainerError
from floe.build import BuildError
from floe.cli.connection import URI, Connected
from floe.deploy import beacon, execute, record, verify
from floe.deploy import config as configs
from floe.deploy.config import Config

FAILURES = (
    configs.ConfigError,
    execute.DeployError,
    record.RecordError,
    BuildError,
    BeaconError,
    ContainerError,
)
TABLE_WIDTH = 120
"""Characters: wide enough that no address is cut."""


@click.command(cls=Connected)
@network_option()  # type: ignore[untyped-decorator]
@click.option("--account", "alias", help="Alias of the account that deploys. On a development chain: test account 0.")
@click.option("--beacon", "beacon_url", metavar="URL", help="A beacon node: the parameters must agree with it.")
@click.option("--table", is_flag=True, help="Print every value that was read back, not only those that differ.")
def cli(alias: str | None, beacon_url: str | None, table: bool) -> None:
    """Deploy, verify, and write deployments/<network>.json; run it again to go on or only to verify.

    On a chain of one's own the beacon node's constants take the place of those in config/local.yaml.
    """
    provider = ape.networks.active_provider
    network = execute.network_name(provider)
    if network == "custom":
        raise click.ClickException(
            f"the node is on chain {provider.chain_id}, and without a name only a local one (31337) is known: "
            f"name the network, as in --network ethereum:hoodi:node, and put the address into {URI}"
        )
    if not execute.is_passing(provider):
        file = record.path(network)
        _run(network, alias, beacon_url, file, table)
        click.echo(f"written: {file}")
        return
    click.echo("a chain that ends with this command: nothing is recorded; use --network http://127.0.0.1:8545")
    with tempfile.TemporaryDirectory() as folder:
        _run(network, alias, beacon_url, record.path(network, Path(folder)), table)


def _run(network: str, alias: str | None, beacon_url: str | None, file: Path, table: bool) -> None:
    """Deploy, read back and print. Raises ClickException when something fails or differs."""
    provider = ape.networks.active_provider
    try:
        config = configs.load(network)
        if beacon_url:
            config = _with_beacon(config, network, beacon_url)
        account = _account(alias, execute.is_development(provider))
        with logger.at_level(LogLevel.WARNING):
            done = execute.deploy(account, config, file, click.echo)
        checks = verify.verify(done, config)
    except (*FAILURES, ApeException) as error:
        raise click.ClickException(str(error)) from None
    wrong = [check for check in checks if not check.holds]
    if table or wrong:
        console = Console()
        console.width = max(console.width, TABLE_WIDTH)
        console.print(verify.table(checks if table else wrong))
    if wrong:
        raise click.ClickException(f"{len(wrong)} of {len(checks)} values differ from the parameter file ({file})")
    click.echo(f"read back from the chain: {len(checks)} values, all as they should be")
    if not execute.has_deposit_contract(provider, config):
        click.echo(
            "no deposit contract on this chain: staking and exits work, validators do not (`make devnet` has one)"
        )


def _with_beacon(config: Config, network: str, url: str) -> Config:
    """Compare the parameters with a beacon node; on a chain of one's own, take its constants first."""
    client = BeaconClient(url)
    try:
        if network == "local":
            config = configs.parse({**config.model_dump(), "beacon": beacon.read(client).model_dump()}, "with --beacon")
        if found := beacon.problems(config, client):
            raise click.ClickException("\n".join(found))
        for line in beacon.unknown_forks(client):
            click.echo(line)
    finally:
        client.close()
    click.echo(f"the beacon chain is as {client.name} says: {', '.join(config.beacon.forks)} and all constants")
    return config


def _account(alias: str | None, development: bool) -> ape.api.AccountAPI:
    if alias:
        try:
            return ape.accounts.load(alias)
        except KeyError:
            raise click.ClickException(
                f"no account {alias!r}: `ape accounts import {alias}`, or `ape accounts list` to see which there are"
            ) from None
    if development:
        return ape.accounts.test_accounts[0]
    raise click.UsageError("name the account that deploys: --account ALIAS (`ape accounts list` shows them)")
