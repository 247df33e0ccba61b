//! From a request's body to a tree of the right kind, with unknown fields refused, told or dropped.

use apimachinery::{GroupVersion, Object, Status};
use schema::{DecodeError, Decoded, Node};
use serde_json::Value;

use crate::{Body, FieldValidation, RequestContext, Resource, Resources, form};

/// How much of a body an error quotes.
const SUMMARY_BYTES: usize = 30;
/// What upstream calls its table of kinds in error texts.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// What a body must be.
pub(crate) struct Expected<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) api_version: String,
    pub(crate) kind: &'a str,
}

impl<'a> Expected<'a> {
    pub(crate) fn of(resource: &'a dyn Resource) -> Self {
        let gvk = &resource.facts().gvk;
        Self { node: resource.node(), api_version: gvk.api_version(), kind: &gvk.kind }
    }
}

/// Decodes a body as what is expected. A body that does not say what it is counts as that.
pub(crate) fn body(
    resources: &Resources,
    expected: &Expected<'_>,
    cx: &RequestContext,
    body: Body,
) -> Result<Object, Status> {
    let bytes = match body {
        Body::Tree(object) => {
            check_kind(resources, expected, object.api_version(), object.kind(), b"")?;
            let decoded = schema::conform(expected.node, &object.into_value());
            return finish(expected, cx, decoded.map_err(|e| mismatch(expected, &e))?);
        }
        Body::Json(bytes) => bytes,
    };
    let (api_version, kind) = type_of(expected, &bytes)?;
    check_kind(resources, expected, &api_version, &kind, &bytes)?;
    if bytes.trim_ascii() == b"null" {
        return finish(expected, cx, Decoded { value: Value::Object(serde_json::Map::new()), strict: Vec::new() });
    }
    let decoded = schema::decode(expected.node, &bytes).map_err(|error| match (&error, kind.is_empty()) {
        (_, false) => mismatch(expected, &error),
        (_, true) => unrecognized(expected.kind, &error.to_string(), &bytes),
    })?;
    finish(expected, cx, decoded)
}

/// What the body says it is.
fn type_of(expected: &Expected<'_>, bytes: &[u8]) -> Result<(String, String), Status> {
    #[derive(serde::Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct TypeMeta {
        api_version: String,
        kind: String,
    }
    if let Ok(found) = serde_json::from_slice::<Option<TypeMeta>>(bytes) {
        let found = found.unwrap_or_default();
        return Ok((found.api_version, found.kind));
    }
    // The schema's decoder says what is wrong as upstream does; duplicate type fields are no error here.
    match schema::decode_any(bytes) {
        Ok(Decoded { value: Value::Object(map), .. }) => {
            let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            Ok((text("apiVersion"), text("kind")))
        }
        Ok(Decoded { value, .. }) => {
            let found = match value {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            const INTO: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; \
                Kind string \"json:\\\"kind,omitempty\\\"\" }";
            Err(no_type(expected, &format!("json: cannot unmarshal {found} into Go value of type {INTO}"), bytes))
        }
        Err(error) => Err(no_type(expected, &error.to_string(), bytes)),
    }
}

fn no_type(expected: &Expected<'_>, why: &str, bytes: &[u8]) -> Status {
    unrecognized(expected.kind, &format!("couldn't get version/kind; json parse error: {why}"), bytes)
}

fn unrecognized(kind: &str, why: &str, bytes: &[u8]) -> Status {
    let summary = match bytes.len() {
        0 => "<empty>".to_owned(),
        n if n <= SUMMARY_BYTES => String::from_utf8_lossy(bytes).into_owned(),
        _ => format!("{} ...", String::from_utf8_lossy(&bytes[..SUMMARY_BYTES])),
    };
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({summary})"))
}

fn handled_as(expected: &Expected<'_>, version: &str, kind: &str, why: &str) -> Status {
    Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {}: {why}", expected.kind))
}

fn mismatch(expected: &Expected<'_>, error: &DecodeError) -> Status {
    let version = GroupVersion::parse(&expected.api_version).map(|gv| gv.version).unwrap_or_default();
    handled_as(expected, &version, expected.kind, &error.to_string())
}

fn check_kind(
    resources: &Resources,
    expected: &Expected<'_>,
    api_version: &str,
    kind: &str,
    bytes: &[u8],
) -> Result<(), Status> {
    let api_version = if api_version.is_empty() { &expected.api_version } else { api_version };
    let kind = if kind.is_empty() { expected.kind } else { kind };
    if api_version == expected.api_version && kind == expected.kind {
        return Ok(());
    }
    let Some(found) = GroupVersion::parse(api_version) else {
        return Err(unrecognized(expected.kind, &format!("unexpected GroupVersion string: {api_version}"), bytes));
    };
    let known = resources.find_kind(&found.group, &found.version, kind).is_some();
    if !known {
        let why = format!("no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"{SCHEME}\"");
        return Err(handled_as(expected, &found.version, kind, &why));
    }
    if kind == expected.kind {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version
        )));
    }
    let internal = |group: &str| match group.split('.').next().unwrap_or_default() {
        "" => "core".to_owned(),
        group => group.to_owned(),
    };
    let external = match found.group.split('.').next().unwrap_or_default() {
        "" => found.version.clone(),
        _ => found.version.clone(),
    };
    let group = GroupVersion::parse(&expected.api_version).map(|gv| gv.group).unwrap_or_default();
    let why = format!("converting ({external}.{kind}) to ({}.{}): unknown conversion", internal(&group), expected.kind);
    Err(handled_as(expected, &found.version, kind, &why))
}

/// Says what to do with what the schema does not know, and what the object is.
fn finish(expected: &Expected<'_>, cx: &RequestContext, decoded: Decoded) -> Result<Object, Status> {
    let version = GroupVersion::parse(&expected.api_version).map(|gv| gv.version).unwrap_or_default();
    match (cx.field_validation, decoded.strict_error()) {
        (FieldValidation::Strict, Some(error)) => return Err(handled_as(expected, &version, expected.kind, &error)),
        (FieldValidation::Warn, Some(_)) => {
            decoded.strict.iter().for_each(|sentence| cx.warnings.push(sentence.clone()))
        }
        _ => {}
    }
    let mut object = Object::from_value(decoded.value).map_err(|_| Status::bad_request("the body is no object"))?;
    object.set(&["apiVersion"], expected.api_version.clone());
    object.set(&["kind"], expected.kind);
    if object.get(&["metadata"]).is_none() {
        object.set(&["metadata"], Value::Object(serde_json::Map::new()));
    }
    Ok(object)
}

/// A stored object as a tree, in this resource's version.
pub(crate) fn stored(resource: &dyn Resource, bytes: &[u8]) -> Result<Object, Status> {
    if let Some(why) = form::why_unreadable(bytes) {
        return Err(Status::internal(why));
    }
    let mut object = Object::from_slice(bytes).map_err(Status::internal)?;
    resource.to_served_form(&mut object);
    Ok(object)
}
