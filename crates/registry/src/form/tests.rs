#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use super::*;
use crate::{Resource, keys};

const BOTH: [StorageMediaType; 2] = [StorageMediaType::Json, StorageMediaType::Protobuf];

fn form(media_type: StorageMediaType) -> StorageForm {
    StorageForm::new(Resources::built_in(), media_type)
}

/// An object as the pipeline would put it into memory, with its key.
fn in_memory(resource: &dyn Resource, object: Value) -> (Vec<u8>, Bytes) {
    let mut object = Object::from_value(object).unwrap();
    object.remove(&["metadata", "selfLink"]);
    resource.default(&mut object).unwrap();
    let key = keys::object(resource.facts(), object.namespace(), object.name());
    resource.to_stored_form(&mut object);
    (key, Unstamped::new(&object).stamp(7))
}

/// Through etcd and back; the bytes in etcd.
#[track_caller]
fn round_trip(form: &StorageForm, key: &[u8], memory: &Bytes) -> Bytes {
    let stored = form.encode(key, memory);
    let back = form.decode(key, &stored, 7).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&back),
        String::from_utf8_lossy(memory),
        "{} in {:?}",
        String::from_utf8_lossy(key),
        form.media_type
    );
    stored
}

/// Every object that a recorded answer holds, with its placeholders filled in.
fn recorded(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            if map.contains_key("apiVersion") && map.contains_key("kind") && map.contains_key("metadata") {
                found.push(filled(value));
            }
            map.values().for_each(|value| recorded(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| recorded(value, found)),
        _ => {}
    }
}

fn filled(value: &Value) -> Value {
    match value {
        Value::String(text) if text == "<time>" => "2026-01-02T03:04:05Z".into(),
        Value::String(text) if text == "<microtime>" => "2026-01-02T03:04:05.678901Z".into(),
        Value::Array(items) => items.iter().map(filled).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), filled(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn nothing_is_lost_of_recorded_objects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let corpus =
        ["../shared/golden/cases", "../../shared/golden/cases"].iter().map(|p| root.join(p)).find(|p| p.is_dir());
    let Some(corpus) = corpus else {
        eprintln!("no recorded answers beside the clone (../shared/golden): nothing was compared");
        return;
    };
    let mut objects = Vec::new();
    for file in std::fs::read_dir(corpus).unwrap() {
        let cases: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        recorded(&cases, &mut objects);
    }
    let resources = Resources::built_in();
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for tree in objects {
        let text = |name: &str| tree[name].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let Some(resource) = resources.find_kind(group, version, &kind) else { continue };
        let mut object = Object::from_value(tree).unwrap();
        // Requests that are to be refused are recorded too.
        if resource.facts().storage_prefix.is_empty()
            || object.name().is_empty()
            || resource.default(&mut object).is_err()
        {
            continue;
        }
        let (key, memory) = in_memory(resource.as_ref(), object.into_value());
        let count = seen.entry(kind).or_default();
        count.0 += 1;
        for media_type in BOTH {
            let stored = round_trip(&form(media_type), &key, &memory);
            count.1 += usize::from(stored.starts_with(PROTOBUF));
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
    let in_json: Vec<_> = seen.iter().filter(|(_, (all, protobuf))| protobuf * 10 < all * 9).collect();
    assert!(in_json.is_empty(), "mostly without protobuf: {in_json:?}");
}

fn secret() -> (Vec<u8>, Bytes) {
    let resource = Resources::built_in().find("", "v1", "secrets").unwrap();
    let metadata = json!({"name": "a", "namespace": "b", "uid": "u", "labels": {"x": "y"}});
    in_memory(
        resource.as_ref(),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"k": "dg=="}, "type": "Opaque"}),
    )
}

#[test]
fn etcd_holds_no_resource_version() {
    let (key, memory) = secret();
    let json = form(StorageMediaType::Json).encode(&key, &memory);
    assert_eq!(
        json,
        r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","namespace":"b","uid":"u","labels":{"x":"y"}},"data":{"k":"dg=="},"type":"Opaque"}"#
    );
    let protobuf = form(StorageMediaType::Protobuf).encode(&key, &memory);
    assert!(protobuf.starts_with(b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12"), "{protobuf:?}");
    // Each form reads what the other wrote, and what upstream's encoder ends with a line.
    for stored in [json.clone(), protobuf, [&json[..], b"\n"].concat().into()] {
        assert_eq!(form(StorageMediaType::Json).decode(&key, &stored, 7).unwrap(), memory);
    }
}

#[test]
fn defaults_are_filled_in_that_an_older_server_did_not_know() {
    let stored = Bytes::from_static(
        br#"{"apiVersion":"v1","kind":"Pod","metadata":{"managedFields":[],"name":"a","namespace":"b"},"spec":{"containers":[{"name":"c","image":"i:1"}]}}"#,
    );
    let memory = form(StorageMediaType::Json).decode(b"/registry/pods/b/a", &stored, 12).unwrap();
    let pod = Object::from_slice(&memory).unwrap();
    assert_eq!(pod.get_str(&["spec", "restartPolicy"]), Some("Always"));
    assert_eq!((pod.resource_version(), pod.name()), ("12", "a"));
    assert_eq!(&*header::Header::read(&memory).name, "a");
}

#[test]
fn events_of_both_groups_are_stored_as_core_events() {
    let resource = Resources::built_in().find("events.k8s.io", "v1", "events").unwrap();
    let (key, memory) = in_memory(
        resource.as_ref(),
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "n"},
            "eventTime": "2026-01-02T03:04:05.678901Z", "reportingController": "c", "reportingInstance": "i",
            "action": "A", "reason": "R", "regarding": {"kind": "Pod", "name": "p"}, "note": "n", "type": "Normal",
        }),
    );
    for media_type in BOTH {
        round_trip(&form(media_type), &key, &memory);
    }
    assert_eq!(Object::from_slice(&memory).unwrap().api_version(), "v1");
}

#[test]
fn what_is_newer_than_the_numbers_is_stored_as_json() {
    let memory = Bytes::from_static(
        br#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"7"},"invented":true}"#,
    );
    assert!(form(StorageMediaType::Protobuf).encode(b"/registry/configmaps/n/a", &memory).starts_with(b"{"));
}

#[test]
fn what_is_no_object_of_this_server_stays_as_it_is() {
    for value in [&b"\xff\x00raw"[..], b"{}", b""] {
        let value = Bytes::from_static(value);
        for media_type in BOTH {
            assert_eq!(form(media_type).encode(b"/registry/example.org/x", &value), value);
            assert_eq!(form(media_type).decode(b"/registry/example.org/x", &value, 3).unwrap(), value);
        }
    }
}

/// As kube-apiserver 1.36 wrote it after it gave out node ports 30000, 30016 and 30010.
#[test]
fn the_node_ports_that_upstream_gave_out_are_read() {
    let stored = b"k8s\0\x0a\x15\x0a\x02v1\x12\x0fRangeAllocation\x12\x24\x0a\x10\x0a\0\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\0\
        \x12\x0b30000-32767\x1a\x03\x01\x04\x01\x1a\0\x22\0";
    let key = b"/registry/ranges/servicenodeports";
    for media_type in [StorageMediaType::Json, StorageMediaType::Protobuf] {
        let memory = form(media_type).decode(key, &Bytes::from_static(stored), 7).unwrap();
        let tree: Value = serde_json::from_slice(&memory).unwrap();
        assert_eq!(
            (&tree["kind"], &tree["range"], &tree["data"]),
            (&json!("RangeAllocation"), &json!("30000-32767"), &json!("AQQB"))
        );
        // Upstream reads JSON as well.
        assert_eq!(form(media_type).encode(key, &memory), memory);
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let why = |key: &str, stored: &'static [u8]| {
        form(StorageMediaType::Json).decode(key.as_bytes(), &Bytes::from_static(stored), 1).unwrap_err().to_string()
    };
    let old = br#"{"kind":"Deployment","apiVersion":"extensions/v1beta1","metadata":{"name":"a"}}"#;
    assert_eq!(
        why("/registry/deployments/n/a", old),
        "it is stored as extensions/v1beta1, and this server reads apps/v1 there: store it anew with the older server"
    );
    assert!(why("/registry/pods/n/a", b"k8s\0\xff").contains("EOF"));
    assert!(why("/registry/pods/n/a", b"{").starts_with("it is no JSON"));
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>, protobuf: bool) {
        let stored: Bytes = if protobuf { [PROTOBUF, &bytes].concat().into() } else { bytes.into() };
        let form = form(StorageMediaType::Protobuf);
        form.encode(b"/registry/pods/n/a", &stored);
        for key in [&b"/registry/pods/n/a"[..], b"/registry/other/a"] {
            form.decode(key, &stored, 1).ok();
        }
    }
}

/// Where upstream keeps each kind.
#[test]
fn keys_are_upstreams() {
    let upstream: BTreeMap<&str, &str> = [
        ("Namespace", "namespaces/"),
        ("Node", "minions/"),
        ("Pod", "pods/"),
        ("PodTemplate", "podtemplates/"),
        ("Service", "services/specs/"),
        ("Endpoints", "services/endpoints/"),
        ("EndpointSlice", "endpointslices/"),
        ("ConfigMap", "configmaps/"),
        ("Secret", "secrets/"),
        ("ServiceAccount", "serviceaccounts/"),
        ("Event", "events/"),
        ("Lease", "leases/"),
        ("Deployment", "deployments/"),
        ("ReplicaSet", "replicasets/"),
        ("StatefulSet", "statefulsets/"),
        ("DaemonSet", "daemonsets/"),
        ("ControllerRevision", "controllerrevisions/"),
        ("Job", "jobs/"),
        ("CronJob", "cronjobs/"),
        ("ReplicationController", "controllers/"),
        ("PersistentVolume", "persistentvolumes/"),
        ("PersistentVolumeClaim", "persistentvolumeclaims/"),
        ("StorageClass", "storageclasses/"),
        ("VolumeAttachment", "volumeattachments/"),
        ("CSIDriver", "csidrivers/"),
        ("CSINode", "csinodes/"),
        ("CSIStorageCapacity", "csistoragecapacities/"),
        ("Ingress", "ingress/"),
        ("IngressClass", "ingressclasses/"),
        ("NetworkPolicy", "networkpolicies/"),
        ("IPAddress", "ipaddresses/"),
        ("ServiceCIDR", "servicecidrs/"),
        ("HorizontalPodAutoscaler", "horizontalpodautoscalers/"),
        ("PodDisruptionBudget", "poddisruptionbudgets/"),
        ("ResourceQuota", "resourcequotas/"),
        ("LimitRange", "limitranges/"),
        ("Role", "roles/"),
        ("RoleBinding", "rolebindings/"),
        ("ClusterRole", "clusterroles/"),
        ("ClusterRoleBinding", "clusterrolebindings/"),
        ("PriorityClass", "priorityclasses/"),
        ("RuntimeClass", "runtimeclasses/"),
        ("CertificateSigningRequest", "certificatesigningrequests/"),
        ("CustomResourceDefinition", "apiextensions.k8s.io/customresourcedefinitions/"),
        ("APIService", "apiregistration.k8s.io/apiservices/"),
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations/"),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations/"),
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies/"),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings/"),
        ("FlowSchema", "flowschemas/"),
        ("PriorityLevelConfiguration", "prioritylevelconfigurations/"),
    ]
    .into();
    for resource in Resources::built_in().all() {
        let facts = resource.facts();
        if facts.storage_prefix.is_empty() {
            continue;
        }
        let expected = upstream.get(facts.gvk.kind.as_str()).map(|path| format!("/registry/{path}"));
        assert_eq!(Some(&facts.storage_prefix), expected.as_ref(), "{:?}: is this where upstream has it?", facts.gvk);
        let stored = if facts.gvk.group == "events.k8s.io" { "v1".to_owned() } else { facts.gvk.api_version() };
        assert_eq!(facts.stored_api_version, stored, "{:?}", facts.gvk);
    }
}
