//! What lies in etcd.

use serde_json::json;
use testkit::Etcd;

use super::{config_map, server};

/// The value of a key, asked of etcd itself.
fn value(etcd: &Etcd, key: &str) -> Vec<u8> {
    let answer = etcd.call("kv/range", &json!({"key": Etcd::base64(key.as_bytes())}));
    let text = answer["kvs"][0]["value"].as_str().unwrap_or_else(|| panic!("{key} is not in etcd: {answer}"));
    unpack(text)
}

fn unpack(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = text.bytes().filter_map(|letter| ALPHABET.iter().position(|known| *known == letter));
    let (mut held, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for six in bits {
        held = held << 6 | six as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((held >> count & 0xff) as u8);
        }
    }
    bytes
}

#[test]
fn objects_lie_as_upstream_has_them() {
    let etcd = Etcd::start();
    let protobuf = server(&etcd, &[]);
    let mut json = protobuf.beside();
    json.kill();
    json.set_flags(&["--datastore-endpoint", &etcd.endpoint(), "--storage-media-type", "application/json"]);
    json.start_again();
    let (protobuf, json) = (protobuf.kubectl(), json.kubectl());
    protobuf.apply(&config_map("binary", 1));
    json.apply(&config_map("text", 2));

    let binary = value(&etcd, "/registry/configmaps/default/binary");
    assert!(binary.starts_with(b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12"), "{binary:?}");
    let text = value(&etcd, "/registry/configmaps/default/text");
    let tree: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        (&tree["kind"], &tree["apiVersion"], &tree["data"]["key"]),
        (&json!("ConfigMap"), &json!("v1"), &json!("2"))
    );
    assert_eq!(tree["metadata"].get("resourceVersion"), None);
    // Each server shows what the other wrote, with the revision of its key.
    for (kubectl, name) in [(&json, "binary"), (&protobuf, "text")] {
        let key = format!("/registry/configmaps/default/{name}");
        let stored = etcd.call("kv/range", &json!({"key": Etcd::base64(key.as_bytes())}));
        let version = kubectl.value(&format!("cm/{name}"), "{.metadata.resourceVersion}");
        assert_eq!(stored["kvs"][0]["mod_revision"], version.as_str());
        kubectl.ok(&format!("label cm {name} seen=yes"));
    }
    assert!(value(&etcd, "/registry/configmaps/default/binary").starts_with(b"{"), "who wrote last chose the form");

    // Secrets are encrypted, with the key's name before them.
    protobuf.ok("create secret generic s --from-literal=word=treasure");
    let secret = value(&etcd, "/registry/secrets/default/s");
    assert!(secret.starts_with(b"k8s:enc:aesgcm:v1:key1:"));
    assert_eq!(json.value("secret/s", "{.data.word}"), "dHJlYXN1cmU=");
    // What Services hold.
    protobuf.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: np}\nspec:\n  type: NodePort\n  clusterIP: 10.96.0.99\n  \
         ports: [{port: 80, nodePort: 30099}]\n",
    );
    assert!(value(&etcd, "/registry/ipaddresses/10.96.0.99").starts_with(b"k8s\0"));
    let ports: serde_json::Value = serde_json::from_slice(&value(&etcd, "/registry/ranges/servicenodeports")).unwrap();
    assert_eq!((&ports["kind"], &ports["range"]), (&json!("RangeAllocation"), &json!("30000-32767")));
}

#[test]
fn what_others_write_is_served_and_what_cannot_be_read_is_told() {
    let etcd = Etcd::start();
    let server = server(&etcd, &[]);
    let kubectl = server.kubectl();
    let put = |key: &str, value: &[u8]| {
        etcd.call("kv/put", &json!({"key": Etcd::base64(key.as_bytes()), "value": Etcd::base64(value)}));
    };
    // As an encoder of upstream writes it: other order of fields, a line's end, no defaults of newer versions.
    let pod = b"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"uid\":\"u\",\"namespace\":\"default\",\"name\":\"old\",\
        \"creationTimestamp\":\"2020-01-01T00:00:00Z\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}\n";
    put("/registry/pods/default/old", pod);
    testkit::eventually("the pod is shown", || {
        let shown = kubectl.run(["get", "pod", "old", "-o", "jsonpath={.spec.restartPolicy}"]);
        if shown.stdout == "Always" { Ok(()) } else { Err(shown) }
    });
    kubectl.ok("label pod old a=b");
    put("/registry/configmaps/default/broken", b"k8s\0\xff\xff\xff");
    kubectl.apply(&config_map("good", 1));
    let refused = kubectl.fails("get cm broken");
    assert!(refused.contains("unable to decode /registry/configmaps/default/broken from storage"), "{refused}");
    assert!(kubectl.fails("get cm").contains("unable to decode"));
    // Nobody else suffers.
    assert_eq!(kubectl.value("cm/good", "{.data.key}"), "1");
    kubectl.ok("get pods");
    etcd.call("kv/deleterange", &json!({"key": Etcd::base64(b"/registry/configmaps/default/broken")}));
    testkit::eventually("the list works again", || {
        let listed = kubectl.run(["get", "cm", "-o", "name"]);
        if listed.is_success() { Ok(()) } else { Err(listed) }
    });
}

/// The keys below this, with the seconds after which etcd deletes each by itself.
fn lasting(etcd: &Etcd, prefix: &str) -> Vec<(String, Option<u64>)> {
    let end = prefix.strip_suffix('/').unwrap().to_owned() + "0";
    let range = json!({"key": Etcd::base64(prefix.as_bytes()), "range_end": Etcd::base64(end.as_bytes())});
    let found = etcd.call("kv/range", &range);
    let seconds = |lease: &serde_json::Value| {
        let asked = etcd.call("lease/timetolive", &json!({"ID": lease}));
        // Of one that has just ended, minus one.
        asked["TTL"].as_str().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
    };
    let one = |kv: &serde_json::Value| {
        let key = String::from_utf8(unpack(kv["key"].as_str().unwrap())).unwrap();
        (key, kv.get("lease").map(seconds))
    };
    found["kvs"].as_array().into_iter().flatten().map(one).collect()
}

/// Also beside upstream's servers, which leave it to etcd.
#[test]
fn what_a_server_says_of_itself_and_events_go_by_themselves() {
    let etcd = Etcd::start();
    let mut server = server(&etcd, &[]);
    let kubectl = server.kubectl();
    kubectl.apply(
        "apiVersion: v1\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {kind: Pod, name: p, namespace: default}\n\
         reason: R\nmessage: m\ntype: Normal\n",
    );
    kubectl.apply(&config_map("stays", 1));
    let an_hour = |(key, left): &(String, Option<u64>)| key.ends_with("/e") && (3500..=3660).contains(&left.unwrap());
    assert!(lasting(&etcd, "/registry/events/").iter().all(an_hour));
    kubectl.ok("label event e changed=yes");
    let events = lasting(&etcd, "/registry/events/");
    assert!(events.len() == 1 && events.iter().all(an_hour), "{events:?}");
    let maps = lasting(&etcd, "/registry/configmaps/default/");
    assert!(maps.iter().any(|(key, _)| key.ends_with("/stays")) && maps.iter().all(|(_, left)| left.is_none()));
    // On a loaded machine it may have been late to say that it lives.
    testkit::eventually("it says that it lives", || {
        let masters = lasting(&etcd, "/registry/masterleases/");
        if masters.len() == 1 && masters[0].1.unwrap() <= 15 { Ok(()) } else { Err(masters) }
    });

    server.kill();
    testkit::eventually("nobody says that it lives", || {
        let masters = lasting(&etcd, "/registry/masterleases/");
        if masters.is_empty() { Ok(()) } else { Err(masters) }
    });
    server.start_again();
    let addresses = server.kubectl().value("endpoints/kubernetes", "{.subsets[*].addresses[*].ip}");
    assert_eq!(addresses.split_whitespace().count(), 1, "{addresses}");
    assert_eq!(lasting(&etcd, "/registry/masterleases/").len(), 1);
}
