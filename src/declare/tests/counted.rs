//! Proportions: what is counted of what people name, and of what meshes count by themselves.

use leadsman_core::analysis::Reporter;
use leadsman_core::analysis::metric::Metric;
use leadsman_core::analysis::proportion::{Limit, Share, Unit};
use leadsman_core::spec::Problem;
use serde_json::{Value, json};

use super::world;

/// The metric of the template success-rate with these fields in place of its own.
fn read(fields: &Value) -> Result<Metric, Problem> {
    let mut world = world();
    let mut metric = json!({"name": "errors"});
    for (name, value) in fields.as_object().unwrap() {
        metric[name] = value.clone();
    }
    world.success_rate["metrics"][0] = metric;
    let spec = world.declare().core.spec?;
    Ok(spec.background.unwrap().metrics[0].clone())
}

fn counted(fields: &Value) -> Metric {
    read(fields).unwrap()
}

fn refused(fields: &Value) -> String {
    read(fields).unwrap_err().message
}

#[test]
fn a_quantile_is_a_share_of_slow_requests() {
    let histogram = "http_request_duration_seconds{revision=\"{{revision.hash}}\"}";
    let metric = counted(&json!({
        "proportion": {"latency": {"histogram": histogram, "max": "500ms", "quantile": 0.99}}
    }));
    let proportion = metric.proportion.unwrap();
    assert_eq!(proportion.limit, Some(Limit { max: Share(10_000), pass_below: Share(20_000) }));
    let latency = proportion.latency.clone().unwrap();
    assert_eq!((latency.unit, latency.boundary().to_string().as_str()), (Unit::Seconds, "0.5"));
    assert_eq!(proportion.told(), "1% slower than 500 ms (p99 <= 500 ms)");
    assert_eq!((proportion.hard_failure, metric.initial_delay.as_secs()), (0, 30), "cold starts are slow");
    let query = metric.source.query();
    assert!(query.contains("last_over_time(http_request_duration_seconds_bucket{revision=\"{{canary.hash}}\"}[10m])"));
    assert!(query.contains("http_request_duration_seconds_count{revision=\"{{stable.hash}}\"}"), "{query}");
}

#[test]
fn a_native_histogram_is_asked_for_whole_intervals() {
    let latency =
        json!({"histogram": "took{r=\"{{revision.hash}}\"}", "max": "250ms", "unit": "Seconds", "native": true});
    let metric = counted(&json!({"proportion": {"latency": latency, "max": "5%"}}));
    let all = "sum(increase(took{r=\"{{canary.hash}}\"}[{{window}}]))";
    let within = format!("(histogram_count({all}) * histogram_fraction(0, 0.25, {all})) >= 0");
    assert!(metric.source.query().contains(&within), "{}", metric.source.query());
    assert_eq!(metric.interval.as_secs(), 30);
}

#[test]
fn a_histogram_that_cannot_be_asked_is_refused_with_what_to_write() {
    let of = |latency: Value| refused(&json!({"proportion": {"latency": latency, "max": "1%"}}));
    for (latency, said) in [
        (json!({"histogram": "took", "max": "1s"}), "give Seconds or Milliseconds"),
        (json!({"histogram": "took_seconds_bucket{a=\"b\"}", "max": "1s"}), "leave out _bucket"),
        (json!({"histogram": "{a=\"b\"}", "max": "1s"}), "must be the name of a histogram"),
        (json!({"histogram": "sum(took_seconds)", "max": "1s", "unit": "Seconds"}), "must be a counter"),
        (json!({"histogram": "took_seconds", "max": "0s"}), "must be at least"),
    ] {
        let message = of(latency);
        assert!(message.contains(said), "{message}");
    }
    let quantile = json!({"histogram": "took_seconds", "max": "1s", "quantile": 0.3});
    let message = refused(&json!({"proportion": {"latency": quantile}}));
    assert!(message.contains("must be from 0.5 to 0.9999, like 0.99"), "{message}");
}

#[test]
fn a_builtin_is_a_proportion_whose_counters_are_known() {
    let metric = counted(&json!({
        "builtin": {"istio": {"requestSuccessRate": {"min": "99.5%"}}},
        "proportion": {"against": {"stable": {"margin": "0.5%"}}, "confidence": "99%"},
    }));
    let proportion = metric.proportion.unwrap();
    assert_eq!(proportion.limit.map(|limit| limit.max), Some(Share(5000)));
    assert!(proportion.against.is_some() && proportion.confidence == Share(990_000) && proportion.traffic_share);
    let reporters: Vec<_> = proportion.by.iter().map(|(reporter, _)| *reporter).collect();
    assert_eq!(reporters, [Reporter::Waypoint, Reporter::Source, Reporter::Destination]);
    let (_, by_source) = &proportion.by[1];
    let of_source = "istio_requests_total{reporter=\"source\",destination_service_name=\"podinfo-canary\",\
                     destination_service_namespace=\"shop\",response_code=~\"5..\"}";
    assert!(by_source.contains(of_source) && by_source.contains("\"podinfo-stable\""), "{by_source}");
    let (_, by_destination) = &proportion.by[2];
    assert!(by_destination.contains("destination_workload=\"podinfo-{{canary.hash}}\""), "{by_destination}");
    assert!(proportion.baseline.contains("\"stable total by waypoint\""), "{}", proportion.baseline);
}

#[test]
fn one_reporter_may_be_named_and_latencies_have_the_unit_of_each() {
    let duration = json!({"requestDuration": {"quantile": 0.95, "max": "1s"}});
    let metric = counted(&json!({"builtin": {"linkerd": duration}}));
    let latency = metric.proportion.unwrap().latency.unwrap();
    let boundary = |reporter| latency.of(Some(reporter)).boundary().to_string();
    assert_eq!([Reporter::Route, Reporter::Inbound].map(boundary), ["1", "1000"]);
    let mut inbound = duration;
    inbound["reporter"] = json!("inbound");
    let metric = counted(&json!({"builtin": {"linkerd": inbound}}));
    assert_eq!(metric.proportion.unwrap().by.len(), 1);
    assert!(metric.source.query().contains("response_latency_ms_bucket{direction=\"inbound\""));
}

#[test]
fn an_envoy_is_asked_by_the_names_of_its_clusters() {
    let envoy =
        |cluster: &str| json!({"builtin": {"envoy": {"requestSuccessRate": {"min": "99%"}, "cluster": cluster}}});
    let metric = counted(&envoy("outbound[|].*[|]{{revision.service}}[.]{{namespace}}[.].*"));
    let bad = "envoy_cluster_upstream_rq_xx{envoy_cluster_name=~\"outbound[|].*[|]podinfo-canary[.]shop[.].*\",\
               envoy_response_code_class=\"5\"}";
    assert!(metric.source.query().contains(bad), "{}", metric.source.query());
    assert!(refused(&envoy("shop")).contains("must name {{revision.service}}"));
    assert!(refused(&envoy("a\\|{{revision.service}}")).contains("backslashes"));
}

#[test]
fn a_success_rate_of_everything_or_nothing_is_refused() {
    for min in ["100%", "0%", "99.995%"] {
        let message = refused(&json!({"builtin": {"istio": {"requestSuccessRate": {"min": min}}}}));
        assert!(message.contains("99.99%"), "{message}");
    }
}

#[test]
fn without_services_only_the_proxies_of_pods_tell_revisions_apart() {
    let worker = |builtin: Value| {
        let mut world = world();
        let canary = json!({
            "analysis": {"metrics": [{"name": "errors", "builtin": builtin}]},
            "steps": [{"setWeight": 25}],
        });
        world.rollout["spec"]["strategy"] = json!({"canary": canary});
        world.declare().core.spec.map(|spec| spec.background.unwrap().metrics[0].clone())
    };
    let istio = worker(json!({"istio": {"requestSuccessRate": {"min": "99%"}}})).unwrap();
    assert_eq!(istio.proportion.unwrap().by[0].0, Reporter::Destination);
    let envoy = json!({"envoy": {"requestSuccessRate": {"min": "99%"}, "cluster": "{{revision.service}}"}});
    assert!(worker(envoy).unwrap_err().message.contains("tells revisions apart by their Services"));
}
