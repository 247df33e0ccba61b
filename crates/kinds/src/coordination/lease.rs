//! `Lease`: who holds something, and since when; renewed every few seconds.

use api::coordination::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Column, Facts, Kind, Now, UpdateRules};

pub struct Lease;

impl Kind for Lease {
    type Object = v1::Lease;

    const FACTS: Facts = Facts {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        definition: "io.k8s.api.coordination.v1.Lease",
        storage: "leases",
        relaxed: true,
        update: UpdateRules { create_on_update: true, unconditional: false },
        columns: &[Column::name(), Column::new("Holder", "string", "Who holds the lease at present."), Column::age()],
        ..Facts::NAMESPACED
    };

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        cells![print::name(object), print::text(object, &["spec", "holderIdentity"]), print::age(object, now)]
    }
}
