//! Name the modules' refusals: stable codes, the same in REST, JSON-RPC and the command line.

/// The offence, or a graver one of the same epoch, was punished before.
pub const ALREADY_PUNISHED: &str = "already_punished";
/// The account registered before.
pub const ALREADY_REGISTERED: &str = "already_registered";
/// The bond or stake cannot be withdrawn now.
pub const BOND_LOCKED: &str = "bond_locked";
/// The value sent is less than the least bond.
pub const BOND_TOO_SMALL: &str = "bond_too_small";
/// The call's input is longer than any call's.
pub const CALL_TOO_LARGE: &str = "call_too_large";
/// The task's deadline is over.
pub const DEADLINE_PASSED: &str = "deadline_passed";
/// The duration is zero or longer than the chain allows.
pub const DURATION_OUT_OF_BOUNDS: &str = "duration_out_of_bounds";
/// The value sent is less than price × duration.
pub const ESCROW_BELOW_PRICE: &str = "escrow_below_price";
/// The evidence is of an epoch that is over for too long, or has not come.
pub const EVIDENCE_AGE: &str = "evidence_age";
/// The provider does not offer the executor asked for.
pub const EXECUTOR_NOT_OFFERED: &str = "executor_not_offered";
/// The caller is not the account of the identity key given.
pub const IDENTITY_MISMATCH: &str = "identity_mismatch";
/// The delegator has fewer shares at the validator.
pub const INSUFFICIENT_SHARES: &str = "insufficient_shares";
/// The commission, or its change, is larger than allowed, or too soon.
pub const INVALID_COMMISSION: &str = "invalid_commission";
/// The evidence does not convict anyone.
pub const INVALID_EVIDENCE: &str = "invalid_evidence";
/// A key that nobody can use, or that the caller has not shown to hold.
pub const INVALID_KEY: &str = "invalid_key";
/// The reference to an off-chain object is not of the form `store:id`.
pub const INVALID_LOCATOR: &str = "invalid_locator";
/// A field of a provider's offer is outside its bounds.
pub const INVALID_OFFER: &str = "invalid_offer";
/// The payout account is zero or a module.
pub const INVALID_PAYOUT: &str = "invalid_payout";
/// The proposal asks for what cannot be.
pub const INVALID_PROPOSAL: &str = "invalid_proposal";
/// More entries asked for than one page holds.
pub const LIMIT_OUT_OF_BOUNDS: &str = "limit_out_of_bounds";
/// All places of those who stand for election are taken by stronger ones.
pub const LIST_FULL: &str = "list_full";
/// The input is not the ABI encoding of the function's arguments.
pub const MALFORMED_CALL: &str = "malformed_call";
/// The validator does not stand for election.
pub const NOT_LISTED: &str = "not_listed";
/// The task has no checkpoint that could be handed on.
pub const NO_CHECKPOINT: &str = "no_checkpoint";
/// Only the task's owner may do this.
pub const NOT_OWNER: &str = "not_owner";
/// The function takes no coins.
pub const NOT_PAYABLE: &str = "not_payable";
/// Only the task's provider may do this.
pub const NOT_PROVIDER: &str = "not_provider";
/// The validator is not in jail, or not for long enough.
pub const NOT_RELEASABLE: &str = "not_releasable";
/// The caller operates no validator of the present epoch.
pub const NOT_VALIDATOR: &str = "not_validator";
/// The object is empty, or larger than any store takes.
pub const PAYLOAD_TOO_LARGE: &str = "payload_too_large";
/// The proposal can no longer be voted on.
pub const PROPOSAL_ENDED: &str = "proposal_ended";
/// The operator has an open proposal.
pub const PROPOSAL_OPEN: &str = "proposal_open";
/// The provider has given a sign of life not long ago.
pub const PROVIDER_ALIVE: &str = "provider_alive";
/// The provider has as many tasks as it takes at a time.
pub const PROVIDER_AT_CAPACITY: &str = "provider_at_capacity";
/// The provider drains, or has left, or is active already.
pub const PROVIDER_NOT_ACTIVE: &str = "provider_not_active";
/// The provider's machine does not meet the requirement.
pub const REQUIREMENT_NOT_MET: &str = "requirement_not_met";
/// The provider has the task already.
pub const SAME_PROVIDER: &str = "same_provider";
/// The stake is below the least, or not worth a share.
pub const STAKE_TOO_SMALL: &str = "stake_too_small";
/// The checkpoint is of no later step than the one before.
pub const STEP_NOT_RISING: &str = "step_not_rising";
/// The provider still has tasks.
pub const TASKS_ACTIVE: &str = "tasks_active";
/// A text is longer than its field, or empty where it must not be.
pub const TEXT_TOO_LONG: &str = "text_too_long";
/// The validator contradicted itself and never serves again.
pub const TOMBSTONED: &str = "tombstoned";
/// Too many entries of stake wait to be released.
pub const TOO_MANY_UNBONDINGS: &str = "too_many_unbondings";
/// The module has no function of this selector.
pub const UNKNOWN_FUNCTION: &str = "unknown_function";
/// No proposal has this number.
pub const UNKNOWN_PROPOSAL: &str = "unknown_proposal";
/// No provider is registered at this address.
pub const UNKNOWN_PROVIDER: &str = "unknown_provider";
/// No requester is registered at this address.
pub const UNKNOWN_REQUESTER: &str = "unknown_requester";
/// No task has this number.
pub const UNKNOWN_TASK: &str = "unknown_task";
/// No validator has this index or operator.
pub const UNKNOWN_VALIDATOR: &str = "unknown_validator";
/// The verification policy is not in force yet.
pub const UNSUPPORTED_POLICY: &str = "unsupported_policy";
/// The value sent is not the challenge bond.
pub const WRONG_CHALLENGE_BOND: &str = "wrong_challenge_bond";
/// The payload is sealed to a key that the provider has replaced.
pub const WRONG_KEY_EPOCH: &str = "wrong_key_epoch";
/// The task is in a state in which this cannot be done.
pub const WRONG_STATE: &str = "wrong_state";
