// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Neura} from "@neura/contracts/Neura.sol";

/// @notice Counts whom it serves, and asks native modules.
contract Desk {
    uint256 public served;
    mapping(address guest => bytes32) public word;

    event Served(address indexed guest, uint256 number, bytes32 word);

    function serve(bytes32 said) external returns (uint256 number) {
        number = ++served;
        word[msg.sender] = said;
        emit Served(msg.sender, number, said);
    }

    function join(bytes32 key) external {
        Neura.REQUESTERS.register(key);
    }

    function validators() external view returns (uint64) {
        return Neura.STAKING.count();
    }
}
