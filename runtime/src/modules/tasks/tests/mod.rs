//! Tests of the tasks module: refusals, stories, deadlines, views, records, and random play.

mod deadlines;
mod play;
mod records;
mod refusals;
mod stories;
mod views;
