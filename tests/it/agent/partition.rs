//! The link between two nodes is cut, so that packets vanish and nobody is told; then it is back.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
    time::Duration,
};

use testkit::{Agent, Kubectl, Node, eventually, within};
use tokio::time::Instant;

use super::{is, joined};

/// Within this time both ends of a connection know that it leads nowhere, on the slowest machine; the kernel alone takes
/// a quarter of an hour. Usually it is 40 s.
const NOTICED: Duration = Duration::from_secs(240);
/// Within this time of the link's return everything is as before. Usually it is 10 s.
const HEALED: Duration = Duration::from_secs(180);

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: patient, labels: {app: all}}
spec:
  nodeName: second
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: "localhost/hello:1"}
  - {name: talk, image: "localhost/hello:1", command: [sh, -c, "while true; do echo tick; sleep 1; done"]}
---
apiVersion: v1
kind: Pod
metadata: {name: here, labels: {app: all}}
spec: {nodeName: knarr-node, containers: [{name: c, image: "localhost/hello:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: all}
spec: {selector: {app: all}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hasty}
spec:
  selector: {matchLabels: {app: hasty}}
  template:
    metadata: {labels: {app: hasty}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 3}
      affinity:
        nodeAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 100
            preference: {matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [second]}]}
      containers: [{name: c, image: "localhost/hello:1"}]
"#;

/// A kubectl that waits for what the node sends.
struct Waiting(Child, &'static str);

impl Waiting {
    fn start(kubectl: &Kubectl, words: &'static str) -> Self {
        let mut command = kubectl.command(words.split(' '));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{words}: it began");
        Self(child, words)
    }

    /// It ends by itself: somebody on the way has noticed.
    fn ends(mut self, begun: Instant) {
        let left = NOTICED.saturating_sub(begun.elapsed());
        within(left, &format!("`{}` ends", self.1), || match self.0.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it waits"),
        });
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        println!("after {:?}: {} {said}", begun.elapsed(), self.1);
    }
}

fn condition(kubectl: &Kubectl) -> String {
    let path = "{.status.conditions[?(@.type==\"Ready\")]['status','reason','message']}";
    kubectl.value("node/second", path)
}

fn taints(kubectl: &Kubectl) -> String {
    kubectl.value("node/second", "{range .spec.taints[*]}{.key}:{.effect} {end}")
}

fn ready_endpoints(kubectl: &Kubectl) -> usize {
    let path = "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses}";
    let seen = kubectl.run(["get", "endpointslices", "-l", "kubernetes.io/service-name=all", "-o", path]).ok();
    seen.split_whitespace().count()
}

fn cut_off(kubectl: &Kubectl, hasty: &str) {
    eventually("the node is not known to be ready", || {
        let seen = condition(kubectl);
        let expected = "Unknown NodeStatusUnknown Kubelet stopped posting node status.";
        if seen == expected { Ok(()) } else { Err(seen) }
    });
    eventually("it is tainted", || {
        let seen = taints(kubectl);
        let key = "node.kubernetes.io/unreachable";
        if seen == format!("{key}:NoSchedule {key}:NoExecute ") { Ok(()) } else { Err(seen) }
    });
    eventually("its pods are not ready, and get no traffic", || {
        let ready = kubectl.value("pod/patient", "{.status.conditions[?(@.type==\"Ready\")].status}");
        let endpoints = ready_endpoints(kubectl);
        if ready == "False" && endpoints == 1 { Ok(()) } else { Err((ready, endpoints)) }
    });
    eventually("what does not tolerate it for long is replaced", || {
        let pods = kubectl.ok("get pods -l app=hasty -o wide");
        let gone = kubectl.value(&format!("pod/{hasty}"), "{.metadata.deletionTimestamp}");
        let is_there = pods.lines().any(|line| line.contains(" knarr-node ") && line.contains("1/1"));
        if !gone.is_empty() && is_there { Ok(()) } else { Err(pods) }
    });
    for said in ["Node second status is now: NodeNotReady", "Marking for deletion Pod default/hasty-"] {
        kubectl.until_says("get events -A", said);
    }
    assert_eq!(kubectl.value("pod/patient", "{.metadata.deletionTimestamp}"), "", "five minutes are tolerated");
}

fn healed(kubectl: &Kubectl, agent: &Agent, hasty: &str, before: &str) {
    let begun = Instant::now();
    within(HEALED, "the node is ready", || {
        let seen = condition(kubectl);
        if seen.starts_with("True KubeletReady") { Ok(()) } else { Err((seen, agent.log())) }
    });
    println!("ready {:?} after the link was back", begun.elapsed());
    eventually("nothing is left of it", || {
        let (taints, endpoints) = (taints(kubectl), ready_endpoints(kubectl));
        let left = kubectl.ok("get pods -o name").contains(hasty);
        if taints.is_empty() && endpoints == 2 && !left { Ok(()) } else { Err((taints, endpoints, left)) }
    });
    assert_eq!(identity(kubectl), before, "the pod that stayed is the same");
    assert_eq!(kubectl.ok("exec patient -c c -- hostname"), "patient\n");
    assert!(kubectl.ok("logs patient -c talk --tail=1").contains("tick"));
    is(kubectl, "True");
}

fn identity(kubectl: &Kubectl) -> String {
    let path = "{.metadata.uid} {.status.podIP} {.status.containerStatuses[*]['containerID','restartCount']}";
    kubectl.value("pod/patient", path)
}

fn hasty_on_second(server: &Node) -> String {
    let kubectl = server.kubectl();
    kubectl.ok("wait pod/patient pod/here --for=condition=Ready --timeout=120s");
    kubectl.ok("rollout status deploy/hasty --timeout=120s");
    let name = kubectl.value("pods", "{.items[?(@.metadata.labels.app==\"hasty\")].metadata.name}");
    assert_eq!(kubectl.value(&format!("pod/{name}"), "{.spec.nodeName}"), "second");
    name
}

#[test]
fn a_node_that_is_cut_off_is_noticed_replaced_and_comes_back() {
    let (server, agent) = joined(&["--node-monitor-grace-period=20s"]);
    let kubectl = server.kubectl();
    kubectl.apply(PODS);
    let hasty = hasty_on_second(&server);
    let before = identity(&kubectl);
    eventually("both endpoints are ready", || if ready_endpoints(&kubectl) == 2 { Ok(()) } else { Err("not yet") });

    let waiting = [
        // Nothing is on its way; bytes come; bytes go.
        Waiting::start(&kubectl, "exec patient -c c -- sh -c echo;sleep\t1000"),
        Waiting::start(&kubectl, "logs -f patient -c talk"),
        Waiting::start(&kubectl, "exec -i patient -c c -- sh -c echo;cat"),
    ];
    let said = agent.log().len();
    let begun = Instant::now();
    agent.cut();
    let mut waiting = Vec::from(waiting);
    std::io::Write::write_all(waiting[2].0.stdin.as_mut().unwrap(), b"to nobody\n").unwrap();

    // A new request is told where it failed.
    let refused = kubectl.run(["logs", "patient", "-c", "c"]).fails();
    assert!(refused.contains("172.30.0.3:10250"), "{refused}");
    waiting.drain(..).for_each(|one| one.ends(begun));
    cut_off(&kubectl, &hasty);
    within(NOTICED, "the agent has noticed", || {
        let log = agent.log();
        let new = &log[said..];
        let noticed = ["lease could not be renewed", "list and watch failed"].iter().all(|text| new.contains(text));
        if noticed { Ok(()) } else { Err(new.to_owned()) }
    });

    agent.mend();
    healed(&kubectl, &agent, &hasty, &before);
}
