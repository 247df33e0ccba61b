//! `PriorityClass`: a name for how important a pod is.

use api::scheduling::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Column, Facts, Kind, Now};

pub struct PriorityClass;

impl Kind for PriorityClass {
    type Object = v1::PriorityClass;

    const FACTS: Facts = Facts {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        plural: "priorityclasses",
        singular: "priorityclass",
        short_names: &["pc"],
        definition: "io.k8s.api.scheduling.v1.PriorityClass",
        storage: "priorityclasses",
        generation: true,
        columns: &[
            Column::name(),
            Column::new("Value", "integer", "The priority pods of this class get; larger is more important."),
            Column::new("Global-Default", "boolean", "Whether pods that name no class get this one."),
            Column::age(),
            Column::wide("PreemptionPolicy", "string", "Whether pods of this class may displace others."),
        ],
        ..Facts::CLUSTER
    };

    fn default(class: &mut v1::PriorityClass) {
        class.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
        class.value.get_or_insert_default();
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        cells![
            print::name(object),
            print::number(object, &["value"]),
            print::flag(object, &["globalDefault"]),
            print::age(object, now),
            print::text(object, &["preemptionPolicy"]),
        ]
    }
}
