//! Bodies of the kinds that are answered here and never reach the registry.

use apimachinery::{Object, Status};
use registry::{Body, FieldValidation, RequestContext, Resource};
use serde_json::Value;

/// Decodes a body against the schema of its resource. Unknown fields are refused, told or dropped as asked.
pub(crate) fn object(resource: &dyn Resource, cx: &RequestContext, body: &Body) -> Result<Object, Status> {
    let gvk = &resource.facts().gvk;
    let refuse = |why: String| {
        Status::bad_request(format!(
            "{} in version {} cannot be handled as a {}: {why}",
            gvk.kind,
            apimachinery::field::quote(&gvk.version),
            gvk.kind
        ))
    };
    let decoded = match body {
        Body::Tree(object) => return Ok(object.clone()),
        Body::Json(bytes) => schema::decode(resource.node(), bytes).map_err(|error| refuse(error.to_string()))?,
    };
    if !decoded.strict.is_empty() {
        let notes: Vec<String> = decoded.strict.iter().map(ToString::to_string).collect();
        match cx.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => notes.iter().for_each(|note| cx.warnings.push(note.as_str())),
            FieldValidation::Strict => return Err(refuse(format!("strict decoding error: {}", notes.join(", ")))),
        }
    }
    let object = match decoded.value {
        Value::Null => Object::default(),
        value => Object::from_value(value).map_err(|_| refuse("it is no object".to_owned()))?,
    };
    let says = |field: &str, is: &str| object.get_str(&[field]).is_none_or(|said| said.is_empty() || said == is);
    if !says("kind", &gvk.kind) || !says("apiVersion", &gvk.api_version()) {
        return Err(Status::bad_request(format!(
            "{} in version {} cannot be handled as a {}",
            object.kind(),
            apimachinery::field::quote(object.api_version()),
            gvk.kind
        )));
    }
    Ok(object)
}
