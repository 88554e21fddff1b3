"""What happens between the pool and the beacon chain: operators, strangers who prove and top up, the keeper.

Each method sends the transactions and says in a line what happened. Everything about validators is read from the
Beacon API, as anyone can; amounts there and in the registry are Gwei.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ape

from floe.beacon import deposit, keys
from floe.beacon.client import BeaconClient
from floe.beacon.containers import FAR_FUTURE_EPOCH
from floe.beacon.proofs import Provable, provable
from floe.devnet import Devnet
from floe.model.beacon import key_of
from floe.report.tables import eth

GWEI = 10**9
ETHER = 10**18
DAY = 86_400
SLOTS_A_DAY = 8
"""An epoch of the devnet."""
STATES = ("predeposited", "proven", "active", "exiting", "closed", "compromised", "slashed")
"""Members of the registry's flag `State`, in order."""

SEED = b"keys of the validators in the demo"
FOREIGN_SEED = b"keys of other people's validators"
FOREIGN = "0x" + "f0" * 20
"""Where those withdraw to."""
PREDEPOSIT = GWEI
"""1 ETH in Gwei."""
FEWEST = 32 * GWEI
"""Gwei; less is not worth a deposit, nor is it a validator."""
WORTH_PULLING = GWEI
"""Gwei; less is not worth a withdrawal: the next rewards will bring it."""
FEE_LIMIT = 10**15
"""Wei that the keeper would pay for its requests (EIP-7002)."""
# contracts/validators/validator_book.vy
SEEN = 2**32 - 1
REQUEST_TIME = 2 * DAY


@dataclass(eq=False)
class Validator:
    """One validator of ours, or of who wants to be one of ours."""

    number: int
    operator: int
    pubkey: bytes
    key: bytes
    """SSZ root of the public key: its name in the registry."""
    target: int
    """Gwei that it is to hold."""
    record: Any = None
    """What the registry knows, since the last transaction that changed it."""

    @property
    def state(self) -> str:
        """One of STATES."""
        return STATES[self.record.state.bit_length() - 1]


class Staking:
    """The validators, and everybody who deals with them.

    `contracts` are Ape instances by name, `helpers` Ape accounts by role; `operators` manage one operator each.
    """

    def __init__(
        self,
        contracts: dict[str, Any],
        devnet: Devnet,
        client: BeaconClient,
        operators: Sequence[Any],
        helpers: dict[str, Any],
    ) -> None:
        self.pool, self.registry, self.lens = (contracts[name] for name in ("FloePool", "ValidatorRegistry", "Lens"))
        self.vaults = contracts["WithdrawalVault"], contracts["ExecutionVault"]
        self.devnet, self.client, self.operators = devnet, client, operators
        self.council, self.keeper, self.stranger, self.donor = (
            helpers[name] for name in ("council", "keeper", "stranger", "donor")
        )
        self.chain = ape.networks.active_provider
        self.credentials = deposit.credentials(self.vaults[0].address)
        self.fork_version = client.genesis().fork_version
        self.validators: list[Validator] = []
        self.foreign: defaultdict[str, int] = defaultdict(int)
        """Gwei that each account has deposited past the registry."""
        self.gas: defaultdict[str, int] = defaultdict(int)
        """Wei that each account has paid for gas since the start, tips included."""
        self.spent: defaultdict[str, int] = defaultdict(int)
        """Wei that each account has sent along with its transactions, less what came back of it at once."""

    def send(self, account: Any, method: Any, *arguments: Any, value: int = 0) -> Any:
        """Send one transaction, and note what it cost. Returns the receipt."""
        # Ape would ask the node for a usual tip, and that is what somebody in a hurry has paid before.
        return self.note(account, method(*arguments, sender=account, value=value, max_priority_fee=GWEI), value)

    def note(self, account: Any, receipt: Any, value: int) -> Any:
        """Note what a transaction cost its sender, and the `value` (wei) it took along. Returns the receipt."""
        self.gas[account.address] += receipt.total_fees_paid
        self.spent[account.address] += value
        return receipt

    # --- what operators and the council do ---

    def admit(self, *weights: int) -> str:
        """Let the council add the operators, with these weights."""
        for manager, weight in zip(self.operators, weights, strict=True):
            self.send(self.council, self.registry.add_operator, manager, manager, weight, 100)
        return f"the council admits {len(weights)} operators, with weights {', '.join(map(str, weights))}"

    def weigh(self, operator: int, weight: int) -> str:
        """Let the council change an operator's weight."""
        self.send(self.council, self.registry.set_operator, operator, self.operators[operator - 1], weight, 100)
        return f"the council gives operator {operator} the weight {weight}"

    def predeposit(self, operator: int, *targets: str) -> str:
        """Let an operator predeposit new validators, which are to hold so many ETH each."""
        signed = [self._new(operator, target) for target in targets]
        self._predeposit(operator, signed)
        numbers = _listed(self.validators[-len(signed) :])
        return f"operator {operator} predeposits {numbers}: {len(signed)} ETH of its own, signed for our vault"

    def front_run(self, operator: int, target: str) -> str:
        """Let an operator deposit for its key first with its own credentials, and then as if it were ours."""
        manager = self.operators[operator - 1]
        data = self._new(operator, target)
        secret = keys.signing_key(SEED, len(self.validators))
        self._deposit(manager, secret, deposit.credentials(manager.address), PREDEPOSIT)
        self._predeposit(operator, [data])
        return (
            f"operator {operator} predeposits {_listed(self.validators[-1:])}; "
            "but first it has deposited for that key to an address of its own"
        )

    def others_deposit(self, count: int, amount: str) -> str:
        """Let other people's validators join the chain."""
        for number in range(count):
            secret = keys.signing_key(FOREIGN_SEED, number)
            self.devnet.add_keys(secrets=[secret])
            self._deposit(self.donor, secret, deposit.credentials(FOREIGN), int(amount) * GWEI)
        return f"other people deposit {count} times {amount} ETH for validators of their own"

    def take_bond(self, operator: int, amount: str) -> str:
        """Let an operator take back ETH of its bond."""
        manager = self.operators[operator - 1]
        self.send(manager, self.registry.withdraw_bond, operator, int(amount) * GWEI)
        self.spent[manager.address] -= int(amount) * ETHER
        return f"operator {operator} takes {amount} ETH of its bond back"

    def slash(self, number: int) -> str:
        """Let a validator sign two blocks of one slot, and somebody report it to the beacon chain."""
        self.devnet.slash([self.validators[number - 1].pubkey])
        return f"validator {number} signs two blocks of one slot: the beacon chain slashes it"

    # --- what anyone may do ---

    def prove(self) -> list[str]:
        """Let a stranger prove what the registry does not know yet, and top up what is proven to be ours."""
        snapshot = provable(self.client, self.chain.web3)
        found = snapshot.find([one.pubkey for one in self.validators])
        there = [one for one in self.validators if one.pubkey in found]
        rows = {one: snapshot.state.validators[found[one.pubkey]] for one in there}
        slot = snapshot.state.slot
        at = self.devnet.genesis_time + slot * self.devnet.settings.seconds_per_slot
        behind = [one for one in there if _is_behind(one, rows[one], slot // SLOTS_A_DAY, at)]
        lines = self._prove(snapshot, behind)
        for one in there:
            withdrawable = rows[one]["withdrawable_epoch"] <= slot // SLOTS_A_DAY
            if withdrawable and one.state != "closed" and not snapshot.state.balances[found[one.pubkey]]:
                receipt = self.send(self.stranger, self.registry.prove_withdrawn, *snapshot.prove_withdrawn(one.pubkey))
                lines += self._news(receipt, self._refresh([one]))
        return lines + self._top_up(snapshot, [one for one in there if one.state in ("proven", "active")], at)

    def pull_back(self) -> list[str]:
        """Let the keeper ask for what the queue will need beyond the buffer and what is on its way (EIP-7002).

        A whole validator goes where it has at most half of what is missing; the largest others give the rest.
        """
        state = self.lens.protocol()
        arriving = self._arriving() * GWEI
        if state.needed < state.buffer + arriving + WORTH_PULLING * GWEI:
            return []
        # Enough for those who wait, and for the buffer that those who stay should have then.
        target = state.target * (state.assets - state.needed) // state.assets
        missing = -(-(state.needed + target - state.buffer - arriving) // ETHER) * GWEI  # whole ETH
        active = [one for one in self.validators if one.state == "active" and one.record.pulled_at]
        at_rest = [one for one in active if not one.record.pulled]
        at_rest.sort(key=lambda one: one.record.stake, reverse=True)
        amounts: dict[Validator, int] = {}
        texts = []
        whole = next((one for one in at_rest if one.record.stake <= missing // 2), None)
        if whole:
            amounts[whole] = 0
            missing -= whole.record.stake
            texts.append(f"all of {_listed([whole])}")
        for one in at_rest:
            part = min(one.record.stake - FEWEST, missing)
            if one is not whole and part >= WORTH_PULLING:
                amounts[one] = part
                missing -= part
                texts.append(f"{eth(part * GWEI)} ETH of {_listed([one])}")
        if not amounts:
            return []
        pubkeys = b"".join(one.pubkey for one in amounts)
        method = self.registry.request_withdrawals
        receipt = self.send(self.keeper, method, pubkeys, list(amounts.values()), value=FEE_LIMIT)
        [request] = receipt.events.filter(self.vaults[0].Requested)
        self.spent[self.keeper.address] -= FEE_LIMIT - request.fee * request.count
        self._refresh(list(amounts))
        return [f"the keeper asks the beacon chain for {' and '.join(texts)}"]

    # --- inside ---

    def _new(self, operator: int, target: str) -> deposit.DepositData:
        """Make a new key, which the devnet runs and whose tips go to the execution vault; sign its predeposit."""
        number = len(self.validators) + 1
        secret = keys.signing_key(SEED, number)
        data = deposit.sign_deposit(secret, self.credentials, PREDEPOSIT, self.fork_version)
        self.validators.append(Validator(number, operator, data.pubkey, key_of(data.pubkey), int(target) * GWEI))
        self.devnet.add_keys(secrets=[secret])
        self.devnet.set_fee_recipient(self.vaults[1].address, [data.pubkey])
        return data

    def _deposit(self, account: Any, secret: int, credentials: bytes, amount: int) -> None:
        """Sign and send a deposit of `amount` Gwei past the registry."""
        data = deposit.sign_deposit(secret, credentials, amount, self.fork_version)
        receipt = self.chain.get_receipt(self.devnet.send_deposit(data, account=account.index))
        self.note(account, receipt, amount * GWEI)
        self.foreign[account.address] += amount

    def _predeposit(self, operator: int, signed: Sequence[deposit.DepositData]) -> None:
        pubkeys, signatures = (b"".join(getattr(data, name) for data in signed) for name in ("pubkey", "signature"))
        manager = self.operators[operator - 1]
        self.send(manager, self.registry.predeposit, operator, pubkeys, signatures, value=len(signed) * ETHER)
        self._refresh(self.validators[-len(signed) :])

    def _prove(self, snapshot: Provable, validators: Sequence[Validator]) -> list[str]:
        """Prove validators as they are in a state."""
        if not validators:
            return []
        receipt = self.send(self.stranger, self.registry.prove, snapshot.prove([one.pubkey for one in validators]))
        return self._news(receipt, self._refresh(validators))

    def _refresh(self, validators: Sequence[Validator]) -> Sequence[Validator]:
        """Read the registry's records anew."""
        for one in validators:
            one.record = self.registry.validator(one.key)
        return validators

    def _news(self, receipt: Any, proven: Sequence[Validator]) -> list[str]:
        """Say what a proof has changed."""

        def about(event: str) -> list[Validator]:
            named = {bytes(log.key) for log in receipt.events.filter(getattr(self.registry, event))}
            return [one for one in proven if one.key in named]

        lines = []
        if ours := about("Proven"):
            lines.append(f"a stranger proves that {_listed(ours)} withdraw to our vault, and to nowhere else")
        for one in about("Compromised"):
            lines.append(
                f"a stranger proves that {_listed([one])} withdraws elsewhere: operator {one.operator} "
                "has lost 1 ETH, the pool nothing"
            )
        for one, log in zip(about("Slashed"), receipt.events.filter(self.registry.Slashed), strict=True):
            entry, leaving = self.pool.entry_rate(), self.pool.exit_rate()
            lines.append(
                f"a stranger proves the slashing of {_listed([one])}, operator {one.operator} is suspended: "
                f"{eth(log.estimate * GWEI)} ETH count as lost at once, exit rate {eth(leaving, 6)}, "
                f"entry rate {eth(entry, 6)}"
            )
        if leaving := [one for one in about("Exiting") if one.state == "exiting"]:
            lines.append(f"a stranger proves that {_listed(leaving)} leaves")
        if closed := about("Closed"):
            lines.append(f"a stranger proves that {_listed(closed)} is withdrawn to the last Gwei")
        return lines

    def _top_up(self, snapshot: Provable, ours: Sequence[Validator], at: int) -> list[str]:
        """Let a stranger send the pool's ETH to validators, up to their targets and the quotas of their operators.

        What is known of them must be fresh: who was not proven at the time `at` of the state is proven first.
        """
        left = self.pool.stakeable() // GWEI
        if left < FEWEST:
            return []
        room = [
            self.registry.quota(number) - self.registry.operator(number).stake
            for number in range(1, len(self.operators) + 1)
        ]
        amounts: dict[Validator, int] = {}
        bought = 0
        for one in ours:
            if one.record.pulled:
                continue
            first = PREDEPOSIT if one.state == "proven" else 0
            amount = min(one.target - max(one.record.stake, first), min(room[one.operator - 1], left) - first)
            amount -= amount % GWEI  # what counts on the beacon chain is whole ETH
            if amount >= FEWEST:
                amounts[one] = amount
                bought += first
                room[one.operator - 1] -= amount + first
                left -= amount + first
        if not amounts:
            return []
        self._prove(snapshot, [one for one in amounts if one.record.proven_at < at])
        pubkeys = b"".join(one.pubkey for one in amounts)
        self.send(self.stranger, self.registry.top_up, pubkeys, list(amounts.values()))
        self._refresh(list(amounts))
        text = f"a stranger tops up {_listed(list(amounts))} with {eth(sum(amounts.values()) * GWEI)} ETH of the pool"
        return [text + (f", which also buys the predeposits for {bought // GWEI} ETH" if bought else "")]

    def _arriving(self) -> int:
        """Gwei that are on their way to the withdrawal vault."""
        state = self.client.state("head")
        ours = {one.record.index for one in self.validators if one.state in ("active", "exiting")}
        leaving = (
            int(state.balances[index])
            for index in ours
            if state.validators[index]["exit_epoch"] != FAR_FUTURE_EPOCH and not state.validators[index]["slashed"]
        )
        parts = (one for one in state.field("pending_partial_withdrawals") if int(one.validator_index) in ours)
        return sum(leaving) + sum(int(one.amount) for one in parts)


def _is_behind(validator: Validator, row: Any, epoch: int, at: int) -> bool:
    """Whether the registry's record would change if it saw the beacon state's `row` of an epoch and its time `at`."""
    record, state = validator.record, validator.state
    if state in ("predeposited", "compromised", "closed", "slashed"):
        return state == "predeposited"
    if row["slashed"]:
        return True
    if row["exit_epoch"] != FAR_FUTURE_EPOCH:
        return bool(record.pulled_at != SEEN)
    if state == "active" and not record.pulled_at and row["activation_epoch"] <= epoch:
        return True
    balance = int(row["effective_balance"])
    if record.pulled:
        is_paid = balance + record.pulled // 2 <= record.stake + GWEI
        return bool(is_paid and at > record.pulled_at + REQUEST_TIME)
    return state == "active" and balance > int(record.stake)


def _listed(validators: Sequence[Validator]) -> str:
    """Name validators: runs of numbers by their ends."""
    numbers = [one.number for one in validators]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"validators {numbers[0]} to {numbers[-1]}"
    return f"validator{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
