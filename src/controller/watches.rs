//! Which watches run, and whom a change concerns.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use kube::core::ApiResource;
use leadsman_api::names::ROLLOUT_LABEL;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cache::{EVERYTHING, Served, Slim, Store};
use super::context::Context;
use super::key::Key;
use super::watch::{Change, Watch};
use crate::args::Without;
use crate::cluster::kinds;
use crate::routers::{RouteKind, Shape};
use crate::runtime::backoff::Backoff;
use crate::runtime::discovery;
use crate::runtime::panics::caught;

/// When a kind of our own is looked for again that is not served.
const NOT_SERVED: Duration = Duration::from_secs(5);

/// Starts all watches, one of each kind for each scope, but for those of kinds that are not used. They end when told to stop.
pub fn start(context: &Arc<Context>, scopes: &[Box<str>], without: &[Without], stop: &CancellationToken) {
    let (caches, all) = (&context.caches, None);
    let ours = Some(ROLLOUT_LABEL);
    let watching = Watching { context, stop };
    for scope in scopes {
        let watch = |kind: &ApiResource, labels| (kind.clone(), scope.clone(), labels);
        watching.start(watch(&kinds::ROLLOUTS, all), &caches.rollouts, |context, change| context.queue.now(change.key));
        watching.start(watch(&kinds::REPLICA_SETS, ours), &caches.sets, labelled);
        watching.start(watch(&kinds::ENDPOINT_SLICES, ours), &caches.slices, labelled);
        watching.start(watch(&kinds::SERVICES, all), &caches.services, |context, change| {
            named(context, "Service", change.key);
            labelled(context, change);
        });
        watching.start(watch(&kinds::TEMPLATES, all), &caches.templates, |context, change| {
            named(context, "AnalysisTemplate", change.key);
        });
    }
    let (kind, cluster_templates) = (kinds::CLUSTER_TEMPLATES.clone(), &caches.cluster_templates);
    if without.contains(&Without::ClusterTemplates) {
        // Nothing is listed, and nobody waits for it.
        cluster_templates.begin_list(EVERYTHING);
        cluster_templates.end_list(EVERYTHING);
    } else {
        watching.start((kind, EVERYTHING.into(), all), cluster_templates, |context, change| {
            named(context, "ClusterAnalysisTemplate", change.key);
        });
    }
    let unused = |kind: &RouteKind| without.contains(&of(*kind));
    RouteKind::ALL.into_iter().filter(unused).for_each(|kind| caches.routes(kind).set_served(Served::Absent));
    for kind in RouteKind::ALL.into_iter().filter(|kind| !unused(kind)) {
        let (context, stop, scopes) = (Arc::clone(context), stop.clone(), scopes.to_vec());
        tokio::spawn(async move {
            tokio::select! {
                () = watch_route_kind(&context, kind, &scopes) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

fn of(kind: RouteKind) -> Without {
    match kind.shape() {
        Shape::GatewayApi => Without::GatewayApi,
        Shape::Istio => Without::Istio,
    }
}

struct Watching<'a> {
    context: &'a Arc<Context>,
    stop: &'a CancellationToken,
}

impl Watching<'_> {
    fn start<T: Slim>(
        &self,
        (kind, scope, labels): (ApiResource, Box<str>, Option<&'static str>),
        store: &Arc<Store<T>>,
        concerns: fn(&Context, &Change<'_, T>),
    ) {
        let (context, stop, store) = (Arc::clone(self.context), self.stop.clone(), Arc::clone(store));
        let watching = async move {
            loop {
                let watch = Watch { kind: kind.clone(), scope: scope.clone(), labels, store: Arc::clone(&store) };
                let run = watch.run(&context.cluster, &context.metrics, |change| concerns(&context, change));
                told(&context, &kind.kind, caught(run).await);
                // Our own kinds, and the server's, are served before long: the CRDs may come after us.
                store.doubt(&scope, Instant::now() + NOT_SERVED * 2);
                tokio::time::sleep(NOT_SERVED).await;
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = watching => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// A watch that panicked is started anew like one whose kind is not served: without it nothing would be seen any more.
fn told(context: &Context, kind: &str, ended: Result<(), String>) {
    if let Err(words) = ended {
        tracing::error!(kind, words, "a fault of the operator: a watch panicked, and is started anew");
        context.metrics.panicked("watch");
    }
}

/// The Rollouts that the label names, before and after.
fn labelled<T: Slim>(context: &Context, change: &Change<'_, T>) {
    let rollouts = [change.before, change.after].into_iter().flatten().filter_map(Slim::rollout);
    for rollout in rollouts {
        context.queue.now(&change.key.beside(rollout));
    }
}

/// The Rollouts that refer to the object by its name.
fn named(context: &Context, kind: &'static str, key: &Key) {
    for rollout in context.references.of(kind, key) {
        context.queue.now(&rollout);
    }
}

/// Watches a kind of route for as long as it is served, and looks for it while it is not.
async fn watch_route_kind(context: &Context, kind: RouteKind, scopes: &[Box<str>]) {
    let cache = context.caches.routes(kind);
    // Until it is known again what is served, routes of the kind are not seen, and cannot be put on the way back.
    let mut backoff = Backoff::WATCH;
    loop {
        let again = match discovery::discover(&context.cluster, kind).await {
            Ok(Some(resource)) => {
                tracing::info!(kind = kind.full_name(), version = %resource.api_version, "the kind is served");
                let was_absent = matches!(cache.served(), Served::Absent);
                cache.set_served(Served::As(Arc::new(resource.clone())));
                if was_absent {
                    wake_all(context);
                }
                let concerns = |change: &Change<'_, _>| named(context, kind.full_name(), change.key);
                let watches = scopes.iter().map(|scope| {
                    let store = Arc::clone(&cache.store);
                    let watch = Watch { kind: resource.clone(), scope: scope.clone(), labels: None, store };
                    Box::pin(caught(watch.run(&context.cluster, &context.metrics, concerns)))
                });
                let began = Instant::now();
                // One that ends does so for all: the kind is not served any more.
                let (ended, ..) = select_all(watches).await;
                told(context, kind.full_name(), ended);
                cache.set_served(Served::Unknown);
                cache.store.clear();
                if began.elapsed() > discovery::EVERY {
                    backoff.reset();
                }
                backoff.fail()
            }
            Ok(None) => {
                if !matches!(cache.served(), Served::Absent) {
                    tracing::info!(kind = kind.full_name(), "the kind is not served; routes of it cannot be used");
                    cache.set_served(Served::Absent);
                    wake_all(context);
                }
                backoff.reset();
                if until_named(context, kind).await { Duration::ZERO } else { discovery::EVERY }
            }
            Err(error) => {
                tracing::warn!(kind = kind.full_name(), %error, "whether the kind is served cannot be asked");
                backoff.fail()
            }
        };
        tokio::time::sleep(again).await;
    }
}

/// Nobody needs to know whether a kind is served that no Rollout names: what is not installed costs no request. True where it
/// had to be waited for.
async fn until_named(context: &Context, kind: RouteKind) -> bool {
    let mut waited = false;
    while !context.references.have(kind.full_name()) {
        tokio::time::sleep(NOT_SERVED).await;
        waited = true;
    }
    waited
}

/// A kind came or went: rare enough to ask everybody.
fn wake_all(context: &Context) {
    for key in context.caches.rollouts.keys() {
        context.queue.now(&key);
    }
}
