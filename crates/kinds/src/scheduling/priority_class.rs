//! `PriorityClass`: a name for how important a pod is.

use api::scheduling::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::rules;
use crate::{Column, Facts, Kind, Now};
use apimachinery::field::{Error, ErrorList, Path};

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
        class.global_default = class.global_default.filter(|set| *set);
    }

    fn validate(class: &v1::PriorityClass) -> ErrorList {
        let mut errors = ErrorList::new();
        let value = class.value.unwrap_or_default();
        let name = rules::text(&class.metadata.name);
        if name.starts_with("system-") {
            if let Err(why) = known_system_class(name, value, class.global_default == Some(true)) {
                let words = "priority class names with 'system-' prefix are reserved for system use only. error: ";
                let at = Path::new("metadata").child("name");
                errors.push(Error::forbidden(&at, format!("{words}{why}")));
            }
        } else if value > HIGHEST {
            let why = format!("maximum allowed value of a user defined priority is {HIGHEST}");
            errors.push(Error::forbidden(&Path::new("value"), why));
        }
        if let Some(policy) = &class.preemption_policy {
            rules::one_of(policy, &["PreemptLowerPriority", "Never"], &Path::new("preemptionPolicy"), &mut errors);
        }
        errors
    }

    fn validate_update(new: &v1::PriorityClass, old: &v1::PriorityClass) -> ErrorList {
        let mut errors = ErrorList::new();
        if new.value != old.value {
            errors.push(Error::forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        let path = Path::new("preemptionPolicy");
        rules::immutable(&new.preemption_policy, &old.preemption_policy, &path, &mut errors);
        errors
    }

    fn prepare_for_create(class: &mut v1::PriorityClass) {
        class.metadata.generation = Some(1);
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

/// Users' own classes may not go beyond this.
const HIGHEST: i32 = 1_000_000_000;
const SYSTEM_CLASSES: [(&str, i32); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

fn known_system_class(name: &str, value: i32, global_default: bool) -> Result<(), String> {
    let Some((_, known)) = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *known {
        return Err(format!("value of {name} PriorityClass must be {known}"));
    }
    if global_default {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}
