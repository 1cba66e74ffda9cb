//! Serve compute tasks with this machine, for money, across crashes.
//!
//! # Design
//! [`Agent`] joins the registry and serves: it watches the chain, and takes each task that it is offered through
//! fixed steps: judge the terms, fetch, open and check the payload, accept, execute in a worker process, seal and
//! store the result, submit. What is done next follows from the chain's state and a small journal on disk, and from
//! nothing else, so that an agent that was killed goes on where it was. [`worker`] is the process that runs a job.
//! [`Operator`] carries out orders such as drain and leave. [`inspect`] says what the machine has. [`Progress`] tells
//! an [`Observer`] what happens.
//!
//! # Invariants
//! - A transaction is on disk before it is sent; after a restart the same bytes are sent, and take effect once only.
//! - Everything that can be found wrong with a task is found before it is accepted, and it is declined with a reason.
//! - A job that is cut off goes on from its last checkpoint, or from the beginning: the result is the same bits.
//! - No key enters a worker; a worker does not outlive its agent or its time.
//! - Nothing that a stranger names is called: payloads come from the operator's own nodes, by their hash.
//! - Key files are readable by their owner alone, or not used.
//!
//! # Example
//! ```no_run
//! use neura_provider::{Agent, AgentConfig, Device, WorkerCommand, quiet};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let worker = WorkerCommand {
//!     program: std::env::current_exe()?,
//!     args: vec!["provider".into(), "worker".into()],
//! };
//! let mut config = AgentConfig::new(vec!["http://127.0.0.1:8545".into()], "provider".into(), worker);
//! config.device = Device::Best;
//! let mut agent = Agent::start(config, quiet()).await?;
//! agent.stopped().await?;
//! # Ok(())
//! # }
//! ```

mod agent;
mod benchmark;
mod checkpoint;
mod config;
mod containers;
mod doctor;
mod error;
mod executor;
mod job;
mod join;
mod journal;
mod keys;
mod lock;
mod machine;
mod operator;
mod plan;
mod progress;
pub mod sandbox;
pub mod worker;

pub use agent::Agent;
pub use benchmark::{
    BenchmarkReport, ChainCheck, ChainPlan, ChainReport, benchmark, last_benchmark,
};
pub use config::{
    AgentConfig, DEFAULT_ATTEMPTS, DEFAULT_CAPACITY, DEFAULT_CHECKPOINT_EVERY, DEFAULT_JOB_TIMEOUT,
    DEFAULT_PRICE_PER_BLOCK, DEFAULT_WORKER_MEMORY, JobLimits, OfferConfig, Timing, WorkerCommand,
};
pub use containers::Images;
pub use doctor::{ExecutorReport, Means};
pub use error::ProviderError;
pub use executor::{check_kernel, check_model, check_program};
pub use job::envelope_context;
pub use journal::JournalError;
pub use keys::{ENCRYPTION_FILE, IDENTITY_FILE, KeyFileError, Keys};
pub use machine::{Device, MachineReport, inspect};
pub use operator::{Operator, StatusReport};
pub use progress::{Observer, Progress, quiet};
