"""What the daemons did, told from events and transactions alone: who signed, who submitted, what was due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import ape

from floe.demo.staking import GWEI, Validator, listed
from floe.oracle.report import Report
from floe.report import events
from floe.report.events import Event
from floe.report.tables import eth

ETHER = 10**18

Lines = list[str]


class News:
    """Reads on where it stopped, and says in lines what happened since.

    `contracts` are Ape instances by the names that events are read under, `people` names by address.
    """

    def __init__(self, contracts: Mapping[str, Any], people: Mapping[str, str], first_block: int) -> None:
        self._contracts, self._people = contracts, people
        self._next = first_block
        self.reports: list[Report] = []
        """All that were booked, as their transactions had them, ..."""
        self.signers: list[list[int]] = []
        """... the members whose signatures were brought with each, ..."""
        self.senders: list[str] = []
        """... and who brought it."""
        self.log: list[Event] = []
        """All events so far."""
        self.transfers: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Wei that transactions with events took along, by (sender, receiver)."""
        self.seen: set[bytes] = set()
        """Keys of validators that the last news were about."""

    def read(self, validators: Sequence[Validator]) -> Lines:
        """Return the news since the last time."""
        web3 = ape.networks.active_provider.web3
        last = web3.eth.block_number
        if last < self._next:
            return []
        found = events.read(self._contracts, self._next, last)
        self._next, self.seen, self.log = last + 1, set(), self.log + found
        lines: Lines = []
        for digest, group in groupby(found, key=lambda event: event.transaction):
            transaction = web3.eth.get_transaction(digest)
            self.transfers[transaction["from"], transaction["to"]] += transaction["value"]
            log = _Log(list(group), transaction, self._people)
            self.seen |= {bytes(event.arguments["key"]) for event in log.all if "key" in event.arguments}
            lines += self._report(log) + self._registry(log, validators) + self._fees(log)
        return lines

    # --- by room ---

    def _report(self, log: _Log) -> Lines:
        if log.named("oracle", "Held"):
            return [f"{log.sender} brings a report that is held: it is outside the limits"]
        if not log.named("oracle", "Applied"):
            paid = log.named("pool", "Fulfilled")
            return [f"{log.sender} pays exits: {_paid(one)}" for one in paid]
        _, inputs = self._contracts["oracle"].decode_input(log.transaction["input"])
        before, report = self.reports[-1] if self.reports else None, Report(*inputs["report"])
        self.reports.append(report)
        signers = [place + 1 for place in range(32) if inputs["signers"] >> place & 1]
        self.signers.append(signers)
        self.senders.append(log.sender)
        [booked] = log.named("pool", "Reported")
        text = f"{log.sender} brings the report that members {_and(map(str, signers))} have signed"
        if booked["swept"] >= ETHER:
            text += f"; {eth(booked['swept'])} ETH have arrived from the beacon chain"
        if abs(report.pending_loss - (before.pending_loss if before else 0)) >= ETHER:
            what = f"penalties of {eth(report.pending_loss)} ETH are to come" if report.pending_loss else None
            text += f"; {what or 'the penalties are paid'}"
        return [text, *(f"exits are paid with it: {_paid(one)}" for one in log.named("pool", "Fulfilled"))]

    def _registry(self, log: _Log, validators: Sequence[Validator]) -> Lines:
        def about(event: str) -> list[Validator]:
            named = {bytes(one["key"]) for one in log.named("registry", event)}
            return [one for one in validators if one.key in named]

        lines: Lines = []
        if ours := about("Proven"):
            lines.append(f"{log.sender} proves that {listed(ours)} withdraw to our vault, and to nowhere else")
        lines += [
            f"{log.sender} proves that {listed([one])} withdraws elsewhere: operator {one.operator} has lost 1 ETH, "
            "the pool nothing"
            for one in about("Compromised")
        ]
        lines += [
            f"{log.sender} proves the slashing of {listed([one])}, operator {one.operator} is suspended: "
            f"{eth(found['estimate'] * GWEI)} ETH count as lost at once"
            for one, found in zip(about("Slashed"), log.named("registry", "Slashed"), strict=True)
        ]
        if topped := log.named("registry", "ToppedUp"):
            amount, bought = (sum(one[name] for one in topped) for name in ("amount", "bought"))
            lines.append(
                f"{log.sender} tops up {listed(about('ToppedUp'))} with {eth(amount * GWEI)} ETH of the pool"
                + (f", which also buys the predeposits for {bought // GWEI} ETH" if bought else "")
            )
        if asked := log.named("registry", "WithdrawalRequested"):
            parts = sum(one["amount"] for one in asked if not one["full"])
            texts = [f"{eth(parts * GWEI)} ETH"] if parts else []
            whole = {bytes(one["key"]) for one in asked if one["full"]}
            texts += [f"all of {listed([one for one in validators if one.key in whole])}"] if whole else []
            lines.append(f"{log.sender} asks the beacon chain for {_and(texts)}, for exits that wait")
        if leaving := [one for one in about("Exiting") if not log.named("registry", "WithdrawalRequested")]:
            lines.append(f"{log.sender} proves that {listed(leaving)} leaves")
        if closed := about("Closed"):
            lines.append(f"{log.sender} proves that {listed(closed)} is withdrawn to the last Gwei")
        return lines

    def _fees(self, log: _Log) -> Lines:
        lines = [
            f"{log.sender} has fees split: {eth(one['treasury'], 6)} shares to the treasury, "
            f"{eth(one['operators'], 6)} to operators, {eth(one['cover'], 6)} to the cover fund"
            for one in log.named("splitter", "Distributed")
        ]
        for one in log.named("splitter", "Claimed"):
            lines.append(f"{log.sender} has operator {one['operator']} paid {eth(one['shares'], 6)} shares of fees")
        covered = [one for one in log.named("queue", "Claimed") if "receiver" in one]
        return lines + [
            f"{log.sender} claims ticket {one['ticket']}: {eth(one['ether_'], 6)} ETH repay the loss"
            for one in covered
            if one["receiver"] == self._contracts["vault"].address
        ]


class _Log:
    """The events of one transaction."""

    def __init__(self, found: list[Event], transaction: Any, people: Mapping[str, str]) -> None:
        self.all, self.transaction = found, transaction
        self.sender = people.get(transaction["from"], "somebody")

    def named(self, contract: str, name: str) -> list[dict[str, Any]]:
        """Return the arguments of all events of a name."""
        return [one.arguments for one in self.all if (one.contract, one.name) == (contract, name)]


def _paid(fulfilled: Mapping[str, Any]) -> str:
    return f"{eth(fulfilled['assets'])} ETH for {eth(fulfilled['shares'])} shares"


def _and(texts: Iterable[str]) -> str:
    *most, last = texts
    return f"{', '.join(most)} and {last}" if most else last
