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

/// Messages and fields that the schema knows under no name would be dropped in silence.
#[test]
fn every_field_of_the_table_means_something() {
    for (message, fields) in messages() {
        let Some(node) = crate::builtin().definition(&format!("io.k8s.{message}")) else { continue };
        if node.shape() != Shape::Object || message.contains(".runtime.") {
            continue;
        }
        for (name, of) in fields.values() {
            let known = named(node, name).is_some() || !of.is_empty();
            assert!(known || message.ends_with("meta.v1.LabelSelector"), "{message} {name}");
        }
    }
}
