//! What differs between two pod templates, as a tree.

use crate::images::short_commit;
use crate::line::{Line, Meaning};
use crate::model::{Change, Difference, Named};
use crate::style::Style;
use crate::text::page::{Page, span};

/// The difference as a tree.
pub fn draw(difference: &Difference, style: &Style) -> Vec<Line> {
    let mut page = Page::new(style, jiff::Timestamp::UNIX_EPOCH);
    page.line(vec![span(title("---", &difference.before), Meaning::Bad)]);
    page.line(vec![span(title("+++", &difference.after), Meaning::Good)]);
    let mut shown: Vec<String> = Vec::new();
    for change in &difference.changes {
        shown = draw_change(&mut page, change, &shown);
    }
    let count = match difference.changes.len() {
        0 => "no change".to_owned(),
        1 => "1 change".to_owned(),
        more => format!("{more} changes"),
    };
    page.line(vec![span(count, Meaning::Past)]);
    for note in &difference.notes {
        page.prose(&span("! ", Meaning::Waiting), note, Meaning::Plain);
    }
    page.into_lines()
}

fn title(mark: &str, named: &Named) -> String {
    let commit = named.commit.as_deref().map(short_commit).unwrap_or_default();
    [mark, &named.name, &commit, &named.role].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("  ")
}

/// One change below those headings that were not shown before it; gives back the headings that are shown now.
fn draw_change(page: &mut Page<'_>, change: &Change, shown: &[String]) -> Vec<String> {
    let mut parts = parts(&change.path);
    let name = parts.pop().unwrap_or_default();
    let known = parts.iter().zip(shown).take_while(|(part, shown)| part == shown).count();
    for (depth, part) in parts.iter().enumerate().skip(known) {
        page.line(vec![span(format!("  {}{part}:", "  ".repeat(depth)), Meaning::Plain)]);
    }
    let indent = "  ".repeat(parts.len());
    for (mark, value, meaning) in [("-", &change.before, Meaning::Bad), ("+", &change.after, Meaning::Good)] {
        if let Some(value) = value {
            page.line(vec![span(format!("{mark} {indent}{name}: {value}"), meaning)]);
        }
    }
    parts
}

/// A path in its parts: `containers[cart]`, `env`, `CACHE_TTL`.
fn parts(path: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth) = (Vec::new(), String::new(), 0_usize);
    for character in path.chars() {
        match character {
            '.' if depth == 0 => parts.push(std::mem::take(&mut part)),
            character => {
                depth = match character {
                    '[' => depth + 1,
                    ']' => depth.saturating_sub(1),
                    _ => depth,
                };
                part.push(character);
            }
        }
    }
    match part.strip_suffix(']').and_then(|it| it.split_once('[')) {
        Some((list, name)) if !list.is_empty() => parts.extend([list.to_owned(), name.to_owned()]),
        _ => parts.push(part),
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_parted_at_dots_that_are_not_in_a_name() {
        assert_eq!(parts("containers[cart].env[CACHE_TTL]"), ["containers[cart]", "env", "CACHE_TTL"]);
        assert_eq!(parts("metadata.annotations[a.b/c]"), ["metadata", "annotations", "a.b/c"]);
        assert_eq!(parts("containers[cart].image"), ["containers[cart]", "image"]);
        assert_eq!(parts(""), [""]);
        assert_eq!(parts("]["), ["]["]);
    }
}
