//! What a cluster opens, and that nothing of it stays.

use testkit::{Node, eventually};

use super::run_hello;

/// Addresses on which processes listen inside.
fn listening(node: &Node) -> Vec<String> {
    let table = node.run(&["ss", "-Hlntu"]).ok();
    let mut sockets: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .map(|row| format!("{} {}", row[0], row[4]))
        .collect();
    sockets.sort();
    sockets
}

#[test]
fn only_known_sockets_listen() {
    let node = Node::start();
    let known = |socket: &String| {
        let fixed =
            ["tcp 0.0.0.0:6443", "tcp *:6443", "tcp 172.30.0.2:10250", "tcp 10.244.0.1:10053", "udp 10.244.0.1:10053"];
        // The runtime's streams, on a port that only tokens of one use open.
        fixed.contains(&socket.as_str()) || socket.starts_with("tcp 127.0.0.1:")
    };
    let sockets = listening(&node);
    assert!(sockets.iter().all(known), "{sockets:?}");
    assert!(sockets.iter().filter(|s| s.starts_with("tcp 127.0.0.1:")).count() <= 1, "{sockets:?}");
    assert!(sockets.iter().any(|s| s.ends_with(":6443")), "{sockets:?}");
}

#[test]
fn down_leaves_nothing() {
    let node = Node::start();
    let kubectl = node.kubectl();
    run_hello(&node, &kubectl, 30_086);
    assert!(!node.pod_pids().is_empty());
    assert!(node.run(&["nft", "list", "tables"]).ok().contains("knarr"));
    node.knarr(&["down"]).ok();

    assert_eq!(node.pod_pids(), Vec::<u32>::new());
    assert_eq!(node.run(&["nft", "list", "tables"]).ok(), "");
    let links = node.run(&["ip", "-o", "link"]).ok();
    let names: Vec<&str> =
        links.lines().map(|line| line.split(": ").nth(1).unwrap().split('@').next().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| !["lo", "eth0", "eth0p"].contains(name)).count(), 0, "{links}");
    let mounts = node.run(&["cat", "/proc/self/mountinfo"]).ok();
    let data = node.data_dir();
    let ours = |line: &&str| line.contains(data.to_str().unwrap()) || line.contains("/run/knarr");
    assert_eq!(mounts.lines().filter(ours).collect::<Vec<_>>(), Vec::<&str>::new());
    let routes = node.run(&["ip", "route"]).ok();
    assert!(!routes.contains("10.244.") && !routes.contains("10.96."), "{routes}");
    eventually("cgroups are gone", || {
        let left = node.cgroups();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    // The daemon's sockets are closed a moment after the lock by which its end is known.
    eventually("nobody listens", || {
        let sockets = listening(&node);
        if sockets.is_empty() { Ok(()) } else { Err(sockets) }
    });
}
