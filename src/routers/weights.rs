//! The numbers that bring a rule to a split.
//!
//! The canary gets its percentage of what both Services have together; a third backend keeps its share of the whole,
//! exactly. Where a percentage of what the two have is no whole number, the weights of the whole rule are written anew, in
//! the smallest numbers of the same shares.

use leadsman_core::names::Side;
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::json::quoted;
use super::rule::{Rule, Share};

/// The largest weight that the Gateway API takes.
const LARGEST: u128 = 1_000_000;

/// A weight to be written: JSON pointer to the backend, and the number.
pub(super) type Written = (String, u64);

/// The weights that give the canary this share of what the two Services get together; nothing where the rule is not split
/// or does not name both.
pub(super) fn weights(rule: &Rule<'_>, weight: Weight) -> Vec<Written> {
    if !rule.is_written() {
        return Vec::new();
    }
    let percent = u128::from(weight.percent());
    let is_alone = rule.others().next().is_none();
    let pair = match rule.pair() {
        // Nothing of the pair can be divided, and the third keeps what it has.
        Some(0) if rule.others().any(|other| other.weight != Some(0)) => 0,
        Some(pair) if !is_alone && pair > 0 => pair,
        _ => 100,
    };
    let exact = (pair <= LARGEST && (pair * percent).is_multiple_of(100)).then(|| of_pair(rule, pair, percent));
    // Where no numbers give each its share, which is a problem with the rule, the two are still brought as near as can be.
    exact.or_else(|| scaled(rule, pair, percent)).unwrap_or_else(|| of_pair(rule, pair.min(LARGEST), percent))
}

/// The two Services' weights, where their sum and the canary's percentage of it are given. A Service that is named again
/// gets nothing there.
fn of_pair(rule: &Rule<'_>, pair: u128, percent: u128) -> Vec<Written> {
    let canary = pair * percent / 100;
    let mut left = [(Side::Stable, pair - canary), (Side::Canary, canary)];
    let mut written = Vec::new();
    for backend in &rule.backends {
        if let Some((_, amount)) = left.iter_mut().find(|(side, _)| backend.side == Some(*side)) {
            written.push((backend.pointer.clone(), u64::try_from(std::mem::take(amount)).unwrap_or(u64::MAX)));
        }
    }
    written
}

/// All weights of a rule in the smallest whole numbers that give each exactly its share; `None` where these are too large
/// for the API, or another backend's weight is not known.
fn scaled(rule: &Rule<'_>, pair: u128, percent: u128) -> Option<Vec<Written>> {
    let others: Option<Vec<u128>> = rule.others().map(|other| Some(u128::from(other.weight?) * 100)).collect();
    let (others, canary) = (others?, pair * percent);
    let stable = pair * 100 - canary;
    let divisor = others.iter().copied().fold(gcd(stable, canary), gcd).max(1);
    let largest = others.iter().copied().chain([stable, canary]).max()?;
    if largest / divisor > LARGEST {
        return None;
    }
    let mut written = of_pair(rule, (stable + canary) / divisor, percent);
    for (other, amount) in rule.others().zip(others) {
        written.push((other.pointer.clone(), u64::try_from(amount / divisor).ok()?));
    }
    Some(written)
}

/// Whether every percentage of what the two Services have can be written exactly.
pub(super) fn can_be_exact(rule: &Rule<'_>) -> bool {
    let Some(pair) = rule.pair() else { return false };
    if rule.others().next().is_none() || (pair <= LARGEST && pair.is_multiple_of(100)) {
        return true;
    }
    let others: Option<Vec<u128>> = rule.others().map(|other| other.weight.map(u128::from)).collect();
    let Some(others) = others else { return false };
    let divisor = others.iter().copied().fold(pair, gcd).max(1);
    others.into_iter().chain([pair]).all(|weight| weight / divisor * 100 <= LARGEST)
}

/// What is worth knowing of a rule whose third backends are written at times: whoever puts Git's numbers back for them
/// alone changes their share.
pub(super) fn warning(rule: &Rule<'_>) -> Option<String> {
    let pair = rule.pair().filter(|pair| rule.is_written() && *pair > 0 && !pair.is_multiple_of(100))?;
    let third = rule.others().find(|other| other.weight.is_some_and(|weight| weight > 0))?;
    Some(format!(
        "{at} gives both Services {pair} together, of which most percentages are no whole number, so the weight of {name} is \
         written as well: multiply all weights of the rule so that the two have 100, 200 or the like",
        at = rule.at,
        name = quoted(third.name),
    ))
}

/// The operations of a JSON patch that write [`weights`]; none where the rule has that share. Names are tested at each place
/// that is written to.
pub(super) fn operations(rule: &Rule<'_>, weight: Weight) -> Vec<Value> {
    let is_there = rule.names_each_once() && rule.share() == Share::exactly(weight);
    let written = weights(rule, weight);
    let place = |(pointer, _): &Written| rule.backends.iter().find(|backend| backend.pointer == *pointer);
    let has = |wanted: &Written| place(wanted).is_some_and(|backend| backend.weight == Some(wanted.1));
    if is_there || written.iter().all(has) {
        return Vec::new();
    }
    let tests = written.iter().filter_map(place);
    let tests = tests.map(|backend| json!({"op": "test", "path": backend.name_pointer, "value": backend.name}));
    // "add" replaces a member that exists.
    let writes = written
        .iter()
        .map(|(pointer, amount)| json!({"op": "add", "path": format!("{pointer}/weight"), "value": amount}));
    tests.chain(writes).collect()
}

fn gcd(one: u128, other: u128) -> u128 {
    if other == 0 { one } else { gcd(other, one % other) }
}
