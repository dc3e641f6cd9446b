//! The caches of all kinds.

use std::sync::{Arc, PoisonError, RwLock};

use kube::core::ApiResource;

use super::store::{EVERYTHING, Store};
use super::{RawEntry, ReplicaSetEntry, ServiceEntry, SliceEntry, TemplateEntry};
use crate::routers::RouteKind;

/// One cache a kind.
pub struct Caches {
    /// Rollouts.
    pub rollouts: Arc<Store<RawEntry>>,
    /// ReplicaSets that bear our label.
    pub sets: Arc<Store<ReplicaSetEntry>>,
    /// All Services: those that clients call bear no label.
    pub services: Arc<Store<ServiceEntry>>,
    /// EndpointSlices of our Services.
    pub slices: Arc<Store<SliceEntry>>,
    /// Analysis templates of namespaces.
    pub templates: Arc<Store<TemplateEntry>>,
    /// Analysis templates of the cluster.
    pub cluster_templates: Arc<Store<TemplateEntry>>,
    http_routes: RouteCache,
    grpc_routes: RouteCache,
    linkerd_http_routes: RouteCache,
    virtual_services: RouteCache,
}

/// The cache of a kind that may not be installed.
pub struct RouteCache {
    /// Its objects.
    pub store: Arc<Store<RawEntry>>,
    served: RwLock<Served>,
}

/// Whether the API server serves a kind.
#[derive(Clone, Debug, Default)]
pub enum Served {
    /// Nobody could ask yet.
    #[default]
    Unknown,
    /// It does not.
    Absent,
    /// It does, in this version.
    As(Arc<ApiResource>),
}

impl RouteCache {
    fn of(scopes: &[Box<str>]) -> Self {
        Self { store: Arc::new(Store::of(scopes)), served: RwLock::default() }
    }

    /// Whether the kind is served.
    pub fn served(&self) -> Served {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether the kind is served.
    pub fn set_served(&self, served: Served) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
    }
}

impl Caches {
    /// Empty ones that watches with these scopes are to feed; what belongs to no namespace is watched as a whole.
    pub fn of(scopes: &[Box<str>]) -> Self {
        Self {
            rollouts: Arc::new(Store::of(scopes)),
            sets: Arc::new(Store::of(scopes)),
            services: Arc::new(Store::of(scopes)),
            slices: Arc::new(Store::of(scopes)),
            templates: Arc::new(Store::of(scopes)),
            cluster_templates: Arc::default(),
            http_routes: RouteCache::of(scopes),
            grpc_routes: RouteCache::of(scopes),
            linkerd_http_routes: RouteCache::of(scopes),
            virtual_services: RouteCache::of(scopes),
        }
    }

    /// The cache of a kind of route.
    pub fn routes(&self, kind: RouteKind) -> &RouteCache {
        match kind {
            RouteKind::HttpRoute => &self.http_routes,
            RouteKind::GrpcRoute => &self.grpc_routes,
            RouteKind::LinkerdHttpRoute => &self.linkerd_http_routes,
            RouteKind::VirtualService => &self.virtual_services,
        }
    }

    /// Whether a watch that passes over a namespace depend on has failed just now: what changes may go unnoticed.
    pub fn are_doubtful(&self, namespace: &str) -> bool {
        let routes = RouteKind::ALL.into_iter().any(|kind| self.routes(kind).store.is_doubtful(namespace));
        routes
            || self.sets.is_doubtful(namespace)
            || self.services.is_doubtful(namespace)
            || self.slices.is_doubtful(namespace)
    }

    /// What nothing can be done without and has not been listed completely yet, in words: a kind, and its namespace where
    /// namespaces are watched one by one.
    pub fn unsynced(&self) -> Vec<String> {
        let unlisted = [
            ("Rollout", self.rollouts.unlisted()),
            ("ReplicaSet", self.sets.unlisted()),
            ("Service", self.services.unlisted()),
            ("EndpointSlice", self.slices.unlisted()),
        ];
        words(&unlisted)
    }

    /// What a start waits for. Templates are read one by one until they have been listed, which may never be: where we have
    /// rights in some namespaces only, those of the cluster cannot be.
    pub fn awaited(&self) -> Vec<String> {
        let mut awaited = self.unsynced();
        awaited.extend(words(&[
            ("AnalysisTemplate", self.templates.awaited()),
            ("ClusterAnalysisTemplate", self.cluster_templates.awaited()),
        ]));
        awaited
    }
}

fn words(scopes: &[(&str, Vec<Box<str>>)]) -> Vec<String> {
    let name = |kind: &str, scope: &str| match scope {
        EVERYTHING => kind.to_owned(),
        namespace => format!("{kind} in {namespace}"),
    };
    scopes.iter().flat_map(|(kind, scopes)| scopes.iter().map(|scope| name(kind, scope))).collect()
}
