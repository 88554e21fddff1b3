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

from floe.beacon.client import ValidatorInfo
from floe.beacon.containers import FAR_FUTURE_EPOCH
from floe.demo.staking import GWEI, PREDEPOSIT, SEEN, STATES, Validator
from floe.demo.story import Played
from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from floe.report import events, history, tables
from floe.report.history import Books

ASSETS = "assets = deposits - paid to leavers + what was earned"
BUFFER = "the pool's ETH = its buffer"
QUEUE = "the queue's ETH = paid in - claimed"
OUTSIDE = "outside - pending loss = validators' balances + deposits on their way - penalties to come"
BONDS = "the registry's ETH = bonds"
DEPOSITS = "deposited on the beacon chain = predeposits + top-ups + what others deposited"
ALL_ETHER = "all ETH there is = deposits + bonds + rewards + tips + gifts - penalties - paid out"
MAIN_CHECKS = (ASSETS, BUFFER, QUEUE, OUTSIDE, BONDS, DEPOSITS, ALL_ETHER)
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
class Check:
    """One equation: `left` and `right` must be the same number."""

    text: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether it is true."""
        return self.left == self.right


@dataclass(frozen=True)
class Past:
    """What happened in all blocks."""

    log: list[events.Event]
    tips: int
    """Wei that transactions paid on top of the base fee in the blocks of our proposers."""


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

    def is_counted(self, validator: Validator) -> bool:
        """Whether the pool's ETH was ever sent to it."""
        return bool(validator.record.topped_at)

    def balance(self, validator: Validator) -> int:
        """Balance and deposits that wait, on the beacon chain."""
        found = self.found.get(validator.pubkey)
        return (found.balance if found else 0) + self.pending.get(validator.pubkey, 0)

    @property
    def counted(self) -> int:
        """Balances and waiting deposits of all that count."""
        return sum(self.balance(one) for one in self.validators if self.is_counted(one))


@dataclass(frozen=True)
class Closing:
    """The end of the demo."""

    rows: list[Row]
    checks: list[Check]
    books: Books
    past: Past
    stake: Stake

    @property
    def log(self) -> list[events.Event]:
        """All events."""
        return self.past.log


def close(played: Played, past: Past | None = None) -> Closing:
    """Read everything at the last block and compare. Nothing is sent. `past` spares reading that again."""
    stage = played.stage
    past = past or read(played)
    log, tips = past.log, past.tips
    books = history.replay(log, stage.pool.address, stage.queue.address, stage.token.address)
    now = stage.chain.get_block("latest").timestamp
    owners = {account.address: stage.name(number) for number, account in enumerate(stage.stakers, 1)}
    owners[stage.pool.fee_recipient()] = "fee recipient"
    rows = [_row(name, holder, log, books, now) for holder, name in owners.items()]
    stake = _stake(played)
    checks = [
        *_accounts(played, log, rows),
        *_contracts(played, log, books, now, tips),
        *_holders(played, books, [*owners, stage.pool.address]),
        *_operators(played, log, stake),
        *_validators(played, stake),
        *_beacon(played, log, stake, tips),
    ]
    return Closing(rows, checks, books, past, stake)


def read(played: Played) -> Past:
    """Read the events of all contracts, and what every block paid to its proposer."""
    stage, web3 = played.stage, played.stage.chain.web3
    contracts = {"pool": stage.pool, "queue": stage.queue, "token": stage.token, "registry": stage.registry}
    tips = 0
    for number in range(played.first_block, web3.eth.block_number + 1):
        block = web3.eth.get_block(number)
        if block["miner"] == stage.vaults[1].address:
            for paid in web3.eth.get_block_receipts(number):
                tips += int(paid["gasUsed"] * (paid["effectiveGasPrice"] - block["baseFeePerGas"]))
    return Past(events.read(contracts, played.first_block), tips)


def paid_by(log: list[events.Event], sender: str) -> int:
    """Wei that an account deposited, through the rebasing token included: that one logs for whom, in the same call."""
    wrapped = {
        item.transaction for item in _named(log, "token", "TransferShares") if item.arguments["receiver"] == sender
    }
    return sum(
        item.arguments["assets"]
        for item in _named(log, "pool", "Deposit")
        if item.arguments["sender"] == sender or item.transaction in wrapped
    )


def paid_to(log: list[events.Event], receiver: str) -> int:
    """Wei that an account got, from claims and from instant exits."""
    return _sum(log, "queue", "Claimed", "ether_", receiver=receiver) + _sum(
        log, "pool", "Withdraw", "assets", receiver=receiver
    )


def _row(name: str, holder: str, log: list[events.Event], books: Books, now: int) -> Row:
    position = books.positions[holder]
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


def _accounts(played: Played, log: list[events.Event], rows: list[Row]) -> list[Check]:
    """Compare every wallet's ETH with what it had, less gas and what it sent, plus what came out."""
    stage = played.stage
    people = {stage.name(number): one for number, one in enumerate(stage.stakers, 1)}
    people |= {f"operator {number}": one for number, one in enumerate(stage.operators, 1)}
    checks = []
    for name, account in [*people.items(), *stage.helpers.items()]:
        before, gas, sent = (each[account.address] for each in (played.before, stage.gas, stage.spent))
        text = f"{name}: ETH before - sent + out - gas = ETH now"
        checks.append(Check(text, before - sent + paid_to(log, account.address) - gas, account.balance))
        if account in stage.stakers:
            checks.append(Check(f"{name}: ETH sent = in", sent, paid_by(log, account.address)))
    checks.append(Check("all shares that changed hands: given = received", sum(row.moved for row in rows), 0))
    return checks


def _contracts(played: Played, log: list[events.Event], books: Books, now: int, tips: int) -> list[Check]:
    """Compare the contracts' views and ETH with the books made from events."""
    stage = played.stage
    state = stage.lens.protocol()
    eth = stage.chain.get_balance
    deposits = _sum(log, "pool", "Deposit", "assets")
    leavers = _sum(log, "pool", "Withdraw", "assets") + _sum(log, "pool", "Fulfilled", "assets")
    claimed = _sum(log, "queue", "Claimed", "ether_")
    still_open = stage.lens.tickets(stage.open_tickets())
    vault, execution_vault = (eth(one.address) for one in stage.vaults)
    credited = stage.reported.withdrawn_at_ref + stage.gifts - sum(stage.swept())
    claimable, pending = sum(t.claimable for t in still_open), sum(t.pending for t in still_open)
    queue = eth(stage.queue.address)
    wrapped, behind_it = stage.token.total_shares(), stage.pool.balanceOf(stage.token)
    return [
        Check(ASSETS, deposits - leavers + books.revenue.gross, state.assets),
        Check(BUFFER, eth(stage.pool.address), state.buffer),
        Check(QUEUE, queue, state.line.paid_in - claimed),
        Check("queue's ETH = claimable of all open tickets", queue, claimable),
        Check("withdrawal vault's ETH = withdrawn + gifts - swept", vault, credited),
        Check("execution vault's ETH = tips - swept", execution_vault, tips - _sum(log, "pool", "Reported", "tips")),
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
            Check(f"history: shares of {holder}", books.free[holder], free),
            Check(f"history: wrapped shares of {holder}", books.wrapped[holder], wrapped),
            Check(f"history: position of {holder}", books.positions[holder].shares, free + wrapped + waiting),
            Check(f"history: tickets of {holder}", len(tickets), stage.queue.balanceOf(holder)),
        ]
    for ticket in stage.lens.tickets(stage.open_tickets()):
        known = books.tickets[ticket.number]
        checks += [
            Check(f"history: owner of ticket {ticket.number}", int(known.owner, 16), int(ticket.owner, 16)),
            Check(f"history: claimable of ticket {ticket.number}", books.claimable(known), ticket.claimable),
            Check(f"history: pending of ticket {ticket.number}", books.pending(known), ticket.pending),
        ]
    held = sum(books.positions[holder].shares for holder in holders)
    filled = sum(t.end - t.claimed - books.pending(t) for t in books.tickets.values())
    checks.append(Check("shares of all holders = supply", held - filled, stage.pool.totalSupply()))
    return checks


def _stake(played: Played) -> Stake:
    """Read the registry's records, and the validators out of the beacon chain's head state."""
    stage = played.stage
    numbers = range(1, len(stage.operators) + 1)
    pending: dict[bytes, int] = defaultdict(int)
    for one in stage.client.pending_deposits("head"):
        pending[bytes(one.pubkey)] += int(one.amount)
    found = stage.client.validators([one.pubkey for one in stage.validators], "head")
    return Stake(
        validators=[replace(one, record=stage.registry.validator(one.key)) for one in stage.validators],
        operators=[stage.registry.operator(number) for number in numbers],
        quotas=[stage.registry.quota(number) for number in numbers],
        found={bytes(one.validator.pubkey): one for one in found},
        pending=pending,
    )


def _operators(played: Played, log: list[events.Event], stake: Stake) -> list[Check]:
    """Compare the registry's sums with its records, and bonds with what was paid for them."""
    stage, registry = played.stage, played.stage.registry
    checks = []
    for number, (manager, operator) in enumerate(zip(stage.operators, stake.operators, strict=True), 1):
        own = [one for one in stake.validators if one.operator == number]
        paid = stage.spent[manager.address] // GWEI - stage.foreign[manager.address]
        sent = PREDEPOSIT * len(_named(log, "registry", "Predeposited", operator=number))
        bought = _sum(log, "registry", "ToppedUp", "bought", operator=number)
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
            checks.append(Check(f"{name}: stake = effective balance + deposits that wait", record.stake, effective))
        if one.state in ("closed", "compromised"):
            checks.append(Check(f"{name}: nothing of the pool's is left", stake.is_counted(one) * found.balance, 0))
    return checks


def _beacon(played: Played, log: list[events.Event], stake: Stake, tips: int) -> list[Check]:
    """Compare what the pool has outside with the beacon chain, and find all ETH that ever came in."""
    stage, reported = played.stage, played.stage.reported
    eth, state = stage.chain.get_balance, stage.lens.protocol()
    sent, swept = stage.pool.state()[5] & 2**96 - 1, stage.swept()
    topped, bought = (_sum(log, "registry", "ToppedUp", name) for name in ("amount", "bought"))
    predeposited = PREDEPOSIT * len(_named(log, "registry", "Predeposited"))
    foreign = sum(stage.foreign.values())

    # Since the reference slot of the last report nothing has happened on the beacon chain.
    in_flight = sent - reported.deposited_at_ref
    staked = stake.counted * GWEI + in_flight
    deposited = eth(DEPOSIT_CONTRACT) - played.before[DEPOSIT_CONTRACT]

    booked = sum(
        item.arguments["gain"] - sum(item.arguments[name] for name in ("tips", "gifts", "surplus"))
        for item in _named(log, "pool", "Reported")
    )
    # What is pending was not booked, and those who left have borne a part of it.
    result = booked - _sum(log, "pool", "Fulfilled", "settled_loss") - state.pending_loss + reported.pending_loss
    bonds = sum(stage.spent[one.address] - stage.foreign[one.address] * GWEI for one in stage.operators)
    came = _sum(log, "pool", "Deposit", "assets") + bonds + result + tips + stage.gifts
    left = _sum(log, "pool", "Withdraw", "assets") + _sum(log, "queue", "Claimed", "ether_")
    not_ours = (predeposited - bought) * GWEI
    places: list[Any] = [stage.pool, stage.queue, stage.token, *stage.vaults, stage.registry]
    stay = sum(eth(place.address) for place in places) + staked
    return [
        Check("reported balances = those of the Beacon API", reported.cl, stake.counted * GWEI),
        Check("withdrawn = swept", reported.withdrawn_at_ref, swept[0]),
        Check(OUTSIDE, state.outside - state.pending_loss, staked - reported.pending_loss),
        Check(DEPOSITS, deposited, (predeposited + topped + foreign) * GWEI),
        Check("sent to validators = top-ups + predeposits bought", sent, (topped + bought) * GWEI),
        Check(ALL_ETHER, came - left - not_ours, stay),
    ]


def _staying(validator: Validator) -> int:
    """Gwei of an active validator that are not on their way out."""
    return int(validator.record.stake - validator.record.pulled) if validator.state == "active" else 0


def _named(log: list[events.Event], contract: str, name: str, **wanted: Any) -> list[events.Event]:
    return [
        item
        for item in log
        if (item.contract, item.name) == (contract, name)
        and all(item.arguments[key] == value for key, value in wanted.items())
    ]


def _sum(log: list[events.Event], contract: str, name: str, amount: str, **wanted: Any) -> int:
    return sum(item.arguments[amount] for item in _named(log, contract, name, **wanted))


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
        ["of it to the fee recipient", tables.eth(sums.fee)],
        ["of it to the holders", tables.eth(sums.holders)],
        ["and to the holders, from those who left at once", tables.eth(sums.instant_fees)],
    ]
    return tables.columns("Revenue", ("", "ETH"), rows)


def operators(closing: Closing) -> Table:
    """Return what each operator has at stake, of its own and of the pool's."""
    stake = closing.stake
    rows = [
        [
            f"operator {number}",
            str(operator.weight),
            str(PREDEPOSIT * len(_named(closing.log, "registry", "Predeposited", operator=number)) // GWEI),
            str(_sum(closing.log, "registry", "ToppedUp", "bought", operator=number) // GWEI),
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
    return [table(closing) for table in (people, revenue, operators, validators)]
