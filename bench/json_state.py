"""What a report takes out of a beacon state, read as lido-oracle reads it; our own code, written for comparison.

The node gives the whole state as JSON. Every validator becomes an object by reflection over the fields of a dataclass,
then a second one, with its index and its balance; a dictionary finds them by public key, and those that are ours are
copied out. Nothing is hashed: that the state is the one of the block is believed.
(lidofinance/lido-oracle, src/providers/consensus and src/web3py/extensions/lido_validators.py. Left out, though it is
work there: logs, fingerprints, and whatever is no validator, balance or deposit.)
"""

# Not `from __future__ import annotations`: reflection reads the types of the fields.
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import GenericAlias
from typing import Any, NamedTuple, Self

import numpy as np

from floe.beacon.containers import Preset
from floe.beacon.ssz import BeaconStateView

INCREMENT = 10**9
SLASHING_MULTIPLIER = 3
NUMBERS = (
    "balances",
    "slashings",
    "inactivity_scores",
    "previous_epoch_participation",
    "current_epoch_participation",
)


class Found(NamedTuple):
    """What both ways must agree on. Gwei."""

    validators: int
    """Of ours."""
    balances: int
    pending_deposits: int
    pending_loss: int


@dataclass
class FromJson:
    """An object of the API: numbers in quotes become numbers, objects in it likewise, other names are left out."""

    def __post_init__(self) -> None:
        for each in fields(self):
            setattr(self, each.name, _value(each.type, getattr(self, each.name)))

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        """Read one object."""
        names = [each.name for each in fields(cls)]
        return cls(**{name: value for name, value in content.items() if name in names})


@dataclass
class ValidatorState(FromJson):
    """A validator in the state."""

    pubkey: str
    withdrawal_credentials: str
    effective_balance: int
    slashed: bool
    activation_eligibility_epoch: int
    activation_epoch: int
    exit_epoch: int
    withdrawable_epoch: int


@dataclass
class Validator(FromJson):
    """A validator with what the state keeps elsewhere."""

    index: int
    balance: int
    validator: ValidatorState


@dataclass
class PendingDeposit(FromJson):
    """A deposit that waits."""

    pubkey: str
    withdrawal_credentials: str
    amount: int
    signature: str
    slot: int


@dataclass
class State(FromJson):
    """As much of a state as is needed."""

    slot: int
    validators: list[ValidatorState]
    balances: list[int]
    slashings: list[int]
    pending_deposits: list[PendingDeposit]


def read(content: bytes, pubkeys: Collection[str], preset: Preset) -> Found:
    """Read the answer of a node; `pubkeys` are ours, as the API writes them."""
    state = State.read(json.loads(content)["data"])
    validators = [
        Validator(index=index, balance=state.balances[index], validator=validator)
        for index, validator in enumerate(state.validators)
    ]
    by_pubkey = {each.validator.pubkey: each for each in validators}
    ours = [Validator(**asdict(by_pubkey[pubkey])) for pubkey in pubkeys if pubkey in by_pubkey]
    known = set(pubkeys)

    epoch = state.slot // preset.slots_per_epoch
    total = sum(
        each.validator.effective_balance
        for each in validators
        if each.validator.activation_epoch <= epoch < each.validator.exit_epoch
    )
    per_increment = min(sum(state.slashings) * SLASHING_MULTIPLIER, total) // (total // INCREMENT)
    half = preset.epochs_per_slashings_vector // 2
    return Found(
        validators=len(ours),
        balances=sum(each.balance for each in ours),
        pending_deposits=sum(each.amount for each in state.pending_deposits if each.pubkey in known),
        pending_loss=sum(
            per_increment * (each.validator.effective_balance // INCREMENT)
            for each in ours
            if each.validator.slashed and epoch + half <= each.validator.withdrawable_epoch
        ),
    )


def write(state: BeaconStateView) -> bytes:
    """Return the answer of a node that has this state: what grows with the validators, and what is read."""
    content: dict[str, Any] = {"slot": str(state.slot)} | {name: _column(state.numbers(name)) for name in NUMBERS}
    for name in ("validators", "pending_deposits"):
        rows = state.rows(name)
        columns = {field: _column(rows[field]) for field in rows.dtype.names or ()}
        content[name] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"version": state.fork, "data": content}).encode()


def _value(kind: Any, value: Any) -> Any:
    if isinstance(kind, GenericAlias):
        (item,) = kind.__args__
        return [_value(item, each) for each in value]
    if is_dataclass(kind):
        return value if is_dataclass(value) else kind.read(value)  # type: ignore[union-attr]
    return int(value) if kind is int and not isinstance(value, int) else value


def _column(column: Any) -> list[Any]:
    if column.ndim == 1:
        return column.tolist() if column.dtype == np.bool_ else [str(number) for number in column.tolist()]
    digits, width = column.tobytes().hex(), 2 * column.shape[1]
    return ["0x" + digits[start : start + width] for start in range(0, len(digits), width)]
