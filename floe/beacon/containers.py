"""SSZ containers of the beacon chain, as far as Floe reads them, and where its proofs end in the state.

Source: consensus specs, beacon-chain.md of phase0, altair, bellatrix, capella, deneb, electra and fulu; presets/.
Encoding, decoding, roots and generalized indices are the library's (`remerkleable`, which the specs use themselves).

    state_type = beacon_state("electra", MAINNET)
    state_type.decode_bytes(ssz).hash_tree_root()       # exact, and slow: `floe.beacon.ssz` is for states of real size
    fork_table(client.spec())                           # first slot and generalized indices, fork by fork
"""
# mypy: allow-subclassing-any, disable-error-code="valid-type"

# Not `from __future__ import annotations`: the library reads the annotations.
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from remerkleable.basic import boolean, uint8, uint64, uint256
from remerkleable.bitfields import Bitvector
from remerkleable.byte_arrays import ByteList, Bytes4, Bytes32, Bytes48, ByteVector
from remerkleable.complex import Container, List, Vector

FAR_FUTURE_EPOCH = 2**64 - 1
"""An epoch that has not been set."""

FORKS = ("deneb", "electra", "fulu")
"""Forks whose states can be read, oldest first, named as in the header Eth-Consensus-Version."""

VALIDATOR_REGISTRY_LIMIT = 2**40
HISTORICAL_ROOTS_LIMIT = 2**24
PENDING_DEPOSITS_LIMIT = 2**27

# The library takes every annotated name of a container as a field.
Bytes20 = ByteVector[20]
Bytes96 = ByteVector[96]
LogsBloom = ByteVector[256]
ExtraData = ByteList[32]


class ContainerError(Exception):
    """A fork, a preset or an encoding that has no container here."""


@dataclass(frozen=True)
class Preset:
    """Sizes that are fixed at compile time of a client, as far as the state depends on them."""

    name: str
    slots_per_epoch: int
    slots_per_historical_root: int
    epochs_per_eth1_voting_period: int
    epochs_per_historical_vector: int
    epochs_per_slashings_vector: int
    sync_committee_size: int
    pending_partial_withdrawals_limit: int
    pending_consolidations_limit: int


MAINNET = Preset(
    name="mainnet",
    slots_per_epoch=32,
    slots_per_historical_root=8192,
    epochs_per_eth1_voting_period=64,
    epochs_per_historical_vector=65536,
    epochs_per_slashings_vector=8192,
    sync_committee_size=512,
    pending_partial_withdrawals_limit=2**27,
    pending_consolidations_limit=2**18,
)
MINIMAL = Preset(
    name="minimal",
    slots_per_epoch=8,
    slots_per_historical_root=64,
    epochs_per_eth1_voting_period=4,
    epochs_per_historical_vector=64,
    epochs_per_slashings_vector=64,
    sync_committee_size=32,
    pending_partial_withdrawals_limit=64,
    pending_consolidations_limit=64,
)


class Fork(Container):
    """Versions before and since the last fork."""

    previous_version: Bytes4
    current_version: Bytes4
    epoch: uint64


class Checkpoint(Container):
    """An epoch and the root of the last block before or at its start."""

    epoch: uint64
    root: Bytes32


class BeaconBlockHeader(Container):
    """A block without its body. Its root is the block root that EIP-4788 gives to contracts."""

    slot: uint64
    proposer_index: uint64
    parent_root: Bytes32
    state_root: Bytes32
    body_root: Bytes32


class Eth1Data(Container):
    """What the deposit contract looked like."""

    deposit_root: Bytes32
    deposit_count: uint64
    block_hash: Bytes32


class Validator(Container):
    """A validator; balances stand elsewhere in the state. Numbers are Gwei and epochs."""

    pubkey: Bytes48
    withdrawal_credentials: Bytes32
    effective_balance: uint64
    slashed: boolean
    activation_eligibility_epoch: uint64
    activation_epoch: uint64
    exit_epoch: uint64
    withdrawable_epoch: uint64


class ExecutionPayloadHeader(Container):
    """The execution block of the last beacon block (EIP-4844's form)."""

    parent_hash: Bytes32
    fee_recipient: Bytes20
    state_root: Bytes32
    receipts_root: Bytes32
    logs_bloom: LogsBloom
    prev_randao: Bytes32
    block_number: uint64
    gas_limit: uint64
    gas_used: uint64
    timestamp: uint64
    extra_data: ExtraData
    base_fee_per_gas: uint256
    block_hash: Bytes32
    transactions_root: Bytes32
    withdrawals_root: Bytes32
    blob_gas_used: uint64
    excess_blob_gas: uint64


class HistoricalSummary(Container):
    """Roots of the block roots and state roots of one period."""

    block_summary_root: Bytes32
    state_summary_root: Bytes32


class PendingDeposit(Container):
    """A deposit that waits for its place (EIP-7251). The amount is in Gwei."""

    pubkey: Bytes48
    withdrawal_credentials: Bytes32
    amount: uint64
    signature: Bytes96
    slot: uint64


class PendingPartialWithdrawal(Container):
    """A withdrawal that was requested by EIP-7002. The amount is in Gwei."""

    validator_index: uint64
    amount: uint64
    withdrawable_epoch: uint64


class PendingConsolidation(Container):
    """A consolidation that was requested by EIP-7251."""

    source_index: uint64
    target_index: uint64


class ForkRow(NamedTuple):
    """From `first_slot` on, `validators[i]` stands at gindex `validators + i`, `balances[i]` at `balances + i // 4`."""

    fork: str
    first_slot: int
    validators: int
    balances: int


def preset_of(spec: Mapping[str, Any]) -> Preset:
    """Return the preset that a chain's configuration (Beacon API, config/spec) names as PRESET_BASE."""
    name = spec.get("PRESET_BASE")
    for preset in (MAINNET, MINIMAL):
        if preset.name == name:
            return preset
    raise ContainerError(f"PRESET_BASE is {name!r}, known are 'mainnet' and 'minimal'")


@cache
def beacon_state(fork: str, preset: Preset) -> Any:
    """Return the library's type of a BeaconState. Raises `ContainerError` for a fork that is not in `FORKS`."""
    if fork not in FORKS:
        raise ContainerError(f"no containers for the fork {fork!r}, only for {', '.join(FORKS)}")
    sync_committee = _container(
        "SyncCommittee", {"pubkeys": Vector[Bytes48, preset.sync_committee_size], "aggregate_pubkey": Bytes48}
    )
    roots = Vector[Bytes32, preset.slots_per_historical_root]
    votes = preset.epochs_per_eth1_voting_period * preset.slots_per_epoch
    fields: dict[str, Any] = {
        "genesis_time": uint64,
        "genesis_validators_root": Bytes32,
        "slot": uint64,
        "fork": Fork,
        "latest_block_header": BeaconBlockHeader,
        "block_roots": roots,
        "state_roots": roots,
        "historical_roots": List[Bytes32, HISTORICAL_ROOTS_LIMIT],
        "eth1_data": Eth1Data,
        "eth1_data_votes": List[Eth1Data, votes],
        "eth1_deposit_index": uint64,
        "validators": List[Validator, VALIDATOR_REGISTRY_LIMIT],
        "balances": List[uint64, VALIDATOR_REGISTRY_LIMIT],
        "randao_mixes": Vector[Bytes32, preset.epochs_per_historical_vector],
        "slashings": Vector[uint64, preset.epochs_per_slashings_vector],
        "previous_epoch_participation": List[uint8, VALIDATOR_REGISTRY_LIMIT],
        "current_epoch_participation": List[uint8, VALIDATOR_REGISTRY_LIMIT],
        "justification_bits": Bitvector[4],
        "previous_justified_checkpoint": Checkpoint,
        "current_justified_checkpoint": Checkpoint,
        "finalized_checkpoint": Checkpoint,
        "inactivity_scores": List[uint64, VALIDATOR_REGISTRY_LIMIT],
        "current_sync_committee": sync_committee,
        "next_sync_committee": sync_committee,
        "latest_execution_payload_header": ExecutionPayloadHeader,
        "next_withdrawal_index": uint64,
        "next_withdrawal_validator_index": uint64,
        "historical_summaries": List[HistoricalSummary, HISTORICAL_ROOTS_LIMIT],
    }
    if fork != "deneb":
        fields |= {
            "deposit_requests_start_index": uint64,
            "deposit_balance_to_consume": uint64,
            "exit_balance_to_consume": uint64,
            "earliest_exit_epoch": uint64,
            "consolidation_balance_to_consume": uint64,
            "earliest_consolidation_epoch": uint64,
            "pending_deposits": List[PendingDeposit, PENDING_DEPOSITS_LIMIT],
            "pending_partial_withdrawals": List[PendingPartialWithdrawal, preset.pending_partial_withdrawals_limit],
            "pending_consolidations": List[PendingConsolidation, preset.pending_consolidations_limit],
        }
    if fork == "fulu":
        fields["proposer_lookahead"] = Vector[uint64, 2 * preset.slots_per_epoch]
    return _container("BeaconState", fields)


def gindices(fork: str, preset: Preset) -> tuple[int, int]:
    """Return the generalized indices of `validators[0]` and of the chunk of `balances[0]` below the state root."""
    state = beacon_state(fork, preset)
    return (state / "validators" / 0).gindex(), (state / "balances" / 0).gindex()


def fork_table(spec: Mapping[str, Any]) -> list[ForkRow]:
    """Return the forks that a chain's configuration (Beacon API, config/spec) schedules, oldest first.

    Of forks at the same slot only the last is there. Not there are forks whose epoch is unset or that the node does not
    know, and forks without containers here. Raises `ContainerError` if none is left.
    """
    preset = preset_of(spec)
    rows: dict[int, ForkRow] = {}
    for fork in FORKS:
        epoch = int(spec.get(f"{fork.upper()}_FORK_EPOCH", FAR_FUTURE_EPOCH))
        if epoch != FAR_FUTURE_EPOCH:
            first_slot = epoch * preset.slots_per_epoch
            rows[first_slot] = ForkRow(fork, first_slot, *gindices(fork, preset))
    if not rows:
        raise ContainerError(f"the chain's configuration schedules none of {', '.join(FORKS)}")
    return [rows[first_slot] for first_slot in sorted(rows)]


def from_json(kind: Any, value: Any) -> Any:
    """Return the container of type `kind` that the Beacon API describes: decimal strings, hexadecimal bytes.

    Raises `ContainerError` unless exactly its fields are there and fit.
    """
    try:
        if value.keys() != kind.fields().keys():
            raise ContainerError(f"{kind.__name__} has the fields {', '.join(kind.fields())}")
        return kind.from_obj(value)
    except ContainerError:
        raise
    except Exception as error:  # the library raises many kinds
        raise ContainerError(f"not a {kind.__name__}: {error}") from error


def header_root(header: BeaconBlockHeader) -> bytes:
    """Return the block root: what a contract reads through EIP-4788."""
    return bytes(header.hash_tree_root())


def _container(name: str, fields: Mapping[str, Any]) -> Any:
    return type(Container)(name, (Container,), {"__annotations__": dict(fields)})
