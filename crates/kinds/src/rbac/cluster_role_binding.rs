//! `ClusterRoleBinding`: gives permissions to subjects in the whole cluster.

use api::rbac::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::names;
use crate::{Facts, Kind, Now, UpdateRules};

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

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        super::subject::binding_cells(object, now)
    }
}
