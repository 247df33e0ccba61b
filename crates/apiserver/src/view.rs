//! Tables and bare metadata of single objects: what answers to writes look like to a client that asked for them. Reads
//! get theirs from the registry.

use apimachinery::{Object, Status};
use registry::Resource;
use serde_json::{Map, Value, json};

use crate::negotiation::View;

/// The table of one object, as `kubectl` prints it.
pub(crate) fn table(
    resource: &dyn Resource,
    object: &Object,
    version: &str,
    include: registry::IncludeObject,
    now: i64,
) -> Value {
    let facts = resource.facts();
    let columns: Vec<Value> = facts
        .columns
        .iter()
        .map(|c| {
            json!({"name": c.name, "type": c.data_type, "format": c.format, "description": c.description,
                   "priority": c.priority})
        })
        .collect();
    let mut row = json!({"cells": resource.cells(object, now)});
    let conditions = resource.row_conditions(object);
    if !conditions.is_empty() {
        row["conditions"] = conditions.into();
    }
    match include {
        registry::IncludeObject::None => row["object"] = Value::Null,
        registry::IncludeObject::Metadata => row["object"] = metadata(object, version),
        registry::IncludeObject::Object => row["object"] = object.clone().into_value(),
    }
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": {"resourceVersion": object.resource_version()},
        "columnDefinitions": columns,
        "rows": [row],
    })
}

/// An object reduced to its metadata.
pub(crate) fn metadata(object: &Object, version: &str) -> Value {
    let mut partial = Map::new();
    partial.insert("kind".to_owned(), "PartialObjectMetadata".into());
    partial.insert("apiVersion".to_owned(), format!("meta.k8s.io/{version}").into());
    partial.insert("metadata".to_owned(), object.get(&["metadata"]).cloned().unwrap_or_else(|| json!({})));
    Value::Object(partial)
}

/// `includeObject` of a table request.
pub(crate) fn include(parameter: Option<&str>) -> Result<registry::IncludeObject, Status> {
    match parameter.unwrap_or_default() {
        "" | "Metadata" => Ok(registry::IncludeObject::Metadata),
        "None" => Ok(registry::IncludeObject::None),
        "Object" => Ok(registry::IncludeObject::Object),
        other => {
            Err(Status::bad_request(format!("unrecognized includeObject value: {}", apimachinery::field::quote(other))))
        }
    }
}

/// What the registry is to show for the asked-for view of a list or an object.
pub(crate) fn of(
    view: &View,
    list: bool,
    go_type: &str,
    include: registry::IncludeObject,
) -> Result<registry::View, Status> {
    let mismatch = |asked: &str, is: &str, go_type: &str| {
        let message = format!("you requested {asked}, but the requested object is {is} ({go_type})");
        Err(Status::failure(406, apimachinery::Reason::NotAcceptable, message))
    };
    match view {
        View::Whole | View::Discovery(_) => Ok(registry::View::Object),
        View::Table(_) => Ok(registry::View::Table(include)),
        View::PartialObjectMetadata(_) if list => {
            mismatch("PartialObjectMetadata", "a list", &format!("{go_type}List"))
        }
        View::PartialObjectMetadataList(_) if !list => mismatch("PartialObjectMetadataList", "not a list", go_type),
        View::PartialObjectMetadata(_) | View::PartialObjectMetadataList(_) => Ok(registry::View::Metadata),
    }
}

/// The name of upstream's internal type, which some refusals carry: `*core.Namespace`.
pub(crate) fn go_type(resource: &dyn Resource) -> String {
    let gvk = &resource.facts().gvk;
    let package = match gvk.group.split('.').next().unwrap_or_default() {
        "" | "events" => "core",
        first => first,
    };
    format!("*{package}.{}", gvk.kind)
}

/// The table of a scale subresource.
pub(crate) fn scale_table(object: &Object, version: &str, include: registry::IncludeObject, now: i64) -> Value {
    let column = |name: &str, data_type: &str, description: &str| json!({"name": name, "type": data_type, "format": "", "description": description, "priority": 0});
    let number = |path: &[&str]| object.get(path).and_then(Value::as_i64).unwrap_or_default();
    let created = object.get_str(&["metadata", "creationTimestamp"]).and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let age = created.map_or_else(|| "<unknown>".to_owned(), |t| kinds::human_duration(now - t.as_second()));
    let row_object = match include {
        registry::IncludeObject::None => Value::Null,
        registry::IncludeObject::Metadata => metadata(object, version),
        registry::IncludeObject::Object => object.clone().into_value(),
    };
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": {"resourceVersion": object.resource_version()},
        "columnDefinitions": [
            column("Name", "string", "Name of the scaled object."),
            column("Desired", "integer", "How many replicas there should be."),
            column("Available", "integer", "How many replicas there are."),
            column("Age", "string", "Time since the object was made."),
        ],
        "rows": [{
            "cells": [object.name(), number(&["spec", "replicas"]), number(&["status", "replicas"]), age],
            "object": row_object,
        }],
    })
}
