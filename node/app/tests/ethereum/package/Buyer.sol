// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ITasks} from "@neura/contracts/ITasks.sol";
import {Neura} from "@neura/contracts/Neura.sol";

/// @notice Buys compute by itself, follows what it bought by views, and tries what a module must refuse.
contract Buyer {
    address public immutable owner = msg.sender;
    /// How often coins came with a call. What the module pays comes without one.
    uint256 public received;

    error Undone(uint64 taskId);

    constructor(ITasks.Terms memory terms) payable {
        if (msg.value > 0) Neura.TASKS.create{value: msg.value}(terms);
    }

    /// Would stop every payment that came by a call.
    receive() external payable {
        received++;
        revert("no payments by call");
    }

    function hire(ITasks.Terms calldata terms) external payable returns (uint64 taskId) {
        require(msg.value >= Neura.TASKS.quote(terms.provider, terms.durationBlocks), "below the quote");
        return Neura.TASKS.create{value: msg.value}(terms);
    }

    function approve(uint64 taskId) external {
        require(msg.sender == owner, "not the owner");
        Neura.TASKS.approve(taskId);
    }

    function cancel(uint64 taskId) external {
        Neura.TASKS.cancel(taskId);
    }

    /// What a contract can know of a task without being called back.
    function outcome(uint64 taskId) external view returns (ITasks.State state, ITasks.Reason reason, uint128 paid, uint128 refund) {
        ITasks.Task memory task = Neura.TASKS.task(taskId);
        return (task.state, task.outcome.reason, task.outcome.settlement.provider, task.outcome.settlement.refund);
    }

    function hireAndFail(ITasks.Terms calldata terms) external payable {
        revert Undone(Neura.TASKS.create{value: msg.value}(terms));
    }

    /// The escrow must come back with the frame that paid it.
    function hireInAFailingFrame(ITasks.Terms calldata terms) external payable {
        (uint256 mine, uint256 held) = (address(this).balance, address(Neura.TASKS).balance);
        try this.hireAndFail{value: msg.value}(terms) {
            revert("the inner frame must fail");
        } catch (bytes memory data) {
            require(bytes4(data) == Undone.selector, "the inner frame failed otherwise");
        }
        require(address(this).balance == mine && address(Neura.TASKS).balance == held, "the escrow is lost");
    }

    /// Calls a module by an opcode with a value; gas 0 is all there is.
    function attempt(string calldata kind, address module, uint256 value, uint256 gasLimit, bytes memory input)
        external
        payable
        returns (bool ok, bytes memory data)
    {
        uint256 gasGiven = gasLimit == 0 ? gasleft() : gasLimit;
        bytes32 which = keccak256(bytes(kind));
        if (which == keccak256("call")) return module.call{value: value, gas: gasGiven}(input);
        if (which == keccak256("delegatecall")) return module.delegatecall{gas: gasGiven}(input);
        if (which == keccak256("staticcall")) return module.staticcall{gas: gasGiven}(input);
        require(which == keccak256("callcode"), "no such kind");
        // Solidity does not have it any more, the EVM does.
        assembly {
            ok := callcode(gasGiven, module, value, add(input, 0x20), mload(input), 0, 0)
            let size := returndatasize()
            data := mload(0x40)
            mstore(data, size)
            returndatacopy(add(data, 0x20), 0, size)
            mstore(0x40, and(add(add(data, size), 0x3f), not(0x1f)))
        }
    }
}
