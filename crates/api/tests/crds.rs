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
