//! The owner's side of a task: from a job file to the opened result.
//!
//! The seven steps, none skipped: pick a provider and read its key from the chain, seal the payload to it, store the
//! ciphertext, send the task transaction, have it confirmed, wait for the provider's result, settle and open it.

mod answers;
mod end;
mod file;
mod follow;
mod notes;
mod outcome;
mod queue;
mod reassign;
mod submit;
#[cfg(test)]
mod tests;
mod work;

pub use answers::{Accuracy, Answers, Described, OutputKind};
pub use end::describe_end;
pub use file::{Job, JobError, check_text};
pub use follow::{declined_because, watch};
pub use notes::read_notes;
pub use outcome::{Output, Report, fault, open_payload, open_result, report, save};
pub use queue::Queue;
pub use reassign::reassign;
pub use submit::{Choice, Offer, Refusal, Step, pick, submit};
