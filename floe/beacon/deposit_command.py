"""`ape floe deposits check`: look through an operator's file before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from floe.beacon.client import BeaconClient, BeaconError
from floe.beacon.deposit import (
    NETWORKS,
    DepositError,
    DepositsRefused,
    Lookup,
    Network,
    Problem,
    check,
    credentials,
    read,
    short_key,
)
from floe.deploy import record
from floe.deploy.record import RecordError

SHOW_PROGRESS_FROM = 100
"""Deposits: fewer are checked within a third of a second."""


def run(file: Path, vault: str | None, network_name: str | None, beacon_url: str | None, console: Console) -> None:
    """Check a file and print what was found. Raises click.ClickException when a deposit must not be sent.

    `vault` is by default the withdrawal vault that the network's deployment record names; `network_name` may be left
    out where a beacon node is named. Without a node nobody asks whether the chain knows a key already.
    """
    client = None
    try:
        entries = read(file)
        if beacon_url:
            client = BeaconClient(beacon_url)
        network = _network(network_name, client)
        vault = vault or _recorded_vault(network)
        credentials(vault)
        quiet = not console.is_terminal or len(entries) < SHOW_PROGRESS_FROM
        with Progress(console=console, transient=True, disable=quiet) as progress:
            task = progress.add_task("checking signatures", total=len(entries))
            check(
                entries,
                network,
                vault,
                registry=None,
                beacon=keys_on_chain(client) if client else None,
                progress=lambda done: progress.update(task, completed=done),
            )
    except DepositsRefused as refused:
        _print_problems(refused.problems, console)
        wrong = len({problem.entry for problem in refused.problems})
        raise click.ClickException(
            f"{file}: problems in {wrong} of {len(entries)} deposits; send none of them"
        ) from None
    except (DepositError, BeaconError, RecordError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        if client:
            client.close()
    asked = f"knows none of the keys, says {client.name}" if client else "not asked: --beacon names a node to ask"
    _print_table(
        f"Nothing wrong in {file.name}",
        [
            ("deposits", f"{len(entries):,}"),
            ("network", f"{network.name}, fork version {network.genesis_fork_version.hex()}"),
            ("withdrawal vault", vault),
            ("right", "form, keys, signatures, roots, credentials, amounts; no key is there twice"),
            ("beacon chain", asked),
            ("registry", "not asked: it refuses a key that it knows"),
        ],
        console,
    )


def keys_on_chain(client: BeaconClient) -> Lookup:
    """Return a lookup that finds keys among the validators and the pending deposits of one state, the head's.

    A deposit of the last seconds is in no beacon state yet: what protects the pool's ETH from it is the proof of the
    credentials before the first top-up.
    """

    def lookup(pubkeys: Sequence[bytes]) -> Mapping[bytes, str]:
        # One state for both questions: else a deposit could pass from the one list to the other in between.
        state = bytes(client.header("head").message.state_root)
        wanted = set(pubkeys)
        found = {
            bytes(deposit.pubkey): f"a deposit is pending, to {bytes(deposit.withdrawal_credentials).hex()}"
            for deposit in reversed(client.pending_deposits(state))  # the first one counts
            if bytes(deposit.pubkey) in wanted
        }
        for info in client.validators(list(pubkeys), state):
            own = bytes(info.validator.withdrawal_credentials).hex()
            found[bytes(info.validator.pubkey)] = f"validator {info.index}, {info.status}, with {own}"
        return found

    return lookup


def _network(name: str | None, client: BeaconClient | None) -> Network:
    if client is None:
        if name not in NETWORKS:
            unknown = f"{name!r} is not known, " if name else ""
            known = " or ".join(NETWORKS)
            raise DepositError(
                f"network: {unknown}name it with --network ({known}), or a node of another with --beacon"
            )
        return NETWORKS[name]
    network = Network(name=str(client.spec.get("CONFIG_NAME")), genesis_fork_version=client.genesis().fork_version)
    if network != NETWORKS.get(name or network.name, network) or name not in (None, network.name):
        raise DepositError(
            f"network: {client.name} is on {network.name}, fork version {network.genesis_fork_version.hex()}, "
            f"not on {name or network.name}"
        )
    return network


def _recorded_vault(network: Network) -> str:
    found = record.read(record.path(network.name))
    if found is None:
        raise DepositError(f"vault: name it with --vault, there is no deployment record of {network.name}")
    return found.address("WithdrawalVault")


def _print_table(title: str, rows: Sequence[tuple[str, str]], console: Console) -> None:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_header=False)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _print_problems(problems: Sequence[Problem], console: Console) -> None:
    """One line for each, however wide: a table would break or cut them."""
    width = len(str(problems[-1].entry))
    for one in problems:
        key = short_key(one.pubkey).removeprefix("key ")
        console.print(f"{one.entry:>{width}}  {key:<19}  {one.text}", markup=False, highlight=False, soft_wrap=True)
