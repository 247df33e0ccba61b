//! Trust by the hash of an authority: for who has been told the hash and nothing else. The server must send its
//! authority's certificate along.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

use crate::{PkiError, tls::provider};

/// The SHA-256 of an authority's certificate (its DER), in hexadecimal digits.
pub fn authority_hash(certificate_pem: &str) -> Result<String, PkiError> {
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(|e| PkiError::Pem { what: "certificate authority", reason: e.to_string() })?;
    Ok(hash(&der))
}

fn hash(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Accepts servers whose certificate comes from the authority with the hash, and remembers that authority.
#[derive(Debug)]
pub struct Pinned {
    hash: String,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Vec<u8>>>,
    /// The server showed other authorities only.
    mismatch: Mutex<bool>,
}

impl Pinned {
    pub fn new(hash: &str) -> Arc<Self> {
        let hash = hash.to_ascii_lowercase();
        Arc::new(Self { hash, provider: provider(), seen: Mutex::default(), mismatch: Mutex::default() })
    }

    pub fn client_config(self: &Arc<Self>) -> Result<ClientConfig, PkiError> {
        let builder =
            ClientConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(self.clone()).with_no_client_auth())
    }

    /// The authority, in PEM, once a handshake has succeeded.
    pub fn authority_pem(&self) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let der = seen.as_ref()?;
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
        Some(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
    }

    pub fn is_mismatch(&self) -> bool {
        *self.mismatch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = intermediates.iter().find(|der| hash(der) == self.hash) else {
            *self.mismatch.lock().unwrap_or_else(PoisonError::into_inner) = true;
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        let verified = verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(authority.to_vec());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
