"""`ape run deploy --network ...`: deploy what `config/<network>.yaml` says, or go on where an earlier run stopped."""

from __future__ import annotations

import ape
import click
from ape.cli import ConnectedProviderCommand, network_option
from ape.exceptions import ApeException
from ape.logging import LogLevel, logger
from rich.console import Console

from floe.build import BuildError
from floe.deploy import config as configs
from floe.deploy import execute, record, verify


@click.command(cls=ConnectedProviderCommand)
@network_option()  # type: ignore[untyped-decorator]
@click.option("--account", "alias", help="Alias of the account that deploys. On a development chain: test account 0.")
def cli(alias: str | None) -> None:
    """Deploy, verify, and write deployments/<network>.json; run it again to go on or only to verify."""
    provider = ape.networks.active_provider
    network = execute.network_name(provider)
    file = record.path(network)
    try:
        config = configs.load(network)
        account = _account(alias, execute.is_development(provider))
        with logger.at_level(LogLevel.WARNING):
            done = execute.deploy(account, config, file, click.echo)
        checks = verify.verify(done, config)
    except (configs.ConfigError, execute.DeployError, record.RecordError, BuildError, ApeException) as error:
        raise click.ClickException(str(error)) from None
    Console().print(verify.table(checks))
    click.echo(f"written: {file}")
    if wrong := [check for check in checks if not check.holds]:
        raise click.ClickException(f"{len(wrong)} of {len(checks)} differ from the parameter file")


def _account(alias: str | None, development: bool) -> ape.api.AccountAPI:
    if alias:
        return ape.accounts.load(alias)
    if development:
        return ape.accounts.test_accounts[0]
    raise click.UsageError("name the account that deploys: --account ALIAS (`ape accounts list` shows them)")
