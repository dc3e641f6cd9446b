//! A canary that failed is the only known change, and goes back at once. Meanwhile stable is asked the same: where it fails
//! the limit as well, which it passed before anything moved, the cause may lie elsewhere, and the report says so.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Fact, Pass, record};
use crate::analysis::metric::Metric;
use crate::analysis::run::Run;
use crate::analysis::tally::{Patience, Tally};
use crate::analysis::verdict::{Verdict, judge};
use crate::analysis::{Scope, query};
use crate::names::Hash;
use crate::state::{Comparison, Leaving, Stage};
use crate::time::between;

/// Nothing is counted of stable: one answer is enough.
static UNCOUNTED: BTreeMap<String, Tally> = BTreeMap::new();

/// Notes what stable is to be asked; nothing, where the query does not tell revisions apart.
pub(super) fn with_stable(pass: &mut Pass<'_>, metric: Metric, since: Timestamp) {
    let window = between(since, pass.view.now).min(metric.window);
    // A proportion has looked at stable all the time.
    if let Stage::Leaving(leaving) = &mut pass.state.stage
        && metric.proportion.is_none()
        && metric.source.is_only_read()
        && query::names_canary(metric.source.query())
    {
        leaving.comparison = Some(Box::new(Comparison { metric, window }));
    }
}

/// The analysis of stable while a canary that failed leaves.
pub(super) fn run<'a>(leaving: &'a Leaving, stable: &'a Hash) -> Option<Run<'a>> {
    let Comparison { metric, window } = leaving.comparison.as_deref()?;
    Some(Run {
        scope: Scope::Comparison,
        attempt: leaving.canary.number,
        subject: stable,
        stable,
        since: leaving.since,
        step_since: None,
        in_force: true,
        share: None,
        grown_at: None,
        patience: Patience::Lasts,
        metrics: Cow::Owned(vec![Metric { window: *window, ..metric.clone() }]),
        tallies: &UNCOUNTED,
    })
}

/// Stable's answer, if it comes before the canary has left.
pub(super) fn fold(pass: &mut Pass<'_>) {
    let Stage::Leaving(leaving) = &pass.state.stage else { return };
    let Some(run) = run(leaving, &pass.state.stable.hash) else { return };
    let mut answers = pass.view.seen.answers.iter();
    let judged = answers.find_map(|answer| Some((run.metric(&answer.token)?, &answer.decisive()?.outcome)));
    let Some((name, judgement)) = judged.map(|(metric, outcome)| (metric.name.clone(), judge(metric, outcome))) else {
        return;
    };
    let hash = leaving.canary.hash.clone();
    if let Stage::Leaving(leaving) = &mut pass.state.stage {
        leaving.comparison = None;
    }
    record::note_of_stable(pass, &name, &judgement.value);
    if judgement.verdict != Verdict::Failure {
        return;
    }
    let what = format!("stable fails the same: {name} is {}", judgement.value);
    if let Some(rejection) = pass.state.rejected.iter_mut().find(|rejection| rejection.revision.hash == hash) {
        "SharedFailure".clone_into(&mut rejection.reason);
        rejection.message = format!("{}; {what}", rejection.message);
    }
    pass.tell(Fact::SharedFailure { what });
}
