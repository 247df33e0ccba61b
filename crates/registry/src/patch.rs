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
    // What is wrong with the patch itself, apart from what it makes.
    let mut strict = Vec::new();
    match patch {
        Patch::Json(bytes) => {
            let patch = JsonPatch::parse(bytes).map_err(|e| e.status())?;
            patch.apply(&mut tree).map_err(|e| e.status())?;
            strict.extend(patch.strict);
            shown = tree.to_string();
        }
        Patch::Merge(bytes) => {
            let patch = patch_tree(bytes, "error decoding patch: ")?;
            merge::merge_patch(&mut tree, &patch).map_err(|e| e.status())?;
            shown = tree.to_string();
        }
        Patch::Strategic(bytes) => {
            let patch = patch_tree(bytes, "")?;
            shown = merge::go_print(&patch);
            tree = merge::strategic_merge(node, tree, patch).map_err(|e| e.status())?;
        }
        Patch::Apply { body, force } => return apply(of, cx, subresource, body, *force, Some(old)),
    }
    // A patch that changes the kind must make an object of that kind, though it stays one of this.
    if let Some(other) = other_kind(gvk, &tree) {
        schema::conform(other, &tree).map_err(|e| invalid_patch(&shown, &e.to_string()))?;
    }
    let mut decoded = schema::conform(node, &tree).map_err(|e| invalid_patch(&shown, &e.to_string()))?;
    strict.append(&mut decoded.strict);
    decoded.strict = strict;
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
    let config = configuration(body)?;
    let tree = managed::applied(of, cx, subresource, old, &config, force)?;
    let decoded = schema::conform(of.node, &tree).map_err(|e| Status::internal(&e))?;
    let mut object = Object::from_value(decoded.value).map_err(|_| Status::internal("an apply made no object"))?;
    object.set_gvk(of.gvk);
    Ok(object)
}

/// The configuration that is applied, as it was sent: what does not fit the schema is for the apply to refuse, and
/// empty values mean that their fields are owned.
fn configuration(body: &Bytes) -> Result<Value, Status> {
    let read = |why: &str| Status::bad_request(format!("error decoding YAML: {why}"));
    let whole = schema::decode_any(body).map_err(|e| read(&e.to_string()))?.value;
    let found = match whole {
        Value::Object(_) => return Ok(whole),
        Value::Null => return Ok(Value::Object(serde_json::Map::new())),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
    };
    Err(read(&format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type \
         map[string]interface {{}}"
    )))
}

/// The schema of the kind that a patched tree says it is, if that is another.
fn other_kind(gvk: &GroupVersionKind, tree: &Value) -> Option<Node<'static>> {
    let (version, kind) = (tree["apiVersion"].as_str()?, tree["kind"].as_str()?);
    if version == gvk.api_version() && kind == gvk.kind {
        return None;
    }
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    schema::builtin().by_gvk(group, version, kind)
}

/// `doing` begins the sentence that refuses text which is no JSON.
fn patch_tree(bytes: &[u8], doing: &str) -> Result<Value, Status> {
    let tree = match schema::decode_any(bytes) {
        Ok(decoded) => decoded.value,
        Err(error) => return Err(Status::bad_request(format!("{doing}{error}"))),
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
