"""ExitReserve: its own shares as an ERC-7535 vault, what they are worth, and when they can be bought and given back."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import OUTSIDER, RECEIVER, SAVER, SPENDER, STAKER, U96, UNLIMITED, Protocol
from tests.reserve import LOCKED_SHARES, MIN_FIRST_DEPOSIT, Reserve


@pytest.fixture
def world(protocol: Protocol) -> Reserve:
    """Return a reserve with floETH, tickets, of which one is filled in part, and fees that are locked."""
    world = Reserve(protocol)
    world.sell(10 * ETHER)
    world.contract.queue_exits()
    world.sell_ticket(world.ticket(5 * ETHER))
    world.sell(3 * ETHER)
    world.fulfil(12 * ETHER)
    world.evm.travel(DAY // 3)
    return world


@pytest.fixture
def reserve(world: Reserve) -> Contract:
    return world.contract


@pytest.fixture
def empty(protocol: Protocol) -> Reserve:
    return Reserve(protocol, cash=0)


# --- the first deposit ---


def test_deposit__first__leaves_some_shares_at_the_reserve(empty: Reserve):
    reserve, evm = empty.contract, empty.evm
    assert reserve.convertToShares(ETHER) == reserve.convertToAssets(ETHER) == ETHER
    assert reserve.previewDeposit(ETHER) == ETHER - LOCKED_SHARES
    assert reserve.deposit(ETHER, RECEIVER, sender=OUTSIDER, value=ETHER) == ETHER - LOCKED_SHARES
    (event,) = evm.events(reserve, "Deposit")
    assert event.fields == {
        "sender": OUTSIDER,
        "owner": RECEIVER,
        "assets": ETHER,
        "shares": ETHER - LOCKED_SHARES,
    }
    assert reserve.balanceOf(RECEIVER) == ETHER - LOCKED_SHARES
    assert reserve.balanceOf(reserve) == LOCKED_SHARES
    assert reserve.totalSupply() == reserve.totalAssets() == reserve.cash() == ETHER
    empty.check()


def test_mint__first__costs_those_too(empty: Reserve):
    reserve = empty.contract
    assert reserve.previewMint(ETHER) == ETHER + LOCKED_SHARES
    with reverts("mint: value too low"):
        reserve.mint(ETHER, SAVER, sender=SAVER, value=ETHER + LOCKED_SHARES - 1)
    assert reserve.mint(ETHER, SAVER, sender=SAVER, value=ETHER + LOCKED_SHARES) == ETHER + LOCKED_SHARES
    assert reserve.balanceOf(SAVER) == ETHER
    assert reserve.totalSupply() == reserve.totalAssets()
    empty.check()


def test_deposit__first_of_less_than_a_hundredth__reverts(empty: Reserve):
    reserve = empty.contract
    for assets in (0, 1, MIN_FIRST_DEPOSIT - 1):
        shares = max(assets - LOCKED_SHARES, 0)
        with reverts("reserve: first deposit"):
            reserve.deposit(assets, SAVER, sender=SAVER, value=assets)
        with reverts("reserve: first deposit"):
            reserve.previewDeposit(assets)
        with reverts("reserve: first deposit"):
            reserve.mint(shares, SAVER, sender=SAVER, value=ETHER)
        with reverts("reserve: first deposit"):
            reserve.previewMint(shares)
    assert reserve.maxDeposit(SAVER) == U96
    assert reserve.maxMint(SAVER) == U96 - LOCKED_SHARES
    assert reserve.maxWithdraw(SAVER) == reserve.maxRedeem(SAVER) == reserve.previewRedeem(0) == 0
    with reverts("reserve: no value"):
        reserve.previewWithdraw(0)
    with reverts("reserve: no value"):
        reserve.withdraw(0, SAVER, SAVER, sender=SAVER)
    assert empty.provide(MIN_FIRST_DEPOSIT) == MIN_FIRST_DEPOSIT - LOCKED_SHARES


# --- in ---


def test_deposit__later__buys_at_the_value_without_what_is_locked(world: Reserve, reserve: Contract, evm: Evm):
    value, supply = world.value(), reserve.totalSupply()
    assert reserve.locked() > 0
    shares = 7 * ETHER * supply // value
    assert reserve.previewDeposit(7 * ETHER) == reserve.convertToShares(7 * ETHER) == shares
    with reverts("slippage: too few shares"):
        reserve.deposit(7 * ETHER, RECEIVER, shares + 1, sender=OUTSIDER, value=7 * ETHER)
    assert reserve.deposit(7 * ETHER, RECEIVER, shares, sender=OUTSIDER, value=7 * ETHER) == shares
    assert (reserve.balanceOf(RECEIVER), reserve.totalAssets()) == (shares, value + 7 * ETHER)
    assert evm.events(reserve, "Deposit")[0].fields["shares"] == shares
    world.check()


def test_mint__later__costs_the_value_rounded_up_and_gives_back_the_rest(world: Reserve, reserve: Contract, evm: Evm):
    value, supply, ether = world.value(), reserve.totalSupply(), evm.balance(OUTSIDER)
    price = -(-7 * ETHER * value // supply)
    assert reserve.previewMint(7 * ETHER) == price
    with reverts("mint: value too low"):
        reserve.mint(7 * ETHER, RECEIVER, sender=OUTSIDER, value=price - 1)
    assert reserve.mint(7 * ETHER, RECEIVER, sender=OUTSIDER, value=price + ETHER) == price
    assert ether - evm.balance(OUTSIDER) == price
    assert reserve.balanceOf(RECEIVER) == 7 * ETHER
    world.check()


def test_deposit__each_reason__reverts(world: Reserve, reserve: Contract, protocol: Protocol):
    with reverts("deposit: value differs"):
        reserve.deposit(ETHER, SAVER, sender=SAVER, value=ETHER - 1)
    for receiver in (ZERO, reserve, world.pool):
        assert reserve.maxDeposit(receiver) == reserve.maxMint(receiver) == 0
        with reverts("receiver: refused"):
            reserve.deposit(ETHER, receiver, sender=SAVER, value=ETHER)
        with reverts("receiver: refused"):
            reserve.mint(ETHER, receiver, sender=SAVER, value=2 * ETHER)
    with reverts("deposit: zero shares"):
        reserve.deposit(0, SAVER, sender=SAVER)
    with reverts("deposit: zero shares"):
        reserve.mint(0, SAVER, sender=SAVER)
    wallet = protocol.wallet()
    wallet.refuse(True)
    with reverts("ether: send failed"):
        reserve.mint(ETHER, SAVER, sender=wallet, value=2 * ETHER)
    world.check()


def test_deposit__all_that_fits_into_the_books__and_not_a_wei_more(world: Reserve, reserve: Contract, evm: Evm):
    most = reserve.maxDeposit(SAVER)
    assert most == U96 - reserve.cash()
    evm.fund(SAVER, 2**97)
    with reverts("pool: total over 96 bits"):
        reserve.deposit(most + 1, SAVER, sender=SAVER, value=most + 1)
    shares = reserve.maxMint(SAVER)
    with evm.undone():
        assert reserve.mint(shares, SAVER, sender=SAVER, value=most) <= most
    with reverts("pool: total over 96 bits"):
        reserve.mint(shares + 10, SAVER, sender=SAVER, value=2**96)
    assert world.provide(most) == shares
    assert (reserve.maxDeposit(SAVER), reserve.maxMint(SAVER)) == (0, 0)
    world.check()


def test_deposit__loss_pending__reverts_and_withdrawals_bear_it(world: Reserve, reserve: Contract, protocol: Protocol):
    before = reserve.totalAssets()
    protocol.report(pending_loss=10 * ETHER)
    assert reserve.maxDeposit(SAVER) == reserve.maxMint(SAVER) == 0
    with reverts("reserve: loss pending"):
        world.provide(ETHER)
    with reverts("reserve: loss pending"):
        reserve.mint(ETHER, SAVER, sender=SAVER, value=2 * ETHER)
    value, supply = reserve.totalAssets(), reserve.totalSupply()
    assert value < before
    assert reserve.redeem(ETHER, RECEIVER, SAVER, sender=SAVER) == ETHER * value // supply
    world.check()


def test_exits_paused__neither_in_nor_out(world: Reserve, reserve: Contract):
    world.sell(4 * ETHER)
    world.hold_report()
    names = ("maxDeposit", "maxMint", "maxWithdraw", "maxRedeem")
    assert [getattr(reserve, name)(SAVER) for name in names] == [0] * 4
    with reverts("reserve: exits paused"):
        world.provide(ETHER)
    with reverts("reserve: exits paused"):
        reserve.mint(ETHER, SAVER, sender=SAVER, value=2 * ETHER)
    with reverts("reserve: exits paused"):
        reserve.withdraw(ETHER, SAVER, SAVER, sender=SAVER)
    with reverts("reserve: exits paused"):
        reserve.redeem(ETHER, SAVER, SAVER, sender=SAVER)
    # What was bought goes on: tickets are claimed, floETH is queued, shares change hands.
    assert reserve.claim(0) > 0
    assert reserve.queue_exits() > 0
    assert reserve.transfer(RECEIVER, ETHER, sender=SAVER)
    world.evm.travel(DAY)
    assert reserve.redeem(ETHER, RECEIVER, RECEIVER, sender=RECEIVER) > 0
    world.check()


# --- out ---


def test_withdraw__some_wei__burns_their_worth_rounded_up(world: Reserve, reserve: Contract, evm: Evm):
    value, supply, held = world.value(), reserve.totalSupply(), reserve.balanceOf(SAVER)
    shares = -(-9 * ETHER * supply // value)
    assert reserve.previewWithdraw(9 * ETHER) == shares
    with reverts("slippage: too many shares"):
        reserve.withdraw(9 * ETHER, RECEIVER, SAVER, shares - 1, sender=SAVER)
    assert reserve.withdraw(9 * ETHER, RECEIVER, SAVER, shares, sender=SAVER) == shares
    (event,) = evm.events(reserve, "Withdraw")
    assert event.fields == {
        "sender": SAVER,
        "receiver": RECEIVER,
        "owner": SAVER,
        "assets": 9 * ETHER,
        "shares": shares,
    }
    assert (evm.balance(RECEIVER), held - reserve.balanceOf(SAVER)) == (9 * ETHER, shares)
    assert (reserve.totalAssets(), reserve.totalSupply()) == (value - 9 * ETHER, supply - shares)
    world.check()


def test_redeem__some_shares__pays_their_value_rounded_down(world: Reserve, reserve: Contract, evm: Evm):
    value, supply = world.value(), reserve.totalSupply()
    assets = 9 * ETHER * value // supply
    assert reserve.previewRedeem(9 * ETHER) == reserve.convertToAssets(9 * ETHER) == assets
    with reverts("slippage: too few assets"):
        reserve.redeem(9 * ETHER, RECEIVER, SAVER, assets + 1, sender=SAVER)
    assert reserve.redeem(9 * ETHER, RECEIVER, SAVER, assets, sender=SAVER) == assets
    assert (evm.balance(RECEIVER), reserve.totalSupply()) == (assets, supply - 9 * ETHER)
    world.check()


def test_withdraw__each_reason__reverts(world: Reserve, reserve: Contract, protocol: Protocol):
    for receiver in (ZERO, reserve, world.pool):
        with reverts("receiver: refused"):
            reserve.withdraw(ETHER, receiver, SAVER, sender=SAVER)
        with reverts("receiver: refused"):
            reserve.redeem(ETHER, receiver, SAVER, sender=SAVER)
    cash = reserve.cash()
    with reverts("reserve: too little ETH"):
        reserve.withdraw(cash + 1, SAVER, SAVER, sender=SAVER)
    with reverts("reserve: too little ETH"):
        reserve.redeem(reserve.balanceOf(SAVER), SAVER, SAVER, sender=SAVER)
    with reverts("erc20: burn amount exceeds balance"):
        reserve.withdraw(1, OUTSIDER, OUTSIDER, sender=OUTSIDER)
    with reverts("erc20: burn amount exceeds balance"):
        reserve.redeem(1, OUTSIDER, OUTSIDER, sender=OUTSIDER)
    wallet = protocol.wallet()
    wallet.refuse(True)
    with reverts("ether: send failed"):
        reserve.withdraw(ETHER, wallet, SAVER, sender=SAVER)
    with reverts("ether: send failed"):
        reserve.redeem(ETHER, wallet, SAVER, sender=SAVER)
    with reverts("erc20: approve from the zero address"):
        reserve.withdraw(0, SAVER, ZERO, sender=SAVER)
    with reverts("erc20: approve from the zero address"):
        reserve.redeem(0, SAVER, ZERO, sender=SAVER)
    world.check()


def test_max__both_ways_out__is_what_the_cash_allows_to_the_wei(world: Reserve, reserve: Contract, evm: Evm):
    assert reserve.convertToAssets(reserve.balanceOf(SAVER)) > reserve.cash()
    assert reserve.maxWithdraw(SAVER) == reserve.cash()
    most = reserve.maxRedeem(SAVER)
    assert most < reserve.balanceOf(SAVER)
    with reverts("reserve: too little ETH"):
        reserve.redeem(most + 1, RECEIVER, SAVER, sender=SAVER)
    with evm.undone():
        preview = reserve.previewRedeem(most)
        assert reserve.redeem(most, RECEIVER, SAVER, sender=SAVER) == preview
        assert reserve.cash() <= 1
    reserve.withdraw(reserve.cash(), RECEIVER, SAVER, sender=SAVER)
    assert reserve.maxWithdraw(SAVER) == 0
    # Somebody with less than the cash can take out all.
    world.provide(5 * ETHER)
    reserve.transfer(RECEIVER, ETHER, sender=SAVER)
    assert reserve.maxRedeem(RECEIVER) == ETHER
    assert reserve.maxWithdraw(RECEIVER) == reserve.previewRedeem(ETHER)
    reserve.withdraw(reserve.maxWithdraw(RECEIVER), RECEIVER, RECEIVER, sender=RECEIVER)
    assert reserve.balanceOf(RECEIVER) <= 1
    assert reserve.maxWithdraw(SPENDER) == reserve.maxRedeem(SPENDER) == 0
    world.check()


AMOUNTS = st.integers(2, 10**4) | st.integers(2, 60 * ETHER)


@given(amount=AMOUNTS, kind=st.sampled_from(["deposit", "mint", "withdraw", "redeem"]))
def test_conversions__any_amount__round_for_those_who_stay(world: Reserve, amount: int, kind: str):
    reserve = world.contract
    price, supply = world.share_value(), reserve.totalSupply()
    with world.evm.undone():
        if kind == "deposit":
            reserve.deposit(amount, OUTSIDER, sender=OUTSIDER, value=amount)
        elif kind == "mint":
            reserve.mint(amount, OUTSIDER, sender=OUTSIDER, value=100 * ETHER)
        elif kind == "withdraw":
            reserve.withdraw(amount, RECEIVER, SAVER, sender=SAVER)
        else:
            reserve.redeem(amount, RECEIVER, SAVER, sender=SAVER)
        assert 0 <= world.share_value() - price < 2 * (price + 1) / min(supply, reserve.totalSupply())


# --- locked fees and losses ---


def test_value__fees__enter_it_evenly_over_a_day(protocol: Protocol):
    world = Reserve(protocol)
    reserve = world.contract
    before = reserve.totalAssets()
    world.sell(50 * ETHER)
    fee = reserve.locked()
    rate = world.pool.exit_rate()
    last = before
    for part in range(1, 9):
        world.evm.travel(DAY // 8)
        left = fee - fee * part // 8
        assert reserve.locked() == left
        rewards = 50 * (world.pool.exit_rate() - rate)
        assert reserve.totalAssets() == pytest.approx(before + fee - left + rewards, abs=60)
        assert reserve.totalAssets() > last
        last = reserve.totalAssets()
    world.evm.travel(DAY)
    assert reserve.locked() == 0
    world.check()


def test_value__loss_larger_than_all_but_the_fees__is_nothing_until_they_are_free(protocol: Protocol):
    world = Reserve(protocol, cash=ETHER // 10, fee_min=100_000, fee_max=100_000)
    reserve = world.contract
    # Sold and bought back all day, fees are most of what is there.
    protocol.report()
    for _ in range(40):
        shares = reserve.cash() * ETHER // world.pool.exit_rate()
        world.sell(shares)
        reserve.stake(SAVER, sender=OUTSIDER, value=int(world.pool.previewMint(shares)))
    world.sell(reserve.cash() * ETHER // world.pool.exit_rate())
    locked = reserve.locked()
    assert locked > 3 * reserve.totalAssets()
    protocol.set_parameters(target_bps=0)
    protocol.to_validators()
    protocol.rate_falls_to(1, 10)
    assert world.size() < locked
    assert (
        reserve.totalAssets() == reserve.maxDeposit(SAVER) == reserve.maxMint(SAVER) == reserve.maxWithdraw(SAVER) == 0
    )
    assert reserve.previewRedeem(ETHER) == 0
    assert reserve.maxRedeem(SAVER) == reserve.balanceOf(SAVER)
    for call in (
        lambda: world.provide(ETHER),
        lambda: reserve.mint(1, SAVER, sender=SAVER, value=ETHER),
        lambda: reserve.withdraw(1, SAVER, SAVER, sender=SAVER),
        lambda: reserve.convertToShares(1),
        lambda: reserve.previewDeposit(1),
        lambda: reserve.previewMint(1),
        lambda: reserve.previewWithdraw(1),
    ):
        with reverts("reserve: no value"):
            call()
    world.check()
    world.evm.travel(DAY)
    assert reserve.totalAssets() == world.size() > 0
    protocol.report()
    assert world.provide(ETHER) > 0
    world.check()


def test_history__of_every_kind__share_value_never_falls_but_by_losses(protocol: Protocol):
    world = Reserve(protocol)
    reserve = world.contract
    steps = [
        lambda: world.sell(20 * ETHER),
        lambda: reserve.queue_exits(),
        lambda: world.provide(13 * ETHER, OUTSIDER),
        lambda: world.sell_ticket(world.ticket(4 * ETHER)),
        lambda: world.evm.travel(DAY // 5),
        lambda: reserve.redeem(5 * ETHER, OUTSIDER, OUTSIDER, sender=OUTSIDER),
        lambda: world.fulfil(17 * ETHER),
        lambda: reserve.claim(0),
        lambda: world.sell(11 * ETHER),
        lambda: reserve.stake(sender=OUTSIDER, value=3 * ETHER),
        lambda: world.evm.travel(DAY),
        lambda: world.fulfil(),
        lambda: reserve.withdraw(7 * ETHER, SAVER, SAVER, sender=SAVER),
        lambda: reserve.queue_exits(),
    ]
    for _ in range(2):
        for step in steps:
            before = world.share_value()
            step()
            # A fulfilment may round down by less than two wei for each of two tickets.
            assert world.share_value() >= before - Fraction(4, reserve.totalSupply())
            world.check()
    before = world.share_value()
    assert before > 1
    protocol.report(gain=-20 * ETHER)
    assert world.share_value() < before


# --- ERC-20 ---


def test_transfer__to_whom_it_would_be_lost__reverts(world: Reserve, reserve: Contract):
    reserve.approve(SPENDER, UNLIMITED, sender=SAVER)
    for receiver in (ZERO, reserve, world.pool):
        with reverts("receiver: refused"):
            reserve.transfer(receiver, 1, sender=SAVER)
        with reverts("receiver: refused"):
            reserve.transferFrom(SAVER, receiver, 1, sender=SPENDER)


def test_transfer__shares_of_the_reserve_itself__cannot_be_moved(reserve: Contract):
    for account in (STAKER, SAVER):
        with reverts("erc20: insufficient allowance"):
            reserve.transferFrom(reserve, account, 1, sender=account)
        with reverts("erc20: insufficient allowance"):
            reserve.redeem(1, account, reserve, sender=account)
        with reverts("erc20: insufficient allowance"):
            reserve.withdraw(ETHER, account, reserve, sender=account)


def test_withdraw__with_an_allowance__spends_it(world: Reserve, reserve: Contract):
    reserve.approve(SPENDER, 10 * ETHER, sender=SAVER)
    reserve.redeem(4 * ETHER, SPENDER, SAVER, sender=SPENDER)
    burnt = reserve.withdraw(5 * ETHER, SPENDER, SAVER, sender=SPENDER)
    left = 6 * ETHER - burnt
    assert reserve.allowance(SAVER, SPENDER) == left
    with reverts("erc20: insufficient allowance"):
        reserve.redeem(left + 1, SPENDER, SAVER, sender=SPENDER)
    with reverts("erc20: insufficient allowance"):
        reserve.withdraw(2 * ETHER, SPENDER, SAVER, sender=SPENDER)
    world.check()
