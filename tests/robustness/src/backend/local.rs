//! The store in this process.

use async_trait::async_trait;
use store::{Op, OutOfWindow, Store, Watch, Write, WriteError};

use super::{Backend, Change, Event, Following, Listing, Revision, Said, Transaction, Unread, Version, Written};

/// A store, asked directly.
pub struct Local(pub Store);

#[async_trait]
impl Backend for Local {
    async fn write(&self, transaction: Transaction) -> Written {
        let ops = transaction.changes.iter().map(op).collect();
        let write = Write::transaction(ops);
        let write = if transaction.relaxed { write.relaxed() } else { write };
        match self.0.commit(write).await {
            Ok(committed) => Written::Done { revision: committed.revision.0 },
            Err(WriteError::Conflict { key, current }) => Written::Conflict {
                key: text(&key),
                current: Some(current.map(|kv| Version { value: text(&kv.value), revision: kv.mod_revision.0 })),
            },
            Err(WriteError::NoSpace | WriteError::Unavailable(_)) => Written::Refused,
            // Done, and only not seen in time.
            Err(WriteError::Unknown { revision: Some(revision), .. }) => Written::Done { revision: revision.0 },
            Err(_) => Written::Unknown,
        }
    }

    async fn get(&self, key: &str) -> Result<(Option<Version>, Option<Revision>), Unread> {
        let snapshot = self.0.current().await.map_err(|_| Unread::Gone)?;
        let found = snapshot.get(key.as_bytes());
        let version = found.map(|kv| Version { value: text(&kv.value), revision: kv.mod_revision.0 });
        Ok((version, Some(snapshot.revision().0)))
    }

    async fn list(&self, prefix: &str, at: Option<Revision>) -> Result<Listing, Unread> {
        let snapshot = match at {
            None => self.0.current().await.map_err(|_| Unread::Gone)?,
            Some(at) => self.0.snapshot_at(store::Revision(at)).map_err(unread)?,
        };
        let item = |kv: &std::sync::Arc<store::KeyValue>| {
            (text(&kv.key), Version { value: text(&kv.value), revision: kv.mod_revision.0 })
        };
        let items = snapshot.walk(prefix.as_bytes(), None).map(item).collect();
        Ok(Listing { revision: snapshot.revision().0, items })
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Following>, Unread> {
        let watch = self.0.watch(prefix.as_bytes(), store::Revision(after)).map_err(unread)?;
        Ok(Box::new(LocalWatch(watch)))
    }

    async fn compact(&self, revision: Revision) {
        // A revision that is out of the window is compacted already, or yet to come.
        self.0.compact(store::Revision(revision)).await.ok();
    }
}

struct LocalWatch(Watch);

#[async_trait]
impl Following for LocalWatch {
    async fn next(&mut self) -> Option<Said> {
        let events = self.0.next().await.ok()?;
        let event = |event: &std::sync::Arc<store::Event>| Event {
            revision: event.revision.0,
            key: text(&event.key),
            value: event.current.as_ref().map(|kv| text(&kv.value)),
            is_create: event.is_create(),
        };
        Some(Said::Events(events.iter().map(event).collect()))
    }

    async fn progress(&mut self) -> Option<Revision> {
        Some(self.0.progress().0)
    }
}

fn op(change: &Change) -> Op {
    let key = change.key().as_bytes().into();
    match change {
        Change::Put { value, .. } => Op::Put { key, value: value.clone().into() },
        Change::Create { value, .. } => Op::Create { key, value: value.clone().into() },
        Change::Update { expected, value, .. } => {
            Op::Update { key, expected: store::Revision(*expected), value: value.clone().into() }
        }
        Change::Delete { expected, .. } => Op::Delete { key, expected: store::Revision(*expected) },
    }
}

fn unread(error: OutOfWindow) -> Unread {
    match error {
        OutOfWindow::Compacted { .. } => Unread::Compacted,
        OutOfWindow::Future { .. } => Unread::Future,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
