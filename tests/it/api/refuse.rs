//! Bad input: one clear answer that names the field and the value, and nothing is lost.

use super::{config_map, deployment, with_every_kubectl};

#[test]
fn bad_manifests_are_refused_by_name() {
    with_every_kubectl("refuse", |kubectl| {
        let refused = |manifest: &str, verb: &str| kubectl.run_with(manifest, [verb, "-f", "-"]).fails();
        let wrong = refused(&deployment("web", "web:1").replace("replicas: 2", "replcas: 2"), "apply");
        assert!(wrong.contains("strict decoding error: unknown field \"spec.replcas\""), "{wrong}");
        let wrong = refused(&deployment("web", "web:1").replace("replicas: 2", "replicas: many"), "apply");
        assert!(wrong.contains("replicas"), "{wrong}");
        let limits = "image: web:1\n          resources: {limits: {memory: lots}}";
        let wrong = refused(&deployment("web", "web:1").replace("image: web:1", limits), "apply");
        assert!(wrong.contains("quantities must match the regular expression"), "{wrong}");
        let wrong = refused(&deployment("web", "web:1").replace("replicas: 2", "replicas: -1"), "apply");
        assert!(wrong.contains("spec.replicas: Invalid value: -1: must be greater than or equal to 0"), "{wrong}");
        let wrong = refused(&config_map("Not_A_Name", "x", "1"), "apply");
        assert!(
            wrong.contains("metadata.name: Invalid value: \"Not_A_Name\": a lowercase RFC 1123 subdomain"),
            "{wrong}"
        );
        let wrong = refused(
            &deployment("web", "web:1").replace("matchLabels: {app: web}", "matchLabels: {app: other}"),
            "create",
        );
        assert!(wrong.contains("`selector` does not match template `labels`"), "{wrong}");
        let wrong = refused("apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: x}\n", "apply");
        assert!(wrong.contains("no matches for kind \"Thing\" in version \"example.org/v1\""), "{wrong}");
        kubectl.run(["get", "deploy,cm"]).says("No resources found");
    });
}

#[test]
fn what_may_not_change_does_not() {
    with_every_kubectl("refuse-change", |kubectl| {
        kubectl.apply(&(deployment("web", "web:1") + &config_map("a", "x", "1")));
        let taken = kubectl.run_with(&config_map("a", "x", "2"), ["create", "-f", "-"]).fails();
        assert!(
            taken.contains("Error from server (AlreadyExists)") && taken.contains("configmaps \"a\" already exists"),
            "{taken}"
        );
        let other = deployment("web", "web:1").replace("{app: web}", "{app: other}");
        let wrong = kubectl.run_with(&other, ["apply", "-f", "-"]).fails();
        assert!(wrong.contains("spec.selector: Invalid value:") && wrong.contains("field is immutable"), "{wrong}");
        kubectl.run(["patch", "cm", "a", "--type=merge", "-p", r#"{"immutable":true}"#]).ok();
        let wrong = kubectl.run(["patch", "cm", "a", "--type=merge", "-p", r#"{"data":{"key":"2"}}"#]).fails();
        assert!(wrong.contains("data: Forbidden: field is immutable when `immutable` is set"), "{wrong}");
        kubectl.ok("run one --image=web:1");
        let wrong = kubectl.run(["patch", "pod", "one", "-p", r#"{"spec":{"restartPolicy":"Never"}}"#]).fails();
        assert!(wrong.contains("pod updates may not change fields other than"), "{wrong}");
        kubectl.ok("create service clusterip s --tcp=80");
        let wrong = kubectl.run(["patch", "svc", "s", "-p", r#"{"spec":{"clusterIP":"10.96.250.250"}}"#]).fails();
        assert!(
            wrong.contains("spec.clusterIPs[0]: Invalid value:") && wrong.contains("may not change once set"),
            "{wrong}"
        );
        assert!(kubectl.fails("get nonsense").contains("the server doesn't have a resource type \"nonsense\""));
        assert!(kubectl.fails("get pods none").contains("pods \"none\" not found"));
        let gone =
            kubectl.in_namespace("no-such-place").run_with(&config_map("a", "x", "1"), ["create", "-f", "-"]).fails();
        assert!(gone.contains("namespaces \"no-such-place\" not found"), "{gone}");
    });
}
