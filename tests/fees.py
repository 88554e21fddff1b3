"""The fee splitter beside a protocol and its registry."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.beacon import COUNCIL, MANAGER, Validators, deploy_registry
from tests.evm import Account, Contract
from tests.protocol import OUTSIDER, SAVER, Protocol

TREASURY = "0x" + "7e" * 20
FIRST, SECOND = 1, 2
"""The operators of the registry, of equal weight."""
REWARDS_1, REWARDS_2, REWARDS_3 = ("0x" + f"e{i}" * 20 for i in range(1, 4))


class Parts(NamedTuple):
    """The splitter's `Parts`."""

    treasury_bps: int
    cover_bps: int


PARTS = Parts(treasury_bps=4_000, cover_bps=1_000)


def deploy_splitter(protocol: Protocol, registry: Account, **changes: Any) -> Contract:
    """Deploy a splitter; `changes` replaces arguments of its constructor, by name. The pool does not know it yet."""
    arguments = {
        "pool": protocol.pool,
        "registry": registry,
        "admin": protocol.admin,
        "council": COUNCIL,
        "treasury": TREASURY,
        "parts": PARTS,
    }
    assert changes.keys() <= arguments.keys()
    return protocol.evm.deploy("FeeSplitter", *(arguments | changes).values())


class Fees:
    """A splitter that gets the fees of a warm protocol, whose registry has two operators of weight 100."""

    def __init__(self, validators: Validators) -> None:
        """Deploy it; each operator has a reward address of its own."""
        self.validators, self.protocol, self.evm = validators, validators.protocol, validators.evm
        self.pool, self.queue, self.registry = self.protocol.pool, self.protocol.queue, validators.registry
        self.vault = self.protocol.execution_vault
        self.splitter = deploy_splitter(self.protocol, self.registry)
        self.pool.set_fee_recipient(self.splitter, sender=self.protocol.admin)
        for operator, rewards in ((FIRST, REWARDS_1), (SECOND, REWARDS_2)):
            manager = self.registry.operator(operator).manager
            self.registry.set_reward_address(operator, rewards, sender=manager)

    def sync(self, *operators: int) -> None:
        """Let somebody sync operators, by default both."""
        for operator in operators or (FIRST, SECOND):
            self.splitter.sync(operator, sender=OUTSIDER)

    def give(self, shares: int) -> None:
        """Let fees arrive, as a gift: it makes no difference."""
        self.pool.transfer(self.splitter, shares, sender=SAVER)

    def distribute(self, shares: int) -> None:
        """Let fees arrive, and somebody split them."""
        self.give(shares)
        self.splitter.distribute(sender=OUTSIDER)

    def set_weight(self, operator: int, weight: int, limit: int = 1_000) -> None:
        """Let the council change a weight (a limit of 0: suspend)."""
        manager = self.registry.operator(operator).manager
        self.registry.set_operator(operator, manager, weight, limit, sender=COUNCIL)

    def add_operator(self, weight: int, rewards: str = REWARDS_3) -> int:
        """Let the council add an operator; returns its number."""
        return int(self.registry.add_operator(MANAGER, rewards, weight, 1_000, sender=COUNCIL))

    def balances(self, *accounts: str) -> tuple[int, ...]:
        """Return the shares of accounts."""
        return tuple(self.pool.balanceOf(account) for account in accounts)

    def claimable(self, *operators: int) -> tuple[int, ...]:
        """Return what operators, by default both, have earned and not claimed."""
        return tuple(self.splitter.claimable(operator) for operator in operators or (FIRST, SECOND))

    def replace_registry(self) -> Contract:
        """Deploy another registry with the pool's role, and no operators."""
        other = deploy_registry(self.protocol, self.validators.beacon)
        self.pool.grantRole(self.pool.REGISTRY_ROLE(), other, sender=self.protocol.admin)
        return other

    def lose(self, wei: int) -> int:
        """Report a loss; returns the deficit."""
        self.protocol.report(gain=-wei)
        return int(self.pool.deficit())

    def fund(self, shares: int) -> None:
        """Let the cover fund have at least `shares`."""
        self.distribute(shares * 10_000 // PARTS.cover_bps)
        assert self.splitter.cover_fund() >= shares
