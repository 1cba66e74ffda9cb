// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Registry of GPU providers
/// @notice Native module at 0x4e00000000000000000000000000000000000001. A provider is an ed25519 account: only the
/// account of the identity key itself may register, so that one key serves registry, payments and network.
/// @dev A refused call reverts with Error(string) holding "code: sentence". Amounts are in wei, times in blocks.
interface IProviders {
    /// @notice Whether a provider takes tasks.
    enum Status {
        /// Takes tasks.
        Active,
        /// Finishes what it has and takes nothing new.
        Draining,
        /// Has left; its bond can be withdrawn from height unbondsAt on.
        Left
    }

    /// @notice What a provider's machine offers. Texts hold at most 128 bytes.
    struct Capability {
        string gpuModel;
        string gpuBackend;
        uint32 gpuMemoryMib;
        uint32 cpuCores;
        uint32 ramMib;
        uint32 diskMib;
    }

    /// @notice What a provider can change at any time. Running tasks keep the price they were created at.
    struct Offer {
        /// Account that is paid; neither zero nor a module.
        address payout;
        Capability capability;
        /// Executors offered, such as "int8": 1 to 8, each of 1 to 128 bytes, none twice.
        string[] executors;
        /// Price per block of a task's duration, in wei.
        uint128 pricePerBlock;
        /// Free text.
        string region;
        /// Public HTTP endpoint of its off-chain store, or empty.
        string endpoint;
        /// Most tasks that it works on at a time, above 0.
        uint32 capacity;
    }

    /// @notice How a party's tasks ended.
    struct TrackRecord {
        uint64 settled;
        uint64 atFault;
        uint64 refunded;
    }

    /// @notice A registry entry.
    struct Provider {
        address account;
        bytes32 identity;
        bytes32 encryptionKey;
        uint32 keyEpoch;
        Offer offer;
        uint128 bond;
        Status status;
        /// Tasks that have not ended.
        uint32 activeTasks;
        /// Those of them whose result waits for the owner: they take no capacity.
        uint32 submittedTasks;
        uint64 registeredAt;
        uint64 heartbeatAt;
        uint64 unbondsAt;
        TrackRecord record;
    }

    /// @notice A provider has joined, or joined again after leaving.
    event ProviderRegistered(address indexed provider, bytes32 identity, bytes32 encryptionKey, uint32 keyEpoch, uint128 bond);
    /// @notice A provider has changed its offer.
    event ProviderUpdated(address indexed provider, uint128 pricePerBlock, uint32 capacity);
    /// @notice Payloads are to be sealed to another key from now on.
    event KeyRotated(address indexed provider, bytes32 encryptionKey, uint32 keyEpoch);
    /// @notice A provider has shown that it is alive.
    event Heartbeat(address indexed provider);
    /// @notice A provider takes tasks again, drains or has left.
    event StatusChanged(address indexed provider, Status status);
    /// @notice A provider that left has its bond back.
    event BondWithdrawn(address indexed provider, uint128 amount);

    /// @notice Joins the registry; the value sent is the bond. Also the way back after leaving and withdrawing.
    /// @param identity ed25519 key whose account the caller is.
    /// @param encryptionKey X25519 key that payloads are sealed to.
    function register(bytes32 identity, bytes32 encryptionKey, Offer calldata offer) external payable;

    /// @notice Replaces the offer.
    function update(Offer calldata offer) external;

    /// @notice Replaces the encryption key and raises its number. Tasks created for the old number keep it.
    function rotateKey(bytes32 encryptionKey) external returns (uint32 keyEpoch);

    /// @notice Notes that the provider is alive.
    function heartbeat() external;

    /// @notice Takes nothing new.
    function drain() external;

    /// @notice Takes tasks again after drain.
    function resume() external;

    /// @notice Leaves the registry; refused while tasks are active. Starts the unbonding delay.
    function unregister() external;

    /// @notice Pays the bond back to the provider's account once the unbonding delay has passed.
    function withdrawBond() external returns (uint128 amount);

    /// @notice The entry of a provider; refused with unknown_provider if there is none.
    function provider(address account) external view returns (Provider memory);

    /// @notice Whether an account has an entry, in whatever status.
    function isRegistered(address account) external view returns (bool);

    /// @notice How many entries there are; entries are never removed.
    function count() external view returns (uint64);

    /// @notice Entries in order of first registration.
    /// @param start Position of the first, from 0.
    /// @param limit Most entries returned; at most 100.
    function list(uint64 start, uint64 limit) external view returns (Provider[] memory);
}
