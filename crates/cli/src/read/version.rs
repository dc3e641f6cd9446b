//! `version`: of the plugin, the operator and the CRDs.

use leadsman_api::crds::SCHEMA_VERSION;
use serde::Serialize;

use super::doctor::{self, Installed};
use crate::args::Printed;
use crate::exit::{Exit, Outcome};
use crate::output::Format;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    plugin: &'static str,
    plugin_schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<u32>,
    operators: Vec<String>,
}

/// Prints the versions; what cannot be read is left out.
///
/// # Errors
/// Where it cannot be printed.
pub async fn version(session: &mut Session, printed: &Printed) -> Outcome {
    let Installed { kubernetes, schema, operators, .. } = doctor::installed(&session.cluster).await;
    let versions = Versions {
        plugin: env!("CARGO_PKG_VERSION"),
        plugin_schema: SCHEMA_VERSION,
        kubernetes: kubernetes.ok(),
        schema: schema.ok().flatten(),
        operators: operators.unwrap_or_default().iter().map(|operator| operator.image.clone()).collect(),
    };
    match printed.output {
        Some(Format::Json) => session.screen.json(&versions)?,
        Some(Format::Yaml) => session.screen.yaml(&versions)?,
        _ => {
            let unknown = || "not known".to_owned();
            session
                .screen
                .line(&format!("plugin      {} (CRDs of schema {})", versions.plugin, versions.plugin_schema))?;
            let operators = versions.operators.join(", ");
            session
                .screen
                .line(&format!("operator    {}", if operators.is_empty() { unknown() } else { operators }))?;
            session
                .screen
                .line(&format!("CRDs        {}", versions.schema.map_or_else(unknown, |it| format!("schema {it}"))))?;
            session.screen.line(&format!("Kubernetes  {}", versions.kubernetes.unwrap_or_else(unknown)))?;
        }
    }
    Ok(Exit::Done)
}
