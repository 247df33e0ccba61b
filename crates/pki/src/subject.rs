//! Who a client certificate names.

use x509_parser::prelude::{FromDer, X509Certificate};

/// The subject of a certificate, as Kubernetes reads it: the common name is the user, organizations are groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub common_name: String,
    pub organizations: Vec<String>,
}

/// Reads the subject of a certificate that TLS has already verified; `None` when it has no readable common name.
pub fn subject_of(certificate_der: &[u8]) -> Option<Subject> {
    let (_, certificate) = X509Certificate::from_der(certificate_der).ok()?;
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().last()?.as_str().ok()?.to_owned();
    let organizations = subject.iter_organization().filter_map(|o| o.as_str().ok().map(str::to_owned)).collect();
    Some(Subject { common_name, organizations })
}
