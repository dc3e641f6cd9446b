//! One Rollout on a terminal.
//!
//! It is drawn as sections, so that a live view that is higher than its terminal can fold those that matter least.

use leadsman_api::{Phase, Verdict};

use crate::images::short_commit;
use crate::instants::seconds_between;
use crate::line::{Line, Meaning, Span};
use crate::model::{Carrier, Release, Revision, Side, Strategy, Weight};
use crate::numbers::duration;
use crate::sides::roles;
use crate::style::Style;
use crate::text::gates;
use crate::text::next;
use crate::text::page::{Cell, Page, span};
use crate::text::{steps, words};
use crate::{commands, phases};

/// Longest bar, for 100%.
const BAR: usize = 40;
/// What stands beside a bar.
const BESIDE_BAR: usize = 50;
/// Facts that are shown, the newest.
const FACTS: usize = 6;

/// What a section is about. Those that come first in this order are folded last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Name, phase, revisions.
    Head,
    /// What is waited for, what follows, what a person can do.
    Next,
    /// The steps.
    Steps,
    /// Revisions and their shares.
    Sides,
    /// What is measured.
    Gates,
    /// What happened.
    Timeline,
    /// Each pod.
    Pods,
}

/// Lines about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// About what.
    pub topic: Topic,
    /// The lines, without those that part it from others.
    pub lines: Vec<Line>,
}

/// A Rollout in sections, from top to bottom; with each pod, where that is wanted.
pub fn sections(release: &Release, style: &Style, with_pods: bool) -> Vec<Section> {
    let draw = |topic: Topic, draw: fn(&mut Page<'_>, &Release)| {
        let mut page = Page::new(style, release.at);
        draw(&mut page, release);
        Section { topic, lines: page.into_lines() }
    };
    let mut sections = vec![
        draw(Topic::Head, head),
        draw(Topic::Steps, steps::draw),
        draw(Topic::Sides, sides),
        draw(Topic::Gates, measured),
    ];
    if with_pods {
        sections.push(draw(Topic::Pods, pods));
    }
    if style.width >= gates::WIDE {
        sections.push(draw(Topic::Timeline, timeline));
    }
    sections.push(draw(Topic::Next, next::draw));
    sections.retain(|section| !section.lines.is_empty());
    sections
}

fn head(page: &mut Page<'_>, release: &Release) {
    let name = if release.namespace.is_empty() {
        release.name.clone()
    } else {
        format!("{}/{}", release.namespace, release.name)
    };
    let mut state = vec![span(phases::glyph(release.phase), words::meaning(release.phase))];
    state.push(span(format!(" {}", phases::word(release.phase, release.is_seen)), words::meaning(release.phase)));
    state.extend(place(page, release).map(|place| span(format!("  {place}"), Meaning::Plain)));
    page.ends(vec![span(name, Meaning::Strong)], state);
    let parts = revisions(page, release);
    if !parts.is_empty() {
        page.line(vec![span(parts.join("   "), Meaning::Plain)]);
    }
    if release.is_behind {
        let words = "what follows is about an earlier declaration: the operator has not seen the newest one yet";
        page.prose(&span("! ", Meaning::Waiting), words, Meaning::Waiting);
    }
}

/// Which step has its turn, and for how long.
fn place(page: &Page<'_>, release: &Release) -> Option<String> {
    if !phases::is_moving(release.phase) {
        return None;
    }
    let since = |at| format!("for {}", duration(seconds_between(at, release.at)));
    let Some(step) = release.step else { return release.waiting.as_ref()?.since.map(since) };
    let number = step.index.saturating_add(1).min(step.of);
    let words =
        usize::try_from(step.index).ok().and_then(|index| release.steps.get(index)).map(|step| step.words.as_str());
    let named =
        words.filter(|_| page.style.width >= gates::WIDE).map(|words| format!(" ({words})")).unwrap_or_default();
    let lasts = step.started_at.map(|at| format!("  {}", since(at))).unwrap_or_default();
    Some(format!("step {number}/{}{named}{lasts}", step.of))
}

/// What is declared, by whom, and since when.
fn revisions(page: &Page<'_>, release: &Release) -> Vec<String> {
    let is_wide = page.style.width >= gates::WIDE;
    let mut parts: Vec<String> = versions(release, is_wide).into_iter().collect();
    if release.strategy == Strategy::BlueGreen {
        parts.push("blue-green".to_owned());
    }
    let declared = release.to.as_ref().or(release.from.as_ref());
    parts.extend(declared.map(|declared| format!("revision {}", declared.revision)));
    let source = release.source.as_ref().filter(|_| is_wide).map(words::source).unwrap_or_default();
    parts.extend(
        declared.and_then(|it| it.commit.as_ref()).map(|commit| format!("commit {}{source}", short_commit(commit))),
    );
    if let Some(began) = release.began_at.filter(|_| phases::is_moving(release.phase)) {
        let ago = duration(seconds_between(began, release.at));
        parts.push(format!("began {}, {ago} ago", page.clock(began)));
    }
    parts
}

/// From which version to which.
fn versions(release: &Release, is_wide: bool) -> Option<String> {
    let first = |revision: &Revision| {
        if is_wide && !revision.image.is_empty() { revision.image.clone() } else { revision.version.clone() }
    };
    match (&release.from, &release.to) {
        (Some(from), Some(to)) => Some(format!("{} → {}", first(from), to.version)),
        (Some(one), None) | (None, Some(one)) => Some(first(one)),
        (None, None) => None,
    }
}

fn sides(page: &mut Page<'_>, release: &Release) {
    if release.sides.is_empty() {
        return;
    }
    let past = |text: &str| Cell::left(text, Meaning::Past);
    let share = if release.carrier == Carrier::Pods { "pods" } else { "weight" };
    let heading = [Cell::default(), Cell::right("ready", Meaning::Past), Cell::right(share, Meaning::Past)];
    let mut rows = vec![
        heading
            .into_iter()
            .chain([Cell::right("seen", Meaning::Past), past(""), past("hash"), past(""), past("pods")])
            .collect(),
    ];
    rows.extend(release.sides.iter().map(|side| row(page, side)));
    page.table(2, rows, Some(4));
}

fn row(page: &Page<'_>, side: &Side) -> Vec<Cell> {
    let is_whole = side.ready >= side.replicas;
    let is_wide = page.style.width >= gates::WIDE;
    let room = page.style.width.saturating_sub(BESIDE_BAR).min(BAR);
    let filled =
        side.weight.map_or(0, |weight| usize::try_from(weight.in_force.clamp(0, 100)).unwrap_or_default() * room / 100);
    let seen = side.weight.and_then(|weight| weight.seen).filter(|_| is_wide);
    vec![
        Cell::left(&*side.role, Meaning::Plain),
        Cell::right(
            format!("{}/{}", side.ready, side.replicas),
            if is_whole { Meaning::Good } else { Meaning::Waiting },
        ),
        Cell::right(side.weight.map(share).unwrap_or_default(), Meaning::Plain),
        Cell::right(seen.map(|seen| format!("{seen:.1}%")).unwrap_or_default(), Meaning::Plain),
        Cell::left("█".repeat(filled), Meaning::Moving),
        Cell::left(&*side.revision.hash, Meaning::Past),
        Cell::left(format!("rev {}", side.revision.revision), Meaning::Past),
        Cell::left(if is_wide { words::pods(&side.pods) } else { String::new() }, Meaning::Plain),
    ]
}

/// The share in force, and the one that is on its way.
fn share(weight: Weight) -> String {
    if weight.in_force == weight.desired {
        format!("{}%", weight.in_force)
    } else {
        format!("{}% → {}%", weight.in_force, weight.desired)
    }
}

fn measured(page: &mut Page<'_>, release: &Release) {
    if !release.gates.is_empty() {
        gates::draw(page, &release.gates, roles(release.strategy));
    }
}

/// True where some gate did not succeed: its section is not to be folded.
pub fn has_failing_gate(release: &Release) -> bool {
    release.gates.iter().any(|gate| gate.verdict != Some(Verdict::Success))
}

fn timeline(page: &mut Page<'_>, release: &Release) {
    for fact in release.timeline.iter().rev().take(FACTS) {
        let at = page.clock(fact.at);
        page.line(vec![span(format!("  {at}  "), Meaning::Past), span(page.localized(&fact.words), Meaning::Plain)]);
    }
    if release.phase == Some(Phase::RolledBack) && release.timeline.len() > FACTS {
        let all = commands::typed("explain", &release.namespace, &release.name);
        page.line(vec![span(format!("  {} more: {all}", release.timeline.len() - FACTS), Meaning::Past)]);
    }
}

fn pods(page: &mut Page<'_>, release: &Release) {
    let past = |text: &str| Cell::left(text, Meaning::Past);
    let mut rows = vec![vec![
        past("pod"),
        past(""),
        past("state"),
        Cell::right("restarts", Meaning::Past),
        Cell::right("age", Meaning::Past),
        past(""),
    ]];
    for side in &release.sides {
        rows.extend(side.pods.iter().map(|pod| words::pod_row(pod, &side.role, release.at)));
    }
    if rows.len() > 1 {
        page.table(2, rows, None);
    }
}

/// Sections with an empty line between two of them.
pub fn joined(sections: Vec<Section>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for section in sections {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(section.lines);
    }
    lines
}

/// Sections in no more lines than a terminal has. Pods are folded first, then the timeline, then gates that all succeed; head
/// and what follows always stay. What is folded leaves a line that says so.
pub fn fitted(release: &Release, style: &Style, with_pods: bool, height: usize) -> Vec<Line> {
    let mut sections = sections(release, style, with_pods);
    let mut order = vec![Topic::Pods, Topic::Timeline, Topic::Gates, Topic::Sides, Topic::Steps];
    if has_failing_gate(release) {
        order.retain(|topic| *topic != Topic::Gates);
        order.push(Topic::Gates);
    }
    for topic in order {
        let needed = joined(sections.clone()).len();
        if needed <= height {
            break;
        }
        let Some(index) = sections.iter().position(|section| section.topic == topic) else { continue };
        let Some(section) = sections.get_mut(index) else { continue };
        let keeps = section.lines.len().saturating_sub(needed - height + 1);
        if matches!(topic, Topic::Pods | Topic::Timeline) && keeps > 1 {
            let folded = section.lines.len() - keeps;
            section.lines.truncate(keeps);
            let words = format!("  … {folded} more {}", if topic == Topic::Pods { "pods" } else { "facts" });
            let mut page = Page::new(style, release.at);
            page.line(vec![span(words, Meaning::Past)]);
            section.lines.extend(page.into_lines());
        } else {
            sections.remove(index);
        }
    }
    let mut lines = joined(sections);
    lines.truncate(height);
    lines
}

/// A label of what follows, at one width.
pub fn label(glyph: &str, text: &str, meaning: Meaning) -> Span {
    span(format!("{:2}{text:<7}", format!("{glyph} ").trim_start()), meaning)
}
