//! Keys, bytes, revisions, watches: a store that acknowledges a write when it is on disk, its own or etcd's.
//!
//! It knows nothing of what the bytes mean. See the README for its invariants.

mod backup;
mod config;
mod etcd;
mod event;
#[cfg(feature = "failpoints")]
pub mod failpoints;
#[cfg(not(feature = "failpoints"))]
#[path = "failpoints/absent.rs"]
mod failpoints;
mod form;
mod health;
mod hub;
mod index;
mod key_value;
mod local;
mod open_error;
mod revision;
mod seal;
mod snapshot;
mod state;
mod store;
mod watch;
mod write;

pub use backup::{BackupError, Contents, RESTORE_SKIPS, Verified, check, is_snapshot, restore, restore_past, verify};
pub use config::StoreConfig;
pub use etcd::{
    Cause, ConnectError, EtcdConfig, EtcdIdentity, EtcdLogin, EtcdPassword, EtcdTls, EtcdTrouble, ReadError,
};
pub use event::{Changes, Event, EventKind};
pub use form::{AsItIs, Form, Malformed};
pub use health::{EndpointHealth, EtcdAlarm, EtcdHealth, Health, Writes};
pub use key_value::{Key, KeyValue};
#[cfg(feature = "failpoints")]
pub use local::disk::sim;
pub use local::recovery::{Cut, Recovery};
pub use open_error::{Damage, OpenError};
pub use revision::Revision;
pub use seal::{Seal, Unsealable};
pub use snapshot::{Page, Snapshot};
pub use state::OutOfWindow;
pub use store::{Savable, Store};
pub use watch::{WATCH_QUEUE, WATCH_QUEUE_BYTES, Watch, WatchError};
pub use write::{
    Committed, Durability, Lifetime, MAX_KEY_BYTES, MAX_OPS, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, Op,
    UnreadableValues, Value, Write, WriteError,
};
