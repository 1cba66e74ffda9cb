//! The targets, by what they feed.

mod chain;
mod content;
mod core;
#[cfg(feature = "node")]
mod disk;
#[cfg(feature = "node")]
mod files;
#[cfg(feature = "node")]
mod floats;
mod text;
#[cfg(feature = "node")]
mod wire;

use crate::Target;

/// Every target of this build.
pub fn all() -> impl Iterator<Item = Target> {
    covered().chain(drilled())
}

/// Those that a coverage build has.
pub fn covered() -> impl Iterator<Item = Target> {
    [chain::TARGETS, core::TARGETS, content::TARGETS, text::TARGETS].into_iter().flatten().copied()
}

/// Those that only this build has, with the feature `node`.
pub fn drilled() -> impl Iterator<Item = Target> {
    #[cfg(feature = "node")]
    let targets = [disk::TARGETS, files::TARGETS, floats::TARGETS, wire::TARGETS];
    #[cfg(not(feature = "node"))]
    let targets: [&[Target]; 0] = [];
    targets.into_iter().flatten().copied()
}
