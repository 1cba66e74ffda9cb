//! The signing rules without messages: states are what honest keys have signed.

mod blocks;
mod explore;
mod rules;
mod state;

pub use blocks::{BlockIndex, Blocks, MAX_ROUNDS};
pub use explore::{Found, Until, explore, walk};
pub use rules::{Action, Bound, Certificates, Durable, Machine, Mutant, Step, Violation};
pub use state::{Life, MAX_LIVES, State};
