//! The checker bites: hand-made histories of what must not happen, and of what may.

use std::collections::BTreeSet;

use super::{Change, Fact, Verdict, Writers, judge};

const OPERATOR: &str = "operator";

/// A history with a Rollout of 4 pods in it, `old` stable and serving, the canary's Service bound to `old` as well.
struct History {
    changes: Vec<Change>,
    writers: Writers,
    now: f64,
}

impl History {
    fn new() -> Self {
        let mut history = Self { changes: Vec::new(), writers: Writers::default(), now: 0.0 };
        history.scaled_by_people(4);
        history.set("old", 4);
        history.bind("app-stable", "old");
        history.bind("app-canary", "old");
        history.endpoints("app-stable", "old", 4);
        history.endpoints("app-canary", "old", 4);
        history.weight_by("git", 0.0);
        history.pass(10.0);
        history
    }

    /// With `new` bound and ready for half, at half of the traffic, for long.
    fn at_half() -> Self {
        let mut history = Self::new();
        history.set("new", 2);
        history.bind("app-canary", "new");
        history.endpoints("app-canary", "new", 2);
        history.pass(10.0);
        history.weight(50.0);
        history.pass(10.0);
        history
    }

    fn put(&mut self, resource: &'static str, name: &str, fact: Fact, by: &str) {
        let version = self.changes.len() as u64 + 1;
        let name = name.to_owned();
        self.writers.versions.insert(version, (by.to_owned(), self.now));
        self.changes.push(Change { version, at: self.now, resource, name, fact: Some(fact) });
        self.now += 0.01;
    }

    fn pass(&mut self, seconds: f64) {
        self.now += seconds;
    }

    fn scaled_by_people(&mut self, replicas: u32) {
        let (stable, canary) = ("app-stable".to_owned(), "app-canary".to_owned());
        let rollout = Fact::Rollout { replicas, settle: 2.0, stable, canary, deleting: false };
        self.put("rollouts", "app", rollout, "git");
    }

    fn set(&mut self, revision: &str, replicas: u32) {
        let fact = Fact::Set { rollout: "app".to_owned(), revision: revision.to_owned(), replicas };
        self.put("replicasets", &format!("app-{revision}"), fact, OPERATOR);
    }

    fn bind(&mut self, service: &str, revision: &str) {
        let fact = Fact::Service { rollout: Some("app".to_owned()), revision: Some(revision.to_owned()) };
        self.put("services", service, fact, OPERATOR);
    }

    fn endpoints(&mut self, service: &str, revision: &str, ready: usize) {
        self.slice(&format!("{service}-1"), service, revision, ready);
    }

    fn slice(&mut self, name: &str, service: &str, revision: &str, ready: usize) {
        let ready: BTreeSet<_> = (0..ready).map(|number| format!("{name}-{number}")).collect();
        let fact = Fact::Slice { service: service.to_owned(), revision: Some(revision.to_owned()), ready };
        self.put("endpointslices", name, fact, "slices");
    }

    fn weight(&mut self, canary: f64) {
        self.weight_by(OPERATOR, canary);
    }

    fn weight_by(&mut self, by: &str, canary: f64) {
        let rule = vec![("app-stable".to_owned(), 100.0 - canary), ("app-canary".to_owned(), canary)];
        self.put("httproutes", "app", Fact::Route(vec![rule]), by);
    }

    fn verdict(&self) -> Verdict {
        judge(&self.changes, &self.writers, OPERATOR)
    }

    fn expect(&self, words: &str) {
        let violations = self.verdict().violations;
        assert!(violations.len() == 1 && violations.iter().all(|it| it.contains(words)), "{words}: {violations:?}");
    }

    fn expect_nothing(&self) {
        let verdict = self.verdict();
        assert!(verdict.violations.is_empty() && verdict.moments > 0, "{verdict:?}");
    }
}

#[test]
fn a_whole_release_breaks_nothing() {
    let mut history = History::at_half();
    history.set("new", 4);
    history.endpoints("app-canary", "new", 4);
    history.weight(100.0);
    history.pass(3.0);
    history.bind("app-stable", "new");
    history.endpoints("app-stable", "new", 4);
    history.pass(3.0);
    history.weight(0.0);
    history.pass(10.0);
    history.set("old", 0);
    history.expect_nothing();
}

#[test]
fn weight_before_endpoints_is_found() {
    let mut history = History::new();
    history.set("new", 2);
    history.bind("app-canary", "new");
    history.endpoints("app-canary", "new", 1);
    history.pass(5.0);
    history.weight(50.0);
    history.expect("1 of 2 endpoints");
}

#[test]
fn endpoints_of_the_former_binding_do_not_count() {
    let mut history = History::new();
    history.bind("app-canary", "new");
    history.pass(5.0);
    history.weight(50.0);
    history.expect("0 of 2 endpoints");
}

#[test]
fn a_slice_of_the_former_revision_beside_enough_of_the_new_one_is_found() {
    let mut history = History::new();
    history.slice("second", "app-canary", "old", 1);
    history.bind("app-canary", "new");
    history.endpoints("app-canary", "new", 2);
    history.pass(5.0);
    history.weight(50.0);
    history.expect("former revision");
}

#[test]
fn weight_on_a_binding_that_has_not_settled_is_found() {
    let mut history = History::new();
    history.bind("app-canary", "new");
    history.endpoints("app-canary", "new", 4);
    history.pass(1.0);
    history.weight(50.0);
    history.expect("to settle");
}

#[test]
fn a_change_that_was_heard_of_late_is_no_late_change() {
    let mut history = History::at_half();
    for change in &mut history.changes {
        if change.resource == "services" || change.resource == "endpointslices" {
            change.at += 9.5;
        }
    }
    history.expect_nothing();
}

#[test]
fn a_service_that_is_re_pointed_while_it_has_weight_is_found() {
    let mut history = History::at_half();
    history.bind("app-stable", "new");
    history.expect("re-pointed from old");
    let mut history = History::at_half();
    history.bind("app-canary", "third");
    history.expect("re-pointed from new");
}

#[test]
fn a_service_is_not_free_before_its_weight_has_settled() {
    let mut history = History::at_half();
    history.weight(0.0);
    history.pass(0.5);
    history.bind("app-canary", "third");
    history.expect("re-pointed from new");
}

#[test]
fn the_canarys_service_may_go_to_ready_pods_of_stable_at_any_time() {
    let mut history = History::at_half();
    history.bind("app-canary", "old");
    history.expect_nothing();
}

#[test]
fn a_set_that_is_scaled_down_before_its_weight_is_0_is_found() {
    let mut history = History::at_half();
    history.set("new", 1);
    history.expect("needs 2");
    let mut history = History::at_half();
    history.weight(0.0);
    history.pass(0.5);
    history.set("new", 1);
    history.expect("needs 2");
}

#[test]
fn a_set_that_a_service_is_bound_to_is_not_scaled_to_nothing() {
    let mut history = History::at_half();
    history.weight(0.0);
    history.pass(5.0);
    history.set("new", 0);
    history.expect("while a Service is bound");
}

#[test]
fn fewer_pods_are_enough_once_people_want_fewer() {
    let mut history = History::at_half();
    history.scaled_by_people(2);
    history.set("new", 1);
    history.set("old", 2);
    history.expect_nothing();
}

#[test]
fn a_pod_that_dies_after_the_weight_was_given_is_nobodys_fault_and_counted() {
    let mut history = History::at_half();
    history.endpoints("app-canary", "new", 1);
    assert_eq!(history.verdict().short, 1);
    history.expect_nothing();
}

#[test]
fn a_pod_that_died_long_before_is_known_when_the_weight_is_given() {
    let mut history = History::new();
    history.bind("app-canary", "new");
    history.endpoints("app-canary", "new", 2);
    history.pass(10.0);
    history.endpoints("app-canary", "new", 1);
    history.pass(2.0);
    history.weight(50.0);
    history.expect("1 of 2 endpoints");
}

#[test]
fn half_of_stable_is_enough_for_the_whole_way_back() {
    let mut history = History::at_half();
    history.endpoints("app-stable", "old", 2);
    history.pass(5.0);
    history.weight(0.0);
    history.expect_nothing();
}

#[test]
fn a_stable_with_less_than_half_is_given_a_quarter_at_a_time() {
    let mut history = History::at_half();
    history.endpoints("app-stable", "old", 1);
    history.pass(5.0);
    for canary in [37.0, 24.0, 11.0, 0.0] {
        history.weight(canary);
        history.pass(3.0);
    }
    history.expect_nothing();

    let mut history = History::at_half();
    history.endpoints("app-stable", "old", 1);
    history.pass(5.0);
    history.weight(0.0);
    history.expect("1 of 4 endpoints");
}

#[test]
fn a_rollback_never_goes_to_an_empty_set_unless_the_canary_is_empty_too() {
    let mut history = History::at_half();
    history.endpoints("app-stable", "old", 0);
    history.pass(5.0);
    history.weight(37.0);
    history.expect("0 of 3 endpoints");

    let mut history = History::at_half();
    history.endpoints("app-stable", "old", 0);
    history.endpoints("app-canary", "new", 0);
    history.pass(5.0);
    history.weight(0.0);
    history.expect_nothing();
}

#[test]
fn a_weak_stable_is_no_reason_to_give_the_canary_more_than_it_can_carry() {
    let mut history = History::at_half();
    history.endpoints("app-stable", "old", 0);
    history.pass(5.0);
    history.weight(100.0);
    history.expect("2 of 4 endpoints");
}

#[test]
fn what_people_write_is_theirs_and_putting_it_back_is_no_fault() {
    let mut history = History::at_half();
    history.endpoints("app-stable", "old", 1);
    history.weight_by("somebody", 100.0);
    history.pass(5.0);
    history.weight(50.0);
    history.expect_nothing();
}
