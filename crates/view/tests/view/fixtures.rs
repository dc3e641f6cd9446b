//! Situations: objects as they are read from a cluster, and the instant at which they are looked at.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use leadsman_view::Objects;
use serde_json::Value;

/// A situation.
pub struct Fixture {
    /// Its name: that of its file.
    pub name: String,
    /// When it is looked at.
    pub now: Timestamp,
    /// What there is.
    pub objects: Objects,
}

/// Those that were written by hand, and those that scenarios met on a cluster (`LEADSMAN_RECORD=1 cargo xtask test --full`).
const FOLDERS: [&str; 2] = ["fixtures", "fixtures/bed"];

/// All of them, by name.
pub fn all() -> Vec<Fixture> {
    let mut files: Vec<_> = FOLDERS.into_iter().flat_map(files).collect();
    files.sort();
    assert!(files.len() > 60, "fixtures are missing");
    files.iter().map(|file| read(file)).collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.is_file()).collect()
}

/// One of those that were written by hand.
pub fn named(name: &str) -> Fixture {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.yaml")))
}

fn read(file: &Path) -> Fixture {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let read: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let objects: Vec<Value> = serde_json::from_value(read["objects"].clone()).unwrap();
    Fixture {
        name: if file.extension().is_some_and(|it| it == "json") {
            format!("bed-{}", file.file_stem().unwrap().to_string_lossy())
        } else {
            file.file_stem().unwrap().to_string_lossy().into_owned()
        },
        now: read["now"].as_str().unwrap().parse().unwrap(),
        objects: gathered(&objects),
    }
}

/// Objects by their kinds.
pub fn gathered(objects: &[Value]) -> Objects {
    fn of<T: serde::de::DeserializeOwned>(objects: &[Value], kind: &str) -> Vec<T> {
        let all = objects.iter().filter(|object| object["kind"] == kind);
        all.map(|object| serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{kind}: {error}")))
            .collect()
    }
    let mut rollouts = of(objects, "Rollout");
    assert_eq!(rollouts.len(), 1, "a fixture is about one Rollout");
    Objects {
        rollout: rollouts.remove(0),
        reports: of(objects, "RolloutReport"),
        sets: of(objects, "ReplicaSet"),
        pods: of(objects, "Pod"),
    }
}
