"""A plain ERC-20 with EIP-2612, as snekmate's: LP tokens, reserve shares; and WETH."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from floe.model.basics import OVERFLOW, UNLIMITED, ZERO, Address, Chain, Revert
from floe.model.tokens import Allowances, Permit, Signature


class Token(Protocol):
    """What the gauge and the adapters need of an ERC-20. The pool and the rebasing token have it, too."""

    def balance_of(self, owner: Address) -> int:
        """Amount that `owner` holds."""
        ...

    def transfer(self, sender: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of the caller."""
        ...

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of `owner` out of the caller's allowance."""
        ...


@dataclass(slots=True)
class Erc20:
    """State and rules. A method that raises `Revert` has changed nothing."""

    chain: Chain
    address: Address
    allowances: Allowances
    """Only the state: reasons and rules are these here."""
    supply: int = 0
    balances: dict[Address, int] = field(default_factory=dict)

    def balance_of(self, owner: Address) -> int:
        """Amount that `owner` holds."""
        return self.balances.get(owner, 0)

    def approve(self, sender: Address, spender: Address, amount: int) -> bool:
        """Let `spender` move up to `amount`."""
        if spender == ZERO:
            raise Revert("erc20: approve to the zero address")
        self.allowances.amounts[sender, spender] = amount
        return True

    def permit(self, owner: Address, spender: Address, amount: int, deadline: int, signature: Signature) -> None:
        """Approve by signature, once, until `deadline` (inclusive)."""
        if self.chain.now > deadline:
            raise Revert("erc20: expired deadline")
        if signature.high_s:
            raise Revert("ecdsa: invalid signature `s` value")
        if not signature.valid:
            raise Revert("ecdsa: invalid signature")
        nonce = self.allowances.nonces.get(owner, 0)
        wanted = Permit(self.address, owner, spender, amount, nonce, deadline)
        if signature.signer != owner or signature.signed != wanted:
            raise Revert("erc20: invalid signature")
        if spender == ZERO:
            raise Revert("erc20: approve to the zero address")
        self.allowances.nonces[owner] = nonce + 1
        self.allowances.amounts[owner, spender] = amount

    def transfer(self, sender: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of the caller."""
        self._check_move(sender, receiver, amount)
        self._move(sender, receiver, amount)
        return True

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, amount: int) -> bool:
        """Move `amount` of `owner` out of the caller's allowance, the owner's own too; an unlimited one stays."""
        self.check_allowance(owner, sender, amount)
        self._check_move(owner, receiver, amount)
        self.spend(owner, sender, amount)
        self._move(owner, receiver, amount)
        return True

    # --- for the contract that has it ---

    def check_allowance(self, owner: Address, spender: Address, amount: int) -> None:
        """Refuse what `spender` may not move."""
        if self.allowances.amounts.get((owner, spender), 0) < amount:
            raise Revert("erc20: insufficient allowance")
        if owner == ZERO:
            raise Revert("erc20: approve from the zero address")

    def spend(self, owner: Address, spender: Address, amount: int) -> None:
        """Lower a checked allowance."""
        if (left := self.allowances.amounts.get((owner, spender), 0)) != UNLIMITED:
            self.allowances.amounts[owner, spender] = left - amount

    def mint(self, receiver: Address, amount: int) -> None:
        """Create `amount` for `receiver`, who is not the zero address."""
        if self.supply + amount > UNLIMITED:
            raise Revert(OVERFLOW)
        self.supply += amount
        self.balances[receiver] = self.balances.get(receiver, 0) + amount

    def check_burn(self, owner: Address, amount: int) -> None:
        """Refuse to burn more than `owner` has."""
        if self.balances.get(owner, 0) < amount:
            raise Revert("erc20: burn amount exceeds balance")

    def burn(self, owner: Address, amount: int) -> None:
        """Destroy `amount` of `owner`."""
        self.check_burn(owner, amount)
        self.balances[owner] = self.balances.get(owner, 0) - amount
        self.supply -= amount

    # --- inside ---

    def _check_move(self, owner: Address, receiver: Address, amount: int) -> None:
        if receiver == ZERO:
            raise Revert("erc20: transfer to the zero address")
        if self.balances.get(owner, 0) < amount:
            raise Revert("erc20: transfer amount exceeds balance")

    def _move(self, owner: Address, receiver: Address, amount: int) -> None:
        self.balances[owner] = self.balances.get(owner, 0) - amount
        self.balances[receiver] = self.balances.get(receiver, 0) + amount
