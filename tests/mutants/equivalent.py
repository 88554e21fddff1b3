"""Mutants that change nothing that anybody could see, so that no test can find them.

File below contracts/, line before, line after, as `Mutant.difference` gives them. An entry whose line is gone does no
harm; a new survivor belongs here only with its reason.
"""

from __future__ import annotations

ONLY_GAS = "finds the same segment over other windows"
MORE_THAN_THERE_IS = "differs only at exactly 2**96 - 1 wei or shares: 600 times all ETH"

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "lib/curve.vy",
        "    assert (filled | paid) <= words.U96, reasons.OVERFLOW",
        "    assert (filled | paid) < words.U96, reasons.OVERFLOW",
    ): MORE_THAN_THERE_IS,
    (
        "lib/curve.vy",
        "        return a, 0, IWithdrawalQueue.Unpaid.WRONG_HINT",
        "        return a, 1, IWithdrawalQueue.Unpaid.WRONG_HINT",
    ): "whoever gets the reason does not look at the amount",
    (
        "lib/curve.vy",
        "    for _: uint256 in range(64):",
        "    for _: uint256 in range(65):",
    ): "neither search takes 64 rounds on less than 2**64 points",
    ("lib/curve.vy", "        high: uint256 = low + length - 1", "        high: uint256 = low + length - 2"): ONLY_GAS,
    ("lib/curve.vy", "        low = high + 1", "        pass"): ONLY_GAS,
    ("lib/curve.vy", "        length *= 2", "        length *= 3"): ONLY_GAS,
    ("lib/instant_fee.vy", "    return 0", "    return 1"): "behind a refusal",
    (
        "pool/ledger.vy",
        "    if totals >> 192 != 0:",
        "    if totals >> 193 != 0:",
    ): "the bit is worth a second after 1970: every pause that has it alone is over",
}
"""Change to the reason why nobody can notice it."""
