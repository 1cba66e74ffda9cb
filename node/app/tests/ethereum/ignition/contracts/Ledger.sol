// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice Remembers what its writer tells it.
contract Ledger {
    address public immutable owner = msg.sender;
    address public writer;
    uint256 public total;

    event Noted(address indexed by, uint256 amount, uint256 total);

    function appoint(address next) external {
        require(msg.sender == owner, "not the owner");
        writer = next;
    }

    function note(uint256 amount) external {
        require(msg.sender == writer, "not the writer");
        total += amount;
        emit Noted(msg.sender, amount, total);
    }
}
