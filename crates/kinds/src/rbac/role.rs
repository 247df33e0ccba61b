//! `Role`: permissions in one namespace.

use api::rbac::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::{Facts, Kind, Now, UpdateRules};
use crate::{names, print};
use apimachinery::field::ErrorList;

pub struct Role;

impl Kind for Role {
    type Object = v1::Role;

    const FACTS: Facts = Facts {
        group: "rbac.authorization.k8s.io",
        kind: "Role",
        plural: "roles",
        singular: "role",
        definition: "io.k8s.api.rbac.v1.Role",
        storage: "roles",
        name_rule: names::path_segment,
        update: UpdateRules { create_on_update: true, unconditional: true },
        ..Facts::NAMESPACED
    };

    fn validate(role: &v1::Role) -> ErrorList {
        super::validate::policy_rules(&role.rules, true)
    }

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
