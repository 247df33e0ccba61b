//! `ClusterRole`: permissions in the whole cluster.

use api::rbac::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::{Facts, Kind, Now, UpdateRules};
use crate::{names, print};

pub struct ClusterRole;

impl Kind for ClusterRole {
    type Object = v1::ClusterRole;

    const FACTS: Facts = Facts {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        definition: "io.k8s.api.rbac.v1.ClusterRole",
        storage: "clusterroles",
        name_rule: names::path_segment,
        update: UpdateRules { create_on_update: true, unconditional: true },
        ..Facts::CLUSTER
    };

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
