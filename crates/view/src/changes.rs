//! What differs between two pod templates.

use leadsman_core::difference;

use crate::model::{Change, Difference, Named};

/// What differs between two pod templates that come from the same hands, as those of two ReplicaSets do.
pub fn difference(before: &Named, after: &Named) -> Difference {
    let told = |change: difference::Change| Change { path: change.path, before: change.before, after: change.after };
    let changes = difference::between(&before.template, &after.template).into_iter().map(told).collect();
    Difference { before: before.clone(), after: after.clone(), changes, notes: Vec::new() }
}
