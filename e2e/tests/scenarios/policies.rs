//! The policies that are shipped: what each refuses, with words that say what to do, and what none of them stands in the way
//! of. No operator works here, so that each phase of a Rollout is there for as long as it is asked about.

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use leadsman_api::Rollout;
use leadsman_api::names::{COMMAND_ANNOTATION, COMMANDER_ANNOTATION, ROLLOUT_LABEL, ROUTES_FINALIZER};
use leadsman_e2e::metrics::{success_rate, with};
use leadsman_e2e::objects::judged;
use leadsman_e2e::routes::{APP, STABLE};
use leadsman_e2e::{App, Namespace, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::admission::{
    acting_as, autoscaled, binding, enforce, role, until_answer, until_refused, until_taken, warnings,
};
use crate::harness::scenario_without_operator;

const KIND: RouteKind = RouteKind::HttpRouteGateway;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario_without_operator("policies-no-big-bang", |ns| async move { no_big_bang(&ns).await }),
        scenario_without_operator("policies-and-what-was-there-before", |ns| async move { there_before(&ns).await }),
        scenario_without_operator("policies-commands-by-right", |ns| async move { commands(&ns).await }),
        scenario_without_operator("policies-deployments-and-hand-edits", |ns| async move { by_hand(&ns).await }),
    ]
}

/// What is new is refused where it goes too fast, and taken where it does not.
async fn no_big_bang(namespace: &Namespace) -> Result<()> {
    enforce(namespace).await?;
    let admin = &namespace.cluster.client;
    let measured = RolloutBuilder::new(&namespace.name, KIND).background(&[success_rate()]);
    let steps = |steps: &[Value]| measured.clone().steps(steps);
    let gradual = [set_weight(20), pause("4s"), set_weight(60)];
    let plain = RolloutBuilder::plain(&namespace.name).background(&[success_rate()]);
    for (rollout, words) in [
        (steps(&[set_weight(30), pause("4s"), set_weight(60)]), "the first setWeight is at most 20"),
        (steps(&[set_weight(20), pause("4s"), set_weight(70)]), "more than 40 above the one before, in 20, 70, 100;"),
        (steps(&[set_weight(20), pause("4s"), set_weight(50)]), "more than 40 above the one before, in 20, 50, 100;"),
        (steps(&[set_weight(20), set_weight(60)]), "at least 1 of spec.strategy.canary.steps are a pause"),
        (RolloutBuilder::new(&namespace.name, KIND).steps(&gradual), "something has to be measured"),
        (plain.clone(), "the first setWeight is at most 20"),
        (plain.clone().steps(&[set_weight(20), pause("4s")]), "in 20, 100; put a setWeight between"),
        (RolloutBuilder::blue_green(&namespace.name, json!({})), "prePromotionAnalysis, or autoPromotion: false"),
    ] {
        let said = until_refused(admin, words, &rollout.manifest(), true).await?;
        ensure!(said.contains("asks for gradual releases") && said.contains(words), "{words}: {said}");
    }
    let checked = json!({"prePromotionAnalysis": {"metrics": [success_rate()]}});
    for (what, rollout) in [
        ("three steps", steps(&gradual)),
        ("one Service", plain.steps(&[set_weight(20), pause("4s"), set_weight(50)])),
        ("workers", RolloutBuilder::worker(&namespace.name)),
        ("a person", RolloutBuilder::blue_green(&namespace.name, json!({"autoPromotion": false}))),
        ("a measured preview", RolloutBuilder::blue_green(&namespace.name, checked)),
    ] {
        judged(admin, &rollout.manifest(), true).await.context(what)?;
    }
    let known = namespace.requests()?.iter().any(|it| it.object_ref.resource == "rollouts" && it.fails_a_policy());
    ensure!(known, "the audit log does not tell what a policy refused");
    Ok(())
}

/// A Rollout that goes too fast and was there before: its next release is refused, and nothing else that happens to it.
async fn there_before(namespace: &Namespace) -> Result<()> {
    let image = |tag: &str| json!(format!("registry.example/shop:{tag}"));
    let of = |tag: &str, steps: &[Value]| {
        let rollout = RolloutBuilder::new(&namespace.name, KIND).steps(steps);
        rollout.set("/spec/template/spec/containers/0/image", image(tag)).manifest()
    };
    let fast = [set_weight(50), pause("4s")];
    namespace.apply(&of("2", &fast)).await?;
    enforce(namespace).await?;
    let change = |spec: Value| with(of("2", &fast), "/spec", spec);
    let ordered = |word: &str, steps: &[Value]| commanded(change(strategy(steps)), &format!("{word}/1"));
    let next = of("3", &fast);
    let admin = &namespace.cluster.client;

    stands(namespace, "Healthy").await?;
    refused(admin, "a release", &next).await?;
    refused(admin, "more at once", &change(strategy(&[set_weight(80), pause("4s")]))).await?;
    refused(admin, "no pause at rest", &change(strategy(&[set_weight(50)]))).await?;
    // As the operator writes its finalizer, and the size that Git gave up.
    judged(admin, &with(next_metadata(namespace), "/metadata/finalizers", json!([ROUTES_FINALIZER])), false).await?;
    judged(admin, &change(json!({"replicas": null})), false).await?;
    judged(admin, &change(json!({"replicas": 3})), false).await?;
    let steps_gone = ordered("rollback/stable", &[set_weight(50)]);
    judged(admin, &steps_gone, false).await.context("a rollback by command")?;
    in_release(namespace, &of("1", &[set_weight(100)]), &next).await?;

    stands(namespace, "RollingBack").await?;
    judged(admin, &change(strategy(&[set_weight(50)])), false).await.context("no pause on the way back")?;
    refused(admin, "a release on the way back", &next).await?;
    stands(namespace, "RolledBack").await?;
    refused(admin, "the same again", &ordered("retry/canary", &fast)).await?;
    judged(admin, &ordered("pause/canary", &fast), false).await.context("another command")?;
    let api: Api<Rollout> = namespace.api();
    api.delete(APP, &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.context("a deletion")?;
    Ok(())
}

/// While a revision is on trial: everything that takes traffic from it, and nothing that gives it more.
async fn in_release(namespace: &Namespace, former: &Value, next: &Value) -> Result<()> {
    let admin = &namespace.cluster.client;
    let change = |spec: Value| with(next_metadata(namespace), "/spec", spec);
    let ordered = |word: &str, steps: &[Value]| commanded(change(strategy(steps)), &format!("{word}/1"));
    stands(namespace, "Progressing").await?;
    judged(admin, former, false).await.context("stable's template, with whatever strategy it had")?;
    judged(admin, &change(strategy(&[set_weight(10), pause("4s")])), false).await.context("a lower weight")?;
    judged(admin, &change(json!({"paused": true})), false).await.context("paused")?;
    judged(admin, &ordered("abort/canary", &[set_weight(50)]), false).await.context("an abort without pauses")?;
    refused(admin, "a third version", next).await?;
    refused(admin, "a higher weight", &change(strategy(&[set_weight(60), pause("4s")]))).await?;
    refused(admin, "no pause", &change(strategy(&[set_weight(50)]))).await?;
    refused(admin, "an abort of another", &ordered("abort/other", &[set_weight(50)])).await?;
    autoscaled(namespace, 4).await
}

/// Waits for a refusal by the policy of gradual releases.
async fn refused(client: &Client, what: &str, object: &Value) -> Result<()> {
    let said = until_refused(client, what, object, false).await?;
    ensure!(said.contains("asks for gradual releases"), "{what}: {said}");
    Ok(())
}

/// A merge patch of the Rollout that changes nothing.
fn next_metadata(namespace: &Namespace) -> Value {
    let metadata = json!({"name": APP, "namespace": namespace.name});
    json!({"apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": metadata})
}

fn strategy(steps: &[Value]) -> Value {
    json!({"strategy": {"canary": {"steps": steps}}})
}

fn commanded(object: Value, command: &str) -> Value {
    with(object, "/metadata/annotations", json!({COMMAND_ANNOTATION: command}))
}

/// Writes the status of a Rollout whose second version is declared; at rest it is stable, else the first one is.
async fn stands(namespace: &Namespace, phase: &str) -> Result<()> {
    let api: Api<Rollout> = namespace.api();
    let generation = api.get(APP).await?.metadata.generation;
    let revision = |hash: &str, tag: &str| json!({"hash": hash, "revision": 1, "images": [format!("app=registry.example/shop:{tag}")]});
    let status = match phase {
        "Healthy" => json!({"stable": revision("stable", "2"), "canary": null}),
        _ => json!({"stable": revision("stable", "1"), "canary": revision("canary", "2")}),
    };
    let status = with(
        with(json!({ "status": status }), "/status/phase", json!(phase)),
        "/status/observedGeneration",
        json!(generation),
    );
    api.patch_status(APP, &PatchParams::default(), &Patch::Merge(status)).await.context("a status")?;
    Ok(())
}

/// Commands take rights of their own, and say who gave them.
async fn commands(namespace: &Namespace) -> Result<()> {
    enforce(namespace).await?;
    let rollout = RolloutBuilder::new(&namespace.name, KIND).background(&[success_rate()]);
    let rollout = rollout.steps(&[set_weight(20), pause("4s"), set_weight(60)]);
    namespace.apply(&rollout.manifest()).await?;
    let patching =
        json!({"apiGroups": ["leadsman.dev"], "resources": ["rollouts"], "verbs": ["create", "patch", "get"]});
    let virtual_ones = ["rollouts/promote-full", "rollouts/abort", "rollouts/rollback"];
    let commanding = json!({"apiGroups": ["leadsman.dev"], "resources": virtual_ones, "verbs": ["update"]});
    namespace.apply_all(&role(namespace, "author", "author", &json!([patching]))).await?;
    namespace.apply_all(&role(namespace, "commander", "commander", &json!([patching, commanding]))).await?;
    let (author, commander) = (acting_as(namespace, "author").await?, acting_as(namespace, "commander").await?);
    let order = |command: &str| commanded(next_metadata(namespace), command);
    for verb in ["promote-full", "abort", "rollback"] {
        let order = order(&format!("{verb}/h/1"));
        until_taken(&commander, verb, &order, false).await?;
        let said = until_refused(&author, verb, &order, false).await?;
        let words = format!("author may not {verb} {APP}: it takes the verb update on rollouts/{verb}");
        ensure!(said.contains(&words) && said.contains("spec.paused: true stops a release without it"), "{said}");
        let new = commanded(with(rollout.manifest(), "/metadata/name", json!("another")), &format!("{verb}/h/1"));
        until_refused(&author, "a new one with a command", &new, true).await?;
    }
    for verb in ["promote", "pause", "resume", "retry", "no-command"] {
        judged(&author, &order(&format!("{verb}/h/1")), false).await.context(verb)?;
    }
    named(namespace, &author, &commander).await
}

/// The name beside a command is that of whoever gave it, whatever is sent.
async fn named(namespace: &Namespace, author: &Client, commander: &Client) -> Result<()> {
    let write = |client: &Client, annotations: Value, dry_run: bool| {
        let api: Api<Rollout> = Api::namespaced(client.clone(), &namespace.name);
        async move {
            let patch = json!({"metadata": {"annotations": annotations}});
            let params = PatchParams { dry_run, ..PatchParams::default() };
            let written = api.patch(APP, &params, &Patch::Merge(patch)).await?;
            anyhow::Ok(written.metadata.annotations.unwrap_or_default().remove(COMMANDER_ANNOTATION))
        }
    };
    until_answer("names to be written down", || async {
        Ok(write(author, json!({COMMANDER_ANNOTATION: "boss"}), true).await?.is_none().then_some(()))
    })
    .await?;
    let by = |name: &str| Some(name.to_owned());
    for (what, client, annotations, expected) in [
        ("a name without a command", author, json!({COMMANDER_ANNOTATION: "boss"}), None),
        ("a command", commander, json!({COMMAND_ANNOTATION: "abort/h/1"}), by("commander")),
        (
            "another's, with a forged name",
            author,
            json!({COMMAND_ANNOTATION: "pause/h/2", COMMANDER_ANNOTATION: "boss"}),
            by("author"),
        ),
        ("a forged name", commander, json!({COMMANDER_ANNOTATION: "boss"}), by("author")),
        ("a name taken off", commander, json!({COMMANDER_ANNOTATION: null}), by("author")),
        ("something else", commander, json!({"team": "shop"}), by("author")),
        ("the command again", commander, json!({COMMAND_ANNOTATION: "pause/h/2"}), by("author")),
        ("no command", commander, json!({COMMAND_ANNOTATION: null}), None),
    ] {
        let seen = write(client, annotations, false).await.context(what)?;
        ensure!(seen == expected, "{what}: given by {seen:?} instead of {expected:?}");
    }
    // What stays there is not asked about again.
    write(commander, json!({COMMAND_ANNOTATION: "abort/h/3"}), false).await?;
    let seen = write(author, json!({"team": "cart"}), false).await.context("a change beside a command of another's")?;
    ensure!(seen == by("commander"), "{seen:?}");
    Ok(())
}

/// Deployments are warned of or refused; selectors and weights edited by people are warned of.
async fn by_hand(namespace: &Namespace) -> Result<()> {
    namespace.apply(&deployment(namespace, "running", 1)).await?;
    namespace.apply(&deployment(namespace, "stopped", 0)).await?;
    enforce(namespace).await?;
    let admin = &namespace.cluster.client;
    let new = deployment(namespace, "another", 2);
    let words = "use a Rollout (leadsman.dev/v1alpha1) instead of the Deployment another";
    warned(admin, &new, true, words).await?;
    namespace.apply_all(&[binding(namespace, "leadsman-deployments", &["Deny"])]).await?;
    let said = until_refused(admin, "a Deployment", &new, true).await?;
    ensure!(said.contains(words) && said.contains("the label leadsman.dev/policy: exempt"), "{said}");
    until_refused(admin, "its start", &deployment(namespace, "stopped", 1), false).await?;
    let exempt = with(new, "/metadata/labels", json!({"leadsman.dev/policy": "exempt"}));
    judged(admin, &exempt, true).await.context("one that is exempt")?;
    judged(admin, &deployment(namespace, "none", 0), true).await.context("one without pods")?;
    for replicas in [0, 1, 5] {
        judged(admin, &deployment(namespace, "running", replicas), false).await.context("one that runs")?;
    }

    edited_by_people(namespace).await
}

/// Selectors and weights; and what is neither is nobody's concern.
async fn edited_by_people(namespace: &Namespace) -> Result<()> {
    let admin = &namespace.cluster.client;
    let labelled = |object: Value| with(object, "/metadata/labels", json!({ROLLOUT_LABEL: "shop"}));
    let service = labelled(App::service(&namespace.name, STABLE, &[("app", APP)]));
    let http = labelled(KIND.manifest(&namespace.name));
    let istio = labelled(RouteKind::VirtualService.manifest(&namespace.name));
    namespace.apply_all(&[service.clone(), http.clone(), istio.clone()]).await?;
    let edits = [
        with(service.clone(), "/spec/selector/track", json!("blue")),
        with(http.clone(), "/spec/rules/0/backendRefs/1/weight", json!(50)),
        with(istio.clone(), "/spec/http/0/route/1/weight", json!(50)),
    ];
    for (edit, words) in edits.iter().zip(["puts it back", "puts them back", "puts them back"]) {
        warned(admin, edit, false, &format!("by the Rollout shop, and the operator {words}")).await?;
    }
    for other in [
        with(service, "/spec/sessionAffinity", json!("ClientIP")),
        with(http, "/spec/hostnames", json!(["shop.test"])),
        with(istio, "/spec/hosts", json!(["shop.test"])),
    ] {
        let said = warnings(admin, &other, false).await?;
        ensure!(said.is_empty(), "{said}");
    }
    expect_silence_towards_programs(namespace, &edits).await
}

/// Service accounts, such as the operator's, are not warned. What people did is in the audit log.
async fn expect_silence_towards_programs(namespace: &Namespace, edits: &[Value]) -> Result<()> {
    let account = format!("system:serviceaccount:{}:tool", namespace.name);
    let rules = json!([
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "patch"]},
        {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["get", "patch"]},
        {"apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": ["get", "patch"]},
    ]);
    namespace.apply_all(&role(namespace, "tool", &account, &rules)).await?;
    let tool = acting_as(namespace, &account).await?;
    for edit in edits {
        until_taken(&tool, "an edit by a program", edit, false).await?;
        let said = warnings(&tool, edit, false).await?;
        ensure!(said.is_empty(), "{said}");
    }
    let requests = namespace.requests()?;
    for resource in ["services", "httproutes", "virtualservices", "deployments"] {
        let audited = requests.iter().any(|it| it.object_ref.resource == resource && it.fails_a_policy());
        ensure!(audited, "the audit log says nothing of the edits of {resource}");
    }
    Ok(())
}

/// Waits for a warning, as the policy takes effect a moment after it was written.
async fn warned(client: &Client, object: &Value, is_new: bool, words: &str) -> Result<()> {
    until_answer(&format!("a warning: {words}"), || async {
        let said = warnings(client, object, is_new).await?;
        Ok(said.contains(words).then_some(()))
    })
    .await
}

/// One that makes no pods.
fn deployment(namespace: &Namespace, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": {
            "replicas": replicas,
            "paused": true,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": name, "image": "registry.example/shop:1"}]},
            },
        },
    })
}
