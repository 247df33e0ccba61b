//! A configuration merged into an object: what it says wins, what it does not say stays.

use std::collections::{BTreeMap, BTreeSet};

use schema::Node;
use serde_json::{Map, Value};

use super::{Atom, atom, entry, is_empty, item};

pub(in crate::managed) fn merge(node: Node<'_>, live: &Value, config: &Value) -> Value {
    pair(Some(node), Some(live), Some(config)).unwrap_or_else(|| Value::Object(Map::new()))
}

fn pair(node: Option<Node<'_>>, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    let winner = config.or(live);
    let atoms = (live.map(|v| atom(node, v)), config.map(|v| atom(node, v)));
    let atom = match atoms {
        (Some(a), Some(b)) if a != b => return winner.cloned(),
        (Some(atom), _) | (None, Some(atom)) => atom,
        (None, None) => return None,
    };
    match atom {
        Atom::Map if !(is_empty(live) && is_empty(config)) => Some(maps(node, live, config)),
        Atom::List if !(is_empty(live) && is_empty(config)) => Some(lists(node?, live, config)),
        _ => winner.cloned(),
    }
}

fn maps(node: Option<Node<'_>>, live: Option<&Value>, config: Option<&Value>) -> Value {
    let mut out = Map::new();
    let config = config.and_then(Value::as_object);
    for (key, value) in live.and_then(Value::as_object).into_iter().flatten() {
        let merged = pair(entry(node, key), Some(value), config.and_then(|c| c.get(key)));
        out.extend(merged.map(|m| (key.clone(), m)));
    }
    for (key, value) in config.into_iter().flatten() {
        if !out.contains_key(key) {
            out.extend(pair(entry(node, key), None, Some(value)).map(|m| (key.clone(), m)));
        }
    }
    Value::Object(out)
}

/// Elements of both come in the configuration's order, with the object's other elements where they stood among them.
fn lists(list: Node<'_>, live: Option<&Value>, config: Option<&Value>) -> Value {
    let live = item::elements(list, live);
    let config = item::elements(list, config);
    let in_live = index(&live);
    let in_config = index(&config);
    let mut shared = config.iter().map(|(step, _)| step).filter(|step| in_live.contains_key(*step));
    let mut next_shared = shared.next();
    let mut merged = BTreeSet::new();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut c) = (0, 0);
    while l < live.len() || c < config.len() {
        if let (Some((step, _)), Some((wanted, _))) = (live.get(l), config.get(c))
            && step != wanted
            && in_config.contains_key(step)
            && next_shared.is_some_and(|next| next != step)
        {
            // Shared, but its turn is later or was before.
            l += 1;
            continue;
        }
        if let Some((step, item)) = live.get(l)
            && config.get(c).is_none_or(|(wanted, _)| wanted != step)
        {
            if !in_config.contains_key(step) {
                out.extend(pair(list.items(), Some(item), None));
                l += 1;
                continue;
            }
            if merged.contains(step) {
                l += 1;
            }
        }
        let Some((step, _)) = config.get(c) else { continue };
        let same = live.get(l).is_some_and(|(at, _)| at == step);
        merged.insert(step);
        let ours = in_live.get(step).copied().flatten();
        let theirs = in_config.get(step).copied().flatten();
        out.extend(pair(list.items(), ours, theirs));
        c += 1;
        l += usize::from(same);
        if next_shared == Some(step) {
            next_shared = shared.next();
        }
    }
    Value::Array(out)
}

/// Elements by what tells them apart. Duplicates have no one value to merge with.
fn index<'v>(items: &[(String, &'v Value)]) -> BTreeMap<String, Option<&'v Value>> {
    let mut index = BTreeMap::new();
    for (step, item) in items {
        index.entry(step.clone()).and_modify(|value| *value = None).or_insert(Some(*item));
    }
    index
}
