//! What the operator may not see, or what is not installed, keeps away only who needs it.

use std::time::Duration;

use leadsman_testkit::object::{text, unset};
use leadsman_testkit::{Application, Fault, Kind, Route, Rule, Verb, kind};
use serde_json::json;
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

fn using(name: &str, template: &str, cluster_scope: bool) -> Application {
    let template = json!({"templateName": template, "clusterScope": cluster_scope});
    Application::new(NAMESPACE, name).set("/spec/strategy/canary/analysis", json!({"templates": [template]}))
}

/// As with a Role in one namespace, or without the definition.
fn keep_away(bed: &Bed, kind: &'static Kind, installed: bool) {
    if installed {
        let words = format!(
            "{} is forbidden: User \"leadsman\" cannot list resource \"{}\" at the cluster scope",
            kind.resource(),
            kind.plural
        );
        bed.server.inject(Rule::refusing(403, "Forbidden", &words).kind(kind));
    } else {
        bed.server.withdraw(kind);
    }
}

#[tokio::test(start_paused = true)]
async fn with_rights_in_one_namespace_it_is_ready_at_once_and_says_of_a_cluster_template_why_not() {
    for installed in [true, false] {
        let bed = Bed::new();
        keep_away(&bed, &kind::CLUSTER_TEMPLATE, installed);
        let began = Instant::now();
        let operator = bed.operator_with("a", &["--namespace", NAMESPACE]);
        bed.declare(&podinfo());
        bed.until_at_rest(&podinfo()).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(operator.operator.readiness(), Ok(()));
        let using = using("using", "errors", true);
        bed.declare(&using);
        let rollout = bed.until(&using, |it| condition(it, "Stalled").is_some()).await;
        let (_, reason, message) = condition(&rollout, "Stalled").unwrap();
        assert_eq!(reason, "InvalidAnalysis");
        let why = if installed { "forbidden" } else { "404" };
        assert!(
            message.contains("ClusterAnalysisTemplate errors cannot be read") && message.contains(why),
            "{message}"
        );

        // Once the rights or the definition are there, it goes on by itself.
        bed.server.heal();
        bed.server.install(&kind::CLUSTER_TEMPLATE);
        let metric = json!({"name": "errors", "interval": "5s", "successCondition": "value < 0.05",
            "provider": {"prometheus": {"address": "http://prometheus:9090", "query": "errors"}}});
        let template =
            json!({"kind": "ClusterAnalysisTemplate", "metadata": {"name": "errors"}, "spec": {"metrics": [metric]}});
        bed.server.hand("person").create(&template).unwrap();
        bed.until_phase(&using, "Healthy").await;
    }
}

#[tokio::test(start_paused = true)]
async fn several_namespaces_are_served_and_nothing_is_asked_of_any_other() {
    let bed = Bed::new();
    let [shop, cart, third] = [NAMESPACE, "cart", "third"].map(|namespace| Application::new(namespace, "podinfo"));
    for application in [&shop, &cart, &third] {
        bed.declare(application);
    }
    let operator = bed.operator_with("a", &["--namespace", "shop,cart"]);
    for application in [&shop, &cart] {
        bed.until_at_rest(application).await;
        let next = application.clone().version("v2");
        bed.release(&next);
        bed.until_at_rest(&next).await;
    }
    assert_eq!(operator.operator.readiness(), Ok(()));
    assert!(bed.rollout(&third).get("status").is_none());
    let of_everybody = [Some(&kind::CLUSTER_TEMPLATE), Some(&kind::LEASE), None];
    let of_ours = [NAMESPACE, "cart"];
    let requests = bed.server.requests().into_iter().filter(|it| &*it.by == "a" && !of_everybody.contains(&it.kind));
    let elsewhere: Vec<_> = requests.filter(|it| !of_ours.contains(&&*it.namespace)).collect();
    assert_eq!(elsewhere.len(), 0, "{elsewhere:?}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_cannot_be_seen_holds_up_no_other_and_is_named() {
    let bed = Bed::new();
    let [shop, cart] = [NAMESPACE, "cart"].map(|namespace| Application::new(namespace, "podinfo"));
    bed.server.inject(Rule::refusing(403, "Forbidden", "no rights here").by("a").namespace("cart"));
    for application in [&shop, &cart] {
        bed.declare(application);
    }
    let operator = bed.operator_with("a", &["--namespace", "shop,cart"]);
    bed.until_at_rest(&shop).await;
    let kinds = ["Rollout", "ReplicaSet", "Service", "EndpointSlice"].map(|kind| format!("{kind} in cart")).join(", ");
    assert_eq!(operator.operator.readiness(), Err(format!("not listed yet: {kinds}")));
    // What is settled is not looked at again and again for a watch of another namespace that fails.
    let of_shop = |it: &leadsman_testkit::Request| &*it.by == "a" && it.namespace == NAMESPACE && it.verb == Verb::Get;
    let asked = |bed: &Bed| bed.server.requests().into_iter().filter(of_shop).collect::<Vec<_>>();
    let before = asked(&bed).len();
    seconds(120).await;
    assert_eq!(asked(&bed).len(), before, "{:?}", &asked(&bed)[before..]);
    let next = shop.version("v2");
    bed.release(&next);
    bed.until_at_rest(&next).await;
    bed.server.heal();
    bed.until_at_rest(&cart).await;
    seconds(40).await;
    assert_eq!(operator.operator.readiness(), Ok(()));

    // Neither does the loss of a watch take away what another namespace has.
    bed.server.inject(Rule::refusing(403, "Forbidden", "no more").by("a").namespace("cart"));
    for kind in [&kind::ROLLOUT, &kind::REPLICA_SET, &kind::SERVICE, &kind::SLICE] {
        bed.server.close_watches(kind);
    }
    let next = next.version("v3");
    bed.release(&next);
    bed.until_at_rest(&next).await;
    assert_eq!(text(&bed.rollout(&cart), "/status/phase"), "Healthy");
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ready_without_what_nothing_can_be_done_without_and_says_which() {
    for essential in [&kind::ROLLOUT, &kind::REPLICA_SET, &kind::SERVICE, &kind::SLICE] {
        let bed = Bed::new();
        keep_away(&bed, essential, true);
        let operator = bed.operator("a");
        seconds(10).await;
        assert_eq!(operator.operator.readiness(), Err(format!("not listed yet: {essential}")));
        bed.server.heal();
        seconds(40).await;
        assert_eq!(operator.operator.readiness(), Ok(()));
    }
    let bed = Bed::new();
    for optional in [&kind::TEMPLATE, &kind::HTTP_ROUTE, &kind::GRPC_ROUTE, &kind::VIRTUAL_SERVICE] {
        keep_away(&bed, optional, true);
    }
    let operator = bed.operator("a");
    seconds(10).await;
    assert_eq!(operator.operator.readiness(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_it_runs_without_is_never_asked_for_and_who_names_it_is_told_so() {
    let bed = Bed::new();
    let operator = bed.operator_with("a", &["--without", "istio,cluster-templates"]);
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    assert_eq!(operator.operator.readiness(), Ok(()));
    let elsewhere = Application::new(NAMESPACE, "elsewhere").route(Route::VirtualService);
    bed.declare(&elsewhere);
    let rollout = bed.until(&elsewhere, |it| condition(it, "Stalled").is_some()).await;
    let (_, reason, message) = condition(&rollout, "Stalled").unwrap();
    assert_eq!(reason, "KindNotInstalled");
    assert!(message.contains("or the operator runs without it (--without)"), "{message}");
    let unused = [Some(&kind::VIRTUAL_SERVICE), Some(&kind::CLUSTER_TEMPLATE)];
    let asked: Vec<_> =
        bed.server.requests().into_iter().filter(|it| &*it.by == "a" && unused.contains(&it.kind)).collect();
    assert_eq!(asked.len(), 0, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_calls_every_list_too_old_is_asked_later_and_later() {
    let bed = Bed::new();
    let asked = |bed: &Bed| {
        let requests = bed.server.requests().into_iter();
        requests.filter(|it| it.verb == Verb::List && it.kind == Some(&kind::HTTP_ROUTE)).count()
    };
    let expired = leadsman_testkit::Refusal::new(410, "Expired", "too old resource version");
    bed.server.inject(Rule::new(Fault::Refused(expired)).verbs(&[Verb::List]).kind(&kind::HTTP_ROUTE));
    let _operator = bed.operator("a");
    seconds(60).await;
    assert!((3..15).contains(&asked(&bed)), "{}", asked(&bed));
    bed.server.heal();
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_served_is_asked_again_soon_where_it_cannot_be_said() {
    let bed = Bed::new();
    bed.server.inject(Rule::refusing(503, "ServiceUnavailable", "not yet").verbs(&[Verb::Discover]).times(9));
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    let began = Instant::now();
    bed.until_at_rest(&podinfo()).await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    // A definition that is replaced is found again as soon.
    let route = podinfo().route_name();
    let object = bed.server.get(route.kind, &route.namespace, &route.name).unwrap();
    bed.server.withdraw(&kind::HTTP_ROUTE);
    bed.server.install(&kind::HTTP_ROUTE);
    let mut again = (*object).clone();
    for pointer in ["/metadata/resourceVersion", "/metadata/uid"] {
        unset(&mut again, pointer);
    }
    bed.server.hand("git").create(&again).unwrap();
    let began = Instant::now();
    bed.release(&podinfo().version("v2"));
    bed.until_at_rest(&podinfo().version("v2")).await;
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
}
