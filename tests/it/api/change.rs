//! `apply` (by the client and by the server), `diff`, `edit`, `patch`, `label`, `annotate`, `replace`.

use std::os::unix::fs::PermissionsExt;

use super::{config_map, deployment, shared, with_every_kubectl};

#[test]
fn apply_creates_changes_and_leaves_alone() {
    with_every_kubectl("change-apply", |kubectl| {
        assert_eq!(kubectl.apply(&config_map("a", "x", "1")), "configmap/a created\n");
        assert_eq!(kubectl.apply(&config_map("a", "x", "1")), "configmap/a unchanged\n");
        assert_eq!(kubectl.apply(&config_map("a", "x", "2")), "configmap/a configured\n");
        assert_eq!(kubectl.value("cm/a", "{.data.key}"), "2");

        kubectl.apply(&deployment("web", "web:1"));
        kubectl.ok("scale deploy web --replicas=5");
        let version = kubectl.value("deploy/web", "{.metadata.resourceVersion}");
        // A change of one field keeps what others wrote in fields the manifest does not name.
        kubectl.ok("annotate deploy web note=mine");
        let said = kubectl.apply(&deployment("web", "web:2"));
        assert_eq!(said, "deployment.apps/web configured\n");
        assert_ne!(kubectl.value("deploy/web", "{.metadata.resourceVersion}"), version);
        assert_eq!(kubectl.value("deploy/web", "{.metadata.annotations.note}"), "mine");
        assert_eq!(kubectl.value("deploy/web", "{.spec.template.spec.containers[*].image}"), "web:2");
        // Created, scaled, annotated, applied: a Deployment's annotations count.
        assert_eq!(kubectl.value("deploy/web", "{.metadata.generation}"), "4");
    });
}

#[test]
fn server_side_apply_knows_who_owns_what() {
    with_every_kubectl("change-ssa", |kubectl| {
        let apply = |manifest: &str, flags: &str| {
            let line = format!("apply --server-side -f - {flags}");
            kubectl.run_with(manifest, line.split_whitespace())
        };
        assert_eq!(apply(&config_map("a", "x", "1"), "").ok(), "configmap/a serverside-applied\n");
        let conflict = apply(&config_map("a", "x", "2"), "--field-manager=other").fails();
        assert!(conflict.contains("conflict with \"kubectl\": .data.key"), "{conflict}");
        apply(&config_map("a", "x", "2"), "--field-manager=other --force-conflicts").ok();
        assert_eq!(kubectl.value("cm/a", "{.data.key}"), "2");
        let managers = kubectl.run(["get", "cm", "a", "--show-managed-fields", "-o", "json"]).json();
        let managers = managers["metadata"]["managedFields"].as_array().unwrap().clone();
        let names: Vec<_> = managers.iter().map(|m| m["manager"].as_str().unwrap()).collect();
        assert_eq!(names, ["kubectl", "other"]);
        assert!(managers.iter().all(|m| m["operation"] == "Apply"), "{managers:?}");
        // A field that its only owner no longer applies is gone.
        apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "--field-manager=other").ok();
        assert_eq!(kubectl.value("cm/a", "{.data}"), "");
        assert_eq!(
            apply(&config_map("dry", "x", "1"), "--dry-run=server").ok(),
            "configmap/dry serverside-applied (server dry run)\n"
        );
        assert!(kubectl.fails("get cm dry").contains("configmaps \"dry\" not found"));
    });
}

#[test]
fn diff_shows_what_apply_would_do() {
    with_every_kubectl("change-diff", |kubectl| {
        kubectl.apply(&deployment("web", "web:1"));
        let none = kubectl.run_with(&deployment("web", "web:1"), ["diff", "-f", "-"]);
        assert!(none.is_success() && none.stdout.is_empty(), "{none}");
        for flags in ["", "--server-side --force-conflicts"] {
            let line = format!("diff {flags} -f -");
            let diff = kubectl.run_with(&deployment("web", "web:2"), line.split_whitespace());
            assert_eq!(diff.status.code(), Some(1), "{diff}");
            let changed: Vec<&str> =
                diff.stdout.lines().filter(|l| l.contains("image:")).map(str::trim_start).collect();
            assert_eq!(changed.len(), 2, "{diff}");
            assert!(changed[0].starts_with('-') && changed[0].ends_with("web:1"), "{diff}");
            assert!(changed[1].starts_with('+') && changed[1].ends_with("web:2"), "{diff}");
        }
        assert_eq!(kubectl.value("deploy/web", "{.spec.template.spec.containers[0].image}"), "web:1");
    });
}

#[test]
fn an_editor_edits() {
    let server = shared();
    let editor = server.folder().join("editor.sh");
    std::fs::write(&editor, "#!/bin/sh\nsed -i 's/key: before/key: after/' \"$1\"\n").unwrap();
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    with_every_kubectl("change-edit", |kubectl| {
        kubectl.apply(&config_map("a", "x", "before"));
        let kubectl = kubectl.with_editor(&editor);
        assert_eq!(kubectl.ok("edit cm a"), "configmap/a edited\n");
        assert_eq!(kubectl.value("cm/a", "{.data.key}"), "after");
        kubectl.run(["edit", "cm", "a"]).says("Edit cancelled, no changes made.");
    });
}

#[test]
fn patches_of_every_type_are_merged() {
    with_every_kubectl("change-patch", |kubectl| {
        kubectl.apply(&deployment("web", "web:1"));
        let patch = |kind: &str, patch: &str| kubectl.run(["patch", "deploy", "web", "--type", kind, "-p", patch]);
        let side = r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"side:1"}]}}}}"#;
        assert_eq!(patch("strategic", side).ok(), "deployment.apps/web patched\n");
        assert_eq!(kubectl.value("deploy/web", "{.spec.template.spec.containers[*].name}"), "side main");
        assert_eq!(patch("strategic", side).ok(), "deployment.apps/web patched (no change)\n");
        patch("merge", r#"{"spec":{"replicas":7},"metadata":{"labels":{"app":null}}}"#).ok();
        assert_eq!(kubectl.value("deploy/web", "{.spec.replicas}{.metadata.labels.app}"), "7");
        patch(
            "json",
            r#"[{"op":"test","path":"/spec/replicas","value":7},{"op":"replace","path":"/spec/replicas","value":8}]"#,
        )
        .ok();
        assert_eq!(kubectl.value("deploy/web", "{.spec.replicas}"), "8");
        patch("json", r#"[{"op":"test","path":"/spec/replicas","value":7}]"#).fails();
        let whole =
            patch("merge", r#"{"spec":{"template":{"spec":{"containers":[{"name":"only","image":"only:1"}]}}}}"#);
        whole.ok();
        assert_eq!(kubectl.value("deploy/web", "{.spec.template.spec.containers[*].name}"), "only");
        kubectl
            .run(["patch", "deploy", "web", "--subresource=scale", "--type=merge", "-p", r#"{"spec":{"replicas":3}}"#])
            .ok();
        assert_eq!(kubectl.value("deploy/web", "{.spec.replicas}"), "3");
    });
}

#[test]
fn labels_and_annotations_are_set_and_removed() {
    with_every_kubectl("change-label", |kubectl| {
        kubectl.apply(&config_map("a", "x", "1"));
        assert_eq!(kubectl.ok("label cm a tier=front"), "configmap/a labeled\n");
        let taken = kubectl.fails("label cm a tier=back");
        assert!(taken.contains("'tier' already has a value (front), and --overwrite is false"), "{taken}");
        kubectl.ok("label cm a tier=back --overwrite");
        assert_eq!(kubectl.value("cm/a", "{.metadata.labels.tier}"), "back");
        assert_eq!(kubectl.ok("label cm a tier-"), "configmap/a unlabeled\n");
        assert_eq!(kubectl.value("cm/a", "{.metadata.labels.tier}"), "");
        assert!(kubectl.ok("annotate cm a who=me").starts_with("configmap/a annotate"));
        assert_eq!(kubectl.value("cm/a", "{.metadata.annotations.who}"), "me");
        kubectl.ok("annotate cm a who-");
        assert_eq!(kubectl.value("cm/a", "{.metadata.annotations.who}"), "");
    });
}

#[test]
fn replace_needs_what_was_read() {
    with_every_kubectl("change-replace", |kubectl| {
        kubectl.run_with(&config_map("a", "x", "1"), ["create", "-f", "-"]).ok();
        let read = kubectl.ok("get cm a -o yaml");
        kubectl.ok("label cm a more=yes");
        let stale = kubectl.run_with(&read, ["replace", "-f", "-"]).fails();
        assert!(
            stale.contains(
                "the object has been modified; please apply your changes to the latest version and try again"
            ),
            "{stale}"
        );
        let fresh = kubectl.ok("get cm a -o yaml").replace("key: \"1\"", "key: two");
        assert_eq!(kubectl.run_with(&fresh, ["replace", "-f", "-"]).ok(), "configmap/a replaced\n");
        assert_eq!(kubectl.value("cm/a", "{.data.key}"), "two");
    });
}
