"""The market in the books at the end of the demo: every wei of the pair, the reserve, the gauge and the WETH vault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from floe.demo.checks import Check, named, total
from floe.demo.stage import Stage
from floe.report import tables
from floe.report.events import Event

PAIR = "the pair's ETH = from buyers and providers - to sellers, providers and the admin"
RESERVE = "the reserve's ETH = from providers and stakers + claimed - to sellers and providers"
GAUGE = "scaled: earned + paid + not streamed + rest of a division = notified to the gauge"
VAULT = "WETH vault's shares = floETH that it holds"
MAIN_CHECKS = (PAIR, RESERVE, GAUGE, VAULT)

LOCKED_LIQUIDITY = 10**12
"""Of the pair's first liquidity, nobody's. contracts/liquidity/StablePair.vy"""
ETHER = 10**18

Log = list[Event]


def contracts(stage: Stage) -> dict[str, Any]:
    """Return the market's contracts that can have ETH or floETH, by what they are called."""
    return {
        "the pair": stage.pair,
        "the reserve": stage.reserve,
        "the gauge": stage.gauge,
        "WETH vault": stage.weth_vault,
        "zap": stage.zap,
    }


def places(stage: Stage) -> list[str]:
    """Return the addresses between which ETH does not leave the market."""
    return [one.address for one in (*contracts(stage).values(), stage.weth)]


def sent(stage: Stage, sender: str | None = None) -> int:
    """Wei that transactions (all, or those of one sender) took along into the market."""
    into = set(places(stage))
    return sum(value for (one, to), value in stage.news.transfers.items() if to in into and sender in (None, one))


def paid_to(log: Log, receiver: str) -> int:
    """Wei that an account got from the market."""
    there = {"receiver": receiver}
    return (
        total(log, "pair", "Sold", "assets", **there)
        + total(log, "pair", "LiquidityRemoved", "assets", **there)
        + total(log, "pair", "OneRemoved", "out", of_ether=True, **there)
        + total(log, "pair", "Collected", "assets", **there)
        + total(log, "reserve", "Sold", "assets", **there)
        + total(log, "reserve", "TicketSold", "assets", **there)
        + total(log, "reserve", "TicketSold", "claimed", **there)
        + total(log, "reserve", "Withdraw", "assets", **there)
        + total(log, "weth", "Withdrawal", "wad", src=receiver)
    )


def checks(stage: Stage, log: Log) -> list[Check]:
    """Compare balances, the contracts' books, and the events."""
    return [*_pair(stage, log), *_reserve(stage, log), *_gauge(stage, log), *_weth(stage, log)]


def _pair(stage: Stage, log: Log) -> list[Check]:
    pair = stage.pair
    sums = {
        (name, amount): total(log, "pair", name, amount)
        for name in ("Bought", "Sold", "LiquidityAdded", "LiquidityRemoved", "Collected")
        for amount in ("assets", "shares")
    }
    one_sided = [total(log, "pair", "OneRemoved", "out", of_ether=of_ether) for of_ether in (True, False)]
    signs = {"Bought": (1, -1), "Sold": (-1, 1), "LiquidityAdded": (1, 1), "LiquidityRemoved": (-1, -1)}
    signs["Collected"] = (-1, -1)
    ether = sum(sign[0] * sums[name, "assets"] for name, sign in signs.items()) - one_sided[0]
    shares = sum(sign[1] * sums[name, "shares"] for name, sign in signs.items()) - one_sided[1]
    here, shares_here = stage.chain.get_balance(pair.address), stage.pool.balanceOf(pair)
    booked, booked_shares = pair.balances()
    admin, admin_shares = pair.admin_fees()
    liquidity = total(log, "pair", "LiquidityAdded", "liquidity")
    removed = sum(total(log, "pair", name, "liquidity") for name in ("LiquidityRemoved", "OneRemoved"))
    supply = pair.totalSupply()
    return [
        Check(PAIR, here, ether),
        Check("the pair's floETH = from sellers and providers - to buyers and providers", shares_here, shares),
        Check("the pair's ETH = its book + the admin's", here, booked + admin),
        Check("the pair's floETH = its book + the admin's", shares_here, booked_shares + admin_shares),
        Check("flLP = given - taken back + what is nobody's", supply, liquidity - removed + pair.balanceOf(pair)),
        Check("flLP that is nobody's", pair.balanceOf(pair), LOCKED_LIQUIDITY if supply else 0),
        Check("flLP = that of all holders", supply, _held(stage, pair)),
    ]


def _reserve(stage: Stage, log: Log) -> list[Check]:
    reserve, queue = stage.reserve, stage.queue
    names = ("Deposit", "Restaked", "TicketClaimed", "Withdraw", "Sold", "TicketSold")
    deposits, restaked, claimed, withdrawn, bought, tickets = (total(log, "reserve", name, "assets") for name in names)
    shares = {
        name: total(log, "reserve", name, "shares") for name in ("Sold", "Queued", "Restaked", "TicketSold", *names[:4])
    }
    here, held = stage.chain.get_balance(reserve.address), stage.pool.balanceOf(reserve)
    open_tickets = reserve.open_tickets()
    pending = sum(queue.pending(one.ticket) for one in open_tickets)
    claimable = sum(queue.claimable(one.ticket) for one in open_tickets)
    exits = (held + pending) * stage.pool.exit_rate() // ETHER
    supply = reserve.totalSupply()
    return [
        Check(RESERVE, here, deposits + restaked + claimed - withdrawn - bought - tickets),
        Check("the reserve's ETH = its book", here, reserve.cash()),
        Check(
            "the reserve's floETH = bought - queued - restaked",
            held,
            shares["Sold"] - shares["Queued"] - shares["Restaked"],
        ),
        Check("the reserve's floETH = its book", held, reserve.held()),
        Check(
            "the reserve's exits = queued + bought as tickets - claimed",
            reserve.queued(),
            shares["Queued"] + shares["TicketSold"] - shares["TicketClaimed"],
        ),
        Check(
            "the reserve's exits = those of its tickets",
            reserve.queued(),
            sum(one.end - one.start for one in open_tickets),
        ),
        Check("the reserve's tickets = those that it owns", len(open_tickets), queue.balanceOf(reserve)),
        Check("the reserve's value, recomputed", reserve.totalAssets(), here + exits + claimable - reserve.locked()),
        Check(
            "flRES = given - taken back + what is nobody's",
            supply,
            shares["Deposit"] - shares["Withdraw"] + reserve.balanceOf(reserve),
        ),
        Check("flRES = that of all holders", supply, _held(stage, reserve)),
    ]


def _gauge(stage: Stage, log: Log) -> list[Check]:
    gauge, pair, pool = stage.gauge, stage.pair, stage.pool
    scale, staked = gauge.SCALE(), gauge.total_staked()
    notified, paid = total(log, "gauge", "Notified", "received"), total(log, "gauge", "Claimed", "amount")
    found = [
        Check("the gauge's flLP = staked", pair.balanceOf(gauge), staked),
        Check("staked = that of all stakers", staked, sum(gauge.staked(one) for one in stage.stakers)),
        Check(
            "staked = put in - taken out",
            staked,
            total(log, "gauge", "Staked", "amount") - total(log, "gauge", "Withdrawn", "amount"),
        ),
        Check("the gauge's floETH = notified - paid", pool.balanceOf(gauge), notified - paid),
    ]
    scaled = 0
    if gauge.reward_tokens():
        reward = gauge.reward(pool)
        scaled = sum(gauge.earned(one, pool) * scale + gauge.fraction(one, pool) for one in stage.stakers)
        scaled += (paid + reward.left + reward.idle) * scale + reward.rest
    return [*found, Check(GAUGE, scaled, notified * scale)]


def _weth(stage: Stage, log: Log) -> list[Check]:
    vault, weth, zap = stage.weth_vault, stage.weth, stage.zap
    wrapped = total(log, "weth", "Deposit", "wad") - total(log, "weth", "Withdrawal", "wad")
    eth = stage.chain.get_balance
    left = [eth(zap.address), *(token.balanceOf(zap) for token in (stage.pool, stage.token, stage.pair, weth))]
    return [
        Check(VAULT, vault.totalSupply(), stage.pool.balanceOf(vault)),
        Check("WETH vault's shares = those of all holders", vault.totalSupply(), _held(stage, vault)),
        Check("WETH vault's ETH and WETH", eth(vault.address) + weth.balanceOf(vault), 0),
        Check("WETH's ETH = wrapped - unwrapped", eth(weth.address), wrapped),
        Check("what the zap has left behind", sum(left), 0),
    ]


def _held(stage: Stage, token: Any) -> int:
    """Return what all who can have some of a token have of it."""
    holders: Iterable[Any] = (*stage.stakers, *stage.operators, *stage.helpers.values(), *contracts(stage).values())
    return sum(token.balanceOf(one) for one in holders)


# --- for the terminal ---


def worth(stage: Stage) -> tuple[int, int]:
    """Return what a share of the pair and one of the reserve is worth: wei for 1e18 of it, 0 where there is none."""
    pair, reserve = stage.pair, stage.reserve
    return (
        pair.virtual_price() if pair.totalSupply() else 0,
        reserve.convertToAssets(ETHER) if reserve.totalSupply() else 0,
    )


def table(log: Log, worth: tuple[int, int]) -> Table:
    """Return what was traded where, and what a share of those who made it possible is worth now (1 when it began)."""
    sold = len(named(log, "reserve", "TicketSold"))
    rows = [
        _row("at the pair", log, ("pair", "Sold"), ("pair", "Bought"), worth[0]),
        _row("at the reserve", log, ("reserve", "Sold"), ("reserve", "Restaked"), worth[1]),
        [
            f"tickets to the reserve: {sold}",
            *(tables.eth(total(log, "reserve", "TicketSold", name)) for name in ("shares", "assets")),
            *["", "", tables.eth(total(log, "reserve", "TicketSold", "fee")), ""],
        ],
    ]
    names = ("", "sold", "for ETH", "bought", "for ETH", "fees, ETH", "a share is worth")
    return tables.columns("The market: floETH sold and bought", names, rows)


def _row(name: str, log: Log, sales: tuple[str, str], purchases: tuple[str, str], worth: int) -> list[str]:
    amounts = [total(log, *event, what) for event in (sales, purchases) for what in ("shares", "assets")]
    fees = sum(item.arguments.get("fee", 0) for event in (sales, purchases) for item in named(log, *event))
    return [name, *map(tables.eth, amounts), tables.eth(fees), tables.eth(worth, 6)]
