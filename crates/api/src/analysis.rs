//! AnalysisTemplate and ClusterAnalysisTemplate, and how a Rollout uses them.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::schema::{ARGUMENT_NAME, MAX_LABEL, MAX_OBJECT_NAME, OBJECT_NAME, is_default};

/// Measurements of a step: from templates, written out here, or both.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(has(self.templates) && size(self.templates) > 0) || (has(self.metrics) && size(self.metrics) > 0)",
    "an analysis must have templates or metrics"
))]
pub struct Analysis {
    /// Templates whose metrics are measured. All analyses of a Rollout may have 64 metrics together, which may take 64 KiB
    /// with their arguments filled in; a template that two steps use counts twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub templates: Vec<TemplateReference>,

    /// Values of the arguments that templates and metrics use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub args: Vec<Argument>,

    /// Metrics written out here, as in a template; they count with those of the templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<Metric>,
}

/// Measurements that run beside the steps.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(has(self.templates) && size(self.templates) > 0) || (has(self.metrics) && size(self.metrics) > 0)",
    "an analysis must have templates or metrics"
))]
pub struct BackgroundAnalysis {
    /// Index of the step at which it begins; the first step is 0. Left out: the first step with traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub starting_step: Option<i32>,

    /// Templates whose metrics are measured. All analyses of a Rollout may have 64 metrics together, which may take 64 KiB
    /// with their arguments filled in; a template that two steps use counts twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub templates: Vec<TemplateReference>,

    /// Values of the arguments that templates and metrics use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub args: Vec<Argument>,

    /// Metrics written out here, as in a template; they count with those of the templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<Metric>,
}

/// A template by its name.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateReference {
    /// Name of the AnalysisTemplate in the Rollout's namespace, or of the ClusterAnalysisTemplate.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub template_name: String,

    /// True: a ClusterAnalysisTemplate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cluster_scope: bool,
}

/// An argument and its value.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// Name of the argument.
    #[schemars(length(max = MAX_LABEL), regex(pattern = ARGUMENT_NAME))]
    pub name: String,

    /// Value of the argument.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// An argument that a template takes.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredArgument {
    /// Name of the argument: {{args.NAME}} in a query, args.NAME in a condition (args['NAME'] for a name with a dash).
    #[schemars(length(max = MAX_LABEL), regex(pattern = ARGUMENT_NAME))]
    pub name: String,

    /// Value where the Rollout gives none. Left out: the Rollout must give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
}

/// What is measured, for the Rollouts of one namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "leadsman.dev",
    version = "v1alpha1",
    kind = "AnalysisTemplate",
    namespaced,
    doc = "An AnalysisTemplate says what is measured during a release, for the Rollouts of its namespace.",
    derive = "PartialEq",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct AnalysisTemplateSpec {
    /// Arguments that queries and conditions use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub args: Vec<DeclaredArgument>,

    /// What is measured. All of them must do well.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<Metric>,
}

/// What is measured, for the Rollouts of all namespaces.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "leadsman.dev",
    version = "v1alpha1",
    kind = "ClusterAnalysisTemplate",
    doc = "A ClusterAnalysisTemplate says what is measured during a release, for the Rollouts of all namespaces. Secrets \
        that it names are read from the namespace of the operator.",
    derive = "PartialEq",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct ClusterAnalysisTemplateSpec {
    /// Arguments that queries and conditions use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub args: Vec<DeclaredArgument>,

    /// What is measured. All of them must do well.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<Metric>,
}

/// Both kinds of template say the same; only who may use them differs.
impl From<ClusterAnalysisTemplateSpec> for AnalysisTemplateSpec {
    fn from(ClusterAnalysisTemplateSpec { args, metrics }: ClusterAnalysisTemplateSpec) -> Self {
        Self { args, metrics }
    }
}
