//! A cluster as a pass sees it, for tests of single rules: everything is well, and each test spoils one thing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Plan, plan};
use crate::analysis::tally::Patience;
use crate::names::{Hash, Revision, Selection, Side};
use crate::observed::{
    Acceptance, Endpoints, Look, Observed, ParentService, RouteId, RouteView, ServiceView, SetView, Sighted, Slice,
};
use crate::report::Condition;
use crate::spec::{Rollout, Spec, Step};
use crate::state::{Clock, Preflight, Release, Stage, State, Timing};
use crate::time::after;
use crate::traffic::{Binding, Bindings, Carrier, Port, RouteTarget, Split, Strategy, Target, Targets, Weight};

/// What a pass is given.
#[derive(Clone)]
pub(super) struct Scene {
    pub rollout: Rollout,
    pub state: Option<State>,
    pub seen: Observed,
}

fn revision(hash: &str, number: u64) -> Revision {
    Revision { hash: hash.into(), number, commit: None, images: Vec::new(), ports: vec![port(80, 8080)] }
}

/// A port of a Service that leads to this one of the pods.
pub(super) fn port(number: u16, target: u16) -> Port {
    Port {
        name: Some("http".to_owned()),
        port: number,
        target_port: Target::Number(target),
        protocol: "TCP".to_owned(),
        app_protocol: None,
    }
}

fn bound(hash: &str, at: Timestamp) -> Binding {
    let selection = || Selection::from(Hash::from(hash));
    Binding { decided: selection(), seen_since: Some(at), in_force: Some(selection()) }
}

impl Scene {
    /// Four pods of `old` serve, and nothing is under way.
    pub fn resting() -> Self {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let long_ago = Timestamp::from_second(1_699_990_000).unwrap();
        let id = RouteId { kind: "HTTPRoute", name: "shop".to_owned(), created_by_us: false };
        let route = RouteView {
            least: Weight::ZERO,
            most: Weight::ZERO,
            fixed: Weight::ZERO,
            acceptance: Acceptance::Accepted,
            problem: None,
            differs: false,
            warnings: Vec::new(),
            held: false,
            spills: false,
        };
        let ports = vec![port(80, 8080)];
        let selection = Some(Hash::from("old").into());
        let service = ServiceView { selection, created_by_us: true, ports: ports.clone(), ..ServiceView::default() };
        let target =
            RouteTarget { kind: "HTTPRoute".to_owned(), name: "shop".to_owned(), owned: false, rules: Vec::new() };
        let targets = Targets {
            carrier: Carrier::Routes,
            strategy: Strategy::Canary,
            stable_service: "shop-stable".to_owned(),
            canary_service: "shop-canary".to_owned(),
            routes: vec![target],
        };
        let steps = vec![Step::SetWeight(Weight::clamped(25)), Step::Pause(None), Step::SetWeight(Weight::clamped(50))];
        let spec = Spec::plain(steps);
        let mut scene = Self {
            rollout: Rollout {
                namespace: "market".to_owned(),
                name: "shop".to_owned(),
                created_at: Some(now),
                generation: 1,
                deleted_at: None,
                hash: "old".into(),
                commit: None,
                images: Vec::new(),
                targets: targets.clone(),
                replicas: 4,
                replicas_given: true,
                restart_at: None,
                reports_kept: 10,
                paused: false,
                command: None,
                commander: None,
                spec: Ok(spec),
            },
            state: Some(State {
                stable: revision("old", 1),
                stage: Stage::Resting,
                split: Split { seen_since: Some(long_ago), ..Split::at_rest(Weight::ZERO, long_ago) },
                bindings: Bindings { stable: bound("old", now), canary: bound("old", now) },
                targets: Some(targets),
                retired: Vec::new(),
                timing: Timing::default(),
                idle: BTreeMap::new(),
                former: Vec::new(),
                rejected: Vec::new(),
                attempts: 1,
                last_command: None,
                commands: Vec::new(),
                tried: None,
                missing_since: None,
                restarted_at: None,
                foreign_edits: Vec::new(),
                spilling: false,
                records: Vec::new(),
            }),
            seen: Observed {
                now,
                first_pass: false,
                live: false,
                sets: Look::Seen(BTreeMap::new()),
                service: ParentService::Fits,
                ports: Some(ports),
                named_ports: Some([80].into()),
                other_services: Vec::new(),
                stable_service: Look::Seen(service.clone()),
                canary_service: Look::Seen(service),
                stable_endpoints: Endpoints::default(),
                canary_endpoints: Endpoints::default(),
                routes: vec![(id, Look::Seen(route))],
                answers: Vec::new(),
                words: None,
                old_pods: None,
                trial: None,
                reports: BTreeMap::new(),
                finalizer: false,
                refused: Vec::new(),
                sighted: Sighted::default(),
            },
        };
        scene.pods("old", 4, 4).number = 1;
        scene.endpoints(Side::Stable, "old", 4);
        scene.endpoints(Side::Canary, "old", 4);
        scene
    }

    /// `new` has a quarter of the traffic and waits in a pause for a person.
    pub fn releasing() -> Self {
        let mut scene = Self::resting();
        let (now, recipe) = (scene.seen.now, scene.rollout.spec.clone().unwrap());
        let release = Release {
            canary: revision("new", 2),
            began_at: now,
            recipe,
            preflight: None,
            step: 1,
            step_since: now,
            returns: None,
            scale: None,
            goal: Weight::clamped(25),
            goal_since: Some(now),
            pending_since: Some(now),
            base_replicas: 4,
            shrunk: None,
            was_shrunk: false,
            background: BTreeMap::new(),
            measured: BTreeMap::new(),
            paused: false,
            asked: None,
            patience: Patience::Lasts,
            undecided_since: None,
            grown: None,
            baselines: BTreeMap::new(),
            skip: false,
            clock: Clock::default(),
            most_ready: 1,
            enough_since: None,
            restarts: BTreeMap::new(),
        };
        scene.rollout.hash = "new".into();
        let state = scene.state();
        state.attempts = 2;
        state.stage = Stage::Releasing(Box::new(release));
        state.bindings.canary = bound("new", now);
        state.split = Split { seen_since: Some(now), ..Split::at_rest(Weight::clamped(25), now) };
        scene.pods("new", 1, 1).number = 2;
        scene.service(Side::Canary).selection = Some(Hash::from("new").into());
        scene.endpoints(Side::Canary, "new", 1);
        scene.route().least = Weight::clamped(25);
        scene.route().most = Weight::clamped(25);
        scene.seen.finalizer = true;
        scene
    }

    /// `new` has been declared, and nothing has moved yet.
    pub fn preflight() -> Self {
        let resting = Self::resting();
        let mut scene = Self::releasing();
        scene.seen = resting.seen;
        let State { bindings, split, .. } = resting.state.unwrap();
        let state = scene.state();
        (state.bindings, state.split) = (bindings, split);
        let release = scene.release();
        release.preflight = Some(Preflight::default());
        (release.step, release.goal, release.goal_since, release.pending_since) = (0, Weight::ZERO, None, None);
        scene
    }

    /// No routes: the selector of `shop-stable` carries the traffic, or pods that work are all that there is.
    pub fn carried_by(&mut self, carrier: Carrier) {
        self.rollout.targets.carrier = carrier;
        self.rollout.targets.routes.clear();
        let targets = self.rollout.targets.clone();
        self.state().targets = Some(targets);
        self.seen.routes.clear();
    }

    pub fn state(&mut self) -> &mut State {
        self.state.as_mut().unwrap()
    }

    pub fn release(&mut self) -> &mut Release {
        match &mut self.state().stage {
            Stage::Releasing(release) => release,
            other => panic!("not releasing but {other:?}"),
        }
    }

    pub fn route(&mut self) -> &mut RouteView {
        match self.seen.routes.first_mut() {
            Some((_, Look::Seen(route))) => route,
            other => panic!("no route is seen but {other:?}"),
        }
    }

    pub fn service(&mut self, side: Side) -> &mut ServiceView {
        let service = match side {
            Side::Stable => &mut self.seen.stable_service,
            Side::Canary => &mut self.seen.canary_service,
        };
        if let Look::Seen(service) = service { service } else { panic!("{side} is not seen") }
    }

    /// So many pods of a revision are wanted, and so many ready.
    pub fn pods(&mut self, hash: &str, wanted: u32, ready: u32) -> &mut SetView {
        let Look::Seen(sets) = &mut self.seen.sets else { panic!("the sets are not seen") };
        let set = sets.entry(hash.into()).or_default();
        *set = SetView { wanted, existing: wanted, ready, available: ready, ..set.clone() };
        set
    }

    /// One slice behind a side's Service.
    pub fn endpoints(&mut self, side: Side, hash: &str, ready: u32) {
        let slices = vec![Slice { selection: Some(Hash::from(hash).into()), ready }];
        let endpoints = Endpoints { slices, lacking: None };
        match side {
            Side::Stable => self.seen.stable_endpoints = endpoints,
            Side::Canary => self.seen.canary_endpoints = endpoints,
        }
    }

    /// Time passes.
    pub fn later(&mut self, by: Duration) {
        self.seen.now = after(self.seen.now, by);
    }

    /// One pass; what it decided is persisted.
    pub fn pass(&mut self) -> Plan {
        let plan = plan(&self.rollout, self.state.as_ref(), &self.seen);
        self.state.clone_from(&plan.state);
        plan
    }
}

impl Plan {
    /// A condition of the report.
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.report.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Reasons of what it tells.
    pub(super) fn told(&self) -> Vec<&'static str> {
        self.facts.iter().map(super::Fact::reason).collect()
    }
}

/// A hash by its text.
impl PartialEq<&str> for Hash {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

#[test]
fn nothing_is_done_and_nothing_is_waited_for_at_rest() {
    let plan = Scene::resting().pass();
    assert_eq!(
        (plan.actions, plan.next_wake, plan.report.message.as_str()),
        (vec![], None, "revision 1 serves with 4 pods")
    );
}

#[test]
fn a_release_in_a_pause_waits_for_a_person_and_does_nothing() {
    let plan = Scene::releasing().pass();
    assert_eq!(plan.actions, []);
    assert_eq!(plan.report.waiting.map(|waiting| waiting.reason), Some("Person"));
}
