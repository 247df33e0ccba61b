//! Ephemeral containers, as `kubectl debug` makes them.

use testkit::eventually;

use super::{namespace, shared, shell_pod};

#[test]
fn people_put_a_container_into_a_pod_that_runs() {
    let node = shared();
    let kubectl = namespace(&node, "debug");
    kubectl.apply(&shell_pod("app", "trap 'exit 0' TERM; while true; do sleep 1; done"));
    kubectl.ok("wait pod/app --for=condition=Ready --timeout=120s");
    for kubectl in node.kubectls() {
        let kubectl = kubectl.in_namespace("debug");
        let name = format!("eph-{}", kubectl.version.replace(['.', ' '], "-"));
        println!("kubectl {}", kubectl.version);
        // With an input it is attached to: what is typed runs in there.
        let container = format!("--container={name}");
        let typed = kubectl.run_with(
            "echo processes $(ps | grep -c '[w]hile true'); echo own $$ | grep -c 'own 1$'; exit 5\n",
            ["debug", "-i", "app", "--image=localhost/hello:2", "--target=main", &container, "--", "sh"],
        );
        // What it says at its end goes to whoever is attached, or into the log alone.
        println!("{typed}");
        kubectl.until(&format!("logs app -c {name}"), |log| {
            let text = typed.stdout.clone() + log;
            text.contains("processes 1") && text.contains("\n0\n")
        });
        let state = format!("{{.status.ephemeralContainerStatuses[?(@.name==\"{name}\")].state.terminated.exitCode}}");
        eventually("its end is told", || {
            let code = kubectl.value("pod/app", &state);
            if code == "5" { Ok(()) } else { Err(code) }
        });
    }
    // Not attached, not tied to another's processes; others exec into it.
    kubectl
        .run([
            "debug",
            "app",
            "--image=localhost/hello:2",
            "--container=own",
            "--",
            "sh",
            "-c",
            "echo here; sleep 1000",
        ])
        .ok();
    eventually("it runs", || {
        let path = "{.status.ephemeralContainerStatuses[?(@.name==\"own\")].state.running.startedAt}";
        let since = kubectl.value("pod/app", path);
        if since.is_empty() { Err(kubectl.ok("describe pod app")) } else { Ok(()) }
    });
    kubectl.until("logs app -c own", |seen| seen == "here\n");
    assert_eq!(kubectl.run(["exec", "app", "-c", "own", "--", "cat", "/etc/hello-version"]).ok(), "2\n");
    let alone = kubectl.run(["exec", "app", "-c", "own", "--", "ps"]).ok();
    assert!(!alone.contains("while true"), "{alone}");
    eventually("events name it", || {
        let events = kubectl.ok("get events -o wide");
        if events.contains("spec.ephemeralContainers{own}") { Ok(()) } else { Err(events) }
    });

    // The pod never depended on any of them.
    assert_eq!(kubectl.value("pod/app", "{.status.containerStatuses[0].restartCount}"), "0");
    assert_eq!(kubectl.value("pod/app", "{.status.phase}"), "Running");
    let lost = ["debug", "app", "--image=localhost/hello:2", "--container=lost", "--target=nobody", "--", "true"];
    assert!(kubectl.run(lost).fails().contains("targetContainerName"));
    kubectl.ok("delete pod app --timeout=120s");
}
