//! Two nodes: a server and an agent that joins it, each in a network of its own.

mod names;
mod partition;

use std::time::Duration;

use testkit::{Agent, Kubectl, Node, Output, eventually, knarr, within};

/// A node that has said nothing for fifty seconds is not known to be ready; on a loaded machine it takes longer.
const NOTICED: Duration = Duration::from_secs(180);
/// What keeps a full disk of the machine from mattering.
const ROOMY: [&str; 2] = ["--eviction-hard=", "--image-gc-high-threshold=100"];

const PODS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: both}
spec: {selector: {app: both}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: first, labels: {app: both}}
spec: {nodeName: knarr-node, terminationGracePeriodSeconds: 0, containers: [{name: c, image: "localhost/hello:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: second, labels: {app: both}}
spec:
  nodeName: second
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: "localhost/hello:1"}
  - {name: talk, image: "localhost/hello:1", command: [sh, -c, "echo from the agent; exec sleep 3600"]}
"#;

/// Two nodes that are ready and have the image `localhost/hello:1`.
fn joined(flags: &[&str]) -> (Node, Agent) {
    let server = Node::start_with(&[&ROOMY, flags].concat());
    let mut agent = Agent::beside(&server);
    agent.start(&server, &["--token", &token(&server, &[])]);
    let kubectl = server.kubectl();
    is(&kubectl, "True");
    // Its taint goes a moment later, and before that no pod is put there.
    kubectl.until("get node second -o jsonpath={.spec.taints}", str::is_empty);
    agent.import("localhost/hello:1");
    (server, agent)
}

pub(crate) fn token(server: &Node, words: &[&str]) -> String {
    let data = server.data_dir();
    let command = [knarr().to_str().unwrap(), "token", "create", "--data-dir", data.to_str().unwrap()];
    server.run(&[&command[..], words].concat()).ok().trim().to_owned()
}

pub(crate) fn is(kubectl: &Kubectl, status: &str) {
    within(NOTICED, &format!("the second node's Ready is {status}"), || {
        let ready =
            kubectl.run(["get", "node", "second", "-o", "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}"]);
        if ready.stdout == status { Ok(()) } else { Err(ready) }
    });
}

/// A GET from a pod through the Service until both pods have answered.
fn reaches_both(kubectl: &Kubectl, from: &str) {
    let address = kubectl.value("svc/both", "{.spec.clusterIP}");
    let get = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w2 {address} 80");
    let (mut first, mut second) = (false, false);
    eventually("both pods answer", || {
        let answer = kubectl.run(["exec", from, "-c", "c", "--", "sh", "-c", &get]);
        first |= answer.stdout.contains("from first");
        second |= answer.stdout.contains("from second");
        if first && second { Ok(()) } else { Err(answer) }
    });
}

#[test]
fn a_second_node_joins_serves_and_goes() {
    let server = Node::start();
    let kubectl = server.kubectl();
    let mut agent = Agent::beside(&server);
    refused(&server, &agent);

    agent.start(&server, &["--token", &token(&server, &[])]);
    is(&kubectl, "True");
    let subnets = kubectl.until("get nodes -o jsonpath={.items[*].spec.podCIDR}", |seen| seen.contains(' '));
    let mut subnets: Vec<&str> = subnets.split(' ').collect();
    subnets.dedup();
    assert_eq!(subnets.len(), 2, "{subnets:?}");

    agent.import("localhost/hello:1");
    kubectl.apply(PODS);
    kubectl.ok("wait pod/first pod/second --for=condition=Ready --timeout=120s");
    reaches_both(&kubectl, "first");
    reaches_both(&kubectl, "second");
    kubectl.until("logs second -c talk", |seen| seen == "from the agent\n");
    assert_eq!(kubectl.ok("exec second -c talk -- hostname"), "second\n");

    // A dead agent: its pods go on, its node is not ready, and it comes back without a token.
    agent.kill();
    reaches_both(&kubectl, "first");
    is(&kubectl, "Unknown");
    agent.start(&server, &[]);
    is(&kubectl, "True");
    assert_eq!(kubectl.value("pod/second", "{.status.containerStatuses[*].restartCount}"), "0 0");
    kubectl.ok("cordon second");
    kubectl.ok("delete pod second --timeout=120s");
    leaves_nothing(&agent);
}

/// Each mistake gets one line that names it.
fn refused(server: &Node, agent: &Agent) {
    let last = |text: String| text.trim().lines().last().unwrap_or_default().to_owned();
    let says = |words: &[&str], expected: &str| {
        let told = last(agent.gives_up(server, words));
        assert!(told.starts_with("knarr: ") && told.contains(expected), "{told}");
    };
    let good = token(server, &[]);
    says(&[], "knarr token create");
    says(&["--token", "nonsense"], "has not the form");
    let (hash, bearer) = good.split_once("::").unwrap();
    says(
        &["--token", &format!("{hash}::{}", bearer.replace('.', ".zzzzzz").chars().take(23).collect::<String>())],
        "refuses the token",
    );
    says(&["--token", &format!("K1{}::{bearer}", "ab".repeat(32))], "its authority has another hash");
    let short = token(server, &["--ttl", "1s"]);
    let url = format!("https://{}:6443", server.address());
    let ask = [
        knarr().to_str().unwrap(),
        "kubectl",
        "--kubeconfig",
        "/dev/null",
        "--server",
        &url,
        "--insecure-skip-tls-verify",
    ];
    let bearer = short.rsplit("::").next().unwrap();
    eventually("the token has expired", || {
        let answer = server.run(&[&ask[..], &["--token", bearer, "get", "--raw", "/version"]].concat());
        if answer.stderr.contains("must be logged in") { Ok(()) } else { Err(answer) }
    });
    says(&["--token", &short], "refuses the token");
}

/// `knarr down` on the agent's machine.
fn leaves_nothing(agent: &Agent) {
    agent.knarr(&["down"]).ok();
    let gone = |output: Output, text: &str| assert!(!output.stdout.contains(text), "{text} is left:\n{output}");
    gone(agent.run(&["ip", "link"]), "knarr0");
    gone(agent.run(&["ip", "route"]), "10.244.");
    gone(agent.run(&["nft", "list", "tables"]), "knarr");
    eventually("cgroups are gone", || {
        let left = agent.cgroups();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

/// Certificates with a life of a minute: the node outlives several.
#[test]
fn certificates_are_renewed_while_the_node_runs() {
    let server = Node::start_with(&[&ROOMY[..], &["--cluster-signing-duration=60s"]].concat());
    let kubectl = server.kubectl();
    let mut agent = Agent::beside(&server);
    agent.start(&server, &["--token", &token(&server, &[])]);
    is(&kubectl, "True");
    let renewed = |purpose: &str| agent.log().matches(&format!("certificate renewed purpose={purpose}")).count();
    within(Duration::from_secs(300), "two renewals of both", || {
        let counts = (renewed("Client"), renewed("Serving"));
        if counts.0 >= 2 && counts.1 >= 2 { Ok(()) } else { Err((counts, agent.log())) }
    });
    is(&kubectl, "True");
    // They live for a minute: on a loaded machine one may just have ended.
    kubectl.until("get --raw /api/v1/nodes/second/proxy/healthz", |seen| seen == "ok");
}
