"""What a keeper is told: `config/keeper.example.yaml` shows it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from floe.model.basics import GWEI
from floe.model.beacon import GWEI_IN_ETHER
from floe.oracle.signer import Key
from floe.service.config import Seconds, ServiceConfig, Strict

Ether = Annotated[float, Field(ge=0, le=1_000_000, strict=False)]
Gwei = Annotated[float, Field(gt=0, le=1_000_000, strict=False)]
Pause = Annotated[float, Field(ge=0, le=86_400 * 30, strict=False)]


class Rule(Strict):
    """When an action may be taken, and what it may cost."""

    enabled: bool = True
    max_fee_gwei: Gwei = 50.0
    """Most Gwei for a unit of gas, tip included. Above that the action waits."""
    max_gas: Annotated[int, Field(ge=21_000, le=30_000_000)] = 12_000_000
    cooldown: Pause = 0.0
    """Seconds of chain time from one such action to the next."""

    @property
    def max_fee(self) -> int:
        """Most wei for a unit of gas."""
        return int(self.max_fee_gwei * GWEI)


class Worth(Rule):
    """A rule of an action that is worth the more, the more ETH it moves."""

    least_eth: Ether
    """Less is left for later."""
    most_cost_bps: Annotated[float, Field(gt=0, le=10_000, strict=False)] = 10.0
    """Most that gas may cost, in bps of what is moved."""

    @property
    def least_gwei(self) -> int:
        """The least amount in Gwei."""
        return int(self.least_eth * GWEI_IN_ETHER)


class TopUp(Worth):
    """How stake goes out."""

    least_eth: Annotated[float, Field(ge=1, le=2_048, strict=False)] = 32.0
    """For each validator."""
    fill_to_eth: Annotated[int, Field(ge=32, le=2_048)] = 1_920
    """What a validator is filled up to; rewards compound above it, up to 2,048 ETH."""
    cooldown: Pause = 600.0


class PullBack(Rule):
    """How stake comes back."""

    least_eth: Ether = 1.0
    """Less missing ETH is left to the next rewards."""
    full_exit_from_eth: Ether = 8.0
    """What must still be missing after all partial withdrawals before whole validators are asked to leave."""
    max_request_fee_gwei: Annotated[float, Field(gt=0, le=10**9, strict=False)] = 1_000_000.0
    """Most for one request (EIP-7002), in Gwei: 0.001 ETH."""
    cooldown: Pause = 600.0


URGENT = 500.0


class Rules(Strict):
    """A rule for every kind of action, in the order in which they are taken."""

    prove_slashings: Rule = Rule(max_fee_gwei=URGENT)
    declare_stale: Rule = Rule(max_fee_gwei=URGENT)
    record_exits: Rule = Rule()
    fulfil: Worth = Worth(least_eth=1.0, max_fee_gwei=URGENT, cooldown=60.0)
    prove_exits: Rule = Rule(cooldown=384.0)
    close: Rule = Rule()
    prove_credentials: Rule = Rule(cooldown=384.0)
    prove_activity: Rule = Rule(cooldown=3_600.0)
    prove_balances: Worth = Worth(least_eth=8.0, cooldown=86_400.0)
    pull_back: PullBack = PullBack(max_fee_gwei=URGENT)
    top_up: TopUp = TopUp()
    sync_fees: Rule = Rule()
    distribute_fees: Worth = Worth(least_eth=0.1, most_cost_bps=100.0, cooldown=86_400.0)
    claim_fees: Worth = Worth(enabled=False, least_eth=0.1, most_cost_bps=100.0, cooldown=86_400.0)
    claim_cover: Rule = Rule()

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, content: Any) -> Any:
        """Take what a rule does not say from its default."""
        if not isinstance(content, dict):
            return content
        defaults = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {
            name: {**defaults[name], **rule} if name in defaults and isinstance(rule, dict) else rule
            for name, rule in content.items()
        }


class KeeperConfig(ServiceConfig):
    """The whole file."""

    needs_finality = False
    """No step does."""
    key: Key | None = None
    """What transactions are paid with; a dry run needs none."""
    dry_run: bool = False
    interval: Seconds = 12.0
    """From one round to the next."""
    beacon_interval: Seconds = 384.0
    """Seconds of chain time from one look at the validators on the beacon chain to the next: an epoch."""
    tip_gwei: Gwei = 1.0
    """Priority fee for a unit of gas."""
    patience: Seconds = 30.0
    """Seconds that a round waits for a transaction to be in a block."""
    replace_after: Seconds = 60.0
    """Seconds after which a transaction that is still in no block is sent again, for more."""
    rules: Rules = Rules()

    @property
    def tip(self) -> int:
        """Wei for a unit of gas."""
        return int(self.tip_gwei * GWEI)
