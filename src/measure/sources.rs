//! Whoever answers questions: each source in its own way.

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use leadsman_core::analysis::source::Source;
use leadsman_core::analysis::{Outcome, Question, Reads};

use super::addresses::AddressPattern;
use super::http::{Http, host};
use super::jobs::Jobs;
use super::{Asked, Failure, Provider, datadog, prometheus, web};
use crate::cluster::Cluster;
use crate::controller::key::Key;

/// Every kind of source.
pub struct Sources {
    pub(super) http: Http,
    jobs: Jobs,
}

impl Sources {
    /// Asks `default_address` where a Prometheus query names none, and of other addresses only what `allowed` lists, or, where
    /// it is empty, what is none of the operator's own; reads Secrets and runs Jobs through `cluster`.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(
        cluster: Cluster,
        default_address: Option<String>,
        allowed: &[AddressPattern],
    ) -> Result<Self, reqwest::Error> {
        let http = Http::new(cluster.client().clone(), default_address, allowed)?;
        Ok(Self { http, jobs: Jobs::new(cluster) })
    }

    async fn answer(&self, key: &Key, question: &Question) -> Result<Asked, Failure> {
        let one = |outcome| Ok(Asked::Answered(vec![outcome]));
        match &question.source {
            Source::Prometheus(source) => {
                let at = match question.reads {
                    Reads::Counts(span) => span.to,
                    Reads::Values | Reads::Baseline => Timestamp::now(),
                };
                let counts = question.reads != Reads::Values;
                let ask = |query| {
                    let asked = prometheus::query(&self.http, source, query, at, counts);
                    asked.map(|answer| answer.unwrap_or_else(Outcome::from))
                };
                Ok(Asked::Answered(join_all(question.queries.iter().map(|query| ask(query.as_str()))).await))
            }
            Source::Web(source) => one(web::ask(&self.http, source).await?),
            Source::Datadog(source) => one(datadog::ask(&self.http, source, question.window).await?),
            Source::Job(job) => self.jobs.ask(key, question, job).await,
        }
    }
}

impl Provider for Sources {
    fn host(&self, question: &Question) -> String {
        match &question.source {
            Source::Prometheus(source) => {
                source.address.as_deref().or(self.http.addresses.default()).map(host).unwrap_or_default()
            }
            Source::Web(web) => host(&web.url),
            Source::Datadog(datadog) => host(&datadog.address),
            Source::Job(_) => "jobs".to_owned(),
        }
    }

    fn ask<'a>(&'a self, key: &'a Key, question: &'a Question) -> BoxFuture<'a, Asked> {
        let answered = |answer: Result<Asked, Failure>| {
            answer.unwrap_or_else(|failure| Asked::Answered(vec![failure.into(); question.queries.len()]))
        };
        self.answer(key, question).map(answered).boxed()
    }

    fn give_up<'a>(&'a self, key: &'a Key, question: &'a Question) -> BoxFuture<'a, ()> {
        match &question.source {
            Source::Job(_) => self.jobs.give_up(key, question).boxed(),
            _ => std::future::ready(()).boxed(),
        }
    }
}
