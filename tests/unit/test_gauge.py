"""Gauge: stakes, what they earn by share and time, and that no reward token can hold up anything but itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, RevertError, reverts
from tests.gauge import (
    BURN,
    CALL,
    DENY,
    DISTRIBUTOR,
    FEE,
    LOSE,
    PLENTY,
    REFUSE,
    REVERT,
    SCALE,
    SILENT,
    TWO,
    WEEK,
    Gauges,
)
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER, UNLIMITED

ROLE = "access_control: account is missing role"
FAILED = "token: transfer failed"
U96, U120 = 2**96 - 1, 2**120 - 1


@pytest.fixture(scope="module")
def warm_world() -> Gauges:
    return Gauges(Evm())


@pytest.fixture
def world(warm_world: Gauges) -> Iterator[Gauges]:
    notified, paid = dict(warm_world.notified), dict(warm_world.paid)
    with warm_world.evm.undone():
        yield warm_world
    warm_world.notified, warm_world.paid = notified, paid


@pytest.fixture
def evm(world: Gauges) -> Evm:
    return world.evm


@pytest.fixture
def gauge(world: Gauges) -> Contract:
    return world.gauge


# --- deployment ---


def test_gauge__deployed__knows_its_token_and_its_admin(world: Gauges, gauge: Contract):
    assert gauge.staked_token() == world.coin.address
    assert gauge.reward_tokens() == [world.reward.address]
    assert gauge.SCALE() == SCALE
    assert (gauge.total_staked(), gauge.staked(STAKER)) == (0, 0)
    assert gauge.hasRole(gauge.DEFAULT_ADMIN_ROLE(), world.admin)
    assert not gauge.hasRole(gauge.DEFAULT_ADMIN_ROLE(), "0x" + "d0" * 20)
    assert gauge.reward(world.reward) == (DISTRIBUTOR, WEEK, 0, 0, 0, 0, 0, 0, 0)


def test_gauge__bad_arguments__reverts(world: Gauges):
    with reverts("admin: not a contract"):
        world.evm.deploy("Gauge", world.coin, OUTSIDER)
    with reverts("token: not a contract"):
        world.evm.deploy("Gauge", OUTSIDER, world.admin)


def test_gauge__plain_ether__is_refused(evm: Evm, gauge: Contract):
    evm.fund(OUTSIDER, 1)
    with reverts():
        gauge.receive(sender=OUTSIDER, value=1)


# --- stake ---


def test_stake__for_oneself__pulls_and_logs(world: Gauges, gauge: Contract):
    gauge.stake(3 * ETHER, sender=STAKER)
    assert (gauge.staked(STAKER), gauge.total_staked()) == (3 * ETHER, 3 * ETHER)
    assert world.coin.balanceOf(gauge) == 3 * ETHER
    assert world.coin.balanceOf(STAKER) == PLENTY - 3 * ETHER
    (event,) = world.evm.events(gauge)
    assert event.name == "Staked"
    assert event.fields == {"caller": STAKER, "receiver": STAKER, "amount": 3 * ETHER}


def test_stake__for_somebody_else__is_his(world: Gauges, gauge: Contract):
    gauge.stake(ETHER, RECEIVER, sender=STAKER)
    assert (gauge.staked(STAKER), gauge.staked(RECEIVER)) == (0, ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(WEEK)
    assert world.earned(RECEIVER) == 7 * ETHER
    with reverts("balance: too low"):
        gauge.withdraw(1, sender=STAKER)
    gauge.withdraw(ETHER, sender=RECEIVER)
    assert world.coin.balanceOf(RECEIVER) == ETHER


def test_stake__nothing__reverts(gauge: Contract):
    with reverts("gauge: zero amount"):
        gauge.stake(0, sender=STAKER)


def test_stake__for_nobody_or_the_gauge__reverts(gauge: Contract):
    for receiver in (ZERO, gauge):
        with reverts("receiver: refused"):
            gauge.stake(1, receiver, sender=STAKER)


def test_stake__up_to_120_bits__and_no_more(gauge: Contract):
    gauge.stake(U120 - 1, sender=STAKER)
    with reverts("gauge: total over 120 bits"):
        gauge.stake(2, sender=SAVER)
    gauge.stake(1, sender=SAVER)
    for amount in (1, 2**256 - 1):
        with reverts("gauge: total over 120 bits"):
            gauge.stake(amount, sender=SAVER)
    gauge.withdraw(U120 - 1, sender=STAKER)
    assert gauge.total_staked() == 1


def test_stake__without_approval_or_balance__reverts(world: Gauges, gauge: Contract):
    with reverts():
        gauge.stake(1, sender=RECEIVER)
    world.coin.behave(DENY)
    with reverts(FAILED):
        gauge.stake(1, sender=STAKER)
    assert gauge.total_staked() == 0


# --- withdraw ---


def test_withdraw__part__leaves_the_rest_earning(world: Gauges, gauge: Contract):
    world.stake(4 * ETHER)
    world.stake(4 * ETHER, SAVER)
    world.notify(700 * ETHER)
    world.evm.travel(WEEK // 2)
    gauge.withdraw(3 * ETHER, RECEIVER, sender=STAKER)
    (event,) = world.evm.events(gauge)
    assert event.name == "Withdrawn"
    assert event.fields == {"account": STAKER, "receiver": RECEIVER, "amount": 3 * ETHER}
    assert world.coin.balanceOf(RECEIVER) == 3 * ETHER
    assert (gauge.staked(STAKER), gauge.total_staked()) == (ETHER, 5 * ETHER)
    assert world.earned() == 175 * ETHER
    world.evm.travel(WEEK)
    assert (world.earned(), world.earned(SAVER)) == (175 * ETHER + 70 * ETHER, 175 * ETHER + 280 * ETHER)


def test_withdraw__all__stays_claimable(world: Gauges):
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    world.withdraw(ETHER)
    world.evm.travel(DAY)
    assert world.claim() == ETHER
    assert world.claim() == 0


def test_withdraw__too_much_or_nothing__reverts(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    for amount in (ETHER + 1, 2**256 - 1):
        with reverts("balance: too low"):
            gauge.withdraw(amount, sender=STAKER)
    with reverts("balance: too low"):
        gauge.withdraw(1, sender=SAVER)
    with reverts("gauge: zero amount"):
        gauge.withdraw(0, sender=STAKER)


def test_withdraw__to_nobody_or_the_gauge__reverts(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    for receiver in (ZERO, gauge):
        with reverts("receiver: refused"):
            gauge.withdraw(1, receiver, sender=STAKER)


def test_withdraw__staked_token_fails__reverts_and_keeps_the_stake(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.coin.behave(DENY)
    with reverts(FAILED):
        gauge.withdraw(ETHER, sender=STAKER)
    with reverts(FAILED):
        gauge.emergency_exit(sender=STAKER)
    assert gauge.staked(STAKER) == ETHER


# --- earnings ---


def test_earned__by_share_and_time__to_the_wei(world: Gauges):
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    world.stake(4 * ETHER, SAVER)
    assert (world.earned(), world.earned(SAVER)) == (ETHER, 0)
    world.evm.travel(5 * DAY)
    assert (world.earned(), world.earned(SAVER)) == (2 * ETHER, 4 * ETHER)
    world.withdraw(ETHER)
    world.evm.travel(DAY)
    assert (world.earned(), world.earned(SAVER)) == (2 * ETHER, 5 * ETHER)
    world.evm.travel(365 * DAY)
    assert (world.earned(), world.earned(SAVER)) == (2 * ETHER, 5 * ETHER)
    assert world.unexplained() == 0


def test_earned__every_second__rises_without_a_step(world: Gauges):
    """Nothing to wait for, even for a reward of few units among very many staked."""
    world.stake(10**27)
    world.notify(WEEK)
    for second in range(1, 6):
        world.evm.travel(1)
        assert world.earned() == second
    world.evm.travel(WEEK)
    assert world.earned() == WEEK


def test_bad_036_rewards__in_and_out_within_a_second__earn_nothing(world: Gauges):
    """Nothing can be sniped: not at a notification, not at the end of a period, not between."""
    world.stake(ETHER)
    world.notify(7 * ETHER)
    for wait in (0, 1, DAY, 6 * DAY - 2, 1, 1, DAY):
        world.evm.travel(wait)
        world.stake(10**9 * ETHER, SAVER)
        assert world.notify(ETHER) == ETHER
        world.withdraw(10**9 * ETHER, SAVER)
        assert world.earnings(SAVER, world.reward) == 0
    assert world.unexplained() == 0


def test_earned__first_staker_of_one_wei__gets_all_of_his_time_and_no_more(world: Gauges):
    world.stake(1)
    world.notify(U96)
    world.evm.travel(1)
    alone = world.earned()
    assert alone == U96 // WEEK
    world.stake(U120 - 1, SAVER)
    world.evm.travel(WEEK)
    assert world.earned() == alone
    # With so many staked, what a division leaves is more than a wei, and it is named.
    assert U96 - alone - world.earned(SAVER) == 2
    assert SCALE < world.gauge.reward(world.reward).rest < U120
    assert world.unexplained() == 0


def test_bad_019_020_gauge__dust_stakes_thousands_of_times__gain_nothing(world: Gauges):
    world.stake(10**6 + 1)
    world.notify(1_000_003)
    before = world.evm.now
    for _ in range(500):
        world.evm.travel(1)
        world.stake(1, SAVER)
        world.evm.travel(1)
        world.withdraw(1, SAVER)
    streamed = 1_000_003 * (world.evm.now - before) // WEEK
    # A millionth of what streamed while it was staked, which was half of the time.
    assert world.earnings(SAVER, world.reward) <= streamed * SCALE // 10**6
    assert world.earned(SAVER) == 0
    assert world.unexplained() == 0


def test_earned__bounds_of_everything__nothing_overflows_and_nothing_is_lost(world: Gauges):
    """2**96 wei in each hour for years, all for one wei staked, then for 2**120."""
    token = world.add_reward(3_600)
    world.stake(1)
    for _ in range(50):
        world.notify(U96, token)
        world.evm.travel(3_600)
    assert world.earned(token=token) == 50 * U96
    world.stake(U120 - 1, SAVER)
    for _ in range(50):
        world.notify(U96, token)
        world.evm.travel(3_600)
    assert world.earned(token=token) + world.earned(SAVER, token) in (100 * U96, 100 * U96 - 1)
    world.claim(STAKER, token)
    world.claim(SAVER, token)
    assert world.unexplained(token) == 0


# --- nobody stakes ---


def test_idle__nobody_staked__streams_again_with_the_next(world: Gauges, gauge: Contract):
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    state = gauge.reward(world.reward)
    assert (state.left, state.idle, state.per_staked) == (6 * ETHER, ETHER, 0)
    world.stake(ETHER)
    assert world.earned() == 0
    world.evm.travel(DAY)
    world.withdraw(ETHER)
    world.evm.travel(DAY)
    state = gauge.reward(world.reward)
    assert (state.left, state.idle) == (4 * ETHER, 2 * ETHER)
    assert world.notify(ETHER) == ETHER
    (event,) = world.evm.events(gauge)
    assert event.name == "Notified"
    now = world.evm.now
    assert event.fields == {
        "token": world.reward.address,
        "received": ETHER,
        "amount": 7 * ETHER,
        "end": now + WEEK,
    }
    assert gauge.reward(world.reward)[2:7] == (now, now + WEEK, 7 * ETHER, 7 * ETHER, 0)
    world.stake(ETHER, SAVER)
    world.evm.travel(WEEK)
    assert (world.claim(), world.claim(SAVER)) == (ETHER, 7 * ETHER)
    assert world.reward.balanceOf(gauge) == 0


def test_idle__nobody_ever_staked__is_all_there_for_the_first(world: Gauges):
    world.notify(7 * ETHER)
    world.evm.travel(2 * WEEK)
    world.notify(1)
    world.stake(1)
    world.evm.travel(WEEK)
    assert world.claim() == 7 * ETHER + 1


# --- notify ---


def test_notify__in_the_middle_of_a_period__what_is_left_joins(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(3 * DAY)
    assert world.notify(3 * ETHER) == 3 * ETHER
    now = world.evm.now
    assert gauge.reward(world.reward)[2:7] == (now, now + WEEK, 7 * ETHER, 7 * ETHER, 0)
    assert world.earned() == 3 * ETHER
    world.evm.travel(DAY)
    assert world.earned() == 4 * ETHER
    world.evm.travel(WEEK)
    assert world.earned() == 10 * ETHER


def test_notify__at_the_seconds_around_the_end__loses_and_doubles_nothing(world: Gauges):
    world.stake(3)
    for offset in (-1, 0, 1):
        world.notify(10**6 + 7)
        world.evm.travel(WEEK + offset)
        world.notify(11)
        world.evm.travel(WEEK)
        assert world.unexplained() == 0
    assert world.earned() == 3 * (10**6 + 18)


def test_notify__rounds_of_many_streams__add_up(world: Gauges):
    """Each second's part is rounded down, and what is between two seconds still adds up to the whole."""
    world.stake(7)
    world.notify(WEEK - 1)
    for _ in range(40):
        world.evm.travel(WEEK // 39)
        world.stake(1, SAVER)
    assert world.gauge.reward(world.reward).left == 0
    assert world.earned() + world.earned(SAVER) in (WEEK - 1, WEEK - 2)
    assert world.unexplained() == 0


def test_notify__not_the_distributor__reverts(world: Gauges, gauge: Contract):
    for sender in (OUTSIDER, world.admin, STAKER):
        with reverts("caller: not the distributor"):
            gauge.notify(world.reward, 1, sender=sender)


def test_notify__unknown_token__reverts(world: Gauges, gauge: Contract):
    for token in (world.coin, ZERO, OUTSIDER):
        with reverts("reward: not known"):
            gauge.notify(token, 1, sender=DISTRIBUTOR)


def test_notify__nothing_or_too_much__reverts(world: Gauges, gauge: Contract):
    with reverts("reward: nothing came"):
        gauge.notify(world.reward, 0, sender=DISTRIBUTOR)
    with reverts("reward: over 96 bits"):
        gauge.notify(world.reward, U96 + 1, sender=DISTRIBUTOR)
    world.notify(U96)
    with reverts("reward: over 96 bits"):
        gauge.notify(world.reward, 1, sender=DISTRIBUTOR)
    world.evm.travel(WEEK)
    # Idle wei count too.
    with reverts("reward: over 96 bits"):
        gauge.notify(world.reward, 1, sender=DISTRIBUTOR)
    world.stake(1)
    world.withdraw(1)
    with reverts("reward: over 96 bits"):
        gauge.notify(world.reward, 1, sender=DISTRIBUTOR)


def test_notify__without_approval__reverts(world: Gauges, gauge: Contract):
    world.reward.approve(gauge, 0, sender=DISTRIBUTOR)
    with reverts():
        gauge.notify(world.reward, 1, sender=DISTRIBUTOR)


def test_bad_018_037_gauge__gifts_of_any_token__change_nothing(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    before = gauge.reward(world.reward), world.earned(), gauge.total_staked()
    world.reward.mint(gauge, 100 * ETHER)
    world.coin.mint(gauge, 100 * ETHER)
    world.evm.force(gauge, ETHER)
    assert (gauge.reward(world.reward), world.earned(), gauge.total_staked()) == before
    # A gift is nobody's, and not part of what the next notification counts.
    assert world.notify(ETHER) == ETHER
    world.withdraw(ETHER)
    assert world.coin.balanceOf(gauge) == 100 * ETHER


# --- claim ---


def test_claim__by_anybody__pays_the_account(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    assert gauge.claim(STAKER, world.reward, sender=OUTSIDER) == ETHER
    (event,) = world.evm.events(gauge)
    assert event.name == "Claimed"
    assert event.fields == {
        "account": STAKER,
        "token": world.reward.address,
        "receiver": STAKER,
        "amount": ETHER,
    }
    assert (world.reward.balanceOf(STAKER), world.reward.balanceOf(OUTSIDER)) == (ETHER, 0)
    assert gauge.claim(STAKER, world.reward) == 0
    assert world.evm.events() == []


def test_claim__nothing_earned__pays_nothing_and_does_not_call_the_token(world: Gauges, gauge: Contract):
    world.reward.behave(REVERT)
    assert gauge.claim(OUTSIDER, world.reward) == 0
    assert gauge.claim_to(world.reward, RECEIVER, sender=OUTSIDER) == 0
    assert gauge.claim_all(OUTSIDER) == [0]


def test_claim__fraction__stays_with_the_account(world: Gauges, gauge: Contract):
    world.stake(1)
    world.stake(2, SAVER)
    world.notify(WEEK)
    world.evm.travel(1)
    assert (world.claim(), world.claim(SAVER)) == (0, 0)
    assert gauge.fraction(STAKER, world.reward) == SCALE // 3
    assert gauge.fraction(SAVER, world.reward) == SCALE // 3 * 2
    assert gauge.reward(world.reward).rest == SCALE % 3
    world.evm.travel(2)
    assert (world.claim(), world.claim(SAVER)) == (1, 2)
    assert (gauge.fraction(STAKER, world.reward), gauge.reward(world.reward).rest) == (0, 0)


def test_claim__often_or_once__comes_to_the_same(world: Gauges):
    world.stake(3 * ETHER)
    world.stake(4 * ETHER + 1, SAVER)
    world.notify(10**6 + 1)
    for _ in range(60):
        world.evm.travel(WEEK // 59)
        world.claim()
    world.claim(SAVER)
    exact = (10**6 + 1) * 3 * ETHER // (7 * ETHER + 1)
    assert world.reward.balanceOf(STAKER) == exact
    assert world.reward.balanceOf(SAVER) == 10**6 + 1 - exact - 1
    assert world.unexplained() == 0


def test_claim__unknown_token__reverts(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    for token in (world.coin, OUTSIDER, ZERO):
        with reverts("reward: not known"):
            gauge.claim(STAKER, token)
        with reverts("reward: not known"):
            gauge.claim_to(token, RECEIVER, sender=STAKER)
        for view in (gauge.earned, gauge.fraction):
            with reverts("reward: not known"):
                view(STAKER, token)
        with reverts("reward: not known"):
            gauge.reward(token)


def test_claim_to__somebody_else__only_by_the_account_itself(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    assert gauge.claim_to(world.reward, RECEIVER, sender=OUTSIDER) == 0
    for receiver in (ZERO, gauge):
        with reverts("receiver: refused"):
            gauge.claim_to(world.reward, receiver, sender=STAKER)
    assert gauge.claim_to(world.reward, RECEIVER, sender=STAKER) == ETHER
    assert world.evm.events(gauge)[0].fields["receiver"] == RECEIVER
    assert world.reward.balanceOf(RECEIVER) == ETHER


def test_claim_all__eight_tokens__pays_each_in_their_order(world: Gauges, gauge: Contract):
    tokens = [world.reward, *(world.add_reward(WEEK * n) for n in range(2, 9))]
    world.stake(ETHER)
    for number, token in enumerate(tokens, 1):
        world.notify(7 * number * number, token)
    world.evm.travel(DAY)
    assert gauge.reward_tokens() == [token.address for token in tokens]
    assert world.claim_all() == list(range(1, 9))
    assert [token.balanceOf(STAKER) for token in tokens] == list(range(1, 9))
    assert len(world.evm.events(gauge, "Claimed")) == 8
    for token in tokens:
        assert world.unexplained(token) == 0


# --- tokens that do not keep the standard ---


def test_bad_099_tokens__answering_nothing__are_paid(world: Gauges):
    world.stake(ETHER)
    world.reward.behave(SILENT)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    assert world.claim() == ETHER
    world.evm.travel(DAY)
    assert world.claim_all() == [ETHER]
    assert world.reward.balanceOf(STAKER) == 2 * ETHER


def test_bad_099_tokens__taking_a_fee__what_came_is_what_streams(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.reward.behave(FEE)
    assert world.notify(7 * ETHER) == 7 * ETHER * 99 // 100
    world.evm.travel(WEEK)
    assert world.claim() == 7 * ETHER * 99 // 100
    assert world.reward.balanceOf(gauge) == 0


def test_bad_099_tokens__that_move_nothing__are_not_notified(world: Gauges, gauge: Contract):
    for conduct, reason in ((DENY, FAILED), (REFUSE, "reward: nothing came"), (LOSE, "reward: nothing came")):
        world.reward.behave(0)
        world.reward.mint(gauge, 10)
        world.reward.behave(conduct)
        with reverts(reason):
            gauge.notify(world.reward, 5, sender=DISTRIBUTOR)
    world.reward.behave(TWO)
    with reverts():
        gauge.notify(world.reward, 5, sender=DISTRIBUTOR)
    world.reward.behave(REVERT)
    with pytest.raises(RevertError, match="token: reverts"):
        gauge.notify(world.reward, 5, sender=DISTRIBUTOR)
    assert gauge.reward(world.reward).amount == 0


@pytest.mark.parametrize("conduct", [DENY, REVERT, TWO, LOSE])
def test_bad_065_099_broken_token__holds_up_nothing_but_itself(world: Gauges, gauge: Contract, conduct: int):
    good = world.add_reward()
    world.stake(ETHER)
    for token in (world.reward, good):
        world.notify(7 * ETHER, token)
    world.evm.travel(DAY)
    world.reward.behave(conduct)
    with reverts(FAILED):
        gauge.claim(STAKER, world.reward)
    with reverts(FAILED):
        gauge.claim_to(world.reward, RECEIVER, sender=STAKER)
    assert world.claim_all() == [0, ETHER]
    assert [event.fields["token"] for event in world.evm.events(gauge, "Claimed")] == [good.address]
    assert world.earned() == ETHER
    world.stake(ETHER, SAVER)
    world.withdraw(ETHER)
    assert world.coin.balanceOf(STAKER) == PLENTY
    world.evm.travel(DAY)
    assert world.claim(SAVER, good) == ETHER
    # Nothing of it is lost once it works.
    world.reward.behave(0)
    assert (world.claim(), world.claim(SAVER)) == (ETHER, ETHER)
    assert world.unexplained() == world.unexplained(good) == 0


def test_bad_063_gas__token_that_burns_it__the_others_are_paid_all_the_same(world: Gauges, gauge: Contract):
    tokens = [world.reward, *(world.add_reward() for _ in range(7))]
    world.stake(ETHER)
    for token in tokens:
        world.notify(7 * ETHER, token)
    world.evm.travel(DAY)
    for token in tokens[:-1]:
        token.behave(BURN)
    assert gauge.claim_all(STAKER, gas=2_500_000) == [0] * 7 + [ETHER]
    assert world.evm.gas_used < 2_200_000
    with reverts(FAILED):
        gauge.claim(STAKER, world.reward)
    assert world.earned() == ETHER
    gauge.withdraw(ETHER, sender=STAKER, gas=400_000)


def test_bad_063_gas__claim_all_with_too_little__takes_nothing_away(world: Gauges, gauge: Contract):
    """Anyone may call it with any gas: what could not be sent is still there."""
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    for gas in range(40_000, 140_000, 1_000):
        with world.evm.undone():
            try:
                paid = gauge.claim_all(STAKER, gas=gas)[0]
            except Exception:  # out of gas before the end
                paid = 0
            assert world.earned() == ETHER - paid
            assert world.reward.balanceOf(STAKER) == paid
    assert paid == ETHER


def test_bad_102_reentry__token_that_calls_back__is_locked_out(world: Gauges, gauge: Contract):
    """The token is a staker itself, so that every call would succeed at any other time."""
    token = world.reward
    world.coin.approve(gauge, UNLIMITED, sender=STAKER)
    gauge.stake(ETHER, token, sender=STAKER)
    world.stake(ETHER)
    calls = [
        gauge.encode("withdraw", 1, OUTSIDER),
        gauge.encode("emergency_exit"),
        gauge.encode("claim", STAKER, token),
        gauge.encode("claim_to", token, OUTSIDER),
        gauge.encode("claim_all", STAKER),
        gauge.encode("earned", STAKER, token),
        gauge.encode("reward", token),
        gauge.encode("total_staked"),
    ]
    for payload in calls:
        token.order(gauge, payload)
        world.notify(7 * ETHER)
        assert not token.success()
        world.evm.travel(DAY)
        assert world.claim() > 0
        assert not token.success()
        world.evm.travel(DAY)
        assert world.claim_all()[0] > 0
        assert not token.success()
    assert gauge.staked(token) == ETHER
    # It is the lock: by itself the same call is good.
    token.order(gauge, calls[0])
    world.evm.call(token, "transfer", token.encode("transfer", SAVER, 0), DISTRIBUTOR)
    assert token.success()
    assert gauge.staked(token) == ETHER - 1


def test_claim__token_that_tells_the_receiver__the_receiver_sees_the_final_state(world: Gauges, gauge: Contract):
    wallet = world.evm.deploy("MockWallet")
    gauge.stake(ETHER, wallet, sender=STAKER)
    world.notify(7 * ETHER)
    world.reward.behave(CALL)
    world.evm.travel(DAY)
    wallet.react_with(gauge, gauge.encode("claim", wallet, world.reward))
    assert gauge.claim(wallet, world.reward) == ETHER
    assert [event.fields["success"] for event in world.evm.events(wallet, "Reacted")] == [False]
    assert world.reward.balanceOf(wallet) == ETHER


# --- emergency ---


def test_emergency_exit__whatever_the_rewards_do__returns_all_of_the_stake(world: Gauges, gauge: Contract):
    world.stake(5 * ETHER)
    world.stake(ETHER, SAVER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    world.reward.behave(BURN)
    assert gauge.emergency_exit(sender=STAKER, gas=200_000) == 5 * ETHER
    (event,) = world.evm.events(gauge)
    assert event.name == "EmergencyExit"
    assert event.fields == {"account": STAKER, "amount": 5 * ETHER}
    assert world.coin.balanceOf(STAKER) == PLENTY
    assert (gauge.staked(STAKER), gauge.total_staked()) == (0, ETHER)
    with reverts("gauge: zero amount"):
        gauge.emergency_exit(sender=STAKER)


def test_emergency_exit__what_was_settled__stays_and_what_was_not_is_named(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.stake(ETHER, SAVER)
    world.notify(700 * ETHER)
    world.evm.travel(DAY)
    world.stake(1)
    world.evm.travel(DAY)
    # Somebody's call divides the second day: what it was worth to the staker is forfeited.
    world.claim(SAVER)
    forfeited = world.earnings(STAKER, world.reward) - 50 * ETHER * SCALE
    assert forfeited >= 50 * ETHER * SCALE
    world.evm.travel(DAY)
    gauge.emergency_exit(sender=STAKER)
    assert world.earned() == 50 * ETHER
    # The third day nobody had divided: it is all the saver's.
    assert world.earned(SAVER) == 100 * ETHER
    assert world.unexplained() == forfeited
    world.evm.travel(WEEK)
    world.stake(ETHER)
    assert world.claim() == 50 * ETHER
    assert world.unexplained() == forfeited
    assert world.claim(SAVER) == 500 * ETHER


def test_emergency_exit__last_one__what_nobody_divided_is_idle(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.notify(7 * ETHER)
    world.evm.travel(DAY)
    gauge.emergency_exit(sender=STAKER)
    state = gauge.reward(world.reward)
    assert (state.left, state.idle) == (6 * ETHER, ETHER)
    assert world.unexplained() == world.earned() == 0


def test_emergency_exit__and_in_again__earns_from_then_on(world: Gauges, gauge: Contract):
    world.stake(ETHER)
    world.stake(ETHER, SAVER)
    world.notify(70 * ETHER)
    world.evm.travel(DAY)
    gauge.emergency_exit(sender=STAKER)
    world.stake(ETHER)
    assert world.earned() == 0
    world.evm.travel(DAY)
    assert world.earned() == 5 * ETHER


# --- admin ---


def test_add_reward__by_the_admin__is_there_for_ever(world: Gauges, gauge: Contract):
    token = world.evm.deploy("MockToken")
    gauge.add_reward(token, OUTSIDER, 366 * DAY, sender=world.admin)
    added, appointed = world.evm.events(gauge)
    assert (added.name, appointed.name) == ("RewardAdded", "DistributorSet")
    assert added.fields == {"token": token.address, "distributor": OUTSIDER, "period": 366 * DAY}
    assert appointed.fields == {"token": token.address, "distributor": OUTSIDER}
    assert gauge.reward_tokens() == [world.reward.address, token.address]
    assert gauge.reward(token)[:2] == (OUTSIDER, 366 * DAY)


def test_add_reward__while_people_stake__they_earn_from_then_on(world: Gauges):
    world.stake(ETHER)
    world.evm.travel(DAY)
    token = world.add_reward()
    world.evm.travel(DAY)
    assert world.earned(token=token) == 0
    world.notify(7 * ETHER, token)
    world.evm.travel(DAY)
    assert world.claim_all() == [0, ETHER]


def test_add_reward__what_cannot_be_one__reverts(world: Gauges, gauge: Contract):
    def add(token: Contract | str, period: int = WEEK) -> None:
        gauge.add_reward(token, DISTRIBUTOR, period, sender=world.admin)

    token = world.evm.deploy("MockToken")
    for nobody in (ZERO, OUTSIDER):
        with reverts("token: not a contract"):
            add(nobody)
    with reverts("reward: the staked token"):
        add(world.coin)
    with reverts("reward: known already"):
        add(world.reward)
    for period in (0, 3_599, 366 * DAY + 1, 2**256 - 1):
        with reverts("parameter: out of bounds"):
            add(token, period)
    add(token, 3_600)
    for _ in range(6):
        add(world.evm.deploy("MockToken"))
    with reverts("reward: too many"):
        add(world.evm.deploy("MockToken"))
    assert len(gauge.reward_tokens()) == 8


def test_set_distributor__by_the_admin__replaces_the_old_one(world: Gauges, gauge: Contract):
    gauge.set_distributor(world.reward, OUTSIDER, sender=world.admin)
    (event,) = world.evm.events(gauge)
    assert (event.name, event.fields) == (
        "DistributorSet",
        {"token": world.reward.address, "distributor": OUTSIDER},
    )
    with reverts("caller: not the distributor"):
        gauge.notify(world.reward, 1, sender=DISTRIBUTOR)
    gauge.set_distributor(world.reward, ZERO, sender=world.admin)
    with reverts("caller: not the distributor"):
        gauge.notify(world.reward, 1, sender=OUTSIDER)


def test_set_distributor__unknown_token__reverts(world: Gauges, gauge: Contract):
    with reverts("reward: not known"):
        gauge.set_distributor(world.coin, OUTSIDER, sender=world.admin)


def test_settings__not_the_admin__reverts(world: Gauges, gauge: Contract):
    token = world.evm.deploy("MockToken")
    for sender in (OUTSIDER, DISTRIBUTOR, STAKER):
        with reverts(ROLE):
            gauge.add_reward(token, sender, WEEK, sender=sender)
        with reverts(ROLE):
            gauge.set_distributor(world.reward, sender, sender=sender)
        with reverts(ROLE):
            gauge.grantRole(gauge.DEFAULT_ADMIN_ROLE(), sender, sender=sender)
        with reverts(ROLE):
            gauge.revokeRole(gauge.DEFAULT_ADMIN_ROLE(), world.admin, sender=sender)


# --- cost ---


def test_bad_109_loops__200_stakers__cost_what_two_cost(world: Gauges, gauge: Contract):
    def costs() -> list[int]:
        found = []
        for act in (
            lambda: world.stake(ETHER),
            lambda: world.claim(),
            lambda: world.withdraw(ETHER),
            lambda: world.notify(ETHER),
        ):
            world.evm.travel(DAY)
            act()
            found.append(world.evm.gas_used)
        return found

    world.stake(ETHER)
    world.stake(ETHER, SAVER)
    world.notify(100 * ETHER)
    world.evm.travel(DAY)
    world.claim()
    with world.evm.undone():
        two = costs()
    for number in range(200):
        gauge.stake(ETHER, f"0x{number + 2**100:040x}", sender=SAVER)
    assert costs() == pytest.approx(two, abs=60)


def test_bad_109_loops__eight_tokens_with_streams__each_costs_its_own_part(world: Gauges):
    def cost() -> int:
        world.evm.travel(DAY)
        world.stake(ETHER)
        return world.evm.gas_used

    world.stake(ETHER)
    world.notify(7 * ETHER)
    cost()
    one = cost()
    for _ in range(7):
        world.notify(100 * ETHER, world.add_reward())
    cost()
    assert one < cost() < one + 7 * 27_000
