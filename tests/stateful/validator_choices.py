"""What the campaign tries with validators, and what must hold for them whatever the model says."""

# ruff: noqa: D102 - a method is named after the action that it chooses

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from floe.beacon.ssz import key_of
from floe.model.basics import BPS, DAY, ETHER, GWEI, YEAR, ZERO, Address
from floe.model.beacon import BALANCES_GINDEX, FAR_FUTURE, VALIDATORS_GINDEX
from floe.model.registry import KEEPER_ROLE, OPERATORS_ROLE, Operator, State, Validator
from floe.model.tokens import COUNCIL_ROLE, ORACLE_ROLE, PAUSER_ROLE
from tests.stateful.actions import Action, perform
from tests.stateful.choices import Choices
from tests.stateful.fees import FEE_CALLS
from tests.stateful.invariants import Guard, demand, parts_of
from tests.stateful.invariants import finish as finish_books
from tests.stateful.validators import (
    CONSOLIDATIONS,
    FEE_SPLITTER,
    KEEPERS,
    MANAGERS,
    NUMBERS,
    SPOILED,
    VALIDATOR_CALLS,
    VALIDATOR_REGISTRY,
    WITHDRAWALS,
    Twist,
    ValidatorWorld,
    pubkey_of,
)
from tests.stateful.world import (
    ADMIN,
    COUNCIL,
    EXECUTION_VAULT,
    FAUCET,
    OUTSIDER,
    POOL,
    REENTERER,
    REFUSER,
    REPORT_ORACLE,
    SECONDS_PER_SLOT,
    STAKERS,
    TREASURER,
)

ETHER_GWEI = 10**9
LEGAL: dict[State, frozenset[State]] = {
    State.NONE: frozenset((State.PREDEPOSITED,)),
    State.PREDEPOSITED: frozenset((State.PROVEN, State.COMPROMISED)),
    State.PROVEN: frozenset((State.ACTIVE, State.EXITING, State.SLASHED)),
    State.ACTIVE: frozenset((State.EXITING, State.SLASHED)),
    State.EXITING: frozenset((State.ACTIVE, State.SLASHED, State.CLOSED)),
    State.SLASHED: frozenset((State.CLOSED,)),
    State.CLOSED: frozenset(),
    State.COMPROMISED: frozenset(),
}
"""Steps of a validator's life. One transaction may make several."""


def _reach() -> dict[State, frozenset[State]]:
    """Every state that can be reached from a state."""
    reach = {state: set(after) for state, after in LEGAL.items()}
    for _ in reach:
        for after in reach.values():
            after |= {later for state in after for later in reach[state]}
    return {state: frozenset(after) for state, after in reach.items()}


REACH = _reach()


class ValidatorChoices(Choices):
    """Chooses actions in a world with a registry."""

    w: ValidatorWorld

    # --- who and what ---

    def role(self, role: str, usual: Address) -> Address:
        """Choose somebody who has a role in the registry, or now and then somebody else."""
        members = self.w.registry.roles.members
        if self.chance(85) and (role, usual) in members:
            return usual
        having = sorted(account for member_role, account in members if member_role == role)
        return self.pick(having) if having and self.chance(60) else self.anybody()

    def operator(self) -> int:
        count = len(self.w.registry.operators)
        return 1 + self.bits(8) % count if self.chance(97) else self.pick((0, count + 1))

    def manager(self, operator: int) -> Address:
        known = self.w.registry.operators.get(operator)
        return known.manager if known and self.chance(93) else self.pick(MANAGERS)

    def number(self, *states: State) -> int:
        """Choose the number of a key whose validator is in one of the states, if there is any."""
        book = self.w.registry.validators
        fitting = [key for key, v in book.items() if v.state in states] if self.chance(92) else list(book)
        return NUMBERS[self.pick(fitting)] if fitting else self.new_number()

    def movable(self, operator: int = 0, other_than: int = -1) -> int:
        """Choose a validator that can be pulled or consolidated, of an operator if one is given."""
        fitting = [
            NUMBERS[key]
            for key, v in self.w.registry.validators.items()
            if v.state == State.ACTIVE and v.pulled_at and not v.pulled and operator in (0, v.operator)
        ]
        fitting = [number for number in fitting if number != other_than]
        return self.pick(fitting) if fitting and self.chance(92) else self.number(State.ACTIVE)

    def new_number(self) -> int:
        known = map(NUMBERS.__getitem__, self.w.registry.validators)
        return max(known, default=0) + self.pick((1, 1, 1, 2)) if self.chance(95) else self.bits(4)

    def index(self, *states: State) -> int:
        """Choose the index of such a validator, most likely one that has something new to show."""
        fitting = []
        for index, validator in enumerate(self.w.beacon.validators):
            known = self.w.registry.validators.get(validator.key)
            if known and known.state in states:
                fitting.append(index)
        return self.pick(fitting) if fitting and self.chance(96) else self.bits(5)

    def news(self) -> int:
        """Choose the index of a validator of which the registry does not know all."""
        fitting = []
        for index, validator in enumerate(self.w.beacon.validators):
            known = self.w.registry.validators.get(validator.key)
            if known and (
                known.state == State.PREDEPOSITED
                or (validator.slashed and known.state != State.SLASHED)
                or (validator.exit_epoch != FAR_FUTURE and known.state in (State.ACTIVE, State.PROVEN))
                or known.pulled
                or known.stake < validator.effective_balance
            ):
                fitting.append(index)
        return self.pick(fitting) if fitting else self.index(State.ACTIVE, State.EXITING)

    def age(self) -> int:
        return 0 if self.chance(70) else self.bits(2) if self.chance(60) else self.bits(6)

    def twist(self) -> Twist:
        return [] if self.chance(88) else [self.pick(sorted(SPOILED)), 1 + self.bits(9)]

    def fees(self) -> int:
        return self.pick((1, 1, 10, 10**6, ETHER, 0))

    # --- the registry ---

    def predeposit(self) -> Action:
        operator = self.operator()
        count = self.pick((1, 1, 1, 2, 3)) if self.chance(97) else self.pick((0, 12))
        first = self.new_number()
        numbers = [first + k for k in range(count)] if self.chance(95) else [first] * count
        good = [int(self.chance(90)) for _ in numbers]
        value = self.pick((count * ETHER, count * ETHER, 0, self.bits(62), 10 * ETHER))
        cut = 0 if self.chance(97) else 1 + self.bits(6)
        return ["predeposit", self.manager(operator), value, operator, numbers, good, min(cut, 48 * count)]

    def prove(self) -> list[Action]:
        count = self.pick((1, 1, 2, 4))
        indices = [self.news() if self.chance(70) else self.index(*State) for _ in range(count)]
        actions: list[Action] = [["prove", self.anybody(), indices, self.age(), self.twist()]]
        if self.chance(20):  # an older state comes after the newer one
            actions.append(["prove", self.anybody(), indices, 1 + self.bits(3), []])
        return actions

    def prove_one(self) -> Action:
        index = self.news() if self.chance(70) else self.index(*State)
        return ["prove_one", self.anybody(), index, self.age(), self.twist()]

    def top_up(self) -> list[Action]:
        w = self.w
        count = self.pick((1, 1, 1, 2)) if self.chance(98) else 0
        numbers = [self.number(State.PROVEN, State.ACTIVE) for _ in range(count)]
        limit = w.pool.stakeable() // GWEI // max(count, 1)
        amounts = []
        for number in numbers:
            known = w.registry.validators.get(key_of(pubkey_of(number)), Validator())
            operator = w.registry.operators.get(known.operator)
            quota = w.registry._part(known.operator, w.pool.entry_value() // GWEI) - operator.stake if operator else 0
            most = max(min(limit, 2_048 * ETHER_GWEI - known.stake, quota), 0)
            usual = self.pick((31 * ETHER_GWEI, 100 * ETHER_GWEI, most, most - ETHER_GWEI, most // 2))
            amounts.append(max(usual, 0) if self.chance(85) else min(self.amount(most), 2**64 - 1))
        cut = 0 if self.chance(96) or not count else self.pick((1, 48))
        top_up: Action = ["top_up", self.anybody(), numbers, amounts, cut]
        indices = [i for n in numbers if (i := w.beacon.find(key_of(pubkey_of(n)))) is not None]
        if not indices or self.chance(20):
            return [top_up]
        return [["prove", self.anybody(), indices, 0 if self.chance(85) else self.age(), []], top_up]

    def prove_withdrawn(self) -> Action:
        done = [
            index
            for index, validator in enumerate(self.w.beacon.validators)
            if validator.withdrawable_epoch <= self.w.beacon.epoch and not validator.balance
        ]
        index = self.pick(done) if done and self.chance(80) else self.index(State.EXITING, State.SLASHED)
        at = 0 if self.chance(93) else self.pick((1, 2, 4, 5))
        return ["prove_withdrawn", self.anybody(), index, 0 if self.chance(85) else self.age(), self.twist(), at]

    def request_withdrawals(self) -> Action:
        w = self.w
        numbers = [self.movable() for _ in range(self.pick((1, 1, 1, 2, 3)) if self.chance(98) else 0)]
        keeper = self.chance(60)
        late = [day for day in w.registry.eligible_on if w.queue.filled() < w.registry.eligible_on[day]]
        day = self.pick(late) if late and self.chance(85) else self.pick((0, w.chain.now // DAY, 2**256 - 1))
        amounts = []
        for number in numbers:
            stake = next((v.stake for k, v in w.registry.validators.items() if NUMBERS[k] == number), 0)
            spare = max(stake - 32 * ETHER_GWEI, 0)
            if not keeper and self.chance(80):
                spare = min(spare, -(-w.registry._missing() // GWEI))
            full = self.chance(35)
            amounts.append(0 if full else self.pick((spare, spare, spare // 2, spare + 1, ETHER_GWEI)))
        sender = self.role(KEEPER_ROLE, self.pick(KEEPERS)) if keeper else self.pick((OUTSIDER, STAKERS[2], REFUSER))
        cut = 0 if self.chance(97) else 1
        return ["request_withdrawals", sender, self.fees(), numbers, amounts, day, min(cut, 48 * len(numbers))]

    def overdue(self) -> list[Action]:
        """Pull stake back in the second in which exits become overdue, or the one before."""
        registry, now = self.w.registry, self.w.chain.now
        times = [(day + 1) * DAY + registry.parameters.promise - now for day in registry.eligible_on]
        coming = [seconds for seconds in times if seconds > 0]
        request = self.request_withdrawals()
        request[1], request[5] = OUTSIDER, max(registry.eligible_on, default=0)
        return [["travel", min(coming) - self.bits(1)], request] if coming else [request]

    def consolidate(self) -> Action:
        count = self.pick((1, 1, 2)) if self.chance(97) else 0
        sources = [self.movable() for _ in range(count)]
        book = self.w.registry.validators
        operators = [book.get(key_of(pubkey_of(number)), Validator()).operator for number in sources]
        targets = [
            self.movable(operator if self.chance(90) else 0, number if self.chance(95) else -1)
            for operator, number in zip(operators, sources, strict=True)
        ]
        cut = 0 if self.chance(97) else 1
        sender = self.role(KEEPER_ROLE, self.pick(KEEPERS))
        return ["consolidate", sender, self.fees(), sources, targets, min(cut, 48 * count)]

    def record_exits(self) -> Action:
        return ["record_exits", self.anybody()]

    def add_bond(self) -> Action:
        value = self.pick((ETHER, 3 * ETHER, self.bits(60), self.bits(50) * GWEI, 0, 2**48 * GWEI))
        return ["add_bond", self.anybody(), value, self.operator()]

    def withdraw_bond(self) -> Action:
        operator = self.operator()
        known = self.w.registry.operators.get(operator)
        amount = min(self.amount(known.bond if known else 0), 2**48)
        return ["withdraw_bond", self.manager(operator), operator, amount]

    def set_reward_address(self) -> Action:
        operator = self.operator()
        account = self.pick((TREASURER, TREASURER, REENTERER, REFUSER, STAKERS[3], ZERO, POOL, VALIDATOR_REGISTRY))
        return ["set_reward_address", self.manager(operator), operator, account]

    def add_operator(self) -> Action:
        weight, limit = self.pick((0, 10, 100, 2**32)), self.pick((5, 20, 2**32 - 1))
        council = self.role(OPERATORS_ROLE, COUNCIL)
        manager = self.pick((*MANAGERS, ZERO))
        return ["add_operator", council, manager, self.pick((TREASURER, REENTERER, ZERO)), weight, limit]

    def set_operator(self) -> Action:
        weight = self.pick((0, 10, 50, 100, 100, 2**32))
        council = self.role(OPERATORS_ROLE, COUNCIL)
        operator = self.operator()
        manager = self.pick((*MANAGERS, self.manager(operator), ZERO))
        return ["set_operator", council, operator, manager, weight, self.pick((0, 3, 20, 40, 40))]

    def set_registry_parameters(self) -> Action:
        slashing = self.pick((1, 500, 500, 500, 2_000, 10_000, 0, 10_001))
        promise = self.pick((DAY, DAY, 14 * DAY, 30 * DAY, DAY - 1, 30 * DAY + 1))
        return ["set_registry_parameters", self.pick((ADMIN, ADMIN, ADMIN, OUTSIDER)), slashing, promise]

    def add_fork(self) -> Action:
        last = self.w.registry.forks[-1].first_slot
        first = self.pick((last + 1, last + 1 + self.bits(4), last, 2**64))
        if self.chance(3):  # fills the table
            first = last + 1
        places = (VALIDATORS_GINDEX, BALANCES_GINDEX)
        if self.chance(4):  # another shape of the state, from now on: nothing can be proven any more
            first, places = max(last, self.w.beacon.slot) + 1, (2**6 + self.bits(6), 2**6 + self.bits(6))
        validators, balances = places if first < 2**63 or self.chance(50) else self.pick(((0, 1), (2**96, 1)))
        return ["add_fork", self.pick((ADMIN, ADMIN, ADMIN, OUTSIDER)), first, validators, balances]

    def change_registry_role(self) -> Action:
        role, account = self.pick(((KEEPER_ROLE, REENTERER), (KEEPER_ROLE, STAKERS[2]), (OPERATORS_ROLE, STAKERS[3])))
        return ["change_registry_role", self.pick((ADMIN, ADMIN, OUTSIDER)), role, account, self.bits(1)]

    def pay_registry(self) -> Action:
        return ["pay_registry", self.anybody(), self.bits(60)]

    def vault_request(self) -> Action:
        return ["vault_request", self.anybody(), self.fees(), self.pick((1, 1, 2, 3)), self.number(State.ACTIVE)]

    def set_system_contract(self) -> Action:
        usual = (WITHDRAWALS, CONSOLIDATIONS)
        kind = self.pick((1, 1, 2, 3))
        broken = self.pick((ZERO, STAKERS[0], EXECUTION_VAULT, *usual))
        repaired = usual[kind - 1] if kind < 3 else ZERO
        vault = self.w.pool.withdrawal_vault
        wrong = [k for k, contract in enumerate(usual, 1) if vault.system_contracts[k] != contract]
        if wrong and self.chance(90):
            kind, broken = wrong[0], usual[wrong[0] - 1]
        return ["set_system_contract", self.member("admin"), kind, broken if self.chance(70) else repaired]

    def switch_registry(self) -> Action:
        """Take the pool's role from the registry, and give it back."""
        held = ("registry", VALIDATOR_REGISTRY) in self.w.pool.roles.members
        return ["revoke_role" if held else "grant_role", ADMIN, "registry", VALIDATOR_REGISTRY]

    # --- the fee splitter ---

    def distribute(self) -> Action:
        return ["distribute", self.anybody()]

    def sync(self) -> Action:
        return ["sync", self.anybody(), self.operator()]

    def claim_fees(self) -> Action:
        return ["claim_fees", self.anybody(), self.operator()]

    def cover_loss(self) -> Action:
        council = COUNCIL if self.chance(90) else self.anybody()
        return ["cover_loss", council, self.amount(self.w.splitter.coverable())]

    def set_parts(self) -> Action:
        treasury, cover = self.pick((0, 4_000, 5_000, 5_001)), self.pick((0, 1_000, 3_000, 3_001))
        return ["set_parts", self.pick((ADMIN, ADMIN, ADMIN, OUTSIDER)), treasury, cover]

    def set_treasury(self) -> Action:
        treasury = self.pick((TREASURER, TREASURER, REENTERER, EXECUTION_VAULT, ZERO, POOL, FEE_SPLITTER))
        return ["set_treasury", self.pick((ADMIN, ADMIN, ADMIN, OUTSIDER)), treasury]

    def set_fee_registry(self) -> Action:
        registry = VALIDATOR_REGISTRY if self.chance(80) else self.anybody()
        return ["set_fee_registry", self.pick((ADMIN, ADMIN, ADMIN, OUTSIDER)), registry]

    # --- others, and the beacon chain ---

    def foreign_deposit(self) -> Action:
        number = self.new_number() if self.chance(50) else self.number(*State)
        amount = self.pick((ETHER_GWEI, ETHER_GWEI, 32 * ETHER_GWEI, ETHER_GWEI + self.bits(34)))
        return ["foreign_deposit", self.pick((OUTSIDER, *MANAGERS)), number, self.bits(1), int(self.chance(85)), amount]

    def front_run(self) -> list[Action]:
        """Deposit for a key with other credentials, and predeposit it then."""
        predeposit = self.predeposit()
        if not predeposit[4]:
            return [predeposit]
        return [["foreign_deposit", OUTSIDER, predeposit[4][0], 0, 1, ETHER_GWEI], predeposit]

    def foreign_request(self) -> Action:
        kind = self.pick((1, 2, 2))
        source = self.bits(2) if kind == 2 and self.chance(60) else self.bits(5)
        other = self.bits(36) * self.bits(1) if kind == 1 else self.index(State.ACTIVE)
        return ["foreign_request", OUTSIDER if self.chance(80) else self.anybody(), self.fees(), kind, source, other]

    def make_block(self) -> list[Action]:
        day = self.pick((12, 12, 384, 384, 3_600, 6 * 3_600, DAY, 2 * DAY, 3 * DAY))
        seconds = day if self.chance(96) else self.upto(40 * DAY)
        if self.chance(50):  # at the first slot of a frame, which an oracle looks at
            oracle = self.w.oracle
            frame = oracle.frame_slots() * oracle.seconds_per_slot
            seconds += -(self.w.chain.now + seconds - oracle.genesis_time) % frame
        block: Action = ["make_block", seconds, self.pick((0, 0, 0, 1, 9))]
        if ("registry", VALIDATOR_REGISTRY) not in self.w.pool.roles.members and self.chance(40):
            return [self.switch_registry(), block]
        return [block]

    def slash(self) -> list[Action]:
        """Slash a validator; perhaps somebody proves it at once, or an oracle sees it first."""
        index = self.index(State.ACTIVE, State.ACTIVE, State.EXITING, State.PROVEN)
        actions: list[Action] = [["slash", index], ["make_block", self.pick((12, 12, 3_600, 3 * DAY)), 0]]
        if self.chance(30):
            actions.append(self.honest_report())
        if self.chance(80):
            actions.append(["prove", self.anybody(), [index], 0, []])
        if self.chance(30):  # states from before the slashing can be proven as well, and then again those after it
            before = 1 + self.bits(2)
            actions.append(
                self.pick(
                    (
                        ["prove", self.anybody(), [index], before, []],
                        ["prove_one", self.anybody(), index, before, []],
                    )
                )
            )
            actions.append(["prove", self.anybody(), [index], 0, []])
        return actions

    def leave(self) -> Action:
        return ["leave", self.index(State.PROVEN, State.ACTIVE, State.ACTIVE)]

    def lose(self) -> Action:
        """Let one validator lose some of its balance, or all."""
        return ["lose", self.index(State.ACTIVE, State.EXITING, State.SLASHED), self.pick((1, 100, 3_000, BPS))]

    def earn(self) -> Action:
        return ["earn", self.pick((0, 1, 1, 1, -1)) * self.bits(20)]

    def force_registry(self) -> Action:
        return ["force_registry", self.bits(61)]

    def honest_report(self) -> Action:
        age = 0 if self.chance(60) else self.bits(2)
        return ["honest_report", self.anybody(), age, self.pick((0, BPS, BPS, 2 * BPS))]

    def honest_accept(self) -> Action:
        return ["honest_accept", self.councillor()]

    def reject(self) -> Action:
        """Let the council drop what is held."""
        held = self.w.oracle.held
        return ["reject", self.councillor(), list(held) if held else self._plain(0)]

    def ordered(self) -> Action:
        """Let the ETH that comes back from the registry or the vault arrive where something else is done meanwhile."""
        kind = self.pick(range(4))
        if kind == 0:
            outer = self.withdraw_bond()
        elif kind == 1:
            outer = self.request_withdrawals()
            outer[1], outer[2] = REENTERER, ETHER
        elif kind == 2:
            outer = self.consolidate()
            outer[1], outer[2] = REENTERER, ETHER
        else:
            return super().ordered()
        conduct = self.pick((1, 2, 2, 2, 4))  # refuse, react, react or refuse
        reaction: Action | None = None
        if conduct != 1:
            reaction = self.pick(REACTIONS)(self)
            reaction = [reaction[0], *reaction[2:]]
            # No long lists: they might not fit in what a Reenterer keeps.
            if any(isinstance(part, list) and len(part) > 1 for part in reaction):
                reaction = ["record_exits"]
        return ["ordered", REENTERER, conduct, reaction, outer]


REACTIONS: list[Callable[[ValidatorChoices], Action]] = [
    ValidatorChoices.fulfil, ValidatorChoices.request, ValidatorChoices.transfer, ValidatorChoices.record_exits,
    ValidatorChoices.add_bond, ValidatorChoices.withdraw_bond, ValidatorChoices.vault_request,
    ValidatorChoices.declare_stale, ValidatorChoices.pay_registry, ValidatorChoices.set_reward_address,
]  # fmt: skip

VALIDATOR_WEIGHTS: dict[Callable[[ValidatorChoices], Any], int] = {
    ValidatorChoices.deposit: 30, ValidatorChoices.send_ether: 6, ValidatorChoices.redeem: 12,
    ValidatorChoices.fulfil: 30, ValidatorChoices.declare_stale: 4, ValidatorChoices.request: 40,
    ValidatorChoices.claim: 25, ValidatorChoices.pause: 3, ValidatorChoices.send_to_validators: 2,
    ValidatorChoices.raise_pending_loss: 2, ValidatorChoices.travel: 12, ValidatorChoices.force: 4,
    ValidatorChoices.predeposit: 40, ValidatorChoices.front_run: 8, ValidatorChoices.prove: 50,
    ValidatorChoices.prove_one: 40,
    ValidatorChoices.top_up: 80, ValidatorChoices.prove_withdrawn: 30, ValidatorChoices.request_withdrawals: 60,
    ValidatorChoices.consolidate: 16, ValidatorChoices.record_exits: 14, ValidatorChoices.add_bond: 10,
    ValidatorChoices.withdraw_bond: 12, ValidatorChoices.set_reward_address: 6, ValidatorChoices.add_operator: 4,
    ValidatorChoices.set_operator: 8, ValidatorChoices.set_registry_parameters: 4, ValidatorChoices.add_fork: 4,
    ValidatorChoices.change_registry_role: 4, ValidatorChoices.pay_registry: 2, ValidatorChoices.vault_request: 3,
    ValidatorChoices.set_system_contract: 8, ValidatorChoices.switch_registry: 2,
    ValidatorChoices.foreign_deposit: 14, ValidatorChoices.foreign_request: 10, ValidatorChoices.make_block: 110,
    ValidatorChoices.slash: 8, ValidatorChoices.leave: 8, ValidatorChoices.earn: 25,
    ValidatorChoices.lose: 4, ValidatorChoices.overdue: 6,
    ValidatorChoices.force_registry: 2, ValidatorChoices.honest_report: 45, ValidatorChoices.ordered: 14,
    ValidatorChoices.distribute: 10, ValidatorChoices.sync: 20, ValidatorChoices.claim_fees: 15,
    ValidatorChoices.cover_loss: 10, ValidatorChoices.set_parts: 3, ValidatorChoices.set_treasury: 3,
    ValidatorChoices.set_fee_registry: 2, ValidatorChoices.transfer: 8,
    ValidatorChoices.honest_accept: 25, ValidatorChoices.reject: 2, ValidatorChoices.set_committee: 2,
}  # fmt: skip
VALIDATOR_LOTS = [choose for choose, weight in VALIDATOR_WEIGHTS.items() for _ in range(weight)]


class ValidatorGuard(Guard):
    """Judges the registry as well."""

    w: ValidatorWorld

    def note(self) -> None:
        super().note()
        registry = self.w.registry
        self.validators, self.operators = dict(registry.validators), dict(registry.operators)
        self.live, self.forks = registry.parameters, list(registry.forks)
        self.registry_members = frozenset(registry.roles.members)
        self.kinds = dict(self.w.pool.withdrawal_vault.system_contracts)

    def step(self, action: Action) -> None:
        validators, operators, live, forks = self.validators, self.operators, self.live, self.forks
        members, kinds = self.registry_members, self.kinds
        super().step(_for_the_pool(action))
        registry = self.w.registry
        if registry.validators != validators or registry.operators != operators:
            actors = {part[1] for part in parts_of(action) if part[0] in VALIDATOR_CALLS}
            self._check_lives(validators)
            self._check_money(actors, operators, members, validators)
        demand(forks == registry.forks[: len(forks)], "INV-18: a fork was changed")
        admins = {account for role, account in members if role == "admin"}
        actors = {part[1] for part in parts_of(action) if len(part) > 1 and isinstance(part[1], str)}
        if live != registry.parameters or len(forks) != len(registry.forks):
            demand(bool(actors & admins), "INV-18: the registry was changed without the role admin")
        if members != registry.roles.members:
            demand(bool(actors & admins), "INV-18: roles of the registry changed without the role admin")
        if kinds != self.w.pool.withdrawal_vault.system_contracts:
            allowed = any(("admin", actor) in self.members for actor in actors)
            demand(allowed, "INV-18: a system contract was changed without the role admin")
        if action[0] in FEE_CALLS:
            check_fees(self.w)
        super().note()
        self.note()

    def _check_lives(self, before: dict[bytes, Validator]) -> None:
        registry = self.w.registry
        for key, now in registry.validators.items():
            was = before.get(key, Validator())
            if was == now:
                continue
            reached = now.state == was.state or now.state in REACH[was.state]
            demand(reached, f"INV-14: a validator went from {was.state!r} to {now.state!r}")
            demand(was.state == State.NONE or was.operator == now.operator, "INV-13: another operator's validator")
            closed = (State.COMPROMISED, State.CLOSED)
            demand(was.state not in closed, f"INV-14: a validator that is {was.state!r} changed")
            topped = now.topped_at != was.topped_at
            demand(not topped or was.state in (State.PROVEN, State.PREDEPOSITED, State.ACTIVE, State.EXITING), "INV-14")
        demand(before.keys() <= registry.validators.keys(), "INV-13: a validator was forgotten")

    def _check_money(
        self,
        actors: set[Address],
        before: dict[int, Operator],
        members: frozenset[tuple[str, Address]],
        validators: dict[bytes, Validator],
    ) -> None:
        """INV-18: operators change by the council and their managers only, and nobody else lowers a bond."""
        w, registry = self.w, self.w.registry
        # A slashing that is proven takes the limit; the same proof may show that all is withdrawn.
        suspended = {
            v.operator
            for key, v in registry.validators.items()
            if v.state in (State.SLASHED, State.CLOSED) and validators.get(key, Validator()).state != v.state
        }
        for number, now in registry.operators.items():
            was = before.get(number)
            limit = 0 if was and now.limit == 0 and number in suspended else was and was.limit
            if was is None or (was.manager, was.weight, limit) != (now.manager, now.weight, now.limit):
                allowed = any((OPERATORS_ROLE, actor) in members for actor in actors)
                demand(allowed, "INV-18: an operator changed without the council")
            if was is not None and (was.reward_address != now.reward_address or now.bond < was.bond):
                demand(was.manager in actors, "INV-18: an operator's money moved without its manager")
        check_sums(w)


def check_fees(w: ValidatorWorld) -> None:
    """INV-02: what the splitter holds is its cover fund, what operators earned and what could not be divided."""
    splitter = w.splitter
    earned = sum(splitter.claimable(operator, book) for book, operator in splitter.accounts)
    demand(splitter.held == splitter.cover_fund + earned + splitter.rest, "INV-02: fees are not what they are held for")
    demand(splitter.held <= w.pool.balances.get(FEE_SPLITTER, 0), "INV-02: more fees held than there are")


def check_sums(w: ValidatorWorld) -> None:
    """Check that all sums are sums, and that the registry has the ETH of all bonds and no other."""
    registry = w.registry
    book, operators = registry.validators.values(), registry.operators
    bonds = sum(operator.bond for operator in operators.values())
    demand(bonds * GWEI + w.forced == w.chain.ether[VALIDATOR_REGISTRY], "INV-02: bonds are not the registry's ETH")
    demand(registry.staked == sum(v.staying() for v in book), "INV-02: stake is not the sum of validators'")
    demand(registry.under_way == sum(v.leaving() for v in book), "INV-02: under way is not the sum of validators'")
    demand(registry.total_weight == sum(o.weight for o in operators.values()), "INV-15: weights are not their sum")
    done = (State.CLOSED, State.COMPROMISED)
    for number, operator in operators.items():
        mine = [v for v in book if v.operator == number]
        demand(operator.stake == sum(v.staying() for v in mine), "INV-02: stake of an operator is not its validators'")
        demand(operator.open == sum(v.state not in done for v in mine), "INV-13: open validators are not counted right")


def _for_the_pool(action: Action) -> Action:
    """Name an action as the pool sees it: the registry asks for ETH and raises losses, the oracle reports."""
    name = action[0]
    if name in ("honest_report", "honest_accept"):
        return ["submit" if name == "honest_report" else "accept", action[1]]
    if name in ("prove", "prove_one", "top_up", "prove_withdrawn"):
        return [name, VALIDATOR_REGISTRY]
    if name in ("make_block", "force_registry"):
        return ["force", FAUCET, 0]
    return action


def finish(w: ValidatorWorld, guard: Guard, seed: str) -> None:
    """End a sequence: report until the books say what the beacon chain says, then as everywhere."""
    check_sums(w)
    check_fees(w)
    oracle, pool = w.oracle, w.pool
    able = all((role, REPORT_ORACLE) in pool.roles.members for role in (ORACLE_ROLE, PAUSER_ROLE))
    able = able and (COUNCIL_ROLE, COUNCIL) in oracle.roles.members
    for _ in range(3 if able else 0):
        # Only the clock of the pool goes on in the end, as if the beacon chain stood still.
        perform(w, ["make_block", max(oracle.time_of(oracle.next_slot()) - w.chain.now, 12), 0])
        there = w.on_beacon() + w.credited - pool.withdrawn
        missing = there - pool.outside
        speed = pool.assets * pool.parameters.rise_bps
        w.travel(max(missing * BPS * YEAR // speed + SECONDS_PER_SLOT, 0) if missing > 0 else 0)
        perform(w, ["honest_report", OUTSIDER, 0, 0])
        perform(w, ["honest_accept", COUNCIL])
    if able:
        demand_the_same(w)
    finish_books(w, guard, seed)


def demand_the_same(w: ValidatorWorld) -> None:
    """Demand that what is outside is on the beacon chain, or lies in the vault and is not swept yet."""
    there = max(w.on_beacon() + w.credited - w.pool.withdrawn, 0)
    demand(w.pool.outside == there, "INV-02: the books are not what the beacon chain says")
