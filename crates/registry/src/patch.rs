//! The four kinds of patches against a stored object.

use apimachinery::{GroupKind, Object, Status, field};
use bytes::Bytes;
use merge::JsonPatch;
use serde_json::Value;

use crate::{FieldValidation, Patch, RequestContext, Resource};

/// What the object becomes.
pub(crate) fn patched(
    resource: &dyn Resource,
    cx: &RequestContext,
    subresource: &str,
    patch: &Patch,
    old: &Object,
) -> Result<Object, Status> {
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
            tree = merge::strategic_merge(resource.node(), tree, patch).map_err(|e| e.status())?;
        }
        Patch::Apply { body, force } => return apply(resource, cx, subresource, body, *force, old),
    }
    let decoded = schema::conform(resource.node(), &tree).map_err(|e| invalid_patch(&shown, &e.to_string()))?;
    match (cx.field_validation, decoded.strict_error()) {
        (FieldValidation::Strict, Some(error)) => return Err(invalid_patch(&shown, &error)),
        (FieldValidation::Warn, Some(_)) => {
            decoded.strict.iter().for_each(|sentence| cx.warnings.push(sentence.clone()));
        }
        _ => {}
    }
    let mut object = Object::from_value(decoded.value).map_err(|_| invalid_patch(&shown, "the result is no object"))?;
    object.set_gvk(&resource.facts().gvk);
    Ok(object)
}

/// The object that an apply makes where there is none.
pub(crate) fn applied_to_nothing(
    _resource: &dyn Resource,
    _cx: &RequestContext,
    _body: &Bytes,
) -> Result<Object, Status> {
    Err(Status::unsupported_media_type(&[
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ]))
}

fn apply(
    resource: &dyn Resource,
    cx: &RequestContext,
    _subresource: &str,
    body: &Bytes,
    _force: bool,
    _old: &Object,
) -> Result<Object, Status> {
    applied_to_nothing(resource, cx, body)
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
