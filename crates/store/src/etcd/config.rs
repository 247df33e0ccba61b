//! Which etcd cluster, which keys of it, and how much is kept of their past.

use std::{fmt, sync::Arc, time::Duration};

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

/// How the members are known to us, and we to them.
#[derive(Clone)]
pub struct EtcdTls {
    /// The authorities that may have signed the members' certificates.
    pub ca_pem: String,
    /// Our certificate and its key, where the members ask for one.
    pub identity: Option<EtcdIdentity>,
}

/// A client certificate.
#[derive(Clone)]
pub struct EtcdIdentity {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl fmt::Debug for EtcdIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdIdentity").finish_non_exhaustive()
    }
}
