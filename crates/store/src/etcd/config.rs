//! Which etcd cluster, which keys of it, and how much is kept of their past.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    form::{AsItIs, Form},
    seal::Seal,
};

/// Settings of a store on etcd. `EtcdConfig::new(endpoints)` has the defaults.
#[derive(Clone, Debug)]
pub struct EtcdConfig {
    /// The members' client URLs: `https://10.0.0.1:2379`. Tried in this order; all must be of one cluster.
    pub endpoints: Vec<String>,
    /// Needed for `https`.
    pub tls: Option<EtcdTls>,
    /// Where etcd asks for a name and a password. Without TLS they are sent to loopback only.
    pub login: Option<EtcdLogin>,
    /// What the caller's keys begin with, and what stands there in etcd instead: `/registry/` and `/registry/`, or
    /// whatever `--etcd-prefix` says. A key that does not begin with `root` is refused.
    pub root: Vec<u8>,
    pub prefix: Vec<u8>,
    pub form: Arc<dyn Form>,
    /// What encrypts values in etcd, after they were given their form. It is told the caller's keys.
    pub seal: Option<Arc<dyn Seal>>,
    /// The most bytes of history kept in memory for watches and past reads, on top of an eighth of the live data.
    pub history_bytes: u64,
    /// The most transactions of history kept in memory.
    pub history_revisions: usize,
    /// How often history older than the last such moment is let go, in memory and, by one of all servers, in etcd.
    /// `None`: only by its bounds, and never in etcd.
    pub compact_every: Option<Duration>,
    /// The longest the connection to one endpoint may take.
    pub connect_timeout: Duration,
    /// The longest [`Store::connect`](crate::Store::connect) tries.
    pub start_timeout: Duration,
    /// The longest a read that must be current waits for etcd, and then for the state to come so far.
    pub read_timeout: Duration,
    /// The longest a write waits for its answer, after which nobody knows what becomes of it.
    pub write_timeout: Duration,
}

impl EtcdConfig {
    /// The defaults, with the keys of Kubernetes' API servers.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> EtcdConfig {
        EtcdConfig {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            tls: None,
            login: None,
            root: b"/registry/".to_vec(),
            prefix: b"/registry/".to_vec(),
            form: Arc::new(AsItIs),
            seal: None,
            history_bytes: 16 << 20,
            history_revisions: 100_000,
            compact_every: Some(Duration::from_secs(300)),
            connect_timeout: Duration::from_secs(2),
            start_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// How the members are known to us, and we to them. The files are read again for each new connection, so that what is
/// about to expire can be replaced under a store that runs.
#[derive(Clone, Debug)]
pub struct EtcdTls {
    /// The authorities that may have signed the members' certificates, as PEM.
    pub ca_file: PathBuf,
    /// Our certificate and its key, where the members ask for one.
    pub identity: Option<EtcdIdentity>,
}

/// A client certificate, as PEM.
#[derive(Clone, Debug)]
pub struct EtcdIdentity {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// A user of etcd's own authentication.
#[derive(Clone, Debug)]
pub struct EtcdLogin {
    pub user: String,
    pub password: EtcdPassword,
}

/// Where a password comes from.
#[derive(Clone)]
pub enum EtcdPassword {
    /// Read at each login; a line's end behind it is none of it.
    File(PathBuf),
    Given(Arc<str>),
}

impl fmt::Debug for EtcdPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EtcdPassword::File(path) => f.debug_tuple("File").field(path).finish(),
            EtcdPassword::Given(_) => f.debug_tuple("Given").finish_non_exhaustive(),
        }
    }
}
