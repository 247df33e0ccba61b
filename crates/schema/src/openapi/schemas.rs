//! The schemas of a document: every definition that is referred to, and those it refers to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Form;
use crate::{
    descriptions::Descriptions,
    node::{Definition, Node},
    shape::{ListType, MapType, Shape},
};

pub(super) struct Schemas {
    form: Form,
    prose: Descriptions,
    done: BTreeMap<String, Value>,
}

impl Schemas {
    pub(super) fn new(form: Form) -> Self {
        Self { form, prose: Descriptions::read(), done: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.done.into_iter().collect()
    }

    /// How a place refers to its type, which is written into the document if it is not there yet.
    pub(super) fn of(&mut self, node: Node<'_>) -> Value {
        self.described(node, None)
    }

    fn described(&mut self, node: Node<'_>, description: Option<String>) -> Value {
        let mut here = Map::new();
        extend(&mut here, node);
        here.extend(description.map(|text| ("description".to_owned(), text.into())));
        let mut schema = match node.definition() {
            // Version 3 does not look at what stands beside a reference.
            Some(definition) if self.form == Form::V3 && !here.is_empty() => {
                json!({"allOf": [self.reference(definition)]})
            }
            Some(definition) => self.reference(definition),
            None => self.inline(node),
        };
        if let Value::Object(schema) = &mut schema {
            schema.extend(here);
        }
        schema
    }

    /// A reference to a definition of the built-in table by name, for the bodies that are not a resource's own.
    pub(super) fn named(&mut self, name: &str) -> Value {
        match crate::builtin().definition(name) {
            Some(node) => self.of(node),
            None => json!({"type": "object"}),
        }
    }

    fn reference(&mut self, definition: Definition<'_>) -> Value {
        let name = definition.name();
        if !self.done.contains_key(name) {
            // Taken before its fields are, because types refer to themselves.
            self.done.insert(name.to_owned(), Value::Null);
            let schema = self.definition(definition);
            self.done.insert(name.to_owned(), schema);
        }
        let place = match self.form {
            Form::V2 => "#/definitions/",
            Form::V3 => "#/components/schemas/",
        };
        json!({"$ref": format!("{place}{name}")})
    }

    fn definition(&mut self, definition: Definition<'_>) -> Value {
        let node = definition.node();
        if node.shape() != Shape::Object {
            let mut schema = self.scalar(definition.short_name(), node.shape());
            if let (Value::Object(schema), Some(text)) = (&mut schema, self.prose.of(definition.name())) {
                schema.insert("description".to_owned(), text.into());
            }
            return schema;
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in node.fields() {
            if field.required {
                required.push(field.name);
            }
            let description = self.prose.of_field(definition.name(), field.name);
            properties.insert(field.name.to_owned(), self.described(field.node, description));
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        schema.extend(self.prose.of(definition.name()).map(|text| ("description".to_owned(), text.into())));
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), properties.into());
        }
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        if node.map_type() == MapType::Atomic {
            schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
        }
        let kinds: Vec<Value> = definition
            .kinds()
            .map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind}))
            .collect();
        if !kinds.is_empty() {
            schema.insert("x-kubernetes-group-version-kind".to_owned(), kinds.into());
        }
        schema.into()
    }

    fn inline(&mut self, node: Node<'_>) -> Value {
        match node.shape() {
            Shape::List => {
                let items = node.items().map_or_else(|| json!({}), |items| self.of(items));
                json!({"type": "array", "items": items})
            }
            Shape::Map => {
                let values = node.values().map_or_else(|| json!({}), |values| self.of(values));
                json!({"type": "object", "additionalProperties": values})
            }
            shape => self.scalar("", shape),
        }
    }

    fn scalar(&self, name: &str, shape: Shape) -> Value {
        let v3 = self.form == Form::V3;
        match shape {
            Shape::String => json!({"type": "string"}),
            Shape::Integer32 => json!({"type": "integer", "format": "int32"}),
            Shape::Integer64 => json!({"type": "integer", "format": "int64"}),
            Shape::Number => json!({"type": "number", "format": "double"}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Bytes => json!({"type": "string", "format": "byte"}),
            Shape::Quantity if v3 => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Shape::Quantity => json!({"type": "string"}),
            Shape::IntOrString if v3 => {
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
            }
            Shape::IntOrString => json!({"type": "string", "format": "int-or-string"}),
            Shape::Time | Shape::MicroTime => json!({"type": "string", "format": "date-time"}),
            // The JSON types of custom resource definitions may be anything, the others are objects.
            Shape::Any if name.starts_with("JSON") => json!({}),
            _ => json!({"type": "object"}),
        }
    }
}

/// What is said of the type in this one place.
fn extend(schema: &mut Map<String, Value>, node: Node<'_>) {
    let mut put = |key: &str, value: Value| drop(schema.insert(key.to_owned(), value));
    match (node.shape(), node.list_type()) {
        (Shape::List, ListType::Set) => put("x-kubernetes-list-type", "set".into()),
        (Shape::List, ListType::Map) => {
            put("x-kubernetes-list-type", "map".into());
            put("x-kubernetes-list-map-keys", node.list_map_keys().collect::<Vec<_>>().into());
        }
        (Shape::List, ListType::Atomic) if !node.patch_strategy().merge => {
            put("x-kubernetes-list-type", "atomic".into());
        }
        _ => {}
    }
    if node.shape() == Shape::Map && node.map_type() == MapType::Atomic {
        put("x-kubernetes-map-type", "atomic".into());
    }
    let strategy = node.patch_strategy();
    let words: Vec<&str> =
        [(strategy.merge, "merge"), (strategy.replace, "replace"), (strategy.retain_keys, "retainKeys")]
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word))
            .collect();
    if !words.is_empty() {
        put("x-kubernetes-patch-strategy", words.join(",").into());
    }
    if let Some(key) = node.patch_merge_key() {
        put("x-kubernetes-patch-merge-key", key.into());
    }
    let values: Vec<&str> = node.enumeration().collect();
    if !values.is_empty() {
        put("enum", values.into());
    }
}
