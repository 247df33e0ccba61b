//! What pods do and what people do with them.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use testkit::{Kubectl, eventually};

use super::{namespace, run_hello, shared, shell_pod};

/// Waits until the pod has come to this phase.
#[track_caller]
fn reaches(kubectl: &Kubectl, pod: &str, phase: &str) {
    eventually("the pod comes to its phase", || {
        let seen = kubectl.value(&format!("pod/{pod}"), "{.status.phase}");
        if seen == phase { Ok(()) } else { Err(format!("{seen}\n{}", kubectl.ok(&format!("describe pod {pod}")))) }
    });
}

#[test]
fn people_look_into_pods() {
    let node = shared();
    let pods = namespace(&node, "look");
    let script = "echo first; while true; do echo tick; sleep 1; done";
    pods.apply(&shell_pod("talk", script));
    reaches(&pods, "talk", "Running");
    pods.until_says("logs talk", "tick\ntick\n");
    for kubectl in node.kubectls() {
        let kubectl = kubectl.in_namespace("look");
        println!("kubectl {}", kubectl.version);
        assert!(kubectl.ok("logs talk").starts_with("first\n"));
        assert!(kubectl.ok("logs talk --timestamps --tail=1").contains("Z tick"));
        let mut follow = kubectl.command(["logs", "-f", "talk", "--tail=1"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
        assert_eq!((lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()), ("tick".into(), "tick".into()));
        follow.kill().unwrap();
        follow.wait().unwrap();

        assert_eq!(kubectl.run(["exec", "talk", "--", "echo", "hi"]).ok(), "hi\n");
        let exit = kubectl.run(["exec", "talk", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!((exit.status.code(), exit.stdout.as_str()), (Some(7), "out\n"), "{exit}");
        assert!(exit.stderr.starts_with("err\n"), "{exit}");
        assert_eq!(kubectl.run_with("through\n", ["exec", "-i", "talk", "--", "cat"]).ok(), "through\n");
    }
    pods.ok("delete pod talk");
}

#[test]
fn a_terminal_reaches_into_a_pod() {
    let node = shared();
    let kubectl = namespace(&node, "terminal");
    kubectl.apply(&shell_pod("talk", "trap 'exit 0' TERM; while true; do sleep 1; done"));
    reaches(&kubectl, "talk", "Running");
    // script(1) gives kubectl a terminal of its own.
    // The size of the window follows the start.
    let command = kubectl.command([
        "exec",
        "-it",
        "talk",
        "--",
        "sh",
        "-c",
        "test -t 0 && for n in $(seq 600); do stty size | grep . && break; sleep 0.1; done; tty",
    ]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &format!("stty rows 33 cols 77; {}", words.join(" ")), "/dev/null"]);
    script.env("KUBECONFIG", node.kubeconfig()).env("HOME", node.folder()).stdin(Stdio::null());
    let output = script.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("33 77") && text.contains("/dev/pts/"), "{text}");
}

#[test]
fn files_and_ports_come_through() {
    let node = shared();
    let kubectl = namespace(&node, "through");
    run_hello(&node, &kubectl, 30_084);
    let pod = kubectl.value("pods", "{.items[0].metadata.name}");
    let file = node.folder().join("copied");
    std::fs::write(&file, "some text\n".repeat(10_000)).unwrap();
    kubectl.ok(&format!("cp {} {pod}:/tmp/there", file.display()));
    let back = node.folder().join("back");
    kubectl.ok(&format!("cp {pod}:/tmp/there {}", back.display()));
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&back).unwrap());

    let mut forward = kubectl.command(["port-forward", &pod, ":8080"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.strip_prefix("Forwarding from ").unwrap().split(' ').next().unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(node.get(&address).unwrap().trim(), format!("hello 1 from {pod}"));
    }
    forward.kill().unwrap();
    forward.wait().unwrap();
    kubectl.ok("delete deploy hello");
}

#[test]
fn a_pod_gets_what_its_manifest_says() {
    let node = shared();
    let kubectl = namespace(&node, "manifest");
    kubectl.ok("create configmap conf --from-literal=colour=blue");
    kubectl.ok("create secret generic hush --from-literal=word=hunter2");
    let manifest = r#"
apiVersion: v1
kind: Pod
metadata:
  name: all
  labels: {app: all}
spec:
  restartPolicy: Never
  hostname: myhost
  securityContext: {runAsUser: 1234, runAsGroup: 2345, fsGroup: 3456}
  initContainers:
    - name: first
      image: localhost/hello:1
      command: [sh, -c, "echo from-init > /shared/init"]
      volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
    - name: main
      image: localhost/hello:1
      workingDir: /tmp
      command: [sh, -c]
      args:
        - |
          echo "env $COLOUR $WORD $NAME $POD_IP $EXPANDED"
          echo "dir $(pwd) user $(id -u) $(id -g) $(id -G)"
          echo "init $(cat /shared/init)"
          echo "conf $(cat /conf/colour) $(cat /hush/word) $(cat /down/labels)"
          echo "token $(cut -d. -f1 /var/run/secrets/kubernetes.io/serviceaccount/token | wc -c)"
          echo "ns $(cat /var/run/secrets/kubernetes.io/serviceaccount/namespace)"
          echo "hosts $(grep myhost /etc/hosts | wc -l) $(hostname)"
          echo "memory $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null)"
          touch /conf/colour 2>/dev/null || echo "read-only"
          exit 3
      env:
        - {name: COLOUR, valueFrom: {configMapKeyRef: {name: conf, key: colour}}}
        - {name: WORD, valueFrom: {secretKeyRef: {name: hush, key: word}}}
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: EXPANDED, value: "$(NAME)-x"}
      resources: {limits: {memory: 32Mi, cpu: 500m}}
      volumeMounts:
        - {name: shared, mountPath: /shared}
        - {name: conf, mountPath: /conf}
        - {name: hush, mountPath: /hush}
        - {name: down, mountPath: /down}
  volumes:
    - {name: shared, emptyDir: {}}
    - {name: conf, configMap: {name: conf}}
    - {name: hush, secret: {secretName: hush}}
    - name: down
      downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
"#;
    kubectl.apply(manifest);
    reaches(&kubectl, "all", "Failed");
    assert_eq!(kubectl.value("pod/all", "{.status.containerStatuses[0].state.terminated.exitCode}"), "3");
    let ip = kubectl.value("pod/all", "{.status.podIP}");
    let logs = kubectl.ok("logs all");
    for line in [
        &format!("env blue hunter2 all {ip} all-x"),
        "dir /tmp user 1234 2345 ",
        "init from-init",
        "conf blue hunter2 app=\"all\"",
        "ns manifest",
        "hosts 1 myhost",
        "memory 33554432",
        "read-only",
    ] {
        assert!(logs.contains(line), "{line:?} is missing:\n{logs}");
    }
    assert!(!logs.contains("token 0"), "{logs}");
}

#[test]
fn limits_are_enforced() {
    let node = shared();
    let kubectl = namespace(&node, "limits");
    let greedy = shell_pod("greedy", "head -c 200000000 /dev/zero | tail")
        .replace("spec:\n", "spec:\n  restartPolicy: Never\n")
        .replace("      command:", "      resources: {limits: {memory: 20Mi}}\n      command:");
    kubectl.apply(&greedy);
    reaches(&kubectl, "greedy", "Failed");
    assert_eq!(kubectl.value("pod/greedy", "{.status.containerStatuses[0].state.terminated.reason}"), "OOMKilled");
}

#[test]
fn probes_and_hooks_act() {
    let node = shared();
    let kubectl = namespace(&node, "probes");
    let manifest = r#"
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 5
  volumes: [{name: log, emptyDir: {}}]
  containers:
    - name: sick
      image: localhost/hello:1
      command: [sh, -c, "trap 'exit 0' TERM; touch /tmp/alive; while true; do sleep 1; done"]
      livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}
      startupProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 60, timeoutSeconds: 60}
    - name: web
      image: localhost/hello:1
      readinessProbe: {httpGet: {path: /ready.html, port: 8080}, periodSeconds: 1}
      lifecycle:
        postStart: {exec: {command: [sh, -c, "echo started > /log/post"]}}
      volumeMounts: [{name: log, mountPath: /log}]
    - name: tcp
      image: localhost/hello:1
      command: [sh, -c, "trap 'exit 0' TERM; nc -ll -p 9090 -e true & wait"]
      readinessProbe: {tcpSocket: {port: 9090}, periodSeconds: 1}
"#;
    kubectl.apply(manifest);
    let ready = |name: &str| {
        kubectl.value("pod/probed", &format!("{{.status.containerStatuses[?(@.name==\"{name}\")].ready}}"))
    };
    eventually("two are ready", || {
        let seen = (ready("sick"), ready("tcp"), ready("web"));
        if (seen.0.as_str(), seen.1.as_str(), seen.2.as_str()) == ("true", "true", "false") {
            Ok(())
        } else {
            Err(seen)
        }
    });
    kubectl.until("exec probed -c web -- cat /log/post", |seen| seen == "started\n");
    // Its server makes the folder when it begins, and may not have come so far.
    kubectl
        .run(["exec", "probed", "-c", "web", "--", "sh", "-c", "mkdir -p /tmp/www && touch /tmp/www/ready.html"])
        .ok();
    kubectl.ok("wait pod/probed --for=condition=Ready --timeout=120s");
    // A container that its probe finds dead is started again in place.
    kubectl.run(["exec", "probed", "-c", "sick", "--", "rm", "/tmp/alive"]).ok();
    eventually("it is started again", || {
        let count = kubectl.value("pod/probed", "{.status.containerStatuses[?(@.name==\"sick\")].restartCount}");
        if count == "1" { Ok(()) } else { Err(count) }
    });
    kubectl.until_says("get events", "Liveness probe failed");
}

#[test]
fn a_container_that_ends_is_started_again_later_and_later() {
    let node = shared();
    let kubectl = namespace(&node, "backoff");
    kubectl.apply(&shell_pod("crash", "echo life; exit 1"));
    eventually("it is backed off", || {
        let reason = kubectl.value("pod/crash", "{.status.containerStatuses[0].state.waiting.reason}");
        if reason == "CrashLoopBackOff" { Ok(()) } else { Err(reason) }
    });
    // It may be started once more at this moment, and the one before be removed.
    kubectl.until("logs crash --previous", |seen| seen == "life\n");
    kubectl.until_says("get events", "Back-off restarting failed container");
    kubectl.ok("delete pod crash");
}
