//! Requests for certificates: made by who will hold the key, read and signed by who has an authority.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use base64::Engine;
use rcgen::{CertificateSigningRequestParams, DnType, DnValue, KeyPair, PublicKey, SanType};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509CertificationRequest, X509Error};

use crate::{Leaf, Pair, PkiError, tls};

/// A key that is kept, and the request for its certificate.
pub struct KeyAndRequest {
    pub key_pem: String,
    pub request_pem: String,
}

impl KeyAndRequest {
    /// A request with a new key, or with one made before.
    pub fn make(leaf: &Leaf, key_pem: Option<&str>) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Issue { name: leaf.common_name.clone(), source };
        let key = match key_pem {
            Some(pem) => KeyPair::from_pem(pem),
            None => KeyPair::generate(),
        }
        .map_err(failed)?;
        let mut params = leaf.params().map_err(failed)?;
        params.use_authority_key_identifier_extension = false;
        let request_pem = params.serialize_request(&key).and_then(|request| request.pem()).map_err(failed)?;
        Ok(Self { key_pem: key.serialize_pem(), request_pem })
    }

    /// The pair, once the certificate has come. Fails when it is for another key.
    pub fn complete(self, certificate_pem: String) -> Result<Pair, PkiError> {
        let pair = Pair { certificate_pem, key_pem: self.key_pem };
        tls::certified_key(&pair)?;
        Ok(pair)
    }
}

/// A request as its receiver reads it; its signature is checked.
#[derive(Debug)]
pub struct SigningRequest {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// Names of other sorts, which no signer of ours signs.
    pub has_other_names: bool,
    pub(crate) public_key: PublicKey,
}

impl SigningRequest {
    pub fn parse(pem: &str) -> Result<Self, PkiError> {
        let unreadable = |e: rcgen::Error| PkiError::Pem { what: "certificate request", reason: e.to_string() };
        let CertificateSigningRequestParams { params, public_key } =
            CertificateSigningRequestParams::from_pem(pem).map_err(unreadable)?;
        let name = |kind: &DnType| params.distinguished_name.get(kind).and_then(text);
        let mut request = Self {
            common_name: name(&DnType::CommonName).unwrap_or_default(),
            organizations: organizations(pem)?,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            has_other_names: params.distinguished_name.iter().count() > 2,
            public_key,
        };
        for alternative in &params.subject_alt_names {
            match alternative {
                SanType::DnsName(name) => request.dns_names.push(name.to_string()),
                SanType::IpAddress(address) => request.addresses.push(*address),
                _ => request.has_other_names = true,
            }
        }
        Ok(request)
    }
}

/// The groups a request wants its holder to be in: the request is PEM, in base64 as the API has it. Fails for what is
/// no request or not signed with its own key; a signature of a sort we cannot check is for the signer to judge.
pub fn organizations_asked_for(base64_pem: &str) -> Result<Vec<String>, PkiError> {
    let pem = base64::engine::general_purpose::STANDARD.decode(base64_pem).ok();
    let pem = pem.and_then(|bytes| String::from_utf8(bytes).ok());
    organizations(&pem.unwrap_or_default())
}

fn organizations(pem: &str) -> Result<Vec<String>, PkiError> {
    let unreadable = |reason: String| PkiError::Request { reason };
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| unreadable(e.to_string()))?;
    if block.label != "CERTIFICATE REQUEST" {
        return Err(unreadable("PEM block type must be CERTIFICATE REQUEST".to_owned()));
    }
    let parsed = X509CertificationRequest::from_der(&block.contents);
    let (_, request) = parsed.map_err(|e| unreadable(e.to_string()))?;
    match request.verify_signature() {
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => {}
        Err(error) => return Err(unreadable(error.to_string())),
    }
    let subject = &request.certification_request_info.subject;
    let text = |o: &AttributeTypeAndValue<'_>| o.as_str().map(str::to_owned).map_err(|e| unreadable(e.to_string()));
    subject.iter_organization().map(text).collect()
}

fn text(value: &DnValue) -> Option<String> {
    match value {
        DnValue::Utf8String(text) => Some(text.clone()),
        DnValue::PrintableString(text) => Some(text.to_string()),
        DnValue::Ia5String(text) => Some(text.to_string()),
        _ => None,
    }
}

/// When a third of its life is left: then a certificate is renewed. None when it cannot be read.
pub fn renewal_time(certificate_pem: &str) -> Option<SystemTime> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let (from, to) = (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    let seconds = u64::try_from(from + (to - from) / 3 * 2).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Whether a certificate is to be renewed at this moment. One from the future was made before the clock was set back.
pub fn is_due(certificate_pem: &str) -> bool {
    let is_early = |due: SystemTime| SystemTime::now() < due;
    !is_begun(certificate_pem) || !renewal_time(certificate_pem).is_some_and(is_early)
}

/// Whether the life of a certificate has begun, if it can be read.
pub fn is_begun(certificate_pem: &str) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()) else { return false };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    pem.parse_x509().is_ok_and(|certificate| certificate.validity().not_before.timestamp() <= now)
}

/// When the life of a certificate ends. None when it cannot be read.
pub fn end_time(certificate_pem: &str) -> Option<SystemTime> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let seconds = u64::try_from(pem.parse_x509().ok()?.validity().not_after.timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Whether a certificate can be used at this moment.
pub fn is_valid_now(certificate_pem: &str) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()) else { return false };
    pem.parse_x509().is_ok_and(|certificate| certificate.validity().is_valid())
}
