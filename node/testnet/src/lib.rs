//! Run real nodes as processes, do to them what the world does, and check from outside what must hold.
//!
//! # Design
//! A [`Network`] lays out keys, genesis and configuration with the commands of the `neura` binary, and starts one process
//! per node. [`Payments`] is its traffic: signed transfers, with a ledger of what the nodes acknowledged as final.
//! A [`StakeChange`] is what an operator does with a validator. A [`Checker`] reads every node over REST and JSON-RPC and compares. The runs put these together: [`crash`] kills
//! nodes again and again, [`scenario`] perturbs generated networks, [`flood`] attacks one, [`recovery`] and [`wan`]
//! measure. Nodes are cut off from each other by network namespaces, or by a [`DelayProxy`] per link.
//!
//! # Invariants
//! - Only public doors: files that a user writes, commands, REST, JSON-RPC, metrics, logs. Nothing of a node is linked.
//! - What a run does is drawn from its seed; how the processes interleave is the machine's affair.
//! - Processes end with the runner, however it ends, and their folders are removed unless they are asked for.

pub mod binary;
mod check;
pub mod crash;
mod delay;
pub mod flood;
mod links;
pub mod netns;
mod network;
mod node;
mod perturb;
pub mod recovery;
mod rpc;
mod samples;
pub mod scenario;
mod stakes;
pub mod wan;
mod workload;

pub use check::{Checker, Violations};
pub use delay::DelayProxy;
pub use links::LinkKind;
pub use network::{Network, Plan, QUICK, Task};
pub use node::Node;
pub use perturb::Perturbation;
pub use rpc::{Mined, Rpc};
pub use samples::Spread;
pub use stakes::StakeChange;
pub use workload::{Acknowledged, Ledger, Payer, Payments, payers};

/// Where a run says how far it is; the command line prints it to standard error.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);
