//! Objects shown otherwise than whole: as rows of a table, or only their metadata.

use apimachinery::{Object, Status};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{IncludeObject, Resource, View, decode, encode::encode, form};

const META_VERSION: &str = "meta.k8s.io/v1";

/// An encoded object as `view` shows it.
pub(crate) fn object(resource: &dyn Resource, bytes: &Bytes, view: View, now: i64) -> Result<Bytes, Status> {
    match view {
        View::Object if !resource.facts().converts() && form::why_unreadable(bytes).is_none() => Ok(bytes.clone()),
        View::Object => Ok(encode(&decode::stored(resource, bytes)?)),
        View::Metadata => Ok(encode(&partial(&decode::stored(resource, bytes)?))),
        View::Table(include) => {
            let tree = decode::stored(resource, bytes)?;
            let metadata = json!({ "resourceVersion": tree.resource_version() });
            let rows = vec![row(resource, tree, include, now)];
            Ok(to_bytes(&table(resource, metadata, rows, true)))
        }
    }
}

/// A `Table`. Later events of a watch leave the columns out.
pub(crate) fn table(resource: &dyn Resource, metadata: Value, rows: Vec<Value>, columns: bool) -> Value {
    let definitions: Vec<Value> = match columns {
        true => resource.facts().columns.iter().map(definition).collect(),
        false => Vec::new(),
    };
    let definitions = if columns { Value::Array(definitions) } else { Value::Null };
    json!({
        "kind": "Table",
        "apiVersion": META_VERSION,
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn definition(column: &crate::Column) -> Value {
    json!({
        "name": column.name,
        "type": column.data_type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

pub(crate) fn row(resource: &dyn Resource, tree: Object, include: IncludeObject, now: i64) -> Value {
    let cells = resource.cells(&tree, now);
    let conditions = resource.row_conditions(&tree);
    let object = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => partial(&tree).into_value(),
        IncludeObject::Object => tree.into_value(),
    };
    let mut row = json!({ "cells": cells, "object": object });
    if !conditions.is_empty() {
        row["conditions"] = conditions.into();
    }
    row
}

/// The object's metadata alone.
pub(crate) fn partial(tree: &Object) -> Object {
    let mut partial = Object::default();
    partial.set(&["kind"], "PartialObjectMetadata");
    partial.set(&["apiVersion"], META_VERSION);
    let metadata = tree.map().get("metadata").cloned().unwrap_or_else(|| json!({}));
    partial.set(&["metadata"], metadata);
    partial
}

pub(crate) fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("a tree with string keys always serializes"))
}
