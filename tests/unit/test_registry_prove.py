"""ValidatorRegistry.prove: what a beacon state says about our validators, and that nothing else says it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from floe.model.beacon import FAR_FUTURE, GWEI_IN_ETHER, Proof, number
from tests.beacon import (
    COUNCIL,
    DEPOSIT_TIME,
    KEEPER,
    LIMITS,
    MANAGER,
    REQUEST_TIME,
    REWARDS,
    SEEN,
    SLOT_SECONDS,
    WITHDRAWAL_TIME,
    State,
    Validators,
    alone,
)
from tests.evm import DAY, reverts
from tests.protocol import OUTSIDER, U96

GWEI = 10**9


def pending_loss(validators: Validators) -> int:
    """Return the wei that the pool counts as lost."""
    return int(validators.pool.state()[2] >> 96 & U96)


def estimate(gwei: int, bps: int = LIMITS.slashing_bps) -> int:
    """Return the wei that a slashed stake of `gwei` is taken to lose."""
    return -(-gwei * bps // 10_000) * GWEI


def flipped(data: bytes, position: int) -> bytes:
    """Return `data` with one bit changed."""
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


# --- credentials ---


def test_prove__our_credentials__are_proven_by_anyone(validators: Validators):
    (index,) = validators.predeposit()
    validators.registry.prove(validators.proof(index), sender=OUTSIDER)
    (event,) = validators.evm.events(validators.registry)
    assert (event.name, event.fields["index"]) == ("Proven", index)
    v = validators.record(index)
    assert (v.state, v.operator, v.index) == (State.PROVEN, 1, index)
    assert (v.stake, v.pulled, v.topped_at, v.pulled_at) == (0, 0, 0, 0)
    assert v.proven_at == validators.beacon.time
    assert validators.registry.staked() == 0
    validators.check()


def strange_credentials(validators: Validators) -> dict[str, bytes]:
    """Return credentials that are not ours, each in its way."""
    ours, vault = validators.credentials, bytes.fromhex(validators.vault.address[2:])
    pool = bytes.fromhex(validators.pool.address[2:])
    return {
        "BLS": bytes(1) + b"\x77" * 31,
        "none": bytes(32),
        "0x01 of our vault": b"\x01" + bytes(11) + vault,
        "0x03 of our vault": b"\x03" + bytes(11) + vault,
        "0x00 of our vault": b"\x00" + bytes(11) + vault,
        "0x02 of somebody else": b"\x02" + bytes(11) + b"\x77" * 20,
        "0x02 of the pool": b"\x02" + bytes(11) + pool,
        "0x02 with a bit among the zeros": flipped(ours, 11),
        "first bit": flipped(ours, 0),
        "last bit": flipped(ours, 31),
        "ours backwards": ours[::-1],
    }


@pytest.mark.parametrize("kind", [
    "BLS", "none", "0x01 of our vault", "0x03 of our vault", "0x00 of our vault", "0x02 of somebody else",
    "0x02 of the pool", "0x02 with a bit among the zeros", "first bit", "last bit", "ours backwards",
])  # fmt: skip
def test_prove__other_credentials__compromise_the_key_at_the_operators_cost(validators: Validators, kind: str):
    credentials = strange_credentials(validators)[kind]
    (index,) = validators.predeposit(credentials=credentials)
    proof = validators.proof(index)
    assets, bond = validators.pool.totalAssets(), validators.registry.operator(1).bond
    validators.registry.prove(proof)
    (event,) = validators.evm.events(validators.registry)
    assert (event.name, event.fields["index"], event.fields["credentials"]) == ("Compromised", index, credentials)
    assert validators.record(index)[:3] == (State.COMPROMISED, 1, index)
    assert validators.registry.operator(1).open == 0
    assert (validators.registry.operator(1).bond, validators.pool.totalAssets()) == (bond, assets)
    validators.check()


def test_prove__several_of_several_operators__each_as_it_is(validators: Validators):
    """One proof: a new one, a compromised one, one slashed, one that leaves, one that only grew."""
    new, wrong, slashed = validators.predeposit(1) + validators.predeposit(
        1, operator=2, credentials=bytes(32)
    ) + validators.active(1, operator=2)  # fmt: skip
    leaving, grown = validators.active(1), validators.active(1, operator=2)
    validators.beacon.slash(slashed)
    validators.leave(leaving[0], delay=300)
    validators.arrive(grown[0], 3 * GWEI_IN_ETHER)
    validators.prove(new, wrong, slashed, leaving[0], grown[0])
    names = [event.name for event in validators.evm.events(validators.registry)]
    assert names == ["Proven", "Compromised", "OperatorSet", "Slashed", "Exiting"]
    assert validators.states(new, wrong, slashed, leaving[0], grown[0]) == [
        State.PROVEN,
        State.COMPROMISED,
        State.SLASHED,
        State.EXITING,
        State.ACTIVE,
    ]
    assert validators.record(grown[0]).stake == 35 * GWEI_IN_ETHER
    validators.check()


def test_prove__a_hundred__in_one_call(validators: Validators):
    indices = validators.predeposit(100)
    validators.prove(*indices)
    assert set(validators.states(*indices)) == {State.PROVEN}
    assert validators.evm.gas_used < 2_000_000


def test_prove__one_of_many_not_ours__reverts_for_all(validators: Validators):
    indices = validators.predeposit(3)
    with reverts("validator: not in this state"):
        validators.registry.prove(validators.proof(0, *indices))
    assert set(validators.states(*indices)) == {State.PREDEPOSITED}


# --- what is no proof ---


def wrong_proofs(right: Proof) -> dict[str, tuple[Proof, str]]:
    """Return mutations of a proof of two validators, with the reason that each is refused with."""
    (first, chunks), (second, others) = right.witnesses
    header, branch, root = right.header, right.branch, "proof: wrong root"
    found = {
        f"chunk {k}": (right._replace(witnesses=[(first, (*chunks[:k], flipped(chunks[k], k), *chunks[k + 1 :])),
                                                 (second, others)]), root)
        for k in range(8)
    }  # fmt: skip
    found |= {
        f"header {field}": (right._replace(header=header._replace(**{field: value})), root)  # type: ignore[arg-type]
        for field, value in {
            "slot": header.slot + 1,
            "proposer_index": header.proposer_index + 1,
            "parent_root": bytes(32),
            "state_root": bytes(32),
            "body_root": bytes(32),
        }.items()
    }
    found |= {
        f"branch {k}": (right._replace(branch=[*branch[:k], flipped(branch[k], k % 32), *branch[k + 1 :]]), root)
        for k in range(len(branch))
    }
    return found | {
        "index less": (right._replace(witnesses=[(first - 1, chunks), (second, others)]), root),
        "index of the neighbour": (right._replace(witnesses=[(first, chunks), (second - 1, others)]), root),
        "index more": (right._replace(witnesses=[(first, chunks), (second + 1, others)]), "proof: wrong length"),
        "index at the end": (right._replace(witnesses=[(first, chunks), (2**40 - 1, others)]), "proof: wrong length"),
        "witnesses exchanged": (right._replace(witnesses=[(first, others), (second, chunks)]), root),
        "order": (right._replace(witnesses=right.witnesses[::-1]), "proof: wrong length"),
        "one twice": (right._replace(witnesses=[right.witnesses[0]] * 2), "proof: wrong length"),
        "none": (right._replace(witnesses=[]), "proof: wrong length"),
        "one missing": (right._replace(witnesses=right.witnesses[:1]), root),
        "branch shorter": (right._replace(branch=branch[:-1]), "proof: wrong length"),
        "branch without its first": (right._replace(branch=branch[1:]), "proof: wrong length"),
        "branch longer": (right._replace(branch=[*branch, bytes(32)]), "proof: wrong length"),
        "no branch": (right._replace(branch=[]), "proof: wrong length"),
    }


def test_bad_082_prove__every_mutation__is_refused(validators: Validators):
    one, _, three = validators.predeposit(3)
    right = validators.proof(one, three)
    for name, (proof, reason) in wrong_proofs(right).items():
        try:
            with reverts(reason):
                validators.registry.prove(proof)
        except AssertionError as error:
            raise AssertionError(name) from error
    validators.registry.prove(right)
    assert validators.states(one, three) == [State.PROVEN] * 2


def test_bad_082_prove_one__every_mutation__is_refused(validators: Validators):
    """As `prove`, for one alone."""
    (index,) = validators.predeposit()
    right = validators.proof(index)
    ((_, chunks),), branch, header = right.witnesses, right.branch, right.header
    wrong = [right._replace(witnesses=[(other, chunks)]) for other in (index - 1, index + 1, 2**40 - 1)]
    wrong += [
        right._replace(witnesses=[(index, (*chunks[:k], flipped(chunks[k], k), *chunks[k + 1 :]))]) for k in range(8)
    ]
    wrong += [
        right._replace(branch=[*branch[:k], flipped(branch[k], k % 32), *branch[k + 1 :]]) for k in range(len(branch))
    ]
    wrong += [right._replace(header=header._replace(slot=header.slot + 1))]
    for proof in wrong:
        with reverts("proof: wrong root"):
            validators.registry.prove_one(*alone(proof))
    for shorter_or_longer in (branch[:-1], branch[1:], [*branch, bytes(32)], [bytes(32), *branch], []):
        with reverts("proof: wrong length"):
            validators.registry.prove_one(*alone(right._replace(branch=shorter_or_longer)))
    with reverts("block root: not known"):
        validators.registry.prove_one(*alone(right._replace(timestamp=right.timestamp + 1)))
    with reverts("proof: index too high"):
        validators.registry.prove_one(*alone(right._replace(witnesses=[(2**40 + index, chunks)])))
    with reverts("validator: not in this state"):
        validators.registry.prove_one(*alone(validators.proof(0)))
    validators.registry.prove_one(*alone(right))
    assert validators.state(index) == State.PROVEN


@pytest.mark.parametrize("what", ["new", "compromised", "slashed", "leaving", "grown"])
def test_prove_one__each_thing_there_is_to_prove__is_what_prove_makes_of_it(validators: Validators, what: str):
    if what in ("new", "compromised"):
        (index,) = validators.predeposit(credentials=bytes(32) if what == "compromised" else None)
    else:
        (index,) = validators.active()
    if what == "slashed":
        validators.beacon.slash(index)
    elif what == "leaving":
        validators.leave(index, delay=300)
    elif what == "grown":
        validators.arrive(index, 5 * GWEI_IN_ETHER)
    proof = validators.proof(index)
    found = []
    for function, arguments in (("prove", (proof,)), ("prove_one", alone(proof))):
        with validators.evm.undone():
            getattr(validators.registry, function)(*arguments)
            events = [(event.name, event.fields) for event in validators.evm.events()]
            found.append([validators.record(index), validators.registry.operator(1), pending_loss(validators), events])
            validators.check()
    assert found[0] == found[1]


def test_prove__more_than_a_hundred_witnesses__reverts(validators: Validators):
    indices = validators.predeposit(100) + validators.predeposit(1)
    with reverts():
        validators.registry.prove(validators.proof(*indices))


def test_bad_086_prove__same_proof_again__changes_nothing(validators: Validators):
    (index,) = validators.predeposit()
    (slashed,) = validators.active()
    validators.beacon.slash(slashed)
    proof = validators.proof(index, slashed)
    validators.registry.prove(proof)
    before = [validators.record(index), validators.record(slashed), pending_loss(validators)]
    validators.registry.prove(proof)
    assert not validators.evm.events(validators.registry)
    assert [validators.record(index), validators.record(slashed), pending_loss(validators)] == before


# --- slashings ---


@pytest.mark.parametrize("stake", [32, 2_048])
def test_prove__slashed__raises_the_pending_loss_at_once(validators: Validators, stake: int):
    (index,) = validators.active(stake=stake)
    validators.beacon.slash(index)
    validators.beacon.validators[index].effective_balance -= GWEI_IN_ETHER
    proof = validators.proof(index)
    exit_rate, entry_rate = validators.pool.exit_rate(), validators.pool.entry_rate()
    validators.registry.prove(proof)
    expected = estimate((stake - 1) * GWEI_IN_ETHER)
    assert pending_loss(validators) == expected
    (event,) = validators.evm.events(validators.registry, "Slashed")
    assert event.fields["estimate"] * GWEI == expected
    assert validators.pool.exit_rate() < exit_rate
    assert validators.pool.entry_rate() == entry_rate
    v = validators.record(index)
    assert (v.state, v.stake, v.pulled) == (State.SLASHED, (stake - 1) * GWEI_IN_ETHER, 0)
    assert validators.registry.staked() == 0
    validators.check()


def test_prove__slashed__suspends_the_operator_until_the_council_says_otherwise(validators: Validators):
    registry = validators.registry
    index, other = validators.active(2)
    (third,) = validators.active(operator=2)
    validators.beacon.slash(index)
    proof = validators.proof(index)
    quota = registry.quota(1)
    registry.prove(proof)
    (event,) = validators.evm.events(registry, "OperatorSet")
    assert event.fields == {"operator": 1, "manager": MANAGER, "reward_address": REWARDS, "weight": 100, "limit": 0}
    # The others' parts do not grow by it.
    assert (registry.total_weight(), registry.quota(1), registry.quota(2)) == (200, quota, quota)
    with reverts("operator: over its limit"):
        validators.top_up({other: 1})
    validators.top_up({third: 1})
    registry.set_operator(1, MANAGER, 100, 1_000, sender=COUNCIL)
    # The same slashing takes it once.
    registry.prove(proof)
    validators.prove(index)
    assert registry.operator(1).limit == 1_000
    validators.top_up({other: 1})
    validators.check()


def test_bad_087_prove__estimate__rounds_up_to_the_gwei(validators: Validators):
    """And any effective balance that a state can hold fits."""
    validators.registry.set_parameters(LIMITS._replace(slashing_bps=3_333), sender=validators.protocol.admin)
    (index,) = validators.active()
    validators.beacon.slash(index)
    validators.beacon.validators[index].effective_balance = 31 * GWEI_IN_ETHER + 1
    validators.prove(index)
    assert pending_loss(validators) == ((31 * GWEI_IN_ETHER + 1) * 3_333 // 10_000 + 1) * GWEI


@pytest.mark.parametrize(("bps", "balance"), [(10_000, 32), (1, 32), (10_000, 0), (500, 1)])
def test_bad_087_prove__extreme_estimates__are_counted(validators: Validators, bps: int, balance: int):
    validators.registry.set_parameters(LIMITS._replace(slashing_bps=bps), sender=validators.protocol.admin)
    (index,) = validators.active()
    validators.beacon.slash(index)
    validators.beacon.validators[index].effective_balance = balance * GWEI_IN_ETHER
    validators.prove(index)
    assert pending_loss(validators) == estimate(balance * GWEI_IN_ETHER, bps)
    validators.check()


def test_prove__many_slashed__add_up(validators: Validators):
    indices = validators.active(3) + validators.active(2, operator=2)
    for index in indices:
        validators.beacon.slash(index)
    validators.prove(*indices[:2])
    validators.prove(*indices[1:])
    assert pending_loss(validators) == 5 * estimate(32 * GWEI_IN_ETHER)
    validators.check()


@pytest.mark.parametrize("state", [State.PREDEPOSITED, State.PROVEN])
def test_prove__slashed_before_the_pools_ether_came__costs_the_pool_nothing(validators: Validators, state: State):
    index = validators.in_state(state)
    validators.beacon.slash(index)
    validators.prove(index)
    assert validators.state(index) == State.SLASHED
    assert pending_loss(validators) == 0
    assert validators.evm.events(validators.registry, "Slashed")[0].fields["estimate"] == 0
    validators.check()


@pytest.mark.parametrize(("later", "counted"), [(-1, True), (0, False), (1, False)])
def test_prove__slashed_and_reported__is_counted_if_the_report_may_not_have_seen_it(
    validators: Validators, later: int, counted: bool
):
    """A report two days after the epoch of the slashing has."""
    (index,) = validators.active()
    validators.publish()
    validators.beacon.slash(index)
    slashed_at = validators.beacon.genesis_time + validators.beacon.epoch * 32 * SLOT_SECONDS
    validators.evm.travel(slashed_at + 2 * DAY + later - validators.evm.now)
    validators.protocol.report()
    validators.prove(index)
    assert validators.state(index) == State.SLASHED
    assert pending_loss(validators) == (estimate(32 * GWEI_IN_ETHER) if counted else 0)


def test_prove__slashed_while_leaving__is_counted(validators: Validators):
    """Its withdrawable epoch may lie further off than the slashing alone would put it."""
    (index,) = validators.active()
    validators.leave(index, delay=20_000)
    validators.prove(index)
    validators.beacon.slash(index)
    validators.evm.travel(5 * DAY)
    validators.protocol.report()
    validators.prove(index)
    assert validators.state(index) == State.SLASHED
    assert pending_loss(validators) == estimate(32 * GWEI_IN_ETHER)
    validators.check()


def test_prove__slashed_near_the_genesis_of_the_chain__is_counted(validators: Validators):
    """Its withdrawable epoch is below the length of the vector of slashings."""
    (index,) = validators.active()
    validators.beacon.slash(index)
    validators.beacon.validators[index].withdrawable_epoch = 3
    validators.prove(index)
    # The second of the genesis is years ago; a report since has seen it.
    assert (validators.state(index), pending_loss(validators)) == (State.SLASHED, 0)


def test_prove__slashed_after_a_full_pull__is_not_counted_as_under_way(validators: Validators):
    (index,) = validators.active()
    validators.pull({index: 0})
    assert validators.registry.under_way() == 32 * GWEI_IN_ETHER
    validators.beacon.slash(index)
    validators.prove(index)
    assert validators.registry.under_way() == 0
    assert pending_loss(validators) == estimate(32 * GWEI_IN_ETHER)
    validators.check()


def test_prove__slashed_for_a_registry_that_was_replaced__reverts(validators: Validators):
    """It can tell the pool nothing any more; all else it can still note."""
    pool, admin = validators.pool, validators.protocol.admin
    (index,) = validators.active()
    pool.revokeRole(pool.REGISTRY_ROLE(), validators.registry, sender=admin)
    validators.prove(index)
    validators.beacon.slash(index)
    proof = validators.proof(index)
    with reverts("access_control: account is missing role"):
        validators.registry.prove(proof)
    with reverts("access_control: account is missing role"):
        validators.registry.prove_one(*alone(proof))
    with reverts("access_control: account is missing role"):
        validators.registry.prove_withdrawn(*alone(proof), *validators.beacon.prove_balance(index))


# --- exits ---


def test_prove__exit_epoch__books_the_stake_as_under_way(validators: Validators):
    (index,) = validators.active(stake=40)
    validators.leave(index, delay=500)
    validators.prove(index)
    v = validators.record(index)
    assert (v.state, v.stake, v.pulled, v.pulled_at) == (State.EXITING, 40 * GWEI_IN_ETHER, 40 * GWEI_IN_ETHER, SEEN)
    assert [event.name for event in validators.evm.events(validators.registry)] == ["Exiting"]
    assert (validators.registry.staked(), validators.registry.under_way()) == (0, 40 * GWEI_IN_ETHER)
    validators.check()


def test_prove__exit_that_was_requested__is_seen_once(validators: Validators):
    (index,) = validators.active()
    validators.pull({index: 0})
    validators.leave(index, delay=500)
    validators.prove(index)
    assert [event.name for event in validators.evm.events(validators.registry)] == ["Exiting"]
    record = validators.record(index)
    validators.prove(index)
    assert not validators.evm.events(validators.registry)
    assert validators.record(index)._replace(proven_at=record.proven_at) == record
    assert record.pulled == 32 * GWEI_IN_ETHER


def test_prove__exit_while_a_part_is_under_way__counts_everything_once(validators: Validators):
    (index,) = validators.active(stake=40)
    validators.pull({index: 5 * GWEI_IN_ETHER})
    validators.leave(index)
    validators.prove(index)
    assert validators.registry.under_way() == 40 * GWEI_IN_ETHER
    validators.check()


def test_prove__exit_of_the_last_moment__epoch_one_below_far_future(validators: Validators):
    (index,) = validators.active()
    validators.beacon.validators[index].exit_epoch = FAR_FUTURE - 1
    validators.prove(index)
    assert validators.state(index) == State.EXITING


# --- the stake follows the ETH ---


def test_prove__effective_balance_above_the_stake__raises_it(validators: Validators):
    (index,) = validators.active()
    validators.arrive(index, 5 * GWEI_IN_ETHER)
    validators.prove(index)
    assert validators.record(index).stake == 37 * GWEI_IN_ETHER
    assert validators.registry.operator(1).stake == 37 * GWEI_IN_ETHER
    validators.check()


@pytest.mark.parametrize("balance", [31, 1, 0])
@pytest.mark.parametrize(("after", "lowered"), [(DEPOSIT_TIME, False), (DEPOSIT_TIME + SLOT_SECONDS, True)])
def test_bad_084_prove__effective_balance_below__counts_when_no_deposit_can_be_on_its_way(
    validators: Validators, balance: int, after: int, lowered: bool
):
    (index,) = validators.active()
    topped_at = validators.record(index).topped_at
    validators.beacon.validators[index].effective_balance = balance * GWEI_IN_ETHER
    validators.publish_state_of(topped_at + after)
    assert validators.beacon.time == topped_at + after
    validators.registry.prove(validators.beacon.prove([index], validators.evm.now))
    assert validators.record(index).stake == (balance if lowered else 32) * GWEI_IN_ETHER
    validators.check()


def test_prove__never_topped_up__has_no_stake(validators: Validators):
    """What others deposit for it is a gift."""
    index = validators.in_state(State.PROVEN)
    validators.arrive(index, 40 * GWEI_IN_ETHER)
    validators.prove(index)
    assert validators.record(index).stake == 0
    validators.check()


@pytest.mark.parametrize("function", ["prove", "prove_one", "prove_withdrawn"])
def test_prove__balance_that_no_operator_can_hold__reverts(validators: Validators, function: str):
    """Stake is kept in 48 bits: 281,474 ETH of one operator."""
    (index,) = validators.active()
    validators.beacon.validators[index].effective_balance = 2**48
    proof = validators.proof(index)
    with reverts("operator: number too large"):
        if function == "prove":
            validators.registry.prove(proof)
        elif function == "prove_one":
            validators.registry.prove_one(*alone(proof))
        else:
            validators.registry.prove_withdrawn(*alone(proof), *validators.beacon.prove_balance(index))
    validators.beacon.validators[index].effective_balance = 2**48 - 1
    validators.prove(index)
    assert validators.registry.operator(1).stake == 2**48 - 1
    validators.check()


# --- what came of a request ---


def prove_at(validators: Validators, index: int, second: int) -> None:
    """Prove the state of a second, the start of a slot."""
    validators.publish_state_of(second)
    assert validators.beacon.time == second
    validators.registry.prove(validators.beacon.prove([index], validators.evm.now))


@pytest.mark.parametrize(("rest", "paid"), [(34, True), (35, True), (38, True), (39, False), (40, False)])
def test_prove__part_that_was_pulled__is_paid_when_the_balance_shows_it(validators: Validators, rest: int, paid: bool):
    """40 ETH less 5, or half of that: the effective balance may lag by one, and rewards come in meanwhile."""
    (index,) = validators.active(stake=40)
    validators.pull({index: 5 * GWEI_IN_ETHER})
    pulled_at = validators.record(index).pulled_at
    validators.beacon.validators[index].effective_balance = rest * GWEI_IN_ETHER
    prove_at(validators, index, pulled_at + REQUEST_TIME)
    assert validators.record(index).pulled == 5 * GWEI_IN_ETHER, "two days must pass"
    prove_at(validators, index, pulled_at + REQUEST_TIME + SLOT_SECONDS)
    v = validators.record(index)
    if paid:
        assert (v.stake, v.pulled, v.pulled_at) == (max(rest, 35) * GWEI_IN_ETHER, 0, pulled_at)
        assert not validators.evm.events(validators.registry)
    else:
        assert (v.stake, v.pulled, v.pulled_at) == (40 * GWEI_IN_ETHER, 5 * GWEI_IN_ETHER, pulled_at)
    validators.check()


@pytest.mark.parametrize("balance", [39, 40, 45])
def test_bad_089_prove__part_that_never_came__is_forgotten_after_64_days(validators: Validators, balance: int):
    (index,) = validators.active(stake=40)
    validators.pull({index: 5 * GWEI_IN_ETHER})
    pulled_at = validators.record(index).pulled_at
    validators.beacon.validators[index].effective_balance = balance * GWEI_IN_ETHER
    prove_at(validators, index, pulled_at + WITHDRAWAL_TIME)
    assert validators.record(index).pulled == 5 * GWEI_IN_ETHER
    prove_at(validators, index, pulled_at + WITHDRAWAL_TIME + SLOT_SECONDS)
    v = validators.record(index)
    assert (v.state, v.stake, v.pulled) == (State.ACTIVE, max(40, balance) * GWEI_IN_ETHER, 0)
    assert [event.name for event in validators.evm.events(validators.registry)] == ["RequestDropped"]
    validators.pull({index: 5 * GWEI_IN_ETHER})
    validators.check()


def test_bad_089_prove__exit_that_was_dropped__may_be_asked_for_again(validators: Validators):
    """Each time it takes two days to be sure."""
    (index,) = validators.active()
    for _ in range(3):
        validators.pull({index: 0}, sender=KEEPER)
        assert validators.state(index) == State.EXITING
        with reverts("validator: not in this state"):
            validators.pull({index: 0})
        pulled_at = validators.record(index).pulled_at
        prove_at(validators, index, pulled_at + REQUEST_TIME)
        assert validators.state(index) == State.EXITING
        prove_at(validators, index, pulled_at + REQUEST_TIME + SLOT_SECONDS)
        assert (validators.state(index), validators.record(index).pulled) == (State.ACTIVE, 0)
        assert [event.name for event in validators.evm.events(validators.registry)] == ["RequestDropped"]
        validators.check()


def test_bad_089_prove__consolidation_that_was_dropped__gives_the_source_its_stake_back(validators: Validators):
    source, target = validators.active(2)
    validators.consolidate({source: target})
    assert (validators.record(source).stake, validators.record(target).stake) == (0, 64 * GWEI_IN_ETHER)
    prove_at(validators, source, validators.record(source).pulled_at + REQUEST_TIME + SLOT_SECONDS)
    assert (validators.state(source), validators.record(source).stake) == (State.ACTIVE, 32 * GWEI_IN_ETHER)
    # The target's follows when nothing can be on its way to it any more.
    prove_at(validators, target, validators.record(target).topped_at + DEPOSIT_TIME + SLOT_SECONDS)
    assert validators.record(target).stake == 32 * GWEI_IN_ETHER
    validators.check()


# --- older states after newer ones ---


def later(validators: Validators, index: int, change: Callable[[], None]) -> Proof:
    """Return a proof from before, after the change was proven."""
    before = validators.proof(index)
    validators.publish(50)
    change()
    validators.prove(index)
    return before


def test_bad_086_prove__older_state__does_not_undo_an_exit(validators: Validators):
    (index,) = validators.active()
    older = later(validators, index, lambda: validators.leave(index, delay=500))
    record = validators.record(index)
    validators.registry.prove(older)
    assert validators.record(index) == record


@pytest.mark.parametrize("left", [False, True])
def test_bad_086_prove__older_state__does_not_undo_a_slashing(validators: Validators, left: bool):
    (index,) = validators.active()
    if left:
        validators.leave(index, delay=500)
    older = later(validators, index, lambda: validators.beacon.slash(index))
    newer = validators.proof(index)
    record, loss = validators.record(index), pending_loss(validators)
    validators.registry.prove(older)
    assert validators.record(index) == record
    with reverts("validator: not in this state"):
        validators.registry.top_up(validators.keys(index), [GWEI_IN_ETHER])
    validators.registry.prove(newer)
    assert pending_loss(validators) == loss
    validators.check()


def test_bad_086_prove__older_state__does_not_lower_or_raise_the_stake_after_a_withdrawal(validators: Validators):
    (index,) = validators.active(stake=40)
    validators.pull({index: 5 * GWEI_IN_ETHER})
    validators.evm.travel(REQUEST_TIME)
    older = later(validators, index, lambda: validators.arrive(index, -5 * GWEI_IN_ETHER))
    assert (validators.record(index).stake, validators.record(index).pulled) == (35 * GWEI_IN_ETHER, 0)
    record = validators.record(index)
    validators.registry.prove(older)
    assert validators.record(index) == record
    validators.check()


def test_bad_086_prove__state_from_before_a_request__does_not_drop_it(validators: Validators):
    (index,) = validators.active(stake=40)
    older = validators.proof(index)
    validators.publish(50)
    validators.pull({index: 0})
    record = validators.record(index)
    validators.registry.prove(older)
    validators.prove(index)
    assert validators.record(index)._replace(proven_at=record.proven_at) == record


def test_bad_086_prove__older_state__does_not_raise_a_stake_that_left_by_consolidation(validators: Validators):
    source, target = validators.active(2)
    older = validators.proof(source, target)
    validators.publish(5)
    validators.consolidate({source: target})
    records = [validators.record(source)[:7], validators.record(target)[:7]]
    validators.registry.prove(older)
    assert [validators.record(source)[:7], validators.record(target)[:7]] == records
    validators.check()


def test_bad_086_prove__older_state__credentials_never_change_back(validators: Validators):
    """Ours are compounding already, which nothing can change; whatever an older state showed, one proof decides."""
    (index,) = validators.predeposit(credentials=bytes(32))
    other = validators.proof(index)
    validators.beacon.validators[index].credentials = validators.credentials
    validators.prove(index)
    record = validators.record(index)
    validators.registry.prove(other)
    assert validators.record(index) == record


def test_prove__number_chunks__are_as_the_model_writes_them(validators: Validators):
    """Guards this file: the model's numbers are little endian, as on the chain."""
    (index,) = validators.active(stake=40)
    assert validators.beacon.validators[index].chunks()[2] == number(40 * GWEI_IN_ETHER)
    assert number(40 * GWEI_IN_ETHER)[:8] == (40 * 10**9).to_bytes(8, "little")
