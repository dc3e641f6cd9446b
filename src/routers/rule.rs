//! One rule of a route, whatever its kind: which backends it names, what share it gives to the canary, and the
//! operations that change that share.

use leadsman_core::names::Side;
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::Backends;

/// A rule that names backends.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    /// Where it stands, for people: `spec.rules[2]`.
    pub at: String,
    /// Its backends, in their order.
    pub backends: Vec<Backend<'a>>,
    /// True where a single backend gets all traffic, whatever its weight (VirtualService).
    pub single_gets_all: bool,
}

/// A backend of a rule.
#[derive(Debug)]
pub(super) struct Backend<'a> {
    /// JSON pointer to the object that has the weight.
    pub pointer: String,
    /// JSON pointer to the name.
    pub name_pointer: String,
    /// The name as it stands there.
    pub name: &'a str,
    /// Which of our Services it is, if it is one.
    pub side: Option<Side>,
    /// Its weight, or what it counts as where none is given; `None` for what is no weight.
    pub weight: Option<u64>,
}

/// The canary's share in a rule, rounded both ways; the two are equal only where it is a whole number of percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Rounded down.
    pub least: Weight,
    /// Rounded up.
    pub most: Weight,
}

/// A weight to be written: JSON pointer to the backend, and the number.
pub(super) type Written = (String, u64);

impl Rule<'_> {
    fn of(&self, side: Side) -> impl Iterator<Item = &Backend<'_>> {
        self.backends.iter().filter(move |backend| backend.side == Some(side))
    }

    pub fn names_canary(&self) -> bool {
        self.of(Side::Canary).next().is_some()
    }

    pub fn names_both(&self) -> bool {
        self.names_canary() && self.of(Side::Stable).next().is_some()
    }

    /// Names each Service once, and nothing else.
    fn is_plain(&self) -> bool {
        self.names_both() && self.backends.len() == 2
    }

    fn sum(&self, side: Option<Side>) -> Option<u128> {
        let counted = self.backends.iter().filter(|backend| side.is_none() || backend.side == side);
        counted.map(|backend| backend.weight.map(u128::from)).sum()
    }

    /// The canary's share. Where weights mean nothing (none above 0, or not a number) it is anything from 0 to 100%.
    pub fn share(&self) -> Share {
        if self.single_gets_all && self.backends.len() == 1 && self.names_canary() {
            return Share { least: Weight::FULL, most: Weight::FULL };
        }
        let unknown = Share { least: Weight::ZERO, most: Weight::FULL };
        let (Some(canary), Some(sum)) = (self.sum(Some(Side::Canary)), self.sum(None)) else { return unknown };
        if sum == 0 {
            return unknown;
        }
        let percent = |value: u128| Weight::clamped(u32::try_from(value).unwrap_or(100));
        Share { least: percent(canary * 100 / sum), most: percent((canary * 100).div_ceil(sum)) }
    }

    /// What is wrong with this rule, and what to do about it. `named` rules were asked for by name.
    pub fn wrong(&self, backends: &Backends<'_>, named: bool) -> Option<String> {
        let Backends { stable, canary, .. } = backends;
        let at = &self.at;
        if !self.names_canary() {
            return named
                .then(|| format!("{at} does not name {stable} and {canary}: name both, or take it off the list"));
        }
        if !self.names_both() {
            return Some(format!(
                "{at} names {canary} without {stable}: add {stable} to it, or remove {canary} from it"
            ));
        }
        if let Some(third) = self.backends.iter().find(|backend| backend.side.is_none()) {
            let third = third.name;
            return Some(format!("{at} names {third} beside {stable} and {canary}: move {third} to a rule of its own"));
        }
        for side in [Side::Stable, Side::Canary] {
            if self.of(side).count() > 1 {
                return Some(format!("{at} names {} more than once: name it once", backends.name(side)));
            }
        }
        match self.sum(None) {
            None => Some(format!("{at} has a weight that is not a whole number: write one, such as 100 and 0")),
            Some(0) => Some(format!("{at} has no weight above 0, so it answers nothing: give {stable} the weight 100")),
            Some(_) => None,
        }
    }

    /// The weights that give the canary this share of what the two Services get together; nothing where the rule does
    /// not name both.
    pub fn weights(&self, weight: Weight) -> Vec<Written> {
        if !self.names_both() {
            return Vec::new();
        }
        // A third backend keeps its share: the two divide between them what they have.
        let pair = match (self.sum(Some(Side::Stable)), self.sum(Some(Side::Canary))) {
            (Some(stable), Some(canary)) if self.backends.iter().any(|backend| backend.side.is_none()) => {
                u64::try_from(stable + canary).unwrap_or(0)
            }
            _ => 0,
        };
        let pair = if pair == 0 { 100 } else { pair };
        let canary = u64::try_from(u128::from(pair) * u128::from(weight.percent()) / 100).unwrap_or(0);
        let mut left = [(Side::Stable, pair - canary.min(pair)), (Side::Canary, canary)];
        let mut written = Vec::new();
        for backend in &self.backends {
            // A Service that is named again gets nothing there.
            if let Some((_, amount)) = left.iter_mut().find(|(side, _)| backend.side == Some(*side)) {
                written.push((backend.pointer.clone(), std::mem::take(amount)));
            }
        }
        written
    }

    /// The operations of a JSON patch that write [`Self::weights`]; none where the rule has that share.
    pub fn operations(&self, weight: Weight) -> Vec<Value> {
        let weights = self.weights(weight);
        let has = |(pointer, amount): &Written| {
            self.backends.iter().any(|backend| backend.pointer == *pointer && backend.weight == Some(*amount))
        };
        let share = Share { least: weight, most: weight };
        if weights.iter().all(has) || (self.is_plain() && self.share() == share) {
            return Vec::new();
        }
        let named = self.backends.iter().filter(|backend| backend.side.is_some());
        let tests = named.map(|backend| json!({"op": "test", "path": backend.name_pointer, "value": backend.name}));
        // "add" replaces a member that exists.
        let writes = weights
            .iter()
            .map(|(pointer, amount)| json!({"op": "add", "path": format!("{pointer}/weight"), "value": amount}));
        tests.chain(writes).collect()
    }
}

/// A weight as it stands in a route: `absent` where none is given, `None` for what is no weight.
pub(super) fn weight(backend: &Value, absent: u64) -> Option<u64> {
    match backend.get("weight") {
        None | Some(Value::Null) => Some(absent),
        Some(weight) => weight.as_u64(),
    }
}
