//! Whatever dies comes back by itself.

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::{Kubectl, Node, eventually};

use super::{run_hello, shared};

/// Names, uids and counts of restarts of the pods.
fn pods(kubectl: &Kubectl) -> String {
    let columns = "custom-columns=N:.metadata.name,U:.metadata.uid,R:.status.containerStatuses[*].restartCount,\
                   S:.status.containerStatuses[*].state.running.startedAt,I:.status.podIP";
    kubectl.run(["get", "pods", "--sort-by=.metadata.name", "-o", columns]).ok()
}

/// Kills every process of every pod; one that is on its way out may end before its turn, and take others with it.
fn kill_pods(node: &Node) {
    eventually("no process of a pod is left", || {
        let pids = node.pod_pids();
        for pid in &pids {
            let killed = kill(Pid::from_raw(i32::try_from(*pid).unwrap()), Signal::SIGKILL);
            assert!(matches!(killed, Ok(()) | Err(Errno::ESRCH)), "{pid}: {killed:?}");
        }
        if pids.is_empty() { Ok(()) } else { Err(pids) }
    });
}

fn answers(node: &Node) {
    eventually("the Service answers", || node.get("127.0.0.1:30085"));
}

/// By the Deployment, and by the pods themselves: what the Deployment says may be from before the last change.
fn all_ready(kubectl: &Kubectl) {
    eventually("three pods are ready, and no others are there", || {
        let counts =
            kubectl.value("deploy/hello", "{.status.replicas} {.status.readyReplicas} {.status.availableReplicas}");
        let path = "{range .items[*]}{.status.containerStatuses[0].ready} {.metadata.deletionTimestamp},{end}";
        let seen = (counts, kubectl.value("pods", path));
        let is_ready = seen.0 == "3 3 3" && seen.1 == "true ,true ,true ,";
        if is_ready { Ok(()) } else { Err((seen, kubectl.ok("get pods -o wide"))) }
    });
}

/// Ends the first process of a pod's container from inside; the kernel may end the messenger with it before that one
/// has told how it went.
fn kill_first_process(kubectl: &Kubectl, pod: &str) {
    let told = kubectl.run(["exec", pod, "--", "kill", "-TERM", "1"]);
    assert!(told.is_success() || told.stderr.contains("terminated with exit code 137"), "{told}");
}

#[test]
fn containers_pods_and_daemons_come_back() {
    let mut node = Node::start();
    let kubectl = node.kubectl();
    run_hello(&node, &kubectl, 30_085);
    all_ready(&kubectl);

    // A process of a container dies: the container is started again in place.
    let pod = kubectl.value("pods", "{.items[0].metadata.name}");
    kill_first_process(&kubectl, &pod);
    eventually("it is counted", || {
        let count = kubectl.value(&format!("pod/{pod}"), "{.status.containerStatuses[0].restartCount}");
        if count == "1" { Ok(()) } else { Err(count) }
    });
    answers(&node);
    all_ready(&kubectl);

    // A pod is deleted: another takes its place.
    kubectl.ok(&format!("delete pod {pod}"));
    answers(&node);
    all_ready(&kubectl);
    assert!(kubectl.fails(&format!("get pod {pod}")).contains("not found"));

    // The daemon is killed: containers go on, and a new daemon finds them.
    let before = pods(&kubectl);
    node.kill();
    for _ in 0..20 {
        node.get("127.0.0.1:30085").unwrap();
    }
    node.start_again();
    all_ready(&kubectl);
    assert_eq!(pods(&kubectl), before);
    kubectl.ok("scale deploy hello --replicas=4");
    kubectl.ok("rollout status deploy/hello --timeout=120s");
    kubectl.ok("scale deploy hello --replicas=3");
    answers(&node);

    // The machine is reset: every process is gone, the data folder stays.
    node.kill();
    kill_pods(&node);
    node.run(&["umount", "--lazy", "/run"]).ok();
    node.run(&["mount", "-t", "tmpfs", "tmpfs", "/run"]).ok();
    node.start_again();
    eventually("pods are ready again", || {
        let seen = kubectl.value("deploy/hello", "{.status.readyReplicas}");
        let answer = node.get("127.0.0.1:30085");
        if seen == "3" && answer.is_ok() { Ok(()) } else { Err((seen, answer, pods(&kubectl))) }
    });
}

#[test]
fn a_second_daemon_is_turned_away() {
    let node = shared();
    let second = node.knarr(&["server"]);
    assert!(!second.is_success(), "{second}");
    let said = format!("another knarr (pid {}) runs on ", node.pid());
    assert!(second.stderr.contains(&said) && second.stderr.contains("--data-dir"), "{second}");
    assert_eq!(node.kubectl().ok("get --raw /readyz"), "ok");
}
