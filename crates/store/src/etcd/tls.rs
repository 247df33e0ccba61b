//! TLS with certificates on both sides, with the provider the rest of the program has.

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use parking_lot::Mutex;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;

use super::{
    config::EtcdTls,
    trouble::{Cause, ConnectError, EtcdTrouble},
};

/// The certificates as they are now.
pub(crate) struct Tls {
    settings: EtcdTls,
    current: Mutex<Current>,
}

/// What was last found usable.
struct Current {
    files: Files,
    connector: TlsConnector,
    /// What is wrong with what lies there since; said once.
    complaint: Option<String>,
}

#[derive(PartialEq, Eq)]
struct Files {
    authorities: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    pub(crate) fn new(settings: &EtcdTls) -> Result<Tls, ConnectError> {
        let files = Files::read(settings)?;
        let connector = files.connector()?;
        let current = Mutex::new(Current { files, connector, complaint: None });
        Ok(Tls { settings: settings.clone(), current })
    }

    /// For the next connection. Files that are just being replaced, and do not fit yet, are passed over.
    pub(crate) async fn connector(&self) -> TlsConnector {
        let settings = self.settings.clone();
        let read = tokio::task::spawn_blocking(move || Files::read(&settings)).await;
        let mut current = self.current.lock();
        match read {
            Ok(Ok(files)) if files != current.files => match files.connector() {
                Ok(connector) => {
                    tracing::info!("the certificates for etcd were replaced");
                    *current = Current { files, connector, complaint: None };
                }
                Err(error) => current.complain(&error),
            },
            Ok(Ok(_)) => current.complaint = None,
            Ok(Err(error)) => current.complain(&error),
            // The runtime is ending.
            Err(_) => {}
        }
        current.connector.clone()
    }
}

impl Current {
    fn complain(&mut self, error: &ConnectError) {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let complaint = format!("{error}{cause}");
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::warn!(complaint, "the certificates for etcd of before are used on");
            self.complaint = Some(complaint);
        }
    }
}

impl Files {
    fn read(settings: &EtcdTls) -> Result<Files, ConnectError> {
        let read = |path: &Path| {
            let unreadable =
                |e| ConnectError::Tls { what: format!("file {}", path.display()), source: Arc::new(e) as Cause };
            std::fs::read(path).map_err(unreadable)
        };
        let identity = match &settings.identity {
            Some(identity) => Some((read(&identity.certificate_file)?, read(&identity.key_file)?)),
            None => None,
        };
        Ok(Files { authorities: read(&settings.ca_file)?, identity })
    }

    fn connector(&self) -> Result<TlsConnector, ConnectError> {
        let unusable = |what: &'static str| move |source: Cause| ConnectError::Tls { what: what.to_owned(), source };
        let authority = unusable("certificate authority");
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authorities).map_err(authority)? {
            roots.add(certificate).map_err(|e| authority(Arc::new(e)))?;
        }
        if roots.is_empty() {
            let none: Box<dyn std::error::Error + Send + Sync> = "it holds no certificate".into();
            return Err(authority(none.into()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable("set of TLS versions")(Arc::new(e)))?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let unusable = unusable("client certificate");
                let certificates = certificates(certificate).map_err(unusable)?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| unusable(Arc::new(e)))?;
                builder.with_client_auth_cert(certificates, key).map_err(|e| unusable(Arc::new(e)))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| Arc::new(e) as Cause)
}

/// Why no connection came to be, as far as TLS says.
pub(crate) fn trouble(endpoint: &Arc<str>, error: io::Error) -> EtcdTrouble {
    let endpoint = endpoint.clone();
    match of_tls(&error) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            EtcdTrouble::Untrusted { endpoint, why: distrust(why), source: Arc::new(error) }
        }
        Some(rustls::Error::InvalidMessage(_)) => EtcdTrouble::NoTls { endpoint, source: Arc::new(error) },
        Some(rustls::Error::AlertReceived(alert)) if is_about_us(*alert) => {
            EtcdTrouble::Unwelcome { endpoint, alert: format!("{alert:?}") }
        }
        _ => EtcdTrouble::Unreachable { endpoint, source: Arc::new(error) },
    }
}

pub(super) fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Who answers speaks something else.
pub(crate) fn no_tls(endpoint: &Arc<str>, why: &'static str) -> EtcdTrouble {
    let source: Box<dyn std::error::Error + Send + Sync> = why.into();
    EtcdTrouble::NoTls { endpoint: endpoint.clone(), source: source.into() }
}

/// What a person can do something about, in a few words.
fn distrust(why: &CertificateError) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer,
    };
    match why {
        UnknownIssuer | BadSignature => "none of the given authorities has signed it",
        Expired | ExpiredContext { .. } => "it has expired",
        NotValidYet | NotValidYetContext { .. } => "it is not valid yet, or the clock of this machine is wrong",
        NotValidForName | NotValidForNameContext { .. } => "it is for another name or address",
        Revoked => "it was revoked",
        _ => "it cannot be verified",
    }
}

fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked, CertificateUnknown,
        UnknownCA, UnsupportedCertificate,
    };
    matches!(
        alert,
        AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | UnknownCA
            | UnsupportedCertificate
    )
}

/// What the other side thinks of our certificate, which it says only after the handshake, when the stream is read.
#[derive(Clone, Default)]
pub(crate) struct Verdict(Arc<OnceLock<AlertDescription>>);

impl Verdict {
    /// What it is called by those it concerns, or what was known without it.
    pub(crate) fn or(&self, endpoint: &Arc<str>, trouble: EtcdTrouble) -> EtcdTrouble {
        match self.0.get() {
            Some(alert) => EtcdTrouble::Unwelcome { endpoint: endpoint.clone(), alert: format!("{alert:?}") },
            None => trouble,
        }
    }
}

/// A stream that remembers the verdict.
pub(crate) struct Heard<S> {
    pub(crate) stream: S,
    pub(crate) verdict: Verdict,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &read
            && let Some(rustls::Error::AlertReceived(alert)) = of_tls(error)
            && is_about_us(*alert)
        {
            // The first one counts.
            self.verdict.0.set(*alert).ok();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
