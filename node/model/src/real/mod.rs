//! Real replicas of the core, with keys, certificates and disks at the test's command.

mod node;
mod realm;

pub use node::{Disk, Node};
pub use realm::{KEYS, Realm};
