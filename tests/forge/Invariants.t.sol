// SPDX-License-Identifier: AGPL-3.0-only
pragma solidity ^0.8.30;

import {Handler} from "./Handler.sol";
import {Vm} from "./Interfaces.sol";

/// What forge asks for by this name: which functions of a contract it may call.
struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}

/// From a fresh pool.
contract FreshTest {
    Handler internal handler;

    function setUp() external virtual {
        handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), handler.actions());
    }

    /// Every action compares the whole ledger, so what is left to look at between two actions is that nothing moved.
    function invariant_books() external {
        handler.compare();
    }

    function afterInvariant() external {
        handler.finish();
    }
}

/// From a pool that has lived: a price far from 1, streams, a queue, tickets partly paid.
contract LivedTest is FreshTest {
    Vm internal constant VM = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    function setUp() external override {
        handler = new Handler();
        handler.live(VM.envUint("FLOE_SEED"), 300);
    }
}
