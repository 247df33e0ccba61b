//! From an answer to an HTTP response: format, pretty printing, compression, headers.

use std::io::{Read as _, Write};

use apimachinery::Status;
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde::Serialize;
use serde_json::Value;

use crate::negotiation::{Accepted, Format, JSON, PROTOBUF, YAML};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Smaller answers are sent as they are: compressing them costs more than it saves.
const GZIP_FROM_BYTES: usize = 128 * 1024;
/// As fast as gzip gets, which is what upstream uses.
const GZIP_LEVEL: u32 = 1;
/// Browsers and command lines whose users read what comes.
const READERS: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

/// What of a request decides about the looks of its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looks {
    pub accepted: Accepted,
    pub pretty: bool,
    pub gzip: bool,
}

impl Looks {
    pub(crate) fn new(headers: &HeaderMap, pretty_parameter: Option<&str>, accepted: Accepted) -> Self {
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        let pretty = match pretty_parameter {
            Some(value) if !value.is_empty() => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
            _ => accepted.pretty || text(header::USER_AGENT).is_some_and(|a| READERS.iter().any(|r| a.starts_with(r))),
        };
        let gzip = text(header::ACCEPT_ENCODING)
            .is_some_and(|e| e.split(',').any(|part| part.split(';').next().unwrap_or_default().trim() == "gzip"));
        Self { accepted, pretty, gzip }
    }

    /// An answer with a document in the asked-for format.
    pub(crate) fn document<T: Serialize>(&self, code: StatusCode, document: &T) -> Response<Body> {
        match self.accepted.format {
            Format::Json if self.pretty => {
                bytes(code, JSON, serde_json::to_vec_pretty(document).expect("a tree always serializes"))
            }
            Format::Json => {
                let mut text = serde_json::to_vec(document).expect("a tree always serializes");
                text.push(b'\n');
                self.json_bytes(code, text.into())
            }
            Format::Protobuf => {
                let tree = serde_json::to_value(document).expect("a tree always serializes");
                match schema::protobuf::encode_object(&tree) {
                    Ok(body) => self.compressed(code, PROTOBUF, body.into()),
                    Err(error) => {
                        tracing::debug!(%error, "answered in JSON what has no protobuf form");
                        let json = serde_json::to_vec(&tree).expect("a tree always serializes");
                        self.compressed(code, JSON, json.into())
                    }
                }
            }
            Format::Yaml => {
                let tree = serde_json::to_value(document).expect("a tree always serializes");
                match crate::yaml::write(&tree) {
                    Ok(text) => bytes(code, YAML, text),
                    Err(error) => status(&error),
                }
            }
        }
    }

    /// An answer that is JSON already, sent without looking into it where the client wants plain JSON.
    pub(crate) fn encoded(&self, code: StatusCode, json: Bytes) -> Response<Body> {
        if self.accepted.format == Format::Json && !self.pretty {
            return self.json_bytes(code, json);
        }
        match serde_json::from_slice::<Value>(&json) {
            Ok(tree) => self.document(code, &tree),
            Err(error) => status(&Status::internal(error)),
        }
    }

    fn json_bytes(&self, code: StatusCode, json: Bytes) -> Response<Body> {
        self.compressed(code, JSON, json)
    }

    /// Compresses what is large where the client takes it.
    pub(crate) fn compressed(&self, code: StatusCode, media_type: &'static str, json: Bytes) -> Response<Body> {
        if !self.gzip || json.len() < GZIP_FROM_BYTES {
            return bytes(code, media_type, json);
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 8), Compression::new(GZIP_LEVEL));
        let compressed = encoder.write_all(&json).and_then(|()| encoder.finish());
        let Ok(compressed) = compressed else { return bytes(code, media_type, json) };
        gzipped(code, media_type, compressed)
    }

    /// What is kept compressed, as the client takes it.
    pub(crate) fn kept(&self, media_type: &'static str, gzip: Bytes) -> Response<Body> {
        if self.gzip {
            return gzipped(StatusCode::OK, media_type, gzip);
        }
        let mut plain = Vec::new();
        match GzDecoder::new(&*gzip).read_to_end(&mut plain) {
            Ok(_) => bytes(StatusCode::OK, media_type, plain),
            Err(error) => status(&Status::internal(error)),
        }
    }

    /// A refusal in the asked-for format.
    pub(crate) fn status(&self, refusal: &Status) -> Response<Body> {
        let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let plain = Self { gzip: false, ..self.clone() };
        let mut response = plain.document(code, &refusal.to_value());
        retry_after(&mut response, refusal);
        response
    }
}

fn gzipped(code: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = bytes(code, media_type, body);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// A refusal in JSON, where nothing is known of the client's wishes.
pub(crate) fn status(refusal: &Status) -> Response<Body> {
    Looks::default().status(refusal)
}

fn retry_after(response: &mut Response<Body>, refusal: &Status) {
    let seconds = refusal.details.as_ref().map_or(0, |d| d.retry_after_seconds);
    if seconds > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

pub(crate) fn bytes(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = body.into();
    let mut response = Response::new(Body::default());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = full(body);
    response
}

pub(crate) fn text(code: StatusCode, text: impl Into<String>) -> Response<Body> {
    bytes(code, "text/plain; charset=utf-8", text.into())
}

/// What upstream's mux says of a path nobody serves.
pub(crate) fn not_found_page() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A path or method that exists nowhere in a known API group.
pub(crate) fn no_such_resource() -> Status {
    Status::failure(404, apimachinery::Reason::NotFound, "the server could not find the requested resource")
        .with_details(apimachinery::Details::default())
}

pub(crate) fn method_not_allowed() -> Status {
    let message = "the server does not allow this method on the requested resource";
    Status::failure(405, apimachinery::Reason::MethodNotAllowed, message).with_details(apimachinery::Details::default())
}

/// Adds a `Warning` header that kubectl prints. Control characters cannot stand in a header.
pub(crate) fn warn(headers: &mut HeaderMap, warning: &str) {
    let clean: String = warning.chars().filter(|c| !c.is_control()).collect();
    let quoted = format!("299 - \"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""));
    if let Ok(value) = HeaderValue::from_bytes(quoted.as_bytes()) {
        headers.append(header::WARNING, value);
    }
}
