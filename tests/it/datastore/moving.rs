//! A cluster moved from a data folder to etcd and back.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use serde_json::Value;
use testkit::{ApiServer, Etcd, Kubectl, eventually, knarr};

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
    let path = format!("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=5&resourceVersion={after}");
    let told = kubectl.run(["get", "--raw", &path]).ok();
    told.lines().next().map_or(Value::Null, |line| serde_json::from_str(line).unwrap())
}

/// What client-go's informers do, over every start of the server: list, watch from there, list anew when told so.
struct Informer {
    kubeconfig: PathBuf,
    known: BTreeMap<String, String>,
    at: u64,
    lists: usize,
}

impl Informer {
    fn new(server: &ApiServer) -> Self {
        Self { kubeconfig: server.kubeconfig(), known: BTreeMap::new(), at: 0, lists: 0 }
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::newest(&self.kubeconfig, self.kubeconfig.parent().unwrap())
    }

    fn list(&mut self) {
        let list = raw(&self.kubectl(), "/api/v1/namespaces/default/configmaps");
        self.known = list["items"].as_array().unwrap().iter().map(entry).collect();
        self.at = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        self.lists += 1;
    }

    /// Watches until this config map comes, or is known already.
    fn follow_until(&mut self, name: &str) {
        eventually("the informer has it", || {
            if self.known.contains_key(name) {
                return Ok(());
            }
            let path =
                format!("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&resourceVersion={}", self.at);
            for line in self.kubectl().run(["get", "--raw", &path]).stdout.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                let object = &event["object"];
                if event["type"] == "ERROR" {
                    assert_eq!(object["code"], 410, "{event}");
                    self.list();
                    break;
                }
                let (key, value) = entry(object);
                let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                assert!(version > self.at, "{version} after {}", self.at);
                self.at = version;
                match event["type"] == "DELETED" {
                    true => drop(self.known.remove(&key)),
                    false => drop(self.known.insert(key, value)),
                }
            }
            Err(format!("{:?} at {}", self.known.keys(), self.at))
        });
    }

    /// What it knows is what there is.
    fn is_right(&self) {
        let list = raw(&self.kubectl(), "/api/v1/namespaces/default/configmaps");
        let there: BTreeMap<String, String> = list["items"].as_array().unwrap().iter().map(entry).collect();
        assert_eq!(self.known, there);
    }
}

fn entry(object: &Value) -> (String, String) {
    (object["metadata"]["name"].as_str().unwrap().to_owned(), object["data"]["key"].as_str().unwrap_or("").to_owned())
}

/// Lists that name a revision of before, or go on from one, are told to begin anew, or get what is there.
fn old_lists(kubectl: &Kubectl, seen: u64, token: &str) {
    let path = "/api/v1/namespaces/default/configmaps";
    for query in [format!("continue={token}&limit=1"), format!("resourceVersion={seen}&resourceVersionMatch=Exact")] {
        let refused = kubectl.run(["get", "--raw", &format!("{path}?{query}")]).fails();
        assert!(refused.contains("Expired") || refused.contains("too old"), "{query}: {refused}");
    }
    let newer = kubectl.run(["get", "--raw", &format!("{path}?resourceVersion={seen}")]);
    if revision(kubectl) >= seen {
        newer.ok();
    } else {
        assert!(newer.stderr.contains("too old resource version"), "{newer}");
    }
}

/// A place between two pages.
fn continuation(kubectl: &Kubectl) -> String {
    let page = raw(kubectl, "/api/v1/namespaces/default/configmaps?limit=1");
    page["metadata"]["continue"].as_str().expect("there are two config maps").to_owned()
}

#[test]
fn informers_go_on_over_every_move() {
    let mut etcd = Etcd::start();
    let mut server = ApiServer::start();
    let mut informer = Informer::new(&server);
    server.kubectl().apply(&[config_map("a", 1), config_map("gone", 1)].concat());
    informer.list();
    for (move_number, to) in ["etcd", "local", "etcd"].into_iter().enumerate() {
        let kubectl = server.kubectl();
        let (seen, token) = (revision(&kubectl), continuation(&kubectl));
        // Not heard of before the move.
        kubectl.apply(&config_map("a", 10 + move_number));
        kubectl.ok("delete cm gone");
        assert!(server.process().stop(std::time::Duration::from_secs(60)).success());
        server.kill();
        if move_number == 2 {
            // Its revisions are too great to count to.
            std::fs::remove_dir_all(server.data_dir().join("store-moved-to-etcd")).unwrap();
            etcd.kill();
            etcd.start_anew();
        }
        let said = migrate(&server, &etcd, to).unwrap();
        assert_eq!(said.contains("smaller"), move_number == 2, "{said}");
        match to {
            "etcd" => server.set_flags(&["--datastore-endpoint", &etcd.endpoint()]),
            _ => server.set_flags(&[]),
        }
        server.start_again();
        let kubectl = server.kubectl();
        old_lists(&kubectl, seen, &token);
        let lists = informer.lists;
        let last = format!("after-{move_number}");
        kubectl.apply(&[config_map(&last, 1), config_map("gone", 2)].concat());
        informer.follow_until(&last);
        informer.follow_until("gone");
        informer.is_right();
        assert_eq!(informer.lists, lists + 1, "once told to read anew, it goes on");
    }
}

/// Clients that slept since any of the places before: whatever numbers they remember, none of them is taken for one of
/// the new place, however far that has counted since.
#[test]
fn no_revision_of_any_place_before_is_resumed() {
    const WRITES: usize = 60;
    let mut etcd = Etcd::start();
    let mut server = ApiServer::start();
    let mut remembered: Vec<(usize, u64)> = Vec::new();
    let live = |place: usize, kubectl: &Kubectl, remembered: &mut Vec<(usize, u64)>| {
        for part in 0..2 {
            remembered.push((place, revision(kubectl)));
            let some = |n: usize| config_map(&format!("c-{part}-{n}"), place);
            kubectl.apply(&(0..WRITES / 2).map(some).collect::<String>());
        }
        remembered.push((place, revision(kubectl)));
    };
    live(0, &server.kubectl(), &mut remembered);
    for (place, to) in (1..).zip(["etcd", "local", "etcd", "local"]) {
        assert!(server.process().stop(std::time::Duration::from_secs(60)).success());
        server.kill();
        if place == 3 {
            // Another etcd, which begins at one, as an administrator has who moved away from the first for good.
            std::fs::remove_dir_all(server.data_dir().join("store-moved-to-etcd")).unwrap();
            etcd.kill();
            etcd.start_anew();
        }
        migrate(&server, &etcd, to).unwrap();
        match to {
            "etcd" => server.set_flags(&["--datastore-endpoint", &etcd.endpoint()]),
            _ => server.set_flags(&[]),
        }
        server.start_again();
        let kubectl = server.kubectl();
        let first = revision(&kubectl);
        let before = remembered.clone();
        live(place, &kubectl, &mut remembered);
        // The place has counted on by then, perhaps over what is remembered.
        for (of, seen) in &before {
            let told = told(&kubectl, *seen);
            assert_eq!(told["object"]["code"], 410, "{seen} of place {of} at place {place} ({first}): {told}");
        }
    }
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
    assert!(server.process().stop(std::time::Duration::from_secs(60)).success());
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
