//! What can be wrong between us and etcd.

use std::{error::Error, sync::Arc, time::Duration};

use super::status;
use crate::revision::Revision;

/// A cause, kept for whoever asks later.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// What went wrong last. Cloned into the answer of everybody it concerns, and shown in health.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EtcdTrouble {
    #[error("cannot connect to etcd at {endpoint}")]
    Unreachable { endpoint: Arc<str>, source: Cause },
    #[error("etcd at {endpoint} did not answer within {after:?}")]
    TimedOut { endpoint: Arc<str>, after: Duration },
    #[error("the connection to etcd at {endpoint} was lost")]
    Broken { endpoint: Arc<str>, source: Cause },
    #[error("the certificate of etcd at {endpoint} is not accepted: {why}")]
    Untrusted { endpoint: Arc<str>, why: &'static str, source: Cause },
    #[error("etcd at {endpoint} does not accept the client certificate (or that there is none): {alert}")]
    Unwelcome { endpoint: Arc<str>, alert: String },
    #[error("who answers at {endpoint} does not speak TLS: an etcd without TLS is named by http://")]
    NoTls { endpoint: Arc<str>, source: Cause },
    #[error("etcd at {endpoint} speaks TLS only: it is named by https://")]
    OnlyTls { endpoint: Arc<str> },
    #[error("etcd at {endpoint} has version {version}; the oldest supported is {oldest}")]
    TooOld { endpoint: Arc<str>, version: String, oldest: &'static str },
    #[error("the password for etcd cannot be read from {path}")]
    NoPassword { path: String, source: Cause },
    /// `code` is one of gRPC's.
    #[error("etcd at {endpoint} refuses: {message} (code {code})")]
    Refused { endpoint: Arc<str>, code: u32, message: String },
    /// It is no etcd, or speaks another version of its protocol.
    #[error("etcd at {endpoint} answers what cannot be understood")]
    Unintelligible { endpoint: Arc<str>, source: Cause },
    #[error("an answer of etcd at {endpoint} has {bytes} bytes, over the limit of {limit}")]
    TooLong { endpoint: Arc<str>, bytes: usize, limit: usize },
    #[error("the value of {key} in etcd cannot be read")]
    Unreadable { key: String, source: Cause },
    /// The changes up to here were let go before we had heard them.
    #[error("etcd has compacted its history up to revision {compacted}; we had come to {seen}")]
    Compacted { compacted: Revision, seen: Revision },
    #[error("etcd told changes of revision {revision} twice, or not in order")]
    Disordered { revision: Revision },
    /// What was asked for is done by etcd, and not yet known to us.
    #[error("changes of etcd do not reach us: revision {wanted} is due, {reached} is here")]
    Behind { wanted: Revision, reached: Revision },
    /// Another cluster answers at the endpoints. Nothing it says fits what we know: only a new start helps.
    #[error(
        "etcd at {endpoint} is of cluster {found:x}, this store of cluster {known:x}; start again to serve what is there"
    )]
    OtherCluster { endpoint: Arc<str>, known: u64, found: u64 },
    /// A backup was restored under us. Nothing it says fits what we know: only a new start helps.
    #[error(
        "etcd has gone back from revision {known} to {found}, as by a restored backup; start again to serve what is there"
    )]
    WentBack { known: Revision, found: Revision },
}

impl EtcdTrouble {
    /// With its causes.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// Whether trying again does not help: somebody has to change a setting, here or there.
    pub fn is_hopeless(&self) -> bool {
        match self {
            EtcdTrouble::Untrusted { .. }
            | EtcdTrouble::Unwelcome { .. }
            | EtcdTrouble::NoTls { .. }
            | EtcdTrouble::OnlyTls { .. }
            | EtcdTrouble::TooOld { .. }
            | EtcdTrouble::NoPassword { .. } => true,
            EtcdTrouble::Refused { code, message, .. } => status::needs_a_hand(*code, message),
            _ => false,
        }
    }

    /// Whether it is over with this store: etcd's data is no longer the data it knows.
    pub fn is_final(&self) -> bool {
        matches!(self, EtcdTrouble::OtherCluster { .. } | EtcdTrouble::WentBack { .. })
    }
}

/// Why a store on etcd could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no endpoint of etcd is given")]
    NoEndpoint,
    #[error("{endpoint:?} is no endpoint of etcd: it must be like https://10.0.0.1:2379")]
    Endpoint { endpoint: String },
    #[error("the endpoint {endpoint} needs TLS, and no certificate authority is given")]
    NoAuthority { endpoint: String },
    #[error("the endpoint {endpoint} has no TLS: a password would be sent in the clear")]
    PasswordInTheClear { endpoint: String },
    #[error("the {what} for etcd cannot be used")]
    Tls { what: String, source: Cause },
    /// Waiting would not have helped.
    #[error("etcd cannot be used with these settings")]
    Hopeless(#[source] EtcdTrouble),
    #[error("no endpoint of etcd gave an answer within {after:?}")]
    Unavailable { after: Duration, source: EtcdTrouble },
    /// Give the encryption configuration it was written with, or mend the value.
    #[error("a value in etcd cannot be read")]
    Unreadable(#[source] EtcdTrouble),
}

impl ConnectError {
    /// What was tried for so long ended with this.
    pub(crate) fn of(trouble: EtcdTrouble, after: Duration) -> ConnectError {
        match trouble {
            trouble @ EtcdTrouble::Unreadable { .. } => ConnectError::Unreadable(trouble),
            trouble if trouble.is_hopeless() => ConnectError::Hopeless(trouble),
            source => ConnectError::Unavailable { after, source },
        }
    }
}

/// Why a read that must be current was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing can be said about the present. It may be answered when etcd is back.
    #[error("the store cannot say what is current")]
    Unavailable(#[source] EtcdTrouble),
    /// The state has not come so far in time.
    #[error("revision {wanted} is not here yet; the newest is {reached}")]
    Behind { wanted: Revision, reached: Revision },
    /// Nobody has come so far.
    #[error("revision {wanted} is in the future; the newest is {newest}")]
    Future { wanted: Revision, newest: Revision },
    /// The store was closed.
    #[error("the store is closed")]
    Stopped,
}
