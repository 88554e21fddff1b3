"""A vault: holds ETH that anybody may credit, and gives it to one pool. The withdrawal vault also makes requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from floe.model.basics import LOCKED, ZERO, Address, Chain, Revert
from floe.model.system_contracts import SystemContracts
from floe.model.tokens import ADMIN_ROLE, REGISTRY_ROLE

if TYPE_CHECKING:
    from floe.model.pool import Pool

WITHDRAWAL = 1
CONSOLIDATION = 2
"""Types of requests (EIP-7685)."""


@dataclass(slots=True)
class Vault:
    """The withdrawal vault or the execution vault."""

    chain: Chain
    address: Address
    pool: Address
    entered: bool = False
    """The vault waits for a call of its own to return: nobody may enter."""

    def check_sweep(self, sender: Address, amount: int) -> None:
        """Refuse everybody but the pool, and more than there is."""
        if self.entered:
            raise Revert(LOCKED)
        if sender != self.pool:
            raise Revert("caller: not the pool")
        if amount > self.chain.ether[self.address]:
            raise Revert("vault: balance too low")

    def sweep(self, sender: Address, amount: int) -> None:
        """Send `amount` wei to the pool."""
        self.check_sweep(sender, amount)
        self.chain.move(self.address, self.pool, amount)


@dataclass(slots=True)
class WithdrawalVault(Vault):
    """The withdrawal credentials of all validators: also asks the beacon chain for withdrawals and consolidations."""

    system_contracts: dict[int, Address] = field(default_factory=dict)
    """Which contract takes the requests of a type."""
    books: Pool = field(init=False, repr=False)
    """The pool, whose roles say who may ask."""
    system: SystemContracts | None = None
    """None where nothing is asked: without a registry."""

    def request(self, sender: Address, value: int, kind: int, payloads: list[bytes], refund_to: Address) -> int:
        """Hand requests to the system contract of their type for at most `value` wei; returns what was spent."""
        assert self.system is not None
        if self.entered:
            raise Revert(LOCKED)
        if (REGISTRY_ROLE, sender) not in self.books.roles.members:
            raise Revert("caller: not the registry")
        if refund_to in (ZERO, self.address, self.pool):
            raise Revert("receiver: refused")
        target = self.system.request_contract(self.system_contracts.get(kind, ZERO))
        fee = target.fee()
        spent = fee * len(payloads)
        if spent > value:
            raise Revert("request: fee over the limit")
        self.chain.move(sender, self.address, value)
        if not all(target.add(self.address, payload, fee) for payload in payloads):
            raise Revert("request: refused")
        if value > spent:
            self.entered = True
            taken = self.chain.send(self.address, refund_to, value - spent)
            self.entered = False
            if not taken:
                raise Revert("ether: send failed")
        return spent

    def set_system_contract(self, sender: Address, kind: int, system_contract: Address) -> None:
        """Name the contract that takes requests of a type; the zero address stops them."""
        if self.entered:
            raise Revert(LOCKED)
        if (ADMIN_ROLE, sender) not in self.books.roles.members:
            raise Revert("caller: not the admin")
        self.system_contracts[kind] = system_contract

    def fee(self, kind: int) -> int:
        """Wei that one request costs now."""
        assert self.system is not None
        if self.entered:
            raise Revert(LOCKED)
        return self.system.request_contract(self.system_contracts.get(kind, ZERO)).fee()
