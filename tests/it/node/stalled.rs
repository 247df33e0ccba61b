//! Clients of running pods that read nothing of what they asked for.

use std::{
    io::Read,
    process::{Child, Stdio},
};

use testkit::{Kubectl, Node};

use super::{namespace, shell_pod};

/// Each of them holds a handful of buffers, on the way through the API server, the kubelet and the runtime.
const MAX_GROWTH_MIB: usize = 64;

/// A kubectl of which one byte is read, and no more.
fn unread(kubectl: &Kubectl, words: &[&str]) -> Child {
    let mut child = kubectl.command(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}

fn resident_mib(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() >> 10
}

#[test]
fn who_reads_nothing_costs_little_and_delays_nobody() {
    let node = Node::start();
    let kubectl = namespace(&node, "stalled");
    let script = "i=0; while true; do i=$((i+1)); test $i -gt 200000 && sleep 1; echo some line number $i; done";
    kubectl.apply(&(shell_pod("talk", script) + "---\n" + &shell_pod("quiet", "sleep 1000")));
    kubectl.ok("wait pod/talk pod/quiet --for=condition=Ready --timeout=120s");
    kubectl.run(["exec", "quiet", "--", "echo", "warm"]).ok();
    let before = resident_mib(&node);
    let mut stalled: Vec<Child> = (0..6)
        .map(|_| unread(&kubectl, &["exec", "quiet", "--", "yes", "a line that nobody reads"]))
        .chain((0..6).map(|_| unread(&kubectl, &["logs", "-f", "talk"])))
        .collect();
    for _ in 0..20 {
        assert_eq!(kubectl.run(["exec", "quiet", "--", "echo", "hi"]).ok(), "hi\n");
    }
    let much = "much\n".repeat(200_000);
    assert_eq!(kubectl.run_with(&much, ["exec", "-i", "quiet", "--", "cat"]).ok(), much);
    let grown = resident_mib(&node).saturating_sub(before);
    println!("{grown} MiB for {} clients that read nothing", stalled.len());
    assert!(grown < MAX_GROWTH_MIB, "{grown} MiB");
    for child in &mut stalled {
        assert!(child.try_wait().unwrap().is_none(), "a paused reader is not cut off");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What it ran ends with the client.
    testkit::eventually("the commands of clients that went have ended", || {
        let seen = kubectl.run(["exec", "quiet", "--", "ps"]).ok();
        if seen.contains("yes a line") { Err(seen) } else { Ok(()) }
    });
}
