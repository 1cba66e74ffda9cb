//! What the user sees while and after a command runs.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

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
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| print(text.as_ref())),
            None => print(text.as_ref()),
        }
    }

    /// Shows what is being waited for; a line of its own where there is no terminal.
    pub fn waiting(&mut self, text: &str) {
        if self.json || !std::io::stderr().is_terminal() {
            return;
        }
        let spinner = self.spinner.get_or_insert_with(|| {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        spinner.set_message(text.to_owned());
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
            print(&serde_json::to_string(value)?);
        }
        Ok(self.json)
    }
}

/// Prints a line. A reader that has gone, as `head` does when it has seen enough, is no failure: what was asked for is
/// done all the same.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
