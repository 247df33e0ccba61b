//! Logs and commands of real containers.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use testkit::{Node, eventually};

use super::Both;

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: talk, labels: {app: talk}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: first, image: "localhost/hello:1", command: [sh, -c, "echo first"]}
  containers:
  - {name: main, image: "localhost/hello:1", command: [sh, -c, "echo one; echo two; echo three; exec sleep 3600"]}
  - {name: side, image: "localhost/hello:1", command: [sh, -c, "echo side; exec sleep 3600"]}
"#;

#[test]
fn logs_and_exec_do_the_same() {
    let node = Node::start();
    let both = Both::of(node.kubectl());
    node.kubectl().apply(PODS);
    node.kubectl().ok("wait pod/talk --for=condition=Ready --timeout=120s");
    eventually("the containers have written", || {
        let logs = node.kubectl().run(["logs", "talk", "-c", "main"]);
        if logs.stdout.ends_with("three\n") { Ok(()) } else { Err(logs) }
    });
    node.kubectl().until_says("logs talk -c side", "side");
    node.kubectl().until("exec talk -c side -- cat /proc/1/comm", |seen| seen == "sleep\n");
    for line in [
        "logs talk",
        "logs pod/talk",
        "logs talk -c side",
        "logs talk side",
        "logs talk -c nothing",
        "logs talk --tail=1",
        "logs talk --tail=0",
        "logs talk --timestamps -c main",
        "logs talk --since=1h -c main",
        "logs -l app=talk",
        "logs -l app=nothing",
        "logs talk -c main --previous",
        "logs talk --limit-bytes=5",
        "exec talk -- echo hello",
        "exec talk -c side -- cat /proc/1/comm",
        "exec talk -q -- sh -c exit\u{a0}0",
        "exec pod/talk -- nothing-like-this",
        "exec talk -c nothing -- true",
        "exec talk",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        both.same_output(&words);
    }
    // Upstream takes the containers in any order.
    for line in ["logs talk --all-containers", "logs talk --all-containers --prefix"] {
        both.same_lines(&line.split(' ').collect::<Vec<_>>());
    }
    both.same(&["exec", "talk", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    let input = "a\nb\n".repeat(20_000);
    let cat = ["exec", "-i", "talk", "-c", "main", "--", "cat"];
    assert_eq!(both.ours.run_with(&input, cat).ok(), input);
    terminal(&both, &node);
    followed(&both, &node);
}

/// With a terminal of its own: a size, and no echo of ours.
fn terminal(both: &Both, node: &Node) {
    // The size may arrive after the command has begun; without one stty complains and succeeds.
    let size = "for n in $(seq 600); do stty size | grep . && break; sleep 0.1; done";
    let words = format!("exec -it talk -c main -- sh -c 'tty; {size}; exit 5'");
    let command = both.ours.command(words.split(' ').take(0));
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<String> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let line = format!(
        "stty rows 33 cols 77; KUBECONFIG={} {program} {} {words}; echo code $?",
        node.kubeconfig().display(),
        arguments.join(" ")
    );
    let output =
        std::process::Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(text.contains("/dev/pts/") && text.contains("33 77") && text.contains("code 5"), "{text}");
}

fn followed(both: &Both, node: &Node) {
    let mut command = both.ours.command(["logs", "-f", "talk", "-c", "side", "--tail=1"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "side\n");
    node.kubectl().ok("delete pod talk --wait=false");
    // The end of the container ends the stream.
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(child.wait().unwrap().success());
}
