//! JSON as it is kept. Of thousands of Rollouts nearly all rest, and are parsed only in a pass that needs them; all of them say much
//! in the same words.

use std::sync::LazyLock;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde_json::Value;

/// What Rollouts and routes say, in the order in which JSON is written: each part of it is a few bytes of what is packed.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let typical = serde_json::from_str::<Value>(include_str!("typical.json")).unwrap_or_default();
    let objects = typical.as_array().into_iter().flatten();
    objects.flat_map(|object| serde_json::to_vec(object).unwrap_or_default()).collect()
});

/// A JSON value, packed.
#[derive(Clone, Debug, Default)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Packs a value.
    pub fn of(value: &impl Serialize) -> Self {
        let text = serde_json::to_vec(value).unwrap_or_default();
        Self(compress_prepend_size_with_dict(&text, &DICTIONARY).into())
    }

    /// The text.
    pub fn text(&self) -> Vec<u8> {
        decompress_size_prepended_with_dict(&self.0, &DICTIONARY).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::shapes::anything;

    #[test]
    fn what_is_typical_takes_little() {
        let typical: Value = serde_json::from_str(include_str!("typical.json")).unwrap();
        for object in typical.as_array().unwrap() {
            let (packed, text) = (Packed::of(object), object.to_string());
            assert_eq!(packed.text(), text.as_bytes());
            assert!(packed.0.len() * 8 < text.len(), "{} of {}", packed.0.len(), text.len());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_packed_is_had_again(object in anything()) {
            prop_assert_eq!(Packed::of(&object).text(), serde_json::to_vec(&object).unwrap());
        }
    }

    #[test]
    fn an_empty_object_is_one() {
        assert_eq!(Packed::of(&json!({})).text(), b"{}");
    }
}
