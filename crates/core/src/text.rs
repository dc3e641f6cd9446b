//! Text from outside, made fit for a line of the log and a field of a status.

/// A text on one line, cut after `most` characters. Each run of white space becomes one space. Each character that a
/// terminal or a reader would obey (control characters, marks that turn the direction of writing) becomes U+FFFD: what
/// somebody else wrote must not look like a line of ours.
pub fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let gap = (length > 0).then_some(' ');
        for character in gap.into_iter().chain(word.chars()) {
            if length == most {
                line.push('…');
                return line;
            }
            line.push(if is_obeyed(character) { char::REPLACEMENT_CHARACTER } else { character });
            length += 1;
        }
    }
    line
}

fn is_obeyed(character: char) -> bool {
    let turns_direction = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || turns_direction
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn line_breaks_of_all_kinds_become_one_space() {
        assert_eq!(
            one_line("  no org id\r\n\tlevel=error\u{2028}\u{85} msg=forged\n", 100),
            "no org id level=error msg=forged"
        );
    }

    #[test]
    fn what_a_terminal_or_a_reader_obeys_is_made_visible() {
        assert_eq!(one_line("\u{1b}[2J\u{9b}x\u{0}", 100), "\u{fffd}[2J\u{fffd}x\u{fffd}");
        assert_eq!(one_line("a\u{202e}b\u{2066}c", 100), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line("äö ü", 3), "äö …");
        assert_eq!(one_line("äöü", 0), "…");
    }

    proptest! {
        #[test]
        fn no_text_leaves_more_than_one_short_line(text: String, most in 0..50_usize) {
            let line = one_line(&text, most);
            prop_assert!(line.chars().count() <= most + 1);
            prop_assert!(!line.chars().any(|it| is_obeyed(it) || (it.is_whitespace() && it != ' ')), "{line:?}");
        }
    }
}
