//! Releases that are good: promoted, and nobody notices.

use anyhow::{Result, ensure};
use leadsman_e2e::beside;
use leadsman_e2e::metrics::{grpc_success_rate, success_rate};
use leadsman_e2e::status::condition;
use leadsman_e2e::{Load, Namespace, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;

use crate::harness::scenario;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        scenario("good-at-200-per-second", |ns| async move { figure(&ns).await }),
        scenario("good-grpcroute-gateway", |ns| async move { good(&ns, RouteKind::GrpcRouteGateway).await }),
        scenario("good-httproute-contour", |ns| async move { through_contour(&ns).await }),
        scenario("good-routes-of-the-operator", |ns| async move { routes_of_the_operator(&ns).await }),
    ];
    trials.extend(
        RouteKind::MAIN
            .map(|kind| scenario(format!("good-{}", kind.word()), move |ns| async move { good(&ns, kind).await })),
    );
    trials
}

async fn good(namespace: &Namespace, kind: RouteKind) -> Result<()> {
    let metric = if kind.is_grpc() { grpc_success_rate() } else { success_rate() };
    goes_through(namespace, kind, &RolloutBuilder::new(&namespace.name, kind).background(&[metric])).await
}

/// A good release of this Rollout, under load on one of its routes.
pub async fn goes_through(namespace: &Namespace, kind: RouteKind, rollout: &RolloutBuilder) -> Result<()> {
    namespace.deploy(rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    load.until_answered(60).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let promoted = namespace.until_promoted(&next).await?;
    ensure!(condition(&promoted, "Promoted").is_some_and(|it| it.0 == "True"), "not Promoted: {:?}", promoted.status);
    load.until_more(120).await?;
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.versions.keys().eq(["v1", "v2"]), "both versions answered: {:?}", account.versions);
    Ok(())
}

/// Another implementation of the Gateway API than the mesh's.
async fn through_contour(namespace: &Namespace) -> Result<()> {
    beside::bring_contour(namespace).await?;
    good(namespace, RouteKind::HttpRouteBeside).await
}

/// At least 20,000 requests at 200 a second, through gateway and sidecar at once.
async fn figure(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::VirtualService;
    let steps = [5, 20, 40, 60, 80].into_iter().flat_map(|weight| [set_weight(weight), pause("6s")]);
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .replicas(3)
        .background(&[success_rate()])
        .steps(&steps.collect::<Vec<_>>());
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 200.0).await?;
    load.until_answered(1000).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_promoted(&next).await?;
    load.until_answered(20_000).await?;
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.requests >= 20_000, "{} requests", account.requests);
    Ok(())
}

/// The operator makes the routes, of two kinds at once, and keeps both on one split.
async fn routes_of_the_operator(namespace: &Namespace) -> Result<()> {
    let (first, second) = (RouteKind::HttpRouteGateway, RouteKind::VirtualService);
    let rollout = RolloutBuilder::new(&namespace.name, first).routes(&[first, second]).owning_routes();
    namespace.deploy(&rollout).await?;
    let mut gateway = Load::through(namespace, first, 50.0).await?;
    let mut mesh = Load::in_mesh(namespace, second, 50.0).await?;
    mesh.until_answered(50).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_promoted(&next).await?;
    namespace.close(&mut mesh, &[]).await?;
    namespace.close(&mut gateway, &[]).await?;
    Ok(())
}
