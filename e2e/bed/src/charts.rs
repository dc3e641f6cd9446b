//! What is made of the chart by Helm for those who have no Helm: kustomize bases and `install.yaml`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{binaries::helm, paths::workspace, process::output};

const NAMESPACE: &str = "leadsman-system";
const HEAD: &str = "# Written by cargo xtask chart from charts/leadsman.\n";

/// One file: where it is in `charts/`, the values beside the chart's own, and the templates that it is made of; all of
/// them where none is named.
struct Rendering {
    file: &'static str,
    values: &'static [&'static str],
    templates: &'static [&'static str],
    /// Rights in one namespace are not enough to make it.
    makes_namespace: bool,
}

const RENDERINGS: [Rendering; 8] = [
    Rendering { file: "install.yaml", values: &[], templates: &[], makes_namespace: true },
    Rendering { file: "kustomize/crds/leadsman.yaml", values: &[], templates: &["crds"], makes_namespace: false },
    Rendering {
        file: "kustomize/default/leadsman.yaml",
        values: &["crds.install=false"],
        templates: &[],
        makes_namespace: true,
    },
    Rendering {
        file: "kustomize/namespaced/leadsman.yaml",
        values: &["crds.install=false", "watchNamespaces={leadsman-system}", "policies.ownRoutes.enabled=false"],
        templates: &[],
        makes_namespace: false,
    },
    Rendering {
        file: "kustomize/components/monitoring/leadsman.yaml",
        values: &["serviceMonitor.enabled=true", "prometheusRule.enabled=true", "grafana.dashboards.enabled=true"],
        templates: &["monitors", "prometheusrule", "dashboards"],
        makes_namespace: false,
    },
    Rendering {
        file: "kustomize/components/network-policy/leadsman.yaml",
        values: &["networkPolicy.enabled=true"],
        templates: &["networkpolicy"],
        makes_namespace: false,
    },
    Rendering {
        file: "kustomize/components/policies/leadsman.yaml",
        values: &[
            "policies.ownRoutes.enabled=false",
            "policies.gradual.enabled=true",
            "policies.deployments.enabled=true",
            "policies.commands.enabled=true",
            "policies.selectors.enabled=true",
        ],
        templates: &["policies"],
        makes_namespace: false,
    },
    Rendering {
        file: "kustomize/components/actor/leadsman.yaml",
        values: &["policies.ownRoutes.enabled=false", "policies.recordActor.enabled=true"],
        templates: &["policies"],
        makes_namespace: false,
    },
];

/// The folder of the charts.
pub fn charts() -> PathBuf {
    workspace().join("charts")
}

/// Each file's place, and what has to be in it.
///
/// # Errors
/// When Helm cannot be built, or refuses the chart.
pub fn rendered_charts() -> Result<Vec<(PathBuf, String)>> {
    let helm = helm()?;
    RENDERINGS.iter().map(|rendering| Ok((charts().join(rendering.file), rendering.text(&helm)?))).collect()
}

/// Writes them.
///
/// # Errors
/// As [`rendered_charts`], and when a file cannot be written.
pub fn write_rendered_charts() -> Result<()> {
    for (path, text) in rendered_charts()? {
        fs::create_dir_all(path.parent().context("a file without a folder")?)?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

impl Rendering {
    fn text(&self, helm: &Path) -> Result<String> {
        let mut command = Command::new(helm);
        command.args(["template", "leadsman"]).arg(charts().join("leadsman"));
        // There is nothing that a test of Helm's could be asked for by kubectl.
        command.args(["--namespace", NAMESPACE, "--skip-tests"]);
        command.args(self.values.iter().flat_map(|value| ["--set", value]));
        for template in self.templates {
            command.arg("--show-only").arg(format!("templates/{template}.yaml"));
        }
        let namespace = if self.makes_namespace { namespace() } else { String::new() };
        Ok(format!("{HEAD}{namespace}{}", without_helm(&output(&mut command)?)))
    }
}

/// Pods of the operator are admitted where the strictest level of Pod Security is enforced.
fn namespace() -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    )
}

/// Without the lines that only Helm has a use for.
fn without_helm(text: &str) -> String {
    let of_helm = |line: &&str| {
        let line = line.trim_start();
        ["# Source: ", "helm.sh/chart: ", "helm.sh/resource-policy: ", "app.kubernetes.io/managed-by: Helm"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    text.lines().filter(|line| !of_helm(line)).fold(String::new(), |text, line| text + line.trim_end() + "\n")
}
