"""What has gone wrong elsewhere with reserves, tried on ours. Numbers are the rows of tests/THREATS.md."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, RevertError, reverts
from tests.protocol import GUARDIAN, INSTANT_EXIT, OUTSIDER, RECEIVER, SAVER, STAKER, UNLIMITED, Protocol
from tests.reserve import LOCKED_SHARES, MIN_FIRST_DEPOSIT, Reserve

ATTACKER = OUTSIDER
VIEWS = ("totalAssets", "totalSupply", "cash", "fresh", "held", "queued", "locked", "fee", "open_tickets")


@pytest.fixture
def world(protocol: Protocol) -> Reserve:
    return Reserve(protocol)


@pytest.fixture
def reserve(world: Reserve) -> Contract:
    return world.contract


def seen(reserve: Contract) -> list[Any]:
    """Return what the reserve says about itself."""
    return [getattr(reserve, name)() for name in VIEWS]


def wealth(world: Reserve, account: str) -> Fraction:
    """Wei that an account has, with what its floETH and its part of the reserve are worth, the locked fees included."""
    pool, reserve = world.pool, world.contract
    value, supply = pool.entry_price()
    part = Fraction(reserve.balanceOf(account), max(reserve.totalSupply(), 1))
    owned: Fraction = Fraction(pool.balanceOf(account) * value, supply)
    provided: Fraction = part * (reserve.totalAssets() + reserve.locked())
    return Fraction(world.evm.balance(account)) + owned + provided


# --- 17 to 23, 30 to 32: shares ---


@pytest.mark.parametrize("leaves", [False, True])
def test_bad_017_inflation__gifts_around_the_first_deposit__cost_the_giver(protocol: Protocol, leaves: bool):
    world = Reserve(protocol, cash=0)
    reserve, evm = world.contract, world.evm
    world.pool.transfer(ATTACKER, 50 * ETHER, sender=SAVER)
    world.pool.approve(reserve, UNLIMITED, sender=ATTACKER)
    before = wealth(world, ATTACKER)
    world.provide(MIN_FIRST_DEPOSIT, ATTACKER)
    if leaves:
        reserve.redeem(reserve.balanceOf(ATTACKER), ATTACKER, ATTACKER, sender=ATTACKER)
    evm.force(reserve, 10 * ETHER)
    world.pool.transfer(reserve, 10 * ETHER, sender=ATTACKER)
    ticket = world.ticket(10 * ETHER, ATTACKER)
    world.queue.transferFrom(ATTACKER, reserve, ticket, sender=ATTACKER)
    victim = world.provide(ETHER, STAKER)
    assert ETHER - reserve.convertToAssets(victim) <= 2
    if not leaves:
        reserve.redeem(reserve.balanceOf(ATTACKER), ATTACKER, ATTACKER, sender=ATTACKER)
    assert wealth(world, ATTACKER) < before - 20 * ETHER
    world.check(ether_given=10 * ETHER, shares_given=10 * ETHER)


def test_bad_018_forced_ether__and_floeth_and_tickets__change_nothing(world: Reserve, reserve: Contract):
    world.sell(5 * ETHER)
    before = seen(reserve)
    world.evm.force(reserve, 1_000 * ETHER)
    world.pool.transfer(reserve, ETHER, sender=SAVER)
    world.queue.request(ETHER, reserve, sender=SAVER)
    with reverts("ether: not like this"):
        world.queue.safeTransferFrom(SAVER, reserve, world.ticket(ETHER, SAVER), sender=SAVER)
    assert seen(reserve) == before
    world.sell(ETHER)
    world.fulfil()
    with reverts("ticket: does not exist"):
        reserve.claim(0)
    world.check(ether_given=1_000 * ETHER, shares_given=ETHER)


def test_bad_019_zero_shares__dust_where_a_share_is_worth_more_than_a_wei__is_refused(protocol: Protocol):
    world = Reserve(protocol, fee_min=100_000, fee_max=100_000)
    world.sell(90 * ETHER)
    world.evm.travel(DAY)
    assert world.share_value() > 1
    with reverts("deposit: zero shares"):
        world.provide(1)
    assert world.contract.previewMint(1) == 2
    assert world.provide(2) == 1


def test_bad_020_rounding__two_thousand_micro_operations__gain_nothing(world: Reserve, reserve: Contract):
    pool, evm = world.pool, world.evm
    world.set_parameters(fee_min=0, fee_max=0)
    world.sell(30 * ETHER)
    for giver in (STAKER,):
        pool.transfer(ATTACKER, 10**9, sender=giver)
    pool.approve(reserve, UNLIMITED, sender=ATTACKER)
    dice = random.Random(20)
    steps: list[Callable[[int], Any]] = [
        lambda n: reserve.sell(n, 0, sender=ATTACKER),
        lambda n: reserve.stake(sender=ATTACKER, value=n),
        lambda n: reserve.deposit(n, ATTACKER, sender=ATTACKER, value=n),
        lambda n: reserve.mint(n, ATTACKER, sender=ATTACKER, value=2 * n + 2),
        lambda n: reserve.withdraw(n, ATTACKER, ATTACKER, sender=ATTACKER),
        lambda n: reserve.redeem(n, ATTACKER, ATTACKER, sender=ATTACKER),
    ]
    done = 0
    for _ in range(2_000):
        before, price = wealth(world, ATTACKER), world.share_value()
        try:
            dice.choice(steps)(dice.choice([1, 2, 3, dice.randint(1, 1_000)]))
            done += 1
        except RevertError:
            continue
        assert wealth(world, ATTACKER) <= before
        assert world.share_value() >= price
    assert done > 1_000
    assert evm.balance(reserve) == reserve.cash()
    world.check()


def test_bad_022_023_last_provider__leaves_and_somebody_returns__at_the_same_price(world: Reserve, reserve: Contract):
    world.evm.travel(DAY)
    reserve.redeem(reserve.balanceOf(SAVER), SAVER, SAVER, sender=SAVER)
    assert reserve.totalSupply() == reserve.totalAssets() == LOCKED_SHARES
    # No second first deposit: the smallest one is enough, and the shares that stayed stay.
    assert world.provide(1, ATTACKER) == 1
    assert world.provide(ETHER, STAKER) == ETHER
    assert reserve.balanceOf(reserve) == LOCKED_SHARES
    # All sold and all fees with those that stayed: the next one still gets what he paid for.
    world.set_parameters(fee_min=100_000, fee_max=100_000)
    world.sell(9 * ETHER // 10)
    for account in (STAKER, ATTACKER):
        reserve.redeem(reserve.maxRedeem(account), account, account, sender=account)
    world.evm.travel(DAY)
    shares = world.provide(ETHER, STAKER)
    assert ETHER - reserve.convertToAssets(shares) < ETHER // LOCKED_SHARES
    world.check()


@pytest.mark.parametrize("function", ["deposit", "mint"])
def test_bad_030_entry__each_way_in__takes_exactly_what_it_promised(world: Reserve, reserve: Contract, function: str):
    world.sell(5 * ETHER)
    ether, there, cash = world.evm.balance(ATTACKER), world.evm.balance(reserve), reserve.cash()
    if function == "deposit":
        price, shares = ETHER, reserve.previewDeposit(ETHER)
        reserve.deposit(ETHER, RECEIVER, sender=ATTACKER, value=ETHER)
    else:
        price, shares = reserve.previewMint(ETHER), ETHER
        reserve.mint(ETHER, RECEIVER, sender=ATTACKER, value=3 * ETHER)
    assert price > 0
    assert reserve.balanceOf(RECEIVER) == shares
    assert ether - world.evm.balance(ATTACKER) == world.evm.balance(reserve) - there == reserve.cash() - cash == price


def test_bad_031_exits__of_others_without_an_allowance__are_refused(world: Reserve, reserve: Contract):
    for call in (
        lambda: reserve.withdraw(1, ATTACKER, SAVER, sender=ATTACKER),
        lambda: reserve.redeem(1, ATTACKER, SAVER, sender=ATTACKER),
        lambda: reserve.transferFrom(SAVER, ATTACKER, 1, sender=ATTACKER),
    ):
        with reverts("erc20: insufficient allowance"):
            call()
    # What is approved to the reserve is sold by its owner only.
    ticket = world.ticket(ETHER)
    with reverts("allowance: too low"):
        reserve.sell(ETHER, 0, sender=ATTACKER)
    with reverts("ticket: not the owner's"):
        reserve.sell_ticket(ticket, 0, sender=ATTACKER)
    world.check()


def test_bad_032_previews__in_every_state__are_what_happens(world: Reserve, reserve: Contract, protocol: Protocol):
    def compare() -> None:
        pairs: list[tuple[int, Callable[[], Any]]] = [
            (reserve.preview_sell(ETHER), lambda: world.sell(ETHER)),
            (reserve.preview_stake(ETHER), lambda: reserve.stake(sender=ATTACKER, value=ETHER)),
            (reserve.previewRedeem(ETHER), lambda: reserve.redeem(ETHER, SAVER, SAVER, sender=SAVER)),
            (reserve.previewWithdraw(ETHER), lambda: reserve.withdraw(ETHER, SAVER, SAVER, sender=SAVER)),
        ]
        if reserve.maxDeposit(SAVER) > 0:
            pairs += [
                (reserve.previewDeposit(ETHER), lambda: world.provide(ETHER)),
                (reserve.previewMint(ETHER), lambda: reserve.mint(ETHER, SAVER, sender=SAVER, value=2 * ETHER)),
            ]
        for preview, call in pairs:
            with world.evm.undone():
                assert call() == preview
        for name in ("maxDeposit", "maxMint", "maxWithdraw", "maxRedeem"):
            assert getattr(reserve, name)(SAVER) >= 0

    compare()
    world.sell(20 * ETHER)
    compare()
    reserve.queue_exits()
    world.fulfil(10 * ETHER)
    compare()
    protocol.report(pending_loss=ETHER)
    compare()
    protocol.report(gain=-ETHER)
    compare()
    world.evm.travel(3 * DAY)
    compare()


# --- 51, 52, 56: the right moment ---


def test_bad_051_sandwich__eth_provided_around_a_sale__earns_nothing(world: Reserve, reserve: Contract):
    before = wealth(world, ATTACKER)
    shares = world.provide(1_000 * ETHER, ATTACKER)
    world.sell(60 * ETHER)
    reserve.redeem(shares, ATTACKER, ATTACKER, sender=ATTACKER)
    assert wealth(world, ATTACKER) <= before
    world.check()


@pytest.mark.parametrize("of_value", [False, True])
def test_bad_051_sandwich__eth_provided_for_a_sale_of_ones_own__does_not_make_it_cheaper(
    protocol: Protocol, of_value: bool
):
    world = Reserve(protocol, cash=20 * ETHER, of_value=of_value)
    reserve = world.contract
    world.sell(12 * ETHER)
    with world.evm.undone():
        alone = world.sell(5 * ETHER)
    shares = world.provide(10_000 * ETHER, STAKER)
    paid = world.sell(5 * ETHER)
    back = reserve.redeem(shares, STAKER, STAKER, sender=STAKER)
    assert paid + back <= alone + 10_000 * ETHER
    world.check()


def test_bad_051_sandwich__bought_back_at_once__loses_the_fee(world: Reserve, reserve: Contract):
    before = wealth(world, STAKER)
    paid = world.sell(30 * ETHER)
    reserve.stake(sender=STAKER, value=paid)
    assert wealth(world, STAKER) < before - 10**16
    assert reserve.cash() == 100 * ETHER
    world.check()


def test_bad_052_foresight__sale_of_a_known_loss__is_at_the_lower_price(
    world: Reserve, reserve: Contract, protocol: Protocol
):
    """Providers lose nothing that they did not have before: what comes in is paid at the exit price, less the most."""
    protocol.set_parameters(target_bps=0)
    protocol.to_validators()
    protocol.raise_pending_loss(30 * 10**9)
    before = reserve.totalAssets() + reserve.locked()
    world.sell(40 * ETHER)
    world.sell_ticket(world.ticket(10 * ETHER))
    # The loss turns out as known, and no penny of it is the reserve's.
    protocol.report(gain=-30 * ETHER)
    assert reserve.totalAssets() + reserve.locked() >= before
    world.check()


def test_bad_056_stale_price__long_without_a_report__costs_the_most_and_in_doubt_nothing_is_paid(
    world: Reserve, reserve: Contract, protocol: Protocol
):
    """No market price is asked for; the pool's own is old for two days at most, or costs `fee_max`."""
    protocol.report()
    cheap = reserve.preview_sell(ETHER)
    world.evm.travel(2 * DAY + 1)
    rate = world.pool.exit_rate()
    assert reserve.fee() == world.parameters.fee_max
    assert reserve.preview_sell(ETHER) == rate - -(-rate * 20_000 // 10**6) < cheap
    world.hold_report()
    for call in (
        lambda: world.sell(ETHER),
        lambda: world.sell_ticket(world.ticket(ETHER)),
        lambda: reserve.redeem(ETHER, SAVER, SAVER, sender=SAVER),
        lambda: world.provide(ETHER),
    ):
        with reverts("reserve: exits paused"):
            call()
    # The pool's instant exit is another way out: its pause stops nothing here.
    world.evm.travel(DAY)
    world.pool.pause(INSTANT_EXIT, world.evm.now + DAY, sender=GUARDIAN)
    assert world.sell(ETHER) > 0
    world.check()


# --- 61 to 69: ETH and tickets that move ---


def test_bad_061_062_gas__wallet_and_reserve_that_need_more_than_a_stipend__are_paid(
    world: Reserve, reserve: Contract, protocol: Protocol
):
    wallet = protocol.wallet(20 * ETHER)
    world.pool.approve(reserve, UNLIMITED, sender=wallet)
    wallet.react_with(world.pool, world.pool.encode("approve", RECEIVER, 7))
    assert reserve.sell(5 * ETHER, 0, sender=wallet) > 0
    assert world.pool.allowance(wallet, RECEIVER) == 7
    # The reserve's own lock does not keep the queue's ETH out.
    reserve.queue_exits()
    world.fulfil()
    assert reserve.claim(0) > 0
    world.check()


def test_bad_063_064_gas__receiver_that_burns_it_or_answers_at_length__costs_only_its_sender(
    world: Reserve, reserve: Contract, evm: Evm
):
    burner, talker = evm.place("5b600056"), evm.place("620f42405ff3")
    with pytest.raises(RevertError):
        reserve.sell(ETHER, 0, burner, sender=STAKER, gas=1_000_000)
    world.check()
    # A million bytes of answer are paid for by whoever makes them, and not copied.
    assert reserve.sell(ETHER, 0, talker, sender=STAKER) == evm.balance(talker)
    talked = evm.gas_used
    world.sell(ETHER)
    assert talked < evm.gas_used + 2_500_000
    world.check()


def test_bad_066_recipient__nobody_or_the_reserve_or_the_pool__is_refused(world: Reserve, reserve: Contract):
    ticket = world.ticket(ETHER)
    for receiver in (ZERO, reserve, world.pool):
        calls: list[Callable[[Any], Any]] = [
            lambda to: reserve.sell(ETHER, 0, to, sender=STAKER),
            lambda to: reserve.sell_ticket(ticket, 0, to, sender=STAKER),
            lambda to: reserve.stake(to, sender=STAKER, value=ETHER),
            lambda to: reserve.deposit(ETHER, to, sender=SAVER, value=ETHER),
            lambda to: reserve.mint(ETHER, to, sender=SAVER, value=2 * ETHER),
            lambda to: reserve.withdraw(ETHER, to, SAVER, sender=SAVER),
            lambda to: reserve.redeem(ETHER, to, SAVER, sender=SAVER),
            lambda to: reserve.transfer(to, ETHER, sender=SAVER),
            lambda to: reserve.transferFrom(SAVER, to, ETHER, sender=SAVER),
        ]
        for call in calls:
            with reverts("receiver: refused"):
                call(receiver)
    # The queue takes no ETH.
    with reverts("ether: send failed"):
        reserve.sell(ETHER, 0, world.queue, sender=STAKER)
    world.check()


@pytest.mark.parametrize("seed", range(3))
def test_bad_067_069_tickets__random_life__are_claimed_once_and_to_the_wei(protocol: Protocol, seed: int):
    world = Reserve(protocol, min_ticket=10**15, fee_min=0, fee_max=10_000)
    reserve, dice = world.contract, random.Random(seed)
    tickets: list[int] = []
    for _ in range(120):
        kind = dice.choice(["request", "sell ticket", "sell", "queue", "fulfil", "claim", "stake", "travel"])
        try:
            if kind == "request":
                tickets.append(world.ticket(dice.randint(1, 3 * ETHER)))
            elif kind == "sell ticket" and tickets:
                world.sell_ticket(dice.choice(tickets))
            elif kind == "sell":
                world.sell(dice.randint(1, 5 * ETHER))
            elif kind == "queue":
                reserve.queue_exits()
            elif kind == "fulfil":
                world.fulfil(dice.randint(ETHER, 5 * ETHER))
            elif kind == "claim":
                reserve.claim(dice.randint(0, 3))
            elif kind == "stake":
                reserve.stake(sender=SAVER, value=dice.randint(1, 3 * ETHER))
            else:
                world.evm.travel(dice.randint(1, DAY // 8))
        except RevertError as error:
            assert error.reason, error
        world.check()
    world.fulfil()
    while reserve.open_tickets():
        reserve.claim(0)
    world.check()
    assert reserve.queued() == 0


def test_bad_072_073_slashing__between_sale_and_claim__is_the_reserves_and_never_more(
    world: Reserve, reserve: Contract, protocol: Protocol
):
    """A ticket falls until it is filled; others' claims are paid whatever the reserve does."""
    mine, theirs = world.ticket(5 * ETHER), world.ticket(5 * ETHER, SAVER)
    world.sell_ticket(mine)
    before = reserve.totalAssets()
    protocol.rate_falls_to(9, 10)
    assert before - reserve.totalAssets() == pytest.approx(before * 5 // 1_000, rel=0.2)
    world.fulfil()
    owed = world.queue.claimable(theirs)
    reserve.claim(0)
    assert world.queue.claimable(theirs) == owed
    assert world.queue.claim(theirs) == owed
    world.check()


# --- 98 to 102: tokens and re-entry ---


def test_bad_098_transfers__to_oneself_and_of_nothing__change_nothing(reserve: Contract):
    held = reserve.balanceOf(SAVER)
    reserve.transfer(SAVER, held, sender=SAVER)
    reserve.approve(SAVER, held, sender=SAVER)
    reserve.transferFrom(SAVER, SAVER, held, sender=SAVER)
    reserve.transfer(ATTACKER, 0, sender=SAVER)
    assert (reserve.balanceOf(SAVER), reserve.balanceOf(ATTACKER)) == (held, 0)
    assert reserve.totalSupply() == held + LOCKED_SHARES


@pytest.mark.parametrize("outer", ["sell", "sell_ticket", "withdraw", "redeem", "mint"])
def test_bad_100_101_102_reentry__while_eth_is_sent__everything_is_locked_and_books_are_final(
    world: Reserve, reserve: Contract, protocol: Protocol, outer: str
):
    wallet = protocol.wallet(20 * ETHER)
    world.pool.approve(reserve, UNLIMITED, sender=wallet)
    world.queue.setApprovalForAll(reserve, True, sender=wallet)
    reserve.deposit(10 * ETHER, wallet, sender=wallet, value=10 * ETHER)
    ticket = protocol.request(ETHER, wallet)
    reserve_call = {
        "sell": lambda: reserve.sell(ETHER, 0, sender=wallet),
        "sell_ticket": lambda: reserve.sell_ticket(ticket, 0, sender=wallet),
        "withdraw": lambda: reserve.withdraw(ETHER, wallet, wallet, sender=wallet),
        "redeem": lambda: reserve.redeem(ETHER, wallet, wallet, sender=wallet),
        "mint": lambda: reserve.mint(ETHER, wallet, sender=wallet, value=2 * ETHER),
    }[outer]

    def outcome(function: str, *arguments: Any) -> tuple[bool, bytes]:
        with world.evm.undone():
            wallet.react_with(reserve, reserve.encode(function, *arguments))
            reserve_call()
            (event,) = world.evm.events(wallet, "Reacted")
            return event.fields["success"], event.fields["answer"]

    inner: list[tuple[Any, ...]] = [("totalAssets",), ("cash",), ("preview_sell", ETHER), ("convertToAssets", ETHER)]
    inner += [("claim", 0), ("queue_exits",), ("transfer", RECEIVER, 1), ("redeem", 1, wallet, wallet)]
    for function, *arguments in inner:
        assert outcome(function, *arguments) == (False, b""), function
    # snekmate's views answer, with what is true when all is over.
    success, answer = outcome("totalSupply")
    with world.evm.undone():
        reserve_call()
        assert (success, int.from_bytes(answer)) == (True, reserve.totalSupply())
