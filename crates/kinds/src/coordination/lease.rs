//! `Lease`: who holds something, and since when; renewed every few seconds.

use api::coordination::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::rules;
use crate::{Column, Facts, Kind, Now, UpdateRules};
use apimachinery::field::{Error, ErrorList, Path};

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

    fn validate(lease: &v1::Lease) -> ErrorList {
        let mut errors = ErrorList::new();
        let Some(spec) = &lease.spec else { return errors };
        let path = Path::new("spec");
        if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            errors.push(Error::invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
        }
        let transitions = spec.lease_transitions.unwrap_or_default();
        rules::not_negative(transitions.into(), &path.child("leaseTransitions"), &mut errors);
        if let Some(strategy) = &spec.strategy {
            rules::qualified_name(strategy, &path.child("strategy"), &mut errors);
        }
        if !rules::text(&spec.preferred_holder).is_empty() && rules::text(&spec.strategy).is_empty() {
            let why = "may only be specified when `strategy` is defined";
            errors.push(Error::forbidden(&path.child("preferredHolder"), why));
        }
        errors
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        cells![print::name(object), print::text(object, &["spec", "holderIdentity"]), print::age(object, now)]
    }
}
