//! The program from start to end: client, admin server, watches, lease, work, and an orderly stop.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::cluster::Cluster;
use crate::controller::cache::Caches;
use crate::controller::context::Context;
use crate::controller::events::Events;
use crate::controller::queue::Queue;
use crate::controller::references::ReferenceIndex;
use crate::controller::report::Reporter;
use crate::controller::{watches, work};
use crate::measure::{Measurer, Provider, Sources};
use crate::runtime::clock::Clock;
use crate::runtime::leadership::Leadership;
use crate::runtime::lease::{Ended, Lease};
use crate::runtime::metrics::Metrics;
use crate::runtime::{admin, shutdown};

/// How long passes may take to end once told to stop.
const FINISH: Duration = Duration::from_secs(5);
/// A connection on which nothing came for this long is given up: longer than a watch lasts.
const SILENCE: Duration = Duration::from_secs(75);

/// Why the program ended, other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable configuration for the API server.
    #[error("cannot find out how to reach the API server: {0}")]
    Config(#[source] kube::config::InferConfigError),
    /// The client could not be made.
    #[error("cannot make a client for the API server: {0}")]
    Client(#[source] kube::Error),
    /// The client for metric sources could not be made.
    #[error("cannot make a client for metric sources: {0}")]
    Http(#[source] reqwest::Error),
    /// The process cannot listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The admin server could not be started.
    #[error("cannot serve on the admin address: {0}")]
    Admin(#[source] std::io::Error),
    /// Another instance may lead now.
    #[error("the lease is lost")]
    LeaseLost,
}

/// Runs until told to stop.
///
/// # Errors
/// When it cannot start, and when the lease is lost: the process is to end then, and be started anew.
pub async fn run(args: Args) -> Result<(), Error> {
    let stop = shutdown::on_signal().map_err(Error::Signals)?;
    let config = Config::infer().await.map_err(Error::Config)?;
    let namespace = args.operator_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = client(config).map_err(Error::Client)?;
    let operator = Operator::new(&args, client, namespace)?;
    tokio::select! {
        outcome = operator.lead(&args, &stop) => outcome,
        error = operator.serve_admin(&args) => Err(error),
    }
}

/// A client that retries nothing by itself: kube's own retries can take minutes.
fn client(mut config: Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Ok(ClientBuilder::try_from(config)?.build())
}

/// One instance of the operator, on whatever client it is given.
pub struct Operator {
    context: Arc<Context>,
    leadership: Leadership,
    namespace: String,
    identity: String,
}

impl Operator {
    /// An instance that does nothing yet. `namespace` is its own.
    ///
    /// # Errors
    /// When no HTTP client for metric sources can be made.
    pub fn new(args: &Args, client: Client, namespace: String) -> Result<Self, Error> {
        let (default, allowed) = (args.prometheus_address.clone(), &args.metric_address_allow);
        let sources = |cluster: &Cluster| Sources::new(cluster.clone(), default, allowed).map(|it| Box::new(it) as _);
        Self::made(args, client, namespace, sources, Clock::system()).map_err(Error::Http)
    }

    /// The same with another metric source and another clock.
    pub fn with(args: &Args, client: Client, namespace: String, source: Box<dyn Provider>, clock: Clock) -> Self {
        match Self::made::<std::convert::Infallible>(args, client, namespace, |_| Ok(source), clock) {
            Ok(operator) => operator,
            Err(never) => match never {},
        }
    }

    fn made<E>(
        args: &Args,
        client: Client,
        namespace: String,
        source: impl FnOnce(&Cluster) -> Result<Box<dyn Provider>, E>,
        clock: Clock,
    ) -> Result<Self, E> {
        let leadership = if args.no_leader_election { Leadership::always() } else { Leadership::none() };
        let metrics = Arc::new(Metrics::new());
        let cluster = Cluster::new(client, leadership.clone(), Arc::clone(&metrics));
        let source = source(&cluster)?;
        let queue = Arc::new(Queue::default());
        let (woken, measurer_clock) = (Arc::clone(&queue), clock.clone());
        let identity = identity();
        let context = Context {
            reporter: Reporter::new(cluster.clone(), clock.clone(), Arc::clone(&queue)),
            events: Events::start(cluster.clone(), Arc::clone(&metrics), identity.clone()),
            measurer: Measurer::new(source, move || measurer_clock.now(), move |key| woken.now(&key)),
            cluster,
            caches: Caches::of(&args.scopes()),
            references: ReferenceIndex::default(),
            queue,
            metrics,
            operator_namespace: namespace.clone(),
            owned_routes: !args.no_owned_routes,
            commanders_recorded: args.commanders_recorded,
            clock,
        };
        Ok(Self { context: Arc::new(context), leadership, namespace, identity })
    }

    /// Watches, leads when it can, and works until told to stop.
    ///
    /// # Errors
    /// When the lease is lost.
    pub async fn lead(&self, args: &Args, stop: &CancellationToken) -> Result<(), Error> {
        let watching = CancellationToken::new();
        let _ends_watches = watching.clone().drop_guard();
        watches::start(&self.context, &args.scopes(), &args.without, &watching);
        if args.no_leader_election {
            self.context.metrics.leads(true);
            self.finish(work(&self.context, args.workers, stop), stop).await;
            return Ok(());
        }
        let cluster = &self.context.cluster;
        let identity = self.identity.clone();
        let mut lease = Lease::new(cluster, &self.namespace, &args.lease, identity, self.leadership.clone());
        if !lease.acquire(stop).await {
            return Ok(());
        }
        self.context.metrics.leads(true);
        let working = stop.child_token();
        let outcome = {
            let work = self.finish(work(&self.context, args.workers, &working), &working);
            tokio::pin!(work);
            tokio::select! {
                ended = lease.hold(stop) => {
                    working.cancel();
                    // Once it is lost nothing may be written, so there is nothing to finish. Else the last renewal is
                    // good for longer than finishing takes.
                    if ended == Ended::Lost { Err(Error::LeaseLost) } else { Ok(work.await) }
                }
                finished = &mut work => Ok(finished),
            }
        };
        self.context.metrics.leads(false);
        let finished = outcome?;
        if finished {
            lease.release().await;
        }
        Ok(())
    }

    /// Lets work end by itself, but not for long once told to stop. False when it was cut off: a write may be under way, so
    /// that the lease must not be given to anybody before it expires.
    async fn finish(&self, work: impl Future<Output = ()>, stop: &CancellationToken) -> bool {
        let too_late = async {
            stop.cancelled().await;
            tokio::time::sleep(FINISH).await;
        };
        tokio::select! {
            () = work => true,
            () = too_late => {
                tracing::warn!("stopped in the middle of a pass");
                false
            }
        }
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        metrics(&self.context)
    }

    /// What keeps it from being ready, if anything does.
    ///
    /// # Errors
    /// The kinds that have not been listed yet and that nothing can be done without.
    pub fn readiness(&self) -> Result<(), String> {
        readiness(&self.context)
    }

    /// Serves for as long as the process runs; gives why it cannot.
    async fn serve_admin(&self, args: &Args) -> Error {
        let (ready, refreshed) = (Arc::clone(&self.context), Arc::clone(&self.context));
        let readiness = move || readiness(&ready);
        let metrics = move || metrics(&refreshed);
        match admin::serve(args.admin_address, Arc::new(readiness), Arc::new(metrics)).await {
            Err(error) => Error::Admin(error),
            Ok(()) => std::future::pending().await,
        }
    }
}

fn readiness(context: &Context) -> Result<(), String> {
    match context.caches.unsynced() {
        unsynced if unsynced.is_empty() => Ok(()),
        unsynced => Err(format!("not listed yet: {}", unsynced.join(", "))),
    }
}

fn metrics(context: &Context) -> String {
    context.metrics.queue_depth(context.queue.depth());
    context.metrics.text()
}

/// A name that no other instance has, and no earlier one of the same pod had.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "leadsman".to_owned());
    format!("{host}_{:08x}", RandomState::new().hash_one(std::process::id()) & 0xffff_ffff)
}
