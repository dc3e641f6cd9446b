//! Metrics that need no query: the counters of meshes and gateways, as their documentation and their sources name them.
//!
//! Who sees more comes first: a request that reached no pod is counted only where it was sent. Exactly one reporter is asked,
//! since a request that passes two proxies is counted by each.

use leadsman_api::{Builtin, RequestDuration, SuccessRate};
use leadsman_core::analysis::Reporter;
use leadsman_core::analysis::proportion::queries::{Part, Selectors};
use leadsman_core::analysis::proportion::{Latency, Share, Unit};
use leadsman_core::spec::Problem;

use super::counters::{Counting, quantile_of, selectors, slower};
use super::metric::Reading;
use super::proportion::{LEAST, share};

/// Codes of gRPC that are the fault of who answers, as Istio writes them (google.rpc.Code).
const GRPC_NUMBERS: &str = "2|4|12|13|14|15";
/// The same as Linkerd does.
const GRPC_NAMES: &str = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS";

/// What one reporter counts.
pub struct Source {
    /// Who.
    pub reporter: Option<Reporter>,
    /// Counters of the requests that failed.
    pub bad: Vec<String>,
    /// Counters of all requests.
    pub total: Vec<String>,
    /// The histogram of how long they took: series before its matchers, matchers, unit.
    pub duration: (String, String, Unit),
}

/// Istio's standard metrics (istio.io, reference/config/metrics).
pub fn istio() -> Vec<Source> {
    let of = |reporter: Reporter| {
        let whose = match reporter {
            // The workload is the ReplicaSet: the pods have no label of a Deployment or of Argo Rollouts to be named by.
            Reporter::Destination => {
                "destination_workload=\"{{revision.workload}}\",destination_workload_namespace=\"{{namespace}}\""
            }
            _ => "destination_service_name=\"{{revision.service}}\",destination_service_namespace=\"{{namespace}}\"",
        };
        let matchers = format!("reporter=\"{}\",{whose}", reporter.as_str());
        let requests = |more: &str| format!("istio_requests_total{{{matchers}{more}}}");
        Source {
            reporter: Some(reporter),
            bad: vec![
                requests(",response_code=~\"5..\""),
                requests(&format!(",response_code!~\"5..\",grpc_response_status=~\"{GRPC_NUMBERS}\"")),
            ],
            total: vec![requests("")],
            duration: ("istio_request_duration_milliseconds".to_owned(), format!("{{{matchers}}}"), Unit::Milliseconds),
        }
    };
    [Reporter::Waypoint, Reporter::Source, Reporter::Destination].into_iter().map(of).collect()
}

/// Linkerd's proxies (linkerd2-proxy: `route/metrics`, `backend/metrics`, and the metrics of its inbound side).
pub fn linkerd() -> Vec<Source> {
    let backend = "backend_namespace=\"{{namespace}}\",backend_name=\"{{revision.service}}\"";
    let statuses =
        |kind: &str, more: &str| format!("outbound_{kind}_route_backend_response_statuses_total{{{backend}{more}}}");
    let failed = ",error!=\"\",error!=\"CANCEL\"";
    let route = Source {
        reporter: Some(Reporter::Route),
        bad: vec![
            statuses("http", ",http_status=~\"5..\""),
            statuses("http", &format!(",http_status!~\"5..\"{failed}")),
            statuses("grpc", &format!(",grpc_status=~\"{GRPC_NAMES}\"")),
            statuses("grpc", &format!(",grpc_status!~\"{GRPC_NAMES}\"{failed}")),
        ],
        total: vec![statuses("http", ""), statuses("grpc", "")],
        duration: (
            "outbound_http_route_backend_response_duration_seconds".to_owned(),
            format!("{{{backend}}}"),
            Unit::Seconds,
        ),
    };
    let pods = "direction=\"inbound\",namespace=\"{{namespace}}\",replicaset=\"{{revision.workload}}\"";
    let inbound = Source {
        reporter: Some(Reporter::Inbound),
        bad: vec![format!("response_total{{{pods},classification=\"failure\"}}")],
        total: vec![format!("response_total{{{pods}}}")],
        duration: ("response_latency_ms".to_owned(), format!("{{{pods}}}"), Unit::Milliseconds),
    };
    vec![route, inbound]
}

/// An Envoy's clusters (envoyproxy.io, `configuration/upstream/cluster_manager/cluster_stats`).
pub fn envoy(cluster: &str) -> Vec<Source> {
    let cluster = format!("envoy_cluster_name=~\"{cluster}\"");
    vec![Source {
        reporter: None,
        bad: vec![format!("envoy_cluster_upstream_rq_xx{{{cluster},envoy_response_code_class=\"5\"}}")],
        total: vec![format!("envoy_cluster_upstream_rq_xx{{{cluster}}}")],
        duration: ("envoy_cluster_upstream_rq_time".to_owned(), format!("{{{cluster}}}"), Unit::Milliseconds),
    }]
}

pub(super) fn read(reading: &Reading<'_>, wire: &Builtin) -> Result<Counting, Problem> {
    let exactly_one = || reading.wrong("builtin", "must have exactly one of: istio, linkerd, envoy");
    let (at, sources, rate, duration) = match (&wire.istio, &wire.linkerd, &wire.envoy) {
        (Some(istio), None, None) => {
            let asked = istio.reporter.map(leadsman_api::IstioReporter::reporter);
            ("builtin.istio", only(self::istio(), asked), &istio.request_success_rate, &istio.request_duration)
        }
        (None, Some(linkerd), None) => {
            let asked = linkerd.reporter.map(leadsman_api::LinkerdReporter::reporter);
            ("builtin.linkerd", only(self::linkerd(), asked), &linkerd.request_success_rate, &linkerd.request_duration)
        }
        (None, None, Some(envoy)) => {
            let cluster = regular_expression(reading, &envoy.cluster)?;
            ("builtin.envoy", self::envoy(cluster), &envoy.request_success_rate, &envoy.request_duration)
        }
        _ => return Err(exactly_one()),
    };
    // Without Services only the pods' own proxies tell the revisions apart.
    let has_services = !reading.around.backends.canary.is_empty();
    let usable: Vec<Source> = sources.into_iter().filter(|source| has_services || !source.names_service()).collect();
    if usable.is_empty() {
        return Err(reading.wrong(at, "tells revisions apart by their Services, and this Rollout has one for both"));
    }
    match (rate, duration) {
        (Some(rate), None) => successes(reading, at, &usable, rate),
        (None, Some(duration)) => durations(reading, at, &usable, duration),
        _ => Err(reading.wrong(at, "must have exactly one of: requestSuccessRate, requestDuration")),
    }
}

impl Source {
    fn names_service(&self) -> bool {
        self.total.iter().any(|counter| counter.contains("{{revision.service}}"))
    }
}

/// The reporter that was asked for, or all.
fn only(sources: Vec<Source>, asked: Option<Reporter>) -> Vec<Source> {
    sources.into_iter().filter(|source| asked.is_none_or(|asked| source.reporter == Some(asked))).collect()
}

/// An expression that stands between quotes in a selector.
fn regular_expression<'a>(reading: &Reading<'_>, text: &'a str) -> Result<&'a str, Problem> {
    const FIELD: &str = "builtin.envoy.cluster";
    if !text.contains("{{revision.service}}") && !text.contains("{{revision.hash}}") {
        return Err(reading.wrong(FIELD, "must name {{revision.service}}, so that both revisions are told apart"));
    }
    if text.contains(['"', '\\', '\n']) {
        return Err(
            reading.wrong(FIELD, "must not have quotes, backslashes or line ends: write [|] and [.] for | and .")
        );
    }
    Ok(text)
}

fn successes(reading: &Reading<'_>, at: &str, sources: &[Source], rate: &SuccessRate) -> Result<Counting, Problem> {
    let field = format!("{at}.requestSuccessRate.min");
    let min = share(reading, &field, &rate.min)?;
    let max = slower(min);
    if max < LEAST || max >= Share::ALL {
        return Err(reading.wrong(&field, format!("is {}: it must be from 0.0001% to 99.99%", rate.min)));
    }
    let of = |source: &Source| counted(reading, at, source, Part::Bad, &source.bad, &source.total);
    Ok(Counting { selectors: sources.iter().map(of).collect::<Result<_, _>>()?, latency: None, max: Some(max) })
}

fn durations(
    reading: &Reading<'_>,
    at: &str,
    sources: &[Source],
    wanted: &RequestDuration,
) -> Result<Counting, Problem> {
    let field = |name: &str| format!("{at}.requestDuration.{name}");
    let quantile = quantile_of(reading, &field("quantile"), wanted.quantile)?;
    let least = std::time::Duration::from_micros(1);
    let max = reading.duration(&field("max"), Some(&wanted.max), least, least)?;
    let of = |source: &Source| {
        let (name, matchers, _) = &source.duration;
        let series = |end: &str| vec![format!("{name}{end}{matchers}")];
        counted(reading, at, source, Part::Within, &series("_bucket"), &series("_count"))
    };
    let selectors = sources.iter().map(of).collect::<Result<_, _>>()?;
    let unit = sources.first().map_or(Unit::Milliseconds, |source| source.duration.2);
    let units = sources.iter().filter_map(|source| Some((source.reporter?, source.duration.2)));
    let units = units.filter(|(_, other)| *other != unit).collect();
    let latency = Latency { max, unit, units, native: false, quantile: Some(quantile) };
    Ok(Counting { selectors, max: Some(slower(quantile)), latency: Some(latency) })
}

fn counted(
    reading: &Reading<'_>,
    at: &str,
    source: &Source,
    part: Part,
    counters: &[String],
    total: &[String],
) -> Result<Selectors, Problem> {
    Ok(Selectors { reporter: source.reporter, ..selectors(reading, part, [at, at], counters, total)? })
}
