//! The picture of both releases, as SVG: who answered, what the route said, how well it went, and what was decided when.
//!
//! It has its own background and follows the reader's colour scheme where the viewer tells it.

mod lanes;

use leadsman_view::svg::labels;
use leadsman_view::svg::marks::{self, Mark};
use leadsman_view::svg::{Pen, STYLE, Scale};

use super::story::{Decision, Story};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 432.0;
/// Left and right ends of both lanes.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 940.0;
/// Baselines of the rows of labels.
const ROWS: [f64; labels::ROWS] = [78.0, 93.0, 108.0];
/// Top and bottom of the lane of shares.
const SHARES: (f64, f64) = (118.0, 268.0);
/// Top and bottom of the strip between both lanes: what the Service selects.
const SELECTED: (f64, f64) = (271.0, 285.0);
/// Top and bottom of the lane of success rates.
const SUCCESS: (f64, f64) = (288.0, 368.0);

/// Draws it.
pub fn draw(story: &Story, title: &str) -> String {
    let end = story.end().max(1.0);
    let time = Scale::new((0.0, end), (LEFT, RIGHT));
    let mut pen = Pen::default();
    pen.open(WIDTH, HEIGHT, title, STYLE);
    pen.rect("page", (0.5, 0.5), (WIDTH - 1.0, HEIGHT - 1.0), 8.0);
    pen.text("title", "start", (LEFT, 28.0), title);
    legend(&mut pen, story);
    for lane in [SHARES, SUCCESS] {
        pen.rect("lane", (LEFT, lane.0), (RIGHT - LEFT, lane.1 - lane.0), 0.0);
    }
    seconds(&mut pen, time, end);
    lanes::shares(&mut pen, story, time, SHARES);
    lanes::selected(&mut pen, story, time, SELECTED);
    lanes::success(&mut pen, story, time, SUCCESS);
    decisions(&mut pen, story, time);
    for (caption, y) in story.captions.iter().zip([406.0, 421.0]) {
        pen.text("strong", "start", (LEFT, y), caption);
    }
    pen.close()
}

/// What the colours and lines mean, a word behind the other.
fn legend(pen: &mut Pen, story: &Story) {
    let y = 52.0;
    let mut x = LEFT;
    for (place, version) in story.versions.iter().enumerate() {
        let words = if version.note.is_empty() {
            format!("answered by {}", version.name)
        } else {
            format!("{}, {}", version.name, version.note)
        };
        pen.rect(&format!("area s{place} f{place}"), (x, y - 9.0), (12.0, 10.0), 2.0);
        pen.text("strong", "start", (x + 18.0, y), &words);
        x += 18.0 + labels::width(&words) + 22.0;
    }
    if !story.weights.is_empty() {
        pen.path("weight", &format!("M{x:.1} {y1:.1}h8v-8h8", y1 = y - 0.5));
        pen.text("strong", "start", (x + 22.0, y), "canary's weight in the route");
        x += 22.0 + labels::width("canary's weight in the route") + 22.0;
    }
    if story.limit.is_some() {
        pen.line("limit", (x, y - 4.0), (x + 16.0, y - 4.0));
        pen.text("strong", "start", (x + 22.0, y), "success that a new version needs");
    }
}

/// The axis of time.
fn seconds(pen: &mut Pen, time: Scale, end: f64) {
    let step = if end > 200.0 { 30.0 } else { 10.0 };
    let mut at = 0.0;
    while at <= end {
        let x = time.at(at);
        for lane in [SHARES, SUCCESS] {
            pen.line("grid", (x, lane.0), (x, lane.1));
        }
        // The last place is the unit's.
        if x < RIGHT - 62.0 {
            pen.text("", "middle", (x, SUCCESS.1 + 16.0), &format!("{at:.0}"));
        }
        at += step;
    }
    pen.text("", "end", (RIGHT, SUCCESS.1 + 16.0), "seconds");
}

/// A line through both lanes for each decision, with its label above.
fn decisions(pen: &mut Pen, story: &Story, time: Scale) {
    let mark = |it: &Decision| Mark { x: time.at(it.at), label: it.label.clone(), tone: it.tone };
    let marks: Vec<_> = story.decisions.iter().map(mark).collect();
    marks::draw(pen, &marks, &ROWS, (WIDTH, SUCCESS.1));
}

#[cfg(test)]
mod tests {
    use super::super::story::tests::versions;
    use super::super::story::{Answers, Second};
    use super::*;
    use leadsman_view::svg::marks::Tone;

    /// Both releases as they should go, with the wobble that clients see.
    fn both_releases() -> Story {
        // Version, and how many of a second's 200 requests it answers.
        let newest = |at: usize| match at {
            0..13 => (0, 200),
            13..30 => (1, 20),
            30..46 => (1, 100),
            78..85 => (2, 20),
            _ => (1, 200),
        };
        let wobbles = [0, 3, 1, 4, 2, 0, 5, 3, 1, 2, 4];
        let seconds = (0..100).zip(wobbles.into_iter().cycle()).map(|(at, wobble)| {
            let (version, part) = newest(at);
            let all = if part < 200 { part + wobble - 2 } else { part };
            let mut second = Second { answers: vec![Answers::default(); 3] };
            second.answers[version] = Answers { all, failed: if version == 2 { 4 + wobble } else { 0 } };
            second.answers[version.saturating_sub(1)].all += 200 - all;
            second
        });
        let decision = |at: f64, label: &str, tone| Decision { at, label: label.to_owned(), tone };
        Story {
            versions: versions(),
            seconds: seconds.collect(),
            weights: vec![
                (0.0, 0.0),
                (12.6, 10.0),
                (29.8, 50.0),
                (45.5, 100.0),
                (52.0, 0.0),
                (77.9, 10.0),
                (84.6, 0.0),
            ],
            selected: Vec::new(),
            decisions: vec![
                decision(5.0, "v2 declared", Tone::Plain),
                decision(14.8, "step 1/4", Tone::Plain),
                decision(24.9, "step 2/4", Tone::Plain),
                decision(31.9, "step 3/4", Tone::Plain),
                decision(42.0, "step 4/4", Tone::Plain),
                decision(54.2, "v2 promoted", Tone::Good),
                decision(61.5, "v3 declared", Tone::Plain),
                decision(79.9, "step 1/4", Tone::Plain),
                decision(84.5, "analysis failed", Tone::Bad),
                decision(88.8, "rolled back", Tone::Bad),
            ],
            limit: Some(0.95),
            captions: vec!["20,000 requests; 42 failed, all of them in v3 <itself> & nowhere else".to_owned()],
        }
    }

    #[test]
    fn everything_of_the_story_is_in_the_picture() {
        let svg = draw(&both_releases(), "Two releases");
        for words in ["Two releases", "v2, good", "v3, 30% errors", "analysis failed", "promoted", "seconds", "100%"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(svg.contains("&lt;itself&gt; &amp; nowhere"));
        // A file to look at: LEADSMAN_PICTURE=/tmp/picture.svg cargo test -p leadsman-e2e --lib picture
        if let Some(path) = std::env::var_os("LEADSMAN_PICTURE") {
            std::fs::write(path, svg).unwrap();
        }
    }

    #[test]
    fn a_story_of_nothing_is_still_a_picture() {
        let svg = draw(&Story::default(), "Nothing");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn what_the_service_selects_is_a_strip_of_its_versions() {
        let selected = vec![(0.0, vec![0]), (2.0, vec![0, 1]), (5.0, vec![1])];
        let story = Story { seconds: vec![Second::default(); 10], versions: versions(), selected, ..Story::default() };
        let svg = draw(&story, "");
        let at = |second: f64| (RIGHT - LEFT).mul_add(second / 10.0, LEFT);
        let part = |version: usize, from: f64, to: f64, (top, height): (f64, f64)| {
            let (x, width) = (at(from), at(to) - at(from));
            format!(
                r#"<rect class="area s{version} f{version}" x="{x:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}""#
            )
        };
        for part in [
            part(0, 0.0, 2.0, (271.0, 14.0)),
            part(0, 2.0, 5.0, (271.0, 7.0)),
            part(1, 2.0, 5.0, (278.0, 7.0)),
            part(1, 5.0, 10.0, (271.0, 14.0)),
        ] {
            assert!(svg.contains(&part), "{part}\n{svg}");
        }
        assert!(svg.contains(">v1 + v2<") && svg.contains(">selected<") && !svg.contains("weight in the route"));
        if let Some(path) = std::env::var_os("LEADSMAN_PICTURE_OF_SELECTIONS") {
            let story = Story { weights: Vec::new(), selected: story.selected, ..both_releases() };
            std::fs::write(path, draw(&story, "Two releases")).unwrap();
        }
    }

    #[test]
    fn the_weight_is_drawn_as_steps_at_the_instants_of_its_writes() {
        let story = Story {
            seconds: vec![Second::default(); 10],
            weights: vec![(0.0, 0.0), (5.0, 50.0)],
            versions: versions(),
            ..Story::default()
        };
        let (middle, right) = (f64::midpoint(LEFT, RIGHT), RIGHT);
        let svg = draw(&story, "");
        assert!(svg.contains(&format!("d=\"M{LEFT:.1} 268.0H{middle:.1}V193.0H{right:.1}\"")), "{svg}");
    }
}
