//! What somebody speaks who does not answer as was expected: TLS, or HTTP/2 in the open. Etcd closes such a connection
//! or waits for more, and both look like a member that does not run yet.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, timeout},
};
use tokio_rustls::TlsConnector;

use super::tls;

/// Whoever does not say by then what it speaks is not asked further.
const PATIENCE: Duration = Duration::from_millis(800);
/// What HTTP/2 begins with in the open, and a client's empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Whether HTTP in the open is spoken there.
pub(crate) async fn speaks_plainly(address: &str) -> bool {
    let begin = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(PREFACE).await?;
        let mut begin = [0; 5];
        stream.read_exact(&mut begin).await?;
        io::Result::Ok(begin)
    };
    match timeout(PATIENCE, begin).await {
        // The length of a frame, the type of settings, no flags; or what an older server says.
        Ok(Ok(begin)) => begin == *b"HTTP/" || matches!(begin, [0, 0, _, 4, 0]),
        _ => false,
    }
}

/// Whether TLS is spoken there. Nothing is trusted, and nothing is sent.
pub(crate) async fn speaks_tls(address: &str, server: &ServerName<'static>) -> bool {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let Ok(builder) = builder.with_safe_default_protocol_versions() else { return false };
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let handshake = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(server.clone(), stream).await
    };
    match timeout(PATIENCE, handshake).await {
        Ok(Ok(_)) => true,
        // A certificate that cannot be judged is one, and an alert is a word of TLS.
        Ok(Err(error)) => matches!(
            tls::of_tls(&error),
            Some(
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::AlertReceived(_)
                    | rustls::Error::PeerIncompatible(_)
            )
        ),
        Err(_) => false,
    }
}
