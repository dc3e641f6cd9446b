//! A Job for each measurement, found again by its name: whoever asks the same question anew, after a crash or as a new leader,
//! finds the Job that was made for it and makes no other.

use std::time::Duration;

use kube::api::ListParams;
use leadsman_api::names::GROUP;
use leadsman_core::analysis::source::Job;
use leadsman_core::analysis::{Outcome, Question};
use leadsman_core::text::one_line;
use serde_json::{Value, json};

use super::{Asked, Failure};
use crate::cluster::{Cluster, Error, kinds};
use crate::controller::key::Key;
use crate::controller::observe::{PodWords, condition, is_true, words_of};

/// How often a Job that runs is looked at.
const AGAIN: Duration = Duration::from_secs(2);
/// What is left out in the spec: it ends, it is tried once, and it is gone some time after it has ended.
const DEFAULTS: [(&str, u32); 3] =
    [("backoffLimit", 0), ("activeDeadlineSeconds", 600), ("ttlSecondsAfterFinished", 600)];
/// Longest name of a Job whose pods can be named after it.
const LONGEST_NAME: usize = 58;
/// Pods of a Job that are looked at.
const MOST_PODS: u32 = 10;
/// Longest last words of a Job, in characters.
const MOST_WORDS: usize = 600;

/// Runs Jobs.
pub(super) struct Jobs {
    cluster: Cluster,
}

impl Jobs {
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// What came of the Job of a question, which is begun where it is not there yet.
    pub async fn ask(&self, key: &Key, question: &Question, job: &Job) -> Result<Asked, Failure> {
        let name = name(key, question);
        let jobs = self.cluster.objects(&kinds::JOBS, &key.namespace);
        let Some(found) = jobs.get(&name).await.map_err(|error| failure(&error))? else {
            let rollouts = self.cluster.objects(&kinds::ROLLOUTS, &key.namespace);
            let rollout = rollouts.get(&key.name).await.map_err(|error| failure(&error))?;
            let uid = rollout.as_ref().and_then(|it| it.pointer("/metadata/uid")?.as_str()).unwrap_or_default();
            let object = object(&name, key, uid, question, job)?;
            jobs.create(&object).await.map_err(|error| failure(&error))?;
            return Ok(Asked::Later(AGAIN));
        };
        let is = |kind| condition(&found, kind).filter(|condition| is_true(Some(condition)));
        if is("Complete").is_some() {
            return Ok(answered(true, &format!("Job {name} completed")));
        }
        let words = self.words(key, &name).await?;
        if let Some(failed) = is("Failed") {
            let text = |field: &str| failed[field].as_str().unwrap_or_default();
            let last = words.map(|words| format!("; {}", words.text)).unwrap_or_default();
            return Ok(answered(false, &format!("Job {name}: {}: {}{last}", text("reason"), text("message"))));
        }
        match words.filter(|words| words.cannot_start) {
            // It would wait until its own deadline, and then look like a failure of the revision.
            Some(words) => {
                delete(&jobs, &found).await;
                Err(Failure::passing(format!("Job {name} cannot start: {}", words.text)))
            }
            None => Ok(Asked::Later(AGAIN)),
        }
    }

    /// Ends the Job of a question that is not asked any more. One that has ended stays for who wants to read its log.
    pub async fn give_up(&self, key: &Key, question: &Question) {
        let jobs = self.cluster.objects(&kinds::JOBS, &key.namespace);
        let name = name(key, question);
        if let Ok(Some(found)) = jobs.get(&name).await
            && found.pointer("/status/completionTime").is_none()
            && found.pointer("/status/conditions").and_then(Value::as_array).is_none_or(Vec::is_empty)
        {
            delete(&jobs, &found).await;
        }
    }

    async fn words(&self, key: &Key, job: &str) -> Result<Option<PodWords>, Failure> {
        let pods = self.cluster.objects(&kinds::PODS, &key.namespace);
        let params = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}")).limit(MOST_PODS);
        let pods = pods.list_some(&params).await.map_err(|error| failure(&error))?;
        Ok(pods.iter().find_map(words_of))
    }
}

fn answered(well: bool, words: &str) -> Asked {
    Asked::Answered(vec![Outcome::Done { well, words: one_line(words, MOST_WORDS) }])
}

async fn delete(jobs: &crate::cluster::Api<'_>, job: &Value) {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, uid, version) = (text("/metadata/name"), text("/metadata/uid"), text("/metadata/resourceVersion"));
    if let Err(error) = jobs.delete(name, uid, version).await {
        tracing::debug!(job = name, %error, "not deleted: it ends by its own deadline");
    }
}

/// The same for the same question, and for no other: which measurement of what, at which weight of which attempt.
fn name(key: &Key, question: &Question) -> String {
    let token = &question.token;
    let hash = leadsman_api::pod_template_hash(&json!([&*key.name, token, question.answered]));
    let metric = token.metric.name.to_lowercase();
    let letters =
        |text: &str| -> String { text.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect() };
    let mut name = format!("{}-{}", letters(&key.name), letters(&metric));
    name.truncate(LONGEST_NAME - hash.len() - 1);
    format!("{}-{hash}", name.trim_end_matches('-'))
}

fn object(name: &str, key: &Key, uid: &str, question: &Question, job: &Job) -> Result<Value, Failure> {
    let mut spec = job.spec.clone();
    let members = spec.as_object_mut().ok_or_else(|| Failure::lasting("the Job's spec is no object"))?;
    for (field, value) in DEFAULTS {
        members.entry(field).or_insert(json!(value));
    }
    let pod = members.get_mut("template").and_then(|it| it.get_mut("spec")).and_then(Value::as_object_mut);
    let pod = pod.ok_or_else(|| Failure::lasting("the Job's spec has no template.spec"))?;
    pod.entry("restartPolicy").or_insert(json!("Never"));
    for container in pod.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(container) = container.as_object_mut() {
            // So that its last words are kept with the pod.
            container.entry("terminationMessagePolicy").or_insert(json!("FallbackToLogsOnError"));
        }
    }
    let owner = json!({
        "apiVersion": format!("{GROUP}/{}", leadsman_api::names::VERSION),
        "kind": "Rollout",
        "name": &*key.name,
        "uid": uid,
    });
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": &*key.namespace,
            "labels": {
                format!("{GROUP}/job-of"): &*key.name,
                format!("{GROUP}/attempt"): question.token.attempt.to_string(),
            },
            "annotations": job.annotations,
            "ownerReferences": [owner],
        },
        "spec": spec,
    }))
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Refused { status, .. } if status.code == 403 => {
            Failure::passing(format!("{}; grant it: features.jobs of the chart", status.message))
        }
        Error::Refused { status, .. } if matches!(status.code, 400 | 422) => Failure::lasting(status.message.clone()),
        error => Failure::passing(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::question;
    use super::*;

    #[test]
    fn a_question_has_one_job_however_often_it_is_asked_and_the_next_one_another() {
        let key = Key::new("shop", "cart");
        let asked = question("Load.Test", "http://unused");
        let first = name(&key, &asked);
        assert!(first.starts_with("cart-load-test-") && first.len() <= LONGEST_NAME, "{first}");
        assert_eq!(first, name(&key, &asked.clone()));
        let next = Question { answered: 1, ..asked.clone() };
        assert_ne!(first, name(&key, &next));
        let long = Key::new("shop", &"long-".repeat(40));
        assert!(name(&long, &asked).len() <= LONGEST_NAME);
    }

    #[test]
    fn what_is_left_out_is_filled_in_and_what_is_given_is_kept() {
        let key = Key::new("shop", "cart");
        let spec = json!({"backoffLimit": 3, "template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}});
        let job = Job { spec, annotations: std::collections::BTreeMap::new() };
        let made = object("a", &key, "uid", &question("m", "http://unused"), &job).unwrap();
        assert_eq!(made.pointer("/spec/backoffLimit"), Some(&json!(3)));
        assert_eq!(made.pointer("/spec/activeDeadlineSeconds"), Some(&json!(600)));
        assert_eq!(made.pointer("/spec/template/spec/restartPolicy"), Some(&json!("Never")));
        let policy = made.pointer("/spec/template/spec/containers/0/terminationMessagePolicy");
        assert_eq!(policy, Some(&json!("FallbackToLogsOnError")));
        assert_eq!(made.pointer("/metadata/ownerReferences/0/uid"), Some(&json!("uid")));
        let nothing = Job { spec: json!({}), ..job };
        assert!(object("a", &key, "uid", &question("m", "http://unused"), &nothing).is_err());
    }
}
