//! The table: every definition, its fields and their types, in a few flat arrays that refer to one another by index.

use crate::{
    builder::{NodeId, Presence},
    node::{Definition, Node},
    shape::{ListType, MapType, PatchStrategy, Shape},
};

/// A stretch of the table's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// A stretch of one of the table's arrays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Range {
    pub(crate) fn of<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        &all[self.start as usize..self.end as usize]
    }
}

/// A type as it is used in one place. Equal uses share one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeData {
    pub(crate) shape: Shape,
    pub(crate) list_type: ListType,
    pub(crate) map_type: MapType,
    pub(crate) patch: PatchStrategy,
    pub(crate) merge_key: Span,
    pub(crate) list_map_keys: Range,
    pub(crate) values: Range,
    /// The element of a list or map, or the definition of an object or of a named scalar; `NONE` otherwise.
    pub(crate) target: u32,
}

pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldData {
    pub(crate) name: Span,
    pub(crate) node: u32,
    pub(crate) presence: Presence,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DefinitionData {
    pub(crate) name: Span,
    pub(crate) fields: Range,
    pub(crate) node: u32,
    pub(crate) kinds: Range,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct KindData {
    pub(crate) group: Span,
    pub(crate) version: Span,
    pub(crate) kind: Span,
    pub(crate) definition: u32,
}

/// Schemas, built once by [`crate::TableBuilder`] and read through [`Node`]s.
#[derive(Debug)]
pub struct Table {
    pub(crate) text: Box<str>,
    pub(crate) nodes: Box<[NodeData]>,
    /// Sorted by name within each definition.
    pub(crate) fields: Box<[FieldData]>,
    /// Sorted by name.
    pub(crate) definitions: Box<[DefinitionData]>,
    pub(crate) words: Box<[Span]>,
    /// In the order of definitions.
    pub(crate) kinds: Box<[KindData]>,
    /// Indices into `kinds`, sorted by group, version and kind.
    pub(crate) kinds_sorted: Box<[u32]>,
    pub(crate) zero_key_defaults: bool,
}

impl Table {
    /// The schema of a definition by its full name: `io.k8s.api.core.v1.Pod`.
    pub fn definition(&self, name: &str) -> Option<Node<'_>> {
        let at = self.definitions.binary_search_by(|d| self.str(d.name).cmp(name)).ok()?;
        Some(self.node(self.definitions[at].node))
    }

    /// The schema of a kind. `DeleteOptions` and `WatchEvent` are found in every group.
    pub fn by_gvk(&self, group: &str, version: &str, kind: &str) -> Option<Node<'_>> {
        let found = self.kinds_sorted.binary_search_by(|&index| {
            let k = &self.kinds[index as usize];
            (self.str(k.group), self.str(k.version), self.str(k.kind)).cmp(&(group, version, kind))
        });
        match found {
            Ok(at) => {
                let definition = self.kinds[self.kinds_sorted[at] as usize].definition;
                Some(self.node(self.definitions[definition as usize].node))
            }
            Err(_) if matches!(kind, "DeleteOptions" | "WatchEvent") && (group, version) != ("", "v1") => {
                self.by_gvk("", "v1", kind)
            }
            Err(_) => None,
        }
    }

    /// All definitions, sorted by name.
    pub fn definitions(&self) -> impl Iterator<Item = Definition<'_>> {
        (0..self.definitions.len() as u32).map(|index| Definition { table: self, index })
    }

    /// The node a builder handed out under this id.
    pub fn at(&self, id: NodeId) -> Node<'_> {
        self.node(id.0)
    }

    pub(crate) fn node(&self, index: u32) -> Node<'_> {
        Node { table: self, index }
    }

    pub(crate) fn str(&self, span: Span) -> &str {
        &self.text[span.start as usize..(span.start + span.length) as usize]
    }
}
