//! Tests of the measurer in virtual time, and of the HTTP side against a server on this machine.

mod addresses;
mod answer;
mod http;
mod measurer;
mod secrets;
mod server;

use std::time::Duration;

use jiff::Timestamp;
use leadsman_core::analysis::metric::Prometheus;
use leadsman_core::analysis::{MetricId, Question, Reads, Scope, Token};

fn token(name: &str) -> Token {
    let metric = MetricId { scope: Scope::Background, name: name.to_owned() };
    Token { attempt: 1, metric, since: Timestamp::UNIX_EPOCH, step_since: None }
}

/// A question to a host, due at once.
fn question(name: &str, address: &str) -> Question {
    let source = Prometheus {
        address: Some(address.to_owned()),
        query: "up".to_owned(),
        timeout: Duration::from_secs(10),
        headers: Vec::new(),
        auth: None,
    };
    Question {
        token: token(name),
        due: Timestamp::UNIX_EPOCH,
        queries: vec!["up".to_owned()],
        source,
        reads: Reads::Values,
    }
}
