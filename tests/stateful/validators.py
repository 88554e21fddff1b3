"""The registry beside its model: a world with the system contracts' real bytecode and a small beacon chain.

The beacon chain takes what the deposit contract logs and what the request contracts hand over at the end of a block,
never what the model says; both must say the same. In return it pays into the withdrawal vault and gives EIP-4788 its
block roots, and every proof is made from one of its states.

An action names validators by the number of their key, a proof by the indices in the beacon state and by the age of the
block; what does not fit the state it meets is taken modulo, so that sequences can be shortened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256, sha512
from typing import Any, NamedTuple

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak
from pyrevm import AccountInfo

from floe.beacon.ssz import key_of
from floe.devnet import system_contracts as ethereum
from floe.model.basics import BPS, DAY, GWEI, YEAR, Address, Revert
from floe.model.beacon import BALANCES_GINDEX, VALIDATORS_GINDEX, BeaconState, BeaconValidator, Header, Proof
from floe.model.beacon_chain import BeaconChain, Withdrawal
from floe.model.fee_splitter import Parts
from floe.model.registry import Fork, RegistryParameters, Validator
from floe.model.system_contracts import (
    CONSOLIDATION_CONTRACT,
    RING,
    WITHDRAWAL_CONTRACT,
    BlockRoots,
    Deposit,
    DepositContract,
    RequestContract,
    SystemContracts,
)
from floe.model.tokens import ORACLE_ROLE, PAUSER_ROLE
from tests.stateful.actions import CALLS, DEEDS
from tests.stateful.oracle import accept, agreed, submit
from tests.stateful.world import (
    ADDRESS_WORD,
    ADMIN,
    BEACON,
    COUNCIL,
    DEPLOYER,
    EXECUTION_VAULT,
    FIRST_EPOCH,
    NAMES,
    OPERATOR,
    OUTSIDER,
    PAUSER,
    POOL,
    REENTERER,
    REGISTRY,
    REPORT_ORACLE,
    SECONDS_PER_SLOT,
    SENDS_NOTHING,
    SLASHINGS_VECTOR,
    SLOTS_PER_EPOCH,
    STAKERS,
    TREASURER,
    WITHDRAWAL_VAULT,
    Call,
    Compiled,
    MappingSlots,
    Mismatch,
    World,
    created,
    slots,
)

VALIDATOR_REGISTRY, FEE_SPLITTER = created(12), created(13)
DEPOSITS, BLOCK_ROOTS, WITHDRAWALS, CONSOLIDATIONS, SYSTEM = (
    address.lower()
    for address in (
        ethereum.DEPOSIT_CONTRACT,
        ethereum.BEACON_ROOTS,
        ethereum.WITHDRAWAL_REQUESTS,
        ethereum.CONSOLIDATION_REQUESTS,
        ethereum.SYSTEM,
    )
)
NAMES |= {
    VALIDATOR_REGISTRY: "validator registry", FEE_SPLITTER: "fee splitter", DEPOSITS: "deposit contract",
    BLOCK_ROOTS: "block roots", WITHDRAWALS: "withdrawal requests", CONSOLIDATIONS: "consolidation requests",
}  # fmt: skip
SENDS_NOTHING.add(VALIDATOR_REGISTRY)
ADDRESS_WORD |= {account: bytes(12) + bytes.fromhex(account[2:]) for account in NAMES}

KEEPERS, MANAGERS = (OPERATOR, REENTERER), (STAKERS[0], STAKERS[1], REENTERER)
"""Who has the registry's role first, and who manages operators."""
PARAMETERS = RegistryParameters(slashing_bps=500, promise=14 * DAY)
PARTS = Parts(treasury_bps=4_000, cover_bps=1_000)
OTHERS_BALANCE = 33 * 10**15
"""Gwei of the rest of Ethereum's validators."""
KEPT_BLOCKS = 64
"""Blocks whose states can still be proven."""


class Block(NamedTuple):
    """A block of the beacon chain: what can be proven of it, and what an oracle sees that looks at it."""

    timestamp: int
    """Of the execution block whose parent it is."""
    state: BeaconState
    cl: int
    """Wei of counted validators: balances and pending deposits."""
    deposited: int
    withdrawn: int
    donated: int
    tail: int
    losing: int
    """Wei that slashed validators are going to lose."""
    raised: int


NUMBERS: dict[bytes, int] = {}
"""Number of the public key, by the validator's key."""


@cache
def pubkey_of(number: int) -> bytes:
    """Public key number `number`. Nothing here looks at the curve."""
    pubkey = sha512(b"validator %d" % number).digest()[:48]
    NUMBERS[key_of(pubkey)] = number
    return pubkey


def sign(pubkey: bytes, credentials: bytes, amount: int) -> bytes:
    """Return what stands for the one valid signature of a deposit."""
    return sha256(pubkey + credentials + amount.to_bytes(8, "big")).digest() * 3


@cache
def genesis_accounts() -> list[ethereum.GenesisAccount]:
    """Read the system contracts once in a process, and before it forks."""
    return ethereum.genesis_accounts()


class ValidatorWorld(World):
    """A world whose pool stakes through the registry."""

    ready = False

    def __init__(self, artifacts: Mapping[str, Compiled]) -> None:
        super().__init__(artifacts)
        self._place_system_contracts()
        self._deploy_registry(artifacts["ValidatorRegistry"])
        self._deploy_splitter(artifacts["FeeSplitter"])
        self.beacon = BeaconChain(
            *BEACON,
            FIRST_EPOCH * SLOTS_PER_EPOCH,
            background=OTHERS_BALANCE,
            finalized_epoch=FIRST_EPOCH - 2,
        )
        # Of a stranger: one that may become compounding, one that is.
        for kind in (b"\x01", b"\x02", b"\x02"):
            credentials = kind + bytes(11) + bytes.fromhex(OUTSIDER[2:])
            key = key_of(pubkey_of(10**6 + len(self.beacon.validators)))
            times = (FIRST_EPOCH - 390,) * 2
            self.beacon.validators.append(BeaconValidator(key, credentials, 32 * GWEI, 32 * GWEI, False, *times))
        self.blocks: list[Block] = []
        self.held_block: Block | None = None
        """What the report says that is held, or was held last."""
        self.credited = 0
        """Wei that the beacon chain paid into the vault for counted validators."""
        self.logged: list[Deposit] = []
        """What the deposit contract logged since the last block."""
        self.forced = 0
        """Wei that the registry got without being asked."""
        self.checked: dict[bytes, Validator] = {}
        """Records that were the same when they were last compared."""
        self.ready = True
        self.total_ether = sum(self.chain.ether.values())
        make_block(self, 12)
        self.keep()
        self.check_all()

    # --- set-up ---

    def _place_system_contracts(self) -> None:
        for account in genesis_accounts():
            code = bytes.fromhex(account.code[2:])
            self.evm.insert_account_info(account.address, AccountInfo(code=code, nonce=1))
            for slot, value in account.storage:
                self.evm.insert_account_storage(account.address, int(slot, 16), int(value, 16))
            if account.address.lower() in (WITHDRAWALS, CONSOLIDATIONS):  # their fork has come
                self.evm.insert_account_storage(account.address, 0, 0)

    def _deploy_registry(self, artifact: Compiled) -> None:
        forks = [Fork(FIRST_EPOCH * SLOTS_PER_EPOCH + 3, VALIDATORS_GINDEX, BALANCES_GINDEX)]  # after the first block
        types = ["address"] * 3 + ["address[]", "(address,uint256,uint256,uint256,uint256)"]
        types += ["(uint256,uint256,uint256)[]", "(uint256,uint256)"]
        arguments = [POOL, ADMIN, COUNCIL, KEEPERS, (DEPOSITS, *BEACON), forks, PARAMETERS]
        deployed = self.evm.deploy(DEPLOYER, artifact.initcode + abi_encode(types, arguments))
        self.evm.reset_transient_storage()
        if deployed.lower() != VALIDATOR_REGISTRY:
            raise Mismatch(f"the registry is at {deployed}, expected {VALIDATOR_REGISTRY}")
        self.system = SystemContracts(
            BlockRoots(),
            DepositContract(self.chain, DEPOSITS),
            {
                WITHDRAWALS: RequestContract(self.chain, WITHDRAWALS, *WITHDRAWAL_CONTRACT),
                CONSOLIDATIONS: RequestContract(self.chain, CONSOLIDATIONS, *CONSOLIDATION_CONTRACT),
            },
            frozenset((EXECUTION_VAULT, REENTERER)),
        )
        self.registry = self.model.add_registry(
            VALIDATOR_REGISTRY, self.system, BEACON, forks, PARAMETERS, ADMIN, COUNCIL, list(KEEPERS)
        )
        self.registry_selectors = {
            text: int(number, 16).to_bytes(4, "big") for text, number in artifact.method_ids.items()
        }
        found = slots(artifact)
        self.book_slots, self.place_slots, self.purse_slots, self.eligible_slots = (
            MappingSlots(found[name]) for name in ("book", "places", "purses", "eligible_on")
        )
        self.totals_slot, self.live_slot, self.forks_slot = found["totals"], found["live"], found["forks"]
        self.registry_role_slots = MappingSlots(found["hasRole"])
        # The pool's ETH goes to the registry, and to nobody else.
        for change, account in (("grant_role", VALIDATOR_REGISTRY), ("revoke_role", REGISTRY)):
            if (reason := self.run(CALLS[change](self, ADMIN, "registry", account))) is not None:
                raise Mismatch(f"{change} reverts: {reason}")

    def _deploy_splitter(self, artifact: Compiled) -> None:
        arguments = [POOL, VALIDATOR_REGISTRY, ADMIN, COUNCIL, TREASURER, tuple(PARTS)]
        initcode = artifact.initcode + abi_encode(["address"] * 5 + ["(uint256,uint256)"], arguments)
        deployed = self.evm.deploy(DEPLOYER, initcode)
        self.evm.reset_transient_storage()
        if deployed.lower() != FEE_SPLITTER:
            raise Mismatch(f"the splitter is at {deployed}, expected {FEE_SPLITTER}")
        self.splitter = self.model.add_fee_splitter(FEE_SPLITTER, [self.registry], TREASURER, PARTS, ADMIN, COUNCIL)
        self.splitter_selectors = {
            text: int(number, 16).to_bytes(4, "big") for text, number in artifact.method_ids.items()
        }
        found = slots(artifact)
        self.splitter_slots = tuple(
            found[name] for name in ("held", "cover_fund", "rest", "cover_ticket", "treasury", "registry", "parts")
        )
        self.weights_slots, self.account_slots = MappingSlots(found["weights"]), MappingSlots(found["accounts"])
        if (reason := self.run(CALLS["set_fee_recipient"](self, ADMIN, FEE_SPLITTER))) is not None:
            raise Mismatch(f"set_fee_recipient reverts: {reason}")

    # --- time ---

    def keep(self) -> None:
        """Make this the state that `reset` goes back to."""
        super().keep()
        if self.ready:
            self._kept_beacon = (
                self.beacon.copied(), list(self.blocks), self.held_block, self.credited, list(self.logged),
                self.forced,
            )  # fmt: skip

    def reset(self) -> None:
        """Go back to the state kept, the beacon chain too."""
        super().reset()
        beacon, blocks, self.held_block, self.credited, logged, self.forced = self._kept_beacon
        self.beacon, self.blocks, self.logged = beacon.copied(), list(blocks), list(logged)

    # --- transactions ---

    def run(self, call: Call) -> str | None:
        """Make a call on both sides, and read what the deposit contract logs."""
        reason = super().run(call)
        if reason is None and (call[1] in (VALIDATOR_REGISTRY, DEPOSITS) or self.orders):
            self._read_deposits()
        return reason

    def _read_deposits(self) -> None:
        """Take what the deposit contract logged, and judge what the registry deposited."""
        result = self.evm.result
        assert result is not None
        known = len(self.logged)
        for log in result.logs:
            if log.address.lower() != DEPOSITS:
                continue
            # pubkey, credentials, amount, signature, index: five byte strings, the lengths of which never change.
            data = bytes(log.data[1])
            amount = int.from_bytes(data[352:360], "little")
            self.logged.append(Deposit(data[192:240], data[288:320], amount, data[416:512]))
        if self.logged != self.system.deposit_contract.deposits:
            raise Mismatch("the deposit contract logged what the model does not know")
        ours = self.registry.credentials
        for deposit in self.logged[known:]:
            validator = self.registry.validators.get(key_of(deposit.pubkey))
            if validator is None or deposit.credentials != ours:
                continue
            index = self.beacon.find(key_of(deposit.pubkey))
            if deposit.signature == bytes(96) and (index is None or self.beacon.validators[index].credentials != ours):
                raise Mismatch("INV-13: the pool's ETH goes to a validator that is not ours")

    def block_of(self, age: int) -> Block:
        """Return the block so many blocks ago."""
        return self.blocks[-1 - age % len(self.blocks)]

    # --- comparison ---

    def check(self, target: Address, accounts: tuple[Address, ...], tickets: tuple[int, ...]) -> None:
        """Compare the records of the registry as well, where they may have changed."""
        super().check(target, accounts, tickets)
        if self.ready and (target in (VALIDATOR_REGISTRY, DEPOSITS, WITHDRAWAL_VAULT) or self.orders):
            self.check_registry()
        if self.ready and (target == FEE_SPLITTER or self.orders):
            self.check_splitter()

    def check_all(self) -> None:
        """Compare everything stored."""
        super().check_all()
        if self.ready:
            self.checked.clear()
            self.check_registry()
            self._check_rest()
            self.check_splitter()

    def check_registry(self) -> None:
        """Compare all records of validators and operators, the sums, and the ETH of the registry."""
        registry, storage, me = self.registry, self._storage, VALIDATOR_REGISTRY
        if storage(me, self.totals_slot) != registry.totals_word():
            raise Mismatch(f"totals differ: {storage(me, self.totals_slot):#x}, model {registry.totals_word():#x}")
        for key, validator in registry.validators.items():
            if self.checked.get(key) is validator:
                continue  # `check_all` looks at those that did not change
            self.checked[key] = validator
            if (got := storage(me, self.book_slots[key])) != validator.word():
                raise Mismatch(f"validator {key.hex()[:8]} differs: {got:#x}, model {validator}")
        for number, operator in registry.operators.items():
            got_words = storage(me, self.place_slots[number]), storage(me, self.purse_slots[number])
            if got_words != operator.words():
                raise Mismatch(f"operator {number} differs: {got_words}, model {operator}")
        for account in (me, DEPOSITS, WITHDRAWALS, CONSOLIDATIONS):
            if self._balance(account) != self.chain.ether[account]:
                self._explain_ether()

    def check_splitter(self) -> None:
        """Compare all that the fee splitter stores, but for roles, and its shares."""
        splitter, storage, me = self.splitter, self._storage, FEE_SPLITTER
        *places, parts = self.splitter_slots
        treasury, registry = int(splitter.treasury, 16), int(splitter.registry, 16)
        numbers = splitter.held, splitter.cover_fund, splitter.rest, splitter.cover_ticket, treasury, registry
        expected = dict(zip(places, numbers, strict=True))
        expected |= {parts + k: part for k, part in enumerate(splitter.parts)}
        for book, weights in splitter.weights.items():
            expected |= {self.weights_slots[book] + k: number for k, number in enumerate(weights)}
        for key, earner in splitter.accounts.items():
            expected |= {self.account_slots[key] + k: number for k, number in enumerate(earner)}
        for slot, number in expected.items():
            if (got := storage(me, slot)) != number:
                raise Mismatch(f"slot {slot:#x} of the fee splitter differs: {got}, model {number}")
        for account in (me, splitter.treasury):
            if storage(POOL, self.balance_slots[account]) != self.pool.balances.get(account, 0):
                raise Mismatch(f"shares of {NAMES[account]} differ")

    def _check_rest(self) -> None:
        registry, storage, me = self.registry, self._storage, VALIDATOR_REGISTRY
        if storage(me, self.live_slot) != registry.live_word():
            raise Mismatch("parameters of the registry differ")
        rows = [fork.first_slot | fork.validators_gindex << 64 | fork.balances_gindex << 160 for fork in registry.forks]
        got = [storage(me, self.forks_slot + k) for k in range(16)]
        if got != [*reversed(rows), *[0] * (16 - len(rows))]:
            raise Mismatch("the table of forks differs")
        for day, position in registry.eligible_on.items():
            if storage(me, self.eligible_slots[day]) != position:
                raise Mismatch(f"exits recorded on day {day} differ")
        for role, number in REGISTRY_ROLES.items():
            for account in (*STAKERS, OPERATOR, REENTERER, PAUSER, ADMIN, OUTSIDER):
                if storage(me, self.registry_role_slots[number, account]) != (
                    (role, account) in registry.roles.members
                ):
                    raise Mismatch(f"role {role} of {NAMES[account]} differs")
        for kind, contract in self.pool.withdrawal_vault.system_contracts.items():
            answer = self.evm.message_call(OUTSIDER, WITHDRAWAL_VAULT, _SYSTEM_CONTRACT + _u(kind), 0, None, None, True)
            self.evm.reset_transient_storage()
            if answer != ADDRESS_WORD[contract]:
                raise Mismatch(f"system contract {kind} differs")

    # --- the beacon chain ---

    def counted(self) -> list[int]:
        """Return the indices of validators that were topped up at least once."""
        book = self.registry.validators
        none = Validator()
        return [i for i, v in enumerate(self.beacon.validators) if book.get(v.key, none).topped_at]

    def on_beacon(self) -> int:
        """Return the wei of counted validators: balances, and pending deposits for them."""
        beacon = self.beacon
        keys = {beacon.validators[index].key: beacon.validators[index].balance for index in self.counted()}
        pending = sum(deposit.amount for deposit in beacon.pending_deposits if deposit.key in keys)
        return (sum(keys.values()) + pending) * GWEI

    def credit(self, paid: list[Withdrawal]) -> None:
        """Pay withdrawals to our vault; others' go where nobody looks."""
        vault = bytes.fromhex(WITHDRAWAL_VAULT[2:])
        counted = set(self.counted())
        ours = [withdrawal for withdrawal in paid if withdrawal.address == vault]
        self.credited += GWEI * sum(each.amount for each in ours if each.validator_index in counted)
        if ours:
            self.force(WITHDRAWAL_VAULT, GWEI * sum(each.amount for each in ours))


REGISTRY_ROLES = {"admin": bytes(32)} | {name: keccak(text=f"{name.upper()}_ROLE") for name in ("operators", "keeper")}
_SYSTEM_CONTRACT = keccak(text="system_contract(uint256)")[:4]


def _u(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _bytes(data: bytes) -> bytes:
    return _u(len(data)) + data + bytes(-len(data) % 32)


def _list(numbers: list[int]) -> bytes:
    return _u(len(numbers)) + b"".join(map(_u, numbers))


def _nodes(nodes: list[bytes]) -> bytes:
    return _u(len(nodes)) + b"".join(nodes)


def _tuple(*parts: bytes | tuple[bytes]) -> bytes:
    """ABI-encode arguments; a dynamic one comes inside a tuple."""
    head, tail = b"", b""
    size = sum(32 if isinstance(part, tuple) else len(part) for part in parts)
    for part in parts:
        if isinstance(part, tuple):
            head += _u(size + len(tail))
            tail += part[0]
        else:
            head += part
    return head + tail


def _header(header: Header) -> bytes:
    numbers = _u(header.slot) + _u(header.proposer_index)
    return numbers + header.parent_root + header.state_root + header.body_root


def encode_proof(proof: Proof) -> bytes:
    """ABI-encode the registry's `Proof`."""
    fixed = _header(proof.header)
    witnesses = b"".join([_u(index) + b"".join(chunks) for index, chunks in proof.witnesses])
    return _tuple(_u(proof.timestamp), fixed, (_u(len(proof.witnesses)) + witnesses,), (_nodes(proof.branch),))


# --- proofs, honest and not ---

Twist = list[Any]
"""[what is wrong with a proof, a number that says where]; [] when nothing is."""


def make_proof(w: ValidatorWorld, indices: list[int], age: int, twist: Twist) -> Proof:
    """Prove validators of the block `age` blocks ago, then spoil the proof."""
    block = w.block_of(age)
    proof = block.state.prove(sorted({index % len(block.state.chunks) for index in indices}), block.timestamp)
    return SPOILED[twist[0]](proof, twist[1]) if twist else proof


def _flipped(node: bytes, position: int) -> bytes:
    at = position % 32
    return node[:at] + bytes([node[at] ^ 1 << position % 8]) + node[at + 1 :]


def _spoil_branch(proof: Proof, at: int) -> Proof:
    branch = list(proof.branch)
    branch[at % len(branch)] = _flipped(branch[at % len(branch)], at)
    return proof._replace(branch=branch)


def _spoil_chunk(proof: Proof, at: int) -> Proof:
    witnesses = list(proof.witnesses)
    index, chunks = witnesses[at % len(witnesses)]
    changed = list(chunks)
    changed[at % 8] = _flipped(chunks[at % 8], at)
    witnesses[at % len(witnesses)] = index, tuple(changed)
    return proof._replace(witnesses=witnesses)


def _spoil_index(proof: Proof, at: int) -> Proof:
    witnesses = list(proof.witnesses)
    index, chunks = witnesses[at % len(witnesses)]
    witnesses[at % len(witnesses)] = (index + (1, -1, 2**40, 2**41)[at % 4]) % 2**256, chunks
    return proof._replace(witnesses=witnesses)


def _spoil_header(proof: Proof, at: int) -> Proof:
    header: list[Any] = list(proof.header)
    field = at % 5
    header[field] = header[field] ^ 1 if field < 2 else _flipped(header[field], at)
    return proof._replace(header=Header(*header))


SPOILED: dict[str, Callable[[Proof, int], Proof]] = {
    "branch": _spoil_branch,
    "chunk": _spoil_chunk,
    "index": _spoil_index,
    "header": _spoil_header,
    "timestamp": lambda proof, at: proof._replace(timestamp=(proof.timestamp + at) % 2**256),
    "no time": lambda proof, _: proof._replace(timestamp=0),
    "short": lambda proof, at: proof._replace(branch=proof.branch[: -1 - at % 3]),
    "long": lambda proof, at: proof._replace(branch=proof.branch + [bytes(32)] * (1 + at % 3)),
    "swapped": lambda proof, _: proof._replace(witnesses=proof.witnesses[::-1]),
    "doubled": lambda proof, _: proof._replace(witnesses=[proof.witnesses[0], *proof.witnesses]),
    "empty": lambda proof, _: proof._replace(witnesses=[]),
}
"""Ways to spoil a proof, by name."""


# --- transactions ---


def _call(
    w: ValidatorWorld, sender: Address, signature: str, data: bytes, value: int, method: Any, arguments: tuple[Any, ...]
) -> Call:
    data = w.registry_selectors[signature] + data
    return sender, VALIDATOR_REGISTRY, data, value, w.whole(method), arguments, (), (), ()


def _keys(numbers: list[int], cut: int) -> bytes:
    """Public keys, one after the other, with `cut` bytes too few."""
    return b"".join(map(pubkey_of, numbers))[: len(numbers) * 48 - cut]


def predeposit(
    w: ValidatorWorld, sender: Address, value: int, operator: int, numbers: list[int], good: list[int], cut: int
) -> Call:
    """`good` says whose signature is good: the others are somebody else's."""
    ours = w.registry.credentials
    pubkeys, signatures = _keys(numbers, cut), b""
    for number, is_good in zip(numbers, good, strict=True):
        signatures += sign(pubkey_of(number), ours if is_good else bytes(32), GWEI)
    data = _tuple(_u(operator), (_bytes(pubkeys),), (_bytes(signatures),))
    arguments = (sender, value, operator, pubkeys, signatures)
    return _call(w, sender, "predeposit(uint256,bytes,bytes)", data, value, w.registry.predeposit, arguments)


_PROOF = "(uint256,(uint64,uint64,bytes32,bytes32,bytes32),(uint256,bytes32[8])[],bytes32[])"


def prove(w: ValidatorWorld, sender: Address, indices: list[int], age: int, twist: Twist) -> Call:
    proof = make_proof(w, indices, age, twist)
    return _call(w, sender, f"prove({_PROOF})", _tuple((encode_proof(proof),)), 0, w.registry.prove, (proof,))


def _one(w: ValidatorWorld, index: int, age: int, twist: Twist) -> tuple[bytes, tuple[Any, ...]]:
    """Prove one validator; returns calldata, all of it static but for the branch, and the model's arguments."""
    proof = make_proof(w, [index], age, twist)
    index, chunks = proof.witnesses[0] if proof.witnesses else (2**40, (bytes(32),) * 8)
    fixed = _u(proof.timestamp) + _header(proof.header) + _u(index) + b"".join(chunks)
    return fixed, (proof.timestamp, proof.header, index, chunks, proof.branch)


_STATIC = "uint256,(uint64,uint64,bytes32,bytes32,bytes32),(uint256,bytes32[8]),bytes32[]"


def prove_one(w: ValidatorWorld, sender: Address, index: int, age: int, twist: Twist) -> Call:
    fixed, arguments = _one(w, index, age, twist)
    data = _tuple(fixed, (_nodes(arguments[-1]),))
    return _call(w, sender, f"prove_one({_STATIC})", data, 0, w.registry.prove_one, arguments)


def top_up(w: ValidatorWorld, sender: Address, numbers: list[int], amounts: list[int], cut: int) -> Call:
    pubkeys = _keys(numbers, cut)
    data = _tuple((_bytes(pubkeys),), (_list(amounts),))
    return _call(w, sender, "top_up(bytes,uint256[])", data, 0, w.registry.top_up, (pubkeys, amounts))


def prove_withdrawn(w: ValidatorWorld, sender: Address, index: int, age: int, twist: Twist, at: int) -> Call:
    """`at` other than 0 spoils the branch of the balance."""
    state = w.block_of(age).state
    fixed, arguments = _one(w, index, age, twist)
    balance, branch = state.prove_balance(index % len(state.chunks))
    if at % 3 == 1:
        balance = _flipped(balance, at)
    elif at % 3 == 2:
        branch = branch[:-1]
    data = _tuple(fixed, (_nodes(arguments[-1]),), balance, (_nodes(branch),))
    signature = f"prove_withdrawn({_STATIC},bytes32,bytes32[])"
    return _call(w, sender, signature, data, 0, w.registry.prove_withdrawn, (*arguments, balance, branch))


def request_withdrawals(
    w: ValidatorWorld, sender: Address, value: int, numbers: list[int], amounts: list[int], day: int, cut: int
) -> Call:
    pubkeys = _keys(numbers, cut)
    data = _tuple((_bytes(pubkeys),), (_list(amounts),), _u(day))
    return _call(
        w, sender, "request_withdrawals(bytes,uint256[],uint256)", data, value, w.registry.request_withdrawals,
        (sender, value, pubkeys, amounts, day),
    )  # fmt: skip


def consolidate(
    w: ValidatorWorld, sender: Address, value: int, sources: list[int], targets: list[int], cut: int
) -> Call:
    source_keys, target_keys = _keys(sources, 0), _keys(targets, cut)
    data = _tuple((_bytes(source_keys),), (_bytes(target_keys),))
    arguments = (sender, value, source_keys, target_keys)
    return _call(w, sender, "consolidate(bytes,bytes)", data, value, w.registry.consolidate, arguments)


def record_exits(w: ValidatorWorld, sender: Address) -> Call:
    return _call(w, sender, "record_exits()", b"", 0, w.registry.record_exits, ())


def add_bond(w: ValidatorWorld, sender: Address, value: int, operator: int) -> Call:
    return _call(w, sender, "add_bond(uint256)", _u(operator), value, w.registry.add_bond, (sender, value, operator))


def withdraw_bond(w: ValidatorWorld, sender: Address, operator: int, amount: int) -> Call:
    data = _u(operator) + _u(amount)
    arguments = (sender, operator, amount)
    return _call(w, sender, "withdraw_bond(uint256,uint256)", data, 0, w.registry.withdraw_bond, arguments)


def set_reward_address(w: ValidatorWorld, sender: Address, operator: int, account: Address) -> Call:
    data = _u(operator) + ADDRESS_WORD[account]
    arguments = (sender, operator, account)
    return _call(w, sender, "set_reward_address(uint256,address)", data, 0, w.registry.set_reward_address, arguments)


def add_operator(
    w: ValidatorWorld, sender: Address, manager: Address, reward_address: Address, weight: int, limit: int
) -> Call:
    data = ADDRESS_WORD[manager] + ADDRESS_WORD[reward_address] + _u(weight) + _u(limit)
    arguments = (sender, manager, reward_address, weight, limit)
    return _call(
        w, sender, "add_operator(address,address,uint256,uint256)", data, 0, w.registry.add_operator, arguments
    )


def set_operator(w: ValidatorWorld, sender: Address, operator: int, manager: Address, weight: int, limit: int) -> Call:
    data = _u(operator) + ADDRESS_WORD[manager] + _u(weight) + _u(limit)
    arguments = (sender, operator, manager, weight, limit)
    return _call(
        w, sender, "set_operator(uint256,address,uint256,uint256)", data, 0, w.registry.set_operator, arguments
    )


def set_registry_parameters(w: ValidatorWorld, sender: Address, slashing_bps: int, promise: int) -> Call:
    arguments = (sender, RegistryParameters(slashing_bps, promise))
    data = _u(slashing_bps) + _u(promise)
    return _call(w, sender, "set_parameters((uint256,uint256))", data, 0, w.registry.set_parameters, arguments)


def add_fork(w: ValidatorWorld, sender: Address, first_slot: int, validators: int, balances: int) -> Call:
    data = _u(first_slot) + _u(validators) + _u(balances)
    arguments = (sender, Fork(first_slot, validators, balances))
    return _call(w, sender, "add_fork((uint256,uint256,uint256))", data, 0, w.registry.add_fork, arguments)


def change_registry_role(w: ValidatorWorld, sender: Address, role: str, account: Address, given: int) -> Call:
    name = "grantRole(bytes32,address)" if given else "revokeRole(bytes32,address)"
    method = w.registry.roles.grant if given else w.registry.roles.revoke
    return _call(w, sender, name, REGISTRY_ROLES[role] + ADDRESS_WORD[account], 0, method, (sender, role, account))


def pay_registry(_: ValidatorWorld, sender: Address, value: int) -> Call:
    """Plain ETH, which only the pool may send."""
    return sender, VALIDATOR_REGISTRY, b"", value, _refuse_ether, (), (), (), ()


def _refuse_ether() -> None:
    raise Revert("caller: not the pool")


def vault_request(w: ValidatorWorld, sender: Address, value: int, kind: int, number: int) -> Call:
    """Ask the vault for a withdrawal past the registry."""
    payload = pubkey_of(number) + bytes(8)
    data = keccak(text="request(uint256,bytes[],address)")[:4]
    data += _tuple(_u(kind), (_u(1) + _u(32) + _bytes(payload),), ADDRESS_WORD[sender])
    method = w.whole(w.pool.withdrawal_vault.request)
    return sender, WITHDRAWAL_VAULT, data, value, method, (sender, value, kind, [payload], sender), (), (), ()


def set_system_contract(w: ValidatorWorld, sender: Address, kind: int, contract: Address) -> Call:
    data = keccak(text="set_system_contract(uint256,address)")[:4] + _u(kind) + ADDRESS_WORD[contract]
    method = w.whole(w.pool.withdrawal_vault.set_system_contract)
    return sender, WITHDRAWAL_VAULT, data, 0, method, (sender, kind, contract), (), (), ()


def foreign_deposit(w: ValidatorWorld, sender: Address, number: int, ours: int, good: int, amount: int) -> Call:
    """Deposit past the registry, for any key; `ours` says whose the withdrawal credentials are."""
    pubkey = pubkey_of(number)
    credentials = w.registry.credentials if ours else b"\x01" + bytes(11) + bytes.fromhex(OUTSIDER[2:])
    signature = sign(pubkey, credentials, amount) if good else sha256(b"bad").digest() * 3
    chunk = amount.to_bytes(8, "little") + bytes(24)
    halves = sha256(signature[:64]).digest() + sha256(signature[64:] + bytes(32)).digest()
    signature_root = sha256(halves).digest()
    left = sha256(key_of(pubkey) + credentials).digest()
    root = sha256(left + sha256(chunk + signature_root).digest()).digest()
    data = keccak(text="deposit(bytes,bytes,bytes,bytes32)")[:4]
    data += _tuple((_bytes(pubkey),), (_bytes(credentials),), (_bytes(signature),), root)
    arguments = (sender, Deposit(pubkey, credentials, amount, signature))
    return sender, DEPOSITS, data, amount * GWEI, w.system.deposit_contract.deposit, arguments, (), (), ()


def foreign_request(w: ValidatorWorld, sender: Address, value: int, kind: int, source: int, other: int) -> Call:
    """Ask a request contract past the vault, for validators named by index; `other` is the amount or the target."""
    kind, contract = (1, WITHDRAWALS) if kind == 1 else (2, CONSOLIDATIONS)
    payload = _pubkey_at(w, source) + (other.to_bytes(8, "big") if kind == 1 else _pubkey_at(w, other))
    return sender, contract, payload, value, _request, (w, contract, sender, payload, value), (), (), ()


def _pubkey_at(w: ValidatorWorld, index: int) -> bytes:
    return pubkey_of(NUMBERS[w.beacon.validators[index % len(w.beacon.validators)].key])


def _request(w: ValidatorWorld, contract: Address, sender: Address, payload: bytes, value: int) -> None:
    if not w.system.requests[contract].add(sender, payload, value):
        raise Revert("")


VALIDATOR_CALLS: dict[str, Callable[..., Call]] = {
    function.__name__: function
    for function in (
        predeposit, prove, prove_one, top_up, prove_withdrawn, request_withdrawals, consolidate, record_exits, add_bond,
        withdraw_bond, set_reward_address, add_operator, set_operator, set_registry_parameters, add_fork,
        change_registry_role, pay_registry, vault_request, set_system_contract, foreign_deposit, foreign_request,
    )
}  # fmt: skip
CALLS |= VALIDATOR_CALLS


# --- what the beacon chain and the oracle do ---


def make_block(w: ValidatorWorld, seconds: int, drops: int = 0) -> None:
    """Let time pass, then make a block of the beacon chain; `drops` of its requests get lost."""
    beacon = w.beacon
    later = w.chain.now + max(seconds, 1) - beacon.genesis_time
    slot = -(-later // SECONDS_PER_SLOT)
    w.travel(beacon.genesis_time + slot * SECONDS_PER_SLOT - w.chain.now)
    paid = beacon.run(slot)
    if w.system.deposit_contract.deposits != w.logged:
        raise Mismatch("the deposit contract logged what the model does not know")
    w.credit(paid)
    for deposit in w.logged:
        good = deposit.signature == sign(deposit.pubkey, deposit.credentials, deposit.amount)
        beacon.deposit(key_of(deposit.pubkey), deposit.credentials, deposit.amount, good)
    w.logged.clear()
    w.system.deposit_contract.deposits.clear()
    _hand_over(w, drops)
    state = beacon.state()
    w.travel(SECONDS_PER_SLOT)
    w.evm.message_call(SYSTEM, BLOCK_ROOTS, state.header.root)
    ring = w.system.block_roots.ring
    ring.pop(w.chain.now % RING, None)
    for place in [place for place, (at, _) in ring.items() if at <= w.chain.now - RING * SECONDS_PER_SLOT]:
        # Blocks that are not made here would have taken the place.
        w.evm.insert_account_storage(BLOCK_ROOTS, place, 0)
        w.evm.insert_account_storage(BLOCK_ROOTS, place + RING, 0)
        del ring[place]
    w.system.block_roots.put(w.chain.now, state.header.root)
    pool = w.pool
    received = w.chain.ether[WITHDRAWAL_VAULT] + pool.withdrawn + pool.donated
    # Gifts that went to the pool as principal, when reports had stopped, and more than is left of all principal.
    beyond = max(pool.withdrawn - w.credited - w.on_beacon(), 0)
    w.blocks.append(
        Block(
            w.chain.now, state, w.on_beacon(), pool.deposited, w.credited + beyond, received - w.credited - beyond,
            w.queue.tail(), _losing(w), pool.raised_gwei,
        )
    )  # fmt: skip
    del w.blocks[:-KEPT_BLOCKS]


def _hand_over(w: ValidatorWorld, drops: int) -> None:
    """End the execution block: take the requests out of their contracts, and give the beacon chain what is not lost."""
    for contract, size in ((WITHDRAWALS, 56), (CONSOLIDATIONS, 96)):
        answer = w.evm.message_call(SYSTEM, contract, b"")
        wanted = w.system.requests[contract].dequeue()
        encoded = b""
        for sender, payload in wanted:
            payload = payload[:48] + payload[:47:-1] if size == 56 else payload  # the amount, the lowest byte first
            encoded += bytes.fromhex(sender[2:]) + payload
        if answer != encoded:
            raise Mismatch(f"{NAMES[contract]} hands over {answer.hex()}, model {encoded.hex()}")
        lost, drops = min(drops, len(wanted)), max(drops - len(wanted), 0)
        for sender, payload in wanted[lost:]:
            source = bytes.fromhex(sender[2:])
            if size == 56:
                w.beacon.request_withdrawal(source, key_of(payload[:48]), int.from_bytes(payload[48:], "big"))
            else:
                w.beacon.request_consolidation(source, key_of(payload[:48]), key_of(payload[48:]))
    w.evm.reset_transient_storage()


def _losing(w: ValidatorWorld) -> int:
    """Wei that counted validators will lose by correlation penalties that are still to come."""
    beacon = w.beacon
    return GWEI * sum(
        beacon.correlation_penalty(index, beacon.epoch)
        for index in w.counted()
        if beacon.validators[index].slashed
        and beacon.epoch + SLASHINGS_VECTOR // 2 <= beacon.validators[index].withdrawable_epoch
    )


def slash(w: ValidatorWorld, index: int) -> None:
    """Slash a validator, if it can be."""
    if w.beacon.is_slashable(index % len(w.beacon.validators)):
        w.beacon.slash(index % len(w.beacon.validators))


def leave(w: ValidatorWorld, index: int) -> None:
    """Let an operator exit a validator, if it may."""
    w.beacon.exit(index % len(w.beacon.validators))


def earn(w: ValidatorWorld, parts: int) -> None:
    """Let active validators earn (or lose) so many billionths of their balance."""
    for index, validator in enumerate(w.beacon.validators):
        if validator.activation_epoch <= w.beacon.epoch < validator.exit_epoch:
            w.beacon.earn(index, int(validator.balance * parts / 10**9))


def lose(w: ValidatorWorld, index: int, bps: int) -> None:
    """Take a part of one validator's balance, as a leak of inactivity does."""
    index %= len(w.beacon.validators)
    w.beacon.earn(index, -(w.beacon.validators[index].balance * bps // BPS))


def force_registry(w: ValidatorWorld, amount: int) -> None:
    """Push ETH into the registry."""
    w.force(VALIDATOR_REGISTRY, amount)
    w.forced += amount


def honest_report(w: ValidatorWorld, sender: Address, age: int, loss_bps: int) -> str | None:
    """Bring a report about the newest frame, or one `age` frames before it; nobody can make it revert."""
    oracle, pool = w.oracle, w.pool
    frame = oracle.frame_slots()
    newest = (w.chain.now - oracle.genesis_time) // oracle.seconds_per_slot // frame * frame
    slot = max(newest - age * frame, oracle.next_slot())
    block = next((block for block in reversed(w.blocks) if block.state.slot <= slot), None)
    if slot > newest or block is None or oracle.time_of(slot) + oracle.parameters.max_age < w.chain.now:
        return "nothing to report"
    # Gifts that went to the pool as principal were more than is left of it: what was told stays told.
    told = max(oracle.withdrawn_gwei * GWEI - block.withdrawn, 0)
    block = block._replace(withdrawn=block.withdrawn + told, donated=block.donated - told)
    fields = [
        slot, block.cl, block.deposited, block.withdrawn, block.donated, block.tail,
        block.losing * loss_bps // BPS, block.raised, 0, 0,
    ]  # fmt: skip
    before = Books.of(w)
    reason = w.run(submit(w, sender, fields, *agreed(w)))
    if reason is not None:
        able = all((role, REPORT_ORACLE) in pool.roles.members for role in (ORACLE_ROLE, PAUSER_ROLE))
        if able and not w.orders:
            raise Mismatch(f"INV-19: an honest report reverts: {reason}")
        return reason
    if oracle.held is not None:
        w.held_block = block
    else:
        before.judge(w, block)
    return None


def honest_accept(w: ValidatorWorld, sender: Address) -> str | None:
    """Let the council accept the report that is held."""
    held = w.oracle.held
    if held is None:
        return "nothing is held"
    before, block = Books.of(w), w.held_block
    reason = w.run(accept(w, sender, list(held)))
    if reason is None:
        assert block is not None
        before.judge(w, block)
    return reason


class Books(NamedTuple):
    """What the pool said before a report."""

    outside: int
    withdrawn: int
    room: int

    @classmethod
    def of(cls, w: ValidatorWorld) -> Books:
        """Return what the pool says now."""
        pool = w.pool
        room = pool.assets * pool.parameters.rise_bps * (w.chain.now - pool.report_at) // (BPS * YEAR)
        return cls(pool.outside, pool.withdrawn, room)

    def judge(self, w: ValidatorWorld, block: Block) -> None:
        """INV-02: what is outside is what the beacon chain has, is on its way there, or lies in the vault for us."""
        pool = w.pool
        there = block.cl + pool.deposited - block.deposited + block.withdrawn
        # What was swept after the block, beyond all there is, were gifts: the books do not follow below it.
        there = max(there, self.withdrawn)
        settled = block.losing == 0 == pool.raised_gwei - block.raised
        if there - self.withdrawn <= self.outside + self.room and settled:
            if pool.outside + pool.withdrawn != there:
                raise Mismatch(f"INV-02: outside {pool.outside} + {pool.withdrawn}, the beacon chain says {there}")
        elif pool.outside + pool.withdrawn > there:
            raise Mismatch(f"INV-02: more outside ({pool.outside} + {pool.withdrawn}) than there is ({there})")


DEEDS |= {
    function.__name__: function
    for function in (make_block, slash, leave, earn, lose, force_registry, honest_report, honest_accept)
}
