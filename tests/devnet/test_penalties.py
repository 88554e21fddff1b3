"""The pending loss of a report beside what the beacon chain then charges for a slashing.

A report says what the correlation penalty would be if it were due at its reference slot. It is due half a slashings
vector after the slashing (18 days on mainnet, 32 epochs here), and in the epoch in which it is due both are the same to
the Gwei. Until then the chain moves the amount, and the report follows: slashings that come meanwhile raise it, and so
does stake that leaves; slashings that are older than a whole vector when the penalty is due no longer count, so that
before they drop out a report says more than will be charged.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from floe.beacon.client import BeaconClient
from floe.beacon.ssz import BeaconStateView
from floe.devnet import Devnet
from floe.oracle.observer import pending_penalties

ETHER = 10**9
"""Gwei."""
EPOCH = 8
HALF = 32
"""Half of EPOCHS_PER_SLASHINGS_VECTOR, minimal preset."""
FIRST, SECOND, THIRD = 2, 5, 9
"""Validators of the genesis, 32 of 512 ETH each."""
SLASHED_AT = {FIRST: 3, SECOND: 6, THIRD: 36}
"""Epochs."""
DUE = {validator: epoch + HALF for validator, epoch in SLASHED_AT.items()}


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet() as devnet:
        yield devnet


def said(state: BeaconStateView, *validators: int) -> int:
    """Return the pending loss of these validators in Gwei."""
    return pending_penalties(state, np.array(validators, np.int64))


@pytest.mark.slow
def test_pending_loss__until_it_is_charged__is_what_the_chain_charges_then(devnet: Devnet) -> None:
    client = BeaconClient(devnet.beacon_url)
    says: dict[int, dict[int, int]] = {validator: {} for validator in SLASHED_AT}
    lost: dict[int, dict[int, int]] = {validator: {} for validator in SLASHED_AT}
    slot = devnet.advance(EPOCH * min(SLASHED_AT.values()))
    for epoch in range(min(SLASHED_AT.values()), max(DUE.values()) + 2):
        devnet.slash([validator for validator, since in SLASHED_AT.items() if since == epoch])
        slot = devnet.advance(EPOCH * (epoch + 1) - 1 - slot)
        before = client.state(slot)
        slot = devnet.advance(1)
        after = client.state(slot)
        known = [validator for validator, since in SLASHED_AT.items() if since <= epoch]
        for validator in known:
            assert before.validators["slashed"][validator]
            says[validator][epoch] = said(before, validator)
            lost[validator][epoch] = int(before.balances[validator]) - int(after.balances[validator])
        assert said(before, *known) == sum(says[validator][epoch] for validator in known)

    for validator, due in DUE.items():
        # An epoch costs who does not attest something, too: as much as in the epoch before.
        charged = lost[validator][due] - lost[validator][due - 1]
        assert charged == says[validator][due] > 7 * ETHER
        assert abs(lost[validator][due - 1]) < ETHER // 100
        assert all(amount > 0 for epoch, amount in says[validator].items() if epoch <= due)
        assert all(amount == 0 for epoch, amount in says[validator].items() if epoch > due)

    first, third = says[FIRST], says[THIRD]
    # Of 512 ETH three times 32 were slashed, then six times; then the two slashed ones no longer count as stake.
    assert first[3] == 3 * 32 * ETHER // 512 * 32 == 6 * ETHER
    assert first[6] == 12 * ETHER
    assert first[DUE[FIRST]] == 6 * 32 * ETHER // 448 * 32 > 13 * ETHER
    assert list(first.values())[: HALF + 1] == sorted(list(first.values())[: HALF + 1])
    # When the third was slashed the other two still counted; the first one's slashing drops out before it has to pay.
    dropped = SLASHED_AT[FIRST] + 2 * HALF
    assert third[dropped - 1] > third[dropped] == third[DUE[THIRD]]
    assert third[dropped] * 3 == pytest.approx(third[dropped - 1] * 2, abs=96)
