//! The name of a namespaced object.
//!
//! Keys are everywhere, and mostly of the same few namespaces: a copy shares its text with what it was copied from, and all keys
//! of a namespace share its name.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace; empty for objects that have none.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// Namespace and name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: known(namespace), name: name.into() }
    }

    /// Another object of the same namespace.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self { namespace: Arc::clone(&self.namespace), name: name.into() }
    }
}

/// The one copy of a namespace's name. None is given up: a cluster has far fewer of them than of anything in them.
fn known(namespace: &str) -> Arc<str> {
    static KNOWN: LazyLock<RwLock<HashSet<Arc<str>>>> = LazyLock::new(RwLock::default);
    if let Some(known) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(namespace) {
        return Arc::clone(known);
    }
    let mut all = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(namespace) {
        return Arc::clone(known);
    }
    let new: Arc<str> = namespace.into();
    all.insert(Arc::clone(&new));
    new
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_namespace_share_its_name() {
        let (shop, cart) = (Key::new("n", "shop"), Key::new("n", "cart"));
        assert!(Arc::ptr_eq(&shop.namespace, &cart.namespace));
        assert_eq!(shop.beside("cart"), cart);
        assert_ne!(Key::new("m", "shop"), shop);
    }
}
