//! The same for a merge request or a summary of a CI run: markdown, short enough for a comment.

use leadsman_api::Verdict;

use crate::gates::limit;
use crate::images::short_commit;
use crate::instants::localized;
use crate::model::{Change, Explanation, Gate, History, Release, Words};
use crate::numbers::narrow;
use crate::phases;
use crate::style::Style;
use crate::text::explain::glyph;
use crate::text::gates::verdict;

/// Longest text, in characters, with some room to GitHub's 65,536 for a comment.
const LONGEST: usize = 65_000;
/// Longest text of a cell, in characters.
const CELL: usize = 200;

/// Parts one after the other, as long as there is room.
struct Document<'a> {
    style: &'a Style,
    now: jiff::Timestamp,
    text: String,
    length: usize,
    left_out: usize,
}

impl<'a> Document<'a> {
    fn new(style: &'a Style, now: jiff::Timestamp) -> Self {
        Self { style, now, text: String::new(), length: 0, left_out: 0 }
    }

    /// A part, parted from others by an empty line. One that is too long is left out as a whole, so that tables and blocks of
    /// code are always closed.
    fn part(&mut self, part: &str) {
        let length = part.chars().count() + 2;
        if part.is_empty() {
            return;
        }
        if self.length + length > LONGEST {
            self.left_out += 1;
            return;
        }
        self.length += length;
        self.text.push_str(part);
        self.text.push_str("\n\n");
    }

    fn said(&self, text: &str) -> String {
        escaped(&localized(text, self.now, self.style))
    }

    fn finish(mut self) -> String {
        if self.left_out > 0 {
            self.text.push_str(&format_left_out(self.left_out));
        }
        let mut text = self.text.trim_end().to_owned();
        text.push('\n');
        text
    }
}

fn format_left_out(parts: usize) -> String {
    format!(
        "_{parts} more {} left out: there is no room for them in a comment._",
        if parts == 1 { "part was" } else { "parts were" }
    )
}

/// One Rollout: head, steps, gates, and what follows.
pub fn release(release: &Release, style: &Style) -> String {
    let mut document = Document::new(style, release.at);
    let phase = phases::word(release.phase, release.is_seen);
    document.part(&format!("### {} `{}/{}`: {phase}", phases::glyph(release.phase), release.namespace, release.name));
    if let (Some(from), Some(to)) = (&release.from, &release.to) {
        let commit = to.commit.as_deref().map(|it| format!(", commit {}", code(&short_commit(it)))).unwrap_or_default();
        document.part(&format!(
            "{} → {}, revision {}{commit}",
            escaped(&from.version),
            escaped(&to.version),
            to.revision
        ));
    }
    let message = document.said(&release.message);
    document.part(&message);
    let users = document.said(&release.users);
    document.part(&users);
    document.part(&gates(&release.gates));
    document.part(&ways(&release.you));
    document.finish()
}

/// Why: the answer, then what it rests on. No more than 65,536 characters.
pub fn explain(explanation: &Explanation, style: &Style) -> String {
    let mut document = Document::new(style, explanation.at);
    for (index, sentence) in explanation.answer.iter().enumerate() {
        let text = document.said(sentence);
        document.part(&if index == 0 { format!("### {} {text}", glyph(explanation.about).0) } else { text });
    }
    let users = document.said(&explanation.users);
    document.part(&if users.is_empty() { users } else { format!("**Who was hit**: {users}") });
    document.part(&ways(&explanation.to_go_on));
    for unknown in &explanation.unknown {
        let text = document.said(unknown);
        document.part(&format!("_Not known: {text}_"));
    }
    document.part(&changes(&explanation.changes));
    let all: Vec<Gate> = explanation.gate.iter().chain(&explanation.other_gates).cloned().collect();
    document.part(&gates(&all));
    if let Some(gate) = &explanation.gate {
        let message = document.said(&gate.message);
        document.part(&message);
        document.part(&block(&gate.query));
    }
    for said in &explanation.pods {
        document.part(&words(said));
    }
    document.part(&timeline(explanation, style));
    document.finish()
}

/// The attempts as a table.
pub fn history(history: &History, style: &Style) -> String {
    let mut document = Document::new(style, history.at);
    let mut table =
        "| rev | outcome | image | commit | began | took | max | why |\n|---|---|---|---|---|---|---|---|".to_owned();
    for attempt in &history.attempts {
        let began = attempt.began_at.map(|at| style.day(at, history.at)).unwrap_or_default();
        let took = attempt.took_seconds.map(narrow).unwrap_or_default();
        let most = attempt.most_weight.map(|most| format!("{most}%")).unwrap_or_default();
        let commit = attempt.commit.as_deref().map(code).unwrap_or_default();
        let cells = [
            &attempt.revision.to_string(),
            &cell(&attempt.outcome),
            &cell(&attempt.version),
            &commit,
            &began,
            &took,
            &most,
            &cell(&attempt.why),
        ];
        table.push_str(&row(&cells.map(String::as_str)));
    }
    document.part(&format!("### Attempts of `{}/{}`", history.namespace, history.name));
    document.part(&table);
    document.finish()
}

fn row(cells: &[&str]) -> String {
    format!("\n| {} |", cells.join(" | "))
}

fn gates(gates: &[Gate]) -> String {
    if gates.is_empty() {
        return String::new();
    }
    let mut table = "| gate | new | stable | limit | n | verdict |\n|---|---|---|---|---|---|".to_owned();
    for gate in gates {
        let value = |it: &Option<crate::model::Measure>| it.as_ref().map(|it| cell(&it.text)).unwrap_or_default();
        let told: String = verdict(gate).into_iter().map(|span| span.text).collect();
        let told = if gate.verdict == Some(Verdict::Failure) { format!("**{told}**") } else { told };
        let samples = gate.samples.map(crate::numbers::whole).unwrap_or_default();
        table.push_str(&row(&[
            &cell(&gate.metric),
            &value(&gate.value),
            &value(&gate.stable),
            &cell(&limit(gate)),
            &samples,
            &told,
        ]));
    }
    table
}

fn changes(changes: &[Change]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut table = "| what changed | was | is |\n|---|---|---|".to_owned();
    for change in changes {
        let value = |value: &Option<String>| value.as_deref().map(cell).unwrap_or_default();
        table.push_str(&row(&[&code(&change.path), &value(&change.before), &value(&change.after)]));
    }
    table
}

fn ways(ways: &[crate::model::WayOn]) -> String {
    let told = |way: &crate::model::WayOn| match &way.command {
        Some(command) => format!("- {}: {}", escaped(&way.what), code(command)),
        None => format!("- {}", escaped(&way.what)),
    };
    ways.iter().map(told).collect::<Vec<_>>().join("\n")
}

fn words(said: &Words) -> String {
    let container =
        if said.container.is_empty() { String::new() } else { format!(", container {}", code(&said.container)) };
    let head = format!("{}{container}: {}", code(&said.pod), escaped(&said.words));
    if said.log.is_empty() { head } else { format!("{head}\n\n{}", block(&said.log.join("\n"))) }
}

fn timeline(explanation: &Explanation, style: &Style) -> String {
    if explanation.timeline.is_empty() {
        return String::new();
    }
    let told = |fact: &crate::model::Fact| {
        format!(
            "- {} {}",
            style.clock(fact.at, explanation.at),
            escaped(&localized(&fact.words, explanation.at, style))
        )
    };
    let facts: Vec<_> = explanation.timeline.iter().map(told).collect();
    format!("<details><summary>What happened</summary>\n\n{}\n\n</details>", facts.join("\n"))
}

/// Text of a cell: on one line, not too long.
fn cell(text: &str) -> String {
    escaped(&leadsman_core::text::one_line(text, CELL))
}

/// Text that means nothing to markdown, on one line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in leadsman_core::text::one_line(text, LONGEST).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '@' | '!' => escaped.extend(['\\', character]),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Text as code within a line.
fn code(text: &str) -> String {
    format!("`{}`", leadsman_core::text::one_line(text, CELL).replace('`', "'").replace('|', "\\|"))
}

/// A block of code, fenced by more marks than it has itself.
fn block(text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let shown: Vec<_> = text.lines().map(|line| Style::default().say(line)).collect();
    format!("{fence}\n{}\n{fence}", shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        assert_eq!(escaped("a|b <b> @team `x`"), "a\\|b &lt;b> \\@team \\`x\\`");
        assert_eq!(block("a ``` b"), "````\na ``` b\n````");
        assert_eq!(code("a`b"), "`a'b`");
    }

    #[test]
    fn what_has_no_room_is_left_out_whole_and_told() {
        let style = Style::default();
        let mut document = Document::new(&style, jiff::Timestamp::UNIX_EPOCH);
        document.part("short");
        document.part(&"x".repeat(LONGEST));
        assert_eq!(document.finish(), "short\n\n_1 more part was left out: there is no room for them in a comment._\n");
    }
}
