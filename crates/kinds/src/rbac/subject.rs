//! Subjects of bindings: users, groups and service accounts, and how tables show them.

use api::rbac::v1::{RoleRef, Subject};
use apimachinery::Object;
use serde_json::Value;

use crate::core::pod_spec::defaults::set_text;
use crate::{Column, Now, print};

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) const BINDING_COLUMNS: &[Column] = &[
    Column::name(),
    Column::new("Role", "string", "The role that is given."),
    Column::age(),
    Column::wide("Users", "string", "Users who get the role."),
    Column::wide("Groups", "string", "Groups that get the role."),
    Column::wide("ServiceAccounts", "string", "Service accounts that get the role."),
];

pub(super) fn binding_cells(object: &Object, now: Now) -> Vec<Value> {
    let role = format!("{}/{}", print::text(object, &["roleRef", "kind"]), print::text(object, &["roleRef", "name"]));
    let subjects = |kind: &str| -> String {
        let named = |subject: &Value| match kind {
            "ServiceAccount" => {
                format!("{}/{}", print::str_in(subject, &["namespace"]), print::str_in(subject, &["name"]))
            }
            _ => print::str_in(subject, &["name"]).to_owned(),
        };
        let of_kind = print::list(object, &["subjects"]).iter().filter(|s| print::str_in(s, &["kind"]) == kind);
        of_kind.map(named).collect::<Vec<_>>().join(", ")
    };
    cells![
        print::name(object),
        role,
        print::age(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

/// Roles, users and groups are this group's matter; service accounts are the core group's.
pub(super) fn default_binding(role_ref: &mut RoleRef, subjects: &mut Option<Vec<Subject>>) {
    set_text(&mut role_ref.api_group, GROUP);
    for subject in subjects.iter_mut().flatten() {
        if matches!(subject.kind.as_str(), "User" | "Group") {
            set_text(&mut subject.api_group, GROUP);
        }
    }
}
