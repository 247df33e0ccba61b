//! An authority whose certificate ends is given another one for the same key, under the same name: all it has signed
//! stays good, and who trusted it goes on trusting it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{DistinguishedName, DnType, DnValue, KeyIdMethod, KeyPair};
use x509_parser::{
    asn1_rs::Tag,
    extensions::ParsedExtension,
    oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME},
    prelude::X509Certificate,
    x509::X509Name,
};

use crate::{
    Pair,
    authority::{LEAF_LIFETIME, authority_params},
};

/// An authority is given a new certificate when so much is left: no leaf outlives it, and who only starts once a year
/// still does it in time.
pub(crate) const AUTHORITY_RENEWAL: Duration = Duration::from_secs(2 * LEAF_LIFETIME.as_secs());

/// How it is with an authority's certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Fine,
    /// It ends soon, or has ended; in seconds since the epoch.
    Due(i64),
    /// It begins in the future, in seconds since the epoch: the clock is wrong.
    Unborn(i64),
}

pub(crate) fn age(certificate_pem: &str) -> Option<Age> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let validity = pem.parse_x509().ok()?.validity().clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Some(match () {
        () if from > now => Age::Unborn(from),
        () if to - now < AUTHORITY_RENEWAL.as_secs() as i64 => Age::Due(to),
        () => Age::Fine,
    })
}

/// The authority with a new certificate. None if it cannot be renewed here: somebody else has signed it, or its name is
/// of a form that we cannot write again as it was.
pub(crate) fn renewed(pair: &Pair) -> Option<Pair> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pair.certificate_pem.as_bytes()).ok()?;
    let old = pem.parse_x509().ok()?;
    if old.subject().as_raw() != old.issuer().as_raw() {
        return None;
    }
    let key = KeyPair::from_pem(&pair.key_pem).ok()?;
    let mut params = authority_params(name(old.subject())?).ok()?;
    // As before: what was renewed by a clock that stood in the future is good when the clock is right again.
    params.not_before = old.validity().not_before.to_datetime();
    if let Some(id) = key_id(&old) {
        params.key_identifier_method = KeyIdMethod::PreSpecified(id);
    }
    let certificate_pem = params.self_signed(&key).ok()?.pem();
    let is_same = {
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).ok()?;
        let new = pem.parse_x509().ok()?;
        new.subject().as_raw() == old.subject().as_raw() && new.public_key().raw == old.public_key().raw
    };
    is_same.then(|| Pair { certificate_pem, key_pem: pair.key_pem.clone() })
}

fn key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

fn name(subject: &X509Name<'_>) -> Option<DistinguishedName> {
    let mut name = DistinguishedName::new();
    for attribute in subject.iter_attributes() {
        let kind = match attribute.attr_type() {
            kind if *kind == OID_X509_COMMON_NAME => DnType::CommonName,
            kind if *kind == OID_X509_ORGANIZATION_NAME => DnType::OrganizationName,
            _ => return None,
        };
        let text = attribute.as_str().ok()?;
        let value = match attribute.attr_value().tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(text.try_into().ok()?),
            _ => return None,
        };
        name.push(kind, value);
    }
    Some(name)
}
