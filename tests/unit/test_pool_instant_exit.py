"""`withdraw` and `redeem`: the exit at once, for a fee, out of the free buffer."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import (
    GUARDIAN,
    INSTANT_EXIT,
    OUTSIDER,
    PARAMETERS,
    RECEIVER,
    SPENDER,
    STAKER,
    UNLIMITED,
    Protocol,
)

PPM = 10**6
U80 = 2**80 - 1
U96 = 2**96 - 1


def allowance(pool: Contract) -> int:
    """Wei that instant exits may still take before the next report."""
    return int(pool.state()[3] >> 136 & U80)


def free(protocol: Protocol) -> int:
    """Wei of the buffer beyond what waiting exits need."""
    seen = protocol.lens.protocol()
    return int(seen.buffer - min(seen.needed, seen.buffer))


def exact_fee(protocol: Protocol, gross: int) -> Fraction:
    """Fee in wei without any rounding but the target's: the mean price between the buffer before and after.

    The buffer of the warm protocol is below its target, so the whole way lies on the slope.
    """
    low, high = Fraction(PARAMETERS.instant_fee_min, PPM), Fraction(PARAMETERS.instant_fee_max, PPM)
    before, target = free(protocol), protocol.lens.protocol().target
    assert gross <= before < target
    return gross * (high - (high - low) * Fraction(2 * before - gross, 2 * target))


# --- redeem ---


@given(shares=st.integers(10**6, 22 * 10**18))
def test_redeem__any_shares__pays_their_exit_value_less_the_fee(protocol: Protocol, shares: int):
    evm, pool = protocol.evm, protocol.pool
    with evm.undone():
        value, supply = pool.entry_price()  # no loss is pending, so this is the exit price
        gross = shares * value // supply
        fee = exact_fee(protocol, gross)
        preview = pool.previewRedeem(shares)
        paid = pool.redeem(shares, RECEIVER, STAKER, sender=STAKER)
        assert paid == preview == evm.balance(RECEIVER)
        assert fee <= gross - paid < fee + Fraction(2 * gross, PPM) + 1


def test_redeem__booked__burns_shares_and_streams_the_fee(evm: Evm, pool: Contract):
    shares = 10 * ETHER + 7
    held = pool.balanceOf(STAKER)
    value, supply = pool.entry_price()
    gross = shares * value // supply
    locked, buffer, ether, left = pool.locked(), pool.buffer(), evm.balance(pool), allowance(pool)
    paid = pool.redeem(shares, RECEIVER, STAKER, sender=STAKER)
    transfer, withdraw = evm.events()
    assert transfer.fields == {"sender": STAKER, "receiver": ZERO, "value": shares}
    assert withdraw.name == "Withdraw"
    assert withdraw.fields == {
        "sender": STAKER,
        "receiver": RECEIVER,
        "owner": STAKER,
        "assets": paid,
        "shares": shares,
    }
    assert pool.balanceOf(STAKER) == held - shares
    assert pool.totalSupply() == supply - shares
    assert pool.locked() == locked + gross - paid
    assert pool.buffer() == buffer - paid
    assert evm.balance(pool) == ether - paid
    assert allowance(pool) == left - gross
    new_value, new_supply = pool.entry_price()
    assert new_value == value - gross
    assert new_value * supply >= value * new_supply


def test_redeem__fee__joins_the_stream_by_its_weight(evm: Evm, pool: Contract, protocol: Protocol):
    locked, end = pool.locked(), protocol.lens.protocol().stream_end
    paid = pool.redeem(20 * ETHER, RECEIVER, STAKER, sender=STAKER)
    fee = pool.locked() - locked
    assert fee > 0
    assert paid > 0
    rest = end - evm.now
    expected = rest + int(Fraction(fee * (DAY - rest), locked + fee))
    assert protocol.lens.protocol().stream_end - evm.now == expected
    rate = pool.exit_rate()
    evm.travel(DAY)
    assert pool.exit_rate() > rate
    assert pool.locked() == 0


def test_redeem__deficit__falls_pro_rata(pool: Contract, protocol: Protocol):
    protocol.report(gain=-2 * ETHER)
    shares, deficit, supply = 10 * ETHER, pool.deficit(), pool.totalSupply()
    assert deficit == 2 * ETHER
    pool.redeem(shares, RECEIVER, STAKER, sender=STAKER)
    assert pool.deficit() == deficit - deficit * shares // supply


def test_redeem__by_a_spender__uses_up_the_allowance(pool: Contract):
    pool.approve(SPENDER, 5 * ETHER, sender=STAKER)
    with reverts("allowance: too low"):
        pool.redeem(5 * ETHER + 1, RECEIVER, STAKER, sender=SPENDER)
    pool.redeem(2 * ETHER, RECEIVER, STAKER, sender=SPENDER)
    assert pool.allowance(STAKER, SPENDER) == 3 * ETHER
    pool.approve(SPENDER, UNLIMITED, sender=STAKER)
    pool.redeem(2 * ETHER, RECEIVER, STAKER, sender=SPENDER)
    assert pool.allowance(STAKER, SPENDER) == UNLIMITED


def test_redeem__min_assets__is_inclusive(pool: Contract):
    assets = pool.previewRedeem(ETHER)
    with reverts("slippage: too few assets"):
        pool.redeem(ETHER, RECEIVER, STAKER, assets + 1, sender=STAKER)
    assert pool.redeem(ETHER, RECEIVER, STAKER, assets, sender=STAKER) == assets


@pytest.mark.parametrize("shares", [0, 1])
def test_redeem__worth_less_than_the_fee__reverts(pool: Contract, shares: int):
    with reverts("instant: zero assets"):
        pool.redeem(shares, RECEIVER, STAKER, sender=STAKER)


def test_redeem__limit__is_inclusive(pool: Contract):
    most = pool.maxRedeem(STAKER)
    with reverts("instant: over the limit"):
        pool.redeem(most + 1, RECEIVER, STAKER, sender=STAKER)
    pool.redeem(most, RECEIVER, STAKER, sender=STAKER)
    assert pool.maxRedeem(STAKER) == 0


def test_redeem__more_than_held__reverts(pool: Contract):
    pool.transfer(OUTSIDER, ETHER, sender=STAKER)
    with reverts("balance: too low"):
        pool.redeem(ETHER + 1, RECEIVER, OUTSIDER, sender=OUTSIDER)
    pool.redeem(ETHER, RECEIVER, OUTSIDER, sender=OUTSIDER)


@pytest.mark.parametrize("receiver", ["nobody", "pool", "queue"])
def test_redeem__receiver_refused__reverts(protocol: Protocol, pool: Contract, receiver: str):
    refused = {"nobody": ZERO, "pool": protocol.pool, "queue": protocol.queue}[receiver]
    with reverts("receiver: refused"):
        pool.redeem(ETHER, refused, STAKER, sender=STAKER)
    with reverts("receiver: refused"):
        pool.withdraw(ETHER, refused, STAKER, sender=STAKER)


def test_redeem__receiver_takes_no_ether__reverts(protocol: Protocol, pool: Contract):
    wallet = protocol.wallet()
    wallet.refuse(True)
    with reverts("ether: send failed"):
        pool.redeem(ETHER, wallet, STAKER, sender=STAKER)
    with reverts("ether: send failed"):
        pool.withdraw(ETHER, wallet, STAKER, sender=STAKER)


# --- withdraw ---


@given(assets=st.integers(1, 23 * 10**18))
def test_withdraw__any_assets__pays_them_exactly_for_the_least_shares(protocol: Protocol, assets: int):
    evm, pool = protocol.evm, protocol.pool
    with evm.undone():
        value, supply = pool.entry_price()
        preview = pool.previewWithdraw(assets)
        less = pool.previewRedeem(preview - 1)
        gross = preview * value // supply
        fee = exact_fee(protocol, gross)
        shares = pool.withdraw(assets, RECEIVER, STAKER, sender=STAKER)
        assert shares == preview
        assert evm.balance(RECEIVER) == assets
        assert less < assets
        assert gross - assets < fee + Fraction(2 * gross, PPM) + 3
        assert pool.entry_price()[0] == value - gross


def test_withdraw__booked__logs_as_redeem_does(evm: Evm, pool: Contract):
    shares = pool.withdraw(ETHER, RECEIVER, STAKER, sender=STAKER)
    transfer, withdraw = evm.events()
    assert transfer.fields == {"sender": STAKER, "receiver": ZERO, "value": shares}
    assert withdraw.fields == {
        "sender": STAKER,
        "receiver": RECEIVER,
        "owner": STAKER,
        "assets": ETHER,
        "shares": shares,
    }


def test_withdraw__by_a_spender__uses_up_the_allowance(pool: Contract):
    shares = pool.previewWithdraw(ETHER)
    pool.approve(SPENDER, shares - 1, sender=STAKER)
    with reverts("allowance: too low"):
        pool.withdraw(ETHER, RECEIVER, STAKER, sender=SPENDER)
    pool.approve(SPENDER, shares, sender=STAKER)
    pool.withdraw(ETHER, RECEIVER, STAKER, sender=SPENDER)
    assert pool.allowance(STAKER, SPENDER) == 0


def test_withdraw__max_shares__is_inclusive(pool: Contract):
    shares = pool.previewWithdraw(ETHER)
    with reverts("slippage: too many shares"):
        pool.withdraw(ETHER, RECEIVER, STAKER, shares - 1, sender=STAKER)
    assert pool.withdraw(ETHER, RECEIVER, STAKER, shares, sender=STAKER) == shares


def test_withdraw__nothing__reverts(pool: Contract):
    with reverts("instant: zero assets"):
        pool.withdraw(0, RECEIVER, STAKER, sender=STAKER)


def test_withdraw__over_the_limit__reverts_for_any_amount(pool: Contract, protocol: Protocol):
    limit = protocol.lens.protocol().instant_limit
    # With the fee on top, the limit itself is too much.
    for assets in (limit, limit + 1, 2**96, UNLIMITED):
        with reverts("instant: over the limit"):
            pool.withdraw(assets, RECEIVER, STAKER, sender=STAKER)
    pool.withdraw(pool.maxWithdraw(STAKER), RECEIVER, STAKER, sender=STAKER)


def test_withdraw__more_than_held__reverts(pool: Contract):
    pool.transfer(OUTSIDER, ETHER, sender=STAKER)
    with reverts("balance: too low"):
        pool.withdraw(2 * ETHER, RECEIVER, OUTSIDER, sender=OUTSIDER)


# --- when it is closed ---


def assert_closed(protocol: Protocol) -> None:
    pool = protocol.pool
    assert pool.maxRedeem(STAKER) == pool.maxWithdraw(STAKER) == 0
    with reverts("instant: over the limit"):
        pool.redeem(ETHER, RECEIVER, STAKER, sender=STAKER)
    with reverts("instant: over the limit"):
        pool.withdraw(1, RECEIVER, STAKER, sender=STAKER)
    # Previews speak of prices, not of limits.
    assert pool.previewRedeem(ETHER) > 0
    assert pool.previewWithdraw(ETHER) > 0


def test_instant_exit__loss_pending__is_closed(protocol: Protocol):
    protocol.report(pending_loss=1)
    assert_closed(protocol)
    protocol.report()
    assert protocol.pool.maxRedeem(STAKER) > 0


def test_instant_exit__paused__is_closed_until_the_second_it_ends(evm: Evm, protocol: Protocol):
    protocol.pool.pause(INSTANT_EXIT, evm.now + 10, sender=GUARDIAN)
    evm.travel(9)
    assert_closed(protocol)
    evm.travel(1)
    assert protocol.pool.maxRedeem(STAKER) > 0


def test_instant_exit__report_stale__is_closed_from_that_second(evm: Evm, protocol: Protocol):
    evm.travel(protocol.lens.protocol().stale_from - evm.now - 1)
    assert protocol.pool.maxRedeem(STAKER) > 0
    evm.travel(1)
    assert_closed(protocol)


def test_instant_exit__buffer_owed_to_the_queue__is_closed(protocol: Protocol):
    protocol.request(60 * ETHER)
    assert free(protocol) == 0
    assert_closed(protocol)


def test_instant_exit__part_of_the_buffer_owed__leaves_the_rest(protocol: Protocol, pool: Contract):
    protocol.request(40 * ETHER)
    value, supply = pool.entry_price()
    rest = pool.buffer() - -(-40 * ETHER * value // supply)
    assert 0 < rest < allowance(pool)
    most = pool.maxRedeem(STAKER)
    assert most * value // supply <= rest < (most + 1) * value // supply
    pool.redeem(most, RECEIVER, STAKER, sender=STAKER)
    assert pool.buffer() >= 40 * ETHER * value // supply


def test_instant_exit__allowance__is_refilled_by_a_report_only(evm: Evm, protocol: Protocol, pool: Contract):
    pool.redeem(pool.maxRedeem(STAKER), RECEIVER, STAKER, sender=STAKER)
    assert allowance(pool) < 3
    evm.travel(DAY)
    assert pool.maxRedeem(STAKER) == 0
    protocol.report()
    assets = pool.state()[0] >> 96 & U96
    assert allowance(pool) == assets * PARAMETERS.allowance_bps // 10_000
    assert pool.maxRedeem(STAKER) > 0


def test_instant_exit__no_target__charges_the_least_fee(protocol: Protocol, pool: Contract):
    protocol.set_parameters(target_bps=0, allowance_bps=0)
    value, supply = pool.entry_price()
    gross = ETHER * value // supply
    assert pool.previewRedeem(ETHER) == gross - -(-gross * PARAMETERS.instant_fee_min // PPM)
