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

/// Digits with their thousands apart: 1,149.
pub fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Characters of an image's digest that are shown.
const SHORT_DIGEST: usize = 12;

/// What people call an image by: its tag, the beginning of its digest, or its name. Without a container before it.
pub fn image_version(image: &str) -> String {
    let (named, digest) = image.split_once('@').map_or((image, None), |(named, digest)| (named, Some(digest)));
    let name = named.rsplit('/').next().unwrap_or(named);
    match (name.split_once(':'), digest) {
        (Some((_, tag)), _) => tag.to_owned(),
        (None, Some(digest)) => digest.rsplit(':').next().unwrap_or(digest).chars().take(SHORT_DIGEST).collect(),
        (None, None) => name.to_owned(),
    }
}

/// The image of `container=image`.
pub fn without_container(image: &str) -> &str {
    image.split_once('=').map_or(image, |(_, image)| image)
}

/// An error with its causes, each on one line and cut after `most` characters: what happened stands in the last of them.
pub fn with_causes(error: &dyn std::error::Error, most: usize) -> String {
    let mut text = one_line(&error.to_string(), most);
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = one_line(&next.to_string(), most);
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_is_called_by_its_tag_else_by_its_digest_else_by_its_name() {
        let version = |image| image_version(without_container(image));
        assert_eq!(version("cart=registry.example:5000/shop/cart:1.4.2"), "1.4.2");
        assert_eq!(version("cart=cart:1.4.2@sha256:0123456789abcdef0123"), "1.4.2");
        assert_eq!(version("cart=cart@sha256:0123456789abcdef0123"), "0123456789ab");
        assert_eq!(version("cart=registry.example:5000/shop/cart"), "cart");
    }

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
