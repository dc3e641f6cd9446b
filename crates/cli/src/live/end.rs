//! When a release that is followed has ended: promoted, rolled back, or superseded by another template.

use leadsman_api::{Phase, Rollout};

/// What is followed: the template that was declared at the first look.
#[derive(Debug, Default)]
pub(super) struct Followed(Option<String>);

impl Followed {
    /// Whether it has ended. A status of the generation before says nothing.
    pub fn has_ended(&mut self, rollout: &Rollout) -> bool {
        let declared = rollout.spec.template.hash();
        if *self.0.get_or_insert_with(|| declared.clone()) != declared {
            return true;
        }
        let Some(status) = &rollout.status else { return false };
        let is_of_now = status.observed_generation >= rollout.metadata.generation;
        is_of_now && matches!(status.phase, Some(Phase::Healthy | Phase::RolledBack))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout(image: &str, generation: i64, observed: i64, phase: &str) -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "cart", "generation": generation},
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "strategy": {},
                "template": {"spec": {"containers": [{"name": "a", "image": image}]}}},
            "status": {"phase": phase, "observedGeneration": observed},
        }))
        .unwrap()
    }

    #[test]
    fn it_ends_with_the_release_and_not_with_what_was_said_of_the_one_before() {
        let mut followed = Followed::default();
        assert!(!followed.has_ended(&rollout("a:2", 2, 1, "Healthy")));
        assert!(!followed.has_ended(&rollout("a:2", 2, 2, "Progressing")));
        assert!(!followed.has_ended(&rollout("a:2", 2, 2, "Paused")));
        assert!(followed.has_ended(&rollout("a:2", 2, 2, "Healthy")));
        assert!(followed.has_ended(&rollout("a:2", 2, 2, "RolledBack")));
        assert!(followed.has_ended(&rollout("a:3", 3, 2, "Progressing")), "another template supersedes it");
    }
}
