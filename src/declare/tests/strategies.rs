//! Both strategies as the core gets them: what carries the traffic, the steps, and what they keep.

use std::time::Duration;

use leadsman_core::spec::{CanaryScale, Reason, Spec, Step};
use leadsman_core::traffic::{Amount, Carrier, Strategy, Targets, Weight};
use serde_json::{Value, json};

use super::super::TemplateRef;
use super::wrong::refused;
use super::{World, world};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The Rollout with another strategy.
fn of(strategy: &Value) -> World {
    world().with("/spec/strategy", strategy)
}

fn sound(strategy: &Value) -> (Targets, Spec) {
    let core = of(strategy).declare().core;
    (core.targets, core.spec.unwrap_or_else(|problem| panic!("{}: {strategy}", problem.message)))
}

fn blue_green(more: &Value) -> Value {
    let mut blue_green = json!({"activeService": "shop"});
    let members = more.as_object().unwrap().clone();
    blue_green.as_object_mut().unwrap().extend(members);
    json!({"blueGreen": blue_green})
}

fn route() -> Value {
    json!([{"httpRoute": {"name": "shop"}}])
}

#[test]
fn what_is_left_out_says_what_carries_the_traffic() {
    let steps = || json!([{"setWeight": 25}]);
    let canary = |traffic: Value| json!({"canary": {"traffic": traffic, "steps": steps()}});
    for (strategy, carrier, named, services, parent) in [
        (json!({"canary": {"steps": steps()}}), Carrier::Pods, Strategy::Canary, ["", ""], None),
        (canary(json!({"service": "shop"})), Carrier::Service, Strategy::Canary, ["shop", "shop-canary"], None),
        (
            canary(json!({"service": "shop", "canaryService": "next"})),
            Carrier::Service,
            Strategy::Canary,
            ["shop", "next"],
            None,
        ),
        (
            canary(json!({"service": "shop", "routes": route()})),
            Carrier::Routes,
            Strategy::Canary,
            ["shop-stable", "shop-canary"],
            Some("shop"),
        ),
        (blue_green(&json!({})), Carrier::Service, Strategy::BlueGreen, ["shop", "shop-preview"], None),
        (
            blue_green(&json!({"previewService": "next", "routes": route(), "service": "all"})),
            Carrier::Routes,
            Strategy::BlueGreen,
            ["shop", "next"],
            Some("all"),
        ),
    ] {
        let declared = of(&strategy).declare();
        let targets = &declared.core.targets;
        assert!(declared.core.spec.is_ok(), "{strategy}: {:?}", declared.core.spec);
        assert_eq!((targets.carrier, targets.strategy), (carrier, named), "{strategy}");
        assert_eq!([&*targets.stable_service, &*targets.canary_service], services, "{strategy}");
        assert_eq!(declared.service.as_deref(), parent, "{strategy}");
        assert_eq!(declared.routes.len(), targets.routes.len());
    }
}

#[test]
fn blue_green_is_a_list_of_steps() {
    let whole = Step::Scale(CanaryScale::Percent(Weight::FULL));
    let (one, full) = (Step::Scale(CanaryScale::Replicas(1)), Step::SetWeight(Weight::FULL));
    let analysis = || json!({"metrics": [super::inline()]});
    let Step::Analysis(measured) = &world().declare().core.spec.unwrap().steps[2] else { panic!("an analysis") };
    let asked = Step::Analysis(vec![measured[1].clone()]);
    for (more, steps) in [
        (json!({}), vec![whole.clone(), full.clone()]),
        (json!({"previewReplicas": 1}), vec![one.clone(), whole.clone(), full.clone()]),
        (
            json!({"autoPromotionAfter": "10m", "prePromotionAnalysis": analysis()}),
            vec![whole.clone(), asked.clone(), Step::Pause(Some(seconds(600))), full.clone()],
        ),
        (
            json!({"previewReplicas": 1, "autoPromotion": false, "postPromotionAnalysis": analysis()}),
            vec![one, Step::Pause(None), whole, full, asked],
        ),
    ] {
        let (_, spec) = sound(&blue_green(&more));
        assert_eq!(spec.steps, steps, "{more}");
        assert_eq!((spec.keep_stable, spec.background), (Weight::FULL, None));
    }
}

#[test]
fn blue_green_keeps_both_selected_for_a_while_and_the_old_one_warm() {
    let of = |more: Value| {
        let (_, spec) = sound(&blue_green(&more));
        (spec.overlap, spec.keep_warm, spec.drain)
    };
    assert_eq!(of(json!({})), (seconds(3), seconds(30), seconds(30)));
    assert_eq!(of(json!({"overlap": "60s", "scaleDownDelay": "10m"})), (seconds(60), seconds(600), seconds(30)));
    let routed = json!({"routes": route(), "service": "all", "drain": "5s"});
    assert_eq!(of(routed), (Duration::ZERO, seconds(5), seconds(5)));
}

#[test]
fn sizes_of_a_canary_are_read() {
    let (_, spec) = sound(&json!({"canary": {
        "traffic": {"service": "shop", "keepWarm": "10m"},
        "keepStable": "50%", "podsAtOnce": "25%", "minCanaryPods": 2,
        "steps": [
            {"setCanaryScale": {"replicas": 3}}, {"setWeight": 80}, {"setCanaryScale": {"weight": 50}},
            {"setCanaryScale": {"matchTrafficWeight": true}},
        ],
    }}));
    assert_eq!((spec.keep_warm, spec.keep_stable.percent(), spec.least_canary), (seconds(600), 50, 2));
    assert_eq!(spec.pods_at_once, Some(Amount::Percent(Weight::clamped(25))));
    let steps = [
        Step::Scale(CanaryScale::Replicas(3)),
        Step::SetWeight(Weight::clamped(80)),
        Step::Scale(CanaryScale::Percent(Weight::HALF)),
        Step::Scale(CanaryScale::MatchTraffic),
    ];
    assert_eq!(spec.steps, steps);
    let (_, spec) = sound(&json!({"canary": {"podsAtOnce": 2, "steps": [{"setWeight": 50}]}}));
    assert_eq!((spec.pods_at_once, spec.drain), (Some(Amount::Pods(2)), Duration::ZERO));
}

#[test]
fn how_much_is_enough_and_what_comes_back_are_the_rollout_s() {
    let spec = world().declare().core.spec.unwrap();
    assert_eq!((spec.ready_threshold, spec.rollback_window), (Weight::FULL, 0));
    let world = world().with("/spec/readyThreshold", &json!("90%"));
    let spec = world.with("/spec/rollbackWindow", &json!({"revisions": 2})).declare().core.spec.unwrap();
    assert_eq!((spec.ready_threshold.percent(), spec.rollback_window), (90, 2));
}

#[test]
fn templates_of_both_promotion_analyses_are_referred_to() {
    let named =
        |name: &str, cluster_scope: bool| json!({"templates": [{"templateName": name, "clusterScope": cluster_scope}]});
    let strategy = blue_green(&json!({
        "prePromotionAnalysis": named("success-rate", false), "postPromotionAnalysis": named("latency", true),
    }));
    let declared = of(&strategy).declare();
    let template = |name: &str, cluster_scope| TemplateRef { template_name: name.to_owned(), cluster_scope };
    assert_eq!(declared.refers_to, [template("success-rate", false), template("latency", true)]);
    let spec = declared.core.spec.unwrap();
    let Step::Analysis(metrics) = &spec.steps[1] else { panic!("{:?}", spec.steps) };
    assert!(
        metrics[0].source.query().contains("svc=\"shop-preview\",stable=\"shop\""),
        "{}",
        metrics[0].source.query()
    );
}

#[test]
fn what_is_wrong_with_blue_green_is_named_with_its_field() {
    for (more, words) in [
        (json!({"previewService": "shop"}), "blueGreen.previewService must be another Service than activeService"),
        (json!({"service": "all"}), "blueGreen.service must be left out without routes"),
        (json!({"routes": route()}), "spec.strategy.blueGreen must have service or ports"),
        (json!({"routes": [], "service": "all"}), "spec.strategy.blueGreen.routes is empty"),
        (json!({"routes": [{}], "service": "all"}), "spec.strategy.blueGreen.routes[0] must have exactly one of"),
        (
            json!({"routes": route(), "service": "shop-preview"}),
            "blueGreen.previewService must not be service, shop-preview",
        ),
        (
            json!({"routes": route(), "service": "all", "overlap": "3s"}),
            "blueGreen.overlap must be left out with routes",
        ),
        (
            json!({"routes": [route()[0], {"grpcRoute": {"name": "shop"}}, route()[0]], "service": "all"}),
            "spec.strategy.blueGreen.routes[2] names HTTPRoute shop for the second time",
        ),
        (
            json!({"ports": [{"name": "http", "port": 80}, {"port": 81}]}),
            "spec.strategy.blueGreen.ports[1] must have a name",
        ),
        (
            json!({"activeService": "a".repeat(56)}),
            "spec.strategy.blueGreen.previewService must be no more than 63 characters",
        ),
        (json!({"overlap": "soon"}), "spec.strategy.blueGreen.overlap: \"soon\" is not a duration"),
        (json!({"previewReplicas": 0}), "blueGreen.previewReplicas must be at least 1, not 0"),
        (json!({"podsAtOnce": "some"}), "blueGreen.podsAtOnce: \"some\" is not a percentage"),
        (
            json!({"autoPromotion": false, "autoPromotionAfter": "1m"}),
            "blueGreen.autoPromotionAfter must be left out where autoPromotion is false",
        ),
    ] {
        refused(&of(&blue_green(&more)), Reason::InvalidSpec, words);
    }
    let words = "spec.strategy.blueGreen.prePromotionAnalysis must have templates or metrics";
    refused(&of(&blue_green(&json!({"prePromotionAnalysis": {}}))), Reason::InvalidAnalysis, words);
    let mut both = blue_green(&json!({}));
    both["canary"] = json!({"traffic": {"service": "shop"}, "steps": [{"setWeight": 1}]});
    refused(&of(&both), Reason::InvalidSpec, "spec.strategy must have exactly one of: canary, blueGreen");
}

#[test]
fn what_is_wrong_with_a_canary_without_routes_is_named_with_its_field() {
    let plain = |steps: Value| json!({"canary": {"traffic": {"service": "shop"}, "steps": steps}});
    let step = |step: Value| plain(json!([step]));
    for (strategy, words) in [
        (
            json!({"canary": {"traffic": {"canaryService": "next"}, "steps": []}}),
            "traffic must have service, whose selector carries the traffic",
        ),
        (
            json!({"canary": {"traffic": {"service": "shop", "stableService": "old"}, "steps": []}}),
            "traffic.stableService must be left out without routes",
        ),
        (
            json!({"canary": {"traffic": {"service": "shop", "canaryService": "shop"}, "steps": []}}),
            "traffic.canaryService must not be service, shop",
        ),
        (
            json!({"canary": {"traffic": {"service": "a".repeat(64), "canaryService": "next"}, "steps": []}}),
            "traffic.service must be no more than 63 characters",
        ),
        (step(json!({"setWeight": 51})), "steps[0].setWeight is 51: stable stays whole"),
        (step(json!({"setCanaryScale": {}})), "steps[0].setCanaryScale must have exactly one of: replicas, weight"),
        (step(json!({"setCanaryScale": {"replicas": 0}})), "setCanaryScale.replicas must be at least 1"),
        (
            step(json!({"setCanaryScale": {"weight": 101}})),
            "setCanaryScale.weight must be a whole number from 0 to 100",
        ),
    ] {
        refused(&of(&strategy), Reason::InvalidSpec, words);
    }
    assert!(sound(&plain(json!([{"setWeight": 50}, {"setWeight": 100}]))).1.steps.len() == 2);
    let canary = |more: (&str, Value)| {
        let mut strategy = json!({"canary": {"steps": [{"setWeight": 50}]}});
        strategy["canary"][more.0] = more.1;
        strategy
    };
    for (more, words) in [
        (("keepStable", json!("half")), "spec.strategy.canary.keepStable: \"half\" is not a percentage"),
        (("podsAtOnce", json!(0)), "spec.strategy.canary.podsAtOnce must be at least 1, not 0"),
        (("podsAtOnce", json!("0%")), "spec.strategy.canary.podsAtOnce must be at least 1 pod or 1%"),
        (("minCanaryPods", json!(0)), "spec.strategy.canary.minCanaryPods must be at least 1, not 0"),
        (("steps", json!([{"setCanaryScale": {"replicas": 1}}])), "has setCanaryScale, and there is no traffic"),
        (("steps", json!([{"setWeight": 99}])), "for more, set keepStable"),
    ] {
        let strategy = canary(more);
        let problem = of(&strategy).declare().core.spec.expect_err("is refused");
        assert!(problem.message.contains(words), "{:?} does not say {words:?}", problem.message);
    }
    let query = json!({"prometheus": {"query": "up{svc=\"{{canary.service}}\"}"}});
    let metrics = json!({"metrics": [{"name": "up", "successCondition": "value > 0.0", "provider": query}]});
    let problem = of(&canary(("analysis", metrics))).declare().core.spec.expect_err("workers have no Service");
    assert!(problem.message.contains("query names {{canary.service}}"), "{}", problem.message);
}

#[test]
fn a_threshold_or_a_window_that_is_none_is_named() {
    let window = json!({"revisions": 0});
    for (pointer, value, words) in [
        ("/spec/readyThreshold", json!("90"), "spec.readyThreshold: \"90\" is not a percentage"),
        ("/spec/rollbackWindow", window, "spec.rollbackWindow.revisions must be at least 1, not 0"),
    ] {
        refused(&world().with(pointer, &value), Reason::InvalidSpec, words);
    }
}
