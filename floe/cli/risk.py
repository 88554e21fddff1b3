"""`ape floe risk`: the state of the peg, and what happens when many leave, worked out on the model at one block."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from ape.exceptions import ContractLogicError, ProviderError
from rich.bar import Bar
from rich.console import Console
from rich.text import Text
from web3.exceptions import Web3Exception

from floe.cli.amounts import duration, show
from floe.cli.market import Market
from floe.cli.output import BAR, bar, columns, print_json
from floe.cli.quote import closed
from floe.cli.session import Floe
from floe.cli.tickets import wait_fields
from floe.cli.waiting import MAINNET_SLOTS_PER_EPOCH, Flow, Wait, flow
from floe.deploy.execute import network_name
from floe.market.crowd import Departure
from floe.market.live import Live
from floe.market.ways import INSTANT, PAIR, QUEUE, RESERVE, ppm, value
from floe.report import market_picture, tables

PPM = 1_000_000
BPS = 10_000
ETHER = 10**18
DEPTH_PPM = 10_000
"""How far the price moves in what is called depth: 1 %."""
WINDOW = 86_400
"""Seconds over which the price is averaged, where the pair and the node go back as far."""
RECENT = 100
"""Blocks that every node still knows the state of; most keep 128."""
CHURN = 256 * ETHER
"""Stake that may leave mainnet and its testnets in one epoch, all validators together (EIP-7251)."""
EPOCH = 32 * 12
"""Seconds of mainnet's epoch."""
CURVE_POINTS = 60


@dataclass(frozen=True)
class Average:
    """A price over time."""

    price: int
    """Wei for 1e18 shares, at the entry rate of now."""
    seconds: int


class Risk:
    """Everything that is shown, at one block."""

    def __init__(self, floe: Floe, leaving_ppm: int, patience_ppm: int) -> None:
        self.floe, self.market = floe, Market(floe)
        self.patience_ppm = patience_ppm
        self.now = floe.read(floe.lens.protocol)
        self.state = self.market.state()
        live = self.live()
        self.reserve_target = live.reserve_target()
        """Wei with which the reserve's sales are cheapest."""
        self.price, self.depth = live.price(), live.depth(DEPTH_PPM)
        self.average = None if self.price is None else average(floe, self.market)
        self.leaving = int(self.now.shares) * leaving_ppm // PPM
        self.worth = live.worth(self.leaving)
        self.exit_value, self.supply = live.pool.exit_value(), live.pool.shares
        self.departure: Departure = live.leave(self.leaving, patience_ppm)
        self.after = live
        """The state when the crowd has sold; the rest of it waits."""
        before = flow(floe, self.now)
        self.flow = replace(before, buffer=live.pool.buffer(), exit_rate=live.pool.exit_rate())
        self.wait = longest(self.flow, self.state.pool.tail + self.departure.waiting)
        self.reserve_wait = longest(self.flow, self.state.pool.tail + self.departure.waiting + live.reserve.books.held)

    @property
    def free(self) -> int:
        """Wei of the buffer beyond what waiting exits need."""
        return max(int(self.now.buffer) - int(self.now.needed), 0)

    def worth_of(self, shares: int) -> int:
        """Return the wei that shares are worth to who leaves, before the crowd comes."""
        return value(shares, self.exit_value, self.supply)

    def live(self) -> Live:
        """Return the model in the state of now."""
        return Live(self.state)


def longest(there: Flow, end: int) -> Wait:
    """Estimate as `Flow.wait` does, and count that validators leave one after the other when much is asked of them."""
    wait = there.wait(end)
    if wait.kind != "validators" or wait.seconds is None or there.slots_per_epoch != MAINNET_SLOTS_PER_EPOCH:
        return wait
    needed = -(-(end - there.filled) * there.exit_rate // ETHER)
    asked = needed - there.buffer - there.vault - there.under_way
    return wait._replace(seconds=wait.seconds + asked // CHURN * EPOCH)


def average(floe: Floe, market: Market) -> Average | None:
    """Return the pair's price over the last day, or since its first liquidity, or as far as the node goes back.

    None while no time has passed.
    """
    added = floe.logs(market.pair.LiquidityAdded)
    first = int(added[0].block_number)
    start = (
        bisect_right(range(first, floe.block), floe.now - WINDOW, key=lambda number: _time(floe, number)) + first - 1
    )
    then = _cumulative(market, max(start, first))
    if then is None:
        then = _cumulative(market, max(floe.block - RECENT, first))
    now = _cumulative(market, floe.block)
    if then is None or now is None or now[1] == then[1]:
        return None
    seconds = now[1] - then[1]
    entry_rate = int(floe.read(floe.lens.protocol).entry_rate)
    return Average((now[0] - then[0]) // seconds * entry_rate // ETHER, seconds)


def _time(floe: Floe, block: int) -> int:
    return int(floe.provider.web3.eth.get_block(block)["timestamp"])


def _cumulative(market: Market, block: int) -> tuple[int, int] | None:
    """Return the sum of price times seconds at a block, and its time; None when the node has forgotten the state."""
    try:
        found = market.pair.price_cumulative(block_id=block)
    except (ProviderError, ContractLogicError, Web3Exception):
        return None
    return int(found[0]), int(found[1])


def run(floe: Floe, leaving_ppm: int, patience_ppm: int, picture: Path | None, as_json: bool, console: Console) -> None:
    """Print the state of the peg, and draw it into a file. `docs/cli.md` names the fields of the JSON."""
    risk = Risk(floe, leaving_ppm, patience_ppm)
    if picture is not None:
        _draw(risk, picture)
    if as_json:
        print_json(_fields(risk))
        return
    for part in (_prices, _depth, _liquidity, _exodus):
        part(risk, console)
    if picture is not None:
        console.print(f"picture  {picture}", soft_wrap=True)


def _prices(risk: Risk, console: Console) -> None:
    entry, leave = int(risk.now.entry_rate), int(risk.now.exit_rate)
    prices = [("entry rate", entry), ("exit rate", leave)]
    if risk.price is not None:
        prices.append(("pair, next floETH sold", risk.price))
    if risk.average is not None:
        prices.append((f"pair, mean of the last {duration(risk.average.seconds)}", risk.average.price))
    rows = [[name, tables.eth(price, 9), _signed(price, entry), _signed(price, leave)] for name, price in prices]
    title = f"The peg on {network_name(risk.floe.provider)}, block {risk.floe.block}"
    console.print(columns(title, ("", "ETH for 1 floETH", "to entry, ppm", "to exit, ppm"), rows))
    if risk.price is None:
        console.print(Text("  the pair has no price: nobody provides liquidity to it, or floETH is worth nothing"))
        console.print()


def _signed(price: int, rate: int) -> str:
    return f"{ppm(price - rate, rate):+,}" if rate else ""


def _depth(risk: Risk, console: Console) -> None:
    if risk.depth is None or risk.state.pair is None:
        return
    (sold, brings), (paid, buys) = risk.depth
    rows = [
        ["down", f"{tables.eth(sold)} floETH sold", f"{tables.eth(brings)} ETH"],
        ["up", f"{tables.eth(paid)} ETH paid", f"{tables.eth(buys)} floETH"],
    ]
    state = risk.state.pair
    holds = f"{show(state.eth, 'ETH')} and {show(state.floeth, 'floETH')}"
    console.print(columns(f"What moves the pair's price by 1 %; it holds {holds}", ("", "takes", "for"), rows))


def _liquidity(risk: Risk, console: Console) -> None:
    limits, reserve = risk.now.limits, risk.state.reserve.books
    full = int(risk.now.assets) * int(limits.parameters.allowance_bps) // BPS
    rows: list[list[str | Bar]] = [
        ["exit reserve, of its target", *_part(reserve.cash, risk.reserve_target)],
        ["instant exits, of their allowance", *_part(int(risk.now.instant_limit), full)],
        ["buffer, of its target", *_part(risk.free, int(risk.now.target))],
    ]
    console.print(columns("ETH that can be had at once", ("", "ETH", BAR, ""), rows))
    if why := closed(risk.floe, risk.now):
        console.print(Text(f"  instant exits: {why}"))
    if reserve.fresh:
        fresh = show(reserve.fresh, "ETH")
        console.print(Text(f"  exit reserve: {fresh} came within a day, and make sales no cheaper yet"))
    if why or reserve.fresh:
        console.print()


def _part(part: int, whole: int) -> list[str | Bar]:
    share = f"{100 * part / whole:.2f} %" if whole and part < 10 * whole else ""
    return [tables.eth(part), bar(part, whole), share]


def _exodus(risk: Risk, console: Console) -> None:
    rows: list[list[str | Bar]] = []
    for way in _parts(risk):
        rows.append(
            [
                way.name,
                tables.eth(way.shares),
                bar(way.shares, risk.leaving),
                tables.eth(way.ether),
                tables.eth(way.cost),
                f"{ppm(way.cost, way.worth):,}",
                "" if way.last_ppm is None else f"{way.last_ppm:,}",
                risk.wait.short if way.name == QUEUE else "at once",
            ]
        )
    patience = f"{risk.patience_ppm / 10_000:g} %"
    title = (
        f"{show(risk.leaving, 'floETH')} want out, worth {show(risk.worth, 'ETH')}; dearer than {patience} they wait"
    )
    names = ("", "floETH", BAR, "ETH", "cost, ETH", "ppm", "last ppm", "paid")
    console.print(columns(title, names, rows))
    cost = sum(way.cost for way in _parts(risk))
    lines = [f"> it would cost them {show(cost, 'ETH')}, {ppm(cost, risk.worth) / 10_000:.4f} % of all that leaves"]
    if risk.departure.waiting:
        lines.append(f"> the last of them is paid {_in(risk.wait)}")
    if risk.after.reserve.books.held:
        lines.append(f"> the reserve has its ETH back {_in(risk.reserve_wait)}")
    after = risk.after.price()
    if after is not None:
        lines.append(f"> the pair's price would be {tables.eth(after, 9)} ETH")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _in(wait: Wait) -> str:
    if wait.seconds is None:
        return "when validators have left: this chain does not say how long they take"
    return f"after about {duration(wait.seconds)} ({wait.kind})"


@dataclass(frozen=True)
class Part:
    """What went one way."""

    name: str
    shares: int
    ether: int
    worth: int
    last_ppm: int | None
    """What the last piece cost."""

    @property
    def cost(self) -> int:
        """Wei that are missing to the redemption value."""
        return self.worth - self.ether


def _parts(risk: Risk) -> list[Part]:
    found = []
    for name in (INSTANT, RESERVE, PAIR):
        mine = [sale for sale in risk.departure.sales if sale.name == name]
        shares, ether = risk.departure.through(name)
        found.append(Part(name, shares, ether, risk.worth_of(shares), mine[-1].cost_ppm if mine else None))
    waiting = risk.departure.waiting
    found.append(Part(QUEUE, waiting, risk.worth_of(waiting), risk.worth_of(waiting), None))
    return found


def _fields(risk: Risk) -> dict[str, Any]:
    now = risk.now
    return {
        "network": network_name(risk.floe.provider),
        "block": risk.floe.block,
        "time": risk.floe.now,
        "prices": {
            "entry_wei": int(now.entry_rate),
            "exit_wei": int(now.exit_rate),
            "pair_wei": risk.price,
            "average_wei": None if risk.average is None else risk.average.price,
            "average_seconds": None if risk.average is None else risk.average.seconds,
        },
        "pair": None
        if risk.state.pair is None or risk.depth is None
        else {
            "ether_wei": risk.state.pair.eth,
            "floeth_shares": risk.state.pair.floeth,
            "fee_ppm": risk.market.ask(risk.market.pair.fee)[0],
            "down_shares": risk.depth[0][0],
            "down_brings_wei": risk.depth[0][1],
            "up_wei": risk.depth[1][0],
            "up_brings_shares": risk.depth[1][1],
        },
        "reserve": {
            "cash_wei": risk.state.reserve.books.cash,
            "fresh_wei": risk.state.reserve.books.fresh,
            "target_wei": risk.reserve_target,
            "held_shares": risk.state.reserve.books.held,
            "queued_shares": risk.state.reserve.books.queued,
            "fee_ppm": risk.market.ask(risk.market.reserve.fee)[0],
        },
        "instant": {
            "limit_wei": int(now.instant_limit),
            "allowance_wei": int(now.limits.instant_allowance),
            "allowance_full_wei": int(now.assets) * int(now.limits.parameters.allowance_bps) // BPS,
            "closed": closed(risk.floe, now),
        },
        "crowd": {
            "leaving_shares": risk.leaving,
            "worth_wei": risk.worth,
            "patience_ppm": risk.patience_ppm,
            "parts": [
                {
                    "way": part.name,
                    "shares": part.shares,
                    "pays_wei": part.ether,
                    "cost_wei": part.cost,
                    "last_ppm": part.last_ppm,
                }
                for part in _parts(risk)
            ],
            "cost_wei": sum(part.cost for part in _parts(risk)),
            "wait": wait_fields(risk.wait),
            "reserve_wait": wait_fields(risk.reserve_wait),
            "price_after_wei": risk.after.price(),
        },
    }


def _draw(risk: Risk, file: Path) -> None:
    exodus = market_picture.Exodus(
        [(sale.name, sale.shares, sale.cost_ppm) for sale in risk.departure.sales],
        risk.departure.waiting,
        risk.patience_ppm,
    )
    title = f"Floe on {network_name(risk.floe.provider)}, block {risk.floe.block}"
    try:
        market_picture.draw(_curve(risk), exodus, title, file)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--picture: {error}") from None


def _curve(risk: Risk) -> market_picture.PriceCurve | None:
    if risk.depth is None or risk.price is None:
        return None
    live = risk.live()
    (down, _), (up_wei, up) = risk.depth
    points = [(0, risk.price)]
    for step in range(1, CURVE_POINTS + 1):
        sold, paid = 2 * down * step // CURVE_POINTS, 2 * up_wei * step // CURVE_POINTS
        if (price := live.price_after_sale(sold)) is not None:
            points.append((sold, price))
        bought = live.bought(paid)
        if bought is not None and (price := live.price_after_purchase(paid)) is not None:
            points.append((-bought, price))
    return market_picture.PriceCurve(
        sorted(points), risk.price, int(risk.now.entry_rate), int(risk.now.exit_rate), down, up
    )
