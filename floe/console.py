"""Names and helpers for `ape console --network ...`: they work on what `deployments/<network>.json` says is there.

pool, queue, token, lens, pauser, timelock, withdrawal_vault, execution_vault
me                    the account that helpers send from and that pays: `me = accounts.load("...")` changes it
                      for all that follows; on a development chain it is the first test account to begin with
rates()               prices, buffer, limits
tickets(owner)        open exits of an account, with what they are worth
stake("5 ether")      put ETH in           request("1.5 ether")  queue shares      claim(ticket)  fetch ETH
fmt(wei)              wei as ETH
"""

from __future__ import annotations

from typing import Any

import ape
from IPython.core.getipython import get_ipython
from rich.console import Console

from floe.deploy import record as records
from floe.deploy.execute import genesis, is_development, is_passing, network_name
from floe.report import events, tables

NAMES = {
    "FloePool": "pool",
    "WithdrawalQueue": "queue",
    "RebasingToken": "token",
    "Lens": "lens",
    "Pauser": "pauser",
    "Timelock": "timelock",
    "WithdrawalVault": "withdrawal_vault",
    "ExecutionVault": "execution_vault",
}
"""Contracts and what they are called in the console."""

HELPERS = ("rates", "tickets", "stake", "request", "claim", "fmt")
"""Methods of `Helpers` that are names in the console."""

_LENS_LIMIT = 256


def names() -> dict[str, Any]:
    """Return the contracts and helpers by name; where nothing is deployed, each of them says that instead."""
    provider = ape.networks.active_provider
    me = ape.accounts.test_accounts[0] if is_development(provider) else None
    found = _find(provider)
    if isinstance(found, str):
        Console(highlight=False).print(found, soft_wrap=True)
        return {**dict.fromkeys((*NAMES.values(), *HELPERS), Absent(found)), "me": me, "fmt": Helpers.fmt}
    helpers = Helpers(found, me)
    return {**helpers.contracts, "me": me, **{name: getattr(helpers, name) for name in HELPERS}}


def _find(provider: Any) -> records.Record | str:
    """Return the record of what is on this chain, or a sentence that says why there is none."""
    network = network_name(provider)
    file = records.path(network)
    choice = "http://127.0.0.1:8545" if is_passing(provider) else provider.network_choice
    command = f"ape run deploy --network {choice}"
    try:
        record = records.read(file)
    except records.RecordError as error:
        return str(error)
    if record is None:
        return f"Floe is not deployed on {network}: {command}"
    if record.genesis != genesis(provider):
        return f"Floe is not deployed on {network}: {file.name} is the record of another chain: {command}"
    if not record.complete:
        return f"Floe is not wholly deployed on {network}: {command}"
    if not provider.web3.eth.get_code(record.address("FloePool")):
        return f"Floe is not deployed on {network}: nothing is where {file.name} says: {command}"
    return record


class Absent:
    """Stands for a contract or helper where Floe is not deployed; it says so as soon as it is used."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __repr__(self) -> str:
        """Say why."""
        return self._reason

    def __call__(self, *_: Any, **__: Any) -> None:
        """Raise RuntimeError that says why."""
        raise RuntimeError(self._reason)

    def __getattr__(self, _: str) -> Any:
        """Raise AttributeError that says why."""
        raise AttributeError(self._reason)


class Helpers:
    """The helpers, on one deployment.

    When a call does not name a sender, the account that is called `me` in the console sends; outside of a console it
    is `account`.
    """

    def __init__(self, record: records.Record, account: Any = None) -> None:
        self.first_block = record.first_block
        self.contracts = {name: getattr(ape.project, one).at(record.address(one)) for one, name in NAMES.items()}
        self.pool, self.queue, self.lens = (self.contracts[name] for name in ("pool", "queue", "lens"))
        self.account = account

    @staticmethod
    def fmt(wei: int, places: int = 6) -> str:
        """Write wei as ETH."""
        return tables.eth(wei, places)

    def rates(self) -> None:
        """Print what entering and leaving costs now, and what stands ready for exits."""
        now = self.lens.protocol()
        rows = [
            ["entry rate", tables.eth(now.entry_rate, 9)],
            ["exit rate", tables.eth(now.exit_rate, 9)],
            ["assets", tables.eth(now.assets)],
            ["with validators", tables.eth(now.outside)],
            ["buffer", tables.eth(now.buffer)],
            ["rewards still streaming in", tables.eth(now.locked, 9)],
            ["pending loss", tables.eth(now.pending_loss)],
            ["exits that wait, worth", tables.eth(now.needed)],
            ["may be deposited", tables.eth(now.deposit_room)],
            ["may leave at once", tables.eth(now.instant_limit)],
            ["fee of leaving at once, from", f"{now.instant_fee_ppm / 10_000:.2f} %"],
        ]
        Console().print(tables.columns("Floe now", ("", "ETH"), rows))

    def tickets(self, owner: Any = None) -> None:
        """Print the open tickets of an account (of everybody without one), found through their events."""
        address = str(getattr(owner, "address", owner)) if owner is not None else None
        rows = [
            [
                str(ticket.number),
                tables.eth(ticket.end - ticket.start),
                tables.eth(ticket.pending),
                tables.eth(ticket.claimable),
                tables.eth(ticket.value),
                tables.eth(ticket.ahead),
            ]
            for ticket in self._open_tickets()
            if address is None or ticket.owner == address
        ]
        names = ("ticket", "shares", "waiting", "ETH to claim", "waiting, worth", "shares ahead")
        Console().print(tables.columns(f"Open exits of {address or 'everybody'}", names, rows))

    def stake(self, amount: Any, sender: Any = None) -> Any:
        """Stake an amount such as "5 ether" (or wei) and return the receipt."""
        account, wei = self._sender(sender), _wei(amount)
        return self.pool.deposit(wei, account, sender=account, value=wei)

    def request(self, shares: Any, sender: Any = None) -> int:
        """Queue an amount of shares such as "1.5 ether" (or in units of 1e-18) and return the ticket's number."""
        account = self._sender(sender)
        receipt = self.queue.request(_wei(shares), account, sender=account)
        return int(receipt.events.filter(self.queue.Requested)[0].ticket)

    def claim(self, ticket: int, sender: Any = None) -> str:
        """Fetch what is paid of a ticket, for its owner, and return the ETH."""
        receipt = self.queue.claim(ticket, self.queue.hint(ticket), sender=self._sender(sender))
        return self.fmt(receipt.events.filter(self.queue.Claimed)[0].ether_)

    def _sender(self, sender: Any) -> Any:
        console = get_ipython()  # type: ignore[no-untyped-call]
        account = sender or (self.account if console is None else console.user_ns.get("me"))
        if account is None:
            raise ValueError('no account to send from: me = accounts.load("...") or sender=accounts.load("...")')
        return account

    def _open_tickets(self) -> list[Any]:
        log = events.read({"queue": self.queue}, self.first_block)
        numbers = sorted({event.arguments["ticket"] for event in log if event.name == "Requested"})
        found: list[Any] = []
        for first in range(0, len(numbers), _LENS_LIMIT):
            found += self.lens.tickets(numbers[first : first + _LENS_LIMIT])
        return [ticket for ticket in found if int(ticket.owner, 16)]


def _wei(amount: Any) -> int:
    return int(ape.convert(amount, int))
