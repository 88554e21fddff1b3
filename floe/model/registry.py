"""The validator registry: operators and their bonds, proofs, top-ups, and pulling stake back.

Amounts are Gwei unless a comment says wei. A validator is named by its key, the SSZ root of its public key. Proofs are
checked as the contract checks them: against a root of EIP-4788, with the places that the table of forks names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from floe.beacon.ssz import CHUNK, ProofError, Witness, key_of, root_of
from floe.model.basics import BPS, DAY, ETHER, GWEI, LOCKED, OVERFLOW, U64, U96, ZERO, Address, Chain, Revert, ceil_div
from floe.model.beacon import FAR_FUTURE, GWEI_IN_ETHER, Header, Proof, number
from floe.model.pool import Pool
from floe.model.system_contracts import Deposit, SystemContracts
from floe.model.tokens import Roles
from floe.model.vault import CONSOLIDATION, WITHDRAWAL, WithdrawalVault

OPERATORS_ROLE = "operators"
KEEPER_ROLE = "keeper"

PUBKEY, SIGNATURE = 48, 96
PREDEPOSIT = MIN_TOP_UP = GWEI_IN_ETHER
MIN_PULL = 5 * GWEI_IN_ETHER
MIN_STAKE, MAX_STAKE = 32 * GWEI_IN_ETHER, 2_048 * GWEI_IN_ETHER
FRESH_SLOTS = 256
"""What a top-up relies on was proven of a state at most so old."""

SEEN = 2**32 - 1
"""`pulled_at` of a validator whose exit stands in the beacon state."""
REQUEST_TIME = 2 * DAY
"""A request that the beacon chain has not shown for so long was dropped, or paid and forgotten."""
WITHDRAWAL_TIME = 64 * DAY
DEPOSIT_TIME = 128 * DAY
"""Longer than withdrawals and deposits have ever waited in the beacon chain's queues."""
REPORT_TIME = 2 * DAY
"""A report that came so long after a slashing has seen it."""

INDEX_LIMIT = 2**40
MAX_SUBTREES = 21
MAX_FORKS = 16
MAX_OPERATORS = 2**16 - 1
U32, U48 = 2**32 - 1, 2**48 - 1


class State(IntEnum):
    """Where a validator is in its life."""

    NONE = 0
    PREDEPOSITED = 1
    PROVEN = 2
    ACTIVE = 4
    EXITING = 8
    CLOSED = 16
    COMPROMISED = 32
    SLASHED = 64


class Validator(NamedTuple):
    """What the registry knows of a validator."""

    state: State = State.NONE
    operator: int = 0
    validator_index: int = 0
    stake: int = 0
    pulled: int = 0
    """Part of the stake for which a withdrawal is under way."""
    topped_at: int = 0
    pulled_at: int = 0
    """Time of the last request, before the first of the state that showed it active (0 until then); SEEN once an exit
    is proven."""
    proven_at: int = 0
    """Time of the newest state that was proven."""

    def word(self) -> int:
        """Return it as the contract packs it."""
        return (
            self.state
            | self.operator << 8
            | self.validator_index << 24
            | self.stake << 64
            | self.pulled << 112
            | self.topped_at << 160
            | self.pulled_at << 192
            | self.proven_at << 224
        )

    def staying(self) -> int:
        """Stake of an active validator less what is under way."""
        return self.stake - self.pulled if self.state == State.ACTIVE else 0

    def leaving(self) -> int:
        """Part that is under way to the withdrawal vault. A slashed validator's comes too late to count on."""
        return self.pulled if self.state in (State.ACTIVE, State.EXITING) else 0


class Operator(NamedTuple):
    """Who runs validators."""

    manager: Address
    weight: int
    limit: int
    """Most open validators."""
    open: int
    """Validators that are neither closed nor compromised."""
    reward_address: Address
    bond: int
    stake: int

    def words(self) -> tuple[int, int]:
        """Return it as the contract packs it: the place and the purse."""
        place = int(self.manager, 16) | self.weight << 160 | self.limit << 192 | self.open << 224
        return place, int(self.reward_address, 16) | self.bond << 160 | self.stake << 208


class Fork(NamedTuple):
    """Where validators and balances are in the beacon state from a slot on, as `_first` reads it."""

    first_slot: int
    validators_gindex: int
    balances_gindex: int


class ChainConstants(NamedTuple):
    """Constants of the beacon chain."""

    genesis_time: int
    seconds_per_slot: int
    slots_per_epoch: int
    slashings_vector: int


class RegistryParameters(NamedTuple):
    """What the admin may change."""

    slashing_bps: int
    """Part of a slashed validator's effective balance that counts as lost until a report."""
    promise: int
    """Seconds an exit may be eligible and unpaid before anyone may pull stake back."""

    def check(self) -> None:
        """Refuse what is out of bounds."""
        if not (0 < self.slashing_bps <= BPS and DAY <= self.promise <= 30 * DAY):
            raise Revert("parameter: out of bounds")


@dataclass(slots=True)
class Registry:
    """State and rules of the registry.

    A method that raises `Revert` may have changed something: who calls goes back to the state before
    (`Protocol.attempt`).
    """

    chain: Chain
    address: Address
    pool: Pool
    vault: WithdrawalVault
    system: SystemContracts
    constants: ChainConstants
    forks: list[Fork]
    """Oldest first."""
    parameters: RegistryParameters
    roles: Roles

    operators: dict[int, Operator] = field(default_factory=dict)
    validators: dict[bytes, Validator] = field(default_factory=dict)
    total_weight: int = 0
    staked: int = 0
    """With all active validators, less what is under way."""
    under_way: int = 0
    eligible_on: dict[int, int] = field(default_factory=dict)
    """Day -> position on the queue's line up to which exits were eligible then."""
    entered: bool = False

    @property
    def credentials(self) -> bytes:
        """Withdrawal credentials of all our validators."""
        return b"\x02" + bytes(11) + bytes.fromhex(self.vault.address[2:])

    # --- from the buffer to the beacon chain ---

    def predeposit(self, sender: Address, value: int, operator: int, pubkeys: bytes, signatures: bytes) -> None:
        """Deposit 1 ETH of the operator's bond for each of its new keys; `value` wei join the bond first."""
        self._enter()
        self._check_manager(sender, operator)
        self._check_deposit_contract()
        count = len(pubkeys) // PUBKEY
        if count == 0 or len(pubkeys) != count * PUBKEY or len(signatures) != count * SIGNATURE:
            raise Revert("keys: wrong length")
        self._change_bond(operator, self._to_gwei(value) - count * PREDEPOSIT)
        self._open(operator, count)
        self.chain.move(sender, self.address, value)
        for k in range(count):
            pubkey = pubkeys[k * PUBKEY : (k + 1) * PUBKEY]
            key = key_of(pubkey)
            if key in self.validators:
                raise Revert("validator: known already")
            self.validators[key] = Validator(State.PREDEPOSITED, operator)
            self._deposit(pubkey, PREDEPOSIT, signatures[k * SIGNATURE : (k + 1) * SIGNATURE])

    def prove(self, proof: Proof) -> None:
        """Bring validators up to date with a beacon state."""
        self._enter()
        at = self._check_proof(proof)
        for index, chunks in proof.witnesses:
            self._update(index, chunks, at)

    def prove_one(
        self, timestamp: int, header: Header, index: int, chunks: tuple[bytes, ...], branch: list[bytes]
    ) -> None:
        """As `prove`, for one validator."""
        self._enter()
        self._prove_one(timestamp, header, index, chunks, branch)

    def top_up(self, pubkeys: bytes, amounts: list[int]) -> None:
        """Stake the pool's ETH with validators proven just now, within quota and `stakeable()`."""
        self._enter()
        self._check_deposit_contract()
        if len(pubkeys) != len(amounts) * PUBKEY:
            raise Revert("keys: wrong length")
        keys = [pubkeys[k : k + PUBKEY] for k in range(0, len(pubkeys), PUBKEY)]
        assets = self._assets()
        taken = 0
        for pubkey, amount in zip(keys, amounts, strict=True):
            taken += self._book_top_up(key_of(pubkey), amount, assets)
        self.pool.send_to_validators(self.address, taken * GWEI)
        for pubkey, amount in zip(keys, amounts, strict=True):
            self._deposit(pubkey, amount, bytes(SIGNATURE))

    def _book_top_up(self, key: bytes, amount: int, assets: int) -> int:
        """Book a top-up; returns what the pool has to pay: the amount, and the first time the predeposit."""
        was = v = self.validators.get(key, Validator())
        bought = 0
        if v.state == State.PROVEN:
            bought = PREDEPOSIT
            v = v._replace(state=State.ACTIVE, stake=PREDEPOSIT)
            self._change_bond(v.operator, bought)
        else:
            self._check_at_rest(v)
        if v.proven_at + FRESH_SLOTS * self.constants.seconds_per_slot < self.chain.now:
            raise Revert("validator: proof too old")
        if amount < MIN_TOP_UP:
            raise Revert("top-up: below 1 ETH")
        v = v._replace(stake=v.stake + amount, topped_at=self.chain.now)
        if not MIN_STAKE <= v.stake <= MAX_STAKE:
            raise Revert("stake: not 32 to 2048 ETH")
        self._save(key, was, v)
        self._open(v.operator, 0)
        if self.operators[v.operator].stake > self._part(v.operator, assets):
            raise Revert("operator: over its quota")
        return amount + bought

    # --- what a proof changes ---

    def _update(self, index: int, chunks: tuple[bytes, ...], at: int) -> None:
        """Bring one record up to date with what is proven of the time `at`; what is older changes nothing."""
        key, credentials, balance = chunks[0], chunks[1], _number(chunks[2])
        was = self.validators.get(key, Validator())
        if was.state == State.PREDEPOSITED:
            state = State.PROVEN if credentials == self.credentials else State.COMPROMISED
            was = self.validators[key] = was._replace(validator_index=index, state=state)
            if state == State.COMPROMISED:
                self._close(was.operator)
                return
        elif was.state not in (State.PROVEN, State.ACTIVE, State.EXITING, State.SLASHED):
            raise Revert("validator: not in this state")
        if was.state == State.SLASHED or at <= was.proven_at:
            return
        v = was._replace(proven_at=at)
        if chunks[3] != bytes(CHUNK):
            v = v._replace(state=State.SLASHED, pulled=0, stake=balance if v.topped_at else v.stake)
            self._save(key, was, v)
            self._suspend(v.operator)
            self._raise_pending_loss(v, _number(chunks[7]))
            return
        if chunks[6] != number(FAR_FUTURE):
            pulled = v.pulled if v.state == State.EXITING else v.stake
            v = v._replace(state=State.EXITING, pulled=pulled, pulled_at=SEEN)
        elif v.topped_at:
            v = self._follow(v, balance, _number(chunks[5]))
        self._save(key, was, v)

    def _follow(self, v: Validator, balance: int, activation_epoch: int) -> Validator:
        """Apply what an effective balance without an exit epoch says of the stake and of a request under way."""
        c, at = self.constants, v.proven_at
        epoch = (at - c.genesis_time) // c.seconds_per_slot // c.slots_per_epoch
        if v.pulled_at == 0 and activation_epoch <= epoch:
            v = v._replace(pulled_at=at)
        if v.state == State.ACTIVE and v.pulled == 0:
            return v._replace(stake=balance) if balance > v.stake or at > v.topped_at + DEPOSIT_TIME else v
        if at <= v.pulled_at + REQUEST_TIME:
            return v
        # The effective balance is in whole ETH, and rewards add to it: half of what was asked for is enough.
        if v.state == State.ACTIVE and balance + v.pulled // 2 <= v.stake + GWEI_IN_ETHER:
            return v._replace(stake=max(v.stake - v.pulled, balance), pulled=0)
        if v.state == State.EXITING or at > v.pulled_at + WITHDRAWAL_TIME:
            return v._replace(state=State.ACTIVE, stake=max(v.stake, balance), pulled=0)
        return v

    def _raise_pending_loss(self, v: Validator, withdrawable_epoch: int) -> None:
        """Raise the pool's pending loss, unless the stake was never the pool's or a report has seen the slashing."""
        if not v.topped_at:
            return
        self.pool._enter()
        c = self.constants
        slashed_epoch = max(withdrawable_epoch - c.slashings_vector, 0)
        slashed_at = c.genesis_time + slashed_epoch * c.slots_per_epoch * c.seconds_per_slot
        if self.pool.report_at < slashed_at + REPORT_TIME:
            estimate = ceil_div(v.stake * self.parameters.slashing_bps, BPS)
            self.pool.raise_pending_loss(self.address, estimate)

    def _save(self, key: bytes, was: Validator, v: Validator) -> None:
        """Write `v` in the place of `was`, and what follows for its operator and for all."""
        self.validators[key] = v
        stake, under_way = v.staying() - was.staying(), v.leaving() - was.leaving()
        if stake:
            operator = self.operators[v.operator]
            if operator.stake + stake > U48:
                raise Revert("operator: number too large")
            self.operators[v.operator] = operator._replace(stake=operator.stake + stake)
        self.staked += stake
        self.under_way += under_way

    # --- and back ---

    def request_withdrawals(self, sender: Address, value: int, pubkeys: bytes, amounts: list[int], day: int = 0) -> int:
        """Ask the beacon chain to withdraw; returns the wei of fees. 0 asks for a whole validator.

        The keeper may at any time; anyone while exits of `day` are overdue, up to what is missing, from operators that
        have more than their part of what should stay.
        """
        self._enter()
        keeper = (KEEPER_ROLE, sender) in self.roles.members
        if not amounts or len(pubkeys) != PUBKEY * len(amounts):
            raise Revert("keys: wrong length")
        missing = keep = 0
        if not keeper:
            if not self._overdue(day):
                raise Revert("exits: not overdue")
            missing = ceil_div(self._missing(), GWEI)
            # Where the operators above their part have nothing that the beacon chain would give, all are asked.
            keep = 0 if self._overdue(day, 2) else max(self.staked - missing, 0)
        payloads = []
        for k, wanted in enumerate(amounts):
            pubkey = pubkeys[k * PUBKEY : (k + 1) * PUBKEY]
            key = key_of(pubkey)
            was = self.validators.get(key, Validator())
            self._check_seen(was, self.chain.now if keeper else self.chain.now - REQUEST_TIME)
            spare, amount = max(was.stake - MIN_STAKE, 0), wanted
            if not keeper:
                if self.operators[was.operator].stake <= self._part(was.operator, keep):
                    raise Revert("operator: not above its quota")
                worth = max(missing, MIN_PULL)
                if missing == 0 or (not wanted and worth <= spare):
                    raise Revert("withdrawal: too much")
                if wanted:
                    amount = min(spare, worth)
            if wanted and not MIN_PULL <= amount <= spare:
                raise Revert("withdrawal: too much")
            pulled, state = (amount, was.state) if wanted else (was.stake, State.EXITING)
            missing = max(missing - pulled, 0)
            self._save(key, was, was._replace(state=state, pulled=pulled, pulled_at=self.chain.now))
            payloads.append(pubkey + amount.to_bytes(8, "big"))
        return self._request(sender, value, WITHDRAWAL, payloads)

    def consolidate(self, sender: Address, value: int, sources: bytes, targets: bytes) -> int:
        """Ask the beacon chain to move validators into others of ours; returns the wei of fees. Keeper only."""
        self._enter()
        self.roles.check(KEEPER_ROLE, sender)
        if not sources or len(sources) % PUBKEY or len(targets) != len(sources):
            raise Revert("keys: wrong length")
        payloads = []
        for k in range(0, len(sources), PUBKEY):
            source, target = sources[k : k + PUBKEY], targets[k : k + PUBKEY]
            if source == target:
                raise Revert("consolidation: same validator")
            self._move(key_of(source), key_of(target))
            payloads.append(source + target)
        return self._request(sender, value, CONSOLIDATION, payloads)

    def _move(self, source_key: bytes, target_key: bytes) -> None:
        """Book that a validator is to move into another of the same operator."""
        source, target = (self.validators.get(key, Validator()) for key in (source_key, target_key))
        self._check_seen(source, self.chain.now)
        self._check_seen(target, self.chain.now)
        if source.operator != target.operator:
            raise Revert("consolidation: other operator")
        now, stake = self.chain.now, target.stake + source.stake
        self._save(source_key, source, source._replace(state=State.EXITING, stake=0, pulled_at=now))
        if stake > MAX_STAKE:
            raise Revert("stake: not 32 to 2048 ETH")
        self._save(target_key, target, target._replace(stake=stake, topped_at=now))

    def _request(self, sender: Address, value: int, kind: int, payloads: list[bytes]) -> int:
        self.chain.move(sender, self.address, value)
        self.entered = True
        try:
            return self.vault.request(self.address, value, kind, payloads, sender)
        finally:
            self.entered = False

    def prove_withdrawn(
        self,
        timestamp: int,
        header: Header,
        index: int,
        chunks: tuple[bytes, ...],
        branch: list[bytes],
        balance: bytes,
        balance_branch: list[bytes],
    ) -> None:
        """Close a validator that may withdraw and has nothing left."""
        self._enter()
        self._prove_one(timestamp, header, index, chunks, branch)
        chunk = index // 4
        first = _first(self._fork(header.slot).balances_gindex, chunk, chunk)
        _check_branch([balance], [first + chunk], balance_branch, header)
        was = self.validators[chunks[0]]
        if was.state == State.COMPROMISED:
            raise Revert("validator: not in this state")
        epoch = header.slot // self.constants.slots_per_epoch
        if _number(chunks[7]) > epoch or _number(balance, index % 4):
            raise Revert("validator: not withdrawn")
        self._save(chunks[0], was, was._replace(state=State.CLOSED, stake=0, pulled=0))
        self._close(was.operator)

    def _check_seen(self, v: Validator, seen_by: int) -> None:
        """Refuse what the beacon chain may ignore: a validator must have been proven active by then."""
        self._check_at_rest(v)
        if v.pulled_at == 0 or v.pulled_at - 1 > seen_by:
            raise Revert("validator: not in this state")

    def _check_at_rest(self, v: Validator) -> None:
        """Only an active validator can be pulled or topped up, and only when nothing is under way."""
        if v.state != State.ACTIVE or v.pulled:
            raise Revert("validator: not in this state")

    # --- the exit clock ---

    def record_exits(self) -> None:
        """Note up to where exits are eligible today."""
        self._enter()
        today = self.chain.now // DAY
        position = self._filled() + self._eligible()
        if position <= self.eligible_on.get(today, 0):
            raise Revert("exits: recorded already")
        self.eligible_on[today] = position

    def overdue(self, day: int) -> bool:
        """Whether exits that were eligible on `day` are unpaid although the promise is over."""
        self._enter()
        return self._overdue(day)

    def missing(self) -> int:
        """Wei that eligible exits need beyond the buffer, the withdrawal vault and what is under way (rounded up)."""
        self._enter()
        return self._missing()

    def _overdue(self, day: int, times: int = 1) -> bool:
        due = (day + 1) * DAY
        if due > 2**256 - 1 - self.parameters.promise * times:
            raise Revert(OVERFLOW)
        late = self.chain.now >= due + self.parameters.promise * times
        return late and self._filled() < self.eligible_on.get(day, 0)

    def _missing(self) -> int:
        needed = ceil_div(self._eligible() * self.pool.exit_rate(), ETHER)
        there = self.pool.buffer() + self.chain.ether[self.vault.address] + self.under_way * GWEI
        return max(needed - there, 0)

    def _eligible(self) -> int:
        self.pool._enter()
        return self.pool.eligible

    def _filled(self) -> int:
        if self.pool.queue.entered:
            raise Revert(LOCKED)
        return self.pool.queue.filled()

    # --- operators ---

    def add_bond(self, sender: Address, value: int, id_: int) -> None:
        """Add `value` wei to the bond of an operator."""
        self._enter()
        if id_ not in self.operators:
            raise Revert("operator: does not exist")
        self._change_bond(id_, self._to_gwei(value))
        self.chain.move(sender, self.address, value)

    def withdraw_bond(self, sender: Address, id_: int, amount: int) -> None:
        """Send part of the bond to the operator's reward address."""
        self._enter()
        self._check_manager(sender, id_)
        if amount > U48:
            raise Revert("bond: too low")
        self._change_bond(id_, -amount)
        self.entered = True
        sent = self.chain.send(self.address, self.operators[id_].reward_address, amount * GWEI)
        self.entered = False
        if not sent:
            raise Revert("ether: send failed")

    def set_reward_address(self, sender: Address, id_: int, reward_address: Address) -> None:
        """Name the address that the bond goes back to."""
        self._enter()
        self._check_manager(sender, id_)
        self._check_reward_address(reward_address)
        self.operators[id_] = self.operators[id_]._replace(reward_address=reward_address)

    def add_operator(self, sender: Address, manager: Address, reward_address: Address, weight: int, limit: int) -> int:
        """Add an operator; returns its id."""
        self._enter()
        self.roles.check(OPERATORS_ROLE, sender)
        id_ = len(self.operators) + 1
        if id_ > MAX_OPERATORS:
            raise Revert("operator: too many")
        self._check_reward_address(reward_address)
        self.operators[id_] = Operator(ZERO, 0, 0, 0, reward_address, 0, 0)
        self._set_operator(id_, manager, weight, limit)
        return id_

    def set_operator(self, sender: Address, id_: int, manager: Address, weight: int, limit: int) -> None:
        """Replace manager, weight and limit of an operator."""
        self._enter()
        self.roles.check(OPERATORS_ROLE, sender)
        self._set_operator(id_, manager, weight, limit)

    def _set_operator(self, id_: int, manager: Address, weight: int, limit: int) -> None:
        if id_ not in self.operators:
            raise Revert("operator: does not exist")
        if manager == ZERO:
            raise Revert("receiver: refused")
        if max(weight, limit) > U32:
            raise Revert("operator: number too large")
        self.total_weight += weight - self.operators[id_].weight
        self.operators[id_] = self.operators[id_]._replace(manager=manager, weight=weight, limit=limit)

    def quota(self, id_: int) -> int:
        """Return what the operator may have staked: its part, by weight, of the pool's assets (rounded down)."""
        self._enter()
        return self._part(id_, self._assets())

    def _part(self, id_: int, whole: int) -> int:
        weight = self.operators[id_].weight if id_ in self.operators else 0
        return weight * whole // self.total_weight if self.total_weight else 0

    def _assets(self) -> int:
        self.pool._enter()
        return self.pool.entry_value() // GWEI

    def _check_manager(self, sender: Address, id_: int) -> None:
        if id_ not in self.operators or self.operators[id_].manager != sender:
            raise Revert("caller: not the manager")

    def _check_reward_address(self, reward_address: Address) -> None:
        self.pool._enter()
        if reward_address in (ZERO, self.address, self.pool.address):
            raise Revert("receiver: refused")

    def _to_gwei(self, wei: int) -> int:
        if wei % GWEI:
            raise Revert("bond: not whole Gwei")
        return wei // GWEI

    def _change_bond(self, id_: int, change: int) -> None:
        operator = self.operators[id_]
        bond = operator.bond + change
        if bond < 0:
            raise Revert("bond: too low")
        if bond > U48:
            raise Revert("operator: number too large")
        self.operators[id_] = operator._replace(bond=bond)

    def _open(self, id_: int, count: int) -> None:
        operator = self.operators[id_]
        if operator.open + count > operator.limit:
            raise Revert("operator: over its limit")
        self.operators[id_] = operator._replace(open=operator.open + count)

    def _close(self, id_: int) -> None:
        self.operators[id_] = self.operators[id_]._replace(open=self.operators[id_].open - 1)

    def _suspend(self, id_: int) -> None:
        """Set an operator's limit to 0: it gets neither validators nor stake until the council says otherwise."""
        self.operators[id_] = self.operators[id_]._replace(limit=0)

    # --- administration ---

    def add_fork(self, sender: Address, fork: Fork) -> None:
        """Append to the table of forks."""
        self._enter()
        self.roles.check("admin", sender)
        if self.forks and fork.first_slot <= self.forks[-1].first_slot:
            raise Revert("fork: not after the last")
        if len(self.forks) == MAX_FORKS:
            raise Revert("fork: too many")
        places = fork.validators_gindex, fork.balances_gindex
        if fork.first_slot > U64 or min(places) == 0 or max(places) > U96:
            raise Revert("parameter: out of bounds")
        self.forks.append(fork)

    def set_parameters(self, sender: Address, parameters: RegistryParameters) -> None:
        """Replace the live parameters."""
        self._enter()
        self.roles.check("admin", sender)
        parameters.check()
        self.parameters = parameters

    # --- the beacon chain ---

    def _check_proof(self, proof: Proof) -> int:
        """Check the proof of validators; returns the second at which the header's slot begins."""
        at = self._check_header(proof.timestamp, proof.header)
        indices = [index for index, _ in proof.witnesses]
        if any(index >= INDEX_LIMIT for index in indices):
            raise Revert("proof: index too high")
        if not indices:
            raise Revert("proof: wrong length")
        first = _first(self._fork(proof.header.slot).validators_gindex, indices[0], indices[-1])
        leaves = [Witness(index, chunks).root for index, chunks in proof.witnesses]
        _check_branch(leaves, [first + index for index in indices], proof.branch, proof.header)
        return at

    def _prove_one(
        self, timestamp: int, header: Header, index: int, chunks: tuple[bytes, ...], branch: list[bytes]
    ) -> None:
        at = self._check_header(timestamp, header)
        first = _first(self._fork(header.slot).validators_gindex, index, index)
        if index >= INDEX_LIMIT:
            raise Revert("proof: index too high")
        _check_branch([Witness(index, chunks).root], [first + index], branch, header)
        self._update(index, chunks, at)

    def _check_header(self, timestamp: int, header: Header) -> int:
        """Check a header against EIP-4788; returns the second at which its slot begins."""
        root = self.system.block_roots.get(timestamp)
        if root is None:
            raise Revert("block root: not known")
        if header.root != root:
            raise Revert("proof: wrong root")
        return self.constants.genesis_time + header.slot * self.constants.seconds_per_slot

    def _fork(self, slot: int) -> Fork:
        for fork in reversed(self.forks):
            if fork.first_slot <= slot:
                return fork
        raise Revert("fork: none for this slot")

    def _check_deposit_contract(self) -> None:
        if self.system.deposit_contract.address == ZERO:
            raise Revert("deposit contract: no code")

    def _deposit(self, pubkey: bytes, amount: int, signature: bytes) -> None:
        deposit = Deposit(pubkey, self.credentials, amount, signature)
        self.system.deposit_contract.deposit(self.address, deposit)

    def _enter(self) -> None:
        if self.entered:
            raise Revert(LOCKED)

    # --- the same state, as the contract packs it ---

    def totals_word(self) -> int:
        """Return total weight u64 | stake u64 | under way u64 | operators u16."""
        return self.total_weight | self.staked << 64 | self.under_way << 128 | len(self.operators) << 192

    def live_word(self) -> int:
        """Return slashing u16 | promise u32."""
        return self.parameters.slashing_bps | self.parameters.promise << 16


def _check_branch(leaves: list[bytes], gindices: list[int], branch: list[bytes], header: Header) -> None:
    """Refuse a branch that does not lead from the leaves to the state of the header."""
    try:
        root = root_of(gindices, leaves, branch)
    except ProofError:  # too short, too long, or leaves out of order, which never meet
        raise Revert("proof: wrong length") from None
    if root != header.state_root:
        raise Revert("proof: wrong root")


def _first(gindex: int, low: int, high: int) -> int:
    """Return what to add to the numbers `low` to `high` of elements of a list to get their generalized indices.

    From 2^40 on `gindex` is that of element 0 of a list with a limit. A lower one is that of a ProgressiveList itself
    (EIP-7916), whose elements lie in subtrees of 1, 4, 16, ... leaves, each one level further down to the right.
    """
    if gindex >= INDEX_LIMIT:
        return gindex
    node, start, size = 2 * gindex, 0, 1
    for _ in range(MAX_SUBTREES):
        if low < start + size:
            break
        node, start, size = 2 * node + 1, start + size, 4 * size
    if high >= start + size:
        raise Revert("proof: not in one subtree")
    return 2 * node * size - start


def _number(chunk: bytes, place: int = 0) -> int:
    """Return the u64 at `place` of a chunk that packs four of them."""
    return int.from_bytes(chunk[8 * place : 8 * place + 8], "little")
