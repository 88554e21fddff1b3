"""The keeper's plan: what it does with what it sees, and what it leaves for later."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe.keeper.config import PullBack, Rules, TopUp
from floe.keeper.plan import Step, news, plan
from floe.keeper.snapshot import Fees, Known, Seen, Snapshot
from floe.keeper.stake import requests, top_ups
from floe.model.beacon import FAR_FUTURE
from floe.model.registry import (
    DEPOSIT_TIME,
    FRESH_SLOTS,
    MIN_PULL,
    REQUEST_TIME,
    SEEN,
    WITHDRAWAL_TIME,
    Operator,
    State,
    Validator,
)

GWEI = 10**9
ETHER = 10**18
DAY = 86_400
NOW = 1_800_000_000
AT = NOW - 24
EPOCH = 300_000
RULES = Rules()
_numbers = count(1)


def seen(balance: int = 32, **changes: Any) -> Seen:
    """Return a validator of so many ETH that has been active for long."""
    fields = {
        "index": 7,
        "balance": balance * GWEI,
        "effective_balance": balance * GWEI,
        "slashed": False,
        "activation_epoch": EPOCH - 1_000,
        "exit_epoch": FAR_FUTURE,
        "withdrawable_epoch": FAR_FUTURE,
    }
    return Seen(**{**fields, **changes})


def known(state: State, stake: int = 0, operator: int = 1, shows: Seen | str | None = "", **changes: Any) -> Known:
    """Return a quiet validator with so many ETH: proven just now, active for long, nothing under way."""
    fields: dict[str, Any] = {"proven_at": AT - 12}
    if state in (State.ACTIVE, State.EXITING, State.SLASHED):
        fields |= {"topped_at": NOW - 40 * DAY, "pulled_at": NOW - 30 * DAY}
    record = Validator(state, operator, 7, stake * GWEI)._replace(**{**fields, **changes})
    return Known(next(_numbers).to_bytes(32, "big"), record, seen(max(stake, 1)) if isinstance(shows, str) else shows)


def snapshot(*validators: Known, stakes: dict[int, int] | None = None, **changes: Any) -> Snapshot:
    """Return a protocol at rest with two operators of equal weight, which have so many ETH of stake each."""
    held = stakes or {}
    operators = {
        number: Operator("0x" + "11" * 20, 50, 100, 1, "0x" + "11" * 20, 0, held.get(number, 0) * GWEI)
        for number in (1, 2)
    }
    fields: dict[str, Any] = {
        "now": NOW,
        "base_fee": 5 * GWEI,
        "tip": GWEI,
        "at": AT,
        "epoch": EPOCH,
        "seconds_per_slot": 12,
        "committee_period": 256,
        "validators": validators,
        "exit_rate": ETHER,
        "waiting": 0,
        "eligible": 0,
        "fulfillable": 0,
        "stakeable": 0,
        "stale_from": NOW + DAY,
        "vault_balance": 0,
        "missing": 0,
        "recorded_today": 0,
        "filled": 1_000 * ETHER,
        "overdue_day": None,
        "long_overdue": False,
        "may_pull": True,
        "operators": operators,
        "quotas": dict.fromkeys(operators, 5_000 * GWEI),
        "request_fee": 1,
    }
    return Snapshot(**{**fields, **changes})


def kinds(steps: list[Step]) -> list[str]:
    return [step.kind for step in steps]


def only(steps: list[Step]) -> Step:
    [step] = steps
    return step


def test_plan__protocol_at_rest__nothing_to_do():
    assert plan(snapshot(known(State.ACTIVE, 32), known(State.PROVEN), known(State.CLOSED)), RULES) == []


# --- what a proof would tell ---


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (known(State.PREDEPOSITED, shows=None), None),
        (known(State.PREDEPOSITED, shows=seen(1)), "prove_credentials"),
        (known(State.PREDEPOSITED, shows=seen(1, slashed=True)), "prove_slashings"),
        (known(State.PROVEN), None),
        (known(State.COMPROMISED, shows=seen(0, slashed=True)), None),
        (known(State.ACTIVE, 32, shows=seen(slashed=True, exit_epoch=EPOCH)), "prove_slashings"),
        (known(State.EXITING, 32, shows=seen(slashed=True, exit_epoch=EPOCH), pulled_at=SEEN), "prove_slashings"),
        (known(State.ACTIVE, 32, shows=seen(slashed=True), proven_at=AT), None),
        (known(State.SLASHED, 32, shows=seen(31, slashed=True, exit_epoch=EPOCH)), None),
        (known(State.ACTIVE, 32, shows=seen(exit_epoch=EPOCH + 5)), "prove_exits"),
        (known(State.EXITING, 32, shows=seen(exit_epoch=EPOCH + 5)), "prove_exits"),
        (known(State.EXITING, 32, shows=seen(exit_epoch=EPOCH + 5), pulled_at=SEEN), None),
        (known(State.EXITING, 32, shows=seen(0, exit_epoch=9, withdrawable_epoch=EPOCH), pulled_at=SEEN), "close"),
        (known(State.EXITING, 32, shows=seen(0, exit_epoch=9, withdrawable_epoch=EPOCH + 1), pulled_at=SEEN), None),
        (known(State.EXITING, 32, shows=seen(1, exit_epoch=9, withdrawable_epoch=EPOCH), pulled_at=SEEN), None),
        (known(State.SLASHED, 32, shows=seen(0, slashed=True, withdrawable_epoch=EPOCH)), "close"),
        (known(State.CLOSED, shows=seen(0, exit_epoch=9, withdrawable_epoch=9)), None),
        (known(State.ACTIVE, 32, pulled_at=0), "prove_activity"),
        (known(State.ACTIVE, 32, shows=seen(activation_epoch=EPOCH + 1), pulled_at=0), None),
        (known(State.ACTIVE, 32, shows=seen(33)), "prove_balances"),
        (known(State.ACTIVE, 32, shows=seen(31)), None),
        (known(State.ACTIVE, 32, shows=seen(31), topped_at=AT - DEPOSIT_TIME), None),
        (known(State.ACTIVE, 32, shows=seen(31), topped_at=AT - DEPOSIT_TIME - 1), "prove_balances"),
    ],
)
def test_news__validator_by_state__what_the_registry_does_not_know(one: Known, kind: str | None):
    assert news(one, EPOCH, AT) == kind


@pytest.mark.parametrize(
    ("balance", "asked", "kind"),
    [
        (60, AT - REQUEST_TIME, None),  # too soon to tell
        (60, AT - REQUEST_TIME - 1, "prove_exits"),  # paid
        (80, AT - REQUEST_TIME - 1, "prove_exits"),  # a half and less than 1 ETH of rewards
        (82, AT - REQUEST_TIME - 1, None),  # not paid yet
        (100, AT - WITHDRAWAL_TIME, None),
        (100, AT - WITHDRAWAL_TIME - 1, "prove_exits"),  # dropped
    ],
)
def test_news__partial_withdrawal_under_way__told_when_paid_or_dropped(balance: int, asked: int, kind: str | None):
    one = known(State.ACTIVE, 100, shows=seen(balance), pulled=40 * GWEI, pulled_at=asked)
    assert news(one, EPOCH, AT) == kind


def test_news__full_exit_that_the_beacon_chain_ignored__told_after_two_days():
    one = known(State.EXITING, 32, pulled=32 * GWEI, pulled_at=AT - REQUEST_TIME)
    assert news(one, EPOCH, AT) is None
    assert news(one, EPOCH, AT + 1) == "prove_exits"


def test_plan__news_of_many__one_step_a_kind_slashings_first():
    slashed, leaving, new = (
        known(State.ACTIVE, 32, shows=seen(slashed=True)),
        known(State.ACTIVE, 32, shows=seen(exit_epoch=EPOCH)),
        [known(State.PREDEPOSITED, shows=seen(1)) for _ in range(2)],
    )
    steps = plan(snapshot(*new, leaving, slashed), RULES)
    assert kinds(steps) == ["prove_slashings", "prove_exits", "prove_credentials"]
    assert steps[0].validators == (slashed.key,)
    assert steps[2].validators == tuple(one.key for one in new)
    assert not any(step.held for step in steps)


def test_plan__balances__proven_when_they_add_up():
    three = [known(State.ACTIVE, 32, shows=seen(34)) for _ in range(3)]
    four = [*three, known(State.ACTIVE, 32, shows=seen(34))]
    assert plan(snapshot(*three), RULES) == []
    assert only(plan(snapshot(*four), RULES)).kind == "prove_balances"


# --- held: price of gas, cooldown, worth ---


def test_plan__gas_above_the_ceiling__waits_and_says_so():
    new = known(State.PREDEPOSITED, shows=seen(1))
    at_ceiling = snapshot(new, base_fee=49 * GWEI)
    assert not only(plan(at_ceiling, RULES)).held
    step = only(plan(replace(at_ceiling, base_fee=49 * GWEI + 1), RULES))
    assert step.held == "gas costs 50.0 Gwei, at most 50 are allowed"


def test_plan__slashing_while_gas_is_dear__due():
    slashed = known(State.ACTIVE, 32, shows=seen(slashed=True))
    assert not only(plan(snapshot(slashed, base_fee=400 * GWEI), RULES)).held


def test_plan__cooldown__waits_until_it_is_over():
    new = known(State.PREDEPOSITED, shows=seen(1))
    at = snapshot(new, last={"prove_credentials": NOW - 383})
    assert only(plan(at, RULES)).held == "done lately: again in 1 s"
    assert not only(plan(replace(at, last={"prove_credentials": NOW - 384}), RULES)).held


def test_plan__disabled_action__is_not_in_the_plan():
    rules = RULES.model_copy(update={"fulfil": RULES.fulfil.model_copy(update={"enabled": False})})
    assert plan(snapshot(fulfillable=ETHER), rules) == []


def test_plan__small_top_up_while_gas_is_dear__not_worth_it():
    rules = RULES.model_copy(update={"top_up": TopUp(max_fee_gwei=1_000)})
    one = snapshot(known(State.PROVEN), stakeable=32 * ETHER, base_fee=20 * GWEI)
    assert not only(plan(one, rules)).held  # 150,000 gas at 21 Gwei are 0.00315 ETH, 1 bps of 31 ETH
    dear = only(plan(replace(one, base_fee=300 * GWEI), rules))
    assert "more than 10 bps" in dear.held


# --- exits ---


def test_fulfil__enough__at_once_and_little__once_a_day():
    assert not only(plan(snapshot(fulfillable=ETHER, last={"fulfil": NOW - 60}), RULES)).held
    little = snapshot(fulfillable=ETHER - 1, last={"fulfil": NOW - DAY + 1})
    assert only(plan(little, RULES)).held == "less than 1 ETH within a day"
    assert not only(plan(replace(little, last={"fulfil": NOW - DAY}), RULES)).held
    assert not only(plan(replace(little, last={}), RULES)).held
    assert plan(snapshot(fulfillable=0, eligible=ETHER, recorded_today=1_001 * ETHER), RULES) == []


def test_record_exits__eligible_and_not_recorded_today__once():
    waits = snapshot(eligible=ETHER)
    assert kinds(plan(waits, RULES)) == ["record_exits"]
    assert plan(replace(waits, recorded_today=1), RULES) == []
    assert plan(replace(waits, eligible=0), RULES) == []


def test_declare_stale__when_it_helps_somebody():
    late = snapshot(stale_from=NOW, waiting=2, eligible=1, recorded_today=1_001 * ETHER)
    assert kinds(plan(late, RULES)) == ["declare_stale"]
    assert plan(replace(late, stale_from=NOW + 1), RULES) == []
    assert plan(replace(late, eligible=2), RULES) == []
    assert kinds(plan(replace(late, eligible=2, vault_balance=1), RULES)) == ["declare_stale"]


# --- stake back ---


def test_requests__keeper__levels_operators_by_parts_first():
    a, b = known(State.ACTIVE, 500), known(State.ACTIVE, 400, operator=2)
    at = snapshot(a, b, stakes={1: 500, 2: 400}, missing=200 * ETHER)
    # 700 ETH should stay, 350 with each.
    assert requests(at, PullBack()) == {a.key: 150 * GWEI, b.key: 50 * GWEI}


def test_requests__little_missing__the_operator_most_above_gives_all_of_it():
    a, b = known(State.ACTIVE, 500), known(State.ACTIVE, 400, operator=2)
    at = snapshot(a, b, stakes={1: 500, 2: 400}, missing=60 * ETHER + 1)
    assert requests(at, PullBack()) == {a.key: 60 * GWEI + 1}


def test_requests__less_than_a_part__asks_for_the_least_part():
    a = known(State.ACTIVE, 500)
    at = snapshot(a, stakes={1: 500}, missing=2 * ETHER)
    assert requests(at, PullBack()) == {a.key: MIN_PULL}


def test_requests__parts_do_not_suffice__whole_validators_leave():
    large, small, other = known(State.ACTIVE, 100), known(State.ACTIVE, 34), known(State.ACTIVE, 40, operator=2)
    at = snapshot(large, small, other, stakes={1: 134, 2: 40}, missing=110 * ETHER)
    # 64 should stay. Parts: 68 of the large one, 8 of the other; 34 are missing: all of the small one.
    assert requests(at, PullBack()) == {large.key: 68 * GWEI, other.key: 8 * GWEI, small.key: 0}


def test_requests__little_is_missing_after_the_parts__nobody_has_to_leave():
    a, b = known(State.ACTIVE, 40), known(State.ACTIVE, 32)
    at = snapshot(a, b, stakes={1: 72}, missing=15 * ETHER)
    assert requests(at, PullBack()) == {a.key: 8 * GWEI}
    assert requests(at, PullBack(full_exit_from_eth=7)) == {a.key: 8 * GWEI, b.key: 0}


@pytest.mark.parametrize(
    "one",
    [
        known(State.PROVEN, 0),
        known(State.EXITING, 500, pulled_at=SEEN),
        known(State.ACTIVE, 500, pulled=5 * GWEI),
        known(State.ACTIVE, 500, pulled_at=0),
        known(State.ACTIVE, 500, pulled_at=NOW + 1),
        known(State.ACTIVE, 500, shows=None),
        known(State.ACTIVE, 500, shows=seen(500, slashed=True)),
        known(State.ACTIVE, 500, shows=seen(500, exit_epoch=EPOCH)),
        known(State.ACTIVE, 500, shows=seen(500, activation_epoch=EPOCH - 255)),
    ],
)
def test_requests__validator_that_would_not_answer__is_not_asked(one: Known):
    assert requests(snapshot(one, stakes={1: 500}, missing=100 * ETHER), PullBack()) == {}


def test_requests__balance_below_the_stake__asked_for_what_is_there():
    one = known(State.ACTIVE, 100, shows=seen(60))
    at = snapshot(one, stakes={1: 100}, missing=50 * ETHER)
    assert requests(at, PullBack(full_exit_from_eth=1_000)) == {one.key: 28 * GWEI}


def test_requests__stranger__only_operators_above_their_part_as_the_registry_books_it():
    a, b = known(State.ACTIVE, 500), known(State.ACTIVE, 100, operator=2)
    at = snapshot(a, b, stakes={1: 500, 2: 100}, missing=550 * ETHER, may_pull=False, overdue_day=9)
    # 50 ETH should stay: both are above 25.
    assert requests(at, PullBack()) == {a.key: 468 * GWEI, b.key: 68 * GWEI}
    # 500 should stay: the second is not above 250, and what the first can spare suffices.
    assert requests(replace(at, missing=100 * ETHER), PullBack()) == {a.key: 100 * GWEI}
    young = known(State.ACTIVE, 500, pulled_at=NOW - REQUEST_TIME + 1)
    assert requests(snapshot(young, stakes={1: 500}, missing=ETHER, may_pull=False, overdue_day=9), PullBack()) == {}


def test_requests__stranger_after_twice_the_promise__all_operators():
    below = known(State.ACTIVE, 100, operator=2)
    at = snapshot(below, stakes={1: 900, 2: 100}, missing=50 * ETHER, may_pull=False, overdue_day=9)
    assert requests(at, PullBack()) == {}
    assert requests(replace(at, long_overdue=True), PullBack()) == {below.key: 50 * GWEI}


@given(
    stakes=st.lists(st.tuples(st.integers(32, 2_048), st.integers(1, 2)), min_size=1, max_size=12),
    missing=st.integers(1, 20_000 * ETHER),
)
def test_requests__any_validators__valid_and_as_much_as_there_is(stakes: list[tuple[int, int]], missing: int):
    validators = [known(State.ACTIVE, stake, operator) for stake, operator in stakes]
    totals = {number: sum(stake for stake, operator in stakes if operator == number) for number in (1, 2)}
    found = requests(snapshot(*validators, stakes=totals, missing=missing), PullBack(full_exit_from_eth=0))
    records = {one.key: one.record for one in validators}
    for key, amount in found.items():
        assert amount == 0 or MIN_PULL <= amount <= records[key].stake - 32 * GWEI
    asked = sum(amount or records[key].stake for key, amount in found.items())
    # Everything is asked for, unless somebody of whom a part was asked would have to leave for the rest.
    rest = -(-missing // GWEI) - asked
    assert rest <= 0 or all(key in found for key in records)
    whole = [records[key].stake for key, amount in found.items() if amount == 0]
    # Nobody leaves for nothing.
    assert not whole or asked - min(whole) < -(-missing // GWEI)


def test_pull_back__rules__least_role_price_of_a_request():
    at = snapshot(known(State.ACTIVE, 500), stakes={1: 500}, missing=100 * ETHER)
    step = only(plan(at, RULES))
    assert (step.kind, step.amounts, step.value, step.held) == ("pull_back", (100 * GWEI,), 2, "")
    assert plan(replace(at, missing=ETHER - GWEI), RULES) == []
    assert plan(replace(at, may_pull=False), RULES) == []
    assert only(plan(replace(at, may_pull=False, overdue_day=20_000), RULES)).number == 20_000
    assert only(plan(replace(at, request_fee=10**15 + 1), RULES)).held == "a request costs 1000000 Gwei"
    assert not only(plan(replace(at, request_fee=10**15), RULES)).held
    assert only(plan(replace(at, request_fee=None), RULES)).held == "the fee of a request cannot be read"


# --- stake out ---


def test_top_ups__proven_ones_first_then_the_rest_up_to_the_quota():
    new, old = known(State.PROVEN), known(State.ACTIVE, 100)
    at = snapshot(new, old, stakes={1: 100}, stakeable=1_000 * ETHER)
    assert top_ups(replace(at, quotas={1: 400 * GWEI, 2: 0}), TopUp()) == {new.key: (31 + 268) * GWEI}
    assert top_ups(at, TopUp(fill_to_eth=200)) == {new.key: 199 * GWEI, old.key: 100 * GWEI}


def test_top_ups__two_operators__the_one_farthest_below_its_quota_first():
    a, b = known(State.PROVEN), known(State.PROVEN, operator=2)
    at = snapshot(a, b, stakes={1: 10, 2: 0}, stakeable=40 * ETHER, quotas={1: 100 * GWEI, 2: 100 * GWEI})
    assert top_ups(at, TopUp()) == {b.key: 39 * GWEI}


def test_top_ups__many_of_an_operator_at_its_quota__do_not_stand_in_the_way():
    others = [known(State.ACTIVE, 32) for _ in range(150)]
    one = known(State.ACTIVE, 100, operator=2)
    at = snapshot(
        *others, one, stakes={1: 4_800, 2: 100}, stakeable=100 * ETHER, quotas={1: 4_800 * GWEI, 2: 4_800 * GWEI}
    )
    assert top_ups(at, TopUp()) == {one.key: 100 * GWEI}


@pytest.mark.parametrize(
    ("stakeable", "amount"),
    [(32 * ETHER - 1, None), (32 * ETHER, 31), (33 * ETHER - 1, 31), (33 * ETHER, 32), (3_000 * ETHER, 1_919)],
)
def test_top_ups__first__32_eth_at_least_in_whole_eth(stakeable: int, amount: int | None):
    one = known(State.PROVEN)
    found = top_ups(snapshot(one, stakeable=stakeable), TopUp())
    assert found == ({} if amount is None else {one.key: amount * GWEI})


@pytest.mark.parametrize(("gift", "amount"), [(1, 198), (100, 99), (500, 31)])
def test_top_ups__gift_of_a_stranger__does_not_keep_a_validator_from_its_first_stake(gift: int, amount: int):
    one = known(State.PROVEN, shows=seen(1 + gift))
    assert top_ups(snapshot(one, stakeable=32 * ETHER), TopUp(fill_to_eth=200)) == {one.key: 31 * GWEI}
    assert top_ups(snapshot(one, stakeable=1_000 * ETHER), TopUp(fill_to_eth=200)) == {one.key: amount * GWEI}


@pytest.mark.parametrize(
    "one",
    [
        known(State.PREDEPOSITED, shows=seen(1)),
        known(State.PROVEN, shows=None),
        known(State.PROVEN, shows=seen(1, slashed=True)),
        known(State.PROVEN, shows=seen(1, exit_epoch=EPOCH)),
        known(State.EXITING, 32),
        known(State.ACTIVE, 100, pulled=5 * GWEI),
        known(State.ACTIVE, 1_910),
        known(State.ACTIVE, 100, shows=seen(1_900)),
    ],
)
def test_top_ups__validator_that_should_get_nothing__gets_nothing(one: Known):
    assert top_ups(snapshot(one, stakes={1: 2_000}, stakeable=500 * ETHER), TopUp()) == {}


def test_top_ups__suspended_operator__gets_nothing():
    at = snapshot(known(State.PROVEN), stakeable=100 * ETHER)
    suspended = {1: at.operators[1]._replace(limit=0)}
    assert top_ups(replace(at, operators=suspended), TopUp()) == {}


def test_top_up__old_proof__is_renewed_in_the_same_step():
    fresh, old = known(State.PROVEN), known(State.PROVEN, proven_at=NOW - (FRESH_SLOTS - 32) * 12 - 1)
    step = only(plan(snapshot(fresh, old, stakeable=100 * ETHER), RULES))
    assert (step.kind, set(step.validators), step.prove) == ("top_up", {fresh.key, old.key}, (old.key,))


# --- fees ---


def test_fees__splitter__synced_split_and_on_request_claimed():
    fees = Fees(undistributed=ETHER, claimable={1: ETHER, 2: 0}, unsynced=(2,), cover_ticket=5)
    at = snapshot(fees=fees)
    assert [(step.kind, step.number) for step in plan(at, RULES)] == [
        ("sync_fees", 2),
        ("distribute_fees", 0),
        ("claim_cover", 5),
    ]
    paying = RULES.model_copy(update={"claim_fees": RULES.claim_fees.model_copy(update={"enabled": True})})
    assert ("claim_fees", 1) in [(step.kind, step.number) for step in plan(at, paying)]
    assert plan(snapshot(fees=Fees(ETHER // 10 - GWEI, {}, ())), RULES) == []
