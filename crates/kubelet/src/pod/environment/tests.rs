//! Environments by example.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;

fn make(container: Value, services: Value) -> Result<Vec<(String, String)>, String> {
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"nodeName": "node", "containers": [container]}}))
    .unwrap();
    let map: ConfigMap = serde_json::from_value(json!({"data": {"a": "1", "b": "2"}})).unwrap();
    let secret: Secret = serde_json::from_value(json!({"data": {"s": "eA=="}})).unwrap();
    let services: Vec<Service> = serde_json::from_value(services).unwrap();
    environment(&Sources {
        pod: &pod,
        container: &pod.spec.as_ref().unwrap().containers[0],
        pod_ips: &["10.0.0.1".to_owned(), "fd00::1".to_owned()],
        host_ips: &["192.0.2.1".to_owned()],
        config_maps: &[("m".to_owned(), Some(Arc::new(map))), ("gone".to_owned(), None)].into(),
        secrets: &[("s".to_owned(), Some(Arc::new(secret)))].into(),
        node: &NodeFacts::default(),
        services: &services,
    })
    .map_err(|e| e.to_string())
}

fn lines(container: Value) -> String {
    let made = make(container, json!([])).unwrap();
    made.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn values_and_references() {
    let env = json!([
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(C)-$$(A)"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
        {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "a"}}},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "s"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "a", "optional": true}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
        {"name": "A", "value": "2"},
    ]);
    let container = json!({"name": "c", "env": env, "resources": {"requests": {"cpu": "250m"}}});
    let expect = "A=2 B=1-$(C)-$(A) IP=10.0.0.1 IPS=10.0.0.1,fd00::1 HOST=192.0.2.1 NODE=node K=1 S=x CPU=250";
    assert_eq!(lines(container), expect);
}

#[test]
fn whole_objects_come_first() {
    let from = json!([{"prefix": "P_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "s"}},
        {"configMapRef": {"name": "gone", "optional": true}}]);
    let env = json!([{"name": "P_a", "value": "own $(P_b)"}]);
    assert_eq!(lines(json!({"name": "c", "envFrom": from, "env": env})), "P_a=own 2 P_b=2 s=x");
}

#[test]
fn what_is_missing_is_named() {
    let error =
        |from: Value| make(json!({"name": "c", "env": [{"name": "X", "valueFrom": from}]}), json!([])).unwrap_err();
    let key = |name: &str, key: &str| json!({"configMapKeyRef": {"name": name, "key": key}});
    assert_eq!(error(key("gone", "a")), "configmap \"gone\" not found");
    assert_eq!(error(key("m", "zz")), "couldn't find key zz in ConfigMap n/m");
    assert_eq!(error(json!({"secretKeyRef": {"name": "s", "key": "zz"}})), "couldn't find key zz in Secret n/s");
    assert_eq!(error(json!({"fieldRef": {"fieldPath": "spec.zz"}})), "unsupported fieldPath: spec.zz");
    let file = json!({"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}});
    assert!(error(file).contains("fileKeyRef is not supported"));
}

#[test]
fn services_have_variables() {
    let services = json!([{"metadata": {"name": "my-db"}, "spec": {"clusterIP": "10.96.0.5",
        "ports": [{"port": 5432, "name": "sql", "protocol": "TCP"}]}},
        {"metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}}]);
    let made = make(json!({"name": "c", "env": [{"name": "U", "value": "$(MY_DB_PORT)"}]}), services).unwrap();
    let names: Vec<&str> = made.iter().map(|(k, _)| k.as_str()).collect();
    let expect = [
        "U",
        "MY_DB_PORT",
        "MY_DB_PORT_5432_TCP",
        "MY_DB_PORT_5432_TCP_ADDR",
        "MY_DB_PORT_5432_TCP_PORT",
        "MY_DB_PORT_5432_TCP_PROTO",
        "MY_DB_SERVICE_HOST",
        "MY_DB_SERVICE_PORT",
        "MY_DB_SERVICE_PORT_SQL",
    ];
    assert_eq!(names, expect);
    assert_eq!(made[0].1, "tcp://10.96.0.5:5432");
}
