"""What can be set about a devnet."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

MNEMONIC = "test test test test test test test test test test test junk"
"""Of the funded accounts: what anvil and Ape use for their test accounts as well."""

STRANGER = "0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"
"""The last of the 20 accounts. The genesis validators, compounding, belong to it."""

CONFIG = {
    "SHARD_COMMITTEE_PERIOD": 4,  # epochs a validator must be active before it may exit
    "MIN_VALIDATOR_WITHDRAWABILITY_DELAY": 4,  # epochs
    # Per epoch. With the minimal preset's own values nothing is left for consolidations, which then vanish.
    "MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA": 256 * 10**9,
    "MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT": 128 * 10**9,
}
"""What differs from the minimal preset's configuration, so that days become seconds."""


@dataclass(frozen=True)
class Settings:
    """A devnet. The preset is `minimal`: 8 slots an epoch."""

    execution: Literal["anvil", "ethereumjs"] = "anvil"
    fork: Literal["fulu", "electra"] = "fulu"
    seconds_per_slot: int = 12
    validators: int = 16
    """At genesis, 32 ETH each, with keys 0, 1, 2, ... of `seed`; they belong to STRANGER."""
    genesis_time: int = 1_700_000_000
    """Seconds since 1970. With `by_clock`, 0 means now."""
    by_clock: bool = False
    """Make a slot every `seconds_per_slot` seconds; otherwise slots are made on demand."""
    chain_id: int = 31337
    accounts: int = 20
    """Funded accounts of MNEMONIC."""
    account_ether: int = 100_000
    """What each of them has."""
    seed: str = "floe"
    """Of the validators' secret keys."""
    fee_recipient: str = "0x" + "fe" * 20
    """Of proposers that have no other."""
    beacon_port: int = 0
    """0: a free one."""
    execution_port: int = 0
    config: dict[str, int] = field(default_factory=dict)
    """Further overrides of the consensus configuration (names as in the specs), beside or instead of CONFIG."""

    def as_dict(self) -> dict[str, object]:
        """Return the fields as JSON can carry them."""
        return asdict(self)
