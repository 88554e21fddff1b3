"""The operations of the validator registry: what is sent, and from which state.

The contracts that the registry calls are the real ones. The deposit contract is as if two million deposits had been
made, so that none of its words is new. Of the beacon chain there is one state at a time: our validators are neighbours
in the middle of a list of two million, and all that a proof contains of the others is random. Nothing is executed
there; who measures says what has become of a validator.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from random import Random

from bench.node import Transaction
from bench.operations import SAMPLES, Operation, Samples, each
from bench.protocol import ETHER, GWEI, Protocol
from floe.beacon.deposit import credentials
from floe.beacon.ssz import CHUNK, Tree, Witness, key_of, root_of
from floe.devnet.system_contracts import (
    BEACON_ROOTS,
    BEACON_ROOTS_LENGTH,
    CONSOLIDATION_REQUESTS,
    CONTRACTS,
    DEPOSIT_CONTRACT,
    SYSTEM,
    WITHDRAWAL_REQUESTS,
    genesis_accounts,
)
from floe.model.beacon import (
    BALANCES_FIELD,
    FIELDS_DEPTH,
    LIST_DEPTH,
    VALIDATORS_FIELD,
    BeaconValidator,
    Header,
    Proof,
    number,
)

MANY = 50
"""Keys in one predeposit, and in one top-up."""
NEIGHBOURS = 100
"""Validators in one proof."""
FEW_SAMPLES = 8
"""Where a sample is as many validators as that."""

STAKE = 200_000 * ETHER
"""Deposited before, so that there is enough for everybody's quota."""

HEADER, WITNESS = "(uint64,uint64,bytes32,bytes32,bytes32)", "(uint256,bytes32[8])"
PROOF = f"(uint256,{HEADER},{WITNESS}[],bytes32[])"
PUBKEY, SIGNATURE = 48, 96

DEPTH = 12  # levels of the part of the list that is known: room for 4,096 of us
FIRST = 302 << DEPTH  # index of our first validator
LIST_LENGTH = 2_200_000
FIELDS = 38  # of a state since Fulu
BRANCH_WORDS, COUNT_SLOT, DEPOSITS = 32, 32, 2_100_003  # of the deposit contract


class BeaconState:
    """The beacon state: ours of the validators, and random nodes for everything else."""

    def __init__(self, random: Random) -> None:
        self.validators: list[BeaconValidator] = []
        """From index FIRST on."""
        self._random = random
        self._others = random.randbytes(CHUNK << DEPTH)
        self._above = [random.randbytes(CHUNK) for _ in range(LIST_DEPTH - DEPTH)]
        self.set(0)

    def set(self, slot: int) -> None:
        """Make the state of a slot from the validators as they are. Proofs are of the state that was set last."""
        self._indices = {validator.key: index for index, validator in enumerate(self.validators, FIRST)}
        leaves = b"".join(Witness(FIRST, one.chunks()).root for one in self.validators)
        balances = b"".join(one.balance.to_bytes(8, "little") for one in self.validators)
        self._validators = Tree(leaves + self._others[len(leaves) :], DEPTH)
        # Four balances are a chunk: two levels less.
        self._balances = Tree(balances + self._others[len(balances) : CHUNK << DEPTH - 2], DEPTH - 2)
        fields = [self._random.randbytes(CHUNK) for _ in range(FIELDS)]
        for field, tree in ((VALIDATORS_FIELD, self._validators), (BALANCES_FIELD, self._balances)):
            place = (1 << len(self._above)) + (FIRST >> DEPTH)
            fields[field] = sha256(root_of([place], [tree.root], self._above) + number(LIST_LENGTH)).digest()
        self._fields = Tree(b"".join(fields), FIELDS_DEPTH)
        parent, body = self._random.randbytes(CHUNK), self._random.randbytes(CHUNK)
        self.header = Header(slot, self._random.randrange(LIST_LENGTH), parent, self._fields.root, body)

    def prove(self, validators: Sequence[BeaconValidator], timestamp: int) -> Proof:
        """Show validators (in their order in the list)."""
        indices = [self._indices[one.key] for one in validators]
        branch = self._branch(self._validators, [index - FIRST for index in indices], VALIDATORS_FIELD)
        witnesses = [(index, one.chunks()) for index, one in zip(indices, validators, strict=True)]
        return Proof(timestamp, self.header, witnesses, branch)

    def prove_balance(self, validator: BeaconValidator) -> tuple[bytes, list[bytes]]:
        """Return the chunk that holds a validator's balance, and its branch."""
        chunk = (self._indices[validator.key] - FIRST) // 4
        return self._balances.node(0, chunk), self._branch(self._balances, [chunk], BALANCES_FIELD)

    def _branch(self, tree: Tree, leaves: list[int], field: int) -> list[bytes]:
        return [*tree.branch(leaves), *self._above, number(LIST_LENGTH), *self._fields.branch([field])]


class Validators:
    """The registry of a protocol in use, with operators of equal weight who have active validators, and bonds."""

    def __init__(self, protocol: Protocol, operators: int = 5, active: int = 20) -> None:
        """Set it up with `active` validators of each operator."""
        self.protocol, self.node, self.registry = protocol, protocol.node, protocol.registry
        self.random = protocol.random
        self._place_system_contracts()
        self.state = BeaconState(self.random)
        self.managers: list[str] = []
        self.pubkeys: dict[bytes, bytes] = {}
        """By key."""
        self._credentials = credentials(protocol.withdrawal_vault.address)
        protocol.gas([protocol.deposit(protocol.some(1)[0], STAKE)])
        for _ in range(operators):
            self._add_operator()
        for operator in range(1, operators + 1):
            self.predeposit(active, operator)
        everybody = list(self.state.validators)
        for start in range(0, len(everybody), MANY):
            some = everybody[start : start + MANY]
            self.prove(some)
            self.top_up(some)
            for one in some:
                epoch = self.state.header.slot // self.protocol.config.beacon.sizes.slots_per_epoch
                one.activation_eligibility_epoch, one.activation_epoch = epoch - 9, epoch - 3
            self.prove(some)

    # --- what people do: each returns the gas of its transaction ---

    def predeposit(self, count: int, operator: int = 1) -> int:
        """Predeposit new keys, half out of the bond; they become the last validators of the list."""
        keys = [self.random.randbytes(PUBKEY) for _ in range(count)]
        sent = self.registry.transaction(
            self.managers[operator - 1],
            "predeposit(uint256,bytes,bytes)",
            operator,
            b"".join(keys),
            self.random.randbytes(SIGNATURE * count),
            value=count * ETHER // 2,
        )
        for pubkey in keys:
            key = key_of(pubkey)
            self.pubkeys[key] = pubkey
            self.state.validators.append(BeaconValidator(key, self._credentials, GWEI, GWEI))
        return self.protocol.gas([sent])[0]

    def prove(self, validators: Sequence[BeaconValidator]) -> int:
        """Prove validators as they are."""
        proof = self.state.prove(validators, self._publish())
        return self.protocol.gas([self.registry.transaction(self.protocol.outsider, f"prove({PROOF})", proof)])[0]

    def prove_each(self, validators: Sequence[BeaconValidator]) -> Samples:
        """Prove validators as they are, each by itself."""
        timestamp = self._publish()
        return self.protocol.gas([self._about_one("prove_one", one, timestamp) for one in validators])

    def top_up(self, validators: Sequence[BeaconValidator]) -> int:
        """Top up proven validators with 35 to 43 ETH, which arrive at once."""
        amounts = [40 * GWEI + self.random.getrandbits(33) for _ in validators]
        signature = "top_up(bytes,uint256[])"
        gas = self.protocol.gas(
            [self.registry.transaction(self.protocol.outsider, signature, self._keys(validators), amounts)]
        )
        for one, amount in zip(validators, amounts, strict=True):
            one.balance += amount
            one.effective_balance = one.balance - one.balance % GWEI
        return gas[0]

    def request_withdrawal(self, validator: BeaconValidator, gwei: int) -> int:
        """Ask for a part of a validator, or for all (0)."""
        signature = "request_withdrawals(bytes,uint256[],uint256)"
        return self._request(WITHDRAWAL_REQUESTS, signature, self._keys([validator]), [gwei], 0)

    def consolidate(self, source: BeaconValidator, target: BeaconValidator) -> int:
        """Ask to move one validator into another."""
        signature = "consolidate(bytes,bytes)"
        return self._request(CONSOLIDATION_REQUESTS, signature, self._keys([source]), self._keys([target]))

    def prove_withdrawn(self, validators: Sequence[BeaconValidator]) -> Samples:
        """Prove that validators have left and have nothing any more."""
        for one in validators:
            epoch = self.state.header.slot // self.protocol.config.beacon.sizes.slots_per_epoch
            one.exit_epoch, one.withdrawable_epoch = epoch - 300, epoch - 44
            one.balance = one.effective_balance = 0
        timestamp = self._publish()
        sent = []
        for one in validators:
            balance = (("bytes32", "bytes32[]"), self.state.prove_balance(one))
            sent.append(self._about_one("prove_withdrawn", one, timestamp, *balance))
        return self.protocol.gas(sent)

    # --- inside ---

    def _place_system_contracts(self) -> None:
        calls: list[tuple[str, list[str]]] = []

        def store(address: str, slot: int, word: int) -> None:
            calls.append(("anvil_setStorageAt", [address, hex(slot), f"0x{word:064x}"]))

        for account in genesis_accounts():
            calls.append(("anvil_setCode", [account.address, account.code]))
            for slot, value in account.storage:
                store(account.address, int(slot, 16), int(value, 16))
        for address in (WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS):
            store(address, 0, 0)  # no longer inhibited
        for level in range(BRANCH_WORDS):
            store(DEPOSIT_CONTRACT, level, self.random.getrandbits(256))
        store(DEPOSIT_CONTRACT, COUNT_SLOT, DEPOSITS)
        self.node.batch(calls)
        assert all(self.node.rpc("eth_getCode", address, "latest") != "0x" for address in CONTRACTS)

    def _add_operator(self) -> None:
        manager, rewards = self.protocol.account(), self.protocol.account()
        signature = "add_operator(address,address,uint256,uint256)"
        add = self.registry.transaction(self.protocol.deployer, signature, manager, rewards, 100, 10_000)
        self.managers.append(manager)
        bond = self.registry.transaction(manager, "add_bond(uint256)", len(self.managers), value=1_000 * ETHER)
        self.protocol.gas([add, bond])

    def _publish(self) -> int:
        """Let EIP-4788 know the state as it is, as in the block that is latest; returns the timestamp to ask for."""
        genesis, seconds = self.protocol.config.beacon.genesis_time, self.protocol.config.beacon.seconds_per_slot
        time = self.node.time
        self.state.set((time - genesis) // seconds - 1)
        place = time % BEACON_ROOTS_LENGTH
        for slot, word in ((place, f"{time:064x}"), (place + BEACON_ROOTS_LENGTH, self.state.header.root.hex())):
            self.node.rpc("anvil_setStorageAt", BEACON_ROOTS, hex(slot), "0x" + word)
        return time

    def _about_one(
        self,
        function: str,
        validator: BeaconValidator,
        timestamp: int,
        types: Sequence[str] = (),
        more: Sequence[object] = (),
    ) -> Transaction:
        """Call a function that takes the proof of one validator, and `more` behind it."""
        _, header, witnesses, branch = self.state.prove([validator], timestamp)
        signature = f"{function}({','.join(('uint256', HEADER, WITNESS, 'bytes32[]', *types))})"
        return self.registry.transaction(
            self.protocol.outsider, signature, timestamp, header, witnesses[0], branch, *more
        )

    def _request(self, contract: str, signature: str, *arguments: object) -> int:
        """Send a request of the keeper; the block's end hands it to the beacon chain, as on a real chain."""
        sent = self.registry.transaction(self.protocol.deployer, signature, *arguments, value=GWEI)
        return self.protocol.gas([sent, Transaction(SYSTEM, contract)])[0]

    def _keys(self, validators: Sequence[BeaconValidator]) -> bytes:
        return b"".join(self.pubkeys[one.key] for one in validators)


# --- the operations ---


def predeposit_each(p: Protocol) -> Samples:
    """Predeposit 50 keys at once: a fiftieth of it, rounded up."""
    ours = Validators(p)
    return each([ours.predeposit(MANY) for _ in range(FEW_SAMPLES)], MANY)


def prove_one(p: Protocol) -> Samples:
    """Prove the credentials of one validator."""
    ours = Validators(p)
    ours.predeposit(SAMPLES)
    return ours.prove_each(ours.state.validators[-SAMPLES:])


def prove_hundred_each(p: Protocol) -> Samples:
    """Prove the credentials of 100 neighbours at once: a hundredth of it, rounded up."""
    ours = Validators(p)
    gas = []
    for _ in range(FEW_SAMPLES):
        for _ in range(0, NEIGHBOURS, MANY):
            ours.predeposit(MANY)
        gas.append(ours.prove(ours.state.validators[-NEIGHBOURS:]))
    return each(gas, NEIGHBOURS)


def top_up_each(p: Protocol) -> Samples:
    """Top up 50 proven neighbours at once, for the first time: a fiftieth of it, rounded up."""
    ours = Validators(p)
    gas = []
    for _ in range(FEW_SAMPLES):
        ours.predeposit(MANY)
        new = ours.state.validators[-MANY:]
        ours.prove(new)
        gas.append(ours.top_up(new))
    return each(gas, MANY)


def request_withdrawal(p: Protocol) -> Samples:
    """Ask the beacon chain for a part of one validator."""
    ours = Validators(p)
    some = ours.state.validators[: SAMPLES + 1]
    gas = [ours.request_withdrawal(one, 5 * GWEI + ours.random.getrandbits(30)) for one in some]
    return gas[1:]  # the very first writes new words into the queue


def consolidate(p: Protocol) -> Samples:
    """Ask the beacon chain to move one validator into another of the same operator."""
    ours = Validators(p)
    some = ours.state.validators[: 2 * (SAMPLES + 1)]
    return [ours.consolidate(source, target) for source, target in zip(some[::2], some[1::2], strict=True)][1:]


def prove_withdrawn(p: Protocol) -> Samples:
    """Prove that a validator whose exit was asked for is gone."""
    ours = Validators(p)
    leaving = ours.state.validators[:SAMPLES]
    for one in leaving:
        ours.request_withdrawal(one, 0)
    return ours.prove_withdrawn(leaving)


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        predeposit_each,
        prove_one,
        prove_hundred_each,
        top_up_each,
        request_withdrawal,
        consolidate,
        prove_withdrawn,
    )
}
"""By the keys of `gas.json`."""
