// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Compute tasks and their escrow
/// @notice Native module at 0x4e00000000000000000000000000000000000003. The value sent with create is held until the
/// task ends. Every state that is not terminal has a deadline, at which the chain itself settles or refunds the task.
/// @dev A refused call reverts with Error(string) holding "code: sentence". Amounts are in wei, times in blocks.
interface ITasks {
    /// @notice Where a task stands.
    enum State {
        /// Waits for bids (not in use yet).
        Open,
        /// Offered to its provider; the owner may cancel or reassign it. At the deadline: Refunded, NotAccepted.
        Assigned,
        /// Accepted. At the deadline: Refunded, NotSubmitted. Once the provider is silent for too long, the owner may
        /// reassign it.
        Running,
        /// A result is in. At the deadline: Settled, AcceptedByTimeout.
        Submitted,
        /// The result is contested. At the deadline: Refunded, ResultWithdrawn.
        Verifying,
        /// Paid.
        Settled,
        /// Escrow returned.
        Refunded,
        /// Taken back by the owner before acceptance.
        Cancelled,
        /// Proven wrong (not in use yet).
        Slashed
    }

    /// @notice How a result is verified before it is paid. Only None is accepted so far.
    enum Policy { None, Sampled, Replicated, Bisected }

    /// @notice Who may read the result.
    enum Privacy { Sealed, Public }

    /// @notice Why a task ended.
    enum Reason {
        /// It has not ended.
        Pending,
        /// The owner approved the result.
        Approved,
        /// The owner let the approval window pass.
        AcceptedByTimeout,
        /// The owner took it back before acceptance.
        CancelledByOwner,
        /// The provider declined it.
        Declined,
        /// The provider did not answer in time.
        NotAccepted,
        /// The provider accepted and submitted nothing in time.
        NotSubmitted,
        /// The owner contested the result and the provider did not replace it in time.
        ResultWithdrawn,
        /// The owner contested the replacement too: both challenge bonds went to the provider.
        ResultContested
    }

    /// @notice Whose fault the end is.
    enum Party { None, Owner, Provider }

    /// @notice An object in an off-chain store.
    struct BlobRef {
        /// Canonical locator, such as "neura:<blake3>"; 3 to 200 bytes.
        string locator;
        /// BLAKE3 of the stored bytes.
        bytes32 hash;
        /// Their number.
        uint64 size;
    }

    /// @notice What the job needs; zero or empty means no demand.
    struct Requirement {
        /// Text that the GPU's name must contain, in any case.
        string gpuModel;
        uint32 gpuMemoryMib;
        uint32 cpuCores;
        uint32 ramMib;
        uint32 diskMib;
    }

    /// @notice What the owner asks and offers.
    struct Terms {
        /// The payload, sealed to the provider's encryption key.
        BlobRef payload;
        /// Random value that the payload's envelope is bound to.
        bytes32 envelopeNonce;
        address provider;
        /// Number of the provider's encryption key that the payload is sealed to.
        uint32 keyEpoch;
        /// X25519 key that the result is to be sealed to.
        bytes32 resultKey;
        Requirement requirement;
        /// Executor, such as "int8".
        string executor;
        /// Most blocks from acceptance to submission.
        uint64 durationBlocks;
        Policy verification;
        Privacy privacy;
    }

    /// @notice A submitted result; height is 0 while there is none.
    struct TaskResult {
        BlobRef blob;
        bytes32 commitment;
        uint64 height;
    }

    /// @notice State of unfinished work, sealed to owner and provider; all zero while there is none.
    struct Checkpoint {
        /// How far the work was, in steps of the executor's; rises from one checkpoint to the next.
        uint64 step;
        /// Height of the block that notes it.
        uint64 height;
        BlobRef blob;
    }

    /// @notice Where the escrow went; the parts sum up to the escrow.
    struct Settlement {
        /// To the provider's payout account, with the rounding remainder.
        uint128 provider;
        /// To the owners of the model used.
        uint128 model;
        /// To the validators, through the rewards pool.
        uint128 validators;
        uint128 treasury;
        /// Back to the owner.
        uint128 refund;
    }

    /// @notice How a task ended; reason is Pending and height is 0 while it has not.
    struct Outcome {
        Reason reason;
        Party atFault;
        Settlement settlement;
        uint64 height;
    }

    /// @notice A task.
    struct Task {
        uint64 id;
        address owner;
        Terms terms;
        /// Provider's price per block when the task was offered to it.
        uint128 pricePerBlock;
        /// Held by the module until the end, whoever does the work.
        uint128 escrow;
        /// Challenge bonds held.
        uint128 challengeBond;
        /// How often the owner has contested a result.
        uint8 challenges;
        State state;
        uint64 createdAt;
        /// 0 until accepted.
        uint64 acceptedAt;
        /// Height of the first submission, 0 until then: the fee counts the blocks up to here.
        uint64 submittedAt;
        /// Height at which the chain moves the task on; 0 when it has ended.
        uint64 deadline;
        TaskResult result;
        Outcome outcome;
        /// Height of the provider's last sign of life: the offer, then acceptance, heartbeats and checkpoints.
        uint64 seenAt;
        Checkpoint checkpoint;
    }

    /// @notice A task was offered to its provider; escrow locked.
    event TaskCreated(uint64 indexed taskId, address indexed owner, address indexed provider, uint128 escrow, uint64 deadline);
    /// @notice The provider works on it.
    event TaskAccepted(uint64 indexed taskId, address indexed owner, address indexed provider, uint64 deadline);
    /// @notice The provider will not do it; TaskEnded follows.
    event TaskDeclined(uint64 indexed taskId, address indexed owner, address indexed provider, string reason);
    /// @notice The provider has stored the state of its work.
    event CheckpointNoted(uint64 indexed taskId, address indexed owner, address indexed provider, uint64 step, BlobRef blob);
    /// @notice The owner gave the task to another provider. It stands as after creation; of the former provider, atFault
    /// tells whether its record counts a failure. step is that of the checkpoint handed on, 0 for none.
    event Reassigned(uint64 indexed taskId, address indexed from, address indexed to, address owner, Party atFault, uint64 step, uint64 deadline);
    /// @notice A result, or the replacement of a contested one, is in.
    event ResultSubmitted(uint64 indexed taskId, address indexed owner, address indexed provider, BlobRef blob, bytes32 commitment, uint64 deadline);
    /// @notice The owner contests the result.
    event ResultChallenged(uint64 indexed taskId, address indexed owner, address indexed provider, uint128 bond, string reason, uint64 deadline);
    /// @notice The task has ended, and where its escrow went.
    event TaskEnded(uint64 indexed taskId, address indexed owner, address indexed provider, State state, Reason reason, Party atFault, Settlement settlement);

    /// @notice Offers a task to a provider; the value sent is the escrow: at least pricePerBlock × durationBlocks.
    /// @return taskId Its number, from 1.
    function create(Terms calldata terms) external payable returns (uint64 taskId);

    /// @notice By the provider: takes the task. The duration runs from here.
    function accept(uint64 taskId) external;

    /// @notice By the provider, before acceptance: will not do it. The escrow returns; nobody is at fault.
    /// @param reason At most 256 bytes.
    function decline(uint64 taskId, string calldata reason) external;

    /// @notice By the provider, while it works: it is alive. The owner may reassign a running task only after
    /// silence_blocks (see IGovernance) without heartbeat or checkpoint.
    function heartbeat(uint64 taskId) external;

    /// @notice By the provider, while it works: it has stored the state of its work, sealed to the owner and to itself,
    /// from which the job can go on. Replaces the checkpoint before, and counts as a heartbeat.
    /// @param step How far the work is; higher than that of the checkpoint before.
    function checkpoint(uint64 taskId, uint64 step, BlobRef calldata blob) external;

    /// @notice By the owner: gives a task to another provider on the same escrow, before acceptance (nobody is at fault, as
    /// with cancel), or while it runs once its provider was silent for more than silence_blocks (the provider is at
    /// fault). The former provider is paid nothing: a checkpoint proves no work. The task stands as after creation, with
    /// the new provider's price, of which the escrow must hold enough for the whole duration; windows begin anew.
    /// @param keyEpoch Number of the new provider's encryption key that payload and checkpoint are sealed to.
    /// @param payload The payload, sealed anew, bound to the same envelopeNonce.
    /// @param resumeFrom The last checkpoint, sealed anew; its step is kept. All zero to begin from the start.
    function reassign(uint64 taskId, address provider, uint32 keyEpoch, BlobRef calldata payload, BlobRef calldata resumeFrom) external;

    /// @notice By the provider: the result, or the replacement of a contested one.
    /// @param commitment Domain-separated BLAKE3 of the plain result, bound to chain, task and provider.
    function submit(uint64 taskId, BlobRef calldata blob, bytes32 commitment) external;

    /// @notice By the owner: pays the result.
    function approve(uint64 taskId) external;

    /// @notice By the owner: contests the result; the value sent must be challengeBond(taskId). The first time, the
    /// provider may replace the result (the bond returns when the task ends, unless the owner contests again). The
    /// second time the task ends: the escrow returns to the owner and both bonds are paid to the provider, so that
    /// a veto has its price.
    /// @param reason At most 256 bytes.
    function challenge(uint64 taskId, string calldata reason) external payable;

    /// @notice By the owner, before acceptance: takes the task back.
    function cancel(uint64 taskId) external;

    /// @notice What contesting the result of a task costs.
    function challengeBond(uint64 taskId) external view returns (uint128);

    /// @notice Least escrow of a task with a provider at its current price.
    function quote(address provider, uint64 durationBlocks) external view returns (uint128);

    /// @notice A task; refused with unknown_task if there is none.
    function task(uint64 taskId) external view returns (Task memory);

    /// @notice The last checkpoint of a task; all zero if there is none.
    function checkpointOf(uint64 taskId) external view returns (Checkpoint memory);

    /// @notice How many tasks were created; they are numbered from 1.
    function count() external view returns (uint64);

    /// @notice Tasks, newest first.
    /// @param before Only tasks with a lower number; 0 for the newest.
    /// @param limit Most tasks returned; at most 100.
    function list(uint64 before, uint64 limit) external view returns (Task[] memory);

    /// @notice Tasks of an owner, newest first; parameters as in list.
    function tasksOfOwner(address owner, uint64 before, uint64 limit) external view returns (Task[] memory);

    /// @notice Tasks that a provider has, and those that it had when they ended, newest first; parameters as in list.
    function tasksOfProvider(address provider, uint64 before, uint64 limit) external view returns (Task[] memory);
}
