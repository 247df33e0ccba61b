//! Compares, then changes: the pure step from one state to the next.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;

use super::State;
use crate::{
    event::{Changes, Event},
    failpoints::{self, Bug},
    key_value::{Key, KeyValue},
    revision::Revision,
    write::{MAX_KEY_BYTES, MAX_OPS, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, Op, Value, WriteError},
};

/// A transaction is refused with what its caller is told.
pub(crate) type Refused = WriteError;

/// A transaction whose compares hold at one state, with the changes it makes.
pub(crate) struct Transaction {
    pub(crate) revision: Revision,
    pub(crate) changes: Changes,
}

impl Transaction {
    /// Checks all compares against `state`, then builds all values for the next revision.
    /// Only checks: no changes, and the revision is the one that was read.
    pub(crate) fn prepare(state: &State, ops: Vec<Op>) -> Result<Transaction, Refused> {
        limits(&ops)?;
        for op in &ops {
            compare(state, op)?;
        }
        let revision = state.revision.next();
        let mut changes = Vec::with_capacity(ops.len());
        for op in ops {
            changes.extend(change(state, revision, op)?);
        }
        let most =
            |bytes: fn(&Event) -> u64| changes.iter().map(|event: &Arc<Event>| bytes(event)).sum::<u64>() as usize;
        within("transaction", most(Event::current_bytes), MAX_TRANSACTION_BYTES)?;
        within("data a transaction replaces", most(Event::previous_bytes), MAX_TRANSACTION_BYTES)?;
        let revision = if changes.is_empty() { state.revision } else { revision };
        Ok(Transaction { revision, changes: changes.into() })
    }
}

pub(crate) fn limits(ops: &[Op]) -> Result<(), Refused> {
    within("number of operations", ops.len(), MAX_OPS)?;
    for (index, op) in ops.iter().enumerate() {
        within("key", op.key().len(), MAX_KEY_BYTES)?;
        if ops[..index].iter().any(|other| other.key() == op.key()) {
            return Err(WriteError::RepeatedKey { key: op.key().clone() });
        }
    }
    Ok(())
}

pub(crate) fn within(what: &'static str, size: usize, limit: usize) -> Result<(), Refused> {
    if size <= limit { Ok(()) } else { Err(WriteError::TooLarge { what, size, limit }) }
}

fn compare(state: &State, op: &Op) -> Result<(), Refused> {
    if matches!(op, Op::Put { .. }) {
        return Ok(());
    }
    let current = state.keys.get(op.key());
    let at = current.map(|kv| kv.mod_revision);
    let lost_update = failpoints::has(Bug::LostUpdate) && matches!(op, Op::Update { .. }) && at.is_some();
    let holds = match op {
        _ if lost_update => true,
        Op::Create { .. } => at.is_none(),
        Op::Update { expected, .. } | Op::Delete { expected, .. } => at == Some(*expected),
        Op::Put { .. } => unreachable!("a put compares nothing"),
        Op::Check { expected, .. } => at == *expected,
    };
    if holds { Ok(()) } else { Err(WriteError::Conflict { key: op.key().clone(), current: current.cloned() }) }
}

fn change(state: &State, revision: Revision, op: Op) -> Result<Option<Arc<Event>>, Refused> {
    let (key, value) = match op {
        Op::Create { key, value } | Op::Update { key, value, .. } | Op::Put { key, value } => {
            let bytes = build(&key, value, revision)?;
            (key, Some(bytes))
        }
        Op::Delete { key, .. } => (key, None),
        Op::Check { .. } => return Ok(None),
    };
    Ok(Some(Arc::new(event(state, revision, key, value))))
}

/// The change that putting (or, with `None`, deleting) a key makes. Recovery uses it too, so that
/// the log need not hold what follows from the order of writes.
pub(crate) fn event(state: &State, revision: Revision, key: Key, value: Option<Bytes>) -> Event {
    let previous = state.keys.get(&key).cloned();
    // The key that is already in the map is the one to share.
    let key = previous.as_ref().map_or(key, |kv| kv.key.clone());
    let current = value.map(|value| {
        Arc::new(KeyValue {
            key: key.clone(),
            value,
            create_revision: previous.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: previous.as_ref().map_or(1, |kv| kv.version + 1),
        })
    });
    Event { revision, key, current, previous }
}

fn build(key: &Key, value: Value, revision: Revision) -> Result<Bytes, Refused> {
    let bytes = match value {
        Value::Bytes(bytes) => bytes,
        Value::Built(build) => catch_unwind(AssertUnwindSafe(move || build(revision)))
            .map_err(|_| WriteError::BuildPanicked { key: key.clone() })?,
    };
    within("value", bytes.len(), MAX_VALUE_BYTES)?;
    Ok(exact(bytes))
}

/// The same bytes without the spare room of the buffer they were made in: they may stay for years.
fn exact(bytes: Bytes) -> Bytes {
    match bytes.try_into_mut() {
        Ok(buffer) if buffer.capacity() > buffer.len() => Bytes::copy_from_slice(&buffer),
        Ok(buffer) => buffer.freeze(),
        Err(shared) => shared,
    }
}
