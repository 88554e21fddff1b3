"""The largest amount that something still holds for."""

from __future__ import annotations

from collections.abc import Callable


def largest(fits: Callable[[int], bool], most: int, grain: int = 1) -> int:
    """Return the largest amount up to `most` that fits, to within `grain`; 0 where nothing does.

    What fits must fit in smaller amounts, too. Asks about log2(most / grain) times; `grain` > 0.
    """
    if most <= 0:
        return 0
    if fits(most):
        return most
    low, high = 0, most  # low fits, high does not
    while high - low > grain:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
