//! `ClusterRoleBinding`: gives permissions to subjects in the whole cluster.

use api::rbac::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::names;
use crate::{Facts, Kind, Now, UpdateRules};
use apimachinery::field::ErrorList;

pub struct ClusterRoleBinding;

impl Kind for ClusterRoleBinding {
    type Object = v1::ClusterRoleBinding;

    const FACTS: Facts = Facts {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        definition: "io.k8s.api.rbac.v1.ClusterRoleBinding",
        storage: "clusterrolebindings",
        name_rule: names::path_segment,
        update: UpdateRules { create_on_update: true, unconditional: true },
        columns: super::subject::BINDING_COLUMNS,
        ..Facts::CLUSTER
    };

    fn default(binding: &mut v1::ClusterRoleBinding) {
        super::subject::default_binding(&mut binding.role_ref, &mut binding.subjects);
    }

    fn validate(binding: &v1::ClusterRoleBinding) -> ErrorList {
        super::validate::binding(&binding.role_ref, &binding.subjects, false)
    }

    fn validate_update(new: &v1::ClusterRoleBinding, old: &v1::ClusterRoleBinding) -> ErrorList {
        let mut errors = Self::validate(new);
        errors.extend(super::validate::same_role(&new.role_ref, &old.role_ref));
        errors
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        super::subject::binding_cells(object, now)
    }
}
