//! What the operator says about itself on `/metrics`. Label values come from fixed sets, but for the two gauges that are
//! about a Rollout, which go when it goes.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use leadsman_core::report::Phase;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::rollouts::Rollouts;

type Label = (&'static str, String);

/// All metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<[Label; 1], Counter>,
    duration: Histogram,
    requests: Family<[Label; 3], Counter>,
    phases: Family<[Label; 3], Gauge>,
    weights: Family<[Label; 2], Gauge>,
    verdicts: Family<[Label; 1], Counter>,
    rollbacks: Family<[Label; 1], Counter>,
    releases: Family<[Label; 3], Counter>,
    release_duration: Histogram,
    /// What is said of each Rollout.
    pub rollouts: Rollouts,
    watch_errors: Family<[Label; 1], Counter>,
    skipped: Family<[Label; 1], Counter>,
    events_lost: Counter,
    panics: Family<[Label; 1], Counter>,
    leader: Gauge,
    queue: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("leadsman"),
            reconciles: Family::default(),
            duration: Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
            requests: Family::default(),
            phases: Family::default(),
            weights: Family::default(),
            verdicts: Family::default(),
            rollbacks: Family::default(),
            releases: Family::default(),
            release_duration: Histogram::new([60.0, 300.0, 900.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0]),
            rollouts: Rollouts::default(),
            watch_errors: Family::default(),
            skipped: Family::default(),
            events_lost: Counter::default(),
            panics: Family::default(),
            leader: Gauge::default(),
            queue: Gauge::default(),
        };
        let to = &mut metrics.registry;
        to.register("reconciles", "Passes over a Rollout, by how they ended", metrics.reconciles.clone());
        to.register("reconcile_duration_seconds", "Time that a pass took", metrics.duration.clone());
        to.register("api_requests", "Requests to the API server; code 0 is no answer", metrics.requests.clone());
        to.register("rollout_phase", "1 for the phase that a Rollout is in", metrics.phases.clone());
        to.register("rollout_canary_weight", "Percent of traffic decided for the canary", metrics.weights.clone());
        to.register("verdicts", "Measurements, by what they said", metrics.verdicts.clone());
        to.register("rollbacks", "Releases that were rolled back, by reason", metrics.rollbacks.clone());
        to.register("releases", "Releases that ended, by how", metrics.releases.clone());
        to.register(
            "release_duration_seconds",
            "From the start of a release to its promotion or the decision to go back",
            metrics.release_duration.clone(),
        );
        to.register_collector(Box::new(metrics.rollouts.clone()));
        to.register("watch_errors", "Failures of a watch, by kind", metrics.watch_errors.clone());
        to.register("objects_skipped", "Versions of objects that could not be read, by kind", metrics.skipped.clone());
        to.register("events_lost", "Events that could not be written", metrics.events_lost.clone());
        to.register("panics", "Faults of the operator itself, by what they ended", metrics.panics.clone());
        to.register("leader", "1 while this instance leads", metrics.leader.clone());
        to.register("queue_depth", "Rollouts that are due", metrics.queue.clone());
        metrics
    }

    /// The text of `/metrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }

    /// A pass ended.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&[("outcome", outcome.to_owned())]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A request was answered with `code`, or not at all.
    pub fn request(&self, verb: &'static str, kind: &str, code: Option<u16>) {
        let code = code.unwrap_or_default().to_string();
        self.requests.get_or_create(&[("verb", verb.to_owned()), ("kind", kind.to_owned()), ("code", code)]).inc();
    }

    /// Where a Rollout stands.
    pub fn rollout(&self, namespace: &str, name: &str, phase: Phase, before: Option<Phase>, weight: u32) {
        let labels = |phase: Phase| phase_labels(namespace, name, phase);
        if before != Some(phase) {
            if let Some(before) = before {
                self.phases.remove(&labels(before));
            }
            self.phases.get_or_create(&labels(phase)).set(1);
        }
        self.weights.get_or_create(&rollout_labels(namespace, name)).set(i64::from(weight));
    }

    /// A Rollout is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        for phase in Phase::ALL {
            self.phases.remove(&phase_labels(namespace, name, phase));
        }
        self.weights.remove(&rollout_labels(namespace, name));
        self.rollouts.forget(namespace, name);
    }

    /// Measurements were judged.
    pub fn verdicts(&self, verdict: &'static str, number: u64) {
        self.verdicts.get_or_create(&[("verdict", verdict.to_owned())]).inc_by(number);
    }

    /// A release was rolled back.
    pub fn rolled_back(&self, reason: &str) {
        self.rollbacks.get_or_create(&[("reason", reason.to_owned())]).inc();
    }

    /// A release ended.
    pub fn release_ended(&self, namespace: &str, name: &str, outcome: &'static str) {
        let [namespace, name] = rollout_labels(namespace, name);
        self.releases.get_or_create(&[namespace, name, ("outcome", outcome.to_owned())]).inc();
    }

    /// It was decided on after so long.
    pub fn release_decided(&self, after: Duration) {
        self.release_duration.observe(after.as_secs_f64());
    }

    /// A watch failed.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_errors.get_or_create(&[("kind", kind.to_owned())]).inc();
    }

    /// An object cannot be read and is skipped.
    pub fn skipped(&self, kind: &str) {
        self.skipped.get_or_create(&[("kind", kind.to_owned())]).inc();
    }

    /// An event could not be written.
    pub fn event_lost(&self) {
        self.events_lost.inc();
    }

    /// A panic ended something: a `pass`, or a `watch`.
    pub fn panicked(&self, what: &'static str) {
        self.panics.get_or_create(&[("what", what.to_owned())]).inc();
    }

    /// Whether this instance leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many Rollouts are due.
    pub fn queue_depth(&self, depth: usize) {
        self.queue.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
}

fn rollout_labels(namespace: &str, name: &str) -> [Label; 2] {
    [("namespace", namespace.to_owned()), ("name", name.to_owned())]
}

fn phase_labels(namespace: &str, name: &str, phase: Phase) -> [Label; 3] {
    [("namespace", namespace.to_owned()), ("name", name.to_owned()), ("phase", phase.as_str().to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented() {
        let page = include_str!("../../docs/metrics.md");
        // What has no value yet is not described.
        let metrics = Metrics::new();
        metrics.reconciled("done", Duration::ZERO);
        metrics.request("get", "Rollout", None);
        metrics.rollout("shop", "cart", Phase::Healthy, None, 0);
        metrics.verdicts("Success", 1);
        metrics.rolled_back("Aborted");
        metrics.release_ended("shop", "cart", "Promoted");
        metrics.watch_failed("Rollout");
        metrics.skipped("Rollout");
        metrics.panicked("pass");
        let text = metrics.text();
        let mut described: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| format!("{name}{}", if kind == "counter" { "_total" } else { "" }))
            .collect();
        let mut documented: Vec<_> =
            page.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect();
        described.sort();
        documented.sort();
        assert_eq!(described, documented);
    }

    #[test]
    fn a_rollout_is_in_one_phase_and_leaves_nothing_behind() {
        let metrics = Metrics::new();
        metrics.rollout("shop", "cart", Phase::Progressing, None, 20);
        metrics.rollout("shop", "cart", Phase::Healthy, Some(Phase::Progressing), 0);
        let text = metrics.text();
        assert!(text.contains(r#"leadsman_rollout_phase{namespace="shop",name="cart",phase="Healthy"} 1"#), "{text}");
        assert!(!text.contains("Progressing"), "{text}");
        metrics.forget("shop", "cart");
        assert!(!metrics.text().contains("cart"));
    }
}
