//! What each of the two Services is bound to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{Hash, Selection, Side};

/// What each Service is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bindings {
    /// `stableService`.
    pub stable: Binding,
    /// `canaryService`.
    pub canary: Binding,
}

impl Bindings {
    /// The binding of a side.
    pub fn of(&self, side: Side) -> &Binding {
        match side {
            Side::Stable => &self.stable,
            Side::Canary => &self.canary,
        }
    }

    /// The binding of a side, to be changed.
    pub fn of_mut(&mut self, side: Side) -> &mut Binding {
        match side {
            Side::Stable => &mut self.stable,
            Side::Canary => &mut self.canary,
        }
    }
}

/// A Service's binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// What it is to select.
    pub decided: Selection,
    /// Since when its slices have shown that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// The last binding that was seen and settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Selection>,
}

impl Binding {
    /// A binding that has been decided and not yet seen.
    pub fn decided(selection: impl Into<Selection>) -> Self {
        Self { decided: selection.into(), seen_since: None, in_force: None }
    }

    /// Decides a binding; what is in force stays so until the new one has settled.
    pub fn decide(&mut self, selection: impl Into<Selection>) {
        let selection = selection.into();
        if self.decided != selection {
            // Some proxies may know what is given up here: going back has to be seen and to settle as well.
            self.in_force.take_if(|in_force| *in_force == selection);
            self.decided = selection;
            self.seen_since = None;
        }
    }

    /// True when it selects `hash` alone and proxies have had time to know.
    pub fn is_in_force(&self, hash: &Hash) -> bool {
        self.decided.is_only(hash) && !self.is_moving()
    }

    /// True until what was decided last is in force: proxies may still know something else.
    pub fn is_moving(&self) -> bool {
        self.in_force.as_ref() != Some(&self.decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_before_a_binding_has_settled_has_to_settle_as_well() {
        let old = || Selection::from(Hash::from("old"));
        let mut binding = Binding { in_force: Some(old()), ..Binding::decided(old()) };
        assert!(binding.is_in_force(&"old".into()));
        binding.decide(Hash::from("new"));
        assert_eq!(binding.in_force, Some(old()), "pods of it may still be sent to");
        binding.decide(Hash::from("old"));
        assert!(binding.is_moving(), "some proxies may know the new one");
    }
}
