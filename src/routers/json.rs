//! Looking into objects that may hold anything.

use serde_json::Value;

/// The elements of a list; none where there is no list.
pub(super) fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// The text in a member of an object.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

/// The text in a member of an object, unless it is empty.
pub(super) fn filled<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    text(object, field).filter(|text| !text.is_empty())
}

/// Longest text that is taken over from an object into a message.
const LONGEST: usize = 400;

/// A text of others for a message: on one line, and no longer than 400 characters.
pub(super) fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// How many of a list are told one by one.
const MOST_TOLD: usize = 4;

/// A list in words; of a long one its beginning, and how many more there are.
pub(super) fn told(all: &[String], separator: &str) -> String {
    let first = all.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join(separator);
    match all.len().saturating_sub(MOST_TOLD) {
        0 => first,
        more => format!("{first}{separator}{more} more"),
    }
}

/// Where a rule stands, for people: its place, and its name where it has one.
pub(super) fn place(list: &str, index: usize, rule: &Value) -> String {
    match filled(rule, "name") {
        Some(name) => format!("{list}[{index}] ({})", quoted(name)),
        None => format!("{list}[{index}]"),
    }
}
