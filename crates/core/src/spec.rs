//! What is declared, parsed once: the shell turns the wire form and the templates that it names into these types.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::analysis::metric::Metric;
use crate::names::Hash;
use crate::text::one_line;
use crate::traffic::{Amount, Targets, Weight};

/// A Rollout as declared at this moment.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.creationTimestamp`.
    pub created_at: Option<Timestamp>,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.deletionTimestamp`.
    pub deleted_at: Option<Timestamp>,
    /// Hash of `spec.template`.
    pub hash: Hash,
    /// The Git commit that declared it, where it is known.
    pub commit: Option<String>,
    /// `container=image` of each container of the template.
    pub images: Vec<String>,
    /// Names of both Services and the routes.
    pub targets: Targets,
    /// Pods at full size.
    pub replicas: u32,
    /// False where nobody declares `spec.replicas` any more, so that the size has to be written down.
    pub replicas_given: bool,
    /// Pods that are older than this are to be replaced.
    pub restart_at: Option<Timestamp>,
    /// Reports of attempts that are kept.
    pub reports_kept: usize,
    /// `spec.paused`: nothing goes forward.
    pub paused: bool,
    /// The command annotation as it stands, parsed or not.
    pub command: Option<Result<Command, String>>,
    /// Who gave it, where that is told.
    pub commander: Option<Commander>,
    /// All the rest, or the first thing that is wrong with it.
    pub spec: Result<Spec, Problem>,
}

/// The declared strategy with every reference resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// How long a written split is given to reach the proxies, and a binding where nothing else is said.
    pub settle: Duration,
    /// How long endpoints are given to reach whatever sends to them, where that takes longer than a split does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_endpoints: Option<Duration>,
    /// How long a set without traffic is kept.
    pub drain: Duration,
    /// How long the revision that was stable before is kept whole after a promotion, where that is longer than `drain`.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub keep_warm: Duration,
    /// Where one Service carries the traffic: how long it selects both revisions before it selects the new one alone.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub overlap: Duration,
    /// Stable is never smaller than this part of full size, before promotion.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub keep_stable: Weight,
    /// How many pods of the canary may be started at a time; all, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods_at_once: Option<Amount>,
    /// The canary never has fewer pods than this.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub least_canary: u32,
    /// The part of the pods that a share needs which is enough.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub ready_threshold: Weight,
    /// A revision that was stable so many promotions ago, or fewer, comes back without pauses and analyses.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollback_window: u32,
    /// How long the Rollout may wait for pods, endpoints, routes or data.
    pub progress_deadline: Duration,
    /// Restarts of one container of the canary, since the step began, that make a crash loop.
    #[serde(default = "default_crash_limit")]
    pub crash_limit: u32,
    /// `canaryService` is bound to the canary before its pods exist, for load balancers that open readiness gates only for
    /// pods which a Service selects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bind_early: bool,
    /// Old sets kept, at zero replicas.
    pub revision_history: usize,
    /// When `Ready` is true.
    pub ready_when: ReadyWhen,
    /// Never empty.
    pub steps: Vec<Step>,
    /// Runs from its first step with traffic to promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
}

/// What `spec.crashLimit` is where nothing is said.
pub const CRASH_LIMIT: u32 = 3;

fn whole() -> Weight {
    Weight::FULL
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_whole(weight: &Weight) -> bool {
    *weight == Weight::FULL
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn default_crash_limit() -> u32 {
    CRASH_LIMIT
}

/// When the condition Ready is true.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyWhen {
    /// What is declared serves.
    #[default]
    Promoted,
    /// The spec is accepted and stable serves.
    Serving,
}

/// One step of a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Bring the canary to this share; ends when it is in force.
    SetWeight(Weight),
    /// Wait; without a duration until promoted.
    Pause(#[serde(with = "pause")] Option<Duration>),
    /// Measure; ends when every metric has its count of measurements, with no more failures than its limit.
    Analysis(Vec<Metric>),
    /// Bring the canary to at least this size; ends when its pods are ready behind its own Service.
    Scale(CanaryScale),
}

/// A pause without a duration is `{}`; it was `null` once, which does not come through Lua: Argo CD's actions read and write
/// whole objects in it.
mod pause {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, deny_unknown_fields)]
    enum Written {
        For(Duration),
        UntilPromoted {},
    }

    #[expect(clippy::ref_option, reason = "so serde calls it")]
    pub(super) fn serialize<S: Serializer>(pause: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match pause {
            Some(duration) => duration.serialize(serializer),
            None => serde_json::Map::new().serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(match Option::<Written>::deserialize(deserializer)? {
            Some(Written::For(duration)) => Some(duration),
            Some(Written::UntilPromoted {}) | None => None,
        })
    }
}

/// The least size of a canary, whatever its share needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CanaryScale {
    /// So many pods.
    Replicas(u32),
    /// So much of full size.
    Percent(Weight),
    /// What its share needs.
    MatchTraffic,
}

impl CanaryScale {
    /// In pods.
    pub fn of(self, replicas: u32) -> u32 {
        match self {
            Self::Replicas(pods) => pods,
            Self::Percent(percent) => percent.needs(replicas),
            Self::MatchTraffic => 0,
        }
    }
}

/// Analysis beside the steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Background {
    /// Index of the first step at which it runs.
    pub starting_step: usize,
    /// What is measured.
    pub metrics: Vec<Metric>,
}

/// Something in the declaration, or in what it refers to, that a person has to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Reason of the `Stalled` condition.
    pub reason: Reason,
    /// Object, field and what to do.
    pub message: String,
    /// True where something that is named does not exist (yet): what is applied together comes one after the other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

impl Problem {
    /// Something that is there and wrong.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), missing: false }
    }

    /// Something that is named and does not exist.
    pub fn missing(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), missing: true }
    }
}

/// Why something is stalled; also the reason of the condition, verbatim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the words that users read")]
pub enum Reason {
    InvalidSpec,
    InvalidAnalysis,
    InvalidRoute,
    InvalidTemplate,
    RouteNotFound,
    RouteNotAccepted,
    RouteContended,
    ServiceConflict,
    ServiceNotFound,
    KindNotInstalled,
}

impl Reason {
    /// The word in the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::InvalidAnalysis => "InvalidAnalysis",
            Self::InvalidRoute => "InvalidRoute",
            Self::InvalidTemplate => "InvalidTemplate",
            Self::RouteNotAccepted => "RouteNotAccepted",
            Self::RouteNotFound => "RouteNotFound",
            Self::RouteContended => "RouteContended",
            Self::ServiceConflict => "ServiceConflict",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::KindNotInstalled => "KindNotInstalled",
        }
    }
}

/// A person's command: acts once per id, only on the revision that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub verb: Verb,
    /// The hash that it is about.
    pub hash: Hash,
    /// Chosen by the writer; the same id never acts twice.
    pub id: String,
    /// Why, in the writer's own words, on one line.
    pub reason: Option<String>,
}

/// Who gave a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commander {
    /// A user or an account.
    pub name: String,
    /// True where the API server put the name down, false where whoever wrote the command did.
    pub verified: bool,
}

impl Commander {
    /// The longest name that is kept, in characters.
    pub const LONGEST: usize = 256;
}

impl std::fmt::Display for Commander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        f.write_str(if self.verified { "" } else { " (not verified)" })
    }
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// End the present pause or analysis.
    Promote,
    /// End all that remain.
    PromoteFull,
    /// Roll back and reject.
    Abort,
    /// Let a rejected hash run again.
    Retry,
    /// Stop going forward.
    Pause,
    /// End a `pause` command.
    Resume,
    /// Go back to what was stable before, and reject what is declared.
    Rollback,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Promote, Self::PromoteFull, Self::Abort, Self::Retry, Self::Pause, Self::Resume, Self::Rollback];

    /// The word in the annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::PromoteFull => "promote-full",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rollback => "rollback",
        }
    }
}

impl Command {
    /// The longest command that is read, in bytes without its reason: its id is kept in the status.
    pub const LONGEST: usize = 200;
    /// The longest reason that is kept, in characters.
    pub const LONGEST_REASON: usize = 256;

    /// Reads `<verb>/<hash>/<id>`, and what follows a space as the reason.
    ///
    /// # Errors
    /// A sentence for `lastCommand.message` that names what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (text, reason) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if text.len() > Self::LONGEST {
            return Err(format!("a command has at most {} characters, not {}", Self::LONGEST, text.len()));
        }
        let mut parts = text.splitn(3, '/');
        let (Some(verb), Some(hash), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("{text:?} is not <verb>/<hash>/<id>"));
        };
        let Some(verb) = Verb::ALL.into_iter().find(|known| known.as_str() == verb) else {
            let known: Vec<_> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
            return Err(format!("{verb:?} is no command; known are {}", known.join(", ")));
        };
        if hash.is_empty() || id.is_empty() {
            return Err(format!("{text:?} lacks the hash or the id"));
        }
        let reason = Some(one_line(reason, Self::LONGEST_REASON)).filter(|reason| !reason.is_empty());
        Ok(Self { verb, hash: Hash::new(hash), id: id.to_owned(), reason })
    }
}

#[cfg(test)]
impl Spec {
    /// These steps, and for the rest what the schema's defaults are.
    pub(crate) fn plain(steps: Vec<Step>) -> Self {
        Self {
            settle: Duration::from_secs(3),
            settle_endpoints: None,
            drain: Duration::from_secs(30),
            keep_warm: Duration::ZERO,
            overlap: Duration::ZERO,
            keep_stable: Weight::FULL,
            pods_at_once: None,
            least_canary: 0,
            ready_threshold: Weight::FULL,
            rollback_window: 0,
            progress_deadline: Duration::from_mins(10),
            crash_limit: CRASH_LIMIT,
            bind_early: false,
            revision_history: 3,
            ready_when: ReadyWhen::Promoted,
            steps,
            background: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_verb_hash_and_id() {
        let command = Command::parse("promote-full/7c9f8b5d5c/2026-11-23/1").unwrap();
        assert_eq!(command.verb, Verb::PromoteFull);
        assert_eq!(command.hash.as_str(), "7c9f8b5d5c");
        assert_eq!((command.id.as_str(), command.reason), ("2026-11-23/1", None));
    }

    #[test]
    fn what_follows_a_space_is_the_reason_on_one_line_and_not_without_end() {
        let reason = |text: &str| Command::parse(&format!("abort/h/7{text}")).map(|it| (it.id, it.reason));
        let of_seven = |reason: Option<String>| Ok(("7".to_owned(), reason));
        assert_eq!(reason("\n calls from\n5/7 shops "), of_seven(Some("calls from 5/7 shops".to_owned())));
        assert_eq!(reason("  "), of_seven(None));
        let cut = format!("{}…", "x".repeat(Command::LONGEST_REASON));
        assert_eq!(reason(&format!(" {}", "x".repeat(300_000))), of_seven(Some(cut)));
    }

    #[test]
    fn an_endless_command_is_refused_without_being_repeated() {
        let refusal = Command::parse(&format!("promote/h/{}", "x".repeat(300_000))).unwrap_err();
        assert!(refusal.len() < 100 && refusal.contains("at most 200"), "{refusal}");
    }

    #[test]
    fn what_is_no_command_says_what_would_be() {
        assert!(Command::parse("promote").unwrap_err().contains("<verb>/<hash>/<id>"));
        assert!(Command::parse("advance/h/1").unwrap_err().contains("promote-full"));
        assert!(Command::parse("abort//1").is_err());
    }
}
