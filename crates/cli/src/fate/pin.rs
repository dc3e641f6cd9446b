//! What was deployed, as a pipeline knows it: an image, a commit or the number of an attempt.

use leadsman_api::{Rollout, RolloutReport, commit_of};

/// What was deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// An image, of one container or of any.
    Image {
        /// The container; `None` for any.
        container: Option<String>,
        /// The image; parts before a slash may be left out.
        image: String,
    },
    /// A Git commit; seven characters of it are enough.
    Commit(String),
    /// The number of an attempt.
    Revision(i64),
}

/// Fewer characters than these may be the beginning of another commit.
const LEAST_OF_A_COMMIT: usize = 7;

impl Pin {
    /// Reads `[CONTAINER=]IMAGE`.
    pub fn image(text: &str) -> Self {
        match text.split_once('=') {
            Some((container, image)) => Self::Image { container: Some(container.to_owned()), image: image.to_owned() },
            None => Self::Image { container: None, image: text.to_owned() },
        }
    }

    /// The hash of the pod template that it is about, where that is declared or, for a number, known.
    pub(super) fn find(&self, rollout: &Rollout) -> Option<String> {
        let is_declared = match self {
            Self::Image { container, image } => has_image(&rollout.spec.template.images(), container.as_deref(), image),
            Self::Commit(commit) => commit_of(&rollout.metadata).is_some_and(|it| is_same_commit(&it, commit)),
            Self::Revision(number) => return hash_of(rollout, *number),
        };
        is_declared.then(|| rollout.spec.template.hash())
    }

    /// Whether an attempt that was made is the one: only of what never comes a second time.
    pub(super) fn is_of(&self, report: &RolloutReport) -> bool {
        match self {
            Self::Image { .. } => false,
            Self::Commit(wanted) => report.spec.canary.commit.as_ref().is_some_and(|it| is_same_commit(it, wanted)),
            Self::Revision(number) => report.spec.revision == *number,
        }
    }

    /// How it is called in a sentence.
    pub fn words(&self) -> String {
        match self {
            Self::Image { image, .. } => image.clone(),
            Self::Commit(commit) => format!("commit {commit}"),
            Self::Revision(number) => format!("revision {number}"),
        }
    }
}

fn hash_of(rollout: &Rollout, number: i64) -> Option<String> {
    let status = rollout.status.as_ref()?;
    let known = [&status.canary, &status.stable].into_iter().flatten().map(|it| (it.revision, &it.hash));
    let rejected = status.rejected.iter().map(|it| (it.revision, &it.hash));
    known.chain(rejected).find(|(revision, _)| *revision == number).map(|(_, hash)| hash.clone())
}

/// `images` are as in the status: container=image.
fn has_image(images: &[String], container: Option<&str>, wanted: &str) -> bool {
    images.iter().filter_map(|it| it.split_once('=')).any(|(name, image)| {
        container.is_none_or(|container| container == name)
            && (image == wanted || image.strip_suffix(wanted).is_some_and(|before| before.ends_with('/')))
    })
}

fn is_same_commit(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    short == long || (short.len() >= LEAST_OF_A_COMMIT && long.starts_with(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(all: &[&str]) -> Vec<String> {
        all.iter().map(|&it| it.to_owned()).collect()
    }

    #[test]
    fn an_image_is_known_without_its_registry() {
        let declared = images(&["cart=registry.example/shop/cart:1.4.2", "proxy=envoy:1"]);
        assert!(has_image(&declared, None, "cart:1.4.2"));
        assert!(has_image(&declared, None, "shop/cart:1.4.2"));
        assert!(has_image(&declared, Some("cart"), "registry.example/shop/cart:1.4.2"));
        assert!(!has_image(&declared, Some("proxy"), "cart:1.4.2"));
        assert!(!has_image(&declared, None, "art:1.4.2"), "only whole parts may be left out");
        assert!(!has_image(&declared, None, "cart:1.4"));
    }

    #[test]
    fn a_commit_is_known_by_its_first_seven_characters() {
        let whole = "3f2c9e1b5d0a4c7e8f9012345678901234567890";
        assert!(is_same_commit(whole, "3f2c9e1"));
        assert!(is_same_commit("3f2c9e1", whole));
        assert!(!is_same_commit(whole, "3f2c"));
        assert!(!is_same_commit(whole, "3f2c9e2"));
    }

    #[test]
    fn an_image_may_name_its_container() {
        let cart = Pin::Image { container: Some("cart".to_owned()), image: "cart:2".to_owned() };
        assert_eq!(Pin::image("cart=cart:2"), cart);
        assert_eq!(Pin::image("cart:2"), Pin::Image { container: None, image: "cart:2".to_owned() });
    }
}
