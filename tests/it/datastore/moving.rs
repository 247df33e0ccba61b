//! A cluster moved from a data folder to etcd and back.

use std::process::Command;

use serde_json::Value;
use testkit::{ApiServer, Etcd, Kubectl, knarr};

use super::{Watch, config_map, raw, revision};

fn migrate(server: &ApiServer, etcd: &Etcd, to: &str) -> Result<String, String> {
    let mut command = Command::new(knarr());
    command.args(["store", "migrate", "--to", to, "--datastore-endpoint", &etcd.endpoint(), "--data-dir"]);
    let output = command.arg(server.data_dir()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Everything that kubectl can list, without what servers write of themselves.
fn everything(kubectl: &Kubectl) -> Vec<Value> {
    let kinds = "configmaps,secrets,services,namespaces,clusterroles,clusterrolebindings,roles,rolebindings,priorityclasses,deployments";
    let listed = kubectl.run(["get", kinds, "-A", "-o", "json"]).json();
    let mut items = listed["items"].as_array().unwrap().clone();
    for item in &mut items {
        item["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    }
    items
}

/// What a watch from a revision of before is told.
fn told(kubectl: &Kubectl, after: u64) -> Value {
    raw(kubectl, &format!("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=5&resourceVersion={after}"))
}

#[test]
fn nothing_is_lost_on_the_way_and_no_revision_is_taken_for_another() {
    let mut etcd = Etcd::start();
    let mut server = ApiServer::start();
    let kubectl = server.kubectl();
    kubectl.apply(&config_map("a", 1));
    kubectl.ok("create secret generic s --from-literal=word=treasure");
    kubectl.ok("create service nodeport np --tcp=80 --node-port=30099");
    let (before, seen) = (everything(&kubectl), revision(&kubectl));
    assert!(migrate(&server, &etcd, "etcd").is_err(), "the server runs");
    server.kill();
    let said = migrate(&server, &etcd, "etcd").unwrap();
    assert!(said.contains("read back and compared one by one") && !said.contains("smaller"), "{said}");

    server.set_flags(&["--datastore-endpoint", &etcd.endpoint()]);
    server.start_again();
    let kubectl = server.kubectl();
    assert_eq!(everything(&kubectl), before);
    assert!(revision(&kubectl) > seen, "time went back");
    assert_eq!(told(&kubectl, seen)["object"]["code"], 410);
    let taken = kubectl.fails("create service nodeport other --tcp=80 --node-port=30099");
    assert!(taken.contains("provided port is already allocated"), "{taken}");
    kubectl.apply(&config_map("of-etcd", 2));
    let (before, seen) = (everything(&kubectl), revision(&kubectl));

    assert!(migrate(&server, &etcd, "local").unwrap_err().contains("stop all servers first"));
    assert!(server.process().stop(std::time::Duration::from_secs(20)).success());
    server.kill();
    server.set_flags(&[]);
    assert!(server.gives_up().contains("is in etcd"));
    let said = migrate(&server, &etcd, "local").unwrap();
    assert!(said.contains("are in the data folder"), "{said}");
    server.start_again();
    let kubectl = server.kubectl();
    assert_eq!(everything(&kubectl), before);
    assert!(revision(&kubectl) > seen, "time went back");
    assert_eq!(told(&kubectl, seen)["object"]["code"], 410);
    kubectl.apply(&config_map("of-folder", 3));

    // Now its revisions are too great for etcd to count to.
    let seen = revision(&kubectl);
    server.kill();
    assert!(migrate(&server, &etcd, "etcd").unwrap_err().contains("left of an earlier move"));
    std::fs::remove_dir_all(server.data_dir().join("store-moved-to-etcd")).unwrap();
    assert!(migrate(&server, &etcd, "etcd").unwrap_err().contains("What is left in etcd is old"));
    etcd.kill();
    etcd.start_anew();
    assert!(migrate(&server, &etcd, "etcd").unwrap().contains("smaller"));
    server.set_flags(&["--datastore-endpoint", &etcd.endpoint()]);
    server.start_again();
    let kubectl = server.kubectl();
    assert!(revision(&kubectl) < seen);
    assert_eq!(told(&kubectl, seen)["object"]["code"], 410);
    // Who then reads anew goes on.
    let watch = Watch::config_maps(&kubectl, revision(&kubectl));
    kubectl.apply(&config_map("fresh", 4));
    assert_eq!(watch.until(1)[0].1, "fresh");
}
