//! A certificate, of a server or a client, that can be exchanged while connections come in, so that renewal needs no restart.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{Pair, PkiError, tls};

#[derive(Debug)]
pub struct ServingCertificate(ArcSwap<CertifiedKey>);

impl ServingCertificate {
    pub fn new(pair: &Pair) -> Result<Arc<Self>, PkiError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(tls::certified_key(pair)?))))
    }

    /// New connections get this certificate.
    pub fn replace(&self, pair: &Pair) -> Result<(), PkiError> {
        self.0.store(Arc::new(tls::certified_key(pair)?));
        Ok(())
    }
}

/// The same for a client's own certificate.
impl ResolvesClientCert for ServingCertificate {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
