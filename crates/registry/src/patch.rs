//! The four kinds of patches against a stored object.

use apimachinery::{GroupKind, GroupVersionKind, Object, Status, field};
use bytes::Bytes;
use merge::JsonPatch;
use schema::Node;
use serde_json::Value;

use crate::{FieldValidation, Patch, RequestContext, Resource, managed};

/// What the object becomes.
pub(crate) fn patched(
    resource: &dyn Resource,
    cx: &RequestContext,
    subresource: &str,
    patch: &Patch,
    old: &Object,
) -> Result<Object, Status> {
    patched_as(&resource.facts().gvk, resource.node(), cx, subresource, patch, old)
}

/// The same for what is no resource of its own.
pub(crate) fn patched_as(
    gvk: &GroupVersionKind,
    node: Node<'_>,
    cx: &RequestContext,
    subresource: &str,
    patch: &Patch,
    old: &Object,
) -> Result<Object, Status> {
    let of = Target { gvk, node };
    let mut tree = old.clone().into_value();
    let shown;
    match patch {
        Patch::Json(bytes) => {
            let patch = JsonPatch::parse(bytes).map_err(|e| e.status())?;
            patch.apply(&mut tree).map_err(|e| e.status())?;
            shown = String::from_utf8_lossy(bytes).into_owned();
        }
        Patch::Merge(bytes) => {
            let patch = patch_tree(bytes)?;
            merge::merge_patch(&mut tree, &patch).map_err(|e| e.status())?;
            shown = String::from_utf8_lossy(bytes).into_owned();
        }
        Patch::Strategic(bytes) => {
            let patch = patch_tree(bytes)?;
            shown = merge::go_print(&patch);
            tree = merge::strategic_merge(node, tree, patch).map_err(|e| e.status())?;
        }
        Patch::Apply { body, force } => return apply(of, cx, subresource, body, *force, Some(old)),
    }
    let decoded = schema::conform(node, &tree).map_err(|e| invalid_patch(&shown, &e.to_string()))?;
    match (cx.field_validation, decoded.strict_error()) {
        (FieldValidation::Strict, Some(error)) => return Err(invalid_patch(&shown, &error)),
        (FieldValidation::Warn, Some(_)) => {
            decoded.strict.iter().for_each(|sentence| cx.warnings.push(sentence.clone()));
        }
        _ => {}
    }
    let mut object = Object::from_value(decoded.value).map_err(|_| invalid_patch(&shown, "the result is no object"))?;
    object.set_gvk(gvk);
    Ok(object)
}

/// What is patched.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) gvk: &'a GroupVersionKind,
    pub(crate) node: Node<'a>,
}

/// The object that an apply makes where there is none.
pub(crate) fn applied_to_nothing(
    resource: &dyn Resource,
    cx: &RequestContext,
    body: &Bytes,
    force: bool,
) -> Result<Object, Status> {
    let of = Target { gvk: &resource.facts().gvk, node: resource.node() };
    check_absent(resource, cx, body)?;
    apply(of, cx, "", body, force, None)
}

/// An apply that names a uid means an object that is there.
fn check_absent(resource: &dyn Resource, cx: &RequestContext, body: &[u8]) -> Result<(), Status> {
    let config: Value = serde_json::from_slice(body).unwrap_or_default();
    match config.pointer("/metadata/uid").and_then(Value::as_str) {
        None | Some("") => Ok(()),
        Some(uid) => {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            Err(Status::conflict(&resource.facts().group_resource(), &cx.name, &why))
        }
    }
}

/// Server-side apply.
fn apply(
    of: Target<'_>,
    cx: &RequestContext,
    subresource: &str,
    body: &Bytes,
    force: bool,
    old: Option<&Object>,
) -> Result<Object, Status> {
    let config = configuration(of, cx, body)?;
    let tree = managed::applied(of, cx, subresource, old, &config, force)?;
    let decoded = schema::conform(of.node, &tree).map_err(|e| Status::internal(&e))?;
    let mut object = Object::from_value(decoded.value).map_err(|_| Status::internal("an apply made no object"))?;
    object.set_gvk(of.gvk);
    Ok(object)
}

/// The configuration that is applied, with unknown fields treated as asked for.
fn configuration(of: Target<'_>, cx: &RequestContext, body: &Bytes) -> Result<Value, Status> {
    let read = |why: &str| Status::bad_request(format!("error decoding YAML: {why}"));
    let whole = schema::decode_any(body).map_err(|e| read(&e.to_string()))?;
    if !whole.value.is_object() {
        let found = if whole.value.is_array() { "array" } else { "string" };
        return Err(read(&format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type \
             map[string]interface {{}}"
        )));
    }
    if cx.field_validation != FieldValidation::Ignore
        && let Ok(decoded) = schema::decode(of.node, body)
    {
        match (cx.field_validation, decoded.strict_error()) {
            (FieldValidation::Strict, Some(error)) => {
                return Err(invalid_patch(&merge::go_print(&whole.value), &error));
            }
            _ => decoded.strict.into_iter().for_each(|sentence| cx.warnings.push(sentence)),
        }
        // What was warned about is not applied.
        let mut value = decoded.value;
        for name in ["apiVersion", "kind"] {
            if let (Some(given), Value::Object(map)) = (whole.value.get(name), &mut value) {
                map.insert(name.to_owned(), given.clone());
            }
        }
        return Ok(value);
    }
    Ok(whole.value)
}

fn patch_tree(bytes: &[u8]) -> Result<Value, Status> {
    let tree = match schema::decode_any(bytes) {
        Ok(decoded) => decoded.value,
        Err(error) => return Err(Status::bad_request(format!("error decoding patch: {error}"))),
    };
    let found = match tree {
        Value::Object(_) => return Ok(tree),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Null => return Ok(Value::Object(serde_json::Map::new())),
        Value::Number(_) => "number",
    };
    Err(Status::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    )))
}

fn invalid_patch(patch: &str, why: &str) -> Status {
    let error = field::Error::invalid(&field::Path::new("patch"), patch, why);
    Status::invalid(&GroupKind::new("", ""), "", &error.into())
}
