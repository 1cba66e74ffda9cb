// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Neura} from "./Neura.sol";

/// @notice What is used here of Foundry's cheatcodes.
interface ForkVm {
    function allowCheatcodes(address account) external;
    function etch(address target, bytes calldata code) external;
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
    function toString(address value) external pure returns (string memory);
    function toString(bytes calldata value) external pure returns (string memory);
}

/// @title Views of the native modules in a Foundry test or script that forks a Neura chain
/// @notice Foundry executes a fork in an EVM of its own, which does not have the native modules: a call to one fails with
/// an invalid opcode. After NeuraFork.attach() views are answered by the forked node, as of its latest block.
/// @dev Writes are refused: nothing of them would be seen by the test. Send them to a node, or mock them.
library NeuraFork {
    ForkVm private constant VM = ForkVm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice Lets views of all native modules be answered by the node. Needs `--fork-url` or a selected fork.
    function attach() internal {
        bytes memory code = type(NativeModuleView).runtimeCode;
        address[6] memory modules = [
            address(Neura.PROVIDERS),
            address(Neura.REQUESTERS),
            address(Neura.TASKS),
            address(Neura.REWARDS),
            address(Neura.STAKING),
            address(Neura.GOVERNANCE)
        ];
        for (uint256 i = 0; i < modules.length; i++) {
            VM.etch(modules[i], code);
            VM.allowCheatcodes(modules[i]);
        }
    }
}

/// @notice Stands at a module's address in a local fork: asks the node what the module answers.
contract NativeModuleView {
    ForkVm private constant VM = ForkVm(address(uint160(uint256(keccak256("hevm cheat code")))));
    /// @dev Enough for an empty log, and the most that finding out about the call may cost.
    uint256 private constant PROBE_GAS = 5_000;

    fallback(bytes calldata input) external returns (bytes memory) {
        if (msg.sender == address(this) && input.length == 0) {
            assembly {
                log0(0, 0)
            }
            return "";
        }
        // Views come by STATICCALL, in which nothing can be logged.
        (bool writable,) = address(this).call{gas: PROBE_GAS}("");
        require(!writable, "native_module_in_fork: a local fork answers views only; send writes to a node, or mock them");
        string memory call = string.concat(
            '[{"from":"', VM.toString(msg.sender), '","to":"', VM.toString(address(this)), '","data":"', VM.toString(input), '"},"latest"]'
        );
        return VM.rpc("eth_call", call);
    }
}
