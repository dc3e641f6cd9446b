//! A canary that failed is the only known change, and goes back at once. Meanwhile stable is asked the same: where it fails
//! the limit as well, which it passed before anything moved, the cause may lie elsewhere, and the report says so.

use jiff::Timestamp;

use super::{Pass, between};
use crate::analysis::metric::Metric;
use crate::analysis::verdict::{Verdict, judge};
use crate::analysis::{MetricId, Question, Scope, Token, query};
use crate::state::{Comparison, Leaving, Stage};

impl Pass<'_> {
    /// Notes what stable is to be asked; nothing, where the query does not tell revisions apart.
    pub(super) fn compare_with_stable(&mut self, metric: Metric, since: Timestamp) {
        let window = between(since, self.now).min(metric.window);
        if let Stage::Leaving(leaving) = &mut self.state.stage
            && query::names_canary(&metric.source.query)
        {
            leaving.comparison = Some(Box::new(Comparison { metric, window }));
        }
    }

    pub(super) fn question_to_stable(&self) -> Option<Question> {
        let Stage::Leaving(leaving) = &self.state.stage else { return None };
        let Comparison { metric, window } = leaving.comparison.as_deref()?;
        let stable = self.state.stable.hash.as_str();
        let query = query::complete(&metric.source.query, stable, stable, *window);
        Some(Question { token: token(leaving, metric), due: leaving.since, query, source: metric.source.clone() })
    }

    /// Stable's answer, if it comes before the canary has left.
    pub(super) fn fold_comparison(&mut self) {
        let Stage::Leaving(leaving) = &mut self.state.stage else { return };
        let Some(Comparison { metric, .. }) = leaving.comparison.as_deref() else { return };
        let asked = token(leaving, metric);
        let Some(answer) = self.observed.answers.iter().find(|answer| answer.token == asked) else { return };
        let judgement = judge(metric, &answer.outcome);
        let name = metric.name.clone();
        leaving.comparison = None;
        if judgement.verdict != Verdict::Failure {
            return;
        }
        let hash = leaving.canary.hash.clone();
        let what = format!("stable fails the same: {name} is {}", judgement.value);
        if let Some(rejection) = self.state.rejected.iter_mut().find(|rejection| rejection.revision.hash == hash) {
            "SharedFailure".clone_into(&mut rejection.reason);
            rejection.message = format!("{}; {what}", rejection.message);
        }
        self.event(true, "SharedFailure", format!("{what}: look beyond this release as well"));
    }
}

/// What stable is being asked while this canary leaves.
pub(super) fn asked(leaving: &Leaving) -> Option<Token> {
    leaving.comparison.as_deref().map(|comparison| token(leaving, &comparison.metric))
}

fn token(leaving: &Leaving, metric: &Metric) -> Token {
    Token {
        attempt: leaving.canary.number,
        metric: MetricId { scope: Scope::Comparison, name: metric.name.clone() },
        since: leaving.since,
        step_since: None,
    }
}
