//! The agent as a whole, against a node that is a mock and a worker that is real.

mod checkpoints;
mod crashes;
mod joining;
mod mock;
mod serving;
mod workers;
