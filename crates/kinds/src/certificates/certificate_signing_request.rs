//! `CertificateSigningRequest`: somebody asks a signer for a certificate. Who asks is written by admission, not by him.

use api::certificates::v1;
use apimachinery::{
    Object,
    field::{Error, ErrorList, Path},
};
use serde_json::Value;

use crate::{Column, Facts, Kind, Now, Subresource, UpdateRules, print, rules};

pub struct CertificateSigningRequest;

/// The shortest life that may be asked for.
const MIN_EXPIRATION_SECONDS: i32 = 600;

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
        subresources: &[Subresource::Status],
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

    /// What was asked is never changed.
    fn prepare_for_update(new: &mut v1::CertificateSigningRequest, old: &v1::CertificateSigningRequest) {
        new.spec = old.spec.clone();
    }

    fn validate(request: &v1::CertificateSigningRequest) -> ErrorList {
        let mut errors = ErrorList::new();
        let (spec, path) = (&request.spec, Path::new("spec"));
        if !String::from_utf8_lossy(&spec.request.0).contains("-----BEGIN CERTIFICATE REQUEST-----") {
            let why = "PEM block type must be CERTIFICATE REQUEST";
            errors.push(Error::invalid(&path.child("request"), "<bytes>", why));
        }
        if spec.signer_name.is_empty() {
            errors.push(Error::required(&path.child("signerName"), ""));
        }
        if spec.usages.as_ref().is_none_or(Vec::is_empty) {
            errors.push(Error::required(&path.child("usages"), "usages is required"));
        }
        if let Some(seconds) = spec.expiration_seconds.filter(|seconds| *seconds < MIN_EXPIRATION_SECONDS) {
            let why = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(Error::invalid(&path.child("expirationSeconds"), i64::from(seconds), why));
        }
        errors
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
