//! `RoleBinding`: gives permissions to subjects in one namespace.

use api::rbac::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::names;
use crate::{Facts, Kind, Now, UpdateRules};
use apimachinery::field::ErrorList;

pub struct RoleBinding;

impl Kind for RoleBinding {
    type Object = v1::RoleBinding;

    const FACTS: Facts = Facts {
        group: "rbac.authorization.k8s.io",
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        definition: "io.k8s.api.rbac.v1.RoleBinding",
        storage: "rolebindings",
        name_rule: names::path_segment,
        update: UpdateRules { create_on_update: true, unconditional: true },
        columns: super::subject::BINDING_COLUMNS,
        ..Facts::NAMESPACED
    };

    fn default(binding: &mut v1::RoleBinding) {
        super::subject::default_binding(&mut binding.role_ref, &mut binding.subjects);
    }

    fn validate(binding: &v1::RoleBinding) -> ErrorList {
        super::validate::binding(&binding.role_ref, &binding.subjects, true)
    }

    fn validate_update(new: &v1::RoleBinding, old: &v1::RoleBinding) -> ErrorList {
        let mut errors = Self::validate(new);
        errors.extend(super::validate::same_role(&new.role_ref, &old.role_ref));
        errors
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        super::subject::binding_cells(object, now)
    }
}
