"""A vault: holds ETH that anybody may credit, and gives it to one pool."""

from __future__ import annotations

from dataclasses import dataclass

from floe.model.basics import Address, Chain, Revert


@dataclass(slots=True)
class Vault:
    """The withdrawal vault or the execution vault."""

    chain: Chain
    address: Address
    pool: Address

    def check_sweep(self, sender: Address, amount: int) -> None:
        """Refuse everybody but the pool, and more than there is."""
        if sender != self.pool:
            raise Revert("caller: not the pool")
        if amount > self.chain.ether[self.address]:
            raise Revert("vault: balance too low")

    def sweep(self, sender: Address, amount: int) -> None:
        """Send `amount` wei to the pool."""
        self.check_sweep(sender, amount)
        self.chain.move(self.address, self.pool, amount)
