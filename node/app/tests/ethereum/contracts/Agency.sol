// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ITasks} from "@neura/contracts/ITasks.sol";
import {Neura} from "@neura/contracts/Neura.sol";

/// @notice A contract that hires providers by itself, and tries what a contract could try with a native module.
contract Agency {
    event Hired(uint64 taskId);
    event Refused(string reason);

    error Undone();

    receive() external payable {}

    function join(bytes32 key) external {
        Neura.REQUESTERS.register(key);
    }

    /// The module has written and logged when this frame fails.
    function joinAndFail(bytes32 key) external {
        Neura.REQUESTERS.register(key);
        if (!Neura.REQUESTERS.isRegistered(address(this))) revert("the module did not register");
        revert Undone();
    }

    /// An inner frame fails after its write; the transaction goes on.
    function joinInAFailingFrame(bytes32 key) external {
        try this.joinAndFail(key) {
            revert("the inner frame must fail");
        } catch (bytes memory data) {
            require(bytes4(data) == Undone.selector, "the inner frame failed otherwise");
        }
    }

    function hire(ITasks.Terms calldata terms) external payable {
        try Neura.TASKS.create{value: msg.value}(terms) returns (uint64 taskId) {
            emit Hired(taskId);
        } catch Error(string memory reason) {
            emit Refused(reason);
        }
    }

    function cancel(uint64 taskId) external {
        Neura.TASKS.cancel(taskId);
    }

    function joinByDelegatecall(bytes32 key) external returns (bool ok, bytes memory data) {
        return address(Neura.REQUESTERS).delegatecall(abi.encodeCall(Neura.REQUESTERS.register, (key)));
    }

    function joinByStaticcall(bytes32 key) external view returns (bool ok, bytes memory data) {
        return address(Neura.REQUESTERS).staticcall(abi.encodeCall(Neura.REQUESTERS.register, (key)));
    }

    /// Views are called by STATICCALL.
    function validators() external view returns (uint64 count, uint64 power) {
        return (Neura.STAKING.count(), Neura.STAKING.totalPower());
    }

    function codeSizes() external view returns (uint256[5] memory) {
        return [
            address(Neura.PROVIDERS).code.length,
            address(Neura.REQUESTERS).code.length,
            address(Neura.TASKS).code.length,
            address(Neura.REWARDS).code.length,
            address(Neura.STAKING).code.length
        ];
    }
}
