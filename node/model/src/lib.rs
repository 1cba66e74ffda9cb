//! Check the ordering protocol: its rules as a model, its code against the model, and the checks against bugs.
//!
//! # Design
//! [`machine`] states the rules without messages and visits every state within a bound; [`accountability`] builds
//! every pair of chains that exclude each other and judges who signed them. [`conform`] drives real replicas along
//! walks of the machine and compares both after each step; [`replay`] does so with the machine's counterexamples.
//! [`hunt`] runs real replicas through random schedules with a Byzantine validator and watches them. [`zoo`] breaks
//! one rule at a time and says which of these notices, and how soon.
//!
//! # Invariants
//! - The checks do not call the predicates that they check; only who leads and who is passed over is taken from the
//!   core, which tests that itself.
//! - A seed decides everything.
//! - The replicas here are those of `neura-consensus`, compiled a second time with switches: nothing else differs.

pub mod accountability;
pub mod conform;
pub mod hunt;
pub mod machine;
pub mod real;
pub mod replay;
pub mod rng;
pub mod zoo;
