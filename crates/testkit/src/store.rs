//! What is stored, and every version of it that there ever was: one sequence of resourceVersions over all kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::core::Status;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::kind::Kind;
use crate::object::{Name, Selector, list, set, text, unset};
use crate::ownership::Ownership;
use crate::refusal::{Answer, Refusal};

/// What the first day of every test is.
pub const BEGINNING: Timestamp = Timestamp::constant(1_767_225_600, 0);

const MANAGED_FIELDS: &str = "/metadata/managedFields";

/// One change, in the order of resourceVersions.
#[derive(Clone, Debug)]
pub struct Change {
    /// The resourceVersion that it made.
    pub version: u64,
    /// When.
    pub at: Instant,
    /// Who made it: the name of a connection, a controller or a person.
    pub by: Arc<str>,
    /// Which object.
    pub name: Name,
    /// As it was; `None` for one that was created.
    pub before: Option<Arc<Value>>,
    /// As it is; `None` for one that is gone.
    pub after: Option<Arc<Value>>,
}

impl Change {
    /// The newest state of the object that there is.
    pub fn object(&self) -> &Value {
        static NULL: Value = Value::Null;
        self.after.as_deref().or(self.before.as_deref()).unwrap_or(&NULL)
    }
}

#[derive(Clone)]
struct Stored {
    object: Arc<Value>,
    ownership: Ownership,
}

/// How a write is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    /// Who, for the history.
    pub by: &'a str,
    /// The field manager.
    pub manager: &'a str,
}

/// What is done to an object of a kind before it is stored, whoever writes it.
pub(crate) type Webhook = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// Everything that is stored.
pub(crate) struct Store {
    /// Mutating admission webhooks, in their order.
    pub webhooks: Vec<(&'static Kind, Webhook)>,
    began: Instant,
    version: u64,
    uids: u64,
    compacted: u64,
    objects: BTreeMap<(&'static str, String, String), Stored>,
    history: Vec<Change>,
}

impl Store {
    pub fn new() -> Self {
        // Versions that begin high and uids that do not look like names keep mistakes from passing unseen.
        Self {
            webhooks: Vec::new(),
            began: Instant::now(),
            version: 1000,
            uids: 0,
            compacted: 0,
            objects: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::ZERO);
        BEGINNING.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Versions up to the present one cannot be watched from any more.
    pub fn compact(&mut self) {
        self.compacted = self.version;
    }

    pub fn history(&self) -> &[Change] {
        &self.history
    }

    /// All changes after a version.
    pub fn since(&self, version: u64) -> Answer<&[Change]> {
        if version < self.compacted {
            return Err(Refusal::too_old(version, self.compacted));
        }
        let first = self.history.partition_point(|change| change.version <= version);
        Ok(self.history.get(first..).unwrap_or_default())
    }

    pub fn get(&self, name: &Name) -> Option<&Arc<Value>> {
        self.objects.get(&name.key()).map(|stored| &stored.object)
    }

    /// The objects of a kind, by namespace and name; in all namespaces without one.
    pub fn list(&self, kind: &Kind, namespace: Option<&str>, selector: &Selector) -> Vec<Arc<Value>> {
        let of_kind = self
            .objects
            .iter()
            .filter(|((its, within, _), _)| *its == kind.kind && namespace.is_none_or(|namespace| namespace == within));
        of_kind.map(|(_, stored)| &stored.object).filter(|object| selector.selects(object)).cloned().collect()
    }

    fn put(&mut self, writer: Writer<'_>, name: &Name, mut object: Value, ownership: Ownership) -> Value {
        self.version += 1;
        set(&mut object, "/metadata/resourceVersion", json!(self.version.to_string()));
        set(&mut object, MANAGED_FIELDS, ownership.managed_fields());
        let after = Arc::new(object);
        let stored = Stored { object: Arc::clone(&after), ownership };
        let before = self.objects.insert(name.key(), stored).map(|stored| stored.object);
        let answer = (*after).clone();
        self.note(writer, name, before, Some(after));
        answer
    }

    fn note(&mut self, writer: Writer<'_>, name: &Name, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        let (version, at, by) = (self.version, Instant::now(), Arc::from(writer.by));
        self.history.push(Change { version, at, by, name: name.clone(), before, after });
    }

    pub fn create(&mut self, writer: Writer<'_>, name: &Name, mut object: Value) -> Answer<Value> {
        if self.get(name).is_some() {
            return Err(Refusal::already_exists(name));
        }
        if !text(&object, "/metadata/resourceVersion").is_empty() {
            return Err(Refusal::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        self.admit(name, &mut object);
        let mut ownership = Ownership::default();
        ownership.updated(writer.manager, &json!({}), &object);
        self.uids += 1;
        self.complete(name, &mut object);
        Ok(self.put(writer, name, object, ownership))
    }

    /// What a create would be answered; nothing is stored.
    pub fn dry_run(&self, name: &Name, mut object: Value) -> Answer<Value> {
        if self.get(name).is_some() {
            return Err(Refusal::already_exists(name));
        }
        self.admit(name, &mut object);
        self.complete(name, &mut object);
        Ok(object)
    }

    fn admit(&self, name: &Name, object: &mut Value) {
        for (_, webhook) in self.webhooks.iter().filter(|(kind, _)| *kind == name.kind) {
            webhook(object);
        }
    }

    /// What the server itself gives to a new object.
    fn complete(&self, name: &Name, object: &mut Value) {
        set(object, "/apiVersion", json!(name.kind.api_version()));
        set(object, "/kind", json!(name.kind.kind));
        set(object, "/metadata/name", json!(name.name));
        if name.kind.namespaced {
            set(object, "/metadata/namespace", json!(name.namespace));
        }
        let now = Timestamp::from_second(self.now().as_second()).unwrap_or(BEGINNING);
        set(object, "/metadata/creationTimestamp", json!(now.to_string()));
        set(object, "/metadata/uid", json!(format!("{:08x}-uid", self.uids)));
        if name.kind.has_generation {
            set(object, "/metadata/generation", json!(1));
        }
        if name.kind.has_status {
            unset(object, "/status");
        }
    }

    /// Replaces what is declared; of a kind with the status as a subresource, `status` is ignored.
    pub fn replace(&mut self, writer: Writer<'_>, name: &Name, object: Value) -> Answer<Value> {
        let before = self.present(name)?;
        check_version(name, &before, &object)?;
        check_uid(name, &before, &object)?;
        self.change(writer, name, object)
    }

    /// Replaces the status and nothing else.
    pub fn replace_status(&mut self, writer: Writer<'_>, name: &Name, object: &Value) -> Answer<Value> {
        let before = self.present(name)?;
        check_version(name, &before, object)?;
        check_uid(name, &before, object)?;
        let mut after = (*before).clone();
        match object.get("status") {
            Some(status) => set(&mut after, "/status", status.clone()),
            None => unset(&mut after, "/status"),
        }
        self.admit(name, &mut after);
        if after == *before {
            return Ok(after);
        }
        let ownership = self.objects.get(&name.key()).map(|stored| stored.ownership.clone()).unwrap_or_default();
        Ok(self.put(writer, name, after, ownership))
    }

    pub fn json_patch(&mut self, writer: Writer<'_>, name: &Name, patch: &[u8]) -> Answer<Value> {
        let before = self.present(name)?;
        let malformed = |error: serde_json::Error| Refusal::new(400, "BadRequest", &error.to_string());
        let patch: json_patch::Patch = serde_json::from_slice(patch).map_err(malformed)?;
        let mut object = (*before).clone();
        json_patch::patch(&mut object, &patch).map_err(|_| Refusal::failed_test())?;
        self.change(writer, name, object)
    }

    pub fn merge_patch(&mut self, writer: Writer<'_>, name: &Name, patch: &Value) -> Answer<Value> {
        let before = self.present(name)?;
        check_version(name, &before, patch)?;
        let mut object = (*before).clone();
        json_patch::merge(&mut object, patch);
        immutable_uid(name, &before, &object)?;
        self.change(writer, name, object)
    }

    pub fn apply(&mut self, writer: Writer<'_>, name: &Name, fragment: &Value, force: bool) -> Answer<Value> {
        let Some(stored) = self.objects.get(&name.key()).cloned() else {
            // A version in the fragment means nothing here, as on the real server; a uid does.
            let uid = text(fragment, "/metadata/uid");
            if !uid.is_empty() {
                return Err(Refusal::another_uid(name, uid));
            }
            let (mut object, mut ownership) = (json!({}), Ownership::default());
            ownership
                .apply(writer.manager, &mut object, fragment, force)
                .map_err(|why| Refusal::new(409, "Conflict", &why))?;
            self.admit(name, &mut object);
            self.uids += 1;
            self.complete(name, &mut object);
            return Ok(self.put(writer, name, object, ownership));
        };
        check_version(name, &stored.object, fragment)?;
        let uid = text(fragment, "/metadata/uid");
        if !uid.is_empty() && uid != text(&stored.object, "/metadata/uid") {
            return Err(Refusal::another_uid(name, uid));
        }
        let (mut object, mut ownership) = ((*stored.object).clone(), stored.ownership);
        let applied = ownership.apply(writer.manager, &mut object, fragment, force);
        applied.map_err(|why| Refusal::new(409, "Conflict", &why))?;
        Ok(self.finish(writer, name, &stored.object, object, ownership))
    }

    fn present(&self, name: &Name) -> Answer<Arc<Value>> {
        self.get(name).cloned().ok_or_else(|| Refusal::not_found(name))
    }

    /// A write of the whole object: what the server keeps to itself is kept.
    fn change(&mut self, writer: Writer<'_>, name: &Name, mut object: Value) -> Answer<Value> {
        let Some(stored) = self.objects.get(&name.key()).cloned() else { return Err(Refusal::not_found(name)) };
        let before = &stored.object;
        for field in ["uid", "creationTimestamp", "deletionTimestamp", "generation"] {
            let pointer = format!("/metadata/{field}");
            match before.pointer(&pointer) {
                Some(value) => set(&mut object, &pointer, value.clone()),
                None => unset(&mut object, &pointer),
            }
        }
        if name.kind.has_status {
            match before.get("status") {
                Some(status) => set(&mut object, "/status", status.clone()),
                None => unset(&mut object, "/status"),
            }
        }
        let mut ownership = stored.ownership;
        ownership.edited(object.pointer(MANAGED_FIELDS));
        ownership.updated(writer.manager, before, &object);
        Ok(self.finish(writer, name, before, object, ownership))
    }

    /// Counts the generation and stores, unless nothing changed; lets go of what is deleted and held by nobody.
    fn finish(
        &mut self,
        writer: Writer<'_>,
        name: &Name,
        before: &Value,
        mut object: Value,
        ownership: Ownership,
    ) -> Value {
        self.admit(name, &mut object);
        set(&mut object, "/metadata/resourceVersion", json!(text(before, "/metadata/resourceVersion")));
        set(&mut object, MANAGED_FIELDS, ownership.managed_fields());
        if object == *before {
            return object;
        }
        if name.kind.has_generation && declared(before) != declared(&object) {
            let generation = crate::object::number(before, "/metadata/generation") + 1;
            set(&mut object, "/metadata/generation", json!(generation));
        }
        let held = !list(&object, "/metadata/finalizers").is_empty();
        let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
        let answer = self.put(writer, name, object, ownership);
        if deleted && !held {
            self.remove(writer, name);
        }
        answer
    }

    fn remove(&mut self, writer: Writer<'_>, name: &Name) {
        if let Some(stored) = self.objects.remove(&name.key()) {
            self.version += 1;
            // The last state bears the version of the deletion, so that who watches can go on from there.
            let mut last = (*stored.object).clone();
            set(&mut last, "/metadata/resourceVersion", json!(self.version.to_string()));
            self.note(writer, name, Some(Arc::new(last)), None);
        }
    }

    /// Deletes, or marks as deleted what a finalizer holds. `options` as in the body of the request.
    pub fn delete(&mut self, writer: Writer<'_>, name: &Name, options: &Value) -> Answer<Value> {
        let before = self.present(name)?;
        for (precondition, pointer) in [("uid", "/metadata/uid"), ("resourceVersion", "/metadata/resourceVersion")] {
            let wanted = text(options, &format!("/preconditions/{precondition}"));
            let is = text(&before, pointer);
            if !wanted.is_empty() && wanted != is {
                let why = format!(
                    "the {precondition} in the precondition ({wanted}) does not match the {precondition} in record ({is})"
                );
                return Err(Refusal::conflict(name, &why));
            }
        }
        let mut object = (*before).clone();
        let policy = text(options, "/propagationPolicy");
        let holds = match policy {
            "Foreground" => Some("foregroundDeletion"),
            "Orphan" => Some("orphan"),
            _ => None,
        };
        let mut finalizers = list(&object, "/metadata/finalizers").to_vec();
        finalizers.extend(holds.map(|holds| json!(holds)).filter(|holds| !finalizers.contains(holds)));
        if finalizers.is_empty() {
            self.remove(writer, name);
            let status = Status::success();
            return Ok(serde_json::to_value(status).unwrap_or_default());
        }
        set(&mut object, "/metadata/finalizers", json!(finalizers));
        if object.pointer("/metadata/deletionTimestamp").is_none() {
            let now = Timestamp::from_second(self.now().as_second()).unwrap_or(BEGINNING);
            set(&mut object, "/metadata/deletionTimestamp", json!(now.to_string()));
            if name.kind.has_generation {
                let generation = crate::object::number(&object, "/metadata/generation") + 1;
                set(&mut object, "/metadata/generation", json!(generation));
            }
        }
        let ownership = self.objects.get(&name.key()).map(|stored| stored.ownership.clone()).unwrap_or_default();
        Ok(self.put(writer, name, object, ownership))
    }
}

/// What `metadata.generation` counts the changes of.
fn declared(object: &Value) -> Vec<(&String, &Value)> {
    let members = object.as_object().into_iter().flatten();
    members.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status")).collect()
}

fn immutable_uid(name: &Name, before: &Value, after: &Value) -> Answer<()> {
    let (is, wanted) = (text(before, "/metadata/uid"), text(after, "/metadata/uid"));
    if is == wanted { Ok(()) } else { Err(Refusal::another_uid(name, wanted)) }
}

fn check_version(name: &Name, before: &Value, object: &Value) -> Answer<()> {
    let wanted = text(object, "/metadata/resourceVersion");
    if wanted.is_empty() || wanted == text(before, "/metadata/resourceVersion") {
        Ok(())
    } else {
        Err(Refusal::modified(name))
    }
}

fn check_uid(name: &Name, before: &Value, object: &Value) -> Answer<()> {
    let (wanted, is) = (text(object, "/metadata/uid"), text(before, "/metadata/uid"));
    if wanted.is_empty() || wanted == is {
        Ok(())
    } else {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {is}");
        Err(Refusal::conflict(name, &why))
    }
}
