"""What a keeper sees: the execution chain, read at one block, and validators on the beacon chain.

    sight = Sight(nodes, record, account)
    sight.read()                       # the newest block
    sight.look()                       # the validators in the newest beacon state, by the light calls of the Beacon API
    sight.study()                      # or in a whole state that can be proven
    sight.snapshot(last, tip)

Every method raises NodeError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import Web3Exception

from floe import build
from floe.beacon.client import NONSENSE, ValidatorInfo
from floe.beacon.proofs import Provable, demand_known_fork, provable
from floe.beacon.ssz import ProofError, key_of
from floe.deploy.record import Record
from floe.keeper.snapshot import Fees, Known, Seen, Snapshot
from floe.model.basics import DAY
from floe.model.registry import Operator, State, Validator
from floe.service.nodes import Fault, NodeError, Nodes

BLOCKS = 10_000
"""Blocks whose logs are asked for at once: many nodes give no more."""
BATCH = 200
"""Calls in one request."""
REORG = 64
"""Blocks that are read again each time: others may have taken their places."""
COMMITTEE_PERIOD = 256
"""SHARD_COMMITTEE_PERIOD of mainnet, until a beacon node has said what it is here."""
OPEN = (State.PREDEPOSITED, State.PROVEN, State.ACTIVE, State.EXITING, State.SLASHED)
"""States of validators that something may still happen to."""
WITHDRAWAL = 1
"""Type of a withdrawal request (EIP-7685)."""

_DEPOSIT_EVENT = Web3.keccak(text="DepositEvent(bytes,bytes,bytes,bytes,bytes)")


class Contracts:
    """The contracts of a deployment, as web3 sees them through one node."""

    def __init__(self, web3: Web3, record: Record) -> None:
        self.web3 = web3
        self.pool, self.queue, self.lens, self.registry, self.vault = (
            self._at(web3, record, name)
            for name in ("FloePool", "WithdrawalQueue", "Lens", "ValidatorRegistry", "WithdrawalVault")
        )
        self.splitter = self._at(web3, record, "FeeSplitter")

    @staticmethod
    def _at(web3: Web3, record: Record, name: str) -> Any:
        address = Web3.to_checksum_address(record.address(name))
        return web3.eth.contract(address=address, abi=build.load(name).abi)


class Sight:
    """The protocol as one account sees it. None has no roles."""

    def __init__(self, nodes: Nodes, record: Record, account: str | None) -> None:
        self._nodes, self._record, self._account = nodes, record, account
        self._records: dict[bytes, Validator] = {}
        self._pubkeys: dict[bytes, bytes] = {}
        self._seen: dict[bytes, Seen] = {}
        self._positions: dict[int, int] = {}
        """Day -> position on the queue's line up to which exits were eligible then."""
        self._read_to = record.first_block - 1
        self._block: Any = None
        self._contracts: Contracts | None = None
        self._slot = 0
        """Of the beacon state."""
        self._committee_period = COMMITTEE_PERIOD
        self.looked_at = 0
        """Time of the block in which the validators were looked at last."""
        self.state: Provable | None = None
        """The beacon state that was studied last, as long as it is what `snapshot` shows."""

    @property
    def contracts(self) -> Contracts:
        """The contracts, through the best node."""
        web3 = self._nodes.execution
        if self._contracts is None or self._contracts.web3 is not web3:
            self._contracts = Contracts(web3, self._record)
        return self._contracts

    @property
    def time(self) -> int:
        """Time of the block that was read last."""
        return int(self._block["timestamp"])

    def pubkey(self, key: bytes) -> bytes:
        """Return the public key of a validator."""
        return self._pubkeys[key]

    def read(self) -> int:
        """Read the newest block: new logs, and the records of the validators that they name. Returns its time."""
        web3, registry = self._nodes.execution, self.contracts.registry
        self._block = self._called(lambda: web3.eth.get_block("latest"))
        number = int(self._block["number"])
        changed: set[bytes] = set()
        for first in range(max(self._read_to + 1 - REORG, self._record.first_block), number + 1, BLOCKS):
            last = min(first + BLOCKS - 1, number)
            changed |= self._called(partial(self._read_logs, web3, registry, first, last))
            self._read_to = last
        self.refresh(changed)
        return int(self._block["timestamp"])

    def refresh(self, keys: Iterable[bytes] | None = None) -> None:
        """Read the records of validators anew, by default of all that something may still happen to."""
        web3, function = self._nodes.execution, self.contracts.registry.functions.validator
        wanted = list(keys) if keys is not None else [k for k, one in self._records.items() if one.state in OPEN]
        for first in range(0, len(wanted), BATCH):
            some = wanted[first : first + BATCH]
            for key, fields in zip(some, self._batch(web3, [function(key) for key in some]), strict=True):
                self._records[key] = Validator(State(fields[0]), *fields[1:])

    def look(self) -> None:
        """Ask the beacon node for all validators that something may still happen to, in its newest state."""
        self.refresh()
        names = self._open()
        header = self._nodes.ask(lambda client: client.header("head"))
        root = bytes(header.message.state_root)
        found = self._nodes.ask(lambda client: client.validators(list(names), root)) if names else []
        asked = ((bytes(one.validator.pubkey), one) for one in found)
        self._seen = {names[pubkey]: _seen(one) for pubkey, one in asked if pubkey in names}
        self._slot, self.state = int(header.message.slot), None
        self._committee_period = self._nodes.ask(lambda client: int(client.spec["SHARD_COMMITTEE_PERIOD"]))
        self.looked_at = int(self._block["timestamp"])

    def study(self) -> None:
        """Download the newest beacon state that contracts can check, and take all validators from it."""
        web3, registry = self._nodes.execution, self.contracts.registry
        self.refresh()
        try:
            state = self._nodes.ask(lambda client: provable(client, web3))
            demand_known_fork(state, self._called(lambda: registry.functions.forks().call()))
        except ProofError as error:
            raise NodeError(Fault.LAGGING, "nodes", str(error)) from error
        keys = self._open()
        self._seen = {keys[pubkey]: _row(state, index) for pubkey, index in state.find(list(keys)).items()}
        self._slot, self.state = state.state.slot, state
        self.looked_at = int(self._block["timestamp"])

    def close_eyes(self) -> None:
        """Forget the beacon chain: what follows is about the execution chain alone."""
        self._seen, self.state, self.looked_at = {}, None, 0

    def snapshot(self, last: Mapping[str, int], tip: int) -> Snapshot:
        """Return what there is to see at the block that was read last."""
        web3, there, chain = self._nodes.execution, self.contracts, self._nodes.chain
        registry, block = there.registry.functions, int(self._block["number"])
        now, day = int(self._block["timestamp"]), int(self._block["timestamp"]) // DAY
        role = registry.KEEPER_ROLE()
        calls = [
            there.lens.functions.protocol(),
            registry.missing(),
            registry.eligible_on(day),
            registry.parameters(),
            registry.operator_count(),
            role,
        ]
        protocol, missing, recorded, parameters, count, keeper = self._batch(web3, calls, block)
        state = _named(there.lens, "protocol", protocol)
        may_pull = self._account is not None and self._one(registry.hasRole(keeper, self._account), block)
        numbers = range(1, count + 1)
        operators = self._batch(web3, [registry.operator(number) for number in numbers], block)
        quotas = self._batch(web3, [registry.quota(number) for number in numbers], block)
        filled, promise = state["line"]["filled"], parameters[1]
        unpaid = sorted(each for each, position in self._positions.items() if position > filled)
        overdue = [each for each in unpaid if now >= (each + 1) * DAY + promise]
        at = chain.time_of(self._slot)
        return Snapshot(
            now=now,
            base_fee=int(self._block["baseFeePerGas"]),
            tip=tip,
            at=at,
            epoch=self._slot // chain.beacon.sizes.slots_per_epoch,
            seconds_per_slot=chain.beacon.seconds_per_slot,
            committee_period=self._committee_period,
            validators=tuple(Known(key, one, self._seen.get(key)) for key, one in self._records.items()),
            exit_rate=state["exit_rate"],
            waiting=state["waiting"],
            eligible=state["eligible"],
            fulfillable=state["fulfillable"],
            stakeable=state["stakeable"],
            stale_from=state["declare_from"],
            vault_balance=self._called(lambda: web3.eth.get_balance(there.vault.address, block)),
            missing=missing,
            recorded_today=recorded,
            filled=filled,
            overdue_day=overdue[0] if overdue else None,
            long_overdue=bool(overdue) and now >= (overdue[0] + 1) * DAY + 2 * promise,
            may_pull=may_pull,
            operators={number: Operator(*one) for number, one in zip(numbers, operators, strict=True)},
            quotas=dict(zip(numbers, quotas, strict=True)),
            request_fee=self._request_fee(there.vault, block),
            fees=self._fees(web3, there, numbers, operators, block),
            last=dict(last),
        )

    # --- inside ---

    def _open(self) -> dict[bytes, bytes]:
        """Return the keys, by public key, of validators that something may still happen to.

        One whose predeposit was never seen has all logs read again next time: blocks were exchanged for others.
        """
        found = [key for key, one in self._records.items() if one.state in OPEN]
        if lost := [key for key in found if key not in self._pubkeys]:
            provider: Any = self._nodes.execution.provider
            provider.error(Fault.INCONSISTENT, f"its logs show no predeposit of the validator 0x{lost[0].hex()}")
            self._read_to = self._record.first_block - 1
        return {self._pubkeys[key]: key for key in found if key in self._pubkeys}

    def _read_logs(self, web3: Web3, registry: Any, first: int, last: int) -> set[bytes]:
        """Take in the registry's events of some blocks; return the keys of the validators that they name."""
        wanted: Any = {"address": registry.address, "fromBlock": first, "toBlock": last}
        events = {bytes(HexBytes(event.topic)): event for event in registry.events}
        changed: set[bytes] = set()
        predeposits: dict[bytes, set[bytes]] = {}
        for log in web3.eth.get_logs(wanted):
            event = events.get(bytes(log["topics"][0])) if log["topics"] else None
            if event is None:
                continue
            arguments = event.process_log(log)["args"]
            keys = {bytes(arguments[name]) for name in ("key", "source", "target") if name in arguments}
            changed |= keys
            if event.event_name == "Predeposited":
                predeposits.setdefault(bytes(log["transactionHash"]), set()).update(keys)
            elif event.event_name == "ExitsRecorded":
                self._positions[arguments["day"]] = arguments["position"]
        for transaction, keys in predeposits.items():
            if not keys <= self._pubkeys.keys():
                self._read_pubkeys(web3, transaction, keys)
        return changed

    def _read_pubkeys(self, web3: Web3, transaction: bytes, keys: set[bytes]) -> None:
        """Find the public keys of predeposits: the deposit contract logs them in the same transaction."""
        receipt = web3.eth.get_transaction_receipt(HexBytes(transaction))
        of = self._nodes.chain.beacon.deposit_contract.lower()
        for log in receipt["logs"]:
            if log["address"].lower() == of and log["topics"] and bytes(log["topics"][0]) == _DEPOSIT_EVENT:
                pubkey = decode(["bytes", "bytes", "bytes", "bytes", "bytes"], bytes(log["data"]))[0]
                if (key := key_of(pubkey)) in keys:
                    self._pubkeys[key] = pubkey
        if missing := keys - self._pubkeys.keys():
            raise ValueError(f"transaction 0x{transaction.hex()} has no deposit for the key 0x{min(missing).hex()}")

    def _fees(self, web3: Web3, there: Contracts, numbers: range, operators: list[Any], block: int) -> Fees:
        functions, registry = there.splitter.functions, there.registry.address
        calls = [
            functions.undistributed(),
            functions.weights(registry),
            there.registry.functions.total_weight(),
            functions.cover_ticket(),
            functions.registry(),
        ]
        undistributed, weights, total, ticket, of = self._batch(web3, calls, block)
        claimable = self._batch(web3, [functions.claimable(number) for number in numbers], block)
        accounts = self._batch(web3, [functions.accounts(registry, number) for number in numbers], block)
        unsynced = [
            number
            for number, one, account in zip(numbers, operators, accounts, strict=True)
            if account[0] != (Operator(*one).weight if Operator(*one).limit else 0)
        ]
        if weights[2] != total and not unsynced and numbers:
            unsynced = [numbers[0]]
        if of != registry:
            unsynced = []  # of another registry, whose keeper is another one
        paid = ticket and self._one(there.queue.functions.claimable(ticket), block)
        return Fees(
            undistributed=undistributed,
            claimable=dict(zip(numbers, claimable, strict=True)),
            unsynced=tuple(unsynced),
            cover_ticket=ticket if paid else 0,
        )

    def _batch(self, web3: Web3, calls: list[Any], block: int | None = None) -> list[Any]:
        """Call contracts at one block, many calls in a request."""
        at = int(self._block["number"]) if block is None else block
        found: list[Any] = []
        for first in range(0, len(calls), BATCH):
            with web3.batch_requests() as batch:
                for call in calls[first : first + BATCH]:
                    batch.add(call.call(block_identifier=at))
                found += self._called(batch.execute)
        return found

    def _one(self, call: Any, block: int) -> Any:
        return self._called(lambda: call.call(block_identifier=block))

    def _request_fee(self, vault: Any, block: int) -> int | None:
        """Return the wei of one withdrawal request; None where it cannot be read."""
        try:
            return int(vault.functions.fee(WITHDRAWAL).call(block_identifier=block))
        except (Web3Exception, *NONSENSE):
            return None

    def _called(self, call: Callable[[], Any]) -> Any:
        """Return what a call of web3 returns; what it does not understand is a fault of the node."""
        try:
            return call()
        except NodeError:
            raise
        except (Web3Exception, DecodingError, *NONSENSE) as error:
            provider: Any = self._nodes.execution.provider
            raise provider.error(Fault.MALFORMED, " ".join(str(error).split())[:200]) from error


def _seen(one: ValidatorInfo) -> Seen:
    return _as_seen(one.index, one.balance, lambda name: getattr(one.validator, name))


def _row(state: Provable, index: int) -> Seen:
    return _as_seen(index, int(state.state.balances[index]), state.state.validators[index].__getitem__)


def _as_seen(index: int, balance: int, field: Callable[[str], Any]) -> Seen:
    """Put together what is known of a validator; `field` gives a field of its container by name."""
    return Seen(
        index,
        balance,
        int(field("effective_balance")),
        bool(field("slashed")),
        int(field("activation_epoch")),
        int(field("exit_epoch")),
        int(field("withdrawable_epoch")),
    )


def _named(contract: Any, function: str, value: Any) -> dict[str, Any]:
    """Name the fields of a structure that a function returns."""
    [entry] = [one for one in contract.abi if one.get("name") == function]
    named: dict[str, Any] = _fields(entry["outputs"][0]["components"], value)
    return named


def _fields(components: Any, value: Any) -> dict[str, Any]:
    return {
        part["name"]: _fields(part["components"], one) if part["type"] == "tuple" else one
        for part, one in zip(components, value, strict=True)
    }
