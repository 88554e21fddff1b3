"""RebasingToken: shares inside, ETH outside, and no rounding in anybody's favour but a share at most."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import (
    DEPOSIT,
    GUARDIAN,
    OUTSIDER,
    RECEIVER,
    SAVER,
    SPENDER,
    STAKER,
    UNLIMITED,
    Protocol,
)

SHARES = 40 * ETHER + 12_345_678_987_654_321


@pytest.fixture
def wrapped(protocol: Protocol) -> Protocol:
    """Return a protocol in which staker and saver have wrapped shares."""
    for account in (STAKER, SAVER):
        protocol.pool.approve(protocol.token, UNLIMITED, sender=account)
        protocol.token.wrap(SHARES, sender=account)
    return protocol


def worth(pool: Contract, shares: int) -> Fraction:
    """Entry value of `shares` in wei, exactly."""
    value, supply = pool.entry_price()
    return Fraction(shares * value, supply)


def test_token__deployed__has_a_name_and_no_supply(fresh: Protocol):
    token = fresh.token
    assert (token.name(), token.symbol(), token.decimals()) == ("Floe ETH rebasing", "rfloETH", 18)
    assert token.pool() == fresh.pool.address
    assert token.totalSupply() == token.total_shares() == 0


# --- wrap and unwrap ---


def test_wrap__approved_shares__become_a_balance_in_wei(evm: Evm, protocol: Protocol):
    pool, token = protocol.pool, protocol.token
    pool.approve(token, SHARES, sender=STAKER)
    held = pool.balanceOf(STAKER)
    amount = token.wrap(SHARES, sender=STAKER)
    assert amount == int(worth(pool, SHARES)) == token.balanceOf(STAKER) == token.totalSupply()
    assert [(e.name, e.fields) for e in evm.events(token)] == [
        ("Transfer", {"sender": ZERO, "receiver": STAKER, "value": amount}),
        ("TransferShares", {"sender": ZERO, "receiver": STAKER, "shares": SHARES}),
    ]
    assert token.shares_of(STAKER) == token.total_shares() == pool.balanceOf(token) == SHARES
    assert pool.balanceOf(STAKER) == held - SHARES


def test_wrap__refused__reverts(protocol: Protocol):
    pool, token = protocol.pool, protocol.token
    with reverts("wrap: zero shares"):
        token.wrap(0, sender=STAKER)
    with reverts("allowance: too low"):
        token.wrap(1, sender=STAKER)
    pool.approve(token, UNLIMITED, sender=STAKER)
    with reverts("balance: too low"):
        token.wrap(pool.balanceOf(STAKER) + 1, sender=STAKER)
    assert token.total_shares() == 0


def test_unwrap__some_shares__gives_exactly_them_back(evm: Evm, wrapped: Protocol):
    pool, token = wrapped.pool, wrapped.token
    held = pool.balanceOf(STAKER)
    amount = token.unwrap(SHARES - 1, sender=STAKER)
    assert amount == int(worth(pool, SHARES - 1))
    assert [(e.name, e.fields) for e in evm.events(token)] == [
        ("Transfer", {"sender": STAKER, "receiver": ZERO, "value": amount}),
        ("TransferShares", {"sender": STAKER, "receiver": ZERO, "shares": SHARES - 1}),
    ]
    assert pool.balanceOf(STAKER) == held + SHARES - 1
    assert token.shares_of(STAKER) == 1
    assert token.total_shares() == pool.balanceOf(token) == SHARES + 1


def test_unwrap__refused__reverts(wrapped: Protocol):
    token = wrapped.token
    with reverts("wrap: zero shares"):
        token.unwrap(0, sender=STAKER)
    with reverts("balance: too low"):
        token.unwrap(SHARES + 1, sender=STAKER)
    with reverts("balance: too low"):
        token.unwrap(1, sender=OUTSIDER)


# --- stake ---


def test_stake__for_oneself_or_another__stakes_and_wraps(evm: Evm, protocol: Protocol):
    pool, token = protocol.pool, protocol.token
    expected = pool.previewDeposit(ETHER)
    assert token.stake(sender=OUTSIDER, value=ETHER) == expected
    assert token.shares_of(OUTSIDER) == expected
    assert evm.events(pool, "Deposit")[0].fields["owner"] == token.address
    shares = token.stake(RECEIVER, sender=OUTSIDER, value=2 * ETHER)
    assert token.shares_of(RECEIVER) == shares
    assert token.total_shares() == pool.balanceOf(token) == expected + shares
    assert 2 * ETHER - 2 <= token.balanceOf(RECEIVER) <= 2 * ETHER


def test_stake__min_shares_and_referral__are_passed_on(evm: Evm, protocol: Protocol):
    pool, token = protocol.pool, protocol.token
    expected = pool.previewDeposit(ETHER)
    with reverts("slippage: too few shares"):
        token.stake(RECEIVER, expected + 1, sender=OUTSIDER, value=ETHER)
    token.stake(RECEIVER, expected, SAVER, sender=OUTSIDER, value=ETHER)
    assert evm.events(pool, "Referral")[0].fields["referral"] == SAVER


def test_stake__refused__reverts(evm: Evm, protocol: Protocol):
    pool, token = protocol.pool, protocol.token
    for receiver in (ZERO, token):
        with reverts("receiver: refused"):
            token.stake(receiver, sender=OUTSIDER, value=ETHER)
    with reverts("deposit: zero shares"):
        token.stake(sender=OUTSIDER, value=1)
    with evm.undone():
        pool.pause(DEPOSIT, evm.now + 1, sender=GUARDIAN)
        with reverts("deposit: paused"):
            token.stake(sender=OUTSIDER, value=ETHER)
    with evm.undone():
        protocol.report(pending_loss=10 * ETHER)
        with reverts("deposit: loss pending"):
            token.stake(sender=OUTSIDER, value=ETHER)
    with evm.undone():
        pool.set_deposit_ceiling(0, sender=protocol.admin)
        with reverts("deposit: over the ceiling"):
            token.stake(sender=OUTSIDER, value=ETHER)
    with evm.undone():
        protocol.rate_falls_to(1, 5)
        evm.fund(OUTSIDER, 2**96)
        with reverts("pool: total over 96 bits"):
            token.stake(sender=OUTSIDER, value=2**95)


def test_stake__all_assets_lost__reverts(worthless: Protocol):
    with reverts("pool: no value"):
        worthless.token.stake(sender=STAKER, value=ETHER)


def test_token__plain_ether__is_refused(token: Contract):
    with reverts():
        token.receive(sender=OUTSIDER, value=1)


# --- balances ---


def test_balances__as_rewards_stream__grow_by_the_second(evm: Evm, wrapped: Protocol):
    pool, token = wrapped.pool, wrapped.token
    seen = []
    for _ in range(5):
        assert token.balanceOf(STAKER) == int(worth(pool, SHARES))
        assert token.totalSupply() == int(worth(pool, 2 * SHARES))
        seen.append(token.balanceOf(STAKER))
        evm.travel(DAY // 8)
    assert sorted(set(seen)) == seen


def test_balances__after_a_loss__fall_for_all_alike(wrapped: Protocol):
    token = wrapped.token
    before = token.balanceOf(STAKER)
    wrapped.rate_falls_to(1, 2)
    assert token.balanceOf(STAKER) == token.balanceOf(SAVER) < before
    assert token.shares_of(STAKER) == SHARES


def test_balances__sum__never_exceeds_the_supply(evm: Evm, wrapped: Protocol):
    token = wrapped.token
    token.transfer_shares(RECEIVER, 7, sender=STAKER)
    evm.travel(1)
    total = sum(token.balanceOf(a) for a in (STAKER, SAVER, RECEIVER))
    assert 0 <= token.totalSupply() - total <= 2


# --- transfers of amounts ---


@pytest.mark.parametrize("rate", ["1.07", "0.3"])
@given(amount=st.integers(0, 10 * ETHER))
def test_transfer__any_amount__moves_the_least_shares_that_are_worth_it(wrapped: Protocol, rate: str, amount: int):
    evm, pool, token = wrapped.evm, wrapped.pool, wrapped.token
    with evm.undone():
        if rate == "0.3":
            wrapped.rate_falls_to(2, 7)
        token.transfer_shares(RECEIVER, 12_345, sender=SAVER)
        before = token.balanceOf(RECEIVER)
        token.transfer(RECEIVER, amount, sender=STAKER)
        moved = evm.events(token, "TransferShares")[0].fields["shares"]
        assert moved == SHARES - token.shares_of(STAKER) == token.shares_of(RECEIVER) - 12_345
        assert worth(pool, moved) >= amount
        assert moved == 0 or worth(pool, moved - 1) < amount
        assert token.balanceOf(RECEIVER) >= before + amount
        assert evm.events(token, "Transfer")[0].fields["value"] == amount
        assert token.total_shares() == 2 * SHARES


def test_transfer__all_assets_lost__reverts(worthless: Protocol):
    pool, token = worthless.pool, worthless.token
    pool.approve(token, UNLIMITED, sender=STAKER)
    assert token.wrap(ETHER, sender=STAKER) == 0
    with reverts("pool: no value"):
        token.transfer(RECEIVER, 1, sender=STAKER)
    token.approve(SPENDER, 1, sender=STAKER)
    with reverts("pool: no value"):
        token.transferFrom(STAKER, RECEIVER, 1, sender=SPENDER)
    # Any number of shares amounts to 0 wei now, which no allowance would guard.
    with reverts("pool: no value"):
        token.transfer_shares_from(STAKER, RECEIVER, 1, sender=SPENDER)
    # Shares can still be moved and unwrapped.
    assert token.transfer_shares(RECEIVER, 5, sender=STAKER) == 0
    assert token.unwrap(5, sender=RECEIVER) == 0
    assert pool.balanceOf(RECEIVER) == 5


# --- transfers of shares ---


def test_transfer_shares__exactly__moves_them(evm: Evm, wrapped: Protocol):
    pool, token = wrapped.pool, wrapped.token
    amount = token.transfer_shares(RECEIVER, 7 * ETHER, sender=STAKER)
    assert amount == int(worth(pool, 7 * ETHER))
    assert [(e.name, e.fields) for e in evm.events(token)] == [
        ("Transfer", {"sender": STAKER, "receiver": RECEIVER, "value": amount}),
        ("TransferShares", {"sender": STAKER, "receiver": RECEIVER, "shares": 7 * ETHER}),
    ]
    assert token.shares_of(RECEIVER) == 7 * ETHER
    assert token.shares_of(STAKER) == SHARES - 7 * ETHER


def test_transfer_shares__refused__reverts(wrapped: Protocol):
    token = wrapped.token
    with reverts("balance: too low"):
        token.transfer_shares(RECEIVER, SHARES + 1, sender=STAKER)
    for receiver in (ZERO, token):
        with reverts("receiver: refused"):
            token.transfer_shares(receiver, 1, sender=STAKER)
        with reverts("receiver: refused"):
            token.transfer_shares_from(STAKER, receiver, 1, sender=STAKER)


@given(shares=st.integers(0, SHARES))
def test_transfer_shares_from__any_shares__costs_their_amount_rounded_up(wrapped: Protocol, shares: int):
    evm, pool, token = wrapped.evm, wrapped.pool, wrapped.token
    exact = worth(pool, shares)
    cost = -(-exact.numerator // exact.denominator)
    with evm.undone():
        if cost > 0:
            token.approve(SPENDER, cost - 1, sender=STAKER)
            with reverts("allowance: too low"):
                token.transfer_shares_from(STAKER, RECEIVER, shares, sender=SPENDER)
        token.approve(SPENDER, cost, sender=STAKER)
        assert token.transfer_shares_from(STAKER, RECEIVER, shares, sender=SPENDER) == int(exact)
        assert token.allowance(STAKER, SPENDER) == 0
        assert token.shares_of(RECEIVER) == shares


def test_transfer_shares_from__more_than_held__reverts(wrapped: Protocol):
    token = wrapped.token
    token.approve(SPENDER, UNLIMITED, sender=STAKER)
    with reverts("balance: too low"):
        token.transfer_shares_from(STAKER, RECEIVER, SHARES + 1, sender=SPENDER)
    token.transfer_shares_from(STAKER, RECEIVER, SHARES, sender=SPENDER)
