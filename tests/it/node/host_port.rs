//! Host ports, by real packets: from the host, from pods, from another machine, over the daemon's death.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use testkit::{Agent, Network, Node, eventually};

/// How long an answer may take that is one hop away.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// How often somebody who waits for a packet looks whether he is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const NODE: &str = "172.30.0.2";
const SECOND: &str = "172.30.0.7";

fn pod(name: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: \"localhost/hello:1\", ports: [{ports}]}}]
---
"
    )
}

fn port(protocol: &str, address: &str, host: u16, container: u16) -> String {
    let address = if address.is_empty() { String::new() } else { format!("hostIP: {address}, ") };
    format!("{{protocol: {protocol}, {address}hostPort: {host}, containerPort: {container}}}")
}

fn answers(network: &Network, address: &str, pod: &str) {
    eventually(&format!("{pod} answers at {address}"), || {
        let answer = network.inside(|| testkit::get(address));
        if answer == Ok(format!("hello 1 from {pod}\n")) { Ok(()) } else { Err(answer) }
    });
}

fn is_refused(network: &Network, address: &str) {
    eventually(&format!("nobody is at {address}"), || match network.inside(|| testkit::get(address)) {
        Err(error) if error.contains("refused") => Ok(()),
        other => Err(other),
    });
}

/// A socket that sends from one port again and again, so that the kernel takes it all for one flow.
fn udp(network: &Network, from: &str, to: &str) -> UdpSocket {
    network.inside(|| {
        let socket = UdpSocket::bind(from).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
        socket
    })
}

/// Asks over UDP until this one answers.
fn says(socket: &UdpSocket, name: &str) {
    eventually(&format!("{name} answers over UDP"), || {
        let mut answer = [0; 64];
        // Refused while nobody listens.
        let length = socket.send(b"who?").and_then(|_| socket.recv(&mut answer)).map_err(|e| e.to_string())?;
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        if answer == name { Ok(()) } else { Err(answer) }
    });
}

/// Answers UDP packets inside a pod with this name while `ask` runs.
fn with_udp_server<T>(pod: &Network, port: u16, name: &str, ask: impl FnOnce() -> T) -> T {
    let socket = pod.inside(|| UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], port))).unwrap());
    socket.set_read_timeout(Some(LOOK_EVERY)).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                    socket.send_to(name.as_bytes(), from).unwrap();
                }
            }
        });
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
        is_over.store(true, Ordering::SeqCst);
        answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn inside(node: &Node, pod: &str) -> Network {
    node.pod_network(&node.kubectl().value(&format!("pod/{pod}"), "{.metadata.uid}"))
}

/// Without grace the API forgets a pod before its node does, whose processes end before the rules go.
fn delete(node: &Node, pod: &str) {
    let kubectl = node.kubectl();
    let address = kubectl.value(&format!("pod/{pod}"), "{.status.podIP}") + " ";
    kubectl.ok(&format!("delete pod {pod} --timeout=120s"));
    eventually("nothing leads to it", || {
        let rules = node.run(&["nft", "list", "table", "ip", "knarr-cni"]).ok();
        if rules.contains(&address) { Err(rules) } else { Ok(()) }
    });
}

#[test]
fn host_ports_lead_to_their_pods() {
    let mut node = Node::start();
    node.run(&["ip", "address", "add", &format!("{SECOND}/24"), "dev", "eth0"]).ok();
    let machine = Agent::beside(&node);
    let kubectl = node.kubectl();
    let first = [port("TCP", NODE, 8090, 8080), port("UDP", "", 8090, 9000)].join(", ");
    let second = [port("TCP", SECOND, 8090, 8080), port("TCP", "", 8091, 8080)].join(", ");
    kubectl.apply(&(pod("first", &first) + &pod("second", &second) + &pod("other", "")));
    kubectl.ok("wait pod/first pod/second pod/other --for=condition=Ready --timeout=120s");
    let (host, outside) = (node.network(), machine.network());
    let (in_first, in_other) = (inside(&node, "first"), inside(&node, "other"));

    let all_answer = || {
        for from in [&host, &outside, &in_other, &in_first] {
            answers(from, "172.30.0.2:8090", "first");
            answers(from, "172.30.0.7:8090", "second");
            answers(from, "172.30.0.7:8091", "second");
        }
        answers(&host, "127.0.0.1:8091", "second");
        is_refused(&host, "127.0.0.1:8090");
    };
    all_answer();

    // A port that is taken: the scheduler says so. With another protocol or address it is not.
    kubectl.apply(&(pod("taken", &port("TCP", "", 8090, 8080)) + &pod("free", &port("TCP", "127.0.0.1", 8090, 8080))));
    let why = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
    eventually("the scheduler says why", || {
        let said = kubectl.value("pod/taken", "{.status.conditions[?(@.type==\"PodScheduled\")].message}");
        if said.starts_with(why) { Ok(()) } else { Err(said) }
    });
    answers(&host, "127.0.0.1:8090", "free");
    delete(&node, "free");
    kubectl.ok("delete pod taken --timeout=120s");

    // Over UDP, from three sides, one flow each.
    let from_host = udp(&host, "0.0.0.0:40000", "172.30.0.2:8090");
    let flows = [&from_host, &udp(&in_other, "0.0.0.0:40001", "172.30.0.2:8090")];
    let from_outside = udp(&outside, "0.0.0.0:40002", "172.30.0.2:8090");
    with_udp_server(&in_first, 9000, "first", || {
        flows.into_iter().chain([&from_outside]).for_each(|s| says(s, "first"))
    });

    // The daemon dies and comes back: nothing is lost, not even meanwhile.
    node.kill();
    all_answer();
    with_udp_server(&in_first, 9000, "first", || says(&from_host, "first"));
    node.start_again();
    all_answer();
    with_udp_server(&in_first, 9000, "first", || says(&from_host, "first"));

    // The pod goes, and with it the rule; a flow that goes on comes to the pod that takes the port.
    drop(in_first);
    delete(&node, "first");
    for from in [&host, &outside, &in_other] {
        is_refused(from, "172.30.0.2:8090");
        answers(from, "172.30.0.7:8090", "second");
    }
    let rules = node.run(&["nft", "list", "map", "ip", "knarr-cni", "ports"]).ok();
    assert!(!rules.contains("8090") && rules.contains("8091"), "{rules}");
    drop(from_host.send(b"to nobody"));
    kubectl.apply(&pod("first", &first));
    kubectl.ok("wait pod/first --for=condition=Ready --timeout=120s");
    let in_first = inside(&node, "first");
    with_udp_server(&in_first, 9000, "another", || {
        says(&from_host, "another");
        says(&from_outside, "another");
    });
}
