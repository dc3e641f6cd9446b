//! A cluster of one application, and operators to run in it.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use leadsman::args::Args;
use leadsman::controller::key::Key;
use leadsman::measure::{Asked, Provider};
use leadsman::runtime::clock::Clock;
use leadsman::{Error, Operator};
use leadsman_api::names::REVISION_LABEL;
use leadsman_core::analysis::Question;
use leadsman_testkit::object::{label, list, number, text};
use leadsman_testkit::traffic::{self, Breach};
use leadsman_testkit::{ApiServer, Application, Connection, Controllers, Habits, Name, Prometheus, kind};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where everything happens.
pub const NAMESPACE: &str = "shop";
/// Longest that anything in these tests may take, in virtual time.
const PATIENCE: Duration = Duration::from_mins(15);

/// A cluster.
pub struct Bed {
    pub server: ApiServer,
    pub controllers: Controllers,
    pub prometheus: Prometheus,
}

/// An operator that runs.
pub struct Running {
    pub connection: Connection,
    pub operator: Arc<Operator>,
    pub stop: CancellationToken,
    task: JoinHandle<Option<Result<(), Error>>>,
}

/// The metric source.
pub struct Answers(pub Prometheus);

impl Provider for Answers {
    fn host(&self, question: &Question) -> String {
        question.source.prometheus().and_then(|source| source.address.clone()).unwrap_or_default()
    }

    fn ask<'a>(&'a self, _: &'a Key, question: &'a Question) -> BoxFuture<'a, Asked> {
        join_all(question.queries.iter().map(|query| self.0.ask(query))).map(Asked::Answered).boxed()
    }
}

impl Bed {
    pub fn new() -> Self {
        Self::with(Habits::default())
    }

    pub fn with(habits: Habits) -> Self {
        let server = ApiServer::new();
        let controllers = Controllers::start(&server, habits);
        Self { server, controllers, prometheus: Prometheus::new() }
    }

    /// Declares everything of an application.
    pub fn declare(&self, application: &Application) {
        for object in application.surroundings() {
            self.server.hand("git").apply(&object).unwrap();
        }
        self.release(application);
    }

    /// Declares the Rollout alone.
    pub fn release(&self, application: &Application) {
        self.server.hand("git").apply(&application.rollout()).unwrap();
    }

    /// Starts an operator.
    pub fn operator(&self, name: &str) -> Running {
        self.operator_with(name, &[])
    }

    pub fn operator_with(&self, name: &str, arguments: &[&str]) -> Running {
        let connection = self.server.connect(name);
        let args = Args::parse_from([&["leadsman"], arguments].concat());
        let source = Box::new(Answers(self.prometheus.clone()));
        let clock = Clock::starting_at(self.server.now());
        let operator = Operator::with(&args, connection.client(), "leadsman-system".to_owned(), source, clock);
        let (operator, stop) = (Arc::new(operator), CancellationToken::new());
        let (leads, stopping, process) = (Arc::clone(&operator), stop.clone(), connection.clone());
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = process.until_cut() => None,
                outcome = leads.lead(&args, &stopping) => Some(outcome),
            }
        });
        Running { connection, operator, stop, task }
    }

    /// Waits until the application is as `is` wants it, and gives its Rollout.
    pub async fn until(&self, application: &Application, is: impl Fn(&Value) -> bool) -> Arc<Value> {
        let name = application.name();
        let look = |server: &ApiServer| server.get(name.kind, &name.namespace, &name.name).filter(|it| is(it));
        let waited = tokio::time::timeout(PATIENCE, self.server.until(look)).await;
        waited.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {}", self.told(application)))
    }

    /// Waits until the declared generation is in this phase.
    pub async fn until_phase(&self, application: &Application, phase: &str) -> Arc<Value> {
        self.until(application, |rollout| is_current(rollout) && text(rollout, "/status/phase") == phase).await
    }

    /// Waits until an application that was declared serves, with nothing on its way out any more.
    pub async fn until_at_rest(&self, application: &Application) -> Arc<Value> {
        let hash = application.hash();
        self.until(application, |rollout| {
            is_current(rollout)
                && is_at_rest(rollout)
                && text(rollout, "/status/phase") == "Healthy"
                && text(rollout, "/status/stable/hash") == hash
        })
        .await
    }

    /// The Rollout as it is.
    pub fn rollout(&self, application: &Application) -> Arc<Value> {
        let Name { kind, namespace, name } = application.name();
        self.server.get(kind, &namespace, &name).expect("the Rollout")
    }

    /// The report of an attempt.
    pub fn report(&self, application: &Application, number: u64) -> Arc<Value> {
        let name = format!("{}-{number}", application.name().name);
        self.server.get(&kind::REPORT, NAMESPACE, &name).unwrap_or_else(|| panic!("no report {name}"))
    }

    fn told(&self, application: &Application) -> String {
        let status = self.rollout(application).get("status").cloned().unwrap_or_default();
        serde_json::to_string_pretty(&status).unwrap()
    }

    /// The canary's shares that the route of an application has had, in their order.
    pub fn weights(&self, application: &Application) -> Vec<u64> {
        let route = application.route_name();
        self.server.look_back(|history| {
            let changes = history.iter().filter(|change| change.name.kind == route.kind && change.name == route);
            let mut weights: Vec<u64> = changes.map(|change| canary_weight(change.object())).collect();
            weights.dedup();
            weights
        })
    }

    /// What a Service has selected, by its label, in its order.
    pub fn selections(&self, service: &Name) -> Vec<String> {
        self.server.look_back(|history| {
            let changes = history.iter().filter(|change| change.name == *service);
            let labels = changes.map(|change| label(change.object(), REVISION_LABEL).unwrap_or_default().to_owned());
            let mut labels: Vec<String> = labels.filter(|label| !label.is_empty()).collect();
            labels.dedup();
            labels
        })
    }

    /// Waits until a Service selects this, by its label and by its selector.
    pub async fn until_selected(&self, service: &Name, selection: &str) {
        let revision = Some(selection).filter(|selection| *selection != "any").unwrap_or_default();
        let look = |server: &ApiServer| {
            let service = server.get(service.kind, &service.namespace, &service.name)?;
            let selects = text(&service, "/spec/selector/leadsman.dev~1revision") == revision;
            (selects && label(&service, REVISION_LABEL) == Some(selection)).then_some(())
        };
        let waited = tokio::time::timeout(PATIENCE, self.server.until(look)).await;
        assert!(waited.is_ok(), "{service} does not select {selection}: {:?}", self.selections(service));
    }

    /// What the route of an application gives to the canary now.
    pub fn weight(&self, application: &Application) -> u64 {
        let route = application.route_name();
        self.server.get(route.kind, &route.namespace, &route.name).map_or(0, |route| canary_weight(&route))
    }

    /// Waits until the route of an application gives the canary this share.
    pub async fn until_weight(&self, application: &Application, weight: u64) {
        let look = |_: &ApiServer| (self.weight(application) == weight).then_some(());
        let waited = tokio::time::timeout(PATIENCE, self.server.until(look)).await;
        assert!(waited.is_ok(), "{}% instead of {weight}%: {}", self.weight(application), self.told(application));
    }

    /// What must not have happened to traffic since a version.
    pub fn breaches(&self, since: u64) -> Vec<Breach> {
        traffic::check(&self.server.history(), NAMESPACE, since)
    }

    /// The same, up to the moment in which a Rollout was let go: what was its own goes with it.
    pub fn breaches_until_deleted(&self, since: u64) -> Vec<Breach> {
        let mut history = self.server.history();
        let gone = history.iter().position(|change| change.name.kind == &kind::ROLLOUT && change.after.is_none());
        history.truncate(gone.unwrap_or(history.len()));
        traffic::check(&history, NAMESPACE, since)
    }

    /// Waits until an object is gone.
    pub async fn until_gone(&self, name: &Name) {
        let look = |server: &ApiServer| server.get(name.kind, &name.namespace, &name.name).is_none().then_some(());
        let waited = tokio::time::timeout(PATIENCE, self.server.until(look)).await;
        assert!(waited.is_ok(), "{name} is still there");
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.server.history().last().map_or(0, |change| change.version)
    }

    /// Size and ready pods of the set of an application.
    pub fn pods(&self, application: &Application) -> (u64, u64) {
        let name = application.set_name();
        let set = self.server.get(&kind::REPLICA_SET, &name.namespace, &name.name);
        set.map_or((0, 0), |set| (number(&set, "/spec/replicas"), number(&set, "/status/readyReplicas")))
    }

    /// Waits until the set of an application has this size, and so many ready pods.
    pub async fn until_pods(&self, application: &Application, pods: (u64, u64)) {
        let look = |_: &ApiServer| (self.pods(application) == pods).then_some(());
        let waited = tokio::time::timeout(PATIENCE, self.server.until(look)).await;
        assert!(waited.is_ok(), "{:?} instead of {pods:?}: {}", self.pods(application), self.told(application));
    }

    /// The notes of all events with a reason.
    pub fn events(&self, reason: &str) -> Vec<String> {
        self.of_events(reason, |event| text(event, "/note").to_owned())
    }

    /// The names of the reports that all events with a reason are related to.
    pub fn related(&self, reason: &str) -> Vec<Value> {
        self.of_events(reason, |event| event.pointer("/related/name").cloned().unwrap_or_default())
    }

    fn of_events<T>(&self, reason: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
        let events = self.server.list(&kind::EVENT, NAMESPACE, "");
        events.iter().filter(|event| text(event, "/reason") == reason).map(|event| read(event)).collect()
    }
}

impl Running {
    /// Ends it as `kill -9` does.
    pub fn kill(&self) {
        self.connection.cut();
    }

    /// Waits until it has ended; `None` for one that was killed.
    pub async fn ended(self) -> Option<Result<(), Error>> {
        self.task.await.expect("no panic")
    }

    /// How many passes it has made.
    pub fn passes(&self) -> u64 {
        let text = self.operator.metrics();
        let counts = text.lines().filter(|line| line.starts_with("leadsman_reconciles_total"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// A sample of its metrics: the value of the first line that begins like this.
    pub fn metric(&self, line: &str) -> f64 {
        let text = self.operator.metrics();
        let value = text.lines().find(|it| it.starts_with(line)).and_then(|it| it.rsplit(' ').next()?.parse().ok());
        value.unwrap_or(0.0)
    }
}

/// Waits.
pub async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Whether the status is about the declared generation.
pub fn is_current(rollout: &Value) -> bool {
    number(rollout, "/status/observedGeneration") == number(rollout, "/metadata/generation")
}

/// Nothing is under way, nor on its way out.
pub fn is_at_rest(rollout: &Value) -> bool {
    text(rollout, "/status/progress/stage") == "resting" && rollout.pointer("/status/progress/idle").is_none()
}

/// A condition of a Rollout: status, reason, message.
pub fn condition<'a>(rollout: &'a Value, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let condition = list(rollout, "/status/conditions").iter().find(|it| text(it, "/type") == kind)?;
    Some((text(condition, "/status"), text(condition, "/reason"), text(condition, "/message")))
}

/// What a route gives to the canary.
pub fn canary_weight(route: &Value) -> u64 {
    let gateway = list(route, "/spec/rules/0/backendRefs").iter().map(|it| (text(it, "/name"), number(it, "/weight")));
    let istio =
        list(route, "/spec/http/0/route").iter().map(|it| (text(it, "/destination/host"), number(it, "/weight")));
    gateway
        .chain(istio)
        .find(|(name, _)| name.ends_with("-canary") || name.ends_with("-preview"))
        .map_or(0, |(_, weight)| weight)
}
