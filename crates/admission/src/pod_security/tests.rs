//! Levels and what they find, in upstream's words.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

fn namespace(mode: &str, level: &str) -> Object {
    let label = format!("{PREFIX}{mode}");
    Object::from_value(json!({"metadata": {"name": "n", "labels": {label: level}}})).unwrap()
}

#[test]
fn the_restricted_level_lists_all_that_is_missing() {
    let spec = json!({"containers": [{"name": "c"}]});
    assert_eq!(
        violations(&namespace("enforce", "restricted"), "enforce", &spec).unwrap(),
        "PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set \
         securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set \
         securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
         securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    let good = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    });
    assert_eq!(violations(&namespace("enforce", "restricted"), "enforce", &good), None);
}

#[test]
fn the_baseline_refuses_the_host() {
    let spec = json!({
        "hostNetwork": true,
        "containers": [{"name": "c", "ports": [{"hostPort": 80}], "securityContext": {"privileged": true}}],
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
    });
    assert_eq!(
        violations(&namespace("warn", "baseline"), "warn", &spec).unwrap(),
        "PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true), hostPath volumes (volume \"v\"), hostPort \
         (container \"c\" uses hostPort 80), privileged (container \"c\" must not set securityContext.privileged=true)"
    );
    assert_eq!(violations(&namespace("enforce", "privileged"), "enforce", &spec), None);
    assert_eq!(violations(&namespace("enforce", "baseline"), "warn", &spec), None);
}
