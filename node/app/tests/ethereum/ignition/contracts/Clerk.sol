// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Ledger} from "./Ledger.sol";

/// @notice Writes into the ledger that it was made for.
contract Clerk {
    Ledger public immutable ledger;

    constructor(Ledger ledger_) {
        ledger = ledger_;
    }

    function record(uint256 amount) external {
        ledger.note(amount);
    }
}
