//! What is only looked at.

use testkit::ApiServer;

use super::Both;

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: one}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: texts
  namespace: one
  labels: {app: web, tier: front, example.com/role: x}
  annotations: {note: "true"}
data:
  empty: ""
  truth: "yes"
  number: "12"
  float: "1.5e3"
  hex: "0x1F"
  octal: "0777"
  time: "2024-01-02T03:04:05Z"
  date: "2024-01-02"
  clock: "12:30:45"
  tilde: "~"
  dash: "- x"
  colon: "a: b"
  hash: "a # b"
  hashes: "a#b"
  quote: "it's"
  quotes: 'say "hi"'
  star: "*x"
  percent: "%x"
  at: "@x"
  braces: "{a}"
  comma: ",a"
  question: "? x"
  blank: " x "
  tab: "a\tb"
  lines: "a\nb\n"
  keep: "a\n\n"
  strip: "a\nb"
  indented: "  a\n b\n"
  trailing: "a \nb\n"
  carriage: "a\r\nb\r\n"
  unicode: "grüße ✓"
  html: "<a href=\"x\">&</a>"
  long: "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
  longquoted: "one: two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
  longescaped: "one\ttwo three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
  key10: a
  key9: b
  Key1: c
  key.x: d
  key_x: e
  key-x: f
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: one, labels: {app: db}}
data: {x: "2"}
---
apiVersion: v1
kind: Secret
metadata: {name: s1, namespace: one}
stringData: {password: x}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: one, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-10, namespace: one, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "i:1", args: ["-a", "b c"], ports: [{containerPort: 80}]}, {name: d, image: "j:2"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-9, namespace: one}
spec:
  replicas: 1
  selector: {matchLabels: {app: web9}}
  template:
    metadata: {labels: {app: web9}}
    spec: {containers: [{name: c, image: "i:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: one, labels: {app: p}}
spec: {containers: [{name: c, image: "i:1"}], automountServiceAccountToken: false}
"#;

fn both() -> (ApiServer, Both) {
    let server = ApiServer::start();
    let kubectl = server.kubectl();
    kubectl.run_with(OBJECTS, ["create", "--validate=false", "-f", "-"]);
    kubectl.run(["create", "serviceaccount", "default", "-n", "one"]);
    kubectl.run_with(OBJECTS, ["apply", "--server-side", "-f", "-"]).ok();
    let both = Both::of(server.kubectl().in_namespace("one"));
    (server, both)
}

#[test]
fn tables_are_the_same() {
    let (_server, both) = both();
    // Ages of whole minutes do not change between two calls.
    let lines = [
        "get cm -o custom-columns=N:.metadata.name",
        "get ns one --no-headers -o custom-columns=N:.metadata.name,L:.metadata.labels,S:.status.phase,X:.nothing",
        "get deploy -o custom-columns=N:.metadata.name,I:.spec.template.spec.containers[*].image,P:.spec.template.spec",
        "get deploy,svc -o name",
        "get deploy --sort-by=.spec.replicas -o name",
        "get deploy --sort-by=.metadata.name -o name",
        "get deploy --sort-by={.metadata.name} -o custom-columns=N:.metadata.name",
        "get cm,deploy -l app=web -o name",
        "get cm -l app!=web,tier!=x -o name",
        "get cm --field-selector metadata.name=other -o name",
        "get all -o name",
        "get configmaps/texts svc/web -o name",
        "get deployments.apps web-9 -o name",
        "get deployments.v1.apps web-9 -o name",
        "get Deployment web-9 -o name",
        "get cm -A -l app=db -o name",
        "get pods nothing --ignore-not-found",
        "get pods -l a=b",
        "get pods -A -l a=b",
        "get nodes",
        "get pods nothing",
        "get pods nothing p -o name",
        "get cm texts nothing -o name",
        "get nonsense",
        "get pods/p/q",
        "get pods pods/p",
        "get pods p -A",
        "get pods p -l a=b",
        "get pods -l a===b",
        "get pods -o nonsense",
        "get pods --field-selector nonsense=1",
        "get --raw /version",
        "get --raw /nothing",
        "api-versions",
        "get cm -o jsonpath={.items[*].metadata.name}",
        "get cm texts -o jsonpath={.data.lines}",
        "get cm texts -o jsonpath={.metadata.labels.example\\.com/role}",
        "get deploy web-10 -o jsonpath={..image}",
        "get deploy -o jsonpath={range.items[*]}{.metadata.name}{end}",
        "get deploy -o jsonpath={.items[?(@.spec.replicas>1)].metadata.name}",
        "get deploy -o jsonpath={.items[0].spec.selector}",
        "get deploy -o jsonpath-as-json={.items[*].spec.replicas}",
        "get pod p --template",
    ];
    for line in &lines[..lines.len() - 1] {
        both.same_output(&line.split(' ').collect::<Vec<_>>());
    }
}

/// With ages: retried, since a second may pass between two calls.
#[test]
fn tables_with_ages_are_the_same() {
    let (_server, both) = both();
    for line in [
        "get cm",
        "get cm,deploy,svc",
        "get all",
        "get deploy -o wide",
        "get svc -o wide --show-labels",
        "get cm -L app,example.com/role",
        "get cm -A -l app",
        "get cm texts other",
        "get cm/texts svc/web",
        "get pod p --no-headers",
        "get pods --show-kind",
        "get deploy --sort-by=.spec.replicas",
        "get deploy --sort-by=.metadata.name",
        "get ns one",
        "get cm,pods -l app=db --no-headers",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        testkit::eventually(line, || {
            let (theirs, ours) = (both.theirs.run(&words), both.ours.run(&words));
            if theirs.stdout == ours.stdout && theirs.status == ours.status {
                Ok(())
            } else {
                Err(format!("{theirs}\n{ours}"))
            }
        });
    }
}

#[test]
fn whole_objects_are_the_same() {
    let (_server, both) = both();
    for line in [
        "get cm texts -o yaml",
        "get cm texts -o json",
        "get cm -o yaml",
        "get cm -o json",
        "get deploy web-10 -o yaml",
        "get deploy web-10 -o yaml --show-managed-fields",
        "get svc,deploy -o yaml",
        "get secret -o yaml",
        "get pod p -o yaml",
        "get pods -l a=b -o yaml",
        "get pods nothing -o json",
        "get clusterroles -o yaml",
        "get clusterroles admin view -o json",
    ] {
        both.same(&line.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn errors_are_the_same() {
    let (server, both) = both();
    for line in [
        "get pods nothing",
        "get pods nothing nothing2",
        "get nonsense",
        "get nonsense.example.com",
        "get pods -l a=b",
        "get pods -A -l a=b",
        "get nodes",
        "get pods p -A",
        "get pods --field-selector nonsense=1",
        "delete pods",
        "delete pods nothing",
        "delete cm/nothing",
        "get --raw /nothing",
        "get pods --context nothing",
        "get cm -f /nowhere.yaml",
        "logs nothing",
        "exec nothing -- sh",
        "scale deploy nothing --replicas=1",
        "label cm texts app=other",
        "cordon nothing",
        "get pods --as nobody",
    ] {
        both.same(&line.split(' ').collect::<Vec<_>>());
    }
    let refused = ["--server", "https://127.0.0.1:1", "get", "pods"];
    both.same(&refused);
    drop(server);
}

#[test]
fn a_watch_shows_what_changes() {
    let (_server, both) = both();
    let watch = |kubectl: &testkit::Kubectl| {
        let mut command = kubectl.command(["get", "cm", "-w", "-l", "watched", "-o", "name"]);
        command.stdout(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let mut children = [watch(&both.theirs), watch(&both.ours)];
    let lines: Vec<String> = children
        .iter_mut()
        .map(|child| {
            use std::io::{BufRead, BufReader};
            // Only once both watch is the order of what they see the same; the first line shows that they do.
            let mut reader = BufReader::new(child.stdout.take().unwrap());
            both.theirs.run(["delete", "cm", "w1", "--ignore-not-found"]).ok();
            both.theirs.run(["create", "cm", "w1"]).ok();
            both.theirs.run(["label", "cm", "w1", "watched=1"]).ok();
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            line
        })
        .collect();
    assert_eq!(lines[0], "configmap/w1\n");
    assert_eq!(lines[0], lines[1]);
}
