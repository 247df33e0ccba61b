//! What a frame of the log holds.
//!
//! ```text
//! kind: u8 │ synced: u64 LE │ revision: u64 LE │ operations, to the end of the frame
//! operation: 1 │ key length: u32 │ key │ value length: u32 │ value      a put
//!            2 │ key length: u32 │ key                                   a delete
//! ```
//! `synced` says how much of this file was known to be on disk when the record was written. It
//! tells damage from a torn tail: see [`recovery`](super::recovery). Creation revision and version
//! are not written; they follow from replaying in order.
//!
//! Kind 1, a transaction by itself, is of format 1 and no longer written. Kind 4 is a [`batch`], which begins in the same
//! way. Marks have no operations.

use bytes::Bytes;

use super::{
    batch,
    frame::{self, FRAME_HEAD},
};
use crate::{
    key_value::{Key, KeyValue},
    revision::Revision,
    seal::Seal,
};

/// The kind of a transaction of format 1.
pub(crate) const TRANSACTION: u8 = 1;
pub(crate) const BATCH: u8 = 4;

/// What is written besides changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The revision jumps to this one; numbers between were lost or never used.
    Skip = 2,
    /// The store was closed properly at this revision; all before is on disk.
    Closed = 3,
}

pub(crate) enum Record {
    /// Changes at the revision after the one before.
    Transaction(Revision, Vec<(Key, Option<Bytes>)>),
    /// Several of these.
    Batch(batch::Read),
    Mark(Mark, Revision),
}

/// What all records begin with.
pub(crate) fn put_head(out: &mut Vec<u8>, kind: u8, synced: u64, revision: Revision) {
    out.push(kind);
    out.extend_from_slice(&synced.to_le_bytes());
    out.extend_from_slice(&revision.0.to_le_bytes());
}

pub(crate) fn decode(payload: &[u8]) -> Option<Record> {
    let mut rest = payload;
    let kind = take(&mut rest, 1)?[0];
    let _synced = take_u64(&mut rest)?;
    let revision = Revision(take_u64(&mut rest)?);
    match kind {
        TRANSACTION => Some(Record::Transaction(revision, operations(rest)?)),
        BATCH => batch::Read::decode(revision, rest).map(Record::Batch),
        2 if rest.is_empty() => Some(Record::Mark(Mark::Skip, revision)),
        3 if rest.is_empty() => Some(Record::Mark(Mark::Closed, revision)),
        _ => None,
    }
}

fn operations(mut rest: &[u8]) -> Option<Vec<(Key, Option<Bytes>)>> {
    let mut ops = Vec::new();
    while !rest.is_empty() {
        let tag = take(&mut rest, 1)?[0];
        let key = Key::from(take_bytes(&mut rest)?);
        let value = match tag {
            1 => Some(Bytes::copy_from_slice(take_bytes(&mut rest)?)),
            2 => None,
            _ => return None,
        };
        ops.push((key, value));
    }
    Some(ops)
}

/// How much of its file was on disk when the record was written.
pub(crate) fn synced(payload: &[u8]) -> Option<u64> {
    let mut rest = payload.get(1..)?;
    take_u64(&mut rest)
}

/// Whether a frame with a record may begin here: a cheap look before the checksum.
pub(crate) fn is_plausible(frame: &[u8]) -> bool {
    /// Kind, synced, revision.
    const SHORTEST: u32 = 17;
    let length = frame::head(frame).map_or(0, |(length, _)| length);
    length >= SHORTEST && matches!(frame.get(FRAME_HEAD), Some(&(TRANSACTION..=BATCH)))
}

/// The value as it is to lie on disk.
pub(crate) fn put_value(out: &mut Vec<u8>, kv: &KeyValue, seal: Option<&dyn Seal>) {
    match seal.and_then(|seal| seal.seal(&kv.key, &kv.value)) {
        Some(sealed) => put_bytes(out, &sealed),
        None => put_bytes(out, &kv.value),
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(crate) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

pub(crate) fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest, 8)?.try_into().ok().map(u64::from_le_bytes)
}

pub(crate) fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_le_bytes)
}

pub(crate) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u32(rest)?;
    take(rest, length as usize)
}
