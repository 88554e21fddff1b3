"""Deposits: signed, checked, and read from and written to the files of the official key tools.

A validator begins with a deposit of 1 ETH whose signature binds key, withdrawal credentials and amount; who deposits
first for a key decides its credentials for ever. So nothing in an operator's `deposit_data-*.json` is believed: `check`
recomputes everything and either returns all deposits of the file or names every problem in it.

    deposit = sign_deposit(secret, credentials(vault), PREDEPOSIT_GWEI, MAINNET.genesis_fork_version)
    write(file, [deposit], MAINNET)
    deposits = check(read(file), MAINNET, vault, registry=known_keys, beacon=keys_on_chain)
    predeposit_calldata(operator, deposits)

Sources: consensus specs, phase0/beacon-chain.md (DepositMessage, DepositData, compute_domain) and electra (0x02
credentials); the deposit contract, phase0/deposit-contract.md. Amounts are gwei, as on the beacon chain.
"""

# No `from __future__ import annotations` here: SSZ containers need their annotations as types.
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from eth_abi.abi import encode
from eth_utils.address import is_address, is_checksum_address
from eth_utils.crypto import keccak
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic_core import from_json
from remerkleable.basic import uint64
from remerkleable.byte_arrays import Bytes4, Bytes32, Bytes48, Bytes96
from remerkleable.complex import Container

from floe.beacon import keys

GWEI = 10**9
PREDEPOSIT_GWEI = 10**9
"""1 ETH, the least that the deposit contract takes: what a deposit before the proof of its credentials consists of."""

DOMAIN_DEPOSIT = bytes.fromhex("03000000")
COMPOUNDING_PREFIX = b"\x02"
CLI_VERSION = "2.7.0"
"""What `write` puts into `deposit_cli_version`: the version of the official tool whose format it is."""

PREDEPOSIT = "predeposit(uint256,bytes,bytes)"
"""Of the validator registry."""
MOST_PREDEPOSITS = 100
"""In one call of it."""

Lookup = Callable[[Sequence[bytes]], Mapping[bytes, str]]
"""Asks some place about public keys; the answer has those that are known there, each with what is known, in words."""


class DepositError(Exception):
    """A deposit file that cannot be read, or a vault that is none. The message is one line."""


class Network(BaseModel):
    """A beacon chain as deposits see it: its name in the files of the key tools, and its first fork version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    genesis_fork_version: Annotated[bytes, Field(min_length=4, max_length=4)]


MAINNET = Network(name="mainnet", genesis_fork_version=bytes.fromhex("00000000"))
HOODI = Network(name="hoodi", genesis_fork_version=bytes.fromhex("10000910"))
NETWORKS = {network.name: network for network in (MAINNET, HOODI)}


# --- one deposit ---


class DepositData(BaseModel):
    """DepositData of the consensus specs: what the deposit contract takes. Lengths are right; the rest may be wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pubkey: Annotated[bytes, Field(min_length=48, max_length=48)]
    withdrawal_credentials: Annotated[bytes, Field(min_length=32, max_length=32)]
    amount: Annotated[int, Field(ge=0, lt=2**64)]
    """In gwei."""
    signature: Annotated[bytes, Field(min_length=96, max_length=96)]

    @property
    def message_root(self) -> bytes:
        """Root of key, credentials and amount: what is signed, before the domain is mixed in. 32 bytes."""
        return _message_root(self.pubkey, self.withdrawal_credentials, self.amount)

    @property
    def root(self) -> bytes:
        """Root of all four fields, `deposit_data_root` of the deposit contract. 32 bytes."""
        return bytes(
            _DepositData(
                pubkey=self.pubkey,
                withdrawal_credentials=self.withdrawal_credentials,
                amount=self.amount,
                signature=self.signature,
            ).hash_tree_root()
        )

    def is_signed(self, fork_version: bytes) -> bool:
        """Say whether a chain that began with this fork version (4 bytes) would take the signature."""
        return keys.verify(self.pubkey, _signing_root(self.message_root, fork_version), self.signature)


def sign_deposit(secret: int, credentials: bytes, amount_gwei: int, fork_version: bytes) -> DepositData:
    """Return a signed deposit of `amount_gwei` for the key of `secret`.

    `credentials` has 32 bytes, `fork_version` is the 4 bytes of the chain's genesis fork version. Raises
    keys.KeyMaterialError for a secret that is out of range, ValueError for wrong lengths and amounts.
    """
    if (len(credentials), len(fork_version)) != (32, 4) or not 0 <= amount_gwei < 2**64:
        raise ValueError("withdrawal credentials have 32 bytes, a fork version 4, and an amount fits into 8")
    pubkey = keys.public_key(secret)
    root = _signing_root(_message_root(pubkey, credentials, amount_gwei), fork_version)
    return DepositData(
        pubkey=pubkey,
        withdrawal_credentials=credentials,
        amount=amount_gwei,
        signature=keys.sign(secret, root),
    )


def credentials(vault: str) -> bytes:
    """Return the compounding withdrawal credentials (0x02) of a withdrawal vault, 32 bytes.

    `vault` is an address, checksummed or in lower case. Raises DepositError.
    """
    if not is_address(vault) or (vault != vault.lower() and not is_checksum_address(vault)):
        raise DepositError(f"vault: {vault} is no address, or its checksum is wrong")
    address = bytes.fromhex(vault.removeprefix("0x"))
    if not any(address):
        raise DepositError("vault: the zero address is nobody's")
    return COMPOUNDING_PREFIX + bytes(11) + address


def predeposit_calldata(operator: int, deposits: Sequence[DepositData]) -> bytes:
    """Return the calldata of the registry's `predeposit`: keys and signatures, each joined in the order of `deposits`.

    The registry adds its own credentials and amount, so only deposits that `check` returned belong here. Raises
    ValueError unless there are 1 to MOST_PREDEPOSITS of them.
    """
    if not 1 <= len(deposits) <= MOST_PREDEPOSITS:
        raise ValueError(f"{len(deposits)} deposits, a call takes 1 to {MOST_PREDEPOSITS}")
    pubkeys = b"".join(deposit.pubkey for deposit in deposits)
    signatures = b"".join(deposit.signature for deposit in deposits)
    arguments: bytes = encode(["uint256", "bytes", "bytes"], [operator, pubkeys, signatures])
    return keccak(text=PREDEPOSIT)[:4] + arguments


# --- files ---


def _hex(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or len(value) % 2 or not set(value) <= set("0123456789abcdefABCDEF"):
        raise ValueError("not hexadecimal digits in pairs (without 0x)")
    return bytes.fromhex(value)


Hex = Annotated[bytes, BeforeValidator(_hex), PlainSerializer(bytes.hex)]


class Entry(BaseModel):
    """One deposit of a file, as the key tools write it. Types are right; nothing else is known, not even lengths."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pubkey: Hex
    withdrawal_credentials: Hex
    amount: int
    """In gwei."""
    signature: Hex
    deposit_message_root: Hex
    deposit_data_root: Hex
    fork_version: Hex
    network_name: str
    deposit_cli_version: str


def write(file: Path, deposits: Iterable[DepositData], network: Network) -> None:
    """Write a file as the official tool does. Raises OSError."""
    entries = [
        Entry(
            **deposit.model_dump(),
            deposit_message_root=deposit.message_root,
            deposit_data_root=deposit.root,
            fork_version=network.genesis_fork_version,
            network_name=network.name,
            deposit_cli_version=CLI_VERSION,
        )
        for deposit in deposits
    ]
    file.write_text(json.dumps([entry.model_dump() for entry in entries]), encoding="utf-8")


def read(file: Path) -> list[Any]:
    """Return the list in a deposit file; its entries are for `check`. Raises DepositError."""
    try:
        raw = file.read_bytes()
        from_json(raw)  # bounds the depth; the other parser does not where Ape has raised Python's recursion limit
        content = json.loads(raw, object_pairs_hook=_once_each)
    except OSError as error:
        raise DepositError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise DepositError(f"{file}: not JSON: {error}") from None
    if not isinstance(content, list) or not content:
        raise DepositError(f"{file}: not a list of deposits")
    return content


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is there twice")
    return fields


# --- checks ---


class Problem(BaseModel):
    """What is wrong with one entry of a file."""

    model_config = ConfigDict(frozen=True)

    entry: int
    """Counted from 1."""
    pubkey: str
    """As the file has it; "" when that is not hexadecimal."""
    text: str
    """Subject and problem."""

    def __str__(self) -> str:
        return f"entry {self.entry}, {short_key(self.pubkey)}: {self.text}"


class DepositsRefused(DepositError):  # noqa: N818
    """Deposits with at least one problem. The message has one line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)


def short_key(pubkey: str) -> str:
    """Name a key in a line of text by its ends."""
    if not pubkey:
        return "no key"
    return f"key {pubkey}" if len(pubkey) <= 20 else f"key {pubkey[:8]}...{pubkey[-8:]}"


def check(
    entries: Sequence[object],
    network: Network,
    vault: str,
    *,
    registry: Lookup | None,
    beacon: Lookup | None,
    amount_gwei: int = PREDEPOSIT_GWEI,
    progress: Callable[[int], None] = lambda _: None,
) -> list[DepositData]:
    """Return the deposits of a file if each of them is right; raise DepositsRefused with all problems if one is not.

    `entries` is what `read` returned. `registry` tells keys that the validator registry knows, `beacon` those that are
    validators or pending deposits of the beacon chain, whoever sent them; None leaves a question out. `progress` is
    called with the number of entries done. Raises DepositError when `vault` is no address, and what the lookups raise.
    """
    wanted = {
        "network_name": network.name,
        "fork_version": network.genesis_fork_version,
        "withdrawal_credentials": credentials(vault),
        "amount": amount_gwei,
    }
    parsed: list[dict[str, Any]] = []
    texts: list[list[str]] = []
    first: dict[bytes, int] = {}
    for number, raw in enumerate(entries):
        fields, malformed = _parse(raw)
        parsed.append(fields)
        texts.append([*malformed, *_problems(fields, wanted)])
        if "pubkey" in fields and first.setdefault(fields["pubkey"], number) != number:
            texts[number].append(f"pubkey: the same as in entry {first[fields['pubkey']] + 1}")
        progress(number + 1)
    askable = [pubkey for pubkey in first if len(pubkey) == keys.PUBLIC_KEY_LENGTH]
    for place, lookup in (("registry", registry), ("beacon chain", beacon)):
        known = lookup(askable) if lookup and askable else {}
        for number, fields in enumerate(parsed):
            if fields.get("pubkey") in known:
                texts[number].append(f"pubkey: the {place} knows it: {known[fields['pubkey']]}")
    problems = [
        Problem(entry=number + 1, pubkey=fields.get("pubkey", b"").hex(), text=text)
        for number, fields in enumerate(parsed)
        for text in texts[number]
    ]
    if problems:
        raise DepositsRefused(problems)
    return [_deposit(fields) for fields in parsed]


def _parse(raw: object) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that have the right types, and what is wrong with the others."""
    if not isinstance(raw, dict):
        return {}, ["not an object with the fields of a deposit"]
    try:
        return dict(Entry.model_validate(raw)), []
    except ValidationError as error:
        wrong = {one["loc"][0]: f"{_printable(one['loc'][0])}: {_in_words(one)}" for one in error.errors()}
    return {
        name: _hex(raw[name]) if field.annotation is bytes else raw[name]
        for name, field in Entry.model_fields.items()
        if name not in wrong
    }, list(wrong.values())


def _in_words(error: Mapping[str, Any]) -> str:
    words = {
        "missing": "missing",
        "extra_forbidden": "no such field",
        "int_type": "not a whole number",
        "string_type": "not a text",
    }
    return words.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")


def _printable(value: object) -> str:
    """Return what a stranger wrote, fit for one line of a terminal."""
    text = value.hex() if isinstance(value, bytes) else ascii(str(value))[1:-1]
    return text if len(text) <= 64 else f"{text[:64]}..."


def _problems(fields: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Tell everything that is wrong with the fields that are there."""
    for name, value in wanted.items():
        if name in fields and fields[name] != value:
            yield f"{name}: {_printable(fields[name])}, must be {_printable(value)}"
    key_is_valid = False
    if "pubkey" in fields:
        try:
            keys.check_public_key(fields["pubkey"])
            key_is_valid = True
        except keys.KeyMaterialError as error:
            yield f"pubkey: {error}"
    signature_length = len(fields.get("signature", bytes(keys.SIGNATURE_LENGTH)))
    if signature_length != keys.SIGNATURE_LENGTH:
        yield f"signature: {signature_length} bytes, must be {keys.SIGNATURE_LENGTH}"
    try:
        unsigned = _deposit({**fields, "signature": bytes(keys.SIGNATURE_LENGTH)})
    except (KeyError, ValidationError):
        return
    if fields.get("deposit_message_root", unsigned.message_root) != unsigned.message_root:
        yield "deposit_message_root: not that of this key, credentials and amount"
    if "signature" not in fields or signature_length != keys.SIGNATURE_LENGTH:
        return
    deposit = _deposit(fields)
    if fields.get("deposit_data_root", deposit.root) != deposit.root:
        yield "deposit_data_root: not that of this deposit"
    if key_is_valid and not deposit.is_signed(wanted["fork_version"]):
        yield f"signature: not that of this key under this deposit on {wanted['network_name']}"


def _deposit(fields: Mapping[str, Any]) -> DepositData:
    return DepositData(**{name: fields[name] for name in DepositData.model_fields})


# --- SSZ ---


class _DepositMessage(Container):  # type: ignore[misc]
    pubkey: Bytes48
    withdrawal_credentials: Bytes32
    amount: uint64


class _DepositData(Container):  # type: ignore[misc]
    pubkey: Bytes48
    withdrawal_credentials: Bytes32
    amount: uint64
    signature: Bytes96


class _ForkData(Container):  # type: ignore[misc]
    current_version: Bytes4
    genesis_validators_root: Bytes32


class _SigningData(Container):  # type: ignore[misc]
    object_root: Bytes32
    domain: Bytes32


def _message_root(pubkey: bytes, withdrawal_credentials: bytes, amount: int) -> bytes:
    message = _DepositMessage(pubkey=pubkey, withdrawal_credentials=withdrawal_credentials, amount=amount)
    return bytes(message.hash_tree_root())


def _signing_root(message_root: bytes, fork_version: bytes) -> bytes:
    """Mix in the domain of deposits. It knows no genesis_validators_root: deposits came before the genesis."""
    fork_root = bytes(_ForkData(current_version=fork_version, genesis_validators_root=bytes(32)).hash_tree_root())
    domain = DOMAIN_DEPOSIT + fork_root[:28]
    return bytes(_SigningData(object_root=message_root, domain=domain).hash_tree_root())
