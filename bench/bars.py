"""What an operation may cost, what it must cost at least, and what it costs elsewhere. All in gas of a transaction.

The floor is the sum of what no implementation can avoid: the transaction, its calldata, the storage words and the
logs that the operation needs. The peers were measured in the same way as our own numbers (`gas.py`): their real
contracts behind their production proxies, warm, with random non-zero amounts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One operation. None where there is no such figure, or no bar."""

    key: str
    label: str
    bar: int | None
    floor: int | None
    lido: int | None
    peer: int | None
    peer_name: str = ""
    """Who comes next after us, and what to know about its figure."""


BARS = (
    Bar("deposit_repeat", "deposit, repeated holder", 40_000, 34_832, 76_754, 49_557, "Frax: no price, no limit"),
    Bar("deposit_first", "deposit, first-time holder", 57_500, 51_932, 93_854, 66_657, "Frax: no price, no limit"),
    Bar("transfer_existing", "transfer to a holder", 34_500, 33_412, 67_226, 34_624, "wstETH"),
    Bar("transfer_new", "transfer to a new holder", 51_600, 50_512, 84_326, 51_724, "wstETH"),
    Bar("rebasing_transfer", "rebasing transfer to a holder", 46_000, None, 67_226, 74_629, "eETH"),
    Bar("wrap", "wrap", 70_000, 51_512, 91_806, 62_959, "sfrxETH: two plain ERC-20s"),
    Bar("unwrap", "unwrap", 70_000, 49_412, 91_206, 61_393, "sfrxETH: two plain ERC-20s"),
    Bar("request_repeat", "request exit, repeated owner", 76_000, 59_256, 198_070, 111_677, "Frax"),
    # A first-time owner's balance is a new word: 17,100 more.
    Bar("request_first", "request exit, first-time owner", 93_000, 76_356, 215_170, 128_777, "Frax"),
    Bar("request_ten_each", "request 10 exits, each", 33_000, 27_856, 123_067, None),
    Bar("fulfil", "fulfil, any number of tickets", 80_000, 50_097, 107_322, 95_835, "Mantle"),
    Bar("claim_hint", "claim with hint, 10,000 points", 56_000, 39_300, 89_798, 53_879, "StakeWise: no NFT"),
    Bar("claim_no_hint", "claim without hint, 10,000 points", 90_000, 64_500, 124_694, 131_465, "Mantle"),
    Bar("oracle_cycle", "oracle: 5 signatures, report, fulfil", 210_000, 120_882, 2_621_507, 260_907, "StakeWise"),
    Bar("vote", "oracle: one vote on chain", 45_000, 32_672, 69_300, None),
    # The peers' figures have two parts, the second to store the validator's key.
    Bar(
        "predeposit_each",
        "predeposit, 50 at once, each",
        57_000,
        30_721,
        217_619,
        197_861,
        "LsETH, key storage included",
    ),
    Bar("prove_one", "prove a validator's credentials", 95_000, None, None, None),
    Bar("prove_hundred_each", "prove 100 neighbours, each", 14_000, None, None, None),
    Bar("top_up_each", "top up 50 at once, each", None, None, None, None),
    Bar("request_withdrawal", "ask a validator for a withdrawal", None, None, None, None),
    Bar("consolidate", "ask for a consolidation", None, None, None, None),
    Bar("prove_withdrawn", "prove that a validator is gone", None, None, None, None),
    Bar("instant_exit", "instant exit", 75_000, None, None, 137_080, "Rocket Pool"),
    Bar("pair_swap", "pair: swap, either way", 85_000, None, None, 112_866, "Curve's stETH pool; from stETH 122,700"),
    Bar("pair_add", "pair: provide both sides", 125_000, None, None, None),
    Bar("pair_remove_one", "pair: take out one side", 110_000, None, None, None),
    Bar("reserve_sale", "reserve: sell floETH", 95_000, None, None, None),
    Bar("gauge_stake", "gauge: stake more", 95_000, None, None, None),
    Bar("gauge_claim", "gauge: claim a reward again", 75_000, None, None, None),
)
"""In the order in which they are shown and written. The keys are those of `gas.json`."""
