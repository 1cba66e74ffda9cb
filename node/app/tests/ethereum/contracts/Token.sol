// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice OpenZeppelin's ERC-20 with each way to fail beside it.
contract Token is ERC20 {
    /// Nothing is minted after construction.
    error MintingClosed(address caller, uint256 amount);

    constructor(uint256 supply) ERC20("Test token", "TST") {
        _mint(msg.sender, supply);
    }

    function mint(uint256 amount) external view {
        revert MintingClosed(msg.sender, amount);
    }

    function redeem(uint256 amount) external {
        require(amount % 10 == 0, "redeem a multiple of ten");
        _burn(msg.sender, amount);
    }

    function share(uint256 parts) external view returns (uint256) {
        return totalSupply() / parts;
    }

    function silent() external pure {
        revert();
    }
}
