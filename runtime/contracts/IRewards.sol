// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Distribution of the validators' fees
/// @notice Native module at 0x4e00000000000000000000000000000000000004. Its balance is the pool: the validators' share
/// of settled tasks and the part of the base fee that is not burned. At the end of an epoch it is divided among the
/// validators by voting power, provided that it holds at least 1 gwei for each; validators share with their delegators.
/// The rounding remainder and the shares of validators in jail stay in the pool.
/// @dev A refused call reverts with Error(string) holding "code: sentence". Amounts are in wei.
interface IRewards {
    /// @notice The pool was divided among so many validators.
    event RewardsDistributed(uint128 amount, uint64 validators);

    /// @notice What the pool holds now.
    function pool() external view returns (uint128);

    /// @notice What was paid out since genesis.
    function distributed() external view returns (uint128);
}
