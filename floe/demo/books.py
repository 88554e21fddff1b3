"""The end of the demo: what everybody put in, took out and still has, and whether every wei is accounted for.

Four sources that do not know of each other are compared: the ETH balances of the execution chain, the beacon chain's
state by the Beacon API, the contracts' views, and the history that `floe.report.history` makes out of events. All
comparisons are of integers, and exact.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from floe.beacon.client import BeaconClient, ValidatorInfo
from floe.beacon.containers import FAR_FUTURE_EPOCH
from floe.demo import market_books
from floe.demo.checks import Check, named, total
from floe.demo.staking import GWEI, PREDEPOSIT, SEEN, STATES, Validator
from floe.demo.story import KEEPER, TREASURY, Played
from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from floe.oracle.observer import Observation, Observer
from floe.oracle.report import Report, report_of
from floe.report import events, history, tables
from floe.report.history import Books, Position

ASSETS = "assets = deposits - paid to leavers + what was earned"
BUFFER = "the pool's ETH = its buffer"
QUEUE = "the queue's ETH = paid in - claimed"
OUTSIDE = "outside - pending loss = validators' balances + deposits on their way - penalties to come"
BONDS = "the registry's ETH = bonds"
DEPOSITS = "deposited on the beacon chain = predeposits + top-ups + what others deposited"
ALL_ETHER = "all ETH there is = deposits + market + bonds + rewards + tips + gifts - penalties - paid out"
FEES = "fees split and not yet split = all fee shares of all reports"
MAIN_CHECKS = (ASSETS, BUFFER, QUEUE, OUTSIDE, BONDS, DEPOSITS, FEES, *market_books.MAIN_CHECKS, ALL_ETHER)
"""Those worth showing also when they hold."""


@dataclass(frozen=True)
class Row:
    """One account of the table, in wei: ETH in and out, and the value of shares from others less to others (signed)."""

    name: str
    paid_in: int
    paid_out: int
    moved: int
    holding: int
    reward: int
    invested: int


@dataclass(frozen=True)
class Past:
    """What happened in all blocks."""

    log: list[events.Event]
    tips: int
    """Wei that transactions paid on top of the base fee in the blocks of our proposers."""
    gas: dict[str, int]
    """Wei that each account paid for gas."""
    reference: Observation
    """What a stranger finds at the reference slot of the last report..."""
    head: Observation
    """... and at the last slot."""


@dataclass(frozen=True)
class Stake:
    """The validators at the last slot: the registry's records beside the beacon state. Gwei."""

    validators: list[Validator]
    """With records as the registry has them now."""
    operators: list[Any]
    """The registry's `Operator` of each."""
    quotas: list[int]
    found: dict[bytes, ValidatorInfo]
    """By public key: validators of the head state."""
    pending: dict[bytes, int]
    """By public key: deposits that wait in the head state."""
    counted: int
    """Balances and waiting deposits of all that count, at the reference slot of the last report."""

    def is_counted(self, validator: Validator) -> bool:
        """Whether the pool's ETH was ever sent to it."""
        return bool(validator.record.topped_at)

    def balance(self, validator: Validator) -> int:
        """Balance and deposits that wait, on the beacon chain."""
        found = self.found.get(validator.pubkey)
        return (found.balance if found else 0) + self.pending.get(validator.pubkey, 0)


@dataclass(frozen=True)
class Closing:
    """The end of the demo."""

    rows: list[Row]
    checks: list[Check]
    books: Books
    past: Past
    stake: Stake
    worth: tuple[int, int]
    """Of a share of the pair and of the reserve."""

    @property
    def log(self) -> list[events.Event]:
        """All events."""
        return self.past.log


def close(played: Played, past: Past | None = None) -> Closing:
    """Read everything at the last block and compare. Nothing is sent. `past` spares reading that again."""
    stage = played.stage
    past = past or read(played)
    log = past.log
    books = history.replay(log, stage.pool.address, stage.queue.address, stage.token.address)
    now = stage.chain.get_block("latest").timestamp
    owners = {account.address: stage.name(number) for number, account in enumerate(stage.stakers, 1)}
    owners |= {account.address: f"operator {number}" for number, account in enumerate(stage.operators, 1)}
    owners |= {one.address: name for name, one in market_books.contracts(stage).items()}
    owners |= {stage.stranger.address: stage.name(0), stage.donor.address: "donor"}
    owners |= {TREASURY: "treasury", stage.splitter.address: "fee splitter", stage.vaults[1].address: "loss cover"}
    rows = [_row(name, holder, log, books, now) for holder, name in owners.items()]
    stake = _stake(played, past)
    checks = [
        *_accounts(played, past, rows),
        *_contracts(played, past, books, now),
        *_holders(played, books, [*owners, stage.pool.address]),
        *_fees(played, log),
        *_operators(played, log, stake),
        *_validators(played, stake),
        *_beacon(played, past, stake),
        *market_books.checks(stage, log),
    ]
    return Closing(rows, checks, books, past, stake, market_books.worth(stage))


def read(played: Played) -> Past:
    """Read the events of all contracts, what every block paid to its proposer, and both chains as a stranger would."""
    stage, web3 = played.stage, played.stage.chain.web3
    tips, gas = 0, dict.fromkeys(played.before, 0)
    for number in range(played.first_block, web3.eth.block_number + 1):
        block = web3.eth.get_block(number)
        for paid in web3.eth.get_block_receipts(number):
            gas[paid["from"]] = gas.get(paid["from"], 0) + paid["gasUsed"] * paid["effectiveGasPrice"]
            if block["miner"] == stage.vaults[1].address:
                tips += int(paid["gasUsed"] * (paid["effectiveGasPrice"] - block["baseFeePerGas"]))
    observer = Observer(
        stage.client, web3, stage.pool.address, stage.registry.address, stage.committee.address, played.first_block
    )
    reference = observer.observe(stage.news.reports[-1].ref_slot)
    head = observer.observe(stage.devnet.slot)
    return Past(stage.news.log, tips, gas, reference, head)


def paid_by(log: list[events.Event], sender: str) -> int:
    """Wei that an account deposited, through the rebasing token included: that one logs for whom, in the same call."""
    wrapped = {
        item.transaction for item in named(log, "token", "TransferShares") if item.arguments["receiver"] == sender
    }
    return sum(
        item.arguments["assets"]
        for item in named(log, "pool", "Deposit")
        if item.arguments["sender"] == sender or item.transaction in wrapped
    )


def paid_to(log: list[events.Event], receiver: str) -> int:
    """Wei that an account got, from claims and from instant exits."""
    return total(log, "queue", "Claimed", "ether_", receiver=receiver) + total(
        log, "pool", "Withdraw", "assets", receiver=receiver
    )


def _row(name: str, holder: str, log: list[events.Event], books: Books, now: int) -> Row:
    position = books.positions.get(holder, Position())
    paid_in, paid_out = paid_by(log, holder), paid_to(log, holder)
    return Row(
        name=name,
        paid_in=paid_in,
        paid_out=paid_out,
        moved=(position.invested - paid_in) - (position.returned - paid_out),
        holding=books.value(holder, now),
        reward=books.reward(holder, now),
        invested=position.invested,
    )


def _accounts(played: Played, past: Past, rows: list[Row]) -> list[Check]:
    """Compare every wallet's ETH with what it had, less gas and what it sent, plus what came out."""
    stage, log = played.stage, past.log
    people = {stage.name(number): one for number, one in enumerate(stage.stakers, 1)}
    people |= {f"operator {number}": one for number, one in enumerate(stage.operators, 1)}
    checks = []
    for name, account in [*people.items(), *stage.helpers.items()]:
        before, gas, sent = (each[account.address] for each in (played.before, stage.gas, stage.spent))
        text = f"{name}: ETH before - sent + out - gas = ETH now"
        out = paid_to(log, account.address) + market_books.paid_to(log, account.address)
        checks.append(Check(text, before - sent + out - gas, account.balance))
        if account in (*stage.stakers, stage.stranger):
            paid_in = paid_by(log, account.address) + market_books.sent(stage, account.address)
            checks.append(Check(f"{name}: ETH sent = in", sent, paid_in))
    fees = {
        KEEPER: sum(one.arguments["fee"] * one.arguments["count"] for one in named(log, "withdrawals", "Requested"))
    }
    for address, name in played.daemons.items():
        text = f"{name}: ETH before - gas - fees of requests = ETH now"
        left = played.before[address] - past.gas[address] - fees.get(name, 0)
        checks.append(Check(text, left, stage.chain.get_balance(address)))
    checks.append(Check("all shares that changed hands: given = received", sum(row.moved for row in rows), 0))
    return checks


def _contracts(played: Played, past: Past, books: Books, now: int) -> list[Check]:
    """Compare the contracts' views and ETH with the books made from events."""
    stage, log = played.stage, past.log
    state = stage.lens.protocol()
    eth = stage.chain.get_balance
    deposits = total(log, "pool", "Deposit", "assets")
    leavers = total(log, "pool", "Withdraw", "assets") + total(log, "pool", "Fulfilled", "assets")
    claimed = total(log, "queue", "Claimed", "ether_")
    still_open = stage.lens.tickets(stage.open_tickets())
    vault, execution_vault = (eth(one.address) for one in stage.vaults)
    credited = past.head.credited + stage.gifts - sum(stage.swept())
    tips = past.tips + paid_to(log, stage.vaults[1].address) - total(log, "pool", "Reported", "tips")
    claimable, pending = sum(t.claimable for t in still_open), sum(t.pending for t in still_open)
    queue = eth(stage.queue.address)
    wrapped, behind_it = stage.token.total_shares(), stage.pool.balanceOf(stage.token)
    return [
        Check(ASSETS, deposits - leavers + books.revenue.gross, state.assets),
        Check(BUFFER, eth(stage.pool.address), state.buffer),
        Check(QUEUE, queue, state.line.paid_in - claimed),
        Check("queue's ETH = claimable of all open tickets", queue, claimable),
        Check("withdrawal vault's ETH = withdrawn + gifts - swept", vault, credited),
        Check("execution vault's ETH = tips + covered losses - swept", execution_vault, tips),
        Check("waiting shares = pending of all open tickets", state.waiting, pending),
        Check("wrapped shares = shares that the token holds", wrapped, behind_it),
        Check("history: shares", books.shares, state.shares),
        Check("history: assets", books.assets, state.assets),
        Check("history: outside", books.outside, state.outside),
        Check("history: locked", books.locked(now), state.locked),
        Check("history: pending loss", books.pending_loss, state.pending_loss),
        Check("history: deficit", books.deficit, state.deficit),
        Check("history: entry rate", books.entry_rate(now), state.entry_rate),
        Check("history: exit rate", books.exit_rate(now), state.exit_rate),
    ]


def _holders(played: Played, books: Books, holders: list[str]) -> list[Check]:
    """Compare what each holder has by the contracts and by the events."""
    stage = played.stage
    checks = []
    for holder in holders:
        tickets = [ticket for ticket in books.tickets.values() if ticket.owner == holder]
        free, wrapped = stage.pool.balanceOf(holder), stage.token.shares_of(holder)
        waiting = sum(ticket.end - ticket.claimed for ticket in tickets)
        checks += [
            Check(f"history: shares of {holder}", books.free.get(holder, 0), free),
            Check(f"history: wrapped shares of {holder}", books.wrapped.get(holder, 0), wrapped),
            Check(f"history: position of {holder}", _shares(books, holder), free + wrapped + waiting),
            Check(f"history: tickets of {holder}", len(tickets), stage.queue.balanceOf(holder)),
        ]
    for ticket in stage.lens.tickets(stage.open_tickets()):
        known = books.tickets[ticket.number]
        checks += [
            Check(f"history: owner of ticket {ticket.number}", int(known.owner, 16), int(ticket.owner, 16)),
            Check(f"history: claimable of ticket {ticket.number}", books.claimable(known), ticket.claimable),
            Check(f"history: pending of ticket {ticket.number}", books.pending(known), ticket.pending),
        ]
    held = sum(_shares(books, holder) for holder in holders)
    filled = sum(t.end - t.claimed - books.pending(t) for t in books.tickets.values())
    checks.append(Check("shares of all holders = supply", held - filled, stage.pool.totalSupply()))
    return checks


def _shares(books: Books, holder: str) -> int:
    return books.positions.get(holder, Position()).shares


def _fees(played: Played, log: list[events.Event]) -> list[Check]:
    """Compare what reports paid as fees with what the splitter did with it."""
    stage = played.stage
    splitter = stage.splitter
    names = ("fees", "treasury", "operators", "cover")
    fees, treasury, operators, cover = (total(log, "splitter", "Distributed", name) for name in names)
    numbers = range(1, len(stage.operators) + 1)
    claimed = total(log, "splitter", "Claimed", "shares")
    given_up = total(log, "splitter", "LossCovered", "shares")
    earned = sum(splitter.claimable(number) for number in numbers)
    here = stage.pool.balanceOf(splitter)
    return [
        Check(FEES, fees + splitter.undistributed(), total(log, "pool", "Reported", "fee_shares")),
        Check("fees split = treasury + operators + cover + rest", fees, treasury + operators + cover + splitter.rest()),
        Check("operators' fees = claimed + claimable", operators, claimed + earned),
        Check("cover fund = its fees - given up", splitter.cover_fund(), cover - given_up),
        Check(
            "fee splitter's shares = fees - paid", here, splitter.undistributed() + fees - treasury - claimed - given_up
        ),
        Check("treasury's shares = its fees", stage.pool.balanceOf(TREASURY), treasury),
    ]


def _stake(played: Played, past: Past) -> Stake:
    """Read the registry's records, and the validators out of the beacon chain's head state, and an earlier one."""
    stage = played.stage
    numbers = range(1, len(stage.operators) + 1)
    found = stage.client.validators([one.pubkey for one in stage.validators], "head")
    counted = {
        one.arguments["key"] for one in named(past.log, "registry", "ToppedUp") if one.block <= past.reference.height
    }
    pubkeys = [one.pubkey for one in stage.validators if one.key in counted]
    slot = past.reference.slot
    then = stage.client.validators(pubkeys, slot) if pubkeys else []
    waiting = _pending(stage.client, slot)
    return Stake(
        validators=[replace(one, record=stage.registry.validator(one.key)) for one in stage.validators],
        operators=[stage.registry.operator(number) for number in numbers],
        quotas=[stage.registry.quota(number) for number in numbers],
        found={bytes(one.validator.pubkey): one for one in found},
        pending=_pending(stage.client, "head"),
        counted=sum(one.balance for one in then) + sum(waiting[pubkey] for pubkey in pubkeys),
    )


def _pending(client: BeaconClient, state: int | str) -> dict[bytes, int]:
    """Return deposits (Gwei) that wait in a state, by public key."""
    pending: dict[bytes, int] = defaultdict(int)
    for one in client.pending_deposits(state):
        pending[bytes(one.pubkey)] += int(one.amount)
    return pending


def _operators(played: Played, log: list[events.Event], stake: Stake) -> list[Check]:
    """Compare the registry's sums with its records, and bonds with what was paid for them."""
    stage, registry = played.stage, played.stage.registry
    checks = []
    for number, (manager, operator) in enumerate(zip(stage.operators, stake.operators, strict=True), 1):
        own = [one for one in stake.validators if one.operator == number]
        paid = stage.spent[manager.address] // GWEI - stage.foreign[manager.address]
        sent = PREDEPOSIT * len(named(log, "registry", "Predeposited", operator=number))
        bought = total(log, "registry", "ToppedUp", "bought", operator=number)
        is_open = sum(one.state not in ("closed", "compromised") for one in own)
        checks += [
            Check(f"operator {number}: bond = paid - predeposits + bought", operator.bond, paid - sent + bought),
            Check(f"operator {number}: stake = that of its validators", operator.stake, sum(map(_staying, own))),
            Check(f"operator {number}: open validators", operator.open, is_open),
        ]
    leaving = (one.record.pulled for one in stake.validators if one.state in ("active", "exiting"))
    bonds = sum(operator.bond for operator in stake.operators)
    return [
        *checks,
        Check(BONDS, stage.chain.get_balance(registry.address), bonds * GWEI),
        Check("registry: staked", registry.staked(), sum(map(_staying, stake.validators))),
        Check("registry: under way", registry.under_way(), sum(leaving)),
    ]


def _validators(played: Played, stake: Stake) -> list[Check]:
    """Compare the registry's record of each validator with the beacon state."""
    ours = int.from_bytes(played.stage.credentials, "big")
    checks = []
    for one, seen in zip(stake.validators, played.stage.validators, strict=True):
        name, record = f"validator {one.number}", one.record
        checks.append(Check(f"{name}: state as last seen", record.state, seen.record.state))
        found = stake.found.get(one.pubkey)
        if found is None:
            checks.append(Check(f"{name}: not proven", record.state, 1 << STATES.index("predeposited")))
            continue
        chain = found.validator
        is_ours = int.from_bytes(bytes(chain.withdrawal_credentials), "big") == ours
        is_out = record.pulled_at == SEEN or one.state == "slashed"
        checks += [
            Check(f"{name}: index", record.index, found.index),
            Check(f"{name}: withdraws elsewhere", one.state == "compromised", not is_ours),
            Check(f"{name}: slashed", one.state == "slashed", bool(chain.slashed)),
            Check(f"{name}: has an exit epoch", is_out, chain.exit_epoch != FAR_FUTURE_EPOCH),
        ]
        if one.state == "active" and not record.pulled:
            effective = int(chain.effective_balance) + stake.pending.get(one.pubkey, 0)
            # Effective balances are whole ETH; what is left after a withdrawal is not.
            whole = record.stake // GWEI * GWEI
            checks.append(Check(f"{name}: stake = effective balance + deposits that wait", whole, effective))
        if one.state in ("closed", "compromised"):
            checks.append(Check(f"{name}: nothing of the pool's is left", stake.is_counted(one) * found.balance, 0))
    return checks


def _beacon(played: Played, past: Past, stake: Stake) -> list[Check]:
    """Compare what the pool has outside with the beacon chain, and find all ETH that ever came in."""
    stage, reported, log = played.stage, played.stage.news.reports[-1], past.log
    eth, state = stage.chain.get_balance, stage.lens.protocol()
    sent, swept = stage.pool.state()[5] & 2**96 - 1, stage.swept()
    topped, bought = (total(log, "registry", "ToppedUp", name) for name in ("amount", "bought"))
    predeposited = PREDEPOSIT * len(named(log, "registry", "Predeposited"))
    foreign = sum(stage.foreign.values())

    # Of what the beacon chain did after the reference slot the pool knows nothing yet.
    later = past.head.credited - past.reference.credited
    in_flight = sent - reported.deposited_at_ref
    staked = stake.counted * GWEI + in_flight
    deposited = eth(DEPOSIT_CONTRACT) - played.before[DEPOSIT_CONTRACT]

    booked = sum(
        item.arguments["gain"] - sum(item.arguments[name] for name in ("tips", "gifts", "surplus"))
        for item in named(log, "pool", "Reported")
    )
    # What is pending was not booked, and those who left have borne a part of it.
    result = booked - total(log, "pool", "Fulfilled", "settled_loss") - state.pending_loss + reported.pending_loss
    bonds = sum(stage.spent[one.address] - stage.foreign[one.address] * GWEI for one in stage.operators)
    came = total(log, "pool", "Deposit", "assets") + bonds + result + past.tips + stage.gifts
    left = total(log, "pool", "Withdraw", "assets") + total(log, "queue", "Claimed", "ether_")
    # What covers losses stays with us, and so does what the market pays in, and is paid.
    market = market_books.places(stage)
    came += market_books.sent(stage) - sum(paid_by(log, one) for one in market)
    left += sum(market_books.paid_to(log, one.address) for one in (*stage.stakers, *stage.helpers.values()))
    left -= sum(paid_to(log, one) for one in (*market, stage.vaults[1].address))
    not_ours = (predeposited - bought) * GWEI
    ours: list[Any] = [stage.pool, stage.queue, stage.token, *stage.vaults, stage.registry]
    stay = sum(eth(one) for one in (*market, *(place.address for place in ours))) - later + staked
    again = report_of(past.reference)
    return [
        *(
            Check(f"report, recomputed: {name}", _number(mine), _number(theirs))
            for name, mine, theirs in zip(Report._fields, again, reported, strict=True)
        ),
        Check("reported balances = those of the Beacon API", reported.cl, stake.counted * GWEI),
        Check("withdrawn = swept", reported.withdrawn_at_ref, swept[0]),
        Check(OUTSIDE, state.outside - state.pending_loss, staked - reported.pending_loss),
        Check(DEPOSITS, deposited, (predeposited + topped + foreign) * GWEI),
        Check("sent to validators = top-ups + predeposits bought", sent, (topped + bought) * GWEI),
        Check(ALL_ETHER, came - left - not_ours, stay),
    ]


def _number(value: Any) -> int:
    return int.from_bytes(value, "big") if isinstance(value, bytes) else int(value)


def _staying(validator: Validator) -> int:
    """Gwei of an active validator that are not on their way out."""
    return int(validator.record.stake - validator.record.pulled) if validator.state == "active" else 0


# --- for the terminal ---


def people(closing: Closing) -> Table:
    """Return who put in, took out and has what, and the sums."""
    lines = []
    for row in closing.rows:
        amounts = (row.paid_in, row.paid_out, row.moved, row.holding, row.reward)
        lines.append([row.name, *map(tables.eth, amounts), tables.percent(row.reward, row.invested)])
    total = [
        sum(getattr(row, name) for row in closing.rows)
        for name in ("paid_in", "paid_out", "moved", "holding", "reward")
    ]
    lines.append(["all", *map(tables.eth, total), tables.percent(total[-1], total[0])])
    title = "In ETH: earned = out + still holding - in - from others"
    return tables.columns(
        title, ("", "in", "out", "from others", "still holding", "earned", "yield"), lines, total=True
    )


def revenue(closing: Closing) -> Table:
    """Return what the validators earned, and who got it."""
    sums = closing.books.revenue
    rows = [
        ["validators, tips and gifts, less the slashing", tables.eth(sums.gross)],
        ["of it as fees", tables.eth(sums.fee)],
        ["of it to the holders", tables.eth(sums.holders)],
        ["and to the holders, from those who left at once", tables.eth(sums.instant_fees)],
    ]
    return tables.columns("Revenue", ("", "ETH"), rows)


def fees(closing: Closing) -> Table:
    """Return who got the fees, in shares."""
    log = closing.log
    rows = [["the treasury", tables.eth(total(log, "splitter", "Distributed", "treasury"), 6)]]
    for number in range(1, len(closing.stake.operators) + 1):
        rows.append([f"operator {number}", tables.eth(total(log, "splitter", "Claimed", "shares", operator=number), 6)])
    cover, given_up = total(log, "splitter", "Distributed", "cover"), total(log, "splitter", "LossCovered", "shares")
    rows += [
        ["given up for the loss", tables.eth(given_up, 6)],
        ["kept to cover losses", tables.eth(cover - given_up, 6)],
    ]
    return tables.columns("Fees, by the splitter, in floETH", ("", "floETH"), rows)


def operators(closing: Closing) -> Table:
    """Return what each operator has at stake, of its own and of the pool's."""
    stake = closing.stake
    rows = [
        [
            f"operator {number}",
            str(operator.weight),
            str(PREDEPOSIT * len(named(closing.log, "registry", "Predeposited", operator=number)) // GWEI),
            str(total(closing.log, "registry", "ToppedUp", "bought", operator=number) // GWEI),
            *(tables.eth(amount * GWEI) for amount in (operator.bond, operator.stake, quota)),
        ]
        for number, (operator, quota) in enumerate(zip(stake.operators, stake.quotas, strict=True), 1)
    ]
    return tables.columns(
        "Operators, in ETH", ("", "weight", "predeposited", "bought by the pool", "bond", "stake", "quota"), rows
    )


def validators(closing: Closing) -> Table:
    """Return all validators: the registry's view, and the beacon chain's."""
    stake = closing.stake
    rows = []
    for one in stake.validators:
        found = stake.found.get(one.pubkey)
        amounts = (tables.eth(amount * GWEI) for amount in (one.record.stake, stake.balance(one)))
        status = found.status.replace("_", " ") if found else "unknown"
        rows.append([f"validator {one.number}", str(one.operator), one.state, status, *amounts])
    names = ("", "operator", "in the registry", "on the beacon chain", "stake, ETH", "balance, ETH")
    return tables.columns("Validators", names, rows)


def actors(closing: Closing) -> list[Table]:
    """Return all tables."""
    made = [table(closing) for table in (people, revenue, fees, operators, validators)]
    return [*made, market_books.table(closing.log, closing.worth)]
