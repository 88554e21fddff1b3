"""FeeSplitter: who gets how much of the fees, when a weight counts, and what the cover fund may be spent on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.beacon import COUNCIL, MANAGER, Validators, deploy_registry
from tests.evm import DAY, ETHER, ZERO, Contract, reverts
from tests.fees import (
    FIRST,
    PARTS,
    REWARDS_1,
    REWARDS_2,
    REWARDS_3,
    SECOND,
    TREASURY,
    Fees,
    Parts,
    deploy_splitter,
)
from tests.protocol import OUTSIDER, RECEIVER, SAVER, STAKER

MISSING_ROLE = "access_control: account is missing role"


@pytest.fixture
def world(validators: Validators) -> Fees:
    return Fees(validators)


@pytest.fixture
def splitter(world: Fees) -> Contract:
    return world.splitter


# --- deployment ---


def test_splitter__deployed__knows_its_peers_and_parts(world: Fees, splitter: Contract):
    assert splitter.pool() == world.pool.address
    assert splitter.registry() == world.registry.address
    assert splitter.treasury() == TREASURY
    assert splitter.parts() == PARTS
    assert (splitter.MAX_TREASURY_BPS(), splitter.MAX_COVER_BPS()) == (5_000, 3_000)
    assert splitter.hasRole(splitter.DEFAULT_ADMIN_ROLE(), world.protocol.admin)
    assert splitter.hasRole(splitter.COUNCIL_ROLE(), COUNCIL)
    assert not splitter.hasRole(splitter.DEFAULT_ADMIN_ROLE(), "0x" + "d0" * 20)
    numbers = [splitter.held(), splitter.cover_fund(), splitter.rest(), splitter.cover_ticket(), splitter.coverable()]
    assert numbers == [0] * 5


def test_splitter__bad_arguments__reverts(world: Fees):
    def deploy(**changes: Any) -> None:
        deploy_splitter(world.protocol, **{"registry": world.registry} | changes)

    with reverts("admin: not a contract"):
        deploy(admin=OUTSIDER)
    with reverts("peer: not wired to this contract"):
        deploy(registry=OUTSIDER)
    for treasury in (ZERO, world.pool, world.queue):
        with reverts("receiver: refused"):
            deploy(treasury=treasury)
    with reverts("receiver: refused"):
        deploy(treasury=world.evm.next_address())
    for parts in (Parts(5_001, 0), Parts(0, 3_001)):
        with reverts("parameter: out of bounds"):
            deploy(parts=parts)
    deploy(parts=Parts(5_000, 3_000))


# --- distribute ---


def test_distribute__nothing_new__changes_nothing(world: Fees, splitter: Contract):
    world.sync()
    world.distribute(ETHER)
    held = splitter.held()
    assert splitter.undistributed() == 0
    assert splitter.distribute() == 0
    assert world.evm.events() == []
    assert splitter.held() == held


def test_distribute__fees_of_a_report__are_split_without_a_call_from_the_pool(world: Fees, splitter: Contract):
    world.sync()
    world.evm.travel(DAY)
    fees = world.protocol.report(gain=ETHER)["fee_shares"]
    assert fees > 0
    assert splitter.undistributed() == fees
    assert splitter.distribute(sender=OUTSIDER) == fees
    treasury, cover = fees * 4_000 // 10_000, splitter.cover_fund()
    each = fees * 5_000 // 10_000 // 200
    assert world.balances(TREASURY) == (treasury,)
    assert world.claimable() == (100 * each, 100 * each)
    assert fees == treasury + cover + 200 * each + splitter.rest()
    (event,) = world.evm.events(splitter, "Distributed")
    assert event.fields == {
        "fees": fees,
        "treasury": treasury,
        "operators": 200 * each,
        "cover": cover,
        "rest": splitter.rest(),
    }


@pytest.mark.parametrize("parts", [PARTS, Parts(0, 0), Parts(5_000, 3_000), Parts(3_333, 1), Parts(1, 2_999)])
@pytest.mark.parametrize("fees", [1, 2, 3, 9_999, 10_000, 10_001, 123_456_789_012_345_678])
def test_distribute__any_amount__rounds_towards_the_fund_and_loses_nothing(world: Fees, parts: Parts, fees: int):
    splitter = world.splitter
    splitter.set_parts(parts, sender=world.protocol.admin)
    world.set_weight(FIRST, 3)
    world.set_weight(SECOND, 4)
    world.sync()
    world.distribute(fees)
    sent = world.evm.events(world.pool, "Transfer")
    (treasury,), cover = world.balances(TREASURY), splitter.cover_fund()
    operators = fees * (10_000 - sum(parts)) // 10_000
    assert treasury == fees * parts.treasury_bps // 10_000
    assert len(sent) == (treasury > 0)
    assert cover == fees - treasury - operators
    assert 0 <= cover - fees * parts.cover_bps // 10_000 <= 2
    assert world.claimable() == (operators // 7 * 3, operators // 7 * 4)
    assert splitter.rest() == operators % 7
    assert splitter.held() == world.pool.balanceOf(splitter) == fees - treasury


def test_distribute__rest_of_a_division__is_carried_to_the_next(world: Fees, splitter: Contract):
    world.set_weight(FIRST, 3)
    world.set_weight(SECOND, 4)
    world.sync()
    given = 0
    for fees in (10, 2, 4, 6, 8, 10, 12, 14):  # operators: 5, 1, 2, 3, 4, 5, 6, 7
        world.distribute(fees)
        given += fees // 2
        assert splitter.rest() == given % 7
        assert sum(world.claimable()) == given // 7 * 7
    assert given == 33


def test_distribute__no_operator_synced__operators_part_goes_to_the_treasury(world: Fees, splitter: Contract):
    world.distribute(10_000)
    assert world.balances(TREASURY) == (9_000,)
    assert (splitter.cover_fund(), splitter.held(), splitter.rest()) == (1_000, 1_000, 0)
    world.set_weight(FIRST, 0)
    world.sync(FIRST)
    world.distribute(10_000)
    assert world.balances(TREASURY) == (18_000,)
    assert world.claimable() == (0, 0)


def test_distribute__last_weight_gone__rest_goes_to_the_treasury_too(world: Fees, splitter: Contract):
    world.sync()
    world.distribute(10_010)
    assert splitter.rest() == 5_005 % 200
    before = world.balances(TREASURY)[0] + splitter.rest()
    world.set_weight(FIRST, 0)
    world.set_weight(SECOND, 0)
    world.sync()
    world.distribute(10_000)
    assert splitter.rest() == 0
    assert world.balances(TREASURY)[0] == before + 9_000


def test_distribute__part_of_the_weights_synced__the_others_part_goes_to_the_treasury(world: Fees):
    """Who is synced first gains nothing by it."""
    world.sync(FIRST)
    world.distribute(10_000)
    assert world.claimable() == (2_500, 0)
    assert world.balances(TREASURY) == (4_000 + 2_500,)


def test_distribute__1_and_500_operators__cost_the_same_and_none_costs_less(world: Fees):
    """What it does does not depend on who shares, but for the accumulator, which nobody needs without operators."""
    costs = {}
    for count in (0, 1, 500):
        with world.evm.undone():
            for _ in range(count - 2):
                world.add_operator(100)
            for operator in range(1, count + 1):
                world.sync(operator)
            for _ in range(3):
                world.distribute(1_234_567)
            costs[count] = world.evm.gas_used
            assert (world.splitter.rest() > 0) == (count > 0)
    assert costs[0] < costs[1] == costs[500]


# --- sync ---


def test_sync__weight_of_the_registry__is_taken_over_and_logged(world: Fees, splitter: Contract):
    world.sync(SECOND)
    assert splitter.accounts(world.registry, SECOND) == (100, 0, 0)
    assert splitter.weights(world.registry) == (0, 100, 200)
    (event,) = world.evm.events(splitter, "Synced")
    assert event.fields == {"registry": world.registry.address, "operator": SECOND, "weight": 100, "total": 200}
    world.sync(SECOND)
    assert splitter.weights(world.registry) == (0, 100, 200)


def test_sync__weight_raised_just_before__does_not_reach_back(world: Fees):
    """Fees that lie here undivided are split by the old weights, whoever calls first."""
    world.sync()
    world.give(40_000)
    world.set_weight(FIRST, 300)
    world.sync(FIRST)
    assert world.claimable() == (10_000, 10_000)
    world.distribute(40_000)
    assert world.claimable() == (10_000 + 15_000, 10_000 + 5_000)


def test_sync__new_operator__starts_at_zero(world: Fees):
    world.sync()
    world.distribute(40_000)
    world.give(40_000)
    third = world.add_operator(200)
    world.sync(third)
    assert world.claimable(FIRST, SECOND, third) == (20_000, 20_000, 0)
    world.distribute(40_000)
    assert world.claimable(FIRST, SECOND, third) == (25_000, 25_000, 10_000)


def test_sync__weight_lowered__keeps_what_was_earned_and_earns_less(world: Fees):
    world.sync()
    world.distribute(40_000)
    world.set_weight(SECOND, 0)
    world.sync(SECOND)
    world.distribute(40_000)
    assert world.claimable() == (30_000, 10_000)


def test_sync__suspended_operator__earns_no_more_and_nobody_else_gains(world: Fees):
    world.sync()
    world.set_weight(SECOND, 100, limit=0)
    world.sync(SECOND)
    assert world.splitter.weights(world.registry) == (0, 100, 200)
    world.distribute(40_000)
    assert world.claimable() == (10_000, 0)
    assert world.balances(TREASURY) == (16_000 + 10_000,)
    world.set_weight(SECOND, 100, limit=1)
    world.sync(SECOND)
    world.distribute(40_000)
    assert world.claimable() == (20_000, 10_000)


def test_sync__other_weights_fell_and_are_not_synced__nobody_gets_more_than_there_is(world: Fees):
    world.sync()
    world.set_weight(FIRST, 1)
    world.set_weight(SECOND, 1)
    world.sync(FIRST)
    assert world.splitter.weights(world.registry) == (0, 101, 2)
    world.distribute(2 * 101 * 5)
    assert world.claimable() == (5, 500)


def test_sync__unknown_operator__changes_nothing(world: Fees, splitter: Contract):
    world.sync()
    for operator in (0, 3, 2**256 - 1):
        world.sync(operator)
    assert splitter.weights(world.registry) == (0, 200, 200)
    world.distribute(40_000)
    assert world.claimable(0, 3, FIRST) == (0, 0, 10_000)


# --- claim ---


def test_claim__by_anybody__pays_the_reward_address_all_that_has_come(world: Fees, splitter: Contract):
    world.sync()
    world.distribute(40_000)
    world.give(40_000)
    assert splitter.claim(FIRST, sender=OUTSIDER) == 20_000
    assert world.balances(REWARDS_1, REWARDS_2, OUTSIDER) == (20_000, 0, 0)
    (event,) = world.evm.events(splitter, "Claimed")
    assert event.fields == {
        "registry": world.registry.address,
        "operator": FIRST,
        "receiver": REWARDS_1,
        "shares": 20_000,
    }
    assert world.claimable() == (0, 20_000)
    assert splitter.claim(FIRST) == 0
    assert world.evm.events(splitter) == []
    world.distribute(4_000)
    assert splitter.claim(FIRST, world.registry) == 1_000


def test_claim__reward_address_that_the_pool_refuses__holds_up_nobody_else(world: Fees, splitter: Contract):
    world.sync()
    world.registry.set_reward_address(FIRST, world.queue, sender=MANAGER)
    world.distribute(40_000)
    with reverts("receiver: refused"):
        splitter.claim(FIRST)
    assert splitter.claim(SECOND) == 10_000
    world.distribute(40_000)
    world.sync(FIRST)
    world.registry.set_reward_address(FIRST, REWARDS_1, sender=MANAGER)
    assert splitter.claim(FIRST) == 20_000


def test_claim__reward_address_is_the_splitter__the_fees_are_split_again(world: Fees, splitter: Contract):
    world.sync()
    world.registry.set_reward_address(FIRST, splitter, sender=MANAGER)
    world.distribute(40_000)
    assert splitter.claim(FIRST) == 10_000
    assert splitter.undistributed() == 10_000
    assert splitter.claim(SECOND) == 10_000 + 2_500


def test_claim__suspended_operator__is_paid_what_it_earned(world: Fees, splitter: Contract):
    world.sync()
    world.distribute(40_000)
    world.set_weight(FIRST, 100, limit=0)
    world.sync(FIRST)
    assert splitter.claim(FIRST) == 10_000


def test_claim__registry_that_never_was_one__pays_nothing_and_is_not_called(world: Fees, splitter: Contract):
    world.sync()
    world.distribute(40_000)
    for stranger in (OUTSIDER, world.pool, world.vault):
        assert splitter.claim(FIRST, stranger) == 0


# --- cover ---


def test_cover_loss__whole_way__repays_holders_without_fee_and_without_a_jump(world: Fees, splitter: Contract):
    world.fund(2 * ETHER)
    world.pool.transfer(REWARDS_3, ETHER, sender=SAVER)
    deficit = world.lose(ETHER)
    assert deficit == ETHER
    shares = splitter.coverable()
    rate = world.pool.exit_rate()
    # Worth just the deficit: one share more would be worth more.
    assert shares * rate // ETHER <= deficit < (shares + 2) * (rate + 1) // ETHER

    fund, held = splitter.cover_fund(), splitter.held()
    ticket = splitter.cover_loss(shares, sender=COUNCIL)
    (event,) = world.evm.events(splitter, "LossCovered")
    assert event.fields == {"ticket": ticket, "shares": shares}
    assert (splitter.cover_ticket(), world.queue.ownerOf(ticket)) == (ticket, world.vault.address)
    assert (splitter.cover_fund(), splitter.held()) == (fund - shares, held - shares)
    assert splitter.undistributed() == 0
    assert (world.pool.exit_rate(), world.pool.entry_rate()) == (rate, rate)

    world.protocol.report()
    world.pool.fulfil()
    paid = world.queue.claim(ticket, sender=OUTSIDER)
    assert world.evm.balance(world.vault) == paid
    # Rounded against the fund: a few wei below the deficit, part of which the burnt shares took along.
    left = world.pool.deficit()
    assert deficit - 10 <= paid <= deficit
    assert left < deficit

    value = world.pool.totalAssets()
    before = world.pool.exit_rate()
    world.evm.travel(DAY)
    report = world.protocol.report()
    assert (report["tips"], report["gain"]) == (paid, paid)
    # What leavers took along of the deficit is new value, and pays its fee.
    assert report["fee"] == (paid - left) * 1_000 // 10_000 < paid // 1_000
    assert world.pool.deficit() == 0
    assert world.pool.totalAssets() - value < paid // 100
    assert world.pool.exit_rate() - before <= 1
    world.evm.travel(2 * DAY)
    assert world.pool.exit_rate() > before


def test_cover_loss__no_deficit__is_over_the_limit(world: Fees, splitter: Contract):
    world.fund(ETHER)
    assert splitter.coverable() == 0
    with reverts("cover: over the limit"):
        splitter.cover_loss(1, sender=COUNCIL)
    with reverts("request: zero shares"):
        splitter.cover_loss(0, sender=COUNCIL)


def test_cover_loss__more_than_the_deficit_is_worth__is_over_the_limit(world: Fees, splitter: Contract):
    world.fund(5 * ETHER)
    deficit = world.lose(ETHER)
    shares = splitter.coverable()
    assert shares == deficit * ETHER // (world.pool.exit_rate() + 1) < splitter.cover_fund()
    with reverts("cover: over the limit"):
        splitter.cover_loss(shares + 1, sender=COUNCIL)
    splitter.cover_loss(shares, sender=COUNCIL)


def test_cover_loss__more_than_the_fund_has__is_over_the_limit(world: Fees, splitter: Contract):
    world.fund(ETHER // 10)
    world.lose(ETHER)
    fund = splitter.cover_fund()
    assert splitter.coverable() == fund
    with reverts("cover: over the limit"):
        splitter.cover_loss(fund + 1, sender=COUNCIL)
    splitter.cover_loss(fund, sender=COUNCIL)
    assert splitter.cover_fund() == 0
    # What is the operators' and undivided is not the fund's.
    assert world.pool.balanceOf(splitter) == splitter.held()


def test_cover_loss__ether_in_the_execution_vault__counts_as_repaid(world: Fees, splitter: Contract):
    world.fund(2 * ETHER)
    deficit = world.lose(ETHER)
    world.evm.fund(world.vault, deficit // 4)
    open_ = deficit - deficit // 4
    assert splitter.coverable() == open_ * ETHER // (world.pool.exit_rate() + 1)
    world.evm.fund(world.vault, open_)
    assert splitter.coverable() == 0
    world.evm.fund(world.vault, 1)
    assert splitter.coverable() == 0


def test_cover_loss__last_ticket_not_paid_and_claimed__has_to_wait(world: Fees, splitter: Contract):
    world.fund(10 * ETHER)
    world.lose(8 * ETHER)
    ticket = splitter.cover_loss(splitter.coverable() // 2, sender=COUNCIL)
    assert splitter.coverable() == 0
    world.protocol.report()
    assert splitter.coverable() == 0
    world.pool.fulfil(2 * ETHER)
    world.queue.claim(ticket)
    assert splitter.coverable() == 0
    world.pool.fulfil()
    assert world.queue.pending(ticket) == 0
    assert splitter.coverable() == 0
    with reverts("cover: over the limit"):
        splitter.cover_loss(1, sender=COUNCIL)
    world.queue.claim(ticket)
    deficit = world.pool.deficit() - world.evm.balance(world.vault)
    assert splitter.coverable() == deficit * ETHER // (world.pool.exit_rate() + 1) > 0


@pytest.mark.parametrize("sender", ["outsider", "admin", "treasury"])
def test_cover_loss__not_the_council__reverts(world: Fees, splitter: Contract, sender: str):
    world.fund(ETHER)
    world.lose(ETHER)
    caller = {"outsider": OUTSIDER, "admin": world.protocol.admin, "treasury": TREASURY}[sender]
    with reverts(MISSING_ROLE):
        splitter.cover_loss(1, sender=caller)


# --- admin ---


def test_set_parts__by_the_admin__holds_for_what_comes_later(world: Fees, splitter: Contract):
    world.sync()
    world.give(10_000)
    splitter.set_parts(Parts(1_000, 2_000), sender=world.protocol.admin)
    assert world.evm.events(splitter, "PartsSet")[0].fields == {"parts": (1_000, 2_000)}
    assert world.balances(TREASURY) == (4_000,)
    world.distribute(10_000)
    assert world.balances(TREASURY) == (5_000,)
    assert splitter.cover_fund() == 1_000 + 2_000
    assert sum(world.claimable()) == 5_000 + 7_000


@pytest.mark.parametrize("parts", [Parts(5_001, 0), Parts(0, 3_001), Parts(2**256 - 1, 2**256 - 1)])
def test_set_parts__out_of_bounds__reverts(world: Fees, splitter: Contract, parts: Parts):
    with reverts("parameter: out of bounds"):
        splitter.set_parts(parts, sender=world.protocol.admin)


def test_set_treasury__by_the_admin__gets_what_comes_later(world: Fees, splitter: Contract):
    world.give(10_000)
    splitter.set_treasury(RECEIVER, sender=world.protocol.admin)
    assert world.evm.events(splitter, "TreasurySet")[0].fields == {"treasury": RECEIVER}
    world.distribute(10_000)
    assert world.balances(TREASURY, RECEIVER) == (9_000, 9_000)


def test_set_treasury__who_cannot_take_shares__reverts(world: Fees, splitter: Contract):
    for treasury in (ZERO, world.pool, world.queue, splitter):
        with reverts("receiver: refused"):
            splitter.set_treasury(treasury, sender=world.protocol.admin)


def test_set_registry__another__starts_new_books_and_leaves_the_old_to_be_claimed(world: Fees, splitter: Contract):
    world.sync()
    world.distribute(40_000)
    world.give(40_000)
    old, other = world.registry, world.replace_registry()
    splitter.set_registry(other, sender=world.protocol.admin)
    assert world.evm.events(splitter, "RegistrySet")[0].fields == {"registry": other.address}
    assert splitter.claimable(FIRST) == 0
    assert splitter.claimable(FIRST, old) == 20_000

    # The first of the new one is another operator.
    other.add_operator(MANAGER, REWARDS_3, 7, 1, sender=COUNCIL)
    other.add_operator(MANAGER, REWARDS_3, 13, 1, sender=COUNCIL)
    splitter.sync(FIRST)
    assert splitter.weights(other) == (0, 7, 20)
    world.distribute(40_000)
    assert splitter.claim(FIRST) == 7_000
    assert world.balances(REWARDS_1, REWARDS_3) == (0, 7_000)

    assert splitter.claimable(FIRST, old) == 20_000
    world.registry.set_reward_address(FIRST, RECEIVER, sender=MANAGER)
    assert splitter.claim(FIRST, old) == 20_000
    assert world.balances(RECEIVER) == (20_000,)

    splitter.set_registry(old, sender=world.protocol.admin)
    world.distribute(40_000)
    assert splitter.claim(FIRST) == 10_000
    assert splitter.claimable(SECOND) == 30_000
    assert splitter.claimable(FIRST, other) == 0


def test_set_registry__without_the_pools_role__reverts(world: Fees, splitter: Contract):
    for registry in (ZERO, OUTSIDER, deploy_registry(world.protocol, world.validators.beacon)):
        with reverts("peer: not wired to this contract"):
            splitter.set_registry(registry, sender=world.protocol.admin)


def test_set_registry__broken_one__distributions_go_on(world: Fees, splitter: Contract):
    world.sync()
    world.distribute(40_000)
    world.pool.grantRole(world.pool.REGISTRY_ROLE(), OUTSIDER, sender=world.protocol.admin)
    splitter.set_registry(OUTSIDER, sender=world.protocol.admin)
    with reverts():
        splitter.sync(FIRST)
    world.distribute(40_000)
    assert splitter.claim(FIRST, world.registry) == 10_000


@pytest.mark.parametrize("sender", ["outsider", "council", "treasury"])
def test_settings__not_the_admin__reverts(world: Fees, splitter: Contract, sender: str):
    caller = {"outsider": OUTSIDER, "council": COUNCIL, "treasury": TREASURY}[sender]
    with reverts(MISSING_ROLE):
        splitter.set_parts(PARTS, sender=caller)
    with reverts(MISSING_ROLE):
        splitter.set_treasury(RECEIVER, sender=caller)
    with reverts(MISSING_ROLE):
        splitter.set_registry(world.registry, sender=caller)
    with reverts(MISSING_ROLE):
        splitter.grantRole(splitter.COUNCIL_ROLE(), caller, sender=caller)
    with reverts(MISSING_ROLE):
        splitter.revokeRole(splitter.COUNCIL_ROLE(), COUNCIL, sender=caller)


def test_roles__admin__appoints_another_council(world: Fees, splitter: Contract):
    admin = world.protocol.admin
    splitter.revokeRole(splitter.COUNCIL_ROLE(), COUNCIL, sender=admin)
    splitter.grantRole(splitter.COUNCIL_ROLE(), STAKER, sender=admin)
    world.fund(ETHER)
    world.lose(ETHER)
    with reverts(MISSING_ROLE):
        splitter.cover_loss(1, sender=COUNCIL)
    splitter.cover_loss(1, sender=STAKER)


def test_ether__sent_to_the_splitter__is_refused_and_forced_in_it_changes_nothing(world: Fees):
    with reverts():
        world.splitter.receive(sender=OUTSIDER, value=1)
    world.evm.force(world.splitter, ETHER)
    assert world.splitter.distribute() == 0
