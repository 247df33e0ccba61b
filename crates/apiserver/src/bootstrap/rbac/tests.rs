//! The policy is whole, reconciling it settles, and additions survive.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use super::*;

fn find(resource: &str, name: &str) -> Object {
    defaults().into_iter().find(|d| d.resource == resource && d.object.name() == name).unwrap().object
}

#[test]
fn names_are_unique_and_bindings_refer_to_roles() {
    let all = defaults();
    let keys: HashSet<(&str, &str, &str)> =
        all.iter().map(|d| (d.resource, d.object.namespace(), d.object.name())).collect();
    assert_eq!(keys.len(), all.len());
    for d in &all {
        let Some(role) = d.object.get_str(&["roleRef", "name"]) else { continue };
        let (resource, namespace) =
            if d.resource == "rolebindings" { ("roles", d.object.namespace()) } else { ("clusterroles", "") };
        assert!(keys.contains(&(resource, namespace, role)), "{role}");
    }
}

#[test]
fn rules_are_sorted_as_upstream_serves_them() {
    let role = find("clusterroles", "system:controller:replicaset-controller");
    assert_eq!(
        role.get(&["rules"]).unwrap()[0],
        json!({"verbs": ["get", "list", "update", "watch"], "apiGroups": ["apps", "extensions"], "resources": ["replicasets"]})
    );
}

#[test]
fn aggregated_roles_hold_their_parts() {
    let rules = |name| rbac::rules_of(&find("clusterroles", name));
    assert!(auth::uncovered(&rules("edit"), &rules("view")).is_empty());
    assert!(auth::uncovered(&rules("admin"), &rules("edit")).is_empty());
    assert!(!auth::uncovered(&rules("view"), &rules("edit")).is_empty());
}

#[test]
fn a_second_look_changes_nothing_and_additions_stay() {
    for d in defaults() {
        assert_eq!(repair(&d.object, &d.object), Repair::Nothing);
    }
    let wanted = find("clusterrolebindings", "system:discovery");
    let mut changed = wanted.clone();
    changed.set(&["subjects"], json!([{"kind": "User", "apiGroup": rbac::GROUP, "name": "u"}]));
    let Repair::Update(repaired) = repair(&changed, &wanted) else { panic!("it lacks a subject") };
    assert_eq!(rbac::subjects_of(&repaired).len(), 2);
    assert_eq!(repair(&repaired, &wanted), Repair::Nothing);
    let mut kept = changed.clone();
    kept.set(&["metadata", "annotations", AUTOUPDATE], "false");
    assert_eq!(repair(&kept, &wanted), Repair::Nothing);
}

#[test]
fn missing_rules_are_added() {
    let wanted = find("clusterroles", "system:node-proxier");
    let mut less = wanted.clone();
    less.set(&["rules"], json!([{"verbs": ["get"], "apiGroups": ["x"], "resources": ["y"]}]));
    let Repair::Update(repaired) = repair(&less, &wanted) else { panic!("it lacks rules") };
    assert_eq!(rbac::rules_of(&repaired)[0].resources, ["y"]);
    assert!(auth::uncovered(&rbac::rules_of(&repaired), &rbac::rules_of(&wanted)).is_empty());
}
