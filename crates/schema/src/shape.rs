//! The words a schema is made of: what a value is, and how it merges.

/// What a value is on the wire. Objects have named fields, maps have any keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    Object,
    Map,
    List,
    String,
    Integer32,
    Integer64,
    Number,
    Boolean,
    /// Base64 text.
    Bytes,
    Quantity,
    IntOrString,
    /// RFC 3339 in UTC, whole seconds.
    Time,
    /// RFC 3339 in UTC, six decimals.
    MicroTime,
    /// Any JSON: `RawExtension`, `FieldsV1`, `JSON`. Merges by what is found: maps by key, the rest whole.
    Any,
}

impl Shape {
    /// Whether the value has no parts that could be owned or merged one by one.
    pub fn is_scalar(self) -> bool {
        !matches!(self, Self::Object | Self::Map | Self::List | Self::Any)
    }
}

/// `x-kubernetes-list-type`; a list without one is replaced whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    Map,
}

/// `x-kubernetes-map-type`, of maps and objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MapType {
    #[default]
    Granular,
    Atomic,
}

/// `x-kubernetes-patch-strategy`, as strategic merge patches read it. Without `merge`, lists are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PatchStrategy {
    pub merge: bool,
    pub replace: bool,
    pub retain_keys: bool,
}
