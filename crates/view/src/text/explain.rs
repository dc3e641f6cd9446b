//! Why, on a terminal: the answer first, then what it rests on.

use crate::gates::limit;
use crate::images::short_commit;
use crate::line::{Line, Meaning, Span};
use crate::model::{About, Change, Explanation, Gate, Words};
use crate::numbers::whole;
use crate::style::{Style, columns};
use crate::text::page::{Cell, Page, span};
use crate::text::{gates, spark, words};

/// Columns of a label.
const LABEL: usize = 15;

/// How much is shown of what can be long.
pub struct Room {
    /// Changes, a line each, the first.
    changes: usize,
    /// Measurements one by one, the last.
    measurements: usize,
    /// Lines of a query, the first.
    query: usize,
    /// Lines of a log, the last.
    log: usize,
    /// Facts, the newest.
    facts: usize,
    /// Facts also where a gate decided, which says more.
    facts_beside_gate: bool,
}

/// What one takes in at a glance.
pub const SCREEN: Room = Room { changes: 4, measurements: 8, query: 6, log: 8, facts: 12, facts_beside_gate: false };
/// Whatever there is.
pub const WITHOUT_END: Room = Room {
    changes: usize::MAX,
    measurements: usize::MAX,
    query: usize::MAX,
    log: usize::MAX,
    facts: usize::MAX,
    facts_beside_gate: true,
};

/// The explanation, as far as there is room.
pub fn draw(explanation: &Explanation, style: &Style, room: &Room) -> Vec<Line> {
    let mut page = Page::new(style, explanation.at);
    answer(&mut page, explanation);
    page.blank();
    changed(&mut page, explanation, room);
    if !explanation.users.is_empty() {
        let question = match explanation.about {
            About::RolledBack | About::Ended => "who was hit",
            About::Promoted => "requests",
            _ => "users",
        };
        page.prose(&label(question), &explanation.users, Meaning::Plain);
    }
    way_back(&mut page, explanation);
    let waiting = explanation.waiting.as_ref().filter(|it| explanation.about == About::RollingBack && it.is_held);
    if let Some(waiting) = waiting {
        page.prose(&label("waits"), &waiting.what, Meaning::Waiting);
    }
    if let Some(gate) = &explanation.gate {
        page.blank();
        the_gate(&mut page, gate, room);
    }
    others(&mut page, &explanation.other_gates, explanation.gate.is_some());
    said_by_pods(&mut page, explanation, room);
    if is_over(explanation.about) && (explanation.gate.is_none() || room.facts_beside_gate) {
        happened(&mut page, explanation, room);
    }
    page.blank();
    if !explanation.now.is_empty() {
        page.prose(&label("now"), &explanation.now, Meaning::Plain);
    }
    for (index, unknown) in explanation.unknown.iter().enumerate() {
        let begin = if index == 0 { label("not known") } else { below() };
        page.prose(&begin, unknown, Meaning::Past);
    }
    to_go_on(&mut page, explanation);
    let mut lines = page.into_lines();
    while lines.last().is_some_and(Line::is_empty) {
        lines.pop();
    }
    lines
}

/// True where the attempt is over.
pub fn is_over(about: About) -> bool {
    matches!(about, About::RolledBack | About::Promoted | About::Ended)
}

/// What stands before the answer.
pub fn glyph(about: About) -> (&'static str, Meaning) {
    match about {
        About::RolledBack | About::RollingBack => ("✗", Meaning::Bad),
        About::Promoted | About::Serving => ("✓", Meaning::Good),
        About::Ended => ("↷", Meaning::Past),
        About::Moving => ("●", Meaning::Moving),
        About::Paused => ("‖", Meaning::Waiting),
        About::Held | About::Degraded | About::Invalid => ("!", Meaning::Waiting),
        About::Unknown => ("·", Meaning::Past),
    }
}

fn answer(page: &mut Page<'_>, explanation: &Explanation) {
    let (glyph, meaning) = glyph(explanation.about);
    let begin = format!("{glyph} ");
    let indent = " ".repeat(columns(&page.style.say(&begin)));
    for (index, sentence) in explanation.answer.iter().enumerate() {
        let before = if index == 0 { span(begin.clone(), meaning) } else { span(indent.clone(), Meaning::Plain) };
        page.prose(&before, sentence, if index == 0 { Meaning::Strong } else { Meaning::Plain });
    }
}

fn label(text: &str) -> Span {
    span(format!("{text:<LABEL$}"), Meaning::Past)
}

fn below() -> Span {
    span(" ".repeat(LABEL), Meaning::Plain)
}

fn changed(page: &mut Page<'_>, explanation: &Explanation, room: &Room) {
    let (from, to) = (&explanation.from, &explanation.to);
    let versions = match (from, to) {
        (Some(from), Some(to)) if from.version != to.version => format!("{} → {}", from.version, to.version),
        (None, Some(to)) => to.version.clone(),
        _ => String::new(),
    };
    let mut told: Vec<String> = explanation.changes.iter().take(room.changes).map(change).collect();
    if told.is_empty() && !versions.is_empty() {
        told.push(versions);
    }
    let more = explanation.changes.len().saturating_sub(room.changes);
    if more > 0 {
        told.push(format!("{more} more: --all"));
    }
    for (index, told) in told.iter().enumerate() {
        page.prose(&if index == 0 { label("what changed") } else { below() }, told, Meaning::Plain);
    }
    let Some(to) = to else { return };
    let commit = to.commit.as_deref().map(|commit| {
        let source = explanation.source.as_ref().map(words::source).unwrap_or_default();
        format!("commit {}{source}, ", short_commit(commit))
    });
    let against = from.as_ref().map(|from| format!(" against {}", from.revision)).unwrap_or_default();
    let text =
        format!("{}revision {}{against}", commit.unwrap_or_default(), explanation.attempt.unwrap_or(to.revision));
    page.prose(&if told.is_empty() { label("what") } else { below() }, &text, Meaning::Plain);
}

/// A change on one line: image cart 1.4.1 → 1.4.2, env `CACHE_TTL` 30 → 0, or the path of anything else.
pub fn change(change: &Change) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let (before, after) = (value(&change.before), value(&change.after));
    let of_container = change.path.strip_prefix("containers[").and_then(|rest| rest.split_once("]."));
    let variable = of_container.and_then(|(_, field)| field.strip_prefix("env[")?.strip_suffix(']'));
    match (of_container, variable) {
        (Some((container, "image")), _) => {
            let tags =
                before.rsplit_once(':').zip(after.rsplit_once(':')).filter(|((one, _), (other, _))| one == other);
            let (before, after) = tags.map_or((&*before, &*after), |((_, before), (_, after))| (before, after));
            format!("image {container} {before} → {after}")
        }
        (Some(_), Some(name)) => format!("env {name} {before} → {after}"),
        _ => format!("{} {before} → {after}", change.path),
    }
}

fn way_back(page: &mut Page<'_>, explanation: &Explanation) {
    let Some(decided) =
        explanation.decided_at.filter(|_| matches!(explanation.about, About::RolledBack | About::RollingBack))
    else {
        return;
    };
    let after = |at: jiff::Timestamp| format!("{:.3}s", at.duration_since(decided).as_secs_f64().max(0.0));
    let Some(written) = explanation.way_back_written_at else { return };
    let in_force = explanation.way_back_in_force_at.map(|at| format!(", in force after {}", after(at)));
    let (at, written) = (page.clock(decided), after(written));
    let told = format!("decided {at}, written after {written}{}", in_force.unwrap_or_default());
    page.prose(&label("way back"), &told, Meaning::Plain);
}

fn the_gate(page: &mut Page<'_>, gate: &Gate, room: &Room) {
    let place = gate.step.map_or("beside the steps".to_owned(), |step| format!("in step {}", step.saturating_add(1)));
    let needs = if gate.limit.is_empty() { String::new() } else { format!("; needs {}", limit(gate)) };
    page.prose(&label("the gate"), &format!("{}, {place}{needs}", gate.metric), Meaning::Strong);
    let samples = gate.samples.filter(|samples| *samples > 0).map(|samples| format!("{} requests", whole(samples)));
    let counts = format!("{} of {} measurements failed", gate.failed, gate.measurements);
    let confidence = gate
        .confidence
        .map(|it| format!("sure to {:.4}", it * 100.0).trim_end_matches('0').trim_end_matches('.').to_owned() + "%");
    let told: Vec<_> = [Some(counts), samples, confidence].into_iter().flatten().collect();
    if gate.measurements > 0 {
        page.prose(&below(), &told.join(", "), Meaning::Plain);
    }
    if !gate.message.is_empty() {
        page.prose(&below(), &gate.message, Meaning::Plain);
    }
    measurements(page, gate, room);
    query(page, gate, room);
}

/// The query as it was sent. Of the parts of a question about counts the first shows what is asked.
fn query(page: &mut Page<'_>, gate: &Gate, room: &Room) {
    let mut query = Page::new(page.style, page.now);
    for (index, line) in gate.query.lines().enumerate() {
        let begin = if index == 0 { span(format!("{:<LABEL$}", "  query"), Meaning::Past) } else { below() };
        query.prose(&begin, line, Meaning::Plain);
    }
    let mut lines = query.into_lines();
    let hidden = lines.len().saturating_sub(room.query);
    // A line that says that one line is missing would take its place.
    if hidden > 1 {
        lines.truncate(room.query);
    }
    page.append(lines);
    if hidden > 1 {
        page.line(vec![below(), span(format!("{hidden} more lines: --all"), Meaning::Past)]);
    }
}

/// The last measurements, as many beside each other as there is room for.
fn measurements(page: &mut Page<'_>, gate: &Gate, room: &Room) {
    if gate.recent.is_empty() {
        return;
    }
    let shown = gate.recent.get(gate.recent.len().saturating_sub(room.measurements)..).unwrap_or_default();
    let cell = |it: &crate::model::Recent| {
        let at = it.at.map(|at| format!("{} ", page.clock(at))).unwrap_or_default();
        let value = it.value.as_ref().map_or("no value", |value| value.text.as_str());
        Cell::of(vec![
            span(at, Meaning::Past),
            span(format!("{value} "), Meaning::Plain),
            span(mark(it.verdict), spark::meaning(it.verdict)),
        ])
    };
    let cells: Vec<Cell> = shown.iter().map(cell).collect();
    let widest = cells.iter().map(|cell| cell.columns(page.style)).max().unwrap_or_default() + 2;
    let beside = (page.style.width.saturating_sub(2) / widest.max(1)).clamp(1, 4);
    page.grid(2, cells.chunks(beside).map(<[Cell]>::to_vec).collect());
    let mut spans = vec![span("  ", Meaning::Plain)];
    spans.extend(spark::of(&gate.recent, 16));
    page.line(spans);
}

fn mark(verdict: Option<leadsman_api::Verdict>) -> &'static str {
    match verdict {
        Some(leadsman_api::Verdict::Success) => "✓",
        Some(leadsman_api::Verdict::Failure) => "✗",
        Some(_) => "!",
        None => "·",
    }
}

fn others(page: &mut Page<'_>, gates: &[Gate], beside_one: bool) {
    for (index, gate) in gates.iter().enumerate() {
        let value = gate.value.as_ref().map(|value| format!(" {}", value.text)).unwrap_or_default();
        let against = if gate.limit.is_empty() { String::new() } else { format!(" {}", limit(gate)) };
        let stable = gate.stable.as_ref().map(|stable| format!(" (stable {})", stable.text)).unwrap_or_default();
        let verdict: String = gates::verdict(gate).into_iter().map(|span| span.text).collect();
        let heading = if beside_one { "other gates" } else { "gates" };
        let text = format!("{}{value}{against}, {verdict}{stable}", gate.metric);
        page.prose(&if index == 0 { label(heading) } else { below() }, &text, Meaning::Plain);
    }
}

fn said_by_pods(page: &mut Page<'_>, explanation: &Explanation, room: &Room) {
    let waits = explanation.waiting.as_ref().and_then(|waiting| waiting.words.as_ref());
    let is_told = |words: &str| explanation.answer.iter().any(|sentence| sentence.contains(words));
    if explanation.pods.is_empty() {
        if let Some(words) = waits.filter(|words| !is_told(words)) {
            page.prose(&label("the pods say"), words, Meaning::Plain);
        }
        return;
    }
    let heading = if is_over(explanation.about) { "last words" } else { "the pods say" };
    for (index, said) in explanation.pods.iter().enumerate() {
        said_by(page, said, &if index == 0 { label(heading) } else { below() }, room);
    }
}

fn said_by(page: &mut Page<'_>, said: &Words, begin: &Span, room: &Room) {
    let container = if said.container.is_empty() { String::new() } else { format!(", container {}", said.container) };
    let at = said.at.map(|at| format!(", {}", page.clock(at))).unwrap_or_default();
    let restarts = match said.restarts {
        0 => String::new(),
        1 => ", 1 restart".to_owned(),
        more => format!(", {more} restarts"),
    };
    page.prose(begin, &format!("{}{container}{at}{restarts}", said.pod), Meaning::Plain);
    if !said.words.is_empty() {
        page.prose(&below(), &said.words, Meaning::Bad);
    }
    for line in said.log.iter().skip(said.log.len().saturating_sub(room.log)) {
        page.line(vec![span("  │ ", Meaning::Past), span(line, Meaning::Plain)]);
    }
    if !said.same.is_empty() {
        page.prose(&below(), &format!("the same words: {}", said.same.join(", ")), Meaning::Past);
    }
}

fn happened(page: &mut Page<'_>, explanation: &Explanation, room: &Room) {
    let facts = &explanation.timeline;
    if facts.is_empty() {
        return;
    }
    page.blank();
    for fact in facts.iter().skip(facts.len().saturating_sub(room.facts)) {
        let at = page.clock(fact.at);
        page.line(vec![span(format!("  {at}  "), Meaning::Past), span(page.localized(&fact.words), Meaning::Plain)]);
    }
}

fn to_go_on(page: &mut Page<'_>, explanation: &Explanation) {
    for (index, way) in explanation.to_go_on.iter().enumerate() {
        let begin = if index == 0 { label("to go on") } else { below() };
        match &way.command {
            None => page.prose(&begin, &way.what, Meaning::Plain),
            Some(command) => {
                page.line(vec![begin, span(format!("{}:", way.what), Meaning::Plain)]);
                page.line(vec![span(" ".repeat(LABEL + 2), Meaning::Plain), span(command, Meaning::Strong)]);
            }
        }
    }
}
