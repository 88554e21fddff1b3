"""The states that sequences start from, each as the actions that lead there from a fresh deployment."""

from __future__ import annotations

from collections.abc import Mapping

from floe import build
from floe.model.basics import DAY, ETHER, GWEI, UNLIMITED, YEAR
from floe.model.pool import PAUSE_FULFIL
from floe.model.registry import MAX_FORKS
from tests.stateful.actions import Action, perform
from tests.stateful.oracle import agreed
from tests.stateful.validators import MANAGERS, ValidatorWorld
from tests.stateful.world import (
    ADMIN,
    BURNER,
    COUNCIL,
    EXECUTION_VAULT,
    GORGER,
    OPERATOR,
    PAUSER,
    POOL,
    REENTERER,
    REFUSER,
    REGISTRY,
    REGISTRY_CONTRACT,
    SPLITTER_CONTRACT,
    STAKERS,
    TOKEN,
    Compiled,
    World,
)

FIRST, SECOND, THIRD, FOURTH = STAKERS


def _report(w: World, gain: int, pending_loss: int = 0) -> None:
    """Let the committee report the newest frame; the council accepts what is outside the limits."""
    pool, oracle = w.pool, w.oracle
    wait = oracle.time_of(oracle.next_slot()) - w.chain.now
    _do(w, ["travel", max(wait, 0)])
    slot = (w.chain.now - oracle.genesis_time) // oracle.seconds_per_slot
    numbers = [pool.outside + gain, pool.deposited, pool.withdrawn, pool.donated, w.queue.tail(), pending_loss]
    report = [slot - slot % oracle.frame_slots(), *numbers, pool.raised_gwei, 1, 2]
    _do(w, ["submit", OPERATOR, report, *agreed(w)])
    if oracle.held is not None:
        _do(w, ["travel", 60], ["accept", COUNCIL, report])


def _do(w: World, *actions: Action) -> None:
    for action in actions:
        if (reason := perform(w, action)) is not None:
            raise AssertionError(f"{action} reverts: {reason}")


def _stakes(w: World, unit: int) -> None:
    """Stakers of all sizes, contracts among them; approvals; most of it with validators."""
    for account, parts in ((FIRST, 1_000), (SECOND, 317), (THIRD, 41), (FOURTH, 1), (REENTERER, 90), (ADMIN, 20)):
        _do(w, ["deposit", account, unit * parts + parts, unit * parts + parts, account])
    for account in (REFUSER, BURNER, GORGER):
        _do(w, ["deposit", account, 30 * unit, 30 * unit, account])
    for account in (*STAKERS, REENTERER, ADMIN):
        _do(w, ["approve", account, POOL, TOKEN, UNLIMITED], ["wrap", account, unit // 2 + 7])
    _do(w, ["approve", FIRST, POOL, OPERATOR, UNLIMITED], ["approve", FIRST, TOKEN, OPERATOR, UNLIMITED])
    _do(w, ["send_to_validators", REGISTRY, w.pool.stakeable()])


def new(w: World) -> None:
    """Nothing but the seed."""


def warm(w: World) -> None:
    """Rate of about 1.07, rewards under way, tickets in all states."""
    _stakes(w, ETHER // 3 + 11)
    _do(w, ["travel", YEAR - DAY])
    _report(w, w.pool.assets * 73 // 1_000)
    _do(w, ["travel", DAY])
    _do(w, ["request", FIRST, 10 * ETHER + 1, FIRST], ["request", REENTERER, 3 * ETHER, REENTERER])
    _do(w, ["request_many", SECOND, [ETHER, 1, 2 * ETHER], SECOND], ["request", REFUSER, ETHER, REFUSER])
    _do(w, ["pause", PAUSER, PAUSE_FULFIL, w.chain.now + 1])
    _report(w, ETHER // 10 + 3)
    _do(w, ["travel", 1], ["fulfil", OPERATOR, 12 * ETHER], ["travel", DAY // 3])
    _do(w, ["send_ether", OPERATOR, ETHER // 7, EXECUTION_VAULT])


def poor(w: World) -> None:
    """After heavy losses, two of them not settled, one of which no report knows: a low rate and a deficit."""
    warm(w)
    _report(w, -(w.pool.assets * 6 // 10))
    _do(w, ["request", FIRST, 100 * ETHER, FIRST], ["travel", 5])
    _report(w, 0, w.pool.outside // 7)
    _do(w, ["raise_pending_loss", REGISTRY, w.pool.outside // (50 * GWEI)])


def costly(w: World) -> None:
    """After years of large gains: a share is worth some ten times what it was."""
    _stakes(w, ETHER)
    _do(w, ["set_parameters", ADMIN, 1_000, 5_000, 1_000, 500, 0, 50_000, 30 * DAY, 30 * DAY])
    for _ in range(6):
        _do(w, ["travel", YEAR])
        _report(w, w.pool.assets * 49 // 100 + 1)
    _do(w, ["request", FIRST, 99 * ETHER + 3, FIRST], ["travel", DAY])


def huge(w: World) -> None:
    """Close to all that fits in 96 bits."""
    _stakes(w, 2**96 // 1_700)
    _do(w, ["travel", DAY])
    _report(w, w.pool.assets // 10_000)
    _do(w, ["request", SECOND, 10**27, SECOND])


def bare(w: World) -> None:
    """No fees, no target, a short stream: everything may leave, everything may be staked."""
    _stakes(w, ETHER)
    _do(w, ["set_parameters", ADMIN, 0, 100, 0, 0, 0, 0, 3_600, DAY], ["travel", 60])
    _do(w, ["deposit", THIRD, 10 * ETHER + 5, 10 * ETHER + 5, THIRD])
    _report(w, 0)


def young(w: World) -> None:
    """Operators and their bonds; no validator yet."""
    for manager, weight in zip(MANAGERS, (50, 30, 20), strict=True):
        _do(w, ["add_operator", COUNCIL, manager, manager, weight, 5])
    _do(w, ["add_bond", FOURTH, 7 * ETHER, 2], ["set_deposit_ceiling", ADMIN, 50_000 * GWEI])
    _do(w, ["deposit", FIRST, 500 * ETHER, 500 * ETHER, FIRST])


def staked(w: World) -> None:
    """Stake with validators of three operators; others of theirs are proven, or only predeposited."""
    assert isinstance(w, ValidatorWorld)
    for account, parts in ((FIRST, 3_000), (SECOND, 900), (THIRD, 100), (FOURTH, 1)):
        _do(w, ["deposit", account, parts * ETHER + parts, parts * ETHER + parts, account])
    _do(w, ["set_deposit_ceiling", ADMIN, 50_000 * GWEI])
    rewards = (OPERATOR, REENTERER, REFUSER)
    for manager, reward_address, weight in zip(MANAGERS, rewards, (50, 30, 20), strict=True):
        _do(w, ["add_operator", COUNCIL, manager, reward_address, weight, 40])
    for operator, manager in enumerate(MANAGERS, 1):
        first = 4 * operator
        numbers = list(range(first, first + 4))
        _do(w, ["predeposit", manager, 7 * ETHER, operator, numbers, [1] * 4, 0])
    _do(w, ["make_block", 12, 0], ["make_block", DAY, 0])
    ours = [index for index in range(3, 15) if index % 4 != 2]
    _do(w, ["prove", OPERATOR, ours, 0, []])
    for index, amount in ((3, 500), (4, 63), (7, 200), (8, 31), (11, 100), (12, 31)):
        _do(w, ["top_up", OPERATOR, [index + 1], [amount * GWEI], 0])
    _do(w, ["make_block", 12, 0], ["make_block", 3 * DAY, 0], ["earn", 10**5], ["make_block", 12, 0])
    _do(w, ["prove", OPERATOR, [3, 4, 7, 8, 11, 12], 0, []])
    _do(w, ["honest_report", OPERATOR, 0, 0])


def late(w: World) -> None:
    """Let most exits wait although the promise is over."""
    staked(w)
    _do(w, ["set_registry_parameters", ADMIN, 500, DAY], ["set_parameters", ADMIN, 0, 1_000, 0, 500, 0, 0, 3_600, DAY])
    for index, amount in ((3, 1_400), (7, 900), (11, 500)):
        _do(w, ["prove_one", OPERATOR, index, 0, []], ["top_up", OPERATOR, [index + 1], [amount * GWEI], 0])
    _do(w, ["request", FIRST, 2_900 * ETHER, FIRST], ["request", SECOND, 800 * ETHER, SECOND])
    assert isinstance(w, ValidatorWorld)
    while len(w.registry.forks) < MAX_FORKS - 1:  # room for one more
        last = w.registry.forks[-1]
        _do(w, ["add_fork", ADMIN, last.first_slot + 1, *last[1:]])
    frame = w.oracle.time_of(w.oracle.next_slot()) - w.chain.now
    _do(w, ["make_block", frame, 0], ["honest_report", OPERATOR, 0, 0], ["record_exits", OPERATOR])
    _do(w, ["make_block", 3 * DAY, 0])


SCENES = {scene.__name__: scene for scene in (new, warm, poor, costly, huge, bare)}

VALIDATOR_SCENES = {scene.__name__: scene for scene in (young, staked, late)}


def worlds(artifacts: Mapping[str, Compiled]) -> dict[str, World]:
    """Build one world for every scene, in that scene; those with validators where there is a registry.

    The fee splitter is taken from the build when it is not given.

    Raises Mismatch when contracts and model differ on the way.
    """
    made: dict[str, World] = {}
    with_registry = VALIDATOR_SCENES if REGISTRY_CONTRACT in artifacts else {}
    if with_registry:
        artifacts = {**build.load_many([SPLITTER_CONTRACT]), **artifacts}
    for name, scene in {**SCENES, **with_registry}.items():
        world = made[name] = ValidatorWorld(artifacts) if name in with_registry else World(artifacts)
        scene(world)
        world.check_all()
        world.keep()
    return made
