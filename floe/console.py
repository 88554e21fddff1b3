"""Names and helpers for `ape console --network ...`: they work on what `deployments/<network>.json` says is there.

pool, queue, token, lens, registry, oracle, splitter, pauser, timelock, withdrawal_vault, execution_vault
reserve, pair, gauge, weth, weth_vault, rate_provider, zap
me                    the account that helpers send from and that pays: `me = accounts.load("...")` changes it
                      for all that follows; on a development chain it is the first test account to begin with
beacon                the Beacon API that helpers ask: `beacon = "http://127.0.0.1:5052"`
rates()               prices, buffer, limits
market()              what lies in the reserve and in the pair, and their prices and fees
tickets(owner)        open exits of an account, with what they are worth
stake("5 ether")      put ETH in           request("1.5 ether")  queue shares      claim(ticket)  fetch ETH
fmt(wei)              wei as ETH
validators()          what the registry knows of every validator, and under way from it
operators()           weights, quotas, stakes and bonds
predeposit(file, operator)      check a deposit_data-*.json and send its deposits
prove(...)            bring validators up to date, all of them unless some are named by index or key
top_up("31 ether", ...)         stake as much with each of these validators, by default with all that are proven
close(validator)      show that nothing is left of a validator
report()              as members of the oracle's committee, sign what both chains say and bring it; without a beacon
                      node, that nothing has changed
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ape
import numpy as np
from IPython.core.getipython import get_ipython
from rich.console import Console
from web3 import Web3

from floe.beacon import deposit
from floe.beacon.client import BeaconClient
from floe.beacon.deposit_command import keys_on_chain
from floe.beacon.proofs import Proof, Provable, demand_known_fork, provable
from floe.beacon.ssz import hash_pairs
from floe.deploy import record as records
from floe.deploy.execute import is_development
from floe.deploy.find import contracts, find
from floe.deploy.plan import WETH
from floe.oracle import balances
from floe.oracle.observer import Observer
from floe.oracle.report import Oracle, Report, report_of, signable
from floe.report import events, tables

NAMES = {
    "FloePool": "pool",
    "WithdrawalQueue": "queue",
    "RebasingToken": "token",
    "Lens": "lens",
    "ValidatorRegistry": "registry",
    "ReportOracle": "oracle",
    "FeeSplitter": "splitter",
    "Pauser": "pauser",
    "Timelock": "timelock",
    "WithdrawalVault": "withdrawal_vault",
    "ExecutionVault": "execution_vault",
    "ExitReserve": "reserve",
    "StablePair": "pair",
    "Gauge": "gauge",
    WETH: "weth",
    "WethVault": "weth_vault",
    "RateProvider": "rate_provider",
    "Zap": "zap",
}
"""Contracts and what they are called in the console."""

HELPERS = (
    "rates",
    "market",
    "tickets",
    "stake",
    "request",
    "claim",
    "fmt",
    "validators",
    "operators",
    "predeposit",
    "prove",
    "top_up",
    "close",
    "report",
)
"""Methods of `Helpers` that are names in the console."""

STATES = ("NONE", "PREDEPOSITED", "PROVEN", "ACTIVE", "EXITING", "CLOSED", "COMPROMISED", "SLASHED")
"""Of validators: the registry's flag has one bit for each but the first."""
OPEN = ("PREDEPOSITED", "PROVEN", "ACTIVE", "EXITING")
"""States of which a proof may bring news."""

_LENS_LIMIT = 256
_GWEI = 10**9


def names() -> dict[str, Any]:
    """Return the contracts and helpers by name; where nothing is deployed, each of them says that instead."""
    provider = ape.networks.active_provider
    me = ape.accounts.test_accounts[0] if is_development(provider) else None
    try:
        helpers = Helpers(find(provider), me)
    except records.RecordError as error:
        Console(highlight=False).print(str(error), soft_wrap=True)
        return {
            **dict.fromkeys((*NAMES.values(), *HELPERS), Absent(str(error))),
            "me": me,
            "beacon": None,
            "fmt": Helpers.fmt,
        }
    return {**helpers.contracts, "me": me, "beacon": None, **{name: getattr(helpers, name) for name in HELPERS}}


def newest_frame(oracle: Any, slot: int) -> int:
    """Return the reference slot of the newest frame that has begun at `slot`."""
    length = oracle.parameters().frame_epochs * oracle.chain_constants().slots_per_epoch
    return int(slot // length * length)


def unchanged(pool: Any, queue: Any, oracle: Any, now: int) -> Report:
    """Return the report of the newest frame, at the time `now`, that says what the books say already.

    All exits become eligible. Of single validators it knows nothing, as on a chain without any.
    """
    chain, state = oracle.chain_constants(), pool.state()
    flows, low, nobody = state[5], 2**96 - 1, np.empty(0, dtype=np.uint64)
    return Report(
        ref_slot=newest_frame(oracle, (now - chain.genesis_time) // chain.seconds_per_slot),
        cl=pool.outside(),
        deposited_at_ref=flows & low,
        withdrawn_at_ref=flows >> 96 & low,
        donated_at_ref=state[7],
        queue_tail_at_ref=queue.tail(),
        pending_loss=pool.pending_loss(),
        raised_at_ref=flows >> 192,
        balances_root=balances.root(nobody, nobody),
        balances_hash=balances.file_hash(nobody, nobody),
    )


def submit(oracle: Any, report: Report, members: Sequence[Any], sender: Any) -> Any:
    """Let accounts sign a report and `sender` bring it; return the receipt. Raises ValueError for one who may not."""
    places = {member: place for place, member in enumerate(oracle.members())}
    if strangers := [str(one.address) for one in members if one.address not in places]:
        raise ValueError(f"not in the oracle's committee: {', '.join(strangers)}")
    message = signable(report, Oracle(oracle.provider.chain_id, oracle.address))
    signers, signatures = 0, b""
    for member in sorted(members, key=lambda one: places[one.address]):
        signed = member.sign_message(message)
        if signed is None:
            raise ValueError(f"{member.address} did not sign")
        signers |= 1 << places[member.address]
        signatures += signed.encode_rsv()
    return oracle.submit(tuple(report), signers, signatures, sender=sender)


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
    is `account`. So it is with `beacon`, the URL of a Beacon API.
    """

    def __init__(self, record: records.Record, account: Any = None, beacon: str | None = None) -> None:
        self.first_block = record.first_block
        self.contracts = {NAMES[name]: contract for name, contract in contracts(record, NAMES).items()}
        self.pool, self.queue, self.lens = (self.contracts[name] for name in ("pool", "queue", "lens"))
        self.registry, self.vault = self.contracts["registry"], self.contracts["withdrawal_vault"]
        self.oracle = self.contracts["oracle"]
        self.account, self.beacon = account, beacon

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

    def market(self) -> None:
        """Print what lies in the exit reserve and in the pair, and what the next wei costs there."""
        reserve, pair = self.contracts["reserve"], self.contracts["pair"]
        eth, shares = pair.balances()
        rows = [
            ["the reserve pays out", tables.eth(reserve.cash())],
            ["floETH it holds", tables.eth(reserve.held())],
            ["floETH it has in the queue", tables.eth(reserve.queued())],
            ["fee of a sale to it, from", f"{reserve.fee() / 10_000:.2f} %"],
            ["ETH in the pair", tables.eth(eth)],
            ["floETH in the pair", tables.eth(shares)],
        ]
        if eth:
            rows.append(["its price of an ETH's worth", tables.eth(pair.price(), 9)])
            rows.append(["fee of a trade there, from", f"{pair.fee() / 10_000:.2f} %"])
        Console().print(tables.columns("The market now", ("", "ETH"), rows))

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

    # --- validators ---

    def validators(self) -> None:
        """Print all validators, by the registry's keys for them: the SSZ roots of their public keys."""
        rows = [
            [
                f"0x{key.hex()[:12]}...",
                str(known.index) if known.state > 1 else "",
                _state(known).lower(),
                str(known.operator),
                tables.eth(known.stake * _GWEI),
                tables.eth(known.pulled * _GWEI),
            ]
            for key, known in self._validators().items()
        ]
        names = ("key", "index", "state", "operator", "stake", "under way")
        Console().print(tables.columns("Validators", names, rows))

    def operators(self) -> None:
        """Print the operators."""
        rows = []
        for number in range(1, self.registry.operator_count() + 1):
            known, quota = self.registry.operator(number), self.registry.quota(number)
            amounts = [tables.eth(gwei * _GWEI) for gwei in (quota, known.stake, known.bond)]
            manager, open_ = f"{known.manager[:10]}...", f"{known.open} of {known.limit}"
            rows.append([str(number), manager, str(known.weight), open_, *amounts])
        names = ("operator", "manager", "weight", "validators", "quota", "stake", "bond")
        Console().print(tables.columns("Operators", names, rows))

    def predeposit(self, file: str | Path, operator: int, sender: Any = None) -> int:
        """Check the deposits of a file and send them, 1 ETH each out of the operator's bond and what that lacks.

        Returns how many they were. Raises DepositError with every problem before anything is sent.
        """
        account = self._sender(sender)
        with self._beacon() as client:
            network = deposit.Network(
                name=str(client.spec.get("CONFIG_NAME")), genesis_fork_version=client.genesis().fork_version
            )
            deposits = deposit.check(
                deposit.read(Path(file)),
                network,
                self.vault.address,
                registry=self._known,
                beacon=keys_on_chain(client),
            )
        for first in range(0, len(deposits), deposit.MOST_PREDEPOSITS):
            some = deposits[first : first + deposit.MOST_PREDEPOSITS]
            lacking = len(some) * deposit.PREDEPOSIT_GWEI - self.registry.operator(operator).bond
            pubkeys, signatures = (b"".join(getattr(one, name) for one in some) for name in ("pubkey", "signature"))
            self.registry.predeposit(operator, pubkeys, signatures, sender=account, value=max(lacking, 0) * _GWEI)
        return len(deposits)

    def prove(self, *validators: int | str | bytes, sender: Any = None) -> int:
        """Show the registry what the beacon chain says of validators, and return of how many.

        They are named by index, public key or the registry's key; by default all open ones.
        """
        account, snapshot = self._sender(sender), self._snapshot()
        keys = [] if validators else self._keys_in(*OPEN)
        found = _named(validators) or list(snapshot.find(keys).values())
        if not found:
            Console().print(
                f"The beacon chain does not know the new keys yet (slot {snapshot.state.slot}): prove() again when it "
                "has taken the deposits in"
                if keys
                else "No validator is open: predeposit(file, operator) begins with some",
                soft_wrap=True,
            )
        proofs = snapshot.batches(found)
        for proof in proofs:
            self._prove(proof, account)
        return sum(len(proof.witnesses) for proof in proofs)

    def top_up(self, amount: Any, *validators: int | str | bytes, sender: Any = None) -> str:
        """Stake an amount such as "31 ether" with each of these validators, and return the ETH that left the pool.

        By default with all that are proven and have nothing of the pool's yet: then the pool also buys the first ETH.
        """
        account, gwei, snapshot = self._sender(sender), _gwei(amount), self._snapshot()
        paid, chosen = 0, _named(validators) or self._keys_in("PROVEN")
        if not chosen:
            Console().print("No validator waits for its first ETH of the pool: prove() new ones, or name some")
        for proof in snapshot.batches(chosen):
            self._prove(proof, account)
            pubkeys = b"".join(map(snapshot.pubkey, proof.indices))
            receipt = self.registry.top_up(pubkeys, [gwei] * len(proof.indices), sender=account)
            paid += sum(event.amount + event.bought for event in receipt.events.filter(self.registry.ToppedUp))
        return self.fmt(paid * _GWEI)

    def _prove(self, proof: Proof, account: Any) -> None:
        name, arguments = proof.call
        getattr(self.registry, name)(*arguments, sender=account)

    def close(self, validator: int | str | bytes, sender: Any = None) -> None:
        """Show the registry that a validator has withdrawn everything."""
        account, snapshot = self._sender(sender), self._snapshot()
        self.registry.prove_withdrawn(*snapshot.prove_withdrawn(*_named([validator])), sender=account)

    # --- reports ---

    def report(self, *members: Any, sender: Any = None, **fields: Any) -> str:
        """Report the newest frame, signed by members (by default the sender), and say what became of it.

        Read is what both chains say at its reference slot, once that is final; without a beacon node the report says
        that nothing has changed. `fields` of the report that are named here are taken instead.
        """
        account = self._sender(sender)
        if self._beacon_url() is None:
            now = ape.networks.active_provider.get_block("latest").timestamp
            made = unchanged(self.pool, self.queue, self.oracle, now)
        else:
            with self._beacon() as client:
                final = client.finality_checkpoints("head").finalized.epoch * client.preset.slots_per_epoch
                web3 = ape.networks.active_provider.web3
                observer = Observer(
                    client, web3, self.pool.address, self.registry.address, self.oracle.address, self.first_block
                )
                made = report_of(observer.observe(newest_frame(self.oracle, final)))
        receipt = submit(self.oracle, made._replace(**fields), members or [account], account)
        if receipt.events.filter(self.oracle.Held):
            return "held: it is outside the limits, and the council decides"
        return "booked, and exits were paid" if receipt.events.filter(self.pool.Fulfilled) else "booked"

    def _validators(self) -> dict[bytes, Any]:
        """Return the registry's records by its keys, in the order of their predeposits."""
        log = events.read({"registry": self.registry}, self.first_block)
        keys = [bytes(event.arguments["key"]) for event in log if event.name == "Predeposited"]
        return {key: self.registry.validator(key) for key in keys}

    def _keys_in(self, *states: str) -> list[bytes]:
        return [key for key, known in self._validators().items() if _state(known) in states]

    def _known(self, pubkeys: Sequence[bytes]) -> Mapping[bytes, str]:
        """Find public keys that the registry knows, and in which state."""
        found = {pubkey: self.registry.validator(hash_pairs(pubkey + bytes(16))) for pubkey in pubkeys}
        return {pubkey: f"{_state(one).lower()}, operator {one.operator}" for pubkey, one in found.items() if one.state}

    def _beacon_url(self) -> str | None:
        console = get_ipython()  # type: ignore[no-untyped-call]
        url: str | None = self.beacon if console is None else console.user_ns.get("beacon")
        return url

    @contextmanager
    def _beacon(self) -> Iterator[BeaconClient]:
        url = self._beacon_url()
        if url is None:
            raise ValueError('no beacon node to ask: beacon = "http://127.0.0.1:5052"')
        client = BeaconClient(url)
        try:
            yield client
        finally:
            client.close()

    def _snapshot(self) -> Provable:
        """Return the newest beacon state that can be proven, if the registry knows where in it validators are."""
        with self._beacon() as client:
            snapshot = provable(client, ape.networks.active_provider.web3)
        rows = [(row.first_slot, row.validators_gindex, row.balances_gindex) for row in self.registry.forks()]
        demand_known_fork(snapshot, rows)
        return snapshot

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


def _gwei(amount: Any) -> int:
    gwei, rest = divmod(_wei(amount), _GWEI)
    if rest:
        raise ValueError("stake is counted in whole Gwei")
    return gwei


def _state(known: Any) -> str:
    return STATES[int(known.state).bit_length()]


def _named(validators: Sequence[int | str | bytes]) -> list[int | bytes]:
    """Read names of validators: indices, and keys as bytes or hexadecimal digits."""
    return [Web3.to_bytes(hexstr=each) if isinstance(each, str) else each for each in validators]  # type: ignore[arg-type]
