"""The ways out, compared for one amount of floETH. Wei, shares of 18 decimals, costs in parts per million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PPM = 1_000_000
QUEUE, INSTANT, RESERVE, PAIR = "queue", "instant", "reserve", "pair"
NAMES = (QUEUE, INSTANT, RESERVE, PAIR)
"""Of the ways out, the slow one first."""


@dataclass(frozen=True)
class Way:
    """What one way out does for an amount."""

    name: str
    asked: int
    """Shares that should leave."""
    shares: int
    """Of these, how many this way takes now."""
    ether: int
    """Wei that it pays for them."""
    value: int
    """Wei that they are worth to who leaves (rounded down)."""
    why: str | None = None
    """Why it does not take all; None when it does."""

    @property
    def at_once(self) -> bool:
        """Whether it pays in the same transaction."""
        return self.name != QUEUE

    @property
    def whole(self) -> bool:
        """Whether it takes all that should leave."""
        return self.shares == self.asked

    @property
    def cost(self) -> int:
        """Wei that are missing to the redemption value; signed, below 0 when it pays more."""
        return self.value - self.ether

    @property
    def cost_ppm(self) -> int:
        """The cost as a part of the value (rounded up, signed); 0 where nothing leaves."""
        return ppm(self.cost, self.value)


def ppm(part: int, whole: int) -> int:
    """Return a signed part of a whole in parts per million, rounded up; 0 when there is no whole."""
    return -(-part * PPM // whole) if whole else 0


def value(shares: int, exit_value: int, supply: int) -> int:
    """Return the wei that shares are worth, of `exit_value` wei for all `supply` shares (rounded down)."""
    return shares * exit_value // supply


def fitting(limit: int, exit_value: int, supply: int) -> int:
    """Return the most shares that are worth at most `limit` wei; 0 where they are worth nothing."""
    return ((limit + 1) * supply - 1) // exit_value if exit_value else 0


def best(ways: Sequence[Way]) -> Way | None:
    """Return the way that pays most ETH at once; ones that take all come first. None when all are closed.

    Of two that pay the same, the first.
    """
    open_ways = [way for way in ways if way.at_once and way.ether > 0]
    return max(open_ways, key=lambda way: (way.whole, way.ether), default=None)
