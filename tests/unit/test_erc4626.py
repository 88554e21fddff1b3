"""ERC-7535, native-ETH ERC-4626: previews against the real thing, round trips, limits to the wei, in every state.

The properties are those that vault suites for ERC-4626 agree on: what a preview promises is kept in the same
transaction, no round trip gains, a maximum succeeds and one more reverts, and asking for it never reverts.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, RevertError, reverts
from tests.protocol import (
    DEPOSIT,
    FULFIL,
    GUARDIAN,
    INSTANT_EXIT,
    OUTSIDER,
    PARAMETERS,
    RECEIVER,
    SAVER,
    STAKER,
    UNLIMITED,
    Protocol,
)

# --- states that a pool can be in ---


def busy_queue(protocol: Protocol) -> None:
    protocol.request(30 * ETHER)
    protocol.report(tail=20 * ETHER)


def rate_below_one(protocol: Protocol) -> None:
    protocol.rate_falls_to(2, 3)
    # Far below 96 bits, where maxima are one share short of exact.
    protocol.pool.set_deposit_ceiling(10**8 * 10**9, sender=protocol.admin)


def near_the_ceiling(protocol: Protocol) -> None:
    assets = protocol.pool.state()[0] >> 96 & 2**96 - 1
    protocol.pool.set_deposit_ceiling(assets // 10**9 + 2, sender=protocol.admin)


def over_the_ceiling(protocol: Protocol) -> None:
    protocol.pool.set_deposit_ceiling(1, sender=protocol.admin)


def all_paused(protocol: Protocol) -> None:
    protocol.pool.pause(DEPOSIT | FULFIL | INSTANT_EXIT, protocol.evm.now + DAY, sender=GUARDIAN)


def allowance_used(protocol: Protocol) -> None:
    protocol.pool.redeem(protocol.pool.maxRedeem(SAVER) - 10**6, SAVER, SAVER, sender=SAVER)


def dear_exit(protocol: Protocol) -> None:
    protocol.set_parameters(instant_fee_min=0, instant_fee_max=50_000, allowance_bps=2_000)
    protocol.report()


STATES: dict[str, Callable[[Protocol], object]] = {
    "warm": lambda _: None,
    "rate below one": rate_below_one,
    "small loss pending": lambda protocol: protocol.report(pending_loss=ETHER),
    "large loss pending": lambda protocol: protocol.report(pending_loss=50 * ETHER),
    "busy queue": busy_queue,
    "buffer owed": lambda protocol: protocol.request(100 * ETHER),
    "buffer plentiful": lambda protocol: protocol.stake(300 * ETHER, SAVER),
    "near the ceiling": near_the_ceiling,
    "over the ceiling": over_the_ceiling,
    "all paused": all_paused,
    "report stale": lambda protocol: protocol.evm.travel(PARAMETERS.stale_after),
    "allowance nearly used": allowance_used,
    "dear exit": dear_exit,
}
OPEN = ["warm", "rate below one", "busy queue", "buffer plentiful", "dear exit"]
"""States in which one can go in and out."""


@pytest.fixture(params=list(STATES))
def anyhow(protocol: Protocol, request: pytest.FixtureRequest) -> Protocol:
    STATES[request.param](protocol)
    return protocol


@pytest.fixture(params=OPEN)
def usable(protocol: Protocol, request: pytest.FixtureRequest) -> Protocol:
    STATES[request.param](protocol)
    return protocol


# --- views ---


def test_asset__native_ether__is_named_as_erc7528_says(pool: Contract):
    assert pool.asset() == "0x" + "ee" * 20
    assert pool.decimals() == 18


def test_bad_032_views__any_state__never_revert(anyhow: Protocol):
    pool = anyhow.pool
    for account in (STAKER, OUTSIDER, RECEIVER, ZERO, pool.address, anyhow.queue.address, anyhow.token.address):
        for name in ("maxDeposit", "maxMint", "maxWithdraw", "maxRedeem"):
            getattr(pool, name)(account)
    for amount in (0, 1, 2, ETHER, 2**96, 2**128 - 1):
        for name in ("convertToShares", "convertToAssets", "previewDeposit", "previewMint", "previewRedeem"):
            getattr(pool, name)(amount)
        pool.previewWithdraw(amount)
    assert pool.totalAssets() > 0


def test_views__all_assets_lost__never_revert_but_where_there_is_no_price(worthless: Protocol):
    pool = worthless.pool
    assert pool.totalAssets() == 0
    for account in (STAKER, ZERO, pool.address):
        assert pool.maxDeposit(account) == pool.maxMint(account) == 0
        assert pool.maxWithdraw(account) == pool.maxRedeem(account) == 0
    assert pool.convertToAssets(ETHER) == pool.previewMint(ETHER) == pool.previewRedeem(ETHER) == 0
    for view in (pool.convertToShares, pool.previewDeposit, pool.previewWithdraw):
        with reverts("pool: no value"):
            view(ETHER)


def test_conversions_and_previews__any_caller__see_the_same(anyhow: Protocol):
    pool = anyhow.pool
    names = ["convertToShares", "convertToAssets", "previewDeposit", "previewMint", "previewWithdraw", "previewRedeem"]
    for name in names:
        seen = {
            getattr(pool, name)(12_345_678_901, sender=sender) for sender in (STAKER, OUTSIDER, SAVER, anyhow.admin)
        }
        assert len(seen) == 1, name


@given(amount=st.integers(0, 2**96))
def test_conversions__there_and_back__never_gain(anyhow: Protocol, amount: int):
    pool = anyhow.pool
    assert pool.convertToAssets(pool.convertToShares(amount)) <= amount
    assert pool.convertToShares(pool.convertToAssets(amount)) <= amount


@given(amount=st.integers(0, 2**96))
def test_bad_032_previews__against_conversions__never_better(anyhow: Protocol, amount: int):
    pool = anyhow.pool
    assert pool.previewDeposit(amount) <= pool.convertToShares(amount)
    assert pool.previewMint(amount) >= pool.convertToAssets(amount)
    assert pool.previewRedeem(amount) <= pool.convertToAssets(amount)
    assert pool.previewWithdraw(amount) >= pool.convertToShares(amount)


# --- previews and deeds ---


@given(assets=st.integers(2, 10**24))
def test_deposit__any_amount__gives_what_was_previewed(usable: Protocol, assets: int):
    pool = usable.pool
    with usable.evm.undone():
        expected, held, wealth = pool.previewDeposit(assets), pool.totalAssets(), usable.evm.balance(OUTSIDER)
        assert pool.deposit(assets, RECEIVER, sender=OUTSIDER, value=assets) == expected
        assert pool.balanceOf(RECEIVER) == expected
        assert pool.totalAssets() == held + assets
        assert usable.evm.balance(OUTSIDER) == wealth - assets


@given(shares=st.integers(1, 10**23))
def test_mint__any_shares__cost_what_was_previewed(usable: Protocol, shares: int):
    pool = usable.pool
    with usable.evm.undone():
        expected, held, wealth = pool.previewMint(shares), pool.totalAssets(), usable.evm.balance(OUTSIDER)
        assert pool.mint(shares, RECEIVER, sender=OUTSIDER, value=2 * expected) == expected
        assert pool.balanceOf(RECEIVER) == shares
        assert pool.totalAssets() == held + expected
        assert usable.evm.balance(OUTSIDER) == wealth - expected


@given(part=st.integers(1, 10**6))
def test_withdraw__any_part_of_the_maximum__costs_what_was_previewed(usable: Protocol, part: int):
    pool = usable.pool
    with usable.evm.undone():
        assets = max(pool.maxWithdraw(STAKER) * part // 10**6, 1)
        expected, held = pool.previewWithdraw(assets), pool.balanceOf(STAKER)
        assert pool.withdraw(assets, RECEIVER, STAKER, sender=STAKER) == expected
        assert usable.evm.balance(RECEIVER) == assets
        assert pool.balanceOf(STAKER) == held - expected


@given(part=st.integers(1, 10**6))
def test_redeem__any_part_of_the_maximum__pays_what_was_previewed(usable: Protocol, part: int):
    pool = usable.pool
    with usable.evm.undone():
        shares = max(pool.maxRedeem(STAKER) * part // 10**6, 10)
        expected, held = pool.previewRedeem(shares), pool.balanceOf(STAKER)
        assert pool.redeem(shares, RECEIVER, STAKER, sender=STAKER) == expected
        assert usable.evm.balance(RECEIVER) == expected
        assert pool.balanceOf(STAKER) == held - shares


# --- round trips ---

AMOUNT = st.integers(10, 10**19)


def enter_by_deposit(pool: Contract, assets: int) -> int:
    return int(pool.deposit(assets, STAKER, sender=STAKER, value=assets))


def enter_by_mint(pool: Contract, shares: int) -> int:
    return int(pool.mint(shares, STAKER, sender=STAKER, value=pool.previewMint(shares)))


def leave_by_withdraw(pool: Contract, assets: int) -> int:
    return int(pool.withdraw(assets, STAKER, STAKER, sender=STAKER))


def leave_by_redeem(pool: Contract, shares: int) -> int:
    return int(pool.redeem(shares, STAKER, STAKER, sender=STAKER))


@given(assets=AMOUNT)
def test_round_trip__in_by_deposit__never_gains(usable: Protocol, assets: int):
    pool = usable.pool
    with usable.evm.undone():
        shares = enter_by_deposit(pool, assets)
        assert leave_by_redeem(pool, shares) <= assets
    with usable.evm.undone():
        shares = enter_by_deposit(pool, assets)
        assert leave_by_withdraw(pool, assets) >= shares


@given(shares=AMOUNT)
def test_round_trip__in_by_mint__never_gains(usable: Protocol, shares: int):
    pool = usable.pool
    with usable.evm.undone():
        assets = enter_by_mint(pool, shares)
        assert leave_by_redeem(pool, shares) <= assets
    with usable.evm.undone():
        assets = enter_by_mint(pool, shares)
        assert leave_by_withdraw(pool, assets) >= shares


@given(shares=AMOUNT)
def test_round_trip__out_by_redeem__never_gains(usable: Protocol, shares: int):
    pool = usable.pool
    with usable.evm.undone():
        assets = leave_by_redeem(pool, shares)
        assert assets == 1 or enter_by_deposit(pool, assets) <= shares
    with usable.evm.undone():
        assets = leave_by_redeem(pool, shares)
        assert enter_by_mint(pool, shares) >= assets


@given(assets=AMOUNT)
def test_round_trip__out_by_withdraw__never_gains(usable: Protocol, assets: int):
    pool = usable.pool
    with usable.evm.undone():
        shares = leave_by_withdraw(pool, assets)
        assert enter_by_deposit(pool, assets) <= shares
    with usable.evm.undone():
        shares = leave_by_withdraw(pool, assets)
        assert enter_by_mint(pool, shares) >= assets


# --- limits ---


def succeeds(evm: Evm, call: Callable[..., object], *arguments: object, **options: object) -> bool:
    with evm.undone():
        try:
            call(*arguments, **options)
        except RevertError:
            return False
    return True


def test_bad_032_max_deposit__any_state__is_the_most_that_succeeds(anyhow: Protocol):
    evm, pool = anyhow.evm, anyhow.pool
    evm.fund(OUTSIDER, 2**97)
    most = pool.maxDeposit(RECEIVER)
    for assets, expected in ((most, most > 0), (most + 1, False), (most + ETHER, False)):
        assert succeeds(evm, pool.deposit, assets, RECEIVER, sender=OUTSIDER, value=assets) is expected


def test_bad_032_max_mint__any_state__is_the_most_that_succeeds(anyhow: Protocol):
    evm, pool = anyhow.evm, anyhow.pool
    evm.fund(OUTSIDER, 2**97)
    most = pool.maxMint(RECEIVER)
    for shares, expected in ((most, most > 0), (most + 1, False), (most + ETHER, False)):
        assert succeeds(evm, pool.mint, shares, RECEIVER, sender=OUTSIDER, value=2**97) is expected


@pytest.mark.parametrize("held", ["nothing", "a share", "a hundred shares", "a few", "much"])
def test_bad_032_max_redeem__any_state_and_holder__is_the_most_that_succeeds(anyhow: Protocol, held: str):
    evm, pool = anyhow.evm, anyhow.pool
    owner = holder(anyhow, held)
    most = pool.maxRedeem(owner)
    for shares, expected in ((most, most > 0), (most + 1, False), (most + ETHER, False)):
        assert expected is succeeds(evm, lambda shares=shares: pool.redeem(shares, RECEIVER, owner, sender=owner))


@pytest.mark.parametrize("held", ["nothing", "a share", "a hundred shares", "a few", "much"])
def test_bad_032_max_withdraw__any_state_and_holder__is_the_most_that_succeeds(anyhow: Protocol, held: str):
    """To the wei, but for one step of the fee rate, which counts in millionths: there a wei less can pay more."""
    evm, pool = anyhow.evm, anyhow.pool
    owner = holder(anyhow, held)
    most = pool.maxWithdraw(owner)
    step = 2 * most // 10**6
    for assets, expected in ((most, most > 0), (most + 1 + step, False), (most + ETHER, False)):
        assert expected is succeeds(evm, lambda assets=assets: pool.withdraw(assets, RECEIVER, owner, sender=owner))
    assert most == pool.previewRedeem(pool.maxRedeem(owner))


def holder(protocol: Protocol, held: str) -> str:
    """Return an account with so many shares."""
    if held == "much":
        return STAKER
    amount = {"nothing": 0, "a share": 1, "a hundred shares": 100, "a few": 3 * ETHER + 7}[held]
    protocol.pool.transfer(OUTSIDER, amount, sender=STAKER)
    return OUTSIDER


def test_max__at_96_bits__is_never_too_high(evm: Evm, protocol: Protocol):
    """With a rate below one, the shares reach 2**96 before the assets do."""
    pool = protocol.pool
    protocol.rate_falls_to(2, 7)
    evm.fund(OUTSIDER, 2**97)
    assets, shares = pool.maxDeposit(RECEIVER), pool.maxMint(RECEIVER)
    assert succeeds(evm, pool.deposit, assets, RECEIVER, sender=OUTSIDER, value=assets)
    assert succeeds(evm, pool.mint, shares, RECEIVER, sender=OUTSIDER, value=2**97)
    assert not succeeds(evm, pool.deposit, assets + 3, RECEIVER, sender=OUTSIDER, value=assets + 3)
    assert not succeeds(evm, pool.mint, shares + 5, RECEIVER, sender=OUTSIDER, value=2**97)


def test_max__limits_of_the_receiver__count(protocol: Protocol):
    """Nobody can be staked for at these addresses; each has shares, or could."""
    pool = protocol.pool
    for refused in (ZERO, pool, protocol.queue):
        assert pool.maxDeposit(refused) == pool.maxMint(refused) == 0
    assert pool.maxDeposit(protocol.token) > 0


# --- allowance ---


def test_bad_031_exits__of_somebody_else__spend_an_allowance_of_shares(usable: Protocol):
    pool = usable.pool
    for name in ("withdraw", "redeem"):
        with reverts("allowance: too low"):
            getattr(pool, name)(ETHER, OUTSIDER, STAKER, sender=OUTSIDER)
    pool.approve(OUTSIDER, 3 * ETHER, sender=STAKER)
    shares = pool.withdraw(ETHER, OUTSIDER, STAKER, sender=OUTSIDER)
    assert pool.allowance(STAKER, OUTSIDER) == 3 * ETHER - shares
    pool.redeem(ETHER, OUTSIDER, STAKER, sender=OUTSIDER)
    assert pool.allowance(STAKER, OUTSIDER) == 2 * ETHER - shares
    pool.approve(OUTSIDER, UNLIMITED, sender=STAKER)
    pool.redeem(ETHER, OUTSIDER, STAKER, sender=OUTSIDER)
    assert pool.allowance(STAKER, OUTSIDER) == UNLIMITED
