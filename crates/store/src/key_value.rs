//! What the store keeps: a key, the bytes behind it, and when they came to be.

use std::sync::Arc;

use bytes::Bytes;

use crate::revision::Revision;

/// A key is shared between the state, the history and every event.
pub type Key = Arc<[u8]>;

/// One version of one key. Cheap to clone; shared as `Arc<KeyValue>` everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The whole key.
    pub key: Key,
    /// The bytes as they were written (or built by [`Value::Built`](crate::Value::Built)).
    pub value: Bytes,
    /// The revision at which the key last came into being.
    pub create_revision: Revision,
    /// The revision of this version; what [`Op::Update`](crate::Op::Update) compares with.
    pub mod_revision: Revision,
    /// 1 at creation, one more with every change.
    pub version: u64,
}
