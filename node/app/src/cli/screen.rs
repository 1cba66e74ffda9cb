//! What the user sees while and after a command runs.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::plain;

/// What is shown while something is waited for.
const WAITING: &str = "{spinner} {msg} ({elapsed})";
/// The same where it is known how far it is.
const ADVANCING: &str = "{spinner} {bar:30} {pos}/{len} {msg} ({elapsed})";

/// Lines of text, a spinner while waiting; or, with `--json`, only the result.
#[derive(Debug)]
pub struct Screen {
    json: bool,
    spinner: Option<ProgressBar>,
}

impl Screen {
    /// A screen for a command.
    pub fn new(json: bool) -> Self {
        Self { json, spinner: None }
    }

    /// Whether only the result is wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line of progress.
    pub fn line(&self, text: impl AsRef<str>) {
        if self.json {
            return;
        }
        let text = plain::text(text.as_ref());
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| print(&text)),
            None => print(&text),
        }
    }

    /// Shows what is being waited for; a line of its own where there is no terminal.
    pub fn waiting(&mut self, text: &str) {
        if self.json || !std::io::stderr().is_terminal() {
            return;
        }
        let spinner = self.spinner.get_or_insert_with(|| {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template(WAITING) {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        if spinner.length().is_some()
            && let Ok(style) = ProgressStyle::with_template(WAITING)
        {
            spinner.set_style(style);
            spinner.unset_length();
        }
        spinner.set_message(plain::line(text));
    }

    /// Shows how far what is being waited for is; says whether there is a place for that.
    pub fn advance(&self, done: u64, total: u64, note: &str) -> bool {
        let Some(spinner) = &self.spinner else { return false };
        if spinner.length() != Some(total)
            && let Ok(style) = ProgressStyle::with_template(ADVANCING)
        {
            spinner.set_style(style);
            spinner.set_length(total);
        }
        spinner.set_position(done);
        spinner.set_message(plain::line(note));
        true
    }

    /// Prints a value as a line of JSON, before the result.
    pub fn json_line<T: Serialize>(&self, value: &T) {
        if let Ok(text) = serde_json::to_string(value) {
            print(&plain::json(&text));
        }
    }

    /// A bar for work of known size; hidden where there is no terminal.
    pub fn progress(&mut self, total: u64, unit: &str) -> ProgressBar {
        self.done();
        if self.json {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        let template = format!("{{bar:40}} {{pos}}/{{len}} {unit} ({{eta}} left)");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar
    }

    /// Ends the waiting.
    pub fn done(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    /// Prints the result as JSON, if that is wanted; says whether it was.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn result<T: Serialize>(&mut self, value: &T) -> Result<bool> {
        self.done();
        if self.json {
            print(&plain::json(&serde_json::to_string(value)?));
        }
        Ok(self.json)
    }
}

/// Prints a line. A reader that has gone, as `head` does when it has seen enough, is no failure: what was asked for is
/// done all the same.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
