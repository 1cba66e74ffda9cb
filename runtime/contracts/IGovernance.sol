// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Votes on parameters and upgrades
/// @notice Native module at 0x4E00000000000000000000000000000000000007. Operators of the validators of the present epoch
/// propose and vote; a proposal with two thirds of the voting power at the end of an epoch is accepted, and takes effect
/// with the first epoch that is not fixed yet: the second one after.
/// @dev A refused call reverts with Error(string) holding "code: sentence".
interface IGovernance {
    /// @notice What became of a proposal.
    enum Status {
        /// Can be voted on.
        Open,
        /// Accepted.
        Passed,
        /// Ran out of time.
        Expired,
        /// Accepted, but at odds with a change that was accepted before: without effect.
        Failed,
        /// An upgrade, or a cancellation, that was not accepted in time for the epoch that it names.
        Lapsed
    }

    /// @notice A value for a parameter.
    struct Change {
        /// As in the genesis file, such as "slash_bps" or "fee_split.model_bps".
        string name;
        uint128 value;
    }

    /// @notice A proposal: changes of parameters, an upgrade, or the cancellation of one.
    struct Proposal {
        uint64 id;
        address proposer;
        /// What for, in at most 128 bytes.
        string title;
        Change[] changes;
        /// Version of the protocol; 0 if this is about parameters.
        uint16 version;
        /// First epoch of that version.
        uint64 versionEpoch;
        uint64 createdAt;
        /// Last epoch at whose end it can be accepted.
        uint64 expiresAt;
        Status status;
        /// Whether it asks that this upgrade, which is scheduled, does not take place.
        bool cancels;
    }

    /// @notice A proposal can be voted on.
    event Proposed(uint64 indexed id, address indexed proposer, string title);
    /// @notice An operator voted; a later vote replaces it.
    event Voted(uint64 indexed id, address indexed voter, bool approve, uint64 power);
    /// @notice A proposal ended.
    event Ended(uint64 indexed id, Status status, uint64 approving, uint64 totalPower);
    /// @notice From this epoch on all nodes must speak this version of the protocol.
    event UpgradeScheduled(uint16 version, uint64 epoch);
    /// @notice The upgrade that was scheduled does not take place.
    event UpgradeCancelled(uint16 version, uint64 epoch);

    /// @notice Proposes values for 1 to 8 parameters, which must be within their bounds together. One open proposal for
    /// each operator.
    function proposeParams(Change[] calldata changes, string calldata title) external returns (uint64 id);

    /// @notice Proposes a higher version of the protocol from an epoch on, which must begin at least two epochs after the
    /// one at whose end it is accepted; what is not accepted by then lapses. One upgrade is scheduled at a time: while one
    /// waits for its epoch, another is accepted for the same epoch only, and replaces it; for a different epoch it fails.
    function proposeUpgrade(uint16 version, uint64 epoch, string calldata title) external returns (uint64 id);

    /// @notice Proposes that the upgrade that is scheduled does not take place. Lapses when its epoch is fixed.
    function proposeCancellation(string calldata title) external returns (uint64 id);

    /// @notice Votes for a proposal, or takes the vote back.
    function vote(uint64 id, bool approve) external;

    /// @notice How many proposals were made; the first has id 1.
    function count() external view returns (uint64);

    /// @notice A proposal; refused with unknown_proposal if there is none.
    function proposal(uint64 id) external view returns (Proposal memory);

    /// @notice Proposals in order of their ids.
    /// @param start Id of the first.
    /// @param limit Most entries returned; at most 100.
    function proposals(uint64 start, uint64 limit) external view returns (Proposal[] memory);

    /// @notice Voting power that approves, of the total of the present epoch.
    function support(uint64 id) external view returns (uint64 approving, uint64 totalPower);

    /// @notice Value of a parameter in the present epoch; refused with invalid_proposal if no vote can change it.
    function parameter(string calldata name) external view returns (uint128);

    /// @notice The upgrade whose epoch has not begun yet; zeros if there is none.
    function scheduledUpgrade() external view returns (uint16 version, uint64 epoch);
}
