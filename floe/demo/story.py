"""Who does what on which day: the thirty days of the demo, and how they are played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ape

from floe.demo.beacon import Beacon
from floe.demo.stage import HOUR, Stage
from floe.deploy import config as configs
from floe.deploy import execute, verify

DAYS = 30

# (day, staker or None, what happens: a method of Stage, its arguments)
STORY: tuple[tuple[int, int | None, str, tuple[Any, ...]], ...] = (
    (1, 10, "stake", ("3200",)),
    (1, 9, "stake", ("1100",)),
    (1, 8, "stake", ("400",)),
    (2, 7, "send_plain", ("160",)),
    (2, 6, "mint", ("75",)),
    (2, 5, "stake", ("32",)),
    (3, 4, "stake_and_wrap", ("12",)),
    (3, 3, "stake", ("3",)),
    (3, 2, "stake", ("0.7",)),
    (3, 1, "stake", ("0.05",)),
    (4, 6, "wrap", ("30",)),
    (5, 2, "transfer", (1, "0.2")),
    (6, 3, "request", ("1", "small")),
    (6, 1, "request_dust", ("dust",)),
    (7, None, "stranger_claims", ("small",)),
    (7, 5, "redeem", ("8",)),
    (8, 8, "request_many", ("10", 10, "ten")),
    (9, 8, "transfer", (7, "25")),
    (10, 9, "withdraw", ("200",)),
    (11, None, "give", ("0.5",)),
    (11, None, "stranger_claims_all", ()),
    (12, None, "slashing_known", ("64",)),
    (13, 4, "tries_to_stake", ("20",)),
    (13, 9, "tries_to_redeem", ("100",)),
    (13, 7, "request_all", ("scared",)),
    (14, 1, "request", ("0.1", "tiny")),
    (15, 7, "claim", ("scared",)),
    (16, 6, "unwrap", ()),
    (20, None, "slashing_settled", ("12.8",)),
    (21, 4, "stake_and_wrap", ("20",)),
    (21, 5, "stake", ("32",)),
    (22, 10, "request", ("2400", "whale")),
    (22, 6, "request", ("40", "sold")),
    (23, 6, "sell_ticket", (8, "sold")),
    (24, 9, "tries_to_redeem", ("2",)),
    (25, 10, "claim", ("whale",)),
    (26, 3, "request_all", ("last",)),
    (27, 10, "claim", ("whale",)),
    (28, None, "stranger_claims_all", ()),
    (29, 9, "redeem", ("20",)),
    (29, 6, "request", ("15", "paid")),
    (30, 8, "request_all", ("waits",)),
)

MARKS = (
    (9.5, "200 ETH leave at once"),
    (12, "a slashing is known: exits go on, at the lower rate"),
    (20, "it is settled"),
    (21.5, "half of all asks to leave"),
)
"""(days since the first midnight, what a reader of the picture should look at)"""


@dataclass(frozen=True)
class Played:
    """The stage after the last day, and what the books need: balances before it, the deployment's first block."""

    stage: Stage
    before: dict[str, int]
    """Wei of each account before the first day."""
    first_block: int
    seed: int


def play(folder: Path, say: Callable[[int, str], None], days: int = DAYS) -> Played:
    """Deploy, and play the days, on the development chain that Ape is connected to.

    `folder` takes the deployment's record, `say` gets (day, what happened), day 0 being the deployment.
    """
    accounts = ape.accounts.test_accounts
    deployer, oracle, treasury, stranger, builder, donor, *rest = accounts[:16]
    stakers = rest[:10]
    provider = ape.networks.active_provider
    sink = ape.accounts.test_accounts[19]
    registry = deployer.deploy(ape.project.MockRegistry, sink)
    provider.set_balance(sink.address, 0)

    config = with_roles(configs.load("local"), oracle.address, treasury.address)
    record = execute.deploy(deployer, config, folder / "demo.json", lambda line: say(0, f"deployed {line}"))
    checks = verify.verify(record, config)
    if wrong := [check for check in checks if not check.holds]:
        raise execute.DeployError(f"the deployment is not what the parameters say: {wrong}")
    say(0, f"read back from the chain: {len(checks)} values, all as they should be")
    contracts = verify.contracts(record)
    hand_over_staking(contracts, registry, provider)

    beacon = Beacon(provider, sink.address, record.address("WithdrawalVault"))
    helpers = {"oracle": oracle, "stranger": stranger, "builder": builder, "donor": donor}
    stage = Stage(contracts, registry, beacon, stakers, helpers)
    everybody = [*stakers, *helpers.values(), deployer, treasury]
    before = {account.address: account.balance for account in everybody}
    for day in range(1, days + 1):
        stage.morning()
        stage.until(12 * HOUR)
        for staker, verb, arguments in (item[1:] for item in STORY if item[0] == day):
            if staker is None:
                say(day, getattr(stage, verb)(*arguments))
            else:
                say(day, f"{stage.name(staker)} {getattr(stage, verb)(staker, *arguments)}")
        for line in [*stage.afternoon(), *stage.evening()]:
            say(day, line)
    return Played(stage, before, record.first_block, config.seed)


def with_roles(config: configs.Config, oracle: str, fee_recipient: str) -> configs.Config:
    """Return the parameters with other holders of roles."""
    roles = {**config.roles.model_dump(), "oracle": oracle, "fee_recipient": fee_recipient}
    return configs.parse({**config.model_dump(), "roles": roles})


def hand_over_staking(contracts: dict[str, Any], registry: Any, provider: Any) -> None:
    """Let `registry` stake beside the validator registry: the simulated beacon chain cannot prove anything to that.

    It takes the timelock's word without its delay, as only a development chain allows.
    """
    pool, timelock = contracts["FloePool"], contracts["Timelock"].address
    provider.set_balance(timelock, 10**18)
    pool.grantRole(pool.REGISTRY_ROLE(), registry, sender=ape.accounts[timelock])
    provider.set_balance(timelock, 0)
