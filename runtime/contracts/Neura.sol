// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IGovernance} from "./IGovernance.sol";
import {IProviders} from "./IProviders.sol";
import {IRequesters} from "./IRequesters.sol";
import {IRewards} from "./IRewards.sol";
import {IStaking} from "./IStaking.sol";
import {ITasks} from "./ITasks.sol";

/// @title The native modules at their addresses
/// @notice For example: Neura.TASKS.create{value: escrow}(terms).
library Neura {
    IProviders internal constant PROVIDERS = IProviders(0x4e00000000000000000000000000000000000001);
    IRequesters internal constant REQUESTERS = IRequesters(0x4E00000000000000000000000000000000000002);
    ITasks internal constant TASKS = ITasks(0x4e00000000000000000000000000000000000003);
    IRewards internal constant REWARDS = IRewards(0x4e00000000000000000000000000000000000004);
    IStaking internal constant STAKING = IStaking(0x4E00000000000000000000000000000000000005);
    IGovernance internal constant GOVERNANCE = IGovernance(0x4e00000000000000000000000000000000000007);
}
