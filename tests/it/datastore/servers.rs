//! Two whole servers on an etcd of three members, each of the five in a network of its own.

use std::time::Duration;

use serde_json::Value;
use testkit::{EtcdCluster, Kubectl, Node, eventually, within};
use tokio::time::Instant;

use super::{Watch, config_map, revision};

/// Leases of fifteen seconds, and what a loaded machine takes.
const TAKEN_OVER: Duration = Duration::from_secs(180);
/// A lost quorum is told after 25 seconds.
const NOTICED: Duration = Duration::from_secs(120);

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: "localhost/hello:1"}]
"#;

/// Both of a cluster, started.
fn pair(etcd: &EtcdCluster) -> [Node; 2] {
    let mut first = Node::on_etcd(etcd, 1, &[]);
    first.start_again();
    let mut second = Node::on_etcd(etcd, 2, &[]);
    second.take_keys_of(&first);
    second.start_again();
    for node in [&first, &second] {
        node.import("localhost/hello:1");
    }
    [first, second]
}

fn list(kubectl: &Kubectl, path: &str) -> Value {
    kubectl.run(["get", "--raw", path]).json()
}

/// Addresses in the endpoints of a Service that are ready, sorted.
fn ready_addresses(kubectl: &Kubectl, namespace: &str, service: &str) -> Vec<String> {
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name={service}"
    );
    let slices = list(kubectl, &path);
    let endpoints = slices["items"].as_array().unwrap().iter().flat_map(|slice| slice["endpoints"].as_array().unwrap());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
    let mut addresses: Vec<String> = ready.map(|e| e["addresses"][0].as_str().unwrap().to_owned()).collect();
    addresses.sort();
    addresses
}

/// Who holds an office now.
fn leader(kubectl: &Kubectl, office: &str) -> String {
    let lease = kubectl.run(["get", "lease", "-n", "kube-system", office, "-o", "jsonpath={.spec.holderIdentity}"]);
    lease.stdout.split('_').next().unwrap_or_default().to_owned()
}

#[track_caller]
fn endpoints_become(kubectl: &Kubectl, namespace: &str, service: &str, count: usize) -> Vec<String> {
    within(TAKEN_OVER, &format!("{service} has {count} endpoints"), || {
        let found = ready_addresses(kubectl, namespace, service);
        if found.len() == count { Ok(found) } else { Err(found) }
    })
}

#[test]
fn one_goes_on_when_the_other_is_killed() {
    let etcd = EtcdCluster::start();
    let mut nodes = pair(&etcd);
    let kubectls = [nodes[0].kubectl(), nodes[1].kubectl()];
    kubectls[0].apply(WEB);
    for kubectl in &kubectls {
        kubectl.ok("wait deploy/web --for=condition=Available --timeout=180s");
    }
    // From memory, which may be behind.
    eventually("both pods are listed", || {
        let pods = list(&kubectls[0], "/api/v1/namespaces/default/pods?resourceVersion=0");
        if pods["items"].as_array().unwrap().len() == 2 { Ok(()) } else { Err(pods) }
    });
    let servers = endpoints_become(&kubectls[0], "default", "kubernetes", 2);
    assert_eq!(servers, [nodes[0].address(), nodes[1].address()]);
    let dns = endpoints_become(&kubectls[1], "kube-system", "kube-dns", 2);

    let leading = leader(&kubectls[0], "kube-controller-manager");
    let dead = usize::from(leading == "server-2");
    assert_eq!(leading, format!("server-{}", dead + 1));
    let live = 1 - dead;
    let kubectl = &kubectls[live];
    let watch = Watch::config_maps(kubectl, revision(kubectl));
    nodes[dead].kill();

    // At once, by the other one: reading, writing, watching.
    kubectl.apply(&config_map("after", 1));
    assert_eq!(watch.until(1)[0].1, "after");
    // In the time of a lease: work goes on.
    kubectl.ok("scale deploy/web --replicas=3");
    within(TAKEN_OVER, "the Deployment is reconciled by the other server", || {
        let pods = kubectl.run(["get", "rs", "-o", "jsonpath={.items[*].spec.replicas}"]).stdout;
        if pods == "3" { Ok(()) } else { Err(pods) }
    });
    for office in ["kube-controller-manager", "kube-scheduler"] {
        within(TAKEN_OVER, "the other leads", || {
            let holder = leader(kubectl, office);
            if holder == format!("server-{}", live + 1) { Ok(()) } else { Err(holder) }
        });
    }
    assert_eq!(endpoints_become(kubectl, "default", "kubernetes", 1), [nodes[live].address()]);
    let left = endpoints_become(kubectl, "kube-system", "kube-dns", 1);
    assert!(dns.contains(&left[0]));

    // It comes back on what it left.
    nodes[dead].start_again();
    assert_eq!(endpoints_become(kubectl, "default", "kubernetes", 2), servers);
    assert_eq!(endpoints_become(kubectl, "kube-system", "kube-dns", 2), dns);
    let back = nodes[dead].kubectl();
    assert!(revision(&back) >= watch.events()[0].2);
    back.ok("wait deploy/web --for=condition=Available --timeout=180s");
}

#[test]
fn a_server_that_is_cut_off_from_etcd_says_so_and_recovers() {
    let etcd = EtcdCluster::start();
    let nodes = pair(&etcd);
    let kubectls = [nodes[0].kubectl(), nodes[1].kubectl()];
    let dns = endpoints_become(&kubectls[0], "kube-system", "kube-dns", 2);
    let (cut, other) = (&kubectls[1], &kubectls[0]);
    cut.apply(&config_map("before", 1));
    let watch = Watch::config_maps(cut, revision(cut));
    etcd.unplug("node2");

    other.apply(&config_map("meanwhile", 1));
    // Bounded, and told.
    let begun = Instant::now();
    let refused = cut.run(["create", "configmap", "nowhere", "--request-timeout=30s"]);
    assert!(!refused.is_success() && begun.elapsed() < NOTICED, "{refused}");
    let old = list(cut, "/api/v1/namespaces/default/configmaps?resourceVersion=0");
    assert!(old.to_string().contains("before") && !old.to_string().contains("meanwhile"), "{old}");
    within(NOTICED, "it is not ready", || {
        let ready = cut.run(["get", "--raw", "/readyz"]);
        if ready.stderr.contains("[-]etcd failed") { Ok(()) } else { Err(ready) }
    });
    // The other one leads, and nobody asks the DNS that is cut off.
    assert_eq!(endpoints_become(other, "default", "kubernetes", 1), [nodes[0].address()]);
    endpoints_become(other, "kube-system", "kube-dns", 1);
    within(TAKEN_OVER, "the other leads", || {
        let holder = leader(other, "kube-controller-manager");
        if holder == "server-1" { Ok(()) } else { Err(holder) }
    });

    etcd.plug_again("node2");
    within(TAKEN_OVER, "it is ready again", || {
        let ready = cut.run(["get", "--raw", "/readyz"]);
        if ready.stdout == "ok" { Ok(()) } else { Err(ready) }
    });
    // The watch has lived, and missed nothing; nothing happened that was refused.
    eventually("what happened meanwhile comes", || {
        let events = watch.events();
        if events.iter().any(|(_, name, _)| name == "meanwhile") { Ok(()) } else { Err(events) }
    });
    assert_eq!(endpoints_become(other, "kube-system", "kube-dns", 2), dns);
    cut.apply(&config_map("afterwards", 1));
    assert_eq!(other.value("cm/afterwards", "{.data.key}"), "1");
}
