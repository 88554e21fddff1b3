"""What every part of the model needs: exact integers, revert reasons, and a chain that holds time and ETH.

All numbers are non-negative Python integers unless a docstring says "signed". `//` on them is the floor, as in the
EVM. On signed numbers the two differ: Vyper's `//` truncates toward zero (-7 // 2 == -3), Python's floors
(-7 // 2 == -4). It matters nowhere: no rule divides a signed number, signs are taken apart before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Address = str
"""An account: "0x" and 40 lower-case hexadecimal digits."""

ZERO: Address = "0x" + "00" * 20

BPS = 10_000
PPM = 1_000_000
GWEI = 10**9
ETHER = 10**18
DAY = 86_400
YEAR = 365 * DAY
UNLIMITED = 2**256 - 1
"""The largest word: as an allowance it is never lowered, as a limit it limits nothing."""

U64 = 2**64 - 1
U80 = 2**80 - 1
U95 = 2**95 - 1
U96 = 2**96 - 1

OVERFLOW = ""
"""A number that does not fit its word: the compiler's own checks revert without a reason."""
LOCKED = ""
"""A contract entered while it waits for a call of its own: reverts without a reason."""


class Revert(Exception):  # noqa: N818 - it is the field's word
    """A call that changes nothing. `reason` is the contract's revert string, "" for a revert without one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def word(number: int) -> int:
    """Return `number` if it fits a word of 256 bits. For products of what a caller chose; others cannot overflow."""
    if number > UNLIMITED:
        raise Revert(OVERFLOW)
    return number


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up, as (a + b - 1) // b, which must fit a word; b > 0."""
    return word(a + b - 1) // b


@dataclass(slots=True)
class Chain:
    """Time, who holds how much ETH, and what accounts with code do when they are sent something."""

    now: int = 0
    """block.timestamp in seconds."""
    scarce: bool = False
    """The transaction under way has less gas than must be left: for whoever is sent ETH without having asked, or to pay
    exits after a report."""
    ether: dict[Address, int] = field(default_factory=dict)
    """Wei by account."""
    on_ether: dict[Address, Callable[[Address, int, int | None], bool]] = field(default_factory=dict)
    """Accounts whose code runs on ETH: (sender, wei, gas) -> whether they take it. All others take it."""
    on_ticket: dict[Address, Callable[[Address, Address, int], bool]] = field(default_factory=dict)
    """Accounts with code: (operator, owner before, ticket) -> whether they answer as ERC-721 receivers must."""
    on_signature: dict[Address, Callable[[Any, Any], bool]] = field(default_factory=dict)
    """Accounts with code: (message, signature) -> whether they answer that it is theirs (ERC-1271)."""

    def move(self, sender: Address, receiver: Address, amount: int) -> None:
        """Move `amount` wei and run no code."""
        self.ether[sender] -= amount
        self.ether[receiver] = self.ether.get(receiver, 0) + amount

    def send(self, sender: Address, receiver: Address, amount: int, gas: int | None = None) -> bool:
        """Send `amount` wei and let the receiver's code run, with at most `gas` if that is given.

        False when it refused: then nothing moved.
        """
        self.move(sender, receiver, amount)
        react = self.on_ether.get(receiver)
        if react is None or react(sender, amount, gas):
            return True
        self.move(receiver, sender, amount)
        return False
