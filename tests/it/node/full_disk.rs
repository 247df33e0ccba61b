//! The disk of a node runs full: nothing is lost, pods go on, and it needs nobody to come back.

use testkit::{Kubectl, Node, Output, eventually};

use super::{run_hello, shell_pod};
use crate::api::faults::fill;

const NODE_PORT: u16 = 30_088;

fn create(kubectl: &Kubectl, name: &str) -> Output {
    kubectl.run(["create", "configmap", name, "--from-literal=key=value"])
}

/// Names and identities of what must not change.
fn identities(kubectl: &Kubectl) -> String {
    let path = "{range .items[*]}{.metadata.uid} {.status.containerStatuses[*]['containerID','restartCount']}\n{end}";
    kubectl.run(["get", "pods", "-l", "app=hello", "-o", &format!("jsonpath={path}")]).ok()
}

fn is_writable(kubectl: &Kubectl, name: &str) {
    eventually("writes are taken again", || {
        let answer = create(kubectl, name);
        if answer.is_success() { Ok(()) } else { Err(answer) }
    });
}

fn is_ready(kubectl: &Kubectl) {
    eventually("the node is ready, under no pressure", || {
        let path = "{range .items[0].status.conditions[*]}{.type}={.status} {end}";
        let seen = kubectl.value("nodes", path);
        if seen.contains("Ready=True") && seen.contains("DiskPressure=False") { Ok(()) } else { Err(seen) }
    });
}

#[test]
fn a_full_disk_stops_writes_and_no_pod() {
    let node = Node::start_on_small_disk(160, &["--eviction-hard=", "--image-gc-high-threshold=100"]);
    let kubectl = node.kubectl();
    run_hello(&node, &kubectl, NODE_PORT);
    let (pid, before) = (node.pid(), identities(&kubectl));
    let ballast = node.data_dir().join("ballast");
    fill(&ballast);

    let mut written = Vec::new();
    let refused = eventually("writes are refused", || {
        let answer = create(&kubectl, &format!("late-{}", written.len()));
        if answer.is_success() {
            written.push(format!("late-{}", written.len()));
            return Err(answer);
        }
        Ok(answer)
    });
    assert!(refused.stderr.contains("no space") || refused.stderr.contains("disk"), "{refused}");
    // Whoever reads and whoever is served does not notice.
    kubectl.ok("get pods,deploy,nodes");
    kubectl.run(["exec", "deploy/hello", "--", "echo", "hi"]).says("hi");
    for _ in 0..20 {
        node.get(&format!("127.0.0.1:{NODE_PORT}")).unwrap();
    }

    std::fs::remove_file(&ballast).unwrap();
    is_writable(&kubectl, "after");
    for name in &written {
        assert_eq!(kubectl.value(&format!("cm/{name}"), "{.data.key}"), "value");
    }
    assert_eq!(identities(&kubectl), before, "pods are what they were");
    kubectl.ok("scale deploy hello --replicas=4");
    kubectl.ok("rollout status deploy/hello --timeout=120s");
    is_ready(&kubectl);
    assert_eq!(node.pid(), pid);
}

#[test]
fn who_fills_the_last_byte_goes_and_others_come() {
    let flags = [
        "--eviction-hard=nodefs.available<20%",
        "--eviction-pressure-transition-period=1s",
        "--image-gc-high-threshold=100",
    ];
    let node = Node::start_on_small_disk(160, &flags);
    let kubectl = node.kubectl();
    run_hello(&node, &kubectl, NODE_PORT + 1);
    let before = identities(&kubectl);
    kubectl.apply(&shell_pod("hog", "cat /dev/zero > /tmp/file; trap 'exit 0' TERM; sleep 1000 & wait"));
    eventually("the hog is evicted", || {
        let seen = kubectl.value("pod/hog", "{.status.phase} {.status.reason}");
        if seen == "Failed Evicted" { Ok(()) } else { Err(seen) }
    });
    is_ready(&kubectl);
    is_writable(&kubectl, "after");
    // Pods that come before the pressure is over are turned away; a Deployment makes others.
    kubectl.ok("create deployment next --image=localhost/hello:1");
    let status = kubectl.run(["rollout", "status", "deploy/next", "--timeout=120s"]);
    assert!(status.is_success(), "{status}\n{}\n{}", kubectl.ok("get pods,events"), node.log());
    assert_eq!(identities(&kubectl), before, "pods are what they were");
}
