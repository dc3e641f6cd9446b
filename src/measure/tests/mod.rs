//! Tests of the measurer in virtual time, and of the HTTP side against a server on this machine.

mod addresses;
mod answer;
mod http;
mod measurer;
mod secrets;
mod server;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use leadsman_core::analysis::source::{Prometheus, Source};
use leadsman_core::analysis::{MetricId, Outcome, Question, Reads, Scope, Token};

use super::{Asked, Provider as _, Sources};
use crate::cluster::Cluster;
use crate::controller::key::Key;
use crate::runtime::leadership::Leadership;
use crate::runtime::metrics::Metrics;

fn token(name: &str) -> Token {
    let metric = MetricId { scope: Scope::Background, name: name.to_owned() };
    Token { attempt: 1, metric, since: Timestamp::UNIX_EPOCH, step_since: None }
}

/// A question to a host, due at once.
pub(super) fn question(name: &str, address: &str) -> Question {
    let source = Prometheus {
        address: Some(address.to_owned()),
        query: "up".to_owned(),
        timeout: Duration::from_secs(10),
        headers: Vec::new(),
        parameters: Vec::new(),
        by_get: false,
        auth: None,
        tls: None,
    };
    Question {
        token: token(name),
        due: Timestamp::UNIX_EPOCH,
        queries: vec!["up".to_owned()],
        source: Source::Prometheus(Box::new(source)),
        reads: Reads::Values,
        window: Duration::from_mins(1),
        answered: 0,
    }
}

/// What is asked of the Prometheus of a question.
fn prometheus_of(question: &mut Question) -> &mut Prometheus {
    match &mut question.source {
        Source::Prometheus(source) => source,
        other => panic!("asked of {other:?}"),
    }
}

/// The API server at this address.
fn cluster(address: &str) -> Cluster {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = kube::Client::try_from(kube::Config::new(address.parse().unwrap())).unwrap();
    Cluster::new(client, Leadership::always(), Arc::new(Metrics::new()))
}

/// The answers to a question.
async fn outcomes(sources: &Sources, question: &Question) -> Vec<Outcome> {
    match sources.ask(&Key::new("shop", "cart"), question).await {
        Asked::Answered(outcomes) => outcomes,
        Asked::Later(after) => panic!("again after {after:?}"),
    }
}
