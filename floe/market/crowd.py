"""Many who leave together: each piece goes where it brings most, until waiting costs less than selling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from floe.market.search import largest
from floe.market.ways import ppm

PIECES = 200
"""Into which a crowd is cut."""


@dataclass(frozen=True)
class Offer:
    """A way out that pays at once. Both functions take shares and give wei."""

    name: str
    preview: Callable[[int], int | None]
    """What it would pay; None when it refuses so much."""
    sell: Callable[[int], int]
    """Sell so much, which changes what it offers next."""


@dataclass(frozen=True)
class Sale:
    """A piece that was sold."""

    name: str
    shares: int
    ether: int
    cost_ppm: int
    """What it cost against the redemption value, rounded up; signed."""


@dataclass(frozen=True)
class Departure:
    """A crowd that has left."""

    asked: int
    """Shares that should leave."""
    sales: list[Sale] = field(default_factory=list)
    """In their order."""

    @property
    def sold(self) -> int:
        """Shares that were sold at once."""
        return sum(sale.shares for sale in self.sales)

    @property
    def waiting(self) -> int:
        """Shares that wait in the queue instead."""
        return self.asked - self.sold

    def through(self, name: str) -> tuple[int, int]:
        """Return the shares that went one way, and the wei they brought."""
        mine = [sale for sale in self.sales if sale.name == name]
        return sum(sale.shares for sale in mine), sum(sale.ether for sale in mine)


def leave(
    asked: int,
    offers: Sequence[Offer],
    worth: Callable[[int], int],
    patience_ppm: int,
    pieces: int = PIECES,
) -> Departure:
    """Sell `asked` shares piece by piece, each where it brings most.

    `worth` gives the redemption value of shares in wei. Whoever would lose more than `patience_ppm` of it waits in the
    queue. An offer that refuses a piece takes as much of it as it can and is not asked again.
    """
    departure = Departure(asked)
    open_offers = list(offers)
    piece = max(asked // pieces, 1)
    while open_offers and departure.waiting:
        wanted = min(piece, departure.waiting)
        found = [_proposal(offer, wanted, worth) for offer in open_offers]
        sizes, costs = [size for size, _ in found], [cost for _, cost in found]
        cheapest = min(range(len(found)), key=lambda i: (sizes[i] == 0, costs[i]))
        offer, size, cost = open_offers[cheapest], sizes[cheapest], costs[cheapest]
        if size == 0 or cost > patience_ppm:
            break
        departure.sales.append(Sale(offer.name, size, offer.sell(size), cost))
        if size < wanted:
            open_offers.remove(offer)
    return departure


def _proposal(offer: Offer, wanted: int, worth: Callable[[int], int]) -> tuple[int, int]:
    """How much of a piece an offer takes, and what that costs in ppm."""
    size = largest(lambda shares: offer.preview(shares) is not None, wanted, max(wanted // 1_000, 1))
    paid = offer.preview(size) if size else None
    if paid is None:
        return 0, 0
    return size, ppm(worth(size) - paid, worth(size))
