//! OpenAPI documents out of the table: version 3 for one group and version, version 2 for everything.
//!
//! Unlike Kubernetes: no `default` values, and no paths of the deprecated `/watch/` form.

mod gnostic;
mod operations;
mod parameters;
mod paths;
mod schemas;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::node::Node;

pub use gnostic::encode as v2_protobuf;

/// The media type under which kubectl asks for [`v2_protobuf`].
pub const V2_PROTOBUF_MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The media type to answer it with, whichever was asked for: kubectl up to 1.27 cannot read its own with the `@`.
pub const V2_PROTOBUF_CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A resource or subresource that is served.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// `deployments`.
    pub plural: &'a str,
    /// `status`; empty for the resource itself.
    pub subresource: &'a str,
    /// The kind of the resource, which names the operations: `Deployment`, also for `deployments/scale`.
    pub kind: &'a str,
    pub namespaced: bool,
    /// As in discovery: `get`, `list`, `create`, `update`, `patch`, `delete`, `deletecollection`, `watch`.
    pub verbs: &'a [&'a str],
    /// Group, version and kind of what is sent and answered: `autoscaling`, `v1`, `Scale` for `deployments/scale`.
    pub body: (&'a str, &'a str, &'a str),
    /// The schema of the body; `None` for subresources that carry none.
    pub node: Option<Node<'a>>,
    /// The schema of lists of it, if it is listed.
    pub list: Option<Node<'a>>,
}

/// The resources of one group and version.
#[derive(Clone, Copy, Debug)]
pub struct GroupVersion<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    pub version: &'a str,
    pub resources: &'a [Resource<'a>],
}

/// The two forms differ in where things stand and in how they say what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    V2,
    V3,
}

/// The document that `/openapi/v3/apis/<group>/<version>` answers. `server_version` is like `v1.37.0`.
pub fn v3(of: &GroupVersion<'_>, server_version: &str) -> Value {
    let mut schemas = schemas::Schemas::new(Form::V3);
    let paths = paths::paths(Form::V3, of, &mut schemas);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {"BearerToken": bearer_token()},
        },
    })
}

/// The document that `/openapi/v2` answers.
pub fn v2(of: &[GroupVersion<'_>], server_version: &str) -> Value {
    let mut schemas = schemas::Schemas::new(Form::V2);
    let mut paths = Map::new();
    for group_version in of {
        paths.extend(paths::paths(Form::V2, group_version, &mut schemas));
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": paths,
        "definitions": schemas.finish(),
        "securityDefinitions": {"BearerToken": bearer_token()},
        "security": [{"BearerToken": []}],
    })
}

fn bearer_token() -> Value {
    json!({"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"})
}
