#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;

const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

fn apps() -> Value {
    v3(&GroupVersion { group: "apps", version: "v1", resources: &resources() }, "v1.37.0")
}

fn resources() -> [Resource<'static>; 2] {
    let table = crate::builtin();
    let deployments = Resource {
        plural: "deployments",
        subresource: "",
        kind: "Deployment",
        namespaced: true,
        verbs: ALL,
        body: ("apps", "v1", "Deployment"),
        node: table.by_gvk("apps", "v1", "Deployment"),
        list: table.by_gvk("apps", "v1", "DeploymentList"),
    };
    let scale = Resource {
        subresource: "scale",
        verbs: &["get", "patch", "update"],
        body: ("autoscaling", "v1", "Scale"),
        node: table.by_gvk("autoscaling", "v1", "Scale"),
        list: None,
        ..deployments
    };
    [deployments, scale]
}

#[test]
fn version_three_names_operations_and_kinds() {
    let document = apps();
    let at = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(document["openapi"], "3.0.0");
    let paths = "/paths/~1apis~1apps~1v1~1namespaces~1{namespace}~1deployments";
    assert_eq!(at(&format!("{paths}~1{{name}}~1scale/get/operationId")), "readAppsV1NamespacedDeploymentScale");
    assert_eq!(at(&format!("{paths}/delete/operationId")), "deleteAppsV1CollectionNamespacedDeployment");
    assert_eq!(at(&format!("{paths}/post/x-kubernetes-action")), "post");
    assert_eq!(
        at(&format!("{paths}/post/x-kubernetes-group-version-kind")),
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
    assert_eq!(at("/paths/~1apis~1apps~1v1~1deployments/get/operationId"), "listAppsV1DeploymentForAllNamespaces");
    let names: Vec<Value> = at(&format!("{paths}~1{{name}}/patch/parameters"))
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].clone())
        .collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
}

#[test]
fn version_three_holds_every_type_it_refers_to() {
    let document = apps();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["io.k8s.api.apps.v1.DeploymentSpec"]["required"], json!(["selector", "template"]));
    assert_eq!(
        schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "kind": "Deployment", "version": "v1"}])
    );
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(schemas[name].is_object(), "{name}");
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|v| collect_references(v, references));
        }
        Value::Array(list) => list.iter().for_each(|v| collect_references(v, references)),
        _ => {}
    }
}

#[test]
fn version_two_has_paths_and_definitions() {
    let document = v2(&[GroupVersion { group: "apps", version: "v1", resources: &resources() }], "v1.37.0");
    assert_eq!(document["swagger"], "2.0");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["parameters"][0]["in"], "body");
    assert_eq!(
        document["definitions"]["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["template"]["$ref"],
        "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"
    );
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for reference in references {
        assert!(document["definitions"][reference.strip_prefix("#/definitions/").unwrap()].is_object(), "{reference}");
    }
}

/// Reads protobuf without knowing messages: field numbers and contents.
fn read(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        match tag & 7 {
            0 => fields.push((tag >> 3, vec![varint(&mut bytes) as u8])),
            2 => {
                let length = varint(&mut bytes) as usize;
                fields.push((tag >> 3, bytes[..length].to_vec()));
                bytes = &bytes[length..];
            }
            other => panic!("wire type {other}"),
        }
    }
    fields
}

fn only(fields: &[(u64, Vec<u8>)], number: u64) -> &[u8] {
    &fields.iter().find(|(n, _)| *n == number).unwrap().1
}

#[test]
fn version_two_is_written_as_protobuf() {
    let document = v2(&[GroupVersion { group: "apps", version: "v1", resources: &resources() }], "v1.37.0");
    let fields = read(&v2_protobuf(&document));
    assert_eq!(only(&fields, 1), b"2.0");
    let definitions = read(only(&fields, 9));
    assert_eq!(definitions.len(), document["definitions"].as_object().unwrap().len());
    let deployment = definitions
        .iter()
        .map(|(_, pair)| read(pair))
        .find(|pair| only(pair, 1) == b"io.k8s.api.apps.v1.Deployment")
        .unwrap();
    let schema = read(only(&deployment, 2));
    let extension = read(only(&schema, 31));
    assert_eq!(only(&extension, 1), b"x-kubernetes-group-version-kind");
    let yaml = read(only(&extension, 2));
    let kinds: Value = serde_json::from_slice(only(&yaml, 2)).unwrap();
    assert_eq!(kinds[0]["kind"], "Deployment");
}
