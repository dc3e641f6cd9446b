//! Uids as they are kept: there are ten of them for each Rollout, and as text each would take a place of its own.

use std::fmt;

use serde::{Serialize, Serializer};

/// `metadata.uid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uid {
    /// As API servers make them: a UUID in small letters.
    Uuid([u8; 16]),
    /// Any other text.
    Text(Box<str>),
}

/// The places of the dashes among the digits of a UUID.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl Uid {
    /// Of what stands in an object.
    pub fn of(text: &str) -> Self {
        uuid(text).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }
}

/// The bytes of a UUID, where the text is exactly what they are written as.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let is_dash = |place: usize| DASHES.contains(&place);
    let is_well_formed = text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match byte {
            b'-' => is_dash(place),
            b'0'..=b'9' | b'a'..=b'f' => !is_dash(place),
            _ => false,
        });
    let digits: String = is_well_formed.then(|| text.chars().filter(|digit| *digit != '-').collect())?;
    Some(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes())
}

impl Default for Uid {
    fn default() -> Self {
        Self::Text(Box::default())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(bytes) => bytes.iter().enumerate().try_for_each(|(index, byte)| {
                let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
                write!(f, "{dash}{byte:02x}")
            }),
        }
    }
}

impl Serialize for Uid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_uid_is_it_is_written_as_it_was(
            text in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[-0-9a-fA-F]{34,37}|.{0,40}"
        ) {
            prop_assert_eq!(Uid::of(&text).to_string(), text);
        }
    }

    #[test]
    fn a_uuid_takes_no_place_of_its_own_and_other_texts_are_no_uuids() {
        assert!(matches!(Uid::of("01234567-89ab-cdef-0123-456789abcdef"), Uid::Uuid(_)));
        for text in ["", "u", "0123456789ab-cdef-0123-4567-89abcdef0", "01234567-89AB-cdef-0123-456789abcdef"] {
            assert_eq!(Uid::of(text), Uid::Text(text.into()));
        }
    }
}
