//! The blue-green strategy: a preview beside what serves, and all traffic over at once.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::Analysis;
use crate::duration::Duration;
use crate::route::{Route, each_http_route_once, each_once};
use crate::schema::{LABEL_NAME, MAX_LABEL, pods_or_percent};
use crate::traffic::{AcceptancePolicy, ServicePort, default_drain, default_settle, named_where_several};

/// Blue-green: the new revision is shown to nobody but previewService until it gets all traffic at once.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "(has(self.previewService) ? self.previewService : self.activeService + '-preview') != self.activeService"
    )
    .message("activeService and previewService must be two different Services")
    .field_path(".previewService"),
    validation = Rule::new("has(self.previewService) || size(self.activeService) <= 55")
        .message("activeService must be no more than 55 characters where previewService is named after it")
        .field_path(".activeService"),
    validation = Rule::new("has(self.routes) || !has(self.service)")
        .message("service must be left out without routes: activeService is what clients call")
        .field_path(".service"),
    validation = (
        "!has(self.routes) || has(self.service) || has(self.ports)",
        "blueGreen with routes must have service or ports: the ports of activeService and previewService are taken from one \
        of them"
    ),
    validation = Rule::new(
        "!has(self.service) \
        || (has(self.previewService) ? self.previewService : self.activeService + '-preview') != self.service"
    )
    .message("previewService must not be service: what clients call must not be bound to the preview")
    .field_path(".previewService"),
    validation = Rule::new("!has(self.overlap) || !has(self.routes)")
        .message("overlap must be left out with routes: they go over in one write")
        .field_path(".overlap"),
    validation = Rule::new("!has(self.autoPromotionAfter) || self.autoPromotion")
        .message("autoPromotionAfter must be left out where autoPromotion is false")
        .field_path(".autoPromotionAfter")
)]
pub struct BlueGreen {
    /// What clients call. Without routes its selector carries the traffic: it has no selector in Git, or is made by Leadsman
    /// where ports are given. With routes: the backend that has all traffic, made by Leadsman.
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub active_service: String,

    /// The Service of the new revision until it is promoted, made by Leadsman; bound to stable pods at other times. Left out:
    /// the name of activeService with -preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub preview_service: Option<String>,

    /// With routes: the Service that is their parent or host, from which ports are read. It is never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub service: Option<String>,

    /// Ports of the Services that Leadsman makes. Left out: those of service, or, without routes, of activeService. Given
    /// without routes: activeService is made as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = named_where_several())]
    pub ports: Option<Vec<ServicePort>>,

    /// The routes of a mesh or gateway that name both Services, 100 for activeService and 0 for previewService. Left out: the
    /// selector of activeService carries the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        validation = each_http_route_once(),
        validation = each_once("grpcRoute", "GRPCRoute"),
        validation = each_once("virtualService", "VirtualService")
    )]
    pub routes: Option<Vec<Route>>,

    /// Whose acceptance of a route is waited for after each write to it: any parent's that reports on it, that of all parents,
    /// or, with Ignore, nobody's.
    #[serde(default)]
    pub acceptance: AcceptancePolicy,

    /// How long a written split is given to reach the proxies before it counts as in force, or, without routes, what a
    /// Service selects.
    #[serde(default = "default_settle")]
    pub settle: Duration,

    /// The same of a binding, that is of the pods behind a Service. Left out: settle. Some load balancers take minutes for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_endpoints: Option<Duration>,

    /// How long pods without traffic are kept before they are scaled down, for requests that are still open.
    #[serde(default = "default_drain")]
    pub drain: Duration,

    /// Pods of the preview until it is promoted; then it grows to replicas before it gets traffic. Left out: replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub preview_replicas: Option<i32>,

    /// How many pods of the preview may be started at a time, as a number or as a part of replicas, like 25%. Left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pods_or_percent")]
    pub pods_at_once: Option<IntOrString>,

    /// Measured before the new revision gets any traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis: Option<Analysis>,

    /// False: the preview waits until a person promotes it.
    #[serde(default = "yes")]
    pub auto_promotion: bool,

    /// How long the preview is shown before it gets the traffic; promoting it ends that earlier. Left out: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_promotion_after: Option<Duration>,

    /// Without routes: how long activeService selects both revisions before it selects the new one alone. Behind a load
    /// balancer that registers pods by itself, as long as that takes: 60s or more; the way back takes it as well then, where it is longer than settle. Left out: settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Duration>,

    /// Measured while the new revision has all traffic, and the old one is still whole: if it fails, the traffic goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis: Option<Analysis>,

    /// How long the old revision is kept whole after that: going back to it takes no waiting for pods. Left out: drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_delay: Option<Duration>,
}

fn yes() -> bool {
    true
}
