//! One Rollout as it stands.

use jiff::Timestamp;
use leadsman_api::{Phase, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

/// One Rollout, now.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The instant that this is about: durations are counted up to here.
    pub at: Timestamp,
    /// Namespace of the Rollout.
    pub namespace: String,
    /// Name of the Rollout.
    pub name: String,
    /// Where it stands; absent where the operator has not said so, or says it in a word of a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phase: Option<Phase>,
    /// False while no operator has written a status.
    pub is_seen: bool,
    /// True while the status is about an earlier declaration.
    pub is_behind: bool,
    /// How new revisions take over.
    pub strategy: Strategy,
    /// What shares the traffic.
    pub carrier: Carrier,
    /// Number of the attempt: the one under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// The revision that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Revision>,
    /// The revision on trial, or the rejected one that is still declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// Who declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// When the attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When it ended, where it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How the last attempt ended, as the report says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Which step has its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Position>,
    /// All steps, in their order; empty where nothing is under way.
    pub steps: Vec<Step>,
    /// What serves, and then what is on trial.
    pub sides: Vec<Side>,
    /// What is measured.
    pub gates: Vec<Gate>,
    /// What is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What follows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// Where the users are, in a sentence; empty where nobody can tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub users: String,
    /// What a person can do, the likeliest first.
    pub you: Vec<super::WayOn>,
    /// The operator's sentence, without the commands in it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What happened, the oldest first.
    pub timeline: Vec<Fact>,
    /// What decided the attempt, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The commands, and which of them would be refused.
    pub commands: Vec<Command>,
    /// The last command that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_command: Option<Answered>,
}

/// How new revisions take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// Share by share.
    Canary,
    /// All at once, after a preview.
    BlueGreen,
    /// Neither is declared.
    Unknown,
}

/// What shares the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Carrier {
    /// Routes of a mesh or a gateway.
    Routes,
    /// The selector of a Service: a share is a share of its pods.
    Service,
    /// Nothing: pods take their work themselves.
    Pods,
}

/// A revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Hash of its pod template.
    pub hash: String,
    /// Number of the attempt.
    pub revision: i64,
    /// What people call it: the tag of the image that differs first, else that of the first image with the number of the
    /// revision, else the hash.
    pub version: String,
    /// The image that the version is taken from, without its container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Images as container=image.
    pub images: Vec<String>,
    /// Git commit that declared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Revision {
    /// Its version and its number, where the one does not hold the other.
    pub fn numbered(&self) -> String {
        let number = format!("(revision {})", self.revision);
        if self.version.ends_with(&number) { self.version.clone() } else { format!("{} {number}", self.version) }
    }
}

/// Who declares a Rollout, as its labels and annotations tell.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Flux, Argo CD or Helm.
    pub tool: String,
    /// The object that it is declared by, like a Kustomization's namespace and name; empty where it is not told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
}

/// Which step has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Index of the step, from 0; equal to `of` once all are done.
    pub index: i32,
    /// Number of steps.
    pub of: i32,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

/// A step of a release.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// In as few characters as possible: 5%, 1m, latency, promote.
    pub short: String,
    /// In words: 5%, pause 1m, analysis latency, pause until promoted.
    pub words: String,
    /// Whether it is over.
    pub state: StepState,
    /// When it began, where it has its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it ends by itself, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Whether a step is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// It is over.
    Done,
    /// It has its turn.
    Now,
    /// It had its turn when the attempt failed.
    Failed,
    /// It comes later, or never came.
    ToCome,
}

/// What serves, or what is on trial.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// stable, canary, active or preview.
    pub role: String,
    /// The revision.
    pub revision: Revision,
    /// Pods that are wanted.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Its share; absent where there is none to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Its pods, where they were asked for.
    pub pods: Vec<Pod>,
}

/// A share of the traffic, or of the pods, in percent.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Weight {
    /// Decided.
    pub desired: i32,
    /// Written.
    pub written: i32,
    /// Accepted, and given time to reach whoever sends.
    pub in_force: i32,
    /// What requests show, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<f64>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// What it does: `Running`, `Pending`, `CrashLoopBackOff`, `Terminating` and the like.
    pub state: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Restarts of all of its containers.
    pub restarts: i32,
    /// Since when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why it is not ready, in one line; empty where it does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// A value that was measured.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// As people read it.
    pub text: String,
    /// As a number, a percentage as a ratio from 0 to 1; absent where the text is not one number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<f64>,
}

/// A metric, and what was measured of it.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Name of the metric.
    pub metric: String,
    /// Index of the step that measures it; absent beside the steps, and where nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// True where it decided the outcome.
    pub decided: bool,
    /// True where it is measured and shown only.
    pub dry_run: bool,
    /// What values are held against, as it is declared.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub limit: String,
    /// The last value of the new revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Measure>,
    /// The same of stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Measure>,
    /// Requests that the value rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<i64>,
    /// How sure a failure is, as a ratio from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The last verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub verdict: Option<Verdict>,
    /// Measurements that gave a verdict.
    pub measurements: i32,
    /// Those that failed.
    pub failed: i32,
    /// What the last value was held against and what that means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What was asked, as it was sent; empty where nobody kept it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Since when the share that is measured has been in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The last measurements, the newest last.
    pub recent: Vec<Recent>,
}

/// One of the last measurements.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recent {
    /// When it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The value; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Measure>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub verdict: Option<Verdict>,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// One word: Pods, Endpoints, Route, Pause, Data, Person and the like.
    pub reason: String,
    /// For what, in a sentence, without the command that ends it.
    pub what: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When something follows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// What the pods say of themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// True where something is in the way; false where time or measurements have to come in, as they were declared to.
    pub is_held: bool,
}

/// What follows by itself.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// When, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What, in a sentence.
    pub what: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// When.
    pub at: Timestamp,
    /// In a word.
    pub kind: String,
    /// In a sentence.
    pub words: String,
    /// The share of the new revision, where it is about one, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Index of the step that had its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
}

/// What decided an attempt.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// In a word: `AnalysisFailed`, `CrashLooping`, `Aborted` and the like.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// Name of the metric, where one decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
}

/// A command that a person can give.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// promote, promote-full, abort, retry, pause, resume or rollback.
    pub verb: String,
    /// Hash of the revision that it has to name.
    pub hash: String,
    /// Why it would be refused now; absent where it would be carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A command that was answered.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// Its id.
    pub id: String,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether that name is the API server's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Whether it was carried out; absent where that is said in a word of a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executed: Option<bool>,
    /// What was done, or why nothing was.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A difference between two pod templates.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where: elements of lists by their names, as in `containers[cart].env[CACHE_TTL]`.
    pub path: String,
    /// What it was; absent where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is; absent where it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
