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

use bytes::Bytes;

use super::frame::{self, FRAME_HEAD};
use crate::{
    event::Event,
    key_value::{Key, KeyValue},
    revision::Revision,
    seal::Seal,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes at the revision after the one before.
    Transaction = 1,
    /// The revision jumps to this one; numbers between were lost or never used.
    Skip = 2,
    /// The store was closed properly at this revision; all before is on disk.
    Closed = 3,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) synced: u64,
    pub(crate) revision: Revision,
    pub(crate) ops: Vec<(Key, Option<Bytes>)>,
}

pub(crate) fn encode<'a>(
    out: &mut Vec<u8>,
    kind: Kind,
    synced: u64,
    revision: Revision,
    events: impl IntoIterator<Item = &'a Event>,
    seal: Option<&dyn Seal>,
) {
    out.push(kind as u8);
    out.extend_from_slice(&synced.to_le_bytes());
    out.extend_from_slice(&revision.0.to_le_bytes());
    for event in events {
        out.push(if event.current.is_some() { 1 } else { 2 });
        put_bytes(out, &event.key);
        if let Some(kv) = &event.current {
            put_value(out, kv, seal);
        }
    }
}

pub(crate) fn decode(payload: &[u8]) -> Option<Record> {
    let mut rest = payload;
    let kind = match take(&mut rest, 1)?[0] {
        1 => Kind::Transaction,
        2 => Kind::Skip,
        3 => Kind::Closed,
        _ => return None,
    };
    let synced = take_u64(&mut rest)?;
    let revision = Revision(take_u64(&mut rest)?);
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
    Some(Record { kind, synced, revision, ops })
}

/// Whether a frame with a record may begin here: a cheap look before the checksum.
pub(crate) fn is_plausible(frame: &[u8]) -> bool {
    /// Kind, synced, revision.
    const SHORTEST: u32 = 17;
    let length = frame::head(frame).map_or(0, |(length, _)| length);
    length >= SHORTEST && matches!(frame.get(FRAME_HEAD), Some(1..=3))
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
