"""ERC-165: which interfaces the contracts say they have."""

from __future__ import annotations

import pytest

from tests.evm import Evm
from tests.protocol import STAKER, Protocol

ACCESS_CONTROL = "7965db0b"


@pytest.mark.parametrize("interface", ["01ffc9a7", ACCESS_CONTROL])
def test_supports_interface__timelock_and_pauser__have_roles(evm: Evm, protocol: Protocol, interface: str):
    timelock = evm.deploy("Timelock", 21 * 86_400, [STAKER], [STAKER])
    pauser = evm.deploy("Pauser", protocol.pool, protocol.admin, [], [])
    for contract in (timelock, pauser):
        assert contract.supportsInterface(bytes.fromhex(interface)) is True
        assert contract.supportsInterface(bytes.fromhex("ffffffff")) is False
        assert contract.supportsInterface(bytes(4)) is False
