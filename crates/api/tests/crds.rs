//! The files in `crds/` are what the types say.

use std::collections::BTreeMap;
use std::path::Path;

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds")
}

#[test]
fn crds_are_up_to_date() {
    let generated: BTreeMap<_, _> = leadsman_api::crds::crds().unwrap().into_iter().collect();
    let committed: BTreeMap<_, _> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect();
    for name in generated.keys().chain(committed.keys()) {
        assert!(
            generated.get(name) == committed.get(name),
            "crds/{name} is not what crates/api generates; mend it with: cargo xtask crds (a file that is not generated: git rm)"
        );
    }
}

/// kubectl and Argo CD put what they apply into an annotation, which may have 256 KiB: a larger CRD could not be applied by
/// either without server-side apply.
#[test]
fn crds_fit_into_an_annotation() {
    for (name, crd) in leadsman_api::crds::values() {
        let bytes = crd.to_string().len();
        assert!(bytes < 224 * 1024, "{name} has {bytes} bytes");
    }
}

/// What the schemas were when their version was last counted up.
const SCHEMAS: (&str, &str) = ("6", "dd399a4e72");

#[test]
fn a_changed_schema_has_another_version() {
    let values = leadsman_api::crds::values();
    let schemas: Vec<_> = values.iter().map(|(_, crd)| crd["spec"]["versions"].clone()).collect();
    let hash = leadsman_api::pod_template_hash(&serde_json::json!(schemas));
    for (name, crd) in &values {
        let version = crd["metadata"]["annotations"][leadsman_api::crds::SCHEMA_VERSION_ANNOTATION].as_str();
        assert_eq!(
            (version, hash.as_str()),
            (Some(SCHEMAS.0), SCHEMAS.1),
            "{name}: the schemas changed: count SCHEMA_VERSION up in crates/api/src/crds.rs, and write both down here"
        );
    }
}
