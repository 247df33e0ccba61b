//! Several stores on one etcd, as several API servers are: every call may go to another.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use store::{ReadError, Store};

use super::{Backend, Following, Listing, Revision, Transaction, Unread, Version, Written, local::Local};

/// Asked in turn.
pub struct Servers {
    servers: Vec<Local>,
    turn: AtomicUsize,
}

impl Servers {
    pub fn new(stores: impl IntoIterator<Item = Store>) -> Servers {
        Servers { servers: stores.into_iter().map(Local).collect(), turn: AtomicUsize::new(0) }
    }

    fn next(&self) -> &Local {
        &self.servers[self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len()]
    }

    pub fn stores(&self) -> impl Iterator<Item = &Store> {
        self.servers.iter().map(|server| &server.0)
    }
}

/// What was seen at one server must be there at the other, after the question that this one asks.
async fn come_to(server: &Local, revision: Revision) -> Result<(), Unread> {
    match server.0.not_before(store::Revision(revision)).await {
        Ok(_) => Ok(()),
        Err(ReadError::Future { .. }) => Err(Unread::Future),
        Err(_) => Err(Unread::Gone),
    }
}

#[async_trait]
impl Backend for Servers {
    async fn write(&self, transaction: Transaction) -> Written {
        self.next().write(transaction).await
    }

    async fn get(&self, key: &str) -> Result<(Option<Version>, Option<Revision>), Unread> {
        self.next().get(key).await
    }

    async fn list(&self, prefix: &str, at: Option<Revision>) -> Result<Listing, Unread> {
        let server = self.next();
        if let Some(at) = at {
            come_to(server, at).await?;
        }
        server.list(prefix, at).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Following>, Unread> {
        let server = self.next();
        come_to(server, after).await?;
        server.watch(prefix, after).await
    }

    async fn compact(&self, revision: Revision) {
        self.next().compact(revision).await;
    }

    fn comes_back(&self) -> bool {
        true
    }
}
