"""The model in the state of a chain: it answers what the original would, and says what a crowd and depth cost."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from floe.market.live import CROWD, Live, PairState, PoolState, ReserveState, State
from floe.market.ways import INSTANT, PAIR, RESERVE
from floe.model import Accounts, Parameters, Protocol, Report, Revert
from floe.model.basics import DAY, ETHER, GWEI, PPM, UNLIMITED
from floe.model.exit_reserve import Books, ExitReserve, ReserveParameters
from floe.model.stable_pair import Fees, StablePair

ACCOUNTS = Accounts(*(f"0x{i:040x}" for i in range(1, 11)))
PAIR_AT, RESERVE_AT, STAKER, RECEIVER = (f"0x{i:040x}" for i in range(90, 94))
NOW = 1_000_000
PARAMETERS = Parameters(
    fee_bps=1_000,
    rise_bps=1_000,
    target_bps=1_000,
    allowance_bps=500,
    instant_fee_min=1_000,
    instant_fee_max=30_000,
    period=DAY,
    stale_after=4 * DAY,
)
RESERVE_PARAMETERS = ReserveParameters(500, 20_000, 50 * ETHER, of_value=False, min_ticket=ETHER // 10)
FEES = Fees(fee=400, off_peg=50_000, admin_ppm=200_000)


class World(NamedTuple):
    """What is read."""

    made: Protocol
    pair: StablePair
    reserve: ExitReserve


def world(pending_loss: int = 0) -> World:
    """Build a market at an odd rate: 1,000 floETH and a bit, 900 ETH outside, a pair of 100 ETH, a reserve of 40."""
    made = Protocol(ACCOUNTS, PARAMETERS, 2**96 // GWEI, GWEI, NOW)
    chain, pool = made.chain, made.pool
    chain.ether |= {STAKER: 10_000 * ETHER, ACCOUNTS.registry: 0}
    pool.deposit(STAKER, 1_000 * ETHER, 1_000 * ETHER, STAKER)
    pool.send_to_validators(ACCOUNTS.registry, 900 * ETHER)
    reserve = made.add_exit_reserve(RESERVE_AT, ACCOUNTS.admin, RESERVE_PARAMETERS)
    reserve.deposit(STAKER, 45 * ETHER, 45 * ETHER, STAKER)
    chain.now += DAY  # now all of it makes sales cheaper
    moved = pool.deposited, pool.withdrawn, pool.donated, made.queue.tail()
    pool.report(ACCOUNTS.oracle, Report(pool.outside + ETHER // 7, *moved, pending_loss, pool.raised_gwei))
    made.queue.request(STAKER, 7 * ETHER, STAKER)
    chain.now += DAY // 3
    pair = made.add_stable_pair(PAIR_AT, ACCOUNTS.admin, ACCOUNTS.fee_recipient, FEES, 20_000)
    for spender in (PAIR_AT, RESERVE_AT):
        pool.approve(STAKER, spender, UNLIMITED)
    pair.add_liquidity(STAKER, 100 * ETHER, 90 * ETHER, 0, STAKER)
    pair.sell(STAKER, 8 * ETHER, 0, STAKER)
    reserve.sell(STAKER, 5 * ETHER, 0, STAKER)
    chain.now += DAY // 5
    return World(made, pair, reserve)


def read(there: World) -> Live:
    """Read a world as the command line reads a chain."""
    made, pair, reserve = there
    queue, supply = made.queue, pair.erc20.supply
    state = State(
        PoolState(made.chain.now, made.pool.words(), queue.tail(), queue.filled(), queue.filled_ether[-1]),
        PairState(pair.eth, pair.floeth, pair.locked(), supply, pair.amplification(), pair.fees) if supply else None,
        ReserveState(reserve.read(), reserve.parameters),
    )
    return Live(state)


@pytest.mark.parametrize("pending_loss", [0, 11 * ETHER + 1])
def test_live__same_state__same_answers_to_the_wei(pending_loss):
    made, pair, reserve = there = world(pending_loss)
    live = read(there)
    assert live.pair is not None
    assert live.pool.words() == made.pool.words()
    assert (live.pool.entry_rate(), live.pool.exit_rate()) == (made.pool.entry_rate(), made.pool.exit_rate())
    assert live.pair.price() == pair.price()
    for shares in (10**9, ETHER, 20 * ETHER):
        assert live.pair.preview_sell(shares) == pair.preview_sell(shares)
        assert live.pair.preview_buy(shares) == pair.preview_buy(shares)
        assert live.pair.preview_add(shares, 0) == pair.preview_add(shares, 0)
        assert live.pair.preview_remove_one(shares, True) == pair.preview_remove_one(shares, True)
        assert live.pool.preview_redeem(shares) == made.pool.preview_redeem(shares)
        assert live.reserve.preview_sell(shares) == reserve.preview_sell(shares)


def test_live__a_sale__the_same_state_afterwards():
    _, pair, reserve = there = world()
    live = read(there)
    assert live.pair is not None
    for contract in (live.pair, live.reserve):
        contract.sell(CROWD, 5 * ETHER, 0, CROWD)
    for contract in (pair, reserve):
        contract.sell(STAKER, 5 * ETHER, 0, STAKER)
    assert (live.pair.eth, live.pair.floeth, live.pair.price()) == (pair.eth, pair.floeth, pair.price())
    assert live.reserve.books == reserve.books


def test_live__words_that_no_pool_has__refused():
    words = world().made.pool.words()
    wrong = PoolState(NOW, (words[0] | 1 << 250, *words[1:]), 0, 0, 0)
    with pytest.raises(ValueError, match="not the state of a pool"):
        Live(State(wrong, None, ReserveState(Books(), RESERVE_PARAMETERS)))


def test_trial__refused_or_not__nothing_changes():
    live = read(world())
    assert live.pair is not None
    before = live.protocol.checkpoint()
    assert live.trial(lambda: live.reserve.sell(CROWD, 10**6 * ETHER, 0, CROWD)) is None
    paid = live.trial(lambda: live.reserve.sell(CROWD, ETHER, 0, CROWD))
    assert paid == live.reserve.preview_sell(ETHER)
    assert live.protocol.checkpoint() == before
    with pytest.raises(ZeroDivisionError):
        live.trial(lambda: 1 // 0)


# --- what is accepted ---


def test_later__rewards_stream_in__what_is_bought_becomes_dearer():
    live = read(world())
    pair = live.pair
    assert pair is not None
    assert live.pool.locked() > 0
    bought = pair.preview_buy(ETHER)
    least = live.later(lambda: pair.preview_buy(ETHER))
    assert least < bought
    assert bought - least < bought // 10**5  # ten minutes of a seventh of an ETH a day on a thousand
    sold = pair.preview_sell(ETHER)
    assert live.later(lambda: pair.preview_sell(ETHER)) == sold  # worth more later
    assert live.pool.chain.now == NOW + DAY + DAY // 3 + DAY // 5
    assert live.later(lambda: pair.preview_sell(0)) == 0  # refused


# --- prices and depth ---


def test_price__in_eth_per_share__the_pairs_times_the_entry_rate():
    live = read(world())
    assert live.pair is not None
    assert live.pair.price() < ETHER  # more floETH has come in than ETH
    price = live.price()
    assert price is not None
    assert price == pytest.approx(live.pair.price() * live.pool.entry_rate() / ETHER, rel=1e-15)


def test_depth__one_percent__the_next_grain_is_too_much():
    live = read(world())
    price, depth = live.price(), live.depth(10_000)
    assert price is not None
    assert depth is not None
    assert live.pair is not None
    (sold, brings), (paid, buys) = depth
    low, high = price * 99 // 100, price * 101 // 100
    assert (live.price_after_sale(sold) or 0) >= low > (live.price_after_sale(sold + GWEI) or 0)
    assert (live.price_after_purchase(paid) or 0) <= high < (live.price_after_purchase(paid + GWEI) or 0)
    # On a curve of A = 200 a pair of some 190 ETH is deep: most of the ETH leaves before the price has fallen by 1 %.
    assert 0.5 * live.pair.eth < brings < live.pair.eth
    assert sold * live.pool.entry_rate() // ETHER > brings
    assert 0.5 * live.pair.floeth < buys < live.pair.floeth
    assert (brings, buys) == (live.pair.preview_sell(sold), live.pair.preview_buy(paid))


def test_depth__smaller_step__less():
    live = read(world())
    one, tenth = live.depth(10_000), live.depth(1_000)
    assert one is not None
    assert tenth is not None
    assert tenth[0][0] < one[0][0]
    assert tenth[1][0] < one[1][0]


def test_pair__nobody_provides__no_price_and_no_offer():
    made = Protocol(ACCOUNTS, PARAMETERS, 2**96 // GWEI, GWEI, NOW)
    pair = made.add_stable_pair(PAIR_AT, ACCOUNTS.admin, ACCOUNTS.fee_recipient, FEES, 20_000)
    live = read(World(made, pair, made.add_exit_reserve(RESERVE_AT, ACCOUNTS.admin, RESERVE_PARAMETERS)))
    assert (live.price(), live.depth(10_000), live.bought(ETHER)) == (None, None, None)
    assert [offer.name for offer in live.offers()] == [INSTANT, RESERVE]


def test_pool__worth_nothing__no_price_and_all_wait():
    there = world()
    pool = there.made.pool
    pool.assets = pool.outside = pool.locked_at_start = 0
    live = read(there)
    assert (live.pool.entry_value(), live.worth(ETHER)) == (0, 0)
    assert (live.price(), live.depth(10_000)) == (None, None)
    departure = live.leave(ETHER, PPM)
    assert (departure.sales, departure.waiting) == ([], ETHER)


# --- a crowd ---


def test_leave__calm__cheapest_first_and_the_rest_waits():
    live = read(world())
    allowance, cash = live.pool.instant_allowance, live.reserve.books.cash
    departure = live.leave(300 * ETHER, 10_000)
    assert {sale.name for sale in departure.sales} == {INSTANT, RESERVE, PAIR}
    assert all(sale.cost_ppm <= 10_000 for sale in departure.sales)
    assert departure.waiting + sum(sale.shares for sale in departure.sales) == 300 * ETHER
    costs = [sale.cost_ppm for sale in departure.sales]
    assert (
        max(later - earlier for earlier, later in zip(costs[1:], costs, strict=False)) <= 50
    )  # they rise, but for grain
    # What they were paid is what left: out of the buffer, the cash and the pair's ETH.
    assert departure.through(INSTANT)[1] <= allowance
    assert departure.through(RESERVE)[1] == cash - live.reserve.books.cash
    assert live.reserve.books.held == departure.through(RESERVE)[0] + 5 * ETHER
    assert live.pair is not None
    price = live.price()
    assert price is not None
    # Nobody sells who would lose more than 1 %, so the price ends about there: fee and grain aside.
    assert 0.985 * live.pool.exit_rate() < price < live.pool.exit_rate()


def test_leave__more_patience__less_is_sold():
    sold = [read(world()).leave(300 * ETHER, patience).sold for patience in (100, 1_500, 10_000, PPM)]
    assert sold == sorted(sold)
    assert sold[0] < sold[-1]


def test_leave__loss_pending__no_instant_exit_and_nobody_sells_it_to_the_pair():
    live = read(world(pending_loss=45 * ETHER))
    assert live.pool.exit_rate() < live.pool.entry_rate()
    departure = live.leave(100 * ETHER, 10_000)
    assert departure.through(INSTANT) == (0, 0)
    shares, paid = departure.through(PAIR)
    assert shares > 0
    # The pair takes floETH at the exit price, a twentieth below the entry price: the sellers bear the loss.
    assert paid <= live.worth(shares) + live.worth(shares) // 1_000


def test_offer__more_than_it_has__refused():
    live = read(world())
    with pytest.raises(Revert, match="reserve: too little ETH"):
        live.offers()[1].sell(10**6 * ETHER)
