//! What all controllers share: named tasks, informers that keep encoded objects, work queues and the one
//! reconcile loop.
//!
//! A controller gets a key, never an event. It reads its [`Lister`]s, decides, and writes through its client.
//! Because listers lag behind writes, a controller that creates objects notes each write in a [`Ledger`] and waits
//! there until its listers have seen it; then "does it exist?" has a true answer.

mod backoff;
mod cache;
mod controller;
mod election;
mod entry;
mod informers;
mod key;
mod ledger;
mod lines;
mod lister;
mod metrics;
mod queue;
mod reflector;
mod subscription;
mod tasks;

pub use backoff::Backoff;
pub use cache::Cache;
pub use controller::{Controller, DEFAULT_WORKERS, Error, Next, Watch, run};
pub use election::Election;
pub use entry::{Entry, Header, Owner};
pub use informers::{Informers, Scope};
pub use key::Key;
pub use ledger::{Ledger, SETTLE_LIMIT};
pub use lister::{DecodeError, Lister};
pub use metrics::register_metrics;
pub use queue::WorkQueue;
pub use subscription::{Change, Subscription};
pub use tasks::{Task, Tasks};
