//! Bindings to users, groups and service accounts, in the cluster and in a namespace.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

fn index() -> Rbac {
    let rbac = Rbac::new();
    rbac.put(
        RbacKind::ClusterRole,
        &object(json!({"metadata": {"name": "reader"},
            "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]})),
    );
    rbac.put(
        RbacKind::RoleBinding,
        &object(json!({"metadata": {"name": "b", "namespace": "n"},
            "subjects": [{"kind": "ServiceAccount", "name": "s", "namespace": "n"}, {"kind": "Group", "name": "g"}],
            "roleRef": {"kind": "ClusterRole", "name": "reader"}})),
    );
    rbac
}

fn list_pods(user: &UserInfo, namespace: &str) -> Attributes {
    Attributes { namespace: namespace.to_owned(), ..Attributes::resource(user, "list", "", "pods") }
}

#[test]
fn a_binding_grants_in_its_namespace_only() {
    let rbac = index();
    let account = UserInfo::service_account("n", "s");
    assert_eq!(
        rbac.authorize(&list_pods(&account, "n")),
        Decision::Allow(
            "RBAC: allowed by RoleBinding \"b/n\" of ClusterRole \"reader\" to ServiceAccount \"s/n\"".to_owned()
        )
    );
    assert!(!rbac.authorize(&list_pods(&account, "m")).allows());
    assert!(!rbac.authorize(&list_pods(&account, "")).allows());
    assert!(!rbac.authorize(&list_pods(&UserInfo::new("other", &[]), "n")).allows());
    assert!(rbac.authorize(&list_pods(&UserInfo::new("other", &["g"]), "n")).allows());
}

#[test]
fn what_is_deleted_or_changed_no_longer_grants() {
    let rbac = index();
    let user = UserInfo::new("u", &["g"]);
    rbac.put(
        RbacKind::RoleBinding,
        &object(json!({"metadata": {"name": "b", "namespace": "n"}, "subjects": [{"kind": "User", "name": "u"}],
            "roleRef": {"kind": "ClusterRole", "name": "reader"}})),
    );
    assert!(!rbac.authorize(&list_pods(&UserInfo::new("other", &["g"]), "n")).allows());
    assert!(rbac.authorize(&list_pods(&user, "n")).allows());
    rbac.delete(RbacKind::ClusterRole, "", "reader");
    assert!(!rbac.authorize(&list_pods(&user, "n")).allows());
    assert_eq!(rbac.rules_for(&user, "n").1, ["clusterroles.rbac.authorization.k8s.io \"reader\" not found"]);
    rbac.delete(RbacKind::RoleBinding, "n", "b");
    assert!(rbac.index.read().unwrap().by_subject.is_empty());
}
