// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Validators and their voting power
/// @notice Native module at 0x4E00000000000000000000000000000000000005. The set is that of genesis; bonding,
/// delegation, epochs and slashing will be added here.
/// @dev A refused call reverts with Error(string) holding "code: sentence".
interface IStaking {
    /// @notice A validator.
    struct Validator {
        /// ed25519 key that signs its consensus messages.
        bytes32 publicKey;
        /// Account that receives its rewards.
        address account;
        uint64 power;
    }

    /// @notice How many validators there are.
    function count() external view returns (uint64);

    /// @notice Sum of all voting power.
    function totalPower() external view returns (uint64);

    /// @notice The validator at an index; refused with unknown_validator if there is none.
    function validator(uint64 index) external view returns (Validator memory);

    /// @notice Validators in order of their indices.
    /// @param start Index of the first.
    /// @param limit Most validators returned; at most 100.
    function validators(uint64 start, uint64 limit) external view returns (Validator[] memory);
}
