//! `CertificateSigningRequest`: somebody asks a signer for a certificate. Who asks is written by admission, not by him.

mod validate;

use api::certificates::v1;
use apimachinery::{Object, field::ErrorList};
use serde_json::Value;

use self::validate::Door;
use crate::{Column, Facts, Kind, Now, Subresource, UpdateRules, print, rules};

pub struct CertificateSigningRequest;

impl Kind for CertificateSigningRequest {
    type Object = v1::CertificateSigningRequest;

    const FACTS: Facts = Facts {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        plural: "certificatesigningrequests",
        singular: "certificatesigningrequest",
        short_names: &["csr"],
        definition: "io.k8s.api.certificates.v1.CertificateSigningRequest",
        storage: "certificatesigningrequests",
        subresources: &[Subresource::Approval, Subresource::Status],
        // Upstream takes any name.
        name_rule: crate::names::any,
        selectable: &["spec.signerName"],
        update: UpdateRules { create_on_update: false, unconditional: true },
        columns: &[
            Column::name(),
            Column::age(),
            Column::new("SignerName", "string", "Who is asked to sign."),
            Column::new("Requestor", "string", "Who asks."),
            Column::new("RequestedDuration", "string", "The life asked for."),
            Column::new("Condition", "string", "What has become of the request."),
        ],
        ..Facts::CLUSTER
    };

    /// Upstream's status is there from the beginning.
    fn default(request: &mut v1::CertificateSigningRequest) {
        request.status.get_or_insert_default();
    }

    /// What was asked is never changed.
    fn prepare_for_update(new: &mut v1::CertificateSigningRequest, old: &v1::CertificateSigningRequest) {
        new.spec = old.spec.clone();
    }

    /// A signer that sends conditions back has not thereby changed who approved, and when.
    fn prepare_for_status_update(new: &mut v1::CertificateSigningRequest, old: &v1::CertificateSigningRequest) {
        for kind in ["Approved", "Denied"] {
            let kept = validate::of_type(old, kind);
            let status = new.status.get_or_insert_default();
            let mut sent: Vec<_> =
                status.conditions.iter_mut().flatten().filter(|condition| condition.type_ == kind).collect();
            if sent.len() == kept.len() {
                sent.iter_mut().zip(kept).for_each(|(sent, kept)| **sent = kept.clone());
            }
        }
    }

    fn validate(request: &v1::CertificateSigningRequest) -> ErrorList {
        validate::validate(request)
    }

    fn validate_update(new: &v1::CertificateSigningRequest, old: &v1::CertificateSigningRequest) -> ErrorList {
        validate::validate_update(new, old, Door::Main)
    }

    fn validate_status_update(new: &v1::CertificateSigningRequest, old: &v1::CertificateSigningRequest) -> ErrorList {
        validate::validate_update(new, old, Door::Status)
    }

    fn validate_approval(new: &v1::CertificateSigningRequest, old: &v1::CertificateSigningRequest) -> ErrorList {
        validate::validate_update(new, old, Door::Approval)
    }

    fn field(object: &Object, field: &str) -> Option<String> {
        (field == "spec.signerName").then(|| print::text(object, &["spec", "signerName"]).to_owned())
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let duration = object.get(&["spec", "expirationSeconds"]).and_then(Value::as_i64);
        let duration = duration.map_or("<none>".to_owned(), crate::human_duration);
        cells![
            print::name(object),
            print::age(object, now),
            print::text(object, &["spec", "signerName"]),
            print::text(object, &["spec", "username"]),
            duration,
            condition(object)
        ]
    }
}

/// `Approved,Issued`, `Denied`, `Pending`.
fn condition(object: &Object) -> String {
    let conditions = object.get(&["status", "conditions"]).and_then(Value::as_array);
    let has = |kind: &str| conditions.into_iter().flatten().any(|c| c["type"] == kind);
    let mut text = match (has("Approved"), has("Denied")) {
        (_, true) => "Denied",
        (true, false) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        text.push_str(",Failed");
    }
    if !rules::text(&object.get_str(&["status", "certificate"]).map(str::to_owned)).is_empty() {
        text.push_str(",Issued");
    }
    text
}
