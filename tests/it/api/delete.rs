//! `delete`: cascades, grace, selectors, finalizers.

use super::{config_map, deployment, with_every_kubectl};

#[test]
fn deleted_objects_are_gone() {
    with_every_kubectl("delete", |kubectl| {
        kubectl.apply(&(config_map("a", "x", "1") + &config_map("b", "x", "1") + &config_map("c", "y", "1")));
        let said = kubectl.ok("delete cm -l app=x");
        assert!(said.contains("configmap \"a\" deleted") && said.contains("configmap \"b\" deleted"), "{said}");
        assert_eq!(kubectl.ok("get cm -o name"), "configmap/c\n");
        assert!(kubectl.fails("delete cm a").contains("configmaps \"a\" not found"));
        assert_eq!(kubectl.ok("delete cm a --ignore-not-found"), "");
        let dry = kubectl.ok("delete cm c --dry-run=server");
        assert!(dry.contains("(server dry run)"), "{dry}");
        kubectl.ok("get cm c");
        kubectl.run_with(&config_map("c", "y", "1"), ["delete", "-f", "-"]).ok();
        kubectl.apply(&(config_map("d", "x", "1") + &config_map("e", "x", "1")));
        kubectl.ok("delete cm --all");
        kubectl.run(["get", "cm"]).says("No resources found");
    });
}

#[test]
fn cascades_leave_work_for_the_garbage_collector() {
    with_every_kubectl("delete-cascade", |kubectl| {
        for (name, mode, finalizers) in
            [("fore", "foreground", r#"["foregroundDeletion"]"#), ("orphan", "orphan", r#"["orphan"]"#)]
        {
            kubectl.apply(&deployment(name, "web:1"));
            kubectl.ok(&format!("delete deploy {name} --cascade={mode} --wait=false"));
            assert_eq!(kubectl.value(&format!("deploy/{name}"), "{.metadata.finalizers}"), finalizers);
            assert_ne!(kubectl.value(&format!("deploy/{name}"), "{.metadata.deletionTimestamp}"), "");
            kubectl.run(["patch", "deploy", name, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]).ok();
            assert!(kubectl.fails(&format!("get deploy {name}")).contains("not found"));
        }
        kubectl.apply(&deployment("back", "web:1"));
        kubectl.ok("delete deploy back --cascade=background");
        assert!(kubectl.fails("get deploy back").contains("deployments.apps \"back\" not found"));
    });
}

#[test]
fn a_pod_nobody_runs_needs_no_grace() {
    with_every_kubectl("delete-grace", |kubectl| {
        kubectl.ok("run quick --image=web:1");
        kubectl.ok("delete pod quick --grace-period=20");
        kubectl.run(["get", "pods"]).says("No resources found");
        kubectl.ok("run quick --image=web:1");
        let forced = kubectl.run(["delete", "pod", "quick", "--force", "--grace-period=0"]).says("Immediate deletion");
        assert!(forced.ok().contains("pod \"quick\" force deleted"));
        kubectl.run(["get", "pods"]).says("No resources found");
    });
}

#[test]
fn finalizers_hold_and_wait_sees_the_end() {
    with_every_kubectl("delete-wait", |kubectl| {
        kubectl.apply(&config_map("held", "x", "1"));
        kubectl
            .run(["patch", "cm", "held", "--type=merge", "-p", r#"{"metadata":{"finalizers":["example.org/hold"]}}"#])
            .ok();
        kubectl.ok("delete cm held --wait=false");
        assert_ne!(kubectl.value("cm/held", "{.metadata.deletionTimestamp}"), "");
        kubectl.run(["wait", "cm/held", "--for=delete", "--timeout=100ms"]).says("timed out waiting for the condition");
        let waiting = kubectl.command(["wait", "cm/held", "--for=delete", "--timeout=120s"]).spawn().unwrap();
        kubectl.run(["patch", "cm", "held", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]).ok();
        assert!(waiting.wait_with_output().unwrap().status.success());
    });
}
