// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Desk} from "../src/Desk.sol";
import {vm} from "../src/Vm.sol";

/// @notice Opens a desk and is its first two guests.
contract Open {
    function run() external returns (Desk desk) {
        vm.startBroadcast();
        desk = new Desk();
        desk.serve("first");
        desk.serve("second");
        vm.stopBroadcast();
    }
}
