//! An attempt over time: the share of the new revision, and what decided it measured.

use std::fmt::Write as _;

use jiff::Timestamp;
use leadsman_api::Verdict;

use super::labels;
use super::marks::{Mark, Tone, draw as draw_marks};
use super::{Pen, STYLE, Scale};
use crate::gates::limit;
use crate::instants::{localized, seconds_between};
use crate::model::{Explanation, Fact, Gate, Recent};
use crate::numbers::{narrow, number};
use crate::style::Style;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 372.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 940.0;
/// Baselines of the rows of labels.
const ROWS: [f64; labels::ROWS] = [62.0, 77.0, 92.0];
/// Top and bottom of the lane of shares.
const SHARES: (f64, f64) = (102.0, 202.0);
/// Top and bottom of the lane of measurements.
const GATE: (f64, f64) = (222.0, 312.0);
/// Baselines of the lines below.
const CAPTIONS: [f64; 2] = [350.0, 365.0];
/// Characters of a caption.
const LONGEST: usize = 150;
/// Most ticks of the axis of time.
const TICKS: i64 = 10;
/// Distances between two ticks that people count in, in seconds.
const DISTANCES: [i64; 14] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400];

pub(super) fn draw(explanation: &Explanation, style: &Style) -> String {
    let began = explanation.began_at.or_else(|| explanation.timeline.first().map(|fact| fact.at));
    let began = began.unwrap_or(explanation.at);
    let ended = explanation.ended_at.unwrap_or(explanation.at);
    let last = explanation.timeline.iter().map(|fact| fact.at).fold(ended, Timestamp::max);
    let clock = Clock { began, time: Scale::new((0.0, seconds(began, last).max(1.0)), (LEFT, RIGHT)) };
    let told: Vec<_> = explanation.answer.iter().map(|sentence| localized(sentence, explanation.at, style)).collect();
    let mut pen = Pen::default();
    pen.open(WIDTH, HEIGHT, &told.join(" "), STYLE);
    pen.rect("page", (0.5, 0.5), (WIDTH - 1.0, HEIGHT - 1.0), 8.0);
    pen.text("title", "start", (LEFT, 28.0), &told.first().cloned().unwrap_or_default());
    for lane in [SHARES, GATE] {
        pen.rect("lane", (LEFT, lane.0), (RIGHT - LEFT, lane.1 - lane.0), 0.0);
    }
    axis(&mut pen, &clock, seconds_between(began, last));
    shares(&mut pen, &explanation.timeline, &clock);
    match &explanation.gate {
        Some(gate) => measured(&mut pen, gate, &clock),
        None => said_in(&mut pen, GATE, "no gate decided"),
    }
    marks(&mut pen, &explanation.timeline, &clock);
    let captions = [told.get(1), Some(&explanation.users)];
    for (caption, y) in captions.into_iter().flatten().zip(CAPTIONS) {
        pen.text("strong", "start", (LEFT, y), &leadsman_core::text::one_line(caption, LONGEST));
    }
    pen.close()
}

/// Words in the middle of an empty lane.
fn said_in(pen: &mut Pen, lane: (f64, f64), words: &str) {
    pen.text("", "middle", (f64::midpoint(LEFT, RIGHT), f64::midpoint(lane.0, lane.1) + 4.0), words);
}

/// From instants to coordinates.
struct Clock {
    began: Timestamp,
    time: Scale,
}

impl Clock {
    fn at(&self, at: Timestamp) -> f64 {
        self.time.at(seconds(self.began, at)).clamp(LEFT, RIGHT)
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// The axis of time, counted from the beginning.
fn axis(pen: &mut Pen, clock: &Clock, length: i64) {
    let fits = |distance: &&i64| length / **distance <= TICKS;
    let distance = DISTANCES.iter().find(fits).copied().unwrap_or_else(|| (length / TICKS).max(1));
    let ticks = std::iter::successors(Some(0), |at| Some(at + distance)).take_while(|at| *at <= length);
    for at in ticks {
        let x = clock.time.at(at as f64);
        for lane in [SHARES, GATE] {
            pen.line("grid", (x, lane.0), (x, lane.1));
        }
        pen.text("", "middle", (x, GATE.1 + 16.0), &narrow(at));
    }
}

/// The share that was in force, from each instant on; what was written, before it was in force, as a dotted line.
fn shares(pen: &mut Pen, facts: &[Fact], clock: &Clock) {
    let height = Scale::new((0.0, 100.0), (SHARES.1, SHARES.0));
    for percent in [0.0, 50.0, 100.0] {
        pen.line("grid", (LEFT, height.at(percent)), (RIGHT, height.at(percent)));
        pen.text("", "end", (LEFT - 7.0, height.at(percent) + 4.0), &format!("{percent:.0}%"));
    }
    pen.upright((20.0, f64::midpoint(SHARES.0, SHARES.1)), "new revision's share");
    let path = |kind: &str| {
        let mut path = format!("M{LEFT:.1} {:.1}", height.at(0.0));
        for (fact, weight) in facts.iter().filter(|it| it.kind == kind).filter_map(|it| Some((it, it.weight?))) {
            let _ = write!(path, "H{:.1}V{:.1}", clock.at(fact.at), height.at(f64::from(weight)));
        }
        let _ = write!(path, "H{RIGHT:.1}");
        path
    };
    let in_force = path("WeightInForce");
    pen.path("area s1 f1", &format!("{in_force}V{:.1}H{LEFT:.1}Z", height.at(0.0)));
    pen.path("line plain", &path("WeightWritten"));
    pen.path("weight", &in_force);
}

/// The last measurements of a gate as dots, with its limit where that is a number.
fn measured(pen: &mut Pen, gate: &Gate, clock: &Clock) {
    pen.upright((20.0, f64::midpoint(GATE.0, GATE.1)), &gate.metric);
    let taken = |it: &Recent| Some((it.at?, it.value.as_ref()?.number?, it.verdict));
    let points: Vec<_> = gate.recent.iter().filter_map(taken).collect();
    let Some((last_at, newest, _)) = points.last().copied() else {
        said_in(pen, GATE, "no value");
        return;
    };
    let bound = bound(gate);
    let values = || points.iter().map(|(_, value, _)| *value).chain(bound);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    // A tenth of room above and below, and some where all values are the same.
    let room = ((most - least) / 10.0).max(most.abs() / 100.0).max(f64::MIN_POSITIVE);
    let height = Scale::new((least - room, most + room), (GATE.1, GATE.0));
    if let Some(bound) = bound {
        pen.line("limit", (LEFT, height.at(bound)), (RIGHT, height.at(bound)));
        pen.text("", "end", (LEFT - 7.0, height.at(bound) + 4.0), &limit(gate));
    }
    let mut path = String::new();
    for (at, value, _) in &points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", clock.at(*at), height.at(*value));
    }
    pen.path("line s1", &path);
    for (at, value, verdict) in &points {
        let class = match verdict {
            Some(Verdict::Success) => "good",
            Some(Verdict::Failure) => "bad",
            _ => "f0",
        };
        pen.dot(class, (clock.at(*at), height.at(*value)));
    }
    let text = gate.recent.last().and_then(|it| it.value.as_ref()).map(|it| it.text.clone()).unwrap_or_default();
    let (x, y) = (clock.at(last_at), height.at(newest));
    let to_the_left = x + labels::width(&text) + 12.0 > RIGHT;
    let (anchor, x) = if to_the_left { ("end", x - 6.0) } else { ("start", x + 6.0) };
    pen.text("halo on", anchor, (x, y + 4.0), &text);
}

/// The limit, where it is one number.
fn bound(gate: &Gate) -> Option<f64> {
    number(limit(gate).split_whitespace().nth(1)?)
}

/// What turned the attempt.
fn marks(pen: &mut Pen, facts: &[Fact], clock: &Clock) {
    let marks = facts.iter().filter_map(|fact| {
        let (label, tone) = mark(fact)?;
        Some(Mark { x: clock.at(fact.at), label, tone })
    });
    let marks: Vec<_> = marks.collect();
    draw_marks(pen, &marks, &ROWS, (WIDTH, GATE.1));
}

/// What a fact is called in a picture, and how it looks; `None` for what is seen otherwise, or of no weight.
fn mark(fact: &Fact) -> Option<(String, Tone)> {
    let step = fact.step.map(|step| format!("step {}", step.saturating_add(1)));
    Some(match &*fact.kind {
        "StepCompleted" => (step?, Tone::Plain),
        "RollingBack" => ("rolling back".to_owned(), Tone::Bad),
        "RolledBack" => ("all on stable".to_owned(), Tone::Bad),
        "Promoted" => ("promoted".to_owned(), Tone::Good),
        "CommandExecuted" => ("by command".to_owned(), Tone::Plain),
        _ => return None,
    })
}
