//! What differs between two revisions.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Change;

/// A pod template, and what it is called.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Like revision 4.
    pub name: String,
    /// Git commit that declared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Like stable, or rolled back; empty where there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// The pod template; never printed as a whole.
    #[serde(skip)]
    pub template: Value,
}

/// What differs between two pod templates.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The one.
    pub before: Named,
    /// The other.
    pub after: Named,
    /// Images first, then in the order of the fields.
    pub changes: Vec<Change>,
    /// What is no part of the templates and may matter all the same, a sentence each. Whoever reads the cluster adds them.
    pub notes: Vec<String>,
}
