"""The models of the liquidity room by themselves: what must hold of them whatever anybody does."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe import model
from floe.model import zap as zaps
from floe.model.basics import DAY, ETHER, GWEI, PPM, UNLIMITED, Revert
from floe.model.exit_reserve import ExitReserve, ReserveParameters
from floe.model.gauge import SCALE
from floe.model.pool import Report
from floe.model.stable_pair import Fees, StablePair, cubic, dynamic_fee, invariant, marginal_price, other_side
from tests.protocol import PARAMETERS


def _account(number: int) -> str:
    return f"0x{number:040x}"


ADMIN, ORACLE, REGISTRY = _account(6), _account(7), _account(8)
PROVIDER, TRADER, OUTSIDER = (_account(n) for n in (101, 102, 103))
PEOPLE = (PROVIDER, TRADER, OUTSIDER)
SIDE = 1_000 * ETHER


class Room:
    """The room's models beside those of a pool with a rate of about 1.03, rewards under way; PEOPLE have approved."""

    def __init__(self) -> None:
        accounts = model.Accounts(*(_account(n) for n in range(1, 11)))
        self.protocol = model.Protocol(accounts, model.Parameters(*PARAMETERS), 2**96 // GWEI, GWEI, 1_700_000_000)
        self.chain, self.pool, self.queue = self.protocol.chain, self.protocol.pool, self.protocol.queue
        self.weth = self.protocol.add_weth(_account(20))
        self.reward = self.protocol.add_token(_account(21))
        self.pair = self.protocol.add_stable_pair(_account(22), ADMIN, _account(30), Fees(400, 50_000, 200_000), 20_000)
        self.reserve = self.protocol.add_exit_reserve(
            _account(23), ADMIN, ReserveParameters(500, 20_000, SIDE, False, ETHER // 10)
        )
        self.gauge = self.protocol.add_gauge(_account(24), self.pair.address, ADMIN)
        self.vault = self.protocol.add_weth_vault(_account(25), self.weth)
        self.zap = self.protocol.add_zap(_account(26), self.pair, self.reserve, self.protocol.token, self.weth)
        self.chain.ether |= dict.fromkeys((*PEOPLE, REGISTRY), 10**6 * ETHER)
        for person in PEOPLE:
            self.pool.deposit(person, 10**4 * ETHER, 10**4 * ETHER, person)
            self.weth.deposit(person, 10**4 * ETHER)
            for spender in (self.pair, self.reserve):
                self.pool.approve(person, spender.address, UNLIMITED)
            for address in (self.vault.address, self.zap.address):
                self.weth.approve(person, address, UNLIMITED)
            self.pair.erc20.approve(person, self.gauge.address, UNLIMITED)
            self.queue.set_approval_for_all(person, self.reserve.address, True)
        self.pool.send_to_validators(REGISTRY, self.pool.stakeable())
        self.chain.now += 300 * DAY
        self.report(gain=900 * ETHER + 7)
        self.chain.now += 299 * DAY

    def keep(self) -> None:
        """Make this the state that `fresh` goes back to."""
        self._kept = self.protocol.checkpoint()

    def fresh(self) -> None:
        """Undo everything: each example of a property starts here."""
        self.protocol.restore(self._kept)

    def report(self, gain: int = 0, pending_loss: int = 0) -> None:
        """Report that the validators gained, or lost when negative."""
        pool = self.pool
        numbers = pool.outside + gain, pool.deposited, pool.withdrawn, pool.donated, self.queue.tail()
        pool.report(ORACLE, Report(*numbers, pending_loss, pool.raised_gwei))

    def provide(self) -> None:
        """Let the provider fill pair and reserve."""
        self.pair.add_liquidity(PROVIDER, SIDE, SIDE, 0, PROVIDER)
        self.reserve.deposit(PROVIDER, SIDE, SIDE, PROVIDER)

    def attempt(self, call: Callable[[], Any]) -> Any:
        """Make a call; None when it reverts."""
        try:
            return self.protocol.attempt(call)
        except Revert:
            return None

    def worth(self, account: str) -> int:
        """Wei and floETH at the exit rate."""
        shares = self.pool.balance_of(account)
        return self.chain.ether[account] + shares * self.pool.exit_value() // self.pool.shares


@pytest.fixture(scope="module")
def made() -> Room:
    room = Room()
    room.provide()
    room.chain.now += DAY
    room.keep()
    return room


@pytest.fixture
def room(made: Room) -> Room:
    """Return it as it was made."""
    made.fresh()
    return made


def value_of_liquidity(pair: StablePair) -> Fraction:
    return Fraction(pair.market().free, pair.erc20.supply)


def value_of_share(reserve: ExitReserve) -> Fraction:
    return Fraction(reserve.total_assets(), reserve.erc20.supply)


amounts = st.integers(0, 72).flatmap(lambda bits: st.integers(1, 2**bits))
sides = st.integers(GWEI, 2**96)
amplifications = st.integers(200, 1_000_000)
steps = st.lists(st.tuples(st.integers(0, 5), amounts, st.sampled_from((0, 0, 12, 3_600, DAY))), max_size=25)


# --- the curve ---


@given(amplifications, sides, st.fractions(Fraction(1, 10_000), 10_000))
def test_invariant__any_sides__is_the_root_rounded_down(a: int, x: int, ratio: Fraction):
    y = max(1, int(x * ratio))
    d = invariant(a, x, y)
    wanted = a * (x + y)
    assert 100 * cubic(x, y, d) + (a - 100) * d <= wanted
    assert 100 * cubic(x, y, d + 1) + (a - 100) * (d + 1) > wanted
    # The whitepaper's equation, in fractions: the root lies within two of it.
    for point, sign in ((d - 2, -1), (d + 2, 1)):
        if point > 0:
            assert sign * (Fraction(100 * point**3, 4 * x * y) + (a - 100) * point - wanted) > 0


@given(amplifications, sides, st.fractions(Fraction(1, 10_000), 10_000))
def test_other_side__of_a_balance__gives_the_value_back_and_no_less_would(a: int, x: int, ratio: Fraction):
    y = max(GWEI, int(x * ratio))
    d = invariant(a, x, y)
    found = other_side(a, x, d)
    assert invariant(a, x, found) >= d
    assert found <= y + 2 + max(x, y) // min(x, y)


@given(amplifications, sides)
def test_price__in_balance__is_1(a: int, x: int):
    assert abs(marginal_price(a, x, x, invariant(a, x, x)) - ETHER) <= ETHER // GWEI


@given(st.integers(50, 10_000), st.integers(10_000, 200_000), sides, sides)
def test_dynamic_fee__any_balance__between_the_fee_and_its_multiple(fee: int, off_peg: int, x: int, y: int):
    assert fee <= dynamic_fee(fee, off_peg, x, y) <= -(-fee * off_peg // 10_000)
    assert dynamic_fee(fee, off_peg, x, x) == fee


# --- the pair ---


def act_on_pair(room: Room, what: int, amount: int) -> Any:
    """Let somebody do one of six things with about `amount`."""
    pair, liquidity = room.pair, min(amount, room.pair.erc20.balance_of(PROVIDER))
    calls: tuple[Callable[[], Any], ...] = (
        lambda: pair.buy(TRADER, amount, 0, TRADER),
        lambda: pair.sell(TRADER, amount, 0, TRADER),
        lambda: pair.add_liquidity(PROVIDER, amount, amount // 3, 0, PROVIDER),
        lambda: pair.remove_liquidity(PROVIDER, liquidity, 0, 0, PROVIDER),
        lambda: pair.remove_one(PROVIDER, liquidity, True, 0, PROVIDER),
        lambda: pair.remove_one(PROVIDER, liquidity, False, 0, PROVIDER),
    )
    return room.attempt(calls[what])


@given(steps)
def test_pair__whatever_people_do__liquidity_never_loses_value(made: Room, history: list[tuple[int, int, int]]):
    made.fresh()
    value = value_of_liquidity(made.pair)
    for what, amount, seconds in history:
        act_on_pair(made, what, amount)
        assert value_of_liquidity(made.pair) >= value
        made.chain.now += seconds
        assert value_of_liquidity(made.pair) >= value
        value = value_of_liquidity(made.pair)
        eth, shares = made.pair.admin_fees()
        assert min(eth, shares) >= 0


@given(amounts, st.booleans(), st.integers(0, 1_000))
def test_pair__there_and_back_within_a_block__no_gain(made: Room, amount: int, buys: bool, loss_permille: int):
    made.fresh()
    made.pool.raise_pending_loss(REGISTRY, made.pool.outside * loss_permille // 1_000 // GWEI)
    before = made.worth(TRADER)
    if buys:
        shares = made.attempt(lambda: made.pair.buy(TRADER, amount, 0, TRADER))
        made.attempt(lambda: made.pair.sell(TRADER, shares, 0, TRADER)) if shares else None
    else:
        wei = made.attempt(lambda: made.pair.sell(TRADER, amount, 0, TRADER))
        made.attempt(lambda: made.pair.buy(TRADER, wei, 0, TRADER)) if wei else None
    assert made.worth(TRADER) <= before


@given(amounts, amounts, st.integers(0, 2))
def test_pair__provide_and_leave_a_block_later__no_gain(made: Room, wei: int, shares: int, way: int):
    made.fresh()
    liquidity = made.attempt(lambda: made.pair.add_liquidity(TRADER, wei, shares, 0, TRADER)) or 0
    made.chain.now += 12
    before = made.chain.ether[TRADER], made.pool.balance_of(TRADER)
    if way == 2:
        made.attempt(lambda: made.pair.remove_liquidity(TRADER, liquidity, 0, 0, TRADER))
    else:
        made.attempt(lambda: made.pair.remove_one(TRADER, liquidity, bool(way), 0, TRADER))
    got = made.chain.ether[TRADER] - before[0], made.pool.balance_of(TRADER) - before[1]
    value, supply = made.pool.entry_price()
    assert got[0] * supply + got[1] * value <= wei * supply + shares * value


@given(amounts)
def test_pair__loss_pending__floeth_is_never_paid_more_than_the_exit_price(made: Room, amount: int):
    made.fresh()
    made.pool.raise_pending_loss(REGISTRY, 500 * ETHER // GWEI)
    paid = made.attempt(lambda: made.pair.sell(TRADER, amount, 0, TRADER))
    # A pair in balance or with more floETH pays at most its value.
    assert paid is None or paid * made.pool.shares < amount * made.pool.exit_value()


def test_pair__fee_of_a_trade__reaches_the_value_within_a_day_and_not_before(room: Room):
    pair = room.pair
    value = value_of_liquidity(pair)
    pair.sell(TRADER, 100 * ETHER, 0, TRADER)
    locked = pair.locked()
    assert locked > 0
    assert value_of_liquidity(pair) == value
    before = pair.market().free
    room.chain.now += DAY // 2
    assert pair.locked() == locked - locked // 2
    assert pair.market().free - before >= locked // 2
    room.chain.now += DAY // 2
    assert pair.locked() == 0


def test_pair__new_liquidity__stays_for_a_block_and_older_does_not(room: Room):
    pair = room.pair
    old = pair.erc20.balance_of(PROVIDER)
    new = pair.add_liquidity(TRADER, ETHER, ETHER, 0, PROVIDER)
    for call in (
        lambda: pair.remove_liquidity(PROVIDER, old + 1, 0, 0, PROVIDER),
        lambda: pair.remove_one(PROVIDER, old + 1, True, 0, PROVIDER),
        lambda: pair.transfer(PROVIDER, TRADER, old + 1),
        lambda: room.gauge.stake(PROVIDER, old + 1, PROVIDER),
    ):
        with pytest.raises(Revert, match="pair: fresh liquidity"):
            room.protocol.attempt(call)
    assert pair.transfer(PROVIDER, TRADER, old)
    room.chain.now += 12
    assert pair.transfer(PROVIDER, TRADER, new)


def test_pair__amplification_on_a_ramp__moves_in_a_straight_line(room: Room):
    start = room.chain.now
    room.pair.ramp(ADMIN, 40_000, start + 2 * DAY)
    seen = []
    for _ in range(4):
        seen.append(room.pair.amplification())
        room.chain.now += DAY
    assert seen == [20_000, 30_000, 40_000, 40_000]


# --- the reserve ---


def act_on_reserve(room: Room, what: int, amount: int) -> Any:
    """Let somebody do one of six things with about `amount`."""
    reserve = room.reserve
    own = min(amount, reserve.erc20.balance_of(PROVIDER))
    calls: tuple[Callable[[], Any], ...] = (
        lambda: reserve.sell(TRADER, amount, 0, TRADER),
        lambda: reserve.deposit(PROVIDER, amount, amount, PROVIDER),
        lambda: reserve.redeem(PROVIDER, own, PROVIDER, PROVIDER),
        lambda: reserve.stake(OUTSIDER, amount, OUTSIDER),
        lambda: reserve.queue_exits(OUTSIDER),
        lambda: (room.pool.fulfil(), reserve.claim(OUTSIDER, 0)),
    )
    answer = room.attempt(calls[what])
    if what == 4:
        room.report()
    return answer


@given(steps)
def test_reserve__whatever_people_do__shares_never_lose_value(made: Room, history: list[tuple[int, int, int]]):
    made.fresh()
    reserve, value = made.reserve, value_of_share(made.reserve)
    for what, amount, seconds in history:
        act_on_reserve(made, what, amount)
        # A fulfilment rounds down twice for each open ticket.
        slack = Fraction(2 * len(reserve.tickets) + 2, reserve.erc20.supply) if what > 3 else 0
        assert value_of_share(reserve) >= value - slack
        assert reserve.books.cash <= made.chain.ether[reserve.address]
        assert reserve.books.held <= made.pool.balance_of(reserve.address)
        assert reserve.books.queued == sum(end - start for _, start, end in reserve.tickets)
        made.chain.now += seconds
        value = value_of_share(reserve)


@given(amounts, st.booleans())
def test_reserve__provide_and_leave__no_gain(made: Room, amount: int, sells: bool):
    made.fresh()
    before = made.worth(TRADER)
    shares = made.attempt(lambda: made.reserve.deposit(TRADER, amount, amount, TRADER)) or 0
    if sells:
        made.attempt(lambda: made.reserve.sell(TRADER, amount // 2, 0, TRADER))
    made.attempt(lambda: made.reserve.redeem(TRADER, shares, TRADER, TRADER))
    if made.reserve.erc20.balance_of(TRADER) == 0:
        assert made.worth(TRADER) <= before


@given(amounts)
def test_reserve__any_sale__pays_less_than_the_exit_value_and_as_previewed(made: Room, amount: int):
    made.fresh()
    preview = made.attempt(lambda: made.reserve.preview_sell(amount))
    paid = made.attempt(lambda: made.reserve.sell(TRADER, amount, 0, TRADER))
    assert paid == preview
    assert paid is None or paid * made.pool.shares < amount * made.pool.exit_value()


def test_reserve__in_doubt__every_sale_pays_the_highest_fee(room: Room):
    cheap = room.reserve.preview_sell(ETHER)
    room.report()
    room.pool.raise_pending_loss(REGISTRY, 1)
    gross = ETHER * room.pool.exit_rate() // ETHER
    assert room.reserve.preview_sell(ETHER) == gross - -(-gross * 20_000 // PPM) < cheap
    with pytest.raises(Revert, match="reserve: loss pending"):
        room.reserve.deposit(PROVIDER, ETHER, ETHER, PROVIDER)


def test_reserve__ticket_half_filled__claims_for_the_seller_and_buys_the_rest(room: Room):
    ticket = room.queue.request(TRADER, 10 * ETHER, TRADER)
    room.report()
    room.pool.fulfil(5 * ETHER)
    claimable, pending = room.queue.claimable(ticket), room.queue.pending(ticket)
    assert min(claimable, pending) > 0
    before = room.chain.ether[TRADER]
    paid = room.reserve.sell_ticket(TRADER, ticket, 0, TRADER)
    assert room.chain.ether[TRADER] - before == paid
    gross = pending * room.pool.exit_rate() // ETHER
    assert claimable < paid < claimable + gross
    assert room.queue.owners[ticket] == room.reserve.address
    assert room.reserve.books.queued == pending


# --- the gauge ---


def act_on_gauge(room: Room, what: int, person: str, amount: int) -> Any:
    """Let somebody do one of six things with about `amount`."""
    gauge, token = room.gauge, room.reward.address
    calls: tuple[Callable[[], Any], ...] = (
        lambda: gauge.stake(person, amount, person),
        lambda: gauge.withdraw(person, min(amount, gauge.staked.get(person, 0)), person),
        lambda: gauge.emergency_exit(person),
        lambda: gauge.claim(OUTSIDER, person, token),
        lambda: gauge.claim_all(OUTSIDER, person),
        lambda: gauge.notify(ADMIN, token, amount),
    )
    return calls[what]()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), amounts, st.integers(0, 3 * DAY)), max_size=30))
def test_gauge__whatever_people_do__every_scaled_wei_is_accounted_for(made: Room, history: list[tuple[int, ...]]):
    made.fresh()
    gauge, token = made.gauge, made.reward
    made.pair.erc20.mint(TRADER, 2**73)
    made.pair.erc20.mint(OUTSIDER, 2**73)
    token.mint(ADMIN, 2**90)
    token.approve(ADMIN, gauge.address, UNLIMITED)
    gauge.add_reward(ADMIN, token.address, ADMIN, DAY)
    for what, who, amount, seconds in history:
        made.attempt(partial(act_on_gauge, made, what, PEOPLE[who], amount))
        made.chain.now += seconds
        assert gauge.unexplained(token.address) == 0
        assert sum(gauge.staked.values()) == gauge.total_staked
        assert token.balance_of(gauge.address) * SCALE >= sum(
            gauge.earned(person, token.address) * SCALE for person in PEOPLE
        )


def test_gauge__stake_for_no_time__earns_nothing(room: Room):
    gauge, token = room.gauge, room.reward
    token.mint(ADMIN, 10**24)
    token.approve(ADMIN, gauge.address, UNLIMITED)
    gauge.add_reward(ADMIN, token.address, ADMIN, DAY)
    gauge.stake(PROVIDER, ETHER, PROVIDER)
    room.pair.transfer(PROVIDER, TRADER, ETHER)
    gauge.stake(TRADER, ETHER, TRADER)
    gauge.notify(ADMIN, token.address, 10**18)
    gauge.withdraw(TRADER, ETHER, TRADER)
    room.chain.now += DAY
    assert gauge.claim(TRADER, TRADER, token.address) == 0
    assert gauge.claim(TRADER, PROVIDER, token.address) == 10**18


# --- the adapters ---


@given(amounts, amounts)
def test_weth_vault__in_and_out__each_share_is_one_of_the_pool(made: Room, assets: int, shares: int):
    made.fresh()
    vault = made.vault
    made.attempt(lambda: vault.deposit(TRADER, assets, TRADER))
    made.attempt(lambda: vault.mint(TRADER, shares, TRADER))
    ticket = made.attempt(lambda: vault.request_exit(TRADER, shares, OUTSIDER, TRADER))
    made.attempt(lambda: vault.redeem(TRADER, assets // 2, TRADER, TRADER))
    assert vault.erc20.supply == made.pool.balance_of(vault.address)
    if ticket:
        made.report()
        made.pool.fulfil()
        before = made.weth.balance_of(OUTSIDER)
        paid = vault.claim(PROVIDER, ticket)
        assert made.weth.balance_of(OUTSIDER) - before == paid > 0
    assert made.chain.ether[vault.address] == made.weth.balance_of(vault.address) == 0


@given(amounts, amounts, st.sampled_from((zaps.FLOETH, zaps.RFLOETH, zaps.LIQUIDITY)))
def test_zap__into_anything__leaves_nothing_behind(made: Room, value: int, weth: int, into: int):
    made.fresh()
    got = made.attempt(lambda: made.zap.zap(TRADER, value, into, weth, 0, OUTSIDER))
    address = made.zap.address
    assert made.chain.ether[address] == made.pool.balance_of(address) == made.weth.balance_of(address) == 0
    if got is not None and into == zaps.LIQUIDITY:
        assert got == made.pair.erc20.balance_of(OUTSIDER)
