//! Pieces of schema that several types share, written by hand where the derive cannot say it.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Longest name of an object (a DNS subdomain).
pub(crate) const MAX_OBJECT_NAME: usize = 253;
/// Longest name of a Service and of a label's value.
pub(crate) const MAX_LABEL: usize = 63;

/// Pattern of the name of an object.
pub(crate) const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Pattern of the name of a Service or a container.
pub(crate) const LABEL_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Pattern of the name of an argument.
pub(crate) const ARGUMENT_NAME: &str = "^[a-zA-Z_][a-zA-Z0-9_-]*$";
/// Pattern of the name of a metric.
pub(crate) const METRIC_NAME: &str = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// Pattern of a key in a Secret.
pub(crate) const SECRET_KEY: &str = "^[-._a-zA-Z0-9]+$";

/// An object of which every field is kept, declared or not.
pub(crate) fn opaque(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A number or a string.
pub(crate) fn int_or_string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

/// A number of pods, at least one, or a part of them.
pub(crate) fn pods_or_percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "maximum": i32::MAX,
        "pattern": "^(100|[1-9][0-9]?)%$",
        "maxLength": 4,
    })
}

/// Whether a field may be left out when it is written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
