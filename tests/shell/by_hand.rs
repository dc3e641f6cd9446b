//! Single writes of the operator, made by hand on what it would see.

use std::sync::Arc;

use leadsman::cluster::{Cluster, Error};
use leadsman::controller::apply::{Applying, routes};
use leadsman::controller::cache::{Caches, Served};
use leadsman::controller::context::Context;
use leadsman::controller::events::Events;
use leadsman::controller::key::Key;
use leadsman::controller::loaded::{self, Loaded, Reading};
use leadsman::controller::memory::Memory;
use leadsman::controller::observe::{Reach, Snapshot, observe};
use leadsman::controller::queue::Queue;
use leadsman::controller::references::ReferenceIndex;
use leadsman::measure::Measurer;
use leadsman::routers::RouteKind;
use leadsman::runtime::clock::Clock;
use leadsman::runtime::discovery::discover;
use leadsman::runtime::leadership::Leadership;
use leadsman::runtime::metrics::Metrics;
use leadsman_core::observed::{RouteId, RouteView};
use leadsman_testkit::{Application, Route};

use crate::bed::{Answers, Bed, NAMESPACE};

/// What one pass has in hand.
pub struct ByHand {
    context: Context,
    loaded: Box<Loaded>,
    memory: Memory,
    snapshot: Snapshot,
}

impl ByHand {
    /// Reads the Rollout of an application and all around it.
    pub async fn start(bed: &Bed, application: &Application) -> Self {
        let metrics = Arc::new(Metrics::new());
        let client = bed.server.connect("by-hand").client();
        let cluster = Cluster::new(client, Leadership::always(), Arc::clone(&metrics));
        let clock = Clock::starting_at(bed.server.now());
        let measurer_clock = clock.clone();
        let context = Context {
            events: Events::start(cluster.clone(), Arc::clone(&metrics), "by-hand".to_owned()),
            measurer: Measurer::new(Box::new(Answers(bed.prometheus.clone())), move || measurer_clock.now(), |_| {}),
            cluster,
            caches: Caches::default(),
            references: ReferenceIndex::default(),
            queue: Arc::new(Queue::default()),
            metrics,
            operator_namespace: "leadsman-system".to_owned(),
            clock,
        };
        for kind in RouteKind::ALL {
            let served = discover(&context.cluster, kind).await.unwrap().expect("the kind");
            context.caches.routes(kind).set_served(Served::As(Arc::new(served)));
        }
        let mut memory = Memory::default();
        let key = Key::new(NAMESPACE, &application.name().name);
        let Reading::Loaded(loaded) = loaded::read(&context, &key, &mut memory, true).await else {
            panic!("{key} cannot be read")
        };
        let snapshot = observe(&context, &loaded, &mut memory, Reach::Live).await;
        Self { context, loaded, memory, snapshot }
    }

    /// Reads all around the Rollout once more.
    pub async fn look_again(&mut self) -> &Self {
        self.snapshot = observe(&self.context, &self.loaded, &mut self.memory, Reach::Live).await;
        self
    }

    /// The first route.
    pub fn route(&self) -> &RouteView {
        self.snapshot.observed.routes[0].1.seen().expect("a route that is there")
    }

    fn applying(&mut self) -> Applying<'_> {
        let Self { context, loaded, memory, snapshot } = self;
        Applying { context, loaded, objects: &snapshot.objects, memory }
    }

    /// Gives up the first route.
    pub async fn release_route(&mut self) -> Result<(), Error> {
        let id = self.snapshot.observed.routes[0].0.clone();
        routes::release(&mut self.applying(), &id).await
    }

    /// Deletes a route of our own.
    pub async fn delete_route(&mut self, kind: Route, name: &str) -> Result<(), Error> {
        let id = RouteId { kind: kind.kind().kind, name: name.to_owned(), created_by_us: true };
        routes::delete(&mut self.applying(), &id).await
    }
}
