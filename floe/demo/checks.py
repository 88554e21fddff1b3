"""What the books at the end of the demo are made of: equations, and sums over events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from floe.report.events import Event


@dataclass(frozen=True)
class Check:
    """One equation: `left` and `right` must be the same number."""

    text: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether it is true."""
        return self.left == self.right


def named(log: list[Event], contract: str, name: str, **wanted: Any) -> list[Event]:
    """Return the events of a name whose arguments are as wanted."""
    return [
        item
        for item in log
        if (item.contract, item.name) == (contract, name)
        and all(item.arguments[key] == value for key, value in wanted.items())
    ]


def total(log: list[Event], contract: str, name: str, amount: str, **wanted: Any) -> int:
    """Return the sum of one argument of such events."""
    return sum(item.arguments[amount] for item in named(log, contract, name, **wanted))
