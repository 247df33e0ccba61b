//! Adds the empty objects that upstream writes because Go holds them by value: `status: {}`, `resources: {}`.

use serde_json::{Map, Value};

use crate::{node::Node, shape::Shape};

/// Fills in, wherever the object around is present, the objects that are never absent in upstream.
pub fn complete(node: Node<'_>, value: &mut Value) {
    match (node.shape(), value) {
        (Shape::Object, Value::Object(map)) => {
            for field in node.fields() {
                if field.value && !map.contains_key(field.name) {
                    map.insert(field.name.to_owned(), Value::Object(Map::new()));
                }
                if let Some(child) = map.get_mut(field.name) {
                    complete(field.node, child);
                }
            }
        }
        (Shape::Map, Value::Object(map)) => {
            if let Some(values) = node.values() {
                map.values_mut().for_each(|value| complete(values, value));
            }
        }
        (Shape::List, Value::Array(list)) => {
            if let Some(items) = node.items() {
                list.iter_mut().for_each(|item| complete(items, item));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    #[test]
    fn adds_what_upstream_never_leaves_out() {
        let node = crate::builtin().by_gvk("apps", "v1", "Deployment").unwrap();
        let mut deployment = json!({"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}});
        complete(node, &mut deployment);
        assert_eq!(
            deployment,
            json!({"metadata": {}, "status": {}, "spec": {"strategy": {}, "template": {"metadata": {},
                "spec": {"containers": [{"name": "c", "resources": {}}]}}}})
        );
        let once = deployment.clone();
        complete(node, &mut deployment);
        assert_eq!(deployment, once);
    }
}
