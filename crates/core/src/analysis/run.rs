//! One analysis under way: what is measured, of whom, since when, and what came of it so far.
//!
//! Preflight, steps, background and the comparison with stable are runs alike. They differ in whose hash stands in the
//! canary's place, in when a metric is first asked, and in what completes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::metric::Metric;
use super::proportion::queries::WINDOW;
use super::proportion::words::whole;
use super::proportion::{Gate, Proportion};
use super::tally::{Call, Enough, Patience, Tally};
use super::verdict::Verdict;
use super::{MetricId, Question, Reads, Scope, Span, Token, query};
use crate::names::Hash;
use crate::time::{after, before, between, to_millisecond};
use crate::traffic::Weight;

/// Before stable is asked again whether a release may start.
const PREFLIGHT_INTERVAL: Duration = Duration::from_secs(30);

/// One analysis under way.
pub struct Run<'a> {
    /// Which part of the release it belongs to.
    pub scope: Scope,
    /// The attempt (revision number).
    pub attempt: u64,
    /// Whose hash stands in the canary's place.
    pub subject: &'a Hash,
    /// What `{{stable.hash}}` stands for.
    pub stable: &'a Hash,
    /// Since when what is measured has been as it is: the start of the window.
    pub since: Timestamp,
    /// Since when the step runs, for the analysis of a step.
    pub step_since: Option<Timestamp>,
    /// False while the share that is measured is only on its way: nothing is done for it yet.
    pub in_force: bool,
    /// The share that the canary has had since then, where requests have to show it.
    pub share: Option<Weight>,
    /// When the youngest of its pods was seen ready.
    pub grown_at: Option<Timestamp>,
    /// How long what is not decided is borne.
    pub patience: Patience,
    /// What is measured.
    pub metrics: Cow<'a, [Metric]>,
    /// What came of it, by metric.
    pub tallies: &'a BTreeMap<String, Tally>,
}

/// What keeps a run from being passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanting {
    /// A metric has nothing to judge.
    Data(String),
    /// A metric gets answers, and needs more.
    Answers(String),
    /// Stable fails as well.
    Shared(String),
    /// The traffic does not follow the weights.
    Traffic(String),
}

impl Run<'_> {
    /// What is asked of a metric, so that its answer is known again.
    pub fn token(&self, metric: &Metric) -> Token {
        Token {
            attempt: self.attempt,
            metric: MetricId { scope: self.scope, name: metric.name.clone() },
            since: self.since,
            step_since: self.step_since,
        }
    }

    /// The metric that a token is about, if this run asks for it.
    pub fn metric(&self, token: &Token) -> Option<&Metric> {
        let known = self.metrics.iter().find(|metric| metric.name == token.metric.name)?;
        (self.token(known) == *token).then_some(known)
    }

    /// What has been counted of a metric.
    pub fn tally(&self, metric: &Metric) -> Option<&Tally> {
        self.tallies.get(&metric.name)
    }

    /// What is to be asked from now on. A metric that is complete is asked no more.
    pub fn questions(&self, now: Timestamp) -> impl Iterator<Item = Question> {
        let is_asked = |metric: &&Metric| self.in_force || !metric.source.is_done_once();
        let asked = self.metrics.iter().filter(is_asked).filter(|metric| !self.is_complete(metric));
        asked.map(move |metric| self.question(metric, now))
    }

    /// Only the analysis of a step is ever complete, and what is done once: everything else is measured for as long as it
    /// runs.
    fn is_complete(&self, metric: &Metric) -> bool {
        let last = self.tally(metric).and_then(|tally| tally.last.as_ref()).filter(|last| last.since == self.since);
        let verdict = last.map(|last| last.judgement.verdict);
        let is_done =
            verdict == Some(Verdict::Success) || metric.dry_run && verdict.is_some_and(Verdict::is_about_the_release);
        match (self.scope, metric.dry_run) {
            (Scope::Step, false) => self.call(metric) == Call::Pass,
            (Scope::Step | Scope::Background, _) => metric.source.is_done_once() && is_done,
            (Scope::Preflight | Scope::Comparison, _) => false,
        }
    }

    /// What passes a metric.
    fn enough(&self, metric: &Metric) -> Enough {
        match self.scope {
            Scope::Step if metric.proportion.is_none() => Enough::Successes(metric.count.unwrap_or(1)),
            Scope::Step | Scope::Preflight | Scope::Background | Scope::Comparison => Enough::SuccessSince,
        }
    }

    /// Those from whose answers something follows.
    fn judged(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.iter().filter(|metric| !metric.dry_run)
    }

    /// True where the last answer of any metric speaks against the release.
    pub fn fails_at_present(&self) -> bool {
        let last = |metric| Some(self.tally(metric)?.last.as_ref()?.judgement.verdict);
        self.judged().any(|metric| last(metric) == Some(Verdict::Failure))
    }

    /// Since when a metric measures what there is now: the weight is in force, and no pod is too young for it.
    fn begins(&self, metric: &Metric) -> Timestamp {
        let warm = self.grown_at.filter(|_| !metric.warm_up.is_zero()).map(|grown| after(grown, metric.warm_up));
        warm.map_or(self.since, |warm| warm.max(self.since))
    }

    fn call(&self, metric: &Metric) -> Call {
        let Some(tally) = self.tally(metric) else { return Call::Measure };
        let call = tally.call(metric, self.since, self.enough(metric), self.patience);
        if call > Call::Hold && self.lacks_traffic(metric).is_some() { Call::Hold } else { call }
    }

    /// What shows that the canary gets much less than its share of the requests.
    fn lacks_traffic(&self, metric: &Metric) -> Option<String> {
        let share = self.share.filter(|share| share.is_shared())?;
        let asks = metric.proportion.as_ref().is_some_and(|proportion| proportion.traffic_share);
        let gate = self.tally(metric)?.gate.as_deref().filter(|gate| asks && gate.since == Some(self.since))?;
        let (canary, all) = (gate.seen.total, gate.seen.total + gate.seen_stable.total);
        gate.is_under(share.as_f64()).then(|| {
            format!(
                "{} has {} of {} requests, less than half of its {share}: see who else sends to these pods, and whether \
                 clients go through what is split; where that is meant so, set proportion.trafficShare: Off",
                metric.name,
                whole(canary),
                whole(all)
            )
        })
    }

    /// The canary's share of the requests that were counted, in all and of it.
    pub fn share_seen(&self) -> Option<f64> {
        let gates = self.metrics.iter().filter_map(|metric| self.tally(metric)?.gate.as_deref());
        let mut of_present = gates.filter(|gate| gate.since == Some(self.since) && gate.seen_stable.total > 0.0);
        of_present.next().map(|gate| gate.seen.total / (gate.seen.total + gate.seen_stable.total))
    }

    fn question(&self, metric: &Metric, now: Timestamp) -> Question {
        if let (Some(proportion), Scope::Background | Scope::Step) = (&metric.proportion, self.scope) {
            return self.look(metric, proportion, now);
        }
        let begins = self.begins(metric);
        let last = self.tally(metric).and_then(|tally| tally.last.as_ref()).filter(|last| last.since == self.since);
        let due = match (last, self.scope) {
            // Stable is asked again for as long as its answer holds a release up, which may be days.
            (Some(last), Scope::Preflight) => after(last.at, metric.interval.max(PREFLIGHT_INTERVAL)),
            (Some(last), _) => after(last.at.max(begins), metric.interval),
            (None, Scope::Preflight | Scope::Comparison) => self.since,
            (None, Scope::Background | Scope::Step) => after(begins, first_after(metric))
                .max(after(self.step_since.unwrap_or(self.since), metric.initial_delay)),
        };
        let window = match self.scope {
            Scope::Preflight | Scope::Comparison => metric.window,
            Scope::Background | Scope::Step => between(begins, due.max(now)).min(metric.window),
        };
        let (query, reads) = match &metric.proportion {
            Some(proportion) => (proportion.baseline.as_str(), Reads::Baseline),
            None => (metric.source.query(), Reads::Values),
        };
        self.asking(metric, query, window, due, reads)
    }

    fn asking(&self, metric: &Metric, query: &str, window: Duration, due: Timestamp, reads: Reads) -> Question {
        let fill = |text: &str| query::complete(text, self.subject.as_str(), self.stable.as_str(), window);
        Question {
            token: self.token(metric),
            due,
            queries: vec![fill(query)],
            source: metric.source.filled(&fill),
            reads,
            window,
            answered: self.tally(metric).map_or(0, |tally| tally.answers),
        }
    }

    /// The next look at a proportion: it goes on where the last one that was answered ended.
    fn look(&self, metric: &Metric, proportion: &Proportion, now: Timestamp) -> Question {
        let tally = self.tally(metric);
        let gate: Option<&Gate> = tally.and_then(|tally| tally.gate.as_deref());
        let warm = after(self.step_since.unwrap_or(self.since), metric.initial_delay).max(self.begins(metric));
        let until = gate.filter(|gate| gate.since == Some(self.since)).and_then(|gate| gate.until);
        let from = to_millisecond(until.unwrap_or(warm).max(warm));
        let interval = metric.interval.max(gate.map_or(Duration::ZERO, |gate| gate.baseline().scrapes_every));
        let unanswered = tally
            .and_then(|tally| tally.last.as_ref())
            .filter(|last| last.since == self.since && last.judgement.verdict == Verdict::ProviderError);
        let due = after(from, interval.saturating_add(proportion.delay));
        let due = unanswered.map_or(due, |last| due.max(after(last.at, interval)));
        let mut to = to_millisecond(before(due.max(now), proportion.delay));
        if metric.source.query().contains(WINDOW) {
            // Such a source knows whole seconds.
            to = after(from, Duration::from_secs(between(from, to).as_secs()));
        }
        let reads = Reads::Counts(Span { from, to });
        let reporter = gate.and_then(|gate| gate.baseline().reporter);
        let by = proportion.by.iter().find(|(known, _)| Some(*known) == reporter).map(|(_, query)| query);
        self.asking(metric, by.map_or(metric.source.query(), String::as_str), between(from, to), due, reads)
    }

    /// How long to bear that proportions are not decided, where nothing else is wanted.
    pub fn patience_with(&self) -> Option<Duration> {
        let wanted = self.judged().filter(|metric| self.call(metric) != Call::Pass);
        let patience = |metric: &Metric| {
            let last = self.tally(metric)?.last.as_ref().filter(|last| last.since == self.since)?;
            let is_undecided = self.call(metric) == Call::Measure && last.judgement.verdict == Verdict::Inconclusive;
            Some(metric.proportion.as_ref().filter(|_| is_undecided)?.patience)
        };
        wanted.map(patience).try_fold(None, |longest, patience| Some(longest.max(Some(patience?)))).flatten()
    }

    /// The gravest thing that any metric asks for.
    pub fn gravest(&self) -> Option<(Call, &Metric, &Tally)> {
        let calls = self.judged().filter_map(|metric| Some((self.call(metric), metric, self.tally(metric)?)));
        calls.min_by_key(|(call, ..)| *call)
    }

    /// What the first metric that is not passed wants, if one is not.
    pub fn wants(&self) -> Option<Wanting> {
        self.judged().find_map(|metric| match (self.call(metric), self.lacks_traffic(metric)) {
            (Call::Hold, Some(what)) => Some(Wanting::Traffic(what)),
            (call, _) => wanting(metric, self.tally(metric), call),
        })
    }
}

/// A window has to fill first; what is done begins at once.
fn first_after(metric: &Metric) -> Duration {
    if metric.source.is_only_read() { metric.interval.max(metric.min_window) } else { Duration::ZERO }
}

fn wanting(metric: &Metric, tally: Option<&Tally>, call: Call) -> Option<Wanting> {
    let last = tally.and_then(|tally| tally.last.as_ref()).map(|last| &last.judgement);
    let value = last.map_or_else(String::new, |last| format!("; last {} ({})", last.value, last.because));
    match call {
        Call::Pass => None,
        Call::Hold if tally.is_some_and(Tally::is_shared) => {
            Some(Wanting::Shared(format!("stable fails {} as well{value}", metric.name)))
        }
        Call::Hold => Some(Wanting::Data(format!("{} has nothing to judge{value}", metric.name))),
        Call::Ask => Some(Wanting::Answers(format!("{} is inconclusive{value}", metric.name))),
        Call::Measure | Call::RollBack => Some(Wanting::Answers(format!("measuring {}{value}", metric.name))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::source::{Job, Source};
    use super::super::tally::Last;
    use super::super::tally::tests::metric;
    use super::super::verdict::Judgement;
    use super::*;

    fn job() -> Metric {
        let job = Job { spec: json!({}), annotations: BTreeMap::new() };
        Metric { source: Source::Job(Box::new(job)), success: None, failure_limit: 1, ..metric("job") }
    }

    /// What is asked of a Job after this verdict.
    fn asked(scope: Scope, metric: &Metric, last: Option<Verdict>, in_force: bool) -> Vec<Question> {
        let (canary, stable) = (Hash::from("new"), Hash::from("old"));
        let judged = |verdict| Last {
            at: Timestamp::UNIX_EPOCH,
            since: Timestamp::UNIX_EPOCH,
            judgement: Judgement { verdict, value: String::new(), because: String::new() },
            query: String::new(),
        };
        let tally = Tally {
            last: last.map(judged),
            answers: u32::from(last.is_some()),
            failures: u32::from(last == Some(Verdict::Failure)),
            successes: u32::from(last == Some(Verdict::Success)),
            ..Tally::default()
        };
        let tallies = BTreeMap::from([("job".to_owned(), tally)]);
        let run = Run {
            scope,
            attempt: 1,
            subject: &canary,
            stable: &stable,
            since: Timestamp::UNIX_EPOCH,
            step_since: None,
            in_force,
            share: None,
            grown_at: None,
            patience: Patience::Lasts,
            metrics: Cow::Borrowed(std::slice::from_ref(metric)),
            tallies: &tallies,
        };
        run.questions(Timestamp::UNIX_EPOCH).collect()
    }

    #[test]
    fn a_job_begins_at_once_and_is_run_again_only_where_it_failed_within_its_limit() {
        for scope in [Scope::Background, Scope::Step] {
            let first = asked(scope, &job(), None, true);
            assert_eq!((first[0].due, first[0].answered), (Timestamp::UNIX_EPOCH, 0));
            assert!(asked(scope, &job(), Some(Verdict::Success), true).is_empty());
            let again = asked(scope, &job(), Some(Verdict::Failure), true);
            assert_eq!(again[0].answered, 1, "another Job");
            let load_test = Metric { dry_run: true, ..job() };
            assert!(asked(scope, &load_test, Some(Verdict::Failure), true).is_empty());
            assert_eq!(asked(scope, &load_test, Some(Verdict::ProviderError), true).len(), 1);
        }
    }

    #[test]
    fn no_job_begins_for_a_share_that_is_only_on_its_way() {
        assert!(asked(Scope::Background, &job(), None, false).is_empty());
        assert_eq!(asked(Scope::Background, &metric("job"), None, false).len(), 1, "failures count already");
    }
}
