//! Show what a provider says while it works.

use neura_types::note::Remark;
use serde::Serialize;

use super::Screen;
use crate::plain;

/// Parts of the whole at which a line is printed where there is no bar.
const LINES: u64 = 10;

/// A remark as `watch --json` prints it.
#[derive(Serialize)]
#[serde(tag = "said", rename_all = "snake_case")]
enum Line<'a> {
    Progress { done: u64, total: u64, note: &'a str },
    Log { text: &'a str },
}

/// Shows progress as a bar, or now and then a line, and the log as lines.
#[derive(Debug)]
pub(super) struct NoteView<'a> {
    screen: &'a Screen,
    /// Whether `--json` prints each remark: the command's output is then a list of lines, the result the last.
    as_json: bool,
    /// Tenths of the whole that were shown.
    shown: u64,
}

impl<'a> NoteView<'a> {
    pub(super) fn new(screen: &'a Screen, as_json: bool) -> Self {
        Self { screen, as_json, shown: 0 }
    }

    pub(super) fn show(&mut self, remark: &Remark) {
        if self.screen.is_json() {
            if self.as_json {
                self.screen.json_line(&match remark {
                    Remark::Progress { done, total, note } => {
                        Line::Progress { done: *done, total: *total, note }
                    }
                    Remark::Log(text) => Line::Log { text },
                });
            }
            return;
        }
        match remark {
            Remark::Log(text) => self.screen.line(format!("  log        {}", plain::line(text))),
            Remark::Progress { done, total, note } => self.advance(*done, *total, note),
        }
    }

    fn advance(&mut self, done: u64, total: u64, note: &str) {
        if self.screen.advance(done, total, note) {
            return;
        }
        let tenths = done.saturating_mul(LINES) / total.max(1);
        if tenths != self.shown {
            self.shown = tenths;
            self.screen.line(format!("  progress   {done} of {total}, {}", plain::line(note)));
        }
    }
}
