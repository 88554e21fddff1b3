"""The states that sequences start from, each as the actions that lead there from a fresh deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from floe import build
from floe.model.basics import DAY, ETHER, GWEI, UNLIMITED, YEAR
from floe.model.pool import PAUSE_FULFIL
from floe.model.registry import MAX_FORKS
from tests.stateful.actions import Action, perform
from tests.stateful.market import GAUGE, MARKET_CONTRACTS, PAIR, RESERVE, REWARD, VAULT, WETH, ZAP, MarketWorld
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
HOLDERS_OF_MARKET = (*STAKERS, OPERATOR, REENTERER, REFUSER, BURNER, GORGER)


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


def opened(w: World) -> None:
    """Open a market in which nobody has done anything."""
    assert isinstance(w, MarketWorld)
    warm(w)
    for account in HOLDERS_OF_MARKET:
        for spender in (PAIR, RESERVE, GAUGE):
            _do(w, ["approve", account, POOL, spender, UNLIMITED])
        _do(w, ["market_approve", account, PAIR, GAUGE, UNLIMITED], ["approve_for_all", account, RESERVE, True])
        for spender in (VAULT, ZAP, GAUGE):
            _do(w, ["market_approve", account, WETH, spender, UNLIMITED])
        _do(w, ["market_approve", account, REWARD, GAUGE, UNLIMITED])
    for account in (OPERATOR, *STAKERS, REENTERER):
        _do(w, ["weth_deposit", account, 500 * ETHER], ["reward_mint", account, account, 10**24])
    _do(w, ["transfer", FIRST, OPERATOR, 20 * ETHER])
    # Rewards that stream although nobody has staked.
    _do(w, ["gauge_add_reward", ADMIN, WETH, REENTERER, DAY], ["gauge_notify", REENTERER, WETH, ETHER + 1])
    _do(w, ["travel", 600])


def _provide(w: World, unit: int) -> None:
    """Liquidity on all sides, stakes in the gauge, rewards that stream; some sales, and their tickets in the queue."""
    assert isinstance(w, MarketWorld)
    _do(w, ["reserve_deposit", SECOND, 40 * unit + 3, 40 * unit + 3, SECOND])
    _do(w, ["pair_add", FIRST, 60 * unit, 55 * unit, 0])
    _do(w, ["pair_add", SECOND, 7 * unit, 0, 0], ["pair_add", THIRD, 0, 5 * unit + 1, 0, REENTERER])
    _do(w, ["pair_add", REENTERER, 3 * unit, 3 * unit, 0], ["reserve_mint", FOURTH, 9 * unit, 7 * unit + 1, FOURTH])
    for account in (REFUSER, BURNER, GORGER):
        _do(w, ["pair_add", account, unit, unit, 0], ["reserve_deposit", account, unit, unit, account])
    _do(w, ["travel", 12], ["gauge_add_reward", ADMIN, POOL, OPERATOR, DAY])
    _do(w, ["gauge_add_reward", ADMIN, REWARD, STAKERS[0], 7 * DAY])
    for account, parts in ((FIRST, 2), (SECOND, 3), (REENTERER, 2)):
        _do(w, ["gauge_stake", account, w.pair.erc20.balances[account] // parts])
    _do(w, ["gauge_notify", OPERATOR, POOL, ETHER + 7])
    _do(w, ["gauge_notify", FIRST, REWARD, 10**21 + 1], ["travel", 3_600])
    _do(w, ["gauge_notify", REENTERER, WETH, ETHER // 7])
    _do(w, ["pair_buy", FOURTH, 2 * unit, 0], ["pair_sell", FIRST, 3 * unit + 7, 0], ["travel", 600])
    _do(w, ["reserve_sell", FIRST, 4 * unit, 0], ["reserve_queue", OPERATOR], ["reserve_sell", FIRST, 2 * unit + 1, 0])
    _do(w, ["vault_deposit", SECOND, 9 * ETHER, SECOND], ["vault_deposit", REENTERER, ETHER, REENTERER])
    _do(w, ["vault_request_exit", SECOND, ETHER, SECOND, SECOND], ["travel", 12])


def trading(w: World) -> None:
    """Let a balanced market be a few hours old."""
    opened(w)
    _provide(w, ETHER)


def lopsided(w: World) -> None:
    """Bring the pair far off its peg, leave little in it, and almost no ETH in the reserve."""
    trading(w)
    assert isinstance(w, MarketWorld)
    _do(w, ["gauge_withdraw", FIRST, w.gauge.staked[FIRST]])
    _do(w, ["pair_sell", FIRST, 180 * ETHER, 0], ["travel", 2 * DAY])
    _do(w, ["pair_remove", FIRST, w.pair.erc20.balances[FIRST] * 99 // 100, 0, 0])
    _do(w, ["pair_remove", SECOND, w.pair.erc20.balances[SECOND] - 10**12, 0, 0])
    _do(w, ["reserve_sell", FIRST, w.reserve.books.cash * ETHER // w.pool.exit_rate() - 10**9, 0])


def shaken(w: World) -> None:
    """After a loss, with another one pending and people who sell into it."""
    trading(w)
    _report(w, -(w.pool.assets * 3 // 100))
    _do(w, ["pair_sell", SECOND, 10 * ETHER, 0], ["travel", DAY // 2])
    _do(w, ["raise_pending_loss", REGISTRY, w.pool.outside // (40 * GWEI)])
    _do(w, ["reserve_sell", FIRST, 3 * ETHER, 0], ["pair_sell", FIRST, 5 * ETHER, 0])


def drained(w: World) -> None:
    """Let exits wait that are not paid, and the reserve have its ETH in tickets of others and its own."""
    trading(w)
    assert isinstance(w, MarketWorld)
    for shares in (3 * ETHER, 2 * ETHER, ETHER, 5 * ETHER):
        _do(w, ["request", FIRST, shares, FIRST])
        _do(w, ["reserve_sell_ticket", FIRST, len(w.queue.ends) - 1, 0])
    _do(w, ["reserve_sell", FIRST, 10 * ETHER, 0], ["reserve_queue", OPERATOR], ["request", SECOND, 20 * ETHER, SECOND])
    _report(w, ETHER // 50)
    _do(w, ["deposit", THIRD, 3 * ETHER, 3 * ETHER, THIRD], ["fulfil", OPERATOR, 2 * ETHER], ["travel", DAY // 4])


def gigantic(w: World) -> None:
    """Amounts close to all that fits in 96 bits."""
    opened(w)
    unit = 2**96 // 4_000
    for account in (*STAKERS, REENTERER, REFUSER, BURNER, GORGER):
        _do(w, ["deposit", account, 300 * unit, 300 * unit, account])
    _provide(w, unit)


SCENES = {scene.__name__: scene for scene in (new, warm, poor, costly, huge, bare)}

MARKET_SCENES = {scene.__name__: scene for scene in (opened, trading, lopsided, shaken, drained, gigantic)}

VALIDATOR_SCENES = {scene.__name__: scene for scene in (young, staked, late)}


def worlds(artifacts: Mapping[str, Compiled], *, alone: bool = False) -> dict[str, World]:
    """Build one world for every scene, in that scene; those of the pool not if `alone`.

    Those with validators are built where there is a registry, those with a market where there is WETH. The fee
    splitter is taken from the build when it is not given.

    Raises Mismatch when contracts and model differ on the way.
    """
    scenes: dict[str, tuple[type[World], Callable[[World], None]]] = {}
    if not alone:
        scenes |= {name: (World, scene) for name, scene in SCENES.items()}
    if REGISTRY_CONTRACT in artifacts:
        artifacts = {**build.load_many([SPLITTER_CONTRACT]), **artifacts}
        scenes |= {name: (ValidatorWorld, scene) for name, scene in VALIDATOR_SCENES.items()}
    if MARKET_CONTRACTS[0] in artifacts:
        scenes |= {name: (MarketWorld, scene) for name, scene in MARKET_SCENES.items()}
    made: dict[str, World] = {}
    for name, (kind, scene) in scenes.items():
        world = made[name] = kind(artifacts)
        scene(world)
        world.check_all()
        world.keep()
    return made
