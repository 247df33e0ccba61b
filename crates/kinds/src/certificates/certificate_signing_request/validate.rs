//! What a request for a certificate may say, and who may change what in it. Upstream's rules and words.

use api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use apimachinery::{
    field::{Error, ErrorList, Path},
    validation::{dns1123_label, dns1123_subdomain},
};

use crate::rules;

/// The shortest life that may be asked for.
const MIN_EXPIRATION_SECONDS: i32 = 600;
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// Conditions that are either there or not.
const TRUE_ONLY: [&str; 3] = ["Approved", "Denied", "Failed"];
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
const MAX_DOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

/// Through what a request is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Main,
    Status,
    Approval,
}

fn conditions(request: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    request.status.as_ref().map_or(&[], |status| rules::slice(&status.conditions))
}

pub(super) fn of_type<'a>(
    request: &'a CertificateSigningRequest,
    kind: &str,
) -> Vec<&'a CertificateSigningRequestCondition> {
    conditions(request).iter().filter(|condition| condition.type_ == kind).collect()
}

fn certificate(request: &CertificateSigningRequest) -> &[u8] {
    request.status.as_ref().and_then(|status| status.certificate.as_ref()).map_or(&[], |bytes| &bytes.0)
}

pub(super) fn validate(request: &CertificateSigningRequest) -> ErrorList {
    let mut errors = ErrorList::new();
    let (spec, path) = (&request.spec, Path::new("spec"));
    if !String::from_utf8_lossy(&spec.request.0).contains("-----BEGIN CERTIFICATE REQUEST-----") {
        let why = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(Error::invalid(&path.child("request"), "<bytes>", why));
    }
    usages(rules::slice(&spec.usages), &path.child("usages"), &mut errors);
    if spec.signer_name == LEGACY_SIGNER {
        let why = "the legacy signerName is not allowed via this API version";
        errors.push(Error::invalid(&path.child("signerName"), LEGACY_SIGNER, why));
    } else {
        signer_name(&spec.signer_name, &path.child("signerName"), &mut errors);
    }
    if let Some(seconds) = spec.expiration_seconds.filter(|seconds| *seconds < MIN_EXPIRATION_SECONDS) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(&path.child("expirationSeconds"), i64::from(seconds), why));
    }
    let path = Path::new("status");
    validate_conditions(conditions(request), &path.child("conditions"), &mut errors);
    if let Err(why) = validate_certificate(certificate(request)) {
        errors.push(Error::invalid(&path.child("certificate"), "<certificate data>", why));
    }
    errors
}

fn usages(usages: &[String], path: &Path, errors: &mut ErrorList) {
    if usages.is_empty() {
        errors.push(Error::required(path, ""));
    }
    for (index, usage) in usages.iter().enumerate() {
        rules::one_of(usage, &USAGES, &path.index(index), errors);
    }
    for (index, usage) in usages.iter().enumerate().filter(|(index, usage)| usages[..*index].contains(usage)) {
        errors.push(Error::duplicate(&path.index(index), usage.as_str()));
    }
}

/// `example.com/signer-name`.
fn signer_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let parts: Vec<&str> = name.split('/').collect();
    let [domain, signer] = parts[..] else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(Error::invalid(path, name, why));
        return;
    };
    if domain.len() > MAX_DOMAIN {
        errors.push(Error::too_long(path, MAX_DOMAIN));
    }
    let labels: Vec<&str> = domain.split('.').collect();
    first_bad(&labels, dns1123_label, domain, path, errors);
    if labels.len() < 2 {
        let why = "should be a domain with at least two segments separated by dots";
        errors.push(Error::invalid(path, domain, why));
    }
    let labels: Vec<&str> = signer.split('.').collect();
    first_bad(&labels, dns1123_subdomain, signer, path, errors);
    let longest = MAX_DOMAIN + 1 + MAX_DOMAIN + MAX_LABEL + 1;
    if name.len() > longest {
        errors.push(Error::too_long(path, longest));
    }
}

/// Tells what is wrong with the first label that is wrong.
fn first_bad(labels: &[&str], rule: fn(&str) -> Vec<String>, whole: &str, path: &Path, errors: &mut ErrorList) {
    let mut bad = labels.iter().map(|label| (label, rule(label))).filter(|(_, wrong)| !wrong.is_empty());
    if let Some((label, wrong)) = bad.next() {
        let quoted = apimachinery::field::quote(label);
        for why in wrong {
            errors.push(Error::invalid(path, whole, format!("validating label {quoted}: {why}")));
        }
    }
}

fn validate_conditions(conditions: &[CertificateSigningRequestCondition], path: &Path, errors: &mut ErrorList) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        let (kind, status) = (condition.type_.as_str(), condition.status.as_str());
        if kind.is_empty() {
            errors.push(Error::required(&path.child("type"), ""));
        }
        let allowed: &[&str] = if TRUE_ONLY.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        if status.is_empty() {
            errors.push(Error::required(&path.child("status"), ""));
        } else {
            rules::one_of(status, allowed, &path.child("status"), errors);
        }
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !opposite.is_empty() && seen.contains(&opposite) {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.push(Error::invalid(&path.child("type"), kind, why));
        }
        if seen.contains(&kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        seen.push(kind);
    }
}

/// Looks at the PEM only: what the blocks hold is looked at by who uses them.
fn validate_certificate(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(bytes);
    let mut blocks = 0;
    for block in text.split("-----BEGIN ").skip(1) {
        let Some((kind, body)) = block.split_once("-----") else { continue };
        let Some((body, _)) = body.split_once(&format!("-----END {kind}-----")) else { continue };
        if kind != "CERTIFICATE" {
            let quoted = apimachinery::field::quote(kind);
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {quoted}"));
        }
        if body.contains(':') {
            return Err("no PEM block headers are permitted".to_owned());
        }
        blocks += 1;
    }
    if blocks == 0 { Err("must contain at least one CERTIFICATE PEM block".to_owned()) } else { Ok(()) }
}

/// Conditions stay once they are set; who approves may not sign, and who signs may not approve.
pub(super) fn validate_update(
    new: &CertificateSigningRequest,
    old: &CertificateSigningRequest,
    door: Door,
) -> ErrorList {
    let mut errors = validate(new);
    let path = Path::new("status").child("conditions");
    for kind in TRUE_ONLY {
        if of_type(new, kind).len() < of_type(old, kind).len() {
            errors.push(Error::forbidden(&path, format!("updates may not remove a condition of type {kind:?}")));
        }
    }
    for kind in ["Approved", "Denied"].into_iter().filter(|_| door != Door::Approval) {
        let (new, old) = (of_type(new, kind), of_type(old, kind));
        if new.len() > old.len() {
            errors.push(Error::forbidden(&path, format!("updates may not add a condition of type {kind:?}")));
        } else if new.len() == old.len() && new != old {
            errors.push(Error::forbidden(&path, format!("updates may not modify a condition of type {kind:?}")));
        }
    }
    let (signed, before) = (certificate(new), certificate(old));
    let path = Path::new("status").child("certificate");
    if signed != before && door != Door::Status {
        errors.push(Error::forbidden(&path, "updates may not set certificate content"));
    } else if signed != before && !before.is_empty() {
        errors.push(Error::forbidden(&path, "updates may not modify existing certificate content"));
    }
    errors
}
