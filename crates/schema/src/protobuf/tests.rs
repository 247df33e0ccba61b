//! Bodies written here by hand, byte by byte, and what they mean.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

/// A length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    all.extend_from_slice(bytes);
    all
}

fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

fn node(group: &str, version: &str, kind: &str) -> Node<'static> {
    crate::builtin().by_gvk(group, version, kind).unwrap()
}

#[test]
fn an_envelope_names_its_kind() {
    let type_meta = message(&[field(1, b"v1"), field(2, b"ConfigMap")]);
    let body = [MAGIC, &field(1, &type_meta), &field(2, b"raw")].concat();
    let envelope = envelope(&body).unwrap();
    assert_eq!((envelope.api_version.as_str(), envelope.kind.as_str(), envelope.raw), ("v1", "ConfigMap", &b"raw"[..]));
    assert_eq!(super::envelope(b"{}"), Err(ProtobufError::NoMagic));
}

#[test]
fn maps_lists_and_embedded_messages() {
    let metadata = message(&[field(1, b"n"), field(2, b""), field(11, &message(&[field(1, b"k"), field(2, b"v")]))]);
    let config_map = message(&[field(1, &metadata), field(2, &message(&[field(1, b"a"), field(2, b"b")]))]);
    assert_eq!(
        decode(node("", "v1", "ConfigMap"), &config_map).unwrap(),
        json!({"metadata": {"name": "n", "labels": {"k": "v"}}, "data": {"a": "b"}})
    );
    // A volume's source stands beside its name in JSON, and in a message of its own here.
    let secret = field(6, &field(1, b"s"));
    let volume = message(&[field(1, b"v"), field(2, &secret)]);
    let pod = field(2, &field(1, &volume));
    assert_eq!(
        decode(node("", "v1", "Pod"), &pod).unwrap(),
        json!({"spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}})
    );
}

#[test]
fn pointers_keep_their_zero_and_values_lose_it() {
    let spec = message(&[number(1, 0), number(5, 0)]);
    assert_eq!(decode(node("apps", "v1", "Deployment"), &field(2, &spec)).unwrap(), json!({"spec": {"replicas": 0}}));
}

#[test]
fn times_bytes_and_either_numbers_or_words() {
    let time = field(1, &field(8, &[8, 0x80, 0xa3, 0x05]));
    assert_eq!(
        decode(node("", "v1", "Pod"), &time).unwrap(),
        json!({"metadata": {"creationTimestamp": "1970-01-02T00:00:00Z"}})
    );
    let secret = field(2, &message(&[field(1, b"k"), field(2, b"\xff\x00")]));
    assert_eq!(decode(node("", "v1", "Secret"), &secret).unwrap(), json!({"data": {"k": "/wA="}}));
    let port = message(&[number(3, 80), field(4, &message(&[number(1, 1), field(3, b"web")]))]);
    assert_eq!(
        decode(node("", "v1", "Service"), &field(2, &field(1, &port))).unwrap(),
        json!({"spec": {"ports": [{"port": 80, "targetPort": "web"}]}})
    );
}

#[test]
fn what_is_cut_short_is_refused() {
    let whole = field(1, &field(1, b"name"));
    for end in 1..whole.len() {
        assert!(decode(node("", "v1", "ConfigMap"), &whole[..end]).is_err(), "{end}");
    }
    assert_eq!(wire::rfc3339(1_800_000_000, 5_000, true), "2027-01-15T08:00:00.000005Z");
}

const GONE: [&str; 1] = ["api.core.v1.NodeAllocatableResourceClaimStatus.resources"];

/// Messages and fields that the schema knows under no name would be dropped in silence.
#[test]
fn every_field_of_the_table_means_something() {
    for (message, fields) in messages() {
        let Some(node) = crate::builtin().definition(&format!("io.k8s.{message}")) else { continue };
        if node.shape() != Shape::Object || message.contains(".runtime.") {
            continue;
        }
        for Numbered { name, of, .. } in fields {
            let known = named(node, name).is_some() || !of.is_empty();
            // Alpha in 1.36, and gone or called otherwise in 1.37.
            let gone = GONE.contains(&format!("{message}.{name}").as_str());
            assert!(known || gone || message.ends_with("meta.v1.LabelSelector"), "{message} {name}");
        }
    }
}

#[track_caller]
fn there_and_back(tree: Value) {
    let body = encode_object(&tree).unwrap();
    let envelope = envelope(&body).unwrap();
    assert_eq!(
        (tree["apiVersion"].as_str(), tree["kind"].as_str()),
        (Some(&*envelope.api_version), Some(&*envelope.kind))
    );
    let (group, version) = envelope.api_version.split_once('/').unwrap_or(("", &envelope.api_version));
    let mut read = decode(node(group, version, &envelope.kind), envelope.raw).unwrap();
    read["apiVersion"] = tree["apiVersion"].clone();
    read["kind"] = tree["kind"].clone();
    assert_eq!(read, tree);
}

#[test]
fn what_is_written_reads_the_same() {
    there_and_back(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": {"a": "b", "c": ""}, "creationTimestamp": "2027-01-15T08:00:00Z",
            "managedFields": [{"manager": "m", "operation": "Update", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {}}}}],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true}]},
        "spec": {"volumes": [{"name": "v", "emptyDir": {}}], "hostNetwork": true, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "resources": {"limits": {"cpu": "100m"}}, "command": ["a", ""],
                "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 5}}]},
        "status": {"phase": "Running"},
    }));
    there_and_back(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {},
        "spec": {"renewTime": "2027-01-15T08:00:00.000005Z", "leaseTransitions": -1},
    }));
    there_and_back(json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "/wA=", "l": "", "m": "YWJj"}}));
    there_and_back(json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "3", "remainingItemCount": 0},
        "items": [{"metadata": {"name": "a"}, "data": {"x": "y"}}],
    }));
    there_and_back(json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 404,
        "details": {"name": "x", "causes": [{"reason": "r", "field": "f"}]},
    }));
    there_and_back(json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "u", "extra": {"k": ["a", "b"]}},
    }));
}

#[test]
fn field_numbers_are_upstreams() {
    let tree = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"a": "b"}});
    let type_meta = message(&[field(1, b"v1"), field(2, b"ConfigMap")]);
    let raw = message(&[field(1, &field(1, b"n")), field(2, &message(&[field(1, b"a"), field(2, b"b")]))]);
    let expected = [MAGIC, &field(1, &type_meta), &field(2, &raw), &field(3, b""), &field(4, b"")].concat();
    assert_eq!(encode_object(&tree).unwrap(), expected);
    let frame = watch_frame("ADDED", b"k8s");
    assert_eq!(frame, [&[0, 0, 0, 14][..], &field(1, b"ADDED"), &field(2, &field(1, b"k8s"))].concat());
}

#[test]
fn what_has_no_schema_is_written_too() {
    let partial = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "n"}});
    let body = encode_object(&partial).unwrap();
    assert_eq!(envelope(&body).unwrap().raw, field(1, &field(1, b"n")));
    let groups = json!({"apiVersion": "apidiscovery.k8s.io/v2", "kind": "APIGroupDiscoveryList", "metadata": {},
        "items": [{"metadata": {"name": "g"}, "versions": [{"version": "v1", "resources": [
            {"resource": "r", "verbs": ["get"], "responseKind": {"group": "", "version": "", "kind": "K"}}]}]}]});
    assert!(encode_object(&groups).unwrap().windows(3).any(|part| part == b"get"));
}

#[test]
fn what_has_no_number_is_not_lost_in_silence() {
    let tree = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "nosuch": 1});
    assert!(matches!(encode_object(&tree), Err(ProtobufError::NoNumber { field, .. }) if field == "nosuch"));
    assert!(encode_object(&json!({"apiVersion": "e.com/v1", "kind": "K", "spec": {}})).is_err());
}

#[test]
fn base64_is_read_as_it_is_written() {
    for bytes in [&b""[..], b"a", b"ab", b"abc", b"\xff\x00\x10\x83"] {
        assert_eq!(wire::from_base64(&base64(bytes)).as_deref(), Some(bytes));
    }
    assert_eq!(wire::from_base64("a"), None);
    assert_eq!(wire::from_base64("a==="), None);
    assert_eq!(wire::from_base64("ab!d"), None);
}
