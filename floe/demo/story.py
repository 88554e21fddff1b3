"""Who does what on which day, and how the days are played."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ape
from hexbytes import HexBytes

from floe.beacon.client import BeaconClient
from floe.demo.daemons import Daemons
from floe.demo.news import News
from floe.demo.stage import Stage
from floe.demo.staking import DAY, ETHER, GWEI, SLOTS_A_DAY
from floe.deploy import beacon, execute, verify
from floe.deploy import config as configs
from floe.devnet import Devnet, Settings
from floe.devnet.system_contracts import DEPOSIT_CONTRACT

DAYS = 15

CHAIN = Settings(
    genesis_time=1_700_006_400,  # a midnight
    seconds_per_slot=DAY // SLOTS_A_DAY,
    validators=8,
    # Gwei that may be activated or leave in an epoch.
    config={
        "MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA": 8_192 * GWEI,
        "MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT": 4_096 * GWEI,
    },
)
"""The devnet: four epochs are a day, and a frame of the oracle."""
MEMBERS, QUORUM, FRAME_EPOCHS = 3, 2, 4
KEEPER = "the keeper"
RESERVE_TARGET = 300 * ETHER
"""ETH in the reserve with which its fee is the least."""
TREASURY = "0x7e7e7e7E7e7E7e7e7e7E7e7e7e7E7e7e7e7e7e7E"
"""Gets its part of the fees, and does nothing."""

# (day, staker (0: somebody who only trades) or None, what happens: a method of Stage, its arguments)
STORY: tuple[tuple[int, int | None, str, tuple[Any, ...]], ...] = (
    (1, 10, "stake", ("3200",)),
    (1, 9, "stake", ("1100",)),
    (1, None, "admit", (36, 54, 10)),
    (1, None, "predeposit", (1, 3)),
    (1, None, "predeposit", (2, 5)),
    (1, None, "front_run", (3,)),
    (1, None, "others_deposit", (6, "2048")),
    (1, 8, "stake", ("400",)),
    (1, 7, "send_plain", ("160",)),
    (2, 6, "mint", ("75",)),
    (2, 5, "stake", ("32",)),
    (2, 4, "stake_and_wrap", ("12",)),
    (2, 3, "stake", ("3",)),
    (2, 2, "stake", ("0.7",)),
    (2, 8, "provide", ("120", "120")),
    (2, 7, "provide", ("45", "45")),
    (2, 8, "stake_liquidity", ()),
    (2, 7, "stake_liquidity", ()),
    (2, 9, "lend", ("240",)),
    (2, None, "admit_reward", ()),
    (2, None, "reward", ("6",)),
    (3, None, "weigh", (3, 0)),
    (3, 1, "stake", ("0.05",)),
    (3, 6, "wrap", ("30",)),
    (3, 2, "transfer", (1, "0.2")),
    (3, 5, "zap_into_pair", ("20",)),
    (3, 5, "stake_liquidity", ()),
    (3, 10, "lend", ("60",)),
    (3, 4, "stake_weth", ("8",)),
    (3, 0, "buy", ("6",)),
    (3, 10, "sell", ("9",)),
    (4, 3, "request", ("1", "small")),
    (4, 1, "request_dust", ("dust",)),
    (4, 8, "request_many", ("10", 10, "ten")),
    (4, 10, "sell_to_reserve", ("30",)),
    (4, None, "queue_reserve", ()),
    (4, 0, "buy", ("4",)),
    (4, 6, "sell", ("5",)),
    (5, 5, "redeem", ("8",)),
    (5, 9, "withdraw", ("200",)),
    (5, 9, "sell_to_reserve", ("20",)),
    (5, 2, "stake_through_reserve", ("12",)),
    (5, 4, "request_weth", ("5", "weth")),
    (5, 10, "request", ("35", "regretted")),
    (5, None, "slash", (1,)),
    (6, None, "stranger_claims", ("small",)),
    (6, None, "claim_reserve", ()),
    (6, 9, "tries_to_redeem", ("100",)),
    (6, 7, "request", ("110", "scared")),
    (6, 9, "sell", ("45",)),
    (6, 10, "sell_to_reserve", ("70",)),
    (6, 10, "sell_ticket_to_reserve", ("regretted",)),
    (6, 8, "sell", ("30",)),
    (6, 8, "tries_to_lend", ("10",)),
    (6, None, "queue_reserve", ()),
    (6, None, "retire", (8,)),
    (6, None, "give", ("0.5",)),
    (7, 4, "tries_to_stake", ("20",)),
    (7, None, "stranger_claims_all", ()),
    (7, 8, "transfer", (7, "25")),
    (7, 10, "sell", ("40",)),
    (7, 9, "sell", ("25",)),
    (7, 9, "sell_to_reserve", ("60",)),
    (7, 0, "buy", ("25",)),
    (7, 0, "request_all", ("bargain",)),
    (8, 7, "claim", ("scared",)),
    (8, 6, "unwrap", ()),
    (8, 4, "claim_weth", ("weth",)),
    (8, 10, "sell", ("15",)),
    (8, 10, "request", ("2400", "whale")),
    (8, None, "claim_reserve", ()),
    (8, None, "queue_reserve", ()),
    (9, 6, "request", ("40", "sold")),
    (9, None, "switch_off", (2,)),
    (9, 0, "buy", ("30",)),
    (9, 0, "request_all", ("another",)),
    (10, 6, "sell_ticket", (8, "sold")),
    (10, 10, "claim", ("whale",)),
    (11, 3, "request_all", ("last",)),
    (11, None, "stranger_claims_reward", (7,)),
    (12, None, "switch_on", (2,)),
    (12, None, "take_bond", (2, "1")),
    (13, None, "stranger_claims_all", ()),
    (14, None, "weigh", (1, 36)),
    (14, None, "claim_reserve", ()),
    (14, 7, "unstake_liquidity", ()),
    (14, 7, "remove_both", ()),
    (15, None, "cover", ()),
    (15, 4, "stake_and_wrap", ("20",)),
    (15, 5, "stake", ("600",)),
    (15, 8, "request", ("60", "unclaimed")),
    (15, 9, "redeem", ("20",)),
    (15, 6, "request_all", ("unclaimed too",)),
    (15, 9, "request", ("600", "waits")),
    (15, 0, "buy", ("70",)),
    (15, 8, "claim_reward", ()),
    (15, 8, "unstake_liquidity", ()),
    (15, 8, "remove_one", ("0.15",)),
    (15, 8, "remove_both", ()),
    (15, 9, "leave_reserve", ("1",)),
)

SLOT_BEFORE = ("buy", "sell", "sell_to_reserve", "sell_ticket_to_reserve", "stake_liquidity")
"""Before each of these a slot passes: prices have their time, and liquidity stays for a block."""

MARKS = (
    (1.0, "proven to be ours, topped up"),
    (4.5, "a slashing is proven"),
    (7.2, "panic: half of all asks to leave"),
    (13.5, "the chain has charged the penalty"),
)
"""(days since the first midnight, what a reader of the picture should look at)"""


LOGS = {
    "pool": "FloePool",
    "queue": "WithdrawalQueue",
    "token": "RebasingToken",
    "registry": "ValidatorRegistry",
    "oracle": "ReportOracle",
    "splitter": "FeeSplitter",
    "vault": "ExecutionVault",
    "withdrawals": "WithdrawalVault",
    "pair": "StablePair",
    "reserve": "ExitReserve",
    "gauge": "Gauge",
    "weth": "WETH9",
}
"""Contracts whose events are read, by the names under which they are."""


@dataclass(frozen=True)
class Played:
    """The stage after the last day, and what the books need: what was there before it, the deployment's first block."""

    stage: Stage
    before: dict[str, int]
    """Wei of each account, and of the deposit contract, before the first day."""
    daemons: dict[str, str]
    """What the daemons are called, by the addresses of their accounts."""
    first_block: int


@contextmanager
def play(say: Callable[[int, str], None], days: int = DAYS) -> Iterator[Played]:
    """Start a devnet, deploy, start the daemons and play the days.

    The chain, with Ape connected to it, lives as long as the context. `say` gets (day, what happened), day 0 being the
    deployment, and (day, "") when a day begins. Raises ProcessError when a daemon does not do its work.
    """
    with ExitStack() as stack:
        devnet = stack.enter_context(Devnet(CHAIN))
        provider = stack.enter_context(devnet.ape())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = BeaconClient(devnet.beacon_url)
        stack.callback(client.close)
        say(0, f"a beacon chain of {CHAIN.validators} validators runs on anvil: four epochs are a day")
        devnet.advance(SLOTS_A_DAY)
        deployer, *members, keeper, stranger, donor = ape.accounts.test_accounts[: MEMBERS + 4]
        others = ape.accounts.test_accounts[MEMBERS + 4 :]
        config = parameters(client, members, {"council": deployer.address, "keepers": [keeper.address]})
        file = folder / "demo.json"
        record = execute.deploy(deployer, config, file, lambda line: say(0, f"deployed {line}"))
        secrets = [bytes(HexBytes(one.private_key)) for one in (*members, keeper)]
        daemons = stack.enter_context(Daemons(folder, file, devnet, secrets[:-1], secrets[-1]))
        say(0, f"{MEMBERS} members of the oracle's committee and a keeper start, each a process of its own")
        checks = verify.verify(record, config)
        if wrong := [check for check in checks if not check.holds]:
            raise execute.DeployError(f"the deployment is not what the parameters say: {wrong}")
        say(0, f"read back from the chain: {len(checks)} values, all as they should be")

        helpers = {"council": deployer, "stranger": stranger, "donor": donor}
        contracts = verify.contracts(record)
        people = {one.address: f"member {number}" for number, one in enumerate(members, 1)}
        people |= {keeper.address: KEEPER}
        news = News({key: contracts[name] for key, name in LOGS.items()}, people, record.first_block)
        stage = Stage(contracts, devnet, client, others[3:], others[:3], helpers, daemons, news)
        everybody = (*stage.stakers, *stage.operators, *helpers.values(), *members, keeper)
        before = {one.address: one.balance for one in everybody}
        before[DEPOSIT_CONTRACT] = provider.get_balance(DEPOSIT_CONTRACT)
        for day in range(1, days + 1):
            say(day, "")
            stage.morning(day)
            for staker, verb, arguments in (item[1:] for item in STORY if item[0] == day):
                if verb in SLOT_BEFORE:
                    stage.end_slot()
                if staker is None:
                    say(day, getattr(stage, verb)(*arguments))
                else:
                    say(day, f"{stage.name(staker)} {getattr(stage, verb)(staker, *arguments)}")
            for line in [*stage.noon(), *stage.evening()]:
                say(day, line)
        for line in stage.last_morning():
            say(days, line)
        yield Played(stage, before, people, record.first_block)


def parameters(client: BeaconClient, members: Sequence[Any], roles: dict[str, Any]) -> configs.Config:
    """Return the parameters of a chain of one's own, for this beacon chain, this committee and these other roles."""
    local = configs.load("local").model_dump()
    local["beacon"] = beacon.read(client).model_dump()
    local["oracle"] |= {"members": [one.address for one in members], "quorum": QUORUM}
    local["oracle"]["limits"]["frame_epochs"] = FRAME_EPOCHS
    local["fees"]["treasury"] = TREASURY
    local["liquidity"]["reserve"]["target"] = RESERVE_TARGET
    local["roles"] |= roles
    return configs.parse(local)
