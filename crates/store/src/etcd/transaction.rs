//! A write as etcd takes it, and its answer as our callers do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    keys::{Keys, number, revision},
    messages::{
        Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse, compare::Operand,
        request_op::Request, response_op::Response,
    },
    trouble::EtcdTrouble,
};
use crate::{
    event::{Changes, Event},
    key_value::{Key, KeyValue},
    revision::Revision,
    state::{self, State},
    write::{Op, Value, WriteError},
};

/// What a compare looks at.
const MOD_REVISION: i32 = 2;
/// No key is ever at this one, so a compare with it never holds.
const NEVER: i64 = -1;

/// A transaction on its way.
pub(crate) struct Transaction {
    pub(crate) request: TxnRequest,
    ops: Vec<Planned>,
}

/// What is to become of one key.
struct Planned {
    key: Key,
    /// What it must be at (`None` inside: absent), where it must.
    expected: Option<Option<Revision>>,
    /// What it becomes: `Some(None)` deleted, `None` unchanged.
    becomes: Option<Option<Bytes>>,
}

impl Transaction {
    pub(crate) fn prepare(keys: &Keys, ops: Vec<Op>) -> Result<Transaction, WriteError> {
        state::transaction::limits(&ops)?;
        let mut transaction = Transaction { request: TxnRequest::default(), ops: Vec::with_capacity(ops.len()) };
        for op in ops {
            transaction.add(keys, op)?;
        }
        Ok(transaction)
    }

    fn add(&mut self, keys: &Keys, op: Op) -> Result<(), WriteError> {
        let key = op.key().clone();
        let there = keys.there(&key).ok_or_else(|| WriteError::Foreign { key: key.clone() })?;
        let expected = match &op {
            Op::Create { .. } => Some(None),
            Op::Update { expected, .. } | Op::Delete { expected, .. } => Some(Some(*expected)),
            Op::Check { expected, .. } => Some(*expected),
            Op::Put { .. } => None,
        };
        if let Some(expected) = expected {
            let at = match expected {
                None => 0,
                Some(Revision(0)) => NEVER,
                Some(revision) => number(revision),
            };
            let operand = Some(Operand::ModRevision(at));
            self.request.compare.push(Compare { result: 0, target: MOD_REVISION, key: there.clone(), operand });
            let read = RangeRequest { key: there.clone(), ..RangeRequest::default() };
            self.request.failure.push(RequestOp { request: Some(Request::Range(read)) });
        }
        let becomes = match op {
            Op::Create { value, .. } | Op::Update { value, .. } | Op::Put { value, .. } => {
                let built = build(&key, value)?;
                let stored = keys.to_stored(&key, built);
                let stored = stored.map_err(|source| WriteError::Malformed { key: key.clone(), source })?;
                let value = keys.sealed(&key, stored.clone());
                let put = PutRequest { key: there, value, ..PutRequest::default() };
                self.request.success.push(RequestOp { request: Some(Request::Put(put)) });
                Some(Some(stored))
            }
            Op::Delete { .. } => {
                let delete = DeleteRangeRequest { key: there };
                self.request.success.push(RequestOp { request: Some(Request::DeleteRange(delete)) });
                Some(None)
            }
            Op::Check { .. } => None,
        };
        self.ops.push(Planned { key, expected, becomes });
        Ok(())
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.ops.iter().any(|op| op.becomes.is_some())
    }

    fn puts(&mut self) -> impl Iterator<Item = &mut PutRequest> {
        self.request.success.iter_mut().filter_map(|op| match &mut op.request {
            Some(Request::Put(put)) => Some(put),
            _ => None,
        })
    }

    pub(crate) fn has_puts(&self) -> bool {
        self.ops.iter().any(|op| matches!(op.becomes, Some(Some(_))))
    }

    /// All it puts goes with this lease.
    pub(crate) fn attach(&mut self, lease: i64) {
        self.puts().for_each(|put| put.lease = lease);
    }

    /// All it puts goes when what it replaces would have gone.
    pub(crate) fn keep_leases(&mut self) {
        self.puts().for_each(|put| put.ignore_lease = true);
    }

    /// What it changed at `at`: as the state has it, or, if that is let go of already, as it was asked for.
    pub(crate) fn changes(&self, keys: &Keys, state: &State, at: Revision) -> Result<Changes, EtcdTrouble> {
        if !self.has_changes() {
            return Ok(Changes::from([]));
        }
        if let Some(changes) = state.history.get(&at) {
            return Ok(changes.clone());
        }
        let changing = self.ops.iter().filter_map(|op| Some((op, op.becomes.as_ref()?)));
        let event = |(op, becomes): (&Planned, &Option<Bytes>)| {
            let current = match becomes {
                Some(stored) => Some(Arc::new(KeyValue {
                    key: op.key.clone(),
                    value: keys.value(&op.key, stored.clone(), at)?,
                    create_revision: at,
                    mod_revision: at,
                    version: 1,
                })),
                None => None,
            };
            Ok(Arc::new(Event { revision: at, key: op.key.clone(), current, previous: None }))
        };
        changing.map(event).collect::<Result<Vec<_>, _>>().map(Changes::from)
    }

    /// The first compare that did not hold, with the key as it was then.
    pub(crate) fn conflict(&self, keys: &Keys, state: &State, answer: TxnResponse) -> WriteError {
        let compared = self.ops.iter().filter_map(|op| Some((op, op.expected?)));
        for ((op, expected), response) in compared.zip(answer.responses) {
            let Some(Response::Range(range)) = response.response else { continue };
            let found = range.kvs.into_iter().next();
            let at = found.as_ref().map(|kv| revision(kv.mod_revision));
            if at == expected {
                continue;
            }
            let known = state.keys.get(&op.key).filter(|kv| Some(kv.mod_revision) == at).cloned();
            let current = match (known, found) {
                (Some(known), _) => Ok(Some(known)),
                (None, Some(found)) => keys.version(op.key.clone(), found).map(Some),
                (None, None) => Ok(None),
            };
            return match current {
                Ok(current) => WriteError::Conflict { key: op.key.clone(), current },
                Err(trouble) => WriteError::Unavailable(trouble),
            };
        }
        let source: Box<dyn std::error::Error + Send + Sync> = "a compare failed that holds".into();
        WriteError::Unavailable(EtcdTrouble::Unintelligible { endpoint: "etcd".into(), source: source.into() })
    }
}

fn build(key: &Key, value: Value) -> Result<Bytes, WriteError> {
    let bytes = match value {
        Value::Bytes(bytes) => bytes,
        Value::Built(build) => catch_unwind(AssertUnwindSafe(move || build(Revision(0))))
            .map_err(|_| WriteError::BuildPanicked { key: key.clone() })?,
    };
    state::transaction::within("value", bytes.len(), crate::write::MAX_VALUE_BYTES)?;
    Ok(bytes)
}
