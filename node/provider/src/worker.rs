//! Run each job in a process of its own, which holds no key and can be ended.
//!
//! The agent starts the worker, writes one request to its standard input and keeps that open; the worker answers on
//! its standard output and ends. It ends as well when its input closes: then the agent is gone.
//!
//! ```text
//! request   one line of JSON: what to do, on which device, within what; for a job then its payload, plain, and the
//!           checkpoint that it goes on from, if there is one
//! answer    lines of JSON: which device was opened; how far the work is; what the owner may read; checkpoints, each
//!           followed by its bytes; then done with the result's size, and the result; or failed
//! ```
//!
//! The worker has an empty folder as its place, of the environment only what graphics drivers need, a process group
//! of its own, no core dumps, and a limit on the memory that it may write to (`RLIMIT_DATA`: drivers reserve far more
//! address space than they use, so that limiting that would break them). Time is limited by the agent, which kills the
//! group. It gives up the system calls that no job needs before it reads a byte of the request, and where the machine
//! offers bubblewrap it runs inside of it: see `sandbox`.

mod child;
mod error;
mod process;
mod protocol;

pub use child::main;
pub use error::WorkerError;
pub use process::check_once;
pub(crate) use process::{Job, Limits, Worker};
pub(crate) use protocol::Probed;
pub use protocol::{FailureKind, JobFailure};
