//! Rules and bindings of both scopes.

use api::rbac::v1::{PolicyRule, RoleRef, Subject};
use apimachinery::field::{Error, ErrorList, Path};

use super::subject::GROUP;
use crate::{names, rules};

pub(super) fn policy_rules(policy_rules: &Option<Vec<PolicyRule>>, namespaced: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, rule) in rules::slice(policy_rules).iter().enumerate() {
        policy_rule(rule, namespaced, &Path::new("rules").index(index), &mut errors);
    }
    errors
}

fn policy_rule(rule: &PolicyRule, namespaced: bool, path: &Path, errors: &mut ErrorList) {
    if rule.verbs.is_empty() {
        errors.push(Error::required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    let (groups, resources) = (rules::slice(&rule.api_groups), rules::slice(&rule.resources));
    let urls = rules::slice(&rule.non_resource_urls);
    if !urls.is_empty() {
        let mut refuse = |why: &str| errors.push(Error::invalid(&path.child("nonResourceURLs"), urls.to_vec(), why));
        if namespaced {
            refuse("namespaced rules cannot apply to non-resource URLs");
        }
        if !groups.is_empty() || !resources.is_empty() || !rules::slice(&rule.resource_names).is_empty() {
            refuse("rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if groups.is_empty() {
        errors.push(Error::required(&path.child("apiGroups"), "resource rules must supply at least one api group"));
    }
    if resources.is_empty() {
        errors.push(Error::required(&path.child("resources"), "resource rules must supply at least one resource"));
    }
}

pub(super) fn binding(role: &RoleRef, subjects: &Option<Vec<Subject>>, namespaced: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("roleRef");
    let group = rules::text(&role.api_group);
    rules::one_of(group, &[GROUP], &path.child("apiGroup"), &mut errors);
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    rules::one_of(&role.kind, kinds, &path.child("kind"), &mut errors);
    match role.name.as_str() {
        "" => errors.push(Error::required(&path.child("name"), "")),
        name => rules::invalid_each(name, names::path_segment(name, false), &path.child("name"), &mut errors),
    }
    for (index, one) in rules::slice(subjects).iter().enumerate() {
        subject(one, namespaced, &Path::new("subjects").index(index), &mut errors);
    }
    errors
}

fn subject(subject: &Subject, namespaced: bool, path: &Path, errors: &mut ErrorList) {
    rules::required(&subject.name, &path.child("name"), errors);
    let group = rules::text(&subject.api_group);
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty() {
                rules::subdomain(&subject.name, &path.child("name"), errors);
            }
            rules::one_of(group, &[""], &path.child("apiGroup"), errors);
            if !namespaced {
                rules::required(rules::text(&subject.namespace), &path.child("namespace"), errors);
            }
        }
        "User" | "Group" => rules::one_of(group, &[GROUP], &path.child("apiGroup"), errors),
        other => errors.push(Error::not_supported(&path.child("kind"), other, &["ServiceAccount", "User", "Group"])),
    }
}

/// What a binding gives stays; a new binding gives something else.
pub(super) fn same_role(new: &RoleRef, old: &RoleRef) -> ErrorList {
    if new == old {
        return ErrorList::new();
    }
    let value = serde_json::to_value(new).unwrap_or_default();
    Error::invalid(&Path::new("roleRef"), value, "cannot change roleRef").into()
}
