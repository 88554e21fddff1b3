"""The protocol as people use it, through Ape: a month with a gain, a loss and every way out, to the wei."""

from __future__ import annotations

from typing import Any

import ape
import pytest

from floe.deploy import verify
from floe.deploy.execute import deploy
from floe.deploy.plan import ORDER
from tests.integration.conftest import impersonated, report

ETHER = 10**18
DAY = 86_400


@pytest.fixture(scope="module")
def contracts(actors, config, tmp_path_factory) -> dict[str, Any]:
    """Return the protocol, deployed as `ape run deploy` does it, by name."""
    return verify.contracts(deploy(actors["deployer"], config, tmp_path_factory.mktemp("life") / "here.json"))


@pytest.fixture
def pool(contracts):
    return contracts["FloePool"]


@pytest.fixture
def queue(contracts):
    return contracts["WithdrawalQueue"]


def later(seconds: int) -> None:
    """Let time pass, to a new block."""
    ape.chain.pending_timestamp += seconds
    ape.chain.mine(1)


def test_life_cycle__a_gain_a_loss_and_every_way_out__adds_up(contracts, actors, pool, queue):
    token, lens = contracts["RebasingToken"], contracts["Lens"]
    staker, saver = actors["staker"], actors["outsider"]
    registry = impersonated(contracts["ValidatorRegistry"])
    seed = pool.balance

    # In: by name, by plain ETH, wrapped.
    pool.deposit(60 * ETHER, staker, sender=staker, value=60 * ETHER)
    saver.transfer(pool, 30 * ETHER)
    token.stake(sender=saver, value=10 * ETHER)
    assert pool.balanceOf(staker) == 60 * ETHER
    assert pool.balanceOf(saver) == 30 * ETHER
    assert token.balanceOf(saver) == 10 * ETHER
    away = pool.stakeable()
    pool.send_to_validators(away, sender=registry)
    assert pool.outside() == away

    # A day's gain streams in by the second.
    later(DAY)
    gain = 25 * 10**15
    done = report(contracts, actors, cl=away + gain)
    [reported] = done.events.filter(pool.Reported)
    assert (reported.gain, reported.fee) == (gain, gain // 10)
    assert pool.balanceOf(contracts["FeeSplitter"]) == reported.fee_shares
    before = pool.entry_rate()
    later(DAY // 2)
    middle = pool.entry_rate()
    later(DAY)
    assert before < middle < pool.entry_rate()
    assert token.balanceOf(saver) > 10 * ETHER

    # Exits are asked for; a slashing becomes known before they are paid.
    tickets = queue.request_many([2 * ETHER, 3 * ETHER], staker, sender=staker).events.filter(queue.Requested)
    numbers = [event.ticket for event in tickets]
    loss = 5 * ETHER
    done = report(contracts, actors, pending_loss=loss)
    assert lens.protocol().limits.deposits_refused
    with ape.reverts("deposit: loss pending"):
        pool.deposit(ETHER, saver, sender=saver, value=ETHER)
    with ape.reverts("instant: over the limit"):
        pool.withdraw(1, staker, staker, sender=staker)
    exit_rate = pool.exit_rate()
    [paid] = done.events.filter(pool.Fulfilled)
    assert paid.assets == pytest.approx(5 * exit_rate, abs=5)
    assert paid.settled_loss > 0

    # Settled: nobody who stayed bears more than who left.
    settled = pool.pending_loss()
    report(contracts, actors, cl=pool.outside() - settled, pending_loss=0)
    assert pool.exit_rate() == pytest.approx(exit_rate, rel=1e-9)

    # Everything is claimed by somebody else, with a ticket that does not exist among it.
    before = staker.balance
    receipt = queue.claim_many([*numbers, 99], [], sender=saver)
    assert [event.ticket for event in receipt.events.filter(queue.ClaimSkipped)] == [99]
    assert staker.balance - before == paid.assets
    assert queue.balance == 0

    # And at once, for a fee.
    before = saver.balance
    receipt = pool.redeem(ETHER, saver, saver, sender=saver)
    [withdrawn] = receipt.events.filter(pool.Withdraw)
    assert saver.balance == before + withdrawn.assets - receipt.total_fees_paid
    assert withdrawn.assets < pool.convertToAssets(ETHER)

    # Every wei of the pool is one that came in and did not go out.
    assert pool.balance == seed + 100 * ETHER - away - paid.assets - withdrawn.assets
    state = lens.protocol()
    assert (state.buffer, state.assets) == (pool.balance, pool.balance + pool.outside())


def queried(contract: Any, name: str) -> list[dict[str, Any]]:
    """Arguments of all events of one name."""
    return list(getattr(contract, name).query("event_arguments")["event_arguments"])


def test_reverts__through_ape__carry_the_reason(contracts, actors, pool, queue):
    outsider = actors["outsider"]
    cases = {
        "deposit: value differs": lambda: pool.deposit(2, outsider, sender=outsider, value=1),
        "access_control: account is missing role": lambda: pool.set_deposit_ceiling(0, sender=outsider),
        "caller: not the queue": lambda: pool.lock_for_exit(outsider, 1, sender=outsider),
        "caller: not a vault": lambda: pool.receive_from_vault(sender=outsider),
        "ticket: does not exist": lambda: queue.claim(10**6, sender=outsider),
        "request: zero shares": lambda: queue.request(0, outsider, sender=outsider),
        "wrap: zero shares": lambda: contracts["RebasingToken"].wrap(0, sender=outsider),
        "caller: not the pool": lambda: contracts["WithdrawalVault"].sweep(0, sender=outsider),
    }
    for reason, call in cases.items():
        with ape.reverts(reason):
            call()


def test_events__queried_by_ape__tell_the_whole_story(actors, pool):
    """What `ape console` and an indexer read, wei as whole numbers."""
    staker = actors["staker"]
    shares = pool.deposit(ETHER, staker, sender=staker, value=ETHER).return_value
    deposits = list(pool.Deposit.query("event_arguments")["event_arguments"])
    assert deposits[-1] == {"sender": staker, "owner": staker, "assets": ETHER, "shares": shares}
    out = sum(event["assets"] for name in ("Withdraw", "Fulfilled") for event in queried(pool, name))
    gains = sum(event["gain"] for event in queried(pool, "Reported"))
    settled = sum(event["settled_loss"] for event in queried(pool, "Fulfilled"))
    assets = pool.state()[0] >> 96 & 2**96 - 1
    assert sum(event["assets"] for event in deposits) - out - settled + gains == assets


def test_contracts__from_the_project__are_what_is_deployed(contracts):
    for name in ORDER:
        assert ape.project.contracts[name].selector_identifiers == contracts[name].contract_type.selector_identifiers
