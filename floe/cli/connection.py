"""A command's connection to a chain, through Ape's `--network`."""

from __future__ import annotations

import os
from typing import Any

import click
from ape.cli import ConnectedProviderCommand
from ape.cli.options import NETWORK_META_KEY
from ape.exceptions import ConfigError, NetworkMismatchError, ProviderError
from ape.logging import LogLevel, logger
from requests import RequestException

URI = "WEB3_PROVIDER_URI"


class Connected(ConnectedProviderCommand):  # type: ignore[misc]
    """A command on a chain; it says in one line why there is no connection.

    Ape goes to some public node when it has no address, or one of another chain; here that is an error.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options. Of an unknown network say so, without Ape's list of the sixty ecosystems it knows."""
        try:
            return list(super().parse_args(ctx, args))
        except click.BadParameter as error:
            error.message = error.message.partition(" Options:\n")[0]
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises ClickException when the node does not answer or is of another chain."""
        provider = ctx.meta.get(NETWORK_META_KEY, {}).get("provider")
        try:
            choice = "the default network" if provider is None else str(provider.network_choice)
        except ConfigError as error:
            raise click.UsageError(f"--network: {str(error).lower()}") from None
        public = provider is not None and not provider.network.is_dev and "://" not in choice
        ctx.meta[URI] = os.environ.get(URI) if public else None
        if public and not ctx.meta[URI] and not getattr(provider, "_configured_rpc", None):
            raise click.ClickException(f"no node for {choice}: set {URI} to the address of yours")
        try:
            with logger.at_level(max(logger.level, LogLevel.WARNING)):  # Ape tells of every connection
                return super().invoke(ctx)
        except NetworkMismatchError as error:
            raise click.ClickException(str(error)) from None
        except (ProviderError, ConnectionError, RequestException):
            if "://" in choice:
                reason = f"no node answers on {choice}: start it (`anvil`), or correct --network"
            elif ctx.meta[URI] and URI not in os.environ:
                reason = f"the node in {URI} is not on {choice}"
            else:
                reason = f"the node of {choice} does not answer: is {URI} right?"
            raise click.ClickException(reason) from None

    def _invoke(self, ctx: click.Context, provider: Any = None) -> Any:
        # Ape drops the variable when its node is on another chain.
        if ctx.meta[URI] and URI not in os.environ:
            raise click.ClickException(f"the node in {URI} is not on {provider.network_choice}")
        return super()._invoke(ctx, provider=provider)
