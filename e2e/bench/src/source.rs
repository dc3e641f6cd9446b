//! What is measured: a real Prometheus that asks an exporter of the bench's every second. Every application has a success
//! rate in percent, and all of them fail at once.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use leadsman_bed::{Backend, http};
use leadsman_e2e::runtime::blocking;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::application::Application;
use crate::cluster::free_ports;
use crate::cluster::process::Process;
use crate::progress::say;

const METRIC: &str = "bench_success_percent";
/// While all is well, and when it is not.
const GOOD: u32 = 100;
const BAD: u32 = 50;
/// How often Prometheus is asked whether it has something.
const LOOK: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_mins(1);

/// What an application's success rate is, in `PromQL`.
pub fn query(application: Application) -> String {
    format!("{METRIC}{{app=\"{}\"}}", application.name())
}

/// Prometheus and what it asks; both end when this is dropped.
pub struct Source {
    address: SocketAddr,
    exporter: Arc<Exporter>,
    task: AbortHandle,
    _prometheus: Process,
}

struct Exporter {
    applications: u32,
    fails: AtomicBool,
}

impl Source {
    /// Starts both, with the files in `folder`, and waits until every application has a value.
    pub async fn start(folder: &Path, applications: u32) -> Result<Self> {
        say("starting Prometheus");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for the exporter")?;
        let scraped = listener.local_addr()?;
        let exporter = Arc::new(Exporter { applications, fails: AtomicBool::new(false) });
        let service = Router::new().route("/metrics", get(values)).with_state(Arc::clone(&exporter));
        let task = tokio::spawn(async move { axum::serve(listener, service).await }).abort_handle();
        let config = folder.join("prometheus.yaml");
        std::fs::write(&config, config_for(scraped))?;
        let [port] = free_ports()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let backend = Backend::Prometheus3;
        let words = backend.arguments(&config, &folder.join("prometheus"), address);
        let prometheus = Process::start("prometheus", &backend.program()?, &words, &[], folder)?;
        let source = Self { address, exporter, task, _prometheus: prometheus };
        source.until_all_are(GOOD).await?;
        Ok(source)
    }

    /// Where Prometheus is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has every application fail from now on, and gives the moment at which Prometheus says so of all.
    pub async fn fail(&self) -> Result<Instant> {
        self.exporter.fails.store(true, Ordering::Relaxed);
        self.until_all_are(BAD).await
    }

    async fn until_all_are(&self, value: u32) -> Result<Instant> {
        let (address, wanted) = (self.address, self.exporter.applications.to_string());
        let path = format!("/api/v1/query?query=count({METRIC}=={value})");
        let began = Instant::now();
        loop {
            let path = path.clone();
            let said = blocking(move || http::get(address, &path)).await.map(|answer| count_in(&answer.body));
            let asked = Instant::now();
            if matches!(&said, Ok(Some(count)) if *count == wanted) {
                return Ok(asked);
            }
            ensure!(began.elapsed() < LIMIT, "Prometheus does not say {value} of {wanted} applications: {said:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The only value of an answer.
fn count_in(answer: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    answer.pointer("/data/result/0/value/1")?.as_str().map(str::to_owned)
}

fn config_for(scraped: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: bench\n  static_configs: [{{targets: ['{scraped}']}}]\n"
    )
}

async fn values(State(exporter): State<Arc<Exporter>>) -> String {
    let value = if exporter.fails.load(Ordering::Relaxed) { BAD } else { GOOD };
    let mut text = format!("# TYPE {METRIC} gauge\n");
    for index in 0..exporter.applications {
        let _ = writeln!(text, "{} {value}", query(Application(index)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_application_has_a_value_and_all_of_them_fail_at_once() {
        let exporter = Arc::new(Exporter { applications: 2, fails: AtomicBool::new(false) });
        let said = values(State(Arc::clone(&exporter))).await;
        assert!(said.ends_with("bench_success_percent{app=\"app-00001\"} 100\n"), "{said}");
        exporter.fails.store(true, Ordering::Relaxed);
        assert_eq!(values(State(exporter)).await.matches("} 50").count(), 2);
    }

    #[test]
    fn a_count_is_read_from_an_answer() {
        let answer = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"20"]}]}}"#;
        assert_eq!(count_in(answer), Some("20".to_owned()));
        assert_eq!(count_in(r#"{"status":"success","data":{"result":[]}}"#), None);
    }
}
