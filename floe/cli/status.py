"""`ape floe status`: the protocol at a glance, at one block."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.text import Text

from floe.cli.amounts import duration, show
from floe.cli.market import Market
from floe.cli.output import BAR, bar, columns, print_json
from floe.cli.session import Floe
from floe.cli.tickets import wait_fields
from floe.cli.waiting import Flow, flow
from floe.deploy.execute import network_name
from floe.report import tables

STATES = ("predeposited", "proven", "active", "exiting", "closed", "compromised", "slashed")
"""Of validators; the registry's flag has one bit for each, in this order."""
BATCH = 500
"""Calls in one request to the node: most nodes take a thousand."""
BPS = 10_000
ETHER = 10**18
GWEI = 10**9


def run(floe: Floe, as_json: bool, console: Console) -> None:
    """Print the state of the protocol. `docs/cli.md` names the fields of the JSON."""
    fields = read(floe)
    if as_json:
        print_json(fields)
        return
    for part in (_head, _rates, _assets, _queue, _validators, _operators, _reports, _limits, _market, _pauses):
        part(fields, console)
    for hint in fields["hints"]:
        console.print(Text(f"> {hint}"), soft_wrap=True)


# --- what is read ---


def read(floe: Floe) -> dict[str, Any]:
    """Return the state as nested dictionaries of integers, texts and lists: the fields of `docs/cli.md`."""
    now = floe.read(floe.lens.protocol)
    there = flow(floe, now)
    fields: dict[str, Any] = {
        "network": network_name(floe.provider),
        "chain_id": floe.provider.chain_id,
        "block": floe.block,
        "time": floe.now,
        "rates": {
            "entry_wei": int(now.entry_rate),
            "exit_wei": int(now.exit_rate),
            "supply_shares": int(now.shares),
        },
        "assets": {
            "all_wei": int(now.assets),
            "buffer_wei": int(now.buffer),
            "outside_wei": int(now.outside),
            "vault_wei": there.vault,
            "locked_rewards_wei": int(now.locked),
            "locked_rewards_end": int(now.stream_end),
            "pending_loss_wei": int(now.pending_loss),
            "deficit_wei": int(now.deficit),
            "buffer_target_wei": int(now.target),
            "stakeable_wei": int(now.stakeable),
        },
        "queue": _read_queue(floe, now, there),
        "validators": _read_validators(floe),
        "operators": _read_operators(floe),
        "reports": {
            "last": int(now.reported_at),
            "stale_from": int(now.stale_from),
            "declare_stale_from": int(now.declare_from),
            "next": there.frames.report_for(floe.now),
        },
        "oracle": _read_oracle(floe, int(now.assets)),
        "limits": {
            "deposit_room_wei": int(now.deposit_room),
            "deposit_ceiling_wei": int(now.limits.deposit_ceiling),
            "instant_exit_wei": int(now.instant_limit),
            "instant_allowance_wei": int(now.limits.instant_allowance),
            "instant_allowance_full_wei": int(now.assets) * int(now.limits.parameters.allowance_bps) // BPS,
            "instant_fee_ppm": int(now.instant_fee_ppm),
        },
        "market": _read_market(floe, int(now.entry_rate)),
        "pauses": {
            "deposits_until": _later(now.limits.deposit_paused_until, floe.now),
            "fulfilments_until": _later(now.limits.fulfil_paused_until, floe.now),
            "instant_exits_until": _later(now.limits.instant_exit_paused_until, floe.now),
            "deposits_refused_for_loss": bool(now.limits.deposits_refused),
        },
    }
    fields["hints"] = _hints(floe, now, fields)
    return fields


def _later(until: Any, now: int) -> int | None:
    return int(until) if until > now else None


def _read_queue(floe: Floe, now: Any, there: Flow) -> dict[str, Any]:
    return {
        "waiting_shares": int(now.waiting),
        "eligible_shares": int(now.eligible),
        "waiting_worth_wei": int(now.needed),
        "payable_now_wei": int(now.fulfillable),
        "missing_wei": int(floe.read(floe.registry.missing)),
        "under_way_wei": there.under_way,
        "tickets_waiting": _tickets_waiting(floe, now),
        "tickets_ever": int(now.line.tickets),
        "paid_ever_wei": int(now.line.paid_in),
        "wait_of_last": wait_fields(there.wait(int(now.line.tail))),
        "wait_of_new": wait_fields(there.wait(int(now.line.tail) + 1)),
    }


def _tickets_waiting(floe: Floe, now: Any) -> int:
    """Return how many tickets are not paid in full: those from the first that ends beyond what is paid."""
    made, filled = int(now.line.tickets), int(now.line.filled)
    first = bisect_right(range(1, made + 1), filled, key=lambda ticket: int(floe.read(floe.queue.interval, ticket)[1]))
    return made - first


def _read_validators(floe: Floe) -> dict[str, Any]:
    """Count validators by state, and sum their stakes. The keys come from events, their records from the registry."""
    keys = [bytes(log.key) for log in floe.logs(floe.registry.Predeposited)]
    counts: Counter[str] = Counter()
    stakes: Counter[str] = Counter()
    for first in range(0, len(keys), BATCH):
        calls = [floe.registry.validator.encode_input(key) for key in keys[first : first + BATCH]]
        for known in floe.read_many(floe.registry.address, calls):
            # The struct has a word for each member: state, operator, index, stake, ...
            state = STATES[int.from_bytes(known[:32], "big").bit_length() - 1]
            counts[state] += 1
            stakes[state] += int.from_bytes(known[96:128], "big") * GWEI
    return {state: {"count": counts[state], "stake_wei": stakes[state]} for state in STATES}


def _read_operators(floe: Floe) -> list[dict[str, Any]]:
    found = []
    for number in range(1, int(floe.read(floe.registry.operator_count)) + 1):
        known = floe.read(floe.registry.operator, number)
        found.append(
            {
                "operator": number,
                "manager": str(known.manager),
                "reward_address": str(known.reward_address),
                "weight": int(known.weight),
                "open_validators": int(known.open),
                "validator_limit": int(known.limit),
                "stake_wei": int(known.stake) * GWEI,
                "quota_wei": int(floe.read(floe.registry.quota, number)) * GWEI,
                "bond_wei": int(known.bond) * GWEI,
            }
        )
    return found


def _read_oracle(floe: Floe, assets: int) -> dict[str, Any]:
    oracle = floe.oracle
    last, pending, limits = floe.read(oracle.last), floe.read(oracle.pending), floe.read(oracle.parameters)
    headroom, chain = floe.read(oracle.headroom), floe.read(oracle.chain_constants)
    return {
        "address": str(oracle.address),
        "appointed": bool(floe.read(floe.pool.hasRole, floe.read(floe.pool.ORACLE_ROLE), oracle.address)),
        "members": [str(member) for member in floe.read(oracle.members) if int(str(member), 16)],
        "quorum": int(floe.read(oracle.quorum)),
        "frame_slots": int(limits.frame_epochs) * int(chain.slots_per_epoch),
        "last_ref_slot": int(last.ref_slot),
        "last_ref_time": int(chain.genesis_time) + int(last.ref_slot) * int(chain.seconds_per_slot),
        "backlog_wei": int(last.backlog),
        "held": None
        if not int.from_bytes(pending.digest, "big")
        else {"digest": "0x" + bytes(pending.digest).hex(), "deadline": int(pending.deadline)},
        "headroom": {
            "rise_wei": int(headroom.rise),
            "alarm_wei": int(headroom.alarm),
            "loss_wei": int(headroom.loss),
            "loss_full_wei": assets * int(limits.loss_bps) // BPS,
            "window_wei": int(headroom.window),
            "window_full_wei": assets * int(limits.window_bps) // BPS,
            "known_loss_wei": int(headroom.pending_loss),
        },
    }


def _read_market(floe: Floe, entry_rate: int) -> dict[str, Any]:
    market = Market(floe)
    ether, shares = market.ask(market.pair.balances)
    price = market.offer(market.pair.price)
    return {
        "pair_wei": None if price is None else price * entry_rate // ETHER,
        "pair_ether_wei": ether,
        "pair_floeth_shares": shares,
        "reserve_cash_wei": market.ask(market.reserve.cash)[0],
    }


def _hints(floe: Floe, now: Any, fields: dict[str, Any]) -> list[str]:
    """Say what somebody could or should do."""
    hints = []
    if now.fulfillable:
        hints.append(f"{show(int(now.fulfillable), 'ETH')} can be paid to exits now: anyone may call fulfil")
    if floe.now >= now.declare_from:
        hints.append("reports have stopped: anyone may call declare_stale, which lets all waiting exits be paid")
    elif floe.now >= now.stale_from:
        hints.append("reports are late: instant exits are closed")
    if fields["queue"]["missing_wei"]:
        missing = show(fields["queue"]["missing_wei"], "ETH")
        hints.append(f"eligible exits miss {missing}: the keeper asks validators for it, anyone once it is overdue")
    if not fields["oracle"]["appointed"]:
        hints.append("the pool does not listen to the ReportOracle of the deployment's record: its role was taken away")
    elif fields["oracle"]["held"]:
        hints.append("a report outside the limits is held: the council accepts or rejects it before its deadline")
    if now.stakeable >= 32 * 10**18:
        hints.append(f"{show(int(now.stakeable), 'ETH')} could be staked with validators")
    return hints


# --- what is printed ---


def _head(fields: dict[str, Any], console: Console) -> None:
    console.print(Text(f"Floe on {fields['network']}, block {fields['block']}, {_date(fields['time'])}"))


def _rates(fields: dict[str, Any], console: Console) -> None:
    rates = fields["rates"]
    rows: list[list[str | Bar]] = [
        ["enter: 1 floETH costs", f"{tables.eth(rates['entry_wei'], 9)} ETH"],
        ["leave: 1 floETH brings", f"{tables.eth(rates['exit_wei'], 9)} ETH"],
        ["instant exit, fee from", f"{fields['limits']['instant_fee_ppm'] / 10_000:.2f} %"],
        ["floETH in all", tables.eth(rates["supply_shares"])],
    ]
    console.print(columns("Rates", ("", ""), rows))


def _assets(fields: dict[str, Any], console: Console) -> None:
    assets, queue = fields["assets"], fields["queue"]
    whole = assets["all_wei"]
    parts = [
        ("buffer", assets["buffer_wei"]),
        ("outside, with validators", assets["outside_wei"]),
        ("all", whole),
        ("waiting exits would take", queue["waiting_worth_wei"]),
        ("buffer's target beyond that", assets["buffer_target_wei"]),
        ("may go to validators", assets["stakeable_wei"]),
        ("in the withdrawal vault", assets["vault_wei"]),
        ("rewards still streaming in", assets["locked_rewards_wei"]),
        ("pending loss", assets["pending_loss_wei"]),
        ("past losses to earn back", assets["deficit_wei"]),
    ]
    console.print(columns("Assets", ("", "ETH", BAR, "of all"), [_share(*part, whole) for part in parts]))


def _queue(fields: dict[str, Any], console: Console) -> None:
    queue = fields["queue"]
    waiting = queue["waiting_shares"]
    amounts = [("waiting", waiting), ("of it eligible", queue["eligible_shares"])]
    rows = [[name, tables.eth(part), bar(part, waiting) if waiting else ""] for name, part in amounts]
    worth = show(queue["waiting_worth_wei"], "ETH")
    title = f"Exits: {queue['tickets_waiting']} of {queue['tickets_ever']} tickets wait, for {worth}"
    console.print(columns(title, ("", "floETH", BAR), rows))
    wait = _wait(queue["wait_of_new"])
    asked = show(queue["under_way_wei"], "ETH")
    console.print(Text(f"  an exit requested now waits {wait}; asked of validators: {asked}"), soft_wrap=True)
    console.print()


def _validators(fields: dict[str, Any], console: Console) -> None:
    found = fields["validators"]
    most = max((one["count"] for one in found.values()), default=0)
    if not most:
        console.print(Text("Validators: none yet"))
        console.print()
        return
    rows: list[list[str | Bar]] = [
        [state, str(one["count"]), bar(one["count"], most), tables.eth(one["stake_wei"])]
        for state, one in found.items()
        if one["count"]
    ]
    console.print(columns("Validators", ("", "number", BAR, "stake, ETH"), rows))


def _operators(fields: dict[str, Any], console: Console) -> None:
    rows: list[list[str | Bar]] = [
        [
            str(one["operator"]),
            f"{one['manager'][:10]}...",
            str(one["weight"]),
            f"{one['open_validators']} of {one['validator_limit']}",
            tables.eth(one["stake_wei"]),
            tables.eth(one["quota_wei"]),
            bar(one["stake_wei"], one["quota_wei"]),
            tables.eth(one["bond_wei"]),
        ]
        for one in fields["operators"]
    ]
    if rows:
        names = ("operator", "manager", "weight", "validators", "stake", "quota", BAR, "bond")
        console.print(columns("Operators", names, rows))


def _reports(fields: dict[str, Any], console: Console) -> None:
    reports, oracle, now = fields["reports"], fields["oracle"], fields["time"]
    rows: list[list[str | Bar]] = [
        ["last", f"{duration(now - reports['last'])} ago, {_date(reports['last'])}"],
        ["stale", _moment(reports["stale_from"], now)],
        ["next", "due" if reports["next"] <= now else f"in about {duration(reports['next'] - now)}"],
        ["reference slot of the last", str(oracle["last_ref_slot"]) if oracle["last_ref_slot"] else "none yet"],
        ["committee", f"{oracle['quorum']} of {len(oracle['members'])} members must agree"],
        ["held for the council", _held(oracle["held"], now)],
    ]
    console.print(columns("Reports", ("", ""), rows))


def _limits(fields: dict[str, Any], console: Console) -> None:
    limits, room, whole = fields["limits"], fields["oracle"]["headroom"], fields["assets"]["all_wei"]
    rows: list[list[str | Bar]] = [
        _left("deposits", limits["deposit_room_wei"], limits["deposit_ceiling_wei"]),
        _left("instant exits until the next report", limits["instant_exit_wei"], limits["instant_allowance_full_wei"]),
        _left("loss by one report", room["loss_wei"], room["loss_full_wei"]),
        _left("losses in the window", room["window_wei"], room["window_full_wei"]),
        ["gain that a report may recognise", tables.eth(room["rise_wei"]), "", _percent(room["rise_wei"], whole)],
        ["gain of validators before an alarm", tables.eth(room["alarm_wei"]), "", _percent(room["alarm_wei"], whole)],
    ]
    names = ("", "ETH left", BAR, "of the limit")
    console.print(columns("Limits (the two gains: of all assets)", names, rows))


def _market(fields: dict[str, Any], console: Console) -> None:
    market = fields["market"]
    price, reserve = market["pair_wei"], f"the exit reserve has {show(market['reserve_cash_wei'], 'ETH')}"
    pair = "the pair has no liquidity" if price is None else f"the pair pays {tables.eth(price, 9)} ETH for 1 floETH"
    console.print(Text(f"Market: {pair}; {reserve}"), soft_wrap=True)


def _pauses(fields: dict[str, Any], console: Console) -> None:
    pauses, now = fields["pauses"], fields["time"]
    found = [
        f"{name} for {duration(until - now)} more"
        for name, until in (
            ("deposits", pauses["deposits_until"]),
            ("fulfilments", pauses["fulfilments_until"]),
            ("instant exits", pauses["instant_exits_until"]),
        )
        if until is not None
    ]
    if pauses["deposits_refused_for_loss"]:
        found.append("deposits, while more than 1 % is a pending loss")
    console.print(Text(f"Paused: {'; '.join(found) or 'nothing'}"), soft_wrap=True)


def _share(name: str, part: int, whole: int) -> list[str | Bar]:
    return [name, tables.eth(part), bar(part, whole), _percent(part, whole)]


def _left(name: str, left: int, whole: int) -> list[str | Bar]:
    return [name, tables.eth(left), bar(left, whole), _percent(left, whole)]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if part < 10 * whole else ""  # of next to nothing, a part says nothing


def _wait(wait: dict[str, Any]) -> str:
    known = "an unknown time" if wait["seconds"] is None else f"about {duration(wait['seconds'])}"
    return f"{known} for {REASONS[wait['for']]}"


REASONS = {
    "claim": "nothing",
    "fulfil": "a call of fulfil",
    "report": "the next report",
    "arrival": "ETH that validators were asked for",
    "validators": "ETH that validators have to be asked for",
}


def _held(held: dict[str, Any] | None, now: int) -> str:
    return "nothing" if held is None else f"{held['digest']}, {duration(held['deadline'] - now)} left"


def _moment(time: int, now: int) -> str:
    return f"in {duration(time - now)}" if time > now else f"since {duration(now - time)}"


def _date(time: int) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
