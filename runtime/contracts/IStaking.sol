// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Validators, their stake and their epochs
/// @notice Native module at 0x4E00000000000000000000000000000000000005. It holds all stake. The validators of an epoch are
/// those with the most stake two epochs before; what they earn is shared with their delegators at the end of each
/// epoch. A validator that contradicts itself loses a part of the stake behind it, whether bonded or unbonding.
/// @dev A refused call reverts with Error(string) holding "code: sentence". Amounts are in wei. A share is 1 wei of stake
/// until the validator is slashed for the first time; conversions round against the caller.
interface IStaking {
    /// @notice A member of the set of the present epoch.
    struct Validator {
        /// ed25519 key that signs its consensus messages.
        bytes32 publicKey;
        /// Account that registered it and receives its tips and commission.
        address account;
        /// Voting power: whole ANKR of stake.
        uint64 power;
    }

    /// @notice A registered validator, whether it serves or not.
    struct Candidate {
        /// Account that registered it.
        address operator;
        bytes32 publicKey;
        /// Everything bonded to it, in wei, its own bond included.
        uint128 stake;
        /// Shares that the stake is divided into.
        uint128 shares;
        /// Its part of what its delegators earn, in basis points.
        uint16 commissionBps;
        /// Whether it stands for election.
        bool listed;
        /// Whether it contradicted itself: it never serves again.
        bool tombstoned;
        /// First epoch in which it can be released from jail; 0 if it is not in jail.
        uint64 jailedUntil;
        /// Epochs in a row without a sign of it.
        uint64 missedEpochs;
        /// Voting power in the present epoch.
        uint64 power;
    }

    /// @notice Stake on its way back to its owner.
    struct Unbonding {
        /// Epoch in which it left the validator.
        uint64 begun;
        /// First epoch in which it can be withdrawn.
        uint64 releasedAt;
        /// What it is worth now, in wei: slashing lowers it.
        uint128 amount;
    }

    /// @notice A validator was registered.
    event ValidatorCreated(address indexed operator, bytes32 publicKey, uint128 stake, uint16 commissionBps);
    /// @notice Stake was bonded to a validator.
    event Delegated(address indexed operator, address indexed delegator, uint128 amount, uint128 shares);
    /// @notice Stake left a validator and waits for its release.
    event Undelegated(address indexed operator, address indexed delegator, uint128 amount, uint64 releasedAt);
    /// @notice Stake went back to its owner.
    event Withdrawn(address indexed operator, address indexed delegator, uint128 amount);
    /// @notice Rewards were paid to a delegator.
    event RewardsClaimed(address indexed operator, address indexed delegator, uint128 amount);
    /// @notice A validator earned this much in an epoch; the commission is part of it.
    event Rewarded(address indexed operator, uint128 amount, uint128 commission);
    /// @notice A validator takes another commission from now on.
    event CommissionChanged(address indexed operator, uint16 commissionBps);
    /// @notice A validator stands for election, or does no longer.
    event ListingChanged(address indexed operator, bool listed);
    /// @notice A validator is in jail; "absent" or "double_proposal".
    event Jailed(address indexed operator, uint64 until, string reason);
    /// @notice A validator left the jail.
    event Unjailed(address indexed operator);
    /// @notice A validator lost stake for contradicting itself in an epoch, and never serves again.
    event Slashed(address indexed operator, uint64 indexed epoch, uint128 bonded, uint128 unbonding, uint128 reward);
    /// @notice The configuration of an epoch is fixed.
    event EpochFixed(uint64 indexed epoch, bytes32 digest, uint64 validators, uint64 totalPower);

    /// @notice Registers the caller's validator; the value sent is its own bond, at least min_validator_stake. It stands
    /// for election at once, if there is room (see enlist).
    /// @param publicKey ed25519 key of the validator; a key serves one validator, for ever.
    /// @param proof 64 bytes: the key's signature that the caller may register it on this chain.
    /// @param commissionBps At most max_commission_bps.
    function createValidator(bytes32 publicKey, bytes calldata proof, uint16 commissionBps) external payable;

    /// @notice Bonds the value sent to a validator; an operator adds to its own bond in this way. Pays the caller's rewards.
    function delegate(address operator) external payable returns (uint128 shares);

    /// @notice Takes stake away from a validator: it is released unbonding_epochs later, or still later if the validator
    /// keeps power for it. Until then it is slashed like bonded stake. Pays the caller's rewards.
    /// @return amount What the shares are worth now.
    function undelegate(address operator, uint128 shares) external returns (uint128 amount);

    /// @notice Pays out all of the caller's stake that left the validator and is released.
    function withdraw(address operator) external returns (uint128 amount);

    /// @notice Pays the caller's rewards at a validator.
    function claim(address operator) external returns (uint128 amount);

    /// @notice Sets the commission of the caller's validator: once per epoch, by at most max_commission_change_bps.
    function setCommission(uint16 commissionBps) external;

    /// @notice Withdraws the caller's validator from election. Its stake stays bonded; undelegate releases it.
    function retire() external;

    /// @notice Lets the caller's validator stand for election.
    /// @param instead A candidate with less stake whose place it takes; zero while there is room.
    function enlist(address instead) external;

    /// @notice Releases the caller's validator from jail, from epoch jailedUntil on.
    function unjail() external;

    /// @notice Shows that a validator contradicted itself: two statements under its key, each with its signature. Counted
    /// once for each validator and epoch, in the epoch of the offence or the two that follow.
    /// @param evidence Canonical encoding of the two signed statements.
    /// @return reward Paid to the caller.
    function submitEvidence(bytes calldata evidence) external returns (uint128 reward);

    /// @notice The present epoch, and the heights of its first and last block.
    function epoch() external view returns (uint64 number, uint64 first, uint64 last);

    /// @notice How many members the set of the present epoch has.
    function count() external view returns (uint64);

    /// @notice Sum of their voting power.
    function totalPower() external view returns (uint64);

    /// @notice The member at an index; refused with unknown_validator if there is none.
    function validator(uint64 index) external view returns (Validator memory);

    /// @notice Members in order of their indices.
    /// @param start Index of the first.
    /// @param limit Most members returned; at most 100.
    function validators(uint64 start, uint64 limit) external view returns (Validator[] memory);

    /// @notice A registered validator; refused with unknown_validator if the account has none.
    function candidate(address operator) external view returns (Candidate memory);

    /// @notice How many validators were ever registered.
    function candidateCount() external view returns (uint64);

    /// @notice Registered validators in order of registration.
    /// @param start Position of the first.
    /// @param limit Most entries returned; at most 100.
    function candidates(uint64 start, uint64 limit) external view returns (Candidate[] memory);

    /// @notice What a delegator has at a validator: shares, what they are worth, rewards to claim.
    function delegation(address operator, address delegator)
        external
        view
        returns (uint128 shares, uint128 amount, uint128 rewards);

    /// @notice A delegator's stake that left a validator and was not withdrawn.
    function unbondings(address operator, address delegator) external view returns (Unbonding[] memory);
}
