//! One rule of a route, whatever its kind: which backends it names, what share it gives to the canary, and what is wrong
//! with it.

use leadsman_core::names::Side;
use leadsman_core::traffic::Weight;
use serde_json::Value;

use super::Backends;

/// A rule of a route.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    /// Where it stands, for people: `spec.rules[2] (primary)`.
    pub at: String,
    /// True for a rule whose weights follow the Rollout: one that it lists, or, where it lists none, one that names both
    /// Services. All others are left as they are.
    pub is_split: bool,
    /// Its backends, in their order.
    pub backends: Vec<Backend<'a>>,
    /// True where a single backend gets all traffic, whatever its weight (VirtualService).
    pub single_gets_all: bool,
    /// True where `sessionPersistence` keeps a client on the backend that it met first, whatever the weights say later.
    pub keeps_sessions: bool,
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

impl Rule<'_> {
    pub fn of(&self, side: Side) -> impl Iterator<Item = &Backend<'_>> {
        self.backends.iter().filter(move |backend| backend.side == Some(side))
    }

    /// The backends that are neither Service.
    pub fn others(&self) -> impl Iterator<Item = &Backend<'_>> {
        self.backends.iter().filter(|backend| backend.side.is_none())
    }

    pub fn names_canary(&self) -> bool {
        self.of(Side::Canary).next().is_some()
    }

    pub fn names_both(&self) -> bool {
        self.names_canary() && self.of(Side::Stable).next().is_some()
    }

    /// True where its weights are written: it is split, and can be.
    pub fn is_written(&self) -> bool {
        self.is_split && self.names_both()
    }

    pub fn names_each_once(&self) -> bool {
        [Side::Stable, Side::Canary].into_iter().all(|side| self.of(side).count() == 1)
    }

    /// The weights of a side's backends together; `None` where one of them is no weight.
    pub fn sum_of(&self, side: Side) -> Option<u128> {
        self.of(side).map(|backend| backend.weight.map(u128::from)).sum()
    }

    /// The weights of both Services together.
    pub fn pair(&self) -> Option<u128> {
        Some(self.sum_of(Side::Stable)? + self.sum_of(Side::Canary)?)
    }

    /// The weights of all backends together.
    pub fn sum(&self) -> Option<u128> {
        self.backends.iter().map(|backend| backend.weight.map(u128::from)).sum()
    }

    /// The canary's share of what both Services get. Where weights mean nothing (none above 0, or not a number) it is
    /// anything from 0 to 100%; where a third backend gets everything it is nothing.
    pub fn share(&self) -> Share {
        let unknown = Share { least: Weight::ZERO, most: Weight::FULL };
        match (self.sum_of(Side::Canary), self.pair(), self.sum()) {
            (Some(canary), Some(pair), Some(_)) if pair > 0 => Share::of(canary, pair),
            (Some(_), Some(_), Some(sum)) if sum > 0 => Share { least: Weight::ZERO, most: Weight::ZERO },
            _ => unknown,
        }
    }

    /// The most that this rule gives to `canaryService` of everything that passes it.
    pub fn most_of_all(&self) -> Weight {
        match (self.sum_of(Side::Canary), self.sum()) {
            _ if !self.names_canary() => Weight::ZERO,
            _ if self.single_gets_all && self.backends.len() == 1 => Weight::FULL,
            (Some(canary), Some(sum)) if sum > 0 => Share::of(canary, sum).most,
            (Some(_), Some(_)) if !self.single_gets_all => Weight::ZERO,
            _ => Weight::FULL,
        }
    }

    /// What is wrong with this rule, if it is split, and what to do about it.
    pub fn wrong(&self, backends: &Backends<'_>) -> Option<String> {
        if !self.is_split {
            return None;
        }
        let Backends { stable, canary, .. } = backends;
        let at = &self.at;
        if !self.names_both() {
            return Some(format!("{at} does not name {stable} and {canary}: name both, or take it off the list"));
        }
        for side in [Side::Stable, Side::Canary] {
            if self.of(side).count() > 1 {
                return Some(format!("{at} names {} more than once: name it once", backends.name(side)));
            }
        }
        if self.keeps_sessions {
            return Some(format!(
                "take sessionPersistence off {at}: sessions would stay on a canary that was rolled back"
            ));
        }
        match (self.sum(), self.pair()) {
            (None, _) | (_, None) => {
                Some(format!("{at} has a weight that is not a whole number: write one, such as 100 and 0"))
            }
            (Some(0), _) => {
                Some(format!("{at} has no weight above 0, so it answers nothing: give {stable} the weight 100"))
            }
            (_, Some(0)) => Some(format!("{at} gives {stable} and {canary} nothing: give {stable} a weight")),
            _ if !super::weights::can_be_exact(self) => {
                Some(format!("{at} has weights too large to be split exactly: write smaller ones with the same shares"))
            }
            _ => None,
        }
    }
}

impl Share {
    /// `sum` is not 0.
    fn of(part: u128, sum: u128) -> Self {
        let percent = |value: u128| Weight::clamped(u32::try_from(value).unwrap_or(100));
        Self { least: percent(part * 100 / sum), most: percent((part * 100).div_ceil(sum)) }
    }

    /// Exactly this share.
    pub fn exactly(weight: Weight) -> Self {
        Self { least: weight, most: weight }
    }
}

/// Whether a rule, as it stands in a route, has one of these names.
pub(super) fn is_named(rule: &Value, names: &[String]) -> bool {
    rule.get("name").and_then(Value::as_str).is_some_and(|name| names.iter().any(|wanted| wanted == name))
}

/// A weight as it stands in a route: `absent` where none is given, `None` for what is no weight.
pub(super) fn weight(backend: &Value, absent: u64) -> Option<u64> {
    match backend.get("weight") {
        None | Some(Value::Null) => Some(absent),
        Some(weight) => weight.as_u64(),
    }
}
