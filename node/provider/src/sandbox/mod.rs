//! Confine a worker: bubblewrap around it, and a filter of system calls inside of it.
//!
//! Inside of bubblewrap a worker has the system's libraries and the GPU's devices, read-only, a small folder in memory,
//! and nothing else: no network, no other process, no file of its owner. The filter then refuses it new processes,
//! programs and network sockets. With one process per job, limits per process (memory, file sizes) are limits per job.

mod bubblewrap;
mod syscalls;

pub use bubblewrap::Sandbox;
pub use syscalls::forbid_system_calls;
