//! TLS configurations made of our certificates. TLS 1.2 and 1.3, with ring.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider, server::WebPkiClientVerifier, sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{Pair, PkiError, ServingCertificate};

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| PkiError::Pem { what: "certificate", reason: e.to_string() })
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| PkiError::Pem { what: "private key", reason: e.to_string() })
}

fn roots(ca_pem: &str) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        roots.add(certificate)?;
    }
    Ok(Arc::new(roots))
}

/// Fails when certificate and key do not belong together.
pub(crate) fn certified_key(pair: &Pair) -> Result<CertifiedKey, PkiError> {
    let key = private_key(&pair.key_pem)?;
    Ok(CertifiedKey::from_der(certificates(&pair.certificate_pem)?, key, &provider())?)
}

/// A server's side: serves `certificate`, and verifies client certificates against `client_ca_pem` where a client
/// presents one. A client without one is let through; who it is is the authenticator's matter. Offers HTTP/2 and 1.1.
pub fn server_config(certificate: Arc<ServingCertificate>, client_ca_pem: &str) -> Result<ServerConfig, PkiError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(client_ca_pem)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|e| PkiError::Pem { what: "client certificate authority", reason: e.to_string() })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A client's side with a certificate that can be exchanged while it runs: new connections present the new one.
pub fn renewable_client_config(ca_pem: &str, identity: Arc<ServingCertificate>) -> Result<ClientConfig, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca_pem)?);
    Ok(builder.with_client_cert_resolver(identity))
}

/// A client's side: trusts `ca_pem` alone, and presents `identity` when given. No ALPN is set: who needs HTTP/2
/// sets it.
pub fn client_config(ca_pem: &str, identity: Option<&Pair>) -> Result<ClientConfig, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca_pem)?);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(pair) => {
            Ok(builder.with_client_auth_cert(certificates(&pair.certificate_pem)?, private_key(&pair.key_pem)?)?)
        }
    }
}
