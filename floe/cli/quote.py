"""`ape floe quote` and `ape floe sell`: the four ways out for an amount, compared at one block, and taken."""

from __future__ import annotations

from typing import Any

import click
from rich.bar import Bar
from rich.console import Console
from rich.text import Text

from floe.cli.amounts import show
from floe.cli.market import GAS, PPM, Market, carry_out, less, of_held, tell
from floe.cli.output import BAR, bar, columns, print_json
from floe.cli.session import Call, Floe, Wallet
from floe.cli.tickets import wait_fields
from floe.cli.waiting import Wait, flow
from floe.cli.words import RefusedError, in_words
from floe.deploy.execute import network_name
from floe.market.live import Live
from floe.market.search import largest
from floe.market.ways import INSTANT, PAIR, QUEUE, RESERVE, Way, best, fitting, value
from floe.report import tables

GRAINS = 1_000
"""How finely the part is looked for that the pair still takes: in so many parts of the amount."""
BEST = "best"
"""Of the ways that pay at once, for `sell`."""


class Quote:
    """What an amount of floETH brings on each way out, at one block."""

    def __init__(self, floe: Floe, shares: int) -> None:
        self.floe, self.market, self.shares = floe, Market(floe), shares
        self.now = floe.read(floe.lens.protocol)
        self.supply = int(self.now.shares)
        self.exit_value = max(int(self.now.assets) - int(self.now.locked) - int(self.now.pending_loss), 0)
        if shares > self.supply:
            raise click.ClickException(f"there are only {show(self.supply, 'floETH')}")
        self.wait: Wait = flow(floe, self.now).wait(int(self.now.line.tail) + shares)
        self.ways = [self._queue(), self._instant(), self._reserve(), self._pair()]
        self.best = best(self.ways)
        self.parts = Live(self.market.state()).leave(shares, PPM)
        """The amount cut into pieces, each sold where it brings most, whatever it costs."""

    @property
    def in_parts(self) -> dict[str, tuple[int, int]]:
        """Shares and wei by way, where parts bring more than the best way; else nothing."""
        found = {name: self.parts.through(name) for name in (INSTANT, RESERVE, PAIR)}
        used = {name: part for name, part in found.items() if part[0]}
        least = self.best.ether if self.best else 0
        return used if sum(ether for _, ether in used.values()) > least and len(used) > 1 else {}

    def worth(self, shares: int) -> int:
        """Return what shares are worth to who leaves, in wei."""
        return value(shares, self.exit_value, self.supply)

    def _way(self, name: str, shares: int, ether: int, why: str | None) -> Way:
        return Way(name, self.shares, shares, ether, self.worth(shares), None if shares == self.shares else why)

    def _queue(self) -> Way:
        return self._way(QUEUE, self.shares, self.worth(self.shares), None)

    def _instant(self) -> Way:
        limit = int(self.now.instant_limit)
        shares = min(fitting(limit, self.exit_value, self.supply), self.shares) if limit else 0
        paid = self.market.ask(self.floe.pool.previewRedeem, shares)[0]
        if not paid:
            return self._way(INSTANT, 0, 0, closed(self.floe, self.now) or "too little to be paid for")
        return self._way(INSTANT, shares, paid, f"{show(limit, 'ETH')} may leave at once now")

    def _reserve(self) -> Way:
        cash = int(self.floe.read(self.market.reserve.cash))
        view = self.market.reserve.preview_sell
        shares = min(fitting(cash, self.exit_value, self.supply), self.shares)
        paid, why = self._offer(view, shares) if shares else (0, None)
        if not paid:
            return self._way(RESERVE, 0, 0, why or "it has no ETH")
        return self._way(RESERVE, shares, paid, f"it has {show(cash, 'ETH')}")

    def _pair(self) -> Way:
        view = self.market.pair.preview_sell
        paid, why = self._offer(view, self.shares)
        if paid:
            return self._way(PAIR, self.shares, paid, None)
        grain = max(self.shares // GRAINS, 1)
        most = largest(lambda shares: bool(self.market.offer(view, shares)), self.shares, grain)
        return self._way(PAIR, most, self.market.ask(view, most)[0] if most else 0, why)

    def _offer(self, view: Any, shares: int) -> tuple[int, str | None]:
        """Return what a preview promises for shares, and why not."""
        try:
            return self.market.ask(view, shares)[0], None
        except RefusedError as error:
            return 0, in_words(str(error))


def closed(floe: Floe, now: Any) -> str | None:
    """Say why nothing can leave at once; None when something can."""
    if now.instant_limit:
        return None
    if now.pending_loss > 0:
        return "closed while a known loss is not settled"
    if now.limits.instant_exit_paused_until > floe.now:
        return "paused"
    if floe.now >= now.stale_from:
        return "closed while reports are late"
    return "closed until deposits or the next report make room"


def run(floe: Floe, shares: int, as_json: bool, console: Console) -> None:
    """Print the ways out for an amount. `docs/cli.md` names the fields of the JSON."""
    quote = Quote(floe, shares)
    if as_json:
        print_json(_fields(quote))
        return
    title = f"Ways out for {show(shares, 'floETH')}, worth {show(quote.worth(shares), 'ETH')} to who leaves now"
    names = ("", "floETH", "ETH", BAR, "cost, ETH", "ppm", "when")
    console.print(columns(title, names, [_row(quote, way) for way in quote.ways]))
    for line in _lines(quote):
        console.print(Text(line), soft_wrap=True)


def _row(quote: Quote, way: Way) -> list[str | Bar]:
    if not way.shares:
        return [way.name, "0.0000", "", "", "", "", "closed"]
    return [
        way.name,
        tables.eth(way.shares),
        tables.eth(way.ether, 6),
        bar(way.ether, quote.worth(quote.shares)),
        tables.eth(way.cost, 6),
        f"{way.cost_ppm:,}",
        "at once" if way.at_once else quote.wait.short,
    ]


def _lines(quote: Quote) -> list[str]:
    lines = [
        f"{way.name}: takes {show(way.shares, 'floETH')} of it: {way.why}" if way.shares else f"{way.name}: {way.why}"
        for way in quote.ways
        if way.why
    ]
    if fresh := quote.market.ask(quote.market.reserve.fresh)[0]:
        lines.append(f"reserve: {show(fresh, 'ETH')} came within a day, and make sales no cheaper yet")
    if quote.best is None:
        return [*lines, f"> nothing pays at once: the queue does, {_when(quote.wait)}"]
    shares, more = quote.best.shares, quote.worth(quote.best.shares) - quote.best.ether
    part = "" if quote.best.whole else f" for {show(shares, 'floETH')}; the rest waits, or goes another way"
    waiting = f"Waiting adds {show(more, 'ETH')}" if more > 0 else f"Waiting costs {show(-more, 'ETH')}"
    lines.append(
        f"> most at once: {quote.best.name}, {show(quote.best.ether, 'ETH')}{part}. {waiting}: {_when(quote.wait)}"
    )
    if quote.in_parts:
        parts = ", ".join(f"{show(shares, 'floETH')} through {name}" for name, (shares, _) in quote.in_parts.items())
        brings = show(sum(ether for _, ether in quote.in_parts.values()), "ETH")
        lines.append(f"> in parts it brings {brings}: {parts}")
    return lines


def _when(wait: Wait) -> str:
    if wait.seconds is None:
        return "after a time that this chain does not say (validators)"
    return f"{wait.short} ({wait.kind})"


def _fields(quote: Quote) -> dict[str, Any]:
    return {
        "network": network_name(quote.floe.provider),
        "block": quote.floe.block,
        "time": quote.floe.now,
        "sell_shares": quote.shares,
        "worth_wei": quote.worth(quote.shares),
        "ways": [
            {
                "way": way.name,
                "at_once": way.at_once,
                "takes_shares": way.shares,
                "pays_wei": way.ether,
                "cost_wei": way.cost,
                "cost_ppm": way.cost_ppm,
                "why": way.why,
            }
            for way in quote.ways
        ],
        "in_parts": [
            {"way": name, "shares": shares, "pays_wei": ether} for name, (shares, ether) in quote.in_parts.items()
        ],
        "wait": wait_fields(quote.wait),
        "best": None if quote.best is None else quote.best.name,
        "waiting_adds_wei": None if quote.best is None else quote.best.cost,
    }


def sell(floe: Floe, wallet: Wallet, shares: int | None, through: str, slippage_ppm: int | None) -> None:
    """Sell floETH (None: all) for ETH at once: through a named way, or through the best one that takes all of it.

    At least the quote less `slippage_ppm` is accepted. None: of pair and reserve the quote, of the instant exit its
    least fee less, which goes to the holders and not to who comes first.
    """
    shares = of_held(wallet, floe.pool, "floETH", shares)
    quote = Quote(floe, shares)
    way = quote.best if through == BEST else next(way for way in quote.ways if way.name == through)
    if way is None or not way.whole:
        whys = "; ".join(f"{one.name}: {one.why}" for one in quote.ways if one.why and through in (BEST, one.name))
        raise click.ClickException(f"not all of it can be sold at once. {whys}")
    market, owner = quote.market, wallet.address
    if way.name == PAIR:
        least, why = market.least(way.ether, lambda pair: pair.preview_sell(shares), slippage_ppm)
    else:
        # Of the reserve exactly the quote: the next to take its ETH away would make the sale dearer.
        fee = 0 if way.name == RESERVE else int(quote.now.limits.parameters.instant_fee_min)
        tolerance = fee if slippage_ppm is None else slippage_ppm
        least, why = less(way.ether, tolerance), f"{tolerance / 10_000:g} % less than quoted"
    contract = {INSTANT: floe.pool, RESERVE: market.reserve, PAIR: market.pair}[way.name]
    approvals = [] if way.name == INSTANT else market.approval(wallet, floe.pool, contract, shares)
    if way.name == INSTANT:
        call = Call("sell", contract.redeem, (shares, owner, owner, least))
    else:
        call = Call("sell", contract.sell, (shares, least), gas=GAS if approvals else None)
    rows = [
        ("pay", show(shares, "floETH")),
        ("through", way.name),
        ("receive", f"{show(way.ether, 'ETH')}, at least {show(least, 'ETH')}"),
        ("accepted", why),
        ("cost", f"{way.cost_ppm / 10_000:.4f} % of the redemption value"),
        ("for comparison", f"the queue would pay {show(quote.worth(shares), 'ETH')}, {_when(quote.wait)}"),
    ]
    receipt = carry_out(wallet, "Sell", rows, [*approvals, call])
    if receipt is not None:
        [event] = (contract.Withdraw if way.name == INSTANT else contract.Sold).from_receipt(receipt)
        tell(wallet, f"received {show(int(event.assets), 'ETH')} for {show(int(event.shares), 'floETH')}")
