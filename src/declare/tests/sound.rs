//! Declarations that are as they should be.

use std::time::Duration;

use leadsman_api::AcceptancePolicy;
use leadsman_core::analysis::metric::{OnNoData, OnProviderError};
use leadsman_core::analysis::source::{Auth, AuthScheme};
use leadsman_core::spec::{ReadyWhen, Step, Verb};
use leadsman_core::traffic::Weight;
use serde_json::json;

use super::super::TemplateRef;
use super::{podinfo, world};
use crate::routers::{RouteKind, Settle};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn everything_around_the_strategy_is_read() {
    let declared = world().declare();
    let core = &declared.core;
    assert_eq!((core.name.as_str(), core.generation, core.replicas, core.paused), ("podinfo", 7, 4, false));
    assert_eq!(core.commit.as_deref(), Some("3f2c9e1"));
    assert_eq!(core.images, ["podinfo=podinfo:6.7.0"]);
    assert_eq!(core.command.as_ref().unwrap().as_ref().unwrap().verb, Verb::Promote);
    assert_eq!(core.hash.as_str(), leadsman_api::pod_template_hash(&podinfo()["spec"]["template"]));
    assert_eq!(declared.template, podinfo()["spec"]["template"]);
    assert_eq!(declared.match_labels, [("app".to_owned(), "podinfo".to_owned())].into());
    assert_eq!(declared.min_ready_seconds, 5);
    let template = |name: &str, cluster_scope| TemplateRef { template_name: name.to_owned(), cluster_scope };
    assert_eq!(declared.refers_to, [template("success-rate", false), template("latency", true)]);
}

#[test]
fn services_are_named_after_the_parent_unless_they_have_names() {
    let declared = world().declare();
    assert_eq!(declared.service.as_deref(), Some("podinfo"));
    assert_eq!(
        (declared.core.targets.stable_service.as_str(), declared.core.targets.canary_service.as_str()),
        ("podinfo-stable", "podinfo-canary")
    );
    let declared = world().with("/spec/strategy/canary/traffic/stableService", &json!("podinfo")).declare();
    assert_eq!(
        (declared.core.targets.stable_service.as_str(), declared.core.targets.canary_service.as_str()),
        ("podinfo", "podinfo-canary")
    );
    assert!(declared.core.spec.is_ok());
}

#[test]
fn given_ports_are_completed_as_the_api_server_does() {
    let traffic = json!({
        "stableService": "a", "canaryService": "b",
        "ports": [{"name": "web", "port": 80}, {"name": "grpc", "port": 81, "targetPort": "grpc", "protocol": "UDP", "appProtocol": "h2c"}],
        "routes": [{"grpcRoute": {"name": "r"}}],
    });
    let declared = world().with("/spec/strategy/canary/traffic", &traffic).declare();
    assert!(declared.core.spec.is_ok(), "{:?}", declared.core.spec);
    let ports = json!([
        {"name": "web", "port": 80, "targetPort": 80, "protocol": "TCP"},
        {"name": "grpc", "port": 81, "targetPort": "grpc", "protocol": "UDP", "appProtocol": "h2c"},
    ]);
    assert_eq!(json!(declared.ports.unwrap()), ports);
    assert_eq!(declared.routes[0].kind, RouteKind::GrpcRoute);
}

#[test]
fn routes_keep_their_order_and_the_named_http_routes() {
    let routes = world().declare().routes;
    let kinds: Vec<_> = routes.iter().map(|route| (route.kind, route.name.as_str(), route.only.as_slice())).collect();
    let primary = ["primary".to_owned()];
    assert_eq!(
        kinds,
        [(RouteKind::HttpRoute, "podinfo", &[][..]), (RouteKind::VirtualService, "podinfo", &primary[..])]
    );
}

#[test]
fn an_http_route_of_linkerd_s_group_is_another_kind_of_route() {
    let routes = json!([{"httpRoute": {"name": "a"}}, {"httpRoute": {"name": "a", "group": "policy.linkerd.io"}}]);
    let declared = world().with("/spec/strategy/canary/traffic/routes", &routes).declare();
    assert!(declared.core.spec.is_ok(), "{:?}", declared.core.spec);
    let kinds: Vec<_> = declared.routes.iter().map(|route| route.kind).collect();
    assert_eq!(kinds, [RouteKind::HttpRoute, RouteKind::LinkerdHttpRoute]);
    let targets: Vec<_> = declared.core.targets.routes.iter().map(|target| target.kind.as_str()).collect();
    assert_eq!(targets, ["HTTPRoute", "HTTPRoute.policy.linkerd.io"], "the state tells them apart");
}

#[test]
fn what_is_said_of_all_routes_and_of_the_rules_of_one_is_read() {
    let routes = world().declare().routes;
    let default = (AcceptancePolicy::Any, Settle { weights: seconds(3), endpoints: seconds(3) });
    assert!(routes.iter().all(|route| (route.acceptance, route.settle) == default), "{routes:?}");
    let at = "/spec/strategy/canary/traffic";
    let named =
        json!([{"httpRoute": {"name": "a", "rules": ["main"]}}, {"grpcRoute": {"name": "b", "rules": ["c", "d"]}}]);
    let world = world().with(&format!("{at}/routes"), &named);
    let routes = world
        .with(&format!("{at}/acceptance"), &json!("Ignore"))
        .with(&format!("{at}/settle"), &json!("1m"))
        .declare()
        .routes;
    let only: Vec<_> = routes.iter().map(|route| route.only.join(",")).collect();
    assert_eq!(only, ["main", "c,d"]);
    let settle = Settle { weights: seconds(60), endpoints: seconds(60) };
    assert!(
        routes.iter().all(|route| (route.acceptance, route.settle) == (AcceptancePolicy::Ignore, settle)),
        "{routes:?}"
    );
}

#[test]
fn the_strategy_is_read_with_its_defaults() {
    let spec = world().declare().core.spec.unwrap();
    assert_eq!((spec.settle, spec.drain, spec.progress_deadline), (seconds(3), seconds(30), seconds(600)));
    assert_eq!((spec.revision_history, spec.ready_when), (3, ReadyWhen::Promoted));
    assert_eq!(spec.steps[0], Step::SetWeight(Weight::clamped(5)));
    assert_eq!(spec.steps[1], Step::Pause(Some(seconds(60))));
    assert_eq!(spec.steps[3], Step::Pause(None));
    let Step::Analysis(metrics) = &spec.steps[2] else { panic!("{:?}", spec.steps[2]) };
    let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["p99", "inline"]);
}

#[test]
fn a_metric_is_read_with_its_defaults() {
    let spec = world().declare().core.spec.unwrap();
    let background = spec.background.unwrap();
    assert_eq!(background.starting_step, 0);
    let metric = &background.metrics[0];
    assert_eq!((metric.interval, metric.initial_delay), (seconds(10), Duration::ZERO));
    assert_eq!((metric.window, metric.min_window), (seconds(60), seconds(30)));
    assert_eq!((metric.failure_limit, metric.inconclusive_limit, metric.consecutive_error_limit), (0, 0, 4));
    assert_eq!((metric.on_no_data, metric.on_provider_error), (OnNoData::Hold, OnProviderError::Hold));
    assert_eq!((metric.count, metric.source.timeout()), (None, seconds(10)));
    let Step::Analysis(metrics) = &spec.steps[2] else { panic!("{:?}", spec.steps[2]) };
    assert_eq!(metrics[1].count, Some(1), "in a step one measurement is enough unless more are asked for");
}

#[test]
fn a_metric_is_read_with_all_that_it_says() {
    let spec = world().declare().core.spec.unwrap();
    let Step::Analysis(metrics) = &spec.steps[2] else { panic!("{:?}", spec.steps[2]) };
    let metric = &metrics[0];
    assert_eq!((metric.interval, metric.initial_delay, metric.count), (seconds(90), seconds(5), Some(6)));
    assert_eq!((metric.window, metric.min_window), (seconds(300), seconds(60)));
    assert_eq!((metric.failure_limit, metric.inconclusive_limit, metric.consecutive_error_limit), (1, 2, 3));
    assert_eq!((metric.on_no_data, metric.on_provider_error), (OnNoData::Fail, OnProviderError::Pause));
    assert_eq!(metric.success.as_ref().unwrap().as_str(), "value < 0.5");
    assert_eq!((metric.source.prometheus().unwrap().address.as_ref(), metric.source.timeout()), (None, seconds(2)));
    assert_eq!(metric.source.query(), "p99{rollout=\"podinfo\"}");
}

#[test]
fn queries_have_arguments_and_names_filled_in_and_the_rest_left_for_each_question() {
    let spec = world().declare().core.spec.unwrap();
    let metric = &spec.background.unwrap().metrics[0];
    let query = "rate{rev=\"{{canary.hash}}\",svc=\"podinfo-canary\",stable=\"podinfo-stable\"}[{{window}}] > 0.95";
    assert_eq!(metric.source.query(), query);
    assert_eq!(metric.args["threshold"], "0.95", "what the Rollout gives counts before the template's own value");
    let world = world().with("/spec/strategy/canary/analysis/args", &json!(null));
    assert_eq!(world.declare().core.spec.unwrap().background.unwrap().metrics[0].args["threshold"], "0.99");
}

#[test]
fn secrets_are_in_the_rollout_s_namespace_or_for_the_cluster_s_templates_in_the_operator_s() {
    let spec = world().declare().core.spec.unwrap();
    let bearer = Auth {
        scheme: AuthScheme::Bearer("token".to_owned()),
        namespace: "shop".to_owned(),
        secret: "prom".to_owned(),
    };
    assert_eq!(spec.background.unwrap().metrics[0].source.prometheus().unwrap().auth, Some(bearer));
    let Step::Analysis(metrics) = &spec.steps[2] else { panic!("{:?}", spec.steps[2]) };
    let basic = Auth {
        scheme: AuthScheme::Basic { username: "username".to_owned(), password: "password".to_owned() },
        namespace: "leadsman-system".to_owned(),
        secret: "prom".to_owned(),
    };
    assert_eq!(metrics[0].source.prometheus().unwrap().auth, Some(basic));
}

#[test]
fn background_analysis_starts_with_the_first_step_that_has_traffic() {
    let steps = json!([{"pause": {}}, {"setWeight": 0}, {"setWeight": 1}]);
    let spec = world().with("/spec/strategy/canary/steps", &steps).declare().core.spec.unwrap();
    assert_eq!(spec.background.unwrap().starting_step, 2);
    let world = world().with("/spec/strategy/canary/analysis/startingStep", &json!(3));
    assert_eq!(world.declare().core.spec.unwrap().background.unwrap().starting_step, 3);
}
