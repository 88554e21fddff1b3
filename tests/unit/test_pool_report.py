"""`report`: what the oracle's word does to the books."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import FEE_RECIPIENT, ORACLE, OUTSIDER, PARAMETERS, STAKER, Protocol

U80 = 2**80 - 1
U96 = 2**96 - 1
YEAR = 365 * DAY
FRACTION = ETHER // 50
"""A gain that a day's room holds."""


def assets_of(pool: Contract) -> int:
    """Wei behind all shares, locked rewards included."""
    totals: int = pool.state()[0]
    return totals >> 96 & U96


def room(protocol: Protocol) -> int:
    """Wei that the next report may recognise."""
    reported_at: int = protocol.lens.protocol().reported_at
    passed = protocol.evm.now - reported_at
    return assets_of(protocol.pool) * PARAMETERS.rise_bps * passed // (10_000 * YEAR)


# --- gains ---


def test_report__gain__is_booked_with_a_fee_and_moves_no_price(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    evm.travel(DAY // 2)
    value, supply = pool.entry_price()
    assets, locked, outside, fee_before = assets_of(pool), pool.locked(), pool.outside(), pool.balanceOf(FEE_RECIPIENT)
    assert locked > 0
    gain = FRACTION + 7
    reported = protocol.report(gain=gain)
    fee = gain // 10
    fee_shares = fee * supply // value
    assert evm.events(pool, "Transfer")[0].fields == {
        "sender": ZERO,
        "receiver": FEE_RECIPIENT,
        "value": fee_shares,
    }
    assert reported == {
        "gain": gain,
        "fee": fee,
        "fee_shares": fee_shares,
        "tips": 0,
        "gifts": 0,
        "surplus": 0,
        "swept": 0,
        "shares": supply + fee_shares,
        "assets": assets + gain,
        "outside": outside + gain,
        "pending_loss": 0,
    }
    assert pool.balanceOf(FEE_RECIPIENT) == fee_before + fee_shares
    assert pool.locked() == locked + gain - fee
    rest = DAY - DAY // 3 - 1 - DAY // 2
    elapsed = max(PARAMETERS.period, DAY // 3 + 1 + DAY // 2)
    joined = rest + (gain - fee) * (elapsed - rest) // (locked + gain - fee)
    assert protocol.lens.protocol().stream_end == evm.now + joined
    assert protocol.lens.protocol().reported_at == evm.now
    new_value, new_supply = pool.entry_price()
    assert 0 <= new_value * supply - value * new_supply < value
    evm.travel(DAY)
    assert pool.entry_price() == (value + locked + gain, new_supply)


def test_report__gain__streams_by_the_second(evm: Evm, protocol: Protocol):
    protocol.report(gain=0)
    evm.travel(DAY)
    protocol.report(gain=FRACTION)
    pool = protocol.pool
    locked = pool.locked()
    for passed in (0, 1, 12, DAY // 2, DAY - 1, DAY, 10 * DAY):
        with evm.undone():
            evm.travel(passed)
            assert pool.locked() == locked * max(DAY - passed, 0) // DAY


def test_report__late__streams_for_as_long_as_it_took(evm: Evm, protocol: Protocol):
    """Whoever enters just before a late report earns no more than whoever enters before any other."""
    pool = protocol.pool
    evm.travel(DAY)
    protocol.report()
    evm.travel(9 * DAY)
    protocol.report(gain=9 * FRACTION)
    assert protocol.lens.protocol().stream_end == evm.now + 9 * DAY
    evm.travel(3 * DAY)
    locked = pool.locked()
    # The next report, in time again, does not hurry it.
    protocol.report(gain=FRACTION)
    assert protocol.lens.protocol().stream_end == evm.now + 6 * DAY
    assert pool.locked() == locked + FRACTION * 9 // 10


def test_report__nothing_happened__leaves_stream_and_price_alone(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    before = pool.entry_price(), pool.locked(), protocol.lens.protocol().stream_end
    evm.travel(0)
    reported = protocol.report()
    assert (reported["gain"], reported["fee"], reported["fee_shares"]) == (0, 0, 0)
    assert (pool.entry_price(), pool.locked(), protocol.lens.protocol().stream_end) == before


def test_report__gain_over_the_room__is_recognised_bit_by_bit(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    evm.travel(DAY)
    cl, recognised = pool.outside() + ETHER, 0
    outside = pool.outside()
    for _ in range(20):
        limit = room(protocol)
        gain = protocol.report(cl=cl)["gain"]
        assert gain == min(limit, ETHER - recognised)
        recognised += gain
        assert pool.outside() == outside + recognised
        evm.travel(DAY)
    assert recognised == ETHER


def test_report__no_time_passed__recognises_no_gain_and_every_loss(protocol: Protocol):
    protocol.report()
    assert protocol.report(gain=ETHER)["gain"] == 0
    assert protocol.report(gain=-ETHER)["gain"] == -ETHER


def test_report__dust_gain__takes_no_fee_that_buys_no_share(evm: Evm, protocol: Protocol):
    evm.travel(DAY)
    for gain in (9, 10):
        with evm.undone():
            reported = protocol.report(gain=gain)
            assert (reported["gain"], reported["fee"], reported["fee_shares"]) == (gain, 0, 0)
    reported = protocol.report(gain=20)
    assert (reported["fee"], reported["fee_shares"]) == (2, 1)


def test_report__room_left__goes_to_tips_then_gifts_then_surplus(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    evm.travel(DAY)
    evm.fund(protocol.execution_vault, ETHER)
    evm.fund(protocol.withdrawal_vault, ETHER)
    evm.force(pool, ETHER)
    limit = room(protocol)
    with evm.undone():
        all_tips = protocol.report(gain=FRACTION, donated=ETHER)
        assert (all_tips["tips"], all_tips["gifts"], all_tips["surplus"]) == (limit - FRACTION, 0, 0)
        assert all_tips["gain"] == limit
        assert evm.balance(protocol.execution_vault) == ETHER - all_tips["tips"]
    evm.travel(10 * DAY)
    limit = room(protocol)
    assert limit > ETHER + FRACTION
    with evm.undone():
        gifts_too = protocol.report(gain=FRACTION, donated=ETHER)
        rest = limit - FRACTION - ETHER
        assert (gifts_too["tips"], gifts_too["gifts"], gifts_too["surplus"]) == (ETHER, rest, 0)
        assert pool.state()[7] == rest
        assert evm.balance(protocol.withdrawal_vault) == ETHER - rest
    evm.travel(10 * DAY)
    limit = room(protocol)
    assert 2 * ETHER < limit - FRACTION < 3 * ETHER
    buffer, ether = pool.buffer(), evm.balance(pool)
    reported = protocol.report(gain=FRACTION, donated=ETHER)
    assert (reported["tips"], reported["gifts"]) == (ETHER, ETHER)
    assert reported["surplus"] == limit - FRACTION - 2 * ETHER
    assert reported["gain"] == limit
    assert pool.buffer() == buffer + limit - FRACTION
    assert evm.balance(pool) == ether + 2 * ETHER
    assert evm.balance(pool) - pool.buffer() == ETHER - reported["surplus"]


def test_report__gifts_not_reported__stay_in_the_vault(evm: Evm, protocol: Protocol):
    """What the chain credited after the reference slot is still inside `cl`, so it must not be swept twice."""
    evm.travel(30 * DAY)
    evm.fund(protocol.withdrawal_vault, ETHER)
    assert protocol.report(donated=ETHER // 3)["gifts"] == ETHER // 3
    assert evm.balance(protocol.withdrawal_vault) == ETHER - ETHER // 3


# --- principal ---


def test_report__withdrawal__is_no_gain_and_no_loss(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    evm.fund(protocol.withdrawal_vault, 32 * ETHER)
    value, supply = pool.entry_price()
    buffer, outside = pool.buffer(), pool.outside()
    reported = protocol.report(withdrawn=32 * ETHER)
    assert (reported["gain"], reported["swept"]) == (0, 32 * ETHER)
    assert pool.entry_price() == (value, supply)
    assert pool.buffer() == buffer + 32 * ETHER
    assert pool.outside() == outside - 32 * ETHER
    assert pool.state()[5] >> 96 == 32 * ETHER


def test_report__rewards_withdrawn_over_the_room__wait_in_the_vault(evm: Evm, protocol: Protocol):
    """All validators have left with a gain that is too large for now: `outside` cannot fall below zero."""
    pool = protocol.pool
    evm.travel(DAY)
    everything = pool.outside() + 5 * ETHER
    evm.fund(protocol.withdrawal_vault, everything)
    outside, limit = pool.outside(), room(protocol)
    reported = protocol.report(cl=0, withdrawn=everything)
    assert (reported["gain"], reported["swept"], reported["outside"]) == (limit, outside + limit, 0)
    evm.travel(DAY)
    limit = room(protocol)
    reported = protocol.report(cl=0, withdrawn=everything - outside - reported["gain"])
    assert (reported["gain"], reported["swept"]) == (limit, limit)
    assert evm.balance(protocol.withdrawal_vault) > 0


def test_report__deposit_after_the_reference_slot__is_counted_once(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    at_ref = protocol.next_report(gain=FRACTION)
    evm.travel(DAY)
    protocol.stake(50 * ETHER)
    sent = protocol.to_validators()
    assert sent > 0
    pool.report(at_ref, sender=ORACLE)
    assert evm.events(pool, "Reported")[0].fields["gain"] == FRACTION
    assert protocol.report()["gain"] == 0


# --- losses ---


def test_report__loss_within_locked_rewards__moves_no_price(protocol: Protocol):
    pool = protocol.pool
    before, locked = pool.entry_price(), pool.locked()
    end = protocol.lens.protocol().stream_end
    protocol.report(gain=-(locked // 3))
    assert pool.entry_price() == before
    assert pool.locked() == locked - locked // 3
    assert protocol.lens.protocol().stream_end == end
    assert pool.deficit() == locked // 3


def test_report__loss_beyond_locked_rewards__lowers_the_price_by_the_rest(protocol: Protocol):
    pool = protocol.pool
    value, supply = pool.entry_price()
    locked = pool.locked()
    reported = protocol.report(gain=-5 * ETHER)
    assert (reported["gain"], reported["fee"], reported["fee_shares"]) == (-5 * ETHER, 0, 0)
    assert pool.locked() == 0
    assert pool.entry_price() == (value - (5 * ETHER - locked), supply)
    assert pool.deficit() == 5 * ETHER


def test_report__gain_after_a_loss__repays_the_deficit_without_fee(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.report(gain=-2 * FRACTION)
    evm.travel(DAY)
    reported = protocol.report(gain=FRACTION)
    assert (reported["gain"], reported["fee"]) == (FRACTION, 0)
    assert pool.deficit() == FRACTION
    evm.travel(DAY)
    reported = protocol.report(gain=2 * FRACTION)
    assert reported["fee"] == FRACTION // 10
    assert pool.deficit() == 0


def test_report__all_assets_lost__is_booked(worthless: Protocol):
    pool = worthless.pool
    assert pool.totalAssets() == pool.outside() == pool.buffer() == pool.exit_rate() == 0
    assert pool.totalSupply() > 0
    with reverts("pool: no value"):
        pool.convertToShares(1)


def test_report__gain_after_all_was_lost__comes_back_through_the_stream(worthless: Protocol):
    pool, evm = worthless.pool, worthless.evm
    worthless.report()
    evm.fund(worthless.execution_vault, ETHER)
    evm.travel(DAY)
    # There is no room above nothing, so tips wait.
    assert worthless.report()["tips"] == 0
    assert pool.totalAssets() == 0


# --- pending loss, eligibility, allowance ---


def test_report__pending_loss__lowers_the_exit_rate_only(protocol: Protocol):
    pool = protocol.pool
    value, supply = pool.entry_price()
    assert protocol.report(pending_loss=3 * ETHER)["pending_loss"] == 3 * ETHER
    assert pool.entry_price() == (value, supply)
    assert pool.exit_rate() == (value - 3 * ETHER) * 10**18 // supply
    assert pool.pending_loss() == 3 * ETHER
    protocol.report(pending_loss=0)
    assert pool.exit_rate() == pool.entry_rate()


def test_report__pending_loss__is_capped_by_what_is_outside(protocol: Protocol):
    pool = protocol.pool
    protocol.report(pending_loss=2**256 - 1)
    assert pool.pending_loss() == pool.outside()
    assert pool.exit_rate() > 0


def test_report__queue_tail__makes_exits_eligible_and_never_takes_back(protocol: Protocol):
    pool = protocol.pool
    protocol.request(5 * ETHER)
    protocol.report(tail=3 * ETHER)
    assert pool.eligible() == 3 * ETHER
    protocol.report(tail=0)
    assert pool.eligible() == 3 * ETHER
    pool.fulfil()
    assert pool.eligible() == 0
    protocol.report(tail=4 * ETHER)
    assert pool.eligible() == ETHER


def test_report__allowance__is_refilled_and_capped(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.report()
    assert pool.state()[3] >> 136 & U80 == assets_of(pool) * PARAMETERS.allowance_bps // 10_000
    evm.fund(STAKER, 2**90)
    protocol.stake(2**90)
    protocol.report()
    assert pool.state()[3] >> 136 & U80 == U80


def test_report__young_chain__works_at_once():
    protocol = Protocol(Evm())
    assert protocol.report()["gain"] == 0
    protocol.evm.travel(DAY)
    assert protocol.report()["assets"] == 10**9


# --- refusals ---


@pytest.mark.parametrize("sender", ["outsider", "admin", "staker"])
def test_report__not_the_oracle__reverts(protocol: Protocol, sender: str):
    caller = {"outsider": OUTSIDER, "admin": protocol.admin, "staker": STAKER}[sender]
    with reverts("access_control: account is missing role"):
        protocol.pool.report(protocol.next_report(), sender=caller)


def test_report__more_deposited_than_sent__reverts(protocol: Protocol):
    sent = protocol.pool.state()[5] & U96
    with reverts("report: deposits ahead of pool"):
        protocol.report(deposited_at_ref=sent + 1)
    protocol.report(deposited_at_ref=sent)


def test_report__donations_fell__reverts(evm: Evm, protocol: Protocol):
    evm.travel(30 * DAY)
    evm.fund(protocol.withdrawal_vault, ETHER)
    protocol.report(donated=ETHER)
    with reverts("report: donations fell"):
        protocol.report(donated_at_ref=ETHER - 1)


def test_report__tail_ahead_of_the_queue__reverts(protocol: Protocol):
    protocol.request(ETHER)
    with reverts("report: tail ahead of queue"):
        protocol.report(tail=ETHER + 1)
    protocol.report(tail=ETHER)
    protocol.pool.fulfil()
    with reverts("report: tail ahead of queue"):
        protocol.report(tail=ETHER + 1)


def test_report__more_withdrawn_than_the_vault_holds__reverts(evm: Evm, protocol: Protocol):
    evm.fund(protocol.withdrawal_vault, ETHER - 1)
    with reverts("vault: balance too low"):
        protocol.report(withdrawn=ETHER)


def test_report__assets_over_96_bits__reverts(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    most = pool.maxDeposit(STAKER)
    evm.fund(STAKER, most)
    protocol.stake(most)
    evm.fund(protocol.execution_vault, 2**96)
    evm.travel(DAY)
    with reverts("pool: total over 96 bits"):
        protocol.report()
