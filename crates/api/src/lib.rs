//! Leadsman's custom resources as types, exactly as they stand on the wire, and the CRDs generated from them.
//!
//! Nothing here does IO or takes a decision. What the API server can refuse, it refuses by the schema and the CEL rules
//! that are declared beside the fields; what needs a look at other objects is left to the operator. Reading is lenient:
//! durations and conditions stay text until somebody asks for their meaning, so that one odd object never keeps the
//! others from being read.

#![allow(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    reason = "what is written on fields is what kubectl explain prints, as plain text"
)]

mod analysis;
mod blue_green;
mod builtin;
mod canary;
pub mod crds;
pub mod defaults;
mod duration;
mod hash;
mod metric;
pub mod names;
mod percent;
mod proportion;
mod provider;
mod report;
mod rollout;
mod route;
mod schema;
mod status;
mod template;
mod traffic;

pub use analysis::{
    Analysis, AnalysisTemplate, AnalysisTemplateSpec, Argument, BackgroundAnalysis, ClusterAnalysisTemplate,
    ClusterAnalysisTemplateSpec, DeclaredArgument, TemplateReference,
};
pub use blue_green::BlueGreen;
pub use builtin::{Builtin, Envoy, Istio, IstioReporter, Linkerd, LinkerdReporter, RequestDuration, SuccessRate};
pub use canary::{Canary, Pause, SetCanaryScale, Step};
pub use duration::{Duration, InvalidDuration};
pub use hash::pod_template_hash;
pub use leadsman_core::analysis::metric::{OnNoData, OnProviderError};
pub use leadsman_core::analysis::proportion::{OnInconclusive, OnSharedFailure};
pub use leadsman_core::analysis::verdict::Verdict;
pub use leadsman_core::report::Phase;
pub use leadsman_core::spec::ReadyWhen;
pub use metric::Metric;
pub use names::commit_of;
pub use percent::{InvalidPercent, InvalidShare, Percent, Share};
pub use proportion::{Against, AgainstStable, Latency, Proportion, TrafficShare};
pub use provider::{
    Aggregator, Authentication, Basic, BasicSecretReference, Bearer, CertificateReference, Datadog,
    DatadogSecretReference, Header, Job, Method, OAuth2, OAuth2SecretReference, Parameter, Prometheus, Provider,
    SecretKeyReference, Tls, Web, WebHeader,
};
pub use report::{
    Change, PodWords, ReportFact, ReportGate, ReportRevision, RequestCounts, RolloutReport, RolloutReportSpec, Shown,
    WayBack,
};
pub use rollout::{RollbackWindow, Rollout, RolloutSpec, Selector, Strategy};
pub use route::{HttpRouteGroup, HttpRouteReference, Route, RouteReference, VirtualServiceReference};
pub use status::{
    CommandOutcome, CommandStatus, LastCommand, MetricStatus, NextStatus, RecentMeasurement, RejectedRevision,
    RevisionStatus, RolloutStatus, StepStatus, WaitingStatus, WeightStatus,
};
pub use template::PodTemplate;
pub use traffic::{AcceptancePolicy, BindCanary, ServicePort, Traffic};
