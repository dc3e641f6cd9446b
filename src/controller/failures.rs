//! Writes that failed or had no effect, by what they were to change: each waits by itself, and only for as long as trying
//! again would be the same try.

use std::collections::BTreeMap;
use std::time::Duration;

use leadsman_core::plan::Action;
use tokio::time::Instant;

use crate::cluster::Error;
use crate::runtime::backoff::Backoff;

/// What writing the status of the Rollout is called among its writes.
pub const STATUS: &str = "status";
/// Conflicts in a row that are not yet a failure.
const MOST_CONFLICTS: u32 = 5;
/// What is said of a write after which the object is as it was.
const NO_EFFECT: &str = "the write had no effect: something, such as an admission webhook, takes it back";

/// What a write rests on. Once this is something else, it is another write, of which nothing is known yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basis {
    /// The action; `None` for what the shell does by itself.
    pub action: Option<Action>,
    /// `metadata.generation` of the Rollout.
    pub generation: i64,
}

/// Writes of one Rollout that are still wanted and did not succeed.
#[derive(Default)]
pub struct Failures {
    by_target: BTreeMap<String, Failure>,
    /// Writes that met with a conflict, and how often in a row.
    moving: BTreeMap<String, u32>,
}

struct Failure {
    basis: Basis,
    backoff: Backoff,
    held: Held,
    /// Why, for people; `None` where it is not theirs to know.
    words: Option<String>,
}

/// For how long a write is not made again.
enum Held {
    Until(Instant),
    /// For as long as the object is in the version in which it had no effect.
    InVersion(u64),
}

impl Failures {
    /// Whether a write should not be made now. `version` is the object's, as it was seen.
    pub fn hold(&mut self, target: &str, basis: &Basis, version: Option<u64>, now: Instant) -> bool {
        let Some(failure) = self.by_target.get(target) else { return false };
        if failure.basis != *basis {
            self.by_target.remove(target);
            return false;
        }
        match failure.held {
            Held::Until(until) => now < until,
            Held::InVersion(idle) => version == Some(idle),
        }
    }

    /// A write failed. It is made again after a delay that doubles, or when the server asked to.
    pub fn failed(&mut self, target: &str, basis: Basis, error: &Error, now: Instant) {
        // Where this instance does not lead nobody has refused anything.
        let words = (!matches!(error, Error::NotLeading)).then(|| error.to_string());
        let asked = error.retry_after().unwrap_or_default();
        self.delay(target, basis, words, asked, now);
    }

    /// A write was answered with the very version of the object that had been seen. It is not made again before that is
    /// another one. What takes traffic away from harm is, later and later.
    pub fn had_no_effect(&mut self, target: &str, basis: Basis, version: u64, now: Instant) {
        let is_safety = basis.action.as_ref().is_some_and(Action::is_safety);
        self.delay(target, basis, Some(NO_EFFECT.to_owned()), Duration::ZERO, now);
        if let Some(failure) = self.by_target.get_mut(target).filter(|_| !is_safety) {
            failure.held = Held::InVersion(version);
        }
    }

    fn delay(&mut self, target: &str, basis: Basis, words: Option<String>, at_least: Duration, now: Instant) {
        let backoff = match self.by_target.get(target) {
            Some(failure) if failure.basis == basis => failure.backoff,
            _ => Backoff::OBJECT,
        };
        let mut failure = Failure { basis, backoff, held: Held::Until(now), words };
        failure.held = Held::Until(now + failure.backoff.fail().max(at_least));
        self.by_target.insert(target.to_owned(), failure);
    }

    /// A write met with a conflict. True while it may be tried again at once, after a look; one that meets with conflicts
    /// again and again is a failure like any other.
    pub fn moved(&mut self, target: &str) -> bool {
        let times = self.moving.entry(target.to_owned()).or_default();
        *times += 1;
        *times <= MOST_CONFLICTS
    }

    /// A write succeeded.
    pub fn succeeded(&mut self, target: &str) {
        self.by_target.remove(target);
        self.moving.remove(target);
    }

    /// Writes that are not wanted any more are forgotten.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.by_target.retain(|target, _| is_wanted(target));
        self.moving.retain(|target, _| is_wanted(target));
    }

    /// Actions that did not succeed and are still wanted, a sentence each, with why.
    pub fn refusals(&self) -> Vec<String> {
        let told = |failure: &Failure| {
            let (action, words) = (failure.basis.action.as_ref()?, failure.words.as_ref()?);
            Some(format!("cannot {action}: {words}"))
        };
        self.by_target.values().filter_map(told).collect()
    }

    /// When the next of them may be made again.
    pub fn next_deadline(&self) -> Option<Instant> {
        let until = |failure: &Failure| if let Held::Until(until) = failure.held { Some(until) } else { None };
        self.by_target.values().filter_map(until).min()
    }
}

#[cfg(test)]
mod tests {
    use leadsman_core::names::{Selection, Side};
    use leadsman_core::observed::RouteId;
    use leadsman_core::traffic::Weight;

    use super::*;

    fn basis() -> Basis {
        let service = "shop-canary".to_owned();
        let bind =
            Action::Bind { side: Side::Canary, service, selection: Selection::Any, ports: Vec::new(), safety: false };
        Basis { action: Some(bind), ..Basis::default() }
    }

    fn lost() -> Error {
        Error::Lost("timed out".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_later_and_later_and_alone() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let held = |failures: &mut Failures, target: &str, millis: u64| {
            failures.hold(target, &basis(), None, now + Duration::from_millis(millis))
        };
        failures.failed("a", basis(), &lost(), now);
        assert!(held(&mut failures, "a", 399) && !held(&mut failures, "a", 601) && !held(&mut failures, "b", 0));
        failures.failed("a", basis(), &lost(), now);
        assert!(held(&mut failures, "a", 799));
        failures.succeeded("a");
        assert!(failures.next_deadline().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_may_ask_for_more_time() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let status = kube::core::Status::failure("slow down", "TooManyRequests").with_code(429).boxed();
        let error = Error::Refused { status, retry_after: Some(Duration::from_secs(7)) };
        failures.failed("a", basis(), &error, now);
        assert!(failures.hold("a", &basis(), None, now + Duration::from_millis(6_900)));
    }

    #[tokio::test(start_paused = true)]
    async fn another_cause_is_another_try_with_the_shortest_delay_again() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for _ in 0..8 {
            failures.failed("a", basis(), &lost(), now);
        }
        let others = [
            Basis { generation: 2, ..basis() },
            Basis { action: Some(Action::Loosen { service: "shop-canary".to_owned() }), ..basis() },
        ];
        for other in others {
            assert!(failures.hold("a", &basis(), None, now));
            assert!(!failures.hold("a", &other, None, now));
            failures.failed("a", other.clone(), &lost(), now);
            assert!(!failures.hold("a", &other, None, now + Duration::from_secs(1)));
            for _ in 0..8 {
                failures.failed("a", basis(), &lost(), now);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_effect_waits_for_another_version_and_a_way_back_goes_on() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let much_later = now + Duration::from_hours(1);
        failures.had_no_effect("a", basis(), 7, now);
        assert!(failures.hold("a", &basis(), Some(7), much_later));
        assert!(failures.next_deadline().is_none(), "there is nothing to wake for");
        assert!(failures.refusals()[0].contains("no effect"));
        assert!(!failures.hold("a", &basis(), Some(8), now));
        let route = RouteId { kind: "HTTPRoute", name: "shop".to_owned(), created_by_us: false };
        let back = Action::Split { route, weight: Weight::ZERO, safety: true };
        let back = Basis { action: Some(back), ..Basis::default() };
        failures.had_no_effect("b", back.clone(), 7, now);
        assert!(failures.hold("b", &back, Some(7), now) && !failures.hold("b", &back, Some(7), much_later));
        assert!(failures.next_deadline().is_some());
    }
}
