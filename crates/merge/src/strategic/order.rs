//! The order of merged lists. Elements the patch names follow the patch's order, the others keep theirs, and where
//! both were in the object before, its order decides which comes first.

use schema::Node;
use serde_json::{Map, Value};

use super::{child, directives, directives::PATCH, list, order_directive};
use crate::{error::PatchError, go_print::go_print};

/// Carries out `$setElementOrder/<list>`, together with the list's own part of the patch.
pub(super) fn merge_ordered(
    node: Option<Node<'_>>,
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|k| order_directive(k).is_some()).cloned().collect();
    for directive in directives {
        let (Some(key), Some(order)) = (order_directive(&directive), patch.remove(&directive)) else { continue };
        let order = as_list(order, "setElementOrder")?;
        let current = original.get(key).cloned().map(|list| as_list(list, key)).transpose()?;
        let new = patch.get(key).cloned().map(|list| as_list(list, key)).transpose()?;
        let child = node.and_then(|n| child(n, key));
        let merge_key = child.and_then(|n| n.patch_merge_key());
        check(new.as_deref().unwrap_or_default(), &order, merge_key)?;
        let merged = match (current.clone(), new) {
            (Some(current), None) => current,
            (None, Some(new)) => {
                let mut new = Value::Array(new);
                directives::drop_all(&mut new);
                as_list(new, key)?
            }
            (Some(current), Some(new)) => list::merge(child, current, new)?,
            (None, None) => continue,
        };
        patch.remove(key);
        let ordered = in_order(merged, &order, &current.unwrap_or_default(), merge_key);
        original.insert(key.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

fn as_list(value: Value, what: &str) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(PatchError::Strategic {
            reason: format!("expected a list for {what}, but received {}", go_print(&other)),
        }),
    }
}

/// The patch's list must occur in the order list, in that order.
fn check(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    let mut places = order.iter();
    for item in patch.iter().filter(|item| key.is_none() || item.get(PATCH).is_none()) {
        if !places.any(|place| same(item, place, key)) {
            let print = |items: &[Value]| go_print(&Value::Array(items.to_vec()));
            return Err(PatchError::Strategic {
                reason: format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    print(patch),
                    print(order)
                ),
            });
        }
    }
    Ok(())
}

fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    }
}

fn place(items: &[Value], item: &Value, key: Option<&str>) -> Option<usize> {
    items.iter().position(|i| same(i, item, key))
}

/// Orders a merged list: `patch` says how its own elements go, `before` is the object's list as it was.
pub(super) fn in_order(merged: Vec<Value>, patch: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let (mut ours, mut theirs): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(patch, item, key).is_some());
    ours.sort_by_key(|item| place(patch, item, key));
    theirs.sort_by_key(|item| place(before, item, key));
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    let mut ours = ours.into_iter().peekable();
    let mut theirs = theirs.into_iter().peekable();
    loop {
        let theirs_first = match (theirs.peek(), ours.peek()) {
            (Some(their), Some(our)) => match (place(before, their, key), place(before, our, key)) {
                (Some(their), Some(our)) => their < our,
                _ => false,
            },
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return out,
        };
        out.extend(if theirs_first { theirs.next() } else { ours.next() });
    }
}
