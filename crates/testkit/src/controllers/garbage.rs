//! The garbage collector: what is owned goes with its owner, before it or without it, as the deletion asked.

use serde_json::{Value, json};

use crate::kind;
use crate::object::{Name, is_owned_by, list, set, text};
use crate::server::ApiServer;

fn owned(server: &ApiServer, is_owned: impl Fn(&Value) -> bool) -> Vec<Name> {
    let state = server.0.lock();
    let all = kind::ALL.iter().flat_map(|kind| state.store.list(kind, None, &crate::object::Selector::default()));
    all.filter(|object| is_owned(object)).filter_map(|object| Name::of(&object)).collect()
}

/// Deletes what is owned by an object that is gone, unless somebody else owns it too.
pub(super) fn collect(server: &ApiServer, is_owned: impl Fn(&Value) -> bool, uid: &str) {
    let hand = server.hand("garbage-collector");
    for name in owned(server, is_owned) {
        let Some(object) = server.get(name.kind, &name.namespace, &name.name) else { continue };
        let others = list(&object, "/metadata/ownerReferences").iter().any(|owner| text(owner, "/uid") != uid);
        if others {
            hand.edit(&name, |object| disown(object, uid));
        } else {
            hand.delete(&name, "Background");
        }
    }
}

/// Goes on with a deletion that waits: deletes what is owned, or lets go of it, and then the object itself.
pub(super) fn go_on(server: &ApiServer, name: &Name) {
    let Some(object) = server.get(name.kind, &name.namespace, &name.name) else { return };
    let waits = |finalizer: &str| list(&object, "/metadata/finalizers").iter().any(|it| it == finalizer);
    let uid = text(&object, "/metadata/uid");
    let hand = server.hand("garbage-collector");
    let finalizer = if waits("foregroundDeletion") {
        "foregroundDeletion"
    } else if waits("orphan") {
        "orphan"
    } else {
        return;
    };
    let left = owned(server, |object| is_owned_by(object, uid));
    for owned in &left {
        let deleted = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some();
        if finalizer == "orphan" {
            hand.edit(owned, |object| disown(object, uid));
        } else if server.get(owned.kind, &owned.namespace, &owned.name).is_some_and(|object| !deleted(&object)) {
            hand.delete(owned, "Foreground");
        }
    }
    if finalizer == "orphan" || left.is_empty() {
        hand.edit(name, |object| {
            let mut finalizers = list(object, "/metadata/finalizers").to_vec();
            finalizers.retain(|it| it != finalizer);
            set(object, "/metadata/finalizers", json!(finalizers));
        });
    }
}

fn disown(object: &mut Value, uid: &str) {
    let mut owners = list(object, "/metadata/ownerReferences").to_vec();
    owners.retain(|owner| text(owner, "/uid") != uid);
    set(object, "/metadata/ownerReferences", json!(owners));
}
