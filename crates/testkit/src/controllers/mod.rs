//! What runs beside the operator in a cluster: the ReplicaSet controller and the kubelet, the endpoint slice controller,
//! whoever implements the routes, and the garbage collector.
//!
//! One task does the work of all of them, each piece so long after the change that asked for it as [`Habits`] say, on the
//! state that it finds then. Simpler than the real thing: a pod that is deleted is gone at once, `minReadySeconds` counts
//! for nothing, and a Service has one slice.

mod garbage;
mod routes;
mod sets;
mod slices;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::kind;
use crate::object::{Name, is_owned_by, list, text};
use crate::server::ApiServer;
use crate::store::Change;

/// How long things take, and what does not work.
#[derive(Clone, Debug)]
pub struct Habits {
    /// From a ReplicaSet's change to its pods, and from a pod's to its set's status.
    pub set: Duration,
    /// From a pod's creation to its readiness.
    pub pod: Duration,
    /// From a Service's or pod's change to the slices.
    pub slices: Duration,
    /// From a route's change to its status.
    pub route: Duration,
    /// From an owner's deletion to that of what it owned.
    pub garbage: Duration,
    /// What is said of every route, if it is not accepted: reason and message.
    pub refuses_routes: Option<(String, String)>,
    /// Who implements the routes is Linkerd, which calls the core group `core` and never says of which generation it speaks.
    pub linkerd: bool,
    /// What is said of every pod that a set wants to create, if it must not.
    pub refuses_pods: Option<String>,
    /// Images whose pods never get ready.
    pub broken_images: Vec<String>,
    /// Images whose container crashes again and again.
    pub crashing_images: Vec<String>,
}

impl Default for Habits {
    /// What was seen on a real cluster, and pods that take three seconds.
    fn default() -> Self {
        Self {
            set: Duration::from_millis(20),
            pod: Duration::from_secs(3),
            slices: Duration::from_millis(50),
            route: Duration::from_millis(40),
            garbage: Duration::from_millis(100),
            refuses_routes: None,
            linkerd: false,
            refuses_pods: None,
            broken_images: Vec::new(),
            crashing_images: Vec::new(),
        }
    }
}

/// The controllers, for as long as this is kept.
pub struct Controllers {
    habits: Arc<Mutex<Habits>>,
    task: AbortHandle,
}

impl Controllers {
    /// Starts them.
    pub fn start(server: &ApiServer, habits: Habits) -> Self {
        let habits = Arc::new(Mutex::new(habits));
        let work = Work { server: server.clone(), habits: Arc::clone(&habits), seen: 0, due: BTreeMap::new(), next: 0 };
        Self { habits, task: tokio::spawn(work.run()).abort_handle() }
    }

    /// Changes how things go from now on.
    pub fn change(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.habits.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    /// Bring a set to its size and its status up to date.
    Set(String, String),
    /// A pod gets ready, or crashes.
    Start(String, String),
    /// Compute the slices of a Service.
    Slices(String, String),
    /// Say something about a route.
    Route(&'static str, String, String),
    /// Delete what the object with this uid owned.
    Garbage(String),
    /// Go on with the deletion of an object that waits for what it owns.
    Foreground(&'static str, String, String),
}

struct Work {
    server: ApiServer,
    habits: Arc<Mutex<Habits>>,
    /// How many changes have been looked at.
    seen: usize,
    due: BTreeMap<(Instant, u64), Piece>,
    next: u64,
}

impl Work {
    async fn run(mut self) {
        let mut changed = self.server.subscribe();
        loop {
            changed.borrow_and_update();
            self.look();
            let next = self.due.keys().next().map(|(at, _)| *at);
            let wait = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = wait => self.work(),
                _ = changed.changed() => {}
            }
        }
    }

    fn habits(&self) -> Habits {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look(&mut self) {
        let changes = self.server.history_from(self.seen);
        self.seen += changes.len();
        let habits = self.habits();
        let waiting: HashSet<Piece> = self.due.values().cloned().collect();
        let wanted = changes.iter().flat_map(|change| self.wanted(change, &habits)).collect::<Vec<_>>();
        for (piece, after) in wanted {
            // What is waiting already will see this change too. A pod starts once.
            if !waiting.contains(&piece) {
                self.next += 1;
                self.due.insert((Instant::now() + after, self.next), piece);
            }
        }
    }

    fn wanted(&self, change: &Change, habits: &Habits) -> Vec<(Piece, Duration)> {
        let Name { kind, namespace, name } = &change.name;
        let (namespace, name) = (namespace.clone(), name.clone());
        let mut wanted = Vec::new();
        if change.after.is_none() {
            wanted.push((Piece::Garbage(text(change.object(), "/metadata/uid").to_owned()), habits.garbage));
        } else if waits_for_its_own(change.object()) {
            wanted.push((Piece::Foreground(kind.kind, namespace.clone(), name.clone()), habits.garbage));
        }
        for owner in list(change.object(), "/metadata/ownerReferences").iter().filter(|_| change.after.is_none()) {
            let (kind, name) = (text(owner, "/kind"), text(owner, "/name").to_owned());
            if let Some(kind) = crate::Kind::of(kind) {
                wanted.push((Piece::Foreground(kind.kind, namespace.clone(), name), habits.garbage));
            }
        }
        match kind.kind {
            "ReplicaSet" => wanted.push((Piece::Set(namespace, name), habits.set)),
            "Pod" => {
                if change.before.is_none() {
                    wanted.push((Piece::Start(namespace.clone(), name), habits.pod));
                }
                let set = list(change.object(), "/metadata/ownerReferences").first().map(|it| text(it, "/name"));
                wanted.extend(set.map(|set| (Piece::Set(namespace.clone(), set.to_owned()), habits.set)));
                let services = slices::that_select(&self.server, change.object());
                wanted.extend(services.map(|service| (Piece::Slices(namespace.clone(), service), habits.slices)));
            }
            "Service" => wanted.push((Piece::Slices(namespace, name), habits.slices)),
            "HTTPRoute" | "GRPCRoute" => wanted.push((Piece::Route(kind.kind, namespace, name), habits.route)),
            _ => {}
        }
        wanted
    }

    fn work(&mut self) {
        let Some(((_, _), piece)) = self.due.pop_first() else { return };
        let (server, habits) = (&self.server, self.habits());
        match piece {
            Piece::Set(namespace, name) => {
                sets::sync(server, &habits, &Name::new(&kind::REPLICA_SET, &namespace, &name));
            }
            Piece::Start(namespace, name) => {
                if let Some(again) = sets::start_pod(server, &habits, &Name::new(&kind::POD, &namespace, &name)) {
                    self.next += 1;
                    self.due.insert((Instant::now() + again, self.next), Piece::Start(namespace, name));
                }
            }
            Piece::Slices(namespace, name) => slices::sync(server, &Name::new(&kind::SERVICE, &namespace, &name)),
            Piece::Route(of, namespace, name) => {
                if let Some(of) = crate::Kind::of(of) {
                    routes::sync(server, &habits, &Name::new(of, &namespace, &name));
                }
            }
            Piece::Garbage(uid) => garbage::collect(server, |object| is_owned_by(object, &uid), &uid),
            Piece::Foreground(of, namespace, name) => {
                if let Some(of) = crate::Kind::of(of) {
                    garbage::go_on(server, &Name::new(of, &namespace, &name));
                }
            }
        }
    }
}

fn waits_for_its_own(object: &serde_json::Value) -> bool {
    let finalizers = list(object, "/metadata/finalizers");
    let waits = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    object.pointer("/metadata/deletionTimestamp").is_some() && (waits("foregroundDeletion") || waits("orphan"))
}
