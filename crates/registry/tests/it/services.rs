//! Addresses and ports of Services.

use std::{collections::HashSet, sync::Arc};

use registry::{AdmitAll, Config, Registry, Resources};
use serde_json::{Value, json};

use crate::fixture::Fixture;

fn service(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    if spec.get("ports").is_none() {
        spec["ports"] = json!([{ "port": 80 }]);
    }
    json!({ "metadata": { "name": name }, "spec": spec })
}

#[tokio::test]
async fn addresses_are_given_kept_and_given_back() {
    let f = Fixture::new();
    let made = f.create("services", service("a", json!({ "clusterIP": "10.0.0.9" }))).await.unwrap();
    assert_eq!(made["spec"]["clusterIPs"], json!(["10.0.0.9"]));
    assert_eq!(
        (&made["spec"]["ipFamilies"], &made["spec"]["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("SingleStack"))
    );
    let taken = f.create("services", service("b", json!({ "clusterIP": "10.0.0.9" }))).await.unwrap_err();
    assert_eq!(
        taken.message,
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.0.0.9\"]: failed to allocate IP 10.0.0.9: \
         provided IP is already allocated"
    );
    let patched = f.merge("services", "a", json!({ "spec": { "selector": { "a": "b" } } })).await.unwrap();
    assert_eq!(patched["spec"]["clusterIP"], "10.0.0.9");
    let put = f.update("services", service("a", json!({}))).await.unwrap();
    assert_eq!(put["spec"]["clusterIP"], "10.0.0.9");
    f.delete("services", "a", json!({})).await.unwrap();
    f.create("services", service("b", json!({ "clusterIP": "10.0.0.9" }))).await.unwrap();
}

#[tokio::test]
async fn the_server_has_the_first_address() {
    let f = Fixture::new();
    let made = f.create("services", service("kubernetes", json!({}))).await.unwrap();
    assert_eq!(made["spec"]["clusterIP"], "10.0.0.1");
}

#[tokio::test]
async fn node_ports_follow_the_type() {
    let f = Fixture::new();
    let made = f.create("services", service("a", json!({ "type": "NodePort" }))).await.unwrap();
    let port = made["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30_000..=32_767).contains(&port));
    let other = json!({ "type": "NodePort", "ports": [{ "port": 81, "nodePort": port }] });
    let taken = f.create("services", service("b", other.clone())).await.unwrap_err();
    assert_eq!(
        taken.message,
        format!(
            "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
        )
    );
    let plain = f.merge("services", "a", json!({ "spec": { "type": "ClusterIP" } })).await.unwrap();
    assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None);
    f.create("services", service("b", other)).await.unwrap();
}

#[tokio::test]
async fn what_fails_gives_back_what_it_took() {
    let f = Fixture::new();
    f.create("services", service("a", json!({}))).await.unwrap();
    let again = f.create("services", service("a", json!({ "clusterIP": "10.0.0.10" }))).await.unwrap_err();
    assert!(again.is(apimachinery::Reason::AlreadyExists));
    f.create("services", service("b", json!({ "clusterIP": "10.0.0.10" }))).await.unwrap();
}

#[tokio::test]
async fn a_restart_knows_what_is_held() {
    let f = Fixture::new();
    f.create("services", service("a", json!({ "clusterIP": "10.0.0.9" }))).await.unwrap();
    let again = Registry::new(&Config::default(), f.store.clone(), Resources::built_in(), Arc::new(AdmitAll));
    let cx = f.cx("services", "");
    let body = crate::fixture::body(&service("b", json!({ "clusterIP": "10.0.0.9" })));
    assert!(again.create(&f.resource("services"), &cx, body).await.is_err());
}

#[tokio::test]
async fn many_at_once_get_different_addresses() {
    const TASKS: usize = 100;
    let f = Arc::new(Fixture::new());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let f = f.clone();
            tokio::spawn(async move {
                let made =
                    f.create("services", service(&format!("s{task}"), json!({ "type": "NodePort" }))).await.unwrap();
                (made["spec"]["clusterIP"].clone(), made["spec"]["ports"][0]["nodePort"].clone())
            })
        })
        .collect();
    let (mut addresses, mut ports) = (HashSet::new(), HashSet::new());
    for task in tasks {
        let (address, port) = task.await.unwrap();
        addresses.insert(address.to_string());
        ports.insert(port.to_string());
    }
    assert_eq!((addresses.len(), ports.len()), (TASKS, TASKS));
}
