//! SVG as text.

use std::fmt::Write as _;

/// From a quantity to a coordinate.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    from: f64,
    origin: f64,
    factor: f64,
}

impl Scale {
    /// The quantities `from.0` and `from.1` are at the coordinates `to.0` and `to.1`.
    pub fn new(from: (f64, f64), to: (f64, f64)) -> Self {
        Self { from: from.0, origin: to.0, factor: (to.1 - to.0) / (from.1 - from.0) }
    }

    /// Where a quantity is.
    pub fn at(self, quantity: f64) -> f64 {
        (quantity - self.from).mul_add(self.factor, self.origin)
    }
}

/// Writes elements one behind the other, of the classes of [`STYLE`](super::STYLE), at coordinates in pixels. Writing to a string does
/// not fail.
#[derive(Debug, Default)]
pub struct Pen(String);

impl Pen {
    /// Begins a picture of this size. The title is read out to those who do not see it.
    pub fn open(&mut self, width: f64, height: f64, title: &str, style: &str) {
        let _ = writeln!(
            self.0,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{title}">"#,
            title = escaped(title)
        );
        let _ = writeln!(self.0, "<style>{style}</style>");
    }

    /// Ends it: the whole text.
    pub fn close(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    /// A rectangle with its upper left corner, and the radius of its corners.
    pub fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64), radius: f64) {
        let ((x, y), (width, height)) = (at, size);
        let _ = writeln!(
            self.0,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius}"/>"#
        );
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(self.0, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
    }

    /// A path in SVG's own words.
    pub fn path(&mut self, class: &str, d: &str) {
        let _ = writeln!(self.0, r#"<path class="{class}" d="{d}"/>"#);
    }

    /// A small circle.
    pub fn dot(&mut self, class: &str, at: (f64, f64)) {
        let (x, y) = at;
        let _ = writeln!(self.0, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="1.8"/>"#);
    }

    /// Text on its baseline, that begins, ends or has its middle there: `start`, `end` or `middle`.
    pub fn text(&mut self, class: &str, anchor: &str, at: (f64, f64), words: &str) {
        let (x, y) = at;
        let class = if class.is_empty() { String::new() } else { format!(r#" class="{class}""#) };
        let words = escaped(words);
        let _ = writeln!(self.0, r#"<text{class} text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{words}</text>"#);
    }

    /// Written from below to above, around its middle.
    pub fn upright(&mut self, at: (f64, f64), words: &str) {
        let (x, y) = at;
        let words = escaped(words);
        let turned = format!("rotate(-90 {x:.1} {y:.1})");
        let _ =
            writeln!(self.0, r#"<text text-anchor="middle" x="{x:.1}" y="{y:.1}" transform="{turned}">{words}</text>"#);
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn a_scale_may_run_downwards() {
        let scale = Scale::new((0.0, 1.0), (200.0, 100.0));
        assert!((scale.at(0.25) - 175.0).abs() < 1e-9);
    }
}
