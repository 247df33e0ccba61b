//! Who may do what at boot: upstream's default roles and bindings, and how they are reconciled with what an
//! administrator made of them. Change a default in the tables of the modules below.
//!
//! The rules of the aggregated roles (admin, edit, view) are computed here at every start, so that they hold before
//! the controller runs that goes on from there.

mod cluster;
mod controllers;
mod namespaced;
mod policy;

use apimachinery::Object;
use auth::{Rule, rbac};
use serde_json::{Value, json};

use cluster::S;
use policy::{R, Role};

const BOOTSTRAPPING_LABEL: &str = "kubernetes.io/bootstrapping";
/// Whoever sets this to `false` on a default keeps it as he changed it.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const AGGREGATE_PREFIX: &str = "rbac.authorization.k8s.io/aggregate-to-";
const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const CONTROLLER_PREFIX: &str = "system:controller:";

/// An object of the default policy: its resource's plural, and itself.
pub(crate) struct Default {
    pub resource: &'static str,
    pub object: Object,
}

/// What every node may do, for the node authorizer.
pub(crate) fn node_rules() -> Vec<Rule> {
    cluster::NODE.iter().map(R::rule).collect()
}

/// All defaults, roles before the bindings that refer to them.
pub(crate) fn defaults() -> Vec<Default> {
    let mut defaults: Vec<Default> = cluster_roles().into_iter().map(|o| of("clusterroles", o)).collect();
    for (namespace, role) in namespaced::ROLES {
        defaults.push(of("roles", role_object("Role", role, role.name, Some(namespace))));
    }
    for (name, role, subjects) in cluster::BINDINGS {
        defaults
            .push(of("clusterrolebindings", binding("ClusterRoleBinding", name, None, "ClusterRole", role, subjects)));
    }
    for role in controllers::ROLES {
        let name = format!("{CONTROLLER_PREFIX}{}", role.name);
        let subjects = [S::Account(role.name)];
        defaults.push(of(
            "clusterrolebindings",
            binding("ClusterRoleBinding", &name, None, "ClusterRole", &name, &subjects),
        ));
    }
    for (namespace, name, role, subjects) in namespaced::BINDINGS {
        defaults.push(of("rolebindings", binding("RoleBinding", name, Some(namespace), "Role", role, subjects)));
    }
    defaults
}

fn of(resource: &'static str, object: Object) -> Default {
    Default { resource, object }
}

fn cluster_roles() -> Vec<Object> {
    let mut roles: Vec<Object> =
        cluster::ROLES.iter().map(|role| role_object("ClusterRole", role, role.name, None)).collect();
    for role in controllers::ROLES {
        roles.push(role_object("ClusterRole", role, &format!("{CONTROLLER_PREFIX}{}", role.name), None));
    }
    // Thrice, because view is part of edit and edit of admin.
    for _ in 0..3 {
        let others = roles.clone();
        for role in &mut roles {
            if let Some(rules) = auth::aggregate(role, others.iter()) {
                role.set(&["rules"], rules_value(&rules));
            }
        }
    }
    roles
}

fn rules_value(rules: &[Rule]) -> Value {
    serde_json::to_value(rules).expect("rules always serialize")
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {BOOTSTRAPPING_LABEL: "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn object(value: Value) -> Object {
    Object::from_value(value).expect("it was written as an object")
}

fn role_object(kind: &str, role: &Role, name: &str, namespace: Option<&str>) -> Object {
    let mut metadata = metadata(name, namespace);
    if let Some(part_of) = role.aggregate_to {
        metadata["labels"][format!("{AGGREGATE_PREFIX}{part_of}")] = "true".into();
    }
    let mut value =
        json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "rules": rules_value(&role.rules())});
    if let Some(aggregates) = role.aggregates {
        let label = format!("{AGGREGATE_PREFIX}{aggregates}");
        value["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    }
    object(value)
}

fn binding(kind: &str, name: &str, namespace: Option<&str>, role_kind: &str, role: &str, subjects: &[S]) -> Object {
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|subject| match subject {
            S::User(name) => json!({"kind": "User", "apiGroup": rbac::GROUP, "name": name}),
            S::Group(name) => json!({"kind": "Group", "apiGroup": rbac::GROUP, "name": name}),
            S::Account(name) => json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}),
        })
        .collect();
    let mut value = json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata(name, namespace),
        "roleRef": {"apiGroup": rbac::GROUP, "kind": role_kind, "name": role},
    });
    if !subjects.is_empty() {
        value["subjects"] = subjects.into();
    }
    object(value)
}

/// What has to be done about a default of which `existing` is there.
#[derive(Debug, PartialEq)]
pub(crate) enum Repair {
    Nothing,
    /// Write this in its place.
    Update(Object),
    /// A binding's role cannot be changed: delete it and make it anew.
    Recreate,
}

/// Adds what is missing and takes nothing away, unless the object says it is to be left alone.
pub(crate) fn repair(existing: &Object, wanted: &Object) -> Repair {
    if existing.annotation(AUTOUPDATE).is_some_and(|value| value == "false") {
        return Repair::Nothing;
    }
    if existing.get(&["roleRef"]) != wanted.get(&["roleRef"]) {
        return Repair::Recreate;
    }
    let mut repaired = existing.clone();
    for field in ["labels", "annotations"] {
        for (key, value) in wanted.get(&["metadata", field]).and_then(Value::as_object).into_iter().flatten() {
            if existing.get(&["metadata", field, key]).is_none() {
                repaired.set(&["metadata", field, key], value.clone());
            }
        }
    }
    if wanted.get(&["aggregationRule"]).is_some() {
        repaired.set(&["aggregationRule"], wanted.get(&["aggregationRule"]).cloned().unwrap_or_default());
    }
    let (held, needed) = (rbac::rules_of(existing), rbac::rules_of(wanted));
    let missing = auth::compact_rules(auth::uncovered(&held, &needed));
    if !missing.is_empty() {
        repaired.set(&["rules"], rules_value(&held.into_iter().chain(missing).collect::<Vec<_>>()));
    }
    add_subjects(&mut repaired, existing, wanted);
    if repaired == *existing { Repair::Nothing } else { Repair::Update(repaired) }
}

fn add_subjects(repaired: &mut Object, existing: &Object, wanted: &Object) {
    let known = rbac::subjects_of(existing);
    let wanted_subjects = wanted.get(&["subjects"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let missing: Vec<Value> = wanted_subjects
        .into_iter()
        .zip(rbac::subjects_of(wanted))
        .filter(|(_, subject)| !known.contains(subject))
        .map(|(value, _)| value)
        .collect();
    if !missing.is_empty() {
        let mut all = existing.get(&["subjects"]).and_then(Value::as_array).cloned().unwrap_or_default();
        all.extend(missing);
        repaired.set(&["subjects"], all);
    }
}

#[cfg(test)]
mod tests;
