//! Run whole networks over loopback, with real sockets, disks and processes, and look at them as their users do.
//!
//! Validators run in this process where a test has to look into them, as processes of the binary where it kills them.
//! Ports are chosen by the system, data lies in temporary folders, and a wait ends by what it waits for: its limit only
//! says when a test has failed.

mod batches;
mod beacon;
mod checkpoints;
mod cli;
mod codes;
mod deadlines;
mod disk;
mod doors;
mod double;
mod ethereum;
mod harness;
mod job;
mod jobs;
mod model;
mod network;
mod provider;
mod reassign;
mod snapshots;
mod staking;
