"""Ways out compared, the largest amount that fits, and a crowd that leaves: worked numbers."""

from __future__ import annotations

import pytest

from floe.market.crowd import Offer, leave
from floe.market.search import largest
from floe.market.ways import INSTANT, PAIR, QUEUE, RESERVE, Way, best, fitting, ppm, value

ETHER = 10**18


def way(name: str, ether: int, shares: int = 10, worth: int = 1_000_000) -> Way:
    return Way(name, asked=10, shares=shares, ether=ether, value=worth)


# --- one amount ---


def test_cost__less_than_the_value__rounded_up():
    paid = Way(PAIR, 10 * ETHER, 10 * ETHER, ether=9_995 * ETHER // 1_000 - 1, value=10 * ETHER)
    assert (paid.cost, paid.cost_ppm) == (5 * ETHER // 1_000 + 1, 501)


def test_cost__more_than_the_value__below_zero():
    assert way(PAIR, 1_000_100).cost_ppm == -100
    assert Way(PAIR, 1, 1, ether=3_000_001, value=3_000_000).cost_ppm == 0  # a third of a millionth: up, to nothing


def test_ppm__no_whole__zero():
    assert ppm(0, 0) == 0
    assert way(RESERVE, 0, shares=0, worth=0).cost_ppm == 0


@pytest.mark.parametrize(
    ("ways", "name"),
    [
        ([way(QUEUE, 1_000_000), way(INSTANT, 999_000), way(PAIR, 999_001)], PAIR),  # the queue does not pay at once
        ([way(INSTANT, 999_000), way(RESERVE, 999_000)], INSTANT),  # the same: the first
        ([way(RESERVE, 999_999, shares=9), way(PAIR, 900_000)], PAIR),  # all of it comes before more ETH for a part
        ([way(RESERVE, 500, shares=9), way(PAIR, 400, shares=8)], RESERVE),
    ],
)
def test_best__most_at_once(ways, name):
    found = best(ways)
    assert found is not None
    assert found.name == name


def test_best__all_closed__none():
    assert best([way(QUEUE, 1_000_000), way(PAIR, 0, shares=0, worth=0)]) is None


@pytest.mark.parametrize(
    ("exit_value", "supply"), [(ETHER, ETHER), (1_073_100_000_000_000_007, ETHER), (3, ETHER), (10**27 + 1, 7 * 10**26)]
)
@pytest.mark.parametrize("limit", [0, 1, 999, 10**18, 123_456_789_012_345_678_901])
def test_fitting__limit__the_next_share_is_too_much(exit_value, supply, limit):
    most = fitting(limit, exit_value, supply)
    assert value(most, exit_value, supply) <= limit < value(most + 1, exit_value, supply)


def test_fitting__shares_without_value__nothing():
    assert fitting(10**18, 0, 10**18) == 0


# --- search ---


@pytest.mark.parametrize("edge", [0, 1, 2, 6, 7, 99, 100])
def test_largest__edge__found(edge):
    assert largest(lambda amount: amount <= edge, 100) == edge


def test_largest__grain__within_it_and_never_above():
    asked: list[int] = []

    def fits(amount: int) -> bool:
        asked.append(amount)
        return amount <= 777_777

    found = largest(fits, 10**6, 1_000)
    assert 776_777 < found <= 777_777
    assert len(asked) <= 12
    assert largest(lambda _: True, 0) == 0


# --- a crowd ---


class Curve:
    """An offer that takes `room` shares; each costs one ppm more than the one before it, from `start` on."""

    def __init__(self, name: str, start: int, room: int) -> None:
        self.start, self.room = start, room
        self.offer = Offer(name, self.preview, self.sell)

    def preview(self, shares: int) -> int | None:
        """Say what it would pay."""
        if shares > self.room:
            return None
        return shares * (2_000_000 - 2 * self.start - shares)  # worth 2,000,000 each

    def sell(self, shares: int) -> int:
        """Pay, and become dearer."""
        paid = self.preview(shares)
        assert paid is not None
        self.start, self.room = self.start + shares, self.room - shares
        return paid


def worth(shares: int) -> int:
    return shares * 2_000_000


def test_leave__two_curves__cheapest_first_until_patience_ends():
    # The second becomes cheaper after 100 of the first; then they rise together, up to 250 each.
    departure = leave(1_000, [Curve("a", 0, 10**6).offer, Curve("b", 100, 10**6).offer], worth, 250, pieces=1_000)
    assert (departure.through("a")[0], departure.through("b")[0]) == (250, 150)
    assert departure.waiting == 600
    assert [sale.name for sale in departure.sales[:100]] == ["a"] * 100
    costs = [sale.cost_ppm for sale in departure.sales]
    assert costs == sorted(costs)
    assert costs[-1] == 250
    assert departure.through("a")[1] == sum(2_000_000 - 2 * cost - 1 for cost in range(250))


def test_leave__no_room__the_rest_of_a_piece_and_then_the_next_way():
    departure = leave(100, [Curve("a", 0, 13).offer, Curve("b", 500, 20).offer], worth, 10_000, pieces=10)
    assert [(sale.name, sale.shares) for sale in departure.sales] == [("a", 10), ("a", 3), ("b", 10), ("b", 10)]
    assert (departure.sold, departure.waiting) == (33, 67)


def test_leave__fewer_shares_than_pieces__one_by_one():
    departure = leave(3, [Curve("a", 0, 10).offer], worth, 10_000)
    assert [sale.shares for sale in departure.sales] == [1, 1, 1]
    assert departure.waiting == 0


@pytest.mark.parametrize("offers", [[], [Curve("a", 0, 0).offer], [Curve("a", 10_001, 50).offer]])
def test_leave__nothing_offered_or_too_dear__all_wait(offers):
    departure = leave(100, offers, worth, 10_000)
    assert (departure.sales, departure.waiting) == ([], 100)
