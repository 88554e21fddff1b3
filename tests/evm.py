"""Contracts in this process: pyrevm behind the names of the ABI, some tens of microseconds a call.

    evm = Evm()
    pool = evm.deploy("FloePool", setup, sender=deployer, value=10**9)
    pool.deposit(5, staker, sender=staker, value=5)        # the return value, decoded
    with reverts("deposit: value differs"):
        pool.deposit(5, staker, sender=staker, value=4)
    evm.events(pool, "Deposit")[0].fields["shares"]

Addresses are "0x" and 40 lower-case digits. Structs come back as named tuples; tuples, named or not, go in.
Every call is one transaction with the gas of a block at most. `PROVOKED` remembers what `reverts` has seen.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from pyrevm import EVM, AccountInfo, BlockEnv, CfgEnv, Env, Log

from floe import build

ZERO = "0x" + "00" * 20
DEPLOYER = "0x" + "d0" * 20
ETHER = 10**18
DAY = 86_400
GENESIS = 1_700_000_000
"""block.timestamp of a new chain."""
GAS = 30_000_000
"""Gas of a transaction unless the test says otherwise."""

PROVOKED: set[tuple[str, str, str]] = set()
"""(contract, function, reason) of every revert that a test of this session demanded and got."""

_FAUCET = "0x" + "fa" * 20
_FORCER = "0x" + "f0" * 20
_ANYONE = "0x" + "a0" * 20
_ERROR = keccak(text="Error(string)")[:4]


class RevertError(Exception):
    """A transaction that changed nothing. `reason` is "" for a revert without one, "halt: ..." when the gas ran out."""

    def __init__(self, contract: str, function: str, reason: str) -> None:
        super().__init__(f"{contract}.{function}: {reason or 'no reason'}")
        self.contract, self.function, self.reason = contract, function, reason


@contextmanager
def reverts(reason: str = "") -> Iterator[None]:
    """Demand that the last call of the block reverts with exactly `reason` ("": with none)."""
    try:
        yield
    except RevertError as error:
        assert error.reason == reason, f"{error}, expected: {reason or 'no reason'}"
        PROVOKED.add((error.contract, error.function, reason))
        return
    raise AssertionError(f"did not revert, expected: {reason or 'no reason'}")


@dataclass(frozen=True)
class Event:
    """One log of the last transaction."""

    address: str
    name: str
    fields: dict[str, Any]


class Evm:
    """One chain with its clock."""

    def __init__(self, chain_id: int = 1) -> None:
        self.now = GENESIS
        self.revm = EVM(env=Env(cfg=CfgEnv(chain_id=chain_id)), gas_limit=GAS, spec_id="PRAGUE")
        self.revm.set_balance(_FAUCET, 2**200)
        self.travel(0)
        self.gas_used = 0
        """Of the last transaction, the 21,000 included and refunds not taken off."""
        self.contracts: dict[str, Contract] = {}
        self._logs: list[Log] = []

    # --- the world ---

    def travel(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds
        self.revm.set_block_env(BlockEnv(number=self.now // 12, timestamp=self.now, gas_limit=GAS))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo at the end of the block everything that happened in it, the time too."""
        checkpoint, now, contracts = self.revm.snapshot(), self.now, dict(self.contracts)
        try:
            yield
        finally:
            self.revm.revert(checkpoint)
            self.contracts = contracts
            self.travel(now - self.now)

    def balance(self, account: Account) -> int:
        """Wei that `account` has."""
        return int(self.revm.get_balance(address_of(account)))

    def fund(self, account: Account, amount: int) -> None:
        """Send `amount` wei out of nowhere to an account that takes them."""
        self._transact(_FAUCET, address_of(account), b"", amount, GAS)

    def force(self, account: Account, amount: int) -> None:
        """Push `amount` wei into an account and run none of its code, as a self-destructing contract does."""
        self.fund(_FORCER, amount)
        self.revm.deploy(_FORCER, bytes.fromhex("73" + address_of(account)[2:] + "ff"), amount)

    def code(self, account: Account) -> bytes:
        """Code of an account, filled up with zeros."""
        return bytes(self.revm.get_code(address_of(account)) or b"")

    def place(self, code: str) -> str:
        """Return the address of a new contract with this runtime code (hex)."""
        runtime = bytes.fromhex(code)
        # push2 size, dup1, push1 10, push0, codecopy, push0, return
        return str(
            self.revm.deploy(_FORCER, b"\x61" + len(runtime).to_bytes(2) + bytes.fromhex("80600a5f395ff3") + runtime)
        )

    def copy(self, contract: Contract) -> str:
        """Put the code of a contract of another chain, its immutables included, at the same address of this one."""
        self.revm.insert_account_info(contract.address, AccountInfo(code=contract.evm.code(contract)))
        return contract.address

    def next_address(self, deployer: str = DEPLOYER, ahead: int = 0) -> str:
        """Address of the contract that `deployer` will create next, or `ahead` contracts later."""
        nonce = self.revm.basic(deployer).nonce + ahead
        assert nonce < 128, "one byte of RLP"
        encoded = b"\xd6\x94" + bytes.fromhex(deployer[2:]) + (bytes([nonce]) if nonce else b"\x80")
        return "0x" + keccak(encoded)[12:].hex()

    # --- contracts ---

    def deploy(self, name: str, *arguments: Any, sender: str = DEPLOYER, value: int = 0) -> Contract:
        """Deploy contract `name` of this repository."""
        artifact = build.load(name)
        constructor: dict[str, Any] = next((e for e in artifact.abi if e["type"] == "constructor"), {"inputs": []})
        encoded = encode([_type(entry) for entry in constructor["inputs"]], [_plain(a) for a in arguments])
        self.fund(sender, value)
        try:
            address = self.revm.deploy(sender, artifact.initcode + encoded, value)
        except RuntimeError as error:
            raise RevertError(name, "__init__", _reason(error)) from None
        finally:
            self._end()
        return self.at(name, str(address).lower())

    def at(self, name: str, address: str) -> Contract:
        """Return contract `name` of this repository at an address where it has been deployed."""
        self.contracts[address] = Contract(self, name, address)
        return self.contracts[address]

    def call(
        self,
        contract: Contract,
        function: str,
        data: bytes,
        sender: Account = _ANYONE,
        value: int = 0,
        gas: int = GAS,
        static: bool = False,
    ) -> bytes:
        """Send one transaction, or ask a view; a sender that is a MockWallet does it for itself. Raises RevertError."""
        try:
            if isinstance(sender, Contract):
                payload = sender.encode("execute", contract.address, data, value)
                answer = self._transact(_ANYONE, sender.address, payload, 0, gas, static)
                return bytes(decode(["bytes"], answer)[0])
            return self._transact(sender, contract.address, data, value, gas, static)
        except RuntimeError as error:
            raise RevertError(contract.kind, function, _reason(error)) from None

    def events(self, contract: Account | None = None, name: str = "") -> list[Event]:
        """Return the last transaction's logs (views left no trace): of all known contracts, of one, of one name."""
        logs = [(log.address.lower(), log) for log in self._logs]
        found = [self.contracts[address].event(log) for address, log in logs if address in self.contracts]
        wanted = address_of(contract) if contract else ""
        return [event for event in found if wanted in ("", event.address) and name in ("", event.name)]

    def _transact(self, sender: str, to: str, data: bytes, value: int, gas: int, static: bool = False) -> bytes:
        try:
            return bytes(self.revm.message_call(sender, to, data, value, gas, is_static=static))
        finally:
            self._end(static)

    def _end(self, static: bool = False) -> None:
        """End a transaction: note what it left, a view's traces aside, and forget what lives within one."""
        result = self.revm.result
        assert result is not None
        self.gas_used = int(result.gas_used)
        if not static:
            self._logs = result.logs
        self.revm.reset_transient_storage()


class Contract:
    """A deployed contract; its functions are attributes. Functions of one name differ by their number of arguments."""

    def __init__(self, evm: Evm, kind: str, address: str) -> None:
        self.evm, self.kind, self.address = evm, kind, address

    def __repr__(self) -> str:
        return f"<{self.kind} {self.address}>"

    def __getattr__(self, function: str) -> Callable[..., Any]:
        codecs = _functions(self.kind).get(function)
        if codecs is None:
            raise AttributeError(f"{self.kind} has no function {function}")

        def call(*arguments: Any, sender: Account = _ANYONE, value: int = 0, gas: int = GAS) -> Any:
            codec = codecs[len(arguments)]
            answer = self.evm.call(self, function, codec.data(arguments), sender, value, gas, codec.view)
            return codec.result(answer)

        call.__name__ = function
        return call

    def encode(self, function: str, *arguments: Any) -> bytes:
        """Calldata of a call."""
        return _functions(self.kind)[function][len(arguments)].data(arguments)

    def receive(self, *, sender: Account = _ANYONE, value: int = 0, gas: int = GAS) -> None:
        """Send plain ETH."""
        self.evm.call(self, "__default__", b"", sender, value, gas)

    def event(self, log: Any) -> Event:
        """Decode a log that this contract wrote."""
        topics, data = [bytes.fromhex(str(t).removeprefix("0x")) for t in log.topics], bytes(log.data[1])
        entry = _events(self.kind)[topics[0]]
        indexed = [e for e in entry["inputs"] if e["indexed"]]
        rest = [e for e in entry["inputs"] if not e["indexed"]]
        fields = {e["name"]: decode([_type(e)], topic)[0] for e, topic in zip(indexed, topics[1:], strict=True)}
        values = decode([_type(e) for e in rest], data)
        fields |= {e["name"]: _named(value, e) for e, value in zip(rest, values, strict=True)}
        return Event(self.address, entry["name"], {e["name"]: fields[e["name"]] for e in entry["inputs"]})


Account = str | Contract
"""Who may hold and send: an address, or a contract (a sender: a MockWallet)."""


def address_of(account: Account) -> str:
    """Address of an account."""
    return account.address if isinstance(account, Contract) else account


def functions(name: str) -> list[dict[str, Any]]:
    """ABI entries of the functions of contract `name`, each overload by itself."""
    return [entry for entry in build.load(name).abi if entry["type"] == "function"]


def types_of(entry: dict[str, Any]) -> list[str]:
    """ABI types of a function's arguments, structs written out."""
    return [_type(e) for e in entry["inputs"]]


# --- internal ---


@dataclass(frozen=True)
class _Codec:
    selector: bytes
    inputs: list[str]
    outputs: list[dict[str, Any]]
    view: bool

    def data(self, arguments: tuple[Any, ...]) -> bytes:
        encoded: bytes = encode(self.inputs, [_plain(argument) for argument in arguments])
        return self.selector + encoded

    def result(self, answer: bytes) -> Any:
        values = decode([_type(e) for e in self.outputs], answer)
        named = [_named(value, e) for value, e in zip(values, self.outputs, strict=True)]
        if not named:
            return None
        return named[0] if len(named) == 1 else tuple(named)


@cache
def _functions(name: str) -> dict[str, dict[int, _Codec]]:
    found: dict[str, dict[int, _Codec]] = {}
    for entry in functions(name):
        inputs = types_of(entry)
        selector = keccak(text=f"{entry['name']}({','.join(inputs)})")[:4]
        view = entry["stateMutability"] in ("view", "pure")
        found.setdefault(entry["name"], {})[len(inputs)] = _Codec(selector, inputs, entry["outputs"], view)
    return found


@cache
def _events(name: str) -> dict[bytes, dict[str, Any]]:
    entries = [entry for entry in build.load(name).abi if entry["type"] == "event"]
    return {keccak(text=f"{e['name']}({','.join(_type(i) for i in e['inputs'])})"): e for e in entries}


def _type(entry: dict[str, Any]) -> str:
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_type(e) for e in entry["components"]) + ")" + kind.removeprefix("tuple")


@cache
def _tuple_class(names: tuple[str, ...]) -> Any:
    return namedtuple("Struct", names, rename=True)


def _named(value: Any, entry: dict[str, Any]) -> Any:
    if entry["type"] == "tuple":
        parts = [_named(part, e) for part, e in zip(value, entry["components"], strict=True)]
        return _tuple_class(tuple(e["name"] for e in entry["components"]))(*parts)
    if entry["type"].startswith("tuple["):
        return [_named(part, entry | {"type": "tuple"}) for part in value]
    return list(value) if isinstance(value, tuple) else value


def _plain(argument: Any) -> Any:
    """Replace contracts by their addresses, inside structs and lists too."""
    if isinstance(argument, Contract):
        return argument.address
    if isinstance(argument, tuple | list):
        return tuple(_plain(part) for part in argument)
    return argument


def _reason(error: RuntimeError) -> str:
    text = str(error)
    if not text.startswith("Revert {"):
        return f"halt: {text}"
    output = bytes.fromhex(text.partition("output: 0x")[2].rstrip(" }"))
    return str(decode(["string"], output[4:])[0]) if output[:4] == _ERROR else output.hex()
