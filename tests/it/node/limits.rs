//! What keeps a node from running full: logs, images, evictions.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use testkit::{Kubectl, Node, eventually};

use super::{namespace, shared, shell_pod};

/// Waits until the pod was evicted, and answers why.
#[track_caller]
fn evicted(kubectl: &Kubectl, pod: &str) -> String {
    eventually("the pod is evicted", || {
        let seen = kubectl.value(&format!("pod/{pod}"), "{.status.phase} {.status.reason}");
        if seen == "Failed Evicted" { Ok(()) } else { Err(format!("{seen}\n{}", kubectl.ok("get events"))) }
    });
    kubectl.value(&format!("pod/{pod}"), "{.status.message}")
}

#[track_caller]
fn node_condition(kubectl: &Kubectl, kind: &str, expect: &str) {
    eventually("the node tells of its condition", || {
        let path = format!("{{.items[0].status.conditions[?(@.type==\"{kind}\")].status}}");
        let seen = kubectl.value("nodes", &path);
        if seen == expect { Ok(()) } else { Err(seen) }
    });
}

#[test]
fn logs_are_rotated_and_followed_over_it() {
    let node = Node::start_with(&[
        "--eviction-hard=",
        "--image-gc-high-threshold=100",
        "--container-log-max-size=20Ki",
        "--container-log-max-files=3",
    ]);
    let kubectl = namespace(&node, "rotate");
    // It begins when somebody reads: whoever comes after a rotation does not see what was before.
    let script = "echo 0; until test -e /tmp/go; do sleep 0.1; done; i=0; \
                  while true; do i=$((i+1)); echo $i; test $((i % 100)) != 0 || sleep 0.4; done";
    kubectl.apply(&shell_pod("talk", script));
    kubectl.ok("wait pod/talk --for=condition=Ready --timeout=120s");
    let uid = kubectl.value("pod/talk", "{.metadata.uid}");
    let folder = node.data_dir().join(format!("logs/rotate_talk_{uid}/main"));
    let mut follow = kubectl.command(["logs", "-f", "talk"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "0");
    kubectl.ok("exec talk -- touch /tmp/go");
    let names = || {
        let entries = std::fs::read_dir(&folder).unwrap().flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let mut expect = 0;
    let mut seen = Vec::new();
    // Two rotations: the first one's file is compressed by the second.
    while !seen.iter().any(|name: &String| name.ends_with(".gz")) {
        for _ in 0..100 {
            expect += 1;
            assert_eq!(lines.next().unwrap().unwrap(), expect.to_string(), "no line is lost: {:?}", names());
        }
        seen = names();
        assert!(expect < 100_000, "{seen:?}");
    }
    follow.kill().unwrap();
    follow.wait().unwrap();
    // Between a rotation's steps the new file is not there yet, and then it is empty.
    eventually("the new file is there", || {
        let seen = names();
        if seen.contains(&"0.log".to_owned()) && seen.len() <= 3 { Ok(()) } else { Err(seen) }
    });
    let first = |log: &str| log.lines().next().and_then(|line| line.parse::<u32>().ok());
    let log = kubectl.until("logs talk", |log| first(log).is_some());
    assert!(first(&log) > Some(100), "only the newest file is shown, from {:?}", first(&log));
}

#[test]
fn who_takes_more_local_storage_than_allowed_is_evicted() {
    let node = shared();
    let kubectl = namespace(&node, "storage");
    let write = "head -c 3000000 /dev/zero > /data/file; sleep 1000";
    let with = |name: &str, limits: &str, volume: &str| {
        shell_pod(name, write)
            + &format!(
                "      resources: {{limits: {{{limits}}}}}\n      volumeMounts: [{{name: data, mountPath: /data}}]
  volumes: [{{name: data, emptyDir: {{{volume}}}}}]\n"
            )
    };
    kubectl.apply(&with("dir", "", "sizeLimit: 1Mi"));
    kubectl.apply(&with("whole", "ephemeral-storage: 2Mi", ""));
    let layer = "head -c 3000000 /dev/zero > /tmp/file; sleep 1000";
    let two = shell_pod("layer", layer)
        + "      resources: {limits: {ephemeral-storage: 1Mi}}
    - name: other
      image: localhost/hello:1
      command: [sleep, \"1000\"]
      resources: {limits: {ephemeral-storage: 100Mi}}\n";
    kubectl.apply(&two);
    kubectl.apply(&with("fits", "ephemeral-storage: 100Mi", "sizeLimit: 50Mi"));
    assert_eq!(evicted(&kubectl, "dir"), "Usage of EmptyDir volume \"data\" exceeds the limit \"1Mi\". ");
    let whole = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ";
    assert_eq!(evicted(&kubectl, "whole"), whole);
    assert_eq!(evicted(&kubectl, "layer"), "Container main exceeded its local ephemeral storage limit \"1Mi\". ");
    kubectl.until_says("get events --field-selector=reason=Evicted", "exceeds the limit \"1Mi\"");
    assert_eq!(kubectl.value("pod/fits", "{.status.phase}"), "Running");
    let code = "get pod/whole -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    kubectl.until(code, |seen| seen == "137");
}

#[test]
fn a_full_disk_is_cleared_before_pods_go_and_the_biggest_goes_first() {
    let flags = [
        "--eviction-hard=nodefs.available<50%",
        "--eviction-pressure-transition-period=15s",
        "--image-gc-high-threshold=100",
        "--minimum-image-ttl-duration=0s",
    ];
    let mut node = Node::start_on_small_disk(300, &flags);
    let kubectl = namespace(&node, "full");
    kubectl.apply(&shell_pod("small", "head -c 1000000 /dev/zero > /tmp/file; trap 'exit 0' TERM; sleep 1000 & wait"));
    kubectl.ok("wait pod/small --for=condition=Ready --timeout=120s");
    node_condition(&kubectl, "DiskPressure", "False");
    let images = |node: &Node| node.knarr(&["image", "list"]).ok();
    assert!(images(&node).contains("hello:2"));

    kubectl.apply(&shell_pod("hog", "head -c 200000000 /dev/zero > /tmp/file; trap 'exit 0' TERM; sleep 1000 & wait"));
    node_condition(&kubectl, "DiskPressure", "True");
    let direct = shell_pod("late", "sleep 1000").replace("spec:\n", "spec:\n  nodeName: knarr-node\n");
    kubectl.apply(&direct);
    let message = evicted(&kubectl, "hog");
    let begins = "The node was low on resource: ephemeral-storage. Threshold quantity: 150Mi, available: ";
    assert!(message.starts_with(begins), "{message}");
    assert!(message.contains("Container main was using "), "{message}");
    assert!(message.ends_with(", request is 0, has larger consumption of ephemeral-storage. "), "{message}");
    let target = "{.status.conditions[?(@.type==\"DisruptionTarget\")].reason}";
    assert_eq!(kubectl.value("pod/hog", target), "TerminationByKubelet");
    kubectl.until_says("get events --field-selector=reason=Evicted", "low on resource: ephemeral-storage");
    kubectl.until_says("get events -n default", "Attempting to reclaim ephemeral-storage");
    assert_eq!(evicted(&kubectl, "late"), "Pod was rejected: The node had condition: [DiskPressure]. ");
    // What the hog left and the image nobody uses make room; then nobody else has to go.
    node_condition(&kubectl, "DiskPressure", "False");
    let left = images(&node);
    assert!(left.contains("hello:1") && !left.contains("hello:2"), "{left}");
    assert_eq!(kubectl.value("pod/small", "{.status.phase}"), "Running");

    // Images go by their own thresholds too, and it is told when that is not enough.
    node.import("localhost/hello:3");
    node.kill();
    node.set_flags(&["--eviction-hard=", "--image-gc-high-threshold=1", "--image-gc-low-threshold=0"]);
    node.start_again();
    eventually("the image nobody uses is gone", || {
        let left = images(&node);
        if left.contains("hello:3") { Err(left) } else { Ok(()) }
    });
    assert!(images(&node).contains("hello:1"));
    eventually("what is missing is told", || {
        let events = kubectl.run(["get", "events", "-n", "default", "--field-selector=reason=FreeDiskSpaceFailed"]);
        let wanted = "Failed to garbage collect required amount of images. Attempted to free ";
        if events.stdout.contains(wanted) { Ok(()) } else { Err(events) }
    });
}

#[test]
fn short_memory_turns_pods_away_and_evicts() {
    let node = Node::start_with(&["--eviction-hard=memory.available<99%", "--image-gc-high-threshold=100"]);
    let kubectl = namespace(&node, "short");
    node_condition(&kubectl, "MemoryPressure", "True");
    let direct = |name: &str| shell_pod(name, "sleep 1000").replace("spec:\n", "spec:\n  nodeName: knarr-node\n");
    kubectl.apply(&direct("free"));
    assert_eq!(evicted(&kubectl, "free"), "Pod was rejected: The node had condition: [MemoryPressure]. ");
    let asks = direct("asks") + "      resources: {requests: {memory: 1Ki}}\n";
    kubectl.apply(&asks);
    let message = evicted(&kubectl, "asks");
    assert!(message.starts_with("The node was low on resource: memory. Threshold quantity: "), "{message}");
    kubectl.until_says("get events -n default", "NodeHasInsufficientMemory");
    // A pod critical to the node is neither turned away nor evicted.
    let critical = direct("critical").replace("spec:\n", "spec:\n  priorityClassName: system-node-critical\n");
    let system = kubectl.in_namespace("kube-system");
    system.apply(&critical);
    system.ok("wait pod/critical --for=condition=Ready --timeout=120s");
}
