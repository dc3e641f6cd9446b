//! What the charts have of the code is what the code says. `cargo xtask chart` writes it.

use std::path::Path;

use crate::runtime::rbac;

/// Each file's path, with its contents.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![("charts/leadsman/templates/_rules.tpl".to_owned(), rbac::template())];
    for chart in ["leadsman", "leadsman-crds"] {
        let crds = leadsman_api::crds::crds().unwrap();
        files.extend(crds.into_iter().map(|(name, yaml)| (format!("charts/{chart}/files/crds/{name}"), yaml)));
    }
    // A chart has no way to the files of another.
    for shared in ["_crd.tpl", "crds.yaml"] {
        let text = std::fs::read_to_string(root.join("charts/leadsman/templates").join(shared)).unwrap();
        files.push((format!("charts/leadsman-crds/templates/{shared}"), text));
    }
    files
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
