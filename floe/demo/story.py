"""Who does what on which day, and how the days are played."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ape

from floe.beacon.client import BeaconClient
from floe.demo.stage import Stage
from floe.demo.staking import DAY, GWEI, SLOTS_A_DAY
from floe.deploy import beacon, execute, verify
from floe.deploy import config as configs
from floe.devnet import Devnet, Settings
from floe.devnet.system_contracts import DEPOSIT_CONTRACT

DAYS = 52

CHAIN = Settings(
    genesis_time=1_700_006_400,  # a midnight
    seconds_per_slot=DAY // SLOTS_A_DAY,
    validators=8,
    # Gwei that may be activated or leave in a day.
    config={
        "MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA": 8_192 * GWEI,
        "MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT": 4_096 * GWEI,
    },
)
"""The devnet: an epoch is a day."""

# (day, staker or None, what happens: a method of Stage, its arguments)
STORY: tuple[tuple[int, int | None, str, tuple[Any, ...]], ...] = (
    (1, 10, "stake", ("3200",)),
    (1, 9, "stake", ("1100",)),
    (1, None, "admit", (36, 54, 10)),
    (1, None, "predeposit", (1, "600", "300", "300", "300", "300")),
    (1, None, "predeposit", (2, "2048", "900")),
    (1, None, "front_run", (3, "400")),
    (1, None, "others_deposit", (6, "2048")),
    (2, 8, "stake", ("400",)),
    (2, 7, "send_plain", ("160",)),
    (3, 6, "mint", ("75",)),
    (3, 5, "stake", ("32",)),
    (4, 4, "stake_and_wrap", ("12",)),
    (4, 3, "stake", ("3",)),
    (5, None, "weigh", (3, 0)),
    (5, 2, "stake", ("0.7",)),
    (6, 1, "stake", ("0.05",)),
    (7, 6, "wrap", ("30",)),
    (8, 2, "transfer", (1, "0.2")),
    (9, 3, "request", ("1", "small")),
    (9, 1, "request_dust", ("dust",)),
    (10, None, "stranger_claims", ("small",)),
    (11, 5, "redeem", ("8",)),
    (12, 8, "request_many", ("10", 10, "ten")),
    (13, 8, "transfer", (7, "25")),
    (14, 9, "withdraw", ("200",)),
    (15, None, "give", ("0.5",)),
    (15, None, "stranger_claims_all", ()),
    (16, None, "slash", (1,)),
    (17, 4, "tries_to_stake", ("20",)),
    (17, 9, "tries_to_redeem", ("100",)),
    (17, 7, "request", ("110", "scared")),
    (18, 1, "request", ("0.1", "tiny")),
    (19, 7, "claim", ("scared",)),
    (20, 6, "unwrap", ()),
    (22, 10, "request", ("2400", "whale")),
    (23, 6, "request", ("40", "sold")),
    (24, 6, "sell_ticket", (8, "sold")),
    (25, 10, "claim", ("whale",)),
    (35, 10, "claim", ("whale",)),
    (36, 3, "request_all", ("last",)),
    (38, None, "stranger_claims_all", ()),
    (42, None, "take_bond", (2, "1")),
    (44, None, "weigh", (1, 36)),
    (50, 4, "stake_and_wrap", ("20",)),
    (50, 5, "stake", ("600",)),
    (51, 9, "redeem", ("20",)),
    (51, 8, "request", ("60", "unclaimed")),
    (52, 6, "request_all", ("waits",)),
    (52, 9, "request", ("400", "waits too")),
)

MARKS = (
    (3.75, "proven to be ours, topped up"),
    (15.75, "a slashing is proven"),
    (21.5, "half of all asks to leave"),
    (47.9, "the chain has charged the penalty"),
)
"""(days since the first midnight, what a reader of the picture should look at)"""


@dataclass(frozen=True)
class Played:
    """The stage after the last day, and what the books need: what was there before it, the deployment's first block."""

    stage: Stage
    before: dict[str, int]
    """Wei of each account, and of the deposit contract, before the first day."""
    first_block: int


@contextmanager
def play(say: Callable[[int, str], None], days: int = DAYS) -> Iterator[Played]:
    """Start a devnet, deploy, and play the days; the chain, with Ape connected to it, lives as long as the context.

    `say` gets (day, what happened), day 0 being the deployment, and (day, "") when a day begins.
    """
    with Devnet(CHAIN) as devnet, devnet.ape() as provider:
        client = BeaconClient(devnet.beacon_url)
        say(0, f"a beacon chain of {CHAIN.validators} validators runs on anvil: an epoch is a day")
        devnet.advance(SLOTS_A_DAY)
        deployer, oracle, treasury, council, keeper, stranger, donor, *others = ape.accounts.test_accounts
        config = parameters(client, oracle, treasury, {"council": council, "keepers": [keeper]})
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "demo.json"
            record = execute.deploy(deployer, config, file, lambda line: say(0, f"deployed {line}"))
        checks = verify.verify(record, config)
        if wrong := [check for check in checks if not check.holds]:
            raise execute.DeployError(f"the deployment is not what the parameters say: {wrong}")
        say(0, f"read back from the chain: {len(checks)} values, all as they should be")

        helpers = {"oracle": oracle, "council": council, "keeper": keeper, "stranger": stranger, "donor": donor}
        stage = Stage(verify.contracts(record), devnet, client, others[3:], others[:3], helpers)
        before = {one.address: one.balance for one in (*stage.stakers, *stage.operators, *helpers.values())}
        before[DEPOSIT_CONTRACT] = provider.get_balance(DEPOSIT_CONTRACT)
        for day in range(1, days + 1):
            say(day, "")
            stage.morning(day)
            for staker, verb, arguments in (item[1:] for item in STORY if item[0] == day):
                if staker is None:
                    say(day, getattr(stage, verb)(*arguments))
                else:
                    say(day, f"{stage.name(staker)} {getattr(stage, verb)(staker, *arguments)}")
            for line in [*stage.afternoon(), *stage.evening()]:
                say(day, line)
        yield Played(stage, before, record.first_block)
        client.close()


def parameters(client: BeaconClient, member: Any, treasury: Any, roles: dict[str, Any]) -> configs.Config:
    """Return the parameters of a chain of one's own, for this beacon chain and with these accounts.

    Epochs of a day leave no time for finality, so they are not checked as those of a file are.
    """
    local = configs.load("local")
    addresses = {
        name: [one.address for one in value] if isinstance(value, list) else value.address
        for name, value in roles.items()
    }
    return local.model_copy(
        update={
            "roles": local.roles.model_copy(update=addresses),
            "oracle": local.oracle.model_copy(update={"members": [member.address]}),
            "fees": local.fees.model_copy(update={"treasury": treasury.address}),
            "beacon": beacon.read(client),
        }
    )
