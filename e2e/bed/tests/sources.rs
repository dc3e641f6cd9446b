//! What is asked of a real Prometheus 3, of Debian's Prometheus 2.42 and of `VictoriaMetrics` about recorded series of each mesh,
//! and what is counted of their answers by the operator's own code: errors that a series is born with, a reset, and scrapes
//! that fail in between.

// As in any test; clippy knows only those functions as tests that carry the attribute.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use leadsman::cluster::Cluster;
use leadsman::controller::key::Key;
use leadsman::declare::declare;
use leadsman::measure::{Asked, Provider as _, Sources};
use leadsman::runtime::leadership::Leadership;
use leadsman::runtime::metrics::Metrics;
use leadsman_api::Rollout;
use leadsman_bed::Backend;
use leadsman_core::analysis::metric::Metric;
use leadsman_core::analysis::run::Run;
use leadsman_core::analysis::tally::{Patience, Tally};
use leadsman_core::analysis::{Answer, Outcome, Part, Question, Reporter, Scope};
use leadsman_core::names::Hash;
use serde_json::{Value, json};

/// What is exposed now; nothing where the scrape is to fail.
type Exposed = Arc<Mutex<Option<String>>>;

/// A backend that scrapes; it ends with this.
struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who is asked what, and what has to be counted: who counts, canary bad and total, stable bad and total.
struct Case {
    name: &'static str,
    metric: Value,
    reporter: Option<Reporter>,
    canary: (f64, f64),
    stable: (f64, f64),
}

fn cases() -> Vec<Case> {
    let builtin = |fields: Value| json!({"name": "m", "builtin": fields});
    let rate = json!({"min": "99%"});
    let half = json!({"quantile": 0.99, "max": "500ms"});
    let cluster = "outbound[|].*[|]{{revision.service}}[.]{{namespace}}[.]svc[.].*";
    let case = |name, metric, reporter, canary, stable| Case { name, metric, reporter, canary, stable };
    let (source, destination) = (Some(Reporter::Source), Some(Reporter::Destination));
    let (route, inbound) = (Some(Reporter::Route), Some(Reporter::Inbound));
    vec![
        // 3 and 4 that were never there before, 2 of gRPC, of 100 + 3 + 4 + 20 + 2 + 1.
        case("istio", builtin(json!({"istio": {"requestSuccessRate": rate}})), source, (9.0, 130.0), (2.0, 1002.0)),
        case(
            "istio, by the pods",
            builtin(json!({"istio": {"requestSuccessRate": rate, "reporter": "destination"}})),
            destination,
            (3.0, 103.0),
            (0.0, 1000.0),
        ),
        case("istio, slow", builtin(json!({"istio": {"requestDuration": half}})), source, (2.0, 101.0), (10.0, 1000.0)),
        // 5, FAIL_FAST twice, UNAVAILABLE once; CANCEL is nobody's fault.
        case("linkerd", builtin(json!({"linkerd": {"requestSuccessRate": rate}})), route, (8.0, 241.0), (1.0, 1001.0)),
        case(
            "linkerd, by the pods",
            builtin(json!({"linkerd": {"requestSuccessRate": rate, "reporter": "inbound"}})),
            inbound,
            (5.0, 205.0),
            (1.0, 1001.0),
        ),
        case(
            "linkerd, slow",
            builtin(json!({"linkerd": {"requestDuration": half}})),
            route,
            (27.0, 207.0),
            (1.0, 1001.0),
        ),
        // After the reset 90, and 10 that were never there before.
        case(
            "envoy",
            builtin(json!({"envoy": {"requestSuccessRate": rate, "cluster": cluster}})),
            None,
            (10.0, 100.0),
            (0.0, 900.0),
        ),
        case(
            "envoy, slow",
            builtin(json!({"envoy": {"requestDuration": {"quantile": 0.99, "max": "750ms"}, "cluster": cluster}})),
            None,
            // Half of the 20 between 500 and 1000 ms.
            (10.0, 100.0),
            (0.0, 900.0),
        ),
    ]
}

/// The recorded series, before or after.
fn recorded(column: usize) -> String {
    let mut text = String::new();
    for mesh in ["istio", "linkerd", "envoy"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/metrics/{mesh}.txt"));
        for line in fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.rsplitn(3, " | ");
            let (after, before) = (parts.next().unwrap(), parts.next().unwrap());
            let series = parts.next().unwrap();
            let value = if column == 0 { before } else { after };
            if value != "-" {
                writeln!(text, "{series} {value}").unwrap();
            }
        }
    }
    text
}

/// Says what is exposed to whoever scrapes.
fn expose(exposed: &Exposed) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let exposed = Arc::clone(exposed);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let text = exposed.lock().unwrap().clone();
            answer(connection, text.as_deref());
        }
    });
    address
}

fn answer(mut connection: TcpStream, text: Option<&str>) {
    let mut request = [0; 4096];
    let _ = connection.read(&mut request);
    let (status, body) = text.map_or(("500 Internal Server Error", ""), |text| ("200 OK", text));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = connection.write_all(format!("{head}{body}").as_bytes());
}

fn start(backend: Backend, target: SocketAddr) -> Running {
    let program = backend.program().unwrap();
    let folder = std::env::temp_dir().join(format!("leadsman-{}-{}", backend.name(), std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("scrape.yaml");
    let scrape = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: recorded\n  static_configs:\n  \
         - targets: [\"{target}\"]\n"
    );
    fs::write(&config, scrape).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(program);
    command.args(backend.arguments(&config, &folder.join("data"), free)).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let running = Running { child, address: format!("http://{free}") };
    wait_for("the backend to listen", || TcpStream::connect(free).is_ok());
    running
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_mins(1), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A metric as the operator reads it.
fn declared(metric: &Value, prometheus: &Value) -> Metric {
    let mut metric = metric.clone();
    metric["interval"] = json!("1s");
    metric["initialDelay"] = json!("0s");
    metric["provider"] = json!({"prometheus": prometheus});
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "shop", "image": "shop:1"}]},
            },
            "strategy": {"canary": {
                "traffic": {"service": "shop", "routes": [{"httpRoute": {"name": "shop"}}]},
                "analysis": {"metrics": [metric]},
                "steps": [{"setWeight": 20}],
            }},
        },
    }))
    .unwrap();
    let spec = declare(&rollout, "leadsman", &|_| None).core.spec.unwrap();
    spec.background.unwrap().metrics.into_iter().next().unwrap()
}

fn asked(scope: Scope, metric: &Metric, tallies: &BTreeMap<String, Tally>, since: Timestamp) -> Question {
    let (new, old) = (Hash::from("new"), Hash::from("old"));
    let run = Run {
        scope,
        attempt: 1,
        subject: if scope == Scope::Preflight { &old } else { &new },
        stable: &old,
        since,
        in_force: true,
        share: None,
        step_since: None,
        grown_at: None,
        patience: Patience::Lasts,
        metrics: Cow::Borrowed(std::slice::from_ref(metric)),
        tallies,
    };
    run.questions(Timestamp::now()).next().unwrap()
}

async fn count(sources: &Sources, metric: &Metric, tally: &mut Tally, question: Question) {
    let Asked::Answered(outcomes) = sources.ask(&Key::new("shop", "shop"), &question).await else {
        panic!("not answered")
    };
    let Question { token, queries, reads, .. } = question;
    let parts = queries.into_iter().zip(outcomes).map(|(query, outcome)| Part { query, outcome }).collect();
    tally.count(metric, &Answer { token, at: Timestamp::now(), reads, parts });
}

/// Whether the backend has a sample of what is exposed now.
async fn has(sources: &Sources, address: &str, query: &str) -> bool {
    let metric = json!({"name": "m", "successCondition": "value > 0.0"});
    let plain = declared(&metric, &json!({"address": address, "query": query}));
    let question = asked(Scope::Preflight, &plain, &BTreeMap::new(), Timestamp::UNIX_EPOCH);
    let Asked::Answered(outcomes) = sources.ask(&Key::new("shop", "shop"), &question).await else { return false };
    matches!(&outcomes[..], [Outcome::Samples(_)])
}

#[tokio::test]
#[ignore = "builds Prometheus, and asks Debian for two more"]
async fn every_backend_counts_the_recorded_series_alike() {
    let exposed = Exposed::default();
    let target = expose(&exposed);
    let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let cluster = Cluster::new(client, Leadership::always(), Arc::new(Metrics::new()));
    let sources = Sources::new(cluster, None, &["127.0.0.0/8".parse().unwrap()]).unwrap();
    for backend in Backend::ALL {
        *exposed.lock().unwrap() = Some(recorded(0));
        let running = start(backend, target);
        let address = &running.address;
        let until = async |what: &str, query: &str| {
            let began = Instant::now();
            while !has(&sources, address, query).await {
                assert!(began.elapsed() < Duration::from_mins(1), "{}: waited in vain for {what}", backend.name());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let stable =
            "istio_requests_total{reporter=\"source\",destination_service_name=\"shop-stable\",response_code=\"200\"}";
        until("what was before", &format!("{stable} == 1000")).await;
        let since = Timestamp::now();
        // Scrapes fail for a while: nothing is lost.
        *exposed.lock().unwrap() = None;
        until("a scrape that failed", "up == 0").await;
        *exposed.lock().unwrap() = Some(recorded(1));
        until("what is after", &format!("{stable} == 2000")).await;
        // As long as every source takes to know by default.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        for case in cases() {
            let metric = declared(&case.metric, &json!({"address": address}));
            let mut preflight = Tally::default();
            let question = asked(Scope::Preflight, &metric, &BTreeMap::new(), since);
            count(&sources, &metric, &mut preflight, question).await;
            let at = format!("{} of {}", case.name, backend.name());
            let known = preflight.gate.as_ref().unwrap().baseline();
            let said = preflight.last.as_ref().map(|last| &last.judgement);
            assert!(known.reporter == case.reporter && known.stable.total > 0.0, "{at}: {known:?}, {said:?}");
            let mut tallies = BTreeMap::from([("m".to_owned(), preflight)]);
            let question = asked(Scope::Background, &metric, &tallies, since);
            let tally = tallies.get_mut("m").unwrap();
            count(&sources, &metric, tally, question).await;
            let gate = tally.gate.as_ref().unwrap();
            let counted = [(gate.seen.bad, gate.seen.total), (gate.seen_stable.bad, gate.seen_stable.total)];
            let words = tally.last.as_ref().map(|last| last.judgement.clone());
            let close =
                |one: (f64, f64), other: (f64, f64)| (one.0 - other.0).abs() < 1e-6 && (one.1 - other.1).abs() < 1e-6;
            let [canary, stable] = counted;
            assert!(close(canary, case.canary) && close(stable, case.stable), "{at}: {counted:?}; {words:?}");
        }
    }
}
