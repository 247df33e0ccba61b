//! Addresses and ports of Services.

use std::{collections::HashSet, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use registry::{AdmitAll, Config, Registry, Resources};
use serde_json::{Value, json};
use store::Write;

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

/// What upstream's servers would find, so that they and these respect each other.
#[tokio::test]
async fn what_is_held_is_written_as_upstream_writes_it() {
    let f = Fixture::new();
    let spec = json!({ "type": "NodePort", "clusterIP": "10.0.0.9", "ports": [{ "port": 80, "nodePort": 30_009 }] });
    f.create("services", service("a", spec)).await.unwrap();
    let read = |key: &str| f.store.snapshot().get(key.as_bytes()).map(|kv| crate::fixture::parse(&kv.value));
    let address = read("/registry/ipaddresses/10.0.0.9").unwrap();
    assert_eq!(
        (&address["kind"], &address["apiVersion"], &address["metadata"]["labels"], &address["spec"]),
        (
            &json!("IPAddress"),
            &json!("networking.k8s.io/v1"),
            &json!({
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            }),
            &json!({ "parentRef": { "resource": "services", "namespace": "default", "name": "a" } }),
        )
    );
    let ports = read("/registry/ranges/servicenodeports").unwrap();
    // The tenth bit of a number, which is written without leading zeros.
    assert_eq!(
        (&ports["kind"], &ports["range"], &ports["data"]),
        (&json!("RangeAllocation"), &json!("30000-32767"), &json!("AgA="))
    );
    f.delete("services", "a", json!({})).await.unwrap();
    assert_eq!(read("/registry/ipaddresses/10.0.0.9"), None);
    assert_eq!(read("/registry/ranges/servicenodeports").unwrap()["data"], "");
}

/// What cannot be read is no reason to give out what Services have.
#[tokio::test]
async fn a_broken_ledger_is_made_anew_of_the_services() {
    let f = Fixture::new();
    let port = |port: u16| json!({ "type": "NodePort", "ports": [{ "port": 80, "nodePort": port }] });
    f.create("services", service("a", port(30_009))).await.unwrap();
    f.store.commit(Write::put(&b"/registry/ranges/servicenodeports"[..], "k8s\0nobody reads this")).await.unwrap();
    f.create("services", service("b", port(30_010))).await.unwrap();
    let taken = f.create("services", service("c", port(30_009))).await.unwrap_err();
    assert!(taken.message.contains("provided port is already allocated"), "{}", taken.message);
}

/// Two servers on one store know nothing of each other but what the store says.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_never_give_the_same_twice() {
    const EACH: usize = 60;
    let f = Arc::new(Fixture::new());
    let config = Config { service_node_ports: (30_000, 30_149), ..Config::default() };
    let servers: Vec<_> =
        (0..2).map(|_| Registry::new(&config, f.store.clone(), Resources::built_in(), Arc::new(AdmitAll))).collect();
    let mut tasks = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        for task in 0..EACH {
            let (f, server) = (f.clone(), server.clone());
            tasks.push(tokio::spawn(async move {
                let (resource, cx) = (f.resource("services"), f.cx("services", ""));
                let name = format!("s{number}-{task}");
                let body = crate::fixture::body(&service(&name, json!({ "type": "NodePort" })));
                server.create(&resource, &cx, body).await.unwrap();
                // A part of them comes and goes.
                if task % 3 == 0 {
                    let cx = f.cx("services", &name);
                    server.delete(&resource, &cx, &registry::DeleteOptions::default()).await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let services = f.list("services", registry::ListOptions::default()).await.unwrap();
    let services = services["items"].as_array().unwrap();
    assert_eq!(services.len(), 2 * EACH * 2 / 3);
    let addresses: HashSet<_> = services.iter().map(|s| s["spec"]["clusterIP"].as_str().unwrap()).collect();
    let ports: HashSet<_> = services.iter().map(|s| s["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).collect();
    assert_eq!((addresses.len(), ports.len()), (services.len(), services.len()));
    let snapshot = f.store.snapshot();
    assert_eq!(snapshot.count(b"/registry/ipaddresses/"), services.len());
    let held = crate::fixture::parse(&snapshot.get(b"/registry/ranges/servicenodeports").unwrap().value);
    let bits: u32 = STANDARD.decode(held["data"].as_str().unwrap()).unwrap().iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(bits as usize, services.len());
}

#[tokio::test]
async fn what_an_older_version_left_is_repaired() {
    let f = Fixture::new();
    let spec = json!({ "type": "NodePort", "clusterIP": "10.0.0.9", "ports": [{ "port": 80, "nodePort": 30_009 }] });
    f.create("services", service("a", spec)).await.unwrap();
    for key in ["/registry/ipaddresses/10.0.0.9", "/registry/ranges/servicenodeports"] {
        let held = f.store.snapshot().get(key.as_bytes()).unwrap().mod_revision;
        f.store.commit(Write::delete(key.as_bytes(), held)).await.unwrap();
    }
    let lost = json!({
        "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1",
        "metadata": { "name": "10.0.0.77", "creationTimestamp": "2020-01-01T00:00:00Z" },
        "spec": { "parentRef": { "group": "", "resource": "services", "namespace": "default", "name": "gone" } },
    });
    f.store.commit(Write::create(&b"/registry/ipaddresses/10.0.0.77"[..], lost.to_string())).await.unwrap();
    f.registry.repair_services().await.unwrap();
    assert!(f.create("services", service("b", json!({ "clusterIP": "10.0.0.9" }))).await.is_err());
    let port = json!({ "type": "NodePort", "ports": [{ "port": 81, "nodePort": 30_009 }] });
    assert!(f.create("services", service("c", port)).await.is_err());
    f.create("services", service("d", json!({ "clusterIP": "10.0.0.77" }))).await.unwrap();
    let repaired = f.store.revision();
    f.registry.repair_services().await.unwrap();
    assert_eq!(f.store.revision(), repaired, "nothing is left to repair");
}
