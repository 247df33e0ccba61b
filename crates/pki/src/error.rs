//! What can go wrong with keys and certificates. No variant ever carries key material.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is no usable {what}: {reason}; restore it from a backup, or remove it to have a new one made", path.display())]
    Unusable { what: &'static str, path: PathBuf, reason: String },
    #[error("{}: the certificate and the key beside it do not belong together; restore both from a backup", path.display())]
    Mismatch { path: PathBuf },
    #[error(
        "{} ended on {to} and was signed by somebody else: have it renewed there, for the same key, and put it in its place",
        path.display()
    )]
    Ended { path: PathBuf, to: String },
    #[error("{} begins on {from} only: the clock of this machine is wrong", path.display())]
    Unborn { path: PathBuf, from: String },
    #[error("make a certificate for {name}: {source}")]
    Issue { name: String, source: rcgen::Error },
    #[error("{what} is no valid PEM: {reason}")]
    Pem { what: &'static str, reason: String },
    /// In upstream's words where the block is another one.
    #[error("{reason}")]
    Request { reason: String },
    #[error("set up TLS with these certificates: {0}")]
    Tls(#[from] rustls::Error),
}
