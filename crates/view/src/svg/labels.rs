//! Where the labels of decisions go: beside their line, in rows, so that none covers another.

/// Rows that there are.
pub const ROWS: usize = 3;
/// Between two labels of a row.
const GAP: f64 = 8.0;
/// Between a line and its label.
const BESIDE: f64 = 4.0;

/// The place of a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Row, from above.
    pub row: usize,
    /// Where it begins, or ends if it is to the left of its line.
    pub text_at: f64,
    /// Whether it ends at its line instead of beginning there.
    pub to_the_left: bool,
}

/// About what a text takes in the picture's font.
pub fn width(words: &str) -> f64 {
    words.chars().count() as f64 * 5.9
}

/// For each line, given by its coordinate and the width of its label in the order of the coordinates, the place of its
/// label. The lowest row with room is taken; where none has, the one that ends first.
pub fn places(wanted: &[(f64, f64)], right: f64) -> Vec<Place> {
    let mut ends = [f64::NEG_INFINITY; ROWS];
    let mut found = Vec::new();
    for (x, width) in wanted {
        let to_the_left = x + BESIDE + width > right;
        let text_at = if to_the_left { x - BESIDE } else { x + BESIDE };
        let (from, to) = if to_the_left { (text_at - width, *x) } else { (*x, text_at + width) };
        let free = (0..ends.len()).rev().find(|row| ends.get(*row).is_some_and(|end| end + GAP <= from));
        let first_to_end = || (0..ends.len()).min_by(|a, b| end_of(&ends, *a).total_cmp(&end_of(&ends, *b)));
        let row = free.or_else(first_to_end).unwrap_or_default();
        if let Some(end) = ends.get_mut(row) {
            *end = to;
        }
        found.push(Place { row, text_at, to_the_left });
    }
    found
}

fn end_of(ends: &[f64], row: usize) -> f64 {
    ends.get(row).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_meet_go_into_rows_of_their_own() {
        let places = places(&[(100.0, 20.0), (110.0, 20.0), (115.0, 30.0), (400.0, 20.0)], 900.0);
        assert_eq!(places.iter().map(|it| it.row).collect::<Vec<_>>(), [2, 1, 0, 2]);
    }

    #[test]
    fn a_label_that_would_leave_the_picture_is_written_before_its_line() {
        let place = places(&[(895.0, width("rolled back"))], 900.0)[0];
        assert!(place.to_the_left && place.text_at < 895.0);
    }
}
