//! Everything an object says, as a set of paths.

use std::collections::BTreeSet;

use schema::Node;
use serde_json::Value;

use super::{Atom, atom, entry, is_declared, is_empty, item};
use crate::managed::{path::Element, set::Set};

pub(in crate::managed) fn field_set(node: Node<'_>, value: &Value) -> Set {
    below(Some(node), value).1
}

/// Whether the place itself is a member, and what is below it.
fn below(node: Option<Node<'_>>, value: &Value) -> (bool, Set) {
    let mut set = Set::new();
    match (atom(node, value), value) {
        (Atom::Scalar | Atom::AtomicList | Atom::AtomicMap, _) => return (true, set),
        (Atom::Map, Value::Object(map)) => {
            for (key, value) in map {
                let (member, below) = below(entry(node, key), value);
                let bare = value.is_null() || (value.is_object() && is_empty(Some(value)));
                let member = member || bare || !is_declared(node, key);
                set.put(Element::field_step(key), member, below);
            }
        }
        (Atom::List, Value::Array(_)) => {
            if let Some(list) = node {
                list_items(list, value, &mut set);
            }
        }
        // Null: what holds it counts, not what would be below.
        _ => {}
    }
    (false, set)
}

fn list_items(list: Node<'_>, value: &Value, set: &mut Set) {
    let items = item::elements(list, Some(value));
    let mut seen = BTreeSet::new();
    let duplicates: BTreeSet<String> =
        items.iter().filter(|(step, _)| !seen.insert(step)).map(|(step, _)| step.clone()).collect();
    for (step, item) in items {
        // Of duplicates only that they are there can be owned.
        let inside = if duplicates.contains(&step) { Set::new() } else { below(list.items(), item).1 };
        set.put(step, true, inside);
    }
}
