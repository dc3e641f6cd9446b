//! A status is what anybody may write who may write a status: by hand, from a backup, by another version of the operator. What
//! can be read of it must not make a plan panic, whatever stands in it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Number, Value};

use super::faults::Faults;
use super::run::Run;
use super::world::Dice;
use crate::plan::plan;
use crate::state::State;

/// Statuses tried.
const TRIED: u64 = 10_000;

#[test]
fn no_status_that_can_be_read_makes_a_plan_panic() {
    let mut read = 0;
    let mut seed = 0;
    while read < TRIED {
        seed += 1;
        let mut run = Run::new(seed, Faults { people: true, pods_fail: true, ..Faults::default() });
        let mut dice = Dice::new(seed);
        let moment = run.world.later(dice.up_to(600_000));
        run.until_then(moment);
        let Some(state) = run.world.status.clone() else { continue };
        let sound = serde_json::to_value(&state).unwrap();
        assert!(
            !has_null(&sound),
            "it would not come through Lua, as which Argo CD's actions read and write it: {sound}"
        );
        let observed = run.process.observe(&run.world, &run.rollout);
        for _ in 0..40 {
            let mut spoiled = sound.clone();
            for _ in 0..=dice.below(3) {
                spoil(&mut spoiled, &mut dice);
            }
            let Ok(state) = serde_json::from_value::<State>(spoiled) else { continue };
            read += 1;
            let decided = plan(&run.rollout, Some(&state), &observed);
            // And once more on what came of it: it would be persisted.
            let mut later = observed.clone();
            later.now = later.now.checked_add(SignedDuration::from_secs(30)).unwrap();
            plan(&run.rollout, decided.state.as_ref(), &later);
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

/// Replaces one part of a value, drawn evenly from all of them.
fn spoil(value: &mut Value, dice: &mut Dice) {
    let chosen = dice.below(parts(value));
    let mut index = 0;
    replace(value, &mut index, chosen, dice);
}

fn parts(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(parts).sum(),
        Value::Object(members) => members.values().map(parts).sum(),
        _ => 0,
    }
}

fn replace(value: &mut Value, index: &mut u64, chosen: u64, dice: &mut Dice) {
    if *index == chosen {
        *value = instead_of(value, dice);
        *index += 1;
        return;
    }
    *index += 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, index, chosen, dice)),
        Value::Object(members) => members.values_mut().for_each(|item| replace(item, index, chosen, dice)),
        _ => {}
    }
}

/// Something of the same kind as often as not: what cannot be read at all shows little.
fn instead_of(value: &Value, dice: &mut Dice) -> Value {
    let edges = [0, 1, 99, 100, 101, u64::from(u32::MAX), i64::MAX.unsigned_abs(), u64::MAX];
    match (value, dice.below(10)) {
        (Value::Number(_), 0..8) => Value::Number(dice.of(&edges).into()),
        (Value::Number(_), 8) => Number::from_f64(1e300).map_or(Value::Null, Value::Number),
        (Value::String(text), 0..8) if text.parse::<Timestamp>().is_ok() => {
            let times = [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH];
            Value::String(dice.of(&times).to_string())
        }
        (Value::String(_), 0..8) => {
            Value::String(dice.of(&["", "v0", "v1", "v9", "ä{{window}}", "result.all(v, v)"]).to_owned())
        }
        (Value::Bool(it), 0..8) => Value::Bool(!it),
        (Value::Array(items), 0..8) => Value::Array(items.iter().chain(items).cloned().collect()),
        (Value::Object(members), 0..8) => {
            let dropped = usize::try_from(dice.below(members.len() as u64)).unwrap();
            Value::Object(
                members.clone().into_iter().enumerate().filter(|(i, _)| *i != dropped).map(|(_, it)| it).collect(),
            )
        }
        (_, 8) => Value::Null,
        _ => Value::Array(Vec::new()),
    }
}
