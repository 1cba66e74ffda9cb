// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Registry of those who need compute
/// @notice Native module at 0x4E00000000000000000000000000000000000002. The first task of an account registers it with
/// that task's result key, so that nobody has to call this module before asking for compute.
/// @dev A refused call reverts with Error(string) holding "code: sentence".
interface IRequesters {
    /// @notice How a party's tasks ended.
    struct TrackRecord {
        uint64 settled;
        uint64 atFault;
        uint64 refunded;
    }

    /// @notice A registry entry.
    struct Requester {
        address account;
        bytes32 encryptionKey;
        uint32 keyEpoch;
        uint64 registeredAt;
        TrackRecord record;
    }

    /// @notice An account has joined, by itself or through its first task.
    event RequesterRegistered(address indexed requester, bytes32 encryptionKey);
    /// @notice Results are to be sealed to another key from now on.
    event KeyRotated(address indexed requester, bytes32 encryptionKey, uint32 keyEpoch);

    /// @notice Registers the caller.
    /// @param encryptionKey X25519 key that results are sealed to.
    function register(bytes32 encryptionKey) external;

    /// @notice Replaces the caller's key and raises its number.
    function rotateKey(bytes32 encryptionKey) external returns (uint32 keyEpoch);

    /// @notice The entry of an account; refused with unknown_requester if there is none.
    function requester(address account) external view returns (Requester memory);

    /// @notice Whether an account has an entry.
    function isRegistered(address account) external view returns (bool);

    /// @notice How many entries there are; entries are never removed.
    function count() external view returns (uint64);

    /// @notice Entries in order of registration.
    /// @param start Position of the first, from 0.
    /// @param limit Most entries returned; at most 100.
    function list(uint64 start, uint64 limit) external view returns (Requester[] memory);
}
