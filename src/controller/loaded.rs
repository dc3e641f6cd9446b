//! The Rollout that a pass is about: read, parsed, and with everything that it refers to by name resolved.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::join_all;
use leadsman_api::{AcceptancePolicy, AnalysisTemplateSpec, Rollout, TemplateReference};
use leadsman_core::names::Selection;
use leadsman_core::observed::Look;
use leadsman_core::spec::{Problem, Reason};
use leadsman_core::state::State;
use leadsman_core::traffic::{Carrier, Targets};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::cache::{Cached, Caches, RawEntry, Served, Slim, Store, TemplateEntry, Uid, text};
use super::context::Context;
use super::key::Key;
use super::memory::Memory;
use super::observe::{PATIENCE, Reach, Reader, read_through};
use super::references::Reference;
use crate::cluster::{Cluster, Error, kinds};
use crate::declare::{Declared, declare};
use crate::routers::{Backends, RouteKind, RouteRef, Settle};

/// The Rollout that a pass is about.
pub struct Loaded {
    /// Its name.
    pub key: Key,
    /// Its uid.
    pub uid: Uid,
    /// The version that was read, or that our last write to it made.
    pub version: u64,
    /// As it stands on the wire.
    pub rollout: Rollout,
    /// As the core understands it, with what the shell needs beside.
    pub declared: Declared,
    /// The Services and routes that traffic is moved by: those that are persisted, else those that are declared.
    pub targets: Targets,
    /// The routes of the targets, then those that are only declared.
    pub routes: Vec<RouteRef>,
    /// What was persisted.
    pub state: Option<State>,
}

/// What came of reading a Rollout.
pub enum Reading {
    /// It is there.
    Loaded(Box<Loaded>),
    /// What the cache has of it may be older than our own last write, and nothing newer could be read: good enough to take
    /// traffic away from harm, and for nothing else.
    Doubtful(Box<Loaded>),
    /// It is gone.
    Gone,
    /// Nothing is known of it at present.
    Unknown,
    /// It is there, but is no Rollout that this version understands.
    Unreadable(Arc<RawEntry>, String),
}

/// Reads the Rollout: the newest version that is known, or, with `live`, what the API server has now.
pub async fn read(context: &Context, key: &Key, memory: &mut Memory, live: bool) -> Reading {
    let store = &context.caches.rollouts;
    if matches!(store.get(key), Cached::Absent) && !live {
        return Reading::Gone;
    }
    let reader = Reader::new(&context.cluster, if live { Reach::Live } else { Reach::Doubts });
    let expected = (&memory.own, &**store);
    let (copy, doubtful) = match read_through(&reader, &kinds::ROLLOUTS, expected, key).await {
        Look::Seen(copy) => (copy, false),
        Look::Missing => return Reading::Gone,
        Look::Stale => match store.get(key) {
            Cached::Holds(copy) => (copy, true),
            Cached::Absent | Cached::Unsynced => return Reading::Unknown,
        },
    };
    if memory.uid != copy.identity().uid {
        let own = std::mem::take(&mut memory.own);
        *memory = Memory::of(copy.identity().uid.clone(), own);
    }
    match parse(context, key, &copy).await {
        Err(error) => Reading::Unreadable(copy, error.to_string()),
        Ok((loaded, true)) if !doubtful => Reading::Loaded(loaded),
        Ok((loaded, _)) => Reading::Doubtful(loaded),
    }
}

/// The Rollout, and whether everything that it refers to is known.
async fn parse(context: &Context, key: &Key, copy: &Arc<RawEntry>) -> Result<(Box<Loaded>, bool), serde_json::Error> {
    let rollout: Rollout = copy.parse()?;
    let progress = rollout.status.as_ref().and_then(|status| status.progress.as_ref());
    let state: Option<State> = progress.and_then(|progress| {
        let state = State::deserialize(progress);
        state
            .inspect_err(|error| {
                tracing::error!(rollout = %key, %error, "status.progress cannot be read and counts as lost");
            })
            .ok()
    });
    let (mut declared, resolved) = resolve(context, key, &rollout, state.as_ref()).await;
    if let Some(commander) = &mut declared.core.commander {
        commander.verified = context.commanders_recorded;
    }
    if let Some(problem) = owned_routes_are_off(context, &declared) {
        declared.core.spec = Err(problem);
    }
    let targets = in_force(state.as_ref(), &declared).clone();
    let loaded = Loaded {
        key: key.clone(),
        uid: copy.identity().uid.clone(),
        version: copy.identity().version,
        rollout,
        routes: routes(&targets, &declared),
        targets,
        declared,
        state,
    };
    Ok((Box::new(loaded), resolved))
}

/// What is said of a route that the Rollout declares, where the operator was started to make none.
fn owned_routes_are_off(context: &Context, declared: &Declared) -> Option<Problem> {
    let route = declared.routes.iter().find(|route| route.owned && !context.owned_routes)?;
    let message = format!(
        "{} has a spec, and this operator makes no routes (--no-owned-routes): create the route beside the Rollout, and take \
         spec out of it in {}.routes",
        route.id(),
        declared.at
    );
    Some(Problem::new(Reason::InvalidRoute, message))
}

/// Resolves templates by the caches; those that have not been listed yet are read, since "not in the cache" is not "absent".
/// False when that failed.
async fn resolve(context: &Context, key: &Key, rollout: &Rollout, state: Option<&State>) -> (Declared, bool) {
    let caches = &context.caches;
    let known = |reference: &TemplateReference| {
        let (store, key) = templates(caches, key, reference);
        match store.get(&key) {
            Cached::Holds(template) => template.spec.clone(),
            Cached::Absent | Cached::Unsynced => None,
        }
    };
    let mut declared = declare(rollout, &context.operator_namespace, &known);
    // Noted before the look that counts: a template that comes after it wakes the Rollout.
    if context.references.set(key, references(key, &declared, state)) && !declared.refers_to.is_empty() {
        declared = declare(rollout, &context.operator_namespace, &known);
    }
    let unsynced = |reference: &&TemplateReference| {
        let (store, key) = templates(caches, key, reference);
        matches!(store.get(&key), Cached::Unsynced)
    };
    let missing: Vec<_> = declared.refers_to.iter().filter(unsynced).cloned().collect();
    let mut resolved = true;
    if !missing.is_empty() {
        let cluster = context.cluster.until(Instant::now() + PATIENCE);
        let reads = join_all(missing.iter().map(|reference| read_template(&cluster, key, reference))).await;
        let mut read: HashMap<(bool, String), AnalysisTemplateSpec> = HashMap::new();
        let mut kept_away = None;
        for (reference, template) in missing.into_iter().zip(reads) {
            match template {
                Ok(spec) => read.extend(spec.map(|spec| ((reference.cluster_scope, reference.template_name), spec))),
                Err(error) if error.is_kept_away() => kept_away = Some(out_of_reach(&reference, &error)),
                Err(error) => {
                    tracing::debug!(rollout = %key, %error, "an analysis template cannot be read at present");
                    resolved = false;
                }
            }
        }
        declared = declare(rollout, &context.operator_namespace, &|reference| {
            let name = (reference.cluster_scope, reference.template_name.clone());
            read.get(&name).cloned().or_else(|| known(reference))
        });
        if let Some(problem) = kept_away {
            declared.core.spec = Err(problem);
        }
    }
    if declared.core.spec.is_ok() {
        let absent = |route: &&RouteRef| matches!(caches.routes(route.kind).served(), Served::Absent);
        if let Some(route) = declared.routes.iter().find(absent) {
            declared.core.spec = Err(not_installed(route.kind, &route.name));
        }
    }
    (declared, resolved)
}

/// What traffic is moved by.
fn in_force<'a>(state: Option<&'a State>, declared: &'a Declared) -> &'a Targets {
    state.and_then(|state| state.targets.as_ref()).unwrap_or(&declared.core.targets)
}

/// The two Services of these targets; none where pods alone carry the work.
fn services(targets: &Targets) -> impl Iterator<Item = &String> {
    let both = [&targets.stable_service, &targets.canary_service];
    both.into_iter().filter(|_| targets.carrier != Carrier::Pods)
}

/// The Services that are declared, and those that were given up and not let go yet.
fn declared_and_retired<'a>(state: Option<&'a State>, declared: &'a Declared) -> impl Iterator<Item = &'a String> {
    let retired = state.into_iter().flat_map(|state| &state.retired).map(|retired| &retired.service);
    services(&declared.core.targets).chain(retired)
}

/// The routes of the targets, each with the rules that were moved, then those that are only declared. One that is not
/// declared any more is put to rest, which takes no more than its name and its rules.
fn routes(targets: &Targets, declared: &Declared) -> Vec<RouteRef> {
    let find = |kind: RouteKind, name: &str| declared.routes.iter().find(|it| it.kind == kind && it.name == name);
    let moved = targets.routes.iter().filter_map(|target| {
        let kind = RouteKind::of(&target.kind)?;
        let undeclared = || RouteRef {
            kind,
            name: target.name.clone(),
            only: Vec::new(),
            owned: target.owned,
            spec: None,
            acceptance: AcceptancePolicy::default(),
            settle: Settle::default(),
        };
        let route = find(kind, &target.name).cloned().unwrap_or_else(undeclared);
        Some(RouteRef { only: target.rules.clone(), ..route })
    });
    let is_known = |route: &&RouteRef| targets.route(&route.id()).is_some();
    moved.chain(declared.routes.iter().filter(|route| !is_known(route)).cloned()).collect()
}

/// Everything that a Rollout refers to by name.
fn references(key: &Key, declared: &Declared, state: Option<&State>) -> BTreeSet<Reference> {
    let here = |name: &str| key.beside(name);
    let targets = in_force(state, declared);
    let all = services(targets).chain(&declared.service).chain(declared_and_retired(state, declared));
    let services = all.map(|name| Reference { kind: "Service", key: here(name) });
    let routes = routes(targets, declared);
    let routes = routes.iter().map(|route| Reference { kind: route.kind.full_name(), key: here(&route.name) });
    let templates = declared.refers_to.iter().map(|reference| {
        if reference.cluster_scope {
            Reference { kind: "ClusterAnalysisTemplate", key: Key::new("", &reference.template_name) }
        } else {
            Reference { kind: "AnalysisTemplate", key: here(&reference.template_name) }
        }
    });
    services.chain(routes).chain(templates).collect()
}

fn templates<'a>(caches: &'a Caches, rollout: &Key, reference: &TemplateReference) -> (&'a Store<TemplateEntry>, Key) {
    if reference.cluster_scope {
        (&caches.cluster_templates, Key::new("", &reference.template_name))
    } else {
        (&caches.templates, rollout.beside(&reference.template_name))
    }
}

async fn read_template(
    cluster: &Cluster,
    rollout: &Key,
    reference: &TemplateReference,
) -> Result<Option<AnalysisTemplateSpec>, Error> {
    let objects = if reference.cluster_scope {
        cluster.cluster_objects(&kinds::CLUSTER_TEMPLATES)
    } else {
        cluster.objects(&kinds::TEMPLATES, &rollout.namespace)
    };
    let template = objects.get(&reference.template_name).await?;
    Ok(template.and_then(|template| TemplateEntry::of(&template).spec))
}

/// A template that we may not read, or whose kind the server does not know. Its watch tells when that has changed.
fn out_of_reach(reference: &TemplateReference, error: &Error) -> Problem {
    let (kind, other) = if reference.cluster_scope {
        ("ClusterAnalysisTemplate", ", or use an AnalysisTemplate")
    } else {
        ("AnalysisTemplate", "")
    };
    let name = &reference.template_name;
    let message = format!("{kind} {name} cannot be read: {error}: let the operator get, list and watch {kind}s{other}");
    Problem::new(Reason::InvalidAnalysis, message)
}

fn not_installed(kind: RouteKind, name: &str) -> Problem {
    let (kind, group) = (kind.kind(), kind.group());
    let message = format!(
        "{kind} {name} is named as a route, but the cluster does not know {kind} in group {group}, or the operator \
         runs without it (--without): install it"
    );
    Problem::missing(Reason::KindNotInstalled, message)
}

impl Loaded {
    /// The two Services that routes split between.
    pub fn backends(&self) -> Backends<'_> {
        Backends {
            stable: &self.targets.stable_service,
            canary: &self.targets.canary_service,
            namespace: &self.key.namespace,
        }
    }

    /// The two Services in force; none where pods alone carry the work.
    pub fn services(&self) -> impl Iterator<Item = &String> {
        services(&self.targets)
    }

    /// True for the Service whose selector carries the traffic.
    pub fn is_carrier(&self, service: &str) -> bool {
        [&self.targets, &self.declared.core.targets]
            .into_iter()
            .any(|targets| targets.carrier == Carrier::Service && targets.stable_service == service)
    }

    /// The Services that are declared and not in force yet, and those that were given up and not let go yet.
    pub fn other_services(&self) -> BTreeSet<String> {
        let named = declared_and_retired(self.state.as_ref(), &self.declared);
        named.filter(|name| !self.targets.has_service(name)).cloned().collect()
    }

    /// The label selector of the pods of a revision, or of all.
    pub fn selector(&self, selection: &Selection) -> String {
        let labels = self.declared.match_labels.iter().map(|(label, value)| format!("{label}={value}"));
        let revision = selection.only().map(|hash| format!("{}={hash}", leadsman_api::names::REVISION_LABEL));
        labels.chain(revision).collect::<Vec<_>>().join(",")
    }

    /// The owner reference of what we create.
    pub fn owner_reference(&self) -> Value {
        serde_json::json!({
            "apiVersion": format!("{}/{}", leadsman_api::names::GROUP, leadsman_api::names::VERSION),
            "kind": "Rollout",
            "name": &*self.key.name,
            "uid": self.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// Owner references of an object without a controller, with us as its controller beside them.
    pub fn owners(&self, present: &[Value]) -> Value {
        let others = present.iter().filter(|owner| !self.is(owner)).cloned();
        others.chain([self.owner_reference()]).collect()
    }

    /// Whether an owner reference is one to it.
    pub fn is(&self, owner: &Value) -> bool {
        text(owner, "/uid").is_some_and(|uid| Uid::of(uid) == self.uid)
    }

    /// Our own write to the Rollout was answered with this object.
    pub fn wrote(&mut self, memory: &mut Memory, object: &Value) {
        let copy = RawEntry::of(object);
        self.version = copy.identity().version;
        memory.own.confirmed(&self.key.name, Arc::new(copy), Instant::now());
    }

    /// Our own status was answered with this object. It holds nothing that was not planned on: it was written on the version
    /// that was read. So the cache has it at once, and the watch, which brings it as well, brings no news.
    pub fn wrote_status(&mut self, rollouts: &Store<RawEntry>, memory: &mut Memory, object: &Value) {
        let copy = Arc::new(RawEntry::of(object));
        self.version = copy.identity().version;
        if rollouts.learn(&self.key, &copy) {
            memory.own.forget(&self.key.name);
        } else {
            memory.own.confirmed(&self.key.name, copy, Instant::now());
        }
    }
}
