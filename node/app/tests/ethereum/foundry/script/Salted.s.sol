// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Desk} from "../src/Desk.sol";
import {vm} from "../src/Vm.sol";

/// @notice Opens a desk at an address that its code and a salt give: by the deployer that Foundry expects on every chain.
contract Salted {
    function run(bytes32 salt) external returns (Desk desk) {
        vm.startBroadcast();
        desk = new Desk{salt: salt}();
        vm.stopBroadcast();
    }
}
