//! What scenarios and the demo are made of: the cluster with the operator in it, namespaces of their own, Rollouts and
//! their routes, load that accounts for every request, and what was seen from outside: the API server's audit log and
//! the answers of Prometheus.
//!
//! Nothing here looks into the operator: it is judged by what users, the API server and Prometheus see. Conditions are
//! awaited by watches; nothing sleeps and hopes.
//!
//! | module | |
//! |---|---|
//! | [`cluster`] | the cluster, once per process |
//! | [`namespace`] | a namespace for one scenario, with everything in it removed, or dumped, at the end |
//! | [`operator`] | an operator of a namespace's own: installed, killed, weighed |
//! | [`leaders`] | who led when |
//! | [`rollout`], [`routes`], [`metrics`] | manifests by builders; [`objects`] brings them in |
//! | [`load`] | clients and their records |
//! | [`autoscaler`] | Rollouts that follow the load |
//! | [`account`], [`timeline`], [`binomial`] | no request lost, shares as the weights say |
//! | [`audit`] | who wrote what, and when |
//! | [`history`] | weight only where somebody answers, replayed from what watches heard |
//! | [`plugin`] | what `kubectl leadsman` says, and how it ends |
//! | [`proxy`] | when Prometheus said what |
//! | [`recorded`] | what documentation shows as it was said |
//! | [`fixture`] | sources that say what a scenario has them say |
//! | [`wire`] | what lies between an operator and its API server, and can fail |
//! | [`git`], [`flux`] | commits pushed to the cluster, and what Flux makes of them |
//! | [`wait`], [`status`] | conditions, and what they look at |
//! | [`figures`] | what was measured |

pub mod account;
pub mod audit;
pub mod autoscaler;
pub mod beside;
pub mod binomial;
pub mod cluster;
pub mod dashboards;
pub mod demo;
mod dump;
pub mod figures;
pub mod fixture;
pub mod flux;
pub mod git;
pub mod helm;
pub mod history;
pub mod leaders;
pub mod load;
pub mod metrics;
pub mod namespace;
pub mod objects;
pub mod operator;
pub mod plugin;
pub mod process;
pub mod proxy;
pub mod recorded;
pub mod rights;
pub mod rollout;
pub mod routes;
pub mod runtime;
pub mod status;
pub mod timeline;
pub mod wait;
pub mod wire;

pub use cluster::Cluster;
pub use leadsman_bed::{App, Connections, Way};
pub use load::{Load, Record};
pub use namespace::{Namespace, with_namespace};
pub use operator::{Operator, Setup};
pub use rollout::{RolloutBuilder, pause, pause_until_promoted, set_weight, step_analysis};
pub use routes::RouteKind;
pub use wire::Wire;
