//! `metav1.Status`: the one error on the API's wire. Constructors carry upstream's reasons, codes and words, which
//! clients match on.

use serde::{Deserialize, Serialize};

use crate::{GroupKind, GroupResource, field};

/// Why a request failed, as a machine reads it. The spelling is upstream's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    #[default]
    #[serde(rename = "")]
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    StoreReadError,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
    InsufficientStorage,
}

impl Reason {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: i32,
}

/// An answer that is no object: nearly always a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    #[serde(default)]
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "Reason::is_unknown")]
    pub reason: Reason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    #[serde(default, skip_serializing_if = "is_zero_code")]
    pub code: u16,
    /// Where an expired list may go on, at the price of a seam; stands in the metadata on the wire.
    #[serde(skip)]
    pub continue_token: String,
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}

fn is_zero_code(n: &u16) -> bool {
    *n == 0
}

impl Status {
    pub fn failure(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: "Failure".to_owned(),
            message: message.into(),
            reason,
            details: None,
            code,
            continue_token: String::new(),
        }
    }

    pub fn success() -> Self {
        Self {
            status: "Success".to_owned(),
            message: String::new(),
            reason: Reason::Unknown,
            details: None,
            code: 0,
            continue_token: String::new(),
        }
    }

    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    fn about(self, resource: &GroupResource, name: &str) -> Self {
        self.with_details(Details {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.resource.clone(),
            ..Details::default()
        })
    }

    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::failure(404, Reason::NotFound, format!("{resource} {} not found", quote_go(name))).about(resource, name)
    }

    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::failure(409, Reason::AlreadyExists, format!("{resource} {} already exists", quote_go(name)))
            .about(resource, name)
    }

    /// `why` is the sentence after the colon; [`Status::modified`] has the usual one.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {}: {why}", quote_go(name));
        Self::failure(409, Reason::Conflict, message).about(resource, name)
    }

    /// The object changed between the caller's read and its write.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        const WHY: &str = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, WHY)
    }

    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} {} is forbidden: {why}", quote_go(name)),
        };
        Self::failure(403, Reason::Forbidden, message).about(resource, name)
    }

    /// Refuses an object with all that is wrong with it.
    pub fn invalid(kind: &GroupKind, name: &str, errors: &field::ErrorList) -> Self {
        let causes = errors
            .iter()
            .map(|e| Cause { reason: e.kind.reason().to_owned(), message: e.body(), field: e.field.clone() })
            .collect();
        let message = format!("{kind} {} is invalid: {errors}", quote_go(name));
        Self::failure(422, Reason::Invalid, message).with_details(Details {
            name: name.to_owned(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            causes,
            ..Details::default()
        })
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, Reason::BadRequest, message)
    }

    pub fn unauthorized() -> Self {
        Self::failure(401, Reason::Unauthorized, "Unauthorized")
    }

    pub fn method_not_supported(resource: &GroupResource, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind {}", quote_go(&resource.to_string()));
        Self::failure(405, Reason::MethodNotAllowed, message).about(resource, "")
    }

    /// A resource version or continue token that history no longer holds.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, Reason::Expired, message)
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: i32) -> Self {
        Self::failure(429, Reason::TooManyRequests, message)
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::failure(500, Reason::InternalError, format!("Internal error occurred: {cause}")).with_details(Details {
            causes: vec![Cause { message: cause.to_string(), ..Cause::default() }],
            ..Details::default()
        })
    }

    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, Reason::ServiceUnavailable, message)
    }

    /// The request may or may not have taken effect.
    pub fn timeout(message: impl Into<String>, retry_after_seconds: i32) -> Self {
        Self::failure(504, Reason::Timeout, format!("Timeout: {}", message.into()))
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::failure(406, Reason::NotAcceptable, message)
    }

    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, Reason::UnsupportedMediaType, message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(413, Reason::RequestEntityTooLarge, format!("Request entity is too large: {}", message.into()))
    }

    pub fn is(&self, reason: Reason) -> bool {
        self.reason == reason
    }

    /// The object that goes on the wire.
    pub fn to_value(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("a status always serializes");
        let map = value.as_object_mut().expect("a status is an object");
        map.insert("kind".to_owned(), "Status".into());
        map.insert("apiVersion".to_owned(), "v1".into());
        let metadata = match self.continue_token.as_str() {
            "" => serde_json::json!({}),
            token => serde_json::json!({ "continue": token }),
        };
        map.insert("metadata".to_owned(), metadata);
        value
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// Quotes as Go's `%q` does for the text that occurs in names and messages.
pub fn quote_go(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
