//! Labels, annotations and other names that Leadsman writes or reads, in one place.
//!
//! They are part of the contract with users and with earlier versions: none changes its meaning.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// API group of all our kinds.
pub const GROUP: &str = "leadsman.dev";
/// The version that is served.
pub const VERSION: &str = "v1alpha1";

/// Label on ReplicaSets, their pods, our Services and so on their EndpointSlices: hash of the pod template.
pub const REVISION_LABEL: &str = "leadsman.dev/revision";
/// Label on everything that belongs to a Rollout: its name.
pub const ROLLOUT_LABEL: &str = "leadsman.dev/rollout";
/// Label on RolloutReports: how the attempt ended.
pub const OUTCOME_LABEL: &str = "leadsman.dev/outcome";
/// Label on Services that the operator made, with [`FIELD_MANAGER`] as its value: known again when their Rollout is gone.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Annotation on a Rollout: the Git commit that declared it.
pub const COMMIT_ANNOTATION: &str = "leadsman.dev/commit";
/// Annotation on a Rollout: a command from a person, `<verb>/<canary hash>/<id>`, and the reason after a space.
pub const COMMAND_ANNOTATION: &str = "leadsman.dev/command";
/// Annotation on a Rollout: who gave the command. The policy that records actors keeps it.
pub const COMMANDER_ANNOTATION: &str = "leadsman.dev/command-by";
/// Annotation on a ReplicaSet whose template was rejected: why. Survives a lost status.
pub const REJECTED_ANNOTATION: &str = "leadsman.dev/rejected";
/// Annotation on a pod template: when its pods were last to be replaced, as `kubectl rollout restart` writes it.
pub const RESTARTED_AT_ANNOTATION: &str = "kubectl.kubernetes.io/restartedAt";
/// Finalizer of a Rollout while an object that Git owns differs from what it is at rest.
pub const ROUTES_FINALIZER: &str = "leadsman.dev/routes";
/// Field manager of the operator's writes.
pub const FIELD_MANAGER: &str = "leadsman";

/// Longest `metadata.name` of a Rollout: with a dash and a hash it still fits into a label's 63 characters.
pub const MAX_NAME: usize = 52;
/// Longest name of a Service.
pub const MAX_SERVICE: usize = 63;
/// Longest commit that is taken from the annotation: a SHA-256 in hex.
const MAX_COMMIT: usize = 64;

/// The Git commit that declared an object: the annotation [`COMMIT_ANNOTATION`].
///
/// A Flux revision (`main@sha1:3f2c9e1...`) is cut down to its commit. Anything that is empty, longer than 64 characters
/// or has white space in it is no commit. The labels and annotations that Flux and Argo CD put on objects name the
/// Kustomization, HelmRelease or Application and never a commit, so there is nothing else to read here.
pub fn commit_of(metadata: &ObjectMeta) -> Option<String> {
    let text = metadata.annotations.as_ref()?.get(COMMIT_ANNOTATION)?.trim();
    let commit = ["@sha1:", "@sha256:"].iter().find_map(|mark| text.rsplit_once(mark)).map_or(text, |(_, hex)| hex);
    let fits = !commit.is_empty() && commit.len() <= MAX_COMMIT && commit.chars().all(|c| c.is_ascii_graphic());
    fits.then(|| commit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(value: &str) -> Option<String> {
        let annotations = [(COMMIT_ANNOTATION.to_owned(), value.to_owned())].into();
        commit_of(&ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() })
    }

    #[test]
    fn the_annotation_is_the_commit() {
        assert_eq!(commit("3f2c9e1").as_deref(), Some("3f2c9e1"));
        assert_eq!(commit(" 3f2c9e1\n").as_deref(), Some("3f2c9e1"));
    }

    #[test]
    fn a_flux_revision_is_cut_down_to_its_commit() {
        let hex = "3f2c9e1b5d0a4c7e8f9012345678901234567890";
        assert_eq!(commit(&format!("main@sha1:{hex}")).as_deref(), Some(hex));
        assert_eq!(commit(&format!("feature/a@b@sha1:{hex}")).as_deref(), Some(hex));
    }

    #[test]
    fn what_cannot_be_a_commit_is_none() {
        assert_eq!(commit(""), None);
        assert_eq!(commit("main@sha1:"), None);
        assert_eq!(commit("not a commit"), None);
        assert_eq!(commit(&"a".repeat(65)), None);
        assert_eq!(commit_of(&ObjectMeta::default()), None);
    }
}
