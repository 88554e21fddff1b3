"""FeeSplitter beside its model: random lives of fees, operators, losses and registries, equal after every step.

Beside the model stand two ledgers of this file: what came in is what went out and what is left, to the wei; and a loop
over all operators, which gives each its exact fraction of every fee.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from random import Random
from typing import Any

import pytest

from floe import model
from floe.model.beacon import Beacon
from floe.model.fee_splitter import Parts as ModelParts
from floe.model.registry import ChainConstants, RegistryParameters
from floe.model.system_contracts import BlockRoots, DepositContract, SystemContracts
from floe.model.tokens import REGISTRY_ROLE
from tests.beacon import COUNCIL, LIMITS, MANAGER, SLOT_SECONDS, Validators, deploy_registry
from tests.evm import DAY, ETHER, GENESIS, ZERO, Evm, RevertError
from tests.fees import PARTS, REWARDS_1, REWARDS_2, REWARDS_3, TREASURY, Fees, deploy_splitter
from tests.protocol import (
    FEE_RECIPIENT,
    GUARDIAN,
    MAX_CEILING_GWEI,
    ORACLE,
    OUTSIDER,
    PARAMETERS,
    SAVER,
    SEED,
    Protocol,
)

SEEDS = range(4)
STEPS = 1_500
TREASURIES = (TREASURY, "0x" + "7f" * 20)
RECEIVERS = (REWARDS_1, REWARDS_2, REWARDS_3)
WEIGHTS = (0, 1, 1, 3, 100, 101, 10**6, 2**32 - 1)
MOST_OPERATORS = 6
STAKED = 3_000 * ETHER

DONE = "done"
REFUSED = {
    ("give", "balance: too low"),
    ("claim", "receiver: refused"),
    ("cover", "cover: over the limit"),
    ("cover", "access_control: account is missing role"),
    ("cover", "request: zero shares"),
    ("set_parts", "parameter: out of bounds"),
    ("set_treasury", "receiver: refused"),
    ("set_registry", "peer: not wired to this contract"),
    ("pay_ticket", "claim: nothing filled"),
}
"""What every life must have met, beside each action's success."""


class Twins:
    """The contracts and the model of them: a protocol, two registries with the pool's role, and a splitter."""

    def __init__(self, seed: int) -> None:
        self.random, self.evm, self.met = Random(seed), Evm(), set[tuple[str, str]]()
        p = self.protocol = Protocol(self.evm)
        self.admin, self.pool, self.queue, self.vault = p.admin, p.pool, p.queue, p.execution_vault
        self.registries = {r.address: r for r in (deploy_registry(p, Beacon(GENESIS)) for _ in range(2))}
        for address in self.registries:
            p.pool.grantRole(p.pool.REGISTRY_ROLE(), address, sender=p.admin)
        self.splitter = deploy_splitter(p, next(iter(self.registries)))
        p.pool.set_fee_recipient(self.splitter, sender=p.admin)
        self.model = self._model()
        self.received = self.covered = 0
        """Shares that ever came to the splitter, and that left through the queue."""
        self.evm.fund(SAVER, STAKED)
        self.both(
            "stake",
            lambda: self.pool.deposit(STAKED, SAVER, sender=SAVER, value=STAKED),
            lambda: self.model.pool.deposit(SAVER, STAKED, STAKED, SAVER),
        )
        amount = p.to_validators()
        self.model.pool.send_to_validators(p.registry.address, amount)

    def _model(self) -> model.Protocol:
        p, admin = self.protocol, self.admin.address
        vaults = p.withdrawal_vault.address, p.execution_vault.address
        roles = admin, ORACLE, p.registry.address, GUARDIAN, FEE_RECIPIENT
        accounts = model.Accounts(p.pool.address, p.queue.address, *vaults, p.token.address, *roles)
        parameters = model.Parameters(**PARAMETERS._asdict())
        m = model.Protocol(accounts, parameters, MAX_CEILING_GWEI, SEED, self.evm.now)
        m.chain.ether |= {SAVER: STAKED, OUTSIDER: 10**6 * ETHER, p.registry.address: 0}
        system = SystemContracts(BlockRoots(), DepositContract(m.chain, OUTSIDER), {})
        constants, limits = ChainConstants(GENESIS, SLOT_SECONDS, 32, 8_192), RegistryParameters(*LIMITS)
        self.books = {
            address: m.add_registry(address, system, constants, [], limits, admin, COUNCIL, [])
            for address in self.registries
        }
        for address in self.registries:
            m.pool.roles.grant(admin, REGISTRY_ROLE, address)
        books = list(self.books.values())
        self.twin = m.add_fee_splitter(self.splitter.address, books, TREASURY, ModelParts(*PARTS), admin, COUNCIL)
        m.pool.set_fee_recipient(admin, self.splitter.address)
        return m

    def both(self, action: str, contract: Callable[[], Any], twin: Callable[[], Any]) -> Any:
        """Do it on both sides and demand the same answer or the same reason. Returns the answer, None for a revert."""
        answer = None
        try:
            answer = self.model.attempt(twin)
            expected = DONE
        except model.Revert as error:
            expected = error.reason
        try:
            got = contract()
            assert (got, DONE) == (answer, expected), action
        except RevertError as error:
            assert error.reason == expected, action
        self.met.add((action, expected))
        return answer

    # --- what happens ---

    def step(self) -> None:
        """Let a random thing happen."""
        often = (self._give, self._sync, self._claim, self._operator, self._cover)
        others = (
            *(self._report, self._distribute, self._reward_address, self._pay_ticket, self._fulfil, self._tip),
            *(self._set_parts, self._set_treasury, self._set_registry),
        )
        self.random.choice((*often, *often, *others))()

    def _give(self) -> None:
        r = self.random
        shares = r.choice((r.randrange(1, 30), r.randrange(1, 10**9), r.randrange(1, ETHER), STAKED))
        to = self.splitter.address
        given = self.both(
            "give",
            lambda: self.pool.transfer(to, shares, sender=SAVER),
            lambda: self.model.pool.transfer(SAVER, to, shares),
        )
        self.received += shares if given else 0

    def _report(self) -> None:
        r = self.random
        self.evm.travel(r.choice((1, DAY // 2, DAY, 30 * DAY)))
        self.model.chain.now = self.evm.now
        gain = r.choice((0, r.randrange(10), r.randrange(ETHER), -r.randrange(ETHER), -r.randrange(10)))
        report = self.protocol.next_report(gain)
        before = self.twin.undistributed()
        self.both(
            "report",
            lambda: self.pool.report(report, sender=ORACLE),
            lambda: self.model.pool.report(ORACLE, model.Report(*report)),
        )
        self.received += self.twin.undistributed() - before

    def _distribute(self) -> None:
        self.both("distribute", self.splitter.distribute, self.twin.distribute)

    def _sync(self) -> None:
        number = self._number()
        self.both("sync", lambda: self.splitter.sync(number), lambda: self.twin.sync(number))

    def _claim(self) -> None:
        number, book = self._number(), self.random.choice((ZERO, ZERO, *self.registries, OUTSIDER))
        self.both("claim", lambda: self.splitter.claim(number, book), lambda: self.twin.claim(number, book))

    def _operator(self) -> None:
        """Let the council add an operator, or change one."""
        r = self.random
        address = r.choice((*self.registries, self.twin.registry))
        registry, book = self.registries[address], self.books[address]
        weight, limit = r.choice(WEIGHTS), r.choice((0, 1, 1, 1))
        if len(book.operators) < MOST_OPERATORS and r.random() < 0.3:
            self.both(
                "add_operator",
                lambda: registry.add_operator(MANAGER, REWARDS_1, weight, limit, sender=COUNCIL),
                lambda: book.add_operator(COUNCIL, MANAGER, REWARDS_1, weight, limit),
            )
        elif book.operators:
            number = r.randrange(len(book.operators)) + 1
            self.both(
                "set_operator",
                lambda: registry.set_operator(number, MANAGER, weight, limit, sender=COUNCIL),
                lambda: book.set_operator(COUNCIL, number, MANAGER, weight, limit),
            )

    def _reward_address(self) -> None:
        r = self.random
        address = r.choice(list(self.registries))
        registry, book = self.registries[address], self.books[address]
        if book.operators:
            number = r.randrange(len(book.operators)) + 1
            to = r.choice((*RECEIVERS, *RECEIVERS, self.queue.address, self.splitter.address))
            self.both(
                "reward_address",
                lambda: registry.set_reward_address(number, to, sender=MANAGER),
                lambda: book.set_reward_address(MANAGER, number, to),
            )

    def _cover(self) -> None:
        r, most = self.random, self.twin.coverable()
        shares = r.choice((most, most + 1, r.randrange(most + 1), most // 2, 0))
        sender = r.choice((COUNCIL, COUNCIL, COUNCIL, COUNCIL, OUTSIDER))
        ticket = self.both(
            "cover",
            lambda: self.splitter.cover_loss(shares, sender=sender),
            lambda: self.twin.cover_loss(sender, shares),
        )
        self.covered += shares if ticket else 0

    def _pay_ticket(self) -> None:
        """Let somebody claim the last cover for the execution vault."""
        ticket = self.twin.cover_ticket
        if self.model.queue.exists(ticket):
            self.both(
                "pay_ticket",
                lambda: self.queue.claim(ticket, sender=OUTSIDER),
                lambda: self.model.queue.claim(OUTSIDER, ticket),
            )

    def _fulfil(self) -> None:
        most = self.random.choice((ETHER // 3, ETHER + 7, STAKED))
        self.both("fulfil", lambda: self.pool.fulfil(most), lambda: self.model.pool.fulfil(most))

    def _tip(self) -> None:
        """Let the execution vault earn something."""
        if self.random.random() < 0.3:
            wei = self.random.randrange(ETHER // 10)
            self.evm.fund(self.vault, wei)
            self.model.chain.move(OUTSIDER, self.vault.address, wei)

    def _set_parts(self) -> None:
        r = self.random
        parts = ModelParts(r.choice((0, 1, 3_333, 4_000, 5_000, 5_001)), r.choice((0, 1, 1_000, 3_000, 3_001)))
        self.both(
            "set_parts",
            lambda: self.splitter.set_parts(parts, sender=self.admin),
            lambda: self.twin.set_parts(self.admin.address, parts),
        )

    def _set_treasury(self) -> None:
        to = self.random.choice((*TREASURIES, ZERO, self.pool.address, self.queue.address, self.splitter.address))
        self.both(
            "set_treasury",
            lambda: self.splitter.set_treasury(to, sender=self.admin),
            lambda: self.twin.set_treasury(self.admin.address, to),
        )

    def _set_registry(self) -> None:
        if self.random.random() < 0.3:
            to = self.random.choice((*self.registries, OUTSIDER))
            self.both(
                "set_registry",
                lambda: self.splitter.set_registry(to, sender=self.admin),
                lambda: self.twin.set_registry(self.admin.address, to),
            )

    def _number(self) -> int:
        return self.random.randrange(MOST_OPERATORS + 2)

    # --- what is true ---

    def check(self) -> None:
        """Compare what a step can change."""
        splitter, twin = self.splitter, self.twin
        assert splitter.held() == twin.held
        assert splitter.cover_fund() == twin.cover_fund
        assert splitter.rest() == twin.rest
        assert splitter.weights(twin.registry) == twin.weights.get(twin.registry, (0, 0, 0))
        assert splitter.undistributed() == twin.undistributed()
        assert splitter.coverable() == twin.coverable()

    def check_all(self) -> None:
        """Compare everything, and demand that nothing was lost."""
        splitter, twin = self.splitter, self.twin
        assert splitter.registry() == twin.registry
        assert splitter.treasury() == twin.treasury
        assert splitter.parts() == twin.parts
        assert splitter.cover_ticket() == twin.cover_ticket
        assert tuple(self.pool.state()) == self.model.pool.words()
        owed = 0
        for address in self.registries:
            assert splitter.weights(address) == twin.weights.get(address, (0, 0, 0))
            for number in range(MOST_OPERATORS + 2):
                assert splitter.accounts(address, number) == twin.accounts.get((address, number), (0, 0, 0))
                claimable = splitter.claimable(number, address)
                assert claimable == twin.claimable(number, address)
                owed += claimable
        assert splitter.held() == splitter.cover_fund() + splitter.rest() + owed
        paid = sum(self.pool.balanceOf(account) for account in (*TREASURIES, *RECEIVERS))
        assert self.received == paid + self.covered + self.pool.balanceOf(splitter)

    def pay_out(self) -> None:
        """Let everybody claim: what is left is the fund's, and the rest of one division."""
        self._distribute()
        for address, book in self.books.items():
            for number in book.operators:
                registry = self.registries[address]
                registry.set_reward_address(number, REWARDS_1, sender=MANAGER)
                book.set_reward_address(MANAGER, number, REWARDS_1)
                self.both(
                    "claim",
                    partial(self.splitter.claim, number, address),
                    partial(self.twin.claim, number, address),
                )
        assert self.pool.balanceOf(self.splitter) == self.splitter.cover_fund() + self.splitter.rest()


@pytest.mark.parametrize("seed", SEEDS)
def test_splitter__random_life__is_the_models_and_loses_nothing(seed: int):
    twins = Twins(seed)
    for number in range(STEPS):
        twins.step()
        twins.check()
        if number % 20 == 0:
            twins.check_all()
    twins.check_all()
    twins.pay_out()
    twins.check_all()
    actions = {action for action, _ in twins.met}
    assert {(action, DONE) for action in actions} | REFUSED <= twins.met
    assert len(actions) == 15
    assert twins.covered > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_operators__weights_that_change_all_the_time__get_what_a_loop_would_give_them(
    validators: Validators, seed: int
):
    """Off by less than what one division leaves over, for every change of weights."""
    random, fees = Random(seed), Fees(validators)
    operators = [1, 2, *(fees.add_operator(5) for _ in range(4))]
    weights, due = dict.fromkeys(operators, 0), dict.fromkeys(operators, Fraction())
    total, largest, changes = 0, 0, 0

    def split() -> None:
        """By the weights that have counted until now."""
        shares = fees.splitter.undistributed() * 5_000 // 10_000
        for operator, weight in weights.items():
            due[operator] += Fraction(shares * weight, max(total, sum(weights.values()), 1))

    for _ in range(300):
        operator = random.choice(operators)
        match random.randrange(4):
            case 0:
                fees.set_weight(operator, random.choice((0, 1, 3, 50, 100, 1_000)), random.choice((0, 1, 1)))
            case 1:
                fees.give(random.choice((random.randrange(1, 100), random.randrange(1, ETHER // 20))))
            case 2:
                split()
                fees.splitter.distribute()
            case 3:
                split()
                fees.sync(operator)
                known = fees.registry.operator(operator)
                weights[operator] = known.weight if known.limit else 0
                total = fees.registry.total_weight()
                largest, changes = max(largest, total, sum(weights.values())), changes + 1
    split()
    fees.splitter.distribute()
    for operator, amount in due.items():
        assert abs(amount - fees.splitter.claimable(operator)) <= changes * largest, operator
        assert amount > changes * largest * 10**6
