//! Which Rollout is meant: `cart`, `rollout/cart`, `rollouts.leadsman.dev/cart` or `shop/cart`.

use std::str::FromStr;

/// The name of a Rollout, with its namespace where that was given with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The namespace that stood before the name.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// What stands before a slash where it is the kind and no namespace.
const KINDS: [&str; 6] =
    ["rollout", "rollouts", "lro", "rollout.leadsman.dev", "rollouts.leadsman.dev", "rollouts.v1alpha1.leadsman.dev"];

impl FromStr for Target {
    type Err = String;

    /// A namespace that is called like the kind has to be given by `-n`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (before, name) = text.split_once('/').map_or((None, text), |(before, name)| (Some(before), name));
        if name.is_empty() || name.contains('/') || before == Some("") {
            return Err("write the Rollout as cart, rollout/cart or shop/cart".to_owned());
        }
        let namespace = before.filter(|before| !KINDS.contains(&before.to_ascii_lowercase().as_str()));
        Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, String) {
        let target: Target = text.parse().unwrap();
        (target.namespace, target.name)
    }

    #[test]
    fn a_name_is_read_in_all_its_forms() {
        for text in ["cart", "rollout/cart", "rollouts.leadsman.dev/cart", "lro/cart", "Rollouts/cart"] {
            assert_eq!(read(text), (None, "cart".to_owned()), "{text}");
        }
        assert_eq!(read("shop/cart"), (Some("shop".to_owned()), "cart".to_owned()));
    }

    #[test]
    fn half_a_name_is_refused() {
        for text in ["", "/", "shop/", "/cart", "a/b/c"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
