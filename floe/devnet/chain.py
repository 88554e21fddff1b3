"""The beacon chain: the executable consensus specs, driven slot by slot with all validators' keys.

The head is linear: no forks, no gossip, no blobs. Signatures are real; where many sign the same message, the sum of
their secret keys signs once. State transition, epochs, withdrawals and requests are the specs' own code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from floe.devnet.execution import Attributes, ExecutionSide, Payload, UnsupportedError, Withdrawal
from floe.devnet.settings import CONFIG, STRANGER, Settings
from floe.devnet.system_contracts import DEPOSIT_CONTRACT

SPECS = Path(sys.prefix) / "specs"
"""Where `make setup` puts the specs: apart, because they pin versions that Ape cannot live with."""

CURVE_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
GENESIS_BALANCE_GWEI = 32 * 10**9
FORKS = ("ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU")
MIN_VALIDATORS = 8
KEPT_STATES = 16
"""Computed states of slots without a block that are kept."""


class ChainError(Exception):
    """Something that the chain cannot do; the text says why. `status` is the HTTP status that fits."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class World:
    """All that a snapshot remembers. States are immutable here: whoever changes one, copies it before."""

    ahead: Any
    """BeaconState at the next slot, before its block."""
    blocks: dict[bytes, Any]
    """SignedBeaconBlock by root, oldest first."""
    states: dict[bytes, Any]
    """BeaconState after the block, by the block's root."""
    slots: dict[int, bytes]
    """Root of the block by slot."""
    secrets: dict[bytes, int]
    """BLS secret keys by public key."""
    fee_recipients: dict[bytes, bytes] = field(default_factory=dict)
    """By public key; that of all others under b""."""
    offline: frozenset[bytes] = frozenset()
    """Public keys."""
    exits: tuple[Any, ...] = ()
    """SignedVoluntaryExit, of the pool."""
    slashed: tuple[int, ...] = ()
    """Validators to be slashed in the next block."""
    attesting: bool = True
    misses: int = 0
    """Slots to come without a block."""
    drops: int = 0
    """EIP-7002 and 7251 requests to be dropped."""


class Chain:
    """A beacon chain on top of an execution side that is started, and stopped, by somebody else."""

    def __init__(self, settings: Settings, side: ExecutionSide, genesis_time: int, block: Payload) -> None:
        if settings.validators < MIN_VALIDATORS:
            raise ChainError(f"a devnet needs {MIN_VALIDATORS} validators, one for each slot of an epoch")
        self.settings, self.side = settings, side
        self.spec = load_spec(settings)
        self.genesis_time = genesis_time
        self._snapshots: dict[str, tuple[str, World]] = {}
        secrets = dict(map(self._keys, range(settings.validators)))
        state = self._genesis(block, list(secrets))
        body = self.spec.BeaconBlockBody()
        genesis = self.spec.SignedBeaconBlock(message=self.spec.BeaconBlock(state_root=_root(state), body=body))
        root = _root(genesis.message)
        fee_recipients = {b"": bytes.fromhex(settings.fee_recipient[2:])}
        self.world = World(state, {root: genesis}, {root: state}, {0: root}, secrets, fee_recipients)
        self._state_at: Callable[[bytes, int], Any] = lru_cache(KEPT_STATES)(self._advanced)
        self._look_ahead(state)

    # --- reading ---

    @property
    def slot(self) -> int:
        """The newest slot that is over or has its block."""
        return int(self.world.ahead.slot) - 1

    @property
    def head(self) -> bytes:
        """Root of the newest block."""
        return next(reversed(self.world.blocks))

    def block_root(self, name: str) -> bytes:
        """Return the root of the block that a Beacon API block id (or state id) names. Raises ChainError."""
        state = self.world.states[self.head]
        if name == "head":
            return self.head
        if name == "genesis":
            return self.world.slots[0]
        if name in ("finalized", "justified"):
            point = state.finalized_checkpoint if name == "finalized" else state.current_justified_checkpoint
            return bytes(point.root) if any(point.root) else self.world.slots[0]
        if name.startswith("0x"):
            root = unhex(name, 32)
            if root not in self.world.blocks:
                raise ChainError(f"block not found: {name}", 404)
            return root
        if not name.isdecimal():
            raise ChainError(f"block id is neither a slot, a root nor head, finalized, justified, genesis: {name}")
        if (slot := int(name)) not in self.world.slots:
            raise ChainError(f"slot {slot} has no block", 404)
        return self.world.slots[slot]

    def state(self, name: str) -> Any:
        """Return the BeaconState that a Beacon API state id names. Raises ChainError.

        A slot without a block has the state of the block before it, advanced. A root is that of the state.
        """
        if name.startswith("0x"):
            root = unhex(name, 32)
            for block, signed in reversed(self.world.blocks.items()):
                if signed.message.state_root == root:
                    return self.world.states[block]
            raise ChainError(f"state not found: {name}", 404)
        if not name.isdecimal() or int(name) in self.world.slots:
            return self.world.states[self.block_root(name)]
        slot = int(name)
        if slot > self.slot:
            raise ChainError(f"slot {slot} is in the future: the chain is at {self.slot}", 404)
        before = next(each for each in range(slot, -1, -1) if each in self.world.slots)
        return self._state_at(self.world.slots[before], slot)

    def is_finalized(self, slot: int) -> bool:
        """Whether the slot is not after the finalized block's."""
        return slot <= int(self.world.blocks[self.block_root("finalized")].message.slot)

    def pubkey(self, name: str | int) -> bytes:
        """Return the public key that an index, or the key itself, names. Raises ChainError."""
        validators = self.world.states[self.head].validators
        if str(name).startswith("0x"):
            return unhex(str(name), 48)
        if not str(name).isdecimal():
            raise ChainError(f"validator is neither an index nor a public key: {name}")
        if int(name) >= len(validators):
            raise ChainError(f"there is no validator {name}: the registry has {len(validators)}", 404)
        return bytes(validators[int(name)].pubkey)

    def index(self, name: str | int) -> int:
        """Return the index of a validator. Raises ChainError."""
        pubkey = self.pubkey(name)
        for index, validator in enumerate(self.world.states[self.head].validators):
            if validator.pubkey == pubkey:
                return index
        raise ChainError(f"no validator has the key 0x{pubkey.hex()}", 404)

    # --- time ---

    def advance(self) -> None:
        """Make the next slot: with a block, unless it is to be missed or its proposer cannot make one."""
        world, spec = self.world, self.spec
        state = world.ahead.copy()
        if world.misses:
            world.misses -= 1
        elif self._is_online(state, proposer := int(spec.get_beacon_proposer_index(state))):
            signed = self._make_block(state, proposer)
            root = _root(signed.message)
            world.blocks[root], world.states[root], world.slots[int(state.slot)] = signed, state, root
        self._look_ahead(state)

    def prepare(self) -> None:
        """Tell the execution side who gets the tips from now on: the next slot's proposer."""
        ahead = self.world.ahead
        self.side.prepare(self._fee_recipient(ahead, int(self.spec.get_beacon_proposer_index(ahead))))

    # --- what goes wrong, and what is asked for ---

    def slash(self, names: Iterable[str | int]) -> None:
        """Slash validators in the next block. Raises ChainError when one cannot be slashed."""
        indices = [self.index(name) for name in names]
        epoch = self.spec.get_current_epoch(self.world.ahead)
        for index in indices:
            if not self.spec.is_slashable_validator(self.world.ahead.validators[index], epoch):
                raise ChainError(f"validator {index} is not slashable: not active yet, withdrawn, or slashed before")
            self._secret(index)
        self.world.slashed = tuple(dict.fromkeys([*self.world.slashed, *indices]))

    def drop_requests(self, count: int) -> None:
        """Drop the next requests of EIP-7002 and 7251. Raises UnsupportedError."""
        if self.side.commits_to_requests:
            raise UnsupportedError("this execution client's blocks commit to their requests: none can be dropped")
        self.world.drops = count

    def sign_exit(self, name: str | int) -> Any:
        """Return a SignedVoluntaryExit for now."""
        spec, index = self.spec, self.index(name)
        epoch = spec.get_current_epoch(self.world.ahead)
        message = spec.VoluntaryExit(epoch=epoch, validator_index=index)
        # EIP-7044: always the domain of Capella
        root = self.world.ahead.genesis_validators_root
        domain = spec.compute_domain(spec.DOMAIN_VOLUNTARY_EXIT, spec.config.CAPELLA_FORK_VERSION, root)
        return spec.SignedVoluntaryExit(message=message, signature=self._sign([self._secret(index)], message, domain))

    def add_exit(self, exit_: Any) -> None:
        """Put a voluntary exit into the pool. Raises ChainError when it is not valid now."""
        if exit_.message.validator_index >= len(self.world.ahead.validators):
            raise ChainError(f"there is no validator {exit_.message.validator_index}")
        if not self._valid(self.spec.process_voluntary_exit, self.world.ahead.copy(), exit_):
            raise ChainError(
                "the voluntary exit is not valid: wrong signature, not active, too young or already exiting"
            )
        self.world.exits = (*self.world.exits, exit_)

    def add_secrets(self, keys: Iterable[int], secrets: Iterable[int]) -> list[bytes]:
        """Run further validators: keys of the seed by number, and secret keys. Return the public keys."""
        found = [self._keys(key) for key in keys]
        for secret in secrets:
            if not 0 < secret < CURVE_ORDER:
                raise ChainError("a secret key is a number between 0 and the order of the curve")
            found.append((bytes(self.spec.bls.SkToPk(secret)), secret))
        self.world.secrets = {**self.world.secrets, **dict(found)}
        return [pubkey for pubkey, _ in found]

    def deposit_data(self, key: int, credentials: bytes, amount_gwei: int) -> Any:
        """Sign a deposit with a key of the seed, which the chain then runs; return the DepositData."""
        spec = self.spec
        [pubkey] = self.add_secrets([key], [])
        fields = {"pubkey": pubkey, "withdrawal_credentials": credentials, "amount": amount_gwei}
        message = spec.DepositMessage(**fields)
        domain = spec.compute_domain(spec.DOMAIN_DEPOSIT)
        return spec.DepositData(**fields, signature=self._sign([self.world.secrets[pubkey]], message, domain))

    # --- snapshots ---

    def snapshot(self) -> str:
        """Remember both chains; return a name."""
        name = self.side.snapshot()
        self._snapshots[name] = name, self._copy(self.world)
        return name

    def restore(self, name: str) -> None:
        """Return both chains to a snapshot. Raises ChainError."""
        if name not in self._snapshots:
            raise ChainError(f"there is no snapshot {name}: later ones are forgotten when an earlier one is restored")
        there, world = self._snapshots[name]
        self.side.restore(there)
        names = list(self._snapshots)
        self._snapshots = {each: self._snapshots[each] for each in names[: names.index(name) + 1]}
        self.world = self._copy(world)
        self.prepare()

    # --- internal ---

    @staticmethod
    def _copy(world: World) -> World:
        return replace(
            world,
            blocks=dict(world.blocks),
            states=dict(world.states),
            slots=dict(world.slots),
            fee_recipients=dict(world.fee_recipients),
        )

    def _genesis(self, block: Payload, pubkeys: list[bytes]) -> Any:
        spec = self.spec
        fork = FORKS.index(self.settings.fork.upper())
        versions = [getattr(spec.config, f"{name}_FORK_VERSION") for name in FORKS[fork - 1 : fork + 1]]
        state = spec.BeaconState(
            genesis_time=self.genesis_time,
            fork=spec.Fork(previous_version=versions[0], current_version=versions[1], epoch=0),
            latest_block_header=spec.BeaconBlockHeader(body_root=_root(spec.BeaconBlockBody())),
            eth1_data=spec.Eth1Data(block_hash=block.block_hash),
            # not the execution block's hash, so that the same seed always gives the same proposers
            randao_mixes=[sha256(self.settings.seed.encode()).digest()] * spec.EPOCHS_PER_HISTORICAL_VECTOR,
            # deposits come through EIP-6110 from the first block on
            deposit_requests_start_index=0,
        )
        credentials = b"\x02" + bytes(11) + unhex(STRANGER, 20)
        for pubkey in pubkeys:
            spec.add_validator_to_registry(state, pubkey, credentials, spec.Gwei(GENESIS_BALANCE_GWEI))
            validator = state.validators[len(state.validators) - 1]
            validator.activation_eligibility_epoch = validator.activation_epoch = spec.GENESIS_EPOCH
        state.genesis_validators_root = _root(state.validators)
        state.current_sync_committee = state.next_sync_committee = spec.get_next_sync_committee(state)
        state.earliest_exit_epoch = state.earliest_consolidation_epoch = 1
        state.latest_execution_payload_header = self._header(block)
        if self.settings.fork == "fulu":
            state.proposer_lookahead = spec.initialize_proposer_lookahead(state)
        return state

    def _look_ahead(self, state: Any) -> None:
        """Begin the slot after `state`'s; who proposes in it gets the tips from now on."""
        ahead = state.copy()
        self.spec.process_slots(ahead, state.slot + 1)
        self.world.ahead = ahead
        self.prepare()

    def _advanced(self, block: bytes, slot: int) -> Any:
        state = self.world.states[block].copy()
        self.spec.process_slots(state, slot)
        return state

    def _make_block(self, state: Any, proposer: int) -> Any:
        """Make the block of `state`'s slot and apply it to `state`."""
        spec, world = self.spec, self.world
        epoch = spec.get_current_epoch(state)
        parent = _root(state.latest_block_header)
        attributes = Attributes(
            timestamp=int(spec.compute_time_at_slot(state, state.slot)),
            prev_randao=bytes(spec.get_randao_mix(state, epoch)),
            fee_recipient=self._fee_recipient(state, proposer),
            parent_beacon_root=parent,
            withdrawals=tuple(
                Withdrawal(int(each.index), int(each.validator_index), bytes(each.address), int(each.amount))
                for each in spec.get_expected_withdrawals(state).withdrawals
            ),
            safe_block_hash=self._execution_hash(state.current_justified_checkpoint),
            finalized_block_hash=self._execution_hash(state.finalized_checkpoint),
        )
        payload = self.side.build(attributes)
        self.side.accept(payload, attributes)
        secret = self._secret(proposer)
        trial = state.copy()
        slashings = [self._slashing(state, index) for index in world.slashed[: spec.MAX_PROPOSER_SLASHINGS]]
        slashings = [each for each in slashings if self._valid(spec.process_proposer_slashing, trial, each)]
        exits = list(world.exits[: spec.MAX_VOLUNTARY_EXITS])
        exits = [each for each in exits if self._valid(spec.process_voluntary_exit, trial, each)]
        world.slashed = world.slashed[spec.MAX_PROPOSER_SLASHINGS :]
        world.exits = world.exits[spec.MAX_VOLUNTARY_EXITS :]
        body = spec.BeaconBlockBody(
            randao_reveal=self._sign([secret], epoch, spec.get_domain(state, spec.DOMAIN_RANDAO)),
            eth1_data=state.eth1_data,
            proposer_slashings=slashings,
            attestations=self._attestations(state) if world.attesting else [],
            voluntary_exits=exits,
            sync_aggregate=self._sync_aggregate(state),
            execution_payload=self._payload(payload),
            execution_requests=self._requests(payload),
        )
        block = spec.BeaconBlock(slot=state.slot, proposer_index=proposer, parent_root=parent, body=body)
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_PROPOSER)
        spec.process_block(state, block)
        block.state_root = _root(state)
        return spec.SignedBeaconBlock(message=block, signature=self._sign([secret], block, domain))

    def _attestations(self, state: Any) -> list[Any]:
        """Return what the slots since the last block have attested, newest first, one aggregate for each slot."""
        spec = self.spec
        first = max(int(state.latest_block_header.slot), int(state.slot) - int(spec.MAX_ATTESTATIONS_ELECTRA))
        made = [self._attestation(state, slot) for slot in range(int(state.slot) - 1, first - 1, -1)]
        return [each for each in made if each is not None]

    def _attestation(self, state: Any, slot: int) -> Any:
        spec = self.spec
        epoch = spec.compute_epoch_at_slot(spec.Slot(slot))
        current = epoch == spec.get_current_epoch(state)
        data = spec.AttestationData(
            slot=slot,
            beacon_block_root=spec.get_block_root_at_slot(state, spec.Slot(slot)),
            source=state.current_justified_checkpoint if current else state.previous_justified_checkpoint,
            target=spec.Checkpoint(epoch=epoch, root=spec.get_block_root(state, epoch)),
        )
        bits: list[bool] = []
        committees, secrets = [], []
        for number in range(int(spec.get_committee_count_per_slot(state, epoch))):
            committee = spec.get_beacon_committee(state, spec.Slot(slot), spec.CommitteeIndex(number))
            online = [self._is_online(state, int(index)) for index in committee]
            if any(online):
                committees.append(number)
                bits += online
                secrets += [self._secret(int(index)) for index, is_on in zip(committee, online, strict=True) if is_on]
        if not committees:
            return None
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_ATTESTER, epoch)
        return spec.Attestation(
            aggregation_bits=bits,
            data=data,
            signature=self._sign(secrets, data, domain),
            committee_bits=[number in committees for number in range(spec.MAX_COMMITTEES_PER_SLOT)],
        )

    def _sync_aggregate(self, state: Any) -> Any:
        spec, world = self.spec, self.world
        slot = spec.Slot(state.slot - 1)
        members = [bytes(pubkey) for pubkey in state.current_sync_committee.pubkeys]
        bits = [member in world.secrets and member not in world.offline for member in members]
        secrets = [world.secrets[member] for member, bit in zip(members, bits, strict=True) if bit]
        domain = spec.get_domain(state, spec.DOMAIN_SYNC_COMMITTEE, spec.compute_epoch_at_slot(slot))
        signature = self._sign(secrets, spec.get_block_root_at_slot(state, slot), domain)
        return spec.SyncAggregate(sync_committee_bits=bits, sync_committee_signature=signature)

    def _slashing(self, state: Any, index: int) -> Any:
        """Two headers of one slot that a proposer has signed."""
        spec = self.spec
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_PROPOSER)
        headers = []
        for body_root in (b"\x01" * 32, b"\x02" * 32):
            header = spec.BeaconBlockHeader(slot=state.slot, proposer_index=index, body_root=body_root)
            signature = self._sign([self._secret(index)], header, domain)
            headers.append(spec.SignedBeaconBlockHeader(message=header, signature=signature))
        return spec.ProposerSlashing(signed_header_1=headers[0], signed_header_2=headers[1])

    def _requests(self, payload: Payload) -> Any:
        """Decode EIP-7685 requests; what is to be dropped is left out."""
        spec = self.spec
        kinds = {0: spec.DepositRequests, 1: spec.WithdrawalRequests, 2: spec.ConsolidationRequests}
        found = {each[0]: list(kinds[each[0]].decode_bytes(each[1:])) for each in payload.requests}
        for kind in (1, 2):
            dropped = min(self.world.drops, len(found.get(kind, [])))
            found[kind] = found.get(kind, [])[dropped:]
            self.world.drops -= dropped
        return spec.ExecutionRequests(
            deposits=found.get(0, []), withdrawals=found.get(1, []), consolidations=found.get(2, [])
        )

    def _payload(self, payload: Payload) -> Any:
        fields = {name: value for name, value in vars(payload).items() if name not in ("withdrawals", "requests")}
        return self.spec.ExecutionPayload(
            **fields | {"transactions": list(payload.transactions)},
            withdrawals=[
                self.spec.Withdrawal(
                    index=each.index,
                    validator_index=each.validator_index,
                    address=each.address,
                    amount=each.amount_gwei,
                )
                for each in payload.withdrawals
            ],
        )

    def _header(self, payload: Payload) -> Any:
        full = self._payload(payload)
        listed = ("transactions", "withdrawals")
        fields = {name: getattr(full, name) for name in full.fields() if name not in listed}
        return self.spec.ExecutionPayloadHeader(
            **fields, **{f"{name}_root": _root(getattr(full, name)) for name in listed}
        )

    def _execution_hash(self, checkpoint: Any) -> bytes:
        if not any(checkpoint.root):
            return bytes(32)
        return bytes(self.world.states[bytes(checkpoint.root)].latest_execution_payload_header.block_hash)

    def _is_online(self, state: Any, index: int) -> bool:
        validator = state.validators[index]
        pubkey = bytes(validator.pubkey)
        return pubkey in self.world.secrets and pubkey not in self.world.offline and not validator.slashed

    def _fee_recipient(self, state: Any, index: int) -> bytes:
        recipients = self.world.fee_recipients
        return recipients.get(bytes(state.validators[index].pubkey), recipients[b""])

    def _keys(self, number: int) -> tuple[bytes, int]:
        """Return public and secret key number `number` of the seed."""
        digest = sha256(f"{self.settings.seed}/{number}".encode()).digest() + bytes(16)
        secret = int.from_bytes(digest, "big") % (CURVE_ORDER - 1) + 1
        return bytes(self.spec.bls.SkToPk(secret)), secret

    def _secret(self, index: int) -> int:
        pubkey = bytes(self.world.ahead.validators[index].pubkey)
        if pubkey not in self.world.secrets:
            raise ChainError(f"the devnet has no key of validator {index}")
        return self.world.secrets[pubkey]

    def _sign(self, secrets: list[int], message: Any, domain: Any) -> Any:
        if not secrets:
            return self.spec.G2_POINT_AT_INFINITY
        return self.spec.bls.Sign(sum(secrets) % CURVE_ORDER, self.spec.compute_signing_root(message, domain))

    @staticmethod
    def _valid(process: Callable[[Any, Any], None], state: Any, operation: Any) -> bool:
        """Whether the specs accept an operation, which is then applied to `state`."""
        try:
            process(state, operation)
        except AssertionError:
            return False
        return True


def load_spec(settings: Settings) -> Any:
    """Import the specs of the fork, minimal preset, and configure them. Raises ChainError."""
    if not SPECS.is_dir():
        raise ChainError(f"the consensus specs are not installed in {SPECS}: `make setup` does it")
    if str(SPECS) not in sys.path:
        sys.path.append(str(SPECS))
    spec: Any = importlib.import_module(f"eth_consensus_specs.{settings.fork}.minimal")
    changes: dict[str, Any] = {
        **CONFIG,
        "SLOT_DURATION_MS": settings.seconds_per_slot * 1000,
        "MIN_GENESIS_TIME": settings.genesis_time,
        "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT": settings.validators,
        "GENESIS_DELAY": 0,
        "DEPOSIT_CHAIN_ID": settings.chain_id,
        "DEPOSIT_NETWORK_ID": settings.chain_id,
        "TERMINAL_TOTAL_DIFFICULTY": 0,
        "DEPOSIT_CONTRACT_ADDRESS": bytes.fromhex(DEPOSIT_CONTRACT[2:]),
        **{f"{name}_FORK_EPOCH": 0 for name in FORKS[: FORKS.index(settings.fork.upper()) + 1]},
        **settings.config,
    }
    if unknown := set(changes) - set(spec.config._fields):
        raise ChainError(f"the configuration of {settings.fork} has no {', '.join(sorted(unknown))}")
    typed = {name: type(getattr(spec.config, name))(value) for name, value in changes.items()}
    spec.config = spec.config._replace(**typed)
    _memoise(spec)
    return spec


def _memoise(spec: Any) -> None:
    """Remember what helpers return that the specs call once for every validator: quadratic otherwise."""
    participating, eligible = spec.get_unslashed_participating_indices, spec.get_eligible_validator_indices
    if hasattr(participating, "cache"):
        return

    def remember(function: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
        cache: dict[Any, Any] = {}

        def remembering(state: Any, *rest: Any) -> Any:
            wanted = key(state, *rest)
            if wanted not in cache:
                if len(cache) > 8:
                    cache.clear()
                cache[wanted] = function(state, *rest)
            return cache[wanted]

        remembering.cache = cache  # type: ignore[attr-defined]
        return remembering

    def of_participation(state: Any, flag: int, epoch: int) -> Any:
        lists = (state.previous_epoch_participation, state.current_epoch_participation, state.validators)
        return (*map(_root, lists), state.slot, flag, epoch)

    spec.get_unslashed_participating_indices = remember(participating, of_participation)
    spec.get_eligible_validator_indices = remember(eligible, lambda state: (_root(state.validators), state.slot))
    if "proposer_lookahead" not in spec.BeaconState.fields():
        spec.get_beacon_proposer_index = remember(
            spec.get_beacon_proposer_index,
            lambda state: (_root(state.validators), _root(state.randao_mixes), state.slot),
        )


def _root(view: Any) -> bytes:
    return bytes(view.hash_tree_root())


def unhex(text: str, length: int) -> bytes:
    """Read 0x and 2·`length` hex digits. Raises ChainError."""
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ChainError(f"not hex: {text}") from None
    if not text.startswith("0x") or len(data) != length:
        raise ChainError(f"not 0x and {2 * length} hex digits: {text}")
    return data
