//! What differs between two objects.

use std::collections::BTreeMap;

use schema::{Field, Node, Shape};
use serde_json::{Map, Value};

use super::{Atom, atom, entry, is_empty, item};
use crate::managed::{path::Element, set::Set};

/// The paths that are only in the new object, only in the old, or in both with different values.
#[derive(Clone, Debug, Default)]
pub(in crate::managed) struct Comparison {
    pub(in crate::managed) added: Set,
    pub(in crate::managed) modified: Set,
    pub(in crate::managed) removed: Set,
}

impl Comparison {
    pub(in crate::managed) fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    pub(in crate::managed) fn without(mut self, ignored: &Set) -> Self {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            set.subtract_below(ignored);
        }
        self
    }

    fn put(&mut self, step: &str, kind: Kind, below: Self) {
        let sides = [
            (&mut self.added, below.added, Kind::Added),
            (&mut self.modified, below.modified, Kind::Modified),
            (&mut self.removed, below.removed, Kind::Removed),
        ];
        for (set, below, of) in sides {
            if kind == of || !below.is_empty() {
                set.put(step.to_owned(), kind == of, below);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.added.extend(other.added);
        self.modified.extend(other.modified);
        self.removed.extend(other.removed);
    }
}

/// What happened to a place itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Same,
    Added,
    Modified,
    Removed,
}

/// Objects that upstream never leaves out count as there in both; managed fields are not looked at.
pub(in crate::managed) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Comparison {
    pair(Some(node), Some(old), Some(new)).1
}

fn pair(node: Option<Node<'_>>, old: Option<&Value>, new: Option<&Value>) -> (Kind, Comparison) {
    if old == new {
        return (Kind::Same, Comparison::default());
    }
    let mut below = Comparison::default();
    let leaf = match (old.map(|v| atom(node, v)), new.map(|v| atom(node, v))) {
        (Some(a), Some(b)) if a != b => {
            // Without a schema a map may become a scalar: its parts are gone, and the place has a new value.
            parts(node, a, old, None, &mut below);
            parts(node, b, None, new, &mut below);
            true
        }
        (Some(atom), _) | (None, Some(atom)) => parts(node, atom, old, new, &mut below),
        (None, None) => true,
    };
    let kind = match (old, new) {
        (None, _) => Kind::Added,
        (_, None) => Kind::Removed,
        _ if leaf => Kind::Modified,
        _ => Kind::Same,
    };
    (kind, below)
}

/// Compares what is inside; true if there is no inside, which makes the place itself a leaf.
fn parts(node: Option<Node<'_>>, atom: Atom, old: Option<&Value>, new: Option<&Value>, out: &mut Comparison) -> bool {
    match (atom, node) {
        (Atom::Map | Atom::List, _) if is_empty(old) && is_empty(new) => true,
        (Atom::Map, _) => {
            maps(node, old.and_then(Value::as_object), new.and_then(Value::as_object), out);
            false
        }
        (Atom::List, Some(list)) => {
            lists(list, old, new, out);
            false
        }
        _ => true,
    }
}

type Side<'v> = Option<&'v Map<String, Value>>;

fn maps(node: Option<Node<'_>>, old: Side<'_>, new: Side<'_>, out: &mut Comparison) {
    let empty = Value::Object(Map::new());
    let keys = old.into_iter().flat_map(Map::keys);
    let new_keys = new.into_iter().flat_map(Map::keys).filter(|key| old.is_none_or(|old| !old.contains_key(*key)));
    for key in keys.chain(new_keys) {
        let mut sides = [old.and_then(|map| map.get(key)), new.and_then(|map| map.get(key))];
        if sides[0] == sides[1] || key == "managedFields" && is_object_meta(node) {
            continue;
        }
        if let Some(stand_in) = node.and_then(|n| n.field_named(key)).and_then(|f| stand_in(f, &empty)) {
            // Only where the object around is there on that side too.
            for (side, around) in sides.iter_mut().zip([old, new]) {
                if side.is_none() && around.is_some() {
                    *side = Some(stand_in);
                }
            }
        }
        let (kind, below) = pair(entry(node, key), sides[0], sides[1]);
        if kind != Kind::Same || !below.is_same() {
            out.put(&Element::field_step(key), kind, below);
        }
    }
}

fn is_object_meta(node: Option<Node<'_>>) -> bool {
    node.and_then(Node::definition).is_some_and(|d| d.name() == "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
}

/// What upstream's objects have where ours have nothing: empty objects held by value, null for required lists.
fn stand_in<'v>(field: Field<'_>, empty: &'v Value) -> Option<&'v Value> {
    match field.node.shape() {
        _ if field.value => Some(empty),
        Shape::List | Shape::Map if field.required => Some(&Value::Null),
        _ => None,
    }
}

fn lists(list: Node<'_>, old: Option<&Value>, new: Option<&Value>, out: &mut Comparison) {
    let mut both: BTreeMap<String, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for (step, item) in item::elements(list, old) {
        both.entry(step).or_default().0.push(item);
    }
    for (step, item) in item::elements(list, new) {
        both.entry(step).or_default().1.push(item);
    }
    for (step, (old, new)) in both {
        let items = list.items();
        let (kind, below) = match (old.as_slice(), new.as_slice()) {
            ([] | [_], [] | [_]) => pair(items, old.first().copied(), new.first().copied()),
            // Duplicates on both sides are compared as a whole.
            ([_, _, ..], [_, _, ..]) if old == new => (Kind::Same, Comparison::default()),
            ([_, _, ..], [_, _, ..]) => (Kind::Modified, Comparison::default()),
            ([_, _, ..], _) => {
                let mut kept = Comparison::default();
                if let Some(item) = new.first() {
                    let (kind, below) = pair(items, None, Some(item));
                    kept.put(&step, kind, below);
                }
                out.merge(kept);
                (Kind::Removed, Comparison::default())
            }
            (_, _) => {
                let mut gone = Comparison::default();
                if let Some(item) = old.first() {
                    let (kind, below) = pair(items, Some(item), None);
                    gone.put(&step, kind, below);
                }
                out.merge(gone);
                (Kind::Added, Comparison::default())
            }
        };
        let mut this = Comparison::default();
        this.put(&step, kind, below);
        out.merge(this);
    }
}
