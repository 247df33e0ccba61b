#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::builtin;

fn kind(kind: &str) -> Node<'static> {
    builtin().definition(kind).unwrap()
}

const POD: &str = "io.k8s.api.core.v1.Pod";
const CONFIG_MAP: &str = "io.k8s.api.core.v1.ConfigMap";

fn error(of: &str, json: &str) -> String {
    decode(kind(of), json.as_bytes()).unwrap_err().to_string()
}

fn value(of: &str, json: Value) -> Value {
    conform(kind(of), &json).unwrap().value
}

#[test]
fn lists_unknown_and_duplicate_fields_in_order_and_drops_them() {
    let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","labels":{"a":"1","a":"2"},"foo":1},
        "data":{"a":"b","a":"c"},"data":{"z":"y"},"unk":{"deep":[1]}}"#;
    let decoded = decode(kind(CONFIG_MAP), text.as_bytes()).unwrap();
    assert_eq!(
        decoded.strict,
        [
            r#"duplicate field "metadata.labels.a""#,
            r#"unknown field "metadata.foo""#,
            r#"duplicate field "data.a""#,
            r#"duplicate field "data""#,
            r#"unknown field "unk""#,
        ]
    );
    assert_eq!(
        decoded.value,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": {"a": "2"}},
            "data": {"a": "c", "z": "y"}})
    );
    assert!(decoded.strict_error().unwrap().starts_with("strict decoding error: duplicate field"));
}

#[test]
fn names_unknown_fields_in_lists_by_index() {
    let pod = r#"{"spec":{"containers":[{"name":"a"},{"name":"b","bar":2,"Image":"x"}]}}"#;
    let decoded = decode(kind(POD), pod.as_bytes()).unwrap();
    assert_eq!(
        decoded.strict,
        [r#"unknown field "spec.containers[1].bar""#, r#"unknown field "spec.containers[1].Image""#]
    );
}

#[test]
fn refuses_wrong_types_in_upstreams_words() {
    for (of, json, expected) in [
        (
            CONFIG_MAP,
            r#"{"metadata":"x"}"#,
            "json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        ),
        (
            CONFIG_MAP,
            r#"{"metadata":{"labels":["a"]}}"#,
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            CONFIG_MAP,
            r#"{"data":{"a":5}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"env":[{"name":"A","value":true}]}]}}"#,
            "json: cannot unmarshal bool into Go struct field EnvVar.spec.containers.env.value of type string",
        ),
        (
            POD,
            r#"{"spec":{"containers":{}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            POD,
            r#"{"spec":{"terminationGracePeriodSeconds":"30"}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            POD,
            r#"{"spec":{"priority":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            POD,
            r#"{"spec":{"priority":99999999999}}"#,
            "json: cannot unmarshal number 99999999999 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (POD, r#""x""#, "json: cannot unmarshal string into Go value of type v1.Pod"),
        ("io.k8s.api.core.v1.Secret", r#"{"data":{"a":"not base64!"}}"#, "illegal base64 data at input byte 3"),
        (
            "io.k8s.api.coordination.v1.Lease",
            r#"{"spec":{"renewTime":"yesterday"}}"#,
            r#"parsing time "yesterday" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "yesterday" as "2006""#,
        ),
        (
            POD,
            r#"{"spec":{"containers":[{"resources":{"limits":{"memory":""}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "io.k8s.api.core.v1.Service",
            r#"{"spec":{"ports":[{"targetPort":1.5}]}}"#,
            "json: cannot unmarshal number 1.5 into Go value of type int32",
        ),
    ] {
        assert_eq!(error(of, json), expected, "{json}");
    }
}

#[test]
fn refuses_what_is_no_json_in_upstreams_words() {
    for (json, expected) in [
        ("", "unexpected end of JSON input"),
        ("{nope", "invalid character 'n' looking for beginning of object key string"),
        (r#"{"a""#, "unexpected end of JSON input"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
        (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
        (r#"{"a":[1 2]}"#, "invalid character '2' after array element"),
        (r#"{"a":[1,]}"#, "invalid character ']' looking for beginning of value"),
        (r#"{} x"#, "invalid character 'x' after top-level value"),
        (r#"{"a":trie}"#, "invalid character 'i' in literal true (expecting 'u')"),
        ("{\"a\":\"\n\"}", "invalid character '\\n' in string literal"),
        (r#"{"a":"\q"}"#, "invalid character 'q' in string escape code"),
        (r#"{"a":-x}"#, "invalid character 'x' in numeric literal"),
        (r#"{"a":1.}"#, "invalid character '}' after decimal point in numeric literal"),
        (r#"{"a":01}"#, "invalid character '1' after object key:value pair"),
    ] {
        assert_eq!(decode(kind(POD), json.as_bytes()), Err(DecodeError::Syntax(expected.to_owned())), "{json}");
    }
    // A wrong type does not hide a wrong text.
    assert_eq!(error(POD, r#"{"spec":1,"#), "unexpected end of JSON input");
    assert_eq!(error(POD, &"[".repeat(100_000)), "exceeded max depth");
}

#[test]
fn writes_values_canonically() {
    let pod = value(
        POD,
        json!({"metadata": {"creationTimestamp": null, "deletionTimestamp": "2024-02-28T23:30:00.75-01:00"},
            "spec": {"containers": [{"name": "c", "command": null, "args": ["a", null],
                "resources": {"limits": {"cpu": 1.5, "memory": " 0.5Gi "}}}]}}),
    );
    assert_eq!(
        pod,
        json!({"metadata": {"deletionTimestamp": "2024-02-29T00:30:00Z"},
            "spec": {"containers": [{"name": "c", "args": ["a", ""],
                "resources": {"limits": {"cpu": "1500m", "memory": "512Mi"}}}]}})
    );
    let lease =
        value("io.k8s.api.coordination.v1.Lease", json!({"spec": {"renewTime": "2024-12-31T23:59:59.123456+00:00"}}));
    assert_eq!(lease["spec"]["renewTime"], "2024-12-31T23:59:59.123456Z");
}

#[test]
fn leaves_out_what_upstream_leaves_out_when_empty() {
    let pod = value(
        POD,
        json!({"metadata": {"namespace": "", "labels": {}, "annotations": {"a": ""}},
            "spec": {"nodeName": "", "volumes": [], "containers": [], "hostNetwork": false, "priority": 0,
                "runtimeClassName": "", "automountServiceAccountToken": false, "securityContext": {}}}),
    );
    assert_eq!(
        pod,
        json!({"metadata": {"annotations": {"a": ""}},
            "spec": {"containers": [], "priority": 0, "runtimeClassName": "",
                "automountServiceAccountToken": false, "securityContext": {}}})
    );
    let deployment = value("io.k8s.api.apps.v1.Deployment", json!({"spec": {"replicas": 0, "paused": false}}));
    assert_eq!(deployment, json!({"spec": {"replicas": 0}}));
}

#[test]
fn keeps_raw_values_as_they_are() {
    let raw = json!({"data": {"a": null, "b": [1, {"c": 2.5}], "unknown": true}});
    assert_eq!(value("io.k8s.api.apps.v1.ControllerRevision", raw.clone()), raw);
    let any = decode_any(br#"{"a":1.0,"b":1e3,"c":12345678901234567890,"a":2}"#).unwrap();
    assert_eq!(any.value, json!({"a": 2, "b": 1000, "c": 12345678901234567890.0}));
    assert_eq!(any.strict, [r#"duplicate field "a""#]);
}

#[test]
fn reads_escapes() {
    let text = r#"{"data":{"k":"\u00e9\ud83d\ude00\ud800x\n\/\"é"}}"#;
    let decoded = decode(kind(CONFIG_MAP), text.as_bytes()).unwrap();
    assert_eq!(decoded.value["data"]["k"], "é😀\u{fffd}x\n/\"é");
}

#[test]
fn times_are_refused_as_go_refuses_them() {
    for (text, rest) in [
        ("2024-13-01T00:00:00Z", ": month out of range"),
        ("2024-02-30T00:00:00Z", ": day out of range"),
        ("2024-02-03", r#" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#),
        ("2024-02-03T04:05:06", r#" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00""#),
        ("2024-02-03T04:05:06Zx", r#": extra text: "x""#),
        ("", r#" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#),
    ] {
        let json = json!({"metadata": {"creationTimestamp": text}}).to_string();
        assert_eq!(error(POD, &json), format!("parsing time \"{text}\"{rest}"));
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let outcome = decode(kind(POD), &bytes);
        prop_assert!(outcome.is_err() || serde_json::from_slice::<Value>(&bytes).is_ok() || !bytes.is_ascii());
    }

    #[test]
    fn never_panics_on_nearly_json(text in r#"[\{\}\[\]",:\\a-u0-9.eE+\- ]{0,60}"#) {
        let ours = decode_any(text.as_bytes());
        let theirs = serde_json::from_str::<Value>(&text);
        // serde_json refuses numbers beyond a double, as we do, and halves of characters, which we mend.
        prop_assert!(ours.is_ok() == theirs.is_ok() || text.contains("\\u") || text.contains(['e', 'E']), "{ours:?} {theirs:?}");
    }

    #[test]
    fn decoding_again_changes_nothing(days in 0i64..30000, seconds in 0u32..86400, milli in 1i64..1_000_000) {
        let text = format!("{}T{:02}:{:02}:{:02}Z", date(days), seconds / 3600, seconds / 60 % 60, seconds % 60);
        let pod = json!({"metadata": {"creationTimestamp": text},
            "spec": {"containers": [{"resources": {"limits": {"cpu": format!("{milli}m")}}}]}});
        let once = value(POD, pod);
        prop_assert_eq!(once["metadata"]["creationTimestamp"].as_str().unwrap(), text);
        prop_assert_eq!(&value(POD, once.clone()), &once);
    }
}

fn date(days: i64) -> String {
    let seconds = days * 86_400;
    let text = go_time::time("1970-01-01T00:00:00Z").unwrap();
    assert_eq!(text, "1970-01-01T00:00:00Z");
    // Walks day by day through months; slow, plain and independent of the arithmetic under test.
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for _ in 0..seconds / 86_400 {
        day += 1;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
        if day > length {
            (day, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
    format!("{year:04}-{month:02}-{day:02}")
}
