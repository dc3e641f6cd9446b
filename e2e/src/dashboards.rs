//! The dashboards of the chart, asked of the cluster's Prometheus: each expression has to give something.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Url};
use serde_json::Value;

/// The expressions of dashboards that have not given a series yet.
#[derive(Debug)]
pub struct Unanswered {
    client: Client,
    prometheus: Url,
    left: Vec<String>,
}

impl Unanswered {
    /// All expressions of the dashboards in a folder, for every namespace.
    ///
    /// # Errors
    /// When a dashboard cannot be read, or none has an expression.
    pub fn of(folder: &Path, prometheus: &str) -> Result<Self> {
        let mut left = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(entry?.path())?)?;
            collect(&dashboard, &mut left);
        }
        ensure!(!left.is_empty(), "no expression in {}", folder.display());
        Ok(Self { client: Client::new(), prometheus: Url::parse(prometheus)?.join("/api/v1/query")?, left })
    }

    /// Asks each of them for so long, and keeps those that give nothing.
    ///
    /// # Errors
    /// When Prometheus does not answer, or refuses an expression.
    pub async fn ask(&mut self, within: Duration) -> Result<()> {
        let mut look = tokio::time::interval(Duration::from_secs(1));
        let deadline = tokio::time::Instant::now() + within;
        while !self.left.is_empty() && tokio::time::Instant::now() < deadline {
            look.tick().await;
            let mut still = Vec::new();
            for expression in std::mem::take(&mut self.left) {
                if !self.gives_a_series(&expression).await? {
                    still.push(expression);
                }
            }
            self.left = still;
        }
        Ok(())
    }

    /// Fails when one of them never gave a series.
    ///
    /// # Errors
    /// Which.
    pub fn expect_none(&self) -> Result<()> {
        ensure!(
            self.left.is_empty(),
            "these expressions of the dashboards give nothing:\n  {}",
            self.left.join("\n  ")
        );
        Ok(())
    }

    async fn gives_a_series(&self, expression: &str) -> Result<bool> {
        let url = Url::parse_with_params(self.prometheus.as_str(), [("query", expression)])?;
        let body = self.client.get(url).send().await?.text().await?;
        let answer: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(answer.get("status").is_some_and(|status| status == "success"), "{expression}: {body}");
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        Ok(result.is_some_and(|series| !series.is_empty()))
    }
}

/// The members `expr` of a dashboard, wherever they stand.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if key == "expr" => found.push(text.replace("$namespace", ".*")),
                    member => collect(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
