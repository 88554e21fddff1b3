"""The `ape floe ...` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from ape.cli import account_option, network_option

from floe.cli import amounts, options, session
from floe.cli.connection import Connected


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


# --- for holders ---


@cli.command(cls=Connected)
@network_option()  # type: ignore[untyped-decorator]
@options.as_json
def status(as_json: bool) -> None:
    """Show the protocol at a glance: rates, buffer, exits, validators, reports, limits, pauses."""
    from floe.cli.status import run

    with session.view() as (floe, console):
        run(floe, as_json, console)


@cli.command(cls=Connected)
@amounts.argument("ETH")
@options.address("--receiver", "Who gets the floETH; by default the account that pays.")
@amounts.least("--min-shares", "floETH")
@options.pays
def stake(amount: int | None, receiver: str | None, min_shares: int | None, **payment: Any) -> None:
    """Stake AMOUNT of ETH (1.5, "1.5 ether", all) and receive floETH."""
    from floe.cli import actions

    with session.session(**payment) as (floe, wallet):
        actions.stake(floe, wallet, amount, receiver, min_shares)


@cli.command(cls=Connected)
@amounts.argument("floETH")
@options.pays
def wrap(amount: int | None, **payment: Any) -> None:
    """Turn AMOUNT of floETH into rfloETH, whose balance grows instead of its price."""
    from floe.cli import actions

    with session.session(**payment) as (floe, wallet):
        actions.wrap(floe, wallet, amount)


@cli.command(cls=Connected)
@amounts.argument("rfloETH")
@options.pays
def unwrap(amount: int | None, **payment: Any) -> None:
    """Turn AMOUNT of rfloETH back into floETH."""
    from floe.cli import actions

    with session.session(**payment) as (floe, wallet):
        actions.unwrap(floe, wallet, amount)


@cli.command("exit", cls=Connected)
@amounts.argument("floETH")
@click.option("--instant", is_flag=True, help="At once, out of the buffer, for a fee.")
@click.option(
    "--slippage",
    type=click.FloatRange(0, 50),
    default=0.5,
    show_default=True,
    metavar="PERCENT",
    help="With --instant: how much less than quoted is accepted.",
)
@options.address("--receiver", "Who gets the ticket, or the ETH; by default the account that pays.")
@options.pays
def leave(amount: int | None, instant: bool, slippage: float, receiver: str | None, **payment: Any) -> None:
    """Turn AMOUNT of floETH into ETH: through the queue without a fee, or with --instant."""
    from floe.cli import actions

    with session.session(**payment) as (floe, wallet):
        if instant:
            actions.leave_at_once(floe, wallet, amount, receiver, round(slippage * 10_000))
        else:
            actions.leave(floe, wallet, amount, receiver)


@cli.command(cls=Connected)
@click.argument("ticket", nargs=-1, type=click.IntRange(min=1))
@options.address("--owner", "Claim all that is paid to this owner; by default to the account that pays.")
@options.pays
def claim(ticket: tuple[int, ...], owner: str | None, **payment: Any) -> None:
    """Fetch the ETH of TICKETs, or of all that an owner has; anyone may, the owners get it."""
    from floe.cli import actions

    if ticket and owner:
        raise click.UsageError("name tickets or an owner, not both")
    with session.session(**payment) as (floe, wallet):
        actions.claim(floe, wallet, ticket, owner)


@cli.command(cls=Connected)
@options.address("--owner", "Whose; by default those of --account.")
@network_option()  # type: ignore[untyped-decorator]
@account_option(prompt=None)  # type: ignore[untyped-decorator]
@options.as_json
def tickets(owner: str | None, account: Any, as_json: bool) -> None:
    """List the open exits of an owner: how far they are paid, what they bring, how long they wait."""
    from floe.cli.tickets import run

    with session.view() as (floe, console):
        run(floe, owner or str(session.payer(account).address), as_json, console)


# --- the market ---


@cli.command(cls=Connected)
@amounts.named("--sell", "floETH", "How much of it.", required=True)
@network_option()  # type: ignore[untyped-decorator]
@options.as_json
def quote(sell: int, as_json: bool) -> None:
    """Compare the four ways out for an amount: queue, instant exit, exit reserve, pair."""
    from floe.cli.quote import run

    with session.view() as (floe, console):
        run(floe, sell, as_json, console)


@cli.command(cls=Connected)
@amounts.argument("floETH")
@click.option(
    "--through",
    type=click.Choice(["best", "instant", "reserve", "pair"]),
    default="best",
    show_default=True,
    help="Which way; the best pays most for all of it.",
)
@options.slippage
@options.pays
def sell(amount: int | None, through: str, slippage: int | None, **payment: Any) -> None:
    """Sell AMOUNT of floETH for ETH at once; `ape floe quote` compares, `ape floe exit` waits instead."""
    from floe.cli import quote as quotes

    with session.session(**payment) as (floe, wallet):
        quotes.sell(floe, wallet, amount, through, slippage)


@cli.group()
def liquidity() -> None:
    """Provide what others trade with, and earn fees and rewards."""


@liquidity.command("add", cls=Connected)
@amounts.named("--ether", "ETH", "How much ETH.")
@amounts.named("--floeth", "floETH", "How much floETH.")
@click.option("--balanced", is_flag=True, help="In the pair's proportion: of the two amounts name one.")
@click.option("--reserve", is_flag=True, help="To the exit reserve, which takes ETH only, instead of the pair.")
@options.slippage
@options.address("--receiver", "Who gets the liquidity token; by default the account that pays.")
@options.pays
def add_liquidity(
    ether: int | None,
    floeth: int | None,
    balanced: bool,
    reserve: bool,
    slippage: int | None,
    receiver: str | None,
    **payment: Any,
) -> None:
    """Add ETH, floETH or both to the pair, or ETH to the exit reserve."""
    from floe.cli import liquidity as actions

    if reserve and (ether is None or floeth is not None or balanced):
        raise click.UsageError("the reserve takes ETH only: name it with --ether")
    if balanced and (ether is None) == (floeth is None):
        raise click.UsageError("with --balanced name one amount, --ether or --floeth: the other follows")
    if ether is None and floeth is None:
        raise click.UsageError("name what to add: --ether, --floeth or both")
    with session.session(**payment) as (floe, wallet):
        if reserve:
            assert ether is not None
            actions.add_to_reserve(floe, wallet, ether, slippage, receiver)
        else:
            actions.add(floe, wallet, ether, floeth, balanced, slippage, receiver)


@liquidity.command("remove", cls=Connected)
@amounts.argument("liquidity")
@click.option("--only", type=click.Choice(["ether", "floeth"]), help="One side of the pair; by default both, free.")
@click.option("--reserve", is_flag=True, help="Out of the exit reserve instead of the pair.")
@options.slippage
@options.address("--receiver", "Who gets what comes out; by default the account that pays.")
@options.pays
def remove_liquidity(
    amount: int | None, only: str | None, reserve: bool, slippage: int | None, receiver: str | None, **payment: Any
) -> None:
    """Take AMOUNT of liquidity tokens out of the pair, or of shares out of the exit reserve."""
    from floe.cli import liquidity as actions

    if reserve and only:
        raise click.UsageError("the reserve pays ETH only: leave out --only")
    with session.session(**payment) as (floe, wallet):
        if reserve:
            actions.remove_from_reserve(floe, wallet, amount, slippage, receiver)
        else:
            actions.remove(floe, wallet, amount, only, slippage, receiver)


@liquidity.command("stake", cls=Connected)
@amounts.argument("flLP")
@options.address("--receiver", "Who earns, and may take it out; by default the account that pays.")
@options.pays
def stake_liquidity(amount: int | None, receiver: str | None, **payment: Any) -> None:
    """Stake AMOUNT of the pair's liquidity tokens in the gauge, to earn rewards."""
    from floe.cli import liquidity as actions

    with session.session(**payment) as (floe, wallet):
        actions.stake(floe, wallet, amount, receiver)


@liquidity.command("unstake", cls=Connected)
@amounts.argument("flLP")
@options.address("--receiver", "Who gets it; by default the account that pays.")
@options.pays
def unstake_liquidity(amount: int | None, receiver: str | None, **payment: Any) -> None:
    """Take AMOUNT of the pair's liquidity tokens out of the gauge; what it earned stays to be claimed."""
    from floe.cli import liquidity as actions

    with session.session(**payment) as (floe, wallet):
        actions.unstake(floe, wallet, amount, receiver)


@liquidity.command("claim", cls=Connected)
@options.address("--owner", "Whose rewards; by default those of the account that pays. The owner gets them.")
@options.pays
def claim_rewards(owner: str | None, **payment: Any) -> None:
    """Fetch the gauge's rewards, for oneself or somebody else."""
    from floe.cli import liquidity as actions

    with session.session(**payment) as (floe, wallet):
        actions.claim(floe, wallet, owner)


@cli.command(cls=Connected)
@click.option(
    "--leaving",
    type=click.FloatRange(0, 100, min_open=True),
    default=10,
    show_default=True,
    metavar="PERCENT",
    help="Part of all floETH that wants out in the simulation.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0, 100),
    default=1,
    show_default=True,
    metavar="PERCENT",
    help="Who would lose more by selling at once waits in the queue.",
)
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw it into this PNG.")
@network_option()  # type: ignore[untyped-decorator]
@options.as_json
def risk(leaving: float, patience: float, picture: Path | None, as_json: bool) -> None:
    """Show the state of the peg: prices, depth, reserve, and what a mass exit would cost and how long it would take."""
    from floe.cli.risk import run

    with session.view() as (floe, console):
        run(floe, round(leaving * 10_000), round(patience * 10_000), picture, as_json, console)


# --- reports ---


@cli.command()
@click.option("--frame", type=click.IntRange(min=0), help="Which; by default the newest that is final.")
@click.option("--config", type=click.Path(path_type=Path), help="A member's file, which names nodes and deployment.")
@click.option("--network", metavar="NAME", help="Instead: the deployment record of this network, and ...")
@click.option("--beacon", metavar="URL", multiple=True, help="... a beacon node, and ...")
@click.option("--execution", metavar="URL", multiple=True, help="... an execution node (an archive for old frames).")
@click.option("--explain", is_flag=True, help="Show where each number comes from.")
@click.option(
    "--diff", is_flag=True, help="Compare with what was submitted; exit with 1 where it differs, 2 without any."
)
@click.option("--balances", "file", type=click.Path(path_type=Path), help="Write the list of balances to this file.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def report(**choices: Any) -> None:
    """Recompute the oracle's report of a frame from public data: the same bytes for everybody."""
    from rich.console import Console

    from floe.oracle import command

    command.run(console=Console(), **choices)


@cli.group()
def oracle() -> None:
    """Take part in the oracle's committee."""


@oracle.command("run")
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="As oracle.example.yaml.")
@click.option("--dry-run", is_flag=True, help="Compute and check reports, but sign and send nothing.")
def run_oracle(file: Path, dry_run: bool) -> None:
    """Run a member until Ctrl-C: compute, sign, exchange and bring reports."""
    from floe.oracle.daemon import run
    from floe.service.starting import StartError

    try:
        run(file, dry_run)
    except StartError as error:
        raise click.ClickException(str(error)) from None


@cli.group()
def keeper() -> None:
    """Do for the protocol what anyone may do."""


@keeper.command("run")
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="As keeper.example.yaml.")
@click.option("--dry-run", is_flag=True, help="Send nothing; say what would be done, and why.")
@click.option("--once", is_flag=True, help="Stop after one round.")
def run_keeper(file: Path, dry_run: bool, once: bool) -> None:
    """Run a keeper until Ctrl-C: prove, top up, pay exits, pull stake back."""
    from floe.keeper.command import run
    from floe.service.starting import StartError

    try:
        run(file, dry_run, once, click.echo)
    except StartError as error:
        raise click.ClickException(str(error)) from None
