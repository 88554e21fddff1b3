"""What people do between the pool and the beacon chain: the council, operators, and accidents.

Each method sends the transactions and says in a line what happened. Amounts of validators are Gwei.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ape

from floe.beacon import deposit, keys
from floe.beacon.client import BeaconClient
from floe.devnet import Devnet
from floe.model.beacon import key_of
from floe.report.tables import eth

GWEI = 10**9
ETHER = 10**18
DAY = 86_400
SLOTS_A_DAY = 32
"""Four epochs of the devnet."""
STATES = ("predeposited", "proven", "active", "exiting", "closed", "compromised", "slashed")
"""Members of the registry's flag `State`, in order."""

SEED = b"keys of the validators in the demo"
FOREIGN_SEED = b"keys of other people's validators"
FOREIGN = "0x" + "f0" * 20
"""Where those withdraw to."""
PREDEPOSIT = GWEI
"""1 ETH in Gwei."""
# contracts/validators/validator_book.vy
SEEN = 2**32 - 1


@dataclass(eq=False)
class Validator:
    """One validator of ours, or of who wants to be one of ours."""

    number: int
    operator: int
    pubkey: bytes
    key: bytes
    """SSZ root of the public key: its name in the registry."""
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
        self.splitter = contracts["FeeSplitter"]
        self.council, self.stranger, self.donor = (helpers[name] for name in ("council", "stranger", "donor"))
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

    def predeposit(self, operator: int, count: int) -> str:
        """Let an operator predeposit new validators."""
        signed = [self._new(operator) for _ in range(count)]
        self._predeposit(operator, signed)
        numbers = listed(self.validators[-len(signed) :])
        return f"operator {operator} predeposits {numbers}: {len(signed)} ETH of its own, signed for our vault"

    def front_run(self, operator: int) -> str:
        """Let an operator deposit for its key first with its own credentials, and then as if it were ours."""
        manager = self.operators[operator - 1]
        data = self._new(operator)
        secret = keys.signing_key(SEED, len(self.validators))
        self._deposit(manager, secret, deposit.credentials(manager.address), PREDEPOSIT)
        self._predeposit(operator, [data])
        return (
            f"operator {operator} predeposits {listed(self.validators[-1:])}; "
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

    def retire(self, number: int) -> str:
        """Let an operator end a validator: it signs a voluntary exit."""
        one = self.validators[number - 1]
        self.devnet.exit(one.pubkey)
        return f"operator {one.operator} ends validator {number}: it signs an exit on the beacon chain"

    def cover(self) -> str:
        """Let the council give up what the cover fund has, as far as there is a loss: it leaves through the queue."""
        shares = self.splitter.coverable()
        self.send(self.council, self.splitter.cover_loss, shares)
        return f"the council gives {eth(shares)} shares of the cover fund to those who bore the loss"

    # --- inside ---

    def _new(self, operator: int) -> deposit.DepositData:
        """Make a new key, which the devnet runs and whose tips go to the execution vault; sign its predeposit."""
        number = len(self.validators) + 1
        secret = keys.signing_key(SEED, number)
        data = deposit.sign_deposit(secret, self.credentials, PREDEPOSIT, self.fork_version)
        self.validators.append(Validator(number, operator, data.pubkey, key_of(data.pubkey)))
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
        self.refresh(one.key for one in self.validators[-len(signed) :])

    def refresh(self, keys: Iterable[bytes]) -> None:
        """Read the registry's records of validators anew."""
        wanted = set(keys)
        for one in self.validators:
            if one.key in wanted:
                one.record = self.registry.validator(one.key)


def listed(validators: Sequence[Validator]) -> str:
    """Name validators: runs of numbers by their ends."""
    numbers = [one.number for one in validators]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"validators {numbers[0]} to {numbers[-1]}"
    return f"validator{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
