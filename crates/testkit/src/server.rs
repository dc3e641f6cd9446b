//! The server: objects, clients, people, and everything that can go wrong.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch::Sender;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::fault::{Faults, Rule, Verb};
use crate::kind::Kind;
use crate::object::{Name, Selector};
use crate::refusal::Answer;
use crate::store::{Change, Store, Writer};
use crate::watch::Watches;

/// A Kubernetes API server in memory. Clones are the same server.
#[derive(Clone)]
pub struct ApiServer(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    state: Mutex<State>,
    /// Sees each change of anything that a watch may have to look at.
    pub changed: Sender<u64>,
}

pub(crate) struct State {
    pub store: Store,
    pub faults: Faults,
    pub watches: Watches,
    /// Kinds whose CRDs are not installed.
    pub withdrawn: BTreeSet<&'static str>,
    pub requests: Vec<Request>,
    ticks: u64,
}

/// A request as it was answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it came.
    pub at: Instant,
    /// The name of the connection that it came through.
    pub by: Arc<str>,
    /// What was asked for.
    pub verb: Verb,
    /// Of which kind; `None` for discovery.
    pub kind: Option<&'static Kind>,
    /// In which namespace; empty for all, and for what belongs to none.
    pub namespace: String,
    /// Of which object; empty for all.
    pub name: String,
    /// The answer; `None` where none was given.
    pub code: Option<u16>,
}

impl Inner {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something and tells all watches to look.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = work(&mut state);
        state.ticks += 1;
        let ticks = state.ticks;
        drop(state);
        self.changed.send_replace(ticks);
        result
    }
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl ApiServer {
    /// A server that serves every kind of [`crate::kind::ALL`] and holds nothing. To be made within a Tokio runtime.
    pub fn new() -> Self {
        let state = State {
            store: Store::new(),
            faults: Faults::default(),
            watches: Watches::default(),
            withdrawn: BTreeSet::new(),
            requests: Vec::new(),
            ticks: 0,
        };
        Self(Arc::new(Inner { state: Mutex::new(state), changed: Sender::new(0) }))
    }

    /// A way for a client to the server. `by` names it in the history and in the list of requests.
    pub fn connect(&self, by: &str) -> Connection {
        Connection::new(self, by)
    }

    /// What its clock says: it goes with Tokio's.
    pub fn now(&self) -> Timestamp {
        self.0.lock().store.now()
    }

    /// Whoever is not the operator: writes in the name of a person or a controller.
    pub fn hand<'a>(&'a self, by: &'a str) -> Hand<'a> {
        Hand { server: self, by }
    }

    /// An object as it is.
    pub fn get(&self, kind: &'static Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.lock().store.get(&Name::new(kind, namespace, name)).cloned()
    }

    /// All objects of a kind in a namespace, by name.
    pub fn list(&self, kind: &'static Kind, namespace: &str, selector: &str) -> Vec<Arc<Value>> {
        self.0.lock().store.list(kind, Some(namespace), &Selector::parse(selector))
    }

    /// Every change that there ever was, in the order of resourceVersions.
    pub fn history(&self) -> Vec<Change> {
        self.0.lock().store.history().to_vec()
    }

    /// Looks into that history without a copy of it.
    pub fn look_back<T>(&self, look: impl FnOnce(&[Change]) -> T) -> T {
        look(self.0.lock().store.history())
    }

    /// The changes after the first so many.
    pub fn history_from(&self, first: usize) -> Vec<Change> {
        self.0.lock().store.history().get(first..).unwrap_or_default().to_vec()
    }

    /// Every request of a client so far.
    pub fn requests(&self) -> Vec<Request> {
        self.0.lock().requests.clone()
    }

    /// Sees each change of anything.
    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Waits until something is so. Looks again after each change.
    pub async fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changed = self.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(found) = look(self) {
                return found;
            }
            // Nobody can drop the sender while `self` holds it.
            let _ = changed.changed().await;
        }
    }

    /// Something goes wrong from now on.
    pub fn inject(&self, rule: Rule) {
        self.0.lock().faults.add(rule);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.0.lock().faults.clear();
    }

    /// From now on a mutating admission webhook changes every object of a kind that anybody writes, before it is stored.
    pub fn admit(&self, kind: &'static Kind, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.0.lock().store.webhooks.push((kind, Arc::new(change)));
    }

    /// The CRD of a kind is removed, its objects with it; or it has not been installed yet.
    pub fn withdraw(&self, kind: &'static Kind) {
        self.0.with(|state| {
            let objects = state.store.list(kind, None, &Selector::default());
            let writer = Writer { by: "crds", manager: "crds" };
            for name in objects.iter().filter_map(|object| Name::of(object)) {
                let _ = state.store.delete(writer, &name, &Value::Null);
            }
            state.withdrawn.insert(kind.kind);
        });
    }

    /// The CRD of a kind is installed.
    pub fn install(&self, kind: &'static Kind) {
        self.0.with(|state| state.withdrawn.remove(kind.kind));
    }

    /// Closes all watches of a kind.
    pub fn close_watches(&self, kind: &'static Kind) {
        self.0.with(|state| state.watches.close(kind));
    }

    /// All watches of a kind that are open stay open and say nothing more, not even their end.
    pub fn silence_watches(&self, kind: &'static Kind) {
        self.0.with(|state| state.watches.silence(kind));
    }

    /// How many watches of a kind have been opened so far.
    pub fn watches_opened(&self, kind: &'static Kind) -> u64 {
        self.0.lock().watches.opened.get(kind.kind).copied().unwrap_or(0)
    }

    /// Forgets old versions: who watches from one of them is told to list anew.
    pub fn compact(&self) {
        self.0.lock().store.compact();
    }
}

/// Writes in somebody's name, past all faults.
#[derive(Clone, Copy)]
pub struct Hand<'a> {
    server: &'a ApiServer,
    by: &'a str,
}

impl Hand<'_> {
    fn write<T>(&self, work: impl FnOnce(&mut Store, Writer<'_>) -> T) -> T {
        self.server.0.with(|state| work(&mut state.store, Writer { by: self.by, manager: self.by }))
    }

    /// Creates an object of a known kind.
    pub fn create(&self, object: &Value) -> Answer<Value> {
        let name = name_of(object)?;
        self.write(|store, writer| store.create(writer, &name, object.clone()))
    }

    /// Applies an object as Git would, by server-side apply with force.
    pub fn apply(&self, object: &Value) -> Answer<Value> {
        let name = name_of(object)?;
        self.write(|store, writer| store.apply(writer, &name, object, true))
    }

    /// Changes an object, whatever its version. False where there is none.
    pub fn edit(&self, name: &Name, change: impl FnOnce(&mut Value)) -> bool {
        self.write(|store, writer| {
            let Some(object) = store.get(name) else { return false };
            let mut object = (**object).clone();
            change(&mut object);
            store.replace(writer, name, object).is_ok()
        })
    }

    /// Changes the status of an object.
    pub fn edit_status(&self, name: &Name, change: impl FnOnce(&mut Value)) -> bool {
        self.write(|store, writer| {
            let Some(object) = store.get(name) else { return false };
            let mut object = (**object).clone();
            change(&mut object);
            store.replace_status(writer, name, &object).is_ok()
        })
    }

    /// Deletes an object; `policy` as in `propagationPolicy`, empty for the default. False where there is none.
    pub fn delete(&self, name: &Name, policy: &str) -> bool {
        let options = serde_json::json!({"propagationPolicy": policy});
        self.write(|store, writer| store.delete(writer, name, &options).is_ok())
    }
}

fn name_of(object: &Value) -> Answer<Name> {
    Name::of(object).ok_or_else(|| crate::Refusal::new(400, "BadRequest", "no kind that the server knows"))
}
