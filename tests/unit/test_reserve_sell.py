"""ExitReserve: what a sale of floETH pays, on both curves, in doubt, and beside ETH that has just come."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, DEPLOYER, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import FULFIL, GUARDIAN, OUTSIDER, RECEIVER, SAVER, STAKER, Protocol
from tests.reserve import PARAMETERS, PPM, Parameters, Reserve, price_at

MISSING_ROLE = "access_control: account is missing role"


@pytest.fixture
def world(protocol: Protocol) -> Reserve:
    return Reserve(protocol)


@pytest.fixture
def reserve(world: Reserve) -> Contract:
    return world.contract


# --- deployment and parameters ---


def test_reserve__deployed__knows_its_pool_and_parameters(protocol: Protocol):
    world = Reserve(protocol, cash=0)
    reserve = world.contract
    assert reserve.pool() == protocol.pool.address
    assert reserve.parameters() == PARAMETERS
    assert (reserve.name(), reserve.symbol(), reserve.decimals()) == ("Floe exit reserve", "flRES", 18)
    assert reserve.asset() == "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
    assert reserve.hasRole(reserve.DEFAULT_ADMIN_ROLE(), protocol.admin)
    assert not reserve.hasRole(reserve.DEFAULT_ADMIN_ROLE(), DEPLOYER)
    numbers = [reserve.cash(), reserve.fresh(), reserve.held(), reserve.queued(), reserve.locked()]
    assert [*numbers, reserve.totalSupply(), reserve.totalAssets()] == [0] * 7
    assert reserve.open_tickets() == []
    world.check()


BAD_PARAMETERS: list[dict[str, Any]] = [
    {"fee_min": 501, "fee_max": 500},
    {"fee_max": 100_001},
    {"target": 2**96},
    {"min_ticket": 10**15 - 1},
    {"min_ticket": 32 * ETHER + 1},
]
EXTREMES = [
    Parameters(0, 0, 0, False, 10**15),
    Parameters(100_000, 100_000, 2**96 - 1, True, 32 * ETHER),
    Parameters(0, 100_000, 0, True, 10**15),
]


@pytest.mark.parametrize("changes", BAD_PARAMETERS, ids=str)
def test_parameters__out_of_bounds__reverts(world: Reserve, protocol: Protocol, changes: dict[str, Any]):
    bad = PARAMETERS._replace(**changes)
    with reverts("parameter: out of bounds"):
        world.contract.set_parameters(bad, sender=protocol.admin)
    with reverts("parameter: out of bounds"):
        world.evm.deploy("ExitReserve", protocol.pool, protocol.admin, bad)
    assert world.contract.parameters() == PARAMETERS


@pytest.mark.parametrize("parameters", EXTREMES)
def test_parameters__at_the_bounds__are_kept_apart(world: Reserve, protocol: Protocol, parameters: Parameters):
    world.contract.set_parameters(parameters, sender=protocol.admin)
    (event,) = world.evm.events(world.contract, "ParametersSet")
    assert event.fields["parameters"] == parameters
    assert world.contract.parameters() == parameters


def test_set_parameters__not_the_admin__reverts(reserve: Contract):
    with reverts(MISSING_ROLE):
        reserve.set_parameters(PARAMETERS, sender=OUTSIDER)


def test_reserve__admin_without_code__reverts(protocol: Protocol):
    with reverts("admin: not a contract"):
        protocol.evm.deploy("ExitReserve", protocol.pool, OUTSIDER, PARAMETERS)


def test_plain_ether__from_anybody__reverts(reserve: Contract):
    with reverts("ether: not like this"):
        reserve.receive(sender=OUTSIDER, value=1)


# --- a sale ---


def test_sell__some_shares__pays_their_value_less_the_fee(world: Reserve, reserve: Contract, evm: Evm):
    shares, ether, before = world.pool.balanceOf(STAKER), evm.balance(STAKER), reserve.totalAssets()
    gross, preview = world.gross(3 * ETHER), reserve.preview_sell(3 * ETHER)
    world.check_fee(gross, preview)
    assert reserve.sell(3 * ETHER, preview, sender=STAKER) == preview
    (event,) = evm.events(reserve, "Sold")
    assert event.fields == {
        "seller": STAKER,
        "receiver": STAKER,
        "shares": 3 * ETHER,
        "assets": preview,
        "fee": gross - preview,
    }
    assert (evm.balance(STAKER) - ether, shares - world.pool.balanceOf(STAKER)) == (preview, 3 * ETHER)
    assert (reserve.cash(), reserve.held(), reserve.locked()) == (100 * ETHER - preview, 3 * ETHER, gross - preview)
    assert before <= reserve.totalAssets() <= before + 1
    world.check()


def test_sell__for_another_receiver__pays_it(world: Reserve, reserve: Contract, evm: Evm):
    paid = reserve.sell(ETHER, 0, RECEIVER, sender=STAKER)
    assert evm.balance(RECEIVER) == paid > 0
    world.check()


def test_sell__each_reason__reverts(world: Reserve, reserve: Contract, protocol: Protocol):
    for receiver in (ZERO, reserve, world.pool):
        with reverts("receiver: refused"):
            reserve.sell(ETHER, 0, receiver, sender=STAKER)
    for dust in (0, 1):
        with reverts("reserve: nothing to buy"):
            reserve.sell(dust, 0, sender=STAKER)
        with reverts("reserve: nothing to buy"):
            reserve.preview_sell(dust)
    with reverts("slippage: too few assets"):
        reserve.sell(ETHER, reserve.preview_sell(ETHER) + 1, sender=STAKER)
    with reverts("reserve: too little ETH"):
        reserve.sell(100 * ETHER, 0, sender=STAKER)
    with reverts("reserve: too little ETH"):
        reserve.preview_sell(100 * ETHER)
    with reverts("allowance: too low"):
        reserve.sell(ETHER, 0, sender=OUTSIDER)
    world.pool.approve(reserve, ETHER, sender=OUTSIDER)
    with reverts("balance: too low"):
        reserve.sell(ETHER, 0, sender=OUTSIDER)
    wallet = protocol.wallet(ETHER)
    world.pool.approve(reserve, ETHER, sender=wallet)
    wallet.refuse(True)
    with reverts("ether: send failed"):
        reserve.sell(ETHER, 0, sender=wallet)
    world.hold_report()
    with reverts("reserve: exits paused"):
        reserve.sell(ETHER, 0, sender=STAKER)
    with reverts("reserve: exits paused"):
        reserve.preview_sell(ETHER)
    world.check()


def test_sell__of_two_shares__pays_the_wei_that_the_fee_leaves(world: Reserve, reserve: Contract):
    assert world.gross(2) == 2
    assert reserve.preview_sell(2) == world.sell(2) == 1


def test_sell__pause_of_fulfilments_over__goes_on(world: Reserve):
    world.pool.pause(FULFIL, world.evm.now + 10, sender=GUARDIAN)
    world.evm.travel(9)
    with reverts("reserve: exits paused"):
        world.sell(ETHER)
    world.evm.travel(1)
    assert world.sell(ETHER) > 0


def test_sell__all_the_cash__leaves_the_fee(world: Reserve, reserve: Contract):
    shares = 100 * ETHER * ETHER // world.pool.exit_rate()
    while world.gross(shares + 1) <= 100 * ETHER:
        shares += 1
    with reverts("reserve: too little ETH"):
        reserve.preview_sell(shares + 1)
    paid = world.sell(shares)
    # A fifth goes at the lowest fee, four fifths at the mean of both.
    assert 100 * ETHER - paid == pytest.approx(ETHER * (20 * 500 + 80 * 10_250) // PPM, rel=1e-4)
    assert reserve.cash() == 100 * ETHER - paid == pytest.approx(reserve.locked(), abs=1)
    world.check()


# --- the curves ---

AMOUNTS = st.integers(1, 10**6) | st.integers(1, 100 * ETHER)


@st.composite
def curves(draw: st.DrawFn) -> Parameters:
    """Draw parameters within the bounds, equal ends and a target of nothing among them."""
    low, high = sorted(draw(st.tuples(st.integers(0, 100_000), st.integers(0, 100_000))))
    target = draw(st.just(0) | st.integers(1, 10**9) | st.integers(1, 300 * ETHER) | st.just(2**96 - 1))
    return Parameters(draw(st.sampled_from([low, high])), high, target, draw(st.booleans()), ETHER)


@given(parameters=curves(), first=AMOUNTS, second=AMOUNTS)
def test_sell__any_curve_and_amount__pays_the_exact_fee_rounded_up(
    world: Reserve, parameters: Parameters, first: int, second: int
):
    with world.evm.undone():
        world.set_parameters(**parameters._asdict())
        for shares in (first, second):
            gross = world.gross(shares)
            price = price_at(world.parameters, world.target(), world.liquidity())
            assert price <= world.contract.fee() < price + 1
            if gross > world.contract.cash():
                with reverts("reserve: too little ETH"):
                    world.sell(shares)
            # Two wei may be no more than a fee that is rounded up twice.
            elif gross > 2:
                paid = world.contract.preview_sell(shares)
                world.check_fee(gross, paid)
                assert world.sell(shares) == paid
                world.check()


@pytest.mark.parametrize("of_value", [False, True])
@pytest.mark.parametrize("fee", [0, 1, 500, 100_000])
@pytest.mark.parametrize("target", [0, 80 * ETHER, 2**96 - 1])
def test_sell__equal_ends__cost_the_same_whatever_is_there(world: Reserve, of_value: bool, fee: int, target: int):
    world.set_parameters(fee_min=fee, fee_max=fee, target=target, of_value=of_value)
    for shares in (ETHER, 60 * ETHER, 20 * ETHER):
        gross = world.gross(shares)
        assert world.contract.fee() == fee
        assert gross - world.sell(shares) == -(-gross * fee // PPM)


@pytest.mark.parametrize("cash", [0, 1, 10**9, 100 * ETHER])
def test_sell__target_of_nothing__costs_the_least_until_nothing_is_left(protocol: Protocol, cash: int):
    world = Reserve(protocol, target=0)
    world.contract.withdraw(100 * ETHER - max(cash, 10**9), SAVER, SAVER, sender=SAVER)
    assert world.contract.fee() == 500
    world.sell(10**8)
    assert world.contract.fee() == 500


def test_fee__liquidity_linear__is_the_part_that_is_not_there(protocol: Protocol):
    world = Reserve(protocol, of_value=True)
    assert world.contract.fee() == 500
    for _ in range(8):
        world.sell(10 * ETHER)
        part = 1 - Fraction(world.contract.cash(), world.size())
        assert 500 + 19_500 * part <= world.contract.fee() < 501 + 19_500 * part
    # Queued or not, filled or not, what is out is out.
    before = world.contract.fee()
    world.contract.queue_exits()
    assert world.contract.fee() == before
    world.fulfil(10 * ETHER)
    filled = world.contract.fee()
    world.contract.claim(0)
    assert world.contract.fee() < filled == pytest.approx(before, abs=2)


def test_sell__in_pieces__costs_what_it_costs_at_once(world: Reserve):
    """But for the fees of the first pieces, which are there when the next are sold."""
    gross = world.gross(64 * ETHER)
    with world.evm.undone():
        whole = world.sell(64 * ETHER)
    pieces = sum(world.sell(8 * ETHER) for _ in range(8))
    assert abs(pieces - whole) < (gross - whole) * 20_000 // PPM


# --- in doubt ---


@pytest.mark.parametrize("of_value", [False, True])
def test_sell__loss_pending__costs_the_most_at_the_exit_price(protocol: Protocol, of_value: bool):
    world = Reserve(protocol, of_value=of_value)
    entry = world.pool.entry_rate()
    protocol.report(pending_loss=20 * ETHER)
    gross = world.gross(10 * ETHER)
    assert gross < 10 * entry
    assert world.contract.fee() == 20_000
    paid = world.sell(10 * ETHER)
    assert gross - paid == -(-gross * 20_000 // PPM)
    world.check()
    # The loss is settled: sales cost what they did.
    protocol.report(gain=-20 * ETHER)
    assert world.contract.fee() < 20_000


def test_sell__no_report_for_two_days__costs_the_most(world: Reserve, reserve: Contract, protocol: Protocol):
    protocol.report()
    world.evm.travel(2 * DAY)
    assert reserve.fee() == 500
    world.check_fee(world.gross(ETHER), reserve.preview_sell(ETHER))
    world.evm.travel(1)
    gross = world.gross(ETHER)
    assert reserve.fee() == 20_000
    assert gross - world.sell(ETHER) == -(-gross * 20_000 // PPM)
    protocol.report()
    assert reserve.fee() == 500


# --- fresh ETH ---


@pytest.mark.parametrize("of_value", [False, True])
def test_sell__beside_eth_that_has_just_come__costs_as_without_it(protocol: Protocol, of_value: bool):
    world = Reserve(protocol, cash=20 * ETHER, of_value=of_value)
    world.sell(10 * ETHER)
    alone = world.contract.preview_sell(5 * ETHER)
    world.provide(10_000 * ETHER, OUTSIDER)
    assert world.contract.fresh() == pytest.approx(10_000 * ETHER, abs=2**32)
    assert world.contract.preview_sell(5 * ETHER) <= alone
    # It can be bought with, at the highest fee.
    world.check_fee(world.gross(50 * ETHER), world.contract.preview_sell(50 * ETHER))
    assert world.contract.preview_sell(50 * ETHER) == world.sell(50 * ETHER)
    world.check()


def test_sell__as_fresh_eth_ages__costs_less_by_the_second(world: Reserve, reserve: Contract):
    world.sell(60 * ETHER)
    world.evm.travel(DAY)
    world.protocol.report()
    world.provide(60 * ETHER)
    fees = []
    for part in range(5):
        assert reserve.fresh() == pytest.approx(60 * ETHER * (4 - part) // 4, abs=2**32)
        fees.append(reserve.fee())
        world.check_fee(world.gross(ETHER), reserve.preview_sell(ETHER))
        world.evm.travel(DAY // 4)
    assert fees == sorted(fees, reverse=True)
    assert fees[-1] == 500 < fees[0]
    assert reserve.fresh() == 0


def test_withdraw__fresh_eth_there__takes_that_first(world: Reserve, reserve: Contract):
    world.sell(60 * ETHER)
    fee = reserve.fee()
    world.provide(50 * ETHER, OUTSIDER)
    assert reserve.fee() in (fee, fee - 1)
    reserve.withdraw(49 * ETHER, OUTSIDER, OUTSIDER, sender=OUTSIDER)
    assert reserve.fresh() == pytest.approx(ETHER, abs=2**33)
    assert reserve.fee() in (fee, fee - 1)
    reserve.withdraw(2 * ETHER, SAVER, SAVER, sender=SAVER)
    assert reserve.fresh() == 0
    assert reserve.fee() > fee
    world.check()


def test_sell__more_than_is_not_fresh__leaves_no_more_fresh_than_there_is(protocol: Protocol):
    world = Reserve(protocol, cash=0)
    world.provide(10 * ETHER)
    assert world.liquidity() < 2**32
    assert world.contract.fee() == 20_000
    gross = world.gross(9 * ETHER)
    paid = world.sell(9 * ETHER)
    assert gross - paid == pytest.approx(gross * 20_000 // PPM, abs=2**32)
    assert world.contract.fresh() == pytest.approx(world.contract.cash(), abs=2**32)
    world.check()


@pytest.mark.parametrize("shares", [101, 10**6 + 1, ETHER + 7, 3 * ETHER - 11])
def test_sell__all_is_fresh__costs_the_end_of_the_line_rounded_up(protocol: Protocol, shares: int):
    world = Reserve(protocol, cash=0)
    world.provide(10 * 2**60)
    assert world.liquidity() == 0
    gross = world.gross(shares)
    assert gross * 20_000 % PPM > 0
    assert gross - world.sell(shares) == gross * 20_000 // PPM + 1
    world.set_parameters(target=0)
    assert gross - world.contract.preview_sell(shares) == -(-gross * 500 // PPM)
