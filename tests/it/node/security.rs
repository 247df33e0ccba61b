//! What containers may not do, and what is refused.

use testkit::eventually;

use super::{namespace, shared, shell_pod};

#[test]
fn sysctls_are_set_or_refused() {
    let node = shared();
    let kubectl = namespace(&node, "sysctls");
    let pod = |name: &str, sysctl: &str, value: &str| {
        shell_pod(name, "cat /proc/sys/net/ipv4/ip_local_port_range; sleep 1000")
            + &format!("  securityContext: {{sysctls: [{{name: {sysctl}, value: {value:?}}}]}}\n")
    };
    kubectl.apply(&pod("safe", "net.ipv4.ip_local_port_range", "40000 40100"));
    kubectl.apply(&pod("unsafe", "net.core.somaxconn", "100"));
    kubectl.ok("wait pod/safe --for=condition=Ready --timeout=120s");
    kubectl.until("logs safe", |seen| seen.split_whitespace().eq(["40000", "40100"]));
    eventually("it is refused", || {
        let seen = kubectl.value("pod/unsafe", "{.status.phase} {.status.reason} {.status.message}");
        let expect =
            "Failed SysctlForbidden Pod was rejected: forbidden sysctl: \"net.core.somaxconn\" not allowlisted";
        if seen == expect { Ok(()) } else { Err(seen) }
    });
    kubectl.until_says("get events --field-selector=reason=SysctlForbidden", "not allowlisted");
}

#[test]
fn containers_keep_to_what_their_context_says() {
    let node = shared();
    let kubectl = namespace(&node, "context");
    let with = |name: &str, script: &str, context: &str| {
        shell_pod(name, script) + &format!("      securityContext: {{{context}}}\n")
    };
    let script = "touch /new 2>&1; touch /dev/shm/x && echo shm; sleep 1000";
    kubectl.apply(&with("fixed", script, "readOnlyRootFilesystem: true"));
    kubectl.apply(&with("root", "sleep 1000", "runAsNonRoot: true"));
    kubectl.apply(&with("zero", "sleep 1000", "runAsNonRoot: true, runAsUser: 0"));
    kubectl.apply(&with("user", "id -u; sleep 1000", "runAsNonRoot: true, runAsUser: 1000"));
    let profiles = node.data_dir().join("kubelet/seccomp");
    std::fs::create_dir_all(&profiles).unwrap();
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#;
    std::fs::write(profiles.join("no-mkdir.json"), profile).unwrap();
    let local = "seccompProfile: {type: Localhost, localhostProfile: no-mkdir.json}";
    kubectl.apply(&with("filtered", "touch /tmp/file && mkdir /tmp/dir 2>&1; sleep 1000", local));
    kubectl.apply(&with("lost", "sleep 1000", &local.replace("no-mkdir", "no-such")));
    kubectl.apply(&with("cgroup", "echo 1 2>&1 > /sys/fs/cgroup/memory/memory.limit_in_bytes; sleep 1000", ""));

    for pod in ["fixed", "user", "filtered", "cgroup"] {
        kubectl.ok(&format!("wait pod/{pod} --for=condition=Ready --timeout=120s"));
    }
    let logs = |pod: &str, text: &str| kubectl.until_says(&format!("logs {pod}"), text);
    logs("fixed", "touch: /new: Read-only file system\nshm\n");
    logs("user", "1000\n");
    logs("filtered", "Operation not permitted");
    if std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        logs("cgroup", "Read-only file system");
    }
    for (pod, reason, text) in [
        (
            "root",
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: \"root_context(",
        ),
        ("zero", "CreateContainerConfigError", "container's runAsUser breaks non-root policy (pod: \"zero_context("),
        ("lost", "CreateContainerError", "cannot load seccomp profile"),
    ] {
        eventually("it is refused", || {
            let path = "{.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].state.waiting.message}";
            let seen = kubectl.value(&format!("pod/{pod}"), path);
            if seen.starts_with(reason) && seen.contains(text) { Ok(()) } else { Err(seen) }
        });
    }
    kubectl.ok("delete pod --all --timeout=120s");
}

#[test]
fn namespaces_are_shared_as_the_pod_says() {
    let node = shared();
    let kubectl = namespace(&node, "shared");
    let two = |name: &str, more: &str| {
        shell_pod(name, "exec sleep 1111")
            + "    - {name: other, image: \"localhost/hello:1\", command: [sleep, \"2222\"]}\n"
            + more
    };
    kubectl.apply(&two("apart", ""));
    kubectl.apply(&two("together", "  shareProcessNamespace: true\n"));
    kubectl.apply(&two("host", "  hostPID: true\n  hostIPC: true\n"));
    let own_users = shell_pod("users", "sleep 1000") + "  hostUsers: false\n";
    kubectl.apply(&own_users);
    for pod in ["apart", "together", "host"] {
        kubectl.ok(&format!("wait pod/{pod} --for=condition=Ready --timeout=120s"));
    }
    let processes = |pod: &str| kubectl.run(["exec", pod, "-c", "other", "--", "ps", "-o", "args"]).ok();
    assert!(!processes("apart").contains("sleep 1111"));
    assert!(processes("together").contains("sleep 1111") && !processes("together").contains("knarr server"));
    assert!(processes("host").contains("knarr server"));
    let ipc = |pod: &str| kubectl.run(["exec", pod, "-c", "other", "--", "readlink", "/proc/self/ns/ipc"]).ok();
    let host = node.run(&["readlink", "/proc/self/ns/ipc"]).ok();
    assert!(ipc("host") == host && ipc("apart") != host);
    eventually("it is refused", || {
        let seen = kubectl.value("pod/users", "{.status.phase} {.status.reason}");
        if seen == "Failed UserNamespacesNotSupported" { Ok(()) } else { Err(seen) }
    });
    kubectl.ok("delete pod --all --timeout=120s");
}

#[test]
fn a_limit_of_cpu_is_felt() {
    let node = shared();
    let kubectl = namespace(&node, "throttle");
    let pod = shell_pod("busy", "while true; do :; done") + "      resources: {limits: {cpu: 50m, memory: 32Mi}}\n";
    kubectl.apply(&pod);
    kubectl.ok("wait pod/busy --for=condition=Ready --timeout=120s");
    let script = "cat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu.stat 2>/dev/null";
    eventually("it is throttled", || {
        let stat = kubectl.run(["exec", "busy", "--", "sh", "-c", script]).stdout;
        let count = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse::<u32>().ok());
        if count.is_some_and(|count| count > 3) { Ok(()) } else { Err(stat) }
    });
    kubectl.ok("delete pod busy --timeout=120s");
}
