//! `l`: the last lines of the new revision's first pod, as they come.

use std::collections::VecDeque;

use futures::{AsyncBufReadExt, StreamExt};
use kube::api::LogParams;
use leadsman_api::names::REVISION_LABEL;
use leadsman_core::text::one_line;
use leadsman_view::Objects;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;

/// Lines that are shown.
const LINES: usize = 5;
/// Longest line that is kept, in characters.
const LONGEST: usize = 1_000;

/// Lines of a pod's log. The reading ends with this.
pub(super) struct Tail {
    lines: VecDeque<String>,
    coming: mpsc::Receiver<String>,
    reading: JoinHandle<()>,
}

impl Tail {
    /// Begins to read. Where there is no new revision, or it has no pod, says so instead.
    pub fn of(cluster: &Cluster, objects: &Objects) -> Self {
        let (sender, coming) = mpsc::channel(LINES);
        let (cluster, pod) = (cluster.clone(), first_pod(objects));
        let namespace = objects.rollout.metadata.namespace.clone().unwrap_or_default();
        let reading = tokio::spawn(async move {
            let Some(pod) = pod else {
                // Where nobody listens any more, there is nobody to tell.
                let _ = sender.send("no pod of a new revision is there".to_owned()).await;
                return;
            };
            let parameters = LogParams { follow: true, tail_lines: i64::try_from(LINES).ok(), ..LogParams::default() };
            match cluster.log(&namespace, &pod, &parameters).await {
                Err(failure) => {
                    let _ = sender.send(failure.what).await;
                }
                Ok(log) => {
                    let mut lines = log.lines();
                    while let Some(Ok(line)) = lines.next().await {
                        if sender.send(one_line(&format!("{pod}  {line}"), LONGEST)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { lines: VecDeque::new(), coming, reading }
    }

    /// Waits for a further line; for ever, once there will be none.
    pub async fn next(&mut self) {
        let Some(line) = self.coming.recv().await else { return std::future::pending().await };
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The lines that are known.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn first_pod(objects: &Objects) -> Option<String> {
    let hash = &objects.rollout.status.as_ref()?.canary.as_ref()?.hash;
    let labels = |pod: &k8s_openapi::api::core::v1::Pod| pod.metadata.labels.clone().unwrap_or_default();
    let pod = objects.pods.iter().find(|pod| labels(pod).get(REVISION_LABEL) == Some(hash))?;
    pod.metadata.name.clone()
}
