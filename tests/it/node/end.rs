//! What a cluster opens.

use testkit::Node;

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
