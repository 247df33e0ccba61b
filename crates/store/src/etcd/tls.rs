//! TLS with certificates on both sides, with the provider the rest of the program has.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsConnector;

use super::{
    config::EtcdTls,
    trouble::{Cause, ConnectError},
};

pub(crate) fn connector(settings: &EtcdTls) -> Result<TlsConnector, ConnectError> {
    let authority = |source: Cause| ConnectError::Tls { what: "certificate authority", source };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&settings.ca_pem).map_err(authority)? {
        roots.add(certificate).map_err(|e| authority(Arc::new(e)))?;
    }
    if roots.is_empty() {
        let none: Box<dyn std::error::Error + Send + Sync> = "it holds no certificate".into();
        return Err(authority(none.into()));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| ConnectError::Tls { what: "set of TLS versions", source: Arc::new(e) })?
        .with_root_certificates(roots);
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let unusable = |source: Cause| ConnectError::Tls { what: "client certificate", source };
            let certificates = certificates(&identity.certificate_pem).map_err(unusable)?;
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(|e| unusable(Arc::new(e)))?;
            builder.with_client_auth_cert(certificates, key).map_err(|e| unusable(Arc::new(e)))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Cause> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|e| Arc::new(e) as Cause)
}
