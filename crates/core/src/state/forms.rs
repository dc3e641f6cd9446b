//! Every form of the state that was ever persisted, read for ever: a Rollout outlives the version of the operator that
//! wrote its status, and one that cannot be read counts as lost.

use std::path::Path;

use super::{Stage, State};

/// One folder a form, one file a stage. Never edit a file; add a folder when the form changes.
fn fixtures() -> Vec<(String, String)> {
    let forms = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/state");
    let mut files: Vec<_> = std::fs::read_dir(forms)
        .unwrap()
        .flat_map(|form| std::fs::read_dir(form.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let read = |path: std::path::PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    files.into_iter().map(read).collect()
}

#[test]
fn every_form_that_was_ever_persisted_is_read() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 8, "{} fixtures", fixtures.len());
    for (path, text) in fixtures {
        let state: State = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let shown = match &state.stage {
            Stage::Deploying => "deploying",
            Stage::Resting if state.rejected.is_empty() => "resting",
            Stage::Resting => "rolled-back",
            Stage::Releasing(release) if release.preflight.is_some() => "preflight",
            Stage::Releasing(release) if release.shrunk.is_some() && release.paused => "paused-and-shrunk",
            Stage::Releasing(release) if !release.measured.is_empty() => "analysis",
            Stage::Releasing(_) => "releasing",
            Stage::Promoting(_) => "promoting",
            Stage::Leaving(_) => "leaving",
        };
        assert!(path.ends_with(&format!("/{shown}.json")), "{path} is read as {shown}");
    }
}

/// What is read and written again says the same: nothing of an older form is lost on its way into the present one.
#[test]
fn nothing_of_a_form_is_lost_when_it_is_written_again() {
    for (path, text) in fixtures() {
        let before: serde_json::Value = serde_json::from_str(&text).unwrap();
        let state: State = serde_json::from_value(before.clone()).unwrap();
        let after = serde_json::to_value(&state).unwrap();
        lost(&path, "", &before, &after);
    }
}

fn lost(path: &str, at: &str, before: &serde_json::Value, after: &serde_json::Value) {
    use serde_json::Value::{Array, Object};
    match (before, after) {
        (Object(before), Object(after)) => {
            // What is not there was `null` once.
            for (key, value) in before.iter().filter(|(_, value)| !value.is_null()) {
                let Some(kept) = after.get(key) else { panic!("{path}: {at}/{key} is lost") };
                lost(path, &format!("{at}/{key}"), value, kept);
            }
        }
        (Array(before), Array(after)) => {
            assert_eq!(before.len(), after.len(), "{path}: {at}");
            before.iter().zip(after).for_each(|(before, after)| lost(path, at, before, after));
        }
        _ => assert_eq!(before, after, "{path}: {at}"),
    }
}
