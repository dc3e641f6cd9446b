//! The two lanes: who answered, and how well.

use std::fmt::Write as _;

use leadsman_view::svg::{Pen, Scale, labels};

use super::{LEFT, RIGHT};
use crate::demo::story::Story;

/// Fewer answers in a second than this say nothing about a success rate.
const FEWEST: u32 = 3;

/// Shares of the answers, the newest version at the bottom so that its upper edge is to be where the weight is; and the
/// weight.
pub(super) fn shares(pen: &mut Pen, story: &Story, time: Scale, lane: (f64, f64)) {
    let height = Scale::new((0.0, 1.0), (lane.1, lane.0));
    grid(pen, height, &[0.0, 0.25, 0.5, 0.75, 1.0], "share of requests", lane);
    let mut below = vec![0.0; story.seconds.len()];
    for version in (0..story.versions.len()).rev() {
        let shares = story.seconds.iter().map(|second| second.share(version));
        let bands: Vec<_> = below.iter().zip(shares).map(|(below, share)| Some((*below, below + share?))).collect();
        area(pen, &format!("area s{version} f{version}"), &bands, time, height);
        for (below, band) in below.iter_mut().zip(&bands) {
            *below = band.map_or(*below, |(_, above)| above);
        }
    }
    if let Some((first, rest)) = story.weights.split_first() {
        let mut d = format!("M{:.1} {:.1}", time.at(first.0), height.at(first.1 / 100.0));
        for (at, percent) in rest {
            let _ = write!(d, "H{:.1}V{:.1}", time.at(*at), height.at(percent / 100.0));
        }
        let _ = write!(d, "H{RIGHT:.1}");
        pen.path("weight", &d);
    }
}

/// Bands of neighbouring seconds as one shape; those without height are left out.
fn area(pen: &mut Pen, class: &str, bands: &[Option<(f64, f64)>], time: Scale, height: Scale) {
    let drawn = |band: &Option<(f64, f64)>| band.is_some_and(|(below, above)| above > below);
    let mut start = 0;
    for part in bands.chunk_by(|a, b| drawn(a) == drawn(b)) {
        let (mut there, mut back) = (String::new(), String::new());
        for (offset, (below, above)) in part.iter().filter(|band| drawn(band)).flatten().enumerate() {
            let (from, to) = (time.at((start + offset) as f64), time.at((start + offset + 1) as f64));
            let command = if there.is_empty() { 'M' } else { 'L' };
            let _ = write!(there, "{command}{from:.1} {y:.1}H{to:.1}", y = height.at(*above));
            back.insert_str(0, &format!("L{to:.1} {y:.1}H{from:.1}", y = height.at(*below)));
        }
        if !there.is_empty() {
            pen.path(class, &format!("{there}{back}Z"));
        }
        start += part.len();
    }
}

/// What the Service selects, one version or two above each other, with their names where there is room.
pub(super) fn selected(pen: &mut Pen, story: &Story, time: Scale, (top, bottom): (f64, f64)) {
    if story.selected.is_empty() {
        return;
    }
    pen.text("", "end", (LEFT - 7.0, bottom - 3.5), "selected");
    let ends = story.selected.iter().skip(1).map(|(at, _)| time.at(*at)).chain([RIGHT]);
    for ((at, versions), end) in story.selected.iter().zip(ends) {
        let (x, width) = (time.at(*at), end - time.at(*at));
        let height = (bottom - top) / versions.len().max(1) as f64;
        for (place, version) in versions.iter().enumerate() {
            let y = height.mul_add(place as f64, top);
            pen.rect(&format!("area s{version} f{version}"), (x, y), (width, height), 0.0);
        }
        let names: Vec<_> = versions.iter().filter_map(|it| story.versions.get(*it)).map(|it| &*it.name).collect();
        let words = names.join(" + ");
        if labels::width(&words) < width {
            pen.text("halo on", "middle", (x + width / 2.0, bottom - 3.5), &words);
        }
    }
}

/// Success rate of each version, and the one that a canary needs.
pub(super) fn success(pen: &mut Pen, story: &Story, time: Scale, lane: (f64, f64)) {
    let rate = |place: usize, version: usize| {
        let answers = story.seconds.get(place)?.of(version);
        if answers.all < FEWEST { None } else { answers.success() }
    };
    let all = || (0..story.versions.len()).flat_map(|version| (0..story.seconds.len()).map(move |at| (at, version)));
    let lowest = all().filter_map(|(at, version)| rate(at, version)).fold(1.0, f64::min);
    let ticks: &[f64] = if lowest < 0.5 { &[0.0, 0.5, 1.0] } else { &[0.5, 0.75, 1.0] };
    let floor = ticks.first().copied().unwrap_or_default();
    // A little room above, so that a line at 100% is seen as a line.
    let height = Scale::new((floor, 1.0), (lane.1, lane.0 + 7.0));
    grid(pen, height, ticks, "success rate", lane);
    if let Some(limit) = story.limit {
        pen.line("limit", (LEFT, height.at(limit)), (RIGHT, height.at(limit)));
    }
    for version in 0..story.versions.len() {
        let mut d = String::new();
        let mut dots = Vec::new();
        for place in 0..story.seconds.len() {
            let Some(rate) = rate(place, version) else { continue };
            let neighbour = place > 0 && is_drawn(story, place - 1, version);
            let (x, y) = (time.at(place as f64 + 0.5), height.at(rate));
            let _ = write!(d, "{}{x:.1} {y:.1}", if neighbour { 'L' } else { 'M' });
            if story.limit.is_some_and(|limit| rate < limit) {
                dots.push((x, y));
            }
        }
        // The first is wide and pale, so that the next one is seen on it where both are at 100%.
        let class = if version == 0 { "line wide" } else { "line" };
        if !d.is_empty() {
            pen.path(&format!("{class} s{version}"), &d);
        }
        for at in dots {
            pen.dot(&format!("f{version}"), at);
        }
    }
}

fn is_drawn(story: &Story, place: usize, version: usize) -> bool {
    story.seconds.get(place).is_some_and(|second| second.of(version).all >= FEWEST)
}

fn grid(pen: &mut Pen, height: Scale, ticks: &[f64], name: &str, lane: (f64, f64)) {
    for tick in ticks {
        let y = height.at(*tick);
        pen.line("grid", (LEFT, y), (RIGHT, y));
        pen.text("", "end", (LEFT - 7.0, y + 4.0), &format!("{:.0}%", tick * 100.0));
    }
    pen.upright((20.0, f64::midpoint(lane.0, lane.1)), name);
}
