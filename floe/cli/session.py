"""One deployment, seen at one block, and an account that sends transactions to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ape
import click
from ape.exceptions import ProviderError
from ape.logging import LogLevel, logger
from ape.types import LogFilter
from eth_utils.address import is_address, is_checksum_address, to_checksum_address
from eth_utils.hexadecimal import encode_hex
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from floe.cli.amounts import show
from floe.cli.output import console
from floe.cli.words import plain, refusals
from floe.deploy.execute import is_development, is_passing
from floe.deploy.find import contracts, find
from floe.deploy.record import Record

ASKED = ("FloePool", "WithdrawalQueue", "RebasingToken", "ValidatorRegistry", "Lens", "ReportOracle")
"""Contracts that the commands ask."""


class Floe:
    """One deployment. All its views are read at `block`, whose time is `now` (seconds since the epoch)."""

    def __init__(self, provider: Any, record: Record) -> None:
        self.provider, self.record = provider, record
        found = contracts(record, ASKED)
        self.pool, self.queue, self.token, self.registry, self.lens, self.oracle = (found[name] for name in ASKED)
        self.see()

    def see(self) -> None:
        """Read at the newest block from now on."""
        head = self.provider.web3.eth.get_block("latest")
        self.block, self.now = int(head["number"]), int(head["timestamp"])

    def read(self, view: Any, *arguments: Any) -> Any:
        """Call a view at `block`."""
        return view(*arguments, block_id=self.block)

    def read_many(self, contract: str, calls: Sequence[bytes]) -> list[bytes]:
        """Return what many views of a contract answer at `block`, asked in one request and not decoded.

        Past web3's and Ape's ways, which would take a minute for the validators of a large pool. Raises ProviderError.
        """
        requests = [("eth_call", [{"to": contract, "data": encode_hex(call)}, hex(self.block)]) for call in calls]
        answers = self.provider.web3.provider.make_batch_request(requests)
        for answer in answers if isinstance(answers, list) else [answers]:
            if "result" not in answer:
                raise ProviderError(f"{len(calls)} questions at once: {answer.get('error', answer)}")
        return [bytes.fromhex(answer["result"][2:]) for answer in answers]

    def balance(self, address: str) -> int:
        """Return an account's wei at `block`."""
        return int(self.provider.web3.eth.get_balance(address, self.block))

    def logs(self, event: Any, **topics: Any) -> list[Any]:
        """Return the logs of one event since the deployment, oldest first, with indexed arguments as given."""
        wanted = LogFilter.from_event(
            event,
            search_topics=topics,
            addresses=[event.contract.address],
            start_block=self.record.first_block,
            stop_block=self.block,
        )
        return list(self.provider.get_contract_logs(wanted))


def connect() -> Floe:
    """Return what is deployed on the network that Ape is connected to. Raises RecordError when there is nothing."""
    provider = ape.networks.active_provider
    if is_passing(provider):
        raise click.UsageError(
            "name the chain: --network http://127.0.0.1:8545, --network ethereum:hoodi:node (`ape networks list`)"
        )
    return Floe(provider, find(provider))


def payer(chosen: Any) -> Any:
    """Return the account to send from: the chosen one, or on a chain of one's own the first test account."""
    if chosen is not None:
        return chosen
    if is_development(ape.networks.active_provider):
        return ape.accounts.test_accounts[0]
    raise click.UsageError("name the account: --account ALIAS (`ape accounts list` shows them)")


def address_of(text: str) -> str:
    """Read an address, or the alias of one of Ape's accounts. Raises click.UsageError."""
    if text in ape.accounts.aliases:
        return str(ape.accounts.load(text).address)
    if not is_address(text):
        raise click.UsageError(f"{text!r} is no address, and no account of that name is known here")
    if text not in (text.lower(), text.upper()) and not is_checksum_address(text):
        raise click.UsageError(f"{text}: a letter of this address is wrong (its capitals do not fit)")
    return to_checksum_address(text)


@contextmanager
def view() -> Iterator[tuple[Floe, Console]]:
    """Give what is deployed, and where to print, to a command that sends nothing."""
    with plain(), logger.at_level(LogLevel.WARNING):
        yield connect(), console()


@contextmanager
def session(account: Any, yes: bool, dry_run: bool) -> Iterator[tuple[Floe, Wallet]]:
    """Give what is deployed and who pays to a command; what goes wrong in it comes out as one line."""
    with plain(), logger.at_level(LogLevel.WARNING):
        floe, terms = connect(), Terms(yes, dry_run, click.confirm)
        yield floe, Wallet(floe, payer(account), terms, console())


@dataclass(frozen=True)
class Call:
    """A transaction that may be sent."""

    what: str
    """In words, such as "stake"."""
    method: Any
    arguments: tuple[Any, ...]
    value: int = 0
    """Wei sent along."""
    gas: int | None = None
    """Most gas; without it the node is asked, which works only when the call would."""


@dataclass(frozen=True)
class Terms:
    """How a person wants to be asked."""

    yes: bool
    """Do not ask."""
    dry_run: bool
    """Show what would be done, and do nothing."""
    confirm: Callable[[str], bool]


class Wallet:
    """An account that looks, asks and sends."""

    def __init__(self, floe: Floe, account: Any, terms: Terms, console: Console) -> None:
        self.floe, self.account, self.terms, self.console = floe, account, terms, console
        tip = int(floe.provider.priority_fee)
        self.price = int(floe.provider.base_fee) + tip
        """Wei that a gas costs now."""
        self.fees = {"max_fee": self.price + int(floe.provider.base_fee), "max_priority_fee": tip}

    @property
    def address(self) -> str:
        """Of the account."""
        return str(self.account.address)

    def simulate(self, call: Call) -> int:
        """Return the number that a call would return now. Raises RefusedError when the contract would refuse it."""
        with refusals():
            return int.from_bytes(self.floe.provider.web3.eth.call(self._transaction(call))[:32], "big")

    def gas(self, call: Call) -> int:
        """Return the most gas for a call: a quarter more than it needs now. Raises RefusedError."""
        if call.gas is not None:
            return call.gas
        with refusals():
            return int(self.floe.provider.web3.eth.estimate_gas(self._transaction(call))) * 5 // 4

    def _transaction(self, call: Call) -> dict[str, Any]:
        data = encode_hex(call.method.encode_input(*call.arguments))
        return {"from": self.address, "to": call.method.contract.address, "value": call.value, "data": data}

    def quote(self, title: str, rows: list[tuple[str, str]], calls: list[Call]) -> bool:
        """Show what calls would do and cost, and ask; return whether to send them.

        Raises ClickException when the account lacks the ETH, or when the answer is no.
        """
        gas = sum(self.gas(call) for call in calls)
        self.print_rows(
            title,
            [
                ("account", self.address),
                *rows,
                ("network fee", f"up to about {show(gas * 4 // 5 * self.price, 'ETH')}"),
            ],
        )
        self.check_funds(sum(call.value for call in calls), gas)
        if self.terms.dry_run:
            self.console.print("dry run: nothing was sent")
            return False
        if not (self.terms.yes or self.terms.confirm("Go on?")):
            raise click.ClickException("you said no: nothing was sent")
        return True

    def check_funds(self, value: int, gas: int) -> None:
        """Raise ClickException unless the account can pay `value` wei and the gas at its highest price."""
        holds, fee = self.floe.balance(self.address), gas * self.fees["max_fee"]
        if holds < value + fee:
            needed = f"{show(value, 'ETH')} and up to {show(fee, 'ETH')} of network fees" if value else show(fee, "ETH")
            raise click.ClickException(f"{self.address} holds {show(holds, 'ETH')}, and {needed} are needed")

    def send(self, call: Call) -> Any:
        """Sign and send a call, wait until it is in a block, and return the receipt."""
        self.simulate(call)  # the chain has gone on since the quote
        gas = self.gas(call)
        transaction = call.method.as_transaction(
            *call.arguments, sender=self.account, value=call.value, gas=gas, required_confirmations=0, **self.fees
        )
        signed = self.account.sign_transaction(self.account.prepare_transaction(transaction))
        if signed is None:
            raise click.ClickException("the account did not sign: nothing was sent")
        self.console.print(f"{call.what}: transaction {encode_hex(signed.txn_hash)}", soft_wrap=True)
        receipt = self.floe.provider.send_transaction(signed)
        self.console.print(f"in block {receipt.block_number}, for {show(receipt.gas_used * receipt.gas_price, 'ETH')}")
        return receipt

    @contextmanager
    def signing(self) -> Iterator[None]:
        """Let a key file sign without asking again: the person has said yes to the quote. The passphrase is asked."""
        if not hasattr(self.account, "set_autosign"):
            yield
            return
        with logger.at_level(LogLevel.ERROR):
            self.account.set_autosign(True)
            try:
                yield
            finally:
                self.account.set_autosign(False)

    def print_rows(self, title: str, rows: list[tuple[str, str]]) -> None:
        """Print names and values."""
        table = Table(box=box.SIMPLE_HEAD, show_header=False)
        for name, value in rows:
            table.add_row(Text(name), Text(value))
        self.console.print(Text(title, style="bold"), table)
