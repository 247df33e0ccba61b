//! Bodies in protobuf, turned into the JSON everything behind reads.

use apimachinery::{GroupVersion, Status};
use bytes::Bytes;
use schema::{Node, protobuf};
use serde_json::Value;

/// The object of a body as JSON. A kind the schema does not know is passed on by its name alone, for the registry to
/// refuse as it refuses it in JSON.
pub(crate) fn to_json(body: &[u8]) -> Result<Bytes, Status> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let refuse = |error: protobuf::ProtobufError| Status::bad_request(error.to_string());
    let envelope = protobuf::envelope(body).map_err(refuse)?;
    let mut tree = match node(&envelope.api_version, &envelope.kind) {
        Some(node) => protobuf::decode(node, envelope.raw).map_err(refuse)?,
        None => Value::Object(serde_json::Map::new()),
    };
    if let Value::Object(map) = &mut tree {
        map.insert("apiVersion".to_owned(), envelope.api_version.into());
        map.insert("kind".to_owned(), envelope.kind.into());
    }
    serde_json::to_vec(&tree).map(Bytes::from).map_err(Status::internal)
}

fn node(api_version: &str, kind: &str) -> Option<Node<'static>> {
    let table = schema::builtin();
    if kind == "DeleteOptions" {
        return table.definition("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    }
    let gv = GroupVersion::parse(api_version)?;
    table.by_gvk(&gv.group, &gv.version, kind)
}
