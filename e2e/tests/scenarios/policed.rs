//! Whole releases with every policy that is shipped in force: they are in nobody's way, the operator's least of all.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use leadsman_api::names::{COMMAND_ANNOTATION, COMMANDER_ANNOTATION};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::audit::Request;
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{canary_hash, phase};
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{
    App, Load, Namespace, Operator, RolloutBuilder, RouteKind, Setup, pause, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::admission::{acting_as, autoscaled, enforce, role, until_refused, until_taken};
use crate::harness::scenario_as;

const KIND: RouteKind = RouteKind::HttpRouteGateway;
/// Who may command in this namespace.
const COMMANDER: &str = "commander";

pub fn trials() -> Vec<Trial> {
    let setup = Setup { commanders_recorded: true, ..Setup::default() };
    vec![scenario_as("policies-and-whole-releases", setup, |ns| async move { released(&ns).await })]
}

/// A good release, a bad one, one that is aborted and one that Git takes back; then the Rollout is deleted.
async fn released(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .background(&[success_rate()])
        .steps(&[set_weight(20), pause("3s"), set_weight(60), pause("3s")])
        // Clients' answers are told apart by the sets that are there at the end.
        .set("/spec/revisionHistoryLimit", json!(5));
    let commander = in_force(namespace, &rollout).await?;
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, KIND, 60.0).await?;
    let good = rollout.version("v2");
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    namespace.declare(&rollout.app(App { error_rate: 0.5, ..App::new("v3") })).await?;
    namespace.until_rolled_back(Duration::from_mins(1)).await?;
    aborted(namespace, &rollout.version("v4"), &commander).await?;
    taken_back(namespace, &rollout.version("v5"), &good).await?;
    resized(namespace, &good).await?;
    namespace.close(&mut load, &["v3"]).await?;

    let rollouts: Api<Rollout> = Api::namespaced(commander, &namespace.name);
    rollouts.delete(APP, &DeleteParams::default()).await?;
    let gone = |seen: Option<&Rollout>| seen.is_none();
    wait_for(namespace.api::<Rollout>(), APP, "to be let go", Duration::from_secs(45), gone).await?;
    expect_nothing_refused(namespace)
}

/// Waits until the policies are, with the operator in the namespace already.
async fn in_force(namespace: &Namespace, rollout: &RolloutBuilder) -> Result<Client> {
    enforce(namespace).await?;
    let rules = json!([
        {"apiGroups": ["leadsman.dev"], "resources": ["rollouts"], "verbs": ["create", "patch", "get", "delete"]},
        {"apiGroups": ["leadsman.dev"], "resources": ["rollouts/abort"], "verbs": ["update"]},
    ]);
    namespace.apply_all(&role(namespace, COMMANDER, COMMANDER, &rules)).await?;
    let commander = acting_as(namespace, COMMANDER).await?;
    until_taken(&commander, "a gradual Rollout", &rollout.manifest(), true).await?;
    let fast = rollout.clone().steps(&[set_weight(100)]);
    until_refused(&commander, "a big bang", &fast.manifest(), true).await?;
    let hasty = rollout.set("/metadata/annotations", json!({COMMAND_ANNOTATION: "promote-full/h/1"}));
    until_refused(&commander, "a command without a right", &hasty.manifest(), true).await?;
    Ok(commander)
}

/// On trial: given less, made larger by an autoscaler, paused, and aborted by a command with which the pauses go as well.
async fn aborted(namespace: &Namespace, rollout: &RolloutBuilder, commander: &Client) -> Result<()> {
    let waiting = |weight| rollout.clone().steps(&[set_weight(weight), pause_until_promoted(), set_weight(60)]);
    namespace.declare(&waiting(20)).await?;
    namespace.until_weight(rollout, 20).await?;
    // In force at the next such step; the admission is what is shown.
    namespace.declare(&waiting(10)).await?;
    autoscaled(namespace, 3).await?;
    let change = |spec: Value| json!({"spec": spec});
    patch(commander, namespace, change(json!({"paused": true}))).await?;

    let command = format!("abort/{}/1", rollout.hash());
    let mut abort = change(json!({"paused": false, "strategy": {"canary": {"steps": [set_weight(100)]}}}));
    if let Some(members) = abort.as_object_mut() {
        members.insert("metadata".to_owned(), json!({"annotations": {COMMAND_ANNOTATION: command}}));
    }
    let written = patch(commander, namespace, abort).await?;
    let by = written.metadata.annotations.unwrap_or_default().remove(COMMANDER_ANNOTATION);
    ensure!(by.as_deref() == Some(COMMANDER), "given by {by:?}");
    let hash = rollout.hash();
    let rejected = |seen: &Rollout| {
        let rejected = seen.status.as_ref().map(|status| status.rejected.as_slice()).unwrap_or_default();
        phase(seen) == Some(Phase::RolledBack) && rejected.iter().any(|it| it.hash == hash)
    };
    let aborted = namespace.until("to be aborted", Duration::from_mins(1), rejected).await?;
    let answered = aborted.status.and_then(|status| status.last_command).context("no answer to the command")?;
    ensure!((answered.by.as_deref(), answered.verified) == (Some(COMMANDER), Some(true)), "{answered:?}");
    Ok(())
}

/// In the middle of a release Git goes back to what is stable, and to a strategy that would be refused of a release.
async fn taken_back(namespace: &Namespace, rollout: &RolloutBuilder, stable: &RolloutBuilder) -> Result<()> {
    let waiting = rollout.clone().steps(&[set_weight(20), pause_until_promoted(), set_weight(60)]);
    namespace.declare(&waiting).await?;
    namespace.until_weight(&waiting, 20).await?;
    let former = stable.clone().background(&[]).steps(&[set_weight(100)]);
    namespace.declare(&former).await?;
    namespace.until_promoted(&former).await?;
    namespace.declare(stable).await
}

/// Git gives up the size, and the operator writes it down.
async fn resized(namespace: &Namespace, stable: &RolloutBuilder) -> Result<()> {
    let declared = namespace.apply(&stable.clone().without_replicas().manifest()).await?;
    ensure!(declared.data.pointer("/spec/replicas").is_none(), "somebody else declares the size");
    let kept = |seen: &Rollout| seen.spec.replicas.is_some() && canary_hash(seen).is_none();
    namespace.until("to have its size kept", Duration::from_secs(20), kept).await.map(drop)
}

async fn patch(client: &Client, namespace: &Namespace, change: Value) -> Result<Rollout> {
    let rollouts: Api<Rollout> = Api::namespaced(client.clone(), &namespace.name);
    Ok(rollouts.patch(APP, &PatchParams::default(), &Patch::Merge(change)).await?)
}

/// Every kind of write of the operator was made, and none was refused, or against a policy.
fn expect_nothing_refused(namespace: &Namespace) -> Result<()> {
    let requests = Operator::of(namespace).requests()?;
    let refused: Vec<_> = requests.iter().filter(|it| it.fails_a_policy()).map(Request::describe).collect();
    ensure!(refused.is_empty(), "the operator was refused:\n{}", refused.join("\n"));
    for (resource, subresource) in [
        ("rollouts", ""),
        ("rollouts", "status"),
        ("replicasets", ""),
        ("services", ""),
        ("httproutes", ""),
        ("events", ""),
    ] {
        let is_written = |it: &Request| {
            it.is_done_write() && it.object_ref.resource == resource && it.object_ref.subresource == subresource
        };
        ensure!(requests.iter().any(is_written), "the operator wrote no {resource} {subresource}");
    }
    Ok(())
}
