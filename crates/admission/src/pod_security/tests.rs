//! Levels and what they find, in upstream's words.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;
use policy::{Level, Version};

#[track_caller]
fn check(level: Level, minor: Option<u32>, spec: Value, expected: &str) {
    let standard = Standard { level, version: minor.map_or(Version::LATEST, Version) };
    let template = Template { annotations: &spec["annotations"], spec: &spec };
    let found = violations(standard, template).unwrap_or_default();
    let found = found.split_once("\": ").map_or("", |(_, found)| found);
    assert_eq!(found, expected);
}

fn container(context: Value) -> Value {
    json!({"containers": [{"name": "c", "securityContext": context}]})
}

#[test]
fn the_restricted_level_lists_all_that_is_missing() {
    use Level::Restricted;
    let bare = json!({"containers": [{"name": "c"}]});
    check(
        Restricted,
        None,
        bare.clone(),
        "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot \
         != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \
         \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
    );
    const ROOT: &str = "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)";
    check(Restricted, Some(0), bare, ROOT);
    check(Restricted, None, json!({"os": {"name": "windows"}, "containers": [{"name": "c"}]}), ROOT);
    let good = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    });
    check(Restricted, None, good.clone(), "");
    let mut root = good;
    root["securityContext"]["runAsUser"] = 0.into();
    root["containers"][0]["securityContext"]["runAsUser"] = 0.into();
    check(Restricted, None, root.clone(), "runAsUser=0 (pod and container \"c\" must not set runAsUser=0)");
    root["hostUsers"] = false.into();
    check(Restricted, None, root, "");
}

#[test]
fn the_baseline_refuses_the_host() {
    let spec = json!({
        "hostNetwork": true,
        "containers": [{"name": "c", "ports": [{"hostPort": 80}], "securityContext": {"privileged": true}}],
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
    });
    check(
        Level::Baseline,
        None,
        spec.clone(),
        "host namespaces (hostNetwork=true), hostPath volumes (volume \"v\"), hostPort (container \"c\" uses hostPort \
         80), privileged (container \"c\" must not set securityContext.privileged=true)",
    );
    check(Level::Privileged, None, spec, "");
}

#[test]
fn profiles_and_options_are_named() {
    use Level::Baseline;
    check(
        Baseline,
        None,
        container(json!({"seLinuxOptions": {"type": "foo_t", "user": "u"}})),
        "seLinuxOptions (container \"c\" set forbidden securityContext.seLinuxOptions: type \"foo_t\"; user may not be set)",
    );
    check(Baseline, Some(31), container(json!({"seLinuxOptions": {"type": "container_engine_t"}})), "");
    check(
        Baseline,
        None,
        container(json!({"seccompProfile": {"type": "Unconfined"}})),
        "seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
    );
    check(
        Baseline,
        None,
        container(json!({"appArmorProfile": {"type": "Unconfined"}})),
        "forbidden AppArmor profile (container \"c\" must not set AppArmor profile type to \"Unconfined\")",
    );
    check(
        Baseline,
        None,
        json!({"containers": [], "annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}}),
        "forbidden AppArmor profile (container.apparmor.security.beta.kubernetes.io/a=\"unconfined\")",
    );
}

#[test]
fn newer_checks_ask_newer_versions() {
    use Level::Baseline;
    let probe = json!({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "h"}}}]});
    check(Baseline, Some(33), probe.clone(), "");
    let found = "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"h\")";
    check(Baseline, Some(34), probe, found);
    let sysctls = json!({"containers": [], "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}});
    check(Baseline, None, sysctls.clone(), "");
    check(Baseline, Some(31), sysctls, "forbidden sysctls (net.ipv4.tcp_rmem)");
}

#[test]
fn an_update_counts_when_it_changes_what_runs() {
    let pod = |image: &str, seconds: u32| {
        let spec = json!({"containers": [{"name": "c", "image": image}], "activeDeadlineSeconds": seconds});
        Object::from_value(json!({"spec": spec})).unwrap()
    };
    assert!(!is_significant(&pod("a", 1), &pod("a", 2)));
    assert!(is_significant(&pod("a", 1), &pod("b", 1)));
}
