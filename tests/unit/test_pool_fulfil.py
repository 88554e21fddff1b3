"""`lock_for_exit`, `fulfil` and `declare_stale`: the exit through the queue, seen from the pool."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, ZERO, Contract, Evm, reverts
from tests.protocol import FULFIL, GUARDIAN, OUTSIDER, PARAMETERS, SAVER, STAKER, Protocol, deploy_pool

U96 = 2**96 - 1


def exit_price(protocol: Protocol) -> tuple[int, int]:
    """Exit value in wei and the shares it is for."""
    pool = protocol.pool
    value, supply = pool.entry_price()
    return value - min(pool.pending_loss(), value), supply


# --- lock_for_exit ---


def test_lock_for_exit__by_the_queue__moves_the_shares_to_it(evm: Evm, pool: Contract, queue: Contract):
    held = pool.balanceOf(STAKER)
    queue.request(ETHER, STAKER, sender=STAKER)
    assert evm.events(pool, "Transfer")[0].fields == {"sender": STAKER, "receiver": queue.address, "value": ETHER}
    assert pool.balanceOf(STAKER) == held - ETHER
    assert pool.balanceOf(queue) == ETHER
    assert pool.eligible() == 0


def test_lock_for_exit__by_anybody_else__reverts(pool: Contract, protocol: Protocol):
    for sender in (STAKER, OUTSIDER, protocol.admin):
        with reverts("caller: not the queue"):
            pool.lock_for_exit(STAKER, 1, sender=sender)


def test_lock_for_exit__more_than_held__reverts(evm: Evm, protocol: Protocol):
    """Asked without a queue in between."""
    pool = deploy_pool(evm, queue=OUTSIDER, admin=protocol.admin)
    pool.deposit(ETHER, STAKER, sender=STAKER, value=ETHER)
    with reverts("balance: too low"):
        pool.lock_for_exit(STAKER, ETHER + 1, sender=OUTSIDER)
    pool.lock_for_exit(STAKER, ETHER, sender=OUTSIDER)
    assert pool.balanceOf(OUTSIDER) == ETHER
    # The seed belongs to the pool, which never asks.
    with reverts("balance: too low"):
        pool.lock_for_exit(STAKER, 1, sender=OUTSIDER)


# --- fulfil ---


def test_fulfil__buffer_suffices__pays_all_at_the_exit_rate(evm: Evm, protocol: Protocol):
    pool, queue = protocol.pool, protocol.queue
    shares = 13_579_246_801_357_924_681
    protocol.request(shares)
    protocol.report()
    evm.travel(3_601)
    value, supply = exit_price(protocol)
    assets = shares * value // supply
    buffer, ether = pool.buffer(), evm.balance(pool)
    assert pool.fulfil(sender=OUTSIDER) == (shares, assets)
    transfer, fulfilled = evm.events(pool)
    assert transfer.fields == {"sender": queue.address, "receiver": ZERO, "value": shares}
    assert fulfilled.name == "Fulfilled"
    assert fulfilled.fields == {"shares": shares, "assets": assets, "settled_loss": 0}
    assert pool.totalSupply() == supply - shares
    assert pool.buffer() == buffer - assets
    assert evm.balance(pool) == ether - assets
    assert evm.balance(queue) == queue.paid_in() == assets
    assert pool.balanceOf(queue) == pool.eligible() == 0
    new_value, new_supply = exit_price(protocol)
    assert new_value * supply >= value * new_supply


def test_fulfil__only_what_is_eligible__is_paid(protocol: Protocol):
    protocol.request(3 * ETHER)
    protocol.report(tail=3 * ETHER)
    protocol.request(4 * ETHER)
    assert protocol.pool.fulfil()[0] == 3 * ETHER
    with reverts("fulfil: nothing to pay"):
        protocol.pool.fulfil()
    assert protocol.pool.balanceOf(protocol.queue) == 4 * ETHER


def test_fulfil__buffer_too_small__pays_what_it_holds(protocol: Protocol):
    pool = protocol.pool
    protocol.request(100 * ETHER)
    protocol.report()
    value, supply = exit_price(protocol)
    affordable = pool.buffer() * supply // value
    shares, assets = pool.fulfil()
    assert (shares, assets) == (affordable, affordable * value // supply)
    assert pool.buffer() < 2
    assert pool.eligible() == pool.balanceOf(protocol.queue) == 100 * ETHER - shares
    with reverts("fulfil: nothing to pay"):
        pool.fulfil()
    # New ETH and waiting exits meet at the next fulfilment.
    protocol.stake(5 * ETHER, SAVER)
    assert pool.fulfil()[1] > 5 * ETHER - 3


def test_fulfil__max_assets__caps_the_payment(protocol: Protocol):
    protocol.request(20 * ETHER)
    protocol.report()
    assert 2 * ETHER - 2 <= protocol.pool.fulfil(2 * ETHER)[1] <= 2 * ETHER


def test_fulfil__less_than_an_ether__is_refused_unless_it_empties_the_queue(protocol: Protocol):
    protocol.request(20 * ETHER)
    protocol.report()
    with reverts("fulfil: too little"):
        protocol.pool.fulfil(ETHER - 1)
    protocol.pool.fulfil(2 * ETHER)
    with protocol.evm.undone():
        protocol.pool.fulfil()
    # A single share empties it, although it pays next to nothing.
    protocol.pool.fulfil()
    protocol.request(1)
    protocol.report()
    assert protocol.pool.fulfil() == (1, 1)


def test_fulfil__minimum_is_one_ether__inclusive(protocol: Protocol):
    protocol.request(20 * ETHER)
    protocol.report()
    value, supply = exit_price(protocol)
    shares = -(-ETHER * supply // value)
    assert shares * value // supply == ETHER
    wei = next(cap for cap in range(ETHER, ETHER + 3) if cap * supply // value == shares)
    with reverts("fulfil: too little"):
        protocol.pool.fulfil(wei - 2)
    assert protocol.pool.fulfil(wei) == (shares, ETHER)


def test_fulfil__nothing_eligible__reverts(protocol: Protocol):
    with reverts("fulfil: nothing to pay"):
        protocol.pool.fulfil()
    protocol.request(ETHER)
    with reverts("fulfil: nothing to pay"):
        protocol.pool.fulfil()


def test_fulfil__paused__reverts_until_the_second_it_ends(evm: Evm, protocol: Protocol):
    protocol.request(ETHER)
    protocol.report()
    protocol.pool.pause(FULFIL, evm.now + 10, sender=GUARDIAN)
    evm.travel(9)
    with reverts("fulfil: paused"):
        protocol.pool.fulfil()
    evm.travel(1)
    protocol.pool.fulfil()


def test_fulfil__all_assets_lost__reverts(worthless: Protocol):
    worthless.request(ETHER)
    worthless.report()
    with reverts("pool: no value"):
        worthless.pool.fulfil()


def test_fulfil__loss_pending__leavers_bear_their_part_and_nobody_elses_price_moves(protocol: Protocol):
    pool = protocol.pool
    protocol.request(10 * ETHER)
    loss = 9 * ETHER + 1
    protocol.report(pending_loss=loss)
    entry, (value, supply) = pool.entry_price(), exit_price(protocol)
    assert value == entry[0] - loss
    outside, buffer = pool.outside(), pool.buffer()
    shares, assets = pool.fulfil()
    borne = loss * shares // supply
    assert (shares, assets) == (10 * ETHER, 10 * ETHER * value // supply)
    assert protocol.evm.events(pool, "Fulfilled")[0].fields["settled_loss"] == borne
    assert pool.pending_loss() == loss - borne
    assert pool.outside() == outside - borne
    assert pool.buffer() == buffer - assets
    for before, after in ((entry, pool.entry_price()), ((value, supply), exit_price(protocol))):
        assert 0 <= after[0] * before[1] - before[0] * after[1] <= 2 * before[1]


def test_fulfil__deficit__falls_pro_rata(protocol: Protocol):
    pool = protocol.pool
    protocol.request(10 * ETHER)
    protocol.report(gain=-3 * ETHER)
    deficit, supply = pool.deficit(), pool.totalSupply()
    pool.fulfil()
    assert pool.deficit() == deficit - deficit * 10 * ETHER // supply


def test_fulfil__pending_loss_falls_below_one_percent__reopens_deposits(protocol: Protocol):
    """Locked rewards stay behind, so a loss that was just over the line falls just below it."""
    pool = protocol.pool
    protocol.request(10 * ETHER)
    protocol.report(pending_loss=(pool.state()[0] >> 96 & U96) // 100 + 1)
    with reverts("deposit: loss pending"):
        protocol.stake(ETHER)
    pool.fulfil()
    assert 0 < pool.pending_loss() * 100 <= pool.state()[0] >> 96 & U96
    protocol.stake(ETHER)


# --- declare_stale ---


def test_declare_stale__too_early__reverts(evm: Evm, protocol: Protocol):
    protocol.request(ETHER)
    evm.travel(protocol.lens.protocol().stale_from - evm.now - 1)
    with reverts("report: not stale"):
        protocol.pool.declare_stale()


def test_declare_stale__in_time__makes_all_waiting_exits_eligible(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.request(ETHER)
    protocol.request(2 * ETHER, SAVER)
    evm.travel(protocol.lens.protocol().stale_from - evm.now)
    rate = pool.exit_rate()
    pool.declare_stale(sender=OUTSIDER)
    assert evm.events(pool)[0].fields == {"eligible": 3 * ETHER, "swept": 0}
    assert pool.eligible() == 3 * ETHER
    shares, assets = pool.fulfil()
    assert shares == 3 * ETHER
    assert assets == pytest.approx(3 * rate, abs=3)


def test_declare_stale__again__only_after_another_period(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    evm.travel(PARAMETERS.stale_after)
    pool.declare_stale()
    protocol.request(ETHER)
    evm.travel(PARAMETERS.stale_after - 1)
    with reverts("report: not stale"):
        pool.declare_stale()
    evm.travel(1)
    pool.declare_stale()
    assert pool.eligible() == ETHER


def test_declare_stale__after_a_report__counts_from_the_report(evm: Evm, protocol: Protocol):
    evm.travel(PARAMETERS.stale_after)
    protocol.pool.declare_stale()
    evm.travel(DAY)
    protocol.report()
    evm.travel(PARAMETERS.stale_after - 1)
    with reverts("report: not stale"):
        protocol.pool.declare_stale()
    evm.travel(1)
    protocol.pool.declare_stale()


def test_declare_stale__ether_in_the_withdrawal_vault__comes_into_the_buffer(evm: Evm, protocol: Protocol):
    """What validators had paid out when reports stopped must not be stuck; the next report finds out what it was."""
    pool = protocol.pool
    evm.fund(protocol.withdrawal_vault, 32 * ETHER)
    evm.travel(PARAMETERS.stale_after)
    price, buffer, outside = pool.entry_price(), pool.buffer(), pool.outside()
    pool.declare_stale(sender=OUTSIDER)
    assert evm.events(pool)[0].fields == {"eligible": 0, "swept": 32 * ETHER}
    assert pool.buffer() == buffer + 32 * ETHER
    assert pool.outside() == outside - 32 * ETHER
    assert pool.entry_price() == price
    assert evm.balance(protocol.withdrawal_vault) == 0
    # The oracle comes back and says the same: nothing is counted twice.
    assert pool.state()[5] >> 96 == 32 * ETHER
    assert protocol.report()["gain"] == 0
    assert pool.outside() == outside - 32 * ETHER


def test_declare_stale__gift_in_the_withdrawal_vault__is_no_gain_either(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    cl = pool.outside()
    evm.fund(protocol.withdrawal_vault, ETHER)
    evm.travel(PARAMETERS.stale_after)
    pool.declare_stale()
    # The chain has paid out nothing: all of it still lies with the validators, and the wei in the buffer is a gift.
    reported = protocol.report(cl=cl, withdrawn_at_ref=0, donated=ETHER)
    assert (reported["gain"], reported["gifts"], reported["swept"]) == (0, 0, 0)
    assert pool.outside() == cl - ETHER


def test_declare_stale__loss_pending__leaves_enough_outside_to_lose(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.report(pending_loss=pool.outside() - 5 * ETHER)
    evm.fund(protocol.withdrawal_vault, 32 * ETHER)
    evm.travel(PARAMETERS.stale_after)
    pool.declare_stale()
    assert evm.events(pool)[0].fields["swept"] == 5 * ETHER
    assert pool.outside() == pool.pending_loss()
