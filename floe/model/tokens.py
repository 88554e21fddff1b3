"""What contracts share because it is library code: allowances, signatures and access control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from floe.model.basics import UNLIMITED, Address, Chain, Revert

ADMIN_ROLE = "admin"
ORACLE_ROLE = "oracle"
REGISTRY_ROLE = "registry"
PAUSER_ROLE = "pauser"
COUNCIL_ROLE = "council"


class Permit(NamedTuple):
    """What an EIP-2612 signature signs. `token` stands for the EIP-712 domain."""

    token: Address
    owner: Address
    spender: Address
    amount: int
    nonce: int
    deadline: int


class Signature(NamedTuple):
    """`signed` under the key of `signer`; no cryptography here, only what it would reveal."""

    signer: Address
    signed: object
    """The message, which stands for its digest."""
    high_s: bool = False
    """The second form of the same signature (EIP-2), refused."""
    valid: bool = True
    """False: nobody's signature (for example a wrong `v`)."""


def signed_by(chain: Chain, account: Address, message: object, signature: Signature) -> bool:
    """Say whether `account` signed `message`: by its key, in either form, or by what its code answers (ERC-1271)."""
    if signature.valid and signature.signer == account and signature.signed == message:
        return True
    answer = chain.on_signature.get(account)
    return answer is not None and answer(message, signature)


@dataclass(slots=True)
class Allowances:
    """The allowance half of ERC-20 with EIP-2612."""

    chain: Chain
    token: Address
    amounts: dict[tuple[Address, Address], int] = field(default_factory=dict)
    """(owner, spender) -> what the spender may still move."""
    nonces: dict[Address, int] = field(default_factory=dict)
    """Permits used, by owner."""

    def approve(self, owner: Address, spender: Address, amount: int) -> bool:
        """Let `spender` move up to `amount`."""
        self.amounts[owner, spender] = amount
        return True

    def permit(self, owner: Address, spender: Address, amount: int, deadline: int, signature: Signature) -> None:
        """Approve by signature, once, until `deadline` (inclusive)."""
        if self.chain.now > deadline:
            raise Revert("permit: expired")
        if signature.high_s:
            raise Revert("ecdsa: invalid signature `s` value")
        if not signature.valid:
            raise Revert("ecdsa: invalid signature")
        nonce = self.nonces.get(owner, 0)
        # Of another message the recovery finds an account that nobody holds.
        wanted = Permit(self.token, owner, spender, amount, nonce, deadline)
        if signature.signer != owner or signature.signed != wanted:
            raise Revert("permit: wrong signer")
        self.nonces[owner] = nonce + 1
        self.amounts[owner, spender] = amount

    def check(self, owner: Address, spender: Address, amount: int) -> None:
        """Refuse what `spender` may not move."""
        if spender != owner and self.amounts.get((owner, spender), 0) < amount:
            raise Revert("allowance: too low")

    def spend(self, owner: Address, spender: Address, amount: int) -> None:
        """Lower a checked allowance. The owner needs none, and an unlimited one stays."""
        if spender != owner and (left := self.amounts.get((owner, spender), 0)) != UNLIMITED:
            self.amounts[owner, spender] = left - amount


@dataclass(slots=True)
class Roles:
    """Who may do what. The admin role governs all roles, its own too."""

    members: set[tuple[str, Address]] = field(default_factory=set)

    def check(self, role: str, account: Address) -> None:
        """Refuse who lacks the role."""
        if (role, account) not in self.members:
            raise Revert("access_control: account is missing role")

    def grant(self, sender: Address, role: str, account: Address) -> None:
        """Give a role."""
        self.check(ADMIN_ROLE, sender)
        self.members.add((role, account))

    def revoke(self, sender: Address, role: str, account: Address) -> None:
        """Take a role."""
        self.check(ADMIN_ROLE, sender)
        self.members.discard((role, account))

    def renounce(self, sender: Address, role: str, account: Address) -> None:
        """Give up a role; `account` must be the caller's own."""
        if account != sender:
            raise Revert("access_control: can only renounce roles for itself")
        self.members.discard((role, account))
