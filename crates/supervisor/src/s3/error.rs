//! What can be wrong with a storage.

use std::{io, path::PathBuf};

/// Why something could not be done with snapshots in S3-compatible storage. None says anything secret.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    #[error("{text:?} names no place in S3: it must be s3://BUCKET or s3://BUCKET/FOLDER")]
    Place { text: String },
    #[error(
        "{text:?} is no endpoint of S3: it must be https://HOST[:PORT], or http://HOST[:PORT] where nobody listens in"
    )]
    Endpoint { text: String },
    #[error(
        "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file by --s3-credentials"
    )]
    NoCredentials,
    #[error("{} has no aws_access_key_id or no aws_secret_access_key under [default]", path.display())]
    CredentialsFile { path: PathBuf },
    #[error("{} can be read by others (mode {mode:o}): chmod 600 it", path.display())]
    OpenCredentials { path: PathBuf, mode: u32 },
    #[error("{} holds no certificate in PEM", path.display())]
    Authority { path: PathBuf },
    #[error("cannot use TLS: {source}")]
    Tls { source: rustls::Error },
    #[error("cannot read or write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot {action} at {endpoint}: {reason}")]
    Unreachable { action: &'static str, endpoint: String, reason: String },
    #[error("cannot {action} at {endpoint}: nothing moved for {seconds} seconds")]
    Stalled { action: &'static str, endpoint: String, seconds: u64 },
    #[error(
        "cannot {action} at {endpoint}: its certificate is not trusted ({reason}); --s3-ca names the authorities it may be of"
    )]
    Untrusted { action: &'static str, endpoint: String, reason: String },
    #[error("there is no bucket {bucket} at {endpoint}: create it first")]
    NoBucket { bucket: String, endpoint: String },
    #[error("{endpoint} refused to {action}: {status} {code} {message}")]
    Refused { action: &'static str, endpoint: String, status: u16, code: String, message: String },
    #[error("the storage answered what this version does not understand")]
    Answer,
    #[error("{place} is there already; choose another name")]
    Exists { place: String },
    #[error("there is no {place}")]
    NotFound { place: String },
    #[error("{place} came back different from what was sent, and was removed")]
    Differs { place: String },
    #[error("{bytes} bytes are more than the 5 GiB that one object may have; save into a file")]
    TooLarge { bytes: u64 },
    #[error("there are too many objects in {folder:?} to list them; use a folder of its own for snapshots")]
    TooMany { folder: String },
}
