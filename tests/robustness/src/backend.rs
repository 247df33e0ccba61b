//! What is tested, as its clients see it: the store in this process, the store in a process that can be killed, the
//! API server, stores on one etcd.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub mod api_server;
pub mod child;
pub mod local;
pub mod servers;

/// The position of a transaction; zero is none.
pub type Revision = u64;

/// A key's value and the revision that made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    pub value: String,
    pub revision: Revision,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    Put { key: String, value: String },
    Create { key: String, value: String },
    Update { key: String, expected: Revision, value: String },
    Delete { key: String, expected: Revision },
}

impl Change {
    pub fn key(&self) -> &str {
        match self {
            Change::Put { key, .. }
            | Change::Create { key, .. }
            | Change::Update { key, .. }
            | Change::Delete { key, .. } => key,
        }
    }

    /// What the key holds afterwards.
    pub fn value(&self) -> Option<&str> {
        match self {
            Change::Put { value, .. } | Change::Create { value, .. } | Change::Update { value, .. } => Some(value),
            Change::Delete { .. } => None,
        }
    }

    /// What the key must be at: `None` anything, `Some(0)` absent.
    pub fn expected(&self) -> Option<Revision> {
        match self {
            Change::Put { .. } => None,
            Change::Create { .. } => Some(0),
            Change::Update { expected, .. } | Change::Delete { expected, .. } => Some(*expected),
        }
    }
}

/// Changes that happen at one revision, or not at all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transaction {
    pub changes: Vec<Change>,
    /// A power cut may take it back.
    pub relaxed: bool,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Written {
    Done {
        revision: Revision,
    },
    /// It happened, at a revision that was not told.
    DoneSomewhen,
    /// This key was not at the expected revision; what it was at, where the backend says so.
    Conflict {
        key: String,
        current: Option<Option<Version>>,
    },
    /// It did not happen: no space.
    Refused,
    /// It may have happened, or may happen yet.
    Unknown,
}

/// Why a read was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unread {
    Compacted,
    Future,
    /// The backend is away.
    Gone,
}

/// All keys under a prefix at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub revision: Revision,
    pub items: Vec<(String, Version)>,
}

/// One change as a watch tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub revision: Revision,
    pub key: String,
    /// `None`: deleted.
    pub value: Option<String>,
    /// Whether it came into being.
    pub is_create: bool,
}

/// What a watch says at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    Events(Vec<Event>),
    /// Everything up to here was said.
    Bookmark(Revision),
}

/// A backend as a client has it.
#[async_trait]
pub trait Backend: Send + Sync {
    async fn write(&self, transaction: Transaction) -> Written;
    /// One key, and the revision of the state it was read from where the backend tells it.
    async fn get(&self, key: &str) -> Result<(Option<Version>, Option<Revision>), Unread>;
    /// Now, or as it was at a revision.
    async fn list(&self, prefix: &str, at: Option<Revision>) -> Result<Listing, Unread>;
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Following>, Unread>;
    /// Lets go of the history before `revision`.
    async fn compact(&self, revision: Revision);
    /// Whether a backend that is gone, or does not know what became of a write, is asked again in the same life.
    fn comes_back(&self) -> bool {
        false
    }
    /// Whether a transaction may have more than one key, and may be a put.
    fn has_transactions(&self) -> bool {
        true
    }
}

/// A running watch.
#[async_trait]
pub trait Following: Send {
    /// `None` at its end. Cancel safe.
    async fn next(&mut self) -> Option<Said>;
    /// What a bookmark would say now, where the backend can be asked.
    async fn progress(&mut self) -> Option<Revision>;
}
