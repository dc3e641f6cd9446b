//! Declarations with something wrong: the first thing is named, and what a rollback needs is there all the same.

use leadsman_core::spec::{Problem, Reason};
use serde_json::{Value, json};

use super::{World, world};

fn problem(world: &World) -> Problem {
    let declared = world.declare();
    assert_eq!(declared.core.name, "podinfo");
    assert_eq!(u64::from(declared.core.replicas), world.rollout["spec"]["replicas"].as_u64().unwrap_or(1));
    assert!(!declared.core.targets.stable_service.is_empty() && !declared.core.targets.canary_service.is_empty());
    declared.core.spec.expect_err("is refused")
}

pub(super) fn refused(world: &World, reason: Reason, words: &str) {
    let problem = problem(world);
    assert_eq!(problem.reason, reason, "{}", problem.message);
    assert!(problem.message.contains(words), "{:?} does not say {words:?}", problem.message);
}

#[test]
fn what_is_wrong_with_the_rollout_is_named_with_its_field() {
    let canary = "/spec/strategy/canary";
    for (pointer, value, words) in [
        ("/spec/replicas", json!(-1), "spec.replicas must not be negative"),
        ("/spec/selector/matchLabels", json!({"app": "other"}), "must have the selector's label app: other"),
        ("/spec/selector/matchLabels", json!({}), "spec.selector.matchLabels must not be empty"),
        ("/spec/progressDeadlineSeconds", json!(5), "spec.progressDeadlineSeconds must be greater"),
        ("/spec/strategy/canary", json!(null), "spec.strategy must have exactly one of: canary"),
        (&format!("{canary}/steps"), json!([]), "steps: the first step that is not a pause must be a setWeight"),
        (&format!("{canary}/steps"), json!([{"pause": {}}]), "steps: the first step that is not a pause"),
        (
            &format!("{canary}/steps/0"),
            json!({}),
            "steps[0] must have exactly one of: setWeight, setCanaryScale, pause, analysis",
        ),
        (&format!("{canary}/steps/0"), json!({"setWeight": 1, "pause": {}}), "steps[0] must have exactly one of"),
        (
            &format!("{canary}/steps/0/setWeight"),
            json!(101),
            "steps[0].setWeight must be a whole number from 0 to 100, not 101",
        ),
        (&format!("{canary}/steps/0/setWeight"), json!(-1), "not -1"),
        (&format!("{canary}/steps/1/pause/duration"), json!("1d"), "steps[1].pause.duration: \"1d\" is not a duration"),
        (
            &format!("{canary}/traffic/settle"),
            json!("soon"),
            "spec.strategy.canary.traffic.settle: \"soon\" is not a duration",
        ),
        (&format!("{canary}/traffic/routes"), json!([]), "traffic.routes is empty"),
        (&format!("{canary}/traffic/routes/0"), json!({}), "traffic.routes[0] must have exactly one of"),
        (
            &format!("{canary}/traffic/service"),
            json!(null),
            "must have service, or ports, stableService and canaryService",
        ),
        (&format!("{canary}/traffic/canaryService"), json!("podinfo"), "canaryService must not be service, podinfo"),
        (
            &format!("{canary}/traffic/canaryService"),
            json!("podinfo-stable"),
            "must be another Service than stableService",
        ),
    ] {
        refused(&world().with(pointer, &value), Reason::InvalidSpec, words);
    }
    let mut long = world();
    let name = "x".repeat(53);
    long.rollout["metadata"]["name"] = json!(name);
    assert!(long.declare().core.spec.unwrap_err().message.contains("no more than 52 characters"));
}

#[test]
fn what_is_wrong_with_a_metric_is_named_with_its_template() {
    let prometheus = "/provider/prometheus";
    for (pointer, value, words) in [
        ("/interval", json!("500ms"), "interval is 500ms: it must be at least 1s"),
        ("/interval", json!("often"), "interval \"often\" is not a duration"),
        ("/window", json!("0s"), "window is 0s"),
        ("/count", json!(0), "count must be at least 1"),
        ("/failureLimit", json!(-1), "failureLimit is -1: it must not be negative"),
        ("/successCondition", json!(null), "successCondition and failureCondition are both missing"),
        ("/successCondition", json!("value >= "), "successCondition \"value >= \" is not usable"),
        ("/successCondition", json!("value > double(args.limit)"), "is not usable"),
        ("/provider", json!({}), "provider must have exactly one of: prometheus"),
        (&format!("{prometheus}/timeout"), json!("0s"), "timeout is 0s"),
        (&format!("{prometheus}/timeout"), json!("31s"), "timeout is 31s: it must be at most 30s"),
        ("/successCondition", json!("result.all(a, result.all(b, b > a))"), "takes too much with 1000 samples"),
        (&format!("{prometheus}/query"), json!(" "), "query is empty"),
        (
            &format!("{prometheus}/query"),
            json!("up{{revision.hash}}"),
            "query names {{revision.hash}}, which is not known here",
        ),
        (&format!("{prometheus}/query"), json!("up{{args.job}}"), "query names {{args.job}}"),
        (&format!("{prometheus}/address"), json!("prometheus:9090"), "address is not usable: write http://host:port"),
        (&format!("{prometheus}/address"), json!("ftp://prometheus"), "address is not usable"),
        (&format!("{prometheus}/address"), json!("http://u:p@prometheus"), "put the credentials into a Secret"),
        (&format!("{prometheus}/address"), json!("http://prometheus?a=b"), "leave out everything from ? or #"),
        (
            &format!("{prometheus}/headers"),
            json!([{"key": "a b", "value": ""}]),
            "headers (a b) is not the name of a header",
        ),
        (&format!("{prometheus}/headers"), json!([{"key": "a", "value": "\n"}]), "has a value that no header can have"),
        (&format!("{prometheus}/headers"), json!([{"key": "Host", "value": "x"}]), "is set by the request itself"),
        (
            &format!("{prometheus}/headers"),
            json!([{"key": "authorization", "value": "x"}]),
            "stands beside authentication",
        ),
        (&format!("{prometheus}/authentication"), json!({}), "authentication must have exactly one of: bearer, basic"),
    ] {
        let world = world().metric(pointer, &value);
        refused(&world, Reason::InvalidAnalysis, words);
        assert!(problem(&world).message.starts_with("AnalysisTemplate success-rate: metric success-rate: "));
    }
}

#[test]
fn what_is_wrong_with_an_analysis_says_what_to_do() {
    let analysis = "/spec/strategy/canary/analysis";
    let step = "/spec/strategy/canary/steps/2/analysis";
    for (pointer, value, words) in [
        (
            format!("{analysis}/templates"),
            json!([{"templateName": "gone"}]),
            "AnalysisTemplate gone does not exist: create it, or take it out of spec.strategy.canary.analysis.templates[0]",
        ),
        (
            format!("{analysis}/templates"),
            json!([{"templateName": "success-rate", "clusterScope": true}]),
            "ClusterAnalysisTemplate success-rate does not exist",
        ),
        (format!("{analysis}/templates"), json!([]), "analysis.args: no template here takes threshold; they take none"),
        (analysis.to_owned(), json!({}), "spec.strategy.canary.analysis must have templates or metrics"),
        (format!("{analysis}/startingStep"), json!(4), "startingStep is 4, but the 4 steps count from 0"),
        (
            format!("{analysis}/args"),
            json!([{"name": "threshhold", "value": "1"}]),
            "no template here takes threshhold; they take threshold",
        ),
        (
            format!("{analysis}/args"),
            json!([{"name": "threshold", "value": "{{window}}"}]),
            "argument threshold must not contain {{",
        ),
        (
            format!("{step}/metrics/0/name"),
            json!("p99"),
            "has two metrics named p99, of ClusterAnalysisTemplate latency and of spec.strategy.canary.steps[2].analysis.metrics[0] (p99)",
        ),
        (
            format!("{step}/metrics/0/interval"),
            json!("x"),
            "spec.strategy.canary.steps[2].analysis.metrics[0] (inline): interval \"x\"",
        ),
    ] {
        refused(&world().with(&pointer, &value), Reason::InvalidAnalysis, words);
    }
    let mut needy = world();
    needy.success_rate["args"] = json!([{"name": "threshold"}, {"name": "job"}]);
    let words = "AnalysisTemplate success-rate: its argument job has no value: give it one in spec.strategy.canary.analysis.args";
    refused(&needy, Reason::InvalidAnalysis, words);
}

/// A hundred metrics of the same template, from a Rollout of a few lines.
#[test]
fn more_metrics_than_a_status_can_hold_are_refused_with_their_number_or_their_size() {
    let steps = |count: usize| {
        let analysis = json!({"analysis": {"templates": [{"templateName": "success-rate"}]}});
        json!([vec![json!({"setWeight": 5})], vec![analysis; count]].concat())
    };
    let pointer = "/spec/strategy/canary/steps";
    let world_of = |count| world().with(pointer, &steps(count));
    assert!(world_of(63).declare().core.spec.is_ok(), "64 with the one beside the steps");
    let problem = problem(&world_of(64));
    assert!(problem.reason == Reason::InvalidAnalysis, "{problem:?}");
    assert!(problem.message.contains("has more than 64 metrics"), "{}", problem.message);
    assert!(problem.message.starts_with("AnalysisTemplate success-rate: metric success-rate"), "{}", problem.message);

    let long = json!(format!("sum(up{{{{canary.hash}}}}) or vector({})", "1".repeat(8_000)));
    let large = |count| world_of(count).metric("/provider/prometheus/query", &long);
    assert!(large(6).declare().core.spec.is_ok());
    refused(&large(8), Reason::InvalidAnalysis, "take more than 64 KiB together");
    refused(&large(8), Reason::InvalidAnalysis, "shorten queries");

    let costly = json!("result.all(a, a < 1.0 || a < 1.1 || a < 1.2 || a < 1.3 || a < 1.4 || a < 1.5 || a < 1.6)");
    let costly = |count| world_of(count).metric("/successCondition", &costly);
    assert!(costly(10).declare().core.spec.is_ok());
    refused(&costly(63), Reason::InvalidAnalysis, "take more than 1000000 steps together");
}

#[test]
fn what_a_template_says_is_told_on_one_line() {
    let message = problem(&world().metric("/successCondition", &json!("value >\n\u{1b}[2J 'x\u{202e}'"))).message;
    assert!(!message.contains(['\n', '\u{1b}', '\u{202e}']), "{message:?}");
    let message = problem(&world().metric("/name", &json!("a\nlevel=error")).metric("/count", &json!(0))).message;
    assert!(message.contains("metric a level=error: count must be at least 1"), "{message:?}");
}

#[test]
fn a_declared_route_that_cannot_be_split_is_found_before_it_is_created() {
    let spec = json!({"rules": [{"backendRefs": [{"name": "podinfo-canary", "port": 80}]}]});
    let route = json!({"httpRoute": {"name": "podinfo", "spec": spec}});
    let world = world().with("/spec/strategy/canary/traffic/routes/0", &route);
    refused(
        &world,
        Reason::InvalidRoute,
        "HTTPRoute podinfo: spec.rules[0] names podinfo-canary without podinfo-stable",
    );
    assert!(world.declare().routes[0].spec.is_some());
}

#[test]
fn a_command_that_is_none_is_kept_to_be_refused() {
    let world = world().with("/metadata/annotations", &json!({"leadsman.dev/command": "advance/h/1"}));
    assert!(world.declare().core.command.unwrap().is_err());
}

#[test]
fn a_name_beside_a_command_is_one_line_and_bounded() {
    let by = |name: &str| {
        let world = world().with("/metadata/annotations", &json!({"leadsman.dev/command-by": name}));
        world.declare().core.commander
    };
    let commander = by("alice\n").unwrap();
    assert_eq!((&*commander.name, commander.verified), ("alice", false));
    let long = by(&"a".repeat(9000)).unwrap().name;
    assert!(long.starts_with(&"a".repeat(200)) && long.chars().count() < 300, "{long}");
    assert_eq!(by(" "), None);
}

#[test]
fn a_rollout_without_anything_is_refused_and_read_all_the_same() {
    let bare: Value = json!({
        "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"matchLabels": {}}, "template": null, "strategy": {}},
    });
    let world = World { rollout: bare, ..world() };
    let declared = world.declare();
    assert!(declared.core.spec.is_err());
    assert_eq!((declared.core.targets.stable_service.as_str(), declared.routes.len()), ("podinfo-stable", 0));
}
