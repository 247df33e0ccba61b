//! Everything an object says, as a set of paths.

use std::collections::BTreeSet;

use schema::Node;
use serde_json::Value;

use super::{Atom, atom, entry, is_declared, is_empty, item};
use crate::managed::{
    path::{Element, Path},
    set::Set,
};

pub(in crate::managed) fn field_set(node: Node<'_>, value: &Value) -> Set {
    let mut set = Set::new();
    collect(Some(node), value, &mut Path::new(), &mut set);
    set
}

fn collect(node: Option<Node<'_>>, value: &Value, path: &mut Path, set: &mut Set) {
    match (atom(node, value), value) {
        (Atom::Scalar | Atom::AtomicList | Atom::AtomicMap, _) => set.insert(path),
        (Atom::Map, Value::Object(map)) => {
            for (key, value) in map {
                path.push(Element::Field(key.clone()));
                collect(entry(node, key), value, path, set);
                let bare = value.is_null() || (value.is_object() && is_empty(Some(value)));
                if bare || !is_declared(node, key) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (Atom::List, Value::Array(_)) => {
            let Some(list) = node else { return };
            list_items(list, value, path, set);
        }
        // Null: what holds it counts, not what would be below.
        _ => {}
    }
}

fn list_items(list: Node<'_>, value: &Value, path: &mut Path, set: &mut Set) {
    let items = item::elements(list, Some(value));
    let mut seen = BTreeSet::new();
    let duplicates: BTreeSet<Element> =
        items.iter().filter(|(step, _)| !seen.insert(step)).map(|(step, _)| step.clone()).collect();
    for (step, item) in items {
        let duplicate = duplicates.contains(&step);
        path.push(step);
        // Of duplicates only that they are there can be owned.
        if !duplicate {
            collect(list.items(), item, path, set);
        }
        set.insert(path);
        path.pop();
    }
}
