//! What the charts, and Argo CD's customizations, have of the code is what the code says. `cargo xtask chart` writes it.

mod argocd;

use std::path::Path;

use crate::runtime::rbac;

/// What stands beside the chart for people; a test compares the values with those that there are.
const README: &str = "# Leadsman

Progressive delivery for Kubernetes: canaries and blue-green that are judged at every step and go back by themselves.

```sh
helm install leadsman charts/leadsman --namespace leadsman-system --create-namespace --wait \\
  --set prometheus.address=http://prometheus.monitoring:9090
helm test leadsman --namespace leadsman-system
```

[Install](../../docs/install.md), [upgrade](../../docs/upgrade.md), [uninstall](../../docs/uninstall.md),
[security](../../docs/security.md), [policies](../../docs/policies.md), [runbooks](../../docs/runbooks).

## Values

A name that is not here is refused.

```yaml
{values}```
";

/// Each file's path, with its contents.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![("charts/leadsman/templates/_rules.tpl".to_owned(), rbac::template())];
    for chart in ["leadsman", "leadsman-crds"] {
        let crds = leadsman_api::crds::crds().unwrap();
        files.extend(crds.into_iter().map(|(name, yaml)| (format!("charts/{chart}/files/crds/{name}"), yaml)));
    }
    let values = std::fs::read_to_string(root.join("charts/leadsman/values.yaml")).unwrap();
    files.push(("charts/leadsman/README.md".to_owned(), README.replace("{values}", &values)));
    // A chart has no way to the files of another.
    for shared in ["_crd.tpl", "crds.yaml"] {
        let text = std::fs::read_to_string(root.join("charts/leadsman/templates").join(shared)).unwrap();
        files.push((format!("charts/leadsman-crds/templates/{shared}"), text));
    }
    files.extend(argocd::files());
    files
}

#[test]
fn the_charts_are_of_this_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let version = env!("CARGO_PKG_VERSION");
    for (chart, lines) in [
        ("leadsman", &["version: ", "appVersion: ", "    - {name: leadsman, image: \"ghcr.io/leadsman/leadsman:"][..]),
        ("leadsman-crds", &["version: ", "appVersion: "]),
    ] {
        let text = std::fs::read_to_string(root.join("charts").join(chart).join("Chart.yaml")).unwrap();
        for line in lines.iter().map(|start| format!("\n{start}{version}")) {
            assert!(text.contains(&line), "{chart}: {line}");
        }
    }
}

#[test]
fn the_charts_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in files() {
        let file = root.join(&path);
        if std::env::var_os("LEADSMAN_WRITE_CHART").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(written == text, "{path} is stale: cargo xtask chart");
    }
}
