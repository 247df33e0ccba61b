//! What is written: both do the same to a namespace of their own, and the objects come out the same.

use serde_json::Value;
use testkit::{ApiServer, Kubectl};

const FIRST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {a: "1", b: "2"}
spec:
  replicas: 2
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: a, image: "x:1", env: [{name: A, value: "<1>"}, {name: B, value: "2"}], ports: [{containerPort: 80}]}
      - {name: b, image: "y:1"}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: one}
  data: {x: "1", p: "2"}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: two, finalizers: [example.com/a, example.com/b]}
"#;

const SECOND: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {a: "1", c: "3"}
spec:
  strategy: {type: Recreate}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: "z:1"}
      - {name: a, image: "x:2", env: [{name: B, value: "3"}, {name: C, value: "4"}], ports: [{containerPort: 81}]}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: one}
  data: {x: "1", z: "3"}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: two, finalizers: [example.com/b, example.com/c]}
"#;

/// Each in a namespace of its own, of names equally long.
fn pair() -> (ApiServer, [Kubectl; 2]) {
    let server = ApiServer::start();
    let kubectl = server.kubectl();
    for namespace in ["ns-a", "ns-b"] {
        kubectl.ok(&format!("create namespace {namespace}"));
    }
    let pair = [kubectl.in_namespace("ns-a"), kubectl.ours().in_namespace("ns-b")];
    (server, pair)
}

fn without_names(text: &str) -> String {
    text.replace("ns-b", "ns-a")
}

/// What a person wrote of an object, without what differs by time and place.
fn objects(kubectl: &Kubectl, types: &str) -> Value {
    let text = kubectl.run(["get", types, "-o", "json"]).ok();
    let mut list: Value = serde_json::from_str(&without_names(&text)).unwrap();
    for item in list["items"].as_array_mut().unwrap() {
        let metadata = item["metadata"].as_object_mut().unwrap();
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
    list
}

#[track_caller]
fn both(pair: &[Kubectl; 2], input: &str, words: &[&str]) {
    let [theirs, ours] = pair.each_ref().map(|kubectl| kubectl.run_with(input, words));
    assert_eq!(theirs.stdout, without_names(&ours.stdout), "\n{theirs}\n{ours}");
    assert_eq!(theirs.status.code(), ours.status.code(), "\n{theirs}\n{ours}");
    assert_eq!(super::plain(&theirs.stderr), super::plain(&without_names(&ours.stderr)), "\n{theirs}\n{ours}");
}

#[test]
fn apply_makes_the_same_objects() {
    let (_server, pair) = pair();
    let same_objects = || assert_eq!(objects(&pair[0], "deploy,cm"), objects(&pair[1], "deploy,cm"));
    both(&pair, FIRST, &["apply", "-f", "-", "--dry-run=server"]);
    both(&pair, FIRST, &["apply", "-f", "-", "--dry-run=client"]);
    both(&pair, FIRST, &["apply", "-f", "-"]);
    same_objects();
    both(&pair, FIRST, &["apply", "-f", "-"]);
    for kubectl in &pair {
        // What others wrote stays.
        kubectl.ok("scale deploy web --replicas=5");
        kubectl.ok("label deploy web theirs=4");
        kubectl.ok("annotate cm one theirs=4");
    }
    both(&pair, SECOND, &["apply", "-f", "-"]);
    same_objects();
    both(&pair, SECOND, &["apply", "-f", "-", "-o", "name"]);
    both(&pair, FIRST, &["apply", "-f", "-"]);
    same_objects();
    both(&pair, FIRST, &["apply", "-f", "-", "-l", "a=1"]);
}

#[test]
fn the_server_applies_the_same() {
    let (_server, pair) = pair();
    both(&pair, FIRST, &["apply", "--server-side", "-f", "-"]);
    both(&pair, SECOND, &["apply", "--server-side", "-f", "-"]);
    assert_eq!(objects(&pair[0], "deploy,cm"), objects(&pair[1], "deploy,cm"));
    for kubectl in &pair {
        kubectl.ok("scale deploy web --replicas=7");
    }
    both(&pair, FIRST, &["apply", "--server-side", "-f", "-"]);
    both(&pair, FIRST, &["apply", "--server-side", "--force-conflicts", "-f", "-"]);
    assert_eq!(objects(&pair[0], "deploy,cm"), objects(&pair[1], "deploy,cm"));
}

const NAMELESS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: nameless, labels: {a: "1"}}
spec:
  imagePullSecrets: [{}]
  containers: [{name: c, image: "x:1"}]
"#;

/// The key of such an element has a default, by which it is known and which comes into no object.
#[test]
fn a_pull_secret_without_a_name_is_applied() {
    let (_server, pair) = pair();
    for kubectl in &pair {
        kubectl.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n");
    }
    let secrets = |kubectl: &Kubectl| kubectl.value("pod/nameless", "{.spec.imagePullSecrets}");
    let changed = NAMELESS.replace("a: \"1\"", "a: \"2\"");
    let is_there = || assert_eq!(pair.each_ref().map(secrets), ["[{}]"; 2]);
    both(&pair, NAMELESS, &["apply", "-f", "-"]);
    is_there();
    // Upstream's kubectl cannot compare such a list with the one that is there.
    let again = pair.each_ref().map(|kubectl| kubectl.run_with(NAMELESS, ["apply", "-f", "-"]).status.code());
    assert_eq!(again, [Some(1); 2]);
    for kubectl in &pair {
        kubectl.ok("delete pod nameless --now");
    }
    let apply = ["apply", "--server-side", "-f", "-"];
    for manifest in [NAMELESS, NAMELESS, &changed] {
        both(&pair, manifest, &apply);
        is_there();
    }
    for kubectl in &pair {
        assert_eq!(kubectl.value("pod/nameless", "{.metadata.labels.a}"), "2");
    }
}

#[test]
fn what_cannot_be_applied_is_told_the_same() {
    let (_server, pair) = pair();
    both(&pair, FIRST, &["apply", "-f", "-"]);
    let change = |from: &str, to: &str| FIRST.replace(from, to);
    for input in [
        change("selector: {matchLabels: {app: web}}", "selector: {matchLabels: {app: other}}"),
        change("replicas: 2", "replicas: -1"),
        change("kind: Deployment", "kind: Nonsense"),
        change("name: one", "name: One"),
    ] {
        let [theirs, ours] = pair.each_ref().map(|kubectl| kubectl.run_with(&input, ["apply", "-f", "-"]));
        assert_eq!(theirs.stdout, ours.stdout, "\n{theirs}\n{ours}");
        assert_eq!(theirs.status.code(), ours.status.code(), "\n{theirs}\n{ours}");
    }
    both(&pair, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: other}\n", &["apply", "-f", "-"]);
    both(&pair, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n", &["create", "-f", "-"]);
    both(&pair, "", &["apply", "-f", "/nowhere"]);
}

#[test]
fn the_small_verbs_say_the_same() {
    let (_server, pair) = pair();
    both(&pair, FIRST, &["create", "-f", "-"]);
    for words in [
        "scale deploy web --replicas=3",
        "scale deploy/web --replicas=4",
        "label cm one k=v",
        "label cm one k=v",
        "label cm one k=w",
        "label cm one k=w --overwrite",
        "label cm one k-",
        "annotate cm one k=v",
        "annotate cm one k-",
        "patch cm one -p {\"data\":{\"p\":\"q\"}}",
        "patch cm one -p {\"data\":{\"p\":\"q\"}}",
        "patch cm one --type=json -p [{\"op\":\"remove\",\"path\":\"/data/p\"}]",
        "patch cm one --type=merge -p {\"data\":{\"m\":\"n\"}} -o name",
    ] {
        both(&pair, "", &words.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(objects(&pair[0], "deploy,cm"), objects(&pair[1], "deploy,cm"));
}

/// Since 1.34 kubectl says from which namespace; the versions on this machine are older.
#[test]
fn deletes_say_what_is_gone() {
    let (_server, pair) = pair();
    let ours = &pair[1];
    ours.apply(FIRST);
    ours.ok("patch cm two --type=merge -p {\"metadata\":{\"finalizers\":null}}");
    assert_eq!(
        ours.ok("delete cm one --dry-run=server"),
        "configmap \"one\" deleted from ns-b namespace (server dry run)\n"
    );
    assert_eq!(
        ours.ok("delete cm one two"),
        "configmap \"one\" deleted from ns-b namespace\nconfigmap \"two\" deleted from ns-b namespace\n"
    );
    assert_eq!(ours.ok("delete cm one --ignore-not-found"), "");
    assert_eq!(ours.fails("delete cm one"), "Error from server (NotFound): configmaps \"one\" not found\n");
    assert_eq!(ours.ok("delete deploy -l a=1 -o name"), "deployment.apps/web\n");
    assert_eq!(ours.ok("delete cm -l x=y"), "No resources found\n");
    ours.ok("create ns gone");
    assert_eq!(ours.ok("delete ns gone --wait=false"), "namespace \"gone\" deleted\n");
    ours.apply(FIRST);
    ours.ok("patch cm two --type=merge -p {\"metadata\":{\"finalizers\":null}}");
    let told = ours.run_with(FIRST, ["delete", "-f", "-", "--cascade=orphan", "--wait=false"]).ok();
    assert_eq!(told.lines().count(), 3, "{told}");
}
