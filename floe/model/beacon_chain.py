"""How the small beacon chain changes: deposits, activation, exits, requests, consolidations, slashing, sweeps.

The rules are those of the consensus specs from Electra on; each function names the one it follows. Exact are states,
epochs, queues, effective balances, penalties of slashing, and every Gwei that moves through deposits, withdrawals and
consolidations. Not modelled: rewards and penalties of attesting, proposing and inactivity (`earn` says what they were),
forks, and finality, which is two epochs behind from the third epoch on. Amounts are Gwei.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from floe.model.beacon import FAR_FUTURE, GWEI_IN_ETHER, Beacon, BeaconValidator

INCREMENT = GWEI_IN_ETHER
MIN_ACTIVATION_BALANCE = 32 * GWEI_IN_ETHER
MAX_EFFECTIVE_BALANCE_ELECTRA = 2_048 * GWEI_IN_ETHER
EJECTION_BALANCE = 16 * GWEI_IN_ETHER
MAX_SEED_LOOKAHEAD = 4
MAX_PENDING_DEPOSITS_PER_EPOCH = 16
MIN_SLASHING_PENALTY_QUOTIENT = 4_096
PROPORTIONAL_SLASHING_MULTIPLIER = 3
DOWNWARD, UPWARD = INCREMENT // 4, INCREMENT // 4 * 5
"""How far a balance must be from the effective balance to move it."""

EXECUTION, COMPOUNDING = 1, 2
"""First byte of the withdrawal credentials of those that can be withdrawn."""


class Limits(NamedTuple):
    """Constants of preset and configuration, by the names of the specs in lower case. The defaults are mainnet's."""

    min_validator_withdrawability_delay: int = 256
    shard_committee_period: int = 256
    min_per_epoch_churn_limit: int = 128 * GWEI_IN_ETHER
    max_per_epoch_activation_exit_churn_limit: int = 256 * GWEI_IN_ETHER
    churn_limit_quotient: int = 65_536
    max_withdrawals_per_payload: int = 16
    max_validators_per_withdrawals_sweep: int = 16_384
    max_pending_partials_per_withdrawals_sweep: int = 8
    pending_partial_withdrawals_limit: int = 2**27
    pending_consolidations_limit: int = 2**18


MAINNET = Limits()


class PendingDeposit(NamedTuple):
    """A deposit that waits."""

    key: bytes
    credentials: bytes
    amount: int
    valid: bool
    """Whether the signature is."""
    slot: int


class PendingPartial(NamedTuple):
    """A partial withdrawal that waits."""

    validator_index: int
    amount: int
    withdrawable_epoch: int


class Withdrawal(NamedTuple):
    """What a block pays out."""

    validator_index: int
    address: bytes
    amount: int


@dataclass
class BeaconChain(Beacon):
    """A beacon chain that follows the rules. `background` is the active balance of validators that are not here."""

    limits: Limits = MAINNET
    background: int = 0
    finalized_epoch: int = 0
    pending_deposits: list[PendingDeposit] = field(default_factory=list)
    deposit_balance_to_consume: int = 0
    pending_partials: list[PendingPartial] = field(default_factory=list)
    pending_consolidations: list[tuple[int, int]] = field(default_factory=list)
    """Indices of source and target."""
    exit_balance_to_consume: int = 0
    earliest_exit_epoch: int = 0
    consolidation_balance_to_consume: int = 0
    earliest_consolidation_epoch: int = 0
    slashings: list[tuple[int, int]] = field(default_factory=list)
    """Epoch and effective balance of every slashing."""
    next_withdrawal_index: int = 0
    """Validator that the sweep looks at next."""

    def copied(self) -> BeaconChain:
        """Return a chain that goes its own way from here."""
        other = copy(self)
        other.validators = [copy(validator) for validator in self.validators]
        other.pending_deposits, other.pending_partials = list(self.pending_deposits), list(self.pending_partials)
        other.pending_consolidations, other.slashings = list(self.pending_consolidations), list(self.slashings)
        return other

    def find(self, key: bytes) -> int | None:
        """Index of the validator with this key."""
        return next((index for index, each in enumerate(self.validators) if each.key == key), None)

    # --- what a block brings ---

    def deposit(self, key: bytes, credentials: bytes, amount: int, valid: bool = True) -> None:
        """Queue a deposit (process_deposit_request)."""
        self.pending_deposits.append(PendingDeposit(key, credentials, amount, valid, self.slot))

    def exit(self, index: int) -> bool:
        """Take a voluntary exit (process_voluntary_exit); False when it is not valid."""
        if not self._may_leave(index) or self.pending_of(index):
            return False
        self._initiate_exit(index)
        return True

    def request_withdrawal(self, source: bytes, key: bytes, amount: int) -> None:
        """Follow a request of EIP-7002 by the account `source`, or ignore it (process_withdrawal_request)."""
        full = amount == 0
        if len(self.pending_partials) >= self.limits.pending_partial_withdrawals_limit and not full:
            return
        index = self.find(key)
        if index is None or not self._owns(source, index) or not self._may_leave(index):
            return
        v, pending = self.validators[index], self.pending_of(index)
        if full:
            if pending == 0:
                self._initiate_exit(index)
            return
        spare = v.balance - MIN_ACTIVATION_BALANCE - pending
        if v.credentials[0] == COMPOUNDING and v.effective_balance >= MIN_ACTIVATION_BALANCE and spare > 0:
            taken = min(spare, amount)
            epoch = self._exit_epoch(taken) + self.limits.min_validator_withdrawability_delay
            self.pending_partials.append(PendingPartial(index, taken, epoch))

    def request_consolidation(self, source_address: bytes, source_key: bytes, target_key: bytes) -> None:
        """Follow a request of EIP-7251, or ignore it (process_consolidation_request)."""
        source, target = self.find(source_key), self.find(target_key)
        if source is not None and source == target:
            self._switch_to_compounding(source_address, source)
            return
        if len(self.pending_consolidations) >= self.limits.pending_consolidations_limit:
            return
        if self._consolidation_churn() <= MIN_ACTIVATION_BALANCE or source is None or target is None:
            return
        s, t = self.validators[source], self.validators[target]
        if not self._owns(source_address, source) or t.credentials[0] != COMPOUNDING:
            return
        if not self._may_leave(source) or not _is_active(t, self.epoch) or t.exit_epoch != FAR_FUTURE:
            return
        if self.pending_of(source):
            return
        s.exit_epoch = self._consolidation_epoch(s.effective_balance)
        s.withdrawable_epoch = s.exit_epoch + self.limits.min_validator_withdrawability_delay
        self.pending_consolidations.append((source, target))

    def slash(self, index: int) -> None:
        """Slash a validator (slash_validator); the reward of who proved it goes to validators that are not here."""
        v = self.validators[index]
        self._initiate_exit(index)
        v.slashed = True
        v.withdrawable_epoch = max(v.withdrawable_epoch, self.epoch + self.slashings_vector)
        self.slashings.append((self.epoch, v.effective_balance))
        v.balance = max(v.balance - v.effective_balance // MIN_SLASHING_PENALTY_QUOTIENT, 0)

    def is_slashable(self, index: int) -> bool:
        """Whether a validator can be slashed (is_slashable_validator)."""
        v = self.validators[index]
        return not v.slashed and v.activation_epoch <= self.epoch < v.withdrawable_epoch

    def earn(self, index: int, change: int) -> None:
        """Add rewards, or take penalties."""
        v = self.validators[index]
        v.balance = max(v.balance + change, 0)

    # --- time ---

    def step(self, slot: int) -> None:
        """Go slot by slot: change what changes between epochs, and sweep nothing (process_slots)."""
        while self.epoch < slot // self.slots_per_epoch:
            self._end_epoch()
        self.slot = slot

    def run(self, slot: int) -> list[Withdrawal]:
        """Go to a slot with blocks all the way; return what they paid out. Epochs without events cost nothing."""
        self.step(min(self.slot + 1, slot))  # the next block comes after the epoch that ends before it
        paid = list(self._drain())
        goal = slot // self.slots_per_epoch
        while self.epoch < goal:
            due = min(self._next_event(), goal)
            if due > self.epoch:
                self.slot = due * self.slots_per_epoch
                if due >= 4:
                    self.finalized_epoch = max(self.finalized_epoch, due - 2)
                paid += self._drain()
            else:
                self._end_epoch()
                paid += self._drain()
        self.slot = slot
        return [*paid, *self._drain()]

    def _drain(self) -> Iterator[Withdrawal]:
        while paid := self.withdraw():
            yield from paid

    def _next_event(self) -> int:
        """First epoch, this or a later one, in which or at whose end something may happen."""
        epoch, half = self.epoch, self.slashings_vector // 2
        events = [max(epoch, partial.withdrawable_epoch) for partial in self.pending_partials]
        # Deposits to validators that leave wait; once all that wait are finalized, their order stays.
        many = len(self.pending_deposits) > MAX_PENDING_DEPOSITS_PER_EPOCH
        for deposit in self.pending_deposits:
            index = self.find(deposit.key)
            v = None if index is None else self.validators[index]
            waits = v is not None and v.exit_epoch != FAR_FUTURE and v.withdrawable_epoch > epoch
            waits = waits and deposit.slot <= self.finalized_epoch * self.slots_per_epoch and not many
            events.append(v.withdrawable_epoch if v is not None and waits else epoch)
        for source, _ in self.pending_consolidations[:1]:
            v = self.validators[source]
            events.append(epoch if v.slashed else v.withdrawable_epoch - 1)
        for v in self.validators:
            if v.activation_epoch == FAR_FUTURE:
                if v.activation_eligibility_epoch != FAR_FUTURE or v.effective_balance >= MIN_ACTIVATION_BALANCE:
                    return epoch
            elif v.exit_epoch == FAR_FUTURE and v.effective_balance <= EJECTION_BALANCE:
                return epoch
            if _moved_effective_balance(v) != v.effective_balance:
                return epoch
            if v.slashed and v.withdrawable_epoch - half >= epoch:
                events.append(v.withdrawable_epoch - half)
            if v.withdrawable_epoch != FAR_FUTURE and v.balance and v.credentials[0] in (EXECUTION, COMPOUNDING):
                events.append(max(epoch + 1, v.withdrawable_epoch))
        return max(epoch, min(events, default=FAR_FUTURE))

    def _end_epoch(self) -> None:
        """Make the transition into the next epoch (process_epoch, as far as it is modelled)."""
        epoch = self.epoch
        if epoch >= 3:
            self.finalized_epoch = max(self.finalized_epoch, epoch - 1)
        self._update_registry()
        self._penalise_slashed()
        self._apply_deposits()
        self._consolidate()
        for v in self.validators:
            v.effective_balance = _moved_effective_balance(v)
        self.slot = (epoch + 1) * self.slots_per_epoch

    def _update_registry(self) -> None:
        """Let validators enter the queue, eject, activate (process_registry_updates)."""
        epoch = self.epoch
        for index, v in enumerate(self.validators):
            if v.activation_eligibility_epoch == FAR_FUTURE and v.effective_balance >= MIN_ACTIVATION_BALANCE:
                v.activation_eligibility_epoch = epoch + 1
            elif _is_active(v, epoch) and v.effective_balance <= EJECTION_BALANCE:
                self._initiate_exit(index)
            elif v.activation_epoch == FAR_FUTURE and v.activation_eligibility_epoch <= self.finalized_epoch:
                v.activation_epoch = epoch + 1 + MAX_SEED_LOOKAHEAD

    def correlation_penalty(self, index: int, epoch: int) -> int:
        """Return what a slashed validator loses half a vector after its slashing (process_slashings)."""
        total = self.total_active_balance(epoch)
        recent = sum(amount for at, amount in self.slashings if at > epoch - self.slashings_vector)
        per_increment = min(recent * PROPORTIONAL_SLASHING_MULTIPLIER, total) // (total // INCREMENT)
        return per_increment * (self.validators[index].effective_balance // INCREMENT)

    def _penalise_slashed(self) -> None:
        for index, v in enumerate(self.validators):
            if v.slashed and self.epoch + self.slashings_vector // 2 == v.withdrawable_epoch:
                v.balance = max(v.balance - self.correlation_penalty(index, self.epoch), 0)

    def _apply_deposits(self) -> None:
        """Apply deposits that are finalized and fit in the churn (process_pending_deposits)."""
        available = self.deposit_balance_to_consume + self._activation_exit_churn()
        finalized_slot = self.finalized_epoch * self.slots_per_epoch
        done = processed = 0
        limited = False
        postponed = []
        for deposit in self.pending_deposits:
            if deposit.slot > finalized_slot or done >= MAX_PENDING_DEPOSITS_PER_EPOCH:
                break
            index = self.find(deposit.key)
            v = None if index is None else self.validators[index]
            if v is not None and v.withdrawable_epoch < self.epoch + 1:
                self._apply(deposit, index)
            elif v is not None and v.exit_epoch != FAR_FUTURE:
                postponed.append(deposit)
            else:
                limited = processed + deposit.amount > available
                if limited:
                    break
                processed += deposit.amount
                self._apply(deposit, index)
            done += 1
        self.pending_deposits = self.pending_deposits[done:] + postponed
        self.deposit_balance_to_consume = available - processed if limited else 0

    def _apply(self, deposit: PendingDeposit, index: int | None) -> None:
        """Credit a deposit; the first valid one of a key decides the credentials (apply_pending_deposit)."""
        if index is not None:
            self.validators[index].balance += deposit.amount
        elif deposit.valid:
            self.add(deposit.key, deposit.credentials, deposit.amount)
            added = self.validators[-1]
            added.effective_balance = min(added.effective_balance, _max_effective_balance(added))

    def _consolidate(self) -> None:
        """Move what is due into targets (process_pending_consolidations)."""
        done = 0
        for source, target in self.pending_consolidations:
            s = self.validators[source]
            if not s.slashed:
                if s.withdrawable_epoch > self.epoch + 1:
                    break
                moved = min(s.balance, s.effective_balance)
                s.balance -= moved
                self.validators[target].balance += moved
            done += 1
        del self.pending_consolidations[:done]

    # --- withdrawals ---

    def withdraw(self) -> list[Withdrawal]:
        """Pay out what the block at the slot pays (get_expected_withdrawals, process_withdrawals)."""
        limits, count, seen = self.limits, len(self.validators), 0
        paid: list[Withdrawal] = []
        for index, amount, withdrawable_epoch in self.pending_partials:
            most = min(limits.max_pending_partials_per_withdrawals_sweep, limits.max_withdrawals_per_payload - 1)
            if withdrawable_epoch > self.epoch or len(paid) >= most:
                break
            v = self.validators[index]
            enough = v.exit_epoch == FAR_FUTURE and v.effective_balance >= MIN_ACTIVATION_BALANCE
            if enough and v.balance > MIN_ACTIVATION_BALANCE:
                paid.append(self._pay(index, min(v.balance - MIN_ACTIVATION_BALANCE, amount)))
            seen += 1
        del self.pending_partials[:seen]
        position = self.next_withdrawal_index
        for _ in range(min(count, limits.max_validators_per_withdrawals_sweep)):
            if len(paid) == limits.max_withdrawals_per_payload:
                break
            v = self.validators[position]
            most = _max_effective_balance(v)
            if v.credentials[0] in (EXECUTION, COMPOUNDING) and v.balance:
                if v.withdrawable_epoch <= self.epoch:
                    paid.append(self._pay(position, v.balance))
                elif v.effective_balance == most and v.balance > most:
                    paid.append(self._pay(position, v.balance - most))
            position = (position + 1) % count
        if len(paid) == limits.max_withdrawals_per_payload:
            self.next_withdrawal_index = (paid[-1].validator_index + 1) % count
        elif count:
            self.next_withdrawal_index = (
                self.next_withdrawal_index + limits.max_validators_per_withdrawals_sweep
            ) % count
        return paid

    def _pay(self, index: int, amount: int) -> Withdrawal:
        v = self.validators[index]
        v.balance -= amount
        return Withdrawal(index, v.credentials[12:], amount)

    def pending_of(self, index: int) -> int:
        """Sum of the partial withdrawals of a validator that wait (get_pending_balance_to_withdraw)."""
        return sum(partial.amount for partial in self.pending_partials if partial.validator_index == index)

    # --- leaving, and how fast ---

    def total_active_balance(self, epoch: int) -> int:
        """Sum of the effective balances of active validators (get_total_active_balance)."""
        here = sum(v.effective_balance for v in self.validators if _is_active(v, epoch))
        return max(here + self.background, INCREMENT)

    def _churn(self) -> int:
        total = self.total_active_balance(self.epoch)
        churn = max(self.limits.min_per_epoch_churn_limit, total // self.limits.churn_limit_quotient)
        return churn - churn % INCREMENT

    def _activation_exit_churn(self) -> int:
        return min(self.limits.max_per_epoch_activation_exit_churn_limit, self._churn())

    def _consolidation_churn(self) -> int:
        return self._churn() - self._activation_exit_churn()

    def _owns(self, source: bytes, index: int) -> bool:
        credentials = self.validators[index].credentials
        return credentials[0] in (EXECUTION, COMPOUNDING) and credentials[12:] == source

    def _may_leave(self, index: int) -> bool:
        """Active for long enough, and not leaving yet."""
        v = self.validators[index]
        old = self.epoch >= v.activation_epoch + self.limits.shard_committee_period
        return _is_active(v, self.epoch) and v.exit_epoch == FAR_FUTURE and old

    def _initiate_exit(self, index: int) -> None:
        """Put a validator into the exit queue (initiate_validator_exit)."""
        v = self.validators[index]
        if v.exit_epoch == FAR_FUTURE:
            v.exit_epoch = self._exit_epoch(v.effective_balance)
            v.withdrawable_epoch = v.exit_epoch + self.limits.min_validator_withdrawability_delay

    def _exit_epoch(self, balance: int) -> int:
        """Return the epoch in which `balance` fits (compute_exit_epoch_and_update_churn)."""
        self.earliest_exit_epoch, self.exit_balance_to_consume = self._fit(
            balance, self._activation_exit_churn(), self.earliest_exit_epoch, self.exit_balance_to_consume
        )
        return self.earliest_exit_epoch

    def _consolidation_epoch(self, balance: int) -> int:
        """Return the epoch in which `balance` fits (compute_consolidation_epoch_and_update_churn)."""
        self.earliest_consolidation_epoch, self.consolidation_balance_to_consume = self._fit(
            balance,
            self._consolidation_churn(),
            self.earliest_consolidation_epoch,
            self.consolidation_balance_to_consume,
        )
        return self.earliest_consolidation_epoch

    def _fit(self, balance: int, churn: int, earliest: int, left: int) -> tuple[int, int]:
        """Return the epoch in which `balance` fits, and what is left of its churn then."""
        soonest = self.epoch + 1 + MAX_SEED_LOOKAHEAD
        if earliest < soonest:
            earliest, left = soonest, churn
        if balance > left:
            more = (balance - left - 1) // churn + 1
            earliest += more
            left += more * churn
        return earliest, left - balance

    def _switch_to_compounding(self, source: bytes, index: int) -> None:
        """Turn 0x01 into 0x02 credentials; what is above 32 ETH queues again (switch_to_compounding_validator)."""
        v = self.validators[index]
        if v.credentials[0] != EXECUTION or v.credentials[12:] != source:
            return
        if not _is_active(v, self.epoch) or v.exit_epoch != FAR_FUTURE:
            return
        v.credentials = b"\x02" + v.credentials[1:]
        if (excess := v.balance - MIN_ACTIVATION_BALANCE) > 0:
            v.balance = MIN_ACTIVATION_BALANCE
            self.pending_deposits.append(PendingDeposit(v.key, v.credentials, excess, False, 0))


def _is_active(v: BeaconValidator, epoch: int) -> bool:
    return v.activation_epoch <= epoch < v.exit_epoch


def _max_effective_balance(v: BeaconValidator) -> int:
    return MAX_EFFECTIVE_BALANCE_ELECTRA if v.credentials[0] == COMPOUNDING else MIN_ACTIVATION_BALANCE


def _moved_effective_balance(v: BeaconValidator) -> int:
    """Return the effective balance after an epoch (process_effective_balance_updates)."""
    if v.balance + DOWNWARD < v.effective_balance or v.effective_balance + UPWARD < v.balance:
        return min(v.balance - v.balance % INCREMENT, _max_effective_balance(v))
    return v.effective_balance
