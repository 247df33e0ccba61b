//! A place in a schema: a type together with how it is used there. Copying one costs nothing.

use std::fmt;

use serde_json::{Value, json};

use crate::{
    shape::{ListType, MapType, PatchStrategy, Shape},
    table::{DefinitionData, FieldData, NONE, NodeData, Table},
};

#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub(crate) table: &'a Table,
    pub(crate) index: u32,
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub name: &'a str,
    pub node: Node<'a>,
    pub required: bool,
    /// An object that upstream writes even when it is empty, because Go holds it by value.
    pub value: bool,
    /// Upstream leaves the field out when it is empty or zero: such a value is the same as none.
    pub omit: bool,
}

/// A named type of the table.
#[derive(Clone, Copy)]
pub struct Definition<'a> {
    pub(crate) table: &'a Table,
    pub(crate) index: u32,
}

/// Keys of associative lists that may be left out, and what they are then. Upstream reads these from defaults in its
/// OpenAPI document; no other optional key has one.
const KEY_DEFAULTS: &[(&str, &str, &str)] = &[
    ("io.k8s.api.core.v1.ContainerPort", "protocol", "TCP"),
    ("io.k8s.api.core.v1.LocalObjectReference", "name", ""),
    ("io.k8s.api.core.v1.ServicePort", "protocol", "TCP"),
];

impl<'a> Node<'a> {
    fn data(self) -> &'a NodeData {
        &self.table.nodes[self.index as usize]
    }

    pub fn table(self) -> &'a Table {
        self.table
    }

    pub fn shape(self) -> Shape {
        self.data().shape
    }

    /// The named type this place has, if it has one: objects, and scalars such as `Quantity`.
    pub fn definition(self) -> Option<Definition<'a>> {
        let data = self.data();
        let named = !matches!(data.shape, Shape::List | Shape::Map) && data.target != NONE;
        named.then_some(Definition { table: self.table, index: data.target })
    }

    /// The field of an object by its exact name.
    pub fn field(self, name: &str) -> Option<Node<'a>> {
        self.find(name).map(|f| self.table.node(f.node))
    }

    /// The same, with what the object says of it.
    pub fn field_named(self, name: &str) -> Option<Field<'a>> {
        self.find(name).map(|f| f.of(self.table))
    }

    pub fn is_required(self, name: &str) -> bool {
        self.find(name).is_some_and(|f| f.presence.required)
    }

    /// The fields of an object, sorted by name; empty for everything else.
    pub fn fields(self) -> impl Iterator<Item = Field<'a>> {
        let table = self.table;
        self.field_data().iter().map(move |f| f.of(table))
    }

    /// The elements of a list.
    pub fn items(self) -> Option<Node<'a>> {
        (self.shape() == Shape::List).then(|| self.table.node(self.data().target))
    }

    /// The values of a map.
    pub fn values(self) -> Option<Node<'a>> {
        (self.shape() == Shape::Map).then(|| self.table.node(self.data().target))
    }

    pub fn list_type(self) -> ListType {
        self.data().list_type
    }

    /// The names of the fields that tell the elements of a `Map` list apart.
    pub fn list_map_keys(self) -> impl ExactSizeIterator<Item = &'a str> + Clone {
        let table = self.table;
        self.data().list_map_keys.of(&table.words).iter().map(move |&word| table.str(word))
    }

    /// What the key field of an associative list's element is when left out. Ask the element, not the list.
    pub fn key_default(self, key: &str) -> Option<Value> {
        let name = self.definition()?.name();
        if let Some((_, _, value)) = KEY_DEFAULTS.iter().find(|(d, k, _)| *d == name && *k == key) {
            return Some(json!(value));
        }
        let field = self.field_named(key).filter(|f| f.required && self.table.zero_key_defaults)?;
        match field.node.shape() {
            Shape::String => Some(json!("")),
            Shape::Integer32 | Shape::Integer64 => Some(json!(0)),
            _ => None,
        }
    }

    /// How a map or object merges in server-side apply.
    pub fn map_type(self) -> MapType {
        self.data().map_type
    }

    pub fn patch_strategy(self) -> PatchStrategy {
        self.data().patch
    }

    /// The field by which a strategic merge patch finds the elements of this list.
    pub fn patch_merge_key(self) -> Option<&'a str> {
        let key = self.data().merge_key;
        (key.length > 0).then(|| self.table.str(key))
    }

    /// The values a string is one of, where the type says so.
    pub fn enumeration(self) -> impl ExactSizeIterator<Item = &'a str> {
        let table = self.table;
        self.data().values.of(&table.words).iter().map(move |&word| table.str(word))
    }

    fn field_data(self) -> &'a [FieldData] {
        match (self.shape(), self.definition()) {
            (Shape::Object, Some(definition)) => definition.data().fields.of(&self.table.fields),
            _ => &[],
        }
    }

    fn find(self, name: &str) -> Option<&'a FieldData> {
        let fields = self.field_data();
        let at = fields.binary_search_by(|f| self.table.str(f.name).cmp(name)).ok()?;
        Some(&fields[at])
    }
}

impl FieldData {
    fn of<'a>(&self, table: &'a Table) -> Field<'a> {
        Field {
            name: table.str(self.name),
            node: table.node(self.node),
            required: self.presence.required,
            value: self.presence.value,
            omit: self.presence.omit,
        }
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.definition() {
            Some(definition) => write!(f, "{:?}({})", self.shape(), definition.name()),
            None => write!(f, "{:?}", self.shape()),
        }
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.table, other.table) && self.index == other.index
    }
}

impl<'a> Definition<'a> {
    pub(crate) fn data(self) -> &'a DefinitionData {
        &self.table.definitions[self.index as usize]
    }

    /// The full name: `io.k8s.api.core.v1.Pod`.
    pub fn name(self) -> &'a str {
        self.table.str(self.data().name)
    }

    /// The last part of the name: `Pod`.
    pub fn short_name(self) -> &'a str {
        let name = self.name();
        name.rsplit('.').next().unwrap_or(name)
    }

    pub fn node(self) -> Node<'a> {
        self.table.node(self.data().node)
    }

    /// Group, version and kind of the objects this defines, if they are whole objects.
    pub fn kinds(self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let table = self.table;
        let kinds = self.data().kinds.of(&table.kinds);
        kinds.iter().map(move |k| (table.str(k.group), table.str(k.version), table.str(k.kind)))
    }
}
