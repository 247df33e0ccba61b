//! Whether a configuration fits the schema, in the words of upstream's structured merge.

use schema::{Node, Shape};
use serde_json::Value;

use super::item;
use crate::go_print;
use crate::managed::path::{self, Element};

/// What is wrong, or nothing. Duplicates are allowed in stored objects, not in configurations.
pub(in crate::managed) fn validate(node: Node<'_>, value: &Value, duplicates: bool) -> Result<(), String> {
    let mut walk = Walk { path: Vec::new(), errors: Vec::new(), duplicates };
    walk.value(node, value);
    match walk.errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

struct Walk {
    path: Vec<String>,
    errors: Vec<String>,
    duplicates: bool,
}

impl Walk {
    fn error(&mut self, message: String) {
        let path: String = self.path.iter().map(|step| path::print_step(step)).collect();
        self.errors.push(if path.is_empty() { message } else { format!("{path}: {message}") });
    }

    fn value(&mut self, node: Node<'_>, value: &Value) {
        if value.is_null() {
            return;
        }
        match node.shape() {
            Shape::Any => {}
            Shape::Object | Shape::Map => self.map(node, value),
            Shape::List => self.list(node, value),
            Shape::String | Shape::Bytes | Shape::Time | Shape::MicroTime if !value.is_string() => {
                self.error(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_print(value)));
            }
            Shape::Integer32 | Shape::Integer64 | Shape::Number if !value.is_number() => {
                let kind = if value.is_string() { "string" } else { "value" };
                self.error(format!("expected numeric (int or float), got {kind}"));
            }
            Shape::Boolean if !value.is_boolean() => {
                self.error(format!("expected boolean, got &{{{}}}", go_print(value)));
            }
            Shape::Quantity | Shape::IntOrString if value.is_object() || value.is_array() => {
                self.error(format!("expected any scalar, got &{{{}}}", go_print(value)));
            }
            _ => {}
        }
    }

    fn map(&mut self, node: Node<'_>, value: &Value) {
        let Value::Object(map) = value else {
            self.error(format!("expected map, got &{{{}}}", go_print(value)));
            return;
        };
        for (key, value) in map {
            self.path.push(Element::field_step(key));
            match super::entry(Some(node), key) {
                Some(child) => self.value(child, value),
                None => self.error("field not declared in schema".to_owned()),
            }
            self.path.pop();
        }
    }

    fn list(&mut self, node: Node<'_>, value: &Value) {
        let Value::Array(list) = value else {
            self.error(format!("expected list, got &{{{}}}", go_print(value)));
            return;
        };
        let associative = node.list_type() != schema::ListType::Atomic;
        let mut seen = std::collections::BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let step = if associative {
                match item::step(node, item) {
                    Ok(step) => step,
                    Err(why) => {
                        self.error(format!("element {index}: {why}"));
                        return;
                    }
                }
            } else {
                Element::Index(index as i64).step()
            };
            if associative && !seen.insert(step.clone()) && !self.duplicates {
                self.error(format!("duplicate entries for key {}", path::print_step(&step)));
            }
            if let Some(items) = node.items() {
                self.path.push(step);
                self.value(items, item);
                self.path.pop();
            }
        }
    }
}
