//! What outsiders may write: sound objects with parts of them replaced by anything at all, for property tests.
//!
//! Arbitrary JSON alone is refused at the first field and shows little; one wrong part in an otherwise sound object gets as
//! far into the code as it can.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Texts that mean something to one parser or another.
const TEXTS: [&str; 19] = [
    "",
    " ",
    "0",
    "-1s",
    "99999999999999999999h",
    "1m30s",
    "2026-11-23T12:00:00Z",
    "+999999-13-45",
    "{{",
    "{{window}}",
    "{{args.threshold}}",
    "promote/abc/1",
    "value >",
    "result.all(v, v > 0.0)",
    "http://[::1",
    "a/b~c",
    "ä\u{0}\u{202e}",
    "True",
    "podinfo-canary",
];

/// Any JSON.
pub fn anything() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![prop::sample::select(TEXTS.to_vec()).prop_map(str::to_owned), "\\PC{0,20}"];
    json(texts, "[a-zA-Z./~]{0,8}")
}

/// Any JSON with these texts and these keys.
pub fn json(
    texts: impl Strategy<Value = String> + 'static,
    keys: impl Strategy<Value = String> + Clone + 'static,
) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        2 => texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 96, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((keys.clone(), inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// One part spoiled: which, counted through the whole value, and how.
#[derive(Clone, Debug)]
enum How {
    Replaced(Value),
    LeftOut,
    Repeated(usize),
}

/// A sound value with up to three of its parts replaced by anything, left out, or repeated.
pub fn spoiled(sound: Value) -> impl Strategy<Value = Value> {
    let how = prop_oneof![
        4 => anything().prop_map(How::Replaced),
        1 => Just(How::LeftOut),
        1 => (1..200_usize).prop_map(How::Repeated),
    ];
    vec((any::<prop::sample::Index>(), how), 0..4).prop_map(move |changes| {
        let mut value = sound.clone();
        for (which, how) in changes {
            let chosen = which.index(parts(&value));
            value = spoil(value, &mut 0, chosen, &how).unwrap_or_default();
        }
        value
    })
}

fn parts(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(parts).sum(),
        Value::Object(members) => members.values().map(parts).sum(),
        _ => 0,
    }
}

fn spoil(value: Value, index: &mut usize, chosen: usize, how: &How) -> Option<Value> {
    let here = *index == chosen;
    *index += 1;
    if here {
        return match how {
            How::Replaced(other) => Some(other.clone()),
            How::LeftOut => None,
            How::Repeated(times) => Some(Value::Array(vec![value; *times])),
        };
    }
    Some(match value {
        Value::Array(items) => items.into_iter().filter_map(|item| spoil(item, index, chosen, how)).collect(),
        Value::Object(members) => {
            let kept = members.into_iter().filter_map(|(key, item)| Some((key, spoil(item, index, chosen, how)?)));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        leaf => leaf,
    })
}
