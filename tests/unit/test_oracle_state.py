"""What a report takes out of a beacon state: our pending deposits, and the penalties that slashed validators still owe.

The penalties are compared with the consensus specs' own loop (electra, process_slashings), written out over the
library's objects.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from floe.beacon.containers import FAR_FUTURE_EPOCH, MINIMAL, beacon_state
from floe.beacon.ssz import BeaconStateView, key_of
from floe.oracle.observer import pending_deposits, pending_penalties, slashed_positions

ETHER = 10**9
"""Gwei."""
EPOCH = 300
PRESET = MINIMAL
HALF = PRESET.epochs_per_slashings_vector // 2


def made(validators: list[dict[str, Any]], slashings: list[int], deposits: list[tuple[bytes, int]] = []) -> Any:  # noqa: B006 - read only
    """Return a state (the library's) in the last slot of EPOCH."""
    kind = beacon_state("electra", PRESET)
    fields = kind.fields()
    usual = {
        "effective_balance": 32 * ETHER,
        "activation_eligibility_epoch": 1,
        "activation_epoch": 2,
        "exit_epoch": FAR_FUTURE_EPOCH,
        "withdrawable_epoch": FAR_FUTURE_EPOCH,
    }
    rows = [
        fields["validators"].element_cls()(pubkey=number.to_bytes(48, "big"), **(usual | each))
        for number, each in enumerate(validators)
    ]
    vector = slashings + [0] * (PRESET.epochs_per_slashings_vector - len(slashings))
    return kind(
        slot=(EPOCH + 1) * PRESET.slots_per_epoch - 1,
        validators=rows,
        balances=[0] * len(rows),
        slashings=vector,
        pending_deposits=[
            fields["pending_deposits"].element_cls()(pubkey=key, amount=gwei, slot=7) for key, gwei in deposits
        ],
    )


def view(state: Any) -> BeaconStateView:
    return BeaconStateView(state.encode_bytes(), "electra", PRESET)


def due_now(state: Any) -> dict[int, int]:
    """Return what every validator would pay if its correlation penalty were due in this epoch."""
    epoch = int(state.slot) // PRESET.slots_per_epoch
    active = [v.effective_balance for v in state.validators if v.activation_epoch <= epoch < v.exit_epoch]
    total = max(ETHER, sum(map(int, active)))
    adjusted = min(3 * sum(map(int, state.slashings)), total)
    per_increment = adjusted // (total // ETHER)
    return {
        index: per_increment * (int(v.effective_balance) // ETHER)
        for index, v in enumerate(state.validators)
        if v.slashed and epoch <= int(v.withdrawable_epoch) - HALF
    }


def ours(state: Any, indices: range | list[int]) -> Any:
    assert all(0 <= index < len(state.validators) for index in indices)
    return np.array(list(indices), np.int64)


@pytest.mark.parametrize("seed", range(6))
def test_penalties__any_state__are_those_of_the_specs(seed: int) -> None:
    random = Random(seed)
    validators = [
        {
            "effective_balance": random.choice((0, 1, 31, 32, 33, 2_048)) * ETHER,
            "slashed": random.random() < 0.4,
            "activation_epoch": random.choice((0, EPOCH, EPOCH + 1, FAR_FUTURE_EPOCH)),
            "exit_epoch": random.choice((1, EPOCH, EPOCH + 1, FAR_FUTURE_EPOCH)),
            "withdrawable_epoch": random.choice((0, HALF - 1, EPOCH, EPOCH + HALF - 1, EPOCH + HALF, EPOCH + 64)),
        }
        for _ in range(60)
    ]
    slashings = [random.choice((0, 32 * ETHER, 2_048 * ETHER)) * (seed < 5) for _ in range(20)]
    state = made(validators, slashings)
    due = due_now(state)
    assert due
    assert pending_penalties(view(state), ours(state, range(60))) == sum(due.values())
    some = sorted(random.sample(range(60), 25))
    assert pending_penalties(view(state), ours(state, some)) == sum(due.get(index, 0) for index in some)
    assert slashed_positions(view(state), ours(state, some)).tolist() == [index for index in some if index in due]


def test_penalties__by_hand() -> None:
    # 100 active validators of 32 ETH: one slashed ETH in 3,200 costs 3 / 3,200 of an effective balance.
    leaving = {"slashed": True, "exit_epoch": EPOCH, "withdrawable_epoch": EPOCH + 64}
    state = made([{}] * 100 + [leaving] * 2, [64 * ETHER])
    assert pending_penalties(view(state), ours(state, [5, 100])) == (3 * 64 * ETHER // 3_200) * 32
    assert pending_penalties(view(state), ours(state, [5, 100, 101])) == 2 * (3 * 64 * ETHER // 3_200) * 32


def test_penalties__a_third_is_slashed__all_of_it() -> None:
    leaving = {"slashed": True, "exit_epoch": EPOCH, "withdrawable_epoch": EPOCH + 64}
    for slashed, penalty in ((31, 31), (32, 32), (33, 32)):
        state = made([{}] * 3 + [leaving], [slashed * ETHER])
        assert pending_penalties(view(state), ours(state, [3])) == penalty * ETHER


def test_penalties__after_they_were_paid__nothing() -> None:
    for withdrawable, slashed, waits in (
        (EPOCH + HALF, True, True),
        (EPOCH + HALF - 1, True, False),
        (EPOCH + 64, False, False),
        (FAR_FUTURE_EPOCH, False, False),
        (0, True, False),
    ):
        state = made([{}, {"slashed": slashed, "withdrawable_epoch": withdrawable}], [32 * ETHER])
        assert slashed_positions(view(state), ours(state, [0, 1])).tolist() == ([1] if waits else [])
        assert (pending_penalties(view(state), ours(state, [0, 1])) > 0) == waits


def test_penalties__nobody__nothing() -> None:
    state = made([], [])
    assert pending_penalties(view(state), ours(state, [])) == 0


def test_deposits__that_wait__only_those_for_our_keys() -> None:
    keys = [bytes([number]) * 48 for number in range(3)]
    state = made([{}], [], [(keys[0], 5), (keys[1], 7), (keys[0], 2**64 - 1), (keys[2], 11)])
    assert pending_deposits(view(state), {key_of(keys[0]), key_of(keys[2])}) == 16 + 2**64 - 1
    assert pending_deposits(view(state), {keys[0]}) == 0
    assert pending_deposits(view(state), set()) == 0
    assert pending_deposits(view(made([{}], [])), {key_of(keys[0])}) == 0
