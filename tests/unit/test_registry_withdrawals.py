"""ValidatorRegistry.request_withdrawals: the keeper at any time, anyone once exits are overdue; and that clock."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from floe.devnet.system_contracts import WITHDRAWAL_REQUESTS
from floe.model.beacon import GWEI_IN_ETHER
from tests.beacon import (
    COUNCIL,
    DEPOSIT_TIME,
    KEEPER,
    MANAGER,
    MIN_PULL,
    OTHER_MANAGER,
    REQUEST_TIME,
    WITHDRAWAL,
    State,
    Validators,
    WithdrawalRequest,
    raise_fee,
    withdrawal_requests,
)
from tests.evm import DAY, ETHER, ZERO, Account, reverts
from tests.protocol import OUTSIDER, STAKER, U96

GWEI = 10**9
TOO_MUCH = "withdrawal: too much"
AT_QUOTA = "operator: not above its quota"
NOT_AT_REST = "validator: not in this state"
ANSWERS_ONE = "36600c5760015f5260205ff35b5f5ffd"
"""Code: without input it answers 1, with input it reverts."""


# --- the keeper ---


@pytest.mark.parametrize("gwei", [MIN_PULL, MIN_PULL + 1, 8 * GWEI_IN_ETHER])
def test_request__part__reaches_the_beacon_chain_as_the_vaults(validators: Validators, gwei: int):
    (index,) = validators.active(stake=40)
    fee = validators.pull({index: gwei})
    names = [event.name for event in validators.evm.events()]
    event = validators.evm.events(validators.registry, "WithdrawalRequested")[0].fields
    assert names == ["WithdrawalRequested", "Requested"]
    assert (event["amount"], event["full"]) == (gwei, False)
    assert fee == 1
    assert withdrawal_requests(validators.evm) == [
        WithdrawalRequest(validators.vault.address, validators.keys(index), gwei)
    ]
    v = validators.record(index)
    assert (v.state, v.stake, v.pulled, v.pulled_at) == (State.ACTIVE, 40 * GWEI_IN_ETHER, gwei, validators.evm.now)
    assert validators.registry.under_way() == gwei
    assert validators.registry.staked() == 40 * GWEI_IN_ETHER - gwei
    validators.check()


def test_request__everything__reaches_the_beacon_chain_as_a_full_exit(validators: Validators):
    (index,) = validators.active(stake=40)
    validators.pull({index: 0})
    event = validators.evm.events(validators.registry, "WithdrawalRequested")[0].fields
    assert (event["amount"], event["full"]) == (40 * GWEI_IN_ETHER, True)
    assert withdrawal_requests(validators.evm) == [
        WithdrawalRequest(validators.vault.address, validators.keys(index), 0)
    ]
    assert (validators.state(index), validators.record(index).pulled) == (State.EXITING, 40 * GWEI_IN_ETHER)
    assert (validators.registry.staked(), validators.registry.under_way()) == (0, 40 * GWEI_IN_ETHER)
    validators.check()


def test_request__several_of_several_operators__in_order(validators: Validators):
    indices = validators.active(9, stake=37) + validators.active(9, operator=2, stake=38)
    wanted = {index: (index % 2) * MIN_PULL for index in reversed(indices)}
    validators.pull(wanted)
    # A block takes sixteen at most.
    found = withdrawal_requests(validators.evm) + withdrawal_requests(validators.evm)
    assert [(r.pubkey, r.amount) for r in found] == [(validators.keys(i), wanted[i]) for i in wanted]
    assert withdrawal_requests(validators.evm) == []
    validators.check()


def test_request__sixty_four__are_the_most(validators: Validators):
    indices = validators.active(65, stake=37)
    with reverts():
        validators.pull(dict.fromkeys(indices, MIN_PULL))
    validators.pull(dict.fromkeys(indices[:64], MIN_PULL))
    assert validators.registry.under_way() == 64 * MIN_PULL


@pytest.mark.parametrize(
    ("gwei", "fits"),
    [
        (1, False),
        (MIN_PULL - 1, False),
        (MIN_PULL, True),
        (8 * GWEI_IN_ETHER, True),
        (8 * GWEI_IN_ETHER + 1, False),
    ],
)
def test_request__part__is_five_ether_at_least_and_leaves_32_behind(validators: Validators, gwei: int, fits: bool):
    (index,) = validators.active(stake=40)
    if fits:
        validators.pull({index: gwei})
    else:
        with reverts(TOO_MUCH):
            validators.pull({index: gwei})


@pytest.mark.parametrize("gwei", [2**64 - 1, 2**64, 2**64 + 1, 2**256 - 1])
def test_bad_088_request__amounts_beyond_64_bits__revert(validators: Validators, gwei: int):
    """Cut off to eight bytes, 2**64 would be a full exit."""
    (index,) = validators.active(stake=2_048)
    with reverts(TOO_MUCH):
        validators.pull({index: gwei})


@pytest.mark.parametrize("balance", [32, 31, 0])
def test_request__part_of_32_ether_or_less__reverts(validators: Validators, balance: int):
    (index,) = validators.active()
    validators.evm.travel(DEPOSIT_TIME + DAY)
    validators.arrive(index, (balance - 32) * GWEI_IN_ETHER)
    validators.prove(index)
    assert validators.record(index).stake == balance * GWEI_IN_ETHER
    with reverts(TOO_MUCH):
        validators.pull({index: GWEI_IN_ETHER})
    validators.pull({index: 0})
    assert validators.registry.under_way() == balance * GWEI_IN_ETHER
    validators.check()


@pytest.mark.parametrize(("keys", "count"), [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2)])
def test_request__lengths_that_differ__revert(validators: Validators, keys: int, count: int):
    indices = validators.active(2, stake=40)
    with reverts("keys: wrong length"):
        validators.registry.request_withdrawals(
            validators.keys(*indices[:keys]), [GWEI_IN_ETHER] * count, sender=KEEPER, value=ETHER
        )
    with reverts("keys: wrong length"):
        validators.registry.request_withdrawals(validators.keys(indices[0])[:47], [1], sender=KEEPER, value=ETHER)


def test_bad_091_request__one_validator_twice_in_a_call__reverts(validators: Validators):
    (index,) = validators.active(stake=64)
    keys = validators.keys(index, index)
    for gwei in ([0, 0], [MIN_PULL] * 2, [0, MIN_PULL], [MIN_PULL, 0]):
        with reverts(NOT_AT_REST):
            validators.registry.request_withdrawals(keys, gwei, sender=KEEPER, value=ETHER)


@pytest.mark.parametrize("gwei", [0, MIN_PULL])
def test_request__not_seen_active__reverts(validators: Validators, gwei: int):
    """The beacon chain ignores requests for validators that wait for their activation."""
    (index,) = validators.predeposit()
    validators.top_up({index: 40})
    validators.prove(index)
    beacon = validators.beacon
    for epoch in (2**64 - 1, beacon.epoch + 100):
        beacon.validators[index].activation_epoch = epoch
        validators.prove(index)
        with reverts(NOT_AT_REST):
            validators.pull({index: gwei})
    validators.publish()
    beacon.validators[index].activation_epoch = beacon.epoch
    validators.prove(index)
    assert validators.record(index).pulled_at == beacon.time
    validators.pull({index: gwei})
    validators.check()


def test_request__keeper__is_who_holds_the_role(validators: Validators):
    registry, admin = validators.registry, validators.protocol.admin
    one, two = validators.active(2)
    with reverts("exits: not overdue"):
        validators.pull({one: 0}, sender=OUTSIDER)
    registry.grantRole(registry.KEEPER_ROLE(), OUTSIDER, sender=admin)
    validators.pull({one: 0}, sender=OUTSIDER)
    registry.revokeRole(registry.KEEPER_ROLE(), KEEPER, sender=admin)
    with reverts("exits: not overdue"):
        validators.pull({two: 0})


@pytest.mark.parametrize("day", [0, 1, 2**200])
def test_request__keepers_day__does_not_matter(validators: Validators, day: int):
    (index,) = validators.active()
    validators.pull({index: 0}, day=day)
    assert validators.state(index) == State.EXITING


# --- fees ---


def test_bad_088_request__fees__are_paid_by_the_caller_and_the_rest_comes_back(validators: Validators):
    """The fee rises with what other people ask for; neither the vault nor the bonds pay a wei of it."""
    evm, registry = validators.evm, validators.registry
    indices = validators.active(3)
    raise_fee(evm, WITHDRAWAL)
    fee = validators.vault.fee(WITHDRAWAL)
    assert fee > 500
    evm.force(validators.vault, 5 * ETHER)
    accounts: list[Account] = [KEEPER, validators.vault, registry, WITHDRAWAL_REQUESTS]
    before = [evm.balance(account) for account in accounts]
    assert validators.pull(dict.fromkeys(indices, 0)) == 3 * fee
    moved = [evm.balance(account) - old for account, old in zip(accounts, before, strict=True)]
    assert moved == [-3 * fee, 0, 0, 3 * fee]
    validators.check()


@pytest.mark.parametrize("short", [1, 0])
def test_bad_088_request__fee_limit__is_inclusive(validators: Validators, short: int):
    indices = validators.active(2)
    raise_fee(validators.evm, WITHDRAWAL, blocks=2)
    value = 2 * validators.vault.fee(WITHDRAWAL) - short
    if short:
        with reverts("request: fee over the limit"):
            validators.pull(dict.fromkeys(indices, 0), value=value)
        assert set(validators.states(*indices)) == {State.ACTIVE}
    else:
        assert validators.pull(dict.fromkeys(indices, 0), value=value) == value


def failing(validators: Validators) -> list[tuple[str, str]]:
    """Return what stands in for EIP-7002 or its absence, and the reason that a request meets."""
    evm = validators.evm
    return [
        (ZERO, "request: no system contract"),
        (OUTSIDER, "request: no system contract"),
        (evm.place("5f5ffd"), "request: fee not readable"),
        (evm.place("00"), "request: fee not readable"),
        (evm.place("601f5ff3"), "request: fee not readable"),
        (evm.place(ANSWERS_ONE), "request: refused"),
    ]


def test_bad_088_request__system_contract_that_does_not_work__reverts(validators: Validators):
    (index,) = validators.active(stake=40)
    for target, reason in failing(validators):
        validators.vault.set_system_contract(WITHDRAWAL, target, sender=validators.protocol.admin)
        for gwei in (0, MIN_PULL):
            with reverts(reason):
                validators.pull({index: gwei})
    assert validators.state(index) == State.ACTIVE


def test_request__by_a_registry_that_was_replaced__reverts(validators: Validators):
    pool = validators.pool
    (index,) = validators.active()
    pool.revokeRole(pool.REGISTRY_ROLE(), validators.registry, sender=validators.protocol.admin)
    with reverts("caller: not the registry"):
        validators.pull({index: 0})


def test_request__caller_that_takes_no_rest__reverts(validators: Validators):
    (index,) = validators.active()
    wallet = validators.protocol.wallet()
    validators.registry.grantRole(validators.registry.KEEPER_ROLE(), wallet, sender=validators.protocol.admin)
    wallet.refuse(True)
    with reverts("ether: send failed"):
        validators.pull({index: 0}, sender=wallet, value=2)
    validators.pull({index: 0}, sender=wallet, value=1)


# --- the clock ---


def test_record_exits__eligible_exits__are_noted_for_today(validators: Validators):
    protocol, registry, evm = validators.protocol, validators.registry, validators.evm
    with reverts("exits: recorded already"):
        registry.record_exits()
    protocol.request(10 * ETHER)
    with reverts("exits: recorded already"):
        registry.record_exits()
    protocol.report()
    registry.record_exits(sender=OUTSIDER)
    today = evm.now // DAY
    position = protocol.queue.tail()
    assert evm.events(registry)[0].fields == {"day": today, "position": position}
    assert registry.eligible_on(today) == position
    with reverts("exits: recorded already"):
        registry.record_exits()
    # More of them, later on the same day and on the next.
    protocol.request(ETHER)
    protocol.report()
    registry.record_exits()
    assert registry.eligible_on(today) == position + ETHER
    evm.travel(DAY)
    registry.record_exits()
    assert registry.eligible_on(today + 1) == position + ETHER


def test_record_exits__paid_since__keeps_the_position_of_the_day(validators: Validators):
    """Nothing that is recorded can be lowered."""
    protocol, registry = validators.protocol, validators.registry
    protocol.request(10 * ETHER)
    protocol.report()
    registry.record_exits()
    today = validators.evm.now // DAY
    position = registry.eligible_on(today)
    protocol.pool.fulfil()
    assert protocol.queue.filled() == position
    with reverts("exits: recorded already"):
        registry.record_exits()
    assert registry.eligible_on(today) == position


@pytest.mark.parametrize("promise", [DAY, 14 * DAY, 30 * DAY])
def test_overdue__promise__counts_from_the_end_of_the_day(validators: Validators, promise: int):
    registry, evm = validators.registry, validators.evm
    registry.set_parameters((500, promise), sender=validators.protocol.admin)
    validators.protocol.request(10 * ETHER)
    validators.protocol.report()
    registry.record_exits()
    day = evm.now // DAY
    evm.travel((day + 1) * DAY + promise - 1 - evm.now)
    assert not registry.overdue(day)
    evm.travel(1)
    assert registry.overdue(day)
    assert not registry.overdue(day + 1)
    assert not registry.overdue(day - 1)
    validators.pool.fulfil()
    assert not registry.overdue(day)


def test_overdue__paid_but_for_a_share__is_overdue(validators: Validators):
    protocol, registry, evm = validators.protocol, validators.registry, validators.evm
    protocol.request(10 * ETHER)
    protocol.report()
    registry.record_exits()
    day = evm.now // DAY
    evm.travel(20 * DAY)
    protocol.pool.fulfil(9 * ETHER)
    assert protocol.queue.filled() < registry.eligible_on(day)
    assert registry.overdue(day)


# --- strangers ---


class Scene(NamedTuple):
    """Exits that are overdue, beside validators of which operator 1 has twice as many."""

    validators: Validators
    day: int
    large: int
    """Of operator 1, 2,048 ETH."""
    medium: int
    """Of operator 1, 1,048 ETH."""
    small: int
    """Of operator 1, 32 ETH."""
    other: int
    """Of operator 2, 1,500 ETH."""

    @property
    def missing(self) -> int:
        """Gwei that strangers may pull, rounded up."""
        return -(-int(self.validators.registry.missing()) // GWEI)

    def leave_missing(self, wei: int) -> None:
        """Put ETH into the vault until just this much is missing."""
        self.validators.evm.force(self.validators.vault, self.validators.registry.missing() - wei)
        assert self.validators.registry.missing() == wei

    def pull(self, gwei: dict[int, int], day: int | None = None) -> None:
        """Let a stranger ask for it."""
        self.validators.pull(gwei, sender=OUTSIDER, day=self.day if day is None else day)


@pytest.fixture
def scene(validators: Validators) -> Scene:
    (large,) = validators.active(stake=2_048)
    (medium,) = validators.active(stake=1_048)
    (small,) = validators.active(stake=32)
    (other,) = validators.active(operator=2, stake=1_500)
    validators.protocol.to_validators()
    day = validators.make_overdue(1_800 * ETHER, STAKER)
    found = Scene(validators, day, large, medium, small, other)
    assert 400 * GWEI_IN_ETHER < found.missing < 1_600 * GWEI_IN_ETHER
    return found


def test_missing__parts__are_eligible_exits_less_what_is_there(scene: Scene):
    pool, registry, v = scene.validators.pool, scene.validators.registry, scene.validators
    v.protocol.request(7, STAKER)
    v.protocol.report(-(10**15 + 7))
    eligible = pool.state()[4] >> 96 & U96
    assert eligible * pool.exit_rate() % 10**18, "something has to be rounded up"
    needed = -(-eligible * pool.exit_rate() // 10**18)
    assert registry.missing() == needed - pool.buffer()
    v.evm.force(v.vault, 123)
    assert registry.missing() == needed - pool.buffer() - 123
    v.pull({scene.medium: MIN_PULL + 7})
    assert registry.missing() == needed - pool.buffer() - 123 - 5 * ETHER - 7 * GWEI
    v.evm.force(v.vault, 10_000 * ETHER)
    assert registry.missing() == 0


@pytest.mark.parametrize("late", [-1, 0])
def test_stranger__promise_not_over__reverts(scene: Scene, late: int):
    v = scene.validators
    v.evm.travel((scene.day + 1) * DAY + 14 * DAY + late - v.evm.now)
    if late:
        with reverts("exits: not overdue"):
            scene.pull({scene.large: GWEI_IN_ETHER})
    else:
        scene.pull({scene.large: GWEI_IN_ETHER})


@pytest.mark.parametrize("step", [-1, 1, 10**6])
def test_stranger__another_day__reverts(scene: Scene, step: int):
    with reverts("exits: not overdue"):
        scene.pull({scene.large: GWEI_IN_ETHER}, day=scene.day + step)


def test_stranger__exits_paid_meanwhile__reverts(scene: Scene):
    scene.validators.evm.force(scene.validators.vault, 3_000 * ETHER)
    scene.validators.protocol.report(withdrawn=3_000 * ETHER)
    scene.validators.pool.fulfil()
    with reverts("exits: not overdue"):
        scene.pull({scene.large: GWEI_IN_ETHER})


@pytest.mark.parametrize("gwei", [1, GWEI_IN_ETHER, 2_016 * GWEI_IN_ETHER, 2**256 - 1])
def test_stranger__part__is_what_is_missing_whatever_he_says(scene: Scene, gwei: int):
    missing = scene.missing
    scene.pull({scene.large: gwei})
    assert scene.validators.record(scene.large).pulled == missing
    assert withdrawal_requests(scene.validators.evm)[0].amount == missing
    assert scene.missing == 0
    scene.validators.check()


def test_stranger__part__is_all_there_is_to_spare_when_more_is_missing(scene: Scene):
    v = scene.validators
    v.protocol.request(1_000 * ETHER, STAKER)
    v.protocol.report()
    missing = scene.missing
    assert missing > 1_016 * GWEI_IN_ETHER
    scene.pull({scene.medium: 1})
    assert v.record(scene.medium).pulled == 1_016 * GWEI_IN_ETHER
    assert scene.missing == missing - 1_016 * GWEI_IN_ETHER
    assert v.state(scene.medium) == State.ACTIVE
    v.check()


@pytest.mark.parametrize(("wei", "gwei"), [(5 * ETHER - GWEI + 1, MIN_PULL), (5 * ETHER + 1, MIN_PULL + 1)])
def test_stranger__missing__rounds_up_to_the_gwei(scene: Scene, wei: int, gwei: int):
    scene.leave_missing(wei)
    scene.pull({scene.large: 1})
    assert scene.validators.record(scene.large).pulled == gwei
    assert scene.validators.registry.missing() == 0


def test_stranger__less_than_the_least_part_missing__that_comes(scene: Scene):
    scene.leave_missing(ETHER - GWEI)
    with reverts(TOO_MUCH):
        scene.pull({scene.large: 0})
    scene.pull({scene.large: 1})
    assert scene.validators.record(scene.large).pulled == MIN_PULL


def test_stranger__nothing_missing__reverts(scene: Scene):
    scene.leave_missing(0)
    assert scene.validators.registry.overdue(scene.day)
    for index in (scene.large, scene.small, scene.other):
        for gwei in (0, 1):
            with reverts(AT_QUOTA if index == scene.other else TOO_MUCH):
                scene.pull({index: gwei})


def test_stranger__batch__counts_what_the_items_before_took(scene: Scene):
    v, missing = scene.validators, scene.missing
    for rest in ({scene.medium: 1}, {scene.small: 0}, {scene.medium: 0}):
        with reverts(TOO_MUCH):
            scene.pull({scene.large: 1} | rest)
    spare = 1_016 * GWEI_IN_ETHER
    if missing < spare + GWEI_IN_ETHER:
        v.protocol.request(700 * ETHER, STAKER)
        v.protocol.report()
        missing = scene.missing
    scene.pull({scene.medium: 1, scene.large: 1})
    assert (v.record(scene.medium).pulled, v.record(scene.large).pulled) == (spare, missing - spare)
    assert v.registry.missing() == 0
    v.check()


@pytest.mark.parametrize("more", [0, 1])
def test_stranger__everything__only_where_the_spare_part_would_not_do(scene: Scene, more: int):
    """A validator of 1,048 ETH has 1,016 to spare."""
    spare = 1_016 * GWEI_IN_ETHER
    v = scene.validators
    if scene.missing < spare + 1:
        v.protocol.request(700 * ETHER, STAKER)
        v.protocol.report()
    scene.leave_missing((spare + more) * GWEI)
    if more:
        scene.pull({scene.medium: 0})
        assert v.state(scene.medium) == State.EXITING
        assert v.registry.missing() == 0
    else:
        with reverts(TOO_MUCH):
            scene.pull({scene.medium: 0})
        scene.pull({scene.medium: 1})
        assert v.record(scene.medium).pulled == spare
    v.check()


def test_stranger__nothing_to_spare__the_whole_validator_goes_and_nothing_after_it(scene: Scene):
    scene.leave_missing(ETHER)
    with reverts(TOO_MUCH):
        scene.pull({scene.small: 1})
    with reverts(TOO_MUCH):
        scene.pull({scene.small: 0, scene.large: 1})
    scene.pull({scene.small: 0})
    assert scene.validators.registry.missing() == 0
    scene.validators.check()


def test_stranger__operator_with_its_part_or_less__is_spared(scene: Scene):
    """Of what should stay, half belongs with each: operator 1 has 3,128 ETH, operator 2 1,500."""
    for gwei in (0, 1, GWEI_IN_ETHER):
        with reverts(AT_QUOTA):
            scene.pull({scene.other: gwei})
    with reverts(AT_QUOTA):
        scene.pull({scene.large: GWEI_IN_ETHER, scene.other: GWEI_IN_ETHER})


@pytest.mark.parametrize("above", [0, 1])
def test_stranger__operator_exactly_at_its_part__is_spared(scene: Scene, above: int):
    """Weights that give operator 2 just its 1,500 ETH, or a Gwei less, of the 4,000 that should stay."""
    v, council = scene.validators, COUNCIL
    staked = v.registry.staked() // GWEI_IN_ETHER
    assert staked == 4_628
    scene.leave_missing((4_628 - 4_000) * ETHER + above * 10 * GWEI)
    v.registry.set_operator(1, MANAGER, 2_500, 10, sender=council)
    v.registry.set_operator(2, OTHER_MANAGER, 1_500, 10, sender=council)
    if above:
        scene.pull({scene.other: 1})
    else:
        with reverts(AT_QUOTA):
            scene.pull({scene.other: 1})
        # Of the other it is just what is missing that stands above, and once it is gone, so is the surplus.
        assert v.registry.operator(1).stake - 2_500 * GWEI_IN_ETHER == scene.missing
        with reverts(AT_QUOTA):
            scene.pull({scene.large: 1, scene.medium: 1})
        scene.pull({scene.large: 1})
    v.check()


def test_stranger__operator_without_weight__goes_first(scene: Scene):
    v = scene.validators
    v.registry.set_operator(2, OTHER_MANAGER, 0, 10, sender=COUNCIL)
    v.registry.set_operator(1, MANAGER, 1, 10, sender=COUNCIL)
    # Nothing belongs with operator 2, everything with operator 1, which has less than should stay.
    with reverts(AT_QUOTA):
        scene.pull({scene.large: 1})
    scene.pull({scene.other: scene.missing})
    v.check()


def test_stranger__no_weights_at_all__nobody_is_spared(scene: Scene):
    v = scene.validators
    for number, manager in ((1, MANAGER), (2, OTHER_MANAGER)):
        v.registry.set_operator(number, manager, 0, 10, sender=COUNCIL)
    assert v.registry.total_weight() == 0
    with v.evm.undone():
        scene.pull({scene.other: 1})
    scene.pull({scene.large: 1})
    v.check()


def test_stranger__more_missing_than_staked__nobody_is_spared(scene: Scene):
    """What should stay is nothing."""
    v = scene.validators
    v.protocol.request(7_000 * ETHER, STAKER)
    v.protocol.report()
    assert v.registry.missing() > v.registry.staked() * GWEI
    scene.pull({scene.other: 0, scene.large: 0, scene.small: 0, scene.medium: 0})
    assert v.registry.staked() == 0
    v.check()


def test_stranger__key_of_nobody__reverts(scene: Scene):
    v = scene.validators
    with reverts(NOT_AT_REST):
        v.registry.request_withdrawals(bytes(48), [1], scene.day, sender=OUTSIDER, value=1)


def test_bad_091_stranger__again_and_again__gets_no_more_than_is_missing(scene: Scene):
    """However he asks, what is under way is what was missing; nobody is asked twice."""
    v = scene.validators
    missing = scene.missing
    scene.pull({scene.large: 1})
    for index in (scene.large, scene.medium, scene.small):
        for gwei in (0, 1, GWEI_IN_ETHER):
            with reverts("validator: not in this state" if index == scene.large else TOO_MUCH):
                scene.pull({index: gwei})
    assert v.registry.under_way() == missing
    v.check()


def test_stranger__keeper_when_overdue__is_held_to_nothing(scene: Scene):
    v = scene.validators
    scene.leave_missing(0)
    v.pull({scene.other: 0, scene.large: 0, scene.small: 0}, day=scene.day)
    assert v.states(scene.other, scene.large, scene.small) == [State.EXITING] * 3
    v.check()


def test_bad_091_stranger__dust__does_not_keep_others_from_pulling(scene: Scene):
    """A Gwei is all he says, and all that is missing is what he gets."""
    v, missing = scene.validators, scene.missing
    scene.pull({scene.large: 1})
    assert v.registry.under_way() == missing
    v.pull({scene.medium: MIN_PULL})
    v.check()


def test_request__validator_seen_active_just_now__strangers_wait_two_days(validators: Validators):
    v = validators
    (young,) = v.predeposit()
    v.top_up({young: 2_047})
    v.protocol.to_validators()
    day = v.make_overdue(1_000 * ETHER, STAKER)
    with reverts(NOT_AT_REST):
        v.pull({young: 1}, sender=OUTSIDER, day=day)
    v.activate(young)
    seen_at = v.record(young).pulled_at
    v.evm.travel(seen_at + REQUEST_TIME - 2 - v.evm.now)
    with reverts(NOT_AT_REST):
        v.pull({young: 1}, sender=OUTSIDER, day=day)
    with v.evm.undone():
        v.pull({young: MIN_PULL})  # the keeper need not wait
    v.evm.travel(1)
    v.pull({young: 1}, sender=OUTSIDER, day=day)
    assert v.record(young).pulled > MIN_PULL
