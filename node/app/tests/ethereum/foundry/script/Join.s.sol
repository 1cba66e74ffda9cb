// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Neura} from "@neura/contracts/Neura.sol";
import {Desk} from "../src/Desk.sol";
import {vm} from "../src/Vm.sol";

/// @notice Writes to a native module, directly and through a desk. Foundry runs the script in an EVM of its own, which does
/// not have the module: STOP takes its place there, so that the calls pass. What is sent, the node executes.
contract Join {
    function run(bytes32 key) external {
        vm.etch(address(Neura.REQUESTERS), hex"00");
        Desk desk = Desk(vm.envAddress("DESK"));
        vm.startBroadcast();
        Neura.REQUESTERS.register(key);
        desk.join(key);
        vm.stopBroadcast();
    }
}
