//! Which questions are due, and which answers still belong to what is being asked.

use jiff::Timestamp;

use super::preflight::metrics;
use super::{Pass, Plan, after, between};
use crate::analysis::metric::{Metric, OnNoData};
use crate::analysis::tally::Tally;
use crate::analysis::{Answer, MetricId, Outcome, Question, Scope, Token, query};
use crate::spec::Step;
use crate::split::Weight;
use crate::state::{Release, Stage, State};

/// A metric that is measured now.
pub(super) struct Asked {
    pub(super) token: Token,
    pub(super) metric: Metric,
}

impl Release {
    /// Since when what is being measured has been as it is.
    pub(crate) fn window_start(&self) -> Timestamp {
        if self.preflight.is_some() { self.began_at } else { self.goal_since.unwrap_or(self.step_since) }
    }

    /// True once background analysis runs: from its first step on, with traffic.
    pub(crate) fn background_runs(&self) -> bool {
        let starts = self.recipe.background.as_ref().map_or(usize::MAX, |background| background.starting_step);
        self.preflight.is_none() && self.step >= starts && self.goal > Weight::ZERO && self.goal_since.is_some()
    }

    pub(super) fn tally(&self, scope: Scope, name: &str) -> Option<&Tally> {
        match scope {
            Scope::Preflight => self.preflight.as_ref()?.measured.get(name),
            Scope::Background => self.background.get(name),
            Scope::Step => self.measured.get(name),
            Scope::Comparison => None,
        }
    }

    fn tally_mut(&mut self, scope: Scope, name: &str) -> Option<&mut Tally> {
        let tallies = match scope {
            Scope::Preflight => &mut self.preflight.as_mut()?.measured,
            Scope::Background => &mut self.background,
            Scope::Step => &mut self.measured,
            Scope::Comparison => return None,
        };
        Some(tallies.entry(name.to_owned()).or_default())
    }

    /// Everything that is measured now.
    pub(super) fn asked(&self) -> Vec<Asked> {
        let since = self.window_start();
        let ask = |scope: Scope, metric: &Metric| Asked {
            token: Token {
                attempt: self.canary.number,
                metric: MetricId { scope, name: metric.name.clone() },
                since,
                step_since: (scope == Scope::Step).then_some(self.step_since),
            },
            metric: metric.clone(),
        };
        if self.preflight.is_some() {
            // Of stable, no data is no more than a warning, whatever it is declared to mean of a canary.
            let without_data = |metric: Metric| Metric { on_no_data: OnNoData::Hold, ..metric };
            return metrics(self).into_iter().map(without_data).map(|metric| ask(Scope::Preflight, &metric)).collect();
        }
        let background = self.recipe.background.iter().filter(|_| self.background_runs()).flat_map(|it| &it.metrics);
        let mut asked: Vec<_> = background.map(|metric| ask(Scope::Background, metric)).collect();
        if let (Some(Step::Analysis(metrics)), false) = (self.recipe.steps.get(self.step), self.skip) {
            asked.extend(metrics.iter().map(|metric| ask(Scope::Step, metric)));
        }
        asked
    }
}

impl Pass<'_> {
    /// Counts the answers that still belong to what is being asked, each once.
    pub(super) fn fold_answers(&mut self) {
        let Some(release) = self.release() else { return };
        let asked = release.asked();
        let mut answers: Vec<&Answer> = self.observed.answers.iter().collect();
        answers.sort_by_key(|answer| answer.at);
        for answer in answers {
            let Some(asked) = asked.iter().find(|asked| asked.token == answer.token) else { continue };
            let Some(release) = self.release_mut() else { return };
            let scope = asked.token.metric.scope;
            let Some(tally) = release.tally_mut(scope, &asked.metric.name) else { continue };
            let known = |last: &crate::analysis::tally::Last| last.since == answer.token.since && last.at >= answer.at;
            if tally.last.as_ref().is_some_and(known) {
                continue;
            }
            let answered_before = tally.last.as_ref().is_none_or(|last| last.judgement.verdict.is_about_the_release());
            tally.count(&asked.metric, answer);
            let judgement = tally.last.as_ref().map(|last| last.judgement.clone());
            let answered = judgement.as_ref().is_some_and(|judgement| judgement.verdict.is_about_the_release());
            if scope == Scope::Preflight {
                note_wrong_query(
                    release,
                    asked,
                    answer,
                    judgement.as_ref().filter(|_| !answered).map(|it| it.because.as_str()),
                );
            }
            if answered && !answered_before {
                self.reset_clock();
            }
        }
    }

    /// The questions of the pass's last state.
    pub(super) fn ask(&mut self) {
        let Some(release) = self.release() else {
            self.questions.extend(self.question_to_stable());
            return;
        };
        let mut questions = Vec::new();
        for Asked { token, metric } in release.asked() {
            let tally = release.tally(token.metric.scope, &metric.name);
            let last = tally.and_then(|tally| tally.last.as_ref()).filter(|last| last.since == token.since);
            let taken = tally.map_or(0, |tally| tally.measurements);
            if token.metric.scope != Scope::Preflight && metric.count.is_some_and(|count| taken >= count) {
                continue;
            }
            let due = match (last, token.metric.scope) {
                (Some(last), _) => after(last.at, metric.interval),
                (None, Scope::Preflight) => release.began_at,
                (None, _) => after(token.since, metric.interval.max(metric.min_window))
                    .max(after(token.step_since.unwrap_or(token.since), metric.initial_delay)),
            };
            let measured_for = if token.metric.scope == Scope::Preflight {
                metric.window
            } else {
                between(token.since, due.max(self.now)).min(metric.window)
            };
            let stable = self.state.stable.hash.as_str();
            let subject = if token.metric.scope == Scope::Preflight { stable } else { release.canary.hash.as_str() };
            let query = query::complete(&metric.source.query, subject, stable, measured_for);
            questions.push(Question { token, due, query, source: metric.source });
        }
        self.questions = questions;
    }
}

impl Plan {
    /// The questions to ask where the plan's state could not be persisted: those that the persisted state asks as well. The
    /// next pass decides the others anew and would drop every answer to them, only to ask again at once.
    pub fn questions_of(&self, persisted: Option<&State>) -> Vec<Question> {
        let asked = persisted.map(tokens).unwrap_or_default();
        self.questions.iter().filter(|question| asked.contains(&question.token)).cloned().collect()
    }
}

/// What a state asks.
fn tokens(state: &State) -> Vec<Token> {
    match &state.stage {
        Stage::Releasing(release) => release.asked().into_iter().map(|asked| asked.token).collect(),
        Stage::Leaving(leaving) => super::compare::asked(leaving).into_iter().collect(),
        Stage::Deploying | Stage::Resting | Stage::Promoting(_) => Vec::new(),
    }
}

/// A query that its source refuses, or whose answer the condition cannot judge, will not get better by itself.
fn note_wrong_query(release: &mut Release, asked: &Asked, answer: &Answer, because: Option<&str>) {
    let Some(preflight) = &mut release.preflight else { return };
    let wrong = match &answer.outcome {
        Outcome::Error { query_is_wrong, .. } => *query_is_wrong,
        Outcome::Samples(samples) => because.is_some() && samples.iter().any(|sample| !sample.is_nan()),
        Outcome::Empty => false,
    };
    preflight.wrong_query = wrong.then(|| {
        format!("metric {}: {} (query as sent: {})", asked.metric.name, because.unwrap_or_default(), answer.query)
    });
}
