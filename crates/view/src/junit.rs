//! A release as the report of a test run, for CI systems: one case for each gate and each step.

use leadsman_api::Verdict;

use crate::gates::limit;
use crate::model::{Gate, Release, StepState};
use crate::style::Style;

/// A test suite. A gate that failed is a failure with its text; a step at which the release failed is one where no gate is to
/// blame. What has not come, or could not be measured, is skipped.
pub fn release(release: &Release) -> String {
    let mut cases: Vec<Case> = release.gates.iter().map(gate).collect();
    let has_failed = cases.iter().any(|case| matches!(case.end, End::Failed { .. }));
    let why = release.why.as_ref().map(|why| format!("{}: {}", why.reason, why.message)).unwrap_or_default();
    for (number, step) in (1..).zip(&release.steps) {
        let end = match step.state {
            StepState::Done => End::Passed,
            StepState::Failed if has_failed => End::Skipped("the release was rolled back in this step".to_owned()),
            StepState::Failed => End::Failed { message: "rolled back in this step".to_owned(), text: why.clone() },
            StepState::Now => End::Skipped("under way".to_owned()),
            StepState::ToCome => End::Skipped("not reached".to_owned()),
        };
        cases.push(Case { class: "steps", name: format!("step {number}: {}", step.words), end });
    }
    let is_told = cases.iter().any(|case| matches!(case.end, End::Failed { .. }));
    if let Some(why) = release.why.as_ref().filter(|_| !is_told) {
        let end = End::Failed { message: why.reason.clone(), text: why.message.clone() };
        cases.push(Case { class: "release", name: "release".to_owned(), end });
    }
    drawn(release, &cases)
}

struct Case {
    class: &'static str,
    name: String,
    end: End,
}

enum End {
    Passed,
    Failed { message: String, text: String },
    Skipped(String),
}

fn gate(gate: &Gate) -> Case {
    let value = gate.value.as_ref().map_or("no value", |value| value.text.as_str());
    let end = match gate.verdict {
        Some(Verdict::Success) => End::Passed,
        Some(Verdict::Failure) if !gate.dry_run => {
            let stable = gate.stable.as_ref().map(|it| format!("stable: {}\n", it.text)).unwrap_or_default();
            let query = if gate.query.is_empty() { String::new() } else { format!("query: {}\n", gate.query) };
            End::Failed {
                message: format!("{value}, needs {}", limit(gate)),
                text: format!("{}\n{stable}{query}", gate.message),
            }
        }
        Some(Verdict::Failure) => End::Skipped(format!("dry run: {value}, needs {}", limit(gate))),
        Some(_) | None => {
            End::Skipped(if gate.message.is_empty() { "no verdict".to_owned() } else { gate.message.clone() })
        }
    };
    let place = gate.step.map(|step| format!(" in step {}", step.saturating_add(1))).unwrap_or_default();
    Case { class: "gates", name: format!("{}{place}", gate.metric), end }
}

fn drawn(release: &Release, cases: &[Case]) -> String {
    let count = |is: fn(&End) -> bool| cases.iter().filter(|case| is(&case.end)).count();
    let (failed, skipped) =
        (count(|end| matches!(end, End::Failed { .. })), count(|end| matches!(end, End::Skipped(_))));
    let suite = escaped(&format!("{}/{}", release.namespace, release.name));
    let all = cases.len();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{suite}\" tests=\"{all}\" failures=\"{failed}\" \
         errors=\"0\" skipped=\"{skipped}\">\n"
    );
    for case in cases {
        let (class, name) = (case.class, escaped(&case.name));
        let inner = match &case.end {
            End::Passed => String::new(),
            End::Failed { message, text } => {
                format!("<failure message=\"{}\">{}</failure>", escaped(message), escaped(text.trim()))
            }
            End::Skipped(message) => format!("<skipped message=\"{}\"/>", escaped(message)),
        };
        text.push_str(&format_case(&suite, class, &name, &inner));
    }
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}

fn format_case(suite: &str, class: &str, name: &str, inner: &str) -> String {
    if inner.is_empty() {
        return format!("<testcase classname=\"{suite}.{class}\" name=\"{name}\"/>\n");
    }
    format!("<testcase classname=\"{suite}.{class}\" name=\"{name}\">{inner}</testcase>\n")
}

/// Text that XML takes: its marks escaped, and characters that it has no place for made visible. Line breaks stay.
fn escaped(text: &str) -> String {
    let style = Style::default();
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            character => escaped.push_str(&style.say(character.encode_utf8(&mut [0; 4]))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_made_visible() {
        assert_eq!(escaped("a<b>&\"\u{1b}[2J\n\u{ffff}"), "a&lt;b&gt;&amp;&quot;\u{fffd}[2J\n\u{fffd}");
    }
}
