//! `RoleBinding`: gives permissions to subjects in one namespace.

use api::rbac::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::names;
use crate::{Facts, Kind, Now, UpdateRules};

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

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        super::subject::binding_cells(object, now)
    }
}
