//! A picture of what a gate knows, look by look: three releases and the line that rolls back.

use std::fmt::Write as _;

use leadsman_core::analysis::proportion::trials::{Revision, limited_to};
use leadsman_core::analysis::proportion::{Gate, Share};
use leadsman_core::dice::Dice;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;
const LOOKS: u32 = 30;
/// Powers of ten that are shown.
const LOWEST: f64 = -1.0;
const HIGHEST: f64 = 2.0;

/// The picture, in SVG.
pub fn draw() -> String {
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"12\" fill=\"#57606a\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\" fill=\"#24292f\">Evidence against a canary, limit 1%, 100 requests a look</text>"
    );
    for (evidence, words) in [(0.1, "0.1"), (1.0, "1: none"), (10.0, "10"), (100.0, "100")] {
        let y = height_of(evidence);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#d0d7de\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{words}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
    }
    let threshold = height_of(20.0);
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{threshold:.1}\" x2=\"{:.1}\" y2=\"{threshold:.1}\" stroke=\"#cf222e\" \
         stroke-dasharray=\"6 4\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"#cf222e\">20: rolled back</text>",
        WIDTH - RIGHT,
        WIDTH - RIGHT + 8.0,
        threshold + 4.0
    );
    for (rate, colour, words, seed) in
        [(0.003, "#1a7f37", "0.3% fail", 3), (0.01, "#bf8700", "1% fail", 8), (0.03, "#cf222e", "3% fail", 5)]
    {
        let line = evidence(rate, seed);
        let points: Vec<String> = line.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (x, y) = line.last().copied().unwrap_or_default();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><circle cx=\"{x:.1}\" \
             cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{words}</text>",
            points.join(" "),
            x + 8.0,
            y + if rate > 0.02 { -8.0 } else { 4.0 },
        );
    }
    for look in (0..=LOOKS).step_by(5) {
        let (x, y) = (place_of(look), HEIGHT - BOTTOM + 18.0);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{look}</text>");
    }
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.1}\">looks</text>\n</svg>", HEIGHT - 8.0);
    svg
}

/// Look by look, until it fails.
fn evidence(rate: f64, seed: u64) -> Vec<(f64, f64)> {
    let (proportion, mut dice) = (limited_to(Share(10_000)), Dice::new(seed));
    let mut gate = Gate::default();
    let mut line = vec![(place_of(0), height_of(1.0))];
    for look in 1..=LOOKS {
        gate.count(&proportion, Revision::failing(rate).counts(&mut dice, 100), None);
        line.push((place_of(look), height_of(gate.evidence().0)));
        if gate.failed.is_some() {
            break;
        }
    }
    line
}

fn place_of(look: u32) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * f64::from(look) / f64::from(LOOKS)
}

fn height_of(evidence: f64) -> f64 {
    let power = evidence.log10().clamp(LOWEST, HIGHEST);
    TOP + (HEIGHT - TOP - BOTTOM) * (HIGHEST - power) / (HIGHEST - LOWEST)
}
