//! The caches of all kinds.

use std::sync::{Arc, PoisonError, RwLock};

use kube::core::ApiResource;

use super::store::Store;
use super::{RawEntry, ReplicaSetEntry, ServiceEntry, SliceEntry, TemplateEntry};
use crate::routers::RouteKind;

/// One cache a kind.
#[derive(Default)]
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
    virtual_services: RouteCache,
}

/// The cache of a kind that may not be installed.
#[derive(Default)]
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
    /// The cache of a kind of route.
    pub fn routes(&self, kind: RouteKind) -> &RouteCache {
        match kind {
            RouteKind::HttpRoute => &self.http_routes,
            RouteKind::GrpcRoute => &self.grpc_routes,
            RouteKind::VirtualService => &self.virtual_services,
        }
    }

    /// Whether a watch that passes depend on has failed just now: what changes may go unnoticed.
    pub fn are_doubtful(&self) -> bool {
        let routes = RouteKind::ALL.into_iter().any(|kind| self.routes(kind).store.is_doubtful());
        routes || self.sets.is_doubtful() || self.services.is_doubtful() || self.slices.is_doubtful()
    }

    /// The kinds without which nothing can be done and that have not been listed completely yet.
    pub fn unsynced(&self) -> Vec<&'static str> {
        let synced = [
            ("Rollout", self.rollouts.is_synced()),
            ("ReplicaSet", self.sets.is_synced()),
            ("Service", self.services.is_synced()),
            ("EndpointSlice", self.slices.is_synced()),
        ];
        synced.into_iter().filter(|(_, synced)| !synced).map(|(kind, _)| kind).collect()
    }

    /// The kinds that a start waits for. Templates are read one by one until they have been listed, which may never be: where
    /// we have rights in one namespace only, those of the cluster cannot be.
    pub fn awaited(&self) -> Vec<&'static str> {
        let templates = [
            ("AnalysisTemplate", self.templates.is_listed_or_fails()),
            ("ClusterAnalysisTemplate", self.cluster_templates.is_listed_or_fails()),
        ];
        let mut awaited = self.unsynced();
        awaited.extend(templates.into_iter().filter(|(_, done)| !done).map(|(kind, _)| kind));
        awaited
    }
}
