//! Names, Services and streams over the border between nodes.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use client::{
    Client,
    kubeconfig::{self, Credentials},
};
use testkit::{Kubectl, eventually};

use super::joined;

const PODS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: near}
spec: {selector: {app: near}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: far}
spec: {selector: {app: far}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: near}, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: near, labels: {app: near}}
spec: {nodeName: knarr-node, terminationGracePeriodSeconds: 0, containers: [{name: c, image: "localhost/hello:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: far, labels: {app: far}}
spec: {nodeName: second, terminationGracePeriodSeconds: 0, containers: [{name: c, image: "localhost/hello:1"}]}
"#;

fn exec(kubectl: &Kubectl, pod: &str, script: &str, says: &str) {
    eventually(&format!("in {pod}, `{script}` says {says:?}"), || {
        let answer = kubectl.run(["exec", pod, "--", "sh", "-c", script]);
        if answer.stdout.contains(says) { Ok(()) } else { Err(answer) }
    });
}

#[test]
fn pods_of_an_agent_reach_what_others_do() {
    let (server, agent) = joined(&[]);
    let kubectl = server.kubectl();
    kubectl.apply(PODS);
    kubectl.ok("wait pod/near pod/far --for=condition=Ready --timeout=120s");
    let (near, far) = (kubectl.value("pod/near", "{.status.podIP}"), kubectl.value("pod/far", "{.status.podIP}"));
    let cluster_ip = kubectl.value("svc/near", "{.spec.clusterIP}");

    // A ClusterIP whose only endpoint is on the other node, by name, in both directions.
    exec(&kubectl, "far", "wget -qO- http://near/", "hello 1 from near");
    exec(&kubectl, "near", "wget -qO- http://far.default.svc.cluster.local/", "hello 1 from far");
    // And from the machines themselves.
    let get = |address: &str| format!("wget -qO- http://{address}/");
    eventually("the agent's machine reaches the Service", || {
        let answer = agent.run(&["busybox", "sh", "-c", &get(&cluster_ip)]);
        if answer.stdout.contains("from near") { Ok(()) } else { Err(answer) }
    });

    // Every form of name, from a pod of the agent.
    for name in ["near.default", "near.default.svc", &near] {
        let port = if name == near { ":8080" } else { "" };
        exec(&kubectl, "far", &format!("wget -qO- http://{name}{port}/"), "from near");
    }
    for (name, address) in [
        ("near.default.svc.cluster.local", &cluster_ip),
        ("headless.default.svc.cluster.local", &near),
        (&format!("{}.default.pod.cluster.local", near.replace('.', "-")), &near),
        ("kubernetes.default.svc.cluster.local", &"10.96.0.1".to_owned()),
    ] {
        exec(&kubectl, "far", &format!("nslookup {name}"), address);
    }
    exec(&kubectl, "far", &format!("nslookup {near}"), "headless.default.svc.cluster.local");

    // The API server by its Service, with a token of the pod.
    let uid = kubectl.value("pod/far", "{.metadata.uid}");
    let token = kubectl.ok("create token default --bound-object-kind=Pod --bound-object-name=far").trim().to_owned();
    let authority = std::fs::read_to_string(server.data_dir().join("pki/ca.crt")).unwrap();
    let credentials = Credentials::Token(token);
    let config = kubeconfig::single("cluster", "https://10.96.0.1:443", &authority, "pod", credentials);
    let version = agent.pod_network(&uid).inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = Client::from_kubeconfig_value(config).await.unwrap();
            client.get_bytes("/version", "application/json").await.unwrap()
        })
    });
    assert!(String::from_utf8_lossy(&version).contains("gitVersion"), "{version:?}");
    // Both see each other's own address.
    exec(&kubectl, "near", &get(&format!("{far}:8080")), "from far");

    streams(&kubectl, &server);
    drop(agent);
}

/// `logs`, `exec` with input, `port-forward` and `cp`, with every kubectl.
fn streams(kubectl: &Kubectl, server: &testkit::Node) {
    kubectl.apply(
        r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "talk"}, "spec": {"nodeName": "second",
            "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "localhost/hello:1",
            "command": ["sh", "-c", "while true; do echo tick; sleep 0.2; done"]}]}}"#,
    );
    kubectl.ok("wait pod/talk --for=condition=Ready --timeout=120s");
    for kubectl in server.kubectls() {
        println!("kubectl {}", kubectl.version);
        let mut follow = kubectl.command(["logs", "-f", "talk"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
        for _ in 0..4 {
            assert_eq!(lines.next().unwrap().unwrap(), "tick");
        }
        follow.kill().unwrap();
        follow.wait().unwrap();
        let much = "much\n".repeat(100_000);
        assert_eq!(kubectl.run_with(&much, ["exec", "-i", "far", "--", "cat"]).ok(), much);

        let mut forward = kubectl.command(["port-forward", "far", ":8080"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("Forwarding from ").unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!(server.get(&address).unwrap(), "hello 1 from far\n");
        forward.kill().unwrap();
        forward.wait().unwrap();
    }
}
