//! YAML in and out, by way of JSON trees.

use apimachinery::Status;
use serde_json::Value;

/// Reads one YAML document into a tree.
pub(crate) fn read(text: &[u8]) -> Result<Value, Status> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Status::bad_request("error converting YAML to JSON: yaml: invalid leading UTF-8 octet"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| Status::bad_request(format!("error converting YAML to JSON: yaml: {error}")))
}

/// Writes a tree as YAML.
pub(crate) fn write(tree: &Value) -> String {
    serde_saphyr::to_string(tree).unwrap_or_else(|error| format!("# {error}\n"))
}
