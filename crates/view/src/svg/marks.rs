//! Instants that matter, as lines through all lanes with a label above.

use super::Pen;
use super::labels::{self, Place};

/// Letters that are bold take so much more than others.
const BOLD: f64 = 1.15;
/// A label may come so near to the right edge.
const MARGIN: f64 = 6.0;
/// A line begins so far above the baseline of its label.
const ABOVE: f64 = 9.0;

/// What an instant was about; gives it its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something began, or went a step further.
    Plain,
    /// It ended as wished.
    Good,
    /// It was taken back.
    Bad,
}

/// An instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where it is.
    pub x: f64,
    /// In a word or two.
    pub label: String,
    /// How to look at it.
    pub tone: Tone,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// Draws them in the order of their places: labels on the baselines `rows` of a picture so wide, lines down to `bottom`.
pub fn draw(pen: &mut Pen, marks: &[Mark], rows: &[f64; labels::ROWS], (width, bottom): (f64, f64)) {
    let weight = |mark: &Mark| if mark.tone == Tone::Plain { 1.0 } else { BOLD };
    let wanted: Vec<_> = marks.iter().map(|it| (it.x, labels::width(&it.label) * weight(it))).collect();
    let places = labels::places(&wanted, width - MARGIN);
    let height = |place: &Place| rows.get(place.row).copied().unwrap_or_default();
    for (mark, place) in marks.iter().zip(&places) {
        pen.line(&format!("mark {}", mark.tone.class()), (mark.x, height(place) - ABOVE), (mark.x, bottom));
    }
    // After all lines, so that each is seen to go behind the labels it passes.
    for (mark, place) in marks.iter().zip(&places) {
        let anchor = if place.to_the_left { "end" } else { "start" };
        // The class of a dotted line would dot the letters as well.
        let class = if mark.tone == Tone::Plain { "halo".to_owned() } else { format!("halo {}", mark.tone.class()) };
        pen.text(&class, anchor, (place.text_at, height(place)), &mark.label);
    }
}
