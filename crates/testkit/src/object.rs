//! Names of objects, and looking into them.

use std::fmt;

use serde_json::Value;

use crate::kind::Kind;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its kind.
    pub kind: &'static Kind,
    /// Its namespace; empty where the kind has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Name {
    /// The name of an object of a kind.
    pub fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The name that an object bears; `None` where its kind is not known here.
    pub fn of(object: &Value) -> Option<Self> {
        let kind = Kind::of(text(object, "/kind"))?;
        Some(Self::new(kind, text(object, "/metadata/namespace"), text(object, "/metadata/name")))
    }

    pub(crate) fn key(&self) -> (&'static str, String, String) {
        (self.kind.kind, self.namespace.clone(), self.name.clone())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// The text at a JSON pointer; empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer; 0 where there is none.
pub fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// The elements of the list at a JSON pointer.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The value of a label.
pub fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// Whether an object is owned, as by its controller or otherwise, by the one with this uid.
pub fn is_owned_by(object: &Value, uid: &str) -> bool {
    list(object, "/metadata/ownerReferences").iter().any(|owner| text(owner, "/uid") == uid)
}

/// Sets the member at a JSON pointer, making the objects on the way to it.
pub fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !at.is_object() && !at.is_array() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = match at {
            Value::Array(elements) => match part.parse::<usize>().ok().and_then(|index| elements.get_mut(index)) {
                Some(element) => element,
                None => return,
            },
            Value::Object(members) => members.entry(part).or_insert(Value::Null),
            _ => return,
        };
    }
    *at = value;
}

/// Removes the member at a JSON pointer.
pub fn unset(object: &mut Value, pointer: &str) {
    let Some((parent, member)) = pointer.rsplit_once('/') else { return };
    if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(&member.replace("~1", "/").replace("~0", "~"));
    }
}

/// A label selector of equalities, as it stands in a request: `a=b,c=d`, or `c` for a label that only has to be there; and
/// beside it a field selector of equalities, as `metadata.name=a`.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<(String, Option<String>)>,
    /// JSON pointers and the texts there.
    fields: Vec<(String, String)>,
}

impl Selector {
    /// Reads a selector; an empty one selects everything.
    pub fn parse(text: &str) -> Self {
        let terms = text.split(',').filter(|term| !term.is_empty());
        let labels = terms.map(|term| match term.split_once('=') {
            Some((label, value)) => (label.to_owned(), Some(value.trim_start_matches('=').to_owned())),
            None => (term.to_owned(), None),
        });
        Self { labels: labels.collect(), fields: Vec::new() }
    }

    /// The same for objects with these fields only, whatever fields these are: the real server knows a few for each kind.
    #[must_use]
    pub fn of_fields(self, text: &str) -> Self {
        let terms = text.split(',').filter_map(|term| term.split_once('='));
        let pointer = |field: &str| format!("/{}", field.replace('.', "/"));
        let fields = terms.map(|(field, value)| (pointer(field), value.trim_start_matches('=').to_owned()));
        Self { fields: fields.collect(), ..self }
    }

    /// Whether an object has the labels and the fields.
    pub fn selects(&self, object: &Value) -> bool {
        let has = |(pointer, wanted): &(String, String)| text(object, pointer) == wanted;
        self.fields.iter().all(has)
            && self.labels.iter().all(|(name, value)| match (label(object, name), value) {
                (Some(is), Some(wanted)) => is == wanted,
                (Some(_), None) => true,
                (None, _) => false,
            })
    }
}
