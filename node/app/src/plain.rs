//! Keep what strangers wrote from steering a terminal.
//!
//! Outputs of jobs, reasons of providers and names in models reach the screen. A terminal obeys control characters, and
//! turns text around at some that have no form of their own: such characters are shown as U+FFFD, and written as escapes
//! where the text is JSON, which loses nothing.

use std::fmt::Write;

/// A text of which every line is shown as it is: what would steer the terminal is replaced.
pub fn text(stranger: &str) -> String {
    stranger.chars().map(|c| if steers(c) && c != '\n' { SHOWN } else { c }).collect()
}

/// The same in one line, so that a stranger's text cannot pass for lines of ours.
pub fn line(stranger: &str) -> String {
    let one = |c: char| if matches!(c, '\n' | '\t') { ' ' } else { c };
    text(stranger).chars().map(one).collect()
}

/// JSON as a terminal may have it: what would steer it stands as an escape, which readers take for the same.
pub fn json(encoded: &str) -> String {
    let mut shown = String::with_capacity(encoded.len());
    for c in encoded.chars() {
        if !steers(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// What stands for a character that is not shown.
const SHOWN: char = '\u{fffd}';

/// Whether a terminal acts on a character, or shows others elsewhere or not at all because of it: controls, separators
/// of lines, marks of direction and joining, tags.
fn steers(c: char) -> bool {
    c != '\t'
        && (c.is_control()
            || matches!(c,
                '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_not_shown() {
        for hidden in ["\u{1b}[2J", "\u{202e}", "\u{9b}31m", "\r", "\u{2066}", "\u{200b}", "\u{7}"]
        {
            let shown = text(&format!("paid {hidden}"));
            assert!(shown.starts_with("paid \u{fffd}"), "{shown:?}");
            assert!(!shown.contains(hidden), "{shown:?}");
        }
        assert_eq!(text("Grüße, 世界\n\tein 🦀"), "Grüße, 世界\n\tein 🦀");
        assert_eq!(line("failed\nsettlement   paid"), "failed settlement   paid");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "text": "a\u{202e}b\u{7f}\u{e0041}\n\u{1b}ü\"\\" });
        let shown = json(&value.to_string());
        assert!(!shown.chars().any(steers), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
