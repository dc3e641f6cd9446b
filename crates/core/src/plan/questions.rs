//! Which questions are due, and which answers still belong to what is being asked.

use super::{Pass, Plan, compare, deadline};
use crate::analysis::tally::Last;
use crate::analysis::verdict::{Judgement, Verdict};
use crate::analysis::{Answer, Outcome, Question, Scope, Token};
use crate::names::Hash;
use crate::state::{Release, Stage, State};
use crate::text::one_line;

/// Longest quotation of a query or of a source's words about it, in characters.
const MOST_WORDS: usize = 1000;

/// Counts the answers that still belong to what is being asked, each once.
pub(super) fn fold(pass: &mut Pass<'_>) {
    let mut answers: Vec<&Answer> = pass.view.seen.answers.iter().collect();
    answers.sort_by_key(|answer| answer.at);
    let stable = pass.state.stable.hash.clone();
    for answer in answers {
        let Some(release) = pass.release_mut() else { return };
        if count(release, &stable, answer) {
            deadline::reset(pass);
        }
    }
}

/// Counts an answer where it belongs; true when data have arrived that were missing.
fn count(release: &mut Release, stable: &Hash, answer: &Answer) -> bool {
    let (scope, name) = (answer.token.metric.scope, &answer.token.metric.name);
    let is_asked = |release: &Release| release.runs(stable).iter().any(|run| run.metric(&answer.token).is_some());
    let is_known = |last: &Last| last.since == answer.token.since && last.at >= answer.at;
    if !is_asked(release) {
        return false;
    }
    // Taken out, so that the metric that it is counted by need not be copied.
    let Some(tally) = release.tally_mut(scope, name) else { return false };
    let mut tally = std::mem::take(tally);
    let is_new = !tally.last.as_ref().is_some_and(is_known);
    let answered_before = tally.last.as_ref().is_none_or(|last| last.judgement.verdict.is_about_the_release());
    let runs = release.runs(stable);
    if let Some(metric) = runs.iter().find_map(|run| run.metric(&answer.token)).filter(|_| is_new) {
        tally.count(metric, answer);
    }
    let judgement = tally.last.as_ref().map(|last| last.judgement.clone());
    if let Some(kept) = release.tally_mut(scope, name) {
        *kept = tally;
    }
    if !is_new {
        return false;
    }
    let answered = judgement.as_ref().is_some_and(|judgement| judgement.verdict.is_about_the_release());
    if scope == Scope::Preflight {
        note_wrong_query(release, name, answer, judgement.filter(|_| !answered));
    }
    answered && !answered_before && (scope != Scope::Background || release.goal_since.is_some())
}

/// A query that its source refuses, or whose answer the condition cannot judge, will not get better by itself.
fn note_wrong_query(release: &mut Release, metric: &str, answer: &Answer, judgement: Option<Judgement>) {
    let (Some(preflight), Some(part)) = (&mut release.preflight, answer.decisive()) else { return };
    let wrong = match &part.outcome {
        Outcome::Error { query_is_wrong, .. } => *query_is_wrong,
        Outcome::Samples(samples) => judgement.is_some() && samples.iter().any(|sample| !sample.is_nan()),
        // A histogram whose boundaries do not tell.
        Outcome::Counted(_) => judgement.as_ref().is_some_and(|it| it.verdict == Verdict::ProviderError),
        Outcome::Done { .. } | Outcome::Empty => false,
    };
    preflight.wrong_query = wrong.then(|| {
        let because = one_line(&judgement.map(|it| it.because).unwrap_or_default(), MOST_WORDS);
        format!("metric {metric}: {because} (query as sent: {})", one_line(&part.query, MOST_WORDS))
    });
}

/// The questions of the pass's last state.
pub(super) fn ask(pass: &mut Pass<'_>) {
    pass.questions = of(&pass.state, |run| run.questions(pass.view.now).collect());
}

/// What the analyses of a state come to.
fn of<T>(state: &State, each: impl Fn(&crate::analysis::run::Run<'_>) -> Vec<T>) -> Vec<T> {
    let stable = &state.stable.hash;
    match &state.stage {
        Stage::Releasing(release) => release.runs(stable).iter().flat_map(each).collect(),
        Stage::Leaving(leaving) => compare::run(leaving, stable).iter().flat_map(each).collect(),
        Stage::Deploying | Stage::Resting | Stage::Promoting(_) => Vec::new(),
    }
}

impl Plan {
    /// The questions to ask where the plan's state could not be persisted: those that the persisted state asks as well. The
    /// next pass decides the others anew and would drop every answer to them, only to ask again at once.
    pub fn questions_of(&self, persisted: Option<&State>) -> Vec<Question> {
        let tokens =
            |state| of(state, |run| run.metrics.iter().map(|metric| run.token(metric)).collect::<Vec<Token>>());
        let asked = persisted.map(tokens).unwrap_or_default();
        self.questions.iter().filter(|question| asked.contains(&question.token)).cloned().collect()
    }
}
