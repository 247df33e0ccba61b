//! What differs between two objects.

use std::collections::BTreeMap;

use schema::{Field, Node, Shape};
use serde_json::{Map, Value};

use super::{Atom, atom, entry, is_empty, item};
use crate::managed::{
    path::{Element, Path},
    set::Set,
};

/// The paths that are only in the new object, only in the old, or in both with different values.
#[derive(Clone, Debug, Default)]
pub(in crate::managed) struct Comparison {
    pub(in crate::managed) added: Set,
    pub(in crate::managed) modified: Set,
    pub(in crate::managed) removed: Set,
}

impl Comparison {
    pub(in crate::managed) fn without(&self, ignored: &Set) -> Self {
        Self {
            added: self.added.difference_below(ignored),
            modified: self.modified.difference_below(ignored),
            removed: self.removed.difference_below(ignored),
        }
    }
}

/// Objects that upstream never leaves out count as there in both.
pub(in crate::managed) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Comparison {
    let mut walk = Walk { path: Path::new(), comparison: Comparison::default() };
    walk.pair(Some(node), Some(old), Some(new));
    walk.comparison
}

struct Walk {
    path: Path,
    comparison: Comparison,
}

impl Walk {
    fn pair(&mut self, node: Option<Node<'_>>, old: Option<&Value>, new: Option<&Value>) {
        let atoms = (old.map(|v| atom(node, v)), new.map(|v| atom(node, v)));
        let leaf = match atoms {
            (Some(a), Some(b)) if a != b => {
                // Without a schema a map may become a scalar: its parts are gone, and the place has a new value.
                self.parts(node, a, old, None);
                self.parts(node, b, None, new);
                true
            }
            (Some(atom), _) | (None, Some(atom)) => self.parts(node, atom, old, new),
            (None, None) => return,
        };
        if leaf {
            self.leaf(old, new);
        } else if old.is_none() {
            self.comparison.added.insert(&self.path);
        } else if new.is_none() {
            self.comparison.removed.insert(&self.path);
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        if old.is_none() {
            self.comparison.added.insert(&self.path);
        } else if new.is_none() {
            self.comparison.removed.insert(&self.path);
        } else if old != new {
            self.comparison.modified.insert(&self.path);
        }
    }

    /// Compares what is inside; true if there is no inside, which makes the place itself a leaf.
    fn parts(&mut self, node: Option<Node<'_>>, atom: Atom, old: Option<&Value>, new: Option<&Value>) -> bool {
        match atom {
            Atom::Map | Atom::List if is_empty(old) && is_empty(new) => true,
            Atom::Map => {
                self.maps(node, old, new);
                false
            }
            Atom::List => {
                if let Some(list) = node {
                    self.lists(list, old, new);
                }
                false
            }
            Atom::Scalar | Atom::AtomicList | Atom::AtomicMap => true,
        }
    }

    fn maps(&mut self, node: Option<Node<'_>>, old: Option<&Value>, new: Option<&Value>) {
        let empty = Value::Object(Map::new());
        let old = old.and_then(Value::as_object);
        let new = new.and_then(Value::as_object);
        let keys = old.into_iter().flat_map(Map::keys);
        let new_keys = new.into_iter().flat_map(Map::keys).filter(|key| old.is_none_or(|old| !old.contains_key(*key)));
        for key in keys.chain(new_keys) {
            let mut sides = [old.and_then(|map| map.get(key)), new.and_then(|map| map.get(key))];
            if let Some(stand_in) = node.and_then(|n| n.field_named(key)).and_then(|f| stand_in(f, &empty)) {
                // Only where the object around is there on that side too.
                for (side, around) in sides.iter_mut().zip([old, new]) {
                    if side.is_none() && around.is_some() {
                        *side = Some(stand_in);
                    }
                }
            }
            self.path.push(Element::Field(key.clone()));
            self.pair(entry(node, key), sides[0], sides[1]);
            self.path.pop();
        }
    }

    fn lists(&mut self, list: Node<'_>, old: Option<&Value>, new: Option<&Value>) {
        let mut both: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (step, item) in item::elements(list, old) {
            both.entry(step).or_default().0.push(item);
        }
        for (step, item) in item::elements(list, new) {
            both.entry(step).or_default().1.push(item);
        }
        for (step, (old, new)) in both {
            self.path.push(step);
            let items = list.items();
            match (old.as_slice(), new.as_slice()) {
                ([] | [_], [] | [_]) => self.pair(items, old.first().copied(), new.first().copied()),
                // Duplicates on both sides are compared as a whole.
                ([_, _, ..], [_, _, ..]) => {
                    if old != new {
                        self.comparison.modified.insert(&self.path);
                    }
                }
                ([_, _, ..], _) => {
                    self.pair(items, None, new.first().copied());
                    self.comparison.removed.insert(&self.path);
                }
                (_, _) => {
                    self.pair(items, old.first().copied(), None);
                    self.comparison.added.insert(&self.path);
                }
            }
            self.path.pop();
        }
    }
}

/// What upstream's objects have where ours have nothing: empty objects held by value, null for required lists.
fn stand_in<'v>(field: Field<'_>, empty: &'v Value) -> Option<&'v Value> {
    match field.node.shape() {
        _ if field.value => Some(empty),
        Shape::List | Shape::Map if field.required => Some(&Value::Null),
        _ => None,
    }
}
