//! A status that is lost, and a Rollout that comes back from a backup: stable goes on serving, what was rejected stays
//! rejected, and no command of before is obeyed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use leadsman_api::names::COMMAND_ANNOTATION;
use leadsman_api::{CommandOutcome, Phase, Rollout};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{is_current, message, phase, stable_hash, weight_in_force};
use leadsman_e2e::timeline::weights;
use leadsman_e2e::wait::{stays, wait_for};
use leadsman_e2e::{Load, Namespace, Operator, RolloutBuilder, RouteKind, pause_until_promoted, set_weight};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{now, scenario};
use crate::people::command;

pub fn trials() -> Vec<Trial> {
    vec![scenario("status-lost", |ns| async move { lost(&ns).await })]
}

async fn lost(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .drain("3s")
        .steps(&[set_weight(40), pause_until_promoted()])
        .set("/spec/revisionHistoryLimit", json!(9));
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 100.0).await?;
    let rejected = rollout.version("v2");
    namespace.declare(&rejected).await?;
    namespace.until_weight(&rejected, 40).await?;
    command(namespace, "abort", &rejected).await?;
    namespace.until_rolled_back(Duration::from_secs(30)).await?;
    let next = rollout.version("v3");
    namespace.declare(&next).await?;
    namespace.until_weight(&next, 40).await?;

    // With nobody there to see it: the status goes, and a command from long ago is in the backup.
    Operator::of(namespace).scale(0).await?;
    let api = namespace.api::<Rollout>();
    let old = format!("promote-full/{}/long-ago", next.hash());
    let old = json!({"metadata": {"annotations": {COMMAND_ANNOTATION: old}}});
    api.patch(APP, &PatchParams::default(), &Patch::Merge(old)).await?;
    api.patch_status(APP, &PatchParams::default(), &Patch::Merge(json!({"status": null}))).await?;
    Operator::of(namespace).scale(1).await?;
    until_waiting_anew(namespace, &rollout, &next).await?;
    expect_old_command_refused(namespace).await?;

    // Deleted without what belongs to it, and declared again from a backup without a status.
    let orphaned = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    let before = api.get(APP).await?;
    api.delete(APP, &orphaned).await?;
    wait_for(api.clone(), APP, "to be gone", Duration::from_mins(1), |seen| seen.is_none()).await?;
    load.until_more(200).await?;
    let restored_at = now();
    namespace.declare(&next).await?;
    let after = until_waiting_anew(namespace, &rollout, &next).await?;
    ensure!(before.uid() != after.uid(), "it was never deleted");
    let set = format!("{APP}-{}", rollout.hash());
    let set = namespace.api::<ReplicaSet>().get(&set).await?;
    ensure!(
        set.owner_references().iter().any(|owner| Some(&owner.uid) == after.uid().as_ref()),
        "stable was not adopted"
    );
    let most = weights(&namespace.requests()?, &kind.route_name());
    let most = most.iter().filter(|it| it.received > restored_at).map(|it| it.to).fold(0.0, f64::max);
    ensure!(most <= 40.0, "{most}% for a canary that nobody promoted");

    // Rejected before the status was lost, and before the Rollout itself was: still rejected.
    namespace.declare(&rejected).await?;
    let seen = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(stable_hash(&seen) == Some(&rollout.hash()), "{:?}", seen.status);
    ensure!(message(&seen).contains("Aborted"), "{}", message(&seen));
    let still = |seen: Option<&Rollout>| seen.is_some_and(|seen| phase(seen) == Some(Phase::RolledBack));
    stays(namespace.api::<Rollout>(), APP, "rolled back", Duration::from_secs(5), still).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// The release starts again from its first step, and waits there as before; stable is what it was.
async fn until_waiting_anew(namespace: &Namespace, stable: &RolloutBuilder, next: &RolloutBuilder) -> Result<Rollout> {
    let (stable, next) = (stable.hash(), next.hash());
    let waits = |seen: &Rollout| {
        is_current(seen)
            && phase(seen) == Some(Phase::Paused)
            && weight_in_force(seen) == 40
            && stable_hash(seen) == Some(&stable)
            && leadsman_e2e::status::canary_hash(seen) == Some(&next)
    };
    let seen = namespace.until("to wait at 40% again", Duration::from_mins(1), waits).await?;
    let still = |seen: Option<&Rollout>| seen.is_some_and(waits);
    stays(namespace.api::<Rollout>(), APP, "waiting at 40%", Duration::from_secs(5), still).await?;
    Ok(seen)
}

async fn expect_old_command_refused(namespace: &Namespace) -> Result<()> {
    let seen = namespace.until("to be there", Duration::from_secs(5), |_| true).await?;
    let last = seen.status.and_then(|status| status.last_command).context("the old command is not acknowledged")?;
    ensure!(last.id == "long-ago" && last.outcome == CommandOutcome::Refused, "{last:?}");
    Ok(())
}
