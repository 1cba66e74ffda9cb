//! Tests of the tasks module: refusals, stories, deadlines, progress, views, indices, records, and random play.

mod acts;
mod deadlines;
mod index;
mod play;
mod progress;
mod records;
mod refusals;
mod stories;
mod views;
