"""The validator registry with everything around it: the contracts of the execution layer, and a small beacon chain.

    validators = Validators(protocol)
    one, two = validators.predeposit(2)                # on the beacon chain at once, with our credentials
    validators.prove(one, two)
    validators.top_up({one: 31, two: 100})             # ETH; arrives at once
    proof = validators.proof(one)                      # of the state as it is now, for a block root that is known
    validators.check()                                 # every sum that the registry keeps

The deposit contract and those of EIP-4788, 7002 and 7251 are the real ones; block roots and requests go through the
system calls that a block makes. Validators are named by their index on the beacon chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from enum import IntEnum
from functools import cache
from hashlib import sha256, sha512
from typing import Any, NamedTuple

from eth_abi.abi import decode
from eth_utils.crypto import keccak
from pyrevm import AccountInfo

from floe.beacon.deposit import DepositData
from floe.beacon.ssz import key_of
from floe.devnet.system_contracts import (
    BEACON_ROOTS,
    CONSOLIDATION_REQUESTS,
    DEPOSIT_CONTRACT,
    SYSTEM,
    WITHDRAWAL_REQUESTS,
    GenesisAccount,
    genesis_accounts,
)
from floe.model.beacon import BALANCES_GINDEX, GWEI_IN_ETHER, VALIDATORS_GINDEX, Beacon, Proof
from tests.evm import DAY, ETHER, GENESIS, Account, Contract, Evm
from tests.protocol import OUTSIDER, Protocol

COUNCIL = "0x" + "c0" * 20
"""Adds operators."""
KEEPER = "0x" + "c1" * 20
MANAGER = "0x" + "c2" * 20
"""Manages operator 1."""
OTHER_MANAGER = "0x" + "c3" * 20
"""Manages operator 2."""
REWARDS = "0x" + "c4" * 20
"""Reward address of both."""

WITHDRAWAL, CONSOLIDATION = 1, 2
"""EIP-7685 types."""
SLOT_SECONDS = 12
RING = 8_191
"""Block roots that EIP-4788 keeps."""
MIN_PULL = 5 * GWEI_IN_ETHER
"""Gwei; no smaller part can be asked for."""
FRESH_SLOTS = 256
"""Age of the oldest proof that a top-up takes."""
REQUEST_TIME = 2 * DAY
WITHDRAWAL_TIME = 64 * DAY
DEPOSIT_TIME = 128 * DAY
SEEN = 2**32 - 1
"""`pulled_at` of a validator whose exit is proven."""
FIRST_SLOT = 5_000_000
"""Slot of the beacon chain when the execution layer's clock starts."""


class State(IntEnum):
    """The registry's `State`; a flag without a member is none."""

    NONE = 0
    PREDEPOSITED = 1
    PROVEN = 2
    ACTIVE = 4
    EXITING = 8
    CLOSED = 16
    COMPROMISED = 32
    SLASHED = 64


class Chain(NamedTuple):
    """The registry's `Chain`."""

    deposit_contract: str
    genesis_time: int
    seconds_per_slot: int
    slots_per_epoch: int
    slashings_vector: int


class Fork(NamedTuple):
    """The registry's `Fork`."""

    first_slot: int
    validators_gindex: int
    balances_gindex: int


class Limits(NamedTuple):
    """The registry's `Parameters`."""

    slashing_bps: int
    promise: int


ELECTRA = Fork(0, VALIDATORS_GINDEX, BALANCES_GINDEX)
LIMITS = Limits(slashing_bps=500, promise=14 * DAY)


class WithdrawalRequest(NamedTuple):
    """What EIP-7002 hands to the beacon chain."""

    source: str
    pubkey: bytes
    amount: int
    """Gwei; 0 for a full exit."""


class ConsolidationRequest(NamedTuple):
    """What EIP-7251 hands to the beacon chain."""

    source: str
    source_pubkey: bytes
    target_pubkey: bytes


def pubkey_of(number: int) -> bytes:
    """Return the 48 bytes that stand for a public key. The deposit contract takes them for one."""
    return sha512(b"public key %d" % number).digest()[:48]


def signature_of(number: int) -> bytes:
    """Return the 96 bytes that stand for a signature. The deposit contract looks at their root only."""
    return sha512(b"signature %d" % number).digest() + sha256(b"signature %d" % number).digest()


@cache
def genesis() -> list[GenesisAccount]:
    """Return the system contracts as they are in a genesis: read once."""
    return genesis_accounts()


def place_system_contracts(evm: Evm) -> None:
    """Put the real contracts into a chain that has not touched their addresses yet, with their queues open."""
    for account in genesis():
        evm.revm.insert_account_info(account.address, AccountInfo(code=bytes.fromhex(account.code[2:]), nonce=1))
        for slot, value in account.storage:
            evm.revm.insert_account_storage(account.address, int(slot, 16), int(value, 16))
    for address in (WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS):
        system_call(evm, address)


def system_call(evm: Evm, address: str, data: bytes = b"") -> bytes:
    """Call a system contract as every block does; returns its answer."""
    return evm.call(Contract(evm, "system contract", address), "", data, sender=SYSTEM)


def set_block_root(evm: Evm, root: bytes) -> None:
    """Tell EIP-4788 the root of the beacon block before the execution block of now."""
    system_call(evm, BEACON_ROOTS, root)


def deposits(evm: Evm) -> list[DepositData]:
    """Return what the deposit contract logged in the last transaction (views count)."""
    result = evm.revm.result
    assert result is not None
    logs = [log for log in result.logs if log.address.lower() == DEPOSIT_CONTRACT.lower()]
    events = [decode(["bytes"] * 5, bytes(log.data[1])) for log in logs]
    return [
        DepositData(pubkey=p, withdrawal_credentials=w, amount=int.from_bytes(a, "little"), signature=s)
        for p, w, a, s, _ in events
    ]


def deposit_root(evm: Evm) -> bytes:
    """Ask the deposit contract for the root of all deposits."""
    contract = Contract(evm, "deposit contract", DEPOSIT_CONTRACT)
    return evm.call(contract, "get_deposit_root", keccak(text="get_deposit_root()")[:4], static=True)


def withdrawal_requests(evm: Evm) -> list[WithdrawalRequest]:
    """End a block: return the requests (at most 16) that it hands to the beacon chain."""
    answer = system_call(evm, WITHDRAWAL_REQUESTS)
    items = [answer[start : start + 76] for start in range(0, len(answer), 76)]
    return [WithdrawalRequest("0x" + i[:20].hex(), i[20:68], int.from_bytes(i[68:], "little")) for i in items]


def consolidation_requests(evm: Evm) -> list[ConsolidationRequest]:
    """End a block: return the consolidations (at most 2) that it hands to the beacon chain."""
    answer = system_call(evm, CONSOLIDATION_REQUESTS)
    items = [answer[start : start + 116] for start in range(0, len(answer), 116)]
    return [ConsolidationRequest("0x" + i[:20].hex(), i[20:68], i[68:]) for i in items]


def alone(proof: Proof) -> tuple[Any, ...]:
    """Return the proof of one validator as the arguments of `prove_one`, and the first of `prove_withdrawn`."""
    (witness,) = proof.witnesses
    return (proof.timestamp, proof.header, witness, proof.branch)


def raise_fee(evm: Evm, kind: int, blocks: int = 3) -> None:
    """Let other people ask for so much that a request of this kind costs some nine times more with each block."""
    address, length = {WITHDRAWAL: (WITHDRAWAL_REQUESTS, 56), CONSOLIDATION: (CONSOLIDATION_REQUESTS, 96)}[kind]
    contract = Contract(evm, "system contract", address)
    for _ in range(blocks):
        fee = int.from_bytes(evm.call(contract, "", b"", static=True))
        for number in range(40):
            evm.call(contract, "", number.to_bytes(length), sender=OUTSIDER, value=fee)
        system_call(evm, address)


class Validators:
    """A registry that may stake a protocol's ETH, with two operators of equal weight; and the beacon chain."""

    def __init__(self, protocol: Protocol, **setup: Any) -> None:
        """Deploy it into an Evm that has the system contracts. `setup` replaces arguments of `deploy_registry`."""
        self.protocol, self.evm, self.pool = protocol, protocol.evm, protocol.pool
        self.beacon = Beacon(GENESIS - FIRST_SLOT * SLOT_SECONDS, slot=FIRST_SLOT)
        self.vault = protocol.withdrawal_vault
        self.registry = deploy_registry(protocol, self.beacon, **setup)
        self.pool.grantRole(self.pool.REGISTRY_ROLE(), self.registry, sender=protocol.admin)
        self.credentials: bytes = self.registry.credentials()
        self.pubkeys: dict[int, bytes] = {}
        """Of our validators, by index."""
        for account in (COUNCIL, KEEPER, MANAGER, OTHER_MANAGER):
            self.evm.fund(account, 10**5 * ETHER)
        for manager in (MANAGER, OTHER_MANAGER):
            self.registry.add_operator(manager, REWARDS, 100, 1_000, sender=COUNCIL)
        # Other people's validators, on both sides of ours.
        for number in range(5):
            self.beacon.add(sha256(b"foreign %d" % number).digest(), bytes(32), 32 * GWEI_IN_ETHER)

    def copy(self) -> Validators:
        """Return the same contracts beside a beacon chain of their own, for a test that will be undone."""
        twin = object.__new__(Validators)
        twin.__dict__ = self.__dict__ | {"beacon": deepcopy(self.beacon), "pubkeys": dict(self.pubkeys)}
        return twin

    # --- the beacon chain ---

    def publish(self, slots: int = 1) -> int:
        """Let slots pass; the last block knows the root of the state as it is. Returns that block's timestamp."""
        now = self.evm.now - self.beacon.genesis_time
        self.evm.travel((now // SLOT_SECONDS + slots) * SLOT_SECONDS - now)
        self.beacon.slot = (self.evm.now - self.beacon.genesis_time) // SLOT_SECONDS - 1
        set_block_root(self.evm, self.beacon.header().root)
        return self.evm.now

    def publish_state_of(self, second: int) -> int:
        """Let time pass until the last block knows the root of the state of this second, the start of a slot."""
        return self.publish((second - self.evm.now) // SLOT_SECONDS + 1)

    def proof(self, *indices: int) -> Proof:
        """Prove validators as they are now."""
        return self.beacon.prove(sorted(indices), self.publish())

    def arrive(self, index: int, gwei: int) -> None:
        """Let the beacon chain add `gwei` to a validator's balance (negative: pay it out), and look at the result."""
        validator = self.beacon.validators[index]
        validator.balance += gwei
        validator.effective_balance = validator.balance - validator.balance % GWEI_IN_ETHER

    def leave(self, index: int, delay: int = 0) -> None:
        """Let a validator exit: withdrawable `delay` epochs from now."""
        validator = self.beacon.validators[index]
        validator.exit_epoch = self.beacon.epoch
        validator.withdrawable_epoch = self.beacon.epoch + delay

    def withdraw(self, index: int) -> None:
        """Let all of a validator arrive in the withdrawal vault."""
        self.evm.force(self.vault, self.beacon.validators[index].balance * 10**9)
        self.arrive(index, -self.beacon.validators[index].balance)

    # --- what people do ---

    def predeposit(
        self, count: int = 1, operator: int = 1, credentials: bytes | None = None, balance: int = GWEI_IN_ETHER
    ) -> list[int]:
        """Let an operator predeposit new keys; the beacon chain makes validators of them. Returns their indices.

        `credentials` is what the chain has known before of these keys, `balance` what they hold (Gwei).
        """
        numbers = range(len(self.beacon.validators), len(self.beacon.validators) + count)
        pubkeys = [pubkey_of(number) for number in numbers]
        self.registry.predeposit(
            operator,
            b"".join(pubkeys),
            b"".join(signature_of(number) for number in numbers),
            sender=self.registry.operator(operator).manager,
            value=count * ETHER,
        )
        indices = [self.beacon.add(key_of(key), credentials or self.credentials, balance) for key in pubkeys]
        self.pubkeys |= dict(zip(indices, pubkeys, strict=True))
        return indices

    def prove(self, *indices: int) -> None:
        """Let somebody prove validators as they are now."""
        self.registry.prove(self.proof(*indices))

    def top_up(self, amounts: Mapping[int, int], arrives: bool = True) -> None:
        """Let somebody prove validators and top them up with ETH; unless told otherwise it arrives at once."""
        gwei = {index: amount * GWEI_IN_ETHER for index, amount in amounts.items()}
        self.prove(*gwei)
        self.registry.top_up(self.keys(*gwei), list(gwei.values()))
        for index, amount in gwei.items():
            self.arrive(index, amount if arrives else 0)

    def active(self, count: int = 1, operator: int = 1, stake: int = 32) -> list[int]:
        """Return new validators with `stake` ETH each, of which the pool has paid all, seen active."""
        indices = self.predeposit(count, operator)
        self.top_up(dict.fromkeys(indices, stake - 1))
        self.activate(*indices)
        return indices

    def activate(self, *indices: int) -> None:
        """Let validators become active on the beacon chain, and somebody prove it."""
        for index in indices:
            self.beacon.validators[index].activation_epoch = self.beacon.epoch
        self.prove(*indices)

    def pull(self, amounts: Mapping[int, int], sender: Account = KEEPER, day: int = 0, value: int = ETHER) -> Any:
        """Request withdrawals of Gwei (0: everything). Returns the wei of fees."""
        return self.registry.request_withdrawals(
            self.keys(*amounts), list(amounts.values()), day, sender=sender, value=value
        )

    def consolidate(self, pairs: Mapping[int, int], sender: Account = KEEPER, value: int = ETHER) -> Any:
        """Request consolidations of sources into targets. Returns the wei of fees."""
        return self.registry.consolidate(self.keys(*pairs), self.keys(*pairs.values()), sender=sender, value=value)

    def close(self, index: int) -> None:
        """Let somebody prove that a validator is withdrawn."""
        self.registry.prove_withdrawn(*alone(self.proof(index)), *self.beacon.prove_balance(index))

    def in_state(self, state: State, operator: int = 1) -> int:
        """Return a new validator that the registry knows to be in `state`."""
        if state == State.NONE:
            pubkey = pubkey_of(len(self.beacon.validators))
            index = self.beacon.add(key_of(pubkey), self.credentials, 32 * GWEI_IN_ETHER)
            self.pubkeys[index] = pubkey
            return index
        if state in (State.ACTIVE, State.EXITING, State.SLASHED):
            (index,) = self.active(operator=operator)
            if state == State.EXITING:
                self.pull({index: 0})
            elif state == State.SLASHED:
                self.beacon.slash(index)
                self.prove(index)
            return index
        (index,) = self.predeposit(operator=operator, credentials=bytes(32) if state == State.COMPROMISED else None)
        if state in (State.PROVEN, State.COMPROMISED):
            self.prove(index)
        elif state == State.CLOSED:
            self.leave(index)
            self.withdraw(index)
            self.close(index)
        return index

    def make_overdue(self, shares: int, account: Account) -> int:
        """Queue `shares`, make them eligible, and let the promise pass. Returns the day they were eligible on."""
        self.protocol.request(shares, account)
        self.protocol.report()
        self.registry.record_exits()
        day = self.evm.now // DAY
        self.evm.travel((day + 1) * DAY + self.registry.parameters().promise - self.evm.now)
        return day

    # --- what is true ---

    def keys(self, *indices: int) -> bytes:
        """Return the public keys of validators, one after the other."""
        return b"".join(self.pubkeys[index] for index in indices)

    def record(self, index: int) -> Any:
        """Return what the registry knows of a validator."""
        return self.registry.validator(key_of(self.pubkeys[index]))

    def state(self, index: int) -> State:
        """Return the registry's state of a validator."""
        return State(self.record(index).state)

    def states(self, *indices: int) -> list[State]:
        """Return the states of several."""
        return [self.state(index) for index in indices]

    def check(self, forced: int = 0) -> None:
        """Demand every sum: stake, what is under way and open validators of the records; bonds (and `forced` wei)."""
        registry = self.registry
        records = [self.record(index) for index in self.pubkeys]
        operators = {number: registry.operator(number) for number in range(1, registry.operator_count() + 1)}
        stakes: Counter[int] = Counter()
        opened: Counter[int] = Counter()
        under_way = 0
        for v in records:
            opened[v.operator] += v.state not in (State.CLOSED, State.COMPROMISED)
            stakes[v.operator] += v.stake - v.pulled if v.state == State.ACTIVE else 0
            under_way += v.pulled if v.state in (State.ACTIVE, State.EXITING) else 0
        assert {number: operator.stake for number, operator in operators.items()} == {n: stakes[n] for n in operators}
        assert {number: operator.open for number, operator in operators.items()} == {n: opened[n] for n in operators}
        assert registry.staked() == sum(stakes.values())
        assert registry.under_way() == under_way
        assert registry.total_weight() == sum(operator.weight for operator in operators.values())
        bonds = sum(operator.bond for operator in operators.values())
        assert self.evm.balance(registry) == bonds * 10**9 + forced


def deploy_registry(
    protocol: Protocol,
    beacon: Beacon,
    *,
    admin: Account | None = None,
    keepers: Sequence[str] = (KEEPER,),
    forks: Sequence[Fork] = (ELECTRA,),
    limits: Limits = LIMITS,
    deposit_contract: str = DEPOSIT_CONTRACT,
) -> Contract:
    """Deploy a registry for a protocol and a beacon chain."""
    chain = Chain(
        deposit_contract,
        beacon.genesis_time,
        beacon.seconds_per_slot,
        beacon.slots_per_epoch,
        beacon.slashings_vector,
    )
    return protocol.evm.deploy(
        "ValidatorRegistry",
        protocol.pool,
        admin or protocol.admin,
        COUNCIL,
        list(keepers),
        chain,
        list(forks),
        limits,
    )
