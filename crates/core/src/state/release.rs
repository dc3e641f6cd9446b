//! A canary on its way, and the analyses that it is measured by.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::analysis::Scope;
use crate::analysis::metric::{Metric, OnNoData};
use crate::analysis::proportion::{Baseline, Gate};
use crate::analysis::run::Run;
use crate::analysis::tally::{Patience, Tally};
use crate::names::{Hash, Revision};
use crate::spec::{CanaryScale, Spec, Step};
use crate::time::after;
use crate::traffic::Weight;

/// A canary on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The new revision.
    pub canary: Revision,
    /// When it began.
    pub began_at: Timestamp,
    /// The strategy: the last valid one that was declared.
    pub recipe: Spec,
    /// Set until the preflight has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
    /// Index of the present step; the number of steps once all are done.
    pub step: usize,
    /// Since when.
    pub step_since: Timestamp,
    /// Set where the revision was stable before: nothing is asked of it but that it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Return>,
    /// The size that the last step of that kind asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<CanaryScale>,
    /// The share that the steps ask for at present.
    pub goal: Weight,
    /// Since when `goal` has been in force: the start of the analysis window. Not moved by shrinking and healing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_since: Option<Timestamp>,
    /// When `goal` was decided. From then on some routes may give it, so that failures count although nothing vouches yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_since: Option<Timestamp>,
    /// Full size when `goal` was given; followed by scaling once the canary's pods have followed.
    pub base_replicas: u32,
    /// Set while the share is less than `goal` because pods are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<Shrunk>,
    /// It was at some time since `goal` was given: requests do not have to show that share.
    #[serde(default, skip_serializing_if = "is_default")]
    pub was_shrunk: bool,
    /// Background analysis.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub background: BTreeMap<String, Tally>,
    /// Analysis of the present step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Tally>,
    /// The `pause` command.
    #[serde(default)]
    pub paused: bool,
    /// How long what is not decided is borne.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patience: Patience,
    /// Since when nothing but a decision of proportions is wanted of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided_since: Option<Timestamp>,
    /// The pods of the canary, for metrics that leave out what young ones show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown: Option<Grown>,
    /// What stable showed before anything moved, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines: BTreeMap<String, Baseline>,
    /// What a person has been asked to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// `promote-full`: the remaining steps are skipped.
    #[serde(default)]
    pub skip: bool,
    /// The progress deadline's clock.
    pub clock: Clock,
    /// Most canary pods seen ready since the step began.
    pub most_ready: u32,
    /// Since when as many endpoints as the step asks for have been ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough_since: Option<Timestamp>,
    /// Restarts of containers as they stood when the step began, by pod and container; none for pods that are younger.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restarts: BTreeMap<String, u32>,
}

/// The name of a metric that shares it with another one.
pub(crate) fn in_step(name: &str, step: usize) -> String {
    format!("{name} (step {})", step + 1)
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Why a revision that was stable before comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Return {
    /// It is declared again.
    Declared,
    /// A person said so; what is declared is rejected.
    Commanded,
}

/// The questions asked before anything moves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// What was answered, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Tally>,
    /// A query that the source refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong_query: Option<String>,
    /// A person has said that what is measured of stable is no reason to wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
    /// The routes have not been accepted within the progress deadline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

/// The share is smaller than the steps ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shrunk {
    /// Since when.
    pub since: Timestamp,
    /// Since when all pods needed have been ready again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
}

/// How many pods have been ready at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grown {
    /// So many.
    pub ready: u32,
    /// When that was seen first.
    pub at: Timestamp,
}

/// Accumulated waiting time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// Before `running_since`.
    pub accumulated: Duration,
    /// Set while the clock runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
}

impl Release {
    /// Takes instants that lie after `now` for now, as [`super::State::clamp`] does.
    pub(super) fn clamp(&mut self, now: Timestamp) {
        let late = |at: &mut Timestamp| *at = (*at).min(now);
        let late_if = |at: &mut Option<Timestamp>| *at = at.map(|at| at.min(now));
        late(&mut self.began_at);
        late(&mut self.step_since);
        late_if(&mut self.goal_since);
        late_if(&mut self.pending_since);
        late_if(&mut self.enough_since);
        late_if(&mut self.undecided_since);
        late_if(&mut self.clock.running_since);
        if let Some(grown) = &mut self.grown {
            late(&mut grown.at);
        }
        if let Some(shrunk) = &mut self.shrunk {
            late(&mut shrunk.since);
            late_if(&mut shrunk.ready_since);
        }
        let preflight = self.preflight.iter_mut().flat_map(|preflight| preflight.measured.values_mut());
        for tally in preflight.chain(self.background.values_mut()).chain(self.measured.values_mut()) {
            tally.gate.iter_mut().for_each(|gate| gate.make_sound(now));
            // Which weight it measured cannot be told any more: it counts, but vouches for none.
            tally.last = tally.last.take().filter(|last| last.at <= now && last.since <= now);
        }
    }

    /// Notes how many pods of the canary are ready, where a metric leaves out what young ones show. One that comes back is
    /// not young: it was there before.
    pub fn note_pods(&mut self, ready: u32, now: Timestamp) {
        let background = self.recipe.background.iter().flat_map(|background| &background.metrics);
        let in_steps =
            self.recipe.steps.iter().flat_map(|step| if let Step::Analysis(it) = step { it } else { &[][..] });
        let mut all = background.chain(in_steps);
        let is_more = ready > self.grown.map_or(0, |grown| grown.ready);
        if is_more && all.any(|metric| !metric.warm_up.is_zero()) {
            self.grown = Some(Grown { ready, at: now });
        }
    }

    /// When the progress deadline is over, while its clock runs.
    pub fn overdue_at(&self) -> Option<Timestamp> {
        let left = self.recipe.progress_deadline.saturating_sub(self.clock.accumulated);
        self.clock.running_since.map(|since| after(since, left))
    }

    /// Another step or another weight: what is not decided is borne anew.
    pub fn bear_anew(&mut self) {
        self.patience = Patience::Lasts;
        self.undecided_since = None;
    }

    /// The step at which it stands, skipped or not; `None` once all are done.
    pub fn declared_step(&self) -> Option<&Step> {
        self.recipe.steps.get(self.step)
    }

    /// The step that has its turn; `None` once all are done, or skipped.
    pub fn present_step(&self) -> Option<&Step> {
        self.declared_step().filter(|_| !self.skip)
    }

    /// The share that the present step brings the canary to.
    pub fn target(&self) -> Weight {
        match self.present_step() {
            _ if self.preflight.is_some() => Weight::ZERO,
            Some(Step::SetWeight(weight)) => *weight,
            Some(Step::Pause(_) | Step::Analysis(_) | Step::Scale(_)) => self.goal,
            None => Weight::FULL,
        }
    }

    /// Since when what is being measured has been as it is.
    pub fn window_start(&self) -> Timestamp {
        if self.preflight.is_some() {
            self.began_at
        } else {
            self.goal_since.or(self.pending_since).unwrap_or(self.step_since)
        }
    }

    /// True while background analysis runs: from its first step on, for as long as the canary has or may have traffic, and
    /// until a person has said that analysis is to be passed over.
    pub fn background_runs(&self) -> bool {
        let starts = self.recipe.background.as_ref().map_or(usize::MAX, |background| background.starting_step);
        self.preflight.is_none() && !self.skip && self.step >= starts && self.goal > Weight::ZERO
    }

    /// Every analysis that is under way.
    pub fn runs<'a>(&'a self, stable: &'a Hash) -> Vec<Run<'a>> {
        if let Some(preflight) = &self.preflight {
            return vec![self.preflight_run(preflight, stable)];
        }
        self.background_run(stable).into_iter().chain(self.step_run(stable)).collect()
    }

    /// Every metric asked about stable. That stable has no data is never a failure of it, whatever it means of a canary.
    pub fn preflight_run<'a>(&'a self, preflight: &'a Preflight, stable: &'a Hash) -> Run<'a> {
        let of_stable = |metric: Metric| match metric.on_no_data {
            OnNoData::Succeed => metric,
            OnNoData::Hold | OnNoData::Fail => Metric { on_no_data: OnNoData::Hold, ..metric },
        };
        let metrics = self.metrics().into_iter().filter(|metric| !metric.dry_run && metric.source.is_only_read());
        let metrics = metrics.map(of_stable).collect();
        let run = self.run(Scope::Preflight, stable, Cow::Owned(metrics), &preflight.measured);
        Run { subject: stable, ..run }
    }

    /// Background analysis, while it runs.
    pub fn background_run<'a>(&'a self, stable: &'a Hash) -> Option<Run<'a>> {
        let background = self.recipe.background.as_ref().filter(|_| self.background_runs())?;
        Some(self.run(Scope::Background, stable, Cow::Borrowed(&background.metrics), &self.background))
    }

    /// The analysis of the present step, where it is one.
    pub fn step_run<'a>(&'a self, stable: &'a Hash) -> Option<Run<'a>> {
        let Some(Step::Analysis(metrics)) = self.present_step() else { return None };
        let run = self.run(Scope::Step, stable, Cow::Borrowed(metrics), &self.measured);
        Some(Run { step_since: Some(self.step_since), ..run })
    }

    fn run<'a>(
        &'a self,
        scope: Scope,
        stable: &'a Hash,
        metrics: Cow<'a, [Metric]>,
        tallies: &'a BTreeMap<String, Tally>,
    ) -> Run<'a> {
        let (attempt, subject, since) = (self.canary.number, &self.canary.hash, self.window_start());
        Run {
            scope,
            attempt,
            subject,
            stable,
            since,
            step_since: None,
            in_force: scope != Scope::Background || self.goal_since.is_some(),
            share: Some(self.goal).filter(|_| self.goal_since.is_some() && !self.was_shrunk),
            grown_at: self.grown.map(|grown| grown.at).filter(|_| scope != Scope::Preflight),
            patience: self.patience,
            metrics,
            tallies,
        }
    }

    /// What is counted of a metric, to be counted on.
    pub fn tally_mut(&mut self, scope: Scope, name: &str) -> Option<&mut Tally> {
        let tallies = match scope {
            Scope::Preflight => &mut self.preflight.as_mut()?.measured,
            Scope::Background => &mut self.background,
            Scope::Step => &mut self.measured,
            Scope::Comparison => return None,
        };
        let baseline = match scope {
            Scope::Background => self.baselines.get(name),
            Scope::Step => self.baselines.get(&in_step(name, self.step)).or_else(|| self.baselines.get(name)),
            Scope::Preflight | Scope::Comparison => None,
        };
        let gate = |baseline: &Baseline| Box::new(Gate::with_baseline(*baseline));
        let new = || Tally { gate: baseline.map(gate), ..Tally::default() };
        Some(tallies.entry(name.to_owned()).or_insert_with(new))
    }

    /// What has been counted of every metric: of stable before anything moved, beside the steps, in the present step.
    pub fn tallies(&self) -> impl Iterator<Item = (Scope, &String, &Tally)> {
        let preflight = self.preflight.iter().flat_map(|preflight| &preflight.measured);
        let preflight = preflight.map(|(name, tally)| (Scope::Preflight, name, tally));
        let background = self.background.iter().map(|(name, tally)| (Scope::Background, name, tally));
        preflight.chain(background).chain(self.measured.iter().map(|(name, tally)| (Scope::Step, name, tally)))
    }

    /// A metric by the name that its tally has.
    pub fn metric(&self, scope: Scope, name: &str) -> Option<Cow<'_, Metric>> {
        let metrics = match (scope, self.recipe.steps.get(self.step)) {
            (Scope::Background, _) => &self.recipe.background.as_ref()?.metrics,
            (Scope::Step, Some(Step::Analysis(metrics))) => metrics,
            (Scope::Preflight, _) => return self.metrics().into_iter().find(|it| it.name == name).map(Cow::Owned),
            (Scope::Step | Scope::Comparison, _) => return None,
        };
        metrics.iter().find(|metric| metric.name == name).map(Cow::Borrowed)
    }

    /// Every metric of the release, each once: the background's, then those of the steps. One that shares its name with
    /// another metric, but not its definition, is told apart by its step.
    pub fn metrics(&self) -> Vec<Metric> {
        let background = self.recipe.background.iter().flat_map(|background| &background.metrics);
        let mut metrics: Vec<Metric> = background.cloned().collect();
        for (index, step) in self.recipe.steps.iter().enumerate() {
            let Step::Analysis(measured) = step else { continue };
            for metric in measured {
                match metrics.iter().find(|known| known.name == metric.name) {
                    Some(known) if known == metric => {}
                    Some(_) => {
                        let name = in_step(&metric.name, index);
                        metrics.push(Metric { name, ..metric.clone() });
                    }
                    None => metrics.push(metric.clone()),
                }
            }
        }
        metrics
    }
}
