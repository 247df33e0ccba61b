//! OpenAPI documents, made when first asked for.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::{
    respond::{self, Body},
    server::Cx,
};

/// The documents of this server.
#[derive(Default)]
pub(crate) struct Documents {}

impl Documents {
    pub(crate) fn v2(&self, _cx: &Cx) -> Response<Body> {
        respond::not_found_page()
    }

    pub(crate) fn v3_index(&self, cx: &Cx) -> Response<Body> {
        let mut response =
            cx.looks(crate::negotiation::Accepted::default()).document(StatusCode::OK, &json!({"paths": {}}));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }

    pub(crate) fn v3(&self, _cx: &Cx, _path: &str) -> Response<Body> {
        let mut response = Response::new(respond::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }
}
