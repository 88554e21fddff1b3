"""One chain on which the contracts run beside the reference model.

A *call* is one transaction for both: who sends what to which contract, and the model's method and arguments that mean
the same. `World.run` makes it on both sides and demands the same answer or the same revert, the same state words and
the same ETH. `World.check_all` compares everything that is stored.

Built for speed, because the campaign runs millions: selectors and storage slots are computed once, calldata is put
together by hand, state is read from storage and not through calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NoReturn, Protocol

from coincurve import PrivateKey
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak
from pyrevm import EVM, BlockEnv, CfgEnv, Env

from floe import model
from floe.model.basics import DAY, GWEI, Address, Revert
from floe.model.oracle import FrameReport, OracleParameters
from floe.model.parameters import NAMES as PARAMETER_NAMES
from floe.model.queue import PARTLY_CLAIMED
from floe.model.registry import ChainConstants

CHAIN_ID = 1
MOST_CODE = 2**16
"""Bytes: more than Ethereum takes, for mutants that are compiled without optimization. The build minds the limit."""
GAS = 30_000_000
"""Gas of every transaction: a block's worth."""
GENESIS = 1_700_000_000
"""block.timestamp of the deployment."""
SEED = GWEI
WEALTH = 2**100
"""Wei that every actor starts with: more than the pool can hold."""

CONTRACTS = ("FloePool", "WithdrawalQueue", "RebasingToken", "WithdrawalVault", "ExecutionVault", "ReportOracle")
REGISTRY_CONTRACT, SPLITTER_CONTRACT = "ValidatorRegistry", "FeeSplitter"
"""Only worlds with validators need them."""
MOCKS = ("Reenterer", "EtherRefuser")

PARAMETERS = model.Parameters(
    fee_bps=1_000,
    rise_bps=1_000,
    target_bps=1_000,
    allowance_bps=500,
    instant_fee_min=1_000,
    instant_fee_max=30_000,
    period=86_400,
    stale_after=4 * 86_400,
)
CEILING_GWEI = 2**96 // GWEI
SECONDS_PER_SLOT, SLOTS_PER_EPOCH, SLASHINGS_VECTOR = 12, 32, 8_192
FIRST_EPOCH = 400
"""Of the beacon chain, when all is deployed."""
BEACON = ChainConstants(
    GENESIS - FIRST_EPOCH * SLOTS_PER_EPOCH * SECONDS_PER_SLOT, SECONDS_PER_SLOT, SLOTS_PER_EPOCH, SLASHINGS_VECTOR
)
ORACLE_PARAMETERS = OracleParameters(
    frame_epochs=1,
    max_age=DAY,
    resolve_time=DAY,
    loss_bps=100,
    window_bps=300,
    window=36 * DAY,
    alarm_bps=100,
)
QUORUM = 2


class Compiled(Protocol):
    """What is needed of a compiled contract: `floe.build.Artifact` has it, and so may a mutant."""

    @property
    def initcode(self) -> bytes:
        """Creation code without constructor arguments."""
        ...

    @property
    def layout(self) -> dict[str, Any]:
        """Vyper's storage layout."""
        ...

    @property
    def method_ids(self) -> dict[str, str]:
        """Selector (hex) by signature."""
        ...


class Mismatch(AssertionError):  # noqa: N818
    """Contracts and model differ, or an invariant does not hold."""


# --- who is who ---


def account_of(name: str) -> Address:
    """Return an account that nobody has a key of."""
    return "0x" + keccak(text=name)[12:].hex()


def _address_of(key: PrivateKey) -> Address:
    return "0x" + keccak(key.public_key.format(compressed=False)[1:])[12:].hex()


STAKER_KEYS = [PrivateKey(keccak(text=f"staker {i}")) for i in range(4)]
STAKERS: list[Address] = list(map(_address_of, STAKER_KEYS))
"""They have a key, so they can sign permits."""
MEMBER_KEYS = [PrivateKey(keccak(text=f"member {i}")) for i in range(4)]
MEMBERS: list[Address] = list(map(_address_of, MEMBER_KEYS))
"""They may be in the oracle's committee; the first three are at first."""
DEPLOYER, FAUCET, OUTSIDER, OPERATOR, ORACLE, PAUSER, TREASURER = map(
    account_of, ("deployer", "faucet", "outsider", "operator", "oracle", "pauser", "treasurer")
)


def created(nonce: int, deployer: Address = DEPLOYER) -> Address:
    """Address of the contract that the deployer creates with this nonce (below 128)."""
    rlp = b"\x94" + bytes.fromhex(deployer[2:]) + (bytes([nonce]) if nonce else b"\x80")
    return "0x" + keccak(bytes([0xC0 + len(rlp)]) + rlp)[12:].hex()


# In the order of their deployment.
ADMIN, REGISTRY, REENTERER, REFUSER, BURNER, GORGER = map(created, range(6))
WITHDRAWAL_VAULT, EXECUTION_VAULT, POOL, QUEUE, TOKEN, REPORT_ORACLE = map(created, range(6, 12))
SCARCE_GAS = {QUEUE: 160_000, REPORT_ORACLE: 250_000}
"""Enough for a claim, or for a report, but not for what must be left then: for the receiver, or to pay exits."""
COUNCIL = PAUSER
"""Decides on held reports, and about operators."""

REENTERERS = (ADMIN, REGISTRY, REENTERER)
"""They take ETH and tickets, unless they have an order."""
CODED = frozenset((*REENTERERS, REFUSER, BURNER, GORGER))
"""Actors with code."""
ACTORS: list[Address] = [*STAKERS, OUTSIDER, OPERATOR, ORACLE, PAUSER, TREASURER, *REENTERERS, REFUSER, BURNER, GORGER]
"""ORACLE is one that the admin may appoint besides the contract."""
PROTOCOL: list[Address] = [POOL, QUEUE, TOKEN, WITHDRAWAL_VAULT, EXECUTION_VAULT]
EVERYBODY: list[Address] = [*ACTORS, *PROTOCOL]
REFUSING: set[Address] = {*CODED} - {*REENTERERS} | {TOKEN, WITHDRAWAL_VAULT, EXECUTION_VAULT}
"""Accounts that may refuse what arrives; a Reenterer does only when ordered to. Other worlds have more."""

NAMES: dict[Address, str] = {
    **{account: f"staker {i}" for i, account in enumerate(STAKERS)},
    OUTSIDER: "outsider", OPERATOR: "operator", ORACLE: "oracle", PAUSER: "pauser", TREASURER: "treasurer",
    ADMIN: "admin", REGISTRY: "registry", REENTERER: "reenterer", REFUSER: "refuser", BURNER: "burner",
    GORGER: "gorger", POOL: "pool", QUEUE: "queue", TOKEN: "token", WITHDRAWAL_VAULT: "withdrawal vault",
    EXECUTION_VAULT: "execution vault", FAUCET: "faucet", model.ZERO: "nobody", REPORT_ORACLE: "report oracle",
    **{account: f"member {i}" for i, account in enumerate(MEMBERS)},
}  # fmt: skip
SENDS_NOTHING = {REPORT_ORACLE}
"""Contracts with roles that act only when they are called."""
ADDRESS_WORD: dict[Address, bytes] = {account: bytes(12) + bytes.fromhex(account[2:]) for account in NAMES}
"""Addresses as words of calldata."""
ROLE_IDS = {"admin": bytes(32)} | {
    name: keccak(text=f"{name.upper()}_ROLE") for name in ("oracle", "registry", "pauser")
}
ORACLE_ROLE_IDS = {"admin": bytes(32), "council": keccak(text="COUNCIL_ROLE")}

# --- the oracle's digests ---

_REPORT_TYPE = keccak(
    text="Report(uint256 ref_slot,uint256 cl,uint256 deposited_at_ref,uint256 withdrawn_at_ref,uint256 donated_at_ref,"
    "uint256 queue_tail_at_ref,uint256 pending_loss,uint256 raised_at_ref,bytes32 balances_root,bytes32 balances_hash)"
)
DOMAIN_TYPE = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_ORACLE_DOMAIN = keccak(
    DOMAIN_TYPE
    + keccak(text="Floe ReportOracle")
    + keccak(text="1")
    + CHAIN_ID.to_bytes(32, "big")
    + ADDRESS_WORD[REPORT_ORACLE]
)


@lru_cache(maxsize=1_024)
def encode_report(report: FrameReport) -> bytes:
    """ABI-encode a report of the oracle."""
    return b"".join([number.to_bytes(32, "big") for number in report])


@lru_cache(maxsize=1_024)
def digest_of(report: FrameReport) -> int:
    """Return what members sign (EIP-712), as a number."""
    return int.from_bytes(keccak(b"\x19\x01" + _ORACLE_DOMAIN + keccak(_REPORT_TYPE + encode_report(report))), "big")


# --- calls ---

Accounts = tuple[Address, ...]
Call = tuple[
    Address, Address, bytes, int, Callable[..., Any], tuple[Any, ...], Accounts, tuple[int, ...], Accounts
]  # fmt: skip
"""Sender, target, calldata, wei; the model's method and arguments; accounts and tickets whose storage to compare; and
accounts that may refuse what arrives at them when the model has already changed."""

MOST_PASSED_ON = 128
"""Bytes that a contract passes on of the answer to a call that it was told to make."""
REFUSE, REACT, INSIST, MISANSWER = 1, 2, 4, 8
"""Orders to a Reenterer: refuse what arrives; make a call then; the same, and refuse if it reverts; answer wrongly."""


_PAYLOAD_AT = (96).to_bytes(32, "big")


def _bytes(data: bytes) -> bytes:
    """ABI-encode bytes: length, content, filled up to whole words."""
    return len(data).to_bytes(32, "big") + data + bytes(-len(data) % 32)


def encode_answer(answer: Any) -> bytes:
    """ABI-encode what a method of the model returned: nothing, one number, several, or a list of them."""
    if answer is None:
        return b""
    if answer.__class__ is list:
        return b"".join([part.to_bytes(32, "big") for part in (32, len(answer), *answer)])
    if answer.__class__ is tuple:
        return b"".join([part.to_bytes(32, "big") for part in answer])
    return answer.to_bytes(32, "big")  # type: ignore[no-any-return]


@cache
def encode_error(reason: str) -> bytes:
    """ABI-encode a revert reason; none is no data."""
    return keccak(text="Error(string)")[:4] + abi_encode(["string"], [reason]) if reason else b""


@cache
def _decode_error(output: str) -> str:
    data = bytes.fromhex(output)
    if not data:
        return ""
    if data[:4] != encode_error("any")[:4]:
        return f"data 0x{output}"
    return data[68 : 68 + int.from_bytes(data[36:68], "big")].decode()


def reason_of(error: RuntimeError) -> str:
    """Revert reason in pyrevm's error; "halt: ..." when the EVM stopped the call."""
    text: str = error.args[0]
    if text.startswith("Revert {"):
        return _decode_error(text[text.index("output: 0x") + 10 : -2])
    return f"halt: {text}"


# --- storage ---


def _key(key: int | Address) -> bytes:
    return ADDRESS_WORD[key] if isinstance(key, str) else key.to_bytes(32, "big")


class MappingSlots(dict[Any, int]):
    """Slots of a HashMap by key, or by tuple of keys when it is nested. Computed when first asked for."""

    def __init__(self, base: int) -> None:
        super().__init__()
        self.base = base

    def __missing__(self, key: Any) -> int:
        slot = self.base.to_bytes(32, "big")
        for part in key if isinstance(key, tuple) else (key,):
            slot = keccak(slot + (part if isinstance(part, bytes) else _key(part)))
        self[key] = int.from_bytes(slot, "big")
        return self[key]


def slots(artifact: Compiled) -> dict[str, int]:
    """Slot by variable name, whichever module it lives in."""
    found: dict[str, int] = {}

    def walk(layout: dict[str, Any]) -> None:
        for name, entry in layout.items():
            if "slot" in entry:
                if name in found:
                    raise ValueError(f"two variables are called {name}")
                found[name] = entry["slot"]
            else:
                walk(entry)

    walk(artifact.layout.get("storage_layout", {}))
    return found


def _refuse(reason: str) -> NoReturn:
    raise Revert(reason)


class World:
    """The contracts in a pyrevm chain, and the model of them."""

    def __init__(self, artifacts: Mapping[str, Compiled]) -> None:
        """Deploy on both sides; `artifacts` holds all of CONTRACTS and MOCKS by name."""
        self.evm = EVM(
            env=Env(cfg=CfgEnv(chain_id=CHAIN_ID, limit_contract_code_size=MOST_CODE)), gas_limit=GAS, spec_id="PRAGUE"
        )
        self._storage, self._balance = self.evm.storage, self.evm.get_balance
        self._deploy(artifacts)
        self._look_up(artifacts)
        accounts = model.Accounts(
            POOL, QUEUE, WITHDRAWAL_VAULT, EXECUTION_VAULT, TOKEN, ADMIN, REPORT_ORACLE, REGISTRY, PAUSER, TREASURER
        )
        self.model = model.Protocol(accounts, PARAMETERS, CEILING_GWEI, SEED, GENESIS)
        self.oracle = self.model.add_oracle(
            REPORT_ORACLE, ADMIN, COUNCIL, MEMBERS[:3], QUORUM, BEACON, ORACLE_PARAMETERS
        )
        self.chain, self.pool, self.queue, self.token = (
            self.model.chain, self.model.pool, self.model.queue, self.model.token
        )  # fmt: skip
        self.chain.ether |= dict.fromkeys(ACTORS, WEALTH) | {FAUCET: 2**200, TOKEN: 0}
        self.committee: tuple[tuple[Any, ...], dict[int, FrameReport]] = ((), {})
        """Quorum, members and votes that were the same when they were last compared."""
        self.orders: dict[Address, tuple[int, Call | None]] = {}
        """Of the transaction under way: a Reenterer's order, and the call it makes."""
        self.reacting = False
        self.reactions: dict[Address, tuple[int, int]] = dict.fromkeys(REENTERERS, (0, 0))
        """Reactions so far and digest of the last one, as the Reenterer stores them."""
        for account in REENTERERS:
            self.chain.on_ether[account] = self._on_ether(account)
            self.chain.on_ticket[account] = self._on_ticket(account)
            self.chain.on_signature[account] = self._on_signature(account)
        for account in (REFUSER, BURNER, TOKEN):
            self.chain.on_ether[account] = lambda *_: False
        self.chain.on_ether[GORGER] = lambda _, __, gas: gas is None
        for account in (REFUSER, BURNER, GORGER, TOKEN, WITHDRAWAL_VAULT, EXECUTION_VAULT):
            reason = "refuser: refused" if account == REFUSER else ""
            self.chain.on_ticket[account] = lambda *_, reason=reason: _refuse(reason)
        self.total_ether = sum(self.chain.ether.values())
        """Wei of everybody together: never changes."""
        self.transactions = 0
        """Calls made so far."""
        self.words, self.oracle_words = self.pool.words(), self.oracle.words()
        self.keep()
        self.check_all()

    # --- set-up ---

    def _deploy(self, artifacts: Mapping[str, Compiled]) -> None:
        evm = self.evm
        evm.set_balance(FAUCET, 2**200)
        evm.set_balance(DEPLOYER, WEALTH)
        evm.set_block_env(BlockEnv(timestamp=GENESIS))
        numbers = tuple(getattr(PARAMETERS, name) for name in PARAMETER_NAMES)
        setup = (
            QUEUE, WITHDRAWAL_VAULT, EXECUTION_VAULT, ADMIN, REPORT_ORACLE, REGISTRY, PAUSER, TREASURER, CEILING_GWEI,
            numbers,
        )  # fmt: skip
        setup_type = "(" + "address," * 8 + "uint256,(" + ",".join(["uint256"] * 8) + "))"
        oracle_types = ["address"] * 3 + [
            "address[]",
            "uint256",
            "(uint256,uint256,uint256)",
            f"({','.join(['uint256'] * 7)})",
        ]
        oracle = [POOL, ADMIN, COUNCIL, MEMBERS[:3], QUORUM, BEACON[:3], tuple(ORACLE_PARAMETERS)]
        ways = ((REFUSER, 1), (BURNER, 2), (GORGER, 4))
        plan: list[tuple[Address, str, list[str], list[Any], int]] = [
            *((account, "Reenterer", [], [], 0) for account in REENTERERS),
            *((account, "EtherRefuser", ["uint256"], [way], 0) for account, way in ways),
            (WITHDRAWAL_VAULT, "WithdrawalVault", ["address"], [POOL], 0),
            (EXECUTION_VAULT, "ExecutionVault", ["address"], [POOL], 0),
            (POOL, "FloePool", [setup_type], [setup], SEED),
            (QUEUE, "WithdrawalQueue", ["address"], [POOL], 0),
            (TOKEN, "RebasingToken", ["address"], [POOL], 0),
            (REPORT_ORACLE, "ReportOracle", oracle_types, oracle, 0),
        ]
        for account, name, types, arguments, value in plan:
            deployed = evm.deploy(DEPLOYER, artifacts[name].initcode + abi_encode(types, arguments), value)
            evm.reset_transient_storage()
            if deployed.lower() != account:
                raise Mismatch(f"{name} is at {deployed}, expected {account}")
        for account in ACTORS:
            evm.set_balance(account, WEALTH)

    def _look_up(self, artifacts: Mapping[str, Compiled]) -> None:
        selectors = {
            name: {text: int(number, 16).to_bytes(4, "big") for text, number in artifacts[name].method_ids.items()}
            for name in (*CONTRACTS, *MOCKS)
        }
        self.pool_selectors = selectors["FloePool"]
        self.queue_selectors = selectors["WithdrawalQueue"]
        self.token_selectors = selectors["RebasingToken"]
        self.vault_selectors = selectors["WithdrawalVault"]
        self.sweep_selector = self.vault_selectors["sweep(uint256)"]
        self.execute_selector = selectors["Reenterer"]["execute(address,bytes,uint256)"]
        self.order_selector = selectors["Reenterer"]["order(uint256,address,bytes,uint256)"]

        self.oracle_selectors = selectors["ReportOracle"]

        pool, queue, token = (slots(artifacts[name]) for name in CONTRACTS[:3])
        oracle = slots(artifacts["ReportOracle"])
        self.oracle_slots = tuple(oracle[name] for name in ("live", "last_word", "losses", "held_times"))
        self.held_digest_slot, self.places_slot = oracle["held_digest"], oracle["places"]
        self.votes_slot, self.oracle_role_slots = oracle["votes"], MappingSlots(oracle["hasRole"])
        self.word_slots = tuple(
            pool[name] for name in ("totals", "stream_word", "away", "past", "exits", "flows", "live", "donated")
        )
        self.fee_recipient_slot = pool["fee_recipient"]
        self.head_slot, self.line_slot = queue["head"], queue["line"]
        self.total_shares_slot = token["total_shares"]
        self.balance_slots, self.wrapped_slots = MappingSlots(pool["balances"]), MappingSlots(token["shares_of"])
        self.allowance_slots = {POOL: MappingSlots(pool["allowance"]), TOKEN: MappingSlots(token["allowance"])}
        self.nonce_slots = {POOL: MappingSlots(pool["nonces"]), TOKEN: MappingSlots(token["nonces"])}
        self.role_slots = MappingSlots(pool["hasRole"])
        self.point_slots, self.ticket_slots = MappingSlots(queue["points"]), MappingSlots(queue["slots"])
        self.progress_slots, self.approval_slots = MappingSlots(queue["progress"]), MappingSlots(queue["approvals"])
        self.held_slots, self.operator_slots = MappingSlots(queue["balances"]), MappingSlots(queue["isApprovedForAll"])

    # --- time ---

    def keep(self) -> None:
        """Make this the state that `reset` goes back to."""
        self._kept = self.model.checkpoint(), dict(self.reactions)
        self._checkpoint = self.evm.snapshot()

    def reset(self) -> None:
        """Go back on both sides to the state kept."""
        self.evm.revert(self._checkpoint)
        self._checkpoint = self.evm.snapshot()
        self.evm.reset_transient_storage()
        state, reactions = self._kept
        self.model.restore(state)
        self.reactions = dict(reactions)
        self.words, self.oracle_words = self.pool.words(), self.oracle.words()
        self.travel(0)

    def travel(self, seconds: int) -> None:
        """Let time pass."""
        self.chain.now += seconds
        self.evm.set_block_env(BlockEnv(timestamp=self.chain.now))

    # --- transactions ---

    def run(self, call: Call) -> str | None:
        """Make a call on both sides and compare. Returns the revert reason, None when it succeeded."""
        sender, target, data, value, method, arguments, accounts, tickets, visited = call
        self.transactions += 1
        answer: Any = None
        reason: str | None = None
        try:
            late = self.orders or self.chain.scarce or not REFUSING.isdisjoint(visited)
            answer = self._attempt(method, arguments) if late else method(*arguments)
        except Revert as revert:
            reason = revert.reason
        evm = self.evm
        if self.orders:
            self._give_orders()
        if sender in CODED:
            # A contract sends no transaction: somebody makes it call.
            data = self.execute_selector + ADDRESS_WORD[target] + _PAYLOAD_AT + value.to_bytes(32, "big") + _bytes(data)
            sender, contract, value = FAUCET, sender, 0
        else:
            contract = target
        got: str | None = None
        output = b""
        try:
            output = evm.message_call(sender, contract, data, value, SCARCE_GAS[target] if self.chain.scarce else None)
        except RuntimeError as error:
            got = reason_of(error)
        evm.reset_transient_storage()
        if got != reason:
            raise Mismatch(f"contract: {_ending(got)}, model: {_ending(reason)}")
        if reason is not None:
            # The EVM took everything back; so must the model have.
            if self.pool.words() != self.words:
                raise Mismatch("the model changed although it reverted")
            if target == REPORT_ORACLE and self.oracle.words() != self.oracle_words:
                raise Mismatch("the model of the oracle changed although it reverted")
            return reason
        expected = answer.to_bytes(32, "big") if answer.__class__ is int else encode_answer(answer)
        if output != (expected[:MOST_PASSED_ON] if call[0] in CODED else expected):
            raise Mismatch(f"contract returns 0x{output.hex()}, model {answer}")
        self.check(target, accounts, tickets)
        return None

    def whole(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Let a method of the model change nothing when it reverts."""
        return lambda *arguments: self.model.attempt(lambda: method(*arguments))

    def force(self, target: Address, amount: int) -> None:
        """Push ETH into an account and run none of its code, as the beacon chain and self-destruction do."""
        if target in (WITHDRAWAL_VAULT, EXECUTION_VAULT):  # they take it anyway, and a transfer is quicker
            self.evm.message_call(FAUCET, target, b"", amount)
        else:
            self.evm.deploy(FAUCET, b"\x73" + ADDRESS_WORD[target][12:] + b"\xff", amount)
        self.chain.move(FAUCET, target, amount)
        self.check(target, (), ())

    def _attempt(self, method: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """As a transaction of the model, because it may revert late: then what it did is undone."""
        reactions = dict(self.reactions)
        try:
            return self.model.attempt(lambda: method(*arguments))
        except Revert:
            self.reactions = reactions
            raise
        finally:
            self.reacting = False

    def _give_orders(self) -> None:
        # Transient storage lasts until it is reset: until the end of the transaction that follows.
        for account, (conduct, call) in self.orders.items():
            target, data, value = (call[1], call[2], call[3]) if call else (model.ZERO, b"", 0)
            head = conduct.to_bytes(32, "big") + ADDRESS_WORD[target] + (128).to_bytes(32, "big")
            order = self.order_selector + head + value.to_bytes(32, "big") + _bytes(data)
            self.evm.message_call(FAUCET, account, order, 0, GAS)

    def _on_ether(self, account: Address) -> Callable[[Address, int, int | None], bool]:
        def on_ether(_: Address, __: int, ___: int | None) -> bool:
            try:
                self._react(account)
            except Revert:
                return False
            return True

        return on_ether

    def _on_ticket(self, account: Address) -> Callable[[Address, Address, int], bool]:
        def on_ticket(_: Address, __: Address, ___: int) -> bool:
            self._react(account)
            return self.orders.get(account, (0, None))[0] != MISANSWER

        return on_ticket

    def _on_signature(self, account: Address) -> Callable[[Any, Any], bool]:
        return lambda message, signature: signature.signer == account and signature.signed == message

    def _react(self, account: Address) -> None:
        """Do what contracts/mocks/Reenterer.vy does."""
        conduct, call = self.orders.get(account, (0, None))
        if conduct == REFUSE:
            raise Revert("reenterer: refused")
        if call is None or conduct not in (REACT, INSIST) or self.reacting:
            return
        self.reacting = True
        try:
            output = b"\x01" + encode_answer(self.model.attempt(lambda: call[4](*call[5])))[:MOST_PASSED_ON]
        except Revert as revert:
            if conduct == INSIST:
                raise Revert("reenterer: call failed") from None
            output = b"\x00" + encode_error(revert.reason)[:MOST_PASSED_ON]
        finally:
            self.reacting = False
        count, _ = self.reactions[account]
        self.reactions[account] = count + 1, int.from_bytes(keccak(output), "big")

    # --- comparison ---

    def check(self, target: Address, accounts: Accounts, tickets: tuple[int, ...]) -> None:
        """Compare the state words, the ETH of the protocol, and the storage of some accounts and tickets."""
        pool, queue, token, ether = self.pool, self.queue, self.token, self.chain.ether
        storage, balance = self._storage, self._balance
        before, words = self.words, pool.words()
        self.words = words
        a, b, c, d, e, f, g, h = self.word_slots
        if words != (
            storage(POOL, a), storage(POOL, b), storage(POOL, c), storage(POOL, d),
            storage(POOL, e), storage(POOL, f), storage(POOL, g), storage(POOL, h),
        ):  # fmt: skip
            self._explain_words()
        if target == QUEUE or words[4] != before[4]:
            head, line = storage(QUEUE, self.head_slot), storage(QUEUE, self.line_slot)
            if head != queue.head_word() or line != queue.line_word():
                raise Mismatch("the queue's words differ")
        if (
            balance(POOL) != ether[POOL]
            or balance(QUEUE) != ether[QUEUE]
            or balance(WITHDRAWAL_VAULT) != ether[WITHDRAWAL_VAULT]
            or balance(EXECUTION_VAULT) != ether[EXECUTION_VAULT]
        ):
            self._explain_ether()
        for account in accounts:
            if storage(POOL, self.balance_slots[account]) != pool.balances.get(account, 0):
                raise Mismatch(f"shares of {NAMES[account]} differ")
        if target == TOKEN:
            if storage(TOKEN, self.total_shares_slot) != token.total_shares:
                raise Mismatch("all wrapped shares differ")
            for account in accounts:
                if storage(TOKEN, self.wrapped_slots[account]) != token.shares_of.get(account, 0):
                    raise Mismatch(f"wrapped shares of {NAMES[account]} differ")
        for ticket in tickets:
            self._check_ticket(ticket)
        if target == REPORT_ORACLE or (self.orders and self._ordered(REPORT_ORACLE)):
            self._check_oracle()

    def _ordered(self, target: Address) -> bool:
        return any(call is not None and call[1] == target for _, call in self.orders.values())

    def _check_oracle(self) -> None:
        """Compare the oracle's words, and the committee with its votes."""
        oracle, storage, me = self.oracle, self._storage, REPORT_ORACLE
        self.oracle_words = words = oracle.words()
        for slot, word in zip(self.oracle_slots, words, strict=True):
            if (got := storage(me, slot)) != word:
                raise Mismatch(f"a word of the oracle differs: {got:#x}, model {word:#x}")
        if storage(me, self.held_digest_slot) != (digest_of(oracle.held) if oracle.held else 0):
            raise Mismatch("the held report differs")
        # What did not change since it was last compared is left to `check_all`.
        terms, votes = (oracle.quorum, *oracle.members), oracle.votes
        known_terms, known_votes = self.committee
        if terms != known_terms:
            for place in range(len(oracle.members) + 1):
                expected = oracle.place_word(place) if place < len(oracle.members) else 0
                if storage(me, self.places_slot + place) != expected:
                    raise Mismatch(f"place {place} of the committee differs")
        if terms != known_terms or votes != known_votes:
            for place in range(len(oracle.members)):
                vote = votes.get(place)
                if terms == known_terms and vote is known_votes.get(place):
                    continue
                if storage(me, self.votes_slot + place) != (digest_of(vote) if vote else 0):
                    raise Mismatch(f"the vote of place {place} differs")
            self.committee = terms, dict(votes)

    def check_all(self) -> None:
        """Compare everything stored, and everybody's ETH."""
        self.check(TOKEN, tuple(EVERYBODY), tuple(range(len(self.queue.ends))))
        self.committee = (), {}
        self._check_oracle()
        pool, queue, token, storage = self.pool, self.queue, self.token, self.evm.storage
        self._explain_ether()
        expected: list[tuple[str, Address, int, int]] = [
            ("fee recipient", POOL, self.fee_recipient_slot, int(pool.fee_recipient, 16)),
            ("head of the queue", QUEUE, self.head_slot, queue.head_word()),
            ("line of the queue", QUEUE, self.line_slot, queue.line_word()),
        ]
        for name, part, contract in (("pool", pool, POOL), ("token", token, TOKEN)):
            allowances, slots = part.allowances, self.allowance_slots[contract]
            expected += [(f"{name} allowance", contract, slots[pair], n) for pair, n in allowances.amounts.items()]
            nonces = self.nonce_slots[contract]
            expected += [(f"{name} nonce", contract, nonces[owner], n) for owner, n in allowances.nonces.items()]
        for role, number in ORACLE_ROLE_IDS.items():
            for account in ACTORS:
                slot = self.oracle_role_slots[number, account]
                known = (role, account) in self.oracle.roles.members
                expected.append((f"role {role} of the oracle", REPORT_ORACLE, slot, known))
        for role, number in ROLE_IDS.items():
            for account in (*EVERYBODY, REPORT_ORACLE):
                slot = self.role_slots[number, account]
                expected.append((f"role {role}", POOL, slot, (role, account) in pool.roles.members))
        for point in range(len(queue.filled_shares)):
            word = queue.point_word(point)
            expected.append((f"point {point}", QUEUE, self.point_slots[point], word))
        for account in EVERYBODY:
            expected.append(("tickets held", QUEUE, self.held_slots[account], queue.held.get(account, 0)))
            for operator in (OPERATOR, REENTERER, OUTSIDER):
                slot = self.operator_slots[account, operator]
                expected.append(("operator", QUEUE, slot, (account, operator) in queue.operators))
        for account, (count, digest) in self.reactions.items():
            expected += [("reactions", account, 0, count), ("outcome", account, 1, digest)]
        for what, contract, slot, value in expected:
            if storage(contract, slot) != value:
                raise Mismatch(f"{what} differs: contract {storage(contract, slot)}, model {value}")

    def _check_ticket(self, ticket: int) -> None:
        queue, storage = self.queue, self.evm.storage
        word = storage(QUEUE, self.ticket_slots[ticket])
        if ticket >= len(queue.ends):
            if word:
                raise Mismatch(f"ticket {ticket} exists")
            return
        if word != queue.ticket_word(ticket):
            raise Mismatch(f"word of ticket {ticket} differs: contract {word:#x}, model {queue.ticket_word(ticket):#x}")
        if word & PARTLY_CLAIMED and storage(QUEUE, self.progress_slots[ticket]) != queue.progress[ticket]:
            raise Mismatch(f"progress of ticket {ticket} differs")
        approved = queue.approvals.get(ticket, model.ZERO)
        if storage(QUEUE, self.approval_slots[ticket]) != int(approved, 16):
            raise Mismatch(f"approval of ticket {ticket} differs")

    def _explain_words(self) -> NoReturn:
        names = ("totals", "stream", "away", "past", "exits", "flows", "parameters", "donated")
        got = [self.evm.storage(POOL, slot) for slot in self.word_slots]
        differ = [f"{n} {g:#x} {w:#x}" for n, g, w in zip(names, got, self.words, strict=True) if g != w]
        raise Mismatch(f"state words differ (contract, model): {'; '.join(differ)}")

    def _explain_ether(self) -> None:
        for account, amount in self.chain.ether.items():
            if (got := self.evm.get_balance(account)) != amount:
                raise Mismatch(f"ETH of {NAMES[account]} differs: chain {got}, model {amount}")


def _ending(reason: str | None) -> str:
    return "succeeds" if reason is None else f"reverts with {reason!r}"
