//! What a field means when it is left out.
//!
//! Defaults of fields inside a list are applied here and not by the API server: a default that the API server writes
//! into a list element makes Argo CD see a difference from Git for ever.

use std::time::Duration;

/// `spec.replicas` of a Rollout that has no pods yet.
pub const REPLICAS: i32 = 1;
/// `spec.crashLimit`.
pub const CRASH_LIMIT: i32 = 3;
/// `spec.progressDeadlineSeconds`.
pub const PROGRESS_DEADLINE_SECONDS: i32 = 600;
/// `spec.revisionHistoryLimit`.
pub const REVISION_HISTORY_LIMIT: i32 = 3;
/// `spec.reportHistoryLimit`.
pub const REPORT_HISTORY_LIMIT: i32 = 10;
/// `traffic.settle`.
pub const SETTLE: &str = "3s";
/// `traffic.drain`.
pub const DRAIN: &str = "30s";

/// `metrics[].interval`.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// `metrics[].interval` of a proportion whose counts are queries over `{{window}}`.
pub const WINDOWED_INTERVAL: Duration = Duration::from_secs(30);
/// `metrics[].initialDelay`.
pub const INITIAL_DELAY: Duration = Duration::ZERO;
/// `metrics[].count` of a step's analysis.
pub const STEP_COUNT: i32 = 1;
/// `metrics[].failureLimit`.
pub const FAILURE_LIMIT: i32 = 0;
/// `metrics[].inconclusiveLimit`.
pub const INCONCLUSIVE_LIMIT: i32 = 0;
/// `metrics[].consecutiveErrorLimit`.
pub const CONSECUTIVE_ERROR_LIMIT: i32 = 4;
/// `metrics[].window`.
pub const WINDOW: Duration = Duration::from_mins(1);
/// `metrics[].minWindow`.
pub const MIN_WINDOW: Duration = Duration::from_secs(30);
/// `metrics[].patience`.
pub const PATIENCE: Duration = Duration::from_mins(10);
/// `proportion.confidence`, in millionths.
pub const CONFIDENCE: u32 = 950_000;
/// `proportion.hardFailure`.
pub const HARD_FAILURE: i32 = 10;
/// The same where too long is what goes wrong: a cold start is slow for everybody.
pub const HARD_FAILURE_OF_LATENCY: i32 = 0;
/// `metrics[].initialDelay` of these.
pub const INITIAL_DELAY_OF_LATENCY: Duration = Duration::from_secs(30);
/// `proportion.minSamples`.
pub const MIN_SAMPLES: i32 = 0;
/// `metrics[].warmUp`.
pub const WARM_UP: Duration = Duration::ZERO;
/// `proportion.delay`.
pub const DELAY: Duration = Duration::from_secs(2);
/// `prometheus.timeout`.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// `basic.secretRef.usernameKey`.
pub const USERNAME_KEY: &str = "username";
/// `basic.secretRef.passwordKey`.
pub const PASSWORD_KEY: &str = "password";
/// `oauth2.secretRef.clientIdKey`.
pub const CLIENT_ID_KEY: &str = "client-id";
/// `oauth2.secretRef.clientSecretKey`.
pub const CLIENT_SECRET_KEY: &str = "client-secret";
/// `clientCertificate.certificateKey`.
pub const CERTIFICATE_KEY: &str = "tls.crt";
/// `clientCertificate.privateKeyKey`.
pub const PRIVATE_KEY_KEY: &str = "tls.key";
/// `datadog.address`.
pub const DATADOG: &str = "https://api.datadoghq.com";
/// `datadog.secretRef.apiKeyKey`.
pub const API_KEY_KEY: &str = "api-key";
/// `datadog.secretRef.applicationKeyKey`.
pub const APPLICATION_KEY_KEY: &str = "app-key";
/// What is added to `traffic.service` for `traffic.stableService`.
pub const STABLE_SUFFIX: &str = "-stable";
/// What is added to `traffic.service` for `traffic.canaryService`.
pub const CANARY_SUFFIX: &str = "-canary";
/// What is added to `blueGreen.activeService` for `blueGreen.previewService`.
pub const PREVIEW_SUFFIX: &str = "-preview";
