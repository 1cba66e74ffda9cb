//! Compare responses as Ethereum's own harness does: exactly, but for the texts of errors; or by form alone.

use serde_json::Value;

/// Members that the specification added with time: an older suite does not expect them.
const LATER_MEMBERS: [&str; 1] = ["blockTimestamp"];
/// Characters of a value that a difference shows.
const SHOWN: usize = 160;

/// The first difference between the response that was expected and the one that came; none if there is none.
pub(super) fn difference(expected: &Value, got: &Value, form_only: bool) -> Option<String> {
    if let Some(wanted) = expected.get("error") {
        let Some(error) = got.get("error") else {
            return Some(format!(
                "an error was expected, {}, the answer is {}",
                show(wanted),
                show(got)
            ));
        };
        // Texts of errors are each client's own, and so is data where the suite names none.
        if form_only {
            return None;
        }
        let (code, data) = (&error["code"], wanted.get("data"));
        if wanted["code"] != *code {
            let (wanted, text) = (&wanted["code"], &error["message"]);
            return Some(format!("error.code: {wanted} was expected, not {code} ({text})"));
        }
        return data.and_then(|data| exact(data, &error["data"], &mut "error.data".into()));
    }
    if let Some(error) = got.get("error") {
        return Some(format!("a result was expected, the answer is the error {}", show(error)));
    }
    let Some(result) = got.get("result") else {
        return Some(format!("the answer has no result: {}", show(got)));
    };
    let wanted = &expected["result"];
    let mut path = String::from("result");
    if form_only { form(wanted, result, &mut path) } else { exact(wanted, result, &mut path) }
}

fn show(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        text
    } else {
        text.chars().take(SHOWN).collect::<String>() + "…"
    }
}

fn within(
    path: &mut String,
    step: &str,
    check: impl FnOnce(&mut String) -> Option<String>,
) -> Option<String> {
    let length = path.len();
    path.push_str(step);
    let found = check(path);
    path.truncate(length);
    found
}

fn exact(wanted: &Value, got: &Value, path: &mut String) -> Option<String> {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            let is_error = path.ends_with(".error");
            for (name, value) in wanted {
                // Texts of errors are each client's own, those of simulated calls too.
                if is_error && name == "message" && got.contains_key(name) {
                    continue;
                }
                let step = format!(".{name}");
                let found = within(path, &step, |path| match got.get(name) {
                    Some(other) => exact(value, other, path),
                    None => Some(format!("{path}: missing, {} was expected", show(value))),
                });
                if found.is_some() {
                    return found;
                }
            }
            let mut extra = got.iter().filter(|(name, _)| !wanted.contains_key(*name));
            let extra = extra.find(|(name, _)| !LATER_MEMBERS.contains(&name.as_str()));
            extra.map(|(name, value)| format!("{path}.{name}: not expected, is {}", show(value)))
        }
        (Value::Array(wanted), Value::Array(got)) => {
            if wanted.len() != got.len() {
                return Some(format!(
                    "{path}: {} items were expected, not {}",
                    wanted.len(),
                    got.len()
                ));
            }
            wanted.iter().zip(got).enumerate().find_map(|(index, (value, other))| {
                within(path, &format!("[{index}]"), |path| exact(value, other, path))
            })
        }
        _ if wanted == got => None,
        _ => Some(format!("{path}: {} was expected, not {}", show(wanted), show(got))),
    }
}

/// What a text is, by its look.
fn kind(text: &str) -> &'static str {
    let Some(digits) = text.strip_prefix("0x") else { return "text" };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "text";
    }
    match digits.len() {
        40 => "address",
        64 => "hash",
        512 => "bloom",
        _ => "hexadecimal",
    }
}

/// Whether two answers have the same members and kinds of values. Lists are compared by their first items: their
/// lengths are the chain's.
fn form(wanted: &Value, got: &Value, path: &mut String) -> Option<String> {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => wanted.iter().find_map(|(name, value)| {
            within(path, &format!(".{name}"), |path| match got.get(name) {
                Some(other) => form(value, other, path),
                None => Some(format!("{path}: missing")),
            })
        }),
        (Value::Array(wanted), Value::Array(got)) => match (wanted.first(), got.first()) {
            (Some(value), Some(other)) => within(path, "[0]", |path| form(value, other, path)),
            _ => None,
        },
        (Value::String(wanted), Value::String(got)) => {
            let (wanted, got) = (kind(wanted), kind(got));
            (wanted != got).then(|| format!("{path}: {wanted} was expected, not {got}"))
        }
        (Value::Null, _) | (_, Value::Null) => None,
        _ if std::mem::discriminant(wanted) == std::mem::discriminant(got) => None,
        _ => Some(format!("{path}: {} was expected, not {}", show(wanted), show(got))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_of_errors_may_differ_and_codes_may_not() {
        let wanted = json!({ "error": { "code": -32000, "message": "a" } });
        let other = json!({ "error": { "code": -32000, "message": "b", "data": 1 } });
        assert_eq!(difference(&wanted, &other, false), None);
        let wrong = json!({ "error": { "code": -32602, "message": "a" } });
        assert!(difference(&wanted, &wrong, false).unwrap().contains("-32602"));
        assert!(difference(&wanted, &json!({ "result": null }), false).is_some());
        assert!(difference(&json!({ "result": 1 }), &wanted, false).is_some());
    }

    #[test]
    fn what_a_revert_returned_counts_and_the_text_of_a_simulated_error_does_not() {
        let reverted = |data| json!({ "error": { "code": 3, "message": "a", "data": data } });
        assert_eq!(difference(&reverted("0x01"), &reverted("0x01"), false), None);
        assert!(difference(&reverted("0x01"), &reverted("0x02"), false).is_some());
        let call =
            |text, code| json!({ "result": [{ "error": { "message": text, "code": code } }] });
        assert_eq!(difference(&call("a", 3), &call("b", 3), false), None);
        assert!(difference(&call("a", 3), &call("a", 4), false).is_some());
    }

    #[test]
    fn a_member_that_came_later_may_be_there() {
        let (old, new) =
            (json!({ "result": {} }), json!({ "result": { "blockTimestamp": "0x1" } }));
        assert_eq!(difference(&old, &new, false), None);
        assert!(difference(&new, &old, false).is_some());
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let wanted = json!({ "result": { "a": [{ "b": "0x1" }] } });
        let found = |got| difference(&wanted, &got, false);
        assert_eq!(found(wanted.clone()), None);
        assert!(
            found(json!({ "result": { "a": [{ "b": "0x2" }] } }))
                .unwrap()
                .starts_with("result.a[0].b: ")
        );
        assert!(found(json!({ "result": { "a": [] } })).unwrap().starts_with("result.a: 1 items"));
        assert!(found(json!({ "result": { "a": [{}] } })).unwrap().contains("missing"));
        assert!(
            found(json!({ "result": { "a": [{ "b": "0x1" }], "c": 1 } }))
                .unwrap()
                .contains("not expected")
        );
    }

    #[test]
    fn form_is_members_and_kinds() {
        let wanted = json!({ "result": { "hash": format!("0x{}", "1".repeat(64)), "n": "0x1" } });
        let same = json!({ "result": { "hash": format!("0x{}", "2".repeat(64)), "n": "0x77", "more": 1 } });
        assert_eq!(difference(&wanted, &same, true), None);
        let other = json!({ "result": { "hash": "0x1", "n": "0x1" } });
        assert!(
            difference(&wanted, &other, true)
                .unwrap()
                .starts_with("result.hash: hash was expected")
        );
    }
}
